/* torch.c - what torch.save has written since PyTorch 1.6: a ZIP archive,
 *
 *     PREFIX/data.pkl     the state dict; its tensors are views of storages
 *     PREFIX/data/KEY     the elements of a storage
 *     PREFIX/byteorder    "little", where it is there
 *
 * Storages are read into memory, one buffer each.  A contiguous view borrows
 * the buffer, any other is copied; a buffer that is not borrowed is freed
 * after its last view, so the weights are in memory once.  Only what the
 * state dict names is read: not the optimiser's state beside it. */
#include "parts.h"

#include <string.h>

#define MAX_PICKLE ((size_t)64 << 20)
#define MAX_GROWTH 4            /* bytes of all tensors, of those of the file */

/* ---- the archive ----------------------------------------------------- */

/* The prefix's length, of an entry PREFIX/data.pkl; 0, any other entry. */
static size_t prefix_length(const char *name)
{
    size_t n = strcspn(name, "/");

    return strcmp(name + n, "/data.pkl") == 0 ? n : 0;
}

size_t pcv_torch_pickle(const pcv_zip *z)
{
    size_t found = SIZE_MAX;

    for (size_t i = 0; i < z->count; i++)
        if (prefix_length(z->entry[i].name)) {
            if (found != SIZE_MAX)      /* which one would be meant? */
                return SIZE_MAX;
            found = i;
        }
    return found;
}

static int refuse_entry(const pcv_zip *z, size_t i, const char *what)
{
    return pcv_refuse_text(z->file, NULL, "ZIP archive: entry",
                           z->entry[i].name, what);
}

bool pcv_torch_is_script(const pcv_zip *z)
{
    size_t prefix = prefix_length(z->entry[pcv_torch_pickle(z)].name);

    for (size_t i = 0; i < z->count; i++) {
        const char *name = z->entry[i].name;

        if (strlen(name) > prefix && (!strcmp(name + prefix, "/constants.pkl")
                                      || !strncmp(name + prefix, "/code/", 6)))
            return true;
    }
    return false;
}

static int check_entries(const pcv_zip *z)
{
    if (pcv_torch_is_script(z))
        return pcv_refuse(z->file, NULL, "a TorchScript archive, which holds "
                          "code: in PyTorch, if you trust it, torch.jit.load "
                          "it and torch.save its state_dict()");
    for (size_t i = 0; i < z->count; i++)
        if (!z->entry[i].stored)
            return refuse_entry(z, i, " is compressed, want it stored");
    return 0;
}

/* *i = the entry PREFIX/NAME, or SIZE_MAX.  0, or -1: no memory. */
static int find_entry(const pcv_zip *z, size_t pickle, const pcv_buf *name,
                      size_t *i)
{
    pcv_buf b = {0};
    int status = -1;

    *i = SIZE_MAX;
    pcv_buf_add(&b, z->entry[pickle].name,
                prefix_length(z->entry[pickle].name) + 1);
    pcv_buf_add(&b, name->data, name->len);
    if (!b.failed && !name->failed) {
        status = 0;
        if (strlen(b.data) == b.len)
            *i = pcv_zip_find(z, b.data);
    }
    pcv_buf_free(&b);
    return status;
}

static int check_byteorder(const pcv_zip *z, size_t pickle)
{
    char word[] = "byteorder";
    const pcv_buf name = { .data = word, .len = strlen(word) };
    char *data;
    size_t i;
    bool little;

    if (find_entry(z, pickle, &name, &i) < 0)
        return -1;
    if (i == SIZE_MAX)
        return 0;
    if (!(data = pcv_zip_read(z, i)))
        return -1;
    little = z->entry[i].size == 6 && memcmp(data, "little", 6) == 0;
    pcv_free(data);
    return little ? 0 : refuse_entry(z, i, " says another byte order than "
                                     "little");
}

/* ---- storages -------------------------------------------------------- */

/* One for each entry of the archive. */
typedef struct {
    bool known, borrowed;
    pcv_dtype dtype;
    unsigned char *data;        /* once it is read */
    size_t uses;                /* views still to come */
} hold;

