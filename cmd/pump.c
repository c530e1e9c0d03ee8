/* pump.c - a ring of `batch` slots: item i lives in slot i mod batch from the
 * moment it is taken until its record is emitted.  Whoever finishes the item
 * whose turn it is emits it, and those behind it that are done.
 *
 * Two locks: `take` is held while an item is waited for, perhaps for ever;
 * `lock` is never held across a call of the job. */
#include "pump.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    void *item;
    pcv_bytes out, what;
    pcv_bytes remark;           /* of the library, "" for none */
    int code;
    bool done;
} slot;

enum { MOST_REMARKS = 32 };     /* different ones that are said */

typedef struct {
    pump_job job;               /* a copy: a thread that is left has it */
    pump_totals totals;
    pcv_bytes complaint;        /* of the source */
    char *said[MOST_REMARKS];   /* remarks, so that each is said once */
    size_t remarks;
    pthread_mutex_t take, lock;
    pthread_cond_t moved;       /* anything below has changed, .. */
    pthread_cond_t over;        /* .. in a way that may end the run */
    slot *ring;
    size_t batch, taken, emitted;
    size_t seen;                /* items of the source */
    int alive, busy;            /* threads; those that have an item */
    bool ended, halted, emitting;
} pump;

/* ---- taking ---------------------------------------------------------- */

static bool wait_for_room(pump *p)
{
    bool more;

    pthread_mutex_lock(&p->lock);
    while (!p->ended && !p->halted && p->taken - p->emitted == p->batch)
        pthread_cond_wait(&p->moved, &p->lock);
    more = !p->ended && !p->halted;
    pthread_mutex_unlock(&p->lock);
    return more;
}

static void source_failed(pump *p, int got)
{
    int code = got > 0 ? got : pcv_error_code();

    p->totals.fatal = code ? code : EX_OSERR;
    if (got < 0)
        pcv_bytes_printf(&p->complaint, "%s", code ? pcv_error()
                                                   : "out of memory");
}

static slot *put_into_slot(pump *p, int got, void *item)
{
    slot *s = NULL;

    pthread_mutex_lock(&p->lock);
    if (got == 1 && !p->halted) {
        s = &p->ring[p->taken++ % p->batch];
        s->item = item;
        p->busy++;
    } else if (got == 1) {
        p->job.free(item);
    } else {
        p->ended = true;
        if (got != 0)
            source_failed(p, got);
        pthread_cond_broadcast(&p->moved);
    }
    pthread_mutex_unlock(&p->lock);
    return s;
}

/* What is of another shard is never decoded. */
static int next_of_shard(pump *p, void **item)
{
    const pump_job *j = &p->job;
    int got;

    while ((got = j->next(j->source, item)) == 1 && j->shards &&
           p->seen++ % j->shards != j->shard - 1)
        j->free(*item);
    return got;
}

static slot *take(pump *p)
{
    void *item = NULL;
    slot *s = NULL;

    pthread_mutex_lock(&p->take);
    if (wait_for_room(p)) {
        int got;

        pcv_error_clear();
        got = next_of_shard(p, &item);
        s = put_into_slot(p, got, item);
    }
    pthread_mutex_unlock(&p->take);
    return s;
}

/* ---- working --------------------------------------------------------- */

/* The message behind a prefix "NAME: ", or NULL. */
static const char *behind(const char *message, const char *name)
{
    size_t n = strlen(name);

    return strncmp(message, name, n) == 0 &&
           strncmp(message + n, ": ", 2) == 0 ? message + n + 2 : NULL;
}

/* The message without the name that it begins with, escaped or not. */
static const char *what_failed(const char *name, const char *message)
{
    const char *what = behind(message, opt_shown(name));

    what = what ? what : behind(message, name);
    return what ? what : message;
}

static void keep_reason(const pump_job *job, slot *s, int result)
{
    int code = result > 0 ? result : pcv_error_code();

    s->code = !code ? EX_OSERR : code == EX_USAGE ? EX_DATAERR : code;
    pcv_bytes_clear(&s->what);
    if (result > 0 && s->out.len)
        pcv_bytes_add(&s->what, s->out.data, s->out.len);
    else
        pcv_bytes_printf(&s->what, "%s", code ? what_failed(
                             job->name(s->item), pcv_error())
                                              : "out of memory");
}

static void item_failed(const pump_job *job, slot *s)
{
    if (s->out.failed)
        pcv_bytes_free(&s->out);
    s->out.failed = false;
    pcv_bytes_clear(&s->out);
    if (job->fail && !s->what.failed)
        job->fail(job->ctx, s->item, s->code, s->what.data, &s->out);
}

/* The remark is of this thread, whoever will emit the record. */
static void compute(const pump_job *job, pcv_worker *w, slot *s)
{
    int result = -1;

    pcv_bytes_clear(&s->out);
    pcv_bytes_clear(&s->remark);
    s->code = 0;
    if (w)
        result = job->work(job->ctx, w, s->item, &s->out);
    pcv_bytes_printf(&s->remark, "%s", pcv_remark_take());
    if (result == 0 && !s->out.failed)
        return;
    keep_reason(job, s, result);
    item_failed(job, s);
}

/* ---- emitting -------------------------------------------------------- */

/* Once for every text, of the first input that it is about. */
static void pass_on_remark(pump *p, const slot *s)
{
    const char *name = p->job.name(s->item);
    const char *text = s->remark.len && !s->remark.failed ? s->remark.data
                                                          : "";

    for (size_t i = 0; i < p->remarks; i++)
        if (strcmp(p->said[i], text) == 0)
            return;
    if (!*text || p->remarks == MOST_REMARKS)
        return;
    p->said[p->remarks] = strdup(text);
    if (!p->said[p->remarks])
        opt_fatal_memory();
    p->remarks++;
    opt_warn("%s: %s", opt_shown(name), what_failed(name, text));
}

