/* safetensors.c - named arrays in a file that can be mapped.
 *
 *     u64 little-endian N | N bytes of JSON | data
 *     {"__metadata__": {"key": "value"}, "name": {"dtype": "F32",
 *      "shape": [2, 3], "data_offsets": [begin, end]}, ...}
 *
 * Offsets count from the start of the data.  Ordered by them the arrays
 * are contiguous: the first begins at 0, each where the one before ended,
 * the last ends where the file does.  Everything is checked on opening, so
 * that nobody who holds a pcv_tensor has to. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

#define PREFIX 8
#define MAX_HEADER 100000000
#define CHECKSUM "pcv.xxh3"

/* ---- one entry of the header ----------------------------------------- */

/* Tensors while they are being read: offsets beside them, for the order. */
struct entry {
    pcv_tensor tensor;
    size_t begin, end;
};

/* A JSON integer that is a size; 4.0 is none. */
static bool get_size(const pcv_json *v, size_t *out)
{
    int64_t n;

    if (!v || pcv_json_kind(v) != PCV_JINT)
        return false;
    n = pcv_json_int(v);
    if (n < 0 || (int64_t)(size_t)n != n)
        return false;
    *out = (size_t)n;
    return true;
}

static int read_dtype(struct entry *e, const pcv_json *v, const char *file)
{
    const char *name = pcv_json_string(pcv_json_get(v, "dtype"));

    if (!name)
        return pcv_refuse(file, e->tensor.name, "has no dtype");
    if (pcv_dtype_find(name, &e->tensor.dtype) < 0)
        return pcv_refuse_text(file, e->tensor.name, "is of type", name,
                               ", which is not supported");
    return 0;
}

static int read_shape(struct entry *e, const pcv_json *v, const char *file)
{
    const pcv_json *shape = pcv_json_get(v, "shape");
    const char *name = e->tensor.name;
    size_t rank = pcv_json_count(shape);
    size_t bytes = pcv_dtype_size(e->tensor.dtype);

    if (!shape || pcv_json_kind(shape) != PCV_JARRAY)
        return pcv_refuse(file, name, "has no shape");
    if (rank > PCV_MAX_RANK)
        return pcv_refuse(file, name, "has rank %zu, want at most %d", rank,
                          PCV_MAX_RANK);
    for (size_t i = 0; i < rank; i++)
        if (!get_size(pcv_json_at(shape, i), &e->tensor.dim[i]))
            return pcv_refuse(file, name, "has a shape whose dimension %zu is "
                              "not a size", i);
    for (size_t i = 0; i < rank; i++)
        if (!pcv_mul(bytes, e->tensor.dim[i], &bytes))
            return pcv_refuse(file, name, "has a shape too large to address");
    e->tensor.rank = (int)rank;
    e->tensor.bytes = bytes;
    return 0;
}

static int read_offsets(struct entry *e, const pcv_json *v, size_t room,
                        const char *file)
{
    const pcv_json *at = pcv_json_get(v, "data_offsets");
    const char *name = e->tensor.name;

    if (pcv_json_count(at) != 2 || !get_size(pcv_json_at(at, 0), &e->begin) ||
        !get_size(pcv_json_at(at, 1), &e->end))
        return pcv_refuse(file, name, "has no data_offsets of two sizes");
    if (e->begin > e->end)
        return pcv_refuse(file, name, "begins at %zu and ends before, at %zu",
                          e->begin, e->end);
    if (e->end > room)
        return pcv_refuse(file, name, "ends at byte %zu of the data, which has "
                          "%zu: truncated", e->end, room);
    if (e->end - e->begin != e->tensor.bytes)
        return pcv_refuse(file, name, "takes %zu bytes, its shape and type "
                          "want %zu", e->end - e->begin, e->tensor.bytes);
    return 0;
}

static int read_entry(struct entry *e, const char *name, const pcv_json *v,
                      size_t room, const char *file)
{
    if (strlen(name) > PCV_MAX_NAME)
        return pcv_refuse(file, NULL, "a tensor's name has %zu bytes, want at "
                          "most %d", strlen(name), PCV_MAX_NAME);
    e->tensor.name = pcv_strdup(name);
    if (!e->tensor.name)
        return -1;
    if (pcv_json_kind(v) != PCV_JOBJECT)
        return pcv_refuse(file, name, "is described by something other than an "
                          "object");
    if (read_dtype(e, v, file) < 0 || read_shape(e, v, file) < 0)
        return -1;
    return read_offsets(e, v, room, file);
}

