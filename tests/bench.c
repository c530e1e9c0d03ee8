/* bench.c - `make bench`: what the structured attend saves, as ratios measured
 * in one run.
 *
 * The encoder's cross-attend of the ImageNet model: 224 x 224 pixels, 3
 * colours and 258 Fourier channels, 512 latents, one head, key and value width
 * 261.  The plain form reads rows that are there already (making them is not
 * counted against it): LayerNorm, keys, values, scores, softmax, weighted sum
 * with OpenBLAS.  The structured form starts from the pixels. */
#include "tokens/tokens.h"

#include "pcv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { SIDE = 224, LATENTS = 512, BANDS = 64, RUNS = 9 };

typedef struct {
    pcv_params params;
    pcv_stem stem;
    pcv_batch batch;
    pcv_norm norm;
    pcv_linear key, value;
    pcv_reader reader;
    pcv_row_tokens rows;
    real *x;                    /* the array, for the plain form */
    real *q, *y[2], *dy, *dq;
    float *pixels;
} setup;

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void need(bool fine)
{
    if (fine)
        return;
    fprintf(stderr, "bench: %s\n", pcv_error());
    exit(EXIT_FAILURE);
}

static real *random_array(size_t n, uint64_t stream)
{
    real *x = pcv_alloc(n, sizeof *x);

    need(x != NULL);
    for (size_t i = 0; i < n; i++)
        x[i] = (real)pcv_normal(1, stream, i);
    return x;
}

static void bind_pixels(setup *s)
{
    pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 3,
                           .position = PCV_POS_FOURIER, .bands = BANDS };
    size_t n = 3 * SIDE * SIDE;
    pcv_array a = { .dtype = PCV_F32, .rank = 3, .dim = { 3, SIDE, SIDE } };
    const pcv_array *one = &a;
    float *pixels = pcv_alloc(n, sizeof *pixels);

    need(pixels != NULL);
    for (size_t i = 0; i < n; i++)
        pixels[i] = (float)pcv_normal(1, 2, i);
    a.data = pixels;
    need(pcv_stem_init(&s->stem, &s->params, &spec) == 0);
    need(pcv_batch_bind(&s->batch, &s->stem, &one, 1) == 0);
    s->pixels = pixels;
}

static void open_setup(setup *s)
{
    int c;
    size_t m = SIDE * SIDE;

    memset(s, 0, sizeof *s);
    bind_pixels(s);
    c = s->stem.c;
    pcv_norm_init(&s->norm, &s->params, "norm", c);
    pcv_linear_init(&s->key, &s->params, "key", c, c, true, 0.3);
    pcv_linear_init(&s->value, &s->params, "value", c, c, true, 0.06);
    need(pcv_params_weights(&s->params) == 0);
    need(pcv_params_grads(&s->params) == 0);
    pcv_params_init(&s->params, 3);
    s->reader = (pcv_reader){ &s->norm, &s->key, &s->value, 1 };
    s->x = pcv_alloc(m * (size_t)c, sizeof(real));
    need(s->x != NULL);
    s->batch.tokens.tile(&s->batch.tokens, 0, 0, SIDE * SIDE, s->x);
    pcv_rows_bind(&s->rows, s->x, NULL, 1, SIDE * SIDE, c);
    s->q = random_array(LATENTS * (size_t)c, 4);
    s->dy = random_array(LATENTS * (size_t)c, 5);
    s->dq = random_array(LATENTS * (size_t)c, 6);
    s->y[0] = random_array(LATENTS * (size_t)c, 7);
    s->y[1] = random_array(LATENTS * (size_t)c, 8);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return x < y ? -1 : x > y;
}

/* One form with its memory and its times. */
typedef struct {
    int form;
    const pcv_tokens *t;
    real *y;
    pcv_arena record, scratch;
    pcv_read_record rec;
    double f[RUNS], b[RUNS];    /* seconds */
    size_t bytes;               /* forward: scratch and record */
} contender;

static void open_contender(const setup *s, contender *c, int form,
                           const pcv_tokens *t, real *y)
{
    const pcv_reader *r = &s->reader;

    *c = (contender){ .form = form, .t = t, .y = y };
    pcv_read_layout(r, t, LATENTS, form, &c->record, &c->rec);
    need(pcv_arena_open(&c->record, c->record.peak) == 0);
    pcv_read_layout(r, t, LATENTS, form, &c->record, &c->rec);
    c->bytes = c->record.size +
               pcv_read_scratch(r, t, LATENTS, form, false);
    need(pcv_arena_open(&c->scratch, pcv_read_scratch(r, t, LATENTS, form,
                                                      true)) == 0);
}

