/* scratch.c - see scratch.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../lib/base/base.h"
#include "scratch.h"

static char dir[4096];
static int before = -1;     /* where we were */

int scratch_none(void **state)
{
    (void)state;
    pcv_alloc_fail_at(0);
    pcv_error_clear();
    return 0;
}

int scratch_open(void **state)
{
    const char *tmp = getenv("TMPDIR");

    scratch_none(state);
    snprintf(dir, sizeof dir, "%s/pcv-test-XXXXXX", tmp ? tmp : "/tmp");
    before = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return before < 0 || !mkdtemp(dir) || chdir(dir) < 0;
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st, (void)type, (void)ftw;
    return remove(path);
}

int scratch_close(void **state)
{
    int status = fchdir(before);

    (void)state;
    close(before);
    return nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) || status;
}

void scratch_put(const char *name, const void *data, size_t n)
{
    char path[4096];
    FILE *f;

    snprintf(path, sizeof path, "%s", name);
    for (char *p = path + 1; (p = strchr(p, '/')) != NULL; p++) {
        *p = '\0';
        mkdir(path, 0777);
        *p = '/';
    }
    f = fopen(name, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(data, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

void scratch_puts(const char *name, const char *text)
{
    scratch_put(name, text, strlen(text));
}

void assert_failed(int code, const char *text)
{
    if (pcv_error_code() != code || !strstr(pcv_error(), text))
        fail_msg("%d \"%s\", want %d \"%s\"", pcv_error_code(), pcv_error(),
                 code, text);
    pcv_error_clear();
}
