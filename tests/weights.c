/* weights.c - models of random weights, of any config.json.
 *
 * The published sizes have 200 million parameters, and a draw for each takes
 * longer than to write them: they are taken from a table, whose length is a
 * prime, so that no two rows of a matrix are the same. */
#include "weights.h"

#include "../lib/model/model.h"

#include <math.h>

enum { TABLE = 65521 };

static int read_spec(pcv_spec *s, const char *path)
{
    pcv_file f;
    int r;

    if (pcv_file_open(&f, path, 1 << 24) < 0)
        return -1;
    r = pcv_spec_parse(s, (const char *)f.data, f.size, path);
    pcv_file_close(&f);
    return r;
}

/* Training starts the last layer at zero, which would be all that the answers
 * are. */
static real deviation(const pcv_param *p)
{
    return p->std > 0 || p->rank < 2 ? p->std
                                     : 1 / (real)sqrt((double)p->dim[1]);
}

static void draw(const pcv_params *p, const real *table)
{
    size_t at = 0;

    for (int i = 0; i < p->count; i++) {
        const pcv_param *q = p->param[i];
        real std = deviation(q);

        for (size_t k = 0; k < q->count; k++) {
            q->w[k] = q->mean + std * table[at];
            at = at + 1 < TABLE ? at + 1 : 0;
        }
    }
}

/* Cut at two deviations, as training draws them. */
static int fill(pcv_net *n)
{
    real *table = pcv_alloc(TABLE, sizeof *table);
    size_t at = 0;

    if (!table || pcv_params_weights(&n->params) < 0) {
        pcv_free(table);
        return -1;
    }
    for (uint64_t i = 0; at < TABLE; i++) {
        table[at] = (real)pcv_normal(1, 1, i);
        at += fabs((double)table[at]) <= 2;
    }
    draw(&n->params, table);
    pcv_free(table);
    return 0;
}

static int write_weights(const pcv_net *n, const char *path)
{
    pcv_tensor_out *t = NULL;
    int count = pcv_net_tensors(n, &t), r = -1;

    if (count >= 0)
        r = pcv_tensors_save(path, t, (size_t)count, NULL, NULL, 0);
    pcv_free(t);
    return r;
}

static int make(const char *config, const char *file)
{
    pcv_spec spec;
    pcv_net net;
    int r = -1;

    if (read_spec(&spec, config) < 0)
        return -1;
    if (pcv_net_build(&net, &spec) == 0 && fill(&net) == 0)
        r = write_weights(&net, file);
    pcv_net_free(&net);
    pcv_spec_free(&spec);
    return r;
}

int weights_random(const char *dir)
{
    pcv_buf config = {0}, file = {0};
    int r = -1;

    pcv_buf_printf(&config, "%s/config.json", dir);
    pcv_buf_printf(&file, "%s/model.safetensors", dir);
    if (!config.failed && !file.failed)
        r = make(config.data, file.data);
    pcv_buf_free(&config);
    pcv_buf_free(&file);
    return r;
}
