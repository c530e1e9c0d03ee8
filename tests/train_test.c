/* train_test.c - training: the optimisers against a naive one in double, the
 * schedules at chosen steps, the loss with smoothing; and runs, which end in
 * the same bytes however often they were stopped and on however many threads
 * they went. */
#include "model_help.h"
#include "scratch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

static void near(double have, double want, double tol, const char *what,
                 int which)
{
    help_below(fabs(have - want) / (fabs(want) + 1e-300), tol, what, which);
}

/* ---- optimisers ------------------------------------------------------ */

enum { UPDATES = 6 };

/* What the formulas say, one number at a time. */
typedef struct {
    double *w, *m, *v, *u;
} naive;

static double size(const double *x, size_t n)
{
    double s = 0;

    for (size_t i = 0; i < n; i++)
        s += x[i] * x[i];
    return sqrt(s);
}

static void naive_update(naive *o, const pcv_run_spec *r, const pcv_params *p,
                         int step, double lr, double scale)
{
    size_t at = 0;

    for (int i = 0; i < p->count; at += p->param[i++]->count) {
        const pcv_param *q = p->param[i];
        double trust = 1, w, u;

        for (size_t k = at; k < at + q->count; k++) {
            double g = (double)p->g[k] * scale;

            o->m[k] = r->beta1 * o->m[k] + (1 - r->beta1) * g;
            o->v[k] = r->beta2 * o->v[k] + (1 - r->beta2) * g * g;
            o->u[k] = o->m[k] / (1 - pow(r->beta1, step)) /
                      (sqrt(o->v[k] / (1 - pow(r->beta2, step))) + r->eps);
            if (q->decay)
                o->u[k] += r->weight_decay * o->w[k];
        }
        w = size(o->w + at, q->count);
        u = size(o->u + at, q->count);
        if (r->optimizer == PCV_LAMB && w > 0 && u > 0)
            trust = w / u;
        for (size_t k = at; k < at + q->count; k++)
            o->w[k] -= lr * trust * o->u[k];
    }
}

static void naive_open(naive *o, const pcv_params *p)
{
    *o = (naive){ pcv_alloc(p->total, sizeof(double)),
                  pcv_alloc(p->total, sizeof(double)),
                  pcv_alloc(p->total, sizeof(double)),
                  pcv_alloc(p->total, sizeof(double)) };
    for (size_t i = 0; i < p->total; i++)
        o->w[i] = (double)p->w[i];
}

static void naive_close(naive *o)
{
    pcv_free(o->w);
    pcv_free(o->m);
    pcv_free(o->v);
    pcv_free(o->u);
}

/* Error of what has moved. */
static double moved_error(const naive *o, const pcv_params *p)
{
    double up = 0, down = 0;

    for (size_t i = 0; i < p->total; i++) {
        up += pow((double)p->w[i] - o->w[i], 2);
        down += pow(o->w[i], 2);
    }
    return sqrt(up / down);
}

/* A parameter that is zero has trust 1 and gradients of nothing move nothing
 * but by decay. */
static void set_gradients(pcv_params *p, int step)
{
    help_fill(200 + (uint64_t)step, p->g, p->total, 0, 0.1);
    memset(p->param[1]->g, 0, p->param[1]->count * sizeof(real));
}

static void check_optimizer(const pcv_run_spec *r, int which)
{
    static const model_case tiny = { .name = "tiny", .settings =
        "latents=3 latent-channels=4 outputs=3 height=3 width=4 self-heads=2" };
    double worst = 0;
    pcv_moments o;
    naive n;
    model m;

    model_open(&m, &tiny);
    memset(m.net.params.param[0]->w, 0,
           m.net.params.param[0]->count * sizeof(real));
    assert_int_equal(pcv_moments_open(&o, &m.net.params), 0);
    naive_open(&n, &m.net.params);
    for (int step = 1; step <= UPDATES; step++) {
        double lr = 0.03 / step, scale = step % 2 ? 1 : 0.25;

        set_gradients(&m.net.params, step);
        pcv_optimize(&o, r, &m.net.params, (uint64_t)step, lr, scale);
        naive_update(&n, r, &m.net.params, step, lr, scale);
        worst = fmax(worst, moved_error(&n, &m.net.params));
    }
    help_below(worst, HELP_TOL(3e-6, 1e-14), "optimizer", which);
    naive_close(&n);
    pcv_moments_close(&o);
    model_close(&m);
}

