/* session.c - one pass through a model: two loops over the plan, forward and
 * in reverse.
 *
 * Memory is planned first: the layout functions run once on an arena that only
 * counts and once on the real one.  In training each use of a block leaves a
 * record; under a bound of memory only the last ones do, and of the others the
 * input alone is kept and the record made again just before it is needed.  At
 * inference there is one record and two latent arrays. */
#include "model.h"

#include <math.h>
#include <string.h>

static size_t latent_size(const pcv_session *s)
{
    const pcv_spec *p = &s->net->spec;

    return (size_t)s->items * (size_t)s->n * (size_t)p->d;
}

static bool keeps(const pcv_session *s, int use)
{
    return use >= s->net->uses - s->kept;
}

static bool has_mean(const pcv_session *s)
{
    return s->net->spec.decoder == PCV_DECODE_MEAN;
}

/* In training such queries have to be positions alone. */
bool pcv_session_asks_grid(const pcv_session *s, int which, pcv_segment *grid)
{
    const pcv_reply *a = &s->net->answer[which];
    const pcv_block *b = &s->net->decoder;
    const pcv_segment *of = has_mean(s) ? NULL
                            : pcv_queries_grid(&a->queries, &s->batch.tokens);

    if (!of || (s->train && (of->c || a->pad || b->residual)))
        return false;
    *grid = *of;
    if (a->pad) {
        grid->k_at = a->queries.e;
        grid->k_n = b->d - a->queries.e;
        grid->k = a->pad->w;
    }
    return pcv_ask_serves(b, grid, s->n);
}

/* At inference the latents are asked many times, chunk by chunk: their keys
 * and values stay, as they do where they are folded. */
static int decoder_form(const pcv_session *s)
{
    pcv_segment grid;

    return s->train && !pcv_session_asks_grid(s, 0, &grid) ? PCV_FORM_PLAIN
                                                           : PCV_FORM_KEPT;
}

/* A layer with a norm of its own for what it reads attends to the latents as
 * if they were an input. */
static const pcv_tokens *tokens_of(const pcv_session *s, const pcv_use *u)
{
    return u->input ? &s->batch.tokens
           : u->block->cross ? &s->own.tokens : NULL;
}

static int form_for(const pcv_session *s, const pcv_use *u)
{
    return u->input ? s->uses_form : PCV_FORM_PLAIN;
}

void pcv_session_open(pcv_session *s, const pcv_net *net, bool train,
                      int asked)
{
    memset(s, 0, sizeof *s);
    s->net = net;
    s->train = train;
    s->asked = asked;
    s->n = net->spec.latents;
}

/* The arenas stay: a plan is often followed by one of about its size. */
static void drop_plan(pcv_session *s)
{
    pcv_free(s->x);
    pcv_free(s->record);
    pcv_free(s->fold);
    s->x = NULL;
    s->record = NULL;
    s->fold = NULL;
    s->items = s->elements = 0;
}

void pcv_session_latents(pcv_session *s, int n)
{
    if (n != s->n)
        drop_plan(s);
    s->n = n;
}

void pcv_session_close(pcv_session *s)
{
    drop_plan(s);
    pcv_arena_close(&s->arena);
    pcv_arena_close(&s->scratch);
    pcv_batch_free(&s->batch);
}

/* ---- the memory plan ------------------------------------------------- */

static int form_of(const pcv_session *s)
{
    const pcv_block *b = s->net->use[0].block;
    pcv_reader r = { &b->norm_kv, &b->key, &b->value, b->heads };

    return pcv_read_form(&r, &s->batch.tokens, s->n, s->form);
}

static real *take(pcv_arena *a, size_t n)
{
    return pcv_arena_take(a, n, sizeof(real));
}

/* At inference the first cross-attend's queries are constants of the model: a
 * grid keeps them folded.  (An extra key wants the queries themselves.) */
static bool has_folds(const pcv_session *s)
{
    return !s->train && s->uses_form == PCV_FORM_GRID &&
           !s->net->use[0].block->bias_k;
}

