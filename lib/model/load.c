/* load.c - a model directory: config.json and model.safetensors.  The names in
 * the file are the names of the parameters, so loading is a loop; what is
 * missing, extra or of another shape is named. */
#include "model.h"

#include <stdio.h>
#include <string.h>

/* "DIR/FILE" in a buffer that the caller frees; NULL when out of memory. */
static char *join(const char *dir, const char *file)
{
    pcv_buf b = {0};

    pcv_buf_printf(&b, "%s/%s", dir, file);
    if (b.failed) {
        pcv_fail(EX_OSERR, "out of memory");
        return NULL;
    }
    return b.data;
}

static void shape(pcv_buf *b, const size_t *dim, int rank)
{
    pcv_buf_puts(b, "[");
    for (int i = 0; i < rank; i++)
        pcv_buf_printf(b, "%s%zu", i ? ", " : "", dim[i]);
    pcv_buf_puts(b, "]");
}

/* Trailing axes of length 1 are nothing: a 1x1 convolution is a matrix. */
static bool same_shape(const pcv_param *p, const pcv_tensor *t)
{
    int rank = t->rank;

    while (rank > p->rank && t->dim[rank - 1] == 1)
        rank--;
    if (rank != p->rank)
        return false;
    for (int i = 0; i < rank; i++)
        if (t->dim[i] != p->dim[i])
            return false;
    return true;
}

static int wrong_shape(const pcv_param *p, const pcv_tensor *t,
                       const char *name)
{
    pcv_buf b = {0};
    int r;

    shape(&b, t->dim, t->rank);
    pcv_buf_puts(&b, ", want ");
    shape(&b, p->dim, p->rank);
    r = pcv_fail(EX_DATAERR, "%s: tensor %s is %s as config.json has it", name,
                 t->name, b.data ? b.data : "");
    pcv_buf_free(&b);
    return r;
}

static int fill(pcv_param *p, const pcv_tensor *t, const char *name)
{
    if (!same_shape(p, t))
        return wrong_shape(p, t, name);
#ifdef PCV_DOUBLE
    pcv_dtype_to_double(t->dtype, t->data, p->count, p->w);
#else
    pcv_dtype_to_float(t->dtype, t->data, p->count, p->w);
#endif
    return 0;
}

/* Names that are in one list and not in the other, the first few. */
static int report(const char *name, const char *what, const pcv_buf *list,
                  size_t count)
{
    return pcv_fail(EX_DATAERR, "%s: %zu tensor%s %s: %s", name, count,
                    count == 1 ? "" : "s", what, list->data ? list->data : "");
}

static void note(pcv_buf *list, size_t *count, const char *name)
{
    if ((*count)++ < 8)
        pcv_buf_printf(list, "%s%s", list->len ? ", " : "", name);
    else if (*count == 9)
        pcv_buf_puts(list, ", ...");
}

static int check_extra(const pcv_net *n, const pcv_tensors *t,
                       const char *name)
{
    pcv_buf extra = {0};
    size_t count = 0;
    int r = 0;

    for (size_t i = 0; i < t->count; i++)
        if (!pcv_params_find(&n->params, t->tensor[i].name))
            note(&extra, &count, t->tensor[i].name);
    if (count)
        r = report(name, "that this model does not have", &extra, count);
    pcv_buf_free(&extra);
    return r;
}

int pcv_net_fill(pcv_net *n, const pcv_tensors *t, const char *prefix,
                 const char *name)
{
    pcv_buf missing = {0}, full = {0};
    size_t count = 0;
    int r = 0;

    for (int i = 0; r == 0 && i < n->params.count; i++) {
        const pcv_tensor *found;

        pcv_buf_clear(&full);
        pcv_buf_printf(&full, "%s%s", prefix, n->params.param[i]->name);
        found = full.failed ? NULL : pcv_tensors_find(t, full.data);
        if (!found)
            note(&missing, &count, full.data ? full.data : "?");
        else
            r = fill(n->params.param[i], found, name);
    }
    if (r == 0 && count)
        r = report(name, "missing", &missing, count);
    if (r == 0 && !*prefix)
        r = check_extra(n, t, name);
    pcv_buf_free(&missing);
    pcv_buf_free(&full);
    return r;
}

