/* mel_test.c - bands of frequencies against the definition, in double and by
 * sums over all samples, and against tones, whose band is known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "../lib/data/data.h"
#include "scratch.h"

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

static const double pi = 3.14159265358979323846;

static float *noise(size_t n)
{
    float *v = pcv_alloc(n, sizeof *v);

    for (size_t i = 0; i < n; i++)
        v[i] = (float)(0.3 * pcv_normal(5, 1, i) + sin(0.3 * (double)i));
    return v;
}

static pcv_media sound_of(float *v, size_t n, int rate)
{
    return (pcv_media){ PCV_MEDIA_SOUND, { PCV_F32, 1, { n }, v }, rate };
}

static pcv_prep mels(int rate, int n, double window, double step)
{
    return (pcv_prep){ .modality = PCV_SOUND, .rate = rate, .mels = n,
                       .mel_window = window, .mel_step = step };
}

static void prepare(const pcv_prep *p, const pcv_media *m, pcv_array *x)
{
    if (pcv_prepare(p, m, "x", x) < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(x->dtype, PCV_F32);
    assert_int_equal(x->rank, 2);
    assert_int_equal(x->dim[1], p->mels);
}

/* ---- the definition -------------------------------------------------- */

/* Where edge i of n bands is, in Hz. */
static double edge(int i, int n, int rate)
{
    double mel = 2595 * log10(1 + rate / 2.0 / 700) * i / (n + 1);

    return 700 * (pow(10, mel / 2595) - 1);
}

/* Band b of power p (points frequencies, `apart` Hz from each other). */
static double band(const double *p, int points, double apart, int b, int n,
                   int rate)
{
    double low = edge(b, n, rate), top = edge(b + 1, n, rate);
    double high = edge(b + 2, n, rate), sum = 0;

    for (int k = 0; k < points; k++) {
        double up = (k * apart - low) / (top - low);
        double down = (high - k * apart) / (high - top);
        double w = up < down ? up : down;

        sum += w > 0 ? w * p[k] : 0;
    }
    return sum;
}

/* |X(k)|^2 of W samples at v, those from n on 0, by the sum itself. */
static double power(const float *v, int n, int w, int k, int points)
{
    double re = 0, im = 0, energy = 0;

    for (int i = 0; i < w; i++) {
        double hann = pow(sin(pi * i / w), 2);
        double x = i < n ? hann * (double)v[i] : 0;

        re += x * cos(pi * k * i / (points - 1));
        im -= x * sin(pi * k * i / (points - 1));
        energy += hann * hann;
    }
    return (re * re + im * im) / energy;
}

/* All of it: frames x n values. */
static void define(const float *v, int samples, int rate, int w, int s, int n,
                   int frames, double *out)
{
    double mean = 0, variance = 0, p[1025];
    int points = 2, all = frames * n;

    while (2 * (points - 1) < w || 2 * (points - 1) < rate / edge(1, n, rate))
        points = 2 * points - 1;
    for (int f = 0; f < frames; f++) {
        for (int k = 0; k < points; k++)
            p[k] = power(v + f * s, samples - f * s, w, k, points);
        for (int b = 0; b < n; b++)
            out[f * n + b] = log(1e-6 + band(p, points, rate / 2.0 /
                                             (points - 1), b, n, rate));
    }
    for (int i = 0; i < all; i++)
        mean += out[i] / all;
    for (int i = 0; i < all; i++)
        variance += (out[i] - mean) * (out[i] - mean) / all;
    for (int i = 0; i < all; i++)
        out[i] = (out[i] - mean) / sqrt(variance);
}

/* Windows of a power of two, of an odd number, with more bands than a window
 * has frequencies; a last frame that is full and one that is not. */