static void test_optimizers(void **state)
{
    static const double decay[] = { 0, 0.05, 2 }, eps[] = { 1e-8, 1e-6, 0.1 };

    (void)state;
    for (int i = 0; i < 18; i++) {
        pcv_run_spec r;

        pcv_run_default(&r);
        r.optimizer = i % 2 ? PCV_LAMB : PCV_ADAMW;
        r.weight_decay = decay[i / 2 % 3];
        r.eps = eps[i / 6];
        check_optimizer(&r, i);
    }
}

static void test_gradient_norm(void **state)
{
    real g[5] = { 3, -4, 0, 12, 84 };
    pcv_params p = { .g = g, .total = 5 };

    (void)state;
    near(pcv_gradient_norm(&p), 85, 1e-15, "norm", 0);
}

/* ---- schedules ------------------------------------------------------- */

static void test_schedules(void **state)
{
    static const struct {
        int schedule, warmup;
        uint64_t step, steps;
        double want;            /* share of the highest */
    } at[] = {
        { PCV_CONSTANT, 0, 0, 100, 1 }, { PCV_CONSTANT, 0, 99, 100, 1 },
        { PCV_CONSTANT, 10, 0, 100, 0.1 }, { PCV_CONSTANT, 10, 4, 100, 0.5 },
        { PCV_CONSTANT, 10, 9, 100, 1 }, { PCV_CONSTANT, 10, 10, 100, 1 },
        { PCV_COSINE, 0, 0, 100, 1 }, { PCV_COSINE, 0, 50, 100, 0.55 },
        { PCV_COSINE, 0, 100, 100, 0.1 }, { PCV_COSINE, 0, 200, 100, 0.1 },
        { PCV_COSINE, 0, 25, 100, 0.1 + 0.9 * 0.85355339059327373 },
        { PCV_COSINE, 20, 9, 100, 0.5 }, { PCV_COSINE, 20, 19, 100, 1 },
        { PCV_COSINE, 20, 20, 100, 1 }, { PCV_COSINE, 20, 60, 100, 0.55 },
        { PCV_COSINE, 200, 99, 100, 0.5 }, { PCV_COSINE, 5, 5, 5, 0.1 },
        { PCV_STEP, 0, 0, 100, 1 }, { PCV_STEP, 0, 69, 100, 1 },
        { PCV_STEP, 0, 70, 100, 0.1 }, { PCV_STEP, 0, 84, 100, 0.1 },
        { PCV_STEP, 0, 85, 100, 0.01 }, { PCV_STEP, 0, 94, 100, 0.01 },
        { PCV_STEP, 0, 95, 100, 0.001 }, { PCV_STEP, 0, 99, 100, 0.001 },
        { PCV_STEP, 0, 0, 1, 1 }, { PCV_COSINE, 0, 0, 1, 1 },
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(at); i++) {
        pcv_run_spec r;

        pcv_run_default(&r);
        r.lr = 4e-3;
        r.final = 0.1;
        r.schedule = at[i].schedule;
        r.warmup = at[i].warmup;
        near(pcv_learning_rate(&r, at[i].step, at[i].steps),
             4e-3 * at[i].want, 1e-12, "rate", (int)i);
    }
}

/* ---- the loss -------------------------------------------------------- */

