/* SPDX-License-Identifier: MIT
 * The SVE backend, vector-length agnostic: which vectors each kernel takes; it must not know what a kernel does. */
#include "lanes_neon.h"
#include "vec_sve.h"

#define ISA sve
#define ISA_ID ROPEROT_ISA_SVE
#define ISA_NAME "sve"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define TURNED_VECS 2
#define HEADS_USUAL 1
#define PREFETCH_ELEMENTS 512

#define BLEND                 sve_f32
#define COEFFICIENTS          sve_f64, f64x2
#define same_f32_half         sve_f32, f32x4
#define same_f32_interleaved  sve_f32, f32x4
#define same_f16_half         sve_f32, f32x4
#define same_f16_interleaved  sve_f32, f32x4
#define same_bf16_half        sve_f32, f32x4
#define same_bf16_interleaved sve_f32, f32x4
#define convert_half          sve_f32, f32x4
#define convert_interleaved   sve_f32, f32x4
#define repack                sve_f32, f32x4
#define normed_f32            f32x4
#define normed_bf16           f32x8_eo

#include "far_usual.h"
#include "kernels.inc.h"
