/* npy.c - NumPy's array files, versions 1 to 3:
 *
 *     \x93NUMPY  major  minor  length of the header (2 bytes in version 1,
 *     else 4, low byte first)  header  elements
 *
 * The header is the text of a Python dict with exactly three keys,
 *
 *     {'descr': '<f4', 'fortran_order': False, 'shape': (3, 224, 224), }
 *
 * Read are bool, integers and floats; objects, strings and records are not:
 * nothing in a file is ever evaluated. */
#include "base.h"

#include <assert.h>
#include <string.h>

#define MAGIC "\x93NUMPY"
#define MAX_HEADER 65536

static const struct {
    char code[3];
    pcv_dtype dtype;
} types[] = {
    {"b1", PCV_BOOL}, {"u1", PCV_U8}, {"u2", PCV_U16}, {"u4", PCV_U32},
    {"u8", PCV_U64}, {"i1", PCV_I8}, {"i2", PCV_I16}, {"i4", PCV_I32},
    {"i8", PCV_I64}, {"f2", PCV_F16}, {"f4", PCV_F32}, {"f8", PCV_F64},
};

/* ---- the header's text ----------------------------------------------- */

typedef struct {
    const char *start, *p, *end;
    const char *name;           /* of the file */
} text;

static int expected(const text *t, const char *what)
{
    return pcv_fail(EX_DATAERR, "%s: .npy header: want %s at character %zu",
                    t->name, what, (size_t)(t->p - t->start));
}

static void blanks(text *t)
{
    while (t->p < t->end && (*t->p == ' ' || *t->p == '\n' || *t->p == '\t'))
        t->p++;
}

static bool take(text *t, char c)
{
    blanks(t);
    if (t->p == t->end || *t->p != c)
        return false;
    t->p++;
    return true;
}

static bool word(text *t, const char *w)
{
    size_t n = strlen(w);

    blanks(t);
    if ((size_t)(t->end - t->p) < n || memcmp(t->p, w, n) != 0)
        return false;
    t->p += n;
    return true;
}

/* 'abc' or "abc" into s[size]: no key or type we know has an escape. */
static bool quoted(text *t, char *s, size_t size)
{
    size_t n = 0;
    char quote = take(t, '\'') ? '\'' : take(t, '"') ? '"' : 0;

    if (!quote)
        return false;
    for (; t->p < t->end && *t->p != quote; t->p++)
        if (*t->p < ' ' || *t->p > '~' || n + 1 >= size)
            return false;
        else
            s[n++] = *t->p;
    s[n] = '\0';
    return take(t, quote);
}

static bool number(text *t, size_t *n)
{
    blanks(t);
    if (t->p == t->end || *t->p < '0' || *t->p > '9')
        return false;
    for (*n = 0; t->p < t->end && *t->p >= '0' && *t->p <= '9'; t->p++)
        if (!pcv_mul(*n, 10, n) || !pcv_add(*n, (size_t)(*t->p - '0'), n))
            return false;
    if (t->p < t->end && *t->p == 'L')          /* as Python 2 wrote them */
        t->p++;
    return true;
}

/* ---- its three values ------------------------------------------------ */

/* '<f4', '>i2', '|u1'; '=' and nothing mean the machine that wrote it, which
 * all these years has been little-endian. */
static int parse_descr(text *t, pcv_layout *l)
{
    char s[32], *code = s;

    if (!quoted(t, s, sizeof s))
        return expected(t, "the type of one number, such as '<f4'");
    if (*code && strchr("<>|=", *code))
        code++;
    l->big = *s == '>';
    for (size_t i = 0; i < PCV_LEN(types); i++)
        if (strcmp(code, types[i].code) == 0) {
            l->dtype = types[i].dtype;
            return 0;
        }
    return pcv_fail(EX_DATAERR, "%s: .npy of type '%s', want bool (b1), an "
                    "integer (i1 to i8, u1 to u8) or a float (f2, f4, f8)",
                    t->name, s);
}

static int parse_order(text *t, pcv_layout *l)
{
    l->fortran = word(t, "True");
    return l->fortran || word(t, "False") ? 0 : expected(t, "True or False");
}

static int parse_shape(text *t, pcv_layout *l)
{
    l->rank = 0;
    if (!take(t, '('))
        return expected(t, "a shape such as (3, 224, 224)");
    while (!take(t, ')')) {
        if (l->rank == PCV_MAX_RANK)
            return pcv_fail(EX_DATAERR, "%s: .npy of more than %d axes",
                            t->name, PCV_MAX_RANK);
        if (!number(t, &l->dim[l->rank++]))
            return expected(t, "the length of an axis");
        if (!take(t, ',') && (t->p == t->end || *t->p != ')'))
            return expected(t, "',' or ')'");
    }
    return 0;
}

