/* mel.c - sound -> how much there is of each band of frequencies, frame by
 * frame: F32 [frames][mels].
 *
 *   frame f  x(i) = s(f S + i) w(i), i < W, w(i) = (1 - cos(2 pi i / W)) / 2;
 *            behind the end of the sound s is 0
 *   power    P(k) = |sum_i x(i) exp(-2 pi j k i / N)|^2 / sum_i w(i)^2
 *   band b   E(b) = sum_k t_b(k R / N) P(k), 0 <= b < mels
 *   value    v = log(E + 1e-6), then (v - mean) / deviation: both are of all
 *            values of the sound; where all are equal, 0
 *
 * W and S are window and step in samples, R is the rate.  The triangle t_b
 * rises from 0 at h(b) to 1 at h(b + 1) and falls to 0 at h(b + 2), straight in
 * Hz, where h(0) = 0 .. h(mels + 1) = R / 2 are evenly spaced on HTK's scale,
 * 2595 log10(1 + h / 700).  N is the least power of two that is at least W and
 * at least R / h(1): the narrowest triangle then has a frequency in it.
 *
 * The sum over w^2 makes noise of a root mean square of 1 have P = 1 whatever
 * the window, so 1e-6 is 60 dB below the usual `level`. */
#include "formats.h"

#include <kissfft/kiss_fftr.h>
#include <math.h>
#include <string.h>

#define SMALL 1e-6

static const double pi = 3.14159265358979323846;

typedef struct {
    size_t mels, window, step, points;          /* points: N / 2 + 1 */
    kiss_fftr_cfg fft;
    float *in;                  /* N samples: a frame, then zeros */
    kiss_fft_cpx *out;          /* points */
    float *weight;              /* window, over the root of its energy */
    int *edge;                  /* points: h(edge) <= frequency <= h(edge + 1),
                                   .. */
    float *rise;                /* .. and where between them, 0 to 1 */
    double *energy;             /* mels + 2: the outer ones are no bands */
    double sum, square, count;  /* over all values */
} mel;

/* ---- tables ---------------------------------------------------------- */

/* h(i) of n bands. */
static double edge_at(size_t i, size_t n, int rate)
{
    const double top = log10(1 + rate / 2.0 / 700);

    return 700 * (pow(10, top * (double)i / (double)(n + 1)) - 1);
}

static size_t transform_size(const mel *m, int rate)
{
    const double least = rate / edge_at(1, m->mels, rate);
    size_t n = 2;

    while (n < m->window || (double)n < least)
        n *= 2;
    return n;
}

static void make_window(mel *m)
{
    double energy = 0;

    for (size_t i = 0; i < m->window; i++) {
        const double turn = (double)i / (double)m->window;
        const double w = (1 - cos(2 * pi * turn)) / 2;

        m->weight[i] = (float)w;
        energy += w * w;
    }
    for (size_t i = 0; i < m->window; i++)
        m->weight[i] = (float)((double)m->weight[i] / sqrt(energy));
}

static void make_bands(mel *m, int rate)
{
    size_t e = 0;

    for (size_t k = 0; k < m->points; k++) {
        const double f = (double)k * rate / (2 * ((double)m->points - 1));
        double low, high;

        while (e < m->mels && edge_at(e + 1, m->mels, rate) <= f)
            e++;
        low = edge_at(e, m->mels, rate);
        high = edge_at(e + 1, m->mels, rate);
        m->edge[k] = (int)e;
        m->rise[k] = (float)((f - low) / (high - low));
    }
}

static void close_mel(mel *m)
{
    pcv_free(m->fft);
    pcv_free(m->in);
    pcv_free(m->out);
    pcv_free(m->weight);
    pcv_free(m->edge);
    pcv_free(m->rise);
    pcv_free(m->energy);
}

/* 0 or -1; closed in either case. */
static int open_mel(mel *m, const pcv_prep *p)
{
    size_t n, bytes = 0;

    *m = (mel){ .mels = (size_t)p->mels, .window = pcv_prep_window(p),
                .step = pcv_prep_step(p) };
    n = transform_size(m, p->rate);
    m->points = n / 2 + 1;
    kiss_fftr_alloc((int)n, 0, NULL, &bytes);
    m->fft = pcv_alloc(bytes, 1);
    m->in = pcv_alloc(n, sizeof *m->in);
    m->out = pcv_alloc(m->points, sizeof *m->out);
    m->weight = pcv_alloc(m->window, sizeof *m->weight);
    m->edge = pcv_alloc(m->points, sizeof *m->edge);
    m->rise = pcv_alloc(m->points, sizeof *m->rise);
    m->energy = pcv_alloc(m->mels + 2, sizeof *m->energy);
    if (!m->fft || !m->in || !m->out || !m->weight || !m->edge || !m->rise ||
        !m->energy)
        return -1;
    kiss_fftr_alloc((int)n, 0, m->fft, &bytes);
    make_window(m);
    make_bands(m, p->rate);
    return 0;
}

