/* spec.c - what a model is, as one table: each row is a field's name on the
 * command line, its key in config.json, its type, default, range and help.
 * Reading, writing (config.c), checking and help texts are loops over it.
 * Words behind a double bar come with published checkpoints only. */
#include "model.h"

#include <stdio.h>
#include <string.h>

#define AT(member) offsetof(pcv_spec, member)
#define BIG 1e9

enum { OWN = 0, TOP = PCV_ROW_TOP, GIVEN = PCV_ROW_GIVEN,
       RARE = PCV_ROW_RARE };

/* WORD fields: the values, in the order of their enum, separated by '|' (an
 * enum that starts at 1 has an empty first value). */
static const pcv_row rows[] = {
    { { "modality", "what the input is", "|image|sound|bytes|points|array|"
        "video|class|parts||flow" },
      OWN, "modality", PCV_ROW_WORD, AT(prep.modality), PCV_IMAGE, 0, 0 },
    { { "channels", "colours of a picture, columns of an array", "N" },
      OWN, "channels", PCV_ROW_INT, AT(prep.channels), 1, 1, 1 << 20 },
    { { "height", "rows of a picture", "N" },
      OWN, "height", PCV_ROW_INT, AT(prep.height), 28, 1, 65535 },
    { { "width", "columns of a picture", "N" },
      OWN, "width", PCV_ROW_INT, AT(prep.width), 28, 1, 65535 },
    { { "frames", "pictures of a video", "N" },
      RARE, "frames", PCV_ROW_INT, AT(prep.frames), 1, 1, 65536 },
    { { "fit", "how a picture gets that size", "stretch|crop|keep||tile" },
      OWN, "fit", PCV_ROW_WORD, AT(prep.fit), PCV_STRETCH, 0, 0 },
    { { "crop", "fit=crop: share of the smaller side", "X" },
      OWN, "crop", PCV_ROW_REAL, AT(prep.crop), 1, 0.01, 1 },
    { { "polarity", "invert pictures whose border is bright",
        "as-is|light-on-dark" },
      OWN, "polarity", PCV_ROW_WORD, AT(prep.polarity), 0, 0, 0 },
    { { "mean", "subtracted from each colour (of 0..1)", "X[,X,X]" },
      OWN, "mean", PCV_ROW_STATS, AT(prep.mean), 0.5, -BIG, BIG },
    { { "std", "and what it is divided by", "X[,X,X]" },
      OWN, "std", PCV_ROW_STATS, AT(prep.std), 0.5, 1e-6, BIG },
    { { "rate", "samples of sound per second", "HZ" },
      OWN, "sample_rate", PCV_ROW_INT, AT(prep.rate), 8000, 1, 768000 },
    { { "level", "sound is scaled to this root mean square; 0 as it comes",
        "X" },
      OWN, "level", PCV_ROW_REAL, AT(prep.level), 1, 0, 1e6 },
    { { "samples", "sound is padded or cut to this many; 0 as it comes", "N" },
      OWN, "samples", PCV_ROW_INT, AT(prep.samples), 8192, 0, BIG },
    { { "mels", "sound as this many bands of frequencies; 0 as samples", "N" },
      OWN, "mels", PCV_ROW_INT, AT(prep.mels), 0, 0, 512 },
    { { "mel-window", "mels: length of a frame in milliseconds", "X" },
      OWN, "mel_window", PCV_ROW_REAL, AT(prep.mel_window), 25, 0.1, 1000 },
    { { "mel-step", "mels: from one frame to the next", "X" },
      OWN, "mel_step", PCV_ROW_REAL, AT(prep.mel_step), 10, 0.1, 1000 },
    { { "length", "most bytes or points of an input", "N" },
      TOP, "max_position_embeddings", PCV_ROW_INT,
      AT(prep.length), 2048, 1, BIG },
    { { "cube", "points are centred and scaled to -1 .. 1", "no|yes" },
      RARE, "cube", PCV_ROW_BOOL, AT(prep.cube), 0, 0, 1 },
    { { "special", "put bytes between [CLS] and [SEP]", "no|yes" },
      OWN, "special_tokens", PCV_ROW_BOOL, AT(prep.special), 1, 0, 1 },
    { { "position", "position code", "none|fourier|nerf|learned" },
      OWN, "position", PCV_ROW_WORD, AT(position), PCV_POS_FOURIER, 0, 0 },
    { { "bands", "Fourier bands per axis", "N" },
      OWN, "bands", PCV_ROW_INT, AT(bands), 16, 1, 4096 },
    { { "max-resolution", "top frequency is half of it; 0 the grid's size",
        "X[,X,X]" },
      OWN, "max_resolution", PCV_ROW_RES, AT(max_res), 0, 0, BIG },
    { { "position-channels", "width of learned positions", "N" },
      OWN, "position_channels", PCV_ROW_INT, AT(pos_channels), 64, 1, 65536 },
    { { "project-positions", "learned positions through a linear layer",
        "no|yes" },
      OWN, "project_positions", PCV_ROW_BOOL, AT(pos_project), 0, 0, 1 },
    { { "project-content", "content through a linear layer to N; 0 none", "N" },
      OWN, "project_content", PCV_ROW_INT, AT(project), 0, 0, 65536 },
    { { "patch", "samples of sound per element", "N" },
      OWN, "patch", PCV_ROW_INT, AT(patch), 32, 1, 65536 },
    { { "picture-patch", "side of the square of pixels of an element", "N" },
      OWN, "picture_patch", PCV_ROW_INT, AT(block), 1, 1, 256 },
    { { "vocabulary", "ids of a text", "N" },
      TOP, "vocab_size", PCV_ROW_INT, AT(vocab), 262, 1, BIG },
    { { "embedding", "channels of a byte's embedding", "N" },
      TOP, "d_model", PCV_ROW_INT, AT(embed), 64, 1, 65536 },
    { { "neighbours", "bytes on either side that a byte's element shows", "N" },
      OWN, "neighbours", PCV_ROW_INT, AT(neighbours), 0, 0, 64 },
    { { "latents", "latent vectors", "N" },
      TOP, "num_latents", PCV_ROW_INT, AT(latents), 32, 1, 1 << 20 },
    { { "latent-channels", "channels of a latent", "N" },
      TOP, "d_latents", PCV_ROW_INT, AT(d), 128, 1, 65536 },
    { { "blocks", "blocks of self-attention layers (rounds)", "N" },
      TOP, "num_blocks", PCV_ROW_INT, AT(rounds), 2, 1, 4096 },
    { { "layers", "self-attention layers per block", "N" },
      TOP, "num_self_attends_per_block", PCV_ROW_INT, AT(layers), 2, 0, 4096 },
    { { "cross-attends", "rounds that start by attending to the input", "N" },
      OWN, "cross_attends", PCV_ROW_INT, AT(cross_attends), 1, 1, 4096 },
    { { "share-first-cross", "cross-attend 1 shares with the rest", "no|yes" },
      OWN, "share_first_cross", PCV_ROW_BOOL,
      AT(share_first_cross), 0, 0, 1 },
    { { "share-cross", "cross-attends 2.. share one set", "no|yes" },
      OWN, "share_cross", PCV_ROW_BOOL, AT(share_cross), 1, 0, 1 },
    { { "share-first-block", "block 1 shares with the rest", "no|yes" },
      OWN, "share_first_block", PCV_ROW_BOOL,
      AT(share_first_block), 1, 0, 1 },
    { { "share-blocks", "blocks 2.. share one set", "no|yes" },
      OWN, "share_blocks", PCV_ROW_BOOL, AT(share_blocks), 1, 0, 1 },
    { { "cross-heads", "heads of the encoder's cross-attends", "N" },
      TOP, "num_cross_attention_heads", PCV_ROW_INT,
      AT(cross_heads), 1, 1, 4096 },
    { { "self-heads", "heads of the self-attention layers", "N" },
      TOP, "num_self_attention_heads", PCV_ROW_INT,
      AT(self_heads), 4, 1, 4096 },
    { { "qk-channels", "width of queries and keys; 0: that of what is read",
        "N" },
      TOP, "qk_channels", PCV_ROW_INT, AT(qk), 0, 0, 65536 },
    { { "v-channels", "width of values; 0: that of queries", "N" },
      TOP, "v_channels", PCV_ROW_INT, AT(v), 0, 0, 65536 },
    { { "cross-widening", "MLP of the cross-attends, times its input", "N" },
      TOP, "cross_attention_widening_factor", PCV_ROW_INT,
      AT(cross_widening), 1, 1, 64 },
    { { "self-widening", "MLP of the self-attention layers", "N" },
      TOP, "self_attention_widening_factor", PCV_ROW_INT,
      AT(self_widening), 1, 1, 64 },
    { { "activation", "of the MLPs", "gelu|gelu_tanh|relu|geglu|silu|"
        "quick_gelu|tanh|sigmoid|mish|relu6|linear|gelu_10" },
      TOP, "hidden_act", PCV_ROW_WORD, AT(act), PCV_GELU, 0, 0 },
    { { "query-residual", "encoder cross-attends add the latents", "no|yes" },
      TOP, "use_query_residual", PCV_ROW_BOOL, AT(residual), 1, 0, 1 },
    { { "decoder", "how answers are read from the latents",
        "query|mean|grid||input" },
      OWN, "decoder", PCV_ROW_WORD, AT(decoder), PCV_DECODE_QUERY, 0, 0 },
    { { "decoder-heads", "heads of the decoder's cross-attend", "N" },
      OWN, "decoder_heads", PCV_ROW_INT, AT(decoder_heads), 1, 1, 4096 },
    { { "decoder-residual", "the decoder adds its queries", "no|yes" },
      OWN, "decoder_residual", PCV_ROW_BOOL, AT(decoder_residual), 1, 0, 1 },
    { { "query-bands", "decoder=grid: Fourier bands of the queries", "N" },
      OWN, "query_bands", PCV_ROW_INT, AT(query_bands), 16, 1, 256 },
    { { "task", "what is answered", "classify|tags|values|fill|reconstruct||"
        "motion" },
      OWN, "task", PCV_ROW_WORD, AT(task), PCV_CLASSIFY, 0, 0 },
    { { "outputs", "classes, or channels per query; 0: from the data", "N" },
      OWN, "outputs", PCV_ROW_INT, AT(outputs), 0, 0, BIG },

    { { "permute", "seed of a fixed order by chance of the elements, their "
        "positions with them; 0 as they stand", "N" },
      RARE, "permute", PCV_ROW_INT, AT(permute), 0, 0, BIG },
    { { "nested", "train to work with these counts of the first latents, too",
        "N,N,.." },
      RARE, "nested_latents", PCV_ROW_TEXT, AT(nested), 0, 0, 0 },
    { { "masked", "a part that is never looked at", "no|yes" },
      RARE, "masked", PCV_ROW_BOOL, AT(masked), 0, 0, 1 },
    { { "padding", "parts: the least padding of a row", "N" },
      RARE, "padding", PCV_ROW_INT, AT(padding), 4, 1, 65536 },
    { { "query-padding", "parts: the least padding of a query", "N" },
      RARE, "query_padding", PCV_ROW_INT, AT(query_padding), 2, 1, 65536 },
    { { "shared", "parts: width before the head of each", "N" },
      RARE, "shared", PCV_ROW_INT, AT(shared), 512, 1, 65536 },
    { { "tied", "outputs are products with the embedding", "no|yes" },
      RARE, "tied", PCV_ROW_BOOL, AT(tied), 0, 0, 1 },
    { { "queries", "learned output queries", "N" },
      GIVEN, "queries", PCV_ROW_INT, AT(queries), 1, 1, 1 << 24 },
    { { "query-channels", "width of learned queries; 0: latent-channels", "N" },
      RARE, "query_channels", PCV_ROW_INT,
      AT(query_channels), 0, 0, 65536 },
    { { "loss-weight", "of a part's answer among those of the others", "X" },
      RARE, "loss_weight", PCV_ROW_REAL, AT(weight), 1, 0, 1e6 },

    /* what only published checkpoints have */
    { { "any-size", "arrays of any height and width are taken", "no|yes" },
      GIVEN, "any_size", PCV_ROW_BOOL, AT(prep.any_size), 0, 0, 1 },
    { { "parse-special", "[MASK] and its like in a text are ids", "no|yes" },
      GIVEN, "parse_special", PCV_ROW_BOOL, AT(prep.parse), 0, 0, 1 },
    { { "overlong", "what becomes of a text that is too long", "cut|refuse" },
      GIVEN, "overlong", PCV_ROW_WORD, AT(prep.overlong), PCV_CUT, 0, 0 },
    { { "convolve", "maps of a convolution stem; 0 none", "N" },
      GIVEN, "convolve", PCV_ROW_INT, AT(convolve), 0, 0, 4096 },
    { { "position-order", "order of Fourier features", "published|axes" },
      GIVEN, "position_order", PCV_ROW_WORD, AT(order), 0, 0, 0 },
    { { "add-positions", "learned positions are added", "no|yes" },
      GIVEN, "add_positions", PCV_ROW_BOOL, AT(pos_add), 0, 0, 1 },
    { { "self-qk-channels", "of self-attention; 0: as qk-channels", "N" },
      GIVEN, "self_qk_channels", PCV_ROW_INT, AT(self_qk), 0, 0, 65536 },
    { { "self-v-channels", "of self-attention; 0: as v-channels", "N" },
      GIVEN, "self_v_channels", PCV_ROW_INT, AT(self_v), 0, 0, 65536 },
    { { "attention-shape", "whose width queries and keys have", "kv|q" },
      TOP | GIVEN, "cross_attention_shape_for_attention", PCV_ROW_WORD,
      AT(wide_from_query), 0, 0, 0 },
    { { "qkv-bias", "queries, keys and values have biases", "no|yes" },
      GIVEN, "qkv_bias", PCV_ROW_BOOL, AT(qkv_bias), 1, 0, 1 },
    { { "decoder-qk-channels", "0: latent-channels", "N" },
      GIVEN, "decoder_qk_channels", PCV_ROW_INT,
      AT(decoder_qk), 0, 0, 65536 },
    { { "decoder-v-channels", "0: latent-channels", "N" },
      GIVEN, "decoder_v_channels", PCV_ROW_INT,
      AT(decoder_v), 0, 0, 65536 },
    { { "decoder-mlp", "the decoder has an MLP", "no|yes" },
      GIVEN, "decoder_mlp", PCV_ROW_BOOL, AT(decoder_mlp), 1, 0, 1 },
    { { "decoder-widening", "MLP of the decoder, times its input", "N" },
      GIVEN, "decoder_widening", PCV_ROW_INT, AT(decoder_widening), 1, 1, 64 },
    { { "by-index", "queries of a grid stop short of its end", "no|yes" },
      GIVEN, "by_index", PCV_ROW_BOOL, AT(by_index), 0, 0, 1 },
    { { "head-norm", "the mean of the latents is normalised", "no|yes" },
      GIVEN, "head_norm", PCV_ROW_BOOL, AT(head_norm), 0, 0, 1 },
    { { "head-hidden", "and goes through a layer", "no|yes" },
      GIVEN, "head_hidden", PCV_ROW_BOOL, AT(head_hidden), 0, 0, 1 },
    { { "log-softmax", "outputs are logarithms of probabilities", "no|yes" },
      GIVEN, "log_softmax", PCV_ROW_BOOL, AT(log_softmax), 0, 0, 1 },
    { { "unpadded", "id 0 is one like the others", "no|yes" },
      GIVEN, "unpadded", PCV_ROW_BOOL, AT(unpadded), 0, 0, 1 },
    { { "self-context", "layers read latents by another norm", "no|yes" },
      GIVEN, "self_context", PCV_ROW_BOOL, AT(self_context), 0, 0, 1 },
    { { "extra-key", "attention has a learned key beside", "no|yes" },
      GIVEN, "extra_key", PCV_ROW_BOOL, AT(extra_key), 0, 0, 1 },
    { { "out-twice", "two layers behind the attention", "no|yes" },
      GIVEN, "out_twice", PCV_ROW_BOOL, AT(out_twice), 0, 0, 1 },
    { { "outer-residual", "one residual around a layer", "no|yes" },
      GIVEN, "outer_residual", PCV_ROW_BOOL, AT(outer), 0, 0, 1 },
    { { "names", "whose names the tensors have", "published|lucidrains|"
        "lucidrains-io|lucidrains-lm|krasserm|louislva" },
      GIVEN, "names", PCV_ROW_WORD, AT(names), 0, 0, 0 },
    { { "divide", "outputs are divided by this", "X" },
      GIVEN, "divide", PCV_ROW_REAL, AT(divide), 1, 1e-9, BIG },
};

