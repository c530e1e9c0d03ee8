/* augment.c - examples that are changed at random while a model learns.
 *
 * One row of the table per operation, in the order in which they are applied:
 * the setting that turns it on (by not being at its default), the kinds of
 * input that it is for, its key and what it does.  Its random numbers are
 *
 *     number i = pcv_uniform(seed + 7919 + 104729 key, stream, i)
 *
 * so that no operation's numbers depend on which others are on.  A new row
 * takes a new key and a setting in settings.c; keys are never given again. */
#include "augment.h"

#include <string.h>

enum { PICTURE = 1, SAMPLES = 2, MEL = 4, POINTS = 8, ROWS = 16, TEXT = 32,
       KINDS = 6 };

static const char *const kind_name[KINDS] = {
    "pictures", "samples of sound", "log-mel frames of sound", "points",
    "arrays", "texts"
};

static int add_noise(const pcv_change *c, pcv_array *x);

typedef struct {
    const char *setting;
    int kinds;
    unsigned key;
    int (*change)(const pcv_change *c, pcv_array *x);
    double (*mix)(const pcv_change *c, pcv_array *a, const pcv_array *b);
} operation;

/* Noise of sound belongs on its samples, as gain does; log-mel frames come
 * here when it is too late for that. */
static const operation operations[] = {
    { "shift", PICTURE, 0, pcv_shift_picture, NULL },
    { "delay", SAMPLES, 0, pcv_delay_sound, NULL },
    { "delay", MEL, 0, pcv_delay_frames, NULL },
    { "crop-area", PICTURE, 1, pcv_crop_picture, NULL },
    { "flip", PICTURE, 2, pcv_flip_picture, NULL },
    { "randaugment", PICTURE, 3, pcv_randaugment, NULL },
    { "gain", SAMPLES, 4, pcv_gain_sound, NULL },
    { "time-masks", MEL, 5, pcv_mask_time, NULL },
    { "frequency-masks", MEL, 6, pcv_mask_frequency, NULL },
    { "drop-points", POINTS, 7, pcv_drop_points, NULL },
    { "scale", POINTS, 8, pcv_scale_points, NULL },
    { "rotate", POINTS, 9, pcv_rotate_points, NULL },
    { "jitter", POINTS, 10, pcv_jitter_points, NULL },
    { "indent", TEXT, 16, pcv_indent_text, NULL },
    { "hide", TEXT, 17, pcv_hide_text, NULL },
    { "noise", PICTURE | SAMPLES | POINTS | ROWS, 11, add_noise, NULL },
    { "erase", PICTURE, 12, pcv_erase_picture, NULL },
    { "mixup", PICTURE | SAMPLES | MEL, 13, NULL, pcv_mix_up },
    { "cutmix", PICTURE, 14, NULL, pcv_cut_mix },
};

enum { CHOICE = 15 };           /* the key of which mix it is */

/* Settings that mean nothing without another one. */
static const struct {
    const char *setting, *other;
} needs[] = {
    { "magnitude", "randaugment" },
    { "time-masks", "time-mask" },
    { "time-mask", "time-masks" },
    { "frequency-masks", "frequency-mask" },
    { "frequency-mask", "frequency-masks" },
};

static pcv_change change_of(const pcv_run_spec *r, const pcv_prep *prep,
                            unsigned key, uint64_t stream)
{
    return (pcv_change){ r, prep, (uint64_t)r->seed + 7919 +
                                      UINT64_C(104729) * key, stream };
}

static int add_noise(const pcv_change *c, pcv_array *x)
{
    float *v = x->data;
    const size_t n = pcv_array_count(x);

    for (size_t i = 0; i < n; i++)
        v[i] += (float)(c->run->noise * pcv_normal(c->seed, c->stream, i));
    return 0;
}

/* 0: nothing of the table is for it. */
static int kind_of(const pcv_prep *prep)
{
    switch (prep->modality) {
    case PCV_IMAGE:
        return PICTURE;
    case PCV_SOUND:
        return prep->mels > 0 ? MEL : SAMPLES;
    case PCV_POINTS:
        return POINTS;
    case PCV_PLAIN:
        return ROWS;
    case PCV_BYTES:
        return TEXT;
    default:
        return 0;
    }
}

static int rank_of(int kind)
{
    return kind == PICTURE ? 3 : kind == SAMPLES || kind == TEXT ? 1 : 2;
}

static pcv_dtype type_of(int kind)
{
    return kind == TEXT ? PCV_I32 : PCV_F32;
}

/* ---- settings that fit ----------------------------------------------- */

/* All kinds that a setting is for; its rows may be several. */
static int kinds_of(const char *setting)
{
    int kinds = 0;

    for (size_t i = 0; i < PCV_LEN(operations); i++)
        if (!strcmp(operations[i].setting, setting))
            kinds |= operations[i].kinds;
    return kinds;
}

