/* config.c - config.json, read and written as loops over the table of spec.c.
 *
 * It holds Hugging Face's keys at its top level (so that what one of their
 * classes can hold, they can load) and the rest in the object "pcv", which has
 * an object "parts" where there are several modalities.  A file without "pcv"
 * is theirs alone: classes.c. */
#include "model.h"

#include <string.h>

static bool is_top(const pcv_row *r)
{
    return r->flags & PCV_ROW_TOP;
}

static bool is_number(const pcv_json *v)
{
    return pcv_json_kind(v) == PCV_JINT || pcv_json_kind(v) == PCV_JREAL;
}

static void show(pcv_buf *b, const pcv_json *v)
{
    static const char *const kind[] = {
        [PCV_JNULL] = "null", [PCV_JARRAY] = "a list",
        [PCV_JOBJECT] = "an object",
    };

    if (pcv_json_string(v)) {
        pcv_buf_puts(b, "\"");
        pcv_buf_escape(b, pcv_json_string(v));
        pcv_buf_puts(b, "\"");
    } else if (is_number(v)) {
        pcv_json_exact(b, pcv_json_real(v));
    } else if (pcv_json_kind(v) == PCV_JBOOL) {
        pcv_buf_puts(b, pcv_json_bool(v) ? "true" : "false");
    } else {
        pcv_buf_puts(b, kind[pcv_json_kind(v)]);
    }
}

static void show_wanted(pcv_buf *b, const pcv_row *r)
{
    if (r->type == PCV_ROW_BOOL)
        pcv_buf_puts(b, "true or false");
    else if (r->type == PCV_ROW_WORD)
        pcv_field_values(&r->field, b);
    else if (r->type == PCV_ROW_TEXT)
        pcv_buf_printf(b, "a text %s", r->field.values);
    else if (pcv_row_numbers(r) > 1)
        pcv_buf_printf(b, "a list of %d numbers from %.12g to %.12g",
                       pcv_row_numbers(r), r->min, r->max);
    else
        pcv_buf_printf(b, "a %snumber from %.12g to %.12g",
                       r->type == PCV_ROW_INT ? "whole " : "", r->min, r->max);
}

static int bad_key(const char *name, const pcv_row *r, const pcv_json *v)
{
    pcv_buf found = {0}, want = {0};

    show(&found, v);
    show_wanted(&want, r);
    pcv_error_clear();
    pcv_fail(EX_DATAERR, "%s: \"%s\" is %s, want %s", name, r->key,
             found.data ? found.data : "", want.data ? want.data : "");
    pcv_buf_free(&found);
    pcv_buf_free(&want);
    return -1;
}

/* Hugging Face has several names for the same activation.  One of ours is none
 * of them: the first row is how it is written. */
static const char *const same[][2] = {
    { "gelu_pytorch_tanh", "gelu_tanh" }, { "gelu_new", "gelu_tanh" },
    { "gelu_fast", "gelu_tanh" }, { "gelu_python", "gelu" },
    { "swish", "silu" },
};

static const char *our_word(const char *text)
{
    for (size_t i = 0; i < PCV_LEN(same); i++)
        if (!strcmp(text, same[i][0]))
            return same[i][1];
    return text;
}

static const char *their_word(const char *text)
{
    return strcmp(text, same[0][1]) ? text : same[0][0];
}

