/* model_help.c - whole models with random weights and inputs. */
#include "model_help.h"

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

/* Labels, or the inputs at some of the queries. */
static void open_target(model *m, const model_case *c)
{
    const pcv_spec *s = &m->net.spec;
    int all = m->net.answer[0].n;

    m->target = (pcv_target){ .label = m->label, .asked = all };
    for (int i = 0; i < MODEL_ITEMS; i++)
        m->label[i] = (2 * i + 1) % s->outputs;
    if (s->task == PCV_CLASSIFY)
        return;
    if (c->asked) {
        m->target.asked = c->asked;
        m->index = pcv_alloc((size_t)c->asked, sizeof *m->index);
        for (int i = 0; i < c->asked; i++)
            m->index[i] = (7 * i + 3) % all;
        m->target.index = m->index;
    }
    m->target.target = pcv_alloc((size_t)(MODEL_ITEMS * m->target.asked *
                                          s->outputs), sizeof(real));
    assert_non_null(m->target.target);
    pcv_target_values(&m->net, m->x, MODEL_ITEMS, &m->target);
}

void model_open(model *m, const model_case *c)
{
    pcv_spec spec;

    memset(m, 0, sizeof *m);
    model_spec(&spec, c->settings);
    if (pcv_net_build(&m->net, &spec) < 0)
        fail_msg("%s: %s", c->name, pcv_error());
    help_params(&m->net.params, 50);
    for (int i = 0; i < MODEL_ITEMS; i++) {
        model_input(&spec, c->size[i], 30 + (uint64_t)i, &m->x[i]);
        m->px[i] = &m->x[i];
    }
    m->pass = (pcv_pass){ 5, 8, c->dropout };
    open_target(m, c);
    model_session(m, PCV_FORM_AUTO, 0);
}

void model_close(model *m)
{
    pcv_session_close(&m->s);
    for (int i = 0; i < MODEL_ITEMS; i++)
        pcv_array_free(&m->x[i]);
    pcv_free(m->index);
    pcv_free(m->target.target);
    pcv_net_free(&m->net);
}

void model_session(model *m, int form, size_t most)
{
    pcv_session_close(&m->s);
    pcv_session_open(&m->s, &m->net, true, m->target.asked);
    m->s.form = form;
    m->s.most = most;
    if (pcv_session_bind(&m->s, m->px, MODEL_ITEMS) < 0)
        fail_msg("%s", pcv_error());
}

static double forward(model *m, bool gradient)
{
    int right;

    pcv_session_encode(&m->s, &m->pass);
    pcv_session_decode(&m->s, &m->pass, 0, m->target.index, m->target.asked);
    return pcv_objective(&m->s, &m->target, 0.1, gradient, &right);
}

double model_loss(model *m)
{
    return forward(m, false);
}

double model_step(model *m)
{
    pcv_params *p = &m->net.params;
    double loss;

    memset(p->g, 0, p->total * sizeof *p->g);
    loss = forward(m, true);
    pcv_session_backward(&m->s, &m->pass, m->target.asked);
    return loss;
}