static void add_kinds(pcv_buf *b, int kinds)
{
    const char *between = "";

    for (int k = 0; k < KINDS; k++)
        if (kinds & 1 << k) {
            pcv_buf_printf(b, "%s%s", between, kind_name[k]);
            between = ", ";
        }
    if (!kinds)
        pcv_buf_puts(b, "neither");
}

static int refuse(const pcv_run_spec *r, const char *setting, int kinds,
                  int kind)
{
    pcv_buf value = {0}, names = {0}, taken = {0};

    add_kinds(&names, kinds);
    add_kinds(&taken, kind);
    pcv_run_get(r, setting, &value);
    pcv_fail(EX_USAGE, "%s: '%s' changes %s; the model takes %s: leave it out",
             setting, value.data ? value.data : "",
             names.data ? names.data : "", taken.data ? taken.data : "");
    pcv_buf_free(&value);
    pcv_buf_free(&names);
    pcv_buf_free(&taken);
    return -1;
}

/* Kinds of all parts. */
static int kinds_in(const pcv_spec *s)
{
    int kinds = 0;

    for (int i = 0; i < pcv_spec_count(s); i++)
        kinds |= kind_of(&pcv_spec_part(s, i)->prep);
    return kinds;
}

/* The targets of two examples can be mixed where both have all of them. */
static bool mixes(const pcv_spec *s)
{
    return !s->parts && s->task != PCV_FILL && s->task != PCV_RECONSTRUCT;
}

int pcv_augment_check(const pcv_run_spec *r, const pcv_spec *s)
{
    const int kind = kinds_in(s);

    for (size_t i = 0; i < PCV_LEN(needs); i++)
        if (pcv_run_given(r, needs[i].setting) &&
            !pcv_run_given(r, needs[i].other))
            return pcv_fail(EX_USAGE, "%s does nothing without %s",
                            needs[i].setting, needs[i].other);
    for (size_t i = 0; i < PCV_LEN(operations); i++) {
        const char *setting = operations[i].setting;
        const int kinds = kinds_of(setting);

        if (operations[i].mix && pcv_run_given(r, setting) && !mixes(s))
            return pcv_fail(EX_USAGE, "%s wants one input and a label or "
                            "numbers", setting);
        if (!(kinds & kind) && pcv_run_given(r, setting))
            return refuse(r, setting, kinds, kind);
    }
    return 0;
}

/* ---- examples -------------------------------------------------------- */

static bool is_on(const operation *o, const pcv_run_spec *r, int kind)
{
    return (o->kinds & kind) && pcv_run_given(r, o->setting);
}

static int check_array(const pcv_array *x, int kind)
{
    if (x->dtype == type_of(kind) && x->rank == rank_of(kind))
        return 0;
    return pcv_fail(EX_DATAERR, "an example of rank %d of %s cannot be "
                    "augmented, want rank %d of %s", x->rank,
                    x->dtype == PCV_STORED ? "values in a file"
                                           : pcv_dtype_name(x->dtype),
                    rank_of(kind), pcv_dtype_name(type_of(kind)));
}

int pcv_augment(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
                pcv_array *x)
{
    const int kind = kind_of(prep);

    for (size_t i = 0; i < PCV_LEN(operations); i++) {
        const operation *o = &operations[i];
        const pcv_change c = change_of(r, prep, o->key, stream);

        if (o->change && is_on(o, r, kind) &&
            (check_array(x, kind) < 0 || o->change(&c, x) < 0))
            return -1;
    }
    return 0;
}

static int check_pair(const pcv_array *a, const pcv_array *b, int kind)
{
    if (check_array(a, kind) < 0 || check_array(b, kind) < 0)
        return -1;
    for (int i = 0; i < a->rank; i++)
        if (a->dim[i] != b->dim[i])
            return pcv_fail(EX_DATAERR, "examples of different sizes cannot "
                            "be mixed: %zu and %zu along axis %d", a->dim[i],
                            b->dim[i], i);
    return 0;
}

/* Where several mixes are on, each has an equal share of the examples, as
 * Perceiver IO's recipe has it (appendix A.1). */
int pcv_mix(const pcv_run_spec *r, const pcv_prep *prep, uint64_t stream,
            pcv_array *a, const pcv_array *b, double *share)
{
    const pcv_change choice = change_of(r, prep, CHOICE, stream);
    const operation *on[PCV_LEN(operations)];
    const int kind = kind_of(prep);
    int n = 0;

    *share = 1;
    for (size_t i = 0; i < PCV_LEN(operations); i++)
        if (operations[i].mix && is_on(&operations[i], r, kind))
            on[n++] = &operations[i];
    if (n == 0)
        return 0;
    if (check_pair(a, b, kind) < 0)
        return -1;
    const operation *o = on[pcv_draw_int(&choice, 0, 0, n - 1)];
    const pcv_change c = change_of(r, prep, o->key, stream);

    *share = o->mix(&c, a, b);
    return 0;
}
