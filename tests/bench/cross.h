/* cross.h - one cross-attend to a picture: a norm and two projections with
 * random weights, as the encoder of the ImageNet model has them (258 Fourier
 * channels beside three colours, 512 latents, one head), and the forms that
 * read it. */
#ifndef PCV_BENCH_CROSS_H
#define PCV_BENCH_CROSS_H

#include "bench.h"

enum { CROSS_LATENTS = 512 };

typedef struct {
    int side;
    pcv_params params;
    pcv_stem stem;
    pcv_array pixels;
    pcv_batch batch;
    pcv_norm norm;
    pcv_linear key, value;
    pcv_reader reader;
    real *q, *dy;               /* 512 x C */
    size_t size;                /* of these, values */
} cross;

void cross_open(cross *s, int side);
void cross_bind(cross *s);      /* the pixels, as for a new picture */
void cross_close(cross *s);

/* One form with its memory, its results and its times. */
typedef struct {
    int form;                   /* enum pcv_form */
    const pcv_tokens *t;
    real *y, *dq, *dw;          /* results; dw: of all parameters */
    pcv_arena record, scratch;
    pcv_read_record rec;
    bench_samples forward, backward;    /* milliseconds */
    double megabytes;           /* forward: scratch and record */
} cross_form;

void cross_form_open(const cross *s, cross_form *c, int form,
                     const pcv_tokens *t, bool backward);
void cross_form_close(cross_form *c);
void cross_forward(const cross *s, cross_form *c);
/* Gradients from zero. */
void cross_backward(const cross *s, cross_form *c);

#endif
