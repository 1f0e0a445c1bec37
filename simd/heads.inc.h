/* SPDX-License-Identifier: MIT
 * Every kernel of heads of one ISA, and their part of the table; it must not know any ISA. Parameters: ISA and the
 * vocabulary of rows (lanes_*.h). */

#define SRC f32
#include "norm.inc.h"
#if HEADS_USUAL
#include "norm_rotate.inc.h"
#endif
#undef SRC
#define SRC f16
#include "norm.inc.h"
#if HEADS_USUAL
#include "norm_rotate.inc.h"
#endif
#undef SRC
#define SRC bf16
#include "norm.inc.h"
#if HEADS_USUAL
#include "norm_rotate.inc.h"
#endif
#undef SRC
#include "store.inc.h"

#define NORM_ENTRY(dtype)                                                                                              \
    .sum[ROPEROT_FORMAT_##dtype] = CAT3(sum_##dtype, _, ISA),                                                          \
    .scale[ROPEROT_FORMAT_##dtype] = CAT3(scale_##dtype, _, ISA),
#if HEADS_USUAL
#define NORM_ROTATE_ENTRY(dtype) .norm_rotate[ROPEROT_FORMAT_##dtype] = CAT3(norm_rotate_##dtype, _, ISA),
#else
#define NORM_ROTATE_ENTRY(dtype)
#endif
#define ROUND_ENTRY(dtype) .round[ROPEROT_FORMAT_##dtype] = CAT3(round_##dtype, _, ISA),
#define STORE_ENTRY(dtype)                                                                                             \
    .load[ROPEROT_FORMAT_##dtype] = CAT3(load_##dtype, _, ISA),                                                        \
    .store[ROPEROT_FORMAT_##dtype] = CAT3(store_##dtype, _, ISA),
#define HEAD_KERNELS                                                                                                   \
    {                                                                                                                  \
        ROPEROT_NORM_LIST(NORM_ENTRY)                                                                                  \
        ROPEROT_NORM_LIST(NORM_ROTATE_ENTRY)                                                                           \
        ROPEROT_ROUND_LIST(ROUND_ENTRY)                                                                                \
        ROPEROT_STORE_LIST(STORE_ENTRY).amax = CAT(amax_f32_, ISA)                                                     \
    }
