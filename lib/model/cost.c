/* cost.c - what a pass costs: FLOPs (a multiply-add is two) of the plain form
 * of every use in the plan, of the cross-attends as they are run, and the
 * bytes that the memory plan takes. */
#include "model.h"

/* Projections and MLP of n rows of a block; what is read costs extra. */
static double rows_cost(const pcv_block *b, double n)
{
    double d = b->d;
    double mlp = b->no_mlp ? 0 : (1.0 + pcv_act_inputs(b->act)) *
                                     b->widening * d * d;

    return 2 * n * (d * b->qk + (double)b->v * d + mlp);
}

/* Keys, values, scores and weighted sum of n queries over m rows of c. */
static double read_cost(const pcv_block *b, double n, double m, double c)
{
    return 2 * m * c * (b->qk + b->v) + 2 * n * m * (b->qk + b->v);
}

/* The structured form: per score the content channels, axes and a few more
 * twice over, an exp, and the tables per axis (structured attend: header of
 * grid_attend.c). */
static double grid_cost(const pcv_block *b, const pcv_tokens *t, double n)
{
    double reads = n * b->heads, cost = 0;

    for (int i = 0; i < t->segments; i++) {
        const pcv_segment *s = &t->segment[i];
        double m = 1, tables = 0;

        for (int a = 0; a < s->axes; a++) {
            m *= s->len[a];
            tables += 4.0 * s->len[a] * s->cols[a];
        }
        cost += reads * (m * (4.0 * s->c + 24) + tables);
    }
    return cost + 2 * n * t->c * (double)(b->qk + b->v);
}

/* The folded form: per score the channels, twice, and an exp. */
static double fold_cost(const pcv_block *b, const pcv_tokens *t, double n)
{
    return n * b->heads * t->n * (4.0 * t->c + 24) +
           2 * n * t->c * (double)(b->qk + b->v);
}

/* Of a cross-attend as it is run. */
static double run_cost(const pcv_block *b, const pcv_tokens *t, int form,
                       double n)
{
    return form == PCV_FORM_GRID ? grid_cost(b, t, n)
           : form == PCV_FORM_FOLDED ? fold_cost(b, t, n)
                                     : read_cost(b, n, t->n, t->c);
}

static void encoder_cost(const pcv_net *n, const pcv_tokens *t, int form,
                         pcv_cost *c)
{
    double rows = n->spec.latents;

    for (int i = 0; i < n->uses; i++) {
        const pcv_block *b = n->use[i].block;

        if (n->use[i].input) {
            c->cross += rows_cost(b, rows) + read_cost(b, rows, t->n, t->c);
            c->cross_run += rows_cost(b, rows) + run_cost(b, t, form, rows);
        } else {
            c->self += rows_cost(b, rows) + read_cost(b, rows, rows, b->d);
        }
    }
}

static double decoder_cost(const pcv_net *n)
{
    double cost = 0, latents = n->spec.latents, d = n->spec.d;

    for (int i = 0; i < n->answers; i++) {
        const pcv_reply *a = &n->answer[i];
        double queries = a->n;

        cost += 2 * queries * a->head.in * a->outputs;
        if (n->spec.decoder != PCV_DECODE_MEAN)
            cost += rows_cost(&n->decoder, queries) +
                    2 * queries * latents * (n->decoder.qk + n->decoder.v) +
                    2 * queries * n->shared.in * n->shared.out;
    }
    if (n->spec.decoder != PCV_DECODE_MEAN)
        cost += 2 * latents * d * (n->decoder.qk + n->decoder.v);
    return cost;
}

static double bytes_of(const pcv_net *n, const pcv_array *const *x)
{
    double bytes = 0;

    for (int i = 0; i < pcv_spec_answers(&n->spec); i++)
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
    encoder_cost(n, &s.batch.tokens, s.uses_form, c);
    c->decode = decoder_cost(n);
    c->memory = bytes_of(n, x) + (double)s.arena.size +
                (double)s.scratch.size +
                (double)s.batch.copy_cap * sizeof(real);
    pcv_session_close(&s);
    return 0;
}
