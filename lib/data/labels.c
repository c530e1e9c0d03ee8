/* labels.c - what the cells of a label column mean: one label, several, or
 * numbers.
 *
 * Labels are numbered in their bytewise order, or, when they are all integers
 * of a list, in that of the numbers. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "1" and "01" are two labels: the bytes decide between equal numbers. */
static int by_number(const void *a, const void *b)
{
    long long x = strtoll(*(const char *const *)a, NULL, 10);
    long long y = strtoll(*(const char *const *)b, NULL, 10);

    return x < y ? -1 : x > y ? 1 : by_bytes(a, b);
}

static bool is_integer(const char *s)
{
    size_t digits;

    s += *s == '-' || *s == '+';
    digits = strspn(s, "0123456789");
    return digits > 0 && digits <= 18 && s[digits] == '\0';
}

static bool are_integers(const char **label, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_integer(label[i]))
            return false;
    return true;
}

/* Sorts, and leaves one of each; returns how many. */
static size_t sort_labels(const char **label, size_t n,
                          int (*order)(const void *, const void *))
{
    size_t kept = 0;

    qsort(label, n, sizeof *label, order);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(label[i], label[kept - 1]) != 0)
            label[kept++] = label[i];
    return kept;
}

int pcv_labels_find(const pcv_labels *l, const char *s, size_t n)
{
    const char **name = l->was ? l->was : l->label;
    size_t names = l->was ? l->were : l->labels;

    for (size_t k = 0; k < names; k++)
        if (strlen(name[k]) == n && memcmp(name[k], s, n) == 0)
            return l->was ? l->to[k] : (int)k;
    return -1;
}

void pcv_labels_free(pcv_labels *l)
{
    pcv_free(l->label);
    pcv_free(l->own);
    pcv_free(l->was);
    pcv_free(l->to);
    *l = (pcv_labels){0};
}

/* ---- one label ------------------------------------------------------- */

static int make_classes(pcv_labels *l, const char *const *cell, size_t n,
                        bool numeric, int *class)
{
    int (*order)(const void *, const void *) = by_bytes;
    const char **at;

    l->label = pcv_alloc(n, sizeof *l->label);
    if (!l->label)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (cell[i])
            l->label[l->labels++] = cell[i];
    if (numeric && are_integers(l->label, l->labels))
        order = by_number;
    l->labels = sort_labels(l->label, l->labels, order);
    for (size_t i = 0; i < n; i++) {
        at = cell[i] ? bsearch(&cell[i], l->label, l->labels, sizeof *at, order)
                     : NULL;
        class[i] = at ? (int)(at - l->label) : -1;
    }
    return 0;
}

/* ---- any of some ----------------------------------------------------- */

static bool has_empty(const char *tags)
{
    size_t n = strlen(tags);

    return *tags == ',' || strstr(tags, ",,") || (n && tags[n - 1] == ',');
}

/* The names stand one after the other in l->own, each ended by NUL. */
static int make_tags(pcv_labels *l, const char *where,
                     const char *const *cell, size_t n)
{
    pcv_buf text = {0};
    size_t tags = 0;
    char *s;

    for (size_t i = 0; i < n; i++)
        if (cell[i] && has_empty(cell[i])) {
            pcv_buf_free(&text);
            return pcv_fail(EX_DATAERR, "%s: '%s' of example %zu: a tag "
                            "between commas is empty", where, cell[i], i + 1);
        } else if (cell[i] && *cell[i]) {
            pcv_buf_puts(&text, cell[i]);
            pcv_buf_add(&text, ",", 1);
        }
    pcv_buf_add(&text, "", 1);
    if (text.failed)
        return pcv_fail(EX_OSERR, "out of memory");
    for (s = l->own = text.data; (s = strchr(s, ',')) != NULL; s++)
        tags++;
    if (!(l->label = pcv_alloc(tags + 1, sizeof *l->label)))
        return -1;
    for (s = l->own; (s = strchr(s, ',')) != NULL; )
        *s++ = '\0';
    s = l->own;
    for (size_t i = 0; i < tags; i++, s += strlen(s) + 1)
        l->label[i] = s;
    l->labels = sort_labels(l->label, tags, by_bytes);
    return 0;
}

/* ---- numbers --------------------------------------------------------- */

/* A float each. */
static int count_numbers(const char *s)
{
    char *end;

    for (int n = 1;; n++, s = end + 1) {
        float v = strtof(s, &end);

        if (end == s || (*end && *end != ',') || !(v - v == 0))
            return -1;
        if (!*end)
            return n;
    }
}

static int make_numbers(pcv_labels *l, const char *where,
                        const char *const *cell, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int have = cell[i] ? count_numbers(cell[i]) : (int)l->width;

        if (have < 0)
            return pcv_fail(EX_DATAERR, "%s: '%s' of example %zu: want "
                            "numbers with commas between them", where, cell[i],
                            i + 1);
        if (l->width && (size_t)have != l->width)
            return pcv_fail(EX_DATAERR, "%s: example %zu has %d numbers, "
                            "those before it %zu", where, i + 1, have,
                            l->width);
        l->width = (size_t)have;
    }
    return 0;
}

static int bad_text(const char *where, const char *label, size_t i)
{
    char *shown = pcv_shown(label);

    if (shown)
        pcv_fail(EX_DATAERR, "%s: the label '%s' of example %zu is not UTF-8; "
                 "iconv(1) converts it", where, shown, i + 1);
    pcv_free(shown);
    return -1;
}

/* config.json is UTF-8: other bytes would come back as another name. */
static int check_names(const char *where, const char *const *cell, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (const char *s = cell[i]; s && *s;) {
            int bytes = pcv_utf8(s, strlen(s));

            if (bytes == 0)
                return bad_text(where, cell[i], i);
            s += bytes;
        }
    return 0;
}

int pcv_labels_make(pcv_labels *l, const char *where, int kind,
                    const char *const *cell, size_t n, bool numeric,
                    int *class)
{
    *l = (pcv_labels){0};
    if (kind != PCV_COLUMN_NUMBERS && check_names(where, cell, n) < 0)
        return -1;
    if (kind == PCV_COLUMN_CLASS)
        return make_classes(l, cell, n, numeric, class);
    return kind == PCV_COLUMN_TAGS ? make_tags(l, where, cell, n)
                                   : make_numbers(l, where, cell, n);
}
