/* grad_test.c - every backward against central differences of its forward.
 *
 * The objective is the sum of the outputs times fixed random weights, which
 * then are dy.  Every element of every parameter and input is moved up and
 * down; the gradient must agree to 1e-6 of its norm in the double build (the
 * float build can only tell a wrong formula from a right one).  All gradients
 * start from random numbers instead of zeros, because backward adds. */
#include "help.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static const double step = HELP_TOL(1e-2, 2e-5);
static const double tolerance = HELP_TOL(2e-2, 1e-6);

static double worst;

typedef struct {
    const char *name;
    real *x, *g;                /* values and their gradient */
    size_t count;
} variable;

/* One thing to check: forward writes y, backward adds to all gradients from
 * dy, which it may use up. */
typedef struct check check;
struct check {
    const char *name;
    int which;
    void (*forward)(check *c, real *y);
    void (*backward)(check *c, real *dy);
    void *self;
    size_t ny;
    const pcv_params *params;   /* or NULL */
    variable input[4];
    int inputs;
    real *y, *dy;
};

static void add_input(check *c, const char *name, real *x, real *g,
                      size_t count)
{
    c->input[c->inputs++] = (variable){ name, x, g, count };
}

static double objective(check *c)
{
    double sum = 0;

    c->forward(c, c->y);
    for (size_t i = 0; i < c->ny; i++)
        sum += (double)c->y[i] * (double)c->dy[i];
    return sum;
}

static void differences(check *c, const variable *v, real *out)
{
    for (size_t i = 0; i < v->count; i++) {
        real x = v->x[i], up = x + (real)step, down = x - (real)step;
        double high, low;

        if (isnan(x))           /* padding between planes: out stays 0 */
            continue;
        v->x[i] = up;
        high = objective(c);
        v->x[i] = down;
        low = objective(c);
        v->x[i] = x;
        out[i] = (real)((high - low) / ((double)up - (double)down));
    }
}

/* What backward added to v->g is in `have`. */
static void compare(check *c, const variable *v, const real *have, double floor)
{
    real *want = pcv_alloc(v->count, sizeof *want);
    char what[160];
    double e;

    differences(c, v, want);
    e = help_error(have, want, v->count, floor);
    snprintf(what, sizeof what, "%s, %s", c->name, v->name);
    help_below(e, tolerance, what, c->which);
    worst = e > worst ? e : worst;
    pcv_free(want);
}

static int variables(const check *c, variable *v)
{
    int n = 0;

    for (; n < c->inputs; n++)
        v[n] = c->input[n];
    for (int i = 0; c->params && i < c->params->count; i++) {
        pcv_param *p = c->params->param[i];

        v[n++] = (variable){ p->name, p->w, p->g, p->count };
    }
    return n;
}

/* A gradient that is zero in truth (a key bias) is compared with a thousandth
 * of the largest one. */
static void run(check *c)
{
    variable v[32];
    real *have[32], *start[32], *dy = pcv_alloc(c->ny, sizeof *dy);
    int n = variables(c, v);
    double most = 0;

    c->y = pcv_alloc(c->ny, sizeof *c->y);
    c->dy = help_normal(1, c->ny, 1);
    for (int i = 0; i < n; i++) {
        start[i] = help_normal(2 + (uint64_t)i, v[i].count, 1);
        memcpy(v[i].g, start[i], v[i].count * sizeof(real));
    }
    memcpy(dy, c->dy, c->ny * sizeof *dy);
    c->forward(c, c->y);
    c->backward(c, dy);
    for (int i = 0; i < n; i++) {
        have[i] = pcv_alloc(v[i].count, sizeof(real));
        for (size_t k = 0; k < v[i].count; k++)
            have[i][k] = v[i].g[k] - start[i][k];
        most = fmax(most, help_size(have[i], v[i].count));
    }
    for (int i = 0; i < n; i++) {
        compare(c, &v[i], have[i], 1e-3 * most);
        pcv_free(have[i]);
        pcv_free(start[i]);
    }
    pcv_free(c->y);
    pcv_free(c->dy);
    pcv_free(dy);
}

/* ---- linear, norm, activations --------------------------------------- */

enum { ROWS = 5 };

static void linear_forward(check *c, real *y)
{
    pcv_linear_forward(c->self, c->input[0].x, ROWS, y);
}

static void linear_backward(check *c, real *dy)
{
    pcv_linear_backward(c->self, c->input[0].x, dy, ROWS, c->input[0].g);
}

