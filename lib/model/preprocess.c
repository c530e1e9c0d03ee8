/* preprocess.c - preprocessor_config.json: what Hugging Face's image processor
 * does to a picture before the network takes it, read and written.  What it
 * can say and this library does not do is refused. */
#include "model.h"

#include <math.h>

static bool truth(const pcv_json *config, const char *key)
{
    const pcv_json *v = pcv_json_get(config, key);

    return !v || pcv_json_kind(v) == PCV_JNULL || pcv_json_bool(v);
}

/* "size" as a number, or as {"height": .., "width": ..}. */
static void size_of(const pcv_json *v, int *height, int *width)
{
    const pcv_json *h = pcv_json_get(v, "height");
    const pcv_json *w = pcv_json_get(v, "width");
    bool both = pcv_json_kind(v) == PCV_JOBJECT;
    int64_t a = pcv_json_int(both ? h : v), b = pcv_json_int(both ? w : v);

    if (!v)
        return;
    *height = a > 0 && a < 65536 ? (int)a : -1;
    *width = b > 0 && b < 65536 ? (int)b : -1;
}

static int bad(const char *name, const char *key, const char *want)
{
    return pcv_fail(EX_DATAERR, "%s: \"%s\" has a value that is not supported "
                    "(want %s)", name, key, want);
}

static int read_sizes(pcv_prep *prep, const pcv_json *config, const char *name)
{
    int crop_h = 256, crop_w = 256;

    size_of(pcv_json_get(config, "size"), &prep->height, &prep->width);
    size_of(pcv_json_get(config, "crop_size"), &crop_h, &crop_w);
    if (prep->height < 1 || prep->width < 1)
        return bad(name, "size", "a number of pixels, or height and width");
    if (!truth(config, "do_center_crop")) {
        prep->fit = truth(config, "do_resize") ? PCV_STRETCH : PCV_KEEP;
        prep->crop = 1;
        return 0;
    }
    if (crop_h < 1 || crop_w < 1 || (int64_t)crop_h * prep->width !=
                                        (int64_t)crop_w * prep->height)
        return bad(name, "crop_size", "a multiple of size");
    prep->crop = (double)prep->height / crop_h;
    if (prep->crop > 1)
        return bad(name, "crop_size", "at least size");
    if (!truth(config, "do_resize"))
        return bad(name, "do_resize", "true with do_center_crop");
    prep->fit = PCV_CROP;
    return 0;
}

static bool is_number(const pcv_json *v)
{
    return pcv_json_kind(v) == PCV_JINT || pcv_json_kind(v) == PCV_JREAL;
}

/* A number per colour, each above least as a float. */
static int read_list(double out[4], int colours, float least,
                     const pcv_json *v, const char *name, const char *key)
{
    size_t n = pcv_json_count(v);

    if (!v)
        return 0;
    if (pcv_json_kind(v) != PCV_JARRAY || n != (size_t)colours)
        return bad(name, key, "a number per colour");
    for (size_t i = 0; i < 4; i++) {
        const pcv_json *one = pcv_json_at(v, i < n ? i : n - 1);
        float x = (float)pcv_json_real(one);

        if (!is_number(one) || !isfinite(x) || !(x > least))
            return bad(name, key, least < 0 ? "finite numbers"
                                            : "finite numbers above 0");
        out[i] = pcv_json_real(one);
    }
    return 0;
}

static int read_lists(pcv_prep *p, const pcv_json *config, const char *name)
{
    const pcv_json *mean = pcv_json_get(config, "image_mean");
    const pcv_json *std = pcv_json_get(config, "image_std");

    if (read_list(p->mean, p->channels, -INFINITY, mean, name,
                  "image_mean") < 0)
        return -1;
    return read_list(p->std, p->channels, 0, std, name, "image_std");
}

/* An object whose switches are true or false. */
static int check_kinds(const pcv_json *config, const char *name)
{
    static const char *const key[] = { "do_center_crop", "do_resize",
                                       "do_rescale", "do_normalize" };

    if (pcv_json_kind(config) != PCV_JOBJECT)
        return pcv_fail(EX_DATAERR, "%s: not an object of JSON", name);
    for (size_t i = 0; i < PCV_LEN(key); i++) {
        const pcv_json *v = pcv_json_get(config, key[i]);

        if (pcv_json_kind(v) != PCV_JNULL && pcv_json_kind(v) != PCV_JBOOL)
            return bad(name, key[i], "true or false");
    }
    return 0;
}

int pcv_class_preprocess(pcv_prep *prep, const pcv_json *config,
                         const char *name)
{
    const pcv_json *resample = pcv_json_get(config, "resample");
    const pcv_json *scale = pcv_json_get(config, "rescale_factor");

    if (prep->modality != PCV_IMAGE)
        return 0;
    if (check_kinds(config, name) < 0)
        return -1;
    if (resample && pcv_json_int(resample) != 3)
        return bad(name, "resample", "3, bicubic");
    if (!truth(config, "do_rescale") ||
        (scale && fabs(pcv_json_real(scale) - 1 / 255.0) > 1e-9))
        return bad(name, "rescale_factor", "1/255, with do_rescale");
    if (read_sizes(prep, config, name) < 0)
        return -1;
    if (!truth(config, "do_normalize")) {
        for (int i = 0; i < 4; i++) {
            prep->mean[i] = 0;
            prep->std[i] = 1;
        }
        return 0;
    }
    return read_lists(prep, config, name);
}

/* ---- writing --------------------------------------------------------- */

static void write_list(pcv_buf *b, const char *key, const double *v, int n)
{
    pcv_buf_printf(b, "  \"%s\": [", key);
    for (int i = 0; i < n; i++) {
        pcv_buf_puts(b, i ? ", " : "");
        pcv_json_exact(b, v[i]);
    }
    pcv_buf_puts(b, "],\n");
}

static void write_size(pcv_buf *b, const char *key, int height, int width)
{
    pcv_buf_printf(b, "  \"%s\": {\"height\": %d, \"width\": %d},\n", key,
                   height, width);
}

/* The crop as a size that the picture's is a share of: whole numbers only. */
static bool crop_size(const pcv_prep *p, int *height, int *width)
{
    double h = p->height / p->crop, w = p->width / p->crop;

    *height = (int)lround(h);
    *width = (int)lround(w);
    return p->fit != PCV_CROP ||
           (fabs(h - *height) < 1e-9 && fabs(w - *width) < 1e-9);
}

void pcv_class_write_preprocess(const pcv_spec *s, pcv_buf *b)
{
    const pcv_prep *p = &s->prep;
    int height, width;

    if (p->modality != PCV_IMAGE || p->polarity != PCV_AS_IS ||
        !crop_size(p, &height, &width) || !pcv_class_holds(s))
        return;
    pcv_buf_printf(b, "{\n  \"image_processor_type\": "
                   "\"PerceiverImageProcessor\",\n  \"do_center_crop\": %s,\n"
                   "  \"do_resize\": %s,\n",
                   p->fit == PCV_CROP ? "true" : "false",
                   p->fit == PCV_KEEP ? "false" : "true");
    write_size(b, "crop_size", height, width);
    write_size(b, "size", p->height, p->width);
    write_list(b, "image_mean", p->mean, p->channels);
    write_list(b, "image_std", p->std, p->channels);
    pcv_buf_puts(b, "  \"do_normalize\": true,\n  \"do_rescale\": true,\n"
                    "  \"rescale_factor\": 0.00392156862745098,\n"
                    "  \"resample\": 3\n}\n");
}
