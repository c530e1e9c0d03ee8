/* kern.h - floor 1: arithmetic on arrays.  Everything above is written in
 * terms of this header alone, so another processor is another kern/. */
#ifndef PCV_KERN_H
#define PCV_KERN_H

#include "../base/base.h"

/* The number the network is made of.  -DPCV_DOUBLE builds the same sources
 * in double precision, for checking gradients against differences. */
#ifdef PCV_DOUBLE
typedef double real;
#define PCV_REAL PCV_F64
#else
typedef float real;
#define PCV_REAL PCV_F32
#endif

/* ---- gemm.c: the only file that includes cblas.h --------------------- */

/* C (m x n, row stride ldc) = alpha op(A) op(B) + beta C, row-major: op(A)
 * is m x k, op(B) k x n, transposed where ta, tb say so.  One call of a
 * single-threaded BLAS on the calling thread. */
void pcv_gemm(bool ta, bool tb, int m, int n, int k, real alpha,
              const real *a, int lda, const real *b, int ldb,
              real beta, real *c, int ldc);

/* The same on all threads: C is cut into panels whose size depends on m and
 * n alone, so the bits do not depend on the number of threads. */
void pcv_matmul(bool ta, bool tb, int m, int n, int k, real alpha,
                const real *a, int lda, const real *b, int ldb,
                real beta, real *c, int ldc);

/* "OpenBLAS 0.3.21 SkylakeX": name, version, kernel in use. */
const char *pcv_blas_name(void);

/* OpenBLAS takes a processor newer than itself for one of twenty years ago
 * and runs at a quarter of the speed.  The value of OPENBLAS_CORETYPE that
 * would be right then (it must be set before OpenBLAS is loaded); NULL: the
 * kernel in use fits. */
const char *pcv_blas_better(void);

/* Is there room for one more thread's products?  0, or -1 with a message;
 * asked before a thread's first one, because OpenBLAS hangs without. */
int pcv_blas_room(void);

/* ---- rows.inc.c: every vector loop, once per instruction set --------- */

/* A run of elements of a grid, as the structured attend sees them
 * (nn/grid_attend.c has the algebra). */
typedef struct {
    int n;                      /* elements */
    int c;                      /* content channels handled here: 0, 1 or 3 */
    const real *content[3];     /* c rows of n */
    const real *rstd;           /* n: LayerNorm's 1 / deviation of each */
    const real *bias;           /* n: 0, or -INFINITY where masked; NULL */
} pcv_run;

/* What a query brings: its folded vector u, whose mean over the channels is
 * zero, split along them. */
typedef struct {
    real content[3];            /* u of the content channels */
    real base;                  /* what all of them get */
    const real *table;          /* n: u . F, the position's part */
    const real *dots;           /* n: u . content, made by a product; NULL */
} pcv_fold;

/* Sums over a run that the weighted sum needs. */
typedef struct {
    double p, w;                /* sum p, sum p r */
    double content[3];          /* sum p r content */
} pcv_sums;

/* Whole rows of a grid's tile, as the forward pass sweeps over them. */
typedef struct {
    int rows, n, c;             /* rows of n elements; c = 1 or 3 */
    const real *content[3];     /* c times rows of n, .. */
    int stride;                 /* .. so far apart */
    const real *rstd;           /* rows x n */
    real u[3];                  /* the query's part: of the content, .. */
    const real *base;           /* .. rows: of each row, .. */
    const real *table;          /* .. n: of each column */
    real least;                 /* -126: scores further below the shift count
                                   as this far; not a constant of the loop,
                                   because compilers then make a branch of it */
} pcv_sweep;

