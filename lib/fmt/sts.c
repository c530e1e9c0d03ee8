/* sts.c - a stream of latents: records, each the image of a safetensors
 * file, and an end record, which tells a finished stream from one whose
 * producer was killed.
 *
 *     u64 N | N bytes of JSON | data, as long as the largest offset says
 *
 * __metadata__ holds "pcv.kind" ("end" for the end record, "error" for a
 * failed item; neither has tensors) and "pcv.xxh3", 16 hexadecimal digits,
 * XXH3 with 64 bits of the data.  Streams may be concatenated: an end record
 * in the middle is passed over, but the last record has to be one. */
#include "fmt.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PREFIX 8
#define MAX_HEADER 100000000
#define CHUNK 65536
#define HASH "pcv.xxh3"

/* ---- writing --------------------------------------------------------- */

static size_t out_bytes(const pcv_tensor_out *t)
{
    size_t bytes = pcv_dtype_size(t->dtype);

    for (int i = 0; i < t->rank; i++)
        bytes *= t->dim[i];
    return bytes;
}

static int hash_tensors(char *text, const pcv_tensor_out *t, size_t count)
{
    pcv_hash *h = pcv_hash_open(PCV_HASH_64);

    if (!h)
        return -1;
    for (size_t i = 0; i < count; i++)
        pcv_hash_add(h, t[i].data, out_bytes(&t[i]));
    pcv_hash_close(h, text);
    return 0;
}

/* Copies the metadata without an old checksum, for there may be one in what
 * was read from another stream; returns how many remain. */
static size_t copy_metadata(const char **to_key, const char **to_value,
                            const char *const *key, const char *const *value,
                            size_t keys)
{
    size_t n = 0;

    for (size_t i = 0; i < keys; i++)
        if (strcmp(key[i], HASH) != 0) {
            to_key[n] = key[i];
            to_value[n++] = value[i];
        }
    return n;
}

void pcv_sts_record(pcv_buf *b, const pcv_tensor_out *t, size_t count,
                    const char *const *key, const char *const *value,
                    size_t keys)
{
    char hash[PCV_HASH_64 + 1];
    const char **k = pcv_alloc(keys + 1, sizeof *k);
    const char **v = pcv_alloc(keys + 1, sizeof *v);

    if (!k || !v || (count && hash_tensors(hash, t, count) < 0)) {
        b->failed = true;
    } else {
        size_t n = copy_metadata(k, v, key, value, keys);

        if (count) {
            k[n] = HASH;
            v[n++] = hash;
        }
        pcv_tensors_header(b, t, count, k, v, n);
        for (size_t i = 0; i < count; i++)
            pcv_buf_add(b, t[i].data, out_bytes(&t[i]));
    }
    pcv_free(k);
    pcv_free(v);
}

/* ---- reading --------------------------------------------------------- */

struct pcv_sts {
    int fd;
    char *name;
    pcv_buf image;          /* of the current record */
    pcv_buf where;          /* "NAME: record 17", for messages */
    long records;           /* returned so far; end records do not count */
    bool ended;             /* the record before was an end record */
    bool failed;
};

pcv_sts *pcv_sts_open(int fd, const char *name)
{
    pcv_sts *s = pcv_alloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->fd = fd;
    s->name = pcv_strdup(name);
    if (!s->name) {
        pcv_free(s);
        return NULL;
    }
    return s;
}

void pcv_sts_close(pcv_sts *s)
{
    if (!s)
        return;
    pcv_buf_free(&s->image);
    pcv_buf_free(&s->where);
    pcv_free(s->name);
    pcv_free(s);
}

static int refuse(const pcv_sts *s, int code, const char *what, ...)
    __attribute__((format(printf, 3, 4)));

static int refuse(const pcv_sts *s, int code, const char *what, ...)
{
    pcv_buf b = {0};
    va_list ap;

    pcv_buf_escape(&b, s->name);
    pcv_buf_puts(&b, ": ");
    va_start(ap, what);
    pcv_buf_vprintf(&b, what, ap);
    va_end(ap);
    if (!b.failed)
        pcv_fail(code, "%s", b.data);
    pcv_buf_free(&b);
    return -1;
}

static int refuse_end(const pcv_sts *s)
{
    static const char why[] =
        "without an end record: the producer failed or was killed";

    if (s->records == 0)
        return refuse(s, EX_DATAERR, "stream ends before the first record "
                      "%s", why);
    return refuse(s, EX_DATAERR, "stream ends after record %ld %s",
                  s->records - 1, why);
}

static int refuse_cut(const pcv_sts *s, const char *part, size_t got,
                      size_t want)
{
    return refuse(s, EX_DATAERR, "stream ends inside record %ld, after %zu "
                  "of %zu bytes of its %s: the producer failed or was "
                  "killed", s->records, got, want, part);
}

