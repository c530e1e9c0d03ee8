/* full.c - models of full size: a program of `make full`, not of pcv.
 *
 *     full init DIR           DIR/model.safetensors of random weights for
 *                             DIR/config.json; writes how many training changes
 *     full measure COMMAND..  runs it; writes seconds and megabytes at the most
 */
#include "../lib/model/model.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int fail(const char *what)
{
    fprintf(stderr, "full: %s\n", what);
    return 1;
}

/* ---- weights --------------------------------------------------------- */

static int read_spec(pcv_spec *s)
{
    pcv_file f;
    int r;

    if (pcv_file_open(&f, "config.json", 1 << 24) < 0)
        return -1;
    r = pcv_spec_parse(s, (const char *)f.data, f.size, "config.json");
    pcv_file_close(&f);
    return r;
}

/* Not the statistics of a norm. */
static size_t trained(const pcv_params *p)
{
    size_t n = 0;

    for (int i = 0; i < p->count; i++)
        if (!strstr(p->param[i]->name, ".running_"))
            n += p->param[i]->count;
    return n;
}

static int write_weights(const pcv_net *n)
{
    pcv_tensor_out *t = NULL;
    int count = pcv_net_tensors(n, &t), r = -1;

    if (count >= 0)
        r = pcv_tensors_save("model.safetensors", t, (size_t)count, NULL, NULL,
                             0);
    pcv_free(t);
    return r;
}

static int init(const char *dir)
{
    pcv_spec spec;
    pcv_net net;

    if (chdir(dir) < 0)
        return fail("no such directory");
    if (read_spec(&spec) < 0 || pcv_net_build(&net, &spec) < 0 ||
        pcv_net_init(&net, 1) < 0 || write_weights(&net) < 0)
        return fail(pcv_error());
    printf("%zu\n", trained(&net.params));
    pcv_net_free(&net);
    pcv_spec_free(&spec);
    return 0;
}

/* ---- measuring ------------------------------------------------------- */

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* What the command writes is not wanted. */
static int run(char **command)
{
    int nowhere = open("/dev/null", O_WRONLY);

    if (nowhere >= 0 && dup2(nowhere, STDOUT_FILENO) >= 0)
        execvp(command[0], command);
    perror(command[0]);
    return 127;
}

static int measure(char **command)
{
    struct rusage use;
    double start = now();
    pid_t child = fork();
    int status;

    if (child == 0)
        _exit(run(command));
    if (child < 0 || wait4(child, &status, 0, &use) < 0)
        return fail("cannot run a command");
    printf("%.2f s, %.0f MB\n", now() - start, (double)use.ru_maxrss / 1024);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "init") == 0)
        return init(argv[2]);
    if (argc > 2 && strcmp(argv[1], "measure") == 0)
        return measure(argv + 2);
    fputs("usage: full init DIR | full measure COMMAND..\n", stderr);
    return 64;
}
