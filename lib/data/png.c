/* png.c - PNG in and out; the only file that includes png.h.
 *
 * In: every colour type, depth and interlacing becomes 8 bits of grey or RGB:
 * palettes and small depths are expanded, 16 bits rounded to 8, transparency
 * laid on white.  Only IHDR, PLTE, tRNS, IDAT and IEND are looked at.  The
 * reader stops behind IEND, so another picture may follow.
 *
 * libpng reports an error by longjmp.  Everything that lives across it is in
 * the struct of the caller, never in locals of the function that called
 * setjmp, so none of it can be lost in a register. */
#include "formats.h"

#include <png.h>
#include <stdio.h>
#include <string.h>

/* Deflate cannot do better: 258 bytes in two bits. */
#define MAX_RATIO 1032
#define WHAT 200

typedef struct {
    const unsigned char *data;
    size_t n, at;
    const char *name;
    const pcv_reading *how;
    pcv_media *out;
    png_structp png;
    png_infop info;
    size_t row;                 /* rows of the picture's last pass so far */
    bool ended;                 /* libpng wanted bytes beyond the last */
    char what[WHAT];            /* libpng's first warning, error */
} reader;

static void *take(png_structp png, png_alloc_size_t n)
{
    (void)png;
    return pcv_alloc(n, 1);
}

static void give(png_structp png, void *p)
{
    (void)png;
    pcv_free(p);
}

/* Warnings are about what we do not use: text, odd sizes of chunks; damage
 * to the pixels is an error of libpng's.  But a warning may be the reason of
 * the error that follows, so the first is kept. */
static void keep_warning(png_structp png, png_const_charp text)
{
    char *what = png_get_error_ptr(png);

    if (!*what)
        snprintf(what, WHAT, "%s", text);
}

static void keep_error(png_structp png, png_const_charp text)
{
    char *what = png_get_error_ptr(png);
    const size_t n = strlen(what);

    snprintf(what + n, WHAT - n, "%s%s", n ? "; " : "", text);
    png_longjmp(png, 1);
}

static void read_data(png_structp png, png_bytep to, size_t n)
{
    reader *r = png_get_io_ptr(png);

    if (n > r->n - r->at) {
        r->ended = true;
        png_error(png, "Read Error");
    }
    memcpy(to, r->data + r->at, n);
    r->at += n;
}

