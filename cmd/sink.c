/* sink.c - standard output and files that appear whole or not at all.
 *
 * Invariant: every unfinished file is in `unfinished`, under the lock, and is
 * removed by whatever ends the program early: exit() or a signal. */
#include "sink.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pcv_out *unfinished[4];
static int wake[2] = {-1, -1};  /* from the handler to the guard */

/* ---- ends that come early -------------------------------------------- */

static void remember(pcv_out *from, pcv_out *to)
{
    for (size_t i = 0; i < OPT_LEN(unfinished); i++)
        if (unfinished[i] == from) {
            unfinished[i] = to;
            return;
        }
}

static void abort_all(void)
{
    for (size_t i = 0; i < OPT_LEN(unfinished); i++) {
        pcv_out_abort(unfinished[i]);
        unfinished[i] = NULL;
    }
}

/* A writer that is stuck (a pipe nobody reads) must not keep the program
 * alive, neither at its exit nor when it is killed. */
static bool lock_soon(void)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 2;
    return pthread_mutex_timedlock(&lock, &until) == 0;
}

static void at_exit(void)
{
    if (lock_soon()) {
        abort_all();
        pthread_mutex_unlock(&lock);
    }
}

/* On whatever thread, in the midst of anything: only write() is allowed. */
static void handler(int signal_number)
{
    int saved = errno;
    char byte = (char)signal_number;

    if (write(wake[1], &byte, 1) != 1)
        _exit(128 + signal_number);
    errno = saved;
}

/* The lock is never given back: nothing more is to be written. */
static void *guard(void *unused)
{
    char byte;
    ssize_t n;

    (void)unused;
    do
        n = read(wake[0], &byte, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1)
        return NULL;
    if (lock_soon())
        abort_all();
    signal(byte, SIG_DFL);
    kill(getpid(), byte);
    return NULL;
}

/* A signal that was ignored from the start (nohup) stays ignored. */
static void catch(int signal_number)
{
    struct sigaction old, new = {0};

    new.sa_handler = handler;
    new.sa_flags = SA_RESTART;
    sigfillset(&new.sa_mask);
    if (sigaction(signal_number, NULL, &old) == 0 &&
        old.sa_handler != SIG_IGN)
        sigaction(signal_number, &new, NULL);
}

void sink_guard(void)
{
    static bool done;
    pthread_t thread;

    if (done)
        return;
    done = true;
    atexit(at_exit);
    if (pipe(wake) < 0 || pthread_create(&thread, NULL, guard, NULL) != 0)
        return;                 /* then a signal leaves the temporary file */
    pthread_detach(thread);
    catch(SIGINT);
    catch(SIGTERM);
    catch(SIGHUP);
}

/* ---- output ---------------------------------------------------------- */

static int say_pcv(void)
{
    int code = pcv_error_code();

    opt_error("%s", code ? pcv_error() : "out of memory");
    pcv_error_clear();
    return code ? code : EX_OSERR;
}

/* A device or a pipe is there to be written to. */
static bool is_special(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISREG(st.st_mode) &&
           !S_ISDIR(st.st_mode);
}

int sink_open(sink *s, const char *path, bool force)
{
    struct stat st;

    *s = (sink){.path = path};
    if (!path) {
        s->live = fstat(STDOUT_FILENO, &st) < 0 || !S_ISREG(st.st_mode);
        return 0;
    }
    sink_guard();
    pthread_mutex_lock(&lock);
    s->out = pcv_out_open(path, force || is_special(path));
    if (s->out)
        remember(NULL, s->out);
    pthread_mutex_unlock(&lock);
    return s->out ? 0 : say_pcv();
}

int sink_write(sink *s, const void *data, size_t n)
{
    int result;

    if (n == 0)
        return 0;
    if (!s->path) {
        errno = 0;
        if (fwrite(data, 1, n, stdout) == n &&
            (!s->live || fflush(stdout) == 0))
            return 0;
        return opt_stdout_failed();
    }
    pthread_mutex_lock(&lock);
    result = pcv_out_write(s->out, data, n);
    pthread_mutex_unlock(&lock);
    return result == 0 ? 0 : say_pcv();
}

int sink_close(sink *s)
{
    int result;

    if (!s->out)
        return 0;
    pthread_mutex_lock(&lock);
    remember(s->out, NULL);
    result = pcv_out_close(s->out);
    pthread_mutex_unlock(&lock);
    s->out = NULL;
    return result == 0 ? 0 : say_pcv();
}

void sink_abort(sink *s)
{
    if (!s->out)
        return;
    pthread_mutex_lock(&lock);
    remember(s->out, NULL);
    pcv_out_abort(s->out);
    pthread_mutex_unlock(&lock);
    s->out = NULL;
}

int sink_file(const char *path, bool force, const void *data, size_t n)
{
    sink s;
    int status = sink_open(&s, path, force);

    if (status == 0)
        status = sink_write(&s, data, n);
    if (status == 0)
        return sink_close(&s);
    sink_abort(&s);
    return status;
}

void sink_refuse_terminal(const char *output, const char *what,
                          const char *instead)
{
    if (!output && isatty(STDOUT_FILENO))
        opt_usage("refusing to write binary %s to a terminal; use -o FILE, a "
                  "pipe%s%s", what, *instead ? ", or " : "", instead);
}
