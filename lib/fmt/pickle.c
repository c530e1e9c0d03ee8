/* pickle.c - the pickle of a PyTorch checkpoint, read as data.
 *
 * A pickle is a program that may call anything.  This reader is a stack
 * machine that can call nothing: its values are numbers, texts, tuples,
 * lists, dicts, the names of opcode.c's table, storages and views of them,
 * and "calling" one of those names (REDUCE) makes one more of these values.
 * Whatever else a pickle asks for ends the reading.
 *
 *     BINPERSID   ('storage', T, key, location, count) -> storage
 *     REDUCE      _rebuild_tensor_v2 (storage, offset, (dim..), (stride..),
 *                 requires_grad, OrderedDict()) -> view
 *
 * No value can contain itself.  A list or dict that has been put into another
 * value is sealed, and filling a sealed one is refused: of the edges of a
 * cycle the last one made would start at a sealed value.  What is in a value
 * is therefore final when it is put anywhere, and so is how deep it goes. */
#include "parts.h"

#include <assert.h>
#include <string.h>

#define MAX_STACK 1000000       /* values, and marks */
#define MAX_MEMO 1000000
#define MAX_NODES 1000000       /* lists and dicts */
#define MAX_ITEMS 4000000       /* in all tuples, lists and dicts */
#define MAX_VIEWS 200000        /* an archive has 100,000 entries */
#define MAX_STORAGES 1000000    /* one for each view, and some to spare */
#define MAX_DEPTH 64

enum kind { UNSET, PLAIN, BOOL, INT, TEXT, TUPLE, LIST, DICT, GLOBAL, STORAGE,
            VIEW };

static const char *const kind_name[] = {
    "nothing", "a value", "a bool", "an integer", "a text", "a tuple",
    "a list", "a dict", "a global", "a storage", "a tensor",
};

typedef struct {
    uint8_t kind;
    uint8_t depth;              /* TUPLE: 1 around plain values */
    uint32_t n;                 /* TEXT: bytes; TUPLE: items */
    union {
        int64_t i;              /* INT, BOOL */
        const char *text;       /* in the pickle */
        size_t at;              /* TUPLE: first item; else: which one */
        const pcv_global *global;
    } u;
} value;

/* A list, or a dict: keys and values by turns. */
typedef struct {
    pcv_buf items;              /* of value */
    uint8_t depth;              /* at least 1 */
    bool sealed, ordered;       /* an OrderedDict */
} node;

typedef struct {
    const char *file;           /* for messages */
    pcv_op op;                  /* at work */
    pcv_buf stack, memo, items; /* of value; items are those of tuples */
    pcv_buf marks;              /* of size_t: heights of the stack */
    pcv_buf nodes;
    pcv_buf storages, views;    /* of pcv_storage, pcv_view */
    size_t filled;              /* values in tuples, lists and dicts */
} machine;

/* ---- messages -------------------------------------------------------- */

static int refuse(const machine *m, const char *what, ...)
    __attribute__((format(printf, 2, 3)));

static int refuse(const machine *m, const char *what, ...)
{
    pcv_buf b = {0};
    va_list ap;

    va_start(ap, what);
    pcv_buf_vprintf(&b, what, ap);
    va_end(ap);
    if (!b.failed)
        pcv_refuse(m->file, NULL, "pickle, byte %zu (%s): %s", m->op.at,
                   m->op.name, b.data);
    pcv_buf_free(&b);
    return -1;
}

/* ---- values ---------------------------------------------------------- */

static value *values(const pcv_buf *b)
{
    return (value *)(void *)b->data;
}

static size_t count(const pcv_buf *b)
{
    return b->len / sizeof(value);
}

static node *node_of(const machine *m, const value *v)
{
    assert(v->kind == LIST || v->kind == DICT);
    return (node *)(void *)m->nodes.data + v->u.at;
}

/* Adds one thing to an array that holds at most `most`.  Its index, or
 * SIZE_MAX. */
