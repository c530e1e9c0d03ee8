/* help.c - random numbers, a measure of error, sources made by hand. */
#include "help.h"

#include <math.h>
#include <string.h>

void help_fill(uint64_t stream, real *x, size_t n, double mean, double std)
{
    for (size_t i = 0; i < n; i++)
        x[i] = (real)(mean + std * pcv_normal(7, stream, i));
}

real *help_normal(uint64_t stream, size_t n, double std)
{
    real *x = pcv_alloc(n, sizeof *x);

    assert_non_null(x);
    help_fill(stream, x, n, 0, std);
    return x;
}

int help_int(uint64_t stream, uint64_t index, int low, int high)
{
    uint64_t span = (uint64_t)(high - low + 1);

    return low + (int)(pcv_random(11, stream, index) % span);
}

double help_size(const real *a, size_t n)
{
    double sum = 0;

    for (size_t i = 0; i < n; i++)
        sum += (double)a[i] * (double)a[i];
    return sqrt(sum);
}

double help_error(const real *a, const real *b, size_t n, double floor)
{
    double up = 0, down = help_size(b, n) + floor;

    for (size_t i = 0; i < n; i++)
        up += ((double)a[i] - (double)b[i]) * ((double)a[i] - (double)b[i]);
    if (isnan(up) || isnan(down))
        return (double)INFINITY;
    return down > 0 ? sqrt(up) / down : sqrt(up);
}

void help_below(double have, double tol, const char *what, int which)
{
    if (!(have <= tol))
        fail_msg("%s (case %d): error %.3g, want at most %.3g", what, which,
                 have, tol);
}

/* ---- sources --------------------------------------------------------- */

static int elements(const pcv_segment *s)
{
    int n = 1;

    for (int a = 0; a < s->axes; a++)
        n *= s->len[a];
    return n;
}

/* Row j of segment s of an item: content, axes, constant. */
static void row(const pcv_segment *s, int c, int item, int j, real *out)
{
    const real *x = s->content + (size_t)item * s->item_stride;

    for (int k = 0; k < c; k++)
        out[k] = 0;
    for (int k = 0; k < s->c; k++)
        out[k] = x[(size_t)k * s->plane + (size_t)j];
    for (int k = 0; s->k && k < s->k_n; k++)
        out[s->k_at + k] = s->k[k];
    for (int a = s->axes - 1; a >= 0; j /= s->len[a], a--)
        for (int k = 0; k < s->cols[a]; k++)
            out[s->channel[a][k]] = s->table[a][j % s->len[a] * s->cols[a] + k];
}

/* The segment that holds row *j; *j becomes the place within it. */
static const pcv_segment *find(const pcv_tokens *t, int *j)
{
    const pcv_segment *s = t->segment;

    for (; *j >= elements(s); s++)
        *j -= elements(s);
    return s;
}

static void tile(const pcv_tokens *t, int item, int at, int n, real *out)
{
    for (int i = at; i < at + n; i++, out += t->c) {
        int j = i;
        const pcv_segment *s = find(t, &j);

        row(s, t->c, item, j, out);
    }
}

static void tile_backward(const pcv_tokens *t, int item, int at, int n,
                          const real *dout)
{
    for (int i = at; i < at + n; i++, dout += t->c) {
        int j = i;
        const pcv_segment *s = find(t, &j);
        real *dx = s->dcontent + (size_t)item * s->item_stride;

        for (int k = 0; k < s->c; k++)
            dx[(size_t)k * s->plane + (size_t)j] += dout[k];
        for (int k = 0; k < s->k_n; k++)
            s->dk[item * s->k_n + k] += dout[s->k_at + k];
    }
}

/* Tables of the axes; the channels of all of them are shuffled. */
static int add_axes(help_source *s, int i, uint64_t seed)
{
    pcv_segment *g = &s->segment[i];
    uint32_t order[64];
    int all = 0, used = 0;

    for (int a = 0; a < g->axes; a++)
        all += g->cols[a];
    pcv_shuffle(seed, (uint64_t)i, order, (uint32_t)all);
    for (int a = 0; a < g->axes; a++) {
        size_t n = (size_t)g->len[a] * (size_t)g->cols[a];

        s->table[i][a] = help_normal(seed + 10 + (uint64_t)(3 * i + a), n, 0.7);
        s->channel[i][a] = pcv_alloc((size_t)g->cols[a] + 1, sizeof(int));
        for (int k = 0; k < g->cols[a]; k++)
            s->channel[i][a][k] = g->c + (int)order[used++];
        g->table[a] = s->table[i][a];
        g->channel[a] = s->channel[i][a];
    }
    return g->c + all;
}

