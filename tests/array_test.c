/* array_test.c - .npy, idx and headerless arrays, written out by hand; every
 * truncation and every broken header refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../lib/data/data.h"
#include "scratch.h"

#define TEST(f) cmocka_unit_test_setup(f, scratch_none)

/* A modality, so that what is not recognised is not taken as bytes. */
static pcv_reading arrays(void)
{
    pcv_reading how;

    pcv_reading_default(&how);
    how.modality = PCV_IMAGE;
    return how;
}

static int decode(const void *data, size_t n, const pcv_reading *how,
                  pcv_media *out)
{
    unsigned char *copy = test_malloc(n ? n : 1);
    int status;

    memcpy(copy, data, n);
    status = pcv_decode(copy, n, "x", how, out, NULL);
    test_free(copy);
    return status;
}

static void refuse(const void *data, size_t n, const pcv_reading *how,
                   int code, const char *what)
{
    pcv_media m;

    assert_int_equal(decode(data, n, how, &m), -1);
    assert_failed(code, what);
    assert_int_equal(m.kind, 0);
}

/* shape ends in 0. */
static void assert_array(const void *data, size_t n, const pcv_reading *how,
                         pcv_dtype t, const size_t *shape, const void *want)
{
    size_t bytes = pcv_dtype_size(t);
    pcv_media m;
    int k = 0;

    if (decode(data, n, how, &m) < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(m.kind, PCV_MEDIA_ARRAY);
    assert_int_equal(m.array.dtype, t);
    for (; shape[k]; k++) {
        assert_int_equal(m.array.dim[k], shape[k]);
        bytes *= shape[k];
    }
    assert_int_equal(m.array.rank, k);
    assert_memory_equal(m.array.data, want, bytes);
    pcv_media_free(&m);
}

/* ---- .npy ------------------------------------------------------------ */

/* Without padding; the elements are added by the caller. */
static size_t npy(unsigned char *to, int version, const char *header)
{
    size_t n = strlen(header), at = version == 1 ? 10 : 12;

    memcpy(to, "\x93NUMPY", 6);
    to[6] = (unsigned char)version;
    to[7] = 0;
    memset(to + 8, 0, 4);
    to[8] = (unsigned char)n;
    to[9] = (unsigned char)(n >> 8);
    memcpy(to + at, header, n);
    return at + n;
}

static size_t npy_of(unsigned char *to, const char *descr, bool fortran,
                     const char *shape)
{
    char header[200];

    snprintf(header, sizeof header, "{'descr': '%s', 'fortran_order': %s, "
             "'shape': %s, }   \n", descr, fortran ? "True" : "False", shape);
    return npy(to, 1, header);
}

static void npy_types(void **state)
{
    static const struct {
        const char *descr;
        pcv_dtype dtype;
        const char *one, *want;     /* an element there and here */
    } row[] = {
        {"|b1", PCV_BOOL, "\1", "\1"}, {"|u1", PCV_U8, "\xfe", "\xfe"},
        {"|i1", PCV_I8, "\xfe", "\xfe"}, {"<u2", PCV_U16, "ab", "ab"},
        {">u2", PCV_U16, "ab", "ba"}, {">i2", PCV_I16, "ab", "ba"},
        {"<i4", PCV_I32, "abcd", "abcd"}, {">u4", PCV_U32, "abcd", "dcba"},
        {"=i8", PCV_I64, "abcdefgh", "abcdefgh"},
        {">u8", PCV_U64, "abcdefgh", "hgfedcba"}, {"<f2", PCV_F16, "ab", "ab"},
        {">f4", PCV_F32, "abcd", "dcba"}, {"f4", PCV_F32, "abcd", "abcd"},
        {"<f8", PCV_F64, "abcdefgh", "abcdefgh"},
        {">f8", PCV_F64, "abcdefgh", "hgfedcba"},
    };
    pcv_reading how = arrays();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        unsigned char data[300];
        size_t n = npy_of(data, row[i].descr, false, "(1,)");
        size_t size = pcv_dtype_size(row[i].dtype);

        memcpy(data + n, row[i].one, size);
        assert_array(data, n + size, &how, row[i].dtype, (size_t[]){1, 0},
                     row[i].want);
    }
}

