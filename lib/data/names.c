/* names.c - a list of names, each ended by a newline or a NUL; the last one
 * may go without.  Empty names are skipped.
 *
 * Invariant: a name is handed out as soon as its end has been read, and no
 * byte is waited for beyond it: the list may be a live pipe. */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define BLOCK 65536
#define MAX_NAME 65536

struct pcv_names {
    int fd;
    char *shown;                /* the list's name, for messages */
    bool nul;
    size_t count;               /* names so far, empty ones too */
    pcv_buf name;
    size_t at, have;            /* block[at .. have) is still to be cut */
    char block[BLOCK];
};

pcv_names *pcv_names_open(const char *list, bool nul)
{
    pcv_names *l = pcv_alloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->nul = nul;
    l->fd = -1;
    l->shown = pcv_shown(list);
    if (!l->shown)
        goto fail;
    l->fd = STDIN_FILENO;
    if (strcmp(list, "-") != 0)
        l->fd = open(list, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (l->fd >= 0)
        return l;
    pcv_fail(EX_NOINPUT, "%s: %s", l->shown, strerror(errno));
fail:
    pcv_names_close(l);
    return NULL;
}

void pcv_names_close(pcv_names *l)
{
    if (!l)
        return;
    if (l->fd > STDIN_FILENO)
        close(l->fd);
    pcv_buf_free(&l->name);
    pcv_free(l->shown);
    pcv_free(l);
}

/* 1, 0 at the end, -1. */
static int refill(pcv_names *l)
{
    ssize_t got;

    do
        got = read(l->fd, l->block, sizeof l->block);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        return pcv_fail(errno == EISDIR ? EX_NOINPUT : EX_IOERR, "%s: %s",
                        l->shown, strerror(errno));
    l->at = 0;
    l->have = (size_t)got;
    return got > 0;
}

/* Moves what there is of the name; true when its end was there. */
static bool cut(pcv_names *l)
{
    const char *from = l->block + l->at;
    const char *end = memchr(from, l->nul ? '\0' : '\n', l->have - l->at);
    size_t n = end ? (size_t)(end - from) : l->have - l->at;

    pcv_buf_add(&l->name, from, n);
    l->at += n + (end != NULL);
    return end != NULL;
}

/* What would be opened under another name than the list has. */
static int check(const pcv_names *l)
{
    if (l->name.failed)
        return -1;
    if (l->name.len > MAX_NAME)
        return pcv_fail(EX_DATAERR, "%s: name %zu is longer than %d bytes: "
                        "this is no list of names", l->shown, l->count,
                        MAX_NAME);
    if (l->name.len && memchr(l->name.data, '\0', l->name.len))
        return pcv_fail(EX_DATAERR, "%s: name %zu holds a NUL byte: its names "
                        "do not end in newlines", l->shown, l->count);
    return 0;
}

int pcv_names_next(pcv_names *l, const char **name)
{
    do {
        bool whole = false;
        int more = 1;

        pcv_buf_clear(&l->name);
        l->count++;
        while (!whole && more > 0) {
            whole = cut(l);
            if (check(l) < 0)
                return -1;
            if (!whole)
                more = refill(l);
        }
        if (more < 0)
            return -1;
        if (!whole && l->name.len == 0)
            return 0;
    } while (l->name.len == 0);
    *name = l->name.data;
    return 1;
}
