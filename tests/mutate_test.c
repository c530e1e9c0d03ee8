/* mutate_test.c - files of weights with a few bytes changed, thousands of
 * them and the same in every run: bytes replaced, numbers at the ends of their
 * range, blocks copied, cut out, or put in, the end cut off.
 *
 * Whatever is accepted has to be a set of tensors that could have been meant:
 * its names valid, its sizes those of its shapes, every byte of it there to be
 * read (the sanitizers look).  What is refused says so as bad data: running
 * out of memory would mean that a size was believed before it was checked.
 *
 * Checksums of a ZIP find most changes.  So that others than they are tested,
 * pickles and .npy files are also changed before they go into an archive. */
#include "archive.h"
#include "scratch.h"

#include <stdio.h>
#include <string.h>

enum { TIMES = 2500, MOST = 4096 };

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

/* ---- changes --------------------------------------------------------- */

typedef struct {
    unsigned char data[2 * MOST];
    size_t n;
} image;

typedef struct {
    uint64_t stream, index;     /* of the random numbers */
} dice;

static size_t throw(dice *d, size_t sides)
{
    return sides ? (size_t)(pcv_random(17, d->stream, d->index++) % sides) : 0;
}

static void replace_bytes(image *m, dice *d)
{
    for (size_t k = throw(d, 8) + 1; k > 0 && m->n > 0; k--)
        m->data[throw(d, m->n)] = (unsigned char)throw(d, 256);
}

/* One bit of a few bytes. */
static void flip_bits(image *m, dice *d)
{
    for (size_t k = throw(d, 3) + 1; k > 0 && m->n > 0; k--)
        m->data[throw(d, m->n)] ^= (unsigned char)(1 << throw(d, 8));
}

/* A number of 1, 2, 4 or 8 bytes, low byte first. */
static void set_number(image *m, dice *d)
{
    static const uint64_t value[] = {
        0, 1, 2, 0x7f, 0x80, 0xff, 0x7fff, 0x8000, 0xffff, 0x7fffffff,
        0x80000000, 0xffffffff, UINT64_C(1) << 62, INT64_MAX,
        UINT64_C(1) << 63, UINT64_MAX - 7, UINT64_MAX, '{', '"', '9',
    };
    uint64_t v = value[throw(d, PCV_LEN(value))];
    size_t width = (size_t)1 << throw(d, 4), at = throw(d, m->n);

    for (size_t i = 0; i < width && at + i < m->n; i++, v >>= 8)
        m->data[at + i] = (unsigned char)(v & 255);
}

static void copy_block(image *m, dice *d)
{
    size_t from = throw(d, m->n), to = throw(d, m->n), n = throw(d, 64);

    n = n < m->n - from ? n : m->n - from;
    n = n < m->n - to ? n : m->n - to;
    memmove(m->data + to, m->data + from, n);
}

static void cut_block(image *m, dice *d)
{
    size_t at = throw(d, m->n), n = throw(d, 32);

    n = n < m->n - at ? n : m->n - at;
    memmove(m->data + at, m->data + at + n, m->n - at - n);
    m->n -= n;
}

static void double_block(image *m, dice *d)
{
    size_t at = throw(d, m->n), n = throw(d, 32);

    n = n < m->n - at ? n : m->n - at;
    if (m->n + n > sizeof m->data)
        return;
    memmove(m->data + at + n, m->data + at, m->n - at);
    m->n += n;
}

static void cut_end(image *m, dice *d)
{
    m->n = throw(d, m->n);
}

static void change(image *m, const pcv_buf *from, uint64_t stream)
{
    static void (*const way[])(image *, dice *) = {
        replace_bytes, replace_bytes, flip_bits, flip_bits, set_number,
        set_number, copy_block, cut_block, double_block, cut_end,
    };
    dice d = { .stream = stream };

    assert_true(from->len <= MOST);
    memcpy(m->data, from->data, from->len);
    m->n = from->len;
    do
        way[throw(&d, PCV_LEN(way))](m, &d);
    while (throw(&d, 4) == 0);
}

/* ---- what must hold -------------------------------------------------- */

static void check_name(const pcv_tensors *t, size_t i)
{
    const char *name = t->tensor[i].name;
    size_t n = strlen(name);

    assert_true(n <= 1024);
    for (int step; n > 0; name += step, n -= (size_t)step)
        assert_true((step = pcv_utf8(name, n)) > 0);
    for (size_t k = 0; k < i; k++)
        assert_string_not_equal(t->tensor[k].name, t->tensor[i].name);
}

