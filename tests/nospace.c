/* nospace.c - a disk that is full: preloaded (LD_PRELOAD) by tests/disk.sh.
 *
 *     PCV_NOSPACE=FROM,COUNT,KINDS,FILE
 *
 * Calls of some kinds are counted: w, writes; s, syncs; n, renames and links;
 * o, files that are made.  Those from number FROM (1 is the first) fail with
 * ENOSPC, COUNT of them or, if that is 0, all.  A write that fails has first
 * put half of its bytes there.  When the process ends, how many there were
 * goes to FILE. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static long from = -1, count, calls;
static char kinds[8];
static const char *file = "";

/* Not in a constructor: others' may write before it. */
static void setup(void)
{
    const char *s = getenv("PCV_NOSPACE");
    int at = 0;

    from = 0;
    if (s && sscanf(s, "%ld,%ld,%7[a-z],%n", &from, &count, kinds, &at) == 3)
        file = s + at;
}

static int full(char kind)
{
    if (from < 0)
        setup();
    if (!strchr(kinds, kind))
        return 0;
    calls++;
    if (from == 0 || calls < from || (count && calls >= from + count))
        return 0;
    errno = ENOSPC;
    return 1;
}

__attribute__((destructor)) static void report(void)
{
    FILE *f = *file ? fopen(file, "w") : NULL;

    if (f) {
        fprintf(f, "%ld\n", calls);
        fclose(f);
    }
}

/* Standard output and error are not on the disk. */
ssize_t write(int fd, const void *data, size_t n)
{
    ssize_t (*next)(int, const void *, size_t);

    *(void **)&next = dlsym(RTLD_NEXT, "write");
    if (fd <= STDERR_FILENO || !full('w'))
        return next(fd, data, n);
    if (next(fd, data, n / 2) < 0)
        return -1;
    errno = ENOSPC;
    return -1;
}

int fsync(int fd)
{
    int (*next)(int);

    *(void **)&next = dlsym(RTLD_NEXT, "fsync");
    return full('s') ? -1 : next(fd);
}

int rename(const char *a, const char *b)
{
    int (*next)(const char *, const char *);

    *(void **)&next = dlsym(RTLD_NEXT, "rename");
    return full('n') ? -1 : next(a, b);
}

int link(const char *a, const char *b)
{
    int (*next)(const char *, const char *);

    *(void **)&next = dlsym(RTLD_NEXT, "link");
    return full('n') ? -1 : next(a, b);
}

int open(const char *path, int flags, ...)
{
    int (*next)(const char *, int, ...);
    mode_t mode = 0;
    va_list a;

    va_start(a, flags);
    if (flags & O_CREAT)
        mode = va_arg(a, mode_t);
    va_end(a);
    *(void **)&next = dlsym(RTLD_NEXT, "open");
    return flags & O_CREAT && full('o') ? -1 : next(path, flags, mode);
}
