/* content.c - what the elements of a grid hold beside their positions, kept
 * planar (channel, then element): the table of kinds, and those that only
 * move numbers: pixels, sound in patches or in bands of frequencies, rows of
 * an array, a class. */
#include "tokens.h"

int pcv_content_misfit(const pcv_array *x, const char *want)
{
    pcv_buf b = {0};
    int r;

    for (int i = 0; i < x->rank; i++)
        pcv_buf_printf(&b, "%s%zu", i ? "x" : "", x->dim[i]);
    r = pcv_fail(EX_DATAERR, "an input of shape [%s], want %s",
                 b.data ? b.data : "", want);
    pcv_buf_free(&b);
    return r;
}

/* ---- pixels ---------------------------------------------------------- */

static bool serves_pixels(const pcv_stem_spec *s)
{
    return s->modality == PCV_IMAGE && !s->convolve && s->block < 2;
}

static int columns(const pcv_stem_spec *s)
{
    return s->channels;
}

static int shape_pixels(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    if (x->rank != 3 || x->dim[0] != (size_t)s->channels)
        return pcv_content_misfit(x, "[channels, height, width] of the model");
    len[0] = (int)x->dim[1];
    len[1] = (int)x->dim[2];
    return 0;
}

static int fill_pixels(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    const float *in = x->data;

    for (size_t i = 0; i < m * (size_t)b->stem->spec.channels; i++)
        out[i] = (real)in[i];
    return 0;
}

static bool planes(const pcv_stem_spec *s)
{
    (void)s;
    return true;
}

static const pcv_content_kind pixels = {
    "pixels", serves_pixels, 2, columns, NULL, shape_pixels, fill_pixels,
    planes
};

/* ---- rows, the last one padded --------------------------------------- */

static void fill_rows(const pcv_array *x, size_t c, size_t m, real *out)
{
    const float *in = x->data;
    size_t n = pcv_array_count(x);

    for (size_t k = 0; k < c; k++)
        for (size_t j = 0; j < m; j++)
            out[k * m + j] = j * c + k < n ? (real)in[j * c + k] : 0;
}

static bool serves_sound(const pcv_stem_spec *s)
{
    return s->modality == PCV_SOUND && !s->mels;
}

static int patch(const pcv_stem_spec *s)
{
    return s->patch;
}

static int shape_sound(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    if (x->rank != 1)
        return pcv_content_misfit(x, "[samples]");
    len[0] = (int)((x->dim[0] + (size_t)s->patch - 1) / (size_t)s->patch);
    return 0;
}

static int fill_sound(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    fill_rows(x, (size_t)b->stem->spec.patch, m, out);
    return 0;
}

static bool single_samples(const pcv_stem_spec *s)
{
    return s->patch == 1;
}

static const pcv_content_kind sound = {
    "sound", serves_sound, 1, patch, NULL, shape_sound, fill_sound,
    single_samples
};

static bool serves_mel(const pcv_stem_spec *s)
{
    return s->modality == PCV_SOUND && s->mels;
}

static int mels(const pcv_stem_spec *s)
{
    return s->mels;
}

static int shape_mel(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    if (x->rank != 2 || x->dim[1] != (size_t)s->mels)
        return pcv_content_misfit(x, "[frames, mels] of the model");
    len[0] = (int)x->dim[0];
    return 0;
}

static int fill_mel(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    fill_rows(x, (size_t)b->stem->spec.mels, m, out);
    return 0;
}

static bool single_band(const pcv_stem_spec *s)
{
    return s->mels == 1;
}

static const pcv_content_kind mel = {
    "mel", serves_mel, 1, mels, NULL, shape_mel, fill_mel, single_band
};

static bool serves_plain(const pcv_stem_spec *s)
{
    return s->modality == PCV_PLAIN;
}

static int shape_plain(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    if (x->rank != 2 || x->dim[1] != (size_t)s->channels)
        return pcv_content_misfit(x, "[rows, channels] of the model");
    len[0] = (int)x->dim[0];
    return 0;
}

static int fill_plain(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    fill_rows(x, (size_t)b->stem->spec.channels, m, out);
    return 0;
}

static bool single_column(const pcv_stem_spec *s)
{
    return s->channels == 1;
}

static const pcv_content_kind plain = {
    "rows", serves_plain, 1, columns, NULL, shape_plain, fill_plain,
    single_column
};

/* ---- a class: one element -------------------------------------------- */

static bool serves_one_hot(const pcv_stem_spec *s)
{
    return s->modality == PCV_ONE_HOT;
}

