/* lowp.c - products of 16 and 8 bits: weights packed once, inputs rounded a
 * tile of 64 rows at a time, sums turned back into `real`.
 *
 *   bf16   y = bf16(x) bf16(W)^T + b                     sums in float
 *   int8   W[o] = sw[o] qw[o], x[r] = sx[r] qx[r],  |q| <= 127
 *          y[r,o] = sx[r] sw[o] (qx[r] . qw[o]) + b[o]   sums exact in 32 bits
 *
 * Processors multiply bytes without a sign by bytes with one, so x goes as
 * qx + 128, and 128 times the sum of qw[o] is taken off again.
 *
 * Every tile is 64 rows high, the last one with rows that nobody reads: a row
 * has the same bits wherever it stands.  Places are lent from a list that
 * grows to the number of threads at work at once; when there is no memory for
 * another one a thread waits for its turn, so that products cannot fail. */
#include "kern.h"

#include <pthread.h>
#include <string.h>

enum { ROWS = PCV_TILE_ROWS,
       MOST = INT32_MAX / (255 * 127) };        /* inputs, or sums overflow */

struct pcv_shape {
    pcv_lowp *lowp;
    pcv_tile *tile;
    int type, k, n;
    pcv_place *free;
    pcv_shape *next;
};

struct pcv_lowp {
    int precision;
    bool no_heads;              /* this processor has no bfloat16 */
    pcv_shape *first;
    pthread_mutex_t making;     /* of the list of shapes, which grows only
                                   before the first product */
    pthread_mutex_t lock;       /* of the lists of places */
    pthread_cond_t back;        /* one has been given back */
};

struct pcv_packed {
    pcv_lowp *lowp;
    pcv_shape *shape;
    int out, in;
    void *w;
    float *scale;               /* int8: out */
    int32_t *shift;             /* int8: out */
};

int pcv_lowp_round(int n)
{
    return (n + 63) / 64 * 64;
}

pcv_lowp *pcv_lowp_open(int precision)
{
    pcv_lowp *l = NULL;

    if (!pcv_onednn_name())
        pcv_fail(EX_USAGE, "products of bf16 and int8: this pcv is without "
                 "oneDNN (install it; if it is, build pcv where libdnnl-dev "
                 "is installed)");
    else
        l = pcv_alloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->precision = precision;
    pthread_mutex_init(&l->making, NULL);
    pthread_mutex_init(&l->lock, NULL);
    pthread_cond_init(&l->back, NULL);
    return l;
}

static void shape_close(pcv_shape *s)
{
    while (s->free) {
        pcv_place *p = s->free;

        s->free = p->next;
        pcv_place_close(p);
    }
    pcv_tile_close(s->tile);
    pcv_free(s);
}

void pcv_lowp_close(pcv_lowp *l)
{
    if (!l)
        return;
    while (l->first) {
        pcv_shape *s = l->first;

        l->first = s->next;
        shape_close(s);
    }
    pthread_mutex_destroy(&l->making);
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->back);
    pcv_free(l);
}

/* ---- shapes and their places ----------------------------------------- */

static pcv_shape *find(pcv_lowp *l, int type, int k, int n)
{
    pcv_shape *s = l->first;

    while (s && (s->type != type || s->k != k || s->n != n))
        s = s->next;
    return s;
}

/* With a tile and one place, so that there is always one to wait for: 1, 0
 * when this processor has none, -1. */
static int fill(pcv_shape *s)
{
    int r = pcv_tile_open(&s->tile, s->type, s->k, s->n);

    if (r == 1 && !(s->free = pcv_place_open(s->tile)))
        r = -1;
    return r;
}

static int make_shape(pcv_lowp *l, int type, int k, int n, pcv_shape **out)
{
    pcv_shape *s = pcv_alloc(1, sizeof *s);
    int r;

    if (!s)
        return -1;
    *s = (pcv_shape){ .lowp = l, .type = type, .k = k, .n = n,
                      .next = l->first };
    r = fill(s);
    if (r != 1) {
        shape_close(s);
        return r;
    }
    *out = l->first = s;
    return 1;
}

/* Of several threads one makes it. */
static int shape_of(pcv_lowp *l, int type, int k, int n, pcv_shape **out)
{
    int r = 1;

    k = pcv_lowp_round(k);
    n = pcv_lowp_round(n);
    pthread_mutex_lock(&l->making);
    if (!(*out = find(l, type, k, n)))
        r = make_shape(l, type, k, n, out);
    pthread_mutex_unlock(&l->making);
    return r;
}

