/* opcode.c - the words of a pickle: every opcode of protocols 0 to 5 with
 * the form of its argument, which of them a state dict may use, and the
 * globals that it may name.
 *
 * A pickle is a program for a stack machine: one byte of opcode, then the
 * argument.  This table is all that is known of opcodes here; the interpreter
 * (pickle.c) and the scanner (scan.c) both read by it. */
#include "parts.h"

#include <string.h>

/* Forms of an argument: numbers, low byte first, unsigned but for I4; 8 bytes
 * of float; text with its count before it; text up to a newline. */
enum form { NONE, U1, U2, U4, U8, I4, F8, COUNT1, COUNT4, COUNT8, LINE, LINES };

static const struct {
    const char *name;
    unsigned char form;
    bool allowed;
} word[256] = {
    ['('] = {"MARK", NONE, true},
    ['.'] = {"STOP", NONE, true},
    ['0'] = {"POP", NONE, false},
    ['1'] = {"POP_MARK", NONE, false},
    ['2'] = {"DUP", NONE, false},
    ['F'] = {"FLOAT", LINE, false},
    ['I'] = {"INT", LINE, false},
    ['J'] = {"BININT", I4, true},
    ['K'] = {"BININT1", U1, true},
    ['L'] = {"LONG", LINE, false},
    ['M'] = {"BININT2", U2, true},
    ['N'] = {"NONE", NONE, true},
    ['P'] = {"PERSID", LINE, false},
    ['Q'] = {"BINPERSID", NONE, true},
    ['R'] = {"REDUCE", NONE, true},
    ['S'] = {"STRING", LINE, false},
    ['T'] = {"BINSTRING", COUNT4, false},
    ['U'] = {"SHORT_BINSTRING", COUNT1, true},
    ['V'] = {"UNICODE", LINE, false},
    ['X'] = {"BINUNICODE", COUNT4, true},
    ['a'] = {"APPEND", NONE, true},
    ['b'] = {"BUILD", NONE, true},
    ['c'] = {"GLOBAL", LINES, true},
    ['d'] = {"DICT", NONE, false},
    ['}'] = {"EMPTY_DICT", NONE, true},
    ['e'] = {"APPENDS", NONE, true},
    ['g'] = {"GET", LINE, false},
    ['h'] = {"BINGET", U1, true},
    ['i'] = {"INST", LINES, false},
    ['j'] = {"LONG_BINGET", U4, true},
    ['l'] = {"LIST", NONE, false},
    [']'] = {"EMPTY_LIST", NONE, true},
    ['o'] = {"OBJ", NONE, false},
    ['p'] = {"PUT", LINE, false},
    ['q'] = {"BINPUT", U1, true},
    ['r'] = {"LONG_BINPUT", U4, true},
    ['s'] = {"SETITEM", NONE, true},
    ['t'] = {"TUPLE", NONE, true},
    [')'] = {"EMPTY_TUPLE", NONE, true},
    ['u'] = {"SETITEMS", NONE, true},
    ['G'] = {"BINFLOAT", F8, true},
    /* protocol 2 */
    [0x80] = {"PROTO", U1, true},
    [0x81] = {"NEWOBJ", NONE, false},
    [0x82] = {"EXT1", U1, false},
    [0x83] = {"EXT2", U2, false},
    [0x84] = {"EXT4", I4, false},
    [0x85] = {"TUPLE1", NONE, true},
    [0x86] = {"TUPLE2", NONE, true},
    [0x87] = {"TUPLE3", NONE, true},
    [0x88] = {"NEWTRUE", NONE, true},
    [0x89] = {"NEWFALSE", NONE, true},
    [0x8a] = {"LONG1", COUNT1, true},
    [0x8b] = {"LONG4", COUNT4, false},
    /* protocol 3 */
    ['B'] = {"BINBYTES", COUNT4, false},
    ['C'] = {"SHORT_BINBYTES", COUNT1, false},
    /* protocol 4 */
    [0x8c] = {"SHORT_BINUNICODE", COUNT1, false},
    [0x8d] = {"BINUNICODE8", COUNT8, false},
    [0x8e] = {"BINBYTES8", COUNT8, false},
    [0x8f] = {"EMPTY_SET", NONE, false},
    [0x90] = {"ADDITEMS", NONE, false},
    [0x91] = {"FROZENSET", NONE, false},
    [0x92] = {"NEWOBJ_EX", NONE, false},
    [0x93] = {"STACK_GLOBAL", NONE, false},
    [0x94] = {"MEMOIZE", NONE, false},
    [0x95] = {"FRAME", U8, false},
    /* protocol 5 */
    [0x96] = {"BYTEARRAY8", COUNT8, false},
    [0x97] = {"NEXT_BUFFER", NONE, false},
    [0x98] = {"READONLY_BUFFER", NONE, false},
};

