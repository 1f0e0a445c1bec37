/* SPDX-License-Identifier: MIT
 * The vocabulary for AVX-512 (F, BW, DQ, VL): 512-bit steps on top of those of AVX2, which take the tails: a masked
 * 512-bit store cannot forward to the next load, so masks are never used. It knows no RoPE.
 *
 *   x16   as x8;  e32 as e16;  d16 as d8;  t16 as t8 */
#ifndef ROPEROT_VEC_AVX512_H
#define ROPEROT_VEC_AVX512_H

#include "vec_avx2.h"

/* ---- bf16 -------------------------------------------------------------------------------------------------------- */

INLINE __m512i round_high_any_u32x16(__m512 x)
{
    const __m512i bits = _mm512_castps_si512(x),
                  odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
}

/* Two registers of f32, y0 to the even and y1 to the odd elements, rounded to nearest even; as round_pairs_bf16x16, in
 * five instructions: a byte shuffle under a mask takes the halves of both at once (every third of them p5 on Intel). */
INLINE __m512i round_pairs_bf16x32(__m512 y0, __m512 y1)
{
    const __m512i even = _mm512_castps_si512(y0), odd = _mm512_castps_si512(y1);
    const __m512i down = _mm512_set4_epi32(0x0f0e0f0e, 0x0b0a0b0a, 0x07060706, 0x03020302);
    const __m512i up = _mm512_set4_epi32(0x0d0c0d0c, 0x09080908, 0x05040504, 0x01000100);
    const __m512i high = _mm512_mask_shuffle_epi8(odd, 0x3333333333333333ull, even, down);
    const __m512i low = _mm512_mask_shuffle_epi8(even, 0xccccccccccccccccull, odd, up);
    const __m512i sticky = _mm512_ternarylogic_epi32(low, high, _mm512_set1_epi16(1), 0xf8); /* low | (high & 1) */
    const __mmask32 more = _mm512_cmpgt_epu16_mask(sticky, _mm512_set1_epi16((short)0x8000));
    return _mm512_mask_add_epi16(high, more, high, _mm512_set1_epi16(1));
}

/* ---- x16 --------------------------------------------------------------------------------------------------------- */

typedef __m512 x16_t;
#define x16_LANEWISE 0
INLINE ptrdiff_t x16_pairs(void) { return 16; }
INLINE x16_t x16_mul(x16_t a, x16_t b) { return _mm512_mul_ps(a, b); }
INLINE x16_t x16_add(x16_t a, x16_t b) { return _mm512_add_ps(a, b); }
INLINE x16_t x16_sub(x16_t a, x16_t b) { return _mm512_sub_ps(a, b); }
INLINE x16_t x16_load_f32(const f32_t *p) { return _mm512_loadu_ps(p); }
INLINE void x16_store_f32(f32_t *p, x16_t x) { _mm512_storeu_ps(p, x); }
INLINE void x16_stream_f32(f32_t *p, x16_t x) { _mm512_stream_ps(p, x); }
INLINE x16_t x16_load_f16(const f16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE __m256i x16_to_f16(x16_t x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE void x16_store_f16(f16_t *p, x16_t x) { _mm256_storeu_si256((__m256i *)p, x16_to_f16(x)); }
INLINE void x16_stream_f16(f16_t *p, x16_t x) { _mm256_stream_si256((__m256i *)p, x16_to_f16(x)); }

INLINE x16_t x16_keep(x16_t x, const uint32_t *mask) { return _mm512_and_ps(x, _mm512_loadu_ps(mask)); }
INLINE x16_t x16_either(x16_t a, x16_t b) { return _mm512_or_ps(a, b); }

INLINE x16_t x16_load_bf16(const bf16_t *p)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

INLINE __m256i x16_to_bf16(x16_t x) { return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_high_any_u32x16(x), 16)); }
INLINE void x16_store_bf16(bf16_t *p, x16_t x) { _mm256_storeu_si256((__m256i *)p, x16_to_bf16(x)); }
INLINE void x16_stream_bf16(bf16_t *p, x16_t x) { _mm256_stream_si256((__m256i *)p, x16_to_bf16(x)); }

INLINE void x16_split(__m512 low, __m512 high, x16_t *x0, x16_t *x1)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *x0 = _mm512_permutex2var_ps(low, even, high);
    *x1 = _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
}

