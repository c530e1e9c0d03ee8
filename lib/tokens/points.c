/* points.c - point sets: each row is [features | Fourier features of its own
 * coordinates].  The first three columns of a point are its coordinates
 * (section 4.3 of Perceiver: nothing but those); more are features.  A set has
 * no grid, so its rows are made tile by tile; sets of a batch may differ in
 * size: shorter ones are padded and masked. */
#include "tokens.h"

#include <string.h>

enum { AXES = 3 };

static int features(const pcv_stem_spec *s)
{
    return s->channels - AXES;
}

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    const pcv_stem_spec *s = &b->stem->spec;
    int f = features(s), cols = 2 * s->bands + 1;
    const real *x = b->content + ((size_t)item * (size_t)t->n + (size_t)at) *
                                     (size_t)s->channels;
    real row[2 * 256 + 1];

    for (int j = 0; j < n; j++, out += t->c, x += s->channels) {
        memcpy(out, x + AXES, (size_t)f * sizeof *out);
        for (int a = 0; a < AXES; a++) {
            double at_a = (double)x[a];

            if (s->position == PCV_POS_NONE) {
                out[f + a] = x[a];
                continue;
            }
            pcv_fourier_axis(s->position, s->bands, s->max_res[a], &at_a, 1,
                             row);
            for (int k = 0; k < cols; k++)
                out[f + pcv_fourier_channel(AXES, s->bands, a, k)] = row[k];
        }
    }
}

static int reserve(pcv_batch *b, size_t rows)
{
    size_t need = rows * (size_t)b->stem->spec.channels;

    if (need <= b->copy_cap && rows <= b->mask_cap)
        return 0;
    pcv_free(b->copy);
    pcv_free(b->mask);
    b->copy_cap = b->mask_cap = 0;
    b->copy = pcv_alloc(need, sizeof(real));
    b->mask = pcv_alloc(rows, 1);
    if (!b->copy || !b->mask)
        return -1;
    b->copy_cap = need;
    b->mask_cap = rows;
    return 0;
}

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    size_t c = (size_t)b->stem->spec.channels, most = 0;

    for (int i = 0; i < items; i++) {
        if (x[i]->rank != 2 || x[i]->dim[1] != c || x[i]->dim[0] == 0 ||
            x[i]->dim[0] > 1 << 26)
            return pcv_fail(EX_DATAERR, "a point set of rank %d with %zu "
                            "columns, want [points, %zu]", x[i]->rank,
                            x[i]->rank > 1 ? x[i]->dim[1] : 0, c);
        most = x[i]->dim[0] > most ? x[i]->dim[0] : most;
    }
    if (reserve(b, most * (size_t)items) < 0)
        return -1;
    memset(b->mask, 0, most * (size_t)items);
    for (int i = 0; i < items; i++) {
        const float *in = x[i]->data;
        size_t o = (size_t)i * most;

        memset(b->mask + o, 1, x[i]->dim[0]);
        for (size_t k = 0; k < most * c; k++)
            b->copy[o * c + k] = k < x[i]->dim[0] * c ? (real)in[k] : 0;
    }
    b->content = b->copy;
    b->tokens.n = (int)most;
    b->tokens.mask = b->mask;
    b->tokens.tile = tile;
    return 0;
}

static bool serves(const pcv_stem_spec *s)
{
    return s->modality == PCV_POINTS;
}

static int init(pcv_stem *s, pcv_params *p)
{
    const pcv_stem_spec *spec = &s->spec;

    (void)p;
    if (spec->channels < AXES || spec->bands > 256 ||
        spec->position == PCV_POS_LEARNED)
        return pcv_fail(EX_DATAERR, "points need 3 coordinates or more, at "
                        "most 256 bands and positions that are not learned; "
                        "have %d columns, %d bands", spec->channels,
                        spec->bands);
    for (int a = 0; a < AXES && spec->position == PCV_POS_FOURIER; a++)
        if (spec->max_res[a] <= 0)
            return pcv_fail(EX_DATAERR, "points need a maximum resolution: "
                            "want max-resolution above 0, such as 10");
    s->c = features(spec) + AXES * (spec->position == PCV_POS_NONE
                                        ? 1 : 2 * spec->bands + 1);
    return 0;
}

const pcv_stem_kind pcv_stem_points = { "points", serves, init, bind };