static pcv_place *take_free(pcv_shape *s)
{
    pcv_place *p = s->free;

    if (p)
        s->free = p->next;
    return p;
}

pcv_place *pcv_shape_take(pcv_shape *s)
{
    pcv_lowp *l = s->lowp;
    pcv_place *p;

    pthread_mutex_lock(&l->lock);
    p = take_free(s);
    pthread_mutex_unlock(&l->lock);
    if (p || (p = pcv_place_open(s->tile)))
        return p;
    pcv_error_clear();          /* no memory for another: wait for one */
    pthread_mutex_lock(&l->lock);
    while (!(p = take_free(s)))
        pthread_cond_wait(&l->back, &l->lock);
    pthread_mutex_unlock(&l->lock);
    return p;
}

void pcv_shape_give(pcv_shape *s, pcv_place *p)
{
    pcv_lowp *l = s->lowp;

    pthread_mutex_lock(&l->lock);
    p->next = s->free;
    s->free = p;
    pthread_cond_broadcast(&l->back);
    pthread_mutex_unlock(&l->lock);
}

size_t pcv_shape_packed(const pcv_shape *s)
{
    return pcv_tile_packed(s->tile);
}

/* ---- shapes of attention --------------------------------------------- */

int pcv_lowp_heads(pcv_lowp *l, int qk, int v)
{
    static const int keys[] = { PCV_KEYS_MOST, PCV_KEYS_LEAST };
    pcv_shape *s;
    int r = 1;

    for (size_t i = 0; r == 1 && i < PCV_LEN(keys); i++) {
        r = shape_of(l, PCV_TILE_BF16, qk, keys[i], &s);
        if (r == 1)
            r = shape_of(l, PCV_TILE_BF16, keys[i], v, &s);
    }
    l->no_heads |= r != 1;
    return r < 0 ? -1 : 0;
}

pcv_lowp *pcv_packed_heads(const pcv_packed *p)
{
    return p && !p->lowp->no_heads ? p->lowp : NULL;
}

pcv_shape *pcv_lowp_scores(pcv_lowp *l, int qk, int keys)
{
    return find(l, PCV_TILE_BF16, pcv_lowp_round(qk), keys);
}

pcv_shape *pcv_lowp_sums(pcv_lowp *l, int v, int keys)
{
    return find(l, PCV_TILE_BF16, keys, pcv_lowp_round(v));
}

/* ---- packing --------------------------------------------------------- */

typedef struct {
    pcv_packed *p;
    const real *w;
    char *dense;                /* shape.n x shape.k of bf16 or int8 */
} packing;

enum { PACK_ROWS = 16 };

static void dense_bf16(const packing *j, int r)
{
    size_t in = (size_t)j->p->in;

    pcv_rows_get()->narrow(j->w + (size_t)r * in, j->p->in, 1,
                           (uint16_t *)(void *)j->dense +
                               (size_t)r * (size_t)j->p->shape->k);
}

/* Never reached where `real` is not float: no shape can be opened there. */
static void dense_int8(const packing *j, int r)
{
    pcv_packed *p = j->p;
    int8_t *q = (int8_t *)j->dense + (size_t)r * (size_t)p->shape->k;
    int32_t sum = 0;

    p->scale[r] = pcv_quantise((const float *)(const void *)j->w +
                                   (size_t)r * (size_t)p->in,
                               (size_t)p->in, q);
    for (int i = 0; i < p->in; i++)
        sum += q[i];
    p->shift[r] = 128 * sum;
}

static void dense_rows(void *arg, int i)
{
    const packing *j = arg;
    int end = (i + 1) * PACK_ROWS < j->p->out ? (i + 1) * PACK_ROWS
                                              : j->p->out;

    for (int r = i * PACK_ROWS; r < end; r++)
        if (j->p->scale)
            dense_int8(j, r);
        else
            dense_bf16(j, r);
}

static int pack(pcv_packed *p, const real *w)
{
    size_t size = p->scale ? 1 : 2;
    packing j = { p, w, pcv_alloc((size_t)p->shape->n * (size_t)p->shape->k,
                                  size) };
    pcv_place *place;

    p->w = pcv_alloc(pcv_shape_packed(p->shape), 1);
    if (!j.dense || !p->w) {
        pcv_free(j.dense);
        return -1;
    }
    pcv_parallel((p->out + PACK_ROWS - 1) / PACK_ROWS, dense_rows, &j);
    place = pcv_shape_take(p->shape);
    pcv_place_pack(place, j.dense, true, p->w);
    pcv_shape_give(p->shape, place);
    pcv_free(j.dense);
    return 0;
}

