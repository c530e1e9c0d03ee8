/* spec.c - what a model is, as one table: each row is a field's name on the
 * command line, its key in config.json, its type, default, range and help.
 * Reading, writing, checking and help texts are loops over it.
 *
 * config.json holds Hugging Face's keys at its top level (so that what one of
 * their classes can hold, they can load) and the rest in the object "pcv". */
#include "model.h"

#include <string.h>

#define AT(member) offsetof(pcv_spec, member)
#define BIG 1e9

/* WORD fields: the values, in the order of their enum, separated by '|' (an
 * enum that starts at 1 has an empty first value). */
static const pcv_row rows[] = {
    { { "modality", "what the input is", "|image|sound|bytes|points|array" },
      false, "modality", PCV_ROW_WORD, AT(prep.modality), PCV_IMAGE, 0, 0 },
    { { "channels", "colours of a picture, columns of an array", "N" },
      false, "channels", PCV_ROW_INT, AT(prep.channels), 1, 1, 4096 },
    { { "height", "rows of a picture", "N" },
      false, "height", PCV_ROW_INT, AT(prep.height), 28, 1, 65535 },
    { { "width", "columns of a picture", "N" },
      false, "width", PCV_ROW_INT, AT(prep.width), 28, 1, 65535 },
    { { "fit", "how a picture gets that size", "stretch|crop|keep" },
      false, "fit", PCV_ROW_WORD, AT(prep.fit), PCV_STRETCH, 0, 0 },
    { { "crop", "fit=crop: share of the smaller side", "X" },
      false, "crop", PCV_ROW_REAL, AT(prep.crop), 1, 0.01, 1 },
    { { "polarity", "invert pictures whose border is bright",
        "as-is|light-on-dark" },
      false, "polarity", PCV_ROW_WORD, AT(prep.polarity), 0, 0, 0 },
    { { "mean", "subtracted from each colour (of 0..1)", "X[,X,X]" },
      false, "mean", PCV_ROW_STATS, AT(prep.mean), 0.5, -BIG, BIG },
    { { "std", "and what it is divided by", "X[,X,X]" },
      false, "std", PCV_ROW_STATS, AT(prep.std), 0.5, 1e-6, BIG },
    { { "rate", "samples of sound per second", "HZ" },
      false, "sample_rate", PCV_ROW_INT, AT(prep.rate), 8000, 1, 768000 },
    { { "level", "sound is scaled to this root mean square; 0 as it comes",
        "X" },
      false, "level", PCV_ROW_REAL, AT(prep.level), 1, 0, 1e6 },
    { { "samples", "sound is padded or cut to this many; 0 as it comes", "N" },
      false, "samples", PCV_ROW_INT, AT(prep.samples), 8192, 0, BIG },
    { { "length", "most bytes or points of an input", "N" },
      true, "max_position_embeddings", PCV_ROW_INT,
      AT(prep.length), 2048, 1, BIG },
    { { "special", "put bytes between [CLS] and [SEP]", "no|yes" },
      false, "special_tokens", PCV_ROW_BOOL, AT(prep.special), 1, 0, 1 },
    { { "position", "position code", "none|fourier|nerf|learned" },
      false, "position", PCV_ROW_WORD, AT(position), PCV_POS_FOURIER, 0, 0 },
    { { "bands", "Fourier bands per axis", "N" },
      false, "bands", PCV_ROW_INT, AT(bands), 16, 1, 4096 },
    { { "max-resolution", "top frequency is half of it; 0 the grid's size",
        "X[,X,X]" },
      false, "max_resolution", PCV_ROW_RES, AT(max_res), 0, 0, BIG },
    { { "position-channels", "width of learned positions", "N" },
      false, "position_channels", PCV_ROW_INT, AT(pos_channels), 64, 1, 65536 },
    { { "project-positions", "learned positions through a linear layer",
        "no|yes" },
      false, "project_positions", PCV_ROW_BOOL, AT(pos_project), 0, 0, 1 },
    { { "project-content", "content through a linear layer to N; 0 none", "N" },
      false, "project_content", PCV_ROW_INT, AT(project), 0, 0, 65536 },
    { { "patch", "samples of sound per element", "N" },
      false, "patch", PCV_ROW_INT, AT(patch), 32, 1, 65536 },
    { { "vocabulary", "ids of a text", "N" },
      true, "vocab_size", PCV_ROW_INT, AT(vocab), 262, 1, BIG },
    { { "embedding", "channels of a byte's embedding", "N" },
      true, "d_model", PCV_ROW_INT, AT(embed), 64, 1, 65536 },
    { { "latents", "latent vectors", "N" },
      true, "num_latents", PCV_ROW_INT, AT(latents), 32, 1, 1 << 20 },
    { { "latent-channels", "channels of a latent", "N" },
      true, "d_latents", PCV_ROW_INT, AT(d), 128, 1, 65536 },
    { { "blocks", "blocks of self-attention layers (rounds)", "N" },
      true, "num_blocks", PCV_ROW_INT, AT(rounds), 2, 1, 4096 },
    { { "layers", "self-attention layers per block", "N" },
      true, "num_self_attends_per_block", PCV_ROW_INT, AT(layers), 2, 0, 4096 },
    { { "cross-attends", "rounds that start by attending to the input", "N" },
      false, "cross_attends", PCV_ROW_INT, AT(cross_attends), 1, 1, 4096 },
    { { "share-first-cross", "cross-attend 1 shares with the rest", "no|yes" },
      false, "share_first_cross", PCV_ROW_BOOL,
      AT(share_first_cross), 0, 0, 1 },
    { { "share-cross", "cross-attends 2.. share one set", "no|yes" },
      false, "share_cross", PCV_ROW_BOOL, AT(share_cross), 1, 0, 1 },
    { { "share-first-block", "block 1 shares with the rest", "no|yes" },
      false, "share_first_block", PCV_ROW_BOOL,
      AT(share_first_block), 1, 0, 1 },
    { { "share-blocks", "blocks 2.. share one set", "no|yes" },
      false, "share_blocks", PCV_ROW_BOOL, AT(share_blocks), 1, 0, 1 },
    { { "cross-heads", "heads of the encoder's cross-attends", "N" },
      true, "num_cross_attention_heads", PCV_ROW_INT,
      AT(cross_heads), 1, 1, 4096 },
    { { "self-heads", "heads of the self-attention layers", "N" },
      true, "num_self_attention_heads", PCV_ROW_INT,
      AT(self_heads), 4, 1, 4096 },
    { { "qk-channels", "width of queries and keys; 0: that of what is read",
        "N" },
      true, "qk_channels", PCV_ROW_INT, AT(qk), 0, 0, 65536 },
    { { "v-channels", "width of values; 0: that of queries", "N" },
      true, "v_channels", PCV_ROW_INT, AT(v), 0, 0, 65536 },
    { { "cross-widening", "MLP of the cross-attends, times its input", "N" },
      true, "cross_attention_widening_factor", PCV_ROW_INT,
      AT(cross_widening), 1, 1, 64 },
    { { "self-widening", "MLP of the self-attention layers", "N" },
      true, "self_attention_widening_factor", PCV_ROW_INT,
      AT(self_widening), 1, 1, 64 },
    { { "activation", "of the MLPs", "gelu|gelu_tanh" },
      true, "hidden_act", PCV_ROW_WORD, AT(act), PCV_GELU, 0, 0 },
    { { "query-residual", "encoder cross-attends add the latents", "no|yes" },
      true, "use_query_residual", PCV_ROW_BOOL, AT(residual), 1, 0, 1 },
    { { "decoder", "how answers are read from the latents",
        "query|mean|grid" },
      false, "decoder", PCV_ROW_WORD, AT(decoder), PCV_DECODE_QUERY, 0, 0 },
    { { "decoder-heads", "heads of the decoder's cross-attend", "N" },
      false, "decoder_heads", PCV_ROW_INT, AT(decoder_heads), 1, 1, 4096 },
    { { "decoder-residual", "the decoder adds its queries", "no|yes" },
      false, "decoder_residual", PCV_ROW_BOOL, AT(decoder_residual), 1, 0, 1 },
    { { "query-bands", "decoder=grid: Fourier bands of the queries", "N" },
      false, "query_bands", PCV_ROW_INT, AT(query_bands), 16, 1, 256 },
    { { "task", "what is answered", "classify|reconstruct" },
      false, "task", PCV_ROW_WORD, AT(task), PCV_CLASSIFY, 0, 0 },
    { { "outputs", "classes, or channels per query; 0: from the data", "N" },
      false, "outputs", PCV_ROW_INT, AT(outputs), 0, 0, BIG },
};

