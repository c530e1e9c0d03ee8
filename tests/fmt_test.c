/* fmt_test.c - safetensors, streams of latents and JSON: images written out
 * by hand, read and written; every truncation and every broken rule refused
 * with a message that names what is wrong. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <locale.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../lib/fmt/fmt.h"

static void assert_failed(int code, const char *text)
{
    if (pcv_error_code() != code || !strstr(pcv_error(), text))
        fail_msg("%d \"%s\", want %d \"%s\"", pcv_error_code(), pcv_error(),
                 code, text);
    pcv_error_clear();
}

/* A test that fails must not leave its message to the next one. */
static int clear(void **state)
{
    (void)state;
    pcv_alloc_fail_at(0);
    pcv_error_clear();
    return 0;
}

#define TEST(f) cmocka_unit_test_setup(f, clear)

/* ---- json ------------------------------------------------------------ */

static pcv_json *parse(const char *text)
{
    return pcv_json_parse(text, strlen(text), "config.json");
}

static void test_json_values(void **state)
{
    pcv_json *doc = parse("{\"z\": 1, \"a\": [2.5, \"t\\u00e9\", null], "
                          "\"b\": true, \"c\": {\"d\": false}, \"\": 3e2}");
    const pcv_json *a;

    (void)state;
    assert_non_null(doc);
    assert_int_equal(pcv_json_kind(doc), PCV_JOBJECT);
    assert_int_equal(pcv_json_count(doc), 5);
    assert_string_equal(pcv_json_key(doc, 0), "z");
    assert_string_equal(pcv_json_key(doc, 1), "a");
    assert_string_equal(pcv_json_key(doc, 4), "");
    assert_null(pcv_json_key(doc, 5));
    assert_ptr_equal(pcv_json_value(doc, 1), pcv_json_get(doc, "a"));
    assert_null(pcv_json_value(doc, 5));
    assert_int_equal(pcv_json_kind(pcv_json_value(doc, 0)), PCV_JINT);
    assert_int_equal(pcv_json_int(pcv_json_get(doc, "z")), 1);
    assert_true(pcv_json_real(pcv_json_get(doc, "z")) == 1);
    a = pcv_json_get(doc, "a");
    assert_int_equal(pcv_json_kind(a), PCV_JARRAY);
    assert_int_equal(pcv_json_count(a), 3);
    assert_null(pcv_json_key(a, 0));
    assert_null(pcv_json_value(a, 0));
    assert_int_equal(pcv_json_kind(pcv_json_at(a, 0)), PCV_JREAL);
    assert_true(pcv_json_real(pcv_json_at(a, 0)) == 2.5);
    assert_int_equal(pcv_json_int(pcv_json_at(a, 0)), 0);
    assert_int_equal(pcv_json_kind(pcv_json_at(a, 1)), PCV_JSTRING);
    assert_string_equal(pcv_json_string(pcv_json_at(a, 1)), "t\xc3\xa9");
    assert_int_equal(pcv_json_kind(pcv_json_at(a, 2)), PCV_JNULL);
    assert_null(pcv_json_at(a, 3));
    assert_int_equal(pcv_json_kind(pcv_json_get(doc, "b")), PCV_JBOOL);
    assert_true(pcv_json_bool(pcv_json_get(doc, "b")));
    assert_false(pcv_json_bool(pcv_json_get(pcv_json_get(doc, "c"), "d")));
    assert_int_equal(pcv_json_int(pcv_json_get(doc, "")), 300);
    pcv_json_close(doc);
}

/* Asking for what is not there is allowed: callers chain the calls. */
static void test_json_absent(void **state)
{
    pcv_json *doc = parse("[9223372036854775807, 1e300, -1e300, {}]");

    (void)state;
    assert_non_null(doc);
    assert_null(pcv_json_get(doc, "x"));
    assert_null(pcv_json_get(NULL, "x"));
    assert_null(pcv_json_at(NULL, 0));
    assert_null(pcv_json_at(pcv_json_at(doc, 3), 0));
    assert_null(pcv_json_value(NULL, 0));
    assert_null(pcv_json_key(NULL, 0));
    assert_null(pcv_json_string(NULL));
    assert_null(pcv_json_string(doc));
    assert_int_equal(pcv_json_count(NULL), 0);
    assert_int_equal(pcv_json_count(pcv_json_at(doc, 0)), 0);
    assert_int_equal(pcv_json_int(NULL), 0);
    assert_true(pcv_json_real(NULL) == 0);
    assert_false(pcv_json_bool(NULL));
    assert_false(pcv_json_bool(doc));
    assert_true(pcv_json_int(pcv_json_at(doc, 0)) == INT64_MAX);
    assert_int_equal(pcv_json_int(pcv_json_at(doc, 1)), 0);
    assert_int_equal(pcv_json_int(pcv_json_at(doc, 2)), 0);
    assert_int_equal(pcv_json_int(pcv_json_at(doc, 3)), 0);
    pcv_json_close(doc);
    pcv_json_close(NULL);
}

