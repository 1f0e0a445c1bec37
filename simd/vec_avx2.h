/* SPDX-License-Identifier: MIT
 * The vocabulary for AVX2 with F16C, and its narrower vectors for tails; it knows no RoPE.
 *
 *   f32x8, f32x4             planar: one register per channel of a pair, in the order of the pairs
 *   f32x16_eo                planar: two registers with the even and the odd elements of 16 bf16: no shuffle at load
 *                            and store
 *   f32x8_dup, f32x4_dup     interleaved pairs in one register; operands are every x0 twice and every x1 twice, which a
 *                            load port delivers by itself (vmovsldup, vmovshdup from memory)
 *   f32x8_swap, f32x4_swap   interleaved pairs in one register; operands are x and x with its pairs swapped: one
 *                            shuffle, for elements that were converted and so are in a register already */
#ifndef ROPEROT_VEC_AVX2_H
#define ROPEROT_VEC_AVX2_H

#include <immintrin.h>

#include "vec_scalar.h"

INLINE void stream_end(void) { _mm_sfence(); }

/* What the immediate operands of shuffles and blends select. */
enum {
    EVEN_ELEMENTS = _MM_SHUFFLE(2, 0, 2, 0),  /* 0 and 2 of a, then of b, within 128 bits */
    ODD_ELEMENTS = _MM_SHUFFLE(3, 1, 3, 1),   /* 1 and 3 of a, then of b */
    SWAPPED_PAIRS = _MM_SHUFFLE(2, 3, 0, 1),  /* 1, 0, 3, 2 */
    MIDDLE_SWAPPED = _MM_SHUFFLE(3, 1, 2, 0), /* quarters 0, 2, 1, 3 */
    LOW_HALVES = 0x20,                        /* the low 128 bits of a, then of b */
    HIGH_HALVES = 0x31,                       /* the high 128 bits of a, then of b */
    ODD_FROM_B = 0xaa                         /* blends: even lanes of a, odd lanes of b */
};

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
    const __m256i high = _mm256_blend_epi16(_mm256_srli_epi32(even, 16), odd, ODD_FROM_B);
    const __m256i low = _mm256_blend_epi16(even, _mm256_slli_epi32(odd, 16), ODD_FROM_B);
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

/* ---- f32x8 ------------------------------------------------------------------------------------------------------- */

