/* names.c - the names that other programs give to the same tensors.
 *
 * A name of ours is a layer (head) and what it has (tail):
 *
 *     perceiver.encoder.self_attends.3. | attention.self.query.weight
 *
 * A dialect has a row for each kind of layer, with the beginnings of its names
 * for attention and for MLP, and a row for each tail; '#' stands for a number
 * of ours, "$1" and "$2" for the first and second of them in theirs.  Where
 * they keep in one tensor what are two or three of ours, the tail says which
 * part it is.
 *
 * lucidrains/perceiver-pytorch, krasserm/perceiver-io, louislva's Perceiver. */
#include "model.h"

#include <ctype.h>
#include <string.h>

typedef struct {
    const char *ours;
    bool mlp;
    const char *theirs;
    pcv_slice slice;
} tail_row;

typedef struct {
    const char *ours, *attend, *mlp;
    const tail_row *tails;
} head_row;

typedef struct {
    const char *prefix;         /* before theirs, but for those with a '/' */
    const head_row *heads;
    const tail_row *whole;      /* names that are no layer's */
    const char *repeats;        /* "layers.": what is shared stands there .. */
    int base;                   /* .. again from number base + 1 on */
} dialect;

#define ALL { PCV_SLICE_ALL, 0, 0 }
#define ROWS(part, parts) { PCV_SLICE_ROWS, part, parts }
#define ENCODER "perceiver.encoder."
#define INPUT "perceiver.input_preprocessor."
#define ASK "perceiver.decoder.decoder."

/* ---- lucidrains ------------------------------------------------------ */

static const tail_row lucid_tails[] = {
    { "attention.self.layernorm1.", false, "norm.", ALL },
    { "attention.self.layernorm2.", false, "norm_context.", ALL },
    { "attention.self.query.", false, "fn.to_q.", ALL },
    { "attention.self.key.", false, "fn.to_kv.", ROWS(0, 2) },
    { "attention.self.value.", false, "fn.to_kv.", ROWS(1, 2) },
    { "attention.output.dense.", false, "fn.to_out.", ALL },
    { "layernorm.", true, "norm.", ALL },
    { "mlp.dense1.", true, "fn.net.0.", ALL },
    { "mlp.dense2.", true, "fn.net.2.", ALL },
    { NULL, false, NULL, ALL },
};

static const head_row lucid_heads[] = {
    { ENCODER "cross_attention.", "layers.0.0.", "layers.0.1.", lucid_tails },
    { ENCODER "cross_attention_#.", "layers.$1.0.", "layers.$1.1.",
      lucid_tails },
    { ENCODER "self_attends.#.", "layers.0.2.$1.0.", "layers.0.2.$1.1.",
      lucid_tails },
    { ENCODER "self_attends_#.#.", "layers.$1.2.$2.0.", "layers.$1.2.$2.1.",
      lucid_tails },
    { NULL, NULL, NULL, NULL },
};

static const tail_row lucid_whole[] = {
    { "perceiver.embeddings.latents", false, "latents", ALL },
    { "head_norm.", false, "to_logits.1.", ALL },
    { "head.", false, "to_logits.2.", ALL },
    { NULL, false, NULL, ALL },
};

static const head_row lucid_io_heads[] = {
    { ENCODER "cross_attention.", "cross_attend_blocks.0.",
      "cross_attend_blocks.1.", lucid_tails },
    { ENCODER "self_attends.#.", "layers.$1.0.", "layers.$1.1.", lucid_tails },
    { ASK "decoding_cross_attention.", "decoder_cross_attn.", "decoder_ff.",
      lucid_tails },
    { NULL, NULL, NULL, NULL },
};

static const tail_row lucid_io_whole[] = {
    { "perceiver.embeddings.latents", false, "latents", ALL },
    { ASK "output_position_encodings.position_embeddings", false, "queries",
      ALL },
    { ASK "final_layer.", false, "to_logits.", ALL },
    { INPUT "embeddings.weight", false, "/token_emb.weight", ALL },
    { INPUT "position_embeddings.weight", false, "/pos_emb.weight", ALL },
    { NULL, false, NULL, ALL },
};

