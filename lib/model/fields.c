/* fields.c - a struct described by a table: each row is a field's name on the
 * command line, its key in a file, type, default and range.  Setting, getting,
 * defaults and help are loops over it (spec.c: models; train: runs). */
#include "model.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const pcv_row *find(const pcv_table *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (!strcmp(t->row[i].field.name, name))
            return &t->row[i];
    return NULL;
}

int *pcv_row_int(void *s, const pcv_row *r)
{
    return (int *)(void *)((char *)s + r->at);
}

double *pcv_row_real(void *s, const pcv_row *r)
{
    return (double *)(void *)((char *)s + r->at);
}

int pcv_row_numbers(const pcv_row *r)
{
    return r->type == PCV_ROW_STATS ? 4 : r->type == PCV_ROW_RES ? 3 : 1;
}

bool pcv_row_same(const pcv_row *r, const void *a, const void *b)
{
    void *x = (void *)(uintptr_t)a, *y = (void *)(uintptr_t)b;

    if (r->type == PCV_ROW_TEXT)
        return !strcmp((char *)x + r->at, (char *)y + r->at);
    if (r->type == PCV_ROW_INT || r->type == PCV_ROW_BOOL ||
        r->type == PCV_ROW_WORD)
        return *pcv_row_int(x, r) == *pcv_row_int(y, r);
    return !memcmp(pcv_row_real(x, r), pcv_row_real(y, r),
                   (size_t)pcv_row_numbers(r) * sizeof(double));
}

/* The k-th of "a|b|c" into out; false past the end. */
static bool word(const char *values, int k, char *out, size_t size)
{
    size_t n;

    for (; k > 0; k--) {
        values = strchr(values, '|');
        if (!values)
            return false;
        values += 1 + (values[1] == '|');
    }
    n = strcspn(values, "|");
    if (n >= size)
        return false;
    memcpy(out, values, n);
    out[n] = '\0';
    return true;
}

static int word_index(const char *values, const char *value)
{
    char w[32];

    for (int k = 0; *value && word(values, k, w, sizeof w); k++)
        if (!strcmp(w, value))
            return k;
    return -1;
}

void pcv_field_values(const pcv_field *f, pcv_buf *b)
{
    const char *v = f->values + (*f->values == '|');
    const char *end = strstr(v, "||");

    pcv_buf_add(b, v, end ? (size_t)(end - v) : strlen(v));
}

bool pcv_field_offers(const pcv_field *f, const char *value)
{
    const char *end = strstr(f->values, "||");
    char w[32];

    for (int k = 0; end && word(end + 2, k, w, sizeof w); k++)
        if (!strcmp(w, value))
            return false;
    return true;
}

static int refuse(const pcv_row *r, const char *value)
{
    pcv_buf v = {0};

    if (r->type == PCV_ROW_INT || r->type == PCV_ROW_REAL ||
        r->type == PCV_ROW_RES || r->type == PCV_ROW_STATS)
        return pcv_fail(EX_USAGE, "%s: '%s', want a number from %.12g to %.12g",
                        r->field.name, value, r->min, r->max);
    pcv_field_values(&r->field, &v);
    pcv_fail(EX_USAGE, "%s: '%s', want %s", r->field.name, value,
             v.data ? v.data : "");
    pcv_buf_free(&v);
    return -1;
}

int pcv_row_number(void *s, const pcv_row *r, int k, double v)
{
    if (!(v >= r->min && v <= r->max))
        return -1;
    if (r->type == PCV_ROW_INT || r->type == PCV_ROW_BOOL) {
        if (floor(v) < v)
            return -1;
        *pcv_row_int(s, r) = (int)v;
    } else {
        pcv_row_real(s, r)[k] = v;
    }
    return 0;
}

/* A list of numbers; the last one stands for those that are missing. */
static int set_list(void *s, const pcv_row *r, const char *value)
{
    int n = pcv_row_numbers(r), k = 0;
    const char *p = value;
    double v = 0;

    for (; k < n && *p; k++) {
        char *end;

        errno = 0;
        v = strtod(p, &end);
        if (end == p || errno || (*end && *end != ',') ||
            pcv_row_number(s, r, k, v) < 0)
            return refuse(r, value);
        p = *end ? end + 1 : end;
    }
    if (k == 0 || *p)
        return refuse(r, value);
    for (; k < n; k++)
        pcv_row_real(s, r)[k] = v;
    return 0;
}

int pcv_table_set(const pcv_table *t, void *s, const char *name,
                  const char *value)
{
    const pcv_row *r = find(t, name);
    char *end;
    int k;

    if (!r)
        return pcv_fail(EX_USAGE, "no setting '%s'", name);
    if (r->type == PCV_ROW_TEXT) {
        if (strlen(value) >= PCV_TEXT_SIZE)
            return pcv_fail(EX_USAGE, "%s: %zu bytes, want fewer than %d",
                            name, strlen(value), PCV_TEXT_SIZE);
        strcpy((char *)s + r->at, value);
        return 0;
    }
    if (r->type == PCV_ROW_WORD || r->type == PCV_ROW_BOOL) {
        k = word_index(r->field.values, value);
        if (k < 0)
            return refuse(r, value);
        *pcv_row_int(s, r) = k;
        return 0;
    }
    if (r->type == PCV_ROW_INT) {
        double v = strtod(value, &end);

        return !*value || *end || pcv_row_number(s, r, 0, v) < 0
                   ? refuse(r, value) : 0;
    }
    return set_list(s, r, value);
}

void pcv_table_get(const pcv_table *t, const void *from, const char *name,
                   pcv_buf *b)
{
    void *s = (void *)from;
    const pcv_row *r = find(t, name);
    char w[32];

    if (!r)
        return;
    if (r->type == PCV_ROW_WORD || r->type == PCV_ROW_BOOL)
        pcv_buf_puts(b, word(r->field.values, *pcv_row_int(s, r), w, sizeof w)
                            ? w : "?");
    else if (r->type == PCV_ROW_TEXT)
        pcv_buf_puts(b, (const char *)s + r->at);
    else if (r->type == PCV_ROW_INT)
        pcv_buf_printf(b, "%d", *pcv_row_int(s, r));
    else
        for (int k = 0; k < pcv_row_numbers(r); k++) {
            if (k)
                pcv_buf_puts(b, ",");
            pcv_json_exact(b, pcv_row_real(s, r)[k]);
        }
}

void pcv_table_default(const pcv_table *t, void *s)
{
    for (size_t i = 0; i < t->count; i++) {
        const pcv_row *r = &t->row[i];

        if (r->type == PCV_ROW_INT || r->type == PCV_ROW_BOOL ||
            r->type == PCV_ROW_WORD)
            *pcv_row_int(s, r) = (int)r->standard;
        else if (r->type == PCV_ROW_TEXT)
            *((char *)s + r->at) = '\0';
        else
            for (int k = 0; k < pcv_row_numbers(r); k++)
                pcv_row_real(s, r)[k] = r->standard;
    }
}