static int parse_entry(text *t, pcv_layout *l, unsigned *seen)
{
    static const struct {
        const char *key;
        int (*parse)(text *, pcv_layout *);
    } entry[] = {
        {"descr", parse_descr}, {"fortran_order", parse_order},
        {"shape", parse_shape},
    };
    char key[32];

    if (!quoted(t, key, sizeof key))
        return expected(t, "a key");
    if (!take(t, ':'))
        return expected(t, "':'");
    for (unsigned i = 0; i < PCV_LEN(entry); i++)
        if (strcmp(key, entry[i].key) == 0 && !(*seen >> i & 1)) {
            *seen |= 1u << i;
            return entry[i].parse(t, l);
        }
    return pcv_fail(EX_DATAERR, "%s: .npy header: key '%s', want descr, "
                    "fortran_order and shape, once each", t->name, key);
}

static int parse_header(text *t, pcv_layout *l)
{
    unsigned seen = 0;

    if (!take(t, '{'))
        return expected(t, "'{'");
    while (!take(t, '}')) {
        if (parse_entry(t, l, &seen) < 0)
            return -1;
        if (!take(t, ',') && (t->p == t->end || *t->p != '}'))
            return expected(t, "',' or '}'");
    }
    blanks(t);
    if (t->p != t->end)
        return expected(t, "the end");
    return seen == 7 ? 0 : expected(t, "descr, fortran_order and shape");
}

/* ---- the file -------------------------------------------------------- */

bool pcv_npy_probe(const unsigned char *data, size_t n)
{
    return n >= 6 && memcmp(data, MAGIC, 6) == 0;
}

int pcv_npy_layout(const unsigned char *data, size_t n, const char *name,
                   pcv_layout *l)
{
    text t = {.name = name};
    size_t before, length;

    *l = (pcv_layout){0};
    if (n < 12)
        return pcv_fail(EX_DATAERR, "%s: truncated .npy of %zu bytes", name,
                        n);
    if (data[6] < 1 || data[6] > 3)
        return pcv_fail(EX_DATAERR, "%s: .npy of version %d, want 1 to 3",
                        name, data[6]);
    before = data[6] == 1 ? 10 : 12;
    length = data[8] | (size_t)data[9] << 8;
    if (data[6] > 1)
        length |= (size_t)data[10] << 16 | (size_t)data[11] << 24;
    if (length > MAX_HEADER)
        return pcv_fail(EX_DATAERR, "%s: .npy header of %zu bytes, at most %d "
                        "are read", name, length, MAX_HEADER);
    if (length > n - before)
        return pcv_fail(EX_DATAERR, "%s: truncated .npy: %zu of %zu bytes of "
                        "the header", name, n - before, length);
    t.start = t.p = (const char *)data + before;
    t.end = t.p + length;
    l->offset = before + length;
    return parse_header(&t, l) < 0 ? -1
                                   : pcv_layout_check(l, n, name, ".npy");
}

/* ---- out ------------------------------------------------------------- */

static const char *descr_of(pcv_dtype t)
{
    for (size_t i = 0; i < PCV_LEN(types); i++)
        if (types[i].dtype == t)
            return types[i].code;
    assert(t != t);     /* NumPy has no such type */
    return "";
}

/* Padded with blanks, so that the elements begin at a multiple of 64. */
void pcv_npy_header(pcv_buf *b, pcv_dtype t, int rank, const size_t *dim)
{
    pcv_buf head = {0};
    size_t length;

    pcv_buf_printf(&head, "{'descr': '%c%s', 'fortran_order': False, "
                   "'shape': (", pcv_dtype_size(t) == 1 ? '|' : '<',
                   descr_of(t));
    for (int k = 0; k < rank; k++)
        pcv_buf_printf(&head, k ? ", %zu" : "%zu", dim[k]);
    pcv_buf_puts(&head, rank == 1 ? ",), }" : "), }");
    while ((10 + head.len + 1) % 64 != 0 && !head.failed)
        pcv_buf_puts(&head, " ");
    pcv_buf_puts(&head, "\n");
    length = head.len;
    pcv_buf_add(b, MAGIC "\1\0", 8);
    pcv_buf_add(b, (unsigned char[]){length & 0xff, length >> 8 & 0xff}, 2);
    pcv_buf_add(b, head.data, length);
    b->failed |= head.failed;
    pcv_buf_free(&head);
}
