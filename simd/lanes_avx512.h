/* SPDX-License-Identifier: MIT
 * The vocabulary of lanes for AVX-512: 16 lanes are one register; verbs as in lanes_scalar.h. It knows no norm. */
#ifndef ROPEROT_LANES_AVX512_H
#define ROPEROT_LANES_AVX512_H

#define ROPEROT_HAVE_LANES
#define LANES_LARGEST_16 1
#define LANES_E4M3_64    1
#include "lanes_scalar.h"

#include <immintrin.h>

typedef __m512 lanes_t;

INLINE void norm_factors_f32x4(float *r, __m128 sum, float count, float epsilon)
{
    const __m128 mean = _mm_div_ps(sum, _mm_set1_ps(count));
    _mm_storeu_ps(r, _mm_div_ps(_mm_set1_ps(1.0f), _mm_sqrt_ps(_mm_add_ps(mean, _mm_set1_ps(epsilon)))));
}

INLINE lanes_t lanes_set1(float value) { return _mm512_set1_ps(value); }
INLINE lanes_t lanes_add(lanes_t x, lanes_t y) { return _mm512_add_ps(x, y); }
INLINE lanes_t lanes_sub(lanes_t x, lanes_t y) { return _mm512_sub_ps(x, y); }
INLINE lanes_t lanes_mul(lanes_t x, lanes_t y) { return _mm512_mul_ps(x, y); }
/* maxps gives its second operand where one is NaN. */
INLINE lanes_t lanes_larger(lanes_t x, lanes_t y) { return _mm512_max_ps(_mm512_abs_ps(y), x); }

INLINE lanes_t lanes_load_f32(const f32_t *p) { return _mm512_loadu_ps(p); }
INLINE lanes_t lanes_load_f16(const f16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)(const void *)p));
}

/* Elements that the upper halves of `from` name, of 32: one permutation puts them into the upper halves and zeros below
 * them. */
INLINE lanes_t lanes_pick_bf16(__m512i x, __m512i from)
{
    return _mm512_castsi512_ps(_mm512_maskz_permutexvar_epi16(0xaaaaaaaau, from, x));
}

INLINE lanes_t lanes_load_bf16(const bf16_t *p)
{
    const __m512i from = _mm512_setr_epi32(0x00000000, 0x00010000, 0x00020000, 0x00030000, 0x00040000, 0x00050000,
                                           0x00060000, 0x00070000, 0x00080000, 0x00090000, 0x000a0000, 0x000b0000,
                                           0x000c0000, 0x000d0000, 0x000e0000, 0x000f0000);
    return lanes_pick_bf16(_mm512_castsi256_si512(_mm256_loadu_si256((const __m256i *)(const void *)p)), from);
}

INLINE lanes_t lanes_load_e4m3(const e4m3_t *p)
{
    const __m512i code = _mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p));
    const __m512i fields = _mm512_and_si512(code, _mm512_set1_epi32(0x7f));
    const __m512 value = _mm512_mul_ps(_mm512_castsi512_ps(_mm512_slli_epi32(fields, 20)), _mm512_set1_ps(0x1p120f));
    const __m512i sign = _mm512_slli_epi32(_mm512_and_si512(code, _mm512_set1_epi32(0x80)), 24);
    const __m512i result = _mm512_or_si512(_mm512_castps_si512(value), sign);
    const __mmask16 nan = _mm512_cmpeq_epi32_mask(fields, _mm512_set1_epi32(0x7f));
    return _mm512_castsi512_ps(_mm512_mask_mov_epi32(result, nan, _mm512_set1_epi32(0x7fc00000)));
}

INLINE lanes_t lanes_load_i8(const i8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)(const void *)p)));
}

/* As round_bf16; the result in the upper halves, whose lower ones are left. */
INLINE __m512i lanes_high_bf16(lanes_t x)
{
    const __m512i bits = _mm512_castps_si512(x),
                  odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x400000));
    return _mm512_mask_mov_epi32(rounded, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), quiet);
}

INLINE __m256i lanes_to_f16(lanes_t x) { return _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }

INLINE void lanes_store_f32(f32_t *p, lanes_t x) { _mm512_storeu_ps(p, x); }
INLINE void lanes_store_f16(f16_t *p, lanes_t x) { _mm256_storeu_si256((__m256i *)(void *)p, lanes_to_f16(x)); }
INLINE void lanes_store_bf16(bf16_t *p, lanes_t x)
{
    _mm256_storeu_si256((__m256i *)(void *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(lanes_high_bf16(x), 16)));
}

INLINE void store_bytes(void *p, __m512i x) { _mm_storeu_si128((__m128i *)p, _mm512_cvtepi32_epi8(x)); }

/* The code of |x| in the lowest byte; what is above it is left. |x|, at most 448 (and that for NaN), added to 2^20
 * times its power of two: it is rounded where the last place of its code is, to nearest even, and the sum has the
 * exponent in bits 23 to 30 and the rest of the code in its lowest ones. 0x98 there makes up for the bias. Below 2^-6
 * codes are as far apart as there. */
INLINE __m512i code_e4m3(lanes_t x)
{
    enum { LESS_MAGNITUDE = 2, NO_SIGN = 2 << 2 };
    const lanes_t magnitude = _mm512_range_ps(x, _mm512_set1_ps(448.0f), LESS_MAGNITUDE | NO_SIGN);
    const __m512i power = _mm512_and_si512(_mm512_castps_si512(magnitude), _mm512_set1_epi32(0x7f800000));
    const __m512i up = _mm512_add_epi32(_mm512_max_epi32(power, _mm512_set1_epi32((127 - 6) << 23)),
                                        _mm512_set1_epi32((20 << 23) + 0x98));
    const __m512i sum = _mm512_castps_si512(_mm512_add_ps(magnitude, _mm512_castsi512_ps(up)));
    return _mm512_add_epi32(sum, _mm512_srli_epi32(sum, 20));
}

INLINE void lanes_store_e4m3(e4m3_t *p, lanes_t x)
{
    const __m512i all = _mm512_castps_si512(x);
    const __m512i byte =
        _mm512_ternarylogic_epi32(code_e4m3(x), _mm512_srli_epi32(all, 24), _mm512_set1_epi32(0x80), 0xd8);
    store_bytes(p, _mm512_mask_mov_epi32(byte, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_epi32(0x7f)));
}

/* `low` where mask has bits, else `high`. */
INLINE __m512i either(int mask, __m512i low, __m512i high)
{
    return _mm512_ternarylogic_epi32(_mm512_set1_epi32(mask), low, high, 0xca);
}

/* As four of lanes_store_e4m3 if it says 1: nothing is NaN. Lowest bytes are gathered by shifts, and signs by packs,
 * whose saturation keeps them: few of these take Intel's port 5. Until the last permutation, a quarter of 128 bits has
 * four bytes of each register. */
INLINE int lanes_store_64_e4m3(e4m3_t *p, lanes_t x0, lanes_t x1, lanes_t x2, lanes_t x3)
{
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    const __m512i transposed = _mm512_set4_epi32(0x0f0b0703, 0x0e0a0602, 0x0d090501, 0x0c080400);
    const __m512i low = either(0xff, code_e4m3(x0), _mm512_slli_epi32(code_e4m3(x1), 8)),
                  high = either(0xff, code_e4m3(x2), _mm512_slli_epi32(code_e4m3(x3), 8));
    const __m512i codes = _mm512_shuffle_epi8(either(0xffff, low, _mm512_slli_epi32(high, 16)), transposed);
    const __m512i signs = _mm512_packs_epi16(_mm512_packs_epi32(_mm512_castps_si512(x0), _mm512_castps_si512(x1)),
                                             _mm512_packs_epi32(_mm512_castps_si512(x2), _mm512_castps_si512(x3)));
    _mm512_storeu_si512((void *)p, _mm512_permutexvar_epi32(order, either((int)0x80808080, signs, codes)));
    const __mmask16 nan = _mm512_cmp_ps_mask(x0, x1, _CMP_UNORD_Q) | _mm512_cmp_ps_mask(x2, x3, _CMP_UNORD_Q);
    return nan == 0;
}

