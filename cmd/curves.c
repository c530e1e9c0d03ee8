/* curves.c - a training run as text, see curves.h.
 *
 * A panel is a canvas of cells, each of 2 x 4 dots in braille or, in ASCII, of
 * two dots above each other.  The training curve is a line of dots through
 * the means of its columns; what was held out is a mark in its cell, so that
 * the two can be told apart without colours. */
#include "curves.h"
#include "json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL = 8, LEAST_COLUMNS = 20, LEAST_ROWS = 7, MOST_ROWS = 14,
       ROW_NAME = 11, OTHER_LINES = 12, WRAP = 68 };

static const char *const kind_name[] = { "loss", "accuracy" };

typedef struct {
    const show_screen *screen;
    int columns, rows;          /* cells */
    int across, down;           /* dots of a cell */
    unsigned char *dots;        /* columns x rows masks */
    bool *mark;
} canvas;

/* ---- the canvas ------------------------------------------------------ */

static int cells(const show_screen *s)
{
    int n = s->columns - LABEL - 2;

    return n < LEAST_COLUMNS ? LEAST_COLUMNS : n;
}

size_t curves_columns(const show_screen *s)
{
    return (size_t)cells(s) * (s->unicode ? 2 : 1);
}

static void canvas_open(canvas *c, const show_screen *s, int rows,
                        pcv_bytes *b)
{
    size_t n;

    *c = (canvas){ .screen = s, .columns = cells(s), .rows = rows,
                   .across = s->unicode ? 2 : 1, .down = s->unicode ? 4 : 2 };
    n = (size_t)c->columns * (size_t)rows;
    c->dots = calloc(n, sizeof *c->dots);
    c->mark = calloc(n, sizeof *c->mark);
    b->failed |= !c->dots || !c->mark;
}

static void canvas_close(canvas *c)
{
    free(c->dots);
    free(c->mark);
}

static size_t cell_of(const canvas *c, int x, int y)
{
    return (size_t)(y / c->down) * (size_t)c->columns +
           (size_t)(x / c->across);
}

static void dot(canvas *c, int x, int y)
{
    static const unsigned char braille[4][2] = { { 1, 8 }, { 2, 16 },
                                                 { 4, 32 }, { 64, 128 } };
    int u = x % c->across, v = y % c->down;

    unsigned mask = c->screen->unicode ? braille[v][u] : 1u << v;
    unsigned char *cell = &c->dots[cell_of(c, x, y)];

    *cell = (unsigned char)(*cell | mask);
}

/* The row of dots of a value; the axis holds all means. */
static int dot_row(const canvas *c, const axis *a, double v)
{
    int last = c->rows * c->down - 1;
    long y = lround((1 - axis_place(a, v)) * last);

    return y < 0 ? 0 : y > last ? last : (int)y;
}

/* A line without gaps: in each column, from the row before to the row. */
static void line(canvas *c, int x0, int y0, int x1, int y1)
{
    for (int x = x0, before = y0; x <= x1; x++) {
        int y = x1 == x0 ? y1 : y0 + (int)lround((double)(y1 - y0) *
                                                 (x - x0) / (x1 - x0));

        for (int at = before; at != y; at += at < y ? 1 : -1)
            dot(c, x, at);
        dot(c, x, y);
        before = y;
    }
}

static void draw(canvas *c, const history *h, int kind, const axis *a)
{
    int x0 = -1, y0 = 0;

    for (int x = 0; x < (int)h->columns; x++) {
        const history_bin *t = &h->trained[kind][x];
        const history_bin *e = &h->heldout[kind][x];
        int y = t->count ? dot_row(c, a, history_mean(t)) : 0;

        if (t->count) {
            line(c, x0 < 0 ? x : x0, x0 < 0 ? y : y0, x, y);
            x0 = x;
            y0 = y;
        }
        if (e->count)
            c->mark[cell_of(c, x, dot_row(c, a, history_mean(e)))] = true;
    }
}

/* ---- characters ------------------------------------------------------ */

static void add_dots(const show_screen *s, unsigned mask, pcv_bytes *b)
{
    static const char plain[] = " '.:";

    if (!mask || !s->unicode)
        pcv_bytes_add(b, plain + (s->unicode ? 0 : mask), 1);
    else        /* U+2800 and the mask */
        pcv_bytes_printf(b, "\342%c%c", 0xa0 | (int)(mask >> 6),
                         0x80 | (int)(mask & 63));
}

