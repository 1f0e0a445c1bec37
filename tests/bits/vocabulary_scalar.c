/* SPDX-License-Identifier: MIT
 * Every step that the scalar kernels take, as functions from memory to memory, compiled with their flags. */
#include "vec_scalar.h"

#include "vocabulary.h"

#define FAMILY    pairwise
#define HAS_MASKS 1
#define STEP      x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY doubles
#define STEP   q1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_scalar = { ROPEROT_ISA_SCALAR, { &step_x1, &step_q1, NULL } };
