/* model_help.h - what the tests of whole models share: models written as the
 * settings that differ from the defaults, with random weights and inputs. */
#ifndef PCV_TESTS_MODEL_HELP_H
#define PCV_TESTS_MODEL_HELP_H

#include "help.h"

#include "../lib/train/train.h"

enum { MODEL_ITEMS = 3 };

typedef struct {
    const char *name;
    const char *settings;       /* "latents=3 decoder=mean"; ~ is a blank
                                   within a value */
    int size[MODEL_ITEMS];      /* of each input: samples, bytes, points, rows;
                                   pictures have the model's size */
    int asked;                  /* queries of a reconstruction; 0: all */
    double dropout;
    unsigned absent;            /* parts that no item has, as bits */
    int latents;                /* in use; 0: all */
} model_case;

/* A model, a training session and a batch of three inputs with targets. */
typedef struct {
    pcv_net net;
    pcv_session s;
    pcv_pass pass;
    pcv_array x[MODEL_ITEMS * PCV_MOST_PARTS];
    const pcv_array *px[MODEL_ITEMS * PCV_MOST_PARTS];
    pcv_feeding feed;           /* its targets alone */
    int asked;                  /* the most queries of an answer */
    int latents;                /* in use; 0: all */
} model;

/* The defaults, changed; fails the test on a bad setting. */
void model_spec(pcv_spec *s, const char *settings);
/* A random input as data/prepare.c makes them; pcv_array_free. */
void model_input(const pcv_spec *s, int size, uint64_t stream, pcv_array *x);

void model_open(model *m, const model_case *c);
void model_close(model *m);
/* A fresh training session with the inputs bound. */
void model_session(model *m, int form, size_t most);
/* Loss of a pass; model_step makes gradients (from zero) as well. */
double model_loss(model *m);
double model_step(model *m);

#endif
