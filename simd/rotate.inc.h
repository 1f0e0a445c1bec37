/* SPDX-License-Identifier: MIT
 * One rotation kernel: a tile of tokens x heads, walked by columns, by rows or streaming; it must not know any ISA.
 * Parameters (kernels.inc.h sets them, this file undefines them): SRC, DST (dtypes), IN, OUT (pairings), STEPS (the
 * vocabulary's list of steps, widest first: STEPS_COUNT of them, then always x1), WITH_COLUMNS. */

#define KERNEL CAT6(rotate_, CAT3(SRC, _, DST), CAT3(_, IN, _), OUT, _, ISA)
#define NAME(verb) CAT6(KERNEL, _, STEP, _, verb, )
#define COUNT CAT(STEPS, _COUNT)

#if COUNT > 0
#define STEP CAT(STEPS, _0)
#include "strip.inc.h"
#undef STEP
#endif
#if COUNT > 1
#define STEP CAT(STEPS, _1)
#include "strip.inc.h"
#undef STEP
#endif
#if COUNT > 2
#define STEP CAT(STEPS, _2)
#include "strip.inc.h"
#undef STEP
#endif
#if COUNT > 3
#define STEP CAT(STEPS, _3)
#include "strip.inc.h"
#undef STEP
#endif
#define STEP x1
#include "strip.inc.h"
#undef STEP

#define ONE_HEAD(slot) j = CAT6(KERNEL, _, CAT(STEPS, slot), _, line, )(tile, src, dst, row, j, prefetch, stream)
#define ALL_HEADS(slot) j = CAT6(KERNEL, _, CAT(STEPS, slot), _, columns, )(tile, src, dst, row, j)

/* All pairs of one head, each step of the list as often as it fits. */
INLINE void CAT(KERNEL, _head)(const roperot_tile *tile, const CAT(SRC, _t) *src, CAT(DST, _t) *dst,
                               const roperot_row *row, int prefetch, int stream)
{
    ptrdiff_t j = 0;
#if COUNT > 0
    ONE_HEAD(_0);
#endif
#if COUNT > 1
    ONE_HEAD(_1);
#endif
#if COUNT > 2
    ONE_HEAD(_2);
#endif
#if COUNT > 3
    ONE_HEAD(_3);
#endif
    CAT(KERNEL, _x1_line)(tile, src, dst, row, j, prefetch, stream);
}

/* Every head once, in address order. */
INLINE void CAT(KERNEL, _rows)(const roperot_tile *tile, int prefetch, int stream)
{
    const int swap = tile->heads_outer;
    const ptrdiff_t outer = swap ? tile->heads : tile->tokens, inner = swap ? tile->tokens : tile->heads;
    const ptrdiff_t src_outer = swap ? tile->src_head : tile->src_token, src_inner = swap ? tile->src_token : tile->src_head;
    const ptrdiff_t dst_outer = swap ? tile->dst_head : tile->dst_token, dst_inner = swap ? tile->dst_token : tile->dst_head;
    for (ptrdiff_t o = 0; o < outer; o++) {
        const char *src = (const char *)tile->src + o * src_outer;
        char *dst = (char *)tile->dst + o * dst_outer;
        const roperot_row *row = swap ? tile->rows : tile->rows + o;
        for (ptrdiff_t i = 0; i < inner; i++, src += src_inner, dst += dst_inner, row += swap)
            CAT(KERNEL, _head)(tile, (const CAT(SRC, _t) *)src, (CAT(DST, _t) *)dst, row, prefetch, stream);
    }
}

#if WITH_COLUMNS

/* Token by token, strips of columns over all heads: the tile is in cache, so only registers count. */
INLINE void CAT(KERNEL, _tokens)(const roperot_tile *tile)
{
    for (ptrdiff_t t = 0; t < tile->tokens; t++) {
        const CAT(SRC, _t) *const src = (const CAT(SRC, _t) *)((const char *)tile->src + t * tile->src_token);
        CAT(DST, _t) *const dst = (CAT(DST, _t) *)((char *)tile->dst + t * tile->dst_token);
        const roperot_row *const row = tile->rows + t;
        ptrdiff_t j = 0;
#if COUNT > 0
        ALL_HEADS(_0);
#endif
#if COUNT > 1
        ALL_HEADS(_1);
#endif
#if COUNT > 2
        ALL_HEADS(_2);
#endif
#if COUNT > 3
        ALL_HEADS(_3);
#endif
        CAT(KERNEL, _x1_columns)(tile, src, dst, row, j);
    }
}

#endif

/* Streaming stores need every address that a step stores to at a multiple of its size. */
INLINE int CAT(KERNEL, _can_stream)(const roperot_tile *tile)
{
    return !(((uintptr_t)tile->dst | (uintptr_t)tile->dst_token | (uintptr_t)tile->dst_head |
              (uintptr_t)tile->dst_half * sizeof(CAT(DST, _t))) & (STREAM_ALIGN - 1));
}

static void KERNEL(const roperot_tile *tile)
{
#if WITH_COLUMNS
    if (tile->loop == ROPEROT_LOOP_COLUMNS) {
        CAT(KERNEL, _tokens)(tile);
        return;
    }
    if (tile->loop == ROPEROT_LOOP_STREAM && CAT(KERNEL, _can_stream)(tile)) {
        CAT(KERNEL, _rows)(tile, PREFETCH_BYTES, 1);
        stream_end();
        return;
    }
#endif
    CAT(KERNEL, _rows)(tile, PREFETCH_BYTES, 0);
}

#undef ONE_HEAD
#undef ALL_HEADS
#undef COUNT
#undef NAME
#undef KERNEL
#undef SRC
#undef DST
#undef IN
#undef OUT
#undef STEPS
#undef WITH_COLUMNS
