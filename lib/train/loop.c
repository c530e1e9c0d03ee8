/* loop.c - training: step, report, evaluate, save, stop.
 *
 * What step t sees is a function of the settings and t alone (order of the
 * epoch, augmentation, dropout, rate), so going on from a checkpoint gives
 * the same bits as never having stopped. */
#include "train.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
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
    pcv_keeper keeper;
    pcv_buf settings, data;     /* as text: what resume compares */
    uint64_t steps, per_epoch;
    uint32_t *order;            /* of the training split in this epoch */
    uint64_t order_epoch;
    int batch;                  /* items of a step, in all processes, .. */
    size_t first, share;        /* .. and this one's of them */
    pcv_feeding feed;
    pcv_score score[PCV_MOST_PARTS];    /* of each answer, last evaluated */
    pcv_buf fresh;              /* parameters that init did not have */
    double rate, norm;          /* of the last step */
    double started;             /* seconds, and the step then */
    uint64_t started_at;
} run;

static const double none = (double)NAN;    /* a figure that there is not */

double pcv_seconds(void)
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
    const pcv_row *row;
    pcv_spec standard;

    for (int i = 0; (f = pcv_spec_field(i)); i++) {
        pcv_buf_clear(&v);
        pcv_spec_get(&r->t->spec, f->name, &v);
        add_setting(&r->settings, f->name, &v);
    }
    pcv_spec_default(&standard);
    for (int i = 0; (row = pcv_spec_row(i)); i++)
        if ((row->flags & PCV_ROW_GIVEN) &&
            !pcv_row_same(row, &r->t->spec, &standard)) {
            pcv_buf_clear(&v);
            pcv_spec_get(&r->t->spec, row->field.name, &v);
            add_setting(&r->settings, row->field.name, &v);
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
    int count[PCV_MOST_COUNTS];

    if (pcv_nested_counts(&r->t->spec, count) < 0 ||
        pcv_net_build(&r->net, &r->t->spec) < 0 ||
        pcv_net_init(&r->net, (uint64_t)s->seed) < 0 ||
        pcv_params_grads(&r->net.params) < 0)
        return -1;
    if (*s->init && !r->t->resume &&
        pcv_tune_init(&r->net, s->init, &r->fresh) < 0)
        return -1;
    pcv_tune_freeze(&r->net, s->freeze);
    return pcv_moments_open(&r->moments, &r->net.params);
}

/* To be learnt by heart an example has to be the same each time; what an epoch
 * of so few is for comes at the end alone. */
static void by_heart(pcv_run_spec *s)
{
    s->dropout = 0;
    s->eval_every = s->eval_every ? s->eval_every : INT32_MAX;
    s->save_every = s->save_every ? s->save_every : INT32_MAX;
}

/* Pairs of neighbours are mixed: they stay together. */
static int open_share(run *r)
{
    const pcv_peers *p = r->t->peers;
    size_t batch = (size_t)r->batch, pairs = (batch + 1) / 2, end;

    if (pairs < (size_t)pcv_peers_size(p))
        return pcv_fail(EX_USAGE, "a batch of %d items is less than two for "
                        "each of %d processes", r->batch, pcv_peers_size(p));
    end = pcv_peers_share(p, pairs, &r->first);
    r->first *= 2;
    end = r->first + 2 * end;
    r->share = (end < batch ? end : batch) - r->first;
    return 0;
}

/* As many whole batches as an epoch has; a set smaller than a batch is one. */
static int open_steps(run *r)
{
    pcv_run_spec *s = &r->t->run;
    uint32_t n = r->splits.train.count;

    if (s->overfit)
        by_heart(s);
    r->batch = s->batch < (int)n ? s->batch : (int)n;
    r->per_epoch = n / (uint32_t)r->batch;
    if (open_share(r) < 0)
        return -1;
    r->steps = s->steps >= 0 ? (uint64_t)s->steps
                             : (uint64_t)ceil(s->epochs * (double)r->per_epoch);
    r->order_epoch = UINT64_MAX;
    r->order = pcv_alloc(n, sizeof *r->order);
    return r->order ? pcv_feeding_open(&r->feed, &r->net, s, &r->splits.of,
                                       &r->splits.train, !s->overfit,
                                       (int)r->share) : -1;
}