static bool keep_folds(pcv_session *s, pcv_arena *a)
{
    const pcv_block *b = s->net->use[0].block;
    pcv_reader r = { &b->norm_kv, &b->key, &b->value, b->heads };

    return pcv_folds_layout(&r, &s->batch.tokens, s->n, a,
                            &s->folds);
}

/* Encoder: latent arrays and records. */
static void encoder_layout(pcv_session *s, pcv_arena *a)
{
    const pcv_net *n = s->net;
    size_t size = latent_size(s), start = a->used, most = 0;
    pcv_block_record rec;
    bool folds;

    for (int i = 0; i <= n->uses; i++) {
        real *x = !s->train && i > 1 ? s->x[i % 2] : take(a, size);

        s->x[i] = x;
    }
    if (s->train) {
        s->dx = take(a, size);
        s->dx_next = take(a, size);
    }
    folds = has_folds(s) && keep_folds(s, a);
    start = a->used;
    for (int i = n->uses - 1; i >= 0; i--) {
        const pcv_use *u = &n->use[i];

        a->used = start;
        pcv_block_layout(u->block, tokens_of(s, u), s->items, s->n,
                         form_for(s, u), a, &rec);
        rec.read.folds = i == 0 && folds ? &s->folds : NULL;
        s->record[i] = rec;
        start = keeps(s, i) ? a->used : start;
        most = a->used > most ? a->used : most;
    }
    a->used = most;
}

/* Folded latents, for one answer at a time: all in the same place. */
static void fold_layout(pcv_session *s, pcv_arena *a)
{
    size_t start = a->used, most = start;
    pcv_segment grid;

    for (int k = 0; k < s->net->answers; k++) {
        a->used = start;
        for (int i = 0; pcv_session_asks_grid(s, k, &grid) && i < s->items; i++)
            pcv_ask_layout(&s->net->decoder, &grid, s->n, a,
                           &s->fold[k * s->items + i]);
        most = a->used > most ? a->used : most;
    }
    a->used = most;
}

static void decoder_layout(pcv_session *s, pcv_arena *a)
{
    const pcv_net *n = s->net;
    int asked = has_mean(s) ? 1 : s->asked;
    size_t rows = (size_t)s->items * (size_t)asked;
    size_t e = (size_t)(has_mean(s) ? n->spec.d : pcv_net_asked_width(n));

    s->ask = take(a, rows * e);
    s->answer = take(a, rows * e);
    s->dask = s->train ? take(a, rows * e) : NULL;
    if (has_mean(s))
        s->pooled = take(a, rows * 2 + rows * e);
    else
        pcv_block_layout(&n->decoder, &s->latents.tokens, s->items, asked,
                         decoder_form(s), a, &s->decoded);
    fold_layout(s, a);
    if (n->shared.w)
        s->shared = take(a, rows * (size_t)n->shared.out);
    if (n->shared.w && s->train)
        s->dshared = take(a, rows * (size_t)n->shared.out);
    s->out = take(a, rows * (size_t)pcv_net_outputs(n));
    s->dout = s->train ? take(a, rows * (size_t)pcv_net_outputs(n)) : NULL;
}

static size_t decoder_scratch(const pcv_session *s)
{
    const pcv_net *n = s->net;
    size_t most = pcv_block_scratch(&n->decoder, &s->latents.tokens, s->items,
                                    s->asked, decoder_form(s), s->train);
    pcv_segment grid;

    for (int k = 0; k < n->answers; k++)
        if (pcv_session_asks_grid(s, k, &grid)) {
            size_t b = pcv_ask_scratch(&n->decoder, &grid, s->n);
            size_t back = s->train ? pcv_block_ask_scratch(
                                         &n->decoder, &s->latents.tokens, &grid,
                                         s->items, s->asked) : 0;

            b = back > b ? back : b;
            most = b > most ? b : most;
        }
    return most;
}

