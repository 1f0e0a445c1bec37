/* SPDX-License-Identifier: MIT
 * The scalar backend: every other one equals it bit for bit, and any CPU runs it. */
#include "vec_scalar.h"

#define ISA scalar
#define ISA_ID ROPEROT_ISA_SCALAR
#define ISA_NAME "scalar"
#define STREAM_ALIGN 1
#define COLUMNS 0 /* nothing to keep in registers */
#define ROWS_HEADS 1
#define PREFETCH_ELEMENTS 0
INLINE void stream_end(void) {}

#define BLEND_COUNT 0
#define COEFFICIENTS_COUNT 0
#define same_f32_half_COUNT 0
#define same_f32_interleaved_COUNT 0
#define same_f16_half_COUNT 0
#define same_f16_interleaved_COUNT 0
#define same_bf16_half_COUNT 0
#define same_bf16_interleaved_COUNT 0
#define mixed_half_COUNT 0
#define mixed_interleaved_COUNT 0
#define repair_COUNT 0

#include "kernels.inc.h"