static int read_metadata(pcv_tensors *t, const pcv_json *v, const char *file)
{
    size_t n = pcv_json_count(v);

    if (pcv_json_kind(v) != PCV_JOBJECT)
        return pcv_refuse(file, NULL, "__metadata__ is not an object");
    t->key = pcv_alloc(n, sizeof *t->key);
    t->value = pcv_alloc(n, sizeof *t->value);
    if (!t->key || !t->value)
        return -1;
    t->keys = n;
    for (size_t i = 0; i < n; i++) {
        const char *key = pcv_json_key(v, i);
        const char *text = pcv_json_string(pcv_json_value(v, i));

        if (!text)
            return pcv_refuse_text(file, NULL, "__metadata__", key,
                                   " is not a string");
        t->key[i] = pcv_strdup(key);
        t->value[i] = pcv_strdup(text);
        if (!t->key[i] || !t->value[i])
            return -1;
    }
    return 0;
}

/* ---- the whole header ------------------------------------------------ */

/* Of the tensors that begin together the empty ones come first; names keep
 * the order of those fixed. */
static int by_offset(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;

    if (x->begin != y->begin)
        return x->begin < y->begin ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return strcmp(x->tensor.name, y->tensor.name);
}

static int refuse_overlap(const struct entry *a, const struct entry *b,
                          const char *file)
{
    pcv_buf what = {0};

    pcv_buf_printf(&what, "[%zu,%zu) overlaps \"", b->begin, b->end);
    pcv_buf_escape(&what, a->tensor.name);
    pcv_buf_printf(&what, "\" [%zu,%zu)", a->begin, a->end);
    if (!what.failed)
        pcv_refuse(file, b->tensor.name, "%s: not a valid safetensors file",
                   what.data);
    pcv_buf_free(&what);
    return -1;
}

static int check_order(const struct entry *e, size_t count, size_t room,
                       const char *file)
{
    size_t end = 0;

    for (size_t i = 0; i < count; i++) {
        if (e[i].begin < end)
            return refuse_overlap(&e[i - 1], &e[i], file);
        if (e[i].begin > end)
            return pcv_refuse(file, e[i].tensor.name, "begins at %zu, want "
                              "%zu: a gap in the data", e[i].begin, end);
        end = e[i].end;
    }
    if (end < room)
        return pcv_refuse(file, NULL, "%zu bytes follow the last tensor, want "
                          "none", room - end);
    return 0;
}

static int read_entries(struct entry *e, size_t *count, pcv_tensors *t,
                        const pcv_json *header, size_t room,
                        const char *file)
{
    size_t n = pcv_json_count(header);

    for (size_t i = 0; i < n; i++) {
        const char *name = pcv_json_key(header, i);
        const pcv_json *v = pcv_json_value(header, i);
        int status;

        if (strcmp(name, "__metadata__") == 0)
            status = read_metadata(t, v, file);
        else
            status = read_entry(&e[(*count)++], name, v, room, file);
        if (status < 0)
            return -1;
    }
    return 0;
}

/* The names pass from the entries to t, which from then on frees them. */
static int hand_over(pcv_tensors *t, struct entry *e, size_t count,
                     const unsigned char *data)
{
    if (pcv_tensors_room(t, count) < 0)
        return -1;
    for (size_t i = 0; i < count; i++) {
        e[i].tensor.data = data + e[i].begin;
        e[i].tensor.offset = e[i].begin;
        t->tensor[i] = e[i].tensor;
        e[i].tensor.name = NULL;
    }
    t->count = count;
    return 0;
}

static int read_header(pcv_tensors *t, const pcv_json *header,
                       const unsigned char *data, size_t room,
                       const char *file)
{
    size_t n = pcv_json_count(header), count = 0;
    struct entry *e;
    int status = -1;

    if (pcv_json_get(header, "__metadata__"))
        n--;
    if (n > PCV_MAX_TENSORS)
        return pcv_refuse(file, NULL, "%zu tensors, want at most %d", n,
                          PCV_MAX_TENSORS);
    e = pcv_alloc(n, sizeof *e);
    if (!e)
        return -1;
    if (read_entries(e, &count, t, header, room, file) == 0) {
        qsort(e, count, sizeof *e, by_offset);
        if (check_order(e, count, room, file) == 0)
            status = hand_over(t, e, count, data);
    }
    for (size_t i = 0; i < count; i++)
        pcv_free(e[i].tensor.name);
    pcv_free(e);
    return status;
}

static uint64_t load_length(const unsigned char *p)
{
    uint64_t n = 0;

    for (int i = PREFIX - 1; i >= 0; i--)
        n = n << 8 | p[i];
    return n;
}

