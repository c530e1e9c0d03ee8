/* dataset.c - examples by number: where they are (examples.c, lines.c,
 * pair.c), what their labels mean (labels.c), and the media that are kept.
 *
 * Labels of a pair are 0, 1, .. as they stand.
 *
 * Invariant: once a medium is set it stays until close, so that a pointer to
 * it may be used without the lock. */
#include "parts.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a thread got last and is not kept. */
typedef struct slot {
    pthread_t owner;
    pcv_media media;
    struct slot *next;
} slot;

/* A file of arrays whose items are examples. */
typedef struct source {
    char *path;
    pcv_pair array;
    struct source *next;
} source;

struct pcv_dataset {
    char *where;                /* as messages show it */
    pcv_reading how;
    pcv_columns columns;
    size_t count;
    pcv_buf text;               /* names and labels, each ended by NUL */
    size_t *cell;               /* [count][columns], offsets into text */
    pcv_labels labels[PCV_MOST_COLUMNS];
    int *class[PCV_MOST_COLUMNS];       /* [count] */
    bool views;                 /* media lie in the pair or in the texts */
    pcv_pair pair;
    pcv_texts texts;
    source *sources;
    pcv_media *media;           /* [count][columns]; kind 0: not decoded, or not
                                   kept */
    size_t keep, kept;          /* bytes */
    pthread_mutex_t lock;       /* of media, kept, slots and sources */
    slot *slots;
};

const pcv_columns pcv_columns_labelled = {
    .column = { { "", PCV_COLUMN_MEDIA, false, 0 },
                { "label", PCV_COLUMN_CLASS, false, 0 } },
    .columns = 2,
};

static size_t place(const pcv_dataset *d, size_t i, int column)
{
    assert(i < d->count && column < d->columns.columns);
    return i * (size_t)d->columns.columns + (size_t)column;
}

static const char *cell_of(const pcv_dataset *d, size_t i, int column)
{
    size_t at = d->cell[place(d, i, column)];

    return at == PCV_NO_CELL ? NULL : d->text.data + at;
}

/* ---- opening --------------------------------------------------------- */

static int make_tables(pcv_dataset *d, size_t count)
{
    size_t cells = count * (size_t)d->columns.columns;

    if (count > INT_MAX)
        return pcv_fail(EX_DATAERR, "%zu examples, at most %d can be used",
                        count, INT_MAX);
    d->count = count;
    d->cell = pcv_alloc(cells, sizeof *d->cell);
    d->media = pcv_alloc(cells, sizeof *d->media);
    return d->cell && d->media ? 0 : -1;
}

static int make_labels(pcv_dataset *d, int column, bool numeric)
{
    const char **cell = pcv_alloc(d->count, sizeof *cell);
    int kind = d->columns.column[column].kind, status = -1;

    d->class[column] = pcv_alloc(d->count, sizeof *d->class[column]);
    for (size_t i = 0; cell && i < d->count; i++)
        cell[i] = cell_of(d, i, column);
    if (cell && d->class[column])
        status = pcv_labels_make(&d->labels[column], d->where, kind, cell,
                                 d->count, numeric, d->class[column]);
    pcv_free(cell);
    return status;
}

/* Takes over what was found. */
static int take_examples(pcv_dataset *d, pcv_examples *e, bool numeric)
{
    size_t row = (size_t)d->columns.columns * sizeof(size_t);
    int status = make_tables(d, e->cells.len / row);

    d->text = e->text;
    e->text = (pcv_buf){0};
    if (status == 0 && e->cells.len)
        memcpy(d->cell, e->cells.data, e->cells.len);
    for (int c = 0; status == 0 && c < d->columns.columns; c++)
        if (d->columns.column[c].kind != PCV_COLUMN_MEDIA)
            status = make_labels(d, c, numeric);
    return status;
}

