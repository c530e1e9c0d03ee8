/* opt_parts.h - private to opt.c and what it is made of. */
#ifndef OPT_PARTS_H
#define OPT_PARTS_H

#include "opt.h"

/* say.c: puts the descriptors and SIGPIPE in order. */
void say_start(const char *program);
void say_how_much(bool quiet, bool verbose);

/* A program's rows and the shared ones that it asked for. */
enum { OPT_MAX_ROWS = 192 };

typedef struct {
    const opt_program *program;
    opt_row row[OPT_MAX_ROWS];
    size_t rows;
} opt_table;

/* help.c: write on standard output. */
void opt_help(const opt_table *t);
void opt_version(const opt_table *t);
/* The name most like a mistyped one, or NULL. */
const char *opt_nearest(const opt_table *t, const char *name);

#endif
