/* base_test.c - floor 0 against truths that do not come from it: counts,
 * statistics, encodings written out by hand, the file system itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/base.h"

static void assert_failed(int code, const char *text)
{
    if (pcv_error_code() != code || !strstr(pcv_error(), text))
        fail_msg("%d \"%s\", want %d \"%s\"", pcv_error_code(), pcv_error(),
                 code, text);
    pcv_error_clear();
}

static void assert_near(double have, double want, double tolerance)
{
    if (!(fabs(have - want) <= tolerance))
        fail_msg("%g, want %g +- %g", have, want, tolerance);
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

/* ---- err, mem, arena ------------------------------------------------- */

static void *fails_elsewhere(void *unused)
{
    (void)unused;
    pcv_fail(EX_IOERR, "elsewhere");
    return NULL;
}

static void test_error(void **state)
{
    pthread_t other;

    (void)state;
    assert_string_equal(pcv_error(), "");
    assert_int_equal(pcv_error_code(), 0);
    pthread_create(&other, NULL, fails_elsewhere, NULL);
    pthread_join(other, NULL);
    assert_int_equal(pcv_error_code(), 0);
    assert_int_equal(pcv_fail(EX_NOINPUT, "%s: %d", "cause", 7), -1);
    assert_int_equal(pcv_fail(EX_DATAERR, "consequence"), -1);
    assert_string_equal(pcv_error(), "cause: 7");
    assert_int_equal(pcv_error_code(), EX_NOINPUT);
    pcv_error_clear();
    assert_string_equal(pcv_error(), "");
    assert_int_equal(pcv_error_code(), 0);
}