/* Appends n bytes to the image.  The buffer grows with what arrives, so a
 * length that lies costs nothing.  1 all of it, 0 a stream that ends before
 * the first byte, -1 an error. */
static int take(pcv_sts *s, size_t n, const char *part)
{
    char chunk[CHUNK];
    size_t got = 0;

    while (got < n) {
        size_t want = n - got < CHUNK ? n - got : CHUNK;
        ssize_t r = read(s->fd, chunk, want);

        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return refuse(s, EX_IOERR, "%s", strerror(errno));
        if (r == 0)
            return got || s->image.len ? refuse_cut(s, part, got, n) : 0;
        pcv_buf_add(&s->image, chunk, (size_t)r);
        if (s->image.failed)
            return -1;
        got += (size_t)r;
    }
    return 1;
}

static int take_header(pcv_sts *s, size_t *length)
{
    int status = take(s, PREFIX, "length");
    uint64_t n = 0;

    if (status <= 0)
        return status;
    for (int i = PREFIX - 1; i >= 0; i--)
        n = n << 8 | (unsigned char)s->image.data[i];
    if (n > MAX_HEADER)
        return refuse(s, EX_DATAERR, "record %ld has a header of %ju bytes, "
                      "want at most %d: not a stream of latents",
                      s->records, (uintmax_t)n, MAX_HEADER);
    *length = (size_t)n;
    return take(s, *length, "header");
}

/* Only how much to read: everything else, and whether the tensors agree
 * with it, pcv_tensors_parse checks once the data is there. */
static int data_length(const pcv_sts *s, size_t header, size_t *length)
{
    pcv_json *doc = pcv_json_parse(s->image.data + PREFIX, header,
                                   s->where.data);

    *length = 0;
    if (!doc)
        return -1;
    for (size_t i = 0; i < pcv_json_count(doc); i++) {
        const pcv_json *v = pcv_json_value(doc, i);
        const pcv_json *at = pcv_json_get(v, "data_offsets");
        int64_t end = pcv_json_int(pcv_json_at(at, 1));

        if (end > 0 && (size_t)end > *length)
            *length = (size_t)end;
    }
    pcv_json_close(doc);
    return 0;
}

/* 1 and an image in the buffer, 0 at the end of the stream, -1. */
static int take_image(pcv_sts *s, size_t *data)
{
    size_t header = 0, length = 0;
    int status;

    pcv_buf_clear(&s->image);
    pcv_buf_clear(&s->where);
    pcv_buf_printf(&s->where, "%s: record %ld", s->name, s->records);
    if (s->where.failed)
        return -1;
    status = take_header(s, &header);
    if (status <= 0)
        return status;
    if (data_length(s, header, &length) < 0 || take(s, length, "data") < 0)
        return -1;
    *data = PREFIX + header;
    return 1;
}

static int check_hash(const pcv_sts *s, const pcv_tensors *record,
                      size_t data)
{
    const char *want = pcv_tensors_meta(record, HASH);
    char have[PCV_HASH_64 + 1];

    if (!want)
        return 0;
    if (pcv_hash_bytes(s->image.data + data, s->image.len - data, PCV_HASH_64,
                       have) < 0)
        return -1;
    if (strcmp(have, want) == 0)
        return 0;
    return refuse(s, EX_DATAERR, "record %ld is damaged: its data has the "
                  "checksum %s, which is not the one it names", s->records,
                  have);
}

/* 1 an item, 0 an end record, -1. */
static int check_record(const pcv_sts *s, const pcv_tensors *record,
                        size_t data)
{
    const char *kind = pcv_tensors_meta(record, "pcv.kind");
    bool end = kind && strcmp(kind, "end") == 0;
    bool error = kind && strcmp(kind, "error") == 0;

    if ((end || error) && record->count)
        return refuse(s, EX_DATAERR, "record %ld of kind %s has %zu "
                      "tensors, want none", s->records, kind,
                      record->count);
    if (check_hash(s, record, data) < 0)
        return -1;
    return end ? 0 : 1;
}

static int next(pcv_sts *s, pcv_tensors *record)
{
    for (;;) {
        size_t data = 0;
        int status = take_image(s, &data);

        if (status < 0)
            return -1;
        if (status == 0)
            return s->ended ? 0 : refuse_end(s);
        if (pcv_tensors_parse(record, s->image.data, s->image.len,
                              s->where.data) < 0)
            return -1;
        status = check_record(s, record, data);
        if (status != 1)
            pcv_tensors_close(record);
        if (status < 0)
            return -1;
        s->ended = status == 0;
        if (status == 1) {
            s->records++;
            return 1;
        }
    }
}

int pcv_sts_next(pcv_sts *s, pcv_tensors *record)
{
    int status;

    *record = (pcv_tensors){0};
    if (s->failed)
        return refuse(s, EX_DATAERR, "stream failed before");
    status = next(s, record);
    s->failed = status < 0;
    return status;
}
