/* report.c - rows into a table and into JSON. */
#include "bench.h"

#include "../../lib/fmt/fmt.h"
#include "../../lib/pcv.h"

#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>

static bool silent;
static const char *figure = "";
static pcv_buf rows;            /* as members of a JSON array */

void bench_quiet(bool quiet)
{
    silent = quiet;
}

/* ---- the machine ----------------------------------------------------- */

/* What /proc/cpuinfo calls the processor; not every kind has a name there. */
static void processor(char *out, size_t size)
{
    FILE *f = fopen("/proc/cpuinfo", "r");
    struct utsname u;
    char line[512];

    snprintf(out, size, "%s", uname(&u) == 0 ? u.machine : "?");
    while (f && fgets(line, sizeof line, f)) {
        char *colon = strchr(line, ':');

        if (strncmp(line, "model name", 10) || !colon)
            continue;
        line[strcspn(line, "\n")] = '\0';
        snprintf(out, size, "%.200s", colon + 2);
        break;
    }
    if (f)
        fclose(f);
}

#ifdef __clang__
#define COMPILER __VERSION__
#else
#define COMPILER "gcc " __VERSION__
#endif

typedef struct {
    const char *name;
    char value[256];
} fact;

enum { FACTS = 5 };

static void learn(fact f[FACTS])
{
    f[0].name = "processor";
    processor(f[0].value, sizeof f[0].value);
    f[1].name = "cores";
    snprintf(f[1].value, sizeof f[1].value, "%ld",
             sysconf(_SC_NPROCESSORS_ONLN));
    f[2].name = "products";
    snprintf(f[2].value, sizeof f[2].value, "%s", pcv_blas_name());
    f[3].name = "vector loops";
    snprintf(f[3].value, sizeof f[3].value, "%s", pcv_rows_get()->name);
    f[4].name = "compiler";
    snprintf(f[4].value, sizeof f[4].value, "%s", COMPILER);
}

void bench_machine(bool quiet)
{
    fact f[FACTS];

    learn(f);
    bench_quiet(quiet);
    for (int i = 0; !silent && i < FACTS; i++)
        printf("%-12s  %s\n", f[i].name, f[i].value);
}

/* ---- rows ------------------------------------------------------------ */

void bench_title(const char *name, const char *about)
{
    figure = name;
    if (!silent)
        printf("\n%-51s %10s   %s\n", about, "measured", "asked");
    fflush(stdout);
}

static void keep_text(const char *key, const char *text)
{
    pcv_buf_printf(&rows, "\"%s\":\"", key);
    pcv_buf_json(&rows, text, strlen(text));
    pcv_buf_puts(&rows, "\",");
}

static void keep(const char *name, const char *unit, double value,
                 enum bench_sense better, double asked)
{
    pcv_buf_puts(&rows, rows.len ? ",\n{" : "\n{");
    keep_text("figure", figure);
    keep_text("name", name);
    keep_text("unit", unit);
    keep_text("better", better == BENCH_LESS ? "less" : "more");
    if (asked > 0) {
        pcv_buf_puts(&rows, "\"asked\":");
        pcv_json_number(&rows, asked);
        pcv_buf_puts(&rows, ",");
    }
    pcv_buf_puts(&rows, "\"value\":");
    pcv_json_number(&rows, value);
    pcv_buf_puts(&rows, "}");
}

void bench_row(const char *name, const char *unit, double value,
               enum bench_sense better, double asked)
{
    bool less = better == BENCH_LESS;
    bool met = less ? value <= asked : value >= asked;

    keep(name, unit, value, better, asked);
    if (silent)
        return;
    printf("  %-45s %10.4g %-9s", name, value, unit);
    if (asked > 0)
        printf(" %s %-7.4g%s", less ? "<=" : ">=", asked,
               met ? "" : "short");
    printf("\n");
    fflush(stdout);
}

void bench_missing(const char *name, const char *why)
{
    if (!silent)
        printf("  %-45s %10s %s\n", name, "-", why);
}

void bench_json(pcv_buf *b)
{
    fact f[FACTS];

    learn(f);
    pcv_buf_printf(b, "{\"pcv\":\"%s\",\n\"machine\":{", pcv_version());
    for (int i = 0; i < FACTS; i++) {
        pcv_buf_printf(b, "%s\"%s\":\"", i ? "," : "", f[i].name);
        pcv_buf_json(b, f[i].value, strlen(f[i].value));
        pcv_buf_puts(b, "\"");
    }
    pcv_buf_puts(b, "},\n\"rows\":[");
    pcv_buf_add(b, rows.data, rows.len);
    pcv_buf_puts(b, "]}\n");
    b->failed |= rows.failed;
}
