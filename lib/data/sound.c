/* sound.c - sound in and out: WAV, FLAC, Ogg, MP3, AIFF, AU, CAF and
 * headerless PCM by libsndfile, rates by libsamplerate (this is the only file
 * that includes either), and 16-bit WAV by hand.
 *
 * What comes out is F32 [samples], the mean of the channels, at the file's own
 * rate.  Integer samples become x / 2^(bits - 1), within [-1, 1); float files
 * and lossy codecs may overshoot and are left as they are.
 *
 * Invariant: the number of frames in a header is never believed.  Samples are
 * read in blocks until there are no more, at most max_seconds of them and at
 * most max_bytes once decoded.
 *
 * Where how->store says so, a long sound is in memory at no time: its file is
 * read in pieces and its samples go to a store (base/store.c). */
#include "formats.h"

#include <limits.h>
#include <math.h>
#include <samplerate.h>
#include <sndfile.h>
#include <stdio.h>
#include <string.h>

#define BLOCK 8192      /* samples of all channels read at a time */
#define MAX_CHANNELS 64
#define MAX_RATE 768000
#define MAX_PADDING 65536       /* between an ID3 tag and the first frame */
#define HELD (1 << 20)          /* samples in memory where there is a store */

/* ---- a file in memory or a store, as libsndfile wants it ------------- */

typedef struct {
    const unsigned char *data;
    const pcv_store *store;     /* or NULL */
    sf_count_t size, at;
} memory;

static sf_count_t memory_size(void *user)
{
    return ((memory *)user)->size;
}

static sf_count_t memory_tell(void *user)
{
    return ((memory *)user)->at;
}

static sf_count_t memory_seek(sf_count_t offset, int whence, void *user)
{
    memory *m = user;
    sf_count_t from = whence == SEEK_SET ? 0 :
                      whence == SEEK_CUR ? m->at : m->size;

    /* Chunk sizes of the file come in as offsets: stay inside without ever
     * adding what could overflow. */
    if (offset < -from)
        m->at = 0;
    else
        m->at = offset > m->size - from ? m->size : from + offset;
    return m->at;
}

static sf_count_t memory_read(void *to, sf_count_t count, void *user)
{
    memory *m = user;
    sf_count_t left = m->size - m->at;
    sf_count_t n = count < left ? count : left;

    if (n <= 0)
        return 0;
    if (m->store)
        n = (sf_count_t)pcv_store_get(m->store, (size_t)m->at, (size_t)n, to);
    else
        memcpy(to, m->data + m->at, (size_t)n);
    m->at += n;
    return n;
}

static sf_count_t memory_write(const void *from, sf_count_t count, void *user)
{
    (void)from, (void)count, (void)user;
    return 0;
}

static SF_VIRTUAL_IO memory_calls = {
    memory_size, memory_seek, memory_read, memory_write, memory_tell,
};

/* ---- reading --------------------------------------------------------- */

typedef struct {
    SNDFILE *file;
    SF_INFO info;
    const char *name;
    const pcv_reading *how;
    size_t n;                   /* samples so far, .. */
    pcv_store *store;           /* .. the first of them, unless NULL */
    float *mono;                /* .. the last of them, of cap */
    size_t held, cap;
} reader;

static size_t most_samples(const pcv_reading *how, int rate)
{
    double samples = how->max_seconds * rate;
    size_t bytes = how->max_bytes / sizeof(float);

    return samples < (double)bytes ? (size_t)samples : bytes;
}

static int check_info(const reader *r)
{
    if (r->info.channels < 1 || r->info.channels > MAX_CHANNELS)
        return pcv_fail(EX_DATAERR, "%s: sound of %d channels, want 1 to %d",
                        r->name, r->info.channels, MAX_CHANNELS);
    if (r->info.samplerate < 1 || r->info.samplerate > MAX_RATE)
        return pcv_fail(EX_DATAERR, "%s: sound of %d samples per second, want "
                        "1 to %d", r->name, r->info.samplerate, MAX_RATE);
    return 0;
}

