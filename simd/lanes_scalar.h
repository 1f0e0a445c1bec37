/* SPDX-License-Identifier: MIT
 * The vocabulary of lanes on plain C: single elements (the tail of every lanes_*.h) and 16 lanes of them, the reference
 * for the others; it knows no norm and no cache.
 *
 * Lanes: `lanes_t` holds the f32 values of 16 consecutive channels on every ISA, so that a sum has one order. Verbs:
 * load_<dtype>, store_<dtype> (one rounding; e4m3 and i8 take the scaled value), store_away_i8 (half away from zero),
 * round_f16, round_bf16 (through the dtype and back), set1, add, sub, mul, larger (the larger magnitude, NaN left
 * out), fold (16 to 8, 4, 2, 1; lane l adds lane l + n/2) and largest. */
#ifndef ROPEROT_LANES_SCALAR_H
#define ROPEROT_LANES_SCALAR_H

#include "vec_scalar.h"

typedef uint8_t e4m3_t;
typedef int8_t i8_t;

/* A value that the compiler does not know: it makes no second loop for it. */
INLINE int32_t opaque(int32_t x)
{
    __asm__("" : "+r"(x));
    return x;
}

/* A vocabulary that says LANES_LARGEST_16 before it includes this one has largest_16: the bits of the largest
 * magnitude of n (a multiple of 32) 16-bit floats in memory, whose infinity is `infinite`, NaN left out. */
#ifndef LANES_LARGEST_16
#define LANES_LARGEST_16               0
#define lanes_largest_16(p, n, infinite) 0
#endif

/* A vocabulary that says LANES_E4M3_64 has store_64_e4m3: 64 channels at once; 0 if one is NaN: what it stored is then
 * to be stored again, 16 at a time. */
#ifndef LANES_E4M3_64
#define LANES_E4M3_64 0
#endif

/* ---- single elements --------------------------------------------------------------------------------------------- */

INLINE float magnitude_f32(float x) { return float_of_bits(bits_of_float(x) & 0x7fffffffu); }

/* float8_e4m3fn, saturating. Below 2^-6 the code counts in units of 2^-9: adding 2^14 leaves that count, rounded to
 * nearest even, in the low bits of the sum. Above, 20 bits go in integers, and the exponent moves by 120. */
INLINE e4m3_t round_e4m3(float x)
{
    const uint32_t sign = bits_of_float(x) >> 24 & 0x80u;
    float magnitude = magnitude_f32(x);
    if (magnitude != magnitude) return 0x7f;
    if (magnitude > 448.0f) magnitude = 448.0f;
    if (magnitude < 0x1p-6f) return (e4m3_t)(sign | (bits_of_float(magnitude + 16384.0f) - 0x46800000u));
    const uint32_t bits = bits_of_float(magnitude);
    return (e4m3_t)(sign | (((bits + 0x7ffffu + (bits >> 20 & 1u)) >> 20) - (120u << 3)));
}

/* The fields moved in place are too small by 2^120; multiplying restores normals and subnormals alike, exactly. */
INLINE float widen_e4m3(e4m3_t code)
{
    const uint32_t sign = (uint32_t)(code & 0x80u) << 24, fields = code & 0x7fu;
    if (fields == 0x7f) return float_of_bits(0x7fc00000u);
    return float_of_bits(sign | bits_of_float(float_of_bits(fields << 20) * 0x1p120f));
}

INLINE float clamp_i8(float x) { return x != x ? 0.0f : x > 127.0f ? 127.0f : x < -127.0f ? -127.0f : x; }

/* 1.5 * 2^23 added and taken away rounds to an integer, to nearest even. */
INLINE i8_t round_i8(float x) { return (i8_t)(int)((clamp_i8(x) + 12582912.0f) - 12582912.0f); }

