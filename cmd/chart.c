/* chart.c - a training run as a picture, see curves.h.
 *
 * Everything is drawn FINE times as large in each direction and then averaged,
 * which smooths the lines; letters are whole pixels and stay sharp. */
#include "curves.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FINE = 3, LEFT = 80, RIGHT = CHART_WIDTH - CHART_COLUMNS - LEFT,
       TOP = 34, BOTTOM = 50, BETWEEN = 40, LETTER = 2,
       STRIDE = (FONT_WIDTH + 1) * LETTER };

typedef struct {
    unsigned char c[3];
} colour;

static const colour white = {{ 255, 255, 255 }}, black = {{ 40, 40, 40 }},
                    grid = {{ 225, 225, 225 }}, blue = {{ 31, 119, 180 }},
                    pale = {{ 199, 222, 240 }}, orange = {{ 230, 85, 13 }};

typedef struct {
    unsigned char *pixels;      /* FINE CHART_HEIGHT x FINE CHART_WIDTH x 3 */
} sheet;

/* The place of a panel, in pixels of the picture. */
typedef struct {
    const history *h;
    int kind, top, bottom;
    axis x, y;
} panel;

/* ---- drawing --------------------------------------------------------- */

static int within(double v, int most)
{
    return v < 0 ? 0 : v > most ? most : (int)lround(v);
}

/* Ends are in pixels of the picture, and may be parts of one. */
static void box(sheet *s, double left, double top, double right,
                double bottom, colour c)
{
    int x0 = within(left * FINE, CHART_WIDTH * FINE);
    int x1 = within(right * FINE, CHART_WIDTH * FINE);
    int y0 = within(top * FINE, CHART_HEIGHT * FINE);
    int y1 = within(bottom * FINE, CHART_HEIGHT * FINE);

    for (int y = y0; y < y1; y++)
        for (int x = x0; x < x1; x++)
            memcpy(s->pixels + 3 * ((size_t)y * CHART_WIDTH * FINE +
                                    (size_t)x), c.c, 3);
}

static void blob(sheet *s, double x, double y, double radius, colour c)
{
    for (double dy = -radius; dy < radius; dy += 1.0 / FINE) {
        double half = sqrt(radius * radius - dy * dy);

        box(s, x - half, y + dy, x + half, y + dy + 1.0 / FINE, c);
    }
}

static void line(sheet *s, double x0, double y0, double x1, double y1,
                 colour c)
{
    int n = 1 + (int)(2 * FINE * fmax(fabs(x1 - x0), fabs(y1 - y0)));

    for (int i = 0; i <= n; i++)
        blob(s, x0 + (x1 - x0) * i / n, y0 + (y1 - y0) * i / n, 0.9, c);
}

static void letters(sheet *s, double left, double top, const char *text)
{
    for (; *text; text++, left += STRIDE)
        for (int y = 0; y < FONT_HEIGHT + 1; y++)
            for (int x = 0; x < FONT_WIDTH; x++)
                if (font_pixel(*text, x, y))
                    box(s, left + x * LETTER, top + y * LETTER,
                        left + (x + 1) * LETTER, top + (y + 1) * LETTER,
                        black);
}

static double width_of(const char *text)
{
    return (double)strlen(text) * STRIDE - LETTER;
}

/* ---- axes ------------------------------------------------------------ */

static double at_x(const panel *p, double step)
{
    return LEFT + axis_place(&p->x, step) * CHART_COLUMNS;
}

static double at_y(const panel *p, double v)
{
    double place = axis_place(&p->y, v);

    place = place < 0 ? 0 : place > 1 ? 1 : place;
    return p->bottom - place * (p->bottom - p->top);
}

static void label(sheet *s, const axis *a, double v, double x, double y,
                  double share)
{
    pcv_bytes b = {0};

    axis_label(a, v, &b);
    if (!b.failed)
        letters(s, x - share * width_of(b.data), y, b.data);
    pcv_bytes_free(&b);
}

static void axes(sheet *s, const panel *p)
{
    double middle = FONT_HEIGHT * LETTER / 2.0;

    for (int i = 0; i < p->y.ticks; i++) {
        double y = at_y(p, p->y.tick[i]);

        box(s, LEFT, y, LEFT + CHART_COLUMNS, y + 1, grid);
        box(s, LEFT - 6, y, LEFT, y + 1, black);
        label(s, &p->y, p->y.tick[i], LEFT - 10, y - middle, 1);
    }
    for (int i = 0; i < p->x.ticks; i++) {
        double x = at_x(p, p->x.tick[i]);

        box(s, x, p->top, x + 1, p->bottom, grid);
        box(s, x, p->bottom, x + 1, p->bottom + 6, black);
        label(s, &p->x, p->x.tick[i], x, p->bottom + 10,
              i + 1 < p->x.ticks ? 0.5 : 0.75);
    }
    box(s, LEFT - 1, p->top, LEFT, p->bottom + 1, black);
    box(s, LEFT - 1, p->bottom, LEFT + CHART_COLUMNS, p->bottom + 1, black);
}

