/* SPDX-License-Identifier: MIT
 * The RVV 1.0 backend, vector-length agnostic: which steps each kernel takes. */
#include "vec_rvv.h"

#define ISA rvv
#define ISA_ID ROPEROT_ISA_RVV
#define ISA_NAME "rvv"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define ROWS_HEADS 4
#define PREFETCH_ELEMENTS 0

#define BLEND_COUNT 1
#define BLEND_0 r
#define COEFFICIENTS_COUNT 1
#define COEFFICIENTS_0 f64xn
#define same_f32_half_COUNT 1
#define same_f32_half_0 r
#define same_f32_interleaved_COUNT 1
#define same_f32_interleaved_0 r
#define same_f16_half_COUNT 1
#define same_f16_half_0 r
#define same_f16_interleaved_COUNT 1
#define same_f16_interleaved_0 r
#define same_bf16_half_COUNT 1
#define same_bf16_half_0 r
#define same_bf16_interleaved_COUNT 1
#define same_bf16_interleaved_0 r
#define mixed_half_COUNT 1
#define mixed_half_0 r
#define mixed_interleaved_COUNT 1
#define mixed_interleaved_0 r
#define repair_COUNT 1
#define repair_0 r

#include "kernels.inc.h"
