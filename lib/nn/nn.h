/* nn.h - floor 2: layers.  A layer is a struct, an init that registers its
 * parameters by path, a forward and a backward.  Layers are called, not
 * listed: block.c is made of the others.
 *
 * Letters, the papers', everywhere: B items (samples), N latents or queries
 * of D channels, M input elements of C channels, O output queries of E
 * channels, H heads, T rows of a tile.  Matrices are row-major; rows of a
 * batch are item-major: B*N rows of D.  Shapes stand beside each pointer.
 *
 * Shapes are checked when a model is built, so forward and backward cannot
 * fail and return nothing.  Every backward ADDS to the gradients it makes,
 * of parameters and of inputs alike (dx may be NULL: not wanted): sharing,
 * residuals and repeated reads of the input need no special case. */
#ifndef PCV_NN_H
#define PCV_NN_H

#include "../kern/kern.h"

/* ---- param.c: named parameters --------------------------------------- */

typedef struct {
    char *name;                 /* path in the file, Hugging Face's */
    int rank;
    size_t dim[4], count;
    real mean, std;             /* initialised as mean + std * truncated
                                   normal (|z| <= 2) */
    bool decay;                 /* weight decay: not biases, not norms */
    real *w, *g;                /* values; gradient or NULL */
} pcv_param;

typedef struct {
    pcv_param **param;          /* in the order of registration */
    int count, cap;
    size_t total;               /* elements */
    real *w, *g;                /* the two slabs, each `total` long */
    bool failed;                /* an allocation failed while registering */
} pcv_params;

/* Registers "PATH.NAME" (or PATH when name is ""), dim2 0 for a vector; an
 * array of more axes gives its own rank and dim afterwards, of as many
 * elements.  Never NULL: on failure params->failed is set and a dummy is
 * returned. */
pcv_param *pcv_param_add(pcv_params *p, const char *path, const char *name,
                         size_t dim1, size_t dim2, real mean, real std,
                         bool decay);
int pcv_params_weights(pcv_params *p);          /* allocates the w slab */
int pcv_params_grads(pcv_params *p);            /* and the g slab */
void pcv_params_init(pcv_params *p, uint64_t seed);
pcv_param *pcv_params_find(const pcv_params *p, const char *name); /* NULL */
void pcv_params_free(pcv_params *p);

/* ---- linear.c: y = x W^T + b ----------------------------------------- */

typedef struct {
    pcv_param *w, *b;           /* out x in; out, or NULL: no bias */
    int in, out;
    pcv_packed *packed;         /* w for products of 16 or 8 bits; NULL: real */
} pcv_linear;

/* std 0: weights start at zero (output layers). */
void pcv_linear_init(pcv_linear *l, pcv_params *p, const char *path, int in,
                     int out, bool bias, double std);
void pcv_linear_forward(const pcv_linear *l, const real *x /* rows x in */,
                        int rows, real *y /* rows x out */);
void pcv_linear_backward(const pcv_linear *l, const real *x, const real *dy,
                         int rows, real *dx);
/* db += column sums of dy (rows x n), each column on one thread. */
void pcv_column_sums(const real *dy, int rows, int n, real *db);

/* ---- norm.c: layer norm over the last axis --------------------------- */

typedef struct {
    pcv_param *g, *b;
    int n;
} pcv_norm;

void pcv_norm_init(pcv_norm *l, pcv_params *p, const char *path, int n);
void pcv_norm_forward(const pcv_norm *l, const real *x /* rows x n */,
                      int rows, real *y, real *stats /* rows x 2 */);
void pcv_norm_backward(const pcv_norm *l, const real *x, const real *stats,
                       const real *dy, int rows, real *dx);

/* ---- act.c ----------------------------------------------------------- */

enum pcv_act { PCV_GELU, PCV_GELU_TANH, PCV_RELU, PCV_GEGLU, PCV_SILU,
               PCV_QUICK_GELU, PCV_TANH, PCV_SIGMOID, PCV_MISH, PCV_RELU6,
               PCV_LINEAR, PCV_GELU_10, PCV_ACTS };