/* -sum_k t_k log p_k with t = (1 - s) one-hot + s / K, and p - t over rows. */
static void test_smoothing(void **state)
{
    static const double smooth[] = { 0, 0.1, 0.5, 0.95 };
    enum { ROWS = 4, K = 5 };
    static const int label[ROWS] = { 0, 4, 2, 2 };

    (void)state;
    for (int c = 0; c < 4; c++) {
        real x[ROWS * K], d[ROWS * K], target[ROWS * K];
        double want = 0, loss, e = 0;

        help_fill(70 + (uint64_t)c, x, ROWS * K, 0, 3);
        for (int i = 0; i < ROWS * K; i++)
            target[i] = (real)(smooth[c] / K +
                               (i % K == label[i / K]) * (1 - smooth[c]));
        loss = pcv_cross_entropy(x, target, ROWS, K, 1.0 / ROWS, d) / ROWS;
        for (int r = 0; r < ROWS; r++) {
            double p[K];

            for (int k = 0; k < K; k++)
                p[k] = (double)x[r * K + k];
            pcv_softmax(p, K);
            for (int k = 0; k < K; k++) {
                double t = (double)target[r * K + k];

                want -= t * log(p[k]) / ROWS;
                e = fmax(e, fabs((double)d[r * K + k] - (p[k] - t) / ROWS));
            }
        }
        near(loss, want, 1e-12, "smoothed loss", c);
        help_below(e, HELP_TOL(1e-7, 1e-15), "its gradient", c);
    }
}

/* ---- data for runs --------------------------------------------------- */

enum { SIDE = 6, EXAMPLES = 40, CLASSES = 3 };

static void idx_head(pcv_buf *b, unsigned char type, int rank, const int *dim)
{
    unsigned char head[4] = { 0, 0, type, (unsigned char)rank };

    pcv_buf_add(b, head, 4);
    for (int i = 0; i < rank; i++) {
        unsigned char n[4] = { 0, 0, (unsigned char)(dim[i] >> 8),
                               (unsigned char)dim[i] };

        pcv_buf_add(b, n, 4);
    }
}

/* A bright column or row tells the class. */
static unsigned char pixel(int example, int label, int i)
{
    int y = i / SIDE, x = i % SIDE;
    bool bright = label == 0 ? x == 1 : label == 1 ? y == 4 : x == y;

    return (unsigned char)((bright ? 190 : 20) +
                           help_int(90, (uint64_t)(example * 100 + i), 0, 60));
}

static int label_of(int example)
{
    return help_int(91, (uint64_t)example, 0, CLASSES - 1);
}

static void put(const char *name, pcv_buf *b)
{
    assert_false(b->failed);
    scratch_put(name, b->data, b->len);
    pcv_buf_free(b);
}

static void put_labels(void)
{
    static const int dim[] = { EXAMPLES };
    pcv_buf b = {0};

    idx_head(&b, 0x08, 1, dim);
    for (int e = 0; e < EXAMPLES; e++) {
        unsigned char l = (unsigned char)label_of(e);

        pcv_buf_add(&b, &l, 1);
    }
    put("labels.idx", &b);
}

/* The same examples for other tasks: every third picture, and every fourth of
 * its copies as an array, is absent from the parts. */
static void put_lists(void)
{
    pcv_buf tags = {0}, values = {0}, parts = {0}, lines = {0}, text = {0};

    pcv_buf_puts(&parts, "kind\trows\timage\tmore\n");
    for (int e = 0; e < EXAMPLES; e++) {
        int k = label_of(e);
        char image[32] = "-", rows[32] = "-";

        if (e % 3)
            snprintf(image, sizeof image, "images.idx#%d", e);
        if (e % 4 || !(e % 3))
            snprintf(rows, sizeof rows, "images.idx#%d", e);
        pcv_buf_printf(&tags, "images.idx#%d\t%s%s\n", e, k & 1 ? "odd" : "",
                       k == 2 ? "two,high" : "");
        pcv_buf_printf(&values, "images.idx#%d\t%d.5,-%d\n", e, k, e);
        pcv_buf_printf(&parts, "%s\t%s\t%s\t%d\n", e % 5 ? "a" : "b", rows,
                       image, k);
        pcv_buf_printf(&lines, "%d\tword %d and %c%c\n", k, e, 'a' + k,
                       'z' - k);
        pcv_buf_printf(&text, "To be %d, or not to be %d.\n", e, k);
    }
    put("tags.tsv", &tags);
    put("values.tsv", &values);
    put("parts.tsv", &parts);
    put("lines.tsv", &lines);
    put("text", &text);
}

