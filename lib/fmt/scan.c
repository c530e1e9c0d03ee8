/* scan.c - what a pickle asks for, found by reading it as a list of
 * instructions and following none.
 *
 * Reported are all globals (GLOBAL, INST, STACK_GLOBAL), the opcodes that no
 * state dict needs, and forms that are refused whatever is in them.  Where
 * the interpreter stops at the first thing that it refuses, this goes on to
 * the end.  The names that STACK_GLOBAL takes from the stack are known when
 * the two texts before it are, pushed or fetched from the memo; else they are
 * "?". */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

#define MAX_ASKS 1000000
#define MAX_MEMO 1000000

typedef struct {
    const char *p;              /* NULL: not known */
    size_t n;
} text;

/* One place in the pickle. */
typedef struct {
    const char *what;           /* "global" .. */
    text part[2];
    size_t at;
    bool allowed;
} place;

typedef struct {
    const char *file;           /* for messages */
    pcv_requests *asks;         /* where all of it goes */
    pcv_buf places;             /* of place */
    text last[2];               /* the two values pushed last */
    pcv_buf memo;               /* of text */
} scan;

/* ---- what was found -------------------------------------------------- */

static int note(scan *s, const char *what, text a, text b, size_t at,
                bool allowed)
{
    const place p = { what, { a, b }, at, allowed };

    if (s->places.len / sizeof p >= MAX_ASKS)
        return pcv_refuse(s->file, NULL, "a pickle that asks for more than %d "
                          "things", MAX_ASKS);
    pcv_buf_add(&s->places, &p, sizeof p);
    return s->places.failed ? -1 : 0;
}

static text word(const char *s)
{
    return (text){ s, strlen(s) };
}

static int note_word(scan *s, const char *what, const char *name, size_t at)
{
    return note(s, what, word(name), (text){0}, at, false);
}

/* ---- the stack, as far as it is known -------------------------------- */

static void push(scan *s, text t)
{
    s->last[0] = s->last[1];
    s->last[1] = t;
}

static void remember(scan *s, uint64_t i)
{
    text *memo;

    while (i < MAX_MEMO && s->memo.len / sizeof *memo <= i && !s->memo.failed)
        pcv_buf_add(&s->memo, &(text){0}, sizeof *memo);
    memo = (text *)(void *)s->memo.data;
    if (i < MAX_MEMO && !s->memo.failed)
        memo[i] = s->last[1];
}

static text recall(const scan *s, uint64_t i)
{
    const text *memo = (const text *)(const void *)s->memo.data;

    return i < s->memo.len / sizeof *memo ? memo[i] : (text){0};
}

/* The number of a line, as GET and PUT have it. */
static uint64_t index_of(const pcv_op *op)
{
    uint64_t i = 0;

    if (!op->text[0])
        return (uint64_t)op->number;
    for (size_t k = 0; k < op->length[0] && i < MAX_MEMO; k++)
        i = i * 10 + (uint64_t)(op->text[0][k] - '0');
    return i;
}

/* STRING has quotes around it. */
static text literal(const pcv_op *op)
{
    text t = { op->text[0], op->length[0] };

    if (op->code == 'S' && t.n >= 2)
        t = (text){ t.p + 1, t.n - 2 };
    return t;
}

/* What an instruction does to the two values. */
static void follow(scan *s, const pcv_op *op)
{
    switch (op->code) {
    case 'S': case 'T': case 'U': case 'V': case 'X': case 0x8c: case 0x8d:
        push(s, literal(op));
        break;
    case 'g': case 'h': case 'j':
        push(s, recall(s, index_of(op)));
        break;
    case 'p': case 'q': case 'r':
        remember(s, index_of(op));
        break;
    case 0x94:      /* MEMOIZE: under the next number */
        remember(s, s->memo.len / sizeof(text));
        break;
    case '2':
        push(s, s->last[1]);
        break;
    case 0x80: case 0x95:
        break;
    default:
        s->last[0] = s->last[1] = (text){0};
    }
}

/* Allowed opcodes with an argument that is not. */
static int look_at_argument(scan *s, const pcv_op *op)
{
    if (op->code == 0x80 && op->number != 2)
        return note_word(s, "form", "another protocol than 2", op->at);
    if (op->code == 0x8a && op->length[0] > 8)
        return note_word(s, "form", "an integer of more than 8 bytes", op->at);
    return 0;
}

static int look_at(scan *s, const pcv_op *op)
{
    const text a = { op->text[0], op->length[0] };
    const text b = { op->text[1], op->length[1] };
    int status = look_at_argument(s, op);

    if (status < 0)
        return -1;
    if (op->code == 'c' || op->code == 'i')
        status = note(s, "global", a, b, op->at,
                      op->code == 'c' && pcv_global_find(op));
    else if (op->code == 0x93)
        status = note(s, "global", s->last[0].p ? s->last[0] : word("?"),
                      s->last[1].p ? s->last[1] : word("?"), op->at, false);
    if (status == 0 && !op->allowed)
        status = note_word(s, "opcode", op->name, op->at);
    follow(s, op);
    return status < 0 || s->memo.failed ? -1 : 0;
}

/* ---- one pickle after the other -------------------------------------- */

static int end_early(scan *s, const pcv_op *op, pcv_op_found found, size_t n)
{
    if (op->at == n)
        return note_word(s, "form", "no STOP", n);
    if (found == PCV_OP_UNKNOWN)
        return note_word(s, "form", "a byte that is no opcode", op->at);
    return note_word(s, "form", "an instruction that is cut off", op->at);
}

