/* progress.h - how far a training run is, on standard error: one line that is
 * rewritten on a terminal, a line now and then elsewhere. */
#ifndef PCV_CMD_PROGRESS_H
#define PCV_CMD_PROGRESS_H

#include "pcv.h"

enum { PROGRESS_AUTO, PROGRESS_ALWAYS, PROGRESS_NEVER };

typedef struct {
    bool silent, rewrite;
    bool shown;                 /* there is a line to be rewritten */
    double last;                /* when something was written */
} progress;

double progress_clock(void);    /* seconds, monotonic */
void progress_open(progress *p, int when, bool quiet);
void progress_tell(progress *p, const pcv_progress *e);
/* Before a message of another kind, and at the end. */
void progress_clear(progress *p);

#endif
