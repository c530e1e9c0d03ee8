/* training.c - pcv-train's own loop on 28 x 28 pixels.
 *
 * The network: 14 bands, 64 latents of 128 channels, one cross-attend, six
 * layers, which are three used twice: pcv-train --bands=14 --latents=64
 * --latent-channels=128 --blocks=2 --layers=3, batches of 64.  The set is one
 * batch, so that every epoch is a step, and what torch trains on beside it is
 * the same.
 *
 * Work of a step: three times that of the forward pass, for each product has
 * two in the backward one, and the scores of every attend again. */
#include "bench.h"

#include "../../lib/train/train.h"

#include <string.h>
#include <sys/stat.h>

enum { SIDE = 28, BATCH = 64, CLASSES = 10, STEPS = 25, PEER_STEPS = 6,
       LOSSES = 4 };

typedef struct {
    const char *name, *value;
} setting;

static const setting model_settings[] = {
    { "height", "28" }, { "width", "28" }, { "bands", "14" },
    { "latents", "64" }, { "latent-channels", "128" }, { "blocks", "2" },
    { "layers", "3" }, { "cross-attends", "1" },
};

/* Nothing but steps: no evaluation, no checkpoint, a rate that stays. */
static const setting run_settings[] = {
    { "batch-size", "64" }, { "steps", "25" }, { "learning-rate", "1e-3" },
    { "schedule", "constant" }, { "warmup", "0" }, { "weight-decay", "0" },
    { "clip", "0" }, { "val-split", "0" }, { "eval-every", "1000000" },
    { "save-every", "1000000" }, { "keep-best", "no" },
};

typedef struct {
    pcv_training t;
    char *dir, *data;
    size_t parameters;
    double flops;               /* of a step */
    bench_peer peer;
    int steps;
    double last;                /* when the last step ended, .. */
    double before;              /* .. and the rate then */
    double worst;               /* difference of a loss from the peer's */
    bench_samples time, theirs, rate;   /* seconds, seconds, GFLOP/s */
    bench_samples share;        /* of the rate that a step has */
} training;

/* ---- the set --------------------------------------------------------- */

static unsigned char pixel(size_t i)
{
    return (unsigned char)pcv_random(1, 7, i);
}

/* idx: the sizes, high byte first, and the bytes. */
static void write_idx(const char *path, int rank, const unsigned *dim,
                      const unsigned char *x, size_t n)
{
    pcv_buf b = {0};
    unsigned char head[4] = { 0, 0, 8, (unsigned char)rank };

    pcv_buf_add(&b, head, 4);
    for (int i = 0; i < rank; i++) {
        unsigned char size[4] = { 0, 0, (unsigned char)(dim[i] >> 8),
                                  (unsigned char)dim[i] };

        pcv_buf_add(&b, size, 4);
    }
    pcv_buf_add(&b, x, n);
    bench_need(!b.failed);
    bench_write(path, b.data, b.len);
    pcv_buf_free(&b);
}

static void make_data(training *t)
{
    enum { ALL = BATCH * SIDE * SIDE };
    const unsigned dim[3] = { BATCH, SIDE, SIDE };
    static unsigned char x[ALL], label[BATCH];
    static float fx[ALL], flabel[BATCH];
    char *images = bench_file("images-idx3-ubyte");
    char *labels = bench_file("labels-idx1-ubyte");
    pcv_buf b = {0};

    for (size_t i = 0; i < ALL; i++) {
        x[i] = pixel(i);
        fx[i] = ((float)x[i] / 255 - 0.5f) / 0.5f;
    }
    for (int i = 0; i < BATCH; i++)
        flabel[i] = label[i] = (unsigned char)(i % CLASSES);
    write_idx(images, 3, dim, x, ALL);
    write_idx(labels, 1, dim, label, BATCH);
    bench_floats(t->dir, "input.f32", fx, ALL);
    bench_floats(t->dir, "label.f32", flabel, BATCH);
    pcv_buf_printf(&b, "%s,%s", images, labels);
    bench_need(!b.failed);
    t->data = b.data;
    pcv_free(images);
    pcv_free(labels);
}

/* ---- the network ----------------------------------------------------- */

static double scores(const pcv_net *n, double elements)
{
    double latents = n->spec.latents, cost = 0;

    for (int i = 0; i < n->uses; i++)
        cost += 2 * latents * (n->use[i].input ? elements : latents) *
                n->use[i].block->qk;
    return cost;
}

static double flops(const pcv_net *n)
{
    pcv_array x = { .dtype = PCV_F32, .rank = 3, .dim = { 1, SIDE, SIDE } };
    const pcv_array *one = &x;
    pcv_cost c;

    x.data = pcv_alloc(SIDE * SIDE, sizeof(float));
    bench_need(x.data && pcv_net_cost(n, &one, &c) == 0);
    pcv_array_free(&x);
    return BATCH * (3 * (c.run + c.once) + scores(n, c.elements));
}