static size_t scratch_need(const pcv_session *s)
{
    const pcv_net *n = s->net;
    size_t most = has_mean(s) ? 0 : decoder_scratch(s);

    for (int i = 0; i < n->uses; i++) {
        size_t b = pcv_block_scratch(n->use[i].block,
                                     tokens_of(s, &n->use[i]), s->items,
                                     s->n,
                                     form_for(s, &n->use[i]), s->train);

        most = b > most ? b : most;
    }
    return most + 4096;
}

static void layout(pcv_session *s, pcv_arena *a)
{
    encoder_layout(s, a);
    decoder_layout(s, a);
}

/* The axes of the input; of an absent part they are 0, of one without a grid
 * its elements. */
static void grid_of(const pcv_session *s, int len[1 + PCV_MOST_PARTS][3])
{
    const pcv_batch *b = &s->batch;

    memset(len, 0, sizeof s->len);
    memcpy(len[0], b->len, sizeof b->len);
    for (int i = 0; b->part && i < s->net->stem.spec.parts; i++) {
        if (!b->part[i].tokens.tile)
            continue;
        memcpy(len[1 + i], b->part[i].len, sizeof b->part[i].len);
        if (!len[1 + i][0])
            len[1 + i][0] = b->part[i].tokens.n;
    }
}

static size_t planned(pcv_session *s)
{
    pcv_arena count = {0};

    layout(s, &count);
    return count.peak;
}

/* As many records as the bound allows, the last ones, which backward wants
 * first. */
static int choose_kept(pcv_session *s)
{
    s->kept = s->train ? s->net->uses : 0;
    while (s->most && s->kept && planned(s) > s->most)
        s->kept--;
    s->bytes = planned(s);
    if (!s->most || s->bytes <= s->most)
        return 0;
    return pcv_fail(EX_DATAERR, "a pass over %d items takes at least %.2f MB, "
                    "max-mem allows %.2f", s->items, (double)s->bytes / 1e6,
                    (double)s->most / 1e6);
}

static int plan(pcv_session *s, int items)
{
    const pcv_net *n = s->net;

    drop_plan(s);
    if (pcv_blas_room() < 0)
        return -1;
    s->items = items;
    s->elements = s->batch.tokens.n;
    grid_of(s, s->len);
    s->x = pcv_alloc((size_t)n->uses + 1, sizeof *s->x);
    s->record = pcv_alloc((size_t)n->uses, sizeof *s->record);
    s->fold = pcv_alloc((size_t)n->answers * (size_t)items, sizeof *s->fold);
    if (!s->x || !s->record || !s->fold)
        goto fail;
    s->uses_form = form_of(s);
    pcv_rows_bind(&s->latents, NULL, NULL, items, s->n, n->spec.d);
    pcv_rows_bind(&s->own, NULL, NULL, items, s->n, n->spec.d);
    if (choose_kept(s) < 0 || pcv_arena_reserve(&s->arena, s->bytes) < 0 ||
        pcv_arena_reserve(&s->scratch, scratch_need(s)) < 0)
        goto fail;
    layout(s, &s->arena);
    return 0;
fail:
    drop_plan(s);               /* or the next bind would take it for planned */
    return -1;
}

/* Scratch depends on the lengths of the axes, not on their product alone, and
 * on which parts are there. */
static bool same_grid(const pcv_session *s)
{
    int len[1 + PCV_MOST_PARTS][3];

    grid_of(s, len);
    return s->elements == s->batch.tokens.n &&
           !memcmp(s->len, len, sizeof len);
}

int pcv_session_bind(pcv_session *s, const pcv_array *const *x, int items)
{
    if (pcv_batch_bind(&s->batch, &s->net->stem, x, items) < 0)
        return -1;
    if (s->x && s->items == items && same_grid(s))
        return 0;
    return plan(s, items);
}

int pcv_session_plan(pcv_session *s, int items, const real *latents)
{
    s->batch.tokens.items = items;
    s->batch.tokens.c = s->net->stem.c;
    if (s->items != items && plan(s, items) < 0)
        return -1;
    memcpy(s->x[s->net->uses], latents, latent_size(s) * sizeof(real));
    s->prepared = false;
    return 0;
}

/* ---- encode ---------------------------------------------------------- */

