/* items_test.c - operands, lists, directories and files that hold several ->
 * one item at a time: their order, names and failures. */
#include "items_help.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- operands -------------------------------------------------------- */

static void operands_keep_their_order(void **state)
{
    const char *path[] = {"b.pgm", "missing", "a.pgm", "", "b.pgm"};
    pcv_sources s = sources(path, 5);
    pcv_items *it = open_items(&s, 0);
    pcv_item item;

    (void)state;
    scratch_put("a.pgm", PGM "a.", 13);
    scratch_put("b.pgm", PGM "b.", 13);
    expect_grey(it, "b.pgm", 'b');
    expect_failure(it, "missing", EX_NOINPUT, "missing: No such file");
    expect_grey(it, "a.pgm", 'a');
    expect_failure(it, "", EX_NOINPUT, "No such file");
    assert_int_equal(pcv_items_next(it, &item), 1);
    assert_int_equal(item.index, 4);
    assert_string_equal(item.path, "b.pgm");
    pcv_item_free(&item);
    expect_end(it);
}

static void directories(void **state)
{
    const char *path[] = {"dir", "x.pgm"};
    pcv_sources s = sources(path, 2);
    pcv_items *it;

    (void)state;
    scratch_put("x.pgm", PGM "x.", 13);
    scratch_put("dir/b/2.pgm", PGM "2.", 13);
    scratch_put("dir/b/10.pgm", PGM "1.", 13);
    scratch_put("dir/b.pgm", PGM "b.", 13);
    scratch_put("dir/.h.pgm", PGM "h.", 13);
    scratch_put("dir/Z.pgm", PGM "Z.", 13);
    scratch_put("dir/note.txt", "note", 4);
    it = open_items(&s, 0);
    expect_failure(it, "dir", EX_NOINPUT, "dir: is a directory (use -r)");
    expect_grey(it, "x.pgm", 'x');
    expect_end(it);
    s.recursive = true;
    s.include = "*.pgm";
    s.exclude = "Z*";
    it = open_items(&s, 0);
    expect_grey(it, "dir/.h.pgm", 'h');
    expect_grey(it, "dir/b/10.pgm", '1');
    expect_grey(it, "dir/b/2.pgm", '2');
    expect_grey(it, "dir/b.pgm", 'b');
    expect_grey(it, "x.pgm", 'x');
    expect_end(it);
}

static void links(void **state)
{
    const char *path[] = {"dir/"};
    pcv_sources s = sources(path, 1);
    pcv_items *it;

    (void)state;
    s.recursive = true;
    scratch_put("dir/a/a.pgm", PGM "a.", 13);
    scratch_put("other/o.pgm", PGM "o.", 13);
    assert_int_equal(symlink("..", "dir/a/loop"), 0);
    assert_int_equal(symlink(".", "dir/self"), 0);
    assert_int_equal(symlink("nowhere", "dir/b"), 0);
    assert_int_equal(symlink("c", "dir/c"), 0);
    assert_int_equal(symlink("../other", "dir/d"), 0);
    assert_int_equal(symlink("../other/o.pgm", "dir/e"), 0);
    assert_int_equal(mkfifo("dir/fifo", 0600), 0);
    it = open_items(&s, 0);
    expect_grey(it, "dir/a/a.pgm", 'a');
    expect_failure(it, "dir/b", EX_NOINPUT, "dir/b: No such file");
    expect_failure(it, "dir/c", EX_NOINPUT, "dir/c: Too many levels");
    expect_grey(it, "dir/d/o.pgm", 'o');
    expect_grey(it, "dir/e", 'o');
    expect_end(it);
}

static void directories_that_cannot_be_read(void **state)
{
    const char *path[] = {"dir"};
    pcv_sources s = sources(path, 1);
    pcv_items *it;

    (void)state;
    if (geteuid() == 0)     /* root reads everything */
        skip();
    s.recursive = true;
    scratch_put("dir/a/a.pgm", PGM "a.", 13);
    scratch_put("dir/b.pgm", PGM "b.", 13);
    chmod("dir/a", 0);
    it = open_items(&s, 0);
    expect_failure(it, "dir/a", EX_NOINPUT, "dir/a: Permission denied");
    expect_grey(it, "dir/b.pgm", 'b');
    expect_end(it);
    chmod("dir/a", 0700);
}

/* ---- lists ----------------------------------------------------------- */

static const char *const odd_name[] = {
    "with space", "with\nnewline", "with\ttab", "\xff\xfe", "-dash", "#", "\\",
    "caf\xc3\xa9", "\x1b[2J",
};