typedef __m256 f32x8_t;
#define f32x8_INTERLEAVED 0
INLINE ptrdiff_t f32x8_pairs(void) { return 8; }
INLINE f32x8_t f32x8_mul(f32x8_t a, f32x8_t b) { return _mm256_mul_ps(a, b); }
INLINE f32x8_t f32x8_add(f32x8_t a, f32x8_t b) { return _mm256_add_ps(a, b); }
INLINE f32x8_t f32x8_sub(f32x8_t a, f32x8_t b) { return _mm256_sub_ps(a, b); }
INLINE f32x8_t f32x8_load_f32(const f32_t *p) { return _mm256_loadu_ps(p); }
INLINE void f32x8_store_f32(f32_t *p, f32x8_t x) { _mm256_storeu_ps(p, x); }
INLINE void f32x8_stream_f32(f32_t *p, f32x8_t x) { _mm256_stream_ps(p, x); }
INLINE f32x8_t f32x8_load_f16(const f16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
INLINE __m128i f32x8_to_f16(f32x8_t x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE void f32x8_store_f16(f16_t *p, f32x8_t x) { _mm_storeu_si128((__m128i *)p, f32x8_to_f16(x)); }
INLINE void f32x8_stream_f16(f16_t *p, f32x8_t x) { _mm_stream_si128((__m128i *)p, f32x8_to_f16(x)); }

/* Of norms: one value in all pairs; f32 in the vector's own order; through the dtype and back. */
INLINE f32x8_t f32x8_all(float x) { return _mm256_set1_ps(x); }
INLINE void f32x8_keep(float *p, f32x8_t x) { _mm256_storeu_ps(p, x); }
INLINE f32x8_t f32x8_kept(const float *p) { return _mm256_loadu_ps(p); }
INLINE f32x8_t f32x8_through_f32(f32x8_t x) { return x; }
INLINE f32x8_t f32x8_through_f16(f32x8_t x) { return _mm256_cvtph_ps(f32x8_to_f16(x)); }

INLINE f32x8_t f32x8_and_mask(f32x8_t x, const uint32_t *mask)
{
    return _mm256_and_ps(x, _mm256_loadu_ps((const float *)(const void *)mask));
}
INLINE f32x8_t f32x8_or(f32x8_t a, f32x8_t b) { return _mm256_or_ps(a, b); }

INLINE f32x8_t f32x8_load_bf16(const bf16_t *p)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

INLINE __m128i f32x8_to_bf16(f32x8_t x)
{
    const __m256i low = _mm256_srli_epi32(round_high_any_u32x8(x), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1));
}

INLINE void f32x8_store_bf16(bf16_t *p, f32x8_t x) { _mm_storeu_si128((__m128i *)p, f32x8_to_bf16(x)); }
INLINE void f32x8_stream_bf16(bf16_t *p, f32x8_t x) { _mm_stream_si128((__m128i *)p, f32x8_to_bf16(x)); }

/* Pairs to two registers: within 128-bit halves by shuffle (elements 0, 2 and 1, 3 of both), then the middle quarters
 * change places. */
INLINE void f32x8_deinterleave(__m256 low, __m256 high, f32x8_t *x0, f32x8_t *x1)
{
    const __m256 even = _mm256_shuffle_ps(low, high, EVEN_ELEMENTS), odd = _mm256_shuffle_ps(low, high, ODD_ELEMENTS);
    *x0 = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(even), MIDDLE_SWAPPED));
    *x1 = _mm256_castpd_ps(_mm256_permute4x64_pd(_mm256_castps_pd(odd), MIDDLE_SWAPPED));
}

INLINE void f32x8_interleave(f32x8_t y0, f32x8_t y1, __m256 *low, __m256 *high)
{
    const __m256 a = _mm256_unpacklo_ps(y0, y1), b = _mm256_unpackhi_ps(y0, y1);
    *low = _mm256_permute2f128_ps(a, b, LOW_HALVES);
    *high = _mm256_permute2f128_ps(a, b, HIGH_HALVES);
}

INLINE void f32x8_load2_f32(const f32_t *p, f32x8_t *x0, f32x8_t *x1)
{
    f32x8_deinterleave(f32x8_load_f32(p), f32x8_load_f32(p + 8), x0, x1);
}
INLINE void f32x8_load2_f16(const f16_t *p, f32x8_t *x0, f32x8_t *x1)
{
    f32x8_deinterleave(f32x8_load_f16(p), f32x8_load_f16(p + 8), x0, x1);
}

INLINE void f32x8_split_bf16(__m256i both, f32x8_t *x0, f32x8_t *x1)
{
    *x0 = _mm256_castsi256_ps(_mm256_slli_epi32(both, 16));
    *x1 = _mm256_castsi256_ps(_mm256_and_si256(both, _mm256_set1_epi32((int)0xffff0000)));
}

INLINE void f32x8_load2_bf16(const bf16_t *p, f32x8_t *x0, f32x8_t *x1)
{
    f32x8_split_bf16(_mm256_loadu_si256((const __m256i *)p), x0, x1);
}

INLINE void f32x8_store2_f32(f32_t *p, f32x8_t y0, f32x8_t y1)
{
    __m256 low, high;
    f32x8_interleave(y0, y1, &low, &high);
    f32x8_store_f32(p, low);
    f32x8_store_f32(p + 8, high);
}

INLINE void f32x8_store2_f16(f16_t *p, f32x8_t y0, f32x8_t y1)
{
    __m256 low, high;
    f32x8_interleave(y0, y1, &low, &high);
    f32x8_store_f16(p, low);
    f32x8_store_f16(p + 8, high);
}

