/* SPDX-License-Identifier: MIT
 * What a runtime writes when it links no library; it must not know roperot. */
#ifndef BENCH_NAIVE_LOOP_H
#define BENCH_NAIVE_LOOP_H

#include <stddef.h>

/* [tokens, heads, dim] in place; cosines and sines are [tokens, dim / 2]. */
void naive_half(float *x, const float *cosines, const float *sines, ptrdiff_t tokens, ptrdiff_t heads, ptrdiff_t dim);
void naive_interleaved(float *x, const float *cosines, const float *sines, ptrdiff_t tokens, ptrdiff_t heads,
                       ptrdiff_t dim);

/* One token [heads, dim] in place, cos and sin made in the call: what a runtime without a table writes. */
typedef void naive_token_fn(void *x, ptrdiff_t heads, ptrdiff_t dim, int position, float base);

/* dtype: 0 f32, 1 f16, 2 bf16. NULL: this loop, compiler or CPU has no such floats. */
naive_token_fn *naive_token(int dtype, int half_split);

#endif
