/* data.h - side tower on base: files -> arrays.  Every decoder works on
 * bytes in memory, so a pipe is as good as a file.  What a file is, is found
 * from its content, never from its name. */
#ifndef PCV_DATA_H
#define PCV_DATA_H

#include "../base/base.h"

/* ---- media: a decoded file ------------------------------------------- */

enum pcv_media_kind { PCV_MEDIA_IMAGE = 1, PCV_MEDIA_SOUND, PCV_MEDIA_BYTES,
                      PCV_MEDIA_ARRAY, PCV_MEDIA_CLIP };

/* IMAGE  U8 [height][width][channels], 1 grey or 3 RGB: alpha is laid on
 *        white, 16 bits are rounded to 8, EXIF orientation applied.
 * SOUND  F32 or, a long one where it is stored, PCV_STORED [samples] in
 *        [-1, 1], the mean of the channels, at `rate`.
 * BYTES  U8 [n].
 * ARRAY  as the file has it (.npy, one item of idx, --raw); .flo is F32
 *        [height][width][2].
 * CLIP   U8 [pictures][height][width][channels]: pictures of one size; of no
 *        file, but of a directory. */
typedef struct {
    int kind;
    pcv_array array;
    int rate;                   /* sound: samples per second */
} pcv_media;

void pcv_media_free(pcv_media *m);

/* How to read; zero-initialise, then pcv_reading_default. */
typedef struct {
    size_t max_pixels;          /* 100e6 */
    double max_seconds;         /* 3600 */
    size_t max_bytes;           /* 1 GiB, of a file, of what a gzip unpacks
                                   to, of the samples of a sound */
    bool exif;                  /* apply JPEG orientation: true */
    int modality;               /* 0 = from the content; PCV_BYTES takes any
                                   file as bytes */
    bool bytes;                 /* for a model of bytes: any file is bytes,
                                   except .npy, which may hold ids */
    const char *raw;            /* "DTYPE:SHAPE", headerless arrays: u8:28x28,
                                   f32:3x224x224, s16le... ; NULL none */
    const char *pcm;            /* "ENC:RATE:CH" headerless sound; NULL none */
    const char *store;          /* a directory: long sounds go to temporary
                                   files there; NULL: all in memory */
} pcv_reading;
void pcv_reading_default(pcv_reading *r);
/* Are these bytes what is wanted, whatever they look like? */
bool pcv_is_bytes(const pcv_reading *r, const unsigned char *data, size_t n);
int pcv_raw_check(const char *raw);     /* 0, or -1: cannot be understood */
int pcv_pcm_check(const char *pcm);

/* ---- decode.c: the table of formats ---------------------------------- */

/* Decodes the first item of n bytes; *used tells how many bytes it took (all
 * of them for formats that do not say where they end).  name is for messages.
 * 0 or -1; on failure out is empty. */
int pcv_decode(const unsigned char *data, size_t n, const char *name,
               const pcv_reading *how, pcv_media *out, size_t *used);

/* png.c jpeg.c pnm.c sound.c arrays.c flow.c idx.c raw.c: a probe (first bytes
 * -> is it ours) and a read each, as rows of decode.c's table. */
typedef struct {
    const char *name;           /* for messages: "PNG" */
    bool (*probe)(const unsigned char *data, size_t n);
    int (*read)(const unsigned char *data, size_t n, const char *name,
                const pcv_reading *how, pcv_media *out, size_t *used);
    int kind;                   /* enum pcv_media_kind of what it reads */
} pcv_format;

/* What kind of medium a file looks like, by its first bytes; 0 when it cannot
 * be opened or is of no known format. */
int pcv_media_guess(const char *path);

/* ---- png.c and wav out ----------------------------------------------- */

/* Appends a PNG of u8 [height][width][channels], channels 1 or 3.  0 or -1. */
int pcv_png_write(pcv_buf *b, const uint8_t *pixels, int height, int width,
                  int channels);
/* Appends a 16-bit WAV of n samples in [-1, 1].  0 or -1. */
int pcv_wav_write(pcv_buf *b, const float *samples, size_t n, int rate);

/* ---- flow.c: optical flow -------------------------------------------- */

/* uv is [height][width][2]: how many pixels to the right and down each pixel
 * moves.  One with a component beyond 1e9 or not a number is unknown. */

/* Appends a Middlebury .flo; sides of 1 to 65535.  0 or -1. */
int pcv_flo_write(pcv_buf *b, const float *uv, int height, int width);
/* rgb [height][width][3] = the picture of Baker et al. (2011): the direction
 * as hue, the magnitude as saturation, full at `most` pixels and darker
 * beyond; unknown is black.  most <= 0: the largest known magnitude. */
void pcv_flow_colours(const float *uv, int height, int width, double most,
                      uint8_t *rgb);

/* ---- blend.c: overlapping tiles -> one picture ----------------------- */

/* Where tiles begin that cover n places, each sharing at least overlap (less
 * than a tile) with the next, the last flush with the end; one at 0 when n
 * is no more than a tile.  Returns how many; writes the first room of them to
 * at, unless that is NULL. */
