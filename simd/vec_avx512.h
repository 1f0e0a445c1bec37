/* SPDX-License-Identifier: MIT
 * The vocabulary for AVX-512 (F, BW, DQ, VL): 512-bit vectors on top of those of AVX2, which take the tails: a masked
 * 512-bit store cannot forward to the next load, so masks are never used. It knows no RoPE.
 *
 * f32x16 is as f32x8, f32x32_eo as f32x16_eo, f32x16_dup as f32x8_dup, f32x16_swap as f32x8_swap. */
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

/* ---- f32x16 ------------------------------------------------------------------------------------------------------ */

typedef __m512 f32x16_t;
#define f32x16_INTERLEAVED 0
INLINE ptrdiff_t f32x16_pairs(void) { return 16; }
INLINE f32x16_t f32x16_mul(f32x16_t a, f32x16_t b) { return _mm512_mul_ps(a, b); }
INLINE f32x16_t f32x16_add(f32x16_t a, f32x16_t b) { return _mm512_add_ps(a, b); }
INLINE f32x16_t f32x16_sub(f32x16_t a, f32x16_t b) { return _mm512_sub_ps(a, b); }
INLINE f32x16_t f32x16_load_f32(const f32_t *p) { return _mm512_loadu_ps(p); }
INLINE void f32x16_store_f32(f32_t *p, f32x16_t x) { _mm512_storeu_ps(p, x); }
INLINE void f32x16_stream_f32(f32_t *p, f32x16_t x) { _mm512_stream_ps(p, x); }
INLINE f32x16_t f32x16_load_f16(const f16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
INLINE __m256i f32x16_to_f16(f32x16_t x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE void f32x16_store_f16(f16_t *p, f32x16_t x) { _mm256_storeu_si256((__m256i *)p, f32x16_to_f16(x)); }
INLINE void f32x16_stream_f16(f16_t *p, f32x16_t x) { _mm256_stream_si256((__m256i *)p, f32x16_to_f16(x)); }

/* Of norms: one value in all pairs; f32 in the vector's own order; through the dtype and back. */
INLINE f32x16_t f32x16_all(float x) { return _mm512_set1_ps(x); }
INLINE void f32x16_keep(float *p, f32x16_t x) { _mm512_storeu_ps(p, x); }
INLINE f32x16_t f32x16_kept(const float *p) { return _mm512_loadu_ps(p); }
INLINE f32x16_t f32x16_through_f32(f32x16_t x) { return x; }
INLINE f32x16_t f32x16_through_f16(f32x16_t x) { return _mm512_cvtph_ps(f32x16_to_f16(x)); }

INLINE f32x16_t f32x16_and_mask(f32x16_t x, const uint32_t *mask) { return _mm512_and_ps(x, _mm512_loadu_ps(mask)); }
INLINE f32x16_t f32x16_or(f32x16_t a, f32x16_t b) { return _mm512_or_ps(a, b); }

INLINE f32x16_t f32x16_load_bf16(const bf16_t *p)
{
    const __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}

INLINE __m256i f32x16_to_bf16(f32x16_t x)
{
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(round_high_any_u32x16(x), 16));
}
INLINE void f32x16_store_bf16(bf16_t *p, f32x16_t x) { _mm256_storeu_si256((__m256i *)p, f32x16_to_bf16(x)); }
INLINE void f32x16_stream_bf16(bf16_t *p, f32x16_t x) { _mm256_stream_si256((__m256i *)p, f32x16_to_bf16(x)); }

INLINE void f32x16_deinterleave(__m512 low, __m512 high, f32x16_t *x0, f32x16_t *x1)
{
    const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    *x0 = _mm512_permutex2var_ps(low, even, high);
    *x1 = _mm512_permutex2var_ps(low, _mm512_add_epi32(even, _mm512_set1_epi32(1)), high);
}

INLINE void f32x16_interleave(f32x16_t y0, f32x16_t y1, __m512 *low, __m512 *high)
{
    const __m512i weave = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    *low = _mm512_permutex2var_ps(y0, weave, y1);
    *high = _mm512_permutex2var_ps(y0, _mm512_add_epi32(weave, _mm512_set1_epi32(8)), y1);
}

INLINE void f32x16_load2_f32(const f32_t *p, f32x16_t *x0, f32x16_t *x1)
{
    f32x16_deinterleave(f32x16_load_f32(p), f32x16_load_f32(p + 16), x0, x1);
}
INLINE void f32x16_load2_f16(const f16_t *p, f32x16_t *x0, f32x16_t *x1)
{
    f32x16_deinterleave(f32x16_load_f16(p), f32x16_load_f16(p + 16), x0, x1);
}

INLINE void f32x16_split_bf16(__m512i both, f32x16_t *x0, f32x16_t *x1)
{
    *x0 = _mm512_castsi512_ps(_mm512_slli_epi32(both, 16));
    *x1 = _mm512_castsi512_ps(_mm512_and_si512(both, _mm512_set1_epi32((int)0xffff0000)));
}

INLINE void f32x16_load2_bf16(const bf16_t *p, f32x16_t *x0, f32x16_t *x1)
{
    f32x16_split_bf16(_mm512_loadu_si512(p), x0, x1);
}

#define F32X16_STORE2(dtype)                                                                                           \
    INLINE void f32x16_store2_##dtype(dtype##_t *p, f32x16_t y0, f32x16_t y1)                                          \
    {                                                                                                                  \
        __m512 low, high;                                                                                              \
        f32x16_interleave(y0, y1, &low, &high);                                                                        \
        f32x16_store_##dtype(p, low);                                                                                  \
        f32x16_store_##dtype(p + 16, high);                                                                            \
    }                                                                                                                  \
    INLINE void f32x16_stream2_##dtype(dtype##_t *p, f32x16_t y0, f32x16_t y1) { f32x16_store2_##dtype(p, y0, y1); }
F32X16_STORE2(f32)
F32X16_STORE2(f16)
#undef F32X16_STORE2

INLINE void f32x16_store2_bf16(bf16_t *p, f32x16_t y0, f32x16_t y1)
{
    _mm512_storeu_si512(p, round_pairs_bf16x32(y0, y1));
}

INLINE void f32x16_stream2_bf16(bf16_t *p, f32x16_t y0, f32x16_t y1)
{
    _mm512_stream_si512((__m512i *)(void *)p, round_pairs_bf16x32(y0, y1));
}

/* ---- f32x32_eo --------------------------------------------------------------------------------------------------- */

typedef struct f32x32_eo_t {
    __m512 even, odd;
} f32x32_eo_t;
#define f32x32_eo_INTERLEAVED 0
INLINE ptrdiff_t f32x32_eo_pairs(void) { return 32; }

#define F32X32_EO_EACH(verb)                                                                                           \
    INLINE f32x32_eo_t f32x32_eo_##verb(f32x32_eo_t a, f32x32_eo_t b)                                                  \
    {                                                                                                                  \
        const f32x32_eo_t result = { f32x16_##verb(a.even, b.even), f32x16_##verb(a.odd, b.odd) };                     \
        return result;                                                                                                 \
    }
F32X32_EO_EACH(mul)
F32X32_EO_EACH(add)
F32X32_EO_EACH(sub)
#undef F32X32_EO_EACH

INLINE f32x32_eo_t f32x32_eo_load_f32(const f32_t *p)
{
    f32x32_eo_t x;
    f32x16_load2_f32(p, &x.even, &x.odd);
    return x;
}

INLINE f32x32_eo_t f32x32_eo_load_bf16(const bf16_t *p)
{
    f32x32_eo_t x;
    f32x16_load2_bf16(p, &x.even, &x.odd);
    return x;
}

INLINE f32x32_eo_t f32x32_eo_all(float x)
{
    const f32x32_eo_t all = { _mm512_set1_ps(x), _mm512_set1_ps(x) };
    return all;
}

INLINE void f32x32_eo_keep(float *p, f32x32_eo_t x)
{
    _mm512_storeu_ps(p, x.even);
    _mm512_storeu_ps(p + 16, x.odd);
}

INLINE f32x32_eo_t f32x32_eo_kept(const float *p)
{
    const f32x32_eo_t x = { _mm512_loadu_ps(p), _mm512_loadu_ps(p + 16) };
    return x;
}

INLINE f32x32_eo_t f32x32_eo_through_bf16(f32x32_eo_t x)
{
    f32x16_split_bf16(round_pairs_bf16x32(x.even, x.odd), &x.even, &x.odd);
    return x;
}

INLINE void f32x32_eo_store_bf16(bf16_t *p, f32x32_eo_t x) { f32x16_store2_bf16(p, x.even, x.odd); }
INLINE void f32x32_eo_stream_bf16(bf16_t *p, f32x32_eo_t x) { f32x16_stream2_bf16(p, x.even, x.odd); }

/* ---- f32x16_dup, f32x16_swap ------------------------------------------------------------------------------------- */

typedef __m512 f32x16_dup_t, f32x16_swap_t;
#define f32x16_dup_INTERLEAVED  1
#define f32x16_swap_INTERLEAVED 1
INLINE ptrdiff_t f32x16_dup_pairs(void) { return 8; }
INLINE ptrdiff_t f32x16_swap_pairs(void) { return 8; }

/* (a0, b0, a1, b1 ..). */
INLINE __m512 weave_f32x16(__m256 a, __m256 b)
{
    const __m512i weave = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(_mm512_castps256_ps512(a), weave, _mm512_castps256_ps512(b));
}

INLINE __m256 negate_f32x8(__m256 x) { return _mm256_xor_ps(x, _mm256_set1_ps(-0.0f)); }

INLINE void f32x16_dup_coefficients(const float *cos, const float *sin, f32x16_dup_t *a, f32x16_dup_t *b)
{
    const __m256 c = _mm256_loadu_ps(cos), s = _mm256_loadu_ps(sin);
    *a = weave_f32x16(c, s);
    *b = weave_f32x16(negate_f32x8(s), c);
}

INLINE void f32x16_swap_coefficients(const float *cos, const float *sin, f32x16_swap_t *a, f32x16_swap_t *b)
{
    const __m256 c = _mm256_loadu_ps(cos), s = _mm256_loadu_ps(sin);
    *a = weave_f32x16(c, c);
    *b = weave_f32x16(negate_f32x8(s), s);
}

INLINE void f32x16_dup_operands_f32(const f32_t *p, f32x16_dup_t *left, f32x16_dup_t *right)
{
    *left = _mm512_moveldup_ps(_mm512_loadu_ps(p));
    *right = _mm512_movehdup_ps(_mm512_loadu_ps(p));
}

#define F32X16_SWAP(dtype)                                                                                             \
    INLINE void f32x16_swap_operands_##dtype(const dtype##_t *p, f32x16_swap_t *left, f32x16_swap_t *right)            \
    {                                                                                                                  \
        *left = f32x16_load_##dtype(p);                                                                                \
        *right = _mm512_permute_ps(*left, SWAPPED_PAIRS);                                                              \
    }                                                                                                                  \
    INLINE void f32x16_swap_store_##dtype(dtype##_t *p, f32x16_swap_t x) { f32x16_store_##dtype(p, x); }               \
    INLINE void f32x16_swap_stream_##dtype(dtype##_t *p, f32x16_swap_t x) { f32x16_stream_##dtype(p, x); }
F32X16_SWAP(f32)
F32X16_SWAP(f16)
F32X16_SWAP(bf16)
#undef F32X16_SWAP

INLINE f32x16_dup_t f32x16_dup_mul(f32x16_dup_t a, f32x16_dup_t b) { return _mm512_mul_ps(a, b); }
INLINE f32x16_dup_t f32x16_dup_add(f32x16_dup_t a, f32x16_dup_t b) { return _mm512_add_ps(a, b); }
INLINE f32x16_swap_t f32x16_swap_mul(f32x16_swap_t a, f32x16_swap_t b) { return _mm512_mul_ps(a, b); }
INLINE f32x16_swap_t f32x16_swap_add(f32x16_swap_t a, f32x16_swap_t b) { return _mm512_add_ps(a, b); }
INLINE void f32x16_dup_store_f32(f32_t *p, f32x16_dup_t x) { _mm512_storeu_ps(p, x); }
INLINE void f32x16_dup_stream_f32(f32_t *p, f32x16_dup_t x) { _mm512_stream_ps(p, x); }

/* ---- f64x8: eight f64 -------------------------------------------------------------------------------------------- */

typedef __m512d f64x8_t;
#define f64x8_INTERLEAVED 0
INLINE ptrdiff_t f64x8_pairs(void) { return 8; }
INLINE f64x8_t f64x8_load(const double *p) { return _mm512_loadu_pd(p); }
INLINE void f64x8_store(double *p, f64x8_t x) { _mm512_storeu_pd(p, x); }
INLINE void f64x8_store_f32(float *p, f64x8_t x) { _mm256_storeu_ps(p, _mm512_cvtpd_ps(x)); }
INLINE void f64x8_stream_f32(float *p, f64x8_t x) { _mm256_stream_ps(p, _mm512_cvtpd_ps(x)); }
INLINE f64x8_t f64x8_set1(double x) { return _mm512_set1_pd(x); }
INLINE f64x8_t f64x8_add(f64x8_t a, f64x8_t b) { return _mm512_add_pd(a, b); }
INLINE f64x8_t f64x8_sub(f64x8_t a, f64x8_t b) { return _mm512_sub_pd(a, b); }
INLINE f64x8_t f64x8_mul(f64x8_t a, f64x8_t b) { return _mm512_mul_pd(a, b); }
INLINE f64x8_t f64x8_of_bits(__m512i bits) { return _mm512_castsi512_pd(bits); }
INLINE f64x8_t f64x8_upper(f64x8_t x) { return _mm512_and_pd(x, f64x8_of_bits(_mm512_set1_epi64(-0x8000000))); }
INLINE f64x8_t f64x8_bit_to_sign(f64x8_t x, int k)
{
    return _mm512_and_pd(f64x8_of_bits(_mm512_slli_epi64(_mm512_castpd_si512(x), (unsigned)(63 - k))),
                         _mm512_set1_pd(-0.0));
}
INLINE f64x8_t f64x8_flip(f64x8_t x, f64x8_t sign) { return _mm512_xor_pd(x, sign); }
INLINE f64x8_t f64x8_choose(f64x8_t a, f64x8_t b, f64x8_t sign)
{
    return _mm512_mask_blend_pd(_mm512_movepi64_mask(_mm512_castpd_si512(sign)), a, b);
}

#define VEC f64x8
#include "sincos.inc.h"
#undef VEC

INLINE void f64x8_sincos(f64x8_t x, f64x8_t *s, f64x8_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef___m512d_2 both = Sleef_cinz_sincosd8_u10avx512fnofma(x);
    *s = both.x;
    *c = both.y;
#else
    f64x8_sincos_fixed(x, s, c);
#endif
}

#endif
