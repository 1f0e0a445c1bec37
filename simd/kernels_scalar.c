/* SPDX-License-Identifier: MIT
 * The scalar backend: every other one equals it bit for bit, and any CPU runs it. */
#include "lanes_scalar.h"
#include "vec_scalar.h"

#define ISA scalar
#define ISA_ID ROPEROT_ISA_SCALAR
#define ISA_NAME "scalar"
#define STREAM_ALIGN 1
#define COLUMNS 0 /* nothing to keep in registers */
#define GROUP_HEADS 1
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
#define normed_f16            none
#define normed_bf16           none

#include "kernels.inc.h"