/* Every byte is read; the sum keeps the reads. */
static size_t check_tensor(const pcv_tensor *t, unsigned *sum)
{
    const unsigned char *p = t->data;
    size_t bytes = pcv_dtype_size(t->dtype);

    assert_true(t->rank >= 0 && t->rank <= PCV_MAX_RANK);
    for (int k = 0; k < t->rank; k++)
        assert_true(pcv_mul(bytes, t->dim[k], &bytes));
    assert_true(bytes == t->bytes);
    assert_non_null(p);
    for (size_t i = 0; i < bytes; i++)
        *sum += p[i];
    return bytes;
}

static void check_message(void)
{
    int code = pcv_error_code();

    if (code != EX_DATAERR && code != EX_NOINPUT)
        fail_msg("%d: %s", code, pcv_error());
    assert_true(*pcv_error() != '\0');
    for (const char *p = pcv_error(); *p; p++)
        assert_true((unsigned char)*p >= ' ' && *p != 0x7f);
    pcv_error_clear();
}

/* Opens file x, of n bytes; its tensors may have `most` times as many. */
static bool check_file(size_t n, size_t most)
{
    pcv_tensors t;
    size_t bytes = 0;
    unsigned sum = 0;

    if (pcv_tensors_open(&t, "x") < 0) {
        assert_int_equal(t.count, 0);
        check_message();
        return false;
    }
    for (size_t i = 0; i < t.count; i++) {
        check_name(&t, i);
        bytes += check_tensor(&t.tensor[i], &sum);
    }
    assert_true(bytes <= most * n);
    assert_int_equal(pcv_error_code(), 0);
    pcv_tensors_close(&t);
    return true;
}

static void check_asks(void)
{
    pcv_requests a;

    if (pcv_requests_read(&a, "x") < 0)
        check_message();
    pcv_requests_free(&a);
}

/* What becomes of a changed image before it is x. */
typedef void wrap(const image *m);

static void as_it_is(const image *m)
{
    scratch_put("x", m->data, m->n);
}

static void in_torch(const image *m)
{
    const pcv_buf p = { .data = (char *)(uintptr_t)m->data, .len = m->n };

    archive_torch("x", &p, 24);
}

static void in_npz(const image *m)
{
    archive a = {0};

    archive_put(&a, "a.npy", m->data, m->n);
    archive_end(&a);
    scratch_put("x", a.file.data, a.file.len);
    archive_free(&a);
}

static void check_all(const pcv_buf *from, uint64_t stream, size_t most,
                      wrap *f)
{
    static image m;
    int accepted = 0;

    m.n = from->len;
    memcpy(m.data, from->data, from->len);
    f(&m);
    assert_true(check_file(from->len + 1024, most));
    for (int i = 0; i < TIMES; i++) {
        change(&m, from, stream << 32 | (uint64_t)i);
        f(&m);
        accepted += check_file(m.n + 1024, most);
        if (f == in_torch || most == 4)
            check_asks();
    }
    assert_true(accepted < TIMES);
    print_message("%d of %d are still files of weights\n", accepted, TIMES);
}

/* ---- the files ------------------------------------------------------- */

static void take(pcv_buf *b, const char *file)
{
    pcv_file f;

    pcv_buf_clear(b);
    assert_int_equal(pcv_file_open(&f, file, 0), 0);
    pcv_buf_add(b, f.data, f.size);
    pcv_file_close(&f);
}

static void save_shard(void)
{
    static const char *const key[] = {"format"}, *const value[] = {"pt"};
    static const float data[] = {1, 2, 3, 4, 5, 6};
    const pcv_tensor_out out[] = {
        {"layer.0.weight", PCV_F32, 2, {2, 3}, data},
        {"layer.0.bias", PCV_F16, 1, {3}, data},
        {"none", PCV_I64, 2, {0, 3}, data},
        {"scalar", PCV_U8, 0, {0}, data},
    };

    assert_int_equal(pcv_tensors_save("shard", out, PCV_LEN(out), key, value,
                                      1), 0);
}

