/* feed_test.c - examples in batches: cut in pieces a batch is the same, which
 * parts are left out and how often, and what is wanted of an example, each
 * against what the files hold. */
#include "augment_help.h"
#include "model_help.h"
#include "scratch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

enum { EXAMPLES = 24, SIDE = 4, PIXELS = SIDE * SIDE, CLASSES = 3 };

/* ---- data ------------------------------------------------------------ */

static unsigned char pixel(int example, int i)
{
    return (unsigned char)help_int(40, (uint64_t)(example * PIXELS + i), 0,
                                   255);
}

static int class_of(int example)
{
    return example % CLASSES;
}

static void put(const char *name, pcv_buf *b)
{
    assert_false(b->failed);
    scratch_put(name, b->data, b->len);
    pcv_buf_free(b);
}

/* Pictures, and a list of them with their classes. */
static void put_pictures(void)
{
    static const size_t dim[] = { EXAMPLES, SIDE, SIDE };
    pcv_buf b = {0}, list = {0};

    pcv_npy_header(&b, PCV_U8, 3, dim);
    for (int e = 0; e < EXAMPLES; e++) {
        for (int i = 0; i < PIXELS; i++)
            pcv_buf_printf(&b, "%c", pixel(e, i));
        pcv_buf_printf(&list, "x#%d\t%d\n", e, class_of(e));
    }
    put("x", &b);
    put("list", &list);
}

/* Three inputs of every example, or of those that `some` leaves. */
static void put_parts(bool some)
{
    pcv_buf b = {0};

    put_pictures();
    pcv_buf_puts(&b, "a\tc\tkind\tb\n");
    for (int e = 0; e < EXAMPLES; e++) {
        const char *cell[3];
        char x[16];

        snprintf(x, sizeof x, "x#%d", e);
        for (int p = 0; p < 3; p++)
            cell[p] = some && (e + 1) % 7 >> p & 1 ? "-" : x;
        if (some && (e + 1) % 7 == 0)
            cell[1] = "";
        pcv_buf_printf(&b, "%s\t%s\t%s\t%s\n", cell[0], cell[2],
                       some && e % 5 == 0 ? "-" : e % 2 ? "odd" : "even",
                       cell[1]);
    }
    put("parts", &b);
}

#define ONE "modality=image~height=4~width=4~bands=2;"
#define THREE "latents=3 latent-channels=4 self-heads=2 layers=1 shared=4 " \
    "parts=a~" ONE "b~" ONE "c~modality=array~channels=4~length=4~bands=2;" \
    "kind~modality=class"
#define SMALL "height=4 width=4 bands=2 latents=3 latent-channels=4 " \
    "self-heads=2 layers=1 "

/* ---- a feeding ------------------------------------------------------- */

typedef struct {
    pcv_spec spec;
    pcv_run_spec run;
    pcv_splits s;
    pcv_net net;
    uint32_t order[4 * EXAMPLES];
    int count;
} source;

static void source_open(source *s, const char *settings, const char *run,
                        const char *data)
{
    s->run = augment_settings(run);
    s->run.val_split = 0;
    model_spec(&s->spec, settings);
    if (pcv_augment_check(&s->run, &s->spec) < 0 ||
        pcv_splits_open(&s->s, &s->spec, &s->run, data, NULL) < 0 ||
        pcv_net_build(&s->net, &s->spec) < 0)
        fail_msg("%s: %s", settings, pcv_error());
    s->count = (int)s->s.train.count;
    assert_true(s->count <= 4 * EXAMPLES);
    for (int i = 0; i < s->count; i++)
        s->order[i] = (uint32_t)(i * 5 % s->count);
}

static void source_close(source *s)
{
    pcv_net_free(&s->net);
    pcv_splits_close(&s->s);
    pcv_spec_free(&s->spec);
}

static void feeding_open(pcv_feeding *f, source *s, bool learn)
{
    if (pcv_feeding_open(f, &s->net, &s->run, &s->s.of, &s->s.train, learn,
                         s->count) < 0)
        fail_msg("%s", pcv_error());
}

static void feed(pcv_feeding *f, const source *s, int first, int items,
                 uint64_t step)
{
    if (pcv_feed(f, s->order, s->count, first, items, step) < 0)
        fail_msg("%s", pcv_error());
}