static int most_asked(const run *r)
{
    int most = 1;

    for (int i = 0; i < r->net.answers; i++)
        most = r->feed.target[i].asked > most ? r->feed.target[i].asked : most;
    return most;
}

/* One process does. */
static bool writes(const run *r)
{
    return pcv_peers_rank(r->t->peers) == 0;
}

static void open_keeper(run *r)
{
    r->keeper = (pcv_keeper){
        .dir = r->t->dir, .net = &r->net, .moments = &r->moments,
        .state = &r->state, .asleep = !writes(r),
        .from = { r->settings.data, r->data.data },
    };
}

static int make_directory(const char *dir)
{
    if (mkdir(dir, 0777) == 0 || errno == EEXIST)
        return 0;
    return pcv_fail(EX_CANTCREAT, "%s: %s", dir, strerror(errno));
}

/* Parameters would drift apart on machines that do not round alike. */
static int stand_alike(run *r)
{
    const pcv_params *p = &r->net.params;
    char what[64];

    snprintf(what, sizeof what, "the parameters after step %" PRIu64 " are",
             r->state.step);
    return pcv_peers_agree(r->t->peers, p->w, p->total * sizeof *p->w, what);
}

static int begin_alike(run *r)
{
    const char *rows = pcv_rows_get()->name;
    const char *dir = r->t->dir ? r->t->dir : "";
    const struct {
        const void *data;
        size_t bytes;
        const char *what;
    } all[] = {
        { r->settings.data, r->settings.len, "the settings are" },
        { dir, strlen(dir), "the letters of DIR are" },
        { r->data.data, r->data.len, "the data are" },
        { rows, strlen(rows), "the vector instructions (PCV_CPU chooses them) "
          "are" },
    };

    for (size_t i = 0; i < PCV_LEN(all); i++)
        if (pcv_peers_agree(r->t->peers, all[i].data, all[i].bytes,
                            all[i].what) < 0)
            return -1;
    return stand_alike(r);
}

static int open_run(run *r)
{
    pcv_training *t = r->t;

    r->state.best = -(double)INFINITY;
    if (pcv_splits_open(&r->splits, &t->spec, &t->run, t->data, t->val) < 0 ||
        pcv_splits_identity(&r->splits, &r->data) < 0 ||
        make_settings(r) < 0 || open_net(r) < 0 || open_steps(r) < 0 ||
        (t->dir && writes(r) && make_directory(t->dir) < 0))
        return -1;
    open_keeper(r);
    pcv_session_open(&r->s, &r->net, true, most_asked(r));
    r->s.most = (size_t)(t->run.max_mem * 1e6);
    if (t->resume && pcv_checkpoint_load(t->dir, &r->net, &r->moments,
                                         &r->state, &r->keeper.from) < 0)
        return -1;
    r->keeper.saved = r->state.step;
    return begin_alike(r);
}

static void close_run(run *r)
{
    pcv_session_close(&r->s);
    pcv_feeding_close(&r->feed);
    pcv_moments_close(&r->moments);
    pcv_net_free(&r->net);
    pcv_splits_close(&r->splits);
    pcv_keeper_close(&r->keeper);
    pcv_buf_free(&r->settings);
    pcv_buf_free(&r->data);
    pcv_buf_free(&r->fresh);
    pcv_free(r->order);
}

/* ---- events ---------------------------------------------------------- */

static double examples_per_second(const run *r)
{
    double t = pcv_seconds() - r->started;

    return t > 0 ? (double)(r->state.step - r->started_at) *
                       (double)r->batch / t : 0;
}

static void add_number(pcv_buf *b, const char *key, double v)
{
    pcv_buf_printf(b, ",\"%s\":", key);
    pcv_json_number(b, v);
}

