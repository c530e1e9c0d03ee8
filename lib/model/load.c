/* load.c - a model directory: config.json, weights, and where there is one
 * preprocessor_config.json.  The names in the file are the names of the
 * parameters, so loading is a loop; what is missing, extra or of another shape
 * is named.  float32 weights stay where they are in the mapped file. */
#include "model.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

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

/* Where a parameter is in a file: a tensor, or a part of one. */
typedef struct {
    const pcv_tensor *t;
    pcv_slice slice;
} source;

/* A shape without axes of length 1, which are nothing: a 1x1 convolution is a
 * matrix.  Returns the rank. */
static int squeeze(const size_t *dim, int rank, size_t out[PCV_MAX_RANK])
{
    int n = 0;

    for (int i = 0; i < rank; i++)
        if (dim[i] != 1)
            out[n++] = dim[i];
    return n;
}

/* The shape that the tensor should have.  A transposed one has the channels
 * first and then the grid, in one axis or more. */
static int wanted(const pcv_param *p, const source *f,
                  size_t out[PCV_MAX_RANK])
{
    memcpy(out, p->dim, (size_t)p->rank * sizeof *out);
    if (f->slice.kind == PCV_SLICE_ROWS)
        out[0] *= (size_t)f->slice.parts;
    return p->rank;
}

static bool same_shape(const pcv_param *p, const source *f)
{
    size_t want[PCV_MAX_RANK], a[PCV_MAX_RANK], b[PCV_MAX_RANK];
    int n = squeeze(f->t->dim, f->t->rank, a);
    int m = squeeze(want, wanted(p, f, want), b);
    size_t count = f->t->bytes / pcv_dtype_size(f->t->dtype);

    if (f->slice.kind == PCV_SLICE_TRANSPOSED)
        return n > 1 && a[0] == p->dim[1] && count == p->count;
    if (f->slice.kind == PCV_SLICE_COLUMNS)
        return n == 2 && a[0] == p->dim[0] && a[1] > p->dim[1];
    return n == m && !memcmp(a, b, (size_t)n * sizeof *a);
}

static int wrong_shape(const pcv_param *p, const source *f, const char *name)
{
    size_t want[PCV_MAX_RANK];
    pcv_buf b = {0};
    int r;

    shape(&b, f->t->dim, f->t->rank);
    pcv_buf_puts(&b, ", want ");
    shape(&b, want, wanted(p, f, want));
    if (f->slice.kind == PCV_SLICE_COLUMNS)
        pcv_buf_puts(&b, " and more columns");
    r = pcv_fail(EX_DATAERR, "%s: tensor %s is %s as config.json has it", name,
                 f->t->name, b.data ? b.data : "");
    pcv_buf_free(&b);
    return r;
}

/* n values from element `at` on, converted. */
static void convert(const pcv_tensor *t, size_t at, size_t n, real *out)
{
#ifdef PCV_DOUBLE
    pcv_tensor_to_double(t, at, n, out);
#else
    pcv_tensor_to_float(t, at, n, out);
#endif
}

static void convert_all(const pcv_param *p, const source *f, real *out)
{
    size_t rows = p->dim[0], cols = p->count / rows;
    size_t all = f->t->bytes / pcv_dtype_size(f->t->dtype) / rows;

    if (f->slice.kind == PCV_SLICE_COLUMNS)
        for (size_t i = 0; i < rows; i++)
            convert(f->t, i * all + (f->slice.part ? all - cols : 0), cols,
                    out + i * cols);
    else if (f->slice.kind == PCV_SLICE_TRANSPOSED)
        for (size_t i = 0; i < rows; i++)
            for (size_t k = 0; k < cols; k++)
                convert(f->t, k * rows + i, 1, out + i * cols + k);
    else
        convert(f->t, (size_t)f->slice.part * p->count, p->count, out);
}

