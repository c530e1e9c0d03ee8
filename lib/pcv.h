/* pcv.h - the Perceiver family: the public interface of libpcv.
 *
 * This header alone is enough to write a program: open a model, read a file
 * or an array, get latents, outputs, logits.  The papers: Perceiver
 * (arXiv 2103.03206), Perceiver IO (arXiv 2107.14795).
 *
 *     pcv_model *m = pcv_model_open("digits");
 *     pcv_worker *w = m ? pcv_worker_new(m) : NULL;
 *     pcv_values *v = w ? pcv_classify_file(w, "seven.png") : NULL;
 *     if (!v)
 *         fprintf(stderr, "%s\n", pcv_error());
 *     else
 *         for (size_t i = 0; i < v->count; i++)
 *             printf("%s %g\n", pcv_model_label(m, i), v->data[i]);
 *
 * Errors: functions return NULL or -1 and leave one line in pcv_error(), of
 * this thread, that names file, what was found and what was wanted, and a
 * status of <sysexits.h> in pcv_error_code(): 64 usage, 65 bad data, 66
 * cannot be opened, 71 out of memory, 73 cannot be created, 74 read or write
 * error.  The oldest message wins until pcv_error_clear().
 *
 * Threads: a model is read-only once open and may be shared; a worker serves
 * one thread.  Results are bit-identical for every number of threads. */
#ifndef PCV_H
#define PCV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

const char *pcv_version(void);          /* "0.1.0" */
/* Several lines: version, BLAS and its kernel, oneDNN or none, vector
 * instructions. */
const char *pcv_build_info(void);

const char *pcv_error(void);            /* "" when nothing failed */
int pcv_error_code(void);               /* 0 when nothing failed */
void pcv_error_clear(void);
/* What a reader should know although nothing failed (positions that were
 * interpolated, say): the newest remark of this thread, "" when there is none;
 * reading it forgets it. */
const char *pcv_remark_take(void);

/* OpenBLAS takes a processor newer than itself for a very old one.  The value
 * of OPENBLAS_CORETYPE that would be much faster here, NULL when all is well:
 * a program that wants it sets it and executes itself again, since OpenBLAS
 * reads it when it is loaded. */
const char *pcv_blas_better(void);

/* Threads that one call may use (default 1).  Call while nothing runs. */
int pcv_threads_set(int n);

/* ---- models ---------------------------------------------------------- */

typedef struct pcv_model pcv_model;

/* Opens a directory: config.json of ours or of Hugging Face's with its weights
 * (model.safetensors, pytorch_model.bin, shards by an index, model.npz).  NAME
 * and OWNER/NAME that are no directory are looked for in $PCV_MODEL_PATH
 * (colon-separated), the user's and the system's data directories, OWNER/NAME
 * also where Hugging Face's tools keep what they download; the message lists
 * every place tried.  NULL name: the default model.  The caller closes it. */
pcv_model *pcv_model_open(const char *name);
void pcv_model_close(pcv_model *m);     /* NULL ok */
/* How the model's blocks compute: "f32", or faster and with smaller weights
 * "bf16" and "int8" (by oneDNN, where the build found it: pcv_build_info).
 * After opening, before anything else, once; 0 or -1. */
int pcv_model_precision_set(pcv_model *m, const char *precision);
/* From now on only the first n latents are used, a count that the model was
 * trained for (pcv-train --nested).  After opening; 0 or -1. */
int pcv_model_latents_set(pcv_model *m, size_t n);
/* Where a directory of that name would be looked for, one a line; freed with
 * free(). */
char *pcv_model_places(const char *name);

const char *pcv_model_path(const pcv_model *m);
/* "sha256:..."-like identity of the weights: two models with the same weights
 * have the same. */
const char *pcv_model_id(const pcv_model *m);

/* What a model answers: one thing, or several of which each is asked for by
 * itself (a model of several modalities). */
enum { PCV_ANSWER_CLASSES = 1, PCV_ANSWER_PICTURE, PCV_ANSWER_FRAMES,
       PCV_ANSWER_SOUND, PCV_ANSWER_TEXT, PCV_ANSWER_FLOW, PCV_ANSWER_ARRAY };