static void test_json_refused(void **state)
{
    static const struct {
        const char *text, *message;
    } bad[] = {
        {"", "config.json: not JSON: it is empty"},
        {"{", "config.json: not JSON: "},
        {"{\"a\": 1, \"a\": 2}", "duplicate object key"},
        {"{\"a\": 1} x", "end of file expected"},
        {"[NaN]", "not JSON"},
        {"[Infinity]", "not JSON"},
        {"[01]", "not JSON"},
        {"['a']", "not JSON"},
        {"[1,]", "not JSON"},
        {"\n\n[\"\xff\"]", "unable to decode byte 0xff"},
        {"[\"\xed\xa0\x80\"]", "unable to decode byte"},
        {"[\"a\nb\"]", "unexpected newline"},
        {"[\"a\001b\"]", "control character 0x1"},
        {"[\"\\u0000\"]", "\\\\u0000"},
        {"[1e999]", "overflow"},
        {"[9223372036854775808]", "too big"},
        {"\033[2J", "'\\033'"},
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        assert_null(parse(bad[i].text));
        assert_null(strchr(pcv_error(), '\033'));
        assert_failed(EX_DATAERR, bad[i].message);
    }
    assert_null(pcv_json_parse("1\0", 2, "a\nb"));
    assert_failed(EX_DATAERR, "a\\nb: not JSON: it holds a NUL byte");
    assert_null(pcv_json_parse("{}\0x", 4, "n"));
    assert_failed(EX_DATAERR, "n: not JSON: it holds a NUL byte");
}

static void test_json_depth(void **state)
{
    static char text[200001];
    static const int depth[] = {64, 65, 3000, 100000};

    (void)state;
    for (size_t i = 0; i < PCV_LEN(depth); i++) {
        size_t n = (size_t)depth[i];
        pcv_json *doc;

        memset(text, '[', n);
        memset(text + n, ']', n);
        doc = pcv_json_parse(text, 2 * n, "deep");
        assert_int_equal(doc != NULL, depth[i] <= 64);
        if (depth[i] == 65)
            assert_failed(EX_DATAERR, "deep: nested more than 64 deep");
        else if (depth[i] > 65)
            assert_failed(EX_DATAERR, "deep: not JSON: ");
        pcv_json_close(doc);
    }
}

static void check_number(double value, const char *want)
{
    pcv_buf b = {0};

    pcv_json_number(&b, value);
    assert_string_equal(b.data, want);
    pcv_buf_free(&b);
}

static void check_numbers(void)
{
    check_number(0.5, "0.5");
    check_number(-1234567.25, "-1234567.25");
    check_number(1e-30, "1e-30");
    check_number(1.5e300, "1.5e+300");
    check_number((double)0.1f, "0.100000001");
    check_number(3, "3");
    check_number((double)NAN, "null");
    check_number((double)-INFINITY, "null");
}

/* The locales are not on every machine; those that are must not matter. */
static void test_json_number(void **state)
{
    static const char *const locale[] = {
        "C", "de_DE.UTF-8", "fr_FR.UTF-8", "ps_AF.UTF-8", "de_DE",
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(locale); i++) {
        pcv_json *doc;

        if (!setlocale(LC_ALL, locale[i]))
            continue;
        check_numbers();
        doc = parse("[0.5]");
        assert_true(pcv_json_real(pcv_json_at(doc, 0)) == 0.5);
        pcv_json_close(doc);
    }
    setlocale(LC_ALL, "C");
}

/* ---- safetensors ----------------------------------------------------- */

/* N | header | bytes 0, 1, 2, ... */
static void make_image(pcv_buf *b, const char *header, size_t data)
{
    uint64_t n = strlen(header);

    pcv_buf_clear(b);
    for (int i = 0; i < 8; i++) {
        char byte = (char)(n >> 8 * i & 255);

        pcv_buf_add(b, &byte, 1);
    }
    pcv_buf_puts(b, header);
    for (size_t i = 0; i < data; i++) {
        char byte = (char)i;

        pcv_buf_add(b, &byte, 1);
    }
    assert_false(b->failed);
}

/* Parses a copy of exactly n bytes, so that reading beyond is seen. */
static int parse_copy(pcv_tensors *t, const pcv_buf *b, size_t n, char **copy)
{
    *copy = malloc(n ? n : 1);
    assert_non_null(*copy);
    if (n)
        memcpy(*copy, b->data, n);
    return pcv_tensors_parse(t, *copy, n, "m.st");
}