INLINE void x16_join(x16_t y0, x16_t y1, __m512 *low, __m512 *high)
{
    const __m512i weave = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *low = _mm512_permutex2var_ps(y0, weave, y1);
    *high = _mm512_permutex2var_ps(y0, _mm512_add_epi32(weave, _mm512_set1_epi32(8)), y1);
}

INLINE void x16_load2_f32(const f32_t *p, x16_t *x0, x16_t *x1)
{
    x16_split(x16_load_f32(p), x16_load_f32(p + 16), x0, x1);
}
INLINE void x16_load2_f16(const f16_t *p, x16_t *x0, x16_t *x1)
{
    x16_split(x16_load_f16(p), x16_load_f16(p + 16), x0, x1);
}

INLINE void x16_load2_bf16(const bf16_t *p, x16_t *x0, x16_t *x1)
{
    const __m512i both = _mm512_loadu_si512(p);
    *x0 = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    *x1 = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int)0xffff0000)));
}

#define X16_STORE2(dtype)                                                                                              \
    INLINE void x16_store2_##dtype(dtype##_t *p, x16_t y0, x16_t y1)                                                   \
    {                                                                                                                  \
        __m512 low, high;                                                                                              \
        x16_join(y0, y1, &low, &high);                                                                                 \
        x16_store_##dtype(p, low);                                                                                     \
        x16_store_##dtype(p + 16, high);                                                                               \
    }                                                                                                                  \
    INLINE void x16_stream2_##dtype(dtype##_t *p, x16_t y0, x16_t y1) { x16_store2_##dtype(p, y0, y1); }
X16_STORE2(f32)
X16_STORE2(f16)
#undef X16_STORE2

INLINE void x16_store2_bf16(bf16_t *p, x16_t y0, x16_t y1) { _mm512_storeu_si512(p, round_pairs_bf16x32(y0, y1)); }

INLINE void x16_stream2_bf16(bf16_t *p, x16_t y0, x16_t y1)
{
    _mm512_stream_si512((__m512i *)(void *)p, round_pairs_bf16x32(y0, y1));
}

/* ---- e32 --------------------------------------------------------------------------------------------------------- */

typedef struct e32_t {
    __m512 even, odd;
} e32_t;
#define e32_LANEWISE 0
INLINE ptrdiff_t e32_pairs(void) { return 32; }

#define E32_EACH(verb)                                                                                                 \
    INLINE e32_t e32_##verb(e32_t a, e32_t b)                                                                          \
    {                                                                                                                  \
        const e32_t result = { x16_##verb(a.even, b.even), x16_##verb(a.odd, b.odd) };                                 \
        return result;                                                                                                 \
    }
E32_EACH(mul)
E32_EACH(add)
E32_EACH(sub)
#undef E32_EACH

INLINE e32_t e32_load_f32(const f32_t *p)
{
    e32_t x;
    x16_load2_f32(p, &x.even, &x.odd);
    return x;
}

INLINE e32_t e32_load_bf16(const bf16_t *p)
{
    e32_t x;
    x16_load2_bf16(p, &x.even, &x.odd);
    return x;
}

INLINE void e32_store_bf16(bf16_t *p, e32_t x) { x16_store2_bf16(p, x.even, x.odd); }
INLINE void e32_stream_bf16(bf16_t *p, e32_t x) { x16_stream2_bf16(p, x.even, x.odd); }

/* ---- d16, t16 ---------------------------------------------------------------------------------------------------- */

typedef __m512 d16_t, t16_t;
#define d16_LANEWISE 1
#define t16_LANEWISE 1
INLINE ptrdiff_t d16_pairs(void) { return 8; }
INLINE ptrdiff_t t16_pairs(void) { return 8; }

/* (a0, b0, a1, b1 ..). */
INLINE __m512 weave_f32x16(__m256 a, __m256 b)
{
    const __m512i weave = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(_mm512_castps256_ps512(a), weave, _mm512_castps256_ps512(b));
}

INLINE __m256 negate_f32x8(__m256 x) { return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)); }

INLINE void d16_lanes(const float *cos, const float *sin, d16_t *a, d16_t *b)
{
    const __m256 c = _mm256_loadu_ps(cos), s = _mm256_loadu_ps(sin);
    *a = weave_f32x16(c, s);
    *b = weave_f32x16(negate_f32x8(s), c);
}

