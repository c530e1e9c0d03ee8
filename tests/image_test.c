/* image_test.c - files of pictures -> pixels -> what a network takes, against
 * truths that do not come from our code: files written out by hand, numbers
 * from Pillow 9.4, and, where PCV_SHARED names the reference data, the
 * Hugging Face image processor. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../lib/data/data.h"
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

static pcv_reading pictures(void)
{
    pcv_reading how;

    pcv_reading_default(&how);
    how.modality = PCV_IMAGE;
    return how;
}

/* From a copy of exactly n bytes, so that a sanitizer sees the first beyond. */
static int decode(const void *data, size_t n, const pcv_reading *how,
                  pcv_media *out, size_t *used)
{
    unsigned char *copy = test_malloc(n ? n : 1);
    int result;

    memcpy(copy, data, n);
    result = pcv_decode(copy, n, "x", how, out, used);
    test_free(copy);
    return result;
}

static void assert_picture(const pcv_media *m, size_t h, size_t w, size_t c,
                           const uint8_t *want)
{
    const uint8_t *have = m->array.data;

    assert_int_equal(m->kind, PCV_MEDIA_IMAGE);
    assert_int_equal(m->array.dtype, PCV_U8);
    assert_int_equal(m->array.rank, 3);
    assert_int_equal(m->array.dim[0], h);
    assert_int_equal(m->array.dim[1], w);
    assert_int_equal(m->array.dim[2], c);
    for (size_t i = 0; i < h * w * c; i++)
        if (have[i] != want[i])
            fail_msg("sample %zu is %d, want %d", i, have[i], want[i]);
}

/* Every beginning of a file: an error with a code, or a picture; nothing
 * that a sanitizer would see. */
static void truncate_everywhere(const void *data, size_t n)
{
    pcv_reading how = pictures();
    pcv_media m;
    size_t used;

    for (size_t k = 0; k < n; k++) {
        if (decode(data, k, &how, &m, &used) == 0) {
            pcv_media_free(&m);
            continue;
        }
        assert_int_equal(pcv_error_code(), EX_DATAERR);
        assert_null(m.array.data);
        assert_int_equal(m.kind, 0);
        pcv_error_clear();
    }
}

/* ---- PNG written by hand --------------------------------------------- */

static void put32(pcv_buf *b, uint32_t v)
{
    const unsigned char p[] = { (unsigned char)(v >> 24),
                                (unsigned char)(v >> 16),
                                (unsigned char)(v >> 8), (unsigned char)v };

    pcv_buf_add(b, p, 4);
}

static uint32_t crc(const char *p, size_t n)
{
    uint32_t c = 0xffffffff;

    for (size_t i = 0; i < n; i++) {
        c ^= (unsigned char)p[i];
        for (int k = 0; k < 8; k++)
            c = c & 1 ? 0xedb88320 ^ c >> 1 : c >> 1;
    }
    return ~c;
}

static void put_chunk(pcv_buf *b, const char *type, const void *data, size_t n)
{
    size_t start;

    put32(b, (uint32_t)n);
    start = b->len;
    pcv_buf_puts(b, type);
    pcv_buf_add(b, data, n);
    put32(b, crc(b->data + start, b->len - start));
}

/* zlib's wrapping around one block of deflate that is not compressed. */
static void put_pixels(pcv_buf *b, const unsigned char *raw, size_t n)
{
    const unsigned char head[] = {
        0x78, 0x01, 1, (unsigned char)n, (unsigned char)(n >> 8),
        (unsigned char)~n, (unsigned char)(~n >> 8) };
    uint32_t s1 = 1, s2 = 0;
    pcv_buf z = { 0 };

    for (size_t i = 0; i < n; i++) {
        s1 = (s1 + raw[i]) % 65521;
        s2 = (s2 + s1) % 65521;
    }
    pcv_buf_add(&z, head, sizeof head);
    pcv_buf_add(&z, raw, n);
    put32(&z, s2 << 16 | s1);
    put_chunk(b, "IDAT", z.data, z.len);
    pcv_buf_free(&z);
}

typedef struct {
    uint32_t width, height;
    unsigned char depth, type, interlaced;
    unsigned char palette[12], alpha[6], raw[64], want[64];
    size_t palettes, alphas, raws, channels;
} png_case;

static void put_png(pcv_buf *b, const png_case *p)
{
    const unsigned char ihdr[13] = {
        (unsigned char)(p->width >> 24), (unsigned char)(p->width >> 16),
        (unsigned char)(p->width >> 8), (unsigned char)p->width,
        (unsigned char)(p->height >> 24), (unsigned char)(p->height >> 16),
        (unsigned char)(p->height >> 8), (unsigned char)p->height,
        p->depth, p->type, 0, 0, p->interlaced };

    pcv_buf_add(b, "\x89PNG\r\n\x1a\n", 8);
    put_chunk(b, "IHDR", ihdr, sizeof ihdr);
    if (p->palettes)
        put_chunk(b, "PLTE", p->palette, p->palettes);
    if (p->alphas)
        put_chunk(b, "tRNS", p->alpha, p->alphas);
    put_chunk(b, "tEXt", "Comment\0ignored", 15);
    put_chunk(b, "prVt", "ignored", 7);
    put_pixels(b, p->raw, p->raws);
    put_chunk(b, "IEND", "", 0);
}

enum { GREY = 0, RGB = 2, PALETTE = 3, GREY_ALPHA = 4, RGBA = 6 };

