/* fmt.h - side tower on base: bytes <-> named tensors and JSON. */
#ifndef PCV_FMT_H
#define PCV_FMT_H

#include "../base/base.h"

/* ---- json.c: the one includer of jansson.h --------------------------- */

/* A parsed value; borrowed from the document until pcv_json_close. */
typedef struct pcv_json pcv_json;

/* Parses n bytes (duplicate keys, bad UTF-8, NaN, trailing bytes and a depth
 * over 64 are errors).  name is for messages.  NULL on failure. */
pcv_json *pcv_json_parse(const char *text, size_t n, const char *name);
void pcv_json_close(pcv_json *document);            /* NULL ok */

typedef enum { PCV_JNULL, PCV_JBOOL, PCV_JINT, PCV_JREAL, PCV_JSTRING,
               PCV_JARRAY, PCV_JOBJECT } pcv_json_type;
pcv_json_type pcv_json_kind(const pcv_json *v);     /* NULL: null */
/* A member, or NULL. */
const pcv_json *pcv_json_get(const pcv_json *object, const char *key);
const pcv_json *pcv_json_at(const pcv_json *array, size_t i);
size_t pcv_json_count(const pcv_json *v);   /* members of array or object */
/* The i-th member of an object, in the file's order. */
const char *pcv_json_key(const pcv_json *object, size_t i);
const pcv_json *pcv_json_value(const pcv_json *object, size_t i);
int64_t pcv_json_int(const pcv_json *v);    /* 0 unless a number that fits */
double pcv_json_real(const pcv_json *v);    /* 0 unless a number */
bool pcv_json_bool(const pcv_json *v);      /* false unless true */
const char *pcv_json_string(const pcv_json *v);     /* NULL unless a string */

/* Numbers as JSON: "%.9g" of a finite value, "null" otherwise; never
 * depends on the locale. */
void pcv_json_number(pcv_buf *b, double value);
/* The same with as many more digits as it takes to read the value again. */
void pcv_json_exact(pcv_buf *b, double value);

/* ---- hash.c: checksums; the one includer of xxhash.h ----------------- */

/* Hexadecimal digits of XXH3 with 64 and 128 bits. */
enum { PCV_HASH_64 = 16, PCV_HASH_128 = 32 };

/* digits is one of them; NULL and a message when out of memory. */
typedef struct pcv_hash pcv_hash;
pcv_hash *pcv_hash_open(int digits);
void pcv_hash_add(pcv_hash *h, const void *data, size_t n);
void pcv_hash_close(pcv_hash *h, char *text);   /* into text[digits + 1] */
/* All of it at once.  0 or -1. */
int pcv_hash_bytes(const void *data, size_t n, int digits, char *text);

/* ---- tensors.c: files of weights ------------------------------------- */

typedef struct pcv_tensor pcv_tensor;
struct pcv_tensor {
    char *name;
    pcv_dtype dtype;
    int rank;
    size_t dim[PCV_MAX_RANK];
    const void *data;           /* little-endian, contiguous; borrowed */
    size_t bytes;
    size_t offset;              /* of the data in its file; SIZE_MAX: they are
                                   not there in one piece */
    const pcv_tensor *scale;    /* I8, NAME_scale beside it: what to multiply
                                   each row with; NULL: nothing */
};

typedef struct pcv_tensors pcv_tensors;
struct pcv_tensors {
    pcv_tensor *tensor;         /* in the order of the file */
    size_t count;
    char **key, **value;        /* __metadata__, strings */
    size_t keys;
    pcv_file file;              /* where the data are: here, */
    void **piece;               /* or here, */
    size_t pieces;
    pcv_tensors *shard;         /* or here */
    size_t shards;
};

/* Opens and checks a file of weights: safetensors, an archive of PyTorch's
 * torch.save (nothing in it is executed) or of NumPy's savez, an index of
 * shards; the content says which.  "-": standard input, but no index.  Names
 * are UTF-8, of at most 1024 bytes, and differ.  Messages name file and
 * tensor. */
int pcv_tensors_open(pcv_tensors *t, const char *path);
/* The same of a file that pcv_tensors_save_checked wrote, whose checksum is
 * right; EX_DATAERR where one bit of it is not what was written. */
int pcv_tensors_open_checked(pcv_tensors *t, const char *path);
/* An image of a safetensors file in memory (borrowed). */
int pcv_tensors_parse(pcv_tensors *t, const void *data, size_t n,
                      const char *name);
