/* SPDX-License-Identifier: MIT
 * Every vector that the kernels of RVV take, as functions from memory to memory, compiled with their flags. */
#include "vec_rvv.h"

#include "vocabulary.h"

#define FAMILY    planar
#define HAS_MASKS 1
#define VEC       rvv_f32
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define VEC       f32x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY doubles
#define VEC    rvv_f64
#include "vocabulary.inc.h"
#define VEC f64x1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_rvv = { ROPEROT_ISA_RVV,
                                    { &vector_rvv_f32, &vector_rvv_f64, &vector_f32x1, &vector_f64x1, NULL } };
