/* SPDX-License-Identifier: MIT
 * The vocabulary for AVX2 with F16C, and its narrower steps for tails; it knows no RoPE.
 *
 *   x8, x4      one register per channel of a pair, in the order of the pairs
 *   e16         two registers with the even and the odd elements of 16 bf16: no shuffle at load and store
 *   d8, d4      interleaved pairs in one register; operands are every x0 twice and every x1 twice, which a load port
 *               delivers by itself (vmovsldup, vmovshdup from memory)
 *   t8, t4      interleaved pairs in one register; operands are x and x with its pairs swapped: one shuffle, for
 *               elements that were converted and so are in a register already */
#ifndef ROPEROT_VEC_AVX2_H
#define ROPEROT_VEC_AVX2_H

#include <immintrin.h>

#include "vec_scalar.h"

INLINE void stream_end(void) { _mm_sfence(); }

/* ---- bf16: rounding in integers ---------------------------------------------------------------------------------- */

/* To nearest even in the upper half of each 32-bit lane; the lower half is garbage. NaN stays NaN. */
INLINE __m256i round_high_any_u32x8(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x),
                  odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256 quiet = _mm256_or_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
    return _mm256_castps_si256(
        _mm256_blendv_ps(_mm256_castsi256_ps(rounded), quiet, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

/* Two registers of f32, y0 to the even and y1 to the odd elements, rounded to nearest even in 16-bit lanes. With the
 * upper halves in one register and the lower halves, which decide, in another: round up if low > 0x8000, or low ==
 * 0x8000 and high is odd; that is, if (low | (high & 1)) > 0x8000. A NaN may carry out of its upper half unless its
 * lower half is zero, as in every NaN made of bf16 elements and finite or canonical coefficients: the rest of the
 * library sees to it that there are no others. */
INLINE __m256i round_pairs_bf16x16(__m256 y0, __m256 y1)
{
    const __m256i even = _mm256_castps_si256(y0), odd = _mm256_castps_si256(y1);
    const __m256i high = _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, 0xaa);
    const __m256i low = _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), 0xaa);
    const __m256i sticky = _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi16(1)));
    const __m256i above = _mm256_subs_epu16(sticky, _mm256_set1_epi16((short)0x8000));
    return _mm256_sub_epi16(high, _mm256_cmpgt_epi16(above, _mm256_setzero_si256()));
}

INLINE __m128i round_high_any_u32x4(__m128 x)
{
    const __m128i bits = _mm_castps_si128(x), odd = _mm_and_si128(_mm_srli_epi32(bits, 16), _mm_set1_epi32(1));
    const __m128i rounded = _mm_add_epi32(_mm_add_epi32(bits, _mm_set1_epi32(0x7fff)), odd);
    const __m128 quiet = _mm_or_ps(x, _mm_castsi128_ps(_mm_set1_epi32(0x400000)));
    return _mm_castps_si128(_mm_blendv_ps(_mm_castsi128_ps(rounded), quiet, _mm_cmpunord_ps(x, x)));
}

/* ---- x8 ---------------------------------------------------------------------------------------------------------- */