/* The example that item i of a feeding is. */
static int example(const pcv_feeding *f, const source *s, int i)
{
    return (int)f->split->which[s->order[f->place[i]]];
}

/* ---- a batch in pieces ----------------------------------------------- */

static void same_array(const pcv_array *a, const pcv_array *b, const char *what)
{
    assert_int_equal(!a, !b);
    if (!a)
        return;
    assert_int_equal(a->dtype, b->dtype);
    assert_int_equal(a->rank, b->rank);
    assert_memory_equal(a->dim, b->dim, (size_t)a->rank * sizeof *a->dim);
    if (memcmp(a->data, b->data,
               pcv_array_count(a) * pcv_dtype_size(a->dtype)))
        fail_msg("%s: another input", what);
}

/* What begins with NaN may be anything behind it. */
static void same_wish(const pcv_target *t, int k, const pcv_target *u, int i,
                      size_t outputs, const char *what)
{
    const size_t asked = (size_t)t->asked;

    assert_int_equal(t->asked, u->asked);
    assert_int_equal(!t->index, !u->index);
    for (size_t q = 0; q < asked; q++) {
        size_t one = (size_t)k * asked + q, other = (size_t)i * asked + q;
        const real *v = t->want + one * outputs, *w = u->want + other * outputs;

        if (isnan(*v) ? !isnan(*w) : memcmp(v, w, outputs * sizeof *v) != 0)
            fail_msg("%s: item %d wants something else", what, k);
        if (t->index && t->index[one] != u->index[other])
            fail_msg("%s: item %d is asked for something else", what, k);
    }
}

/* Item k of all is item i of the piece. */
static void same_item(const pcv_feeding *all, int k, const pcv_feeding *piece,
                      int i, const char *what)
{
    assert_int_equal(all->place[k], piece->place[i]);
    assert_int_equal(all->present[k], piece->present[i]);
    for (int p = 0; p < all->parts; p++)
        same_array(all->px[k * all->parts + p],
                   piece->px[i * all->parts + p], what);
    for (int a = 0; a < all->net->answers; a++)
        same_wish(&all->target[a], k, &piece->target[a], i,
                  (size_t)all->net->answer[a].outputs, what);
}

static void check_pieces(source *s, bool learn, const int *piece,
                         const char *what)
{
    pcv_feeding all, some;

    feeding_open(&all, s, learn);
    feeding_open(&some, s, learn);
    for (uint64_t step = 0; step < 3; step++) {
        feed(&all, s, 0, s->count, step);
        for (int k = 0, at = 0; at < s->count; at += some.items, k++) {
            int n = piece[k] < s->count - at ? piece[k] : s->count - at;

            feed(&some, s, at, n, step);
            for (int i = 0; i < n; i++)
                same_item(&all, at + i, &some, i, what);
        }
    }
    pcv_feeding_close(&all);
    pcv_feeding_close(&some);
}

static void put_texts(void);

/* What is mixed goes in pairs. */
static void test_pieces(void **state)
{
    static const struct {
        const char *settings, *run, *data;
    } row[] = {
        { SMALL, "shift=1 noise=0.1 label-smoothing=0.1", "list" },
        { SMALL, "mixup=0.5 cutmix=1", "list" },
        { THREE, "drop-parts=0.4 noise=0.1", "parts" },
        { SMALL "task=reconstruct decoder=grid query-bands=2", "points=5",
          "list" },
        { "modality=bytes length=40 position=learned task=fill",
          "examples=lines mask=0.3 hide=0.1", "texts" },
        { "modality=bytes length=17 position=learned task=fill",
          "examples=text mask=0.3 mask-words=no", "running" },
    };
    static const int even[] = { 8, 2, 12, 100 }, odd[] = { 3, 1, 7, 6, 100 };

    (void)state;
    put_parts(true);
    put_texts();
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        source s;

        source_open(&s, row[i].settings, row[i].run, row[i].data);
        check_pieces(&s, true, even, row[i].run);
        check_pieces(&s, false, even, row[i].run);
        if (i != 1)
            check_pieces(&s, true, odd, row[i].run);
        source_close(&s);
    }
}

/* ---- parts ----------------------------------------------------------- */