/* minps and maxps give their second operand where one is NaN, which then converts to INT32_MIN: 0 in the low byte. */
INLINE lanes_t lanes_clamp_i8(lanes_t x)
{
    return _mm512_max_ps(_mm512_set1_ps(-127.0f), _mm512_min_ps(_mm512_set1_ps(127.0f), x));
}

INLINE void lanes_store_i8(i8_t *p, lanes_t x) { store_bytes(p, _mm512_cvtps_epi32(lanes_clamp_i8(x))); }

INLINE void lanes_store_away_i8(i8_t *p, lanes_t x)
{
    const lanes_t value = lanes_clamp_i8(x);
    const lanes_t whole = _mm512_roundscale_ps(value, _MM_FROUND_TO_ZERO | _MM_FROUND_NO_EXC);
    const lanes_t rest = _mm512_sub_ps(value, whole);
    const __m512i code = _mm512_cvttps_epi32(whole), one = _mm512_set1_epi32(1);
    const __mmask16 up = _mm512_cmp_ps_mask(rest, _mm512_set1_ps(0.5f), _CMP_GE_OQ),
                    down = _mm512_cmp_ps_mask(rest, _mm512_set1_ps(-0.5f), _CMP_LE_OQ);
    store_bytes(p, _mm512_mask_sub_epi32(_mm512_mask_add_epi32(code, up, code, one), down, code, one));
}

INLINE lanes_t lanes_round_f16(lanes_t x) { return _mm512_cvtph_ps(lanes_to_f16(x)); }
INLINE lanes_t lanes_round_bf16(lanes_t x)
{
    return _mm512_castsi512_ps(_mm512_and_si512(lanes_high_bf16(x), _mm512_set1_epi32((int)0xffff0000)));
}

INLINE float lanes_fold(lanes_t x)
{
    const __m256 eight = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_add_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

/* Two heads in one register after the first step, four after the second; then within quarters of 128 bits. */
INLINE void lanes_norm_factors(float *r, lanes_t a, lanes_t b, lanes_t c, lanes_t d, float count, float epsilon)
{
    const __m512 ab = _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
    const __m512 cd = _mm512_add_ps(_mm512_shuffle_f32x4(c, d, 0x44), _mm512_shuffle_f32x4(c, d, 0xee));
    const __m512 four = _mm512_add_ps(_mm512_shuffle_f32x4(ab, cd, 0x88), _mm512_shuffle_f32x4(ab, cd, 0xdd));
    const __m512 two = _mm512_add_ps(four, _mm512_permute_ps(four, 0xee));
    const __m512 one = _mm512_add_ps(two, _mm512_movehdup_ps(two));
    const __m512i first = _mm512_setr_epi32(0, 4, 8, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
    norm_factors_f32x4(r, _mm512_castps512_ps128(_mm512_permutexvar_ps(first, one)), count, epsilon);
}

INLINE float lanes_largest(lanes_t x)
{
    const __m256 eight = _mm256_max_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
    const __m128 four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps(eight, 1));
    const __m128 two = _mm_max_ps(four, _mm_movehl_ps(four, four));
    return _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)));
}

/* Magnitudes order as their bits do, and NaN is above all of them. */
INLINE uint16_t lanes_largest_16(const uint16_t *p, ptrdiff_t n, int infinite)
{
    const __m512i fields = _mm512_set1_epi16(0x7fff), last = _mm512_set1_epi16((short)infinite);
    __m512i most = _mm512_setzero_si512();
    for (ptrdiff_t i = 0; i < n; i += 32) {
        const __m512i x = _mm512_and_si512(_mm512_loadu_si512((const void *)(p + i)), fields);
        most = _mm512_mask_max_epi16(most, _mm512_cmple_epi16_mask(x, last), most, x);
    }
    const __m256i half = _mm256_max_epi16(_mm512_castsi512_si256(most), _mm512_extracti64x4_epi64(most, 1));
    const __m128i quarter = _mm_max_epi16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
    const __m128i least = _mm_minpos_epu16(_mm_xor_si128(quarter, _mm_set1_epi16(-1)));
    return (uint16_t)~_mm_extract_epi16(least, 0);
}

#endif
