/* tokens.h - floor 3: where the rows that a block reads come from, and the
 * rows that are asked for.
 *
 * A stem turns what a file holds into rows and owns the parameters that takes
 * (embeddings, learned positions, projections).  A batch is a stem bound to
 * some inputs: its `tokens` are what attend reads.  A kind of stem is one file
 * and one row of stem.c's table; a kind of content (what the elements of a
 * grid hold beside their positions) one of content.c's. */
#ifndef PCV_TOKENS_H
#define PCV_TOKENS_H

#include "../nn/nn.h"

enum { PCV_MOST_PARTS = 8 };    /* modalities of one model */

/* How the columns of Fourier features are ordered behind the content. */
enum pcv_order {
    PCV_ORDER_PUBLISHED,        /* all positions, all sines, all cosines */
    PCV_ORDER_AXES              /* axis by axis: sines, cosines, position */
};

/* How inputs become rows; filled from a model's spec, read-only afterwards. */
typedef struct pcv_stem_spec pcv_stem_spec;
struct pcv_stem_spec {
    int modality;               /* enum pcv_modality */
    int channels;               /* image: colours; points, plain: columns;
                                   one-hot: classes */
    int patch;                  /* sound: samples per row */
    int mels;                   /* sound: or channels of a row, 0 samples */
    int block;                  /* image, video: side of the squares of
                                   pixels that make a row */
    int convolve;               /* image: maps of a convolution stem, 0 none */
    int size[3];                /* the grid that the model is for: image:
                                   height, width; sound: rows; text: length;
                                   video: pictures, rows, columns */
    int position;               /* enum pcv_position */
    int order;                  /* enum pcv_order */
    int bands;
    double max_res[3];          /* 0: the size of the grid at hand */
    int pos_channels;           /* learned positions: their width */
    bool pos_project;           /* and a square projection of them */
    bool pos_add;               /* added to the content, not put beside it */
    int project;                /* content through a linear layer (Hugging
                                   Face's 1x1 convolution): width, 0 none */
    int vocab, embed;           /* text: ids, width of a row */
    int neighbours;             /* text: bytes on either side of a row */
    bool unpadded;              /* text: id 0 is not masked */
    const pcv_stem_spec *part;  /* parts: what they are made of, .. */
    const char *const *name;    /* .. in the order of their names */
    int parts;
    int padding;                /* parts: the least padding of a row */
    bool masked;                /* as a part: its mask stands for all of it */
    int permute;                /* seed of the order of the elements; 0: as they
                                   stand */
};

typedef struct pcv_stem_kind pcv_stem_kind;
typedef struct pcv_content_kind pcv_content_kind;

typedef struct pcv_stem pcv_stem;
struct pcv_stem {
    pcv_stem_spec spec;
    const pcv_stem_kind *kind;
    const pcv_content_kind *made;   /* grids: their content */
    int c;                      /* channels of a row */
    pcv_param *table;           /* learned positions, or text's */
    pcv_param *embedding;       /* text: vocab x embed */
    pcv_param *beside;          /* its neighbours': 2 r vocab x embed */
    pcv_linear content, position;   /* the two projections, when used */
    pcv_conv conv;              /* the convolution stem, when used */
    pcv_stem *part;             /* parts, owned */
    pcv_param *pad, *mask;      /* as a part: fills a row; stands for one */
};

/* A stem bound to B inputs. */
typedef struct pcv_batch pcv_batch;
struct pcv_batch {
    const pcv_stem *stem;
    pcv_tokens tokens;
    pcv_segment segment;
    int axes, len[3];           /* the grid at hand */
    size_t copy_cap, mask_cap, work_cap;
    const real *content;        /* grids: B x c x M, planar; points: rows */
    real *copy;                 /* .. where that is no array of the input */
    pcv_store *store;           /* or the samples of a sound, in order */
    real *work;                 /* scratch of what makes the content */
    int *ids;                   /* text: B x M */
    unsigned char *mask;        /* B x M, when lengths differ */
    real *axis[3];              /* Fourier tables of the grid at hand */
    int *channel[3];
    int made[3];                /* lengths the tables were made for */
    pcv_line line;              /* or of one axis that is too long for that */
    double *turn;
    real *table;                /* learned positions for another grid, .. */
    int table_len[3];           /* .. this one */
    pcv_batch *part;            /* parts, owned */
    pcv_segment *segments;
    pcv_tokens source;          /* permuted: what tokens were before, .. */
    uint32_t *order, ordered;   /* .. element j of them now; how many */
    unsigned char *moved;       /* .. their mask */
    size_t moved_cap;
    real *dk;                   /* parts: B x c each, of pads and masks */
    size_t dk_cap;
    const pcv_array **input;    /* inputs of one of them: B */
    int input_cap;
};

/* Registers the stem's parameters under Hugging Face's names.  0, or -1 when
 * the spec makes no sense (message says what).  Freed in either case. */
int pcv_stem_init(pcv_stem *s, pcv_params *p, const pcv_stem_spec *spec);
void pcv_stem_free(pcv_stem *s);
/* Elements of the input that the model is for. */
int pcv_stem_elements(const pcv_stem *s);

