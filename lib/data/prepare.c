/* prepare.c - a medium -> the array that a network takes.
 *
 *   pictures  channels, crop, resize, polarity, (v / 255 - mean) / std
 *             -> F32 [channels][height][width], as the Hugging Face image
 *             processor computes it
 *   frames    the same, several or a clip         -> F32 [n][3][height][width]
 *   sound     resampled, padded or cut            -> F32 [samples], or its
 *             bands of frequencies (mel.c)        -> F32 [frames][mels]
 *   bytes     byte + 6 between [CLS] and [SEP]    -> I32 [n]
 *   class     one-hot                             -> F32 [classes]
 *   points    rows of floats                      -> F32 [n][channels]
 *   plain     rows of any numbers                 -> F32 [n][channels]
 *
 * One row of the table below per modality: what it makes of its own medium
 * and what of an array.  No value that leaves here is NaN or infinite. */
#include "formats.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define SHAPE_TEXT (8 + PCV_MAX_RANK * 22)

typedef struct {
    const pcv_prep *prep;
    const pcv_media *media;
    pcv_array view;             /* of media: borrowed, perhaps fewer axes */
    const char *name;
    pcv_array *out;
} job;

/* ---- arrays ---------------------------------------------------------- */

static bool is_float(pcv_dtype t)
{
    return t == PCV_F64 || t == PCV_F32 || t == PCV_F16 || t == PCV_BF16;
}

static void print_shape(const pcv_array *a, char text[SHAPE_TEXT])
{
    int at = snprintf(text, SHAPE_TEXT, "%s [", pcv_dtype_name(a->dtype));

    for (int i = 0; i < a->rank; i++)
        at += snprintf(text + at, SHAPE_TEXT - (size_t)at, "%s%zu",
                       i ? "," : "", a->dim[i]);
    snprintf(text + at, SHAPE_TEXT - (size_t)at, "]");
}

static int wrong_shape(const job *j, const char *want)
{
    char found[SHAPE_TEXT];

    print_shape(&j->media->array, found);
    return pcv_fail(EX_DATAERR, "%s: array is %s, want %s", j->name, found,
                    want);
}

/* An array of one item, written with its batch axis, is that item. */
static void drop_batch_axis(pcv_array *a)
{
    a->rank--;
    memmove(a->dim, a->dim + 1, (size_t)a->rank * sizeof *a->dim);
}

static int open_out(job *j, pcv_dtype t, int rank, const size_t *dim)
{
    size_t count = 1;

    for (int i = 0; i < rank; i++)
        if (!pcv_mul(count, dim[i], &count))
            return pcv_fail(EX_DATAERR, "%s: too many values", j->name);
    j->out->data = pcv_alloc(count, pcv_dtype_size(t));
    if (!j->out->data)
        return -1;
    j->out->dtype = t;
    j->out->rank = rank;
    memcpy(j->out->dim, dim, (size_t)rank * sizeof *dim);
    return 0;
}

static int not_finite(const job *j, const pcv_array *a, size_t i, float v)
{
    char at[SHAPE_TEXT];
    size_t index[PCV_MAX_RANK];
    int end = 0;

    for (int k = a->rank - 1; k >= 0; k--) {
        index[k] = i % a->dim[k];
        i /= a->dim[k];
    }
    for (int k = 0; k < a->rank; k++)
        end += snprintf(at + end, sizeof at - (size_t)end, "%s%zu",
                        k ? "," : "", index[k]);
    return pcv_fail(EX_DATAERR, "%s: value [%s] is %s, want a finite number",
                    j->name, at, isnan(v) ? "NaN" : "infinite");
}

/* a is F32. */
static int check_finite(const job *j, const pcv_array *a)
{
    const float *v = a->data;
    const size_t n = pcv_array_count(a);

    for (size_t i = 0; i < n; i++)
        if (!isfinite(v[i]))
            return not_finite(j, a, i, v[i]);
    return 0;
}

/* out gets the first values of the view, as many as dim says. */
static int copy_floats(job *j, int rank, const size_t *dim)
{
    if (open_out(j, PCV_F32, rank, dim) != 0)
        return -1;
    pcv_dtype_to_float(j->view.dtype, j->view.data, pcv_array_count(j->out),
                       j->out->data);
    return check_finite(j, j->out);
}