static const pcv_table table = { rows, PCV_LEN(rows) };

const pcv_row *pcv_spec_row(int i)
{
    return i >= 0 && i < (int)PCV_LEN(rows) ? &rows[i] : NULL;
}

/* Parts are a setting without a row: a text of all of them. */
static const pcv_field parts_field = {
    "parts", "modalities of one model: a name and settings of each, as in "
    "\"image modality=image bands=14; sound modality=sound; digit "
    "modality=class\"", "TEXT"
};

const pcv_field *pcv_spec_field(int i)
{
    for (size_t k = 0; k < PCV_LEN(rows); k++)
        if (!(rows[k].flags & PCV_ROW_GIVEN) && i-- == 0)
            return &rows[k].field;
    return i == 0 ? &parts_field : NULL;
}

/* What parts share: in one of them it would do nothing. */
static bool is_shared(const char *name)
{
    static const char *const shared[] = {
        "latents", "latent-channels", "blocks", "layers", "cross-attends",
        "share-first-cross", "share-cross", "share-first-block",
        "share-blocks", "cross-heads", "self-heads", "qk-channels",
        "v-channels", "cross-widening", "self-widening", "activation",
        "query-residual", "decoder-heads", "decoder-residual", "nested",
        "padding", "query-padding", "shared",
    };

    for (size_t i = 0; i < PCV_LEN(shared); i++)
        if (!strcmp(shared[i], name))
            return true;
    return false;
}

