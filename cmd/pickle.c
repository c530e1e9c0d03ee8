/* pickle.c - one line for each thing that the pickle of a PyTorch file asks
 * for. */
#include "json.h"
#include "look.h"

void pickle_head(const look_options *o, pcv_bytes *b)
{
    pcv_bytes_printf(b, "%soffset\twhat\tname\tverdict\tcount\n",
                     o->column ? "file\t" : "");
}

/* The name is escaped already. */
static void line(const char *file, const look_options *o,
                 const pcv_pickle_ask *a, pcv_bytes *b)
{
    if (o->column) {
        pcv_bytes_escape(b, file);
        pcv_bytes_printf(b, "\t");
    }
    pcv_bytes_printf(b, "%zu\t%s\t%s\t%s\t%zu\n", a->offset, a->what, a->name,
                     a->allowed ? "allowed" : "REFUSED", a->count);
}

static void object(const pcv_pickle_ask *a, pcv_bytes *b)
{
    json_open(b, NULL, '{');
    json_count(b, "offset", a->offset);
    json_text(b, "what", a->what);
    json_text(b, "name", a->name);
    json_truth(b, "allowed", a->allowed);
    json_count(b, "count", a->count);
    json_close(b, '}');
}

static int each(const pcv_pickle *p, const char *file, const look_options *o,
                bool json, pcv_bytes *b)
{
    int refused = 0;

    for (size_t i = 0; i < pcv_pickle_count(p); i++) {
        pcv_pickle_ask a;

        if (pcv_pickle_get(p, i, &a) < 0)
            return -1;
        refused += !a.allowed;
        if (json)
            object(&a, b);
        else
            line(file, o, &a, b);
    }
    return refused;
}

int pickle_text(const char *file, const look_options *o, pcv_bytes *b)
{
    pcv_pickle *p = pcv_pickle_open(file);
    int refused = p ? each(p, file, o, false, b) : -1;

    pcv_pickle_close(p);
    return refused;
}

int pickle_json(const char *file, const look_options *o, pcv_bytes *b)
{
    pcv_pickle *p = pcv_pickle_open(file);
    int refused;

    if (!p)
        return -1;
    json_open(b, NULL, '{');
    json_path(b, "file", file);
    json_truth(b, "ok", true);
    json_open(b, "pickle", '[');
    refused = each(p, file, o, true, b);
    json_close(b, ']');
    json_truth(b, "allowed", refused == 0);
    json_close(b, '}');
    pcv_bytes_printf(b, "\n");
    pcv_pickle_close(p);
    return refused;
}
