/* say.c - what a program says on standard error, and how it ends.
 *
 * Every message is one line, "pcv-classify: what happened", and written by
 * one call, so that lines of several threads and processes do not mix. */
#include "opt_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *program;
    bool quiet, verbose;
} say = {"pcv", false, false};

/* ---- messages -------------------------------------------------------- */

static void line(const char *format, va_list ap)
    __attribute__((format(printf, 1, 0)));

static void line(const char *format, va_list ap)
{
    flockfile(stderr);
    fprintf(stderr, "%s: ", say.program);
    vfprintf(stderr, format, ap);
    putc('\n', stderr);
    funlockfile(stderr);
}

void opt_error(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    line(format, ap);
    va_end(ap);
}

void opt_warn(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (!say.quiet)
        line(format, ap);
    va_end(ap);
}

void opt_note(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    if (say.verbose)
        line(format, ap);
    va_end(ap);
}

_Noreturn void opt_fatal(int status, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    line(format, ap);
    va_end(ap);
    exit(status);
}

_Noreturn void opt_usage(const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    line(format, ap);
    va_end(ap);
    exit(EX_USAGE);
}

_Noreturn void opt_fatal_pcv(void)
{
    int status = pcv_error_code();

    if (status)
        opt_fatal(status, "%s", pcv_error());
    opt_fatal_memory();
}

_Noreturn void opt_fatal_memory(void)
{
    opt_fatal(EX_OSERR, "out of memory");
}

/* Four, so that one message can show several names.  They live as long as
 * their thread; what is longer than any message is cut. */
const char *opt_escaped(const char *text)
{
    static _Thread_local char shown[4][4096];
    static _Thread_local unsigned turn;
    char *to = shown[turn++ % OPT_LEN(shown)];
    pcv_bytes b = {0};

    pcv_bytes_escape(&b, text);
    snprintf(to, sizeof *shown, "%s", b.len && !b.failed ? b.data : "");
    pcv_bytes_free(&b);
    return to;
}

const char *opt_shown(const char *name)
{
    if (strcmp(name, "-") == 0)
        return "standard input";
    return *name ? opt_escaped(name) : "''";
}

/* ---- beginning and end ----------------------------------------------- */

/* A descriptor that was closed would be taken by the next file opened, and
 * data meant for the closed one would land there.  The wrong direction makes
 * its use an error, as it was before. */
static void fill_descriptors(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 &&
            open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            exit(EX_OSERR);
}

void say_start(const char *program)
{
    say.program = program;
    setvbuf(stderr, NULL, _IOLBF, 0);
    fill_descriptors();
    signal(SIGPIPE, SIG_DFL);
}

void say_how_much(bool quiet, bool verbose)
{
    say.quiet = quiet;
    say.verbose = verbose;
}

static int severity(int status)
{
    switch (status) {
    case 0:                return 0;
    case 1:                return 1;
    case OPT_SOME_FAILED:  return 2;
    case EX_NOINPUT:       return 3;
    case EX_USAGE:         return 5;
    case EX_OSERR:         return 6;
    case EX_CANTCREAT:
    case EX_IOERR:         return 7;
    default:               return 4;    /* 65 and its like */
    }
}

int opt_worse(int a, int b)
{
    return severity(b) > severity(a) ? b : a;
}

/* Said once: what fails when a record is written fails again at the end. */
int opt_stdout_failed(void)
{
    static bool said;

    if (!said)
        opt_error("standard output: %s", strerror(errno ? errno : EIO));
    said = true;
    return EX_IOERR;
}

int opt_finish(int status)
{
    errno = 0;
    if (fflush(stdout) != 0 || ferror(stdout) || fclose(stdout) != 0)
        return opt_worse(status, opt_stdout_failed());
    return status;
}
