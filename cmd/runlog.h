/* runlog.h - log.jsonl of a training run, and the lock on its directory. */
#ifndef PCV_CMD_RUNLOG_H
#define PCV_CMD_RUNLOG_H

#include <stdbool.h>
#include <stdio.h>

typedef struct {
    FILE *file;
    char *path;
    int why;                    /* errno of the first failure, or 0 */
} runlog;

/* One run at a time per directory: false when another one has it.  A
 * directory that does not exist is not locked.  Temporary files that a killed
 * run left there are removed. */
bool runlog_lock(const char *dir);

/* Opens DIR/log.jsonl, empty or (go_on) behind its last whole line.  This
 * and the next two do nothing once something failed. */
void runlog_open(runlog *l, const char *dir, bool go_on);
/* One line, which is in the file when the call returns. */
void runlog_add(runlog *l, const char *json);
void runlog_close(runlog *l);

#endif
