/* look.h - what pcv-inspect looks at, and the ways it has of saying it. */
#ifndef PCV_CMD_LOOK_H
#define PCV_CMD_LOOK_H

#include "pcv.h"

/* One operand, opened. */
typedef struct {
    const char *name;           /* as it was given */
    pcv_model *model;           /* NULL: a file of tensors, or not asked for */
    pcv_weights *weights;
} look_subject;

enum { LOOK_SUMMARY = 1, LOOK_TENSORS = 2, LOOK_STATS = 4, LOOK_HIST = 8,
       LOOK_PICKLE = 16, LOOK_COST = 32, LOOK_CURVES = 64 };

typedef struct {
    unsigned modes;             /* LOOK_... */
    const char *match;          /* pattern of tensor names, or NULL */
    const char *size;           /* input size for the cost, or NULL */
    size_t bins;                /* of a histogram, at least 1 */
    bool unicode;               /* block characters may be written */
    bool column;                /* tables begin with a column `file` */
} look_options;

/* ---- look.c ---------------------------------------------------------- */

/* A directory, a file of tensors, or the name of a model (NULL: the default
 * one); as_model: a directory has to be a model.  0 or -1 with pcv_error. */
int look_open(look_subject *s, const char *name, bool as_model);
void look_close(look_subject *s);

/* Is tensor i (its facts in *t) one that is asked for?  1, 0, or -1. */
int look_tensor(const look_subject *s, const look_options *o, size_t i,
                pcv_tensor_info *t);
/* The tensor of that name, or the only one whose name ends so: 1; 0 none; 2
 * several end so; -1. */
int look_find(const look_subject *s, const char *name, size_t *index);

/* "512x1024"; "scalar". */
void look_shape(pcv_bytes *b, const pcv_tensor_info *t);
/* 42,132,072 */
void look_thousands(pcv_bytes *b, size_t count);
/* 1234567 and "B" -> 1.23 MB */
void look_units(pcv_bytes *b, double v, const char *unit);
/* Columns that COLUMNS asks for, or those of the terminal that standard output
 * is, or 80; *lines those of the terminal, or as they are. */
int look_columns(int *lines);
/* Does the terminal, or whatever reads the text, take UTF-8? */
bool look_unicode(void);

/* ---- table.c: one line for each tensor ------------------------------- */

void table_head(const look_options *o, pcv_bytes *b);
/* Adds the lines; how many, or -1. */
int table_text(const look_subject *s, const look_options *o, pcv_bytes *b);
/* "tensors":[..] of the object that is open. */
int table_json(const look_subject *s, const look_options *o, pcv_bytes *b);

/* ---- pickle.c: one line for each thing that a pickle asks for --------- */

void pickle_head(const look_options *o, pcv_bytes *b);
/* Adds the lines, or a line with an object; how many things are refused, or
 * -1. */
int pickle_text(const char *file, const look_options *o, pcv_bytes *b);
int pickle_json(const char *file, const look_options *o, pcv_bytes *b);

/* ---- cost.c: one line for each part of the network ------------------- */

void cost_head(const look_options *o, pcv_bytes *b);
/* Adds the lines, or "cost":{..} of the object that is open.  0 or -1. */
int cost_text(const look_subject *s, const look_options *o, pcv_bytes *b);
int cost_json(const look_subject *s, const look_options *o, pcv_bytes *b);

/* ---- summary.c, words.c: a screen of facts --------------------------- */

int summary_text(const look_subject *s, const look_options *o, pcv_bytes *b);
int summary_json(const look_subject *s, const look_options *o, pcv_bytes *b);

/* A setting of the model, "" where it has none. */
typedef struct {
    char text[96];
} words;
words words_setting(const pcv_model *m, const char *name);
char *words_copy(const pcv_model *m, const char *name);     /* NULL, free() */
/* What the network takes, is and gives, a line each without its end. */
void words_model(const pcv_model *m, pcv_bytes *b);
void words_input(const pcv_model *m, const pcv_cost_info *c, pcv_bytes *b);
void words_latents(const pcv_model *m, pcv_bytes *b);
void words_decoder(const pcv_model *m, pcv_bytes *b);
void words_preprocess(const pcv_model *m, pcv_bytes *b);

/* ---- show.c: a matrix as a picture ----------------------------------- */

typedef struct {
    int columns, lines;         /* room on the terminal */
    bool colour, unicode;
} show_screen;

/* A heat map for a terminal; the last line is the scale. */
void show_terminal(const pcv_values *v, const show_screen *s, pcv_bytes *b);
/* One pixel for each element; freed with free(). */
unsigned char *show_png(const pcv_values *v, size_t *bytes);

#endif
