/* group.h - private to the facade: items that make one input together. */
#ifndef PCV_GROUP_H
#define PCV_GROUP_H

#include "handles.h"

/* A model of pictures takes an item at a time, one of motion every picture
 * with the one after it, one of video so many at a time. */
typedef struct {
    size_t window, step;        /* pictures of an input; to the next one */
    int rate;                   /* of the sound that goes with them, .. */
    size_t samples;             /* .. so much for an input; 0 none */
    const pcv_reading *how;
    const char *sound_path;     /* of the caller, or NULL */
    pcv_item *held;             /* pictures that wait: at most a window */
    size_t count, made;         /* of them; inputs of this clip so far */
    bool used;                  /* they have been in an input already */
    pcv_item next;              /* waits until they have had their turn */
    pcv_clip *clip;             /* the directory we are in, or NULL */
    char *clip_name;
    bool have_sound;
    float *sound;               /* of the clip, at `rate` */
    size_t sound_n;
} pcv_group;

int pcv_group_open(pcv_group *g, const pcv_model *m, const pcv_reading *how,
                   const char *sound);
void pcv_group_close(pcv_group *g);
/* The next input: 1 and e's items, name and sound; 0 end; -1. */
int pcv_group_next(pcv_group *g, pcv_items *items, pcv_entry *e);

#endif
