/* parts.h - private to lib/fmt: what the readers of weights are made of. */
#ifndef PCV_FMT_PARTS_H
#define PCV_FMT_PARTS_H

#include "fmt.h"

#define PCV_MAX_TENSORS 1000000     /* in one file */
#define PCV_MAX_NAME 1024           /* bytes of a tensor's name */

/* ---- tensors.c: messages, and what all readers share ----------------- */

/* "FILE: what", or "FILE: tensor "NAME" what" with a tensor.  Both names
 * come from outside and are escaped.  Returns -1, with EX_DATAERR. */
int pcv_refuse(const char *file, const char *tensor, const char *what, ...)
    __attribute__((format(printf, 3, 4)));
/* The same with a second quoted text, one that the file chose. */
int pcv_refuse_text(const char *file, const char *tensor, const char *verb,
                    const char *text, const char *what);

/* n bytes as a tensor's name: UTF-8 without NUL, not longer than
 * PCV_MAX_NAME, not __metadata__.  pcv_free; NULL, and a message. */
char *pcv_tensor_name(const char *text, size_t n, const char *file);
/* Room for `count` tensors.  0 or -1. */
int pcv_tensors_room(pcv_tensors *t, size_t count);
/* Does the file begin like a ZIP archive? */
bool pcv_is_zip(const pcv_file *f);
/* All names differ?  0 or -1. */
int pcv_tensors_unique(const pcv_tensors *t, const char *file);

/* ---- zip.c: the one includer of zip.h -------------------------------- */

typedef struct {
    const char *name;           /* as the archive has it, borrowed */
    size_t size;                /* unpacked */
    bool stored;                /* as it is; else deflated */
} pcv_zip_entry;

typedef struct {
    const char *file;           /* for messages; the caller's */
    size_t bytes;               /* of the whole archive */
    pcv_zip_entry *entry;
    size_t count;
    struct zip *archive;
} pcv_zip;

/* Opens the archive at `path`, or in f's memory where path is NULL; f is the
 * open file either way and outlives it.  0: entries have unique names, are
 * not encrypted, and take together no more bytes than the file and unpack to
 * no more than 16 times as many.  Else -1. */
int pcv_zip_open(pcv_zip *z, const char *path, const pcv_file *f,
                 const char *name);
void pcv_zip_close(pcv_zip *z);
size_t pcv_zip_find(const pcv_zip *z, const char *name);    /* or SIZE_MAX */
/* Entry i, its checksum verified, in memory of its own; pcv_free.  NULL. */
void *pcv_zip_read(const pcv_zip *z, size_t i);

/* ---- opcode.c: the words of a pickle --------------------------------- */

enum { PCV_OP_STOP = '.' };

/* One instruction.  Numbers of fixed size are in `number`; counted bytes, a
 * line (without its end) and a float are in text[0]; GLOBAL and INST have two
 * lines. */
typedef struct {
    size_t at;                  /* offset of its first byte */
    unsigned char code;
    const char *name;           /* "BINPUT"; NULL: there is no such opcode */
    bool allowed;               /* a state dict may use it */
    int64_t number;
    const char *text[2];        /* in the pickle, without NUL */
    size_t length[2];
} pcv_op;

typedef enum { PCV_OP_OK, PCV_OP_UNKNOWN, PCV_OP_TRUNCATED } pcv_op_found;
/* The instruction at *at, which moves behind it. */
pcv_op_found pcv_op_next(pcv_op *op, const unsigned char *data, size_t n,
                         size_t *at);

/* What a pickle may name.  There is no other way to anything in it. */
typedef struct {
    const char *module, *name;
    enum { PCV_ORDERED_DICT, PCV_REBUILD_TENSOR, PCV_REBUILD_PARAMETER,
           PCV_TORCH_SIZE, PCV_STORAGE } kind;
    pcv_dtype dtype;            /* of a storage */
} pcv_global;
/* The global of a GLOBAL instruction; NULL: not one of them. */
const pcv_global *pcv_global_find(const pcv_op *op);

/* Adds text of a pickle for messages: escaped, and cut after 256 bytes. */
void pcv_op_escape(pcv_buf *b, const char *text, size_t n);

/* The number of a LONG1: two's complement, low byte first, as short as it can
 * be.  false: of more than 8 bytes. */
bool pcv_op_long(const pcv_op *op, int64_t *out);

/* Messages of why an instruction is not followed: a GLOBAL of no state dict,
 * or one that was not found whole in n bytes, or is not allowed.  -1. */
int pcv_op_refuse_global(const pcv_op *op, const char *file);
int pcv_op_refuse(const pcv_op *op, pcv_op_found found, size_t n,
                  const char *file);

/* ---- pickle.c: a state dict, without executing anything -------------- */

/* Elements that tensors are views of; `key` names them in the archive. */
typedef struct {
    const char *key;            /* in the pickle, without NUL */
    size_t length;
    pcv_dtype dtype;
    size_t count;               /* elements */
} pcv_storage;

/* Sizes are checked: the last element is in the storage, no two are the same
 * one, dim x type can be addressed. */
typedef struct {
    size_t storage;             /* which */
    size_t offset;              /* elements */
    int rank;
    size_t dim[PCV_MAX_RANK], stride[PCV_MAX_RANK];     /* elements */
    size_t count;
} pcv_view;

/* view.c: sets w's count, and checks its sizes against the storage.  0; -1, and
 * `why` goes on behind "tensor". */
int pcv_view_check(pcv_view *w, const pcv_storage *s, pcv_buf *why);

typedef struct {
    const char *text;           /* in the pickle, without NUL */
    size_t length;
    size_t view;                /* which; several names may share one */
} pcv_view_name;

/* A state dict in the order of the pickle.  All the storages and views are
 * here, also those of other parts of a checkpoint. */
typedef struct {
    pcv_storage *storage;
    pcv_view *view;
    pcv_view_name *name;
    size_t storages, views, names;
} pcv_state_dict;

/* Borrows data.  0 or -1. */
int pcv_state_dict_read(pcv_state_dict *s, const void *data, size_t n,
                        const char *file);
void pcv_state_dict_free(pcv_state_dict *s);

/* ---- torch.c npz.c shards.c safetensors.c: into an empty t ----------- */

/* On failure what t has is left to pcv_tensors_close. */
size_t pcv_torch_pickle(const pcv_zip *z);  /* the entry, or SIZE_MAX */
bool pcv_torch_is_script(const pcv_zip *z);     /* it has a pickle */
int pcv_torch_read(pcv_tensors *t, const pcv_zip *z);
bool pcv_npz_probe(const pcv_zip *z);
int pcv_npz_read(pcv_tensors *t, const pcv_zip *z);
int pcv_safetensors_read(pcv_tensors *t, const void *data, size_t n,
                         const char *name);
/* The checksum that pcv_tensors_save_checked put there. */
int pcv_safetensors_check(const void *data, size_t n, const char *name);
int pcv_shards_read(pcv_tensors *t, const pcv_file *index, const char *path);
/* Any of the containers but an index. */
int pcv_shard_open(pcv_tensors *t, const char *path);

#endif
