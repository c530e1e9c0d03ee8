/* examples.c - which files there are to learn from, and their labels.
 *
 *     a directory    DIR/label/file, DIR/label/any/depth/file; files beside
 *                    the labels and hidden ones are skipped
 *     a list         path<TAB>label, one a line; relative to the directory
 *                    of the list; empty lines and those with # in front are
 *                    skipped
 *
 * Every file is looked for at once: what is missing is to be said before the
 * first hour of training, not after it. */
#include "parts.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

static size_t add_text(pcv_examples *e, const char *s, size_t n)
{
    size_t at = e->text.len;

    pcv_buf_add(&e->text, s, n);
    pcv_buf_add(&e->text, "", 1);
    return at;
}

static int add_row(pcv_examples *e, size_t path, size_t label)
{
    pcv_example row = {path, label};

    pcv_buf_add(&e->rows, &row, sizeof row);
    return e->text.failed || e->rows.failed ? -1 : 0;
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

/* path is DIR, a slash and more. */
static int add_file(pcv_examples *e, const char *path, const char *rest)
{
    const char *slash = strchr(rest, '/');
    size_t at;

    if (!slash)
        return 0;
    if (check_file(path) < 0)
        return -1;
    at = add_text(e, path, strlen(path));
    return add_row(e, at, add_text(e, rest, (size_t)(slash - rest)));
}

static int no_examples(const char *dir)
{
    char *shown = pcv_shown(dir);

    if (shown)
        pcv_fail(EX_DATAERR, "%s: no examples: want DIRECTORY/label/file",
                 shown);
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
    return status == 0 && e->rows.len == 0 ? no_examples(dir) : status;
}

/* ---- a list ---------------------------------------------------------- */

typedef struct {
    const char *shown;          /* name of the list */
    const char *dir;            /* n bytes, with the slash, or 0 */
    size_t n;
    size_t line;
} list_at;

static int bad_line(const list_at *at, const char *why)
{
    return pcv_fail(EX_DATAERR, "%s:%zu: %s", at->shown, at->line, why);
}

static int check_listed(const list_at *at, const char *path)
{
    struct stat st;
    char *shown;
    int why = 0;

    if (stat(path, &st) < 0)
        why = errno;
    else if (S_ISDIR(st.st_mode))
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

static int add_line(pcv_examples *e, const list_at *at, const char *s,
                    size_t n)
{
    const char *tab;
    size_t path, label, length;

    n -= n > 0 && s[n - 1] == '\r';
    if (is_blank_line(s, n) || *s == '#')
        return 0;
    if (memchr(s, '\0', n))
        return bad_line(at, "a NUL byte, want path<TAB>label");
    tab = memchr(s, '\t', n);
    if (!tab || tab == s || tab + 1 == s + n)
        return bad_line(at, "want path<TAB>label");
    length = (size_t)(tab - s);
    if (memchr(tab + 1, '\t', n - length - 1))
        return bad_line(at, "a second TAB, want path<TAB>label");
    path = e->text.len;
    if (*s != '/')
        pcv_buf_add(&e->text, at->dir, at->n);
    add_text(e, s, length);
    label = add_text(e, tab + 1, n - length - 1);
    if (add_row(e, path, label) < 0)
        return -1;
    return check_listed(at, e->text.data + path);
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
    if (e->rows.len == 0)
        return pcv_fail(EX_DATAERR, "%s: no examples: want lines of "
                        "path<TAB>label", at->shown);
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