static void test_linear(void **state)
{
    (void)state;
    for (int bias = 0; bias < 2; bias++) {
        pcv_params p = {0};
        pcv_linear l;
        real *x = help_normal(40, ROWS * 7, 1), *dx = help_normal(41, 35, 1);
        check c = { .name = "linear", .which = bias, .self = &l, .params = &p,
                    .forward = linear_forward, .backward = linear_backward,
                    .ny = ROWS * 6 };

        pcv_linear_init(&l, &p, "l", 7, 6, bias != 0, 1);
        help_params(&p, 3);
        add_input(&c, "x", x, dx, ROWS * 7);
        run(&c);
        pcv_params_free(&p);
        pcv_free(x);
        pcv_free(dx);
    }
}

static void norm_forward(check *c, real *y)
{
    real stats[2 * ROWS];

    pcv_norm_forward(c->self, c->input[0].x, ROWS, y, stats);
}

static void norm_backward(check *c, real *dy)
{
    const pcv_norm *l = c->self;
    real stats[2 * ROWS], *y = pcv_alloc(c->ny, sizeof *y);

    pcv_norm_forward(l, c->input[0].x, ROWS, y, stats);
    pcv_norm_backward(l, c->input[0].x, stats, dy, ROWS, c->input[0].g);
    pcv_free(y);
}

static void test_norm(void **state)
{
    pcv_params p = {0};
    pcv_norm l;
    real *x = help_normal(42, ROWS * 37, 2), *dx = help_normal(43, 185, 1);
    check c = { .name = "norm", .self = &l, .params = &p,
                .forward = norm_forward, .backward = norm_backward,
                .ny = ROWS * 37 };

    (void)state;
    pcv_norm_init(&l, &p, "n", 37);
    help_params(&p, 3);
    add_input(&c, "x", x, dx, ROWS * 37);
    run(&c);
    pcv_params_free(&p);
    pcv_free(x);
    pcv_free(dx);
}

enum { ACT_ROWS = 7, ACT_SIZE = ACT_ROWS * 29 };

static void act_forward(check *c, real *y)
{
    pcv_act_forward(c->which, c->input[0].x, ACT_ROWS,
                    (int)c->ny / ACT_ROWS, y);
}

/* dx is set, not added to: in place where that is allowed, then added here. */
static void act_backward(check *c, real *dy)
{
    size_t n = c->ny * (size_t)pcv_act_inputs(c->which);
    real *dx = n == c->ny ? dy : pcv_alloc(n, sizeof *dx);

    assert_non_null(dx);
    pcv_act_backward(c->which, c->input[0].x, ACT_ROWS,
                     (int)c->ny / ACT_ROWS, dy, dx);
    for (size_t i = 0; i < n; i++)
        c->input[0].g[i] += dx[i];
    if (dx != dy)
        pcv_free(dx);
}

static void test_act(void **state)
{
    (void)state;
    for (int act = 0; act < PCV_ACTS; act++) {
        size_t n = (size_t)(ACT_SIZE * pcv_act_inputs(act));
        real *x = help_normal(44, n, 2), *dx = help_normal(45, n, 1);
        check c = { .name = "activation", .which = act, .ny = ACT_SIZE,
                    .forward = act_forward, .backward = act_backward };

        for (size_t i = 0; i < n; i++)      /* off the kink of relu */
            x[i] += x[i] < 0 ? (real)-0.2 : (real)0.2;
        add_input(&c, "x", x, dx, n);
        run(&c);
        pcv_free(x);
        pcv_free(dx);
    }
}

/* ---- the core of attention ------------------------------------------- */

static pcv_arena scratch_of(size_t bytes)
{
    pcv_arena a;

    assert_int_equal(pcv_arena_open(&a, bytes), 0);
    return a;
}

static void core_forward(check *c, real *y)
{
    const pcv_core *k = c->self;
    pcv_arena a = scratch_of(pcv_core_scratch(k, false));
    real *lse = pcv_alloc((size_t)(k->items * k->n * k->heads), sizeof *lse);

    pcv_core_forward(k, c->input[0].x, c->input[1].x, c->input[2].x, y, lse,
                     &a);
    pcv_free(lse);
    pcv_arena_close(&a);
}