typedef struct {
    const pcv_zip *zip;
    size_t pickle;              /* the entry */
    pcv_state_dict dict;
    size_t *entry;              /* of each storage */
    hold *hold;
    pcv_tensors *t;
} reading;

/* Adds "storage "KEY" WHAT" to the message. */
static int refuse_storage(const reading *r, const pcv_storage *s,
                          const char *what)
{
    pcv_buf key = {0};

    pcv_buf_add(&key, s->key, s->length < 128 ? s->length : 128);
    if (!key.failed)
        pcv_refuse_text(r->zip->file, NULL, "pickle: storage",
                        key.len ? key.data : "", what);
    pcv_buf_free(&key);
    return -1;
}

static int refuse_size(const reading *r, const pcv_storage *s, size_t size)
{
    pcv_buf what = {0};

    pcv_buf_printf(&what, " has %zu elements of type %s, its entry in the "
                   "archive %zu bytes", s->count, pcv_dtype_name(s->dtype),
                   size);
    if (!what.failed)
        refuse_storage(r, s, what.data);
    pcv_buf_free(&what);
    return -1;
}

/* PREFIX/data/KEY, where KEY leads nowhere else. */
static int find_storage(const reading *r, const pcv_storage *s, size_t *i)
{
    pcv_buf b = {0};
    int status;

    pcv_buf_puts(&b, "data/");
    pcv_buf_add(&b, s->key, s->length);
    status = find_entry(r->zip, r->pickle, &b, i);
    pcv_buf_free(&b);
    if (status == 0 && (s->length == 0 || memchr(s->key, '/', s->length)))
        *i = SIZE_MAX;
    return status;
}

static int check_storage(reading *r, size_t k)
{
    const pcv_storage *s = &r->dict.storage[k];
    size_t i, bytes;
    hold *h;

    if (find_storage(r, s, &i) < 0)
        return -1;
    if (i == SIZE_MAX)
        return refuse_storage(r, s, " is not in the archive");
    if (!pcv_mul(s->count, pcv_dtype_size(s->dtype), &bytes) ||
        bytes != r->zip->entry[i].size)
        return refuse_size(r, s, r->zip->entry[i].size);
    h = &r->hold[i];
    if (h->known && h->dtype != s->dtype)
        return refuse_storage(r, s, " is of two types");
    h->known = true;
    h->dtype = s->dtype;
    r->entry[k] = i;
    return 0;
}

/* The same elements may be in several tensors, but not so often that a small
 * file becomes a large model. */
static int check_views(reading *r)
{
    size_t bytes = 0, most, one;

    if (!pcv_mul(r->zip->bytes, MAX_GROWTH, &most))
        most = SIZE_MAX;
    for (size_t i = 0; i < r->dict.names; i++) {
        const pcv_view *w = &r->dict.view[r->dict.name[i].view];
        hold *h = &r->hold[r->entry[w->storage]];

        h->uses += w->count > 0;
        if (!pcv_mul(w->count, pcv_dtype_size(h->dtype), &one) ||
            !pcv_add(bytes, one, &bytes) || bytes > most)
            return pcv_refuse(r->zip->file, NULL, "the tensors have more than "
                              "%zu bytes, %d times the file's: too many share "
                              "a storage", most, MAX_GROWTH);
    }
    return 0;
}

/* ---- tensors --------------------------------------------------------- */

static bool is_contiguous(const pcv_view *w)
{
    size_t want = 1;

    for (int k = w->rank - 1; k >= 0; k--) {
        if (w->dim[k] > 1 && w->stride[k] != want)
            return false;
        want *= w->dim[k];
    }
    return true;
}

