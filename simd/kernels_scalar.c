/* SPDX-License-Identifier: MIT
 * The scalar backend: every other one equals it bit for bit, and any CPU runs it; it must not know what
 * a kernel does. */
#include "lanes_scalar.h"
#include "vec_scalar.h"

#define ISA scalar
#define ISA_ID ROPEROT_ISA_SCALAR
#define ISA_NAME "scalar"
#define STREAM_ALIGN 1
#define COLUMNS 0 /* nothing to keep in registers */
#define HEADS_USUAL 0
#define PREFETCH_ELEMENTS 0
INLINE void stream_end(void) {}

#define BLEND                 none
#define COEFFICIENTS          none
#define same_f32_half         none
#define same_f32_interleaved  none
#define same_f16_half         none
#define same_f16_interleaved  none
#define same_bf16_half        none
#define same_bf16_interleaved none
#define convert_half          none
#define convert_interleaved   none
#define repack                none
#define normed_f32            none
#define normed_bf16           none

/* Beyond the caches: vectors of a strip, heads of a group. */
#define far_f32_half          1, 1
#define far_f32_interleaved   1, 1
#define far_f16_half          1, 1
#define far_f16_interleaved   1, 1
#define far_bf16_half         1, 1
#define far_bf16_interleaved  1, 1
#define far_others            1, 1

#include "kernels.inc.h"
