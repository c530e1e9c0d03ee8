/* bench.h - what the measurements share.  A figure is a function that measures
 * and tells rows; main.c has the table of them. */
#ifndef PCV_BENCH_H
#define PCV_BENCH_H

#include "../../lib/tokens/tokens.h"

#include <math.h>
#include <stdio.h>

enum { BENCH_THREADS = 2, BENCH_MOST = 128 };

/* The measurements of one figure, in this order. */
void bench_attend(void);
void bench_fourier(void);
void bench_language(void);
void bench_flow(void);
void bench_large(void);
void bench_start(void);
void bench_training(void);

/* ---- report.c: rows -> table, JSON ------------------------------------ */

enum bench_sense { BENCH_LESS, BENCH_MORE };    /* which is better */

/* A heading of the rows that follow; the name is what they are asked for by.
 * Borrows both. */
void bench_title(const char *name, const char *about);
/* asked: at most (LESS), at least (MORE) this much; 0: nothing. */
void bench_row(const char *name, const char *unit, double value,
               enum bench_sense better, double asked);
/* A figure that could not be measured, and why; it is in no JSON. */
void bench_missing(const char *name, const char *why);
/* One line for each fact of the machine: "name: value". */
void bench_machine(bool quiet);
void bench_quiet(bool quiet);   /* no table */
void bench_json(pcv_buf *b);    /* all rows that were told */

/* ---- compare.c -------------------------------------------------------- */

/* Two files of bench_json; 0, or -1 with pcv_error. */
int bench_compare(const char *a, const char *b);

/* ---- measure.c: time, medians, the rate of products ------------------- */

/* Samples of one figure. */
typedef struct {
    double at[BENCH_MOST];
    int n;
} bench_samples;

double bench_now(void);                         /* seconds */
void bench_add(bench_samples *s, double value); /* those beyond the most are
                                                   not kept */
double bench_median(const bench_samples *s);
/* The rate that this machine gives products now, GFLOP/s: every thread at
 * 512 x 1024 x 1024.  Taken before and after every run of what is relative to
 * it, because machines drift. */
double bench_rate(void);
/* |a - b| / |b|, Euclidean norms. */
double bench_difference(const real *a, const real *b, size_t n);
/* Ends the program with pcv_error unless fine. */
void bench_need(bool fine);

/* ---- files.c: what is measured ---------------------------------------- */

/* A path in a directory that goes when the program ends; pcv_free. */
char *bench_file(const char *name);
void bench_write(const char *path, const void *data, size_t n);
void bench_floats(const char *dir, const char *name, const float *x, size_t n);
/* Where the programs are; pcv_free. */
char *bench_program(const char *name);
/* A model of that published configuration with random weights: its directory,
 * pcv_free. */
char *bench_published(const char *name);
real *bench_random(size_t n, uint64_t stream);  /* N(0, 1), pcv_free */

/* ---- peer.c: the same network elsewhere ------------------------------- */

/* Python with torch and transformers, that has the model of a directory. */
typedef struct {
    FILE *to, *from;
    int pid;                    /* 0: there is none, because of .. */
    char why[256];
} bench_peer;

/* `kind` is a key of torch.py's table; dir has config.json, the weights and
 * input.f32.  Without torch, peer->why says so. */
void bench_peer_open(bench_peer *p, const char *kind, const char *dir);
/* One run: seconds, and a number that belongs to it (a loss).  NAN when it
 * failed, and then there is no peer any more. */
double bench_peer_run(bench_peer *p, double *number);
/* Has it write DIR/answer.f32: n floats; pcv_free.  NULL: there is no peer. */
float *bench_peer_answer(bench_peer *p, const char *dir, size_t n);
void bench_peer_close(bench_peer *p);

#endif