/* One "key=value" of s[0..n). */
static int set_part_field(pcv_spec *part, const char *name, const char *s,
                          size_t n)
{
    char text[256], *equals;

    if (n >= sizeof text)
        return pcv_fail(EX_USAGE, "'%.*s ..' is too long", 32, s);
    memcpy(text, s, n);
    text[n] = '\0';
    equals = strchr(text, '=');
    if (!equals)
        return pcv_fail(EX_USAGE, "'%s' of part '%s', want "
                        "setting=value", text, name);
    *equals++ = '\0';
    if (is_shared(text))
        return pcv_fail(EX_USAGE, "'%s' of part '%s' is a setting of the whole "
                        "model, want it beside --parts", text, name);
    if (!strcmp(text, "modality") && !strcmp(equals, "parts"))
        return pcv_fail(EX_USAGE, "part '%s' cannot have parts", name);
    return pcv_table_set(&table, part, text, equals);
}

/* A part without a name would be called by its first setting. */
static pcv_spec *new_part(pcv_spec *spec, char name[64], const char *s,
                          size_t n)
{
    if (n >= 64 || memchr(s, '=', n)) {
        pcv_fail(EX_USAGE, "'%.*s' is no name of a part: want a name of "
                 "at most 63 bytes, then setting=value ..", (int)n, s);
        return NULL;
    }
    snprintf(name, 64, "%.*s", (int)n, s);
    return pcv_spec_add_part(spec, name);
}

