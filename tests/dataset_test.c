/* dataset_test.c - labelled examples from a directory, a list, a pair of
 * array files; what is kept, by how many threads, and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/data/data.h"
#include "scratch.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

#define PGM "P5 2 1 255\n"          /* two pixels follow */

static pcv_dataset *open_dataset(const char *where, size_t keep)
{
    pcv_reading how;
    pcv_dataset *d;

    pcv_reading_default(&how);
    d = pcv_dataset_open(where, &pcv_columns_labelled, &how, keep);
    if (!d)
        fail_msg("%s", pcv_error());
    return d;
}

static void refuse(const char *where, int code, const char *what)
{
    pcv_reading how;

    pcv_reading_default(&how);
    assert_null(pcv_dataset_open(where, &pcv_columns_labelled, &how, 0));
    assert_failed(code, what);
}

/* names: "a b c". */
static void assert_labels(const pcv_dataset *d, const char *names)
{
    pcv_buf b = {0};

    for (size_t k = 0; k < pcv_dataset_labels(d, 1); k++)
        pcv_buf_printf(&b, "%s%s", k ? " " : "", pcv_dataset_label(d, 1, k));
    assert_string_equal(b.data, names);
    pcv_buf_free(&b);
}

static void assert_example(pcv_dataset *d, size_t i, const char *name,
                           int class, const char *bytes)
{
    const pcv_media *m = pcv_dataset_get(d, i, 0);

    if (!m)
        fail_msg("%s", pcv_error());
    assert_string_equal(pcv_dataset_name(d, i), name);
    assert_int_equal(pcv_dataset_class(d, i, 1), class);
    assert_memory_equal(m->array.data, bytes, strlen(bytes));
}

/* ---- directories ----------------------------------------------------- */

static void directories(void **state)
{
    pcv_dataset *d;

    (void)state;
    scratch_put("set/dog/b.pgm", PGM "db", 13);
    scratch_put("set/dog/a/x.pgm", PGM "dx", 13);
    scratch_put("set/Cat/c d.pgm", PGM "cc", 13);
    scratch_put("set/10/e.pgm", PGM "te", 13);
    scratch_put("set/9/e.pgm", PGM "ne", 13);
    scratch_puts("set/README", "beside the labels");
    scratch_puts("set/.git/x", "hidden");
    scratch_puts("set/dog/.DS_Store", "hidden");
    assert_int_equal(symlink("../dog", "set/9/more"), 0);
    d = open_dataset("set/", 1 << 20);
    assert_int_equal(pcv_dataset_count(d), 7);
    assert_labels(d, "10 9 Cat dog");
    assert_example(d, 0, "set/10/e.pgm", 0, "te");
    assert_example(d, 1, "set/9/e.pgm", 1, "ne");
    assert_example(d, 2, "set/9/more/a/x.pgm", 1, "dx");
    assert_example(d, 4, "set/Cat/c d.pgm", 2, "cc");
    assert_example(d, 5, "set/dog/a/x.pgm", 3, "dx");
    assert_example(d, 6, "set/dog/b.pgm", 3, "db");
    pcv_dataset_close(d);
    assert_int_equal(symlink("nowhere", "set/Cat/z"), 0);
    refuse("set", EX_NOINPUT, "set/Cat/z: No such file");
    scratch_puts("empty/README", "no labels");
    refuse("empty", EX_DATAERR, "empty: no examples: want DIRECTORY/label");
    refuse("nothing", EX_NOINPUT, "nothing: no such directory, list");
}

/* ---- lists ----------------------------------------------------------- */