/* ---- krasserm -------------------------------------------------------- */

#define KRASSERM(norm) \
    { "attention.self.layernorm1.", false, norm, ALL }, \
    { "attention.self.layernorm2.", false, "kv_norm.", ALL }, \
    { "attention.self.query.", false, "attention.q_proj.", ALL }, \
    { "attention.self.key.", false, "attention.k_proj.", ALL }, \
    { "attention.self.value.", false, "attention.v_proj.", ALL }, \
    { "attention.output.dense.", false, "attention.o_proj.", ALL }, \
    { "layernorm.", true, "0.", ALL }, \
    { "mlp.dense1.", true, "1.", ALL }, \
    { "mlp.dense2.", true, "3.", ALL }, \
    { NULL, false, NULL, ALL }

static const tail_row krasserm_cross[] = { KRASSERM("q_norm.") };
static const tail_row krasserm_self[] = { KRASSERM("norm.") };

static const head_row krasserm_heads[] = {
    { ENCODER "cross_attention.", "0.cross_attn_1.0.module.",
      "0.cross_attn_1.1.module.", krasserm_cross },
    { ENCODER "self_attends.#.", "0.self_attn_1.$1.0.module.",
      "0.self_attn_1.$1.1.module.", krasserm_self },
    { NULL, NULL, NULL, NULL },
};

static const tail_row krasserm_whole[] = {
    { "perceiver.embeddings.latents", false, "0.latent_provider._query", ALL },
    { INPUT "position_embeddings.position_embeddings", false,
      "0.input_adapter.position_encoding.position_encoding", ALL },
    { "head_norm.", false, "to_logits.1.", ALL },
    { "head.", false, "to_logits.2.", ALL },
    { NULL, false, NULL, ALL },
};

/* ---- louislva -------------------------------------------------------- */

static const tail_row louislva_tails[] = {
    { "attention.self.layernorm1.", false, "layer_norm_1.", ALL },
    { "attention.self.layernorm2.", false, "layer_norm_x.", ALL },
    { "attention.self.query.", false, "attention.in_proj_", ROWS(0, 3) },
    { "attention.self.key.", false, "attention.in_proj_", ROWS(1, 3) },
    { "attention.self.value.", false, "attention.in_proj_", ROWS(2, 3) },
    { "attention.self.bias_", false, "attention.bias_", ALL },
    { "attention.output.dense.", false, "attention.out_proj.", ALL },
    { "attention.output.dense2.", false, "linear1.", ALL },
    { "layernorm.", true, "layer_norm_2.", ALL },
    { "mlp.dense1.", true, "linear2.", ALL },
    { "mlp.dense2.", true, "linear3.", ALL },
    { NULL, false, NULL, ALL },
};

#define LOUISLVA(ours, theirs) { ours, theirs, theirs, louislva_tails }

static const head_row louislva_heads[] = {
    LOUISLVA(ENCODER "cross_attention.", "block1.module.cross_attention."),
    LOUISLVA(ENCODER "cross_attention_#.", "block2.module.cross_attention."),
    LOUISLVA(ENCODER "self_attends.#.", "block1.module.latent_attentions.$1."),
    LOUISLVA(ENCODER "self_attends_#.#.",
             "block2.module.latent_attentions.$2."),
    { NULL, NULL, NULL, NULL },
};

/* One layer over [pixel | positions] is the sum of two. */
static const tail_row louislva_whole[] = {
    { "perceiver.embeddings.latents", false, "init_latent", ALL },
    { INPUT "convnet_1x1.weight", false, "embedding.weight",
      { PCV_SLICE_COLUMNS, 0, 0 } },
    { INPUT "convnet_1x1.bias", false, "embedding.bias", ALL },
    { INPUT "positions_projection.weight", false, "embedding.weight",
      { PCV_SLICE_COLUMNS, 1, 0 } },
    { INPUT "position_embeddings.position_embeddings", false,
      "fourier_features", { PCV_SLICE_TRANSPOSED, 0, 0 } },
    { "head_hidden.", false, "/linear1.", ALL },
    { "head.", false, "/linear2.", ALL },
    { NULL, false, NULL, ALL },
};

