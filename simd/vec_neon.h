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

/* ---- x4 ---------------------------------------------------------------------------------------------------------- */

typedef float32x4_t x4_t;
#define x4_LANEWISE 0
INLINE ptrdiff_t x4_pairs(void) { return 4; }
INLINE x4_t x4_mul(x4_t a, x4_t b) { return vmulq_f32(a, b); }
INLINE x4_t x4_add(x4_t a, x4_t b) { return vaddq_f32(a, b); }
INLINE x4_t x4_sub(x4_t a, x4_t b) { return vsubq_f32(a, b); }
INLINE x4_t x4_load_f32(const f32_t *p) { return vld1q_f32(p); }
INLINE void x4_store_f32(f32_t *p, x4_t x) { vst1q_f32(p, x); }
INLINE void x4_stream_f32(f32_t *p, x4_t x) { vst1q_f32(p, x); }

INLINE x4_t x4_keep(x4_t x, const uint32_t *mask)
{
    return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(x), vld1q_u32(mask)));
}

INLINE x4_t x4_either(x4_t a, x4_t b)
{
    return vreinterpretq_f32_u32(vorrq_u32(vreinterpretq_u32_f32(a), vreinterpretq_u32_f32(b)));
}

INLINE void x4_load2_f32(const f32_t *p, x4_t *x0, x4_t *x1)
{
    const float32x4x2_t both = vld2q_f32(p);
    *x0 = both.val[0];
    *x1 = both.val[1];
}

INLINE void x4_store2_f32(f32_t *p, x4_t y0, x4_t y1)
{
    const float32x4x2_t both = { { y0, y1 } };
    vst2q_f32(p, both);
}

INLINE void x4_stream2_f32(f32_t *p, x4_t y0, x4_t y1) { x4_store2_f32(p, y0, y1); }

/* Pairs of bf16 are the halves of 32-bit lanes. */
INLINE void x4_load2_bf16(const bf16_t *p, x4_t *x0, x4_t *x1)
{
    const uint32x4_t both = vreinterpretq_u32_u16(vld1q_u16(p));
    *x0 = vreinterpretq_f32_u32(vshlq_n_u32(both, 16));
    *x1 = vreinterpretq_f32_u32(vandq_u32(both, vdupq_n_u32(0xffff0000u)));
}

INLINE void x4_store2_bf16(bf16_t *p, x4_t y0, x4_t y1) { vst1q_u16(p, round_pairs_bf16x8(y0, y1)); }

INLINE void x4_load2_f16(const f16_t *p, x4_t *x0, x4_t *x1)
{
    const uint16x4x2_t both = vld2_u16(p);
    *x0 = widen_f16x4(both.val[0]);
    *x1 = widen_f16x4(both.val[1]);
}

INLINE void x4_store2_f16(f16_t *p, x4_t y0, x4_t y1)
{
    const uint16x4x2_t both = { { round_f16x4(y0), round_f16x4(y1) } };
    vst2_u16(p, both);
}

#define X4_16BIT(dtype)                                                                                                \
    INLINE x4_t x4_load_##dtype(const dtype##_t *p) { return widen_##dtype##x4(vld1_u16(p)); }                         \
    INLINE void x4_store_##dtype(dtype##_t *p, x4_t x) { vst1_u16(p, round_##dtype##x4(x)); }                          \
    INLINE void x4_stream_##dtype(dtype##_t *p, x4_t x) { x4_store_##dtype(p, x); }                                    \
    INLINE void x4_stream2_##dtype(dtype##_t *p, x4_t y0, x4_t y1) { x4_store2_##dtype(p, y0, y1); }
X4_16BIT(f16)
X4_16BIT(bf16)
#undef X4_16BIT

/* ---- e8: even and odd elements of 8 bf16 ------------------------------------------------------------------------- */

typedef struct e8_t {
    float32x4_t even, odd;
} e8_t;
#define e8_LANEWISE 0
INLINE ptrdiff_t e8_pairs(void) { return 8; }

#define E8_EACH(verb)                                                                                                  \
    INLINE e8_t e8_##verb(e8_t a, e8_t b)                                                                              \
    {                                                                                                                  \
        const e8_t result = { x4_##verb(a.even, b.even), x4_##verb(a.odd, b.odd) };                                    \
        return result;                                                                                                 \
    }
E8_EACH(mul)
E8_EACH(add)
E8_EACH(sub)
#undef E8_EACH

INLINE e8_t e8_load_f32(const f32_t *p)
{
    e8_t x;
    x4_load2_f32(p, &x.even, &x.odd);
    return x;
}

INLINE e8_t e8_load_bf16(const bf16_t *p)
{
    e8_t x;
    x4_load2_bf16(p, &x.even, &x.odd);
    return x;
}

INLINE void e8_store_bf16(bf16_t *p, e8_t x) { x4_store2_bf16(p, x.even, x.odd); }
INLINE void e8_stream_bf16(bf16_t *p, e8_t x) { e8_store_bf16(p, x); }

/* ---- q2: two f64 ------------------------------------------------------------------------------------------------- */

typedef float64x2_t q2_t;
INLINE ptrdiff_t q2_pairs(void) { return 2; }
INLINE q2_t q2_load(const double *p) { return vld1q_f64(p); }
INLINE void q2_store(double *p, q2_t x) { vst1q_f64(p, x); }
INLINE void q2_store_f32(float *p, q2_t x) { vst1_f32(p, vcvt_f32_f64(x)); }
INLINE void q2_stream_f32(float *p, q2_t x) { q2_store_f32(p, x); }
INLINE q2_t q2_set1(double x) { return vdupq_n_f64(x); }
INLINE q2_t q2_add(q2_t a, q2_t b) { return vaddq_f64(a, b); }
INLINE q2_t q2_sub(q2_t a, q2_t b) { return vsubq_f64(a, b); }
INLINE q2_t q2_mul(q2_t a, q2_t b) { return vmulq_f64(a, b); }
INLINE uint64x2_t q2_bits(q2_t x) { return vreinterpretq_u64_f64(x); }
INLINE q2_t q2_of_bits(uint64x2_t bits) { return vreinterpretq_f64_u64(bits); }
INLINE q2_t q2_upper(q2_t x) { return q2_of_bits(vandq_u64(q2_bits(x), vdupq_n_u64(0xfffffffff8000000u))); }
INLINE q2_t q2_bit_to_sign(q2_t x, int k)
{
    return q2_of_bits(vandq_u64(vshlq_u64(q2_bits(x), vdupq_n_s64(63 - k)), vdupq_n_u64(0x8000000000000000u)));
}
INLINE q2_t q2_flip(q2_t x, q2_t sign) { return q2_of_bits(veorq_u64(q2_bits(x), q2_bits(sign))); }
INLINE q2_t q2_choose(q2_t a, q2_t b, q2_t sign)
{
    return vbslq_f64(vreinterpretq_u64_s64(vshrq_n_s64(vreinterpretq_s64_f64(sign), 63)), b, a);
}

#define STEP q2
#include "sincos.inc.h"
#undef STEP

INLINE void q2_sincos(q2_t x, q2_t *s, q2_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef_float64x2_t_2 both = Sleef_cinz_sincosd2_u10advsimdnofma(x);
    *s = both.x;
    *c = both.y;
#else
    q2_sincos_fixed(x, s, c);
#endif
}

#endif
