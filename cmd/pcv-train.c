/* pcv-train - labelled data in, a model directory out.
 *
 * Every setting of a model and of a run is an option, made from the library's
 * table; so are the lines of a --config file and of --print-config. */
#include "opt.h"
#include "progress.h"
#include "rehearse.h"
#include "runlog.h"
#include "settings.h"
#include "stop.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char about[] =
    "Trains a model on DATA and writes it into a directory.  DATA is a\n"
    "directory with a folder per class, a list of path<TAB>label, or a pair\n"
    "IMAGES,LABELS of idx or .npy files.";

/* An option that was given. */
typedef struct {
    const char *name, *value;
} given;

typedef struct {
    opt o;
    const char *dir, *val, *config;
    bool resume, force, print_config;
    bool nothing;               /* --resume of no checkpoint */
    bool dry, check_grad;       /* no run at all */
    double max_time;            /* seconds; 0 none */
    int when;                   /* --progress */
    given *given;
    size_t givens;

    pcv_trainer *trainer;
    int rank;                   /* of the processes that train together */
    double started;
    bool late;                  /* max_time is over */
    progress bar;
    runlog log;
    double first;               /* loss of the first step */
    double loss, accuracy;      /* of the last evaluation */
    bool evaluated;
    char end[64];               /* "done", "done with 8 latents" */
    uint64_t step;
} job;

/* ---- options --------------------------------------------------------- */

/* Settings wait until the command line is read: the options win over the
 * --config file wherever they stand.  --preset=help answers, as --help does. */
static void set_later(const opt_row *row, const char *value)
{
    job *j = row->to;
    given *more;

    if (!strcmp(row->name, "preset") && !strcmp(value, "help")) {
        settings_presets(stdout);
        exit(opt_finish(0));
    }
    more = realloc(j->given, (j->givens + 1) * sizeof *more);
    if (!more)
        opt_fatal_memory();
    j->given = more;
    j->given[j->givens++] = (given){ row->name, value };
}

/* 90, 90s, 10m, 1.5h, 2d, 1h30m */
static void set_time(const opt_row *row, const char *value)
{
    static const char unit[] = "smhd";
    static const double seconds[] = { 1, 60, 3600, 86400 };
    const char *p = value, *u;
    double sum = 0;
    char *end;

    while (*p) {
        double x = strtod(p, &end);

        u = *end ? strchr(unit, *end) : unit;
        if (end == p || !u || !(x >= 0 && x < 1e9))
            break;
        sum += x * seconds[u - unit];
        p = *end ? end + 1 : end;
    }
    if (*p || sum <= 0)
        opt_usage("option --%s: '%s', want a time like 90s, 10m, 1h30m",
                  row->name, opt_shown(value));
    *(double *)row->to = sum;
}

/* Setting i as an option, its default behind the help. */
static opt_row setting_row(job *j, size_t i)
{
    const pcv_setting *s = pcv_setting_at(i);
    char *value = pcv_trainer_get(j->trainer, s->name);
    char *values = strdup(s->values);       /* good until the next setting */
    pcv_bytes help = {0};

    pcv_bytes_printf(&help, "%s", s->help);
    if (value && *value)
        pcv_bytes_printf(&help, " (%s)", value);
    if (!values || help.failed || pcv_error_code())
        opt_fatal_memory();
    free(value);
    return (opt_row){ 0, s->name, values, help.data, set_later, j };
}

