/* SPDX-License-Identifier: MIT
 * The vocabulary for NEON (AArch64): four lanes, pairs split and joined by ld2 and st2; it knows no RoPE. */
#ifndef ROPEROT_VEC_NEON_H
#define ROPEROT_VEC_NEON_H

#include <arm_neon.h>

#include "vec_scalar.h"

INLINE void stream_end(void) {}

/* ---- bf16: rounding in integers ---------------------------------------------------------------------------------- */

INLINE uint16x4_t round_bf16x4(float32x4_t x)
{
    const uint32x4_t bits = vreinterpretq_u32_f32(x), odd = vandq_u32(vshrq_n_u32(bits, 16), vdupq_n_u32(1));
    const uint32x4_t rounded = vaddq_u32(vaddq_u32(bits, vdupq_n_u32(0x7fff)), odd);
    const uint32x4_t quiet = vorrq_u32(bits, vdupq_n_u32(0x400000));
    return vshrn_n_u32(vbslq_u32(vceqq_f32(x, x), rounded, quiet), 16);
}

/* Two registers of f32, y0 to the even and y1 to the odd elements: as round_pairs_bf16x16 of vec_avx2.h, with the same
 * condition on NaNs. trn takes the upper, or the lower, halves of both registers in order. */
INLINE uint16x8_t round_pairs_bf16x8(float32x4_t y0, float32x4_t y1)
{
    const uint16x8_t even = vreinterpretq_u16_f32(y0), odd = vreinterpretq_u16_f32(y1);
    const uint16x8_t high = vtrn2q_u16(even, odd), low = vtrn1q_u16(even, odd);
    const uint16x8_t sticky = vorrq_u16(low, vandq_u16(high, vdupq_n_u16(1)));
    return vsubq_u16(high, vcgtq_u16(sticky, vdupq_n_u16(0x8000)));
}

INLINE float32x4_t widen_bf16x4(uint16x4_t x) { return vreinterpretq_f32_u32(vshll_n_u16(x, 16)); }
INLINE float32x4_t widen_f16x4(uint16x4_t x) { return vcvt_f32_f16(vreinterpret_f16_u16(x)); }
INLINE uint16x4_t round_f16x4(float32x4_t x) { return vreinterpret_u16_f16(vcvt_f16_f32(x)); }

/* ---- f32x4 ------------------------------------------------------------------------------------------------------- */

typedef float32x4_t f32x4_t;
#define f32x4_INTERLEAVED 0
INLINE ptrdiff_t f32x4_pairs(void) { return 4; }
INLINE f32x4_t f32x4_mul(f32x4_t a, f32x4_t b) { return vmulq_f32(a, b); }
INLINE f32x4_t f32x4_add(f32x4_t a, f32x4_t b) { return vaddq_f32(a, b); }
INLINE f32x4_t f32x4_sub(f32x4_t a, f32x4_t b) { return vsubq_f32(a, b); }
INLINE f32x4_t f32x4_load_f32(const f32_t *p) { return vld1q_f32(p); }
INLINE void f32x4_store_f32(f32_t *p, f32x4_t x) { vst1q_f32(p, x); }
INLINE void f32x4_stream_f32(f32_t *p, f32x4_t x) { vst1q_f32(p, x); }

/* Of norms: one value in all pairs; f32 in the vector's own order; through the dtype and back. */
INLINE f32x4_t f32x4_all(float x) { return vdupq_n_f32(x); }
INLINE void f32x4_keep(float *p, f32x4_t x) { vst1q_f32(p, x); }
INLINE f32x4_t f32x4_kept(const float *p) { return vld1q_f32(p); }
INLINE f32x4_t f32x4_through_f32(f32x4_t x) { return x; }
INLINE f32x4_t f32x4_through_f16(f32x4_t x) { return widen_f16x4(round_f16x4(x)); }

INLINE f32x4_t f32x4_and_mask(f32x4_t x, const uint32_t *mask)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vld1q_u32(mask)));
}

INLINE f32x4_t f32x4_or(f32x4_t a, f32x4_t b)
{
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}

