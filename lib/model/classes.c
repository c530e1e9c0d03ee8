/* classes.c - the published architectures: a class of Hugging Face's is one
 * row, the settings that its code fixes and its config.json does not have.
 * Others follow: for their state dicts a config.json is written by hand, with
 * the arguments of their constructors as keys (pcv-model(5)).
 *
 * A value "@key" is what the config says under that key, "@key.1" the second
 * of a list, "@a*b" a product, "@key?yes:no" a choice; "@labels" counts
 * "id2label".  Keys that a config leaves out have the defaults of the program
 * it comes from. */
#include "model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PICTURE "channels=3 height=224 width=224 fit=crop crop=0.875 " \
    "mean=0.485,0.456,0.406 std=0.229,0.224,0.225 any-size=yes "
#define TEXT "modality=bytes position=learned special=yes " \
    "parse-special=yes overlong=refuse "
#define CLASSIFIER "decoder=query decoder-heads=1 decoder-residual=yes " \
    "task=classify outputs=@labels "

typedef struct {
    const char *name, *settings;
} part_row;

/* lucidrains: GEGLU, four times as wide; no biases; features axis by axis. */
#define LUCID "cross-widening=4 self-widening=4 activation=geglu qkv-bias=no " \
    "cross-heads=@cross_heads qk-channels=@cross_heads*cross_dim_head " \
    "v-channels=@cross_heads*cross_dim_head self-heads=@latent_heads " \
    "self-qk-channels=@latent_heads*latent_dim_head " \
    "self-v-channels=@latent_heads*latent_dim_head " \
    "latents=@num_latents latent-channels=@latent_dim "
#define LUCID_V1 LUCID "names=lucidrains blocks=@depth cross-attends=@depth " \
    "layers=@self_per_cross_attn share-first-cross=no " \
    "share-cross=@weight_tie_layers?yes:no share-first-block=no " \
    "share-blocks=@weight_tie_layers?yes:no " \
    "position=@fourier_encode_data?fourier:none position-order=axes " \
    "bands=@num_freq_bands max-resolution=@max_freq channels=@input_channels " \
    "decoder=mean head-norm=yes task=classify outputs=@num_classes "
#define LUCID_IO LUCID "blocks=@weight_tie_layers?@depth:1 " \
    "layers=@weight_tie_layers?1:@depth decoder-heads=@cross_heads " \
    "decoder-qk-channels=@cross_heads*cross_dim_head " \
    "decoder-v-channels=@cross_heads*cross_dim_head decoder-residual=no " \
    "decoder-mlp=@decoder_ff?yes:no decoder-widening=4 task=values "
#define PLAIN_PICTURE "modality=image height=@image_size.0 " \
    "width=@image_size.1 any-size=yes "