static int shape_one_hot(const pcv_stem_spec *s, const pcv_array *x,
                         int len[3])
{
    if (x->rank != 1 || x->dim[0] != (size_t)s->channels)
        return pcv_content_misfit(x, "[classes] of the model");
    len[0] = 1;
    return 0;
}

static const pcv_content_kind one_hot = {
    "class", serves_one_hot, 1, columns, NULL, shape_one_hot, fill_plain,
    planes
};

/* ---- the table ------------------------------------------------------- */

static const pcv_content_kind *const kinds[] = {
    &pixels, &sound, &mel, &plain, &one_hot, &pcv_content_convolved,
    &pcv_content_squares, &pcv_content_video, &pcv_content_flow,
};

const pcv_content_kind *pcv_content_find(const pcv_stem_spec *s)
{
    for (size_t i = 0; i < PCV_LEN(kinds); i++)
        if (kinds[i]->serves(s))
            return kinds[i];
    return NULL;
}

/* ---- B inputs -------------------------------------------------------- */

int pcv_batch_work(pcv_batch *b, size_t n)
{
    if (n <= b->work_cap)
        return 0;
    pcv_free(b->work);
    b->work_cap = 0;
    if (!(b->work = pcv_alloc(n, sizeof *b->work)))
        return -1;
    b->work_cap = n;
    return 0;
}

static int shape(const pcv_stem *s, const pcv_array *x, int len[3])
{
    size_t most = 1 << 30;

    for (int i = 0; i < x->rank; i++)
        if (x->dim[i] == 0 || x->dim[i] > most)
            return pcv_content_misfit(x, "at least one element and at most "
                                      "2^30");
    len[0] = len[1] = len[2] = 1;
    return s->made->shape(&s->spec, x, len);
}

static int reserve(pcv_batch *b, size_t n)
{
    if (n <= b->copy_cap)
        return 0;
    pcv_free(b->copy);
    b->copy_cap = 0;
    if (!(b->copy = pcv_alloc(n, sizeof(real))))
        return -1;
    b->copy_cap = n;
    return 0;
}

/* n values from each of the inputs into a copy. */
static int copy_all(pcv_batch *b, const pcv_array *const *x, int items,
                    size_t m, size_t n)
{
    if (reserve(b, n * (size_t)items) < 0)
        return -1;
    for (int i = 0; i < items; i++)
        if (b->stem->made->fill(b, x[i], m, b->copy + (size_t)i * n) < 0)
            return -1;
    b->content = b->copy;
    return 0;
}

/* Not in double: the arrays are of floats. */
static bool in_place(const pcv_stem *s, int items)
{
    return items == 1 && sizeof(real) == sizeof(float) && s->made->planar &&
           s->made->planar(&s->spec);
}

/* All of them first: none may leave a batch half filled. */
static int same_shapes(const pcv_batch *b, const pcv_array *const *x,
                       int items)
{
    for (int i = 0; i < items; i++) {
        int len[3];

        if (x[i]->dtype == PCV_STORED && items > 1)
            return pcv_fail(EX_DATAERR, "a sound in a file beside others: "
                            "want it alone");
        if (shape(b->stem, x[i], len) < 0)
            return -1;
        for (int a = 0; a < b->axes; a++)
            if (len[a] != b->len[a])
                return pcv_fail(EX_DATAERR, "inputs of a batch differ in "
                                "size: want all of one, or one in a batch");
    }
    return 0;
}

int pcv_content_fill(pcv_batch *b, const pcv_array *const *x, int items)
{
    const pcv_stem *s = b->stem;
    size_t m = 1, need, c = (size_t)s->made->channels(&s->spec);
    bool fits = true;

    if (shape(s, x[0], b->len) < 0)
        return -1;
    b->axes = s->made->axes;
    for (int a = 0; a < b->axes; a++)
        fits = fits && pcv_mul(m, (size_t)b->len[a], &m);
    if (!fits || m > 1 << 30 || !pcv_mul(m, c, &need) ||
        !pcv_mul(need, (size_t)items, &need))
        return pcv_fail(EX_OSERR, "an input too large for this machine");
    if (same_shapes(b, x, items) < 0)
        return -1;
    b->store = x[0]->dtype == PCV_STORED ? x[0]->data : NULL;
    if (b->store)
        b->content = NULL;
    else if (in_place(s, items))
        b->content = x[0]->data;
    else if (copy_all(b, x, items, m, m * c) < 0)
        return -1;
    b->tokens.n = (int)m;
    b->tokens.mask = NULL;
    return 0;
}