int pcv_tile_offsets(int n, int tile, int overlap, int *at, int room);
/* Adds tile [th][tw][c], whose first place is (y, x) of the picture, to sum
 * [height][width][c], weighted by the distance to the tile's nearest edge,
 * and the weights to weight [height][width]; both begin as zeros.  What lies
 * outside of the picture is left out. */
void pcv_tile_blend(const float *tile, int th, int tw, int c, int y, int x,
                    int height, int width, float *sum, float *weight);
/* sum [pixels][c] /= weight [pixels]: the means; 0 where no tile was. */
void pcv_blend_finish(float *sum, const float *weight, size_t pixels, int c);

/* ---- items.c: operands, lists, directories -> one item at a time ----- */

typedef struct {
    const char *const *path;    /* operands; "-" is one data stream on stdin */
    size_t paths;
    const char *list;           /* -T: file of names, "-" stdin; NULL none */
    bool nul;                   /* names end in NUL instead of newline */
    bool recursive;             /* -r: directories, sorted bytewise */
    const char *include, *exclude;      /* fnmatch patterns or NULL */
    pcv_reading reading;
    bool clips;                 /* a directory is an item, left to its caller */
    int (*next)(void *arg, const char **name);  /* further names: 1, and good
                                   until the next call; 0 end; -1 */
    void *arg;
} pcv_sources;

typedef struct {
    char *name;                 /* "photos/x.png", "-", "-#1", "x.idx#12" */
    size_t index;               /* 0, 1, 2 .. over the whole run */
    char *path;                 /* still to be opened and decoded, or NULL */
    pcv_media media;            /* decoded, when path is NULL */
    int code;                   /* not 0: could not be read; `what` says why */
    char *what;
} pcv_item;

/* Lists are read lazily; nothing grows with the number of items.  Files that
 * hold several items (concatenated PNG or PNM, idx, an .npy with a batch
 * axis when batch_rank is the rank of one item) give one item each. */
typedef struct pcv_items pcv_items;
/* What s points to is borrowed until close. */
pcv_items *pcv_items_open(const pcv_sources *s, int batch_rank);
int pcv_items_next(pcv_items *it, pcv_item *out);   /* 1; 0 end; -1 (the list
                                   cannot be read).  Not for two threads. */
int pcv_item_decode(pcv_item *item, const pcv_reading *how); /* 0, or -1 with
                                   code and what set; thread-safe */
void pcv_item_free(pcv_item *item);
void pcv_items_close(pcv_items *it);

/* ---- clip.c: a directory of pictures and a sound --------------------- */

/* The pictures of a directory, sorted bytewise, and its one sound; other files
 * are passed over. */
typedef struct pcv_clip pcv_clip;
pcv_clip *pcv_clip_open(const char *dir);
/* Picture i of pcv_clip_count, borrowed. */
const char *pcv_clip_picture(const pcv_clip *c, size_t i);
size_t pcv_clip_count(const pcv_clip *c);
const char *pcv_clip_sound(const pcv_clip *c);  /* NULL: none */
void pcv_clip_close(pcv_clip *c);               /* NULL ok */
/* The first n > 0 pictures of a directory as a medium; where there are fewer,
 * the last one again.  0 or -1. */
int pcv_clip_decode(const char *dir, size_t n, const pcv_reading *how,
                    pcv_media *out);

/* A whole file as a medium.  0 or -1. */
int pcv_decode_file(const char *path, const pcv_reading *how, pcv_media *out);

/* ---- prepare.c resize.c mel.c: media -> what the network takes ------- */

/* IMAGE  F32 [channels][height][width], (x / 255 - mean) / std
 * SOUND  F32 or PCV_STORED, as it came, [samples]; with prep->mels
 *        [frames][mels], stored where they are long
 * BYTES  I32 [n] ids: byte + 6, special tokens 0 to 5 (PAD BOS EOS MASK CLS
 *        SEP)
 * POINTS F32 [n][channels]
 * VIDEO  F32 [frames][3][height][width], of a CLIP
 * An ARRAY whose shape is already that ([3,H,W] float, [n] integer ids, ..)
 * goes in as it is; [H,W] or [H,W,3] of U8 is a picture, [T,H,W,3] a clip.
 * 0 or -1. */
int pcv_prepare(const pcv_prep *prep, const pcv_media *m, const char *name,
                pcv_array *out);
/* n pictures of one size as F32 [n][channels][height][width].  0 or -1. */
int pcv_prepare_frames(const pcv_prep *prep, const pcv_media *const *m,
                       const char *const *name, size_t n, pcv_array *out);

/* Ids of texts: the special ones, then the bytes. */
enum pcv_token { PCV_PAD, PCV_BOS, PCV_EOS, PCV_MASK, PCV_CLS, PCV_SEP,
                 PCV_FIRST_BYTE };
const char *pcv_token_name(int id);     /* "[MASK]"; NULL: of a byte */

/* Pillow's bicubic, exactly: u8 [h][w][c] -> [oh][ow][c].  0 or -1. */
int pcv_resize(const uint8_t *in, int h, int w, int c, uint8_t *out, int oh,
               int ow);

