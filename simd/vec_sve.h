/* SPDX-License-Identifier: MIT
 * The vocabulary for SVE, for any vector length: one full-width vector; NEON's vectors take the tails. It knows no
 * RoPE. */
#ifndef ROPEROT_VEC_SVE_H
#define ROPEROT_VEC_SVE_H

#include <arm_sve.h>

#include "vec_neon.h"

/* ---- sve_f32: svcntw() lanes. 16-bit elements are loaded into, and stored from, the lower half of 32-bit lanes. -- */

typedef svfloat32_t sve_f32_t;
#define sve_f32_INTERLEAVED 0
#define SVE_ALL             svptrue_b32()
INLINE ptrdiff_t sve_f32_pairs(void) { return (ptrdiff_t)svcntw(); }
INLINE sve_f32_t sve_f32_mul(sve_f32_t a, sve_f32_t b) { return svmul_f32_x(SVE_ALL, a, b); }
INLINE sve_f32_t sve_f32_add(sve_f32_t a, sve_f32_t b) { return svadd_f32_x(SVE_ALL, a, b); }
INLINE sve_f32_t sve_f32_sub(sve_f32_t a, sve_f32_t b) { return svsub_f32_x(SVE_ALL, a, b); }

INLINE sve_f32_t sve_f32_widen_bf16(svuint32_t x) { return svreinterpret_f32_u32(svlsl_n_u32_x(SVE_ALL, x, 16)); }
INLINE sve_f32_t sve_f32_widen_f16(svuint32_t x) { return svcvt_f32_f16_x(SVE_ALL, svreinterpret_f16_u32(x)); }

/* As round_bf16x4, the result in the lower halves. */
INLINE svuint32_t sve_f32_round_bf16(sve_f32_t x)
{
    const svuint32_t bits = svreinterpret_u32_f32(x), odd = svand_n_u32_x(SVE_ALL, svlsr_n_u32_x(SVE_ALL, bits, 16), 1);
    const svuint32_t rounded = svadd_u32_x(SVE_ALL, svadd_n_u32_x(SVE_ALL, bits, 0x7fff), odd);
    const svuint32_t quiet = svorr_n_u32_x(SVE_ALL, bits, 0x400000);
    return svlsr_n_u32_x(SVE_ALL, svsel_u32(svcmpeq_f32(SVE_ALL, x, x), rounded, quiet), 16);
}

INLINE svuint32_t sve_f32_round_f16(sve_f32_t x) { return svreinterpret_u32_f16(svcvt_f16_f32_x(SVE_ALL, x)); }

INLINE sve_f32_t sve_f32_load_f32(const f32_t *p) { return svld1_f32(SVE_ALL, p); }
INLINE void sve_f32_store_f32(f32_t *p, sve_f32_t x) { svst1_f32(SVE_ALL, p, x); }
INLINE void sve_f32_stream_f32(f32_t *p, sve_f32_t x) { svstnt1_f32(SVE_ALL, p, x); }

INLINE sve_f32_t sve_f32_and_mask(sve_f32_t x, const uint32_t *mask)
{
    return svreinterpret_f32_u32(svand_u32_x(SVE_ALL, svreinterpret_u32_f32(x), svld1_u32(SVE_ALL, mask)));
}

INLINE sve_f32_t sve_f32_or(sve_f32_t a, sve_f32_t b)
{
    return svreinterpret_f32_u32(svorr_u32_x(SVE_ALL, svreinterpret_u32_f32(a), svreinterpret_u32_f32(b)));
}

INLINE void sve_f32_load2_f32(const f32_t *p, sve_f32_t *x0, sve_f32_t *x1)
{
    const svfloat32x2_t both = svld2_f32(SVE_ALL, p);
    *x0 = svget2_f32(both, 0);
    *x1 = svget2_f32(both, 1);
}

INLINE void sve_f32_store2_f32(f32_t *p, sve_f32_t y0, sve_f32_t y1) { svst2_f32(SVE_ALL, p, svcreate2_f32(y0, y1)); }
INLINE void sve_f32_stream2_f32(f32_t *p, sve_f32_t y0, sve_f32_t y1) { sve_f32_store2_f32(p, y0, y1); }

/* A pair of 16-bit elements is a 32-bit lane, x0 its lower half (Linux runs AArch64 little-endian for us). */
INLINE svuint32_t sve_f32_load_pairs(const uint16_t *p) { return svreinterpret_u32_u16(svld1_u16(svptrue_b16(), p)); }

INLINE void sve_f32_load2_bf16(const bf16_t *p, sve_f32_t *x0, sve_f32_t *x1)
{
    const svuint32_t both = sve_f32_load_pairs(p);
    *x0 = sve_f32_widen_bf16(both);
    *x1 = svreinterpret_f32_u32(svand_n_u32_x(SVE_ALL, both, 0xffff0000u));
}

/* As round_pairs_bf16x8. */
INLINE void sve_f32_store2_bf16(bf16_t *p, sve_f32_t y0, sve_f32_t y1)
{
    const svbool_t all = svptrue_b16();
    const svuint16_t even = svreinterpret_u16_f32(y0), odd = svreinterpret_u16_f32(y1);
    const svuint16_t high = svtrn2_u16(even, odd), low = svtrn1_u16(even, odd);
    const svuint16_t sticky = svorr_u16_x(all, low, svand_n_u16_x(all, high, 1));
    svst1_u16(all, p, svadd_n_u16_m(svcmpgt_n_u16(all, sticky, 0x8000), high, 1));
}