static int too_long(const reader *r)
{
    const pcv_reading *how = r->how;

    return pcv_fail(EX_DATAERR, "%s: sound goes on after %zu samples (%g s), "
                    "limits are %g s and %zu bytes decoded", r->name, r->n,
                    (double)r->n / r->info.samplerate, how->max_seconds,
                    how->max_bytes);
}

/* Room for `more` samples behind those that are held. */
static int make_room(reader *r, size_t more)
{
    size_t cap = r->cap ? r->cap : BLOCK;
    float *larger;

    while (cap - r->held < more)
        if (!pcv_mul(cap, 2, &cap))
            return pcv_fail(EX_OSERR, "%s: sound is too large", r->name);
    if (cap == r->cap)
        return 0;
    larger = pcv_alloc(cap, sizeof *larger);
    if (!larger)
        return -1;
    if (r->held)
        memcpy(larger, r->mono, r->held * sizeof *larger);
    pcv_free(r->mono);
    r->mono = larger;
    r->cap = cap;
    return 0;
}

/* What is held goes to the store. */
static int spill(reader *r)
{
    size_t bytes = r->held * sizeof *r->mono;

    if (!r->store && !(r->store = pcv_store_open(r->how->store)))
        return -1;
    r->held = 0;
    return pcv_store_add(r->store, r->mono, bytes);
}

/* Appends the means of `frames` frames. */
static int mix(reader *r, const float *block, size_t frames)
{
    size_t channels = (size_t)r->info.channels;
    float *to;

    if ((r->how->store && r->held > HELD && spill(r) < 0) ||
        make_room(r, frames) < 0)
        return -1;
    to = r->mono + r->held;
    for (size_t i = 0; i < frames; i++) {
        double sum = 0;

        for (size_t c = 0; c < channels; c++)
            sum += (double)block[i * channels + c];
        to[i] = (float)(sum / (double)channels);
        if (!isfinite(to[i]))
            return pcv_fail(EX_DATAERR, "%s: sample %zu is not a finite "
                            "number", r->name, r->n + i);
    }
    r->n += frames;
    r->held += frames;
    return 0;
}

static int read_blocks(reader *r)
{
    float block[BLOCK];
    sf_count_t want = BLOCK / r->info.channels, got;
    size_t limit = most_samples(r->how, r->info.samplerate);

    while ((got = sf_readf_float(r->file, block, want)) > 0) {
        if ((size_t)got > limit - r->n)
            return too_long(r);
        if (mix(r, block, (size_t)got) < 0)
            return -1;
    }
    if (sf_error(r->file) != SF_ERR_NO_ERROR)
        return pcv_fail(EX_DATAERR, "%s: damaged or truncated sound: %zu "
                        "samples could be read (libsndfile: %s)", r->name,
                        r->n, sf_strerror(r->file));
    return 0;
}

/* FLAC knows its length, and libsndfile does not miss what is cut off (0 and
 * more than 36 bits: written to a pipe).  The lengths of the other formats
 * are wrong so often that a short file is one of that length. */
static int check_end(const reader *r)
{
    sf_count_t frames = r->info.frames;

    if ((r->info.format & SF_FORMAT_TYPEMASK) != SF_FORMAT_FLAC ||
        frames >> 36 || (sf_count_t)r->n >= frames)
        return 0;
    return pcv_fail(EX_DATAERR, "%s: truncated FLAC: %zu of %lld samples",
                    r->name, r->n, (long long)frames);
}

/* Hands over the samples in a block of their own size. */
static int give(reader *r, pcv_media *out)
{
    float *whole = r->store ? NULL : pcv_alloc(r->n, sizeof *whole);

    if (r->store ? spill(r) < 0 : !whole)
        return -1;
    if (r->n && whole)
        memcpy(whole, r->mono, r->n * sizeof *whole);
    *out = (pcv_media){ PCV_MEDIA_SOUND,
                        { r->store ? PCV_STORED : PCV_F32, 1, { r->n }, whole },
                        r->info.samplerate };
    if (r->store)
        out->array.data = r->store;
    r->store = NULL;
    return 0;
}