static int parse_field(pcv_spec *s, const pcv_row *r, const pcv_json *v,
                       const char *name)
{
    if (pcv_json_kind(v) == PCV_JNULL)
        return 0;               /* Hugging Face's "unset": the default */
    if (r->type == PCV_ROW_WORD) {
        const char *text = pcv_json_string(v);

        if (!text || pcv_spec_set(s, r->field.name, our_word(text)) < 0)
            return bad_key(name, r, v);
    } else if (r->type == PCV_ROW_TEXT) {
        const char *text = pcv_json_string(v);

        if (!text || pcv_spec_set(s, r->field.name, text) < 0)
            return bad_key(name, r, v);
    } else if (r->type == PCV_ROW_BOOL) {
        if (pcv_json_kind(v) != PCV_JBOOL)
            return bad_key(name, r, v);
        *pcv_row_int(s, r) = pcv_json_bool(v);
    } else if (pcv_row_numbers(r) > 1) {
        int n = (int)pcv_json_count(v);

        if (pcv_json_kind(v) != PCV_JARRAY || n != pcv_row_numbers(r))
            return bad_key(name, r, v);
        for (int k = 0; k < n; k++)
            if (!is_number(pcv_json_at(v, (size_t)k)) ||
                pcv_row_number(s, r, k,
                           pcv_json_real(pcv_json_at(v, (size_t)k))) < 0)
                return bad_key(name, r, v);
    } else if (!is_number(v) || pcv_row_number(s, r, 0, pcv_json_real(v)) < 0) {
        return bad_key(name, r, v);
    }
    return 0;
}

/* "id2label": {"0": name, ..}: as many as outputs, each number once. */
static int parse_labels(pcv_spec *s, const pcv_json *map, const char *name)
{
    size_t n = pcv_json_count(map);
    const char **label;
    int r = -1;

    if (n != (size_t)s->outputs)
        return pcv_fail(EX_DATAERR, "%s: %zu labels in \"id2label\", want %d",
                        name, n, s->outputs);
    if (!(label = pcv_alloc(n, sizeof *label)))
        return -1;
    for (size_t i = 0; i < n; i++) {
        pcv_buf key = {0};

        pcv_buf_printf(&key, "%zu", i);
        label[i] = key.data ? pcv_json_string(pcv_json_get(map, key.data))
                            : NULL;
        pcv_buf_free(&key);
        if (!label[i]) {
            pcv_fail(EX_DATAERR, "%s: \"id2label\" has no name for %zu", name,
                     i);
            goto done;
        }
    }
    r = pcv_spec_set_labels(s, label, (int)n);
done:
    pcv_free(label);
    return r;
}

static bool has_labels(const pcv_spec *s)
{
    return (s->task == PCV_CLASSIFY || s->task == PCV_TAGS) && s->outputs > 0;
}

int pcv_spec_parse_labels(pcv_spec *s, const pcv_json *top, const char *name)
{
    const pcv_json *map = pcv_json_get(top, "id2label");
    bool have = pcv_json_kind(map) != PCV_JNULL;

    for (int i = 0; have && i < pcv_spec_count(s); i++) {
        pcv_spec *p = s->parts ? &s->part[i] : s;

        if (has_labels(p) && !p->label && parse_labels(p, map, name) < 0)
            return -1;
    }
    return 0;
}

int pcv_spec_parse_top(pcv_spec *s, const pcv_json *top, const char *name)
{
    const pcv_row *r;

    for (int i = 0; (r = pcv_spec_row(i)); i++) {
        const pcv_json *v = is_top(r) ? pcv_json_get(top, r->key) : NULL;

        if (v && parse_field(s, r, v, name) < 0)
            return -1;
    }
    return 0;
}

/* The fields of object v, all of them where there is no other place. */
static int parse_object(pcv_spec *s, const pcv_json *v, bool all,
                        const char *name)
{
    const pcv_row *r;

    for (int i = 0; (r = pcv_spec_row(i)); i++) {
        const pcv_json *f = all || !is_top(r) ? pcv_json_get(v, r->key) : NULL;

        if (f && parse_field(s, r, f, name) < 0)
            return -1;
    }
    if (s->outputs < 1 && !all && s->prep.modality != PCV_PARTS)
        return pcv_fail(EX_DATAERR, "%s: \"outputs\" is missing", name);
    return 0;
}

/* "parts": {NAME: {..}, ..}; labels stand in a part where several have some. */
static int parse_part(pcv_spec *p, const pcv_json *v, const char *name)
{
    if (!p || parse_object(p, v, true, name) < 0)
        return -1;
    if (p->prep.modality == PCV_PARTS)
        return pcv_fail(EX_DATAERR, "%s: a part has \"modality\" parts", name);
    return pcv_json_kind(pcv_json_get(v, "id2label")) == PCV_JNULL ? 0
           : parse_labels(p, pcv_json_get(v, "id2label"), name);
}