/* ---- one instruction ------------------------------------------------- */

typedef struct {
    const unsigned char *p;
    size_t left;
} rest;

static bool bytes(rest *r, uint64_t n, const char **text, size_t *length)
{
    if (n > r->left)
        return false;
    *text = (const char *)r->p;
    *length = (size_t)n;
    r->p += n;
    r->left -= (size_t)n;
    return true;
}

static bool number(rest *r, size_t n, uint64_t *out)
{
    const char *text;
    size_t length;

    if (!bytes(r, n, &text, &length))
        return false;
    *out = 0;
    while (n > 0)
        *out = *out << 8 | (unsigned char)text[--n];
    return true;
}

static bool counted(rest *r, size_t n, pcv_op *op)
{
    uint64_t count;

    return number(r, n, &count) &&
           bytes(r, count, &op->text[0], &op->length[0]);
}

static bool line(rest *r, const char **text, size_t *length)
{
    const unsigned char *end = r->left ? memchr(r->p, '\n', r->left) : NULL;

    if (!end || !bytes(r, (uint64_t)(end - r->p), text, length))
        return false;
    r->p++;
    r->left--;
    return true;
}

static bool fixed(rest *r, size_t n, pcv_op *op)
{
    uint64_t v;

    if (!number(r, n, &v))
        return false;
    memcpy(&op->number, &v, sizeof v);
    return true;
}

static bool argument(rest *r, enum form form, pcv_op *op)
{
    switch (form) {
    case NONE:   return true;
    case U1:     return fixed(r, 1, op);
    case U2:     return fixed(r, 2, op);
    case U4:     return fixed(r, 4, op);
    case U8:     return fixed(r, 8, op);
    case I4:     if (!fixed(r, 4, op))
                     return false;
                 if (op->number > INT32_MAX)
                     op->number -= INT64_C(1) << 32;
                 return true;
    case F8:     return bytes(r, 8, &op->text[0], &op->length[0]);
    case COUNT1: return counted(r, 1, op);
    case COUNT4: return counted(r, 4, op);
    case COUNT8: return counted(r, 8, op);
    case LINE:   return line(r, &op->text[0], &op->length[0]);
    case LINES:  return line(r, &op->text[0], &op->length[0]) &&
                        line(r, &op->text[1], &op->length[1]);
    }
    return false;
}

pcv_op_found pcv_op_next(pcv_op *op, const unsigned char *data, size_t n,
                         size_t *at)
{
    rest r = { data + *at, n - *at };

    *op = (pcv_op){ .at = *at };
    if (r.left == 0)
        return PCV_OP_TRUNCATED;
    op->code = *r.p++;
    r.left--;
    op->name = word[op->code].name;
    op->allowed = word[op->code].allowed;
    if (!op->name)
        return PCV_OP_UNKNOWN;
    if (!argument(&r, (enum form)word[op->code].form, op))
        return PCV_OP_TRUNCATED;
    *at = n - r.left;
    return PCV_OP_OK;
}