static int open_files(pcv_dataset *d, const char *where, bool directory)
{
    pcv_examples e = { .columns = &d->columns };
    int status;

    if (directory && (d->columns.named || (d->columns.columns > 1 &&
        d->columns.column[1].kind != PCV_COLUMN_CLASS)))
        return pcv_fail(EX_DATAERR, "%s: a directory names one class for each "
                        "file; for this model want a list", where);
    status = directory ? pcv_examples_directory(&e, where)
                       : pcv_examples_list(&e, where, d->how.max_bytes);
    if (status == 0)
        status = take_examples(d, &e, !directory);
    pcv_buf_free(&e.text);
    pcv_buf_free(&e.cells);
    return status;
}

/* Texts lie in the files that d->texts holds. */
static void view_texts(pcv_dataset *d)
{
    const pcv_span *span = (const pcv_span *)(void *)d->texts.spans.data;

    for (size_t i = 0; i < d->count; i++) {
        pcv_media *m = &d->media[place(d, i, 0)];

        m->kind = PCV_MEDIA_BYTES;
        m->array = (pcv_array){ PCV_U8, 1, { span[i].n },
                                (void *)(uintptr_t)span[i].data };
    }
    d->views = true;
}

static int open_texts(pcv_dataset *d, const char *where)
{
    pcv_examples e = { .columns = &d->columns };
    size_t limit = d->how.max_bytes;
    int status;

    if (d->columns.named)
        return pcv_fail(EX_DATAERR, "%s: lines and running text are of a model "
                        "of one input; for parts want a list of files", where);
    status = d->columns.form == PCV_EXAMPLES_LINES
                 ? pcv_texts_lines(&d->texts, &e, where, limit)
                 : pcv_texts_pieces(&d->texts, &e, where, limit);
    if (status == 0)
        status = take_examples(d, &e, true);
    if (status == 0)
        view_texts(d);
    pcv_buf_free(&e.text);
    pcv_buf_free(&e.cells);
    return status;
}

/* "0", "1" .. up to the largest. */
static int name_numbers(pcv_dataset *d, pcv_labels *l)
{
    enum { WIDE = 8 };          /* 999999 and NUL */
    const int *class = d->class[1];

    for (size_t i = 0; i < d->count; i++)
        if ((size_t)class[i] >= l->labels)
            l->labels = (size_t)class[i] + 1;
    l->label = pcv_alloc(l->labels, sizeof *l->label);
    l->own = pcv_alloc(l->labels, WIDE);
    for (size_t k = 0; l->label && l->own && k < l->labels; k++) {
        char *name = l->own + k * WIDE;

        snprintf(name, WIDE, "%u", (unsigned)k % 10000000);
        l->label[k] = name;
    }
    return l->label && l->own ? 0 : -1;
}

/* The labels are read in either case, and left alone where none is asked
 * for. */
static int open_pair(pcv_dataset *d, const char *where, int comma)
{
    int *class = NULL;

    if (d->columns.named || (d->columns.columns > 1 &&
        d->columns.column[1].kind != PCV_COLUMN_CLASS))
        return pcv_fail(EX_DATAERR, "%s: a pair has one class for each "
                        "example; for this model want a list", where);
    if (pcv_pair_open(&d->pair, where, &d->how, &class) < 0 ||
        make_tables(d, d->pair.layout.dim[0]) < 0) {
        pcv_free(class);
        return -1;
    }
    d->views = true;
    d->class[1] = class;
    for (size_t i = 0; i < d->count; i++) {
        d->cell[place(d, i, 0)] = d->text.len;
        if (d->columns.columns > 1)
            d->cell[place(d, i, 1)] = 0;
        pcv_buf_printf(&d->text, "%.*s#%zu%c", comma, where, i, '\0');
        pcv_pair_cut(&d->pair, i, where, &d->media[place(d, i, 0)]);
    }
    if (d->text.failed)
        return pcv_fail(EX_OSERR, "out of memory");
    return name_numbers(d, &d->labels[1]);
}