typedef struct {
    const char *name;           /* "avx512" */
    real (*max)(const real *x, int n);              /* -INFINITY if n = 0 */
    /* x = exp(x - shift); returns the sum */
    real (*exp_sum)(real *x, int n, real shift);
    void (*scale)(real *x, int n, real a);          /* x *= a */
    void (*axpy)(real *y, const real *x, int n, real a);    /* y += a x */
    void (*add)(real *y, const real *x, int n);             /* y += x */
    real (*dot)(const real *x, const real *y, int n);
    /* y = x g a less its mean; g NULL: x a */
    void (*center)(const real *x, int n, const real *g, real a, real *y);
    /* y = (x - mean) rstd g + b; stats[0] = mean, stats[1] = rstd */
    void (*norm)(const real *x, int n, const real *g, const real *b,
                 real *y, real *stats);
    /* dx += the gradient through the norm of one row */
    void (*norm_back)(const real *x, int n, const real *g, const real *stats,
                      const real *dy, real *dx);
    /* dg += dy (x - mean) rstd, db += dy: one row's share */
    void (*norm_sums)(const real *x, int n, const real *stats, const real *dy,
                      real *dg, real *db);
    void (*gelu)(const real *x, int n, real *y);            /* erf form */
    void (*gelu_back)(const real *x, int n, const real *dy,
                      real *dx /* = , not += */);
    void (*gelu_tanh)(const real *x, int n, real *y);
    void (*gelu_tanh_back)(const real *x, int n, const real *dy, real *dx);
    /* p = exp(s - lse); ds = p (dp - d): one row of attention backward */
    void (*soft_back)(real *s, real *dp, int n, real lse, real d);
    /* AdamW's moments and the update u = mhat / (sqrt(vhat) + eps) + wd w */
    void (*adam)(const real *g, int n, real gscale, real *m, real *v,
                 real b1, real b2, real c1, real c2, real eps, real wd,
                 const real *w, real *u);
    /* s = r (u . x) [+ bias]; returns the largest */
    real (*grid_score)(const pcv_run *r, const pcv_fold *u, real *s);
    /* p = 2^(s - top), w = p r: s = w, sums += */
    void (*grid_weigh)(const pcv_run *r, real *s, real top, pcv_sums *sums);
    /* Both at once: p = 2^(s - shift), w = p r; column += sums of w over the
     * rows, row = over columns, sums +=; returns the largest s - shift.  Where
     * that is above 126 everything else is of no use. */
    real (*grid_sweep)(const pcv_sweep *t, real shift, real *column,
                       real *row, pcv_sums *sums);
    /* p = exp(s - lse), dp like s with dz for u, w = p (dp - d) r:
     * sums of w */
    void (*grid_back)(const pcv_run *r, const pcv_fold *dz, real lse, real d,
                      const real *s, real *p, real *dp, real *w,
                      pcv_sums *sums);
    /* s = rstd (s + the rows of 1 to 3 tables) + bias; returns the largest
     * (nn/grid_ask.c) */
    real (*ask_score)(real *s, int n, real rstd, const real *const *table,
                      int tables, const real *bias);
    /* out (rows x n) = table[column] + base[row] */
    void (*outer_add)(const real *table, const real *base, int rows, int n,
                      real *out);
    /* column += sums over the rows of x (rows x n), row = over columns */
    void (*outer_sum)(const real *x, int rows, int n, real *row, real *column);
    /* largest |x|; NaN if any is NaN or infinite */
    float (*peak)(const real *x, int n);
    /* q = 128 + x * a to the nearest integer, for |x * a| < 127.5 */
    void (*quant)(const real *x, int n, float a, uint8_t *q);
    /* y = (x - shift) * (scale a) [+ b] */
    void (*dequant)(const int32_t *x, const int32_t *shift,
                    const float *scale, float a, const real *b, int n,
                    real *y);
    /* y = a x as bfloat16: nearest, ties to even; NaN stays one */
    void (*narrow)(const real *x, int n, real a, uint16_t *y);
    /* the same of exp(x - shift); returns the sum before rounding */
    real (*exp_narrow)(const float *x, int n, real shift, uint16_t *y);
    /* LayerNorm statistics of n elements of `channels` in all, of which c
     * planes are content; the rest adds sum[i] + sum0, square[i] + square0 */
    void (*grid_stats)(const real *content, size_t plane, int c, int n,
                       const double *sum, const double *square, double sum0,
                       double square0, int channels, real *mean, real *rstd);
} pcv_rows;

/* ---- onednn.c: the only file that includes oneDNN's header ----------- */

/* "oneDNN 2.6.3"; NULL: built without, and no tile can be opened. */
const char *pcv_onednn_name(void);

enum { PCV_TILE_ROWS = 64 };
enum { PCV_TILE_BF16,           /* A, B of bfloat16, C of float */
       PCV_TILE_INT8 };         /* A of uint8_t, B of int8_t, C of int32_t */

