/* splits.c - the data of a run: what is trained on and what is held out. */
#include "train.h"

#include <math.h>
#include <string.h>

enum { KEEP = 1 << 30 };        /* bytes of decoded examples kept */

static uint32_t *counting(uint32_t n)
{
    uint32_t *v = pcv_alloc(n, sizeof *v);

    for (uint32_t i = 0; v && i < n; i++)
        v[i] = i;
    return v;
}

/* Lines of a file as the names of the classes. */
static int names_from(pcv_spec *spec, const char *path, size_t labels)
{
    pcv_file f;
    pcv_buf text = {0};
    const char **name = pcv_alloc(labels, sizeof *name);
    size_t n = 0;
    int r = -1;

    if (!name || pcv_file_open(&f, path, 1 << 24) < 0) {
        pcv_free(name);
        return -1;
    }
    pcv_buf_add(&text, f.data, f.size);
    pcv_file_close(&f);
    for (char *s = text.data, *end; s && *s; s = end) {
        end = s + strcspn(s, "\n");
        if (*end)
            *end++ = '\0';
        s[strcspn(s, "\r")] = '\0';
        if (n < labels)
            name[n] = s;
        n++;
    }
    if (text.failed)
        pcv_fail(EX_OSERR, "out of memory");
    else if (n != labels)
        pcv_fail(EX_DATAERR, "%s: %zu lines, the data has %zu classes", path,
                 n, labels);
    else
        r = pcv_spec_set_labels(spec, name, (int)n);
    pcv_buf_free(&text);
    pcv_free(name);
    return r;
}

/* ---- what a model reads and wants ------------------------------------ */

static int label_kind(int task)
{
    return task == PCV_CLASSIFY ? PCV_COLUMN_CLASS
           : task == PCV_TAGS ? PCV_COLUMN_TAGS : PCV_COLUMN_NUMBERS;
}

static bool has_label(int task)
{
    return task == PCV_CLASSIFY || task == PCV_TAGS || task == PCV_VALUES;
}

/* Pictures of a clip that a column of media takes. */
static size_t frames_of(const pcv_spec *s)
{
    return s->prep.modality == PCV_VIDEO ? (size_t)s->prep.frames : 0;
}

/* A part that is a class is not looked at: it is what is wanted. */
static void part_columns(const pcv_spec *spec, pcv_columns_of *of)
{
    of->columns.named = true;
    of->columns.columns = spec->parts;
    for (int i = 0; i < spec->parts; i++) {
        const pcv_spec *p = &spec->part[i];
        bool wanted = p->prep.modality == PCV_ONE_HOT;

        of->part[i] = i;
        of->columns.column[i] = (pcv_column){
            spec->part_name[i],
            wanted ? label_kind(p->task) : PCV_COLUMN_MEDIA,
            p->prep.modality == PCV_BYTES, frames_of(p)
        };
    }
}

/* The columns of the answers, once it is known which there are. */
static void answer_columns(const pcv_spec *spec, pcv_columns_of *of)
{
    for (int which = 0; which < pcv_spec_answers(spec); which++) {
        const pcv_spec *s = pcv_spec_answer(spec, which);

        of->answer[which] = -1;
        if (spec->parts && s->prep.modality == PCV_ONE_HOT)
            of->answer[which] = (int)(s - spec->part);
        if (!spec->parts && has_label(s->task))
            of->answer[which] = 1;
    }
}

void pcv_spec_columns(const pcv_spec *spec, const pcv_run_spec *r,
                      pcv_columns_of *of)
{
    int special = spec->prep.special ? 2 : 0;

    memset(of, 0, sizeof *of);
    of->columns.form = r->examples;
    of->columns.piece = spec->prep.length > special
                            ? (size_t)(spec->prep.length - special) : 1;
    if (spec->parts) {
        part_columns(spec, of);
    } else {
        of->columns.columns = has_label(spec->task) ? 2 : 1;
        of->columns.column[0] = (pcv_column){
            "input", PCV_COLUMN_MEDIA, spec->prep.modality == PCV_BYTES,
            frames_of(spec) };
        of->columns.column[1] = (pcv_column){ "label", label_kind(spec->task),
                                              false, 0 };
    }
    answer_columns(spec, of);
}

void pcv_spec_reading(const pcv_spec *spec, pcv_reading *how)
{
    pcv_reading_default(how);
    how->bytes = spec->prep.modality == PCV_BYTES;
}

/* ---- and learns from the data ---------------------------------------- */

static int set_outputs(pcv_spec *s, size_t have, const char *what)
{
    if (have == 0)
        return pcv_fail(EX_DATAERR, "the data have no %s for the task", what);
    if (s->outputs && (size_t)s->outputs != have)
        return pcv_fail(EX_DATAERR, "outputs is %d, but the data has %zu %s",
                        s->outputs, have, what);
    s->outputs = (int)have;
    return 0;
}