static size_t add(machine *m, pcv_buf *b, const void *thing, size_t size,
                  size_t most, const char *what)
{
    size_t n = b->len / size;

    if (n >= most)
        refuse(m, "more than %zu %s", most, what);
    else
        pcv_buf_add(b, thing, size);
    return n < most && !b->failed ? n : SIZE_MAX;
}

static int push(machine *m, value v)
{
    return add(m, &m->stack, &v, sizeof v, MAX_STACK, "values on the stack") ==
           SIZE_MAX ? -1 : 0;
}

/* The last mark hides what is below it. */
static size_t above_mark(const machine *m)
{
    size_t floor = 0;

    if (m->marks.len)
        memcpy(&floor, m->marks.data + m->marks.len - sizeof floor,
               sizeof floor);
    return count(&m->stack) - floor;
}

/* The last n values, or NULL; they stay until drop. */
static const value *last(const machine *m, size_t n)
{
    static const value none;

    if (n == 0)
        return &none;
    if (above_mark(m) >= n)
        return values(&m->stack) + count(&m->stack) - n;
    refuse(m, "wants %zu values, the stack has %zu", n, above_mark(m));
    return NULL;
}

static void drop(machine *m, size_t n)
{
    m->stack.len -= n * sizeof(value);
}

static const value *items_of(const machine *m, const value *tuple)
{
    static const value none;

    return tuple->n ? values(&m->items) + tuple->u.at : &none;
}

/* Takes the last mark away: how many values were above it, or SIZE_MAX. */
static size_t take_mark(machine *m)
{
    size_t n = above_mark(m);

    if (m->marks.len == 0) {
        refuse(m, "there is no MARK");
        return SIZE_MAX;
    }
    m->marks.len -= sizeof n;
    return n;
}

static uint8_t depth(const machine *m, const value *v)
{
    if (v->kind == LIST || v->kind == DICT)
        return node_of(m, v)->depth;
    return v->kind == TUPLE ? v->depth : 0;
}

/* Puts n values at the end of `to`, the items of something that is `deep`
 * already.  Returns how deep it is now; 0, and a message. */
static uint8_t put_into(machine *m, pcv_buf *to, const value *v, size_t n,
                        uint8_t deep)
{
    if (n > MAX_ITEMS - m->filled) {
        refuse(m, "more than %d values in tuples, lists and dicts", MAX_ITEMS);
        return 0;
    }
    m->filled += n;
    for (size_t i = 0; i < n; i++) {
        uint8_t inner = depth(m, &v[i]);

        if (v[i].kind == LIST || v[i].kind == DICT)
            node_of(m, &v[i])->sealed = true;
        if (inner >= MAX_DEPTH) {
            refuse(m, "values nested more than %d deep", MAX_DEPTH);
            return 0;
        }
        deep = deep > inner + 1 ? deep : (uint8_t)(inner + 1);
    }
    pcv_buf_add(to, v, n * sizeof *v);
    return to->failed ? 0 : deep;
}

/* ---- plain values ---------------------------------------------------- */

static int do_proto(machine *m)
{
    if (m->op.at != 0 || m->op.number != 2)
        return refuse(m, "protocol %d, want 2, at byte 0 alone",
                      (int)m->op.number);
    return 0;
}

static int do_stop(machine *m)
{
    if (m->marks.len || count(&m->stack) != 1)
        return refuse(m, "leaves %zu values and %zu marks, want one value",
                      count(&m->stack), m->marks.len / sizeof(size_t));
    return 0;
}

static int do_mark(machine *m)
{
    size_t n = count(&m->stack);

    return add(m, &m->marks, &n, sizeof n, MAX_STACK, "marks") == SIZE_MAX
           ? -1 : 0;
}

static int do_plain(machine *m)
{
    return push(m, (value){ .kind = PLAIN });
}

static int do_bool(machine *m)
{
    return push(m, (value){ .kind = BOOL, .u.i = m->op.code == 0x88 });
}

static int do_int(machine *m)
{
    return push(m, (value){ .kind = INT, .u.i = m->op.number });
}

