/* layout.c - an array as it lies in a file -> elements in memory.
 *
 * In memory the last axis is the fastest and elements are little-endian, as
 * base/dtype.c takes them.  A file may have either order of both:
 *
 *     C        element (i, j, k) at ((i * J + j) * K + k)
 *     Fortran  element (i, j, k) at (i + I * (j + J * k))
 */
#include "base.h"

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

size_t pcv_layout_count(const pcv_layout *l, int axis)
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
        want = pcv_layout_count(l, 0) * pcv_dtype_size(l->dtype);
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

void pcv_layout_steps(const pcv_layout *l, size_t *step)
{
    size_t bytes = pcv_dtype_size(l->dtype);

    for (int k = 0; k < l->rank; k++) {
        int axis = l->fortran ? k : l->rank - 1 - k;

        step[axis] = bytes;
        bytes *= l->dim[axis];
    }
}

/* `at` counts like the wheels of an odometer. */
void pcv_gather(void *to, const void *from, size_t size, int rank,
                const size_t *dim, const size_t *step)
{
    const unsigned char *p = from;
    unsigned char *out = to;
    size_t at[PCV_MAX_RANK] = {0}, count = 1;

    for (int k = 0; k < rank; k++)
        count *= dim[k];
    for (; count > 0; count--, out += size) {
        memcpy(out, p, size);
        for (int k = rank - 1; k >= 0; k--) {
            p += step[k];
            if (++at[k] < dim[k])
                break;
            p -= step[k] * dim[k];
            at[k] = 0;
        }
    }
}

void pcv_layout_copy(const pcv_layout *l, int axis, const void *from, void *to)
{
    size_t count = pcv_layout_count(l, axis), step[PCV_MAX_RANK];
    size_t size = pcv_dtype_size(l->dtype);

    pcv_layout_steps(l, step);
    if (count && !l->fortran)
        memcpy(to, from, count * size);
    else
        pcv_gather(to, from, size, l->rank - axis, l->dim + axis, step + axis);
    if (l->big)
        swap_bytes(to, count, size);
}

bool pcv_layout_plain(const pcv_layout *l, const unsigned char *data)
{
    size_t size = pcv_dtype_size(l->dtype);
    bool one_order = !l->fortran || l->rank < 2;

    return one_order && (size == 1 || !l->big) &&
           (uintptr_t)(data + l->offset) % size == 0;
}
