/* archive.c - see archive.h. */
#include "archive.h"
#include "scratch.h"

#include <string.h>
#include <zlib.h>

/* ---- ZIP ------------------------------------------------------------- */

uint32_t archive_crc(const void *data, size_t n)
{
    return (uint32_t)crc32(0, data, (uInt)n);
}

static void number(pcv_buf *b, size_t bytes, uint64_t v)
{
    for (; bytes > 0; bytes--, v >>= 8)
        pcv_buf_add(b, &(unsigned char){ v & 255 }, 1);
}

/* What the header before the data and the directory have in common. */
static void common(pcv_buf *b, const archive_entry *e, size_t claim,
                   size_t name)
{
    size_t size = e->size ? e->size : e->n;
    uint32_t crc = e->method ? 0 : archive_crc(e->data, e->n);

    number(b, 2, 20);
    number(b, 2, e->flags | 0x800);
    number(b, 2, e->method);
    number(b, 4, 0x00210000);
    number(b, 4, crc ^ e->crc);
    number(b, 4, e->n + claim);
    number(b, 4, size + claim);
    number(b, 2, name);
    number(b, 2, 0);
}

void archive_add(archive *a, const archive_entry *e)
{
    const char *local = e->local ? e->local : e->name;

    if (!e->shared) {
        a->at = a->file.len;
        pcv_buf_add(&a->file, "PK\3\4", 4);
        common(&a->file, e, 0, strlen(local));
        pcv_buf_puts(&a->file, local);
        pcv_buf_add(&a->file, e->data, e->n);
    }
    pcv_buf_add(&a->directory, "PK\1\2\24\3", 6);
    common(&a->directory, e, e->claim, strlen(e->name));
    number(&a->directory, 10, 0);
    number(&a->directory, 4, a->at);
    pcv_buf_puts(&a->directory, e->name);
    a->count++;
}

void archive_put(archive *a, const char *name, const void *data, size_t n)
{
    archive_add(a, &(archive_entry){ .name = name, .data = data, .n = n });
}

void archive_end(archive *a)
{
    size_t at = a->file.len;

    pcv_buf_add(&a->file, a->directory.data, a->directory.len);
    pcv_buf_add(&a->file, "PK\5\6\0\0\0\0", 8);
    number(&a->file, 2, a->count);
    number(&a->file, 2, a->count);
    number(&a->file, 4, a->directory.len);
    number(&a->file, 4, at);
    number(&a->file, 2, 0);
    assert_false(a->file.failed || a->directory.failed);
}

void archive_free(archive *a)
{
    pcv_buf_free(&a->file);
    pcv_buf_free(&a->directory);
    *a = (archive){0};
}

void archive_deflate(pcv_buf *out, const void *data, size_t n)
{
    unsigned char piece[4096];
    z_stream z = { .next_in = (Bytef *)(uintptr_t)data, .avail_in = (uInt)n };
    int status;

    assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -15, 8, 0), Z_OK);
    do {
        z.next_out = piece;
        z.avail_out = sizeof piece;
        status = deflate(&z, Z_FINISH);
        pcv_buf_add(out, piece, sizeof piece - z.avail_out);
    } while (status == Z_OK);
    assert_int_equal(status, Z_STREAM_END);
    deflateEnd(&z);
}

/* ---- pickles --------------------------------------------------------- */

void pickle_begin(pcv_buf *b)
{
    pcv_buf_add(b, "\x80\2", 2);
}

void pickle_text(pcv_buf *b, const char *text)
{
    pcv_buf_puts(b, "X");
    number(b, 4, strlen(text));
    pcv_buf_puts(b, text);
}

void pickle_int(pcv_buf *b, int64_t n)
{
    if (n >= 0 && n < 256) {
        pcv_buf_puts(b, "K");
        number(b, 1, (uint64_t)n);
    } else {
        pcv_buf_add(b, "\x8a\10", 2);
        number(b, 8, (uint64_t)n);
    }
}

void pickle_global(pcv_buf *b, const char *module, const char *name)
{
    pcv_buf_printf(b, "c%s\n%s\n", module, name);
}

void pickle_storage(pcv_buf *b, const char *type, const char *key,
                    int64_t count)
{
    pcv_buf_puts(b, "(");
    pickle_text(b, "storage");
    pickle_global(b, "torch", type);
    pickle_text(b, key);
    pickle_text(b, "cpu");
    pickle_int(b, count);
    pcv_buf_puts(b, "tQ");
}

static void sizes(pcv_buf *b, int rank, const int64_t *size)
{
    pcv_buf_puts(b, "(");
    for (int k = 0; k < rank; k++)
        pickle_int(b, size[k]);
    pcv_buf_puts(b, "t");
}

void pickle_tensor(pcv_buf *b, const pickle_view *v)
{
    int64_t dense[9], step = 1;

    for (int k = v->rank - 1; k >= 0 && !v->stride; k--) {
        dense[k] = step;
        step *= v->dim[k];
    }
    pickle_global(b, "torch._utils", "_rebuild_tensor_v2");
    pcv_buf_puts(b, "(");
    pickle_storage(b, v->type, v->key, v->count);
    pickle_int(b, v->offset);
    sizes(b, v->rank, v->dim);
    sizes(b, v->rank, v->stride ? v->stride : dense);
    pcv_buf_puts(b, "\x89" "ccollections\nOrderedDict\n)RtR");
}

void pickle_one(pcv_buf *b, const pickle_view *v)
{
    pickle_begin(b);
    pcv_buf_puts(b, "}");
    pickle_text(b, "a");
    pickle_tensor(b, v);
    pcv_buf_puts(b, "s.");
    assert_false(b->failed);
}

void archive_torch(const char *name, const pcv_buf *pickle, size_t n)
{
    unsigned char data[256];
    archive a = {0};

    assert_true(n <= sizeof data);
    for (size_t i = 0; i < n; i++)
        data[i] = (unsigned char)i;
    archive_put(&a, "p/data.pkl", pickle->data, pickle->len);
    archive_put(&a, "p/byteorder", "little", 6);
    archive_put(&a, "p/data/0", data, n);
    archive_put(&a, "p/version", "3\n", 2);
    archive_end(&a);
    scratch_put(name, a.file.data, a.file.len);
    archive_free(&a);
}
