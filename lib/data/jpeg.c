/* jpeg.c - JPEG in; the only file that includes jpeglib.h.
 *
 * Slow integer DCT and libjpeg's other defaults, so that the pixels are
 * Pillow's.  Grey stays grey, YCbCr becomes RGB, four inks become RGB the way
 * Pillow does it, and the orientation a camera wrote into its EXIF is undone.
 * The bytes of a file are one picture: what follows its end (thumbnails,
 * second pictures, makers' data) is not ours to read.
 *
 * libjpeg reports an error by our longjmp.  Everything that lives across it
 * is in the struct of the caller (see png.c). */
#include "formats.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jpeglib.h>
#include <jerror.h>     /* its numbers depend on jpeglib.h: keep the order */

/* A progressive file may go over the whole picture with every few bytes. */
#define MAX_SCANS 100

typedef struct {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr error;
    struct jpeg_progress_mgr progress;
    jmp_buf back;
    const char *name;
    const pcv_reading *how;
    pcv_media *out;
    size_t n;
    int orientation;
    bool ended;                 /* libjpeg wanted bytes beyond the last */
    char what[JMSG_LENGTH_MAX];
} reader;

/* ---- EXIF: one tag --------------------------------------------------- */

/* An APP1 segment is "Exif\0\0" and a TIFF file: byte order, 42, offset of
 * the first directory: its number of entries, then 12 bytes each: tag, type,
 * count, value. */
#define TIFF_AT 6
#define TAG_ORIENTATION 0x0112
#define TYPE_SHORT 3

static unsigned get16(const unsigned char *p, bool big)
{
    return big ? p[0] * 256u + p[1] : p[1] * 256u + p[0];
}

static size_t get32(const unsigned char *p, bool big)
{
    const size_t first = get16(p, big), second = get16(p + 2, big);

    return big ? first << 16 | second : second << 16 | first;
}

/* 1 to 8; 1, upright, also where anything is odd. */
static int orientation(const unsigned char *p, size_t n)
{
    size_t at, entries;
    bool big;

    if (n < TIFF_AT + 8 || memcmp(p, "Exif\0", TIFF_AT) != 0)
        return 1;
    p += TIFF_AT;
    n -= TIFF_AT;
    big = memcmp(p, "MM\0*", 4) == 0;
    if (!big && memcmp(p, "II*", 4) != 0)
        return 1;
    at = get32(p + 4, big);
    if (at > n || n - at < 2)
        return 1;
    entries = get16(p + at, big);
    at += 2;
    for (; entries > 0 && n - at >= 12; entries--, at += 12) {
        const unsigned value = get16(p + at + 8, big);

        if (get16(p + at, big) == TAG_ORIENTATION)
            return get16(p + at + 2, big) == TYPE_SHORT && value >= 1 &&
                   value <= 8 ? (int)value : 1;
    }
    return 1;
}

static int find_orientation(const struct jpeg_decompress_struct *jpeg)
{
    jpeg_saved_marker_ptr m = jpeg->marker_list;

    for (; m; m = m->next)
        if (m->marker == JPEG_APP0 + 1 && m->data_length >= TIFF_AT &&
            memcmp(m->data, "Exif\0", TIFF_AT) == 0)
            return orientation(m->data, m->data_length);
    return 1;
}

/* Orientation says which sides of the scene the file's first row and first
 * column are.  Row y, column x of the upright picture is row v, column u of
 * the file: from 5 on the axes are exchanged, 3, 4, 6 and 7 have the file's
 * rows backwards, 2, 3, 7 and 8 its columns. */
static void find_source(int o, size_t h, size_t w, size_t y, size_t x,
                        size_t *v, size_t *u)
{
    *v = o < 5 ? y : x;
    *u = o < 5 ? x : y;
    if (o == 3 || o == 4 || o == 6 || o == 7)
        *v = h - 1 - *v;
    if (o == 2 || o == 3 || o == 7 || o == 8)
        *u = w - 1 - *u;
}

static int turn(pcv_media *m, int o, const char *name, const pcv_reading *how)
{
    const size_t h = m->array.dim[0], w = m->array.dim[1];
    const size_t c = m->array.dim[2];
    const uint8_t *from = m->array.data;
    pcv_media upright = {0};
    uint8_t *to;
    size_t v, u;

    if (pcv_image_open(&upright, o < 5 ? h : w, o < 5 ? w : h, (int)c, name,
                       how) != 0)
        return -1;
    to = upright.array.data;
    for (size_t y = 0; y < upright.array.dim[0]; y++)
        for (size_t x = 0; x < upright.array.dim[1]; x++, to += c) {
            find_source(o, h, w, y, x, &v, &u);
            memcpy(to, from + (v * w + u) * c, c);
        }
    pcv_media_free(m);
    *m = upright;
    return 0;
}

/* ---- libjpeg's callbacks --------------------------------------------- */

static void fail_back(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;

    jpeg->err->format_message(jpeg, r->what);
    longjmp(r->back, 1);
}

/* After a warning libjpeg goes on with grey.  Pixels are lost then, but for
 * these, which are found in many good files. */
static bool is_harmless(int code)
{
    return code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM ||
           code == JWRN_JFIF_MAJOR || code == JWRN_NOT_SEQUENTIAL ||
           code == JWRN_BOGUS_PROGRESSION || code == JWRN_TOO_MUCH_DATA;
}

static void judge_message(j_common_ptr jpeg, int level)
{
    reader *r = jpeg->client_data;

    if (level >= 0 || is_harmless(jpeg->err->msg_code))
        return;
    r->ended = jpeg->err->msg_code == JWRN_JPEG_EOF;
    fail_back(jpeg);
}