static void core_backward(check *c, real *dy)
{
    const pcv_core *k = c->self;
    const variable *v = c->input;
    pcv_arena a = scratch_of(pcv_core_scratch(k, true));
    real *lse = pcv_alloc((size_t)(k->items * k->n * k->heads), sizeof *lse);
    real *y = pcv_alloc(c->ny, sizeof *y);

    pcv_core_forward(k, v[0].x, v[1].x, v[2].x, y, lse, &a);
    pcv_core_backward(k, v[0].x, v[1].x, v[2].x, y, lse, dy, v[0].g, v[1].g,
                      v[2].g, &a);
    pcv_free(lse);
    pcv_free(y);
    pcv_arena_close(&a);
}

static void run_core(const pcv_core *k, int which)
{
    static const char *const name[] = { "q", "k", "v" };
    size_t size[3] = { (size_t)(k->items * k->n * k->qk),
                       (size_t)(k->items * k->m * k->qk),
                       (size_t)(k->items * k->m * k->v) };
    real *x[3], *dx[3];
    check c = { .name = "core", .which = which, .self = (void *)k,
                .ny = (size_t)(k->items * k->n * k->v),
                .forward = core_forward, .backward = core_backward };

    for (int i = 0; i < 3; i++) {
        x[i] = help_normal(50 + (uint64_t)i, size[i], 1);
        dx[i] = help_normal(53, size[i], 1);
        add_input(&c, name[i], x[i], dx[i], size[i]);
    }
    run(&c);
    for (int i = 0; i < 3; i++) {
        pcv_free(x[i]);
        pcv_free(dx[i]);
    }
}

static void test_core(void **state)
{
    static const unsigned char mask[22] = { 0, 1, 0, 1, 1, 0, 1, 1, 1, 1, 0,
                                            1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0 };
    const pcv_core core[] = {
        { 1, 4, 6, 1, 3, 5, NULL, NULL },
        { 2, 5, 11, 2, 6, 4, mask, NULL },
        { 2, 131, 2, 1, 1, 1, NULL, NULL },       /* two panels */
    };

    (void)state;
    for (int i = 0; i < (int)PCV_LEN(core); i++)
        run_core(&core[i], i);
}

/* ---- reading a source, three forms ----------------------------------- */

typedef struct {
    help_reader reader;
    const pcv_tokens *tokens;
    int n, form;
} reading;

static pcv_arena record(const reading *r, pcv_read_record *rec)
{
    pcv_arena count = {0}, a;

    pcv_read_layout(&r->reader.reader, r->tokens, r->n, r->form, &count, rec);
    a = scratch_of(count.peak);
    pcv_read_layout(&r->reader.reader, r->tokens, r->n, r->form, &a, rec);
    return a;
}

static void read_forward(check *c, real *y)
{
    const reading *r = c->self;
    pcv_read_record rec;
    pcv_arena kept = record(r, &rec);
    pcv_arena a = scratch_of(pcv_read_scratch(&r->reader.reader, r->tokens,
                                              r->n, r->form, false));

    pcv_read_forward(&r->reader.reader, r->tokens, r->n, r->form,
                     c->input[0].x, y, &rec, &a);
    pcv_arena_close(&a);
    pcv_arena_close(&kept);
}

static void read_backward(check *c, real *dy)
{
    const reading *r = c->self;
    const pcv_reader *k = &r->reader.reader;
    pcv_read_record rec;
    pcv_arena kept = record(r, &rec);
    pcv_arena a = scratch_of(pcv_read_scratch(k, r->tokens, r->n, r->form,
                                              true));
    real *y = pcv_alloc(c->ny, sizeof *y);

    pcv_read_forward(k, r->tokens, r->n, r->form, c->input[0].x, y, &rec, &a);
    pcv_read_backward(k, r->tokens, r->n, r->form, c->input[0].x, y, dy, &rec,
                      c->input[0].g, &a);
    pcv_free(y);
    pcv_arena_close(&a);
    pcv_arena_close(&kept);
}

