/* onednn.c - products of 16 and 8 bits: the only file that includes oneDNN's
 * header, and the only one that is empty where the build found no such.
 *
 *   C (64 x n) = A (64 x k) B (k x n)
 *
 * for one k and n, multiples of 64: bfloat16 with float sums, or bytes (A
 * without a sign, B with one) with 32-bit sums, which are exact.  B stands in
 * the order that oneDNN wants, made once.  The height is always the same, so a
 * row's bits do not depend on the rows around it, and a shape needs one
 * program whatever it is used for.
 *
 * oneDNN has threads of its own (GNU OpenMP's); each thread that comes here
 * tells it to use one.  Nothing is allocated by a product: the memory objects
 * belong to a place, which one thread uses at a time. */
#include "kern.h"

#include <assert.h>
#include <string.h>

#if defined PCV_ONEDNN && !defined PCV_DOUBLE

#include <dlfcn.h>
#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdio.h>

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define LIBRARY "libdnnl.so." TEXT(DNNL_VERSION_MAJOR)

/* The library is loaded when a model asks for it: it would take a quarter of
 * the time in which a program starts.  What is called of it, by name. */
#define CALLS                                                                 \
    CALL(engine_create, dnnl_status_t, (dnnl_engine_t *, dnnl_engine_kind_t,  \
        size_t))                                                              \
    CALL(engine_destroy, dnnl_status_t, (dnnl_engine_t))                      \
    CALL(matmul_desc_init, dnnl_status_t, (dnnl_matmul_desc_t *,              \
        const dnnl_memory_desc_t *, const dnnl_memory_desc_t *,               \
        const dnnl_memory_desc_t *, const dnnl_memory_desc_t *))              \
    CALL(memory_create, dnnl_status_t, (dnnl_memory_t *,                      \
        const dnnl_memory_desc_t *, dnnl_engine_t, void *))                   \
    CALL(memory_desc_get_size, size_t, (const dnnl_memory_desc_t *))          \
    CALL(memory_desc_init_by_tag, dnnl_status_t, (dnnl_memory_desc_t *, int,  \
        const dnnl_dims_t, dnnl_data_type_t, dnnl_format_tag_t))              \
    CALL(memory_destroy, dnnl_status_t, (dnnl_memory_t))                      \
    CALL(memory_set_data_handle, dnnl_status_t, (dnnl_memory_t, void *))      \
    CALL(primitive_attr_create, dnnl_status_t, (dnnl_primitive_attr_t *))     \
    CALL(primitive_attr_destroy, dnnl_status_t, (dnnl_primitive_attr_t))      \
    CALL(primitive_attr_set_scratchpad_mode, dnnl_status_t, (                 \
        dnnl_primitive_attr_t, dnnl_scratchpad_mode_t))                       \
    CALL(primitive_create, dnnl_status_t, (dnnl_primitive_t *,                \
        const_dnnl_primitive_desc_t))                                         \
    CALL(primitive_desc_create, dnnl_status_t, (dnnl_primitive_desc_t *,      \
        const_dnnl_op_desc_t, const_dnnl_primitive_attr_t, dnnl_engine_t,     \
        const_dnnl_primitive_desc_t))                                         \
    CALL(primitive_desc_destroy, dnnl_status_t, (dnnl_primitive_desc_t))      \
    CALL(primitive_desc_query, dnnl_status_t, (const_dnnl_primitive_desc_t,   \
        dnnl_query_t, int, void *))                                           \
    CALL(primitive_desc_query_md, const dnnl_memory_desc_t *, (               \
        const_dnnl_primitive_desc_t, dnnl_query_t, int))                      \
    CALL(primitive_destroy, dnnl_status_t, (dnnl_primitive_t))                \
    CALL(primitive_execute, dnnl_status_t, (const_dnnl_primitive_t,           \
        dnnl_stream_t, int, const dnnl_exec_arg_t *))                         \
    CALL(reorder_primitive_desc_create, dnnl_status_t, (                      \
        dnnl_primitive_desc_t *, const dnnl_memory_desc_t *, dnnl_engine_t,   \
        const dnnl_memory_desc_t *, dnnl_engine_t,                            \
        const_dnnl_primitive_attr_t))                                         \
    CALL(stream_create, dnnl_status_t, (dnnl_stream_t *, dnnl_engine_t,       \
        unsigned))                                                            \
    CALL(stream_destroy, dnnl_status_t, (dnnl_stream_t))                      \
    CALL(version, const dnnl_version_t *, (void))

