/* train.h - floor 5: from labelled data to a model on disk. */
#ifndef PCV_TRAIN_H
#define PCV_TRAIN_H

#include "../data/data.h"
#include "../model/model.h"

/* ---- settings.c: a run as one table ---------------------------------- */

enum pcv_optimizer { PCV_ADAMW, PCV_LAMB };
enum pcv_schedule { PCV_COSINE, PCV_CONSTANT, PCV_STEP };
enum pcv_flip { PCV_FLIP_NO, PCV_FLIP_HORIZONTAL, PCV_FLIP_VERTICAL,
                PCV_FLIP_BOTH };

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
    double max_mem;             /* MB for the activations of a step; 0 any */
    int points;                 /* reconstruct: queries per item and step */
    /* Augmentation, as augment.c's table has it. */
    int shift;                  /* pixels, samples or frames, each way */
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
    double noise;               /* standard deviation added */
    char labels[PCV_TEXT_SIZE]; /* file of class names, one a line; "" none */
} pcv_run_spec;

const pcv_field *pcv_run_field(int i);
void pcv_run_default(pcv_run_spec *r);
int pcv_run_set(pcv_run_spec *r, const char *name, const char *value);
void pcv_run_get(const pcv_run_spec *r, const char *name, pcv_buf *b);
/* Is the setting another than its default? */
bool pcv_run_given(const pcv_run_spec *r, const char *name);

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
int pcv_augment_check(const pcv_run_spec *r, const pcv_prep *prep);
/* One prepared example in place (fewer points may be left).  0 or -1. */
int pcv_augment(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
                pcv_array *x);
/* Mixes example b (another one of the batch, already augmented, not mixed) of
 * the same shape into a: MixUp or CutMix.  *share is how much of a's target
 * stays (1: nothing was mixed), the rest is b's.  0 or -1. */
int pcv_mix(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
            pcv_array *a, const pcv_array *b, double *share);

/* ---- feed.c: examples in batches ------------------------------------- */

/* Prepared examples of one pass over a data set; the order is a pure function
 * of (seed, epoch). */
typedef struct {
    pcv_dataset *data;
    const uint32_t *which;      /* examples that belong to this split */
    uint32_t count;
} pcv_split;

/* The two splits of a run: --val, or a share of the data by the seed. */
typedef struct {
    pcv_dataset *data, *held;   /* held: NULL when split off from data */
    uint32_t *order;            /* of data: training first, then held out */
    uint32_t *all;              /* 0 .. of held */
    pcv_split train, val;       /* val.count may be 0 */
} pcv_splits;

/* Opens the data and sets the spec's outputs and labels from it (a class per
 * label, or the channels to be reconstructed).  0 or -1. */
int pcv_splits_open(pcv_splits *s, pcv_spec *spec, const pcv_run_spec *r,
                    const char *data, const char *val);
void pcv_splits_close(pcv_splits *s);

/* Inputs of `items` examples into x (each freed by the caller) and their
 * labels; augmented with the counters (seed, step) unless r is NULL.
 * 0, or -1 naming the example. */
int pcv_feed(const pcv_split *s, const pcv_prep *prep, const uint32_t *order,
             int items, const pcv_run_spec *r, uint64_t step, pcv_array *x,
             int *label);

/* ---- checkpoint.c ---------------------------------------------------- */

/* Where a run stands: enough to go on bit for bit. */
typedef struct {
    uint64_t step;              /* steps done; the place in the data and the
                                   random numbers follow from it */
    double best;                /* best evaluation so far */
    double loss_sum;            /* since the last report */
    double right_sum, seen_sum;
} pcv_state;

/* One file, checkpoint.safetensors: parameters, moments, state, settings. */
int pcv_checkpoint_save(const char *dir, const pcv_net *n,
                        const pcv_moments *o, const pcv_state *s,
                        const char *settings);
/* Into a net and moments of the same spec; -1 when there is none (66), or
 * when it was made with other settings (65). */
int pcv_checkpoint_load(const char *dir, pcv_net *n, pcv_moments *o,
                        pcv_state *s, const char *settings);

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
} pcv_training;

/* 0 done, 1 stopped by watch (saved), -1 failed. */
int pcv_training_run(pcv_training *t);

/* ---- objective.c: outputs and targets -> loss and gradient ----------- */

/* What a batch asks and wants.  classify: labels; reconstruct: the values of
 * the input at the queries. */
typedef struct {
    const int *label;
    const int *index;           /* queries asked, NULL: all */
    int asked;
    real *target;               /* B*asked x outputs */
} pcv_target;

/* Fills target->target from the inputs. */
void pcv_target_values(const pcv_net *n, const pcv_array *x, int items,
                       pcv_target *t);
/* Mean loss of s->out; s->dout is set when gradient; *right counts hits. */
double pcv_objective(pcv_session *s, const pcv_target *t, double smoothing,
                     bool gradient, int *right);

/* Mean loss and accuracy (NaN for a reconstruction) of a split. */
int pcv_training_evaluate(const pcv_net *n, const pcv_split *s, double *loss,
                          double *accuracy);

#endif
