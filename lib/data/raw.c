/* raw.c - headerless arrays, described by the caller as DTYPE:SHAPE, such as
 * u8:28x28, f32:3x224x224, s16be:16000.  Low byte first unless the type ends
 * in be; the last axis is the fastest.  The file holds exactly one. */
#include "parts.h"

#include <string.h>

static const struct {
    const char *name;
    pcv_dtype dtype;
} types[] = {
    {"u8", PCV_U8}, {"u16", PCV_U16}, {"u32", PCV_U32}, {"u64", PCV_U64},
    {"i8", PCV_I8}, {"i16", PCV_I16}, {"i32", PCV_I32}, {"i64", PCV_I64},
    {"s8", PCV_I8}, {"s16", PCV_I16}, {"s32", PCV_I32}, {"s64", PCV_I64},
    {"f16", PCV_F16}, {"bf16", PCV_BF16}, {"f32", PCV_F32}, {"f64", PCV_F64},
    {"bool", PCV_BOOL},
};

/* Returns what follows the type, or NULL. */
static const char *parse_type(const char *s, pcv_layout *l)
{
    for (size_t i = 0; i < PCV_LEN(types); i++) {
        size_t n = strlen(types[i].name);
        const char *rest = s + n;

        if (strncmp(s, types[i].name, n) != 0)
            continue;
        l->big = strncmp(rest, "be", 2) == 0;
        if (l->big || strncmp(rest, "le", 2) == 0)
            rest += 2;
        l->dtype = types[i].dtype;
        if (*rest == ':')
            return rest + 1;
    }
    return NULL;
}

static bool parse_shape(const char *s, pcv_layout *l)
{
    for (l->rank = 0; l->rank < PCV_MAX_RANK; s++) {
        size_t *dim = &l->dim[l->rank++];

        for (; *s >= '0' && *s <= '9'; s++)
            if (!pcv_mul(*dim, 10, dim) ||
                !pcv_add(*dim, (size_t)(*s - '0'), dim))
                return false;
        if (*dim == 0 || (*s && *s != 'x'))
            return false;
        if (!*s)
            return true;
    }
    return false;
}

static int layout_of(const char *raw, pcv_layout *l)
{
    const char *shape = parse_type(raw, l);

    if (shape && parse_shape(shape, l))
        return 0;
    return pcv_fail(EX_USAGE, "'%s' is no raw array: want DTYPE:SHAPE such as "
                    "u8:28x28 or f32:3x224x224, the type u8 to u64, i8 to "
                    "i64, f16, bf16, f32, f64 or bool, with be for high byte "
                    "first", raw);
}

int pcv_raw_check(const char *raw)
{
    pcv_layout l = {0};

    return layout_of(raw, &l);
}

static int raw_read(const unsigned char *data, size_t n, const char *name,
                    const pcv_reading *how, pcv_media *out, size_t *used)
{
    pcv_layout l = {0};

    *used = n;
    if (layout_of(how->raw, &l) < 0 ||
        pcv_layout_check(&l, n, name, "raw array") < 0)
        return -1;
    return pcv_layout_read(&l, data, out);
}

const pcv_format pcv_format_raw = {"raw array", NULL, raw_read,
                                    PCV_MEDIA_ARRAY};
