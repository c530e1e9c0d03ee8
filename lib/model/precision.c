/* precision.c - a net whose blocks compute with bfloat16 or int8: their weights
 * are packed once, and the copy that a file of another type was converted to
 * shrinks to what is still read.  Everything outside the blocks (input, latents,
 * queries, the last layer), norms, softmax and the structured cross-attend stay
 * as they are. */
#include "model.h"

#include <string.h>

typedef int visit(pcv_net *n, pcv_linear *l, bool read);

/* Every linear layer of a block; read: its weights are read elsewhere, too (the
 * structured attend folds them into queries). */
static int visit_block(pcv_net *n, pcv_block *b, visit *f)
{
    pcv_linear *all[] = { &b->query, &b->key, &b->value, &b->out, &b->out2,
                          &b->up, &b->down };

    for (size_t i = 0; i < PCV_LEN(all); i++)
        if (all[i]->w && f(n, all[i], b->cross && (i == 1 || i == 2)) < 0)
            return -1;
    return 0;
}

static int visit_all(pcv_net *n, visit *f)
{
    for (int i = 0; i < n->blocks; i++)
        if (visit_block(n, &n->block[i], f) < 0)
            return -1;
    return visit_block(n, &n->decoder, f);
}

/* ---- packing --------------------------------------------------------- */

static int pack(pcv_net *n, pcv_linear *l, bool read)
{
    (void)read;
    l->packed = pcv_packed_open(n->lowp, l->w->w, l->out, l->in);
    return l->packed ? 0 : -1;
}

static int unpack(pcv_net *n, pcv_linear *l, bool read)
{
    (void)n;
    (void)read;
    pcv_packed_close(l->packed);
    l->packed = NULL;
    return 0;
}

static int make_heads(pcv_net *n)
{
    for (int i = 0; i <= n->blocks; i++) {
        const pcv_block *b = i < n->blocks ? &n->block[i] : &n->decoder;

        if (b->heads && pcv_lowp_heads(n->lowp, b->qk / b->heads,
                                       b->v / b->heads) < 0)
            return -1;
    }
    return 0;
}

/* ---- giving back ----------------------------------------------------- */

static int forget(pcv_net *n, pcv_linear *l, bool read)
{
    (void)n;
    if (!read)
        l->w->w = NULL;
    return 0;
}

/* The parameters that were converted stand one after the other in the slab;
 * those that are used where they lie in the file are elsewhere. */
static bool *in_slab(const pcv_params *p, bool *any)
{
    bool *in = pcv_alloc((size_t)p->count, sizeof *in);
    const real *at = p->w;

    *any = false;
    for (int i = 0; in && i < p->count; i++) {
        in[i] = p->param[i]->w == at;
        *any |= in[i] && p->param[i]->rank == 2;
        at += in[i] ? p->param[i]->count : 0;
    }
    return in;
}

static int move_slab(pcv_params *p, const bool *in)
{
    size_t need = 0;
    real *slab, *at;

    for (int i = 0; i < p->count; i++)
        need += in[i] && p->param[i]->w ? p->param[i]->count : 0;
    if (!(slab = at = pcv_alloc(need, sizeof *slab)))
        return -1;
    for (int i = 0; i < p->count; i++) {
        pcv_param *q = p->param[i];

        if (!in[i] || !q->w)
            continue;
        memcpy(at, q->w, q->count * sizeof *at);
        q->w = at;
        at += q->count;
    }
    pcv_free(p->w);
    p->w = slab;
    return 0;
}

static int give_back(pcv_net *n)
{
    bool any, *in = in_slab(&n->params, &any);
    int r = in ? 0 : -1;

    if (r == 0 && any) {
        n->id = pcv_net_identity(n);        /* while all weights are there */
        r = n->id ? visit_all(n, forget) : -1;
        if (r == 0)
            r = move_slab(&n->params, in);
    }
    pcv_free(in);
    return r;
}

int pcv_net_precision(pcv_net *n, int precision)
{
    if (precision == PCV_FULL)
        return 0;
    if (n->lowp)
        return pcv_fail(EX_USAGE, "the precision of a model is set once");
    n->lowp = pcv_lowp_open(precision);
    if (!n->lowp || visit_all(n, pack) < 0 || make_heads(n) < 0)
        return -1;
    return give_back(n);
}

void pcv_net_unpack(pcv_net *n)
{
    visit_all(n, unpack);
    pcv_lowp_close(n->lowp);
    pcv_free(n->id);
    n->lowp = NULL;
    n->id = NULL;
}