INLINE void f32x8_store2_bf16(bf16_t *p, f32x8_t y0, f32x8_t y1)
{
    _mm256_storeu_si256((__m256i *)p, round_pairs_bf16x16(y0, y1));
}

INLINE void f32x8_stream2_bf16(bf16_t *p, f32x8_t y0, f32x8_t y1)
{
    _mm256_stream_si256((__m256i *)p, round_pairs_bf16x16(y0, y1));
}

INLINE void f32x8_stream2_f32(f32_t *p, f32x8_t y0, f32x8_t y1) { f32x8_store2_f32(p, y0, y1); }
INLINE void f32x8_stream2_f16(f16_t *p, f32x8_t y0, f32x8_t y1) { f32x8_store2_f16(p, y0, y1); }

/* ---- f32x4 ------------------------------------------------------------------------------------------------------- */

typedef __m128 f32x4_t;
#define f32x4_INTERLEAVED 0
INLINE ptrdiff_t f32x4_pairs(void) { return 4; }
INLINE f32x4_t f32x4_mul(f32x4_t a, f32x4_t b) { return _mm_mul_ps(a, b); }
INLINE f32x4_t f32x4_add(f32x4_t a, f32x4_t b) { return _mm_add_ps(a, b); }
INLINE f32x4_t f32x4_sub(f32x4_t a, f32x4_t b) { return _mm_sub_ps(a, b); }
INLINE f32x4_t f32x4_load_f32(const f32_t *p) { return _mm_loadu_ps(p); }
INLINE void f32x4_store_f32(f32_t *p, f32x4_t x) { _mm_storeu_ps(p, x); }
INLINE f32x4_t f32x4_load_f16(const f16_t *p) { return _mm_cvtph_ps(_mm_loadl_epi64((const __m128i *)p)); }

