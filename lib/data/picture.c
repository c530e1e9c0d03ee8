/* picture.c - pixels -> the planes that a network takes, as the Hugging Face
 * image processor computes them:
 *
 *     U8 [height][width][1|3] -> grey or as it is -> crop -> resize
 *         -> (v / 255 - mean) / std -> F32 [channels][height][width]
 *
 * Grey pictures stay one channel until the planes are written.  Every step
 * replaces the picture by one that it owns; the caller's is never changed. */
#include "formats.h"

#include <string.h>

typedef struct {
    const uint8_t *data;        /* height x width x channels */
    uint8_t *owned;             /* data, or NULL where it is borrowed */
    int height, width, channels;
} picture;

/* Takes the place of p with new data, which p then owns. */
static int replace(picture *p, uint8_t *data, int height, int width,
                   int channels)
{
    pcv_free(p->owned);
    *p = (picture){data, data, height, width, channels};
    return 0;
}

static uint8_t *alloc_pixels(int height, int width, int channels)
{
    size_t row;

    if (!pcv_mul((size_t)width, (size_t)channels, &row))
        row = SIZE_MAX;         /* pcv_alloc will say so */
    return pcv_alloc((size_t)height, row);
}

/* ITU-R 601 as Pillow computes it. */
static uint8_t luma(const uint8_t *p, int channels)
{
    if (channels == 1)
        return *p;
    return (uint8_t)((19595u * p[0] + 38470u * p[1] + 7471u * p[2] +
                      0x8000u) >> 16);
}

static int make_grey(picture *p)
{
    const size_t n = (size_t)p->height * (size_t)p->width;
    uint8_t *grey = alloc_pixels(p->height, p->width, 1);

    if (!grey)
        return -1;
    for (size_t i = 0; i < n; i++)
        grey[i] = luma(p->data + 3 * i, 3);
    return replace(p, grey, p->height, p->width, 1);
}

static int bright_in(const picture *p, int y, int x0, int x1, int step)
{
    const uint8_t *row = p->data + (size_t)y * (size_t)p->width *
                         (size_t)p->channels;
    int bright = 0;

    for (int x = x0; x < x1; x += step)
        bright += luma(row + x * p->channels, p->channels) >= 128;
    return bright;
}

/* Whether the median of the outermost ring is 128 or more. */
static bool has_bright_border(const picture *p)
{
    const int h = p->height, w = p->width;
    const int step = w > 1 ? w - 1 : 1;
    const int ring = h < 2 || w < 2 ? h * w : 2 * (h + w) - 4;
    int bright = bright_in(p, 0, 0, w, 1);

    if (h > 1)
        bright += bright_in(p, h - 1, 0, w, 1);
    for (int y = 1; y < h - 1; y++)
        bright += bright_in(p, y, 0, w, step);
    return 2 * bright >= ring;
}

static int crop_centre(picture *p, double share)
{
    const int least = p->height < p->width ? p->height : p->width;
    const double cut = share * least;
    const int side = cut >= least ? least : cut >= 1 ? (int)cut : 1;
    const int top = (p->height - side) / 2, left = (p->width - side) / 2;
    const size_t c = (size_t)p->channels, row = (size_t)side * c;
    uint8_t *to = alloc_pixels(side, side, p->channels);

    if (!to)
        return -1;
    for (int y = 0; y < side; y++)
        memcpy(to + (size_t)y * row, p->data +
               ((size_t)(top + y) * (size_t)p->width + (size_t)left) * c, row);
    return replace(p, to, side, side, p->channels);
}

static int resize(picture *p, int height, int width)
{
    uint8_t *to;

    if (p->height == height && p->width == width)
        return 0;
    to = alloc_pixels(height, width, p->channels);
    if (!to)
        return -1;
    if (pcv_resize(p->data, p->height, p->width, p->channels, to, height,
                   width) != 0) {
        pcv_free(to);
        return -1;
    }
    return replace(p, to, height, width, p->channels);
}

static int fit(picture *p, const pcv_prep *prep)
{
    if (prep->fit == PCV_KEEP || prep->fit == PCV_TILE)
        return 0;
    if (prep->fit == PCV_CROP && crop_centre(p, prep->crop) != 0)
        return -1;
    return resize(p, prep->height, prep->width);
}

/* Each of the 256 values once.  The processor multiplies by 1/255 in double,
 * rounds to float and goes on in float. */
static void fill_table(const pcv_prep *prep, size_t channel, bool invert,
                       float table[256])
{
    const float mean = (float)prep->mean[channel];
    const float std = (float)prep->std[channel];

    for (int v = 0; v < 256; v++) {
        const float x = (float)((invert ? 255 - v : v) * (1 / 255.0));

        table[v] = (x - mean) / (std == 0 ? 1 : std);
    }
}

/* A grey picture fills all planes. */
static int write_planes(const picture *p, const pcv_prep *prep, bool invert,
                        pcv_array *out)
{
    const size_t planes = (size_t)prep->channels, c = (size_t)p->channels;
    const size_t pixels = (size_t)p->height * (size_t)p->width;
    float table[256], *to;

    out->data = pcv_alloc(planes * sizeof *to, pixels);
    if (!out->data)
        return -1;
    out->dtype = PCV_F32;
    out->rank = 3;
    out->dim[0] = planes;
    out->dim[1] = (size_t)p->height;
    out->dim[2] = (size_t)p->width;
    to = out->data;
    for (size_t k = 0; k < planes; k++, to += pixels) {
        const uint8_t *from = p->data + (c == 1 ? 0 : k);

        fill_table(prep, k, invert, table);
        for (size_t i = 0; i < pixels; i++)
            to[i] = table[from[i * c]];
    }
    return 0;
}

int pcv_picture_prepare(const pcv_prep *prep, const pcv_array *pixels,
                        const char *name, pcv_array *out)
{
    const size_t height = pixels->dim[0], width = pixels->dim[1];
    picture p = {.data = pixels->data, .channels = (int)pixels->dim[2]};
    bool invert;
    int result = 0;

    if (prep->channels != 1 && prep->channels != 3)
        return pcv_fail(EX_DATAERR, "%s: the model takes pictures of %d "
                        "channels, want 1 or 3", name, prep->channels);
    if (height < 1 || width < 1 || height > 65535 || width > 65535)
        return pcv_fail(EX_DATAERR, "%s: picture is %zu x %zu pixels, want 1 "
                        "to 65535 each way", name, width, height);
    p.height = (int)height;
    p.width = (int)width;
    invert = prep->polarity == PCV_LIGHT_ON_DARK && has_bright_border(&p);
    if (prep->channels == 1 && p.channels == 3)
        result = make_grey(&p);
    if (result == 0)
        result = fit(&p, prep);
    if (result == 0)
        result = write_planes(&p, prep, invert, out);
    pcv_free(p.owned);
    return result;
}