static const struct {
    const char *name, *settings;
    part_row part[3];
    const char *when;           /* "key=number" that tells it from others */
    const char *refuse;         /* keys that must be false or not there, with
                                   '!' true */
} classes[] = {
    { "PerceiverForImageClassificationFourier",
      "modality=image " PICTURE "position=fourier bands=64 max-resolution=224 "
      CLASSIFIER, {{0}}, NULL, NULL },
    { "PerceiverForImageClassificationLearned",
      "modality=image " PICTURE "height=@image_size width=@image_size "
      "position=learned project-content=256 position-channels=256 "
      "project-positions=yes " CLASSIFIER, {{0}}, NULL, NULL },
    { "PerceiverForImageClassificationConvProcessing",
      "modality=image " PICTURE "convolve=64 position=fourier bands=64 "
      "max-resolution=56 " CLASSIFIER, {{0}}, NULL, NULL },
    { "PerceiverForMaskedLM",
      TEXT "decoder=query queries=@max_position_embeddings "
      "query-channels=@d_model decoder-heads=8 decoder-qk-channels=256 "
      "decoder-v-channels=@d_model decoder-residual=no tied=yes task=fill "
      "outputs=@vocab_size", {{0}}, NULL, NULL },
    { "PerceiverForSequenceClassification",
      TEXT CLASSIFIER, {{0}}, NULL, NULL },
    { "PerceiverForOpticalFlow",
      "modality=flow channels=3 fit=tile height=@train_size.0 "
      "width=@train_size.1 mean=0.5 std=0.5 project-content=64 "
      "position=fourier bands=64 max-resolution=@train_size.0,@train_size.1 "
      "decoder=input decoder-heads=1 decoder-residual=no divide=100 "
      "task=motion outputs=2", {{0}}, NULL, NULL },
    { "PerceiverForMultimodalAutoencoding",
      "modality=parts padding=4 query-padding=2 shared=512 decoder=query "
      "decoder-heads=1 decoder-residual=no", {
      { "audio", "modality=sound patch=@samples_per_patch "
        "samples=@num_frames*audio_samples_per_frame rate=48000 level=0 "
        "position=fourier bands=192 "
        "max-resolution=@num_frames*audio_samples_per_frame decoder=grid "
        "query-bands=192 by-index=yes task=reconstruct "
        "outputs=@samples_per_patch" },
      { "image", "modality=video channels=3 frames=@output_shape.1 "
        "height=@output_shape.2 width=@output_shape.3 fit=crop crop=1 mean=0 "
        "std=1 picture-patch=4 position=fourier bands=32 "
        "max-resolution=@num_frames,@image_size,@image_size decoder=grid "
        "query-bands=32 by-index=yes task=reconstruct outputs=3" },
      { "label", "modality=class channels=@labels position=none masked=yes "
        "decoder=query query-channels=1024 task=classify outputs=@labels" } },
      NULL, NULL },

    { "lucidrains.Perceiver", PLAIN_PICTURE LUCID_V1, {{0}}, "input_axis=2",
      "inverted_cross_attn !final_classifier_head" },
    { "lucidrains.Perceiver", "modality=array " LUCID_V1, {{0}},
      "input_axis=1", "inverted_cross_attn !final_classifier_head" },
    { "lucidrains.Perceiver", "modality=video frames=@frames "
      "height=@image_size width=@image_size " LUCID_V1,
      {{0}}, "input_axis=3",
      "inverted_cross_attn !final_classifier_head" },
    { "lucidrains.PerceiverIO", "modality=array channels=@dim position=none "
      "names=lucidrains-io decoder=query queries=@queries "
      "query-channels=@queries_dim outputs=@logits_dim " LUCID_IO, {{0}}, NULL,
      NULL },
    { "lucidrains.PerceiverLM", "modality=bytes length=@max_seq_len "
      "special=no unpadded=yes vocabulary=@num_tokens embedding=@dim "
      "position=learned names=lucidrains-lm decoder=input "
      "outputs=@num_tokens " LUCID_IO, {{0}}, NULL, NULL },
    { "krasserm.ImageClassifier", PLAIN_PICTURE "channels=@image_size.2 "
      "position=learned position-channels=@position_channels "
      "names=krasserm latents=@num_latents "
      "latent-channels=@num_latent_channels qk-channels=@num_latent_channels "
      "blocks=1 layers=@num_self_attention_layers_per_block decoder=mean "
      "head-norm=yes task=classify outputs=@num_classes", {{0}}, NULL, NULL },
    { "louislva.Perceiver", PLAIN_PICTURE "channels=1 mean=0 "
      "std=1.00392156862745098 position=learned position-channels=@d "
      "project-positions=yes project-content=@d add-positions=yes "
      "names=louislva latents=@num_latents latent-channels=@d blocks=@depth "
      "cross-attends=@depth layers=@layers share-first-cross=no "
      "share-cross=yes share-first-block=no share-blocks=yes cross-heads=1 "
      "self-heads=@latent_heads self-context=yes extra-key=yes out-twice=yes "
      "outer-residual=yes decoder=mean head-hidden=yes log-softmax=yes "
      "task=classify outputs=@num_classes", {{0}}, NULL, NULL },
};

/* What the configuration has where the file is silent, as settings .. */
static const char standard[] =
    "latents=256 latent-channels=1280 embedding=768 blocks=1 layers=26 "
    "self-heads=8 cross-heads=8 length=2048 vocabulary=262";