/* Checks a read of n queries in one form; x (if any) is the source's input. */
static void run_read(const char *name, int which, const pcv_tokens *t, int n,
                     int heads, int form, pcv_params *source, real *x,
                     real *dx, size_t count)
{
    static const char *const forms[] = { "auto", "plain", "tiled", "folded",
                                         "grid" };
    reading r = { .tokens = t, .n = n, .form = form };
    int d = 3, dv = 2;
    size_t nq = (size_t)(t->items * n * heads * d);
    real *q = help_normal(60, nq, 1), *dq = help_normal(61, nq, 1);
    char title[100];
    check c = { .name = title, .which = which, .self = &r,
                .forward = read_forward, .backward = read_backward,
                .ny = (size_t)(t->items * n * heads * dv) };

    snprintf(title, sizeof title, "read of %s, %s", name, forms[form]);
    help_reader_open(&r.reader, t->c, heads, heads * d, heads * dv, 62);
    add_input(&c, "q", q, dq, nq);
    if (x)
        add_input(&c, "content", x, dx, count);
    c.params = &r.reader.params;
    run(&c);
    if (source) {               /* the parameters of the source, on their own */
        c.params = source;
        run(&c);
    }
    pcv_params_free(&r.reader.params);
    pcv_free(q);
    pcv_free(dq);
}

/* Content of 1, 2, 3 and 5 channels; one to three segments; unequal axes. */
static const help_shape shapes[] = {
    { 1, 1, HELP_ALL, true, 0, { { 1, { 23 }, { 3 }, 1, true } } },
    { 2, 1, HELP_SOME, true, 2, { { 2, { 3, 5 }, { 3, 5 }, 2, false } } },
    { 2, 1, HELP_LATE, true, 0, { { 3, { 2, 3, 4 }, { 1, 3, 2 }, 3, true } } },
    { 1, 1, HELP_ALL, true, 1, { { 2, { 4, 3 }, { 3, 3 }, 5, false } } },
    { 2, 3, HELP_SOME, true, 1,
      { { 1, { 9 }, { 3 }, 3, false },
        { 2, { 3, 2 }, { 2, 3 }, 5, true },
        { 3, { 2, 1, 3 }, { 1, 2, 2 }, 0, false } } },
    /* more rows than a tile of either kind; content only where it is cheap */
    { 1, 2, HELP_LATE, false, 0,
      { { 1, { 1100 }, { 3 }, 1, true }, { 2, { 2, 5 }, { 1, 1 }, 2, 0 } } },
};

static void test_read(void **state)
{
    (void)state;
    for (int i = 0; i < (int)PCV_LEN(shapes); i++)
        for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_GRID; form++) {
            help_source s;

            help_source_open(&s, &shapes[i], 70 + (uint64_t)i);
            run_read("segments", i, &s.tokens, 3 + 10 * (i % 2), 1 + i % 3,
                     form, NULL, shapes[i].learns ? s.content : NULL,
                     s.dcontent, s.count);
            help_source_close(&s);
        }
}

/* ---- stems ----------------------------------------------------------- */

static pcv_array floats(uint64_t stream, int rank, size_t d0, size_t d1,
                        size_t d2)
{
    pcv_array a = { .dtype = PCV_F32, .rank = rank, .dim = { d0, d1, d2 } };
    size_t n = pcv_array_count(&a);
    float *x = pcv_alloc(n, sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = (float)pcv_normal(3, stream, i);
    a.data = x;
    return a;
}

static pcv_array ids(uint64_t stream, size_t n, int vocab)
{
    pcv_array a = { .dtype = PCV_I32, .rank = 1, .dim = { n } };
    int32_t *x = pcv_alloc(n, sizeof *x);

    for (size_t i = 0; i < n; i++)
        x[i] = help_int(stream, i, 0, vocab - 1);
    x[0] = 1;
    a.data = x;
    return a;
}

/* Reads a stem bound to arrays in both forms that it serves. */
static void run_stem(const char *name, int which, const pcv_stem_spec *spec,
                     pcv_array *x, int items)
{
    pcv_params p = {0};
    pcv_stem s;
    pcv_batch b = {0};
    const pcv_array *in[3] = { &x[0], &x[1], &x[2] };

    assert_int_equal(pcv_stem_init(&s, &p, spec), 0);
    help_params(&p, 80);
    assert_int_equal(pcv_batch_bind(&b, &s, in, items), 0);
    for (int form = PCV_FORM_PLAIN; form <= PCV_FORM_FOLDED; form++)
        run_read(name, which, &b.tokens, 4, 2, form, &p, NULL, NULL, 0);
    pcv_batch_free(&b);
    pcv_params_free(&p);
    for (int i = 0; i < items; i++)
        pcv_array_free(&x[i]);
}

static void test_stem_learned(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        pcv_stem_spec spec = { .modality = PCV_IMAGE, .channels = 3,
                               .size = { 3, 5 }, .position = PCV_POS_LEARNED,
                               .pos_channels = 4, .pos_project = i & 1,
                               .project = i & 2 ? 6 : 0 };
        pcv_array x[3] = { floats(1, 3, 3, 3, 5), floats(2, 3, 3, 3, 5) };

        run_stem("learned positions", i, &spec, x, 2);
    }
}

