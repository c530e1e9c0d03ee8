/* flow.c - optical flow: from every pixel of a picture to where it is in the
 * next, u pixels to the right and v down, [height][width][2] floats.
 *
 * As a file, Middlebury's .flo (32 bits each, low byte first):
 *
 *     "PIEH" (202021.25 as a float)  width  height  u v  u v  ..
 *
 * rows from the top down, the leftmost pixel first.  The header's sizes are
 * held against the file's before anything is allocated.
 *
 * As a picture, the colour wheel of S. Baker et al., "A Database and
 * Evaluation Methodology for Optical Flow", IJCV 92 (2011): hue is the
 * direction, from red (right) over yellow (down) and cyan (left) to blue
 * (up); white is no motion, and a full colour the magnitude `most`.
 *
 * A component beyond 1e9, which the format uses for "unknown", or not a
 * number makes the pixel unknown: kept as it is in files, black in pictures. */
#include "parts.h"

#include <math.h>
#include <string.h>

#define MAGIC "PIEH"
#define HEADER 12
#define MAX_SIZE 65535          /* of a side, as in pictures */
#define COLOURS 55

/* ---- .flo ------------------------------------------------------------ */

static bool probe_flo(const unsigned char *data, size_t n)
{
    return n >= 4 && memcmp(data, MAGIC, 4) == 0;
}

static uint32_t get(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 |
           (uint32_t)p[3] << 24;
}

/* As unsigned numbers, negative sizes are too large ones. */
static bool is_size(uint32_t n)
{
    return n >= 1 && n <= MAX_SIZE;
}

static int read_flo(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    pcv_layout l = {.dtype = PCV_F32, .rank = 3, .offset = HEADER};
    uint32_t width, height;

    (void)how;
    if (n < HEADER)
        return pcv_fail(EX_DATAERR, "%s: truncated .flo: %zu of %d bytes of "
                        "the header", name, n, HEADER);
    width = get(data + 4);
    height = get(data + 8);
    if (!is_size(width) || !is_size(height))
        return pcv_fail(EX_DATAERR, "%s: .flo of %jd x %jd pixels, want 1 to "
                        "%d each way", name, (intmax_t)(int32_t)width,
                        (intmax_t)(int32_t)height, MAX_SIZE);
    l.dim[0] = height;
    l.dim[1] = width;
    l.dim[2] = 2;
    *used = n;
    if (pcv_layout_check(&l, n, name, ".flo") != 0)
        return -1;
    return pcv_layout_read(&l, data, out);
}

const pcv_format pcv_format_flo = {"flo", probe_flo, read_flo, PCV_MEDIA_ARRAY};

static void put(pcv_buf *b, uint32_t v)
{
    const unsigned char four[4] = {
        (unsigned char)v, (unsigned char)(v >> 8), (unsigned char)(v >> 16),
        (unsigned char)(v >> 24),
    };

    pcv_buf_add(b, four, sizeof four);
}

int pcv_flo_write(pcv_buf *b, const float *uv, int height, int width)
{
    size_t n;

    if (height < 1 || width < 1 || height > MAX_SIZE || width > MAX_SIZE)
        return pcv_fail(EX_USAGE, ".flo of %d x %d pixels, want 1 to %d each "
                        "way", width, height, MAX_SIZE);
    n = 2 * (size_t)height * (size_t)width;
    pcv_buf_puts(b, MAGIC);
    put(b, (uint32_t)width);
    put(b, (uint32_t)height);
    for (size_t i = 0; i < n; i++) {
        uint32_t bits;

        memcpy(&bits, &uv[i], sizeof bits);
        put(b, bits);
    }
    return b->failed ? pcv_fail(EX_OSERR, "out of memory for a .flo") : 0;
}

/* ---- the colour wheel ------------------------------------------------ */

/* Six parts, in each of which one of red, green and blue goes from none to
 * all or back; their lengths follow how many hues the eye tells apart. */
static void fill_wheel(uint8_t wheel[COLOURS][3])
{
    static const struct {
        int colours, moves;
    } part[] = {{15, 1}, {6, 0}, {4, 2}, {11, 1}, {13, 0}, {6, 2}};
    uint8_t rgb[3] = {255, 0, 0};

    for (size_t p = 0; p < PCV_LEN(part); p++) {
        uint8_t *moving = &rgb[part[p].moves];
        const uint8_t from = *moving;

        for (int i = 0; i < part[p].colours; i++, wheel++) {
            const int step = 255 * i / part[p].colours;

            *moving = (uint8_t)(from ? 255 - step : step);
            memcpy(*wheel, rgb, sizeof rgb);
        }
        *moving = 255 - from;
    }
}

static bool is_known(const float *uv)
{
    return fabsf(uv[0]) <= 1e9f && fabsf(uv[1]) <= 1e9f;    /* no NaN is */
}

static double magnitude(const float *uv)
{
    return hypot((double)uv[0], (double)uv[1]);
}

static double largest(const float *uv, size_t pixels)
{
    double most = 0;

    for (size_t i = 0; i < pixels; i++, uv += 2)
        if (is_known(uv) && magnitude(uv) > most)
            most = magnitude(uv);
    return most;
}

/* A full turn is COLOURS - 1 steps: the last colour, nearly red, belongs to
 * directions just short of a full turn, as in the published pictures. */
static void paint(uint8_t wheel[COLOURS][3], const float *uv, double size,
                  uint8_t *rgb)
{
    const double turn = atan2((double)uv[1], (double)uv[0]) / (2 * M_PI);
    const double place = (turn < 0 ? turn + 1 : turn) * (COLOURS - 1);
    const int k = (int)place;
    const uint8_t *a = wheel[k], *b = wheel[(k + 1) % COLOURS];

    for (int c = 0; c < 3; c++) {
        const double hue = a[c] + (place - k) * (b[c] - a[c]);

        rgb[c] = (uint8_t)(size > 1 ? 0.75 * hue : 255 - size * (255 - hue));
    }
}

void pcv_flow_colours(const float *uv, int height, int width, double most,
                      uint8_t *rgb)
{
    const size_t pixels = (size_t)height * (size_t)width;
    uint8_t wheel[COLOURS][3];

    fill_wheel(wheel);
    if (!(most > 0))
        most = largest(uv, pixels);
    if (most == 0)
        most = 1;       /* nothing moves */
    for (size_t i = 0; i < pixels; i++, uv += 2, rgb += 3)
        if (is_known(uv))
            paint(wheel, uv, magnitude(uv) / most, rgb);
        else
            memset(rgb, 0, 3);
}
