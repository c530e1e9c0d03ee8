/* words.c - a model in words: what it takes, is and gives, from its settings.
 * Each function adds one line without its end. */
#include "look.h"
#include "opt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- settings -------------------------------------------------------- */

/* Memory that is out must not pass for a setting that is not there. */
char *words_copy(const pcv_model *m, const char *name)
{
    char *text = pcv_model_setting(m, name);

    if (!text && pcv_error_code())
        opt_fatal_pcv();
    return text;
}

words words_setting(const pcv_model *m, const char *name)
{
    char *text = words_copy(m, name);
    words w = { "" };

    if (text)
        snprintf(w.text, sizeof w.text, "%s", text);
    free(text);
    return w;
}

/* A model, or what concerns one of its several modalities. */
typedef struct {
    const pcv_model *m;
    size_t part;
    bool whole;
} subject;

static words setting(const subject *s, const char *name)
{
    char *text = s->whole ? words_copy(s->m, name)
                          : pcv_answer_setting(s->m, s->part, name);
    words w = { "" };

    if (!text && pcv_error_code())
        opt_fatal_pcv();
    if (text)
        snprintf(w.text, sizeof w.text, "%s", text);
    free(text);
    return w;
}

static long number(const subject *s, const char *name)
{
    words w = setting(s, name);

    return strtol(w.text, NULL, 10);
}

static bool is(const subject *s, const char *name, const char *value)
{
    words w = setting(s, name);

    return !strcmp(w.text, value);
}

static const char *plural(long n)
{
    return n == 1 ? "" : "s";
}

/* The first n numbers of a setting that is a list; one where all are equal. */
static void list(const subject *s, const char *name, long n, pcv_bytes *b)
{
    words w = setting(s, name);
    double v[4] = {0};
    const char *p = w.text;
    long have = 0;
    bool same = true;

    while (have < 4 && *p) {
        char *end;

        v[have] = strtod(p, &end);
        same = same && (have >= n || !(v[have] < v[0] || v[have] > v[0]));
        have++;
        p = *end ? end + 1 : end;
    }
    n = same ? 1 : n < have ? n : have;
    for (long i = 0; i < n; i++)
        pcv_bytes_printf(b, "%s%g", i ? "/" : "", v[i]);
}

/* ---- modalities: what each is called, takes and is prepared by ------- */

static void size(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "%ldx%ld", number(s, "height"), number(s, "width"));
}

static void takes_image(const subject *s, pcv_bytes *b)
{
    if (is(s, "fit", "keep")) {
        pcv_bytes_printf(b, "of any size x %ld", number(s, "channels"));
        return;
    }
    size(s, b);
    pcv_bytes_printf(b, "x%ld", number(s, "channels"));
}

static bool is_bands(const subject *s)
{
    return is(s, "modality", "sound") && number(s, "mels") > 0;
}

static void takes_sound(const subject *s, pcv_bytes *b)
{
    long samples = number(s, "samples");

    if (samples)
        pcv_bytes_printf(b, "of %ld samples", samples);
    else
        pcv_bytes_printf(b, "of any length");
}

static void takes_bytes(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "up to %ld", number(s, "length"));
}

static void takes_columns(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "of %ld columns", number(s, "channels"));
}

static void takes_pair(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "of 2 pictures in tiles of ");
    size(s, b);
}

static void takes_video(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "of %ld pictures ", number(s, "frames"));
    size(s, b);
}

static void takes_class(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "of %ld", number(s, "channels"));
}

static void normalisation(const subject *s, pcv_bytes *b)
{
    long channels = number(s, "channels");

    pcv_bytes_printf(b, "mean ");
    list(s, "mean", channels, b);
    pcv_bytes_printf(b, ", std ");
    list(s, "std", channels, b);
    if (is(s, "polarity", "light-on-dark"))
        pcv_bytes_printf(b, ", made light on dark");
}

