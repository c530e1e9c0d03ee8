/* clip.c - a directory as a clip: its pictures in bytewise order are the
 * frames, and the one sound among its files goes with them.  What a file is,
 * its first bytes tell.  As a medium, pictures of a clip have one size. */
#include "parts.h"

#include <string.h>

struct pcv_clip {
    pcv_buf text;               /* paths, each ended by NUL */
    pcv_buf at;                 /* size_t: where the picture's paths begin */
    char *sound;
};

static int add(pcv_clip *c, const char *path)
{
    size_t at = c->text.len;

    switch (pcv_media_guess(path)) {
    case PCV_MEDIA_IMAGE:
        pcv_buf_add(&c->at, &at, sizeof at);
        pcv_buf_add(&c->text, path, strlen(path) + 1);
        return c->at.failed || c->text.failed ? -1 : 0;
    case PCV_MEDIA_SOUND:
        if (c->sound)
            return pcv_fail(EX_DATAERR, "%s: is a second sound beside %s, want "
                            "one in a clip", path, c->sound);
        return (c->sound = pcv_strdup(path)) ? 0 : -1;
    default:
        return 0;
    }
}

pcv_clip *pcv_clip_open(const char *dir)
{
    pcv_clip *c = pcv_alloc(1, sizeof *c);
    pcv_walk *w = c ? pcv_walk_open(dir, false) : NULL;
    const char *path;
    int r = w ? 1 : -1;

    while (r == 1 && (r = pcv_walk_next(w, &path)) == 1)
        r = add(c, path) < 0 ? -1 : 1;
    pcv_walk_close(w);
    if (r == 0 && pcv_clip_count(c) > 0)
        return c;
    if (r == 0)
        pcv_fail(EX_DATAERR, "%s: no pictures in this directory", dir);
    pcv_clip_close(c);
    return NULL;
}

const char *pcv_clip_picture(const pcv_clip *c, size_t i)
{
    size_t at;

    memcpy(&at, c->at.data + i * sizeof at, sizeof at);
    return c->text.data + at;
}

size_t pcv_clip_count(const pcv_clip *c)
{
    return c->at.len / sizeof(size_t);
}

const char *pcv_clip_sound(const pcv_clip *c)
{
    return c->sound;
}

void pcv_clip_close(pcv_clip *c)
{
    if (!c)
        return;
    pcv_buf_free(&c->text);
    pcv_buf_free(&c->at);
    pcv_free(c->sound);
    pcv_free(c);
}

/* ---- as a medium ----------------------------------------------------- */

/* Picture i of n into out, which has the room once it has the first. */
static int put(pcv_media *out, const pcv_media *m, const char *path, size_t i,
               size_t n)
{
    const pcv_array *one = &m->array;
    size_t bytes = pcv_array_count(one);

    if (m->kind != PCV_MEDIA_IMAGE)
        return pcv_fail(EX_DATAERR, "%s: is not a picture", path);
    if (i == 0) {
        *out = (pcv_media){ PCV_MEDIA_CLIP, { PCV_U8, 4, { n, one->dim[0],
                            one->dim[1], one->dim[2] }, NULL }, 0 };
        if (!(out->array.data = pcv_alloc(n, bytes)))
            return -1;
    }
    if (memcmp(out->array.dim + 1, one->dim, 3 * sizeof *one->dim))
        return pcv_fail(EX_DATAERR, "%s: picture of %zu x %zu pixels and %zu "
                        "colours, the first of this clip has %zu x %zu and "
                        "%zu", path, one->dim[1], one->dim[0], one->dim[2],
                        out->array.dim[2], out->array.dim[1],
                        out->array.dim[3]);
    memcpy((char *)out->array.data + i * bytes, one->data, bytes);
    return 0;
}

static int add_frame(const pcv_clip *c, size_t i, size_t n,
                     const pcv_reading *how, pcv_media *out)
{
    size_t all = pcv_clip_count(c);
    const char *path = pcv_clip_picture(c, i < all ? i : all - 1);
    pcv_media m;
    int r;

    if (pcv_decode_file(path, how, &m) < 0)
        return -1;
    r = put(out, &m, path, i, n);
    pcv_media_free(&m);
    return r;
}

int pcv_clip_decode(const char *dir, size_t n, const pcv_reading *how,
                    pcv_media *out)
{
    pcv_clip *c = pcv_clip_open(dir);
    int r = c ? 0 : -1;

    memset(out, 0, sizeof *out);
    for (size_t i = 0; r == 0 && i < n; i++)
        r = add_frame(c, i, n, how, out);
    if (r < 0)
        pcv_media_free(out);
    pcv_clip_close(c);
    return r;
}