/* ---- pictures -------------------------------------------------------- */

static int prepare_picture(job *j)
{
    return pcv_picture_prepare(j->prep, &j->view, j->name, j->out);
}

/* [C,H,W] floats, already normalised. */
static int prepare_planes(job *j)
{
    const pcv_prep *prep = j->prep;
    pcv_array *a = &j->view;
    const bool any = prep->fit == PCV_KEEP || prep->any_size;
    char want[128];

    if (a->rank == 4 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank == 3 && a->dim[0] == (size_t)prep->channels &&
        (any ? a->dim[1] > 0 && a->dim[2] > 0
             : a->dim[1] == (size_t)prep->height &&
               a->dim[2] == (size_t)prep->width))
        return copy_floats(j, 3, a->dim);
    if (any)
        snprintf(want, sizeof want, "floats [%d,height,width] or a U8 picture",
                 prep->channels);
    else
        snprintf(want, sizeof want, "floats [%d,%d,%d] or a U8 picture",
                 prep->channels, prep->height, prep->width);
    return wrong_shape(j, want);
}

static bool is_pixel(size_t channels)
{
    return channels == 1 || channels == 3;
}

/* U8 [H,W] and [H,W,1|3] are pictures; [1,H,W] is one of the first kind, but
 * [1,W,3] a picture of one row. */
static int prepare_picture_array(job *j)
{
    pcv_array *a = &j->view;

    if (a->dtype != PCV_U8)
        return is_float(a->dtype) ? prepare_planes(j)
               : wrong_shape(j, "a U8 picture or floats");
    if (a->dim[0] == 1 &&
        (a->rank == 4 || (a->rank == 3 && !is_pixel(a->dim[2]))))
        drop_batch_axis(a);
    if (a->rank == 2)
        a->dim[a->rank++] = 1;
    if (a->rank != 3 || !is_pixel(a->dim[2]))
        return wrong_shape(j, "a picture: [height,width], "
                           "[height,width,1] or [height,width,3]");
    return prepare_picture(j);
}

/* ---- pictures that belong together ----------------------------------- */

/* [2,3,H,W], or the 3x3 around every pixel, [2,27,H,W]. */
static int prepare_pair_array(job *j)
{
    pcv_array *a = &j->view;

    if (a->rank == 5 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank != 4 || !is_float(a->dtype) || a->dim[0] != 2 ||
        (a->dim[1] != 3 && a->dim[1] != 27) || a->dim[2] == 0 ||
        a->dim[3] == 0)
        return wrong_shape(j, "floats [2,3,height,width] or [2,27,height,"
                           "width]");
    return copy_floats(j, 4, a->dim);
}

/* Picture i of n into out, which has the room once it has the first. */
static int add_frame(const pcv_prep *prep, const pcv_media *m, size_t i,
                     size_t n, const char *name, pcv_array *out)
{
    pcv_array one = {0};
    size_t bytes;

    if (pcv_picture_prepare(prep, &m->array, name, &one) != 0)
        return -1;
    bytes = pcv_array_count(&one) * sizeof(float);
    if (i == 0) {
        *out = (pcv_array){ PCV_F32, 4, { n, one.dim[0], one.dim[1],
                                          one.dim[2] }, NULL };
        out->data = pcv_alloc(n, bytes);
    }
    if (out->data && one.dim[1] == out->dim[2] && one.dim[2] == out->dim[3])
        memcpy((char *)out->data + i * bytes, one.data, bytes);
    else if (out->data)
        pcv_fail(EX_DATAERR, "%s: picture of %zu x %zu pixels, the one before "
                 "it has %zu x %zu", name, one.dim[2], one.dim[1],
                 out->dim[3], out->dim[2]);
    pcv_array_free(&one);
    return pcv_error_code() ? -1 : 0;
}

int pcv_prepare_frames(const pcv_prep *prep, const pcv_media *const *m,
                       const char *const *name, size_t n, pcv_array *out)
{
    memset(out, 0, sizeof *out);
    for (size_t i = 0; i < n; i++) {
        int r = m[i]->kind == PCV_MEDIA_IMAGE
                    ? add_frame(prep, m[i], i, n, name[i], out)
                    : pcv_fail(EX_DATAERR, "%s: is not a picture, the model "
                               "takes pictures", name[i]);

        if (r < 0) {
            pcv_array_free(out);
            return -1;
        }
    }
    return 0;
}

