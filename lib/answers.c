/* answers.c - the facade of what answers stand for, in numbers and as files.
 *
 *     classes   logits of every query       softmax      lines of text
 *     picture   [pixels, channels]          x std + mean  PNG
 *     frames    the same, one by one        x std + mean  a PNG each
 *     sound     samples at the part's rate  as they are   WAV
 *     text      logits of every place       as they are   the bytes
 *     flow      [height, width, 2]          x 20 pixels   .flo, colour PNG
 *
 * Files are made from the output of the network as pcv_ask gives it, and what
 * a model does not answer is refused. */
#include "handles.h"

#include <stdio.h>
#include <string.h>

/* The published networks of optical flow were trained on twentieths of a
 * pixel, whatever their size. */
enum { FLOW_SCALE = 20 };

static int refuse(const char *what)
{
    return pcv_fail(EX_USAGE, "this model's answers are not %s", what);
}

static const pcv_prep *prep_of(const pcv_model *m, size_t which)
{
    return &pcv_spec_answer(&m->net.spec, (int)which)->prep;
}

/* ---- numbers --------------------------------------------------------- */

static int to_probabilities(const pcv_answer_info *a, pcv_values *v)
{
    size_t outputs = a->outputs;
    double *p = pcv_alloc(outputs, sizeof *p);

    for (size_t at = 0; p && at + outputs <= v->count; at += outputs) {
        pcv_probabilities(v->data + at, outputs, a->tags, p);
        for (size_t i = 0; i < outputs; i++)
            v->data[at + i] = (float)p[i];
    }
    pcv_free(p);
    return p ? 0 : -1;
}

int pcv_interpret(const pcv_model *m, size_t which, pcv_values *out)
{
    const pcv_answer_info a = pcv_model_answer(m, which);

    if (a.kind == PCV_ANSWER_CLASSES)
        return to_probabilities(&a, out);
    if (a.kind == PCV_ANSWER_FLOW)
        for (size_t i = 0; i < out->count; i++)
            out->data[i] *= FLOW_SCALE;
    return 0;
}

/* ---- bytes of a file ------------------------------------------------- */

/* Hands the buffer to the caller, unless the writer of it failed. */
static unsigned char *file_of(pcv_buf *b, int result, size_t *bytes)
{
    if (result < 0 || b->failed) {
        pcv_buf_free(b);
        return NULL;
    }
    *bytes = b->len;
    return (unsigned char *)b->data;
}

unsigned char *pcv_png(const unsigned char *pixels, int height, int width,
                       int channels, size_t *bytes)
{
    pcv_buf b = {0};
    int r = pcv_png_write(&b, pixels, height, width, channels);

    return file_of(&b, r, bytes);
}

/* ---- pictures and sound ---------------------------------------------- */

static unsigned char byte_of(double v)
{
    v = v * 255 + 0.5;
    return v <= 0 ? 0 : v >= 255 ? 255 : (unsigned char)v;
}

/* Picture i of the answer begins at out->data + i * its numbers. */
static int check_pictures(const pcv_model *m, size_t which,
                          const pcv_values *out, size_t i)
{
    const pcv_answer_info a = pcv_model_answer(m, which);
    const pcv_prep *p = prep_of(m, which);
    size_t pixels = (size_t)p->height * (size_t)p->width;

    if ((a.kind != PCV_ANSWER_PICTURE && a.kind != PCV_ANSWER_FRAMES) ||
        (p->channels != 1 && p->channels != 3) || i >= a.pictures ||
        out->count != a.pictures * pixels * (size_t)p->channels)
        return refuse("pictures");
    return 0;
}

unsigned char *pcv_picture(const pcv_model *m, size_t which,
                           const pcv_values *out, size_t i, size_t *bytes)
{
    const pcv_prep *p = prep_of(m, which);
    size_t c = (size_t)p->channels;
    size_t n = (size_t)p->height * (size_t)p->width * c;
    unsigned char *pixels, *png;
    const float *from;

    if (check_pictures(m, which, out, i) < 0 || !(pixels = pcv_alloc(n, 1)))
        return NULL;
    from = out->data + i * n;
    for (size_t k = 0; k < n; k++)
        pixels[k] = byte_of((double)from[k] * p->std[k % c] + p->mean[k % c]);
    png = pcv_png(pixels, p->height, p->width, p->channels, bytes);
    pcv_free(pixels);
    return png;
}