static void lists(void **state)
{
    pcv_dataset *d;

    (void)state;
    scratch_put("set/a.pgm", PGM "a.", 13);
    scratch_put("set/b c.pgm", PGM "b.", 13);
    scratch_puts("set/list", "# path\tlabel\n\na.pgm\tyes, sir\r\n  \n"
                 "b c.pgm\tno\n./a.pgm\tno");
    d = open_dataset("set/list", 0);
    assert_int_equal(pcv_dataset_count(d), 3);
    assert_labels(d, "no yes, sir");
    assert_example(d, 0, "set/a.pgm", 1, "a.");
    assert_example(d, 1, "set/b c.pgm", 0, "b.");
    assert_example(d, 2, "set/./a.pgm", 0, "a.");
    pcv_dataset_close(d);
    scratch_puts("list", "set/a.pgm\t10\nset/a.pgm\t9\nset/a.pgm\t-1\n"
                 "set/a.pgm\t09\nset/a.pgm\t9\n");
    d = open_dataset("list", 0);
    assert_labels(d, "-1 09 9 10");
    assert_int_equal(pcv_dataset_class(d, 0, 1), 3);
    assert_int_equal(pcv_dataset_class(d, 1, 1), 2);
    assert_int_equal(pcv_dataset_class(d, 3, 1), 1);
    pcv_dataset_close(d);
    scratch_puts("list", "set/a.pgm\t10\nset/a.pgm\t9\nset/a.pgm\tx\n");
    d = open_dataset("list", 0);
    assert_labels(d, "10 9 x");
    pcv_dataset_close(d);
}

static void lists_refused(void **state)
{
    static const struct {
        const char *text;
        int code;
        const char *what;
    } row[] = {
        {"", EX_DATAERR, "list: no examples"},
        {"# only\n\n", EX_DATAERR, "list: no examples"},
        {"a.pgm\tx\na.pgm\n", EX_DATAERR, "list:2: want path<TAB>label"},
        {"\tx\n", EX_DATAERR, "list:1: want path<TAB>label"},
        {"\na.pgm\t\n", EX_DATAERR, "list:2: want path<TAB>label"},
        {"a.pgm\tx\ty\n", EX_DATAERR, "list:1: a second TAB"},
        {"a.pgm\tx\n\nb\033.pgm\ty", EX_NOINPUT,
         "list:3: b\\033.pgm: No such file"},
        {"a.pgm\tx\n.\ty", EX_NOINPUT, "list:2: .: Is a directory"},
    };

    (void)state;
    scratch_put("a.pgm", PGM "a.", 13);
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        scratch_puts("list", row[i].text);
        refuse("list", row[i].code, row[i].what);
    }
    scratch_put("list", "a.pgm\0\tx\n", 9);
    refuse("list", EX_DATAERR, "list:1: a NUL byte");
}

/* ---- pairs ----------------------------------------------------------- */

static const char images[] =
    "\0\0\x08\3\0\0\0\3\0\0\0\1\0\0\0\2" "aabbcc";
static const char labels[] = "\0\0\x08\1\0\0\0\3" "\4\0\1";

