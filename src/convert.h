/* SPDX-License-Identifier: MIT
 * Copies of channels that are not rotated, with conversion, and of whole tokens left alone; it must not know plans. */
#ifndef ROPEROT_CONVERT_H
#define ROPEROT_CONVERT_H

#include <stddef.h>
#include <stdint.h>

/* n elements, `src_step` and `dst_step` elements apart; one rounding. Same dtype: the same bytes. */
void roperot_convert(const void *src, int32_t src_dtype, ptrdiff_t src_step, void *dst, int32_t dst_dtype,
                     ptrdiff_t dst_step, ptrdiff_t n);

/* The heads of a token, here and there; from head to head in bytes. */
typedef struct roperot_heads_copy {
    int64_t heads;
    int64_t src_head, dst_head;
    int32_t src_dtype, dst_dtype;
} roperot_heads_copy;

/* What IDENTITY leaves alone: the pairs from channel `first` on, from one ROPEROT_PAIR_... to the other or the same. */
void roperot_convert_pairs(const roperot_heads_copy *c, const char *src, char *dst, int32_t first, int32_t pairs,
                           int32_t in, int32_t out);

/* Pass-through: the channels of `dim` on both sides of the `count` from `first` on. */
void roperot_convert_beside(const roperot_heads_copy *c, const char *src, char *dst, int32_t first, int32_t count,
                            int64_t dim);

#endif
