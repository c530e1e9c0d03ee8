/* dtype.c - the element types of arrays in files and what they are worth.
 * Elements are little-endian at any alignment; they are put together byte
 * by byte, which compilers turn into one load on machines of that order.
 *
 *     F16   1 sign, 5 exponent (bias 15), 10 fraction
 *     BF16  the upper half of an F32
 */
#include "base.h"

#include <assert.h>
#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t size;
} type[PCV_DTYPES + 1] = {
    [PCV_F64] = {"F64", 8}, [PCV_F32] = {"F32", 4},
    [PCV_F16] = {"F16", 2}, [PCV_BF16] = {"BF16", 2},
    [PCV_I64] = {"I64", 8}, [PCV_I32] = {"I32", 4},
    [PCV_I16] = {"I16", 2}, [PCV_I8] = {"I8", 1},
    [PCV_U64] = {"U64", 8}, [PCV_U32] = {"U32", 4},
    [PCV_U16] = {"U16", 2}, [PCV_U8] = {"U8", 1},
    [PCV_BOOL] = {"BOOL", 1}, [PCV_STORED] = {"F32", 4},
};

size_t pcv_dtype_size(pcv_dtype t)
{
    return type[t].size;
}

const char *pcv_dtype_name(pcv_dtype t)
{
    return type[t].name;
}

int pcv_dtype_find(const char *name, pcv_dtype *t)
{
    for (int i = 0; i < PCV_DTYPES; i++)
        if (strcmp(name, type[i].name) == 0) {
            *t = (pcv_dtype)i;
            return 0;
        }
    return -1;
}

/* ---- one element ----------------------------------------------------- */

static uint16_t load16(const unsigned char *p)
{
    return (uint16_t)(p[0] | p[1] << 8);
}

static uint32_t load32(const unsigned char *p)
{
    return load16(p) | (uint32_t)load16(p + 2) << 16;
}

static uint64_t load64(const unsigned char *p)
{
    return load32(p) | (uint64_t)load32(p + 4) << 32;
}

