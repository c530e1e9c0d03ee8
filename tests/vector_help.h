/* vector_help.h - what the tests against published numbers share: the rule
 * that makes weights, a picture, one block applied, a measure of error. */
#ifndef PCV_TESTS_VECTOR_HELP_H
#define PCV_TESTS_VECTOR_HELP_H

#include "help.h"

/* All names of a model in ASCII order; element k of tensor t is
 * a sin(0.7 k + 1.3 t + 0.2), plus 1 in the gains of norms and in running
 * variances.  Allocates the weights unless they are there. */
void vector_fill(pcv_params *p, double a, int tensors);

/* pixel[c][h][w] = sin(0.3 c + 0.5 h - 0.8 w), 3 x height x width */
void vector_wave(float *x, int height, int width);

/* y = the block's rows for n rows x; t NULL: they read each other. */
void vector_apply(const pcv_block *b, const pcv_tokens *t, int n, int form,
                  const real *x, real *y);

/* Fails unless |have - want| / |want| is small enough: for the precision of
 * the build (the numbers are printed with eight decimals), or for `tol`. */
void vector_check(const char *what, int which, const real *have,
                  const double *want, size_t n);
void vector_check_to(double tol, const char *what, int which,
                     const real *have, const double *want, size_t n);
int vector_report(void **state);        /* of a group: its largest error */

#endif