static void npy_orders(void **state)
{
    unsigned char data[300];
    pcv_reading how = arrays();
    size_t n = npy_of(data, "|u1", false, "(2, 3, 2)");

    (void)state;
    memcpy(data + n, "abcdefghijkl", 12);
    assert_array(data, n + 12, &how, PCV_U8, (size_t[]){2, 3, 2, 0},
                 "abcdefghijkl");
    /* The same array: element (i, j, k) at i + 2 * (j + 3 * k). */
    n = npy_of(data, "|u1", true, "(2, 3, 2)");
    memcpy(data + n, "agciekbhdjfl", 12);
    assert_array(data, n + 12, &how, PCV_U8, (size_t[]){2, 3, 2, 0},
                 "abcdefghijkl");
    n = npy_of(data, ">u2", true, "(2, 2)");
    memcpy(data + n, "aAcCbBdD", 8);
    assert_array(data, n + 8, &how, PCV_U16, (size_t[]){2, 2, 0},
                 "AaBbCcDd");
}

static void npy_versions_and_spellings(void **state)
{
    static const char *const header[] = {
        "{'descr':'<f4','fortran_order':False,'shape':(2,)}",
        "{\"shape\": (2L,), \"descr\": \"<f4\", \"fortran_order\": False}\n",
        " { 'fortran_order' : False , 'shape' : ( 2 , ) , 'descr' : '<f4' , }",
        "{'descr':'<f4','fortran_order':False,'shape':(2)}",
    };
    pcv_reading how = arrays();

    (void)state;
    for (int version = 1; version <= 3; version++)
        for (size_t i = 0; i < PCV_LEN(header); i++) {
            unsigned char data[300];
            size_t n = npy(data, version, header[i]);

            memcpy(data + n, "abcdefgh", 8);
            assert_array(data, n + 8, &how, PCV_F32, (size_t[]){2, 0},
                         "abcdefgh");
        }
}

static void npy_without_axes_or_elements(void **state)
{
    unsigned char data[300];
    pcv_reading how = arrays();
    size_t n = npy_of(data, "<f4", false, "()");
    pcv_media m;

    (void)state;
    memcpy(data + n, "abcd", 4);
    assert_array(data, n + 4, &how, PCV_F32, (size_t[]){0}, "abcd");
    n = npy_of(data, "<f4", false, "(3, 0, 5)");
    assert_int_equal(decode(data, n, &how, &m), 0);
    assert_int_equal(m.array.rank, 3);
    assert_int_equal(pcv_array_count(&m.array), 0);
    pcv_media_free(&m);
}

static void npy_truncated(void **state)
{
    unsigned char data[300];
    pcv_reading how = arrays();
    size_t n = npy_of(data, "<f4", false, "(2, 3)") + 24;

    (void)state;
    memset(data + n - 24, 0, 25);
    for (size_t i = 0; i < n; i++)
        refuse(data, i, &how, EX_DATAERR, "x: ");
    refuse(data, n - 1, &how, EX_DATAERR, "23 bytes of elements, want "
           "24 for 2 x 3 F32");
    refuse(data, n + 1, &how, EX_DATAERR, "25 bytes of elements");
}

static void npy_headers_refused(void **state)
{
    static const struct {
        const char *header, *what;
    } row[] = {
        {"", "want '{'"},
        {"{}", "want descr, fortran_order and shape"},
        {"{'descr':'<f4'}", "want descr, fortran_order and shape"},
        {"{'descr':'|O','fortran_order':False,'shape':(2,)}", "type '|O'"},
        {"{'descr':'<U4','fortran_order':False,'shape':(2,)}", "type '<U4'"},
        {"{'descr':'<c8','fortran_order':False,'shape':(2,)}", "type '<c8'"},
        {"{'descr':'<V2','fortran_order':False,'shape':(2,)}", "type '<V2'"},
        {"{'descr':[('a','<f4')],'fortran_order':False,'shape':(2,)}",
         "the type of one number"},
        {"{'descr':'\x1b[2J','fortran_order':False,'shape':(2,)}",
         "the type of one number"},
        {"{'descr':'<f4','fortran_order':0,'shape':(2,)}", "True or False"},
        {"{'descr':'<f4','fortran_order':False,'shape':2}", "a shape"},
        {"{'descr':'<f4','fortran_order':False,'shape':(-2,)}", "an axis"},
        {"{'descr':'<f4','fortran_order':False,'shape':(2 2)}", "',' or ')'"},
        {"{'descr':'<f4','fortran_order':False,'shape':(2,", "an axis"},
        {"{'descr':'<f4','fortran_order':False,'shape':(99999999999999999999,"
         ")}", "an axis"},
        {"{'descr':'<f4','fortran_order':False,'shape':(1,1,1,1,1,1,1,1,2)}",
         "more than 8 axes"},
        {"{'descr':'<f4','fortran_order':False,'shape':(4294967296,"
         "4294967296)}", "too large"},
        {"{'descr':'<f4','fortran_order':False,'shape':(0,4294967296,"
         "4294967296)}", "too large"},
        {"{'descr':'<f4','fortran_order':False,'shape':(4611686018427387904,"
         ")}", "too large"},
        {"{'descr':'<f4','fortran_order':False,'shape':(2,),'more':1}",
         "key 'more'"},
        {"{'descr':'<f4','descr':'<f4','fortran_order':False,'shape':(2,)}",
         "key 'descr'"},
        {"{'descr':'<f4','fortran_order':False,'shape':(2,)} x", "the end"},
    };
    pcv_reading how = arrays();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        unsigned char data[300];
        size_t n = npy(data, 1, row[i].header);

        memset(data + n, 0, 8);
        refuse(data, n + 8, &how, EX_DATAERR, row[i].what);
    }
}

