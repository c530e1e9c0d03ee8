/* subject.h - a model, a worker and an input, by the public interface; what
 * cannot be had fails the test. */
#ifndef PCV_TESTS_SUBJECT_H
#define PCV_TESTS_SUBJECT_H

#include "../lib/pcv.h"

typedef struct {
    const char *name;           /* of the model, for messages; borrowed */
    pcv_model *m;
    pcv_worker *w;
    pcv_stream *stream;
    pcv_entry *e;               /* the input, loaded */
} subject;

void subject_open(subject *s, const char *dir);
/* Another file in place of the one before. */
void subject_load(subject *s, const char *path);
void subject_close(subject *s);

#endif
