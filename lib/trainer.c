/* trainer.c - the facade of train/: settings by name, runs, evaluation. */
#include "handles.h"

#include <stdio.h>
#include <string.h>

struct pcv_trainer {
    pcv_spec spec;
    pcv_run_spec run;
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
    if (t)
        pcv_spec_free(&t->spec);
    pcv_free(t);
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

int pcv_trainer_set(pcv_trainer *t, const char *name, const char *value)
{
    if (is_run_setting(name))
        return pcv_run_set(&t->run, name, value);
    if (is_given(name, value))
        return pcv_fail(EX_USAGE, "%s: '%s' cannot be trained", name, value);
    return pcv_spec_set(&t->spec, name, value);
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
                         .resume = resume, .watch = pass_on, .arg = &w };
    int r;

    if (pcv_augment_check(&t->run, &t->spec.prep) < 0 ||
        pcv_spec_copy(&run.spec, &t->spec) < 0)
        return -1;
    r = pcv_training_run(&run);
    pcv_spec_free(&run.spec);
    return r;
}

static int evaluate(const pcv_model *m, pcv_dataset *d, double *accuracy,
                    double *loss)
{
    pcv_split s = { .data = d, .count = (uint32_t)pcv_dataset_count(d) };
    uint32_t *which = pcv_alloc(s.count, sizeof *which);
    int r;

    for (uint32_t i = 0; which && i < s.count; i++)
        which[i] = i;
    s.which = which;
    r = which ? pcv_training_evaluate(&m->net, &s, loss, accuracy) : -1;
    pcv_free(which);
    return r;
}

/* A class is meant by its name, or by its number as idx files have it. */
static bool means(const char *label, const pcv_spec *s, size_t i)
{
    char number[24];

    snprintf(number, sizeof number, "%zu", i);
    return i < (size_t)s->outputs &&
           (!strcmp(label, s->label[i]) || !strcmp(label, number));
}

int pcv_evaluate(const pcv_model *m, const char *data, double *accuracy,
                 double *loss, size_t *items)
{
    const pcv_spec *s = &m->net.spec;
    pcv_reading how;
    pcv_dataset *d;
    int r = 0;

    pcv_reading_default(&how);
    how.bytes = s->prep.modality == PCV_BYTES;
    if (!(d = pcv_dataset_open(data, &how, 1 << 28)))
        return -1;
    for (size_t i = 0; s->label && r == 0 && i < pcv_dataset_labels(d); i++)
        if (!means(pcv_dataset_label(d, i), s, i))
            r = pcv_fail(EX_DATAERR, "%s: label %zu is '%s', the model has "
                         "'%s'", data, i, pcv_dataset_label(d, i),
                         i < (size_t)s->outputs ? s->label[i] : "-");
    *items = pcv_dataset_count(d);
    if (r == 0)
        r = evaluate(m, d, accuracy, loss);
    pcv_dataset_close(d);
    return r;
}