static void ignore_message(j_common_ptr jpeg)
{
    (void)jpeg;
}

static void watch_scans(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;

    if (r->jpeg.input_scan_number <= MAX_SCANS)
        return;
    snprintf(r->what, sizeof r->what, "more than %d scans", MAX_SCANS);
    longjmp(r->back, 1);
}

/* ---- reading --------------------------------------------------------- */

/* Pillow's: a * b / 255, rounded. */
static unsigned mul255(unsigned a, unsigned b)
{
    const unsigned t = a * b + 128;

    return ((t >> 8) + t) >> 8;
}

/* Four inks, written inverted as Adobe does and Pillow expects, in place. */
static void inks_to_rgb(pcv_media *m)
{
    const size_t pixels = m->array.dim[0] * m->array.dim[1];
    const uint8_t *p = m->array.data;
    uint8_t *q = m->array.data;

    for (size_t i = 0; i < pixels; i++, p += 4, q += 3) {
        const unsigned white = p[3];

        for (int c = 0; c < 3; c++)
            q[c] = (uint8_t)(white - mul255(255u - p[c], white));
    }
    m->array.dim[2] = 3;
}

/* What libjpeg shall give us: 1, 3 or 4 samples per pixel. */
static int choose_colours(reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;

    if (jpeg->data_precision != 8)
        return pcv_fail(EX_DATAERR, "%s: JPEG has %d bits per sample, want 8",
                        r->name, jpeg->data_precision);
    switch (jpeg->jpeg_color_space) {
    case JCS_GRAYSCALE:
        jpeg->out_color_space = JCS_GRAYSCALE;
        return 1;
    case JCS_RGB:
    case JCS_YCbCr:
        jpeg->out_color_space = JCS_RGB;
        return 3;
    case JCS_CMYK:
    case JCS_YCCK:
        jpeg->out_color_space = JCS_CMYK;
        return 4;
    default:
        return pcv_fail(EX_DATAERR, "%s: JPEG has %d colour components, want "
                        "1, 3 or 4", r->name, jpeg->num_components);
    }
}

static void set_up(reader *r, const unsigned char *data, size_t n)
{
    jpeg_create_decompress(&r->jpeg);
    r->progress.progress_monitor = watch_scans;
    r->jpeg.progress = &r->progress;
    jpeg_mem_src(&r->jpeg, data, n);
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff);
}

static int open_picture(reader *r)
{
    struct jpeg_decompress_struct *jpeg = &r->jpeg;
    const int channels = choose_colours(r);

    if (channels < 0)
        return -1;
    jpeg->dct_method = JDCT_ISLOW;
    if (pcv_image_open(r->out, jpeg->image_height, jpeg->image_width,
                       channels, r->name, r->how) != 0)
        return -1;
    /* Progressive files keep 16 bits for each sample, all four at worst,
     * rounded up to whole blocks. */
    jpeg->mem->max_memory_to_use = (64L << 20) +
        (long)(16 * r->out->array.dim[0] * r->out->array.dim[1]);
    return 0;
}

static int decode(reader *r, const unsigned char *data, size_t n)
{
    if (setjmp(r->back))
        return -1;
    set_up(r, data, n);
    jpeg_read_header(&r->jpeg, TRUE);
    /* Now: the markers do not outlive jpeg_finish_decompress. */
    r->orientation = r->how->exif ? find_orientation(&r->jpeg) : 1;
    if (open_picture(r) != 0)
        return -1;
    jpeg_start_decompress(&r->jpeg);
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        const size_t row = r->out->array.dim[1] * r->out->array.dim[2];
        JSAMPROW to = (JSAMPROW)r->out->array.data +
                      r->jpeg.output_scanline * row;

        jpeg_read_scanlines(&r->jpeg, &to, 1);
    }
    jpeg_finish_decompress(&r->jpeg);
    return 0;
}

/* Loses against an older message, of a check of ours. */
static int explain(const reader *r)
{
    if (r->ended)
        return pcv_fail(EX_DATAERR, "%s: truncated JPEG: ends at byte %zu, "
                        "with %u of %u rows and no end marker (libjpeg: %s)",
                        r->name, r->n, r->jpeg.output_scanline,
                        r->jpeg.image_height, r->what);
    return pcv_fail(EX_DATAERR, "%s: damaged JPEG at byte %zu of %zu "
                    "(libjpeg: %s)", r->name, r->jpeg.src ?
                    r->n - r->jpeg.src->bytes_in_buffer : 0, r->n, r->what);
}

static int read_jpeg(const unsigned char *data, size_t n, const char *name,
                     const pcv_reading *how, pcv_media *out, size_t *used)
{
    reader r = {.name = name, .how = how, .out = out, .n = n};
    int result;

    r.jpeg.err = jpeg_std_error(&r.error);
    r.error.error_exit = fail_back;
    r.error.emit_message = judge_message;
    r.error.output_message = ignore_message;
    r.jpeg.client_data = &r;
    result = decode(&r, data, n);
    if (result != 0)
        explain(&r);
    jpeg_destroy_decompress(&r.jpeg);
    if (result == 0 && out->array.dim[2] == 4)
        inks_to_rgb(out);
    if (result == 0 && r.orientation != 1)
        result = turn(out, r.orientation, name, how);
    if (result != 0)
        pcv_media_free(out);
    *used = n;
    return result;
}

static bool probe_jpeg(const unsigned char *data, size_t n)
{
    return n >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

const pcv_format pcv_format_jpeg = {"JPEG", probe_jpeg, read_jpeg,
                                    PCV_MEDIA_IMAGE};
