/* file.c - whole files in, whole files out.
 *
 * In: a regular file is mapped; a pipe, a device, or a file whose size is
 * not known (those under /proc say 0) is read to its end.  So is a small file:
 * unmapping interrupts every other thread, which costs more than a copy.
 *
 * Out: the data goes to DIR/.NAME.tmp.PID.N, then fsync, close, rename,
 * fsync of DIR.  At every moment PATH is the old file or the new one.  What
 * exists and is no regular file (a device, a pipe) is written in place:
 * renaming over /dev/null would destroy it. */
#include "base.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK 65536
#define NAME_KEPT 200   /* of NAME in the temporary's name, NAME_MAX is 255 */

/* ---- messages -------------------------------------------------------- */

static int fail(int code, const char *path, const char *what)
{
    pcv_buf name = {0};

    pcv_buf_escape(&name, path);
    if (!name.failed)
        pcv_fail(code, "%s: %s", name.len ? name.data : "''", what);
    pcv_buf_free(&name);
    return -1;
}

static int fail_errno(int code, const char *path)
{
    return fail(code, path, strerror(errno));
}

/* ---- in -------------------------------------------------------------- */

static int fail_limit(const char *path, size_t limit)
{
    pcv_buf what = {0};

    pcv_buf_printf(&what, "larger than the limit of %zu bytes", limit);
    if (!what.failed)
        fail(EX_DATAERR, path, what.data);
    pcv_buf_free(&what);
    return -1;
}

static ssize_t read_some(int fd, void *data, size_t n)
{
    ssize_t got;

    do
        got = read(fd, data, n);
    while (got < 0 && errno == EINTR);
    return got;
}

static int read_all(pcv_file *f, int fd, const char *path, size_t limit)
{
    char chunk[CHUNK];
    pcv_buf b = {0};
    ssize_t got;

    while ((got = read_some(fd, chunk, sizeof chunk)) > 0) {
        if (limit && (size_t)got > limit - b.len) {
            fail_limit(path, limit);
            goto fail;
        }
        pcv_buf_add(&b, chunk, (size_t)got);
        if (b.failed)
            goto fail;
    }
    if (got < 0) {
        fail_errno(EX_IOERR, path);
        goto fail;
    }
    f->data = (unsigned char *)b.data;
    f->size = b.len;
    return 0;
fail:
    pcv_buf_free(&b);
    return -1;
}

/* 1 mapped, 0 to be read instead, -1 an error. */
static int map(pcv_file *f, int fd, const char *path, const struct stat *st,
               size_t limit)
{
    void *data;

    /* Standard input may have been read in part by a program before us. */
    if (!S_ISREG(st->st_mode) || st->st_size <= CHUNK ||
        lseek(fd, 0, SEEK_CUR) != 0)
        return 0;
    if (limit && (uintmax_t)st->st_size > limit)
        return fail_limit(path, limit);
    if ((uintmax_t)st->st_size > PTRDIFF_MAX)
        return fail(EX_DATAERR, path, "too large for this machine");
    data = mmap(NULL, (size_t)st->st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (data == MAP_FAILED)     /* not every file system maps */
        return 0;
    f->data = data;
    f->size = (size_t)st->st_size;
    f->mapped = true;
    return 1;
}

static int take_in(pcv_file *f, int fd, const char *path, size_t limit)
{
    struct stat st;
    int mapped;

    if (fstat(fd, &st) < 0)
        return fail_errno(EX_NOINPUT, path);
    if (S_ISDIR(st.st_mode)) {
        errno = EISDIR;
        return fail_errno(EX_NOINPUT, path);
    }
    mapped = map(f, fd, path, &st, limit);
    if (mapped != 0)
        return mapped < 0 ? -1 : 0;
    return read_all(f, fd, path, limit);
}

int pcv_file_open(pcv_file *f, const char *path, size_t limit)
{
    int fd, status;

    *f = (pcv_file){0};
    if (strcmp(path, "-") == 0)
        return take_in(f, STDIN_FILENO, "standard input", limit);
    do
        fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    while (fd < 0 && errno == EINTR);
    if (fd < 0)
        return fail_errno(EX_NOINPUT, path);
    status = take_in(f, fd, path, limit);
    close(fd);
    return status;
}

void pcv_file_close(pcv_file *f)
{
    if (f->mapped)
        munmap((void *)(uintptr_t)f->data, f->size);
    else
        pcv_free((void *)(uintptr_t)f->data);
    *f = (pcv_file){0};
}

/* ---- out ------------------------------------------------------------- */

struct pcv_saver {
    char *path;         /* as the caller named it: for messages */
    char *target;       /* links followed, so that a link survives */
    char *temporary;    /* NULL when written in place */
    char *previous;     /* where the file that is replaced goes, or NULL */
    int fd;
    bool failed;
};

static void free_saver(pcv_saver *s)
{
    pcv_free(s->path);
    pcv_free(s->target);
    pcv_free(s->temporary);
    pcv_free(s->previous);
    pcv_free(s);
}

/* Length of the directory part with its slash: 0 for "name". */
static size_t directory_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash ? (size_t)(slash - path) + 1 : 0;
}

/* O_EXCL and the mode 0666 rather than mkstemp: the umask then decides the
 * permissions, as for any other new file. */
