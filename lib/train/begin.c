/* begin.c - a run before its first step: the data, the network, how many steps
 * there are, what a checkpoint holds of it. */
#include "run.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

static void add_setting(pcv_buf *b, const char *name, const char *equals,
                        const pcv_buf *value)
{
    pcv_buf_printf(b, "%s%s%s\n", name, equals,
                   value->data ? value->data : "");
}

/* What has an option. */
static void add_offered(const pcv_training *t, const char *equals, pcv_buf *b)
{
    pcv_buf v = {0};
    const pcv_field *f;

    for (int i = 0; (f = pcv_spec_field(i)); i++) {
        pcv_buf_clear(&v);
        pcv_spec_get(&t->spec, f->name, &v);
        add_setting(b, f->name, equals, &v);
    }
    for (int i = 0; (f = pcv_run_field(i)); i++) {
        pcv_buf_clear(&v);
        pcv_run_get(&t->run, f->name, &v);
        add_setting(b, f->name, equals, &v);
    }
    pcv_buf_free(&v);
}

/* What only a model to begin from can have brought. */
static void add_rest(const pcv_training *t, pcv_buf *b)
{
    pcv_buf v = {0};
    const pcv_row *row;
    pcv_spec standard;

    pcv_spec_default(&standard);
    for (int i = 0; (row = pcv_spec_row(i)); i++)
        if ((row->flags & PCV_ROW_GIVEN) &&
            !pcv_row_same(row, &t->spec, &standard)) {
            pcv_buf_clear(&v);
            pcv_spec_get(&t->spec, row->field.name, &v);
            add_setting(b, row->field.name, "=", &v);
        }
    pcv_buf_free(&v);
}

static int make_settings(pcv_running *r)
{
    add_rest(r->t, &r->settings);
    add_offered(r->t, "=", &r->settings);
    return r->settings.failed ? pcv_fail(EX_OSERR, "out of memory") : 0;
}

/* DIR/training.conf: the settings as pcv-train --config reads them, and as they
 * were before the data had their say, so that they serve other data too. */
int pcv_run_keep_settings(const pcv_running *r)
{
    pcv_buf path = {0};
    int result = -1;

    pcv_buf_printf(&path, "%s/training.conf", r->t->dir);
    if (r->given.failed || path.failed)
        pcv_fail(EX_OSERR, "out of memory");
    else
        result = pcv_save_file(path.data, r->given.data, r->given.len);
    pcv_buf_free(&path);
    return result;
}

static int open_net(pcv_running *r)
{
    const pcv_run_spec *s = &r->t->run;
    int count[PCV_MOST_COUNTS];

    if (pcv_nested_counts(&r->t->spec, count) < 0 ||
        pcv_net_build(&r->net, &r->t->spec) < 0 ||
        pcv_net_init(&r->net, (uint64_t)s->seed) < 0 ||
        pcv_params_grads(&r->net.params) < 0)
        return -1;
    if (*s->init && !r->t->resume &&
        pcv_tune_init(&r->net, s->init, &r->fresh) < 0)
        return -1;
    pcv_tune_freeze(&r->net, s->freeze);
    return pcv_moments_open(&r->moments, &r->net.params);
}

/* To be learnt by heart an example has to be the same each time; what an epoch
 * of so few is for comes at the end alone. */
static void by_heart(pcv_run_spec *s)
{
    s->dropout = 0;
    s->eval_every = s->eval_every ? s->eval_every : INT32_MAX;
    s->save_every = s->save_every ? s->save_every : INT32_MAX;
}

/* Pairs of neighbours are mixed: they stay together. */
static int open_share(pcv_running *r)
{
    const pcv_peers *p = r->t->peers;
    size_t batch = (size_t)r->batch, pairs = (batch + 1) / 2, end;

    if (pairs < (size_t)pcv_peers_size(p))
        return pcv_fail(EX_USAGE, "a batch of %d items is less than two for "
                        "each of %d processes", r->batch, pcv_peers_size(p));
    end = pcv_peers_share(p, pairs, &r->first);
    r->first *= 2;
    end = r->first + 2 * end;
    r->share = (end < batch ? end : batch) - r->first;
    return 0;
}

/* As many whole batches as an epoch has; a set smaller than a batch is one. */
static int open_steps(pcv_running *r)
{
    pcv_run_spec *s = &r->t->run;
    uint32_t n = r->splits.train.count;

    if (s->overfit)
        by_heart(s);
    r->batch = s->batch < (int)n ? s->batch : (int)n;
    r->per_epoch = n / (uint32_t)r->batch;
    if (open_share(r) < 0)
        return -1;
    r->steps = s->steps >= 0 ? (uint64_t)s->steps
                             : (uint64_t)ceil(s->epochs * (double)r->per_epoch);
    r->order_epoch = UINT64_MAX;
    r->order = pcv_alloc(n, sizeof *r->order);
    return r->order ? pcv_feeding_open(&r->feed, &r->net, s, &r->splits.of,
                                       &r->splits.train, !s->overfit,
                                       (int)r->share) : -1;
}

static int most_asked(const pcv_running *r)
{
    int most = 1;

    for (int i = 0; i < r->net.answers; i++)
        most = r->feed.target[i].asked > most ? r->feed.target[i].asked : most;
    return most;
}