static void prepare_picture(const subject *s, pcv_bytes *b)
{
    words crop = setting(s, "crop");

    if (is(s, "fit", "crop"))
        pcv_bytes_printf(b, "centre square (%s of the smaller side), ",
                         crop.text);
    if (is(s, "fit", "keep") || is(s, "fit", "tile")) {
        pcv_bytes_printf(b, "size as it comes");
    } else {
        pcv_bytes_printf(b, "resize ");
        size(s, b);
        pcv_bytes_printf(b, " (bicubic)");
    }
    pcv_bytes_printf(b, ", ");
    normalisation(s, b);
}

static void prepare_sound(const subject *s, pcv_bytes *b)
{
    long samples = number(s, "samples");
    words level = setting(s, "level");
    words window = setting(s, "mel-window"), step = setting(s, "mel-step");

    pcv_bytes_printf(b, "mono, %ld Hz", number(s, "rate"));
    if (strtod(level.text, NULL) > 0)
        pcv_bytes_printf(b, ", scaled to an RMS of %s", level.text);
    if (samples)
        pcv_bytes_printf(b, ", padded or cut to %ld samples", samples);
    if (is_bands(s))
        pcv_bytes_printf(b, ", %ld bands of frequencies of %s ms every %s ms",
                         number(s, "mels"), window.text, step.text);
}

static void prepare_bytes(const subject *s, pcv_bytes *b)
{
    bool whole = is(s, "overlong", "refuse");

    pcv_bytes_printf(b, "id = byte + 6%s%s, at most %ld%s",
                     is(s, "special", "yes") ? ", between [CLS] and [SEP]" : "",
                     is(s, "parse-special", "yes") ? ", [MASK] is an id" : "",
                     number(s, "length"), whole ? " or refused" : "");
}

static void prepare_rows(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, "rows of %ld numbers, at most %ld",
                     number(s, "channels"), number(s, "length"));
}

static void prepare_class(const subject *s, pcv_bytes *b)
{
    pcv_bytes_printf(b, is(s, "masked", "yes") ? "never looked at"
                                               : "one of them is 1");
}

static const struct {
    const char *name, *element, *channels;  /* channels: the setting */
    int axes;
    void (*takes)(const subject *s, pcv_bytes *b);
    void (*prepare)(const subject *s, pcv_bytes *b);
} kinds[] = {
    { "array", "column", "channels", 1, takes_columns, prepare_rows },
    { "image", "colour", "channels", 2, takes_image, prepare_picture },
    { "sound", "sample", "patch", 1, takes_sound, prepare_sound },
    { "bytes", "embedding", "embedding", 1, takes_bytes, prepare_bytes },
    { "points", "column", "channels", 3, takes_columns, prepare_rows },
    { "flow", "projected", "project-content", 2, takes_pair,
      prepare_picture },
    { "video", "pixel value", "picture-patch", 3, takes_video,
      prepare_picture },
    { "class", "one-hot channel", "channels", 1, takes_class,
      prepare_class },
};

/* A kind that is not there looks like an array. */
static size_t kind_of(const subject *s)
{
    words w = setting(s, "modality");

    for (size_t i = 1; i < OPT_LEN(kinds); i++)
        if (!strcmp(kinds[i].name, w.text))
            return i;
    return 0;
}

static size_t parts_of(const pcv_model *m)
{
    words w = words_setting(m, "modality");

    return strcmp(w.text, "parts") ? 0 : pcv_model_answers(m);
}

/* Calls f for the whole, or for each of several parts with its name. */
static void each_part(const pcv_model *m, const char *between, pcv_bytes *b,
                      void (*f)(const subject *s, pcv_bytes *b))
{
    subject s = { m, 0, true };

    if (!parts_of(m))
        f(&s, b);
    for (s.whole = false; s.part < parts_of(m); s.part++) {
        pcv_answer_info a = pcv_model_answer(m, s.part);

        pcv_bytes_printf(b, "%s%s: ", s.part ? between : "", a.name);
        f(&s, b);
    }
}

/* ---- what it is ------------------------------------------------------ */

