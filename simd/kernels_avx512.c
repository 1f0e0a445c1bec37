/* SPDX-License-Identifier: MIT
 * The AVX-512 backend: which steps each kernel takes. */
#include "vec_avx512.h"

#define ISA avx512
#define ISA_ID ROPEROT_ISA_AVX512
#define ISA_NAME "avx512"
#define STREAM_ALIGN 64
#define COLUMNS 1
#define ROWS_HEADS 4
#define PREFETCH_ELEMENTS 1024

#define BLEND_COUNT 1
#define BLEND_0 x16
#define COEFFICIENTS_COUNT 2
#define COEFFICIENTS_0 q8
#define COEFFICIENTS_1 q4
#define same_f32_half_COUNT 3
#define same_f32_half_0 x16
#define same_f32_half_1 x8
#define same_f32_half_2 x4
#define same_f32_interleaved_COUNT 3
#define same_f32_interleaved_0 d16
#define same_f32_interleaved_1 d8
#define same_f32_interleaved_2 d4
#define same_f16_half_COUNT 3
#define same_f16_half_0 x16
#define same_f16_half_1 x8
#define same_f16_half_2 x4
#define same_f16_interleaved_COUNT 3
#define same_f16_interleaved_0 t16
#define same_f16_interleaved_1 t8
#define same_f16_interleaved_2 t4
#define same_bf16_half_COUNT 4
#define same_bf16_half_0 e32
#define same_bf16_half_1 x16
#define same_bf16_half_2 x8
#define same_bf16_half_3 x4
#define same_bf16_interleaved_COUNT 3
#define same_bf16_interleaved_0 x16
#define same_bf16_interleaved_1 x8
#define same_bf16_interleaved_2 x4
#define mixed_half_COUNT 3
#define mixed_half_0 x16
#define mixed_half_1 x8
#define mixed_half_2 x4
#define mixed_interleaved_COUNT 3
#define mixed_interleaved_0 t16
#define mixed_interleaved_1 t8
#define mixed_interleaved_2 t4
#define repair_COUNT 3
#define repair_0 x16
#define repair_1 x8
#define repair_2 x4

#include "kernels.inc.h"
