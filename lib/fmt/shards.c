/* shards.c - a model in several files, and the index of them:
 *
 *     {"metadata": {..}, "weight_map": {"TENSOR": "FILE", ..}}
 *
 * The files are beside the index and named without a path.  Every tensor of
 * the index is in the file that it names, and every tensor of these files is
 * in the index. */
#include "parts.h"

#include <stdlib.h>
#include <string.h>

#define MAX_INDEX 100000000
#define MAX_SHARDS 10000

/* ---- the names of the files ------------------------------------------ */

static bool is_plain(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") &&
           strcmp(name, "..");
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* The different files of the map, sorted; *count of them.  pcv_free. */
static const char **file_names(const pcv_json *map, const char *path,
                               size_t *count)
{
    size_t n = pcv_json_count(map), kept = 0;
    const char **name = pcv_alloc(n, sizeof *name);

    for (size_t i = 0; name && i < n; i++) {
        name[i] = pcv_json_string(pcv_json_value(map, i));
        if (!name[i] || !is_plain(name[i])) {
            pcv_refuse(path, pcv_json_key(map, i), "is in a file whose name "
                       "is not plain, want one beside the index");
            pcv_free(name);
            return NULL;
        }
    }
    if (!name)
        return NULL;
    qsort(name, n, sizeof *name, by_text);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(name[i], name[i - 1]))
            name[kept++] = name[i];
    *count = kept;
    return name;
}

/* ---- their tensors --------------------------------------------------- */

static char *beside(const char *path, const char *name)
{
    const char *slash = strrchr(path, '/');
    pcv_buf b = {0};

    if (slash)
        pcv_buf_add(&b, path, (size_t)(slash - path) + 1);
    pcv_buf_puts(&b, name);
    return b.failed ? NULL : b.data;
}

/* Does the map know each tensor of the shard, as that file's? */
static int check_shard(const pcv_json *map, const pcv_tensors *shard,
                       const char *name, const char *path)
{
    for (size_t i = 0; i < shard->count; i++) {
        const char *tensor = shard->tensor[i].name;
        const pcv_json *file = pcv_json_get(map, tensor);

        if (!file)
            return pcv_refuse_text(path, tensor, "is not in the index but in",
                                   name, "");
        if (strcmp(pcv_json_string(file), name))
            return pcv_refuse_text(path, tensor, "is in another file than the "
                                   "index says, in", name, "");
    }
    return 0;
}

static int open_shards(pcv_tensors *t, const pcv_json *map,
                       const char *const *name, size_t count,
                       const char *path)
{
    t->shard = pcv_alloc(count, sizeof *t->shard);
    if (!t->shard)
        return -1;
    for (size_t i = 0; i < count; i++) {
        char *file = beside(path, name[i]);
        int status = file ? pcv_shard_open(&t->shard[i], file) : -1;

        pcv_free(file);
        if (status < 0)
            return -1;
        t->shards++;
        if (check_shard(map, &t->shard[i], name[i], path) < 0)
            return -1;
    }
    return 0;
}

/* The tensors pass from the shards to t; their data stay where they are. */
static int gather(pcv_tensors *t)
{
    size_t n = 0;

    for (size_t i = 0; i < t->shards; i++)
        n += t->shard[i].count;
    if (pcv_tensors_room(t, n) < 0)
        return -1;
    for (size_t i = 0; i < t->shards; i++) {
        pcv_tensors *s = &t->shard[i];

        if (s->count)
            memcpy(t->tensor + t->count, s->tensor,
                   s->count * sizeof *s->tensor);
        t->count += s->count;
        s->count = 0;
    }
    return 0;
}

static int by_name(const void *a, const void *b)
{
    return strcmp((*(const pcv_tensor *const *)a)->name,
                  (*(const pcv_tensor *const *)b)->name);
}

/* There are more tensors in the map than in the shards: names one. */
static int refuse_missing(const pcv_tensors *t, const pcv_json *map,
                          const char *path)
{
    const pcv_tensor **sorted = pcv_alloc(t->count, sizeof *sorted);

    for (size_t i = 0; sorted && i < t->count; i++)
        sorted[i] = &t->tensor[i];
    if (sorted)
        qsort(sorted, t->count, sizeof *sorted, by_name);
    for (size_t i = 0; sorted && i < pcv_json_count(map); i++) {
        pcv_tensor one = { .name = (char *)(uintptr_t)pcv_json_key(map, i) };
        const pcv_tensor *key = &one;

        if (!bsearch(&key, sorted, t->count, sizeof *sorted, by_name)) {
            pcv_refuse_text(path, one.name, "is not in",
                            pcv_json_string(pcv_json_value(map, i)),
                            ", where the index has it");
            break;
        }
    }
    pcv_free(sorted);
    return -1;
}

/* ---- the index ------------------------------------------------------- */

static int read_map(pcv_tensors *t, const pcv_json *map, const char *path)
{
    size_t shards = 0;
    const char **name;
    int status = -1;

    if (pcv_json_kind(map) != PCV_JOBJECT || pcv_json_count(map) == 0)
        return pcv_refuse(path, NULL, "JSON without weight_map, an object "
                          "with tensors: not an index of weights");
    if (pcv_json_count(map) > PCV_MAX_TENSORS)
        return pcv_refuse(path, NULL, "%zu tensors, want at most %d",
                          pcv_json_count(map), PCV_MAX_TENSORS);
    name = file_names(map, path, &shards);
    if (name && shards > MAX_SHARDS)
        pcv_refuse(path, NULL, "%zu files, want at most %d", shards,
                   MAX_SHARDS);
    else if (name && open_shards(t, map, name, shards, path) == 0)
        status = gather(t);
    pcv_free(name);
    if (status == 0 && t->count < pcv_json_count(map))
        status = refuse_missing(t, map, path);
    return status;
}

int pcv_shards_read(pcv_tensors *t, const pcv_file *index, const char *path)
{
    pcv_json *document;
    int status;

    if (index->size > MAX_INDEX)
        return pcv_refuse(path, NULL, "an index of %zu bytes, want at most "
                          "%d", index->size, MAX_INDEX);
    document = pcv_json_parse((const char *)index->data, index->size, path);
    if (!document)
        return -1;
    status = read_map(t, pcv_json_get(document, "weight_map"), path);
    pcv_json_close(document);
    return status;
}