/* raw: each row begins with 0, no filter. */
static const png_case png_cases[] = {
    { 3, 1, 1, GREY, 0, .raw = { 0, 0xa0 }, .raws = 2, .channels = 1,
      .want = { 255, 0, 255 } },
    { 4, 1, 2, GREY, 0, .raw = { 0, 0x1b }, .raws = 2, .channels = 1,
      .want = { 0, 85, 170, 255 } },
    { 3, 1, 4, GREY, 0, .raw = { 0, 0x0f, 0x60 }, .raws = 3, .channels = 1,
      .want = { 0, 255, 102 } },
    { 2, 2, 8, GREY, 0, .raw = { 0, 1, 2, 0, 3, 250 }, .raws = 6,
      .channels = 1, .want = { 1, 2, 3, 250 } },
    /* 385 / 257 is 1.498, 386 / 257 is 1.502. */
    { 5, 1, 16, GREY, 0, .raw = { 0, 0, 0, 0x80, 0x80, 255, 255, 1, 0x81,
      1, 0x82 }, .raws = 11, .channels = 1, .want = { 0, 128, 255, 1, 2 } },
    { 3, 1, 8, GREY, 0, .alpha = { 0, 7 }, .alphas = 2,
      .raw = { 0, 6, 7, 8 }, .raws = 4, .channels = 1,
      .want = { 6, 255, 8 } },
    { 2, 1, 16, GREY, 0, .alpha = { 1, 2 }, .alphas = 2,
      .raw = { 0, 1, 2, 1, 3 }, .raws = 5, .channels = 1,
      .want = { 255, 1 } },
    /* 100 * 128 + 255 * 127 = 177.2 * 255 */
    { 3, 1, 8, GREY_ALPHA, 0, .raw = { 0, 100, 128, 100, 255, 100, 0 },
      .raws = 7, .channels = 1, .want = { 177, 100, 255 } },
    { 1, 1, 16, GREY_ALPHA, 0, .raw = { 0, 100, 100, 128, 128 }, .raws = 5,
      .channels = 1, .want = { 177 } },
    { 2, 1, 8, RGB, 0, .raw = { 0, 1, 2, 3, 4, 5, 6 }, .raws = 7,
      .channels = 3, .want = { 1, 2, 3, 4, 5, 6 } },
    { 1, 1, 16, RGB, 0, .raw = { 0, 1, 1, 2, 2, 255, 255 }, .raws = 7,
      .channels = 3, .want = { 1, 2, 255 } },
    { 2, 1, 8, RGBA, 0, .raw = { 0, 0, 100, 255, 128, 9, 8, 7, 255 },
      .raws = 9, .channels = 3, .want = { 127, 177, 255, 9, 8, 7 } },
    { 3, 1, 2, PALETTE, 0, .palette = { 1, 2, 3, 4, 5, 6, 7, 8, 9 },
      .palettes = 9, .raw = { 0, 0x24 }, .raws = 2, .channels = 3,
      .want = { 1, 2, 3, 7, 8, 9, 4, 5, 6 } },
    { 2, 1, 8, PALETTE, 0, .palette = { 1, 2, 3, 0, 100, 200 },
      .palettes = 6, .alpha = { 255, 128 }, .alphas = 2,
      .raw = { 0, 1, 0 }, .raws = 3, .channels = 3,
      .want = { 127, 177, 227, 1, 2, 3 } },
    /* Adam7 of 2 x 2: passes 1, 6 and 7. */
    { 2, 2, 8, GREY, 1, .raw = { 0, 10, 0, 20, 0, 30, 40 }, .raws = 7,
      .channels = 1, .want = { 10, 20, 30, 40 } },
};

static void test_png_kinds(void **state)
{
    pcv_reading how = pictures();

    (void)state;
    for (size_t i = 0; i < PCV_LEN(png_cases); i++) {
        const png_case *p = png_cases + i;
        pcv_buf b = { 0 };
        pcv_media m;
        size_t used;

        put_png(&b, p);
        if (decode(b.data, b.len, &how, &m, &used) != 0)
            fail_msg("case %zu: %s", i, pcv_error());
        assert_int_equal(used, b.len);
        assert_picture(&m, p->height, p->width, p->channels, p->want);
        pcv_media_free(&m);
        truncate_everywhere(b.data, b.len);
        pcv_buf_free(&b);
    }
}

static void test_png_refused(void **state)
{
    pcv_reading how = pictures();
    png_case huge = png_cases[3];
    pcv_buf b = { 0 };
    pcv_media m;
    size_t used;

    (void)state;
    put_png(&b, png_cases + 3);
    assert_int_equal(decode(b.data, b.len - 20, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "x: truncated PNG: ends at byte 100, with 0 of "
                  "2 rows and no IEND (libpng: Read Error)");
    b.data[b.len - 14]++;       /* of IDAT's checksum */
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "(libpng: IDAT: CRC error)");
    b.data[4] = '\n';
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "ASCII conversion");
    how.max_pixels = 3;
    pcv_buf_clear(&b);
    put_png(&b, png_cases + 3);
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "x: picture is 2 x 2 pixels, limit is 3 in all");
    how = pictures();
    huge.width = huge.height = 9999;
    pcv_buf_clear(&b);
    put_png(&b, &huge);
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "x: truncated PNG: 120 bytes cannot hold 9999 "
                  "rows of 9999 bytes");
    huge.width = 65536;
    pcv_buf_clear(&b);
    put_png(&b, &huge);
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "width exceeds user limit");
    pcv_buf_free(&b);
}

static void test_png_one_after_the_other(void **state)
{
    pcv_reading how = pictures();
    pcv_buf b = { 0 };
    pcv_media m;
    size_t used, first;

    (void)state;
    put_png(&b, png_cases + 3);
    first = b.len;
    put_png(&b, png_cases + 9);
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), 0);
    assert_int_equal(used, first);
    assert_picture(&m, 2, 2, 1, png_cases[3].want);
    pcv_media_free(&m);
    assert_int_equal(decode(b.data + used, b.len - used, &how, &m, &used), 0);
    assert_int_equal(used, b.len - first);
    assert_picture(&m, 1, 2, 3, png_cases[9].want);
    pcv_media_free(&m);
    pcv_buf_free(&b);
}

/* Written = read, at sizes around a byte and a row of filters. */
static void test_png_write(void **state)
{
    static uint8_t pixels[37 * 41 * 3];
    pcv_reading how = pictures();
    pcv_media m;
    size_t used;

    (void)state;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * i >> 3);
    for (int c = 1; c <= 3; c += 2)
        for (int w = 1; w <= 41; w += 8) {
            pcv_buf b = { 0 };

            assert_int_equal(pcv_png_write(&b, pixels, 37, w, c), 0);
            assert_int_equal(decode(b.data, b.len, &how, &m, &used), 0);
            assert_int_equal(used, b.len);
            assert_picture(&m, 37, (size_t)w, (size_t)c, pixels);
            pcv_media_free(&m);
            pcv_buf_free(&b);
        }
    assert_int_equal(pcv_png_write(&(pcv_buf){ 0 }, pixels, 1, 0, 1), -1);
    assert_failed(EX_USAGE, "PNG of 0 x 1 pixels with 1 channels");
}

/* ---- JPEG ------------------------------------------------------------ */

/* Pillow, quality 100, 24 x 16, 8 x 8 corners: above 32 and 96 (twice as
 * wide), below 160 and 224.  The EXIF segment of a test goes to byte 2. */
static const unsigned char grey_jpeg[] = {
    0xff, 0xd8, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0xff,
    0xc0, 0x00, 0x0b, 0x08, 0x00, 0x10, 0x00, 0x18, 0x01, 0x01, 0x11, 0x00,
    0xff, 0xc4, 0x00, 0x15, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x00, 0xff,
    0xc4, 0x00, 0x14, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda, 0x00,
    0x08, 0x01, 0x01, 0x00, 0x00, 0x3f, 0x00, 0x1f, 0xe4, 0x00, 0x88, 0x00,
    0x80, 0x13, 0xff, 0xd9,
};

/* Pillow, four inks, 8 x 8, all (20, 100, 50, 30): by its own conversion
 * (207, 137, 181). */
