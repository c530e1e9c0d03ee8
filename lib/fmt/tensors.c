/* tensors.c - opening a file of weights, whichever of these it is:
 *
 *     safetensors      u64 length, JSON: bytes 4 to 7 are zero, as no header
 *                      has 4 GiB
 *     ZIP              "PK\3\4": PREFIX/data.pkl makes it PyTorch's, nothing
 *                      but .npy files NumPy's
 *     index of shards  JSON: begins with '{'
 *
 * The content decides, never the name.  Of safetensors the data stay in the
 * mapped file; those of a ZIP are read into memory. */
#include "parts.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- messages -------------------------------------------------------- */

int pcv_refuse(const char *file, const char *tensor, const char *what, ...)
{
    pcv_buf b = {0};
    va_list ap;

    pcv_buf_escape(&b, file);
    pcv_buf_puts(&b, ": ");
    if (tensor) {
        pcv_buf_puts(&b, "tensor \"");
        pcv_buf_escape(&b, tensor);
        pcv_buf_puts(&b, "\" ");
    }
    va_start(ap, what);
    pcv_buf_vprintf(&b, what, ap);
    va_end(ap);
    if (!b.failed)
        pcv_fail(EX_DATAERR, "%s", b.data);
    pcv_buf_free(&b);
    return -1;
}

int pcv_refuse_text(const char *file, const char *tensor, const char *verb,
                    const char *text, const char *what)
{
    pcv_buf b = {0};

    pcv_buf_escape(&b, text);
    if (!b.failed)
        pcv_refuse(file, tensor, "%s \"%.1100s\"%s", verb,
                   b.len ? b.data : "", what);
    pcv_buf_free(&b);
    return -1;
}

/* ---- names ----------------------------------------------------------- */

static bool is_utf8(const char *text, size_t n)
{
    int step = 1;

    for (; n > 0 && step > 0; text += step, n -= (size_t)step)
        step = pcv_utf8(text, n);
    return step > 0;
}

char *pcv_tensor_name(const char *text, size_t n, const char *file)
{
    char *name;

    if (n > PCV_MAX_NAME)
        pcv_refuse(file, NULL, "a tensor's name has %zu bytes, want at most "
                   "%d", n, PCV_MAX_NAME);
    if (n > PCV_MAX_NAME || !(name = pcv_alloc(n + 1, 1)))
        return NULL;
    memcpy(name, text, n);
    if (memchr(name, '\0', n) || !is_utf8(name, n))
        pcv_refuse(file, name, "has a name that is not UTF-8, or has NUL");
    else if (strcmp(name, "__metadata__") == 0)
        pcv_refuse(file, name, "has the name that safetensors reserves");
    else
        return name;
    pcv_free(name);
    return NULL;
}

