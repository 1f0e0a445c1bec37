/* SPDX-License-Identifier: MIT
 * The RVV 1.0 backend, vector-length agnostic: which vectors each kernel takes; it must not know what a kernel does. */
#include "lanes_rvv.h"
#include "vec_rvv.h"

#define ISA rvv
#define ISA_ID ROPEROT_ISA_RVV
#define ISA_NAME "rvv"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define TURNED_VECS 2
#define HEADS_USUAL 1
#define PREFETCH_ELEMENTS 0

#define BLEND                 rvv_f32
#define COEFFICIENTS          rvv_f64
#define same_f32_half         rvv_f32
#define same_f32_interleaved  rvv_f32
#define same_f16_half         rvv_f32
#define same_f16_interleaved  rvv_f32
#define same_bf16_half        rvv_f32
#define same_bf16_interleaved rvv_f32
#define convert_half          rvv_f32
#define convert_interleaved   rvv_f32
#define repack                rvv_f32
#define normed_f32            rvv_f32
#define normed_bf16           rvv_f32

#include "far_usual.h"
#include "kernels.inc.h"
