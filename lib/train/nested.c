/* nested.c - one model for several counts of latents (Matryoshka Query
 * Transformer, arXiv 2405.19315): a step draws a count and uses that many of
 * the first latents.  No mask is needed: attention among latents, and the
 * decoder's, simply has fewer rows. */
#include "train.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

int pcv_nested_counts(const pcv_spec *s, int count[PCV_MOST_COUNTS])
{
    const char *p = s->nested;
    int n = 0;

    while (*p) {
        char *end;
        long v = strtol(p, &end, 10);

        if (end == p || (*end && *end != ',') || v < 1 || v >= s->latents ||
            n == PCV_MOST_COUNTS || (n && v <= count[n - 1]))
            return pcv_fail(EX_USAGE, "nested: '%s', want rising counts below "
                            "the %d latents, such as 8,16,32", s->nested,
                            s->latents);
        count[n++] = (int)v;
        p = *end ? end + 1 : end;
    }
    return n;
}

int pcv_nested_draw(const pcv_spec *s, uint64_t seed, uint64_t step)
{
    int count[PCV_MOST_COUNTS], n = pcv_nested_counts(s, count);
    double u = pcv_uniform(seed + 86028121, step, 0);

    return n <= 0 || u < 0.5 ? s->latents : count[(int)((2 * u - 1) * n)];
}

static bool is_good(const pcv_run_spec *r, const pcv_score *whole,
                    const pcv_score *part)
{
    double share = r->margin / 100;

    return isnan(whole->accuracy) ? part->loss <= whole->loss * (1 + share)
                                  : part->accuracy >= whole->accuracy - share;
}

int pcv_nested_choose(const pcv_net *n, const pcv_run_spec *r,
                      const pcv_splits *s, pcv_peers *peers,
                      pcv_nested_tell *tell, void *arg)
{
    int count[PCV_MOST_COUNTS], counts = pcv_nested_counts(&n->spec, count);
    pcv_score answer[PCV_MOST_PARTS], whole = {0}, part;
    pcv_evaluation_how how = { .peers = peers };

    if (counts < 0)
        return -1;
    for (int i = -1; i < counts; i++) {         /* all of them come first */
        how.latents = i < 0 ? n->spec.latents : count[i];
        if (pcv_training_evaluate(n, r, &s->of, &s->val, &how, answer,
                                  &part) < 0)
            return -1;
        if (tell)
            tell(arg, how.latents, &part);
        if (i < 0)
            whole = part;
        else if (is_good(r, &whole, &part))
            return count[i];
    }
    return n->spec.latents;
}

/* Counts below the new one are still trained for. */
void pcv_nested_cut(pcv_net *n, int latents)
{
    int count[PCV_MOST_COUNTS], counts = pcv_nested_counts(&n->spec, count);
    size_t at = 0;

    *n->spec.nested = '\0';
    for (int i = 0; i < counts && count[i] < latents; i++)
        at += (size_t)snprintf(n->spec.nested + at, sizeof n->spec.nested - at,
                               "%s%d", i ? "," : "", count[i]);
    n->spec.latents = latents;
    n->latents->dim[0] = (size_t)latents;
    n->latents->count = (size_t)latents * (size_t)n->spec.d;
}
