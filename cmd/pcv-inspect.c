/* pcv-inspect - looks at models, files of tensors and training runs: a screen
 * of facts, tables, histograms, one tensor as a picture or as .npy, curves. */
#include "curves.h"
#include "json.h"
#include "look.h"
#include "opt.h"
#include "sink.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BINS = 32, MOST_BINS = 512, JSON_COLUMNS = 200 };

static const char about[] =
    "Looks at models, files of tensors (.safetensors, PyTorch's .bin, .npz,\n"
    "indexes of shards) and training runs.  FILE is a model directory, the\n"
    "name of a model, a file of tensors, or what pcv-train made; without one\n"
    "it is the default model.  Without a mode it writes a summary.";

typedef struct {
    opt o;
    look_options look;
    bool json;
    const char *show, *get;     /* one tensor, instead of the modes */
    const char *convert;        /* the file to write, instead of the modes */
    const char *picture;        /* of --curves; NULL: they are text */
    int dtype;                  /* of its floats, a choice; -1: as they are */
    sink out;
    size_t done, failed, found; /* operands, tensors */
    size_t refused;             /* by --pickle */
    int worst;                  /* status of those that failed */
} job;

/* ---- options --------------------------------------------------------- */

static void set_tensors(const opt_row *row, const char *value)
{
    (void)value;
    *(unsigned *)row->to |= LOOK_TENSORS;
}

static void set_stats(const opt_row *row, const char *value)
{
    (void)value;
    *(unsigned *)row->to |= LOOK_STATS;
}

static void set_pickle(const opt_row *row, const char *value)
{
    (void)value;
    *(unsigned *)row->to |= LOOK_PICKLE;
}

static void set_cost(const opt_row *row, const char *value)
{
    (void)value;
    *(unsigned *)row->to |= LOOK_COST;
}

static void set_hist(const opt_row *row, const char *value)
{
    look_options *look = row->to;

    look->modes |= LOOK_HIST;
    if (value)
        look->bins = opt_whole("option --hist", value, 1, MOST_BINS);
}

static void set_curves(const opt_row *row, const char *value)
{
    job *j = row->to;

    j->look.modes |= LOOK_CURVES;
    j->picture = value;
}

static void parse(job *j, int argc, char **argv)
{
    const opt_row row[] = {
        { 0, NULL, NULL, "Modes:", NULL, NULL },
        { 0, "tensors", NULL, "a table: name, dtype, shape, elements, bytes, "
          "offset", set_tensors, &j->look.modes },
        { 0, "stats", NULL, "a table: name, dtype, shape, min, max, mean, "
          "std, norm, zero%, nan, inf", set_stats, &j->look.modes },
        { 0, "hist", "[BINS]", "a histogram of each tensor (32 bins)",
          set_hist, &j->look },
        { 0, "cost", NULL, "a table of the parts of a pass: part, form, FLOPs "
          "plain and as run, bytes", set_cost, &j->look.modes },
        { 0, "curves", "[FILE]", "loss and accuracy of a training run, as "
          "text or as the PNG FILE", set_curves, j },
        { 0, "show", "NAME", "one tensor as a heat map: on a terminal in "
          "text, elsewhere a PNG", opt_text, &j->show },
        { 0, "get", "NAME", "one tensor as float32 .npy", opt_text,
          &j->get },
        { 0, "pickle", NULL, "a table of what a PyTorch file asks for, never "
          "executed:\noffset, what, name, verdict, count", set_pickle,
          &j->look.modes },
        { 0, "convert", "OUT", "write the tensors as the .safetensors file "
          "OUT", opt_text, &j->convert },
        { 0, NULL, NULL, "Options:", NULL, NULL },
        { 0, "match", "GLOB", "only tensors whose name matches", opt_text,
          &j->look.match },
        { 0, "size", "SIZE", "the cost is that of inputs of this size, HxW or "
          "a count", opt_text, &j->look.size },
        { 0, "json", NULL, "one JSON object per FILE with all the modes",
          opt_flag, &j->json },
        { 0, "dtype", "f32|f16|bf16|int8", "the type that --convert gives to "
          "floats", opt_choice, &j->dtype },
    };
    const opt_program program = {
        .name = "pcv-inspect", .operands = "[FILE...]", .about = about,
        .shared = OPT_MODEL | OPT_OUTPUT, .row = row, .rows = OPT_LEN(row),
    };

    j->look.bins = BINS;
    j->dtype = -1;
    opt_parse(&j->o, &program, argc, argv);
}

static bool is_single(unsigned modes)
{
    return (modes & (modes - 1)) == 0;
}

