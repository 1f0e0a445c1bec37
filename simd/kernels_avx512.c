/* SPDX-License-Identifier: MIT
 * The AVX-512 backend: which vectors each kernel takes; it must not know what a kernel does. */
#define ROPEROT_TAILS_ONLY
#include "lanes_avx512.h"
#include "vec_avx512.h"

#define ISA avx512
#define ISA_ID ROPEROT_ISA_AVX512
#define ISA_NAME "avx512"
#define STREAM_ALIGN 64
#define COLUMNS 1
#define TURNED_VECS 4
#define HEADS_USUAL 1
#define PREFETCH_ELEMENTS 1024

#define BLEND                 f32x16
#define COEFFICIENTS          f64x8, f64x4
#define same_f32_half         f32x16, f32x8, f32x4
#define same_f32_interleaved  f32x16_dup, f32x8_dup, f32x4_dup
#define same_f16_half         f32x16, f32x8, f32x4
#define same_f16_interleaved  f32x16_swap, f32x8_swap, f32x4_swap
#define same_bf16_half        f32x32_eo, f32x16, f32x8, f32x4
#define same_bf16_interleaved f32x16, f32x8, f32x4
#define convert_half          f32x16, f32x8, f32x4
#define convert_interleaved   f32x16_swap, f32x8_swap, f32x4_swap
#define repack                f32x16, f32x8, f32x4
#define normed_f32            f32x16
#define normed_bf16           f32x32_eo

/* Beyond the caches: vectors of a strip, heads of a group. */
#define far_f32_half          4, 4
#define far_f32_interleaved   8, 4
#define far_f16_half          4, 4
#define far_f16_interleaved   8, 4
#define far_bf16_half         2, 4
#define far_bf16_interleaved  4, 4
#define far_others            1, 4

#if ROPEROT_HAVE_AVX512_BF16
#define EXTENSION roperot_extension_avx512_bf16
#elif ROPEROT_HAVE_AVX512_FMA
#define EXTENSION roperot_extension_avx512_fma
#endif

#include "kernels.inc.h"
