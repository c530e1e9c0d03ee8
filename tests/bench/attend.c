/* attend.c - what the structured attend saves: 224 x 224 pixels.
 *
 * The plain form is LayerNorm, keys, values, scores, softmax and weighted sum
 * with OpenBLAS on all cores.  It is given its rows ready made (rows there), or
 * makes them from the pixels as the structured form has to (rows made).  The
 * structured form folds its queries anew, or has kept them of the file before,
 * as a run of the programs does (queries kept). */
#include "cross.h"

enum { SIDE = 224, RUNS = 7 };

enum { THERE, MADE, GRID, KEPT, FORMS };

/* The forms in turn; the first run warms up. */
static void measure(const cross *s, cross_form *f)
{
    for (int i = -1; i < RUNS; i++)
        for (int k = 0; k < FORMS; k++) {
            if (i == 0)
                f[k].forward.n = f[k].backward.n = 0;
            cross_forward(s, &f[k]);
            cross_backward(s, &f[k]);
        }
}

static void tell_forward(const cross *s, const cross_form *f)
{
    double there = bench_median(&f[THERE].forward);
    double made = bench_median(&f[MADE].forward);
    double grid = bench_median(&f[GRID].forward);
    double kept = bench_median(&f[KEPT].forward);

    bench_row("forward, plain, rows there", "ms", there, BENCH_LESS, 0);
    bench_row("forward, plain, rows made", "ms", made, BENCH_LESS, 0);
    bench_row("forward, structured", "ms", grid, BENCH_LESS, 0);
    bench_row("forward, structured, queries kept", "ms", kept, BENCH_LESS, 0);
    bench_row("forward, ratio, rows there", "", there / grid, BENCH_MORE, 0);
    bench_row("forward, ratio, rows made", "", made / grid, BENCH_MORE, 30);
    bench_row("forward, ratio, queries kept", "", made / kept, BENCH_MORE, 0);
    bench_row("forward, difference", "", bench_difference(f[GRID].y,
              f[MADE].y, s->size), BENCH_LESS, 1e-5);
}

static void tell_backward(const cross *s, const cross_form *f)
{
    double there = bench_median(&f[THERE].backward);
    double made = bench_median(&f[MADE].backward);
    double grid = bench_median(&f[GRID].backward);

    bench_row("backward, plain, rows there", "ms", there, BENCH_LESS, 0);
    bench_row("backward, plain, rows made", "ms", made, BENCH_LESS, 0);
    bench_row("backward, structured", "ms", grid, BENCH_LESS, 0);
    bench_row("backward, ratio, rows there", "", there / grid, BENCH_MORE, 0);
    bench_row("backward, ratio, rows made", "", made / grid, BENCH_MORE, 20);
    bench_row("backward, difference, of queries", "", bench_difference(
              f[GRID].dq, f[MADE].dq, s->size), BENCH_LESS, 1e-5);
    bench_row("backward, difference, of parameters", "", bench_difference(
              f[GRID].dw, f[MADE].dw, s->params.total), BENCH_LESS, 1e-5);
}

static void keep_folds(const cross *s, cross_form *c, pcv_folds *f,
                       pcv_arena *a)
{
    pcv_arena count = {0};

    bench_need(pcv_folds_layout(&s->reader, c->t, CROSS_LATENTS, &count, f));
    bench_need(pcv_arena_open(a, count.peak) == 0);
    pcv_folds_layout(&s->reader, c->t, CROSS_LATENTS, a, f);
    c->rec.folds = f;
}

void bench_attend(void)
{
    cross s;
    cross_form f[FORMS];
    pcv_folds folds;
    pcv_arena kept;
    pcv_row_tokens rows;
    const size_t m = SIDE * SIDE;
    real *x;

    bench_title("attend", "cross-attend, 224x224x261, 512 latents");
    cross_open(&s, SIDE);
    x = pcv_alloc(m * (size_t)s.stem.c, sizeof *x);
    bench_need(x != NULL);
    s.batch.tokens.tile(&s.batch.tokens, 0, 0, SIDE * SIDE, x);
    pcv_rows_bind(&rows, x, NULL, 1, SIDE * SIDE, s.stem.c);
    cross_form_open(&s, &f[THERE], PCV_FORM_PLAIN, &rows.tokens, true);
    cross_form_open(&s, &f[MADE], PCV_FORM_PLAIN, &s.batch.tokens, true);
    cross_form_open(&s, &f[GRID], PCV_FORM_GRID, &s.batch.tokens, true);
    cross_form_open(&s, &f[KEPT], PCV_FORM_GRID, &s.batch.tokens, true);
    keep_folds(&s, &f[KEPT], &folds, &kept);
    measure(&s, f);
    tell_forward(&s, f);
    tell_backward(&s, f);
    bench_row("memory, plain", "MB", f[MADE].megabytes, BENCH_LESS, 0);
    bench_row("memory, structured", "MB", f[GRID].megabytes, BENCH_LESS, 0);
    for (int k = 0; k < FORMS; k++)
        cross_form_close(&f[k]);
    pcv_arena_close(&kept);
    pcv_free(x);
    cross_close(&s);
}
