/* nested_test.c - models that work with fewer latents: which counts there are,
 * which a step draws, that the first latents are a model of their own, and
 * which count is chosen where that is known beforehand. */
#include "augment_help.h"
#include "model_help.h"
#include "scratch.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

#define SMALL "latent-channels=4 self-heads=2 outputs=3 height=4 width=5 " \
    "bands=2 "

/* ---- counts ---------------------------------------------------------- */

static void test_counts(void **state)
{
    static const char *const bad[] = { "0", "8", "2,2", "4,2", "x", "2,,4",
                                       "2.5", "-1", "2 4",
        "1,2,3,4,5,6,7,8", ",2" };
    int count[PCV_MOST_COUNTS];
    pcv_spec s;

    (void)state;
    model_spec(&s, "latents=8 nested=1,2,7");
    assert_int_equal(pcv_nested_counts(&s, count), 3);
    assert_true(count[0] == 1 && count[1] == 2 && count[2] == 7);
    for (size_t i = 0; i < PCV_LEN(bad); i++) {
        snprintf(s.nested, sizeof s.nested, "%s", bad[i]);
        if (pcv_nested_counts(&s, count) != -1)
            fail_msg("'%s' was taken", bad[i]);
        assert_failed(EX_USAGE, "want rising counts below the 8 latents");
    }
    pcv_spec_free(&s);
}

static void assert_share(double have, double n, double want, int count)
{
    if (!(fabs(have / n - want) <= 5 * sqrt(want * (1 - want) / n)))
        fail_msg("%d latents in %g of %g steps", count, have, n);
}

/* Half of the steps all of them, the others each count alike; another seed
 * draws others. */
static void test_draws(void **state)
{
    enum { STEPS = 20000 };
    int drawn[9] = {0}, same = 0;
    pcv_spec s;

    (void)state;
    model_spec(&s, "latents=8 nested=1,3,4");
    for (uint64_t step = 0; step < STEPS; step++) {
        int n = pcv_nested_draw(&s, 5, step);

        assert_true(n >= 1 && n <= 8);
        drawn[n]++;
        same += n == pcv_nested_draw(&s, 6, step);
    }
    for (int n = 0; n <= 8; n++)
        assert_share(drawn[n], STEPS, n == 8 ? 0.5 : n == 1 || n == 3 || n == 4
                                                   ? 0.5 / 3 : 0, n);
    assert_share(same, STEPS, 0.25 + 3 / 36.0, 0);
    *s.nested = '\0';
    for (uint64_t step = 0; step < 50; step++)
        assert_int_equal(pcv_nested_draw(&s, 5, step), 8);
    pcv_spec_free(&s);
}

/* ---- the first latents alone ----------------------------------------- */

#define PARTS "latent-channels=4 self-heads=2 shared=4 parts=image~" \
    "modality=image~height=4~width=4~bands=2;kind~modality=class~channels=2~" \
    "outputs=2"
static const char *const kinds[] = {
    SMALL, SMALL "decoder=mean cross-attends=2", SMALL "decoder-heads=2",
    SMALL "task=reconstruct decoder=grid query-bands=2 channels=3", PARTS,
};

/* The same weights, but of the latents the first two rows alone. */
static void cut_by_hand(const pcv_net *from, pcv_net *to)
{
    for (int i = 0; i < to->params.count; i++) {
        pcv_param *q = to->params.param[i];
        const pcv_param *p = pcv_params_find(&from->params, q->name);

        assert_non_null(p);
        if (strcmp(q->name, "perceiver.embeddings.latents"))
            assert_int_equal(p->count, q->count);
        else
            assert_int_equal(q->count, 2 * from->spec.d);
        memcpy(q->w, p->w, q->count * sizeof *q->w);
    }
}

static model_case case_of(const char *settings, char text[400], int latents,
                          int used)
{
    snprintf(text, 400, "latents=%d %s%s", latents, settings,
             latents == 6 ? " nested=1,2,3" : "");
    return (model_case){ text, text, {0}, 0, 0, 0, used };
}

static void test_first(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(kinds); i++) {
        char text[2][400];
        model_case whole = case_of(kinds[i], text[0], 6, 2);
        model_case small = case_of(kinds[i], text[1], 2, 0);
        model m, n;
        size_t rows;

        model_open(&m, &whole);
        model_open(&n, &small);
        cut_by_hand(&m.net, &n.net);
        model_session(&n, PCV_FORM_AUTO, 0);
        if (model_loss(&m) != model_loss(&n))
            fail_msg("%s: another loss", kinds[i]);
        rows = (size_t)(MODEL_ITEMS * m.feed.target[0].asked *
                        m.net.answer[0].outputs);
        assert_memory_equal(m.s.out, n.s.out, rows * sizeof(real));
        pcv_nested_cut(&m.net, 2);
        assert_string_equal(m.net.spec.nested, "1");
        assert_int_equal(m.net.latents->count, n.net.latents->count);
        assert_int_equal(pcv_net_save(&m.net, "."), 0);
        model_close(&m);
        assert_int_equal(pcv_net_load(&m.net, "."), 0);
        assert_int_equal(m.net.spec.latents, 2);
        for (int k = 0; k < n.net.params.count; k++) {
            const pcv_param *q = n.net.params.param[k];
            const pcv_param *p = pcv_params_find(&m.net.params, q->name);

            for (size_t j = 0; j < q->count; j++)
                if ((float)p->w[j] != (float)q->w[j])
                    fail_msg("%s: %s is not what was cut by hand", kinds[i],
                             q->name);
        }
        pcv_net_free(&m.net);
        model_close(&n);
    }
}

