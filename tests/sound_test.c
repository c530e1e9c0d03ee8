/* sound_test.c - sound in and out, against files written out by hand and
 * against sines, whose frequency and amplitude are known. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/data/data.h"
#include "scratch.h"

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

static pcv_reading sound(void)
{
    pcv_reading how;

    pcv_reading_default(&how);
    how.modality = PCV_SOUND;
    return how;
}

/* From a copy of exactly n bytes, so that a sanitizer sees the first beyond. */
static int decode(const void *data, size_t n, const pcv_reading *how,
                  pcv_media *out)
{
    unsigned char *copy = test_malloc(n ? n : 1);
    int status;

    memcpy(copy, data, n);
    status = pcv_decode(copy, n, "x", how, out, NULL);
    test_free(copy);
    return status;
}

static void assert_sound(const void *data, size_t n, const pcv_reading *how,
                         int rate, const float *want, size_t samples)
{
    pcv_media m;

    if (decode(data, n, how, &m) < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(m.kind, PCV_MEDIA_SOUND);
    assert_int_equal(m.array.dtype, PCV_F32);
    assert_int_equal(m.array.rank, 1);
    assert_int_equal(m.array.dim[0], samples);
    assert_int_equal(m.rate, rate);
    assert_memory_equal(m.array.data, want, samples * sizeof *want);
    pcv_media_free(&m);
}

static void refuse(const void *data, size_t n, const pcv_reading *how,
                   int code, const char *text)
{
    pcv_media m;

    assert_int_equal(decode(data, n, how, &m), -1);
    assert_failed(code, text);
    assert_int_equal(m.kind, 0);
    assert_null(m.array.data);
}

/* ---- WAV by hand ----------------------------------------------------- */

typedef struct {
    unsigned char byte[512];
    size_t n;
} bytes;

static void low(bytes *b, unsigned long v, int n)
{
    for (int i = 0; i < n; i++)
        b->byte[b->n++] = (unsigned char)(v >> 8 * i);
}

static void text(bytes *b, const char *s)
{
    memcpy(b->byte + b->n, s, strlen(s));
    b->n += strlen(s);
}

/* format 1 PCM, 3 float; claim is what the data chunk says of its size. */
static bytes wav(int format, int channels, unsigned long rate, int bits,
                 unsigned long claim)
{
    unsigned long frame = (unsigned long)(channels * bits / 8);
    bytes b = {.n = 0};

    text(&b, "RIFF");
    low(&b, 36 + claim, 4);
    text(&b, "WAVEfmt ");
    low(&b, 16, 4);
    low(&b, (unsigned long)format, 2);
    low(&b, (unsigned long)channels, 2);
    low(&b, rate, 4);
    low(&b, rate * frame, 4);
    low(&b, frame, 2);
    low(&b, (unsigned long)bits, 2);
    text(&b, "data");
    low(&b, claim, 4);
    return b;
}

static void low_float(bytes *b, float x)
{
    uint32_t u;

    memcpy(&u, &x, 4);
    low(b, u, 4);
}

static void channels_are_averaged(void **state)
{
    const float want[] = {0.5f, -1, -0.25f};
    bytes b = wav(1, 2, 22050, 16, 12);
    pcv_reading how = sound();

    (void)state;
    low(&b, 0x4000, 2), low(&b, 0x4000, 2);
    low(&b, 0x8000, 2), low(&b, 0x8000, 2);
    low(&b, 0x4000, 2), low(&b, 0x8000, 2);
    assert_sound(b.byte, b.n, &how, 22050, want, 3);
}

/* What a program that writes to a pipe puts there, and what lies. */
static void claimed_length_is_not_believed(void **state)
{
    const unsigned long claim[] = {0xffffffff, 0x7ffff000, 0x7fffffff, 4000};
    const float want[] = {0.5f, -0.5f};
    pcv_reading how = sound();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(claim); i++) {
        bytes b = wav(1, 1, 8000, 16, claim[i]);

        low(&b, 0x4000, 2), low(&b, 0xc000, 2);
        assert_sound(b.byte, b.n, &how, 8000, want, 2);
    }
}

static void samples_must_be_numbers(void **state)
{
    const float bad[] = {(float)NAN, (float)INFINITY, -(float)INFINITY};
    pcv_reading how = sound();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        bytes b = wav(3, 1, 8000, 32, 8);

        low_float(&b, 1), low_float(&b, bad[i]);
        refuse(b.byte, b.n, &how, EX_DATAERR, "sample 1 is not a finite");
    }
}

