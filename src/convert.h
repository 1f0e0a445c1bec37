/* SPDX-License-Identifier: MIT
 * Copies of channels that are not rotated, with conversion, and of whole tokens left alone; it must not know plans. */
#ifndef ROPEROT_CONVERT_H
#define ROPEROT_CONVERT_H

#include <stddef.h>
#include <stdint.h>

/* n elements, `src_step` and `dst_step` elements apart; one rounding. Same dtype: the same bytes. */
void roperot_convert(const void *src, int32_t src_dtype, ptrdiff_t src_step, void *dst, int32_t dst_dtype,
                     ptrdiff_t dst_step, ptrdiff_t n);

#endif
