/* pictures.c - augmentation of pictures in place: F32
 * [channels][height][width], (level / 255 - mean) / std.
 *
 * A shift repeats the edge.  A crop takes a part of random area and shape
 * (3/4 to 4/3), resized to the size of the whole: positions are those of the
 * grid that the network gets, -1 to 1 over the crop, as in section 4.1 of
 * Perceiver.  Erasing (Zhong 2017) fills a rectangle of 2 to 33 % of the area
 * and shape 0.3 to 3.3 with levels drawn from 0 to 255. */
#include "augment.h"

#include <math.h>
#include <string.h>

pcv_planes pcv_planes_of(const pcv_array *x)
{
    pcv_planes p = { x->data, 1, 1, (int)x->dim[x->rank - 1] };

    if (x->rank > 1)
        p.h = (int)x->dim[x->rank - 2];
    for (int i = 0; i < x->rank - 2; i++)
        p.planes *= (int)x->dim[i];
    return p;
}

static int clamp(int v, int n)
{
    return v < 0 ? 0 : v >= n ? n - 1 : v;
}

/* ---- shift ----------------------------------------------------------- */

static int move(pcv_array *x, int dy, int dx)
{
    const pcv_planes p = pcv_planes_of(x);
    float *out = pcv_alloc(pcv_array_count(x), sizeof *out), *to = out;

    if (!out)
        return -1;
    for (int k = 0; k < p.planes; k++)
        for (int i = 0; i < p.h; i++) {
            const float *row = p.v + ((size_t)k * (size_t)p.h +
                                      (size_t)clamp(i - dy, p.h)) * (size_t)p.w;

            for (int e = 0; e < p.w; e++)
                *to++ = row[clamp(e - dx, p.w)];
        }
    pcv_free(x->data);
    x->data = out;
    return 0;
}

int pcv_shift_picture(const pcv_change *c, pcv_array *x)
{
    const int most = c->run->shift;
    const int dy = pcv_draw_int(c, 0, -most, most);

    return move(x, dy, pcv_draw_int(c, 1, -most, most));
}

/* Frames of log-mel move in time alone. */
int pcv_delay_frames(const pcv_change *c, pcv_array *x)
{
    return move(x, pcv_draw_int(c, 0, -c->run->delay, c->run->delay), 0);
}

/* ---- flip ------------------------------------------------------------ */

static void swap(float *a, float *b)
{
    const float was = *a;

    *a = *b;
    *b = was;
}

static void flip(const pcv_planes *p, bool rows, bool columns)
{
    const size_t h = (size_t)p->h, w = (size_t)p->w;

    for (size_t k = 0; k < (size_t)p->planes; k++) {
        float *v = p->v + k * h * w;

        for (size_t i = 0; columns && i < h; i++)
            for (size_t e = 0; e < w / 2; e++)
                swap(&v[i * w + e], &v[i * w + w - 1 - e]);
        for (size_t i = 0; rows && i < h / 2; i++)
            for (size_t e = 0; e < w; e++)
                swap(&v[i * w + e], &v[(h - 1 - i) * w + e]);
    }
}

int pcv_flip_picture(const pcv_change *c, pcv_array *x)
{
    const pcv_planes p = pcv_planes_of(x);
    const int way = c->run->flip;

    flip(&p, (way & PCV_FLIP_VERTICAL) && pcv_draw(c, 1) < 0.5,
         (way & PCV_FLIP_HORIZONTAL) && pcv_draw(c, 0) < 0.5);
    return 0;
}

/* ---- a part of random size and place --------------------------------- */

typedef struct {
    double area[2], aspect[2];  /* share of the whole, height over width */
} part;

/* A part that fits, at (box[0], box[1]) and of box[2] x box[3] pixels; after
 * ten tries what would be outside is cut off.  Numbers 0 .. 21 of c. */
