/* vector2_test.c - three models whose preprocessors are not in the library (a
 * convolution stem, optical flow, several modalities at once), with weights
 * that are a formula and outputs that the published implementation and an
 * independent one computed in double.  Preprocessing is written here, naively;
 * blocks, norms and linear layers are the library's.  Proves that they serve
 * these models too, and that the structured attend, over content of many
 * channels, constants and several segments, gives what the plain one does. */
#include "vector_help.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { D = 8, LATENTS = 4, SEGMENTS = 3, ROWS = 30, WIDEST = 393,
       COLS = 2 * 192 + 1, TABLE = 6 * COLS };

static const double pi = 3.14159265358979323846;

/* ---- positions ------------------------------------------------------- */

typedef struct {
    int axes, len[3], bands;            /* bands 0: no positions */
    double max_res[3];
} grid;

static int grid_size(const grid *g)
{
    int n = 1;

    for (int a = 0; a < g->axes; a++)
        n *= g->len[a];
    return n;
}

static int grid_features(const grid *g)
{
    return g->bands ? g->axes * (2 * g->bands + 1) : 0;
}

/* The features of element j, in the published order; ends: the positions
 * reach +1 (inputs), else they stop one step short (queries by index). */
static void features(const grid *g, int j, bool ends, real *out)
{
    real *sine = out + g->axes, *cosine = sine + g->axes * g->bands;
    int index[3] = {0};

    for (int a = g->axes - 1; a >= 0; j /= g->len[a], a--)
        index[a] = j % g->len[a];
    for (int a = 0; g->bands && a < g->axes; a++) {
        double x = -1 + 2.0 * index[a] / (g->len[a] - ends);

        *out++ = (real)x;
        for (int k = 0; k < g->bands; k++) {
            double f = 1 + (g->max_res[a] / 2 - 1) * k / (g->bands - 1);

            *sine++ = (real)sin(pi * f * x);
            *cosine++ = (real)cos(pi * f * x);
        }
    }
}

/* ---- sources --------------------------------------------------------- */

/* The same input twice: whole rows, and segments with structure. */
typedef struct {
    pcv_row_tokens bound;
    pcv_segment segment[SEGMENTS];
    real rows[ROWS * WIDEST];
    real table[SEGMENTS][3][TABLE];
    int channel[SEGMENTS][3][COLS];
} source;

static void open_source(source *s, int width)
{
    memset(s, 0, sizeof *s);
    pcv_rows_bind(&s->bound, s->rows, NULL, 1, 0, width);
    s->bound.tokens.segment = s->segment;
}

static void add_axis(source *s, int i, const grid *g, int a)
{
    pcv_segment *seg = &s->segment[i];
    int cols = g->bands ? 2 * g->bands + 1 : 0;
    double x[8];

    seg->len[a] = g->len[a];
    seg->cols[a] = cols;
    seg->table[a] = s->table[i][a];
    seg->channel[a] = s->channel[i][a];
    for (int j = 0; j < g->len[a]; j++)
        x[j] = pcv_grid_position(j, g->len[a]);
    if (g->bands)
        pcv_fourier_axis(PCV_POS_FOURIER, g->bands, g->max_res[a], x,
                         g->len[a], s->table[i][a]);
    for (int k = 0; k < cols; k++)
        s->channel[i][a][k] =
            seg->c + pcv_fourier_channel(g->axes, g->bands, a, k);
}

/* Appends a grid of c channels (planar), its positions, and a constant that
 * fills the row. */
static void add_grid(source *s, const grid *g, int c, const real *content,
                     const real *constant)
{
    pcv_tokens *t = &s->bound.tokens;
    int n = grid_size(g), at = c + grid_features(g);
    pcv_segment *seg = &s->segment[t->segments];

    *seg = (pcv_segment){ .axes = g->axes, .c = c, .content = content,
                          .plane = (size_t)n, .k_at = at, .k_n = t->c - at,
                          .k = constant };
    for (int a = 0; a < g->axes; a++)
        add_axis(s, t->segments, g, a);
    for (int j = 0; j < n; j++) {
        real *row = s->rows + (t->n + j) * t->c;

        for (int k = 0; k < c; k++)
            row[k] = content[k * n + j];
        features(g, j, true, row + c);
        for (int k = at; k < t->c; k++)
            row[k] = constant[k - at];
    }
    t->segments++;
    t->n += n;
}

