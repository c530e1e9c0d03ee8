/* pnm.c - the netpbm family in: P1 to P6 and P7 (PAM), written in numbers or
 * in bytes, any maxval up to 65535, comments wherever the format has them.
 *
 *   P1 P4 bits, 1 is black    P2 P5 grey    P3 P6 RGB
 *   P<digit> WIDTH HEIGHT [MAXVAL] one-blank pixels; maxval > 255: two bytes
 *   per sample, the higher first; bits are packed and rows padded to a byte
 *   P7: lines of "NAME value" up to ENDHDR; there 1 is white
 *
 * The pixels' number of bytes follows from the header and is held against
 * the file's before anything is allocated.  The next picture may follow. */
#include "formats.h"

#include <string.h>

typedef struct {
    const unsigned char *data;
    size_t n, at;
    const char *name;
    int digit;                  /* of the magic number, 1 to 7 */
    size_t width, height, channels, maxval;
} reader;

static bool is_blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Blanks, and comments from # to the end of the line. */
static void skip_blanks(reader *r)
{
    bool comment = false;

    for (; r->at < r->n; r->at++) {
        const unsigned char c = r->data[r->at];

        if (c == '#')
            comment = true;
        else if (c == '\n' || c == '\r')
            comment = false;
        else if (!comment && !is_blank(c))
            return;
    }
}

static int truncated(const reader *r, const char *where)
{
    return pcv_fail(EX_DATAERR, "%s: truncated PNM: ends at byte %zu in %s",
                    r->name, r->n, where);
}

/* The decimal number at r->at; what is for the message. */
static int read_number(reader *r, const char *what, size_t max, size_t *out)
{
    const size_t start = r->at;
    size_t v = 0;

    if (r->at == r->n)
        return truncated(r, what);
    for (; r->at < r->n; r->at++) {
        const unsigned digit = r->data[r->at] - (unsigned)'0';

        if (digit > 9)
            break;
        v = v * 10 + digit;
        if (v > max)
            return pcv_fail(EX_DATAERR, "%s: PNM %s at byte %zu is over %zu",
                            r->name, what, start, max);
    }
    if (r->at == start)
        return pcv_fail(EX_DATAERR, "%s: PNM has byte 0x%02x at %zu, want "
                        "%s, a number", r->name, r->data[start], start, what);
    *out = v;
    return 0;
}

static int read_next(reader *r, const char *what, size_t max, size_t *out)
{
    skip_blanks(r);
    return read_number(r, what, max, out);
}

/* ---- headers --------------------------------------------------------- */

static int read_header(reader *r)
{
    r->channels = r->digit == 3 || r->digit == 6 ? 3 : 1;
    r->maxval = 1;
    if (read_next(r, "width", 65535, &r->width) != 0 ||
        read_next(r, "height", 65535, &r->height) != 0)
        return -1;
    if (r->digit != 1 && r->digit != 4 &&
        read_next(r, "maxval", 65535, &r->maxval) != 0)
        return -1;
    if (r->at == r->n)
        return truncated(r, "the header");
    if (!is_blank(r->data[r->at]))
        return pcv_fail(EX_DATAERR, "%s: PNM has byte 0x%02x at %zu, want "
                        "the blank that ends the header", r->name,
                        r->data[r->at], r->at);
    r->at++;
    return 0;
}

static bool is_word(const reader *r, size_t start, const char *word)
{
    const size_t n = strlen(word);

    return r->at - start == n && memcmp(r->data + start, word, n) == 0;
}

/* The kind of tuple repeats what depth says; only where depth leaves room
 * for another meaning of the channels it is worth a look. */
static int read_tuple_type(reader *r)
{
    static const char inks[] = "CMYK";
    const size_t line = sizeof inks - 1;

    while (r->at < r->n && (r->data[r->at] == ' ' || r->data[r->at] == '\t'))
        r->at++;
    if (r->n - r->at >= line && memcmp(r->data + r->at, inks, line) == 0)
        return pcv_fail(EX_DATAERR, "%s: PAM of type CMYK, want GRAYSCALE or "
                        "RGB, with or without _ALPHA", r->name);
    while (r->at < r->n && r->data[r->at] != '\n')
        r->at++;
    return 0;
}

/* One word of a PAM header and its value; *end after ENDHDR. */
static int read_line(reader *r, bool *end)
{
    const struct { const char *word; size_t max, *to; } field[] = {
        {"WIDTH", 65535, &r->width}, {"HEIGHT", 65535, &r->height},
        {"DEPTH", 4, &r->channels}, {"MAXVAL", 65535, &r->maxval},
    };
    size_t start;

    skip_blanks(r);
    start = r->at;
    while (r->at < r->n && !is_blank(r->data[r->at]))
        r->at++;
    if (r->at == r->n)
        return truncated(r, "the header");
    *end = is_word(r, start, "ENDHDR");
    if (*end || is_word(r, start, "TUPLTYPE"))
        return *end ? 0 : read_tuple_type(r);
    for (size_t i = 0; i < PCV_LEN(field); i++)
        if (is_word(r, start, field[i].word))
            return read_next(r, field[i].word, field[i].max, field[i].to);
    return pcv_fail(EX_DATAERR, "%s: PAM header has an unknown word at byte "
                    "%zu, want WIDTH, HEIGHT, DEPTH, MAXVAL, TUPLTYPE or "
                    "ENDHDR", r->name, start);
}