/* One process does. */
bool pcv_run_writes(const pcv_running *r)
{
    return pcv_peers_rank(r->t->peers) == 0;
}

static void open_keeper(pcv_running *r)
{
    r->keeper = (pcv_keeper){
        .dir = r->t->dir, .net = &r->net, .moments = &r->moments,
        .state = &r->state, .asleep = !pcv_run_writes(r),
        .from = { r->settings.data, r->data.data },
    };
}

static int make_directory(const char *dir)
{
    struct stat st;

    if (mkdir(dir, 0777) == 0)
        return 0;
    if (errno == EEXIST && stat(dir, &st) == 0)
        return S_ISDIR(st.st_mode) ? 0
               : pcv_fail(EX_CANTCREAT, "%s: is no directory, want one for the "
                          "model", dir);
    return pcv_fail(EX_CANTCREAT, "%s: %s", dir, strerror(errno));
}

/* Parameters would drift apart on machines that do not round alike. */
int pcv_run_alike(pcv_running *r)
{
    const pcv_params *p = &r->net.params;
    char what[64];

    snprintf(what, sizeof what, "the parameters after step %" PRIu64 " are",
             r->state.step);
    return pcv_peers_agree(r->t->peers, p->w, p->total * sizeof *p->w, what);
}

static int begin_alike(pcv_running *r)
{
    const char *rows = pcv_rows_get()->name;
    const char *dir = r->t->dir ? r->t->dir : "";
    const struct {
        const void *data;
        size_t bytes;
        const char *what;
    } all[] = {
        { r->settings.data, r->settings.len, "the settings are" },
        { dir, strlen(dir), "the letters of DIR are" },
        { r->data.data, r->data.len, "the data are" },
        { rows, strlen(rows), "the vector instructions (PCV_CPU chooses them) "
          "are" },
    };

    for (size_t i = 0; i < PCV_LEN(all); i++)
        if (pcv_peers_agree(r->t->peers, all[i].data, all[i].bytes,
                            all[i].what) < 0)
            return -1;
    return pcv_run_alike(r);
}

static bool asks(const pcv_spec *s, int task)
{
    bool yes = s->parts == 0 && s->task == task;

    for (int i = 0; i < s->parts; i++)
        yes = yes || s->part[i].task == task;
    return yes;
}

/* A setting that would do nothing is a mistake of somebody's. */
static int check_use(const pcv_training *t)
{
    const pcv_spec *s = &t->spec;
    const struct {
        const char *setting, *other;
        bool serves;
    } rows[] = {
        { "drop-parts", "a model of parts", s->parts > 1 },
        { "points", "task=reconstruct", asks(s, PCV_RECONSTRUCT) },
        { "mask", "task=fill", asks(s, PCV_FILL) },
        { "mask-words", "task=fill", asks(s, PCV_FILL) },
        { "margin", "choose-latents=yes", t->run.choose },
        { "choose-latents", "nested counts", *s->nested },
        { "label-smoothing", "task=classify", asks(s, PCV_CLASSIFY) },
    };

    for (size_t i = 0; i < PCV_LEN(rows); i++)
        if (!rows[i].serves && pcv_run_given(&t->run, rows[i].setting))
            return pcv_fail(EX_USAGE, "%s does nothing without %s",
                            rows[i].setting, rows[i].other);
    return 0;
}

static int check_held(const pcv_running *r)
{
    return r->t->run.choose && !r->splits.val.count
               ? pcv_fail(EX_USAGE, "choose-latents wants held-out data: --val "
                          "or val-split") : 0;
}

int pcv_run_open(pcv_running *r)
{
    pcv_training *t = r->t;

    r->state.best = -(double)INFINITY;
    add_offered(t, " = ", &r->given);
    if (pcv_augment_check(&t->run, &t->spec) < 0 || check_use(t) < 0 ||
        pcv_splits_open(&r->splits, &t->spec, &t->run, t->data, t->val) < 0 ||
        check_held(r) < 0 || pcv_splits_identity(&r->splits, &r->data) < 0 ||
        make_settings(r) < 0 || open_net(r) < 0 || open_steps(r) < 0 ||
        (t->dir && pcv_run_writes(r) && make_directory(t->dir) < 0))
        return -1;
    open_keeper(r);
    pcv_session_open(&r->s, &r->net, true, most_asked(r));
    r->s.most = (size_t)(t->run.max_mem * 1e6);
    if (t->resume && pcv_checkpoint_load(t->dir, &r->net, &r->moments,
                                         &r->state, &r->keeper.from) < 0)
        return -1;
    r->keeper.saved = r->state.step;
    return begin_alike(r);
}

void pcv_run_close(pcv_running *r)
{
    pcv_session_close(&r->s);
    pcv_feeding_close(&r->feed);
    pcv_moments_close(&r->moments);
    pcv_net_free(&r->net);
    pcv_splits_close(&r->splits);
    pcv_keeper_close(&r->keeper);
    pcv_buf_free(&r->given);
    pcv_buf_free(&r->settings);
    pcv_buf_free(&r->data);
    pcv_buf_free(&r->fresh);
    pcv_free(r->order);
}
