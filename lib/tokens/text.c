/* text.c - bytes: row j = E[id_j] + P[j] (Perceiver IO's byte models add,
 * where the image models concatenate).  Shorter texts of a batch are padded
 * with id 0 and masked.
 *
 * With r neighbours row j = E[id_j] + P[j] + sum N_o[id_(j+o)], o = -r .. -1,
 * 1 .. r: a convolution of one-hot bytes.  The score of such a row is a sum
 * over its bytes, so a softmax looks for sequences of letters wherever they
 * stand, which a first cross-attend cannot do from single bytes. */
#include "tokens.h"

#include <string.h>

#define PATH "perceiver.input_preprocessor"

static const real *row_of(const pcv_param *p, int i, int c)
{
    return p->w + (size_t)i * (size_t)c;
}

/* Row of N = [N_-r .. N_-1, N_1 .. N_r] for neighbour k of element j; -1 where
 * the text has ended. */
static int beside(const pcv_tokens *t, int item, int j, int k)
{
    const pcv_batch *b = t->self;
    int r = b->stem->spec.neighbours, at = j + k - r + (k >= r);
    size_t o = (size_t)item * (size_t)t->n;

    if (at < 0 || at >= t->n || !b->mask[o + (size_t)at])
        return -1;
    return k * b->stem->spec.vocab + b->ids[o + (size_t)at];
}

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    const pcv_stem *s = b->stem;
    const int *id = b->ids + (size_t)item * (size_t)t->n;
    int c = t->c, r;

    for (int j = at; j < at + n; j++, out += c) {
        memcpy(out, row_of(s->embedding, id[j], c), (size_t)c * sizeof *out);
        if (s->table)
            pcv_rows_get()->add(out, row_of(s->table, j, c), c);
        for (int k = 0; k < 2 * s->spec.neighbours; k++)
            if ((r = beside(t, item, j, k)) >= 0)
                pcv_rows_get()->add(out, row_of(s->beside, r, c), c);
    }
}

static void add_gradient(const pcv_param *p, int i, int c, const real *dout)
{
    if (p && p->g)
        pcv_rows_get()->add(p->g + (size_t)i * (size_t)c, dout, c);
}

static void tile_backward(const pcv_tokens *t, int item, int at, int n,
                          const real *dout)
{
    const pcv_batch *b = t->self;
    const pcv_stem *s = b->stem;
    const int *id = b->ids + (size_t)item * (size_t)t->n;
    int c = t->c, r;

    for (int j = at; j < at + n; j++, dout += c) {
        add_gradient(s->embedding, id[j], c, dout);
        add_gradient(s->table, j, c, dout);
        for (int k = 0; k < 2 * s->spec.neighbours; k++)
            if ((r = beside(t, item, j, k)) >= 0)
                add_gradient(s->beside, r, c, dout);
    }
}

static int reserve(pcv_batch *b, size_t need)
{
    if (need <= b->mask_cap)
        return 0;
    pcv_free(b->ids);
    pcv_free(b->mask);
    b->mask_cap = 0;
    b->ids = pcv_alloc(need, sizeof *b->ids);
    b->mask = pcv_alloc(need, 1);
    if (!b->ids || !b->mask)
        return -1;
    b->mask_cap = need;
    return 0;
}

/* Ids of one text, padded; false when one is not in the vocabulary. */
static int fill(pcv_batch *b, int item, const pcv_array *x)
{
    const int32_t *in = x->data;
    int n = (int)x->dim[0], vocab = b->stem->spec.vocab;
    size_t o = (size_t)item * (size_t)b->tokens.n;
    bool unpadded = b->stem->spec.unpadded;
    int kept = 0;

    for (int j = 0; j < b->tokens.n; j++) {
        int id = j < n ? in[j] : 0;

        if (id < 0 || id >= vocab)
            return pcv_fail(EX_DATAERR, "id %d at %d, want 0 to %d", id, j,
                            vocab - 1);
        b->ids[o + (size_t)j] = id;
        kept += b->mask[o + (size_t)j] = j < n && (id != 0 || unpadded);
    }
    if (!kept)
        return pcv_fail(EX_DATAERR, "an empty text");
    return 0;
}

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    int most = b->stem->spec.size[0];

    b->tokens.n = 0;
    for (int i = 0; i < items; i++) {
        if (x[i]->rank != 1 || x[i]->dim[0] > (size_t)most)
            return pcv_fail(EX_DATAERR, "a text of %zu ids, want at most %d",
                            x[i]->rank ? x[i]->dim[0] : 0, most);
        if ((int)x[i]->dim[0] > b->tokens.n)
            b->tokens.n = (int)x[i]->dim[0];
    }
    if (b->tokens.n == 0)
        return pcv_fail(EX_DATAERR, "an empty text");
    if (reserve(b, (size_t)items * (size_t)b->tokens.n) < 0)
        return -1;
    for (int i = 0; i < items; i++)
        if (fill(b, i, x[i]) < 0)
            return -1;
    b->tokens.mask = b->mask;
    b->tokens.tile = tile;
    b->tokens.tile_backward = tile_backward;
    return 0;
}

static bool serves(const pcv_stem_spec *s)
{
    return s->modality == PCV_BYTES;
}

static int init(pcv_stem *s, pcv_params *p)
{
    const pcv_stem_spec *spec = &s->spec;

    if (spec->vocab < 1 || spec->embed < 1 || spec->size[0] < 1)
        return pcv_fail(EX_DATAERR, "a text model needs a vocabulary, a width "
                        "and a length; have %d, %d, %d", spec->vocab,
                        spec->embed, spec->size[0]);
    s->embedding = pcv_param_add(p, PATH ".embeddings", "weight",
                                 (size_t)spec->vocab, (size_t)spec->embed, 0,
                                 (real)0.02, true);
    if (spec->neighbours)
        s->beside = pcv_param_add(p, PATH ".neighbour_embeddings", "weight",
                                  2 * (size_t)spec->neighbours *
                                      (size_t)spec->vocab,
                                  (size_t)spec->embed, 0, (real)0.02, true);
    if (spec->position == PCV_POS_LEARNED)
        s->table = pcv_param_add(p, PATH ".position_embeddings", "weight",
                                 (size_t)spec->size[0], (size_t)spec->embed, 0,
                                 (real)0.02, true);
    s->c = spec->embed;
    return 0;
}

const pcv_stem_kind pcv_stem_text = { "text", serves, init, bind };