static void takes(const subject *s, pcv_bytes *b)
{
    words kind = setting(s, "modality");

    pcv_bytes_printf(b, "%s ", kind.text);
    kinds[kind_of(s)].takes(s, b);
}

static void gives(const subject *s, pcv_bytes *b)
{
    pcv_answer_info a = pcv_model_answer(s->m, s->part);

    if (a.kind == PCV_ANSWER_CLASSES)
        pcv_bytes_printf(b, "%zu label%s", a.outputs, plural((long)a.outputs));
    else
        pcv_bytes_printf(b, "%zu x %zu", a.queries, a.outputs);
}

static const char *purpose(const pcv_model *m)
{
    static const char *const names[] = {
        [PCV_ANSWER_CLASSES] = "classifier", [PCV_ANSWER_PICTURE] =
        "autoencoder", [PCV_ANSWER_FRAMES] = "autoencoder",
        [PCV_ANSWER_SOUND] = "autoencoder", [PCV_ANSWER_TEXT] =
        "masked language model", [PCV_ANSWER_FLOW] = "optical flow",
        [PCV_ANSWER_ARRAY] = "numbers",
    };

    return parts_of(m) ? "several modalities"
                       : names[pcv_model_answer(m, 0).kind];
}

void words_model(const pcv_model *m, pcv_bytes *b)
{
    words decoder = words_setting(m, "decoder");
    bool published = strcmp(pcv_model_class(m), "PcvPerceiver") != 0;

    if (published)
        pcv_bytes_printf(b, "%s, ", pcv_model_class(m));
    pcv_bytes_printf(b, "%s, %s (",
                     strcmp(decoder.text, "mean") ? "Perceiver IO"
                                                  : "Perceiver", purpose(m));
    each_part(m, ", ", b, takes);
    pcv_bytes_printf(b, " -> ");
    each_part(m, ", ", b, gives);
    pcv_bytes_printf(b, ")");
}

/* ---- the byte array -------------------------------------------------- */

/* Channels of a row that are content: all that is not position. */
static long content(const subject *s, pcv_bytes *b)
{
    size_t k = kind_of(s);
    long n = number(s, kinds[k].channels);
    const char *what = kinds[k].element;

    if (is_bands(s))
        what = "band", n = number(s, "mels");
    if (!strcmp(kinds[k].name, "points") && !is(s, "position", "none"))
        n -= 3;                 /* the coordinates become positions */
    if (!strcmp(kinds[k].name, "video"))
        n *= 3 * n;
    if (!strcmp(kinds[k].name, "image") && number(s, "picture-patch") > 1) {
        what = "pixel value";
        n *= number(s, "picture-patch") * number(s, "picture-patch");
    }
    if (number(s, "convolve"))
        what = "convolved", n = number(s, "convolve");
    if (is(s, "position", "learned") && number(s, "project-content") &&
        strcmp(what, "embedding"))
        what = "projected", n = number(s, "project-content");
    if (n > 0)
        pcv_bytes_printf(b, "%ld %s%s", n, what,
                         strstr(what, "ed") ? "" : plural(n));
    return n;
}

static void resolution(const subject *s, pcv_bytes *b)
{
    if (is(s, "max-resolution", "0,0,0")) {
        pcv_bytes_printf(b, ", resolution of the grid");
        return;
    }
    pcv_bytes_printf(b, ", max_resolution ");
    list(s, "max-resolution", kinds[kind_of(s)].axes, b);
}

static void fourier(const subject *s, pcv_bytes *b)
{
    bool nerf = is(s, "position", "nerf");
    long bands = number(s, "bands");

    pcv_bytes_printf(b, "%ld %s: %ld band%s",
                     kinds[kind_of(s)].axes * (2 * bands + 1),
                     nerf ? "NeRF" : "Fourier", bands, plural(bands));
    if (!nerf)
        resolution(s, b);
}