static const unsigned char inks_jpeg[] = {
    0xff, 0xd8, 0xff, 0xee, 0x00, 0x0e, 0x41, 0x64, 0x6f, 0x62, 0x65, 0x00,
    0x64, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xdb, 0x00, 0x43, 0x00, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01,
    0x01, 0x01, 0x01, 0xff, 0xc0, 0x00, 0x14, 0x08, 0x00, 0x08, 0x00, 0x08,
    0x04, 0x43, 0x11, 0x00, 0x4d, 0x11, 0x00, 0x59, 0x11, 0x00, 0x4b, 0x11,
    0x00, 0xff, 0xc4, 0x00, 0x15, 0x00, 0x01, 0x01, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x0a, 0x08,
    0xff, 0xc4, 0x00, 0x14, 0x10, 0x01, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00,
    0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0x00, 0xff, 0xda,
    0x00, 0x0e, 0x04, 0x43, 0x00, 0x4d, 0x00, 0x59, 0x00, 0x4b, 0x00, 0x00,
    0x3f, 0x00, 0x6b, 0x0b, 0x60, 0x9a, 0x0c, 0x21, 0xff, 0xd9,
};

#define EXIF_SIZE 48

/* An APP1 segment with a directory of two entries, the second of them the
 * orientation. */
static void fill_exif(unsigned char p[EXIF_SIZE], bool big, int orientation)
{
    static const unsigned char segment[10] = {
        0xff, 0xe1, 0, EXIF_SIZE - 2, 'E', 'x', 'i', 'f', 0, 0 };
    const uint16_t word[] = { 42, 0, 8, 2, 0x010f, 2, 0, 4, 'A', 'B', 0x0112,
                              3, 0, 1, (uint16_t)orientation, 0, 0, 0 };
    /* 32-bit words high half first; exchanged below where they must be. */
    static const size_t pair[] = { 1, 6, 12 };
    uint16_t order[PCV_LEN(word)];

    memcpy(order, word, sizeof word);
    for (size_t i = 0; !big && i < PCV_LEN(pair); i++) {
        order[pair[i]] = word[pair[i] + 1];
        order[pair[i] + 1] = word[pair[i]];
    }
    memcpy(p, segment, sizeof segment);
    memcpy(p + 10, big ? "MM" : "II", 2);
    for (size_t i = 0; i < PCV_LEN(order); i++) {
        p[12 + 2 * i + (big ? 1 : 0)] = (unsigned char)order[i];
        p[12 + 2 * i + (big ? 0 : 1)] = (unsigned char)(order[i] >> 8);
    }
}

static void put_exif_jpeg(pcv_buf *b, bool big, int orientation)
{
    unsigned char exif[EXIF_SIZE];

    fill_exif(exif, big, orientation);
    pcv_buf_clear(b);
    pcv_buf_add(b, grey_jpeg, 2);
    pcv_buf_add(b, exif, sizeof exif);
    pcv_buf_add(b, grey_jpeg + 2, sizeof grey_jpeg - 2);
}

static void assert_corners(const pcv_media *m, const uint8_t want[4])
{
    const size_t h = m->array.dim[0], w = m->array.dim[1];
    const uint8_t *p = m->array.data;

    assert_int_equal(p[0], want[0]);
    assert_int_equal(p[w - 1], want[1]);
    assert_int_equal(p[(h - 1) * w], want[2]);
    assert_int_equal(p[h * w - 1], want[3]);
}

/* The corners as the orientation's definition names them: 6, for one, means
 * that the file's first row is the right side of the scene. */
static void test_jpeg_orientation(void **state)
{
    static const uint8_t corners[][4] = {
        { 32, 96, 160, 224 }, { 32, 96, 160, 224 }, { 96, 32, 224, 160 },
        { 224, 160, 96, 32 }, { 160, 224, 32, 96 }, { 32, 160, 96, 224 },
        { 160, 32, 224, 96 }, { 224, 96, 160, 32 }, { 96, 224, 32, 160 },
        { 32, 96, 160, 224 },
    };
    pcv_reading how = pictures();
    pcv_buf b = { 0 };
    pcv_media m;
    size_t used;

    (void)state;
    for (int k = 0; k < 40; k++) {
        const int o = k % 10;
        const bool turned = how.exif && o >= 5 && o <= 8;

        how.exif = k < 20;
        put_exif_jpeg(&b, k / 10 % 2 == 1, o);
        assert_int_equal(decode(b.data, b.len, &how, &m, &used), 0);
        assert_int_equal(used, b.len);
        assert_int_equal(m.array.dim[0], turned ? 24 : 16);
        assert_int_equal(m.array.dim[1], turned ? 16 : 24);
        assert_int_equal(m.array.dim[2], 1);
        assert_corners(&m, corners[how.exif ? o : 1]);
        pcv_media_free(&m);
    }
    pcv_buf_free(&b);
}

/* No value of any byte of EXIF may do more than lose the orientation. */
static void test_jpeg_damaged_exif(void **state)
{
    pcv_reading how = pictures();
    pcv_buf b = { 0 };
    pcv_media m;
    size_t used;

    (void)state;
    put_exif_jpeg(&b, true, 6);
    for (size_t i = 6; i < 2 + EXIF_SIZE; i++)
        for (int v = 0; v < 256; v += i % 3 ? 1 : 51) {
            const char kept = b.data[i];

            b.data[i] = (char)v;
            assert_int_equal(decode(b.data, b.len, &how, &m, &used), 0);
            pcv_media_free(&m);
            b.data[i] = kept;
        }
    pcv_buf_free(&b);
}

