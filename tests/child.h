/* child.h - running a program and what that took. */
#ifndef PCV_TESTS_CHILD_H
#define PCV_TESTS_CHILD_H

typedef struct {
    double seconds;             /* from before the fork to the end */
    double megabytes;           /* of 10^6 bytes, resident at the most: at
                                   least what the caller has at the time */
    int status;                 /* of its exit; -1: ended by a signal */
} child_use;

/* Its output is not wanted; its messages go to standard error.  0, or -1 when
 * nothing could be run. */
int child_run(char *const *command, child_use *use);

#endif
