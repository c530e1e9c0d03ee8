/* metric.c - mean average precision: for each label the mean, over the
 * examples that have it, of the share of them among those that score as high
 * or higher; then the mean over labels that any example has. */
#include "train.h"

#include <math.h>
#include <stdlib.h>

void pcv_ranking_free(pcv_ranking *r)
{
    pcv_buf_free(&r->rows);
    *r = (pcv_ranking){0};
}

void pcv_ranking_add(pcv_ranking *r, const real *want, const real *out, int k)
{
    r->labels = k;
    for (int i = 0; i < k; i++) {
        pcv_ranked one = { (float)out[i], want[i] > (real)0.5 };

        pcv_buf_add(&r->rows, &one, sizeof one);
    }
}

static int higher_first(const void *a, const void *b)
{
    const pcv_ranked *x = a, *y = b;

    return x->score < y->score ? 1 : x->score > y->score ? -1 : 0;
}

/* One label's n examples, which are put in order.  Those that score alike have
 * the share behind the last of them: their order is no merit. */
static double average_precision(pcv_ranked *v, size_t n)
{
    double sum = 0;
    size_t have = 0, alike;

    qsort(v, n, sizeof *v, higher_first);
    for (size_t i = 0; i < n; i += alike) {
        size_t some = v[i].has;

        for (alike = 1; i + alike < n && v[i + alike].score == v[i].score;
             alike++)
            some += v[i + alike].has;
        have += some;
        sum += (double)some * (double)have / (double)(i + alike);
    }
    return have ? sum / (double)have : (double)NAN;
}

double pcv_ranking_mean(const pcv_ranking *r)
{
    const pcv_ranked *all = (const pcv_ranked *)(const void *)r->rows.data;
    size_t k = (size_t)r->labels, n = k ? r->rows.len / sizeof *all / k : 0;
    pcv_ranked *v = pcv_alloc(n + 1, sizeof *v);
    double sum = 0;
    int labels = 0;

    for (size_t l = 0; v && !r->rows.failed && l < k; l++) {
        double p;

        for (size_t i = 0; i < n; i++)
            v[i] = all[i * k + l];
        p = average_precision(v, n);
        sum += isnan(p) ? 0 : p;
        labels += !isnan(p);
    }
    pcv_free(v);
    return labels ? sum / labels : (double)NAN;
}
