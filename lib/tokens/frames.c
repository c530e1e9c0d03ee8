/* frames.c - pictures in squares, and pictures that belong together.
 *
 *   squares [C, H, W]: an element is a square of `block` x `block` pixels,
 *           channels (row, column, colour), colour fastest; the grid is
 *           H/block x W/block
 *   video   [T, 3, H, W]: the same of each picture; the grid is
 *           T x H/block x W/block
 *   flow    [2, 3, H, W]: an element is a pixel: the 3x3 around it in the first
 *           and then in the second picture (row, column, colour; zeros outside;
 *           [2, 27, H, W] has them already), 54 numbers through a linear layer
 *
 * (Video and flow: Perceiver IO, appendices H and I.) */
#include "tokens.h"

#include <math.h>
#include <string.h>

#define PATH "perceiver.input_preprocessor"

enum { COLOURS = 3 };

/* ---- squares of pixels ----------------------------------------------- */

/* One channel of all squares of x [T, C, H, W]: pixel (row, col) of each, one
 * colour. */
static void fill_channel(const pcv_array *x, size_t side, size_t row,
                         size_t col, size_t colour, real *out)
{
    const float *in = x->data;
    size_t h = x->dim[2], w = x->dim[3];

    for (size_t t = 0; t < x->dim[0]; t++)
        for (size_t i = row; i < h; i += side)
            for (size_t j = col; j < w; j += side)
                *out++ = (real)in[((t * x->dim[1] + colour) * h + i) * w + j];
}

static void fill_squares(const pcv_array *x, size_t side, size_t m, real *out)
{
    size_t colours = x->dim[1];

    for (size_t k = 0; k < side * side * colours; k++)
        fill_channel(x, side, k / colours / side, k / colours % side,
                     k % colours, out + k * m);
}

static bool serves_picture(const pcv_stem_spec *s)
{
    return s->modality == PCV_IMAGE && !s->convolve && s->block > 1;
}

static int picture_channels(const pcv_stem_spec *s)
{
    return s->block * s->block * s->channels;
}

static int shape_picture(const pcv_stem_spec *s, const pcv_array *x,
                         int len[3])
{
    size_t side = (size_t)s->block;

    if (x->rank != 3 || x->dim[0] != (size_t)s->channels || x->dim[1] % side ||
        x->dim[2] % side)
        return pcv_content_misfit(x, "[channels, height, width], in whole "
                                  "squares (picture-patch) of the model");
    len[0] = (int)(x->dim[1] / side);
    len[1] = (int)(x->dim[2] / side);
    return 0;
}

static int fill_picture(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    const pcv_array one = { x->dtype, 4, { 1, x->dim[0], x->dim[1],
                                           x->dim[2] }, x->data };

    fill_squares(&one, (size_t)b->stem->spec.block, m, out);
    return 0;
}

const pcv_content_kind pcv_content_squares = {
    "squares", serves_picture, 2, picture_channels, NULL, shape_picture,
    fill_picture, NULL
};

/* ---- video ----------------------------------------------------------- */

static bool serves_video(const pcv_stem_spec *s)
{
    return s->modality == PCV_VIDEO;
}

static int video_channels(const pcv_stem_spec *s)
{
    return s->block * s->block * COLOURS;
}

static int shape_video(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    size_t side = (size_t)s->block;

    if (x->rank != 4 || x->dim[1] != COLOURS || x->dim[2] % side ||
        x->dim[3] % side)
        return pcv_content_misfit(x, "[pictures, 3, height, width], in whole "
                                  "blocks of the model");
    len[0] = (int)x->dim[0];
    len[1] = (int)(x->dim[2] / side);
    len[2] = (int)(x->dim[3] / side);
    return 0;
}

static int fill_video(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    fill_squares(x, (size_t)b->stem->spec.block, m, out);
    return 0;
}

const pcv_content_kind pcv_content_video = {
    "video", serves_video, 3, video_channels, NULL, shape_video, fill_video,
    NULL
};

/* ---- flow ------------------------------------------------------------ */

enum { AROUND = 9 * COLOURS, PAIR = 2 * AROUND, PIXELS = 512 };

static bool serves_flow(const pcv_stem_spec *s)
{
    return s->modality == PCV_FLOW;
}

static int flow_channels(const pcv_stem_spec *s)
{
    return s->project;
}

static int init_flow(pcv_stem *s, pcv_params *p)
{
    if (s->spec.project < 1)
        return pcv_fail(EX_DATAERR, "flow wants project-content: the width of "
                        "an element's content");
    pcv_linear_init(&s->content, p, PATH ".conv_after_patches", PAIR,
                    s->spec.project, true, 1 / sqrt((double)PAIR));
    return 0;
}

static int shape_flow(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    (void)s;
    if (x->rank != 4 || x->dim[0] != 2 ||
        (x->dim[1] != COLOURS && x->dim[1] != AROUND))
        return pcv_content_misfit(x, "[2, 3, height, width] or [2, 27, height, "
                                  "width]");
    len[0] = (int)x->dim[2];
    len[1] = (int)x->dim[3];
    return 0;
}

/* Channel k of 27 around pixel (y, x) of picture f. */
static real around(const pcv_array *a, size_t f, int k, int y, int x)
{
    const float *in = a->data;
    int h = (int)a->dim[2], w = (int)a->dim[3];
    bool made = a->dim[1] == AROUND;

    if (!made) {
        y += k / COLOURS / 3 - 1;
        x += k / COLOURS % 3 - 1;
        k %= COLOURS;
    }
    if (y < 0 || y >= h || x < 0 || x >= w)
        return 0;
    return (real)in[((f * a->dim[1] + (size_t)k) * (size_t)h + (size_t)y) *
                        (size_t)w + (size_t)x];
}

typedef struct {
    const pcv_linear *mix;
    const pcv_array *x;
    size_t m;
    real *out, *work;           /* work: PIXELS x PAIR per thread */
} flow_job;

/* Some pixels: what surrounds them, and the product with the layer. */
static void flow_pixels(void *arg, int i)
{
    const flow_job *j = arg;
    size_t at = (size_t)i * PIXELS;
    int n = (int)(j->m - at < PIXELS ? j->m - at : PIXELS);
    int w = (int)j->x->dim[3];
    real *pair = j->work + (size_t)pcv_thread_id() * PIXELS * PAIR;

    for (int p = 0; p < n; p++)
        for (int k = 0; k < PAIR; k++)
            pair[p * PAIR + k] = around(j->x, k >= AROUND, k % AROUND,
                                        (int)at / w + ((int)at % w + p) / w,
                                        ((int)at % w + p) % w);
    for (int k = 0; k < j->mix->out; k++)
        for (int p = 0; p < n; p++)
            j->out[(size_t)k * j->m + at + (size_t)p] = j->mix->b->w[k];
    pcv_gemm(false, true, j->mix->out, n, PAIR, 1, j->mix->w->w, PAIR, pair,
             PAIR, 1, j->out + at, (int)j->m);
}

static int fill_flow(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    flow_job j = { &b->stem->content, x, m, out, NULL };

    if (pcv_batch_work(b, (size_t)pcv_threads() * PIXELS * PAIR) < 0)
        return -1;
    j.work = b->work;
    pcv_parallel((int)((m + PIXELS - 1) / PIXELS), flow_pixels, &j);
    return 0;
}

const pcv_content_kind pcv_content_flow = {
    "flow", serves_flow, 2, flow_channels, init_flow, shape_flow, fill_flow,
    NULL
};
