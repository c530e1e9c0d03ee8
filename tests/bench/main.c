/* main.c - `make bench`: what was asked of the speed, and what it is.
 *
 *     bench [--json[=FILE]] [FIGURE...]
 *     bench --compare FIRST.json SECOND.json
 *
 * runs the figures named, or all of them, from the top of the source tree.  A
 * time is the median of several runs, and things that are compared are run in
 * turn, so that a machine whose speed drifts slows both.  --json writes JSON
 * instead of the table, or, to a file, beside it. */
#include "bench.h"

#include "../../lib/fmt/fmt.h"
#include "../../lib/pcv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void rate(void)
{
    bench_samples s = {0};

    bench_title("rate", "products, 512 x 1024 x 1024 on each of two cores");
    for (int i = 0; i < 15; i++)
        bench_add(&s, bench_rate());
    bench_row("sgemm", "GFLOP/s", bench_median(&s), BENCH_MORE, 0);
}

static const struct {
    const char *name;
    void (*run)(void);
} figures[] = {
    { "rate", rate },
    { "attend", bench_attend },
    { "fourier", bench_fourier },
    { "language", bench_language },
    { "flow", bench_flow },
    { "large", bench_large },
    { "start", bench_start },
    { "training", bench_training },
};

static int usage(void)
{
    fputs("usage: bench [--json[=FILE]] [FIGURE...]\n"
          "       bench --compare FIRST.json SECOND.json\nfigures:", stderr);
    for (size_t i = 0; i < PCV_LEN(figures); i++)
        fprintf(stderr, " %s", figures[i].name);
    fputs("\n", stderr);
    return EX_USAGE;
}

/* OpenBLAS reads the kernel to use when it is loaded. */
static void restart(char **argv)
{
    const char *better = pcv_blas_better();

    if (better && !getenv("OPENBLAS_CORETYPE")) {
        setenv("OPENBLAS_CORETYPE", better, 1);
        execv("/proc/self/exe", argv);
    }
}

static bool is_figure(const char *name)
{
    for (size_t i = 0; i < PCV_LEN(figures); i++)
        if (!strcmp(figures[i].name, name))
            return true;
    return false;
}

static bool wanted(const char *name, char **names)
{
    for (char **n = names; *n; n++)
        if (!strcmp(*n, name))
            return true;
    return !*names;
}

static void write_json(const char *path)
{
    pcv_buf b = {0};

    bench_json(&b);
    if (b.failed)
        pcv_fail(EX_OSERR, "out of memory");
    bench_need(!b.failed);
    if (*path)
        bench_write(path, b.data, b.len);
    else
        fwrite(b.data, 1, b.len, stdout);
    pcv_buf_free(&b);
}

static void run(char **names, const char *json)
{
    bench_need(pcv_threads_set(BENCH_THREADS) == 0);
    bench_machine(json && !*json);
    for (size_t i = 0; i < PCV_LEN(figures); i++)
        if (wanted(figures[i].name, names))
            figures[i].run();
    if (json)
        write_json(json);
}

int main(int argc, char **argv)
{
    const char *json = NULL;
    int at = 1;

    if (argc == 4 && !strcmp(argv[1], "--compare")) {
        bench_need(bench_compare(argv[2], argv[3]) == 0);
        return 0;
    }
    restart(argv);
    if (argc > at && !strncmp(argv[at], "--json", 6)) {
        json = argv[at++] + 6;
        if (*json && *json++ != '=')
            return usage();
    }
    for (int i = at; i < argc; i++)
        if (!is_figure(argv[i]))
            return usage();
    run(argv + at, json);
    return 0;
}
