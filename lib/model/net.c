/* net.c - from a spec to blocks and the plan of their uses.
 *
 * Round r of R: a cross-attend to the input (the first `cross_attends` rounds)
 * and L self-attention layers.  Which rounds share which weights is the rule
 * of Perceiver's tables 6 and 7, as two switches per kind: does the first
 * share, do the others share.  Sharing is nothing but the same block standing
 * in the plan again.
 *
 *   Perceiver            cross_attends = R, first cross own, rest shared,
 *                        one block for all rounds, mean decoder
 *   Perceiver IO         cross_attends = 1, one block, query decoder
 *
 * Answers: one, or one for each of several modalities, which share the block
 * of the decoder; their queries are padded to one width. */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define ENCODER "perceiver.encoder"

enum { PATH = 1100 };           /* the name of a part has its bound in files */

/* Which set of weights round r uses: 0 the first, 1 the shared rest, or one
 * per round. */
static int set_of(int r, bool share_first, bool share_rest)
{
    if (r == 0 || share_first)
        return 0;
    return share_rest ? 1 : r;
}

static int cross_set(const pcv_spec *s, int r)
{
    return set_of(r, s->share_first_cross, s->share_cross);
}

static int block_set(const pcv_spec *s, int r)
{
    return set_of(r, s->share_first_block, s->share_blocks);
}

/* Sets used by the first n rounds. */
static int sets(int (*set)(const pcv_spec *, int), const pcv_spec *s, int n)
{
    int most = -1;

    for (int r = 0; r < n; r++)
        most = set(s, r) > most ? set(s, r) : most;
    return most + 1;
}

/* The published names where a published model has the block; beyond that the
 * number of the set. */
static void cross_path(char *out, size_t n, int set)
{
    if (set == 0)
        snprintf(out, n, ENCODER ".cross_attention");
    else
        snprintf(out, n, ENCODER ".cross_attention_%d", set);
}

static void self_path(char *out, size_t n, int set, int layer)
{
    if (set == 0)
        snprintf(out, n, ENCODER ".self_attends.%d", layer);
    else
        snprintf(out, n, ENCODER ".self_attends_%d.%d", set, layer);
}

/* ---- blocks ---------------------------------------------------------- */

static pcv_block_shape cross_shape(const pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    int qk = s->qk ? s->qk : s->wide_from_query ? s->d : n->stem.c;
    pcv_block_shape b = { .d = s->d, .kv = n->stem.c, .qk = qk,
                          .v = s->v ? s->v : qk, .heads = s->cross_heads,
                          .widening = s->cross_widening, .act = s->act,
                          .residual = s->residual && !s->outer,
                          .no_bias = !s->qkv_bias, .outer = s->outer,
                          .out_twice = s->out_twice,
                          .extra_key = s->extra_key };

    return b;
}

static pcv_block_shape self_shape(const pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    int qk = s->self_qk ? s->self_qk : s->qk ? s->qk : s->d;
    int v = s->self_v ? s->self_v : s->v ? s->v : qk;
    pcv_block_shape b = { .d = s->d, .kv = s->self_context ? s->d : 0,
                          .qk = qk, .v = v, .heads = s->self_heads,
                          .widening = s->self_widening, .act = s->act,
                          .residual = !s->outer, .no_bias = !s->qkv_bias,
                          .outer = s->outer, .out_twice = s->out_twice,
                          .extra_key = s->extra_key };

    return b;
}

/* The width of queries and keys follows the same rule as in the encoder. */
static pcv_block_shape decoder_shape(const pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    int e = pcv_net_asked_width(n);
    int qk = s->decoder_qk ? s->decoder_qk : s->wide_from_query ? e : s->d;
    pcv_block_shape b = { .d = e, .kv = s->d, .qk = qk,
                          .v = s->decoder_v ? s->decoder_v : qk,
                          .heads = s->decoder_heads,
                          .widening = s->decoder_widening,
                          .act = s->act, .residual = s->decoder_residual,
                          .no_mlp = !s->decoder_mlp,
                          .no_bias = !s->qkv_bias };

    if (s->decoder == PCV_DECODE_GRID)
        b.residual = false;     /* positions and outputs differ in meaning */
    return b;
}

