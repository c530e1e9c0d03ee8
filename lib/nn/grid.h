/* grid.h - the parts of the structured attend, shared by grid_tile.c and
 * grid_attend.c alone (grid_attend.c has the algebra).
 *
 * A `read` is one query of one head.  Reads are taken GROUP at a time; a group
 * passes over the grid in tiles of whole rows (or parts of long ones). */
#ifndef PCV_GRID_H
#define PCV_GRID_H

#include "nn.h"

/* Backward keeps four numbers of each read and element: half a tile fits the
 * cache that forward's fills. */
enum { GROUP = 64, TILE = 2048, TILE_BACK = 1024 };

static inline size_t mul(int a, int b)
{
    return (size_t)a * (size_t)b;
}

/* One fold of a group (u, or dz in backward) against the current segment. */
typedef struct {
    real *full;                 /* GROUP x C, gain applied */
    real *content;              /* GROUP x c */
    real *table[3];             /* GROUP x len[a] */
    real *dots;                 /* GROUP x TILE, when content is a product */
    real base[GROUP];
} grid_fold;

/* Sums of a group: over the current segment, and over finished ones. */
typedef struct {
    real *marginal[3];          /* GROUP x len[a] */
    real *content;              /* GROUP x c, when content is a product */
    real *done;                 /* GROUP x C */
    pcv_sums seg[GROUP];        /* current segment */
    double p[GROUP];            /* finished segments */
    real top[GROUP];
} grid_state;

typedef struct {
    grid_fold u, dz;
    grid_state s;
    real *gather;               /* GROUP x widest axis table */
    real *score;                /* GROUP x TILE: scores, then weights */
    real *p, *w, *dp;           /* GROUP x TILE, backward */
    real *g;                    /* (c + 1) x TILE: G, Gx */
    double share[GROUP];        /* P of a trained constant; sums of r^2 Gx */
    double share_gx, share_mean;        /* and of m r^2 Gx */
    real *mean, *rstd, *bias;   /* TILE */
    real *position;             /* TILE: position part of one read */
    real *column, *row;         /* TILE: sums of one sweep */
} grid_work;

typedef struct {
    const pcv_reader *r;
    const pcv_tokens *t;
    int n, reads, groups;       /* per item */
    int tile;                   /* elements of one */
    bool backward;
    const real *raw;            /* B x N x H x C: scaled W_k^T q */
    const pcv_folds *folds;     /* folded already, the same for all items */
    const real *shift;          /* N x H of all items, or of folds alone */
    const real *dz, *z, *lse;   /* backward */
    real *zout, *lseout, *du;
    double *sum[3], *square[3]; /* per segment: its axes' tables, in order */
    grid_work *per_thread;
} grid_job;

/* A piece of a segment: `rows` rows of `n` elements, whose first is element
 * `at` of the segment, `from` within its row.  Its elements follow one another
 * in the segment, unless it is to be swept over. */
typedef struct {
    const pcv_segment *s;
    int item, seg, offset;      /* offset of the segment in the item */
    int group;                  /* of reads */
    int most, wide;             /* elements of a tile; columns of its rows */
    int row, rows, from, n;
    size_t at;
} grid_tile;

/* Everything a pass takes from an arena: the per-thread work, the axis sums,
 * and arrays: raw (B x N x H x C), shift (B x N x H); backward: dz and du, as
 * raw. */
void pcv_grid_layout(const pcv_reader *r, const pcv_tokens *t, int n,
                     bool backward, pcv_arena *a, grid_job *j, real **array);

/* Sums and sums of squares of each table row: LayerNorm's share of an axis. */
void pcv_grid_axes(grid_job *j);

/* Rows of a group, times `gain` (C, or NULL) and `scale`, less their means. */
void pcv_fold_open(const grid_job *j, grid_fold *f, const real *rows, int count,
                   const real *gain, real scale);

/* Splits a fold along the channels of one segment: tables of dot products
 * per axis; content and constant. */
void pcv_fold_tables(const grid_job *j, grid_fold *f, const pcv_segment *s,
                     int count, real *gather);
void pcv_fold_rest(const grid_job *j, grid_fold *f, const pcv_segment *s,
                   int count);

/* Kept folds of a group, and their tables of segment `seg`, in the place of
 * f's own memory. */
void pcv_fold_kept(const grid_job *j, grid_fold *f, int group);
void pcv_fold_kept_tables(const grid_job *j, grid_fold *f, int seg, int group);

/* Length of the last axis; number of rows of that length. */
int pcv_segment_inner(const pcv_segment *s);
int pcv_segment_rows(const pcv_segment *s);

/* Before the first tile of segment `seg`, as forward or backward wants them. */
grid_tile pcv_tiles_begin(const grid_job *j, int seg, int item, int group,
                        int offset);
/* Steps to the next tile of the segment; false at its end. */
bool pcv_tile_next(grid_tile *t);

/* Elements of a tile, and its first content value. */
int pcv_tile_size(const grid_tile *t);
const real *pcv_tile_content(const grid_tile *t);

/* LayerNorm statistics and mask of the tile's elements. */
void pcv_tile_stats(const grid_job *j, const grid_tile *t, grid_work *w);

/* The tile as the kernels see it; what read i brings to it, whose position
 * part goes to `at` (TILE). */
pcv_run pcv_tile_run(const grid_job *j, const grid_tile *t, const grid_work *w);
pcv_fold pcv_tile_fold(const grid_tile *t, const grid_fold *f, int i, real *at);

/* Content by products, where it has many channels: dots of a fold; weighted
 * sums. */
void pcv_tile_dots(const grid_tile *t, const grid_fold *f, int count);
void pcv_tile_pool(const grid_tile *t, const real *weights, int count,
                   grid_state *s);

/* Can forward sweep over the segment?  Then scores, weights and sums of read i
 * in one go; its maximum follows. */
bool pcv_segment_sweeps(const grid_job *j, const pcv_segment *s);
void pcv_tile_sweep(const grid_job *j, const grid_tile *t, grid_work *w, int i);

/* Adds the weights of read i over the tile to its marginals. */
void pcv_tile_marginals(const grid_tile *t, grid_state *s, int i,
                        const real *weight);

/* Sums of a group: start; of a segment: start, scale what read i has (the
 * running maximum rose), join the finished ones. */
void pcv_pooled_open(const grid_job *j, grid_state *s, int count);
void pcv_segment_open(grid_state *s, const pcv_segment *seg, int count);
void pcv_segment_rescale(const grid_job *j, const pcv_segment *seg,
                         grid_state *s, int i, real f);
void pcv_segment_close(const grid_job *j, const pcv_segment *seg, grid_state *s,
    int count, real *gather);

#endif
