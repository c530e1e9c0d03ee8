/* presets.c - recipes: the settings that suit a kind of data, each of which may
 * be given otherwise.  The README has the figures that some reach. */
#include "train.h"

#include <string.h>

/* What learned fastest from pixels, samples and bytes: a few latents that read
 * the input in each block, by weights of their own, with many heads. */
#define READS(blocks, latents) \
    { "latents", latents }, { "latent-channels", "128" }, \
    { "blocks", blocks }, { "layers", "1" }, { "cross-attends", blocks }, \
    { "share-cross", "no" }, { "share-first-block", "no" }, \
    { "share-blocks", "no" }, { "cross-heads", "16" }, \
    { "self-heads", "8" }, { "decoder", "mean" }

static const pcv_preset presets[] = {
    { "pixels", "pictures of about 28x28, pixel by pixel", {
        { "mean", "0.286" }, { "std", "0.1" },  /* a pixel beside 57 channels
                                                   of position: let it count */
        { "bands", "14" }, READS("4", "16"), { "qk-channels", "128" },
        { "shift", "1" }, { "learning-rate", "3e-3" }, { "warmup", "300" },
        { "epochs", "16" } } },
    { "squares", "colour pictures of 32x32 by squares of 4x4 pixels", {
        { "channels", "3" }, { "height", "32" }, { "width", "32" },
        { "mean", "0.49,0.48,0.45" }, { "std", "0.2,0.2,0.2" },
        { "picture-patch", "4" }, { "bands", "4" },
        READS("3", "32"), { "qk-channels", "128" },
        { "flip", "horizontal" }, { "shift", "4" }, { "cutmix", "1" },
        { "label-smoothing", "0.1" }, { "weight-decay", "0.1" },
        { "warmup", "300" }, { "epochs", "60" } } },
    { "sound", "short sounds, sample by sample", {
        { "modality", "sound" }, { "samples", "8192" }, { "patch", "32" },
        { "level", "2" },       /* as loud as the positions beside it */
        { "bands", "16" }, READS("4", "16"), { "qk-channels", "128" },
        { "v-channels", "128" }, { "delay", "1600" },
        { "gain", "6" }, { "noise", "0.02" }, { "dropout", "0.1" },
        { "weight-decay", "0.1" }, { "batch-size", "48" },
        { "learning-rate", "2e-3" }, { "warmup", "300" },
        { "epochs", "80" } } },
    { "mel", "short sounds by bands of frequencies", {
        { "modality", "sound" }, { "samples", "8192" }, { "mels", "40" },
        { "bands", "16" }, { "latents", "32" }, { "latent-channels", "128" },
        { "blocks", "2" }, { "layers", "2" }, { "cross-attends", "2" },
        { "dropout", "0.1" }, { "weight-decay", "0.1" },
        { "batch-size", "48" }, { "warmup", "200" }, { "epochs", "60" } } },
    { "points", "sets of about 1,000 points", {
        { "modality", "points" }, { "channels", "3" }, { "cube", "yes" },
        { "length", "1024" }, { "bands", "16" }, { "max-resolution", "32" },
        { "latents", "32" }, { "latent-channels", "96" },
        { "dropout", "0.1" }, { "weight-decay", "0.1" },
        { "batch-size", "32" }, { "warmup", "30" }, { "epochs", "30" } } },
    { "bytes", "short texts, one a line behind its label", {
        { "modality", "bytes" }, { "examples", "lines" },
        { "position", "learned" }, { "length", "256" },
        { "neighbours", "3" }, { "embedding", "128" }, READS("4", "16"),
        { "dropout", "0.3" }, { "hide", "0.1" },
        { "label-smoothing", "0.1" }, { "weight-decay", "0.1" },
        { "warmup", "200" }, { "epochs", "12" } } },
    { "fill", "running text whose masked bytes are to be told", {
        { "modality", "bytes" }, { "task", "fill" }, { "examples", "text" },
        { "position", "learned" }, { "length", "64" }, { "special", "no" },
        { "embedding", "128" }, { "latents", "32" },
        { "latent-channels", "128" }, { "blocks", "1" }, { "layers", "4" },
        { "self-heads", "8" }, { "cross-heads", "8" },
        { "decoder-heads", "8" }, { "self-widening", "2" },
        { "mask-words", "no" }, { "learning-rate", "2e-3" },
        { "beta2", "0.98" }, { "weight-decay", "0.02" },
        { "batch-size", "128" }, { "warmup", "500" }, { "epochs", "25" } } },
    { "video", "clips of eight small pictures", {
        { "modality", "video" }, { "channels", "3" }, { "frames", "8" },
        { "height", "32" }, { "width", "32" }, { "picture-patch", "4" },
        { "bands", "8" }, { "latents", "32" }, { "latent-channels", "128" },
        { "blocks", "2" }, { "layers", "2" }, { "cross-attends", "2" },
        { "dropout", "0.1" }, { "weight-decay", "0.1" },
        { "batch-size", "16" }, { "warmup", "50" } } },
    { "digits", "written and spoken digits in one model", {
        { "parts", "image modality=image height=28 width=28 bands=12 "
          "polarity=light-on-dark; sound modality=sound rate=8000 samples=8192 "
          "mels=40 bands=16; digit modality=class" },
        { "shared", "64" }, { "latents", "32" }, { "latent-channels", "88" },
        { "blocks", "2" }, { "layers", "2" }, { "cross-attends", "2" },
        { "drop-parts", "0.3" }, { "shift", "2" }, { "delay", "8" },
        { "learning-rate", "2e-3" }, { "weight-decay", "0.1" },
        { "warmup", "300" }, { "epochs", "8" } } },
};

const pcv_preset *pcv_preset_row(int i)
{
    return i >= 0 && i < (int)PCV_LEN(presets) ? &presets[i] : NULL;
}

const pcv_preset *pcv_preset_find(const char *name)
{
    for (size_t i = 0; i < PCV_LEN(presets); i++)
        if (!strcmp(presets[i].name, name))
            return &presets[i];
    return NULL;
}

int pcv_preset_unknown(const char *name)
{
    pcv_buf names = {0};

    for (size_t i = 0; i < PCV_LEN(presets); i++)
        pcv_buf_printf(&names, "%s%s", i ? ", " : "", presets[i].name);
    pcv_fail(EX_USAGE, "preset: '%s', want one of %s", name,
             names.data ? names.data : "");
    pcv_buf_free(&names);
    return -1;
}