static void test_sizes(void **state)
{
    size_t out = 5;

    (void)state;
    assert_false(pcv_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_false(pcv_add(SIZE_MAX, 1, &out));
    assert_int_equal(out, 5);
    assert_true(pcv_mul(0, SIZE_MAX, &out));
    assert_int_equal(out, 0);
    assert_true(pcv_mul(SIZE_MAX, 1, &out));
    assert_true(out == SIZE_MAX);
    assert_true(pcv_add(SIZE_MAX - 1, 1, &out));
    assert_true(out == SIZE_MAX);
}

static void test_alloc(void **state)
{
    long before = pcv_alloc_count();
    char *p, *none, *copy;

    (void)state;
    p = pcv_alloc(100, 3);
    none = pcv_alloc(0, 8);
    copy = pcv_strdup("word");
    assert_non_null(p);
    assert_non_null(none);
    assert_string_equal(copy, "word");
    assert_int_equal((uintptr_t)p % 64, 0);
    for (int i = 0; i < 300; i++)
        assert_int_equal(p[i], 0);
    assert_int_equal(pcv_alloc_count() - before, 3);
    pcv_free(p);
    pcv_free(none);
    pcv_free(copy);
    pcv_free(NULL);
    assert_null(pcv_alloc(SIZE_MAX / 2 + 1, 2));
    assert_failed(EX_OSERR, "out of memory");
    assert_null(pcv_alloc(SIZE_MAX, 1));
    assert_failed(EX_OSERR, "out of memory");
}

static void test_alloc_fails(void **state)
{
    void *p[4];

    (void)state;
    pcv_alloc_fail_at(3);
    for (int i = 0; i < 4; i++)
        p[i] = pcv_alloc(1, 1);
    assert_non_null(p[0]);
    assert_non_null(p[1]);
    assert_null(p[2]);
    assert_non_null(p[3]);
    assert_failed(EX_OSERR, "out of memory: 1 bytes wanted");
    for (int i = 0; i < 4; i++)
        pcv_free(p[i]);
    pcv_alloc_fail_at(1);
    pcv_alloc_fail_at(0);
    pcv_free(p[0] = pcv_alloc(1, 1));
    assert_non_null(p[0]);
}

/* One layout for both passes: takes 3 floats, then 65 bytes twice. */
static size_t lay_out(pcv_arena *a, char *at[3])
{
    size_t mark;

    at[0] = pcv_arena_take(a, 3, 4);
    mark = a->used;
    at[1] = pcv_arena_take(a, 65, 1);
    pcv_arena_release(a, mark);
    at[2] = pcv_arena_take(a, 1, 65);
    return a->peak;
}

static void test_arena(void **state)
{
    pcv_arena count = {0}, a;
    char *at[3];

    (void)state;
    assert_int_equal(lay_out(&count, at), 64 + 128);
    assert_null(at[0]);
    assert_int_equal(pcv_arena_open(&a, count.peak), 0);
    assert_int_equal(lay_out(&a, at), count.peak);
    assert_ptr_equal(at[0], a.base);
    assert_ptr_equal(at[1], a.base + 64);
    assert_ptr_equal(at[2], at[1]);
    assert_int_equal((uintptr_t)at[0] % 64, 0);
    memset(at[2], 1, 65);
    pcv_arena_close(&a);
    assert_null(a.base);

    pcv_arena_take(&count, SIZE_MAX / 2, 3);
    assert_true(count.peak == SIZE_MAX);
    assert_int_equal(pcv_arena_open(&a, count.peak), -1);
    assert_failed(EX_OSERR, "out of memory");
}

/* ---- rng ------------------------------------------------------------- */

#define DRAWS 200000

static uint64_t by_seed(uint64_t i) { return pcv_random(i, 3, 4); }
static uint64_t by_stream(uint64_t i) { return pcv_random(3, i, 4); }
static uint64_t by_index(uint64_t i) { return pcv_random(3, 4, i); }

/* Chi-square over the 256 values of each byte; with 255 degrees of freedom
 * it lies under 390 but for one case in ten million. */
static void check_bytes(uint64_t (*draw)(uint64_t))
{
    static int seen[8][256];

    memset(seen, 0, sizeof seen);
    for (uint64_t i = 0; i < DRAWS; i++) {
        uint64_t r = draw(i);

        for (int b = 0; b < 8; b++)
            seen[b][r >> 8 * b & 255]++;
    }
    for (int b = 0; b < 8; b++) {
        double chi = 0, want = DRAWS / 256.0;

        for (int v = 0; v < 256; v++)
            chi += (seen[b][v] - want) * (seen[b][v] - want) / want;
        assert_true(chi < 390 && chi > 150);
    }
}

static int ones(uint64_t x)
{
    int n = 0;

    for (; x; x &= x - 1)
        n++;
    return n;
}

/* Changing one bit of a key changes half of the result, whichever bit. */
static void check_avalanche(uint64_t (*draw)(uint64_t))
{
    for (int bit = 0; bit < 64; bit++) {
        double sum = 0;

        for (uint64_t i = 0; i < 500; i++)
            sum += ones(draw(i) ^ draw(i ^ UINT64_C(1) << bit));
        assert_near(sum / 500, 32, 1);  /* five deviations are 0.9 */
    }
}

static void test_random(void **state)
{
    (void)state;
    check_bytes(by_seed);
    check_bytes(by_stream);
    check_bytes(by_index);
    check_avalanche(by_seed);
    check_avalanche(by_stream);
    check_avalanche(by_index);
    assert_true(pcv_random(1, 2, 3) == pcv_random(1, 2, 3));
    assert_true(pcv_random(0, 0, 0) != 0);
    assert_true(pcv_random(1, 2, 3) != pcv_random(2, 1, 3));
    assert_true(pcv_random(1, 2, 3) != pcv_random(1, 3, 2));
}

static void test_uniform(void **state)
{
    double sum = 0, squares = 0, lag = 0, streams = 0, before = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double u = pcv_uniform(9, 1, i);

        assert_true(u >= 0 && u < 1);
        sum += u;
        squares += u * u;
        lag += (u - 0.5) * before;
        streams += (u - 0.5) * (pcv_uniform(9, 2, i) - 0.5);
        before = u - 0.5;
    }
    assert_near(sum / DRAWS, 0.5, 0.004);
    assert_near(squares / DRAWS, 1.0 / 3, 0.004);
    assert_near(lag / DRAWS, 0, 0.001);
    assert_near(streams / DRAWS, 0, 0.001);
}

static void test_normal(void **state)
{
    double sum = 0, squares = 0, fourth = 0, lag = 0, before = 0;
    int one = 0, two = 0;

    (void)state;
    for (uint64_t i = 0; i < DRAWS; i++) {
        double x = pcv_normal(5, 7, i);

        assert_true(isfinite(x));
        sum += x;
        squares += x * x;
        fourth += x * x * x * x;
        lag += x * before;
        before = x;
        one += fabs(x) < 1;
        two += fabs(x) < 2;
    }
    assert_near(sum / DRAWS, 0, 0.012);
    assert_near(squares / DRAWS, 1, 0.016);
    assert_near(fourth / DRAWS, 3, 0.12);
    assert_near(lag / DRAWS, 0, 0.012);
    assert_near((double)one / DRAWS, 0.682689, 0.006);
    assert_near((double)two / DRAWS, 0.954500, 0.003);
}