static void sizes_are_limited(void **state)
{
    pcv_reading how = sound();
    bytes b = wav(1, 65, 8000, 16, 130);
    pcv_media m;

    (void)state;
    b.n += 130;
    refuse(b.byte, b.n, &how, EX_DATAERR, "65 channels");
    b = wav(1, 1, 768001, 16, 4);
    b.n += 4;
    refuse(b.byte, b.n, &how, EX_DATAERR, "768001 samples per second");
    b = wav(1, 1, 8000, 16, 160);
    b.n += 160;
    how.max_seconds = 0.01;
    assert_int_equal(decode(b.byte, b.n, &how, &m), 0);
    pcv_media_free(&m);
    how.max_seconds = 0.009;
    refuse(b.byte, b.n, &how, EX_DATAERR, "0.009 s");
    how = sound();
    how.max_bytes = 319;
    refuse(b.byte, b.n, &how, EX_DATAERR, "319 bytes decoded");
}

/* ---- other formats --------------------------------------------------- */

static void aiff_and_au(void **state)
{
    static const unsigned char aiff[] =
        "FORM\0\0\0\x32" "AIFFCOMM\0\0\0\x12" "\0\1\0\0\0\2\0\x10"
        "\x40\x0b\xfa\0\0\0\0\0\0\0" "SSND\0\0\0\x0c" "\0\0\0\0\0\0\0\0"
        "\x40\0\xc0\0";
    static const unsigned char au[] =
        ".snd\0\0\0\x18" "\0\0\0\4\0\0\0\3" "\0\0\x1f\x40\0\0\0\1"
        "\x40\0\xc0\0";
    const float want[] = {0.5f, -0.5f};
    pcv_reading how = sound();

    (void)state;
    assert_sound(aiff, sizeof aiff - 1, &how, 8000, want, 2);
    assert_sound(au, sizeof au - 1, &how, 8000, want, 2);
}

/* 16 samples at 8000 Hz, written by libFLAC 1.4.2. */
static const unsigned char flac[] = {
    0x66, 0x4c, 0x61, 0x43, 0x00, 0x00, 0x00, 0x22, 0x10, 0x00, 0x10, 0x00,
    0x00, 0x00, 0x25, 0x00, 0x00, 0x25, 0x01, 0xf4, 0x00, 0xf0, 0x00, 0x00,
    0x00, 0x10, 0x31, 0xb8, 0x1f, 0xbc, 0x3d, 0x40, 0xb6, 0x4e, 0x75, 0xdf,
    0x36, 0x69, 0x22, 0x97, 0x11, 0x3e, 0x84, 0x00, 0x00, 0x28, 0x20, 0x00,
    0x00, 0x00, 0x72, 0x65, 0x66, 0x65, 0x72, 0x65, 0x6e, 0x63, 0x65, 0x20,
    0x6c, 0x69, 0x62, 0x46, 0x4c, 0x41, 0x43, 0x20, 0x31, 0x2e, 0x34, 0x2e,
    0x32, 0x20, 0x32, 0x30, 0x32, 0x32, 0x31, 0x30, 0x32, 0x32, 0x00, 0x00,
    0x00, 0x00, 0xff, 0xf8, 0x64, 0x08, 0x00, 0x0f, 0xce, 0x10, 0x02, 0xdf,
    0x3e, 0xed, 0xd6, 0x4b, 0xa3, 0x36, 0xdf, 0xed, 0x49, 0x75, 0x09, 0xbf,
    0x99, 0xe7, 0x40, 0x52, 0xdb, 0x63, 0xa1, 0x15, 0x92, 0xbf, 0xc1, 0x2c,
    0xe0, 0xe8, 0x7d,
};
static const short flac_samples[16] = {
    -2000, -1903, -1612, -1127, -448, 425, 1492, -1248, 207, 1856, -302, 1735,
    -35, -1611, 1008, -180,
};

static void flac_is_exact_and_whole(void **state)
{
    float want[16];
    pcv_reading how = sound();

    (void)state;
    for (int i = 0; i < 16; i++)
        want[i] = (float)flac_samples[i] / 32768;
    assert_sound(flac, sizeof flac, &how, 8000, want, 16);
    for (size_t n = 0; n < sizeof flac; n++)
        refuse(flac, n, &how, EX_DATAERR, "x: ");
}

