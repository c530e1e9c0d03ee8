/* gallery.h - answers that are files of their own: pictures and sounds. */
#ifndef GALLERY_H
#define GALLERY_H

#include "sink.h"

typedef struct {
    const char *output;         /* NULL standard output, FILE, or with %d */
    const char *directory;      /* or NULL */
    const char *end;            /* ".png" */
    bool force;
    bool numbered;              /* output holds a %d */
    sink out;                   /* of the only one, */
    pcv_bytes only;             /* until it is known to be the only one */
    bool some;
    void *names;                /* written in the directory, a tree */
} gallery;

/* Opens the output or makes the directory.  Exits when it cannot. */
void gallery_open(gallery *g);
/* Status; *code is set when this one item cannot be written. */
int gallery_add(gallery *g, const char *name, size_t index,
                const pcv_bytes *file, int *code);
/* Writes the only one. */
int gallery_finish(gallery *g);
void gallery_close(gallery *g);

#endif
