/* encode.c - one input as a record of a stream, a row of an array or a line
 * of JSON.
 *
 * Metadata of a record: pcv.v, pcv.kind, pcv.index, pcv.path (pcv.path_b64
 * when the name is not UTF-8), pcv.model, pcv.modality, pcv.input, pcv.pool;
 * of one that failed pcv.code and pcv.what; of the end pcv.ok, pcv.failed. */
#include "encode.h"
#include "answer.h"
#include "json.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#define MAX_NAMES 90000000      /* a safetensors header is at most 100 MB */

static const char *const kinds[] = {"latents", "crossed", "input"};
static const char *const pools[] = {"none", "mean", "max", "first"};

/* ---- metadata -------------------------------------------------------- */

enum { MAX_KEYS = 10 };

/* Values lie in text, one behind the other, each ended by NUL. */
typedef struct {
    const char *key[MAX_KEYS], *value[MAX_KEYS];
    size_t at[MAX_KEYS], keys;
    pcv_bytes text;
} metadata;

static void add(metadata *d, const char *key, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

static void add(metadata *d, const char *key, const char *format, ...)
{
    char text[256];
    va_list ap;

    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    d->key[d->keys] = key;
    d->at[d->keys++] = d->text.len;
    pcv_bytes_add(&d->text, text, strlen(text) + 1);
}

static void add_text(metadata *d, const char *key, const char *text)
{
    d->key[d->keys] = key;
    d->at[d->keys++] = d->text.len;
    pcv_bytes_add(&d->text, text, strlen(text) + 1);
}

/* The record's strings are UTF-8; json_path knows when a name is not. */
static void add_path(metadata *d, const char *path)
{
    static const char mark[] = "\",\"path_b64\":\"";
    pcv_bytes b = {0};
    char *exact;

    json_path(&b, "path", path);
    exact = b.failed ? NULL : strstr(b.data, mark);
    add_text(d, "pcv.path", path);
    if (exact) {
        exact += strlen(mark);
        exact[strcspn(exact, "\"")] = '\0';
        add_text(d, "pcv.path_b64", exact);
    }
    d->text.failed |= b.failed;
    pcv_bytes_free(&b);
}

static void write_record(metadata *d, const char *name, const pcv_values *v,
                         pcv_bytes *out)
{
    for (size_t i = 0; i < d->keys && !d->text.failed; i++)
        d->value[i] = d->text.data + d->at[i];
    if (d->text.failed)
        out->failed = true;
    else
        pcv_sts_add(out, name, v, d->key, d->value, d->keys);
    pcv_bytes_free(&d->text);
}

/* "28x28x1": height, width, channels of a picture. */
static void add_input(metadata *d, const encode_run *r, const pcv_entry *e)
{
    size_t dim[8];
    int rank = pcv_entry_shape(e, dim);
    bool picture = rank == 3 && strcmp(r->modality, "image") == 0;
    pcv_bytes b = {0};

    for (int i = 0; i < rank; i++)
        pcv_bytes_printf(&b, "%s%zu", i ? "x" : "",
                         dim[picture ? (i + 1) % 3 : i]);
    if (b.len && !b.failed)
        add_text(d, "pcv.input", b.data);
    d->text.failed |= rank < 0 || b.failed;
    pcv_bytes_free(&b);
}

/* ---- arrays ---------------------------------------------------------- */

/* One row of the rows, in double: the sum of many floats. */
static float pooled(const pcv_values *v, size_t column, int pool)
{
    const size_t n = v->dim[0], c = v->dim[1];
    double x = (double)v->data[column];

    for (size_t i = 1; i < n && pool != POOL_FIRST; i++) {
        double y = (double)v->data[i * c + column];

        x = pool == POOL_MEAN ? x + y : y > x || y != y ? y : x;
    }
    return (float)(pool == POOL_MEAN ? x / (double)n : x);
}

static void pool_rows(pcv_values *v, int pool)
{
    if (pool == POOL_NONE || v->rank != 2 || v->dim[0] == 0)
        return;
    /* Column k of row 0 is read before it is written, by its own sum only. */
    for (size_t k = 0; k < v->dim[1]; k++)
        v->data[k] = pooled(v, k, pool);
    v->rank = 1;
    v->count = v->dim[0] = v->dim[1];
}

/* ---- the job of the pump --------------------------------------------- */

static void write_sts(const encode_run *r, const pcv_entry *e,
                      const pcv_values *v, pcv_bytes *out)
{
    metadata d = {0};

    add(&d, "pcv.v", "1");
    add(&d, "pcv.kind", "%s", kinds[r->what]);
    add(&d, "pcv.index", "%zu", pcv_entry_index(e));
    add_path(&d, pcv_entry_name(e));
    add_text(&d, "pcv.model", pcv_model_id(r->model));
    add_text(&d, "pcv.modality", r->modality);
    add_input(&d, r, e);
    if (r->pool != POOL_NONE)
        add(&d, "pcv.pool", "%s", pools[r->pool]);
    write_record(&d, kinds[r->what], v, out);
}

static pcv_values *encoded(const encode_run *r, pcv_worker *w,
                           const pcv_entry *e)
{
    switch (r->what) {
    case CROSSED: return pcv_encode_crossed(w, e);
    case INPUT:   return pcv_encode_input(w, e);
    default:      return pcv_encode(w, e);
    }
}

static int work(void *ctx, pcv_worker *w, void *item, pcv_bytes *out)
{
    const encode_run *r = ctx;
    pcv_entry *e = item;
    pcv_values *v;

    if (pcv_entry_load(r->stream, e) < 0)
        return -1;
    v = encoded(r, w, e);
    if (!v)
        return -1;
    pool_rows(v, r->pool);
    if (r->o.format == STS)
        write_sts(r, e, v, out);
    else if (r->o.format == JSONL)
        answer_json_array(out, pcv_entry_name(e), pcv_entry_index(e), v);
    else
        stack_pack(out, v);
    pcv_values_free(v);
    return 0;
}

static void fail(void *ctx, const void *item, int code, const char *what,
                 pcv_bytes *out)
{
    const encode_run *r = ctx;
    const pcv_entry *e = item;
    metadata d = {0};

    if (r->o.format == JSONL) {
        answer_json_error(out, pcv_entry_name(e), pcv_entry_index(e), code,
                          what);
    } else if (r->o.format == STS) {
        add(&d, "pcv.v", "1");
        add(&d, "pcv.kind", "error");
        add(&d, "pcv.index", "%zu", pcv_entry_index(e));
        add_path(&d, pcv_entry_name(e));
        add(&d, "pcv.code", "%d", code);
        add_text(&d, "pcv.what", what);
        write_record(&d, "", NULL, out);
    }
}

/* The name of the row that was just added. */
static int add_name(encode_run *r, const char *name)
{
    pcv_bytes line = {0};
    int status = 0;

    if (r->o.format == SAFETENSORS)
        json_text(&r->names, NULL, name);
    if (r->ids_path) {
        pcv_bytes_escape(&line, name);
        pcv_bytes_add(&line, "\n", 1);
        if (line.failed)
            opt_fatal_memory();
        status = sink_write(&r->ids, line.data, line.len);
    }
    pcv_bytes_free(&line);
    return status;
}

static int emit(void *ctx, const void *item, int *code, const pcv_bytes *out)
{
    encode_run *r = ctx;
    const char *name = pcv_entry_name(item);
    int status = 0;

    if (r->o.format == STS || r->o.format == JSONL)
        return sink_write(&r->out, out->data, out->len);
    if (!*code)
        status = stack_add(&r->rows, name, out, code);
    if (*code && r->skip)
        return 0;
    if (*code)
        status = stack_add_nan(&r->rows);
    return status ? status : add_name(r, name);
}

pump_job encode_job(encode_run *r)
{
    if (r->o.format == SAFETENSORS)
        json_open(&r->names, NULL, '[');
    return (pump_job){.ctx = r, .work = work, .fail = fail, .emit = emit};
}

/* ---- what follows the last input ------------------------------------- */

int encode_end(encode_run *r, const pump_totals *t)
{
    metadata d = {0};
    pcv_bytes out = {0};
    int status;

    add(&d, "pcv.v", "1");
    add(&d, "pcv.kind", "end");
    add(&d, "pcv.ok", "%zu", t->ok);
    add(&d, "pcv.failed", "%zu", t->failed);
    write_record(&d, "", NULL, &out);
    if (out.failed)
        opt_fatal_memory();
    status = sink_write(&r->out, out.data, out.len);
    pcv_bytes_free(&out);
    return status;
}

int encode_safetensors(encode_run *r)
{
    const char *key[] = {"pcv.v", "pcv.kind", "pcv.model", "pcv.modality",
                         "pcv.pool", "paths"};
    const char *value[] = {"1", kinds[r->what], pcv_model_id(r->model),
                           r->modality, pools[r->pool], NULL};
    stack *rows = &r->rows;

    json_close(&r->names, ']');
    pcv_bytes_add(&r->names, "", 1);
    if (r->names.failed)
        opt_fatal_memory();
    if (r->names.len > MAX_NAMES) {
        opt_error("the names of %zu inputs do not fit the header of a "
                  ".safetensors file; use --format=npy and --ids", r->rows.n);
        return EX_DATAERR;
    }
    value[5] = r->names.data;
    return stack_safetensors(&rows, &kinds[r->what], 1, &r->out, key, value,
                             OPT_LEN(key));
}
