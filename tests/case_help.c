/* case_help.c - see case_help.h.  Failures are the library's, so that both a
 * test and a program can tell of them. */
#include "case_help.h"
#include "archive.h"

#include <math.h>
#include <string.h>

/* ---- arrays ---------------------------------------------------------- */

static pcv_values *new_values(int rank, const size_t *dim)
{
    pcv_values *v = pcv_alloc(1, sizeof *v);

    if (!v)
        return NULL;
    *v = (pcv_values){ .rank = rank, .count = 1 };
    for (int i = 0; i < rank; i++)
        v->count *= v->dim[i] = dim[i];
    if ((v->data = pcv_alloc(v->count, sizeof *v->data)))
        return v;
    pcv_free(v);
    return NULL;
}

pcv_values *case_values(const pcv_tensors *c, const char *name, int k)
{
    const pcv_tensor *t = pcv_tensors_find(c, name);
    int skip = k >= 0;
    pcv_values *v;

    if (!t || (skip && (t->rank < 1 || (size_t)k >= t->dim[0])))
        return NULL;
    v = new_values(t->rank - skip, t->dim + skip);
    if (v)
        pcv_dtype_to_float(t->dtype, (const char *)t->data +
                           (size_t)(skip ? k : 0) * v->count *
                           pcv_dtype_size(t->dtype), v->count, v->data);
    return v;
}

double case_difference(const float *a, const float *b, size_t count,
                       bool absolute)
{
    double up = 0, down = 0, most = 0;

    for (size_t i = 0; i < count; i++) {
        double d = (double)a[i] - (double)b[i];

        if (!isfinite(d))
            return (double)INFINITY;
        most = fmax(most, fabs(d));
        up += d * d;
        down += (double)b[i] * (double)b[i];
    }
    return absolute ? most : up > 0 ? sqrt(up / down) : 0;
}

pcv_values *case_rows(pcv_values *v, const pcv_values *rows)
{
    size_t n = v->dim[v->rank - 2], c = v->dim[v->rank - 1];
    size_t items = v->count / (n * c);
    pcv_values *out;

    v->dim[v->rank - 2] = rows->count;
    out = new_values(v->rank, v->dim);
    for (size_t i = 0; out && i < items * rows->count; i++) {
        size_t row = (size_t)rows->data[i % rows->count];

        if (row >= n) {
            pcv_values_free(out);
            out = NULL;
            break;
        }
        memcpy(out->data + i * c, v->data + (i / rows->count * n + row) * c,
               c * sizeof *v->data);
    }
    pcv_values_free(v);
    return out;
}

/* ---- inputs ---------------------------------------------------------- */

static int write_npy(const char *path, pcv_dtype dtype, const pcv_values *v,
                     const void *data)
{
    pcv_buf b = {0};
    int r = -1;

    pcv_npy_header(&b, dtype, v->rank, v->dim);
    pcv_buf_add(&b, data, v->count * pcv_dtype_size(dtype));
    if (!b.failed)
        r = pcv_save_file(path, b.data, b.len);
    pcv_buf_free(&b);
    return r;
}

static int write_ids(const pcv_tensors *c, const pcv_values *v, int k,
                     const char *path)
{
    pcv_values *mask = case_values(c, "input.attention_mask", k);
    int32_t *id = pcv_alloc(v->count, sizeof *id);
    int r = -1;

    for (size_t i = 0; id && i < v->count; i++)
        id[i] = mask && mask->data[i] <= 0 ? 0 : (int32_t)v->data[i];
    if (id)
        r = write_npy(path, PCV_I32, v, id);
    pcv_free(id);
    pcv_values_free(mask);
    return r;
}

/* Example k of the tensor as one under another name. */
static pcv_tensor_out part(const pcv_tensor *t, const char *name, int k)
{
    pcv_tensor_out out = { .name = name, .dtype = t->dtype, .rank = t->rank };

    memcpy(out.dim, t->dim, sizeof out.dim);
    out.dim[0] = 1;
    out.data = (const char *)t->data + (size_t)k * (t->bytes / t->dim[0]);
    return out;
}

static int write_parts(const pcv_tensors *c, int k, const char *path)
{
    static const char *const name[] = { "audio", "image", "label" };
    pcv_tensor_out out[PCV_LEN(name)];

    for (size_t i = 0; i < PCV_LEN(name); i++) {
        char from[32];
        const pcv_tensor *t;

        snprintf(from, sizeof from, "input.%s", name[i]);
        t = pcv_tensors_find(c, from);
        if (!t || (size_t)k >= t->dim[0])
            return pcv_fail(EX_DATAERR, "no %s of example %d", from, k);
        out[i] = part(t, name[i], k);
    }
    return pcv_tensors_save(path, out, PCV_LEN(name), NULL, NULL, 0);
}

int case_write(const pcv_tensors *c, const char *input, int k,
               const char *path)
{
    static const char *const names[] = { "input.pixel_values",
                                         "input.input_ids", "input.frames" };
    pcv_values *v;
    int r;

    for (size_t i = 0; !input && i < PCV_LEN(names); i++)
        if (pcv_tensors_find(c, names[i]))
            input = names[i];
    if (!input)
        return write_parts(c, k, path);
    if (!(v = case_values(c, input, k)))
        return pcv_fail(EX_DATAERR, "no %s of example %d", input, k);
    r = strcmp(input, "input.input_ids") == 0
            ? write_ids(c, v, k, path) : write_npy(path, PCV_F32, v, v->data);
    pcv_values_free(v);
    return r;
}

/* ---- weights --------------------------------------------------------- */

static const char *storage(pcv_dtype t)
{
    switch (t) {
    case PCV_F64:  return "DoubleStorage";
    case PCV_F16:  return "HalfStorage";
    case PCV_BF16: return "BFloat16Storage";
    case PCV_I64:  return "LongStorage";
    default:       return "FloatStorage";
    }
}

static void add_tensor(pcv_buf *pickle, archive *a, const pcv_tensor *t,
                       size_t i)
{
    pickle_view view = { .type = storage(t->dtype), .rank = t->rank };
    char key[24], path[40];

    snprintf(key, sizeof key, "%zu", i);
    snprintf(path, sizeof path, "archive/data/%zu", i);
    view.key = key;
    view.count = (int64_t)(t->bytes / pcv_dtype_size(t->dtype));
    for (int k = 0; k < t->rank; k++)
        view.dim[k] = (int64_t)t->dim[k];
    pickle_text(pickle, t->name);
    pickle_tensor(pickle, &view);
    archive_put(a, path, t->data, t->bytes);
}

int case_torch(const pcv_tensors *t, const char *path)
{
    pcv_buf pickle = {0};
    archive a = {0};
    int r;

    pickle_begin(&pickle);
    pcv_buf_puts(&pickle, "ccollections\nOrderedDict\n)R(");
    for (size_t i = 0; i < t->count; i++)
        add_tensor(&pickle, &a, &t->tensor[i], i);
    pcv_buf_puts(&pickle, "u.");
    archive_put(&a, "archive/data.pkl", pickle.data, pickle.len);
    archive_put(&a, "archive/version", "3\n", 2);
    archive_end(&a);
    r = pcv_save_file(path, a.file.data, a.file.len);
    archive_free(&a);
    pcv_buf_free(&pickle);
    return r;
}
