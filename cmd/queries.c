/* queries.c - which queries of a model's answers are asked for: all, or those
 * of a list of ranges, "0-9,20,5".
 *
 *     --query=index=LIST      of the answer of --answer, else of the main one
 *     --query=NAME=LIST       of the answer of that name */
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

static const char *parse_number(const reply *a, const char *query,
                                const char *p, size_t *n)
{
    size_t all = a->info.queries;
    char *end;

    if (!isdigit((unsigned char)*p))
        refuse(query);
    errno = 0;
    *n = strtoul(p, &end, 10);
    if (errno || *n >= all)
        opt_usage("option --query: there is no answer %.*s, the model has 0 "
                  "to %zu", (int)(end - p), p, all - 1);
    return end;
}

/* One range; returns what follows it. */
static const char *parse_range(const reply *a, const char *query,
                               const char *p, size_t *first, size_t *last)
{
    p = parse_number(a, query, p, first);
    *last = *first;
    if (*p == '-')
        p = parse_number(a, query, p + 1, last);
    if (*last < *first || (*p && *p != ','))
        refuse(query);
    return *p ? p + 1 : p;
}

static void append(reply *a, size_t first, size_t last)
{
    size_t had = a->index ? a->queries : 0, more = last - first + 1;
    int *index = reallocarray(a->index, had + more, sizeof *index);

    if (!index)
        opt_fatal_memory();
    for (size_t i = 0; i < more; i++)
        index[had + i] = (int)(first + i);
    a->index = index;
    a->queries = had + more;
}

static void parse_list(reply *a, const char *query, const char *p)
{
    size_t first, last;

    do {
        p = parse_range(a, query, p, &first, &last);
        append(a, first, last);
    } while (*p);
    if (p[-1] == ',')
        refuse(query);
}

/* ---- names of answers ------------------------------------------------ */

static reply *find(const decode_run *r, const char *name, size_t n)
{
    for (size_t i = 0; i < r->replies.n; i++) {
        const char *own = r->replies.of[i].info.name;

        if (strlen(own) == n && memcmp(own, name, n) == 0)
            return &r->replies.of[i];
    }
    return NULL;
}

static _Noreturn void refuse_name(const decode_run *r)
{
    pcv_bytes names = {0};

    for (size_t i = 0; i < r->replies.n; i++)
        pcv_bytes_printf(&names, "%s%s", i ? ", " : "",
                         r->replies.of[i].info.name);
    if (names.failed)
        opt_fatal_memory();
    opt_usage("option --answer: '%s', the model has %s",
              opt_escaped(r->answer), opt_escaped(names.data));
}

static reply *chosen(const decode_run *r)
{
    reply *a;

    if (!r->answer)
        return &r->replies.of[pcv_model_main(r->model)];
    a = find(r, r->answer, strlen(r->answer));
    if (!a)
        refuse_name(r);
    return a;
}

static void parse_query(decode_run *r, const char *query)
{
    const char *equals = strchr(query, '=');
    size_t n = equals ? (size_t)(equals - query) : 0;
    bool index = n == strlen("index") && memcmp(query, "index", n) == 0;
    reply *a = index ? chosen(r) : find(r, query, n);

    if (strcmp(query, "default") == 0)
        return;
    if (!equals || !a)
        refuse(query);
    parse_list(a, query, equals + 1);
}

void decode_queries(decode_run *r)
{
    replies_open(&r->replies, r->model, r->o.logits);
    if (r->answer)
        replies_keep(&r->replies,
                     (size_t)(chosen(r) - r->replies.of));
    for (size_t i = 0; i < r->queries; i++)
        parse_query(r, r->query[i]);
}
