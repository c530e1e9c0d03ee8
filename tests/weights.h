/* weights.h - models of random weights, of any config.json. */
#ifndef PCV_TESTS_WEIGHTS_H
#define PCV_TESTS_WEIGHTS_H

/* Writes DIR/model.safetensors for DIR/config.json: each parameter's mean and
 * deviation are those that training would start with, but that no layer is
 * zero.  0, or -1 with pcv_error. */
int weights_random(const char *dir);

#endif