/* .. and as keys that settings of a class name. */
static const struct {
    const char *key;
    double value[4];
    const char *setting;        /* which holds it in a model of ours */
} keys[] = {
    { "max_position_embeddings", { 2048 }, "length" },
    { "d_model", { 768 }, "embedding" },
    { "vocab_size", { 262 }, "vocabulary" },
    { "image_size", { 56, 56, 1 }, "height" },
    { "labels", { 2 }, "outputs" },
    { "train_size", { 368, 496 }, NULL },
    { "num_frames", { 16 }, NULL },
    { "audio_samples_per_frame", { 1920 }, NULL },
    { "samples_per_patch", { 16 }, NULL },
    { "output_shape", { 1, 16, 224, 224 }, NULL },
    { "input_channels", { 3 }, NULL }, { "input_axis", { 2 }, NULL },
    { "num_latents", { 512 }, NULL }, { "latent_dim", { 512 }, NULL },
    { "cross_heads", { 1 }, NULL }, { "latent_heads", { 8 }, NULL },
    { "cross_dim_head", { 64 }, NULL }, { "latent_dim_head", { 64 }, NULL },
    { "num_classes", { 1000 }, NULL }, { "weight_tie_layers", { 0 }, NULL },
    { "fourier_encode_data", { 1 }, NULL }, { "decoder_ff", { 0 }, NULL },
    { "self_per_cross_attn", { 1 }, NULL }, { "frames", { 1 }, NULL },
    { "inverted_cross_attn", { 0 }, NULL },
    { "final_classifier_head", { 1 }, NULL },
};

enum { WORD = 512 };

/* ---- values ---------------------------------------------------------- */

/* Where keys have their values: a config, or a model of ours. */
typedef struct {
    const pcv_json *config;
    const pcv_spec *spec;
    const char *name;           /* of the file */
} source;

/* What stands for a key that the source does not have; NaN: nothing. */
static double fallback(const source *f, const char *key, size_t at)
{
    pcv_buf text = {0};
    double v = (double)NAN;

    for (size_t i = 0; i < PCV_LEN(keys); i++) {
        if (strcmp(keys[i].key, key))
            continue;
        if (!f->spec)
            v = keys[i].value[at < 4 ? at : 3];
        else if (keys[i].setting)
            pcv_spec_get(f->spec, keys[i].setting, &text);
        if (text.data)
            v = strtod(text.data, NULL);
    }
    pcv_buf_free(&text);
    return v;
}

/* "key" or "key.1" of n characters; NaN when it is no number. */
static double value_of(const source *f, const char *key, size_t n)
{
    char name[64] = "";
    const pcv_json *v;
    size_t k = strcspn(key, ".*,?="), at = 0;
    double number = (double)NAN;
    bool labels, unset;

    if (k < n && key[k] == '.')
        at = (size_t)strtoul(key + k + 1, NULL, 10);
    k = k < n ? k : n;
    memcpy(name, key, k < sizeof name ? k : sizeof name - 1);
    labels = !strcmp(name, "labels");
    v = pcv_json_get(f->config, labels ? "id2label" : name);
    unset = pcv_json_kind(v) == PCV_JNULL;
    if (pcv_json_kind(v) == PCV_JARRAY)
        v = pcv_json_at(v, at);
    if (labels && !unset)
        number = pcv_json_kind(v) == PCV_JOBJECT ? (double)pcv_json_count(v)
                                                 : number;
    else if (pcv_json_kind(v) == PCV_JINT || pcv_json_kind(v) == PCV_JREAL)
        number = pcv_json_real(v);
    else if (pcv_json_kind(v) == PCV_JBOOL)
        number = pcv_json_bool(v);
    else if (unset)
        number = fallback(f, name, at);
    if (isnan(number) && labels)
        pcv_fail(EX_DATAERR, "%s: \"id2label\" is no object", f->name);
    else if (isnan(number))
        pcv_fail(EX_DATAERR, "%s: \"%.*s\" is missing, or no number", f->name,
                 (int)n, key);
    return number;
}

/* "a*b" after an '@', up to the comma or the end. */
static double product(const source *f, const char *p)
{
    const char *end = p + strcspn(p, ",");
    double v = 1;

    while (p < end) {
        size_t n = strcspn(p, "*,");

        v *= value_of(f, p, n);
        p += n + (p[n] == '*');
    }
    return v;
}

/* "@key?yes:no", to what it chooses; any other value to itself.  -1: the key is
 * no number. */
