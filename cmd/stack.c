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

static size_t product(int rank, const size_t *dim)
{
    size_t n = 1;

    for (int i = 0; i < rank; i++)
        n *= dim[i];
    return n;
}

pcv_bytes stack_next(const pcv_bytes *b, size_t *at)
{
    pcv_bytes row = {.data = b->data + *at};
    shape head;

    memcpy(&head, row.data, sizeof head);
    row.len = sizeof head + product(head.rank, head.dim) * sizeof(float);
    *at += row.len;
    return row;
}

void stack_shape(const pcv_bytes *row, pcv_tensor_info *t)
{
    shape head;

    memcpy(&head, row->data, sizeof head);
    t->rank = head.rank;
    memcpy(t->dim, head.dim, sizeof t->dim);
}

pcv_bytes stack_numbers(const pcv_bytes *row)
{
    return (pcv_bytes){.data = row->data + sizeof(shape),
                       .len = row->len - sizeof(shape)};
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
        if (spool_fill(&s->rows, product(s->rank, s->dim), NAN) != 0)
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
static int whole_shape(const stack *s, size_t dim[8])
{
    int rank = s->rank < 0 ? 1 : s->rank;

    dim[0] = s->n;
    dim[1] = 0;
    for (int i = 0; i < s->rank; i++)
        dim[i + 1] = s->dim[i];
    return rank + 1;
}

static int write_head(const pcv_bytes *head, sink *to)
{
    if (!head->failed)
        return sink_write(to, head->data, head->len);
    opt_error("%s", pcv_error_code() ? pcv_error() : "out of memory");
    return EX_OSERR;
}

int stack_npy(stack *s, sink *to)
{
    pcv_bytes head = {0};
    size_t dim[8];
    int rank = whole_shape(s, dim), status;

    pcv_npy_head(&head, rank, dim);
    status = write_head(&head, to);
    pcv_bytes_free(&head);
    return status ? status : spool_copy(&s->rows, to);
}

int stack_safetensors(stack *const *s, const char *const *tensor, size_t n,
                      sink *to, const char *const *key,
                      const char *const *value, size_t keys)
{
    pcv_tensor_info *t = calloc(n, sizeof *t);
    pcv_bytes head = {0};
    int status;

    if (!t)
        opt_fatal_memory();
    for (size_t i = 0; i < n; i++) {
        t[i].name = tensor[i];
        t[i].rank = whole_shape(s[i], t[i].dim);
    }
    pcv_sts_head(&head, t, n, key, value, keys);
    status = write_head(&head, to);
    for (size_t i = 0; status == 0 && i < n; i++)
        status = spool_copy(&s[i]->rows, to);
    pcv_bytes_free(&head);
    free(t);
    return status;
}
