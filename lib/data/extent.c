/* extent.c - where the first picture of a stream ends, without decoding it.
 *
 *     PNG   8 bytes, then chunks: length (4 bytes)  name (4)  data  CRC (4),
 *           the last one is named IEND
 *     PNM   P4 WIDTH HEIGHT, P5 and P6 WIDTH HEIGHT MAXVAL in decimal with
 *           blanks and comments between, one blank, pixels
 *     PAM   P7, lines "WORD VALUE" up to ENDHDR, pixels
 *
 * The same function serves a file that is all there and a pipe that may never
 * say more than the picture it is at: it never asks for a byte beyond. */
#include "parts.h"

#include <string.h>

#define PNG_MAGIC "\x89PNG\r\n\x1a\n"
#define MAX_HEADER 65536        /* of a PNM: comments could go on for ever */

static bool is_png(const unsigned char *data, size_t n)
{
    return n >= 8 && memcmp(data, PNG_MAGIC, 8) == 0;
}

bool pcv_extent_probe(const unsigned char *data, size_t n)
{
    return is_png(data, n) ||
           (n > 2 && data[0] == 'P' && data[1] >= '1' && data[1] <= '7' &&
            (pcv_is_blank(data[2]) || data[2] == '#'));
}

/* ---- PNG ------------------------------------------------------------- */

static size_t png_extent(const unsigned char *data, size_t n, size_t *walked)
{
    size_t at = *walked ? *walked : 8;

    while (at + 8 <= n) {
        const unsigned char *p = data + at;
        size_t length = (size_t)p[0] << 24 | (size_t)p[1] << 16 |
                        (size_t)p[2] << 8 | p[3];

        if (length > INT32_MAX || !pcv_add(at, length + 12, &at))
            return 0;
        if (memcmp(p + 4, "IEND", 4) == 0)
            return at;
        if (at > n)
            return at;
        *walked = at;
    }
    return at + 8;
}

/* ---- PNM ------------------------------------------------------------- */

typedef struct {
    const unsigned char *data;
    size_t n, at;
    bool bad;                   /* not: the data ends before the header */
} header;

static bool fail(header *h)
{
    h->bad = h->at < h->n;
    return false;
}

static bool skip_blanks(header *h)
{
    bool comment = false;

    for (; h->at < h->n; h->at++) {
        unsigned char c = h->data[h->at];

        if (c == '#')
            comment = true;
        else if (c == '\n' || c == '\r')
            comment = false;
        else if (!comment && !pcv_is_blank(c))
            return true;
    }
    return false;
}

/* A number and the blank behind it. */
static bool number(header *h, size_t *v)
{
    size_t start;

    if (!skip_blanks(h))
        return false;
    start = h->at;
    for (*v = 0; h->at < h->n; h->at++) {
        unsigned digit = h->data[h->at] - (unsigned)'0';

        if (digit > 9)
            break;
        *v = *v * 10 + digit;
        if (*v > 65535)
            return fail(h);
    }
    if (h->at == h->n || h->at == start || !pcv_is_blank(h->data[h->at]))
        return fail(h);
    h->at++;
    return true;
}

static bool is_word(const header *h, size_t start, const char *word)
{
    size_t n = strlen(word);

    return h->at - start == n && memcmp(h->data + start, word, n) == 0;
}

/* size is width, height, depth, maxval. */
static bool pam_header(header *h, size_t size[4])
{
    static const char *const field[] = {"WIDTH", "HEIGHT", "DEPTH", "MAXVAL"};

    for (;;) {
        size_t i = 0, start;

        if (!skip_blanks(h))
            return false;
        for (start = h->at; h->at < h->n && !pcv_is_blank(h->data[h->at]);)
            h->at++;
        if (h->at == h->n)
            return false;
        if (is_word(h, start, "ENDHDR"))
            return h->data[h->at++] == '\n' || fail(h);
        if (is_word(h, start, "TUPLTYPE")) {
            while (h->at < h->n && h->data[h->at] != '\n')
                h->at++;
            continue;
        }
        while (i < 4 && !is_word(h, start, field[i]))
            i++;
        if (i == 4 || !number(h, &size[i]))
            return i == 4 ? fail(h) : false;
    }
}

/* The three numbers of a picture of bits or bytes; bits have no maxval. */
static bool pnm_header(header *h, size_t size[4])
{
    size[2] = h->data[1] == '6' ? 3 : 1;
    size[3] = 1;
    return number(h, &size[0]) && number(h, &size[1]) &&
           (h->data[1] == '4' || number(h, &size[3]));
}

static size_t pnm_extent(const unsigned char *data, size_t n)
{
    header h = {data, n < MAX_HEADER ? n : MAX_HEADER, 2, false};
    size_t size[4] = {0}, bytes;

    if (data[1] < '4')
        return SIZE_MAX;
    if (!(data[1] == '7' ? pam_header : pnm_header)(&h, size))
        return h.bad || n >= MAX_HEADER ? 0 : n + 1;
    bytes = data[1] == '4' ? (size[0] + 7) / 8 : size[0];
    if (!pcv_mul(bytes, size[1], &bytes) || !pcv_mul(bytes, size[2], &bytes) ||
        !pcv_mul(bytes, size[3] > 255 ? 2 : 1, &bytes) ||
        !pcv_add(bytes, h.at, &bytes))
        return 0;
    return bytes;
}

size_t pcv_extent(const unsigned char *data, size_t n, size_t *walked)
{
    return is_png(data, n) ? png_extent(data, n, walked)
                           : pnm_extent(data, n);
}