typedef __m256 x8_t;
#define x8_LANEWISE 0
INLINE ptrdiff_t x8_pairs(void) { return 8; }
INLINE x8_t x8_mul(x8_t a, x8_t b) { return _mm256_mul_ps(a, b); }
INLINE x8_t x8_add(x8_t a, x8_t b) { return _mm256_add_ps(a, b); }
INLINE x8_t x8_sub(x8_t a, x8_t b) { return _mm256_sub_ps(a, b); }
INLINE x8_t x8_load_f32(const f32_t *p) { return _mm256_loadu_ps(p); }
INLINE void x8_store_f32(f32_t *p, x8_t x) { _mm256_storeu_ps(p, x); }
INLINE void x8_stream_f32(f32_t *p, x8_t x) { _mm256_stream_ps(p, x); }
INLINE x8_t x8_load_f16(const f16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE __m128i x8_to_f16(x8_t x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE void x8_store_f16(f16_t *p, x8_t x) { _mm_storeu_si128((__m128i *)p, x8_to_f16(x)); }
INLINE void x8_stream_f16(f16_t *p, x8_t x) { _mm_stream_si128((__m128i *)p, x8_to_f16(x)); }

INLINE x8_t x8_keep(x8_t x, const uint32_t *mask)
{
    return _mm256_and_ps(x, _mm256_loadu_ps((const float *)(const void *)mask));
}
INLINE x8_t x8_either(x8_t a, x8_t b) { return _mm256_or_ps(a, b); }

INLINE x8_t x8_load_bf16(const bf16_t *p)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

INLINE __m128i x8_to_bf16(x8_t x)
{
    const __m256i low = _mm256_srli_epi32(round_high_any_u32x8(x), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}

INLINE void x8_store_bf16(bf16_t *p, x8_t x) { _mm_storeu_si128((__m128i *)p, x8_to_bf16(x)); }
INLINE void x8_stream_bf16(bf16_t *p, x8_t x) { _mm_stream_si128((__m128i *)p, x8_to_bf16(x)); }

/* Pairs to two registers: within 128-bit halves by shuffle, then the middle quarters change places. */
INLINE void x8_split(__m256 low, __m256 high, x8_t *x0, x8_t *x1)
{
    const __m256 even = _mm256_shuffle_ps(low, high, 0x88), odd = _mm256_shuffle_ps(low, high, 0xdd);
    *x0 = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), 0xd8));
    *x1 = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), 0xd8));
}

INLINE void x8_join(x8_t y0, x8_t y1, __m256 *low, __m256 *high)
{
    const __m256 a = _mm256_unpacklo_ps(y0, y1), b = _mm256_unpackhi_ps(y0, y1);
    *low = _mm256_permute2f128_ps(a, b, 0x20);
    *high = _mm256_permute2f128_ps(a, b, 0x31);
}

INLINE void x8_load2_f32(const f32_t *p, x8_t *x0, x8_t *x1) { x8_split(x8_load_f32(p), x8_load_f32(p + 8), x0, x1); }
INLINE void x8_load2_f16(const f16_t *p, x8_t *x0, x8_t *x1) { x8_split(x8_load_f16(p), x8_load_f16(p + 8), x0, x1); }

INLINE void x8_load2_bf16(const bf16_t *p, x8_t *x0, x8_t *x1)
{
    const __m256i both = _mm256_loadu_si256((const __m256i *)p);
    *x0 = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    *x1 = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int)0xffff0000)));
}

INLINE void x8_store2_f32(f32_t *p, x8_t y0, x8_t y1)
{
    __m256 low, high;
    x8_join(y0, y1, &low, &high);
    x8_store_f32(p, low);
    x8_store_f32(p + 8, high);
}

INLINE void x8_store2_f16(f16_t *p, x8_t y0, x8_t y1)
{
    __m256 low, high;
    x8_join(y0, y1, &low, &high);
    x8_store_f16(p, low);
    x8_store_f16(p + 8, high);
}

INLINE void x8_store2_bf16(bf16_t *p, x8_t y0, x8_t y1)
{
    _mm256_storeu_si256((__m256i *)p, round_pairs_bf16x16(y0, y1));
}

INLINE void x8_stream2_bf16(bf16_t *p, x8_t y0, x8_t y1)
{
    _mm256_stream_si256((__m256i *)p, round_pairs_bf16x16(y0, y1));
}

INLINE void x8_stream2_f32(f32_t *p, x8_t y0, x8_t y1) { x8_store2_f32(p, y0, y1); }
INLINE void x8_stream2_f16(f16_t *p, x8_t y0, x8_t y1) { x8_store2_f16(p, y0, y1); }

/* ---- x4 ---------------------------------------------------------------------------------------------------------- */