static int do_long(machine *m)
{
    value v = { .kind = INT };

    if (!pcv_op_long(&m->op, &v.u.i))
        return refuse(m, "an integer of %zu bytes, want at most %zu",
                      m->op.length[0], sizeof v.u.i);
    return push(m, v);
}

static int do_text(machine *m)
{
    return push(m, (value){ .kind = TEXT, .n = (uint32_t)m->op.length[0],
                            .u.text = m->op.text[0] });
}

static int do_global(machine *m)
{
    value v = { .kind = GLOBAL, .u.global = pcv_global_find(&m->op) };

    return v.u.global ? push(m, v) : pcv_op_refuse_global(&m->op, m->file);
}

/* ---- the memo -------------------------------------------------------- */

static int do_put(machine *m)
{
    const value *top = last(m, 1);
    size_t i = (size_t)m->op.number;

    if (!top)
        return -1;
    if (i >= MAX_MEMO)
        return refuse(m, "memo %zu, want less than %d", i, MAX_MEMO);
    while (count(&m->memo) <= i && !m->memo.failed)
        pcv_buf_add(&m->memo, &(value){0}, sizeof(value));
    if (m->memo.failed)
        return -1;
    values(&m->memo)[i] = *top;
    return 0;
}

static int do_get(machine *m)
{
    size_t i = (size_t)m->op.number;

    if (i >= count(&m->memo) || values(&m->memo)[i].kind == UNSET)
        return refuse(m, "memo %zu is empty", i);
    return push(m, values(&m->memo)[i]);
}

/* ---- tuples, lists, dicts -------------------------------------------- */

static int make_tuple(machine *m, size_t n)
{
    const value *v = last(m, n);
    value t = { .kind = TUPLE, .n = (uint32_t)n, .u.at = count(&m->items) };

    if (!v)
        return -1;
    t.depth = put_into(m, &m->items, v, n, 1);
    drop(m, n);
    return t.depth ? push(m, t) : -1;
}

/* ), and 0x85 to 0x87 for 1 to 3. */
static int do_small_tuple(machine *m)
{
    return make_tuple(m, m->op.code == ')' ? 0 : m->op.code - 0x84u);
}

static int do_tuple(machine *m)
{
    size_t n = take_mark(m);

    return n == SIZE_MAX ? -1 : make_tuple(m, n);
}

static int make_node(machine *m, enum kind kind, bool ordered)
{
    node empty = { .depth = 1, .ordered = ordered };
    size_t at = add(m, &m->nodes, &empty, sizeof empty, MAX_NODES,
                    "lists and dicts");

    if (at == SIZE_MAX)
        return -1;
    return push(m, (value){ .kind = (uint8_t)kind, .u.at = at });
}

static int do_empty(machine *m)
{
    return make_node(m, m->op.code == ']' ? LIST : DICT, false);
}

static int check_keys(machine *m, const value *v, size_t n)
{
    if (n % 2)
        return refuse(m, "%zu keys and values", n);
    for (size_t i = 0; i < n; i += 2)
        if (v[i].kind == LIST || v[i].kind == DICT)
            return refuse(m, "%s as a key", kind_name[v[i].kind]);
    return 0;
}

/* The last n values go into the list or dict below them. */
static int fill(machine *m, enum kind want, size_t n)
{
    const value *v = last(m, n + 1);
    node *to;

    if (!v)
        return -1;
    if (v->kind != want)
        return refuse(m, "fills %s, want %s", kind_name[v->kind],
                      kind_name[want]);
    if (want == DICT && check_keys(m, v + 1, n) < 0)
        return -1;
    to = node_of(m, v);
    to->depth = put_into(m, &to->items, v + 1, n, to->depth);
    if (to->depth == 0)
        return -1;
    if (to->sealed)
        return refuse(m, "fills %s that is already part of another value",
                      kind_name[want]);
    drop(m, n);
    return 0;
}

static int do_append(machine *m)
{
    return fill(m, LIST, 1);
}