static int open_any(pcv_dataset *d, const char *where)
{
    struct stat st;
    size_t comma;
    char *shown;

    if (d->columns.form != PCV_EXAMPLES_FILES)
        return open_texts(d, where);
    if (pcv_walk_is_directory(where))
        return open_files(d, where, true);
    if (strcmp(where, "-") == 0 || stat(where, &st) == 0)
        return open_files(d, where, false);
    if ((comma = pcv_pair_comma(where)) > 0)
        return open_pair(d, where, (int)comma);
    shown = pcv_shown(where);
    if (shown)
        pcv_fail(EX_NOINPUT, "%s: no such directory, list (path<TAB>label), "
                 "or pair of files EXAMPLES,LABELS (idx or .npy)", shown);
    pcv_free(shown);
    return -1;
}

pcv_dataset *pcv_dataset_open(const char *where, const pcv_columns *columns,
                              const pcv_reading *how, size_t keep)
{
    pcv_dataset *d = pcv_alloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->how = *how;
    d->columns = *columns;
    d->keep = keep;
    pthread_mutex_init(&d->lock, NULL);
    d->where = pcv_shown(where);
    if (d->where && open_any(d, where) == 0)
        return d;
    pcv_dataset_close(d);
    return NULL;
}

static void close_media(pcv_dataset *d)
{
    size_t cells = d->count * (size_t)d->columns.columns;

    for (size_t i = 0; d->media && !d->views && i < cells; i++)
        pcv_media_free(&d->media[i]);
    while (d->slots) {
        slot *s = d->slots;

        d->slots = s->next;
        pcv_media_free(&s->media);
        pcv_free(s);
    }
    while (d->sources) {
        source *s = d->sources;

        d->sources = s->next;
        pcv_pair_close(&s->array);
        pcv_free(s->path);
        pcv_free(s);
    }
    pcv_free(d->media);
}

void pcv_dataset_close(pcv_dataset *d)
{
    if (!d)
        return;
    close_media(d);
    for (int c = 0; c < PCV_MOST_COLUMNS; c++) {
        pcv_labels_free(&d->labels[c]);
        pcv_free(d->class[c]);
    }
    pcv_pair_close(&d->pair);
    pcv_texts_close(&d->texts);
    pcv_buf_free(&d->text);
    pcv_free(d->cell);
    pcv_free(d->where);
    pthread_mutex_destroy(&d->lock);
    pcv_free(d);
}

/* ---- what is wanted -------------------------------------------------- */

size_t pcv_dataset_count(const pcv_dataset *d)
{
    return d->count;
}

size_t pcv_dataset_labels(const pcv_dataset *d, int column)
{
    return d->labels[column].labels;
}

const char *pcv_dataset_label(const pcv_dataset *d, int column, size_t k)
{
    assert(k < d->labels[column].labels);
    return d->labels[column].label[k];
}

int pcv_dataset_class(const pcv_dataset *d, size_t i, int column)
{
    assert(i < d->count);
    return d->class[column][i];
}

/* A name, or its number in decimal. */
static int meaning(char *const *label, size_t n, const char *name)
{
    char *end;
    unsigned long number;

    for (size_t k = 0; k < n; k++)
        if (!strcmp(label[k], name))
            return (int)k;
    number = strtoul(name, &end, 10);
    return *name && !*end && number < n ? (int)number : -1;
}

int pcv_dataset_adopt(pcv_dataset *d, int column, char *const *label, size_t n)
{
    pcv_labels *l = &d->labels[column];     /* once */
    int *to = pcv_alloc(l->labels + 1, sizeof *to);
    const char **name = pcv_alloc(n, sizeof *name);
    int status = to && name ? 0 : -1;

    for (size_t k = 0; status == 0 && k < l->labels; k++) {
        to[k] = meaning(label, n, l->label[k]);
        if (to[k] < 0)
            status = pcv_fail(EX_DATAERR, "%s: the label '%s' is not one of "
                              "the %zu that are known ('%s', ..)", d->where,
                              l->label[k], n, n ? label[0] : "");
    }
    for (size_t i = 0; status == 0 && i < d->count; i++)
        if (d->class[column][i] >= 0)
            d->class[column][i] = to[d->class[column][i]];
    for (size_t k = 0; status == 0 && k < n; k++)
        name[k] = label[k];
    if (status < 0) {
        pcv_free(to);
        pcv_free(name);
        return -1;
    }
    l->was = l->label;          /* as the cells have them */
    l->were = l->labels;
    l->to = to;
    l->label = name;            /* names are the caller's, who outlives us */
    l->labels = n;
    return 0;
}

