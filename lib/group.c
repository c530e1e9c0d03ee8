/* group.c - items that make one input together: a picture and the next one
 * (optical flow), or so many pictures and the sound that goes with them
 * (video).  Pictures come one by one, or from a directory, which is a clip of
 * its own.  An array, and a file of tensors, is an input by itself. */
#include "group.h"

#include <string.h>
#include <sys/stat.h>

static const pcv_spec *video_of(const pcv_spec *s)
{
    for (int i = 0; i < pcv_spec_count(s); i++)
        if (pcv_spec_part(s, i)->prep.modality == PCV_VIDEO)
            return pcv_spec_part(s, i);
    return NULL;
}

static const pcv_spec *sound_of(const pcv_spec *s)
{
    for (int i = 0; i < s->parts; i++)
        if (s->part[i].prep.modality == PCV_SOUND)
            return &s->part[i];
    return NULL;
}

int pcv_group_open(pcv_group *g, const pcv_model *m, const pcv_reading *how,
                   const char *sound)
{
    const pcv_spec *s = &m->net.spec, *video = video_of(s);
    const pcv_spec *heard = sound_of(s);

    *g = (pcv_group){ .window = 1, .step = 1, .how = how,
                      .sound_path = sound };
    if (s->prep.modality == PCV_FLOW)
        g->window = 2;
    if (video)
        g->window = g->step = (size_t)video->prep.frames;
    if (heard) {
        g->rate = heard->prep.rate;
        g->samples = (size_t)heard->prep.samples;
    }
    if (sound && !g->samples)
        return pcv_fail(EX_USAGE, "%s: this model takes no sound beside "
                        "pictures", sound);
    g->held = pcv_alloc(g->window, sizeof *g->held);
    return g->held ? 0 : -1;
}

static void drop_held(pcv_group *g)
{
    for (size_t i = 0; i < g->count; i++)
        pcv_item_free(&g->held[i]);
    g->count = 0;
    g->used = false;
}

static void drop_clip(pcv_group *g)
{
    pcv_clip_close(g->clip);
    pcv_free(g->clip_name);
    pcv_free(g->sound);
    g->clip = NULL;
    g->clip_name = NULL;
    g->sound = NULL;
    g->have_sound = false;
    g->sound_n = g->made = 0;
}

void pcv_group_close(pcv_group *g)
{
    drop_held(g);
    drop_clip(g);
    pcv_item_free(&g->next);
    pcv_free(g->held);
}

/* ---- sound ----------------------------------------------------------- */

/* The whole of it, once; its pieces are cut from that. */
static int load_sound(pcv_group *g)
{
    const char *path = g->sound_path ? g->sound_path
                       : g->clip ? pcv_clip_sound(g->clip) : NULL;
    pcv_media m = {0};
    int r;

    if (g->have_sound || !path || !g->samples)
        return 0;
    if (pcv_decode_file(path, g->how, &m) < 0)
        return -1;
    r = m.kind == PCV_MEDIA_SOUND
            ? pcv_resample(m.array.data, m.array.dim[0], m.rate, g->rate,
                           &g->sound, &g->sound_n)
            : pcv_fail(EX_DATAERR, "%s: is not a sound", path);
    pcv_media_free(&m);
    g->have_sound = r == 0;
    return r;
}

/* The sound of input `made`, none where it has ended. */
static int cut_sound(pcv_group *g, pcv_entry *e)
{
    size_t at = g->made * g->samples, n = g->samples;

    if (load_sound(g) < 0)
        return -1;
    if (at >= g->sound_n)
        return 0;
    n = g->sound_n - at < n ? g->sound_n - at : n;
    e->sound = (pcv_media){ PCV_MEDIA_SOUND, { PCV_F32, 1, { n }, NULL },
                            g->rate };
    if (!(e->sound.array.data = pcv_alloc(n, sizeof(float))))
        return -1;
    memcpy(e->sound.array.data, g->sound + at, n * sizeof(float));
    return 0;
}

