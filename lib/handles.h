/* handles.h - what the opaque types of pcv.h are, for the files of the
 * facade. */
#ifndef PCV_HANDLES_H
#define PCV_HANDLES_H

#include "pcv.h"

#include "data/data.h"
#include "model/model.h"
#include "train/train.h"

struct pcv_model {
    pcv_net net;
    char *path;
};

struct pcv_entry {
    pcv_item item;
    pcv_array x;                /* prepared */
    bool loaded;
};

/* An array of that shape for the caller to own; NULL when out of memory. */
pcv_values *pcv_values_new(int rank, const size_t *dim);
/* Real numbers as floats: a new array with the values of x. */
pcv_values *pcv_values_of(int rank, const size_t *dim, const real *x);

#endif
