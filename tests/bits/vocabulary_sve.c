/* SPDX-License-Identifier: MIT
 * Every step that the kernels of SVE take, as functions from memory to memory, compiled with their flags. */
#include "vec_sve.h"

#include "vocabulary.h"

#define FAMILY    pairwise
#define HAS_MASKS 1
#define STEP      s
#include "vocabulary.inc.h"
#define STEP x4
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define STEP      x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY even_odd
#define STEP   e8
#include "vocabulary.inc.h"
#undef FAMILY

#define FAMILY doubles
#define STEP   f64xn
#include "vocabulary.inc.h"
#define STEP q2
#include "vocabulary.inc.h"
#define STEP q1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_sve = { ROPEROT_ISA_SVE,
                                    { &step_s, &step_x4, &step_e8, &step_f64xn, &step_q2, &step_x1, &step_q1,
                                      NULL } };