static void bands_are_those_of_the_formula(void **state)
{
    static const struct {
        int rate, mels;
        double window, step;
        int w, s, samples, frames;
    } row[] = {
        { 8000, 40, 25, 10, 200, 80, 1000, 11 },
        { 8000, 40, 25, 10, 200, 80, 1001, 12 },
        { 16000, 64, 16, 16, 256, 256, 1024, 4 },
        { 1000, 90, 33, 12.5, 33, 13, 500, 37 },
        { 44100, 5, 2.5, 1, 110, 44, 111, 2 },
        { 8000, 1, 25, 10, 200, 80, 350, 3 },
        { 8000, 20, 25, 10, 200, 80, 7, 1 },
    };
    double want[4000];

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        pcv_prep p = mels(row[i].rate, row[i].mels, row[i].window,
                          row[i].step);
        float *v = noise((size_t)row[i].samples);
        pcv_media m = sound_of(v, (size_t)row[i].samples, row[i].rate);
        pcv_array x;

        prepare(&p, &m, &x);
        assert_int_equal(x.dim[0], row[i].frames);
        define(v, row[i].samples, row[i].rate, row[i].w, row[i].s,
               row[i].mels, row[i].frames, want);
        for (int k = 0; k < row[i].frames * row[i].mels; k++) {
            double have = (double)((float *)x.data)[k];

            if (!(fabs(have - want[k]) < 2e-5))
                fail_msg("row %zu, value %d: %.9g, want %.9g", i, k, have,
                         want[k]);
        }
        pcv_array_free(&x);
        pcv_free(v);
    }
}

/* A tone where the triangle of a band has its top is loudest there. */
static void a_tone_is_in_its_band(void **state)
{
    enum { RATE = 16000, N = 2000, MELS = 24 };
    pcv_prep p = mels(RATE, MELS, 25, 10);

    (void)state;
    p.level = 1;
    for (int b = 0; b < MELS; b++) {
        float *v = pcv_alloc(N, sizeof *v);
        pcv_media m = sound_of(v, N, RATE);
        pcv_array x;

        for (int i = 0; i < N; i++)
            v[i] = (float)(0.1 * sin(2 * pi * edge(b + 1, MELS, RATE) * i /
                                     RATE));
        prepare(&p, &m, &x);
        for (size_t f = 0; f < x.dim[0]; f++) {
            const float *have = (float *)x.data + f * MELS;
            int most = 0;

            for (int k = 0; k < MELS; k++)
                most = have[k] > have[most] ? k : most;
            if (most != b)
                fail_msg("a tone of band %d is in band %d", b, most);
        }
        pcv_array_free(&x);
        pcv_free(v);
    }
}

/* ---- lengths, levels, silence ---------------------------------------- */

/* Frames that are all padding are 0 and count for nothing; what is beyond
 * `samples` is not there. */
static void padded_and_cut(void **state)
{
    enum { HAVE = 500, MORE = 2000, FEW = 300 };
    pcv_prep p = mels(8000, 10, 25, 10), cut = p;
    float *v = noise(HAVE);
    pcv_media m = sound_of(v, HAVE, 8000);
    pcv_array x, y;
    size_t n;

    (void)state;
    prepare(&p, &m, &x);
    n = pcv_array_count(&x);
    p.samples = MORE;
    prepare(&p, &m, &y);
    assert_int_equal(y.dim[0], 24);
    assert_memory_equal(x.data, y.data, n * sizeof(float));
    for (size_t i = n; i < pcv_array_count(&y); i++)
        assert_true(((float *)y.data)[i] == 0);
    pcv_array_free(&x);
    pcv_array_free(&y);
    cut.samples = FEW;
    prepare(&cut, &m, &x);
    m.array.dim[0] = FEW;
    prepare(&cut, &m, &y);
    assert_int_equal(x.dim[0], 3);
    assert_memory_equal(x.data, y.data, pcv_array_count(&x) * sizeof(float));
    pcv_array_free(&x);
    pcv_array_free(&y);
    pcv_free(v);
}

