/* idx.c - the array files of MNIST and its descendants, high byte first:
 *
 *     00 00  type  rank  length of each axis (4 bytes)  elements
 *
 * The whole file is one ARRAY; items.c and dataset.c cut it along the first
 * axis. */
#include "parts.h"

static bool type_of(unsigned char code, pcv_dtype *t)
{
    switch (code) {
    case 0x08: *t = PCV_U8; return true;
    case 0x09: *t = PCV_I8; return true;
    case 0x0b: *t = PCV_I16; return true;
    case 0x0c: *t = PCV_I32; return true;
    case 0x0d: *t = PCV_F32; return true;
    case 0x0e: *t = PCV_F64; return true;
    default: return false;
    }
}

static bool idx_probe(const unsigned char *data, size_t n)
{
    pcv_dtype t;

    return n >= 4 && data[0] == 0 && data[1] == 0 && type_of(data[2], &t) &&
           data[3] >= 1 && data[3] <= PCV_MAX_RANK;
}

int pcv_idx_layout(const unsigned char *data, size_t n, const char *name,
                   pcv_layout *l)
{
    *l = (pcv_layout){.big = true};
    if (!idx_probe(data, n) || !type_of(data[2], &l->dtype))
        return pcv_fail(EX_DATAERR, "%s: no idx file: want bytes 00 00, a "
                        "type of 08 to 0e and a rank of 1 to %d", name,
                        PCV_MAX_RANK);
    l->rank = data[3];
    l->offset = 4 + 4 * (size_t)l->rank;
    if (n < l->offset)
        return pcv_fail(EX_DATAERR, "%s: truncated idx: %zu of %zu bytes of "
                        "the header", name, n, l->offset);
    for (int k = 0; k < l->rank; k++) {
        const unsigned char *p = data + 4 + 4 * k;

        l->dim[k] = (size_t)p[0] << 24 | (size_t)p[1] << 16 |
                    (size_t)p[2] << 8 | p[3];
    }
    return pcv_layout_check(l, n, name, "idx");
}

static int idx_read(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    pcv_layout l;

    (void)how;
    *used = n;
    if (pcv_idx_layout(data, n, name, &l) < 0)
        return -1;
    return pcv_layout_read(&l, data, out);
}

const pcv_format pcv_format_idx = {"idx", idx_probe, idx_read, PCV_MEDIA_ARRAY};