/* What makes something of one FILE, and goes with no table. */
static void check_single(const job *j)
{
    const char *name = j->show ? "show" : j->get ? "get" : "convert";

    if ((j->show != NULL) + (j->get != NULL) + (j->convert != NULL) > 1)
        opt_usage("--show, --get and --convert exclude each other");
    if (j->look.modes || j->json || j->look.match)
        opt_usage("--%s goes with no other mode", name);
    if (j->o.operands + (j->o.model != NULL) > 1)
        opt_usage("--%s takes one FILE", name);
    if (j->convert && j->o.output)
        opt_usage("--convert names its file itself, without -o");
}

static void check_pickle(const job *j)
{
    if (j->look.modes != LOOK_PICKLE)
        opt_usage("--pickle goes with no other mode");
    if (j->look.match)
        opt_usage("--match is about tensors, --pickle is not");
    if (!j->o.operands && !j->o.model)
        opt_usage("--pickle needs a FILE");
}

static void check_curves(const job *j)
{
    size_t files = j->o.operands + (j->o.model != NULL);

    if (j->look.modes != LOOK_CURVES || j->look.match || j->look.size)
        opt_usage("--curves goes with no other mode");
    if (!files)
        opt_usage("--curves needs a FILE, the directory of a run");
    if (j->picture && (j->json || j->o.output))
        opt_usage("--curves=FILE is a picture in a file of its own, without "
                  "--json and -o");
    if (j->picture && files > 1)
        opt_usage("--curves=FILE is a picture of one run");
}

/* What cannot be wanted together. */
static void check(job *j)
{
    if (j->show || j->get || j->convert)
        check_single(j);
    if (j->look.modes & LOOK_PICKLE)
        check_pickle(j);
    if (j->look.modes & LOOK_CURVES)
        check_curves(j);
    if (j->dtype >= 0 && !j->convert)
        opt_usage("--dtype belongs to --convert");
    if (!j->json && !is_single(j->look.modes))
        opt_usage("one table at a time (or all of them with --json)");
    if (j->look.size && j->look.modes && !(j->look.modes & LOOK_COST))
        opt_usage("--size belongs to the summary and to --cost");
    if (j->look.match && j->look.modes == LOOK_COST)
        opt_usage("--match is about tensors, --cost is not");
    if (!j->look.modes)
        j->look.modes = LOOK_SUMMARY;
    j->look.column = j->o.operands + (j->o.model != NULL) > 1;
    j->look.unicode = look_unicode();
}

/* ---- the terminal ---------------------------------------------------- */

static show_screen screen(const job *j)
{
    const char *term = getenv("TERM"), *plain = getenv("NO_COLOR");
    show_screen s = { 80, 40, true, j->look.unicode };

    s.columns = look_columns(&s.lines);
    s.lines -= s.lines > 3 ? 2 : 0;     /* the scale, and the prompt */
    if (j->o.output || !isatty(STDOUT_FILENO) || (plain && *plain) || !term ||
        !strcmp(term, "dumb"))
        s.colour = false;
    return s;
}

/* ---- training runs --------------------------------------------------- */

/* What it takes to write about a run, into b; 0 or -1. */
static int describe_run(job *j, const char *name, const char *path,
                        pcv_bytes *b)
{
    show_screen s = screen(j);
    history h;

    if (history_open(&h, path, j->json ? JSON_COLUMNS : curves_columns(&s)) < 0)
        return -1;
    if (j->json) {
        json_open(b, NULL, '{');
        json_path(b, "file", name);
        json_truth(b, "ok", true);
        curves_json(&h, b);
        json_close(b, '}');
        pcv_bytes_add(b, "\n", 1);
    } else {
        pcv_bytes_printf(b, j->done ? "\n" : "%s", "");
        curves_facts(&h, b);
        pcv_bytes_add(b, "\n", 1);
        curves_text(&h, &s, b);
    }
    history_close(&h);
    return 0;
}

/* The log of an operand that is a run: one has to be with --curves; else a
 * file that is a log, or a directory that has one and no model yet.  NULL: no
 * run; freed with free(). */
static char *run_of(const job *j, const char *name)
{
    pcv_bytes config = {0};
    bool has_to_be = j->look.modes & LOOK_CURVES;
    char *path;

    if (!name || (!has_to_be && !(j->look.modes & LOOK_SUMMARY)))
        return NULL;
    pcv_bytes_printf(&config, "%s/config.json", name);
    if (config.failed)
        opt_fatal_memory();
    path = !has_to_be && access(config.data, F_OK) == 0
               ? NULL : history_find(name, has_to_be);
    pcv_bytes_free(&config);
    return path;
}