/* Values that go in for each that comes out: 2 for GEGLU, else 1. */
int pcv_act_inputs(int act);
/* rows x n outputs from rows x (n times that many) inputs. */
void pcv_act_forward(int act, const real *x, int rows, int n, real *y);
/* dx may be dy where as many go in as come out. */
void pcv_act_backward(int act, const real *x, int rows, int n, const real *dy,
                      real *dx /* = , not += */);

/* ---- drop.c: dropout from the counter generator ---------------------- */

/* What makes a pass: seed and step key the random numbers, so that a
 * recomputed forward drops the same. */
typedef struct {
    uint64_t seed, step;
    double dropout;             /* probability; 0 at inference */
    int first;                  /* place of the first item in the step's whole
                                   batch, of which this pass may be a part */
} pcv_pass;

/* x (items x each) *= mask / (1 - rate); the mask is a function of (pass,
 * layer, place of the item, index).  Forward and backward are the same call. */
void pcv_dropout(const pcv_pass *pass, uint64_t layer, real *x, int items,
                 size_t each);

/* ---- loss.c ---------------------------------------------------------- */

/* Each returns the sum over rows of the loss of outputs y against targets t
 * (both rows x k) and, unless dy is NULL, sets dy (rows x k) to scale times its
 * gradient.  A row whose target begins with NaN wants nothing: its loss and
 * gradient are 0. */
typedef double pcv_loss(const real *y, const real *t, int rows, int k,
                        double scale, real *dy);
/* -sum_i t_i log softmax(y)_i, t a distribution. */
pcv_loss pcv_cross_entropy;
/* Of the k labels, each there or not: mean of -t log s - (1 - t) log(1 - s),
 * s = sigmoid(y), t in [0, 1]. */
pcv_loss pcv_binary_cross_entropy;
/* Mean over k of (y - t)^2. */
pcv_loss pcv_squared_error;
/* Place of the largest of k. */
int pcv_largest(const real *x, int k);
/* p = softmax(p), k values. */
void pcv_softmax(double *p, size_t k);

/* ---- position.c: Fourier features (Perceiver, section 3.2) ----------- */

enum pcv_position { PCV_POS_NONE, PCV_POS_FOURIER, PCV_POS_NERF,
                    PCV_POS_LEARNED };

/* One axis of a position code: `bands` frequencies from 1 to max_res / 2,
 * evenly spaced with both ends (NeRF: powers of two), columns
 * [x | sin(pi f x) ... | cos(pi f x) ...]: 2 bands + 1 of them. */
void pcv_fourier_axis(int kind, int bands, double max_res, const double *x,
                      int n, real *out /* n x (2 bands + 1) */);
/* The position of grid index i of n: linspace(-1, 1, n). */
double pcv_grid_position(int i, int n);
/* The same code along an axis of n places that is too long for a table: exact
 * every PCV_LINE places, and from there turned by the angles of the places in
 * between, in double, so that a place's features do not depend on where a tile
 * begins. */
enum { PCV_LINE = 64 };
typedef struct {
    int kind, bands, n;
    double max_res;
    const double *turn;         /* PCV_LINE x bands x (sine, cosine) */
} pcv_line;
void pcv_line_turns(const pcv_line *l, double *turn);   /* fills it */
/* Places at .. at+n: x (1), sine and cosine (`bands` each) of each, rows of
 * stride ld. */
void pcv_line_rows(const pcv_line *l, int at, int n, real *x, real *sine,
                   real *cosine, int ld);
/* Where column `col` of axis a of d stands in the published channel order:
 * all raw positions, then all sines, then all cosines. */
int pcv_fourier_channel(int d, int bands, int a, int col);

/* ---- conv.c: the convolution stem ------------------------------------ */

/* y = maxpool3(relu(batchnorm(conv7(x)))): 7x7 at stride 2 with three zeros
 * around and no bias, norm by stored statistics (eps 1e-5), largest of 3x3 at
 * stride 2 without padding.  224 -> 112 -> 55 a side.  (Perceiver IO, appendix
 * A; the sizes are those of the Hugging Face model.)  Inference only. */
