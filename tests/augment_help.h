/* augment_help.h - what the tests of augmentation share: examples of each kind
 * of input, and settings by name. */
#ifndef PCV_TESTS_AUGMENT_HELP_H
#define PCV_TESTS_AUGMENT_HELP_H

#include "help.h"

#include "../lib/train/augment.h"

/* "flip=both noise=0.1": these, all others at their defaults. */
pcv_run_spec augment_settings(const char *settings);

pcv_prep augment_prep(int modality, int channels, int mels);
/* pcv_augment_check of a model of that input alone. */
int augment_check(const pcv_run_spec *r, const pcv_prep *prep);

/* F32 of that shape, 0: no more axes; values are normal. */
pcv_array augment_example(size_t d0, size_t d1, size_t d2, uint64_t stream);
pcv_array augment_copy(const pcv_array *x);
float *augment_values(const pcv_array *x);
bool augment_same(const pcv_array *a, const pcv_array *b);

/* A copy of x, augmented; freed by the caller. */
pcv_array augment_made(const pcv_run_spec *r, const pcv_prep *prep,
                       uint64_t stream, const pcv_array *x);

/* `hits` of n with chance p: not further than five standard deviations off. */
void augment_chance(double hits, double n, double p, const char *what);

#endif