static int choose(const source *f, const char *value, char out[WORD])
{
    const char *ask = strchr(value, '?'), *colon = strchr(value, ':');
    double v;

    if (!ask || !colon) {
        strcpy(out, value);
        return 0;
    }
    v = value_of(f, value + 1, (size_t)(ask - value - 1));
    if (isnan(v))
        return -1;
    if (v > 0 || v < 0) {
        memcpy(out, ask + 1, (size_t)(colon - ask - 1));
        out[colon - ask - 1] = '\0';
    } else {
        strcpy(out, colon + 1);
    }
    return 0;
}

/* A value with its keys replaced, into out. */
static int resolve(const source *f, const char *value, pcv_buf *out)
{
    while (*value) {
        size_t n = strcspn(value, ",");
        double v;

        if (*value == '@') {
            v = product(f, value + 1);
            if (isnan(v))
                return -1;
            pcv_json_exact(out, v);
        } else {
            pcv_buf_add(out, value, n);
        }
        value += n;
        if (*value == ',') {
            pcv_buf_puts(out, ",");
            value++;
        }
    }
    return out->failed ? -1 : 0;
}

/* One "name=value". */
static int apply_one(pcv_spec *s, const source *f, char *word)
{
    char *value = strchr(word, '='), chosen[WORD];
    pcv_buf text = {0};
    int r;

    *value++ = '\0';
    if (choose(f, value, chosen) < 0)
        return -1;
    r = resolve(f, chosen, &text);
    if (r == 0)
        r = pcv_spec_set(s, word, text.data ? text.data : "");
    pcv_buf_free(&text);
    return r;
}

static int apply(pcv_spec *s, const source *f, const char *settings)
{
    char word[WORD];

    while (*settings) {
        size_t n = strcspn(settings, " ");

        memcpy(word, settings, n);
        word[n] = '\0';
        if (n && apply_one(s, f, word) < 0)
            return -1;
        settings += n + (settings[n] == ' ');
    }
    return 0;
}

/* ---- a class --------------------------------------------------------- */

/* Does the config have the number that a row wants? */
static bool applies(const char *when, const source *f)
{
    const char *equal = when ? strchr(when, '=') : NULL;
    double v = equal ? value_of(f, when, (size_t)(equal - when)) : 0;

    return !equal || (int)v == atoi(equal + 1);
}

static int find(const char *name, const source *f)
{
    for (size_t i = 0; name && i < PCV_LEN(classes); i++)
        if (!strcmp(classes[i].name, name) && applies(classes[i].when, f))
            return (int)i;
    return -1;
}

/* Is the key, or one of its list, as it is not wanted? */
static bool is_refused(const source *f, const char *key, size_t n, bool want)
{
    char name[64] = "";
    const pcv_json *v;
    bool bad = false;

    memcpy(name, key, n < sizeof name ? n : sizeof name - 1);
    v = pcv_json_get(f->config, name);
    for (size_t i = 0; pcv_json_kind(v) == PCV_JARRAY &&
                       i < pcv_json_count(v); i++)
        bad = bad || pcv_json_bool(pcv_json_at(v, i)) != want;
    return bad || (pcv_json_kind(v) != PCV_JARRAY &&
                   (value_of(f, key, n) > 0) != want);
}

/* What a class can do and the model here cannot. */
static int check_refused(int i, const source *f)
{
    const char *p = classes[i].refuse;

    for (size_t n; p && *p; p += n + (p[n] == ' ')) {
        bool want = *p == '!';

        p += want;
        n = strcspn(p, " ");
        if (is_refused(f, p, n, want))
            return pcv_fail(EX_DATAERR, "%s: \"%.*s\" is not supported, want "
                            "%s", f->name, (int)n, p, want ? "true" : "false");
    }
    return 0;
}

/* A bad value of a config is bad data, whatever setting it went through. */
static int in_file(const char *name)
{
    pcv_buf what = {0};

    if (pcv_error_code() != EX_USAGE)
        return -1;
    pcv_buf_puts(&what, pcv_error());
    pcv_error_clear();
    pcv_fail(EX_DATAERR, "%s: %s", name, what.data ? what.data : "");
    pcv_buf_free(&what);
    return -1;
}