static unsigned bits_of(const pcv_feeding *f, int i)
{
    unsigned bits = 0;

    for (int p = 0; p < f->parts; p++)
        bits |= f->px[i * f->parts + p] ? 1u << p : 0;
    return bits;
}

/* All that the list has, nothing else; every place once; those of one kind
 * together; a label where there is one. */
static void test_groups(void **state)
{
    pcv_feeding f;
    source s;

    (void)state;
    put_parts(true);
    source_open(&s, THREE, "", "parts");
    feeding_open(&f, &s, true);
    feed(&f, &s, 0, s.count, 0);
    for (int i = 0, n; i < s.count; i += n) {
        n = pcv_feed_group(&f, i);
        for (int k = 0; k < s.count; k++)
            assert_int_equal(bits_of(&f, k) == bits_of(&f, i),
                             k >= i && k < i + n);
    }
    for (int i = 0; i < s.count; i++) {
        int e = example(&f, &s, i);
        unsigned absent = (unsigned)(e + 1) % 7;
        const real *want = f.target[0].want + 2 * i;

        assert_int_equal(bits_of(&f, i), absent ? 7 & ~absent : 5);
        assert_int_equal(isnan(*want) != 0, e % 5 == 0);
        if (e % 5)
            assert_true(want[e % 2] == 1 && want[!(e % 2)] == 0);
        for (int k = 0; k < i; k++)
            assert_int_not_equal(f.place[k], f.place[i]);
    }
    pcv_feeding_close(&f);
    source_close(&s);
}

static void assert_share(double have, double n, double want, const char *what)
{
    double sd = sqrt(want * (1 - want) / n);

    if (!(fabs(have / n - want) <= 5 * sd))
        fail_msg("%s: %g of %g, want a share of %g", what, have, n, want);
}

/* Each with probability p, but not all: those stay whole, so that one of three
 * is gone in p - p^3 of the examples, and none in (1 - p)^3 + p^3. */
static void test_dropped(void **state)
{
    enum { STEPS = 300 };
    const double p = 0.4;
    double gone[3] = {0}, whole = 0, n = 0;
    pcv_feeding f;
    source s;

    (void)state;
    put_parts(false);
    source_open(&s, THREE, "drop-parts=0.4", "parts");
    feeding_open(&f, &s, true);
    for (uint64_t step = 0; step < STEPS; step++) {
        feed(&f, &s, 0, s.count, step);
        for (int i = 0; i < s.count; i++, n++) {
            unsigned bits = bits_of(&f, i);

            assert_true(bits & 7);
            whole += bits == 7;
            for (int k = 0; k < 3; k++)
                gone[k] += !(bits >> k & 1);
        }
    }
    for (int k = 0; k < 3; k++)
        assert_share(gone[k], n, p - pow(p, 3), "a part");
    assert_share(whole, n, pow(1 - p, 3) + pow(p, 3), "none");
    pcv_feeding_close(&f);
    feeding_open(&f, &s, false);
    feed(&f, &s, 0, s.count, 0);
    for (int i = 0; i < s.count; i++)
        assert_int_equal(bits_of(&f, i), 7);
    pcv_feeding_close(&f);
    source_close(&s);
}

/* ---- masked bytes ---------------------------------------------------- */

static char text[EXAMPLES][40];
static int lead;                /* 1: [CLS] stands before a text */

/* Words of 1 to 9 letters with one or two blanks between them. */
static void put_texts(void)
{
    pcv_buf b = {0}, all = {0};

    for (int e = 0; e < EXAMPLES; e++) {
        int n = 20 + e % 15, left = 0;

        for (int i = 0; i < n; i++) {
            uint64_t at = (uint64_t)(e * 100 + i);

            text[e][i] = left ? (char)help_int(45, at, 'a', 'z') : ' ';
            left = left ? left - 1
                   : help_int(46, at, 0, 9) ? help_int(47, at, 1, 9) : 0;
        }
        text[e][n] = '\0';
        pcv_buf_printf(&b, "\t%s\n", text[e]);
        pcv_buf_puts(&all, text[e]);
    }
    put("texts", &b);
    put("running", &all);
}

/* The inputs of texts as nobody has masked them. */
static int original(int e, int k)
{
    int n = (int)strlen(text[e]);

    return k < lead ? PCV_CLS : k == n + lead ? PCV_SEP
           : PCV_FIRST_BYTE + text[e][k - lead];
}