static void put_data(void)
{
    static const int dim[] = { EXAMPLES, SIDE, SIDE };
    pcv_buf b = {0};

    idx_head(&b, 0x08, 3, dim);
    for (int e = 0; e < EXAMPLES; e++)
        for (int i = 0; i < SIDE * SIDE; i++) {
            unsigned char v = pixel(e, label_of(e), i);

            pcv_buf_add(&b, &v, 1);
        }
    put("images.idx", &b);
    put_labels();
    put_lists();
}

/* Pictures as floats, one value of one of them a special one. */
static void put_floats(float special)
{
    static const int dim[] = { EXAMPLES, 1, SIDE, SIDE };
    pcv_buf b = {0};

    idx_head(&b, 0x0d, 4, dim);
    for (int i = 0; i < EXAMPLES * SIDE * SIDE; i++) {
        float v = i == 7 * SIDE * SIDE + 9 ? special : (float)(i % 5) / 5;
        unsigned char bytes[4];
        uint32_t bits;

        memcpy(&bits, &v, 4);
        for (int k = 0; k < 4; k++)
            bytes[k] = (unsigned char)(bits >> (24 - 8 * k));
        pcv_buf_add(&b, bytes, 4);
    }
    put("images.idx", &b);
    put_labels();
}

/* ---- runs ------------------------------------------------------------ */

#define SMALL "height=6 width=6 bands=2 latents=4 latent-channels=8 " \
              "self-heads=2 layers=1 "
#define TEXT "modality=bytes length=12 position=learned embedding=6 " \
             "latents=4 latent-channels=8 self-heads=2 layers=1 "
#define SHORT "steps=12 batch-size=4 val-split=0.2 warmup=3 eval-every=3 "
/* Room for some activations of SMALL's 0.0196 MB of floats, not for all. */
#ifdef PCV_DOUBLE
#define TIGHT "max-mem=0.03"
#else
#define TIGHT "max-mem=0.015"
#endif
#define SHAKEN SHORT "dropout=0.2 shift=1 noise=0.1 label-smoothing=0.1 "

typedef struct {
    const char *name, *model, *run;
} run_case;

static const run_case runs[] = {
    { "AdamW", SMALL, SHAKEN },
    { "LAMB, Perceiver", SMALL "decoder=mean cross-attends=2",
      SHAKEN "optimizer=lamb save-every=4" },
    { "no validation", SMALL, SHORT "val-split=0 dropout=0.1" },
    { "the last, not the best", SMALL, SHAKEN "keep-best=no eval-every=0" },
    { "recomputed", SMALL, SHAKEN TIGHT " clip=0" },
    { "reconstruction", SMALL "task=reconstruct decoder=grid query-bands=2",
      SHAKEN "points=5 schedule=step label-smoothing=0" },
    { "epochs", SMALL, SHAKEN "steps=-1 epochs=1.4 batch-size=5" },
    { "mixed", SMALL, SHAKEN "mixup=0.4 cutmix=1 batch-size=5" },
    { "nested", SMALL "nested=1,2", SHAKEN },
    { "frozen", SMALL, SHAKEN "freeze=encoder" },
    { "tags", SMALL "task=tags", SHAKEN "label-smoothing=0" },
    { "numbers", SMALL "task=values", SHAKEN "label-smoothing=0" },
    { "lines", TEXT, SHORT "examples=lines dropout=0.1 indent=3 hide=0.1" },
    { "masked bytes of lines", TEXT "task=fill",
      SHORT "examples=lines mask=0.3 dropout=0.1" },
    { "masked bytes of text", TEXT "task=fill tied=yes query-channels=6",
      SHORT "examples=text mask=0.3 mask-words=no" },
    { "parts", "latents=4 latent-channels=8 self-heads=2 layers=1 shared=6 "
      "parts=image~modality=image~height=6~width=6~bands=2;"
      "rows~modality=array~channels=6~length=6~bands=2;kind~modality=class;"
      "more~modality=class~task=values", SHAKEN "drop-parts=0.3" },
};