static int do_appends(machine *m)
{
    size_t n = take_mark(m);

    return n == SIZE_MAX ? -1 : fill(m, LIST, n);
}

static int do_setitem(machine *m)
{
    return fill(m, DICT, 2);
}

static int do_setitems(machine *m)
{
    size_t n = take_mark(m);

    return n == SIZE_MAX ? -1 : fill(m, DICT, n);
}

/* The attributes of an OrderedDict: modules keep a _metadata there.  Not
 * needed. */
static int do_build(machine *m)
{
    const value *v = last(m, 2);

    if (!v)
        return -1;
    if (v[0].kind != DICT || !node_of(m, &v[0])->ordered || v[1].kind != DICT)
        return refuse(m, "of %s with %s, want an OrderedDict with a dict",
                      kind_name[v[0].kind], kind_name[v[1].kind]);
    drop(m, 1);
    return 0;
}

/* ---- storages and views ---------------------------------------------- */

static bool is_text(const value *v, const char *text)
{
    return v->kind == TEXT && v->n == strlen(text) &&
           memcmp(v->u.text, text, v->n) == 0;
}

static bool is_size(const value *v)
{
    return v->kind == INT && v->u.i >= 0 &&
           (uint64_t)v->u.i <= (uint64_t)PTRDIFF_MAX;
}

static int do_persid(machine *m)
{
    const value *top = last(m, 1), *v;
    pcv_storage s = {0};
    size_t at;

    if (!top)
        return -1;
    if (top->kind != TUPLE || top->n != 5)
        return refuse(m, "of %s of %u, want a tuple of 5",
                      kind_name[top->kind], top->kind == TUPLE ? top->n : 1u);
    v = items_of(m, top);
    if (!is_text(&v[0], "storage") || v[1].kind != GLOBAL ||
        v[1].u.global->kind != PCV_STORAGE || v[2].kind != TEXT ||
        v[3].kind != TEXT || !is_size(&v[4]))
        return refuse(m, "want ('storage', type, key, location, count)");
    s = (pcv_storage){ v[2].u.text, v[2].n, v[1].u.global->dtype,
                       (size_t)v[4].u.i };
    drop(m, 1);
    at = add(m, &m->storages, &s, sizeof s, MAX_STORAGES, "storages");
    return at == SIZE_MAX ? -1 : push(m, (value){ .kind = STORAGE,
                                                  .u.at = at });
}

/* n sizes of a tuple. */
static int get_sizes(machine *m, const value *tuple, size_t *out,
                     const char *what)
{
    const value *v = items_of(m, tuple);

    for (size_t i = 0; i < tuple->n; i++) {
        if (!is_size(&v[i]))
            return refuse(m, "tensor: %s %zu is not a size", what, i);
        out[i] = (size_t)v[i].u.i;
    }
    return 0;
}

static int get_shape(machine *m, const value *v, pcv_view *w)
{
    if (v[2].n > PCV_MAX_RANK || v[2].n != v[3].n)
        return refuse(m, "tensor of %u axes and %u strides, want at most %d "
                      "of each, and as many", v[2].n, v[3].n, PCV_MAX_RANK);
    w->rank = (int)v[2].n;
    if (get_sizes(m, &v[2], w->dim, "dimension") < 0 ||
        get_sizes(m, &v[3], w->stride, "stride") < 0)
        return -1;
    return 0;
}

static int check_view(machine *m, pcv_view *w, const pcv_storage *s)
{
    pcv_buf why = {0};
    int r = pcv_view_check(w, s, &why);

    if (r < 0 && !why.failed)
        refuse(m, "tensor%s", why.data);
    pcv_buf_free(&why);
    return r;
}

