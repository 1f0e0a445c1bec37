/* SPDX-License-Identifier: MIT
 * The vocabulary for SVE, for any vector length: one full-width step; NEON's steps take the tails. It knows no RoPE. */
#ifndef ROPEROT_VEC_SVE_H
#define ROPEROT_VEC_SVE_H

#include <arm_sve.h>

#include "vec_neon.h"

/* ---- s: svcntw() lanes. 16-bit elements are loaded into, and stored from, the lower half of 32-bit lanes. -------- */

typedef svfloat32_t s_t;
#define s_LANEWISE 0
#define S_ALL      svptrue_b32()
INLINE ptrdiff_t s_pairs(void) { return (ptrdiff_t)svcntw(); }
INLINE s_t s_mul(s_t a, s_t b) { return svmul_f32_x(S_ALL, a, b); }
INLINE s_t s_add(s_t a, s_t b) { return svadd_f32_x(S_ALL, a, b); }
INLINE s_t s_sub(s_t a, s_t b) { return svsub_f32_x(S_ALL, a, b); }

INLINE s_t s_widen_bf16(svuint32_t x) { return svreinterpret_f32_u32(svlsl_n_u32_x(S_ALL, x, 16)); }
INLINE s_t s_widen_f16(svuint32_t x) { return svcvt_f32_f16_x(S_ALL, svreinterpret_f16_u32(x)); }

/* As round_bf16x4, the result in the lower halves. */
INLINE svuint32_t s_round_bf16(s_t x)
{
    const svuint32_t bits = svreinterpret_u32_f32(x), odd = svand_n_u32_x(S_ALL, svlsr_n_u32_x(S_ALL, bits, 16), 1);
    const svuint32_t rounded = svadd_u32_x(S_ALL, svadd_n_u32_x(S_ALL, bits, 0x7fff), odd);
    const svuint32_t quiet = svorr_n_u32_x(S_ALL, bits, 0x400000);
    return svlsr_n_u32_x(S_ALL, svsel_u32(svcmpeq_f32(S_ALL, x, x), rounded, quiet), 16);
}

INLINE svuint32_t s_round_f16(s_t x) { return svreinterpret_u32_f16(svcvt_f16_f32_x(S_ALL, x)); }

INLINE s_t s_load_f32(const f32_t *p) { return svld1_f32(S_ALL, p); }
INLINE void s_store_f32(f32_t *p, s_t x) { svst1_f32(S_ALL, p, x); }
INLINE void s_stream_f32(f32_t *p, s_t x) { svstnt1_f32(S_ALL, p, x); }

INLINE s_t s_keep(s_t x, const uint32_t *mask)
{
    return svreinterpret_f32_u32(svand_u32_x(S_ALL, svreinterpret_u32_f32(x), svld1_u32(S_ALL, mask)));
}

INLINE s_t s_either(s_t a, s_t b)
{
    return svreinterpret_f32_u32(svorr_u32_x(S_ALL, svreinterpret_u32_f32(a), svreinterpret_u32_f32(b)));
}

INLINE void s_load2_f32(const f32_t *p, s_t *x0, s_t *x1)
{
    const svfloat32x2_t both = svld2_f32(S_ALL, p);
    *x0 = svget2_f32(both, 0);
    *x1 = svget2_f32(both, 1);
}

INLINE void s_store2_f32(f32_t *p, s_t y0, s_t y1) { svst2_f32(S_ALL, p, svcreate2_f32(y0, y1)); }
INLINE void s_stream2_f32(f32_t *p, s_t y0, s_t y1) { s_store2_f32(p, y0, y1); }

/* A pair of 16-bit elements is a 32-bit lane, x0 its lower half (Linux runs AArch64 little-endian for us). */
INLINE svuint32_t s_load_pairs(const uint16_t *p) { return svreinterpret_u32_u16(svld1_u16(svptrue_b16(), p)); }

INLINE void s_load2_bf16(const bf16_t *p, s_t *x0, s_t *x1)
{
    const svuint32_t both = s_load_pairs(p);
    *x0 = s_widen_bf16(both);
    *x1 = svreinterpret_f32_u32(svand_n_u32_x(S_ALL, both, 0xffff0000u));
}

/* As round_pairs_bf16x8. */
INLINE void s_store2_bf16(bf16_t *p, s_t y0, s_t y1)
{
    const svbool_t all = svptrue_b16();
    const svuint16_t even = svreinterpret_u16_f32(y0), odd = svreinterpret_u16_f32(y1);
    const svuint16_t high = svtrn2_u16(even, odd), low = svtrn1_u16(even, odd);
    const svuint16_t sticky = svorr_u16_x(all, low, svand_n_u16_x(all, high, 1));
    svst1_u16(all, p, svadd_n_u16_m(svcmpgt_n_u16(all, sticky, 0x8000), high, 1));
}

