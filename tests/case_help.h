/* case_help.h - reference cases (golden/README.md): what a case.safetensors
 * says of each example, the file that the programs take of it, and how far two
 * arrays are apart. */
#ifndef PCV_TESTS_CASE_HELP_H
#define PCV_TESTS_CASE_HELP_H

#include "../lib/fmt/fmt.h"
#include "../lib/pcv.h"

#include <stdio.h>

/* Tensor `name` of example k, whose axis is left away; k -1: as it is.  NULL
 * and no failure when there is no such tensor; pcv_values_free. */
pcv_values *case_values(const pcv_tensors *c, const char *name, int k);

/* Writes what the network takes of example k: .npy of tensor `input` (NULL:
 * the first that there is of pixel_values, input_ids, frames), or .safetensors
 * of image, audio and label.  Ids are int32, 0 where the mask is.  0 or -1. */
int case_write(const pcv_tensors *c, const char *input, int k,
               const char *path);

/* Largest absolute difference of a and b (count values), or the norm of the
 * difference over that of b; infinite when something is not finite. */
double case_difference(const float *a, const float *b, size_t count,
                       bool absolute);

/* Those rows (their numbers, as in `preprocessed.rows`) of v = [.., rows,
 * channels], alone; v is freed.  NULL when one is out of range. */
pcv_values *case_rows(pcv_values *v, const pcv_values *rows);

/* The tensors as torch.save writes a state dict.  0 or -1. */
int case_torch(const pcv_tensors *t, const char *path);

#endif