INLINE void t16_lanes(const float *cos, const float *sin, t16_t *a, t16_t *b)
{
    const __m256 c = _mm256_loadu_ps(cos), s = _mm256_loadu_ps(sin);
    *a = weave_f32x16(c, c);
    *b = weave_f32x16(negate_f32x8(s), s);
}

INLINE void d16_operands_f32(const f32_t *p, d16_t *left, d16_t *right)
{
    *left = _mm512_moveldup_ps(_mm512_loadu_ps(p));
    *right = _mm512_movehdup_ps(_mm512_loadu_ps(p));
}

#define T16(dtype)                                                                                                     \
    INLINE void t16_operands_##dtype(const dtype##_t *p, t16_t *left, t16_t *right)                                    \
    {                                                                                                                  \
        *left = x16_load_##dtype(p);                                                                                   \
        *right = _mm512_permute_ps(*left, 0xb1);                                                                       \
    }                                                                                                                  \
    INLINE void t16_store_##dtype(dtype##_t *p, t16_t x) { x16_store_##dtype(p, x); }                                  \
    INLINE void t16_stream_##dtype(dtype##_t *p, t16_t x) { x16_stream_##dtype(p, x); }
T16(f32)
T16(f16)
T16(bf16)
#undef T16

INLINE d16_t d16_mul(d16_t a, d16_t b) { return _mm512_mul_ps(a, b); }
INLINE d16_t d16_add(d16_t a, d16_t b) { return _mm512_add_ps(a, b); }
INLINE t16_t t16_mul(t16_t a, t16_t b) { return _mm512_mul_ps(a, b); }
INLINE t16_t t16_add(t16_t a, t16_t b) { return _mm512_add_ps(a, b); }
INLINE void d16_store_f32(f32_t *p, d16_t x) { _mm512_storeu_ps(p, x); }
INLINE void d16_stream_f32(f32_t *p, d16_t x) { _mm512_stream_ps(p, x); }

/* ---- q8: eight f64 ----------------------------------------------------------------------------------------------- */

typedef __m512d q8_t;
INLINE ptrdiff_t q8_pairs(void) { return 8; }
INLINE q8_t q8_load(const double *p) { return _mm512_loadu_pd(p); }
INLINE void q8_store(double *p, q8_t x) { _mm512_storeu_pd(p, x); }
INLINE void q8_store_f32(float *p, q8_t x) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(x)); }
INLINE void q8_stream_f32(float *p, q8_t x) { _mm256_stream_ps(p, _mm512_cvtpd_ps(x)); }
INLINE q8_t q8_set1(double x) { return _mm512_set1_pd(x); }
INLINE q8_t q8_add(q8_t a, q8_t b) { return _mm512_add_pd(a, b); }
INLINE q8_t q8_sub(q8_t a, q8_t b) { return _mm512_sub_pd(a, b); }
INLINE q8_t q8_mul(q8_t a, q8_t b) { return _mm512_mul_pd(a, b); }
INLINE q8_t q8_of_bits(__m512i bits) { return _mm512_castsi512_pd(bits); }
INLINE q8_t q8_upper(q8_t x) { return _mm512_and_pd(x, q8_of_bits(_mm512_set1_epi64(-0x8000000))); }
INLINE q8_t q8_bit_to_sign(q8_t x, int k)
{
    return _mm512_and_pd(q8_of_bits(_mm512_slli_epi64(_mm512_castpd_si512(x), (unsigned)(63 - k))),
                         _mm512_set1_pd(-0.0));
}
INLINE q8_t q8_flip(q8_t x, q8_t sign) { return _mm512_xor_pd(x, sign); }
INLINE q8_t q8_choose(q8_t a, q8_t b, q8_t sign)
{
    return _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(sign)), a, b);
}

#define STEP q8
#include "sincos.inc.h"
#undef STEP

INLINE void q8_sincos(q8_t x, q8_t *s, q8_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef___m512d_2 both = Sleef_cinz_sincosd8_u10avx512fnofma(x);
    *s = both.x;
    *c = both.y;
#else
    q8_sincos_fixed(x, s, c);
#endif
}

#endif