static void test_stem_text(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        pcv_stem_spec spec = { .modality = PCV_BYTES, .vocab = 5, .embed = 6,
                               .size = { 9 }, .neighbours = i };
        pcv_array x[3] = { ids(1, 7, 5), ids(2, 3, 5), ids(3, 5, 5) };

        spec.position = i ? PCV_POS_LEARNED : PCV_POS_NONE;
        run_stem("text", i, &spec, x, 3);
    }
}

static void test_stem_points(void **state)
{
    pcv_stem_spec spec = { .modality = PCV_POINTS, .channels = 5, .bands = 2,
                           .position = PCV_POS_FOURIER,
                           .max_res = { 4, 5, 6 } };
    pcv_array x[3] = { floats(1, 2, 6, 5, 1), floats(2, 2, 9, 5, 1) };

    (void)state;
    run_stem("points", 0, &spec, x, 2);
}

/* ---- blocks ---------------------------------------------------------- */

typedef struct {
    pcv_block block;
    const pcv_tokens *tokens;   /* NULL: self-attention */
    int items, n, form;
    pcv_pass pass;
} blocking;

static void block_pass(check *c, real *y, real *dy)
{
    const blocking *k = c->self;
    const pcv_tokens *t = k->tokens;
    pcv_arena count = {0}, kept;
    pcv_arena a = scratch_of(pcv_block_scratch(&k->block, t, k->items, k->n,
                                               k->form, dy != NULL));
    pcv_block_record rec;

    pcv_block_layout(&k->block, t, k->items, k->n, k->form, &count, &rec);
    kept = scratch_of(count.peak);
    pcv_block_layout(&k->block, t, k->items, k->n, k->form, &kept, &rec);
    pcv_block_forward(&k->block, t, k->items, k->n, k->form, &k->pass, 3,
                      c->input[0].x, y, &rec, &a);
    if (dy)
        pcv_block_backward(&k->block, t, k->items, k->n, k->form, &k->pass, 3,
                           c->input[0].x, dy, &rec, c->input[0].g, &a);
    assert_int_equal(a.used, 0);
    pcv_arena_close(&a);
    pcv_arena_close(&kept);
}

static void block_forward(check *c, real *y)
{
    block_pass(c, y, NULL);
}

static void block_backward(check *c, real *dy)
{
    block_pass(c, c->y, dy);
}

/* Item-major rows of a source: x and dx are inputs of the check too. */
static void run_block(const pcv_block_shape *s, int which, int form,
                      const pcv_tokens *t, real *source, real *dsource,
                      size_t count, double dropout)
{
    pcv_params p = {0};
    blocking k = { .tokens = t, .items = 2, .n = 5, .form = form,
                   .pass = { 5, 9, dropout, 0 } };
    size_t nx = 10 * (size_t)s->d;
    real *x = help_normal(90, nx, 1), *dx = help_normal(91, nx, 1);
    check c = { .name = t ? "cross block" : "self block", .which = which,
                .self = &k, .params = &p, .ny = nx,
                .forward = block_forward, .backward = block_backward };

    pcv_block_init(&k.block, &p, "block", s);
    help_params(&p, 92);
    add_input(&c, "x", x, dx, nx);
    if (source)
        add_input(&c, "source", source, dsource, count);
    run(&c);
    pcv_params_free(&p);
    pcv_free(x);
    pcv_free(dx);
}

static void test_block_self(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        pcv_block_shape s = { .d = 8, .qk = 6, .v = 4, .heads = 2,
                              .widening = 1 + (i & 1), .act = i >> 1 & 1,
                              .residual = i & 4 };

        run_block(&s, i, PCV_FORM_AUTO, NULL, NULL, NULL, 0, i & 1 ? 0.3 : 0);
    }
}

