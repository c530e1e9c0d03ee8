/* opt.c - the table of shared options, and getopt_long over it and a
 * program's own rows.  --help is made from the same rows, so that an option
 * cannot exist without its line there. */
#include "opt_parts.h"

#include <assert.h>
#include <ctype.h>
#include <getopt.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_THREADS 1024
#define MAX_BATCH 65536
#define LONG 256        /* getopt_long's value of row i is LONG + i */

/* ---- setters of shared options --------------------------------------- */

static void set_list(const opt_row *row, const char *value)
{
    pcv_inputs *in = row->to;

    if (in->list)
        opt_usage("option --%s: there is another list already, '%s'",
                  row->name, opt_shown(in->list));
    in->list = value;
}

static void set_list_nul(const opt_row *row, const char *value)
{
    pcv_inputs *in = row->to;

    set_list(row, value);
    in->nul = true;
}

/* One of the choices, kept as its text. */
static void set_word(const opt_row *row, const char *value)
{
    int choice;
    opt_row check = *row;

    check.to = &choice;
    opt_choice(&check, value);
    opt_text(row, value);
}

static void set_threads(const opt_row *row, const char *value)
{
    *(int *)row->to = (int)opt_whole("option --threads", value, 1,
                                     MAX_THREADS);
}

static void set_batch(const opt_row *row, const char *value)
{
    *(size_t *)row->to = opt_whole("option --batch", value, 1, MAX_BATCH);
}

static void set_on_error(const opt_row *row, const char *value)
{
    int choice;
    opt_row check = *row;

    check.to = &choice;
    opt_choice(&check, value);
    *(bool *)row->to = choice == 1;
}

/* I/K */
static void set_shard(const opt_row *row, const char *value)
{
    opt *o = row->to;
    char *slash = NULL, *end;

    o->shard = isdigit((unsigned char)*value) ? strtoul(value, &slash, 10) : 0;
    if (o->shard && *slash == '/' && isdigit((unsigned char)slash[1])) {
        o->shards = strtoul(slash + 1, &end, 10);
        if (!*end && o->shard <= o->shards)
            return;
    }
    opt_usage("option --%s: '%s', want I/K, such as 1/4 to 4/4", row->name,
              opt_escaped(value));
}

static void set_output(const opt_row *row, const char *value)
{
    *(const char **)row->to = strcmp(value, "-") == 0 ? NULL : value;
}

/* ---- the table ------------------------------------------------------- */

enum { ALWAYS = 0, HELP = 'h', VERSION = 'V' };

#define AT(member) offsetof(opt, member)

