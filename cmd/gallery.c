/* gallery.c - where a picture or sound goes:
 *
 *     standard output, -o FILE    when there is only one: it is kept until
 *                                 the end shows that it is
 *     -o 'out%03d.png'            its number in the place of %03d
 *     --out-dir=DIR               DIR/NAME.png, NAME without directory and
 *                                 extension; DIR/NAME-7.png for item 7 when
 *                                 another of this run has that NAME
 *
 * A NAME may come from a stream, so nothing of it is taken that would lead
 * out of DIR. */
#include "gallery.h"

#include <ctype.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Where the "%d" or "%03d" of a name begins, its width and its end. */
static const char *find_number(const char *name, int *width, const char **end)
{
    for (const char *at = strchr(name, '%'); at; at = strchr(at + 1, '%')) {
        const char *p = at + 1;

        for (*width = 0; isdigit((unsigned char)*p) && *width < 100; p++)
            *width = 10 * *width + *p - '0';
        if (*p == 'd') {
            *end = p + 1;
            return at;
        }
    }
    return NULL;
}

void gallery_open(gallery *g)
{
    const char *end;
    int width, status = 0;

    g->numbered = g->output && find_number(g->output, &width, &end);
    if (g->numbered || g->directory)
        sink_guard();
    else
        status = sink_open(&g->out, g->output, g->force);
    if (status)
        exit(status);
    if (g->directory && mkdir(g->directory, 0777) < 0 && errno != EEXIST)
        opt_fatal(EX_CANTCREAT, "%s: %s", opt_shown(g->directory),
                  strerror(errno));
}

/* ---- names ----------------------------------------------------------- */

static void numbered_path(const gallery *g, size_t index, pcv_bytes *path)
{
    const char *end = "";
    int width = 0;
    const char *at = find_number(g->output, &width, &end);

    pcv_bytes_printf(path, "%.*s%0*zu%s", (int)(at - g->output), g->output,
                     width, index, end);
}

/* The length of a name without ".jpeg". */
static size_t stem(const char *name)
{
    const char *dot = strrchr(name, '.');
    size_t n = dot ? strlen(dot + 1) : 0;

    if (!dot || dot == name || n < 1 || n > 5)
        return strlen(name);
    for (const char *p = dot + 1; *p; p++)
        if (!isalnum((unsigned char)*p))
            return strlen(name);
    return (size_t)(dot - name);
}

/* more: "", or what tells it from others of that name. */
static void directory_path(const gallery *g, const char *name,
                           const char *more, pcv_bytes *path)
{
    const char *slash = strrchr(name, '/');
    const char *base = slash ? slash + 1 : name;

    pcv_bytes_printf(path, "%s/", g->directory);
    if (*base == '-' && (base[1] == '\0' || base[1] == '#')) {
        pcv_bytes_printf(path, "stdin");
        base++;
    }
    pcv_bytes_add(path, base, stem(base));
    pcv_bytes_printf(path, "%s%s", more, g->end);
    if (path->failed)
        opt_fatal_memory();
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(a, b);
}

/* False when this run has written a file of that name: -f is about what was
 * there before. */
static bool is_new(gallery *g, const char *path)
{
    char *copy = strdup(path);
    char **found = copy ? tsearch(copy, &g->names, by_bytes) : NULL;

    if (!found)
        opt_fatal_memory();
    if (*found == copy)
        return true;
    free(copy);
    return false;
}

/* No two items have the same index, but names may hold one: "p-7.jpg". */
static void new_path(gallery *g, const char *name, size_t index,
                     pcv_bytes *path)
{
    pcv_bytes more = {0};

    for (;;) {
        directory_path(g, name, more.len ? more.data : "", path);
        if (is_new(g, path->data))
            break;
        pcv_bytes_clear(path);
        pcv_bytes_printf(&more, "-%zu", index);
        if (more.failed)
            opt_fatal_memory();
    }
    pcv_bytes_free(&more);
}

/* ---- writing --------------------------------------------------------- */

/* That one file cannot be made is the item's failure; that nothing can be
 * written any more ends the run. */
static int write_file(const gallery *g, const char *path,
                      const pcv_bytes *file, int *code)
{
    int status = sink_file(path, g->force, file->data, file->len);

    if (status != EX_CANTCREAT)
        return status;
    *code = status;
    return 0;
}

static int keep_only(gallery *g, const pcv_bytes *file)
{
    if (g->some) {
        opt_error("there are several answers, want --out-dir=DIR or a %%d in "
                  "the name of the output");
        return EX_USAGE;
    }
    g->some = true;
    pcv_bytes_add(&g->only, file->data, file->len);
    if (g->only.failed)
        opt_fatal_memory();
    return 0;
}

int gallery_add(gallery *g, const char *name, size_t index,
                const pcv_bytes *file, int *code)
{
    pcv_bytes path = {0};
    int status;

    if (!g->directory && !g->numbered)
        return keep_only(g, file);
    if (g->directory)
        new_path(g, name, index, &path);
    else
        numbered_path(g, index, &path);
    if (path.failed)
        opt_fatal_memory();
    status = write_file(g, path.data, file, code);
    pcv_bytes_free(&path);
    return status;
}

int gallery_finish(gallery *g)
{
    int status;

    if (!g->some) {
        sink_abort(&g->out);
        return 0;
    }
    status = sink_write(&g->out, g->only.data, g->only.len);
    return status ? status : sink_close(&g->out);
}

void gallery_close(gallery *g)
{
    sink_abort(&g->out);
    pcv_bytes_free(&g->only);
    tdestroy(g->names, free);
}
