/* decode.c - what a file is, found from its first bytes: a table of formats,
 * each a probe and a read, and around it the gzip wrapper and the fallback,
 * where any file is bytes.  Whatever fails leaves the medium empty. */
#include "formats.h"

#include <stdio.h>
#include <string.h>

#define ZLIB_CONST
#include <zlib.h>

/* The first probe that says yes decides, so the surer signatures come first:
 * idx is two zero bytes and two small ones, PNM a letter and a digit. */
static const pcv_format *const formats[] = {
    &pcv_format_png, &pcv_format_jpeg, &pcv_format_npy, &pcv_format_flo,
    &pcv_format_sound, &pcv_format_idx, &pcv_format_pnm,
};

void pcv_media_free(pcv_media *m)
{
    pcv_array_free(&m->array);
    memset(m, 0, sizeof *m);
}

void pcv_reading_default(pcv_reading *r)
{
    memset(r, 0, sizeof *r);
    r->max_pixels = 100 * 1000 * 1000;
    r->max_seconds = 3600;
    r->max_bytes = (size_t)1 << 30;
    r->exif = true;
}

int pcv_image_open(pcv_media *out, size_t height, size_t width, int channels,
                   const char *name, const pcv_reading *how)
{
    size_t pixels, samples;

    if (height == 0 || width == 0 || height > 65535 || width > 65535)
        return pcv_fail(EX_DATAERR, "%s: picture is %zu x %zu pixels, want 1 "
                        "to 65535 each way", name, width, height);
    if (!pcv_mul(height, width, &pixels) || pixels > how->max_pixels)
        return pcv_fail(EX_DATAERR, "%s: picture is %zu x %zu pixels, limit "
                        "is %zu in all", name, width, height,
                        how->max_pixels);
    if (!pcv_mul(pixels, (size_t)channels, &samples))
        return pcv_fail(EX_OSERR, "%s: picture is too large", name);
    out->array.data = pcv_alloc(samples, 1);
    if (!out->array.data)
        return -1;
    out->kind = PCV_MEDIA_IMAGE;
    out->array.dtype = PCV_U8;
    out->array.rank = 3;
    out->array.dim[0] = height;
    out->array.dim[1] = width;
    out->array.dim[2] = (size_t)channels;
    return 0;
}

/* v of a over white, rounded. */
static uint8_t on_white(unsigned v, unsigned a)
{
    return (uint8_t)((v * a + 255 * (255 - a) + 127) / 255);
}

void pcv_image_flatten(pcv_media *m)
{
    const size_t pixels = m->array.dim[0] * m->array.dim[1];
    const size_t from = m->array.dim[2], to = from - 1;
    uint8_t *p = m->array.data, *q = p;     /* q never overtakes p */

    if (from != 2 && from != 4)
        return;
    for (size_t i = 0; i < pixels; i++, p += from, q += to)
        for (size_t c = 0; c < to; c++)
            q[c] = on_white(p[c], p[to]);
    m->array.dim[2] = to;
}

/* ---- gzip ------------------------------------------------------------ */

bool pcv_gzip_probe(const unsigned char *data, size_t n)
{
    return n >= 3 && data[0] == 0x1f && data[1] == 0x8b && data[2] == 8;
}

/* Inflates all that the stream has; to is NULL where only its size is asked
 * for. */
static int inflate_all(z_stream *z, size_t n, const char *name, size_t limit,
                       pcv_buf *to)
{
    unsigned char block[1 << 16];
    size_t size = 0;

    for (;;) {
        int r;

        z->next_out = block;
        z->avail_out = sizeof block;
        r = inflate(z, Z_NO_FLUSH);
        size += sizeof block - z->avail_out;
        if (to)
            pcv_buf_add(to, block, sizeof block - z->avail_out);
        if (r == Z_MEM_ERROR || (to && to->failed))
            return pcv_fail(EX_OSERR, "%s: out of memory after %zu unpacked "
                            "bytes", name, size);
        if (size > limit)
            return pcv_fail(EX_DATAERR, "%s: gzip file unpacks to more than "
                            "the limit of %zu bytes", name, limit);
        if (r == Z_STREAM_END) {
            /* Members may follow each other; padding after them may not
             * be taken for one. */
            if (!pcv_gzip_probe(z->next_in, z->avail_in))
                return 0;
            inflateReset(z);
        } else if (r == Z_BUF_ERROR || (r == Z_OK && z->avail_in == 0 &&
                                        z->avail_out > 0)) {
            return pcv_fail(EX_DATAERR, "%s: truncated gzip file: its %zu "
                            "bytes unpack to %zu without an end", name, n,
                            size);
        } else if (r != Z_OK) {
            return pcv_fail(EX_DATAERR, "%s: damaged gzip file at byte %zu "
                            "of %zu (zlib: %s)", name, n - z->avail_in, n,
                            z->msg ? z->msg : "no message");
        }
    }
}

