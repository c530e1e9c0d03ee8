/* latents_read.c - a stream of latents, an array of latents, or an input, as
 * items. */
#include "latents_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- a stream -------------------------------------------------------- */

void latents_close_stream(latents *l)
{
    pcv_sts_reader_close(l->stream);
    l->stream = NULL;
    if (l->fd > STDIN_FILENO)
        close(l->fd);
    l->fd = -1;
}

static int refuse_model(const latents *l, const char *found)
{
    char theirs[16], ours[16], record[40] = "";

    if (l->stream)
        snprintf(record, sizeof record, "record %zu ", l->record);
    opt_error("%s: %swas made by model %s, this is %s (use "
              "--allow-model-mismatch)", opt_shown(l->name), record,
              opt_escaped(latents_short_id(found, theirs)),
              latents_short_id(pcv_model_id(l->model), ours));
    return EX_DATAERR;
}

static bool other_model(const latents *l, const char *id)
{
    return !l->any_model && id && strcmp(id, pcv_model_id(l->model)) != 0;
}

static char *record_name(const latents *l)
{
    const char *exact = pcv_sts_reader_meta(l->stream, "pcv.path_b64");
    const char *path = pcv_sts_reader_meta(l->stream, "pcv.path");
    char *name = exact ? latents_from_base64(exact) : NULL;

    if (!name && path)
        name = strdup(path);
    if (!name && asprintf(&name, "%s#%zu", l->name, l->record) < 0)
        opt_fatal_memory();
    return name;
}

/* A code that means nothing here, or everything, becomes 65. */
static int error_code(const char *text)
{
    long code = text ? strtol(text, NULL, 10) : 0;

    return code >= EX__BASE && code <= EX__MAX ? (int)code : EX_DATAERR;
}

int latents_next_record(latents *l, latents_item **item)
{
    pcv_values *v = NULL;
    int got = pcv_sts_reader_next(l->stream, &v);
    const char *id, *what;
    char *name;
    int code;

    if (got <= 0) {
        latents_close_stream(l);
        return got;
    }
    id = v ? pcv_sts_reader_meta(l->stream, "pcv.model") : NULL;
    if (other_model(l, id)) {
        pcv_values_free(v);
        return refuse_model(l, id);
    }
    name = record_name(l);
    if (v) {
        *item = latents_new(l, name);
        (*item)->own = v;
        (*item)->view = *v;
    } else {
        what = pcv_sts_reader_meta(l->stream, "pcv.what");
        code = error_code(pcv_sts_reader_meta(l->stream, "pcv.code"));
        *item = latents_failed(l, name, code, what ? what : "no latents");
    }
    free(name);
    l->record++;
    return 1;
}

