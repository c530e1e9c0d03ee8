/* rehearse.c - a run that is not done, see rehearse.h. */
#include "rehearse.h"
#include "look.h"
#include "opt.h"

#include <stdio.h>

enum { MARGIN = 12 };

/* ---- --dry-run ------------------------------------------------------- */

static void row(pcv_bytes *b, const char *name)
{
    pcv_bytes_printf(b, "%-*s", MARGIN, name);
}

/* 40 s, 12 min, 3.5 h, 2.1 days */
static void add_time(pcv_bytes *b, double s)
{
    if (s < 120)
        pcv_bytes_printf(b, "%.3g s", s);
    else if (s < 2 * 3600)
        pcv_bytes_printf(b, "%.3g min", s / 60);
    else if (s < 2 * 86400)
        pcv_bytes_printf(b, "%.3g h", s / 3600);
    else
        pcv_bytes_printf(b, "%.3g days", s / 86400);
}

static void add_data(const pcv_plan *p, pcv_bytes *b)
{
    row(b, "data");
    look_thousands(b, p->train);
    pcv_bytes_printf(b, " examples to train on, ");
    look_thousands(b, p->held);
    pcv_bytes_printf(b, " held out\n");
    row(b, "input");
    look_thousands(b, (size_t)p->elements);
    pcv_bytes_printf(b, " x %.0f: elements and their channels\n", p->channels);
    row(b, "parameters");
    look_thousands(b, (size_t)p->parameters);
    pcv_bytes_printf(b, "\n");
}

static void add_cost(const pcv_plan *p, pcv_bytes *b)
{
    row(b, "forward");
    look_units(b, p->forward, "FLOP");
    pcv_bytes_printf(b, " an example\n");
    row(b, "step");
    look_units(b, p->step, "FLOP");
    pcv_bytes_printf(b, ": %zu examples, backward counted as two forward\n",
                     p->batch);
}

static void add_memory(const pcv_plan *p, pcv_bytes *b)
{
    const struct {
        const char *what;
        double bytes;
    } part[] = {
        { "weights", p->weights }, { "gradients", p->gradients },
        { "moments", p->moments }, { "activations", p->activations },
        { "scratch", p->scratch },
    };
    double sum = 0;

    for (size_t i = 0; i < OPT_LEN(part); i++)
        sum += part[i].bytes;
    row(b, "memory");
    look_units(b, sum, "B");
    for (size_t i = 0; i < OPT_LEN(part); i++) {
        pcv_bytes_printf(b, i ? i == 3 ? ",\n%*s" : ", " : ": ", MARGIN, "");
        pcv_bytes_printf(b, "%s ", part[i].what);
        look_units(b, part[i].bytes, "B");
    }
    pcv_bytes_printf(b, "\n");
}

static void add_steps(const pcv_plan *p, pcv_bytes *b)
{
    row(b, "steps");
    look_thousands(b, (size_t)p->per_epoch);
    pcv_bytes_printf(b, " an epoch, ");
    look_thousands(b, (size_t)p->steps);
    pcv_bytes_printf(b, " in all\n");
    row(b, "time");
    add_time(b, p->seconds);
    pcv_bytes_printf(b, ", estimated: ");
    add_time(b, p->step_seconds);
    pcv_bytes_printf(b, " a step");
    if (p->eval_seconds > 0) {
        pcv_bytes_printf(b, ", ");
        add_time(b, p->eval_seconds);
        pcv_bytes_printf(b, " an evaluation");
    }
    pcv_bytes_printf(b, "\n%*s(measured on %d step%s, %d thread%s)\n", MARGIN,
                     "", p->timed, p->timed == 1 ? "" : "s", p->threads,
                     p->threads == 1 ? "" : "s");
}

int rehearse_plan(pcv_trainer *t, const char *data, const char *val)
{
    pcv_bytes b = {0};
    pcv_plan p;

    if (pcv_train_plan(t, data, val, &p) < 0)
        opt_fatal_pcv();
    add_data(&p, &b);
    add_cost(&p, &b);
    add_memory(&p, &b);
    add_steps(&p, &b);
    if (b.failed)
        opt_fatal_memory();
    fputs(b.data, stdout);
    pcv_bytes_free(&b);
    return 0;
}

/* ---- --check-grad ---------------------------------------------------- */

typedef struct {
    double worst;
    char name[256];             /* of the tensor with the worst error */
} verdict;

static void tell(void *arg, const pcv_gradient *g)
{
    verdict *v = arg;

    printf("%.1e%s\t%.3g\t%zu\t%s\n", g->error, g->small ? "*" : "", g->norm,
           g->elements, g->name);
    if (g->error <= v->worst)           /* false of NaN, too */
        return;
    v->worst = g->error;
    snprintf(v->name, sizeof v->name, "%s", g->name);
}

int rehearse_gradient(pcv_trainer *t, const char *data, const char *val)
{
    verdict v = { .worst = -1 };
    double bound;
    int bad;

    printf("error\tnorm\telements\ttensor\n");
    bad = pcv_train_check(t, data, val, tell, &v, &bound);
    if (bad < 0)
        opt_fatal_pcv();
    opt_warn("gradients %s: the worst relative error is %.1e, of %s (good: at "
             "most %.0e)", bad ? "DIFFER from differences of the loss"
                               : "agree with differences of the loss",
             v.worst, v.name, bound);
    return bad;
}
