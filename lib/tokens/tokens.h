/* tokens.h - floor 3: where the rows that a block reads come from, and the
 * rows that are asked for.
 *
 * A stem turns what a file holds into rows and owns the parameters that takes
 * (embeddings, learned positions, projections).  A batch is a stem bound to
 * some inputs: its `tokens` are what attend reads.  A kind of stem is one file
 * and one row of stem.c's table. */
#ifndef PCV_TOKENS_H
#define PCV_TOKENS_H

#include "../nn/nn.h"

/* How inputs become rows; filled from a model's spec, read-only afterwards. */
typedef struct {
    int modality;               /* enum pcv_modality */
    int channels;               /* image: colours; points, plain: columns */
    int patch;                  /* sound: samples per row */
    int size[3];                /* learned positions: the grid they are for
                                   (image: height, width); text: length, .. */
    int position;               /* enum pcv_position */
    int bands;
    double max_res[3];          /* 0: the size of the grid at hand */
    int pos_channels;           /* learned positions: their width */
    bool pos_project;           /* and a square projection of them */
    int project;                /* content through a linear layer (Hugging
                                   Face's 1x1 convolution): width, 0 none */
    int vocab, embed;           /* text: ids, width of a row */
} pcv_stem_spec;

typedef struct pcv_stem_kind pcv_stem_kind;

typedef struct {
    pcv_stem_spec spec;
    const pcv_stem_kind *kind;
    int c;                      /* channels of a row */
    pcv_param *table;           /* learned positions, or text's */
    pcv_param *embedding;       /* text: vocab x embed */
    pcv_linear content, position;   /* the two projections, when used */
} pcv_stem;

/* A stem bound to B inputs. */
typedef struct {
    const pcv_stem *stem;
    pcv_tokens tokens;
    pcv_segment segment;
    int axes, len[3];           /* the grid at hand */
    int items_cap;
    size_t content_cap, mask_cap;
    real *content;              /* grids: B x c x M, planar; points: rows */
    int *ids;                   /* text: B x M */
    unsigned char *mask;        /* B x M, when lengths differ */
    real *axis[3];              /* Fourier tables of the grid at hand */
    int *channel[3];
    int made[3];                /* lengths the tables were made for */
} pcv_batch;

/* Registers the stem's parameters under Hugging Face's names.  0, or -1 when
 * the spec makes no sense (message says what). */
int pcv_stem_init(pcv_stem *s, pcv_params *p, const pcv_stem_spec *spec);

/* Binds a batch to B arrays as data/prepare.c makes them (image F32 [c,H,W],
 * sound F32 [n], bytes I32 [n], points and plain F32 [n][c]), copying what it
 * needs.  Grids of a batch must be of one size; texts are padded and masked.
 * 0 or -1.  A zeroed batch is a fresh one. */
int pcv_batch_bind(pcv_batch *b, const pcv_stem *s, const pcv_array *const *x,
                   int items);
void pcv_batch_free(pcv_batch *b);

/* ---- stem.c's table -------------------------------------------------- */

struct pcv_stem_kind {
    const char *name;
    bool (*serves)(const pcv_stem_spec *s);
    int (*init)(pcv_stem *s, pcv_params *p);        /* sets s->c */
    int (*bind)(pcv_batch *b, const pcv_array *const *x, int items);
};

extern const pcv_stem_kind pcv_stem_grid, pcv_stem_learned, pcv_stem_text,
    pcv_stem_points;

/* ---- grid.c: shared by the kinds that read grids --------------------- */

/* Content channels of a row, and the grid of one input: axes and lengths.
 * 0, or -1 when the array does not fit the stem. */
int pcv_grid_content(const pcv_stem_spec *s);
int pcv_grid_shape(const pcv_stem_spec *s, const pcv_array *x, int *axes,
                   int len[3]);
/* Fills b->content (planar) and the sizes from B inputs of one shape. */
int pcv_grid_fill(pcv_batch *b, const pcv_array *const *x, int items);

/* ---- rows.c: rows that are in memory --------------------------------- */

/* Tokens over rows (B x M x C) whose gradient, if wanted, adds to drows. */
typedef struct {
    pcv_tokens tokens;
    const real *rows;
    real *drows;
} pcv_row_tokens;

void pcv_rows_bind(pcv_row_tokens *r, const real *rows, real *drows, int items,
                   int n, int c);

/* ---- queries.c: the rows that are asked for -------------------------- */

enum pcv_ask { PCV_ASK_LEARNED, PCV_ASK_GRID };

/* Output queries: a learned table, or position features of a grid. */
typedef struct {
    int kind;                   /* enum pcv_ask */
    int n, e;                   /* O queries of E channels */
    pcv_param *table;           /* learned: O x E */
    real *grid;                 /* grid: O x E, made once */
} pcv_queries;

typedef struct {
    int kind, n, e;             /* learned: count and width */
    int axes, len[3], bands, position;  /* grid */
    double max_res[3];
    const char *path;           /* name of the learned table */
} pcv_queries_spec;

int pcv_queries_init(pcv_queries *q, pcv_params *p, const pcv_queries_spec *s);
void pcv_queries_free(pcv_queries *q);
/* Rows index[0..n) (NULL: 0..n-1) into out (n x e). */
void pcv_queries_rows(const pcv_queries *q, const int *index, int n, real *out);
/* += the gradient of those rows into the table. */
void pcv_queries_backward(const pcv_queries *q, const int *index, int n,
                          const real *dout);

#endif
