/* opt.h - what the five programs have in common: one table of options, the
 * messages, the exit statuses.
 *
 *     int main(int argc, char **argv)
 *     {
 *         size_t top = 1;
 *         const opt_row row[] = {
 *             {'k', "top", "N", "classes per input (1)", opt_count, &top},
 *         };
 *         const opt_program program = {
 *             .name = "pcv-classify", .operands = "[FILE...]",
 *             .about = "Writes labels for files.",
 *             .shared = OPT_MODEL | OPT_INPUTS, .row = row, .rows = 1,
 *         };
 *         opt o;
 *
 *         opt_parse(&o, &program, argc, argv);
 *         ...
 *         return opt_finish(status);
 *     }
 *
 * Data goes to standard output, talk to standard error. */
#ifndef OPT_H
#define OPT_H

#include "pcv.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <sysexits.h>

#define OPT_LEN(a) (sizeof(a) / sizeof *(a))

/* ---- options --------------------------------------------------------- */

/* One option.  The argument is NULL when it takes none, "[N]" when it may be
 * left out, and "a|b|c" for opt_choice, which takes the choices from it.  A
 * row without name is a heading of --help. */
typedef struct opt_row opt_row;
struct opt_row {
    char letter;                /* 'k', or 0 */
    const char *name;           /* "top" */
    const char *argument;       /* "N" */
    const char *help;           /* '\n' where a line of --help ends */
    void (*set)(const opt_row *row, const char *value);
    void *to;                   /* what set sets */
};

/* Setters; each calls opt_usage for a value that it does not take.  A setter
 * of your own may do anything with row->to and row->name. */
void opt_flag(const opt_row *row, const char *value);       /* bool = true */
void opt_text(const opt_row *row, const char *value);       /* const char * */
void opt_count(const opt_row *row, const char *value);      /* size_t >= 1 */
void opt_number(const opt_row *row, const char *value);     /* size_t >= 0 */
void opt_real(const opt_row *row, const char *value);       /* double > 0 */
void opt_choice(const opt_row *row, const char *value);     /* int, from 0 */

/* The value as opt_count takes it, at most `most`. */
size_t opt_whole(const char *option, const char *value, size_t least,
                 size_t most);

/* Groups of shared options; -q -v -h -V are in every program. */
enum {
    OPT_MODEL = 1,              /* -m */
    OPT_INPUTS = 2,             /* -T -0 -r --include .. --max-bytes */
    OPT_OUTPUT = 4,             /* -o -f */
    OPT_FORMAT = 8,             /* --format */
    OPT_THREADS = 16,           /* -t */
    OPT_BATCH = 32,             /* --batch --on-error --shard */
    OPT_ANSWER = 64             /* -k --all --logits --labels --header */
};

typedef struct {
    const char *name;           /* "pcv-classify" */
    const char *operands;       /* the end of the usage line: "[FILE...]" */
    const char *about;          /* sentences for --help, with newlines */
    unsigned shared;            /* OPT_MODEL | .. */
    const char *formats;        /* choices of --format: "tsv|jsonl|npy" */
    const opt_row *row;         /* the program's own options */
    size_t rows;
} opt_program;

typedef struct {
    const char *model;          /* NULL: the default */
    const char *precision;      /* NULL: f32 */
    size_t latents;             /* 0: all */
    pcv_inputs in;              /* with OPT_INPUTS also the operands */
    const char *output;         /* NULL: standard output */
    int format;                 /* which of the choices; -1 not given */
    bool force;
    size_t top;                 /* classes of each input; at least 1 */
    bool all, logits, header;
    const char *labels;
    int threads;                /* at least 1, also without OPT_THREADS */
    size_t batch;               /* at least 1 */
    bool stop;                  /* --on-error=stop */
    size_t shard, shards;       /* 1 <= shard <= shards; 0, 0: not given */
    bool quiet, verbose;
    char **operand;             /* of argv */
    size_t operands;
} opt;

/* Fills o.  Writes --help and --version and exits with 0; exits with 64 when
 * the command line cannot be understood.  Also puts the process in order:
 * descriptors 0 to 2 are open, SIGPIPE kills. */
void opt_parse(opt *o, const opt_program *program, int argc, char **argv);

/* Operands, or standard input where there are none; exits with 64 when that
 * is a terminal.  For programs with OPT_INPUTS. */
void opt_need_inputs(opt *o);

/* The directory of temporary files: TMPDIR, or /tmp. */
const char *opt_temporary(void);

bool opt_is_directory(const char *path);

/* Which of n endings a name has, as a choice of --format; -1: none. */
int opt_ending(const char *path, const char *const *ending, int n);

/* ---- messages (say.c) ------------------------------------------------ */

/* "pcv-classify: ..." on standard error, one line each.  Names of files go
 * through opt_shown. */
void opt_error(const char *format, ...)         /* always */
    __attribute__((format(printf, 1, 2)));
void opt_warn(const char *format, ...)          /* unless -q */
    __attribute__((format(printf, 1, 2)));
void opt_note(const char *format, ...)          /* only with -v */
    __attribute__((format(printf, 1, 2)));
_Noreturn void opt_fatal(int status, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
_Noreturn void opt_usage(const char *format, ...)       /* exit status 64 */
    __attribute__((format(printf, 1, 2)));
/* What pcv_error says, with the status that goes with it. */
_Noreturn void opt_fatal_pcv(void);
_Noreturn void opt_fatal_memory(void);

/* Text of elsewhere as messages show it, control bytes escaped; and the name
 * of a file, which may be "standard input".  Good until the fourth call after
 * it on this thread. */
const char *opt_escaped(const char *text);
const char *opt_shown(const char *name);

/* ---- exit statuses (say.c) ------------------------------------------- */

enum { OPT_SOME_FAILED = 3 };

/* The one that counts: 74, 73 > 71 > 64 > 65, 66 > 3 > 1 > 0. */
int opt_worse(int a, int b);

/* Says once why standard output cannot be written (errno); returns 74. */
int opt_stdout_failed(void);

/* For main to return: closes standard output, 74 when that fails. */
int opt_finish(int status);

#endif
