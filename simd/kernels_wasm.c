/* SPDX-License-Identifier: MIT
 * The WebAssembly backend (SIMD128): which vectors each kernel takes; it must not know what a kernel does. */
#include "lanes_scalar.h"
#include "vec_wasm.h"

#define ISA wasm
#define ISA_ID ROPEROT_ISA_WASM
#define ISA_NAME "wasm"
#define STREAM_ALIGN 1
#define COLUMNS 1
#define TURNED_VECS 2
#define HEADS_USUAL 0
#define PREFETCH_ELEMENTS 0

#define BLEND                 f32x4
#define COEFFICIENTS          f64x2
#define same_f32_half         f32x4
#define same_f32_interleaved  f32x4
#define same_f16_half         f32x4
#define same_f16_interleaved  f32x4
#define same_bf16_half        f32x4
#define same_bf16_interleaved f32x4
#define convert_half          f32x4
#define convert_interleaved   f32x4
#define repack                f32x4
#define normed_f32            none
#define normed_bf16           none

#include "far_usual.h"
#include "kernels.inc.h"