/* A shape of products C (64 x n) = A (64 x k) B (k x n), row-major; k and n
 * multiples of 64.  Opens: 1; 0 when this processor has no fast products of the
 * type; -1 with a message. */
typedef struct pcv_tile pcv_tile;
int pcv_tile_open(pcv_tile **t, int type, int k, int n);
void pcv_tile_close(pcv_tile *t);               /* NULL ok */
size_t pcv_tile_packed(const pcv_tile *t);      /* bytes of B in its order */

/* Where one thread at a time makes them: its own A and C. */
typedef struct pcv_place pcv_place;
struct pcv_place {
    void *a, *c;
    pcv_place *next;            /* of whoever keeps a list of them */
};
pcv_place *pcv_place_open(pcv_tile *t);         /* NULL: out of memory */
void pcv_place_close(pcv_place *p);             /* NULL ok */
/* Puts B, k x n or (transposed) n x k, into the order of products. */
void pcv_place_pack(pcv_place *p, const void *b, bool transposed, void *packed);
void pcv_place_run(pcv_place *p, const void *packed);

/* ---- lowp.c: weights and products of 16 and 8 bits -------------------- */

enum pcv_precision { PCV_FULL, PCV_BF16_PRODUCTS, PCV_INT8_PRODUCTS };

/* What all products of a model share: their shapes, and places, as many as
 * there ever were threads at once. */
typedef struct pcv_lowp pcv_lowp;
pcv_lowp *pcv_lowp_open(int precision);         /* NULL with a message */
void pcv_lowp_close(pcv_lowp *l);               /* NULL ok */

/* A matrix of weights for products of that precision: rounded to bfloat16, or
 * each row (output) to -127 .. 127 times a scale of its own (pcv_quantise). */
typedef struct pcv_packed pcv_packed;
pcv_packed *pcv_packed_open(pcv_lowp *l, const real *w /* out x in */, int out,
                            int in);            /* NULL with a message; safe
                                                   from several threads */
void pcv_packed_close(pcv_packed *p);           /* NULL ok */
/* y (rows x out) = x (rows x in) W^T + b (NULL: 0), on all threads.  Rows of x
 * are rounded to bfloat16, or to a scale of their own and -127 .. 127; a row of
 * y depends on its row of x alone, bit for bit. */
void pcv_packed_product(const pcv_packed *p, const real *x, int rows,
                        const real *b, real *y);

/* Shapes for attention, whose products are of bfloat16 at either precision:
 * heads of qk and v channels.  0 (also where this processor has none: then
 * attention stays in float), -1 with a message. */
int pcv_lowp_heads(pcv_lowp *l, int qk, int v);
/* What such a layer's attention is computed with; NULL: in float. */
pcv_lowp *pcv_packed_heads(const pcv_packed *p);
enum { PCV_KEYS_MOST = 512, PCV_KEYS_LEAST = 64 };      /* keys at a time */
/* Shapes of scores (64 x keys) = queries keys^T and of sums = weights values,
 * where keys is one of these two; never NULL after pcv_lowp_heads. */
typedef struct pcv_shape pcv_shape;
pcv_shape *pcv_lowp_scores(pcv_lowp *l, int qk, int keys);
pcv_shape *pcv_lowp_sums(pcv_lowp *l, int v, int keys);
size_t pcv_shape_packed(const pcv_shape *s);
pcv_place *pcv_shape_take(pcv_shape *s);        /* waits until one is free */
void pcv_shape_give(pcv_shape *s, pcv_place *p);
int pcv_lowp_round(int n);                      /* up to a multiple of 64 */

/* ---- resample.c ------------------------------------------------------ */

/* out [oh][ow][c] = in [h][w][c] stretched by cubic convolution, as PyTorch's
 * interpolate(mode="bicubic", align_corners=False) does. */
void pcv_bicubic_grid(const real *in, int h, int w, int c, real *out, int oh,
                      int ow);

/* ---- cpu.c ----------------------------------------------------------- */

/* The table of the best instruction set this processor has; PCV_CPU=base, avx2,
 * avx512 or neon in the environment forces a lower one. */
const pcv_rows *pcv_rows_get(void);
/* All compiled tables that this processor can run, base first; for tests. */
int pcv_rows_all(const pcv_rows *out[4]);

#endif