static bool in_word(int e, int k)
{
    int n = (int)strlen(text[e]);

    return k >= lead && k < n + lead && text[e][k - lead] != ' ';
}

/* What is masked is wanted, once and as it was; all else is as it was. */
static int check_masked(const pcv_feeding *f, int i, int e)
{
    const pcv_target *t = &f->target[0];
    const int *index = t->index + i * t->asked;
    int outputs = f->net->answer[0].outputs, found = 0;
    const real *want = t->want + (size_t)(i * t->asked) * (size_t)outputs;
    const int32_t *id = f->px[i]->data;

    assert_int_equal(f->px[i]->dim[0], strlen(text[e]) + 2 * (size_t)lead);
    for (int k = 0; k < (int)f->px[i]->dim[0]; k++) {
        const real *row = want + (size_t)found * (size_t)outputs;

        if (id[k] != PCV_MASK) {
            assert_int_equal(id[k], original(e, k));
            continue;
        }
        assert_true(found < t->asked);
        assert_int_equal(index[found++], k);
        assert_true(original(e, k) >= PCV_FIRST_BYTE);
        for (int v = 0; v < outputs; v++)
            assert_true(row[v] == (v == original(e, k)));
    }
    for (int q = found; q < t->asked; q++)
        assert_true(isnan(want[(size_t)q * (size_t)outputs]));
    return found;
}

/* Words are masked as a whole; the lengths, and their squares, of all. */
static void check_words(const pcv_feeding *f, int i, int e, double sum[2])
{
    const int32_t *id = f->px[i]->data;

    for (int k = lead, n; k < lead + (int)strlen(text[e]); k += n) {
        for (n = 1; in_word(e, k) && in_word(e, k + n); n++)
            if ((id[k] == PCV_MASK) != (id[k + n] == PCV_MASK))
                fail_msg("half of a word of '%s'", text[e]);
        if (in_word(e, k)) {
            sum[0] += n;
            sum[1] += (double)n * n;
        } else {
            assert_int_not_equal(id[k], PCV_MASK);
        }
    }
}

/* The share, within five standard deviations: of words the variance is that
 * of their lengths. */
static void check_mask(const char *run, bool words, double mask, int length)
{
    enum { STEPS = 150 };
    char settings[200];
    double masked = 0, sum[2] = {0}, n, variance;
    pcv_feeding f;
    source s;

    snprintf(settings, sizeof settings, "modality=bytes length=%d "
             "position=learned task=fill special=%s", length,
             lead ? "yes" : "no");
    source_open(&s, settings, run, "texts");
    feeding_open(&f, &s, true);
    for (uint64_t step = 0; step < STEPS; step++) {
        feed(&f, &s, 0, s.count, step);
        for (int i = 0; i < s.count; i++) {
            int e = example(&f, &s, i);

            masked += check_masked(&f, i, e);
            if (words)
                check_words(&f, i, e, sum);
            else
                sum[0] += (double)strlen(text[e]);
        }
    }
    n = sum[0];
    variance = mask * (1 - mask) * (words ? sum[1] : n);
    if (!(fabs(masked - mask * n) <= 5 * sqrt(variance)))
        fail_msg("%s: %g of %g bytes are masked", run, masked, n);
    pcv_feeding_close(&f);
    source_close(&s);
}

static void test_masked(void **state)
{
    (void)state;
    lead = 1;
    put_texts();
    check_mask("examples=lines mask=0.15 mask-words=no", false, 0.15, 60);
    check_mask("examples=lines mask=0.7 mask-words=no", false, 0.7, 60);
    check_mask("examples=lines mask=0.15", true, 0.15, 200);
    check_mask("examples=lines mask=0.5", true, 0.5, 60);
    lead = 0;
    check_mask("examples=lines mask=0.15 mask-words=no", false, 0.15, 60);
    check_mask("examples=lines mask=0.5", true, 0.5, 60);
    lead = 1;
}

/* Where there are more masked bytes than are asked for, words stay whole; of a
 * text that is one word as many are asked for as there is room. */