void pcv_dataset_tags(const pcv_dataset *d, size_t i, int column, float *t)
{
    const pcv_labels *l = &d->labels[column];
    const char *s = cell_of(d, i, column);

    memset(t, 0, l->labels * sizeof *t);
    while (s && *s) {
        size_t n = strcspn(s, ",");
        int k = pcv_labels_find(l, s, n);

        if (k >= 0)
            t[k] = 1;
        s += n + (s[n] == ',');
    }
}

size_t pcv_dataset_width(const pcv_dataset *d, int column)
{
    return d->labels[column].width;
}

void pcv_dataset_numbers(const pcv_dataset *d, size_t i, int column, float *v)
{
    const char *s = cell_of(d, i, column);
    char *end;

    for (size_t k = 0; s && k < d->labels[column].width; k++, s = end + 1)
        v[k] = strtof(s, &end);
}

/* ---- media ----------------------------------------------------------- */

bool pcv_dataset_has(const pcv_dataset *d, size_t i, int column)
{
    return d->cell[place(d, i, column)] != PCV_NO_CELL;
}

/* An example without a label column that is not the first is called by its
 * first medium. */
const char *pcv_dataset_name(const pcv_dataset *d, size_t i)
{
    for (int c = 0; c < d->columns.columns; c++)
        if (d->columns.column[c].kind == PCV_COLUMN_MEDIA &&
            pcv_dataset_has(d, i, c))
            return cell_of(d, i, c);
    return "";
}

/* ---- which set it is ------------------------------------------------- */

/* How many bytes of a directory, with its slash, a and b begin with. */
static size_t common(const char *a, size_t n, const char *b)
{
    size_t same = 0;

    while (same < n && a[same] == b[same])
        same++;
    while (same > 0 && a[same - 1] != '/')
        same--;
    return same;
}

static bool is_file(const pcv_dataset *d, size_t i, int column)
{
    return d->columns.column[column].kind == PCV_COLUMN_MEDIA &&
           pcv_dataset_has(d, i, column);
}

/* Length of the directory that all files are in. */
static size_t root_of(const pcv_dataset *d)
{
    const char *first = NULL;
    size_t n = 0;

    for (size_t i = 0; i < d->count; i++)
        for (int c = 0; c < d->columns.columns; c++) {
            if (!is_file(d, i, c))
                continue;
            if (!first) {
                first = cell_of(d, i, c);
                n = strlen(first);
            }
            n = common(first, n, cell_of(d, i, c));
        }
    return n;
}

/* What is absent is not what is empty. */
static void identify_cells(const pcv_dataset *d, pcv_buf *b)
{
    size_t root = root_of(d);

    for (size_t i = 0; i < d->count; i++) {
        for (int c = 0; c < d->columns.columns; c++) {
            const char *s = cell_of(d, i, c);

            pcv_buf_printf(b, "%s%s%c", s ? "=" : "-", s ? s +
                           (is_file(d, i, c) ? root : 0) : "", '\0');
        }
        if (d->views)
            pcv_buf_printf(b, "%zu%c", d->media[place(d, i, 0)].array.dim[0],
                           '\0');
    }
}

static void identify_pair(const pcv_dataset *d, pcv_buf *b)
{
    const pcv_layout *l = &d->pair.layout;

    pcv_buf_printf(b, "%s", pcv_dtype_name(l->dtype));
    for (int i = 0; i < l->rank; i++)
        pcv_buf_printf(b, " %zu", l->dim[i]);
    for (size_t i = 0; i < d->count; i++)
        pcv_buf_printf(b, " %d", d->class[1][i]);
}

void pcv_dataset_identity(const pcv_dataset *d, pcv_buf *b)
{
    pcv_buf_printf(b, "%zu%c", d->count, '\0');
    if (d->pair.layout.rank)
        identify_pair(d, b);
    else
        identify_cells(d, b);
}

