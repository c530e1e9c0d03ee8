/* dataset.c - labelled examples by number: where they are (examples.c,
 * pair.c), what their labels are called, and the media that are kept.
 *
 * Labels are numbered in their bytewise order, or, when they are all integers
 * of a list, in that of the numbers; those of a pair are 0, 1, .. as they
 * stand.
 *
 * Invariant: once media[i] is set it stays until close, so that a pointer to
 * it may be used without the lock. */
#include "parts.h"

#include <assert.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* What a thread got last and is not kept. */
typedef struct slot {
    pthread_t owner;
    pcv_media media;
    struct slot *next;
} slot;

struct pcv_dataset {
    pcv_reading how;
    size_t count, labels;
    pcv_buf text;               /* names and labels, each ended by NUL */
    size_t *name;               /* [count], offsets into text */
    size_t *label;              /* [labels], the same */
    int *class;                 /* [count] */
    bool is_pair;
    pcv_pair pair;
    pcv_media *media;           /* [count]; kind 0: not decoded, or not kept */
    size_t keep, kept;          /* bytes */
    pthread_mutex_t lock;       /* of media, kept and slots */
    slot *slots;
};

/* ---- labels ---------------------------------------------------------- */

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* "1" and "01" are two labels: the bytes decide between equal numbers. */
static int by_number(const void *a, const void *b)
{
    long long x = strtoll(*(const char *const *)a, NULL, 10);
    long long y = strtoll(*(const char *const *)b, NULL, 10);

    return x < y ? -1 : x > y ? 1 : by_bytes(a, b);
}

static bool is_integer(const char *s)
{
    size_t digits;

    s += *s == '-' || *s == '+';
    digits = strspn(s, "0123456789");
    return digits > 0 && digits <= 18 && s[digits] == '\0';
}

static bool are_integers(const char **label, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!is_integer(label[i]))
            return false;
    return true;
}

/* Sorts, and leaves one of each; returns how many. */
static size_t sort_labels(const char **label, size_t n,
                          int (*order)(const void *, const void *))
{
    size_t kept = 0;

    qsort(label, n, sizeof *label, order);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(label[i], label[kept - 1]) != 0)
            label[kept++] = label[i];
    return kept;
}

/* Numbers the labels of the rows. */
static int number_labels(pcv_dataset *d, const pcv_example *row, bool numeric)
{
    const char **label = pcv_alloc(d->count, sizeof *label), **at;
    int (*order)(const void *, const void *) = by_bytes;

    if (!label)
        return -1;
    for (size_t i = 0; i < d->count; i++)
        label[i] = d->text.data + row[i].label;
    if (numeric && are_integers(label, d->count))
        order = by_number;
    d->labels = sort_labels(label, d->count, order);
    d->label = pcv_alloc(d->labels, sizeof *d->label);
    for (size_t k = 0; d->label && k < d->labels; k++)
        d->label[k] = (size_t)(label[k] - d->text.data);
    for (size_t i = 0; i < d->count; i++) {
        const char *key = d->text.data + row[i].label;

        at = bsearch(&key, label, d->labels, sizeof *label, order);
        d->class[i] = (int)(at - label);
        d->name[i] = row[i].path;
    }
    pcv_free(label);
    return d->label ? 0 : -1;
}

/* ---- opening --------------------------------------------------------- */

static int make_tables(pcv_dataset *d, size_t count)
{
    if (count > INT_MAX)
        return pcv_fail(EX_DATAERR, "%zu examples, at most %d can be used",
                        count, INT_MAX);
    d->count = count;
    d->name = pcv_alloc(count, sizeof *d->name);
    d->media = pcv_alloc(count, sizeof *d->media);
    if (!d->class)
        d->class = pcv_alloc(count, sizeof *d->class);
    return d->name && d->media && d->class ? 0 : -1;
}

static int open_files(pcv_dataset *d, const char *where, bool directory)
{
    pcv_examples e = {0};
    int status = directory
                     ? pcv_examples_directory(&e, where)
                     : pcv_examples_list(&e, where, d->how.max_bytes);

    d->text = e.text;           /* d owns it from here on */
    if (status == 0)
        status = make_tables(d, e.rows.len / sizeof(pcv_example));
    if (status == 0)
        status = number_labels(d, (pcv_example *)(void *)e.rows.data,
                               !directory);
    pcv_buf_free(&e.rows);
    return status;
}

