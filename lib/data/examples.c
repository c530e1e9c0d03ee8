/* examples.c - which files there are to learn from, and what is wanted of them.
 *
 *     a directory    DIR/label/file, DIR/label/any/depth/file; files beside
 *                    the labels and hidden ones are skipped; without a label
 *                    column all files at any depth
 *     a list         path<TAB>label, one a line, relative to the directory of
 *                    the list; or a first line of column names and then lines
 *                    of as many cells; empty lines and those with # in front
 *                    are skipped
 *
 * Every file is looked for at once: what is missing is to be said before the
 * first hour of training, not after it. */
#include "parts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

size_t pcv_examples_text(pcv_examples *e, const char *s, size_t n)
{
    size_t at = e->text.len;

    pcv_buf_add(&e->text, s, n);
    pcv_buf_add(&e->text, "", 1);
    return at;
}

int pcv_examples_add(pcv_examples *e, const size_t *cell)
{
    pcv_buf_add(&e->cells, cell, (size_t)e->columns->columns * sizeof *cell);
    return e->text.failed || e->cells.failed
               ? pcv_fail(EX_OSERR, "out of memory") : 0;
}

static bool is_labelled(const pcv_examples *e)
{
    return e->columns->columns > 1;
}

/* ---- a directory ----------------------------------------------------- */

static int check_file(const char *path)
{
    struct stat st;
    char *shown;

    if (stat(path, &st) == 0)
        return 0;
    shown = pcv_shown(path);
    if (shown)
        pcv_fail(EX_NOINPUT, "%s: %s", shown, strerror(errno));
    pcv_free(shown);
    return -1;
}

/* Is the file below the directory that was added last? */
static bool is_below_last(const pcv_examples *e, const char *path)
{
    size_t row = (size_t)e->columns->columns * sizeof(size_t), at, n;

    if (e->cells.len == 0)
        return false;
    memcpy(&at, e->cells.data + e->cells.len - row, sizeof at);
    n = strlen(e->text.data + at);
    return !strncmp(e->text.data + at, path, n) && path[n] == '/';
}

/* How much of the path of a file is the example: where directories are clips,
 * a picture in one below DIR or its label, from name on, stands for all that
 * are there. */
static size_t example_length(const pcv_examples *e, const char *path,
                             const char *name)
{
    const char *slash = strrchr(name, '/');

    if (!e->columns->column[0].frames || !slash)
        return strlen(path);
    if (is_below_last(e, path))
        return 0;
    return pcv_media_guess(path) == PCV_MEDIA_IMAGE ? (size_t)(slash - path)
                                                    : strlen(path);
}

/* path is DIR, a slash and more. */
static int add_file(pcv_examples *e, const char *path, const char *rest)
{
    const char *slash = strchr(rest, '/');
    const char *name = slash && is_labelled(e) ? slash + 1 : rest;
    size_t cell[PCV_MOST_COLUMNS], n = example_length(e, path, name);

    if ((!slash && is_labelled(e)) || n == 0)
        return 0;
    if (check_file(path) < 0)
        return -1;
    cell[0] = pcv_examples_text(e, path, n);
    if (is_labelled(e))
        cell[1] = pcv_examples_text(e, rest, (size_t)(slash - rest));
    return pcv_examples_add(e, cell);
}

static int no_examples(const pcv_examples *e, const char *dir)
{
    char *shown = pcv_shown(dir);

    if (shown)
        pcv_fail(EX_DATAERR, "%s: no examples: want DIRECTORY/%sfile", shown,
                 is_labelled(e) ? "label/" : "");
    pcv_free(shown);
    return -1;
}

int pcv_examples_directory(pcv_examples *e, const char *dir)
{
    pcv_walk *w = pcv_walk_open(dir, false);
    size_t n = strlen(dir);
    const char *path;
    int status;

    if (!w)
        return -1;
    while ((status = pcv_walk_next(w, &path)) > 0)
        if (add_file(e, path, path + n + (path[n] == '/')) < 0) {
            status = -1;
            break;
        }
    pcv_walk_close(w);
    return status == 0 && e->cells.len == 0 ? no_examples(e, dir) : status;
}

/* ---- a list ---------------------------------------------------------- */