static void test_no_room(void **state)
{
    enum { LONG = 30 };
    double sum[2];
    int full = 0;
    pcv_feeding f;
    source s;

    (void)state;
    lead = 1;
    put_texts();
    scratch_puts("one", "\tabcdefghijklmnopqrstuvwxyzabcd\n");
    source_open(&s, "modality=bytes length=36 position=learned task=fill",
                "examples=lines mask=0.3", "texts");
    feeding_open(&f, &s, true);
    for (uint64_t step = 0; step < 200; step++) {
        feed(&f, &s, 0, s.count, step);
        for (int i = 0; i < s.count; i++) {
            int e = example(&f, &s, i), n = check_masked(&f, i, e);

            check_words(&f, i, e, sum);
            full += n > f.target[0].asked - 9;
        }
    }
    assert_true(full > 20);             /* the case is met */
    pcv_feeding_close(&f);
    source_close(&s);
    source_open(&s, "modality=bytes length=36 position=learned task=fill",
                "examples=lines mask=0.3", "one");
    feeding_open(&f, &s, true);
    full = 0;
    for (uint64_t step = 0; step < 50; step++) {
        feed(&f, &s, 0, 1, step);
        full += pcv_wanted(&f, 0, 0, 1) > 0;
        assert_true(f.target[0].asked < LONG);
    }
    assert_true(full > 2);
    pcv_feeding_close(&f);
    source_close(&s);
}

/* Evaluation masks an example alike whenever, and with whomever, it comes. */
static void test_masked_alike(void **state)
{
    pcv_feeding f, g;
    source s;

    (void)state;
    put_texts();
    source_open(&s, "modality=bytes length=60 position=learned task=fill",
                "examples=lines mask=0.3", "texts");
    feeding_open(&f, &s, false);
    feeding_open(&g, &s, false);
    feed(&f, &s, 0, s.count, 0);
    for (int i = 0; i < s.count; i++) {
        uint32_t alone = s.order[i];

        if (pcv_feed(&g, &alone, 1, 0, 1, (uint64_t)i + 9) < 0)
            fail_msg("%s", pcv_error());
        same_array(f.px[i], g.px[0], "alone");
        assert_memory_equal(f.target[0].index + i * f.target[0].asked,
                            g.target[0].index,
                            (size_t)f.target[0].asked * sizeof(int));
    }
    pcv_feeding_close(&f);
    pcv_feeding_close(&g);
    source_close(&s);
}

/* Pieces begin anywhere in theirs when something is learned, and at its
 * beginning when not. */
static void test_running(void **state)
{
    enum { PIECE = 15 };
    static char all[EXAMPLES * 40];
    int moved[PIECE + 1] = {0};
    pcv_feeding f;
    source s;

    (void)state;
    put_texts();
    for (int e = 0; e < EXAMPLES; e++)
        strcat(all, text[e]);
    all[20 * PIECE + 3] = '\0';         /* the last one is 3 bytes */
    scratch_puts("some", all);
    source_open(&s, "modality=bytes length=17 position=learned task=fill",
                "examples=text mask=0.001", "some");
    assert_int_equal(s.count, 21);
    for (int learn = 0; learn < 2; learn++) {
        feeding_open(&f, &s, learn);
        for (uint64_t step = 0; step < 20; step++) {
            feed(&f, &s, 0, s.count, step);
            for (int i = 0; i < s.count; i++) {
                int e = example(&f, &s, i), n = (int)f.px[i]->dim[0] - 2;
                int most = learn ? e == 20 ? 0 : e == 19 ? 3 : PIECE : 0;
                const int32_t *id = (int32_t *)f.px[i]->data + 1;
                int at = 0, k;

                assert_int_equal(n, e == 20 ? 3 : PIECE);
                for (; at <= most; at++) {
                    for (k = 0; k < n; k++)
                        if (id[k] != PCV_MASK && id[k] != PCV_FIRST_BYTE +
                                all[e * PIECE + at + k])
                            break;
                    if (k == n)
                        break;
                }
                assert_true(at <= most);
                moved[at] += learn;
            }
        }
        pcv_feeding_close(&f);
    }
    for (int at = 0; at <= PIECE; at++)
        assert_true(moved[at] > 5);     /* of 420 */
    source_close(&s);
}

/* ---- the input itself ------------------------------------------------ */

