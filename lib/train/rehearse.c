/* rehearse.c - looking at a run before it is done: what it is and costs, and
 * whether its gradient is right. */
#include "train.h"

#include <math.h>

enum { STEPS = 8, FEW = 4 };
static const double enough = 2;         /* seconds of steps */

/* ---- sizes and costs ------------------------------------------------- */

static int sizes(const pcv_rehearsal *r, pcv_plan_figures *p)
{
    size_t total = r->net->params.total, largest = 0;

    for (int i = 0; i < r->net->params.count; i++)
        if (r->net->params.param[i]->count > largest)
            largest = r->net->params.param[i]->count;
    p->train = r->splits->train.count;
    p->held = r->splits->val.count;
    p->batch = r->batch;
    p->per_epoch = r->per_epoch;
    p->steps = r->steps;
    p->threads = pcv_threads();
    p->parameters = total;
    p->weights = total * sizeof(real);
    p->moments = (2 * total + largest) * sizeof(real);
    if (pcv_net_cost(r->net, r->feed->px, &p->cost) < 0)
        return -1;
    p->step = 3 * (r->batch * p->cost.run + p->cost.once);
    return 0;
}

/* ---- times ----------------------------------------------------------- */

/* After one pass, which plans its memory and is not timed. */
static int time_steps(const pcv_rehearsal *r, pcv_plan_figures *p)
{
    double loss, begin;
    uint64_t n = 0;

    if (r->loss(r->run, true, &loss) < 0)
        return -1;
    begin = pcv_seconds();
    while (n < STEPS && n < r->steps && pcv_seconds() - begin < enough) {
        if (r->step(r->run) < 0)
            return -1;
        n++;
    }
    p->timed = (int)n;
    p->step_seconds = n ? (pcv_seconds() - begin) / (double)n : 0;
    p->activations = r->s->arena.size;
    p->scratch = r->s->scratch.size;
    return 0;
}

static uint64_t evaluations(const pcv_rehearsal *r)
{
    uint64_t every = (uint64_t)r->t->run.eval_every;

    every = every ? every : r->per_epoch;
    return r->steps / every + (r->steps % every != 0);
}

/* Of a batch of what is held out, for all of it. */
static int time_evaluation(const pcv_rehearsal *r, pcv_plan_figures *p)
{
    const pcv_evaluation_how how = {0};
    pcv_score answer[PCV_MOST_PARTS], all;
    pcv_split few = r->splits->val;
    double begin = pcv_seconds();

    if (!few.count)
        return 0;
    if (few.count > (uint32_t)r->batch)
        few.count = (uint32_t)r->batch;
    if (pcv_training_evaluate(r->net, &r->t->run, &r->splits->of, &few, &how,
                              answer, &all) < 0)
        return -1;
    p->eval_seconds = (pcv_seconds() - begin) * r->splits->val.count /
                      few.count;
    return 0;
}

static int plan(void *arg, const pcv_rehearsal *r)
{
    pcv_plan_figures *p = arg;

    if (sizes(r, p) < 0 || time_steps(r, p) < 0 || time_evaluation(r, p) < 0)
        return -1;
    p->seconds = (double)r->steps * p->step_seconds +
                 (double)evaluations(r) * p->eval_seconds;
    return 0;
}

int pcv_training_plan(pcv_training *t, pcv_plan_figures *p)
{
    *p = (pcv_plan_figures){0};
    return pcv_training_rehearse(t, plan, p);
}

/* ---- gradients ------------------------------------------------------- */

typedef struct {
    const pcv_rehearsal *r;
    void (*tell)(void *to, const pcv_gradient_row *row);
    void *to;
} checking;

static double loss_now(void *arg)
{
    const checking *c = arg;
    double loss;

    return c->r->loss(c->r->run, false, &loss) < 0 ? (double)NAN : loss;
}

/* A tenth of what the weights are, and off zero: many begin there, where
 * gradients behind them vanish. */
static void move_weights(pcv_params *p, uint64_t seed)
{
    for (int i = 0; i < p->count; i++) {
        pcv_param *q = p->param[i];
        double square = 0, size;

        for (size_t k = 0; k < q->count; k++)
            square += (double)q->w[k] * (double)q->w[k];
        size = fmax(0.1 * sqrt(square / (double)q->count), 0.02);
        for (size_t k = 0; k < q->count; k++)
            q->w[k] += (real)(size * pcv_normal(seed + 86028121, (uint64_t)i,
                                                k));
    }
}

static int check(void *arg, const pcv_rehearsal *r)
{
    checking *c = arg;
    const pcv_gradient_how how = { loss_now, c, c->tell, c->to,
                                   (uint64_t)r->t->run.seed };
    double loss;

    c->r = r;
    move_weights(&r->net->params, how.seed);
    if (r->loss(r->run, true, &loss) < 0)
        return -1;
    return pcv_gradient_check(&r->net->params, &how);
}

int pcv_training_check(pcv_training *t,
                       void (*tell)(void *to, const pcv_gradient_row *row),
                       void *to)
{
    checking c = { .tell = tell, .to = to };

    if (t->run.batch > FEW)
        t->run.batch = FEW;
    return pcv_training_rehearse(t, check, &c);
}