/* The numbers where they lie, if they can be used there; else NULL. */
static real *in_place(const pcv_param *p, const source *f)
{
    const char *from = f->t->data;

    if (f->t->dtype != PCV_REAL || (uintptr_t)from % sizeof(real) ||
        f->slice.kind == PCV_SLICE_COLUMNS ||
        f->slice.kind == PCV_SLICE_TRANSPOSED)
        return NULL;
    from += (size_t)f->slice.part * p->count * sizeof(real);
    return (real *)(uintptr_t)from;     /* never written */
}

/* ---- what is there, and what is not ---------------------------------- */

/* Names that are in one list and not in the other, the first few. */
static int report(const char *name, const char *what, const pcv_buf *list,
                  size_t count)
{
    return pcv_fail(EX_DATAERR, "%s: %zu tensor%s %s: %s", name, count,
                    count == 1 ? "" : "s", what, list->data ? list->data : "");
}

static void note(pcv_buf *list, size_t *count, const char *name)
{
    if ((*count)++ < 8) {
        pcv_buf_puts(list, list->len ? ", " : "");
        pcv_buf_escape(list, name);
    } else if (*count == 9) {
        pcv_buf_puts(list, ", ...");
    }
}

/* A checkpoint of the bare model lacks the first word of the names. */
static const char *bare(const char *name)
{
    static const char word[] = "perceiver.";

    return strncmp(name, word, sizeof word - 1) ? NULL
                                                : name + sizeof word - 1;
}

/* The tensor of a published name, its first word there or not. */
static void find_published(const pcv_tensors *t, const char *name, source *f)
{
    f->t = pcv_tensors_find(t, name);
    if (!f->t && bare(name))
        f->t = pcv_tensors_find(t, bare(name));
}

/* The tensor of a parameter; where there is none, what it should be called. */
static int find(const pcv_net *n, const pcv_tensors *t, const char *ours,
                source *f, pcv_buf *name)
{
    *f = (source){0};
    pcv_buf_clear(name);
    if (n->spec.names == PCV_NAMES_PUBLISHED ||
        !pcv_name_of(n->spec.names, ours, name, &f->slice))
        pcv_buf_puts(name, ours);
    if (name->failed)
        return pcv_fail(EX_OSERR, "out of memory");
    if (n->spec.names == PCV_NAMES_PUBLISHED)
        find_published(t, name->data, f);
    else
        f->t = pcv_tensors_find(t, name->data);
    return 0;
}

/* Counts batches of a norm in training, which a model does not read. */
static bool is_counter(const char *name)
{
    const char *dot = strrchr(name, '.');

    return dot && !strcmp(dot, ".num_batches_tracked");
}

static bool is_used(const source *f, int count, const pcv_tensor *t)
{
    for (int i = 0; i < count; i++)
        if (f[i].t == t)
            return true;
    return false;
}

/* Does the tensor repeat one that is used, as state dicts do with weights that
 * are shared?  Not if they differ: then the config says wrongly that they are
 * shared. */
static bool is_repeated(const pcv_net *n, const pcv_tensors *t,
                        const pcv_tensor *x, const source *found)
{
    pcv_buf name = {0};
    const pcv_tensor *first = NULL;

    if (pcv_name_repeats(n->spec.names, x->name, &name) && !name.failed)
        first = pcv_tensors_find(t, name.data);
    pcv_buf_free(&name);
    return first && is_used(found, n->params.count, first) &&
           first->bytes == x->bytes && !memcmp(first->data, x->data, x->bytes);
}

static int check_extra(const pcv_net *n, const pcv_tensors *t,
                       const source *found, const char *name)
{
    pcv_buf extra = {0};
    size_t count = 0;
    int r = 0;

    for (size_t i = 0; i < t->count; i++) {
        const pcv_tensor *x = &t->tensor[i];

        if (!is_used(found, n->params.count, x) && !is_counter(x->name) &&
            !pcv_tensors_scales(t, x) && !is_repeated(n, t, x, found))
            note(&extra, &count, x->name);
    }
    if (count)
        r = report(name, "that this model does not have", &extra, count);
    pcv_buf_free(&extra);
    return r;
}