static const struct {
    unsigned group;
    char letter;
    const char *name, *argument, *help;
    void (*set)(const opt_row *row, const char *value);
    size_t at;                  /* of what is set, in opt */
} shared[] = {
    {OPT_ANSWER, 'k', "top", "N", "the N best classes of each input (1)",
     opt_count, AT(top)},
    {OPT_ANSWER, 0, "all", NULL, "all classes of each input", opt_flag,
     AT(all)},
    {OPT_ANSWER, 0, "logits", NULL, "raw scores instead of probabilities",
     opt_flag, AT(logits)},
    {OPT_ANSWER, 0, "labels", "FILE", "names of the classes, one a line, "
     "instead of the model's", opt_text, AT(labels)},
    {OPT_ANSWER, 0, "header", NULL, "begin with a line of column names (tsv)",
     opt_flag, AT(header)},
    {OPT_INPUTS, 0, NULL, NULL, "Options of all programs that take inputs:",
     NULL, 0},
    {OPT_MODEL, 'm', "model", "NAME", "a directory, or a name that is looked "
     "for in PCV_MODEL_PATH and the data directories", opt_text, AT(model)},
    {OPT_INPUTS, 0, "precision", "f32|bf16|int8", "how the model computes: "
     "bf16 and int8 are faster, and a little less exact (f32)", set_word,
     AT(precision)},
    {OPT_INPUTS, 0, "latents", "N", "use the first N latents alone, for a "
     "model that was trained for that (pcv-train --nested)", opt_count,
     AT(latents)},
    {OPT_INPUTS, 'T', "files-from", "FILE", "read names of inputs from FILE, "
     "one a line; - is standard input", set_list, AT(in)},
    {OPT_INPUTS, 0, "files0-from", "FILE", "the same, each ended by a NUL",
     set_list_nul, AT(in)},
    {OPT_INPUTS, '0', "null", NULL, "names of the list end in NUL; without "
     "a list, --files0-from=-", opt_flag, AT(in.nul)},
    {OPT_INPUTS, 'r', "recursive", NULL, "take the files below directories, "
     "in bytewise order", opt_flag, AT(in.recursive)},
    {OPT_INPUTS, 0, "include", "GLOB", "with -r, only file names that match",
     opt_text, AT(in.include)},
    {OPT_INPUTS, 0, "exclude", "GLOB", "with -r, no file names that match",
     opt_text, AT(in.exclude)},
    {OPT_INPUTS, 0, "modality", "auto|image|sound|bytes|array",
     "what inputs are; auto looks at their content", set_word,
     AT(in.modality)},
    {OPT_INPUTS, 0, "overlong", "cut|refuse", "texts longer than the model "
     "takes", set_word, AT(in.overlong)},
    {OPT_INPUTS, 0, "sound", "FILE", "the sound of the pictures, for a model "
     "of both", opt_text, AT(in.sound)},
    {OPT_INPUTS, 0, "raw", "TYPE:SHAPE", "inputs are bare arrays: u8:28x28",
     opt_text, AT(in.raw)},
    {OPT_INPUTS, 0, "pcm", "TYPE:RATE:CHANNELS", "inputs are bare samples: "
     "s16le:16000:1", opt_text, AT(in.pcm)},
    {OPT_INPUTS, 0, "no-exif", NULL, "leave photographs as the camera was "
     "held", opt_flag, AT(in.no_exif)},
    {OPT_INPUTS, 0, "max-pixels", "N", "refuse larger pictures (100000000)",
     opt_count, AT(in.max_pixels)},
    {OPT_INPUTS, 0, "max-seconds", "S", "refuse longer sounds (3600)",
     opt_real, AT(in.max_seconds)},
    {OPT_INPUTS, 0, "max-bytes", "N", "refuse larger files (1073741824)",
     opt_count, AT(in.max_bytes)},
    {OPT_OUTPUT, 'o', "output", "FILE", "write FILE, whole or not at all, "
     "instead of standard output", set_output, AT(output)},
    {OPT_FORMAT, 0, "format", NULL, "how to write it", opt_choice,
     AT(format)},
    {OPT_OUTPUT, 'f', "force", NULL, "replace a FILE that exists", opt_flag,
     AT(force)},
    {OPT_THREADS, 't', "threads", "N", "threads (PCV_THREADS, or the CPUs); "
     "the output is the same for every N", set_threads, AT(threads)},
    {OPT_BATCH, 0, "batch", "N", "inputs in memory at most (as many as "
     "threads)", set_batch, AT(batch)},
    {OPT_BATCH, 0, "on-error", "continue|stop", "after an input that failed",
     set_on_error, AT(stop)},
    {OPT_BATCH, 0, "shard", "I/K", "every K-th input, from the I-th on: one "
     "of K processes that share the work", set_shard, 0},
    {ALWAYS, 'q', "quiet", NULL, "say nothing but errors", opt_flag,
     AT(quiet)},
    {ALWAYS, 'v', "verbose", NULL, "say which model and settings are used",
     opt_flag, AT(verbose)},
    {ALWAYS, HELP, "help", NULL, "write this and exit", NULL, 0},
    {ALWAYS, VERSION, "version", NULL, "write version and build, and exit",
     NULL, 0},
};

static void add_row(opt_table *t, opt *o, size_t i)
{
    opt_row *row = &t->row[t->rows++];

    *row = (opt_row){shared[i].letter, shared[i].name, shared[i].argument,
                     shared[i].help, shared[i].set,
                     (char *)o + shared[i].at};
    if (shared[i].group == OPT_FORMAT)
        row->argument = t->program->formats;
}

static void make_table(opt_table *t, const opt_program *p, opt *o)
{
    assert(p->rows + OPT_LEN(shared) <= OPT_MAX_ROWS);
    t->program = p;
    t->rows = p->rows;
    if (p->rows)
        memcpy(t->row, p->row, p->rows * sizeof *p->row);
    for (size_t i = 0; i < OPT_LEN(shared); i++)
        if (shared[i].group == ALWAYS || (shared[i].group & p->shared))
            add_row(t, o, i);
}

/* ---- getopt's view of the table -------------------------------------- */

static int argument_kind(const opt_row *row)
{
    return !row->argument            ? no_argument
           : row->argument[0] == '[' ? optional_argument
                                     : required_argument;
}

/* The leading colon: a missing argument is told from an unknown option. */
static void make_getopt(const opt_table *t, struct option *names,
                        char *letters)
{
    *letters++ = ':';
    for (size_t i = 0; i < t->rows; i++) {
        const opt_row *row = &t->row[i];
        int kind = argument_kind(row);

        if (!row->name)
            continue;
        *names++ = (struct option){row->name, kind, NULL, LONG + (int)i};
        if (!row->letter)
            continue;
        *letters++ = row->letter;
        for (int colons = kind; colons > 0; colons--)
            *letters++ = ':';
    }
    *names = (struct option){0};
    *letters = '\0';
}

static const opt_row *find_row(const opt_table *t, int code)
{
    if (code >= LONG)
        return &t->row[code - LONG];
    for (size_t i = 0; i < t->rows; i++)
        if (code && t->row[i].letter == code)
            return &t->row[i];
    return NULL;
}

/* ---- what can be wrong ----------------------------------------------- */

static _Noreturn void refuse_ambiguous(const opt_table *t, const char *name)
{
    char all[512] = "";
    size_t n = 0;

    for (size_t i = 0; i < t->rows && n < sizeof all; i++)
        if (t->row[i].name &&
            strncmp(t->row[i].name, name, strlen(name)) == 0)
            n += (size_t)snprintf(all + n, sizeof all - n, "%s'--%s'",
                                  n ? ", " : "", t->row[i].name);
    opt_usage("option '--%s' could be %s", opt_escaped(name), all);
}