/* ---- everything after the preprocessor ------------------------------- */

typedef struct {
    pcv_params params;
    pcv_param *latents;
    pcv_block cross, self, decode;
    pcv_linear final;
    real x[3][LATENTS * D];     /* latents: after cross-, self-attention */
} network;

/* Inputs of c channels, queries of e, outputs of `out`. */
static void open_network(network *m, int latents, int c, int e, bool residual,
                         int out)
{
    pcv_block_shape cross = { .d = D, .kv = c, .qk = c, .v = c, .heads = 1,
                              .widening = 1, .residual = true };
    pcv_block_shape self = { .d = D, .qk = D, .v = D, .heads = 2,
                             .widening = 1, .residual = true };
    pcv_block_shape decode = { .d = e, .kv = D, .qk = D, .v = D, .heads = 1,
                               .widening = 1, .residual = residual };
    pcv_params *p = &m->params;

    memset(m, 0, sizeof *m);
    m->latents = pcv_param_add(p, "perceiver.embeddings.latents", "",
                               (size_t)latents, D, 0, 0, true);
    pcv_block_init(&m->cross, p, "perceiver.encoder.cross_attention", &cross);
    pcv_block_init(&m->self, p, "perceiver.encoder.self_attends.0", &self);
    pcv_block_init(&m->decode, p,
                   "perceiver.decoder.decoder.decoding_cross_attention",
                   &decode);
    pcv_linear_init(&m->final, p, "perceiver.decoder.decoder.final_layer", e,
                    out, true, 0);
}

static void encode(network *m, const source *s, int form)
{
    int n = (int)m->latents->dim[0];

    vector_apply(&m->cross, &s->bound.tokens, n, form, m->latents->w, m->x[0]);
    vector_apply(&m->self, NULL, n, form, m->x[0], m->x[1]);
}

/* All ways to attend against the plain one, which is left in place. */
static void encode_all(network *m, const source *s, const char *what)
{
    size_t n = m->latents->count;

    for (int form = PCV_FORM_GRID; form >= PCV_FORM_PLAIN; form--) {
        encode(m, s, form);
        if (form == PCV_FORM_GRID)
            memcpy(m->x[2], m->x[1], n * sizeof(real));
        help_below(help_error(m->x[1], m->x[2], n, 0), HELP_TOL(1e-5, 1e-12),
                   what, form);
    }
}

/* The outputs (n x out) of n queries (n x e). */
static void decode(network *m, const real *ask, int n, real *out)
{
    real *y = pcv_alloc((size_t)n * (size_t)m->final.in, sizeof *y);
    pcv_row_tokens rows;

    assert_non_null(y);
    pcv_rows_bind(&rows, m->x[1], NULL, 1, (int)m->latents->dim[0], D);
    vector_apply(&m->decode, &rows.tokens, n, PCV_FORM_PLAIN, ask, y);
    pcv_linear_forward(&m->final, y, n, out);
    pcv_free(y);
}

static pcv_param *vector(pcv_params *p, const char *path, const char *name,
                         int n)
{
    return pcv_param_add(p, path, name, (size_t)n, 0, 0, 0, false);
}

/* ---- 5: classifier with a convolution stem --------------------------- */

enum { CLASSES = 4, HIGH = 15, WIDE = 17, HIGH1 = 8, WIDE1 = 9, HIGH2 = 3,
       WIDE2 = 4, MAPS = 64 };

typedef struct {
    pcv_param *kernel, *gain, *bias, *mean, *var;
} convolution;

static void open_convolution(convolution *v, pcv_params *p)
{
    const char *conv = "perceiver.input_preprocessor.convnet.conv";
    const char *norm = "perceiver.input_preprocessor.convnet.batchnorm";

    v->kernel = vector(p, conv, "weight", MAPS * 3 * 7 * 7);
    v->gain = vector(p, norm, "weight", MAPS);
    v->bias = vector(p, norm, "bias", MAPS);
    v->mean = vector(p, norm, "running_mean", MAPS);
    v->var = vector(p, norm, "running_var", MAPS);
    vector(p, norm, "num_batches_tracked", 1);  /* counts, by its name */
}