static void nul_lists_take_any_name(void **state)
{
    pcv_sources s = sources(NULL, 0);
    pcv_buf list = {0};
    pcv_items *it;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(odd_name); i++) {
        scratch_put(odd_name[i], PGM "..", 13);
        pcv_buf_add(&list, odd_name[i], strlen(odd_name[i]) + 1);
    }
    pcv_buf_add(&list, "\0\0", 2);
    pcv_buf_puts(&list, "gone\x1b");            /* without an end */
    scratch_put("list", list.data, list.len);
    pcv_buf_free(&list);
    s.list = "list";
    s.nul = true;
    it = open_items(&s, 0);
    for (size_t i = 0; i < PCV_LEN(odd_name); i++)
        expect_grey(it, odd_name[i], '.');
    expect_failure(it, "gone\x1b", EX_NOINPUT, "gone\\033: No such file");
    expect_end(it);
}

static void lists_of_lines(void **state)
{
    const char *path[] = {"c"};
    pcv_sources s = sources(path, 1);
    pcv_items *it;

    (void)state;
    scratch_put("a b", PGM "a.", 13);
    scratch_put("c", PGM "c.", 13);
    scratch_puts("list", "\n\na b\n\nc\na b");
    s.list = "list";
    it = open_items(&s, 0);
    expect_grey(it, "c", 'c');                  /* the operand first */
    expect_grey(it, "a b", 'a');
    expect_grey(it, "c", 'c');
    expect_grey(it, "a b", 'a');
    expect_end(it);
    scratch_puts("list", "");
    it = open_items(&s, 0);
    expect_grey(it, "c", 'c');
    expect_end(it);
}

static void lists_that_are_none(void **state)
{
    static char block[200000];
    pcv_sources s = sources(NULL, 0);
    pcv_items *it;
    pcv_item item;

    (void)state;
    s.list = "missing";
    assert_null(pcv_items_open(&s, 0));
    assert_failed(EX_NOINPUT, "missing: No such file");
    s.list = ".";
    it = open_items(&s, 0);
    assert_int_equal(pcv_items_next(it, &item), -1);
    assert_failed(EX_NOINPUT, ".: Is a directory");
    pcv_items_close(it);
    memset(block, 'x', sizeof block);
    scratch_put("list", block, sizeof block);
    s.list = "list";
    it = open_items(&s, 0);
    assert_int_equal(pcv_items_next(it, &item), -1);
    assert_failed(EX_DATAERR, "no list of names");
    pcv_items_close(it);
    scratch_put("list", "a\0b\n", 4);
    it = open_items(&s, 0);
    assert_int_equal(pcv_items_next(it, &item), -1);
    assert_failed(EX_DATAERR, "list: name 1 holds a NUL byte");
    pcv_items_close(it);
}

/* ---- files that hold several ----------------------------------------- */

static void several_pictures_in_a_file(void **state)
{
    const char *path[] = {"two.pgm", "one.pgm", "two.png", "plain", "bad"};
    pcv_sources s = sources(path, 5);
    pcv_items *it = open_items(&s, 0);
    pcv_buf png = {0};

    (void)state;
    assert_int_equal(pcv_png_write(&png, (const uint8_t *)"ab", 1, 2, 1), 0);
    assert_int_equal(pcv_png_write(&png, (const uint8_t *)"cd", 1, 2, 1), 0);
    scratch_put("two.pgm", PGM "a." PGM "b.", 26);
    scratch_put("one.pgm", PGM "a.junk", 17);
    scratch_put("two.png", png.data, png.len);
    scratch_puts("plain", "P2 2 1 9 9 0\nP2 2 1 9 0 9\n");
    scratch_put("bad", PGM "a." PGM "b", 25);
    pcv_buf_free(&png);
    expect_grey(it, "two.pgm#0", 'a');
    expect_grey(it, "two.pgm#1", 'b');
    expect_grey(it, "one.pgm", 'a');
    expect_grey(it, "two.png#0", 'a');
    expect_grey(it, "two.png#1", 'c');
    expect_grey(it, "plain#0", 255);
    expect_grey(it, "plain#1", 0);
    expect_grey(it, "bad#0", 'a');
    expect_failure(it, "bad#1", EX_DATAERR, "bad#1: truncated PNM");
    expect_end(it);
}

static void several_arrays_in_a_file(void **state)
{
    static const char idx[] = "\0\0\x0b\3\0\0\0\2\0\0\0\1\0\0\0\2"
                              "\1\2\3\4\5\6\7\x08";
    static const char flat[] = "\0\0\x08\1\0\0\0\2" "ab";
    const char *path[] = {"x", "flat", "cut"};
    pcv_sources s = sources(path, 3);
    pcv_items *it = open_items(&s, 0);

    (void)state;
    scratch_put("x", idx, sizeof idx - 1);
    scratch_put("flat", flat, sizeof flat - 1);
    scratch_put("cut", idx, sizeof idx - 2);
    expect_array(it, "x#0", PCV_I16, 2, "\2\1\4\3", 4);
    expect_array(it, "x#1", PCV_I16, 2, "\6\5\x08\7", 4);
    expect_array(it, "flat", PCV_U8, 1, "ab", 2);
    expect_failure(it, "cut", EX_DATAERR, "7 bytes of elements, want 8");
    expect_end(it);
}