/* Cross-attends first (one per set), then the layers of each set of blocks. */
static int make_blocks(pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    int crosses = sets(cross_set, s, s->cross_attends);
    int layers = sets(block_set, s, s->rounds) * s->layers;
    pcv_block_shape cross = cross_shape(n), self = self_shape(n);
    char path[96];

    if (cross.qk % s->cross_heads || cross.v % s->cross_heads)
        return pcv_fail(EX_DATAERR, "cross-heads is %d, which does not divide "
                        "the cross-attend's %d and %d channels",
                        s->cross_heads, cross.qk, cross.v);
    n->block = pcv_alloc((size_t)(crosses + layers), sizeof *n->block);
    if (!n->block)
        return -1;
    n->blocks = crosses + layers;
    for (int i = 0; i < crosses; i++) {
        cross_path(path, sizeof path, i);
        pcv_block_init(&n->block[i], &n->params, path, &cross);
    }
    for (int i = 0; i < layers; i++) {
        self_path(path, sizeof path, i / s->layers, i % s->layers);
        pcv_block_init(&n->block[crosses + i], &n->params, path, &self);
    }
    return 0;
}

static int make_plan(pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    const pcv_block *self = n->block + sets(cross_set, s, s->cross_attends);

    n->use = pcv_alloc((size_t)(s->cross_attends + s->rounds * s->layers),
                       sizeof *n->use);
    if (!n->use)
        return -1;
    for (int r = 0; r < s->rounds; r++) {
        if (r < s->cross_attends) {
            pcv_use u = { &n->block[cross_set(s, r)], true };

            n->use[n->uses++] = u;
        }
        for (int i = 0; i < s->layers; i++) {
            pcv_use u = { &self[block_set(s, r) * s->layers + i], false };

            n->use[n->uses++] = u;
        }
    }
    return 0;
}

/* ---- input ----------------------------------------------------------- */

/* The grid that a model is for. */
static void stem_size(const pcv_spec *s, int size[3])
{
    const pcv_prep *p = &s->prep;
    int side = p->modality == PCV_FLOW ? 1 : s->block;

    size[0] = p->length;
    if (p->modality == PCV_SOUND)
        size[0] = (p->samples + s->patch - 1) / s->patch;
    if (p->modality == PCV_SOUND && p->mels && p->samples)
        size[0] = (int)pcv_prep_frames(p, (size_t)p->samples);
    if (p->modality == PCV_ONE_HOT)
        size[0] = 1;
    if (p->modality == PCV_IMAGE || p->modality == PCV_FLOW) {
        size[0] = p->height / side;
        size[1] = p->width / side;
    }
    if (p->modality == PCV_VIDEO) {
        size[0] = p->frames;
        size[1] = p->height / side;
        size[2] = p->width / side;
    }
}

static pcv_stem_spec stem_spec(const pcv_spec *s)
{
    pcv_stem_spec t = { .modality = s->prep.modality,
                        .channels = s->prep.channels, .patch = s->patch,
                        .mels = s->prep.mels,
                        .block = s->block, .convolve = s->convolve,
                        .position = s->position, .order = s->order,
                        .bands = s->bands, .pos_channels = s->pos_channels,
                        .pos_project = s->pos_project, .pos_add = s->pos_add,
                        .project = s->project, .vocab = s->vocab,
                        .embed = s->embed, .neighbours = s->neighbours,
                        .unpadded = s->unpadded,
                        .masked = s->masked, .permute = s->permute };

    memcpy(t.max_res, s->max_res, sizeof t.max_res);
    stem_size(s, t.size);
    return t;
}

static int make_stem(pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    pcv_stem_spec t = stem_spec(s);

    for (int i = 0; i < s->parts; i++)
        n->stem_part[i] = stem_spec(&s->part[i]);
    t.part = n->stem_part;
    t.name = (const char *const *)s->part_name;
    t.parts = s->parts;
    t.padding = s->padding;
    if (pcv_stem_init(&n->stem, &n->params, &t) < 0)
        return -1;
    if (s->prep.modality != PCV_BYTES)
        n->spec.embed = n->stem.c;      /* what Hugging Face calls d_model */
    return 0;
}