/* The conversion reads the lower half of each lane, whatever the upper one holds. */
INLINE void sve_f32_load2_f16(const f16_t *p, sve_f32_t *x0, sve_f32_t *x1)
{
    const svuint32_t both = sve_f32_load_pairs(p);
    *x0 = sve_f32_widen_f16(both);
    *x1 = sve_f32_widen_f16(svlsr_n_u32_x(SVE_ALL, both, 16));
}

INLINE void sve_f32_store2_f16(f16_t *p, sve_f32_t y0, sve_f32_t y1)
{
    svst1_u16(svptrue_b16(), p,
              svtrn1_u16(svreinterpret_u16_u32(sve_f32_round_f16(y0)), svreinterpret_u16_u32(sve_f32_round_f16(y1))));
}

#define SVE_16BIT(dtype)                                                                                               \
    INLINE sve_f32_t sve_f32_load_##dtype(const dtype##_t *p)                                                          \
    {                                                                                                                  \
        return sve_f32_widen_##dtype(svld1uh_u32(SVE_ALL, p));                                                         \
    }                                                                                                                  \
    INLINE void sve_f32_store_##dtype(dtype##_t *p, sve_f32_t x) { svst1h_u32(SVE_ALL, p, sve_f32_round_##dtype(x)); } \
    INLINE void sve_f32_stream_##dtype(dtype##_t *p, sve_f32_t x) { sve_f32_store_##dtype(p, x); }                     \
    INLINE void sve_f32_stream2_##dtype(dtype##_t *p, sve_f32_t y0, sve_f32_t y1) { sve_f32_store2_##dtype(p, y0, y1); }
SVE_16BIT(f16)
SVE_16BIT(bf16)
#undef SVE_16BIT

/* ---- sve_f64: svcntd() lanes ------------------------------------------------------------------------------------- */

typedef svfloat64_t sve_f64_t;
#define sve_f64_INTERLEAVED 0
#define SVE_ALL64           svptrue_b64()
INLINE ptrdiff_t sve_f64_pairs(void) { return (ptrdiff_t)svcntd(); }
INLINE sve_f64_t sve_f64_load(const double *p) { return svld1_f64(SVE_ALL64, p); }
INLINE void sve_f64_store(double *p, sve_f64_t x) { svst1_f64(SVE_ALL64, p, x); }
INLINE sve_f64_t sve_f64_set1(double x) { return svdup_n_f64(x); }
INLINE sve_f64_t sve_f64_add(sve_f64_t a, sve_f64_t b) { return svadd_f64_x(SVE_ALL64, a, b); }
INLINE sve_f64_t sve_f64_sub(sve_f64_t a, sve_f64_t b) { return svsub_f64_x(SVE_ALL64, a, b); }
INLINE sve_f64_t sve_f64_mul(sve_f64_t a, sve_f64_t b) { return svmul_f64_x(SVE_ALL64, a, b); }

/* Rounded values stand in the even lanes of f32. */
INLINE svfloat32_t sve_f64_to_f32(sve_f64_t x)
{
    const svfloat32_t even = svcvt_f32_f64_x(SVE_ALL64, x);
    return svuzp1_f32(even, even);
}

INLINE svbool_t sve_f64_half(void) { return svwhilelt_b32_u64(0, svcntd()); }
INLINE void sve_f64_store_f32(float *p, sve_f64_t x) { svst1_f32(sve_f64_half(), p, sve_f64_to_f32(x)); }
INLINE void sve_f64_stream_f32(float *p, sve_f64_t x) { svstnt1_f32(sve_f64_half(), p, sve_f64_to_f32(x)); }

INLINE svuint64_t sve_f64_bits(sve_f64_t x) { return svreinterpret_u64_f64(x); }
INLINE sve_f64_t sve_f64_of_bits(svuint64_t bits) { return svreinterpret_f64_u64(bits); }

INLINE sve_f64_t sve_f64_upper(sve_f64_t x)
{
    return sve_f64_of_bits(svand_n_u64_x(SVE_ALL64, sve_f64_bits(x), 0xfffffffff8000000u));
}

INLINE sve_f64_t sve_f64_bit_to_sign(sve_f64_t x, int k)
{
    const svuint64_t shifted = svlsl_n_u64_x(SVE_ALL64, sve_f64_bits(x), (uint64_t)(63 - k));
    return sve_f64_of_bits(svand_n_u64_x(SVE_ALL64, shifted, 0x8000000000000000u));
}

INLINE sve_f64_t sve_f64_flip(sve_f64_t x, sve_f64_t sign)
{
    return sve_f64_of_bits(sveor_u64_x(SVE_ALL64, sve_f64_bits(x), sve_f64_bits(sign)));
}

INLINE sve_f64_t sve_f64_choose(sve_f64_t a, sve_f64_t b, sve_f64_t sign)
{
    return svsel_f64(svcmplt_n_s64(SVE_ALL64, svreinterpret_s64_f64(sign), 0), b, a);
}

#define VEC sve_f64
#include "sincos.inc.h"
#undef VEC

INLINE void sve_f64_sincos(sve_f64_t x, sve_f64_t *s, sve_f64_t *c) { sve_f64_sincos_fixed(x, s, c); }

#endif
