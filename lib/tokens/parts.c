/* parts.c - several modalities as one input: the rows of each, one modality
 * after the other in the order of their names, each row padded to the common
 * width by a vector that is learned for its modality (and so tells them
 * apart):
 *
 *   row = [ row of the part | padding of the part ]      C = widest + padding
 *
 * A part that is absent, and one that the model never looks at, is as many
 * copies of a learned mask as it has elements (Perceiver IO, appendix I).
 * Where every part has structure, the whole has it: one segment each, the
 * padding a constant. */
#include "tokens.h"

#include <string.h>

#define PATH "perceiver.input_preprocessor"

/* ---- rows ------------------------------------------------------------ */

static bool is_masked(const pcv_batch *part)
{
    return !part->tokens.tile;
}

/* The part of element *at, which becomes its place in there. */
static const pcv_batch *part_of(const pcv_batch *b, int *at)
{
    const pcv_batch *p = b->part;

    for (; *at >= p->tokens.n; p++)
        *at -= p->tokens.n;
    return p;
}

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    size_t c = (size_t)t->c;

    for (int j = at; j < at + n; j++, out += c) {
        int k = j;
        const pcv_batch *p = part_of(b, &k);
        size_t own = (size_t)p->stem->c;

        if (is_masked(p)) {
            memcpy(out, p->stem->mask->w, c * sizeof *out);
            continue;
        }
        p->tokens.tile(&p->tokens, item, k, 1, out);
        memcpy(out + own, p->stem->pad->w, (c - own) * sizeof *out);
    }
}

/* A part learns what it is padded with and what stands for it, beside what it
 * may learn itself. */
static void tile_backward(const pcv_tokens *t, int item, int at, int n,
                          const real *dout)
{
    const pcv_batch *b = t->self;
    size_t c = (size_t)t->c;

    for (int j = at; j < at + n; j++, dout += c) {
        int k = j;
        const pcv_batch *p = part_of(b, &k);
        int own = p->stem->c;
        const pcv_param *learns = is_masked(p) ? p->stem->mask : p->stem->pad;

        own = is_masked(p) ? 0 : own;
        if (learns->g)
            pcv_rows_get()->add(learns->g, dout + own, t->c - own);
        if (!is_masked(p) && p->tokens.tile_backward)
            p->tokens.tile_backward(&p->tokens, item, k, 1, dout);
    }
}

/* What the structured form left of the same: a row for each item. */
void pcv_batch_backward(pcv_batch *b)
{
    for (int i = 0; i < b->tokens.segments && b->dk; i++) {
        const pcv_segment *s = &b->segments[i];
        const pcv_batch *p = &b->part[i];
        const pcv_param *learns = is_masked(p) ? p->stem->mask : p->stem->pad;

        for (int k = 0; s->dk && k < b->tokens.items; k++)
            pcv_rows_get()->add(learns->g, s->dk + (size_t)k * (size_t)s->k_n,
                                s->k_n);
        if (s->dk)
            memset(s->dk, 0, (size_t)b->tokens.items * (size_t)s->k_n *
                                 sizeof *s->dk);
    }
}

/* ---- binding --------------------------------------------------------- */

static int open_batch(pcv_batch *b, int items)
{
    int n = b->stem->spec.parts;

    if (!b->part)
        b->part = pcv_alloc((size_t)n, sizeof *b->part);
    if (!b->segments)
        b->segments = pcv_alloc((size_t)n, sizeof *b->segments);
    if (items > b->input_cap) {
        pcv_free(b->input);
        b->input = pcv_alloc((size_t)items, sizeof *b->input);
        b->input_cap = b->input ? items : 0;
    }
    return b->part && b->segments && b->input ? 0 : -1;
}

/* A part without input: tokens without a tile. */
static void mask_part(pcv_batch *p, const pcv_stem *s)
{
    p->stem = s;
    p->tokens = (pcv_tokens){ .n = pcv_stem_elements(s), .c = s->c };
}

static int bind_part(pcv_batch *b, int i, const pcv_array *const *x, int items)
{
    const pcv_stem *s = &b->stem->part[i];
    int have = 0;

    for (int k = 0; k < items; k++) {
        b->input[k] = x[k * b->stem->spec.parts + i];
        have += b->input[k] != NULL;
    }
    if (have == 0 || s->spec.masked) {
        mask_part(&b->part[i], s);
        return 0;
    }
    if (have < items)
        return pcv_fail(EX_DATAERR, "inputs of a batch differ in which parts "
                        "they have");
    return pcv_batch_bind(&b->part[i], s, b->input, items);
}

