/* labels.c - how answers are to be written: the options of OPT_ANSWER, the
 * names of classes, one a line of a file. */
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

static char **read_labels(const char *path, size_t classes)
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

void answer_open(answer_style *s, const pcv_model *m, const opt *o)
{
    *s = (answer_style){ .model = m, .classes = pcv_model_outputs(m),
                         .logits = o->logits,
                         .tags = pcv_model_answer(m, pcv_model_main(m)).tags };
    s->top = o->all ? s->classes : o->top;
    if (o->labels)
        s->label = read_labels(o->labels, s->classes);
}

void answer_close(answer_style *s)
{
    for (size_t i = 0; s->label && i < s->classes; i++)
        free(s->label[i]);
    free(s->label);
}