/* The header's length, or 0 and a message. */
static size_t header_length(const unsigned char *p, size_t n,
                            const char *file)
{
    uint64_t length;

    if (n < PREFIX) {
        pcv_refuse(file, NULL, "%zu bytes, want at least 8: not a safetensors "
                   "file", n);
        return 0;
    }
    length = load_length(p);
    if (length > MAX_HEADER)
        pcv_refuse(file, NULL, "the header has %ju bytes, want at most %d: not "
                   "a safetensors file", (uintmax_t)length, MAX_HEADER);
    else if (length > n - PREFIX)
        pcv_refuse(file, NULL, "the header has %ju bytes, the file only %zu "
                   "after its length: truncated, or not a safetensors file",
                   (uintmax_t)length, n - PREFIX);
    else if (length == 0)
        pcv_refuse(file, NULL, "the header is empty");
    else
        return (size_t)length;
    return 0;
}

/* Some writers put spaces first to align the data; nothing else may stand
 * before the brace. */
static pcv_json *parse_header(const unsigned char *p, size_t n,
                              const char *file)
{
    size_t spaces = 0;

    while (spaces < n && p[spaces] == ' ')
        spaces++;
    if (spaces == n || p[spaces] != '{') {
        pcv_refuse(file, NULL, "the header does not begin with '{': not a "
                   "safetensors file");
        return NULL;
    }
    return pcv_json_parse((const char *)p, n, file);
}

int pcv_safetensors_read(pcv_tensors *t, const void *data, size_t n,
                         const char *name)
{
    const unsigned char *p = data;
    size_t length = header_length(p, n, name);
    pcv_json *header;
    int status;

    if (length == 0)
        return -1;
    header = parse_header(p + PREFIX, length, name);
    if (!header)
        return -1;
    status = read_header(t, header, p + PREFIX + length, n - PREFIX - length,
                         name);
    pcv_json_close(header);
    for (size_t i = 0; i < t->count; i++)
        t->tensor[i].offset += PREFIX + length;
    return status;
}

/* ---- writing --------------------------------------------------------- */

static void add_string(pcv_buf *b, const char *s)
{
    pcv_buf_puts(b, "\"");
    pcv_buf_json(b, s, strlen(s));
    pcv_buf_puts(b, "\"");
}

static void add_metadata(pcv_buf *b, const char *const *key,
                         const char *const *value, size_t keys)
{
    pcv_buf_puts(b, "\"__metadata__\":{");
    for (size_t i = 0; i < keys; i++) {
        pcv_buf_puts(b, i ? "," : "");
        add_string(b, key[i]);
        pcv_buf_puts(b, ":");
        add_string(b, value[i]);
    }
    pcv_buf_puts(b, "}");
}

/* Arrays in memory have sizes that fit: no checks here. */
static size_t out_bytes(const pcv_tensor_out *t)
{
    size_t bytes = pcv_dtype_size(t->dtype);

    for (int i = 0; i < t->rank; i++)
        bytes *= t->dim[i];
    return bytes;
}

static void add_tensor(pcv_buf *b, const pcv_tensor_out *t, size_t begin)
{
    add_string(b, t->name);
    pcv_buf_printf(b, ":{\"dtype\":\"%s\",\"shape\":[",
                   pcv_dtype_name(t->dtype));
    for (int i = 0; i < t->rank; i++)
        pcv_buf_printf(b, i ? ",%zu" : "%zu", t->dim[i]);
    pcv_buf_printf(b, "],\"data_offsets\":[%zu,%zu]}", begin,
                   begin + out_bytes(t));
}

/* The prefix is known only once the header is written. */
static void store_length(pcv_buf *b, size_t start)
{
    uint64_t n = b->len - start - PREFIX;

    for (size_t i = 0; i < PREFIX; i++)
        b->data[start + i] = (char)(n >> 8 * i & 0xff);
}

void pcv_tensors_header(pcv_buf *b, const pcv_tensor_out *t, size_t count,
                        const char *const *key, const char *const *value,
                        size_t keys)
{
    size_t start = b->len, begin = 0;

    pcv_buf_add(b, "\0\0\0\0\0\0\0\0", PREFIX);
    pcv_buf_puts(b, "{");
    if (keys)
        add_metadata(b, key, value, keys);
    for (size_t i = 0; i < count; i++) {
        pcv_buf_puts(b, i || keys ? "," : "");
        add_tensor(b, &t[i], begin);
        begin += out_bytes(&t[i]);
    }
    pcv_buf_puts(b, "}");
    while (!b->failed && (b->len - start) % 8)
        pcv_buf_puts(b, " ");
    if (!b->failed)
        store_length(b, start);
}