static const char two[] =
    " {\"b\": {\"dtype\": \"I16\", \"shape\": [2, 2], \"data_offsets\": "
    "[4, 12]}, \"__metadata__\": {\"k\": \"v\", \"l\": \"\"}, "
    "\"a\": {\"dtype\": \"F32\", \"shape\": [], \"data_offsets\": [0, 4]},"
    " \"none\": {\"dtype\": \"U8\", \"shape\": [3, 0], \"data_offsets\": "
    "[4, 4], \"more\": 1}}  ";

static void test_tensors_read(void **state)
{
    const pcv_tensor *b;
    pcv_buf image = {0};
    pcv_tensors t;
    char *copy;

    (void)state;
    make_image(&image, two, 12);
    assert_int_equal(parse_copy(&t, &image, image.len, &copy), 0);
    assert_int_equal(t.count, 3);
    assert_string_equal(t.tensor[0].name, "a");
    assert_string_equal(t.tensor[1].name, "none");
    assert_string_equal(t.tensor[2].name, "b");
    b = pcv_tensors_find(&t, "b");
    assert_ptr_equal(b, &t.tensor[2]);
    assert_int_equal(b->dtype, PCV_I16);
    assert_int_equal(b->rank, 2);
    assert_int_equal(b->dim[0], 2);
    assert_int_equal(b->dim[1], 2);
    assert_int_equal(b->bytes, 8);
    assert_memory_equal(b->data, "\4\5\6\7\10\11\12\13", 8);
    assert_int_equal(t.tensor[0].rank, 0);
    assert_int_equal(t.tensor[0].bytes, 4);
    assert_int_equal(t.tensor[1].bytes, 0);
    assert_null(pcv_tensors_find(&t, "c"));
    assert_string_equal(pcv_tensors_meta(&t, "k"), "v");
    assert_string_equal(pcv_tensors_meta(&t, "l"), "");
    assert_null(pcv_tensors_meta(&t, "a"));
    pcv_tensors_close(&t);
    pcv_tensors_close(&t);
    free(copy);
    pcv_buf_free(&image);
}

static void test_tensors_truncated(void **state)
{
    pcv_buf image = {0};
    pcv_tensors t;
    char *copy;

    (void)state;
    make_image(&image, two, 12);
    for (size_t n = 0; n < image.len; n++) {
        assert_int_equal(parse_copy(&t, &image, n, &copy), -1);
        if (n < 8)
            assert_failed(EX_DATAERR, "bytes, want at least 8");
        else if (n < image.len - 12)
            assert_failed(EX_DATAERR, "m.st: the header has");
        else
            assert_failed(EX_DATAERR, n < image.len - 8 ?
                          "m.st: tensor \"" : "m.st: tensor \"b\" ends at "
                          "byte 12 of the data, which has");
        free(copy);
    }
    pcv_buf_free(&image);
}

#define T(name, dtype, shape, offsets) \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":" shape \
    ",\"data_offsets\":" offsets "}"
#define A T("a", "F32", "[1]", "[0,4]")

