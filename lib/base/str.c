/* str.c - growable bytes and the two ways of quoting them.  Invariant:
 * data[len] is NUL whenever data is there, and cap counts that byte. */
#include "base.h"

#include <stdio.h>
#include <string.h>

/* Makes room for n more bytes and the NUL. */
static bool reserve(pcv_buf *b, size_t n)
{
    size_t need, cap;
    char *data;

    if (b->failed)
        return false;
    if (!pcv_add(b->len, n, &need) || !pcv_add(need, 1, &need))
        need = SIZE_MAX;        /* pcv_alloc will say so */
    if (need <= b->cap)
        return true;
    cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need && pcv_mul(cap, 2, &cap))
        ;
    data = pcv_alloc(cap < need ? need : cap, 1);
    if (!data) {
        b->failed = true;
        return false;
    }
    if (b->len)
        memcpy(data, b->data, b->len);
    pcv_free(b->data);
    b->data = data;
    b->cap = cap < need ? need : cap;
    return true;
}

void pcv_buf_add(pcv_buf *b, const void *data, size_t n)
{
    if (n == 0 || !reserve(b, n))
        return;
    memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
}

void pcv_buf_puts(pcv_buf *b, const char *s)
{
    pcv_buf_add(b, s, strlen(s));
}

void pcv_buf_vprintf(pcv_buf *b, const char *format, va_list ap)
{
    va_list again;
    int n;

    va_copy(again, ap);
    n = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (n < 0) {
        b->failed = true;
        pcv_fail(EX_OSERR, "text of more than 2 GiB");
        return;
    }
    if (!reserve(b, (size_t)n))
        return;
    vsnprintf(b->data + b->len, (size_t)n + 1, format, ap);
    b->len += (size_t)n;
}

void pcv_buf_printf(pcv_buf *b, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    pcv_buf_vprintf(b, format, ap);
    va_end(ap);
}

void pcv_buf_clear(pcv_buf *b)
{
    b->len = 0;
    if (b->data)
        b->data[0] = '\0';
}

void pcv_buf_free(pcv_buf *b)
{
    pcv_free(b->data);
    *b = (pcv_buf){0};
}

/* ---- UTF-8 ----------------------------------------------------------- */

static bool continues(unsigned char c)
{
    return (c & 0xc0) == 0x80;
}

/* The second byte decides what the first cannot: overlong forms (e0, f0),
 * surrogates (ed) and what lies beyond U+10FFFF (f4). */
static bool second_byte(unsigned char a, unsigned char b)
{
    unsigned char low = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    unsigned char high = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;

    return low <= b && b <= high;
}

int pcv_utf8(const char *s, size_t n)
{
    const unsigned char *u = (const unsigned char *)s;
    int length;

    if (n == 0)
        return 0;
    if (u[0] < 0x80)
        return 1;
    if (u[0] < 0xc2 || u[0] > 0xf4)
        return 0;
    length = u[0] < 0xe0 ? 2 : u[0] < 0xf0 ? 3 : 4;
    if (n < (size_t)length || !second_byte(u[0], u[1]))
        return 0;
    for (int i = 2; i < length; i++)
        if (!continues(u[i]))
            return 0;
    return length;
}

/* The characters that act on a terminal or end a line although they are
 * valid UTF-8: C0, DEL, C1 (c2 80 .. c2 9f; c2 9b is CSI) and the line and
 * paragraph separators (e2 80 a8, e2 80 a9). */
static bool is_control(const char *s, int length)
{
    const unsigned char *u = (const unsigned char *)s;

    if (length == 1)
        return u[0] < 0x20 || u[0] == 0x7f;
    if (length == 2)
        return u[0] == 0xc2 && u[1] < 0xa0;
    return length == 3 && u[0] == 0xe2 && u[1] == 0x80 &&
           (u[2] == 0xa8 || u[2] == 0xa9);
}

/* The letter after the backslash, or NUL where there is none. */
static char short_escape(char c, const char *bytes, const char *letters)
{
    const char *at = c ? strchr(bytes, c) : NULL;

    return at ? letters[at - bytes] : '\0';
}

void pcv_buf_escape(pcv_buf *b, const char *s)
{
    for (size_t left = strlen(s); left > 0;) {
        int length = pcv_utf8(s, left);
        int step = length ? length : 1;
        char letter = short_escape(*s, "\\\a\b\t\n\v\f\r", "\\abtnvfr");

        if (letter)
            pcv_buf_printf(b, "\\%c", letter);
        else if (length && !is_control(s, length))
            pcv_buf_add(b, s, (size_t)length);
        else    /* octal: unlike \x it cannot swallow a digit that follows */
            for (int i = 0; i < step; i++)
                pcv_buf_printf(b, "\\%03o", (unsigned)(unsigned char)s[i]);
        s += step;
        left -= (size_t)step;
    }
}

bool pcv_buf_json(pcv_buf *b, const char *s, size_t n)
{
    bool valid = true;

    while (n > 0) {
        int length = pcv_utf8(s, n);
        int step = length ? length : 1;
        char letter = short_escape(*s, "\\\"\b\t\n\f\r", "\\\"btnfr");

        if (letter) {
            pcv_buf_printf(b, "\\%c", letter);
        } else if (length == 0) {
            pcv_buf_puts(b, "\xef\xbf\xbd");    /* U+FFFD */
            valid = false;
        } else if (length < 3 && is_control(s, length)) {
            pcv_buf_printf(b, "\\u%04x", (unsigned)(unsigned char)s[step - 1]);
        } else {
            pcv_buf_add(b, s, (size_t)length);
        }
        s += step;
        n -= (size_t)step;
    }
    return valid;
}
