/* places.c - where a model is looked for: the path itself; for NAME and
 * OWNER/NAME $PCV_MODEL_PATH, the user's data directory, share/pcv beside the
 * program's own bin, the system's, and what Hugging Face's tools have
 * downloaded.  The one file of the facade that reads the environment. */
#include "places.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef bool visit(void *arg, const char *dir);

/* dir/name, when dir is not empty. */
static bool try_dir(const char *dir, size_t n, const char *tail,
                    const char *name, visit *v, void *arg)
{
    pcv_buf b = {0};
    bool found;

    if (n == 0)
        return false;
    pcv_buf_add(&b, dir, n);
    pcv_buf_printf(&b, "%s/%s", tail, name);
    found = !b.failed && v(arg, b.data);
    pcv_buf_free(&b);
    return found;
}

static bool try_path_list(const char *list, const char *name, visit *v,
                          void *arg)
{
    while (list && *list) {
        size_t n = strcspn(list, ":");

        if (try_dir(list, n, "", name, v, arg))
            return true;
        list += n + (list[n] == ':');
    }
    return false;
}

static bool try_home(const char *name, visit *v, void *arg)
{
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");

    if (data && *data)
        return try_dir(data, strlen(data), "/pcv", name, v, arg);
    return home && try_dir(home, strlen(home), "/.local/share/pcv", name, v,
                           arg);
}

/* BIN/../share/pcv: an installation works wherever it was moved to. */
static bool try_program(const char *name, visit *v, void *arg)
{
    char exe[4096];
    ssize_t n = readlink("/proc/self/exe", exe, sizeof exe - 1);
    char *slash;

    if (n <= 0)
        return false;
    exe[n] = '\0';
    if ((slash = strrchr(exe, '/')))
        *slash = '\0';
    if ((slash = strrchr(exe, '/')))
        *slash = '\0';
    return try_dir(exe, strlen(exe), "/share/pcv", name, v, arg);
}

/* HUB/models--OWNER--NAME/snapshots/COMMIT, the commit that refs/main names. */
static bool try_snapshot(const char *hub, size_t n, const char *tail,
                         const char *name, visit *v, void *arg)
{
    pcv_buf b = {0}, ref = {0};
    pcv_file f = {0};
    bool found = false;

    pcv_buf_add(&b, hub, n);
    pcv_buf_printf(&b, "%s/models--", tail);
    for (; *name; name++)
        pcv_buf_add(&b, *name == '/' ? "--" : name, *name == '/' ? 2 : 1);
    if (!b.failed)
        pcv_buf_printf(&ref, "%s/refs/main", b.data);
    if (!ref.failed && pcv_file_open(&f, ref.data, 256) == 0) {
        pcv_buf_puts(&b, "/snapshots/");
        for (size_t i = 0; i < f.size && isxdigit(f.data[i]); i++)
            pcv_buf_add(&b, &f.data[i], 1);
        pcv_file_close(&f);
    } else {
        pcv_error_clear();
        pcv_buf_puts(&b, "/snapshots/*");
    }
    found = !b.failed && v(arg, b.data);
    pcv_buf_free(&b);
    pcv_buf_free(&ref);
    return found;
}

static bool try_cache(const char *name, visit *v, void *arg)
{
    const char *own = getenv("HF_HOME"), *home = getenv("HOME");

    if (own && *own)
        return try_snapshot(own, strlen(own), "/hub", name, v, arg);
    return home && try_snapshot(home, strlen(home),
                                "/.cache/huggingface/hub", name, v, arg);
}

/* NAME, or OWNER/NAME: what is not a path that was meant as one. */
static bool is_name(const char *name)
{
    const char *slash = strchr(name, '/');

    return *name != '.' && (!slash || (slash != name && slash[1] &&
                                       !strchr(slash + 1, '/')));
}

static bool each_place(const char *name, visit *v, void *arg)
{
    static const char *const system[] = { PCV_DATADIR, "/usr/local/share/pcv",
                                          "/usr/share/pcv" };

    if (v(arg, name))
        return true;
    if (!is_name(name))
        return false;
    if (try_path_list(getenv("PCV_MODEL_PATH"), name, v, arg) ||
        try_home(name, v, arg) || try_program(name, v, arg))
        return true;
    for (size_t i = 0; i < PCV_LEN(system); i++)
        if ((i == 0 || strcmp(system[i], system[0])) &&
            try_dir(system[i], strlen(system[i]), "", name, v, arg))
            return true;
    return strchr(name, '/') && try_cache(name, v, arg);
}

/* ---- what is done at each place -------------------------------------- */

static bool note(void *arg, const char *dir)
{
    pcv_buf_puts(arg, dir);
    pcv_buf_puts(arg, "\n");
    return false;
}

void pcv_place_list(const char *name, pcv_buf *b)
{
    each_place(name, note, b);
}

typedef struct {
    pcv_buf tried;
    char *found;
} search;

static bool is_model(void *arg, const char *dir)
{
    search *s = arg;
    struct stat st;

    if (stat(dir, &st) == 0 && S_ISDIR(st.st_mode)) {
        s->found = pcv_strdup(dir);
        return true;
    }
    pcv_buf_puts(&s->tried, "\n  ");
    pcv_buf_escape(&s->tried, dir);
    return false;
}

char *pcv_place_find(const char *name)
{
    search s = {0};
    pcv_buf shown = {0};

    if (!each_place(name, is_model, &s)) {
        pcv_buf_escape(&shown, name);
        pcv_fail(EX_NOINPUT, "model '%s' not found; tried:%s",
                 shown.data ? shown.data : "", s.tried.data ? s.tried.data
                                                            : "");
        pcv_buf_free(&shown);
    }
    pcv_buf_free(&s.tried);
    return s.found;
}