/* 7 x 7 at stride 2 with three zeros around, of one map at (h, w). */
static double convolve(const real *kernel, const float *x, int h, int w)
{
    double sum = 0;

    for (int c = 0; c < 3; c++)
        for (int i = 0; i < 7; i++)
            for (int j = 0; j < 7; j++) {
                int y = 2 * h - 3 + i, z = 2 * w - 3 + j;

                if (y >= 0 && y < HIGH && z >= 0 && z < WIDE)
                    sum += (double)kernel[(c * 7 + i) * 7 + j] *
                           (double)x[(c * HIGH + y) * WIDE + z];
            }
    return sum;
}

/* Convolution, norm with stored statistics, max(0, .); HIGH1 x WIDE1. */
static void feature_map(const convolution *v, int c, const float *x, double *y)
{
    double rstd = 1 / sqrt((double)v->var->w[c] + 1e-5);
    const real *kernel = v->kernel->w + c * 3 * 7 * 7;

    for (int h = 0; h < HIGH1; h++)
        for (int w = 0; w < WIDE1; w++, y++) {
            *y = convolve(kernel, x, h, w) - (double)v->mean->w[c];
            *y = *y * rstd * (double)v->gain->w[c] + (double)v->bias->w[c];
            *y = fmax(*y, 0);
        }
}

/* Largest of 3 x 3 at stride 2: MAPS planes of HIGH2 x WIDE2. */
static void pooled_maps(const convolution *v, const float *x, real *out)
{
    double map[HIGH1 * WIDE1];

    for (int c = 0; c < MAPS; c++) {
        feature_map(v, c, x, map);
        for (int j = 0; j < HIGH2 * WIDE2; j++) {
            const double *from = map + j / WIDE2 * 2 * WIDE1 + j % WIDE2 * 2;
            double top = 0;

            for (int i = 0; i < 9; i++)
                top = fmax(top, from[i / 3 * WIDE1 + i % 3]);
            *out++ = (real)top;
        }
    }
}

static void test_convolution(void **state)
{
    static const double want[] = { 3.53661551, 1.30586541, -1.50628630,
                                   -3.64146236 };
    static const grid g = { 2, { HIGH2, WIDE2 }, 64, { 56, 56 } };
    float pixels[3 * HIGH * WIDE];
    real content[MAPS * HIGH2 * WIDE2], logits[CLASSES];
    int c = MAPS + grid_features(&g);
    convolution v;
    pcv_param *ask;
    source s;
    network m;

    (void)state;
    open_network(&m, 3, c, D, true, CLASSES);
    open_convolution(&v, &m.params);
    ask = vector(&m.params, "perceiver.decoder.decoder."
                 "output_position_encodings", "position_embeddings", D);
    vector_fill(&m.params, 0.3, 62);
    vector_wave(pixels, HIGH, WIDE);
    pooled_maps(&v, pixels, content);
    open_source(&s, c);
    add_grid(&s, &g, MAPS, content, NULL);
    encode_all(&m, &s, "convolution, latents");
    decode(&m, ask->w, 1, logits);
    vector_check("convolution", 0, logits, want, CLASSES);
    pcv_params_free(&m.params);
}

/* ---- 6: optical flow ------------------------------------------------- */

enum { TALL = 5, BROAD = 6, PIXELS = TALL * BROAD, PATCH = 2 * 27,
       MIXED = 64 };

static double frame(int f, int c, int y, int x)
{
    if (y < 0 || y >= TALL || x < 0 || x >= BROAD)
        return 0;
    return sin(0.9 * f + 0.3 * c + 0.5 * y - 0.7 * x);
}

/* What surrounds pixel (y, x) in both frames, colours fastest. */
static void surroundings(int y, int x, real *out)
{
    for (int f = 0; f < 2; f++)
        for (int i = -1; i <= 1; i++)
            for (int j = -1; j <= 1; j++)
                for (int c = 0; c < 3; c++)
                    *out++ = (real)frame(f, c, y + i, x + j);
}

/* MIXED planes of PIXELS. */
static void flow_content(const pcv_linear *mix, real *content)
{
    real patch[PATCH], mixed[MIXED];

    for (int j = 0; j < PIXELS; j++) {
        surroundings(j / BROAD, j % BROAD, patch);
        pcv_linear_forward(mix, patch, 1, mixed);
        for (int c = 0; c < MIXED; c++)
            content[c * PIXELS + j] = mixed[c];
    }
}