unsigned char *pcv_wave(const pcv_model *m, size_t which,
                        const pcv_values *out, size_t *bytes)
{
    const pcv_prep *p = prep_of(m, which);
    pcv_buf b = {0};
    size_t n = out->count;
    int r;

    if (pcv_model_answer(m, which).kind != PCV_ANSWER_SOUND) {
        refuse("sound");
        return NULL;
    }
    if (p->samples && n > (size_t)p->samples)
        n = (size_t)p->samples;
    r = pcv_wav_write(&b, out->data, n, p->rate);
    return file_of(&b, r, bytes);
}

/* ---- optical flow ---------------------------------------------------- */

/* A copy in pixels; NULL. */
static pcv_values *motion_of(const pcv_model *m, size_t which,
                             const pcv_values *out)
{
    pcv_values *v;

    if (pcv_model_answer(m, which).kind != PCV_ANSWER_FLOW || out->rank != 3 ||
        out->dim[2] != 2) {
        refuse("optical flow");
        return NULL;
    }
    v = pcv_values_new(out->rank, out->dim);
    if (v) {
        memcpy(v->data, out->data, v->count * sizeof *v->data);
        pcv_interpret(m, which, v);
    }
    return v;
}

unsigned char *pcv_flow_file(const pcv_model *m, size_t which,
                             const pcv_values *out, size_t *bytes)
{
    pcv_values *v = motion_of(m, which, out);
    pcv_buf b = {0};
    int r = v ? pcv_flo_write(&b, v->data, (int)v->dim[0], (int)v->dim[1])
              : -1;

    pcv_values_free(v);
    return file_of(&b, r, bytes);
}

unsigned char *pcv_flow_picture(const pcv_model *m, size_t which,
                                const pcv_values *out, double most,
                                size_t *bytes)
{
    pcv_values *v = motion_of(m, which, out);
    uint8_t *rgb = v ? pcv_alloc(v->dim[0] * v->dim[1], 3) : NULL;
    unsigned char *png = NULL;

    if (rgb) {
        pcv_flow_colours(v->data, (int)v->dim[0], (int)v->dim[1], most, rgb);
        png = pcv_png(rgb, (int)v->dim[0], (int)v->dim[1], 3, bytes);
    }
    pcv_free(rgb);
    pcv_values_free(v);
    return png;
}

/* ---- text ------------------------------------------------------------ */

void pcv_token_text(pcv_bytes *b, int id)
{
    const char *special = pcv_token_name(id);
    char byte = (char)(id - PCV_FIRST_BYTE);

    if (special)
        pcv_bytes_add(b, special, strlen(special));
    else if (id - PCV_FIRST_BYTE > UINT8_MAX)
        pcv_bytes_printf(b, "[%d]", id);
    else
        pcv_bytes_add(b, &byte, 1);
}

static bool is_mask(float id)
{
    return (int)id == PCV_MASK;
}

/* What frames a text, or stands for none. */
static bool is_silent(float id)
{
    return (int)id < PCV_FIRST_BYTE && !is_mask(id);
}

/* As pcv_token_text writes it. */
static size_t length_of(int id)
{
    const char *special = pcv_token_name(id);

    if (special)
        return strlen(special);
    return id - PCV_FIRST_BYTE > UINT8_MAX
               ? (size_t)snprintf(NULL, 0, "[%d]", id) : 1;
}

size_t pcv_text_masks(const pcv_values *ids, int *query, size_t *offset)
{
    size_t n = 0;

    for (size_t i = 0, at = 0; i < ids->count; i++) {
        const float id = ids->data[i];

        if (is_mask(id) && query)
            query[n] = (int)i;
        if (is_mask(id) && offset)
            offset[n] = at;
        n += is_mask(id);
        at += is_silent(id) ? 0 : length_of((int)id);
    }
    return n;
}

void pcv_text_fill(pcv_bytes *b, const pcv_values *ids, const int *fill)
{
    for (size_t i = 0; i < ids->count; i++)
        if (fill && is_mask(ids->data[i]))
            pcv_token_text(b, *fill++);
        else if (!is_silent(ids->data[i]))
            pcv_token_text(b, (int)ids->data[i]);
}