static int make_view(machine *m, const value *v, size_t n, value *out)
{
    const pcv_storage *s;
    pcv_view w = {0};

    if (n != 6 || v[0].kind != STORAGE || !is_size(&v[1]) ||
        v[2].kind != TUPLE || v[3].kind != TUPLE || v[4].kind != BOOL ||
        v[5].kind != DICT)
        return refuse(m, "tensor, want of (storage, offset, shape, strides, "
                      "bool, OrderedDict)");
    s = (pcv_storage *)(void *)m->storages.data + v[0].u.at;
    w.storage = v[0].u.at;
    w.offset = (size_t)v[1].u.i;
    if (get_shape(m, v, &w) < 0 || check_view(m, &w, s) < 0)
        return -1;
    *out = (value){ .kind = VIEW };
    out->u.at = add(m, &m->views, &w, sizeof w, MAX_VIEWS, "tensors");
    return out->u.at == SIZE_MAX ? -1 : 0;
}

/* ---- REDUCE ---------------------------------------------------------- */

static int make_size(machine *m, const value *v, size_t n, value *out)
{
    size_t sizes[PCV_MAX_RANK];

    if (n != 1 || v[0].kind != TUPLE || v[0].n > PCV_MAX_RANK)
        return refuse(m, "torch.Size, want of a tuple of at most %d sizes",
                      PCV_MAX_RANK);
    *out = v[0];
    return get_sizes(m, &v[0], sizes, "of torch.Size");
}

static int make_parameter(machine *m, const value *v, size_t n, value *out)
{
    if (n != 3 || v[0].kind != VIEW || v[1].kind != BOOL || v[2].kind != DICT)
        return refuse(m, "parameter, want of (tensor, bool, OrderedDict)");
    *out = v[0];
    return 0;
}

static int reduce(machine *m, const pcv_global *g, const value *v, size_t n)
{
    value made = {0};
    int status = -1;

    drop(m, 2);
    switch (g->kind) {
    case PCV_ORDERED_DICT:
        return n ? refuse(m, "OrderedDict of %zu arguments, want none", n)
                 : make_node(m, DICT, true);
    case PCV_REBUILD_TENSOR:
        status = make_view(m, v, n, &made);
        break;
    case PCV_REBUILD_PARAMETER:
        status = make_parameter(m, v, n, &made);
        break;
    case PCV_TORCH_SIZE:
        status = make_size(m, v, n, &made);
        break;
    case PCV_STORAGE:
        status = refuse(m, "calls torch.%s", g->name);
    }
    return status < 0 ? -1 : push(m, made);
}

static int do_reduce(machine *m)
{
    const value *v = last(m, 2);

    if (!v)
        return -1;
    if (v[0].kind != GLOBAL || v[1].kind != TUPLE)
        return refuse(m, "calls %s with %s, want a global with a tuple",
                      kind_name[v[0].kind], kind_name[v[1].kind]);
    return reduce(m, v[0].u.global, items_of(m, &v[1]), v[1].n);
}

/* ---- the machine ----------------------------------------------------- */

/* What the allowed opcodes of opcode.c do. */
static int (*const action[256])(machine *) = {
    [0x80] = do_proto, ['.'] = do_stop, ['('] = do_mark,
    ['N'] = do_plain, ['G'] = do_plain, [0x88] = do_bool, [0x89] = do_bool,
    ['J'] = do_int, ['K'] = do_int, ['M'] = do_int, [0x8a] = do_long,
    ['X'] = do_text, ['U'] = do_text, ['c'] = do_global,
    ['q'] = do_put, ['r'] = do_put, ['h'] = do_get, ['j'] = do_get,
    [')'] = do_small_tuple, [0x85] = do_small_tuple,
    [0x86] = do_small_tuple, [0x87] = do_small_tuple, ['t'] = do_tuple,
    [']'] = do_empty, ['}'] = do_empty, ['a'] = do_append,
    ['e'] = do_appends, ['s'] = do_setitem, ['u'] = do_setitems,
    ['b'] = do_build, ['R'] = do_reduce, ['Q'] = do_persid,
};