static float float_of(uint32_t bits)
{
    float x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

static double double_of(uint64_t bits)
{
    double x;

    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Subnormals are fraction * 2^-24, exact in a float; infinities and NaNs
 * keep their fraction, so a NaN stays the NaN it was. */
static float half(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16;
    uint32_t exponent = h >> 10 & 0x1f;
    uint32_t fraction = h & 0x3ff;

    if (exponent == 0) {
        float tiny = (float)fraction * 0x1p-24f;
        return sign ? -tiny : tiny;
    }
    exponent = exponent == 31 ? 255 : exponent + (127 - 15);
    return float_of(sign | exponent << 23 | fraction << 13);
}

static double one(pcv_dtype t, const unsigned char *p)
{
    switch (t) {
    case PCV_F64:  return double_of(load64(p));
    case PCV_F32:  return (double)float_of(load32(p));
    case PCV_F16:  return (double)half(load16(p));
    case PCV_BF16: return (double)float_of((uint32_t)load16(p) << 16);
    case PCV_I64:  return (double)(int64_t)load64(p);
    case PCV_I32:  return (double)(int32_t)load32(p);
    case PCV_I16:  return (double)(int16_t)load16(p);
    case PCV_I8:   return (double)(int8_t)*p;
    case PCV_U64:  return (double)load64(p);
    case PCV_U32:  return (double)load32(p);
    case PCV_U16:  return (double)load16(p);
    case PCV_U8:   return (double)*p;
    case PCV_BOOL: return *p ? 1 : 0;
    default:       return 0;
    }
}

/* 64-bit integers go to float directly: by way of double they would be
 * rounded twice. */
static float one_float(pcv_dtype t, const unsigned char *p)
{
    if (t == PCV_I64)
        return (float)(int64_t)load64(p);
    if (t == PCV_U64)
        return (float)load64(p);
    return (float)one(t, p);
}

/* ---- arrays ---------------------------------------------------------- */

/* The types of weights have loops of their own: a checkpoint is hundreds
 * of millions of them. */
void pcv_dtype_to_float(pcv_dtype t, const void *src, size_t n, float *dst)
{
    const unsigned char *p = src;
    size_t size = type[t].size;

    if (t == PCV_F32)
        for (size_t i = 0; i < n; i++)
            dst[i] = float_of(load32(p + 4 * i));
    else if (t == PCV_F16)
        for (size_t i = 0; i < n; i++)
            dst[i] = half(load16(p + 2 * i));
    else if (t == PCV_BF16)
        for (size_t i = 0; i < n; i++)
            dst[i] = float_of((uint32_t)load16(p + 2 * i) << 16);
    else if (t == PCV_I8)
        for (size_t i = 0; i < n; i++)
            dst[i] = (float)(int8_t)p[i];
    else
        for (size_t i = 0; i < n; i++)
            dst[i] = one_float(t, p + size * i);
}

void pcv_dtype_to_double(pcv_dtype t, const void *src, size_t n, double *dst)
{
    const unsigned char *p = src;
    size_t size = type[t].size;

    for (size_t i = 0; i < n; i++)
        dst[i] = one(t, p + size * i);
}

/* ---- back ------------------------------------------------------------ */

/* x as 1 sign, e bits of exponent and f of fraction.  In [2^(k-1), 2^k) two
 * neighbours are 2^(k-1-f) apart: x over that, rounded to the nearest (ties
 * to even, as rint does), counts them.  Rounding up to the next power of two
 * carries into the exponent; beyond the last it arrives at infinity. */
static uint16_t narrow(double x, int e, int f)
{
    int bias = (1 << (e - 1)) - 1, k;
    int sign = signbit(x) ? 1 << (e + f) : 0;
    int infinity = ((1 << e) - 1) << f, bits = infinity;

    if (isnan(x))
        return (uint16_t)(sign | infinity | 1 << (f - 1));
    if (isfinite(x)) {
        frexp(x, &k);
        k = x == 0 || k < 2 - bias ? 2 - bias : k;  /* subnormal: as the least
                                                       of the others */
        bits = ((k - 2 + bias) << f) + (int)rint(ldexp(fabs(x), f + 1 - k));
    }
    return (uint16_t)(sign | (bits < infinity ? bits : infinity));
}

static void store(unsigned char *p, uint64_t bits, size_t size)
{
    for (; size > 0; size--, bits >>= 8)
        *p++ = (unsigned char)(bits & 255);
}

void pcv_dtype_from_double(pcv_dtype t, const double *src, size_t n, void *dst)
{
    unsigned char *p = dst;
    size_t size = type[t].size;

    assert(t == PCV_F32 || t == PCV_F16 || t == PCV_BF16);
    for (size_t i = 0; i < n; i++, p += size) {
        float x = (float)src[i];
        uint32_t bits;

        memcpy(&bits, &x, sizeof bits);
        if (t == PCV_F16)
            bits = narrow(src[i], 5, 10);
        else if (t == PCV_BF16)
            bits = narrow(src[i], 8, 7);
        store(p, bits, size);
    }
}

/* ---- 8 bits with a scale --------------------------------------------- */

float pcv_quantise(const float *x, size_t n, int8_t *q)
{
    float most = 0, bad = 0, scale, inverse;
    uint32_t bits;

    for (size_t i = 0; i < n; i++) {
        float a = fabsf(x[i]);

        most = a > most ? a : most;
        bad += x[i] - x[i];
    }
    scale = most / 127;
    memcpy(&bits, &scale, sizeof bits);
    scale = float_of((bits + 0x7f) & ~(uint32_t)0x7f);
    inverse = scale > 1e-35f ? 1 / scale : 0;
    for (size_t i = 0; i < n; i++) {
        float v = x[i] * inverse + 12582912.0f;     /* 1.5 * 2^23: the nearest
                                                       integer, ties to even */

        memcpy(&bits, &v, sizeof bits);
        q[i] = (int8_t)(bits & 255);
    }
    return scale + bad;
}

size_t pcv_array_count(const pcv_array *a)
{
    size_t n = 1;

    for (int i = 0; i < a->rank; i++)
        n *= a->dim[i];
    return n;
}

void pcv_array_free(pcv_array *a)
{
    if (a->dtype == PCV_STORED)
        pcv_store_close(a->data);
    else
        pcv_free(a->data);
    *a = (pcv_array){0};
}