/* The rest is exact: both are multiples of the last place of x. */
INLINE i8_t round_away_i8(float x)
{
    const float value = clamp_i8(x);
    const int whole = (int)value;
    const float rest = value - (float)whole;
    return (i8_t)(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

INLINE float widen_i8(i8_t x) { return (float)x; }

/* For tails, so that they need not be inline. */
INLINE float single_load_f32(const f32_t *p) { return *p; }
static NOINLINE float single_load_f16(const f16_t *p) { return widen_f16(*p); }
INLINE float single_load_bf16(const bf16_t *p) { return widen_bf16(*p); }
static NOINLINE float single_load_e4m3(const e4m3_t *p) { return widen_e4m3(*p); }
INLINE float single_load_i8(const i8_t *p) { return (float)*p; }
INLINE void single_store_f32(f32_t *p, float x) { *p = x; }
static NOINLINE void single_store_f16(f16_t *p, float x) { *p = round_f16(x); }
static NOINLINE void single_store_bf16(bf16_t *p, float x) { *p = round_bf16(x); }
static NOINLINE void single_store_e4m3(e4m3_t *p, float x) { *p = round_e4m3(x); }
static NOINLINE void single_store_i8(i8_t *p, float x) { *p = round_i8(x); }
static NOINLINE float single_round_f16(float x) { return widen_f16(round_f16(x)); }
static NOINLINE float single_round_bf16(float x) { return widen_bf16(round_bf16(x)); }

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

#ifndef ROPEROT_HAVE_LANES

typedef struct lanes_t {
    float lane[16];
} lanes_t;

#define EACH_LANE NO_UNROLL for (int i = 0; i < 16; i++)
#define LANES_OF_TWO(verb, expression)                                                                                 \
    INLINE lanes_t lanes_##verb(lanes_t x, lanes_t y)                                                                  \
    {                                                                                                                  \
        EACH_LANE x.lane[i] = (expression);                                                                            \
        return x;                                                                                                      \
    }
LANES_OF_TWO(add, x.lane[i] + y.lane[i])
LANES_OF_TWO(sub, x.lane[i] - y.lane[i])
LANES_OF_TWO(mul, x.lane[i] * y.lane[i])
LANES_OF_TWO(larger, magnitude_f32(y.lane[i]) > x.lane[i] ? magnitude_f32(y.lane[i]) : x.lane[i])
#undef LANES_OF_TWO

INLINE lanes_t lanes_load_f32(const f32_t *p)
{
    lanes_t x;
    EACH_LANE x.lane[i] = p[i];
    return x;
}

INLINE void lanes_store_f32(f32_t *p, lanes_t x) { EACH_LANE p[i] = x.lane[i]; }

/* Functions, and of pointers: inline or by value, conversions would be half of what heads take. */
#define LANES_INTO(dtype, conversion)                                                                                  \
    static NOINLINE void lanes_into_##conversion(dtype##_t *p, const lanes_t *x)                                       \
    {                                                                                                                  \
        EACH_LANE p[i] = conversion(x->lane[i]);                                                                       \
    }
#define LANES_MEMORY(dtype)                                                                                            \
    static NOINLINE void lanes_from_##dtype(lanes_t *x, const dtype##_t *p)                                            \
    {                                                                                                                  \
        EACH_LANE x->lane[i] = widen_##dtype(p[i]);                                                                    \
    }                                                                                                                  \
    INLINE lanes_t lanes_load_##dtype(const dtype##_t *p)                                                              \
    {                                                                                                                  \
        lanes_t x;                                                                                                     \
        lanes_from_##dtype(&x, p);                                                                                     \
        return x;                                                                                                      \
    }                                                                                                                  \
    LANES_INTO(dtype, round_##dtype)                                                                                   \
    INLINE void lanes_store_##dtype(dtype##_t *p, lanes_t x) { lanes_into_round_##dtype(p, &x); }
LANES_MEMORY(f16)
LANES_MEMORY(bf16)
LANES_MEMORY(e4m3)
LANES_MEMORY(i8)
LANES_INTO(i8, round_away_i8)
#undef LANES_MEMORY
#undef LANES_INTO

INLINE void lanes_store_away_i8(i8_t *p, lanes_t x) { lanes_into_round_away_i8(p, &x); }

#define LANES_ROUND(dtype)                                                                                             \
    static NOINLINE void lanes_through_##dtype(lanes_t *x)                                                             \
    {                                                                                                                  \
        EACH_LANE x->lane[i] = widen_##dtype(round_##dtype(x->lane[i]));                                               \
    }                                                                                                                  \
    INLINE lanes_t lanes_round_##dtype(lanes_t x)                                                                      \
    {                                                                                                                  \
        lanes_through_##dtype(&x);                                                                                     \
        return x;                                                                                                      \
    }
LANES_ROUND(f16)
LANES_ROUND(bf16)
#undef LANES_ROUND

INLINE lanes_t lanes_set1(float value)
{
    lanes_t x;
    EACH_LANE x.lane[i] = value;
    return x;
}

static NOINLINE float lanes_fold_at(lanes_t *x)
{
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) x->lane[i] += x->lane[i + half];
    return x->lane[0];
}

INLINE float lanes_fold(lanes_t x) { return lanes_fold_at(&x); }

INLINE float lanes_largest(lanes_t x)
{
    float most = 0.0f;
    EACH_LANE most = x.lane[i] > most ? x.lane[i] : most;
    return most;
}
#undef EACH_LANE

#endif

#endif
