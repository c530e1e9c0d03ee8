/* peers.c - processes that train one model together: sums over all of them,
 * in every one the same.  The only file that includes MPI's header.
 *
 * Each part of an array is summed by one process, in the order of the ranks,
 * which tells the others what came out:
 *
 *     part k of everybody's x  -> process k           (all to all)
 *     s = ((x_0 + x_1) + x_2) + ..
 *     s  -> everybody's part k of x                   (all gather)
 *
 * So a sum has the same bits in all processes and in every run, whatever route
 * MPI takes: with MPI's own sums that is a matter of its version and of the
 * network.  As much is sent as by the best of those. */
#include "train.h"

#include <string.h>

#ifdef PCV_MPI

#include <dlfcn.h>
#include <mpi.h>

/* Of Open MPI from version 3 on; loaded when several processes were started,
 * it takes longer than a small picture. */
#define LIBRARY "libmpi.so.40"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

const char *pcv_peers_name(void)
{
    return "Open MPI " TEXT(OMPI_MAJOR_VERSION) "." TEXT(OMPI_MINOR_VERSION);
}

/* What is called of it, by name; and two of its objects. */
#define CALLS                                                                 \
    CALL(Init_thread, (int *, char ***, int, int *))                          \
    CALL(Finalize, (void))                                                    \
    CALL(Abort, (MPI_Comm, int))                                              \
    CALL(Comm_set_errhandler, (MPI_Comm, MPI_Errhandler))                     \
    CALL(Comm_size, (MPI_Comm, int *))                                        \
    CALL(Comm_rank, (MPI_Comm, int *))                                        \
    CALL(Error_string, (int, char *, int *))                                  \
    CALL(Alltoallv, (const void *, const int *, const int *, MPI_Datatype,    \
        void *, const int *, const int *, MPI_Datatype, MPI_Comm))            \
    CALL(Allgatherv, (const void *, int, MPI_Datatype, void *, const int *,   \
        const int *, MPI_Datatype, MPI_Comm))

static struct {
#define CALL(name, arguments) int (*name) arguments;
    CALLS
#undef CALL
    void *world, *byte, *give_back;
    bool there;
} mpi;

static void *find(void *lib, const char *name)
{
    void *symbol = dlsym(lib, name);

    mpi.there &= symbol != NULL;
    return symbol;
}

/* Its plugins look for its symbols, so they are for all to see.  sizeof: held
 * to the header's types, and not linked. */
