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

/* ---- a checkpoint ---------------------------------------------------- */

static void add_changed(const pcv_trainer *t, const pcv_trainer *usual,
                        const char *name, pcv_bytes *b)
{
    char *value = pcv_trainer_get(t, name);
    char *standard = pcv_trainer_get(usual, name);

    if (strcmp(value ? value : "", standard ? standard : ""))
        pcv_bytes_printf(b, "%s=%s\n", name, value ? value : "");
    free(value);
    free(standard);
}

char *settings_changed(const char *dir)
{
    pcv_trainer *t = pcv_trainer_new(), *usual = pcv_trainer_new();
    const pcv_setting *s;
    pcv_bytes b = {0};

    if (!t || !usual)
        opt_fatal_memory();
    if (pcv_trainer_resume(t, dir) > 0) {
        pcv_bytes_printf(&b, "%s", "");
        for (size_t i = 0; (s = pcv_setting_at(i)) != NULL; i++)
            add_changed(t, usual, s->name, &b);
        if (b.failed)
            opt_fatal_memory();
    }
    pcv_trainer_free(t);
    pcv_trainer_free(usual);
    pcv_error_clear();
    return b.data;
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

void settings_presets(FILE *out)
{
    const char *name, *help;

    for (size_t i = 0; (name = pcv_preset_at(i, &help)) != NULL; i++)
        fprintf(out, "%-8s%s\n", name, help);
}