/* ---- inputs ---------------------------------------------------------- */

static int copy_item(const pcv_item *from, pcv_item *to)
{
    size_t bytes = pcv_array_count(&from->media.array) *
                   pcv_dtype_size(from->media.array.dtype);

    *to = (pcv_item){ .name = pcv_strdup(from->name), .index = from->index };
    if (!to->name)
        return -1;
    if (from->path)
        return (to->path = pcv_strdup(from->path)) ? 0 : -1;
    to->media = from->media;
    to->media.array.data = pcv_alloc(bytes, 1);
    if (!to->media.array.data)
        return -1;
    memcpy(to->media.array.data, from->media.array.data, bytes);
    return 0;
}

/* Takes over one item as an input. */
static int single(pcv_item *item, pcv_entry *e)
{
    e->item = pcv_alloc(1, sizeof *e->item);
    e->name = pcv_strdup(item->name);
    if (!e->item || !e->name)
        return -1;
    e->items = 1;
    e->item[0] = *item;
    *item = (pcv_item){0};
    return 1;
}

/* A failure that is an input's own: it becomes an item that says so. */
static int failed(const char *name, pcv_entry *e)
{
    pcv_item item = { .name = pcv_strdup(name), .code = pcv_error_code() };

    item.what = pcv_strdup(pcv_error());
    pcv_error_clear();
    if (item.name && item.what)
        return single(&item, e);
    pcv_item_free(&item);
    return -1;
}

/* The pictures that wait as one input, the last one again where they are too
 * few; those that the next input begins with stay. */
static int from_held(pcv_group *g, pcv_entry *e)
{
    size_t keep = g->count > g->step ? g->count - g->step : 0;

    e->item = pcv_alloc(g->window, sizeof *e->item);
    e->name = pcv_strdup(g->held[0].name);
    if (!e->item || !e->name)
        return -1;
    for (; e->items < g->window; e->items++) {
        size_t i = e->items < g->count ? e->items : g->count - 1;

        if (copy_item(&g->held[i], &e->item[e->items]) < 0)
            return -1;
    }
    for (size_t i = 0; i + keep < g->count; i++)
        pcv_item_free(&g->held[i]);
    memmove(g->held, g->held + g->count - keep, keep * sizeof *g->held);
    g->count = keep;
    g->used = keep > 0;
    if (cut_sound(g, e) < 0)
        return -1;
    g->made++;
    return 1;
}

/* ---- a directory ----------------------------------------------------- */

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int hold_path(pcv_group *g, const char *path)
{
    pcv_item *item = &g->held[g->count];

    *item = (pcv_item){ .name = pcv_strdup(path), .path = pcv_strdup(path) };
    g->count++;
    return item->name && item->path ? 0 : -1;
}

static int rename_piece(const pcv_group *g, size_t piece, pcv_entry *e)
{
    pcv_buf b = {0};

    pcv_buf_puts(&b, g->clip_name);
    if (pcv_clip_count(g->clip) > g->window)
        pcv_buf_printf(&b, "#%zu", piece);
    if (b.failed)
        return -1;
    pcv_free(e->name);
    e->name = b.data;
    return 1;
}

/* A clip that fails is one input that says so, and its end. */
static int fail_clip(pcv_group *g, pcv_entry *e)
{
    int r;

    for (size_t i = 0; i < e->items; i++)
        pcv_item_free(&e->item[i]);
    pcv_free(e->item);
    pcv_free(e->name);
    e->item = NULL;
    e->name = NULL;
    e->items = 0;
    r = failed(g->clip_name, e);
    drop_held(g);
    drop_clip(g);
    return r;
}