/* r->info is zero, or says what headerless data is. */
static int read_sound(reader *r, memory m, pcv_media *out)
{
    int status;

    r->file = sf_open_virtual(&memory_calls, SFM_READ, &r->info, &m);
    if (!r->file)
        return pcv_fail(EX_DATAERR, "%s: sound of %lld bytes cannot be read "
                        "(libsndfile: %s)", r->name, (long long)m.size,
                        sf_strerror(NULL));
    status = check_info(r);
    if (status == 0)
        status = read_blocks(r);
    if (status == 0)
        status = check_end(r);
    if (status == 0)
        status = give(r, out);
    sf_close(r->file);
    pcv_store_close(r->store);
    pcv_free(r->mono);
    return status;
}

/* ---- which files are sound ------------------------------------------- */

/* Bytes of the MPEG audio frame (layers 1 to 3) whose header this is, or 0.
 *
 *     11 sync, 2 version, 2 layer, 1 no-CRC, 4 bit rate, 2 sample rate,
 *     1 padding, ..
 */
static size_t mpeg_frame(const unsigned char *p)
{
    static const unsigned short kbit[5][16] = {
        {0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448},
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384},
        {0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320},
        {0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256},
        {0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160},
    };
    static const unsigned hertz[4] = {44100, 48000, 32000, 0};
    unsigned version = p[1] >> 3 & 3;           /* 3: 1, 2: 2, 0: 2.5 */
    unsigned layer = 4 - (p[1] >> 1 & 3);
    unsigned halved = version == 3 ? 0 : version == 2 ? 1 : 2;
    unsigned row = !halved ? layer - 1 : layer == 1 ? 3 : 4;
    unsigned rate = hertz[p[2] >> 2 & 3] >> halved;
    unsigned padding = p[2] >> 1 & 1, bits;

    if (p[0] != 0xff || p[1] < 0xe0 || version == 1 || layer == 4 || !rate)
        return 0;
    bits = kbit[row][p[2] >> 4] * 1000u;
    if (bits == 0)
        return 0;
    if (layer == 1)
        return (12 * bits / rate + padding) * 4;
    return (layer == 3 && halved ? 72 : 144) * bits / rate + padding;
}

/* A bare sync is eleven ones, which UTF-16 text also begins with: the frame
 * must be followed by another of the same version, layer and rate. */
static bool mpeg_probe(const unsigned char *data, size_t n)
{
    size_t next = n >= 4 ? mpeg_frame(data) : 0;

    return next > 0 && next + 4 <= n && mpeg_frame(data + next) > 0 &&
           data[next + 1] >> 1 == data[1] >> 1 &&
           (data[next + 2] & 0x0c) == (data[2] & 0x0c);
}

/* Bytes of the ID3 tag (2.2 to 2.4) before the sound, or 0; the size in it has
 * seven bits a byte. */
static size_t id3_bytes(const unsigned char *p, size_t n)
{
    if (n < 10 || memcmp(p, "ID3", 3) != 0 || p[3] >= 0x10 ||
        ((p[6] | p[7] | p[8] | p[9]) & 0x80))
        return 0;
    return 10 + ((size_t)p[6] << 21 | (size_t)p[7] << 14 |
                 (size_t)p[8] << 7 | p[9]);
}

static bool is_container(const unsigned char *data, size_t n)
{
    static const struct {
        const char *start, *kind;   /* kind: at byte 8, "" any */
    } known[] = {
        {"RIFF", "WAVE"}, {"RIFX", "WAVE"}, {"RF64", "WAVE"}, {"fLaC", ""},
        {"OggS", ""}, {"FORM", "AIFF"}, {"FORM", "AIFC"}, {".snd", ""},
        {"caff", ""},
    };

    for (size_t i = 0; i < PCV_LEN(known); i++)
        if (n >= 12 && memcmp(data, known[i].start, 4) == 0 &&
            memcmp(data + 8, known[i].kind, strlen(known[i].kind)) == 0)
            return true;
    return false;
}