static size_t count_prefix(const opt_table *t, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < t->rows; i++)
        n += t->row[i].name &&
             strncmp(t->row[i].name, name, strlen(name)) == 0;
    return n;
}

static _Noreturn void refuse_long(const opt_table *t, char *word)
{
    char *name = word + 2;
    const char *near;

    name[strcspn(name, "=")] = '\0';
    if (*name && count_prefix(t, name) > 1)
        refuse_ambiguous(t, name);
    near = opt_nearest(t, name);
    if (near)
        opt_usage("unknown option '%s' (did you mean '--%s'?)",
                  opt_escaped(word), near);
    opt_usage("unknown option '%s' (--help lists them)", opt_escaped(word));
}

static _Noreturn void refuse(const opt_table *t, int code, char *word)
{
    const opt_row *row = find_row(t, optopt);

    if (row && code == ':')
        opt_usage("option '--%s' needs an argument, %s", row->name,
                  row->argument);
    if (row)
        opt_usage("option '--%s' takes no argument", row->name);
    if (optopt == 0)
        refuse_long(t, word);
    opt_usage("unknown option '-%s' (--help lists them)",
              opt_escaped((char[]){(char)optopt, '\0'}));
}

/* ---- parsing --------------------------------------------------------- */

static void apply(const opt_table *t, const opt_row *row)
{
    if (row->set) {
        row->set(row, optarg);
        return;
    }
    if (row->letter == HELP)
        opt_help(t);
    else
        opt_version(t);
    exit(opt_finish(0));
}

static void parse_all(const opt_table *t, int argc, char **argv)
{
    struct option names[OPT_MAX_ROWS + 1];
    char letters[3 * OPT_MAX_ROWS + 2];
    int code;

    make_getopt(t, names, letters);
    opterr = 0;
    while ((code = getopt_long(argc, argv, letters, names, NULL)) != -1) {
        const opt_row *row = code == '?' || code == ':' ? NULL
                                                        : find_row(t, code);

        if (!row)
            refuse(t, code, argv[optind - 1]);
        apply(t, row);
    }
}

/* The CPUs that this process may run on. */
static int default_threads(void)
{
    const char *wanted = getenv("PCV_THREADS");
    cpu_set_t set;
    int n = 0;

    if (wanted && *wanted)
        return (int)opt_whole("PCV_THREADS", wanted, 1, MAX_THREADS);
    if (sched_getaffinity(0, sizeof set, &set) == 0)
        n = CPU_COUNT(&set);
    else                        /* more CPUs than the set has room for */
        n = (int)sysconf(_SC_NPROCESSORS_ONLN);
    return n < 1 ? 1 : n > MAX_THREADS ? MAX_THREADS : n;
}

const char *opt_temporary(void)
{
    const char *directory = getenv("TMPDIR");

    return directory && *directory ? directory : "/tmp";
}

static void settle(opt *o, const opt_program *p, char **operand)
{
    o->operand = operand;
    while (operand[o->operands])
        o->operands++;
    if (!o->threads)
        o->threads = default_threads();
    if (!o->batch)
        o->batch = (size_t)o->threads;
    if (!(p->shared & OPT_INPUTS))
        return;
    if (o->in.nul && !o->in.list)
        o->in.list = "-";
    o->in.path = (const char *const *)operand;
    o->in.paths = o->operands;
    o->in.temporary = opt_temporary();
}

/* OpenBLAS reads its kernel's name when it is loaded: when it has taken this
 * processor for an old one, start again with the right one.  The variable
 * that is set keeps this from happening twice. */
static void start_again(char **argv)
{
    const char *kernel = pcv_blas_better();
    char self[4096];
    ssize_t n;

    if (!kernel || getenv("OPENBLAS_CORETYPE"))
        return;
    n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n <= 0 || setenv("OPENBLAS_CORETYPE", kernel, 1) != 0)
        return;
    self[n] = '\0';
    execv(self, argv);
}

void opt_parse(opt *o, const opt_program *program, int argc, char **argv)
{
    opt_table t;

    start_again(argv);
    say_start(program->name);
    *o = (opt){.format = -1, .top = 1};
    make_table(&t, program, o);
    parse_all(&t, argc, argv);
    say_how_much(o->quiet, o->verbose);
    settle(o, program, argv + optind);
}

void opt_need_inputs(opt *o)
{
    static const char *const standard_input[] = {"-"};

    if (o->in.paths || o->in.list)
        return;
    if (isatty(STDIN_FILENO))
        opt_usage("no inputs, and standard input is a terminal (--help "
                  "tells more)");
    o->in.path = standard_input;
    o->in.paths = 1;
}

int opt_ending(const char *path, const char *const *ending, int n)
{
    size_t length = path ? strlen(path) : 0;

    for (int i = 0; i < n; i++) {
        size_t end = strlen(ending[i]);

        if (length > end && strcmp(path + length - end, ending[i]) == 0)
            return i;
    }
    return -1;
}

bool opt_is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}