/* ---- one operand ----------------------------------------------------- */

static int describe(job *j, const look_subject *s, pcv_bytes *b)
{
    bool summary = j->look.modes & LOOK_SUMMARY;
    int found = 0;

    if (!j->json && summary && j->done)
        pcv_bytes_add(b, "\n", 1);      /* a line between two summaries */
    if (!j->json && (j->look.modes & LOOK_COST))
        return cost_text(s, &j->look, b);
    if (!j->json)
        return summary ? summary_text(s, &j->look, b)
                       : table_text(s, &j->look, b);
    json_open(b, NULL, '{');
    json_path(b, "file", s->name);
    json_truth(b, "ok", true);
    if (summary)
        found = summary_json(s, &j->look, b);
    else if (j->look.modes != LOOK_COST)
        found = table_json(s, &j->look, b);
    if (found >= 0 && (j->look.modes & LOOK_COST) &&
        cost_json(s, &j->look, b) < 0)
        found = -1;
    json_close(b, '}');
    pcv_bytes_add(b, "\n", 1);
    return found;
}

/* In its place among the answers: JSON has it in-band. */
static void report(job *j, const char *name, pcv_bytes *b)
{
    int code = pcv_error_code() ? pcv_error_code() : EX_OSERR;
    const char *what = pcv_error_code() ? pcv_error() : "out of memory";

    j->failed++;
    j->worst = opt_worse(j->worst, code);
    fflush(stdout);
    opt_error("%s", what);
    pcv_bytes_clear(b);
    if (j->json) {
        json_open(b, NULL, '{');
        json_path(b, "file", name);
        json_truth(b, "ok", false);
        json_open(b, "error", '{');
        json_count(b, "code", (size_t)code);
        json_text(b, "what", what);
        json_close(b, '}');
        json_close(b, '}');
        pcv_bytes_add(b, "\n", 1);
    }
    pcv_error_clear();
}

/* Tensors found, or -1. */
static int describe_tensors(job *j, const char *name, pcv_bytes *b)
{
    look_subject s;
    int found = -1;

    if (look_open(&s, name, j->look.modes & (LOOK_SUMMARY | LOOK_COST)) == 0) {
        found = describe(j, &s, b);
        look_close(&s);
    }
    return found;
}

static int describe_pickle(job *j, const char *name, pcv_bytes *b)
{
    int refused = j->json ? pickle_json(name, &j->look, b)
                          : pickle_text(name, &j->look, b);

    j->refused += refused > 0;
    return refused;
}

/* 0, or the status of an output that cannot be written. */
static int one_operand(job *j, const char *name)
{
    pcv_bytes b = {0};
    char *log = run_of(j, name);
    int found, status;

    if (log)
        found = describe_run(j, name, log, &b);
    else if (j->look.modes & LOOK_PICKLE)
        found = describe_pickle(j, name, &b);
    else
        found = describe_tensors(j, name, &b);
    if (found < 0) {
        report(j, name ? name : "default", &b);
    } else {
        j->done++;
        j->found += (size_t)found;
    }
    if (b.failed)
        opt_fatal_memory();
    status = sink_write(&j->out, b.data, b.len);
    pcv_bytes_free(&b);
    free(log);
    return status;
}

/* ---- all operands ---------------------------------------------------- */

static int write_head(job *j)
{
    pcv_bytes b = {0};
    int status;

    if (j->json || (j->look.modes & (LOOK_SUMMARY | LOOK_CURVES)))
        return 0;
    if (j->look.modes & LOOK_PICKLE)
        pickle_head(&j->look, &b);
    else if (j->look.modes & LOOK_COST)
        cost_head(&j->look, &b);
    else
        table_head(&j->look, &b);
    if (b.failed)
        opt_fatal_memory();
    status = sink_write(&j->out, b.data, b.len);
    pcv_bytes_free(&b);
    return status;
}

static int verdict(const job *j)
{
    if (j->failed && j->done)
        opt_warn("%zu of %zu files failed", j->failed, j->failed + j->done);
    if (j->failed && j->done && j->worst < EX_OSERR)
        return OPT_SOME_FAILED;
    if (j->failed)
        return j->worst;
    if (j->refused)
        return 1;
    if (j->found || !j->look.match)
        return 0;
    opt_warn("no tensor matches '%s'", opt_shown(j->look.match));
    return 1;
}

