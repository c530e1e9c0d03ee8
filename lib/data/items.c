/* items.c - operands, then a list or names of the caller, one item at a time.
 *
 *     operand --+--> directory  --walk.c-->  files --+
 *     list  ----+                                    +--> one item each, or
 *               +--> files, "-", pipes --------------+    bundle.c: several
 *
 * Whatever is wrong with one item is its own affair: it carries the message,
 * and the next one follows. */
#include "parts.h"

#include <fnmatch.h>
#include <string.h>

struct pcv_items {
    pcv_sources from;
    int batch_rank;
    size_t index;               /* of the next item */
    size_t operand;             /* the next one */
    bool stdin_taken;
    pcv_names *names;
    pcv_walk *walk;             /* the directory we are in, or NULL */
    pcv_bundle *bundle;         /* the file we are in, or NULL */
};

/* ---- what goes wrong ------------------------------------------------- */

static char no_memory[] = "out of memory";

char *pcv_shown(const char *path)
{
    pcv_buf b = {0};

    if (strcmp(path, "-") == 0)
        return pcv_strdup("standard input");
    pcv_buf_escape(&b, *path ? path : "''");
    return b.data;
}

void pcv_item_failed(pcv_item *item)
{
    int code = pcv_error_code();

    item->code = code ? code : EX_OSERR;
    item->what = pcv_strdup(code ? pcv_error() : no_memory);
    if (!item->what)
        item->what = no_memory;
    pcv_error_clear();
}

static void refuse(pcv_item *item, const char *path, const char *why)
{
    char *shown = pcv_shown(path);

    if (shown)
        pcv_fail(EX_NOINPUT, "%s: %s", shown, why);
    pcv_free(shown);
    pcv_item_failed(item);
}

/* ---- opening --------------------------------------------------------- */

pcv_items *pcv_items_open(const pcv_sources *s, int batch_rank)
{
    pcv_items *it = pcv_alloc(1, sizeof *it);

    if (!it)
        return NULL;
    it->from = *s;
    it->batch_rank = batch_rank;
    if (!s->list)
        return it;
    it->stdin_taken = strcmp(s->list, "-") == 0;
    it->names = pcv_names_open(s->list, s->nul);
    if (it->names)
        return it;
    pcv_items_close(it);
    return NULL;
}

void pcv_items_close(pcv_items *it)
{
    if (!it)
        return;
    pcv_bundle_close(it->bundle);
    pcv_walk_close(it->walk);
    pcv_names_close(it->names);
    pcv_free(it);
}

/* ---- one name -------------------------------------------------------- */

/* A file, once it is known to be no directory.  1, with out filled; 0, its
 * items are in it->bundle; -1. */
static int take_file(pcv_items *it, const char *path, pcv_item *out)
{
    int status = pcv_bundle_open(&it->bundle, path, &it->from.reading,
                                 it->batch_rank);

    if (status == 1)
        return 0;
    out->name = pcv_strdup(path);
    if (!out->name)
        return -1;
    if (status < 0)
        pcv_item_failed(out);
    else if (!(out->path = pcv_strdup(path)))
        return -1;
    return 1;
}

/* A directory that the caller will look into. */
static int take_whole(const char *path, pcv_item *out)
{
    out->name = pcv_strdup(path);
    out->path = pcv_strdup(path);
    return out->name && out->path ? 1 : -1;
}

static int take_refused(const char *path, const char *why, pcv_item *out)
{
    out->name = pcv_strdup(path);
    if (!out->name)
        return -1;
    if (why)
        refuse(out, path, why);
    else
        pcv_item_failed(out);
    return 1;
}

/* The same for an operand or a name of the list. */
static int take_name(pcv_items *it, const char *name, pcv_item *out)
{
    if (strcmp(name, "-") == 0) {
        bool taken = it->stdin_taken;

        it->stdin_taken = true;
        return taken ? take_refused(name, "was already read", out)
                     : take_file(it, name, out);
    }
    if (!pcv_walk_is_directory(name))
        return take_file(it, name, out);
    if (it->from.clips)
        return take_whole(name, out);
    if (!it->from.recursive)
        return take_refused(name, "is a directory (use -r)", out);
    it->walk = pcv_walk_open(name, true);
    return it->walk ? 0 : take_refused(name, NULL, out);
}

