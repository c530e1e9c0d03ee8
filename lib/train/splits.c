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

static int take_labels(pcv_spec *spec, const pcv_run_spec *run,
                       const pcv_dataset *d)
{
    size_t n = pcv_dataset_labels(d);
    const char **label;
    int r;

    if (spec->task == PCV_RECONSTRUCT) {
        spec->outputs = spec->prep.modality == PCV_SOUND ? spec->patch
                                                         : spec->prep.channels;
        return 0;
    }
    if (spec->outputs && (size_t)spec->outputs != n)
        return pcv_fail(EX_DATAERR, "outputs is %d, but the data has %zu "
                        "labels", spec->outputs, n);
    if (*run->labels)
        return names_from(spec, run->labels, n);
    if (!(label = pcv_alloc(n, sizeof *label)))
        return -1;
    for (size_t i = 0; i < n; i++)
        label[i] = pcv_dataset_label(d, i);
    r = pcv_spec_set_labels(spec, label, (int)n);
    pcv_free(label);
    return r;
}

/* Held-out data must name its classes as the training data does. */
static int same_labels(const pcv_spec *spec, const pcv_dataset *data,
                       const pcv_dataset *held)
{
    size_t n = spec->task == PCV_CLASSIFY ? pcv_dataset_labels(held) : 0;

    for (size_t i = 0; i < n; i++) {
        const char *have = pcv_dataset_label(held, i);
        const char *want = i < pcv_dataset_labels(data)
                               ? pcv_dataset_label(data, i) : "-";

        if (strcmp(have, want))
            return pcv_fail(EX_DATAERR, "label %zu of the validation data is "
                            "'%s', of the training data '%s'", i, have, want);
    }
    return 0;
}

static int hold_out(pcv_splits *s, const pcv_run_spec *r, const char *val,
                    const pcv_reading *how)
{
    uint32_t n = (uint32_t)pcv_dataset_count(s->data), out;

    s->order = pcv_alloc(n, sizeof *s->order);
    if (!s->order)
        return -1;
    if (val) {
        if (!(s->held = pcv_dataset_open(val, how, KEEP)))
            return -1;
        s->val.data = s->held;
        s->val.count = (uint32_t)pcv_dataset_count(s->held);
        if (!(s->all = counting(s->val.count)))
            return -1;
        s->val.which = s->all;
        for (uint32_t i = 0; i < n; i++)
            s->order[i] = i;
        out = 0;
    } else {
        pcv_shuffle((uint64_t)r->seed, UINT64_MAX, s->order, n);
        out = (uint32_t)floor(r->val_split * n);
        s->val = (pcv_split){ s->data, s->order + (n - out), out };
    }
    s->train = (pcv_split){ s->data, s->order, n - out };
    if (s->train.count == 0)
        return pcv_fail(EX_DATAERR, "no examples to train on");
    return 0;
}

int pcv_splits_open(pcv_splits *s, pcv_spec *spec, const pcv_run_spec *r,
                    const char *data, const char *val)
{
    pcv_reading how;

    memset(s, 0, sizeof *s);
    pcv_reading_default(&how);
    how.bytes = spec->prep.modality == PCV_BYTES;
    if (!(s->data = pcv_dataset_open(data, &how, KEEP)) ||
        take_labels(spec, r, s->data) < 0 || hold_out(s, r, val, &how) < 0 ||
        (s->held && same_labels(spec, s->data, s->held) < 0)) {
        pcv_splits_close(s);
        return -1;
    }
    return 0;
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
