/* train.h - floor 5: from labelled data to a model on disk. */
#ifndef PCV_TRAIN_H
#define PCV_TRAIN_H

#include "../data/data.h"
#include "../model/model.h"

/* ---- settings.c: a run as one table ---------------------------------- */

enum pcv_optimizer { PCV_ADAMW, PCV_LAMB };
enum pcv_freeze { PCV_FREEZE_NONE, PCV_FREEZE_ENCODER, PCV_FREEZE_BODY };
enum pcv_schedule { PCV_COSINE, PCV_CONSTANT, PCV_STEP };
enum pcv_flip { PCV_FLIP_NO, PCV_FLIP_HORIZONTAL, PCV_FLIP_VERTICAL,
                PCV_FLIP_BOTH };

enum { PCV_MOST_BATCH = 65536 };        /* items of a step */

typedef struct {
    int steps;                  /* -1: epochs decide; 0: only initialise */
    double epochs;
    int batch;
    int optimizer;              /* enum pcv_optimizer */
    double lr, weight_decay, beta1, beta2, eps;
    int schedule;               /* enum pcv_schedule */
    int warmup;                 /* steps */
    double final;               /* cosine: last rate over the highest */
    double clip;                /* global norm of the gradient; 0 none */
    double dropout, smoothing;
    int seed;
    double val_split;           /* share of the data held out without --val */
    int eval_every, save_every; /* steps; 0: once per epoch */
    int keep_best;              /* model.safetensors is the best evaluated */
    int overfit;                /* examples to be learnt by heart; 0: train */
    double max_mem;             /* MB for the activations of a step; 0 any */
    int points;                 /* reconstruct: queries per item and step */
    int examples;               /* enum pcv_examples_form: what DATA is */
    double mask;                /* fill: share of the bytes that are masked */
    int mask_words;             /* by whole words */
    double drop_parts;          /* probability of leaving a part out */
    char preset[PCV_TEXT_SIZE]; /* what the other settings begin as; "" none */
    char init[PCV_TEXT_SIZE];   /* a model to begin from; "" none */
    int freeze;                 /* enum pcv_freeze */
    double margin;              /* latents=auto: points of accuracy */
    int choose;                 /* latents=auto */
    /* Augmentation, as augment.c's table has it. */
    int shift;                  /* pixels, each way */
    int delay;                  /* samples or frames, each way */
    double crop_area;           /* smallest share of a picture; 1 none */
    int flip;                   /* enum pcv_flip */
    int randaugment;            /* operations for a picture, .. */
    double magnitude;           /* .. of this strength, 0 to 10 */
    double erase;               /* share of the pictures */
    double mixup, cutmix;       /* alpha of Beta(alpha, alpha); 0 none */
    double gain;                /* decibels of sound, each way */
    int time_masks, time_mask;  /* log-mel: how many, of up to so many frames */
    int frequency_masks, frequency_mask;    /* the same of bands */
    double drop_points;         /* share of them */
    double scale;               /* points: factors 1 - scale .. 1 + scale */
    double rotate;              /* points: degrees, each way */
    double jitter;              /* points: standard deviation added */
    int indent;                 /* texts begin up to so many places later */
    double hide;                /* share of their bytes that are masked */
    double noise;               /* standard deviation added */
    char labels[PCV_TEXT_SIZE]; /* file of class names, one a line; "" none */
} pcv_run_spec;

const pcv_field *pcv_run_field(int i);
void pcv_run_default(pcv_run_spec *r);
int pcv_run_set(pcv_run_spec *r, const char *name, const char *value);
void pcv_run_get(const pcv_run_spec *r, const char *name, pcv_buf *b);
/* Is the setting another than its default? */
bool pcv_run_given(const pcv_run_spec *r, const char *name);

/* ---- presets.c: recipes ---------------------------------------------- */

enum { PCV_MOST_PRESET = 32 };
typedef struct {
    const char *name, *help;
    struct {
        const char *name, *value;
    } setting[PCV_MOST_PRESET];         /* ended by one without a name */
} pcv_preset;

const pcv_preset *pcv_preset_row(int i);        /* NULL past the end */
const pcv_preset *pcv_preset_find(const char *name);    /* NULL */
int pcv_preset_unknown(const char *name);       /* -1, the message lists them */

/* ---- optimizer.c: AdamW and LAMB ------------------------------------- */

