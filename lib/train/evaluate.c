/* evaluate.c - the scores of a model on a whole split, nothing augmented.
 * Processes that train together have some of its batches each: what a batch
 * wants depends on where it begins. */
#include "train.h"

#include <math.h>
#include <string.h>

enum { BATCH = 64, QUERIES = 65536 };   /* at once, at most */

typedef struct {
    const pcv_net *net;
    const pcv_evaluation_how *how;
    pcv_session s;
    pcv_feeding f;
    uint32_t order[BATCH];
    pcv_tally tally[PCV_MOST_PARTS];
    pcv_ranking ranking[PCV_MOST_PARTS];        /* of tags */
} evaluation;

/* Answered rows, one by one, for those who look. */
static void look(evaluation *e, int which, int from)
{
    int k = e->net->answer[which].outputs, asked = e->f.target[which].asked;
    const real *out = e->s.out;
    const real *want = e->f.target[which].want +
                       (size_t)from * (size_t)asked * (size_t)k;
    bool tags = pcv_spec_answer(&e->net->spec, which)->task == PCV_TAGS;

    for (int r = 0; r < e->s.items * asked; r++, out += k, want += k) {
        if (isnan(*want))
            continue;
        if (tags)
            pcv_ranking_add(&e->ranking[which], want, out, k);
        if (e->how->seen)
            e->how->seen(e->how->arg, which, want, out, k);
    }
}

/* Items from .. that have the same parts. */
static int evaluate_group(evaluation *e, int from, int items)
{
    const pcv_pass pass = {0};

    if (pcv_session_bind(&e->s, e->f.px + from * e->f.parts, items) < 0)
        return -1;
    pcv_session_encode(&e->s, &pass);
    for (int a = 0; a < e->net->answers; a++) {
        const pcv_target *t = &e->f.target[a];

        if (!(pcv_wanted(&e->f, a, from, items) > 0))
            continue;
        pcv_session_decode(&e->s, &pass, a,
                           t->index ? t->index + from * t->asked : NULL,
                           t->asked);
        pcv_objective(&e->s, &e->f, a, from, 0, &e->tally[a]);
        look(e, a, from);
    }
    return 0;
}

static int evaluate_batch(evaluation *e, uint32_t at, int n)
{
    int r;

    for (int i = 0; i < n; i++)
        e->order[i] = at + (uint32_t)i;
    r = pcv_feed(&e->f, e->order, n, 0, n, at);
    for (int from = 0, items; r == 0 && from < n; from += items) {
        items = pcv_feed_group(&e->f, from);
        r = evaluate_group(e, from, items);
    }
    return r;
}

/* Items at a time: answers to all queries of many pictures are large. */
static int batch_of(const pcv_net *n)
{
    int items = QUERIES / pcv_net_asked(n, QUERIES);

    return items < 1 ? 1 : items > BATCH ? BATCH : items;
}

static pcv_score score_of(const evaluation *e, int which)
{
    const pcv_tally *t = &e->tally[which];
    int task = pcv_spec_answer(&e->net->spec, which)->task;
    pcv_score s = { (double)NAN, (double)NAN };

    if (t->rows > 0)
        s.loss = t->loss / t->rows;
    if (t->rows > 0 && pcv_task_counts(task))
        s.accuracy = t->right / t->rows;
    if (task == PCV_TAGS)
        s.accuracy = pcv_ranking_mean(&e->ranking[which]);
    return s;
}

int pcv_main_answer(const pcv_net *n)
{
    for (int i = 0; i < n->answers; i++) {
        int task = pcv_spec_answer(&n->spec, i)->task;

        if (pcv_task_counts(task) || task == PCV_TAGS)
            return i;
    }
    return 0;
}

static void score(const evaluation *e, pcv_score answer[PCV_MOST_PARTS],
                  pcv_score *all)
{
    all->loss = 0;
    for (int a = 0; a < e->net->answers; a++) {
        answer[a] = score_of(e, a);
        if (!isnan(answer[a].loss))
            all->loss += pcv_spec_answer(&e->net->spec, a)->weight *
                         answer[a].loss;
    }
    all->accuracy = answer[pcv_main_answer(e->net)].accuracy;
}

/* What the others have found is added. */
static int join(evaluation *e)
{
    for (int a = 0; a < e->net->answers; a++) {
        e->ranking[a].labels = e->net->answer[a].outputs;
        if (pcv_peers_collect(e->how->peers, &e->ranking[a].rows) < 0)
            return -1;
    }
    return pcv_tally_join(e->tally, e->net->answers, e->how->peers);
}

int pcv_training_evaluate(const pcv_net *n, const pcv_run_spec *r,
                          const pcv_columns_of *of, const pcv_split *s,
                          const pcv_evaluation_how *how,
                          pcv_score answer[PCV_MOST_PARTS], pcv_score *all)
{
    evaluation *e = pcv_alloc(1, sizeof *e);
    uint32_t most = (uint32_t)batch_of(n), left;
    size_t first, share = pcv_peers_share(how->peers,
                                          (s->count + most - 1) / most, &first);
    int status = -1;

    if (!e)
        return -1;
    e->net = n;
    e->how = how;
    pcv_session_open(&e->s, n, false, pcv_net_asked(n, INT32_MAX));
    if (how->latents)
        pcv_session_latents(&e->s, how->latents);
    if (pcv_feeding_open(&e->f, n, r, of, s, false, (int)most) == 0)
        status = 0;
    for (size_t b = first; status == 0 && b < first + share; b++) {
        left = s->count - (uint32_t)b * most;
        status = evaluate_batch(e, (uint32_t)b * most,
                                (int)(left < most ? left : most));
    }
    if (status == 0)
        status = join(e);
    if (status == 0)
        score(e, answer, all);
    for (int a = 0; a < PCV_MOST_PARTS; a++)
        pcv_ranking_free(&e->ranking[a]);
    pcv_feeding_close(&e->f);
    pcv_session_close(&e->s);
    pcv_free(e);
    return status;
}
