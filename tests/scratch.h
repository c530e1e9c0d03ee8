/* scratch.h - a temporary directory to write test files into. */
#ifndef PCV_SCRATCH_H
#define PCV_SCRATCH_H

#include <stddef.h>

/* As setup and teardown of a test: the test runs inside a new directory, with
 * no failure left over, and leaves nothing behind. */
int scratch_open(void **state);
int scratch_close(void **state);

/* As setup of a test without files: no failure is left over. */
int scratch_none(void **state);

/* Writes name, relative to it; the directories on the way are made. */
void scratch_put(const char *name, const void *data, size_t n);
void scratch_puts(const char *name, const char *text);

/* The thread's error is this one; it is cleared. */
void assert_failed(int code, const char *text);

#endif
