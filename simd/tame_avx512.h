/* SPDX-License-Identifier: MIT
 * What the kernels of AVX-512 for norm and rotation of bf16 heads share; it must not know how they round. */
#ifndef ROPEROT_TAME_AVX512_H
#define ROPEROT_TAME_AVX512_H

#include "lanes_avx512.h"
#include "vec_avx512.h"

#include "common.h"

#define LEAST_X ((127 - 24) << 7) /* of a tame head, as bf16 */

/* In the highest bit of each number: whether all so far are LEAST_X or more. Adding to the magnitude carries into that
 * bit if it is, and turns the sign that is there. */
typedef __m512i watch_t;
INLINE watch_t start_watch(void) { return _mm512_set1_epi16(-1); }
INLINE watch_t watch(watch_t so_far, __m512i x)
{
    const __m512i carried = _mm512_add_epi16(x, _mm512_set1_epi16((short)(0x8000 - LEAST_X)));
    return _mm512_ternarylogic_epi32(so_far, carried, x, 0x60); /* so_far & (carried ^ x) */
}

/* Heads i to i + 3 of up to eight, `step` bytes apart; in place of missing ones, one that is there. */
typedef struct four_heads {
    const char *a, *b, *c, *d;
} four_heads;

INLINE four_heads four_of_group(const char *x, ptrdiff_t step, ptrdiff_t heads, ptrdiff_t i)
{
    const char *const a = heads > i ? x + i * step : x, *const b = heads > i + 1 ? a + step : a;
    const char *const c = heads > i + 2 ? b + step : b, *const d = heads > i + 3 ? c + step : c;
    const four_heads four = { a, b, c, d };
    return four;
}

/* The recipe's sums of squares of up to eight heads, right if all are tame; `seen` watches all their elements. */
typedef __m256 roperot_sums_of_group_fn(const char *x, ptrdiff_t step, ptrdiff_t heads, ptrdiff_t bytes, watch_t *seen);

/* Norm and rotation of 64 pairs, from pair j on, of some tame heads. */
typedef void roperot_turned_strip_fn(const heads_of_norm *heads, ptrdiff_t j);

/* Norm and rotation of all heads, tame ones by strips; and the weights for it. */
void roperot_turned_norm_bf16_avx512(const roperot_norm_of_heads *a, roperot_sums_of_group_fn *sums,
                                     roperot_turned_strip_fn *strip);
int roperot_turned_weights_bf16_avx512(float *out, const void *weight, int32_t dtype, int unit_offset,
                                       ptrdiff_t channels);

typedef struct wide {
    __m512 first, second;
} wide;

INLINE wide load_wide(const float *p)
{
    const wide x = { _mm512_loadu_ps(p), _mm512_loadu_ps(p + 16) };
    return x;
}

INLINE wide split_wide(__m512i x)
{
    wide both;
    f32x16_split_bf16(x, &both.first, &both.second);
    return both;
}

/* From elements in order to the even ones and the odd ones, and back. */
INLINE wide deinterleaved(wide x)
{
    wide both;
    f32x16_deinterleave(x.first, x.second, &both.first, &both.second);
    return both;
}

INLINE wide interleaved(wide x)
{
    wide both;
    f32x16_interleave(x.first, x.second, &both.first, &both.second);
    return both;
}

#endif