/* The next input of the clip; 0 when there is none left. */
static int from_clip(pcv_group *g, pcv_entry *e)
{
    size_t at = g->made * g->step, all = pcv_clip_count(g->clip);
    size_t least = g->step < g->window ? g->window : 1, piece = g->made;

    if (at + least > all) {
        if (g->made == 0) {
            pcv_fail(EX_DATAERR, "%s: %zu pictures, want at least %zu",
                     g->clip_name, all, least);
            failed(g->clip_name, e);
        }
        drop_held(g);           /* a pair does not reach into the next clip */
        drop_clip(g);
        return e->items > 0;
    }
    drop_held(g);
    for (size_t i = 0; i < g->window && at + i < all; i++)
        if (hold_path(g, pcv_clip_picture(g->clip, at + i)) < 0)
            return -1;
    if (from_held(g, e) < 0)
        return pcv_error_code() == EX_OSERR ? -1 : fail_clip(g, e);
    return g->step == g->window ? rename_piece(g, piece, e) : 1;
}

/* ---- all of them ----------------------------------------------------- */

static bool looks_like_tensors(const char *path)
{
    pcv_file f;
    bool yes;

    if (pcv_file_open(&f, path, 0) < 0) {
        pcv_error_clear();
        return false;
    }
    yes = f.size > 8 && f.data[8] == '{';
    pcv_file_close(&f);
    return yes;
}

/* Is the item an input by itself? */
static bool is_whole(const pcv_group *g, const pcv_item *item)
{
    int kind = item->path ? pcv_media_guess(item->path) : item->media.kind;

    return g->window == 1 || kind == PCV_MEDIA_ARRAY ||
           (item->path ? kind == 0 && looks_like_tensors(item->path)
                       : kind == PCV_MEDIA_BYTES);
}

/* What waits, when nothing comes that goes with it: 1 an input, 0, -1. */
static int last(pcv_group *g, pcv_entry *e)
{
    char *name;
    int r;

    if (g->count == 0 || g->used) {
        drop_held(g);
        return 0;
    }
    if (g->step == g->window)
        return from_held(g, e);
    name = g->held[0].name;
    pcv_fail(EX_DATAERR, "%s: one picture, want another one after it", name);
    r = failed(name, e);
    drop_held(g);
    return r;
}

static int open_clip(pcv_group *g, pcv_item *item, pcv_entry *e)
{
    int r = 0;

    drop_held(g);
    drop_clip(g);
    g->clip = pcv_clip_open(item->path);
    g->clip_name = item->name;
    item->name = NULL;
    if (!g->clip)
        r = failed(g->clip_name, e);
    pcv_item_free(item);
    return r;
}

/* What an item comes to: 1 an input, 0 not yet, -1. */
static int take(pcv_group *g, pcv_item *item, pcv_entry *e)
{
    bool clip = !item->code && item->path && g->window > 1 &&
                is_directory(item->path);
    bool alone = clip || item->code || is_whole(g, item);
    int r = alone ? last(g, e) : 0;

    if (r == 0 && alone)
        return clip ? open_clip(g, item, e) : single(item, e);
    if (r == 0) {
        g->held[g->count++] = *item;
        g->used = false;
        r = g->count == g->window ? from_held(g, e) : 0;
    } else {
        g->next = *item;
    }
    *item = (pcv_item){0};
    return r;
}

static int next_item(pcv_group *g, pcv_items *items, pcv_item *item)
{
    if (!g->next.name)
        return pcv_items_next(items, item);
    *item = g->next;
    g->next = (pcv_item){0};
    return 1;
}

int pcv_group_next(pcv_group *g, pcv_items *items, pcv_entry *e)
{
    pcv_item item;
    int r = g->clip ? from_clip(g, e) : 0;

    while (r == 0) {
        int got = next_item(g, items, &item);

        if (got <= 0)
            return got < 0 ? -1 : last(g, e);
        r = take(g, &item, e);
        pcv_item_free(&item);
        if (r == 0 && g->clip)
            r = from_clip(g, e);
    }
    return r;
}