/* *at moves behind a STOP, or to the end. */
static int scan_one(scan *s, const unsigned char *data, size_t n, size_t *at)
{
    pcv_op op = {0};

    s->memo.len = 0;
    s->last[0] = s->last[1] = (text){0};
    while (op.code != PCV_OP_STOP) {
        pcv_op_found found = pcv_op_next(&op, data, n, at);

        if (found != PCV_OP_OK) {
            *at = n;
            return end_early(s, &op, found, n);
        }
        if (look_at(s, &op) < 0)
            return -1;
    }
    return 0;
}

/* A loader may be called again where one pickle ends. */
static int scan_all(scan *s, const unsigned char *data, size_t n, bool alone)
{
    size_t at = 0;

    do
        if (scan_one(s, data, n, &at) < 0)
            return -1;
    while (at < n && data[at] == 0x80);
    if (at < n && !alone)
        return note_word(s, "form", "bytes after STOP", at);
    return 0;
}

/* ---- the same things together ---------------------------------------- */

static int compare_texts(const text *a, const text *b)
{
    size_t n = a->n < b->n ? a->n : b->n;
    int c = n ? memcmp(a->p, b->p, n) : 0;

    return c ? c : a->n < b->n ? -1 : a->n > b->n;
}

static int same_thing(const place *x, const place *y)
{
    int c = strcmp(x->what, y->what);

    if (c == 0)
        c = x->allowed - y->allowed;
    if (c == 0)
        c = compare_texts(&x->part[0], &y->part[0]);
    return c ? c : compare_texts(&x->part[1], &y->part[1]);
}

static int by_thing(const void *a, const void *b)
{
    const place *x = a, *y = b;
    int c = same_thing(x, y);

    return c ? c : x->at < y->at ? -1 : x->at > y->at;
}

static int by_offset(const void *a, const void *b)
{
    const pcv_request *x = a, *y = b;

    if (x->offset != y->offset)
        return x->offset < y->offset ? -1 : 1;
    return -strcmp(x->what, y->what);   /* its opcode, then the global */
}

static char *name_of(const place *p)
{
    pcv_buf b = {0};

    pcv_op_escape(&b, p->part[0].p, p->part[0].n);
    if (p->part[1].p) {
        pcv_buf_puts(&b, ".");
        pcv_op_escape(&b, p->part[1].p, p->part[1].n);
    }
    return b.failed ? NULL : b.len ? b.data : pcv_strdup("");
}

static int gather(scan *s)
{
    pcv_requests *a = s->asks;
    place *p = (place *)(void *)s->places.data;
    size_t n = s->places.len / sizeof *p;

    a->ask = pcv_alloc(n, sizeof *a->ask);
    if (!a->ask)
        return -1;
    if (n)
        qsort(p, n, sizeof *p, by_thing);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || same_thing(&p[i - 1], &p[i])) {
            char *name = name_of(&p[i]);

            if (!name)
                return -1;
            a->ask[a->count++] = (pcv_request){ p[i].what, name, p[i].at,
                                                0, p[i].allowed };
        }
        a->ask[a->count - 1].count++;
    }
    qsort(a->ask, a->count, sizeof *a->ask, by_offset);
    return 0;
}

/* ---- files ----------------------------------------------------------- */

static int scan_archive(scan *s, const pcv_zip *z)
{
    size_t i = pcv_torch_pickle(z);
    void *data;
    int status = 0;

    if (i == SIZE_MAX)
        return pcv_refuse(z->file, NULL, "a ZIP archive without one data.pkl "
                          "in a directory: no file of PyTorch");
    if (!(data = pcv_zip_read(z, i)))
        return -1;
    if (pcv_torch_is_script(z))
        status = note_word(s, "form", "TorchScript code in the archive", 0);
    if (status == 0)
        status = scan_all(s, data, z->entry[i].size, false);
    if (status == 0)        /* the places point into the data */
        status = gather(s);
    pcv_free(data);
    return status;
}

static int scan_file(scan *s, const pcv_file *f)
{
    pcv_zip z;
    int status;

    if (pcv_is_zip(f)) {
        if (pcv_zip_open(&z, NULL, f, s->file) < 0)
            return -1;
        status = scan_archive(s, &z);
        pcv_zip_close(&z);
        return status;
    }
    if (f->size < 2 || f->data[0] != 0x80)
        return pcv_refuse(s->file, NULL, "no pickle in it: neither an archive "
                          "of PyTorch nor a file that begins with PROTO");
    if (note_word(s, "form", "a pickle without an archive", 0) < 0 ||
        scan_all(s, f->data, f->size, true) < 0)
        return -1;
    return gather(s);
}

int pcv_requests_read(pcv_requests *a, const char *path)
{
    scan s = { .asks = a };
    pcv_file f;
    int status;

    *a = (pcv_requests){0};
    s.file = strcmp(path, "-") == 0 ? "standard input" : path;
    if (pcv_file_open(&f, path, 0) < 0)
        return -1;
    status = scan_file(&s, &f);
    pcv_buf_free(&s.places);
    pcv_buf_free(&s.memo);
    pcv_file_close(&f);
    if (status < 0)
        pcv_requests_free(a);
    return status;
}

void pcv_requests_free(pcv_requests *a)
{
    for (size_t i = 0; i < a->count; i++)
        pcv_free(a->ask[i].name);
    pcv_free(a->ask);
    *a = (pcv_requests){0};
}