/* Binds a batch to B inputs as data/prepare.c makes them (image F32 [c,H,W],
 * sound F32 [n] or [frames][mels], bytes I32 [n], points and plain F32 [n][c],
 * flow F32 [2,3,H,W] or their neighbourhoods [2,27,H,W], video F32 [T,3,H,W],
 * one-hot F32 [k]).  What lies in an array as it is needed is read there (a
 * picture: content kinds that are `planar`), so the arrays must stay until the
 * next bind or the last use of the tokens; the rest is copied.  Of parts input
 * b is x[b * parts ..], NULL where a part is absent.  Grids of a batch must be
 * of one size; texts are padded and masked.  0 or -1.  A zeroed batch is a
 * fresh one. */
int pcv_batch_bind(pcv_batch *b, const pcv_stem *s, const pcv_array *const *x,
                   int items);
void pcv_batch_free(pcv_batch *b);
/* After the backward of all that read them: what they left with the batch goes
 * to the parameters. */
void pcv_batch_backward(pcv_batch *b);
/* Scratch of at least n reals in b->work.  0 or -1. */
int pcv_batch_work(pcv_batch *b, size_t n);

/* ---- permute.c: elements in another order ---------------------------- */

/* From now on the tokens of a bound batch come in the order of the seed.  0 or
 * -1. */
int pcv_batch_permute(pcv_batch *b, int seed);

/* ---- stem.c's table -------------------------------------------------- */

struct pcv_stem_kind {
    const char *name;
    bool (*serves)(const pcv_stem_spec *s);
    int (*init)(pcv_stem *s, pcv_params *p);        /* sets s->c */
    int (*bind)(pcv_batch *b, const pcv_array *const *x, int items);
};

extern const pcv_stem_kind pcv_stem_grid, pcv_stem_learned, pcv_stem_text,
    pcv_stem_points, pcv_stem_parts;

/* ---- content.c: what the elements of a grid hold --------------------- */

struct pcv_content_kind {
    const char *name;
    bool (*serves)(const pcv_stem_spec *s);
    int axes;
    int (*channels)(const pcv_stem_spec *s);
    int (*init)(pcv_stem *s, pcv_params *p);        /* NULL: none to learn */
    /* The grid of one input.  0, or -1 when it does not fit the stem. */
    int (*shape)(const pcv_stem_spec *s, const pcv_array *x, int len[3]);
    /* One input into its planes: element j, channel k at k * m + j.  0 or -1
     * (out of memory). */
    int (*fill)(pcv_batch *b, const pcv_array *x, size_t m, real *out);
    /* Does an array have its planes as they are?  NULL: never. */
    bool (*planar)(const pcv_stem_spec *s);
};

/* pixels, sound in patches or in bands, rows of an array, one-hot: content.c;
 * pictures through convolutions: convolved.c; in squares, video and pairs:
 * frames.c. */
extern const pcv_content_kind pcv_content_convolved, pcv_content_squares,
    pcv_content_video, pcv_content_flow;

const pcv_content_kind *pcv_content_find(const pcv_stem_spec *s);  /* NULL */
/* "an input of shape .., want": -1. */
int pcv_content_misfit(const pcv_array *x, const char *want);
/* Sets b->content (planar) and the sizes from B inputs of one shape: one input
 * with planes is read where it is, one that is stored stays in b->store. */
int pcv_content_fill(pcv_batch *b, const pcv_array *const *x, int items);

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

enum pcv_ask {
    PCV_ASK_LEARNED,            /* a learned table */
    PCV_ASK_GRID,               /* position features of an output grid */
    PCV_ASK_INPUT               /* the rows of the input itself */
};

typedef struct {
    int kind;                   /* enum pcv_ask */
    int n, e;                   /* O queries of E channels */
    pcv_param *table;           /* learned: O x E */
    pcv_segment grid;           /* grid: its axes; no content */
    real *axis[3];              /* its tables, owned: len x (2 bands + 1), .. */
    int *channel[3];            /* .. and where their columns stand */
} pcv_queries;

typedef struct {
    int kind, n, e;             /* learned, input: count and width */
    int axes, len[3], bands, position;  /* grid */
    bool by_index;              /* grid: x = -1 + 2 i / n, as the published
                                   multimodal model asks; else both ends are
                                   reached */
    double max_res[3];
    const char *path;           /* name of the learned table */
} pcv_queries_spec;

int pcv_queries_init(pcv_queries *q, pcv_params *p, const pcv_queries_spec *s);
void pcv_queries_free(pcv_queries *q);
/* The grid that the queries stand on: of their own, or the input's; NULL when
 * they have no structure.  Its constant channels are the caller's business. */
const pcv_segment *pcv_queries_grid(const pcv_queries *q,
                                    const pcv_tokens *input);
/* Rows index[0..n) (NULL: 0..n-1) into out (n rows of E, row stride ld);
 * input and item: where the rows of an input are. */
void pcv_queries_rows(const pcv_queries *q, const pcv_tokens *input, int item,
                      const int *index, int n, real *out, int ld);
/* += the gradient of those rows (n of E, row stride ld) into the table. */
void pcv_queries_backward(const pcv_queries *q, const int *index, int n,
                          const real *dout, int ld);

#endif