/* Scores of every answer, where there are several. */
static void add_scores(const run *r, pcv_buf *b)
{
    pcv_buf_puts(b, ",\"answers\":{");
    for (int i = 0; i < r->net.answers; i++) {
        const char *name = pcv_spec_answer_name(&r->net.spec, i);

        pcv_buf_puts(b, i ? ",\"" : "\"");
        pcv_buf_json(b, name, strlen(name));
        pcv_buf_puts(b, "\":{\"loss\":");
        pcv_json_number(b, r->score[i].loss);
        add_number(b, "accuracy", r->score[i].accuracy);
        pcv_buf_puts(b, "}");
    }
    pcv_buf_puts(b, "}");
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
    } else if (!strcmp(e->event, "step") || !strcmp(e->event, "eval") ||
               !strcmp(e->event, "latents")) {
        add_number(b, "loss", e->loss);
        add_number(b, "accuracy", e->accuracy);
    }
    if (!strcmp(e->event, "eval") && r->net.answers > 1)
        add_scores(r, b);
    if (!strcmp(e->event, "step")) {
        add_number(b, "lr", e->rate);
        add_number(b, "gnorm", e->norm);
        add_number(b, "items_per_s", e->items_per_second);
    }
    if (e->text) {
        pcv_buf_printf(b, ",\"%s\":\"", !strcmp(e->event, "start") ? "fresh"
                       : !strcmp(e->event, "latents") ? "latents" : "why");
        pcv_buf_json(b, e->text, strlen(e->text));
        pcv_buf_puts(b, "\"");
    }
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

/* What a keeper said: that a save failed is told and ends nothing. */
static int saved(run *r, int result)
{
    if (result <= 0)
        return result;
    tell(r, "unsaved", none, none, pcv_error());
    pcv_error_clear();
    return 0;
}

