/* formats.c - the facade of what goes out: text and JSON pieces, npy, sts,
 * files that appear whole.  What answers are as files is in answers.c. */
#include "handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- bytes ----------------------------------------------------------- */

/* pcv_bytes is the public face of pcv_buf. */
static pcv_buf inner(const pcv_bytes *b)
{
    pcv_buf i = { b->data, b->len, b->cap, b->failed };

    return i;
}

static void outer(pcv_bytes *b, const pcv_buf *i)
{
    b->data = i->data;
    b->len = i->len;
    b->cap = i->cap;
    b->failed = i->failed;
}

void pcv_bytes_add(pcv_bytes *b, const void *data, size_t n)
{
    pcv_buf i = inner(b);

    pcv_buf_add(&i, data, n);
    outer(b, &i);
}

void pcv_bytes_printf(pcv_bytes *b, const char *format, ...)
{
    pcv_buf i = inner(b);
    va_list ap;

    va_start(ap, format);
    pcv_buf_vprintf(&i, format, ap);
    va_end(ap);
    outer(b, &i);
}

void pcv_bytes_escape(pcv_bytes *b, const char *s)
{
    pcv_buf i = inner(b);

    pcv_buf_escape(&i, s);
    outer(b, &i);
}

bool pcv_bytes_json(pcv_bytes *b, const char *s)
{
    pcv_buf i = inner(b);
    bool fine = pcv_buf_json(&i, s, strlen(s));

    outer(b, &i);
    return fine;
}

void pcv_bytes_number(pcv_bytes *b, double v)
{
    pcv_buf i = inner(b);

    pcv_json_number(&i, v);
    outer(b, &i);
}

void pcv_bytes_clear(pcv_bytes *b)
{
    b->len = 0;
}

void pcv_bytes_free(pcv_bytes *b)
{
    pcv_buf i = inner(b);

    pcv_buf_free(&i);
    outer(b, &i);
}

/* ---- arrays and records ---------------------------------------------- */

void pcv_npy_head(pcv_bytes *b, int rank, const size_t *dim)
{
    pcv_buf i = inner(b);

    pcv_npy_header(&i, PCV_F32, rank, dim);
    outer(b, &i);
}

void pcv_sts_add(pcv_bytes *b, const char *name, const pcv_values *v,
                 const char *const *key, const char *const *value,
                 size_t keys)
{
    pcv_tensor_out t = { .name = name, .dtype = PCV_F32 };
    pcv_buf i = inner(b);

    if (v) {
        t.rank = v->rank;
        memcpy(t.dim, v->dim, sizeof t.dim);
        t.data = v->data;
    }
    pcv_sts_record(&i, &t, v ? 1 : 0, key, value, keys);
    outer(b, &i);
}

void pcv_sts_head(pcv_bytes *b, const pcv_tensor_info *t, size_t n,
                  const char *const *key, const char *const *value,
                  size_t keys)
{
    pcv_tensor_out *out = pcv_alloc(n, sizeof *out);
    pcv_buf i = inner(b);

    for (size_t k = 0; out && k < n; k++) {
        out[k] = (pcv_tensor_out){ .name = t[k].name, .dtype = PCV_F32,
                                   .rank = t[k].rank };
        memcpy(out[k].dim, t[k].dim, sizeof out[k].dim);
    }
    if (out)
        pcv_tensors_header(&i, out, n, key, value, keys);
    i.failed = i.failed || !out;
    pcv_free(out);
    outer(b, &i);
}

struct pcv_sts_reader {
    pcv_sts *sts;
    pcv_tensors record;
    bool open;
};

pcv_sts_reader *pcv_sts_reader_open(int fd, const char *name)
{
    pcv_sts_reader *r = pcv_alloc(1, sizeof *r);

    if (r && (r->sts = pcv_sts_open(fd, name)))
        return r;
    pcv_free(r);
    return NULL;
}

static pcv_values *values_of(const pcv_tensor *t)
{
    pcv_values *v = pcv_values_new(t->rank, t->dim);

    if (v)
        pcv_dtype_to_float(t->dtype, t->data, v->count, v->data);
    return v;
}

int pcv_sts_reader_next(pcv_sts_reader *r, pcv_values **v)
{
    int got;

    *v = NULL;
    if (r->open)
        pcv_tensors_close(&r->record);
    got = pcv_sts_next(r->sts, &r->record);
    r->open = got == 1;
    if (got == 1 && r->record.count > 0 &&
        !(*v = values_of(&r->record.tensor[0])))
        return -1;
    return got;
}

const char *pcv_sts_reader_meta(pcv_sts_reader *r, const char *key)
{
    return r->open ? pcv_tensors_meta(&r->record, key) : NULL;
}

void pcv_sts_reader_close(pcv_sts_reader *r)
{
    if (!r)
        return;
    if (r->open)
        pcv_tensors_close(&r->record);
    pcv_sts_close(r->sts);
    pcv_free(r);
}

static pcv_values *read_npy(const pcv_file *f, const char *path)
{
    pcv_reading how;
    pcv_media m = {0};
    size_t used;
    pcv_values *v = NULL;

    pcv_reading_default(&how);
    if (pcv_decode(f->data, f->size, path, &how, &m, &used) < 0)
        return NULL;
    if (m.kind != PCV_MEDIA_ARRAY)
        pcv_fail(EX_DATAERR, "%s: neither .npy nor .safetensors", path);
    else if ((v = pcv_values_new(m.array.rank, m.array.dim)))
        pcv_dtype_to_float(m.array.dtype, m.array.data, v->count, v->data);
    pcv_media_free(&m);
    return v;
}

static pcv_values *read_tensor(const char *path, const char *name)
{
    pcv_tensors t;
    const pcv_tensor *found;
    pcv_values *v = NULL;

    if (pcv_tensors_open(&t, path) < 0)
        return NULL;
    found = name ? pcv_tensors_find(&t, name)
                 : t.count ? &t.tensor[0] : NULL;
    if (found)
        v = values_of(found);
    else
        pcv_fail(EX_DATAERR, "%s: no tensor '%s'", path, name ? name : "");
    pcv_tensors_close(&t);
    return v;
}

pcv_values *pcv_values_read(const char *path, const char *name)
{
    pcv_file f;
    pcv_values *v;
    bool npy;

    if (pcv_file_open(&f, path, 0) < 0)
        return NULL;
    npy = f.size >= 6 && !memcmp(f.data, "\x93NUMPY", 6);
    v = npy ? read_npy(&f, path) : NULL;
    pcv_file_close(&f);
    return npy ? v : read_tensor(path, name);
}

/* ---- files ----------------------------------------------------------- */

struct pcv_out {
    pcv_saver *saver;
};

pcv_out *pcv_out_open(const char *path, bool force)
{
    pcv_out *o;

    if (!force && access(path, F_OK) == 0) {
        pcv_fail(EX_CANTCREAT, "%s: exists (use -f to replace it)", path);
        return NULL;
    }
    if (!(o = pcv_alloc(1, sizeof *o)))
        return NULL;
    if ((o->saver = pcv_saver_open(path)))
        return o;
    pcv_free(o);
    return NULL;
}

int pcv_out_write(pcv_out *o, const void *data, size_t n)
{
    return pcv_saver_write(o->saver, data, n);
}

int pcv_out_close(pcv_out *o)
{
    int r = pcv_saver_commit(o->saver);

    pcv_free(o);
    return r;
}

void pcv_out_abort(pcv_out *o)
{
    if (!o)
        return;
    pcv_saver_abort(o->saver);
    pcv_free(o);
}
