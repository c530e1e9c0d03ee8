/* tiles.c - a pair of pictures of another size than the model's: taken in
 * overlapping tiles of that size, whose answers are blended by their distance
 * from the tile's border (the published evaluation of optical flow).  What a
 * picture lacks to fill one tile repeats its last rows and columns, and is cut
 * off again. */
#include "handles.h"

#include <string.h>

enum { OVERLAP = 20, PLANES = 6 };

bool pcv_wants_tiles(const pcv_net *n, const pcv_array *x)
{
    const pcv_prep *p = &n->spec.prep;

    return p->fit == PCV_TILE && x->rank == 4 &&
           (x->dim[2] != (size_t)p->height || x->dim[3] != (size_t)p->width);
}

typedef struct {
    pcv_worker *w;
    const pcv_array *x;         /* [2, 3, height, width] */
    int height, width, th, tw;
    pcv_array tile;             /* [2, 3, th, tw] */
    float *answer, *sum, *weight;
} tiling;

static void cut(const tiling *t, int y, int x)
{
    const float *in = t->x->data;
    float *out = t->tile.data;

    for (int p = 0; p < PLANES; p++)
        for (int i = 0; i < t->th; i++)
            for (int j = 0; j < t->tw; j++) {
                int row = y + i < t->height ? y + i : t->height - 1;
                int col = x + j < t->width ? x + j : t->width - 1;

                *out++ = in[((size_t)p * (size_t)t->height + (size_t)row) *
                                (size_t)t->width + (size_t)col];
            }
}

static int answer_tile(const tiling *t, int y, int x)
{
    const pcv_pass pass = {0};
    const pcv_array *input = &t->tile;
    pcv_session *s = &t->w->s;
    int n = s->net->answer[0].n, c = s->net->answer[0].outputs;

    cut(t, y, x);
    if (pcv_session_bind(s, &input, 1) < 0)
        return -1;
    pcv_session_encode(s, &pass);
    pcv_answer_chunks(s, 0, NULL, (size_t)n, t->answer);
    pcv_tile_blend(t->answer, t->th, t->tw, c, y, x, t->height, t->width,
                   t->sum, t->weight);
    return 0;
}

/* Tiles no larger than their overlap would never get on. */
static int check_overlap(const tiling *t)
{
    if ((t->height <= t->th || t->th > OVERLAP) &&
        (t->width <= t->tw || t->tw > OVERLAP))
        return 0;
    return pcv_fail(EX_DATAERR, "%s: pictures of %dx%d pixels, want at most "
                    "those of the model, %dx%d: its tiles are not larger than "
                    "the %d pixels by which they overlap", t->w->tiles->name,
                    t->width, t->height, t->tw, t->th, OVERLAP);
}

/* An axis that fits has one tile, which overlaps with none. */
static int overlap(int tile)
{
    return tile > OVERLAP ? OVERLAP : 0;
}

static int answer_all(const tiling *t)
{
    int rows = pcv_tile_offsets(t->height, t->th, overlap(t->th), NULL, 0);
    int cols = pcv_tile_offsets(t->width, t->tw, overlap(t->tw), NULL, 0);
    int *at = pcv_alloc((size_t)rows + (size_t)cols, sizeof *at);
    int r = at ? 0 : -1;

    if (at) {
        pcv_tile_offsets(t->height, t->th, overlap(t->th), at, rows);
        pcv_tile_offsets(t->width, t->tw, overlap(t->tw), at + rows, cols);
    }
    for (int i = 0; r == 0 && i < rows * cols; i++)
        r = answer_tile(t, at[i / cols], at[rows + i % cols]);
    pcv_free(at);
    return r;
}

static int open_tiling(tiling *t, const pcv_prep *p, int outputs)
{
    size_t one = (size_t)t->th * (size_t)t->tw;
    size_t all = (size_t)t->height * (size_t)t->width;

    t->tile = (pcv_array){ PCV_F32, 4, { 2, 3, (size_t)p->height,
                                         (size_t)p->width }, NULL };
    t->tile.data = pcv_alloc(one, PLANES * sizeof(float));
    t->answer = pcv_alloc(one, (size_t)outputs * sizeof(float));
    t->weight = pcv_alloc(all, sizeof(float));
    return t->tile.data && t->answer && t->weight ? 0 : -1;
}

pcv_values *pcv_ask_tiles(pcv_worker *w)
{
    const pcv_array *x = &w->tiles->x[0];
    const pcv_prep *p = &w->m->net.spec.prep;
    size_t outputs = pcv_model_outputs(w->m);
    size_t dim[3] = { x->dim[2], x->dim[3], outputs };
    tiling t = { .w = w, .x = x, .height = (int)dim[0], .width = (int)dim[1],
                 .th = p->height, .tw = p->width };
    pcv_values *v;
    int r = -1;

    if (x->dim[1] != 3) {
        pcv_fail(EX_DATAERR, "%s: neighbourhoods of %zux%zu pixels, want %dx%d",
                 w->tiles->name, dim[0], dim[1], t.th, t.tw);
        return NULL;
    }
    v = pcv_values_new(3, dim);
    if (v && check_overlap(&t) == 0 &&
        open_tiling(&t, p, (int)outputs) == 0) {
        t.sum = v->data;
        r = answer_all(&t);
        pcv_blend_finish(t.sum, t.weight, dim[0] * dim[1], (int)outputs);
    }
    pcv_array_free(&t.tile);
    pcv_free(t.answer);
    pcv_free(t.weight);
    if (r == 0)
        return v;
    pcv_values_free(v);
    return NULL;
}
