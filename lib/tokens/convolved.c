/* convolved.c - pictures through the convolution stem: 64 maps at a quarter
 * of the resolution (nn/conv.c), each place of them an element. */
#include "tokens.h"

#define PATH "perceiver.input_preprocessor.convnet"

static bool serves(const pcv_stem_spec *s)
{
    return s->modality == PCV_IMAGE && s->convolve;
}

static int channels(const pcv_stem_spec *s)
{
    return s->convolve;
}

static int init(pcv_stem *s, pcv_params *p)
{
    pcv_conv_init(&s->conv, p, PATH, s->spec.channels, s->spec.convolve);
    return 0;
}

static int shape(const pcv_stem_spec *s, const pcv_array *x, int len[3])
{
    if (x->rank != 3 || x->dim[0] != (size_t)s->channels ||
        pcv_conv_size((int)x->dim[1]) < 1 || pcv_conv_size((int)x->dim[2]) < 1)
        return pcv_content_misfit(x, "[channels of the model, height, width] "
                                  "of at least 5 pixels each way");
    len[0] = pcv_conv_size((int)x->dim[1]);
    len[1] = pcv_conv_size((int)x->dim[2]);
    return 0;
}

static int fill(pcv_batch *b, const pcv_array *x, size_t m, real *out)
{
    const pcv_conv *v = &b->stem->conv;
    int h = (int)x->dim[1], w = (int)x->dim[2];
    size_t maps = pcv_conv_scratch(v, h, w), n = pcv_array_count(x);
    const float *in = x->data;

    (void)m;
    if (pcv_batch_work(b, maps + n) < 0)
        return -1;
    for (size_t i = 0; i < n; i++)
        b->work[maps + i] = (real)in[i];
    pcv_conv_forward(v, b->work + maps, h, w, out, b->work);
    return 0;
}

const pcv_content_kind pcv_content_convolved = {
    "convolved", serves, 2, channels, init, shape, fill, NULL
};
