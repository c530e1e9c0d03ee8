/* labels.c - the names of classes, one a line of a file. */
#include "answer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t read_lines(FILE *f, char **line, size_t most)
{
    size_t n = 0, room = 0;
    char *text = NULL;
    ssize_t length;

    while ((length = getline(&text, &room, f)) >= 0) {
        while (length > 0 && strchr("\r\n", text[length - 1]))
            text[--length] = '\0';
        if (n < most && !(line[n] = strdup(text)))
            opt_fatal_memory();
        n++;
    }
    free(text);
    return n;
}

char **answer_labels(const char *path, size_t classes)
{
    char **label = calloc(classes, sizeof *label);
    FILE *f = fopen(path, "re");
    size_t n;

    if (!label)
        opt_fatal_memory();
    if (!f)
        opt_fatal(EX_NOINPUT, "%s: %s", opt_shown(path), strerror(errno));
    n = read_lines(f, label, classes);
    if (ferror(f))
        opt_fatal(EX_IOERR, "%s: %s", opt_shown(path), strerror(errno));
    fclose(f);
    if (n != classes)
        opt_fatal(EX_DATAERR, "%s: %zu labels, want %zu, one a line for each "
                  "class of the model", opt_shown(path), n, classes);
    return label;
}

void answer_free_labels(char **label, size_t classes)
{
    for (size_t i = 0; label && i < classes; i++)
        free(label[i]);
    free(label);
}
