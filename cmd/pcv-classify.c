/* pcv-classify - labels for files: pcv-classify(1). */
#include "answer.h"
#include "evaluate.h"
#include "look.h"
#include "pump.h"
#include "replies.h"

#include <stdlib.h>

enum { TSV, JSONL, NPY, SAFETENSORS };

typedef struct {
    opt o;
    pcv_stream *stream;
    answer_style style;
    sink out;
    replies replies;            /* the main one of NPY, all of SAFETENSORS */
    const char *evaluate;       /* labelled data, instead of inputs */
    const char *examples;       /* what they are, as for pcv-train */
} run;

static bool is_array(const run *r)
{
    return r->o.format == NPY || r->o.format == SAFETENSORS;
}

/* ---- one input ------------------------------------------------------- */

static int add_lines(const run *r, pcv_worker *w, const pcv_entry *e,
                     pcv_bytes *out)
{
    const char *name = pcv_entry_name(e);
    pcv_values *logits = pcv_ask(w, pcv_model_main(r->replies.model), NULL, 0);

    if (!logits)
        return -1;
    if (r->o.format == JSONL)
        answer_json(out, &r->style, name, pcv_entry_index(e), logits->data);
    else
        answer_tsv(out, &r->style, name, logits->data);
    pcv_values_free(logits);
    return 0;
}

static int work(void *ctx, pcv_worker *w, void *item, pcv_bytes *out)
{
    const run *r = ctx;
    pcv_entry *e = item;

    if (pcv_entry_load(r->stream, e) < 0 || pcv_worker_read(w, e) < 0)
        return -1;
    return is_array(r) ? replies_pack(&r->replies, w, out)
                       : add_lines(r, w, e, out);
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
        answer_tsv_error(out, pcv_entry_name(e), 3, what);
}

static int emit(void *ctx, const void *item, int *code, const pcv_bytes *out)
{
    run *r = ctx;

    return is_array(r) ? replies_add(&r->replies, pcv_entry_name(item), out,
                                     code)
                       : sink_write(&r->out, out->data, out->len);
}

/* ---- the command line ------------------------------------------------ */

static void check_evaluate(const run *r)
{
    const opt *o = &r->o;

    if (o->in.paths || o->in.list || o->in.recursive)
        opt_usage("--evaluate=DATA takes no other FILE");
    if (o->top > 1 || o->all || o->logits || o->header)
        opt_usage("--evaluate goes without -k, --all, --logits, --header");
    if (o->shards)
        opt_usage("--evaluate goes without --shard: scores are of all DATA");
    if (is_array(r))
        opt_usage("--evaluate writes text, or with --format=jsonl an object");
}

static void parse(run *r, int argc, char **argv)
{
    static const char *const ending[] = {".tsv", ".jsonl", ".npy",
                                         ".safetensors"};
    const opt_row row[] = {
        {0, "evaluate", "DATA", "scores on labelled data, a folder per class, "
         "a list, IMAGES,LABELS:\naccuracy, precision, recall, confusions",
         opt_text, &r->evaluate},
        {0, "examples", "files|lines|text", "what the DATA of --evaluate is, "
         "as for pcv-train", opt_text, &r->examples},
    };
    const opt_program program = {
        .name = "pcv-classify", .operands = "[FILE...]",
        .about = "Writes the labels of files: path, rank, probability, class "
                 "index, label.\nA FILE of - is standard input.",
        .shared = OPT_MODEL | OPT_INPUTS | OPT_OUTPUT | OPT_FORMAT |
                  OPT_THREADS | OPT_BATCH | OPT_ANSWER,
        .formats = "tsv|jsonl|npy|safetensors",
        .row = row, .rows = OPT_LEN(row),
    };

    opt_parse(&r->o, &program, argc, argv);
    if (r->o.format < 0)
        r->o.format = opt_ending(r->o.output, ending, OPT_LEN(ending));
    if (r->o.format < 0)
        r->o.format = TSV;
    if (r->o.header && r->o.format != TSV)
        opt_usage("--header goes with --format=tsv");
    if (r->evaluate)
        check_evaluate(r);
    else
        opt_need_inputs(&r->o);
    if (r->examples && !r->evaluate)
        opt_usage("--examples goes with --evaluate");
    if (is_array(r))
        sink_refuse_terminal(r->o.output, "scores", "--format=jsonl");
}