/* The same by gzip -n. */
static const char images_gz[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x63\x60\xe0\x60\x66\x60\x60"
    "\x00\x61\x46\x20\x66\x4a\x4c\x4c\x4a\x4a\x4e\x06\x00\x29\xef\x25\xf6"
    "\x16\x00\x00\x00";
static const char labels_gz[] =
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x63\x60\xe0\x60\x64\x60\x60"
    "\x60\x66\x61\x60\x04\x00\xce\x24\x4e\x7e\x0b\x00\x00\x00";

static void assert_pair(const char *where, const char *first)
{
    pcv_dataset *d = open_dataset(where, 0);
    const pcv_media *one = pcv_dataset_get(d, 1, 0);
    char name[64];

    assert_int_equal(pcv_dataset_count(d), 3);
    assert_labels(d, "0 1 2 3 4");
    for (int i = 0; i < 3; i++) {
        snprintf(name, sizeof name, "%s#%d", first, i);
        assert_example(d, (size_t)i, name, "\4\0\1"[i],
                       (const char *[]){"aa", "bb", "cc"}[i]);
    }
    assert_int_equal(one->kind, PCV_MEDIA_ARRAY);
    assert_int_equal(one->array.dtype, PCV_U8);
    assert_int_equal(one->array.rank, 2);
    assert_int_equal(one->array.dim[0], 1);
    assert_int_equal(one->array.dim[1], 2);
    assert_memory_equal(one->array.data, "bb", 2);
    pcv_dataset_close(d);
}

static void put_npy(const char *name, pcv_dtype t, int rank,
                    const size_t *dim, const void *data, size_t n)
{
    pcv_buf b = {0};

    pcv_npy_header(&b, t, rank, dim);
    pcv_buf_add(&b, data, n);
    scratch_put(name, b.data, b.len);
    pcv_buf_free(&b);
}

static void pairs(void **state)
{
    (void)state;
    scratch_put("x", images, sizeof images - 1);
    scratch_put("y", labels, sizeof labels - 1);
    scratch_put("x,z", images, sizeof images - 1);
    scratch_put("x.gz", images_gz, sizeof images_gz - 1);
    scratch_put("y.gz", labels_gz, sizeof labels_gz - 1);
    assert_pair("x,y", "x");
    assert_pair("x,z,y", "x,z");
    assert_pair("x.gz,y.gz", "x.gz");
    put_npy("x.npy", PCV_U8, 3, (size_t[]){3, 1, 2}, "aabbcc", 6);
    put_npy("y.npy", PCV_I64, 1, (size_t[]){3},
            "\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0", 24);
    assert_pair("x.npy,y.npy", "x.npy");
    assert_pair("x,y.npy", "x");
}

/* High byte first, and so not usable as it lies. */
static void pairs_are_put_in_order(void **state)
{
    static const char wide[] =
        "\0\0\x0b\2\0\0\0\3\0\0\0\2" "\0a\0b\0c\0d\0e\0f";
    pcv_dataset *d;

    (void)state;
    scratch_put("x", wide, sizeof wide - 1);
    scratch_put("y", labels, sizeof labels - 1);
    d = open_dataset("x,y", 0);
    assert_int_equal(pcv_dataset_get(d, 1, 0)->array.dtype, PCV_I16);
    assert_memory_equal(pcv_dataset_get(d, 1, 0)->array.data, "c\0d\0", 4);
    pcv_dataset_close(d);
}

static void pairs_refused(void **state)
{
    (void)state;
    scratch_put("x", images, sizeof images - 1);
    scratch_put("y", labels, sizeof labels - 1);
    scratch_put("cut", images, sizeof images - 2);
    scratch_puts("text", "text");
    refuse("x,missing", EX_NOINPUT, "x,missing: no such directory");
    refuse("x,text", EX_DATAERR, "text: neither idx nor .npy");
    refuse("cut,y", EX_DATAERR, "cut: idx: 5 bytes of elements, want 6");
    refuse("y,y", EX_DATAERR, "y: array of 1 axes");
    refuse("x,x", EX_DATAERR, "x: labels of 3 axes and type U8");
    put_npy("two", PCV_U8, 1, (size_t[]){2}, "\0\0", 2);
    refuse("x,two", EX_DATAERR, "two: 2 labels for 3 examples");
    put_npy("low", PCV_I8, 1, (size_t[]){3}, "\0\xff\0", 3);
    refuse("x,low", EX_DATAERR, "low: label 1 is -1, want 0 to 999999");
    put_npy("high", PCV_U32, 1, (size_t[]){3}, "\0\0\0\0\0\0\0\0\0\0\0\1", 12);
    refuse("x,high", EX_DATAERR, "high: label 2 is 16777216");
    put_npy("real", PCV_F32, 1, (size_t[]){3}, "\0\0\0\0\0\0\0\0\0\0\0\0", 12);
    refuse("x,real", EX_DATAERR, "real: labels of 1 axes and type F32");
    refuse("x", EX_DATAERR, "x:1: ");
}

/* ---- other columns --------------------------------------------------- */

static pcv_dataset *open_as(const char *where, const pcv_columns *c)
{
    pcv_reading how;

    pcv_reading_default(&how);
    return pcv_dataset_open(where, c, &how, 1 << 20);
}

static void refuse_as(const char *where, const pcv_columns *c, const char *what)
{
    assert_null(open_as(where, c));
    assert_failed(EX_DATAERR, what);
}

static const pcv_columns named = {
    .column = { { "image", PCV_COLUMN_MEDIA, false, 0 },
                { "kind", PCV_COLUMN_CLASS, false, 0 },
                { "text", PCV_COLUMN_MEDIA, true, 0 } },
    .columns = 3, .named = true,
};

static void named_columns(void **state)
{
    static const struct { const char *text, *what; } bad[] = {
        { "image\tsize\n", "list:1: 'size' is no part of the model; the first "
          "line names the columns: image, kind, text" },
        { "image\timage\n", "list:1: a column twice" },
        { "image\tkind\na.pgm\n", "list:2: fewer cells" },
        { "image\tkind\na.pgm\tx\ty\n", "list:2: more cells" },
        { "kind\timage\nx\t-\n", "list:2: nothing to look at" },
        { "kind\timage\n", "list: no examples: want lines of the columns" },
    };
    pcv_columns lined = named;
    pcv_dataset *d;

    (void)state;
    scratch_put("a.pgm", PGM "a.", 13);
    scratch_put("t", PGM "t.", 13);
    scratch_puts("list", "# c\nkind\ttext\timage\nx\t-\ta.pgm\n\nz\tt\t\r\n"
                 "-\tt\ta.pgm\n");
    d = open_as("list", &named);
    assert_non_null(d);
    assert_int_equal(pcv_dataset_count(d), 3);
    assert_int_equal(pcv_dataset_labels(d, 1), 2);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(pcv_dataset_has(d, (size_t)i, 0), i != 1);
        assert_int_equal(pcv_dataset_has(d, (size_t)i, 2), i != 0);
        assert_int_equal(pcv_dataset_class(d, (size_t)i, 1), i == 2 ? -1 : i);
    }
    assert_string_equal(pcv_dataset_name(d, 1), "t");
    assert_int_equal(pcv_dataset_get(d, 2, 0)->kind, PCV_MEDIA_IMAGE);
    assert_int_equal(pcv_dataset_get(d, 2, 2)->kind, PCV_MEDIA_BYTES);
    pcv_dataset_close(d);
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        scratch_puts("list", bad[i].text);
        refuse_as("list", &named, bad[i].what);
    }
    assert_int_equal(mkdir("dir", 0777), 0);
    refuse_as("dir", &named, "dir: a directory names one class");
    lined.form = PCV_EXAMPLES_LINES;
    refuse_as("list", &lined, "list: lines and running text are of a model");
}

