/* pcv-encode - inputs to latents: pcv-encode(1). */
#include "encode.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the command line ------------------------------------------------ */

static void check(encode_run *r)
{
    bool array = r->o.format == NPY || r->o.format == SAFETENSORS;

    if (r->ids_path && !array)
        opt_usage("--ids goes with --format=npy or --format=safetensors");
    if (r->skip && !array)
        opt_usage("--skip-failed goes with --format=npy or "
                  "--format=safetensors");
    if (r->ids_path && strcmp(r->ids_path, "-") == 0)
        opt_usage("option --ids: want the name of a file");
    opt_need_inputs(&r->o);
    if (r->o.format != JSONL)
        sink_refuse_terminal(r->o.output, "latents", "--format=jsonl");
}

static void parse(encode_run *r, int argc, char **argv)
{
    static const char *const ending[] = {".sts", ".npy", ".safetensors",
                                         ".jsonl"};
    const opt_row row[] = {
        {0, "what", "latents|crossed|input", "latents, those of the first "
         "cross-attend, or the array that it reads", opt_choice, &r->what},
        {0, "pool", "none|mean|max|first", "one vector of the rows of each "
         "array", opt_choice, &r->pool},
        {0, "ids", "FILE", "write the names of the rows to FILE, one a line "
         "(npy, safetensors)", opt_text, &r->ids_path},
        {0, "skip-failed", NULL, "no rows of NaN for inputs that failed (npy, "
         "safetensors)", opt_flag, &r->skip},
    };
    const opt_program program = {
        .name = "pcv-encode", .operands = "[FILE...]",
        .about = "Writes the latents of files, as a stream for pcv-decode or "
                 "as an array.\nA FILE of - is standard input.",
        .shared = OPT_MODEL | OPT_INPUTS | OPT_OUTPUT | OPT_FORMAT |
                  OPT_THREADS | OPT_BATCH,
        .formats = "sts|npy|safetensors|jsonl", .row = row,
        .rows = OPT_LEN(row),
    };

    opt_parse(&r->o, &program, argc, argv);
    if (r->o.format < 0)
        r->o.format = opt_ending(r->o.output, ending, OPT_LEN(ending));
    if (r->o.format < 0)
        r->o.format = STS;
    check(r);
}

/* ---- all of them ----------------------------------------------------- */

static void open_output(sink *s, const char *path, bool force)
{
    int status = sink_open(s, path, force);

    if (status)
        exit(status);
}

static void open_all(encode_run *r, const pcv_model *m)
{
    const size_t dim[2] = {pcv_model_latents(m),
                           pcv_model_latent_channels(m)};
    bool known = r->what != INPUT;

    r->model = m;
    if (r->o.format == NPY || r->o.format == SAFETENSORS) {
        if (r->pool == POOL_NONE)
            stack_open(&r->rows, 2, known ? dim : NULL);
        else
            stack_open(&r->rows, 1, known ? dim + 1 : NULL);
    }
    r->modality = pcv_model_setting(m, "modality");
    r->stream = pcv_stream_open(m, &r->o.in);
    if (!r->modality || !r->stream)
        opt_fatal_pcv();
    open_output(&r->out, r->o.output, r->o.force);
    if (r->ids_path)
        open_output(&r->ids, r->ids_path, r->o.force);
}

/* What follows the last input.  After a failure of the output or the list
 * there is no end record, which pcv-decode notices. */
static int write_end(encode_run *r, const pump_totals *t)
{
    if (t->fatal || (r->o.output && !t->whole))
        return t->fatal;
    switch (r->o.format) {
    case STS:         return encode_end(r, t);
    case NPY:         return stack_npy(&r->rows, &r->out);
    case SAFETENSORS: return encode_safetensors(r);
    default:          return 0;
    }
}

static pump_totals encode(encode_run *r)
{
    pump_job job = encode_job(r);
    pump_totals t;

    pump_from_stream(&job, r->stream, r->model, &r->o);
    t = pump_run(&job);
    t.fatal = write_end(r, &t);
    if (t.whole && !t.fatal) {
        t.fatal = sink_close(&r->out);
        t.fatal = opt_worse(t.fatal, sink_close(&r->ids));
    } else {
        sink_abort(&r->out);
        sink_abort(&r->ids);
    }
    return t;
}

static void close_all(encode_run *r)
{
    pcv_stream_close(r->stream);
    stack_close(&r->rows);
    pcv_bytes_free(&r->names);
    free(r->modality);
}

int main(int argc, char **argv)
{
    static encode_run r;    /* a thread may be left that reads it */
    pcv_model *m;
    pump_totals t;

    parse(&r, argc, argv);
    m = pump_model(&r.o);
    open_all(&r, m);
    t = encode(&r);
    if (!t.left) {
        close_all(&r);
        pcv_model_close(m);
    }
    return opt_finish(pump_status(&t));
}
