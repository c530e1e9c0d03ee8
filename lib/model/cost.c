/* cost.c - what a pass over one input costs, part by part: FLOPs of the plain
 * form (every key, value and score made), FLOPs in the form that is run
 * (nn/cost.c counts both), and the bytes of records and scratch.
 *
 * Left out: convolutions and projections that make the input's content.  What a
 * session does once for many files (the queries of the first cross-attend to a
 * grid, and what they are folded into) is not in `run` but in `once`; training
 * does it in every step.  Parts follow one another and share scratch, so that
 * their bytes do not add up to those of the pass. */
#include "model.h"

#include <stdio.h>
#include <string.h>

static pcv_cost_part *part(pcv_cost *c, const char *name, const char *form)
{
    pcv_cost_part *p = &c->part[c->parts++];

    snprintf(p->name, sizeof p->name, "%s", name);
    p->form = form;
    return p;
}

static double bytes_of(const pcv_session *s, const pcv_block *b,
                       const pcv_tokens *t, int n, int form)
{
    pcv_arena a = {0};
    pcv_block_record rec;

    pcv_block_layout(b, t, s->items, n, form, &a, &rec);
    return (double)(a.peak + pcv_block_scratch(b, t, s->items, n, form, false));
}

/* All cross-attends to the input, or all self-attention layers. */
static void encoder_part(const pcv_session *s, bool input, pcv_cost *c)
{
    const pcv_net *n = s->net;
    int latents = n->spec.latents, uses = 0;
    pcv_cost_part *p = part(c, "", NULL);

    for (int i = 0; i < n->uses; i++) {
        const pcv_block *b = n->use[i].block;
        const pcv_tokens *t = input ? &s->batch.tokens : NULL;
        pcv_reader r = { &b->norm_kv, &b->key, &b->value, b->heads };
        double rows = pcv_block_cost(b, latents), plain, bytes;

        if (n->use[i].input != input)
            continue;
        uses++;
        plain = input ? pcv_read_cost(&r, t, latents, PCV_FORM_PLAIN)
                      : 2.0 * latents * b->d * ((double)b->qk + b->v) +
                            pcv_core_cost(b, latents, latents);
        p->plain += rows + plain;
        p->run += rows + (input ? pcv_read_cost(&r, t, latents, s->uses_form)
                                : plain);
        if (input && s->record[i].read.folds)
            c->once += pcv_folds_cost(b, t, latents);
        t = input || !b->cross ? t : &s->own.tokens;
        bytes = bytes_of(s, b, t, latents,
                         input ? s->uses_form : PCV_FORM_PLAIN);
        p->bytes = bytes > p->bytes ? bytes : p->bytes;
    }
    p->run -= input ? c->once : 0;
    p->form = pcv_form_name(input ? s->uses_form : PCV_FORM_PLAIN);
    snprintf(p->name, sizeof p->name, "%s x %d",
             input ? "cross-attend" : "self-attention", uses);
}

static void mean_part(const pcv_session *s, pcv_cost *c)
{
    const pcv_reply *a = &s->net->answer[0];
    pcv_cost_part *p = part(c, "mean and head", "plain");

    p->plain = p->run = 2.0 * a->head.in * a->outputs;
    p->bytes = 3.0 * s->net->spec.d * sizeof(real);
}

/* The decoder's block for all queries of an answer, and the layers behind. */
static void decoder_part(const pcv_session *s, int which, pcv_cost *c)
{
    const pcv_net *n = s->net;
    const pcv_reply *a = &n->answer[which];
    const pcv_block *b = &n->decoder;
    int latents = n->spec.latents;
    double heads = 2.0 * a->n * ((double)a->head.in * a->outputs +
                                 (double)n->shared.in * n->shared.out);
    double keys = 2.0 * latents * n->spec.d * ((double)b->qk + b->v);
    pcv_segment grid;
    bool asks = pcv_session_asks_grid(s, which, &grid);
    pcv_cost_part *p = part(c, "decoder", asks ? "grid" : "kept");

    if (n->shared.w)
        snprintf(p->name, sizeof p->name, "decoder %s",
                 n->spec.part_name[which]);
    p->plain = heads + keys + pcv_block_cost(b, a->n) +
               pcv_core_cost(b, latents, a->n);
    p->run = p->plain;
    if (asks)
        p->run = heads + keys + pcv_mlp_cost(b, a->n) +
                 pcv_ask_fold_cost(b, &grid, latents) +
                 pcv_ask_cost(b, &grid, latents, a->n);
    p->bytes = bytes_of(s, b, &s->latents.tokens,
                        a->n < s->asked ? a->n : s->asked, PCV_FORM_KEPT);
}

static void all_parts(const pcv_session *s, pcv_cost *c)
{
    encoder_part(s, true, c);
    encoder_part(s, false, c);
    if (s->net->spec.decoder == PCV_DECODE_MEAN)
        mean_part(s, c);
    else
        for (int i = 0; i < s->net->answers; i++)
            decoder_part(s, i, c);
    for (int i = 0; i < c->parts; i++) {
        c->plain += c->part[i].plain;
        c->run += c->part[i].run;
    }
}

static double input_bytes(const pcv_net *n, const pcv_array *const *x)
{
    double bytes = 0;

    for (int i = 0; i < pcv_spec_count(&n->spec); i++)
        bytes += x[i] ? (double)pcv_array_count(x[i]) *
                            (double)pcv_dtype_size(x[i]->dtype) : 0;
    return bytes;
}

int pcv_net_cost(const pcv_net *n, const pcv_array *const *x, pcv_cost *c)
{
    pcv_session s;

    pcv_session_open(&s, n, false, pcv_net_asked(n, 1024));
    if (pcv_session_bind(&s, x, 1) < 0) {
        pcv_session_close(&s);
        return -1;
    }
    *c = (pcv_cost){ .elements = s.batch.tokens.n, .channels = n->stem.c };
    all_parts(&s, c);
    c->memory = input_bytes(n, x) + (double)s.arena.size +
                (double)s.scratch.size +
                (double)s.batch.copy_cap * sizeof(real);
    pcv_session_close(&s);
    return 0;
}
