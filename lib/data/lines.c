/* lines.c - texts that lie in few files: one a line, or a file cut into pieces
 * of equal length.  They are used where they lie in the mapped files. */
#include "parts.h"

#include <string.h>

/* The file that was opened is the last of t->files. */
static int open_next(pcv_texts *t, const char *path, size_t limit,
                     pcv_file *f)
{
    if (pcv_file_open(f, path, limit) < 0)
        return -1;
    pcv_buf_add(&t->files, f, sizeof *f);
    if (!t->files.failed)
        return 0;
    pcv_file_close(f);
    return pcv_fail(EX_OSERR, "out of memory");
}

void pcv_texts_close(pcv_texts *t)
{
    pcv_file *f = (pcv_file *)(void *)t->files.data;

    for (size_t i = 0; i < t->files.len / sizeof *f; i++)
        pcv_file_close(&f[i]);
    pcv_buf_free(&t->files);
    pcv_buf_free(&t->spans);
}

/* An example called "path<mark>number". */
static int add(pcv_texts *t, pcv_examples *e, const char *path, char mark,
               size_t number, size_t label, pcv_span span)
{
    size_t cell[PCV_MOST_COLUMNS] = { e->text.len, label };

    pcv_buf_printf(&e->text, "%s%c%zu%c", path, mark, number, '\0');
    pcv_buf_add(&t->spans, &span, sizeof span);
    return t->spans.failed ? pcv_fail(EX_OSERR, "out of memory")
                           : pcv_examples_add(e, cell);
}

/* ---- lines ----------------------------------------------------------- */

static int add_text_line(pcv_texts *t, pcv_examples *e, const char *path,
                         size_t line, const char *s, size_t n)
{
    const char *tab = memchr(s, '\t', n);
    bool labelled = e->columns->columns > 1;
    bool empty = e->columns->column[1].kind == PCV_COLUMN_TAGS;
    size_t label = PCV_NO_CELL, skip = tab ? (size_t)(tab - s) + 1 : 0;

    if (n == 0)
        return 0;
    if (labelled && (!tab || (tab == s && !empty)))
        return pcv_fail(EX_DATAERR, "%s:%zu: want label<TAB>text", path, line);
    if (labelled)
        label = pcv_examples_text(e, s, (size_t)(tab - s));
    return add(t, e, path, ':', line, label,
               (pcv_span){ (const uint8_t *)s + skip, n - skip });
}

int pcv_texts_lines(pcv_texts *t, pcv_examples *e, const char *path,
                    size_t limit)
{
    const char *s, *stop;
    pcv_file f;

    if (open_next(t, path, limit, &f) < 0)
        return -1;
    s = f.size ? (const char *)f.data : "";
    stop = s + f.size;
    for (size_t line = 1; s < stop; line++) {
        const char *end = memchr(s, '\n', (size_t)(stop - s));
        size_t n = (size_t)((end ? end : stop) - s);

        if (add_text_line(t, e, path, line, s,
                          n - (n > 0 && s[n - 1] == '\r')) < 0)
            return -1;
        s += n + (end != NULL);
    }
    return t->spans.len ? 0 : pcv_fail(EX_DATAERR, "%s: no lines of text",
                                       path);
}

/* ---- pieces ---------------------------------------------------------- */

static int add_file(pcv_texts *t, pcv_examples *e, const char *path,
                    size_t limit)
{
    size_t piece = e->columns->piece;
    pcv_file f;

    if (open_next(t, path, limit, &f) < 0)
        return -1;
    for (size_t at = 0; at < f.size; at += piece) {
        size_t left = f.size - at, n = left < 2 * piece ? left : 2 * piece;

        if (add(t, e, path, '@', at, PCV_NO_CELL,
                (pcv_span){ f.data + at, n }) < 0)
            return -1;
    }
    return 0;
}

static int add_directory(pcv_texts *t, pcv_examples *e, const char *dir,
                         size_t limit)
{
    pcv_walk *w = pcv_walk_open(dir, false);
    const char *path;
    int status;

    if (!w)
        return -1;
    while ((status = pcv_walk_next(w, &path)) > 0)
        if (add_file(t, e, path, limit) < 0) {
            status = -1;
            break;
        }
    pcv_walk_close(w);
    return status;
}

int pcv_texts_pieces(pcv_texts *t, pcv_examples *e, const char *where,
                     size_t limit)
{
    int status = pcv_walk_is_directory(where)
                     ? add_directory(t, e, where, limit)
                     : add_file(t, e, where, limit);

    if (status < 0 || t->spans.len)
        return status;
    return pcv_fail(EX_DATAERR, "%s: no text", where);
}