/* ---- curves ---------------------------------------------------------- */

static void band(sheet *s, const panel *p, const history_bin *bins)
{
    for (size_t i = 0; i < p->h->columns; i++)
        if (bins[i].count)
            box(s, LEFT + (double)i, at_y(p, bins[i].max), LEFT + (double)i + 1,
                at_y(p, bins[i].min), pale);
}

/* Through the means; a blob at each where they stand far enough apart. */
static void curve(sheet *s, const panel *p, const history_bin *bins,
                  bool blobs, colour c)
{
    double x0 = 0, y0 = 0;
    bool first = true;

    for (size_t i = 0; i < p->h->columns; i++) {
        double x = LEFT + (double)i + 0.5, y;

        if (!bins[i].count)
            continue;
        y = at_y(p, history_mean(&bins[i]));
        line(s, first ? x : x0, first ? y : y0, x, y, c);
        if (blobs)
            blob(s, x, y, 3.5, c);
        first = false;
        x0 = x;
        y0 = y;
    }
}

static double key(sheet *s, double right, int top, const char *text, colour c)
{
    double left = right - width_of(text);

    letters(s, left, top, text);
    box(s, left - 30, top + 6, left - 8, top + 9, c);
    return left - 50;
}

static void draw(sheet *s, const panel *p, const char *title)
{
    const history *h = p->h;
    int text = p->top - FONT_HEIGHT * LETTER - 8;
    double right = LEFT + CHART_COLUMNS;

    axes(s, p);
    band(s, p, h->trained[p->kind]);
    curve(s, p, h->trained[p->kind], false, blue);
    curve(s, p, h->heldout[p->kind], h->evaluations <= CHART_COLUMNS / 10,
          orange);
    letters(s, LEFT, text, title);
    if (h->evaluations)
        right = key(s, right, text, "held out", orange);
    key(s, right, text, "training", blue);
}

static void draw_all(sheet *s, const history *h)
{
    static const char *const title[] = { "loss", "accuracy" };
    int panels = history_has(h, HISTORY_LOSS) +
                 history_has(h, HISTORY_ACCURACY);
    int top = TOP, room = CHART_HEIGHT - TOP - BOTTOM;
    int height = (room - (panels - 1) * (BETWEEN + 20)) / (panels ? panels : 1);

    for (int kind = 0; kind < HISTORY_KINDS; kind++) {
        panel p = { .h = h, .kind = kind, .top = top,
                    .bottom = top + height };

        if (!history_has(h, kind))
            continue;
        axis_of(&p.y, h, kind, height / 28);
        axis_upto(&p.x, h->reached, 8);
        draw(s, &p, title[kind]);
        top += height + BETWEEN + 20;
    }
    letters(s, LEFT + (CHART_COLUMNS - width_of("step")) / 2,
            CHART_HEIGHT - FONT_HEIGHT * LETTER - 6, "step");
}

/* ---- the file -------------------------------------------------------- */

static void shrink(const sheet *s, unsigned char *out)
{
    for (size_t y = 0; y < CHART_HEIGHT; y++)
        for (size_t x = 0; x < CHART_WIDTH; x++)
            for (size_t k = 0; k < 3; k++) {
                unsigned sum = 0;

                for (size_t i = 0; i < FINE * FINE; i++)
                    sum += s->pixels[3 * ((y * FINE + i / FINE) * CHART_WIDTH *
                                              FINE + x * FINE + i % FINE) + k];
                out[3 * (y * CHART_WIDTH + x) + k] =
                    (unsigned char)((sum + FINE * FINE / 2) / (FINE * FINE));
            }
}

unsigned char *chart_png(const history *h, size_t *bytes)
{
    size_t n = (size_t)CHART_WIDTH * CHART_HEIGHT * 3;
    sheet s = { malloc(n * FINE * FINE) };
    unsigned char *out = malloc(n), *png = NULL;

    if (s.pixels && out) {
        box(&s, 0, 0, CHART_WIDTH, CHART_HEIGHT, white);
        draw_all(&s, h);
        shrink(&s, out);
        png = pcv_png(out, CHART_HEIGHT, CHART_WIDTH, 3, bytes);
    }
    free(s.pixels);
    free(out);
    return png;
}
