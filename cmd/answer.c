/* answer.c - answers as text.  Classes are ranked by their logits; equal ones
 * by their index, so that the order never depends on anything else. */
#include "answer.h"
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- ranking --------------------------------------------------------- */

/* NaN comes last. */
static int by_logit(const void *a, const void *b)
{
    const ranked *x = a, *y = b;

    if (isnan(x->logit) != isnan(y->logit))
        return isnan(x->logit) ? 1 : -1;
    if (x->logit > y->logit || x->logit < y->logit)
        return x->logit > y->logit ? -1 : 1;
    return x->index < y->index ? -1 : 1;
}

ranked *answer_rank(pcv_bytes *b, const float *logits, size_t n, bool tags)
{
    ranked *r = calloc(n, sizeof *r);
    double *p = calloc(n, sizeof *p);

    if (r && p) {
        pcv_probabilities(logits, n, tags, p);
        for (size_t i = 0; i < n; i++)
            r[i] = (ranked){logits[i], i, p[i]};
        qsort(r, n, sizeof *r, by_logit);
        free(p);
        return r;
    }
    b->failed = true;
    free(p);
    free(r);
    return NULL;
}

const char *answer_label(const answer_style *s, size_t index)
{
    return s->label ? s->label[index] : pcv_model_label(s->model, index);
}

/* ---- tab-separated fields -------------------------------------------- */

static int header(const opt *o, sink *out, const char *before,
                  const char *behind)
{
    pcv_bytes line = {0};
    int status;

    if (!o->header)
        return 0;
    pcv_bytes_printf(&line, "path\t%s\t%s\t%s\n", before,
                     o->logits ? "logit" : "probability", behind);
    if (line.failed)
        opt_fatal_memory();
    status = sink_write(out, line.data, line.len);
    pcv_bytes_free(&line);
    return status;
}

int answer_header(const opt *o, sink *out)
{
    return header(o, out, "rank", "index\tlabel");
}

int answer_header_masks(const opt *o, sink *out)
{
    return header(o, out, "position\trank", "id\tbyte");
}

static void tsv_line(pcv_bytes *b, const answer_style *s, const char *name,
                     size_t place, const ranked *r)
{
    const char *label = answer_label(s, r->index);

    pcv_bytes_escape(b, name);
    if (s->logits)
        pcv_bytes_printf(b, "\t%zu\t%.9g\t%zu\t", place, (double)r->logit,
                         r->index);
    else
        pcv_bytes_printf(b, "\t%zu\t%.6f\t%zu\t", place, r->probability,
                         r->index);
    if (label)
        pcv_bytes_escape(b, label);
    else
        pcv_bytes_printf(b, "%zu", r->index);
    pcv_bytes_add(b, "\n", 1);
}

void answer_tsv(pcv_bytes *b, const answer_style *s, const char *name,
                const float *logits)
{
    ranked *r = answer_rank(b, logits, s->classes, s->tags);

    for (size_t i = 0; r && i < s->top && i < s->classes; i++)
        tsv_line(b, s, name, i + 1, &r[i]);
    free(r);
}

void answer_tsv_error(pcv_bytes *b, const char *name, int fields,
                      const char *what)
{
    pcv_bytes_escape(b, name);
    while (fields-- > 0)
        pcv_bytes_printf(b, "\t-");
    /* What a message quotes of a file is escaped already. */
    pcv_bytes_printf(b, "\terror: ");
    for (; *what; what++)
        pcv_bytes_add(b, strchr("\t\n\r", *what) ? " " : what, 1);
    pcv_bytes_add(b, "\n", 1);
}

/* ---- JSON ------------------------------------------------------------ */

void answer_json_begin(pcv_bytes *b, const char *name, size_t index, bool ok)
{
    json_open(b, NULL, '{');
    json_path(b, "path", name);
    json_count(b, "index", index);
    json_truth(b, "ok", ok);
}

void answer_json_end(pcv_bytes *b)
{
    json_close(b, '}');
    pcv_bytes_add(b, "\n", 1);
}

static void json_class(pcv_bytes *b, const answer_style *s, const ranked *r)
{
    const char *label = answer_label(s, r->index);

    json_open(b, NULL, '{');
    json_count(b, "index", r->index);
    if (label)
        json_text(b, "label", label);
    if (s->logits)
        json_number(b, "logit", (double)r->logit);
    else
        json_number(b, "prob", r->probability);
    json_close(b, '}');
}

static void json_nonfinite(pcv_bytes *b, const float *v, size_t n)
{
    size_t bad = 0;

    for (size_t i = 0; i < n; i++)
        bad += isfinite(v[i]) ? 0 : 1;
    if (bad)
        json_count(b, "nonfinite", bad);
}

void answer_json(pcv_bytes *b, const answer_style *s, const char *name,
                 size_t index, const float *logits)
{
    ranked *r = answer_rank(b, logits, s->classes, s->tags);

    answer_json_begin(b, name, index, true);
    json_open(b, "top", '[');
    for (size_t i = 0; r && i < s->top && i < s->classes; i++)
        json_class(b, s, &r[i]);
    json_close(b, ']');
    json_nonfinite(b, logits, s->classes);
    answer_json_end(b);
    free(r);
}

void answer_json_array(pcv_bytes *b, const char *name, size_t index,
                       const pcv_values *v)
{
    answer_json_begin(b, name, index, true);
    json_open(b, "shape", '[');
    for (int i = 0; i < v->rank; i++)
        json_count(b, NULL, v->dim[i]);
    json_close(b, ']');
    json_open(b, "data", '[');
    for (size_t i = 0; i < v->count; i++)
        json_number(b, NULL, (double)v->data[i]);
    json_close(b, ']');
    json_nonfinite(b, v->data, v->count);
    answer_json_end(b);
}

/* "truncated PNG: 12 of 40 bytes" is what, and the detail. */
void answer_json_error(pcv_bytes *b, const char *name, size_t index, int code,
                       const char *what)
{
    const char *detail = strstr(what, ": ");
    pcv_bytes head = {0};

    pcv_bytes_add(&head, what, detail ? (size_t)(detail - what)
                                      : strlen(what));
    answer_json_begin(b, name, index, false);
    json_open(b, "error", '{');
    json_number(b, "code", code);
    json_text(b, "what", head.len ? head.data : "");
    if (detail)
        json_text(b, "detail", detail + 2);
    json_close(b, '}');
    answer_json_end(b);
    b->failed |= head.failed;
    pcv_bytes_free(&head);
}
