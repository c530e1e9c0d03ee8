/* npz.c - what NumPy's savez writes: a ZIP archive of .npy files, each named
 * after its array.  Arrays in C order and little-endian are used where they
 * are read to, all others are copied. */
#include "parts.h"

#include <string.h>

/* The name without ".npy"; 0, another name. */
static size_t name_length(const char *name)
{
    size_t n = strlen(name);

    return n > 4 && strcmp(name + n - 4, ".npy") == 0 ? n - 4 : 0;
}

bool pcv_npz_probe(const pcv_zip *z)
{
    for (size_t i = 0; i < z->count; i++)
        if (!name_length(z->entry[i].name))
            return false;
    return z->count > 0;
}

/* "FILE: ENTRY" for messages about the array; pcv_buf_free. */
static char *array_name(const pcv_zip *z, size_t i)
{
    pcv_buf b = {0};

    pcv_buf_escape(&b, z->file);
    pcv_buf_puts(&b, ": ");
    pcv_buf_escape(&b, z->entry[i].name);
    return b.failed ? NULL : b.data;
}

static int layout_of(const pcv_zip *z, size_t i, const unsigned char *data,
                     pcv_layout *l)
{
    char *name = array_name(z, i);
    int status = -1;

    if (name && !pcv_npy_probe(data, z->entry[i].size))
        pcv_fail(EX_DATAERR, "%s: not an .npy file", name);
    else if (name)
        status = pcv_npy_layout(data, z->entry[i].size, name, l);
    pcv_free(name);
    return status;
}

/* Takes `data` over, also on failure. */
static int add_array(pcv_tensors *t, pcv_tensor *one, const pcv_layout *l,
                     unsigned char *data)
{
    size_t size = pcv_dtype_size(l->dtype);
    bool as_it_is = (!l->fortran || l->rank < 2) && (!l->big || size == 1);
    void *copy = NULL;

    t->piece[t->pieces++] = data;
    one->dtype = l->dtype;
    one->rank = l->rank;
    memcpy(one->dim, l->dim, sizeof one->dim);
    one->bytes = pcv_layout_count(l, 0) * size;
    one->offset = SIZE_MAX;
    one->data = data + l->offset;
    if (as_it_is)
        return 0;
    if (!(copy = pcv_alloc(one->bytes, 1)))
        return -1;
    pcv_layout_copy(l, 0, data + l->offset, copy);
    t->piece[t->pieces - 1] = copy;
    one->data = copy;
    pcv_free(data);
    return 0;
}

static int read_array(pcv_tensors *t, const pcv_zip *z, size_t i)
{
    pcv_tensor *one = &t->tensor[t->count];
    const char *name = z->entry[i].name;
    unsigned char *data;
    pcv_layout l;

    one->name = pcv_tensor_name(name, name_length(name), z->file);
    if (!one->name)
        return -1;
    t->count++;
    if (!(data = pcv_zip_read(z, i)))
        return -1;
    if (layout_of(z, i, data, &l) == 0)
        return add_array(t, one, &l, data);
    pcv_free(data);
    return -1;
}

int pcv_npz_read(pcv_tensors *t, const pcv_zip *z)
{
    t->piece = pcv_alloc(z->count, sizeof *t->piece);
    if (!t->piece || pcv_tensors_room(t, z->count) < 0)
        return -1;
    for (size_t i = 0; i < z->count; i++)
        if (read_array(t, z, i) < 0)
            return -1;
    return 0;
}