static pcv_columns wanting(int kind)
{
    pcv_columns c = pcv_columns_labelled;

    c.column[1].kind = kind;
    return c;
}

static void tags(void **state)
{
    pcv_columns c = wanting(PCV_COLUMN_TAGS);
    char *other[] = { "wet", "cat", "dog", "hot" };
    pcv_dataset *d;
    float t[4];

    (void)state;
    scratch_put("a.pgm", PGM "a.", 13);
    scratch_puts("list", "a.pgm\tdog,cat\na.pgm\t\na.pgm\thot\n");
    d = open_as("list", &c);
    assert_non_null(d);
    assert_labels(d, "cat dog hot");
    pcv_dataset_tags(d, 0, 1, t);
    assert_true(t[0] == 1 && t[1] == 1 && t[2] == 0);
    pcv_dataset_tags(d, 1, 1, t);
    assert_true(t[0] == 0 && t[1] == 0 && t[2] == 0);
    assert_int_equal(pcv_dataset_adopt(d, 1, other, 4), 0);
    pcv_dataset_tags(d, 0, 1, t);
    assert_true(t[0] == 0 && t[1] == 1 && t[2] == 1 && t[3] == 0);
    pcv_dataset_close(d);
    scratch_puts("list", "a.pgm\t3,0\n");
    d = open_as("list", &c);
    assert_int_equal(pcv_dataset_adopt(d, 1, other, 4), 0);
    pcv_dataset_tags(d, 0, 1, t);
    assert_true(t[0] == 1 && t[1] == 0 && t[2] == 0 && t[3] == 1);
    pcv_dataset_close(d);
    scratch_puts("list", "a.pgm\tdog,,cat\n");
    refuse_as("list", &c, "'dog,,cat' of example 1: a tag between commas is");
}

