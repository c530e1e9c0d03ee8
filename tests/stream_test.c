/* stream_test.c - items from standard input and other pipes: each is handed
 * out before anything behind it has been written. */
#include "items_help.h"

#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- standard input -------------------------------------------------- */

static int saved_stdin = -1;

/* Returns the end to write to. */
static int pipe_to_stdin(void)
{
    int end[2];

    assert_int_equal(pipe(end), 0);
    saved_stdin = dup(STDIN_FILENO);
    assert_int_equal(dup2(end[0], STDIN_FILENO), STDIN_FILENO);
    close(end[0]);
    return end[1];
}

static void restore_stdin(void)
{
    dup2(saved_stdin, STDIN_FILENO);
    close(saved_stdin);
}

static void say(int fd, const void *data, size_t n)
{
    assert_int_equal(write(fd, data, n), n);
}

#define SAY(fd, text) say(fd, text, sizeof text - 1)

/* All of it at once, from a pipe that is closed then. */
static pcv_items *items_of_stdin(const void *data, size_t n, int batch_rank)
{
    static const char *const path[] = {"-"};
    pcv_sources s = sources(path, 1);
    int fd = pipe_to_stdin();

    say(fd, data, n);
    close(fd);
    return open_items(&s, batch_rank);
}

#define ITEMS_OF(text) items_of_stdin(text, sizeof text - 1, 0)

static void end_of_stdin(pcv_items *it)
{
    expect_end(it);
    restore_stdin();
}

static void live_list(void **state)
{
    pcv_sources s = sources(NULL, 0);
    int fd = pipe_to_stdin();
    pcv_items *it;

    (void)state;
    scratch_put("a", PGM "a.", 13);
    scratch_put("b", PGM "b.", 13);
    s.list = "-";
    it = open_items(&s, 0);
    SAY(fd, "a\nb");
    expect_grey(it, "a", 'a');          /* before the b is complete */
    SAY(fd, "\n-\na");
    expect_grey(it, "b", 'b');
    expect_failure(it, "-", EX_NOINPUT, "standard input: was already read");
    close(fd);
    expect_grey(it, "a", 'a');
    end_of_stdin(it);
}

static void expect_pixels(pcv_items *it, const char *name, const char *want,
                          size_t n)
{
    pcv_item item;

    expect(it, name, &item);
    assert_int_equal(item.media.kind, PCV_MEDIA_IMAGE);
    assert_int_equal(pcv_array_count(&item.media.array), n);
    assert_memory_equal(item.media.array.data, want, n);
    pcv_item_free(&item);
}

static void live_pnm(void **state)
{
    const char *path[] = {"-", "-"};
    pcv_sources s = sources(path, 2);
    int fd = pipe_to_stdin();
    pcv_items *it;

    (void)state;
    it = open_items(&s, 0);
    SAY(fd, PGM "a.");
    expect_grey(it, "-", 'a');          /* before anything follows */
    SAY(fd, PGM "b.P6 1 1 # of 9\n9\n\3");
    expect_grey(it, "-#1", 'b');
    SAY(fd, "\6\x9");
    expect_pixels(it, "-#2", "\x55\xaa\xff", 3);
    SAY(fd, "P4\n9 1\n\x7f\x80" "P7\nWIDTH 2\nHEIGHT 1\nDEPTH 1\nMAXVAL 255\n"
        "TUPLTYPE GRAYSCALE\nENDHDR\nc.");
    expect_pixels(it, "-#3", "\xff\0\0\0\0\0\0\0\0", 9);
    expect_grey(it, "-#4", 'c');
    close(fd);
    expect_failure(it, "-", EX_NOINPUT, "standard input: was already read");
    end_of_stdin(it);
}

static void live_png(void **state)
{
    const char *path[] = {"-"};
    pcv_sources s = sources(path, 1);
    int fd = pipe_to_stdin();
    pcv_items *it;
    pcv_buf png = {0};

    (void)state;
    assert_int_equal(pcv_png_write(&png, (const uint8_t *)"ab", 1, 2, 1), 0);
    it = open_items(&s, 0);
    say(fd, png.data, png.len);
    expect_grey(it, "-", 'a');
    say(fd, png.data, png.len - 1);
    say(fd, png.data + png.len - 1, 1);
    expect_grey(it, "-#1", 'a');
    png.data[45] ^= 1;                  /* in the IDAT: its CRC is wrong */
    say(fd, png.data, png.len);
    expect_failure(it, "-#2", EX_DATAERR, "standard input#2: damaged PNG");
    png.data[45] ^= 1;
    say(fd, png.data, png.len);
    expect_grey(it, "-#3", 'a');
    say(fd, png.data, png.len - 4);
    close(fd);
    expect_failure(it, "-#4", EX_DATAERR, "truncated PNG");
    end_of_stdin(it);
    pcv_buf_free(&png);
}

