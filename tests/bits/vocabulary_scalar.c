/* SPDX-License-Identifier: MIT
 * Every vector that the scalar kernels take, as functions from memory to memory, compiled with their flags. */
#include "vec_scalar.h"

#include "vocabulary.h"

#define FAMILY    planar
#define HAS_MASKS 1
#define VEC       f32x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY doubles
#define VEC    f64x1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_scalar = { ROPEROT_ISA_SCALAR, { &vector_f32x1, &vector_f64x1, NULL } };