static void test_safetensors(void **state)
{
    pcv_buf b = {0};

    (void)state;
    save_shard();
    take(&b, "shard");
    check_all(&b, 1, 1, as_it_is);
    pcv_buf_free(&b);
}

/* A state dict with most of what one can have. */
static void make_pickle(pcv_buf *p)
{
    static const int64_t across[] = {1, 3};
    pickle_view v = { .type = "FloatStorage", .key = "0", .count = 6,
                      .rank = 2, .dim = {2, 3} };

    pickle_begin(p);
    pcv_buf_puts(p, "}(");
    pickle_text(p, "epoch");
    pcv_buf_puts(p, "K\1");
    pickle_text(p, "state_dict");
    pcv_buf_puts(p, "ccollections\nOrderedDict\n)R(");
    pickle_text(p, "whole");
    pickle_tensor(p, &v);
    pcv_buf_puts(p, "q\1");
    pickle_text(p, "again");
    pcv_buf_puts(p, "h\1");
    pickle_text(p, "across");
    v.dim[0] = 3;
    v.dim[1] = 2;
    v.stride = across;
    pickle_tensor(p, &v);
    pickle_text(p, "row");
    pickle_global(p, "torch._utils", "_rebuild_parameter");
    v.stride = NULL;
    v.offset = 3;
    v.rank = 1;
    pickle_tensor(p, &v);
    pcv_buf_puts(p, "\x88" "ccollections\nOrderedDict\n)R\x87R");
    pickle_text(p, "list");
    pcv_buf_puts(p, "](K\1NeK\2au}");
    pickle_text(p, "_metadata");
    pcv_buf_puts(p, "}sbu.");
}

static void test_pickle(void **state)
{
    pcv_buf p = {0};

    (void)state;
    make_pickle(&p);
    check_all(&p, 2, 4, in_torch);
    pcv_buf_free(&p);
}

static void test_torch(void **state)
{
    pcv_buf p = {0}, b = {0};

    (void)state;
    make_pickle(&p);
    archive_torch("x", &p, 24);
    take(&b, "x");
    check_all(&b, 3, 4, as_it_is);
    pcv_buf_free(&p);
    pcv_buf_free(&b);
}

static void make_npy(pcv_buf *b, bool fortran)
{
    static const float data[] = {1, 2, 3, 4, 5, 6};

    pcv_npy_header(b, PCV_F32, 2, (size_t[]){ 2, 3 });
    if (fortran)
        memcpy(strstr(b->data + 10, "False"), "True ", 5);
    pcv_buf_add(b, data, sizeof data);
}

static void test_npy(void **state)
{
    pcv_buf b = {0};

    (void)state;
    make_npy(&b, true);
    check_all(&b, 4, 16, in_npz);
    pcv_buf_free(&b);
}

static void test_npz(void **state)
{
    pcv_buf npy = {0}, packed = {0};
    archive a = {0};

    (void)state;
    make_npy(&npy, false);
    archive_put(&a, "a.npy", npy.data, npy.len);
    archive_deflate(&packed, npy.data, npy.len);
    archive_add(&a, &(archive_entry){ .name = "b.npy", .data = packed.data,
                .n = packed.len, .method = 8, .size = npy.len,
                .crc = archive_crc(npy.data, npy.len) });
    archive_end(&a);
    check_all(&a.file, 5, 16, as_it_is);
    archive_free(&a);
    pcv_buf_free(&packed);
    pcv_buf_free(&npy);
}

static void test_index(void **state)
{
    pcv_buf p = {0}, b = {0};

    (void)state;
    save_shard();
    make_pickle(&p);
    archive_torch("other", &p, 24);
    pcv_buf_puts(&b, "{\"metadata\": {\"total_size\": 31}, \"weight_map\": {"
                 "\"whole\": \"other\", \"again\": \"other\", \"across\": "
                 "\"other\", \"row\": \"other\", \"none\": \"shard\", "
                 "\"scalar\": \"shard\", \"layer.0.bias\": \"shard\", "
                 "\"layer.0.weight\": \"shard\"}}");
    check_all(&b, 6, 4, as_it_is);
    pcv_buf_free(&p);
    pcv_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_safetensors),
        TEST(test_pickle),
        TEST(test_torch),
        TEST(test_npy),
        TEST(test_npz),
        TEST(test_index),
    };

    return cmocka_run_group_tests_name("mutate", tests, NULL, NULL);
}