typedef struct {
    int in, out;
    pcv_param *kernel;          /* out x in x 7 x 7 */
    pcv_param *gain, *bias, *mean, *var;        /* out */
} pcv_conv;

void pcv_conv_init(pcv_conv *v, pcv_params *p, const char *path, int in,
                   int out);
/* One side of the result for n pixels; less than 1: too small. */
int pcv_conv_size(int n);
/* Reals of scratch that forward wants for an h x w picture. */
size_t pcv_conv_scratch(const pcv_conv *v, int h, int w);
void pcv_conv_forward(const pcv_conv *v, const real *x /* in x h x w */, int h,
                      int w, real *y /* out planes */, real *scratch);

/* ---- tokens: where rows come from (implementations: tokens/) --------- */

/* Rows with structure: a grid whose elements are
 * [content | one feature table per axis | constant].  The last axis is the
 * innermost.  structured-attend notes: grid_attend.c. */
typedef struct {
    int axes, len[3];
    const real *table[3];       /* len[a] x cols[a] */
    int cols[3];
    const int *channel[3];      /* cols[a]: channel of each column */
    int c;                      /* content channels: 0 .. c-1 of the row */
    const real *content;        /* item * item_stride + channel * plane + j */
    size_t plane, item_stride;
    real *dcontent;             /* the same layout, += ; NULL */
    int k_at, k_n;              /* constant channels: first, how many */
    const real *k;              /* their values; NULL: all zero */
    real *dk;                   /* items x k_n, += ; NULL */
} pcv_segment;

typedef struct pcv_tokens pcv_tokens;
struct pcv_tokens {
    int items;                  /* B */
    int n, c;                   /* M rows of C channels per item */
    const unsigned char *mask;  /* B x M, 1 keep; NULL: all */
    /* Rows at .. at+n of an item into out (n x C). */
    void (*tile)(const pcv_tokens *t, int item, int at, int n, real *out);
    /* += into whatever the rows were made of; NULL: nothing learns. */
    void (*tile_backward)(const pcv_tokens *t, int item, int at, int n,
                          const real *dout);
    const pcv_segment *segment; /* segments of them in order; 0: no structure */
    int segments;
    void *self;                 /* the implementation's */
};

/* ---- attend.c: softmax attention over projected rows ----------------- */

/* Reads a source with queries: keys and values are projections of its
 * normalised rows. */
typedef struct {
    const pcv_norm *norm;       /* of the source */
    const pcv_linear *key, *value;
    int heads;
} pcv_reader;

/* Which way to compute; all give the same numbers up to rounding. */
enum pcv_form {
    PCV_FORM_AUTO,              /* grid where there is structure, folded where
                                   that is cheaper, else plain while it is
                                   small, else tiled */
    PCV_FORM_PLAIN,             /* whole matrices */
    PCV_FORM_TILED,             /* keys streamed, online softmax */
    PCV_FORM_FOLDED,            /* rows streamed, no keys (fold_attend.c) */
    PCV_FORM_GRID,              /* structured (grid_attend.c) */
    PCV_FORM_KEPT               /* whole keys and values, made once by
                                   pcv_block_prepare and read many times */
};

/* Queries folded for a grid, kept where every pass asks the same ones: the
 * first cross-attend at inference, whose queries are the learned latents. */
typedef struct {
    real *full;                 /* N*H x C */
    real *table;                /* of each axis of each segment: N*H x len */
    real *shift;                /* N*H: what the softmax does not see */
    bool ready;                 /* set by the first forward */
} pcv_folds;

/* What forward leaves for backward; taken from an arena by the layout. */
typedef struct {
    pcv_folds *folds;           /* grid: the caller's, set after the layout;
                                   NULL: folded anew in every pass */
    real *lse;                  /* B x N x H: log-sum-exp of the scores */
    real *z;                    /* grid, folded: B x N x H x C pooled inputs */
    real *k, *v;                /* kept: B x M x qk, B x M x v */
} pcv_read_record;