/* ---- frames ---------------------------------------------------------- */

/* The logarithms of the samples in m->in, which are used up. */
static void frame(mel *m, float *out)
{
    for (size_t i = 0; i < m->window; i++)
        m->in[i] *= m->weight[i];
    kiss_fftr(m->fft, m->in, m->out);
    memset(m->energy, 0, (m->mels + 2) * sizeof *m->energy);
    for (size_t k = 0; k < m->points; k++) {
        const double re = (double)m->out[k].r, im = (double)m->out[k].i;
        const double power = re * re + im * im, r = (double)m->rise[k];

        m->energy[m->edge[k]] += (1 - r) * power;
        m->energy[m->edge[k] + 1] += r * power;
    }
    for (size_t b = 0; b < m->mels; b++) {
        out[b] = (float)log(m->energy[b + 1] + SMALL);
        m->sum += (double)out[b];
        m->square += (double)out[b] * (double)out[b];
    }
    m->count += (double)m->mels;
}

/* What rounding leaves of equal values is no deviation. */
static void normalise(const mel *m, float *v, size_t n)
{
    const double mean = m->sum / m->count;
    const double variance = m->square / m->count - mean * mean;
    const double scale = variance > 1e-8 ? 1 / sqrt(variance) : 0;

    for (size_t i = 0; i < n; i++)
        v[i] = (float)(((double)v[i] - mean) * scale);
}

/* Frame f of n samples, in memory or not, into m->in. */
static void take_frame(mel *m, const pcv_array *samples, size_t n, size_t f)
{
    const size_t at = f * m->step;              /* < n: step <= window */
    const size_t have = n - at < m->window ? n - at : m->window;

    if (samples->dtype == PCV_STORED)
        pcv_store_floats(samples->data, at, have, m->in);
    else
        memcpy(m->in, (const float *)samples->data + at, have * sizeof *m->in);
    memset(m->in + have, 0, (m->window - have) * sizeof *m->in);
}

/* Sums of samples for which float has no room, and a file that failed. */
static int check_samples(const mel *m, const pcv_array *samples,
                         const char *name)
{
    if (samples->dtype == PCV_STORED && pcv_store_check(samples->data) < 0)
        return -1;
    return isfinite(m->square) ? 0 :
           pcv_fail(EX_DATAERR, "%s: samples are too large for energies, want "
                    "about -1 to 1", name);
}

int pcv_mel(const pcv_prep *prep, const pcv_array *samples, size_t n,
            const char *name, float *out)
{
    const size_t frames = pcv_prep_frames(prep, n);
    mel m;
    int r = open_mel(&m, prep);

    for (size_t f = 0; r == 0 && f < frames; f++) {
        take_frame(&m, samples, n, f);
        frame(&m, out + f * m.mels);
    }
    if (r == 0)
        r = check_samples(&m, samples, name);
    if (r == 0)
        normalise(&m, out, frames * m.mels);
    close_mel(&m);
    return r;
}

/* ---- bands that are not in memory ------------------------------------ */

/* v has room for a row. */
static int store_logs(mel *m, const pcv_array *samples, size_t frames,
                      float *v, pcv_store *out)
{
    for (size_t f = 0; f < frames; f++) {
        take_frame(m, samples, samples->dim[0], f);
        frame(m, v);
        if (pcv_store_add(out, v, m->mels * sizeof *v) < 0)
            return -1;
    }
    return 0;
}

static int store_values(const mel *m, pcv_store *in, size_t frames, float *v,
                        pcv_store *out)
{
    for (size_t f = 0; f < frames; f++) {
        pcv_store_floats(in, f * m->mels, m->mels, v);
        normalise(m, v, m->mels);
        if (pcv_store_add(out, v, m->mels * sizeof *v) < 0)
            return -1;
    }
    return pcv_store_check(in);
}

pcv_store *pcv_mel_stored(const pcv_prep *prep, const pcv_array *samples,
                          const char *name)
{
    const size_t frames = pcv_prep_frames(prep, samples->dim[0]);
    pcv_store *logs = pcv_store_beside(samples->data);
    pcv_store *out = pcv_store_beside(samples->data);
    float *v = pcv_alloc((size_t)prep->mels, sizeof *v);
    mel m;

    if (open_mel(&m, prep) < 0 || !logs || !out || !v ||
        store_logs(&m, samples, frames, v, logs) < 0 ||
        check_samples(&m, samples, name) < 0 ||
        store_values(&m, logs, frames, v, out) < 0) {
        pcv_store_close(out);
        out = NULL;
    }
    close_mel(&m);
    pcv_store_close(logs);
    pcv_free(v);
    return out;
}
