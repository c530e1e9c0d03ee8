/* queries.c - which of a model's answers are asked for: all, or those of a
 * list of ranges, "0-9,20,5". */
#include "decode.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static _Noreturn void refuse(const char *query)
{
    opt_usage("option --query: '%s', want default or index=A-B,C,..",
              opt_escaped(query));
}

static const char *parse_number(const decode_run *r, const char *p, size_t *n)
{
    size_t all = pcv_model_queries(r->model);
    char *end;

    if (!isdigit((unsigned char)*p))
        refuse(r->query);
    errno = 0;
    *n = strtoul(p, &end, 10);
    if (errno || *n >= all)
        opt_usage("option --query: there is no answer %.*s, the model has 0 "
                  "to %zu", (int)(end - p), p, all - 1);
    return end;
}

/* One range; returns what follows it. */
static const char *parse_range(const decode_run *r, const char *p,
                               size_t *first, size_t *last)
{
    p = parse_number(r, p, first);
    *last = *first;
    if (*p == '-')
        p = parse_number(r, p + 1, last);
    if (*last < *first || (*p && *p != ','))
        refuse(r->query);
    return *p ? p + 1 : p;
}

static void append(decode_run *r, size_t first, size_t last)
{
    size_t more = last - first + 1;
    int *index = reallocarray(r->index, r->queries + more, sizeof *index);

    if (!index)
        opt_fatal_memory();
    for (size_t i = 0; i < more; i++)
        index[r->queries + i] = (int)(first + i);
    r->index = index;
    r->queries += more;
}

void decode_queries(decode_run *r)
{
    static const char prefix[] = "index=";
    const char *p = r->query;
    size_t first, last;

    r->queries = pcv_model_queries(r->model);
    if (!p || strcmp(p, "default") == 0)
        return;
    if (strncmp(p, prefix, strlen(prefix)) != 0)
        refuse(p);
    r->queries = 0;
    p += strlen(prefix);
    do {
        p = parse_range(r, p, &first, &last);
        append(r, first, last);
    } while (*p);
    if (p[-1] == ',')
        refuse(r->query);
}
