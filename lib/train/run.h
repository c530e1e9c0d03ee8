/* run.h - private to lib/train: a run while it lasts, shared by loop.c (steps),
 * begin.c (before the first one) and events.c (what is told of it). */
#ifndef PCV_RUN_H
#define PCV_RUN_H

#include "train.h"

typedef struct {
    pcv_training *t;
    pcv_splits splits;
    pcv_net net;
    pcv_moments moments;
    pcv_session s;
    pcv_state state;
    pcv_keeper keeper;
    pcv_buf given;              /* settings as text, before the data, .. */
    pcv_buf settings, data;     /* .. and with it: what resume compares */
    uint64_t steps, per_epoch;
    uint32_t *order;            /* of the training split in this epoch */
    uint64_t order_epoch;
    int batch;                  /* items of a step, in all processes, .. */
    size_t first, share;        /* .. and this one's of them */
    pcv_feeding feed;
    pcv_score score[PCV_MOST_PARTS];    /* of each answer, last evaluated */
    pcv_buf fresh;              /* parameters that init did not have */
    double rate, norm;          /* of the last step */
    double started;             /* seconds, and the step then */
    uint64_t started_at;
} pcv_running;

/* begin.c: data, network, steps, checkpoint.  0 or -1; to be closed in either
 * case. */
int pcv_run_open(pcv_running *r);
void pcv_run_close(pcv_running *r);
/* Are the parameters of all processes the same?  0 or -1. */
int pcv_run_alike(pcv_running *r);
/* Settings in a file beside the model.  0 or -1. */
int pcv_run_keep_settings(const pcv_running *r);
/* Does this process write the directory? */
bool pcv_run_writes(const pcv_running *r);

/* events.c: an event and its line of JSON for watch, whose answer it is.  NaN:
 * a figure that there is not; text NULL: nothing more to say. */
int pcv_run_tell(pcv_running *r, const char *event, double loss,
                 double accuracy, const char *text);

#endif
