/* archive.h - ZIP archives and pickles written by hand: as torch.save and
 * numpy.savez write them, and as nobody should. */
#ifndef PCV_TESTS_ARCHIVE_H
#define PCV_TESTS_ARCHIVE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../lib/fmt/fmt.h"

/* ---- ZIP ------------------------------------------------------------- */

/* An entry; what is zero is as it should be. */
typedef struct {
    const char *name;
    const void *data;
    size_t n;
    const char *local;          /* the name before the data, if another */
    unsigned method, flags;     /* 8: data is deflated; flags 1: encrypted */
    size_t size;                /* unpacked, if another than n */
    uint32_t crc;               /* xor-ed into the checksum; of deflated data
                                   the checksum itself */
    size_t claim;               /* added to both sizes in the directory */
    bool shared;                /* the data are those of the entry before */
} archive_entry;

typedef struct {
    pcv_buf file, directory;
    size_t count, at;           /* entries; where the last one begins */
} archive;

void archive_add(archive *a, const archive_entry *e);
void archive_put(archive *a, const char *name, const void *data, size_t n);
/* Writes the directory; the archive is a->file. */
void archive_end(archive *a);
void archive_free(archive *a);

/* Raw deflate, and the checksum of what is not packed. */
void archive_deflate(pcv_buf *out, const void *data, size_t n);
uint32_t archive_crc(const void *data, size_t n);

/* ---- pickles --------------------------------------------------------- */

void pickle_begin(pcv_buf *b);                  /* PROTO 2 */
void pickle_text(pcv_buf *b, const char *text);
void pickle_int(pcv_buf *b, int64_t n);
void pickle_global(pcv_buf *b, const char *module, const char *name);
/* ('storage', torch.TYPE, key, 'cpu', count) BINPERSID */
void pickle_storage(pcv_buf *b, const char *type, const char *key,
                    int64_t count);

/* A tensor; strides NULL: contiguous. */
typedef struct {
    const char *type, *key;
    int64_t count, offset;
    int rank;
    int64_t dim[9];
    const int64_t *stride;
} pickle_view;
void pickle_tensor(pcv_buf *b, const pickle_view *v);
/* {'a': tensor}, to the end */
void pickle_one(pcv_buf *b, const pickle_view *v);

/* Writes the archive p/data.pkl, p/byteorder, p/data/0 of n bytes 0, 1, 2
 * .. into the file `name` of the current directory. */
void archive_torch(const char *name, const pcv_buf *pickle, size_t n);

#endif