static void add_content(help_source *s, uint64_t seed, bool learns)
{
    size_t stride = 0, at = 0, constant;

    for (int i = 0; i < s->tokens.segments; i++) {
        s->segment[i].plane = (size_t)elements(&s->segment[i]) + 3;
        stride += s->segment[i].plane * (size_t)s->segment[i].c;
    }
    s->count = stride * (size_t)s->tokens.items;
    s->content = help_normal(seed + 1, s->count, 1);
    s->all = s->count;
    for (int i = 0; i < s->tokens.segments; i++)
        s->all += (size_t)s->tokens.items * (size_t)s->segment[i].k_n;
    s->dcontent = pcv_alloc(s->all, sizeof(real));
    constant = s->count;
    for (int i = 0; i < s->tokens.segments; i++) {
        pcv_segment *g = &s->segment[i];

        g->dk = learns ? s->dcontent + constant : NULL;
        constant += (size_t)s->tokens.items * (size_t)g->k_n;
        g->item_stride = stride;
        g->content = s->content + at;
        g->dcontent = learns ? s->dcontent + at : NULL;
        for (int b = 0; b < s->tokens.items; b++)
            for (int k = 0; k < g->c; k++)
                for (int e = 1; e <= 3; e++)
                    s->content[(size_t)b * stride + at + (size_t)(k + 1) *
                               g->plane - (size_t)e] = (real)NAN;
        at += g->plane * (size_t)g->c;
    }
}

static void add_mask(help_source *s, int kind, uint64_t seed)
{
    pcv_tokens *t = &s->tokens;
    size_t n = (size_t)t->n;

    if (kind == HELP_ALL)
        return;
    s->mask = pcv_alloc(n * (size_t)t->items, 1);
    for (size_t i = 0; i < n * (size_t)t->items; i++)
        if (kind == HELP_LATE)
            s->mask[i] = i % n >= n - n / 3;
        else
            s->mask[i] = pcv_uniform(seed, 3, i) < 0.7;
    for (int b = 0; b < t->items; b++)
        s->mask[(size_t)(b + 1) * n - 1] = 1;
    t->mask = s->mask;
}

void help_source_open(help_source *s, const help_shape *shape, uint64_t seed)
{
    int used[HELP_SEGMENTS], c = 0;

    memset(s, 0, sizeof *s);
    s->tokens = (pcv_tokens){ .items = shape->items, .tile = tile,
                              .segments = shape->segments };
    s->tokens.tile_backward = shape->learns ? tile_backward : NULL;
    s->tokens.segment = s->segment;
    for (int i = 0; i < shape->segments; i++) {
        pcv_segment *g = &s->segment[i];

        g->axes = shape->seg[i].axes;
        g->c = shape->seg[i].c;
        memcpy(g->len, shape->seg[i].len, sizeof g->len);
        memcpy(g->cols, shape->seg[i].cols, sizeof g->cols);
        used[i] = add_axes(s, i, seed);
        c = used[i] > c ? used[i] : c;
        s->tokens.n += elements(g);
    }
    s->tokens.c = c + shape->extra;
    for (int i = 0; i < shape->segments; i++) {
        pcv_segment *g = &s->segment[i];

        g->k_at = used[i];
        g->k_n = s->tokens.c - used[i];
        s->k[i] = help_normal(seed + 30 + (uint64_t)i, (size_t)g->k_n, 0.8);
        g->k = shape->seg[i].zeros ? NULL : s->k[i];
    }
    add_content(s, seed, shape->learns);
    add_mask(s, shape->mask, seed);
}

void help_source_close(help_source *s)
{
    for (int i = 0; i < HELP_SEGMENTS; i++) {
        for (int a = 0; a < 3; a++) {
            pcv_free(s->table[i][a]);
            pcv_free(s->channel[i][a]);
        }
        pcv_free(s->k[i]);
    }
    pcv_free(s->mask);
    pcv_free(s->content);
    pcv_free(s->dcontent);
}

/* ---- readers --------------------------------------------------------- */

void help_params(pcv_params *p, uint64_t seed)
{
    assert_int_equal(pcv_params_weights(p), 0);
    assert_int_equal(pcv_params_grads(p), 0);
    for (int i = 0; i < p->count; i++) {
        pcv_param *q = p->param[i];
        double in = q->rank > 1 ? (double)q->dim[1] : 10;

        help_fill(seed + (uint64_t)i, q->w, q->count, (double)q->mean,
                  1 / sqrt(in));
    }
}

void help_reader_open(help_reader *r, int c, int heads, int qk, int v,
                      uint64_t seed)
{
    memset(r, 0, sizeof *r);
    pcv_norm_init(&r->norm, &r->params, "norm", c);
    pcv_linear_init(&r->key, &r->params, "key", c, qk, true, 1);
    pcv_linear_init(&r->value, &r->params, "value", c, v, true, 1);
    help_params(&r->params, seed);
    r->reader = (pcv_reader){ &r->norm, &r->key, &r->value, heads };
}