/* What a run of that kind reads. */
static const char *data_of(const run_case *c)
{
    if (strstr(c->run, "examples=lines"))
        return "lines.tsv";
    if (strstr(c->run, "examples=text"))
        return "text";
    return strstr(c->model, "parts=") ? "parts.tsv"
           : strstr(c->model, "task=tags") ? "tags.tsv"
           : strstr(c->model, "task=values") ? "values.tsv"
           : "images.idx,labels.idx";
}

/* What happens in a run, and when to say stop or save. */
typedef struct {
    uint64_t stop, save;        /* steps; 0 never */
    int steps, evals, checkpoints, starts, stops;
    double accuracy, loss;      /* of the last evaluation, the last step */
    uint64_t last;
} watcher;

/* Reported at each step by the runs since it was cleared. */
static double reported[32][2];

static int watch(void *arg, const pcv_event *e)
{
    watcher *w = arg;
    pcv_json *j = pcv_json_parse(e->json, strlen(e->json), "event");

    if (!j)
        fail_msg("%s: %s", pcv_error(), e->json);
    assert_string_equal(pcv_json_string(pcv_json_get(j, "ev")), e->event);
    assert_int_equal(pcv_json_int(pcv_json_get(j, "step")), e->step);
    pcv_json_close(j);
    w->checkpoints += !strcmp(e->event, "checkpoint");
    w->starts += !strcmp(e->event, "start") || !strcmp(e->event, "resume");
    w->stops += !strcmp(e->event, "stop");
    w->last = e->step;
    if (!strcmp(e->event, "eval")) {
        w->evals++;
        w->accuracy = e->accuracy;
    }
    if (strcmp(e->event, "step"))
        return PCV_WATCH_GO_ON;
    w->steps++;
    w->loss = e->loss;
    if (e->step < PCV_LEN(reported)) {
        reported[e->step][0] = e->loss;
        reported[e->step][1] = e->rate;
    }
    if (e->step == w->stop)
        return PCV_WATCH_STOP;
    return e->step == w->save ? PCV_WATCH_SAVE : PCV_WATCH_GO_ON;
}

static void run_spec(pcv_run_spec *r, const char *settings)
{
    char text[1024], *save = NULL, *name, *value;

    pcv_run_default(r);
    strcpy(text, settings);
    for (name = strtok_r(text, " ", &save); name;
         name = strtok_r(NULL, " ", &save)) {
        value = strchr(name, '=');
        *value++ = '\0';
        if (pcv_run_set(r, name, value) < 0)
            fail_msg("%s", pcv_error());
    }
}

/* What pcv_training_run says. */
static int train(const run_case *c, const char *dir, bool resume, watcher *w)
{
    pcv_training t = { .data = data_of(c), .dir = dir, .resume = resume,
                       .watch = watch, .arg = w };
    int r;

    model_spec(&t.spec, c->model);
    run_spec(&t.run, c->run);
    r = pcv_training_run(&t);
    pcv_spec_free(&t.spec);
    return r;
}

static void train_well(const run_case *c, const char *dir, bool resume,
                       uint64_t stop)
{
    watcher w = { .stop = stop };
    int r = train(c, dir, resume, &w);

    if (r < 0)
        fail_msg("%s: %s", c->name, pcv_error());
    assert_int_equal(r, stop != 0);
    assert_int_equal(w.starts, 1);
    assert_int_equal(w.stops, 1);
    if (stop)
        assert_int_equal(w.last, stop);
}

