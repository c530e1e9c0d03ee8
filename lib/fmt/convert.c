/* convert.c - any file of weights as safetensors.  Tensors that change their
 * type pass through a buffer of a page or two, so that nothing is in memory
 * twice. */
#include "parts.h"

#include <string.h>

enum { PIECE = 4096 };

static pcv_dtype type_of(const pcv_tensor *t, const pcv_dtype *as)
{
    return as && t->dtype <= PCV_BF16 ? *as : t->dtype;
}

/* ---- data ------------------------------------------------------------ */

static int write_as(pcv_saver *s, const pcv_tensor *t, pcv_dtype to)
{
    size_t from = pcv_dtype_size(t->dtype), size = pcv_dtype_size(to);
    size_t n = t->bytes / from;
    unsigned char out[PIECE * sizeof(float)];
    double x[PIECE];

    for (size_t at = 0; at < n; at += PIECE) {
        size_t len = n - at < PIECE ? n - at : PIECE;

        pcv_dtype_to_double(t->dtype, (const char *)t->data + at * from, len,
                            x);
        pcv_dtype_from_double(to, x, len, out);
        if (pcv_saver_write(s, out, len * size) < 0)
            return -1;
    }
    return 0;
}

static int write_data(pcv_saver *s, const pcv_tensors *t, const pcv_dtype *as)
{
    for (size_t i = 0; i < t->count; i++) {
        const pcv_tensor *one = &t->tensor[i];
        pcv_dtype to = type_of(one, as);
        int status = to == one->dtype
                     ? pcv_saver_write(s, one->data, one->bytes)
                     : write_as(s, one, to);

        if (status < 0)
            return -1;
    }
    return 0;
}

/* ---- header ---------------------------------------------------------- */

static void add_header(pcv_buf *b, const pcv_tensors *t,
                       const pcv_tensor_out *out)
{
    size_t keys = t->keys;
    const char **key = pcv_alloc(2 * (keys + 1), sizeof *key);
    const char **value = key ? key + keys + 1 : NULL;

    for (size_t i = 0; key && i < keys; i++) {
        key[i] = t->key[i];
        value[i] = t->value[i];
    }
    if (key && !pcv_tensors_meta(t, "format")) {
        key[keys] = "format";
        value[keys++] = "pt";
    }
    if (key)
        pcv_tensors_header(b, out, t->count, key, value, keys);
    b->failed |= !key;
    pcv_free(key);
}

static int make_header(pcv_buf *b, const pcv_tensors *t, const pcv_dtype *as)
{
    pcv_tensor_out *out = pcv_alloc(t->count, sizeof *out);

    if (!out)
        return -1;
    for (size_t i = 0; i < t->count; i++) {
        const pcv_tensor *one = &t->tensor[i];

        out[i] = (pcv_tensor_out){ .name = one->name, .rank = one->rank,
                                   .dtype = type_of(one, as) };
        memcpy(out[i].dim, one->dim, sizeof out[i].dim);
    }
    add_header(b, t, out);
    pcv_free(out);
    return b->failed ? -1 : 0;
}

int pcv_tensors_convert(const char *path, const pcv_tensors *t,
                        const pcv_dtype *as)
{
    pcv_buf header = {0};
    pcv_saver *s = NULL;
    int status = make_header(&header, t, as);

    if (status == 0 && !(s = pcv_saver_open(path)))
        status = -1;
    if (status == 0)
        status = pcv_saver_write(s, header.data, header.len);
    if (status == 0)
        status = write_data(s, t, as);
    pcv_buf_free(&header);
    if (status == 0)
        return pcv_saver_commit(s);
    pcv_saver_abort(s);
    return -1;
}
