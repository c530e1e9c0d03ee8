/* cross.c - one cross-attend to a picture, in one form or another. */
#include "cross.h"

#include <string.h>

enum { COLOURS = 3, BANDS = 64 };

static void make_pixels(cross *s)
{
    size_t side = (size_t)s->side, n = COLOURS * side * side;
    float *x = pcv_alloc(n, sizeof *x);

    bench_need(x != NULL);
    for (size_t i = 0; i < n; i++)      /* a few, again and again */
        x[i] = i < 65521 ? (float)pcv_normal(1, 2, i) : x[i - 65521];
    s->pixels = (pcv_array){ .dtype = PCV_F32, .rank = 3,
                             .dim = { COLOURS, side, side }, .data = x };
}

void cross_bind(cross *s)
{
    const pcv_array *one = &s->pixels;

    bench_need(pcv_batch_bind(&s->batch, &s->stem, &one, 1) == 0);
}

void cross_open(cross *s, int side)
{
    pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = COLOURS,
                           .position = PCV_POS_FOURIER, .bands = BANDS };
    int c;

    memset(s, 0, sizeof *s);
    s->side = side;
    make_pixels(s);
    bench_need(pcv_stem_init(&s->stem, &s->params, &spec) == 0);
    cross_bind(s);
    c = s->stem.c;
    pcv_norm_init(&s->norm, &s->params, "norm", c);
    pcv_linear_init(&s->key, &s->params, "key", c, c, true, 0.3);
    pcv_linear_init(&s->value, &s->params, "value", c, c, true, 0.06);
    bench_need(pcv_params_weights(&s->params) == 0 &&
               pcv_params_grads(&s->params) == 0);
    pcv_params_init(&s->params, 3);
    s->reader = (pcv_reader){ &s->norm, &s->key, &s->value, 1 };
    s->size = (size_t)CROSS_LATENTS * (size_t)c;
    s->q = bench_random(s->size, 4);
    s->dy = bench_random(s->size, 5);
}

void cross_close(cross *s)
{
    pcv_batch_free(&s->batch);
    pcv_array_free(&s->pixels);
    pcv_stem_free(&s->stem);
    pcv_params_free(&s->params);
    pcv_free(s->q);
    pcv_free(s->dy);
}

void cross_form_open(const cross *s, cross_form *c, int form,
                     const pcv_tokens *t, bool backward)
{
    const pcv_reader *r = &s->reader;

    *c = (cross_form){ .form = form, .t = t };
    pcv_read_layout(r, t, CROSS_LATENTS, form, &c->record, &c->rec);
    bench_need(pcv_arena_open(&c->record, c->record.peak) == 0);
    pcv_read_layout(r, t, CROSS_LATENTS, form, &c->record, &c->rec);
    c->megabytes = 1e-6 * (double)(c->record.size +
                                   pcv_read_scratch(r, t, CROSS_LATENTS, form,
                                                    false));
    c->y = pcv_alloc(s->size, sizeof *c->y);
    c->dq = pcv_alloc(s->size, sizeof *c->dq);
    c->dw = pcv_alloc(s->params.total, sizeof *c->dw);
    bench_need(c->y && c->dq && c->dw &&
               pcv_arena_open(&c->scratch,
                              pcv_read_scratch(r, t, CROSS_LATENTS, form,
                                               backward)) == 0);
}

void cross_form_close(cross_form *c)
{
    pcv_arena_close(&c->record);
    pcv_arena_close(&c->scratch);
    pcv_free(c->y);
    pcv_free(c->dq);
    pcv_free(c->dw);
}

void cross_forward(const cross *s, cross_form *c)
{
    double start = bench_now();

    pcv_read_forward(&s->reader, c->t, CROSS_LATENTS, c->form, s->q, c->y,
                     &c->rec, &c->scratch);
    bench_add(&c->forward, 1e3 * (bench_now() - start));
}

void cross_backward(const cross *s, cross_form *c)
{
    size_t w = s->params.total * sizeof(real);
    double start;

    memset(c->dq, 0, s->size * sizeof *c->dq);
    memset(s->params.g, 0, w);
    start = bench_now();
    pcv_read_backward(&s->reader, c->t, CROSS_LATENTS, c->form, s->q, c->y,
                      s->dy, &c->rec, c->dq, &c->scratch);
    bench_add(&c->backward, 1e3 * (bench_now() - start));
    memcpy(c->dw, s->params.g, w);
}
