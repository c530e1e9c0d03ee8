/* trainer.c - the facade of train/: settings by name, runs, evaluation. */
#include "handles.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

struct pcv_trainer {
    pcv_spec spec;
    pcv_run_spec run;
    pcv_peers *peers;           /* NULL: there is but this process */
    pcv_buf given;              /* settings in their order: name and value, each
                                   ended by NUL */
};

const pcv_setting *pcv_setting_at(size_t i)
{
    static _Thread_local char values[256];
    static _Thread_local pcv_setting s;
    pcv_buf b = {0};
    const pcv_field *f;
    int k = (int)i;

    for (int first = 0; (f = pcv_spec_field(first)) && k > 0; first++)
        k--;
    if (!f)
        f = pcv_run_field(k);
    if (!f)
        return NULL;
    pcv_field_values(f, &b);
    snprintf(values, sizeof values, "%s", b.data ? b.data : "");
    pcv_buf_free(&b);
    s = (pcv_setting){ f->name, values, f->help };
    return &s;
}

pcv_trainer *pcv_trainer_new(void)
{
    pcv_trainer *t = pcv_alloc(1, sizeof *t);

    if (t) {
        pcv_spec_default(&t->spec);
        pcv_run_default(&t->run);
    }
    return t;
}

void pcv_trainer_free(pcv_trainer *t)
{
    if (t) {
        pcv_peers_close(t->peers, 0);
        pcv_spec_free(&t->spec);
        pcv_buf_free(&t->given);
    }
    pcv_free(t);
}

int pcv_trainer_join(pcv_trainer *t, int processes)
{
    t->peers = pcv_peers_open(processes);
    return t->peers ? pcv_peers_rank(t->peers) : -1;
}

void pcv_trainer_leave(pcv_trainer *t, int status)
{
    pcv_peers_close(t->peers, status);
    t->peers = NULL;
}

static bool is_run_setting(const char *name)
{
    const pcv_field *f;

    for (int i = 0; (f = pcv_run_field(i)); i++)
        if (!strcmp(f->name, name))
            return true;
    return false;
}

/* What comes with published checkpoints only cannot be trained. */
static bool is_given(const char *name, const char *value)
{
    const pcv_row *r;

    for (int i = 0; (r = pcv_spec_row(i)); i++)
        if (!strcmp(r->field.name, name))
            return (r->flags & PCV_ROW_GIVEN) ||
                   !pcv_field_offers(&r->field, value);
    return false;
}

/* "auto", "auto:64": nested training, and the choice at the end. */
static int choose_latents(pcv_trainer *t, const char *value)
{
    char counts[128];
    int n;

    if (pcv_spec_set(&t->spec, "latents", value[4] ? value + 5 : "64") < 0 ||
        pcv_run_set(&t->run, "choose-latents", "yes") < 0)
        return -1;
    n = t->spec.latents;
    if (*t->spec.nested)
        return 0;
    if (n < 8)
        return pcv_fail(EX_USAGE, "latents: auto of %d, want at least 8", n);
    snprintf(counts, sizeof counts, "%d,%d,%d", n / 8, n / 4, n / 2);
    return pcv_spec_set(&t->spec, "nested", counts);
}

static int apply(pcv_trainer *t, const char *name, const char *value)
{
    if (is_run_setting(name))
        return pcv_run_set(&t->run, name, value);
    if (!strcmp(name, "latents") && !strncmp(value, "auto", 4) &&
        (value[4] == ':' || !value[4]))
        return choose_latents(t, value);
    return pcv_spec_set(&t->spec, name, value);
}

/* The settings of a model that is there; what it answers comes from the
 * data. */
static int take_model(pcv_trainer *t, const char *dir)
{
    pcv_net net;
    int r;

    if (pcv_net_load(&net, dir) < 0)
        return -1;
    pcv_spec_free(&t->spec);
    r = pcv_spec_copy(&t->spec, &net.spec);
    pcv_net_free(&net);
    for (int i = 0; r == 0 && i < pcv_spec_count(&t->spec); i++) {
        pcv_spec *s = t->spec.parts ? &t->spec.part[i] : &t->spec;

        if (!t->spec.parts || s->prep.modality == PCV_ONE_HOT)
            r = pcv_spec_set_labels(s, NULL, 0);
    }
    t->spec.names = PCV_NAMES_PUBLISHED;
    t->spec.origin = NULL;
    t->spec.prep.overlong = PCV_CUT;    /* as in all training */
    return r;
}

static int take_preset(pcv_trainer *t, const char *name)
{
    const pcv_preset *p = pcv_preset_find(name);

    for (int i = 0; p && p->setting[i].name; i++)
        if (apply(t, p->setting[i].name, p->setting[i].value) < 0)
            return -1;
    return p ? 0 : pcv_preset_unknown(name);
}