typedef struct {
    const char *name;           /* of the modality, or "output" */
    int kind;
    size_t queries, outputs;    /* of an item; channels of each */
    size_t pictures;            /* of PICTURE, FRAMES, FLOW: how many it is */
    bool tags;                  /* CLASSES: any of them, each by itself */
    int rank;                   /* shape of all of them */
    size_t dim[3];
} pcv_answer_info;
size_t pcv_model_answers(const pcv_model *m);
pcv_answer_info pcv_model_answer(const pcv_model *m, size_t i);
/* The one that `pcv_answer` gives: the classes, where there are any. */
size_t pcv_model_main(const pcv_model *m);
/* Of the main answer: */
bool pcv_model_classifies(const pcv_model *m);
size_t pcv_model_outputs(const pcv_model *m);   /* classes, or channels */
size_t pcv_model_queries(const pcv_model *m);   /* output queries per item */
const char *pcv_model_label(const pcv_model *m, size_t k); /* NULL: no labels */
size_t pcv_model_latents(const pcv_model *m);           /* N */
size_t pcv_model_latent_channels(const pcv_model *m);   /* D */
/* A setting of the model's config by its pcv-train name ("modality", "bands",
 * ..) as text, freed with free(); NULL: no such setting. */
char *pcv_model_setting(const pcv_model *m, const char *name);
/* The published class that config.json names, or "PcvPerceiver". */
const char *pcv_model_class(const pcv_model *m);
/* The same of what concerns answer i alone: input and queries of a part. */
char *pcv_answer_setting(const pcv_model *m, size_t i, const char *name);

/* ---- arrays ---------------------------------------------------------- */

/* A row-major float array that the caller frees with pcv_values_free. */
typedef struct {
    int rank;
    size_t dim[8], count;
    float *data;
} pcv_values;
void pcv_values_free(pcv_values *v);    /* NULL ok */

/* A tensor of a file. */
typedef struct {
    const char *name, *dtype;   /* "F32" */
    int rank;
    size_t dim[8], count, bytes;
    size_t offset;              /* of the data within the file; SIZE_MAX: they
                                   are not there in one piece */
} pcv_tensor_info;

/* ---- items: files, lists, streams -> one input after the other ------- */

typedef struct {
    const char *const *path;    /* operands; "-" is a data stream on stdin */
    size_t paths;
    const char *list;           /* a file of names, "-" stdin; NULL: none */
    int (*next)(void *arg, const char **name);  /* or NULL: names after the
                                   operands, in the place of a list: 1, and
                                   good until the next call; 0 end; -1 */
    void *arg;
    bool nul;                   /* its names end in NUL, not newline */
    bool recursive;             /* descend into directories */
    const char *include, *exclude;  /* patterns of file names, or NULL */
    /* how files are read; 0 or NULL everywhere is the default */
    const char *modality;       /* "auto", "image", "sound", "bytes", "array" */
    const char *raw;            /* headerless array: "u8:28x28" */
    const char *pcm;            /* headerless sound: "s16le:16000:1" */
    const char *overlong;       /* texts that are too long: "cut", "refuse";
                                   NULL: as the model has it */
    const char *sound;          /* a file: the sound of the pictures, for a
                                   model of both */
    bool no_exif;
    size_t max_pixels, max_bytes;
    double max_seconds;
    const char *temporary;      /* directory of temporary files; NULL: /tmp */
} pcv_inputs;

typedef struct pcv_stream pcv_stream;   /* of items */
typedef struct pcv_entry pcv_entry;     /* one item */

/* NULL when a setting cannot be understood.  Keeps `in`'s strings. */
pcv_stream *pcv_stream_open(const pcv_model *m, const pcv_inputs *in);
void pcv_stream_close(pcv_stream *s);
/* The next item: 1, 0 at the end, -1 when the list cannot be read.  One
 * thread at a time.  The caller frees the entry. */
int pcv_stream_next(pcv_stream *s, pcv_entry **e);
void pcv_entry_free(pcv_entry *e);
const char *pcv_entry_name(const pcv_entry *e); /* any bytes but NUL */
size_t pcv_entry_index(const pcv_entry *e);     /* 0, 1, 2 .. */

/* Files of pictures that make one input: 1, 2 (optical flow), or as many as a
 * video has. */
size_t pcv_stream_files(const pcv_stream *s);

/* Reads and prepares the entry for the model: what the network takes.  0 or
 * -1; safe from several threads for different entries. */