static slot *own_slot(pcv_dataset *d)
{
    slot *s;

    for (s = d->slots; s; s = s->next)
        if (pthread_equal(s->owner, pthread_self()))
            return s;
    s = pcv_alloc(1, sizeof *s);
    if (s) {
        s->owner = pthread_self();
        s->next = d->slots;
        d->slots = s;
    }
    return s;
}

/* Takes m over: into media[i] while there is room, else into the thread's
 * slot.  Another thread may have been faster.  Under the lock. */
static const pcv_media *store(pcv_dataset *d, size_t i, pcv_media *m)
{
    size_t bytes = pcv_array_count(&m->array) *
                   pcv_dtype_size(m->array.dtype);
    slot *s;

    if (d->media[i].kind) {
        pcv_media_free(m);
        return &d->media[i];
    }
    if (bytes <= d->keep - d->kept) {
        d->kept += bytes;
        d->media[i] = *m;
        return &d->media[i];
    }
    s = own_slot(d);
    if (!s) {
        pcv_media_free(m);
        return NULL;
    }
    pcv_media_free(&s->media);
    s->media = *m;
    return &s->media;
}

static const pcv_media *find(pcv_dataset *d, size_t at)
{
    const pcv_media *found;

    if (d->views)
        return &d->media[at];
    pthread_mutex_lock(&d->lock);
    found = d->media[at].kind ? &d->media[at] : NULL;
    pthread_mutex_unlock(&d->lock);
    return found;
}

/* The array file of n bytes of path, opened once.  Under the lock. */
static const pcv_pair *source_of(pcv_dataset *d, const char *path, size_t n)
{
    source *s = d->sources;

    while (s && (strlen(s->path) != n || memcmp(s->path, path, n) != 0))
        s = s->next;
    if (s)
        return &s->array;
    if (!(s = pcv_alloc(1, sizeof *s)))
        return NULL;
    s->path = pcv_alloc(n + 1, 1);
    if (s->path)
        memcpy(s->path, path, n);
    if (!s->path || pcv_pair_array(&s->array, s->path, &d->how) < 0) {
        pcv_free(s->path);
        pcv_free(s);
        return NULL;
    }
    s->next = d->sources;
    d->sources = s;
    return &s->array;
}

/* FILE#12 where there is no file of that name.  What is handed out is a copy,
 * as other media are. */
static int decode_numbered(pcv_dataset *d, const char *path, size_t mark,
                           pcv_media *m)
{
    const pcv_pair *p;
    size_t bytes;
    void *copy;

    pthread_mutex_lock(&d->lock);
    p = source_of(d, path, mark);
    pthread_mutex_unlock(&d->lock);
    if (!p || pcv_pair_cut(p, strtoul(path + mark + 1, NULL, 10), path, m) < 0)
        return -1;
    bytes = pcv_array_count(&m->array) * pcv_dtype_size(m->array.dtype);
    if (!(copy = pcv_alloc(bytes, 1)))
        return -1;
    m->array.data = memcpy(copy, m->array.data, bytes);
    return 0;
}

static int decode(pcv_dataset *d, size_t i, int column, pcv_media *m)
{
    const char *path = cell_of(d, i, column);
    size_t mark = pcv_item_mark(path);
    size_t frames = d->columns.column[column].frames;
    pcv_reading how = d->how;
    struct stat st;

    how.bytes = d->columns.column[column].bytes;
    if (frames && pcv_walk_is_directory(path))
        return pcv_clip_decode(path, frames, &how, m);
    if (path[mark] && stat(path, &st) < 0)
        return decode_numbered(d, path, mark, m);
    return pcv_decode_file(path, &how, m);
}

const pcv_media *pcv_dataset_get(pcv_dataset *d, size_t i, int column)
{
    size_t at = place(d, i, column);
    const pcv_media *found = find(d, at);
    pcv_media m;

    if (found || decode(d, i, column, &m) < 0)
        return found;
    pthread_mutex_lock(&d->lock);
    found = store(d, at, &m);
    pthread_mutex_unlock(&d->lock);
    return found;
}