/* Element q, channel k of example e as the test's own files have it. */
static double element(int modality, int e, int q, int k)
{
    if (modality == PCV_IMAGE)          /* [2][3][4] */
        return e + 0.01 * (k * 12 + q);
    if (modality == PCV_VIDEO)          /* [2][3][2][2] */
        return e + 0.01 * (((q / 4) * 3 + k) * 4 + q % 4);
    q = q * 4 + k;                      /* [18] in patches of 4 */
    return q < 18 ? e + 0.01 * q : 0;
}

static void check_input(const char *settings, const char *run, int modality,
                        int rank, const size_t *dim)
{
    size_t n = 1, file[6] = { 5 };
    pcv_buf b = {0}, list = {0};
    pcv_feeding f;
    source s;

    for (int i = 0; i < rank; i++)
        n *= file[i + 1] = dim[i];
    pcv_npy_header(&b, PCV_F32, rank + 1, file);
    for (int e = 0; e < 5; e++) {
        for (size_t i = 0; i < n; i++)
            pcv_buf_add(&b, &(float){ (float)(e + 0.01 * (double)i) },
                        sizeof(float));
        pcv_buf_printf(&list, "y#%d\n", e);
    }
    put("y", &b);
    put("inputs", &list);
    source_open(&s, settings, run, "inputs");
    for (int learn = 0; learn < 2; learn++) {
        const pcv_target *t = &f.target[0];
        int seen = 0;

        feeding_open(&f, &s, learn);
        feed(&f, &s, 0, s.count, 3);
        assert_int_equal(t->asked, learn && s.run.points ? s.run.points
                                                         : s.net.answer[0].n);
        for (int i = 0; i < 5 * t->asked; i++) {
            int outputs = s.net.answer[0].outputs;
            int q = t->index ? t->index[i] : i % t->asked;

            assert_true(q >= 0 && q < s.net.answer[0].n);
            seen |= 1 << q;
            for (int k = 0; k < outputs; k++)
                help_below(fabs((double)t->want[i * outputs + k] -
                                element(modality, example(&f, &s, i / t->asked),
                                        q, k)), 1e-6, settings, q);
        }
        if (!learn)
            assert_int_equal(seen, (1 << s.net.answer[0].n) - 1);
        pcv_feeding_close(&f);
    }
    source_close(&s);
}

static void test_input(void **state)
{
    static const size_t picture[] = { 2, 3, 4 }, sound[] = { 18 },
                        video[] = { 2, 3, 2, 2 };
#define AGAIN "task=reconstruct decoder=grid query-bands=2 "

    (void)state;
    for (int i = 0; i < 2; i++) {
        const char *run = i ? "points=7" : "";

        check_input(AGAIN "channels=2 height=3 width=4", run, PCV_IMAGE, 3,
                    picture);
        check_input(AGAIN "modality=sound samples=18 patch=4 level=0",
                    i ? "points=3" : "", PCV_SOUND, 1, sound);
        check_input(AGAIN "modality=video frames=2 channels=3 height=2 width=2",
                    run, PCV_VIDEO, 4, video);
    }
}

/* ---- labels ---------------------------------------------------------- */

static void test_smoothing(void **state)
{
    source s;

    (void)state;
    put_pictures();
    source_open(&s, SMALL, "label-smoothing=0.3", "list");
    for (int learn = 0; learn < 2; learn++) {
        double smooth = learn ? 0.3 : 0;
        pcv_feeding f;

        feeding_open(&f, &s, learn);
        feed(&f, &s, 0, s.count, 0);
        for (int i = 0; i < s.count; i++)
            for (int k = 0; k < CLASSES; k++)
                help_below(fabs((double)f.target[0].want[i * CLASSES + k] -
                                (smooth / CLASSES + (1 - smooth) *
                                 (k == class_of(example(&f, &s, i))))),
                           1e-6, "smoothed", learn);
        pcv_feeding_close(&f);
    }
    source_close(&s);
}

/* Neighbours are mixed: shares of the two classes that make one, and the same
 * shares of the two pictures as they were. */