/* First and second moments of every parameter, in the order of its slab. */
typedef struct {
    real *m, *v, *u;            /* u: scratch, the update of a parameter */
} pcv_moments;

int pcv_moments_open(pcv_moments *o, const pcv_params *p);
void pcv_moments_close(pcv_moments *o);
/* Step `step` (from 1) with rate lr; gradients are multiplied by gscale. */
void pcv_optimize(pcv_moments *o, const pcv_run_spec *r, pcv_params *p,
                  uint64_t step, double lr, double gscale);
/* Global norm of the gradient, in double. */
double pcv_gradient_norm(const pcv_params *p);

/* ---- schedule.c ------------------------------------------------------ */

/* Rate of step `step` (from 0) of `steps`. */
double pcv_learning_rate(const pcv_run_spec *r, uint64_t step, uint64_t steps);

/* ---- augment.c: examples that are changed at random ------------------- */

/* What happens to an example is a function of (r->seed, stream) alone, so the
 * caller gives each one of its own: step * 65536 + place in the batch.  Several
 * threads may change several examples at once. */

/* Are the settings that are given for this kind of input, and with those that
 * they need?  0, or -1 and EX_USAGE; once, before the others are called. */
int pcv_augment_check(const pcv_run_spec *r, const pcv_spec *s);
/* One prepared example in place (fewer points may be left).  0 or -1. */
int pcv_augment(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
                pcv_array *x);
/* Mixes example b (another one of the batch, already augmented, not mixed) of
 * the same shape into a: MixUp or CutMix.  *share is how much of a's target
 * stays (1: nothing was mixed), the rest is b's.  0 or -1. */
int pcv_mix(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
            pcv_array *a, const pcv_array *b, double *share);

/* ---- peers.c: processes that train one model together ---------------- */

/* NULL in every place of one: there is but this process.  What all of them
 * have to call, they call in the same order, each from one thread; a failure
 * of one leaves the others waiting until it closes. */
typedef struct pcv_peers pcv_peers;

/* What they need, as the build found it; NULL: it is not there. */
const char *pcv_peers_name(void);
/* Joins the `processes` that a launcher (mpirun) started together.  NULL and a
 * message where MPI is not there, or has another number of them. */
pcv_peers *pcv_peers_open(int processes);
/* Status 0: waits for the others to close too.  Any other: ends them all, and
 * this one, with that status.  NULL ok. */
void pcv_peers_close(pcv_peers *p, int status);
int pcv_peers_rank(const pcv_peers *p);         /* 0 .. size - 1 */
int pcv_peers_size(const pcv_peers *p);
/* How many of n things in a row are this process's, and the first of them. */
size_t pcv_peers_share(const pcv_peers *p, size_t n, size_t *first);
/* x = the sum of all processes' x, in the order of their ranks: the same bits
 * in all of them.  0 or -1. */
int pcv_peers_sum(pcv_peers *p, real *x, size_t n);
int pcv_peers_add(pcv_peers *p, double *x, int n);      /* of a few */
/* b = everybody's b, one after the other; below 2 GB. */
int pcv_peers_collect(pcv_peers *p, pcv_buf *b);
/* -1 in all of them where the bytes are not those of process 0 in one; `what`
 * is the beginning of the message: "the settings are". */
int pcv_peers_agree(pcv_peers *p, const void *data, size_t bytes,
                    const char *what);

/* ---- splits.c: what is trained on, what is held out ------------------ */

/* Where the spec's inputs and wishes stand in the columns of the data. */
typedef struct {
    pcv_columns columns;
    int part[PCV_MOST_PARTS];   /* column of each part, or of the input */
    int answer[PCV_MOST_PARTS]; /* of each answer; -1: it is the input itself */
} pcv_columns_of;

/* Examples of a data set that belong together. */
typedef struct {
    pcv_dataset *data;
    const uint32_t *which;
    uint32_t count;
} pcv_split;

/* The two splits of a run: --val, or a share of the data by the seed. */
typedef struct {
    pcv_dataset *data, *held;   /* held: NULL when split off from data */
    uint32_t *order;            /* of data: training first, then held out */
    uint32_t *all;              /* 0 .. of held */
    pcv_columns_of of;
    pcv_split train, val;       /* val.count may be 0 */
} pcv_splits;

