/* SPDX-License-Identifier: MIT
 * Every vector that the kernels of SVE take, as functions from memory to memory, compiled with their flags. */
#include "vec_sve.h"

#include "vocabulary.h"

#define FAMILY    planar
#define HAS_MASKS 1
#define VEC       sve_f32
#include "vocabulary.inc.h"
#define VEC f32x4
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define VEC       f32x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY even_odd
#define VEC    f32x8_eo
#include "vocabulary.inc.h"
#undef FAMILY

#define FAMILY doubles
#define VEC    sve_f64
#include "vocabulary.inc.h"
#define VEC f64x2
#include "vocabulary.inc.h"
#define VEC f64x1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_sve = { ROPEROT_ISA_SVE,
                                    { &vector_sve_f32, &vector_f32x4, &vector_f32x8_eo, &vector_sve_f64, &vector_f64x2,
                                      &vector_f32x1, &vector_f64x1, NULL } };
