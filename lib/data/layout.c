/* layout.c - an array as it lies in a file -> an ARRAY in memory.
 *
 * In memory the last axis is the fastest and elements are little-endian, as
 * base/dtype.c takes them.  A file may have either order of both:
 *
 *     C        element (i, j, k) at ((i * J + j) * K + k)
 *     Fortran  element (i, j, k) at (i + I * (j + J * k))
 */
#include "parts.h"

#include <string.h>

/* Zero axes are left out of the product, so that the sizes of all parts of an
 * empty array are as harmless as those of any other. */
static bool sizes_fit(const pcv_layout *l)
{
    size_t bytes = pcv_dtype_size(l->dtype);

    for (int k = 0; k < l->rank; k++)
        if (l->dim[k] && !pcv_mul(bytes, l->dim[k], &bytes))
            return false;
    return true;
}

static size_t elements(const pcv_layout *l, int axis)
{
    size_t n = 1;

    for (; axis < l->rank; axis++)
        n *= l->dim[axis];
    return n;
}

int pcv_layout_check(const pcv_layout *l, size_t n, const char *name,
                     const char *what)
{
    pcv_buf shape = {0};
    size_t want = 0;
    bool fits = sizes_fit(l);

    if (fits)
        want = elements(l, 0) * pcv_dtype_size(l->dtype);
    if (fits && l->offset <= n && want == n - l->offset)
        return 0;
    for (int k = 0; k < l->rank; k++)
        pcv_buf_printf(&shape, "%s%zu", k ? " x " : "", l->dim[k]);
    if (!shape.failed && !fits)
        pcv_fail(EX_DATAERR, "%s: %s of %s elements is too large", name, what,
                 shape.len ? shape.data : "1");
    else if (!shape.failed)
        pcv_fail(EX_DATAERR, "%s: %s: %zu bytes of elements, want %zu for "
                 "%s %s", name, what, n - l->offset, want,
                 shape.len ? shape.data : "1", pcv_dtype_name(l->dtype));
    pcv_buf_free(&shape);
    return -1;
}

static void swap_bytes(unsigned char *p, size_t count, size_t size)
{
    for (; count > 0; count--, p += size)
        for (size_t i = 0; i < size / 2; i++) {
            unsigned char t = p[i];

            p[i] = p[size - 1 - i];
            p[size - 1 - i] = t;
        }
}

/* Bytes from an element to its neighbour along each axis. */
static void strides(const pcv_layout *l, size_t *step)
{
    size_t bytes = pcv_dtype_size(l->dtype);

    for (int k = 0; k < l->rank; k++) {
        int axis = l->fortran ? k : l->rank - 1 - k;

        step[axis] = bytes;
        bytes *= l->dim[axis];
    }
}

/* Copies `count` elements of the axes from `axis` on, the last axis fastest:
 * `at` counts like the wheels of an odometer. */
static void gather(const pcv_layout *l, int axis, const unsigned char *from,
                   size_t count, unsigned char *to)
{
    size_t size = pcv_dtype_size(l->dtype);
    size_t step[PCV_MAX_RANK], at[PCV_MAX_RANK] = {0};

    strides(l, step);
    for (size_t i = 0; i < count; i++) {
        memcpy(to + i * size, from, size);
        for (int k = l->rank - 1; k >= axis; k--) {
            from += step[k];
            if (++at[k] < l->dim[k])
                break;
            from -= step[k] * l->dim[k];
            at[k] = 0;
        }
    }
}

/* out = the axes from `axis` on, whose first element is at `from`. */
static int take(const pcv_layout *l, int axis, const unsigned char *from,
                pcv_media *out)
{
    size_t count = elements(l, axis), size = pcv_dtype_size(l->dtype);
    pcv_array *a = &out->array;

    *out = (pcv_media){0};
    a->data = pcv_alloc(count, size);
    if (!a->data)
        return -1;
    out->kind = PCV_MEDIA_ARRAY;
    a->dtype = l->dtype;
    a->rank = l->rank - axis;
    memcpy(a->dim, l->dim + axis, (size_t)a->rank * sizeof *a->dim);
    if (count && !l->fortran)
        memcpy(a->data, from, count * size);
    else
        gather(l, axis, from, count, a->data);
    if (l->big)
        swap_bytes(a->data, count, size);
    return 0;
}

int pcv_layout_read(const pcv_layout *l, const unsigned char *data,
                    pcv_media *out)
{
    return take(l, 0, data + l->offset, out);
}

int pcv_layout_item(const pcv_layout *l, const unsigned char *data, size_t i,
                    pcv_media *out)
{
    size_t step[PCV_MAX_RANK];

    strides(l, step);
    return take(l, 1, data + l->offset + i * step[0], out);
}

bool pcv_layout_plain(const pcv_layout *l, const unsigned char *data)
{
    size_t size = pcv_dtype_size(l->dtype);
    bool one_order = !l->fortran || l->rank < 2;

    return one_order && (size == 1 || !l->big) &&
           (uintptr_t)(data + l->offset) % size == 0;
}
