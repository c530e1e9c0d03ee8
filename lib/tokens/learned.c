/* learned.c - grids with a learned position per element, optionally with a
 * linear layer over the content (the 1x1 convolution of the published
 * `learned` class) and one over the positions:
 *
 *   row j = [ A x_j + a  or  x_j | P t_j + p  or  t_j ],  or their sum
 *
 * A picture of another size than the positions were learned for gets them by
 * bicubic interpolation of the table.  Names are Hugging Face's: convnet_1x1,
 * position_embeddings, positions_projection. */
#include "tokens.h"

#include <math.h>
#include <string.h>

#define PATH "perceiver.input_preprocessor"

static int content_width(const pcv_stem_spec *s)
{
    return s->project ? s->project : pcv_content_find(s)->channels(s);
}

/* Where the positions begin in a row. */
static int position_at(const pcv_stem_spec *s)
{
    return s->pos_add ? 0 : content_width(s);
}

static int elements(const pcv_stem_spec *s)
{
    return s->size[0] * (s->modality == PCV_IMAGE ? s->size[1] : 1);
}

/* ---- rows ------------------------------------------------------------ */

/* The content of rows at .. at+n, element by element: n x c. */
static void gather(const pcv_batch *b, int item, int at, int n, real *out)
{
    int c = b->stem->made->channels(&b->stem->spec), m = b->tokens.n;
    const real *x = b->content + (size_t)item * (size_t)m * (size_t)c;

    for (int j = 0; j < n; j++)
        for (int k = 0; k < c; k++)
            out[j * c + k] = x[(size_t)k * (size_t)m + (size_t)(at + j)];
}

/* out (n x l->out, row stride ld) += x w^T + b */
static void apply(const pcv_linear *l, const real *x, int ldx, int n, real *out,
                  int ld)
{
    for (int j = 0; l->b && j < n; j++)
        pcv_rows_get()->add(out + (size_t)j * (size_t)ld, l->b->w, l->out);
    pcv_gemm(false, true, n, l->out, l->in, 1, x, ldx, l->w->w, l->in, 1, out,
             ld);
}

enum { ROWS = 64, MOST = 64 };

static const real *table_of(const pcv_batch *b)
{
    return b->table ? b->table : b->stem->table->w;
}

static void tile_piece(const pcv_batch *b, int item, int at, int n, real *out)
{
    const pcv_stem *s = b->stem;
    const pcv_rows *k = pcv_rows_get();
    int c = s->made->channels(&s->spec), w = position_at(&s->spec);
    int pc = s->spec.pos_channels, ld = s->c;
    const real *t = table_of(b) + (size_t)at * (size_t)pc;
    real x[ROWS * MOST];

    memset(out, 0, (size_t)(n * ld) * sizeof *out);
    gather(b, item, at, n, x);
    if (s->spec.project)
        apply(&s->content, x, c, n, out, ld);
    for (int j = 0; j < n; j++) {
        if (!s->spec.project)
            k->add(out + j * ld, x + j * c, c);
        if (!s->spec.pos_project)
            k->add(out + j * ld + w, t + j * pc, pc);
    }
    if (s->spec.pos_project)
        apply(&s->position, t, pc, n, out + w, ld);
}

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    for (int j = 0; j < n; j += ROWS)
        tile_piece(t->self, item, at + j, n - j < ROWS ? n - j : ROWS,
                   out + (size_t)j * (size_t)t->c);
}

/* dw += dy^T x, db += column sums, for n rows of dy with row stride ld. */
static void learn(const pcv_linear *l, const real *x, const real *dy, int n,
                  int ld)
{
    if (!l->w->g)
        return;
    pcv_gemm(true, false, l->out, l->in, n, 1, dy, ld, x, l->in, 1, l->w->g,
             l->in);
    for (int j = 0; l->b && j < n; j++)
        for (int k = 0; k < l->out; k++)
            l->b->g[k] += dy[(size_t)j * (size_t)ld + (size_t)k];
}

static void learn_piece(const pcv_batch *b, int item, int at, int n,
                        const real *dout)
{
    const pcv_stem *s = b->stem;
    int w = position_at(&s->spec), pc = s->spec.pos_channels, ld = s->c;
    real *dt = s->table->g ? s->table->g + (size_t)at * (size_t)pc : NULL;
    real x[ROWS * MOST];

    if (s->spec.project) {
        gather(b, item, at, n, x);
        learn(&s->content, x, dout, n, ld);
    }
    if (s->spec.pos_project) {
        learn(&s->position, table_of(b) + (size_t)at * (size_t)pc, dout + w, n,
              ld);
        if (dt)
            pcv_gemm(false, false, n, pc, s->position.out, 1, dout + w, ld,
                     s->position.w->w, pc, 1, dt, pc);
    } else if (dt) {
        for (int j = 0; j < n; j++)
            pcv_rows_get()->add(dt + j * pc, dout + j * ld + w, pc);
    }
}

