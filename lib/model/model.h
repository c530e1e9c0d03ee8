/* model.h - floor 4: a model as data (spec, classes), its blocks and the order
 * of their uses (net), and one pass through it (session). */
#ifndef PCV_MODEL_H
#define PCV_MODEL_H

#include "../fmt/fmt.h"
#include "../tokens/tokens.h"

/* ---- fields.c: a struct described by a table ------------------------- */

typedef struct {
    const char *name;           /* "latents": --latents */
    const char *help;           /* one line */
    const char *values;         /* "N", "fourier|nerf|learned|none" */
} pcv_field;

/* Types: int; bool and word are ints whose texts stand in `values` in their
 * order (an enum that starts at 1 has an empty first one; those behind "||" are
 * no values of an option, only of a file); real; res and stats
 * are 3 and 4 reals, a shorter list repeats its last; text is a char array. */
enum pcv_row_type { PCV_ROW_INT, PCV_ROW_BOOL, PCV_ROW_REAL, PCV_ROW_RES,
                    PCV_ROW_STATS, PCV_ROW_WORD, PCV_ROW_TEXT };
enum {
    PCV_ROW_TOP = 1,            /* config.json: a key of Hugging Face's */
    PCV_ROW_GIVEN = 2,          /* comes with a checkpoint: no option */
    PCV_ROW_RARE = 4            /* of few models: config.json has it where it
                                   is not the default */
};
enum { PCV_TEXT_SIZE = 1024 };  /* of a text row's char array */

typedef struct {
    pcv_field field;
    unsigned flags;
    const char *key;
    int type;
    size_t at;                  /* offset in the struct */
    double standard, min, max;  /* default and range */
} pcv_row;

typedef struct {
    const pcv_row *row;
    size_t count;
} pcv_table;

/* -1: unknown name or bad value (the message says what is wanted). */
int pcv_table_set(const pcv_table *t, void *s, const char *name,
                  const char *value);
void pcv_table_get(const pcv_table *t, const void *s, const char *name,
                   pcv_buf *b);
void pcv_table_default(const pcv_table *t, void *s);
/* The values of an option, without those of files alone, for help texts. */
void pcv_field_values(const pcv_field *f, pcv_buf *b);
/* Is the value, which the field takes, one of them? */
bool pcv_field_offers(const pcv_field *f, const char *value);
int *pcv_row_int(void *s, const pcv_row *r);
double *pcv_row_real(void *s, const pcv_row *r);
int pcv_row_numbers(const pcv_row *r);
bool pcv_row_same(const pcv_row *r, const void *a, const void *b);
int pcv_row_number(void *s, const pcv_row *r, int k, double v); /* 0 or -1 */

/* ---- spec.c: what a model is; our config.json ------------------------ */

enum pcv_task {
    PCV_CLASSIFY,               /* one of some classes */
    PCV_TAGS,                   /* any of some labels */
    PCV_VALUES,                 /* numbers for every query */
    PCV_FILL,                   /* a byte for every place of a text */
    PCV_RECONSTRUCT,            /* the input again */
    PCV_MOTION                  /* how every pixel moves: pixels / 20 */
};
enum pcv_decoder {
    PCV_DECODE_QUERY,           /* learned queries */
    PCV_DECODE_MEAN,            /* the mean of the latents */
    PCV_DECODE_GRID,            /* positions */
    PCV_DECODE_INPUT            /* the rows of the input */
};

/* Every field is one row of spec.c's table: its name on pcv-train's command
 * line, its key in config.json (Hugging Face's where they have one), type,
 * default, range.  A field that is not in the table does not exist.
 *
 * A model of several modalities has a spec for each in `part`, of which only
 * what concerns input, queries and outputs counts. */
