/* decode.c - one item's latents as an answer: lines of text, a row of an
 * array, a picture, a sound. */
#include "decode.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- latents to outputs ---------------------------------------------- */

static pcv_values *outputs(const decode_run *r, pcv_worker *w,
                           const latents_item *item)
{
    pcv_values *own, *v;

    if (!item->entry)
        return pcv_decode_latents(w, &item->view, r->index, r->queries);
    if (latents_load(item) < 0)
        return NULL;
    own = pcv_encode(w, item->entry);
    if (!own)
        return NULL;
    v = pcv_decode_latents(w, own, r->index, r->queries);
    pcv_values_free(own);
    return v;
}

/* A picture or sound; 0 or -1. */
static int add_file(const decode_run *r, const pcv_values *v, pcv_bytes *out)
{
    size_t n = 0;
    size_t which = pcv_model_main(r->model);
    unsigned char *file = r->o.format == PNG
                              ? pcv_picture(r->model, which, v, 0, &n)
                              : pcv_wave(r->model, which, v, &n);

    if (!file)
        return -1;
    pcv_bytes_add(out, file, n);
    free(file);
    return 0;
}

static int add_answer(const decode_run *r, const latents_item *item,
                      const pcv_values *v, pcv_bytes *out)
{
    bool classes = pcv_model_classifies(r->model) && !r->index;

    switch (r->o.format) {
    case TSV:
        answer_tsv(out, &r->style, item->name, v->data);
        return 0;
    case JSONL:
        if (classes)
            answer_json(out, &r->style, item->name, item->index, v->data);
        else
            answer_json_array(out, item->name, item->index, v);
        return 0;
    case NPY:
        stack_pack(out, v);
        return 0;
    case RAW:
        pcv_bytes_add(out, v->data, v->count * sizeof *v->data);
        return 0;
    default:
        return add_file(r, v, out);
    }
}

/* ---- the job of the pump --------------------------------------------- */

static int work(void *ctx, pcv_worker *w, void *source, pcv_bytes *out)
{
    const decode_run *r = ctx;
    const latents_item *item = source;
    pcv_values *v;
    int status;

    if (item->code) {
        pcv_bytes_add(out, item->what, strlen(item->what));
        return item->code;
    }
    v = outputs(r, w, item);
    if (!v)
        return -1;
    status = add_answer(r, item, v, out);
    pcv_values_free(v);
    return status;
}

static void add_nan(const decode_run *r, pcv_bytes *out)
{
    const float nan = NAN;
    size_t n = r->queries * pcv_model_outputs(r->model);

    for (size_t i = 0; i < n; i++)
        pcv_bytes_add(out, &nan, sizeof nan);
}

static void fail(void *ctx, const void *source, int code, const char *what,
                 pcv_bytes *out)
{
    const decode_run *r = ctx;
    const latents_item *item = source;

    if (r->o.format == TSV)
        answer_tsv_error(out, item->name, what);
    else if (r->o.format == JSONL)
        answer_json_error(out, item->name, item->index, code, what);
    else if (r->o.format == RAW)
        add_nan(r, out);
}

static int emit(void *ctx, const void *source, int *code,
                const pcv_bytes *out)
{
    decode_run *r = ctx;
    const latents_item *item = source;
    int status = 0;

    switch (r->o.format) {
    case NPY:
        if (!*code)
            status = stack_add(&r->rows, item->name, out, code);
        return *code ? stack_add_nan(&r->rows) : status;
    case PNG:
    case WAV:
        return *code ? 0 : gallery_add(&r->files, item->name, item->index,
                                       out, code);
    default:
        return sink_write(&r->out, out->data, out->len);
    }
}

pump_job decode_job(decode_run *r)
{
    pump_job job = {.source = r->source, .next = latents_next,
                    .name = latents_name, .free = latents_free, .ctx = r,
                    .work = work, .fail = fail, .emit = emit,
                    .model = r->model};
    const opt *o = &r->o;
    bool alone = o->in.paths == 1 && !o->in.list;

    pump_share_threads(&job, o, alone &&
                       latents_kind(o->in.path[0]) == LATENTS_INPUT &&
                       !opt_is_directory(o->in.path[0]));
    return job;
}
