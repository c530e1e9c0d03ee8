/* pump.h - items in, records out, in the same order, whatever the number of
 * threads.
 *
 *     next --> work --+                    one at a time / in parallel /
 *        \---> work --+--> emit, in order  one at a time
 *         \--> work --+
 *
 * An item is waited for by one thread only, so that a list may be a live
 * pipe: what is known is emitted meanwhile. */
#ifndef PUMP_H
#define PUMP_H

#include "opt.h"

typedef struct {
    void *source;
    /* 1; 0 end; -1 with pcv_error; or a status, having said why. */
    int (*next)(void *source, void **item);
    const char *(*name)(const void *item);
    void (*free)(void *item);

    void *ctx;
    /* Writes the item's record.  0; -1 with pcv_error; or the status of an
     * item that failed before, and why in *out. */
    int (*work)(void *ctx, pcv_worker *w, void *item, pcv_bytes *out);
    /* Writes the record of an item that failed (NULL: there is none). */
    void (*fail)(void *ctx, const void *item, int code, const char *what,
                 pcv_bytes *out);
    /* The record's turn has come; *code is 0 unless the item failed.  May
     * say what is wrong and set *code itself.  Returns 0, or the exit status
     * to stop with, having said why. */
    int (*emit)(void *ctx, const void *item, int *code, const pcv_bytes *out);

    const pcv_model *model;
    int threads;
    size_t batch;               /* items in memory at most */
    size_t shard, shards;       /* only items shard, shard + shards, ..; from
                                   1, and shards 0: all */
    bool stop;                  /* after the first that failed */
} pump_job;

typedef struct {
    size_t ok, failed;
    int worst;                  /* status of the items that failed */
    int fatal;                  /* of the source and the output */
    bool whole;                 /* everything was emitted, nothing fatal */
    bool left;                  /* a thread still waits for an item: source
                                   and model have to stay */
} pump_totals;

/* Threads for the job: with `alone` (one item that is worth it) they all
 * work on one item at a time; else each has its own. */
void pump_share_threads(pump_job *job, const opt *o, bool alone);
/* Are the operands one input, which may be of so many files? */
bool pump_alone(const opt *o, size_t files);
/* The items of a stream of inputs, pcv_entry. */
void pump_from_stream(pump_job *job, pcv_stream *s, const pcv_model *m,
                      const opt *o);
pump_totals pump_run(const pump_job *job);
/* Says how many failed.  The exit status. */
int pump_status(const pump_totals *t);

/* Opens the model, or exits. */
pcv_model *pump_model(const opt *o);

#endif