typedef struct {
    const char *shown;          /* name of the list */
    const char *dir;            /* n bytes, with the slash, or 0 */
    size_t n;
    size_t line;
    int cells;                  /* of a line, once a header was read */
    int column[PCV_MOST_COLUMNS];       /* of the columns that cell i is */
} list_at;

static int bad_line(const list_at *at, const char *why)
{
    return pcv_fail(EX_DATAERR, "%s:%zu: %s", at->shown, at->line, why);
}

/* FILE#12 is an item of FILE: where its number begins, or its end. */
size_t pcv_item_mark(const char *path)
{
    const char *mark = strrchr(path, '#');
    size_t n = strlen(path);

    if (!mark || mark == path || !mark[1] ||
        mark[1 + strspn(mark + 1, "0123456789")])
        return n;
    return (size_t)(mark - path);
}

static int stat_listed(char *path, struct stat *st)
{
    size_t mark = pcv_item_mark(path);
    int r = stat(path, st);

    if (r < 0 && path[mark]) {
        path[mark] = '\0';
        r = stat(path, st);
        path[mark] = '#';
    }
    return r;
}

static int check_listed(const list_at *at, char *path, bool clips)
{
    struct stat st;
    char *shown;
    int why = 0;

    if (stat_listed(path, &st) < 0)
        why = errno;
    else if (S_ISDIR(st.st_mode) && !clips)
        why = EISDIR;
    if (!why)
        return 0;
    shown = pcv_shown(path);
    if (shown)
        pcv_fail(EX_NOINPUT, "%s:%zu: %s: %s", at->shown, at->line, shown,
                 strerror(why));
    pcv_free(shown);
    return -1;
}

static bool is_blank_line(const char *s, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!pcv_is_blank((unsigned char)s[i]))
            return false;
    return true;
}

/* The cell of a path, which has to be there. */
static int add_path(pcv_examples *e, const list_at *at, int column,
                    const char *s, size_t n, size_t *cell)
{
    *cell = e->text.len;
    if (*s != '/')
        pcv_buf_add(&e->text, at->dir, at->n);
    pcv_examples_text(e, s, n);
    return e->text.failed ? pcv_fail(EX_OSERR, "out of memory")
                          : check_listed(at, e->text.data + *cell,
                                         e->columns->column[column].frames);
}

/* path<TAB>label, or a path alone. */
static int add_simple(pcv_examples *e, const list_at *at, const char *s,
                      size_t n)
{
    const char *tab = memchr(s, '\t', n);
    size_t cell[PCV_MOST_COLUMNS], length = tab ? (size_t)(tab - s) : n;
    bool empty = e->columns->column[1].kind == PCV_COLUMN_TAGS;

    if (tab == s)
        return bad_line(at, "want path<TAB>label");
    if (is_labelled(e)) {
        if (!tab || (tab + 1 == s + n && !empty))
            return bad_line(at, "want path<TAB>label");
        if (memchr(tab + 1, '\t', n - length - 1))
            return bad_line(at, "a second TAB, want path<TAB>label");
    }
    if (add_path(e, at, 0, s, length, &cell[0]) < 0)
        return -1;
    if (is_labelled(e))
        cell[1] = pcv_examples_text(e, tab + 1, n - length - 1);
    return pcv_examples_add(e, cell);
}

/* ---- lists of several columns ---------------------------------------- */

/* The next cell of a line that ends at `stop`. */
static size_t cell_length(const char *s, const char *stop)
{
    const char *tab = memchr(s, '\t', (size_t)(stop - s));

    return (size_t)((tab ? tab : stop) - s);
}

static int find_column(const pcv_columns *c, const char *s, size_t n)
{
    for (int i = 0; i < c->columns; i++)
        if (strlen(c->column[i].name) == n && !memcmp(c->column[i].name, s, n))
            return i;
    return -1;
}

static int unknown_column(const pcv_examples *e, const list_at *at,
                          const char *s, size_t n)
{
    pcv_buf b = {0};

    for (int i = 0; i < e->columns->columns; i++)
        pcv_buf_printf(&b, "%s%s", i ? ", " : "", e->columns->column[i].name);
    pcv_fail(EX_DATAERR, "%s:%zu: '%.*s' is no part of the model; the first "
             "line names the columns: %s", at->shown, at->line, (int)n, s,
             b.data ? b.data : "");
    pcv_buf_free(&b);
    return -1;
}