/* What a model of that spec reads and wants. */
void pcv_spec_columns(const pcv_spec *spec, const pcv_run_spec *r,
                      pcv_columns_of *of);
/* Have the data's label columns what the model's answers need?  0 or -1. */
int pcv_answers_fit(const pcv_dataset *d, const pcv_spec *spec,
                    const pcv_columns_of *of);
/* How its data are read, beside that. */
void pcv_spec_reading(const pcv_spec *spec, pcv_reading *how);
/* Does the form of the examples suit the model?  0, or -1 with EX_USAGE. */
int pcv_examples_check(const pcv_spec *spec, const pcv_run_spec *run);
/* Opens the data and sets the spec's outputs and labels from it.  0 or -1. */
int pcv_splits_open(pcv_splits *s, pcv_spec *spec, const pcv_run_spec *r,
                    const char *data, const char *val);
void pcv_splits_close(pcv_splits *s);
/* Appends how many examples there are and a checksum of their names and
 * labels (pcv_dataset_identity), of --val too.  0 or -1. */
int pcv_splits_identity(const pcv_splits *s, pcv_buf *b);

/* ---- feed.c: examples in batches ------------------------------------- */

/* What an answer wants of the examples of a batch. */
typedef struct {
    int asked;                  /* queries of each item */
    int *index;                 /* items x asked; NULL: 0 .. of each */
    real *want;                 /* items x asked x outputs; a row that begins
                                   with NaN wants nothing */
} pcv_target;

/* Examples of one step, those with the same parts side by side. */
typedef struct {
    const pcv_net *net;
    const pcv_run_spec *run;
    const pcv_columns_of *of;
    const pcv_split *split;
    bool learn;                 /* augmented, some queries; else as it is */
    uint64_t step;
    int room, items, parts;
    int first;                  /* place of item 0 in the step's whole batch */
    const uint32_t *order;      /* of the whole batch, .. */
    int *place;                 /* .. whose places these are: room */
    unsigned *present;          /* room: the parts that an item has, as bits */
    pcv_array *x;               /* room x parts; no data: absent */
    const pcv_array **px;
    pcv_target target[PCV_MOST_PARTS];  /* of each answer */
    char **what;                /* room: messages of examples that failed */
    int *code;
} pcv_feeding;

int pcv_feeding_open(pcv_feeding *f, const pcv_net *net, const pcv_run_spec *r,
                     const pcv_columns_of *of, const pcv_split *split,
                     bool learn, int room);
void pcv_feeding_close(pcv_feeding *f);
/* Examples first .. first+items of a step whose whole batch is order[0..whole),
 * as numbers of the split: prepared, augmented and with what they want, all a
 * function of (seed, step, place in the batch).  0, or -1 naming the one. */
int pcv_feed(pcv_feeding *f, const uint32_t *order, int whole, int first,
             int items, uint64_t step);
/* The stream of item i's random numbers. */
uint64_t pcv_feed_stream(const pcv_feeding *f, int i);
/* Items from .. that have the same parts: how many. */
int pcv_feed_group(const pcv_feeding *f, int from);

/* ---- wants.c: from an example to what is wanted of it ---------------- */

/* Fills item i of every target; may change its input (masked bytes). */
int pcv_want(pcv_feeding *f, int i);

/* ---- checkpoint.c ---------------------------------------------------- */

/* Where a run stands: enough to go on bit for bit. */
typedef struct {
    uint64_t step;              /* steps done; the place in the data and the
                                   random numbers follow from it */
    double best;                /* best evaluation so far */
    double loss_sum, seen_sum;  /* since the last report: of the examples, .. */
    double right_sum, asked_sum;        /* .. of the main answer's rows */
} pcv_state;

/* What it came from; to go on, both have to be the same. */
typedef struct {
    const char *settings;       /* lines of name=value */
    const char *data;           /* examples and a checksum, pcv_splits_identity;
                                   borrowed like the other */
} pcv_origin;

/* One file, checkpoint.safetensors: parameters, moments, state, origin, and a
 * checksum of all of it.  The one that it replaces stays beside it as
 * checkpoint.previous.safetensors, unless this is of step 0. */
int pcv_checkpoint_save(const char *dir, const pcv_net *n,
                        const pcv_moments *o, const pcv_state *s,
                        const pcv_origin *from);