static int take_labels(pcv_spec *s, const pcv_run_spec *run,
                       const pcv_dataset *d, int column)
{
    size_t n = pcv_dataset_labels(d, column);
    const char **label;
    int r;

    if (set_outputs(s, n, "labels") < 0)
        return -1;
    if (*run->labels)
        return names_from(s, run->labels, n);
    if (!(label = pcv_alloc(n, sizeof *label)))
        return -1;
    for (size_t i = 0; i < n; i++)
        label[i] = pcv_dataset_label(d, column, i);
    r = pcv_spec_set_labels(s, label, (int)n);
    pcv_free(label);
    return r;
}

static int take_label_column(pcv_spec *s, const pcv_run_spec *run,
                             const pcv_dataset *d, int column)
{
    int r = s->task == PCV_VALUES
                ? set_outputs(s, pcv_dataset_width(d, column), "numbers")
                : take_labels(s, run, d, column);

    if (s->prep.modality == PCV_ONE_HOT)
        s->prep.channels = s->outputs;
    s->queries = 1;             /* whatever the model began as */
    s->tied = 0;
    return r;
}

/* What has no label answers with itself. */
static int take_input(pcv_spec *s)
{
    int have = s->task == PCV_FILL ? s->vocab
               : s->prep.modality == PCV_SOUND ? s->patch : s->prep.channels;

    if (s->task != PCV_FILL && s->task != PCV_RECONSTRUCT)
        return 0;
    if (s->task == PCV_FILL) {
        s->queries = s->prep.length;
        s->prep.parse = true;   /* the model is asked by its [MASK]s */
    }
    return set_outputs(s, (size_t)have, "channels to answer with");
}

/* Lines and running text are texts for a model of texts; running text has no
 * labels. */
int pcv_examples_check(const pcv_spec *spec, const pcv_run_spec *run)
{
    const char *form = run->examples == PCV_EXAMPLES_LINES ? "lines" : "text";

    if (run->examples == PCV_EXAMPLES_FILES)
        return 0;
    if (spec->prep.modality != PCV_BYTES)
        return pcv_fail(EX_USAGE, "examples=%s wants modality=bytes", form);
    return run->examples == PCV_EXAMPLES_TEXT && has_label(spec->task)
               ? pcv_fail(EX_USAGE, "examples=text has no labels, want "
                          "task=fill; or examples=lines, label<TAB>text") : 0;
}

/* Names of the classes go with one answer. */
static int check_names(const pcv_spec *spec, const pcv_run_spec *run)
{
    int classes = 0;

    for (int i = 0; i < spec->parts; i++)
        classes += spec->part[i].prep.modality == PCV_ONE_HOT;
    return *run->labels && classes > 1
               ? pcv_fail(EX_USAGE, "labels: '%s' names the classes of one "
                          "answer, the model has %d", run->labels, classes)
               : 0;
}

/* What is looked at is read from files, a class from the list. */
static int check_classes(const pcv_spec *spec)
{
    for (int i = 0; i < spec->parts; i++)
        if (spec->part[i].prep.modality == PCV_ONE_HOT &&
            !spec->part[i].masked)
            return pcv_fail(EX_USAGE, "part '%s' is a class, which is answered "
                            "and not looked at: want masked=yes",
                            spec->part_name[i]);
    return 0;
}

static int take_outputs(pcv_spec *spec, const pcv_run_spec *run,
                        const pcv_dataset *d, pcv_columns_of *of)
{
    int r = 0;

    for (int i = 0; r == 0 && i < pcv_spec_count(spec); i++) {
        pcv_spec *s = spec->parts ? &spec->part[i] : spec;
        bool labelled = spec->parts ? s->prep.modality == PCV_ONE_HOT
                                    : has_label(s->task);

        if (labelled)
            r = take_label_column(s, run, d, spec->parts ? i : 1);
        else
            r = take_input(s);
    }
    answer_columns(spec, of);
    return r;
}

/* Does each answer find as many labels, or numbers, as it has outputs? */
int pcv_answers_fit(const pcv_dataset *d, const pcv_spec *spec,
                    const pcv_columns_of *of)
{
    for (int i = 0; i < pcv_spec_answers(spec); i++) {
        const pcv_spec *s = pcv_spec_answer(spec, i);
        bool values = s->task == PCV_VALUES;
        int c = of->answer[i];
        size_t n = c < 0 ? (size_t)s->outputs
                   : values ? pcv_dataset_width(d, c)
                            : pcv_dataset_labels(d, c);

        if (n != (size_t)s->outputs && (values || n > (size_t)s->outputs))
            return pcv_fail(EX_DATAERR, "the data have %zu %s, the model's "
                            "answer '%s' has %d outputs", n,
                            values ? "numbers" : "labels",
                            pcv_spec_answer_name(spec, i), s->outputs);
    }
    return 0;
}

