/* SPDX-License-Identifier: MIT
 * Every vector that the kernels of AVX2 take, as functions from memory to memory, compiled with their flags. */
#include "vec_avx2.h"

#include "vocabulary.h"

#define FAMILY    planar
#define HAS_MASKS 1
#define VEC       f32x8
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define VEC       f32x4
#include "vocabulary.inc.h"
#define VEC f32x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY even_odd
#define VEC    f32x16_eo
#include "vocabulary.inc.h"
#undef FAMILY

#define FAMILY    interleaved
#define HAS_16BIT 0
#define VEC       f32x8_dup
#include "vocabulary.inc.h"
#define VEC f32x4_dup
#include "vocabulary.inc.h"
#undef HAS_16BIT
#define HAS_16BIT 1
#define VEC       f32x8_swap
#include "vocabulary.inc.h"
#define VEC f32x4_swap
#include "vocabulary.inc.h"
#undef HAS_16BIT
#undef FAMILY

#define FAMILY doubles
#define VEC    f64x4
#include "vocabulary.inc.h"
#define VEC f64x1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_avx2 = { ROPEROT_ISA_AVX2,
                                     { &vector_f32x8, &vector_f32x4, &vector_f32x16_eo, &vector_f32x8_dup,
                                       &vector_f32x4_dup, &vector_f32x8_swap, &vector_f32x4_swap, &vector_f64x4,
                                       &vector_f32x1, &vector_f64x1, NULL } };
