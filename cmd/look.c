/* look.c - opening what pcv-inspect looks at, and numbers for people. */
#include "look.h"

#include <fnmatch.h>
#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- opening --------------------------------------------------------- */

static bool is_directory(const char *name)
{
    struct stat st;

    return stat(name, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool exists(const char *name)
{
    struct stat st;

    return !strcmp(name, "-") || stat(name, &st) == 0;
}

/* A directory is a model only where its config.json matters: tables of the
 * tensors of any other model's directory are welcome.  What does not exist
 * may be the name of a model elsewhere. */
int look_open(look_subject *s, const char *name, bool as_model)
{
    bool find = !name || !exists(name);

    *s = (look_subject){ .name = name ? name : "default" };
    if (find || (as_model && is_directory(name))) {
        s->model = pcv_model_open(name);
        if (!s->model)
            return -1;
    }
    s->weights = pcv_weights_open(s->model ? pcv_model_path(s->model) : name);
    if (s->weights)
        return 0;
    look_close(s);
    return -1;
}

void look_close(look_subject *s)
{
    pcv_weights_close(s->weights);
    pcv_model_close(s->model);
    s->weights = NULL;
    s->model = NULL;
}

/* ---- tensors --------------------------------------------------------- */

int look_tensor(const look_subject *s, const look_options *o, size_t i,
                pcv_tensor_info *t)
{
    if (pcv_weights_info(s->weights, i, t) < 0)
        return -1;
    return !o->match || fnmatch(o->match, t->name, 0) == 0;
}

static bool ends_with(const char *name, const char *part)
{
    size_t n = strlen(name), k = strlen(part);

    return n > k && name[n - k - 1] == '.' && !strcmp(name + n - k, part);
}

int look_find(const look_subject *s, const char *name, size_t *index)
{
    size_t found = 0;

    for (size_t i = 0; i < pcv_weights_count(s->weights); i++) {
        pcv_tensor_info t;

        if (pcv_weights_info(s->weights, i, &t) < 0)
            return -1;
        if (!strcmp(t.name, name)) {
            *index = i;
            return 1;
        }
        if (ends_with(t.name, name) && found++ == 0)
            *index = i;
    }
    return found > 1 ? 2 : (int)found;
}

/* ---- numbers for people ---------------------------------------------- */

void look_shape(pcv_bytes *b, const pcv_tensor_info *t)
{
    if (t->rank == 0)
        pcv_bytes_printf(b, "scalar");
    for (int i = 0; i < t->rank; i++)
        pcv_bytes_printf(b, "%s%zu", i ? "x" : "", t->dim[i]);
}

void look_thousands(pcv_bytes *b, size_t count)
{
    if (count >= 1000) {
        look_thousands(b, count / 1000);
        pcv_bytes_printf(b, ",%03zu", count % 1000);
    } else {
        pcv_bytes_printf(b, "%zu", count);
    }
}

void look_units(pcv_bytes *b, double v, const char *unit)
{
    static const char *const prefix[] = { "", "k", "M", "G", "T", "P" };
    int k = 0;

    while (v >= 999.5 && k < 5) {
        v /= 1000;
        k++;
    }
    pcv_bytes_printf(b, "%.3g %s%s", v, prefix[k], unit);
}

/* ---- the reader ------------------------------------------------------ */

int look_columns(int *lines)
{
    const char *asked = getenv("COLUMNS");
    int columns = asked ? atoi(asked) : 0;
    struct winsize w;
    bool terminal = ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_col &&
                    w.ws_row;

    if (terminal)
        *lines = w.ws_row;
    if (columns > 0 && columns < 10000)
        return columns;
    return terminal ? w.ws_col : 80;
}

bool look_unicode(void)
{
    const char *term = getenv("TERM");
    locale_t l = newlocale(LC_CTYPE_MASK, "", (locale_t)0);
    bool yes;

    if (!l)
        return false;
    yes = !strcmp(nl_langinfo_l(CODESET, l), "UTF-8") &&
          (!term || (strcmp(term, "dumb") && strcmp(term, "linux")));
    freelocale(l);
    return yes;
}
