/* setters.c - text of the command line -> values.  What is not wholly a value
 * of its kind is a usage error that says what is wanted. */
#include "opt.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void opt_flag(const opt_row *row, const char *value)
{
    (void)value;
    *(bool *)row->to = true;
}

void opt_text(const opt_row *row, const char *value)
{
    *(const char **)row->to = value;
}

size_t opt_whole(const char *option, const char *value, size_t least,
                 size_t most)
{
    char *end = NULL;
    unsigned long long n;

    errno = 0;
    n = strtoull(value, &end, 10);
    if (isdigit((unsigned char)*value) && !*end && !errno && n >= least &&
        n <= most)
        return (size_t)n;
    if (most < SIZE_MAX)
        opt_usage("%s: '%s', want a whole number from "
                  "%zu to %zu", option, opt_escaped(value),
                  least, most);
    opt_usage("%s: '%s', want a whole number from %zu", option,
              opt_escaped(value), least);
}

static size_t row_whole(const opt_row *row, const char *value, size_t least)
{
    char option[64];

    snprintf(option, sizeof option, "option --%s", row->name);
    return opt_whole(option, value, least, SIZE_MAX);
}

void opt_count(const opt_row *row, const char *value)
{
    *(size_t *)row->to = row_whole(row, value, 1);
}

void opt_number(const opt_row *row, const char *value)
{
    *(size_t *)row->to = row_whole(row, value, 0);
}

void opt_real(const opt_row *row, const char *value)
{
    char *end = NULL;
    double x = strtod(value, &end);

    if (end == value || *end || !isfinite(x) || x <= 0)
        opt_usage("option --%s: '%s', want a number above 0", row->name,
                  opt_escaped(value));
    *(double *)row->to = x;
}

void opt_choice(const opt_row *row, const char *value)
{
    size_t n = strlen(value);
    const char *at = row->argument;
    int i = 0;

    at += *at == '[';
    for (; *at; i++) {
        size_t length = strcspn(at, "|]");

        if (length == n && strncmp(at, value, n) == 0) {
            *(int *)row->to = i;
            return;
        }
        at += length + (at[length] != '\0');
    }
    opt_usage("option --%s: '%s', want %s", row->name, opt_escaped(value),
              row->argument);
}