static void start_latents(pcv_session *s)
{
    size_t one = (size_t)s->n * (size_t)s->net->spec.d;

    for (int b = 0; b < s->items; b++)
        memcpy(s->x[0] + (size_t)b * one, s->net->latents->w,
               one * sizeof(real));
}

static void use_forward(pcv_session *s, const pcv_pass *pass, int i, real *y)
{
    const pcv_use *u = &s->net->use[i];

    s->own.rows = s->x[i];
    pcv_block_forward(u->block, tokens_of(s, u), s->items,
                      s->n, form_for(s, u), pass, i, s->x[i],
                      y, &s->record[i], &s->scratch);
}

const real *pcv_session_encode(pcv_session *s, const pcv_pass *pass)
{
    start_latents(s);
    s->prepared = false;
    for (int i = 0; i < s->net->uses; i++)
        use_forward(s, pass, i, s->x[i + 1]);
    return s->x[s->net->uses];
}

const real *pcv_session_cross(pcv_session *s, const pcv_pass *pass)
{
    start_latents(s);
    s->prepared = false;
    use_forward(s, pass, 0, s->x[1]);
    return s->x[1];
}

/* ---- decode ---------------------------------------------------------- */

/* Mean over latents (Perceiver, appendix C). */
static void pool(const pcv_session *s, const real *x)
{
    int n = s->n, d = s->net->spec.d;
    const pcv_rows *k = pcv_rows_get();

    memset(s->pooled, 0, (size_t)s->items * (size_t)d * sizeof(real));
    for (int b = 0; b < s->items; b++)
        for (int i = 0; i < n; i++)
            k->axpy(s->pooled + (size_t)b * (size_t)d,
                    x + ((size_t)b * (size_t)n + (size_t)i) * (size_t)d, d,
                    (real)1 / (real)n);
}

/* The latents are folded for one answer until another is asked for. */
static void ask_grid(pcv_session *s, const pcv_pass *pass, int which,
                     const pcv_segment *grid, const int *index, int n)
{
    const pcv_block *b = &s->net->decoder;
    size_t latents = (size_t)s->n;
    pcv_ask_fold *fold = &s->fold[which * s->items];
    const real *k = s->decoded.read.k, *v = s->decoded.read.v;

    for (size_t i = 0; s->folded != which && i < (size_t)s->items; i++)
        pcv_ask_prepare(b, grid, k + i * latents * (size_t)b->qk,
                        v + i * latents * (size_t)b->v, &fold[i], &s->scratch);
    s->folded = which;
    pcv_block_ask(b, grid, fold, s->items, index, n, pass, s->net->uses + which,
                  s->ask, s->answer, &s->decoded, &s->scratch);
}

static const int *of_item(const int *index, int item, int n)
{
    return index ? index + (size_t)item * (size_t)n : NULL;
}

/* Queries of all items, padded to the common width, and the block's answer. */
static void ask(pcv_session *s, const pcv_pass *pass, int which,
                const int *index, int n)
{
    const pcv_net *net = s->net;
    const pcv_reply *a = &net->answer[which];
    size_t e = (size_t)net->decoder.d, own = (size_t)a->queries.e;
    real *row = s->ask;
    pcv_segment grid;

    for (int b = 0; b < s->items; b++)
        pcv_queries_rows(&a->queries, &s->batch.tokens, b, of_item(index, b, n),
                         n, s->ask + (size_t)b * (size_t)n * e, (int)e);
    for (int i = 0; a->pad && i < s->items * n; i++, row += e)
        memcpy(row + own, a->pad->w, (e - own) * sizeof *row);
    pcv_rows_bind(&s->latents, s->x[net->uses], s->train ? s->dx : NULL,
                  s->items, s->n, net->spec.d);
    if (decoder_form(s) == PCV_FORM_KEPT && !s->prepared) {
        pcv_block_prepare(&net->decoder, &s->latents.tokens, &s->decoded,
                          &s->scratch);
        s->folded = -1;
    }
    s->prepared = true;
    if (pcv_session_asks_grid(s, which, &grid))
        ask_grid(s, pass, which, &grid, index, n);
    else
        pcv_block_forward(&net->decoder, &s->latents.tokens, s->items, n,
                          decoder_form(s), pass, net->uses + which, s->ask,
                          s->answer,
                          &s->decoded, &s->scratch);
}