void pcv_read_layout(const pcv_reader *r, const pcv_tokens *t, int n, int form,
                     pcv_arena *a, pcv_read_record *rec);
/* Scratch bytes that forward, or forward and backward, take and release. */
size_t pcv_read_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        int form, bool backward);
void pcv_read_forward(const pcv_reader *r, const pcv_tokens *t, int n, int form,
                      const real *q /* B*N x qk */, real *y /* B*N x v */,
                      pcv_read_record *rec, pcv_arena *scratch);
void pcv_read_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       int form, const real *q, const real *y, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch);

/* Keys and values of a source, for PCV_FORM_KEPT; and from their gradients
 * (used up) through projections and norm to the source. */
void pcv_read_prepare(const pcv_reader *r, const pcv_tokens *t,
                      pcv_read_record *rec, pcv_arena *scratch);
void pcv_read_prepare_backward(const pcv_reader *r, const pcv_tokens *t,
                               real *dk, real *dv, pcv_arena *scratch);
size_t pcv_read_prepare_scratch(const pcv_reader *r, const pcv_tokens *t);

/* The core: queries, keys and values that are there already.  B items of n
 * queries (B*n x qk) and m keys (B*m x qk), values (B*m x v). */
typedef struct {
    int items, n, m, heads, qk, v;
    const unsigned char *mask;  /* B x m; NULL */
    pcv_lowp *low;              /* products of bfloat16; NULL: of real */
} pcv_core;

void pcv_core_forward(const pcv_core *c, const real *q, const real *k,
                      const real *v, real *y, real *lse /* B x n x H */,
                      pcv_arena *scratch);
void pcv_core_backward(const pcv_core *c, const real *q, const real *k,
                       const real *v, const real *y, const real *lse,
                       const real *dy, real *dq, real *dk, real *dv,
                       pcv_arena *scratch);
size_t pcv_core_scratch(const pcv_core *c, bool backward);

/* ---- fold.c: projections on the other side of the attention ---------- */

/* raw (B*N x H x C) = W_k^T q / sqrt(qk / H), per head; and from du, the
 * gradient of u = gain * raw, which it overwrites: dq +=, W_k, the gain. */
void pcv_fold_queries(const pcv_reader *r, int items, int n,
                      const real *q /* B*N x qk */, real *raw);
void pcv_fold_queries_backward(const pcv_reader *r, int rows, const real *q,
                               const real *raw, real *du, real *dq);
/* y (B*N x v) = W_v (gain * z + bias) + b_v, z the pooled normalised rows
 * (B*N x H x C), a scratch of that size; and dz = from dy, W_v, b_v, gain and
 * bias. */
void pcv_unfold_values(const pcv_reader *r, int items, int n, const real *z,
                       real *a, real *y);
void pcv_unfold_values_backward(const pcv_reader *r, int rows, const real *dy,
                                const real *z, real *a, real *dz);
/* What every score of a read has beyond u . xh: rows x H. */
void pcv_fold_shift(const pcv_reader *r, int rows, const real *q,
                    const real *raw, real *shift);

/* ---- fold_attend.c: attention to rows without keys and values -------- */

void pcv_fold_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                      const real *q, real *y, pcv_read_record *rec,
                      pcv_arena *scratch);
void pcv_fold_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       const real *q, const real *y, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch);
size_t pcv_fold_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        bool backward);

/* ---- attend_low.c: the core forward with products of bfloat16 -------- */

/* sum NULL: as pcv_core_forward.  Else lse is the largest score so far and y
 * and sum (B x n x H) go on from what they are. */
void pcv_low_core(const pcv_core *c, const real *q, const real *k,
                  const real *v, real *y, real *lse, real *sum,
                  pcv_arena *scratch);
size_t pcv_low_core_scratch(const pcv_core *c);

/* ---- grid_attend.c: the same attention over a grid, without its rows ---- */