static bool sound_probe(const unsigned char *data, size_t n)
{
    return is_container(data, n) || id3_bytes(data, n) || mpeg_probe(data, n);
}

/* Bytes to leave out of an MP3: its ID3 tag, which libmpg123 would comment on
 * standard error, and padding or half a frame behind it, where libsndfile
 * would give up. */
static size_t bytes_before_mpeg(const unsigned char *data, size_t n)
{
    size_t tag = id3_bytes(data, n);
    size_t last = n < tag + MAX_PADDING ? n : tag + MAX_PADDING;

    if (tag == 0 || tag >= n || is_container(data + tag, n - tag))
        return 0;
    for (size_t at = tag; at < last; at++)
        if (mpeg_probe(data + at, n - at))
            return at;
    return 0;
}

static int sound_read(const unsigned char *data, size_t n, const char *name,
                      const pcv_reading *how, pcv_media *out, size_t *used)
{
    reader r = {.name = name, .how = how};
    size_t skip = bytes_before_mpeg(data, n);

    *used = n;
    return read_sound(&r, (memory){data + skip, NULL, (sf_count_t)(n - skip),
                                   0}, out);
}

const pcv_format pcv_format_sound = {"sound (WAV, FLAC, Ogg, MP3, AIFF)",
                                     sound_probe, sound_read,
                                     PCV_MEDIA_SOUND};

/* ---- headerless sound: ENC:RATE:CH ----------------------------------- */

static const struct {
    const char *name;
    int format, bytes;
} encoding[] = {
    {"u8", SF_FORMAT_PCM_U8, 1},
    {"s8", SF_FORMAT_PCM_S8, 1},
    {"s16le", SF_FORMAT_PCM_16 | SF_ENDIAN_LITTLE, 2},
    {"s16be", SF_FORMAT_PCM_16 | SF_ENDIAN_BIG, 2},
    {"s24le", SF_FORMAT_PCM_24 | SF_ENDIAN_LITTLE, 3},
    {"s24be", SF_FORMAT_PCM_24 | SF_ENDIAN_BIG, 3},
    {"s32le", SF_FORMAT_PCM_32 | SF_ENDIAN_LITTLE, 4},
    {"s32be", SF_FORMAT_PCM_32 | SF_ENDIAN_BIG, 4},
    {"f32le", SF_FORMAT_FLOAT | SF_ENDIAN_LITTLE, 4},
    {"f32be", SF_FORMAT_FLOAT | SF_ENDIAN_BIG, 4},
    {"f64le", SF_FORMAT_DOUBLE | SF_ENDIAN_LITTLE, 8},
    {"f64be", SF_FORMAT_DOUBLE | SF_ENDIAN_BIG, 8},
    {"mulaw", SF_FORMAT_ULAW, 1},
    {"alaw", SF_FORMAT_ALAW, 1},
};

/* Fills info; the bytes of one frame, or 0. */
static size_t parse_pcm(const char *pcm, SF_INFO *info)
{
    size_t length = strcspn(pcm, ":");
    int rate, channels, end = 0;

    if (sscanf(pcm + length, ":%6d:%2d%n", &rate, &channels, &end) != 2 ||
        pcm[length + (size_t)end] || rate < 1 || rate > MAX_RATE ||
        channels < 1 || channels > MAX_CHANNELS)
        return 0;
    for (size_t i = 0; i < PCV_LEN(encoding); i++)
        if (strlen(encoding[i].name) == length &&
            memcmp(encoding[i].name, pcm, length) == 0) {
            info->samplerate = rate;
            info->channels = channels;
            info->format = SF_FORMAT_RAW | encoding[i].format;
            return (size_t)encoding[i].bytes * (size_t)channels;
        }
    return 0;
}

static int frame_of(const char *pcm, SF_INFO *info, size_t *frame)
{
    *frame = parse_pcm(pcm, info);
    if (*frame)
        return 0;
    return pcv_fail(EX_USAGE, "'%s' is no headerless sound: want "
                    "ENCODING:RATE:CHANNELS such as s16le:16000:1, the "
                    "encoding u8, s8, s16, s24, s32, f32, f64 (with le or "
                    "be), mulaw or alaw", pcm);
}

