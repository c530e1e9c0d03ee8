/* stem.c - the kinds of stem, one row each.  The first that serves a spec
 * makes its rows. */
#include "tokens.h"

static const pcv_stem_kind *const kinds[] = {
    &pcv_stem_text, &pcv_stem_points, &pcv_stem_learned, &pcv_stem_grid,
    &pcv_stem_parts,
};

int pcv_stem_init(pcv_stem *s, pcv_params *p, const pcv_stem_spec *spec)
{
    *s = (pcv_stem){ .spec = *spec };
    for (size_t i = 0; i < PCV_LEN(kinds); i++)
        if (kinds[i]->serves(spec)) {
            s->kind = kinds[i];
            return s->kind->init(s, p);
        }
    return pcv_fail(EX_DATAERR, "no input of modality %d with position code %d",
                    spec->modality, spec->position);
}

void pcv_stem_free(pcv_stem *s)
{
    for (int i = 0; s->part && i < s->spec.parts; i++)
        pcv_stem_free(&s->part[i]);
    pcv_free(s->part);
    *s = (pcv_stem){0};
}

int pcv_stem_elements(const pcv_stem *s)
{
    int n = s->part ? 0 : 1, axes = s->made ? s->made->axes : 1;

    for (int i = 0; s->part && i < s->spec.parts; i++)
        n += pcv_stem_elements(&s->part[i]);
    for (int a = 0; !s->part && a < axes; a++)
        n *= s->spec.size[a];
    return n;
}

int pcv_batch_bind(pcv_batch *b, const pcv_stem *s, const pcv_array *const *x,
                   int items)
{
    b->stem = s;
    if (s->kind->bind(b, x, items) < 0)
        return -1;
    b->tokens.items = items;
    b->tokens.c = s->c;
    b->tokens.self = b;
    return s->spec.permute ? pcv_batch_permute(b, s->spec.permute) : 0;
}

void pcv_batch_free(pcv_batch *b)
{
    for (int i = 0; b->part && i < b->stem->spec.parts; i++)
        pcv_batch_free(&b->part[i]);
    pcv_free(b->part);
    pcv_free(b->segments);
    pcv_free(b->dk);
    pcv_free(b->order);
    pcv_free(b->moved);
    pcv_free(b->input);
    pcv_free(b->copy);
    pcv_free(b->work);
    pcv_free(b->table);
    pcv_free(b->turn);
    pcv_free(b->ids);
    pcv_free(b->mask);
    for (int a = 0; a < 3; a++) {
        pcv_free(b->axis[a]);
        pcv_free(b->channel[a]);
    }
    *b = (pcv_batch){0};
}