/* s[0..n): a name, then settings, blanks between them.  A class is not looked
 * at but asked for. */
static int set_part(pcv_spec *spec, const char *s, size_t n)
{
    static const char blank[] = " \t\n";
    const char *stop = s + n;
    char name[64];
    pcv_spec *part = NULL;

    while (s < stop) {
        size_t len = strcspn(s, " \t\n;");

        if (len && !part) {
            if (!(part = new_part(spec, name, s, len)))
                return -1;
            part->masked = -1;
        } else if (len && set_part_field(part, name, s, len) < 0) {
            return -1;
        }
        s += len;
        s += s < stop ? strspn(s, blank) : 0;
    }
    if (part && part->masked < 0)
        part->masked = part->prep.modality == PCV_ONE_HOT;
    return 0;
}

static void free_parts(pcv_spec *s)
{
    for (int i = 0; i < s->parts; i++) {
        pcv_spec_free(&s->part[i]);
        pcv_free(s->part_name[i]);
    }
    pcv_free(s->part);
    pcv_free(s->part_name);
    s->part = NULL;
    s->part_name = NULL;
    s->parts = 0;
}

/* The message of what went wrong, behind the name of the setting: what is bad
 * data in a file is bad usage here. */
static int refuse_parts(void)
{
    int code = pcv_error_code() == EX_DATAERR ? EX_USAGE : pcv_error_code();
    char *what = pcv_strdup(pcv_error());

    pcv_error_clear();
    pcv_fail(code, "%s: %s", parts_field.name, what ? what : "");
    pcv_free(what);
    return -1;
}

