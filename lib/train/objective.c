/* objective.c - outputs and what was wanted -> loss and gradient: one row of a
 * table for each task. */
#include "train.h"

#include <math.h>

static const struct {
    pcv_loss *loss;
    bool counts;                /* the largest output is right or wrong */
} tasks[] = {
    [PCV_CLASSIFY] = { pcv_cross_entropy, true },
    [PCV_TAGS] = { pcv_binary_cross_entropy, false },
    [PCV_VALUES] = { pcv_squared_error, false },
    [PCV_FILL] = { pcv_cross_entropy, true },
    [PCV_RECONSTRUCT] = { pcv_squared_error, false },
    [PCV_MOTION] = { pcv_squared_error, false },
};

bool pcv_task_counts(int task)
{
    return tasks[task].counts;
}

int pcv_tally_join(pcv_tally *t, int n, pcv_peers *peers)
{
    for (int i = 0; i < n; i++, t++) {
        double sum[] = { t->loss, t->right, t->rows };

        if (pcv_peers_add(peers, sum, (int)PCV_LEN(sum)) < 0)
            return -1;
        *t = (pcv_tally){ sum[0], sum[1], sum[2] };
    }
    return 0;
}

double pcv_wanted(const pcv_feeding *f, int which, int from, int items)
{
    size_t k = (size_t)f->net->answer[which].outputs;
    size_t asked = (size_t)f->target[which].asked, n = 0;
    const real *want = f->target[which].want + (size_t)from * asked * k;

    for (size_t i = 0; i < (size_t)items * asked; i++)
        n += isnan(want[i * k]) ? 0 : 1;
    return (double)n;
}

void pcv_objective(pcv_session *s, const pcv_feeding *f, int which, int from,
                   double scale, pcv_tally *t)
{
    int task = pcv_spec_answer(&f->net->spec, which)->task;
    int k = f->net->answer[which].outputs, asked = f->target[which].asked;
    int rows = s->items * asked;
    const real *out = s->out;
    const real *want = f->target[which].want +
                       (size_t)from * (size_t)asked * (size_t)k;

    t->loss += tasks[task].loss(out, want, rows, k, scale,
                                scale > 0 ? s->dout : NULL);
    for (int r = 0; r < rows; r++, out += k, want += k) {
        if (isnan(*want))
            continue;
        t->rows++;
        t->right += tasks[task].counts &&
                    pcv_largest(out, k) == pcv_largest(want, k);
    }
}