/* The program's own rows, then one for each setting; freed by free_rows. */
static opt_row *make_rows(job *j, size_t *count)
{
    const opt_row own[] = {
        { 'd', "dir", "DIR", "where the model and its checkpoint go; made "
          "when there is none", opt_text, &j->dir },
        { 0, "val", "DATA", "evaluate on these data (else on a share of "
          "DATA, see --val-split)", opt_text, &j->val },
        { 0, "resume", NULL, "go on from the checkpoint in DIR, with its "
          "settings; begin where there is none", opt_flag, &j->resume },
        { 'f', "force", NULL, "train anew where DIR has a model already",
          opt_flag, &j->force },
        { 0, "max-time", "T", "save and stop after this time: 90s, 10m, "
          "1h30m", set_time, &j->max_time },
        { 0, "progress", "auto|always|never", "a status line on a terminal, "
          "lines elsewhere (auto)", opt_choice, &j->when },
        { 0, "config", "FILE", "settings as lines of key = value; options "
          "win over it", opt_text, &j->config },
        { 0, "dry-run", NULL, "say what the run would be, cost and take, and "
          "exit", opt_flag, &j->dry },
        { 0, "check-grad", NULL, "compare gradients with differences of the "
          "loss and exit", opt_flag, &j->check_grad },
        { 0, "print-config", NULL, "write all settings as such lines and "
          "exit", opt_flag, &j->print_config },
        { 0, NULL, NULL, "Settings (see pcv-train(1)):", NULL, NULL },
    };
    size_t n = OPT_LEN(own), settings = 0;
    opt_row *row;

    while (pcv_setting_at(settings))
        settings++;
    row = calloc(n + settings + 1, sizeof *row);
    if (!row)
        opt_fatal_memory();
    memcpy(row, own, sizeof own);
    for (size_t i = 0; i < settings; i++)
        row[n + i] = setting_row(j, i);
    row[n + settings] = (opt_row){ .help = "General:" };
    *count = n + settings + 1;
    return row;
}

static void free_rows(opt_row *row, size_t rows)
{
    for (size_t i = 0; i < rows; i++)
        if (row[i].set == set_later) {
            free((char *)(uintptr_t)row[i].argument);
            free((char *)(uintptr_t)row[i].help);
        }
    free(row);
}

static void parse(job *j, int argc, char **argv)
{
    size_t rows;
    opt_row *row = make_rows(j, &rows);
    const opt_program program = {
        .name = "pcv-train", .operands = "-d DIR DATA", .about = about,
        .shared = OPT_THREADS, .row = row, .rows = rows,
    };

    opt_parse(&j->o, &program, argc, argv);
    free_rows(row, rows);
}

/* ---- settings -------------------------------------------------------- */

/* Without a checkpoint there is nothing to go on from, and the run begins: a
 * job that is started again by the same command, however early it was killed,
 * works. */
static void find_checkpoint(job *j)
{
    int found = pcv_trainer_resume(j->trainer, j->dir);
    const char *remark = pcv_remark_take();

    if (found < 0)
        opt_fatal_pcv();
    if (*remark)
        opt_error("%s", remark);
    j->nothing = found == 0;
    j->resume = found > 0;
}

static void apply_settings(job *j)
{
    if (j->resume && j->dir && !j->force)
        find_checkpoint(j);
    if (j->config)
        settings_of_file(j->trainer, j->config);
    for (size_t i = 0; i < j->givens; i++) {
        if (pcv_trainer_set(j->trainer, j->given[i].name,
                            j->given[i].value) == 0)
            continue;
        if (pcv_error_code() == EX_USAGE)
            opt_usage("option --%s", pcv_error());
        opt_fatal_pcv();        /* the model of --init */
    }
}

/* ---- several processes ----------------------------------------------- */

/* How many a launcher started together with this one: mpirun of Open MPI, of
 * MPICH, or Slurm's srun where that speaks PMIx.  Were it not asked, each would
 * train alone, and all write into one directory. */
static int started_together(void)
{
    static const char *const name[] = { "OMPI_COMM_WORLD_SIZE", "PMI_SIZE",
                                        "SLURM_STEP_NUM_TASKS" };
    size_t names = OPT_LEN(name) - !getenv("PMIX_RANK");
    const char *value;

    for (size_t i = 0; i < names; i++)
        if ((value = getenv(name[i])))
            return atoi(value);
    return 1;
}

static void join(job *j)
{
    int n = started_together();

    if (n > 1 && (j->rank = pcv_trainer_join(j->trainer, n)) < 0)
        opt_fatal_pcv();
}

/* ---- before the first step ------------------------------------------- */