static const struct {
    const char *header;
    size_t data;
    const char *message;
} bad[] = {
    {"", 0, "m.st: the header is empty"},
    {"    ", 0, "does not begin with '{'"},
    {"[]", 0, "does not begin with '{'"},
    {"\n{}", 0, "does not begin with '{'"},
    {"{", 0, "m.st: not JSON: "},
    {"{}x", 0, "m.st: not JSON: "},
    {"{}", 1, "m.st: 1 bytes follow the last tensor, want none"},
    {"{" A "}", 5, "m.st: 1 bytes follow the last tensor"},
    {"{" A "," A "}", 4, "duplicate object key near '\"a\"'"},
    {"{" T("a\xff", "F32", "[1]", "[0,4]") "}", 4, "unable to decode"},
    {"{\"a\":[]}", 0, "tensor \"a\" is described by something other"},
    {"{\"a\":{}}", 0, "tensor \"a\" has no dtype"},
    {"{\"a\":{\"dtype\":7}}", 0, "tensor \"a\" has no dtype"},
    {"{\"a\":{\"dtype\":\"F32\"}}", 0, "tensor \"a\" has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":{}}}", 0,
     "tensor \"a\" has no shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", 4,
     "tensor \"a\" has no data_offsets"},
    {"{" T("a", "F8_E4M3", "[1]", "[0,1]") "}", 1,
     "tensor \"a\" is of type \"F8_E4M3\", which is not supported"},
    {"{" T("a", "f\\n", "[1]", "[0,1]") "}", 1, "is of type \"f\\n\""},
    {"{" T("a", "U8", "[1,1,1,1,1,1,1,1,1]", "[0,1]") "}", 1,
     "tensor \"a\" has rank 9, want at most 8"},
    {"{" T("a", "U8", "[-1]", "[0,1]") "}", 1, "dimension 0 is not a size"},
    {"{" T("a", "U8", "[1,1.0]", "[0,1]") "}", 1,
     "tensor \"a\" has a shape whose dimension 1 is not a size"},
    {"{" T("a", "U8", "[\"1\"]", "[0,1]") "}", 1, "is not a size"},
    {"{" T("a", "F32", "[4294967296,4294967296]", "[0,0]") "}", 0,
     "tensor \"a\" has a shape too large to address"},
    {"{" T("a", "F64", "[2305843009213693952]", "[0,0]") "}", 0,
     "tensor \"a\" has a shape too large to address"},
    {"{" T("a", "F32", "[2]", "[0,4]") "}", 4,
     "tensor \"a\" takes 4 bytes, its shape and type want 8"},
    {"{" T("a", "F32", "[1]", "[-4,0]") "}", 4,
     "tensor \"a\" has no data_offsets of two sizes"},
    {"{" T("a", "F32", "[1]", "[0,4.0]") "}", 4, "data_offsets of two sizes"},
    {"{" T("a", "F32", "[1]", "[0]") "}", 4, "data_offsets of two sizes"},
    {"{" T("a", "F32", "[1]", "[0,4,8]") "}", 4, "data_offsets of two sizes"},
    {"{" T("a", "F32", "[1]", "[4,0]") "}", 4,
     "tensor \"a\" begins at 4 and ends before, at 0"},
    {"{" T("a", "U8", "[9223372036854775807]", "[0,9223372036854775807]")
     "}", 4, "tensor \"a\" ends at byte 9223372036854775807 of the data, "
     "which has 4: truncated"},
    {"{" A "," T("b", "U8", "[4]", "[0,4]") "}", 4,
     "tensor \"b\" [0,4) overlaps \"a\" [0,4): not a valid safetensors"},
    {"{" A "," T("b", "U8", "[4]", "[3,7]") "}", 7,
     "tensor \"b\" [3,7) overlaps \"a\" [0,4)"},
    {"{" A "," T("b", "U8", "[4]", "[5,9]") "}", 9,
     "tensor \"b\" begins at 5, want 4: a gap"},
    {"{" T("a", "U8", "[4]", "[1,5]") "}", 5,
     "tensor \"a\" begins at 1, want 0: a gap"},
    {"{" T("\\u001b", "U8", "[4]", "[1,5]") "}", 5, "tensor \"\\033\" "},
    {"{\"__metadata__\":[]}", 0, "m.st: __metadata__ is not an object"},
    {"{\"__metadata__\":{\"k\":1}}", 0,
     "m.st: __metadata__ \"k\" is not a string"},
    {"{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", 0, "duplicate object key"},
};

static void test_tensors_refused(void **state)
{
    pcv_buf image = {0};
    pcv_tensors t;
    char *copy;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        make_image(&image, bad[i].header, bad[i].data);
        assert_int_equal(parse_copy(&t, &image, image.len, &copy), -1);
        assert_int_equal(t.count, 0);
        assert_int_equal(strncmp(pcv_error(), "m.st: ", 6), 0);
        assert_failed(EX_DATAERR, bad[i].message);
        free(copy);
    }
    pcv_buf_free(&image);
}

static void test_tensors_length(void **state)
{
    static const struct {
        const char *length, *message;
    } length[] = {
        {"\x07\0\0\0\0\0\0\0", "header has 7 bytes, the file only 2 after"},
        {"\0\xe1\xf5\x05\0\0\0\0", "header has 100000000 bytes, the file "},
        {"\1\xe1\xf5\x05\0\0\0\0", "100000001 bytes, want at most 100000000"},
        {"\0\0\0\0\0\0\0\x80", "9223372036854775808 bytes, want at most"},
        {"\xff\xff\xff\xff\xff\xff\xff\xff", "18446744073709551615 bytes"},
        {"\xf8\xff\xff\xff\xff\xff\xff\xff", "18446744073709551608 bytes"},
    };
    pcv_buf image = {0};
    pcv_tensors t;

    (void)state;
    make_image(&image, "{}", 0);
    for (size_t i = 0; i < PCV_LEN(length); i++) {
        memcpy(image.data, length[i].length, 8);
        assert_int_equal(pcv_tensors_parse(&t, image.data, image.len, "m"),
                         -1);
        assert_failed(EX_DATAERR, length[i].message);
    }
    pcv_buf_free(&image);
}

