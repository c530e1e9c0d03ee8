/* json.c - writing JSON, see json.h. */
#include "json.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void begin(pcv_bytes *b, const char *key)
{
    char last = b->len ? b->data[b->len - 1] : '\n';

    if (!strchr("{[:\n", last))
        pcv_bytes_add(b, ",", 1);
    if (!key)
        return;
    pcv_bytes_add(b, "\"", 1);
    pcv_bytes_json(b, key);
    pcv_bytes_add(b, "\":", 2);
}

void json_open(pcv_bytes *b, const char *key, char bracket)
{
    begin(b, key);
    pcv_bytes_add(b, &bracket, 1);
}

void json_close(pcv_bytes *b, char bracket)
{
    pcv_bytes_add(b, &bracket, 1);
}

void json_text(pcv_bytes *b, const char *key, const char *value)
{
    begin(b, key);
    pcv_bytes_add(b, "\"", 1);
    pcv_bytes_json(b, value);
    pcv_bytes_add(b, "\"", 1);
}

void json_number(pcv_bytes *b, const char *key, double value)
{
    begin(b, key);
    pcv_bytes_number(b, value);
}

void json_count(pcv_bytes *b, const char *key, size_t value)
{
    begin(b, key);
    pcv_bytes_printf(b, "%zu", value);
}

void json_truth(pcv_bytes *b, const char *key, bool value)
{
    begin(b, key);
    pcv_bytes_printf(b, "%s", value ? "true" : "false");
}

/* Is it a number as JSON writes it?  strtod alone would take "0x10", "inf". */
static bool is_number(const char *s)
{
    char *end;

    if (!isdigit((unsigned char)s[*s == '-']) || strpbrk(s, "xXnN"))
        return false;
    return isfinite(strtod(s, &end)) && *end == '\0';
}

/* Numbers divided by commas, as an array. */
static bool is_list(const char *s)
{
    return strchr(s, ',') && strspn(s, "0123456789.,-+e") == strlen(s);
}

static void list(pcv_bytes *b, const char *key, const char *s)
{
    json_open(b, key, '[');
    while (*s) {
        char *end;
        double v = strtod(s, &end);

        if (end == s)
            break;
        json_number(b, NULL, v);
        s = *end == ',' ? end + 1 : end;
    }
    json_close(b, ']');
}

void json_guess(pcv_bytes *b, const char *key, const char *text)
{
    if (!strcmp(text, "yes") || !strcmp(text, "no"))
        json_truth(b, key, *text == 'y');
    else if (is_number(text))
        json_number(b, key, strtod(text, NULL));
    else if (is_list(text))
        list(b, key, text);
    else
        json_text(b, key, text);
}

static void base64(pcv_bytes *b, const char *text, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *s = (const unsigned char *)text;

    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)s[i] << 16;
        char four[4];

        v |= i + 1 < n ? (unsigned)s[i + 1] << 8 : 0;
        v |= i + 2 < n ? s[i + 2] : 0u;
        for (int k = 0; k < 4; k++)
            four[k] = i + (size_t)k <= n ? digit[v >> (18 - 6 * k) & 63] : '=';
        pcv_bytes_add(b, four, sizeof four);
    }
}

void json_path(pcv_bytes *b, const char *key, const char *path)
{
    bool exact;

    begin(b, key);
    pcv_bytes_add(b, "\"", 1);
    exact = pcv_bytes_json(b, path);
    pcv_bytes_add(b, "\"", 1);
    if (exact)
        return;
    pcv_bytes_printf(b, ",\"%s_b64\":\"", key);
    base64(b, path, strlen(path));
    pcv_bytes_add(b, "\"", 1);
}