static int fill_class(pcv_spec *s, int i, const source *f)
{
    if (check_refused(i, f) < 0 || apply(s, f, standard) < 0 ||
        pcv_spec_parse_top(s, f->config, f->name) < 0 ||
        apply(s, f, classes[i].settings) < 0)
        return in_file(f->name);
    for (size_t k = 0; k < PCV_LEN(classes[i].part); k++) {
        const part_row *row = &classes[i].part[k];
        pcv_spec *p = row->name ? pcv_spec_add_part(s, row->name) : NULL;

        if (row->name && (!p || apply(p, f, row->settings) < 0))
            return in_file(f->name);
    }
    s->origin = classes[i].name;
    return pcv_spec_parse_labels(s, f->config, f->name);
}

static int unknown(const char *found, const char *name)
{
    pcv_buf list = {0}, shown = {0};
    int r;

    for (size_t i = 0; i < PCV_LEN(classes); i++)
        if (i == 0 || strcmp(classes[i].name, classes[i - 1].name))
            pcv_buf_printf(&list, "%s%s", i ? ", " : "", classes[i].name);
    pcv_buf_escape(&shown, found ? found : "nothing");
    r = pcv_fail(EX_DATAERR, "%s: \"architectures\" is %s, want one of %s, or "
                 "an object \"pcv\"", name, shown.data ? shown.data : "",
                 list.data ? list.data : "");
    pcv_buf_free(&list);
    pcv_buf_free(&shown);
    return r;
}

int pcv_class_parse(pcv_spec *s, const pcv_json *config, const char *name)
{
    const pcv_json *list = pcv_json_get(config, "architectures");
    const char *found = pcv_json_string(pcv_json_at(list, 0));
    source f = { config, NULL, name };
    int i = find(found, &f);

    if (i < 0 && pcv_error_code())
        return -1;
    pcv_spec_default(s);
    return i < 0 ? unknown(found, name) : fill_class(s, i, &f);
}

/* ---- the class of a model -------------------------------------------- */

/* What a class does not have, and a model may have at will: preparing of
 * inputs, which preprocessor_config.json and the tokenizer do. */
static const char *const free_settings[] = {
    "fit", "crop", "polarity", "mean", "std", "any-size", "height", "width",
    "special", "parse-special", "overlong", "rate", "level", "samples",
    "patch", "mels", "mel-window", "mel-step", "length",
};

static bool is_free(const char *name)
{
    for (size_t i = 0; i < PCV_LEN(free_settings); i++)
        if (!strcmp(name, free_settings[i]))
            return true;
    return false;
}

/* The settings of class i for a model with the keys that s would write.  None
 * that is held knows GEGLU by name. */
static bool holds(int i, const pcv_spec *s)
{
    source f = { NULL, s, classes[i].name };
    const pcv_row *r;
    pcv_spec t;
    bool same = !classes[i].part[0].name && !s->parts && s->act != PCV_GEGLU;

    pcv_spec_default(&t);
    for (int k = 0; (r = pcv_spec_row(k)); k++)
        if (r->flags & PCV_ROW_TOP)
            memcpy((char *)&t + r->at, (const char *)s + r->at, sizeof(int));
    same = same && apply(&t, &f, classes[i].settings) == 0;
    for (int k = 0; same && (r = pcv_spec_row(k)); k++)
        same = is_free(r->field.name) || pcv_row_same(r, s, &t);
    if (pcv_error_code() != EX_OSERR)   /* a setting that a class refuses */
        pcv_error_clear();
    return same;
}

static int class_of(const pcv_spec *s)
{
    for (size_t i = 0; i < PCV_LEN(classes); i++)
        if (holds((int)i, s))
            return (int)i;
    return -1;
}

bool pcv_class_holds(const pcv_spec *s)
{
    return class_of(s) >= 0;
}

void pcv_class_write(const pcv_spec *s, pcv_buf *b)
{
    int i = class_of(s);

    b->failed = b->failed || pcv_error_code() == EX_OSERR;
    pcv_buf_printf(b, "  \"architectures\": [\"%s\"],\n",
                   i < 0 ? "PcvPerceiver" : classes[i].name);
    if (i >= 0 && strstr(classes[i].settings, "@image_size"))
        pcv_buf_printf(b, "  \"image_size\": %d,\n", s->prep.height);
}