static const pcv_table table = { rows, PCV_LEN(rows) };

const pcv_field *pcv_spec_field(int i)
{
    return i >= 0 && i < (int)PCV_LEN(rows) ? &rows[i].field : NULL;
}

int pcv_spec_set(pcv_spec *s, const char *name, const char *value)
{
    return pcv_table_set(&table, s, name, value);
}

void pcv_spec_get(const pcv_spec *s, const char *name, pcv_buf *b)
{
    pcv_table_get(&table, s, name, b);
}

void pcv_spec_default(pcv_spec *s)
{
    memset(s, 0, sizeof *s);
    pcv_table_default(&table, s);
}

/* ---- labels and copies ----------------------------------------------- */

static void free_labels(pcv_spec *s)
{
    for (int i = 0; s->label && i < s->outputs; i++)
        pcv_free(s->label[i]);
    pcv_free(s->label);
    s->label = NULL;
}

void pcv_spec_free(pcv_spec *s)
{
    free_labels(s);
    memset(s, 0, sizeof *s);
}

int pcv_spec_set_labels(pcv_spec *s, const char *const *label, int n)
{
    char **copy = pcv_alloc((size_t)n, sizeof *copy);

    free_labels(s);
    s->outputs = n;
    s->label = copy;
    if (!copy)
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

int pcv_spec_check(const pcv_spec *s)
{
    int qk = s->qk ? s->qk : s->d, v = s->v ? s->v : qk;

    if (s->cross_attends > s->rounds)
        return pcv_fail(EX_DATAERR, "cross-attends is %d, want at most blocks "
                        "= %d", s->cross_attends, s->rounds);
    if (s->layers && v != s->d)
        return pcv_fail(EX_DATAERR, "v-channels is %d, want latent-channels = "
                        "%d: self-attention adds its result to the latents", v,
                        s->d);
    if (s->prep.modality == PCV_BYTES && s->position != PCV_POS_LEARNED &&
        s->position != PCV_POS_NONE)
        return pcv_fail(EX_DATAERR, "modality=bytes wants position=learned or "
                        "none");
    if (s->task == PCV_RECONSTRUCT && s->decoder != PCV_DECODE_GRID)
        return pcv_fail(EX_DATAERR, "task=reconstruct wants decoder=grid");
    if (s->decoder == PCV_DECODE_GRID &&
        (s->task != PCV_RECONSTRUCT || s->prep.modality == PCV_POINTS ||
         s->prep.modality == PCV_BYTES || s->prep.fit == PCV_KEEP ||
         (s->prep.modality != PCV_IMAGE && s->prep.samples == 0)))
        return pcv_fail(EX_DATAERR, "decoder=grid wants task=reconstruct and "
                        "pictures or sound of a fixed size");
    if (divides("qk-channels", qk, "self-heads", s->self_heads) < 0 ||
        divides("v-channels", v, "self-heads", s->self_heads) < 0 ||
        divides("latent-channels", s->d, "decoder-heads", s->decoder_heads) < 0)
        return -1;
    return check_size(s);
}

/* ---- config.json ----------------------------------------------------- */

static const pcv_json *value_of(const pcv_json *top, const pcv_row *r)
{
    const pcv_json *pcv = pcv_json_get(top, "pcv");

    return pcv_json_get(r->top ? top : pcv, r->key);
}

static bool is_number(const pcv_json *v)
{
    return pcv_json_kind(v) == PCV_JINT || pcv_json_kind(v) == PCV_JREAL;
}

static int bad_key(const char *name, const pcv_row *r)
{
    pcv_error_clear();
    return pcv_fail(EX_DATAERR, "%s: \"%s\" has a value that is not allowed "
                    "(want %s)", name, r->key, r->field.values);
}

static int parse_field(pcv_spec *s, const pcv_row *r, const pcv_json *v,
                       const char *name)
{
    if (pcv_json_kind(v) == PCV_JNULL)
        return 0;               /* Hugging Face's "unset": the default */
    if (r->type == PCV_ROW_WORD) {
        const char *text = pcv_json_string(v);

        if (!text || pcv_spec_set(s, r->field.name, text) < 0)
            return bad_key(name, r);
    } else if (r->type == PCV_ROW_BOOL) {
        if (pcv_json_kind(v) != PCV_JBOOL)
            return bad_key(name, r);
        *pcv_row_int(s, r) = pcv_json_bool(v);
    } else if (pcv_row_numbers(r) > 1) {
        int n = (int)pcv_json_count(v);

        if (pcv_json_kind(v) != PCV_JARRAY || n != pcv_row_numbers(r))
            return bad_key(name, r);
        for (int k = 0; k < n; k++)
            if (!is_number(pcv_json_at(v, (size_t)k)) ||
                pcv_row_number(s, r, k,
                           pcv_json_real(pcv_json_at(v, (size_t)k))) < 0)
                return bad_key(name, r);
    } else if (!is_number(v) || pcv_row_number(s, r, 0, pcv_json_real(v)) < 0) {
        return bad_key(name, r);
    }
    return 0;
}

/* "id2label": {"0": name, ..}: as many as outputs, each number once. */
static int parse_labels(pcv_spec *s, const pcv_json *map, const char *name)
{
    size_t n = pcv_json_count(map);
    const char **label;
    int r = -1;

    if (!map || s->task != PCV_CLASSIFY)
        return 0;
    if (n != (size_t)s->outputs)
        return pcv_fail(EX_DATAERR, "%s: %zu labels in \"id2label\", want %d",
                        name, n, s->outputs);
    if (!(label = pcv_alloc(n, sizeof *label)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        pcv_buf key = {0};

        pcv_buf_printf(&key, "%zu", i);
        label[i] = key.data ? pcv_json_string(pcv_json_get(map, key.data))
                            : NULL;
        pcv_buf_free(&key);
        if (!label[i]) {
            pcv_fail(EX_DATAERR, "%s: \"id2label\" has no name for %zu", name,
                     i);
            goto done;
        }
    }
    r = pcv_spec_set_labels(s, label, (int)n);
done:
    pcv_free(label);
    return r;
}

int pcv_spec_parse(pcv_spec *s, const char *text, size_t n, const char *name)
{
    pcv_json *top = pcv_json_parse(text, n, name);

    pcv_spec_default(s);
    if (!top)
        return -1;
    if (pcv_json_kind(pcv_json_get(top, "pcv")) != PCV_JOBJECT) {
        pcv_fail(EX_DATAERR, "%s: no object \"pcv\": not a model made by "
                 "pcv-train", name);
        goto fail;
    }
    for (size_t i = 0; i < PCV_LEN(rows); i++) {
        const pcv_json *v = value_of(top, &rows[i]);

        if (v && parse_field(s, &rows[i], v, name) < 0)
            goto fail;
    }
    if (s->outputs < 1) {
        pcv_fail(EX_DATAERR, "%s: \"outputs\" is missing", name);
        goto fail;
    }
    if (parse_labels(s, pcv_json_get(top, "id2label"), name) < 0)
        goto fail;
    pcv_json_close(top);
    return 0;
fail:
    pcv_json_close(top);
    pcv_spec_free(s);
    return -1;
}

static void write_string(pcv_buf *b, const char *s)
{
    pcv_buf_puts(b, "\"");
    pcv_buf_json(b, s, strlen(s));
    pcv_buf_puts(b, "\"");
}

static void write_field(const pcv_spec *s, const pcv_row *r, pcv_buf *b)
{
    pcv_buf value = {0};

    pcv_buf_printf(b, "%s\"%s\": ", r->top ? "  " : "    ", r->key);
    pcv_spec_get(s, r->field.name, &value);
    if (!value.data)
        b->failed = true;
    else if (r->type == PCV_ROW_WORD)
        write_string(b, value.data);
    else if (r->type == PCV_ROW_BOOL)
        pcv_buf_puts(b, value.data[0] == 'y' ? "true" : "false");
    else if (pcv_row_numbers(r) > 1)
        pcv_buf_printf(b, "[%s]", value.data);
    else if (r->top && r->standard <= 0 && !strcmp(value.data, "0"))
        pcv_buf_puts(b, "null");        /* as Hugging Face says "unset" */
    else
        pcv_buf_puts(b, value.data);
    pcv_buf_free(&value);
}

/* Does an earlier label look the same in JSON?  Bytes that are not UTF-8 do,
 * and no key may stand there twice. */
static bool stands_before(const pcv_buf *name, int i)
{
    for (int k = 0; k < i; k++)
        if (!strcmp(name[k].data, name[i].data))
            return true;
    return false;
}

static void write_names(const pcv_buf *name, int n, pcv_buf *b)
{
    pcv_buf_puts(b, "  \"id2label\": {");
    for (int i = 0; i < n; i++)
        pcv_buf_printf(b, "%s\n    \"%d\": %s", i ? "," : "", i,
                       name[i].data);
    pcv_buf_puts(b, "\n  },\n  \"label2id\": {");
    for (int i = 0; i < n; i++)
        if (!stands_before(name, i))
            pcv_buf_printf(b, "%s\n    %s: %d", i ? "," : "", name[i].data, i);
    pcv_buf_puts(b, "\n  },\n");
}

static void write_labels(const pcv_spec *s, pcv_buf *b)
{
    pcv_buf *name = pcv_alloc((size_t)s->outputs, sizeof *name);
    bool failed = !name;

    for (int i = 0; !failed && i < s->outputs; i++) {
        write_string(&name[i], s->label[i]);
        failed = name[i].failed;
    }
    if (failed)
        b->failed = true;
    else
        write_names(name, s->outputs, b);
    for (int i = 0; name && i < s->outputs; i++)
        pcv_buf_free(&name[i]);
    pcv_free(name);
}

void pcv_spec_write(const pcv_spec *s, pcv_buf *b)
{
    bool first = true;

    pcv_buf_puts(b, "{\n  \"model_type\": \"perceiver\",\n"
                    "  \"architectures\": [\"PcvPerceiver\"],\n");
    for (size_t i = 0; i < PCV_LEN(rows); i++)
        if (rows[i].top) {
            write_field(s, &rows[i], b);
            pcv_buf_puts(b, ",\n");
        }
    if (s->label)
        write_labels(s, b);
    pcv_buf_puts(b, "  \"pcv\": {");
    for (size_t i = 0; i < PCV_LEN(rows); i++)
        if (!rows[i].top) {
            pcv_buf_puts(b, first ? "\n" : ",\n");
            write_field(s, &rows[i], b);
            first = false;
        }
    pcv_buf_puts(b, "\n  }\n}\n");
}