/* U8 [n][height][width][channels]. */
static int prepare_clip(job *j)
{
    const pcv_array *a = &j->view;
    const size_t n = a->dim[0], bytes = pcv_array_count(a) / n;

    for (size_t i = 0; i < n; i++) {
        const pcv_media one = { PCV_MEDIA_IMAGE, { PCV_U8, 3, { a->dim[1],
                                a->dim[2], a->dim[3] }, (char *)a->data +
                                i * bytes }, 0 };

        if (add_frame(j->prep, &one, i, n, j->name, j->out) < 0)
            return -1;
    }
    return 0;
}

/* [frames,3,H,W] floats, already normalised, or U8 [frames,H,W,1|3]. */
static int prepare_video_array(job *j)
{
    const pcv_prep *p = j->prep;
    const size_t frames = (size_t)p->frames;
    pcv_array *a = &j->view;
    char want[128];

    if (a->rank == 5 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank == 4 && a->dim[0] == frames) {
        if (a->dtype == PCV_U8 && is_pixel(a->dim[3]) && a->dim[1] > 0 &&
            a->dim[2] > 0)
            return prepare_clip(j);
        if (is_float(a->dtype) && a->dim[1] == 3 &&
            a->dim[2] == (size_t)p->height && a->dim[3] == (size_t)p->width)
            return copy_floats(j, 4, a->dim);
    }
    snprintf(want, sizeof want, "floats [%zu,3,%d,%d] or U8 [%zu,height,"
             "width,3]", frames, p->height, p->width, frames);
    return wrong_shape(j, want);
}

/* ---- a class --------------------------------------------------------- */

static int prepare_one_hot(job *j)
{
    pcv_array *a = &j->view;

    if (a->rank == 2 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank != 1 || !is_float(a->dtype) ||
        a->dim[0] != (size_t)j->prep->channels)
        return wrong_shape(j, "floats [classes] of the model");
    return copy_floats(j, 1, a->dim);
}

/* ---- sound ----------------------------------------------------------- */

static int write_samples(job *j, const float *samples, size_t n)
{
    const size_t want = j->prep->samples > 0 ? (size_t)j->prep->samples : n;

    if (n == 0)
        return pcv_fail(EX_DATAERR, "%s: sound has no samples", j->name);
    if (open_out(j, PCV_F32, 1, &want) != 0)
        return -1;
    memcpy(j->out->data, samples, (n < want ? n : want) * sizeof *samples);
    return 0;
}

/* Scales what was kept of a sound to a root mean square of `level`, so that
 * how loud it was recorded does not matter; silence stays silence. */
static void set_level(job *j, size_t n)
{
    float *v = j->out->data;
    const size_t kept = n < j->out->dim[0] ? n : j->out->dim[0];
    double square = 0;

    for (size_t i = 0; i < kept; i++)
        square += (double)v[i] * (double)v[i];
    if (j->prep->level <= 0 || square <= 0)
        return;
    square = j->prep->level / sqrt(square / (double)kept);
    for (size_t i = 0; i < kept; i++)
        v[i] = (float)((double)v[i] * square);
}

/* n samples of a sound, or more with zeros behind, become bands where a model
 * wants those.  Frames that are all padding are 0, the mean of the others. */
static int to_bands(job *j, size_t n)
{
    const pcv_prep *prep = j->prep;
    pcv_array samples = *j->out;
    const size_t all = samples.dim[0];
    const size_t dim[2] = { pcv_prep_frames(prep, all), (size_t)prep->mels };
    int result;

    *j->out = (pcv_array){0};
    if (samples.dtype == PCV_STORED && dim[0] > PCV_LONG) {
        *j->out = (pcv_array){ PCV_STORED, 2, { dim[0], dim[1] }, NULL };
        j->out->data = pcv_mel_stored(prep, &samples, j->name);
        result = j->out->data ? 0 : -1;
    } else {
        result = open_out(j, PCV_F32, 2, dim);
        if (result == 0)
            result = pcv_mel(prep, &samples, n < all ? n : all, j->name,
                             j->out->data);
    }
    pcv_array_free(&samples);
    return result;
}

