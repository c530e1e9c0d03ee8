/* stack.c - arrays of one shape as one array.  How many there are is known
 * only at the end, and the header comes first: the rows wait in a spool, and
 * memory does not grow with them. */
#include "stack.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void stack_open(stack *s, int rank, const size_t *dim)
{
    int status;

    *s = (stack){.rank = dim ? rank : -1};
    for (int i = 0; dim && i < rank; i++)
        s->dim[i] = dim[i];
    status = spool_open(&s->rows);
    if (status)
        exit(status);
}

void stack_close(stack *s)
{
    spool_close(&s->rows);
}

/* ---- rows ------------------------------------------------------------ */

typedef struct {
    int rank;
    size_t dim[8];
} shape;

void stack_pack(pcv_bytes *b, const pcv_values *v)
{
    shape head = {.rank = v->rank};

    memcpy(head.dim, v->dim, sizeof head.dim);
    pcv_bytes_add(b, &head, sizeof head);
    pcv_bytes_add(b, v->data, v->count * sizeof *v->data);
}

static size_t row_count(const stack *s)
{
    size_t n = 1;

    for (int i = 0; i < s->rank; i++)
        n *= s->dim[i];
    return n;
}

static void print_shape(char text[256], int rank, const size_t *dim)
{
    int at = snprintf(text, 256, "[");

    for (int i = 0; i < rank; i++)
        at += snprintf(text + at, 256 - (size_t)at, "%s%zu", i ? "," : "",
                       dim[i]);
    snprintf(text + at, 256 - (size_t)at, "]");
}

static bool same_shape(const stack *s, const shape *row)
{
    return s->rank == row->rank &&
           memcmp(s->dim, row->dim, (size_t)s->rank * sizeof *s->dim) == 0;
}

static int fill_owed(stack *s)
{
    for (; s->owed > 0; s->owed--)
        if (spool_fill(&s->rows, row_count(s), NAN) != 0)
            return EX_IOERR;
    return 0;
}

int stack_add_nan(stack *s)
{
    s->n++;
    s->owed++;
    return s->rank < 0 ? 0 : fill_owed(s);
}

static void refuse_row(const stack *s, const char *name, const shape *row)
{
    char found[256], wanted[256];

    print_shape(found, row->rank, row->dim);
    print_shape(wanted, s->rank, s->dim);
    opt_error("%s: the array is %s, those before are %s: they do not make "
              "one array", opt_shown(name), found, wanted);
}

int stack_add(stack *s, const char *name, const pcv_bytes *row, int *code)
{
    shape head;

    memcpy(&head, row->data, sizeof head);
    if (s->rank < 0) {
        s->rank = head.rank;
        memcpy(s->dim, head.dim, sizeof s->dim);
    }
    if (!same_shape(s, &head)) {
        *code = EX_DATAERR;
        refuse_row(s, name, &head);
        return 0;
    }
    if (fill_owed(s) != 0)
        return EX_IOERR;
    s->n++;
    return spool_write(&s->rows, row->data + sizeof head,
                       row->len - sizeof head);
}

/* ---- the whole ------------------------------------------------------- */

/* Nothing but failures, and no shape: n rows of nothing. */
static int whole_shape(const stack *s, size_t dim[9])
{
    int rank = s->rank < 0 ? 1 : s->rank;

    dim[0] = s->n;
    dim[1] = 0;
    for (int i = 0; i < s->rank; i++)
        dim[i + 1] = s->dim[i];
    return rank + 1;
}

static int write_whole(stack *s, sink *to, const pcv_bytes *head)
{
    int status = EX_OSERR;

    if (head->failed)
        opt_error("%s", pcv_error_code() ? pcv_error() : "out of memory");
    else
        status = sink_write(to, head->data, head->len);
    return status ? status : spool_copy(&s->rows, to);
}

int stack_npy(stack *s, sink *to)
{
    pcv_bytes head = {0};
    size_t dim[9];
    int rank = whole_shape(s, dim), status;

    pcv_npy_head(&head, rank, dim);
    status = write_whole(s, to, &head);
    pcv_bytes_free(&head);
    return status;
}

int stack_safetensors(stack *s, sink *to, const char *tensor,
                      const char *const *key, const char *const *value,
                      size_t keys)
{
    pcv_bytes head = {0};
    size_t dim[9];
    int rank = whole_shape(s, dim), status;

    pcv_sts_head(&head, tensor, rank, dim, key, value, keys);
    status = write_whole(s, to, &head);
    pcv_bytes_free(&head);
    return status;
}
