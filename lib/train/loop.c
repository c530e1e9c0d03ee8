/* loop.c - training: step, report, evaluate, save, stop.
 *
 * What step t sees is a function of the settings and t alone (order of the
 * epoch, augmentation, dropout, rate), so going on from a checkpoint gives
 * the same bits as never having stopped. */
#include "run.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

static const double none = (double)NAN;    /* a figure that there is not */

/* ---- saving ---------------------------------------------------------- */

/* What a keeper said: that a save failed is told and ends nothing. */
static int saved(pcv_running *r, int result)
{
    if (result <= 0)
        return result;
    pcv_run_tell(r, "unsaved", none, none, pcv_error());
    pcv_error_clear();
    return 0;
}

static int save_checkpoint(pcv_running *r)
{
    int result = pcv_run_alike(r) < 0 ? -1 : pcv_keeper_save(&r->keeper);

    if (result == 0)
        pcv_run_tell(r, "checkpoint", none, none, NULL);
    return saved(r, result);
}

static bool has_val(const pcv_running *r)
{
    return r->splits.val.count > 0;
}

/* The score that is made large: accuracy (of equal ones the one with the lower
 * loss), or minus the loss; the model on disk is the best one when that is
 * asked for and can be known. */
static int evaluate(pcv_running *r)
{
    pcv_evaluation_how how = { .peers = r->t->peers };
    pcv_score all;
    double score;

    if (pcv_training_evaluate(&r->net, &r->t->run, &r->splits.of,
                              &r->splits.val, &how, r->score, &all) < 0)
        return -1;
    pcv_run_tell(r, "eval", all.loss, all.accuracy, NULL);
    score = isnan(all.accuracy) ? -all.loss : all.accuracy - 1e-9 * all.loss;
    if (score > r->state.best) {
        r->state.best = score;
        if (r->t->run.keep_best)
            return saved(r, pcv_keeper_model(&r->keeper));
    }
    return 0;
}

/* ---- a step ---------------------------------------------------------- */

static void order_for(pcv_running *r, uint64_t epoch)
{
    if (r->order_epoch == epoch)
        return;
    pcv_shuffle((uint64_t)r->t->run.seed, epoch, r->order,
                r->splits.train.count);
    r->order_epoch = epoch;
}

static int broken(const pcv_running *r, double loss)
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
static int learn_group(pcv_running *r, pcv_pass *pass, int from, int items,
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
static int take_loss(pcv_running *r, bool gradient,
                     pcv_tally tally[PCV_MOST_PARTS], double *loss)
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

static int update(pcv_running *r, double loss)
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

static int feed(pcv_running *r)
{
    uint64_t at = r->state.step % r->per_epoch * (uint64_t)r->batch;

    order_for(r, r->state.step / r->per_epoch);
    return pcv_feed(&r->feed, r->order + at, r->batch, (int)r->first,
                    (int)r->share, r->state.step);
}

static int step(pcv_running *r)
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

static bool due(const pcv_running *r, int every)
{
    uint64_t n = every ? (uint64_t)every : r->per_epoch;

    return r->state.step % n == 0 || r->state.step == r->steps;
}

/* What watch says in one process holds for all; -1. */
static int agreed(pcv_running *r, int answer)
{
    double asked[] = { answer == PCV_WATCH_SAVE, answer == PCV_WATCH_STOP };

    if (pcv_peers_add(r->t->peers, asked, (int)PCV_LEN(asked)) < 0)
        return -1;
    return asked[1] > 0 ? PCV_WATCH_STOP
           : asked[0] > 0 ? PCV_WATCH_SAVE : PCV_WATCH_GO_ON;
}

/* After a step: what is due, in an order that lets a resumed run repeat it
 * (evaluation moves `best`, then the checkpoint holds it). */
static int after_step(pcv_running *r)
{
    const pcv_run_spec *s = &r->t->run;
    const pcv_spec *main = pcv_spec_answer(&r->net.spec,
                                           pcv_main_answer(&r->net));
    pcv_state *t = &r->state;
    bool counts = pcv_task_counts(main->task) && t->asked_sum > 0;
    int answer = pcv_run_tell(r, "step", t->loss_sum / t->seen_sum,
                              counts ? t->right_sum / t->asked_sum : none,
                              NULL);

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

static bool model_missing(const pcv_running *r)
{
    return !(r->t->run.keep_best && has_val(r) && isfinite(r->state.best));
}

static void tell_latents(void *arg, int latents, const pcv_score *score)
{
    char text[16];

    snprintf(text, sizeof text, "%d", latents);
    pcv_run_tell(arg, "latents", score->loss, score->accuracy, text);
}

/* The smallest count that is good enough becomes the model. */
static int choose_latents(pcv_running *r)
{
    int latents = pcv_nested_choose(&r->net, &r->t->run, &r->splits,
                                    r->t->peers, tell_latents, r);
    char text[64];

    if (latents < 0)
        return -1;
    pcv_nested_cut(&r->net, latents);
    if (pcv_run_writes(r) && pcv_net_save(&r->net, r->t->dir) < 0)
        return -1;
    snprintf(text, sizeof text, "done with %d latents", latents);
    pcv_run_tell(r, "stop", none, none, text);
    return 0;
}

/* A new run begins with a checkpoint: from here on --resume finds this run,
 * whatever was there before, and a directory that cannot be written is known
 * before the first step. */
static int begin(pcv_running *r)
{
    if (r->t->resume) {
        pcv_run_tell(r, "resume", none, none, NULL);
        return 0;
    }
    pcv_run_tell(r, "start", none, none, r->fresh.data);
    if (pcv_keeper_save(&r->keeper) != 0 ||
        (pcv_run_writes(r) && pcv_run_keep_settings(r) < 0))
        return -1;
    pcv_run_tell(r, "checkpoint", none, none, NULL);
    return 0;
}

/* The last save has to succeed. */
static int finish(pcv_running *r)
{
    return r->keeper.behind && pcv_keeper_save(&r->keeper) != 0 ? -1 : 0;
}

static int train(pcv_running *r)
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
    if (pcv_run_writes(r) && model_missing(r) &&
        pcv_net_save(&r->net, r->t->dir) < 0)
        return -1;
    pcv_run_tell(r, "stop", none, none, result ? "asked to" : "done");
    return result;
}

int pcv_training_run(pcv_training *t)
{
    pcv_running r = { .t = t };
    int result = pcv_run_open(&r);

    if (result == 0)
        result = train(&r);
    pcv_run_close(&r);
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
    pcv_running r = { .t = t };
    int result = -1;

    t->dir = NULL;
    t->resume = false;
    if (pcv_run_open(&r) == 0 && feed(&r) == 0) {
        const pcv_rehearsal rehearsal = {
            t, &r.net, &r.s, &r.splits, &r.feed, r.batch, r.steps,
            r.per_epoch, &r, rehearse_step, rehearse_loss
        };

        result = look(arg, &rehearsal);
    }
    pcv_run_close(&r);
    return result;
}
