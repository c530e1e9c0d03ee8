/* wants.c - what is wanted of an example: its label, some labels, numbers, the
 * bytes that were masked, or the input itself. */
#include "train.h"

#include <math.h>
#include <string.h>

/* What answer `which` wants of item i. */
typedef struct {
    pcv_feeding *f;
    const pcv_spec *s;          /* of the answer */
    int i, column;              /* of the data; -1 */
    size_t example;
    uint64_t stream;            /* of random numbers; where nothing is learned
                                   they are the example's own */
    const pcv_array *x;         /* the input that it is about, or NULL */
    int asked, outputs;
    int *index;                 /* asked, or NULL */
    real *want;                 /* asked x outputs */
} wish;

static void want_nothing(wish *w, int from)
{
    for (int q = from; q < w->asked; q++)
        w->want[(size_t)q * (size_t)w->outputs] = (real)NAN;
}

/* ---- labels and numbers ---------------------------------------------- */

/* (1 - smoothing) one-hot + smoothing / outputs */
static void want_class(wish *w)
{
    double smooth = w->f->learn ? w->f->run->smoothing : 0;
    int class = pcv_dataset_class(w->f->split->data, w->example, w->column);

    if (class < 0) {
        want_nothing(w, 0);
        return;
    }
    for (int k = 0; k < w->outputs; k++)
        w->want[k] = (real)(smooth / w->outputs);
    w->want[class] += (real)(1 - smooth);
}

static int put(wish *w, void (*get)(const pcv_dataset *d, size_t i, int column,
                                    float *v))
{
    float some[64], *v = w->outputs <= (int)PCV_LEN(some)
                             ? some : pcv_alloc((size_t)w->outputs, sizeof *v);

    if (!v)
        return -1;
    get(w->f->split->data, w->example, w->column, v);
    for (int k = 0; k < w->outputs; k++)
        w->want[k] = (real)v[k];
    if (v != some)
        pcv_free(v);
    return 0;
}

static int want_label(wish *w, int task)
{
    if (!pcv_dataset_has(w->f->split->data, w->example, w->column))
        want_nothing(w, 0);
    else if (task == PCV_CLASSIFY)
        want_class(w);
    else
        return put(w, task == PCV_TAGS ? pcv_dataset_tags
                                       : pcv_dataset_numbers);
    return 0;
}

/* ---- masked bytes (Perceiver IO, section 4.1) ------------------------ */

static bool is_space(int id)
{
    int byte = id - PCV_FIRST_BYTE;

    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

/* Place k of the text is masked by the draw of its byte, or of the word that
 * it stands in: what is between white space. */
static bool is_masked(const wish *w, const int32_t *id, int k)
{
    int draw = k;

    if (id[k] < PCV_FIRST_BYTE || (w->f->run->mask_words && is_space(id[k])))
        return false;
    while (w->f->run->mask_words && draw > 0 &&
           id[draw - 1] >= PCV_FIRST_BYTE && !is_space(id[draw - 1]))
        draw--;
    return pcv_uniform((uint64_t)w->f->run->seed + 67867967, w->stream,
                       (uint64_t)draw) < w->f->run->mask;
}

/* There is no room for place k: then, if it is of the last word that was found,
 * the rest of that is not masked either, unless nothing else is. */
static int whole_words(const wish *w, int found, int k)
{
    int left = found;

    while (w->f->run->mask_words && left > 0 && w->index[left - 1] == --k)
        left--;
    return left ? left : found;
}

/* Finds the places first: a word's beginning has to be read as it was. */
static void want_bytes(wish *w)
{
    int32_t *id = w->x->data;
    int n = (int)w->x->dim[0], found = 0, outputs = w->outputs;

    for (int k = 0; k < n; k++) {
        if (!is_masked(w, id, k))
            continue;
        if (found == w->asked) {
            found = whole_words(w, found, k);
            break;
        }
        w->index[found++] = k;
    }
    memset(w->want, 0, (size_t)w->asked * (size_t)outputs * sizeof *w->want);
    for (int q = 0; q < found; q++) {
        int k = w->index[q];

        w->want[(size_t)q * (size_t)outputs + (size_t)id[k]] = 1;
        id[k] = PCV_MASK;
    }
    want_nothing(w, found);
}

/* ---- the input itself ------------------------------------------------ */

/* Channel k of element q of a prepared input (0 past the end of sound). */
static real value_at(const wish *w, size_t q, size_t k)
{
    const float *v = w->x->data;
    const size_t *dim = w->x->dim;
    size_t i, picture;

    switch (w->s->prep.modality) {
    case PCV_IMAGE:
        return (real)v[k * dim[1] * dim[2] + q];
    case PCV_VIDEO:
        picture = dim[2] * dim[3];
        return (real)v[(q / picture * dim[1] + k) * picture + q % picture];
    default:
        i = q * (size_t)w->outputs + k;
        return i < pcv_array_count(w->x) ? (real)v[i] : 0;
    }
}

static void want_input(wish *w, int all)
{
    for (int q = 0; q < w->asked; q++) {
        size_t at = (size_t)q;

        if (w->index) {
            at = (size_t)(pcv_uniform((uint64_t)w->f->run->seed + 15485863,
                                      w->stream, (uint64_t)q) * all);
            w->index[q] = (int)at;
        }
        for (int k = 0; k < w->outputs; k++)
            w->want[q * w->outputs + k] = value_at(w, at, (size_t)k);
    }
}

/* ---- one item -------------------------------------------------------- */

/* The input that an answer without a column is about: its own part. */
static const pcv_array *own_input(const pcv_feeding *f, int i,
                                  const pcv_spec *s)
{
    int p = f->net->spec.parts ? (int)(s - f->net->spec.part) : 0;

    return f->px[i * f->parts + p];
}

static int want(pcv_feeding *f, int i, int which)
{
    const pcv_target *t = &f->target[which];
    int outputs = f->net->answer[which].outputs;
    size_t row = (size_t)i * (size_t)t->asked;
    wish w = { .f = f, .s = pcv_spec_answer(&f->net->spec, which), .i = i,
               .column = f->of->answer[which], .asked = t->asked,
               .outputs = outputs };

    w.example = f->split->which[f->order[f->place[i]]];
    w.stream = f->learn ? pcv_feed_stream(f, i) : w.example;
    w.index = t->index ? t->index + row : NULL;
    w.want = t->want + row * (size_t)outputs;
    w.x = own_input(f, i, w.s);
    for (int q = 0; w.index && q < w.asked; q++)
        w.index[q] = 0;
    if (w.column >= 0)
        return want_label(&w, w.s->task);
    if (!w.x)
        want_nothing(&w, 0);
    else if (w.s->task == PCV_FILL)
        want_bytes(&w);
    else
        want_input(&w, f->net->answer[which].n);
    return 0;
}

int pcv_want(pcv_feeding *f, int i)
{
    for (int which = 0; which < f->net->answers; which++)
        if (want(f, i, which) < 0)
            return -1;
    return 0;
}
