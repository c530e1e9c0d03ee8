/* runlog.h - log.jsonl of a training run, and the lock on its directory. */
#ifndef PCV_CMD_RUNLOG_H
#define PCV_CMD_RUNLOG_H

#include <stdbool.h>

typedef struct {
    int fd;
    char *path;
    int why;                    /* errno of a failure so far, or 0 */
    bool failing;               /* the newest line could not be written */
} runlog;

/* One run at a time per directory: false when another one has it.  A
 * directory that does not exist is not locked.  Temporary files that a killed
 * run left there are removed. */
bool runlog_lock(const char *dir);

/* Opens DIR/log.jsonl, empty or (go_on) behind its last whole line. */
void runlog_open(runlog *l, const char *dir, bool go_on);
/* One line, which is in the file when the call returns, or not at all: what
 * could not be written whole is cut off again.  Each line is tried. */
void runlog_add(runlog *l, const char *json);
void runlog_close(runlog *l);

#endif