static void positions(const subject *s, pcv_bytes *b)
{
    bool learned = is(s, "position", "learned");
    bool bytes = is(s, "modality", "bytes");
    bool added = bytes || is(s, "add-positions", "yes");

    if (is(s, "position", "none") || (bytes && !learned)) {
        pcv_bytes_printf(b, "; no positions");
        return;
    }
    if (b->len > 0 && b->data[b->len - 1] != '(')
        pcv_bytes_printf(b, " + ");
    if (!learned)
        fourier(s, b);
    else if (added)
        pcv_bytes_printf(b, "learned positions, added");
    else
        pcv_bytes_printf(b, "%ld learned positions",
                         number(s, "position-channels"));
}

static void row(const subject *s, pcv_bytes *b)
{
    content(s, b);
    positions(s, b);
}

void words_input(const pcv_model *m, const pcv_cost_info *c, pcv_bytes *b)
{
    pcv_bytes_printf(b, "%.0f x %.0f  (", c->elements, c->channels);
    each_part(m, " | ", b, row);
    if (parts_of(m))
        pcv_bytes_printf(b, "; padded, at least %s", words_setting(
                             m, "padding").text);
    pcv_bytes_printf(b, ")");
}

/* ---- the latents ----------------------------------------------------- */

/* How n uses of a kind of layer share their weights. */
static const char *sharing(const subject *s, long n, const char *first,
                           const char *rest)
{
    if (n < 2)
        return "";
    if (is(s, first, "yes"))
        return ", shared";
    return n > 2 && is(s, rest, "yes") ? ", first unshared" : ", unshared";
}

void words_latents(const pcv_model *m, pcv_bytes *b)
{
    const subject s = { m, 0, true };
    long crosses = number(&s, "cross-attends"), rounds = number(&s, "blocks");
    long heads = number(&s, "cross-heads"), layers = number(&s, "layers");

    pcv_bytes_printf(b, "%zu x %zu  encoder %ld cross-attend%s (%ld head%s%s)",
                     pcv_model_latents(m), pcv_model_latent_channels(m),
                     crosses, plural(crosses), heads, plural(heads),
                     sharing(&s, crosses, "share-first-cross", "share-cross"));
    if (!layers)
        return;
    heads = number(&s, "self-heads");
    pcv_bytes_printf(b, " + %ld x %ld self (%ld head%s)%s", rounds, layers,
                     heads, plural(heads),
                     sharing(&s, rounds, "share-first-block",
                             "share-blocks"));
}

/* ---- what it gives --------------------------------------------------- */

static void asked(const subject *s, pcv_bytes *b)
{
    pcv_answer_info a = pcv_model_answer(s->m, s->part);
    bool classes = a.kind == PCV_ANSWER_CLASSES;

    if (is(s, "decoder", "mean"))
        pcv_bytes_printf(b, "mean of the latents, linear");
    else if (is(s, "decoder", "grid"))
        pcv_bytes_printf(b, "%zu queries (Fourier: %ld bands)", a.queries,
                         number(s, "query-bands"));
    else if (is(s, "decoder", "input"))
        pcv_bytes_printf(b, "%zu queries (the input's rows)", a.queries);
    else
        pcv_bytes_printf(b, "%zu learned quer%s", a.queries,
                         a.queries == 1 ? "y" : "ies");
    if (s->whole && !is(s, "decoder", "mean"))
        pcv_bytes_printf(b, ", cross-attend (%ld head%s)",
                         number(s, "decoder-heads"),
                         plural(number(s, "decoder-heads")));
    pcv_bytes_printf(b, " -> %zu %s%s", a.outputs,
                     classes ? "logit" : "channel", plural((long)a.outputs));
}

void words_decoder(const pcv_model *m, pcv_bytes *b)
{
    each_part(m, " | ", b, asked);
}

static void prepared(const subject *s, pcv_bytes *b)
{
    kinds[kind_of(s)].prepare(s, b);
}

void words_preprocess(const pcv_model *m, pcv_bytes *b)
{
    each_part(m, " | ", b, prepared);
}
