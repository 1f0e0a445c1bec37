/* SPDX-License-Identifier: MIT
 * The AVX2 backend (with F16C): which steps each kernel takes. */
#include "vec_avx2.h"

#define ISA avx2
#define ISA_ID ROPEROT_ISA_AVX2
#define ISA_NAME "avx2"
#define STREAM_ALIGN 64
#define COLUMNS 1
#define ROWS_HEADS 4
#define PREFETCH_ELEMENTS 1024

#define BLEND_COUNT 1
#define BLEND_0 x8
#define COEFFICIENTS_COUNT 1
#define COEFFICIENTS_0 q4
#define same_f32_half_COUNT 2
#define same_f32_half_0 x8
#define same_f32_half_1 x4
#define same_f32_interleaved_COUNT 2
#define same_f32_interleaved_0 d8
#define same_f32_interleaved_1 d4
#define same_f16_half_COUNT 2
#define same_f16_half_0 x8
#define same_f16_half_1 x4
#define same_f16_interleaved_COUNT 2
#define same_f16_interleaved_0 t8
#define same_f16_interleaved_1 t4
#define same_bf16_half_COUNT 3
#define same_bf16_half_0 e16
#define same_bf16_half_1 x8
#define same_bf16_half_2 x4
#define same_bf16_interleaved_COUNT 2
#define same_bf16_interleaved_0 x8
#define same_bf16_interleaved_1 x4
#define mixed_half_COUNT 2
#define mixed_half_0 x8
#define mixed_half_1 x4
#define mixed_interleaved_COUNT 2
#define mixed_interleaved_0 t8
#define mixed_interleaved_1 t4
#define repair_COUNT 2
#define repair_0 x8
#define repair_1 x4

#include "kernels.inc.h"