static void loudness_does_not_matter(void **state)
{
    enum { N = 900 };
    pcv_prep p = mels(8000, 12, 25, 10);
    float *v = noise(N), *loud = pcv_alloc(N, sizeof *loud);
    pcv_media m = sound_of(v, N, 8000), l = sound_of(loud, N, 8000);
    pcv_array x, y;

    (void)state;
    for (int i = 0; i < N; i++)
        loud[i] = 4 * v[i];
    p.level = 1;
    prepare(&p, &m, &x);
    prepare(&p, &l, &y);
    assert_memory_equal(x.data, y.data, pcv_array_count(&x) * sizeof(float));
    pcv_array_free(&y);
    memset(loud, 0, N * sizeof *loud);
    prepare(&p, &l, &y);
    for (size_t i = 0; i < pcv_array_count(&y); i++)
        assert_true(((float *)y.data)[i] == 0);
    pcv_array_free(&x);
    pcv_array_free(&y);
    pcv_free(v);
    pcv_free(loud);
}

/* ---- arrays ---------------------------------------------------------- */

static void refuse(const pcv_prep *p, const pcv_media *m, const char *what)
{
    pcv_array x;

    assert_int_equal(pcv_prepare(p, m, "x", &x), -1);
    if (!strstr(pcv_error(), what))
        fail_msg("'%s', want '%s'", pcv_error(), what);
    pcv_error_clear();
}

static void arrays_go_in_as_they_are(void **state)
{
    enum { N = 500 };
    pcv_prep p = mels(8000, 4, 25, 10);
    float *v = noise(N);
    pcv_media m = { PCV_MEDIA_ARRAY, { PCV_F32, 2, { 5, 4 }, v }, 0 };
    pcv_media s = sound_of(v, N, 8000);
    pcv_array x, y;

    (void)state;
    prepare(&p, &m, &x);
    assert_int_equal(x.dim[0], 5);
    assert_memory_equal(x.data, v, 20 * sizeof *v);
    pcv_array_free(&x);
    m.array = (pcv_array){ PCV_F32, 3, { 1, 5, 4 }, v };
    prepare(&p, &m, &x);
    pcv_array_free(&x);
    m.array = (pcv_array){ PCV_F32, 2, { 4, 5 }, v };
    refuse(&p, &m, "x: array is F32 [4,5], want floats [frames,4] or "
           "[samples]");
    p.samples = 600;
    m.array = (pcv_array){ PCV_F32, 2, { 7, 4 }, v };
    refuse(&p, &m, "x: array is F32 [7,4], want floats [6,4] or [samples]");
    m.array = (pcv_array){ PCV_F32, 1, { N }, v };
    prepare(&p, &m, &x);
    prepare(&p, &s, &y);
    assert_memory_equal(x.data, y.data, pcv_array_count(&y) * sizeof *v);
    pcv_array_free(&x);
    pcv_array_free(&y);
    for (int i = 0; i < N; i++)
        v[i] = 3e38f;
    refuse(&p, &m, "x: samples are too large for energies");
    pcv_free(v);
}

/* ---- memory ---------------------------------------------------------- */

static void every_allocation_may_fail(void **state)
{
    enum { N = 700 };
    pcv_prep p = mels(8000, 4, 25, 10);
    float *v = noise(N);
    pcv_media m = sound_of(v, N, 8000);
    pcv_array x;
    long k = 0;
    int status;

    (void)state;
    do {
        pcv_error_clear();
        pcv_alloc_fail_at(++k);
        status = pcv_prepare(&p, &m, "x", &x);
        pcv_alloc_fail_at(0);
        if (status < 0)
            assert_int_equal(pcv_error_code(), EX_OSERR);
    } while (status < 0);
    assert_true(k > 8);
    pcv_array_free(&x);
    pcv_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(bands_are_those_of_the_formula),
        TEST(a_tone_is_in_its_band),
        TEST(padded_and_cut),
        TEST(loudness_does_not_matter),
        TEST(arrays_go_in_as_they_are),
        TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
