/* SPDX-License-Identifier: MIT
 * Norm and rotation of tame heads of bf16 for CPUs that round to bf16 in one instruction, VCVTNE2PS2BF16, and as fast
 * as they multiply; it must not know what tame is.
 *
 * That instruction rounds to nearest even, but takes denormal numbers for zeros and makes zeros of them, and what it
 * does with NaN is its own. Among tame heads neither comes up. */
#include "tame_avx512.h"

#define EXT avx512_bf16

typedef __m512i rounded_t;

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
    roperot_turned_norm_bf16_avx512(a, turned_strip_bf16_avx512_bf16);
}

const roperot_head_extension roperot_extension_avx512_bf16 = {
    .feature = ROPEROT_FEATURE_AVX512_BF16,
    .worth = ROPEROT_FEATURE_FAST_AVX512_BF16,
    .next = &roperot_extension_avx512_fma,
    .dtype = ROPEROT_FORMAT_bf16,
    .turned = { turned_norm_bf16_avx512_bf16, roperot_turned_weights_bf16_avx512, 64, 1, 64 },
};
