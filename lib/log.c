/* log.c - reading log.jsonl of a training run again, line by line.
 *
 * A log may be damaged anywhere, and may grow while it is read: what is no
 * event is handed over as such, a last line without its end is not there yet,
 * and a line longer than any event is passed over without being kept. */
#include "handles.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { BLOCK = 1 << 16, LONGEST = 1 << 12 };

struct pcv_log {
    FILE *file;
    char *path;
    char block[BLOCK];
    size_t at, end;             /* what is left of the block */
    char line[LONGEST];
    size_t len;
    bool overlong;
    bool found;                 /* an event, so far */
    pcv_json *event;            /* that the last pcv_log_line points into */
};

pcv_log *pcv_log_open(const char *path)
{
    pcv_log *l = pcv_alloc(1, sizeof *l);

    if (!l)
        return NULL;
    l->path = pcv_strdup(path);
    l->file = l->path ? fopen(path, "rbe") : NULL;
    if (l->path && !l->file)
        pcv_fail(EX_NOINPUT, "%s: %s", path, strerror(errno));
    if (l->file)
        return l;
    pcv_log_close(l);
    return NULL;
}

void pcv_log_close(pcv_log *l)
{
    if (!l)
        return;
    if (l->file)
        fclose(l->file);
    pcv_json_close(l->event);
    pcv_free(l->path);
    pcv_free(l);
}

/* ---- lines ----------------------------------------------------------- */

/* 1, 0 at the end, -1. */
static int fill(pcv_log *l)
{
    errno = 0;
    l->at = 0;
    l->end = fread(l->block, 1, sizeof l->block, l->file);
    if (l->end)
        return 1;
    return ferror(l->file) ? pcv_fail(EX_IOERR, "%s: %s", l->path,
                                      strerror(errno)) : 0;
}

static void keep(pcv_log *l, const char *text, size_t n)
{
    if (n > sizeof l->line - l->len) {
        l->overlong = true;
        return;
    }
    memcpy(l->line + l->len, text, n);
    l->len += n;
}

static int next_line(pcv_log *l)
{
    l->len = 0;
    l->overlong = false;
    for (;;) {
        int r = l->at < l->end ? 1 : fill(l);
        const char *from = l->block + l->at, *newline;

        if (r < 1)
            return r;
        newline = memchr(from, '\n', l->end - l->at);
        keep(l, from, newline ? (size_t)(newline - from) : l->end - l->at);
        l->at = newline ? (size_t)(newline - l->block) + 1 : l->end;
        if (newline)
            return 1;
    }
}

/* ---- events ---------------------------------------------------------- */

static double number(const pcv_json *event, const char *key)
{
    const pcv_json *v = pcv_json_get(event, key);
    pcv_json_type kind = pcv_json_kind(v);

    return kind == PCV_JINT || kind == PCV_JREAL ? pcv_json_real(v)
                                                 : (double)NAN;
}

/* An object with a known place: steps are counted exactly in a double. */
static bool is_event(const pcv_log_line *line)
{
    return line->event && line->step >= 0 && line->step < 0x1p53;
}

static pcv_log_line parse(pcv_log *l)
{
    pcv_log_line line = {0};
    const pcv_json *e;

    pcv_json_close(l->event);
    l->event = l->overlong ? NULL
                           : pcv_json_parse(l->line, l->len, l->path);
    e = l->event;
    if (!e)
        return line;
    line.event = pcv_json_string(pcv_json_get(e, "ev"));
    line.why = pcv_json_string(pcv_json_get(e, "why"));
    line.step = number(e, "step");
    line.epoch = number(e, "epoch");
    line.loss = number(e, "loss");
    line.accuracy = number(e, "accuracy");
    line.rate = number(e, "lr");
    line.norm = number(e, "gnorm");
    line.items_per_second = number(e, "items_per_s");
    line.steps = number(e, "steps");
    line.parameters = number(e, "params");
    line.train = number(e, "train");
    line.held = number(e, "val");
    if (!is_event(&line))
        line.event = NULL;
    return line;
}

int pcv_log_next(pcv_log *l, pcv_log_line *line)
{
    int r = next_line(l);

    if (r == 0 && !l->found)
        return pcv_fail(EX_DATAERR, "%s: no line of it is an event of "
                        "pcv-train", l->path);
    if (r < 1)
        return r;
    *line = parse(l);
    l->found |= line->event != NULL;
    if (!line->event && pcv_error_code() == EX_OSERR)
        return -1;
    if (!line->event)
        pcv_error_clear();
    return 1;
}
