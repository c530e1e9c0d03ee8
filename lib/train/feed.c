/* feed.c - examples of a batch, prepared in parallel: which example a step
 * sees, which of its parts, and how it is moved, is a function of (seed, step,
 * place in the batch), so that it does not matter how a batch is divided. */
#include "train.h"

#include <string.h>

static const pcv_spec *part_spec(const pcv_feeding *f, int p)
{
    return pcv_spec_part(&f->net->spec, p);
}

/* Of random numbers: a place of a step has its own. */
uint64_t pcv_feed_stream(const pcv_feeding *f, int i)
{
    return f->step * PCV_MOST_BATCH + (uint64_t)f->place[i];
}

/* ---- memory ---------------------------------------------------------- */

static int most_asked(const pcv_feeding *f, int which)
{
    int all = f->net->answer[which].n, some = 0;
    const pcv_spec *s = pcv_spec_answer(&f->net->spec, which);

    if (s->task == PCV_FILL)    /* half as many again, for the luck of it */
        some = (int)(1.5 * f->run->mask * all) + 8;
    if (s->task == PCV_RECONSTRUCT && f->learn)
        some = f->run->points;
    return some && some < all ? some : all;
}

static int open_target(pcv_feeding *f, int which)
{
    pcv_target *t = &f->target[which];
    size_t outputs = (size_t)f->net->answer[which].outputs;
    int task = pcv_spec_answer(&f->net->spec, which)->task;
    size_t rows;

    t->asked = most_asked(f, which);
    rows = (size_t)f->room * (size_t)t->asked;
    if ((t->asked < f->net->answer[which].n || task == PCV_FILL) &&
        !(t->index = pcv_alloc(rows, sizeof *t->index)))
        return -1;
    t->want = pcv_alloc(rows * outputs, sizeof *t->want);
    return t->want ? 0 : -1;
}

int pcv_feeding_open(pcv_feeding *f, const pcv_net *net, const pcv_run_spec *r,
                     const pcv_columns_of *of, const pcv_split *split,
                     bool learn, int room)
{
    size_t n = (size_t)room;

    *f = (pcv_feeding){ .net = net, .run = r, .of = of, .split = split,
                        .learn = learn, .room = room,
                        .parts = pcv_spec_count(&net->spec) };
    f->place = pcv_alloc(n, sizeof *f->place);
    f->present = pcv_alloc(n, sizeof *f->present);
    f->x = pcv_alloc(n * (size_t)f->parts, sizeof *f->x);
    f->px = pcv_alloc(n * (size_t)f->parts, sizeof *f->px);
    f->what = pcv_alloc(n, sizeof *f->what);
    f->code = pcv_alloc(n, sizeof *f->code);
    if (!f->place || !f->present || !f->x || !f->px || !f->what || !f->code)
        return -1;
    for (int i = 0; i < net->answers; i++)
        if (open_target(f, i) < 0)
            return -1;
    return 0;
}

static void drop_inputs(pcv_feeding *f)
{
    for (int i = 0; f->x && i < f->room * f->parts; i++)
        pcv_array_free(&f->x[i]);
}

void pcv_feeding_close(pcv_feeding *f)
{
    drop_inputs(f);
    for (int i = 0; i < PCV_MOST_PARTS; i++) {
        pcv_free(f->target[i].index);
        pcv_free(f->target[i].want);
    }
    pcv_free(f->place);
    pcv_free(f->present);
    pcv_free(f->x);
    pcv_free(f->px);
    pcv_free(f->what);
    pcv_free(f->code);
    *f = (pcv_feeding){0};
}

/* ---- which parts, in which order ------------------------------------- */

/* Parts are left out each for itself, but never all of them. */
static unsigned parts_of(const pcv_feeding *f, const uint32_t *order, int k)
{
    size_t example = f->split->which[order[k]];
    uint64_t stream = f->step * PCV_MOST_BATCH + (uint64_t)k;
    unsigned have = 0, kept = 0;

    for (int p = 0; p < f->parts; p++)
        if (!part_spec(f, p)->masked &&
            pcv_dataset_has(f->split->data, example, f->of->part[p]))
            have |= 1u << p;
    for (int p = 0; p < f->parts; p++)
        if (f->learn && f->run->drop_parts > 0 &&
            pcv_uniform((uint64_t)f->run->seed + 32452843, stream,
                        (uint64_t)p) < f->run->drop_parts)
            continue;
        else
            kept |= have & 1u << p;
    return kept ? kept : have;
}

/* The places of the batch, those with the same parts together, in the order
 * of the sets' first appearance; of them first .. first+items are ours. */
static void arrange(pcv_feeding *f, const uint32_t *order, int whole)
{
    int at = 0, mine = 0;
    unsigned done[1 << 8 >> 3] = {0};   /* sets that had their turn, as bits */

    for (int i = 0; i < whole && mine < f->items; i++) {
        unsigned set = parts_of(f, order, i);

        if (done[set / 8] & 1u << set % 8)
            continue;
        done[set / 8] |= 1u << set % 8;
        for (int k = i; k < whole && mine < f->items; k++) {
            if (f->parts > 1 && parts_of(f, order, k) != set)
                continue;
            if (at++ < f->first)
                continue;
            f->place[mine] = k;
            f->present[mine++] = f->parts > 1 ? set
                                              : parts_of(f, order, k);
        }
    }
}

