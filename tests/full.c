/* full.c - models of full size: a program of `make full`, not of pcv.
 *
 *     full init DIR                   DIR/model.safetensors of random weights
 *                                     for DIR/config.json
 *     full measure DIR SPARE COMMAND..
 *         runs it; writes seconds, and memory at the most beside the weights of
 *         DIR.  Fails when that is more than SPARE megabytes (10^6 bytes);
 *         - is no bound.
 */
#include "child.h"
#include "weights.h"

#include "../lib/base/base.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int fail(const char *what)
{
    fprintf(stderr, "full: %s\n", what);
    return 1;
}

static double weights_of(const char *dir)
{
    char path[4096];
    struct stat st;

    snprintf(path, sizeof path, "%s/model.safetensors", dir);
    return stat(path, &st) == 0 ? (double)st.st_size / 1e6 : 0;
}

static int measure(const char *dir, const char *spare, char **command)
{
    const double weights = weights_of(dir);
    child_use use;
    double beside;

    if (child_run(command, &use) < 0)
        return fail("cannot run a command");
    beside = use.megabytes - weights;
    printf("%.2f s, %.0f MB of weights and %.0f MB", use.seconds, weights,
           beside);
    if (strcmp(spare, "-"))
        printf(" (at most %s)", spare);
    printf("\n");
    if (use.status)
        return fail("the command failed");
    return strcmp(spare, "-") && beside > strtod(spare, NULL);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "init") == 0)
        return weights_random(argv[2]) < 0 ? fail(pcv_error()) : 0;
    if (argc > 4 && strcmp(argv[1], "measure") == 0)
        return measure(argv[2], argv[3], argv + 4);
    fputs("usage: full init DIR | full measure DIR SPARE COMMAND..\n", stderr);
    return 64;
}