static int read_pam_header(reader *r)
{
    bool end = false;

    while (!end)
        if (read_line(r, &end) != 0)
            return -1;
    /* read_line saw a blank behind ENDHDR. */
    if (r->data[r->at++] != '\n')
        return pcv_fail(EX_DATAERR, "%s: PAM has byte 0x%02x at %zu, want "
                        "the end of the line", r->name, r->data[r->at - 1],
                        r->at - 1);
    return 0;
}

static int check_header(const reader *r)
{
    if (r->width && r->height && r->channels && r->maxval)
        return 0;
    return pcv_fail(EX_DATAERR, "%s: PNM has width %zu, height %zu, depth "
                    "%zu and maxval %zu, want none of them 0", r->name,
                    r->width, r->height, r->channels, r->maxval);
}

/* ---- pixels ---------------------------------------------------------- */

/* How many bytes the pixels take; in numbers, take at least. */
static bool count_bytes(const reader *r, size_t *bytes)
{
    const size_t columns = r->digit == 4 ? (r->width + 7) / 8 : r->width;
    const size_t size = r->digit > 4 && r->maxval > 255 ? 2 : 1;

    return pcv_mul(columns, r->height, bytes) &&
           pcv_mul(*bytes, r->channels, bytes) &&
           pcv_mul(*bytes, size, bytes);
}

static uint8_t scale(size_t v, size_t maxval)
{
    return (uint8_t)((v * 255 + maxval / 2) / maxval);
}

static int check_sample(const reader *r, size_t v, size_t i)
{
    if (v <= r->maxval)
        return 0;
    return pcv_fail(EX_DATAERR, "%s: PNM sample %zu is %zu, maxval is %zu",
                    r->name, i, v, r->maxval);
}

static int read_samples(reader *r, uint8_t *to, size_t n)
{
    const unsigned char *p = r->data + r->at;
    const bool wide = r->maxval > 255;

    for (size_t i = 0; i < n; i++) {
        const size_t v = wide ? p[2 * i] * 256u + p[2 * i + 1] : p[i];

        if (check_sample(r, v, i) != 0)
            return -1;
        to[i] = scale(v, r->maxval);
    }
    r->at += wide ? 2 * n : n;
    return 0;
}

static void read_packed_bits(reader *r, uint8_t *to)
{
    for (size_t y = 0; y < r->height; y++) {
        const unsigned char *p = r->data + r->at;

        for (size_t x = 0; x < r->width; x++)
            *to++ = p[x / 8] >> (7 - x % 8) & 1 ? 0 : 255;
        r->at += (r->width + 7) / 8;
    }
}

/* Bits in numbers need no blanks between them. */
static int read_bit(reader *r, uint8_t *to)
{
    skip_blanks(r);
    if (r->at == r->n)
        return truncated(r, "the pixels");
    if (r->data[r->at] != '0' && r->data[r->at] != '1')
        return pcv_fail(EX_DATAERR, "%s: PNM has byte 0x%02x at %zu, want 0 "
                        "or 1", r->name, r->data[r->at], r->at);
    *to = r->data[r->at++] == '1' ? 0 : 255;
    return 0;
}

static int read_numbers(reader *r, uint8_t *to, size_t n)
{
    size_t v;

    for (size_t i = 0; i < n; i++) {
        if (r->digit == 1) {
            if (read_bit(r, to + i) != 0)
                return -1;
            continue;
        }
        if (read_next(r, "sample", 65535, &v) != 0 ||
            check_sample(r, v, i) != 0)
            return -1;
        to[i] = scale(v, r->maxval);
    }
    /* Else the newline at the end would be taken for one more item. */
    skip_blanks(r);
    return 0;
}

static int read_pixels(reader *r, pcv_media *out)
{
    const size_t n = r->width * r->height * r->channels;
    int result = 0;

    if (r->digit < 4)
        result = read_numbers(r, out->array.data, n);
    else if (r->digit == 4)
        read_packed_bits(r, out->array.data);
    else
        result = read_samples(r, out->array.data, n);
    if (result == 0)
        pcv_image_flatten(out);
    return result;
}

static int read_pnm(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    reader r = {.data = data, .n = n, .at = 2, .name = name,
                .digit = data[1] - '0'};
    size_t bytes;

    if ((r.digit == 7 ? read_pam_header : read_header)(&r) != 0 ||
        check_header(&r) != 0)
        return -1;
    if (!count_bytes(&r, &bytes) || bytes > n - r.at)
        return pcv_fail(EX_DATAERR, "%s: truncated PNM: %zu of %zu bytes of "
                        "%zu x %zu pixels", name, n - r.at, bytes, r.width,
                        r.height);
    if (pcv_image_open(out, r.height, r.width, (int)r.channels, name,
                       how) != 0)
        return -1;
    if (read_pixels(&r, out) != 0) {
        pcv_media_free(out);
        return -1;
    }
    *used = r.at;
    return 0;
}

/* "P5" may begin a text, so a number or a comment must follow (PAM: a word).
 */
static bool probe_pnm(const unsigned char *data, size_t n)
{
    size_t i = 2;

    if (n < 3 || data[0] != 'P' || data[1] < '1' || data[1] > '7')
        return false;
    if (!is_blank(data[2]))
        return data[2] == '#';
    while (i < n && is_blank(data[i]))
        i++;
    if (i == n || data[i] == '#')
        return true;
    return data[1] == '7' ? data[i] >= 'A' && data[i] <= 'Z'
                          : data[i] >= '0' && data[i] <= '9';
}

const pcv_format pcv_format_pnm = {"PNM", probe_pnm, read_pnm, PCV_MEDIA_IMAGE};
