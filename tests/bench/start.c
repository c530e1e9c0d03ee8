/* start.c - small pictures on the default model: one whole process, and a
 * thousand pictures on one thread and on two. */
#include "bench.h"

#include "../child.h"

#include <stdlib.h>

enum { STARTS = 101, PICTURES = 1000, RUNS = 11 };

/* Seconds of `pcv-classify` and its arguments. */
static double classify(const char *a, const char *b, const char *c)
{
    char *program = bench_program("pcv-classify");
    char *command[] = { program, (char *)(uintptr_t)a, (char *)(uintptr_t)b,
                        (char *)(uintptr_t)c, NULL };
    child_use use;

    if (child_run(command, &use) < 0 || use.status)
        pcv_fail(EX_SOFTWARE, "pcv-classify failed");
    bench_need(!*pcv_error());
    pcv_free(program);
    return use.seconds;
}

static char *make_list(void)
{
    static const char *const digit[] = {
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight",
        "nine" };
    char *path = bench_file("list"), *here = realpath("tests/data/digits",
                                                      NULL);
    pcv_buf b = {0};

    if (!here)
        pcv_fail(EX_NOINPUT, "tests/data/digits: not there, want to be run "
                 "from the top of the source tree");
    bench_need(here != NULL);
    for (size_t i = 0; i < PICTURES; i++)
        pcv_buf_printf(&b, "%s/%s.png\n", here, digit[i % PCV_LEN(digit)]);
    bench_need(!b.failed);
    bench_write(path, b.data, b.len);
    pcv_buf_free(&b);
    free(here);
    return path;
}

static void one_picture(void)
{
    bench_samples s = {0};

    classify("-t2", "-q", "tests/data/digits/seven.png");
    for (int i = 0; i < STARTS; i++)
        bench_add(&s, classify("-t2", "-q", "tests/data/digits/seven.png"));
    bench_row("one picture, whole process", "ms", 1e3 * bench_median(&s),
              BENCH_LESS, 15);
}

static void many_pictures(void)
{
    char *list = make_list();
    bench_samples one = {0}, two = {0}, ratio = {0};

    for (int i = 0; i < RUNS; i++) {
        bench_add(&one, classify("-t1", "-T", list));
        bench_add(&two, classify("-t2", "-T", list));
        bench_add(&ratio, one.at[i] / two.at[i]);
    }
    bench_row("1000 pictures, one thread", "ms", 1e3 * bench_median(&one),
              BENCH_LESS, 0);
    bench_row("1000 pictures, two threads", "ms", 1e3 * bench_median(&two),
              BENCH_LESS, 0);
    bench_row("1000 pictures, ratio", "", bench_median(&ratio), BENCH_MORE,
              1.8);
    pcv_free(list);
}

/* The programs find out for themselves which kernel OpenBLAS is to use, as
 * they do for everyone: main.c has set it for this one. */
void bench_start(void)
{
    const char *kernel = getenv("OPENBLAS_CORETYPE");
    char *kept = kernel ? pcv_strdup(kernel) : NULL;

    bench_title("start", "pcv-classify, small pictures, default model");
    unsetenv("OPENBLAS_CORETYPE");
    one_picture();
    many_pictures();
    if (kept)
        setenv("OPENBLAS_CORETYPE", kept, 1);
    pcv_free(kept);
}