int pcv_entry_load(pcv_stream *s, pcv_entry *e);
/* The prepared input (image [c,h,w], sound [n], points [n,c]; byte ids as
 * numbers [n]), after pcv_entry_load; of several modalities the first that the
 * entry has. */
pcv_values *pcv_entry_values(const pcv_entry *e);
/* Its shape alone, into dim: the rank, or -1. */
int pcv_entry_shape(const pcv_entry *e, size_t dim[8]);

/* ---- workers: inputs -> latents, outputs ----------------------------- */

typedef struct pcv_worker pcv_worker;
pcv_worker *pcv_worker_new(const pcv_model *m);
void pcv_worker_free(pcv_worker *w);    /* NULL ok */

/* Latents of a loaded entry, [N, D] (Perceiver, section 3.1). */
pcv_values *pcv_encode(pcv_worker *w, const pcv_entry *e);
/* The array that the encoder attends to, [M, C]: content and position
 * features (section 3.2). */
pcv_values *pcv_encode_input(pcv_worker *w, const pcv_entry *e);
/* Latents after the first cross-attend alone. */
pcv_values *pcv_encode_crossed(pcv_worker *w, const pcv_entry *e);

/* Encode once, ask many times: read takes a loaded entry (borrowed until the
 * next read), resume latents [N, D]; 0 or -1.  ask gives queries index[0..n) of
 * answer `which` as [n, outputs] (Perceiver IO, section 3.2), or with index
 * NULL all of them in the shape that pcv_model_answer tells (larger for a
 * larger picture of an optical flow); NULL where an output is not finite.
 * Memory is bounded by a chunk of queries beside the result. */
int pcv_worker_read(pcv_worker *w, const pcv_entry *e);
int pcv_worker_resume(pcv_worker *w, const pcv_values *latents);
pcv_values *pcv_ask(pcv_worker *w, size_t which, const int *index, size_t n);
/* Both at once, for the main answer. */
pcv_values *pcv_decode_latents(pcv_worker *w, const pcv_values *latents,
                               const int *index, size_t n);
pcv_values *pcv_answer(pcv_worker *w, const pcv_entry *e);
/* Class probabilities of a file, [outputs]: read, prepare, answer, softmax. */
pcv_values *pcv_classify_file(pcv_worker *w, const char *path);
/* The same for what the network takes, rank and dim as pcv_entry_values
 * gives (data borrowed). */
pcv_values *pcv_answer_array(pcv_worker *w, const pcv_values *x);
/* Probabilities p of `count` logits of one query, in double: softmax, or of
 * tags the logistic function of each (may be called on any array). */
void pcv_probabilities(const float *logits, size_t count, bool tags,
                       double *p);

/* ---- what answers stand for ------------------------------------------ */

/* All of these take the output of answer `which` as pcv_ask gives it; -1 or
 * NULL with pcv_error when the model answers something else. */

/* What is left as it is by --logits, in place: probabilities of classes
 * (softmax of each query), pixels of flow; others stay. */
int pcv_interpret(const pcv_model *m, size_t which, pcv_values *out);

/* Bytes of files, freed with free().  Picture i of pcv_answer_info.pictures
 * (PICTURE, FRAMES) as PNG, the model's normalisation undone; sound as WAV;
 * flow as .flo in pixels, and as PNG in the colours of Baker et al. (2011),
 * full ones for `most` pixels (<= 0: for the largest motion there is). */
unsigned char *pcv_picture(const pcv_model *m, size_t which,
                           const pcv_values *out, size_t i, size_t *bytes);
unsigned char *pcv_wave(const pcv_model *m, size_t which,
                        const pcv_values *out, size_t *bytes);
unsigned char *pcv_flow_file(const pcv_model *m, size_t which,
                             const pcv_values *out, size_t *bytes);
unsigned char *pcv_flow_picture(const pcv_model *m, size_t which,
                                const pcv_values *out, double most,
                                size_t *bytes);

/* ---- output formats -------------------------------------------------- */

/* Growable bytes; zero-initialise.  A failed allocation sets `failed` once and
 * for all. */
