/* pair.c - examples in one array file and their labels in another, "A,B":
 * idx (as MNIST comes, also gzipped) or .npy, examples [n][..], labels [n]
 * integers from 0.
 *
 * The examples are used where they lie in the mapped file, unless their order
 * or alignment needs a copy. */
#include "parts.h"

#include <string.h>
#include <sys/stat.h>

#define MAX_LABEL 999999

/* ---- two names ------------------------------------------------------- */

static bool exists(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && !S_ISDIR(st.st_mode);
}

static char *first_name(const char *where, size_t comma)
{
    char *name = pcv_alloc(comma + 1, 1);

    return name ? memcpy(name, where, comma) : NULL;
}

/* Names may hold commas themselves. */
size_t pcv_pair_comma(const char *where)
{
    for (const char *p = where; (p = strchr(p, ',')) != NULL; p++) {
        size_t comma = (size_t)(p - where);
        char *name = first_name(where, comma);
        bool found = name && exists(name) && exists(p + 1);

        pcv_free(name);
        if (found)
            return comma;
    }
    return 0;
}

/* ---- one file -------------------------------------------------------- */

/* data[0 .. n) is the whole of it, unpacked. */
static int read_layout(pcv_pair *p, const unsigned char *data, size_t n,
                       const char *shown)
{
    if (n && pcv_format_idx.probe(data, n))
        return pcv_idx_layout(data, n, shown, &p->layout);
    if (n && pcv_format_npy.probe(data, n))
        return pcv_npy_layout(data, n, shown, &p->layout);
    return pcv_fail(EX_DATAERR, "%s: neither idx nor .npy", shown);
}

static int open_array(pcv_pair *p, const char *path, const char *shown,
                      const pcv_reading *how)
{
    size_t n;

    *p = (pcv_pair){0};
    if (pcv_file_open(&p->file, path, how->max_bytes) < 0)
        return -1;
    p->data = p->file.data;
    n = p->file.size;
    if (pcv_gzip_probe(p->data, n)) {
        if (pcv_gunzip(p->data, n, shown, how->max_bytes, &p->unpacked) < 0)
            return -1;
        p->data = (const unsigned char *)p->unpacked.data;
        n = p->unpacked.len;
    }
    return read_layout(p, p->data, n, shown);
}

void pcv_pair_close(pcv_pair *p)
{
    pcv_file_close(&p->file);
    pcv_buf_free(&p->unpacked);
    pcv_media_free(&p->whole);
    *p = (pcv_pair){0};
}

static int open_examples(pcv_pair *p, const char *path, const char *shown,
                         const pcv_reading *how)
{
    const pcv_layout *l = &p->layout;

    if (open_array(p, path, shown, how) < 0)
        return -1;
    if (l->rank < 2 || l->dim[0] == 0)
        return pcv_fail(EX_DATAERR, "%s: array of %d axes and %zu examples, "
                        "want two axes and one example at least", shown,
                        l->rank, l->rank ? l->dim[0] : 0);
    p->step = pcv_dtype_size(l->dtype);
    for (int k = 1; k < l->rank; k++)
        p->step *= l->dim[k];
    if (pcv_layout_plain(l, p->data)) {
        p->data += l->offset;
        return 0;
    }
    if (pcv_layout_read(l, p->data, &p->whole) < 0)
        return -1;
    p->data = p->whole.array.data;
    return 0;
}

int pcv_pair_array(pcv_pair *p, const char *path, const pcv_reading *how)
{
    char *shown = pcv_shown(path);
    int status = shown ? open_examples(p, path, shown, how) : -1;

    pcv_free(shown);
    if (status < 0)
        pcv_pair_close(p);
    return status;
}

int pcv_pair_cut(const pcv_pair *p, size_t i, const char *name, pcv_media *out)
{
    const pcv_layout *l = &p->layout;

    if (i >= l->dim[0])
        return pcv_fail(EX_DATAERR, "%s: the file has %zu items", name,
                        l->dim[0]);
    *out = (pcv_media){ .kind = PCV_MEDIA_ARRAY };
    out->array.dtype = l->dtype;
    out->array.rank = l->rank - 1;
    memcpy(out->array.dim, l->dim + 1,
           (size_t)out->array.rank * sizeof *out->array.dim);
    /* Nobody writes to it: what is handed out is const. */
    out->array.data = (void *)(uintptr_t)(p->data + i * p->step);
    return 0;
}

/* ---- labels ---------------------------------------------------------- */

static int check_labels(const pcv_layout *l, size_t examples,
                        const char *shown)
{
    bool whole = l->dtype >= PCV_I64 && l->dtype <= PCV_BOOL;

    if (l->rank != 1 || !whole)
        return pcv_fail(EX_DATAERR, "%s: labels of %d axes and type %s, want "
                        "one axis of integers", shown, l->rank,
                        pcv_dtype_name(l->dtype));
    if (l->dim[0] != examples)
        return pcv_fail(EX_DATAERR, "%s: %zu labels for %zu examples", shown,
                        l->dim[0], examples);
    return 0;
}

static int convert(const pcv_array *a, const char *shown, int *class)
{
    const char *from = a->data;
    size_t size = pcv_dtype_size(a->dtype);
    double v;

    for (size_t i = 0; i < a->dim[0]; i++) {
        pcv_dtype_to_double(a->dtype, from + i * size, 1, &v);
        if (v < 0 || v > MAX_LABEL)
            return pcv_fail(EX_DATAERR, "%s: label %zu is %.0f, want 0 to %d",
                            shown, i, v, MAX_LABEL);
        class[i] = (int)v;
    }
    return 0;
}

static int read_labels(const char *path, const char *shown, size_t examples,
                       const pcv_reading *how, int **class)
{
    pcv_pair p;
    int status = open_array(&p, path, shown, how);

    if (status == 0)
        status = check_labels(&p.layout, examples, shown);
    if (status == 0)
        status = pcv_layout_read(&p.layout, p.data, &p.whole);
    if (status == 0) {
        *class = pcv_alloc(examples, sizeof **class);
        status = *class ? convert(&p.whole.array, shown, *class) : -1;
    }
    pcv_pair_close(&p);
    return status;
}

int pcv_pair_open(pcv_pair *p, const char *where, const pcv_reading *how,
                  int **class)
{
    size_t comma = pcv_pair_comma(where);
    char *name = first_name(where, comma);
    char *first = name ? pcv_shown(name) : NULL;
    char *second = pcv_shown(where + comma + 1);
    int status = -1;

    *p = (pcv_pair){0};
    *class = NULL;
    if (first && second)
        status = open_examples(p, name, first, how);
    if (status == 0)
        status = read_labels(where + comma + 1, second, p->layout.dim[0], how,
                             class);
    pcv_free(name);
    pcv_free(first);
    pcv_free(second);
    if (status == 0)
        return 0;
    pcv_free(*class);
    *class = NULL;
    pcv_pair_close(p);
    return -1;
}