/* A header of n tensors, the name of each `width` wide. */
static int parse_many(int n, int width, const char *tensor)
{
    pcv_buf header = {0}, image = {0};
    pcv_tensors t;
    int status;

    pcv_buf_puts(&header, "{\"__metadata__\":{}");
    for (int i = 0; i < n; i++)
        pcv_buf_printf(&header, ",\"%0*d\":%s", width, i, tensor);
    pcv_buf_puts(&header, "}");
    make_image(&image, header.data, 0);
    status = pcv_tensors_parse(&t, image.data, image.len, "m.st");
    pcv_tensors_close(&t);
    pcv_buf_free(&header);
    pcv_buf_free(&image);
    return status;
}

static void test_tensors_limits(void **state)
{
    static const char empty[] =
        "{\"dtype\":\"U8\",\"shape\":[0],\"data_offsets\":[0,0]}";

    (void)state;
    assert_int_equal(parse_many(2, 1024, empty), 0);
    assert_int_equal(parse_many(1, 1025, empty), -1);
    assert_failed(EX_DATAERR, "name has 1025 bytes, want at most 1024");
    assert_int_equal(parse_many(1000001, 1, "0"), -1);
    assert_failed(EX_DATAERR, "m.st: 1000001 tensors, want at most 1000000");
}

/* What has to be on disk, by hand: the header is 96 - 8 bytes. */
static const char written[] =
    "\x58\0\0\0\0\0\0\0"
    "{\"__metadata__\":{\"k\":\"q\\\"\"},\"a\":{\"dtype\":\"U16\","
    "\"shape\":[1,2],\"data_offsets\":[0,4]}}     "
    "\1\2\3\4";

static void test_tensors_save(void **state)
{
    static const char *const key[] = {"k"}, *const value[] = {"q\""};
    const pcv_tensor_out out = {"a", PCV_U16, 2, {1, 2}, "\1\2\3\4"};
    char path[] = "/tmp/pcv-fmt-test.XXXXXX";
    pcv_tensors t;
    pcv_file f;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(pcv_tensors_save(path, &out, 1, key, value, 1), 0);
    assert_int_equal(pcv_file_open(&f, path, 0), 0);
    assert_int_equal(f.size % 8, 4);
    assert_int_equal(f.data[0] % 8, 0);
    pcv_file_close(&f);
    assert_int_equal(pcv_tensors_open(&t, path), 0);
    assert_int_equal(t.count, 1);
    assert_int_equal(t.tensor[0].dim[1], 2);
    assert_memory_equal(t.tensor[0].data, "\1\2\3\4", 4);
    assert_string_equal(pcv_tensors_meta(&t, "k"), "q\"");
    pcv_tensors_close(&t);
    assert_int_equal(pcv_tensors_save("/dev/full", &out, 1, NULL, NULL, 0),
                     -1);
    assert_failed(EX_IOERR, "/dev/full: No space left on device");
    unlink(path);
    assert_int_equal(pcv_tensors_open(&t, path), -1);
    assert_failed(EX_NOINPUT, "No such file or directory");
    pcv_tensors_close(&t);
}

/* The digits of xxhsum(1): those of nothing, and in two pieces. */
static void test_hash(void **state)
{
    char narrow[PCV_HASH_64 + 1], wide[PCV_HASH_128 + 1];
    pcv_hash *h;

    (void)state;
    assert_int_equal(pcv_hash_bytes("", 0, PCV_HASH_64, narrow), 0);
    assert_string_equal(narrow, "2d06800538d394c2");
    assert_int_equal(pcv_hash_bytes("", 0, PCV_HASH_128, wide), 0);
    assert_string_equal(wide, "99aa06d3014798d86001c324468d497f");
    assert_int_equal(pcv_hash_bytes("perceiver", 9, PCV_HASH_128, wide), 0);
    h = pcv_hash_open(PCV_HASH_64);
    pcv_hash_add(h, "perce", 5);
    pcv_hash_add(h, "iver", 4);
    pcv_hash_close(h, narrow);
    assert_string_equal(narrow, "a088ccf272742d4b");
    assert_string_equal(wide, "08f1286f25960f539029fc82766aca8c");
}

static void test_tensors_checked(void **state)
{
    static const char *const key[] = {"k"}, *const value[] = {"q\""};
    const pcv_tensor_out out = {"a", PCV_U16, 2, {1, 2}, "\1\2\3\4"};
    char path[] = "/tmp/pcv-fmt-test.XXXXXX";
    pcv_tensors t;

    (void)state;
    close(mkstemp(path));
    assert_int_equal(pcv_tensors_save_checked(path, NULL, &out, 1, key, value,
                                              1), 0);
    assert_int_equal(pcv_tensors_open_checked(&t, path), 0);
    assert_int_equal(t.keys, 2);
    assert_string_equal(t.key[0], "pcv.xxh3");
    assert_string_equal(pcv_tensors_meta(&t, "k"), "q\"");
    assert_memory_equal(t.tensor[0].data, "\1\2\3\4", 4);
    pcv_tensors_close(&t);
    assert_int_equal(pcv_tensors_save(path, &out, 1, key, value, 1), 0);
    assert_int_equal(pcv_tensors_open_checked(&t, path), -1);
    assert_failed(EX_DATAERR, "has no checksum");
    unlink(path);
}

