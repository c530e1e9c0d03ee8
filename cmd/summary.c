/* summary.c - pcv-inspect's screen of facts about one model or file of
 * tensors, as text and as members of a JSON object. */
#include "blocks.h"
#include "curves.h"
#include "json.h"
#include "look.h"

#include <stdlib.h>
#include <string.h>

enum { KINDS = 16, MARGIN = 11, LABELS_WIDE = 60, META_WIDE = 60 };

/* What all tensors come to. */
typedef struct {
    size_t tensors, elements, bytes, nan, inf;
    struct {
        const char *dtype;
        size_t tensors, elements;
    } kind[KINDS];
    int kinds;
    size_t bad;                 /* tensors that are not finite .. */
    pcv_bytes bad_name;         /* .. and the first of them */
    blocks parts;
} totals;

/* ---- adding up ------------------------------------------------------- */

static void add_kind(totals *t, const pcv_tensor_info *info)
{
    int k = 0;

    while (k < t->kinds && strcmp(t->kind[k].dtype, info->dtype))
        k++;
    if (k == KINDS)
        return;
    if (k == t->kinds)
        t->kind[t->kinds++].dtype = info->dtype;
    t->kind[k].tensors++;
    t->kind[k].elements += info->count;
}

static int add_numbers(totals *t, const look_subject *s, size_t i,
                       const pcv_tensor_info *info)
{
    pcv_tensor_stats stats;

    if (pcv_weights_stats(s->weights, i, &stats, NULL, 0) < 0)
        return -1;
    t->nan += stats.nan;
    t->inf += stats.inf;
    if ((stats.nan || stats.inf) && t->bad++ == 0)
        pcv_bytes_escape(&t->bad_name, info->name);
    return 0;
}

/* Blocks as deep as their rows are few enough. */
static int add_blocks(totals *t, const look_subject *s, const look_options *o)
{
    pcv_tensor_info info;
    int status = 0;

    for (int depth = 1; depth <= 8 && status >= 0; depth++) {
        blocks deeper = {0};

        for (size_t i = 0; i < pcv_weights_count(s->weights); i++) {
            status = look_tensor(s, o, i, &info);
            if (status > 0)
                blocks_add(&deeper, info.name, depth, info.count);
        }
        if (deeper.over && depth > 1) {
            blocks_free(&deeper);
            break;
        }
        blocks_free(&t->parts);
        t->parts = deeper;
    }
    return status < 0 ? -1 : 0;
}

static int add_up(totals *t, const look_subject *s, const look_options *o)
{
    for (size_t i = 0; i < pcv_weights_count(s->weights); i++) {
        pcv_tensor_info info;
        int status = look_tensor(s, o, i, &info);

        if (status < 0 || (status && add_numbers(t, s, i, &info) < 0))
            return -1;
        if (!status)
            continue;
        t->tensors++;
        t->elements += info.count;
        t->bytes += info.bytes;
        add_kind(t, &info);
    }
    return add_blocks(t, s, o);
}

static void free_totals(totals *t)
{
    pcv_bytes_free(&t->bad_name);
    blocks_free(&t->parts);
}

/* ---- text ------------------------------------------------------------ */

static void row(pcv_bytes *b, const char *name)
{
    pcv_bytes_printf(b, "%-*s", MARGIN, name);
}

static void end(pcv_bytes *b)
{
    pcv_bytes_add(b, "\n", 1);
}

static void weights_text(const totals *t, pcv_bytes *b)
{
    row(b, "weights");
    pcv_bytes_printf(b, "%zu tensor%s, ", t->tensors,
                     t->tensors == 1 ? "" : "s");
    look_thousands(b, t->elements);
    pcv_bytes_printf(b, " parameters");
    for (int k = 0; k < t->kinds; k++) {
        pcv_bytes_printf(b, ", %s", t->kind[k].dtype);
        if (t->kinds > 1)
            pcv_bytes_printf(b, " x %zu", t->kind[k].tensors);
    }
    pcv_bytes_printf(b, ", ");
    look_units(b, (double)t->bytes, "B");
    end(b);
}

