/* items_help.h - what the tests of items share: expecting the next one. */
#ifndef PCV_ITEMS_HELP_H
#define PCV_ITEMS_HELP_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../lib/data/data.h"
#include "scratch.h"

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

#define PGM "P5 2 1 255\n"          /* two pixels follow */

/* [2][1][2] of 16 bits, 02 01 04 03 06 05 08 07, as gzipped idx. */
extern const char idx_gz[];
extern const size_t idx_gz_size;

pcv_sources sources(const char *const *path, size_t n);
pcv_items *open_items(const pcv_sources *s, int batch_rank);

/* The next item is this one, and decodes. */
void expect(pcv_items *it, const char *name, pcv_item *item);
/* .. is a grey picture of two pixels, the first of this value. */
void expect_grey(pcv_items *it, const char *name, int value);
/* .. is an array with these n bytes. */
void expect_array(pcv_items *it, const char *name, pcv_dtype t, int rank,
                  const char *want, size_t n);
/* .. cannot be had, with this code and these words. */
void expect_failure(pcv_items *it, const char *name, int code,
                    const char *what);
/* There is none; closes. */
void expect_end(pcv_items *it);

#endif
