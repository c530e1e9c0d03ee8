/* settings.c - a training run as one table: names, defaults, ranges, help. */
#include "train.h"

#include <string.h>

#define AT(member) offsetof(pcv_run_spec, member)
#define BIG 2e9

static const pcv_row rows[] = {
    { { "steps", "optimiser steps; -1: as many as the epochs take", "N" },
      0, "steps", PCV_ROW_INT, AT(steps), -1, -1, BIG },
    { { "epochs", "passes over the training data", "X" },
      0, "epochs", PCV_ROW_REAL, AT(epochs), 10, 0, BIG },
    { { "batch-size", "examples per step", "N" },
      0, "batch", PCV_ROW_INT, AT(batch), 64, 1, PCV_MOST_BATCH },
    { { "optimizer", "how gradients become steps", "adamw|lamb" },
      0, "optimizer", PCV_ROW_WORD, AT(optimizer), PCV_ADAMW, 0, 0 },
    { { "learning-rate", "highest learning rate", "X" },
      0, "lr", PCV_ROW_REAL, AT(lr), 1e-3, 0, 1e3 },
    { { "weight-decay", "of everything but biases and norms", "X" },
      0, "weight_decay", PCV_ROW_REAL, AT(weight_decay), 0.05, 0, 1e3 },
    { { "beta1", "decay of the first moment", "X" },
      0, "beta1", PCV_ROW_REAL, AT(beta1), 0.9, 0, 0.999999 },
    { { "beta2", "decay of the second moment", "X" },
      0, "beta2", PCV_ROW_REAL, AT(beta2), 0.999, 0, 0.9999999 },
    { { "epsilon", "added to the root of the second moment", "X" },
      0, "eps", PCV_ROW_REAL, AT(eps), 1e-8, 0, 1 },
    { { "schedule", "of the learning rate after the warm-up",
        "cosine|constant|step" },
      0, "schedule", PCV_ROW_WORD, AT(schedule), PCV_COSINE, 0, 0 },
    { { "warmup", "steps in which the rate rises to its highest", "N" },
      0, "warmup", PCV_ROW_INT, AT(warmup), 100, 0, BIG },
    { { "final-rate", "cosine: last rate as a share of the highest", "X" },
      0, "final", PCV_ROW_REAL, AT(final), 0.01, 0, 1 },
    { { "clip", "largest norm of the gradient; 0 any", "X" },
      0, "clip", PCV_ROW_REAL, AT(clip), 1, 0, 1e9 },
    { { "dropout", "share of attention and MLP outputs dropped", "X" },
      0, "dropout", PCV_ROW_REAL, AT(dropout), 0, 0, 0.95 },
    { { "label-smoothing", "of the target distribution", "X" },
      0, "smoothing", PCV_ROW_REAL, AT(smoothing), 0, 0, 0.95 },
    { { "seed", "of weights, order, dropout and augmentation", "N" },
      0, "seed", PCV_ROW_INT, AT(seed), 0, 0, BIG },
    { { "val-split", "share of the data held out when there is no --val",
        "X" },
      0, "val_split", PCV_ROW_REAL, AT(val_split), 0.1, 0, 0.9 },
    { { "eval-every", "steps between evaluations; 0 one an epoch", "N" },
      0, "eval_every", PCV_ROW_INT, AT(eval_every), 0, 0, BIG },
    { { "save-every", "steps between checkpoints; 0 one an epoch", "N" },
      0, "save_every", PCV_ROW_INT, AT(save_every), 0, 0, BIG },
    { { "keep-best", "the model kept is the best evaluated, not the last",
        "no|yes" },
      0, "keep_best", PCV_ROW_BOOL, AT(keep_best), 1, 0, 1 },
    { { "overfit", "learn the first N training examples by heart; 0 train",
        "N" },
      0, "overfit", PCV_ROW_INT, AT(overfit), 0, 0, BIG },
    { { "max-mem", "megabytes for the activations of a step: what does not fit "
        "is computed again; 0 any", "X" },
      0, "max_mem", PCV_ROW_REAL, AT(max_mem), 0, 0, 1e9 },
    { { "points", "reconstruct: queries per example and step; 0 all", "N" },
      0, "points", PCV_ROW_INT, AT(points), 0, 0, BIG },
    { { "examples", "what DATA is: files (a directory, a list, a pair of "
        "arrays), lines of label<TAB>text, or running text",
        "files|lines|text" },
      0, "examples", PCV_ROW_WORD, AT(examples), PCV_EXAMPLES_FILES, 0, 0 },
    { { "mask", "fill: share of the bytes that are masked", "X" },
      0, "mask", PCV_ROW_REAL, AT(mask), 0.15, 0.001, 0.9 },
    { { "mask-words", "fill: whole words are masked, not single bytes",
        "no|yes" },
      0, "mask_words", PCV_ROW_BOOL, AT(mask_words), 1, 0, 1 },
    { { "drop-parts", "parts: probability that one is left out of an example "
        "(never all)", "X" },
      0, "drop_parts", PCV_ROW_REAL, AT(drop_parts), 0, 0, 0.95 },
    { { "preset", "settings that suit a kind of data, below those that are "
        "given; help lists them", "NAME" },
      0, "preset", PCV_ROW_TEXT, AT(preset), 0, 0, 0 },
    { { "init", "a model whose weights to begin with, and whose settings are "
        "the defaults", "DIR" },
      0, "init", PCV_ROW_TEXT, AT(init), 0, 0, 0 },
    { { "freeze", "what is not trained: encoder (all before the decoder), body "
        "(all but the last layer)", "none|encoder|body" },
      0, "freeze", PCV_ROW_WORD, AT(freeze), PCV_FREEZE_NONE, 0, 0 },
    { { "choose-latents", "at the end keep the smallest of the nested counts "
        "that is good enough (latents=auto)", "no|yes" },
      0, "choose_latents", PCV_ROW_BOOL, AT(choose), 0, 0, 1 },
    { { "margin", "choose-latents: good enough is at most X points of accuracy "
        "below all of them", "X" },
      0, "margin", PCV_ROW_REAL, AT(margin), 0.5, 0, 100 },
    { { "delay", "augment: move sound by up to N samples, or frames of log-mel",
        "N" },
      0, "delay", PCV_ROW_INT, AT(delay), 0, 0, 1 << 20 },
    { { "shift", "augment: move a picture by up to N pixels", "N" },
      0, "shift", PCV_ROW_INT, AT(shift), 0, 0, 1 << 20 },
    { { "crop-area", "augment: cut out of a picture, the smallest share of its "
        "area; 1 none", "X" },
      0, "crop_area", PCV_ROW_REAL, AT(crop_area), 1, 0.01, 1 },
    { { "flip", "augment: mirror every second picture",
        "no|horizontal|vertical|both" },
      0, "flip", PCV_ROW_WORD, AT(flip), PCV_FLIP_NO, 0, 0 },
    { { "randaugment", "augment: operations of RandAugment on a picture",
        "N" },
      0, "randaugment", PCV_ROW_INT, AT(randaugment), 0, 0, 100 },
    { { "magnitude", "randaugment: how strong they are, of 10", "X" },
      0, "magnitude", PCV_ROW_REAL, AT(magnitude), 9, 0, 10 },
    { { "erase", "augment: share of pictures that lose a rectangle", "X" },
      0, "erase", PCV_ROW_REAL, AT(erase), 0, 0, 1 },
    { { "mixup", "augment: blend pictures or sounds and their targets, alpha "
        "of MixUp; 0 none", "X" },
      0, "mixup", PCV_ROW_REAL, AT(mixup), 0, 0, 100 },
    { { "cutmix", "augment: a rectangle of another picture, alpha of CutMix; "
        "0 none", "X" },
      0, "cutmix", PCV_ROW_REAL, AT(cutmix), 0, 0, 100 },
    { { "gain", "augment: sound louder or softer by up to X dB; not log-mel",
        "X" },
      0, "gain", PCV_ROW_REAL, AT(gain), 0, 0, 60 },
    { { "time-masks", "augment: stretches of frames of log-mel to blank",
        "N" },
      0, "time_masks", PCV_ROW_INT, AT(time_masks), 0, 0, 1000 },
    { { "time-mask", "time-masks: most frames of each", "N" },
      0, "time_mask", PCV_ROW_INT, AT(time_mask), 0, 0, 1 << 20 },
    { { "frequency-masks", "augment: stretches of bands of log-mel to blank",
        "N" },
      0, "frequency_masks", PCV_ROW_INT, AT(frequency_masks), 0, 0, 1000 },
    { { "frequency-mask", "frequency-masks: most bands of each", "N" },
      0, "frequency_mask", PCV_ROW_INT, AT(frequency_mask), 0, 0, 1 << 20 },
    { { "drop-points", "augment: share of the points left out", "X" },
      0, "drop_points", PCV_ROW_REAL, AT(drop_points), 0, 0, 0.99 },
    { { "scale", "augment: points larger or smaller by up to this share",
        "X" },
      0, "scale", PCV_ROW_REAL, AT(scale), 0, 0, 0.99 },
    { { "rotate", "augment: turn points about the third axis by up to X "
        "degrees", "X" },
      0, "rotate", PCV_ROW_REAL, AT(rotate), 0, 0, 180 },
    { { "jitter", "augment: standard deviation added to coordinates of points",
        "X" },
      0, "jitter", PCV_ROW_REAL, AT(jitter), 0, 0, 10 },
    { { "indent", "augment: a text begins up to N places later", "N" },
      0, "indent", PCV_ROW_INT, AT(indent), 0, 0, 1 << 20 },
    { { "hide", "augment: share of the bytes of a text that become [MASK]",
        "X" },
      0, "hide", PCV_ROW_REAL, AT(hide), 0, 0, 0.95 },
    { { "noise", "augment: standard deviation of added noise; not log-mel",
        "X" },
      0, "noise", PCV_ROW_REAL, AT(noise), 0, 0, 10 },
    { { "labels", "names of the classes, one a line, in their order", "FILE" },
      0, "labels", PCV_ROW_TEXT, AT(labels), 0, 0, 0 },
};

