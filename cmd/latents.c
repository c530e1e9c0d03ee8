/* latents.c - operands, then a list; each of them a stream of latents, an
 * array of latents, or an input (which may be several items, too).
 *
 * Inputs that follow one another are one pcv_stream, which asks for their
 * names one at a time (latents_read.c): two pictures may be one input.  It ends
 * where a name is something else, which then waits for its turn.
 *
 * At most one of `stream` and `origin` is open. */
#include "latents_parts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- items ----------------------------------------------------------- */

char *latents_copy(const char *text)
{
    char *s = strdup(text);

    if (!s)
        opt_fatal_memory();
    return s;
}

latents_item *latents_new(latents *l, const char *name)
{
    latents_item *item = calloc(1, sizeof *item);

    if (!item)
        opt_fatal_memory();
    item->name = latents_copy(name);
    item->index = l->index++;
    return item;
}

latents_item *latents_failed(latents *l, const char *name, int code,
                             const char *what)
{
    latents_item *item = latents_new(l, name);

    item->code = code;
    item->what = latents_copy(what);
    return item;
}

const char *latents_name(const void *item)
{
    return ((const latents_item *)item)->name;
}

/* ---- what several items come from ------------------------------------ */

latents_origin *latents_origin_new(void)
{
    latents_origin *from = calloc(1, sizeof *from);

    if (!from)
        opt_fatal_memory();
    atomic_init(&from->users, 1);
    return from;
}

static void release(latents_origin *from)
{
    if (!from || atomic_fetch_sub(&from->users, 1) > 1)
        return;
    pcv_stream_close(from->inputs);
    pcv_values_free(from->array);
    free(from);
}

latents_origin *latents_origin_use(latents_origin *from)
{
    atomic_fetch_add(&from->users, 1);
    return from;
}

int latents_origin_close(latents *l)
{
    release(l->origin);
    l->origin = NULL;
    return 0;
}

void latents_free(void *item)
{
    latents_item *i = item;

    pcv_values_free(i->own);
    pcv_entry_free(i->entry);
    release(i->from);
    free(i->name);
    free(i->what);
    free(i);
}

int latents_load(const latents_item *item)
{
    return pcv_entry_load(item->from->inputs, item->entry);
}

/* ---- names ----------------------------------------------------------- */

/* 1, with the next name in l->name; 0 at the end; -1 or a status. */
static int next_listed(latents *l)
{
    ssize_t n;

    do {
        errno = 0;
        n = getdelim(&l->line, &l->room, l->o->in.nul ? '\0' : '\n',
                     l->list);
        if (n < 0 && ferror(l->list)) {
            opt_error("%s: %s", opt_shown(l->o->in.list), strerror(errno));
            return EX_IOERR;
        }
        if (n < 0)
            return 0;
        if (!l->o->in.nul && l->line[n - 1] == '\n')
            l->line[--n] = '\0';
        if (!l->o->in.nul && memchr(l->line, '\0', (size_t)n)) {
            opt_error("%s: a name holds a NUL byte: its names do not end in "
                      "newlines", opt_shown(l->o->in.list));
            return EX_DATAERR;
        }
    } while (*l->line == '\0');
    l->name = latents_copy(l->line);
    return 1;
}

int latents_next_name(latents *l)
{
    int got = 0;

    if (l->waiting) {
        l->waiting = false;
        return 1;
    }
    free(l->name);
    l->name = NULL;
    if (l->operand < l->o->in.paths) {
        l->name = latents_copy(l->o->in.path[l->operand++]);
        got = 1;
    } else if (l->list) {
        got = next_listed(l);
    }
    if (got == 1)
        l->kind = latents_find_kind(l, l->name);
    return got;
}

/* 0: open, 1: an item already, -1 or a status. */
static int open_name(latents *l, latents_item **item)
{
    if (strcmp(l->name, "-") == 0 && l->stdin_taken) {
        *item = latents_failed(l, l->name, EX_NOINPUT, "was already read");
        return 1;
    }
    switch (l->kind) {
    case LATENTS_STREAM:  return latents_open_stream(l, item);
    case LATENTS_TENSORS: return latents_open_tensors(l, item);
    case LATENTS_NPY:     return latents_open_npy(l);
    default:              return latents_open_inputs(l);
    }
}

/* ---- all of them ----------------------------------------------------- */

int latents_next(void *source, void **item)
{
    latents *l = source;
    latents_item *found = NULL;
    int got = 0;

    while (got == 0) {
        if (l->stream)
            got = latents_next_record(l, &found);
        else if (l->origin)
            got = l->origin->inputs ? latents_next_input(l, &found)
                                    : latents_next_row(l, &found);
        else if ((got = latents_next_name(l)) == 1)
            got = open_name(l, &found);
        else
            return got;
    }
    *item = found;
    return got;
}

/* Whether the settings of the inputs can be understood is known before there
 * is one. */
static size_t files_of(const latents *l)
{
    pcv_inputs in = l->o->in;
    pcv_stream *s;
    size_t n;

    in.paths = 0;
    in.list = NULL;
    s = pcv_stream_open(l->model, &in);
    if (!s)
        opt_fatal_pcv();
    n = pcv_stream_files(s);
    pcv_stream_close(s);
    return n;
}

bool latents_alone(latents *l)
{
    const opt *o = l->o;

    for (size_t i = 0; i < o->in.paths && i < l->files; i++)
        if (strcmp(o->in.path[i], "-") == 0 ||
            latents_find_kind(l, o->in.path[i]) != LATENTS_INPUT)
            return false;
    return pump_alone(o, l->files);
}

latents *latents_open(const opt *o, const pcv_model *m, bool any_model)
{
    latents *l = calloc(1, sizeof *l);
    const char *list = o->in.list;

    if (!l)
        opt_fatal_memory();
    l->o = o;
    l->model = m;
    l->any_model = any_model;
    l->fd = -1;
    l->files = files_of(l);
    if (!list)
        return l;
    l->stdin_taken = strcmp(list, "-") == 0;
    l->list = l->stdin_taken ? stdin : fopen(list, "re");
    if (!l->list)
        opt_fatal(EX_NOINPUT, "%s: %s", opt_shown(list), strerror(errno));
    return l;
}

void latents_close(latents *l)
{
    latents_close_stream(l);
    latents_origin_close(l);
    if (l->list && l->list != stdin)
        fclose(l->list);
    pcv_values_free(l->array);
    free(l->line);
    free(l->name);
    free(l);
}