void pcv_tensors_close(pcv_tensors *t);
const pcv_tensor *pcv_tensors_find(const pcv_tensors *t, const char *name);
const char *pcv_tensors_meta(const pcv_tensors *t, const char *key); /* NULL */
/* Is it the scale of another one? */
bool pcv_tensors_scales(const pcv_tensors *t, const pcv_tensor *x);
/* n values of a tensor from element `at` on, with their scales. */
void pcv_tensor_to_float(const pcv_tensor *x, size_t at, size_t n, float *out);
void pcv_tensor_to_double(const pcv_tensor *x, size_t at, size_t n,
                          double *out);

/* The file of weights of a model's directory: model.safetensors,
 * model.safetensors.index.json, pytorch_model.bin,
 * pytorch_model.bin.index.json or model.npz, the first that is there;
 * pcv_free.  NULL, and a message that lists them. */
char *pcv_tensors_file(const char *dir);

/* ---- safetensors.c: writing ------------------------------------------ */

/* The header first, then the data of each tensor in that order, so
 * that nothing has to be gathered in memory. */
typedef struct {
    const char *name;
    pcv_dtype dtype;
    int rank;
    size_t dim[PCV_MAX_RANK];
    const void *data;           /* little-endian, contiguous */
} pcv_tensor_out;

/* Appends the 8-byte length and the JSON header (padded with spaces to 8). */
void pcv_tensors_header(pcv_buf *b, const pcv_tensor_out *t, size_t count,
                        const char *const *key, const char *const *value,
                        size_t keys);
/* Temporary name, sync, rename.  0 or -1. */
int pcv_tensors_save(const char *path, const pcv_tensor_out *t, size_t count,
                     const char *const *key, const char *const *value,
                     size_t keys);

/* The same with "pcv.xxh3" as the first of the metadata: 32 digits, XXH3 with
 * 128 bits of the whole file, header and all, with zeros in their place.  What
 * was at path before stays under the name `previous`, where the file system
 * lets it. */
int pcv_tensors_save_checked(const char *path, const char *previous,
                             const pcv_tensor_out *t, size_t count,
                             const char *const *key, const char *const *value,
                             size_t keys);

/* ---- convert.c ------------------------------------------------------- */

/* Writes the tensors as a safetensors file, in their order, with their
 * metadata and format = pt, which other programs want to see; floats as *as
 * (F32, F16 or BF16, to the nearest, ties to even) unless it is NULL.  I8:
 * matrices whose name ends in ".weight" by pcv_quantise, each with a tensor
 * NAME_scale behind it; other floats as they are.  0 or -1. */
int pcv_tensors_convert(const char *path, const pcv_tensors *t,
                        const pcv_dtype *as);

/* ---- scan.c: what a pickle asks for ---------------------------------- */

/* Something at one or more places of a pickle. */
typedef struct {
    const char *what;           /* "global"; "opcode", one that no state dict
                                   needs; "form": wrong beside these */
    char *name;                 /* "torch.FloatStorage", "INST"; escaped */
    size_t offset;              /* of the first in the pickle */
    size_t count;
    bool allowed;
} pcv_request;

typedef struct {
    pcv_request *ask;           /* in the order of their offsets */
    size_t count;
} pcv_requests;

/* Of an archive of torch.save, or a bare pickle.  Nothing is executed, and
 * nothing that is found ends the reading.  0, or -1: there is no pickle. */
int pcv_requests_read(pcv_requests *a, const char *path);
void pcv_requests_free(pcv_requests *a);

/* ---- sts.c: a stream of latents (pcv-formats(5)) --------------------- */

/* Appends one record; keys as in the manual page. */
void pcv_sts_record(pcv_buf *b, const pcv_tensor_out *t, size_t count,
                    const char *const *key, const char *const *value,
                    size_t keys);

/* Reads record after record from an open descriptor.  next: 1 and a record
 * (its tensors borrow the reader's buffer until the following call), 0 after
 * the end record that the stream must finish with, -1 on a stream that is
 * truncated or malformed (message says after which record). */
typedef struct pcv_sts pcv_sts;
pcv_sts *pcv_sts_open(int fd, const char *name);    /* fd stays the caller's */
int pcv_sts_next(pcv_sts *s, pcv_tensors *record);
void pcv_sts_close(pcv_sts *s);

#endif