/* The structure of a part within the whole. */
static pcv_segment segment_of(const pcv_batch *p, int c)
{
    pcv_segment s = { .axes = 1, .len = { p->tokens.n }, .k_n = c,
                      .k = p->stem->mask->w };

    if (is_masked(p))
        return s;
    s = p->tokens.segment[0];
    s.k_at = p->stem->c;
    s.k_n = c - p->stem->c;
    s.k = p->stem->pad->w;
    return s;
}

/* Room for the gradients of the segments' constants, where they are trained:
 * zeros. */
static int learn_constants(pcv_batch *b, int items)
{
    int parts = b->stem->spec.parts;
    size_t each = (size_t)items * (size_t)b->stem->c;
    size_t need = each * (size_t)parts;

    if (!b->stem->part[0].pad->g)
        return 0;
    if (need > b->dk_cap) {
        pcv_free(b->dk);
        b->dk = pcv_alloc(need, sizeof *b->dk);
        b->dk_cap = b->dk ? need : 0;
    }
    if (!b->dk)
        return -1;
    memset(b->dk, 0, need * sizeof *b->dk);
    for (int i = 0; i < parts; i++)
        b->segments[i].dk = b->dk + (size_t)i * each;
    return 0;
}

static int join_masks(pcv_batch *b, int items)
{
    size_t n = (size_t)b->tokens.n, need = n * (size_t)items;
    unsigned char *to;

    if (need > b->mask_cap) {
        pcv_free(b->mask);
        b->mask_cap = 0;
        if (!(b->mask = pcv_alloc(need, 1)))
            return -1;
        b->mask_cap = need;
    }
    to = b->mask;
    for (int k = 0; k < items; k++)
        for (int i = 0; i < b->stem->spec.parts; i++) {
            const pcv_tokens *t = &b->part[i].tokens;
            size_t len = (size_t)t->n;

            if (t->mask)
                memcpy(to, t->mask + (size_t)k * len, len);
            else
                memset(to, 1, len);
            to += len;
        }
    b->tokens.mask = b->mask;
    return 0;
}

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    const pcv_stem *s = b->stem;
    bool structured = true, masks = false;
    int n = 0;

    if (open_batch(b, items) < 0)
        return -1;
    for (int i = 0; i < s->spec.parts; i++) {
        pcv_batch *p = &b->part[i];

        if (bind_part(b, i, x, items) < 0)
            return -1;
        n += p->tokens.n;
        masks = masks || p->tokens.mask;
        structured = structured && (is_masked(p) || p->tokens.segments);
    }
    b->tokens = (pcv_tokens){ .n = n, .tile = tile,
                              .tile_backward = tile_backward };
    for (int i = 0; structured && i < s->spec.parts; i++)
        b->segments[i] = segment_of(&b->part[i], s->c);
    b->tokens.segment = b->segments;
    b->tokens.segments = structured ? s->spec.parts : 0;
    if (structured && learn_constants(b, items) < 0)
        return -1;
    return masks ? join_masks(b, items) : 0;
}

/* ---- the kind -------------------------------------------------------- */

static bool serves(const pcv_stem_spec *s)
{
    return s->modality == PCV_PARTS;
}

static void learn_vectors(pcv_stem *part, pcv_params *p, const char *name,
                          int c)
{
    part->pad = pcv_param_add(p, PATH ".padding", name, 1,
                              (size_t)(c - part->c), 0, (real)0.02, true);
    part->mask = pcv_param_add(p, PATH ".mask", name, 1, (size_t)c, 0,
                               (real)0.02, true);
}

static int init(pcv_stem *s, pcv_params *p)
{
    const pcv_stem_spec *spec = &s->spec;
    int widest = 0;

    if (spec->padding < 1)
        return pcv_fail(EX_DATAERR, "padding is %d, want at least 1 channel "
                        "that tells the parts apart", spec->padding);
    s->part = pcv_alloc((size_t)spec->parts, sizeof *s->part);
    if (!s->part)
        return -1;
    for (int i = 0; i < spec->parts; i++) {
        if (pcv_stem_init(&s->part[i], p, &spec->part[i]) < 0)
            return -1;
        widest = s->part[i].c > widest ? s->part[i].c : widest;
    }
    s->c = widest + spec->padding;
    for (int i = 0; i < spec->parts; i++)
        learn_vectors(&s->part[i], p, spec->name[i], s->c);
    return 0;
}

const pcv_stem_kind pcv_stem_parts = { "parts", serves, init, bind };