/* sound.c: n samples at `from` per second -> *m at `to`; *out is the
 * caller's, pcv_free.  0 or -1. */
int pcv_resample(const float *in, size_t n, int from, int to, float **out,
                 size_t *m);

/* mel.c: the first n > 0 of samples at the rate of prep, F32 or PCV_STORED ->
 * out [frames][mels], logarithms of energies with a mean of 0 and a variance
 * of 1; there are pcv_prep_frames(prep, n).  name is for messages.  0 or -1. */
int pcv_mel(const pcv_prep *prep, const pcv_array *samples, size_t n,
            const char *name, float *out);
/* The same values of all of samples that are PCV_STORED, in a file beside
 * them; the caller's, pcv_store_close.  NULL: failed. */
pcv_store *pcv_mel_stored(const pcv_prep *prep, const pcv_array *samples,
                          const char *name);

/* ---- dataset.c labels.c: examples to learn from ---------------------- */

/* What an example has: media (files), and what is wanted of them. */
enum pcv_column_kind {
    PCV_COLUMN_MEDIA,
    PCV_COLUMN_CLASS,           /* one label */
    PCV_COLUMN_TAGS,            /* any of some labels: "a,b"; may be empty */
    PCV_COLUMN_NUMBERS          /* "0.5,-3": as many in every example */
};
enum { PCV_MOST_COLUMNS = 8 };
typedef struct {
    const char *name;           /* in the first line of a list */
    int kind;
    bool bytes;                 /* media: any file is bytes */
    size_t frames;              /* media: a directory is a clip of so many
                                   pictures; 0: no directory is an example */
} pcv_column;

/* Where the examples of some DATA are. */
enum pcv_examples_form {
    PCV_EXAMPLES_FILES,         /* a directory, a list, a pair of arrays */
    PCV_EXAMPLES_LINES,         /* label<TAB>text, one a line; without a label
                                   column what stands before the TAB counts
                                   for nothing */
    PCV_EXAMPLES_TEXT           /* files of text, in pieces */
};
typedef struct {
    pcv_column column[PCV_MOST_COLUMNS];
    int columns;
    bool named;                 /* lists begin with a line of their names; else
                                   a medium and, if there is one, a label */
    int form;                   /* enum pcv_examples_form */
    size_t piece;               /* TEXT: bytes of an example; its medium has as
                                   many again behind it where the file has */
} pcv_columns;
extern const pcv_columns pcv_columns_labelled;  /* files and classes */

/* FILES: a directory per class (DIR/label/file; without a label column all
 * files below DIR; where a column takes clips, a directory below DIR/label or
 * DIR is one), a list (path<TAB>label, or a column each; paths relative to
 * the list; an item of an idx or .npy file is FILE#12; "-" or nothing: absent),
 * an idx or .npy pair (EXAMPLES,LABELS; also gzipped): recognised from what is
 * there.  The files are scanned once; decoded media are kept up to `keep`
 * bytes. */
typedef struct pcv_dataset pcv_dataset;
pcv_dataset *pcv_dataset_open(const char *where, const pcv_columns *columns,
                              const pcv_reading *how, size_t keep);
void pcv_dataset_close(pcv_dataset *d);
size_t pcv_dataset_count(const pcv_dataset *d);
/* What messages call example i; its text or file, .. */
const char *pcv_dataset_name(const pcv_dataset *d, size_t i);
/* Is there something in that column? */
bool pcv_dataset_has(const pcv_dataset *d, size_t i, int column);
/* The decoded medium, borrowed until close or the next call of the same
 * thread for one that is not kept.  NULL on failure. */
const pcv_media *pcv_dataset_get(pcv_dataset *d, size_t i, int column);

/* CLASS, TAGS: distinct labels of a column, their names, the label of an
 * example (-1: absent). */
size_t pcv_dataset_labels(const pcv_dataset *d, int column);
const char *pcv_dataset_label(const pcv_dataset *d, int column, size_t k);
int pcv_dataset_class(const pcv_dataset *d, size_t i, int column);
/* Numbers the labels as in `label` (n of them), found by name or, failing that,
 * taken for a number: 0, or -1 naming one that is not there. */
int pcv_dataset_adopt(pcv_dataset *d, int column, char *const *label, size_t n);
/* TAGS: t (as many as labels) = 1 where example i has it, else 0. */
void pcv_dataset_tags(const pcv_dataset *d, size_t i, int column, float *t);
/* NUMBERS: how many an example has; and them. */
size_t pcv_dataset_width(const pcv_dataset *d, int column);
void pcv_dataset_numbers(const pcv_dataset *d, size_t i, int column, float *v);
/* Appends bytes by which a set is known again: how many examples, and for
 * each its labels and its files, named from the directory on that all of them
 * are in, so that a set may be moved; of a pair, shape and labels; of texts
 * their lengths too.  What the files hold is not in it. */
void pcv_dataset_identity(const pcv_dataset *d, pcv_buf *b);

#endif
