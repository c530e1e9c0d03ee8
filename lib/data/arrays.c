/* arrays.c - an array as it lies in a file (base/layout.c) -> an ARRAY, and
 * the row of decode.c's table for .npy. */
#include "parts.h"

#include <string.h>

/* out = the axes from `axis` on, whose first element is at `from`. */
static int take(const pcv_layout *l, int axis, const unsigned char *from,
                pcv_media *out)
{
    pcv_array *a = &out->array;

    *out = (pcv_media){0};
    a->data = pcv_alloc(pcv_layout_count(l, axis), pcv_dtype_size(l->dtype));
    if (!a->data)
        return -1;
    out->kind = PCV_MEDIA_ARRAY;
    a->dtype = l->dtype;
    a->rank = l->rank - axis;
    memcpy(a->dim, l->dim + axis, (size_t)a->rank * sizeof *a->dim);
    pcv_layout_copy(l, axis, from, a->data);
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

    pcv_layout_steps(l, step);
    return take(l, 1, data + l->offset + i * step[0], out);
}

/* ---- .npy ------------------------------------------------------------ */

static int npy_read(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    pcv_layout l;

    (void)how;
    *used = n;
    if (pcv_npy_layout(data, n, name, &l) < 0)
        return -1;
    return pcv_layout_read(&l, data, out);
}

const pcv_format pcv_format_npy = {"npy", pcv_npy_probe, npy_read,
                                   PCV_MEDIA_ARRAY};
