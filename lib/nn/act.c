/* act.c - activations: GELU in its exact form (every published checkpoint) and
 * its tanh approximation (DeepMind's code) in vector loops; the others that a
 * config.json may name, one number at a time; and GEGLU, which takes twice the
 * values: a gelu(b) of the row [a | b].
 *
 *   GEGLU:  da = dy gelu(b)      db = dy a gelu'(b) */
#include "nn.h"

#include <math.h>

/* ---- one number at a time: f(x), and its derivative in *d ------------ */

typedef double scalar(double x, double *d);

static double relu(double x, double *d)
{
    *d = x > 0;
    return x < 0 ? 0 : x;       /* a NaN stays one */
}

static double relu6(double x, double *d)
{
    *d = x > 0 && x < 6;
    return x < 0 ? 0 : x > 6 ? 6 : x;
}

static double linear(double x, double *d)
{
    *d = 1;
    return x;
}

static double sigmoid(double x, double *d)
{
    double s = 1 / (1 + exp(-x));

    *d = s * (1 - s);
    return s;
}

static double tangent(double x, double *d)
{
    double t = tanh(x);

    *d = 1 - t * t;
    return t;
}

static double silu(double x, double *d)
{
    double ds, s = sigmoid(x, &ds);

    *d = s + x * ds;
    return x * s;
}

static double quick_gelu(double x, double *d)
{
    double y = silu(1.702 * x, d);

    return y / 1.702;           /* x s(1.702 x); the derivative is silu's */
}

/* x tanh(log(1 + e^x)) */
static double mish(double x, double *d)
{
    double ds, dt, s = sigmoid(x, &ds);
    double t = tangent(x > 30 ? x : log1p(exp(x)), &dt);

    *d = t + x * dt * s;
    return x * t;
}

static double gelu_10(double x, double *d)
{
    double p = 0.5 * erfc(-x * sqrt(0.5)), y = x * p;

    *d = y > 10 ? 0 : p + x * exp(-0.5 * x * x) * 0.39894228040143268;
    return y > 10 ? 10 : y;
}

/* ---- rows ------------------------------------------------------------ */

static void geglu(const real *x, int n, real *y)
{
    pcv_rows_get()->gelu(x + n, n, y);
    for (int i = 0; i < n; i++)
        y[i] *= x[i];
}

static void geglu_back(const real *x, int n, const real *dy, real *dx)
{
    const pcv_rows *k = pcv_rows_get();

    k->gelu(x + n, n, dx);
    for (int i = 0; i < n; i++) {
        dx[n + i] = dy[i] * x[i];
        dx[i] *= dy[i];
    }
    k->gelu_back(x + n, n, dx + n, dx + n);
}

typedef void forward_row(const real *x, int n, real *y);
typedef void backward_row(const real *x, int n, const real *dy, real *dx);

typedef struct {
    forward_row *forward;       /* one of these two, .. */
    backward_row *backward;
    scalar *each;               /* .. or this in their place */
    const real *x, *dy;
    real *y;
    int rows, n;                /* a row of n outputs .. */
    int in, out;                /* .. takes that many values each */
} act_job;

enum { CHUNK = 8192 };

static void each_number(const act_job *j, const real *x, const real *dy,
                        real *y)
{
    for (int i = 0; i < j->n; i++) {
        double d, v = j->each((double)x[i], &d);

        y[i] = (real)(dy ? (double)dy[i] * d : v);
    }
}

static void act_row(void *arg, int i)
{
    const act_job *j = arg;
    size_t in = (size_t)i * (size_t)j->in, out = (size_t)i * (size_t)j->out;

    if (j->each)
        each_number(j, j->x + in, j->dy ? j->dy + out : NULL, j->y + in);
    else if (j->forward)
        j->forward(j->x + in, j->n, j->y + out);
    else
        j->backward(j->x + in, j->n, j->dy + out, j->y + in);
}

static void act_chunk(void *arg, int i)
{
    act_job j = *(const act_job *)arg;
    int all = j.rows * j.n, at = i * CHUNK;     /* of a batch's MLP: fits */

    j.in = j.out = CHUNK;
    j.n = all - at < CHUNK ? all - at : CHUNK;
    act_row(&j, i);
}

static void run(act_job *j, int act)
{
    j->in = pcv_act_inputs(act) * j->n;
    j->out = j->n;
    if (act == PCV_GEGLU)
        pcv_parallel(j->rows, act_row, j);
    else
        pcv_parallel((j->rows * j->n + CHUNK - 1) / CHUNK, act_chunk, j);
}

int pcv_act_inputs(int act)
{
    return act == PCV_GEGLU ? 2 : 1;
}

static scalar *const scalars[] = {
    [PCV_RELU] = relu, [PCV_SILU] = silu, [PCV_QUICK_GELU] = quick_gelu,
    [PCV_TANH] = tangent, [PCV_SIGMOID] = sigmoid, [PCV_MISH] = mish,
    [PCV_RELU6] = relu6, [PCV_LINEAR] = linear, [PCV_GELU_10] = gelu_10,
};

void pcv_act_forward(int act, const real *x, int rows, int n, real *y)
{
    const pcv_rows *k = pcv_rows_get();
    act_job j = { .each = scalars[act], .x = x, .y = y, .rows = rows, .n = n };

    j.forward = act == PCV_GELU ? k->gelu
                : act == PCV_GELU_TANH ? k->gelu_tanh : geglu;
    run(&j, act);
}

void pcv_act_backward(int act, const real *x, int rows, int n, const real *dy,
                      real *dx)
{
    const pcv_rows *k = pcv_rows_get();
    act_job j = { .each = scalars[act], .x = x, .dy = dy, .y = dx,
                  .rows = rows, .n = n };

    j.backward = act == PCV_GELU ? k->gelu_back
                 : act == PCV_GELU_TANH ? k->gelu_tanh_back : geglu_back;
    run(&j, act);
}
