/* augment_help.c - see augment_help.h. */
#include "augment_help.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

pcv_run_spec augment_settings(const char *settings)
{
    pcv_run_spec r;
    char text[256], *rest = text, *one;

    pcv_run_default(&r);
    assert_true(snprintf(text, sizeof text, "%s", settings) < 256);
    while ((one = strtok_r(rest, " ", &rest))) {
        char *value = strchr(one, '=');

        assert_non_null(value);
        *value++ = '\0';
        assert_int_equal(pcv_run_set(&r, one, value), 0);
    }
    return r;
}

pcv_prep augment_prep(int modality, int channels, int mels)
{
    return (pcv_prep){ .modality = modality, .channels = channels,
                       .mels = mels, .mean = { 0.4, 0.5, 0.6, 0.6 },
                       .std = { 0.25, 0.3, 0.2, 0.2 } };
}

int augment_check(const pcv_run_spec *r, const pcv_prep *prep)
{
    pcv_spec s;

    pcv_spec_default(&s);
    s.prep = *prep;
    return pcv_augment_check(r, &s);
}

pcv_array augment_example(size_t d0, size_t d1, size_t d2, uint64_t stream)
{
    pcv_array x = { PCV_F32, d2 ? 3 : d1 ? 2 : 1, { d0, d1, d2 }, NULL };
    size_t n = pcv_array_count(&x);
    float *v = x.data = pcv_alloc(n, sizeof *v);

    assert_non_null(v);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)pcv_normal(77, stream, i);
    return x;
}

pcv_array augment_copy(const pcv_array *x)
{
    pcv_array y = *x;
    size_t bytes = pcv_array_count(x) * sizeof(float);

    y.data = pcv_alloc(bytes, 1);
    assert_non_null(y.data);
    memcpy(y.data, x->data, bytes);
    return y;
}

float *augment_values(const pcv_array *x)
{
    return x->data;
}

bool augment_same(const pcv_array *a, const pcv_array *b)
{
    return a->rank == b->rank &&
           !memcmp(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim) &&
           !memcmp(a->data, b->data, pcv_array_count(a) * sizeof(float));
}

pcv_array augment_made(const pcv_run_spec *r, const pcv_prep *prep,
                       uint64_t stream, const pcv_array *x)
{
    pcv_array y = augment_copy(x);

    assert_int_equal(pcv_augment(r, prep, stream, &y), 0);
    return y;
}

void augment_chance(double hits, double n, double p, const char *what)
{
    help_below(fabs(hits - n * p) / sqrt(n * p * (1 - p)), 5, what, (int)hits);
}