typedef struct pcv_spec pcv_spec;
struct pcv_spec {
    pcv_prep prep;              /* modality, shape, preprocessing */
    int position;               /* enum pcv_position */
    int order;                  /* enum pcv_order */
    int pos_add;                /* learned positions are added */
    int convolve;               /* maps of a convolution stem */
    int block;                  /* image, video: side of a square of pixels */
    int bands;
    double max_res[3];          /* 0: the size of the grid at hand */
    int pos_channels;           /* learned positions */
    int pos_project, project;
    int patch;                  /* sound: samples per element */
    int vocab, embed;           /* bytes */
    int neighbours;             /* bytes: that an element shows, each side */
    int latents, d;             /* N x D */
    int rounds;                 /* R: blocks of self-attention layers */
    int layers;                 /* L: self-attention layers per block */
    int cross_attends;          /* rounds that start with a cross-attend */
    int share_first_cross;      /* cross-attend 1 shares with the others */
    int share_cross;            /* cross-attends 2.. share one set */
    int share_first_block;      /* block 1 shares with the others */
    int share_blocks;           /* blocks 2.. share one set */
    int cross_heads, self_heads;
    int qk, v;                  /* 0: of what is read; of queries */
    int self_qk, self_v;        /* of the layers; 0: as qk and v */
    int wide_from_query;        /* the rule for qk: width of the latents, not
                                   of the input */
    int qkv_bias;
    int cross_widening, self_widening;
    int act;                    /* enum pcv_act */
    int residual;               /* of the encoder's cross-attends */
    int decoder;                /* enum pcv_decoder */
    int decoder_heads, decoder_residual;
    int decoder_qk, decoder_v;  /* 0: latent channels */
    int decoder_mlp, decoder_widening;
    int queries, query_channels;    /* learned; 0 channels: the latents' */
    int query_bands;            /* grid decoder: bands of the output queries */
    int by_index;               /* grid decoder: x = -1 + 2 i / n */
    int tied;                   /* outputs through the embedding */
    int head_norm;              /* mean decoder: a norm before the head */
    int head_hidden;            /* and a layer */
    int log_softmax;            /* outputs are logarithms of probabilities */
    int unpadded;               /* bytes: id 0 is one like the others */
    int self_context;           /* layers read the latents through a norm of
                                   its own */
    int extra_key, out_twice, outer;        /* pcv_block_shape */
    int names;                  /* enum pcv_names */
    const char *origin;         /* the published class, or NULL: ours */
    double divide;              /* outputs are divided by it */
    char nested[PCV_TEXT_SIZE]; /* counts of latents it is trained for beside
                                   all of them: "8,16,32" */
    double weight;              /* parts: of this answer's loss */
    int padding, query_padding; /* parts: least padding of rows, of queries */
    int shared;                 /* parts: width before the part's own head */
    int permute;                /* seed of the order of the elements; 0 none */
    int masked;                 /* a part that the model does not look at */
    int task;                   /* enum pcv_task */
    int outputs;                /* classes, or channels per query */
    char **label;               /* classify: `outputs` names, owned */
    pcv_spec *part;             /* owned, .. */
    char **part_name;           /* .. in bytewise order of these */
    int parts;
};

void pcv_spec_default(pcv_spec *s);
void pcv_spec_free(pcv_spec *s);
int pcv_spec_copy(pcv_spec *to, const pcv_spec *from);
/* The fields that pcv-train has options for: field i, or NULL past the end.
 * The others come with published checkpoints. */
const pcv_field *pcv_spec_field(int i);
/* Sets a field from text; -1: unknown name, bad value (message says what is
 * wanted). */
int pcv_spec_set(pcv_spec *s, const char *name, const char *value);
/* Appends the value of field `name` as text. */
void pcv_spec_get(const pcv_spec *s, const char *name, pcv_buf *b);
/* Do the fields fit together?  0 or -1. */
int pcv_spec_check(const pcv_spec *s);
int pcv_spec_set_labels(pcv_spec *s, const char *const *label, int n);
/* A new part with every field at its default, NULL when out of memory.  Parts
 * are added in the order of their names. */
pcv_spec *pcv_spec_add_part(pcv_spec *s, const char *name);
/* Part i of pcv_spec_count, or s itself where there are none. */
const pcv_spec *pcv_spec_part(const pcv_spec *s, int i);
int pcv_spec_count(const pcv_spec *s);
/* What is asked: the parts that have outputs, in their order; s itself, called
 * "output", where there are none. */
int pcv_spec_answers(const pcv_spec *s);
const pcv_spec *pcv_spec_answer(const pcv_spec *s, int which);
const char *pcv_spec_answer_name(const pcv_spec *s, int which);
/* From and to the text of config.json; name is for messages. */
int pcv_spec_parse(pcv_spec *s, const char *text, size_t n, const char *name);
void pcv_spec_write(const pcv_spec *s, pcv_buf *b);
/* The pieces that classes.c shares: Hugging Face's keys at the top level, and
 * the labels of what classifies.  0 or -1. */
int pcv_spec_parse_top(pcv_spec *s, const pcv_json *top, const char *name);
int pcv_spec_parse_labels(pcv_spec *s, const pcv_json *top, const char *name);
const pcv_row *pcv_spec_row(int i);     /* the whole table; NULL past its end */

/* ---- names.c: what others call the same tensors ---------------------- */

enum pcv_names { PCV_NAMES_PUBLISHED, PCV_NAMES_LUCIDRAINS,
                 PCV_NAMES_LUCIDRAINS_IO, PCV_NAMES_LUCIDRAINS_LM,
                 PCV_NAMES_KRASSERM, PCV_NAMES_LOUISLVA };

