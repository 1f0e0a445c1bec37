/* SPDX-License-Identifier: MIT
 * The vocabulary of lanes for AVX2: 16 lanes are two registers; verbs as in lanes_scalar.h. It knows no norm. */
#ifndef ROPEROT_LANES_AVX2_H
#define ROPEROT_LANES_AVX2_H

#define ROPEROT_HAVE_LANES
#include "lanes_scalar.h"

#include <immintrin.h>

/* ---- eight lanes ------------------------------------------------------------------------------------------------- */

INLINE __m256 magnitude_f32x8(__m256 x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
INLINE __m256 widen_f16x8(const f16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(const void *)p)); }
INLINE __m128i round_f16x8(__m256 x) { return _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

INLINE __m256 widen_bf16x8(const bf16_t *p)
{
    const __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}

/* As round_bf16; the result in the upper halves, whose lower ones are left. */
INLINE __m256i round_high_bf16x8(__m256 x)
{
    const __m256i bits = _mm256_castps_si256(x),
                  odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256 quiet = _mm256_or_ps(x, _mm256_castsi256_ps(_mm256_set1_epi32(0x400000)));
    return _mm256_castps_si256(
        _mm256_blendv_ps(_mm256_castsi256_ps(rounded), quiet, _mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

INLINE __m256 widen_e4m3x8(const e4m3_t *p)
{
    const __m256i code = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)p));
    const __m256i fields = _mm256_and_si256(code, _mm256_set1_epi32(0x7f));
    const __m256 value = _mm256_mul_ps(_mm256_castsi256_ps(_mm256_slli_epi32(fields, 20)), _mm256_set1_ps(0x1p120f));
    const __m256i sign = _mm256_slli_epi32(_mm256_and_si256(code, _mm256_set1_epi32(0x80)), 24);
    const __m256i nan = _mm256_cmpeq_epi32(fields, _mm256_set1_epi32(0x7f));
    return _mm256_blendv_ps(_mm256_or_ps(value, _mm256_castsi256_ps(sign)),
                            _mm256_castsi256_ps(_mm256_set1_epi32(0x7fc00000)), _mm256_castsi256_ps(nan));
}

/* Codes in the lowest bytes of 32-bit lanes. Added to 2^20 times its power of two, x is rounded where the last place of
 * its code is, to nearest even; the sum has the exponent in bits 23 to 30 and the rest of the code in its lowest ones.
 * 0x98 there makes up for the bias. Below 2^-6 codes are as far apart as there. */
INLINE __m256i round_e4m3x8(__m256 x)
{
    const __m256i sign = _mm256_and_si256(_mm256_srli_epi32(_mm256_castps_si256(x), 24), _mm256_set1_epi32(0x80));
    const __m256 magnitude = _mm256_min_ps(magnitude_f32x8(x), _mm256_set1_ps(448.0f));
    const __m256i power = _mm256_and_si256(_mm256_castps_si256(magnitude), _mm256_set1_epi32(0x7f800000));
    const __m256i up = _mm256_add_epi32(_mm256_max_epi32(power, _mm256_set1_epi32((127 - 6) << 23)),
                                        _mm256_set1_epi32((20 << 23) + 0x98));
    const __m256i sum = _mm256_castps_si256(_mm256_add_ps(magnitude, _mm256_castsi256_ps(up)));
    const __m256i code = _mm256_or_si256(_mm256_add_epi32(sum, _mm256_srli_epi32(sum, 20)), sign);
    return _mm256_blendv_epi8(code, _mm256_set1_epi32(0x7f), _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

/* NaN becomes 0, as in clamp_i8. */
INLINE __m256 clamp_i8x8(__m256 x)
{
    const __m256 value = _mm256_and_ps(x, _mm256_cmp_ps(x, x, _CMP_ORD_Q));
    return _mm256_max_ps(_mm256_min_ps(value, _mm256_set1_ps(127.0f)), _mm256_set1_ps(-127.0f));
}

INLINE __m256i round_i8x8(__m256 x) { return _mm256_cvtps_epi32(clamp_i8x8(x)); }

INLINE __m256i round_away_i8x8(__m256 x)
{
    const __m256 value = clamp_i8x8(x), sign = _mm256_and_ps(value, _mm256_set1_ps(-0.0f));
    const __m256 whole = _mm256_round_ps(value, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const __m256 rest = magnitude_f32x8(_mm256_sub_ps(value, whole));
    const __m256 one = _mm256_and_ps(_mm256_cmp_ps(rest, _mm256_set1_ps(0.5f), _CMP_GE_OQ), _mm256_set1_ps(1.0f));
    return _mm256_cvttps_epi32(_mm256_add_ps(whole, _mm256_or_ps(one, sign)));
}

/* ---- lanes ------------------------------------------------------------------------------------------------------- */

typedef struct lanes_t {
    __m256 low, high;
} lanes_t;

INLINE lanes_t lanes_of(__m256 low, __m256 high)
{
    const lanes_t x = { low, high };
    return x;
}

INLINE lanes_t lanes_set1(float value) { return lanes_of(_mm256_set1_ps(value), _mm256_set1_ps(value)); }
INLINE lanes_t lanes_add(lanes_t x, lanes_t y)
{
    return lanes_of(_mm256_add_ps(x.low, y.low), _mm256_add_ps(x.high, y.high));
}
INLINE lanes_t lanes_sub(lanes_t x, lanes_t y)
{
    return lanes_of(_mm256_sub_ps(x.low, y.low), _mm256_sub_ps(x.high, y.high));
}
INLINE lanes_t lanes_mul(lanes_t x, lanes_t y)
{
    return lanes_of(_mm256_mul_ps(x.low, y.low), _mm256_mul_ps(x.high, y.high));
}

/* maxps gives its second operand where one is NaN. */
INLINE lanes_t lanes_larger(lanes_t x, lanes_t y)
{
    return lanes_of(_mm256_max_ps(magnitude_f32x8(y.low), x.low), _mm256_max_ps(magnitude_f32x8(y.high), x.high));
}

INLINE lanes_t lanes_load_f32(const f32_t *p) { return lanes_of(_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)); }
INLINE lanes_t lanes_load_f16(const f16_t *p) { return lanes_of(widen_f16x8(p), widen_f16x8(p + 8)); }
INLINE lanes_t lanes_load_bf16(const bf16_t *p) { return lanes_of(widen_bf16x8(p), widen_bf16x8(p + 8)); }
INLINE lanes_t lanes_load_e4m3(const e4m3_t *p) { return lanes_of(widen_e4m3x8(p), widen_e4m3x8(p + 8)); }

INLINE lanes_t lanes_load_i8(const i8_t *p)
{
    const __m128i codes = _mm_loadu_si128((const __m128i *)(const void *)p);
    return lanes_of(_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes)),
                    _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_unpackhi_epi64(codes, codes))));
}

