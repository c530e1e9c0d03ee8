/* precision.c - a net whose blocks compute with bfloat16 or int8: their weights
 * are packed once, and the copy that a file of another type was converted to
 * shrinks to what is still read.  Everything outside the blocks (input,
 * latents, queries, the last layer), norms, softmax and the structured
 * cross-attend stay as they are. */
#include "model.h"

#include <string.h>

typedef int visit(void *arg, pcv_linear *l, bool read);

enum { LINEARS = 7 };           /* of a block at most */

/* Every linear layer of a block; read: its weights are read elsewhere, too (the
 * structured attends fold keys and values into queries, and a decoder's queries
 * and output into the latents). */
static int visit_block(pcv_block *b, bool decoder, visit *f, void *arg)
{
    struct { pcv_linear *l; bool read; } all[LINEARS] = {
        { &b->query, decoder }, { &b->key, b->cross }, { &b->value, b->cross },
        { &b->out, decoder }, { &b->out2, false }, { &b->up, false },
        { &b->down, false },
    };

    for (int i = 0; i < LINEARS; i++)
        if (all[i].l->w && f(arg, all[i].l, all[i].read) < 0)
            return -1;
    return 0;
}

static int visit_all(pcv_net *n, visit *f, void *arg)
{
    for (int i = 0; i < n->blocks; i++)
        if (visit_block(&n->block[i], false, f, arg) < 0)
            return -1;
    return visit_block(&n->decoder, true, f, arg);
}

/* ---- packing --------------------------------------------------------- */

typedef struct {
    pcv_lowp *lowp;
    pcv_linear **list;
    int count;
} packing;

static void pack_one(void *arg, int i)
{
    const packing *j = arg;
    pcv_linear *l = j->list[i];

    l->packed = pcv_packed_open(j->lowp, l->w->w, l->out, l->in);
}

/* What failed on a thread of the pool is tried again here, where its message
 * belongs. */
static int pack_all(packing *j)
{
    pcv_parallel(j->count, pack_one, j);
    for (int i = 0; i < j->count; i++) {
        if (!j->list[i]->packed)
            pack_one(j, i);
        if (!j->list[i]->packed)
            return -1;
    }
    return 0;
}

static int collect(void *arg, pcv_linear *l, bool read)
{
    packing *j = arg;

    (void)read;
    j->list[j->count++] = l;
    return 0;
}

static int pack(pcv_net *n)
{
    packing j = { n->lowp, NULL, 0 };
    int r = -1;

    j.list = pcv_alloc((size_t)(n->blocks + 1) * LINEARS, sizeof *j.list);
    if (j.list && visit_all(n, collect, &j) == 0)
        r = pack_all(&j);
    pcv_free(j.list);
    return r;
}

static int unpack(void *arg, pcv_linear *l, bool read)
{
    (void)arg;
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

static int forget(void *arg, pcv_linear *l, bool read)
{
    (void)arg;
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
        r = n->id ? visit_all(n, forget, NULL) : -1;
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
    if (!n->lowp || pack(n) < 0 || make_heads(n) < 0)
        return -1;
    return give_back(n);
}

void pcv_net_unpack(pcv_net *n)
{
    visit_all(n, unpack, NULL);
    pcv_lowp_close(n->lowp);
    pcv_free(n->id);
    n->lowp = NULL;
    n->id = NULL;
}
