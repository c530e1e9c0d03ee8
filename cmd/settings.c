/* settings.c - settings of a training run as text, see settings.h. */
#include "settings.h"
#include "opt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- a file ---------------------------------------------------------- */

static _Noreturn void bad_line(const char *file, size_t line, const char *why)
{
    opt_fatal(EX_CONFIG, "%s:%zu: %s", opt_shown(file), line, why);
}

/* Without the blanks at both ends. */
static char *trim(char *s)
{
    size_t n;

    s += strspn(s, " \t\r\n");
    n = strlen(s);
    while (n > 0 && strchr(" \t\r\n", s[n - 1]))
        s[--n] = '\0';
    return s;
}

static void take_line(pcv_trainer *t, const char *file, size_t line,
                      char *text)
{
    char *key = trim(text), *equals = strchr(key, '=');

    if (*key == '\0' || *key == '#')
        return;
    if (!equals)
        bad_line(file, line, "want key = value");
    *equals = '\0';
    if (pcv_trainer_set(t, trim(key), trim(equals + 1)) < 0)
        bad_line(file, line, pcv_error());
}

void settings_of_file(pcv_trainer *t, const char *file)
{
    FILE *f = fopen(file, "re");
    char *text = NULL;
    size_t room = 0;

    if (!f)
        opt_fatal(EX_NOINPUT, "%s: %s", opt_shown(file), strerror(errno));
    for (size_t line = 1; getline(&text, &room, f) >= 0; line++)
        take_line(t, file, line, text);
    if (ferror(f))
        opt_fatal(EX_IOERR, "%s: %s", opt_shown(file), strerror(errno));
    free(text);
    fclose(f);
}

/* ---- and back -------------------------------------------------------- */

void settings_print(const pcv_trainer *t, FILE *out)
{
    const pcv_setting *s;

    for (size_t i = 0; (s = pcv_setting_at(i)) != NULL; i++) {
        char *value = pcv_trainer_get(t, s->name);

        if (!value && pcv_error_code())
            opt_fatal_pcv();
        fprintf(out, "%s = %s\n", s->name, value ? value : "");
        free(value);
    }
}
