/* spool.c - rows whose number has to be known before the first is written. */
#include "sink.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK 65536

static int failed(void)
{
    opt_error("temporary file: %s", strerror(errno ? errno : EIO));
    return EX_IOERR;
}

/* tmpfile(), but it takes no notice of TMPDIR. */
int spool_open(spool *s)
{
    pcv_bytes path = {0};
    int fd;

    *s = (spool){0};
    pcv_bytes_printf(&path, "%s/pcv-XXXXXX", opt_temporary());
    if (path.failed)
        opt_fatal_memory();
    fd = mkostemp(path.data, 0);
    if (fd < 0) {
        opt_error("%s: %s", opt_shown(path.data), strerror(errno));
        pcv_bytes_free(&path);
        return EX_CANTCREAT;
    }
    unlink(path.data);
    pcv_bytes_free(&path);
    s->file = fdopen(fd, "w+");
    if (!s->file)
        opt_fatal_memory();
    return 0;
}

int spool_write(spool *s, const void *data, size_t n)
{
    errno = 0;
    if (n && fwrite(data, 1, n, s->file) != n)
        return failed();
    s->bytes += n;
    return 0;
}

int spool_fill(spool *s, size_t n, float value)
{
    for (; n > 0; n--)
        if (spool_write(s, &value, sizeof value) != 0)
            return EX_IOERR;
    return 0;
}

int spool_copy(spool *s, sink *to)
{
    char *chunk = malloc(CHUNK);
    int status = 0;
    size_t n;

    if (!chunk)
        opt_fatal_memory();
    errno = 0;
    if (fflush(s->file) != 0 || fseek(s->file, 0, SEEK_SET) != 0)
        status = failed();
    while (status == 0 && (n = fread(chunk, 1, CHUNK, s->file)) > 0)
        status = sink_write(to, chunk, n);
    if (status == 0 && ferror(s->file))
        status = failed();
    free(chunk);
    return status;
}

void spool_close(spool *s)
{
    if (s->file)
        fclose(s->file);
    s->file = NULL;
}