static int set_parts(pcv_spec *spec, const char *text)
{
    bool any = *text;

    free_parts(spec);
    while (*text) {
        size_t n = strcspn(text, ";");

        if (set_part(spec, text, n) < 0)
            return refuse_parts();
        text += n + (text[n] == ';');
    }
    if (any && !spec->parts)
        return pcv_fail(EX_USAGE, "%s: no parts, want a name and settings of "
                        "each", parts_field.name);
    if (spec->parts)
        spec->prep.modality = PCV_PARTS;
    return 0;
}

static void get_parts(const pcv_spec *spec, pcv_buf *b)
{
    pcv_spec standard;

    pcv_spec_default(&standard);
    for (int i = 0; i < spec->parts; i++) {
        pcv_buf_printf(b, "%s%s", i ? "; " : "", spec->part_name[i]);
        for (size_t k = 0; k < PCV_LEN(rows); k++)
            if (!pcv_row_same(&rows[k], &spec->part[i], &standard)) {
                pcv_buf_printf(b, " %s=", rows[k].field.name);
                pcv_table_get(&table, &spec->part[i], rows[k].field.name, b);
            }
    }
}

int pcv_spec_set(pcv_spec *s, const char *name, const char *value)
{
    if (!strcmp(name, parts_field.name))
        return set_parts(s, value);
    return pcv_table_set(&table, s, name, value);
}