/* The conversion reads the lower half of each lane, whatever the upper one holds. */
INLINE void s_load2_f16(const f16_t *p, s_t *x0, s_t *x1)
{
    const svuint32_t both = s_load_pairs(p);
    *x0 = s_widen_f16(both);
    *x1 = s_widen_f16(svlsr_n_u32_x(S_ALL, both, 16));
}

INLINE void s_store2_f16(f16_t *p, s_t y0, s_t y1)
{
    svst1_u16(svptrue_b16(), p,
              svtrn1_u16(svreinterpret_u16_u32(s_round_f16(y0)), svreinterpret_u16_u32(s_round_f16(y1))));
}

#define S_16BIT(dtype)                                                                                                 \
    INLINE s_t s_load_##dtype(const dtype##_t *p) { return s_widen_##dtype(svld1uh_u32(S_ALL, p)); }                   \
    INLINE void s_store_##dtype(dtype##_t *p, s_t x) { svst1h_u32(S_ALL, p, s_round_##dtype(x)); }                     \
    INLINE void s_stream_##dtype(dtype##_t *p, s_t x) { s_store_##dtype(p, x); }                                       \
    INLINE void s_stream2_##dtype(dtype##_t *p, s_t y0, s_t y1) { s_store2_##dtype(p, y0, y1); }
S_16BIT(f16)
S_16BIT(bf16)
#undef S_16BIT

/* ---- f64xn: svcntd() lanes --------------------------------------------------------------------------------------- */

typedef svfloat64_t f64xn_t;
#define D_ALL svptrue_b64()
INLINE ptrdiff_t f64xn_pairs(void) { return (ptrdiff_t)svcntd(); }
INLINE f64xn_t f64xn_load(const double *p) { return svld1_f64(D_ALL, p); }
INLINE void f64xn_store(double *p, f64xn_t x) { svst1_f64(D_ALL, p, x); }
INLINE f64xn_t f64xn_set1(double x) { return svdup_n_f64(x); }
INLINE f64xn_t f64xn_add(f64xn_t a, f64xn_t b) { return svadd_f64_x(D_ALL, a, b); }
INLINE f64xn_t f64xn_sub(f64xn_t a, f64xn_t b) { return svsub_f64_x(D_ALL, a, b); }
INLINE f64xn_t f64xn_mul(f64xn_t a, f64xn_t b) { return svmul_f64_x(D_ALL, a, b); }

/* Rounded values stand in the even lanes of f32. */
INLINE svfloat32_t f64xn_to_f32(f64xn_t x)
{
    const svfloat32_t even = svcvt_f32_f64_x(D_ALL, x);
    return svuzp1_f32(even, even);
}

INLINE svbool_t f64xn_half(void) { return svwhilelt_b32_u64(0, svcntd()); }
INLINE void f64xn_store_f32(float *p, f64xn_t x) { svst1_f32(f64xn_half(), p, f64xn_to_f32(x)); }
INLINE void f64xn_stream_f32(float *p, f64xn_t x) { svstnt1_f32(f64xn_half(), p, f64xn_to_f32(x)); }

INLINE svuint64_t f64xn_bits(f64xn_t x) { return svreinterpret_u64_f64(x); }
INLINE f64xn_t f64xn_of_bits(svuint64_t bits) { return svreinterpret_f64_u64(bits); }

INLINE f64xn_t f64xn_upper(f64xn_t x)
{
    return f64xn_of_bits(svand_n_u64_x(D_ALL, f64xn_bits(x), 0xfffffffff8000000u));
}

INLINE f64xn_t f64xn_bit_to_sign(f64xn_t x, int k)
{
    const svuint64_t shifted = svlsl_n_u64_x(D_ALL, f64xn_bits(x), (uint64_t)(63 - k));
    return f64xn_of_bits(svand_n_u64_x(D_ALL, shifted, 0x8000000000000000u));
}

INLINE f64xn_t f64xn_flip(f64xn_t x, f64xn_t sign)
{
    return f64xn_of_bits(sveor_u64_x(D_ALL, f64xn_bits(x), f64xn_bits(sign)));
}

INLINE f64xn_t f64xn_choose(f64xn_t a, f64xn_t b, f64xn_t sign)
{
    return svsel_f64(svcmplt_n_s64(D_ALL, svreinterpret_s64_f64(sign), 0), b, a);
}

#define STEP f64xn
#include "sincos.inc.h"
#undef STEP

INLINE void f64xn_sincos(f64xn_t x, f64xn_t *s, f64xn_t *c) { f64xn_sincos_fixed(x, s, c); }

#endif