static struct {
#define CALL(name, type, arguments) type (*name) arguments;
    CALLS
#undef CALL
    void (*one_thread)(int n);  /* of GNU OpenMP; NULL: it has no threads */
    bool there;
} dnnl;

/* sizeof: held to the header's types, and not linked. */
static void load(void)
{
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_LOCAL), *symbol;

    dnnl.there = lib != NULL;
#define CALL(name, type, arguments)                                           \
    (void)sizeof(dnnl.name = dnnl_##name);                                    \
    symbol = lib ? dlsym(lib, "dnnl_" #name) : NULL;                          \
    memcpy(&dnnl.name, &symbol, sizeof symbol);                               \
    dnnl.there &= symbol != NULL;
    CALLS
#undef CALL
    symbol = lib ? dlsym(lib, "omp_set_num_threads") : NULL;
    memcpy(&dnnl.one_thread, &symbol, sizeof symbol);
}

static bool loaded(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, load);
    return dnnl.there;
}

enum { ROWS = PCV_TILE_ROWS };

struct pcv_tile {
    int type, k, n;
    dnnl_engine_t engine;
    dnnl_memory_desc_t a, c, packed, spare, from[2];
    dnnl_primitive_t product, pack[2];      /* of B as it is, of B^T */
};

typedef struct {
    pcv_place place;            /* first: the same address */
    pcv_tile *tile;
    dnnl_stream_t stream;
    dnnl_memory_t a, b, c, spare, from[2];
} place;

static void one_thread(void)
{
    static _Thread_local bool told;

    if (!told && dnnl.one_thread)
        dnnl.one_thread(1);
    told = true;
}

const char *pcv_onednn_name(void)
{
    static _Thread_local char name[64];
    const dnnl_version_t *v = loaded() ? dnnl.version() : NULL;

    if (!v)
        return NULL;
    snprintf(name, sizeof name, "oneDNN %d.%d.%d", v->major, v->minor,
             v->patch);
    return name;
}

static int failed(dnnl_status_t status)
{
    return pcv_fail(EX_OSERR, "oneDNN fails with status %d%s", (int)status,
                    status == dnnl_out_of_memory ? ", out of memory" : "");
}

/* ---- a shape --------------------------------------------------------- */

static dnnl_data_type_t type_of_a(int type)
{
    return type == PCV_TILE_BF16 ? dnnl_bf16 : dnnl_u8;
}

static dnnl_data_type_t type_of_b(int type)
{
    return type == PCV_TILE_BF16 ? dnnl_bf16 : dnnl_s8;
}

static dnnl_data_type_t type_of_c(int type)
{
    return type == PCV_TILE_BF16 ? dnnl_f32 : dnnl_s32;
}

static dnnl_status_t describe(pcv_tile *t, dnnl_matmul_desc_t *d)
{
    dnnl_dims_t a = { ROWS, t->k }, b = { t->k, t->n }, c = { ROWS, t->n };
    dnnl_memory_desc_t any;
    dnnl_status_t r;

    r = dnnl.memory_desc_init_by_tag(&t->a, 2, a, type_of_a(t->type), dnnl_ab);
    if (r == dnnl_success)
        r = dnnl.memory_desc_init_by_tag(&any, 2, b, type_of_b(t->type),
                                         dnnl_format_tag_any);
    if (r == dnnl_success)
        r = dnnl.memory_desc_init_by_tag(&t->c, 2, c, type_of_c(t->type),
                                         dnnl_ab);
    return r == dnnl_success ? dnnl.matmul_desc_init(d, &t->a, &any, NULL,
                                                     &t->c) : r;
}

/* Its reference code would be slower than float's. */
static bool is_slow(const_dnnl_primitive_desc_t d)
{
    const char *how = "";

    dnnl.primitive_desc_query(d, dnnl_query_impl_info_str, 0, (void *)&how);
    return strstr(how, "ref") || strstr(how, "naive");
}

