/* SPDX-License-Identifier: MIT
 * Norm and rotation of tame heads of bf16 for CPUs that round to bf16 in one instruction, VCVTNE2PS2BF16, and as fast
 * as they multiply; it must not know what tame is.
 *
 * That instruction and VDPBF16PS round to nearest even, but take denormal numbers for zeros and make zeros of them, and
 * what they do with NaN is their own. Among tame heads neither comes up. */
#include "tame_avx512.h"

#define EXT avx512_bf16

typedef __m512i rounded_t;

/* ---- sums of squares --------------------------------------------------------------------------------------------- */

/* The next 32 channels of a head. VDPBF16PS adds the product of the upper numbers of a lane and rounds, then adds that
 * of the lower ones and rounds again. The recipe adds channel l to lane l first and channel l + 16 next, so that the
 * former goes above the latter. The squares are exact. */
INLINE __m512 add_squares(__m512 sum, const char *x, watch_t *seen)
{
    const __m512i order = _mm512_setr_epi32(0x00000010, 0x00010011, 0x00020012, 0x00030013, 0x00040014, 0x00050015,
                                            0x00060016, 0x00070017, 0x00080018, 0x00090019, 0x000a001a, 0x000b001b,
                                            0x000c001c, 0x000d001d, 0x000e001e, 0x000f001f);
    const __m512i in_order = _mm512_loadu_si512((const void *)x);
    const __m512bh pairs = (__m512bh)_mm512_permutexvar_epi16(order, in_order);
    *seen = watch(*seen, in_order);
    return _mm512_dpbf16_ps(sum, pairs, pairs);
}

/* Two heads from 16 lanes to 8 each. (Sums by fused additions lie otherwise, and fold otherwise.) */
INLINE __m512 fold_two(__m512 a, __m512 b)
{
    return _mm512_add_ps(_mm512_shuffle_f32x4(a, b, 0x44), _mm512_shuffle_f32x4(a, b, 0xee));
}

/* Four heads to 4 lanes each, in their order. */
INLINE __m512 squares_of_four(four_heads x, ptrdiff_t bytes, watch_t *seen)
{
    __m512 a = _mm512_setzero_ps(), b = a, c = a, d = a;
    NO_UNROLL
    for (ptrdiff_t at = 0; at < bytes; at += 32 * (ptrdiff_t)sizeof(bf16_t)) {
        a = add_squares(a, x.a + at, seen);
        b = add_squares(b, x.b + at, seen);
        c = add_squares(c, x.c + at, seen);
        d = add_squares(d, x.d + at, seen);
    }
    const __m512 low = fold_two(a, b), high = fold_two(c, d);
    return _mm512_add_ps(_mm512_shuffle_f32x4(low, high, 0x88), _mm512_shuffle_f32x4(low, high, 0xdd));
}

/* Heads 0 to 3 and 4 to 7: to two lanes of heads k and k + 4 side by side, and to one, in order. */
INLINE __m256 fold_eight(__m512 a, __m512 b)
{
    const __m512 two = _mm512_add_ps(_mm512_shuffle_ps(a, b, 0x44), _mm512_shuffle_ps(a, b, 0xee));
    const __m256 x = _mm512_castps512_ps256(two), y = _mm512_extractf32x8_ps(two, 1);
    const __m256 one = _mm256_add_ps(_mm256_shuffle_ps(x, y, 0x88), _mm256_shuffle_ps(x, y, 0xdd));
    return _mm256_permutexvar_ps(_mm256_setr_epi32(0, 4, 2, 6, 1, 5, 3, 7), one);
}

static __m256 sums_by_dot_products(const char *x, ptrdiff_t step, ptrdiff_t heads, ptrdiff_t bytes, watch_t *seen)
{
    __m512 four[2];
    watch_t all = *seen;
    NO_UNROLL
    for (int i = 0; i < 2; i++) four[i] = squares_of_four(four_of_group(x, step, heads, 4 * i), bytes, &all);
    *seen = all;
    return fold_eight(four[0], four[1]);
}

/* ---- the strip --------------------------------------------------------------------------------------------------- */

/* Elements first, first + 16, first + 1, first + 17 .. first + 23 of a vector, first 0 or 8. What is packed from these
 * two has elements 0 .. 15 in its even places, and 16 .. 31 in its odd ones, so that f32x16_split_bf16, which takes no
 * turn at port 5, widens it again in order. */
INLINE __m512 woven(__m512i x, const int first)
{
    const __m512i from = _mm512_setr_epi32(0x00000000, 0x00100000, 0x00010000, 0x00110000, 0x00020000, 0x00120000,
                                           0x00030000, 0x00130000, 0x00040000, 0x00140000, 0x00050000, 0x00150000,
                                           0x00060000, 0x00160000, 0x00070000, 0x00170000);
    return lanes_pick_bf16(x, _mm512_add_epi32(from, _mm512_set1_epi32(first << 16)));
}

INLINE wide spread(__m512i x)
{
    const wide both = { woven(x, 0), woven(x, 8) };
    return both;
}

INLINE rounded_t rounded(wide x) { return (__m512i)_mm512_cvtne2ps_pbh(x.second, x.first); }
INLINE wide widened(rounded_t n) { return split_wide(n); }
INLINE __m512i packed(wide x) { return rounded(x); }
INLINE wide ordered_weights(wide x)
{
    const wide in_order = interleaved(x);
    return interleaved(in_order);
}
INLINE wide ordered_row(wide x) { return x; }

#include "turned_strip_avx512.inc.h"

static void turned_norm_bf16_avx512_bf16(const roperot_norm_of_heads *a)
{
    roperot_turned_norm_bf16_avx512(a, sums_by_dot_products, turned_strip_bf16_avx512_bf16);
}

const roperot_head_extension roperot_extension_avx512_bf16 = {
    .feature = ROPEROT_FEATURE_AVX512_BF16,
    .worth = ROPEROT_FEATURE_FAST_AVX512_BF16,
    .next = &roperot_extension_avx512_fma,
    .dtype = ROPEROT_FORMAT_bf16,
    .turned = { turned_norm_bf16_avx512_bf16, roperot_turned_weights_bf16_avx512, 64, 1, 64 },
};