static void test_jpeg_refused(void **state)
{
    pcv_reading how = pictures();
    unsigned char copy[sizeof grey_jpeg];
    pcv_media m;
    size_t used;

    (void)state;
    assert_int_equal(decode(grey_jpeg, sizeof grey_jpeg - 2, &how, &m, &used),
                     -1);
    assert_failed(EX_DATAERR, "x: truncated JPEG: ends at byte 146, with ");
    how.max_pixels = 383;
    assert_int_equal(decode(grey_jpeg, sizeof grey_jpeg, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "24 x 16 pixels, limit is 383");
    how = pictures();
    memcpy(copy, grey_jpeg, sizeof copy);
    copy[75] = 12;              /* bits per sample, in the frame header */
    assert_int_equal(decode(copy, sizeof copy, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "x: ");
    truncate_everywhere(grey_jpeg, sizeof grey_jpeg);
    truncate_everywhere(inks_jpeg, sizeof inks_jpeg);
}

/* The frame of grey_jpeg made progressive, and n scans of nothing but the
 * mean of each of the six blocks, all of them 0: grey 128. */
static void put_scans(pcv_buf *b, int n)
{
    static const unsigned char scan[] = { 0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0,
                                          0xaa, 0xaf };

    pcv_buf_clear(b);
    pcv_buf_add(b, grey_jpeg, 130);
    b->data[72] = (char)0xc2;
    for (int i = 0; i < n; i++)
        pcv_buf_add(b, scan, sizeof scan);
    pcv_buf_add(b, "\xff\xd9", 2);
}

static void test_jpeg_scans(void **state)
{
    pcv_reading how = pictures();
    uint8_t want[16 * 24];
    pcv_buf b = { 0 };
    pcv_media m;
    size_t used;

    (void)state;
    memset(want, 128, sizeof want);
    put_scans(&b, 100);
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), 0);
    assert_picture(&m, 16, 24, 1, want);
    pcv_media_free(&m);
    put_scans(&b, 101);
    assert_int_equal(decode(b.data, b.len, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "(libjpeg: more than 100 scans)");
    pcv_buf_free(&b);
}

static void test_jpeg_inks(void **state)
{
    pcv_reading how = pictures();
    uint8_t want[8 * 8 * 3];
    pcv_media m;
    size_t used;

    (void)state;
    for (size_t i = 0; i < sizeof want; i++)
        want[i] = (uint8_t[]){ 207, 137, 181 }[i % 3];
    assert_int_equal(decode(inks_jpeg, sizeof inks_jpeg, &how, &m, &used), 0);
    assert_picture(&m, 8, 8, 3, want);
    pcv_media_free(&m);
}

/* ---- PNM ------------------------------------------------------------- */

#define TEXT(s) (s), sizeof (s) - 1

static void test_pnm_kinds(void **state)
{
    static const struct {
        const char *text;
        size_t n, h, w, c, rest;    /* rest: bytes that are not taken */
        uint8_t want[24];
    } cases[] = {
        { TEXT("P1\n# a\n3 2\n101 0 1\n#b\n0\n"), 2, 3, 1, 0,
          { 0, 255, 0, 255, 0, 255 } },
        { TEXT("P2 2 1 15 0 #\n 15\n"), 1, 2, 1, 0, { 0, 255 } },
        { TEXT("P2 2 1\n1000\n 500 1000"), 1, 2, 1, 0, { 128, 255 } },
        { TEXT("P3 1 2 255 1 2 3 4 5 6 P2"), 2, 1, 3, 2,
          { 1, 2, 3, 4, 5, 6 } },
        { TEXT("P4\n9 2\n\xaa\x80\x55\x00P4"), 2, 9, 1, 2,
          { 0, 255, 0, 255, 0, 255, 0, 255, 0,
            255, 0, 255, 0, 255, 0, 255, 0, 255 } },
        { TEXT("P5#x\n2 #y\n1\n255\n\n\xff\n"), 1, 2, 1, 1, { 10, 255 } },
        { TEXT("P5 3 1 65535 \x80\x80\xff\xff\x01\x82"), 1, 3, 1, 0,
          { 128, 255, 2 } },
        { TEXT("P6 1 1 3\n\x00\x01\x03P6 1"), 1, 1, 3, 4, { 0, 85, 255 } },
        { TEXT("P7\nWIDTH 2\n# c\nHEIGHT 1\nDEPTH 1\nMAXVAL 1\n"
               "TUPLTYPE BLACKANDWHITE\nENDHDR\n\x00\x01"), 1, 2, 1, 0,
          { 0, 255 } },
        { TEXT("P7\nHEIGHT 1\nWIDTH 1\nMAXVAL 255\nDEPTH 2\n"
               "TUPLTYPE GRAYSCALE_ALPHA\nENDHDR\n\x64\x80!"), 1, 1, 1, 1,
          { 177 } },
        { TEXT("P7\nHEIGHT 1\nWIDTH 1\nMAXVAL 65535\nDEPTH 4\n"
               "TUPLTYPE RGB_ALPHA\nENDHDR\n\x64\x64\0\0\xff\xff\x80\x80"),
          1, 1, 3, 0, { 177, 127, 255 } },
    };
    pcv_reading how = pictures();
    pcv_media m;
    size_t used;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++) {
        if (decode(cases[i].text, cases[i].n, &how, &m, &used) != 0)
            fail_msg("case %zu: %s", i, pcv_error());
        assert_int_equal(used, cases[i].n - cases[i].rest);
        assert_picture(&m, cases[i].h, cases[i].w, cases[i].c, cases[i].want);
        pcv_media_free(&m);
        truncate_everywhere(cases[i].text, cases[i].n);
    }
}

static void test_pnm_refused(void **state)
{
    static const struct { const char *text; size_t n; const char *what; }
    cases[] = {
        { TEXT("P5 2 2 255 abc"), "x: truncated PNM: 3 of 4 bytes of 2 x 2" },
        { TEXT("P5 2 2 255"), "x: truncated PNM: ends at byte 10 in the he" },
        { TEXT("P5 2"), "x: truncated PNM: ends at byte 4 in height" },
        { TEXT("P5 2 b"), "x: PNM has byte 0x62 at 5, want height, a num" },
        { TEXT("P5 0 2 255 "), "width 0, height 2, depth 1 and maxval 255" },
        { TEXT("P5 1 1 0 a"), "maxval 0" },
        { TEXT("P5 1 1 65536 a"), "x: PNM maxval at byte 7 is over 65535" },
        { TEXT("P6 65536 1 255 "), "x: PNM width at byte 3 is over 65535" },
        { TEXT("P5 1 1 9x"), "want the blank that ends the header" },
        { TEXT("P5 1 1 9 \x0a"), "x: PNM sample 0 is 10, maxval is 9" },
        { TEXT("P2 1 1 9 10"), "x: PNM sample 0 is 10, maxval is 9" },
        { TEXT("P2 2 1 9 1  "), "x: truncated PNM: ends at byte 12 in sam" },
        { TEXT("P1 2 1 1 2"), "x: PNM has byte 0x32 at 9, want 0 or 1" },
        { TEXT("P3 60000 60000 255 1"), "x: truncated PNM" },
        { TEXT("P7\nENDHDR\n"), "width 0" },
        { TEXT("P7\nDEPTH 5\n"), "x: PNM DEPTH at byte 9 is over 4" },
        { TEXT("P7\nCOLOUR 5\n"), "unknown word at byte 3" },
        { TEXT("P7\nTUPLTYPE CMYK\n"), "x: PAM of type CMYK" },
        { TEXT("P7\nWIDTH 1\nHEIGHT 1\nMAXVAL 255\nDEPTH 1\nENDHDR a"),
          "want the end of the line" },
        { TEXT("GIF89a"), "x: unknown kind of file: begins with 47 49 46" },
        { TEXT(""), "x: empty file" },
    };
    pcv_reading how = pictures();
    pcv_media m;
    size_t used;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(cases); i++) {
        assert_int_equal(decode(cases[i].text, cases[i].n, &how, &m, &used),
                         -1);
        assert_failed(EX_DATAERR, cases[i].what);
        assert_null(m.array.data);
    }
    how.max_pixels = 3;
    assert_int_equal(decode(TEXT("P5 2 2 9 abcd"), &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "limit is 3");
}

/* ---- the table and its wrapper --------------------------------------- */