typedef struct {
    char *data;
    size_t len, cap;
    bool failed;
} pcv_bytes;
void pcv_bytes_add(pcv_bytes *b, const void *data, size_t n);
void pcv_bytes_printf(pcv_bytes *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pcv_bytes_escape(pcv_bytes *b, const char *s);     /* TSV and messages */
/* The inside of "..." in JSON; false if s is not UTF-8. */
bool pcv_bytes_json(pcv_bytes *b, const char *s);
void pcv_bytes_number(pcv_bytes *b, double v);          /* %.9g, null */
void pcv_bytes_clear(pcv_bytes *b);
void pcv_bytes_free(pcv_bytes *b);

/* The [MASK]s of a text, whose ids are the pcv_entry_values of its entry: how
 * many; for each, unless they are NULL, its place, which is the query to ask,
 * and its byte in the text. */
size_t pcv_text_masks(const pcv_values *ids, int *query, size_t *offset);
/* Appends the text, each [MASK] replaced by the next of the ids `fill` (NULL:
 * kept); without what frames it ([CLS], [SEP], [PAD] ..). */
void pcv_text_fill(pcv_bytes *b, const pcv_values *ids,
                   const int *fill);
/* Appends the byte of an id, or "[SEP]" and its like. */
void pcv_token_text(pcv_bytes *b, int id);

void pcv_npy_head(pcv_bytes *b, int rank, const size_t *dim);   /* float32 */

/* One record of an sts stream (pcv-formats(5)): a safetensors image with one
 * float32 tensor `name` (v NULL: none) and string metadata. */
void pcv_sts_add(pcv_bytes *b, const char *name, const pcv_values *v,
                 const char *const *key, const char *const *value,
                 size_t keys);
/* The beginning alone of a safetensors file with n tensors of those names and
 * shapes; their float32 data, one behind the other, is to follow. */
void pcv_sts_head(pcv_bytes *b, const pcv_tensor_info *t, size_t n,
                  const char *const *key, const char *const *value,
                  size_t keys);
typedef struct pcv_sts_reader pcv_sts_reader;
pcv_sts_reader *pcv_sts_reader_open(int fd, const char *name);
/* 1 and the record's first tensor (NULL for an error record; the caller frees
 * it); 0 after the end record; -1: truncated or malformed. */
int pcv_sts_reader_next(pcv_sts_reader *r, pcv_values **v);
const char *pcv_sts_reader_meta(pcv_sts_reader *r, const char *key);
void pcv_sts_reader_close(pcv_sts_reader *r);

/* A .safetensors or .npy file as arrays of float: tensor `name`, or the first
 * when name is NULL. */
pcv_values *pcv_values_read(const char *path, const char *name);

/* Files that appear whole or not at all. */
typedef struct pcv_out pcv_out;
pcv_out *pcv_out_open(const char *path, bool force);    /* 73 if it exists */
int pcv_out_write(pcv_out *o, const void *data, size_t n);
int pcv_out_close(pcv_out *o);          /* sync, rename; 0 or -1 */
void pcv_out_abort(pcv_out *o);

/* ---- looking at models ----------------------------------------------- */

typedef struct pcv_weights pcv_weights;

typedef struct {
    double min, max, mean, std, norm;
    size_t zeros, nan, inf;     /* nan and inf count in nothing else */
} pcv_tensor_stats;

/* A directory or a file of weights, whatever model it is of: safetensors, an
 * archive of PyTorch or NumPy (.bin, .npz), an index of shards. */
pcv_weights *pcv_weights_open(const char *path);
void pcv_weights_close(pcv_weights *w);
const char *pcv_weights_file(const pcv_weights *w);     /* path of the file */
size_t pcv_weights_count(const pcv_weights *w);
int pcv_weights_info(const pcv_weights *w, size_t i, pcv_tensor_info *info);
pcv_values *pcv_weights_get(const pcv_weights *w, size_t i);
/* Two passes in double; bins of [min, max] when hist is not NULL. */
int pcv_weights_stats(const pcv_weights *w, size_t i, pcv_tensor_stats *s,
                      size_t *hist, size_t bins);
size_t pcv_weights_metas(const pcv_weights *w);
const char *pcv_weights_meta_key(const pcv_weights *w, size_t i);
const char *pcv_weights_meta_value(const pcv_weights *w, size_t i);

/* Writes them as a .safetensors file; floats as "F32", "F16" or "BF16", or as
 * they are when dtype is NULL; matrices of weights as "I8" with their scales
 * (pcv-model(5)).  73 if it exists, unless force.  The file that
 * is open may be replaced. */
int pcv_weights_save(const pcv_weights *w, const char *path, const char *dtype,
                     bool force);

/* What the pickle of a PyTorch file asks for; nothing in it is executed.  A
 * directory: its pytorch_model.bin. */
typedef struct pcv_pickle pcv_pickle;

typedef struct {
    const char *what;           /* "global"; "opcode", "form": only where they
                                   are refused */
    const char *name;           /* "torch.FloatStorage", escaped */
    size_t offset, count;       /* of the first in the pickle; how many */
    bool allowed;
} pcv_pickle_ask;

pcv_pickle *pcv_pickle_open(const char *path);  /* NULL: there is no pickle */
void pcv_pickle_close(pcv_pickle *p);           /* NULL ok */
size_t pcv_pickle_count(const pcv_pickle *p);
int pcv_pickle_get(const pcv_pickle *p, size_t i, pcv_pickle_ask *ask);

/* What a pass over an input of a size costs ("224x224"; NULL: the model's own),
 * part by part: FLOPs (a multiply-add is two) of the plain form, that makes all
 * keys, values and scores, and of the form that is run. */
enum { PCV_MOST_COSTS = 10 };
typedef struct {
    double parameters, elements, channels;
    double plain, run;          /* FLOPs of all parts */
    double memory;              /* bytes beside the weights */
    size_t parts;
    struct {
        char name[64];          /* "cross-attend x 1", "decoder image", .. */
        const char *form;       /* "grid", "folded", "plain", "tiled", "kept" */
        double plain, run;      /* FLOPs */
        double bytes;           /* of records and scratch; parts share them */
    } part[PCV_MOST_COSTS];
} pcv_cost_info;
int pcv_model_cost(const pcv_model *m, const char *size, pcv_cost_info *c);

/* log.jsonl of a training run (pcv-model(5)), line by line; NULL or -1 when it
 * cannot be read. */
typedef struct pcv_log pcv_log;
typedef struct {
    const char *event;          /* good until the next line; NULL: the line is
                                   no event, and nothing else is set */
    const char *why;            /* "stop": of the end; others NULL */
    double step;                /* at least 0; the others NaN where they are
                                   missing, null or no numbers */
    double epoch, loss, accuracy, rate, norm, items_per_second;
    double steps, parameters, train, held;      /* "start" */
} pcv_log_line;
pcv_log *pcv_log_open(const char *path);
void pcv_log_close(pcv_log *l);         /* NULL ok */
/* 1; 0 at the end (a last line without its newline is not there yet); -1 also
 * where no line was an event. */
int pcv_log_next(pcv_log *l, pcv_log_line *line);

/* A grey or colour PNG of u8 [height][width][channels]; freed with free(). */
unsigned char *pcv_png(const unsigned char *pixels, int height, int width,
                       int channels, size_t *bytes);

/* ---- training -------------------------------------------------------- */

typedef struct pcv_trainer pcv_trainer;

/* A setting of a model or of a run: its name as an option, the values it
 * takes, a line of help.  i from 0; NULL past the end.  Good until the next
 * call on this thread. */
typedef struct {
    const char *name, *values, *help;
} pcv_setting;
const pcv_setting *pcv_setting_at(size_t i);

/* What the setting "preset" can be: a name and a line of help.  i from 0; NULL
 * past the end. */
const char *pcv_preset_at(size_t i, const char **help);

/* A run with every setting at its default. */
pcv_trainer *pcv_trainer_new(void);
void pcv_trainer_free(pcv_trainer *t);
int pcv_trainer_set(pcv_trainer *t, const char *name, const char *value);
char *pcv_trainer_get(const pcv_trainer *t, const char *name);  /* free() */
/* The settings of the run whose checkpoint is in `dir`: 1; 0 when there is
 * none; -1, e.g. EX_DATAERR when it is damaged and so is the one before it.
 * That the one before it is used is a remark (pcv_remark_take). */
int pcv_trainer_resume(pcv_trainer *t, const char *dir);

/* Several processes that one launcher (Open MPI's mpirun) started, `processes`
 * of them, train one model: each calls this, then pcv_train with the same
 * settings, each works on its share of every batch, and the one of rank 0 alone
 * writes into `dir`.  What watch answers in any of them counts for all.  The
 * rank, or -1: that number of processes cannot work together. */
int pcv_trainer_join(pcv_trainer *t, int processes);
/* Status 0: waits for the others to leave too; they may still be writing.  Any
 * other: ends them all, and this process, with that status. */
void pcv_trainer_leave(pcv_trainer *t, int status);

typedef struct {
    const char *event;          /* "start", "step", "eval", "checkpoint",
                                   "unsaved", "resume", "latents", "stop" */
    uint64_t step, steps;       /* done, in all */
    double epoch;
    double loss, accuracy;      /* since the last event of the kind; accuracy
                                   is NaN where there is none */
    double rate;                /* learning rate */
    double norm;                /* of the gradient, before clipping */
    double items_per_second, seconds_left;
    const char *json;           /* the line that goes to log.jsonl */
    const char *text;           /* "stop", "unsaved": why; "latents": how many
                                   the scores are of; "start": parameters that
                                   --init did not have; else NULL */
} pcv_progress;

/* What the caller may say in answer to an event. */
enum { PCV_GO_ON = 0, PCV_SAVE = 1, PCV_SAVE_AND_STOP = 2 };

/* Trains on `data` (a folder per class, a path<TAB>label list, IMAGES,LABELS
 * of idx or .npy) with `val` (NULL: the setting val-split) into directory
 * `dir`, which is made; resume: goes on from the checkpoint there, bit for
 * bit as if uninterrupted.  watch is called after every step and event, from
 * this thread.  A save that fails ends nothing ("unsaved"): what could not be
 * written is written at the next save, and only the first and the last have
 * to succeed.  0 done; 1 stopped as watch asked, saved; -1 failed. */
int pcv_train(pcv_trainer *t, const char *data, const char *val,
              const char *dir, bool resume,
              int (*watch)(void *arg, const pcv_progress *p), void *arg);

/* What a run would be and cost; nothing is written. */
typedef struct {
    size_t train, held, batch;  /* examples; of a step */
    uint64_t per_epoch, steps;  /* steps of an epoch, in all */
    double parameters;
    double elements, channels;  /* that the encoder sees of the first example */
    double forward, step;       /* FLOPs: a pass of an example, as run; a step:
                                   its examples, the backward pass as two */
    double weights, gradients, moments;         /* bytes */
    double activations, scratch;        /* bytes of a step, as max-mem bounds */
    int timed, threads;         /* steps that were run to be timed; by how many
                                   threads */
    double step_seconds, eval_seconds;  /* a step; an evaluation, or 0 */
    double seconds;             /* of the run: its steps and evaluations */
} pcv_plan;
int pcv_train_plan(pcv_trainer *t, const char *data, const char *val,
                   pcv_plan *plan);

/* Of a tensor: is its gradient that which differences of the loss show? */
typedef struct {
    const char *name;
    size_t elements;
    double norm;                /* of its gradient */
    double error;               /* the worst relative one of some directions */
    bool small;                 /* the loss hardly changes with it: its error is
                                   relative to what rounding lets be told */
} pcv_gradient;
/* On one small batch of the data, weights a little off where they begin (many
 * begin at zero).  0: all errors are within *bound; 1: not; -1. */
int pcv_train_check(pcv_trainer *t, const char *data, const char *val,
                    void (*tell)(void *arg, const pcv_gradient *g), void *arg,
                    double *bound);

/* How right a model is on data as pcv_train takes them. */
typedef struct {
    size_t items;
    double loss;
    double accuracy;            /* of tags: mean average precision; NaN where
                                   there is none */
    size_t classes;             /* of the main answer, where that is one of some
                                   classes; else 0 */
    size_t *count;              /* classes x classes: examples of the class of
                                   the row for which that of the column had the
                                   largest output; of equal ones the first */
} pcv_evaluation;
/* examples: "files" (also NULL), "lines" or "text", as the setting of that
 * name.  Labels are the model's by name or by number.  NULL, or to be freed
 * with pcv_evaluation_free. */
pcv_evaluation *pcv_evaluate(const pcv_model *m, const char *data,
                             const char *examples);
void pcv_evaluation_free(pcv_evaluation *e);    /* NULL ok */

#ifdef __cplusplus
}
#endif

#endif