static void pictures_and_what_follows(void **state)
{
    pcv_items *it;

    (void)state;
    it = ITEMS_OF(PGM "a.");
    expect_grey(it, "-", 'a');
    end_of_stdin(it);
    it = ITEMS_OF(PGM "a.\n\n" PGM "b.\n");
    expect_grey(it, "-", 'a');
    expect_grey(it, "-#1", 'b');
    end_of_stdin(it);
    it = ITEMS_OF(PGM "a.junk");   /* like a file's only one */
    expect_grey(it, "-", 'a');
    end_of_stdin(it);
    it = ITEMS_OF(PGM "a." PGM "b.junk");
    expect_grey(it, "-", 'a');
    expect_grey(it, "-#1", 'b');
    expect_failure(it, "-#2", EX_DATAERR, "follows picture 1 is neither");
    end_of_stdin(it);
    it = ITEMS_OF(PGM "a." PGM "b");
    expect_grey(it, "-", 'a');
    expect_failure(it, "-#1", EX_DATAERR, "truncated PNM");
    end_of_stdin(it);
    it = ITEMS_OF("P5 2 1 0\n.." PGM "b.");
    expect_failure(it, "-", EX_DATAERR, "maxval 0");
    expect_grey(it, "-#1", 'b');
    end_of_stdin(it);
    it = ITEMS_OF("P2 2 1 99\n99 0\nP2 2 1 9\n0 9\n");
    expect_grey(it, "-", 255);
    expect_grey(it, "-#1", 0);
    end_of_stdin(it);
}

static void anything_else_on_stdin(void **state)
{
    static const char idx[] = "\0\0\x08\3\0\0\0\2\0\0\0\1\0\0\0\2" "abcd";
    pcv_items *it = ITEMS_OF("some text");
    pcv_buf npy = {0};
    pcv_item item;

    (void)state;
    expect(it, "-", &item);
    assert_int_equal(item.media.kind, PCV_MEDIA_BYTES);
    assert_int_equal(item.media.array.dim[0], 9);
    pcv_item_free(&item);
    end_of_stdin(it);
    it = items_of_stdin(idx, sizeof idx - 1, 0);
    expect_array(it, "-#0", PCV_U8, 2, "ab", 2);
    expect_array(it, "-#1", PCV_U8, 2, "cd", 2);
    end_of_stdin(it);
    pcv_npy_header(&npy, PCV_U8, 2, (size_t[]){2, 2});
    pcv_buf_add(&npy, "abcd", 4);
    it = items_of_stdin(npy.data, npy.len, 1);
    expect_array(it, "-#0", PCV_U8, 1, "ab", 2);
    expect_array(it, "-#1", PCV_U8, 1, "cd", 2);
    end_of_stdin(it);
    it = items_of_stdin(npy.data, npy.len, 2);
    expect_array(it, "-", PCV_U8, 2, "abcd", 4);
    end_of_stdin(it);
    pcv_buf_free(&npy);
}

static void stdin_is_limited(void **state)
{
    const char *path[] = {"-"};
    pcv_sources s = sources(path, 1);
    int fd = pipe_to_stdin();
    pcv_items *it;

    (void)state;
    s.reading.max_bytes = 100;
    it = open_items(&s, 0);
    for (int i = 0; i < 101; i++)
        SAY(fd, "x");
    close(fd);
    expect_failure(it, "-", EX_DATAERR, "larger than the limit of 100 bytes");
    end_of_stdin(it);
    fd = pipe_to_stdin();
    it = open_items(&s, 0);
    SAY(fd, PGM "a.P5 60000 60000 255\n");
    expect_grey(it, "-", 'a');
    for (int i = 0; i < 101; i++)
        SAY(fd, "x");
    close(fd);
    expect_failure(it, "-#1", EX_DATAERR, "limit");
    end_of_stdin(it);
}

static void *feed(void *path)
{
    int fd = open(path, O_WRONLY);

    SAY(fd, PGM "a." PGM "b.");
    close(fd);
    return NULL;
}

/* As the shell's <(command) is. */
static void named_pipes(void **state)
{
    char name[] = "fifo";
    const char *path[] = {name};
    pcv_sources s = sources(path, 1);
    pthread_t writer;
    pcv_items *it;

    (void)state;
    assert_int_equal(mkfifo(name, 0600), 0);
    assert_int_equal(pthread_create(&writer, NULL, feed, name), 0);
    it = open_items(&s, 0);
    expect_grey(it, "fifo", 'a');
    expect_grey(it, "fifo#1", 'b');
    expect_end(it);
    pthread_join(writer, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(live_list),
        TEST(live_pnm),
        TEST(live_png),
        TEST(pictures_and_what_follows),
        TEST(anything_else_on_stdin),
        TEST(stdin_is_limited),
        TEST(named_pipes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