static dnnl_status_t make_product(pcv_tile *t)
{
    dnnl_primitive_attr_t attr = NULL;
    dnnl_primitive_desc_t d = NULL;
    dnnl_matmul_desc_t m;
    dnnl_status_t r = describe(t, &m);

    if (r == dnnl_success)
        r = dnnl.primitive_attr_create(&attr);
    if (r == dnnl_success)
        r = dnnl.primitive_attr_set_scratchpad_mode(
            attr, dnnl_scratchpad_mode_user);
    if (r == dnnl_success)
        r = dnnl.primitive_desc_create(&d, &m, attr, t->engine, NULL);
    if (r == dnnl_success && is_slow(d))
        r = dnnl_unimplemented;
    if (r == dnnl_success) {
        t->packed = *dnnl.primitive_desc_query_md(d, dnnl_query_weights_md, 0);
        t->spare = *dnnl.primitive_desc_query_md(d, dnnl_query_scratchpad_md,
                                                 0);
        r = dnnl.primitive_create(&t->product, d);
    }
    dnnl.primitive_desc_destroy(d);
    dnnl.primitive_attr_destroy(attr);
    return r;
}

static dnnl_status_t make_pack(pcv_tile *t, bool transposed)
{
    dnnl_dims_t b = { t->k, t->n };
    dnnl_memory_desc_t *from = &t->from[transposed];
    dnnl_primitive_desc_t d = NULL;
    dnnl_status_t r;

    r = dnnl.memory_desc_init_by_tag(from, 2, b, type_of_b(t->type),
                                     transposed ? dnnl_ba : dnnl_ab);
    if (r == dnnl_success)
        r = dnnl.reorder_primitive_desc_create(&d, from, t->engine,
                                               &t->packed, t->engine, NULL);
    if (r == dnnl_success)
        r = dnnl.primitive_create(&t->pack[transposed], d);
    dnnl.primitive_desc_destroy(d);
    return r;
}

/* 1; 0 where bytes are summed in 16 bits that overflow, as processors do that
 * have no instruction for it; -1. */
static int is_exact(pcv_tile *t)
{
    size_t n = pcv_tile_packed(t), size = (size_t)t->k * (size_t)t->n;
    char *b = pcv_alloc(n + size, 1);
    pcv_place *p = b ? pcv_place_open(t) : NULL;
    int r = -1;

    if (p) {
        memset(b + n, 127, size);
        memset(p->a, 255, (size_t)ROWS * (size_t)t->k);
        pcv_place_pack(p, b + n, false, b);
        pcv_place_run(p, b);
        r = *(const int32_t *)p->c == 255 * 127 * t->k;
    }
    pcv_place_close(p);
    pcv_free(b);
    return r;
}

int pcv_tile_open(pcv_tile **out, int type, int k, int n)
{
    pcv_tile *t = *out = pcv_alloc(1, sizeof *t);
    dnnl_status_t status;
    int r = 1;

    if (!t)
        return -1;
    one_thread();
    t->type = type;
    t->k = k;
    t->n = n;
    status = dnnl.engine_create(&t->engine, dnnl_cpu, 0);
    if (status == dnnl_success)
        status = make_product(t);
    for (int i = 0; i < 2 && status == dnnl_success; i++)
        status = make_pack(t, i);
    if (status == dnnl_success && type == PCV_TILE_INT8)
        r = is_exact(t);
    if (status == dnnl_unimplemented)
        r = 0;
    else if (status != dnnl_success)
        r = failed(status);
    if (r == 1)
        return 1;
    pcv_tile_close(t);
    *out = NULL;
    return r;
}

void pcv_tile_close(pcv_tile *t)
{
    if (!t)
        return;
    dnnl.primitive_destroy(t->product);
    dnnl.primitive_destroy(t->pack[0]);
    dnnl.primitive_destroy(t->pack[1]);
    dnnl.engine_destroy(t->engine);
    pcv_free(t);
}

size_t pcv_tile_packed(const pcv_tile *t)
{
    return dnnl.memory_desc_get_size(&t->packed);
}

/* ---- a place --------------------------------------------------------- */

