/* bundle.c - an operand that may hold several items, one at a time:
 *
 *     pictures   PNG and PNM one behind the other; each ends where its own
 *                header says (extent.c)
 *     batch      idx of two axes or more, .npy with one axis more than an
 *                item has: cut along the first axis
 *     one        anything else that came through a pipe or out of a gzip
 *
 * A file is in memory as a whole (mapped, or inflated).  A stream is read as
 * needed: while it is pictures, no further than the end of the one asked for;
 * else to its end, and is then like a file.
 *
 * Invariant: data[at .. end) is what has been read and not yet handed out. */
#include "parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 65536

enum kind { UNKNOWN, PICTURES, BATCH, ONE, DONE };

struct pcv_bundle {
    enum kind kind;
    char *path;
    char *shown;                /* path, escaped for messages */
    pcv_reading how;
    int batch_rank;
    bool numbered;              /* the first item has a number, too */
    size_t number;              /* of the next item */
    int fd;                     /* -1: everything is in memory */
    pcv_file file;
    unsigned char *owned;       /* or the bytes are here, */
    size_t room;                /* in a block of that size */
    const unsigned char *data;
    size_t at, end;
    pcv_layout layout;          /* of a batch */
    pcv_store *store;           /* all of a stream that is a long sound */
};

static pcv_bundle *new_bundle(const char *path, const pcv_reading *how,
                              int batch_rank)
{
    pcv_bundle *b = pcv_alloc(1, sizeof *b);

    if (!b)
        return NULL;
    b->path = pcv_strdup(path);
    b->shown = pcv_shown(path);
    b->how = *how;
    b->batch_rank = batch_rank;
    b->fd = -1;
    if (b->path && b->shown)
        return b;
    pcv_bundle_close(b);
    return NULL;
}

void pcv_bundle_close(pcv_bundle *b)
{
    if (!b)
        return;
    if (b->fd > STDIN_FILENO)
        close(b->fd);
    pcv_file_close(&b->file);
    pcv_store_close(b->store);
    pcv_free(b->owned);
    pcv_free(b->path);
    pcv_free(b->shown);
    pcv_free(b);
}

/* Bytes the caller describes, or takes as they are, have no structure. */
static bool is_opaque(const pcv_bundle *b)
{
    return b->how.raw || b->how.pcm ||
           pcv_is_bytes(&b->how, b->data + b->at, b->end - b->at);
}

/* ---- what it holds --------------------------------------------------- */

/* Bytes of a plain PNM, whose end only decoding finds. */
static size_t decoded_extent(const pcv_bundle *b)
{
    pcv_media m;
    size_t used;

    if (pcv_decode(b->data + b->at, b->end - b->at, b->shown, &b->how, &m,
                   &used) < 0) {
        pcv_error_clear();
        return 0;
    }
    pcv_media_free(&m);
    return used;
}

static bool is_several_pictures(const pcv_bundle *b)
{
    const unsigned char *data = b->data + b->at;
    size_t n = b->end - b->at, walked = 0, first;

    if (!pcv_extent_probe(data, n))
        return false;
    first = pcv_extent(data, n, &walked);
    if (first == SIZE_MAX)
        first = decoded_extent(b);
    while (first < n && pcv_is_blank(data[first]))
        first++;
    return first > 0 && first < n && pcv_extent_probe(data + first, n - first);
}

/* A damaged header is no batch: decoding the file will say what is wrong. */
static bool is_batch(pcv_bundle *b)
{
    const unsigned char *data = b->data + b->at;
    size_t n = b->end - b->at;
    int status = -1;

    if (n == 0)
        return false;
    if (pcv_format_idx.probe(data, n))
        status = pcv_idx_layout(data, n, b->shown, &b->layout);
    else if (pcv_format_npy.probe(data, n) && b->batch_rank > 0)
        status = pcv_npy_layout(data, n, b->shown, &b->layout);
    if (status < 0) {
        pcv_error_clear();
        return false;
    }
    return pcv_format_idx.probe(data, n) ? b->layout.rank > 1
                                         : b->layout.rank == b->batch_rank + 1;
}

static void classify(pcv_bundle *b)
{
    b->kind = is_batch(b) ? BATCH : is_several_pictures(b) ? PICTURES : ONE;
    b->numbered = b->kind != ONE;
}

/* Replaces the bytes by what they unpack to. */
static int unpack(pcv_bundle *b)
{
    pcv_buf inner = {0};

    if (pcv_gunzip(b->data + b->at, b->end - b->at, b->shown, b->how.max_bytes,
                   &inner) < 0) {
        pcv_buf_free(&inner);
        return -1;
    }
    pcv_file_close(&b->file);
    pcv_free(b->owned);
    b->owned = (unsigned char *)inner.data;
    b->data = b->owned ? b->owned : (const unsigned char *)"";
    b->room = inner.cap;
    b->at = 0;
    b->end = inner.len;
    return 0;
}