static void test_tensors_bytes(void **state)
{
    static const char *const key[] = {"k"}, *const value[] = {"q\""};
    const pcv_tensor_out out = {"a", PCV_U16, 2, {1, 2}, "\1\2\3\4"};
    pcv_buf b = {0};

    (void)state;
    pcv_tensors_header(&b, &out, 1, key, value, 1);
    assert_int_equal(b.len, sizeof written - 1 - 4);
    assert_memory_equal(b.data, written, b.len);
    pcv_buf_clear(&b);
    pcv_tensors_header(&b, NULL, 0, NULL, NULL, 0);
    assert_int_equal(b.len, 16);
    assert_memory_equal(b.data, "\10\0\0\0\0\0\0\0{}      ", 16);
    pcv_buf_free(&b);
}

/* What is written is read again, whatever the names and types. */
static void test_tensors_round_trip(void **state)
{
    static const double data[] = {1, 2, 3, 4, 5, 6};
    static const char *const key[] = {"a\nb", "\xc3\xa9"};
    static const char *const value[] = {"{\"x\": [1, \"\\\\\"]}", ""};
    static const char *const name[] = {
        "", "layer.0.\"w\"", "\t\x7f", "\xf0\x9f\x98\x80", "/", "0", "1",
        "2", "3", "4", "5", "6", "7",
    };
    pcv_tensor_out out[PCV_DTYPES];
    pcv_buf b = {0};
    pcv_tensors t;

    (void)state;
    for (size_t i = 0; i < PCV_DTYPES; i++)
        out[i] = (pcv_tensor_out){name[i], (pcv_dtype)i, 3, {1, i % 4, 2},
                                  data};
    pcv_tensors_header(&b, out, PCV_DTYPES, key, value, 2);
    for (size_t i = 0; i < PCV_DTYPES; i++)
        pcv_buf_add(&b, data, i % 4 * 2 * pcv_dtype_size((pcv_dtype)i));
    assert_int_equal(pcv_tensors_parse(&t, b.data, b.len, "m"), 0);
    assert_int_equal(t.count, PCV_DTYPES);
    for (size_t i = 0; i < PCV_DTYPES; i++) {
        const pcv_tensor *one = pcv_tensors_find(&t, name[i]);

        assert_non_null(one);
        assert_int_equal(one->dtype, i);
        assert_int_equal(one->dim[1], i % 4);
        if (one->bytes)
            assert_memory_equal(one->data, data, one->bytes);
    }
    for (int i = 0; i < 2; i++)
        assert_string_equal(pcv_tensors_meta(&t, key[i]), value[i]);
    pcv_tensors_close(&t);
    pcv_buf_free(&b);
}

static void test_tensors_memory(void **state)
{
    pcv_buf image = {0};
    pcv_tensors t;
    long k = 1;

    (void)state;
    make_image(&image, two, 12);
    for (; k < 100; k++) {
        int status;

        pcv_alloc_fail_at(k);
        status = pcv_tensors_parse(&t, image.data, image.len, "m");
        pcv_alloc_fail_at(0);
        if (status == 0)
            break;
        assert_failed(EX_OSERR, "out of memory");
        assert_int_equal(t.count, 0);
    }
    assert_true(k > 10 && k < 100);
    pcv_tensors_close(&t);
    pcv_buf_free(&image);
}

/* ---- sts ------------------------------------------------------------- */

static void add_item(pcv_buf *b, const char *kind, const char *path,
                     size_t tensors)
{
    static const char data[12] = "latent data!";
    const char *const key[] = {"pcv.kind", "pcv.xxh3", "pcv.path"};
    const char *const value[] = {kind, "stale", path};
    const pcv_tensor_out out[] = {
        {"latents", PCV_U8, 2, {2, 4}, data},
        {"pooled", PCV_F32, 1, {1}, data + 8},
    };

    pcv_sts_record(b, out, tensors, key, value, 3);
    assert_false(b->failed);
}

static void add_end(pcv_buf *b)
{
    static const char *const key[] = {"pcv.kind"}, *const value[] = {"end"};

    pcv_sts_record(b, NULL, 0, key, value, 1);
}

struct feed {
    int fd;
    const char *data;
    size_t n;
};

/* Writes in pieces of 7 bytes, so that reads end anywhere. */
static void *feed(void *arg)
{
    struct feed *f = arg;

    for (size_t at = 0; at < f->n; at += 7) {
        size_t piece = f->n - at < 7 ? f->n - at : 7;

        if (write(f->fd, f->data + at, piece) != (ssize_t)piece)
            break;
    }
    close(f->fd);
    return NULL;
}

