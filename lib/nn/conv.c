/* conv.c - the convolution stem of the published `conv` class:
 *
 *   y = maxpool3(relu(batchnorm(conv7(x))))
 *
 * The convolution is a product over the 7x7 surroundings of a few rows of the
 * result at a time, which never exist for the whole picture.  The norm has
 * stored statistics, so it is an affine map per plane. */
#include "nn.h"

#include <math.h>
#include <string.h>

enum { SIDE = 7, STRIDE = 2, PAD = 3, POOL = 3 };

static const double eps = 1e-5;

static pcv_param *vector(pcv_params *p, const char *path, const char *name,
                         int n, real mean)
{
    pcv_buf b = {0};
    pcv_param *v;

    pcv_buf_printf(&b, "%s.batchnorm", path);
    p->failed |= b.failed;
    v = pcv_param_add(p, b.data ? b.data : "", name, (size_t)n, 0, mean, 0,
                      false);
    pcv_buf_free(&b);
    return v;
}

void pcv_conv_init(pcv_conv *v, pcv_params *p, const char *path, int in,
                   int out)
{
    int taps = in * SIDE * SIDE;
    pcv_buf b = {0};

    *v = (pcv_conv){ .in = in, .out = out };
    pcv_buf_printf(&b, "%s.conv", path);
    p->failed |= b.failed;
    v->kernel = pcv_param_add(p, b.data ? b.data : "", "weight", (size_t)out,
                              (size_t)taps, 0, (real)(1 / sqrt((double)taps)),
                              true);
    pcv_buf_free(&b);
    if (!p->failed) {
        v->kernel->rank = 4;
        v->kernel->dim[1] = (size_t)in;
        v->kernel->dim[2] = v->kernel->dim[3] = SIDE;
    }
    v->gain = vector(p, path, "weight", out, 1);
    v->bias = vector(p, path, "bias", out, 0);
    v->mean = vector(p, path, "running_mean", out, 0);
    v->var = vector(p, path, "running_var", out, 1);
}

static int conv_size(int n)
{
    return (n + 2 * PAD - SIDE) / STRIDE + 1;
}

int pcv_conv_size(int n)
{
    return (conv_size(n) - POOL) / STRIDE + (conv_size(n) >= POOL);
}

/* Maps of the whole picture, and the surroundings of one row. */
size_t pcv_conv_scratch(const pcv_conv *v, int h, int w)
{
    size_t wide = (size_t)conv_size(w);

    return (size_t)v->out * (size_t)conv_size(h) * wide +
           (size_t)(v->in * SIDE * SIDE) * wide;
}

/* The surroundings of the results of row y: taps x wide. */
static void gather_row(const pcv_conv *v, const real *x, int h, int w, int y,
                       real *out)
{
    int wide = conv_size(w);

    for (int t = 0; t < v->in * SIDE * SIDE; t++) {
        int row = STRIDE * y - PAD + t / SIDE % SIDE, col = t % SIDE - PAD;
        const real *from = x + ((size_t)(t / SIDE / SIDE) * (size_t)h +
                                (size_t)row) * (size_t)w;

        for (int i = 0; i < wide; i++) {
            int at = STRIDE * i + col;

            *out++ = row >= 0 && row < h && at >= 0 && at < w ? from[at] : 0;
        }
    }
}

/* relu(batchnorm(.)) of one plane, in place. */
static void normalise(const pcv_conv *v, int c, real *x, size_t n)
{
    double scale = (double)v->gain->w[c] / sqrt((double)v->var->w[c] + eps);
    double shift = (double)v->bias->w[c] - (double)v->mean->w[c] * scale;

    for (size_t i = 0; i < n; i++) {
        real y = (real)((double)x[i] * scale + shift);

        x[i] = y < 0 ? 0 : y;
    }
}

static void pool(const real *x, int h, int w, real *out)
{
    for (int y = 0; y + POOL <= h; y += STRIDE)
        for (int i = 0; i + POOL <= w; i += STRIDE) {
            const real *from = x + (size_t)y * (size_t)w + (size_t)i;
            real top = from[0];

            for (int k = 1; k < POOL * POOL; k++) {
                real t = from[(size_t)(k / POOL) * (size_t)w +
                              (size_t)(k % POOL)];

                top = t > top ? t : top;
            }
            *out++ = top;
        }
}

void pcv_conv_forward(const pcv_conv *v, const real *x, int h, int w, real *y,
                      real *scratch)
{
    int high = conv_size(h), wide = conv_size(w), taps = v->in * SIDE * SIDE;
    size_t plane = (size_t)high * (size_t)wide;
    size_t pooled = (size_t)pcv_conv_size(h) * (size_t)pcv_conv_size(w);
    real *maps = scratch, *row = scratch + (size_t)v->out * plane;

    for (int i = 0; i < high; i++) {
        gather_row(v, x, h, w, i, row);
        pcv_gemm(false, false, v->out, wide, taps, 1, v->kernel->w, taps, row,
                 wide, 0, maps + (size_t)i * (size_t)wide, (int)plane);
    }
    for (int c = 0; c < v->out; c++) {
        normalise(v, c, maps + (size_t)c * plane, plane);
        pool(maps + (size_t)c * plane, high, wide, y + (size_t)c * pooled);
    }
}
