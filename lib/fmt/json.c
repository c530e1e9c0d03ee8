/* json.c - JSON in, numbers of JSON out; the one includer of jansson.h.
 *
 * jansson reads the text.  Beside its tree lies one of ours, a single block
 * of nodes in which the members of each value are adjacent and in the
 * file's order: the i-th member is then an index away (jansson can only
 * walk there), and no file can make a loop over members quadratic. */
#include "fmt.h"

#include <jansson.h>

#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#define MAX_DEPTH 64

struct pcv_json {
    const json_t *value;
    const char *key;            /* NULL unless a member of an object */
    const pcv_json *member;
    size_t count;
};

struct document {
    pcv_json root;              /* first: pcv_json_close comes back from it */
    json_t *tree;
    pcv_json *node;             /* everything below the root */
};

/* ---- reading --------------------------------------------------------- */

static int fail(const char *name, int code, const char *where,
                const char *what)
{
    pcv_buf b = {0};

    pcv_buf_escape(&b, name);
    pcv_buf_puts(&b, ": ");
    pcv_buf_puts(&b, where);
    pcv_buf_escape(&b, what);   /* jansson quotes the text it stopped at */
    if (!b.failed)
        pcv_fail(code, "%s", b.data);
    pcv_buf_free(&b);
    return -1;
}

/* jansson's reading of numbers asks the locale for the decimal point, and
 * aborts on one of several bytes: the thread gets the C locale meanwhile. */
static json_t *load(const char *text, size_t n, json_error_t *error)
{
    locale_t c = newlocale(LC_NUMERIC_MASK, "C", (locale_t)0), old;
    json_t *tree;

    if (!c) {
        pcv_fail(EX_OSERR, "out of memory: no C locale");
        return NULL;
    }
    old = uselocale(c);
    tree = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY,
                      error);
    uselocale(old);
    freelocale(c);
    return tree;
}

static json_t *parse(const char *text, size_t n, const char *name)
{
    json_error_t error = {0};
    char where[64];
    json_t *tree;

    if (n == 0) {
        fail(name, EX_DATAERR, "not JSON: ", "it is empty");
        return NULL;
    }
    /* jansson takes a NUL byte for the end and lets anything follow it. */
    if (memchr(text, '\0', n)) {
        fail(name, EX_DATAERR, "not JSON: ", "it holds a NUL byte");
        return NULL;
    }
    tree = load(text, n, &error);
    if (tree)
        return tree;
    snprintf(where, sizeof where, "not JSON: line %d column %d: ",
             error.line, error.column);
    if (json_error_code(&error) == json_error_out_of_memory)
        fail(name, EX_OSERR, "", "out of memory");
    else
        fail(name, EX_DATAERR, where, error.text);
    return NULL;
}

static size_t members(const json_t *v)
{
    return json_is_object(v) ? json_object_size(v) : json_array_size(v);
}

/* How many nodes lie below v; false if some value is nested too deeply. */
static bool count_nodes(json_t *v, int depth, size_t *total)
{
    const char *key;
    json_t *child;
    size_t i;

    if (!json_is_object(v) && !json_is_array(v))
        return true;
    if (depth >= MAX_DEPTH)
        return false;
    *total += members(v);
    json_object_foreach(v, key, child)
        if (!count_nodes(child, depth + 1, total))
            return false;
    json_array_foreach(v, i, child)
        if (!count_nodes(child, depth + 1, total))
            return false;
    return true;
}

/* Fills in at and, from *spare on, everything below it. */
static void build(pcv_json *at, json_t *v, pcv_json **spare)
{
    pcv_json *member = *spare;
    const char *key;
    json_t *child;
    size_t i = 0;

    at->value = v;
    at->member = member;
    at->count = members(v);
    *spare += at->count;
    json_object_foreach(v, key, child) {
        member[i].key = key;
        build(&member[i++], child, spare);
    }
    json_array_foreach(v, i, child)
        build(&member[i], child, spare);
}

