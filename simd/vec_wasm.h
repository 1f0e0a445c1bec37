/* SPDX-License-Identifier: MIT
 * The vocabulary for WebAssembly's SIMD128: four f32 or two f64 lanes; tails take f32x1. It knows no RoPE. */
#ifndef ROPEROT_VEC_WASM_H
#define ROPEROT_VEC_WASM_H

#include <wasm_simd128.h>

#include "vec_scalar.h"

INLINE void stream_end(void) {}

/* ---- 16-bit elements in the lower half of 32-bit lanes, by integers: SIMD128 has no arithmetic on them ----------- */

INLINE v128_t set1_u32x4(uint32_t x) { return wasm_u32x4_splat(x); }
INLINE v128_t widen_bf16x4(v128_t x) { return wasm_i32x4_shl(x, 16); }

/* As round_bf16 of vec_scalar.h, in the upper halves; the lower ones are garbage. */
INLINE v128_t round_high_any_bf16x4(v128_t x)
{
    const v128_t odd = wasm_v128_and(wasm_u32x4_shr(x, 16), set1_u32x4(1));
    const v128_t rounded = wasm_i32x4_add(wasm_i32x4_add(x, set1_u32x4(0x7fff)), odd);
    return wasm_v128_bitselect(wasm_v128_or(x, set1_u32x4(0x400000)), rounded, wasm_f32x4_ne(x, x));
}

INLINE v128_t round_bf16x4(v128_t x) { return wasm_u32x4_shr(round_high_any_bf16x4(x), 16); }

/* The fields moved in place are too small by 2^112; multiplying restores normals and denormals alike, exactly (there is
 * no flush to zero in WebAssembly). What then is 2^16 or more was infinite or NaN: its exponent is all ones. */
INLINE v128_t widen_f16x4(v128_t x)
{
    const v128_t fields = wasm_i32x4_shl(wasm_v128_and(x, set1_u32x4(0x7fff)), 13);
    const v128_t scaled = wasm_f32x4_mul(fields, wasm_f32x4_splat(0x1p112f));
    const v128_t special = wasm_i32x4_gt(fields, set1_u32x4(0x0f7fffff));
    const v128_t full = wasm_v128_or(fields, set1_u32x4(0x7f800000));
    const v128_t sign = wasm_i32x4_shl(wasm_v128_and(x, set1_u32x4(0x8000)), 16);
    return wasm_v128_or(wasm_v128_bitselect(full, scaled, special), sign);
}

/* Below 2^-14 the result counts in units of 2^-24: adding 1/2 leaves that count, rounded to nearest even, in the low
 * bits of the sum. Above, 13 bits go in integers, and the exponent moves by 112. */
INLINE v128_t round_f16x4(v128_t x)
{
    const v128_t magnitude = wasm_v128_and(x, set1_u32x4(0x7fffffff));
    const v128_t sign = wasm_v128_and(wasm_u32x4_shr(x, 16), set1_u32x4(0x8000));
    const v128_t odd = wasm_v128_and(wasm_u32x4_shr(magnitude, 13), set1_u32x4(1));
    const v128_t moved = wasm_i32x4_add(magnitude, set1_u32x4(0xfffu - 0x38000000u));
    const v128_t normal = wasm_u32x4_shr(wasm_i32x4_add(moved, odd), 13);
    const v128_t counted = wasm_f32x4_add(magnitude, wasm_f32x4_splat(0.5f));
    const v128_t small = wasm_i32x4_sub(counted, set1_u32x4(0x3f000000));
    v128_t result = wasm_v128_bitselect(small, normal, wasm_i32x4_lt(magnitude, set1_u32x4(0x38800000)));
    result = wasm_v128_bitselect(set1_u32x4(0x7c00), result, wasm_i32x4_gt(magnitude, set1_u32x4(0x477fefff)));
    result = wasm_v128_bitselect(set1_u32x4(0x7e00), result, wasm_i32x4_gt(magnitude, set1_u32x4(0x7f800000)));
    return wasm_v128_or(result, sign);
}

/* ---- f32x4 ------------------------------------------------------------------------------------------------------- */

typedef v128_t f32x4_t;
#define f32x4_INTERLEAVED 0
INLINE ptrdiff_t f32x4_pairs(void) { return 4; }
INLINE f32x4_t f32x4_mul(f32x4_t a, f32x4_t b) { return wasm_f32x4_mul(a, b); }
INLINE f32x4_t f32x4_add(f32x4_t a, f32x4_t b) { return wasm_f32x4_add(a, b); }
INLINE f32x4_t f32x4_sub(f32x4_t a, f32x4_t b) { return wasm_f32x4_sub(a, b); }
INLINE f32x4_t f32x4_load_f32(const f32_t *p) { return wasm_v128_load(p); }
INLINE void f32x4_store_f32(f32_t *p, f32x4_t x) { wasm_v128_store(p, x); }
INLINE void f32x4_stream_f32(f32_t *p, f32x4_t x) { wasm_v128_store(p, x); }
INLINE f32x4_t f32x4_and_mask(f32x4_t x, const uint32_t *mask) { return wasm_v128_and(x, wasm_v128_load(mask)); }
INLINE f32x4_t f32x4_or(f32x4_t a, f32x4_t b) { return wasm_v128_or(a, b); }