static int read_header(const pcv_examples *e, list_at *at, const char *s,
                       size_t n)
{
    const char *stop = s + n;

    for (bool more = true; more; s++) {
        size_t len = cell_length(s, stop);
        int k = find_column(e->columns, s, len);

        for (int i = 0; k >= 0 && i < at->cells; i++)
            if (at->column[i] == k)
                return bad_line(at, "a column twice");
        if (k < 0 || at->cells == PCV_MOST_COLUMNS)
            return unknown_column(e, at, s, len);
        at->column[at->cells++] = k;
        s += len;
        more = s < stop;
    }
    return 0;
}

/* "-" or nothing is absent; an example without tags has none. */
static int add_cell(pcv_examples *e, const list_at *at, int column,
                    const char *s, size_t n, size_t *cell)
{
    int kind = e->columns->column[column].kind;

    *cell = PCV_NO_CELL;
    if ((n == 0 && kind != PCV_COLUMN_TAGS) || (n == 1 && *s == '-'))
        return 0;
    if (kind == PCV_COLUMN_MEDIA)
        return add_path(e, at, column, s, n, cell);
    *cell = pcv_examples_text(e, s, n);
    return 0;
}

static int add_named(pcv_examples *e, list_at *at, const char *s, size_t n)
{
    const char *stop = s + n;
    size_t cell[PCV_MOST_COLUMNS], media = 0;

    if (!at->cells)
        return read_header(e, at, s, n);
    for (int i = 0; i < PCV_MOST_COLUMNS; i++)
        cell[i] = PCV_NO_CELL;
    for (int i = 0; i < at->cells; i++) {
        size_t len = s > stop ? 0 : cell_length(s, stop);
        int column = at->column[i];

        if (s > stop)
            return bad_line(at, "fewer cells than the first line has");
        if (add_cell(e, at, column, s, len, &cell[column]) < 0)
            return -1;
        media += cell[column] != PCV_NO_CELL &&
                 e->columns->column[column].kind == PCV_COLUMN_MEDIA;
        s += len + 1;
    }
    if (s <= stop)
        return bad_line(at, "more cells than the first line has");
    return media ? pcv_examples_add(e, cell)
                 : bad_line(at, "nothing to look at: all inputs are absent");
}

/* ---- lines ----------------------------------------------------------- */

static int add_line(pcv_examples *e, list_at *at, const char *s, size_t n)
{
    n -= n > 0 && s[n - 1] == '\r';
    if (is_blank_line(s, n) || *s == '#')
        return 0;
    if (memchr(s, '\0', n))
        return bad_line(at, "a NUL byte, want text");
    return e->columns->named ? add_named(e, at, s, n) : add_simple(e, at, s, n);
}

static int add_lines(pcv_examples *e, list_at *at, const pcv_file *f)
{
    const char *p = f->size ? (const char *)f->data : "";
    const char *stop = p + f->size;

    while (p < stop) {
        const char *end = memchr(p, '\n', (size_t)(stop - p));
        size_t n = (size_t)((end ? end : stop) - p);

        at->line++;
        if (add_line(e, at, p, n) < 0)
            return -1;
        p += n + (end != NULL);
    }
    if (e->cells.len == 0)
        return pcv_fail(EX_DATAERR, "%s: no examples: want lines of %s",
                        at->shown, !is_labelled(e) ? "a path each"
                        : e->columns->named ? "the columns that the first "
                          "one names" : "path<TAB>label");
    return 0;
}

int pcv_examples_list(pcv_examples *e, const char *list, size_t limit)
{
    const char *slash = strrchr(list, '/');
    char *shown = pcv_shown(list);
    list_at at = {.shown = shown, .dir = list};
    pcv_file f = {0};
    int status = -1;

    at.n = slash ? (size_t)(slash - list) + 1 : 0;
    if (shown && pcv_file_open(&f, list, limit) == 0) {
        status = add_lines(e, &at, &f);
        pcv_file_close(&f);
    }
    pcv_free(shown);
    return status;
}