/* All is in memory: unpack and classify. */
static int settle(pcv_bundle *b)
{
    b->kind = ONE;
    if (is_opaque(b))
        return 0;
    if (pcv_gzip_probe(b->data + b->at, b->end - b->at) && unpack(b) < 0)
        return -1;
    classify(b);
    return 0;
}

/* ---- streams --------------------------------------------------------- */

static int make_room(pcv_bundle *b)
{
    size_t have = b->end - b->at, room = b->room ? b->room : 2 * BLOCK;
    unsigned char *more = b->owned;

    while (room - have < BLOCK)
        if (!pcv_mul(room, 2, &room))
            return pcv_fail(EX_OSERR, "%s: too large", b->shown);
    if (room > b->room && !(more = pcv_alloc(room, 1)))
        return -1;
    if (have)
        memmove(more, b->data + b->at, have);
    if (more != b->owned)
        pcv_free(b->owned);
    b->data = b->owned = more;
    b->room = room;
    b->at = 0;
    b->end = have;
    return 0;
}

/* Reads until `need` bytes are there, or the end.  0 or -1. */
static int fill(pcv_bundle *b, size_t need)
{
    while (b->fd >= 0 && b->end - b->at < need) {
        ssize_t got;

        if (b->end - b->at > b->how.max_bytes)
            return pcv_fail(EX_DATAERR, "%s: larger than the limit of %zu "
                            "bytes", b->shown, b->how.max_bytes);
        if (b->room - b->end < BLOCK && make_room(b) < 0)
            return -1;
        do
            got = read(b->fd, b->owned + b->end, BLOCK);
        while (got < 0 && errno == EINTR);
        if (got < 0)
            return pcv_fail(EX_IOERR, "%s: %s", b->shown, strerror(errno));
        b->end += (size_t)got;
        if (got == 0 && b->fd > STDIN_FILENO)
            close(b->fd);
        if (got == 0)
            b->fd = -1;
    }
    return 0;
}

/* All of a stream goes to a store, past the memory. */
static int put_away(pcv_bundle *b)
{
    b->kind = ONE;
    if (!(b->store = pcv_store_open(b->how.store)))
        return -1;
    while (b->end > b->at) {
        if (pcv_store_add(b->store, b->data + b->at, b->end - b->at) < 0)
            return -1;
        if (pcv_store_bytes(b->store) > b->how.max_bytes)
            return pcv_fail(EX_DATAERR, "%s: larger than the limit of %zu "
                            "bytes", b->shown, b->how.max_bytes);
        b->at = b->end;
        if (fill(b, BLOCK) < 0)
            return -1;
    }
    return 0;
}

/* The first bytes of a stream: pictures as they come, or all of it. */
static int look(pcv_bundle *b)
{
    size_t walked = 0;

    if (fill(b, b->how.store ? 64 : 8) < 0)
        return -1;
    if (pcv_sound_stored(&b->how, b->data + b->at, b->end - b->at))
        return put_away(b);
    if (!is_opaque(b) &&
        pcv_extent_probe(b->data + b->at, b->end - b->at) &&
        pcv_extent(b->data + b->at, b->end - b->at, &walked)) {
        b->kind = PICTURES;
        return 0;
    }
    return fill(b, SIZE_MAX) < 0 ? -1 : settle(b);
}

/* ---- opening --------------------------------------------------------- */

/* Might a regular file hold several, by its first bytes?  0, 1 or -1. */
static int sniff(const char *path, const char *shown)
{
    unsigned char head[16];
    ssize_t n;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return pcv_fail(EX_NOINPUT, "%s: %s", shown, strerror(errno));
    n = pread(fd, head, sizeof head, 0);
    close(fd);
    if (n < 0)
        return pcv_fail(EX_IOERR, "%s: %s", shown, strerror(errno));
    return n > 0 && (pcv_extent_probe(head, (size_t)n) ||
                     pcv_format_idx.probe(head, (size_t)n) ||
                     pcv_format_npy.probe(head, (size_t)n) ||
                     pcv_gzip_probe(head, (size_t)n));
}

/* 1, 0 or -1 as pcv_bundle_open. */
static int open_file(pcv_bundle *b)
{
    int maybe = sniff(b->path, b->shown);
    bool packed;

    if (maybe <= 0)
        return maybe;
    if (pcv_file_open(&b->file, b->path, b->how.max_bytes) < 0)
        return -1;
    b->data = b->file.data;
    b->end = b->file.size;
    packed = !is_opaque(b) && pcv_gzip_probe(b->data, b->end);
    if (settle(b) < 0)
        return -1;
    return b->kind != ONE || packed;
}