const char *pcv_preset_at(size_t i, const char **help)
{
    const pcv_preset *p = pcv_preset_row((int)i);

    *help = p ? p->help : NULL;
    return p ? p->name : NULL;
}

/* A preset and a model to begin from are what the settings that were given are
 * laid over, wherever these stood. */
static int rebuild(pcv_trainer *t)
{
    const char *p = t->given.data, *end = p + t->given.len;
    pcv_run_spec was = t->run;
    int r = 0;

    pcv_spec_free(&t->spec);
    pcv_spec_default(&t->spec);
    pcv_run_default(&t->run);
    if (*was.preset)
        r = take_preset(t, was.preset);
    if (r == 0 && *was.init)
        r = take_model(t, was.init);
    while (r == 0 && p < end) {
        const char *value = p + strlen(p) + 1;

        r = apply(t, p, value);
        p = value + strlen(value) + 1;
    }
    return r;
}

static int record(pcv_trainer *t, const char *name, const char *value)
{
    pcv_buf_add(&t->given, name, strlen(name) + 1);
    pcv_buf_add(&t->given, value, strlen(value) + 1);
    return t->given.failed ? pcv_fail(EX_OSERR, "out of memory") : 0;
}

int pcv_trainer_set(pcv_trainer *t, const char *name, const char *value)
{
    if (is_given(name, value))
        return pcv_fail(EX_USAGE, "%s: '%s' cannot be trained", name, value);
    if (!strcmp(name, "preset") && *value && !pcv_preset_find(value))
        return pcv_preset_unknown(value);
    if (apply(t, name, value) < 0 || record(t, name, value) < 0)
        return -1;
    return strcmp(name, "init") && strcmp(name, "preset") ? 0 : rebuild(t);
}

char *pcv_trainer_get(const pcv_trainer *t, const char *name)
{
    pcv_buf b = {0};

    if (is_run_setting(name))
        pcv_run_get(&t->run, name, &b);
    else
        pcv_spec_get(&t->spec, name, &b);
    return b.data;
}

/* Lines of name=value, as the loop wrote them: all settings, also those that
 * have no option. */
static int take_lines(pcv_trainer *t, char *text)
{
    char *line, *value;

    while ((line = strsep(&text, "\n")) != NULL) {
        value = strchr(line, '=');
        if (!value)
            continue;
        *value++ = '\0';
        if (apply(t, line, value) < 0 || record(t, line, value) < 0)
            return -1;
    }
    return 1;
}

int pcv_trainer_resume(pcv_trainer *t, const char *dir)
{
    pcv_buf text = {0};
    int r = pcv_checkpoint_settings(dir, &text);

    if (r > 0 && text.data)
        r = take_lines(t, text.data);
    pcv_buf_free(&text);
    return r;
}

typedef struct {
    int (*watch)(void *arg, const pcv_progress *p);
    void *arg;
} watcher;

static int pass_on(void *arg, const pcv_event *e)
{
    const watcher *w = arg;
    pcv_progress p = { e->event, e->step, e->steps, e->epoch, e->loss,
                       e->accuracy, e->rate, e->norm, e->items_per_second,
                       e->seconds_left, e->json, e->text };

    return w->watch ? w->watch(w->arg, &p) : PCV_GO_ON;
}

int pcv_train(pcv_trainer *t, const char *data, const char *val,
              const char *dir, bool resume,
              int (*watch)(void *arg, const pcv_progress *p), void *arg)
{
    watcher w = { watch, arg };
    pcv_training run = { .run = t->run, .data = data, .val = val, .dir = dir,
                         .resume = resume, .watch = pass_on, .arg = &w,
                         .peers = t->peers };
    int r;

    if (pcv_spec_copy(&run.spec, &t->spec) < 0)
        return -1;
    r = pcv_training_run(&run);
    pcv_spec_free(&run.spec);
    return r;
}

/* ---- before a run ---------------------------------------------------- */

/* A run that is only looked at; its spec is to be freed. */
static int rehearsal(const pcv_trainer *t, const char *data, const char *val,
                     pcv_training *run)
{
    *run = (pcv_training){ .run = t->run, .data = data, .val = val };
    return pcv_spec_copy(&run->spec, &t->spec);
}

int pcv_train_plan(pcv_trainer *t, const char *data, const char *val,
                   pcv_plan *plan)
{
    pcv_plan_figures p;
    pcv_training run;
    int r;

    if (rehearsal(t, data, val, &run) < 0)
        return -1;
    r = pcv_training_plan(&run, &p);
    pcv_spec_free(&run.spec);
    *plan = (pcv_plan){
        .train = p.train, .held = p.held, .batch = (size_t)p.batch,
        .per_epoch = p.per_epoch, .steps = p.steps,
        .parameters = (double)p.parameters, .elements = p.cost.elements,
        .channels = p.cost.channels, .forward = p.cost.run, .step = p.step,
        .weights = (double)p.weights, .gradients = (double)p.weights,
        .moments = (double)p.moments, .activations = (double)p.activations,
        .scratch = (double)p.scratch, .timed = p.timed, .threads = p.threads,
        .step_seconds = p.step_seconds, .eval_seconds = p.eval_seconds,
        .seconds = p.seconds,
    };
    return r;
}

