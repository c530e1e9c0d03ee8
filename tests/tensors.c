/* tensors.c - arrays for the shell tests: a program of the tests, not of pcv.
 *
 *     tensors compare HAVE WANT TOLERANCE [--absolute] [--rows=ROWS]
 *         writes how far HAVE is from WANT; fails above TOLERANCE, and when
 *         they differ in the number of values or hold one that is not finite.
 *         Of HAVE only the rows that the array ROWS numbers, if there is one
 *     tensors items CASE
 *         writes how many examples a case.safetensors has
 *     tensors item CASE K FILE [INPUT]
 *         what the programs take of example K
 *     tensors torch WEIGHTS FILE
 *         weights as torch.save writes them
 *
 * An array is FILE.npy or FILE.safetensors:TENSOR. */
#include "case_help.h"

#include <stdlib.h>
#include <string.h>

static int fail(void)
{
    fprintf(stderr, "tensors: %s\n", pcv_error());
    return 1;
}

/* NULL when there is none, which is said. */
static pcv_values *array(const char *name)
{
    char *path = pcv_strdup(name);
    char *tensor = path ? strrchr(path, ':') : NULL;
    pcv_values *v = NULL;

    if (tensor)
        *tensor++ = '\0';
    if (path && !(v = pcv_values_read(path, tensor)))
        fail();
    pcv_free(path);
    return v;
}

static int compare(int argc, char **argv)
{
    const char *mark = "--rows=";
    pcv_values *a = array(argv[0]), *b = array(argv[1]), *rows;
    bool absolute = false;
    double e;

    for (int i = 3; i < argc; i++)
        if (strcmp(argv[i], "--absolute") == 0)
            absolute = true;
        else if (a && strncmp(argv[i], mark, strlen(mark)) == 0 &&
                 (rows = array(argv[i] + strlen(mark)))) {
            a = case_rows(a, rows);
            pcv_values_free(rows);
        }
    if (!a || !b)
        return 1;
    if (a->count != b->count) {
        fprintf(stderr, "%s: %zu values, want %zu\n", argv[0], a->count,
                b->count);
        return 1;
    }
    e = case_difference(a->data, b->data, b->count, absolute);
    printf("%.2g\n", e);
    pcv_values_free(a);
    pcv_values_free(b);
    return e <= strtod(argv[2], NULL) ? 0 : 1;
}

static int on_tensors(const char *what, int argc, char **argv)
{
    pcv_tensors t;
    const pcv_tensor *latents;
    int r = 0;

    if (pcv_tensors_open(&t, argv[0]) < 0)
        return fail();
    latents = pcv_tensors_find(&t, "latents");
    if (strcmp(what, "items") == 0)
        printf("%zu\n", latents ? latents->dim[0] : 0);
    else if (strcmp(what, "item") == 0)
        r = case_write(&t, argc > 3 ? argv[3] : NULL, atoi(argv[1]), argv[2]);
    else
        r = case_torch(&t, argv[1]);
    pcv_tensors_close(&t);
    return r < 0 ? fail() : 0;
}

int main(int argc, char **argv)
{
    static const struct { const char *name; int least; } commands[] = {
        { "compare", 3 }, { "items", 1 }, { "item", 3 }, { "torch", 2 },
    };

    for (size_t i = 0; argc > 1 && i < PCV_LEN(commands); i++)
        if (strcmp(argv[1], commands[i].name) == 0 &&
            argc - 2 >= commands[i].least)
            return i == 0 ? compare(argc - 2, argv + 2)
                          : on_tensors(argv[1], argc - 2, argv + 2);
    fputs("usage: tensors compare|items|item|torch ..\n", stderr);
    return 64;
}