static real *pooled_stats(const pcv_session *s)
{
    return s->pooled + (size_t)s->items * (size_t)s->net->spec.d;
}

/* The mean of the latents, in `answer`. */
static void mean_answer(pcv_session *s)
{
    const pcv_net *n = s->net;

    pool(s, s->x[n->uses]);
    if (n->head_norm.n)
        pcv_norm_forward(&n->head_norm, s->pooled, s->items, s->answer,
                         pooled_stats(s));
    else
        memcpy(s->answer, s->pooled, (size_t)s->items * (size_t)n->spec.d *
                                         sizeof *s->answer);
    if (!n->head_hidden.w)
        return;
    memcpy(s->ask, s->answer, (size_t)s->items * (size_t)n->spec.d *
                                  sizeof *s->ask);
    pcv_linear_forward(&n->head_hidden, s->ask, s->items, s->answer);
}

/* x = log softmax(x), rows of k. */
static void log_softmax(real *x, int rows, int k)
{
    for (int i = 0; i < rows; i++, x += k) {
        double top = (double)pcv_rows_get()->max(x, k), sum = 0;

        for (int j = 0; j < k; j++)
            sum += exp((double)x[j] - top);
        for (int j = 0; j < k; j++)
            x[j] = (real)((double)x[j] - top - log(sum));
    }
}

const real *pcv_session_decode(pcv_session *s, const pcv_pass *pass, int which,
                               const int *index, int n)
{
    const pcv_net *net = s->net;
    const pcv_reply *a = &net->answer[which];
    const real *y = s->answer;

    s->index = index;
    s->which = which;
    if (has_mean(s))
        mean_answer(s);
    else
        ask(s, pass, which, index, n);
    if (net->shared.w) {
        pcv_linear_forward(&net->shared, y, s->items * n, s->shared);
        y = s->shared;
    }
    pcv_linear_forward(&a->head, y, s->items * n, s->out);
    if (a->divide < 1 || a->divide > 1)
        for (size_t i = 0; i < (size_t)(s->items * n) * (size_t)a->outputs; i++)
            s->out[i] /= a->divide;
    if (net->spec.log_softmax)
        log_softmax(s->out, s->items * n, a->outputs);
    return s->out;
}

/* ---- backward -------------------------------------------------------- */

/* ask: what the hidden layer read; dask, answer and ask take turns. */
static void mean_backward(pcv_session *s)
{
    const pcv_net *net = s->net;
    int n = s->n, d = net->spec.d;
    const pcv_rows *k = pcv_rows_get();
    size_t size = (size_t)s->items * (size_t)d * sizeof(real);
    real *dpooled = s->dask;

    memset(s->dask, 0, size);
    pcv_linear_backward(&net->answer[0].head, s->answer, s->dout, s->items,
                        s->dask);
    if (net->head_hidden.w) {
        memcpy(s->answer, s->dask, size);
        memset(s->dask, 0, size);
        pcv_linear_backward(&net->head_hidden, s->ask, s->answer, s->items,
                            s->dask);
    }
    if (net->head_norm.n) {
        dpooled = s->ask;
        memset(dpooled, 0, size);
        pcv_norm_backward(&net->head_norm, s->pooled, pooled_stats(s), s->dask,
                          s->items, dpooled);
    }
    for (int b = 0; b < s->items; b++)
        for (int i = 0; i < n; i++)
            k->axpy(s->dx + ((size_t)b * (size_t)n + (size_t)i) * (size_t)d,
                    dpooled + (size_t)b * (size_t)d, d, (real)1 / (real)n);
}

/* From dout to the gradient of what the decoder's block gave, in `answer`,
 * which is no longer needed once the heads have gone. */
