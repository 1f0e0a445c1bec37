/* SPDX-License-Identifier: MIT
 * Every step that the kernels of RVV take, as functions from memory to memory, compiled with their flags. */
#include "vec_rvv.h"

#include "vocabulary.h"

#define FAMILY    pairwise
#define HAS_MASKS 1
#define STEP      r
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define STEP      x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY doubles
#define STEP   f64xn
#include "vocabulary.inc.h"
#define STEP q1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_rvv = { ROPEROT_ISA_RVV, { &step_r, &step_f64xn, &step_x1, &step_q1, NULL } };