/* Which part of the other tensor a parameter is. */
typedef struct {
    enum { PCV_SLICE_ALL, PCV_SLICE_ROWS, PCV_SLICE_COLUMNS,
           PCV_SLICE_TRANSPOSED } kind;
    int part, parts;            /* rows: of equal ones; columns: 0 the first
                                   ones, 1 the last */
} pcv_slice;

/* The name of parameter `ours` in that dialect; false: it has none. */
bool pcv_name_of(int names, const char *ours, pcv_buf *theirs,
                 pcv_slice *slice);
/* Where weights are shared a state dict repeats them: the name that tensor
 * `theirs` repeats; false: it is none of these. */
bool pcv_name_repeats(int names, const char *theirs, pcv_buf *first);

/* ---- classes.c: the published architectures -------------------------- */

/* From a config.json of Hugging Face's: 0, -1 (of a class that is not there,
 * or bad; the message says what). */
int pcv_class_parse(pcv_spec *s, const pcv_json *config, const char *name);
/* The keys that tell Hugging Face which of its classes can hold the model
 * ("PcvPerceiver": none), for config.json. */
void pcv_class_write(const pcv_spec *s, pcv_buf *b);
/* Is there a class that can? */
bool pcv_class_holds(const pcv_spec *s);

/* ---- preprocess.c ---------------------------------------------------- */

/* preprocessor_config.json of a model that a class for pictures can hold; of
 * any other nothing. */
void pcv_class_write_preprocess(const pcv_spec *s, pcv_buf *b);
/* What preprocessor_config.json says about pictures: 0 or -1. */
int pcv_class_preprocess(pcv_prep *prep, const pcv_json *config,
                         const char *name);

/* ---- net.c: the blocks and the plan ---------------------------------- */

/* One use of a block.  The same block may be used many times: that is weight
 * sharing. */
typedef struct {
    const pcv_block *block;
    bool input;                 /* reads the input; else the latents */
} pcv_use;

/* One kind of answer: its queries, its outputs. */
typedef struct {
    pcv_queries queries;        /* unless the decoder is `mean` */
    pcv_param *pad;             /* fills a query to the common width */
    pcv_linear head;            /* to `outputs` */
    int n, outputs;             /* O queries, channels of an answer */
    real divide;                /* outputs are divided by it */
} pcv_reply;

typedef struct {
    pcv_spec spec;
    pcv_params params;
    pcv_stem stem;
    pcv_param *latents;         /* N x D */
    pcv_block *block;
    int blocks;
    pcv_use *use;
    int uses;
    pcv_block decoder;          /* unless the decoder is `mean` */
    pcv_norm head_norm;         /* mean, and asked for */
    pcv_linear head_hidden;     /* the same */
    pcv_linear shared;          /* parts: to the width of their heads */
    pcv_reply answer[PCV_MOST_PARTS];
    int answers;
    pcv_stem_spec stem_part[PCV_MOST_PARTS];
    pcv_tensors file;           /* weights that are used where they lie */
    pcv_lowp *lowp;             /* products of 16 or 8 bits; NULL: of real */
    char *id;                   /* of weights that are no longer there */
} pcv_net;

/* The widest query, and the most outputs of one. */
int pcv_net_asked_width(const pcv_net *n);
int pcv_net_outputs(const pcv_net *n);
/* The most queries of an answer, at most `most`. */
int pcv_net_asked(const pcv_net *n, int most);

/* "pcv:..": a 128-bit identity of the weights, pcv_free; NULL when out of
 * memory. */
char *pcv_net_identity(const pcv_net *n);
/* Registers everything that the spec asks for; no weights yet. */
int pcv_net_build(pcv_net *n, const pcv_spec *spec);
int pcv_net_init(pcv_net *n, uint64_t seed);    /* allocates and draws */
void pcv_net_free(pcv_net *n);

/* ---- load.c ---------------------------------------------------------- */

/* A directory with config.json and weights, for inference: what can be used
 * where it lies in the mapped file is.  Names every tensor that is missing,
 * extra or of another shape. */
int pcv_net_load(pcv_net *n, const char *dir);
/* Writes model.safetensors, config.json and where a class of Hugging Face's
 * can hold it preprocessor_config.json into an existing directory.  At no
 * moment do weights stand beside the config.json of others. */
int pcv_net_save(const pcv_net *n, const char *dir);
/* The parameters as rows for a writer, *out owned by the caller. */
int pcv_net_tensors(const pcv_net *n, pcv_tensor_out **out);

/* ---- precision.c ----------------------------------------------------- */

/* Packs the weights of every block for products of bfloat16 or int8 (enum
 * pcv_precision); what only they needed is given back.  For inference, before
 * any session.  0 or -1. */
