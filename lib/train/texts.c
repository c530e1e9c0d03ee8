/* texts.c - augmentation of texts, I32 [ids]: where they begin among the
 * positions, and bytes that are not told. */
#include "augment.h"

#include <string.h>

/* [PAD]s come before the text, which attention passes over. */
int pcv_indent_text(const pcv_change *c, pcv_array *x)
{
    const int n = (int)x->dim[0], room = c->prep->length - n;
    const int most = c->run->indent < room ? c->run->indent : room;
    const size_t d = most > 0 ? (size_t)pcv_draw_int(c, 0, 0, most) : 0;
    int32_t *out = pcv_alloc(x->dim[0] + d, sizeof *out);

    if (!out)
        return -1;
    memcpy(out + d, x->data, x->dim[0] * sizeof *out);
    pcv_free(x->data);
    x->data = out;
    x->dim[0] += d;
    return 0;
}

int pcv_hide_text(const pcv_change *c, pcv_array *x)
{
    int32_t *id = x->data;

    for (size_t i = 0; i < x->dim[0]; i++)
        if (id[i] >= PCV_FIRST_BYTE && pcv_draw(c, i) < c->run->hide)
            id[i] = PCV_MASK;
    return 0;
}
