/* learned.c - grids with a learned position per element, optionally with a
 * linear layer over the content (the 1x1 convolution of the published
 * `learned` class) and one over the positions:
 *
 *   row j = [ A x_j + a  or  x_j | P t_j + p  or  t_j ]
 *
 * Names are Hugging Face's: convnet_1x1, position_embeddings,
 * positions_projection. */
#include "tokens.h"

#include <math.h>
#include <string.h>

#define PATH "perceiver.input_preprocessor"

static int content_width(const pcv_stem_spec *s)
{
    return s->project ? s->project : pcv_grid_content(s);
}

static int elements(const pcv_stem_spec *s)
{
    return s->size[0] * (s->modality == PCV_IMAGE ? s->size[1] : 1);
}

/* ---- rows ------------------------------------------------------------ */

/* The content of rows at .. at+n, element by element: n x c. */
static void gather(const pcv_batch *b, int item, int at, int n, real *out)
{
    int c = pcv_grid_content(&b->stem->spec), m = b->tokens.n;
    const real *x = b->content + (size_t)item * (size_t)m * (size_t)c;

    for (int j = 0; j < n; j++)
        for (int k = 0; k < c; k++)
            out[j * c + k] = x[(size_t)k * (size_t)m + (size_t)(at + j)];
}

/* out (n x l->out, row stride ld) = x w^T + b */
static void apply(const pcv_linear *l, const real *x, int ldx, int n, real *out,
                  int ld)
{
    for (int j = 0; j < n; j++)
        memcpy(out + (size_t)j * (size_t)ld, l->b->w,
               (size_t)l->out * sizeof *out);
    pcv_gemm(false, true, n, l->out, l->in, 1, x, ldx, l->w->w, l->in, 1, out,
             ld);
}

enum { ROWS = 64, MOST = 64 };

static void tile_piece(const pcv_batch *b, int item, int at, int n, real *out)
{
    const pcv_stem *s = b->stem;
    int c = pcv_grid_content(&s->spec), w = content_width(&s->spec);
    int pc = s->spec.pos_channels, ld = s->c;
    const real *t = s->table->w + (size_t)at * (size_t)pc;
    real x[ROWS * MOST];

    gather(b, item, at, n, x);
    if (s->spec.project)
        apply(&s->content, x, c, n, out, ld);
    for (int j = 0; j < n; j++) {
        if (!s->spec.project)
            memcpy(out + j * ld, x + j * c, (size_t)c * sizeof *out);
        if (!s->spec.pos_project)
            memcpy(out + j * ld + w, t + j * pc, (size_t)pc * sizeof *out);
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
    for (int j = 0; j < n; j++)
        for (int k = 0; k < l->out; k++)
            l->b->g[k] += dy[(size_t)j * (size_t)ld + (size_t)k];
}

static void learn_piece(const pcv_batch *b, int item, int at, int n,
                        const real *dout)
{
    const pcv_stem *s = b->stem;
    int w = content_width(&s->spec), pc = s->spec.pos_channels, ld = s->c;
    real *dt = s->table->g ? s->table->g + (size_t)at * (size_t)pc : NULL;
    real x[ROWS * MOST];

    if (s->spec.project) {
        gather(b, item, at, n, x);
        learn(&s->content, x, dout, n, ld);
    }
    if (s->spec.pos_project) {
        learn(&s->position, s->table->w + (size_t)at * (size_t)pc, dout + w, n,
              ld);
        if (dt)
            pcv_gemm(false, false, n, pc, pc, 1, dout + w, ld,
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

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    const pcv_stem_spec *s = &b->stem->spec;

    if (pcv_grid_fill(b, x, items) < 0)
        return -1;
    if (b->len[0] != s->size[0] ||
        (s->modality == PCV_IMAGE && b->len[1] != s->size[1]))
        return pcv_fail(EX_DATAERR, "an input of %dx%d elements, want %dx%d: "
                        "positions were learned for that size only", b->len[0],
                        b->axes > 1 ? b->len[1] : 1, s->size[0],
                        b->axes > 1 ? s->size[1] : 1);
    b->tokens.tile = tile;
    b->tokens.tile_backward = tile_backward;
    return 0;
}

static bool serves(const pcv_stem_spec *s)
{
    return s->position == PCV_POS_LEARNED &&
           (s->modality == PCV_IMAGE || s->modality == PCV_SOUND ||
            s->modality == PCV_PLAIN);
}

static int init(pcv_stem *s, pcv_params *p)
{
    const pcv_stem_spec *spec = &s->spec;
    int c = pcv_grid_content(spec), pc = spec->pos_channels;

    if (elements(spec) < 1 || pc < 1 || c > MOST)
        return pcv_fail(EX_DATAERR, "learned positions need the size of the "
                        "input, their width and at most %d content channels; "
                        "have %d elements, width %d, %d channels", MOST,
                        elements(spec), pc, c);
    if (spec->project)
        pcv_linear_init(&s->content, p, PATH ".convnet_1x1", c, spec->project,
                        true, 1 / sqrt((double)c));
    s->table = pcv_param_add(p, PATH ".position_embeddings",
                             "position_embeddings", (size_t)elements(spec),
                             (size_t)pc, 0, (real)0.02, true);
    if (spec->pos_project)
        pcv_linear_init(&s->position, p, PATH ".positions_projection", pc, pc,
                        true, 1 / sqrt((double)pc));
    s->c = content_width(spec) + pc;
    return 0;
}

const pcv_stem_kind pcv_stem_learned = { "learned", serves, init, bind };