static void test_bytes(void **state)
{
    pcv_reading how;
    pcv_media m;
    size_t used;

    (void)state;
    pcv_reading_default(&how);
    assert_int_equal(decode("P\xff text", 7, &how, &m, &used), 0);
    assert_int_equal(m.kind, PCV_MEDIA_BYTES);
    assert_int_equal(used, 7);
    assert_memory_equal(m.array.data, "P\xff text", 7);
    pcv_media_free(&m);
    assert_int_equal(decode("", 0, &how, &m, &used), 0);
    assert_int_equal(m.kind, PCV_MEDIA_BYTES);
    assert_int_equal(m.array.dim[0], 0);
    pcv_media_free(&m);
    how.modality = PCV_BYTES;       /* a picture is bytes when asked for */
    assert_int_equal(decode(grey_jpeg, sizeof grey_jpeg, &how, &m, &used), 0);
    assert_int_equal(m.kind, PCV_MEDIA_BYTES);
    assert_memory_equal(m.array.data, grey_jpeg, sizeof grey_jpeg);
    pcv_media_free(&m);
    how.max_bytes = 6;
    assert_int_equal(decode("seven..", 7, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "x: 7 bytes, limit is 6");
}

/* "P5 2 2 255\n\1\2\3\4" by gzip(1). */
static const unsigned char packed[] = {
    0x1f, 0x8b, 0x08, 0x00, 0x00, 0x00, 0x00, 0x00, 0x02, 0x03, 0x0b, 0x30,
    0x55, 0x30, 0x02, 0x41, 0x53, 0x53, 0x2e, 0x46, 0x26, 0x66, 0x16, 0x00,
    0x88, 0x05, 0xf4, 0xe1, 0x0f, 0x00, 0x00, 0x00,
};

static void test_gzip(void **state)
{
    pcv_reading how = pictures();
    unsigned char copy[sizeof packed];
    pcv_media m;
    size_t used;

    (void)state;
    assert_int_equal(decode(packed, sizeof packed, &how, &m, &used), 0);
    assert_int_equal(used, sizeof packed);
    assert_picture(&m, 2, 2, 1, (const uint8_t[]){ 1, 2, 3, 4 });
    pcv_media_free(&m);
    truncate_everywhere(packed, sizeof packed);
    assert_int_equal(decode(packed, 30, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "x: truncated gzip file: its 30 bytes unpack "
                  "to 15 without an end");
    memcpy(copy, packed, sizeof copy);
    copy[24] ^= 1;
    assert_int_equal(decode(copy, sizeof copy, &how, &m, &used), -1);
    assert_failed(EX_DATAERR, "damaged gzip file");
    how.max_bytes = sizeof packed;
    copy[24] ^= 1;
    assert_int_equal(decode(copy, sizeof copy, &how, &m, &used), 0);
    pcv_media_free(&m);
}

/* ---- resize ---------------------------------------------------------- */

static void assert_resized(int oh, int ow, const uint8_t *want)
{
    uint8_t in[5 * 7], out[9 * 9];

    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 7; x++)
            in[y * 7 + x] = (uint8_t)(y * y * 37 + x * 91 + x * y * 13);
    assert_int_equal(pcv_resize(in, 5, 7, 1, out, oh, ow), 0);
    for (int i = 0; i < oh * ow; i++)
        if (out[i] != want[i])
            fail_msg("%d x %d: sample %d is %d, want %d", ow, oh, i, out[i],
                     want[i]);
}

static void test_resize_as_pillow(void **state)
{
    static const uint8_t small[] = { 94, 126, 113, 103, 165, 140, 143, 166,
                                     120 };
    static const uint8_t large[] = {
        0, 68, 167, 79, 31, 144, 189, 19, 5, 88, 193, 103, 64, 150, 139, 65,
        26, 120, 233, 148, 125, 160, 55, 146, 91, 71, 169, 187, 165, 149,
        110, 128, 152, 23, 81, 210, 186, 130, 207, 78, 113, 115, 88, 181,
        170, 121, 225, 72, 70, 204, 113, 159, 164, 113, 191, 92, 72, 210,
        129, 182, 203, 101, 87, 150, 76, 209, 137, 197, 226, 94, 29, 181,
    };
    static const uint8_t mixed[] = {
        0, 66, 164, 174, 24, 106, 160, 130, 54, 85, 73, 135, 204, 155, 166,
        132, 111, 127, 111, 121, 102, 116, 231, 104, 173, 195, 72, 68, 190,
        178, 120, 243, 156, 78, 87, 160,
    };

    (void)state;
    assert_resized(3, 3, small);
    assert_resized(9, 8, large);
    assert_resized(4, 9, mixed);
    assert_resized(1, 1, (const uint8_t[]){ 132 });
}

/* Channels do not see each other; a flat picture stays flat; the same size is
 * the same picture. */
static void test_resize_channels(void **state)
{
    static uint8_t in[13 * 11 * 4], out[29 * 5 * 4], one[13 * 11],
                   single[29 * 5];

    (void)state;
    for (size_t i = 0; i < sizeof in; i++)
        in[i] = (uint8_t)(i * i * 7 >> 2);
    for (int c = 2; c <= 4; c++) {
        assert_int_equal(pcv_resize(in, 13, 11, c, out, 5, 29), 0);
        for (int k = 0; k < c; k++) {
            for (int i = 0; i < 13 * 11; i++)
                one[i] = in[i * c + k];
            assert_int_equal(pcv_resize(one, 13, 11, 1, single, 5, 29), 0);
            for (int i = 0; i < 29 * 5; i++)
                assert_int_equal(out[i * c + k], single[i]);
        }
    }
    memset(one, 255, sizeof one);
    assert_int_equal(pcv_resize(one, 13, 11, 1, single, 29, 5), 0);
    for (size_t i = 0; i < sizeof single; i++)
        assert_int_equal(single[i], 255);
    assert_int_equal(pcv_resize(in, 4, 3, 3, out, 4, 3), 0);
    assert_memory_equal(in, out, 4 * 3 * 3);
    assert_int_equal(pcv_resize(in, 4, 3, 3, out, 0, 3), -1);
    assert_failed(EX_USAGE, "to 3 x 0");
}

/* ---- prepare: pictures ----------------------------------------------- */

static pcv_prep plain_picture(int channels, int height, int width)
{
    return (pcv_prep){ .modality = PCV_IMAGE, .channels = channels,
                       .height = height, .width = width, .fit = PCV_STRETCH,
                       .std = { 1, 1, 1, 1 } };
}

/* A medium that borrows data. */
static pcv_media array_of(int kind, pcv_dtype t, const void *data, int rank,
                          ...)
{
    pcv_media m = { .kind = kind, .array = { .dtype = t, .rank = rank } };
    va_list ap;

    va_start(ap, rank);
    for (int i = 0; i < rank; i++)
        m.array.dim[i] = (size_t)va_arg(ap, int);
    va_end(ap);
    m.array.data = (void *)(uintptr_t)data;
    return m;
}

/* want: 255 times the values. */
static void assert_planes(const pcv_prep *prep, const pcv_media *m, size_t h,
                          size_t w, const int *want)
{
    const size_t c = (size_t)prep->channels;
    pcv_array out;

    if (pcv_prepare(prep, m, "x", &out) != 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(out.dtype, PCV_F32);
    assert_int_equal(out.rank, 3);
    assert_int_equal(out.dim[0], c);
    assert_int_equal(out.dim[1], h);
    assert_int_equal(out.dim[2], w);
    for (size_t i = 0; i < c * h * w; i++) {
        const double have = 255 * (double)((float *)out.data)[i];

        if (fabs(have - want[i]) > 1e-4)
            fail_msg("value %zu is %g, want %d", i, have, want[i]);
    }
    pcv_array_free(&out);
}

static void assert_refused(const pcv_prep *prep, const pcv_media *m,
                           const char *what)
{
    pcv_array out;

    assert_int_equal(pcv_prepare(prep, m, "x", &out), -1);
    assert_failed(EX_DATAERR, what);
    assert_null(out.data);
}

static void test_prepare_channels(void **state)
{
    static const uint8_t rgb[] = { 255, 0, 0, 0, 255, 0, 0, 0, 255, 9, 8, 7 };
    static const uint8_t grey[] = { 1, 2, 3, 4 };
    pcv_media colour = array_of(PCV_MEDIA_IMAGE, PCV_U8, rgb, 3, 2, 2, 3);
    pcv_media dull = array_of(PCV_MEDIA_IMAGE, PCV_U8, grey, 3, 2, 2, 1);
    pcv_prep prep = plain_picture(3, 2, 2);

    (void)state;
    assert_planes(&prep, &colour, 2, 2, (const int[]){
                  255, 0, 0, 9, 0, 255, 0, 8, 0, 0, 255, 7 });
    assert_planes(&prep, &dull, 2, 2, (const int[]){
                  1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4 });
    prep.channels = 1;
    assert_planes(&prep, &dull, 2, 2, (const int[]){ 1, 2, 3, 4 });
    /* Pillow's convert("L") of red, green, blue and (9, 8, 7) */
    assert_planes(&prep, &colour, 2, 2, (const int[]){ 76, 150, 29, 8 });
    prep.channels = 2;
    assert_refused(&prep, &colour, "x: the model takes pictures of 2 channel");
}

static void test_prepare_normalise(void **state)
{
    static const uint8_t grey[] = { 0, 51, 255 };
    pcv_media m = array_of(PCV_MEDIA_IMAGE, PCV_U8, grey, 3, 1, 3, 1);
    pcv_prep prep = plain_picture(3, 1, 3);
    const float *v;
    pcv_array out;

    (void)state;
    prep.mean[0] = 0.5;
    prep.std[0] = 0.25;
    prep.std[1] = 0;            /* as 1 */
    prep.mean[2] = 0.2;
    prep.std[2] = 2;
    assert_int_equal(pcv_prepare(&prep, &m, "x", &out), 0);
    v = out.data;
    assert_true(fabsf(v[0] + 2.0f) < 1e-6f);
    assert_true(fabsf(v[1] + 1.2f) < 1e-6f);
    assert_true(fabsf(v[2] - 2.0f) < 1e-6f);
    assert_true(v[3] == 0 && v[5] == 1);
    assert_true(fabsf(v[6] + 0.1f) < 1e-6f);
    assert_true(fabsf(v[7]) < 1e-6f);
    pcv_array_free(&out);
}

static void test_prepare_fit(void **state)
{
    static const uint8_t grey[] = {
        0, 1, 2, 3, 4, 5,
        10, 11, 12, 13, 14, 15,
        20, 21, 22, 23, 24, 25,
        30, 31, 32, 33, 34, 35,
    };
    pcv_media m = array_of(PCV_MEDIA_IMAGE, PCV_U8, grey, 3, 4, 6, 1);
    pcv_prep prep = plain_picture(1, 2, 2);
    int all[24];

    (void)state;
    prep.fit = PCV_CROP;
    prep.crop = 0.5;            /* 2 x 2 from row 1, column 2 */
    assert_planes(&prep, &m, 2, 2, (const int[]){ 12, 13, 22, 23 });
    prep.crop = 0.87;           /* 3 x 3 from row 0, column 1 */
    prep.height = prep.width = 3;
    assert_planes(&prep, &m, 3, 3, (const int[]){
                  1, 2, 3, 11, 12, 13, 21, 22, 23 });
    prep.crop = 0.01;           /* never nothing */
    prep.height = prep.width = 1;
    assert_planes(&prep, &m, 1, 1, (const int[]){ 12 });
    prep.fit = PCV_KEEP;
    for (int i = 0; i < 24; i++)
        all[i] = grey[i];
    assert_planes(&prep, &m, 4, 6, all);
}

static void test_prepare_polarity(void **state)
{
    /* The ring has 5 of 8 and 4 of 8 bright; the middle has no vote. */
    static const uint8_t dark[] = { 0, 0, 128, 128, 255, 128, 0, 0, 0 };
    static const uint8_t even[] = { 0, 0, 128, 128, 0, 128, 0, 0, 128 };
    static const uint8_t row[] = { 200, 100, 201 };
    pcv_media m = array_of(PCV_MEDIA_IMAGE, PCV_U8, dark, 3, 3, 3, 1);
    pcv_prep prep = plain_picture(1, 3, 3);

    (void)state;
    prep.polarity = PCV_LIGHT_ON_DARK;
    assert_planes(&prep, &m, 3, 3, (const int[]){
                  0, 0, 128, 128, 255, 128, 0, 0, 0 });
    m = array_of(PCV_MEDIA_IMAGE, PCV_U8, even, 3, 3, 3, 1);
    assert_planes(&prep, &m, 3, 3, (const int[]){
                  255, 255, 127, 127, 255, 127, 255, 255, 127 });
    prep = plain_picture(1, 1, 3);
    prep.polarity = PCV_LIGHT_ON_DARK;
    m = array_of(PCV_MEDIA_IMAGE, PCV_U8, row, 3, 1, 3, 1);
    assert_planes(&prep, &m, 1, 3, (const int[]){ 55, 155, 54 });
    prep = plain_picture(1, 3, 1);
    prep.polarity = PCV_LIGHT_ON_DARK;
    m = array_of(PCV_MEDIA_IMAGE, PCV_U8, row, 3, 3, 1, 1);
    assert_planes(&prep, &m, 3, 1, (const int[]){ 55, 155, 54 });
}

static void test_prepare_picture_arrays(void **state)
{
    static const uint8_t u8[] = { 1, 2, 3, 4, 5, 6 };
    static const int want[] = { 1, 2, 3, 4, 5, 6 };
    static const uint16_t f16[] = { 0x3c00, 0xc000, 0x3800 };
    pcv_prep prep = plain_picture(1, 2, 3);
    pcv_media m;
    pcv_array out;

    (void)state;
    m = array_of(PCV_MEDIA_ARRAY, PCV_U8, u8, 2, 2, 3);
    assert_planes(&prep, &m, 2, 3, want);
    m = array_of(PCV_MEDIA_ARRAY, PCV_U8, u8, 3, 2, 3, 1);
    assert_planes(&prep, &m, 2, 3, want);
    m = array_of(PCV_MEDIA_ARRAY, PCV_U8, u8, 4, 1, 2, 3, 1);
    assert_planes(&prep, &m, 2, 3, want);
    prep = plain_picture(1, 3, 2);
    m = array_of(PCV_MEDIA_ARRAY, PCV_U8, u8, 3, 1, 3, 2);
    assert_planes(&prep, &m, 3, 2, want);
    prep = plain_picture(3, 1, 2);
    m = array_of(PCV_MEDIA_ARRAY, PCV_U8, u8, 3, 1, 2, 3);
    assert_planes(&prep, &m, 1, 2, (const int[]){ 1, 4, 2, 5, 3, 6 });
    prep = plain_picture(3, 1, 1);
    m = array_of(PCV_MEDIA_ARRAY, PCV_F16, f16, 4, 1, 3, 1, 1);
    assert_int_equal(pcv_prepare(&prep, &m, "x", &out), 0);
    assert_true(((float *)out.data)[0] == 1);
    assert_true(((float *)out.data)[1] == -2);
    assert_true(((float *)out.data)[2] == 0.5f);
    pcv_array_free(&out);
    prep.height = 2;
    assert_refused(&prep, &m, "x: array is F16 [1,3,1,1], want floats "
                   "[3,2,1] or a U8 picture");
    prep.fit = PCV_KEEP;
    assert_int_equal(pcv_prepare(&prep, &m, "x", &out), 0);
    pcv_array_free(&out);
    m = array_of(PCV_MEDIA_ARRAY, PCV_U8, u8, 3, 3, 1, 2);
    assert_refused(&prep, &m, "x: array is U8 [3,1,2], want a picture");
    m = array_of(PCV_MEDIA_ARRAY, PCV_I16, u8, 2, 1, 1);
    assert_refused(&prep, &m, "want a U8 picture or floats");
}

/* ---- prepare: everything else ---------------------------------------- */

static void assert_floats(const pcv_prep *prep, const pcv_media *m, size_t n,
                          const float *want)
{
    pcv_array out;

    if (pcv_prepare(prep, m, "x", &out) != 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(out.dtype, PCV_F32);
    assert_int_equal(pcv_array_count(&out), n);
    assert_memory_equal(out.data, want, n * sizeof *want);
    pcv_array_free(&out);
}

static void test_prepare_sound(void **state)
{
    static const float v[] = { 0.5f, -1, 0.25f, 0, 0 };
    static const float broken[] = { 0, 1, INFINITY };
    pcv_prep prep = { .modality = PCV_SOUND, .rate = 8000 };
    pcv_media m = array_of(PCV_MEDIA_SOUND, PCV_F32, v, 1, 3);

    (void)state;
    m.rate = 8000;
    assert_floats(&prep, &m, 3, v);
    prep.samples = 2;
    assert_floats(&prep, &m, 2, v);
    prep.samples = 5;
    assert_floats(&prep, &m, 5, v);
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, v, 3, 1, 3, 1);
    assert_floats(&prep, &m, 5, v);
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, v, 2, 2, 2);
    assert_refused(&prep, &m, "x: array is F32 [2,2], want floats [samples]");
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, broken, 1, 3);
    assert_refused(&prep, &m, "x: value [2] is infinite, want a finite numb");
    m = array_of(PCV_MEDIA_SOUND, PCV_F32, broken, 1, 3);
    assert_refused(&prep, &m, "x: value [2] is infinite");
    m = array_of(PCV_MEDIA_SOUND, PCV_F32, v, 1, 0);
    assert_refused(&prep, &m, "x: sound has no samples");
    m = array_of(PCV_MEDIA_IMAGE, PCV_U8, v, 3, 1, 1, 1);
    assert_refused(&prep, &m, "x: is a picture, the model takes a sound");
}

