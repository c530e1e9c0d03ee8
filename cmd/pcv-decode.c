/* pcv-decode - latents to answers: pcv-decode(1). */
#include "decode.h"

#include <stdlib.h>
#include <string.h>

#define FORMATS "tsv|jsonl|npy|safetensors|png|wav|flo|txt|raw"

/* ---- the command line ------------------------------------------------ */

static void set_query(const opt_row *row, const char *value)
{
    decode_run *r = row->to;

    if (r->queries == MAX_QUERIES)
        opt_usage("option --query: more than %d", MAX_QUERIES);
    r->query[r->queries++] = value;
}

static void parse(decode_run *r, int argc, char **argv)
{
    static const char *const ending[] = {
        ".tsv", ".jsonl", ".npy", ".safetensors", ".png", ".wav", ".flo",
        ".txt", ".raw",
    };
    const opt_row row[] = {
        {0, "answer", "NAME", "that one of a model with several", opt_text,
         &r->answer},
        {0, "query", "QUERY", "which parts of it: default, or "
         "index=A-B,C,..;\nNAME=A-B,C,.. of the answer NAME", set_query, r},
        {0, "out-dir", "DIR", "write DIR/NAME.png for each input (png, wav, "
         "flo,\ntxt, safetensors)", opt_text, &r->gallery.directory},
        {0, "flow-scale", "PIXELS", "motion of a full colour (png of flow; "
         "the largest)", opt_real, &r->most},
        {0, "allow-model-mismatch", NULL, "take latents of another model",
         opt_flag, &r->any_model},
    };
    const opt_program program = {
        .name = "pcv-decode", .operands = "[LATENTS...]",
        .about = "Writes what a model answers from latents: labels, arrays, "
                 "pictures, sounds,\ntexts, optical flow.  LATENTS are of "
                 "pcv-encode; other files are encoded\nfirst.  - is standard "
                 "input.",
        .shared = OPT_MODEL | OPT_INPUTS | OPT_OUTPUT | OPT_FORMAT |
                  OPT_THREADS | OPT_BATCH | OPT_ANSWER,
        .formats = FORMATS, .row = row, .rows = OPT_LEN(row),
    };

    opt_parse(&r->o, &program, argc, argv);
    opt_need_inputs(&r->o);
    if (r->o.format < 0)
        r->o.format = opt_ending(r->o.output, ending, OPT_LEN(ending));
}

/* ---- all of them ----------------------------------------------------- */

static void open_output(decode_run *r)
{
    int status = 0;

    if (r->files) {
        r->gallery.output = r->o.output;
        r->gallery.force = r->o.force;
        gallery_open(&r->gallery);
        return;
    }
    if (r->o.format == NPY || r->o.format == SAFETENSORS)
        replies_stack(&r->replies);
    status = sink_open(&r->out, r->o.output, r->o.force);
    if (status)
        exit(status);
}

static void open_all(decode_run *r)
{
    answer_open(&r->style, r->model, &r->o);
    r->source = latents_open(&r->o, r->model, r->any_model);
    open_output(r);
}

static int write_begin(decode_run *r)
{
    if (r->one && r->one->info.kind == PCV_ANSWER_TEXT)
        return answer_header_masks(&r->o, &r->out);
    return answer_header(&r->o, &r->out);
}

/* What follows the last item. */
static int write_end(decode_run *r, const pump_totals *t)
{
    if (t->fatal || (r->o.output && !t->whole))
        return t->fatal;
    if (r->files)
        return gallery_finish(&r->gallery);
    switch (r->o.format) {
    case NPY:         return replies_npy(&r->replies, &r->out);
    case SAFETENSORS: return replies_safetensors(&r->replies, &r->out);
    default:          return 0;
    }
}

static pump_totals decode(decode_run *r)
{
    pump_job job = decode_job(r);
    pump_totals t = {0};

    t.fatal = write_begin(r);
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
    replies_close(&r->replies);
    gallery_close(&r->gallery);
}

int main(int argc, char **argv)
{
    static decode_run r;    /* a thread may be left that reads it */
    pcv_model *m;
    pump_totals t;

    parse(&r, argc, argv);
    r.model = m = pump_model(&r.o);
    decode_queries(&r);
    decode_choose(&r);
    open_all(&r);
    t = decode(&r);
    if (!t.left) {
        close_all(&r);
        pcv_model_close(m);
    }
    return opt_finish(pump_status(&t));
}
