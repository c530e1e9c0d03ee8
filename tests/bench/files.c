/* files.c - what is measured: models of random weights, inputs, programs. */
#include "bench.h"

#include "../weights.h"

#include <ftw.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char scratch[PATH_MAX];

static int drop(const char *path, const struct stat *st, int flag,
                struct FTW *at)
{
    (void)st;
    (void)flag;
    (void)at;
    return remove(path);
}

static void drop_scratch(void)
{
    nftw(scratch, drop, 8, FTW_DEPTH | FTW_PHYS);
}

/* Half a gigabyte is not left behind. */
static void interrupted(int number)
{
    if (fork() == 0) {
        execlp("rm", "rm", "-rf", scratch, (char *)NULL);
        _exit(127);
    }
    signal(number, SIG_DFL);
    raise(number);
}

static char *join(const char *dir, const char *name)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "%s/%s", dir, name);
    if (b.failed)
        pcv_fail(EX_OSERR, "out of memory");
    bench_need(!b.failed);
    return b.data;
}

char *bench_file(const char *name)
{
    const char *base = getenv("TMPDIR");

    if (!*scratch) {
        snprintf(scratch, sizeof scratch, "%s/pcv-bench-XXXXXX",
                 base && *base ? base : "/tmp");
        if (!mkdtemp(scratch))
            pcv_fail(EX_CANTCREAT, "%s: cannot be made", scratch);
        bench_need(!*pcv_error());
        atexit(drop_scratch);
        signal(SIGINT, interrupted);
        signal(SIGTERM, interrupted);
    }
    return join(scratch, name);
}

void bench_write(const char *path, const void *data, size_t n)
{
    bench_need(pcv_save_file(path, data, n) == 0);
}

void bench_floats(const char *dir, const char *name, const float *x, size_t n)
{
    char *path = join(dir, name);

    bench_write(path, x, n * sizeof *x);
    pcv_free(path);
}

/* The build directory is above the one of this program. */
char *bench_program(const char *name)
{
    char self[PATH_MAX];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);

    if (n < 0)
        pcv_fail(EX_OSERR, "/proc/self/exe: cannot be read");
    bench_need(n >= 0);
    self[n] = '\0';
    *strrchr(self, '/') = '\0';
    *strrchr(self, '/') = '\0';
    return join(self, name);
}

char *bench_published(const char *name)
{
    char *dir = bench_file(name), *to = join(dir, "config.json");
    pcv_buf from = {0};
    pcv_file f;

    pcv_buf_printf(&from, "tests/data/published/%s.json", name);
    bench_need(!from.failed);
    if (mkdir(dir, 0777) < 0)
        pcv_fail(EX_CANTCREAT, "%s: cannot be made", dir);
    bench_need(!*pcv_error() && pcv_file_open(&f, from.data, 1 << 24) == 0);
    bench_write(to, f.data, f.size);
    pcv_file_close(&f);
    bench_need(weights_random(dir) == 0);
    pcv_buf_free(&from);
    pcv_free(to);
    return dir;
}

real *bench_random(size_t n, uint64_t stream)
{
    real *x = pcv_alloc(n, sizeof *x);

    bench_need(x != NULL);
    for (size_t i = 0; i < n; i++)
        x[i] = (real)pcv_normal(1, stream, i);
    return x;
}
