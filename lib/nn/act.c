/* act.c - activations: GELU in its exact form (Hugging Face, every published
 * checkpoint) and its tanh approximation (DeepMind's code). */
#include "nn.h"

typedef void forward_row(const real *x, int n, real *y);
typedef void backward_row(const real *x, int n, const real *dy, real *dx);

typedef struct {
    forward_row *forward;
    backward_row *backward;
    const real *x, *dy;
    real *y;
    size_t n;
} act_job;

enum { CHUNK = 8192 };

static void act_chunk(void *arg, int i)
{
    const act_job *j = arg;
    size_t at = (size_t)i * CHUNK;
    int n = (int)(j->n - at < CHUNK ? j->n - at : CHUNK);

    if (j->forward)
        j->forward(j->x + at, n, j->y + at);
    else
        j->backward(j->x + at, n, j->dy + at, j->y + at);
}

void pcv_act_forward(int act, const real *x, size_t n, real *y)
{
    const pcv_rows *k = pcv_rows_get();
    act_job j = { act == PCV_GELU ? k->gelu : k->gelu_tanh, NULL, x, NULL, y,
                  n };

    pcv_parallel((int)((n + CHUNK - 1) / CHUNK), act_chunk, &j);
}

void pcv_act_backward(int act, const real *x, size_t n, const real *dy,
                      real *dx)
{
    const pcv_rows *k = pcv_rows_get();
    act_job j = { NULL, act == PCV_GELU ? k->gelu_back : k->gelu_tanh_back, x,
                  dy, dx, n };

    pcv_parallel((int)((n + CHUNK - 1) / CHUNK), act_chunk, &j);
}
