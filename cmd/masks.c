/* masks.c - what stands in the [MASK]s of a text.  The network answers for
 * every place of it; only the places of the masks are asked for. */
#include "masks.h"
#include "json.h"

#include <stdlib.h>
#include <string.h>

/* ---- asking ---------------------------------------------------------- */

static int ask(masks *m, pcv_worker *w, size_t which, const pcv_entry *e)
{
    int *query = calloc(m->n, sizeof *query);

    m->offset = calloc(m->n, sizeof *m->offset);
    if (query && m->offset && pcv_worker_read(w, e) == 0) {
        pcv_text_masks(m->ids, query, m->offset);
        m->logits = pcv_ask(w, which, query, m->n);
    }
    free(query);
    return m->logits ? 0 : -1;
}

int masks_ask(masks *m, pcv_worker *w, size_t which, const pcv_entry *e)
{
    *m = (masks){.name = pcv_entry_name(e), .ids = pcv_entry_values(e)};
    if (!m->ids)
        return -1;
    m->n = pcv_text_masks(m->ids, NULL, NULL);
    return m->n ? ask(m, w, which, e) : 0;
}

void masks_free(masks *m)
{
    pcv_values_free(m->ids);
    pcv_values_free(m->logits);
    free(m->offset);
}

/* Tokens for mask i, the best one first; NULL and out->failed. */
static ranked *tokens(const masks *m, size_t i, pcv_bytes *out)
{
    size_t n = m->logits->dim[1];

    return answer_rank(out, m->logits->data + i * n, n, false);
}

/* ---- the text -------------------------------------------------------- */

void masks_text(const masks *m, pcv_bytes *out)
{
    int *fill = calloc(m->n + 1, sizeof *fill);

    out->failed |= !fill;
    for (size_t i = 0; fill && i < m->n; i++) {
        ranked *r = tokens(m, i, out);

        fill[i] = r ? (int)r->index : 0;
        free(r);
    }
    if (fill)
        pcv_text_fill(out, m->ids, fill);
    free(fill);
    if (!out->failed && (!out->len || out->data[out->len - 1] != '\n'))
        pcv_bytes_add(out, "\n", 1);
}

/* ---- the tokens ------------------------------------------------------ */

/* As paths are written; a NUL, which no path holds, alike. */
static void add_token(pcv_bytes *b, size_t id)
{
    pcv_bytes text = {0};

    pcv_token_text(&text, (int)id);
    pcv_bytes_add(&text, "", 1);
    if (text.len == 2 && !text.data[0])
        pcv_bytes_printf(b, "\\000");
    else if (text.len)
        pcv_bytes_escape(b, text.data);
    b->failed |= text.failed;
    pcv_bytes_free(&text);
}

static void tsv_line(pcv_bytes *b, const masks *m, const answer_style *s,
                     size_t i, size_t place, const ranked *r)
{
    pcv_bytes_escape(b, m->name);
    pcv_bytes_printf(b, "\t%zu\t%zu\t", m->offset[i], place);
    if (s->logits)
        pcv_bytes_printf(b, "%.9g", (double)r->logit);
    else
        pcv_bytes_printf(b, "%.6f", r->probability);
    pcv_bytes_printf(b, "\t%zu\t", r->index);
    add_token(b, r->index);
    pcv_bytes_add(b, "\n", 1);
}

void masks_tsv(const masks *m, const answer_style *s, pcv_bytes *out)
{
    for (size_t i = 0; i < m->n; i++) {
        ranked *r = tokens(m, i, out);

        for (size_t k = 0; r && k < s->top && k < s->classes; k++)
            tsv_line(out, m, s, i, k + 1, &r[k]);
        free(r);
    }
}

static void json_token(pcv_bytes *b, const answer_style *s, const ranked *r)
{
    pcv_bytes text = {0};

    add_token(&text, r->index);
    pcv_bytes_add(&text, "", 1);
    b->failed |= text.failed;
    json_open(b, NULL, '{');
    json_count(b, "id", r->index);
    json_text(b, "byte", text.failed ? "" : text.data);
    if (s->logits)
        json_number(b, "logit", (double)r->logit);
    else
        json_number(b, "prob", r->probability);
    json_close(b, '}');
    pcv_bytes_free(&text);
}

void masks_json(const masks *m, const answer_style *s, pcv_bytes *out)
{
    answer_json_begin(out, m->name, m->index, true);
    json_open(out, "masks", '[');
    for (size_t i = 0; i < m->n; i++) {
        ranked *r = tokens(m, i, out);

        json_open(out, NULL, '{');
        json_count(out, "position", m->offset[i]);
        json_open(out, "top", '[');
        for (size_t k = 0; r && k < s->top && k < s->classes; k++)
            json_token(out, s, &r[k]);
        json_close(out, ']');
        json_close(out, '}');
        free(r);
    }
    json_close(out, ']');
    answer_json_end(out);
}