/* The tensor of every parameter, all of the right shape; found is the
 * caller's, one for each. */
static int match(const pcv_net *n, const pcv_tensors *t, const char *name,
                 source *found)
{
    pcv_buf missing = {0}, theirs = {0};
    size_t count = 0;
    int r = 0;

    for (int i = 0; r == 0 && i < n->params.count; i++) {
        const pcv_param *p = n->params.param[i];

        r = find(n, t, p->name, &found[i], &theirs);
        if (r == 0 && !found[i].t)
            note(&missing, &count, theirs.data);
        else if (r == 0 && !same_shape(p, &found[i]))
            r = wrong_shape(p, &found[i], name);
    }
    if (r == 0 && count)
        r = report(name, "missing", &missing, count);
    pcv_buf_free(&missing);
    pcv_buf_free(&theirs);
    return r < 0 ? r : check_extra(n, t, found, name);
}

/* ---- filling --------------------------------------------------------- */

/* The weights of n->file: where they lie, or converted in one slab. */
static int place(pcv_net *n, const source *found)
{
    pcv_params *p = &n->params;
    size_t need = 0;
    real *at;

    for (int i = 0; i < p->count; i++)
        need += in_place(p->param[i], &found[i]) ? 0 : p->param[i]->count;
    if (!(p->w = at = pcv_alloc(need, sizeof *p->w)))
        return -1;
    for (int i = 0; i < p->count; i++) {
        pcv_param *q = p->param[i];

        q->w = in_place(q, &found[i]);
        if (q->w)
            continue;
        q->w = at;
        at += q->count;
        convert_all(q, &found[i], q->w);
    }
    return 0;
}

static int fill_from(pcv_net *n, const char *path)
{
    source *found = pcv_alloc((size_t)n->params.count, sizeof *found);
    int r = -1;

    if (found && pcv_tensors_open(&n->file, path) == 0) {
        r = match(n, &n->file, path, found);
        if (r == 0)
            r = place(n, found);
    }
    pcv_free(found);
    return r;
}

/* Two counter-hash chains over the bits. */
char *pcv_net_identity(const pcv_net *n)
{
    uint64_t a = 1, b = 2;
    pcv_buf out = {0};

    if (n->id)
        return pcv_strdup(n->id);
    for (int k = 0; k < n->params.count; k++)
        for (size_t i = 0; i < n->params.param[k]->count; i++) {
            uint64_t bits = 0;

            memcpy(&bits, &n->params.param[k]->w[i], sizeof(real));
            a = (a ^ bits) * UINT64_C(0x9e3779b97f4a7c15);
            a ^= a >> 29;
            b = (b + bits) * UINT64_C(0xd6e8feb86659fd93);
            b ^= b >> 32;
        }
    pcv_buf_printf(&out, "pcv:%016llx%016llx", (unsigned long long)a,
                   (unsigned long long)b);
    if (out.failed)
        pcv_fail(EX_OSERR, "out of memory");
    return out.data;
}

/* ---- a directory ----------------------------------------------------- */

static pcv_json *read_json(const char *path)
{
    pcv_json *v = NULL;
    pcv_file f;

    if (pcv_file_open(&f, path, 1 << 24) == 0) {
        v = pcv_json_parse((const char *)f.data, f.size, path);
        pcv_file_close(&f);
    }
    return v;
}

