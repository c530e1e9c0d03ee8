/* help.h - what the tests of the arithmetic share: cmocka's headers, random
 * numbers, a measure of error, and sources of rows with structure. */
#ifndef PCV_TESTS_HELP_H
#define PCV_TESTS_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../lib/tokens/tokens.h"

/* Tolerances that depend on the precision of the build. */
#ifdef PCV_DOUBLE
#define HELP_TOL(of_float, of_double) (of_double)
#else
#define HELP_TOL(of_float, of_double) (of_float)
#endif

/* x = mean + std * normal, the same for the same stream. */
void help_fill(uint64_t stream, real *x, size_t n, double mean, double std);
real *help_normal(uint64_t stream, size_t n, double std);   /* pcv_free */
int help_int(uint64_t stream, uint64_t index, int low, int high); /* both in */

/* |a - b| / (|b| + floor) over n values (Euclidean norms); |a - b| when both
 * are zero; infinite as soon as a or b holds a NaN. */
double help_error(const real *a, const real *b, size_t n, double floor);
double help_size(const real *a, size_t n);      /* |a| */

/* Fails with the words unless have <= tol. */
void help_below(double have, double tol, const char *what, int which);

/* ---- sources with structure ------------------------------------------ */

enum { HELP_SEGMENTS = 3 };

enum help_mask { HELP_ALL, HELP_SOME, HELP_LATE };  /* LATE: the last third */

typedef struct {
    int items, segments, mask;      /* enum help_mask */
    bool learns;                    /* content has a gradient */
    int extra;                      /* channels beyond the widest segment's */
    struct {
        int axes, len[3], cols[3], c;
        bool zeros;                 /* the constant part is all zero (NULL) */
    } seg[HELP_SEGMENTS];
} help_shape;

/* Rows made of segments, by hand.  Content planes are longer than they need
 * be and hold NaN there: nobody may read it.  dcontent is laid out alike, and
 * behind it stand the gradients of the constants. */
typedef struct {
    pcv_tokens tokens;
    pcv_segment segment[HELP_SEGMENTS];
    unsigned char *mask;
    real *content, *dcontent;
    size_t count, all;              /* elements of content, of dcontent */
    real *table[HELP_SEGMENTS][3], *k[HELP_SEGMENTS];
    int *channel[HELP_SEGMENTS][3];
} help_source;

void help_source_open(help_source *s, const help_shape *shape, uint64_t seed);
void help_source_close(help_source *s);

/* A norm, two projections and the reader made of them, with random values. */
typedef struct {
    pcv_params params;
    pcv_norm norm;
    pcv_linear key, value;
    pcv_reader reader;
} help_reader;

void help_reader_open(help_reader *r, int c, int heads, int qk, int v,
                      uint64_t seed);
/* Weights of the right size for their input, gains about 1. */
void help_params(pcv_params *p, uint64_t seed);

#endif