/* Into a net and moments of the same spec.  One that is damaged or missing is
 * replaced by the one before it, with a remark; -1 when there is neither (66),
 * when none is whole or they are of another origin (65). */
int pcv_checkpoint_load(const char *dir, pcv_net *n, pcv_moments *o,
                        pcv_state *s, const pcv_origin *from);
/* Appends the settings of the one that load would take.  1; 0 when there is
 * none; -1 when none is whole (65). */
int pcv_checkpoint_settings(const char *dir, pcv_buf *settings);

/* Saves of a run, of which one may fail: the run goes on and what could not
 * be written is written at the next.  All but the last three is set by the
 * owner; what it points to is borrowed. */
typedef struct {
    const char *dir;
    pcv_net *net;
    const pcv_moments *moments;
    const pcv_state *state;
    pcv_origin from;
    bool asleep;                /* another process writes */
    uint64_t saved;             /* step of the checkpoint in dir */
    bool behind;                /* the newest save failed */
    real *best;                 /* weights that model.safetensors should have,
                                   or NULL */
} pcv_keeper;

/* Both: 0, 1 a save that failed (EX_IOERR, EX_CANTCREAT) and may be tried
 * again, -1 the end of the run; each but 0 leaves a message. */
int pcv_keeper_model(pcv_keeper *k);    /* the net as model.safetensors */
int pcv_keeper_save(pcv_keeper *k);     /* a checkpoint */
/* The message about a run whose numbers are no longer finite; -1. */
int pcv_keeper_diverged(const pcv_keeper *k, uint64_t step, const char *what);
void pcv_keeper_close(pcv_keeper *k);

/* ---- loop.c ---------------------------------------------------------- */

typedef struct {
    const char *event;
    uint64_t step, steps;
    double epoch, loss, accuracy, rate, norm, items_per_second, seconds_left;
    const char *json, *text;
} pcv_event;

enum { PCV_WATCH_GO_ON, PCV_WATCH_SAVE, PCV_WATCH_STOP };

typedef struct {
    pcv_spec spec;
    pcv_run_spec run;
    const char *data, *val, *dir;
    bool resume;
    int (*watch)(void *arg, const pcv_event *e);
    void *arg;
    pcv_peers *peers;
} pcv_training;

/* 0 done, 1 stopped by watch (saved), -1 failed. */
int pcv_training_run(pcv_training *t);

/* The network, the data and the first batch of a run that leaves nothing
 * behind (rehearse.c). */
typedef struct {
    pcv_training *t;
    pcv_net *net;
    pcv_session *s;
    const pcv_splits *splits;
    const pcv_feeding *feed;
    int batch;
    uint64_t steps, per_epoch;
    void *run;
    int (*step)(void *run);     /* of training, on the next batch; 0 or -1 */
    /* Of the batch that is fed: the loss and, if wanted, its gradient. */
    int (*loss)(void *run, bool gradient, double *loss);
} pcv_rehearsal;

/* Opens a run without its directory; 0, or what look returns, or -1. */
int pcv_training_rehearse(pcv_training *t,
                          int (*look)(void *arg, const pcv_rehearsal *r),
                          void *arg);
double pcv_seconds(void);       /* of a clock that only goes on */

/* ---- objective.c: outputs and targets -> loss and gradient ----------- */

/* Sums over rows that want something. */
typedef struct {
    double loss, right, rows;
} pcv_tally;

/* Each of n becomes the sum of all processes'. */
int pcv_tally_join(pcv_tally *t, int n, pcv_peers *peers);

/* Does the answer have a share of right rows? */
bool pcv_task_counts(int task);
/* Rows of items from .. from+items that want something. */
double pcv_wanted(const pcv_feeding *f, int which, int from, int items);
/* Adds the rows of s->out, the answer `which` to items from .. of the feeding,
 * to t; unless scale is 0, s->dout = scale times the gradient of their sum. */
void pcv_objective(pcv_session *s, const pcv_feeding *f, int which, int from,
                   double scale, pcv_tally *t);

/* ---- metric.c: how well labels are ranked ---------------------------- */

typedef struct {
    float score;
    bool has;
} pcv_ranked;

/* Scores of all examples are kept: mean average precision needs their order. */
typedef struct {
    pcv_buf rows;               /* of pcv_ranked, `labels` an example */
    int labels;
} pcv_ranking;