static void draw_box(const pcv_change *c, const part *want,
                     const pcv_planes *p, double box[4])
{
    bool fits = false;

    for (uint64_t k = 0; k < 10 && !fits; k++) {
        double area = pcv_draw_in(c, 2 * k, want->area[0], want->area[1]) *
                      p->h * p->w;
        double aspect = exp(pcv_draw_in(c, 2 * k + 1, log(want->aspect[0]),
                                        log(want->aspect[1])));

        box[2] = sqrt(area * aspect);
        box[3] = sqrt(area / aspect);
        fits = box[2] <= p->h && box[3] <= p->w;
    }
    box[2] = box[2] > p->h ? p->h : box[2];
    box[3] = box[3] > p->w ? p->w : box[3];
    box[0] = pcv_draw_in(c, 20, 0, p->h - box[2]);
    box[1] = pcv_draw_in(c, 21, 0, p->w - box[3]);
}

/* ---- crop ------------------------------------------------------------ */

/* Where output i of n stands among the n elements of an axis of which the
 * part at `at` of length `size` is taken: between *low and *low + 1, *part of
 * the way.  Neighbours outside the part are read as they are. */
static int place(int i, int n, double at, double size, float *between)
{
    double s = at + (i + 0.5) * size / n - 0.5;
    int low;

    s = s < 0 ? 0 : s > n - 1 ? n - 1 : s;
    low = (int)s;
    *between = (float)(s - low);
    return low;
}

/* A part is never larger than the whole, so nothing has to be averaged. */
int pcv_crop_box(pcv_array *x, const double box[4])
{
    const pcv_planes p = pcv_planes_of(x);
    const size_t w = (size_t)p.w, area = (size_t)p.h * w;
    float *out = pcv_alloc(pcv_array_count(x), sizeof *out);

    if (!out)
        return -1;
    for (int i = 0; i < p.h; i++) {
        float fy, fx;
        int y = place(i, p.h, box[0], box[2], &fy);
        const size_t down = y + 1 < p.h ? w : 0;

        for (int e = 0; e < p.w; e++) {
            int left = place(e, p.w, box[1], box[3], &fx);
            const size_t right = left + 1 < p.w;
            const float *v = p.v + (size_t)y * w + (size_t)left;
            float *to = out + (size_t)i * w + (size_t)e;

            for (int k = 0; k < p.planes; k++, v += area, to += area) {
                float a = v[0] + fx * (v[right] - v[0]);
                float b = v[down] + fx * (v[down + right] - v[down]);

                *to = a + fy * (b - a);
            }
        }
    }
    pcv_free(x->data);
    x->data = out;
    return 0;
}

int pcv_crop_picture(const pcv_change *c, pcv_array *x)
{
    const part want = { { c->run->crop_area, 1 }, { 3.0 / 4, 4.0 / 3 } };
    const pcv_planes p = pcv_planes_of(x);
    double box[4];

    draw_box(c, &want, &p, box);
    return pcv_crop_box(x, box);
}

/* ---- erase ----------------------------------------------------------- */

static size_t whole(double pixels)
{
    return pixels < 1 ? 1 : (size_t)(pixels + 0.5);
}

/* Number 22 is the coin, 23 and on the levels. */
int pcv_erase_picture(const pcv_change *c, pcv_array *x)
{
    static const part want = { { 0.02, 0.33 }, { 0.3, 3.3 } };
    const pcv_planes p = pcv_planes_of(x);
    double box[4];
    uint64_t at = 23;

    if (pcv_draw(c, 22) >= c->run->erase)
        return 0;
    draw_box(c, &want, &p, box);
    const size_t h = whole(box[2]), w = whole(box[3]), width = (size_t)p.w;
    const size_t top = (size_t)clamp((int)box[0], p.h - (int)h + 1);
    const size_t left = (size_t)clamp((int)box[1], p.w - (int)w + 1);

    for (int k = 0; k < p.planes; k++) {
        const double mean = c->prep->mean[k < 3 ? k : 3];
        const double std = c->prep->std[k < 3 ? k : 3];
        float *v = p.v + (size_t)k * (size_t)p.h * width;

        for (size_t i = top; i < top + h; i++)
            for (size_t e = left; e < left + w; e++)
                v[i * width + e] = (float)((pcv_draw(c, at++) - mean) / std);
    }
    return 0;
}