/* A NUL would end the text, and hide what is behind it. */
void pcv_op_escape(pcv_buf *b, const char *text, size_t n)
{
    char piece[257];

    n = n < sizeof piece ? n : sizeof piece - 1;
    memcpy(piece, text, n);
    piece[n] = '\0';
    for (size_t at = 0; at <= n; at += strlen(piece + at) + 1) {
        if (at > 0)
            pcv_buf_puts(b, "\\000");
        pcv_buf_escape(b, piece + at);
    }
}

/* ---- globals --------------------------------------------------------- */

static const pcv_global global[] = {
    {"collections", "OrderedDict", PCV_ORDERED_DICT, 0},
    {"torch._utils", "_rebuild_tensor_v2", PCV_REBUILD_TENSOR, 0},
    {"torch._utils", "_rebuild_parameter", PCV_REBUILD_PARAMETER, 0},
    {"torch", "Size", PCV_TORCH_SIZE, 0},
    {"torch", "DoubleStorage", PCV_STORAGE, PCV_F64},
    {"torch", "FloatStorage", PCV_STORAGE, PCV_F32},
    {"torch", "HalfStorage", PCV_STORAGE, PCV_F16},
    {"torch", "BFloat16Storage", PCV_STORAGE, PCV_BF16},
    {"torch", "LongStorage", PCV_STORAGE, PCV_I64},
    {"torch", "IntStorage", PCV_STORAGE, PCV_I32},
    {"torch", "ShortStorage", PCV_STORAGE, PCV_I16},
    {"torch", "CharStorage", PCV_STORAGE, PCV_I8},
    {"torch", "ByteStorage", PCV_STORAGE, PCV_U8},
    {"torch", "BoolStorage", PCV_STORAGE, PCV_BOOL},
};

static bool same(const char *text, size_t n, const char *want)
{
    return strlen(want) == n && memcmp(text, want, n) == 0;
}

const pcv_global *pcv_global_find(const pcv_op *op)
{
    for (size_t i = 0; i < PCV_LEN(global); i++)
        if (same(op->text[0], op->length[0], global[i].module) &&
            same(op->text[1], op->length[1], global[i].name))
            return &global[i];
    return NULL;
}

bool pcv_op_long(const pcv_op *op, int64_t *out)
{
    const unsigned char *p = (const unsigned char *)op->text[0];
    size_t n = op->length[0];
    uint64_t bits = n && p[n - 1] & 0x80 ? UINT64_MAX : 0;

    if (n > sizeof bits)
        return false;
    while (n > 0)
        bits = bits << 8 | p[--n];
    memcpy(out, &bits, sizeof bits);
    return true;
}

/* ---- refusals -------------------------------------------------------- */

int pcv_op_refuse_global(const pcv_op *op, const char *file)
{
    pcv_buf b = {0};

    pcv_op_escape(&b, op->text[0], op->length[0]);
    pcv_buf_puts(&b, ".");
    pcv_op_escape(&b, op->text[1], op->length[1]);
    if (!b.failed)
        pcv_refuse(file, NULL, "pickle, byte %zu (%s): asks for %s, which no "
                   "state dict needs and which could run code (pcv-inspect "
                   "--pickle lists all that is asked for)", op->at, op->name,
                   b.data);
    pcv_buf_free(&b);
    return -1;
}

int pcv_op_refuse(const pcv_op *op, pcv_op_found found, size_t n,
                  const char *file)
{
    if (found == PCV_OP_UNKNOWN)
        return pcv_refuse(file, NULL, "pickle, byte %zu: 0x%02x is no opcode",
                          op->at, op->code);
    if (op->at == n)
        return pcv_refuse(file, NULL, "pickle: %zu bytes end without STOP: "
                          "truncated", n);
    if (!op->allowed)
        return pcv_refuse(file, NULL, "pickle, byte %zu (%s): an opcode that "
                          "no state dict needs", op->at, op->name);
    return pcv_refuse(file, NULL, "pickle, byte %zu (%s): its argument goes "
                      "beyond the end, byte %zu: truncated", op->at, op->name,
                      n);
}