/* Reads a stream of n bytes to its end: items, or -1; the paths of the
 * items, with their tensor counts, are listed in seen. */
static int read_stream(const char *data, size_t n, pcv_buf *seen)
{
    struct feed f = {.data = data, .n = n};
    int ends[2], items = 0, status = -1;
    pthread_t feeder;
    pcv_tensors t;
    pcv_sts *s;

    assert_int_equal(pipe(ends), 0);
    f.fd = ends[1];
    pthread_create(&feeder, NULL, feed, &f);
    s = pcv_sts_open(ends[0], "in");
    while (s && (status = pcv_sts_next(s, &t)) == 1) {
        const char *path = pcv_tensors_meta(&t, "pcv.path");

        if (seen)
            pcv_buf_printf(seen, "%s:%zu ", path ? path : "?", t.count);
        items++;
        pcv_tensors_close(&t);
    }
    pcv_sts_close(s);
    while (read(ends[0], &(char[64]){0}, 64) > 0)
        ;
    pthread_join(feeder, NULL);
    close(ends[0]);
    return status == 0 ? items : -1;
}

static void make_stream(pcv_buf *b)
{
    add_item(b, "latents", "x", 2);
    add_item(b, "error", "y", 0);
    add_item(b, "latents", "z", 1);
    add_end(b);
}

static void test_sts_read(void **state)
{
    pcv_buf b = {0}, seen = {0};

    (void)state;
    make_stream(&b);
    assert_int_equal(b.len % 4, 0);
    assert_int_equal(read_stream(b.data, b.len, &seen), 3);
    assert_string_equal(seen.data, "x:2 y:0 z:1 ");
    pcv_buf_clear(&seen);
    make_stream(&b);        /* cat a.sts b.sts */
    assert_int_equal(read_stream(b.data, b.len, &seen), 6);
    assert_string_equal(seen.data, "x:2 y:0 z:1 x:2 y:0 z:1 ");
    pcv_buf_clear(&b);
    add_end(&b);
    assert_int_equal(read_stream(b.data, b.len, NULL), 0);
    add_end(&b);
    assert_int_equal(read_stream(b.data, b.len, NULL), 0);
    assert_int_equal(pcv_error_code(), 0);
    pcv_buf_free(&b);
    pcv_buf_free(&seen);
}

/* A record by itself is a safetensors file; the stream is none. */
static void test_sts_record(void **state)
{
    pcv_buf b = {0};
    pcv_tensors t;

    (void)state;
    add_item(&b, "latents", "x", 2);
    assert_int_equal(pcv_tensors_parse(&t, b.data, b.len, "one"), 0);
    assert_int_equal(t.count, 2);
    assert_int_equal(t.keys, 3);
    assert_memory_equal(pcv_tensors_find(&t, "latents")->data, "latent d", 8);
    assert_memory_equal(pcv_tensors_find(&t, "pooled")->data, "ata!", 4);
    /* xxhash.xxh3_64_hexdigest(b"latent data!") in Python */
    assert_string_equal(pcv_tensors_meta(&t, "pcv.xxh3"),
                        "80692a2f202899af");
    pcv_tensors_close(&t);
    add_end(&b);
    assert_int_equal(pcv_tensors_parse(&t, b.data, b.len, "two"), -1);
    assert_failed(EX_DATAERR, "follow the last tensor");
    pcv_buf_free(&b);
}

static void test_sts_truncated(void **state)
{
    size_t first, last;
    pcv_buf b = {0};

    (void)state;
    add_item(&b, "latents", "x", 2);
    first = b.len;
    add_item(&b, "latents", "y", 1);
    last = b.len;
    add_end(&b);
    for (size_t n = 0; n < b.len; n++) {
        assert_int_equal(read_stream(b.data, n, NULL), -1);
        if (n == 0)
            assert_failed(EX_DATAERR, "in: stream ends before the first "
                          "record without an end record");
        else if (n < first)
            assert_failed(EX_DATAERR, "in: stream ends inside record 0, ");
        else if (n == first)
            assert_failed(EX_DATAERR, "in: stream ends after record 0 "
                          "without an end record: the producer failed");
        else if (n == last)
            assert_failed(EX_DATAERR, "in: stream ends after record 1 ");
        else
            assert_failed(EX_DATAERR, "in: stream ends inside record ");
    }
    pcv_buf_free(&b);
}

