/* model_help.c - whole models with random weights and inputs. */
#include "model_help.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

void model_spec(pcv_spec *s, const char *settings)
{
    char text[1024], *save = NULL, *name, *value;

    pcv_spec_default(s);
    assert_true(strlen(settings) < sizeof text);
    strcpy(text, settings);
    for (name = strtok_r(text, " ", &save); name;
         name = strtok_r(NULL, " ", &save)) {
        value = strchr(name, '=');
        assert_non_null(value);
        *value++ = '\0';
        for (char *blank = value; (blank = strchr(blank, '~')); )
            *blank = ' ';
        if (pcv_spec_set(s, name, value) < 0)
            fail_msg("%s", pcv_error());
    }
}

static void numbers(pcv_array *x, uint64_t stream)
{
    size_t n = pcv_array_count(x);
    float *v = pcv_alloc(n, sizeof *v);

    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)pcv_normal(21, stream, i);
    x->data = v;
}

/* Ids that are not padding. */
static void ids(pcv_array *x, uint64_t stream, int vocab)
{
    int32_t *v = pcv_alloc(x->dim[0], sizeof *v);

    assert_non_null(v);
    for (size_t i = 0; i < x->dim[0]; i++)
        v[i] = help_int(stream, i, 1, vocab - 1);
    x->data = v;
}

void model_input(const pcv_spec *s, int size, uint64_t stream, pcv_array *x)
{
    const pcv_prep *p = &s->prep;
    size_t n = (size_t)size, c = (size_t)p->channels;

    if (p->modality == PCV_IMAGE)
        *x = (pcv_array){ PCV_F32, 3, { c, (size_t)p->height,
                                        (size_t)p->width }, NULL };
    else if (p->modality == PCV_BYTES)
        *x = (pcv_array){ PCV_I32, 1, { n }, NULL };
    else if (p->modality == PCV_SOUND)
        *x = p->mels ? (pcv_array){ PCV_F32, 2, { pcv_prep_frames(p, n),
                                                  (size_t)p->mels }, NULL }
                     : (pcv_array){ PCV_F32, 1, { n }, NULL };
    else
        *x = (pcv_array){ PCV_F32, 2, { n, c }, NULL };
    if (p->modality == PCV_BYTES)
        ids(x, stream, s->vocab);
    else
        numbers(x, stream);
}

/* What a query of an answer wants: a class, a byte, some tags or numbers; every
 * fifth one nothing. */
static void fill_want(const pcv_spec *s, int outputs, uint64_t row, real *want)
{
    bool one = pcv_task_counts(s->task);

    for (int k = 0; k < outputs; k++)
        want[k] = one ? (real)0.1 / (real)outputs
                  : s->task == PCV_TAGS ? (real)help_int(61, row, 0, 1)
                  : (real)pcv_normal(61, row, (uint64_t)k);
    if (one)
        want[help_int(61, row, 0, outputs - 1)] += (real)0.9;
    if (row % 5 == 4)
        want[0] = (real)NAN;
}

static void open_target(model *m, int which, int asked)
{
    pcv_target *t = &m->feed.target[which];
    const pcv_spec *s = pcv_spec_answer(&m->net.spec, which);
    int all = m->net.answer[which].n, k = m->net.answer[which].outputs;
    int rows;

    t->asked = asked && asked < all ? asked : all;
    rows = MODEL_ITEMS * t->asked;
    t->want = pcv_alloc((size_t)(rows * k), sizeof *t->want);
    assert_non_null(t->want);
    if (t->asked < all) {
        t->index = pcv_alloc((size_t)rows, sizeof *t->index);
        for (int i = 0; i < rows; i++)
            t->index[i] = (7 * i + 3) % all;
    }
    for (int i = 0; i < rows; i++)
        fill_want(s, k, (uint64_t)i, t->want + i * k);
}

static void open_inputs(model *m, const model_case *c)
{
    for (int i = 0; i < MODEL_ITEMS * m->feed.parts; i++) {
        int p = i % m->feed.parts;
        const pcv_spec *s = pcv_spec_part(&m->net.spec, p);

        if (s->masked || (c->absent & 1u << p))
            continue;
        model_input(s, c->size[i / m->feed.parts], 30 + (uint64_t)i, &m->x[i]);
        m->px[i] = &m->x[i];
    }
}

void model_open(model *m, const model_case *c)
{
    pcv_spec spec;

    memset(m, 0, sizeof *m);
    model_spec(&spec, c->settings);
    if (pcv_net_build(&m->net, &spec) < 0)
        fail_msg("%s: %s", c->name, pcv_error());
    pcv_spec_free(&spec);
    help_params(&m->net.params, 50);
    m->feed = (pcv_feeding){ .net = &m->net, .items = MODEL_ITEMS,
                             .parts = pcv_spec_count(&m->net.spec) };
    open_inputs(m, c);
    m->pass = (pcv_pass){ 5, 8, c->dropout, 0 };
    for (int i = 0; i < m->net.answers; i++) {
        open_target(m, i, c->asked);
        if (m->feed.target[i].asked > m->asked)
            m->asked = m->feed.target[i].asked;
    }
    m->latents = c->latents;
    model_session(m, PCV_FORM_AUTO, 0);
}

void model_close(model *m)
{
    pcv_session_close(&m->s);
    for (int i = 0; i < MODEL_ITEMS * PCV_MOST_PARTS; i++)
        pcv_array_free(&m->x[i]);
    for (int i = 0; i < m->net.answers; i++) {
        pcv_free(m->feed.target[i].index);
        pcv_free(m->feed.target[i].want);
    }
    pcv_net_free(&m->net);
}

void model_session(model *m, int form, size_t most)
{
    pcv_session_close(&m->s);
    pcv_session_open(&m->s, &m->net, true, m->asked);
    if (m->latents)
        pcv_session_latents(&m->s, m->latents);
    m->s.form = form;
    m->s.most = most;
    if (pcv_session_bind(&m->s, m->px, MODEL_ITEMS) < 0)
        fail_msg("%s", pcv_error());
}

/* The sum of the means of all answers. */
static double pass(model *m, bool gradient)
{
    double loss = 0;

    pcv_session_encode(&m->s, &m->pass);
    if (gradient)
        pcv_session_backward_start(&m->s);
    for (int a = 0; a < m->net.answers; a++) {
        const pcv_target *t = &m->feed.target[a];
        double rows = pcv_wanted(&m->feed, a, 0, MODEL_ITEMS);
        pcv_tally tally = {0};

        pcv_session_decode(&m->s, &m->pass, a, t->index, t->asked);
        pcv_objective(&m->s, &m->feed, a, 0, gradient ? 1 / rows : 0, &tally);
        loss += tally.loss / rows;
        if (gradient)
            pcv_session_backward_answer(&m->s, &m->pass, t->asked);
    }
    if (gradient)
        pcv_session_backward_encode(&m->s, &m->pass);
    return loss;
}

double model_loss(model *m)
{
    return pass(m, false);
}

double model_step(model *m)
{
    memset(m->net.params.g, 0, m->net.params.total * sizeof(real));
    return pass(m, true);
}
