/* peer.c - the same network in Python with torch: torch.py, which runs it once
 * for every line it is sent, so that the two can be measured in turn.
 *
 * It is stopped in between: the threads of its BLAS and of OpenMP look out for
 * more work a while after each run, on the cores that the next measurement
 * wants (training lost a third of its speed to that). */
#include "bench.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void become(const int to[2], const int from[2], const char *kind,
                   const char *dir)
{
    const char *python = getenv("PYTHON");
    char threads[16];

    snprintf(threads, sizeof threads, "%d", BENCH_THREADS);
    python = python && *python ? python : "python3";
    if (dup2(to[0], STDIN_FILENO) >= 0 && dup2(from[1], STDOUT_FILENO) >= 0) {
        close(to[1]);
        close(from[0]);
        execlp(python, python, "-W", "ignore", "tests/bench/torch.py", kind,
               dir, threads, (char *)NULL);
    }
    _exit(127);
}

static bool read_line(bench_peer *p, char *line, size_t size)
{
    if (!fgets(line, (int)size, p->from))
        return false;
    line[strcspn(line, "\n")] = '\0';
    return true;
}

static void ask(bench_peer *p, const char *what)
{
    kill(p->pid, SIGCONT);
    fprintf(p->to, "%s\n", what);
    fflush(p->to);
}

static bool reply(bench_peer *p, char *line, size_t size)
{
    bool fine = read_line(p, line, size);

    kill(p->pid, SIGSTOP);
    return fine;
}

static void lose(bench_peer *p, const char *why)
{
    bench_peer_close(p);
    snprintf(p->why, sizeof p->why, "%s", why);
}

void bench_peer_open(bench_peer *p, const char *kind, const char *dir)
{
    int to[2], from[2];
    char line[200];

    *p = (bench_peer){ .pid = 0 };
    signal(SIGPIPE, SIG_IGN);
    fflush(stdout);
    if (pipe(to) < 0 || pipe(from) < 0 || (p->pid = fork()) < 0)
        pcv_fail(EX_OSERR, "cannot run a program");
    bench_need(!*pcv_error());
    if (p->pid == 0)
        become(to, from, kind, dir);
    close(to[0]);
    close(from[1]);
    p->to = fdopen(to[1], "w");
    p->from = fdopen(from[0], "r");
    bench_need(p->to && p->from);
    if (!reply(p, line, sizeof line))
        lose(p, "python3 said nothing (PYTHON names another)");
    else if (strcmp(line, "ready"))
        lose(p, line);
}

double bench_peer_run(bench_peer *p, double *number)
{
    char line[200];
    double seconds;

    if (!p->pid)
        return (double)NAN;
    ask(p, "run");
    if (reply(p, line, sizeof line) &&
        sscanf(line, "%lf %lf", &seconds, number) == 2)
        return seconds;
    lose(p, "torch.py ended early");
    return (double)NAN;
}

float *bench_peer_answer(bench_peer *p, const char *dir, size_t n)
{
    char line[200], path[4096];
    float *x = NULL;
    pcv_file f;

    if (!p->pid)
        return NULL;
    ask(p, "answer");
    if (!reply(p, line, sizeof line)) {
        lose(p, "torch.py ended early");
        return NULL;
    }
    snprintf(path, sizeof path, "%s/answer.f32", dir);
    bench_need(pcv_file_open(&f, path, 0) == 0);
    if (f.size != n * sizeof *x)
        pcv_fail(EX_DATAERR, "torch.py answers %zu bytes, want %zu", f.size,
                 n * sizeof *x);
    bench_need(!*pcv_error() && (x = pcv_alloc(n, sizeof *x)) != NULL);
    memcpy(x, f.data, f.size);
    pcv_file_close(&f);
    return x;
}

void bench_peer_close(bench_peer *p)
{
    if (p->to)
        fclose(p->to);
    if (p->from)
        fclose(p->from);
    if (p->pid) {
        kill(p->pid, SIGCONT);
        waitpid(p->pid, NULL, 0);
    }
    *p = (bench_peer){ .pid = 0 };
}