static void test_block_cross(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        int form = PCV_FORM_PLAIN + i % 3;
        pcv_block_shape s = { .d = 6, .kv = 7, .qk = 4, .v = 8, .heads = 2,
                              .widening = 1 + (i & 1), .residual = i & 4 };
        real *rows = help_normal(93, 2 * 9 * 7, 1);
        real *drows = help_normal(94, 2 * 9 * 7, 1);
        pcv_row_tokens t;

        pcv_rows_bind(&t, rows, drows, 2, 9, 7);
        run_block(&s, i, form, &t.tokens, rows, drows, 2 * 9 * 7,
                  i & 1 ? 0.3 : 0);
        pcv_free(rows);
        pcv_free(drows);
    }
}

static void test_block_grid(void **state)
{
    const help_shape shape = {
        2, 2, HELP_SOME, true, 1,
        { { 2, { 3, 4 }, { 3, 3 }, 3, false }, { 1, { 5 }, { 3 }, 2, false } }
    };
    help_source s;

    (void)state;
    help_source_open(&s, &shape, 95);
    for (int i = 0; i < 4; i++) {
        pcv_block_shape b = { .d = 6, .kv = s.tokens.c, .qk = 4, .v = 8,
                              .heads = 2, .widening = 2, .residual = i & 1 };

        run_block(&b, i, PCV_FORM_GRID, &s.tokens, s.content, s.dcontent,
                  s.count, i & 2 ? 0.2 : 0);
    }
    help_source_close(&s);
}

/* ---- queries and losses ---------------------------------------------- */

static const int asked[6] = { 3, 0, 3, 4, 1, 3 };

static void queries_forward(check *c, real *y)
{
    pcv_queries_rows(c->self, NULL, 0, c->which ? asked : NULL, 6, y, 3);
}

static void queries_backward(check *c, real *dy)
{
    pcv_queries_backward(c->self, c->which ? asked : NULL, 6, dy, 3);
}

static void test_queries(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        const pcv_queries_spec spec = { .kind = PCV_ASK_LEARNED, .n = 6,
                                        .e = 3, .path = "ask" };
        pcv_params p = {0};
        pcv_queries q;
        check c = { .name = "queries", .which = i, .self = &q, .params = &p,
                    .forward = queries_forward, .backward = queries_backward,
                    .ny = 18 };

        assert_int_equal(pcv_queries_init(&q, &p, &spec), 0);
        help_params(&p, 3);
        run(&c);
        pcv_queries_free(&q);
        pcv_params_free(&p);
    }
}

enum { CLASSES = 5, LOGITS = 20 };

/* Rows of targets: a distribution, or numbers in 0 .. 1; the third wants
 * nothing. */
static double loss(check *c, real *dx)
{
    static pcv_loss *const losses[] = { pcv_squared_error, pcv_cross_entropy,
                                        pcv_binary_cross_entropy };
    static const real target[LOGITS] = {
        (real)0.25, (real)0.5, (real)0.25, 0, 0, 1, 0, 0, 0, 0, (real)NAN, 0, 0,
        0, 0, 0, (real)0.1, (real)0.2, (real)0.3, (real)0.4
    };

    return 0.7 * losses[c->which](c->input[0].x, target, 4, CLASSES, 0.7, dx);
}

static void loss_forward(check *c, real *y)
{
    y[0] = (real)loss(c, NULL);
}

static void loss_backward(check *c, real *dy)
{
    real dx[LOGITS];

    loss(c, dx);
    for (int i = 0; i < LOGITS; i++)
        c->input[0].g[i] += dy[0] * dx[i];
}

static void test_losses(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        real *x = help_normal(96, LOGITS, 2), *dx = help_normal(97, LOGITS, 1);
        check c = { .name = "loss", .which = i, .ny = 1,
                    .forward = loss_forward, .backward = loss_backward };

        add_input(&c, "logits", x, dx, LOGITS);
        run(&c);
        pcv_free(x);
        pcv_free(dx);
    }
}

static int report(void **state)
{
    (void)state;
    print_message("largest error of a gradient: %.2g\n", worst);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),
        cmocka_unit_test(test_norm),
        cmocka_unit_test(test_act),
        cmocka_unit_test(test_core),
        cmocka_unit_test(test_read),
        cmocka_unit_test(test_stem_learned),
        cmocka_unit_test(test_stem_text),
        cmocka_unit_test(test_stem_points),
        cmocka_unit_test(test_block_self),
        cmocka_unit_test(test_block_cross),
        cmocka_unit_test(test_block_grid),
        cmocka_unit_test(test_queries),
        cmocka_unit_test(test_losses),
    };

    return cmocka_run_group_tests(tests, NULL, report);
}