/* Frames of silence: MPEG 2 layer III, 8 kbit/s, 24 kHz, mono, 24 bytes. */
static size_t mp3(unsigned char *to, int frames)
{
    static const unsigned char head[4] = {0xff, 0xf3, 0x14, 0xc4};

    memset(to, 0, (size_t)frames * 24);
    for (int i = 0; i < frames; i++)
        memcpy(to + 24 * i, head, 4);
    return (size_t)frames * 24;
}

static void mp3_with_and_without_a_tag(void **state)
{
    unsigned char data[600] = "ID3\4\0\0\0\0\0\x0a";
    pcv_reading how = sound();
    pcv_media m;
    size_t n;

    (void)state;
    n = mp3(data + 20, 10);
    assert_int_equal(decode(data + 20, n, &how, &m), 0);
    assert_int_equal(m.rate, 24000);
    assert_true(m.array.dim[0] >= 9 * 576 && m.array.dim[0] <= 11 * 576);
    pcv_media_free(&m);
    /* With padding that its tag does not count. */
    n = mp3(data + 320, 10);
    memset(data + 20, 0, 300);
    assert_int_equal(decode(data, 320 + n, &how, &m), 0);
    assert_int_equal(m.rate, 24000);
    pcv_media_free(&m);
}

/* With modality 0 what is not recognised is bytes. */
static void text_is_not_mp3(void **state)
{
    static const char *const texts[] = {
        "\377\376A\0B\0C\0D\0E\0F\0G\0H\0I\0J\0K\0L\0M\0N\0O\0P",
        "\xff\xfb\x90\x64 latin-1: y-umlaut, u-circumflex",
        "ID3 tags are hard", "OggS", "RIFF of the year: WAVEs",
        "FORM a queue", "fLaC",
    };
    pcv_reading how;
    pcv_media m;

    (void)state;
    pcv_reading_default(&how);
    for (size_t i = 0; i < PCV_LEN(texts); i++) {
        size_t n = i ? strlen(texts[i]) : 33;

        assert_int_equal(decode(texts[i], n, &how, &m), 0);
        assert_int_equal(m.kind, PCV_MEDIA_BYTES);
        pcv_media_free(&m);
    }
}

/* ---- headerless ------------------------------------------------------ */

static void headerless_sound(void **state)
{
    static const struct {
        const char *pcm, *data;
        size_t n;
        float want[2];
    } row[] = {
        {"s16le:16000:1", "\0\x40\0\xc0", 4, {0.5f, -0.5f}},
        {"s16be:16000:1", "\x40\0\xc0\0", 4, {0.5f, -0.5f}},
        {"u8:16000:1", "\xc0\x40", 2, {0.5f, -0.5f}},
        {"s8:16000:2", "\x40\x20\xc0\xe0", 4, {0.375f, -0.375f}},
        {"s24le:16000:1", "\0\0\x40\0\0\xc0", 6, {0.5f, -0.5f}},
        {"f32be:16000:1", "\x3f\0\0\0\xbf\0\0\0", 8, {0.5f, -0.5f}},
        {"f64le:16000:1", "\0\0\0\0\0\0\xe0\x3f\0\0\0\0\0\0\xe0\xbf", 16,
         {0.5f, -0.5f}},
    };
    pcv_reading how = sound();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        how.pcm = row[i].pcm;
        assert_sound(row[i].data, row[i].n, &how, 16000, row[i].want, 2);
        if (row[i].n > 2)
            refuse(row[i].data, row[i].n - 1, &how, EX_DATAERR, "truncated");
    }
}

static void headerless_sound_is_described_in_full(void **state)
{
    static const char *const bad[] = {
        "", "s16le", "s16le:16000", "s16le:16000:", "s16le:0:1", "s16:8000:1",
        "s16le:16000:65", "s16le:768001:1", "s16le:-8000:1", "s16le:8000:1x",
        "mp3:8000:1", "s16le:8000:1:1", ":8000:1",
    };
    pcv_reading how = sound();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        how.pcm = bad[i];
        refuse("abcd", 4, &how, EX_USAGE, "ENCODING:RATE:CHANNELS");
    }
}

/* ---- out ------------------------------------------------------------- */