static void check_mixed(const char *run, bool blend, int items)
{
    int mixed = 0;
    pcv_feeding f, g;
    source s, plain;

    source_open(&s, SMALL, run, "list");
    source_open(&plain, SMALL, "", "list");
    feeding_open(&f, &s, true);
    feeding_open(&g, &plain, true);
    feed(&f, &s, 0, items, 4);
    feed(&g, &plain, 0, items, 4);
    for (int i = 0; i < items; i++) {
        int with = (i ^ 1) < items ? i ^ 1 : i;
        int a = class_of(example(&f, &s, i));
        int b = class_of(example(&f, &s, with));
        const real *want = f.target[0].want + i * CLASSES;
        const float *x = f.px[i]->data, *u = g.px[i]->data;
        const float *v = g.px[with]->data;
        double share = (double)want[a], sum = 0;

        for (int k = 0; k < CLASSES; k++) {
            assert_true(k == a || k == b ? want[k] >= 0 : want[k] == 0);
            sum += (double)want[k];
        }
        help_below(fabs(sum - 1), 1e-6, "sum", i);
        mixed += share < 0.99;
        if (a == b)
            continue;
        for (int k = 0; k < PIXELS; k++)
            if (blend)
                help_below(fabs((double)x[k] - share * (double)u[k] -
                                (1 - share) * (double)v[k]), 1e-5, run, i);
            else
                assert_true(x[k] == u[k] || x[k] == v[k]);
    }
    assert_true(mixed > items / 3);
    pcv_feeding_close(&f);
    pcv_feeding_close(&g);
    source_close(&s);
    source_close(&plain);
}

static void test_mixed(void **state)
{
    (void)state;
    put_pictures();
    check_mixed("mixup=1", true, EXAMPLES);
    check_mixed("mixup=1", true, EXAMPLES - 1);
    check_mixed("cutmix=1", false, EXAMPLES);
}

/* ---- a whole split --------------------------------------------------- */

/* Cross-entropy of one example by itself, and whether it is right. */
static double alone(const pcv_net *n, const pcv_feeding *f, int i, int class,
                    double *right)
{
    const pcv_pass pass = {0};
    pcv_session s;
    double p[2];

    pcv_session_open(&s, n, false, 1);
    if (pcv_session_bind(&s, f->px + i * f->parts, 1) < 0)
        fail_msg("%s", pcv_error());
    pcv_session_encode(&s, &pass);
    pcv_session_decode(&s, &pass, 0, NULL, 1);
    for (int k = 0; k < 2; k++)
        p[k] = exp((double)s.out[k]);
    *right += p[class] > p[!class];
    pcv_session_close(&s);
    return -log(p[class] / (p[0] + p[1]));
}

/* Examples with other parts, and without a label: each by itself. */
static void test_evaluated(void **state)
{
    const pcv_evaluation_how how = {0};
    pcv_score answer[PCV_MOST_PARTS], all;
    double loss = 0, right = 0, n = 0;
    pcv_feeding f;
    source s;

    (void)state;
    put_parts(true);
    source_open(&s, THREE "~loss-weight=0.25", "drop-parts=0.5", "parts");
    help_params(&s.net.params, 12);
    feeding_open(&f, &s, false);
    feed(&f, &s, 0, s.count, 0);
    for (int i = 0; i < s.count; i++) {
        int e = example(&f, &s, i);

        if (e % 5 == 0)
            continue;
        loss += alone(&s.net, &f, i, e % 2, &right);
        n++;
    }
    if (pcv_training_evaluate(&s.net, &s.run, &s.s.of, &s.s.train, &how,
                              answer, &all) < 0)
        fail_msg("%s", pcv_error());
    help_below(fabs(answer[0].loss - loss / n), 1e-5, "loss", 0);
    help_below(fabs(all.loss - loss / n / 4), 1e-5, "weighted", 0);
    help_below(fabs(answer[0].accuracy - right / n), 1e-12, "accuracy", 0);
    help_below(fabs(all.accuracy - right / n), 1e-12, "accuracy", 1);
    assert_true(right > 0 && right < n);
    pcv_feeding_close(&f);
    source_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_pieces),
        TEST(test_groups),
        TEST(test_dropped),
        TEST(test_masked),
        TEST(test_no_room),
        TEST(test_masked_alike),
        TEST(test_running),
        TEST(test_input),
        TEST(test_smoothing),
        TEST(test_mixed),
        TEST(test_evaluated),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
