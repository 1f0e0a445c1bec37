/* SPDX-License-Identifier: MIT
 * Every kernel of heads of one ISA, and their part of the table; it must not know any ISA. Parameters: ISA and the
 * vocabulary of rows (lanes_*.h). */

#define SRC f32
#include "norm.inc.h"
#define VEC normed_f32
#if IS_VEC(VEC)
#include "norm_same.inc.h"
#endif
#undef VEC
#undef SRC
#define SRC f16
#include "norm.inc.h"
#define VEC normed_f16
#if IS_VEC(VEC)
#include "norm_same.inc.h"
#endif
#undef VEC
#undef SRC
#define SRC bf16
#include "norm.inc.h"
#define VEC normed_bf16
#if IS_VEC(VEC)
#include "norm_same.inc.h"
#endif
#undef VEC
#undef SRC
#include "store.inc.h"

#define NORM_ENTRY(dtype)                                                                                              \
    .sum[ROPEROT_FORMAT_##dtype] = CAT3(sum_##dtype, _, ISA),                                                          \
    .scale[ROPEROT_FORMAT_##dtype] = CAT3(scale_##dtype, _, ISA),
#if IS_VEC(normed_f32)
#define NORM_SAME_ENTRY(dtype)                                                                                         \
    .norm[ROPEROT_FORMAT_##dtype] = CAT3(norm_##dtype, _, ISA),                                                        \
    .norm_weights[ROPEROT_FORMAT_##dtype] = CAT3(norm_weights_##dtype, _, ISA),
#else
#define NORM_SAME_ENTRY(dtype)
#endif
#define ROUND_ENTRY(dtype) .round[ROPEROT_FORMAT_##dtype] = CAT3(round_##dtype, _, ISA),
#define STORE_ENTRY(dtype)                                                                                             \
    .load[ROPEROT_FORMAT_##dtype] = CAT3(load_##dtype, _, ISA),                                                        \
    .store[ROPEROT_FORMAT_##dtype] = CAT3(store_##dtype, _, ISA),
#define HEAD_KERNELS                                                                                                   \
    {                                                                                                                  \
        ROPEROT_NORM_LIST(NORM_ENTRY)                                                                                  \
        ROPEROT_NORM_LIST(NORM_SAME_ENTRY)                                                                             \
        ROPEROT_ROUND_LIST(ROUND_ENTRY)                                                                                \
        ROPEROT_STORE_LIST(STORE_ENTRY).amax = CAT(amax_f32_, ISA)                                                     \
    }