static void numbers(void **state)
{
    static const struct { const char *text, *what; } bad[] = {
        { "a.pgm\t1,2\na.pgm\t1\n", "example 2 has 1 numbers, those before it "
          "2" },
        { "a.pgm\t1,x\n", "'1,x' of example 1: want numbers" },
        { "a.pgm\tinf\n", "'inf' of example 1: want numbers" },
        { "a.pgm\t1,1e39\n", "'1,1e39' of example 1: want numbers" },
        { "a.pgm\t1,\n", "'1,' of example 1: want numbers" },
    };
    pcv_columns c = wanting(PCV_COLUMN_NUMBERS);
    pcv_dataset *d;
    float v[2];

    (void)state;
    scratch_put("a.pgm", PGM "a.", 13);
    scratch_puts("list", "a.pgm\t0.5,-3e2\na.pgm\t1,2\n");
    d = open_as("list", &c);
    assert_non_null(d);
    assert_int_equal(pcv_dataset_width(d, 1), 2);
    pcv_dataset_numbers(d, 0, 1, v);
    assert_true(v[0] == (float)0.5 && v[1] == -300);
    pcv_dataset_close(d);
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        scratch_puts("list", bad[i].text);
        refuse_as("list", &c, bad[i].what);
    }
}

/* Fewer labels than are known are numbered as those. */
static void adopted(void **state)
{
    char *known[] = { "ant", "bee", "cow" }, *none[] = { "dog" };
    pcv_dataset *d;

    (void)state;
    scratch_put("a.pgm", PGM "a.", 13);
    scratch_puts("list", "a.pgm\tcow\na.pgm\tbee\n");
    d = open_dataset("list", 0);
    assert_int_equal(pcv_dataset_adopt(d, 1, none, 1), -1);
    assert_failed(EX_DATAERR, "the label 'bee' is not one of the 1 that are");
    assert_int_equal(pcv_dataset_class(d, 0, 1), 1);
    assert_int_equal(pcv_dataset_adopt(d, 1, known, 3), 0);
    assert_labels(d, "ant bee cow");
    assert_int_equal(pcv_dataset_class(d, 0, 1), 2);
    assert_int_equal(pcv_dataset_class(d, 1, 1), 1);
    pcv_dataset_close(d);
    scratch_puts("list", "a.pgm\t2\na.pgm\t0\n");
    d = open_dataset("list", 0);
    assert_int_equal(pcv_dataset_adopt(d, 1, known, 3), 0);
    assert_int_equal(pcv_dataset_class(d, 0, 1), 2);
    assert_int_equal(pcv_dataset_class(d, 1, 1), 0);
    pcv_dataset_close(d);
}

/* ---- items of arrays, texts ------------------------------------------ */

static void numbered_items(void **state)
{
    pcv_dataset *d;

    (void)state;
    scratch_put("x", images, sizeof images - 1);
    scratch_put("x.gz", images_gz, sizeof images_gz - 1);
    scratch_put("x#7", PGM "a.", 13);
    scratch_puts("list", "x#2\tp\nx.gz#1\tq\nx#7\tp\nx#3\tp\n");
    d = open_dataset("list", 1 << 20);
    assert_example(d, 0, "x#2", 0, "cc");
    assert_example(d, 1, "x.gz#1", 1, "bb");
    assert_example(d, 2, "x#7", 0, "a.");
    assert_null(pcv_dataset_get(d, 3, 0));
    assert_failed(EX_DATAERR, "x#3: the file has 3 items");
    pcv_dataset_close(d);
    scratch_puts("list", "y#2\tp\n");
    refuse("list", EX_NOINPUT, "list:1: y#2: No such file");
}

static void assert_text(pcv_dataset *d, size_t i, const char *text)
{
    const pcv_media *m = pcv_dataset_get(d, i, 0);

    assert_non_null(m);
    assert_int_equal(m->kind, PCV_MEDIA_BYTES);
    assert_int_equal(m->array.dim[0], strlen(text));
    assert_memory_equal(m->array.data, text, strlen(text));
}