INLINE void f32x4_load2_f32(const f32_t *p, f32x4_t *x0, f32x4_t *x1)
{
    const v128_t low = wasm_v128_load(p), high = wasm_v128_load(p + 4);
    *x0 = wasm_i32x4_shuffle(low, high, 0, 2, 4, 6);
    *x1 = wasm_i32x4_shuffle(low, high, 1, 3, 5, 7);
}

INLINE void f32x4_store2_f32(f32_t *p, f32x4_t y0, f32x4_t y1)
{
    wasm_v128_store(p, wasm_i32x4_shuffle(y0, y1, 0, 4, 1, 5));
    wasm_v128_store(p + 4, wasm_i32x4_shuffle(y0, y1, 2, 6, 3, 7));
}

/* A pair of 16-bit elements is a 32-bit lane, x0 its lower half. */
INLINE void f32x4_load2_bf16(const bf16_t *p, f32x4_t *x0, f32x4_t *x1)
{
    const v128_t both = wasm_v128_load(p);
    *x0 = wasm_i32x4_shl(both, 16);
    *x1 = wasm_v128_and(both, set1_u32x4(0xffff0000));
}

INLINE void f32x4_store2_bf16(bf16_t *p, f32x4_t y0, f32x4_t y1)
{
    const v128_t high = wasm_v128_and(round_high_any_bf16x4(y1), set1_u32x4(0xffff0000));
    wasm_v128_store(p, wasm_v128_or(round_bf16x4(y0), high));
}

INLINE void f32x4_load2_f16(const f16_t *p, f32x4_t *x0, f32x4_t *x1)
{
    const v128_t both = wasm_v128_load(p);
    *x0 = widen_f16x4(wasm_v128_and(both, set1_u32x4(0xffff)));
    *x1 = widen_f16x4(wasm_u32x4_shr(both, 16));
}

INLINE void f32x4_store2_f16(f16_t *p, f32x4_t y0, f32x4_t y1)
{
    wasm_v128_store(p, wasm_v128_or(round_f16x4(y0), wasm_i32x4_shl(round_f16x4(y1), 16)));
}

#define F32X4_16BIT(dtype)                                                                                             \
    INLINE f32x4_t f32x4_load_##dtype(const dtype##_t *p) { return widen_##dtype##x4(wasm_u32x4_load16x4(p)); }        \
    INLINE void f32x4_store_##dtype(dtype##_t *p, f32x4_t x)                                                           \
    {                                                                                                                  \
        const v128_t rounded = round_##dtype##x4(x);                                                                   \
        wasm_v128_store64_lane(p, wasm_u16x8_narrow_i32x4(rounded, rounded), 0);                                       \
    }                                                                                                                  \
    INLINE void f32x4_stream_##dtype(dtype##_t *p, f32x4_t x) { f32x4_store_##dtype(p, x); }                           \
    INLINE void f32x4_stream2_##dtype(dtype##_t *p, f32x4_t y0, f32x4_t y1) { f32x4_store2_##dtype(p, y0, y1); }
F32X4_16BIT(f16)
F32X4_16BIT(bf16)
#undef F32X4_16BIT
INLINE void f32x4_stream2_f32(f32_t *p, f32x4_t y0, f32x4_t y1) { f32x4_store2_f32(p, y0, y1); }

/* ---- f64x2 ------------------------------------------------------------------------------------------------------- */

typedef v128_t f64x2_t;
#define f64x2_INTERLEAVED 0
INLINE ptrdiff_t f64x2_pairs(void) { return 2; }
INLINE f64x2_t f64x2_load(const double *p) { return wasm_v128_load(p); }
INLINE void f64x2_store(double *p, f64x2_t x) { wasm_v128_store(p, x); }
INLINE void f64x2_store_f32(float *p, f64x2_t x) { wasm_v128_store64_lane(p, wasm_f32x4_demote_f64x2_zero(x), 0); }
INLINE void f64x2_stream_f32(float *p, f64x2_t x) { f64x2_store_f32(p, x); }
INLINE f64x2_t f64x2_set1(double x) { return wasm_f64x2_splat(x); }
INLINE f64x2_t f64x2_add(f64x2_t a, f64x2_t b) { return wasm_f64x2_add(a, b); }
INLINE f64x2_t f64x2_sub(f64x2_t a, f64x2_t b) { return wasm_f64x2_sub(a, b); }
INLINE f64x2_t f64x2_mul(f64x2_t a, f64x2_t b) { return wasm_f64x2_mul(a, b); }
INLINE f64x2_t f64x2_upper(f64x2_t x) { return wasm_v128_and(x, wasm_u64x2_splat(0xfffffffff8000000u)); }

INLINE f64x2_t f64x2_bit_to_sign(f64x2_t x, int k)
{
    return wasm_v128_and(wasm_i64x2_shl(x, (uint32_t)(63 - k)), wasm_u64x2_splat(0x8000000000000000u));
}

INLINE f64x2_t f64x2_flip(f64x2_t x, f64x2_t sign) { return wasm_v128_xor(x, sign); }

INLINE f64x2_t f64x2_choose(f64x2_t a, f64x2_t b, f64x2_t sign)
{
    return wasm_v128_bitselect(b, a, wasm_i64x2_shr(sign, 63));
}

#define VEC f64x2
#include "sincos.inc.h"
#undef VEC

INLINE void f64x2_sincos(f64x2_t x, f64x2_t *s, f64x2_t *c) { f64x2_sincos_fixed(x, s, c); }

#endif