static void tile_backward(const pcv_tokens *t, int item, int at, int n,
                          const real *dout)
{
    for (int j = 0; j < n; j += ROWS)
        learn_piece(t->self, item, at + j, n - j < ROWS ? n - j : ROWS,
                    dout + (size_t)j * (size_t)t->c);
}

/* ---- the kind -------------------------------------------------------- */

/* The table for another grid, made once for each size. */
static int interpolate(pcv_batch *b)
{
    const pcv_stem *s = b->stem;
    int pc = s->spec.pos_channels;

    if (b->table && !memcmp(b->table_len, b->len, sizeof b->len))
        return 0;
    pcv_free(b->table);
    b->table = pcv_alloc((size_t)b->tokens.n * (size_t)pc, sizeof *b->table);
    if (!b->table)
        return -1;
    memcpy(b->table_len, b->len, sizeof b->len);
    pcv_bicubic_grid(s->table->w, s->spec.size[0], s->spec.size[1], pc,
                     b->table, b->len[0], b->len[1]);
    pcv_remark("positions learned for %dx%d elements are interpolated to "
               "%dx%d", s->spec.size[0], s->spec.size[1], b->len[0],
               b->len[1]);
    return 0;
}

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    const pcv_stem_spec *s = &b->stem->spec;
    bool image = s->modality == PCV_IMAGE;

    if (pcv_content_fill(b, x, items) < 0)
        return -1;
    b->tokens.tile = tile;
    b->tokens.tile_backward = tile_backward;
    if (b->len[0] == s->size[0] && (!image || b->len[1] == s->size[1])) {
        pcv_free(b->table);
        b->table = NULL;
        return 0;
    }
    if (!image || b->stem->table->g)
        return pcv_fail(EX_DATAERR, "an input of %dx%d elements, want %dx%d: "
                        "positions were learned for that size only", b->len[0],
                        b->len[1], s->size[0], image ? s->size[1] : 1);
    b->tokens.tile_backward = NULL;
    return interpolate(b);
}

static bool serves(const pcv_stem_spec *s)
{
    return s->position == PCV_POS_LEARNED && !s->convolve &&
           (s->modality == PCV_IMAGE || s->modality == PCV_SOUND ||
            s->modality == PCV_PLAIN);
}

static int init_layers(pcv_stem *s, pcv_params *p, int c)
{
    const pcv_stem_spec *spec = &s->spec;
    int pc = spec->pos_channels;
    int out = spec->pos_add ? content_width(spec) : pc;

    if (spec->project)
        pcv_linear_init(&s->content, p, PATH ".convnet_1x1", c, spec->project,
                        true, 1 / sqrt((double)c));
    if (spec->project && !p->failed) {      /* as a file has a convolution */
        s->content.w->rank = 4;
        s->content.w->dim[2] = s->content.w->dim[3] = 1;
    }
    s->table = pcv_param_add(p, PATH ".position_embeddings",
                             "position_embeddings", (size_t)elements(spec),
                             (size_t)pc, 0, (real)0.02, true);
    if (spec->pos_project)
        pcv_linear_init(&s->position, p, PATH ".positions_projection", pc, out,
                        !spec->pos_add, 1 / sqrt((double)pc));
    s->c = content_width(spec) + (spec->pos_add ? 0 : pc);
    return 0;
}

static int init(pcv_stem *s, pcv_params *p)
{
    const pcv_stem_spec *spec = &s->spec;
    int pc = spec->pos_channels, c;

    s->made = pcv_content_find(spec);
    c = s->made->channels(spec);
    if (elements(spec) < 1 || pc < 1 || c > MOST)
        return pcv_fail(EX_DATAERR, "learned positions need the size of the "
                        "input, their width and at most %d content channels; "
                        "have %d elements, width %d, %d channels", MOST,
                        elements(spec), pc, c);
    if (spec->pos_add && !spec->pos_project && pc != content_width(spec))
        return pcv_fail(EX_DATAERR, "positions of %d channels cannot be added "
                        "to %d of content", pc, content_width(spec));
    return init_layers(s, p, c);
}

const pcv_stem_kind pcv_stem_learned = { "learned", serves, init, bind };