int pcv_tensors_room(pcv_tensors *t, size_t count)
{
    t->tensor = pcv_alloc(count, sizeof *t->tensor);
    return t->tensor ? 0 : -1;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int pcv_tensors_unique(const pcv_tensors *t, const char *file)
{
    const char **name = pcv_alloc(t->count, sizeof *name);
    int status = name ? 0 : -1;

    for (size_t i = 0; name && i < t->count; i++)
        name[i] = t->tensor[i].name;
    if (name)
        qsort(name, t->count, sizeof *name, by_text);
    for (size_t i = 1; status == 0 && i < t->count; i++)
        if (strcmp(name[i - 1], name[i]) == 0)
            status = pcv_refuse(file, name[i], "is there twice");
    pcv_free(name);
    return status;
}

/* ---- what a file is -------------------------------------------------- */

static bool begins(const pcv_file *f, const void *magic, size_t n)
{
    return f->size >= n && memcmp(f->data, magic, n) == 0;
}

/* Byte 8 of a ZIP is the method of its first entry, of safetensors the
 * beginning of the header. */
bool pcv_is_zip(const pcv_file *f)
{
    return begins(f, "PK\5\6", 4) ||
           (begins(f, "PK\3\4", 4) && (f->size < 9 || f->data[8] != '{'));
}

/* A length of 123 or 8827 begins with '{' as well, but then come zeros. */
static bool is_json(const pcv_file *f)
{
    size_t i = 0;

    while (i < f->size && strchr(" \t\r\n", f->data[i]) && f->data[i])
        i++;
    return i < f->size && f->data[i] == '{' &&
           !memchr(f->data, '\0', f->size < 8 ? f->size : 8);
}

/* What PyTorch wrote before version 1.6, and pickles of any other program;
 * and what it wrote before 0.1.10. */
static int refuse_old(const pcv_file *f, const char *name)
{
    static const char again[] = "load it in PyTorch, if you trust it, and "
                                "torch.save its state_dict() again";

    if (begins(f, "\x80\2\x8a\nl\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19.", 15))
        return pcv_refuse(name, NULL, "a file of PyTorch before 1.6 (pickles "
                          "without an archive): %s", again);
    if (f->size > 262 && memcmp(f->data + 257, "ustar", 5) == 0)
        return pcv_refuse(name, NULL, "a tar archive, perhaps of PyTorch "
                          "before 0.1.10: %s", again);
    if (f->size > 2 && f->data[0] == 0x80 && f->data[1] <= 5)
        return pcv_refuse(name, NULL, "a bare pickle, not an archive of "
                          "PyTorch: %s", again);
    return 0;
}

/* ---- opening --------------------------------------------------------- */

static int read_zip(pcv_tensors *t, const char *path, const pcv_file *f,
                    const char *name)
{
    pcv_zip z;
    int status = -1;

    if (pcv_zip_open(&z, path, f, name) < 0)
        return -1;
    if (pcv_torch_pickle(&z) != SIZE_MAX)
        status = pcv_torch_read(t, &z);
    else if (pcv_npz_probe(&z))
        status = pcv_npz_read(t, &z);
    else
        pcv_refuse(name, NULL, "a ZIP archive with neither one data.pkl in a "
                   "directory (PyTorch) nor .npy files alone (NumPy)");
    pcv_zip_close(&z);
    return status;
}

/* libzip reads a mapped file itself: the pages of the mapping would be in
 * memory beside what it makes of them. */
static int read_file(pcv_tensors *t, const char *path, const char *name,
                     bool index)
{
    bool named = t->file.mapped && path == name;

    if (pcv_is_zip(&t->file))
        return read_zip(t, named ? path : NULL, &t->file, name);
    if (refuse_old(&t->file, name) < 0)
        return -1;
    if (index && is_json(&t->file))
        return pcv_shards_read(t, &t->file, path);
    return pcv_safetensors_read(t, t->file.data, t->file.size, name);
}

/* Rows of I8 that have a scale each. */
static void find_scales(pcv_tensors *t)
{
    for (size_t i = 0; i < t->count; i++) {
        pcv_tensor *x = &t->tensor[i];
        const pcv_tensor *scale = NULL;
        pcv_buf name = {0};

        if (x->dtype != PCV_I8 || x->rank != 2)
            continue;
        pcv_buf_printf(&name, "%s_scale", x->name);
        if (!name.failed)
            scale = pcv_tensors_find(t, name.data);
        if (scale && scale->dtype == PCV_F32 && scale->rank == 1 &&
            scale->dim[0] == x->dim[0])
            x->scale = scale;
        pcv_buf_free(&name);
    }
}

static int open_file(pcv_tensors *t, const char *path, bool index)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;

    *t = (pcv_tensors){0};
    if (pcv_file_open(&t->file, path, 0) < 0)
        return -1;
    if (read_file(t, path, name, index) < 0) {
        pcv_tensors_close(t);
        return -1;
    }
    if (t->pieces || t->shards)     /* the data are elsewhere */
        pcv_file_close(&t->file);
    find_scales(t);
    return 0;
}

int pcv_tensors_open(pcv_tensors *t, const char *path)
{
    return open_file(t, path, true);
}

int pcv_tensors_open_checked(pcv_tensors *t, const char *path)
{
    *t = (pcv_tensors){0};
    if (pcv_file_open(&t->file, path, 0) < 0)
        return -1;
    if (pcv_safetensors_check(t->file.data, t->file.size, path) == 0 &&
        pcv_safetensors_read(t, t->file.data, t->file.size, path) == 0)
        return 0;
    pcv_tensors_close(t);
    return -1;
}

int pcv_shard_open(pcv_tensors *t, const char *path)
{
    return open_file(t, path, false);
}

