/* walk.c - the files below a directory, depth first.  Each directory is read
 * whole and sorted bytewise, so that the order is the same everywhere; what
 * is kept is one list of names for each directory on the way down.
 *
 * Invariant: path.data is the path of the deepest directory, with a slash,
 * and behind it the entry handed out last. */
#include "parts.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

typedef struct {
    dev_t dev;
    ino_t ino;
    size_t path;                /* length of its path with the slash */
    pcv_buf names;              /* each ended by NUL */
    const char **sorted;        /* into names */
    size_t count, at;
} level;

struct pcv_walk {
    bool hidden;                /* are .files wanted? */
    pcv_buf path;
    level *levels;
    size_t depth, room;
};

bool pcv_walk_is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int failed(const char *path)
{
    int why = errno;
    pcv_buf shown = {0};

    pcv_buf_escape(&shown, path);
    if (!shown.failed)
        pcv_fail(EX_NOINPUT, "%s: %s", shown.len ? shown.data : "''",
                 strerror(why));
    pcv_buf_free(&shown);
    return -1;
}

/* ---- one directory --------------------------------------------------- */

static bool wanted(const pcv_walk *w, const char *name)
{
    if (name[0] != '.')
        return true;
    return w->hidden && strcmp(name, ".") != 0 && strcmp(name, "..") != 0;
}

static int read_names(const pcv_walk *w, level *l, DIR *dir)
{
    struct dirent *e;

    while (errno = 0, (e = readdir(dir)) != NULL)
        if (wanted(w, e->d_name)) {
            pcv_buf_add(&l->names, e->d_name, strlen(e->d_name) + 1);
            l->count++;
        }
    return errno ? failed(w->path.data) : l->names.failed ? -1 : 0;
}

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int sort_names(level *l)
{
    const char *name = l->names.data;

    l->sorted = pcv_alloc(l->count, sizeof *l->sorted);
    if (!l->sorted)
        return -1;
    for (size_t i = 0; i < l->count; i++, name += strlen(name) + 1)
        l->sorted[i] = name;
    qsort(l->sorted, l->count, sizeof *l->sorted, by_bytes);
    return 0;
}

static void free_level(level *l)
{
    pcv_buf_free(&l->names);
    pcv_free(l->sorted);
}

static int make_room(pcv_walk *w)
{
    size_t room = w->room ? 2 * w->room : 8;
    level *more;

    if (w->depth < w->room)
        return 0;
    more = pcv_alloc(room, sizeof *more);
    if (!more)
        return -1;
    if (w->depth)
        memcpy(more, w->levels, w->depth * sizeof *more);
    pcv_free(w->levels);
    w->levels = more;
    w->room = room;
    return 0;
}

/* Goes into the directory that path.data names. */
static int enter(pcv_walk *w, const struct stat *st)
{
    level l = {.dev = st->st_dev, .ino = st->st_ino};
    DIR *dir = opendir(w->path.data);
    int status;

    if (!dir)
        return failed(w->path.data);
    status = read_names(w, &l, dir);
    closedir(dir);
    if (w->path.data[w->path.len - 1] != '/')
        pcv_buf_puts(&w->path, "/");
    l.path = w->path.len;
    if (status == 0 && !w->path.failed && sort_names(&l) == 0 &&
        make_room(w) == 0) {
        w->levels[w->depth++] = l;
        return 0;
    }
    free_level(&l);
    return -1;
}

/* ---- all of them ----------------------------------------------------- */

pcv_walk *pcv_walk_open(const char *dir, bool hidden)
{
    pcv_walk *w = pcv_alloc(1, sizeof *w);
    struct stat st;

    if (!w)
        return NULL;
    w->hidden = hidden;
    pcv_buf_puts(&w->path, dir);
    if (!w->path.failed) {
        if (stat(dir, &st) < 0)
            failed(dir);
        else if (enter(w, &st) == 0)
            return w;
    }
    pcv_walk_close(w);
    return NULL;
}

void pcv_walk_close(pcv_walk *w)
{
    if (!w)
        return;
    for (size_t i = 0; i < w->depth; i++)
        free_level(&w->levels[i]);
    pcv_free(w->levels);
    pcv_buf_free(&w->path);
    pcv_free(w);
}

static bool being_walked(const pcv_walk *w, const struct stat *st)
{
    for (size_t i = 0; i < w->depth; i++)
        if (w->levels[i].dev == st->st_dev && w->levels[i].ino == st->st_ino)
            return true;
    return false;
}

/* A link to nowhere is handed out like a file: whoever opens it will say
 * what is wrong.  A link to a directory above leads to nothing new. */
int pcv_walk_next(pcv_walk *w, const char **path)
{
    while (w->depth > 0) {
        level *l = &w->levels[w->depth - 1];
        struct stat st;

        w->path.len = l->path;
        if (l->at == l->count) {
            free_level(l);
            w->depth--;
            continue;
        }
        pcv_buf_puts(&w->path, l->sorted[l->at++]);
        if (w->path.failed)
            return -1;
        *path = w->path.data;
        if (stat(*path, &st) < 0 || S_ISREG(st.st_mode))
            return 1;
        if (S_ISDIR(st.st_mode) && !being_walked(w, &st) &&
            enter(w, &st) < 0) {
            *path = w->path.data;       /* it may have moved */
            return -1;
        }
    }
    return 0;
}