static void test_shuffle(void **state)
{
    uint32_t order[1000], seen[1000] = {0}, again[1000];
    int kind[256] = {0}, kinds = 0;

    (void)state;
    pcv_shuffle(1, 2, order, 1000);
    pcv_shuffle(1, 2, again, 1000);
    assert_memory_equal(order, again, sizeof order);
    for (int i = 0; i < 1000; i++) {
        assert_true(order[i] < 1000);
        assert_int_equal(seen[order[i]]++, 0);
    }
    pcv_shuffle(1, 3, again, 1000);
    assert_memory_not_equal(order, again, sizeof order);
    for (uint64_t stream = 0; stream < 24000; stream++) {
        pcv_shuffle(4, stream, order, 4);
        kind[order[0] | order[1] << 2 | order[2] << 4 | order[3] << 6]++;
    }
    for (int i = 0; i < 256; i++)
        if (kind[i]) {
            kinds++;
            assert_near(kind[i], 1000, 160);    /* five deviations */
        }
    assert_int_equal(kinds, 24);
    pcv_shuffle(1, 1, order, 0);
}

/* ---- str ------------------------------------------------------------- */

static void test_buf(void **state)
{
    pcv_buf b = {0};

    (void)state;
    for (int i = 0; i < 1000; i++)
        pcv_buf_printf(&b, "%03d,", i);
    assert_int_equal(b.len, 4000);
    assert_memory_equal(b.data + 3992, "998,999,", 9);
    pcv_buf_clear(&b);
    pcv_buf_add(&b, NULL, 0);
    assert_int_equal(b.len, 0);
    pcv_buf_add(&b, "a\0b", 3);
    pcv_buf_puts(&b, "c");
    assert_int_equal(b.len, 4);
    assert_memory_equal(b.data, "a\0bc", 5);
    pcv_buf_free(&b);
    assert_null(b.data);
}

static void test_buf_fails(void **state)
{
    pcv_buf b = {0};

    (void)state;
    pcv_buf_puts(&b, "kept");
    pcv_alloc_fail_at(1);
    pcv_buf_printf(&b, "%200d", 1);
    assert_true(b.failed);
    pcv_buf_puts(&b, "x");
    assert_string_equal(b.data, "kept");
    assert_failed(EX_OSERR, "out of memory");
    pcv_buf_free(&b);
    assert_false(b.failed);
}

/* The encoder that the standard describes; also of what is not allowed. */
static int encode(uint32_t c, char *s)
{
    int n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint32_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (int i = n - 1; i > 0; i--, c >>= 6)
        s[i] = (char)(0x80 | (c & 0x3f));
    s[0] = (char)(lead[n] | c);
    return n;
}

static void test_utf8(void **state)
{
    static const char *const bad[] = {
        "\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80",
        "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xff", "\xfe",
        "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(",
    };

    (void)state;
    for (uint32_t c = 0; c < 0x110000; c++) {
        char s[4];
        int n = encode(c, s);
        bool surrogate = c >= 0xd800 && c < 0xe000;

        if (pcv_utf8(s, 4) != (surrogate ? 0 : n))
            fail_msg("U+%04X", (unsigned)c);
        if (pcv_utf8(s, (size_t)n - 1) != 0)
            fail_msg("U+%04X cut short", (unsigned)c);
    }
    for (size_t i = 0; i < PCV_LEN(bad); i++)
        assert_int_equal(pcv_utf8(bad[i], strlen(bad[i])), 0);
}

static void check_escape(const char *s, const char *want)
{
    pcv_buf b = {0};

    pcv_buf_escape(&b, s);
    assert_string_equal(b.data, want);
    pcv_buf_free(&b);
}

static void test_escape(void **state)
{
    (void)state;
    check_escape("plain name.png", "plain name.png");
    check_escape("gr\xc3\xbc\xc3\x9f.png", "gr\xc3\xbc\xc3\x9f.png");
    check_escape("a\tb\nc\rd\\e", "a\\tb\\nc\\rd\\\\e");
    check_escape("\x1b[2J", "\\033[2J");
    check_escape("\x7f" "1", "\\1771");
    check_escape("\xff\xc3(", "\\377\\303(");
    check_escape("\xc2\x9b" "1m", "\\302\\2331m");
    check_escape("\xe2\x80\xa8", "\\342\\200\\250");
    check_escape("\xe2\x80\x9c", "\xe2\x80\x9c");
}