static void add_mark(const show_screen *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "%s%s%s", s->colour ? "\033[33m" : "",
                     s->unicode ? "●" : "o", s->colour ? "\033[0m" : "");
}

static void add_cells(const canvas *c, int row, pcv_bytes *b)
{
    size_t at = (size_t)row * (size_t)c->columns, n = (size_t)c->columns;

    while (n > 0 && !c->dots[at + n - 1] && !c->mark[at + n - 1])
        n--;                    /* no blanks at the end */
    for (size_t i = at; i < at + n; i++)
        if (c->mark[i])
            add_mark(c->screen, b);
        else
            add_dots(c->screen, c->dots[i], b);
}

/* The label of the tick in this row, if there is one, and the axis. */
static void add_left(const canvas *c, const axis *a, int row, pcv_bytes *b)
{
    pcv_bytes label = {0};
    bool unicode = c->screen->unicode;

    for (int i = 0; i < a->ticks && !label.len; i++)
        if (dot_row(c, a, a->tick[i]) / c->down == row)
            axis_label(a, a->tick[i], &label);
    if (label.len)
        pcv_bytes_printf(b, "%*s %s", LABEL, label.data, unicode ? "┤" : "+");
    else
        pcv_bytes_printf(b, "%*s %s", LABEL, "", unicode ? "│" : "|");
    b->failed |= label.failed;
    pcv_bytes_free(&label);
}

static int tick_cell(const canvas *c, const axis *x, int i)
{
    return (int)lround(axis_place(x, x->tick[i]) * (c->columns - 1));
}

static void add_bottom(const canvas *c, const axis *x, pcv_bytes *b)
{
    bool unicode = c->screen->unicode;

    pcv_bytes_printf(b, "%*s %s", LABEL, "", unicode ? "└" : "+");
    for (int k = 0; k < c->columns; k++) {
        bool tick = false;

        for (int i = 0; i < x->ticks; i++)
            tick |= tick_cell(c, x, i) == k;
        pcv_bytes_printf(b, "%s", tick ? unicode ? "┬" : "+"
                                       : unicode ? "─" : "-");
    }
    pcv_bytes_printf(b, "\n");
}

/* The steps under their ticks, as far as they fit. */
static void add_steps(const canvas *c, const axis *x, pcv_bytes *b)
{
    int at = 0;

    pcv_bytes_printf(b, "%*s  ", LABEL, "step");
    for (int i = 0; i < x->ticks; i++) {
        pcv_bytes label = {0};
        int from;

        axis_label(x, x->tick[i], &label);
        from = tick_cell(c, x, i) - (int)label.len / 2;
        if (from + (int)label.len > c->columns)
            from = c->columns - (int)label.len;
        from = from < 0 ? 0 : from;
        if (label.len && from >= at + (at > 0)) {
            pcv_bytes_printf(b, "%*s%s", from - at, "", label.data);
            at = from + (int)label.len;
        }
        b->failed |= label.failed;
        pcv_bytes_free(&label);
    }
    pcv_bytes_printf(b, "\n");
}

/* ---- panels ---------------------------------------------------------- */

static void add_title(const show_screen *s, const history *h, int kind,
                      pcv_bytes *b)
{
    pcv_bytes_printf(b, "%*s  ", LABEL, kind_name[kind]);
    add_dots(s, s->unicode ? 0x24 : 2, b);
    add_dots(s, s->unicode ? 0x1b : 1, b);
    pcv_bytes_printf(b, " training");
    if (h->evaluations) {
        pcv_bytes_printf(b, "   ");
        add_mark(s, b);
        pcv_bytes_printf(b, " held out");
    }
    pcv_bytes_printf(b, "\n");
}

static void panel(const history *h, const show_screen *s, int kind, int rows,
                  const axis *x, pcv_bytes *b)
{
    axis y;
    canvas c;

    axis_of(&y, h, kind, rows / 2);
    canvas_open(&c, s, rows, b);
    if (!b->failed) {
        draw(&c, h, kind, &y);
        add_title(s, h, kind, b);
        for (int row = 0; row < rows; row++) {
            add_left(&c, &y, row, b);
            add_cells(&c, row, b);
            pcv_bytes_printf(b, "\n");
        }
        add_bottom(&c, x, b);
        add_steps(&c, x, b);
    }
    canvas_close(&c);
}