static void npy_header_is_limited(void **state)
{
    size_t size = 70000 + 12 + 4;
    unsigned char *data = test_malloc(size);
    pcv_reading how = arrays();

    (void)state;
    memset(data, ' ', size);
    memcpy(data, "\x93NUMPY\2\0\x70\x11\1\0", 12);      /* 70000 */
    refuse(data, size, &how, EX_DATAERR, "header of 70000 bytes");
    data[6] = 4;
    refuse(data, size, &how, EX_DATAERR, "version 4");
    test_free(data);
}

static void npy_out(void **state)
{
    static const char want[] =
        "\x93NUMPY\1\0\x76\0{'descr': '<f4', 'fortran_order': False, "
        "'shape': (2, 3), }";
    pcv_reading how = arrays();
    pcv_buf b = {0};

    (void)state;
    pcv_npy_header(&b, PCV_F32, 2, (size_t[]){2, 3});
    assert_int_equal(b.len, 128);
    assert_memory_equal(b.data, want, sizeof want - 1);
    assert_int_equal(b.data[127], '\n');
    pcv_buf_add(&b, "abcdefghijklmnopqrstuvwx", 24);
    assert_array(b.data, b.len, &how, PCV_F32, (size_t[]){2, 3, 0},
                 "abcdefghijklmnopqrstuvwx");
    pcv_buf_clear(&b);
    pcv_npy_header(&b, PCV_BOOL, 1, (size_t[]){3});
    assert_non_null(strstr(b.data + 10, "'|b1'"));
    pcv_buf_add(&b, "\0\1\1", 3);
    assert_array(b.data, b.len, &how, PCV_BOOL, (size_t[]){3, 0}, "\0\1\1");
    pcv_buf_clear(&b);
    pcv_npy_header(&b, PCV_F64, 0, NULL);
    pcv_buf_add(&b, "abcdefgh", 8);
    assert_array(b.data, b.len, &how, PCV_F64, (size_t[]){0}, "abcdefgh");
    pcv_buf_free(&b);
}

/* ---- idx ------------------------------------------------------------- */

#define IDX(type, rank) "\0\0" type rank

static void idx_types(void **state)
{
    pcv_reading how = arrays();

    (void)state;
    assert_array(IDX("\x08", "\3") "\0\0\0\2\0\0\0\1\0\0\0\3" "abcdef", 22,
                 &how, PCV_U8, (size_t[]){2, 1, 3, 0}, "abcdef");
    assert_array(IDX("\x09", "\1") "\0\0\0\2" "ab", 10, &how, PCV_I8,
                 (size_t[]){2, 0}, "ab");
    assert_array(IDX("\x0b", "\1") "\0\0\0\2" "abcd", 12, &how, PCV_I16,
                 (size_t[]){2, 0}, "badc");
    assert_array(IDX("\x0c", "\1") "\0\0\0\1" "abcd", 12, &how, PCV_I32,
                 (size_t[]){1, 0}, "dcba");
    assert_array(IDX("\x0d", "\1") "\0\0\0\1" "abcd", 12, &how, PCV_F32,
                 (size_t[]){1, 0}, "dcba");
    assert_array(IDX("\x0e", "\1") "\0\0\0\1" "abcdefgh", 16, &how, PCV_F64,
                 (size_t[]){1, 0}, "hgfedcba");
}