int latents_open_stream(latents *l, latents_item **item)
{
    bool standard_input = strcmp(l->name, "-") == 0;

    l->stdin_taken |= standard_input;
    l->fd = STDIN_FILENO;
    if (!standard_input)
        l->fd = open(l->name, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (l->fd < 0) {
        *item = latents_failed(l, l->name, EX_NOINPUT, strerror(errno));
        return 1;
    }
    l->record = 0;
    l->stream = pcv_sts_reader_open(
        l->fd, standard_input ? "standard input" : l->name);
    return l->stream ? 0 : -1;
}

/* ---- an array -------------------------------------------------------- */

static pcv_values view_row(const pcv_values *array, size_t row)
{
    const size_t *dim = array->dim + array->rank - 2;
    size_t count = dim[0] * dim[1];

    return (pcv_values){.rank = 2, .dim = {dim[0], dim[1]}, .count = count,
                        .data = array->data + row * count};
}

int latents_next_row(latents *l, latents_item **item)
{
    const pcv_values *array = l->origin->array;
    size_t n = array->rank == 3 ? array->dim[0] : 1;
    char *name = NULL;

    if (l->record == n)
        return latents_origin_close(l);
    if (array->rank == 2)
        name = latents_copy(l->name);
    else if (asprintf(&name, "%s#%zu", l->name, l->record) < 0)
        opt_fatal_memory();
    *item = latents_new(l, name);
    (*item)->view = view_row(array, l->record++);
    (*item)->from = latents_origin_use(l->origin);
    free(name);
    return 1;
}

/* [N, D] or [n, N, D] of this model. */
static bool are_latents(const latents *l, const pcv_values *v)
{
    const size_t *dim = v->dim + v->rank - 2;

    return (v->rank == 2 || v->rank == 3) &&
           dim[0] == pcv_model_latents(l->model) &&
           dim[1] == pcv_model_latent_channels(l->model);
}

static int open_array(latents *l, pcv_values *v)
{
    l->origin = latents_origin_new();
    l->origin->array = v;
    l->record = 0;
    return 0;
}

/* 1, with an item that says what is wrong with the file. */
static int refuse_file(latents *l, latents_item **item)
{
    const char *message = pcv_error();
    size_t n = strlen(l->name);

    if (strncmp(message, l->name, n) == 0 && message[n] == ':')
        message += n + 2;
    *item = latents_failed(l, l->name, pcv_error_code(), message);
    pcv_error_clear();
    return 1;
}

/* The model that a file of tensors names must be this one. */
static int check_model(const latents *l)
{
    pcv_weights *w = pcv_weights_open(l->name);
    int status = 0;

    for (size_t i = 0; w && i < pcv_weights_metas(w); i++)
        if (strcmp(pcv_weights_meta_key(w, i), "pcv.model") == 0 &&
            other_model(l, pcv_weights_meta_value(w, i)))
            status = refuse_model(l, pcv_weights_meta_value(w, i));
    pcv_weights_close(w);
    return status;
}

int latents_open_tensors(latents *l, latents_item **item)
{
    char what[128];
    pcv_values *v;
    int status = check_model(l);

    if (status)
        return status;
    v = pcv_values_read(l->name, "latents");
    if (!v)
        return refuse_file(l, item);
    if (are_latents(l, v))
        return open_array(l, v);
    pcv_values_free(v);
    snprintf(what, sizeof what, "its tensor 'latents' is not [%zu,%zu] or "
             "[n,%zu,%zu], as the model has them",
             pcv_model_latents(l->model),
             pcv_model_latent_channels(l->model),
             pcv_model_latents(l->model),
             pcv_model_latent_channels(l->model));
    *item = latents_failed(l, l->name, EX_DATAERR, what);
    return 1;
}

int latents_open_npy(latents *l)
{
    pcv_values *v = l->array;

    l->array = NULL;
    return open_array(l, v);
}

/* ---- names ----------------------------------------------------------- */

/* An array that is not of latents is an input like any other. */
static bool read_npy(latents *l, const char *name)
{
    pcv_values *v = pcv_values_read(name, NULL);

    pcv_error_clear();
    pcv_values_free(l->array);
    l->array = v && are_latents(l, v) ? v : NULL;
    if (!l->array)
        pcv_values_free(v);
    return l->array != NULL;
}

/* Models of several modalities take their inputs as tensors of a file, too;
 * for the others a file of tensors without latents is a mistake. */
int latents_find_kind(latents *l, const char *name)
{
    int kind = latents_kind(name);

    if (kind == LATENTS_NPY && !read_npy(l, name))
        return LATENTS_INPUT;
    if (kind == LATENTS_TENSORS && pcv_model_answers(l->model) > 1 &&
        !latents_in(name))
        return LATENTS_INPUT;
    return kind;
}

/* ---- inputs ---------------------------------------------------------- */

/* The source of names of a stream of inputs. */
static int next_path(void *arg, const char **path)
{
    latents *l = arg;
    int got = latents_next_name(l);
    bool taken;

    if (got != 1) {
        l->status = got;
        return got ? -1 : 0;
    }
    taken = strcmp(l->name, "-") == 0 && l->stdin_taken;
    l->waiting = l->kind != LATENTS_INPUT || taken;
    if (l->waiting)
        return 0;
    l->stdin_taken |= strcmp(l->name, "-") == 0;
    *path = l->name;
    return 1;
}

int latents_open_inputs(latents *l)
{
    pcv_inputs in = l->o->in;

    in.paths = 0;
    in.list = NULL;
    in.next = next_path;
    in.arg = l;
    l->waiting = true;
    l->status = 0;
    l->origin = latents_origin_new();
    l->origin->inputs = pcv_stream_open(l->model, &in);
    return l->origin->inputs ? 0 : -1;
}

int latents_next_input(latents *l, latents_item **item)
{
    pcv_entry *e = NULL;
    int got = pcv_stream_next(l->origin->inputs, &e);

    if (got <= 0) {
        latents_origin_close(l);
        return got < 0 && l->status ? l->status : got;
    }
    *item = latents_new(l, pcv_entry_name(e));
    (*item)->entry = e;
    (*item)->from = latents_origin_use(l->origin);
    return 1;
}