static void head_backward(pcv_session *s, int n)
{
    const pcv_net *net = s->net;
    const pcv_reply *a = &net->answer[s->which];
    size_t rows = (size_t)s->items * (size_t)n, e = (size_t)net->decoder.d;
    size_t outs = rows * (size_t)a->outputs;
    const real *y = net->shared.w ? s->shared : s->answer;
    real *dy = net->shared.w ? s->dshared : s->dask;

    for (size_t i = 0; i < outs && (a->divide < 1 || a->divide > 1); i++)
        s->dout[i] /= a->divide;
    memset(dy, 0, rows * (size_t)a->head.in * sizeof *dy);
    pcv_linear_backward(&a->head, y, s->dout, s->items * n, dy);
    if (net->shared.w) {
        memset(s->dask, 0, rows * e * sizeof *dy);
        pcv_linear_backward(&net->shared, s->answer, dy, s->items * n,
                            s->dask);
    }
    memcpy(s->answer, s->dask, rows * e * sizeof *dy);
}

/* Rows of dask: what a query learns, and what fills it. */
static void query_backward(pcv_session *s, int n)
{
    const pcv_reply *a = &s->net->answer[s->which];
    size_t e = (size_t)s->net->decoder.d, own = (size_t)a->queries.e;
    const real *row = s->dask;

    for (int b = 0; b < s->items; b++)
        pcv_queries_backward(&a->queries, of_item(s->index, b, n), n,
                             s->dask + (size_t)b * (size_t)n * e, (int)e);
    for (int i = 0; a->pad && a->pad->g && i < s->items * n; i++, row += e)
        pcv_rows_get()->add(a->pad->g, row + own, (int)(e - own));
}

static void decode_backward(pcv_session *s, const pcv_pass *pass, int n)
{
    const pcv_net *net = s->net;
    int use = net->uses + s->which;
    pcv_segment grid;

    head_backward(s, n);
    if (pcv_session_asks_grid(s, s->which, &grid)) {
        pcv_block_ask_backward(&net->decoder, &s->latents.tokens, &grid,
                               &s->fold[s->which * s->items], s->items,
                               s->index, n, pass, use, s->ask, s->answer,
                               &s->decoded, &s->scratch);
        return;
    }
    memset(s->dask, 0, (size_t)s->items * (size_t)n * (size_t)net->decoder.d *
                           sizeof *s->dask);
    pcv_block_backward(&net->decoder, &s->latents.tokens, s->items, n,
                       decoder_form(s), pass, use, s->ask, s->answer,
                       &s->decoded, s->dask, &s->scratch);
    query_backward(s, n);
}

static void use_backward(pcv_session *s, const pcv_pass *pass, int i)
{
    const pcv_use *u = &s->net->use[i];
    real *t;

    if (!keeps(s, i))           /* made again, bit for bit */
        use_forward(s, pass, i, s->dx_next);
    memset(s->dx_next, 0, latent_size(s) * sizeof(real));
    pcv_block_backward(u->block, tokens_of(s, u), s->items, s->n,
                       form_for(s, u), pass, i, s->x[i], s->dx, &s->record[i],
                       s->dx_next, &s->scratch);
    t = s->dx;
    s->dx = s->dx_next;
    s->dx_next = t;
}

void pcv_session_backward_start(pcv_session *s)
{
    memset(s->dx, 0, latent_size(s) * sizeof(real));
}

void pcv_session_backward_answer(pcv_session *s, const pcv_pass *pass, int n)
{
    if (has_mean(s))
        mean_backward(s);
    else
        decode_backward(s, pass, n);
}

void pcv_session_backward_encode(pcv_session *s, const pcv_pass *pass)
{
    const pcv_param *l = s->net->latents;
    size_t one = (size_t)s->n * (size_t)s->net->spec.d;

    for (int i = s->net->uses - 1; i >= 0; i--)
        use_backward(s, pass, i);
    for (int b = 0; l->g && b < s->items; b++)
        pcv_rows_get()->add(l->g, s->dx + (size_t)b * one, (int)one);
    pcv_batch_backward(&s->batch);
}