void pcv_grid_forward(const pcv_reader *r, const pcv_tokens *t, int n,
                      const real *q, real *y, pcv_read_record *rec,
                      pcv_arena *scratch);
void pcv_grid_backward(const pcv_reader *r, const pcv_tokens *t, int n,
                       const real *q, const real *y, const real *dy,
                       const pcv_read_record *rec, real *dq,
                       pcv_arena *scratch);
size_t pcv_grid_scratch(const pcv_reader *r, const pcv_tokens *t, int n,
                        bool backward);
/* Room for kept folds; false, and none, where they would be too large. */
bool pcv_folds_layout(const pcv_reader *r, const pcv_tokens *t, int n,
                      pcv_arena *a, pcv_folds *f);

/* ---- block.c: the attend block --------------------------------------- */

/* norm, project, attend, project, residual; norm, MLP, residual.  One kind of
 * block serves cross-attention (source: tokens), self-attention (source: its
 * own normalised input) and decoding (source: latents, as tokens). */
typedef struct {
    int d, qk, v, heads, widening, act;
    bool cross, residual;       /* residual: the query's own rows are added */
    bool no_mlp;                /* y = x1 */
    bool outer;                 /* one residual, around everything */
    pcv_linear out2;            /* a second projection, when used */
    pcv_param *bias_k, *bias_v; /* one more key and its value, or NULL */
    pcv_norm norm_q, norm_kv, norm_mlp;     /* norm_kv: cross only */
    pcv_linear query, key, value, out, up, down;
} pcv_block;

typedef struct {
    int d;                      /* channels of the queries */
    int kv;                     /* of the source; 0: self-attention */
    int qk, v;                  /* widths of queries/keys and of values */
    int heads, widening, act;
    bool residual;
    bool no_mlp;                /* nothing after the attention */
    bool no_bias;               /* of queries, keys and values */
    /* what one trained model on MNIST has; inference only */
    bool outer;                 /* y = x + MLP(attended): no other residual */
    bool out_twice;             /* two layers behind the attention */
    bool extra_key;             /* a learned key and value beside the others */
} pcv_block_shape;

/* Layer names as published: PATH.attention.self.query.weight, ... */
void pcv_block_init(pcv_block *b, pcv_params *p, const char *path,
                    const pcv_block_shape *s);

typedef struct {
    real *a, *a_stats;          /* normalised input */
    real *q, *k, *v;            /* k, v: self-attention only */
    real *z, *lse;              /* attended, before the output projection */
    real *x1, *m, *m_stats;     /* after attention; normalised for the MLP */
    real *h, *g;                /* MLP before and after the activation */
    pcv_read_record read;
} pcv_block_record;

/* rows = items * n of the queries; t NULL for self-attention. */
void pcv_block_layout(const pcv_block *b, const pcv_tokens *t, int items,
                      int n, int form, pcv_arena *a, pcv_block_record *rec);
size_t pcv_block_scratch(const pcv_block *b, const pcv_tokens *t, int items,
                         int n, int form, bool backward);
/* PCV_FORM_KEPT: keys and values of the source into the record. */
void pcv_block_prepare(const pcv_block *b, const pcv_tokens *t,
                       pcv_block_record *rec, pcv_arena *scratch);
/* use: number of this use in the plan (keys the dropout). */
void pcv_block_forward(const pcv_block *b, const pcv_tokens *t, int items,
                       int n, int form, const pcv_pass *pass, int use,
                       const real *x, real *y, pcv_block_record *rec,
                       pcv_arena *scratch);
/* dx += ; dy is used up (overwritten). */
void pcv_block_backward(const pcv_block *b, const pcv_tokens *t, int items,
                        int n, int form, const pcv_pass *pass, int use,
                        const real *x, real *dy, const pcv_block_record *rec,
                        real *dx, pcv_arena *scratch);

/* ---- grid_ask.c: queries on a grid read the latents ------------------ */

/* Latents folded for the queries of one grid: N of them times H reads. */
typedef struct {
    int n, reads;
    real *content;              /* reads x c */
    real *table[3];             /* len[a] x reads */
    real *bias;                 /* reads */
    real *value;                /* reads x E, through the output projection */
} pcv_ask_fold;