/* ---- all of them ----------------------------------------------------- */

/* The raw answers of any model can be had as arrays. */
static void check_model(const run *r, const pcv_model *m)
{
    if (!pcv_model_classifies(m) && !(is_array(r) && r->o.logits))
        opt_fatal(EX_DATAERR, "%s: this model does not classify; its answers "
                  "are for pcv-decode, or --logits with --format=npy or "
                  "safetensors", opt_shown(pcv_model_path(m)));
}

static void open_all(run *r, const pcv_model *m)
{
    int status;

    answer_open(&r->style, m, &r->o);
    replies_open(&r->replies, m, r->o.logits);
    if (r->o.format == NPY)
        replies_keep(&r->replies, pcv_model_main(m));
    if (is_array(r))
        replies_stack(&r->replies);
    r->stream = pcv_stream_open(m, &r->o.in);
    if (!r->stream)
        opt_fatal_pcv();
    status = sink_open(&r->out, r->o.output, r->o.force);
    if (status)
        exit(status);
}

/* What follows the last input. */
static int write_end(run *r, const pump_totals *t)
{
    if (t->fatal || (r->o.output && !t->whole))
        return t->fatal;
    switch (r->o.format) {
    case NPY:         return replies_npy(&r->replies, &r->out);
    case SAFETENSORS: return replies_safetensors(&r->replies, &r->out);
    default:          return 0;
    }
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
    t.fatal = write_end(r, &t);
    if (t.whole && !t.fatal)
        t.fatal = sink_close(&r->out);
    else
        sink_abort(&r->out);
    return t;
}

/* ---- labelled data --------------------------------------------------- */

static int write_scores(run *r, const pcv_evaluation *e)
{
    pcv_bytes b = {0};
    int lines = 0, status;

    if (r->o.format == JSONL)
        evaluate_json(e, &r->style, r->evaluate, &b);
    else
        evaluate_text(e, &r->style, look_columns(&lines), &b);
    if (b.failed)
        opt_fatal_memory();
    status = sink_open(&r->out, r->o.output, r->o.force);
    if (status == 0)
        status = sink_write(&r->out, b.data, b.len);
    if (status == 0)
        status = sink_close(&r->out);
    pcv_bytes_free(&b);
    return status;
}

static int evaluate(run *r, const pcv_model *m)
{
    pcv_evaluation *e;
    int status;

    r->style.model = m;
    if (pcv_model_classifies(m))
        answer_open(&r->style, m, &r->o);
    if (pcv_threads_set(r->o.threads) < 0 ||
        !(e = pcv_evaluate(m, r->evaluate, r->examples)))
        opt_fatal_pcv();
    status = write_scores(r, e);
    pcv_evaluation_free(e);
    answer_close(&r->style);
    return status;
}

static void close_all(run *r)
{
    answer_close(&r->style);
    replies_close(&r->replies);
    pcv_stream_close(r->stream);
}

int main(int argc, char **argv)
{
    static run r;    /* a thread may be left that reads it */
    pcv_model *m;
    pump_totals t;

    parse(&r, argc, argv);
    m = pump_model(&r.o);
    if (r.evaluate) {
        int status = evaluate(&r, m);

        pcv_model_close(m);
        return opt_finish(status);
    }
    check_model(&r, m);
    open_all(&r, m);
    t = classify(&r, m);
    if (!t.left) {
        close_all(&r);
        pcv_model_close(m);
    }
    return opt_finish(pump_status(&t));
}