static void close_contender(contender *c)
{
    pcv_arena_close(&c->record);
    pcv_arena_close(&c->scratch);
}

/* One forward and one backward; run -1 warms up. */
static void run_once(setup *s, contender *c, int run)
{
    double start = now(), middle;

    pcv_read_forward(&s->reader, c->t, LATENTS, c->form, s->q, c->y, &c->rec,
                     &c->scratch);
    middle = now();
    pcv_read_backward(&s->reader, c->t, LATENTS, c->form, s->q, c->y, s->dy,
                      &c->rec, s->dq, &c->scratch);
    c->f[run < 0 ? 0 : run] = middle - start;
    c->b[run < 0 ? 0 : run] = now() - middle;
}

static double median(double *t)
{
    qsort(t, RUNS, sizeof *t, compare);
    return t[RUNS / 2];
}

static double difference(const real *a, const real *b, size_t n)
{
    double d = 0, s = 0;

    for (size_t i = 0; i < n; i++) {
        d += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
        s += (double)b[i] * (double)b[i];
    }
    return sqrt(d / s);
}

static void print_row(const char *name, double plain, double grid)
{
    printf("  %-8s  %8.1f   %13.1f   %5.1f\n", name, plain * 1e3, grid * 1e3,
           plain / grid);
}

/* The two forms in turn, so that a machine whose speed drifts slows both. */
static void attend_table(setup *s, int threads)
{
    contender plain, grid;

    need(pcv_threads_set(threads) == 0);
    open_contender(s, &plain, PCV_FORM_PLAIN, &s->rows.tokens, s->y[1]);
    open_contender(s, &grid, PCV_FORM_GRID, &s->batch.tokens, s->y[0]);
    for (int i = -1; i < RUNS; i++) {
        run_once(s, &plain, i);
        run_once(s, &grid, i);
    }
    printf("%d thread%s   plain ms   structured ms   ratio\n", threads,
           threads == 1 ? " " : "s");
    print_row("forward", median(plain.f), median(grid.f));
    print_row("backward", median(plain.b), median(grid.b));
    printf("  memory    %7.1f MB %11.1f MB   (beside the input)\n",
           (double)plain.bytes / 1e6, (double)grid.bytes / 1e6);
    printf("  relative difference of the results %.1e\n\n",
           difference(s->y[0], s->y[1], LATENTS * (size_t)s->stem.c));
    close_contender(&plain);
    close_contender(&grid);
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

static void product_rate(void)
{
    enum { M = 512, N = 1024, K = 1024 };
    real *a = random_array((size_t)M * K, 20), *b = random_array(N * K, 21);
    real *c = random_array((size_t)M * N, 22);
    double t[RUNS];

    for (int i = 0; i < RUNS; i++) {
        double start = now();

        pcv_gemm(false, true, M, N, K, 1, a, K, b, K, 0, c, N);
        t[i] = now() - start;
    }
    printf("one product 512 x 1024 x 1024, one thread: %.1f GFLOP/s\n\n",
           2.0 * M * N * K / median(t) * 1e-9);
    pcv_free(a);
    pcv_free(b);
    pcv_free(c);
}

int main(int argc, char **argv)
{
    setup s;

    (void)argc;
    restart(argv);
    printf("%s\n%s vector loops; medians of %d\n\n", pcv_blas_name(),
           pcv_rows_get()->name, RUNS);
    product_rate();
    open_setup(&s);
    printf("cross-attend of %dx%d pixels, %d channels, %d latents, 1 head\n\n",
           SIDE, SIDE, s.stem.c, LATENTS);
    attend_table(&s, 1);
    attend_table(&s, 2);
    pcv_batch_free(&s.batch);
    pcv_free(s.pixels);
    pcv_params_free(&s.params);
    pcv_free(s.x);
    pcv_free(s.q);
    pcv_free(s.dy);
    pcv_free(s.dq);
    pcv_free(s.y[0]);
    pcv_free(s.y[1]);
    return 0;
}
