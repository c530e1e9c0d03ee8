/* loop.c - training: step, report, evaluate, save, stop.
 *
 * What step t sees is a function of the settings and t alone (order of the
 * epoch, augmentation, dropout, rate), so going on from a checkpoint gives
 * the same bits as never having stopped. */
#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

typedef struct {
    pcv_training *t;
    pcv_splits splits;
    pcv_net net;
    pcv_moments moments;
    pcv_session s;
    pcv_state state;
    pcv_buf settings;           /* all of them as text: what resume compares */
    uint64_t steps, per_epoch;
    uint32_t *order;            /* of the training split in this epoch */
    uint64_t order_epoch;
    int batch;
    pcv_array *x;
    const pcv_array **px;
    int *label, *index;
    pcv_target target;
    double rate, norm;          /* of the last step */
    double started;             /* seconds, and the step then */
    uint64_t started_at;
} run;

static const double none = (double)NAN;    /* a figure that there is not */

static double seconds(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* ---- opening --------------------------------------------------------- */

static void add_setting(pcv_buf *b, const char *name, const pcv_buf *value)
{
    pcv_buf_printf(b, "%s=%s\n", name, value->data ? value->data : "");
}

static int make_settings(run *r)
{
    pcv_buf v = {0};
    const pcv_field *f;

    for (int i = 0; (f = pcv_spec_field(i)); i++) {
        pcv_buf_clear(&v);
        pcv_spec_get(&r->t->spec, f->name, &v);
        add_setting(&r->settings, f->name, &v);
    }
    for (int i = 0; (f = pcv_run_field(i)); i++) {
        pcv_buf_clear(&v);
        pcv_run_get(&r->t->run, f->name, &v);
        add_setting(&r->settings, f->name, &v);
    }
    pcv_buf_free(&v);
    return r->settings.failed ? pcv_fail(EX_OSERR, "out of memory") : 0;
}

static int open_net(run *r)
{
    const pcv_run_spec *s = &r->t->run;

    if (pcv_net_build(&r->net, &r->t->spec) < 0 ||
        pcv_net_init(&r->net, (uint64_t)s->seed) < 0 ||
        pcv_params_grads(&r->net.params) < 0)
        return -1;
    return pcv_moments_open(&r->moments, &r->net.params);
}

/* As many whole batches as an epoch has; a set smaller than a batch is one. */
static int open_steps(run *r)
{
    const pcv_run_spec *s = &r->t->run;
    uint32_t n = r->splits.train.count;

    r->batch = s->batch < (int)n ? s->batch : (int)n;
    r->per_epoch = n / (uint32_t)r->batch;
    r->steps = s->steps >= 0 ? (uint64_t)s->steps
                             : (uint64_t)ceil(s->epochs * (double)r->per_epoch);
    r->order_epoch = UINT64_MAX;
    r->order = pcv_alloc(n, sizeof *r->order);
    r->x = pcv_alloc((size_t)r->batch, sizeof *r->x);
    r->px = pcv_alloc((size_t)r->batch, sizeof *r->px);
    r->label = pcv_alloc((size_t)r->batch, sizeof *r->label);
    return r->order && r->x && r->px && r->label ? 0 : -1;
}

static int open_target(run *r)
{
    int all = r->net.answer[0].n, points = r->t->run.points;

    r->target.label = r->label;
    r->target.asked = all;
    if (r->t->spec.task == PCV_CLASSIFY)
        return 0;
    if (points && points < all) {
        r->target.asked = points;
        if (!(r->index = pcv_alloc((size_t)points, sizeof *r->index)))
            return -1;
        r->target.index = r->index;
    }
    r->target.target = pcv_alloc((size_t)r->batch * (size_t)r->target.asked,
                                 (size_t)r->t->spec.outputs * sizeof(real));
    return r->target.target ? 0 : -1;
}

static int make_directory(const char *dir)
{
    if (mkdir(dir, 0777) == 0 || errno == EEXIST)
        return 0;
    return pcv_fail(EX_CANTCREAT, "%s: %s", dir, strerror(errno));
}

static int open_run(run *r)
{
    pcv_training *t = r->t;

    r->state.best = -(double)INFINITY;
    if (pcv_splits_open(&r->splits, &t->spec, &t->run, t->data, t->val) < 0 ||
        make_settings(r) < 0 || open_net(r) < 0 || open_steps(r) < 0 ||
        open_target(r) < 0 || make_directory(t->dir) < 0)
        return -1;
    pcv_session_open(&r->s, &r->net, true, r->target.asked);
    r->s.most = (size_t)(t->run.max_mem * 1e6);
    if (!t->resume)
        return 0;
    return pcv_checkpoint_load(t->dir, &r->net, &r->moments, &r->state,
                               r->settings.data);
}

static void close_run(run *r)
{
    pcv_session_close(&r->s);
    pcv_moments_close(&r->moments);
    pcv_net_free(&r->net);
    pcv_splits_close(&r->splits);
    pcv_buf_free(&r->settings);
    pcv_free(r->order);
    pcv_free(r->x);
    pcv_free(r->px);
    pcv_free(r->label);
    pcv_free(r->index);
    pcv_free(r->target.target);
}

/* ---- events ---------------------------------------------------------- */

static double examples_per_second(const run *r)
{
    double t = seconds() - r->started;

    return t > 0 ? (double)(r->state.step - r->started_at) *
                       (double)r->batch / t : 0;
}

static void add_number(pcv_buf *b, const char *key, double v)
{
    pcv_buf_printf(b, ",\"%s\":", key);
    pcv_json_number(b, v);
}

static void event_json(const run *r, const pcv_event *e, pcv_buf *b)
{
    pcv_buf_printf(b, "{\"ev\":\"%s\",\"step\":%" PRIu64 ",\"epoch\":",
                   e->event, e->step);
    pcv_json_number(b, e->epoch);
    if (!strcmp(e->event, "start")) {
        pcv_buf_printf(b, ",\"steps\":%" PRIu64 ",\"seed\":%d,\"params\":%zu,"
                       "\"train\":%" PRIu32 ",\"val\":%" PRIu32
                       ",\"threads\":%d,\"blas\":\"", e->steps,
                       r->t->run.seed, r->net.params.total,
                       r->splits.train.count, r->splits.val.count,
                       pcv_threads());
        pcv_buf_json(b, pcv_blas_name(), strlen(pcv_blas_name()));
        pcv_buf_puts(b, "\"");
    } else if (!strcmp(e->event, "step") || !strcmp(e->event, "eval")) {
        add_number(b, "loss", e->loss);
        add_number(b, "accuracy", e->accuracy);
    }
    if (!strcmp(e->event, "step")) {
        add_number(b, "lr", e->rate);
        add_number(b, "gnorm", e->norm);
        add_number(b, "items_per_s", e->items_per_second);
    }
    if (e->text)
        pcv_buf_printf(b, ",\"why\":\"%s\"", e->text);
    pcv_buf_puts(b, "}");
}

static int tell(run *r, const char *event, double loss, double accuracy,
                const char *text)
{
    double speed = examples_per_second(r);
    pcv_event e = { .event = event, .step = r->state.step, .steps = r->steps,
                    .epoch = (double)r->state.step / (double)r->per_epoch,
                    .loss = loss, .accuracy = accuracy, .rate = r->rate,
                    .norm = r->norm, .items_per_second = speed, .text = text };
    pcv_buf json = {0};
    int answer;

    e.seconds_left = speed > 0 ? (double)(r->steps - r->state.step) *
                                     (double)r->batch / speed : none;
    event_json(r, &e, &json);
    e.json = json.data ? json.data : "";
    answer = r->t->watch ? r->t->watch(r->t->arg, &e) : PCV_WATCH_GO_ON;
    pcv_buf_free(&json);
    return answer;
}

/* ---- saving ---------------------------------------------------------- */

static int save_checkpoint(run *r)
{
    if (pcv_checkpoint_save(r->t->dir, &r->net, &r->moments, &r->state,
                            r->settings.data) < 0)
        return -1;
    tell(r, "checkpoint", none, none, NULL);
    return 0;
}

static bool has_val(const run *r)
{
    return r->splits.val.count > 0;
}

/* The score that is made large: accuracy (of equal ones the one with the lower
 * loss), or minus the loss; the model on disk is the best one when that is
 * asked for and can be known. */
static int evaluate(run *r)
{
    double loss, accuracy, score;

    if (pcv_training_evaluate(&r->net, &r->splits.val, &loss, &accuracy) < 0)
        return -1;
    tell(r, "eval", loss, accuracy, NULL);
    score = isnan(accuracy) ? -loss : accuracy - 1e-9 * loss;
    if (score > r->state.best) {
        r->state.best = score;
        if (r->t->run.keep_best)
            return pcv_net_save(&r->net, r->t->dir);
    }
    return 0;
}

/* ---- a step ---------------------------------------------------------- */

static void order_for(run *r, uint64_t epoch)
{
    if (r->order_epoch == epoch)
        return;
    pcv_shuffle((uint64_t)r->t->run.seed, epoch, r->order,
                r->splits.train.count);
    r->order_epoch = epoch;
}

static void choose_points(run *r)
{
    int all = r->net.answer[0].n;

    for (int i = 0; r->index && i < r->target.asked; i++)
        r->index[i] = (int)(pcv_uniform((uint64_t)r->t->run.seed + 15485863,
                                        r->state.step, (uint64_t)i) * all);
}

static int broken(const run *r, double loss)
{
    const pcv_params *p = &r->net.params;

    for (int i = 0; i < p->count; i++) {
        const pcv_param *q = p->param[i];
        double square = 0;

        for (size_t k = 0; k < q->count; k++)
            square += (double)q->g[k] * (double)q->g[k];
        if (!isfinite(square))
            return pcv_fail(EX_DATAERR, "step %" PRIu64 ": loss %g, and the "
                            "gradient of %s is not finite; the last "
                            "checkpoint is good: lower the learning rate",
                            r->state.step + 1, loss, q->name);
    }
    return pcv_fail(EX_DATAERR, "step %" PRIu64 ": loss %g", r->state.step + 1,
                    loss);
}

/* Forward, backward, update, on inputs that are bound. */
static int learn(run *r, const pcv_pass *pass, int items)
{
    const pcv_run_spec *s = &r->t->run;
    pcv_params *p = &r->net.params;
    double loss, scale = 1;
    int right;

    memset(p->g, 0, p->total * sizeof *p->g);
    pcv_session_encode(&r->s, pass);
    pcv_session_decode(&r->s, pass, 0, r->target.index, r->target.asked);
    if (r->target.target)
        pcv_target_values(&r->net, r->x, items, &r->target);
    loss = pcv_objective(&r->s, &r->target, s->smoothing, true, &right);
    pcv_session_backward(&r->s, pass, r->target.asked);
    r->norm = pcv_gradient_norm(p);
    if (!isfinite(loss) || !isfinite(r->norm))
        return broken(r, loss);
    if (s->clip > 0 && r->norm > s->clip)
        scale = s->clip / r->norm;
    r->rate = pcv_learning_rate(s, r->state.step, r->steps);
    pcv_optimize(&r->moments, s, p, r->state.step + 1, r->rate, scale);
    r->state.step++;
    r->state.loss_sum += loss * items;
    r->state.right_sum += right;
    r->state.seen_sum += items;
    return 0;
}

static int step(run *r)
{
    const pcv_run_spec *s = &r->t->run;
    pcv_pass pass = { (uint64_t)s->seed + 1, r->state.step, s->dropout };
    uint64_t at = r->state.step % r->per_epoch * (uint64_t)r->batch;
    int result;

    order_for(r, r->state.step / r->per_epoch);
    choose_points(r);
    if (pcv_feed(&r->splits.train, &r->t->spec.prep, r->order + at, r->batch, s,
                 r->state.step, r->x, r->label) < 0)
        return -1;
    for (int i = 0; i < r->batch; i++)
        r->px[i] = &r->x[i];
    result = pcv_session_bind(&r->s, r->px, r->batch);
    if (result == 0)
        result = learn(r, &pass, r->batch);
    for (int i = 0; i < r->batch; i++)
        pcv_array_free(&r->x[i]);
    return result;
}

/* ---- the loop -------------------------------------------------------- */

static bool due(const run *r, int every)
{
    uint64_t n = every ? (uint64_t)every : r->per_epoch;

    return r->state.step % n == 0 || r->state.step == r->steps;
}

/* After a step: what is due, in an order that lets a resumed run repeat it
 * (evaluation moves `best`, then the checkpoint holds it). */
static int after_step(run *r)
{
    const pcv_run_spec *s = &r->t->run;
    bool classify = r->t->spec.task == PCV_CLASSIFY;
    int answer = tell(r, "step", r->state.loss_sum / r->state.seen_sum,
                      classify ? r->state.right_sum / r->state.seen_sum : none,
                      NULL);

    if (due(r, 0))
        r->state.loss_sum = r->state.right_sum = r->state.seen_sum = 0;
    if (has_val(r) && due(r, s->eval_every) && evaluate(r) < 0)
        return -1;
    if ((due(r, s->save_every) || answer != PCV_WATCH_GO_ON) &&
        save_checkpoint(r) < 0)
        return -1;
    return answer == PCV_WATCH_STOP && r->state.step < r->steps;
}

static bool model_missing(const run *r)
{
    return !(r->t->run.keep_best && has_val(r) && isfinite(r->state.best));
}

static int train(run *r)
{
    int result = 0;

    r->started = seconds();
    r->started_at = r->state.step;
    if (r->t->resume)
        tell(r, "resume", none, none, NULL);
    else
        tell(r, "start", none, none, NULL);
    while (result == 0 && r->state.step < r->steps) {
        result = step(r);
        if (result == 0)
            result = after_step(r);
    }
    if (result < 0)
        return -1;
    if (r->steps == 0 && save_checkpoint(r) < 0)
        return -1;
    if (model_missing(r) && pcv_net_save(&r->net, r->t->dir) < 0)
        return -1;
    tell(r, "stop", none, none, result ? "asked to" : "done");
    return result;
}

int pcv_training_run(pcv_training *t)
{
    run r = { .t = t };
    int result = open_run(&r);

    if (result == 0)
        result = train(&r);
    close_run(&r);
    return result;
}
