/* show.c - a matrix as a heat map: blue below zero, white at it, red above.
 *
 * A vector is one row; of more than two axes the first makes the rows and the
 * others the columns.  The ends of the scale are the largest magnitude, but
 * at most three times the root mean square: one outlier must not whiten all
 * the rest.  On a terminal a cell is the mean of the elements it covers. */
#include "look.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    const float *data;          /* rows x columns */
    size_t rows, columns;
    double scale;               /* of the darkest blue and red */
} map;

typedef struct {
    unsigned char c[3];
} colour;

/* ---- the matrix ------------------------------------------------------ */

static double scale_of(const float *x, size_t n)
{
    double most = 0, sum = 0, limit;
    size_t count = 0;

    for (size_t i = 0; i < n; i++)
        if (isfinite(x[i])) {
            most = fmax(most, fabs((double)x[i]));
            sum += (double)x[i] * (double)x[i];
            count++;
        }
    limit = count ? 3 * sqrt(sum / (double)count) : 0;
    most = most < limit ? most : limit;
    return most > 0 ? most : 1;
}

static map map_of(const pcv_values *v)
{
    map m = { .data = v->data, .rows = 1, .columns = v->count };

    if (v->rank > 1 && v->count) {
        m.rows = v->dim[0];
        m.columns = v->count / m.rows;
    }
    m.scale = scale_of(v->data, v->count);
    return m;
}

/* Mean over rows [r0, r1) and columns [c0, c1), as a share of the scale in
 * [-1, 1]; NaN when there is one among them. */
static double cell(const map *m, size_t r0, size_t r1, size_t c0, size_t c1)
{
    double sum = 0, v;

    for (size_t r = r0; r < r1; r++)
        for (size_t c = c0; c < c1; c++)
            sum += (double)m->data[r * m->columns + c];
    v = sum / (double)((r1 - r0) * (c1 - c0)) / m->scale;
    return v < -1 ? -1 : v > 1 ? 1 : v;
}

/* v in [-1, 1]; NaN is green, which nothing else is. */
static colour paint(double v)
{
    unsigned char fade = (unsigned char)lround(255 * (1 - fabs(v)));
    colour blue = {{ fade, fade, 255 }}, red = {{ 255, fade, fade }};
    colour green = {{ 0, 200, 0 }};

    return isnan(v) ? green : v < 0 ? blue : red;
}

/* ---- a terminal ------------------------------------------------------ */

/* Elements per cell so that n of them fit into `room` cells. */
static size_t stride(size_t n, int room)
{
    size_t cells = room > 0 ? (size_t)room : 1;

    return n ? (n + cells - 1) / cells : 1;
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* The cell of cell row i, column j, `down` x `right` elements wide. */
static double cell_at(const map *m, size_t i, size_t j, size_t down,
                      size_t right)
{
    return cell(m, i * down, least((i + 1) * down, m->rows), j * right,
                least((j + 1) * right, m->columns));
}

/* The nearest of the 6 x 6 x 6 colours that every terminal has. */
static int cube(colour c)
{
    int index = 16;

    for (int k = 0, weight = 36; k < 3; k++, weight /= 6)
        index += weight * (c.c[k] < 48 ? 0 : c.c[k] < 115 ? 1
                                           : (c.c[k] - 35) / 40);
    return index;
}

/* Two cells, one above the other: the upper half block is the upper one, its
 * background the lower. */
static void colour_line(const map *m, size_t i, size_t down, size_t right,
                        pcv_bytes *b)
{
    for (size_t j = 0; j * right < m->columns; j++) {
        double upper = cell_at(m, i, j, down, right);

        pcv_bytes_printf(b, "\033[38;5;%dm", cube(paint(upper)));
        if ((i + 1) * down < m->rows)
            pcv_bytes_printf(b, "\033[48;5;%dm",
                             cube(paint(cell_at(m, i + 1, j, down, right))));
        pcv_bytes_printf(b, "▀");
    }
    pcv_bytes_printf(b, "\033[0m\n");
}

static void grey_line(const map *m, size_t i, size_t down, size_t right,
                      bool unicode, pcv_bytes *b)
{
    static const char *const shade[] = { " ", "░", "▒", "▓", "█" };
    static const char ramp[] = " .:-=+*#%@";

    for (size_t j = 0; j * right < m->columns; j++) {
        double v = cell_at(m, i, j, down, right);

        if (isnan(v))
            pcv_bytes_printf(b, "?");
        else if (unicode)
            pcv_bytes_printf(b, "%s", shade[lround((v + 1) / 2 * 4)]);
        else
            pcv_bytes_add(b, ramp + lround((v + 1) / 2 * 9), 1);
    }
    pcv_bytes_printf(b, "\n");
}

void show_terminal(const pcv_values *v, const show_screen *s, pcv_bytes *b)
{
    map m = map_of(v);
    bool halves = s->colour && s->unicode;
    size_t down = stride(m.rows, s->lines * (halves ? 2 : 1));
    size_t right = stride(m.columns, s->columns);

    for (size_t i = 0; i * down < m.rows; i += halves ? 2 : 1)
        if (halves)
            colour_line(&m, i, down, right, b);
        else
            grey_line(&m, i, down, right, s->unicode, b);
    pcv_bytes_printf(b, "%zu x %zu, %s -%.3g to %.3g", m.rows, m.columns,
                     halves ? "blue to red" : "blank to full", m.scale,
                     m.scale);
    if (down * right > 1)
        pcv_bytes_printf(b, ", a cell is the mean of %zu x %zu", down, right);
    pcv_bytes_printf(b, "\n");
}

/* ---- a picture ------------------------------------------------------- */

unsigned char *show_png(const pcv_values *v, size_t *bytes)
{
    map m = map_of(v);
    unsigned char *pixels = calloc(v->count ? v->count : 1, 3), *png;

    if (!pixels)
        return NULL;
    for (size_t i = 0; i < v->count; i++) {
        size_t r = i / m.columns, c = i % m.columns;
        colour p = paint(cell(&m, r, r + 1, c, c + 1));

        for (int k = 0; k < 3; k++)
            pixels[3 * i + (size_t)k] = p.c[k];
    }
    png = pcv_png(pixels, (int)m.rows, (int)m.columns, 3, bytes);
    free(pixels);
    return png;
}
