/* published.c - whole passes of published sizes, through pcv.h, in a process
 * that is warm: ImageNet, language, one tile of optical flow.
 *
 * FLOPs, a multiply-add being two, from the config.  A layer with n queries of
 * d channels over m rows of c, widths qk and v of keys and values:
 *
 *   rows   2 n (d qk + v d + 2 w d d)       queries, output, MLP of widening w
 *   read   2 m c (qk + v) + 2 n m (qk + v)  keys, values, scores, sum
 *
 * What was asked stands against the latent layers alone (ImageNet), or against
 * the whole pass as it is computed here, where the structured cross-attend
 * takes the place of `read` (pcv_net_cost). */
#include "bench.h"

#include "../../lib/handles.h"

typedef struct {
    const char *name, *about;
    int rank;
    size_t dim[4];              /* of the input, as pcv_answer_array takes it */
    int runs, peer_runs;
    bool latent;                /* against the latent layers alone */
    double asked;               /* time over FLOPs over rate, at most */
} figure;

/* One model, its input and its answer. */
typedef struct {
    const figure *f;
    char *dir;
    pcv_model *model;
    pcv_worker *worker;
    pcv_values in, *out;
    double flops;
    bench_samples time, peer, rate;     /* seconds, seconds, GFLOP/s */
    bench_samples ratio;        /* of the time to flops at that rate */
} subject;

static void make_input(subject *s)
{
    bool bytes = s->f->rank == 1;
    float *x;

    s->in.rank = s->f->rank;
    s->in.count = 1;
    for (int i = 0; i < s->in.rank; i++)
        s->in.count *= s->in.dim[i] = s->f->dim[i];
    x = pcv_alloc(s->in.count, sizeof *x);
    bench_need(x != NULL);
    for (size_t i = 0; i < s->in.count; i++)
        x[i] = bytes ? (float)(6 + pcv_random(1, 9, i) % 256)
                     : (float)(2 * pcv_uniform(1, 9, i) - 1);
    s->in.data = x;
    bench_floats(s->dir, "input.f32", x, s->in.count);
}

static double flops(const subject *s)
{
    pcv_array x = { .dtype = PCV_F32, .rank = s->in.rank };
    const pcv_array *one = &x;
    int *ids = pcv_alloc(s->in.count, sizeof *ids);
    pcv_cost c;

    bench_need(ids != NULL);
    for (int i = 0; i < x.rank; i++)
        x.dim[i] = s->in.dim[i];
    for (size_t i = 0; i < s->in.count; i++)
        ids[i] = (int)s->in.data[i];
    x.data = s->in.data;
    if (x.rank == 1) {
        x.dtype = PCV_I32;
        x.data = ids;
    }
    bench_need(pcv_net_cost(&s->model->net, &one, &c) == 0);
    pcv_free(ids);
    return s->f->latent ? c.part[1].run : c.run;
}

static void open_subject(subject *s, const figure *f)
{
    *s = (subject){ .f = f };
    s->dir = bench_published(f->name);
    make_input(s);
    s->model = pcv_model_open(s->dir);
    bench_need(s->model && (s->worker = pcv_worker_new(s->model)));
    s->flops = flops(s);
}

static void close_subject(subject *s)
{
    pcv_worker_free(s->worker);
    pcv_model_close(s->model);
    pcv_values_free(s->out);
    pcv_free(s->in.data);
    pcv_free(s->dir);
}

static double answer(pcv_worker *w, const pcv_values *in, pcv_values **out)
{
    double start = bench_now();

    pcv_values_free(*out);
    *out = pcv_answer_array(w, in);
    bench_need(*out != NULL);
    return bench_now() - start;
}

static void measure(subject *s, bench_peer *peer)
{
    double unused;

    answer(s->worker, &s->in, &s->out);
    for (int i = 0; i < s->f->runs; i++) {
        double before = bench_rate();
        double time = answer(s->worker, &s->in, &s->out);
        double rate = (before + bench_rate()) / 2;

        bench_add(&s->time, time);
        bench_add(&s->rate, rate);
        bench_add(&s->ratio, time * rate * 1e9 / s->flops);
        if (peer->pid && i < s->f->peer_runs)
            bench_add(&s->peer, bench_peer_run(peer, &unused));
    }
}

