/* SPDX-License-Identifier: MIT
 * The SVE backend, vector-length agnostic: which steps each kernel takes. */
#include "vec_sve.h"

#define ISA sve
#define ISA_ID ROPEROT_ISA_SVE
#define ISA_NAME "sve"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define ROWS_HEADS 4
#define PREFETCH_ELEMENTS 512

#define BLEND_COUNT 1
#define BLEND_0 s
#define COEFFICIENTS_COUNT 2
#define COEFFICIENTS_0 f64xn
#define COEFFICIENTS_1 q2
#define same_f32_half_COUNT 2
#define same_f32_half_0 s
#define same_f32_half_1 x4
#define same_f32_interleaved_COUNT 2
#define same_f32_interleaved_0 s
#define same_f32_interleaved_1 x4
#define same_f16_half_COUNT 2
#define same_f16_half_0 s
#define same_f16_half_1 x4
#define same_f16_interleaved_COUNT 2
#define same_f16_interleaved_0 s
#define same_f16_interleaved_1 x4
#define same_bf16_half_COUNT 2
#define same_bf16_half_0 s
#define same_bf16_half_1 x4
#define same_bf16_interleaved_COUNT 2
#define same_bf16_interleaved_0 s
#define same_bf16_interleaved_1 x4
#define mixed_half_COUNT 2
#define mixed_half_0 s
#define mixed_half_1 x4
#define mixed_interleaved_COUNT 2
#define mixed_interleaved_0 s
#define mixed_interleaved_1 x4
#define repair_COUNT 2
#define repair_0 s
#define repair_1 x4

#include "kernels.inc.h"