static const dialect dialects[] = {
    [PCV_NAMES_LUCIDRAINS] = { "", lucid_heads, lucid_whole, "layers.", 1 },
    [PCV_NAMES_LUCIDRAINS_IO] = { "", lucid_io_heads, lucid_io_whole,
                                  "layers.", 0 },
    [PCV_NAMES_LUCIDRAINS_LM] = { "perceiver_io.", lucid_io_heads,
                                  lucid_io_whole, "perceiver_io.layers.", 0 },
    [PCV_NAMES_KRASSERM] = { "model.", krasserm_heads, krasserm_whole, NULL,
                             0 },
    [PCV_NAMES_LOUISLVA] = { "perceiver.", louislva_heads, louislva_whole,
                             NULL, 0 },
};

/* ---- translation ----------------------------------------------------- */

typedef struct {
    const char *at[2];          /* the numbers in a name of ours */
    int digits[2], count;
} numbers;

/* How much of the name the pattern takes; 0: it does not fit. */
static size_t fits(const char *pattern, const char *name, numbers *n)
{
    const char *from = name;

    n->count = 0;
    for (; *pattern; pattern++) {
        if (*pattern != '#') {
            if (*name++ != *pattern)
                return 0;
            continue;
        }
        n->at[n->count] = name;
        while (isdigit((unsigned char)*name))
            name++;
        n->digits[n->count] = (int)(name - n->at[n->count]);
        if (n->digits[n->count++] == 0)
            return 0;
    }
    return (size_t)(name - from);
}

static void expand(const char *theirs, const numbers *n, pcv_buf *out)
{
    for (; *theirs; theirs++) {
        int k = theirs[0] == '$' ? theirs[1] - '1' : 0;

        if (*theirs != '$') {
            pcv_buf_add(out, theirs, 1);
            continue;
        }
        pcv_buf_add(out, n->at[k], (size_t)n->digits[k]);
        theirs++;
    }
}

/* The row whose beginning the name has. */
static const tail_row *find_tail(const tail_row *rows, const char *name)
{
    for (; rows->ours; rows++)
        if (!strncmp(rows->ours, name, strlen(rows->ours)))
            return rows;
    return NULL;
}

static bool whole_name(const dialect *d, const char *ours, pcv_buf *theirs,
                       pcv_slice *slice)
{
    const tail_row *t = find_tail(d->whole, ours);

    if (!t)
        return false;
    if (*t->theirs != '/')
        pcv_buf_puts(theirs, d->prefix);
    pcv_buf_puts(theirs, t->theirs + (*t->theirs == '/'));
    pcv_buf_puts(theirs, ours + strlen(t->ours));
    *slice = t->slice;
    return true;
}

bool pcv_name_of(int names, const char *ours, pcv_buf *theirs,
                 pcv_slice *slice)
{
    const dialect *d = &dialects[names];
    numbers n;

    for (const head_row *h = d->heads; h && h->ours; h++) {
        size_t k = fits(h->ours, ours, &n);
        const tail_row *t = k ? find_tail(h->tails, ours + k) : NULL;

        if (!t)
            continue;
        pcv_buf_puts(theirs, d->prefix);
        expand(t->mlp ? h->mlp : h->attend, &n, theirs);
        pcv_buf_puts(theirs, t->theirs);
        pcv_buf_puts(theirs, ours + k + strlen(t->ours));
        *slice = t->slice;
        return true;
    }
    return d->whole && whole_name(d, ours, theirs, slice);
}

bool pcv_name_repeats(int names, const char *theirs, pcv_buf *first)
{
    const dialect *d = &dialects[names];
    size_t n = d->repeats ? strlen(d->repeats) : 0;
    const char *rest = theirs + n;
    int number = 0;

    if (!n || strncmp(theirs, d->repeats, n) || !isdigit((unsigned char)*rest))
        return false;
    for (; isdigit((unsigned char)*rest) && number < 1 << 20; rest++)
        number = 10 * number + (*rest - '0');
    if (number <= d->base)
        return false;
    pcv_buf_printf(first, "%s%d%s", d->repeats, d->base, rest);
    return true;
}