static void tell_peer(subject *s, bench_peer *peer)
{
    float *theirs = bench_peer_answer(peer, s->dir, s->out->count);
    double time = bench_median(&s->peer);

    if (!theirs) {
        bench_missing("torch", peer->why);
        return;
    }
    bench_row("torch", "ms", 1e3 * time, BENCH_LESS, 0);
    bench_row("torch, ratio", "", time / bench_median(&s->time), BENCH_MORE,
              0);
    bench_row("torch, difference", "", bench_difference(s->out->data, theirs,
              s->out->count), BENCH_LESS, 1e-4);
    pcv_free(theirs);
}

static void tell(subject *s, bench_peer *peer)
{
    bench_row("time", "ms", 1e3 * bench_median(&s->time), BENCH_LESS, 0);
    bench_row("sgemm beside it", "GFLOP/s", bench_median(&s->rate),
              BENCH_MORE, 0);
    bench_row(s->f->latent ? "work, latent layers" : "work, whole pass as run",
              "GFLOP", 1e-9 * s->flops, BENCH_LESS, 0);
    bench_row("time / (work / sgemm)", "", bench_median(&s->ratio), BENCH_LESS,
              s->f->asked);
    tell_peer(s, peer);
}

/* ---- lower precision ------------------------------------------------- */

/* In turn with single precision, on a model of its own. */
static void measure_precision(subject *s, const char *name, pcv_model *m,
                              double faster, double error)
{
    pcv_worker *w = pcv_worker_new(m);
    pcv_values *out = NULL;
    bench_samples ours = {0}, full = {0};
    char row[80];

    bench_need(w != NULL);
    answer(w, &s->in, &out);
    for (int i = 0; i < s->f->runs; i++) {
        bench_add(&full, answer(s->worker, &s->in, &s->out));
        bench_add(&ours, answer(w, &s->in, &out));
    }
    snprintf(row, sizeof row, "%s, ratio to f32", name);
    bench_row(row, "", bench_median(&full) / bench_median(&ours), BENCH_MORE,
              faster);
    snprintf(row, sizeof row, "%s, difference of logits", name);
    bench_row(row, "", bench_difference(out->data, s->out->data, out->count),
              BENCH_LESS, error);
    pcv_values_free(out);
    pcv_worker_free(w);
}

static void tell_precision(subject *s, const char *name, double faster,
                           double error)
{
    pcv_model *m = pcv_model_open(s->dir);

    bench_need(m != NULL);
    if (pcv_model_precision_set(m, name) == 0) {
        measure_precision(s, name, m, faster, error);
    } else {
        bench_missing(name, pcv_error());
        pcv_error_clear();
    }
    pcv_model_close(m);
}

/* ---- the figures ----------------------------------------------------- */

static void run(subject *s, const figure *f)
{
    bench_peer peer;

    bench_title(f->name, f->about);
    open_subject(s, f);
    bench_peer_open(&peer, f->name, s->dir);
    measure(s, &peer);
    tell(s, &peer);
    bench_peer_close(&peer);
}

void bench_fourier(void)
{
    static const figure f = {
        "fourier", "vision-perceiver-fourier, 224x224", 3, { 3, 224, 224 },
        5, 3, true, 1.25 };
    subject s;

    run(&s, &f);
    tell_precision(&s, "bf16", 1.7, 2e-2);
    tell_precision(&s, "int8", 2.8, 6e-2);
    close_subject(&s);
}

void bench_language(void)
{
    static const figure f = {
        "language", "language-perceiver, 2048 bytes", 1, { 2048 },
        9, 3, false, 1.3 };
    subject s;

    run(&s, &f);
    close_subject(&s);
}

void bench_flow(void)
{
    static const figure f = {
        "flow", "optical-flow-perceiver, one tile of 368x496", 4,
        { 2, 3, 368, 496 }, 2, 1, false, 1.4 };
    subject s;

    run(&s, &f);
    close_subject(&s);
}
