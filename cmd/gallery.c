/* gallery.c - where a picture or sound goes:
 *
 *     standard output, -o FILE    when there is only one: it is kept until
 *                                 the end shows that it is
 *     -o 'out%03d.png'            its number in the place of %03d
 *     --out-dir=DIR               DIR/NAME.png, NAME without directory and
 *                                 extension; DIR/NAME-7.png for item 7 when
 *                                 another of this run has that NAME
 *
 * Where an item makes several files, they are DIR/NAME-000.png and so on, and
 * numbers go on from item to item.  A NAME may come from a stream, so nothing
 * of it is taken that would lead out of DIR. */
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

bool gallery_numbers(const char *output)
{
    const char *end;
    int width;

    return output && find_number(output, &width, &end);
}

void gallery_open(gallery *g)
{
    int status = 0;

    g->numbered = gallery_numbers(g->output);
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

#define LONGEST (sizeof "safetensors" - 1)

/* The length of a name of n bytes without ".jpeg". */
static size_t stem(const char *name, size_t n)
{
    size_t end = 0;

    while (end < n && isalnum((unsigned char)name[n - 1 - end]))
        end++;
    return end >= 1 && end <= LONGEST && n > end + 1 && name[n - 1 - end] == '.'
               ? n - 1 - end : n;
}

/* The last part of a path and its length, without slashes behind it. */
static const char *last_part(const char *path, size_t *n)
{
    const char *end = path + strlen(path), *p;

    while (end > path && end[-1] == '/')
        end--;
    for (p = end; p > path && p[-1] != '/'; p--)
        ;
    *n = (size_t)(end - p);
    return p;
}

/* more: "", or what tells it from others of that name. */
static void directory_path(const gallery *g, const char *name,
                           const char *more, pcv_bytes *path)
{
    size_t n;
    const char *base = last_part(name, &n);

    pcv_bytes_printf(path, "%s/", g->directory);
    if (*base == '-' && (n == 1 || base[1] == '#')) {
        pcv_bytes_printf(path, "stdin");
        base++;
        n--;
    }
    pcv_bytes_add(path, base, stem(base, n));
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
static void new_path(gallery *g, const char *name, size_t index, size_t file,
                     pcv_bytes *path)
{
    pcv_bytes more = {0};

    if (g->files > 1)
        pcv_bytes_printf(&more, "-%03zu", file);
    for (;;) {
        if (more.failed)
            opt_fatal_memory();
        directory_path(g, name, more.len ? more.data : "", path);
        if (is_new(g, path->data))
            break;
        pcv_bytes_clear(path);
        pcv_bytes_printf(&more, "-%zu", index);
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

/* File k of the item. */
static int add_one(gallery *g, const char *name, size_t index, size_t k,
                   const pcv_bytes *file, int *code)
{
    size_t files = g->files ? g->files : 1;
    pcv_bytes path = {0};
    int status;

    if (!g->directory && !g->numbered)
        return keep_only(g, file);
    if (g->directory)
        new_path(g, name, index, k, &path);
    else
        numbered_path(g, index * files + k, &path);
    if (path.failed)
        opt_fatal_memory();
    status = write_file(g, path.data, file, code);
    pcv_bytes_free(&path);
    return status;
}

void gallery_pack(pcv_bytes *record, const void *file, size_t n)
{
    pcv_bytes_add(record, &n, sizeof n);
    pcv_bytes_add(record, file, n);
}

int gallery_add(gallery *g, const char *name, size_t index,
                const pcv_bytes *record, int *code)
{
    int status = 0;

    for (size_t at = 0, k = 0; !status && !*code && at < record->len; k++) {
        pcv_bytes file = {0};

        memcpy(&file.len, record->data + at, sizeof file.len);
        at += sizeof file.len;
        file.data = record->data + at;
        at += file.len;
        status = add_one(g, name, index, k, &file, code);
    }
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