/* ---- the smallest that is good enough -------------------------------- */

/* With weights of zero the latents stay as they are, and a mean decoder says
 * head x their mean, whatever it looks at. */
static void still(pcv_net *n, const real *latents, const real *head)
{
    memset(n->params.w, 0, n->params.total * sizeof(real));
    memcpy(n->latents->w, latents, n->latents->count * sizeof(real));
    memcpy(n->answer[0].head.w->w, head,
           n->answer[0].head.w->count * sizeof(real));
}

typedef struct {
    int latents[4], n;
    pcv_score score[4];
} told;

static void tell(void *arg, int latents, const pcv_score *score)
{
    told *t = arg;

    assert_true(t->n < 4);
    t->latents[t->n] = latents;
    t->score[t->n++] = *score;
}

static void open_still(pcv_net *n, pcv_splits *s, pcv_run_spec *r,
                       const char *task, const char *list)
{
    char settings[200];
    pcv_spec spec;

    *r = augment_settings("val-split=0");
    snprintf(settings, sizeof settings, "latents=4 latent-channels=4 "
             "self-heads=2 layers=1 height=1 width=2 bands=1 decoder=mean "
             "nested=1,2 task=%s", task);
    model_spec(&spec, settings);
    scratch_put("x.pgm", "P5 2 1 255\nab", 13);
    scratch_puts("list", list);
    if (pcv_splits_open(s, &spec, r, "list", "list") < 0 ||
        pcv_net_build(n, &spec) < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(pcv_net_init(n, 0), 0);
    pcv_spec_free(&spec);
}

/* One latent says c, two of them b, all of them a: right 1, 3 and 6 times of
 * 10. */
static void test_chosen(void **state)
{
    static const real latents[16] = { 0, 0, 1, 0,  0, 3, 0, 0,
                                      9, 0, 0, 0,  9, 0, 0, 0 };
    static const real head[12] = { 1, 0, 0, 0,  0, 1, 0, 0,  0, 0, 1, 0 };
    static const struct {
        double margin;
        int want, tried;
    } row[] = {
        { 0, 4, 3 }, { 29.9, 4, 3 }, { 30.1, 2, 3 }, { 49.9, 2, 3 },
        { 50.1, 1, 2 }, { 100, 1, 2 },
    };
    static const double right[] = { 0.6, 0.1, 0.3 };
    static const int order[] = { 4, 1, 2 };
    pcv_run_spec r;
    pcv_splits s;
    pcv_net n;

    (void)state;
    open_still(&n, &s, &r, "classify", "x.pgm\ta\nx.pgm\ta\nx.pgm\ta\n"
               "x.pgm\tb\nx.pgm\ta\nx.pgm\tb\nx.pgm\ta\nx.pgm\tc\nx.pgm\tb\n"
               "x.pgm\ta\n");
    still(&n, latents, head);
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        told t = {0};

        r.margin = row[i].margin;
        assert_int_equal(pcv_nested_choose(&n, &r, &s, NULL, tell, &t),
                         row[i].want);
        assert_int_equal(t.n, row[i].tried);
        for (int k = 0; k < t.n; k++) {
            assert_int_equal(t.latents[k], order[k]);
            help_below(fabs(t.score[k].accuracy - right[k]), 1e-12, "share", k);
        }
    }
    pcv_net_free(&n);
    pcv_splits_close(&s);
}

/* Numbers have no accuracy: of the loss, a share more.  4 is wanted; one latent
 * says 0, two say 1, all say 2: losses of 16, 9 and 4. */
static void test_chosen_by_loss(void **state)
{
    static const real latents[16] = { 0, 0, 0, 0,  2, 0, 0, 0,
                                      2, 0, 0, 0,  4, 0, 0, 0 };
    static const real head[4] = { 1, 0, 0, 0 };
    static const struct {
        double margin;
        int want;
    } row[] = { { 0, 4 }, { 99, 4 }, { 100, 4 } };
    pcv_run_spec r;
    pcv_splits s;
    pcv_net n;

    (void)state;
    open_still(&n, &s, &r, "values", "x.pgm\t4\nx.pgm\t4\n");
    still(&n, latents, head);
    for (size_t i = 0; i < PCV_LEN(row); i++) {
        r.margin = row[i].margin;
        assert_int_equal(pcv_nested_choose(&n, &r, &s, NULL, NULL, NULL),
                         row[i].want);
    }
    for (double margin = 122; margin < 350; margin += 10) {
        r.margin = margin;
        assert_int_equal(pcv_nested_choose(&n, &r, &s, NULL, NULL, NULL),
                         margin > 300 ? 1 : margin > 125 ? 2 : 4);
    }
    pcv_net_free(&n);
    pcv_splits_close(&s);
}

int main(void)
{
    const struct CMUnitTest all[] = {
        cmocka_unit_test(test_counts), cmocka_unit_test(test_draws),
        TEST(test_first), TEST(test_chosen), TEST(test_chosen_by_loss),
    };

    return cmocka_run_group_tests(all, NULL, NULL);
}