void pcv_ask_layout(const pcv_block *b, const pcv_segment *s, int n,
                    pcv_arena *a, pcv_ask_fold *f);
size_t pcv_ask_scratch(const pcv_block *b, const pcv_segment *s, int n);
/* From the keys (N x qk) and values (N x v) of one item's latents. */
void pcv_ask_prepare(const pcv_block *b, const pcv_segment *s, const real *k,
                     const real *v, pcv_ask_fold *f, pcv_arena *scratch);
/* y (n x E) = what the queries of elements index[0..n) (NULL: 0..n-1) read,
 * projected; their rows are x (n x E). */
void pcv_ask_forward(const pcv_block *b, const pcv_segment *s,
                     const pcv_ask_fold *f, const int *index, int n,
                     const real *x, real *y, pcv_arena *scratch);
/* From dy (n x E): dk, dv (as k, v) += and the gradients of W_q, b_q, W_o, b_o
 * and the norm of the queries; none of the queries themselves, which are
 * positions (s->c is 0) without constant channels. */
void pcv_ask_backward(const pcv_block *b, const pcv_segment *s,
                      const pcv_ask_fold *f, const int *index, int n,
                      const real *k, const real *v, const real *x,
                      const real *dy, real *dk, real *dv, pcv_arena *scratch);
size_t pcv_ask_back_scratch(const pcv_block *b, const pcv_segment *s, int n,
                            int queries);

/* The block around it: t are the latents, whose keys and values
 * pcv_block_prepare left in the record, f those of each item folded; index is
 * items x n, or NULL. */
void pcv_block_ask(const pcv_block *b, const pcv_segment *s,
                   const pcv_ask_fold *f, int items, const int *index, int n,
                   const pcv_pass *pass, int use, const real *x, real *y,
                   pcv_block_record *rec, pcv_arena *scratch);
/* Uses dy up; the latents' gradient goes where t says. */
void pcv_block_ask_backward(const pcv_block *b, const pcv_tokens *t,
                            const pcv_segment *s, const pcv_ask_fold *f,
                            int items, const int *index, int n,
                            const pcv_pass *pass, int use, const real *x,
                            real *dy, const pcv_block_record *rec,
                            pcv_arena *scratch);
size_t pcv_block_ask_scratch(const pcv_block *b, const pcv_tokens *t,
                             const pcv_segment *s, int items, int n);

/* ---- cost.c: what the forms cost, and which is taken ----------------- */

/* FLOPs of n queries of one item reading a source in that form, from projected
 * queries to what they attended: with keys and values, or their folds. */
double pcv_read_cost(const pcv_reader *r, const pcv_tokens *t, int n, int form);
/* The form that `want` comes to. */
int pcv_read_form(const pcv_reader *r, const pcv_tokens *t, int n, int want);
const char *pcv_form_name(int form);            /* "grid" */
/* Of n rows of a block: all of query and output projections and MLP; the MLP
 * alone; scores and sums over keys and values that are there. */
double pcv_block_cost(const pcv_block *b, double n);
double pcv_mlp_cost(const pcv_block *b, double n);
double pcv_core_cost(const pcv_block *b, double keys, double n);
/* Of n rows, what a pass over a grid leaves out where folded queries are kept
 * (pcv_folds): of pcv_block_cost the query projection, of pcv_read_cost folding
 * it and its products with the tables. */
double pcv_folds_cost(const pcv_block *b, const pcv_tokens *t, double n);
/* Queries on a grid that read n latents, projected; folding those. */
double pcv_ask_cost(const pcv_block *b, const pcv_segment *s, int n,
                    double queries);
double pcv_ask_fold_cost(const pcv_block *b, const pcv_segment *s, int n);
/* Does that form serve queries of the grid (s->content is not looked at), and
 * is it the cheaper one? */
bool pcv_ask_serves(const pcv_block *b, const pcv_segment *s, int n);

#endif
