/* history.c - what log.jsonl of a run comes to, see curves.h.
 *
 * The log is read twice, a line at a time.  Wherever it goes on from an
 * earlier step (a resume, a new start, or steps that come again without a
 * word) a new segment begins, and what the segments before it had logged
 * beyond that step does not count: it came again.  The first reading finds the
 * segments and the last step, the second adds up what counts, so that memory
 * is that of the bins and of a number for each segment. */
#include "curves.h"
#include "opt.h"
#include "settings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where a reading is. */
typedef struct {
    pcv_log *log;
    double last;                /* step so far */
    size_t segment;
} place;

typedef struct {
    double *limit;              /* of each segment: the last step that counts */
    size_t count, room;
    double last;                /* step of all */
} segments;

/* ---- finding it ------------------------------------------------------ */

static bool begins_as_log(const char *name)
{
    static const char begin[] = "{\"ev\":";
    char got[sizeof begin] = "";
    FILE *f = fopen(name, "rbe");
    bool yes = f && fread(got, 1, sizeof begin - 1, f) == sizeof begin - 1 &&
               !strcmp(got, begin);

    if (f)
        fclose(f);
    return yes;
}

char *history_find(const char *name, bool has_to_be)
{
    pcv_bytes path = {0};
    FILE *f;

    if (!opt_is_directory(name))
        return has_to_be || begins_as_log(name) ? strdup(name) : NULL;
    pcv_bytes_printf(&path, "%s/log.jsonl", name);
    if (path.failed)
        opt_fatal_memory();
    f = fopen(path.data, "rbe");
    if (f)
        fclose(f);
    if (f || has_to_be)
        return path.data;
    pcv_bytes_free(&path);
    return NULL;
}

/* ---- segments -------------------------------------------------------- */

/* Does the log go on from an earlier step here?  Then *from is that step. */
static bool goes_back(place *p, const pcv_log_line *line, double *from)
{
    bool step = !strcmp(line->event, "step");
    bool back = !strcmp(line->event, "resume") ||
                !strcmp(line->event, "start") ||
                (step && line->step <= p->last);

    *from = step ? line->step - 1 : line->step;
    if (back)
        p->segment++;
    if (back || step)
        p->last = line->step;
    return back;
}

static void add_segment(segments *s, double limit)
{
    if (s->count == s->room) {
        s->room = s->room ? 2 * s->room : 16;
        s->limit = realloc(s->limit, s->room * sizeof *s->limit);
        if (!s->limit)
            opt_fatal_memory();
    }
    s->limit[s->count++] = limit;
}

/* Of each segment: the earliest step that any later one begins from. */
static void set_limits(segments *s)
{
    double limit = (double)INFINITY;

    for (size_t i = s->count; i-- > 0;) {
        double from = s->limit[i];

        s->limit[i] = limit;
        limit = from < limit ? from : limit;
    }
}

static int find_segments(history *h, segments *s)
{
    place p = { .log = pcv_log_open(h->path), .last = 0 };
    pcv_log_line line;
    double from;
    int r;

    if (!p.log)
        return -1;
    add_segment(s, 0);
    while ((r = pcv_log_next(p.log, &line)) > 0) {
        h->lines++;
        h->bad += !line.event;
        if (line.event && goes_back(&p, &line, &from))
            add_segment(s, from);
    }
    s->last = p.last;
    set_limits(s);
    pcv_log_close(p.log);
    return r;
}

static const double largest = 1e300;    /* sums stay finite */

/* ---- adding up ------------------------------------------------------- */

static void add(history *h, history_bin *bins, const segments *s, double step,
                double v)
{
    double i;

    if (!(fabs(v) < largest) || !h->columns)        /* or NaN */
        return;
    i = s->last > 0 ? ceil(step / s->last * (double)h->columns) - 1 : 0;
    bins += i < 0 ? 0 : i < (double)h->columns ? (size_t)i : h->columns - 1;
    bins->min = !bins->count || v < bins->min ? v : bins->min;
    bins->max = !bins->count || v > bins->max ? v : bins->max;
    bins->sum += v;
    bins->count++;
}

static history_score score_of(const pcv_log_line *line)
{
    return (history_score){ line->step, line->epoch, line->loss,
                            line->accuracy };
}

/* As the trainer itself chooses what it keeps: the higher accuracy, of equal
 * ones and where there is none the lower loss. */
