/* base.h - floor 0: what every other floor stands on.  Knows nothing of
 * networks.  Includes libc only. */
#ifndef PCV_BASE_H
#define PCV_BASE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sysexits.h>

#define PCV_LEN(a) (sizeof(a) / sizeof *(a))

/* ---- err.c: one message per thread ----------------------------------- */

/* Records a message and an exit status of <sysexits.h> (EX_DATAERR for bad
 * content, EX_NOINPUT for what cannot be opened, EX_OSERR for memory,
 * EX_IOERR for reads and writes, EX_USAGE for a caller's mistake).  The
 * oldest message wins until cleared.  Always returns -1. */
int pcv_fail(int code, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

const char *pcv_error(void);    /* "" when nothing failed */
int pcv_error_code(void);       /* 0 when nothing failed */
void pcv_error_clear(void);

/* What a reader should know although nothing failed (positions that were
 * interpolated, a text that was cut).  The newest one of this thread, "" when
 * there is none; reading it forgets it. */
void pcv_remark(const char *format, ...)
    __attribute__((format(printf, 1, 2)));
const char *pcv_remark_take(void);

/* ---- mem.c: checked, counted allocation ------------------------------ */

/* count * size bytes, zeroed, aligned to 64; NULL and pcv_fail(EX_OSERR)
 * when the product overflows or memory is out.  count = 0 gives a pointer
 * that pcv_free takes. */
void *pcv_alloc(size_t count, size_t size);
void pcv_free(void *p);                     /* NULL is fine */
char *pcv_strdup(const char *s);            /* freed with pcv_free */

/* *out = a * b; false when it overflows (then *out is untouched). */
bool pcv_mul(size_t a, size_t b, size_t *out);
bool pcv_add(size_t a, size_t b, size_t *out);

long pcv_alloc_count(void);         /* allocations so far, all threads */
void pcv_alloc_fail_at(long k);     /* tests: the k-th from now fails */

/* ---- arena.c: the activations of one pass ---------------------------- */

/* Bump allocation between a mark and its release.  An arena without memory
 * (base NULL) only counts: the same layout code first measures, then
 * takes.  Taking beyond the size is a bug (assert). */
typedef struct {
    char *base;
    size_t size, used, peak;
} pcv_arena;

int pcv_arena_open(pcv_arena *a, size_t size);      /* 0 or -1 */
/* Empty, with that much memory: what it has, where that is enough. */
int pcv_arena_reserve(pcv_arena *a, size_t size);   /* 0 or -1 */
void pcv_arena_close(pcv_arena *a);
void *pcv_arena_take(pcv_arena *a, size_t count, size_t size); /* 64-aligned */
void pcv_arena_release(pcv_arena *a, size_t mark);  /* mark = earlier used */

/* ---- rng.c: a counter-based generator -------------------------------- */

/* A pure function of its three keys: recomputing sees the same numbers,
 * whatever the order of the calls. */
uint64_t pcv_random(uint64_t seed, uint64_t stream, uint64_t index);
/* out[i] = the number of index + i, n of them. */
void pcv_random_fill(uint64_t seed, uint64_t stream, uint64_t index,
                     uint64_t *out, size_t n);
double pcv_uniform(uint64_t seed, uint64_t stream, uint64_t index); /* [0,1) */
double pcv_normal(uint64_t seed, uint64_t stream, uint64_t index);  /* N(0,1) */

/* order[0..n) = a permutation of 0..n-1 that (seed, stream) determine. */
void pcv_shuffle(uint64_t seed, uint64_t stream, uint32_t *order, uint32_t n);

/* ---- str.c: growable bytes ------------------------------------------- */

/* Once an allocation fails, `failed` stays set and further calls do
 * nothing; the caller checks it once, at the end.  data is always
 * NUL-terminated when len > 0 (the NUL is not counted). */
typedef struct {
    char *data;
    size_t len, cap;
    bool failed;
} pcv_buf;

void pcv_buf_add(pcv_buf *b, const void *data, size_t n);
void pcv_buf_puts(pcv_buf *b, const char *s);
void pcv_buf_printf(pcv_buf *b, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
void pcv_buf_vprintf(pcv_buf *b, const char *format, va_list ap);
void pcv_buf_clear(pcv_buf *b);             /* len = 0, memory kept */
void pcv_buf_free(pcv_buf *b);

/* Length of the valid UTF-8 sequence at s (1 to 4), or 0 if there is none. */
int pcv_utf8(const char *s, size_t n);

/* Appends s with control bytes, backslash and invalid UTF-8 as C escapes,
 * so that a file name can neither move a terminal's cursor nor break a
 * line: for messages and TSV fields. */
void pcv_buf_escape(pcv_buf *b, const char *s);

/* Appends s as the inside of a JSON string; bytes that are not UTF-8
 * become U+FFFD.  Returns false if that happened. */
bool pcv_buf_json(pcv_buf *b, const char *s, size_t n);

/* ---- file.c: whole files in, whole files out ------------------------- */

typedef struct {
    const unsigned char *data;
    size_t size;
    bool mapped;
} pcv_file;

/* Maps a regular file, reads anything else to its end; "-" is standard
 * input.  More than limit bytes (0 = no limit) is an error.  0 or -1. */
int pcv_file_open(pcv_file *f, const char *path, size_t limit);
void pcv_file_close(pcv_file *f);

/* A file that appears whole or not at all: written under a temporary name
 * beside PATH, synced, renamed, the directory synced.  Existing files are
 * replaced (the caller decides whether that is wanted). */
typedef struct pcv_saver pcv_saver;
pcv_saver *pcv_saver_open(const char *path);
int pcv_saver_write(pcv_saver *s, const void *data, size_t n);
/* The file that is replaced stays, under the name `previous` beside it, where
 * the file system lets it; what had that name goes.  0 or -1. */
int pcv_saver_keep(pcv_saver *s, const char *previous);
int pcv_saver_commit(pcv_saver *s);     /* frees s also on failure */
void pcv_saver_abort(pcv_saver *s);     /* removes the temporary; NULL ok */
int pcv_save_file(const char *path, const void *data, size_t n); /* all of it */

/* ---- store.c: values in a file instead of memory --------------------- */

/* Bytes that are added at the end and read anywhere, from any thread; floats
 * can be scaled as they are read. */
typedef struct pcv_store pcv_store;
/* A new one, a file without a name in a directory, whose name is kept, not
 * copied; NULL and a message. */
pcv_store *pcv_store_open(const char *directory);
pcv_store *pcv_store_beside(const pcv_store *s);    /* in the same one */
/* An existing file, only to be read; quietly NULL where that is not a regular
 * one that can be opened.  directory: for stores beside it. */
pcv_store *pcv_store_file(const char *path, const char *directory);
/* The same values times scale; the file goes with the last of them. */
pcv_store *pcv_store_share(const pcv_store *s, double scale);
void pcv_store_close(pcv_store *s);                 /* NULL ok */
size_t pcv_store_bytes(const pcv_store *s);
int pcv_store_add(pcv_store *s, const void *data, size_t n);    /* 0 or -1 */
/* How many of n bytes from `at` on could be read. */
size_t pcv_store_get(const pcv_store *s, size_t at, size_t n, void *out);
/* Floats at .. at+n: zeros behind the end, NaN where the file cannot be read,
 * which check tells later: 0, or -1 and a message. */
void pcv_store_floats(pcv_store *s, size_t at, size_t n, float *out);
int pcv_store_check(const pcv_store *s);

/* ---- pool.c: threads ------------------------------------------------- */

/* Sets how many threads pcv_parallel uses (at least 1).  Call while nothing
 * runs.  0 or -1 (threads cannot be started). */
int pcv_threads_set(int n);
int pcv_threads(void);

/* 1 .. pcv_threads() - 1 on a thread of the pool, 0 on every other: which of
 * the caller's per-thread scratch areas is free to use. */
int pcv_thread_id(void);

/* Calls fn(arg, 0) .. fn(arg, n - 1), each once, on the pool and the calling
 * thread, and returns when all are done.  The calls must write to different
 * places and never add up a common sum: then the result cannot depend on
 * the number of threads.  From inside a call, and while another thread is
 * using the pool, it runs the calls one after the other. */
void pcv_parallel(int n, void (*fn)(void *arg, int i), void *arg);

/* ---- dtype.c: element types of arrays in files ----------------------- */

typedef enum {
    PCV_F64, PCV_F32, PCV_F16, PCV_BF16,
    PCV_I64, PCV_I32, PCV_I16, PCV_I8,
    PCV_U64, PCV_U32, PCV_U16, PCV_U8, PCV_BOOL,
    PCV_DTYPES,
    PCV_STORED = PCV_DTYPES     /* of no file: data is a pcv_store of F32 */
} pcv_dtype;

size_t pcv_dtype_size(pcv_dtype t);
const char *pcv_dtype_name(pcv_dtype t);            /* "F32" */
int pcv_dtype_find(const char *name, pcv_dtype *t);  /* 0, or -1 quietly */

/* n little-endian elements at src (any alignment) as float or double. */
void pcv_dtype_to_float(pcv_dtype t, const void *src, size_t n, float *dst);
void pcv_dtype_to_double(pcv_dtype t, const void *src, size_t n, double *dst);
/* And back: F32, F16 and BF16, to the nearest, ties to even. */
void pcv_dtype_from_double(pcv_dtype t, const double *src, size_t n,
                           void *dst);

/* q = x / scale to the nearest, -127 .. 127, and the scale: the largest |x|
 * over 127, rounded up to 17 bits, so that q * scale is exact in float and
 * quantising that again gives the same.  NaN when an x is not finite. */
float pcv_quantise(const float *x, size_t n, int8_t *q);

/* An array of a file or of the network's inputs and outputs, row-major. */
#define PCV_MAX_RANK 8
typedef struct {
    pcv_dtype dtype;
    int rank;
    size_t dim[PCV_MAX_RANK];
    void *data;             /* owned unless said otherwise; pcv_free */
} pcv_array;                /* (PCV_STORED: pcv_store_close) */

size_t pcv_array_count(const pcv_array *a);     /* product of dim */
void pcv_array_free(pcv_array *a);

/* ---- layout.c: an array as it lies in a file ------------------------- */

/* The elements begin at `offset`, low or (big) high byte first, the last axis
 * fastest or (fortran) the first.  The product of any of dim times the size
 * of an element fits size_t. */
typedef struct {
    pcv_dtype dtype;
    bool big, fortran;
    int rank;
    size_t dim[PCV_MAX_RANK];
    size_t offset;
} pcv_layout;

/* Are the elements exactly the rest of a file of n bytes?  `what` says what
 * kind of file it is.  0 or -1. */
int pcv_layout_check(const pcv_layout *l, size_t n, const char *name,
                     const char *what);
size_t pcv_layout_count(const pcv_layout *l, int axis); /* from axis on */
/* Bytes from an element to its neighbour along each axis. */
void pcv_layout_steps(const pcv_layout *l, size_t *step);
/* The elements of the axes from `axis` on, the first of which is at `from`,
 * as memory has them. */
void pcv_layout_copy(const pcv_layout *l, int axis, const void *from,
                     void *to);
/* Can the elements be used where they lie, without a copy? */
bool pcv_layout_plain(const pcv_layout *l, const unsigned char *data);

/* Copies the elements of `size` bytes that are step[k] bytes apart along axis
 * k, the last axis fastest. */
void pcv_gather(void *to, const void *from, size_t size, int rank,
                const size_t *dim, const size_t *step);

/* ---- npy.c: NumPy's array files -------------------------------------- */

bool pcv_npy_probe(const unsigned char *data, size_t n);
/* What the header says, checked against n.  0 or -1. */
int pcv_npy_layout(const unsigned char *data, size_t n, const char *name,
                   pcv_layout *l);
/* Appends the header of version 1, little-endian, C order; not of BF16, which
 * NumPy does not have. */
void pcv_npy_header(pcv_buf *b, pcv_dtype t, int rank, const size_t *dim);

/* ---- prep.c: how a file becomes what a network takes ----------------- */

enum pcv_modality {
    PCV_IMAGE = 1, PCV_SOUND, PCV_BYTES, PCV_POINTS, PCV_PLAIN,
    PCV_VIDEO,      /* several pictures */
    PCV_ONE_HOT,    /* a class */
    PCV_PARTS,      /* several modalities side by side */
    PCV_FLOW        /* two pictures, one after the other */
};

enum pcv_fit {
    PCV_STRETCH,    /* resize to height x width */
    PCV_CROP,       /* centre square of `crop` times the smaller side first */
    PCV_KEEP,       /* as it comes: any height and width */
    PCV_TILE        /* as it comes, and larger ones in tiles of that size */
};

enum pcv_overlong { PCV_CUT, PCV_REFUSE };

enum pcv_polarity { PCV_AS_IS, PCV_LIGHT_ON_DARK };

/* Filled from a model's config.json (spec.c), used by data/prepare.c. */
typedef struct {
    int modality;               /* enum pcv_modality */
    int channels;               /* image: 1 grey or 3 RGB; points: per point;
                                   one-hot: classes */
    int height, width;          /* image, flow, video */
    int frames;                 /* video: pictures of an input */
    int fit;                    /* enum pcv_fit */
    int any_size;               /* arrays of any height and width, too */
    double crop;                /* share of the smaller side, (0, 1] */
    int polarity;               /* enum pcv_polarity: LIGHT_ON_DARK inverts a
                                   picture whose border is bright */
    double mean[4], std[4];     /* per channel, after the division by 255 */
    int rate;                   /* sound: samples per second */
    double level;               /* sound: scaled to this root mean square; 0 as
                                   it comes */
    int samples;                /* sound: padded with zeros or cut; 0 any */
    int mels;                   /* sound: bands of frequencies of a frame; 0:
                                   samples as they are */
    double mel_window, mel_step;        /* milliseconds: long, and apart */
    int length;                 /* bytes or points: at most this many */
    int special;                /* bytes: wrap in [CLS] .. [SEP] */
    int cube;                   /* points: centred and scaled to [-1, 1] */
    int parse;                  /* bytes: "[MASK]" and its like are ids */
    int overlong;               /* bytes: enum pcv_overlong */
} pcv_prep;

/* Of a model with mels: samples in a frame and from one to the next, and the
 * frames of n samples, n > 0: every sample is in one. */
size_t pcv_prep_window(const pcv_prep *p);
size_t pcv_prep_step(const pcv_prep *p);
size_t pcv_prep_frames(const pcv_prep *p, size_t n);

/* An axis of more elements than this has no table of positions, and bands of a
 * sound that is stored are stored as well. */
enum { PCV_LONG = 1 << 14 };

#endif