INLINE void f32x4_load2_f32(const f32_t *p, f32x4_t *x0, f32x4_t *x1)
{
    const float32x4x2_t both = vld2q_f32(p);
    *x0 = both.val[0];
    *x1 = both.val[1];
}

INLINE void f32x4_store2_f32(f32_t *p, f32x4_t y0, f32x4_t y1)
{
    const float32x4x2_t both = { { y0, y1 } };
    vst2q_f32(p, both);
}

INLINE void f32x4_stream2_f32(f32_t *p, f32x4_t y0, f32x4_t y1) { f32x4_store2_f32(p, y0, y1); }

/* Pairs of bf16 are the halves of 32-bit lanes. */
INLINE void f32x4_split_bf16(uint16x8_t x, f32x4_t *x0, f32x4_t *x1)
{
    const uint32x4_t both = vreinterpretq_u32_u16(x);
    *x0 = vreinterpretq_f32_u32(vshlq_n_u32(both, 16));
    *x1 = vreinterpretq_f32_u32(vandq_u32(both, vdupq_n_u32(0xffff0000u)));
}

INLINE void f32x4_load2_bf16(const bf16_t *p, f32x4_t *x0, f32x4_t *x1) { f32x4_split_bf16(vld1q_u16(p), x0, x1); }

INLINE void f32x4_store2_bf16(bf16_t *p, f32x4_t y0, f32x4_t y1) { vst1q_u16(p, round_pairs_bf16x8(y0, y1)); }

INLINE void f32x4_load2_f16(const f16_t *p, f32x4_t *x0, f32x4_t *x1)
{
    const uint16x4x2_t both = vld2_u16(p);
    *x0 = widen_f16x4(both.val[0]);
    *x1 = widen_f16x4(both.val[1]);
}

INLINE void f32x4_store2_f16(f16_t *p, f32x4_t y0, f32x4_t y1)
{
    const uint16x4x2_t both = { { round_f16x4(y0), round_f16x4(y1) } };
    vst2_u16(p, both);
}

#define X4_16BIT(dtype)                                                                                                \
    INLINE f32x4_t f32x4_load_##dtype(const dtype##_t *p) { return widen_##dtype##x4(vld1_u16(p)); }                   \
    INLINE void f32x4_store_##dtype(dtype##_t *p, f32x4_t x) { vst1_u16(p, round_##dtype##x4(x)); }                    \
    INLINE void f32x4_stream_##dtype(dtype##_t *p, f32x4_t x) { f32x4_store_##dtype(p, x); }                           \
    INLINE void f32x4_stream2_##dtype(dtype##_t *p, f32x4_t y0, f32x4_t y1) { f32x4_store2_##dtype(p, y0, y1); }
X4_16BIT(f16)
X4_16BIT(bf16)
#undef X4_16BIT

/* ---- f32x8_eo: even and odd elements of 8 bf16 ------------------------------------------------------------------- */

typedef struct f32x8_eo_t {
    float32x4_t even, odd;
} f32x8_eo_t;
#define f32x8_eo_INTERLEAVED 0
INLINE ptrdiff_t f32x8_eo_pairs(void) { return 8; }

