/* parts.h - private to lib/data: what items.c and dataset.c are made of. */
#ifndef PCV_PARTS_H
#define PCV_PARTS_H

#include "formats.h"

/* ---- arrays.c: an array as it lies in a file -> an ARRAY of its own --- */

/* The whole, or item i along the first axis.  0 or -1 (out of memory). */
int pcv_layout_read(const pcv_layout *l, const unsigned char *data,
                    pcv_media *out);
int pcv_layout_item(const pcv_layout *l, const unsigned char *data, size_t i,
                    pcv_media *out);

/* idx.c: what the header says, checked against n.  0 or -1. */
int pcv_idx_layout(const unsigned char *data, size_t n, const char *name,
                   pcv_layout *l);

/* ---- extent.c: where the first picture of a stream ends -------------- */

/* Do n bytes begin like a PNG or PNM?  Eight bytes are enough to know. */
bool pcv_extent_probe(const unsigned char *data, size_t n);

/* What separates numbers, and may stand between pictures. */
static inline bool pcv_is_blank(unsigned char c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Bytes of the picture that data begins with: at most n when its end is
 * there; above n, so many are needed to tell more; SIZE_MAX, it reaches to
 * the end of the data (plain PNM); 0, the header is damaged.  *walked keeps
 * the place between calls with more of the same data, 0 at first. */
size_t pcv_extent(const unsigned char *data, size_t n, size_t *walked);

/* ---- names.c: a list of names, read as it comes ---------------------- */

typedef struct pcv_names pcv_names;
pcv_names *pcv_names_open(const char *list, bool nul);  /* "-": stdin */
/* 1, and *name is good until the next call; 0 end; -1. */
int pcv_names_next(pcv_names *l, const char **name);
void pcv_names_close(pcv_names *l);                     /* NULL ok */

/* ---- walk.c: the files below a directory ----------------------------- */

/* Depth first, sorted bytewise per directory.  Links are followed, except to
 * a directory that is being walked; pipes, sockets and devices are skipped. */
typedef struct pcv_walk pcv_walk;
pcv_walk *pcv_walk_open(const char *dir, bool hidden);
/* 1, and *path is a file, good until the next call; 0 end; -1: a directory
 * could not be read, with pcv_fail, and the walk may go on after it. */
int pcv_walk_next(pcv_walk *w, const char **path);
void pcv_walk_close(pcv_walk *w);                       /* NULL ok */
bool pcv_walk_is_directory(const char *path);

/* ---- bundle.c: an operand that holds several items ------------------- */

typedef struct pcv_bundle pcv_bundle;
/* path is "-" or names anything but a directory.  1, and *b is open; 0, the
 * file is one item, left to pcv_item_decode; -1 it cannot be opened. */
int pcv_bundle_open(pcv_bundle **b, const char *path, const pcv_reading *how,
                    int batch_rank);
/* Fills name and media, or code and what.  1; 0 end; -1 out of memory. */
int pcv_bundle_next(pcv_bundle *b, pcv_item *item);
void pcv_bundle_close(pcv_bundle *b);                   /* NULL ok */

/* items.c: moves the thread's error into the item. */
void pcv_item_failed(pcv_item *item);
/* items.c: a name as messages show it; "-" is standard input.  pcv_free. */
char *pcv_shown(const char *path);

/* ---- examples.c, lines.c, pair.c: where examples are ----------------- */

/* text holds paths and labels, each ended by NUL; a cell for each column of an
 * example says where. */
#define PCV_NO_CELL SIZE_MAX
typedef struct {
    const pcv_columns *columns;
    pcv_buf text;
    pcv_buf cells;              /* of size_t */
} pcv_examples;

/* DIR/label/file, and lists.  Every file is there when they return 0; else -1.
 * Both are freed as two buffers. */
int pcv_examples_directory(pcv_examples *e, const char *dir);
int pcv_examples_list(pcv_examples *e, const char *list, size_t limit);
/* Adds an example; copies s.  -1: out of memory. */
int pcv_examples_add(pcv_examples *e, const size_t *cell);
size_t pcv_examples_text(pcv_examples *e, const char *s, size_t n);
/* FILE#12, item 12 of an idx or .npy file: where the # stands; else the end. */
size_t pcv_item_mark(const char *path);

/* Lines of one file, or pieces of one or more (a directory): texts where they
 * lie in the mapped files. */
typedef struct {
    const uint8_t *data;
    size_t n;
} pcv_span;
typedef struct {
    pcv_buf files;              /* of pcv_file */
    pcv_buf spans;              /* of pcv_span, one an example */
} pcv_texts;
int pcv_texts_lines(pcv_texts *t, pcv_examples *e, const char *path,
                    size_t limit);
int pcv_texts_pieces(pcv_texts *t, pcv_examples *e, const char *where,
                     size_t limit);
void pcv_texts_close(pcv_texts *t);

/* ---- labels.c: what the cells of a label column mean ----------------- */

typedef struct {
    const char **label;         /* owned; the names are borrowed */
    size_t labels;
    size_t width;               /* numbers */
    char *own;                  /* names that were made here */
    const char **was;           /* tags that were given other numbers: their */
    int *to;                    /* names in the cells, those numbers; */
    size_t were;                /* how many */
} pcv_labels;

/* From n cells (NULL: absent) of where, for messages.  class (n, CLASS only) is
 * set.  Labels that are not UTF-8 are refused. */
int pcv_labels_make(pcv_labels *l, const char *where, int kind,
                    const char *const *cell, size_t n, bool numeric,
                    int *class);
void pcv_labels_free(pcv_labels *l);
/* The label that s[0..n) is, or -1. */
int pcv_labels_find(const pcv_labels *l, const char *s, size_t n);

/* Examples in one file, idx or .npy, and their labels in another. */
typedef struct {
    pcv_file file;
    pcv_buf unpacked;           /* when file is a gzip */
    pcv_media whole;            /* when the elements had to be put in order */
    pcv_layout layout;
    const unsigned char *data;  /* the first element, C order */
    size_t step;                /* bytes from one example to the next */
} pcv_pair;

/* Is where "A,B" with two files of that name?  The offset of the comma. */
size_t pcv_pair_comma(const char *where);
/* *class becomes the labels, one for each example; pcv_free.  0 or -1. */
int pcv_pair_open(pcv_pair *p, const char *where, const pcv_reading *how,
                  int **class);
/* The examples of one file alone. */
int pcv_pair_array(pcv_pair *p, const char *path, const pcv_reading *how);
/* Example i where it lies.  -1: there are not as many. */
int pcv_pair_cut(const pcv_pair *p, size_t i, const char *name,
                 pcv_media *out);
void pcv_pair_close(pcv_pair *p);

#endif