static int save_checkpoint(run *r)
{
    int result = stand_alike(r) < 0 ? -1 : pcv_keeper_save(&r->keeper);

    if (result == 0)
        tell(r, "checkpoint", none, none, NULL);
    return saved(r, result);
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
    pcv_evaluation_how how = { .peers = r->t->peers };
    pcv_score all;
    double score;

    if (pcv_training_evaluate(&r->net, &r->t->run, &r->splits.of,
                              &r->splits.val, &how, r->score, &all) < 0)
        return -1;
    tell(r, "eval", all.loss, all.accuracy, NULL);
    score = isnan(all.accuracy) ? -all.loss : all.accuracy - 1e-9 * all.loss;
    if (score > r->state.best) {
        r->state.best = score;
        if (r->t->run.keep_best)
            return saved(r, pcv_keeper_model(&r->keeper));
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

static int broken(const run *r, double loss)
{
    const pcv_params *p = &r->net.params;
    char what[256];

    snprintf(what, sizeof what, "loss %g", loss);

    for (int i = 0; i < p->count; i++) {
        const pcv_param *q = p->param[i];
        double square = 0;

        for (size_t k = 0; q->g && k < q->count; k++)     /* NULL: frozen */
            square += (double)q->g[k] * (double)q->g[k];
        if (isfinite(square))
            continue;
        snprintf(what, sizeof what, "loss %g, and the gradient of %s is not "
                 "finite", loss, q->name);
        break;
    }
    return pcv_keeper_diverged(&r->keeper, r->state.step + 1, what);
}

/* Items from .. that have the same parts: adds to the gradients, if they are
 * wanted; the loss of each answer counts by its weight over the rows that want
 * something. */
static int learn_group(run *r, pcv_pass *pass, int from, int items,
                       bool gradient, const double wanted[PCV_MOST_PARTS],
                       pcv_tally tally[PCV_MOST_PARTS])
{
    const pcv_feeding *f = &r->feed;

    pass->first = f->first + from;
    if (pcv_session_bind(&r->s, f->px + from * f->parts, items) < 0)
        return -1;
    pcv_session_encode(&r->s, pass);
    if (gradient)
        pcv_session_backward_start(&r->s);
    for (int a = 0; a < r->net.answers; a++) {
        const pcv_target *t = &f->target[a];
        double weight = pcv_spec_answer(&r->net.spec, a)->weight;

        if (!(weight > 0) || !(pcv_wanted(f, a, from, items) > 0))
            continue;
        pcv_session_decode(&r->s, pass, a,
                           t->index ? t->index + from * t->asked : NULL,
                           t->asked);
        pcv_objective(&r->s, f, a, from, gradient ? weight / wanted[a] : 0,
                      &tally[a]);
        if (gradient)
            pcv_session_backward_answer(&r->s, pass, t->asked);
    }
    if (gradient && r->t->run.freeze == PCV_FREEZE_NONE)
        pcv_session_backward_encode(&r->s, pass);
    return 0;
}

/* Forward, and backward, over the batch: the loss, and its gradients. */
static int take_loss(run *r, bool gradient, pcv_tally tally[PCV_MOST_PARTS],
                     double *loss)
{
    const pcv_run_spec *s = &r->t->run;
    const pcv_feeding *f = &r->feed;
    pcv_pass pass = { (uint64_t)s->seed + 1, r->state.step, s->dropout, 0 };
    double wanted[PCV_MOST_PARTS];
    int n = 0;

    if (gradient)
        memset(r->net.params.g, 0, r->net.params.total * sizeof(real));
    for (int a = 0; a < r->net.answers; a++)
        wanted[a] = pcv_wanted(f, a, 0, f->items);
    if (pcv_peers_add(r->t->peers, wanted, r->net.answers) < 0)
        return -1;
    pcv_session_latents(&r->s, pcv_nested_draw(&r->net.spec,
                                               (uint64_t)s->seed,
                                               r->state.step));
    for (int from = 0; from < f->items; from += n) {
        n = pcv_feed_group(f, from);
        if (learn_group(r, &pass, from, n, gradient, wanted, tally) < 0)
            return -1;
    }
    if ((gradient && pcv_peers_sum(r->t->peers, r->net.params.g,
                                   r->net.params.total) < 0) ||
        pcv_tally_join(tally, r->net.answers, r->t->peers) < 0)
        return -1;
    *loss = 0;
    for (int a = 0; a < r->net.answers; a++)
        if (wanted[a] > 0)
            *loss += pcv_spec_answer(&r->net.spec, a)->weight *
                     tally[a].loss / wanted[a];
    return 0;
}

static int update(run *r, double loss)
{
    const pcv_run_spec *s = &r->t->run;
    pcv_params *p = &r->net.params;
    double scale = 1;

    r->norm = pcv_gradient_norm(p);
    if (!isfinite(loss) || !isfinite(r->norm))
        return broken(r, loss);
    if (s->clip > 0 && r->norm > s->clip)
        scale = s->clip / r->norm;
    r->rate = pcv_learning_rate(s, r->state.step, r->steps);
    pcv_optimize(&r->moments, s, p, r->state.step + 1, r->rate, scale);
    return 0;
}

static int feed(run *r)
{
    uint64_t at = r->state.step % r->per_epoch * (uint64_t)r->batch;

    order_for(r, r->state.step / r->per_epoch);
    return pcv_feed(&r->feed, r->order + at, r->batch, (int)r->first,
                    (int)r->share, r->state.step);
}

static int step(run *r)
{
    pcv_tally tally[PCV_MOST_PARTS] = {{0}}, *main;
    double loss;

    if (feed(r) < 0 || take_loss(r, true, tally, &loss) < 0 ||
        update(r, loss) < 0)
        return -1;
    main = &tally[pcv_main_answer(&r->net)];
    r->state.step++;
    r->state.loss_sum += loss * r->batch;
    r->state.seen_sum += r->batch;
    r->state.right_sum += main->right;
    r->state.asked_sum += main->rows;
    return 0;
}

/* ---- the loop -------------------------------------------------------- */

static bool due(const run *r, int every)
{
    uint64_t n = every ? (uint64_t)every : r->per_epoch;

    return r->state.step % n == 0 || r->state.step == r->steps;
}

/* What watch says in one process holds for all; -1. */
static int agreed(run *r, int answer)
{
    double asked[] = { answer == PCV_WATCH_SAVE, answer == PCV_WATCH_STOP };

    if (pcv_peers_add(r->t->peers, asked, (int)PCV_LEN(asked)) < 0)
        return -1;
    return asked[1] > 0 ? PCV_WATCH_STOP
           : asked[0] > 0 ? PCV_WATCH_SAVE : PCV_WATCH_GO_ON;
}

/* After a step: what is due, in an order that lets a resumed run repeat it
 * (evaluation moves `best`, then the checkpoint holds it). */
static int after_step(run *r)
{
    const pcv_run_spec *s = &r->t->run;
    const pcv_spec *main = pcv_spec_answer(&r->net.spec,
                                           pcv_main_answer(&r->net));
    pcv_state *t = &r->state;
    int answer = tell(r, "step", t->loss_sum / t->seen_sum,
                      pcv_task_counts(main->task) && t->asked_sum > 0
                          ? t->right_sum / t->asked_sum : none, NULL);

    if ((answer = agreed(r, answer)) < 0)
        return -1;
    if (due(r, 0))
        t->loss_sum = t->right_sum = t->seen_sum = t->asked_sum = 0;
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

static void tell_latents(void *arg, int latents, const pcv_score *score)
{
    char text[16];

    snprintf(text, sizeof text, "%d", latents);
    tell(arg, "latents", score->loss, score->accuracy, text);
}

/* The smallest count that is good enough becomes the model. */
static int choose_latents(run *r)
{
    int latents = pcv_nested_choose(&r->net, &r->t->run, &r->splits,
                                    r->t->peers, tell_latents, r);
    char text[64];

    if (latents < 0)
        return -1;
    pcv_nested_cut(&r->net, latents);
    if (writes(r) && pcv_net_save(&r->net, r->t->dir) < 0)
        return -1;
    snprintf(text, sizeof text, "done with %d latents", latents);
    tell(r, "stop", none, none, text);
    return 0;
}

/* A new run begins with a checkpoint: from here on --resume finds this run,
 * whatever was there before, and a directory that cannot be written is known
 * before the first step. */
static int begin(run *r)
{
    if (r->t->resume) {
        tell(r, "resume", none, none, NULL);
        return 0;
    }
    tell(r, "start", none, none, r->fresh.data);
    if (pcv_keeper_save(&r->keeper) != 0)
        return -1;
    tell(r, "checkpoint", none, none, NULL);
    return 0;
}

/* The last save has to succeed. */
static int finish(run *r)
{
    return r->keeper.behind && pcv_keeper_save(&r->keeper) != 0 ? -1 : 0;
}

static int train(run *r)
{
    int result;

    r->started = pcv_seconds();
    r->started_at = r->state.step;
    result = begin(r);
    while (result == 0 && r->state.step < r->steps) {
        result = step(r);
        if (result == 0)
            result = after_step(r);
    }
    if (result < 0 || finish(r) < 0)
        return -1;
    if (result == 0 && r->t->run.choose && has_val(r))
        return choose_latents(r);
    if (writes(r) && model_missing(r) && pcv_net_save(&r->net, r->t->dir) < 0)
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

/* ---- without a directory --------------------------------------------- */

static int rehearse_step(void *arg)
{
    return step(arg);
}

static int rehearse_loss(void *arg, bool gradient, double *loss)
{
    pcv_tally tally[PCV_MOST_PARTS] = {{0}};

    return take_loss(arg, gradient, tally, loss);
}

int pcv_training_rehearse(pcv_training *t,
                          int (*look)(void *arg, const pcv_rehearsal *r),
                          void *arg)
{
    run r = { .t = t };
    int result = -1;

    t->dir = NULL;
    t->resume = false;
    if (open_run(&r) == 0 && feed(&r) == 0) {
        const pcv_rehearsal rehearsal = {
            t, &r.net, &r.s, &r.splits, &r.feed, r.batch, r.steps,
            r.per_epoch, &r, rehearse_step, rehearse_loss
        };

        result = look(arg, &rehearsal);
    }
    close_run(&r);
    return result;
}