static void lines(void **state)
{
    pcv_columns c = pcv_columns_labelled;
    pcv_dataset *d;
    float t[2];

    (void)state;
    c.form = PCV_EXAMPLES_LINES;
    scratch_puts("texts", "7\tone\ttwo\r\n\n3\t\n7\tlast");
    d = open_as("texts", &c);
    assert_non_null(d);
    assert_int_equal(pcv_dataset_count(d), 3);
    assert_labels(d, "3 7");
    assert_int_equal(pcv_dataset_class(d, 0, 1), 1);
    assert_string_equal(pcv_dataset_name(d, 2), "texts:4");
    assert_text(d, 0, "one\ttwo");
    assert_text(d, 1, "");
    assert_text(d, 2, "last");
    pcv_dataset_close(d);
    scratch_puts("texts", "7\tone\nno label\n");
    refuse_as("texts", &c, "texts:2: want label<TAB>text");
    c.columns = 1;              /* what stands before the tab counts nothing */
    d = open_as("texts", &c);
    assert_text(d, 0, "one");
    assert_text(d, 1, "no label");
    pcv_dataset_close(d);
    scratch_puts("texts", "\n\n");
    refuse_as("texts", &c, "texts: no lines of text");
    c = wanting(PCV_COLUMN_TAGS);       /* none of them are tags, too */
    c.form = PCV_EXAMPLES_LINES;
    scratch_puts("texts", "a,b\tone\n\ttwo\n");
    d = open_as("texts", &c);
    assert_non_null(d);
    pcv_dataset_tags(d, 1, 1, t);
    assert_true(t[0] == 0 && t[1] == 0);
    assert_text(d, 1, "two");
    pcv_dataset_close(d);
}

/* Each piece with as many bytes again behind it, where the file has them. */
static void running_text(void **state)
{
    pcv_columns c = { .column = { { "", PCV_COLUMN_MEDIA, true, 0 } },
                      .columns = 1, .form = PCV_EXAMPLES_TEXT, .piece = 4 };
    pcv_dataset *d;

    (void)state;
    scratch_puts("dir/a", "0123456789");
    scratch_puts("dir/b/c", "xyz");
    d = open_as("dir/a", &c);
    assert_int_equal(pcv_dataset_count(d), 3);
    assert_text(d, 0, "01234567");
    assert_text(d, 1, "456789");
    assert_text(d, 2, "89");
    assert_string_equal(pcv_dataset_name(d, 1), "dir/a@4");
    pcv_dataset_close(d);
    d = open_as("dir", &c);
    assert_int_equal(pcv_dataset_count(d), 4);
    assert_text(d, 3, "xyz");
    pcv_dataset_close(d);
    scratch_puts("none", "");
    refuse_as("none", &c, "none: no text");
}

/* Files without labels: all below a directory, or a list of names. */
static void unlabelled(void **state)
{
    pcv_columns c = { .column = { { "", PCV_COLUMN_MEDIA, false, 0 } },
                      .columns = 1 };
    pcv_dataset *d;

    (void)state;
    scratch_put("set/a.pgm", PGM "a.", 13);
    scratch_put("set/b/c.pgm", PGM "c.", 13);
    d = open_as("set", &c);
    assert_int_equal(pcv_dataset_count(d), 2);
    pcv_dataset_close(d);
    scratch_puts("list", "set/a.pgm\nset/b/c.pgm\twhatever\tit is\n");
    d = open_as("list", &c);
    assert_int_equal(pcv_dataset_count(d), 2);
    assert_string_equal(pcv_dataset_name(d, 1), "set/b/c.pgm");
    pcv_dataset_close(d);
}

/* ---- what is kept ---------------------------------------------------- */

/* count pictures of two bytes under as many names. */
static pcv_dataset *many(size_t count, size_t keep)
{
    pcv_buf list = {0};

    for (size_t i = 0; i < count; i++) {
        char name[32], data[] = PGM "..";

        snprintf(name, sizeof name, "%zu.pgm", i);
        data[11] = (char)(i % 100);
        scratch_put(name, data, 13);
        pcv_buf_printf(&list, "%zu.pgm\t%zu\n", i, i % 3);
    }
    scratch_put("list", list.data, list.len);
    pcv_buf_free(&list);
    return open_dataset("list", keep);
}