typedef struct {
    void (*tell)(void *arg, const pcv_gradient *g);
    void *arg;
} listener;

static void tell_gradient(void *to, const pcv_gradient_row *row)
{
    const listener *l = to;
    const pcv_gradient g = { row->name, row->count, row->norm, row->error,
                             row->small };

    l->tell(l->arg, &g);
}

int pcv_train_check(pcv_trainer *t, const char *data, const char *val,
                    void (*tell)(void *arg, const pcv_gradient *g), void *arg,
                    double *bound)
{
    listener l = { tell, arg };
    pcv_training run;
    int r;

    *bound = pcv_gradient_bound();
    if (rehearsal(t, data, val, &run) < 0)
        return -1;
    r = pcv_training_check(&run, tell_gradient, &l);
    pcv_spec_free(&run.spec);
    return r;
}

/* ---- evaluation ------------------------------------------------------ */

/* Labels of the data are meant by the model's names, or by their numbers. */
static int adopt(const pcv_model *m, pcv_dataset *d, const pcv_columns_of *of)
{
    for (int i = 0; i < m->net.answers; i++) {
        const pcv_spec *s = pcv_spec_answer(&m->net.spec, i);

        if (s->label && of->answer[i] >= 0 &&
            pcv_dataset_adopt(d, of->answer[i], s->label,
                              (size_t)s->outputs) < 0)
            return -1;
    }
    return pcv_answers_fit(d, &m->net.spec, of);
}

/* The row and the column of an example in the matrix. */
typedef struct {
    pcv_evaluation *e;
    int main;
} counter;

static void count(void *arg, int which, const real *want, const real *out,
                  int outputs)
{
    const counter *c = arg;

    if (which == c->main)
        c->e->count[(size_t)pcv_largest(want, outputs) * c->e->classes +
                    (size_t)pcv_largest(out, outputs)]++;
}

static int open_counts(pcv_evaluation *e, const pcv_net *n, int main)
{
    size_t k = (size_t)n->answer[main].outputs;

    if (pcv_spec_answer(&n->spec, main)->task != PCV_CLASSIFY ||
        n->answer[main].n != 1)
        return 0;
    e->classes = k;
    e->count = pcv_alloc(k, k * sizeof *e->count);
    return e->count ? 0 : -1;
}

static int evaluate(const pcv_model *m, pcv_dataset *d,
                    const pcv_run_spec *run, const pcv_columns_of *of,
                    pcv_evaluation *e)
{
    pcv_split s = { .data = d, .count = (uint32_t)pcv_dataset_count(d) };
    uint32_t *which = pcv_alloc(s.count, sizeof *which);
    counter c = { e, pcv_main_answer(&m->net) };
    pcv_evaluation_how how = { .seen = count, .arg = &c };
    pcv_score answer[PCV_MOST_PARTS], all = { (double)NAN, (double)NAN };
    int r = -1;

    for (uint32_t i = 0; which && i < s.count; i++)
        which[i] = i;
    s.which = which;
    e->items = s.count;
    if (which && open_counts(e, &m->net, c.main) == 0) {
        how.seen = e->classes ? count : NULL;
        r = pcv_training_evaluate(&m->net, run, of, &s, &how, answer, &all);
    }
    pcv_free(which);
    e->accuracy = all.accuracy;
    e->loss = all.loss;
    return r;
}

pcv_evaluation *pcv_evaluate(const pcv_model *m, const char *data,
                             const char *examples)
{
    pcv_evaluation *e = pcv_alloc(1, sizeof *e);
    pcv_dataset *d = NULL;
    pcv_columns_of of;
    pcv_run_spec run;
    pcv_reading how;
    int r = -1;

    pcv_run_default(&run);
    if (!e || (examples && pcv_run_set(&run, "examples", examples) < 0) ||
        pcv_examples_check(&m->net.spec, &run) < 0)
        goto end;
    pcv_spec_reading(&m->net.spec, &how);
    pcv_spec_columns(&m->net.spec, &run, &of);
    d = pcv_dataset_open(data, &of.columns, &how, 1 << 28);
    if (d && adopt(m, d, &of) == 0)
        r = evaluate(m, d, &run, &of, e);
    if (d)
        pcv_dataset_close(d);
end:
    if (r == 0)
        return e;
    pcv_evaluation_free(e);
    return NULL;
}

void pcv_evaluation_free(pcv_evaluation *e)
{
    if (e)
        pcv_free(e->count);
    pcv_free(e);
}