static int parse_parts(pcv_spec *s, const pcv_json *parts, const char *name)
{
    pcv_json_type kind = pcv_json_kind(parts);

    if (kind != PCV_JNULL && kind != PCV_JOBJECT)
        return pcv_fail(EX_DATAERR, "%s: \"parts\" is no object, want "
                        "{\"name\": {settings}, ..}", name);
    if (pcv_json_count(parts) > PCV_MOST_PARTS)
        return pcv_fail(EX_DATAERR, "%s: %zu \"parts\", want at most %d", name,
                        pcv_json_count(parts), PCV_MOST_PARTS);
    for (size_t i = 0; i < pcv_json_count(parts); i++) {
        const char *key = pcv_json_key(parts, i);
        const pcv_json *v = pcv_json_value(parts, i);

        if (pcv_json_kind(v) != PCV_JOBJECT)
            return pcv_fail(EX_DATAERR, "%s: part \"%s\" is no object, want "
                            "its settings", name, key);
        if (parse_part(pcv_spec_add_part(s, key), v, name) < 0)
            return -1;
    }
    return 0;
}

static int parse_ours(pcv_spec *s, const pcv_json *top, const char *name)
{
    const pcv_json *pcv = pcv_json_get(top, "pcv");

    pcv_spec_default(s);
    if (pcv_spec_parse_top(s, top, name) < 0 ||
        parse_object(s, pcv, false, name) < 0 ||
        parse_parts(s, pcv_json_get(pcv, "parts"), name) < 0)
        return -1;
    return pcv_spec_parse_labels(s, top, name);
}

int pcv_spec_parse(pcv_spec *s, const char *text, size_t n, const char *name)
{
    pcv_json *top = pcv_json_parse(text, n, name);
    bool ours;
    int r;

    memset(s, 0, sizeof *s);
    if (!top)
        return -1;
    ours = pcv_json_kind(pcv_json_get(top, "pcv")) == PCV_JOBJECT;
    r = ours ? parse_ours(s, top, name) : pcv_class_parse(s, top, name);
    pcv_json_close(top);
    if (r < 0)
        pcv_spec_free(s);
    return r;
}

static void write_string(pcv_buf *b, const char *s)
{
    pcv_buf_puts(b, "\"");
    pcv_buf_json(b, s, strlen(s));
    pcv_buf_puts(b, "\"");
}

static void write_field(const pcv_spec *s, const pcv_row *r, pcv_buf *b)
{
    pcv_buf value = {0};

    pcv_buf_printf(b, "%s\"%s\": ", is_top(r) ? "  " : "    ", r->key);
    pcv_spec_get(s, r->field.name, &value);
    if (!value.data)
        b->failed = true;
    else if (r->type == PCV_ROW_WORD)
        write_string(b, is_top(r) ? their_word(value.data) : value.data);
    else if (r->type == PCV_ROW_TEXT)
        write_string(b, value.data);
    else if (r->type == PCV_ROW_BOOL)
        pcv_buf_puts(b, value.data[0] == 'y' ? "true" : "false");
    else if (pcv_row_numbers(r) > 1)
        pcv_buf_printf(b, "[%s]", value.data);
    else if (is_top(r) && r->standard <= 0 && !strcmp(value.data, "0"))
        pcv_buf_puts(b, "null");        /* as Hugging Face says "unset" */
    else
        pcv_buf_puts(b, value.data);
    pcv_buf_free(&value);
}

/* Does an earlier label look the same in JSON?  Bytes that are not UTF-8 do,
 * and no key may stand there twice. */
static bool stands_before(const pcv_buf *name, int i)
{
    for (int k = 0; k < i; k++)
        if (!strcmp(name[k].data, name[i].data))
            return true;
    return false;
}

static void write_by_number(const pcv_buf *name, int n, pcv_buf *b)
{
    pcv_buf_puts(b, "  \"id2label\": {");
    for (int i = 0; i < n; i++)
        pcv_buf_printf(b, "%s\n    \"%d\": %s", i ? "," : "", i,
                       name[i].data);
    pcv_buf_puts(b, "\n  }");
}

