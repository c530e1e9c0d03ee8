/* large.c - a picture of 4096 x 4096 pixels: one cross-attend of 512 latents
 * and one head, and the program on a file of that size. */
#include "cross.h"

#include "../child.h"
#include "../../lib/model/model.h"

#include <string.h>
#include <sys/stat.h>

enum { SIDE = 4096, SMALL = 512, RUNS = 3, SMALL_RUNS = 15 };

/* ---- the attend ------------------------------------------------------ */

typedef struct {
    cross s;
    cross_form f;
    bench_samples bind;         /* milliseconds */
} picture;

static void open_picture(picture *p, int side)
{
    cross_open(&p->s, side);
    cross_form_open(&p->s, &p->f, PCV_FORM_GRID, &p->s.batch.tokens, false);
    p->bind.n = 0;
}

static void close_picture(picture *p)
{
    cross_form_close(&p->f);
    cross_close(&p->s);
}

static void take(picture *p)
{
    double start = bench_now();

    cross_bind(&p->s);
    bench_add(&p->bind, 1e3 * (bench_now() - start));
    cross_forward(&p->s, &p->f);
}

static double seconds(const picture *p)
{
    return 1e-3 * (bench_median(&p->bind) + bench_median(&p->f.forward));
}

/* Nanoseconds a pixel. */
static double each(const picture *p)
{
    return 1e9 * seconds(p) / p->s.side / p->s.side;
}

static void attend(void)
{
    picture large, small;

    open_picture(&large, SIDE);
    open_picture(&small, SMALL);
    take(&small);
    small.bind.n = small.f.forward.n = 0;
    for (int i = 0; i < RUNS; i++) {
        take(&large);
        for (int k = 0; k < SMALL_RUNS / RUNS; k++)
            take(&small);
    }
    bench_row("cross-attend", "s", seconds(&large), BENCH_LESS, 6);
    bench_row("memory beside the pixels", "MB", large.f.megabytes, BENCH_LESS,
              0);
    bench_row("time of a pixel", "ns", each(&large), BENCH_LESS, 0);
    bench_row("time of a pixel of 512x512", "ns", each(&small), BENCH_LESS, 0);
    bench_row("time of a pixel, ratio to 512x512", "",
              each(&large) / each(&small), BENCH_LESS, 1.2);
    close_picture(&large);
    close_picture(&small);
}

/* ---- the program ----------------------------------------------------- */

static void set_spec(pcv_spec *s)
{
    static const char *const setting[][2] = {
        { "channels", "3" }, { "height", "4096" }, { "width", "4096" },
        { "bands", "64" }, { "latents", "512" }, { "latent-channels", "512" },
        { "blocks", "1" }, { "layers", "1" }, { "outputs", "10" },
    };

    pcv_spec_default(s);
    for (size_t i = 0; i < PCV_LEN(setting); i++)
        bench_need(pcv_spec_set(s, setting[i][0], setting[i][1]) == 0);
}

/* Megabytes of its weights. */
static double make_model(const char *dir)
{
    pcv_spec spec;
    pcv_net net;
    double bytes;

    set_spec(&spec);
    if (mkdir(dir, 0777) < 0)
        pcv_fail(EX_CANTCREAT, "%s: cannot be made", dir);
    bench_need(!*pcv_error() && pcv_net_build(&net, &spec) == 0 &&
               pcv_net_init(&net, 1) == 0 && pcv_net_save(&net, dir) == 0);
    bytes = (double)net.params.total * sizeof(real);
    pcv_net_free(&net);
    pcv_spec_free(&spec);
    return 1e-6 * bytes;
}

static void make_picture(const char *path)
{
    static const char head[] = "P6\n4096 4096\n255\n";
    const size_t start = sizeof head - 1, n = start + 3UL * SIDE * SIDE;
    unsigned char *x = pcv_alloc(n, 1);

    bench_need(x != NULL);
    memcpy(x, head, start);
    for (size_t i = start; i < n; i++)
        x[i] = i < 65521 ? (unsigned char)pcv_random(1, 3, i) : x[i - 65521];
    bench_write(path, x, n);
    pcv_free(x);
}

static void program(void)
{
    char *dir = bench_file("large"), *file = bench_file("large.ppm");
    char *classify = bench_program("pcv-classify");
    char *command[] = { classify, "-t2", "-m", dir, file, NULL };
    double weights = make_model(dir);
    child_use use;

    make_picture(file);
    if (child_run(command, &use) < 0 || use.status)
        pcv_fail(EX_SOFTWARE, "pcv-classify failed");
    bench_need(!*pcv_error());
    bench_row("pcv-classify of a PPM", "s", use.seconds, BENCH_LESS, 0);
    bench_row("its memory beside the weights", "MB", use.megabytes - weights,
              BENCH_LESS, 400);
    pcv_free(classify);
    pcv_free(file);
    pcv_free(dir);
}

/* The program first: what this process has at the time counts for it. */
void bench_large(void)
{
    bench_title("large", "4096x4096 pixels, 512 latents, one cross-attend");
    program();
    attend();
}