static int copy_view(reading *r, const pcv_view *w, const unsigned char *from,
                     pcv_tensor *t)
{
    size_t step[PCV_MAX_RANK], size = pcv_dtype_size(t->dtype);
    void *to = pcv_alloc(w->count, size);

    if (!to)
        return -1;
    r->t->piece[r->t->pieces++] = to;
    for (int k = 0; k < w->rank; k++)       /* of an axis of 1 any number */
        step[k] = w->dim[k] > 1 ? w->stride[k] * size : 0;
    pcv_gather(to, from, size, w->rank, w->dim, step);
    t->data = to;
    return 0;
}

/* After its last view a buffer belongs to the tensors, or to nobody. */
static void used(reading *r, hold *h)
{
    if (--h->uses)
        return;
    if (h->borrowed)
        r->t->piece[r->t->pieces++] = h->data;
    else
        pcv_free(h->data);
    h->data = NULL;
}

static int read_elements(reading *r, const pcv_view *w, pcv_tensor *t)
{
    size_t i = r->entry[w->storage];
    hold *h = &r->hold[i];
    const unsigned char *from;
    int status = 0;

    if (!h->data && !(h->data = pcv_zip_read(r->zip, i)))
        return -1;
    from = h->data + w->offset * pcv_dtype_size(t->dtype);
    if (is_contiguous(w)) {
        t->data = from;
        h->borrowed = true;
    } else {
        status = copy_view(r, w, from, t);
    }
    used(r, h);
    return status;
}

static int read_tensor(reading *r, const pcv_view_name *name)
{
    const pcv_view *w = &r->dict.view[name->view];
    pcv_tensor *t = &r->t->tensor[r->t->count];

    t->name = pcv_tensor_name(name->text, name->length, r->zip->file);
    if (!t->name)
        return -1;
    r->t->count++;
    t->dtype = r->dict.storage[w->storage].dtype;
    t->rank = w->rank;
    memcpy(t->dim, w->dim, sizeof t->dim);
    t->bytes = w->count * pcv_dtype_size(t->dtype);
    t->offset = SIZE_MAX;
    t->data = "";
    return w->count ? read_elements(r, w, t) : 0;
}

/* Each tensor has at most a copy and the buffer whose last view it is. */
static int read_tensors(reading *r)
{
    size_t n = r->dict.names;

    r->t->piece = pcv_alloc(2 * n, sizeof *r->t->piece);
    if (!r->t->piece || pcv_tensors_room(r->t, n) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        if (read_tensor(r, &r->dict.name[i]) < 0)
            return -1;
    return pcv_tensors_unique(r->t, r->zip->file);
}

/* ---- all of it ------------------------------------------------------- */

static int read_archive(reading *r)
{
    r->entry = pcv_alloc(r->dict.storages, sizeof *r->entry);
    r->hold = pcv_alloc(r->zip->count, sizeof *r->hold);
    if (!r->entry || !r->hold)
        return -1;
    for (size_t k = 0; k < r->dict.storages; k++)
        if (check_storage(r, k) < 0)
            return -1;
    return check_views(r) < 0 ? -1 : read_tensors(r);
}

/* A tensor may borrow a buffer that the failed reading still holds: it is
 * not looked at any more. */
static void free_reading(reading *r)
{
    for (size_t i = 0; r->hold && i < r->zip->count; i++)
        pcv_free(r->hold[i].data);
    pcv_free(r->hold);
    pcv_free(r->entry);
    pcv_state_dict_free(&r->dict);
}

int pcv_torch_read(pcv_tensors *t, const pcv_zip *z)
{
    reading r = { .zip = z, .pickle = pcv_torch_pickle(z), .t = t };
    size_t size = z->entry[r.pickle].size;
    void *data = NULL;
    int status = -1;

    if (check_entries(z) < 0 || check_byteorder(z, r.pickle) < 0)
        return -1;
    if (size > MAX_PICKLE)
        return pcv_refuse(z->file, NULL, "a pickle of %zu bytes, want at most "
                          "%zu", size, MAX_PICKLE);
    data = pcv_zip_read(z, r.pickle);
    if (data && pcv_state_dict_read(&r.dict, data, size, z->file) == 0)
        status = read_archive(&r);
    free_reading(&r);
    pcv_free(data);
    return status;
}