/* ---- output ---------------------------------------------------------- */

/* Axes of an output grid: that of pixels, or of rows of samples. */
static int grid_axes(const pcv_spec *s, int len[3])
{
    const pcv_prep *p = &s->prep;
    bool video = p->modality == PCV_VIDEO;

    if (p->modality == PCV_SOUND) {
        stem_size(s, len);
        return 1;
    }
    len[0] = video ? p->frames : p->height;
    len[1] = video ? p->height : p->width;
    len[2] = p->width;
    return video ? 3 : 2;
}

static pcv_queries_spec query_spec(const pcv_net *n, const pcv_spec *s,
                                   const char *path)
{
    static const int kind[] = { PCV_ASK_LEARNED, PCV_ASK_LEARNED, PCV_ASK_GRID,
                                PCV_ASK_INPUT };
    pcv_queries_spec q = { .kind = kind[s->decoder], .n = s->queries,
                           .e = s->query_channels ? s->query_channels
                                                  : n->spec.d,
                           .bands = s->query_bands, .by_index = s->by_index,
                           .position = PCV_POS_FOURIER, .path = path };

    if (q.kind == PCV_ASK_GRID)
        q.axes = grid_axes(s, q.len);
    if (q.kind == PCV_ASK_INPUT) {
        q.n = pcv_stem_elements(&n->stem);
        q.e = n->stem.c;
    }
    memcpy(q.max_res, s->max_res, sizeof q.max_res);
    return q;
}

int pcv_net_asked_width(const pcv_net *n)
{
    int most = 0;

    for (int i = 0; i < n->answers; i++)
        most = n->answer[i].queries.e > most ? n->answer[i].queries.e : most;
    return most + (n->spec.parts ? n->spec.query_padding : 0);
}

int pcv_net_outputs(const pcv_net *n)
{
    int most = 0;

    for (int i = 0; i < n->answers; i++)
        most = n->answer[i].outputs > most ? n->answer[i].outputs : most;
    return most;
}

int pcv_net_asked(const pcv_net *n, int most)
{
    int asked = 1;

    for (int i = 0; i < n->answers; i++)
        asked = n->answer[i].n > asked ? n->answer[i].n : asked;
    return asked < most ? asked : most;
}

/* Hugging Face's masked language model has one "decoder" less in its names. */
static const char *decoder_path(const pcv_spec *s)
{
    return s->tied ? "perceiver.decoder" : "perceiver.decoder.decoder";
}

static void path_of(char out[PATH], const pcv_spec *s, int part,
                    const char *whole, const char *prefix, const char *tail)
{
    if (s->parts)
        snprintf(out, PATH, "%s.%s.%s", prefix,
                 pcv_spec_answer_name(s, part), tail);
    else
        snprintf(out, PATH, "%s.%s", decoder_path(s), whole);
}

static int make_queries(pcv_net *n, int i)
{
    const pcv_spec *s = pcv_spec_answer(&n->spec, i);
    pcv_reply *a = &n->answer[i];
    char path[PATH];
    pcv_queries_spec q;

    path_of(path, &n->spec, i, "output_position_encodings",
            "perceiver.decoder.modalities",
            "decoder.output_position_encodings");
    q = query_spec(n, s, path);
    if (pcv_queries_init(&a->queries, &n->params, &q) < 0)
        return -1;
    a->n = a->queries.n;
    return 0;
}

/* Logits by the embedding of the input, and a bias. */
static void tied_head(pcv_net *n, pcv_linear *head)
{
    const pcv_param *e = n->stem.embedding;

    *head = (pcv_linear){ .w = n->stem.embedding, .in = (int)e->dim[1],
                          .out = (int)e->dim[0] };
    head->b = pcv_param_add(&n->params, "embedding_decoder", "bias", e->dim[0],
                            0, 0, 0, false);
}