pcv_json *pcv_json_parse(const char *text, size_t n, const char *name)
{
    struct document *d = pcv_alloc(1, sizeof *d);
    size_t total = 0;
    pcv_json *next;

    if (!d)
        return NULL;
    d->tree = parse(text, n, name);
    if (!d->tree)
        goto fail;
    if (!count_nodes(d->tree, 0, &total)) {
        fail(name, EX_DATAERR, "", "nested more than 64 deep");
        goto fail;
    }
    d->node = pcv_alloc(total, sizeof *d->node);
    if (!d->node)
        goto fail;
    next = d->node;
    build(&d->root, d->tree, &next);
    return &d->root;
fail:
    pcv_json_close(&d->root);
    return NULL;
}

void pcv_json_close(pcv_json *document)
{
    struct document *d = (struct document *)document;

    if (!d)
        return;
    json_decref(d->tree);
    pcv_free(d->node);
    pcv_free(d);
}

/* ---- asking ---------------------------------------------------------- */

pcv_json_type pcv_json_kind(const pcv_json *v)
{
    if (!v)
        return PCV_JNULL;
    switch (json_typeof(v->value)) {
    case JSON_OBJECT:  return PCV_JOBJECT;
    case JSON_ARRAY:   return PCV_JARRAY;
    case JSON_STRING:  return PCV_JSTRING;
    case JSON_INTEGER: return PCV_JINT;
    case JSON_REAL:    return PCV_JREAL;
    case JSON_TRUE:
    case JSON_FALSE:   return PCV_JBOOL;
    default:           return PCV_JNULL;
    }
}

const pcv_json *pcv_json_get(const pcv_json *object, const char *key)
{
    if (!object || !json_is_object(object->value))
        return NULL;
    for (size_t i = 0; i < object->count; i++)
        if (strcmp(object->member[i].key, key) == 0)
            return &object->member[i];
    return NULL;
}

const pcv_json *pcv_json_at(const pcv_json *array, size_t i)
{
    if (!array || !json_is_array(array->value) || i >= array->count)
        return NULL;
    return &array->member[i];
}

size_t pcv_json_count(const pcv_json *v)
{
    return v ? v->count : 0;
}

const char *pcv_json_key(const pcv_json *object, size_t i)
{
    return object && i < object->count ? object->member[i].key : NULL;
}

const pcv_json *pcv_json_value(const pcv_json *object, size_t i)
{
    if (!object || !json_is_object(object->value) || i >= object->count)
        return NULL;
    return &object->member[i];
}

/* Converting a double outside the range is undefined, hence the bounds; the
 * upper one is the first double beyond INT64_MAX. */
int64_t pcv_json_int(const pcv_json *v)
{
    double x;

    if (!v)
        return 0;
    if (json_is_integer(v->value))
        return json_integer_value(v->value);
    x = json_real_value(v->value);      /* 0 for anything else */
    return x >= -0x1p63 && x < 0x1p63 && x == trunc(x) ? (int64_t)x : 0;
}

double pcv_json_real(const pcv_json *v)
{
    return v ? json_number_value(v->value) : 0;
}

bool pcv_json_bool(const pcv_json *v)
{
    return v && json_is_true(v->value);
}

const char *pcv_json_string(const pcv_json *v)
{
    return v ? json_string_value(v->value) : NULL;
}

/* ---- writing --------------------------------------------------------- */

/* Whatever the locale puts between the digits, of one byte or several, is
 * its decimal point. */
static void add_digits(pcv_buf *b, const char *p)
{
    while (*p) {
        size_t digits = strspn(p, "0123456789+-e");

        pcv_buf_add(b, p, digits);
        p += digits;
        if (*p)
            pcv_buf_puts(b, ".");
        p += strcspn(p, "0123456789+-e");
    }
}

void pcv_json_number(pcv_buf *b, double value)
{
    char text[64];

    if (!isfinite(value)) {
        pcv_buf_puts(b, "null");
        return;
    }
    snprintf(text, sizeof text, "%.9g", value);
    add_digits(b, text);
}

void pcv_json_exact(pcv_buf *b, double value)
{
    char text[64];
    double back;

    if (!isfinite(value)) {
        pcv_buf_puts(b, "null");
        return;
    }
    for (int digits = 9; digits <= 17; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, value);
        back = strtod(text, NULL);
        if (memcmp(&back, &value, sizeof back) == 0)
            break;
    }
    add_digits(b, text);
}
