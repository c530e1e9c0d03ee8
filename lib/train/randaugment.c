/* randaugment.c - RandAugment (Cubuk 2019): N operations on a picture, drawn
 * with equal chances, all of strength M / 10.
 *
 * They are defined on levels 0 to 255, so a picture is turned into these and
 * back.  Strengths are those of AutoAugment's table: 30 degrees, shears of
 * 0.3, 0.45 of a side, factors of 1 -+ 0.9, a threshold down to 0, 4 bits.
 * Pixels from outside have the mean of the normalisation (the authors' code:
 * grey); they, and all that fall between pixels, are bilinear. */
#include "augment.h"

#include <math.h>
#include <string.h>

/* Levels in v; spare has the same size. */
typedef struct {
    float *v, *spare;
    int channels, h, w;
    size_t area;
    double mean[4];             /* as levels */
} picture;

static int at_most_3(int channel)
{
    return channel < 3 ? channel : 3;
}

static float limit(double level)
{
    return (float)(level < 0 ? 0 : level > 255 ? 255 : level);
}

static int to_byte(float level)
{
    return (int)(limit((double)level) + 0.5F);
}

/* ---- levels of one channel ------------------------------------------- */

static void identity(picture *p, double s)
{
    (void)p;
    (void)s;
}

/* The lowest level becomes 0, the highest 255. */
static void autocontrast(picture *p, double s)
{
    (void)s;
    for (int k = 0; k < p->channels; k++) {
        float *v = p->v + (size_t)k * p->area, low = v[0], high = v[0];

        for (size_t i = 1; i < p->area; i++) {
            low = v[i] < low ? v[i] : low;
            high = v[i] > high ? v[i] : high;
        }
        for (size_t i = 0; high > low && i < p->area; i++)
            v[i] = (v[i] - low) * (255 / (high - low));
    }
}

/* Pillow's: a level becomes the number of pixels below it, over one 255th of
 * all but those of the highest level. */
static void equalize_channel(float *v, size_t n)
{
    size_t count[256] = {0}, step, sum, highest = 0;
    float table[256];

    for (size_t i = 0; i < n; i++)
        count[to_byte(v[i])]++;
    for (size_t i = 0; i < 256; i++)
        highest = count[i] ? i : highest;
    step = (n - count[highest]) / 255;
    if (step == 0)
        return;
    sum = step / 2;
    for (size_t i = 0; i < 256; sum += count[i++])
        table[i] = sum / step > 255 ? 255 : (float)(sum / step);
    for (size_t i = 0; i < n; i++)
        v[i] = table[to_byte(v[i])];
}

static void equalize(picture *p, double s)
{
    (void)s;
    for (int k = 0; k < p->channels; k++)
        equalize_channel(p->v + (size_t)k * p->area, p->area);
}

/* Levels from a threshold on are inverted.  What was a byte is not quite one
 * after the normalisation, and may stand right at the threshold. */
static void solarize(picture *p, double s)
{
    const double from = 256 * (1 - fabs(s));

    for (size_t i = 0; i < (size_t)p->channels * p->area; i++)
        if (to_byte(p->v[i]) >= from)
            p->v[i] = 255 - p->v[i];
}

/* The highest bits alone, 8 to 4. */
static void posterize(picture *p, double s)
{
    const int mask = 255 << (int)(4 * fabs(s) + 0.5) & 255;

    for (size_t i = 0; mask != 255 && i < (size_t)p->channels * p->area; i++)
        p->v[i] = (float)(to_byte(p->v[i]) & mask);
}

/* ---- away from, or towards, a plainer picture ------------------------ */

static void blend(float *v, double plain, double s)
{
    *v = limit(plain + (1 + 0.9 * s) * ((double)*v - plain));
}

/* Luma of a coloured pixel, else the mean of its channels. */
static double grey(const picture *p, size_t i)
{
    double sum = 0;

    if (p->channels == 3)
        return 0.299 * (double)p->v[i] + 0.587 * (double)p->v[i + p->area] +
               0.114 * (double)p->v[i + 2 * p->area];
    for (int k = 0; k < p->channels; k++)
        sum += (double)p->v[i + (size_t)k * p->area];
    return sum / p->channels;
}

static void colour(picture *p, double s)
{
    for (size_t i = 0; i < p->area; i++) {
        const double plain = grey(p, i);

        for (int k = 0; k < p->channels; k++)
            blend(&p->v[i + (size_t)k * p->area], plain, s);
    }
}

static void contrast(picture *p, double s)
{
    double plain = 0;

    for (size_t i = 0; i < p->area; i++)
        plain += grey(p, i);
    plain /= (double)p->area;
    for (size_t i = 0; i < (size_t)p->channels * p->area; i++)
        blend(&p->v[i], plain, s);
}

static void brightness(picture *p, double s)
{
    for (size_t i = 0; i < (size_t)p->channels * p->area; i++)
        blend(&p->v[i], 0, s);
}

/* Pillow's smoothing: pixel i five times, its eight neighbours once. */
static double smooth(const float *v, size_t i, size_t w)
{
    double sum = 4 * (double)v[i];

    for (size_t at = i - w - 1; at <= i + w - 1; at += w)
        sum += (double)v[at] + (double)v[at + 1] + (double)v[at + 2];
    return sum / 13;
}

/* The outermost pixels have no such neighbours and stay. */
static void sharpness(picture *p, double s)
{
    const size_t h = (size_t)p->h, w = (size_t)p->w;

    memcpy(p->spare, p->v, (size_t)p->channels * p->area * sizeof *p->v);
    for (int k = 0; k < p->channels; k++)
        for (size_t i = 1; i + 1 < h; i++)
            for (size_t e = 1; e + 1 < w; e++) {
                const size_t at = (size_t)k * p->area + i * w + e;

                blend(&p->v[at], smooth(p->spare, at, w), s);
            }
}