static bool is_better(const history_score *a, const history_score *b)
{
    bool equal = a->accuracy == b->accuracy ||
                 (isnan(a->accuracy) && isnan(b->accuracy));

    if (equal)
        return a->loss < b->loss || (!isnan(a->loss) && isnan(b->loss));
    return a->accuracy > b->accuracy || isnan(b->accuracy);
}

static void take_eval(history *h, const pcv_log_line *line)
{
    h->evaluated = score_of(line);
    if (h->evaluations++ == 0 || is_better(&h->evaluated, &h->best))
        h->best = h->evaluated;
}

static void take_start(history *h, const pcv_log_line *line)
{
    h->steps = line->steps;
    h->parameters = line->parameters;
    h->train = line->train;
    h->held = line->held;
}

static void take_stop(history *h, const pcv_log_line *line)
{
    free(h->why);
    h->why = strdup(line->why ? line->why : "");
    if (!h->why)
        opt_fatal_memory();
}

static void take(history *h, const segments *s, const pcv_log_line *line)
{
    bool step = !strcmp(line->event, "step");
    history_bin **bins = step ? h->trained : h->heldout;

    if (step) {
        h->last = score_of(line);
        h->speed = line->items_per_second;
    } else if (!strcmp(line->event, "eval")) {
        take_eval(h, line);
    } else if (!strcmp(line->event, "stop")) {
        take_stop(h, line);
        return;
    } else {
        return;
    }
    add(h, bins[HISTORY_LOSS], s, line->step, line->loss);
    add(h, bins[HISTORY_ACCURACY], s, line->step, line->accuracy);
}

/* Only as many lines as the first reading found: the run may go on. */
static int add_up(history *h, const segments *s)
{
    place p = { .log = pcv_log_open(h->path), .last = 0 };
    pcv_log_line line;
    double from;
    int r = p.log ? 1 : -1;

    for (size_t i = 0; i < h->lines && r > 0; i++) {
        r = pcv_log_next(p.log, &line);
        if (r < 1 || !line.event)
            continue;
        if (goes_back(&p, &line, &from)) {
            h->resumed += !strcmp(line.event, "resume");
            free(h->why);
            h->why = NULL;
        }
        if (!strcmp(line.event, "start"))
            take_start(h, &line);
        if (p.segment < s->count && line.step <= s->limit[p.segment])
            take(h, s, &line);
    }
    pcv_log_close(p.log);
    return r < 0 ? -1 : 0;
}

/* ---- all of it ------------------------------------------------------- */

static void make_bins(history *h, size_t columns)
{
    h->columns = columns;
    for (int k = 0; columns && k < HISTORY_KINDS; k++) {
        h->trained[k] = calloc(columns, sizeof *h->trained[k]);
        h->heldout[k] = calloc(columns, sizeof *h->heldout[k]);
        if (!h->trained[k] || !h->heldout[k])
            opt_fatal_memory();
    }
}

/* Of the checkpoint in the same directory. */
static char *settings_beside(const char *path)
{
    const char *slash = strrchr(path, '/');
    pcv_bytes dir = {0};
    char *changed;

    pcv_bytes_printf(&dir, "%.*s", slash ? (int)(slash - path) + 1 : 1,
                     slash ? path : ".");
    if (dir.failed)
        opt_fatal_memory();
    changed = settings_changed(dir.data);
    pcv_bytes_free(&dir);
    return changed;
}

int history_open(history *h, const char *path, size_t columns)
{
    const double no = (double)NAN;
    const history_score none = { no, no, no, no };
    segments s = {0};
    int r;

    *h = (history){ .steps = no, .parameters = no, .train = no, .held = no,
                    .last = none, .evaluated = none, .best = none,
                    .speed = no };
    h->path = strdup(path);
    if (!h->path)
        opt_fatal_memory();
    make_bins(h, columns);
    r = find_segments(h, &s);
    h->reached = s.last;
    if (r == 0)
        r = add_up(h, &s);
    free(s.limit);
    if (r == 0)
        h->settings = settings_beside(path);
    if (r < 0)
        history_close(h);
    return r;
}

void history_close(history *h)
{
    for (int k = 0; k < HISTORY_KINDS; k++) {
        free(h->trained[k]);
        free(h->heldout[k]);
    }
    free(h->path);
    free(h->why);
    free(h->settings);
    *h = (history){0};
}

double history_mean(const history_bin *b)
{
    return b->sum / (double)b->count;
}

bool history_has(const history *h, int kind)
{
    for (size_t i = 0; i < h->columns; i++)
        if (h->trained[kind][i].count || h->heldout[kind][i].count)
            return true;
    return false;
}
