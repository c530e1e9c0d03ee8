/* pool.c - threads that share out the calls of one loop.
 *
 * The job is one 64-bit ticket: its number in the upper half, how many
 * calls are still to be handed out in the lower.  Whoever takes a call
 * lowers the ticket by compare-and-swap.  Success proves that the fields
 * read before belong to this job: a job's fields change only after all its
 * calls are done, and the call just taken was not.  Hence a worker that
 * wakes late finds nothing or the next job, never a stale one, and nobody
 * waits for threads that are asleep.
 *
 * Jobs of 50 microseconds are common and waking a thread costs about that,
 * so workers and caller spin for a while before they sleep. */
#include "base.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

#define SPINS 2000
#define LEFT UINT64_C(0xffffffff)

typedef void call(void *arg, int i);

static struct {
    _Alignas(64) _Atomic uint64_t ticket;
    _Atomic(call *) fn;
    _Atomic(void *) arg;
    atomic_int n;
    _Alignas(64) atomic_int done;
    _Alignas(64) atomic_flag busy;
    atomic_int sleepers;        /* workers waiting for `work` */
    atomic_bool waiting;        /* the caller waits for `finished` */
    atomic_bool stop;
    pthread_mutex_t lock;
    pthread_cond_t work, finished;
    pthread_t *worker;
    int workers;
} pool = {
    .busy = ATOMIC_FLAG_INIT,
    .lock = PTHREAD_MUTEX_INITIALIZER,
    .work = PTHREAD_COND_INITIALIZER,
    .finished = PTHREAD_COND_INITIALIZER,
};

static _Thread_local bool inside;
static _Thread_local int thread_id;

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#elif defined __aarch64__
    __asm__ __volatile__("yield");
#endif
}

/* ---- handing out ----------------------------------------------------- */

static bool work_left(void)
{
    return (atomic_load(&pool.ticket) & LEFT) != 0;
}

/* Wakes the caller after the last call.  `done` before `waiting` here,
 * `waiting` before `done` there (both sequentially consistent): one of the
 * two sees the other. */
static void count_done(int n)
{
    if (atomic_fetch_add(&pool.done, 1) + 1 < n ||
        !atomic_load(&pool.waiting))
        return;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_signal(&pool.finished);
    pthread_mutex_unlock(&pool.lock);
}

/* Takes and makes calls until none is left; false if there was none. */
static bool make_calls(void)
{
    bool any = false;
    uint64_t t = atomic_load(&pool.ticket);

    while (t & LEFT) {
        call *fn = atomic_load_explicit(&pool.fn, memory_order_relaxed);
        void *arg = atomic_load_explicit(&pool.arg, memory_order_relaxed);
        int n = atomic_load_explicit(&pool.n, memory_order_relaxed);

        if (!atomic_compare_exchange_weak(&pool.ticket, &t, t - 1))
            continue;
        fn(arg, n - (int)(t & LEFT));
        count_done(n);
        any = true;
        t = atomic_load(&pool.ticket);
    }
    return any;
}

/* ---- workers --------------------------------------------------------- */

static void sleep_until_work(void)
{
    pthread_mutex_lock(&pool.lock);
    atomic_fetch_add(&pool.sleepers, 1);
    while (!work_left() && !atomic_load(&pool.stop))
        pthread_cond_wait(&pool.work, &pool.lock);
    atomic_fetch_sub(&pool.sleepers, 1);
    pthread_mutex_unlock(&pool.lock);
}

static void *worker_main(void *id)
{
    int idle = 0;

    thread_id = (int)(intptr_t)id;
    inside = true;
    while (!atomic_load(&pool.stop)) {
        if (make_calls()) {
            idle = 0;
        } else if (++idle < SPINS) {
            relax();
        } else {
            sleep_until_work();
            idle = 0;
        }
    }
    return NULL;
}

static void wake_workers(void)
{
    if (atomic_load(&pool.sleepers) == 0)
        return;
    pthread_mutex_lock(&pool.lock);
    pthread_cond_broadcast(&pool.work);
    pthread_mutex_unlock(&pool.lock);
}

static void stop_workers(void)
{
    atomic_store(&pool.stop, true);
    wake_workers();
    for (int i = 0; i < pool.workers; i++)
        pthread_join(pool.worker[i], NULL);
    pcv_free(pool.worker);
    pool.worker = NULL;
    pool.workers = 0;
    atomic_store(&pool.stop, false);
}

/* Signals are the program's business: its handlers must interrupt its own
 * reads and writes, so no worker may receive one. */
static int start_workers(int n)
{
    sigset_t all, old;
    int error = 0;

    pool.worker = pcv_alloc((size_t)n, sizeof *pool.worker);
    if (!pool.worker)
        return -1;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    while (pool.workers < n && error == 0) {
        error = pthread_create(&pool.worker[pool.workers], NULL, worker_main,
                               (void *)(intptr_t)(pool.workers + 1));
        if (error == 0)
            pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (error == 0)
        return 0;
    stop_workers();
    return pcv_fail(EX_OSERR, "cannot start %d threads: %s", n + 1,
                    strerror(error));
}

int pcv_threads_set(int n)
{
    if (n < 1)
        return pcv_fail(EX_USAGE, "%d threads, want at least 1", n);
    if (n == pool.workers + 1)
        return 0;
    stop_workers();
    return n == 1 ? 0 : start_workers(n - 1);
}

int pcv_threads(void)
{
    return pool.workers + 1;
}

int pcv_thread_id(void)
{
    return thread_id;
}

/* ---- the caller ------------------------------------------------------ */

static void in_turn(int n, call *fn, void *arg)
{
    for (int i = 0; i < n; i++)
        fn(arg, i);
}

/* The fields first, the ticket last: it publishes them. */
static void post(int n, call *fn, void *arg)
{
    uint64_t job = (atomic_load(&pool.ticket) >> 32) + 1;

    atomic_store_explicit(&pool.fn, fn, memory_order_relaxed);
    atomic_store_explicit(&pool.arg, arg, memory_order_relaxed);
    atomic_store_explicit(&pool.n, n, memory_order_relaxed);
    atomic_store(&pool.done, 0);
    atomic_store(&pool.ticket, job << 32 | (uint64_t)n);
    wake_workers();
}

static void wait_done(int n)
{
    for (int i = 0; i < SPINS; i++) {
        if (atomic_load(&pool.done) == n)
            return;
        relax();
    }
    pthread_mutex_lock(&pool.lock);
    atomic_store(&pool.waiting, true);
    while (atomic_load(&pool.done) < n)
        pthread_cond_wait(&pool.finished, &pool.lock);
    atomic_store(&pool.waiting, false);
    pthread_mutex_unlock(&pool.lock);
}

/* A single call occupies nothing, so what it calls may still use the pool. */
void pcv_parallel(int n, void (*fn)(void *arg, int i), void *arg)
{
    if (n <= 1 || pool.workers == 0 || inside ||
        atomic_flag_test_and_set(&pool.busy)) {
        in_turn(n, fn, arg);
        return;
    }
    inside = true;
    post(n, fn, arg);
    make_calls();
    wait_done(n);
    inside = false;
    atomic_flag_clear(&pool.busy);
}