static void wav_out(void **state)
{
    const float in[] = {0, 0.5f, -1, 1, 2, -3, 1 / 32768.f};
    const float back[] = {0, 0.5f, -1, 32767 / 32768.f, 32767 / 32768.f, -1,
                          1 / 32768.f};
    pcv_reading how = sound();
    pcv_buf b = {0};
    bytes want = wav(1, 1, 16000, 16, 14);

    (void)state;
    assert_int_equal(pcv_wav_write(&b, in, 7, 16000), 0);
    assert_int_equal(b.len, 44 + 14);
    assert_memory_equal(b.data, want.byte, 44);
    assert_sound(b.data, b.len, &how, 16000, back, 7);
    pcv_buf_clear(&b);
    assert_int_equal(pcv_wav_write(&b, in, 0, 16000), 0);
    assert_sound(b.data, b.len, &how, 16000, back, 0);
    assert_int_equal(pcv_wav_write(&b, in, 7, 0), -1);
    assert_failed(EX_USAGE, "WAV of 0 samples per second");
    assert_int_equal(pcv_wav_write(&b, (float[]){(float)NAN}, 1, 8000), -1);
    assert_failed(EX_DATAERR, "not a number");
    pcv_buf_free(&b);
}

/* ---- rates ----------------------------------------------------------- */

#define PI 3.14159265358979323846

static float *sine(double hertz, double amplitude, int rate, size_t n)
{
    float *x = test_malloc(n * sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)(amplitude * sin(2 * PI * hertz * (double)i / rate +
                                       0.3));
    return x;
}

/* Amplitude at one frequency, over the middle half under a Hann window. */
static double amplitude(const float *x, size_t n, int rate, double hertz)
{
    double re = 0, im = 0, sum = 0;
    size_t from = n / 4, m = n / 2;

    for (size_t i = 0; i < m; i++) {
        double w = 0.5 - 0.5 * cos(2 * PI * (double)i / (double)m);
        double t = 2 * PI * hertz * (double)(from + i) / rate;

        re += w * (double)x[from + i] * cos(t);
        im += w * (double)x[from + i] * sin(t);
        sum += w;
    }
    return 2 * sqrt(re * re + im * im) / sum;
}

static void assert_amplitude(const float *x, size_t n, int rate, double hertz,
                             double want)
{
    double have = amplitude(x, n, rate, hertz);

    if (fabs(have - want) > 1e-3)
        fail_msg("amplitude at %g Hz: %g, want %g", hertz, have, want);
}

static void resampling_keeps_sines(void **state)
{
    static const struct {
        int from, to;
    } row[] = {{44100, 8000}, {8000, 44100}, {48000, 16000}, {22050, 16000}};

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        size_t n = (size_t)row[i].from, m;
        float *in = sine(440, 0.7, row[i].from, n), *out;

        assert_int_equal(pcv_resample(in, n, row[i].from, row[i].to, &out,
                                      &m), 0);
        assert_int_equal(m, row[i].to);
        assert_amplitude(out, m, row[i].to, 440, 0.7);
        assert_amplitude(out, m, row[i].to, 500, 0);
        assert_amplitude(out, m, row[i].to, 1234, 0);
        pcv_free(out);
        test_free(in);
    }
}

static void resampling_leaves_no_mirror(void **state)
{
    float *in = sine(6000, 0.7, 44100, 44100), *out;
    size_t m;

    (void)state;
    assert_int_equal(pcv_resample(in, 44100, 44100, 8000, &out, &m), 0);
    assert_amplitude(out, m, 8000, 2000, 0);
    pcv_free(out);
    test_free(in);
}

static void resampling_edges(void **state)
{
    float *in = sine(440, 0.7, 8000, 1000), *out;
    size_t m;

    (void)state;
    assert_int_equal(pcv_resample(in, 1000, 8000, 8000, &out, &m), 0);
    assert_int_equal(m, 1000);
    assert_memory_equal(out, in, 1000 * sizeof *in);
    pcv_free(out);
    assert_int_equal(pcv_resample(in, 1, 44100, 8000, &out, &m), 0);
    assert_int_equal(m, 1);
    pcv_free(out);
    assert_int_equal(pcv_resample(NULL, 0, 44100, 8000, &out, &m), 0);
    assert_int_equal(m, 0);
    pcv_free(out);
    assert_int_equal(pcv_resample(in, 1000, 1, 768000, &out, &m), -1);
    assert_failed(EX_DATAERR, "cannot be brought to 768000");
    test_free(in);
}

/* ---- memory ---------------------------------------------------------- */