/* A 128-bit identity of the weights: two counter-hash chains over the bits. */
static char *fingerprint(const pcv_params *p)
{
    uint64_t a = 1, b = 2;
    pcv_buf out = {0};

    for (size_t i = 0; i < p->total; i++) {
        uint64_t bits = 0;

        memcpy(&bits, &p->w[i], sizeof p->w[i]);
        a = (a ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
        a ^= a >> 29;
        b = (b + bits) * UINT64_C(0xd6e8feb86659fd93);
        b ^= b >> 32;
    }
    pcv_buf_printf(&out, "pcv:%016llx%016llx", (unsigned long long)a,
                   (unsigned long long)b);
    return out.data;
}

static int load_config(pcv_spec *s, const char *dir)
{
    char *path = join(dir, "config.json");
    pcv_file f;
    int r;

    if (!path || pcv_file_open(&f, path, 1 << 24) < 0) {
        pcv_free(path);
        return -1;
    }
    r = pcv_spec_parse(s, (const char *)f.data, f.size, path);
    pcv_file_close(&f);
    pcv_free(path);
    return r;
}

/* Says of which file a message about a spec is. */
static int in_config(const char *dir)
{
    int code = pcv_error_code();
    pcv_buf what = {0};

    pcv_buf_puts(&what, pcv_error());
    pcv_error_clear();
    pcv_fail(code, "%s/config.json: %s", dir, what.data ? what.data : "");
    pcv_buf_free(&what);
    return -1;
}

int pcv_net_load(pcv_net *n, const char *dir)
{
    char *path = NULL;
    pcv_tensors t;
    pcv_spec spec;
    int r;

    if (load_config(&spec, dir) < 0)
        return -1;
    r = pcv_net_build(n, &spec);
    pcv_spec_free(&spec);
    if (r < 0)
        return in_config(dir);
    if (pcv_params_weights(&n->params) < 0 ||
        !(path = join(dir, "model.safetensors")) ||
        pcv_tensors_open(&t, path) < 0)
        goto fail;
    r = pcv_net_fill(n, &t, "", path);
    pcv_tensors_close(&t);
    if (r < 0 || !(n->fingerprint = fingerprint(&n->params)))
        goto fail;
    pcv_free(path);
    return 0;
fail:
    pcv_free(path);
    pcv_net_free(n);
    return -1;
}

int pcv_net_tensors(const pcv_net *n, pcv_tensor_out **out)
{
    const pcv_params *p = &n->params;

    *out = pcv_alloc((size_t)p->count, sizeof **out);
    if (!*out)
        return -1;
    for (int i = 0; i < p->count; i++) {
        pcv_tensor_out *t = &(*out)[i];

        t->name = p->param[i]->name;
        t->dtype = PCV_REAL;
        t->rank = p->param[i]->rank;
        t->dim[0] = p->param[i]->dim[0];
        t->dim[1] = p->param[i]->dim[1];
        t->data = p->param[i]->w;
    }
    return p->count;
}

int pcv_net_save(const pcv_net *n, const char *dir)
{
    static const char *const key[] = { "format" }, *const value[] = { "pt" };
    char *config = join(dir, "config.json");
    char *weights = join(dir, "model.safetensors");
    pcv_tensor_out *t = NULL;
    pcv_buf text = {0};
    int r = -1, count = pcv_net_tensors(n, &t);

    pcv_spec_write(&n->spec, &text);
    if (text.failed)
        pcv_fail(EX_OSERR, "out of memory");
    else if (config && weights && count >= 0 &&
             pcv_tensors_save(weights, t, (size_t)count, key, value, 1) == 0)
        r = pcv_save_file(config, text.data, text.len);
    pcv_buf_free(&text);
    pcv_free(t);
    pcv_free(config);
    pcv_free(weights);
    return r;
}