/* ---- geometry -------------------------------------------------------- */

static double pixel(const picture *p, const float *v, int y, int x, double none)
{
    return y < 0 || x < 0 || y >= p->h || x >= p->w
               ? none : (double)v[(size_t)y * (size_t)p->w + (size_t)x];
}

static double between(const picture *p, const float *v, double y, double x,
                      double none)
{
    const int top = (int)floor(y), left = (int)floor(x);
    const double fy = y - top, fx = x - left;
    const double a = pixel(p, v, top, left, none) * (1 - fx) +
                     pixel(p, v, top, left + 1, none) * fx;
    const double b = pixel(p, v, top + 1, left, none) * (1 - fx) +
                     pixel(p, v, top + 1, left + 1, none) * fx;

    return a * (1 - fy) + b * fy;
}

/* (y, x) from the centre is read at (yy y + yx x + y0, xy y + xx x + x0). */
static void warp(picture *p, double yy, double yx, double y0, double xy,
                 double xx, double x0)
{
    const double cy = (p->h - 1) / 2.0, cx = (p->w - 1) / 2.0;
    float *to = p->spare;

    for (int k = 0; k < p->channels; k++)
        for (int i = 0; i < p->h; i++)
            for (int e = 0; e < p->w; e++)
                *to++ = (float)between(
                    p, p->v + (size_t)k * p->area,
                    cy + yy * (i - cy) + yx * (e - cx) + y0,
                    cx + xy * (i - cy) + xx * (e - cx) + x0,
                    p->mean[at_most_3(k)]);
    to = p->v;
    p->v = p->spare;
    p->spare = to;
}

static void rotate(picture *p, double s)
{
    const double a = s * 30 * 3.14159265358979323846 / 180;

    warp(p, cos(a), sin(a), 0, -sin(a), cos(a), 0);
}

static void shear_x(picture *p, double s)
{
    warp(p, 1, 0, 0, 0.3 * s, 1, 0);
}

static void shear_y(picture *p, double s)
{
    warp(p, 1, 0.3 * s, 0, 0, 1, 0);
}

static void translate_x(picture *p, double s)
{
    warp(p, 1, 0, 0, 0, 1, -0.45 * s * p->w);
}

static void translate_y(picture *p, double s)
{
    warp(p, 1, 0, -0.45 * s * p->h, 0, 1, 0);
}

/* ---- the operations -------------------------------------------------- */

static const struct {
    const char *name;
    void (*apply)(picture *p, double strength);
} operations[] = {
    { "identity", identity }, { "autocontrast", autocontrast },
    { "equalize", equalize }, { "rotate", rotate }, { "solarize", solarize },
    { "posterize", posterize }, { "contrast", contrast },
    { "brightness", brightness }, { "sharpness", sharpness },
    { "shear-x", shear_x }, { "shear-y", shear_y },
    { "translate-x", translate_x }, { "translate-y", translate_y },
    { "colour", colour },       /* the last: only of pictures that have it */
};

/* x as levels; close turns them back. */
static int open_picture(picture *p, const pcv_prep *prep, const pcv_array *x)
{
    const pcv_planes in = pcv_planes_of(x);

    *p = (picture){ .channels = in.planes, .h = in.h, .w = in.w,
                    .area = (size_t)in.h * (size_t)in.w };
    p->v = pcv_alloc(pcv_array_count(x), sizeof *p->v);
    p->spare = pcv_alloc(pcv_array_count(x), sizeof *p->spare);
    if (!p->v || !p->spare) {
        pcv_free(p->v);
        pcv_free(p->spare);
        return -1;
    }
    for (int k = 0; k < 4; k++)
        p->mean[k] = 255 * prep->mean[k];
    for (int k = 0; k < p->channels; k++)
        for (size_t i = (size_t)k * p->area, n = i + p->area; i < n; i++)
            p->v[i] = (float)((double)in.v[i] * 255 * prep->std[at_most_3(k)] +
                              p->mean[at_most_3(k)]);
    return 0;
}

static void close_picture(picture *p, const pcv_prep *prep, pcv_array *x)
{
    float *out = x->data;

    for (int k = 0; k < p->channels; k++)
        for (size_t i = (size_t)k * p->area, n = i + p->area; i < n; i++)
            out[i] = (float)(((double)p->v[i] - p->mean[at_most_3(k)]) / 255 /
                             prep->std[at_most_3(k)]);
    pcv_free(p->v);
    pcv_free(p->spare);
}

const char *pcv_randaugment_name(int i)
{
    return i < (int)PCV_LEN(operations) ? operations[i].name : NULL;
}

int pcv_randaugment_apply(int i, const pcv_prep *prep, double strength,
                          pcv_array *x)
{
    picture p;

    if (open_picture(&p, prep, x) < 0)
        return -1;
    operations[i].apply(&p, strength);
    close_picture(&p, prep, x);
    return 0;
}

/* Numbers 2k and 2k + 1 choose operation k and its sign. */
int pcv_randaugment(const pcv_change *c, pcv_array *x)
{
    const double strength = c->run->magnitude / 10;
    const int last = (int)PCV_LEN(operations) - 1 - (x->dim[0] != 3);
    picture p;

    if (open_picture(&p, c->prep, x) < 0)
        return -1;
    for (int k = 0; k < c->run->randaugment; k++) {
        const uint64_t at = 2 * (uint64_t)k;
        const double sign = pcv_draw(c, at + 1) < 0.5 ? -1 : 1;

        operations[pcv_draw_int(c, at, 0, last)].apply(&p, sign * strength);
    }
    close_picture(&p, c->prep, x);
    return 0;
}