static void arrays_in_gzip(void **state)
{
    const char *path[] = {"x.gz", "cut.gz"};
    pcv_sources s = sources(path, 2);
    pcv_items *it = open_items(&s, 0);

    (void)state;
    scratch_put("x.gz", idx_gz, idx_gz_size);
    scratch_put("cut.gz", idx_gz, idx_gz_size - 1);
    expect_array(it, "x.gz#0", PCV_I16, 2, "\2\1\4\3", 4);
    expect_array(it, "x.gz#1", PCV_I16, 2, "\6\5\x08\7", 4);
    expect_failure(it, "cut.gz", EX_DATAERR, "truncated gzip");
    expect_end(it);
}

/* Fortran order: an item is not in one piece. */
static void batches_of_npy(void **state)
{
    const char *path[] = {"x", "f", "one", "none"};
    pcv_sources s = sources(path, 4);
    pcv_items *it = open_items(&s, 1);
    pcv_buf b = {0};
    char *order;

    (void)state;
    pcv_npy_header(&b, PCV_U16, 2, (size_t[]){2, 2});
    pcv_buf_add(&b, "AaBbCcDd", 8);
    scratch_put("x", b.data, b.len);
    order = strstr(b.data + 10, "False");
    memcpy(order, "True ", 5);
    scratch_put("f", b.data, b.len);
    pcv_buf_clear(&b);
    pcv_npy_header(&b, PCV_U8, 2, (size_t[]){1, 3});
    pcv_buf_add(&b, "abc", 3);
    scratch_put("one", b.data, b.len);
    pcv_buf_clear(&b);
    pcv_npy_header(&b, PCV_U8, 2, (size_t[]){0, 3});
    scratch_put("none", b.data, b.len);
    pcv_buf_free(&b);
    expect_array(it, "x#0", PCV_U16, 1, "AaBb", 4);
    expect_array(it, "x#1", PCV_U16, 1, "CcDd", 4);
    expect_array(it, "f#0", PCV_U16, 1, "AaCc", 4);
    expect_array(it, "f#1", PCV_U16, 1, "BbDd", 4);
    expect_array(it, "one#0", PCV_U8, 1, "abc", 3);
    expect_failure(it, "none#0", EX_DATAERR, "none: array without items");
    expect_end(it);
}

static void bytes_are_one_item(void **state)
{
    const char *path[] = {"two.pgm"};
    pcv_sources s = sources(path, 1);
    pcv_items *it;
    pcv_item item;

    (void)state;
    scratch_put("two.pgm", PGM "a." PGM "b.", 26);
    s.reading.modality = PCV_BYTES;
    it = open_items(&s, 0);
    assert_int_equal(pcv_items_next(it, &item), 1);
    assert_string_equal(item.name, "two.pgm");
    assert_int_equal(pcv_item_decode(&item, &s.reading), 0);
    assert_int_equal(item.media.kind, PCV_MEDIA_BYTES);
    assert_int_equal(item.media.array.dim[0], 26);
    pcv_item_free(&item);
    expect_end(it);
}

/* ---- memory ---------------------------------------------------------- */

/* Whatever fails, nothing leaks, and the run ends. */
static long run_failing_at(long k)
{
    const char *path[] = {"dir", "two.pgm", "x.gz"};
    pcv_sources s = sources(path, 3);
    pcv_items *it;
    pcv_item item;
    long before = pcv_alloc_count(), failures = 0;

    s.recursive = true;
    s.list = "list";
    pcv_alloc_fail_at(k);
    it = pcv_items_open(&s, 0);
    failures += !it;
    while (it) {
        int status = pcv_items_next(it, &item);

        failures += status < 0;
        if (status <= 0)
            break;
        failures += pcv_item_decode(&item, &s.reading) < 0;
        assert_true(item.code == 0 || item.what);
        pcv_item_free(&item);
    }
    pcv_items_close(it);
    pcv_alloc_fail_at(0);
    if (failures == 0 && k > 0)
        fail_msg("allocation %ld failed unnoticed", k);
    return pcv_alloc_count() - before;
}

static void every_allocation_may_fail(void **state)
{
    long all;

    (void)state;
    scratch_put("dir/a/a.pgm", PGM "a.", 13);
    scratch_put("two.pgm", PGM "a." PGM "b.", 26);
    scratch_put("x.gz", idx_gz, idx_gz_size);
    scratch_puts("list", "dir/a/a.pgm\ntwo.pgm\n");
    all = run_failing_at(0);
    for (long k = 1; k <= all; k++)
        run_failing_at(k);
    pcv_error_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(operands_keep_their_order),
        TEST(directories),
        TEST(links),
        TEST(directories_that_cannot_be_read),
        TEST(nul_lists_take_any_name),
        TEST(lists_of_lines),
        TEST(lists_that_are_none),
        TEST(several_pictures_in_a_file),
        TEST(several_arrays_in_a_file),
        TEST(arrays_in_gzip),
        TEST(batches_of_npy),
        TEST(bytes_are_one_item),
        TEST(every_allocation_may_fail),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
