/* tune_test.c - models that begin from others: what they take of them, what
 * they keep, what moves; published models that learn something else; and a run
 * that goes on when what it began from is gone. */
#include "augment_help.h"
#include "model_help.h"
#include "scratch.h"

#include "../lib/pcv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEST(f) cmocka_unit_test_setup_teardown(f, scratch_open, scratch_close)

enum { PATH = 4096 };
static char tests[PATH];        /* the directory, from the root */

#define SMALL "height=4 width=4 bands=2 latents=3 latent-channels=4 " \
    "self-heads=2 layers=1 "
#define PARTS "latents=3 latent-channels=4 self-heads=2 layers=1 shared=4 " \
    "parts=image~modality=image~height=4~width=4~bands=2;" \
    "kind~modality=class~channels=2~outputs=2;" \
    "sort~modality=class~channels=3~outputs=3"

static void net_open(pcv_net *n, const char *settings, uint64_t stream)
{
    pcv_spec spec;

    model_spec(&spec, settings);
    if (pcv_net_build(n, &spec) < 0)
        fail_msg("%s: %s", settings, pcv_error());
    help_params(&n->params, stream);
    pcv_spec_free(&spec);
}

/* ---- what is taken --------------------------------------------------- */

#define HEAD "perceiver.decoder.decoder.final_layer."
#define PARTS_HEAD "perceiver.output_postprocessor.modalities."

/* What two models differ in, by hand: `fresh` are the names that the second
 * one does not find in the first. */
static const struct {
    const char *name, *from, *to, *fresh;
} pairs[] = {
    { "the same", SMALL "outputs=3", SMALL "outputs=3", NULL },
    { "other classes", SMALL "outputs=3", SMALL "outputs=5",
      HEAD "weight\n" HEAD "bias\n" },
    { "latents", SMALL "outputs=3", SMALL "outputs=3 latents=5",
      "perceiver.embeddings.latents\n" },
    { "of the mean", SMALL "outputs=3 decoder=mean",
      SMALL "outputs=4 decoder=mean", "head.weight\nhead.bias\n" },
    { "one more part", PARTS, PARTS "~;more~modality=class~channels=3~"
      "outputs=3", "perceiver.input_preprocessor.mask.more\n"
      "perceiver.input_preprocessor.padding.more\n"
      "perceiver.decoder.modalities.more.decoder.output_position_encodings."
      "position_embeddings\n" "perceiver.decoder.padding.more\n"
      PARTS_HEAD "more.classifier.weight\n"
      PARTS_HEAD "more.classifier.bias\n" },
};

static bool is_line(const char *text, const char *name)
{
    size_t n = strlen(name);

    for (const char *s = text; (s = strstr(s, name)); s += n)
        if ((s == text || s[-1] == '\n') && s[n] == '\n')
            return true;
    return false;
}