static int open_stream(pcv_bundle *b)
{
    b->fd = STDIN_FILENO;
    if (strcmp(b->path, "-") != 0)
        b->fd = open(b->path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (b->fd < 0)
        return pcv_fail(EX_NOINPUT, "%s: %s", b->shown, strerror(errno));
    return 1;
}

int pcv_bundle_open(pcv_bundle **out, const char *path, const pcv_reading *how,
                    int batch_rank)
{
    pcv_bundle *b = new_bundle(path, how, batch_rank);
    struct stat st;
    int status;

    if (!b)
        return -1;
    if (strcmp(path, "-") == 0)
        status = open_stream(b);
    else if (stat(path, &st) < 0)
        status = pcv_fail(EX_NOINPUT, "%s: %s", b->shown, strerror(errno));
    else
        status = S_ISREG(st.st_mode) ? open_file(b) : open_stream(b);
    if (status == 1)
        *out = b;
    else
        pcv_bundle_close(b);
    return status;
}

/* ---- items ----------------------------------------------------------- */

/* Where the picture ends, as far as that can be told.  0 or -1. */
static int picture_extent(pcv_bundle *b, size_t *extent)
{
    size_t walked = 0;

    for (;;) {
        size_t have = b->end - b->at;
        size_t need = pcv_extent(b->data + b->at, have, &walked);

        if (need == 0)
            need = SIZE_MAX;
        *extent = need < have ? need : have;
        if (need <= have || b->fd < 0)
            return 0;
        if (fill(b, need) < 0)
            return -1;
    }
}

/* What follows a picture that cannot be read is looked for where its header
 * says that it ends. */
static int next_picture(pcv_bundle *b, const char *shown, pcv_media *out)
{
    size_t extent, used = 0;
    int status;

    if (picture_extent(b, &extent) < 0) {
        b->kind = DONE;
        return -1;
    }
    status = pcv_decode(b->data + b->at, extent, shown, &b->how, out, &used);
    b->at += status == 0 && used ? used : extent;
    return status;
}

/* Finds the next picture behind one: 1, 0 at the end, -1.  What follows the
 * first and is none is ignored, as it is behind the only picture of a file. */
static int find_picture(pcv_bundle *b)
{
    do {
        while (b->at < b->end && pcv_is_blank(b->data[b->at]))
            b->at++;
        if (fill(b, 1) < 0)
            return -1;
    } while (b->at < b->end && pcv_is_blank(b->data[b->at]));
    if (b->at == b->end)
        return 0;
    if (fill(b, 8) < 0)
        return -1;
    if (pcv_extent_probe(b->data + b->at, b->end - b->at))
        return 1;
    return b->number == 1 ? 0
                          : pcv_fail(EX_DATAERR, "%s: what follows picture "
                                     "%zu is neither PNG nor PNM", b->shown,
                                     b->number - 1);
}

static int next_media(pcv_bundle *b, const char *shown, pcv_media *out)
{
    switch (b->kind) {
    case PICTURES:
        return next_picture(b, shown, out);
    case BATCH:
        return pcv_layout_item(&b->layout, b->data + b->at, b->number, out);
    default:
        b->kind = DONE;
        if (b->store)
            return pcv_sound_read(b->store, shown, &b->how, out);
        return pcv_decode(b->data + b->at, b->end - b->at, shown, &b->how,
                          out, NULL);
    }
}

/* Is there one more?  1, 0, or -1 and there will be none after that. */
static int more(pcv_bundle *b)
{
    if (b->kind == UNKNOWN)
        return look(b) < 0 ? -1 : more(b);
    if (b->kind == PICTURES && b->number > 0)
        return find_picture(b);
    if (b->kind != BATCH)
        return b->kind != DONE;
    if (b->layout.dim[0] == 0 && b->number == 0)
        return pcv_fail(EX_DATAERR, "%s: array without items", b->shown);
    return b->number < b->layout.dim[0];
}

/* The name of an item, and the same for messages. */
static bool name_item(const pcv_bundle *b, pcv_buf *name, pcv_buf *shown)
{
    pcv_buf_puts(name, b->path);
    pcv_buf_puts(shown, b->shown);
    if (b->numbered || b->number > 0) {
        pcv_buf_printf(name, "#%zu", b->number);
        pcv_buf_printf(shown, "#%zu", b->number);
    }
    return !name->failed && !shown->failed;
}

int pcv_bundle_next(pcv_bundle *b, pcv_item *item)
{
    pcv_buf name = {0}, shown = {0};
    int status = more(b);

    if (status == 0)
        return 0;
    if (status < 0)
        b->kind = DONE;
    if (!name_item(b, &name, &shown)) {
        pcv_buf_free(&name);
        pcv_buf_free(&shown);
        return -1;
    }
    item->name = name.data;
    if (status < 0 || next_media(b, shown.data, &item->media) < 0)
        pcv_item_failed(item);
    pcv_buf_free(&shown);
    b->number++;
    return 1;
}
