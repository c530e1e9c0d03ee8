/* augment.h - private to lib/train: the operations of augment.c's table. */
#ifndef PCV_AUGMENT_H
#define PCV_AUGMENT_H

#include "train.h"

/* One operation on one example: settings, and random numbers of its own. */
typedef struct {
    const pcv_run_spec *run;
    const pcv_prep *prep;
    uint64_t seed, stream;
} pcv_change;

/* Number i: in [0, 1), in [low, high), whole and in low .. high. */
static inline double pcv_draw(const pcv_change *c, uint64_t i)
{
    return pcv_uniform(c->seed, c->stream, i);
}

static inline double pcv_draw_in(const pcv_change *c, uint64_t i, double low,
                                 double high)
{
    return low + pcv_draw(c, i) * (high - low);
}

static inline int pcv_draw_int(const pcv_change *c, uint64_t i, int low,
                               int high)
{
    return (int)(pcv_draw(c, i) * (high - low + 1)) + low;
}

/* The last two axes of an array: planes x h x w. */
typedef struct {
    float *v;
    int planes, h, w;
} pcv_planes;

pcv_planes pcv_planes_of(const pcv_array *x);

/* All of these take F32 (texts: I32) of the rank that their kind of input has;
 * 0 or -1 (out of memory). */

/* ---- pictures.c: [channels][height][width] --------------------------- */

int pcv_shift_picture(const pcv_change *c, pcv_array *x);
int pcv_delay_frames(const pcv_change *c, pcv_array *x);    /* of log-mel */
int pcv_crop_picture(const pcv_change *c, pcv_array *x);
int pcv_flip_picture(const pcv_change *c, pcv_array *x);
int pcv_erase_picture(const pcv_change *c, pcv_array *x);

/* The part of an h x w picture at (y, x), bilinear, in the size of the whole.
 * box: y, x, height, width. */
int pcv_crop_box(pcv_array *x, const double box[4]);

/* ---- randaugment.c --------------------------------------------------- */

int pcv_randaugment(const pcv_change *c, pcv_array *x);

/* Operation i of RandAugment alone, of strength -1 .. 1. */
const char *pcv_randaugment_name(int i);        /* NULL past the end */
int pcv_randaugment_apply(int i, const pcv_prep *prep, double strength,
                          pcv_array *x);

/* ---- sounds.c: [samples], log-mel [frames][bands] -------------------- */

int pcv_delay_sound(const pcv_change *c, pcv_array *x);
int pcv_gain_sound(const pcv_change *c, pcv_array *x);
int pcv_mask_time(const pcv_change *c, pcv_array *x);
int pcv_mask_frequency(const pcv_change *c, pcv_array *x);

/* ---- clouds.c: points [n][channels], three coordinates first --------- */

int pcv_drop_points(const pcv_change *c, pcv_array *x);
int pcv_scale_points(const pcv_change *c, pcv_array *x);
int pcv_rotate_points(const pcv_change *c, pcv_array *x);
int pcv_jitter_points(const pcv_change *c, pcv_array *x);

/* ---- texts.c: [ids] -------------------------------------------------- */

int pcv_indent_text(const pcv_change *c, pcv_array *x);
int pcv_hide_text(const pcv_change *c, pcv_array *x);

/* ---- mix.c: two examples --------------------------------------------- */

/* Beta(alpha, alpha), from numbers 0 .. 2047. */
double pcv_draw_beta(const pcv_change *c, double alpha);

/* How much of a is left. */
double pcv_mix_up(const pcv_change *c, pcv_array *a, const pcv_array *b);
double pcv_cut_mix(const pcv_change *c, pcv_array *a, const pcv_array *b);

#endif
