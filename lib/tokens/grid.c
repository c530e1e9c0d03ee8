/* grid.c - elements of a grid with Fourier positions or none: rows
 * [content | position features], never stored.
 *
 * Content is kept planar (content.c), one table of features per axis is made
 * once for a grid, and the segment says so to attend, which then takes the
 * structured form.  tile() serves the other forms.  One axis of more than
 * PCV_LONG elements (sound) has no table, which would have a row for each of
 * them: its features are made tile by tile, and there is no segment. */
#include "tokens.h"

#include <string.h>

/* ---- positions ------------------------------------------------------- */

static int columns(const pcv_stem_spec *s)
{
    return s->position == PCV_POS_NONE ? 0 : 2 * s->bands + 1;
}

static double max_res(const pcv_batch *b, int a)
{
    double m = b->stem->spec.max_res[a];

    return m > 0 ? m : b->len[a];
}

/* Where column `col` of axis a of d stands behind the content. */
static int channel_of(const pcv_stem_spec *s, int d, int a, int col)
{
    if (s->order == PCV_ORDER_PUBLISHED)
        return pcv_fourier_channel(d, s->bands, a, col);
    return a * columns(s) + (col ? col - 1 : 2 * s->bands);
}

/* The feature table of axis a, made again only when the length changes. */
static int make_axis(pcv_batch *b, int a)
{
    const pcv_stem_spec *s = &b->stem->spec;
    int n = b->len[a], cols = columns(s);
    double *x;

    if (b->made[a] == n)
        return 0;
    pcv_free(b->axis[a]);
    pcv_free(b->channel[a]);
    b->made[a] = 0;
    b->axis[a] = pcv_alloc((size_t)n * (size_t)cols, sizeof(real));
    b->channel[a] = pcv_alloc((size_t)cols, sizeof(int));
    x = pcv_alloc((size_t)n, sizeof *x);
    if (!b->axis[a] || !b->channel[a] || !x) {
        pcv_free(x);
        return -1;
    }
    for (int i = 0; i < n; i++)
        x[i] = pcv_grid_position(i, n);
    if (cols)
        pcv_fourier_axis(s->position, s->bands, max_res(b, a), x, n,
                         b->axis[a]);
    for (int k = 0; k < cols; k++)
        b->channel[a][k] = b->stem->made->channels(s) +
                           channel_of(s, b->axes, a, k);
    pcv_free(x);
    b->made[a] = n;
    return 0;
}

/* ---- rows ------------------------------------------------------------ */

/* Content of elements at .. at+n into the first channels of rows. */
static void put_content(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    size_t c = (size_t)b->stem->made->channels(&b->stem->spec);
    size_t m = (size_t)t->n, row = (size_t)t->c;
    const real *x = b->content + (size_t)item * m * c + (size_t)at;

    for (size_t k = 0; k < c; k++, x += m)
        for (size_t j = 0; j < (size_t)n; j++)
            out[j * row + k] = x[j];
}

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    const pcv_segment *s = &b->segment;

    put_content(t, item, at, n, out);
    for (int j = at; j < at + n; j++, out += t->c) {
        int rest = j;

        for (int a = s->axes - 1; a >= 0; rest /= s->len[a], a--) {
            const real *row = s->table[a] +
                              (size_t)(rest % s->len[a]) * (size_t)s->cols[a];

            for (int k = 0; k < s->cols[a]; k++)
                out[s->channel[a][k]] = row[k];
        }
    }
}

/* ---- one long axis --------------------------------------------------- */

static bool is_long(const pcv_batch *b)
{
    return b->store || (b->axes == 1 && b->len[0] > PCV_LONG &&
                        b->stem->spec.position != PCV_POS_NONE);
}

/* Content of elements at .. at+n, c samples of each, from a file. */
static void put_stored(const pcv_tokens *t, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    size_t c = (size_t)b->stem->made->channels(&b->stem->spec);
    size_t count = (size_t)n * c, channel = 0;
    float block[1024];

    for (size_t i = 0; i < count; i += PCV_LEN(block)) {
        size_t k = count - i < PCV_LEN(block) ? count - i : PCV_LEN(block);

        pcv_store_floats(b->store, (size_t)at * c + i, k, block);
        for (size_t e = 0; e < k; e++) {
            out[channel++] = (real)block[e];
            if (channel == c) {
                channel = 0;
                out += t->c;
            }
        }
    }
}

static void tile_line(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    const pcv_stem_spec *s = &b->stem->spec;

    if (b->store)
        put_stored(t, at, n, out);
    else
        put_content(t, item, at, n, out);
    if (s->position == PCV_POS_NONE)
        return;
    out += b->stem->made->channels(s);
    pcv_line_rows(&b->line, at, n, out + channel_of(s, 1, 0, 0),
                  out + channel_of(s, 1, 0, 1),
                  out + channel_of(s, 1, 0, 1 + s->bands), t->c);
}

static int bind_line(pcv_batch *b)
{
    const pcv_stem_spec *s = &b->stem->spec;

    if (s->position != PCV_POS_NONE && b->line.n != b->len[0]) {
        pcv_free(b->turn);
        b->turn = pcv_alloc((size_t)PCV_LINE * (size_t)s->bands,
                            2 * sizeof *b->turn);
        b->line = (pcv_line){ s->position, s->bands, b->turn ? b->len[0] : 0,
                              max_res(b, 0), b->turn };
        if (!b->turn)
            return -1;
        pcv_line_turns(&b->line, b->turn);
    }
    b->tokens.tile = tile_line;
    b->tokens.segments = 0;
    return 0;
}

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    pcv_segment *s = &b->segment;
    const pcv_stem_spec *spec = &b->stem->spec;

    if (pcv_content_fill(b, x, items) < 0)
        return -1;
    if (is_long(b))
        return bind_line(b);
    *s = (pcv_segment){ .axes = b->axes, .c = b->stem->made->channels(spec),
                        .content = b->content, .plane = (size_t)b->tokens.n };
    s->item_stride = s->plane * (size_t)s->c;
    for (int a = 0; a < b->axes; a++) {
        if (make_axis(b, a) < 0)
            return -1;
        s->len[a] = b->len[a];
        s->cols[a] = columns(spec);
        s->table[a] = b->axis[a];
        s->channel[a] = b->channel[a];
    }
    b->tokens.tile = tile;
    b->tokens.segment = s;
    b->tokens.segments = 1;
    return 0;
}

static bool serves(const pcv_stem_spec *s)
{
    return s->position != PCV_POS_LEARNED && pcv_content_find(s) &&
           (s->project == 0 || s->modality == PCV_FLOW);
}

static int init(pcv_stem *s, pcv_params *p)
{
    s->made = pcv_content_find(&s->spec);
    s->c = s->made->channels(&s->spec) + s->made->axes * columns(&s->spec);
    return s->made->init ? s->made->init(s, p) : 0;
}

const pcv_stem_kind pcv_stem_grid = { "grid", serves, init, bind };
