/* SPDX-License-Identifier: MIT
 * What a runtime writes when it links no library; it must not know roperot. */
#ifndef BENCH_NAIVE_LOOP_H
#define BENCH_NAIVE_LOOP_H

#include <stddef.h>

/* [tokens, heads, dim] in place; cosines and sines are [tokens, dim / 2]. */
void naive_half(float *x, const float *cosines, const float *sines, ptrdiff_t tokens, ptrdiff_t heads, ptrdiff_t dim);
void naive_interleaved(float *x, const float *cosines, const float *sines, ptrdiff_t tokens, ptrdiff_t heads,
                       ptrdiff_t dim);

#endif
