/* SPDX-License-Identifier: MIT
 * Every step that the kernels of AVX-512 take, as functions from memory to memory, compiled with their flags. */
#include "vec_avx512.h"

#include "vocabulary.h"

#define FAMILY    pairwise
#define HAS_MASKS 1
#define STEP      x16
#include "vocabulary.inc.h"
#define STEP x8
#include "vocabulary.inc.h"
#undef HAS_MASKS
#define HAS_MASKS 0
#define STEP      x4
#include "vocabulary.inc.h"
#define STEP x1
#include "vocabulary.inc.h"
#undef HAS_MASKS
#undef FAMILY

#define FAMILY even_odd
#define STEP   e32
#include "vocabulary.inc.h"
#define STEP e16
#include "vocabulary.inc.h"
#undef FAMILY

#define FAMILY    lanewise
#define HAS_16BIT 0
#define STEP      d16
#include "vocabulary.inc.h"
#define STEP d8
#include "vocabulary.inc.h"
#define STEP d4
#include "vocabulary.inc.h"
#undef HAS_16BIT
#define HAS_16BIT 1
#define STEP      t16
#include "vocabulary.inc.h"
#define STEP t8
#include "vocabulary.inc.h"
#define STEP t4
#include "vocabulary.inc.h"
#undef HAS_16BIT
#undef FAMILY

#define FAMILY doubles
#define STEP   q8
#include "vocabulary.inc.h"
#define STEP q4
#include "vocabulary.inc.h"
#define STEP q1
#include "vocabulary.inc.h"
#undef FAMILY

const vocabulary vocabulary_avx512 = { ROPEROT_ISA_AVX512,
                                       { &step_x16, &step_x8, &step_x4, &step_e32, &step_e16, &step_d16, &step_d8,
                                         &step_d4, &step_t16, &step_t8, &step_t4, &step_q8, &step_q4, &step_x1,
                                         &step_q1, NULL } };
