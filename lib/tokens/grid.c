/* grid.c - pixels, sound in patches and rows of an array, with Fourier
 * positions or none: rows [content | position features], never stored.
 *
 * Content is kept planar (channel, then element), one table of features per
 * axis is made once for a grid, and the segment says so to attend, which then
 * takes the structured form.  tile() serves the other forms. */
#include "tokens.h"

#include <string.h>

/* ---- content --------------------------------------------------------- */

int pcv_grid_content(const pcv_stem_spec *s)
{
    return s->modality == PCV_SOUND ? s->patch : s->channels;
}

static int shape_fail(const pcv_array *x, const char *want)
{
    pcv_buf b = {0};
    int r;

    for (int i = 0; i < x->rank; i++)
        pcv_buf_printf(&b, "%s%zu", i ? "x" : "", x->dim[i]);
    r = pcv_fail(EX_DATAERR, "an input of shape [%s], want %s",
                 b.data ? b.data : "", want);
    pcv_buf_free(&b);
    return r;
}

int pcv_grid_shape(const pcv_stem_spec *s, const pcv_array *x, int *axes,
                   int len[3])
{
    size_t most = 1 << 30;

    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] == 0 || x->dim[i] > most)
            return shape_fail(x, "at least one element and at most 2^30");
    *axes = 1;
    if (s->modality == PCV_SOUND) {
        if (x->rank != 1)
            return shape_fail(x, "[samples]");
        len[0] = (int)((x->dim[0] + (size_t)s->patch - 1) / (size_t)s->patch);
    } else if (s->modality == PCV_IMAGE) {
        if (x->rank != 3 || x->dim[0] != (size_t)s->channels)
            return shape_fail(x, "[channels, height, width] of the model");
        *axes = 2;
        len[0] = (int)x->dim[1];
        len[1] = (int)x->dim[2];
    } else {
        if (x->rank != 2 || x->dim[1] != (size_t)s->channels)
            return shape_fail(x, "[rows, channels] of the model");
        len[0] = (int)x->dim[0];
    }
    return 0;
}

/* One input into its planes: element j, channel k at k * m + j. */
static void fill_item(const pcv_stem_spec *s, const pcv_array *x, size_t m,
                      real *out)
{
    const float *in = x->data;
    size_t c = (size_t)pcv_grid_content(s), n = pcv_array_count(x);

    if (s->modality == PCV_IMAGE) {
        for (size_t i = 0; i < n; i++)
            out[i] = (real)in[i];
        return;
    }
    for (size_t k = 0; k < c; k++)      /* rows of c, the last one padded */
        for (size_t j = 0; j < m; j++)
            out[k * m + j] = j * c + k < n ? (real)in[j * c + k] : 0;
}

static int same_grid(const pcv_batch *b, int axes, const int *len)
{
    return axes == b->axes && len[0] == b->len[0] &&
           (axes < 2 || len[1] == b->len[1]);
}

int pcv_grid_fill(pcv_batch *b, const pcv_array *const *x, int items)
{
    const pcv_stem_spec *s = &b->stem->spec;
    size_t m, need, c = (size_t)pcv_grid_content(s);
    int axes, len[3] = { 1, 1, 1 };

    if (pcv_grid_shape(s, x[0], &b->axes, b->len) < 0)
        return -1;
    m = (size_t)b->len[0] * (size_t)(b->axes > 1 ? b->len[1] : 1);
    if (!pcv_mul(m, c, &need) || !pcv_mul(need, (size_t)items, &need))
        return pcv_fail(EX_OSERR, "an input too large for this machine");
    if (need > b->content_cap) {
        pcv_free(b->content);
        b->content_cap = 0;
        if (!(b->content = pcv_alloc(need, sizeof(real))))
            return -1;
        b->content_cap = need;
    }
    for (int i = 0; i < items; i++) {
        if (pcv_grid_shape(s, x[i], &axes, len) < 0)
            return -1;
        if (!same_grid(b, axes, len))
            return pcv_fail(EX_DATAERR, "inputs of a batch differ in size");
        fill_item(s, x[i], m, b->content + (size_t)i * m * c);
    }
    b->tokens.n = (int)m;
    b->tokens.mask = NULL;
    return 0;
}

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
        b->channel[a][k] = pcv_grid_content(s) +
                           pcv_fourier_channel(b->axes, s->bands, a, k);
    pcv_free(x);
    b->made[a] = n;
    return 0;
}

static int axes_of(const pcv_stem_spec *s)
{
    return s->modality == PCV_IMAGE ? 2 : 1;
}

/* ---- rows ------------------------------------------------------------ */

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    const pcv_batch *b = t->self;
    const pcv_segment *s = &b->segment;
    const real *x = s->content + (size_t)item * s->item_stride;

    for (int j = at; j < at + n; j++, out += t->c) {
        int rest = j;

        for (int k = 0; k < s->c; k++)
            out[k] = x[(size_t)k * s->plane + (size_t)j];
        for (int a = s->axes - 1; a >= 0; rest /= s->len[a], a--) {
            const real *row = s->table[a] +
                              (size_t)(rest % s->len[a]) * (size_t)s->cols[a];

            for (int k = 0; k < s->cols[a]; k++)
                out[s->channel[a][k]] = row[k];
        }
    }
}

static int bind(pcv_batch *b, const pcv_array *const *x, int items)
{
    pcv_segment *s = &b->segment;
    const pcv_stem_spec *spec = &b->stem->spec;

    if (pcv_grid_fill(b, x, items) < 0)
        return -1;
    *s = (pcv_segment){ .axes = b->axes, .c = pcv_grid_content(spec),
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
    return s->position != PCV_POS_LEARNED && s->project == 0 &&
           (s->modality == PCV_IMAGE || s->modality == PCV_SOUND ||
            s->modality == PCV_PLAIN);
}

static int init(pcv_stem *s, pcv_params *p)
{
    (void)p;
    s->c = pcv_grid_content(&s->spec) + axes_of(&s->spec) * columns(&s->spec);
    return 0;
}

const pcv_stem_kind pcv_stem_grid = { "grid", serves, init, bind };