/* Held-out data may have fewer labels than the training data, but no others. */
static int adopt_labels(const pcv_dataset *data, pcv_dataset *held,
                        const pcv_columns_of *of)
{
    int r = 0;

    for (int c = 0; r == 0 && c < of->columns.columns; c++) {
        size_t n = pcv_dataset_labels(data, c);
        const char **label = pcv_alloc(n + 1, sizeof *label);

        for (size_t k = 0; label && k < n; k++)
            label[k] = pcv_dataset_label(data, c, k);
        r = !label ? -1 : n == 0 ? 0
            : pcv_dataset_adopt(held, c, (char *const *)label, n);
        pcv_free(label);
    }
    return r;
}

/* ---- the splits ------------------------------------------------------ */

/* The first examples of the shuffled training split, for both. */
static void take_few(pcv_splits *s, const pcv_run_spec *r)
{
    if (s->held)                /* they are in the order of the data */
        pcv_shuffle((uint64_t)r->seed, UINT64_MAX, s->order, s->train.count);
    if ((uint32_t)r->overfit < s->train.count)
        s->train.count = (uint32_t)r->overfit;
    s->val = s->train;
}

static int open_held(pcv_splits *s, const char *val, const pcv_spec *spec,
                     const pcv_reading *how)
{
    if (!(s->held = pcv_dataset_open(val, &s->of.columns, how, KEEP)) ||
        adopt_labels(s->data, s->held, &s->of) < 0 ||
        pcv_answers_fit(s->held, spec, &s->of) < 0)
        return -1;
    s->val.data = s->held;
    s->val.count = (uint32_t)pcv_dataset_count(s->held);
    s->val.which = s->all = counting(s->val.count);
    return s->all ? 0 : -1;
}

/* A share of the data.  Of running text it is the end: what is learned reaches
 * into the next piece, so that the piece before the end belongs to neither. */
static void split_off(pcv_splits *s, const pcv_run_spec *r)
{
    bool text = s->of.columns.form == PCV_EXAMPLES_TEXT;
    uint32_t n = s->train.count, out = (uint32_t)floor(r->val_split * n);

    if (!text)
        pcv_shuffle((uint64_t)r->seed, UINT64_MAX, s->order, n);
    s->val = (pcv_split){ s->data, s->order + (n - out), out };
    s->train.count = n - out - (text && out && n > out);
}

static int hold_out(pcv_splits *s, const pcv_run_spec *r, const char *val,
                    const pcv_spec *spec, const pcv_reading *how)
{
    uint32_t n = (uint32_t)pcv_dataset_count(s->data);

    if (!(s->order = counting(n)))
        return -1;
    s->train = (pcv_split){ s->data, s->order, n };
    if (!val)
        split_off(s, r);
    else if (open_held(s, val, spec, how) < 0)
        return -1;
    if (r->overfit)
        take_few(s, r);
    if (s->train.count == 0)
        return pcv_fail(EX_DATAERR, "no examples to train on");
    return 0;
}

int pcv_splits_open(pcv_splits *s, pcv_spec *spec, const pcv_run_spec *r,
                    const char *data, const char *val)
{
    pcv_reading how;

    memset(s, 0, sizeof *s);
    pcv_spec_reading(spec, &how);
    pcv_spec_columns(spec, r, &s->of);
    if (pcv_examples_check(spec, r) < 0 || check_names(spec, r) < 0 ||
        check_classes(spec) < 0 ||
        !(s->data = pcv_dataset_open(data, &s->of.columns, &how, KEEP)) ||
        take_outputs(spec, r, s->data, &s->of) < 0 ||
        hold_out(s, r, val, spec, &how) < 0) {
        pcv_splits_close(s);
        return -1;
    }
    return 0;
}

static int identify(const pcv_dataset *d, pcv_buf *b)
{
    char digits[PCV_HASH_128 + 1];
    pcv_buf text = {0};
    int r = -1;

    pcv_dataset_identity(d, &text);
    if (text.failed)
        pcv_fail(EX_OSERR, "out of memory");
    else
        r = pcv_hash_bytes(text.data, text.len, PCV_HASH_128, digits);
    if (r == 0)
        pcv_buf_printf(b, "%zu %s", pcv_dataset_count(d), digits);
    pcv_buf_free(&text);
    return r;
}

int pcv_splits_identity(const pcv_splits *s, pcv_buf *b)
{
    if (identify(s->data, b) < 0)
        return -1;
    if (s->held) {
        pcv_buf_puts(b, " and ");
        if (identify(s->held, b) < 0)
            return -1;
    }
    return b->failed ? pcv_fail(EX_OSERR, "out of memory") : 0;
}

void pcv_splits_close(pcv_splits *s)
{
    if (s->data)
        pcv_dataset_close(s->data);
    if (s->held)
        pcv_dataset_close(s->held);
    pcv_free(s->order);
    pcv_free(s->all);
    memset(s, 0, sizeof *s);
}