static void set_limits(png_structp png)
{
    png_set_user_limits(png, 65535, 65535);
    png_set_chunk_cache_max(png, 64);
    png_set_chunk_malloc_max(png, 1 << 20);
    png_set_crc_action(png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_benign_errors(png, 1);
    /* -1: unknown chunks and the known ancillary ones, all but tRNS. */
    png_set_keep_unknown_chunks(png, PNG_HANDLE_CHUNK_NEVER, NULL, -1);
}

/* Whether the file is long enough for what its header promises; 100 bytes
 * must not get us to take memory for 100 million pixels. */
static int check_length(reader *r)
{
    const size_t rows = png_get_image_height(r->png, r->info);
    const size_t row = png_get_rowbytes(r->png, r->info);
    size_t bytes;

    if (pcv_mul(rows, row, &bytes) && bytes / MAX_RATIO <= r->n)
        return 0;
    return pcv_fail(EX_DATAERR, "%s: truncated PNG: %zu bytes cannot hold "
                    "%zu rows of %zu bytes", r->name, r->n, rows, row);
}

/* Allocates the picture, with room for the alpha that libpng gives us. */
static int open_picture(reader *r)
{
    const size_t height = png_get_image_height(r->png, r->info);
    const size_t width = png_get_image_width(r->png, r->info);

    png_set_expand(r->png);
    png_set_scale_16(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    return pcv_image_open(r->out, height, width,
                          png_get_channels(r->png, r->info), r->name, r->how);
}

static void read_rows(reader *r)
{
    const size_t height = r->out->array.dim[0];
    const size_t bytes = r->out->array.dim[1] * r->out->array.dim[2];
    const int interlaced = png_get_interlace_type(r->png, r->info);
    const int passes = interlaced == PNG_INTERLACE_NONE ? 1 : 7;

    for (int pass = 0; pass < passes; pass++)
        for (r->row = 0; r->row < height; r->row++)
            png_read_row(r->png, (png_bytep)r->out->array.data +
                         r->row * bytes, NULL);
}

static int decode(reader *r)
{
    if (setjmp(png_jmpbuf(r->png)))
        return -1;
    set_limits(r->png);
    png_set_read_fn(r->png, r, read_data);
    png_read_info(r->png, r->info);
    if (check_length(r) != 0 || open_picture(r) != 0)
        return -1;
    read_rows(r);
    png_read_end(r->png, NULL);
    return 0;
}

/* Loses against an older message: of pcv_alloc, or of a check of ours. */
static int explain(const reader *r)
{
    const size_t rows = r->out->array.data ? r->out->array.dim[0] : 0;

    if (!r->ended)
        return pcv_fail(EX_DATAERR, "%s: damaged PNG at byte %zu of %zu "
                        "(libpng: %s)", r->name, r->at, r->n, r->what);
    if (rows == 0)
        return pcv_fail(EX_DATAERR, "%s: truncated PNG: ends at byte %zu in "
                        "its header (libpng: %s)", r->name, r->n, r->what);
    return pcv_fail(EX_DATAERR, "%s: truncated PNG: ends at byte %zu, with "
                    "%zu of %zu rows and no IEND (libpng: %s)", r->name, r->n,
                    r->row, rows, r->what);
}

static int read_png(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    reader r = {.data = data, .n = n, .name = name, .how = how, .out = out};
    int result = -1;

    r.png = png_create_read_struct_2(PNG_LIBPNG_VER_STRING, r.what, keep_error,
                                     keep_warning, NULL, take, give);
    r.info = r.png ? png_create_info_struct(r.png) : NULL;
    if (!r.info)
        pcv_fail(EX_OSERR, "%s: libpng cannot be started", name);
    else if ((result = decode(&r)) != 0)
        explain(&r);
    png_destroy_read_struct(&r.png, &r.info, NULL);
    if (result != 0) {
        pcv_media_free(out);
        return -1;
    }
    pcv_image_flatten(out);
    *used = r.at;
    return 0;
}

/* Half a signature is enough: then libpng can say what is wrong with the
 * other half (text mode transfers change it). */
static bool probe_png(const unsigned char *data, size_t n)
{
    return n >= 4 && memcmp(data, "\x89PNG", 4) == 0;
}

const pcv_format pcv_format_png = {"PNG", probe_png, read_png, PCV_MEDIA_IMAGE};

/* ---- out ------------------------------------------------------------- */

static void write_data(png_structp png, png_bytep data, size_t n)
{
    pcv_buf *b = png_get_io_ptr(png);

    pcv_buf_add(b, data, n);
    if (b->failed)
        png_error(png, "out of memory");
}

static void flush_nothing(png_structp png)
{
    (void)png;
}

static int encode(png_structp png, png_infop info, pcv_buf *b,
                  const uint8_t *pixels, int height, int width, int channels)
{
    const size_t row = (size_t)width * (size_t)channels;

    if (setjmp(png_jmpbuf(png)))
        return -1;
    png_set_write_fn(png, b, write_data, flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8,
                 channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (int y = 0; y < height; y++)
        png_write_row(png, pixels + (size_t)y * row);
    png_write_end(png, NULL);
    return 0;
}

int pcv_png_write(pcv_buf *b, const uint8_t *pixels, int height, int width,
                  int channels)
{
    char what[WHAT] = "";
    const size_t start = b->len;
    png_structp png;
    png_infop info;
    int result = -1;

    if (height < 1 || width < 1 || (channels != 1 && channels != 3))
        return pcv_fail(EX_USAGE, "PNG of %d x %d pixels with %d channels, "
                        "want at least 1 x 1 with 1 or 3", width, height,
                        channels);
    png = png_create_write_struct_2(PNG_LIBPNG_VER_STRING, what, keep_error,
                                    keep_warning, NULL, take, give);
    info = png ? png_create_info_struct(png) : NULL;
    if (info)
        result = encode(png, info, b, pixels, height, width, channels);
    png_destroy_write_struct(&png, &info);
    if (result != 0) {
        b->len = start;
        return pcv_fail(EX_OSERR, "PNG of %d x %d pixels not written "
                        "(libpng: %s)", width, height, what);
    }
    return 0;
}