/* The weights that the run will start with, for torch. */
static void make_network(training *t)
{
    pcv_spec spec;
    pcv_net net;

    bench_need(pcv_spec_copy(&spec, &t->t.spec) == 0);
    spec.outputs = CLASSES;
    bench_need(pcv_net_build(&net, &spec) == 0 &&
               pcv_net_init(&net, (uint64_t)t->t.run.seed) == 0 &&
               pcv_net_save(&net, t->dir) == 0);
    t->parameters = net.params.total;
    t->flops = flops(&net);
    pcv_net_free(&net);
    pcv_spec_free(&spec);
}

/* ---- the run --------------------------------------------------------- */

static void compare_loss(training *t, double ours, double theirs)
{
    double d = fabs(ours - theirs) / fabs(theirs);

    if (t->steps <= LOSSES && !(d <= t->worst))
        t->worst = d;
}

static void add_step(training *t, double time)
{
    double rate = (t->before + bench_rate()) / 2;

    bench_add(&t->time, time);
    bench_add(&t->rate, rate);
    bench_add(&t->share, 1e-9 * t->flops / time / rate);
}

static void peer_step(training *t, double ours)
{
    double loss, time = bench_peer_run(&t->peer, &loss);

    if (t->steps > 1)
        bench_add(&t->theirs, time);
    compare_loss(t, ours, loss);
}

/* After every step: its time, the rate, and the same step in torch.  The first
 * is not counted. */
static int watch(void *arg, const pcv_event *e)
{
    training *t = arg;
    double now = bench_now();

    if (!strcmp(e->event, "step")) {
        if (t->steps++ > 0)
            add_step(t, now - t->last);
        if (t->peer.pid && t->steps <= PEER_STEPS)
            peer_step(t, e->loss);
    }
    t->before = bench_rate();
    t->last = bench_now();
    return PCV_WATCH_GO_ON;
}

static void set_training(training *t)
{
    *t = (training){ .dir = bench_file("training") };
    if (mkdir(t->dir, 0777) < 0)
        pcv_fail(EX_CANTCREAT, "%s: cannot be made", t->dir);
    bench_need(!*pcv_error());
    pcv_spec_default(&t->t.spec);
    pcv_run_default(&t->t.run);
    for (size_t i = 0; i < PCV_LEN(model_settings); i++)
        bench_need(pcv_spec_set(&t->t.spec, model_settings[i].name,
                                model_settings[i].value) == 0);
    for (size_t i = 0; i < PCV_LEN(run_settings); i++)
        bench_need(pcv_run_set(&t->t.run, run_settings[i].name,
                               run_settings[i].value) == 0);
    make_data(t);
    make_network(t);
}

static void tell(const training *t)
{
    double step = bench_median(&t->time), share = bench_median(&t->share);

    bench_row("parameters", "", (double)t->parameters, BENCH_LESS, 0);
    bench_row("speed", "pictures/s", BATCH / step, BENCH_MORE, 0);
    bench_row("sgemm beside it", "GFLOP/s", bench_median(&t->rate), BENCH_MORE,
              0);
    bench_row("speed, were that 190", "pictures/s", BATCH * 190e9 * share /
              t->flops, BENCH_MORE, 350);
    bench_row("work of a step as run", "GFLOP", 1e-9 * t->flops, BENCH_LESS,
              0);
    bench_row("(work / time) / sgemm", "%", 100 * share, BENCH_MORE, 60);
}

static void tell_peer(const training *t)
{
    double theirs = BATCH / bench_median(&t->theirs);

    if (!t->peer.pid) {
        bench_missing("torch", t->peer.why);
        return;
    }
    bench_row("torch", "pictures/s", theirs, BENCH_MORE, 0);
    bench_row("torch, ratio", "", BATCH / bench_median(&t->time) / theirs,
              BENCH_MORE, 0);
    bench_row("torch, difference of the first losses", "", t->worst,
              BENCH_LESS, 1e-3);
}

void bench_training(void)
{
    training t;

    bench_title("training", "28x28, 64 latents of 128, six layers, batch 64");
    set_training(&t);
    bench_peer_open(&t.peer, "training", t.dir);
    t.t.data = t.data;
    t.t.dir = t.dir;
    t.t.watch = watch;
    t.t.arg = &t;
    bench_need(pcv_training_run(&t.t) == 0);
    tell(&t);
    tell_peer(&t);
    bench_peer_close(&t.peer);
    pcv_spec_free(&t.t.spec);
    pcv_free(t.dir);
    pcv_free(t.data);
}
