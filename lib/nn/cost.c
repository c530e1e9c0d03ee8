/* cost.c - what an attend costs in each of its forms, and which form is taken:
 * the one place for both.
 *
 * FLOPs of one item, a multiply-add is two.  Of the vector loops of a grid each
 * score counts as what they do: twice the content channels in the score and
 * twice in the sum, and 24 for the tables, the exponential and the marginals.
 * What is done once per row and not per score (norms, softmax's division) is
 * left out. */
#include "nn.h"

static double wide(const pcv_reader *r)
{
    return (double)r->key->out + r->value->out;
}

/* Keys and values of m rows, scores and weighted sums. */
static double projected_cost(const pcv_reader *r, const pcv_tokens *t, double n)
{
    return 2 * wide(r) * t->n * (t->c + n);
}

/* Keys folded into the queries, values behind the sums. */
static double folded_cost(const pcv_reader *r, const pcv_tokens *t, double n)
{
    return 2 * n * t->c * wide(r) + 4 * n * r->heads * (double)t->n * t->c;
}

/* Queries folded, and their products with the tables of the axes. */
static double grid_folds_cost(const pcv_reader *r, const pcv_tokens *t,
                              double n)
{
    double cost = 2 * n * t->c * r->key->out;

    for (int i = 0; i < t->segments; i++)
        for (int a = 0; a < t->segment[i].axes; a++)
            cost += 2 * n * r->heads * t->segment[i].len[a] *
                    t->segment[i].cols[a];
    return cost;
}

/* Behind the folds: scores and sums, marginals through the tables, values. */
static double grid_cost(const pcv_reader *r, const pcv_tokens *t, double n)
{
    double cost = grid_folds_cost(r, t, n) + 2 * n * t->c * r->value->out;

    for (int i = 0; i < t->segments; i++) {
        const pcv_segment *s = &t->segment[i];
        double m = 1, tables = 0;

        for (int a = 0; a < s->axes; a++) {
            m *= s->len[a];
            tables += 2.0 * s->len[a] * s->cols[a];
        }
        cost += n * r->heads * (m * (4.0 * s->c + 24) + tables);
    }
    return cost;
}

static const struct {
    const char *name;
    double (*cost)(const pcv_reader *r, const pcv_tokens *t, double n);
} forms[] = {
    [PCV_FORM_PLAIN] = { "plain", projected_cost },
    [PCV_FORM_TILED] = { "tiled", projected_cost },
    [PCV_FORM_FOLDED] = { "folded", folded_cost },
    [PCV_FORM_GRID] = { "grid", grid_cost },
    [PCV_FORM_KEPT] = { "kept", projected_cost },
};

double pcv_read_cost(const pcv_reader *r, const pcv_tokens *t, int n, int form)
{
    return forms[form].cost(r, t, n);
}

const char *pcv_form_name(int form)
{
    return forms[form].name;
}

/* Of a single axis the structured form has no less to do: its table has as many
 * rows as there are elements.  It is the faster one while they are few (48
 * items of 256 elements and 32 queries: 3.4 ms, folded 4.6; one of 1,920 and
 * 784: 7.1 and 6.6; of 100,000 and 512: 341 and 211). */
static bool gains_by_structure(const pcv_tokens *t)
{
    return t->segments > 1 || (t->segments && t->segment->axes > 1) ||
           (t->segments && t->n <= 1024);
}

/* Whole matrices while rows, keys and values of the batch stay in a few
 * megabytes; beyond that streaming costs nothing and bounds the memory. */
int pcv_read_form(const pcv_reader *r, const pcv_tokens *t, int n, int want)
{
    double bytes = (double)t->items * t->n * sizeof(real) *
                   (2.0 * t->c + wide(r));

    if (want == PCV_FORM_GRID && !t->segments)
        return PCV_FORM_TILED;
    if (want != PCV_FORM_AUTO)
        return want;
    if (gains_by_structure(t))
        return PCV_FORM_GRID;
    if (folded_cost(r, t, n) < projected_cost(r, t, n))
        return PCV_FORM_FOLDED;
    return bytes <= 64e6 ? PCV_FORM_PLAIN : PCV_FORM_TILED;
}

/* ---- blocks ---------------------------------------------------------- */

double pcv_block_cost(const pcv_block *b, double n)
{
    double d = b->d, twice = b->out2.w ? d : 0;

    return 2 * n * d * (b->qk + b->v + twice) + pcv_mlp_cost(b, n);
}

double pcv_folds_cost(const pcv_block *b, const pcv_tokens *t, double n)
{
    pcv_reader r = { &b->norm_kv, &b->key, &b->value, b->heads };

    return 2 * n * b->d * b->qk + grid_folds_cost(&r, t, n);
}

double pcv_mlp_cost(const pcv_block *b, double n)
{
    double d = b->d;

    return b->no_mlp ? 0 : 2 * n * (1.0 + pcv_act_inputs(b->act)) *
                               b->widening * d * d;
}

/* ---- queries on a grid ----------------------------------------------- */

double pcv_ask_cost(const pcv_block *b, const pcv_segment *s, int n,
                    double queries)
{
    return 2.0 * queries * n * b->heads * (s->c + b->d);
}

double pcv_ask_fold_cost(const pcv_block *b, const pcv_segment *s, int n)
{
    double cost = 2.0 * n * b->d * ((double)b->qk + b->v);

    for (int a = 0; a < s->axes; a++)
        cost += 2.0 * n * b->heads * s->len[a] * s->cols[a];
    return cost;
}

/* Scores and weighted sum of queries over n keys that are there. */
double pcv_core_cost(const pcv_block *b, double n, double queries)
{
    return 2 * queries * n * ((double)b->qk + b->v);
}

/* For one query the latents are folded as for all: an answer does not depend
 * on how many others were asked for. */
bool pcv_ask_serves(const pcv_block *b, const pcv_segment *s, int n)
{
    double tables = 0, rows = pcv_block_cost(b, 1) - pcv_mlp_cost(b, 1);

    for (int a = 0; a < s->axes; a++)
        tables += (double)s->len[a] * n * b->heads * sizeof(real);
    return !b->outer && !b->out2.w && !b->bias_k && tables <= 64e6 &&
           pcv_ask_cost(b, s, n, 1) < rows + pcv_core_cost(b, n, 1);
}