/* Header and data to where `previous` stays behind, unless that is NULL. */
static int write_all(pcv_saver *s, const char *previous, const pcv_buf *header,
                     const pcv_tensor_out *t, size_t count)
{
    int status = pcv_saver_write(s, header->data, header->len);

    for (size_t i = 0; status == 0 && i < count; i++)
        status = pcv_saver_write(s, t[i].data, out_bytes(&t[i]));
    if (status == 0 && previous)
        status = pcv_saver_keep(s, previous);
    if (status == 0)
        return pcv_saver_commit(s);
    pcv_saver_abort(s);
    return -1;
}

int pcv_tensors_save(const char *path, const pcv_tensor_out *t, size_t count,
                     const char *const *key, const char *const *value,
                     size_t keys)
{
    pcv_buf header = {0};
    pcv_saver *s;
    int status = -1;

    pcv_tensors_header(&header, t, count, key, value, keys);
    s = header.failed ? NULL : pcv_saver_open(path);
    if (s)
        status = write_all(s, NULL, &header, t, count);
    pcv_buf_free(&header);
    return status;
}

/* ---- with a checksum ------------------------------------------------- */

/* How a header with a checksum begins; its digits follow. */
static const char opening[] = "{\"__metadata__\":{\"" CHECKSUM "\":\"";
static const char no_digits[] = "00000000000000000000000000000000";

enum { DIGITS_AT = PREFIX + sizeof opening - 1 };

static int hash_out(const pcv_buf *header, const pcv_tensor_out *t,
                    size_t count, char *digits)
{
    pcv_hash *h = pcv_hash_open(PCV_HASH_128);

    if (!h)
        return -1;
    pcv_hash_add(h, header->data, header->len);
    for (size_t i = 0; i < count; i++)
        pcv_hash_add(h, t[i].data, out_bytes(&t[i]));
    pcv_hash_close(h, digits);
    return 0;
}

static int checked_header(pcv_buf *b, const pcv_tensor_out *t, size_t count,
                          const char *const *key, const char *const *value,
                          size_t keys)
{
    char digits[PCV_HASH_128 + 1];
    const char **k = pcv_alloc(keys + 1, sizeof *k);
    const char **v = pcv_alloc(keys + 1, sizeof *v);
    int status = -1;

    if (k && v) {
        k[0] = CHECKSUM;
        v[0] = no_digits;
        memcpy(k + 1, key, keys * sizeof *k);
        memcpy(v + 1, value, keys * sizeof *v);
        pcv_tensors_header(b, t, count, k, v, keys + 1);
        if (!b->failed)
            status = hash_out(b, t, count, digits);
    }
    if (status == 0)
        memcpy(b->data + DIGITS_AT, digits, PCV_HASH_128);
    pcv_free(k);
    pcv_free(v);
    return status;
}

int pcv_tensors_save_checked(const char *path, const char *previous,
                             const pcv_tensor_out *t, size_t count,
                             const char *const *key, const char *const *value,
                             size_t keys)
{
    pcv_buf header = {0};
    pcv_saver *s = NULL;
    int status = -1;

    if (checked_header(&header, t, count, key, value, keys) == 0)
        s = pcv_saver_open(path);
    if (s)
        status = write_all(s, previous, &header, t, count);
    pcv_buf_free(&header);
    return status;
}

/* The digits are compared as they are written: no bit of them is free. */
int pcv_safetensors_check(const void *data, size_t n, const char *name)
{
    const char *p = data;
    char digits[PCV_HASH_128 + 1];
    size_t after = DIGITS_AT + PCV_HASH_128;
    pcv_hash *h;

    if (n < after || memcmp(p + PREFIX, opening, sizeof opening - 1))
        return pcv_refuse(name, NULL, "has no checksum, or is damaged where "
                          "it should be");
    if (!(h = pcv_hash_open(PCV_HASH_128)))
        return -1;
    pcv_hash_add(h, p, DIGITS_AT);
    pcv_hash_add(h, no_digits, PCV_HASH_128);
    pcv_hash_add(h, p + after, n - after);
    pcv_hash_close(h, digits);
    if (memcmp(digits, p + DIGITS_AT, PCV_HASH_128) == 0)
        return 0;
    return pcv_refuse(name, NULL, "is damaged: its checksum, %s, is not the "
                      "one that it names", digits);
}