void pcv_spec_get(const pcv_spec *s, const char *name, pcv_buf *b)
{
    if (!strcmp(name, parts_field.name))
        get_parts(s, b);
    else
        pcv_table_get(&table, s, name, b);
}

void pcv_spec_default(pcv_spec *s)
{
    memset(s, 0, sizeof *s);
    pcv_table_default(&table, s);
}

/* ---- labels, parts, copies ------------------------------------------- */

static void free_labels(pcv_spec *s)
{
    for (int i = 0; s->label && i < s->outputs; i++)
        pcv_free(s->label[i]);
    pcv_free(s->label);
    s->label = NULL;
}

void pcv_spec_free(pcv_spec *s)
{
    free_parts(s);
    free_labels(s);
    memset(s, 0, sizeof *s);
}

static int by_name(const pcv_spec *s, const char *name)
{
    int at = s->parts;

    while (at > 0 && strcmp(s->part_name[at - 1], name) > 0)
        at--;
    return at;
}

pcv_spec *pcv_spec_add_part(pcv_spec *s, const char *name)
{
    int at = by_name(s, name);

    if (!s->part) {
        s->part = pcv_alloc(PCV_MOST_PARTS, sizeof *s->part);
        s->part_name = pcv_alloc(PCV_MOST_PARTS, sizeof *s->part_name);
    }
    if (at > 0 && !strcmp(s->part_name[at - 1], name)) {
        pcv_fail(EX_DATAERR, "two parts are called '%s'", name);
        return NULL;
    }
    if (s->parts == PCV_MOST_PARTS) {
        pcv_fail(EX_DATAERR, "more than %d parts", PCV_MOST_PARTS);
        return NULL;
    }
    if (!s->part || !s->part_name)
        return NULL;
    memmove(s->part + at + 1, s->part + at,
            (size_t)(s->parts - at) * sizeof *s->part);
    memmove(s->part_name + at + 1, s->part_name + at,
            (size_t)(s->parts - at) * sizeof *s->part_name);
    s->parts++;
    pcv_spec_default(&s->part[at]);
    s->part_name[at] = pcv_strdup(name);
    return s->part_name[at] ? &s->part[at] : NULL;
}

const pcv_spec *pcv_spec_part(const pcv_spec *s, int i)
{
    return s->parts ? &s->part[i] : s;
}

int pcv_spec_count(const pcv_spec *s)
{
    return s->parts ? s->parts : 1;
}

/* The part that is answer `which`; past the last: their number, negative. */
static int part_of(const pcv_spec *s, int which)
{
    int found = 0;

    for (int i = 0; i < s->parts; i++)
        if (s->part[i].outputs && found++ == which)
            return i;
    return -found;
}

int pcv_spec_answers(const pcv_spec *s)
{
    return s->parts ? -part_of(s, s->parts) : 1;
}