static int inflate_once(const unsigned char *data, size_t n, const char *name,
                        size_t limit, pcv_buf *to)
{
    z_stream z = {.next_in = data, .avail_in = (uInt)n};
    int r;

    if (inflateInit2(&z, 16 + MAX_WBITS) != Z_OK)
        return pcv_fail(EX_OSERR, "%s: out of memory for zlib", name);
    r = inflate_all(&z, n, name, limit, to);
    inflateEnd(&z);
    return r;
}

/* Once for the size, once for the bytes: a file that unpacks to a thousand
 * times its size, or is damaged, is refused without memory for its bytes. */
int pcv_gunzip(const unsigned char *data, size_t n, const char *name,
               size_t limit, pcv_buf *out)
{
    if (n > UINT32_MAX)
        return pcv_fail(EX_DATAERR, "%s: gzip file of %zu bytes, at most %u "
                        "can be read", name, n, (unsigned)UINT32_MAX);
    return inflate_once(data, n, name, limit, NULL) == 0 &&
           inflate_once(data, n, name, limit, out) == 0 ? 0 : -1;
}

/* ---- the table ------------------------------------------------------- */

static int read_bytes(const unsigned char *data, size_t n, pcv_media *out,
                      size_t *used)
{
    out->array.data = pcv_alloc(n, 1);
    if (!out->array.data)
        return -1;
    if (n)
        memcpy(out->array.data, data, n);
    out->kind = PCV_MEDIA_BYTES;
    out->array.dtype = PCV_U8;
    out->array.rank = 1;
    out->array.dim[0] = n;
    *used = n;
    return 0;
}

int pcv_media_guess(const char *path)
{
    unsigned char first[64];
    FILE *f = fopen(path, "re");
    size_t n = f ? fread(first, 1, sizeof first, f) : 0;

    if (f)
        fclose(f);
    for (size_t i = 0; n > 0 && i < PCV_LEN(formats); i++)
        if (formats[i]->probe(first, n))
            return formats[i]->kind;
    return 0;
}

static int unrecognised(const unsigned char *data, size_t n, const char *name)
{
    char hex[8 * 3 + 1] = "";
    pcv_buf b = {0};

    for (size_t i = 0; i < n && i < 8; i++) {
        static const char digit[] = "0123456789abcdef";

        hex[3 * i] = ' ';
        hex[3 * i + 1] = digit[data[i] >> 4];
        hex[3 * i + 2] = digit[data[i] & 15];
    }
    for (size_t i = 0; i < PCV_LEN(formats); i++)
        pcv_buf_printf(&b, "%s%s", i ? ", " : "", formats[i]->name);
    pcv_fail(EX_DATAERR, "%s: unknown kind of file: begins with%s, want one "
             "of %s", name, hex, b.data && !b.failed ? b.data : "the table");
    pcv_buf_free(&b);
    return -1;
}

bool pcv_is_bytes(const pcv_reading *r, const unsigned char *data, size_t n)
{
    return r->modality == PCV_BYTES ||
           (r->bytes && !pcv_format_npy.probe(data, n));
}

static int read_plain(const unsigned char *data, size_t n, const char *name,
                      const pcv_reading *how, pcv_media *out, size_t *used)
{
    if (how->raw)
        return pcv_format_raw.read(data, n, name, how, out, used);
    if (how->pcm)
        return pcv_format_pcm.read(data, n, name, how, out, used);
    if (pcv_is_bytes(how, data, n))
        return read_bytes(data, n, out, used);
    for (size_t i = 0; i < PCV_LEN(formats); i++)
        if (n > 0 && formats[i]->probe(data, n))
            return formats[i]->read(data, n, name, how, out, used);
    if (how->modality == 0)
        return read_bytes(data, n, out, used);
    return n == 0 ? pcv_fail(EX_DATAERR, "%s: empty file", name)
                  : unrecognised(data, n, name);
}

/* One layer only: a gzip file inside is bytes like any other. */
static int read_gzip(const unsigned char *data, size_t n, const char *name,
                     const pcv_reading *how, pcv_media *out, size_t *used)
{
    pcv_buf inner = {0};
    size_t inner_used;
    int r = pcv_gunzip(data, n, name, how->max_bytes, &inner);

    if (r == 0)
        r = read_plain((const unsigned char *)inner.data, inner.len, name, how,
                       out, &inner_used);
    pcv_buf_free(&inner);
    *used = n;
    return r;
}

int pcv_decode(const unsigned char *data, size_t n, const char *name,
               const pcv_reading *how, pcv_media *out, size_t *used)
{
    size_t ignored;
    bool packed;
    int r;

    memset(out, 0, sizeof *out);
    used = used ? used : &ignored;
    if (n > how->max_bytes)
        return pcv_fail(EX_DATAERR, "%s: %zu bytes, limit is %zu", name, n,
                        how->max_bytes);
    /* Asked for by the caller, bytes and headerless samples are the file's
     * own, even if they look like gzip. */
    packed = !how->raw && !how->pcm && !pcv_is_bytes(how, data, n) &&
             pcv_gzip_probe(data, n);
    r = (packed ? read_gzip : read_plain)(data, n, name, how, out, used);
    if (r != 0)
        pcv_media_free(out);
    return r;
}
