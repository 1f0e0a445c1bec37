/* SPDX-License-Identifier: MIT
 * The NEON backend: which steps each kernel takes. */
#include "vec_neon.h"

#define ISA neon
#define ISA_ID ROPEROT_ISA_NEON
#define ISA_NAME "neon"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define ROWS_HEADS 4
#define PREFETCH_ELEMENTS 512

#define BLEND_COUNT 1
#define BLEND_0 x4
#define COEFFICIENTS_COUNT 1
#define COEFFICIENTS_0 q2
#define same_f32_half_COUNT 1
#define same_f32_half_0 x4
#define same_f32_interleaved_COUNT 1
#define same_f32_interleaved_0 x4
#define same_f16_half_COUNT 1
#define same_f16_half_0 x4
#define same_f16_interleaved_COUNT 1
#define same_f16_interleaved_0 x4
#define same_bf16_half_COUNT 2
#define same_bf16_half_0 e8
#define same_bf16_half_1 x4
#define same_bf16_interleaved_COUNT 1
#define same_bf16_interleaved_0 x4
#define mixed_half_COUNT 1
#define mixed_half_0 x4
#define mixed_interleaved_COUNT 1
#define mixed_interleaved_0 x4
#define repair_COUNT 1
#define repair_0 x4

#include "kernels.inc.h"