static void keeps_as_much_as_told(void **state)
{
    pcv_dataset *d = many(4, 5);        /* two of them, and a half */
    const pcv_media *first, *second;

    (void)state;
    first = pcv_dataset_get(d, 0, 0);
    second = pcv_dataset_get(d, 1, 0);
    assert_non_null(pcv_dataset_get(d, 2, 0));
    assert_non_null(pcv_dataset_get(d, 3, 0));
    for (int i = 0; i < 4; i++)
        assert_int_equal(unlink((const char *[]){"0.pgm", "1.pgm", "2.pgm",
                                                 "3.pgm"}[i]), 0);
    assert_ptr_equal(pcv_dataset_get(d, 0, 0), first);
    assert_ptr_equal(pcv_dataset_get(d, 1, 0), second);
    assert_int_equal(*(char *)second->array.data, 1);
    assert_null(pcv_dataset_get(d, 2, 0));
    assert_failed(EX_NOINPUT, "2.pgm: No such file");
    pcv_dataset_close(d);
}

typedef struct {
    pcv_dataset *d;
    size_t from;
    bool wrong;
} reader;

static void *read_all(void *arg)
{
    reader *r = arg;
    size_t n = pcv_dataset_count(r->d);

    for (size_t k = 0; k < 2 * n; k++) {
        size_t i = (r->from + k) % n;
        const pcv_media *m = pcv_dataset_get(r->d, i, 0);

        if (!m || *(char *)m->array.data != (char)(i % 100))
            r->wrong = true;
    }
    return NULL;
}

static void several_threads(void **state)
{
    pcv_dataset *d = many(150, 200);
    pthread_t thread[4];
    reader r[4];

    (void)state;
    for (size_t t = 0; t < 4; t++) {
        r[t] = (reader){d, 30 * t, false};
        assert_int_equal(pthread_create(&thread[t], NULL, read_all, &r[t]),
                         0);
    }
    for (size_t t = 0; t < 4; t++) {
        pthread_join(thread[t], NULL);
        assert_false(r[t].wrong);
    }
    pcv_dataset_close(d);
}

/* ---- memory ---------------------------------------------------------- */

/* Everything that can be asked of the first example. */
static bool ask(pcv_dataset *d, const pcv_columns *c)
{
    char *label[] = { "x", "b", "a", "0", "y" };
    float t[5];
    bool done = true;

    for (int k = 0; done && k < c->columns; k++) {
        int kind = c->column[k].kind;

        if (kind == PCV_COLUMN_NUMBERS)
            pcv_dataset_numbers(d, 0, k, t);
        else if (kind != PCV_COLUMN_MEDIA)
            done = pcv_dataset_adopt(d, k, label, 5) == 0;
        else
            done = pcv_dataset_get(d, 0, k) && pcv_dataset_get(d, 1, k);
        if (done && kind == PCV_COLUMN_TAGS)
            pcv_dataset_tags(d, 0, k, t);
    }
    return done;
}

static bool run_failing_at(const char *where, const pcv_columns *c, long k)
{
    pcv_reading how;
    pcv_dataset *d;
    bool done;

    pcv_reading_default(&how);
    pcv_error_clear();
    pcv_alloc_fail_at(k);
    d = pcv_dataset_open(where, c, &how, 2);
    done = d && ask(d, c);
    pcv_alloc_fail_at(0);
    if (pcv_error_code() != (done ? 0 : EX_OSERR))
        fail_msg("%s, allocation %ld: %s", where, k, pcv_error());
    pcv_dataset_close(d);
    return done;
}