/* At half the rate there are half as many, and a flat sound stays flat. */
static void test_prepare_resamples(void **state)
{
    pcv_prep prep = { .modality = PCV_SOUND, .rate = 8000 };
    static float flat[1600];
    pcv_media m = array_of(PCV_MEDIA_SOUND, PCV_F32, flat, 1, 1600);
    pcv_array out;
    const float *v;

    (void)state;
    for (size_t i = 0; i < PCV_LEN(flat); i++)
        flat[i] = 0.5f;
    m.rate = 16000;
    assert_int_equal(pcv_prepare(&prep, &m, "x", &out), 0);
    assert_int_equal(out.dim[0], 800);
    v = out.data;
    for (size_t i = 200; i < 600; i++)
        assert_true(fabsf(v[i] - 0.5f) < 1e-3f);
    pcv_array_free(&out);
}

static void assert_ids(const pcv_prep *prep, const pcv_media *m, size_t n,
                       const int32_t *want)
{
    pcv_array out;

    if (pcv_prepare(prep, m, "x", &out) != 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(out.dtype, PCV_I32);
    assert_int_equal(out.rank, 1);
    assert_int_equal(out.dim[0], n);
    assert_memory_equal(out.data, want, n * sizeof *want);
    pcv_array_free(&out);
}

static void test_prepare_bytes(void **state)
{
    static const int64_t id[] = { 4, 261, 5 };
    static const int16_t low[] = { 0, -1 };
    pcv_prep prep = { .modality = PCV_BYTES, .length = 5, .special = 1 };
    pcv_media m = array_of(PCV_MEDIA_BYTES, PCV_U8, "A \xff", 1, 3);

    (void)state;
    assert_ids(&prep, &m, 5, (const int32_t[]){ 4, 71, 38, 261, 5 });
    prep.length = 4;            /* the specials count */
    assert_ids(&prep, &m, 4, (const int32_t[]){ 4, 71, 38, 5 });
    prep.length = 2;
    assert_refused(&prep, &m, "x: the model takes 2 tokens");
    prep.length = 0;
    m.array.dim[0] = 0;
    assert_ids(&prep, &m, 2, (const int32_t[]){ 4, 5 });
    prep.special = 0;
    assert_refused(&prep, &m, "x: empty text");
    m.array.dim[0] = 3;
    assert_ids(&prep, &m, 3, (const int32_t[]){ 71, 38, 261 });
    m = array_of(PCV_MEDIA_ARRAY, PCV_I64, id, 2, 1, 3);
    assert_ids(&prep, &m, 3, (const int32_t[]){ 4, 261, 5 });
    prep.length = 2;
    assert_refused(&prep, &m, "x: 3 ids, want at most 2");
    m = array_of(PCV_MEDIA_ARRAY, PCV_I16, low, 1, 2);
    assert_refused(&prep, &m, "x: id [1] is -1, want 0 to 2147483647");
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, id, 1, 2);
    assert_refused(&prep, &m, "x: array is F32 [2], want integers [n]");
}