static bool has(const job *j, const char *file)
{
    pcv_bytes path = {0};
    bool yes;

    pcv_bytes_printf(&path, "%s/%s", j->dir, file);
    if (path.failed)
        opt_fatal_memory();
    yes = access(path.data, F_OK) == 0;
    pcv_bytes_free(&path);
    return yes;
}

static void check_free(const job *j)
{
    bool model = has(j, "model.safetensors") || has(j, "config.json");

    if (j->nothing && model)
        opt_fatal(EX_CANTCREAT, "%s: there is a model, but no checkpoint to "
                  "go on from; begin anew with --force, or name another "
                  "directory", opt_shown(j->dir));
    if (model || has(j, "checkpoint.safetensors") ||
        has(j, "checkpoint.previous.safetensors"))
        opt_fatal(EX_CANTCREAT, "%s: there is a model already; go on with "
                  "--resume, begin anew with --force, or name another "
                  "directory", opt_shown(j->dir));
}

static void lock(const job *j)
{
    if (!runlog_lock(j->dir))
        opt_fatal(EX_CANTCREAT, "%s: another pcv-train works there",
                  opt_shown(j->dir));
}

static bool rehearses(const job *j)
{
    return j->dry || j->check_grad;
}

static void check(const job *j)
{
    if (j->o.operands != 1)
        opt_usage("want one DATA, have %zu (a pair of files is written "
                  "IMAGES,LABELS)", j->o.operands);
    if (j->dry && j->check_grad)
        opt_usage("--dry-run, --check-grad: want one of them");
    if (rehearses(j))
        return;
    if (!j->dir || !*j->dir)
        opt_usage("want -d DIR, the directory for the model");
    if (j->resume && j->force)
        opt_usage("--resume goes on, --force begins anew: want one of them");
}

static void check_directory(const job *j)
{
    if (!j->resume && !j->force)
        check_free(j);
    lock(j);
    if (j->nothing)
        opt_warn("%s: no checkpoint to go on from: beginning",
                 opt_shown(j->dir));
}

/* ---- during the run -------------------------------------------------- */

static int answer(job *j, const pcv_progress *e)
{
    j->late = j->max_time > 0 &&
              progress_clock() - j->started >= j->max_time;
    if (stop_signal() || j->late)
        return PCV_SAVE_AND_STOP;
    if (!strcmp(e->event, "step") && stop_save_asked())
        return PCV_SAVE;
    return PCV_GO_ON;
}

static void add_to_log(job *j, const pcv_progress *e)
{
    bool was_well = !j->log.failing;

    if (!j->log.path) {         /* the first event: DIR is there */
        lock(j);
        runlog_open(&j->log, j->dir, j->resume);
    }
    runlog_add(&j->log, e->json);
    if (!j->log.failing || !was_well)
        return;
    progress_clear(&j->bar);
    opt_error("%s: %s; training goes on without it", opt_shown(j->log.path),
              strerror(j->log.why));
}

static void say_unsaved(job *j, const pcv_progress *e)
{
    progress_clear(&j->bar);
    opt_error("step %llu could not be saved: %s; training goes on, and tries "
              "again at the next save", (unsigned long long)e->step, e->text);
}

/* What a model to begin from did not have. */
static void say_fresh(job *j, const char *names)
{
    size_t n = 0;

    for (const char *p = names; (p = strchr(p, '\n')) != NULL; p++)
        n++;
    progress_clear(&j->bar);
    opt_warn("%s: %zu tensors begin anew: %.*s%s", opt_shown(j->dir), n,
             (int)strcspn(names, "\n"), names, n > 1 ? ", .." : "");
}

/* In every process; the first alone writes. */
static int watch(void *arg, const pcv_progress *e)
{
    job *j = arg;

    if (j->rank > 0)
        return answer(j, e);
    add_to_log(j, e);
    progress_tell(&j->bar, e);
    j->step = e->step;
    if (!strcmp(e->event, "unsaved"))
        say_unsaved(j, e);
    if (!strcmp(e->event, "start") && e->text)
        say_fresh(j, e->text);
    if (!strcmp(e->event, "step") && isnan(j->first))
        j->first = e->loss;
    if (!strcmp(e->event, "eval")) {
        j->evaluated = true;
        j->loss = e->loss;
        j->accuracy = e->accuracy;
    }
    if (!strcmp(e->event, "latents"))
        j->evaluated = false;   /* what is kept has one of these scores */
    if (!strcmp(e->event, "stop") && e->text)
        snprintf(j->end, sizeof j->end, "%s", e->text);
    return answer(j, e);
}