static void make_head(pcv_net *n, int i, int in)
{
    pcv_reply *a = &n->answer[i];
    char path[PATH];

    if (n->spec.tied) {
        tied_head(n, &a->head);
        return;
    }
    path_of(path, &n->spec, i, "final_layer",
            "perceiver.output_postprocessor.modalities", "classifier");
    pcv_linear_init(&a->head, &n->params, path, in, a->outputs, true, 0);
}

static void mean_decoder(pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    pcv_reply *a = &n->answer[0];

    a->n = 1;
    if (s->head_norm)
        pcv_norm_init(&n->head_norm, &n->params, "head_norm", s->d);
    if (s->head_hidden)
        pcv_linear_init(&n->head_hidden, &n->params, "head_hidden", s->d, s->d,
                        true, 1 / sqrt((double)s->d));
    pcv_linear_init(&a->head, &n->params, "head", s->d, a->outputs, true, 0);
}

/* Pads of queries, and the layer before the parts' own. */
static void join_answers(pcv_net *n, int e)
{
    const pcv_spec *s = &n->spec;

    for (int i = 0; i < n->answers; i++)
        n->answer[i].pad = pcv_param_add(
            &n->params, "perceiver.decoder.padding",
            pcv_spec_answer_name(s, i), 1,
            (size_t)(e - n->answer[i].queries.e), 0, (real)0.02, true);
    pcv_linear_init(&n->shared, &n->params,
                    "perceiver.decoder.decoder.final_layer", e, s->shared,
                    true, 1 / sqrt((double)e));
}

static int make_decoder(pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    pcv_block_shape b;
    char path[PATH];

    n->answers = pcv_spec_answers(s);
    for (int i = 0; i < n->answers; i++) {
        n->answer[i].outputs = pcv_spec_answer(s, i)->outputs;
        n->answer[i].divide = (real)pcv_spec_answer(s, i)->divide;
    }
    if (s->decoder == PCV_DECODE_MEAN) {
        mean_decoder(n);
        return 0;
    }
    for (int i = 0; i < n->answers; i++)
        if (make_queries(n, i) < 0)
            return -1;
    b = decoder_shape(n);
    if (b.qk % b.heads || b.v % b.heads)
        return pcv_fail(EX_DATAERR, "decoder-heads is %d, which does not "
                        "divide the decoder's %d and %d channels", b.heads,
                        b.qk, b.v);
    snprintf(path, sizeof path, "%s.decoding_cross_attention", decoder_path(s));
    pcv_block_init(&n->decoder, &n->params, path, &b);
    if (s->parts)
        join_answers(n, b.d);
    for (int i = 0; i < n->answers; i++)
        make_head(n, i, s->parts ? s->shared : b.d);
    return 0;
}

int pcv_net_build(pcv_net *n, const pcv_spec *spec)
{
    memset(n, 0, sizeof *n);
    if (pcv_spec_check(spec) < 0 || pcv_spec_copy(&n->spec, spec) < 0 ||
        make_stem(n) < 0)
        goto fail;
    n->latents = pcv_param_add(&n->params, "perceiver.embeddings", "latents",
                               (size_t)spec->latents, (size_t)spec->d, 0,
                               (real)0.02, true);
    if (make_blocks(n) < 0 || make_plan(n) < 0 || make_decoder(n) < 0)
        goto fail;
    if (n->params.failed) {
        pcv_fail(EX_OSERR, "out of memory for the parameter table");
        goto fail;
    }
    return 0;
fail:
    pcv_net_free(n);
    return -1;
}

int pcv_net_init(pcv_net *n, uint64_t seed)
{
    if (pcv_params_weights(&n->params) < 0)
        return -1;
    pcv_params_init(&n->params, seed);
    return 0;
}

void pcv_net_free(pcv_net *n)
{
    pcv_net_unpack(n);
    pcv_params_free(&n->params);
    pcv_tensors_close(&n->file);
    for (int i = 0; i < n->answers; i++)
        pcv_queries_free(&n->answer[i].queries);
    pcv_stem_free(&n->stem);
    pcv_spec_free(&n->spec);
    pcv_free(n->block);
    pcv_free(n->use);
    memset(n, 0, sizeof *n);
}
