/* feed.c - what the programs that run a pump do alike: the model, the
 * threads, the inputs, the sum at the end. */
#include "pump.h"

#include <stdlib.h>

pcv_model *pump_model(const opt *o)
{
    pcv_model *m = pcv_model_open(o->model);

    if (!m)
        opt_fatal_pcv();
    if (o->latents && pcv_model_latents_set(m, o->latents) < 0)
        opt_fatal_pcv();
    if (o->precision && (pcv_threads_set(o->threads) < 0 ||
                         pcv_model_precision_set(m, o->precision) < 0))
        opt_fatal_pcv();
    if (o->verbose)         /* the identity reads all the weights */
        opt_note("model %s, %s", opt_shown(pcv_model_path(m)),
                 pcv_model_id(m));
    return m;
}

void pump_share_threads(pump_job *job, const opt *o, bool alone)
{
    job->threads = alone ? 1 : o->threads;
    job->batch = o->batch;
    job->stop = o->stop;
    job->shard = o->shard;
    job->shards = o->shards;
    opt_note("%d threads for %s, at most %zu in memory", o->threads,
             alone ? "each input in turn" : "as many inputs", o->batch);
    if (pcv_threads_set(alone ? o->threads : 1) < 0)
        opt_fatal_pcv();
}

/* A directory is one input when the model takes several files at a time: then
 * it is a clip. */
bool pump_alone(const opt *o, size_t files)
{
    bool many = files == 1 || o->in.recursive;

    return !o->in.list && o->in.paths > 0 && o->in.paths <= files &&
           !(many && opt_is_directory(o->in.path[0]));
}

/* ---- the items of a stream ------------------------------------------- */

static int next_entry(void *source, void **item)
{
    pcv_entry *e = NULL;
    int got = pcv_stream_next(source, &e);

    *item = e;
    return got;
}

static const char *entry_name(const void *item)
{
    return pcv_entry_name(item);
}

static void free_entry(void *item)
{
    pcv_entry_free(item);
}

void pump_from_stream(pump_job *job, pcv_stream *s, const pcv_model *m,
                      const opt *o)
{
    job->source = s;
    job->next = next_entry;
    job->name = entry_name;
    job->free = free_entry;
    job->model = m;
    pump_share_threads(job, o, pump_alone(o, pcv_stream_files(s)));
}

/* ---- the sum --------------------------------------------------------- */

/* Memory, reading and writing (71, 73, 74) outweigh that others succeeded;
 * bad data does not. */
int pump_status(const pump_totals *t)
{
    int status = t->worst;

    if (t->failed && t->ok + t->failed > 1)
        opt_error("%zu of %zu inputs failed", t->failed, t->ok + t->failed);
    if (t->failed && t->ok && opt_worse(EX_USAGE, status) == EX_USAGE)
        status = OPT_SOME_FAILED;
    return opt_worse(status, t->fatal);
}