/* ---- after it -------------------------------------------------------- */

static void say_result(const job *j, const char *how)
{
    pcv_bytes b = {0};

    pcv_bytes_printf(&b, "%s: %s after step %llu", opt_shown(j->dir), how,
                     (unsigned long long)j->step);
    if (j->evaluated)
        pcv_bytes_printf(&b, ", held out: loss %.4f", j->loss);
    if (j->evaluated && !isnan(j->accuracy))
        pcv_bytes_printf(&b, ", accuracy %.2f %%", 100 * j->accuracy);
    if (!b.failed)
        opt_warn("%s", b.data);
    pcv_bytes_free(&b);
}

/* Of a run with --overfit. */
static bool overfits(const job *j)
{
    char *n = pcv_trainer_get(j->trainer, "overfit");
    bool yes = n && strcmp(n, "0");

    free(n);
    return yes;
}

/* Did it learn its few examples?  The exit status. */
static int say_overfit(const job *j)
{
    bool well = j->loss < 0.05 * j->first;

    opt_warn("loss %.4g after %.4g at the first step: %s 5 %% of it", j->loss,
             j->first, well ? "under" : "NOT under");
    return !well;
}

/* What is looked at instead of a run. */
static int rehearse(job *j)
{
    if (pcv_threads_set(j->o.threads) < 0)
        opt_fatal_pcv();
    return j->dry ? rehearse_plan(j->trainer, j->o.operand[0], j->val)
                  : rehearse_gradient(j->trainer, j->o.operand[0], j->val);
}

static int run(job *j)
{
    int result, status = 0;

    stop_listen();
    progress_open(&j->bar, j->when, j->o.quiet || j->rank > 0);
    if (pcv_threads_set(j->o.threads) < 0)
        opt_fatal_pcv();
    result = pcv_train(j->trainer, j->o.operand[0], j->val, j->dir, j->resume,
                       watch, j);
    progress_clear(&j->bar);
    runlog_close(&j->log);
    if (result < 0) {
        status = pcv_error_code() ? pcv_error_code() : EX_OSERR;
        opt_error("%s", pcv_error_code() ? pcv_error() : "out of memory");
    } else if (j->rank == 0) {
        say_result(j, result ? "stopped and saved (--resume goes on)"
                             : j->end);
    }
    pcv_trainer_leave(j->trainer, status);
    if (result == 0 && overfits(j))
        status = say_overfit(j);
    if (result > 0)
        status = EX_TEMPFAIL;
    return status < 2 && j->log.why ? EX_IOERR : status;
}

int main(int argc, char **argv)
{
    job j = { .first = (double)NAN, .loss = (double)NAN,
              .accuracy = (double)NAN };
    int status = 0, ended;

    j.started = progress_clock();
    j.trainer = pcv_trainer_new();
    if (!j.trainer)
        opt_fatal_pcv();
    parse(&j, argc, argv);
    apply_settings(&j);
    if (j.print_config) {
        settings_print(j.trainer, stdout);
    } else {
        check(&j);
        join(&j);
        if (j.rank == 0 && !rehearses(&j))
            check_directory(&j);
        if (j.o.verbose && j.rank == 0)
            settings_print(j.trainer, stderr);
        if (!rehearses(&j))
            status = run(&j);
        else if (j.rank == 0)
            status = rehearse(&j);
    }
    pcv_trainer_free(j.trainer);
    free(j.given);
    status = opt_finish(status);
    ended = stop_signal();      /* a run that is not saved says so instead */
    if (ended && ended != SIGUSR1 && (status == 0 || status == EX_TEMPFAIL))
        stop_die(ended);
    return status;
}