static int name_labels(pcv_dataset *d)
{
    for (size_t i = 0; i < d->count; i++)
        if ((size_t)d->class[i] >= d->labels)
            d->labels = (size_t)d->class[i] + 1;
    d->label = pcv_alloc(d->labels, sizeof *d->label);
    if (!d->label)
        return -1;
    for (size_t k = 0; k < d->labels; k++) {
        d->label[k] = d->text.len;
        pcv_buf_printf(&d->text, "%zu%c", k, '\0');
    }
    return d->text.failed ? -1 : 0;
}

static void cut_example(pcv_dataset *d, size_t i)
{
    const pcv_layout *l = &d->pair.layout;
    pcv_array *a = &d->media[i].array;

    d->media[i].kind = PCV_MEDIA_ARRAY;
    a->dtype = l->dtype;
    a->rank = l->rank - 1;
    memcpy(a->dim, l->dim + 1, (size_t)a->rank * sizeof *a->dim);
    /* Nobody writes to it: what is handed out is const. */
    a->data = (void *)(uintptr_t)(d->pair.data + i * d->pair.step);
}

static int open_pair(pcv_dataset *d, const char *where)
{
    int comma = (int)pcv_pair_comma(where);

    d->is_pair = true;
    if (pcv_pair_open(&d->pair, where, &d->how, &d->class) < 0 ||
        make_tables(d, d->pair.layout.dim[0]) < 0)
        return -1;
    for (size_t i = 0; i < d->count; i++) {
        d->name[i] = d->text.len;
        pcv_buf_printf(&d->text, "%.*s#%zu%c", comma, where, i, '\0');
        cut_example(d, i);
    }
    return d->text.failed ? -1 : name_labels(d);
}

static int open_any(pcv_dataset *d, const char *where)
{
    struct stat st;
    char *shown;

    if (pcv_walk_is_directory(where))
        return open_files(d, where, true);
    if (strcmp(where, "-") == 0 || stat(where, &st) == 0)
        return open_files(d, where, false);
    if (pcv_pair_comma(where))
        return open_pair(d, where);
    shown = pcv_shown(where);
    if (shown)
        pcv_fail(EX_NOINPUT, "%s: no such directory, list (path<TAB>label), "
                 "or pair of files EXAMPLES,LABELS (idx or .npy)", shown);
    pcv_free(shown);
    return -1;
}

pcv_dataset *pcv_dataset_open(const char *where, const pcv_reading *how,
                              size_t keep)
{
    pcv_dataset *d = pcv_alloc(1, sizeof *d);

    if (!d)
        return NULL;
    d->how = *how;
    d->keep = keep;
    pthread_mutex_init(&d->lock, NULL);
    if (open_any(d, where) == 0)
        return d;
    pcv_dataset_close(d);
    return NULL;
}

void pcv_dataset_close(pcv_dataset *d)
{
    if (!d)
        return;
    for (size_t i = 0; d->media && !d->is_pair && i < d->count; i++)
        pcv_media_free(&d->media[i]);
    while (d->slots) {
        slot *s = d->slots;

        d->slots = s->next;
        pcv_media_free(&s->media);
        pcv_free(s);
    }
    pcv_pair_close(&d->pair);
    pcv_buf_free(&d->text);
    pcv_free(d->name);
    pcv_free(d->label);
    pcv_free(d->class);
    pcv_free(d->media);
    pthread_mutex_destroy(&d->lock);
    pcv_free(d);
}

/* ---- examples -------------------------------------------------------- */

size_t pcv_dataset_count(const pcv_dataset *d)
{
    return d->count;
}

size_t pcv_dataset_labels(const pcv_dataset *d)
{
    return d->labels;
}

const char *pcv_dataset_label(const pcv_dataset *d, size_t k)
{
    assert(k < d->labels);
    return d->text.data + d->label[k];
}

int pcv_dataset_class(const pcv_dataset *d, size_t i)
{
    assert(i < d->count);
    return d->class[i];
}

const char *pcv_dataset_name(const pcv_dataset *d, size_t i)
{
    assert(i < d->count);
    return d->text.data + d->name[i];
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

static const pcv_media *find(pcv_dataset *d, size_t i)
{
    const pcv_media *found;

    if (d->is_pair)
        return &d->media[i];
    pthread_mutex_lock(&d->lock);
    found = d->media[i].kind ? &d->media[i] : NULL;
    pthread_mutex_unlock(&d->lock);
    return found;
}

const pcv_media *pcv_dataset_get(pcv_dataset *d, size_t i)
{
    const pcv_media *found;
    pcv_media m;

    assert(i < d->count);
    found = find(d, i);
    if (found || pcv_decode_file(pcv_dataset_name(d, i), &d->how, &m) < 0)
        return found;
    pthread_mutex_lock(&d->lock);
    found = store(d, i, &m);
    pthread_mutex_unlock(&d->lock);
    return found;
}