INLINE void lanes_store_f32(f32_t *p, lanes_t x)
{
    _mm256_storeu_ps(p, x.low);
    _mm256_storeu_ps(p + 8, x.high);
}

INLINE void lanes_store_f16(f16_t *p, lanes_t x)
{
    const __m256i both = _mm256_set_m128i(round_f16x8(x.high), round_f16x8(x.low));
    _mm256_storeu_si256((__m256i *)(void *)p, both);
}

/* packus works within 128-bit halves; the permutation puts the quarters in order. */
INLINE void lanes_store_bf16(bf16_t *p, lanes_t x)
{
    const __m256i low = _mm256_srli_epi32(round_high_bf16x8(x.low), 16),
                  high = _mm256_srli_epi32(round_high_bf16x8(x.high), 16);
    _mm256_storeu_si256((__m256i *)(void *)p, _mm256_permute4x64_epi64(_mm256_packus_epi32(low, high), 0xd8));
}

/* The low bytes of 16 lanes: those of a quarter as one word of 32 bits, then the words in order. */
INLINE void store_bytes(void *p, __m256i low, __m256i high)
{
    const __m256i first = _mm256_set1_epi32(0x0c080400), order = _mm256_setr_epi32(0, 4, 1, 5, 0, 4, 1, 5);
    const __m256i words =
        _mm256_blend_epi32(_mm256_shuffle_epi8(low, first), _mm256_shuffle_epi8(high, first), 0x22);
    _mm_storeu_si128((__m128i *)p, _mm256_castsi256_si128(_mm256_permutevar8x32_epi32(words, order)));
}

INLINE void lanes_store_e4m3(e4m3_t *p, lanes_t x) { store_bytes(p, round_e4m3x8(x.low), round_e4m3x8(x.high)); }
INLINE void lanes_store_i8(i8_t *p, lanes_t x) { store_bytes(p, round_i8x8(x.low), round_i8x8(x.high)); }
INLINE void lanes_store_away_i8(i8_t *p, lanes_t x) { store_bytes(p, round_away_i8x8(x.low), round_away_i8x8(x.high)); }

INLINE lanes_t lanes_round_f16(lanes_t x)
{
    return lanes_of(_mm256_cvtph_ps(round_f16x8(x.low)), _mm256_cvtph_ps(round_f16x8(x.high)));
}

INLINE lanes_t lanes_round_bf16(lanes_t x)
{
    const __m256i upper = _mm256_set1_epi32((int)0xffff0000);
    return lanes_of(_mm256_castsi256_ps(_mm256_and_si256(round_high_bf16x8(x.low), upper)),
                    _mm256_castsi256_ps(_mm256_and_si256(round_high_bf16x8(x.high), upper)));
}

INLINE float lanes_fold(lanes_t x)
{
    const __m256 eight = _mm256_add_ps(x.low, x.high);
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Two heads in one register after the first step, four after the second; then pairs of lanes. */
INLINE void lanes_norm_factors(float *r, lanes_t a, lanes_t b, lanes_t c, lanes_t d, float count, float epsilon)
{
    const __m256 a8 = _mm256_add_ps(a.low, a.high), b8 = _mm256_add_ps(b.low, b.high);
    const __m256 c8 = _mm256_add_ps(c.low, c.high), d8 = _mm256_add_ps(d.low, d.high);
    const __m256 ac = _mm256_add_ps(_mm256_permute2f128_ps(a8, c8, 0x20), _mm256_permute2f128_ps(a8, c8, 0x31));
    const __m256 bd = _mm256_add_ps(_mm256_permute2f128_ps(b8, d8, 0x20), _mm256_permute2f128_ps(b8, d8, 0x31));
    const __m256 two = _mm256_add_ps(_mm256_shuffle_ps(ac, bd, 0x44), _mm256_shuffle_ps(ac, bd, 0xee));
    const __m256 one = _mm256_add_ps(two, _mm256_movehdup_ps(two));
    const __m128 sum = _mm_shuffle_ps(_mm256_castps256_ps128(one), _mm256_extractf128_ps(one, 1), 0x88);
    const __m128 mean = _mm_div_ps(sum, _mm_set1_ps(count));
    _mm_storeu_ps(r, _mm_div_ps(_mm_set1_ps(1.0f), _mm_sqrt_ps(_mm_add_ps(mean, _mm_set1_ps(epsilon)))));
}

INLINE float lanes_largest(lanes_t x)
{
    const __m256 eight = _mm256_max_ps(x.low, x.high);
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

#endif
