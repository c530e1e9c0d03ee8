/* curves.h - a training run from its log.jsonl: facts, curves on a terminal,
 * curves as a picture. */
#ifndef PCV_CMD_CURVES_H
#define PCV_CMD_CURVES_H

#include "look.h"

/* ---- history.c: what a log comes to ---------------------------------- */

/* The values that fell into one column of a picture. */
typedef struct {
    double min, max, sum;
    size_t count;               /* 0: none, and the others are 0 */
} history_bin;

enum { HISTORY_LOSS, HISTORY_ACCURACY, HISTORY_KINDS };

/* Of evaluations, one of them: loss and accuracy NaN where there is none. */
typedef struct {
    double step, epoch, loss, accuracy;
} history_score;

typedef struct {
    char *path;
    size_t lines, bad;          /* of the log; those that are no events */
    size_t resumed;             /* how often it was gone on with */
    double steps, parameters, train, held;  /* as it started; or NaN */
    history_score last;         /* the last step, its loss as it was logged */
    history_score evaluated, best;          /* the last and the best */
    size_t evaluations;
    double speed;               /* examples per second, of the last step */
    char *why;                  /* of its end; NULL: there is none yet */
    double reached;             /* the last step there is */
    size_t columns;             /* of the bins, from step 0 to that one */
    history_bin *trained[HISTORY_KINDS], *heldout[HISTORY_KINDS];
    char *settings;             /* lines of key=value that differ from the
                                   defaults; NULL: not known */
} history;

/* DIR/log.jsonl of a directory, or a file that begins as a log does; any file
 * when it has to be one.  NULL: no log; freed with free(). */
char *history_find(const char *name, bool has_to_be);
/* Reads the log in bounded memory.  Steps that come again after a resume
 * count as the later lines have them.  0 or -1 with pcv_error. */
int history_open(history *h, const char *path, size_t columns);
void history_close(history *h);
/* Mean of a bin that is not empty. */
double history_mean(const history_bin *b);
bool history_has(const history *h, int kind);

/* ---- axis.c: round numbers along an axis ----------------------------- */

enum { AXIS_TICKS = 16 };
typedef struct {
    double from, to;            /* values at its ends */
    bool log;                   /* equal ratios are equal lengths */
    double tick[AXIS_TICKS];
    int ticks;
} axis;
/* Around the values lo .. hi, about `most` ticks; its ends are ticks.  Equal
 * ratios where the values reach over a factor of 50, if they may. */
void axis_around(axis *a, double lo, double hi, int most, bool ratios);
/* From 0 to `to` as it stands. */
void axis_upto(axis *a, double to, int most);
/* 0 at the beginning, 1 at the end. */
double axis_place(const axis *a, double v);
/* A tick in words: 0.25, 2,500, 1e-05. */
void axis_label(const axis *a, double v, pcv_bytes *b);
/* The axis of a curve, over all bins of both kinds. */
void axis_of(axis *a, const history *h, int kind, int most);

/* ---- curves.c: text -------------------------------------------------- */

/* Columns of bins that a screen wants. */
size_t curves_columns(const show_screen *s);
void curves_text(const history *h, const show_screen *s, pcv_bytes *b);
/* The facts, a row each; the one line of a model's summary; the object
 * "run":{..} of the object that is open, with curves when it has bins. */
void curves_facts(const history *h, pcv_bytes *b);
void curves_line(const history *h, pcv_bytes *b);
void curves_json(const history *h, pcv_bytes *b);

/* ---- chart.c, font.c: a picture -------------------------------------- */

enum { CHART_WIDTH = 800, CHART_HEIGHT = 500, CHART_COLUMNS = 700 };
/* A PNG, freed with free(); NULL with pcv_error or out of memory. */
unsigned char *chart_png(const history *h, size_t *bytes);

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7 };
/* Is the pixel of row y, column x of a character of ASCII black? */
bool font_pixel(char c, int x, int y);

#endif