int pcv_tensors_parse(pcv_tensors *t, const void *data, size_t n,
                      const char *name)
{
    int status;

    *t = (pcv_tensors){0};
    status = pcv_safetensors_read(t, data, n, name);
    if (status < 0)
        pcv_tensors_close(t);
    return status;
}

void pcv_tensors_close(pcv_tensors *t)
{
    for (size_t i = 0; i < t->count; i++)
        pcv_free(t->tensor[i].name);
    for (size_t i = 0; i < t->keys; i++) {
        pcv_free(t->key[i]);
        pcv_free(t->value[i]);
    }
    for (size_t i = 0; i < t->pieces; i++)
        pcv_free(t->piece[i]);
    for (size_t i = 0; i < t->shards; i++)
        pcv_tensors_close(&t->shard[i]);
    pcv_free(t->tensor);
    pcv_free(t->key);
    pcv_free(t->value);
    pcv_free(t->piece);
    pcv_free(t->shard);
    pcv_file_close(&t->file);
    *t = (pcv_tensors){0};
}

/* ---- looking --------------------------------------------------------- */

const pcv_tensor *pcv_tensors_find(const pcv_tensors *t, const char *name)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->tensor[i].name, name) == 0)
            return &t->tensor[i];
    return NULL;
}

const char *pcv_tensors_meta(const pcv_tensors *t, const char *key)
{
    for (size_t i = 0; i < t->keys; i++)
        if (strcmp(t->key[i], key) == 0)
            return t->value[i];
    return NULL;
}

bool pcv_tensors_scales(const pcv_tensors *t, const pcv_tensor *x)
{
    for (size_t i = 0; i < t->count; i++)
        if (t->tensor[i].scale == x)
            return true;
    return false;
}

static const char *element(const pcv_tensor *x, size_t at)
{
    return (const char *)x->data + at * pcv_dtype_size(x->dtype);
}

/* Of elements from `at` on: how many of at most n are of one row, and its
 * scale. */
static size_t run_of(const pcv_tensor *x, size_t at, size_t n, float *scale)
{
    size_t left = x->dim[1] - at % x->dim[1];

    pcv_dtype_to_float(PCV_F32, element(x->scale, at / x->dim[1]), 1, scale);
    return left < n ? left : n;
}

void pcv_tensor_to_float(const pcv_tensor *x, size_t at, size_t n, float *out)
{
    float scale;

    pcv_dtype_to_float(x->dtype, element(x, at), n, out);
    for (size_t len; x->scale && n; at += len, n -= len) {
        len = run_of(x, at, n, &scale);
        for (size_t i = 0; i < len; i++)
            *out++ *= scale;
    }
}

void pcv_tensor_to_double(const pcv_tensor *x, size_t at, size_t n, double *out)
{
    float scale;

    pcv_dtype_to_double(x->dtype, element(x, at), n, out);
    for (size_t len; x->scale && n; at += len, n -= len) {
        len = run_of(x, at, n, &scale);
        for (size_t i = 0; i < len; i++)
            *out++ *= (double)scale;
    }
}

/* ---- the weights of a directory -------------------------------------- */

static const char *const weights[] = {
    "model.safetensors", "model.safetensors.index.json", "pytorch_model.bin",
    "pytorch_model.bin.index.json", "model.npz",
};

static char *refuse_directory(const char *dir)
{
    pcv_buf b = {0};

    pcv_buf_escape(&b, dir);
    pcv_buf_puts(&b, ": no weights, none of ");
    for (size_t i = 0; i < PCV_LEN(weights); i++)
        pcv_buf_printf(&b, i ? ", %s" : "%s", weights[i]);
    if (!b.failed)
        pcv_fail(EX_NOINPUT, "%s", b.data);
    pcv_buf_free(&b);
    return NULL;
}

/* What is there but cannot be read is found, and then fails to open. */
char *pcv_tensors_file(const char *dir)
{
    for (size_t i = 0; i < PCV_LEN(weights); i++) {
        pcv_buf b = {0};

        pcv_buf_printf(&b, "%s/%s", dir, weights[i]);
        if (b.failed)
            return NULL;
        if (access(b.data, F_OK) == 0 || errno == EACCES)
            return b.data;
        pcv_buf_free(&b);
    }
    return refuse_directory(dir);
}