static size_t lines(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void check_pair(const pcv_net *from, const pcv_net *to,
                       const real *before, const char *fresh, const char *what)
{
    for (int i = 0; i < to->params.count; i++) {
        const pcv_param *q = to->params.param[i];
        const pcv_param *p = pcv_params_find(&from->params, q->name);
        bool is_new = fresh && is_line(fresh, q->name);

        if (!is_new)
            assert_non_null(p);
        if (memcmp(q->w, is_new ? before + (q->w - to->params.w) : p->w,
                   q->count * sizeof *q->w))
            fail_msg("%s: %s is not as it should be", what, q->name);
    }
}

static void test_taken(void **state)
{
    (void)state;
    for (size_t i = 0; i < PCV_LEN(pairs); i++) {
        const char *want = pairs[i].fresh ? pairs[i].fresh : "";
        pcv_buf fresh = {0};
        pcv_net from, to;
        real *before;

        net_open(&from, pairs[i].from, 3);
        net_open(&to, pairs[i].to, 4);
        before = pcv_alloc(to.params.total, sizeof *before);
        memcpy(before, to.params.w, to.params.total * sizeof *before);
        assert_int_equal(pcv_net_save(&from, "."), 0);
        assert_int_equal(pcv_tune_init(&to, ".", &fresh), 0);
        if (lines(want) != lines(fresh.data ? fresh.data : ""))
            fail_msg("%s: new are\n%s", pairs[i].name, fresh.data);
        check_pair(&from, &to, before, fresh.data, pairs[i].name);
        for (const char *s = want; *s; s += strcspn(s, "\n") + 1) {
            char name[200];

            snprintf(name, sizeof name, "%.*s", (int)strcspn(s, "\n"), s);
            if (!is_line(fresh.data, name))
                fail_msg("%s: %s is not new", pairs[i].name, name);
        }
        pcv_buf_free(&fresh);
        pcv_free(before);
        pcv_net_free(&from);
        pcv_net_free(&to);
    }
}

/* ---- what moves ------------------------------------------------------ */

static bool begins(const char *s, const char *with)
{
    return strncmp(s, with, strlen(with)) == 0;
}

/* By the names of pcv-model(5).  Parts have a layer of their own each behind
 * one that they share. */
static bool moves(const char *name, int freeze, bool parts)
{
    if (freeze == PCV_FREEZE_NONE)
        return true;
    if (freeze == PCV_FREEZE_BODY)
        return begins(name, parts ? PARTS_HEAD : HEAD) || begins(name, "head.");
    return begins(name, "perceiver.decoder.") || begins(name, PARTS_HEAD) ||
           begins(name, "head");
}

/* What is added to every key alike changes no attention. */
static bool is_idle(const char *name)
{
    const char *end = strstr(name, "self.key.bias");

    return end && !strcmp(end, "self.key.bias");
}

static void put_pictures(void)
{
    char name[32], data[64];

    for (int e = 0; e < 6; e++) {
        int n = snprintf(data, sizeof data, "P5 4 4 255\n");

        for (int i = 0; i < 16; i++)
            data[n + i] = (char)help_int(8, (uint64_t)(16 * e + i), 0, 255);
        snprintf(name, sizeof name, "set/%c/%d.pgm", 'a' + e % 3, e);
        scratch_put(name, data, (size_t)n + 16);
    }
    scratch_puts("list", "kind\timage\tsort\nx\tset/a/0.pgm\t1\n"
                 "y\tset/b/1.pgm\t2\ny\tset/c/2.pgm\t3\nx\tset/a/3.pgm\t1\n");
}

static void check_moved(const char *settings, const char *data, int freeze)
{
    static const char *const word[] = { "none", "encoder", "body" };
    char run[200];
    pcv_training t = { .data = data, .dir = "to" };
    pcv_net from, to;

    net_open(&from, settings, 3);
    assert_int_equal(pcv_net_save(&from, "."), 0);
    model_spec(&t.spec, settings);
    snprintf(run, sizeof run, "init=. freeze=%s steps=5 batch-size=4 warmup=0 "
             "val-split=0 learning-rate=1e-2 weight-decay=0.5", word[freeze]);
    t.run = augment_settings(run);
    if (pcv_training_run(&t) < 0 || pcv_net_load(&to, "to") < 0)
        fail_msg("%s: %s", settings, pcv_error());
    for (int i = 0; i < to.params.count; i++) {
        const pcv_param *q = to.params.param[i];
        const pcv_param *p = pcv_params_find(&from.params, q->name);
        bool moved = memcmp(p->w, q->w, q->count * sizeof *q->w) != 0;
        bool want = moves(q->name, freeze, to.spec.parts > 0);

        if (want ? !moved && !is_idle(q->name) : moved)
            fail_msg("freeze=%s: %s %s", word[freeze], q->name,
                     moved ? "moved" : "did not move");
    }
    pcv_net_free(&from);
    pcv_net_free(&to);
    pcv_spec_free(&t.spec);
}

static void test_moves(void **state)
{
    (void)state;
    put_pictures();
    for (int freeze = PCV_FREEZE_NONE; freeze <= PCV_FREEZE_BODY; freeze++) {
        check_moved(SMALL "outputs=3", "set", freeze);
        check_moved(SMALL "outputs=3 decoder=mean cross-attends=2 "
                    "head-norm=yes head-hidden=yes", "set", freeze);
        check_moved(PARTS, "list", freeze);
    }
}

/* A frozen encoder leaves the other gradients as they are. */
static void test_gradients(void **state)
{
    static const model_case rows[] = {
        { "pictures", SMALL "outputs=3", {0}, 0, 0.2, 0, 0 },
        { "parts", PARTS, {0}, 0, 0.2, 0, 0 },
    };

    (void)state;
    for (size_t i = 0; i < PCV_LEN(rows); i++) {
        model all, some;

        model_open(&all, &rows[i]);
        model_step(&all);
        model_open(&some, &rows[i]);
        model_step(&some);
        memset(some.net.params.g, 0, some.net.params.total * sizeof(real));
        pcv_tune_freeze(&some.net, PCV_FREEZE_ENCODER);
        pcv_session_encode(&some.s, &some.pass);
        pcv_session_backward_start(&some.s);
        for (int a = 0; a < some.net.answers; a++) {
            double n = pcv_wanted(&some.feed, a, 0, MODEL_ITEMS);
            const pcv_target *t = &some.feed.target[a];
            pcv_tally tally = {0};

            pcv_session_decode(&some.s, &some.pass, a, t->index, t->asked);
            pcv_objective(&some.s, &some.feed, a, 0, 1 / n, &tally);
            pcv_session_backward_answer(&some.s, &some.pass, t->asked);
        }
        for (int k = 0; k < all.net.params.count; k++) {
            const pcv_param *p = all.net.params.param[k];
            const real *g = some.net.params.g + (p->g - all.net.params.g);
            bool learns = moves(p->name, PCV_FREEZE_ENCODER, i == 1);

            for (size_t j = 0; j < p->count; j++)
                if (g[j] != (learns ? p->g[j] : 0))
                    fail_msg("%s: another gradient of %s", rows[i].name,
                             p->name);
        }
        model_close(&all);
        model_close(&some);
    }
}

/* ---- published models ------------------------------------------------ */

static void copy_file(const char *from, const char *to, const char *name)
{
    char path[PATH + 64];
    pcv_file f;

    snprintf(path, sizeof path, "%s/%s", from, name);
    if (pcv_file_open(&f, path, 0) < 0)
        fail_msg("%s", pcv_error());
    snprintf(path, sizeof path, "%s/%s", to, name);
    scratch_put(path, f.data, f.size);
    pcv_file_close(&f);
}

/* Six pictures of three colours in folders of three classes; lines of text. */
static void put_examples(void)
{
    pcv_buf text = {0};
    char name[32];

    for (int e = 0; e < 6; e++) {
        pcv_buf b = {0};

        pcv_buf_printf(&b, "P6 12 10 255\n");
        for (int i = 0; i < 360; i++)
            pcv_buf_printf(&b, "%c", i % 3 == e % 3 ? 250 - e : 10 + e);
        snprintf(name, sizeof name, "colours/%c/%d.ppm", 'r' + e % 3, e);
        scratch_put(name, b.data, b.len);
        pcv_buf_free(&b);
        pcv_buf_printf(&text, "%d\tthe %s word of line %d\n", e % 2,
                       e % 2 ? "other" : "first", e);
    }
    scratch_put("lines", text.data, text.len);
    pcv_buf_free(&text);
}

typedef struct {
    uint64_t stop;
    double first, last;         /* losses of steps */
    char fresh[2000];
} watcher;

static int watch(void *arg, const pcv_progress *e)
{
    watcher *w = arg;

    if (!strcmp(e->event, "start") && e->text)
        snprintf(w->fresh, sizeof w->fresh, "%s", e->text);
    if (strcmp(e->event, "step"))
        return PCV_GO_ON;
    if (e->step == 1)
        w->first = e->loss;
    w->last = e->loss;
    return w->stop && e->step == w->stop ? PCV_SAVE_AND_STOP : PCV_GO_ON;
}

static pcv_trainer *trainer(const char *const setting[][2], size_t n)
{
    pcv_trainer *t = pcv_trainer_new();

    for (size_t i = 0; i < n && setting[i][0]; i++)
        if (pcv_trainer_set(t, setting[i][0], setting[i][1]) < 0)
            fail_msg("%s", pcv_error());
    return t;
}

static void go(pcv_trainer *t, const char *data, const char *dir, bool resume,
               watcher *w)
{
    int r = pcv_train(t, data, NULL, dir, resume, watch, w);

    if (r < 0)
        fail_msg("%s", pcv_error());
    assert_int_equal(r, w->stop != 0);
    pcv_trainer_free(t);
}

static void same_file(const char *a, const char *b, const char *name)
{
    char path[200];
    pcv_file f[2];

    snprintf(path, sizeof path, "%s/%s", a, name);
    assert_int_equal(pcv_file_open(&f[0], path, 0), 0);
    snprintf(path, sizeof path, "%s/%s", b, name);
    assert_int_equal(pcv_file_open(&f[1], path, 0), 0);
    if (f[0].size != f[1].size || memcmp(f[0].data, f[1].data, f[0].size))
        fail_msg("%s of %s is not that of %s", name, b, a);
    pcv_file_close(&f[0]);
    pcv_file_close(&f[1]);
}

static const struct {
    const char *name, *data, *examples, *task;
    int outputs;
    size_t fresh;               /* tensors that begin anew */
} published[] = {
    { "vision-learned", "colours", "files", "classify", 3, 2 },
    { "vision-fourier", "colours", "files", "classify", 3, 2 },
    { "vision-conv", "colours", "files", "classify", 3, 2 },
    { "language-classify", "lines", "lines", "classify", 2, 2 },
    { "language-mlm", "lines", "lines", "fill", 262, 0 },
    { "language-mlm", "lines", "lines", "classify", 2, 21 },     /* decoder */
};

/* They learn what they are told to, are what they were beside that, and are
 * read again; a run that was stopped goes on without what it began from. */
static void check_published(int i)
{
    char from[PATH + 64];
    const char *name = published[i].name;
    char dir[20];
    const char *const setting[][2] = {
        { "init", "from" }, { "steps", "12" }, { "batch-size", "6" },
        { "val-split", "0" }, { "warmup", "0" }, { "learning-rate", "1e-3" },
        { "examples", published[i].examples }, { "weight-decay", "0" },
        { "task", published[i].task },
        { published[i].outputs == 262 ? "mask" : NULL, "0.4" },
    };
    watcher w = {0}, half = { .stop = 5 }, rest = {0};
    pcv_evaluation *e;
    pcv_trainer *t;
    pcv_model *m;
    pcv_net n;

    snprintf(from, sizeof from, "%s/golden/%s", tests, name);
    copy_file(from, "from", "config.json");
    copy_file(from, "from", "model.safetensors");
    snprintf(dir, sizeof dir, "whole%d", i);
    go(trainer(setting, PCV_LEN(setting)), published[i].data, dir, false, &w);
    if (!(w.last < 0.9 * w.first))
        fail_msg("%s: loss %g, then %g", name, w.first, w.last);
    assert_int_equal(lines(w.fresh), published[i].fresh);
    assert_int_equal(pcv_net_load(&n, dir), 0);
    assert_int_equal(n.spec.outputs, published[i].outputs);
    pcv_net_free(&n);
    assert_non_null(m = pcv_model_open(dir));
    e = pcv_evaluate(m, published[i].data, published[i].examples);
    if (!e)
        fail_msg("%s: %s", name, pcv_error());
    assert_true(isfinite(e->loss) && e->items == 6);
    pcv_evaluation_free(e);
    pcv_model_close(m);
    go(trainer(setting, PCV_LEN(setting)), published[i].data, "halves", false,
       &half);
    assert_int_equal(unlink("from/config.json"), 0);
    assert_int_equal(unlink("from/model.safetensors"), 0);
    t = pcv_trainer_new();
    assert_int_equal(pcv_trainer_resume(t, "halves"), 1);
    go(t, published[i].data, "halves", true, &rest);
    same_file(dir, "halves", "model.safetensors");
    same_file(dir, "halves", "config.json");
}

static void test_published(void **state)
{
    (void)state;
    put_examples();
    for (size_t i = 0; i < PCV_LEN(published); i++)
        check_published((int)i);
}

/* What is given is laid over what the model has, wherever it stands; what it
 * answered is forgotten. */
static void test_settings(void **state)
{
    static const char *const setting[][2] = {
        { "latents", "7" }, { "init", "." }, { "layers", "3" },
    };
    static const char *const want[][2] = {
        { "latents", "7" }, { "layers", "3" }, { "latent-channels", "4" },
        { "height", "4" }, { "outputs", "0" }, { "blocks", "2" },
    };
    pcv_trainer *t;
    pcv_net n;

    (void)state;
    net_open(&n, SMALL "outputs=3", 3);
    assert_int_equal(pcv_net_save(&n, "."), 0);
    pcv_net_free(&n);
    t = trainer(setting, PCV_LEN(setting));
    for (size_t i = 0; i < PCV_LEN(want); i++) {
        char *have = pcv_trainer_get(t, want[i][0]);

        assert_string_equal(have, want[i][1]);
        free(have);
    }
    assert_int_equal(pcv_trainer_set(t, "init", "nowhere"), -1);
    assert_failed(EX_NOINPUT, "nowhere");
    pcv_trainer_free(t);
}

int main(void)
{
    const char *place = getenv("PCV_TESTS");
    const struct CMUnitTest all[] = {
        TEST(test_taken), TEST(test_moves), TEST(test_gradients),
        TEST(test_published), TEST(test_settings),
    };

    if (!realpath(place ? place : "tests", tests))
        return 66;
    return cmocka_run_group_tests(all, NULL, NULL);
}
