/* tune.c - to begin from a model that was trained before, and to learn a part
 * of it. */
#include "train.h"

#include <string.h>

static bool same_shape(const pcv_param *a, const pcv_param *b)
{
    return a->rank == b->rank && !memcmp(a->dim, b->dim, sizeof a->dim);
}

int pcv_tune_init(pcv_net *n, const char *dir, pcv_buf *fresh)
{
    pcv_net from;

    if (pcv_net_load(&from, dir) < 0)
        return -1;
    for (int i = 0; i < n->params.count; i++) {
        pcv_param *q = n->params.param[i];
        const pcv_param *p = pcv_params_find(&from.params, q->name);

        if (p && same_shape(p, q))
            memcpy(q->w, p->w, q->count * sizeof *q->w);
        else
            pcv_buf_printf(fresh, "%s\n", q->name);
    }
    pcv_net_free(&from);
    return fresh->failed ? pcv_fail(EX_OSERR, "out of memory") : 0;
}

static bool is_head(const pcv_net *n, const pcv_param *p)
{
    for (int i = 0; i < n->answers; i++)
        if (p == n->answer[i].head.w || p == n->answer[i].head.b)
            return true;
    return false;
}

/* The decoder's names begin like its block's, whatever class it is of. */
static bool is_encoder(const pcv_param *p)
{
    static const char *const begin[] = { "perceiver.input_preprocessor",
                                         "perceiver.embeddings",
                                         "perceiver.encoder" };

    for (size_t i = 0; i < PCV_LEN(begin); i++)
        if (!strncmp(p->name, begin[i], strlen(begin[i])))
            return true;
    return false;
}

void pcv_tune_freeze(pcv_net *n, int freeze)
{
    for (int i = 0; i < n->params.count; i++) {
        pcv_param *p = n->params.param[i];

        if (freeze == PCV_FREEZE_BODY ? !is_head(n, p)
            : freeze == PCV_FREEZE_ENCODER && is_encoder(p))
            p->g = NULL;
    }
}