static int tell(job *j)
{
    const char *first = j->o.model;
    int status = write_head(j);

    if (status == 0 && (first || !j->o.operands))
        status = one_operand(j, first);
    for (size_t i = 0; i < j->o.operands && status == 0; i++)
        status = one_operand(j, j->o.operand[i]);
    return status ? status : verdict(j);
}

/* ---- one tensor ------------------------------------------------------ */

static pcv_values *find_tensor(const job *j, look_subject *s)
{
    const char *name = j->show ? j->show : j->get;
    const char *file = j->o.model ? j->o.model
                       : j->o.operands ? j->o.operand[0] : NULL;
    pcv_values *v = NULL;
    size_t i = 0;
    int found;

    if (look_open(s, file, false) < 0)
        opt_fatal_pcv();
    found = look_find(s, name, &i);
    if (found == 0)
        opt_fatal(EX_DATAERR, "%s: no tensor '%s' (--tensors lists them)",
                  opt_shown(s->name), opt_shown(name));
    if (found > 1)
        opt_fatal(EX_DATAERR, "%s: several tensors end in '.%s' (--tensors "
                  "lists them)", opt_shown(s->name), opt_shown(name));
    if (found == 1)
        v = pcv_weights_get(s->weights, i);
    if (!v)
        opt_fatal_pcv();
    return v;
}

static int write_picture(job *j, const pcv_values *v)
{
    pcv_bytes b = {0};
    unsigned char *png;
    size_t n = 0;
    int status;

    if (!j->o.output && isatty(STDOUT_FILENO)) {
        show_screen s = screen(j);

        show_terminal(v, &s, &b);
        if (b.failed)
            opt_fatal_memory();
        status = sink_write(&j->out, b.data, b.len);
        pcv_bytes_free(&b);
        return status;
    }
    png = show_png(v, &n);
    if (!png)
        opt_fatal_pcv();
    status = sink_write(&j->out, png, n);
    free(png);
    return status;
}

static int write_npy(job *j, const pcv_values *v)
{
    pcv_bytes b = {0};
    int status;

    pcv_npy_head(&b, v->rank, v->dim);
    if (b.failed)
        opt_fatal_memory();
    status = sink_write(&j->out, b.data, b.len);
    if (status == 0)
        status = sink_write(&j->out, v->data, v->count * sizeof *v->data);
    pcv_bytes_free(&b);
    return status;
}

static int one_tensor(job *j)
{
    look_subject s;
    pcv_values *v = find_tensor(j, &s);
    int status = j->show ? write_picture(j, v) : write_npy(j, v);

    pcv_values_free(v);
    look_close(&s);
    return status;
}

/* ---- a picture of a run ---------------------------------------------- */

static int write_chart(job *j)
{
    const char *name = j->o.model ? j->o.model : j->o.operand[0];
    char *path = run_of(j, name);
    unsigned char *png;
    size_t n = 0;
    history h;
    int status;

    if (!path || history_open(&h, path, CHART_COLUMNS) < 0)
        opt_fatal_pcv();
    png = chart_png(&h, &n);
    if (!png)
        opt_fatal_pcv();
    status = sink_write(&j->out, png, n);
    free(png);
    history_close(&h);
    free(path);
    return status;
}

/* ---- another file ---------------------------------------------------- */

static int convert(const job *j)
{
    static const char *const dtype_name[] = { "F32", "F16", "BF16", "I8" };
    const char *file = j->o.model ? j->o.model
                       : j->o.operands ? j->o.operand[0] : NULL;
    look_subject s;

    if (look_open(&s, file, false) < 0 ||
        pcv_weights_save(s.weights, j->convert,
                         j->dtype < 0 ? NULL : dtype_name[j->dtype],
                         j->o.force) < 0)
        opt_fatal_pcv();
    look_close(&s);
    return 0;
}

int main(int argc, char **argv)
{
    job j = {0};
    int status;

    parse(&j, argc, argv);
    check(&j);
    if (j.get)
        sink_refuse_terminal(j.o.output, "values", "--show=NAME");
    if (j.convert)
        return opt_finish(convert(&j));
    if (j.picture)
        j.o.output = strcmp(j.picture, "-") ? j.picture : NULL;
    if (j.picture)
        sink_refuse_terminal(j.o.output, "a picture", "--curves");
    status = sink_open(&j.out, j.o.output, j.o.force);
    if (status == 0)
        status = j.show || j.get ? one_tensor(&j)
                 : j.picture ? write_chart(&j) : tell(&j);
    if (status >= EX_USAGE)
        sink_abort(&j.out);
    status = opt_worse(status, sink_close(&j.out));
    return opt_finish(status);
}