#define F32X8_EO_EACH(verb)                                                                                            \
    INLINE f32x8_eo_t f32x8_eo_##verb(f32x8_eo_t a, f32x8_eo_t b)                                                      \
    {                                                                                                                  \
        const f32x8_eo_t result = { f32x4_##verb(a.even, b.even), f32x4_##verb(a.odd, b.odd) };                        \
        return result;                                                                                                 \
    }
F32X8_EO_EACH(mul)
F32X8_EO_EACH(add)
F32X8_EO_EACH(sub)
#undef F32X8_EO_EACH

INLINE f32x8_eo_t f32x8_eo_load_f32(const f32_t *p)
{
    f32x8_eo_t x;
    f32x4_load2_f32(p, &x.even, &x.odd);
    return x;
}

INLINE f32x8_eo_t f32x8_eo_load_bf16(const bf16_t *p)
{
    f32x8_eo_t x;
    f32x4_load2_bf16(p, &x.even, &x.odd);
    return x;
}

INLINE f32x8_eo_t f32x8_eo_all(float x)
{
    const f32x8_eo_t all = { vdupq_n_f32(x), vdupq_n_f32(x) };
    return all;
}

INLINE void f32x8_eo_keep(float *p, f32x8_eo_t x)
{
    vst1q_f32(p, x.even);
    vst1q_f32(p + 4, x.odd);
}

INLINE f32x8_eo_t f32x8_eo_kept(const float *p)
{
    const f32x8_eo_t x = { vld1q_f32(p), vld1q_f32(p + 4) };
    return x;
}

INLINE f32x8_eo_t f32x8_eo_through_bf16(f32x8_eo_t x)
{
    f32x4_split_bf16(round_pairs_bf16x8(x.even, x.odd), &x.even, &x.odd);
    return x;
}

INLINE void f32x8_eo_store_bf16(bf16_t *p, f32x8_eo_t x) { f32x4_store2_bf16(p, x.even, x.odd); }
INLINE void f32x8_eo_stream_bf16(bf16_t *p, f32x8_eo_t x) { f32x8_eo_store_bf16(p, x); }

/* ---- f64x2: two f64 ---------------------------------------------------------------------------------------------- */

typedef float64x2_t f64x2_t;
#define f64x2_INTERLEAVED 0
INLINE ptrdiff_t f64x2_pairs(void) { return 2; }
INLINE f64x2_t f64x2_load(const double *p) { return vld1q_f64(p); }
INLINE void f64x2_store(double *p, f64x2_t x) { vst1q_f64(p, x); }
INLINE void f64x2_store_f32(float *p, f64x2_t x) { vst1_f32(p, vcvt_f32_f64(x)); }
INLINE void f64x2_stream_f32(float *p, f64x2_t x) { f64x2_store_f32(p, x); }
INLINE f64x2_t f64x2_set1(double x) { return vdupq_n_f64(x); }
INLINE f64x2_t f64x2_add(f64x2_t a, f64x2_t b) { return vaddq_f64(a, b); }
INLINE f64x2_t f64x2_sub(f64x2_t a, f64x2_t b) { return vsubq_f64(a, b); }
INLINE f64x2_t f64x2_mul(f64x2_t a, f64x2_t b) { return vmulq_f64(a, b); }
INLINE uint64x2_t f64x2_bits(f64x2_t x) { return vreinterpretq_u64_f64(x); }
INLINE f64x2_t f64x2_of_bits(uint64x2_t bits) { return vreinterpretq_f64_u64(bits); }
INLINE f64x2_t f64x2_upper(f64x2_t x)
{
    return f64x2_of_bits(vandq_u64(f64x2_bits(x), vdupq_n_u64(0xfffffffff8000000u)));
}
INLINE f64x2_t f64x2_bit_to_sign(f64x2_t x, int k)
{
    return f64x2_of_bits(vandq_u64(vshlq_u64(f64x2_bits(x), vdupq_n_s64(63 - k)), vdupq_n_u64(0x8000000000000000u)));
}
INLINE f64x2_t f64x2_flip(f64x2_t x, f64x2_t sign) { return f64x2_of_bits(veorq_u64(f64x2_bits(x), f64x2_bits(sign))); }
INLINE f64x2_t f64x2_choose(f64x2_t a, f64x2_t b, f64x2_t sign)
{
    return vbslq_f64(vreinterpretq_u64_s64(vshrq_n_s64(vreinterpretq_s64_f64(sign), 63)), b, a);
}

#define VEC f64x2
#include "sincos.inc.h"
#undef VEC

INLINE void f64x2_sincos(f64x2_t x, f64x2_t *s, f64x2_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef_float64x2_t_2 both = Sleef_cinz_sincosd2_u10advsimdnofma(x);
    *s = both.x;
    *c = both.y;
#else
    f64x2_sincos_fixed(x, s, c);
#endif
}

#endif