static const pcv_table table = { rows, PCV_LEN(rows) };

const pcv_field *pcv_run_field(int i)
{
    return i >= 0 && i < (int)PCV_LEN(rows) ? &rows[i].field : NULL;
}

void pcv_run_default(pcv_run_spec *r)
{
    memset(r, 0, sizeof *r);
    pcv_table_default(&table, r);
}

int pcv_run_set(pcv_run_spec *r, const char *name, const char *value)
{
    return pcv_table_set(&table, r, name, value);
}

void pcv_run_get(const pcv_run_spec *r, const char *name, pcv_buf *b)
{
    pcv_table_get(&table, r, name, b);
}

/* Asked for each example: without a set of defaults to compare with. */
static bool is_standard(const pcv_row *row, const pcv_run_spec *r)
{
    void *s = (void *)(uintptr_t)r;

    if (row->type == PCV_ROW_TEXT)
        return *((const char *)s + row->at) == '\0';
    if (row->type == PCV_ROW_REAL)
        return !(*pcv_row_real(s, row) < row->standard ||
                 *pcv_row_real(s, row) > row->standard);
    return *pcv_row_int(s, row) == (int)row->standard;
}

bool pcv_run_given(const pcv_run_spec *r, const char *name)
{
    for (size_t i = 0; i < PCV_LEN(rows); i++)
        if (!strcmp(rows[i].field.name, name))
            return !is_standard(&rows[i], r);
    return false;
}