static void labels_text(const pcv_model *m, pcv_bytes *b)
{
    size_t n = pcv_model_outputs(m), start, k;

    if (!pcv_model_label(m, 0))
        return;
    row(b, "labels");
    pcv_bytes_printf(b, "%zu: ", n);
    start = b->len;
    for (k = 0; k < n && b->len - start < LABELS_WIDE; k++) {
        pcv_bytes_printf(b, "%s", k ? ", " : "");
        pcv_bytes_escape(b, pcv_model_label(m, k));
    }
    pcv_bytes_printf(b, "%s", k < n ? ", ..." : "");
    end(b);
}

static void cost_row(const look_options *o, const pcv_cost_info *c,
                     pcv_bytes *b)
{
    row(b, "cost");
    pcv_bytes_printf(b, "%s%s", o->size ? o->size : "",
                     o->size ? ": " : "");
    look_units(b, c->plain, "FLOP");
    pcv_bytes_printf(b, " (");
    look_units(b, c->run, "FLOP");
    pcv_bytes_printf(b, " as run) per input, ");
    look_units(b, c->memory, "B");
    pcv_bytes_printf(b, " beside the weights");
    end(b);
}

/* A log that lies beside the model: what of it can be read. */
static void run_text(const pcv_model *m, pcv_bytes *b)
{
    char *path = history_find(pcv_model_path(m), false);
    history h;

    if (path && history_open(&h, path, 0) == 0) {
        curves_line(&h, b);
        history_close(&h);
    } else if (path) {
        row(b, "run");
        pcv_bytes_printf(b, "%s\n", pcv_error());
        pcv_error_clear();
    }
    free(path);
}

static int model_text(const look_subject *s, const look_options *o,
                      const totals *t, pcv_bytes *b)
{
    const pcv_model *m = s->model;
    pcv_cost_info c;

    if (pcv_model_cost(m, o->size, &c) < 0)
        return -1;
    row(b, "model");
    words_model(m, b);
    end(b);
    weights_text(t, b);
    row(b, "identity");
    pcv_bytes_printf(b, "%s\n", pcv_model_id(m));
    row(b, "input");
    words_input(m, &c, b);
    end(b);
    row(b, "latents");
    words_latents(m, b);
    end(b);
    row(b, "decoder");
    words_decoder(m, b);
    end(b);
    row(b, "preprocess");
    words_preprocess(m, b);
    end(b);
    labels_text(m, b);
    cost_row(o, &c, b);
    run_text(m, b);
    return 0;
}

/* Right-aligned counts below each other, then the name. */
static void blocks_text(const totals *t, pcv_bytes *b)
{
    for (int i = 0; i < t->parts.count + t->parts.over; i++) {
        const block *p = &t->parts.row[i];
        pcv_bytes count = {0};

        look_thousands(&count, p->elements);
        row(b, i ? "" : "parameters");
        pcv_bytes_printf(b, "%13s  ", count.failed ? "" : count.data);
        b->failed |= count.failed;
        pcv_bytes_free(&count);
        if (p->name)
            pcv_bytes_escape(b, p->name);
        pcv_bytes_printf(b, "%s  (%zu tensor%s)\n", p->name ? "" : "(others)",
                         p->tensors, p->tensors == 1 ? "" : "s");
    }
}

/* The beginnings of values that are long; --json has them all. */
static void metadata_text(const look_subject *s, pcv_bytes *b)
{
    for (size_t i = 0; i < pcv_weights_metas(s->weights); i++) {
        const char *value = pcv_weights_meta_value(s->weights, i);
        size_t n = strcspn(value, "\n");
        char *line = strndup(value, n < META_WIDE ? n : META_WIDE);

        row(b, i ? "" : "metadata");
        pcv_bytes_escape(b, pcv_weights_meta_key(s->weights, i));
        pcv_bytes_printf(b, " = ");
        b->failed |= !line;
        if (line) {
            pcv_bytes_escape(b, line);
            pcv_bytes_printf(b, "%s\n", value[strlen(line)] ? " ..." : "");
        }
        free(line);
    }
}

static void check_text(const totals *t, pcv_bytes *b)
{
    row(b, "check");
    if (!t->bad)
        pcv_bytes_printf(b, "ok: all tensors finite\n");
    else
        pcv_bytes_printf(b, "NOT FINITE: %zu NaN and %zu infinite in %zu "
                         "tensor%s, first %s\n", t->nan, t->inf, t->bad,
                         t->bad == 1 ? "" : "s",
                         t->bad_name.len ? t->bad_name.data : "");
}

