/* view.c - which elements of its storage a tensor of a pickle is: offset, sizes
 * and strides, which a file can give at will. */
#include "parts.h"

/* Elements, 0 where one axis is; false: too many to address. */
static bool count_elements(pcv_view *w)
{
    w->count = 1;
    for (int k = 0; k < w->rank; k++)
        if (w->dim[k] == 0)
            w->count = 0;
    for (int k = 0; k < w->rank && w->count; k++)
        if (!pcv_mul(w->count, w->dim[k], &w->count))
            return false;
    return true;
}

/* Where the last element is, behind all others; false: beyond any address. */
static bool find_end(const pcv_view *w, size_t *end)
{
    size_t step;

    *end = w->offset;
    for (int k = 0; k < w->rank && w->count; k++)
        if (!pcv_mul(w->dim[k] - 1, w->stride[k], &step) ||
            !pcv_add(*end, step, end))
            return false;
    return true;
}

/* The axis of the smallest stride of those that are not done (and longer than
 * 1); -1: none. */
static int next_axis(const pcv_view *w, unsigned done)
{
    int least = -1;

    for (int k = 0; k < w->rank; k++)
        if (w->dim[k] > 1 && !(done >> k & 1) &&
            (least < 0 || w->stride[k] < w->stride[least]))
            least = k;
    return least;
}

/* From the smallest stride up, each must reach beyond all elements that those
 * before it reach. */
static bool check_overlap(const pcv_view *w, pcv_buf *why)
{
    size_t reach = 0;
    unsigned done = 0;

    for (int k; w->count && (k = next_axis(w, done)) >= 0; done |= 1u << k) {
        if (w->stride[k] == 0)
            pcv_buf_printf(why, " expanded along axis %d (stride 0): save a "
                           "copy (.contiguous())", k);
        else if (w->stride[k] <= reach)
            pcv_buf_printf(why, " whose elements overlap: stride %zu of axis "
                           "%d reaches what others reach", w->stride[k], k);
        if (w->stride[k] <= reach)
            return false;
        reach += (w->dim[k] - 1) * w->stride[k];
    }
    return true;
}

int pcv_view_check(pcv_view *w, const pcv_storage *s, pcv_buf *why)
{
    size_t end = 0;

    if (!count_elements(w)) {
        pcv_buf_puts(why, " with a shape too large to address");
        return -1;
    }
    if (!find_end(w, &end)) {
        pcv_buf_puts(why, " with strides too large to address");
        return -1;
    }
    if (w->count ? end >= s->count : end > s->count) {
        pcv_buf_printf(why, "'s last element is number %zu of its storage, "
                       "which has %zu", end, s->count);
        return -1;
    }
    return check_overlap(w, why) ? 0 : -1;
}
