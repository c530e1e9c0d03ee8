/* choose.c - which format, and which of a model's answers go into it.  A
 * format holds kinds of answers; a model with several answers gives the first
 * of a kind that fits, its main one before the others. */
#include "decode.h"

#include <string.h>

#define IS(kind) (1u << PCV_ANSWER_ ## kind)

enum { ANY = -1 };

static const struct {
    unsigned kinds;             /* that it can hold */
    bool file;                  /* one for each input */
    bool text;                  /* fit for a terminal */
    const char *of, *end;       /* of what, for messages; of a file's name */
} format[] = {
    [TSV]         = {IS(CLASSES) | IS(TEXT), false, true, NULL, NULL},
    [JSONL]       = {(unsigned)ANY, false, true, NULL, NULL},
    [NPY]         = {(unsigned)ANY, false, false, NULL, NULL},
    [SAFETENSORS] = {(unsigned)ANY, false, false, NULL, ".safetensors"},
    [PNG]         = {IS(PICTURE) | IS(FRAMES) | IS(FLOW), true, false,
                     "pictures", ".png"},
    [WAV]         = {IS(SOUND), true, false, "sound", ".wav"},
    [FLO]         = {IS(FLOW), true, false, "optical flow", ".flo"},
    [TXT]         = {IS(TEXT), false, true, "text", ".txt"},
    [RAW]         = {(unsigned)ANY, false, false, NULL, NULL},
};

static bool holds(int f, const reply *a)
{
    return format[f].kinds >> a->info.kind & 1;
}

/* ---- the format ------------------------------------------------------ */

static int usual_format(const reply *a)
{
    if (a->index)
        return NPY;
    switch (a->info.kind) {
    case PCV_ANSWER_CLASSES: return TSV;
    case PCV_ANSWER_PICTURE:
    case PCV_ANSWER_FRAMES:  return PNG;
    case PCV_ANSWER_SOUND:   return WAV;
    case PCV_ANSWER_TEXT:    return TXT;
    case PCV_ANSWER_FLOW:    return FLO;
    default:                 return NPY;
    }
}

/* ---- the answer ------------------------------------------------------ */

static _Noreturn void refuse(int f)
{
    if (format[f].of)
        opt_usage("this model's answers are not %s", format[f].of);
    opt_usage("this model does not classify, want --format=npy, jsonl or raw, "
              "or another one that its answers fit");
}

/* Before --answer has left only one, the main one has its own place. */
static size_t find(const decode_run *r, int f)
{
    size_t first = r->answer ? 0 : pcv_model_main(r->model);

    if (holds(f, &r->replies.of[first]))
        return first;
    for (size_t i = 0; i < r->replies.n; i++)
        if (holds(f, &r->replies.of[i]))
            return i;
    refuse(f);
}

/* ---- what goes together ---------------------------------------------- */

static void check_files(const decode_run *r)
{
    const gallery *g = &r->gallery;

    if (g->directory && !format[r->o.format].end)
        opt_usage("--out-dir goes with --format=png, wav, flo, txt or "
                  "safetensors");
    if (g->directory && r->o.output)
        opt_usage("--out-dir and --output exclude each other");
    if (g->files > 1 && !g->directory && !gallery_numbers(r->o.output))
        opt_usage("each answer is %zu pictures, want --out-dir=DIR or a %%d "
                  "in the name of the output", g->files);
}

static void check(const decode_run *r)
{
    int f = r->o.format;

    if (r->one && r->one->index && f != JSONL && f != NPY && f != RAW)
        opt_usage("--query=index goes with --format=npy, safetensors, jsonl "
                  "or raw");
    check_files(r);
    if (r->o.header && f != TSV)
        opt_usage("--header goes with --format=tsv");
    if (r->most > 0 && !(f == PNG && r->one->info.kind == PCV_ANSWER_FLOW))
        opt_usage("--flow-scale goes with --format=png of optical flow");
    if (!format[f].text && !r->gallery.directory)
        sink_refuse_terminal(r->o.output, "answers", "--format=jsonl");
}

/* Only answer i is kept: queries of another would be lost. */
static void keep(decode_run *r, size_t i)
{
    for (size_t k = 0; k < r->replies.n; k++)
        if (k != i && r->replies.of[k].index)
            opt_usage("--query=%s=.. goes with --answer=%s or "
                      "--format=safetensors", r->replies.of[k].info.name,
                      r->replies.of[k].info.name);
    replies_keep(&r->replies, i);
    r->one = r->replies.of;
}

void decode_choose(decode_run *r)
{
    int *f = &r->o.format;

    if (*f < 0)
        *f = r->replies.n > 1 ? SAFETENSORS : usual_format(r->replies.of);
    if (*f != SAFETENSORS)
        keep(r, find(r, *f));
    r->files = format[*f].file || (r->gallery.directory && format[*f].end);
    r->gallery.end = format[*f].end;
    if (*f == PNG)
        r->gallery.files = r->one->info.pictures;
    check(r);
}