static void test_prepare_rows(void **state)
{
    static const float v[] = { 1, 2, 3, 4, 5, 6 };
    static const int16_t whole[] = { 1, 2, 3 };
    static const float broken[] = { 1, 2, 3, 4, 5, NAN };
    static const int16_t cloud[] = { 1, 8, 1, 5, 0, 1 };
    static const float cubed[] = { -0.5f, 1, 0, 0.5f, -1, 0 };
    pcv_prep prep = { .modality = PCV_POINTS, .channels = 3, .length = 1 };
    pcv_media m = array_of(PCV_MEDIA_ARRAY, PCV_F32, v, 2, 2, 3);

    (void)state;
    assert_floats(&prep, &m, 3, v);
    prep.length = 2;
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, v, 3, 1, 2, 3);
    assert_floats(&prep, &m, 6, v);
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, broken, 2, 2, 3);
    assert_refused(&prep, &m, "x: value [1,2] is NaN, want a finite number");
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, v, 2, 3, 2);
    assert_refused(&prep, &m, "x: array is F32 [3,2], want [n,3], n at leas");
    m = array_of(PCV_MEDIA_ARRAY, PCV_F32, v, 2, 0, 3);
    assert_refused(&prep, &m, "x: array is F32 [0,3]");
    m = array_of(PCV_MEDIA_ARRAY, PCV_I16, whole, 2, 1, 3);
    assert_floats(&prep, &m, 3, v);
    prep.length = 3;
    prep.cube = 1;              /* means 3, 4, 1: largest 4 */
    m = array_of(PCV_MEDIA_ARRAY, PCV_I16, cloud, 2, 2, 3);
    assert_floats(&prep, &m, 6, cubed);
    prep = (pcv_prep){ .modality = PCV_PLAIN, .channels = 1 };
    m = array_of(PCV_MEDIA_ARRAY, PCV_I16, whole, 1, 3);
    assert_floats(&prep, &m, 3, v);
    m = array_of(PCV_MEDIA_BYTES, PCV_U8, v, 1, 3);
    assert_refused(&prep, &m, "x: is of no known format, the model takes an "
                   "array of numbers");
    m = array_of(PCV_MEDIA_BYTES, PCV_U8, v, 1, 0);
    assert_refused(&prep, &m, "x: is an empty file");
    prep.modality = PCV_PARTS;
    assert_refused(&prep, &m, "x: no input of modality 8");
}

