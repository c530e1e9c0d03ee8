/* full.c - models of full size: a program of `make full`, not of pcv.
 *
 *     full init DIR                   DIR/model.safetensors of random weights
 *                                     for DIR/config.json
 *     full picture FORMAT W H         noise as ppm, png or jpeg
 *     full measure DIR SPARE COMMAND..
 *         runs it; writes seconds, and memory at the most beside the weights of
 *         DIR.  Fails when that is more than SPARE megabytes (10^6 bytes);
 *         - is no bound.
 */
#include "child.h"
#include "weights.h"

#include "../lib/data/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>

static int fail(const char *what)
{
    fprintf(stderr, "full: %s\n", what);
    return 1;
}

/* ---- pictures -------------------------------------------------------- */

/* Bright in the middle, with a little noise: files have something to do. */
static uint8_t *draw(int w, int h)
{
    uint8_t *p = pcv_alloc((size_t)w * (size_t)h, 3), *to = p;

    for (int y = 0; p && y < h; y++)
        for (int x = 0; x < w; x++, to += 3) {
            uint64_t noise = pcv_random(1, (uint64_t)y, (uint64_t)x);

            for (int c = 0; c < 3; c++)
                to[c] = (uint8_t)(192 * (x * (c + 1) % w) / w +
                                  32 * y / h + (int)(noise >> 8 * c & 31));
        }
    return p;
}

static int write_jpeg(const uint8_t *p, int w, int h)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr error;

    jpeg.err = jpeg_std_error(&error);
    jpeg_create_compress(&jpeg);
    jpeg_stdio_dest(&jpeg, stdout);
    jpeg.image_width = (JDIMENSION)w;
    jpeg.image_height = (JDIMENSION)h;
    jpeg.input_components = 3;
    jpeg.in_color_space = JCS_RGB;
    jpeg_set_defaults(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    for (int y = 0; y < h; y++) {
        JSAMPROW row = (JSAMPROW)p + (size_t)y * (size_t)w * 3;

        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return 0;
}

static int picture(const char *format, int w, int h)
{
    uint8_t *p = draw(w, h);
    pcv_buf b = {0};
    int r = p ? 0 : -1;

    if (p && strcmp(format, "jpeg") == 0) {
        r = write_jpeg(p, w, h);
    } else if (p && strcmp(format, "png") == 0) {
        r = pcv_png_write(&b, p, h, w, 3);
    } else if (p) {
        pcv_buf_printf(&b, "P6\n%d %d\n255\n", w, h);
        pcv_buf_add(&b, p, (size_t)w * (size_t)h * 3);
    }
    if (fwrite(b.data ? b.data : "", 1, b.len, stdout) < b.len ||
        fflush(stdout) || b.failed)
        r = -1;
    pcv_buf_free(&b);
    pcv_free(p);
    return r < 0 ? fail("no picture") : 0;
}

/* ---- measuring ------------------------------------------------------- */

static double weights_of(const char *dir)
{
    char path[4096];
    struct stat st;

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    return stat(path, &st) == 0 ? (double)st.st_size / 1e6 : 0;
}

static int measure(const char *dir, const char *spare, char **command)
{
    const double weights = weights_of(dir);
    child_use use;
    double beside;

    if (child_run(command, &use) < 0)
        return fail("cannot run a command");
    beside = use.megabytes - weights;
    printf("%.2f s, %.0f MB of weights and %.0f MB", use.seconds, weights,
           beside);
    if (strcmp(spare, "-"))
        printf(" (at most %s)", spare);
    printf("\n");
    if (use.status)
        return fail("the command failed");
    return strcmp(spare, "-") && beside > strtod(spare, NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "init") == 0)
        return weights_random(argv[2]) < 0 ? fail(pcv_error()) : 0;
    if (argc == 5 && strcmp(argv[1], "picture") == 0)
        return picture(argv[2], atoi(argv[3]), atoi(argv[4]));
    if (argc > 4 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], argv[3], argv + 4);
    fputs("usage: full init DIR | full picture FORMAT W H | "
          "full measure DIR SPARE COMMAND..\n", stderr);
    return 64;
}