static void same_file(const char *a, const char *b, const char *file,
                      const char *what)
{
    char path[2][256];
    pcv_file f[2];

    snprintf(path[0], sizeof path[0], "%s/%s", a, file);
    snprintf(path[1], sizeof path[1], "%s/%s", b, file);
    for (int i = 0; i < 2; i++)
        if (pcv_file_open(&f[i], path[i], 0) < 0)
            fail_msg("%s", pcv_error());
    if (f[0].size != f[1].size || memcmp(f[0].data, f[1].data, f[0].size))
        fail_msg("%s: %s differs between %s and %s", what, file, a, b);
    pcv_file_close(&f[0]);
    pcv_file_close(&f[1]);
}

static void same_model(const char *a, const char *b, const char *what)
{
    same_file(a, b, "model.safetensors", what);
    same_file(a, b, "config.json", what);
}

static void same_run(const char *a, const char *b, const char *what)
{
    same_model(a, b, what);
    same_file(a, b, "checkpoint.safetensors", what);
}

/* Between steps of an epoch (8 steps) and at its end, once or often. */
static void test_resume(void **state)
{
    (void)state;
    put_data();
    for (size_t i = 0; i < PCV_LEN(runs); i++) {
        const run_case *c = &runs[i];
        double whole[32][2];

        memset(reported, 0, sizeof reported);
        train_well(c, "whole", false, 0);
        memcpy(whole, reported, sizeof whole);
        memset(reported, 0, sizeof reported);
        train_well(c, "halves", false, 5);
        train_well(c, "halves", true, 0);
        same_run("whole", "halves", c->name);
        assert_memory_equal(whole, reported, sizeof whole);
        train_well(c, "pieces", false, 1);
        for (uint64_t stop = 3; stop <= 8; stop += stop == 3 ? 1 : 4)
            train_well(c, "pieces", true, stop);
        train_well(c, "pieces", true, 0);
        same_run("whole", "pieces", c->name);
    }
}

/* Going on from a run that is done changes nothing; going on from the last
 * checkpoint but one, as after a crash, ends the same. */
static void test_crash(void **state)
{
    const run_case *c = &runs[0];
    watcher w = { .save = 7 };

    (void)state;
    put_data();
    assert_int_equal(train(c, "whole", false, &w), 0);
    train_well(c, "again", false, 7);
    train_well(c, "whole", true, 0);
    assert_int_equal(rename("again/checkpoint.safetensors", "kept"), 0);
    train_well(c, "again", false, 0);
    same_run("whole", "again", "done");
    assert_int_equal(rename("kept", "again/checkpoint.safetensors"), 0);
    train_well(c, "again", true, 0);
    same_run("whole", "again", "after a crash");
}

static void test_threads(void **state)
{
    (void)state;
    put_data();
    for (size_t i = 0; i < PCV_LEN(runs); i++) {
        char dir[] = "on 1";

        for (int n = 1; n <= 3; n++) {
            dir[3] = (char)('0' + n);
            assert_int_equal(pcv_threads_set(n), 0);
            train_well(&runs[i], dir, false, 0);
            same_run("on 1", dir, runs[i].name);
        }
        assert_int_equal(pcv_threads_set(1), 0);
    }
}

/* Keeping activations or not is no difference to the model. */
static void test_recompute(void **state)
{
    static const run_case kept = { "kept", SMALL, SHAKEN };
    static const run_case again = { "again", SMALL, SHAKEN TIGHT };

    (void)state;
    put_data();
    train_well(&kept, "a", false, 0);
    train_well(&again, "b", false, 0);
    same_model("a", "b", "max-mem");
}

static void test_events(void **state)
{
    static const run_case c = { "events", SMALL, SHORT "save-every=5" };
    watcher w = { .save = 7 };

    (void)state;
    put_data();
    assert_int_equal(train(&c, "a", false, &w), 0);
    assert_int_equal(w.steps, 12);
    assert_int_equal(w.evals, 4);
    assert_int_equal(w.checkpoints, 5);         /* 0, 5, 7, 10, 12 */
    assert_int_equal(w.last, 12);
}