void curves_text(const history *h, const show_screen *s, pcv_bytes *b)
{
    int panels = history_has(h, HISTORY_LOSS) +
                 history_has(h, HISTORY_ACCURACY);
    int rows = (s->lines - OTHER_LINES) / (panels ? panels : 1) - 3;
    axis x;

    rows = rows < LEAST_ROWS ? LEAST_ROWS : rows > MOST_ROWS ? MOST_ROWS : rows;
    axis_upto(&x, h->reached, cells(s) / 10);
    for (int kind = 0; kind < HISTORY_KINDS; kind++)
        if (history_has(h, kind))
            panel(h, s, kind, rows, &x, b);
    if (!panels)
        pcv_bytes_printf(b, "(no steps yet)\n");
}

/* ---- facts ----------------------------------------------------------- */

static void row(pcv_bytes *b, const char *name)
{
    pcv_bytes_printf(b, "%-*s", ROW_NAME, name);
}

/* A count; "?" where the log does not have it. */
static void add_count(pcv_bytes *b, double v)
{
    if (v >= 0 && v < 0x1p53)
        look_thousands(b, (size_t)v);
    else
        pcv_bytes_printf(b, "?");
}

static void add_score(pcv_bytes *b, const history_score *s)
{
    if (isfinite(s->loss))
        pcv_bytes_printf(b, fabs(s->loss) < 1e5 ? "loss %.4f" : "loss %.4g",
                         s->loss);
    else
        pcv_bytes_printf(b, "loss not finite");
    if (isfinite(s->accuracy))
        pcv_bytes_printf(b, ", accuracy %.2f %%", 100 * s->accuracy);
}

static void score_row(pcv_bytes *b, const char *name, const history_score *s)
{
    if (isnan(s->step))
        return;
    row(b, name);
    add_score(b, s);
    pcv_bytes_printf(b, " at step ");
    add_count(b, s->step);
    if (isfinite(s->epoch))
        pcv_bytes_printf(b, ", epoch %.2f", s->epoch);
    pcv_bytes_printf(b, "\n");
}

static void add_steps_done(const history *h, pcv_bytes *b)
{
    double epoch = isfinite(h->last.epoch) ? h->last.epoch : 0;

    add_count(b, h->reached);
    if (h->steps >= 0) {
        pcv_bytes_printf(b, " of ");
        add_count(b, h->steps);
    }
    pcv_bytes_printf(b, " steps");
    if (epoch > 0)
        pcv_bytes_printf(b, ", %.4g", epoch);
    if (epoch > 0 && h->steps > 0)
        pcv_bytes_printf(b, " of %.4g", epoch * h->steps / h->last.step);
    if (epoch > 0)
        pcv_bytes_printf(b, " epochs");
}

static const char *end_of(const history *h)
{
    return !h->why ? "none yet: the run goes on, or was killed"
           : !strcmp(h->why, "done") ? "done"
           : !strcmp(h->why, "asked to")
               ? "stopped as it was asked to (--resume goes on)" : h->why;
}

/* As many on a line as fit, the next lines below the first. */
static void settings_rows(const history *h, pcv_bytes *b)
{
    size_t used = 0;

    if (!h->settings || !*h->settings)
        return;
    row(b, "settings");
    for (const char *s = h->settings; *s; s += strcspn(s, "\n") + 1) {
        size_t n = strcspn(s, "\n");
        char *one = strndup(s, n);

        if (used && used + n > WRAP) {
            pcv_bytes_printf(b, "\n%*s", ROW_NAME, "");
            used = 0;
        }
        pcv_bytes_printf(b, "%s", used ? " " : "");
        b->failed |= !one;
        if (one)
            pcv_bytes_escape(b, one);
        free(one);
        used += n + 1;
    }
    pcv_bytes_printf(b, "\n");
}

