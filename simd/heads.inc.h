/* SPDX-License-Identifier: MIT
 * Every kernel of heads of one ISA, and their part of the table; it must not know any ISA. Parameters: ISA, the
 * vocabulary of lanes (lanes_*.h) and EXTENSION, if there is one. */

/* Of 16 bits norm and rotation are faster apart: as many operations, and shorter chains of them. (With AVX-512, bf16
 * has one kernel: extension_avx512_fma.c.) The weights of f16 are those of f32, in the order of the same vector. */
#define SRC f32
#include "norm.inc.h"
#define VEC          normed_f32
#define NORM_TURNS   1
#define NORM_WEIGHTS 1
#include "norm_same.inc.h"
#undef SRC

#define SRC f16
#include "norm.inc.h"
#define VEC          normed_f32
#define NORM_TURNS   0
#define NORM_WEIGHTS 0
#include "norm_same.inc.h"
#undef SRC

#define SRC bf16
#include "norm.inc.h"
#define VEC          normed_bf16
#define NORM_TURNS   0
#define NORM_WEIGHTS 1
#include "norm_same.inc.h"
#undef SRC

#if IS_VEC(normed_f32)
#define NORM_SAME_f32 NORM_SAME_OF(f32, f32)
#define NORM_SAME_f16 NORM_SAME_OF(f16, f32)
#else
#define NORM_SAME_f32
#define NORM_SAME_f16
#endif
#if IS_VEC(normed_bf16)
#define NORM_SAME_bf16 NORM_SAME_OF(bf16, bf16)
#else
#define NORM_SAME_bf16
#endif

#include "store.inc.h"

#if STREAM_ALIGN > 1

static void CAT(stream_lines_, ISA)(void *dst, const void *src, ptrdiff_t bytes, ptrdiff_t ahead)
{
    const ptrdiff_t n = CAT(normed_f32, _pairs)();
    float *const to = dst;
    const float *const from = src;
    for (ptrdiff_t i = 0; i < bytes / (ptrdiff_t)sizeof *to; i += n) {
        compiler_barrier();
        prefetch_read(from + i, (int)ahead);
        compiler_barrier();
        CAT(normed_f32, _stream_f32)(to + i, CAT(normed_f32, _load_f32)(from + i));
    }
}

#define STREAM_ENTRY .stream = CAT(stream_lines_, ISA),
#else
#define STREAM_ENTRY
#endif

#define NORM_ENTRY(dtype)                                                                                              \
    .sum[ROPEROT_FORMAT_##dtype] = CAT3(sum_##dtype, _, ISA),                                                          \
    .scale[ROPEROT_FORMAT_##dtype] = CAT3(scale_##dtype, _, ISA),
#if IS_VEC(normed_f32)
#define TURNS_ENTRY .turned[ROPEROT_FORMAT_f32] = { CAT(norm_f32_, ISA), NULL, 32, 0, 8 },
#else
#define TURNS_ENTRY
#endif
#ifdef EXTENSION
#define EXTENSION_ENTRY .extension = &EXTENSION,
#else
#define EXTENSION_ENTRY
#endif
#define NORM_SAME_OF(dtype, weights)                                                                                   \
    .norm[ROPEROT_FORMAT_##dtype] = CAT3(norm_##dtype, _, ISA),                                                        \
    .norm_weights[ROPEROT_FORMAT_##dtype] = CAT3(norm_weights_##weights, _, ISA),
#define NORM_SAME_ENTRY(dtype) NORM_SAME_##dtype
#define STORE_ENTRY(dtype)                                                                                             \
    .load[ROPEROT_FORMAT_##dtype] = CAT3(load_##dtype, _, ISA),                                                        \
    .store[ROPEROT_FORMAT_##dtype] = CAT3(store_##dtype, _, ISA),
#define HEAD_KERNELS                                                                                                   \
    {                                                                                                                  \
        ROPEROT_NORM_LIST(NORM_ENTRY)                                                                                  \
        ROPEROT_NORM_LIST(NORM_SAME_ENTRY)                                                                             \
        TURNS_ENTRY EXTENSION_ENTRY STREAM_ENTRY                                                                       \
        ROPEROT_STORE_LIST(STORE_ENTRY).amax = CAT(amax_, ISA)                                                         \
    }
