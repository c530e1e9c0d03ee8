/* table.c - one line for each tensor: what it is, its numbers, its histogram;
 * as tab-separated values or as members of a JSON object. */
#include "json.h"
#include "look.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    pcv_tensor_info t;
    pcv_tensor_stats s;         /* zero unless asked for */
    size_t *hist;               /* bins, or NULL */
} row;

/* ---- reading --------------------------------------------------------- */

/* The i-th tensor into r; 1, 0 when it is not asked for, or -1. */
static int read_row(const look_subject *s, const look_options *o, size_t i,
                    row *r)
{
    int status = look_tensor(s, o, i, &r->t);
    size_t bins = o->modes & LOOK_HIST ? o->bins : 0;

    if (status < 1 || !(o->modes & (LOOK_STATS | LOOK_HIST)))
        return status;
    memset(r->hist, 0, bins * sizeof *r->hist);
    if (pcv_weights_stats(s->weights, i, &r->s, bins ? r->hist : NULL,
                          bins) < 0)
        return -1;
    if (r->s.nan + r->s.inf == r->t.count)      /* of no numbers */
        r->s.min = r->s.max = r->s.mean = r->s.std = (double)NAN;
    return 1;
}

static double share_of_zeros(const row *r)
{
    return r->t.count ? 100.0 * (double)r->s.zeros / (double)r->t.count : 0;
}

/* ---- text ------------------------------------------------------------ */

static void number(pcv_bytes *b, double v)
{
    if (isfinite(v))
        pcv_bytes_printf(b, "\t%.9g", v);
    else
        pcv_bytes_printf(b, "\t-");
}

static void tensor_text(const row *r, pcv_bytes *b)
{
    pcv_bytes_printf(b, "\t%s\t", r->t.dtype);
    look_shape(b, &r->t);
    pcv_bytes_printf(b, "\t%zu\t%zu\t", r->t.count, r->t.bytes);
    if (r->t.offset == SIZE_MAX)
        pcv_bytes_printf(b, "-\n");
    else
        pcv_bytes_printf(b, "%zu\n", r->t.offset);
}

static void stats_text(const row *r, pcv_bytes *b)
{
    pcv_bytes_printf(b, "\t%s\t", r->t.dtype);
    look_shape(b, &r->t);
    number(b, r->s.min);
    number(b, r->s.max);
    number(b, r->s.mean);
    number(b, r->s.std);
    number(b, r->s.norm);
    pcv_bytes_printf(b, "\t%.2f\t%zu\t%zu\n", share_of_zeros(r), r->s.nan,
                     r->s.inf);
}

/* Heights 0 to 8; what is there at all is seen. */
static void bar(pcv_bytes *b, size_t count, size_t most, bool unicode)
{
    static const char *const block[] = { " ", "▁", "▂", "▃", "▄", "▅",
                                         "▆", "▇", "█" };
    static const char plain[] = " .:-=+*#@";
    size_t height = 0;

    if (count)
        height = (size_t)ceil(8 * (double)count / (double)most);
    if (unicode)
        pcv_bytes_printf(b, "%s", block[height]);
    else
        pcv_bytes_add(b, plain + height, 1);
}

static void hist_text(const row *r, const look_options *o, pcv_bytes *b)
{
    size_t most = 0;

    number(b, r->s.min);
    number(b, r->s.max);
    pcv_bytes_printf(b, "\t");
    for (size_t i = 0; i < o->bins; i++)
        most = r->hist[i] > most ? r->hist[i] : most;
    for (size_t i = 0; i < o->bins; i++)
        bar(b, r->hist[i], most, o->unicode);
    pcv_bytes_printf(b, "\n");
}

void table_head(const look_options *o, pcv_bytes *b)
{
    const char *columns = "dtype\tshape\telements\tbytes\toffset";

    if (o->modes & LOOK_STATS)
        columns = "dtype\tshape\tmin\tmax\tmean\tstd\tnorm\tzero%\tnan\tinf";
    else if (o->modes & LOOK_HIST)
        columns = "min\tmax\thistogram";
    pcv_bytes_printf(b, "%sname\t%s\n", o->column ? "file\t" : "", columns);
}

static void line(const look_subject *s, const look_options *o, const row *r,
                 pcv_bytes *b)
{
    if (o->column) {
        pcv_bytes_escape(b, s->name);
        pcv_bytes_printf(b, "\t");
    }
    pcv_bytes_escape(b, r->t.name);
    if (o->modes & LOOK_STATS)
        stats_text(r, b);
    else if (o->modes & LOOK_HIST)
        hist_text(r, o, b);
    else
        tensor_text(r, b);
}

/* ---- JSON ------------------------------------------------------------ */

static void tensor_json(const row *r, pcv_bytes *b)
{
    json_text(b, "name", r->t.name);
    json_text(b, "dtype", r->t.dtype);
    json_open(b, "shape", '[');
    for (int i = 0; i < r->t.rank; i++)
        json_count(b, NULL, r->t.dim[i]);
    json_close(b, ']');
    json_count(b, "elements", r->t.count);
    json_count(b, "bytes", r->t.bytes);
    if (r->t.offset == SIZE_MAX)
        json_number(b, "offset", (double)NAN);      /* null */
    else
        json_count(b, "offset", r->t.offset);
}

static void stats_json(const row *r, pcv_bytes *b)
{
    json_number(b, "min", r->s.min);
    json_number(b, "max", r->s.max);
    json_number(b, "mean", r->s.mean);
    json_number(b, "std", r->s.std);
    json_number(b, "norm", r->s.norm);
    json_count(b, "zeros", r->s.zeros);
    json_count(b, "nan", r->s.nan);
    json_count(b, "inf", r->s.inf);
}

static void hist_json(const row *r, const look_options *o, pcv_bytes *b)
{
    json_open(b, "hist", '{');
    json_number(b, "min", r->s.min);
    json_number(b, "max", r->s.max);
    json_open(b, "counts", '[');
    for (size_t i = 0; i < o->bins; i++)
        json_count(b, NULL, r->hist[i]);
    json_close(b, ']');
    json_close(b, '}');
}

static void object(const look_options *o, const row *r, pcv_bytes *b)
{
    json_open(b, NULL, '{');
    tensor_json(r, b);
    if (o->modes & LOOK_STATS)
        stats_json(r, b);
    if (o->modes & LOOK_HIST)
        hist_json(r, o, b);
    json_close(b, '}');
}

/* ---- all of them ----------------------------------------------------- */

static int each(const look_subject *s, const look_options *o, bool json,
                pcv_bytes *b)
{
    size_t *hist = calloc(o->bins, sizeof *hist);
    int status = hist ? 0 : -1, found = 0;

    b->failed |= !hist;
    for (size_t i = 0; status >= 0 && i < pcv_weights_count(s->weights); i++) {
        row r = { .hist = hist };

        status = read_row(s, o, i, &r);
        if (status < 1)
            continue;
        found++;
        if (json)
            object(o, &r, b);
        else
            line(s, o, &r, b);
    }
    free(hist);
    return status < 0 ? -1 : found;
}

int table_text(const look_subject *s, const look_options *o, pcv_bytes *b)
{
    return each(s, o, false, b);
}

int table_json(const look_subject *s, const look_options *o, pcv_bytes *b)
{
    int found;

    json_open(b, "tensors", '[');
    found = each(s, o, true, b);
    json_close(b, ']');
    return found;
}
