/* vector_help.c - weights that are a formula, one block applied, a measure of
 * error. */
#include "vector_help.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- error ----------------------------------------------------------- */

static double worst;

void vector_check_to(double tol, const char *what, int which,
                     const real *have, const double *want, size_t n)
{
    double up = 0, down = 0;

    for (size_t i = 0; i < n; i++) {
        up += pow((double)have[i] - want[i], 2);
        down += pow(want[i], 2);
    }
    help_below(sqrt(up / down), tol, what, which);
    worst = fmax(worst, sqrt(up / down));
}

void vector_check(const char *what, int which, const real *have,
                  const double *want, size_t n)
{
    vector_check_to(HELP_TOL(1e-5, 1e-6), what, which, have, want, n);
}

int vector_report(void **state)
{
    (void)state;
    print_message("largest error: %.2g\n", worst);
    return 0;
}

/* ---- the fill rule --------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
    const pcv_param *const *p = a, *const *q = b;

    return strcmp((*p)->name, (*q)->name);
}

static bool adds_one(const char *name)
{
    const char *end = strrchr(name, '.');

    if (!end)
        return false;
    if (strstr(name, "layernorm") || strstr(name, "batchnorm"))
        return !strcmp(end, ".weight") || !strcmp(end, ".running_var");
    return false;
}

void vector_fill(pcv_params *p, double a, int tensors)
{
    pcv_param **order = pcv_alloc((size_t)p->count, sizeof *order);

    assert_int_equal(p->count, tensors);
    if (!p->w)
        assert_int_equal(pcv_params_weights(p), 0);
    memcpy(order, p->param, (size_t)p->count * sizeof *order);
    qsort(order, (size_t)p->count, sizeof *order, by_name);
    for (int t = 0; t < p->count; t++)
        for (size_t k = 0; k < order[t]->count; k++)
            order[t]->w[k] = (real)(a * sin(0.7 * (double)k + 1.3 * t + 0.2) +
                                    adds_one(order[t]->name));
    pcv_free(order);
}

/* ---- inputs and blocks ----------------------------------------------- */

void vector_wave(float *x, int height, int width)
{
    for (int c = 0; c < 3; c++)
        for (int h = 0; h < height; h++)
            for (int w = 0; w < width; w++)
                *x++ = (float)sin(0.3 * c + 0.5 * h - 0.8 * w);
}

void vector_apply(const pcv_block *b, const pcv_tokens *t, int n, int form,
                  const real *x, real *y)
{
    const pcv_pass pass = {0};
    size_t bytes = pcv_block_scratch(b, t, 1, n, form, false);
    pcv_arena count = {0}, a, scratch;
    pcv_block_record rec;

    pcv_block_layout(b, t, 1, n, form, &count, &rec);
    assert_int_equal(pcv_arena_open(&a, count.peak), 0);
    assert_int_equal(pcv_arena_open(&scratch, bytes), 0);
    pcv_block_layout(b, t, 1, n, form, &a, &rec);
    pcv_block_forward(b, t, 1, n, form, &pass, 0, x, y, &rec, &scratch);
    pcv_arena_close(&a);
    pcv_arena_close(&scratch);
}