static int run(machine *m, const unsigned char *data, size_t n)
{
    size_t at = 0;

    if (n < 2 || data[0] != 0x80)
        return pcv_refuse(m->file, NULL, "pickle: does not begin with PROTO");
    do {
        pcv_op_found found = pcv_op_next(&m->op, data, n, &at);

        if (found != PCV_OP_OK || !m->op.allowed)
            return pcv_op_refuse(&m->op, found, n, m->file);
        assert(action[m->op.code]);
        if (action[m->op.code](m) < 0)
            return -1;
    } while (m->op.code != PCV_OP_STOP);
    if (at < n)
        return refuse(m, "%zu bytes follow, want none", n - at);
    return 0;
}

/* ---- the state dict -------------------------------------------------- */

static bool has_tensors(const machine *m, const value *dict)
{
    const pcv_buf *items = &node_of(m, dict)->items;

    for (size_t i = 1; i < count(items); i += 2)
        if (values(items)[i].kind == VIEW)
            return true;
    return false;
}

/* The dict that `dict` has under that key, or NULL. */
static const value *member(const machine *m, const value *dict,
                           const char *key)
{
    const pcv_buf *items = &node_of(m, dict)->items;
    const value *v = values(items);

    for (size_t i = 0; i < count(items); i += 2)
        if (is_text(&v[i], key) && v[i + 1].kind == DICT)
            return &v[i + 1];
    return NULL;
}

/* The value of the pickle, or what training programs wrap in one. */
static const value *find_dict(const machine *m)
{
    static const char *const key[] = {
        "state_dict", "model_state_dict", "model",
    };
    const value *top = values(&m->stack), *in;

    if (top->kind == DICT && has_tensors(m, top))
        return top;
    for (size_t i = 0; top->kind == DICT && i < PCV_LEN(key); i++)
        if ((in = member(m, top, key[i])) && has_tensors(m, in))
            return in;
    pcv_refuse(m->file, NULL, "pickle of %s without tensors by name, at the "
               "top or in state_dict, model_state_dict or model",
               kind_name[top->kind]);
    return NULL;
}

static int list_names(const machine *m, pcv_state_dict *s)
{
    const value *dict = find_dict(m);
    const pcv_buf *items = dict ? &node_of(m, dict)->items : NULL;
    const value *v = items ? values(items) : NULL;

    if (!dict || !(s->name = pcv_alloc(count(items) / 2, sizeof *s->name)))
        return -1;
    for (size_t i = 0; i < count(items); i += 2) {
        if (v[i + 1].kind != VIEW)
            continue;
        if (v[i].kind != TEXT)
            return pcv_refuse(m->file, NULL, "pickle: %s is the name of a "
                              "tensor, want a text", kind_name[v[i].kind]);
        s->name[s->names++] = (pcv_view_name){ v[i].u.text, v[i].n,
                                               v[i + 1].u.at };
    }
    return 0;
}

static void free_machine(machine *m)
{
    node *n = (node *)(void *)m->nodes.data;

    for (size_t i = 0; i < m->nodes.len / sizeof *n; i++)
        pcv_buf_free(&n[i].items);
    pcv_buf_free(&m->nodes);
    pcv_buf_free(&m->stack);
    pcv_buf_free(&m->memo);
    pcv_buf_free(&m->items);
    pcv_buf_free(&m->marks);
}

int pcv_state_dict_read(pcv_state_dict *s, const void *data, size_t n,
                        const char *file)
{
    machine m = { .file = file };
    int status = run(&m, data, n);

    *s = (pcv_state_dict){0};
    s->storage = (pcv_storage *)(void *)m.storages.data;
    s->storages = m.storages.len / sizeof *s->storage;
    s->view = (pcv_view *)(void *)m.views.data;
    s->views = m.views.len / sizeof *s->view;
    if (status == 0)
        status = list_names(&m, s);
    free_machine(&m);
    if (status < 0)
        pcv_state_dict_free(s);
    return status;
}

void pcv_state_dict_free(pcv_state_dict *s)
{
    pcv_free(s->storage);
    pcv_free(s->view);
    pcv_free(s->name);
    *s = (pcv_state_dict){0};
}
