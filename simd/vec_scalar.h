/* SPDX-License-Identifier: MIT
 * The vocabulary on one lane in plain C: the reference for every other vec_*.h and their last tail; it knows no
 * RoPE. */
#ifndef ROPEROT_VEC_SCALAR_H
#define ROPEROT_VEC_SCALAR_H

#include "common.h"

#if ROPEROT_HAVE_SLEEF
#include <sleef.h>
#endif

/* ---- conversions: exact widening, one rounding to nearest even, denormals kept, NaN stays NaN -------------------- */

INLINE float float_of_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE uint32_t bits_of_float(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE float widen_bf16(bf16_t x) { return float_of_bits((uint32_t)x << 16); }

INLINE bf16_t round_bf16(float x)
{
    const uint32_t bits = bits_of_float(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (bf16_t)((bits >> 16) | 0x40u);
    return (bf16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

/* A binary16 moved into the exponent field of a binary32 is too small by 2^112; multiplying restores normals and
 * denormals alike, exactly. The integers do it without a multiply that a caller in DAZ mode would flush. */
INLINE float widen_f16(f16_t x)
{
    const uint32_t sign = (uint32_t)(x & 0x8000u) << 16, exponent = (x >> 10) & 31u;
    uint32_t fraction = x & 0x3ffu;
    if (exponent == 31u) return float_of_bits(sign | 0x7f800000u | fraction << 13);
    if (exponent) return float_of_bits(sign | (exponent + 112u) << 23 | fraction << 13);
    if (!fraction) return float_of_bits(sign);
    uint32_t shifted = 113u;
    for (; !(fraction & 0x400u); fraction <<= 1) shifted--;
    return float_of_bits(sign | shifted << 23 | (fraction & 0x3ffu) << 13);
}

INLINE f16_t round_f16(float x)
{
    const uint32_t bits = bits_of_float(x), magnitude = bits & 0x7fffffffu;
    const uint32_t sign = (bits >> 16) & 0x8000u;
    if (magnitude > 0x7f800000u) return (f16_t)(sign | 0x7e00u);
    if (magnitude >= 0x477ff000u) return (f16_t)(sign | 0x7c00u); /* 65520 and above round to infinity */
    if (magnitude >= 0x38800000u)                                 /* normal: drop 13 bits, to nearest even */
        return (f16_t)(sign | ((magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13));
    if (magnitude < 0x33000000u) return (f16_t)sign; /* below half the least denormal, 2^-25 */
    const uint32_t drop = 126u - (magnitude >> 23);  /* 14 .. 24 bits of the 24-bit significand go */
    const uint32_t significand = (magnitude & 0x7fffffu) | 0x800000u;
    const uint32_t kept = significand >> drop, rest = significand & ((1u << drop) - 1u), half = 1u << (drop - 1u);
    return (f16_t)(sign | (kept + (rest > half || (rest == half && (kept & 1u)))));
}

/* ---- f32x1: one pair --------------------------------------------------------------------------------------------- */

/* A vocabulary that needs single pairs for tails only defines ROPEROT_TAILS_ONLY: there the conversions are functions,
 * which keeps every tail small. */
#ifdef ROPEROT_TAILS_ONLY
#define ELEMENT static NOINLINE
#else
#define ELEMENT INLINE
#endif

typedef float f32x1_t;
#define f32x1_INTERLEAVED 0
INLINE ptrdiff_t f32x1_pairs(void) { return 1; }
INLINE f32x1_t f32x1_load_f32(const f32_t *p) { return *p; }
ELEMENT f32x1_t f32x1_load_f16(const f16_t *p) { return widen_f16(*p); }
INLINE f32x1_t f32x1_load_bf16(const bf16_t *p) { return widen_bf16(*p); }
INLINE void f32x1_store_f32(f32_t *p, f32x1_t x) { *p = x; }
ELEMENT void f32x1_store_f16(f16_t *p, f32x1_t x) { *p = round_f16(x); }
ELEMENT void f32x1_store_bf16(bf16_t *p, f32x1_t x) { *p = round_bf16(x); }
INLINE f32x1_t f32x1_and_mask(f32x1_t x, const uint32_t *mask) { return float_of_bits(bits_of_float(x) & *mask); }
INLINE f32x1_t f32x1_or(f32x1_t a, f32x1_t b) { return float_of_bits(bits_of_float(a) | bits_of_float(b)); }
INLINE f32x1_t f32x1_mul(f32x1_t a, f32x1_t b) { return a * b; }
INLINE f32x1_t f32x1_add(f32x1_t a, f32x1_t b) { return a + b; }
INLINE f32x1_t f32x1_sub(f32x1_t a, f32x1_t b) { return a - b; }

#define F32X1_PAIR(dtype)                                                                                              \
    INLINE void f32x1_load2_##dtype(const dtype##_t *p, f32x1_t *x0, f32x1_t *x1)                                      \
    {                                                                                                                  \
        *x0 = f32x1_load_##dtype(p);                                                                                   \
        *x1 = f32x1_load_##dtype(p + 1);                                                                               \
    }                                                                                                                  \
    INLINE void f32x1_store2_##dtype(dtype##_t *p, f32x1_t y0, f32x1_t y1)                                             \
    {                                                                                                                  \
        f32x1_store_##dtype(p, y0);                                                                                    \
        f32x1_store_##dtype(p + 1, y1);                                                                                \
    }                                                                                                                  \
    INLINE void f32x1_stream_##dtype(dtype##_t *p, f32x1_t x) { f32x1_store_##dtype(p, x); }                           \
    INLINE void f32x1_stream2_##dtype(dtype##_t *p, f32x1_t y0, f32x1_t y1) { f32x1_store2_##dtype(p, y0, y1); }
F32X1_PAIR(f32)
F32X1_PAIR(f16)
F32X1_PAIR(bf16)
#undef F32X1_PAIR

/* ---- f64x1: one f64 ---------------------------------------------------------------------------------------------- */

typedef double f64x1_t;
#define f64x1_INTERLEAVED 0
INLINE ptrdiff_t f64x1_pairs(void) { return 1; }
INLINE f64x1_t f64x1_load(const double *p) { return *p; }
INLINE void f64x1_store(double *p, f64x1_t x) { *p = x; }
INLINE void f64x1_store_f32(float *p, f64x1_t x) { *p = (float)x; }
INLINE void f64x1_stream_f32(float *p, f64x1_t x) { *p = (float)x; }
INLINE f64x1_t f64x1_set1(double x) { return x; }
INLINE f64x1_t f64x1_add(f64x1_t a, f64x1_t b) { return a + b; }
INLINE f64x1_t f64x1_sub(f64x1_t a, f64x1_t b) { return a - b; }
INLINE f64x1_t f64x1_mul(f64x1_t a, f64x1_t b) { return a * b; }

/* The bits of an f64, for sincos.inc.h: x without its 27 lowest bits; bit k of x's pattern as a sign, all else zero;
 * the sign of x changed where that of `sign` is set; b instead of a there. */
INLINE uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

INLINE double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

INLINE f64x1_t f64x1_upper(f64x1_t x) { return double_of_bits(bits_of_double(x) & 0xfffffffff8000000u); }
INLINE f64x1_t f64x1_bit_to_sign(f64x1_t x, int k)
{
    return double_of_bits(bits_of_double(x) << (63 - k) & 0x8000000000000000u);
}
INLINE f64x1_t f64x1_flip(f64x1_t x, f64x1_t sign) { return double_of_bits(bits_of_double(x) ^ bits_of_double(sign)); }
INLINE f64x1_t f64x1_choose(f64x1_t a, f64x1_t b, f64x1_t sign) { return bits_of_double(sign) ? b : a; }

#define VEC f64x1
#include "sincos.inc.h"
#undef VEC

INLINE void f64x1_sincos(f64x1_t x, f64x1_t *s, f64x1_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef_double_2 both = Sleef_cinz_sincosd1_u10purec(x);
    *s = both.x;
    *c = both.y;
#else
    f64x1_sincos_fixed(x, s, c);
#endif
}

#endif