static dnnl_status_t make_memory(const pcv_tile *t, place *p)
{
    dnnl_status_t r = dnnl.stream_create(&p->stream, t->engine,
                                         dnnl_stream_default_flags);

    if (r == dnnl_success)
        r = dnnl.memory_create(&p->a, &t->a, t->engine, p->place.a);
    if (r == dnnl_success)
        r = dnnl.memory_create(&p->b, &t->packed, t->engine, DNNL_MEMORY_NONE);
    if (r == dnnl_success)
        r = dnnl.memory_create(&p->c, &t->c, t->engine, p->place.c);
    if (r == dnnl_success)
        r = dnnl.memory_create(&p->spare, &t->spare, t->engine,
                               DNNL_MEMORY_ALLOCATE);
    for (int i = 0; i < 2 && r == dnnl_success; i++)
        r = dnnl.memory_create(&p->from[i], &t->from[i], t->engine,
                               DNNL_MEMORY_NONE);
    return r;
}

pcv_place *pcv_place_open(pcv_tile *t)
{
    place *p = pcv_alloc(1, sizeof *p);
    dnnl_status_t r;

    if (!p)
        return NULL;
    p->tile = t;
    p->place.a = pcv_alloc(dnnl.memory_desc_get_size(&t->a), 1);
    p->place.c = pcv_alloc(dnnl.memory_desc_get_size(&t->c), 1);
    if (p->place.a && p->place.c) {
        if ((r = make_memory(t, p)) == dnnl_success)
            return &p->place;
        failed(r);
    }
    pcv_place_close(&p->place);
    return NULL;
}

void pcv_place_close(pcv_place *o)
{
    place *p = (place *)o;

    if (!p)
        return;
    dnnl.memory_destroy(p->a);
    dnnl.memory_destroy(p->b);
    dnnl.memory_destroy(p->c);
    dnnl.memory_destroy(p->spare);
    dnnl.memory_destroy(p->from[0]);
    dnnl.memory_destroy(p->from[1]);
    dnnl.stream_destroy(p->stream);
    pcv_free(o->a);
    pcv_free(o->c);
    pcv_free(p);
}

/* Neither fails for want of anything: what is wanted is there. */
static void at(dnnl_memory_t m, const void *data)
{
    dnnl_status_t r = dnnl.memory_set_data_handle(m, (void *)(uintptr_t)data);

    assert(r == dnnl_success);
    (void)r;
}

static void run(place *p, dnnl_primitive_t what, size_t n,
                const dnnl_exec_arg_t *args)
{
    dnnl_status_t r;

    one_thread();
    r = dnnl.primitive_execute(what, p->stream, (int)n, args);
    assert(r == dnnl_success);
    (void)r;
}

void pcv_place_pack(pcv_place *o, const void *b, bool transposed, void *packed)
{
    place *p = (place *)o;
    dnnl_exec_arg_t args[] = { { DNNL_ARG_FROM, p->from[transposed] },
                               { DNNL_ARG_TO, p->b } };

    at(p->from[transposed], b);
    at(p->b, packed);
    run(p, p->tile->pack[transposed], PCV_LEN(args), args);
}

void pcv_place_run(pcv_place *o, const void *packed)
{
    place *p = (place *)o;
    dnnl_exec_arg_t args[] = { { DNNL_ARG_SRC, p->a },
                               { DNNL_ARG_WEIGHTS, p->b },
                               { DNNL_ARG_DST, p->c },
                               { DNNL_ARG_SCRATCHPAD, p->spare } };

    at(p->b, packed);
    run(p, p->tile->product, PCV_LEN(args), args);
}

#else

/* Never reached but for the first: pcv_lowp_open says why. */
const char *pcv_onednn_name(void)
{
    return NULL;
}

int pcv_tile_open(pcv_tile **out, int type, int k, int n)
{
    (void)type;
    (void)k;
    (void)n;
    *out = NULL;
    return 0;
}

void pcv_tile_close(pcv_tile *t)
{
    (void)t;
}

size_t pcv_tile_packed(const pcv_tile *t)
{
    (void)t;
    return 0;
}

pcv_place *pcv_place_open(pcv_tile *t)
{
    (void)t;
    return NULL;
}

void pcv_place_close(pcv_place *p)
{
    (void)p;
}

void pcv_place_pack(pcv_place *p, const void *b, bool transposed, void *packed)
{
    (void)p;
    (void)b;
    (void)transposed;
    (void)packed;
}

void pcv_place_run(pcv_place *p, const void *packed)
{
    (void)p;
    (void)packed;
}

#endif
