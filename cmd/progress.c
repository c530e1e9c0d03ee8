/* progress.c - how far a training run is, see progress.h. */
#include "progress.h"
#include "opt.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

static const double rewrite_every = 0.1, line_every = 30;      /* seconds */

double progress_clock(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

void progress_open(progress *p, int when, bool quiet)
{
    const char *term = getenv("TERM");
    bool tty = isatty(STDERR_FILENO) && term && strcmp(term, "dumb");

    *p = (progress){ .silent = quiet || when == PROGRESS_NEVER };
    p->rewrite = tty || when == PROGRESS_ALWAYS;
    p->last = progress_clock();
    if (p->rewrite)
        p->last -= rewrite_every;       /* the first line at once */
}

static void add_left(pcv_bytes *b, double left)
{
    long s;

    if (!isfinite(left) || left < 0 || left > 1e8)
        return;
    s = lround(left);
    if (s >= 3600)
        pcv_bytes_printf(b, "  left %ld:%02ld:%02ld", s / 3600, s / 60 % 60,
                         s % 60);
    else
        pcv_bytes_printf(b, "  left %ld:%02ld", s / 60, s % 60);
}

static void add_score(pcv_bytes *b, const pcv_progress *e)
{
    pcv_bytes_printf(b, "  loss %.4f", e->loss);
    if (!isnan(e->accuracy))
        pcv_bytes_printf(b, "  accuracy %.2f %%", 100 * e->accuracy);
}

static void add_step(pcv_bytes *b, const pcv_progress *e)
{
    pcv_bytes_printf(b, "step %llu/%llu  epoch %.2f",
                     (unsigned long long)e->step,
                     (unsigned long long)e->steps, e->epoch);
    add_score(b, e);
    pcv_bytes_printf(b, "  %.4g/s", e->items_per_second);
    add_left(b, e->seconds_left);
}

/* Of all latents, or of as many as the text says. */
static void add_eval(pcv_bytes *b, const pcv_progress *e)
{
    if (e->text)
        pcv_bytes_printf(b, "%s latents  held out:", e->text);
    else
        pcv_bytes_printf(b, "step %llu  held out:",
                         (unsigned long long)e->step);
    add_score(b, e);
}

/* One column less than the terminal has: a full line would wrap. */
static int room(void)
{
    struct winsize w;

    if (ioctl(STDERR_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col > 1)
        return w.ws_col - 1;
    return 79;
}

void progress_clear(progress *p)
{
    if (p->shown)
        fprintf(stderr, "\r%*s\r", room(), "");
    p->shown = false;
}

static void rewrite(progress *p, const char *text)
{
    int n = room();

    fprintf(stderr, "\r%-*.*s", n, n, text);
    fflush(stderr);
    p->shown = true;
}

void progress_tell(progress *p, const pcv_progress *e)
{
    bool eval = !strcmp(e->event, "eval") || !strcmp(e->event, "latents");
    double now = progress_clock();
    double every = p->rewrite ? rewrite_every : line_every;
    pcv_bytes b = {0};

    if (p->silent || (!eval && (strcmp(e->event, "step") ||
                                now - p->last < every)))
        return;
    p->last = now;
    if (eval)
        add_eval(&b, e);
    else
        add_step(&b, e);
    if (!b.failed && p->rewrite && !eval) {
        rewrite(p, b.data);
    } else if (!b.failed) {
        progress_clear(p);
        opt_warn("%s", b.data);
    }
    pcv_bytes_free(&b);
}
