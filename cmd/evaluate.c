/* evaluate.c - scores of each class and the confusion matrix, see evaluate.h.
 *
 * Of class k, with n[t][s] examples of class t for which s was said:
 *
 *     precision = n[k][k] / sum_t n[t][k]     of what was said to be k
 *     recall    = n[k][k] / sum_s n[k][s]     of what is k
 *     F1        = 2 n[k][k] / (sum_t n[t][k] + sum_s n[k][s])
 *
 * The macro average is over the classes that have examples; a class that was
 * never said has no precision and counts there as 0. */
#include "evaluate.h"
#include "json.h"
#include "look.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CLASSES = 24, NAME = 16, CONFUSIONS = 20 };

typedef struct {
    size_t examples, said, right;
    double precision, recall, f1;       /* NaN where they are 0 / 0 */
} score;

/* Examples of class t for which s was said. */
typedef struct {
    size_t count, t, s;
} confusion;

/* ---- scores ---------------------------------------------------------- */

static size_t at(const pcv_evaluation *e, size_t t, size_t s)
{
    return e->count[t * e->classes + s];
}

static score score_of(const pcv_evaluation *e, size_t k)
{
    score r = { .right = at(e, k, k) };

    for (size_t i = 0; i < e->classes; i++) {
        r.examples += at(e, k, i);
        r.said += at(e, i, k);
    }
    r.precision = r.said ? (double)r.right / (double)r.said : (double)NAN;
    r.recall = r.examples ? (double)r.right / (double)r.examples
                          : (double)NAN;
    r.f1 = r.said + r.examples ? 2 * (double)r.right /
                                     (double)(r.said + r.examples)
                               : (double)NAN;
    return r;
}

static score macro_of(const pcv_evaluation *e)
{
    score sum = {0};
    double classes = 0;

    for (size_t k = 0; k < e->classes; k++) {
        score r = score_of(e, k);

        if (!r.examples)
            continue;
        classes++;
        sum.precision += r.said ? r.precision : 0;
        sum.recall += r.recall;
        sum.f1 += r.f1;
    }
    sum.precision /= classes;
    sum.recall /= classes;
    sum.f1 /= classes;
    return sum;
}

/* ---- text: the scores ------------------------------------------------ */

/* "12 T-shirt" */
static void add_whole_name(const answer_style *s, size_t k, pcv_bytes *b)
{
    const char *label = answer_label(s, k);

    pcv_bytes_printf(b, "%3zu ", k);
    pcv_bytes_escape(b, label ? label : "");
}

/* The same, padded or cut to so many characters. */
static void add_name(const answer_style *s, size_t k, int width, pcv_bytes *b)
{
    pcv_bytes name = {0};
    size_t n = 0, characters = 0;

    add_whole_name(s, k, &name);
    b->failed |= name.failed;
    for (; !name.failed && name.data[n]; n++) {
        bool begins = ((unsigned char)name.data[n] & 0xc0) != 0x80;

        if (begins && (int)characters == width)
            break;
        characters += begins;
    }
    pcv_bytes_add(b, name.data, n);
    pcv_bytes_printf(b, "%*s", width - (int)characters, "");
    pcv_bytes_free(&name);
}

static void add_share(pcv_bytes *b, double v)
{
    if (isnan(v))
        pcv_bytes_printf(b, "%10s", "-");
    else
        pcv_bytes_printf(b, "%10.4f", v);
}

static void add_scores(const score *r, pcv_bytes *b)
{
    add_share(b, r->precision);
    add_share(b, r->recall);
    add_share(b, r->f1);
    pcv_bytes_printf(b, "\n");
}

static void scores_text(const pcv_evaluation *e, const answer_style *s,
                        pcv_bytes *b)
{
    score macro = macro_of(e);

    pcv_bytes_printf(b, "%-*s%10s%10s%10s%10s\n", NAME, "class", "examples",
                     "precision", "recall", "F1");
    for (size_t k = 0; k < e->classes; k++) {
        score r = score_of(e, k);

        if (!r.examples && !r.said)
            continue;
        add_name(s, k, NAME, b);
        pcv_bytes_printf(b, "%10zu", r.examples);
        add_scores(&r, b);
    }
    pcv_bytes_printf(b, "%-*s%10zu", NAME, "macro average", e->items);
    add_scores(&macro, b);
}

/* ---- text: the confusions -------------------------------------------- */

static int digits_of(size_t n)
{
    int digits = 1;

    while (n /= 10)
        digits++;
    return digits;
}

static int cell_width(const pcv_evaluation *e)
{
    size_t most = e->classes - 1;

    for (size_t i = 0; i < e->classes * e->classes; i++)
        most = e->count[i] > most ? e->count[i] : most;
    return digits_of(most) + 1;
}

