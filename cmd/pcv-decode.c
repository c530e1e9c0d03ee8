/* pcv-decode - latents to answers: pcv-decode(1). */
#include "decode.h"

#include <stdlib.h>
#include <string.h>

#define FORMATS "tsv|jsonl|npy|png|wav|raw"

/* ---- the command line ------------------------------------------------ */

static void parse(decode_run *r, int argc, char **argv)
{
    static const char *const ending[] = {".tsv", ".jsonl", ".npy", ".png",
                                         ".wav", ".raw"};
    const opt_row row[] = {
        {0, "query", "QUERY", "which answers: default, or index=A-B,C,..",
         opt_text, &r->query},
        {0, "out-dir", "DIR", "write DIR/NAME.png for each input (png, wav)",
         opt_text, &r->files.directory},
        {0, "allow-model-mismatch", NULL, "take latents of another model",
         opt_flag, &r->any_model},
    };
    const opt_program program = {
        .name = "pcv-decode", .operands = "[LATENTS...]",
        .about = "Writes what a model answers from latents: labels, arrays, "
                 "pictures, sounds.\nLATENTS are of pcv-encode; other files "
                 "are encoded first.  - is standard input.",
        .shared = OPT_MODEL | OPT_INPUTS | OPT_OUTPUT | OPT_FORMAT |
                  OPT_THREADS | OPT_BATCH | OPT_ANSWER,
        .formats = FORMATS, .row = row, .rows = OPT_LEN(row),
    };

    opt_parse(&r->o, &program, argc, argv);
    opt_need_inputs(&r->o);
    if (r->o.format < 0)
        r->o.format = opt_ending(r->o.output, ending, OPT_LEN(ending));
}

/* ---- what goes together ---------------------------------------------- */

/* A picture or a sound where the answers are one, else an array. */
static int default_format(const decode_run *r)
{
    char *modality = pcv_model_setting(r->model, "modality");
    int format = NPY;

    if (!modality)
        opt_fatal_memory();
    if (pcv_model_classifies(r->model))
        format = r->index ? NPY : TSV;
    else if (!r->index && strcmp(modality, "image") == 0)
        format = PNG;
    else if (!r->index && strcmp(modality, "sound") == 0)
        format = WAV;
    free(modality);
    return format;
}

static void check_format(const decode_run *r)
{
    int format = r->o.format;
    bool files = format == PNG || format == WAV;

    if (format == TSV && !pcv_model_classifies(r->model))
        opt_usage("this model does not classify, want --format=npy, jsonl or "
                  "raw, or png or wav where its answers are that");
    if (r->index && (files || format == TSV))
        opt_usage("--query=index goes with --format=npy, jsonl or raw");
    if (files && (pcv_model_classifies(r->model) ||
                  default_format(r) != format))
        opt_usage("this model's answers are not %s",
                  format == PNG ? "pictures" : "sound");
    if (r->files.directory && !files)
        opt_usage("--out-dir goes with --format=png or wav");
    if (r->files.directory && r->o.output)
        opt_usage("--out-dir and --output exclude each other");
    if (r->o.header && format != TSV)
        opt_usage("--header goes with --format=tsv");
    if (format != TSV && format != JSONL && !r->files.directory)
        sink_refuse_terminal(r->o.output, "answers", "--format=jsonl");
}

/* ---- all of them ----------------------------------------------------- */

static void open_output(decode_run *r)
{
    const pcv_answer_info a = pcv_model_answer(r->model,
                                               pcv_model_main(r->model));
    const size_t dim[2] = {r->queries, a.outputs};
    int status = 0;

    if (r->o.format == NPY)
        stack_open(&r->rows, r->index ? 2 : a.rank, r->index ? dim : a.dim);
    if (r->o.format == PNG || r->o.format == WAV) {
        r->files.output = r->o.output;
        r->files.force = r->o.force;
        r->files.end = r->o.format == PNG ? ".png" : ".wav";
        gallery_open(&r->files);
    } else {
        status = sink_open(&r->out, r->o.output, r->o.force);
    }
    if (status)
        exit(status);
}

static void open_all(decode_run *r)
{
    answer_open(&r->style, r->model, &r->o);
    r->source = latents_open(&r->o, r->model, r->any_model);
    open_output(r);
}

/* What follows the last item. */
static int write_end(decode_run *r, const pump_totals *t)
{
    if (t->fatal || (r->o.output && !t->whole))
        return t->fatal;
    switch (r->o.format) {
    case NPY: return stack_npy(&r->rows, &r->out);
    case PNG:
    case WAV: return gallery_finish(&r->files);
    default:  return 0;
    }
}

static pump_totals decode(decode_run *r)
{
    pump_job job = decode_job(r);
    pump_totals t = {0};

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

static void close_all(decode_run *r)
{
    answer_close(&r->style);
    latents_close(r->source);
    stack_close(&r->rows);
    gallery_close(&r->files);
    free(r->index);
}

int main(int argc, char **argv)
{
    decode_run r = {0};
    pcv_model *m;
    pump_totals t;

    parse(&r, argc, argv);
    r.model = m = pump_model(&r.o);
    decode_queries(&r);
    if (r.o.format < 0)
        r.o.format = default_format(&r);
    check_format(&r);
    open_all(&r);
    t = decode(&r);
    if (!t.left) {
        close_all(&r);
        pcv_model_close(m);
    }
    return opt_finish(pump_status(&t));
}