static void write_by_name(const pcv_buf *name, int n, pcv_buf *b)
{
    pcv_buf_puts(b, ",\n  \"label2id\": {");
    for (int i = 0; i < n; i++)
        if (!stands_before(name, i))
            pcv_buf_printf(b, "%s\n    %s: %d", i ? "," : "", name[i].data, i);
    pcv_buf_puts(b, "\n  },\n");
}

static void write_labels(const pcv_spec *s, bool top, pcv_buf *b)
{
    pcv_buf *name = pcv_alloc((size_t)s->outputs, sizeof *name);
    bool failed = !name;

    for (int i = 0; !failed && i < s->outputs; i++) {
        write_string(&name[i], s->label[i]);
        failed = name[i].failed;
    }
    b->failed = b->failed || failed;
    if (!failed)
        write_by_number(name, s->outputs, b);
    if (!failed && top)
        write_by_name(name, s->outputs, b);
    for (int i = 0; name && i < s->outputs; i++)
        pcv_buf_free(&name[i]);
    pcv_free(name);
}

/* The labels stand at the top, where Hugging Face has them, unless there are
 * several sets. */
static bool labels_on_top(const pcv_spec *s)
{
    int sets = 0;

    for (int i = 0; i < pcv_spec_count(s); i++)
        sets += pcv_spec_part(s, i)->label != NULL;
    return sets == 1;
}

static bool is_default(const pcv_spec *s, const pcv_row *r)
{
    pcv_spec standard;

    pcv_spec_default(&standard);
    return pcv_row_same(r, s, &standard);
}

/* The fields of a part that differ from the defaults. */
static void write_part(const pcv_spec *s, bool labels, pcv_buf *b)
{
    const pcv_row *r;
    bool first = true;

    for (int i = 0; (r = pcv_spec_row(i)); i++)
        if (!is_default(s, r)) {
            pcv_buf_puts(b, first ? "\n    " : ",\n    ");
            write_field(s, r, b);
            first = false;
        }
    if (labels && s->label) {
        pcv_buf_puts(b, first ? "\n" : ",\n");
        write_labels(s, false, b);
    }
}

static void write_parts(const pcv_spec *s, pcv_buf *b)
{
    for (int i = 0; i < s->parts; i++) {
        pcv_buf_puts(b, i ? ",\n      " : ",\n    \"parts\": {\n      ");
        write_string(b, s->part_name[i]);
        pcv_buf_puts(b, ": {");
        write_part(&s->part[i], !labels_on_top(s), b);
        pcv_buf_puts(b, "\n      }");
    }
    if (s->parts)
        pcv_buf_puts(b, "\n    }");
}

/* What few models have is written only where it matters. */
static bool is_written(const pcv_spec *s, const pcv_row *r)
{
    return !(r->flags & (PCV_ROW_GIVEN | PCV_ROW_RARE)) || !is_default(s, r);
}

static void write_top(const pcv_spec *s, pcv_buf *b)
{
    const pcv_row *r;

    for (int i = 0; (r = pcv_spec_row(i)); i++)
        if (is_top(r) && is_written(s, r)) {
            write_field(s, r, b);
            pcv_buf_puts(b, ",\n");
        }
    for (int i = 0; labels_on_top(s) && i < pcv_spec_count(s); i++)
        if (pcv_spec_part(s, i)->label)
            write_labels(pcv_spec_part(s, i), true, b);
}

void pcv_spec_write(const pcv_spec *s, pcv_buf *b)
{
    const pcv_row *r;
    bool first = true;

    pcv_buf_puts(b, "{\n  \"model_type\": \"perceiver\",\n");
    pcv_class_write(s, b);
    write_top(s, b);
    pcv_buf_puts(b, "  \"pcv\": {");
    for (int i = 0; (r = pcv_spec_row(i)); i++)
        if (!is_top(r) && is_written(s, r)) {
            pcv_buf_puts(b, first ? "\n" : ",\n");
            write_field(s, r, b);
            first = false;
        }
    write_parts(s, b);
    pcv_buf_puts(b, "\n  }\n}\n");
}
