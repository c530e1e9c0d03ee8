/* places.h - where models are looked for; shared by the files of the facade. */
#ifndef PCV_PLACES_H
#define PCV_PLACES_H

#include "base/base.h"

/* The directory of a model by path or name; NULL, with a message that lists
 * every place tried, when there is none.  pcv_free. */
char *pcv_place_find(const char *name);
/* Every place a name would be looked for, one a line. */
void pcv_place_list(const char *name, pcv_buf *b);

#endif
