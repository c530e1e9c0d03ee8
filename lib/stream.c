/* stream.c - the facade of data/: items as entries that a model can take. */
#include "handles.h"

#include <string.h>

struct pcv_stream {
    const pcv_model *m;
    pcv_sources sources;
    pcv_items *items;
};

static int modality_of(const char *name, int *out)
{
    static const char *const names[] = { "auto", "image", "sound", "bytes",
                                         "array" };
    static const int kinds[] = { 0, PCV_IMAGE, PCV_SOUND, PCV_BYTES,
                                 PCV_PLAIN };

    *out = 0;
    for (size_t i = 0; name && i < PCV_LEN(names); i++)
        if (!strcmp(name, names[i])) {
            *out = kinds[i];
            return 0;
        }
    return name ? pcv_fail(EX_USAGE, "modality '%s', want auto, image, sound, "
                           "bytes or array", name) : 0;
}

/* Axes of one prepared item: one more in a file means a batch. */
static int rank_of(int modality)
{
    return modality == PCV_IMAGE ? 3
           : modality == PCV_SOUND || modality == PCV_BYTES ? 1 : 2;
}

static int reading(const pcv_model *m, const pcv_inputs *in, pcv_reading *r)
{
    pcv_reading_default(r);
    if (modality_of(in->modality, &r->modality) < 0)
        return -1;
    r->bytes = r->modality == 0 &&
               m->net.spec.prep.modality == PCV_BYTES;
    r->raw = in->raw;
    r->pcm = in->pcm;
    r->exif = !in->no_exif;
    if (in->max_pixels)
        r->max_pixels = in->max_pixels;
    if (in->max_bytes)
        r->max_bytes = in->max_bytes;
    if (in->max_seconds > 0)
        r->max_seconds = in->max_seconds;
    if ((r->raw && pcv_raw_check(r->raw) < 0) ||
        (r->pcm && pcv_pcm_check(r->pcm) < 0))
        return -1;
    return 0;
}

pcv_stream *pcv_stream_open(const pcv_model *m, const pcv_inputs *in)
{
    pcv_stream *s = pcv_alloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->m = m;
    s->sources = (pcv_sources){ in->path, in->paths, in->list, in->nul,
                                in->recursive, in->include, in->exclude,
                                {0} };
    if (reading(m, in, &s->sources.reading) == 0 &&
        (s->items = pcv_items_open(&s->sources,
                                   rank_of(m->net.spec.prep.modality))))
        return s;
    pcv_free(s);
    return NULL;
}

void pcv_stream_close(pcv_stream *s)
{
    if (!s)
        return;
    pcv_items_close(s->items);
    pcv_free(s);
}

int pcv_stream_next(pcv_stream *s, pcv_entry **out)
{
    pcv_entry *e = pcv_alloc(1, sizeof *e);
    int r;

    *out = NULL;
    if (!e)
        return -1;
    r = pcv_items_next(s->items, &e->item);
    if (r == 1)
        *out = e;
    else
        pcv_free(e);
    return r;
}

void pcv_entry_free(pcv_entry *e)
{
    if (!e)
        return;
    pcv_item_free(&e->item);
    pcv_array_free(&e->x);
    pcv_free(e);
}

const char *pcv_entry_name(const pcv_entry *e)
{
    return e->item.name;
}

size_t pcv_entry_index(const pcv_entry *e)
{
    return e->item.index;
}

/* --modality=sound and its like refuse what is something else. */
static int check_kind(const pcv_entry *e, int modality)
{
    static const struct { int modality, kind; const char *name; } rows[] = {
        { PCV_IMAGE, PCV_MEDIA_IMAGE, "a picture" },
        { PCV_SOUND, PCV_MEDIA_SOUND, "a sound" },
        { PCV_PLAIN, PCV_MEDIA_ARRAY, "an array" },
    };

    for (size_t i = 0; i < PCV_LEN(rows); i++)
        if (rows[i].modality == modality &&
            rows[i].kind != e->item.media.kind)
            return pcv_fail(EX_DATAERR, "%s: is not %s, which was asked for",
                            e->item.name, rows[i].name);
    return 0;
}

int pcv_entry_load(pcv_stream *s, pcv_entry *e)
{
    const pcv_reading *how = &s->sources.reading;

    if (pcv_item_decode(&e->item, how) < 0)
        return pcv_fail(e->item.code ? e->item.code : EX_DATAERR, "%s",
                        e->item.what ? e->item.what : "cannot be read");
    if (check_kind(e, how->modality) < 0 ||
        pcv_prepare(&s->m->net.spec.prep, &e->item.media, e->item.name,
                    &e->x) < 0)
        return -1;
    pcv_media_free(&e->item.media);
    e->loaded = true;
    return 0;
}

pcv_values *pcv_entry_values(const pcv_entry *e)
{
    pcv_values *v = pcv_values_new(e->x.rank, e->x.dim);

    if (v)
        pcv_dtype_to_float(e->x.dtype, e->x.data, v->count, v->data);
    return v;
}