/* ---- the whole chain ------------------------------------------------- */

static pcv_prep hugging_face(void)
{
    return (pcv_prep){ .modality = PCV_IMAGE, .channels = 3, .height = 224,
                       .width = 224, .fit = PCV_CROP, .crop = 224.0 / 256,
                       .mean = { .485, .456, .406 },
                       .std = { .229, .224, .225 } };
}

static int run_chain(const void *data, size_t n)
{
    pcv_reading how = pictures();
    pcv_prep prep = hugging_face();
    pcv_media m;
    pcv_array out;
    size_t used;
    int result;

    prep.height = prep.width = 3;
    if (pcv_decode(data, n, "x", &how, &m, &used) != 0)
        return -1;
    result = pcv_prepare(&prep, &m, "x", &out);
    pcv_media_free(&m);
    pcv_array_free(&out);
    return result;
}

static void test_out_of_memory(void **state)
{
    pcv_buf png = { 0 }, jpeg = { 0 };
    long count;

    (void)state;
    put_png(&png, png_cases + 13);
    put_exif_jpeg(&jpeg, true, 6);
    for (int i = 0; i < 2; i++) {
        const pcv_buf *b = i ? &jpeg : &png;

        count = pcv_alloc_count();
        assert_int_equal(run_chain(b->data, b->len), 0);
        count = pcv_alloc_count() - count;
        for (long k = 1; k <= count; k++) {
            pcv_alloc_fail_at(k);
            assert_int_equal(run_chain(b->data, b->len), -1);
            assert_failed(EX_OSERR, "out of memory");
        }
    }
    pcv_buf_free(&png);
    pcv_buf_free(&jpeg);
}

static void assert_golden(const char *shared, const char *name,
                          const char *suffix)
{
    pcv_reading how = pictures();
    pcv_prep prep = hugging_face();
    char path[4096];
    const pcv_tensor *want;
    pcv_tensors t;
    pcv_file f;
    pcv_media m;
    pcv_array out;
    size_t used;

    snprintf(path, sizeof path, "%s/golden/images/%s.safetensors", shared,
             name);
    assert_int_equal(pcv_tensors_open(&t, path), 0);
    want = pcv_tensors_find(&t, "pixel_values");
    assert_non_null(want);
    snprintf(path, sizeof path, "%s/golden/images/%s.%s", shared, name,
             suffix);
    assert_int_equal(pcv_file_open(&f, path, 0), 0);
    assert_int_equal(pcv_decode(f.data, f.size, name, &how, &m, &used), 0);
    assert_int_equal(pcv_prepare(&prep, &m, name, &out), 0);
    assert_int_equal(want->bytes, pcv_array_count(&out) * sizeof (float));
    for (size_t i = 0; i < pcv_array_count(&out); i++) {
        float v;

        pcv_dtype_to_float(PCV_F32, (const char *)want->data + 4 * i, 1, &v);
        if (!(fabsf(((float *)out.data)[i] - v) <= 1e-6f))
            fail_msg("%s: value %zu is %.9g, want %.9g", name, i,
                     (double)((float *)out.data)[i], (double)v);
    }
    pcv_array_free(&out);
    pcv_media_free(&m);
    pcv_file_close(&f);
    pcv_tensors_close(&t);
}

static void test_golden(void **state)
{
    const char *shared = getenv("PCV_SHARED");

    (void)state;
    if (!shared)
        skip();
    assert_golden(shared, "canon-powershot-a20-jpg", "jpg");
    assert_golden(shared, "kyocera-fc-s3-png", "png");
    assert_golden(shared, "nokia-lumia-800-png", "png");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_png_kinds), TEST(test_png_refused),
        TEST(test_png_one_after_the_other), TEST(test_png_write),
        TEST(test_jpeg_orientation), TEST(test_jpeg_damaged_exif),
        TEST(test_jpeg_refused), TEST(test_jpeg_scans),
        TEST(test_jpeg_inks), TEST(test_pnm_kinds), TEST(test_pnm_refused),
        TEST(test_bytes), TEST(test_gzip),
        TEST(test_resize_as_pillow), TEST(test_resize_channels),
        TEST(test_prepare_channels), TEST(test_prepare_normalise),
        TEST(test_prepare_fit), TEST(test_prepare_polarity),
        TEST(test_prepare_picture_arrays), TEST(test_prepare_sound),
        TEST(test_prepare_resamples), TEST(test_prepare_bytes),
        TEST(test_prepare_rows), TEST(test_out_of_memory), TEST(test_golden),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