static int finish_sound(job *j, const float *samples, size_t n)
{
    if (write_samples(j, samples, n) != 0)
        return -1;
    set_level(j, n);
    return j->prep->mels ? to_bands(j, n) : 0;
}

/* What makes the root mean square of n stored samples `level`. */
static double level_of(pcv_store *s, size_t n, double level)
{
    float v[4096];
    double square = 0;

    for (size_t at = 0; level > 0 && at < n; at += PCV_LEN(v)) {
        size_t k = n - at < PCV_LEN(v) ? n - at : PCV_LEN(v);

        pcv_store_floats(s, at, k, v);
        for (size_t i = 0; i < k; i++)
            square += (double)v[i] * (double)v[i];
    }
    return square > 0 ? level / sqrt(square / (double)n) : 1;
}

/* A sound that is in no memory; it is neither padded nor cut. */
static int prepare_stored(job *j)
{
    const int from = j->media->rate, to = j->prep->rate;
    size_t n = j->view.dim[0];
    pcv_store *in = j->view.data, *same;

    same = from == to || from <= 0 || to <= 0
               ? pcv_store_share(in, 1)
               : pcv_resample_stored(in, n, from, to, &n);
    if (!same)
        return -1;
    *j->out = (pcv_array){ PCV_STORED, 1, { n }, NULL };
    j->out->data = pcv_store_share(same, level_of(same, n, j->prep->level));
    pcv_store_close(same);
    if (!j->out->data || pcv_store_check(j->out->data) < 0)
        return -1;
    return j->prep->mels ? to_bands(j, n) : 0;
}

static int prepare_sound(job *j)
{
    const size_t n = j->view.dim[0];
    const int from = j->media->rate, to = j->prep->rate;
    float *samples;
    size_t m;
    int result;

    if (j->view.dtype == PCV_STORED)
        return prepare_stored(j);
    if (check_finite(j, &j->view) != 0)
        return -1;
    if (n == 0 || from == to || from <= 0 || to <= 0)
        return finish_sound(j, j->view.data, n);
    if (pcv_resample(j->view.data, n, from, to, &samples, &m) != 0)
        return -1;
    result = finish_sound(j, samples, m);
    pcv_free(samples);
    return result;
}

/* [frames,mels], as many frames as the model's samples have. */
static int prepare_bands(job *j)
{
    const pcv_prep *prep = j->prep;
    pcv_array *a = &j->view;
    const size_t frames = prep->samples > 0
                              ? pcv_prep_frames(prep, (size_t)prep->samples)
                              : 0;      /* any number */
    char want[80];

    if (a->rank == 3 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank == 2 && is_float(a->dtype) && a->dim[0] > 0 &&
        (frames == 0 || a->dim[0] == frames) &&
        a->dim[1] == (size_t)prep->mels)
        return copy_floats(j, 2, a->dim);
    if (frames > 0)
        snprintf(want, sizeof want, "floats [%zu,%d] or [samples]", frames,
                 prep->mels);
    else
        snprintf(want, sizeof want, "floats [frames,%d] or [samples]",
                 prep->mels);
    return wrong_shape(j, want);
}

/* Floats at the model's rate, whose level is left: [n], and where that cannot
 * be bands [n,1], [1,n]. */
static int prepare_sound_array(job *j)
{
    pcv_array *a = &j->view, floats;
    job copy = *j;
    int result;

    if (j->prep->mels && a->rank > 1)
        return prepare_bands(j);
    while (a->rank > 1 && a->dim[0] == 1)
        drop_batch_axis(a);
    while (a->rank > 1 && a->dim[a->rank - 1] == 1)
        a->rank--;
    if (a->rank != 1 || !is_float(a->dtype))
        return wrong_shape(j, "floats [samples]");
    copy.view = *a;
    copy.out = &floats;
    memset(&floats, 0, sizeof floats);
    result = copy_floats(&copy, 1, a->dim);
    if (result == 0)
        result = write_samples(j, floats.data, a->dim[0]);
    if (result == 0 && j->prep->mels)
        result = to_bands(j, a->dim[0]);
    pcv_array_free(&floats);
    return result;
}

/* ---- bytes ----------------------------------------------------------- */