static void every_allocation_may_fail(void **state)
{
    const pcv_columns *one = &pcv_columns_labelled;
    pcv_columns tagged = wanting(PCV_COLUMN_TAGS);
    pcv_columns counted = wanting(PCV_COLUMN_NUMBERS);
    pcv_columns lined = *one, pieces = *one, bare = *one;
    pcv_buf text = {0};
    const struct { const char *where; const pcv_columns *c; } row[] = {
        { "set", one }, { "list", one }, { "x,y", one }, { "x.gz,y", one },
        { "items", one }, { "named", &named }, { "tags", &tagged },
        { "numbers", &counted }, { "lines", &lined }, { "lines", &pieces },
        { "set", &pieces }, { "set", &bare }, { "list", &bare },
    };

    (void)state;
    lined.form = PCV_EXAMPLES_LINES;
    pieces.form = PCV_EXAMPLES_TEXT;
    pieces.piece = 3;
    pieces.columns = bare.columns = 1;
    scratch_put("set/a/a.pgm", PGM "a.", 13);
    scratch_put("set/b/b.pgm", PGM "b.", 13);
    scratch_puts("list", "set/a/a.pgm\ta\nset/b/b.pgm\tb\n");
    scratch_puts("items", "x#2\ta\nx.gz#1\tb\n");
    scratch_puts("named", "text\tkind\timage\nlist\ta\tx#0\n"
                 "list\tb\tset/b/b.pgm\n");
    scratch_puts("tags", "x#2\ta,b\nx#1\t\nx#0\tb\n");
    scratch_puts("numbers", "x#2\t1,2\nx#1\t3,4\n");
    for (int i = 0; i < 80; i++)
        pcv_buf_puts(&text, i % 2 ? "a\tone\n" : "b\ttwo\n");
    scratch_put("lines", text.data, text.len);
    pcv_buf_free(&text);
    scratch_put("x", images, sizeof images - 1);
    scratch_put("x.gz", images_gz, sizeof images_gz - 1);
    scratch_put("y", labels, sizeof labels - 1);
    for (size_t i = 0; i < PCV_LEN(row); i++)
        for (long k = 1; !run_failing_at(row[i].where, row[i].c, k); k++)
            assert_true(k < 1000);
    pcv_error_clear();
}

static void identity(const char *where, pcv_buf *b)
{
    pcv_dataset *d = open_dataset(where, 0);

    pcv_buf_clear(b);
    pcv_dataset_identity(d, b);
    assert_false(b->failed);
    pcv_dataset_close(d);
}

/* A set that was moved is the same, in whatever way it is named; one of other
 * names, labels, number or order is not. */
static void test_identity(void **state)
{
    static const char *const same[] = { "b/", "c/d/e", "list" };
    static const char *const other[] = { "a", "named", "labelled", "fewer",
                                         "turned" };
    pcv_buf want = {0}, have = {0};

    (void)state;
    scratch_puts("a/x/1.pgm", PGM "..");
    scratch_puts("a/x/2.pgm", PGM "..");
    scratch_puts("a/y/1.pgm", PGM "..");
    scratch_puts("b/x/1.pgm", PGM "..");
    scratch_puts("b/y/1.pgm", PGM "..");
    scratch_puts("c/d/e/x/1.pgm", PGM "..");
    scratch_puts("c/d/e/y/1.pgm", PGM "..");
    scratch_puts("list", "b/x/1.pgm\tx\nb/y/1.pgm\ty\n");
    scratch_puts("named", "b/x/1.pgm\tx\na/x/2.pgm\ty\n");
    scratch_puts("labelled", "b/x/1.pgm\tx\nb/y/1.pgm\tx\n");
    scratch_puts("fewer", "b/x/1.pgm\tx\n");
    scratch_puts("turned", "b/y/1.pgm\ty\nb/x/1.pgm\tx\n");
    identity("b", &want);
    for (size_t i = 0; i < PCV_LEN(same); i++) {
        identity(same[i], &have);
        if (have.len != want.len || memcmp(have.data, want.data, want.len))
            fail_msg("%s is another than b", same[i]);
    }
    for (size_t i = 0; i < PCV_LEN(other); i++) {
        identity(other[i], &have);
        if (have.len == want.len && !memcmp(have.data, want.data, want.len))
            fail_msg("%s is the same as b", other[i]);
    }
    pcv_buf_free(&want);
    pcv_buf_free(&have);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(directories),
        TEST(lists),
        TEST(lists_refused),
        TEST(pairs),
        TEST(pairs_are_put_in_order),
        TEST(pairs_refused),
        TEST(named_columns), TEST(tags), TEST(numbers), TEST(adopted),
        TEST(numbered_items), TEST(lines), TEST(running_text),
        TEST(unlabelled), TEST(keeps_as_much_as_told),
        TEST(several_threads),
        TEST(every_allocation_may_fail),
        TEST(test_identity),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