static bool is_chosen(const pcv_sources *s, const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;

    return (!s->include || fnmatch(s->include, base, 0) == 0) &&
           (!s->exclude || fnmatch(s->exclude, base, 0) != 0);
}

/* The next file of the directory we are in. */
static int take_walked(pcv_items *it, pcv_item *out)
{
    const char *path = "";
    int status = pcv_walk_next(it->walk, &path);

    if (status < 0)
        return take_refused(path, NULL, out);
    if (status > 0)
        return is_chosen(&it->from, path) ? take_file(it, path, out) : 0;
    pcv_walk_close(it->walk);
    it->walk = NULL;
    return 0;
}

static int take_bundled(pcv_items *it, pcv_item *out)
{
    int status = pcv_bundle_next(it->bundle, out);

    if (status != 0)
        return status;
    pcv_bundle_close(it->bundle);
    it->bundle = NULL;
    return 0;
}

/* ---- all of them ----------------------------------------------------- */

/* 1, 0 when there is no name left, -1. */
static int next_name(pcv_items *it, const char **name)
{
    if (it->operand < it->from.paths) {
        *name = it->from.path[it->operand++];
        return 1;
    }
    if (it->from.next)
        return it->from.next(it->from.arg, name);
    return it->names ? pcv_names_next(it->names, name) : 0;
}

/* One step of the way to the next item, which may not yet be it: 1, 0, -1;
 * *end when nothing is left. */
static int step(pcv_items *it, pcv_item *out, bool *end)
{
    const char *name;
    int status;

    if (it->bundle)
        return take_bundled(it, out);
    if (it->walk)
        return take_walked(it, out);
    status = next_name(it, &name);
    *end = status == 0;
    return status > 0 ? take_name(it, name, out) : status;
}

int pcv_items_next(pcv_items *it, pcv_item *out)
{
    bool end = false;
    int status = 0;

    *out = (pcv_item){0};
    pcv_error_clear();
    while (status == 0 && !end)
        status = step(it, out, &end);
    if (status > 0)
        out->index = it->index++;
    else
        pcv_item_free(out);
    return status;
}

/* A sound that goes from file to store: 1, 0 when it is not to, -1. */
static int decode_stored(const char *path, const char *shown,
                         const pcv_reading *how, pcv_media *out)
{
    unsigned char head[64];
    pcv_store *s = how->store ? pcv_store_file(path, how->store) : NULL;
    int status = 0;

    if (s && pcv_sound_stored(how, head,
                              pcv_store_get(s, 0, sizeof head, head)))
        status = pcv_store_bytes(s) > how->max_bytes
                     ? pcv_fail(EX_DATAERR, "%s: larger than the limit of %zu "
                                "bytes", shown, how->max_bytes)
                     : pcv_sound_read(s, shown, how, out) < 0 ? -1 : 1;
    pcv_store_close(s);
    return status;
}

int pcv_decode_file(const char *path, const pcv_reading *how, pcv_media *out)
{
    char *shown = pcv_shown(path);
    pcv_file file;
    int status;

    if (!shown)
        return -1;
    status = decode_stored(path, shown, how, out);
    if (status == 0 &&
        (status = pcv_file_open(&file, path, how->max_bytes)) == 0) {
        status = pcv_decode(file.data, file.size, shown, how, out, NULL);
        pcv_file_close(&file);
    }
    pcv_free(shown);
    return status < 0 ? -1 : 0;
}

int pcv_item_decode(pcv_item *item, const pcv_reading *how)
{
    if (item->code)
        return -1;
    if (!item->path)
        return 0;
    pcv_error_clear();
    if (pcv_decode_file(item->path, how, &item->media) < 0) {
        pcv_item_failed(item);
        return -1;
    }
    pcv_free(item->path);
    item->path = NULL;
    return 0;
}

void pcv_item_free(pcv_item *item)
{
    pcv_free(item->name);
    pcv_free(item->path);
    pcv_media_free(&item->media);
    if (item->what != no_memory)
        pcv_free(item->what);
    *item = (pcv_item){0};
}