static int emit(pump *p, slot *s)
{
    const pump_job *job = &p->job;

    pass_on_remark(p, s);
    if (s->out.failed || s->what.failed) {
        opt_error("out of memory");
        return EX_OSERR;
    }
    if (s->code)
        opt_error("%s: %s", opt_shown(job->name(s->item)), s->what.data);
    return job->emit(job->ctx, s->item, &s->code, &s->out);
}

static void count(pump *p, const slot *s, int status)
{
    pump_totals *t = &p->totals;

    t->ok += s->code == 0;
    t->failed += s->code != 0;
    t->worst = opt_worse(t->worst, s->code);
    t->fatal = opt_worse(t->fatal, status);
    if (status || (s->code && p->job.stop))
        p->halted = true;
}

static void empty(pump *p, slot *s)
{
    p->job.free(s->item);
    s->item = NULL;
    s->done = false;
}

/* With the lock, which is not held while a record is written. */
static void emit_those_done(pump *p)
{
    if (p->emitting)
        return;                 /* whoever does will see this one too */
    p->emitting = true;
    while (!p->halted && p->emitted < p->taken &&
           p->ring[p->emitted % p->batch].done) {
        slot *s = &p->ring[p->emitted % p->batch];
        int status;

        pthread_mutex_unlock(&p->lock);
        status = emit(p, s);
        pthread_mutex_lock(&p->lock);
        count(p, s, status);
        empty(p, s);
        p->emitted++;
        pthread_cond_broadcast(&p->moved);
    }
    p->emitting = false;
}

static void deliver(pump *p, slot *s)
{
    pthread_mutex_lock(&p->lock);
    s->done = true;
    emit_those_done(p);
    p->busy--;
    pthread_cond_broadcast(&p->moved);
    if (p->halted)
        pthread_cond_signal(&p->over);
    pthread_mutex_unlock(&p->lock);
}

/* ---- threads --------------------------------------------------------- */

static void *run_worker(void *arg)
{
    pump *p = arg;
    pcv_worker *w = NULL;
    slot *s;

    while ((s = take(p)) != NULL) {
        if (!w)
            w = pcv_worker_new(p->job.model);
        compute(&p->job, w, s);
        deliver(p, s);
    }
    pcv_worker_free(w);
    pthread_mutex_lock(&p->lock);
    p->alive--;
    pthread_cond_broadcast(&p->moved);
    pthread_cond_signal(&p->over);
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static int start(pump *p, pthread_t *thread, int wanted)
{
    int n = 0;

    pthread_mutex_lock(&p->lock);
    while (n < wanted &&
           pthread_create(&thread[n], NULL, run_worker, p) == 0)
        n++;
    p->alive = n;
    pthread_mutex_unlock(&p->lock);
    if (n == 0)
        opt_fatal(EX_OSERR, "no thread can be started");
    if (n < wanted)
        opt_warn("only %d of %d threads can be started", n, wanted);
    return n;
}

/* Until all threads have ended; or, when the run was halted, until nobody
 * computes any more: one may be waiting for a pipe that stays silent, and
 * the others for that one.  They get a moment to notice. */
static void wait_for_end(pump *p)
{
    struct timespec until;

    pthread_mutex_lock(&p->lock);
    while (p->alive && !(p->halted && p->busy == 0))
        pthread_cond_wait(&p->over, &p->lock);
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += 20000000;
    until.tv_sec += until.tv_nsec / 1000000000;
    until.tv_nsec %= 1000000000;
    while (p->alive &&
           pthread_cond_timedwait(&p->over, &p->lock, &until) == 0)
        ;
    p->totals.left = p->alive > 0;
    pthread_mutex_unlock(&p->lock);
}

static pump *open_pump(const pump_job *job)
{
    pump *p = calloc(1, sizeof *p);

    if (!p)
        opt_fatal_memory();
    p->job = *job;
    p->batch = job->batch;
    p->ring = calloc(p->batch, sizeof *p->ring);
    if (!p->ring)
        opt_fatal_memory();
    pthread_mutex_init(&p->take, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->moved, NULL);
    pthread_cond_init(&p->over, NULL);
    return p;
}

static void close_pump(pump *p)
{
    for (size_t i = 0; i < p->batch; i++) {
        if (p->ring[i].item)
            p->job.free(p->ring[i].item);
        pcv_bytes_free(&p->ring[i].out);
        pcv_bytes_free(&p->ring[i].what);
        pcv_bytes_free(&p->ring[i].remark);
    }
    for (size_t i = 0; i < p->remarks; i++)
        free(p->said[i]);
    pcv_bytes_free(&p->complaint);
    pthread_cond_destroy(&p->moved);
    pthread_cond_destroy(&p->over);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->take);
    free(p->ring);
    free(p);
}

pump_totals pump_run(const pump_job *job)
{
    pump *p = open_pump(job);
    int wanted = (size_t)job->threads < job->batch ? job->threads
                                                   : (int)job->batch;
    pthread_t *thread = calloc((size_t)wanted, sizeof *thread);
    pump_totals totals;
    int n;

    if (!thread)
        opt_fatal_memory();
    n = start(p, thread, wanted);
    wait_for_end(p);
    totals = p->totals;
    totals.whole = !p->halted && !totals.fatal;
    if (p->complaint.len)
        opt_error("%s", p->complaint.data);
    for (int i = 0; i < n; i++)
        if (totals.left)
            pthread_detach(thread[i]);
        else
            pthread_join(thread[i], NULL);
    free(thread);
    if (!totals.left)
        close_pump(p);
    return totals;
}