int pcv_net_precision(pcv_net *n, int precision);
void pcv_net_unpack(pcv_net *n);        /* of pcv_net_free */

/* ---- session.c: one pass --------------------------------------------- */

/* Memory is planned when inputs are bound and of a new shape; encode, decode
 * and backward never allocate. */
typedef struct {
    const pcv_net *net;
    bool train;                 /* records are kept, gradients wanted */
    size_t most;                /* bytes of activations at most; 0: any */
    int form;                   /* enum pcv_form */
    int asked;                  /* queries per item and decode, at most */
    int n;                      /* latents in use: the first n of the model's */

    pcv_batch batch;
    int items, elements;        /* planned for, .. */
    int len[1 + PCV_MOST_PARTS][3]; /* .. a grid of the whole, of each part */
    int uses_form;
    int kept;                   /* uses, the last ones, whose record stays */
    size_t bytes;               /* of activations: the arena's */
    pcv_arena arena, scratch;
    real **x;                   /* uses + 1 latent arrays, B*N x D */
    pcv_block_record *record;   /* uses (one, unless all are kept) */
    pcv_folds folds;            /* of the first use, where they are kept */
    real *dx, *dx_next;         /* B*N x D */
    const int *index;           /* queries of the last decode, B x n; NULL:
                                   0.. of each */
    int which;                  /* the answer it asked for */
    real *ask, *answer, *dask;  /* B*asked x E */
    real *shared, *dshared;     /* parts: B*asked x their common width */
    real *pooled;               /* mean: B x D */
    bool prepared;              /* keys and values of the latents are there */
    pcv_ask_fold *fold;         /* answers x B: folded latents, .. */
    int folded;                 /* .. there of this answer; -1 */
    real *out, *dout;           /* B*asked x outputs */
    pcv_block_record decoded;
    pcv_row_tokens latents;     /* as the decoder reads them, .. */
    pcv_row_tokens own;         /* .. and a layer with a norm for that */
} pcv_session;

void pcv_session_open(pcv_session *s, const pcv_net *net, bool train,
                      int asked);
void pcv_session_close(pcv_session *s);
/* Passes from the next bind on use the first n latents alone, which a model
 * has to be trained for (Matryoshka queries, arXiv 2405.19315). */
void pcv_session_latents(pcv_session *s, int n);
/* Inputs of the next pass: one array of each item, or one of each of its parts.
 * They stay the caller's and must stay there until the next bind or the last
 * encode, decode or backward (pcv_batch_bind).  0 or -1. */
int pcv_session_bind(pcv_session *s, const pcv_array *const *x, int items);
/* The latents, B*N x D, borrowed until the next bind. */
const real *pcv_session_encode(pcv_session *s, const pcv_pass *pass);
/* Latents after the first cross-attend alone. */
const real *pcv_session_cross(pcv_session *s, const pcv_pass *pass);
/* Latents made elsewhere in place of encode's (items must be bound or
 * pcv_session_plan called). */
int pcv_session_plan(pcv_session *s, int items, const real *latents);
/* Outputs of n queries, index[0..n) of each item (B x n; NULL: the first n), of
 * answer `which`: B*n x its outputs, borrowed.  A mean decoder takes n = 1. */
const real *pcv_session_decode(pcv_session *s, const pcv_pass *pass, int which,
                               const int *index, int n);
/* Do the queries of an answer stand on a grid, and is it cheaper to read the
 * latents as such (nn/grid_ask.c)?  Then that grid. */
bool pcv_session_asks_grid(const pcv_session *s, int which, pcv_segment *grid);
/* Backward of a pass: start; after each decode, from s->dout (set by the
 * caller) to the gradients of the decoder; then those of the encoder. */
void pcv_session_backward_start(pcv_session *s);
void pcv_session_backward_answer(pcv_session *s, const pcv_pass *pass, int n);
void pcv_session_backward_encode(pcv_session *s, const pcv_pass *pass);

/* ---- cost.c ---------------------------------------------------------- */

/* FLOPs (a multiply-add is two) and bytes of a part of the network. */
typedef struct {
    char name[64];              /* "self-attention x 48" */
    const char *form;           /* "grid" */
    double plain, run, bytes;
} pcv_cost_part;

typedef struct {
    double elements, channels;  /* M, C */
    double plain, run;          /* of all parts */
    double once;                /* not in run: folds that are kept */
    double memory;              /* bytes of a pass beside the weights */
    int parts;
    pcv_cost_part part[2 + PCV_MOST_PARTS];
} pcv_cost;

/* For an input of those shapes (the prepared arrays).  0 or -1. */
int pcv_net_cost(const pcv_net *n, const pcv_array *const *x, pcv_cost *c);

#endif