int pcv_feed_group(const pcv_feeding *f, int from)
{
    int n = 1;

    while (from + n < f->items && f->present[from + n] == f->present[from])
        n++;
    return n;
}

/* ---- one example ----------------------------------------------------- */

/* Running text begins anywhere within its piece. */
static pcv_media cut_text(const pcv_feeding *f, const pcv_media *m,
                          uint64_t stream)
{
    size_t piece = f->of->columns.piece, n = m->array.dim[0], at = 0;
    pcv_media cut = *m;

    if (f->learn && n > piece)
        at = (size_t)(pcv_uniform((uint64_t)f->run->seed + 49979687, stream, 0)
                      * (double)(n - piece + 1));
    cut.array.dim[0] = n - at < piece ? n - at : piece;
    cut.array.data = (char *)m->array.data + at;
    return cut;
}

static int make_part(pcv_feeding *f, int i, int p)
{
    pcv_dataset *d = f->split->data;
    size_t example = f->split->which[f->order[f->place[i]]];
    uint64_t stream = pcv_feed_stream(f, i);
    const pcv_prep *prep = &part_spec(f, p)->prep;
    pcv_array *x = &f->x[i * f->parts + p];
    const pcv_media *m = pcv_dataset_get(d, example, f->of->part[p]);
    pcv_media cut;

    if (m && f->of->columns.form == PCV_EXAMPLES_TEXT) {
        cut = cut_text(f, m, stream);
        m = &cut;
    }
    if (!m || pcv_prepare(prep, m, pcv_dataset_name(d, example), x) < 0)
        return -1;
    f->px[i * f->parts + p] = x;
    return f->learn ? pcv_augment(f->run, prep, stream, x) : 0;
}

static int make(pcv_feeding *f, int i)
{
    for (int p = 0; p < f->parts; p++) {
        f->px[i * f->parts + p] = NULL;
        if ((f->present[i] & 1u << p) && make_part(f, i, p) < 0)
            return -1;
    }
    return pcv_want(f, i);
}

/* Messages are kept per thread, so a failing example carries its own. */
static void note(pcv_feeding *f, int i, int result)
{
    if (result == 0)
        return;
    f->code[i] = pcv_error_code();
    f->what[i] = pcv_strdup(pcv_error());
    pcv_error_clear();
}

static void make_one(void *arg, int i)
{
    pcv_feeding *f = arg;

    f->code[i] = 0;
    note(f, i, make(f, i));
}

/* ---- two examples in one --------------------------------------------- */

/* share of what item i wants stays, the rest is what the other wanted. */
static void mix_targets(pcv_feeding *f, int i, const real *other, double share)
{
    size_t k = (size_t)f->net->answer[0].outputs;
    real *want = f->target[0].want + (size_t)i * k;

    for (size_t j = 0; j < k; j++)
        want[j] = (real)(share * (double)want[j] +
                         (1 - share) * (double)other[j]);
}

static int mix_item(pcv_feeding *f, int i, const pcv_array *other,
                    const real *want)
{
    uint64_t stream = pcv_feed_stream(f, i);
    double share;

    if (pcv_mix(f->run, &f->net->spec.prep, stream, &f->x[i], other,
                &share) < 0)
        return -1;
    mix_targets(f, i, want, share);
    return 0;
}

/* Neighbours are mixed into each other, 0 with 1, 2 with 3: what each was
 * before is kept for the other. */
static int mix_pair(pcv_feeding *f, int i)
{
    size_t k = (size_t)f->net->answer[0].outputs;
    size_t n = pcv_array_count(&f->x[i]);
    real *want = f->target[0].want + (size_t)i * k;
    real *old = pcv_alloc(k, sizeof *old);
    pcv_array was = f->x[i];
    int r = -1;

    was.data = pcv_alloc(n, sizeof(float));
    if (old && was.data) {
        memcpy(was.data, f->x[i].data, n * sizeof(float));
        memcpy(old, want, k * sizeof *old);
        r = mix_item(f, i, &f->x[i + 1], want + k);
    }
    if (r == 0)
        r = mix_item(f, i + 1, &was, old);
    pcv_free(was.data);
    pcv_free(old);
    return r;
}

static void mix_one(void *arg, int pair)
{
    pcv_feeding *f = arg;
    int i = 2 * pair;

    if (!f->code[i] && !f->code[i + 1])
        note(f, i, mix_pair(f, i));
}

static int report(pcv_feeding *f)
{
    int bad = 0;

    for (int i = 0; i < f->items; i++) {
        if (f->code[i]) {
            pcv_fail(f->code[i], "%s", f->what[i] ? f->what[i]
                                                  : "out of memory");
            bad = -1;
        }
        pcv_free(f->what[i]);
        f->what[i] = NULL;
    }
    return bad;
}

int pcv_feed(pcv_feeding *f, const uint32_t *order, int whole, int first,
             int items, uint64_t step)
{
    drop_inputs(f);
    f->order = order;
    f->first = first;
    f->items = items;
    f->step = step;
    arrange(f, order, whole);
    pcv_parallel(items, make_one, f);
    if (f->learn && (f->run->mixup > 0 || f->run->cutmix > 0))
        pcv_parallel(items / 2, mix_one, f);
    return report(f);
}