static const char *const special[PCV_FIRST_BYTE] = {
    "[PAD]", "[BOS]", "[EOS]", "[MASK]", "[CLS]", "[SEP]",
};

const char *pcv_token_name(int id)
{
    return id >= 0 && id < PCV_FIRST_BYTE ? special[id] : NULL;
}

/* The id of the token that n bytes begin with, and its length: a byte, or the
 * name of a special one where those are looked for. */
static int next_token(const pcv_prep *prep, const uint8_t *p, size_t n,
                      size_t *length)
{
    *length = 1;
    for (int i = 0; prep->parse && *p == '[' && i < PCV_FIRST_BYTE; i++)
        if (strlen(special[i]) <= n &&
            memcmp(p, special[i], strlen(special[i])) == 0) {
            *length = strlen(special[i]);
            return i;
        }
    return *p + PCV_FIRST_BYTE;
}

static size_t count_tokens(const pcv_prep *prep, const uint8_t *p, size_t n)
{
    size_t count = 0, length;

    for (; n > 0; count++, p += length, n -= length)
        next_token(prep, p, n, &length);
    return count;
}

static int refuse_text(const job *j, size_t tokens, int length)
{
    return pcv_fail(EX_DATAERR, "%s: text of %zu tokens with the special ones, "
                    "the model takes %d (--overlong=cut leaves the rest away)",
                    j->name, tokens, length);
}

/* n tokens of bytes p, of which there are at least as many. */
static int write_ids(job *j, const uint8_t *p, size_t left, size_t n)
{
    const size_t specials = j->prep->special ? 2 : 0, total = n + specials;
    int32_t *ids;

    if (open_out(j, PCV_I32, 1, &total) != 0)
        return -1;
    ids = j->out->data;
    if (specials) {
        *ids++ = PCV_CLS;
        ids[n] = PCV_SEP;
    }
    for (size_t i = 0, length; i < n; i++, p += length, left -= length)
        ids[i] = next_token(j->prep, p, left, &length);
    return 0;
}

static int prepare_bytes(job *j)
{
    const uint8_t *bytes = j->view.data;
    const size_t specials = j->prep->special ? 2 : 0;
    const size_t length = j->prep->length > 0 ? (size_t)j->prep->length
                                              : SIZE_MAX / 2;
    const size_t size = j->view.dim[0];
    size_t n = count_tokens(j->prep, bytes, size);

    if (n == 0 && specials == 0)
        return pcv_fail(EX_DATAERR, "%s: empty text", j->name);
    if (length <= specials)
        return pcv_fail(EX_DATAERR, "%s: the model takes %zu tokens, want "
                        "more than the %zu special ones", j->name, length,
                        specials);
    if (n > length - specials && j->prep->overlong == PCV_REFUSE)
        return refuse_text(j, n + specials, j->prep->length);
    if (n > length - specials)
        n = length - specials;
    return write_ids(j, bytes, size, n);
}

/* Ids as they are; too many are not cut, their end may be a [SEP]. */
static int prepare_ids(job *j)
{
    pcv_array *a = &j->view;
    const size_t size = pcv_dtype_size(a->dtype);
    const int length = j->prep->length;
    int32_t *ids;

    if (a->rank == 2 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank != 1 || is_float(a->dtype) || a->dtype == PCV_BOOL ||
        a->dim[0] == 0)
        return wrong_shape(j, "integers [n], n at least 1");
    if (length > 0 && a->dim[0] > (size_t)length)
        return pcv_fail(EX_DATAERR, "%s: %zu ids, want at most %d", j->name,
                        a->dim[0], length);
    if (open_out(j, PCV_I32, 1, a->dim) != 0)
        return -1;
    ids = j->out->data;
    for (size_t i = 0; i < a->dim[0]; i++) {
        double v;

        pcv_dtype_to_double(a->dtype, (const char *)a->data + i * size, 1, &v);
        if (v < 0 || v > INT32_MAX)
            return pcv_fail(EX_DATAERR, "%s: id [%zu] is %.0f, want 0 to %d",
                            j->name, i, v, INT32_MAX);
        ids[i] = (int32_t)v;
    }
    return 0;
}

/* ---- rows of numbers ------------------------------------------------- */

