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
 *   Perceiver IO         cross_attends = 1, one block, query decoder */
#include "model.h"

#include <stdio.h>
#include <string.h>

#define ENCODER "perceiver.encoder"
#define DECODER "perceiver.decoder.decoder"

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
    int qk = s->qk ? s->qk : n->stem.c;
    pcv_block_shape b = { s->d, n->stem.c, qk, s->v ? s->v : qk,
                          s->cross_heads, s->cross_widening, s->act,
                          s->residual };

    return b;
}

static pcv_block_shape self_shape(const pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    int qk = s->qk ? s->qk : s->d;
    pcv_block_shape b = { s->d, 0, qk, s->v ? s->v : qk, s->self_heads,
                          s->self_widening, s->act, true };

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

/* ---- input and output ------------------------------------------------ */

static pcv_stem_spec stem_spec(const pcv_spec *s)
{
    pcv_stem_spec t = { .modality = s->prep.modality,
                        .channels = s->prep.channels, .patch = s->patch,
                        .position = s->position, .bands = s->bands,
                        .pos_channels = s->pos_channels,
                        .pos_project = s->pos_project, .project = s->project,
                        .vocab = s->vocab, .embed = s->embed };

    memcpy(t.max_res, s->max_res, sizeof t.max_res);
    t.size[0] = s->prep.modality == PCV_IMAGE ? s->prep.height
                : s->prep.modality == PCV_SOUND
                      ? (s->prep.samples + s->patch - 1) / s->patch
                      : s->prep.length;
    t.size[1] = s->prep.width;
    return t;
}

static pcv_queries_spec query_spec(const pcv_spec *s)
{
    bool image = s->prep.modality == PCV_IMAGE;
    pcv_stem_spec t = stem_spec(s);
    pcv_queries_spec q = { .kind = s->decoder == PCV_DECODE_GRID
                                       ? PCV_ASK_GRID : PCV_ASK_LEARNED,
                           .n = 1, .e = s->d, .axes = image ? 2 : 1,
                           .bands = s->query_bands,
                           .position = PCV_POS_FOURIER,
                           .path = DECODER ".output_position_encodings" };

    memcpy(q.len, t.size, sizeof q.len);
    memcpy(q.max_res, s->max_res, sizeof q.max_res);
    return q;
}

/* A reconstruction answers per query what the input had per element. */
int pcv_net_queries(const pcv_net *n)
{
    return n->spec.decoder == PCV_DECODE_MEAN ? 1 : n->queries.n;
}

static int make_decoder(pcv_net *n)
{
    const pcv_spec *s = &n->spec;
    pcv_queries_spec q = query_spec(s);
    pcv_block_shape b = { 0, s->d, s->d, s->d, s->decoder_heads, 1, s->act,
                          s->decoder_residual };

    if (s->decoder == PCV_DECODE_MEAN) {
        pcv_linear_init(&n->head, &n->params, "head", s->d, s->outputs, true,
                        0);
        return 0;
    }
    if (pcv_queries_init(&n->queries, &n->params, &q) < 0)
        return -1;
    b.d = n->queries.e;
    if (s->decoder == PCV_DECODE_GRID)
        b.residual = false;     /* positions and outputs differ in meaning */
    pcv_block_init(&n->decoder, &n->params, DECODER ".decoding_cross_attention",
                   &b);
    pcv_linear_init(&n->head, &n->params, DECODER ".final_layer", b.d,
                    s->outputs, true, 0);
    return 0;
}

int pcv_net_build(pcv_net *n, const pcv_spec *spec)
{
    pcv_stem_spec stem = stem_spec(spec);

    memset(n, 0, sizeof *n);
    if (pcv_spec_check(spec) < 0 || pcv_spec_copy(&n->spec, spec) < 0 ||
        pcv_stem_init(&n->stem, &n->params, &stem) < 0)
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
    pcv_params_free(&n->params);
    pcv_queries_free(&n->queries);
    pcv_spec_free(&n->spec);
    pcv_free(n->block);
    pcv_free(n->use);
    pcv_free(n->fingerprint);
    memset(n, 0, sizeof *n);
}