void pcv_ranking_add(pcv_ranking *r, const real *want, const real *out, int k);
double pcv_ranking_mean(const pcv_ranking *r);  /* NaN: nobody has any label */
void pcv_ranking_free(pcv_ranking *r);

/* ---- evaluate.c: a whole split --------------------------------------- */

typedef struct {
    double loss, accuracy;      /* accuracy: share right, or mean average
                                   precision of tags; NaN where there is none */
} pcv_score;

typedef struct {
    int latents;                /* to use; 0: all */
    /* Every answered row that wants something; NULL: nobody looks. */
    void (*seen)(void *arg, int which, const real *want, const real *out,
                 int outputs);
    void *arg;
    pcv_peers *peers;           /* who share the work; all get the scores */
} pcv_evaluation_how;

/* Score of every answer; *all: the weighted loss, the accuracy of the main
 * answer.  0 or -1. */
int pcv_training_evaluate(const pcv_net *n, const pcv_run_spec *r,
                          const pcv_columns_of *of, const pcv_split *s,
                          const pcv_evaluation_how *how,
                          pcv_score answer[PCV_MOST_PARTS], pcv_score *all);
/* The first answer that counts right rows, else 0. */
int pcv_main_answer(const pcv_net *n);

/* ---- tune.c: to begin from a model, to learn a part of it ------------- */

/* Weights of the model in dir where name and shape are the same.  What is new
 * is told in *fresh (names, one a line; pcv_buf_free).  0 or -1. */
int pcv_tune_init(pcv_net *n, const char *dir, pcv_buf *fresh);
/* Takes the gradients away of what is not to learn. */
void pcv_tune_freeze(pcv_net *n, int freeze);

/* ---- nested.c: latents that can be fewer ----------------------------- */

/* Counts that the spec is trained for beside all of its latents, "8,16,32":
 * how many; -1: it makes no sense. */
enum { PCV_MOST_COUNTS = 16 };
int pcv_nested_counts(const pcv_spec *s, int count[PCV_MOST_COUNTS]);
/* Latents of step: half of the steps all of them. */
int pcv_nested_draw(const pcv_spec *s, uint64_t seed, uint64_t step);
/* The smallest count whose score is at most `margin` below the whole one's, or
 * -1; tells (unless NULL) the score of all latents and of each count that was
 * tried. */
typedef void pcv_nested_tell(void *arg, int latents, const pcv_score *score);
int pcv_nested_choose(const pcv_net *n, const pcv_run_spec *r,
                      const pcv_splits *s, pcv_peers *peers,
                      pcv_nested_tell *tell, void *arg);
/* Leaves the first n latents. */
void pcv_nested_cut(pcv_net *n, int latents);

/* ---- gradient.c: backward against differences of the loss ------------ */

typedef struct {
    const char *name;           /* of a tensor */
    size_t count;
    double norm;                /* of its gradient */
    double error;               /* the worst relative one */
    bool small;                 /* of none of the directions the loss tells */
} pcv_gradient_row;

typedef struct {
    double (*loss)(void *arg);  /* where the weights are; gradients are kept */
    void *arg;
    void (*tell)(void *to, const pcv_gradient_row *row);
    void *to;
    uint64_t seed;              /* of the directions */
} pcv_gradient_how;

/* The largest error of a gradient that is right. */
double pcv_gradient_bound(void);
/* Compares p's gradients, tensor by tensor; the weights are as they were
 * afterwards.  0, 1: one is beyond the bound, -1. */
int pcv_gradient_check(pcv_params *p, const pcv_gradient_how *how);

/* ---- rehearse.c: looking at a run before it is done ------------------ */

typedef struct {
    uint32_t train, held;
    int batch, timed, threads;
    uint64_t per_epoch, steps;
    size_t parameters;
    pcv_cost cost;              /* of the first example */
    double step;                /* FLOPs of a step */
    size_t weights, moments, activations, scratch;      /* bytes */
    double step_seconds, eval_seconds, seconds;
} pcv_plan_figures;

/* Sizes, costs and, from a few steps that are done, times.  0 or -1. */
int pcv_training_plan(pcv_training *t, pcv_plan_figures *p);
/* The gradient of a small batch: 0, 1: it is wrong, -1. */
int pcv_training_check(pcv_training *t,
                       void (*tell)(void *to, const pcv_gradient_row *row),
                       void *to);

#endif