typedef __m128 x4_t;
#define x4_LANEWISE 0
INLINE ptrdiff_t x4_pairs(void) { return 4; }
INLINE x4_t x4_mul(x4_t a, x4_t b) { return _mm_mul_ps(a, b); }
INLINE x4_t x4_add(x4_t a, x4_t b) { return _mm_add_ps(a, b); }
INLINE x4_t x4_sub(x4_t a, x4_t b) { return _mm_sub_ps(a, b); }
INLINE x4_t x4_load_f32(const f32_t *p) { return _mm_loadu_ps(p); }
INLINE void x4_store_f32(f32_t *p, x4_t x) { _mm_storeu_ps(p, x); }
INLINE x4_t x4_load_f16(const f16_t *p) { return _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)p)); }

INLINE void x4_store_f16(f16_t *p, x4_t x)
{
    _mm_storel_epi64((__m128i *)p, _mm_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

INLINE x4_t x4_load_bf16(const bf16_t *p)
{
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16));
}

INLINE void x4_store_bf16(bf16_t *p, x4_t x)
{
    const __m128i low = _mm_srli_epi32(round_high_any_u32x4(x), 16);
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi32(low, low));
}

#define X4_PAIR(dtype)                                                                                                 \
    INLINE void x4_load2_##dtype(const dtype##_t *p, x4_t *x0, x4_t *x1)                                               \
    {                                                                                                                  \
        const __m128 low = x4_load_##dtype(p), high = x4_load_##dtype(p + 4);                                          \
        *x0 = _mm_shuffle_ps(low, high, 0x88);                                                                         \
        *x1 = _mm_shuffle_ps(low, high, 0xdd);                                                                         \
    }                                                                                                                  \
    INLINE void x4_store2_##dtype(dtype##_t *p, x4_t y0, x4_t y1)                                                      \
    {                                                                                                                  \
        x4_store_##dtype(p, _mm_unpacklo_ps(y0, y1));                                                                  \
        x4_store_##dtype(p + 4, _mm_unpackhi_ps(y0, y1));                                                              \
    }                                                                                                                  \
    INLINE void x4_stream2_##dtype(dtype##_t *p, x4_t y0, x4_t y1) { x4_store2_##dtype(p, y0, y1); }
X4_PAIR(f32)
X4_PAIR(f16)
X4_PAIR(bf16)
#undef X4_PAIR
INLINE void x4_stream_f32(f32_t *p, x4_t x) { _mm_stream_ps(p, x); }
INLINE void x4_stream_f16(f16_t *p, x4_t x) { x4_store_f16(p, x); }
INLINE void x4_stream_bf16(bf16_t *p, x4_t x) { x4_store_bf16(p, x); }

/* ---- e16 --------------------------------------------------------------------------------------------------------- */

typedef struct e16_t {
    __m256 even, odd;
} e16_t;
#define e16_LANEWISE 0
INLINE ptrdiff_t e16_pairs(void) { return 16; }

