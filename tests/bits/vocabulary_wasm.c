/* SPDX-License-Identifier: MIT
 * Every vector that the kernels of WebAssembly take, as functions from memory to memory, compiled with their flags. */
#include "vec_wasm.h"

#include "vocabulary.h"

#define FAMILY    planar
#define HAS_MASKS 1
#define VEC       f32x4
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define VEC       f32x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY doubles
#define VEC    f64x2
#include "vocabulary.inc.h"
#define VEC f64x1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_wasm = { ROPEROT_ISA_WASM,
                                     { &vector_f32x4, &vector_f64x2, &vector_f32x1, &vector_f64x1, NULL } };