int pcv_pcm_check(const char *pcm)
{
    SF_INFO info = {0};
    size_t frame;

    return frame_of(pcm, &info, &frame);
}

static int read_pcm(reader *r, memory m, pcv_media *out)
{
    size_t frame, n = (size_t)m.size;

    if (frame_of(r->how->pcm, &r->info, &frame) < 0)
        return -1;
    if (n % frame != 0)
        return pcv_fail(EX_DATAERR, "%s: truncated sound: %zu bytes are not a "
                        "multiple of the %zu of a frame of %s", r->name, n,
                        frame, r->how->pcm);
    return read_sound(r, m, out);
}

static int pcm_read(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    reader r = {.name = name, .how = how};

    *used = n;
    return read_pcm(&r, (memory){data, NULL, (sf_count_t)n, 0}, out);
}

const pcv_format pcv_format_pcm = {"headerless sound", NULL, pcm_read,
                                    PCV_MEDIA_SOUND};

/* ---- sound that is not in memory ------------------------------------- */

bool pcv_sound_stored(const pcv_reading *how, const unsigned char *data,
                      size_t n)
{
    return how->store && !how->raw &&
           (how->pcm || (!pcv_is_bytes(how, data, n) &&
                         is_container(data, n)));
}

int pcv_sound_read(const pcv_store *from, const char *name,
                   const pcv_reading *how, pcv_media *out)
{
    reader r = {.name = name, .how = how};
    memory m = {NULL, from, (sf_count_t)pcv_store_bytes(from), 0};

    *out = (pcv_media){0};
    return how->pcm ? read_pcm(&r, m, out) : read_sound(&r, m, out);
}

/* ---- rates ----------------------------------------------------------- */

/* The length is ceil(n * to / from) whatever the version of the library gives:
 * what it leaves at the end is zero. */
int pcv_resample(const float *in, size_t n, int from, int to, float **out,
                 size_t *m)
{
    double ratio = (double)to / from;
    SRC_DATA d = {.data_in = in, .src_ratio = ratio};
    size_t length;
    int status;

    if (from < 1 || to < 1 || !src_is_valid_ratio(ratio))
        return pcv_fail(EX_DATAERR, "sound at %d samples per second cannot be "
                        "brought to %d", from, to);
    if (n > LONG_MAX / 512)
        return pcv_fail(EX_DATAERR, "sound of %zu samples is too long", n);
    length = (size_t)ceil((double)n * to / from);
    *out = pcv_alloc(length, sizeof **out);
    if (!*out)
        return -1;
    *m = length;
    if (n && from == to)
        memcpy(*out, in, n * sizeof **out);
    if (n == 0 || from == to)
        return 0;
    d.input_frames = (long)n;
    d.output_frames = (long)length;
    d.data_out = *out;
    status = src_simple(&d, SRC_SINC_MEDIUM_QUALITY, 1);
    if (status == 0)
        return 0;
    pcv_free(*out);
    *out = NULL;
    return pcv_fail(EX_OSERR, "libsamplerate: %s", src_strerror(status));
}

/* What one call of the converter gives, while `left` samples are wanted: 0 or
 * -1. */
static int convert(SRC_STATE *state, SRC_DATA *d, pcv_store *out, size_t *left)
{
    int status = src_process(state, d);
    size_t n;

    if (status)
        return pcv_fail(EX_OSERR, "libsamplerate: %s", src_strerror(status));
    n = (size_t)d->output_frames_gen;
    n = n < *left ? n : *left;
    *left -= n;
    return pcv_store_add(out, d->data_out, n * sizeof(float));
}