const pcv_spec *pcv_spec_answer(const pcv_spec *s, int which)
{
    return s->parts ? &s->part[part_of(s, which)] : s;
}

const char *pcv_spec_answer_name(const pcv_spec *s, int which)
{
    return s->parts ? s->part_name[part_of(s, which)] : "output";
}

int pcv_spec_set_labels(pcv_spec *s, const char *const *label, int n)
{
    char **copy = n ? pcv_alloc((size_t)n, sizeof *copy) : NULL;

    free_labels(s);
    s->outputs = n;
    s->label = copy;
    if (n && !copy)
        return -1;
    for (int i = 0; i < n; i++)
        if (!(copy[i] = pcv_strdup(label[i])))
            return -1;
    return 0;
}

int pcv_spec_copy(pcv_spec *to, const pcv_spec *from)
{
    *to = *from;
    to->label = NULL;
    to->part = NULL;
    to->part_name = NULL;
    to->parts = 0;
    for (int i = 0; i < from->parts; i++) {
        pcv_spec *p = pcv_spec_add_part(to, from->part_name[i]);

        if (!p || pcv_spec_copy(p, &from->part[i]) < 0)
            return -1;
    }
    if (!from->label)
        return 0;
    return pcv_spec_set_labels(to, (const char *const *)from->label,
                               from->outputs);
}

/* ---- do the fields fit together -------------------------------------- */

static int divides(const char *what, int width, const char *by, int heads)
{
    if (width % heads == 0)
        return 0;
    return pcv_fail(EX_DATAERR, "%s is %d, which %s = %d does not divide", what,
                    width, by, heads);
}

/* Where there is a row in memory per element: pixels that can be counted. */
static int check_size(const pcv_spec *s)
{
    double most = 1 << 26;

    if (s->prep.modality != PCV_IMAGE ||
        (s->decoder != PCV_DECODE_GRID && s->position != PCV_POS_LEARNED) ||
        (double)s->prep.height * s->prep.width <= most)
        return 0;
    return pcv_fail(EX_DATAERR, "height and width are %d and %d, want at most "
                    "%.0f pixels", s->prep.height, s->prep.width, most);
}

static int check_grid(const pcv_spec *s)
{
    const pcv_prep *p = &s->prep;
    bool image = p->modality == PCV_IMAGE && p->fit != PCV_KEEP;
    bool sound = p->modality == PCV_SOUND && p->samples > 0;

    if (s->task == PCV_RECONSTRUCT && s->decoder != PCV_DECODE_GRID)
        return pcv_fail(EX_DATAERR, "task=reconstruct wants decoder=grid");
    if (s->decoder == PCV_DECODE_GRID &&
        (s->task != PCV_RECONSTRUCT ||
         !(image || sound || p->modality == PCV_VIDEO)))
        return pcv_fail(EX_DATAERR, "decoder=grid wants task=reconstruct and "
                        "pictures or sound of a fixed size");
    if ((s->task == PCV_MOTION || s->decoder == PCV_DECODE_INPUT) &&
        p->modality != PCV_FLOW && p->modality != PCV_BYTES)
        return pcv_fail(EX_DATAERR, "decoder=input wants modality=flow or "
                        "bytes");
    if (s->task == PCV_FILL && p->modality != PCV_BYTES)
        return pcv_fail(EX_DATAERR, "task=fill wants modality=bytes");
    return check_size(s);
}

/* Whole squares, and one query for each pixel. */
static int check_squares(const pcv_spec *s)
{
    const pcv_prep *p = &s->prep;

    if ((p->modality != PCV_IMAGE && p->modality != PCV_VIDEO) || s->block == 1)
        return 0;
    if (s->task == PCV_RECONSTRUCT && p->modality == PCV_IMAGE)
        return pcv_fail(EX_DATAERR, "task=reconstruct of pictures wants "
                        "picture-patch=1");
    if (p->fit != PCV_KEEP && (p->height % s->block || p->width % s->block))
        return pcv_fail(EX_DATAERR, "height and width are %d and %d, which "
                        "picture-patch = %d does not divide", p->height,
                        p->width, s->block);
    return 0;
}