static void test_no_steps(void **state)
{
    static const run_case c = { "none", SMALL, SHORT "steps=0" };
    pcv_net n;

    (void)state;
    put_data();
    train_well(&c, "a", false, 0);
    assert_int_equal(pcv_net_load(&n, "a"), 0);
    assert_int_equal(n.spec.outputs, CLASSES);
    assert_string_equal(n.spec.label[2], "2");
    pcv_net_free(&n);
}

/* It learns what can be learned, and the model on disk is the best one. */
static void test_learns(void **state)
{
    static const run_case c = { "learns", SMALL "latent-channels=16",
        "steps=120 batch-size=8 val-split=0.25 warmup=10 learning-rate=5e-3" };
    watcher w = {0};
    pcv_splits s;
    pcv_run_spec r;
    pcv_score answer[PCV_MOST_PARTS], all;
    const pcv_evaluation_how how = {0};
    pcv_net n;

    (void)state;
    put_data();
    assert_int_equal(train(&c, "a", false, &w), 0);
    near(w.accuracy, 1, 1e-9, "accuracy", 0);
    assert_true(w.loss < 0.1);
    assert_int_equal(pcv_net_load(&n, "a"), 0);
    run_spec(&r, c.run);
    assert_int_equal(pcv_splits_open(&s, &n.spec, &r, "images.idx,labels.idx",
                                     NULL), 0);
    assert_int_equal(pcv_training_evaluate(&n, &r, &s.of, &s.val, &how, answer,
                                           &all), 0);
    near(all.accuracy, 1, 1e-9, "accuracy of the file", 0);
    pcv_splits_close(&s);
    pcv_net_free(&n);
}

/* ---- what goes wrong ------------------------------------------------- */

static void test_other_settings(void **state)
{
    static const run_case first = { "first", SMALL, SHAKEN };
    static const run_case other[] = {
        { "rate", SMALL, SHAKEN "learning-rate=2e-3" },
        { "rate, a little", SMALL, SHAKEN "learning-rate=1.00000000001e-3" },
        { "steps", SMALL, SHAKEN "steps=13" },
        { "seed", SMALL, SHAKEN "seed=1" },
        { "heads", SMALL "self-heads=4", SHAKEN },
        { "width", SMALL "latent-channels=16", SHAKEN },
    };
    watcher w = {0};

    (void)state;
    put_data();
    train_well(&first, "a", false, 5);
    for (size_t i = 0; i < PCV_LEN(other); i++) {
        if (train(&other[i], "a", true, &w) != -1)
            fail_msg("%s: went on", other[i].name);
        assert_failed(EX_DATAERR, "a/checkpoint.safetensors");
    }
    assert_int_equal(train(&first, "b", true, &w), -1);
    assert_failed(EX_NOINPUT, "b/checkpoint.safetensors");
    train_well(&first, "a", true, 0);
}

/* A checkpoint of another run, cut short or not one at all. */
static void test_bad_checkpoints(void **state)
{
    const run_case *c = &runs[0];
    watcher w = {0};
    pcv_file f;

    (void)state;
    put_data();
    train_well(c, "a", false, 5);
    assert_int_equal(pcv_file_open(&f, "a/checkpoint.safetensors", 0), 0);
    scratch_put("b/checkpoint.safetensors", f.data, f.size - 4);
    pcv_file_close(&f);
    assert_int_equal(train(c, "b", true, &w), -1);
    assert_failed(EX_DATAERR, "b/checkpoint.safetensors");
    assert_int_equal(rename("a/model.safetensors", "b/checkpoint.safetensors"),
                     0);
    assert_int_equal(train(c, "b", true, &w), -1);
    assert_failed(EX_DATAERR, "has no checksum");
}

/* The byte of f at `at` becomes another. */
static void flip(FILE *f, long at, unsigned char mask)
{
    int c;

    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    c = getc(f);
    assert_int_equal(fseek(f, at, SEEK_SET), 0);
    assert_int_equal(putc(c ^ mask, f), c ^ mask);
    assert_int_equal(fflush(f), 0);
}

