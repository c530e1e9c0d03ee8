/* pcv-classify - labels for files: pcv-classify(1). */
#include "answer.h"
#include "pump.h"
#include "stack.h"

#include <stdlib.h>

enum { TSV, JSONL, NPY };

typedef struct {
    opt o;
    pcv_stream *stream;
    answer_style style;
    sink out;
    stack rows;                 /* of NPY */
} run;

/* ---- one input ------------------------------------------------------- */

static void add_row(const run *r, pcv_values *logits, pcv_bytes *out)
{
    double *p;

    if (!r->style.logits) {
        p = calloc(logits->count, sizeof *p);
        if (!p) {
            out->failed = true;
            return;
        }
        pcv_probabilities(logits->data, logits->count, p);
        for (size_t i = 0; i < logits->count; i++)
            logits->data[i] = (float)p[i];
        free(p);
    }
    stack_pack(out, logits);
}

static int work(void *ctx, pcv_worker *w, void *item, pcv_bytes *out)
{
    const run *r = ctx;
    pcv_entry *e = item;
    const char *name = pcv_entry_name(e);
    pcv_values *logits;

    if (pcv_entry_load(r->stream, e) < 0)
        return -1;
    logits = pcv_answer(w, e);
    if (!logits)
        return -1;
    if (r->o.format == NPY)
        add_row(r, logits, out);
    else if (r->o.format == JSONL)
        answer_json(out, &r->style, name, pcv_entry_index(e), logits->data);
    else
        answer_tsv(out, &r->style, name, logits->data);
    pcv_values_free(logits);
    return 0;
}

static void fail(void *ctx, const void *item, int code, const char *what,
                 pcv_bytes *out)
{
    const run *r = ctx;
    const pcv_entry *e = item;

    if (r->o.format == JSONL)
        answer_json_error(out, pcv_entry_name(e), pcv_entry_index(e), code,
                          what);
    else if (r->o.format == TSV)
        answer_tsv_error(out, pcv_entry_name(e), what);
}

static int emit(void *ctx, const void *item, int *code, const pcv_bytes *out)
{
    run *r = ctx;
    int status = 0;

    if (r->o.format != NPY)
        return sink_write(&r->out, out->data, out->len);
    if (!*code)
        status = stack_add(&r->rows, pcv_entry_name(item), out, code);
    return *code ? stack_add_nan(&r->rows) : status;
}

/* ---- the command line ------------------------------------------------ */

static void parse(run *r, int argc, char **argv)
{
    const opt_program program = {
        .name = "pcv-classify", .operands = "[FILE...]",
        .about = "Writes the labels of files: path, rank, probability, class "
                 "index, label.\nA FILE of - is standard input.",
        .shared = OPT_MODEL | OPT_INPUTS | OPT_OUTPUT | OPT_FORMAT |
                  OPT_THREADS | OPT_BATCH | OPT_ANSWER,
        .formats = "tsv|jsonl|npy",
    };

    opt_parse(&r->o, &program, argc, argv);
    if (r->o.format < 0)
        r->o.format = TSV;
    if (r->o.header && r->o.format != TSV)
        opt_usage("--header goes with --format=tsv");
    opt_need_inputs(&r->o);
    if (r->o.format == NPY)
        sink_refuse_terminal(r->o.output, "scores", "--format=jsonl");
}

/* ---- all of them ----------------------------------------------------- */

/* The raw answers of any model can be had as an array. */
static void check_model(const run *r, const pcv_model *m)
{
    if (!pcv_model_classifies(m) && !(r->o.format == NPY && r->o.logits))
        opt_fatal(EX_DATAERR, "%s: this model does not classify; its answers "
                  "are for pcv-decode, or --logits --format=npy",
                  opt_shown(pcv_model_path(m)));
}

static void open_all(run *r, const pcv_model *m)
{
    const pcv_answer_info a = pcv_model_answer(m, pcv_model_main(m));
    int status;

    answer_open(&r->style, m, &r->o);
    if (r->o.format == NPY)
        stack_open(&r->rows, a.rank, a.dim);
    r->stream = pcv_stream_open(m, &r->o.in);
    if (!r->stream)
        opt_fatal_pcv();
    status = sink_open(&r->out, r->o.output, r->o.force);
    if (status)
        exit(status);
}

static pump_totals classify(run *r, const pcv_model *m)
{
    pump_job job = {.ctx = r, .work = work, .fail = fail, .emit = emit};
    pump_totals t = {0};

    pump_from_stream(&job, r->stream, m, &r->o);
    t.fatal = answer_header(&r->o, &r->out);
    if (t.fatal)
        return t;
    t = pump_run(&job);
    if (r->o.format == NPY && (t.whole || (!t.fatal && !r->o.output)))
        t.fatal = stack_npy(&r->rows, &r->out);
    if (t.whole && !t.fatal)
        t.fatal = sink_close(&r->out);
    else
        sink_abort(&r->out);
    return t;
}

static void close_all(run *r)
{
    answer_close(&r->style);
    stack_close(&r->rows);
    pcv_stream_close(r->stream);
}

int main(int argc, char **argv)
{
    run r = {0};
    pcv_model *m;
    pump_totals t;

    parse(&r, argc, argv);
    m = pump_model(&r.o);
    check_model(&r, m);
    open_all(&r, m);
    t = classify(&r, m);
    if (!t.left) {
        close_all(&r);
        pcv_model_close(m);
    }
    return opt_finish(pump_status(&t));
}
