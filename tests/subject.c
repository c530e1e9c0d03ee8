/* subject.c - see subject.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "subject.h"

void subject_open(subject *s, const char *dir)
{
    *s = (subject){ .name = dir };
    s->m = pcv_model_open(dir);
    s->w = s->m ? pcv_worker_new(s->m) : NULL;
    if (!s->w)
        fail_msg("%s", pcv_error());
}

static void drop(subject *s)
{
    pcv_entry_free(s->e);
    pcv_stream_close(s->stream);
    s->e = NULL;
    s->stream = NULL;
}

void subject_load(subject *s, const char *path)
{
    pcv_inputs in = { .path = &path, .paths = 1 };

    drop(s);
    s->stream = pcv_stream_open(s->m, &in);
    if (!s->stream || pcv_stream_next(s->stream, &s->e) != 1 ||
        pcv_entry_load(s->stream, s->e) < 0)
        fail_msg("%s: %s", s->name, pcv_error());
}

void subject_close(subject *s)
{
    drop(s);
    pcv_worker_free(s->w);
    pcv_model_close(s->m);
}