static void matrix_text(const pcv_evaluation *e, const answer_style *s,
                        int width, pcv_bytes *b)
{
    pcv_bytes_printf(b, "\n%-*s", NAME, "true \\ said");
    for (size_t k = 0; k < e->classes; k++)
        pcv_bytes_printf(b, "%*zu", width, k);
    pcv_bytes_printf(b, "\n");
    for (size_t t = 0; t < e->classes; t++) {
        add_name(s, t, NAME, b);
        for (size_t k = 0; k < e->classes; k++)
            if (at(e, t, k))
                pcv_bytes_printf(b, "%*zu", width, at(e, t, k));
            else
                pcv_bytes_printf(b, "%*s", width, ".");
        pcv_bytes_printf(b, "\n");
    }
}

static bool comes_before(const confusion *a, const confusion *b)
{
    return a->count > b->count;
}

/* Into the list of the most frequent, in order; of equal ones the first. */
static void keep(confusion *most, size_t *n, confusion c)
{
    size_t i = *n;

    if (i == CONFUSIONS && !comes_before(&c, &most[i - 1]))
        return;
    i = i == CONFUSIONS ? i - 1 : (*n)++;
    for (; i > 0 && comes_before(&c, &most[i - 1]); i--)
        most[i] = most[i - 1];
    most[i] = c;
}

static void confusions_text(const pcv_evaluation *e, const answer_style *s,
                            pcv_bytes *b)
{
    confusion most[CONFUSIONS];
    size_t n = 0;

    for (size_t t = 0; t < e->classes; t++)
        for (size_t k = 0; k < e->classes; k++)
            if (t != k && at(e, t, k))
                keep(most, &n, (confusion){ at(e, t, k), t, k });
    if (n)
        pcv_bytes_printf(b, "\n%8s  %-*s  said\n", "examples", 2 * NAME,
                         " true");
    for (size_t i = 0; i < n; i++) {
        pcv_bytes_printf(b, "%8zu  ", most[i].count);
        add_name(s, most[i].t, 2 * NAME, b);
        pcv_bytes_printf(b, " ");
        add_whole_name(s, most[i].s, b);
        pcv_bytes_printf(b, "\n");
    }
}

/* A matrix where it fits, else what is most often taken for what. */
void evaluate_text(const pcv_evaluation *e, const answer_style *s,
                   int columns, pcv_bytes *b)
{
    int width = e->classes ? cell_width(e) : 0;

    pcv_bytes_printf(b, "examples  %zu\n", e->items);
    if (!isnan(e->accuracy))
        pcv_bytes_printf(b, "accuracy  %.2f %%\n", 100 * e->accuracy);
    pcv_bytes_printf(b, "loss      %.4f\n", e->loss);
    if (!e->classes)            /* tags, numbers, a reconstruction */
        return;
    pcv_bytes_printf(b, "\n");
    scores_text(e, s, b);
    if (e->classes <= MOST_CLASSES &&
        NAME + (int)e->classes * width <= columns)
        matrix_text(e, s, width, b);
    else
        confusions_text(e, s, b);
}

/* ---- JSON ------------------------------------------------------------ */

static void add_members(const score *r, pcv_bytes *b)
{
    json_number(b, "precision", r->precision);
    json_number(b, "recall", r->recall);
    json_number(b, "f1", r->f1);
}

static void classes_json(const pcv_evaluation *e, const answer_style *s,
                         pcv_bytes *b)
{
    json_open(b, "classes", '[');
    for (size_t k = 0; k < e->classes; k++) {
        score r = score_of(e, k);
        const char *label = answer_label(s, k);

        json_open(b, NULL, '{');
        json_count(b, "index", k);
        if (label)
            json_text(b, "label", label);
        json_count(b, "examples", r.examples);
        json_count(b, "said", r.said);
        json_count(b, "right", r.right);
        add_members(&r, b);
        json_close(b, '}');
    }
    json_close(b, ']');
}

static void matrix_json(const pcv_evaluation *e, pcv_bytes *b)
{
    json_open(b, "confusion", '[');
    for (size_t t = 0; t < e->classes; t++) {
        json_open(b, NULL, '[');
        for (size_t k = 0; k < e->classes; k++)
            json_count(b, NULL, at(e, t, k));
        json_close(b, ']');
    }
    json_close(b, ']');
}

void evaluate_json(const pcv_evaluation *e, const answer_style *s,
                   const char *data, pcv_bytes *b)
{
    json_open(b, NULL, '{');
    json_path(b, "data", data);
    json_text(b, "model", pcv_model_id(s->model));
    json_count(b, "examples", e->items);
    json_number(b, "accuracy", e->accuracy);
    json_number(b, "loss", e->loss);
    if (e->classes) {
        score macro = macro_of(e);

        classes_json(e, s, b);
        json_open(b, "macro", '{');
        add_members(&macro, b);
        json_close(b, '}');
        matrix_json(e, b);
    }
    json_close(b, '}');
    pcv_bytes_add(b, "\n", 1);
}
