/* stack.h - arrays of one shape, one behind the other, as one array whose
 * first axis counts them: .npy, or a tensor of a .safetensors. */
#ifndef STACK_H
#define STACK_H

#include "sink.h"

typedef struct {
    spool rows;
    int rank;                   /* of a row; -1 as long as it is not known */
    size_t dim[8];
    size_t n;                   /* rows, also those that are owed */
    size_t owed;                /* failed ones before the shape was known */
} stack;

/* dim NULL: the first row tells.  Exits when there is no room. */
void stack_open(stack *s, int rank, const size_t *dim);
/* Appends a row to a record of the pump; the row of a record that begins at
 * *at, borrowed, and where the one behind it does. */
void stack_pack(pcv_bytes *b, const pcv_values *v);
pcv_bytes stack_next(const pcv_bytes *b, size_t *at);
/* A row's shape, and its numbers, borrowed. */
void stack_shape(const pcv_bytes *row, pcv_tensor_info *t);
pcv_bytes stack_numbers(const pcv_bytes *row);
/* Appends a row.  When it is not of the shape of the others, it says so, sets
 * *code, and nothing is appended.  Returns a status. */
int stack_add(stack *s, const char *name, const pcv_bytes *row, int *code);
/* Appends a row of NaN. */
int stack_add_nan(stack *s);
/* Writes the whole; n of them as the tensors of one file. */
int stack_npy(stack *s, sink *to);
int stack_safetensors(stack *const *s, const char *const *tensor, size_t n,
                      sink *to, const char *const *key,
                      const char *const *value, size_t keys);
void stack_close(stack *s);

#endif