/* Each byte of the header, and some of the tensors, one bit of them. */
static void test_flipped(void **state)
{
    enum { DENSE = 6000, STRIDE = 5 };
    pcv_buf settings = {0};
    long size;
    FILE *f;

    (void)state;
    put_data();
    train_well(&runs[0], "a", false, 5);
    assert_int_equal(unlink("a/checkpoint.previous.safetensors"), 0);
    assert_int_equal(pcv_checkpoint_settings("a", &settings), 1);
    assert_non_null(f = fopen("a/checkpoint.safetensors", "r+b"));
    assert_int_equal(fseek(f, 0, SEEK_END), 0);
    size = ftell(f);
    for (long at = 0; at < size; at += at < DENSE ? 1 : STRIDE) {
        flip(f, at, (unsigned char)(1 << at % 8));
        if (pcv_checkpoint_settings("a", &settings) != -1)
            fail_msg("byte %ld of %ld: taken", at, size);
        assert_failed(EX_DATAERR, "put a copy");
        flip(f, at, (unsigned char)(1 << at % 8));
    }
    assert_int_equal(pcv_checkpoint_settings("a", &settings), 1);
    fclose(f);
    pcv_buf_free(&settings);
}

/* Weights are never beside the config.json of others: not even when writing
 * them fails. */
static void test_pair(void **state)
{
    static const run_case other = { "other", SMALL "latent-channels=16",
                                    SHAKEN };
    pcv_net n;

    (void)state;
    put_data();
    train_well(&runs[0], "a", false, 0);
    train_well(&other, "b", false, 0);
    assert_int_equal(pcv_net_load(&n, "b"), 0);
    assert_int_equal(unlink("a/model.safetensors"), 0);
    assert_int_equal(symlink("/dev/full", "a/model.safetensors"), 0);
    assert_int_equal(pcv_net_save(&n, "a"), -1);
    assert_failed(EX_IOERR, "a/model.safetensors");
    assert_int_equal(access("a/config.json", F_OK), -1);
    scratch_puts("a/preprocessor_config.json", "{}");
    assert_int_equal(unlink("a/model.safetensors"), 0);
    assert_int_equal(pcv_net_save(&n, "a"), 0);
    assert_int_equal(access("a/preprocessor_config.json", F_OK), -1);
    same_model("a", "b", "saved again");
    pcv_net_free(&n);
}

/* The message names the step and a tensor, and what was saved stays. */
static void test_diverges(void **state)
{
    static const run_case c = { "diverges", SMALL, SHORT "save-every=1 "
        "warmup=0 learning-rate=1000 weight-decay=1000 clip=0 val-split=0 "
        "steps=400" };
    pcv_tensors t;
    watcher w = {0};

    (void)state;
    put_data();
    assert_int_equal(train(&c, "a", false, &w), -1);
    assert_true(strstr(pcv_error(), "step ") && strstr(pcv_error(), "loss"));
    assert_failed(EX_DATAERR, "the gradient of perceiver.");
    assert_int_equal(pcv_tensors_open(&t, "a/checkpoint.safetensors"), 0);
    pcv_tensors_close(&t);
}

static void test_bad_data(void **state)
{
    static const run_case c = { "floats", SMALL, SHORT "val-split=0" };
    watcher w = {0};

    (void)state;
    put_floats(0.5f);
    train_well(&c, "a", false, 0);
    put_floats((float)NAN);
    assert_int_equal(train(&c, "a", false, &w), -1);
    assert_non_null(strstr(pcv_error(), "images.idx#7"));
    assert_failed(EX_DATAERR, "NaN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_optimizers),
        cmocka_unit_test(test_gradient_norm),
        cmocka_unit_test(test_schedules),
        cmocka_unit_test(test_smoothing),
        TEST(test_resume),
        TEST(test_crash),
        TEST(test_threads),
        TEST(test_recompute),
        TEST(test_events),
        TEST(test_no_steps),
        TEST(test_learns),
        TEST(test_other_settings),
        TEST(test_bad_checkpoints),
        TEST(test_flipped),
        TEST(test_pair),
        TEST(test_diverges),
        TEST(test_bad_data),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
