/* settings.h - settings of a training run as text: from a file of key = value
 * lines, and back.  What is wrong ends the program. */
#ifndef PCV_CMD_SETTINGS_H
#define PCV_CMD_SETTINGS_H

#include "pcv.h"

#include <stdio.h>

void settings_of_file(pcv_trainer *t, const char *file);        /* 78 */
/* Lines of key=value: what in the settings of a directory's checkpoint is not
 * the default; freed with free(), NULL where there is no checkpoint. */
char *settings_changed(const char *dir);
void settings_print(const pcv_trainer *t, FILE *out);
void settings_presets(FILE *out);                               /* all names */

#endif