/* Any byte of the data that changes is noticed. */
static void test_sts_damaged(void **state)
{
    pcv_buf b = {0};
    size_t end;

    (void)state;
    add_item(&b, "latents", "x", 2);
    end = b.len;
    add_end(&b);
    for (size_t i = 1; i <= 12; i++) {
        b.data[end - i] ^= 16;
        assert_int_equal(read_stream(b.data, b.len, NULL), -1);
        assert_failed(EX_DATAERR, "in: record 0 is damaged");
        b.data[end - i] ^= 16;
    }
    assert_int_equal(read_stream(b.data, b.len, NULL), 1);
    pcv_buf_free(&b);
}

static void test_sts_refused(void **state)
{
    static const struct {
        const char *header;
        size_t data;
        const char *message;
    } wrong[] = {
        {"{" A "}", 4, "in: stream ends after record 0 without an end"},
        {"{\"a\":1}", 0, "in: record 0: tensor \"a\" is described by"},
        {"[]", 0, "in: record 0: the header does not begin with '{'"},
        {"x", 0, "in: record 0: not JSON"},
        {"{\"__metadata__\":{\"pcv.kind\":\"end\"}," A "}", 4,
         "in: record 0 of kind end has 1 tensors, want none"},
        {"{\"__metadata__\":{\"pcv.kind\":\"error\"}," A "}", 4,
         "in: record 0 of kind error has 1 tensors, want none"},
        {"{" T("a", "U8", "[4611686018427387904]", "[0,4611686018427387904]")
         "}", 4, "in: stream ends inside record 0, after 4 of "
         "4611686018427387904 bytes of its data"},
        {"{" T("b", "U8", "[4]", "[2,6]") "}", 6,
         "in: record 0: tensor \"b\" begins at 2, want 0"},
    };
    pcv_buf b = {0};

    (void)state;
    for (size_t i = 0; i < PCV_LEN(wrong); i++) {
        make_image(&b, wrong[i].header, wrong[i].data);
        assert_int_equal(read_stream(b.data, b.len, NULL), -1);
        assert_failed(EX_DATAERR, wrong[i].message);
    }
    memcpy(b.data, "\1\xe1\xf5\x05\0\0\0\0", 8);
    assert_int_equal(read_stream(b.data, b.len, NULL), -1);
    assert_failed(EX_DATAERR, "in: record 0 has a header of 100000001 bytes");
    pcv_buf_free(&b);
}

/* A failed stream stays failed, and a descriptor that cannot be read is an
 * error of reading. */
static void test_sts_failed(void **state)
{
    int fd = open("/", O_RDONLY | O_DIRECTORY);
    pcv_sts *s = pcv_sts_open(fd, "a\nb");
    pcv_tensors t;

    (void)state;
    assert_int_equal(pcv_sts_next(s, &t), -1);
    assert_failed(EX_IOERR, "a\\nb: Is a directory");
    assert_int_equal(pcv_sts_next(s, &t), -1);
    assert_failed(EX_DATAERR, "a\\nb: ");
    pcv_sts_close(s);
    pcv_sts_close(NULL);
    close(fd);
}

static void test_sts_memory(void **state)
{
    pcv_buf b = {0};
    long k = 1;

    (void)state;
    make_stream(&b);
    for (; k < 300; k++) {
        int items;

        pcv_alloc_fail_at(k);
        items = read_stream(b.data, b.len, NULL);
        pcv_alloc_fail_at(0);
        if (items == 3)
            break;
        assert_failed(EX_OSERR, "out of memory");
    }
    assert_true(k > 20 && k < 300);
    pcv_buf_free(&b);
    for (k = 1; k < 10; k++) {
        const pcv_tensor_out out = {"a", PCV_U8, 1, {4}, "1234"};

        pcv_alloc_fail_at(k);
        pcv_sts_record(&b, &out, 1, NULL, NULL, 0);
        pcv_alloc_fail_at(0);
        if (!b.failed)
            break;
        assert_failed(EX_OSERR, "out of memory");
        pcv_buf_free(&b);
    }
    assert_true(k > 3 && k < 10);
    pcv_buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_json_values),
        TEST(test_json_absent),
        TEST(test_json_refused),
        TEST(test_json_depth),
        TEST(test_json_number),
        TEST(test_tensors_read),
        TEST(test_tensors_truncated),
        TEST(test_tensors_refused),
        TEST(test_tensors_length),
        TEST(test_tensors_limits),
        TEST(test_hash),
        TEST(test_tensors_checked),
        TEST(test_tensors_save),
        TEST(test_tensors_bytes),
        TEST(test_tensors_round_trip),
        TEST(test_tensors_memory),
        TEST(test_sts_read),
        TEST(test_sts_record),
        TEST(test_sts_truncated),
        TEST(test_sts_damaged),
        TEST(test_sts_refused),
        TEST(test_sts_failed),
        TEST(test_sts_memory),
    };

    return cmocka_run_group_tests_name("fmt", tests, NULL, NULL);
}