void curves_facts(const history *h, pcv_bytes *b)
{
    row(b, "log");
    pcv_bytes_escape(b, h->path);
    pcv_bytes_printf(b, "\n");
    row(b, "run");
    add_steps_done(h, b);
    pcv_bytes_printf(b, h->resumed ? ", resumed %zu time%s\n" : "\n",
                     h->resumed, h->resumed == 1 ? "" : "s");
    row(b, "data");
    add_count(b, h->train);
    pcv_bytes_printf(b, " examples, ");
    add_count(b, h->held);
    pcv_bytes_printf(b, " held out\n");
    score_row(b, "training", &h->last);
    score_row(b, "held out", &h->evaluated);
    score_row(b, "best", &h->best);
    if (isfinite(h->speed)) {
        row(b, "speed");
        pcv_bytes_printf(b, "%.4g examples/s\n", h->speed);
    }
    row(b, "end");
    pcv_bytes_escape(b, end_of(h));
    pcv_bytes_printf(b, "\n");
    settings_rows(h, b);
    if (h->bad) {
        row(b, "damaged");
        pcv_bytes_printf(b, "%zu of %zu lines are no events of pcv-train\n",
                         h->bad, h->lines);
    }
}

void curves_line(const history *h, pcv_bytes *b)
{
    row(b, "run");
    add_steps_done(h, b);
    if (h->evaluations) {
        pcv_bytes_printf(b, ", best held out: ");
        add_score(b, &h->best);
    }
    pcv_bytes_printf(b, " (--curves)\n");
}

/* ---- JSON ------------------------------------------------------------ */

static void score_json(const char *key, const history_score *s, pcv_bytes *b)
{
    json_open(b, key, '{');
    json_number(b, "step", s->step);
    json_number(b, "epoch", s->epoch);
    json_number(b, "loss", s->loss);
    json_number(b, "accuracy", s->accuracy);
    json_close(b, '}');
}

static void bin_json(const char *key, const history_bin *bin, pcv_bytes *b)
{
    if (!bin->count)
        return;
    json_open(b, key, '{');
    json_number(b, "min", bin->min);
    json_number(b, "mean", history_mean(bin));
    json_number(b, "max", bin->max);
    json_close(b, '}');
}

/* Columns that hold something; `step` is where one ends. */
static void bins_json(const char *key, const history *h,
                      history_bin *const *bins, pcv_bytes *b)
{
    json_open(b, key, '[');
    for (size_t i = 0; i < h->columns; i++) {
        if (!bins[HISTORY_LOSS][i].count && !bins[HISTORY_ACCURACY][i].count)
            continue;
        json_open(b, NULL, '{');
        json_number(b, "step", h->reached * (double)(i + 1) /
                                   (double)h->columns);
        for (int k = 0; k < HISTORY_KINDS; k++)
            bin_json(kind_name[k], &bins[k][i], b);
        json_close(b, '}');
    }
    json_close(b, ']');
}

static void settings_json(const history *h, pcv_bytes *b)
{
    char *copy = strdup(h->settings), *rest = copy, *name, *value;

    b->failed |= !copy;
    json_open(b, "settings", '{');
    while (copy && (name = strsep(&rest, "\n")) != NULL && *name) {
        value = strchr(name, '=');
        *value++ = '\0';
        json_guess(b, name, value);
    }
    json_close(b, '}');
    free(copy);
}

void curves_json(const history *h, pcv_bytes *b)
{
    json_open(b, "run", '{');
    json_path(b, "log", h->path);
    json_count(b, "lines", h->lines);
    json_count(b, "damaged", h->bad);
    json_count(b, "resumed", h->resumed);
    json_number(b, "reached", h->reached);
    json_number(b, "steps", h->steps);
    json_number(b, "parameters", h->parameters);
    json_number(b, "train", h->train);
    json_number(b, "held_out", h->held);
    score_json("last", &h->last, b);
    json_count(b, "evaluations", h->evaluations);
    score_json("evaluated", &h->evaluated, b);
    score_json("best", &h->best, b);
    json_number(b, "items_per_s", h->speed);
    if (h->why)
        json_text(b, "end", h->why);
    else
        json_number(b, "end", (double)NAN);             /* null */
    if (h->settings)
        settings_json(h, b);
    if (h->columns) {
        json_open(b, "curves", '{');
        bins_json("training", h, h->trained, b);
        bins_json("held_out", h, h->heldout, b);
        json_close(b, '}');
    }
    json_close(b, '}');
}