int summary_text(const look_subject *s, const look_options *o, pcv_bytes *b)
{
    totals t = {0};
    int status = add_up(&t, s, o);

    row(b, "file");
    pcv_bytes_escape(b, pcv_weights_file(s->weights));
    end(b);
    if (status == 0 && s->model)
        status = model_text(s, o, &t, b);
    else if (status == 0)
        weights_text(&t, b);
    if (status == 0) {
        blocks_text(&t, b);
        if (!s->model)
            metadata_text(s, b);
        check_text(&t, b);
        status = (int)t.tensors;
    }
    b->failed |= t.parts.failed || t.bad_name.failed;
    free_totals(&t);
    return status;
}

/* ---- JSON ------------------------------------------------------------ */

static void settings_json(const pcv_model *m, pcv_bytes *b)
{
    const pcv_setting *set;

    json_open(b, "settings", '{');
    for (size_t i = 0; (set = pcv_setting_at(i)) != NULL; i++) {
        char *text = words_copy(m, set->name);

        if (text)
            json_guess(b, set->name, text);
        free(text);
    }
    json_close(b, '}');
}

static void labels_json(const pcv_model *m, pcv_bytes *b)
{
    json_open(b, "labels", '[');
    for (size_t k = 0; k < pcv_model_outputs(m) && pcv_model_label(m, k); k++)
        json_text(b, NULL, pcv_model_label(m, k));
    json_close(b, ']');
}

static void run_json(const pcv_model *m, pcv_bytes *b)
{
    char *path = history_find(pcv_model_path(m), false);
    history h;

    if (path && history_open(&h, path, 0) == 0) {
        curves_json(&h, b);
        history_close(&h);
    } else if (path) {
        pcv_error_clear();
    }
    free(path);
}

static int model_json(const look_subject *s, const look_options *o,
                      pcv_bytes *b)
{
    const pcv_model *m = s->model;

    json_open(b, "model", '{');
    json_path(b, "path", pcv_model_path(m));
    json_text(b, "id", pcv_model_id(m));
    json_count(b, "latents", pcv_model_latents(m));
    json_count(b, "latent_channels", pcv_model_latent_channels(m));
    json_count(b, "queries", pcv_model_queries(m));
    json_count(b, "outputs", pcv_model_outputs(m));
    settings_json(m, b);
    labels_json(m, b);
    if (cost_json(s, o, b) < 0)
        return -1;
    json_close(b, '}');
    return 0;
}

static void weights_json(const look_subject *s, const totals *t, pcv_bytes *b)
{
    json_open(b, "weights", '{');
    json_path(b, "file", pcv_weights_file(s->weights));
    json_count(b, "tensors", t->tensors);
    json_count(b, "parameters", t->elements);
    json_count(b, "bytes", t->bytes);
    json_open(b, "dtypes", '{');
    for (int k = 0; k < t->kinds; k++)
        json_count(b, t->kind[k].dtype, t->kind[k].elements);
    json_close(b, '}');
    json_open(b, "metadata", '{');
    for (size_t i = 0; i < pcv_weights_metas(s->weights); i++)
        json_text(b, pcv_weights_meta_key(s->weights, i),
                  pcv_weights_meta_value(s->weights, i));
    json_close(b, '}');
    json_close(b, '}');
}

static void blocks_json(const totals *t, pcv_bytes *b)
{
    json_open(b, "blocks", '[');
    for (int i = 0; i < t->parts.count + t->parts.over; i++) {
        const block *p = &t->parts.row[i];

        json_open(b, NULL, '{');
        json_text(b, "name", p->name ? p->name : "(others)");
        json_count(b, "tensors", p->tensors);
        json_count(b, "parameters", p->elements);
        json_close(b, '}');
    }
    json_close(b, ']');
}

int summary_json(const look_subject *s, const look_options *o, pcv_bytes *b)
{
    totals t = {0};
    int status = add_up(&t, s, o);

    if (status == 0 && s->model)
        status = model_json(s, o, b);
    if (status == 0) {
        weights_json(s, &t, b);
        blocks_json(&t, b);
        json_open(b, "check", '{');
        json_truth(b, "finite", !t.bad);
        json_count(b, "nan", t.nan);
        json_count(b, "inf", t.inf);
        json_close(b, '}');
        if (s->model)
            run_json(s->model, b);
        status = (int)t.tensors;
    }
    b->failed |= t.parts.failed;
    free_totals(&t);
    return status;
}
