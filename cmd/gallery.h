/* gallery.h - answers that are files of their own: pictures, sounds, flows; of
 * some each item makes several, the frames of a film. */
#ifndef GALLERY_H
#define GALLERY_H

#include "sink.h"

typedef struct {
    const char *output;         /* NULL standard output, FILE, or with %d */
    const char *directory;      /* or NULL */
    const char *end;            /* ".png" */
    size_t files;               /* of each item; 0 or 1: one */
    bool force;
    bool numbered;              /* output holds a %d */
    sink out;                   /* of the only one, */
    pcv_bytes only;             /* until it is known to be the only one */
    bool some;
    void *names;                /* written in the directory, a tree */
} gallery;

/* Has the name of an output a place for a number? */
bool gallery_numbers(const char *output);
/* Opens the output or makes the directory.  Exits when it cannot. */
void gallery_open(gallery *g);
/* Appends a file to a record of the pump. */
void gallery_pack(pcv_bytes *record, const void *file, size_t n);
/* Writes the files of a record.  Status; *code is set when this one item
 * cannot be written. */
int gallery_add(gallery *g, const char *name, size_t index,
                const pcv_bytes *record, int *code);
/* Writes the only one. */
int gallery_finish(gallery *g);
void gallery_close(gallery *g);

#endif