/* The pair, and value by value: the second is small, what is left of sums a
 * hundred times its size, and a float build has fewer digits of it. */
static void check_flow(int pixel, const real *flow, const double *want)
{
    real have[2] = { flow[2 * pixel] / 100, flow[2 * pixel + 1] / 100 };

    vector_check("flow", pixel, have, want, 2);
    for (int k = 0; k < 2; k++)
        vector_check_to(HELP_TOL(5e-4, 1e-6), k ? "flow, down" : "flow, right",
                        pixel, &have[k], &want[k], 1);
}

static void test_flow(void **state)
{
    static const double want[3][2] = { { 0.97511437, -0.06300587 },
                                       { 0.97549635, -0.06284679 },
                                       { 0.97506652, -0.06302579 } };
    static const grid g = { 2, { TALL, BROAD }, 64, { TALL, BROAD } };
    real content[MIXED * PIXELS], flow[PIXELS * 2];
    int c = MIXED + grid_features(&g);
    pcv_linear mix;
    source s;
    network m;

    (void)state;
    open_network(&m, LATENTS, c, c, false, 2);
    pcv_linear_init(&mix, &m.params,
                    "perceiver.input_preprocessor.conv_after_patches", PATCH,
                    MIXED, true, 1);
    vector_fill(&m.params, 0.6, 57);
    flow_content(&mix, content);
    open_source(&s, c);
    add_grid(&s, &g, MIXED, content, NULL);
    encode_all(&m, &s, "flow, latents");
    decode(&m, s.rows, PIXELS, flow);
    check_flow(0, flow, want[0]);
    check_flow(1, flow, want[1]);
    check_flow(PIXELS - 1, flow, want[2]);
    pcv_params_free(&m.params);
}

/* ---- 7: sound, video and label at once ------------------------------- */

enum { AUDIO, IMAGE, LABEL, MODES };
enum { STEPS = 6, SAMPLES = 4, FRAMES = 2, SIDE = 8, BLOCK = 4, CELLS = 8,
       COLOURS = BLOCK * BLOCK * 3, LABELS = 5, LEARNED = 1024,
       ASKED = LEARNED + 2, SHARED = 512 };

/* What is read of each mode, and the outputs that may be asked for. */
static const grid mode_in[] = {
    { 1, { STEPS }, 192, { STEPS * SAMPLES } },
    { 3, { FRAMES, SIDE / BLOCK, SIDE / BLOCK }, 32, { FRAMES, 4, 4 } },
    { 1, { 1 }, 0, { 0 } }
};
static const grid mode_out[] = {
    { 1, { STEPS }, 192, { STEPS * SAMPLES } },
    { 3, { FRAMES, SIDE, SIDE }, 32, { FRAMES, 4, 4 } },
    { 1, { 1 }, 0, { 0 } }
};
static const int mode_outputs[] = { SAMPLES, 3, LABELS };

typedef struct {
    network net;
    pcv_param *pad_in[MODES], *pad_out[MODES], *mask[MODES], *label;
    pcv_linear head[MODES];
} modes;

static void open_modes(modes *m)
{
    static const char *const name[] = { "audio", "image", "label" };
    static const int width[] = { SAMPLES, COLOURS, LABELS };
    const char *in = "perceiver.input_preprocessor.";
    pcv_params *p = &m->net.params;
    char path[80];

    open_network(&m->net, LATENTS, WIDEST, ASKED, false, SHARED);
    for (int i = 0; i < MODES; i++) {
        int out = i == LABEL ? LEARNED : grid_features(&mode_out[i]);

        snprintf(path, sizeof path, "%spadding", in);
        m->pad_in[i] = vector(p, path, name[i], WIDEST - width[i] -
                              grid_features(&mode_in[i]));
        snprintf(path, sizeof path, "%smask", in);
        m->mask[i] = vector(p, path, name[i], WIDEST);
        m->pad_out[i] = vector(p, "perceiver.decoder.padding", name[i],
                               ASKED - out);
        snprintf(path, sizeof path,
                 "perceiver.output_postprocessor.modalities.%s.classifier",
                 name[i]);
        pcv_linear_init(&m->head[i], p, path, SHARED, mode_outputs[i], true, 1);
    }
    m->label = vector(p, "perceiver.decoder.modalities.label.decoder."
                      "output_position_encodings", "position_embeddings",
                      LEARNED);
    vector_fill(p, 0.6, 71);
}

