/* stream.c - the facade of data/: items as entries that a model can take. */
#include "group.h"

#include <string.h>

struct pcv_stream {
    const pcv_model *m;
    pcv_sources sources;
    pcv_items *items;
    pcv_group group;
    size_t index;               /* of the next entry */
    int overlong;               /* -1: as the model has it */
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
static int rank_of(const pcv_prep *p)
{
    switch (p->modality) {
    case PCV_SOUND:   return p->mels ? 2 : 1;
    case PCV_BYTES:
    case PCV_ONE_HOT: return 1;
    case PCV_IMAGE:   return 3;
    case PCV_FLOW:
    case PCV_VIDEO:   return 4;
    default:          return 2;
    }
}

/* A model of sounds of any length never has a long one in memory. */
static bool takes_any_length(const pcv_spec *s)
{
    return s->prep.modality == PCV_SOUND && s->prep.samples == 0;
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
    if (takes_any_length(&m->net.spec))
        r->store = in->temporary ? in->temporary : "/tmp";
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

static int overlong_of(const char *name, int *out)
{
    *out = !name ? -1 : !strcmp(name, "cut") ? PCV_CUT : PCV_REFUSE;
    return !name || !strcmp(name, "cut") || !strcmp(name, "refuse")
               ? 0 : pcv_fail(EX_USAGE, "overlong '%s', want cut or refuse",
                              name);
}

pcv_stream *pcv_stream_open(const pcv_model *m, const pcv_inputs *in)
{
    pcv_stream *s = pcv_alloc(1, sizeof *s);
    pcv_reading *how;

    if (!s)
        return NULL;
    how = &s->sources.reading;
    s->m = m;
    s->sources = (pcv_sources){ in->path, in->paths, in->list, in->nul,
                                in->recursive, in->include, in->exclude,
                                {0}, false, in->next, in->arg };
    if (reading(m, in, how) == 0 &&
        overlong_of(in->overlong, &s->overlong) == 0 &&
        pcv_group_open(&s->group, m, how, in->sound) == 0) {
        s->sources.clips = s->group.window > 1 && !in->recursive;
        s->items = pcv_items_open(&s->sources,
                                  rank_of(&m->net.spec.prep));
    }
    if (s->items)
        return s;
    pcv_stream_close(s);
    return NULL;
}

void pcv_stream_close(pcv_stream *s)
{
    if (!s)
        return;
    pcv_group_close(&s->group);
    pcv_items_close(s->items);
    pcv_free(s);
}

size_t pcv_stream_files(const pcv_stream *s)
{
    return s->group.window;
}

int pcv_stream_next(pcv_stream *s, pcv_entry **out)
{
    pcv_entry *e = pcv_alloc(1, sizeof *e);
    int r;

    *out = NULL;
    if (!e)
        return -1;
    r = pcv_group_next(&s->group, s->items, e);
    if (r == 1) {
        e->index = s->index++;
        *out = e;
    } else {
        pcv_entry_free(e);
    }
    return r;
}

void pcv_entry_free(pcv_entry *e)
{
    if (!e)
        return;
    for (size_t i = 0; i < e->items; i++)
        pcv_item_free(&e->item[i]);
    pcv_free(e->item);
    pcv_free(e->name);
    pcv_media_free(&e->sound);
    for (int i = 0; i < PCV_MOST_PARTS; i++)
        pcv_array_free(&e->x[i]);
    pcv_free(e);
}

const char *pcv_entry_name(const pcv_entry *e)
{
    return e->name;
}

size_t pcv_entry_index(const pcv_entry *e)
{
    return e->index;
}

/* ---- loading --------------------------------------------------------- */

/* --modality=sound and its like refuse what is something else. */
static int check_kind(const pcv_item *item, int modality)
{
    static const struct { int modality, kind; const char *name; } rows[] = {
        { PCV_IMAGE, PCV_MEDIA_IMAGE, "a picture" },
        { PCV_SOUND, PCV_MEDIA_SOUND, "a sound" },
        { PCV_PLAIN, PCV_MEDIA_ARRAY, "an array" },
    };

    for (size_t i = 0; i < PCV_LEN(rows); i++)
        if (rows[i].modality == modality && rows[i].kind != item->media.kind)
            return pcv_fail(EX_DATAERR, "%s: is not %s, which was asked for",
                            item->name, rows[i].name);
    return 0;
}

static int decode(pcv_entry *e, const pcv_reading *how)
{
    for (size_t i = 0; i < e->items; i++) {
        pcv_item *item = &e->item[i];

        if (pcv_item_decode(item, how) < 0)
            return pcv_fail(item->code ? item->code : EX_DATAERR, "%s",
                            item->what ? item->what : "cannot be read");
        if (check_kind(item, how->modality) < 0)
            return -1;
    }
    return 0;
}

/* Several pictures, of what is called video or flow. */
static int load_frames(pcv_entry *e, const pcv_prep *prep, pcv_array *out)
{
    const pcv_media **m = pcv_alloc(e->items, sizeof *m);
    const char **name = pcv_alloc(e->items, sizeof *name);
    int r = -1;

    for (size_t i = 0; m && name && i < e->items; i++) {
        m[i] = &e->item[i].media;
        name[i] = e->item[i].name;
    }
    if (m && name)
        r = pcv_prepare_frames(prep, m, name, e->items, out);
    pcv_free(m);
    pcv_free(name);
    return r;
}

/* ---- parts ----------------------------------------------------------- */

/* The tensors of a file, each the part of that name. */
static int load_tensors(pcv_entry *e, const pcv_spec *s, const pcv_tensors *t)
{
    size_t found = 0;

    for (int i = 0; i < s->parts; i++) {
        const pcv_tensor *x = pcv_tensors_find(t, s->part_name[i]);
        pcv_media m = { .kind = PCV_MEDIA_ARRAY };
        pcv_buf name = {0};
        int r;

        if (!x)
            continue;
        found++;
        m.array.dtype = x->dtype;
        m.array.rank = x->rank;
        memcpy(m.array.dim, x->dim, sizeof x->dim);
        m.array.data = (void *)(uintptr_t)x->data;
        pcv_buf_printf(&name, "%s: %s", e->name, x->name);
        r = pcv_prepare(&s->part[i].prep, &m, name.data ? name.data : e->name,
                        &e->x[i]);
        pcv_buf_free(&name);
        if (r < 0)
            return -1;
    }
    return found ? 0 : pcv_fail(EX_DATAERR, "%s: no tensor with the name of a "
                                "part of the model (%s, ..)", e->name,
                                s->part_name[0]);
}

static int load_file(pcv_entry *e, const pcv_spec *s)
{
    pcv_item *item = &e->item[0];
    const pcv_array *bytes = &item->media.array;
    pcv_tensors t;
    int r;

    if (item->code)
        return pcv_fail(item->code, "%s", item->what);
    r = item->path ? pcv_tensors_open(&t, item->path)
                   : pcv_tensors_parse(&t, bytes->data, bytes->dim[0],
                                       e->name);
    if (r < 0)
        return -1;
    r = load_tensors(e, s, &t);
    pcv_tensors_close(&t);
    return r;
}

/* ---- files that are parts -------------------------------------------- */

static bool is_tensors(const unsigned char *data, size_t n)
{
    return n > 8 && data[8] == '{';
}

/* The medium becomes the first part of its kind that has none yet; an array the
 * first that can take it. */
static int fill_part(pcv_entry *e, const pcv_spec *s, const pcv_media *m,
                     const char *name)
{
    static const int kind[] = { [PCV_IMAGE] = PCV_MEDIA_IMAGE,
                                [PCV_SOUND] = PCV_MEDIA_SOUND,
                                [PCV_BYTES] = PCV_MEDIA_BYTES };

    for (int i = 0; i < s->parts; i++) {
        const pcv_prep *p = &s->part[i].prep;
        bool may = (size_t)p->modality < PCV_LEN(kind) &&
                   kind[p->modality] == m->kind;

        if (e->x[i].data || s->part[i].masked ||
            (!may && m->kind != PCV_MEDIA_ARRAY))
            continue;
        if (pcv_prepare(p, m, name, &e->x[i]) == 0)
            return 0;
        if (may)
            return -1;
        pcv_error_clear();
    }
    return pcv_fail(EX_DATAERR, "%s: no part of the model (%s, ..) takes it, "
                    "or it has one already", name, s->part_name[0]);
}

static int load_piece(pcv_entry *e, const pcv_spec *s, const char *path,
                      const pcv_reading *how)
{
    pcv_media m;
    int r;

    if (pcv_decode_file(path, how, &m) < 0)
        return -1;
    r = fill_part(e, s, &m, path);
    pcv_media_free(&m);
    return r;
}

/* "a.png,b.wav", where there is no file of that name: a part each. */
static int load_pieces(pcv_entry *e, const pcv_spec *s, const pcv_reading *how)
{
    char *names = pcv_strdup(e->item[0].name), *rest = names, *one;
    int r = names ? 0 : -1;

    while (r == 0 && (one = strsep(&rest, ",")) != NULL)
        r = load_piece(e, s, one, how);
    pcv_free(names);
    return r;
}

/* What one name stands for: tensors of all parts, a file of one, files of
 * several. */
static int load_parts(pcv_entry *e, const pcv_spec *s, const pcv_reading *how)
{
    pcv_item *item = &e->item[0];
    const pcv_array *a = &item->media.array;
    pcv_file f;
    bool tensors;

    if (item->code && strchr(item->name, ','))
        return load_pieces(e, s, how);
    if (item->code)
        return pcv_fail(item->code, "%s", item->what);
    if (!item->path) {
        tensors = item->media.kind == PCV_MEDIA_BYTES &&
                  is_tensors(a->data, a->dim[0]);
        return tensors ? load_file(e, s)
                       : fill_part(e, s, &item->media, e->name);
    }
    if (pcv_file_open(&f, item->path, how->max_bytes) < 0)
        return -1;
    tensors = is_tensors(f.data, f.size);
    pcv_file_close(&f);
    return tensors ? load_file(e, s) : load_piece(e, s, item->path, how);
}

static int load_clip(pcv_entry *e, const pcv_spec *s, const pcv_reading *how)
{
    if (decode(e, how) < 0)
        return -1;
    for (int i = 0; i < s->parts; i++) {
        const pcv_prep *p = &s->part[i].prep;

        if (p->modality == PCV_VIDEO && load_frames(e, p, &e->x[i]) < 0)
            return -1;
        if (p->modality == PCV_SOUND && e->sound.array.data &&
            pcv_prepare(p, &e->sound, e->name, &e->x[i]) < 0)
            return -1;
    }
    return 0;
}

static int load(pcv_stream *s, pcv_entry *e)
{
    const pcv_spec *spec = &s->m->net.spec;
    const pcv_reading *how = &s->sources.reading;
    pcv_prep prep = spec->prep;

    if (spec->parts)
        return e->items > 1 ? load_clip(e, spec, how)
                            : load_parts(e, spec, how);
    if (decode(e, how) < 0)
        return -1;
    if (e->items > 1)
        return load_frames(e, &prep, &e->x[0]);
    if (s->overlong >= 0)
        prep.overlong = s->overlong;
    return pcv_prepare(&prep, &e->item[0].media, e->name, &e->x[0]);
}

int pcv_entry_load(pcv_stream *s, pcv_entry *e)
{
    if (load(s, e) < 0)
        return -1;
    for (size_t i = 0; i < e->items; i++)
        pcv_media_free(&e->item[i].media);
    pcv_media_free(&e->sound);
    e->loaded = true;
    return 0;
}

static const pcv_array *first_input(const pcv_entry *e)
{
    for (int i = 0; i < PCV_MOST_PARTS; i++)
        if (e->x[i].data)
            return &e->x[i];
    pcv_fail(EX_DATAERR, "%s: nothing in it is an input", e->name);
    return NULL;
}

int pcv_entry_shape(const pcv_entry *e, size_t dim[8])
{
    const pcv_array *x = first_input(e);

    if (x)
        memcpy(dim, x->dim, (size_t)x->rank * sizeof *dim);
    return x ? x->rank : -1;
}

pcv_values *pcv_entry_values(const pcv_entry *e)
{
    const pcv_array *x = first_input(e);
    pcv_values *v = x ? pcv_values_new(x->rank, x->dim) : NULL;

    if (v && x->dtype == PCV_STORED)
        pcv_store_floats(x->data, 0, v->count, v->data);
    else if (v)
        pcv_dtype_to_float(x->dtype, x->data, v->count, v->data);
    return v;
}
