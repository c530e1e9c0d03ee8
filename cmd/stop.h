/* stop.h - signals that a training run answers between two steps. */
#ifndef PCV_CMD_STOP_H
#define PCV_CMD_STOP_H

#include <stdbool.h>

/* SIGINT, SIGTERM, SIGHUP and SIGUSR1 ask for an end, SIGUSR2 for a save;
 * SIGPIPE is ignored: a log reader that went away must not end a run; SIGXFSZ
 * too: a limit on the size of files is like a full disk.  What
 * was ignored from the start (nohup, a background job) stays so.  A second
 * SIGINT kills at once. */
void stop_listen(void);
int stop_signal(void);          /* that asked for an end; 0 none */
bool stop_save_asked(void);     /* since the last call */
/* Dies by the signal, so that a shell sees 128 + n.  Does not return. */
void stop_die(int signal_number);

#endif
