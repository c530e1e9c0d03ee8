/* decode.c - one item, latents or an input, as an answer: lines of text, a
 * row of an array, pictures, a sound, a flow. */
#include "decode.h"
#include "masks.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Encodes an input, or takes latents up.  0 or -1. */
static int read_item(pcv_worker *w, const latents_item *item)
{
    return item->entry ? pcv_worker_read(w, item->entry)
                       : pcv_worker_resume(w, &item->view);
}

/* ---- answers that are files ------------------------------------------ */

static unsigned char *make_file(const decode_run *r, const pcv_values *v,
                                size_t i, size_t *n)
{
    size_t which = r->one->which;

    switch (r->o.format) {
    case WAV: return pcv_wave(r->model, which, v, n);
    case FLO: return pcv_flow_file(r->model, which, v, n);
    default:  return r->one->info.kind == PCV_ANSWER_FLOW
                         ? pcv_flow_picture(r->model, which, v, r->most, n)
                         : pcv_picture(r->model, which, v, i, n);
    }
}

static int add_files(const decode_run *r, const pcv_values *v, pcv_bytes *out)
{
    for (size_t i = 0; i < r->gallery.files || i == 0; i++) {
        size_t n = 0;
        unsigned char *file = make_file(r, v, i, &n);

        if (!file)
            return -1;
        gallery_pack(out, file, n);
        free(file);
    }
    return 0;
}

/* ---- answers that are lines and numbers ------------------------------ */

static bool ranks(const decode_run *r)
{
    return r->one->info.kind == PCV_ANSWER_CLASSES && !r->one->index;
}

/* Labels are ranked by what the network says, not by what it stands for. */
static int add_lines(const decode_run *r, const latents_item *item,
                     pcv_worker *w, pcv_bytes *out)
{
    pcv_values *v = ranks(r) ? pcv_ask(w, r->one->which, NULL, 0)
                             : replies_ask(&r->replies, r->one, w);

    if (!v)
        return -1;
    if (r->o.format == TSV)
        answer_tsv(out, &r->style, item->name, v->data);
    else if (ranks(r))
        answer_json(out, &r->style, item->name, item->index, v->data);
    else
        answer_json_array(out, item->name, item->index, v);
    pcv_values_free(v);
    return 0;
}

static int add_raw(const decode_run *r, pcv_worker *w, pcv_bytes *out)
{
    pcv_values *v = replies_ask(&r->replies, r->one, w);

    if (!v)
        return -1;
    pcv_bytes_add(out, v->data, v->count * sizeof *v->data);
    pcv_values_free(v);
    return 0;
}

/* ---- answers that are text ------------------------------------------- */

static bool fills(const decode_run *r)
{
    int f = r->o.format;

    return r->one && r->one->info.kind == PCV_ANSWER_TEXT &&
           !r->one->index && (f == TXT || f == TSV || f == JSONL);
}

static void add_text(const decode_run *r, const masks *m, pcv_bytes *out)
{
    pcv_bytes text = {0};

    if (r->o.format == TSV) {
        masks_tsv(m, &r->style, out);
    } else if (r->o.format == JSONL) {
        masks_json(m, &r->style, out);
    } else if (!r->files) {
        masks_text(m, out);
    } else {
        masks_text(m, &text);
        gallery_pack(out, text.data, text.len);
        out->failed |= text.failed;
        pcv_bytes_free(&text);
    }
}

static int fill_masks(const decode_run *r, const latents_item *item,
                      pcv_worker *w, pcv_bytes *out)
{
    masks m;
    int result;

    if (!item->entry) {
        pcv_bytes_printf(out, "latents hold no text, want the text itself "
                         "with its [MASK]s");
        return EX_DATAERR;
    }
    result = masks_ask(&m, w, r->one->which, item->entry);
    m.name = item->name;
    m.index = item->index;
    if (result == 0)
        add_text(r, &m, out);
    masks_free(&m);
    return result;
}

/* ---- the job of the pump --------------------------------------------- */

static int add_file(const decode_run *r, pcv_worker *w, pcv_bytes *out)
{
    pcv_bytes file = {0};
    pcv_values *v = NULL;
    int result = -1;

    if (r->o.format == SAFETENSORS) {
        result = replies_file(&r->replies, w, &file);
        gallery_pack(out, file.data, file.len);
    } else if ((v = pcv_ask(w, r->one->which, NULL, 0))) {
        result = add_files(r, v, out);
    }
    out->failed |= file.failed;
    pcv_bytes_free(&file);
    pcv_values_free(v);
    return result;
}

static int work(void *ctx, pcv_worker *w, void *source, pcv_bytes *out)
{
    const decode_run *r = ctx;
    const latents_item *item = source;

    if (item->code) {
        pcv_bytes_add(out, item->what, strlen(item->what));
        return item->code;
    }
    if (item->entry && latents_load(item) < 0)
        return -1;
    if (fills(r))
        return fill_masks(r, item, w, out);
    if (read_item(w, item) < 0)
        return -1;
    if (r->files)
        return add_file(r, w, out);
    switch (r->o.format) {
    case TSV:
    case JSONL: return add_lines(r, item, w, out);
    case RAW:   return add_raw(r, w, out);
    default:    return replies_pack(&r->replies, w, out);
    }
}

static void add_nan(const decode_run *r, pcv_bytes *out)
{
    const float nan = NAN;
    size_t n = r->one->queries * r->one->info.outputs;

    for (size_t i = 0; i < n; i++)
        pcv_bytes_add(out, &nan, sizeof nan);
}

static void fail(void *ctx, const void *source, int code, const char *what,
                 pcv_bytes *out)
{
    const decode_run *r = ctx;
    const latents_item *item = source;

    if (r->o.format == TSV)
        answer_tsv_error(out, item->name, fills(r) ? 4 : 3, what);
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

    if (r->files)
        return *code ? 0 : gallery_add(&r->gallery, item->name, item->index,
                                       out, code);
    if (r->o.format == NPY || r->o.format == SAFETENSORS)
        return replies_add(&r->replies, item->name, out, code);
    return sink_write(&r->out, out->data, out->len);
}

pump_job decode_job(decode_run *r)
{
    pump_job job = {.source = r->source, .next = latents_next,
                    .name = latents_name, .free = latents_free, .ctx = r,
                    .work = work, .fail = fail, .emit = emit,
                    .model = r->model};

    pump_share_threads(&job, &r->o, latents_alone(r->source));
    return job;
}
