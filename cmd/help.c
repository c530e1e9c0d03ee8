/* help.c - --help, --version, and the option that was meant. */
#include "opt_parts.h"

#include <stdio.h>
#include <string.h>

#define WIDTH 79
#define COLUMN 30       /* where the text of an option begins */
#define ARGUMENT 10     /* where an argument of several lines goes on */

/* ---- --help ---------------------------------------------------------- */

/* Words from column `at` on, at the end of a line as much as fits. */
static void print_words(const char *text, int at)
{
    while (*text) {
        int n = (int)strcspn(text, " \n");

        if (at > COLUMN && at + 1 + n > WIDTH) {
            printf("\n%*s", COLUMN, "");
            at = COLUMN;
        }
        at += printf(at > COLUMN ? " %.*s" : "%.*s", n, text);
        text += n;
        if (*text == '\n') {
            printf("\n%*s", COLUMN, "");
            at = COLUMN;
        }
        text += *text != '\0';
    }
    putchar('\n');
}

/* "a|b|c" from column `at` on, in lines that end in '|'. */
static int print_argument(const char *a, int at)
{
    while (*a) {
        int n = (int)strcspn(a, "|");

        n += a[n] == '|';
        if (at + n > WIDTH)
            at = printf("\n%*s", ARGUMENT, "") - 1;
        at += printf("%.*s", n, a);
        a += n;
    }
    return at;
}

static int print_names(const opt_row *row)
{
    const char *a = row->argument;
    int n = row->letter ? printf("  -%c, --%s", row->letter, row->name)
                        : printf("      --%s", row->name);

    if (!a)
        return n;
    if (*a == '[')              /* "[N]" is shown as "[=N]" */
        n += printf("[=%s", a + 1);
    else
        n = print_argument(a, n + printf("="));
    return n;
}

static void print_row(const opt_row *row, const opt_row *first)
{
    int n;

    if (!row->name) {
        printf("%s%s\n", row == first ? "" : "\n", row->help);
        return;
    }
    n = print_names(row);
    if (n + 2 > COLUMN) {
        putchar('\n');
        n = 0;
    }
    printf("%*s", COLUMN - n, "");
    print_words(row->help, COLUMN);
}

void opt_help(const opt_table *t)
{
    printf("usage: %s [OPTION]... %s\n\n%s\n\n", t->program->name,
           t->program->operands, t->program->about);
    for (size_t i = 0; i < t->rows; i++)
        print_row(&t->row[i], t->row);
}

void opt_version(const opt_table *t)
{
    const char *build = pcv_build_info();
    size_t n = strlen(build);

    printf("%s %s\n%s%s", t->program->name, pcv_version(), build,
           n && build[n - 1] != '\n' ? "\n" : "");
}

/* ---- the option that was meant --------------------------------------- */

#define LONGEST 32

static int least(int a, int b)
{
    return a < b ? a : b;
}

/* Letters to insert, remove, replace or swap with their neighbour to make
 * one word of the other: d[i][j] for the first i of a and j of b. */
static int distance(const char *a, const char *b)
{
    int d[LONGEST + 1][LONGEST + 1];
    int m = (int)strlen(a), n = (int)strlen(b);

    if (m > LONGEST || n > LONGEST)
        return LONGEST;
    for (int i = 0; i <= m; i++)
        for (int j = 0; j <= n; j++) {
            if (!i || !j) {
                d[i][j] = i + j;
                continue;
            }
            d[i][j] = least(least(d[i - 1][j], d[i][j - 1]) + 1,
                            d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] &&
                a[i - 2] == b[j - 1])
                d[i][j] = least(d[i][j], d[i - 2][j - 2] + 1);
        }
    return d[m][n];
}

const char *opt_nearest(const opt_table *t, const char *name)
{
    int best = least(3, (int)strlen(name) / 2 + 1);
    const char *near = NULL;

    for (size_t i = 0; i < t->rows; i++) {
        const char *candidate = t->row[i].name;
        int d = candidate ? distance(name, candidate) : LONGEST;

        if (d < best) {
            best = d;
            near = candidate;
        }
    }
    return near;
}
