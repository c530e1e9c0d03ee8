/* sink.h - where answers go: standard output, a file that appears whole or
 * not at all, a spool that is not seen before it is copied.
 *
 * Functions that return a status have said what is wrong when it is not 0;
 * it is what the program exits with, after opt_worse. */
#ifndef SINK_H
#define SINK_H

#include "opt.h"

#include <stdio.h>

/* ---- output ---------------------------------------------------------- */

typedef struct {
    const char *path;           /* NULL: standard output */
    pcv_out *out;
    bool live;                  /* somebody may be reading along */
} sink;

/* path NULL is standard output.  Call before there are other threads: a
 * signal must find the unfinished file. */
int sink_open(sink *s, const char *path, bool force);
/* One record, which a reader at the other end of a pipe sees at once. */
int sink_write(sink *s, const void *data, size_t n);
/* Commits the file.  Standard output is left to opt_finish. */
int sink_close(sink *s);
/* As if the file had never been begun. */
void sink_abort(sink *s);

/* A file of its own, from bytes. */
int sink_file(const char *path, bool force, const void *data, size_t n);

/* Lets SIGINT, SIGTERM and SIGHUP remove unfinished files before they kill;
 * sink_open does it. */
void sink_guard(void);

/* Exits with 64 if a binary format would go to a terminal; what: "latents". */
void sink_refuse_terminal(const char *output, const char *what,
                          const char *instead);

/* ---- spool ----------------------------------------------------------- */

/* Rows whose number has to be known before the first is written: a file in
 * TMPDIR without a name. */
typedef struct {
    FILE *file;
    size_t bytes;
} spool;

int spool_open(spool *s);
int spool_write(spool *s, const void *data, size_t n);
int spool_fill(spool *s, size_t n, float value);        /* n times value */
/* Everything, from the beginning. */
int spool_copy(spool *s, sink *to);
void spool_close(spool *s);

#endif
