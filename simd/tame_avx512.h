/* SPDX-License-Identifier: MIT
 * What the kernels of AVX-512 for norm and rotation of bf16 heads share; it must not know how they round. */
#ifndef ROPEROT_TAME_AVX512_H
#define ROPEROT_TAME_AVX512_H

#include "lanes_avx512.h"
#include "vec_avx512.h"

#include "common.h"

/* Norm and rotation of 64 pairs, from pair j on, of some tame heads. */
typedef void roperot_turned_strip_fn(const heads_of_norm *heads, ptrdiff_t j);

/* Norm and rotation of all heads, tame ones by strips; and the weights for it. */
void roperot_turned_norm_bf16_avx512(const roperot_norm_of_heads *a, roperot_turned_strip_fn *strip);
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
