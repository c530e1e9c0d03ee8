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

static long number(const pcv_model *m, const char *name)
{
    words w = words_setting(m, name);

    return strtol(w.text, NULL, 10);
}

static bool is(const pcv_model *m, const char *name, const char *value)
{
    words w = words_setting(m, name);

    return !strcmp(w.text, value);
}

static const char *plural(long n)
{
    return n == 1 ? "" : "s";
}

/* The first n numbers of a setting that is a list; one where all are equal. */
static void list(const pcv_model *m, const char *name, long n, pcv_bytes *b)
{
    words w = words_setting(m, name);
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

/* ---- what it takes --------------------------------------------------- */

static void takes(const pcv_model *m, pcv_bytes *b)
{
    words kind = words_setting(m, "modality");
    long samples = number(m, "samples"), length = number(m, "length");
    long channels = number(m, "channels");

    pcv_bytes_printf(b, "%s ", kind.text);
    if (is(m, "modality", "image") && is(m, "fit", "keep"))
        pcv_bytes_printf(b, "of any size x %ld", channels);
    else if (is(m, "modality", "image"))
        pcv_bytes_printf(b, "%ldx%ldx%ld", number(m, "height"),
                         number(m, "width"), channels);
    else if (is(m, "modality", "sound") && samples)
        pcv_bytes_printf(b, "of %ld samples", samples);
    else if (is(m, "modality", "sound"))
        pcv_bytes_printf(b, "of any length");
    else if (is(m, "modality", "bytes"))
        pcv_bytes_printf(b, "up to %ld", length);
    else
        pcv_bytes_printf(b, "of %ld columns", channels);
}

static void gives(const pcv_model *m, pcv_bytes *b)
{
    size_t queries = pcv_model_queries(m), outputs = pcv_model_outputs(m);

    if (pcv_model_classifies(m))
        pcv_bytes_printf(b, "%zu label%s", outputs, plural((long)outputs));
    else
        pcv_bytes_printf(b, "%zu x %zu", queries, outputs);
}

void words_model(const pcv_model *m, pcv_bytes *b)
{
    bool io = !is(m, "decoder", "mean");

    pcv_bytes_printf(b, "%s, %s (", io ? "Perceiver IO" : "Perceiver",
                     pcv_model_classifies(m) ? "classifier" : "autoencoder");
    takes(m, b);
    pcv_bytes_printf(b, " -> ");
    gives(m, b);
    pcv_bytes_printf(b, ")");
}

/* ---- the byte array -------------------------------------------------- */

/* Channels of a row that are content: all that is not position. */
static long content(const pcv_model *m, pcv_bytes *b)
{
    long project = number(m, "project-content"), n = number(m, "channels");
    const char *what = "column";

    if (is(m, "modality", "image"))
        what = "colour";
    else if (is(m, "modality", "points") && !is(m, "position", "none"))
        n -= 3;                 /* the coordinates become positions */
    else if (is(m, "modality", "sound"))
        what = "sample", n = number(m, "patch");
    else if (is(m, "modality", "bytes"))
        what = "embedding", n = number(m, "embedding"), project = 0;
    if (project && is(m, "position", "learned"))
        what = "projected", n = project;
    if (!strcmp(what, "embedding") || !strcmp(what, "projected"))
        pcv_bytes_printf(b, "%ld %s", n, what);
    else if (n > 0)
        pcv_bytes_printf(b, "%ld %s%s", n, what, plural(n));
    return n;
}

static void resolution(const pcv_model *m, pcv_bytes *b)
{
    long axes = is(m, "modality", "image") ? 2
                : is(m, "modality", "points") ? 3 : 1;

    if (is(m, "max-resolution", "0,0,0")) {
        pcv_bytes_printf(b, ", resolution of the grid");
        return;
    }
    pcv_bytes_printf(b, ", max_resolution ");
    list(m, "max-resolution", axes, b);
}

static void positions(const pcv_model *m, long channels, pcv_bytes *b)
{
    words kind = words_setting(m, "position");
    bool first = b->len > 0 && b->data[b->len - 1] == '(';
    const char *plus = first ? "" : " + ";

    if (is(m, "position", "none"))
        pcv_bytes_printf(b, "; no positions");
    else if (is(m, "modality", "bytes"))
        pcv_bytes_printf(b, "%s", is(m, "position", "learned")
                                      ? " + learned positions, added"
                                      : "; no positions");
    else if (is(m, "position", "learned"))
        pcv_bytes_printf(b, "%s%ld learned positions", plus, channels);
    else {
        pcv_bytes_printf(b, "%s%ld %s: %ld band%s", plus, channels,
                         !strcmp(kind.text, "nerf") ? "NeRF" : "Fourier",
                         number(m, "bands"), plural(number(m, "bands")));
        if (!strcmp(kind.text, "fourier"))
            resolution(m, b);
    }
}

void words_input(const pcv_model *m, const pcv_cost_info *c, pcv_bytes *b)
{
    long all = (long)c->channels, of_content;

    pcv_bytes_printf(b, "%.0f x %ld  (", c->elements, all);
    of_content = content(m, b);
    positions(m, all - of_content, b);
    pcv_bytes_printf(b, ")");
}

/* ---- the latents ----------------------------------------------------- */

/* How n uses of a kind of layer share their weights. */
static const char *sharing(const pcv_model *m, long n, const char *first,
                           const char *rest)
{
    if (n < 2)
        return "";
    if (is(m, first, "yes"))
        return ", shared";
    return n > 2 && is(m, rest, "yes") ? ", first unshared" : ", unshared";
}

void words_latents(const pcv_model *m, pcv_bytes *b)
{
    long crosses = number(m, "cross-attends"), rounds = number(m, "blocks");
    long heads = number(m, "cross-heads"), layers = number(m, "layers");

    pcv_bytes_printf(b, "%zu x %zu  encoder %ld cross-attend%s (%ld head%s%s)",
                     pcv_model_latents(m), pcv_model_latent_channels(m),
                     crosses, plural(crosses), heads, plural(heads),
                     sharing(m, crosses, "share-first-cross", "share-cross"));
    if (!layers)
        return;
    heads = number(m, "self-heads");
    pcv_bytes_printf(b, " + %ld x %ld self (%ld head%s)%s", rounds, layers,
                     heads, plural(heads),
                     sharing(m, rounds, "share-first-block", "share-blocks"));
}

/* ---- what it gives --------------------------------------------------- */

void words_decoder(const pcv_model *m, pcv_bytes *b)
{
    size_t outputs = pcv_model_outputs(m), queries = pcv_model_queries(m);
    long heads = number(m, "decoder-heads"), bands = number(m, "query-bands");

    if (is(m, "decoder", "mean"))
        pcv_bytes_printf(b, "mean of the latents, linear");
    else if (is(m, "decoder", "grid"))
        pcv_bytes_printf(b, "%zu queries (Fourier: %ld bands), cross-attend "
                         "(%ld head%s)", queries, bands, heads, plural(heads));
    else
        pcv_bytes_printf(b, "%zu learned quer%s, cross-attend (%ld head%s)",
                         queries, queries == 1 ? "y" : "ies", heads,
                         plural(heads));
    pcv_bytes_printf(b, " -> %zu %s%s", outputs,
                     pcv_model_classifies(m) ? "logit" : "channel",
                     plural((long)outputs));
}

static void picture(const pcv_model *m, pcv_bytes *b)
{
    long channels = number(m, "channels");
    words crop = words_setting(m, "crop");

    if (is(m, "fit", "crop"))
        pcv_bytes_printf(b, "centre square (%s of the smaller side), ",
                         crop.text);
    if (is(m, "fit", "keep"))
        pcv_bytes_printf(b, "size as it comes");
    else
        pcv_bytes_printf(b, "resize %ldx%ld (bicubic)", number(m, "height"),
                         number(m, "width"));
    pcv_bytes_printf(b, ", mean ");
    list(m, "mean", channels, b);
    pcv_bytes_printf(b, ", std ");
    list(m, "std", channels, b);
    if (is(m, "polarity", "light-on-dark"))
        pcv_bytes_printf(b, ", made light on dark");
}

static void sound(const pcv_model *m, pcv_bytes *b)
{
    long samples = number(m, "samples");
    words level = words_setting(m, "level");

    pcv_bytes_printf(b, "mono, %ld Hz", number(m, "rate"));
    if (strtod(level.text, NULL) > 0)
        pcv_bytes_printf(b, ", scaled to an RMS of %s", level.text);
    if (samples)
        pcv_bytes_printf(b, ", padded or cut to %ld samples", samples);
}

void words_preprocess(const pcv_model *m, pcv_bytes *b)
{
    long length = number(m, "length");

    if (is(m, "modality", "image"))
        picture(m, b);
    else if (is(m, "modality", "sound"))
        sound(m, b);
    else if (is(m, "modality", "bytes"))
        pcv_bytes_printf(b, "id = byte + 6%s, at most %ld",
                         is(m, "special", "yes") ? ", between [CLS] and [SEP]"
                                                 : "", length);
    else
        pcv_bytes_printf(b, "rows of %ld numbers, at most %ld",
                         number(m, "channels"), length);
}