static int no_products(const pcv_lowp *l)
{
    return pcv_fail(EX_USAGE, "this processor has no fast products of %s",
                    l->precision == PCV_BF16_PRODUCTS ? "bf16" : "int8");
}

static int packed_fill(pcv_packed *p, const real *w)
{
    bool bytes = p->lowp->precision == PCV_INT8_PRODUCTS;
    int r = shape_of(p->lowp, bytes ? PCV_TILE_INT8 : PCV_TILE_BF16, p->in,
                     p->out, &p->shape);

    if (r != 1)
        return r < 0 ? -1 : no_products(p->lowp);
    if (bytes) {
        p->scale = pcv_alloc((size_t)p->out, sizeof *p->scale);
        p->shift = pcv_alloc((size_t)p->out, sizeof *p->shift);
        if (!p->scale || !p->shift)
            return -1;
    }
    return pack(p, w);
}

pcv_packed *pcv_packed_open(pcv_lowp *l, const real *w, int out, int in)
{
    pcv_packed *p = NULL;

    if (l->precision == PCV_INT8_PRODUCTS && in > MOST)
        pcv_fail(EX_DATAERR, "a layer of %d inputs, int8 takes at most %d", in,
                 MOST);
    else
        p = pcv_alloc(1, sizeof *p);
    if (!p)
        return NULL;
    p->lowp = l;
    p->out = out;
    p->in = in;
    if (packed_fill(p, w) == 0)
        return p;
    pcv_packed_close(p);
    return NULL;
}

void pcv_packed_close(pcv_packed *p)
{
    if (!p)
        return;
    pcv_free(p->w);
    pcv_free(p->scale);
    pcv_free(p->shift);
    pcv_free(p);
}

/* ---- products -------------------------------------------------------- */

typedef struct {
    const pcv_packed *p;
    const real *x, *b;
    real *y;
    int rows;
} product;

static void tile_bf16(const product *j, pcv_place *place, int at, int rows)
{
    const pcv_packed *p = j->p;
    const pcv_rows *k = pcv_rows_get();
    const float *c = place->c;

    for (int r = 0; r < rows; r++)
        k->narrow(j->x + (size_t)(at + r) * (size_t)p->in, p->in, 1,
                  (uint16_t *)place->a + (size_t)r * (size_t)p->shape->k);
    pcv_place_run(place, p->w);
    for (int r = 0; r < rows; r++, c += p->shape->n) {
        real *y = j->y + (size_t)(at + r) * (size_t)p->out;

        memcpy(y, c, (size_t)p->out * sizeof *c);       /* real is float */
        if (j->b)
            k->add(y, j->b, p->out);
    }
}

static void tile_int8(const product *j, pcv_place *place, int at, int rows)
{
    const pcv_packed *p = j->p;
    const pcv_rows *k = pcv_rows_get();
    const int32_t *c = place->c;
    float scale[ROWS];

    for (int r = 0; r < rows; r++) {
        const real *x = j->x + (size_t)(at + r) * (size_t)p->in;
        float most = k->peak(x, p->in);

        scale[r] = most / 127;
        k->quant(x, p->in, most < 1e-30f ? 0 : 127 / most,
                 (uint8_t *)place->a + (size_t)r * (size_t)p->shape->k);
    }
    pcv_place_run(place, p->w);
    for (int r = 0; r < rows; r++, c += p->shape->n)
        k->dequant(c, p->shift, p->scale, scale[r], j->b, p->out,
                   j->y + (size_t)(at + r) * (size_t)p->out);
}

static void tile(void *arg, int i)
{
    const product *j = arg;
    int at = i * ROWS, rows = j->rows - at < ROWS ? j->rows - at : ROWS;
    pcv_place *place = pcv_shape_take(j->p->shape);

    if (j->p->scale)
        tile_int8(j, place, at, rows);
    else
        tile_bf16(j, place, at, rows);
    pcv_shape_give(j->p->shape, place);
}

void pcv_packed_product(const pcv_packed *p, const real *x, int rows,
                        const real *b, real *y)
{
    product j = { p, x, b, y, rows };

    pcv_parallel((rows + ROWS - 1) / ROWS, tile, &j);
}
