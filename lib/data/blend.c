/* blend.c - answers to overlapping tiles -> the answer to a whole picture.
 *
 * Along an axis of n places, tiles of t places that share at least o with the
 * next begin at
 *
 *     min(i (t - o), max(n - t, 0)),   i = 0, 1, .. until that is max(n-t, 0)
 *
 * so the last is flush with the end, and none reaches beyond it unless it is
 * larger than the picture.  Where tiles overlap, the mean is taken, each with
 * the distance to its own nearest edge as its weight:
 *
 *     weight(y, x) = min(x + 1, W - x, y + 1, H - y),   a tile of H x W
 *     out = sum weight tile / sum weight
 *
 * which is what DeepMind's flow example does (its offsets leave the picture
 * when less than o remains behind a tile: there they are drawn back here).
 * Weights are whole numbers, at least 1: every place in a tile has an answer.
 */
#include "data.h"

#include <assert.h>

static int least(int a, int b)
{
    return a < b ? a : b;
}

static int most(int a, int b)
{
    return a > b ? a : b;
}

int pcv_tile_offsets(int n, int tile, int overlap, int *at, int room)
{
    const int step = tile - overlap, last = most(n - tile, 0);
    const int count = last / step + (last % step != 0) + 1;

    assert(n >= 1 && overlap >= 0 && step >= 1);
    if (at)
        for (int i = 0; i < least(count, room); i++)
            at[i] = i == count - 1 ? last : i * step;
    return count;
}

static void add_place(const float *from, int c, float w, float *sum,
                      float *weight)
{
    for (int k = 0; k < c; k++)
        sum[k] += w * from[k];
    *weight += w;
}

void pcv_tile_blend(const float *tile, int th, int tw, int c, int y, int x,
                    int height, int width, float *sum, float *weight)
{
    const int bottom = least(th, height - y), right = least(tw, width - x);

    for (int i = most(0, -y); i < bottom; i++)
        for (int j = most(0, -x); j < right; j++) {
            const int w = least(least(i + 1, th - i), least(j + 1, tw - j));
            const size_t from = (size_t)i * (size_t)tw + (size_t)j;
            const size_t to = (size_t)(y + i) * (size_t)width +
                              (size_t)(x + j);

            add_place(tile + from * (size_t)c, c, (float)w,
                      sum + to * (size_t)c, weight + to);
        }
}

void pcv_blend_finish(float *sum, const float *weight, size_t pixels, int c)
{
    for (size_t i = 0; i < pixels; i++, sum += c)
        for (int k = 0; k < c; k++)
            if (weight[i] > 0)
                sum[k] /= weight[i];
}