/* preprocessor_config.json, where there is one. */
static int load_preprocessor(pcv_spec *s, const char *dir)
{
    char *path = join(dir, "preprocessor_config.json");
    pcv_json *v = NULL;
    int r = path ? 0 : -1;

    if (path && access(path, F_OK) == 0)
        r = (v = read_json(path)) ? pcv_class_preprocess(&s->prep, v, path)
                                  : -1;
    pcv_json_close(v);
    pcv_free(path);
    return r;
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
    if (r == 0 && load_preprocessor(s, dir) < 0) {
        pcv_spec_free(s);
        return -1;
    }
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
    char *path;
    pcv_spec spec;
    int r;

    if (load_config(&spec, dir) < 0)
        return -1;
    r = pcv_net_build(n, &spec);
    pcv_spec_free(&spec);
    if (r < 0)
        return in_config(dir);
    path = pcv_tensors_file(dir);
    r = path ? fill_from(n, path) : -1;
    pcv_free(path);
    if (r < 0)
        pcv_net_free(n);
    return r;
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
        memcpy(t->dim, p->param[i]->dim, sizeof p->param[i]->dim);
        t->data = p->param[i]->w;
    }
    return p->count;
}

static int save_weights(const pcv_net *n, const char *dir)
{
    static const char *const key[] = { "format" }, *const value[] = { "pt" };
    char *path = join(dir, "model.safetensors");
    pcv_tensor_out *t = NULL;
    int r = -1, count = pcv_net_tensors(n, &t);

    if (path && count >= 0)
        r = pcv_tensors_save(path, t, (size_t)count, key, value, 1);
    pcv_free(t);
    pcv_free(path);
    return r;
}

/* ---- the files beside the weights ------------------------------------ */

/* What is said of the weights, in the order in which it is written: a
 * directory with config.json is a model. */
static const struct {
    const char *file;
    void (*write)(const pcv_spec *s, pcv_buf *b);   /* no text: no file */
} beside[] = {
    { "preprocessor_config.json", pcv_class_write_preprocess },
    { "config.json", pcv_spec_write },
};

static bool holds(const char *path, const pcv_buf *text)
{
    pcv_file f;
    bool same;

    if (access(path, F_OK) < 0)
        return text->len == 0;
    if (pcv_file_open(&f, path, 0) < 0) {
        pcv_error_clear();
        return false;
    }
    same = f.size == text->len && !memcmp(f.data, text->data, text->len);
    pcv_file_close(&f);
    return same;
}

/* Does DIR/FILE of row k say what it should?  If not and `put`, makes it. */
static int beside_well(const pcv_net *n, const char *dir, size_t k, bool put,
                       bool *well)
{
    char *path = join(dir, beside[k].file);
    pcv_buf text = {0};
    int r = path ? 0 : -1;

    beside[k].write(&n->spec, &text);
    if (text.failed)
        r = pcv_fail(EX_OSERR, "out of memory");
    *well = r == 0 && holds(path, &text);
    if (r == 0 && !*well && put && text.len)
        r = pcv_save_file(path, text.data, text.len);
    pcv_buf_free(&text);
    pcv_free(path);
    return r;
}

static int remove_file(const char *dir, const char *file)
{
    char *path = join(dir, file);
    int r = path ? 0 : -1;

    if (path && unlink(path) < 0 && errno != ENOENT)
        r = pcv_fail(EX_CANTCREAT, "%s: %s", path, strerror(errno));
    pcv_free(path);
    return r;
}

/* Weights never stand beside what was said of others: unless all of it is
 * what it will be, it goes before they come, config.json first.  Killed in
 * between, the directory is no model rather than a wrong one. */
static int clear_beside(const pcv_net *n, const char *dir)
{
    bool well = true;
    int r = 0;

    for (size_t k = 0; r == 0 && well && k < PCV_LEN(beside); k++)
        r = beside_well(n, dir, k, false, &well);
    for (size_t k = PCV_LEN(beside); r == 0 && !well && k > 0; k--)
        r = remove_file(dir, beside[k - 1].file);
    return r;
}

int pcv_net_save(const pcv_net *n, const char *dir)
{
    bool well;

    if (clear_beside(n, dir) < 0 || save_weights(n, dir) < 0)
        return -1;
    for (size_t k = 0; k < PCV_LEN(beside); k++)
        if (beside_well(n, dir, k, true, &well) < 0)
            return -1;
    return 0;
}