static void every_allocation_may_fail(void **state)
{
    bytes b = wav(1, 1, 8000, 16, 160);
    pcv_reading how = sound();
    pcv_media m;
    long k = 0;
    int status;

    (void)state;
    b.n += 160;
    do {
        pcv_error_clear();
        pcv_alloc_fail_at(++k);
        status = decode(b.byte, b.n, &how, &m);
        pcv_alloc_fail_at(0);
        if (status < 0)
            assert_int_equal(pcv_error_code(), EX_OSERR);
    } while (status < 0);
    assert_true(k > 2);
    pcv_media_free(&m);
}

/* ---- sound that is in no memory -------------------------------------- */

enum { LONG = 1100000 };

/* The same file decoded into memory and into a store. */
static void decode_both(const char *path, const pcv_reading *how,
                        pcv_media *held, pcv_media *stored)
{
    pcv_reading there = *how;

    there.store = "/tmp";
    assert_int_equal(pcv_decode_file(path, how, held), 0);
    if (pcv_decode_file(path, &there, stored) < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(held->array.dtype, PCV_F32);
    assert_int_equal(stored->array.dtype, PCV_STORED);
    assert_int_equal(stored->rate, held->rate);
}

static void assert_same_array(const pcv_array *stored, const pcv_array *held)
{
    size_t n = pcv_array_count(held);
    float *v = pcv_alloc(n + 3, sizeof *v);

    assert_int_equal(stored->dtype, PCV_STORED);
    assert_int_equal(stored->rank, held->rank);
    assert_int_equal(stored->dim[0], held->dim[0]);
    assert_int_equal(pcv_array_count(stored), n);
    pcv_store_floats(stored->data, 0, n + 3, v);
    assert_memory_equal(v, held->data, n * sizeof *v);
    assert_true(v[n] == 0 && v[n + 2] == 0);
    pcv_store_floats(stored->data, n - 5, 5, v);
    assert_memory_equal(v, (float *)held->data + n - 5, 5 * sizeof *v);
    assert_int_equal(pcv_store_check(stored->data), 0);
    pcv_free(v);
}

/* Samples, other rates and levels, and more frames than have a table: to the
 * last bit those in memory. */
static void long_sounds_are_stored(void **state)
{
    static const struct { int rate; double level; int mels; } prep[] = {
        { 8000, 0, 0 }, { 4000, 0, 0 }, { 4000, 0.1, 0 }, { 11025, 0, 0 },
        { 8000, 0.1, 3 },
    };
    const pcv_reading how = sound();
    float *v = pcv_alloc(LONG, sizeof *v);
    char path[] = "/tmp/pcv-sound-XXXXXX";
    pcv_buf b = {0};
    pcv_media held, stored;

    (void)state;
    for (int i = 0; i < LONG; i++)
        v[i] = (float)(0.5 * sin(0.01 * i) +
                       0.2 * (pcv_uniform(1, 2, (uint64_t)i) - 0.5));
    assert_int_equal(pcv_wav_write(&b, v, LONG, 8000), 0);
    close(mkstemp(path));
    assert_int_equal(pcv_save_file(path, b.data, b.len), 0);
    decode_both(path, &how, &held, &stored);
    unlink(path);
    assert_same_array(&stored.array, &held.array);
    for (size_t i = 0; i < PCV_LEN(prep); i++) {
        const pcv_prep p = { .modality = PCV_SOUND, .rate = prep[i].rate,
                             .level = prep[i].level, .mels = prep[i].mels,
                             .mel_window = 10, .mel_step = 5 };
        pcv_array x, y;

        assert_int_equal(pcv_prepare(&p, &held, "x", &x), 0);
        assert_int_equal(pcv_prepare(&p, &stored, "x", &y), 0);
        assert_same_array(&y, &x);
        pcv_array_free(&x);
        pcv_array_free(&y);
    }
    pcv_media_free(&held);
    pcv_media_free(&stored);
    pcv_buf_free(&b);
    pcv_free(v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(channels_are_averaged),
        TEST(claimed_length_is_not_believed),
        TEST(samples_must_be_numbers),
        TEST(long_sounds_are_stored),
        TEST(sizes_are_limited),
        TEST(aiff_and_au),
        TEST(flac_is_exact_and_whole),
        TEST(mp3_with_and_without_a_tag),
        TEST(text_is_not_mp3),
        TEST(headerless_sound),
        TEST(headerless_sound_is_described_in_full),
        TEST(wav_out),
        TEST(resampling_keeps_sines),
        TEST(resampling_leaves_no_mirror),
        TEST(resampling_edges),
        TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