/* Frames of at least two samples that leave none out, and no way back. */
static int check_mels(const pcv_spec *s)
{
    const pcv_prep *p = &s->prep;

    if (p->modality != PCV_SOUND || p->mels == 0)
        return 0;
    if (s->task == PCV_RECONSTRUCT)
        return pcv_fail(EX_DATAERR, "task=reconstruct of sound wants mels=0: "
                        "there is no way back to samples");
    if (pcv_prep_window(p) < 2 || pcv_prep_step(p) < 1)
        return pcv_fail(EX_DATAERR, "mel-window and mel-step are %g and %g ms, "
                        "want at least 2 samples and 1 at %d Hz",
                        p->mel_window, p->mel_step, p->rate);
    if (pcv_prep_step(p) > pcv_prep_window(p))
        return pcv_fail(EX_DATAERR, "mel-step is %g ms, want at most "
                        "mel-window = %g: what is between is lost",
                        p->mel_step, p->mel_window);
    return 0;
}

/* What concerns input and answers: of a part as well. */
static int check_part(const pcv_spec *s)
{
    if (s->prep.modality == PCV_BYTES && s->position != PCV_POS_LEARNED &&
        s->position != PCV_POS_NONE)
        return pcv_fail(EX_DATAERR, "modality=bytes wants position=learned or "
                        "none");
    if (s->tied && (s->prep.modality != PCV_BYTES || s->outputs != s->vocab))
        return pcv_fail(EX_DATAERR, "tied=yes wants modality=bytes and as many "
                        "outputs as the vocabulary has ids");
    if (check_squares(s) < 0 || check_mels(s) < 0)
        return -1;
    return check_grid(s);
}

static int check_parts(const pcv_spec *s)
{
    int looked_at = 0;

    if ((s->prep.modality == PCV_PARTS) != (s->parts > 0))
        return pcv_fail(EX_DATAERR, "modality=parts goes with a list of "
                        "parts");
    for (int i = 0; i < s->parts; i++) {
        const pcv_spec *p = &s->part[i];

        if (p->parts)
            return pcv_fail(EX_DATAERR, "part '%s' has parts of its own",
                            s->part_name[i]);
        if (p->outputs && p->prep.modality != PCV_ONE_HOT &&
            p->task != PCV_FILL && p->task != PCV_RECONSTRUCT)
            return pcv_fail(EX_DATAERR, "part '%s' has outputs, want "
                            "task=reconstruct or fill; labels are a part of "
                            "modality=class", s->part_name[i]);
        looked_at += !p->masked;
        if (check_part(p) < 0)
            return -1;
    }
    if (s->parts && !looked_at)
        return pcv_fail(EX_DATAERR, "all parts are masked: nothing is looked "
                        "at");
    if (pcv_spec_answers(s) < 1)
        return pcv_fail(EX_DATAERR, "no part has outputs: nothing is "
                        "answered");
    return 0;
}

int pcv_spec_check(const pcv_spec *s)
{
    int qk = s->qk ? s->qk : s->d, v = s->v ? s->v : qk;
    int decoder_qk = s->decoder_qk ? s->decoder_qk : s->d;
    int decoder_v = s->decoder_v ? s->decoder_v : s->d;

    qk = s->self_qk ? s->self_qk : qk;
    if (s->cross_attends > s->rounds)
        return pcv_fail(EX_DATAERR, "cross-attends is %d, want at most blocks "
                        "= %d", s->cross_attends, s->rounds);
    if (s->layers && !s->self_v && v != s->d)
        return pcv_fail(EX_DATAERR, "v-channels is %d, want latent-channels = "
                        "%d: self-attention adds its result to the latents", v,
                        s->d);
    v = s->self_v ? s->self_v : v;
    if (divides("qk-channels", qk, "self-heads", s->self_heads) < 0 ||
        divides("v-channels", v, "self-heads", s->self_heads) < 0 ||
        divides("latent-channels", decoder_qk, "decoder-heads",
                s->decoder_heads) < 0 ||
        divides("decoder-v-channels", decoder_v, "decoder-heads",
                s->decoder_heads) < 0)
        return -1;
    if (s->masked)
        return pcv_fail(EX_DATAERR, "masked=yes is for a part: a model that "
                        "looks at nothing has nothing to say");
    return s->parts || s->prep.modality == PCV_PARTS ? check_parts(s)
                                                     : check_part(s);
}
