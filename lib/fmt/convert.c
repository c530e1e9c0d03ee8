/* convert.c - any file of weights as safetensors.  Tensors that change their
 * type pass through a buffer of a page or two, so that nothing is in memory
 * twice. */
#include "parts.h"

#include <string.h>

enum { PIECE = 4096 };

typedef enum { AS_IS, CAST, QUANTISED, SCALES } way;

/* A tensor of the new file. */
typedef struct {
    const pcv_tensor *from;
    pcv_dtype to;
    way how;
    char *name;                 /* SCALES: owned; else from's */
} piece;

typedef struct {
    piece *one;
    size_t count;
} plan;

/* ---- what becomes of each -------------------------------------------- */

static bool ends_in(const char *name, const char *end)
{
    size_t n = strlen(name), m = strlen(end);

    return n > m && strcmp(name + n - m, end) == 0;
}

/* The name of the scales of a matrix that gets some, for pcv_free; NULL: none,
 * or (*failed) out of memory. */
static char *scale_name(const pcv_tensors *t, const pcv_tensor *x, bool *failed)
{
    pcv_buf name = {0};

    if (x->dtype > PCV_BF16 || x->rank != 2 || !x->bytes ||
        !ends_in(x->name, ".weight"))
        return NULL;
    pcv_buf_printf(&name, "%s_scale", x->name);
    *failed |= name.failed;
    if (!name.failed && !pcv_tensors_find(t, name.data))
        return name.data;
    pcv_buf_free(&name);
    return NULL;
}

static void add(plan *p, const pcv_tensor *x, pcv_dtype to, way how,
                char *name)
{
    p->one[p->count++] = (piece){ x, to, how, name };
}

static int add_tensor(plan *p, const pcv_tensors *t, const pcv_tensor *x,
                      const pcv_dtype *as)
{
    bool failed = false, number = x->dtype <= PCV_BF16 || x->scale;
    char *scales = as && *as == PCV_I8 ? scale_name(t, x, &failed) : NULL;

    if (scales) {
        add(p, x, PCV_I8, QUANTISED, x->name);
        add(p, x, PCV_F32, SCALES, scales);
    } else if (as && *as != PCV_I8 && number && *as != x->dtype) {
        add(p, x, *as, CAST, x->name);
    } else if (!as || *as == PCV_I8 || !pcv_tensors_scales(t, x)) {
        add(p, x, x->dtype, AS_IS, x->name);
    }
    return failed ? -1 : 0;
}

static void plan_free(plan *p)
{
    for (size_t i = 0; i < p->count; i++)
        if (p->one[i].how == SCALES)
            pcv_free(p->one[i].name);
    pcv_free(p->one);
}

static int plan_make(plan *p, const pcv_tensors *t, const pcv_dtype *as)
{
    int status = 0;

    p->count = 0;
    p->one = pcv_alloc(2 * t->count, sizeof *p->one);
    if (!p->one)
        return -1;
    for (size_t i = 0; i < t->count && status == 0; i++)
        status = add_tensor(p, t, &t->tensor[i], as);
    return status;
}

/* ---- data ------------------------------------------------------------ */

static int write_as(pcv_saver *s, const pcv_tensor *t, pcv_dtype to)
{
    size_t size = pcv_dtype_size(to), n = t->bytes / pcv_dtype_size(t->dtype);
    unsigned char out[PIECE * sizeof(float)];
    double x[PIECE];

    for (size_t at = 0; at < n; at += PIECE) {
        size_t len = n - at < PIECE ? n - at : PIECE;

        pcv_tensor_to_double(t, at, len, x);
        pcv_dtype_from_double(to, x, len, out);
        if (pcv_saver_write(s, out, len * size) < 0)
            return -1;
    }
    return 0;
}

/* The numbers of a matrix, or their scales: each row is quantised twice, so
 * that nothing has to be kept. */
static int write_quantised(pcv_saver *s, const pcv_tensor *t, bool scales)
{
    size_t rows = t->dim[0], n = t->dim[1];
    float *x = pcv_alloc(n, sizeof *x);
    int8_t *q = pcv_alloc(n, 1);
    int status = x && q ? 0 : -1;

    for (size_t r = 0; r < rows && status == 0; r++) {
        unsigned char bytes[sizeof(float)];
        double scale;

        pcv_tensor_to_float(t, r * n, n, x);
        scale = (double)pcv_quantise(x, n, q);
        pcv_dtype_from_double(PCV_F32, &scale, 1, bytes);
        status = scales ? pcv_saver_write(s, bytes, sizeof bytes)
                        : pcv_saver_write(s, q, n);
    }
    pcv_free(x);
    pcv_free(q);
    return status;
}

static int write_data(pcv_saver *s, const plan *p)
{
    int status = 0;

    for (size_t i = 0; i < p->count && status == 0; i++) {
        const piece *o = &p->one[i];

        if (o->how == AS_IS)
            status = pcv_saver_write(s, o->from->data, o->from->bytes);
        else if (o->how == CAST)
            status = write_as(s, o->from, o->to);
        else
            status = write_quantised(s, o->from, o->how == SCALES);
    }
    return status;
}

/* ---- header ---------------------------------------------------------- */

static void add_header(pcv_buf *b, const pcv_tensors *t,
                       const pcv_tensor_out *out, size_t count)
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
        pcv_tensors_header(b, out, count, key, value, keys);
    b->failed |= !key;
    pcv_free(key);
}

static int make_header(pcv_buf *b, const pcv_tensors *t, const plan *p)
{
    pcv_tensor_out *out = pcv_alloc(p->count, sizeof *out);

    if (!out)
        return -1;
    for (size_t i = 0; i < p->count; i++) {
        const piece *o = &p->one[i];

        out[i] = (pcv_tensor_out){ .name = o->name, .rank = o->from->rank,
                                   .dtype = o->to };
        memcpy(out[i].dim, o->from->dim, sizeof out[i].dim);
        if (o->how == SCALES)
            out[i].rank = 1;
    }
    add_header(b, t, out, p->count);
    pcv_free(out);
    return b->failed ? -1 : 0;
}

int pcv_tensors_convert(const char *path, const pcv_tensors *t,
                        const pcv_dtype *as)
{
    pcv_buf header = {0};
    pcv_saver *s = NULL;
    plan p;
    int status = plan_make(&p, t, as);

    if (status == 0)
        status = make_header(&header, t, &p);
    if (status == 0 && !(s = pcv_saver_open(path)))
        status = -1;
    if (status == 0)
        status = pcv_saver_write(s, header.data, header.len);
    if (status == 0)
        status = write_data(s, &p);
    pcv_buf_free(&header);
    plan_free(&p);
    if (status == 0)
        return pcv_saver_commit(s);
    pcv_saver_abort(s);
    return -1;
}
