/* runlog.c - log.jsonl of a training run.  A log that cannot be written does
 * not end the run: the model is worth more than its log. */
#include "runlog.h"
#include "opt.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

/* Files of the library's that were never renamed: ".NAME.tmp.PID.N". */
static void sweep(int fd)
{
    DIR *dir = fdopendir(dup(fd));
    struct dirent *e;

    while (dir && (e = readdir(dir)) != NULL)
        if (fnmatch(".*.tmp.*.*", e->d_name, 0) == 0)
            unlinkat(fd, e->d_name, 0);
    if (dir)
        closedir(dir);
}

/* The descriptor stays open: the lock ends with the process, however that
 * ends.  File systems without locks are taken at their word. */
bool runlog_lock(const char *dir)
{
    static int fd = -1;

    if (fd >= 0)
        return true;
    fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return true;
    if (flock(fd, LOCK_EX | LOCK_NB) < 0)
        return errno != EWOULDBLOCK;
    sweep(fd);
    return true;
}

static void fail(runlog *l)
{
    l->why = errno ? errno : EIO;
    l->failing = true;
}

/* Where the last whole line ends: a killed run may have left half a line. */
static off_t whole_lines(int fd)
{
    char block[4096];
    off_t end = lseek(fd, 0, SEEK_END);

    while (end > 0) {
        off_t from = end > (off_t)sizeof block ? end - (off_t)sizeof block : 0;
        ssize_t n = pread(fd, block, (size_t)(end - from), from);

        if (n <= 0)
            return n < 0 ? -1 : from;
        while (n > 0 && block[n - 1] != '\n')
            n--;
        if (n > 0)
            return from + n;
        end = from;
    }
    return end;
}

static int open_file(const char *path, bool go_on)
{
    int flags = O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC;
    int fd = open(path, go_on ? flags : flags | O_TRUNC, 0666);
    off_t end;

    if (fd < 0 || !go_on)
        return fd;
    end = whole_lines(fd);
    if (end < 0 || ftruncate(fd, end) == 0)
        return fd;              /* a pipe or a device has no end to mend */
    if (errno == EINVAL)
        return fd;
    close(fd);
    return -1;
}

void runlog_open(runlog *l, const char *dir, bool go_on)
{
    pcv_bytes path = {0};

    pcv_bytes_printf(&path, "%s/log.jsonl", dir);
    if (path.failed)
        opt_fatal_memory();
    *l = (runlog){ .path = path.data };
    errno = 0;
    l->fd = open_file(l->path, go_on);
    if (l->fd < 0)
        fail(l);
}

/* n bytes, or as many as there is room for. */
static bool write_whole(int fd, const char *s, size_t n)
{
    while (n > 0) {
        ssize_t put = write(fd, s, n);

        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return false;
        s += put;
        n -= (size_t)put;
    }
    return true;
}

void runlog_add(runlog *l, const char *json)
{
    pcv_bytes line = {0};
    off_t end;

    if (l->fd < 0)
        return;
    pcv_bytes_printf(&line, "%s\n", json);
    if (line.failed)
        opt_fatal_memory();
    end = lseek(l->fd, 0, SEEK_END);    /* -1: a pipe */
    errno = 0;
    l->failing = !write_whole(l->fd, line.data, line.len);
    if (l->failing)
        fail(l);
    if (l->failing && end >= 0 && ftruncate(l->fd, end) < 0)
        errno = 0;              /* a device has no end to mend */
    pcv_bytes_free(&line);
}

void runlog_close(runlog *l)
{
    if (l->path && l->fd >= 0 && close(l->fd) < 0)
        fail(l);
    l->fd = -1;
    free(l->path);
    l->path = NULL;
}