INLINE void f32x4_store_f16(f16_t *p, f32x4_t x)
{
    _mm_storel_epi64((__m128i *)p, _mm_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}

INLINE f32x4_t f32x4_load_bf16(const bf16_t *p)
{
    return _mm_castsi128_ps(_mm_slli_epi32(_mm_cvtepu16_epi32(_mm_loadl_epi64((const __m128i *)p)), 16));
}

INLINE void f32x4_store_bf16(bf16_t *p, f32x4_t x)
{
    const __m128i low = _mm_srli_epi32(round_high_any_u32x4(x), 16);
    _mm_storel_epi64((__m128i *)p, _mm_packus_epi32(low, low));
}

#define F32X4_PAIR(dtype)                                                                                              \
    INLINE void f32x4_load2_##dtype(const dtype##_t *p, f32x4_t *x0, f32x4_t *x1)                                      \
    {                                                                                                                  \
        const __m128 low = f32x4_load_##dtype(p), high = f32x4_load_##dtype(p + 4);                                    \
        *x0 = _mm_shuffle_ps(low, high, EVEN_ELEMENTS);                                                                \
        *x1 = _mm_shuffle_ps(low, high, ODD_ELEMENTS);                                                                 \
    }                                                                                                                  \
    INLINE void f32x4_store2_##dtype(dtype##_t *p, f32x4_t y0, f32x4_t y1)                                             \
    {                                                                                                                  \
        f32x4_store_##dtype(p, _mm_unpacklo_ps(y0, y1));                                                               \
        f32x4_store_##dtype(p + 4, _mm_unpackhi_ps(y0, y1));                                                           \
    }                                                                                                                  \
    INLINE void f32x4_stream2_##dtype(dtype##_t *p, f32x4_t y0, f32x4_t y1) { f32x4_store2_##dtype(p, y0, y1); }
F32X4_PAIR(f32)
F32X4_PAIR(f16)
F32X4_PAIR(bf16)
#undef F32X4_PAIR
INLINE void f32x4_stream_f32(f32_t *p, f32x4_t x) { _mm_stream_ps(p, x); }
INLINE void f32x4_stream_f16(f16_t *p, f32x4_t x) { f32x4_store_f16(p, x); }
INLINE void f32x4_stream_bf16(bf16_t *p, f32x4_t x) { f32x4_store_bf16(p, x); }

/* ---- f32x16_eo --------------------------------------------------------------------------------------------------- */

typedef struct f32x16_eo_t {
    __m256 even, odd;
} f32x16_eo_t;
#define f32x16_eo_INTERLEAVED 0
INLINE ptrdiff_t f32x16_eo_pairs(void) { return 16; }

#define F32X16_EO_EACH(verb)                                                                                           \
    INLINE f32x16_eo_t f32x16_eo_##verb(f32x16_eo_t a, f32x16_eo_t b)                                                  \
    {                                                                                                                  \
        const f32x16_eo_t result = { f32x8_##verb(a.even, b.even), f32x8_##verb(a.odd, b.odd) };                       \
        return result;                                                                                                 \
    }
F32X16_EO_EACH(mul)
F32X16_EO_EACH(add)
F32X16_EO_EACH(sub)
#undef F32X16_EO_EACH

INLINE f32x16_eo_t f32x16_eo_load_f32(const f32_t *p)
{
    f32x16_eo_t x;
    f32x8_load2_f32(p, &x.even, &x.odd);
    return x;
}

INLINE f32x16_eo_t f32x16_eo_load_bf16(const bf16_t *p)
{
    f32x16_eo_t x;
    f32x8_load2_bf16(p, &x.even, &x.odd);
    return x;
}

INLINE f32x16_eo_t f32x16_eo_all(float x)
{
    const f32x16_eo_t all = { _mm256_set1_ps(x), _mm256_set1_ps(x) };
    return all;
}

INLINE void f32x16_eo_keep(float *p, f32x16_eo_t x)
{
    _mm256_storeu_ps(p, x.even);
    _mm256_storeu_ps(p + 8, x.odd);
}

INLINE f32x16_eo_t f32x16_eo_kept(const float *p)
{
    const f32x16_eo_t x = { _mm256_loadu_ps(p), _mm256_loadu_ps(p + 8) };
    return x;
}

INLINE f32x16_eo_t f32x16_eo_through_bf16(f32x16_eo_t x)
{
    f32x8_split_bf16(round_pairs_bf16x16(x.even, x.odd), &x.even, &x.odd);
    return x;
}

INLINE void f32x16_eo_store_bf16(bf16_t *p, f32x16_eo_t x) { f32x8_store2_bf16(p, x.even, x.odd); }
INLINE void f32x16_eo_stream_bf16(bf16_t *p, f32x16_eo_t x) { f32x8_stream2_bf16(p, x.even, x.odd); }

/* ---- f32x8_dup, f32x8_swap, f32x4_dup, f32x4_swap ---------------------------------------------------------------- */

/* The two factors: of dup (c, s, c, s ..) and (-s, c, -s, c ..), of swap (c, c ..) and (-s, s, -s, s ..). */
typedef __m256 f32x8_dup_t, f32x8_swap_t;
typedef __m128 f32x4_dup_t, f32x4_swap_t;
#define f32x8_dup_INTERLEAVED  1
#define f32x8_swap_INTERLEAVED 1
#define f32x4_dup_INTERLEAVED  1
#define f32x4_swap_INTERLEAVED 1
INLINE ptrdiff_t f32x8_dup_pairs(void) { return 4; }
INLINE ptrdiff_t f32x8_swap_pairs(void) { return 4; }
INLINE ptrdiff_t f32x4_dup_pairs(void) { return 2; }
INLINE ptrdiff_t f32x4_swap_pairs(void) { return 2; }

/* Two floats in the low half; the others zero. */
INLINE __m128 load_f32x2(const float *p) { return _mm_castsi128_ps(_mm_loadl_epi64((const __m128i *)(const void *)p)); }
INLINE __m128 negate_f32x4(__m128 x) { return _mm_xor_ps(x, _mm_set1_ps(-0.0f)); }

/* Four floats, each twice: the load broadcasts, one shuffle within the halves picks. */
INLINE __m256 twice_f32x8(const float *p)
{
    return _mm256_permutevar_ps(_mm256_broadcast_ps((const __m128 *)(const void *)p),
                                _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3));
}

INLINE void f32x8_dup_coefficients(const float *cos, const float *sin, f32x8_dup_t *a, f32x8_dup_t *b)
{
    const __m256 c = twice_f32x8(cos), s = twice_f32x8(sin);
    *a = _mm256_blend_ps(c, s, ODD_FROM_B);
    *b = _mm256_blend_ps(_mm256_xor_ps(s, _mm256_set1_ps(-0.0f)), c, ODD_FROM_B);
}

INLINE void f32x8_swap_coefficients(const float *cos, const float *sin, f32x8_swap_t *a, f32x8_swap_t *b)
{
    *a = twice_f32x8(cos);
    *b = _mm256_xor_ps(twice_f32x8(sin), _mm256_setr_ps(-0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f, -0.0f, 0.0f));
}

INLINE void f32x4_dup_coefficients(const float *cos, const float *sin, f32x4_dup_t *a, f32x4_dup_t *b)
{
    const __m128 c = load_f32x2(cos), s = load_f32x2(sin);
    *a = _mm_unpacklo_ps(c, s);
    *b = _mm_unpacklo_ps(negate_f32x4(s), c);
}

INLINE void f32x4_swap_coefficients(const float *cos, const float *sin, f32x4_swap_t *a, f32x4_swap_t *b)
{
    const __m128 c = load_f32x2(cos), s = load_f32x2(sin);
    *a = _mm_unpacklo_ps(c, c);
    *b = _mm_unpacklo_ps(negate_f32x4(s), s);
}

INLINE void f32x8_dup_operands_f32(const f32_t *p, f32x8_dup_t *left, f32x8_dup_t *right)
{
    *left = _mm256_moveldup_ps(_mm256_loadu_ps(p));
    *right = _mm256_movehdup_ps(_mm256_loadu_ps(p));
}

INLINE void f32x4_dup_operands_f32(const f32_t *p, f32x4_dup_t *left, f32x4_dup_t *right)
{
    *left = _mm_moveldup_ps(_mm_loadu_ps(p));
    *right = _mm_movehdup_ps(_mm_loadu_ps(p));
}

#define F32_SWAP(dtype)                                                                                                \
    INLINE void f32x8_swap_operands_##dtype(const dtype##_t *p, f32x8_swap_t *left, f32x8_swap_t *right)               \
    {                                                                                                                  \
        *left = f32x8_load_##dtype(p);                                                                                 \
        *right = _mm256_permute_ps(*left, SWAPPED_PAIRS);                                                              \
    }                                                                                                                  \
    INLINE void f32x4_swap_operands_##dtype(const dtype##_t *p, f32x4_swap_t *left, f32x4_swap_t *right)               \
    {                                                                                                                  \
        *left = f32x4_load_##dtype(p);                                                                                 \
        *right = _mm_permute_ps(*left, SWAPPED_PAIRS);                                                                 \
    }                                                                                                                  \
    INLINE void f32x8_swap_store_##dtype(dtype##_t *p, f32x8_swap_t x) { f32x8_store_##dtype(p, x); }                  \
    INLINE void f32x8_swap_stream_##dtype(dtype##_t *p, f32x8_swap_t x) { f32x8_stream_##dtype(p, x); }                \
    INLINE void f32x4_swap_store_##dtype(dtype##_t *p, f32x4_swap_t x) { f32x4_store_##dtype(p, x); }                  \
    INLINE void f32x4_swap_stream_##dtype(dtype##_t *p, f32x4_swap_t x) { f32x4_stream_##dtype(p, x); }
F32_SWAP(f32)
F32_SWAP(f16)
F32_SWAP(bf16)
#undef F32_SWAP

INLINE f32x8_dup_t f32x8_dup_mul(f32x8_dup_t a, f32x8_dup_t b) { return _mm256_mul_ps(a, b); }
INLINE f32x8_dup_t f32x8_dup_add(f32x8_dup_t a, f32x8_dup_t b) { return _mm256_add_ps(a, b); }
INLINE f32x8_swap_t f32x8_swap_mul(f32x8_swap_t a, f32x8_swap_t b) { return _mm256_mul_ps(a, b); }
INLINE f32x8_swap_t f32x8_swap_add(f32x8_swap_t a, f32x8_swap_t b) { return _mm256_add_ps(a, b); }
INLINE f32x4_dup_t f32x4_dup_mul(f32x4_dup_t a, f32x4_dup_t b) { return _mm_mul_ps(a, b); }
INLINE f32x4_dup_t f32x4_dup_add(f32x4_dup_t a, f32x4_dup_t b) { return _mm_add_ps(a, b); }
INLINE f32x4_swap_t f32x4_swap_mul(f32x4_swap_t a, f32x4_swap_t b) { return _mm_mul_ps(a, b); }
INLINE f32x4_swap_t f32x4_swap_add(f32x4_swap_t a, f32x4_swap_t b) { return _mm_add_ps(a, b); }
INLINE void f32x8_dup_store_f32(f32_t *p, f32x8_dup_t x) { _mm256_storeu_ps(p, x); }
INLINE void f32x8_dup_stream_f32(f32_t *p, f32x8_dup_t x) { _mm256_stream_ps(p, x); }
INLINE void f32x4_dup_store_f32(f32_t *p, f32x4_dup_t x) { _mm_storeu_ps(p, x); }
INLINE void f32x4_dup_stream_f32(f32_t *p, f32x4_dup_t x) { _mm_stream_ps(p, x); }

/* ---- f64x4: four f64 --------------------------------------------------------------------------------------------- */

typedef __m256d f64x4_t;
#define f64x4_INTERLEAVED 0
INLINE ptrdiff_t f64x4_pairs(void) { return 4; }
INLINE f64x4_t f64x4_load(const double *p) { return _mm256_loadu_pd(p); }
INLINE void f64x4_store(double *p, f64x4_t x) { _mm256_storeu_pd(p, x); }
INLINE void f64x4_store_f32(float *p, f64x4_t x) { _mm_storeu_ps(p, _mm256_cvtpd_ps(x)); }
INLINE void f64x4_stream_f32(float *p, f64x4_t x) { _mm_stream_ps(p, _mm256_cvtpd_ps(x)); }
INLINE f64x4_t f64x4_set1(double x) { return _mm256_set1_pd(x); }
INLINE f64x4_t f64x4_add(f64x4_t a, f64x4_t b) { return _mm256_add_pd(a, b); }
INLINE f64x4_t f64x4_sub(f64x4_t a, f64x4_t b) { return _mm256_sub_pd(a, b); }
INLINE f64x4_t f64x4_mul(f64x4_t a, f64x4_t b) { return _mm256_mul_pd(a, b); }
INLINE f64x4_t f64x4_of_bits(__m256i bits) { return _mm256_castsi256_pd(bits); }
INLINE f64x4_t f64x4_upper(f64x4_t x) { return _mm256_and_pd(x, f64x4_of_bits(_mm256_set1_epi64x(-0x8000000))); }
INLINE f64x4_t f64x4_bit_to_sign(f64x4_t x, int k)
{
    return _mm256_and_pd(f64x4_of_bits(_mm256_slli_epi64(_mm256_castpd_si256(x), 63 - k)), _mm256_set1_pd(-0.0));
}
INLINE f64x4_t f64x4_flip(f64x4_t x, f64x4_t sign) { return _mm256_xor_pd(x, sign); }
INLINE f64x4_t f64x4_choose(f64x4_t a, f64x4_t b, f64x4_t sign) { return _mm256_blendv_pd(a, b, sign); }

#define VEC f64x4
#include "sincos.inc.h"
#undef VEC

INLINE void f64x4_sincos(f64x4_t x, f64x4_t *s, f64x4_t *c)
{
#if ROPEROT_HAVE_SLEEF
    const Sleef___m256d_2 both = Sleef_cinz_sincosd4_u10avx(x);
    *s = both.x;
    *c = both.y;
#else
    f64x4_sincos_fixed(x, s, c);
#endif
}

#endif