static int create_temporary(pcv_saver *s)
{
    size_t dir = directory_length(s->target);
    pcv_buf name = {0};

    for (int i = 0; i < 1000; i++) {
        pcv_buf_clear(&name);
        pcv_buf_add(&name, s->target, dir);
        pcv_buf_printf(&name, ".%.*s.tmp.%ld.%d", NAME_KEPT,
                       s->target + dir, (long)getpid(), i);
        if (name.failed)
            goto fail;
        s->fd = open(name.data, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
                     0666);
        if (s->fd >= 0) {
            s->temporary = name.data;
            return 0;
        }
        if (errno != EEXIST && errno != EINTR)
            break;
    }
    fail_errno(EX_CANTCREAT, s->path);
fail:
    pcv_buf_free(&name);
    return -1;
}

static int open_in_place(pcv_saver *s)
{
    do
        s->fd = open(s->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    while (s->fd < 0 && errno == EINTR);
    return s->fd < 0 ? fail_errno(EX_CANTCREAT, s->path) : 0;
}

/* Replacing a file keeps its permissions, as writing into it would. */
static int open_target(pcv_saver *s)
{
    struct stat st;
    char *real;

    if (stat(s->path, &st) < 0) {
        s->target = pcv_strdup(s->path);
        return s->target ? create_temporary(s) : -1;
    }
    if (!S_ISREG(st.st_mode))
        return open_in_place(s);
    real = realpath(s->path, NULL);
    if (!real)
        return fail_errno(EX_CANTCREAT, s->path);
    s->target = pcv_strdup(real);
    free(real);
    if (!s->target || create_temporary(s) < 0)
        return -1;
    if (fchmod(s->fd, st.st_mode & 0777) < 0)
        return fail_errno(EX_CANTCREAT, s->path);
    return 0;
}

pcv_saver *pcv_saver_open(const char *path)
{
    pcv_saver *s = pcv_alloc(1, sizeof *s);

    if (!s)
        return NULL;
    s->fd = -1;
    s->path = pcv_strdup(path);
    if (!s->path || open_target(s) < 0) {
        pcv_saver_abort(s);
        return NULL;
    }
    return s;
}

int pcv_saver_write(pcv_saver *s, const void *data, size_t n)
{
    const char *p = data;

    while (n > 0 && !s->failed) {
        ssize_t put = write(s->fd, p, n);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0) {
            s->failed = true;
            return put < 0 ? fail_errno(EX_IOERR, s->path)
                           : fail(EX_IOERR, s->path, "nothing written");
        }
        p += put;
        n -= (size_t)put;
    }
    return s->failed ? -1 : 0;
}

/* The rename is on disk only once the directory is.  File systems that
 * cannot sync a directory answer EINVAL; there is nothing more to do. */
static int sync_directory(const char *path)
{
    size_t n = directory_length(path);
    pcv_buf name = {0};
    int fd, status;

    pcv_buf_add(&name, n ? path : ".", n ? n : 1);
    if (name.failed)
        return -1;
    fd = open(name.data, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    pcv_buf_free(&name);
    if (fd < 0)         /* a directory may be writable and unreadable */
        return errno == EACCES ? 0 : fail_errno(EX_IOERR, path);
    status = fsync(fd);
    if (status < 0 && (errno == EINVAL || errno == ENOTSUP))
        status = 0;
    if (status < 0)
        fail_errno(EX_IOERR, path);
    close(fd);
    return status;
}

int pcv_saver_keep(pcv_saver *s, const char *previous)
{
    s->previous = pcv_strdup(previous);
    return s->previous ? 0 : -1;
}

/* By a link, so that PATH is there all the time; where there are no links, by
 * a name that is missing for a moment.  Not being able to keep the old file is
 * no reason not to have the new one. */
static void keep(const pcv_saver *s)
{
    unlink(s->previous);
    if (link(s->target, s->previous) < 0 && errno != ENOENT)
        rename(s->target, s->previous);
}

/* Closing can report what a write could not (NFS, quotas). */
static int finish(pcv_saver *s)
{
    int fd = s->fd;

    if (s->failed)
        return fail(EX_IOERR, s->path, "an earlier write failed");
    if (s->temporary && fsync(fd) < 0)
        return fail_errno(EX_IOERR, s->path);
    s->fd = -1;
    if (close(fd) < 0)
        return fail_errno(EX_IOERR, s->path);
    if (!s->temporary)
        return 0;
    if (s->previous)
        keep(s);
    if (rename(s->temporary, s->target) < 0)
        return fail_errno(EX_CANTCREAT, s->path);
    pcv_free(s->temporary);     /* there is no temporary any more */
    s->temporary = NULL;
    return sync_directory(s->target);
}

int pcv_saver_commit(pcv_saver *s)
{
    int status = finish(s);

    pcv_saver_abort(s);
    return status;
}

void pcv_saver_abort(pcv_saver *s)
{
    if (!s)
        return;
    if (s->fd >= 0)
        close(s->fd);
    if (s->temporary)
        unlink(s->temporary);
    free_saver(s);
}

int pcv_save_file(const char *path, const void *data, size_t n)
{
    pcv_saver *s = pcv_saver_open(path);

    if (!s)
        return -1;
    if (pcv_saver_write(s, data, n) < 0) {
        pcv_saver_abort(s);
        return -1;
    }
    return pcv_saver_commit(s);
}