static bool load(void)
{
    void *lib = dlopen(LIBRARY, RTLD_NOW | RTLD_GLOBAL), *symbol;

    if (!(mpi.there = lib != NULL))
        return false;
#define CALL(name, arguments)                                                 \
    (void)sizeof(mpi.name = MPI_##name);                                      \
    symbol = find(lib, "MPI_" #name);                                         \
    memcpy(&mpi.name, &symbol, sizeof symbol);
    CALLS
#undef CALL
    mpi.world = find(lib, "ompi_mpi_comm_world");
    mpi.byte = find(lib, "ompi_mpi_byte");
    mpi.give_back = find(lib, "ompi_mpi_errors_return");
    return mpi.there;
}

static int done(int code)
{
    char text[MPI_MAX_ERROR_STRING] = "";
    int n;

    if (code == MPI_SUCCESS)
        return 0;
    mpi.Error_string(code, text, &n);
    return pcv_fail(EX_UNAVAILABLE, "MPI fails: %s", text);
}

static int begin(int processes, int *size, int *rank)
{
    int threads, code;

    if (!load())
        return pcv_fail(EX_UNAVAILABLE, "%d processes were started to train "
                        "together, but Open MPI's " LIBRARY " cannot be "
                        "loaded", processes);
    code = mpi.Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, &threads);
    if (code == MPI_SUCCESS)
        code = mpi.Comm_set_errhandler(mpi.world, mpi.give_back);
    if (code == MPI_SUCCESS)
        code = mpi.Comm_size(mpi.world, size);
    if (code == MPI_SUCCESS)
        code = mpi.Comm_rank(mpi.world, rank);
    if (done(code) < 0 || processes == *size)
        return done(code);
    return pcv_fail(EX_UNAVAILABLE, "%d processes were started to train "
                    "together, but MPI has %d of them: start them with the "
                    "mpirun of Open MPI", processes, *size);
}

static void end(void)
{
    mpi.Finalize();
}

static void end_all(int status)
{
    mpi.Abort(mpi.world, status);
}

/* Part k of x to process k; theirs of what is mine, one after the other. */
static int scatter(const void *x, const int *bytes, const int *at, void *mine,
                   const int *each, const int *each_at)
{
    return done(mpi.Alltoallv(x, bytes, at, mpi.byte, mine, each, each_at,
                              mpi.byte, mpi.world));
}

static int gather(const void *mine, int n, void *x, const int *bytes,
                  const int *at)
{
    return done(mpi.Allgatherv(mine, n, mpi.byte, x, bytes, at, mpi.byte,
                               mpi.world));
}

#else

const char *pcv_peers_name(void)
{
    return NULL;
}

static int begin(int processes, int *size, int *rank)
{
    *size = 1;
    *rank = 0;
    return pcv_fail(EX_UNAVAILABLE, "%d processes were started to train "
                    "together, but this program was built without Open MPI: "
                    "install libopenmpi-dev and build again", processes);
}

static void end(void)
{
}

static void end_all(int status)
{
    (void)status;
}

static int scatter(const void *x, const int *bytes, const int *at, void *mine,
                   const int *each, const int *each_at)
{
    (void)x;
    (void)bytes;
    (void)at;
    (void)mine;
    (void)each;
    (void)each_at;
    return 0;
}

static int gather(const void *mine, int n, void *x, const int *bytes,
                  const int *at)
{
    (void)mine;
    (void)n;
    (void)x;
    (void)bytes;
    (void)at;
    return 0;
}

#endif

/* ---- the group ------------------------------------------------------- */

struct pcv_peers {
    int size, rank;
    real *mine;                 /* size x the largest part */
    int *bytes, *at;            /* of each part of a piece */
    int *each, *each_at;        /* of each process's copy of mine */
};

enum { PIECE = 1 << 18 };       /* elements that are summed at once */

pcv_peers *pcv_peers_open(int processes)
{
    pcv_peers *p = pcv_alloc(1, sizeof *p);
    size_t n;

    if (!p || begin(processes, &p->size, &p->rank) < 0) {
        pcv_free(p);
        return NULL;
    }
    n = (size_t)p->size;
    p->mine = pcv_alloc(PIECE + n, sizeof *p->mine);
    p->bytes = pcv_alloc(4 * n, sizeof *p->bytes);
    if (!p->mine || !p->bytes) {
        pcv_peers_close(p, EX_OSERR);
        return NULL;
    }
    p->at = p->bytes + n;
    p->each = p->at + n;
    p->each_at = p->each + n;
    return p;
}

void pcv_peers_close(pcv_peers *p, int status)
{
    if (!p)
        return;
    if (status)
        end_all(status);
    else
        end();
    pcv_free(p->mine);
    pcv_free(p->bytes);
    pcv_free(p);
}

int pcv_peers_rank(const pcv_peers *p)
{
    return p ? p->rank : 0;
}

int pcv_peers_size(const pcv_peers *p)
{
    return p ? p->size : 1;
}

static size_t part_start(const pcv_peers *p, int rank, size_t n)
{
    return n * (size_t)rank / (size_t)p->size;
}

size_t pcv_peers_share(const pcv_peers *p, size_t n, size_t *first)
{
    *first = p ? part_start(p, p->rank, n) : 0;
    return p ? part_start(p, p->rank + 1, n) - *first : n;
}

/* ---- sums ------------------------------------------------------------ */

/* As much from everybody. */
static void each_of(pcv_peers *p, int bytes)
{
    for (int i = 0; i < p->size; i++) {
        p->each[i] = bytes;
        p->each_at[i] = i * bytes;
    }
}

static int sum_piece(pcv_peers *p, real *x, size_t n)
{
    size_t first, count = pcv_peers_share(p, n, &first);
    int size = (int)(count * sizeof *x);
    const pcv_rows *k = pcv_rows_get();

    for (int i = 0; i < p->size; i++) {
        size_t at = part_start(p, i, n), end = part_start(p, i + 1, n);

        p->at[i] = (int)(at * sizeof *x);
        p->bytes[i] = (int)((end - at) * sizeof *x);
    }
    each_of(p, size);
    if (scatter(x, p->bytes, p->at, p->mine, p->each, p->each_at) < 0)
        return -1;
    for (int i = 1; i < p->size; i++)
        k->add(p->mine, p->mine + (size_t)i * count, (int)count);
    return gather(p->mine, size, x, p->bytes, p->at);
}

int pcv_peers_sum(pcv_peers *p, real *x, size_t n)
{
    for (size_t at = 0; p && at < n; at += PIECE)
        if (sum_piece(p, x + at, n - at < PIECE ? n - at : PIECE) < 0)
            return -1;
    return 0;
}

/* Few of them: everybody has all and adds them up. */
int pcv_peers_add(pcv_peers *p, double *x, int n)
{
    double *all;
    int size = n * (int)sizeof *x, r;

    if (!p)
        return 0;
    if (!(all = pcv_alloc((size_t)p->size * (size_t)n, sizeof *all)))
        return -1;
    each_of(p, size);
    r = gather(x, size, all, p->each, p->each_at);
    memset(x, 0, (size_t)size);
    for (int i = 0; i < p->size * n; i++)
        x[i % n] += all[i];
    pcv_free(all);
    return r;
}

int pcv_peers_collect(pcv_peers *p, pcv_buf *b)
{
    int own = (int)b->len, all = 0, r;
    char *data;

    if (!p)
        return 0;
    each_of(p, (int)sizeof own);
    if (gather(&own, (int)sizeof own, p->bytes, p->each, p->each_at) < 0)
        return -1;
    memcpy(p->each, p->bytes, (size_t)p->size * sizeof *p->each);
    for (int i = 0; i < p->size; all += p->each[i++])
        p->each_at[i] = all;
    if (!(data = pcv_alloc((size_t)all, 1)))
        return -1;
    r = gather(b->data, own, data, p->each, p->each_at);
    pcv_buf_clear(b);
    pcv_buf_add(b, data, (size_t)all);
    pcv_free(data);
    return r;
}

/* ---- agreement ------------------------------------------------------- */

static uint64_t mix(uint64_t h, uint64_t word)
{
    h = (h ^ word) * 0x9e3779b97f4a7c15u;
    return h ^ h >> 32;
}

static uint64_t hash(const void *data, size_t bytes)
{
    const char *c = data;
    uint64_t h = mix(0, bytes), word;

    for (; bytes >= sizeof word; bytes -= sizeof word, c += sizeof word) {
        memcpy(&word, c, sizeof word);
        h = mix(h, word);
    }
    word = 0;
    memcpy(&word, c, bytes);
    return mix(h, word);
}

int pcv_peers_agree(pcv_peers *p, const void *data, size_t bytes,
                    const char *what)
{
    uint64_t own, *all;
    int r;

    if (!p)
        return 0;
    if (!(all = pcv_alloc((size_t)p->size, sizeof *all)))
        return -1;
    own = hash(data, bytes);
    each_of(p, (int)sizeof own);
    r = gather(&own, (int)sizeof own, all, p->each, p->each_at);
    for (int i = 1; r == 0 && i < p->size; i++)
        if (all[i] != all[0])
            r = pcv_fail(EX_DATAERR, "process %d of %d: %s not those of "
                         "process 0", i, p->size, what);
    pcv_free(all);
    return r;
}
