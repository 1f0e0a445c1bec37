/* SPDX-License-Identifier: MIT
 * The NEON backend: which vectors each kernel takes; it must not know what a kernel does. */
#include "lanes_neon.h"
#include "vec_neon.h"

#define ISA neon
#define ISA_ID ROPEROT_ISA_NEON
#define ISA_NAME "neon"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define TURNED_VECS 2
#define HEADS_USUAL 1
#define PREFETCH_ELEMENTS 512

#define BLEND                 f32x4
#define COEFFICIENTS          f64x2
#define same_f32_half         f32x4
#define same_f32_interleaved  f32x4
#define same_f16_half         f32x4
#define same_f16_interleaved  f32x4
#define same_bf16_half        f32x8_eo, f32x4
#define same_bf16_interleaved f32x4
#define convert_half          f32x4
#define convert_interleaved   f32x4
#define repack                f32x4
#define normed_f32            f32x4
#define normed_bf16           f32x8_eo

#include "far_usual.h"
#include "kernels.inc.h"