/* SAMPLES planes of STEPS. */
static void audio_content(real *out)
{
    for (int k = 0; k < SAMPLES; k++)
        for (int j = 0; j < STEPS; j++)
            *out++ = (real)cos(0.4 * (j * SAMPLES + k));
}

/* COLOURS planes of CELLS: row and column within the block, colour fastest;
 * frame, row and column of the block. */
static void image_content(real *out)
{
    for (int k = 0; k < COLOURS; k++)
        for (int j = 0; j < CELLS; j++) {
            int t = j / 4, y = j / 2 % 2 * BLOCK + k / 3 / BLOCK;
            int x = j % 2 * BLOCK + k / 3 % BLOCK;

            *out++ = (real)sin(0.2 * t + 0.3 * (k % 3) + 0.5 * y - 0.7 * x);
        }
}

/* The label is never seen: its row is the mask, a constant. */
static void read_modes(modes *m)
{
    real audio[SAMPLES * STEPS], image[COLOURS * CELLS], none = 0;
    source s;

    audio_content(audio);
    image_content(image);
    open_source(&s, WIDEST);
    add_grid(&s, &mode_in[AUDIO], SAMPLES, audio, m->pad_in[AUDIO]->w);
    add_grid(&s, &mode_in[IMAGE], COLOURS, image, m->pad_in[IMAGE]->w);
    add_grid(&s, &mode_in[LABEL], 0, &none, m->mask[LABEL]->w);
    encode_all(&m->net, &s, "modes, latents");
}

/* The outputs of one mode at some indices. */
static void ask_mode(modes *m, int mode, const int *index, int n, real *out)
{
    const pcv_param *pad = m->pad_out[mode];
    real ask[3 * ASKED], shared[3 * SHARED];

    for (int i = 0; i < n; i++) {
        real *row = ask + i * ASKED, *end = row + ASKED - pad->count;

        if (mode == LABEL)
            memcpy(row, m->label->w, LEARNED * sizeof *row);
        else
            features(&mode_out[mode], index[i], false, row);
        memcpy(end, pad->w, pad->count * sizeof *row);
    }
    decode(&m->net, ask, n, shared);
    pcv_linear_forward(&m->head[mode], shared, n, out);
}

/* Each of the last two layers leaves a few thousandths of what it sums, so
 * weights rounded to float, alone, move these outputs by 3e-6, and sums in
 * float by 2e-5 to 2e-4, as the order of adding goes.  Queries of one mode
 * differ by less: the double build tells whether their positions are right. */
static void test_modes(void **state)
{
    static const double want[MODES][9] = {
        { 45.83862806, 47.84312966, 46.80213534, 42.88454296,
          45.83909470, 47.84369952, 46.80277058, 42.88520139 },
        { -31.68340944, -39.66118602, -45.01328375,
          -31.68352192, -39.66142194, -45.01362746,
          -31.68376458, -39.66194415, -45.01439453 },
        { 8.07526354, 17.33801194, 25.33168999, 31.68953672, 36.13148964 }
    };
    static const int index[MODES][3] = { { 1, 5 }, { 0, 9, 127 }, { 0 } };
    static const int count[] = { 2, 3, 1 };
    const double tol = HELP_TOL(5e-4, 1e-8);
    real out[9];
    modes m;

    (void)state;
    open_modes(&m);
    read_modes(&m);
    for (int i = 0; i < MODES; i++) {
        size_t n = (size_t)mode_outputs[i];

        ask_mode(&m, i, index[i], count[i], out);
        for (int k = 0; k < count[i]; k++)
            vector_check_to(tol, "modes", i, out + (size_t)k * n,
                            want[i] + (size_t)k * n, n);
    }
    pcv_params_free(&m.net.params);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_convolution),
        cmocka_unit_test(test_flow),
        cmocka_unit_test(test_modes),
    };

    return cmocka_run_group_tests(tests, NULL, vector_report);
}