#define E16_EACH(verb)                                                                                                 \
    INLINE e16_t e16_##verb(e16_t a, e16_t b)                                                                          \
    {                                                                                                                  \
        const e16_t result = { x8_##verb(a.even, b.even), x8_##verb(a.odd, b.odd) };                                   \
        return result;                                                                                                 \
    }
E16_EACH(mul)
E16_EACH(add)
E16_EACH(sub)
#undef E16_EACH

INLINE e16_t e16_load_f32(const f32_t *p)
{
    e16_t x;
    x8_load2_f32(p, &x.even, &x.odd);
    return x;
}

INLINE e16_t e16_load_bf16(const bf16_t *p)
{
    e16_t x;
    x8_load2_bf16(p, &x.even, &x.odd);
    return x;
}

INLINE void e16_store_bf16(bf16_t *p, e16_t x) { x8_store2_bf16(p, x.even, x.odd); }
INLINE void e16_stream_bf16(bf16_t *p, e16_t x) { x8_stream2_bf16(p, x.even, x.odd); }

/* ---- d8, t8, d4, t4 ---------------------------------------------------------------------------------------------- */

/* (c, s, c, s ..) and (-s, c, -s, c ..). */
typedef __m256 d8_t, t8_t;
typedef __m128 d4_t, t4_t;
#define d8_LANEWISE 1
#define t8_LANEWISE 1
#define d4_LANEWISE 1
#define t4_LANEWISE 1
INLINE ptrdiff_t d8_pairs(void) { return 4; }
INLINE ptrdiff_t t8_pairs(void) { return 4; }
INLINE ptrdiff_t d4_pairs(void) { return 2; }
INLINE ptrdiff_t t4_pairs(void) { return 2; }

/* Two floats in the low half; the others zero. */
INLINE __m128 load_f32x2(const float *p) { return _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
INLINE __m128 negate_f32x4(__m128 x) { return _mm_xor_ps(x, _mm_set1_ps(-0.0f)); }

/* Four floats, each twice: the load broadcasts, one shuffle within the halves picks. */
INLINE __m256 twice_f32x8(const float *p)
{
    return _mm256_permutevar_ps(_mm256_broadcast_ps((const __m128 *)(const void *)p),
                                _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}

INLINE void d8_lanes(const float *cos, const float *sin, d8_t *a, d8_t *b)
{
    const __m256 c = twice_f32x8(cos), s = twice_f32x8(sin);
    *a = _mm256_blend_ps(c, s, 0xaa);
    *b = _mm256_blend_ps(_mm256_xor_ps(s, _mm256_set1_ps(-0.0f)), c, 0xaa);
}

INLINE void t8_lanes(const float *cos, const float *sin, t8_t *a, t8_t *b)
{
    *a = twice_f32x8(cos);
    *b = _mm256_xor_ps(twice_f32x8(sin), _mm256_setr_ps(-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f));
}

INLINE void d4_lanes(const float *cos, const float *sin, d4_t *a, d4_t *b)
{
    const __m128 c = load_f32x2(cos), s = load_f32x2(sin);
    *a = _mm_unpacklo_ps(c, s);
    *b = _mm_unpacklo_ps(negate_f32x4(s), c);
}

INLINE void t4_lanes(const float *cos, const float *sin, t4_t *a, t4_t *b)
{
    const __m128 c = load_f32x2(cos), s = load_f32x2(sin);
    *a = _mm_unpacklo_ps(c, c);
    *b = _mm_unpacklo_ps(negate_f32x4(s), s);
}

INLINE void d8_operands_f32(const f32_t *p, d8_t *left, d8_t *right)
{
    *left = _mm256_moveldup_ps(_mm256_loadu_ps(p));
    *right = _mm256_movehdup_ps(_mm256_loadu_ps(p));
}

INLINE void d4_operands_f32(const f32_t *p, d4_t *left, d4_t *right)
{
    *left = _mm_moveldup_ps(_mm_loadu_ps(p));
    *right = _mm_movehdup_ps(_mm_loadu_ps(p));
}

#define T_STEP(dtype)                                                                                                  \
    INLINE void t8_operands_##dtype(const dtype##_t *p, t8_t *left, t8_t *right)                                       \
    {                                                                                                                  \
        *left = x8_load_##dtype(p);                                                                                    \
        *right = _mm256_permute_ps(*left, 0xb1);                                                                       \
    }                                                                                                                  \
    INLINE void t4_operands_##dtype(const dtype##_t *p, t4_t *left, t4_t *right)                                       \
    {                                                                                                                  \
        *left = x4_load_##dtype(p);                                                                                    \
        *right = _mm_permute_ps(*left, 0xb1);                                                                          \
    }                                                                                                                  \
    INLINE void t8_store_##dtype(dtype##_t *p, t8_t x) { x8_store_##dtype(p, x); }                                     \
    INLINE void t8_stream_##dtype(dtype##_t *p, t8_t x) { x8_stream_##dtype(p, x); }                                   \
    INLINE void t4_store_##dtype(dtype##_t *p, t4_t x) { x4_store_##dtype(p, x); }                                     \
    INLINE void t4_stream_##dtype(dtype##_t *p, t4_t x) { x4_stream_##dtype(p, x); }
T_STEP(f32)
T_STEP(f16)
T_STEP(bf16)
#undef T_STEP

INLINE d8_t d8_mul(d8_t a, d8_t b) { return _mm256_mul_ps(a, b); }
INLINE d8_t d8_add(d8_t a, d8_t b) { return _mm256_add_ps(a, b); }
INLINE t8_t t8_mul(t8_t a, t8_t b) { return _mm256_mul_ps(a, b); }
INLINE t8_t t8_add(t8_t a, t8_t b) { return _mm256_add_ps(a, b); }
INLINE d4_t d4_mul(d4_t a, d4_t b) { return _mm_mul_ps(a, b); }
INLINE d4_t d4_add(d4_t a, d4_t b) { return _mm_add_ps(a, b); }
INLINE t4_t t4_mul(t4_t a, t4_t b) { return _mm_mul_ps(a, b); }
INLINE t4_t t4_add(t4_t a, t4_t b) { return _mm_add_ps(a, b); }
INLINE void d8_store_f32(f32_t *p, d8_t x) { _mm256_storeu_ps(p, x); }
INLINE void d8_stream_f32(f32_t *p, d8_t x) { _mm256_stream_ps(p, x); }
INLINE void d4_store_f32(f32_t *p, d4_t x) { _mm_storeu_ps(p, x); }
INLINE void d4_stream_f32(f32_t *p, d4_t x) { _mm_stream_ps(p, x); }

/* ---- q4: four f64 ------------------------------------------------------------------------------------------------ */

typedef __m256d q4_t;
INLINE ptrdiff_t q4_pairs(void) { return 4; }
INLINE q4_t q4_load(const double *p) { return _mm256_loadu_pd(p); }
INLINE void q4_store(double *p, q4_t x) { _mm256_storeu_pd(p, x); }
INLINE void q4_store_f32(float *p, q4_t x) { _mm_storeu_ps(p, _mm256_cvtpd_ps(x)); }
INLINE void q4_stream_f32(float *p, q4_t x) { _mm_stream_ps(p, _mm256_cvtpd_ps(x)); }
INLINE q4_t q4_set1(double x) { return _mm256_set1_pd(x); }
INLINE q4_t q4_add(q4_t a, q4_t b) { return _mm256_add_pd(a, b); }
INLINE q4_t q4_sub(q4_t a, q4_t b) { return _mm256_sub_pd(a, b); }
INLINE q4_t q4_mul(q4_t a, q4_t b) { return _mm256_mul_pd(a, b); }
INLINE q4_t q4_of_bits(__m256i bits) { return _mm256_castsi256_pd(bits); }
INLINE q4_t q4_upper(q4_t x) { return _mm256_and_pd(x, q4_of_bits(_mm256_set1_epi64x(-0x8000000))); }
INLINE q4_t q4_bit_to_sign(q4_t x, int k)
{
    return _mm256_and_pd(q4_of_bits(_mm256_slli_epi64(_mm256_castpd_si256(x), 63 - k)), _mm256_set1_pd(-0.0));
}
INLINE q4_t q4_flip(q4_t x, q4_t sign) { return _mm256_xor_pd(x, sign); }
INLINE q4_t q4_choose(q4_t a, q4_t b, q4_t sign) { return _mm256_blendv_pd(a, b, sign); }

#define STEP q4
#include "sincos.inc.h"
#undef STEP

INLINE void q4_sincos(q4_t x, q4_t *s, q4_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef___m256d_2 both = Sleef_cinz_sincosd4_u10avx(x);
    *s = both.x;
    *c = both.y;
#else
    q4_sincos_fixed(x, s, c);
#endif
}

#endif