static void check_json(const char *s, size_t n, const char *want, bool valid)
{
    pcv_buf b = {0};

    assert_int_equal(pcv_buf_json(&b, s, n), valid);
    assert_string_equal(b.data, want);
    pcv_buf_free(&b);
}

static void test_json_string(void **state)
{
    (void)state;
    check_json("a\"b\\c/d", 7, "a\\\"b\\\\c/d", true);
    check_json("\0\x1f\x7f\n", 4, "\\u0000\\u001f\\u007f\\n", true);
    check_json("\xc3\xa9\xf0\x9f\x98\x80", 6, "\xc3\xa9\xf0\x9f\x98\x80",
               true);
    check_json("\xc2\x9b", 2, "\\u009b", true);
    check_json("a\xff\xc3", 3, "a\xef\xbf\xbd\xef\xbf\xbd", false);
}

/* ---- file ------------------------------------------------------------ */

static char dir[] = "/tmp/pcv-base-test.XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int remove_dir(void **state)
{
    (void)state;
    return rmdir(dir);
}

static const char *in_dir(const char *name)
{
    static char path[128];

    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

static int entries(void)
{
    DIR *d = opendir(dir);
    int n = -2;     /* . and .. */

    assert_non_null(d);
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void check_content(const char *path, const char *want)
{
    pcv_file f;

    assert_int_equal(pcv_file_open(&f, path, 0), 0);
    assert_int_equal(f.size, strlen(want));
    if (f.size)
        assert_memory_equal(f.data, want, f.size);
    pcv_file_close(&f);
}

/* A large file is mapped, a small one read. */
static void test_file_mapped(void **state)
{
    const char *path = in_dir("large");
    char *big = calloc(100000, 1);
    pcv_file f;

    (void)state;
    big[99999] = 'z';
    assert_int_equal(pcv_save_file(path, big, 100000), 0);
    assert_int_equal(pcv_file_open(&f, path, 0), 0);
    assert_true(f.mapped);
    assert_memory_equal(f.data, big, 100000);
    pcv_file_close(&f);
    assert_int_equal(pcv_file_open(&f, path, 99999), -1);
    assert_failed(EX_DATAERR, "large: larger than the limit of 99999 bytes");
    unlink(path);
    free(big);
}

static void test_file_open(void **state)
{
    const char *path = in_dir("five");
    pcv_file f;

    (void)state;
    assert_int_equal(pcv_save_file(path, "12345", 5), 0);
    assert_int_equal(pcv_file_open(&f, path, 5), 0);
    assert_false(f.mapped);
    assert_memory_equal(f.data, "12345", 5);
    pcv_file_close(&f);
    assert_int_equal(pcv_file_open(&f, path, 4), -1);
    assert_failed(EX_DATAERR, "five: larger than the limit of 4 bytes");
    assert_int_equal(pcv_save_file(path, "", 0), 0);
    check_content(path, "");
    unlink(path);
    assert_int_equal(pcv_file_open(&f, path, 0), -1);
    assert_failed(EX_NOINPUT, "five: No such file or directory");
    assert_int_equal(pcv_file_open(&f, dir, 0), -1);
    assert_failed(EX_NOINPUT, "Is a directory");
    assert_int_equal(pcv_file_open(&f, "a\n\x1b", 0), -1);
    assert_string_equal(pcv_error(), "a\\n\\033: No such file or directory");
    pcv_error_clear();
    pcv_file_close(&f);
    assert_int_equal(pcv_file_open(&f, "/proc/self/stat", 0), 0);
    assert_true(f.size > 0);
    pcv_file_close(&f);
}

/* Bytes in pieces, so that reads are short. */
static void *feed(void *arg)
{
    int fd = *(int *)arg;
    char piece[1000];

    for (int i = 0; i < 300; i++) {
        memset(piece, 'a' + i % 26, sizeof piece);
        if (write(fd, piece, sizeof piece) != sizeof piece)
            break;
    }
    close(fd);
    return NULL;
}

static void read_stdin_from(int fd, size_t limit, pcv_file *f, int want)
{
    int saved = dup(STDIN_FILENO);

    dup2(fd, STDIN_FILENO);
    assert_int_equal(pcv_file_open(f, "-", limit), want);
    dup2(saved, STDIN_FILENO);
    close(saved);
}

static void test_stdin(void **state)
{
    pthread_t feeder;
    pcv_file f;
    int ends[2], fd;

    (void)state;
    assert_int_equal(pipe(ends), 0);
    pthread_create(&feeder, NULL, feed, &ends[1]);
    read_stdin_from(ends[0], 300000, &f, 0);
    pthread_join(feeder, NULL);
    close(ends[0]);
    assert_int_equal(f.size, 300000);
    assert_false(f.mapped);
    for (size_t i = 0; i < f.size; i++)
        assert_int_equal(f.data[i], 'a' + i / 1000 % 26);
    pcv_file_close(&f);

    fd = open("/dev/zero", O_RDONLY);
    read_stdin_from(fd, 100000, &f, -1);
    assert_failed(EX_DATAERR, "standard input: larger than the limit");
    close(fd);

    /* The rest of a file that another program began to read. */
    assert_int_equal(pcv_save_file(in_dir("in"), "headtail", 8), 0);
    fd = open(in_dir("in"), O_RDONLY);
    lseek(fd, 4, SEEK_SET);
    read_stdin_from(fd, 0, &f, 0);
    close(fd);
    unlink(in_dir("in"));
    assert_int_equal(f.size, 4);
    assert_memory_equal(f.data, "tail", 4);
    pcv_file_close(&f);
}

static void test_saver(void **state)
{
    const char *path = in_dir("out");
    pcv_saver *s;

    (void)state;
    assert_int_equal(pcv_save_file(path, "old", 3), 0);
    s = pcv_saver_open(path);
    assert_non_null(s);
    assert_int_equal(pcv_saver_write(s, "new", 3), 0);
    assert_int_equal(entries(), 2);
    check_content(path, "old");
    pcv_saver_abort(s);
    assert_int_equal(entries(), 1);
    check_content(path, "old");
    s = pcv_saver_open(path);
    assert_int_equal(pcv_saver_write(s, "ne", 2), 0);
    assert_int_equal(pcv_saver_write(s, "w", 1), 0);
    assert_int_equal(pcv_saver_commit(s), 0);
    assert_int_equal(entries(), 1);
    check_content(path, "new");
    unlink(path);
    pcv_saver_abort(NULL);
}

/* What was there goes to the other name, once there is something new. */
static void test_saver_previous(void **state)
{
    static const char *const text[] = { "one", "two", "six" };
    char path[128], previous[128];

    (void)state;
    strcpy(path, in_dir("out"));
    strcpy(previous, in_dir("before"));
    for (size_t i = 0; i < PCV_LEN(text); i++) {
        pcv_saver *s = pcv_saver_open(path);

        assert_int_equal(pcv_saver_keep(s, previous), 0);
        assert_int_equal(pcv_saver_write(s, text[i], 3), 0);
        if (i > 0)
            check_content(path, text[i - 1]);
        if (i == 2)
            check_content(previous, text[0]);
        assert_int_equal(pcv_saver_commit(s), 0);
        check_content(path, text[i]);
        assert_int_equal(entries(), i ? 2 : 1);
    }
    check_content(previous, text[1]);
    unlink(path);
    unlink(previous);
}

static void test_saver_keeps(void **state)
{
    char path[128], link[128];
    struct stat st;

    (void)state;
    strcpy(path, in_dir("out"));
    strcpy(link, in_dir("link"));
    assert_int_equal(pcv_save_file(path, "old", 3), 0);
    assert_int_equal(chmod(path, 0604), 0);
    assert_int_equal(symlink("out", link), 0);
    assert_int_equal(pcv_save_file(link, "new", 3), 0);
    check_content(path, "new");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0604);
    assert_int_equal(lstat(link, &st), 0);
    assert_true(S_ISLNK(st.st_mode));
    unlink(path);
    unlink(link);
    assert_int_equal(entries(), 0);
}

static void test_saver_long_name(void **state)
{
    char name[256];

    (void)state;
    memset(name, 'n', 255);
    name[255] = '\0';
    assert_int_equal(chdir(dir), 0);
    assert_int_equal(pcv_save_file(name, "x", 1), 0);
    assert_int_equal(entries(), 1);
    check_content(name, "x");
    assert_int_equal(unlink(name), 0);
    assert_int_equal(chdir("/"), 0);
}

/* A file size limit stands for a full disk: it can be had anywhere. */
static void test_saver_full(void **state)
{
    static char data[100000];
    struct rlimit old, small;
    pcv_saver *s;

    (void)state;
    assert_int_equal(pcv_save_file(in_dir("out"), "old", 3), 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &old);
    small = old;
    small.rlim_cur = 4096;
    setrlimit(RLIMIT_FSIZE, &small);
    s = pcv_saver_open(in_dir("out"));
    assert_int_equal(pcv_saver_write(s, data, sizeof data), -1);
    assert_failed(EX_IOERR, "out: File too large");
    assert_int_equal(pcv_saver_write(s, data, 1), -1);
    assert_int_equal(pcv_saver_commit(s), -1);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_failed(EX_IOERR, "out: an earlier write failed");
    check_content(in_dir("out"), "old");
    assert_int_equal(entries(), 1);
    unlink(in_dir("out"));
}

static void test_saver_errors(void **state)
{
    (void)state;
    assert_int_equal(pcv_save_file("/dev/full", "x", 1), -1);
    assert_int_equal(pcv_error_code(), EX_IOERR);
    assert_string_equal(pcv_error(), "/dev/full: No space left on device");
    pcv_error_clear();
    assert_int_equal(pcv_save_file("/dev/null", "x", 1), 0);
    assert_int_equal(pcv_save_file(in_dir("none/out"), "x", 1), -1);
    assert_failed(EX_CANTCREAT, "none/out: No such file or directory");
    assert_int_equal(pcv_save_file(dir, "x", 1), -1);
    assert_failed(EX_CANTCREAT, "Is a directory");
    assert_int_equal(pcv_save_file("", "x", 1), -1);
    assert_failed(EX_CANTCREAT, "'': No such file or directory");
}

/* Whichever allocation fails: no temporary, no half file, no leak. */
static void test_saver_memory(void **state)
{
    long k = 1;

    (void)state;
    for (; k < 100; k++) {
        int status;

        pcv_alloc_fail_at(k);
        status = pcv_save_file(in_dir("out"), "x", 1);
        pcv_alloc_fail_at(0);
        if (status == 0)
            break;
        assert_failed(EX_OSERR, "out of memory");
        assert_true(entries() <= 1);    /* the last ones come after rename */
    }
    assert_true(k > 3 && k < 100);
    unlink(in_dir("out"));
    assert_int_equal(entries(), 0);
}

/* ---- pool ------------------------------------------------------------ */

#define CALLS 1000

static void count_call(void *arg, int i)
{
    atomic_int *calls = arg;

    atomic_fetch_add(&calls[i], 1);
}

static void check_once(int n)
{
    atomic_int calls[CALLS + 1];

    for (int i = 0; i <= CALLS; i++)
        atomic_init(&calls[i], 0);
    pcv_parallel(n, count_call, calls);
    for (int i = 0; i <= CALLS; i++)
        assert_int_equal(atomic_load(&calls[i]), i < n ? 1 : 0);
}

static void test_pool_once(void **state)
{
    static const int threads[] = {1, 2, 4, 3, 1};

    (void)state;
    for (size_t t = 0; t < PCV_LEN(threads); t++) {
        assert_int_equal(pcv_threads_set(threads[t]), 0);
        assert_int_equal(pcv_threads(), threads[t]);
        for (int n = 0; n < 20; n++)
            check_once(n);
        check_once(CALLS);
    }
    assert_int_equal(pcv_threads_set(0), -1);
    assert_failed(EX_USAGE, "0 threads, want at least 1");
    assert_int_equal(pcv_threads(), 1);
}

/* Plain writes without atomics: what a call wrote is seen after the loop,
 * and a stale job would add to the wrong row. */
static void add_row(void *arg, int i)
{
    int *row = arg;

    row[i]++;
}

static void test_pool_many(void **state)
{
    int rows[4][8] = {{0}};

    (void)state;
    assert_int_equal(pcv_threads_set(4), 0);
    for (int job = 0; job < 20000; job++)
        pcv_parallel(1 + job / 4 % 8, add_row, rows[job % 4]);
    for (int r = 0; r < 4; r++)
        for (int i = 0; i < 8; i++)
            assert_int_equal(rows[r][i], 5000 - i * 625);
    pcv_threads_set(1);
}

/* Long enough for the workers to fall asleep, and for the caller to wait
 * asleep for the last of them. */
static void call_slowly(void *arg, int i)
{
    usleep(i ? 20000 : 0);
    add_row(arg, i);
}

static void test_pool_sleep(void **state)
{
    int row[4] = {0};

    (void)state;
    pcv_threads_set(4);
    for (int job = 0; job < 5; job++) {
        usleep(20000);
        pcv_parallel(4, call_slowly, row);
    }
    for (int i = 0; i < 4; i++)
        assert_int_equal(row[i], 5);
    pcv_threads_set(1);
}

static void call_nested(void *arg, int i)
{
    atomic_int (*calls)[10] = arg;

    pcv_parallel(10, count_call, calls[i]);
}

static void test_pool_nested(void **state)
{
    atomic_int calls[10][10];

    (void)state;
    pcv_threads_set(4);
    for (int i = 0; i < 100; i++)
        atomic_init(&calls[i / 10][i % 10], 0);
    for (int round = 0; round < 100; round++)
        pcv_parallel(10, call_nested, calls);
    for (int i = 0; i < 100; i++)
        assert_int_equal(atomic_load(&calls[i / 10][i % 10]), 100);
    pcv_threads_set(1);
}

static void *use_pool(void *arg)
{
    int *row = arg;

    for (int job = 0; job < 2000; job++)
        pcv_parallel(8, add_row, row);
    return NULL;
}

static void test_pool_shared(void **state)
{
    int rows[3][8] = {{0}};
    pthread_t user[3];

    (void)state;
    pcv_threads_set(3);
    for (int i = 0; i < 3; i++)
        pthread_create(&user[i], NULL, use_pool, rows[i]);
    for (int i = 0; i < 3; i++)
        pthread_join(user[i], NULL);
    for (int i = 0; i < 24; i++)
        assert_int_equal(rows[i / 8][i % 8], 2000);
    pcv_threads_set(1);
}

/* ---- dtype ----------------------------------------------------------- */

static float one_float(pcv_dtype t, const char *bytes)
{
    float x;

    pcv_dtype_to_float(t, bytes, 1, &x);
    return x;
}

static double one_double(pcv_dtype t, const char *bytes)
{
    double x;

    pcv_dtype_to_double(t, bytes, 1, &x);
    return x;
}

/* The value by the definition of the format: `bits` of fraction, bias. */
static double small_float(int h, int bits, int exponents, int bias)
{
    int fraction = h & ((1 << bits) - 1);
    int exponent = h >> bits & (exponents - 1);
    double sign = h & 0x8000 ? -1 : 1;

    if (exponent == exponents - 1)
        return fraction ? (double)NAN : sign * (double)INFINITY;
    if (exponent == 0)
        return sign * ldexp(fraction, 1 - bias - bits);
    return sign * ldexp(fraction + (1 << bits), exponent - bias - bits);
}

static void check_small(pcv_dtype t, int h, double want)
{
    char bytes[2] = {(char)(h & 255), (char)(h >> 8)};
    double have = one_double(t, bytes);
    float single = one_float(t, bytes);

    if (isnan(want) ? !isnan(have) || !isnan(single)
                    : have != want || (double)single != want)
        fail_msg("%s %04x is %g, want %g", pcv_dtype_name(t), (unsigned)h,
                 have, want);
    assert_int_equal(!!signbit(have), h >> 15);
}

static void test_half(void **state)
{
    (void)state;
    for (int h = 0; h < 65536; h++) {
        check_small(PCV_F16, h, small_float(h, 10, 32, 15));
        check_small(PCV_BF16, h, small_float(h, 7, 256, 127));
    }
}

static void test_integers(void **state)
{
    char odd[9] = "x\x01\0\0\0\0\0\0\x80";

    (void)state;
    assert_true(one_double(PCV_I64, odd + 1) == -0x1p63);
    assert_true(one_double(PCV_U64, odd + 1) == 0x1p63);
    assert_true(one_double(PCV_I32, "\xfe\xff\xff\xff") == -2);
    assert_true(one_double(PCV_U32, "\xfe\xff\xff\xff") == 4294967294.0);
    assert_true(one_double(PCV_I16, "\x00\x80") == -32768);
    assert_true(one_double(PCV_U16, "\x00\x80") == 32768);
    assert_true(one_double(PCV_I8, "\x80") == -128);
    assert_true(one_float(PCV_U8, "\x80") == 128);
    assert_true(one_float(PCV_BOOL, "\x02") == 1);
    assert_true(one_float(PCV_BOOL, "\0") == 0);
    assert_true(one_double(PCV_F32, "\0\0\xc0\x3f") == 1.5);
    assert_true(one_float(PCV_F64, "\0\0\0\0\0\0\xf8\xbf") == -1.5f);
    /* 2^60 + 2^36 + 1 lies above the middle of two floats; as a double it
     * would first become the middle, then go down to the even one. */
    assert_true(one_float(PCV_I64, "\x01\0\0\0\x10\0\0\x10") ==
                0x1p60f + 0x1p37f);
    assert_true(one_float(PCV_U64, "\x01\0\0\0\x10\0\0\x10") ==
                0x1p60f + 0x1p37f);
}

static void test_store(void **state)
{
    const float in[] = { 1, -2, 3 };
    pcv_store *s = pcv_store_open("/tmp"), *twice;
    float out[4];
    char bytes[20];

    (void)state;
    assert_non_null(s);
    assert_int_equal(pcv_store_add(s, in, sizeof in[0]), 0);
    assert_int_equal(pcv_store_add(s, in + 1, 2 * sizeof in[0]), 0);
    assert_int_equal(pcv_store_bytes(s), sizeof in);
    assert_int_equal(pcv_store_get(s, 4, sizeof bytes, bytes), 8);
    assert_memory_equal(bytes, in + 1, 8);
    twice = pcv_store_share(s, 2);
    pcv_store_close(s);
    pcv_store_floats(twice, 1, 4, out);
    assert_true(out[0] == -4 && out[1] == 6 && out[2] == 0 && out[3] == 0);
    pcv_store_floats(twice, 100, 1, out);
    assert_true(out[0] == 0);
    assert_int_equal(pcv_store_check(twice), 0);
    pcv_store_close(twice);
    pcv_store_close(NULL);
    assert_null(pcv_store_file("/tmp", "/tmp"));
    assert_null(pcv_store_file("/nowhere/x", "/tmp"));
    assert_null(pcv_store_open("/nowhere"));
    assert_failed(EX_CANTCREAT, "/nowhere: temporary file: No such file");
}

/* A file that shrank: NaN, and said so. */
static void test_store_short(void **state)
{
    char path[] = "/tmp/pcv-store-XXXXXX";
    int fd = mkstemp(path);
    pcv_store *s;
    float out[2] = { 0 };

    (void)state;
    assert_int_equal(ftruncate(fd, 8), 0);
    s = pcv_store_file(path, "/tmp");
    assert_non_null(s);
    assert_int_equal(ftruncate(fd, 4), 0);
    close(fd);
    unlink(path);
    pcv_store_floats(s, 0, 2, out);
    assert_true(out[0] == 0 && isnan(out[1]));
    assert_int_equal(pcv_store_check(s), -1);
    assert_failed(EX_IOERR, "temporary file: cannot be read");
    pcv_store_close(s);
}

static void test_dtypes(void **state)
{
    pcv_array a = {.dtype = PCV_F32, .rank = 3, .dim = {2, 3, 4}};
    float many[3];
    pcv_dtype t;

    (void)state;
    for (int i = 0; i < PCV_DTYPES; i++) {
        assert_int_equal(pcv_dtype_find(pcv_dtype_name((pcv_dtype)i), &t), 0);
        assert_int_equal(t, i);
    }
    assert_int_equal(pcv_dtype_find("F8_E4M3", &t), -1);
    assert_int_equal(pcv_dtype_find("f32", &t), -1);
    assert_int_equal(pcv_error_code(), 0);
    assert_int_equal(pcv_dtype_size(PCV_BF16), 2);
    assert_int_equal(pcv_dtype_size(PCV_BOOL), 1);
    assert_int_equal(pcv_dtype_size(PCV_U64), 8);
    pcv_dtype_to_float(PCV_I16, &"_\1\0\2\0\xff\xff"[1], 3, many);
    assert_true(many[0] == 1 && many[1] == 2 && many[2] == -1);
    assert_int_equal(pcv_array_count(&a), 24);
    a.rank = 0;
    assert_int_equal(pcv_array_count(&a), 1);
    a.data = pcv_alloc(1, 4);
    pcv_array_free(&a);
    assert_null(a.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_error),
        TEST(test_sizes),
        TEST(test_alloc),
        TEST(test_alloc_fails),
        TEST(test_arena),
        TEST(test_random),
        TEST(test_uniform),
        TEST(test_normal),
        TEST(test_shuffle),
        TEST(test_buf),
        TEST(test_buf_fails),
        TEST(test_utf8),
        TEST(test_escape),
        TEST(test_json_string),
        TEST(test_file_mapped),
        TEST(test_file_open),
        TEST(test_stdin),
        TEST(test_saver),
        TEST(test_saver_previous),
        TEST(test_saver_keeps),
        TEST(test_saver_long_name),
        TEST(test_saver_full),
        TEST(test_saver_errors),
        TEST(test_saver_memory),
        TEST(test_pool_once),
        TEST(test_pool_many),
        TEST(test_pool_sleep),
        TEST(test_pool_nested),
        TEST(test_pool_shared),
        TEST(test_half),
        TEST(test_integers),
        TEST(test_dtypes),
        TEST(test_store),
        TEST(test_store_short),
    };

    return cmocka_run_group_tests_name("base", tests, make_dir, remove_dir);
}
