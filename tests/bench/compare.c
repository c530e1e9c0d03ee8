/* compare.c - two runs, of two builds or on two machines, row by row. */
#include "bench.h"

#include "../../lib/fmt/fmt.h"

#include <stdio.h>
#include <string.h>

typedef struct {
    const char *path;
    pcv_file file;
    pcv_json *top;
    const pcv_json *rows;
} run;

static int open_run(run *r, const char *path)
{
    *r = (run){ .path = path };
    if (pcv_file_open(&r->file, path, 1 << 24) < 0)
        return -1;
    r->top = pcv_json_parse((const char *)r->file.data, r->file.size, path);
    if (!r->top)
        return -1;
    r->rows = pcv_json_get(r->top, "rows");
    if (pcv_json_kind(r->rows) != PCV_JARRAY)
        return pcv_fail(EX_DATAERR, "%s: no list of rows, want what "
                        "bench --json writes", path);
    return 0;
}

static void close_run(run *r)
{
    pcv_json_close(r->top);
    pcv_file_close(&r->file);
}

static const char *text(const pcv_json *row, const char *key)
{
    const char *s = pcv_json_string(pcv_json_get(row, key));

    return s ? s : "";
}

static double value(const pcv_json *row)
{
    return pcv_json_real(pcv_json_get(row, "value"));
}

static const pcv_json *same_row(const run *r, const pcv_json *row)
{
    for (size_t i = 0; i < pcv_json_count(r->rows); i++) {
        const pcv_json *other = pcv_json_at(r->rows, i);

        if (!strcmp(text(other, "figure"), text(row, "figure")) &&
            !strcmp(text(other, "name"), text(row, "name")))
            return other;
    }
    return NULL;
}

/* Ratios of what should be more, or of what should be less the other way
 * round: above 1 the second run is better. */
static void print_row(const pcv_json *a, const pcv_json *b)
{
    bool less = !strcmp(text(a, "better"), "less");
    double ratio = less ? value(a) / value(b) : value(b) / value(a);
    char name[80];

    snprintf(name, sizeof name, "%s: %s", text(a, "figure"), text(a, "name"));
    printf("%-50s %10.4g %10.4g %-8s", name, value(a), value(b),
           text(a, "unit"));
    printf(" %7.3f\n", ratio);
}

static void print_machines(const run *a, const run *b)
{
    const pcv_json *m = pcv_json_get(a->top, "machine");
    const pcv_json *n = pcv_json_get(b->top, "machine");

    for (size_t i = 0; i < pcv_json_count(m); i++) {
        const char *key = pcv_json_key(m, i);

        if (strcmp(text(m, key), text(n, key)))
            printf("another %s: %s | %s\n", key, text(m, key), text(n, key));
    }
}

static void print_table(const run *a, const run *b)
{
    print_machines(a, b);
    printf("%-50s %10s %10s %-8s %7s\n", "", "first", "second", "", "gain");
    for (size_t i = 0; i < pcv_json_count(a->rows); i++) {
        const pcv_json *row = pcv_json_at(a->rows, i);
        const pcv_json *other = same_row(b, row);

        if (other)
            print_row(row, other);
    }
}

int bench_compare(const char *a, const char *b)
{
    run one, two = {0};
    int r = open_run(&one, a) < 0 || open_run(&two, b) < 0 ? -1 : 0;

    if (r == 0)
        print_table(&one, &two);
    close_run(&one);
    close_run(&two);
    return r;
}
