/* replies.c - answers as arrays, see replies.h.
 *
 * A record of the pump is a row of every answer, one behind the other. */
#include "replies.h"

#include <stdlib.h>
#include <string.h>

void replies_open(replies *r, const pcv_model *m, bool logits)
{
    *r = (replies){.model = m, .logits = logits, .n = pcv_model_answers(m)};
    r->of = calloc(r->n, sizeof *r->of);
    if (!r->of)
        opt_fatal_memory();
    for (size_t i = 0; i < r->n; i++) {
        r->of[i].which = i;
        r->of[i].info = pcv_model_answer(m, i);
        r->of[i].queries = r->of[i].info.queries;
    }
}

void replies_keep(replies *r, size_t i)
{
    reply kept = r->of[i];

    r->of[i].index = NULL;
    for (size_t k = 0; k < r->n; k++)
        free(r->of[k].index);
    r->of[0] = kept;
    r->n = 1;
}

void replies_close(replies *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->of[i].index);
        if (r->stacked)
            stack_close(&r->of[i].rows);
    }
    free(r->of);
}

pcv_values *replies_ask(const replies *r, const reply *a, pcv_worker *w)
{
    pcv_values *v = pcv_ask(w, a->which, a->index,
                            a->index ? a->queries : 0);

    if (v && !r->logits && pcv_interpret(r->model, a->which, v) < 0) {
        pcv_values_free(v);
        v = NULL;
    }
    return v;
}

/* ---- rows ------------------------------------------------------------ */

/* A flow has the size of its pictures, which the first one tells. */
void replies_stack(replies *r)
{
    for (size_t i = 0; i < r->n; i++) {
        reply *a = &r->of[i];
        const size_t dim[2] = {a->queries, a->info.outputs};

        if (a->index)
            stack_open(&a->rows, 2, dim);
        else
            stack_open(&a->rows, a->info.rank,
                       a->info.kind == PCV_ANSWER_FLOW ? NULL : a->info.dim);
    }
    r->stacked = true;
}

int replies_pack(const replies *r, pcv_worker *w, pcv_bytes *out)
{
    for (size_t i = 0; i < r->n; i++) {
        pcv_values *v = replies_ask(r, &r->of[i], w);

        if (!v)
            return -1;
        stack_pack(out, v);
        pcv_values_free(v);
    }
    return 0;
}

int replies_add(replies *r, const char *name, const pcv_bytes *out, int *code)
{
    int status = 0;

    for (size_t i = 0, at = 0; status == 0 && i < r->n; i++) {
        stack *rows = &r->of[i].rows;

        if (!*code) {
            pcv_bytes row = stack_next(out, &at);

            status = stack_add(rows, name, &row, code);
        }
        if (*code)
            status = stack_add_nan(rows);
    }
    return status;
}

/* ---- files ----------------------------------------------------------- */

static const char *const key[] = {"pcv.v", "pcv.kind", "pcv.model"};

static void fill_metadata(const replies *r, const char *value[OPT_LEN(key)])
{
    value[0] = "1";
    value[1] = "answers";
    value[2] = pcv_model_id(r->model);
}

int replies_npy(replies *r, sink *to)
{
    return stack_npy(&r->of[0].rows, to);
}

int replies_safetensors(replies *r, sink *to)
{
    stack **rows = calloc(r->n, sizeof *rows);
    const char **name = calloc(r->n, sizeof *name);
    const char *value[OPT_LEN(key)];
    int status;

    if (!rows || !name)
        opt_fatal_memory();
    for (size_t i = 0; i < r->n; i++) {
        rows[i] = &r->of[i].rows;
        name[i] = r->of[i].info.name;
    }
    fill_metadata(r, value);
    status = stack_safetensors(rows, name, r->n, to, key, value,
                               OPT_LEN(key));
    free(rows);
    free(name);
    return status;
}

/* The header of a record's rows, and their numbers. */
static int write_file(const replies *r, const pcv_bytes *record,
                      pcv_tensor_info *t, pcv_bytes *out)
{
    const char *value[OPT_LEN(key)];

    for (size_t i = 0, at = 0; i < r->n; i++) {
        pcv_bytes row = stack_next(record, &at);

        stack_shape(&row, &t[i]);
        t[i].name = r->of[i].info.name;
    }
    fill_metadata(r, value);
    pcv_sts_head(out, t, r->n, key, value, OPT_LEN(key));
    for (size_t i = 0, at = 0; i < r->n; i++) {
        pcv_bytes row = stack_next(record, &at);
        pcv_bytes data = stack_numbers(&row);

        pcv_bytes_add(out, data.data, data.len);
    }
    return 0;
}

int replies_file(const replies *r, pcv_worker *w, pcv_bytes *out)
{
    pcv_tensor_info *t = calloc(r->n, sizeof *t);
    pcv_bytes record = {0};
    int result = t ? replies_pack(r, w, &record) : -1;

    if (result == 0 && !record.failed)
        result = write_file(r, &record, t, out);
    out->failed |= record.failed || !t;
    pcv_bytes_free(&record);
    free(t);
    return result;
}