/* Block by block what src_simple does at once, to the same bits. */
static int convert_all(SRC_STATE *state, pcv_store *in, size_t n, double ratio,
                       pcv_store *out, size_t left)
{
    float from[BLOCK], to[BLOCK];
    SRC_DATA d = {.data_in = from, .data_out = to, .output_frames = BLOCK,
                  .src_ratio = ratio};
    size_t at = 0;

    do {
        at += (size_t)d.input_frames_used;
        d.input_frames = (long)(n - at < BLOCK ? n - at : BLOCK);
        d.end_of_input = n - at <= BLOCK;
        pcv_store_floats(in, at, (size_t)d.input_frames, from);
        if (convert(state, &d, out, &left) < 0)
            return -1;
    } while (d.input_frames_used || d.output_frames_gen);
    memset(to, 0, sizeof to);
    for (size_t k; left > 0; left -= k) {
        k = left < BLOCK ? left : BLOCK;
        if (pcv_store_add(out, to, k * sizeof *to) < 0)
            return -1;
    }
    return pcv_store_check(in);
}

pcv_store *pcv_resample_stored(pcv_store *in, size_t n, int from, int to,
                               size_t *m)
{
    double ratio = (double)to / from;
    pcv_store *out = NULL;
    SRC_STATE *state;
    int status;

    *m = (size_t)ceil((double)n * to / from);
    if (!src_is_valid_ratio(ratio)) {
        pcv_fail(EX_DATAERR, "sound at %d samples per second cannot be "
                 "brought to %d", from, to);
        return NULL;
    }
    if (!(state = src_new(SRC_SINC_MEDIUM_QUALITY, 1, &status)))
        pcv_fail(EX_OSERR, "libsamplerate: %s", src_strerror(status));
    else if ((out = pcv_store_beside(in)) &&
             convert_all(state, in, n, ratio, out, *m) < 0) {
        pcv_store_close(out);
        out = NULL;
    }
    if (state)
        src_delete(state);
    return out;
}

/* ---- WAV out --------------------------------------------------------- */

static void put(unsigned char *p, unsigned long value, int bytes)
{
    for (int i = 0; i < bytes; i++)
        p[i] = (unsigned char)(value >> 8 * i);
}

/* x * 2^15, the inverse of what reading does, so that 16-bit sound survives
 * the way out and in bit for bit; +1 itself has no code and is clipped. */
static long sample16(float x)
{
    long v = lrint((double)(x < -1 ? -1 : x > 1 ? 1 : x) * 32768);

    return v > 32767 ? 32767 : v;
}

static void wav_header(unsigned char h[44], unsigned long bytes, int rate)
{
    memcpy(h, "RIFF....WAVEfmt ", 16);
    put(h + 4, 36 + bytes, 4);
    put(h + 16, 16, 4);                         /* bytes of this chunk */
    put(h + 20, 1, 2);                          /* PCM */
    put(h + 22, 1, 2);                          /* channels */
    put(h + 24, (unsigned long)rate, 4);
    put(h + 28, (unsigned long)rate * 2, 4);    /* bytes per second */
    put(h + 32, 2, 2);                          /* bytes per frame */
    put(h + 34, 16, 2);                         /* bits per sample */
    memcpy(h + 36, "data", 4);
    put(h + 40, bytes, 4);
}

int pcv_wav_write(pcv_buf *b, const float *samples, size_t n, int rate)
{
    unsigned char header[44], two[2];

    if (rate < 1 || rate > MAX_RATE)
        return pcv_fail(EX_USAGE, "WAV of %d samples per second, want 1 to %d",
                        rate, MAX_RATE);
    if (n > (UINT32_MAX - 36) / 2)
        return pcv_fail(EX_DATAERR, "WAV of %zu samples, at most %u fit", n,
                        (unsigned)((UINT32_MAX - 36) / 2));
    wav_header(header, (unsigned long)n * 2, rate);
    pcv_buf_add(b, header, sizeof header);
    for (size_t i = 0; i < n; i++) {
        if (isnan(samples[i]))
            return pcv_fail(EX_DATAERR, "WAV: sample %zu is not a number", i);
        put(two, (unsigned long)sample16(samples[i]), 2);
        pcv_buf_add(b, two, 2);
    }
    return b->failed ? pcv_fail(EX_OSERR, "out of memory for a WAV") : 0;
}
