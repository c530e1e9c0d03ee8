/* rehearse.h - what pcv-train says of a run that it does not do: sizes, cost
 * and time; gradients against differences.  Both exit when something fails. */
#ifndef PCV_CMD_REHEARSE_H
#define PCV_CMD_REHEARSE_H

#include "pcv.h"

/* Standard output; the exit status. */
int rehearse_plan(pcv_trainer *t, const char *data, const char *val);
int rehearse_gradient(pcv_trainer *t, const char *data, const char *val);

#endif
