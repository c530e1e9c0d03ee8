/* store.c - bytes in a file instead of memory: what is too long to be held, a
 * sound of an hour.  Written from front to end, then read anywhere, by any
 * thread (pread knows no position).  A store of our own has no name: it goes
 * with the last who holds it open, whatever happens. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct pcv_store {
    int fd;
    const char *directory;
    size_t bytes;
    double scale;               /* of the floats as they are read */
    atomic_bool failed;
};

static pcv_store *new_store(int fd, const char *directory, size_t bytes)
{
    pcv_store *s = pcv_alloc(1, sizeof *s);

    if (!s) {
        close(fd);
        return NULL;
    }
    s->fd = fd;
    s->directory = directory;
    s->bytes = bytes;
    s->scale = 1;
    return s;
}

pcv_store *pcv_store_open(const char *directory)
{
    pcv_buf path = {0};
    int fd = -1;

    pcv_buf_printf(&path, "%s/pcv-XXXXXX", directory);
    if (!path.failed)
        fd = mkostemp(path.data, O_CLOEXEC);
    if (fd >= 0)
        unlink(path.data);
    else
        pcv_fail(EX_CANTCREAT, "%s: temporary file: %s", directory,
                 strerror(errno));
    pcv_buf_free(&path);
    return fd < 0 ? NULL : new_store(fd, directory, 0);
}

pcv_store *pcv_store_file(const char *path, const char *directory)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

    if (fd < 0)
        return NULL;
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
        close(fd);
        return NULL;
    }
    return new_store(fd, directory, (size_t)st.st_size);
}

pcv_store *pcv_store_beside(const pcv_store *s)
{
    return pcv_store_open(s->directory);
}

pcv_store *pcv_store_share(const pcv_store *s, double scale)
{
    int fd = fcntl(s->fd, F_DUPFD_CLOEXEC, 0);
    pcv_store *share;

    if (fd < 0) {
        pcv_fail(EX_OSERR, "temporary file: %s", strerror(errno));
        return NULL;
    }
    share = new_store(fd, s->directory, s->bytes);
    if (share)
        share->scale = scale;
    return share;
}

void pcv_store_close(pcv_store *s)
{
    if (!s)
        return;
    close(s->fd);
    pcv_free(s);
}

size_t pcv_store_bytes(const pcv_store *s)
{
    return s->bytes;
}

int pcv_store_add(pcv_store *s, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0) {
        ssize_t put = pwrite(s->fd, p, n, (off_t)s->bytes);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return pcv_fail(EX_IOERR, "%s: temporary file: %s", s->directory,
                            strerror(put < 0 ? errno : EIO));
        p += put;
        n -= (size_t)put;
        s->bytes += (size_t)put;
    }
    return 0;
}

size_t pcv_store_get(const pcv_store *s, size_t at, size_t n, void *out)
{
    char *to = out;
    size_t have = 0;

    while (have < n) {
        ssize_t got = pread(s->fd, to + have, n - have, (off_t)(at + have));

        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        have += (size_t)got;
    }
    return have;
}

void pcv_store_floats(pcv_store *s, size_t at, size_t n, float *out)
{
    const size_t all = s->bytes / sizeof *out;
    const size_t kept = at >= all ? 0 : all - at < n ? all - at : n;
    const size_t have = pcv_store_get(s, at * sizeof *out,
                                      kept * sizeof *out, out) / sizeof *out;

    for (size_t i = 0; i < have && (s->scale < 1 || s->scale > 1); i++)
        out[i] = (float)((double)out[i] * s->scale);
    for (size_t i = have; i < n; i++)
        out[i] = i < kept ? NAN : 0;
    if (have < kept)
        atomic_store(&s->failed, true);
}

int pcv_store_check(const pcv_store *s)
{
    return atomic_load(&((pcv_store *)(uintptr_t)s)->failed)
               ? pcv_fail(EX_IOERR, "%s: temporary file: cannot be read",
                          s->directory) : 0;
}