static void idx_truncated(void **state)
{
    static const char data[] =
        IDX("\x08", "\3") "\0\0\0\2\0\0\0\1\0\0\0\3" "abcdefg";
    pcv_reading how = arrays();

    (void)state;
    for (size_t n = 0; n < 22; n++)
        refuse(data, n, &how, EX_DATAERR, "x: ");
    refuse(data, 7, &how, EX_DATAERR, "truncated idx: 7 of 16 bytes");
    refuse(data, 21, &how, EX_DATAERR, "5 bytes of elements, want 6");
    refuse(data, 23, &how, EX_DATAERR, "7 bytes of elements, want 6");
}

static void idx_refused(void **state)
{
    static const char huge[] = IDX("\x0e", "\x02")
        "\xff\xff\xff\xff\xff\xff\xff\xff" "a";
    pcv_reading how = arrays();

    (void)state;
    refuse(huge, sizeof huge - 1, &how, EX_DATAERR, "too large");
    refuse(IDX("\x08", "\x09") "aaaaaaaaaaaaaaaa", 20, &how, EX_DATAERR,
           "unknown kind");
    refuse(IDX("\x08", "\0") "a", 5, &how, EX_DATAERR, "unknown kind");
    refuse(IDX("\x0a", "\1") "\0\0\0\1a", 9, &how, EX_DATAERR,
           "unknown kind");
}

/* 00 00 08 01  00 00 00 03  'abc', by gzip -n. */
static const char idx_gz[] =
    "\x1f\x8b\x08\0\0\0\0\0\0\3\x63\x60\xe0\x60\x64\x60\x60\x60\x4e\x4c\x4a"
    "\x06\0\x54\x24\x25\xc4\x0b\0\0\0";

static void idx_in_gzip(void **state)
{
    pcv_reading how = arrays();

    (void)state;
    assert_array(idx_gz, sizeof idx_gz - 1, &how, PCV_U8, (size_t[]){3, 0},
                 "abc");
    for (size_t n = 3; n < sizeof idx_gz - 1; n++)
        refuse(idx_gz, n, &how, EX_DATAERR, "truncated gzip");
    how.max_bytes = 10;
    refuse(idx_gz, sizeof idx_gz - 1, &how, EX_DATAERR, "limit");
}

/* ---- headerless ------------------------------------------------------ */

static void raw_arrays(void **state)
{
    pcv_reading how = arrays();

    (void)state;
    how.raw = "u8:2x3";
    assert_array("abcdef", 6, &how, PCV_U8, (size_t[]){2, 3, 0}, "abcdef");
    refuse("abcde", 5, &how, EX_DATAERR, "5 bytes of elements, want 6");
    refuse("", 0, &how, EX_DATAERR, "0 bytes");
    how.raw = "s16be:2";
    assert_array("abcd", 4, &how, PCV_I16, (size_t[]){2, 0}, "badc");
    how.raw = "i64le:1x1";
    assert_array("abcdefgh", 8, &how, PCV_I64, (size_t[]){1, 1, 0},
                 "abcdefgh");
    how.raw = "bf16:1";
    assert_array("ab", 2, &how, PCV_BF16, (size_t[]){1, 0}, "ab");
    /* A .npy taken raw is raw. */
    how.raw = "u8:6";
    assert_array("\x93NUMPY", 6, &how, PCV_U8, (size_t[]){6, 0}, "\x93NUMPY");
}

static void raw_arrays_are_described_in_full(void **state)
{
    static const char *const bad[] = {
        "", "u8", "u8:", ":3", "u9:3", "u8:0", "u8:3x", "u8:x3", "u8:3x-1",
        "u8:3,3", "u8be3:3", "f32xe:3", "u8:1x1x1x1x1x1x1x1x1",
        "u8:99999999999999999999",
    };
    pcv_reading how = arrays();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        how.raw = bad[i];
        refuse("abc", 3, &how, EX_USAGE, "want DTYPE:SHAPE");
    }
    how.raw = "f64:4294967296x4294967296";
    refuse("abc", 3, &how, EX_DATAERR, "too large");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(npy_types),
        TEST(npy_orders),
        TEST(npy_versions_and_spellings),
        TEST(npy_without_axes_or_elements),
        TEST(npy_truncated),
        TEST(npy_headers_refused),
        TEST(npy_header_is_limited),
        TEST(npy_out),
        TEST(idx_types),
        TEST(idx_truncated),
        TEST(idx_refused),
        TEST(idx_in_gzip),
        TEST(raw_arrays),
        TEST(raw_arrays_are_described_in_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