/* [n,channels]; with one channel also [n]. */
static int prepare_rows(job *j)
{
    pcv_array *a = &j->view;
    const int length = j->prep->length;
    char want[64];

    if (a->rank == 3 && a->dim[0] == 1)
        drop_batch_axis(a);
    if (a->rank == 1 && j->prep->channels == 1)
        a->dim[a->rank++] = 1;
    if (a->rank != 2 || a->dim[1] != (size_t)j->prep->channels ||
        a->dim[0] == 0) {
        snprintf(want, sizeof want, "[n,%d], n at least 1",
                 j->prep->channels);
        return wrong_shape(j, want);
    }
    if (length > 0 && a->dim[0] > (size_t)length)
        a->dim[0] = (size_t)length;
    return copy_floats(j, 2, a->dim);
}

/* The mean of each coordinate becomes 0 and the largest of all 1 (Perceiver,
 * section 4.3); further columns are left alone. */
static void to_cube(pcv_array *a)
{
    enum { AXES = 3 };
    size_t n = a->dim[0], c = a->dim[1];
    double mean[AXES] = {0}, most = 0;
    float *v = a->data;

    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < AXES && k < c; k++)
            mean[k] += (double)v[i * c + k] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t k = 0; k < AXES && k < c; k++) {
            double x = (double)v[i * c + k] - mean[k];

            most = fabs(x) > most ? fabs(x) : most;
            v[i * c + k] = (float)x;
        }
    for (size_t i = 0; most > 0 && i < n; i++)
        for (size_t k = 0; k < AXES && k < c; k++)
            v[i * c + k] = (float)((double)v[i * c + k] / most);
}

static int prepare_points(job *j)
{
    int result = prepare_rows(j);

    if (result == 0 && j->prep->cube)
        to_cube(j->out);
    return result;
}

/* ---- the table ------------------------------------------------------- */

static const struct {
    int modality;
    const char *name;
    int kind;                   /* its own medium; 0 only arrays */
    int (*from_medium)(job *j);
    int (*from_array)(job *j);
} modalities[] = {
    {PCV_IMAGE, "a picture", PCV_MEDIA_IMAGE, prepare_picture,
     prepare_picture_array},
    {PCV_SOUND, "a sound", PCV_MEDIA_SOUND, prepare_sound,
     prepare_sound_array},
    {PCV_BYTES, "text", PCV_MEDIA_BYTES, prepare_bytes, prepare_ids},
    {PCV_POINTS, "an array of points", 0, NULL, prepare_points},
    {PCV_PLAIN, "an array of numbers", 0, NULL, prepare_rows},
    {PCV_FLOW, "two pictures", 0, NULL, prepare_pair_array},
    {PCV_VIDEO, "a clip of pictures", PCV_MEDIA_CLIP, prepare_clip,
     prepare_video_array},
    {PCV_ONE_HOT, "a class", 0, NULL, prepare_one_hot},
};

static const char *kind_name(const pcv_media *m)
{
    switch (m->kind) {
    case PCV_MEDIA_IMAGE: return "a picture";
    case PCV_MEDIA_SOUND: return "a sound";
    case PCV_MEDIA_CLIP:  return "a directory of pictures";
    case PCV_MEDIA_BYTES: return m->array.dim[0] ? "of no known format"
                                                 : "an empty file";
    default:              return "nothing";
    }
}

int pcv_prepare(const pcv_prep *prep, const pcv_media *m, const char *name,
                pcv_array *out)
{
    job j = {prep, m, m->array, name, out};
    size_t i = 0;
    int result;

    memset(out, 0, sizeof *out);
    while (i < PCV_LEN(modalities) && modalities[i].modality != prep->modality)
        i++;
    if (i == PCV_LEN(modalities))
        return pcv_fail(EX_DATAERR, "%s: no input of modality %d", name,
                        prep->modality);
    if (m->kind == PCV_MEDIA_ARRAY)
        result = modalities[i].from_array(&j);
    else if (m->kind != 0 && m->kind == modalities[i].kind)
        result = modalities[i].from_medium(&j);
    else
        result = pcv_fail(EX_DATAERR, "%s: is %s, the model takes %s", name,
                          kind_name(m), modalities[i].name);
    if (result != 0)
        pcv_array_free(out);
    return result;
}
