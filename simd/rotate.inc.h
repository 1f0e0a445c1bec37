/* SPDX-License-Identifier: MIT
 * One rotation kernel: a tile of tokens x heads, walked by columns, by rows or streaming; it must not know any ISA.
 * Parameters (kernels.inc.h sets them, this file undefines them): SRC, DST (dtypes), IN, OUT (pairings), STEPS (the
 * vocabulary's list of steps, widest first: STEPS_COUNT of them, then always x1), WITH_COLUMNS. */

#define KERNEL CAT6(rotate_, CAT3(SRC, _, DST), CAT3(_, IN, _), OUT, _, ISA)
#define NAME(verb) CAT6(KERNEL, _, STEP, _, verb, )
#define COUNT CAT(STEPS, _COUNT)
#if WITH_COLUMNS
#define STRIP_STEPS 4
#else
#define STRIP_STEPS 1
#endif

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

#define SPAN(slot) j = CAT6(KERNEL, _, CAT(STEPS, slot), _, span, )(STRIP_STEPS, at, src, dst, j, prefetch, stream)

/* All pairs of some heads of one token, each step of the list as often as it fits. */
INLINE void CAT(KERNEL, _span)(const span at, const void *src_bytes, void *dst_bytes, int prefetch, int stream)
{
    const CAT(SRC, _t) *const src = src_bytes;
    CAT(DST, _t) *const dst = dst_bytes;
    ptrdiff_t j = 0;
#if COUNT > 0
    SPAN(_0);
#endif
#if COUNT > 1
    SPAN(_1);
#endif
#if COUNT > 2
    SPAN(_2);
#endif
#if COUNT > 3
    SPAN(_3);
#endif
    CAT(KERNEL, _x1_span)(1, at, src, dst, j, prefetch, stream);
}

/* Every byte once, in address order but for a few heads at a time, which share the coefficients that are in
 * registers. */
INLINE void CAT(KERNEL, _rows)(const roperot_tile *tile, int prefetch, int stream)
{
    span at = { tile->src_half, tile->dst_half, tile->src_head, tile->dst_head, 0, tile->pairs, NULL, NULL };
    const ptrdiff_t groups = (tile->heads + ROWS_HEADS - 1) / ROWS_HEADS, heads = tile->heads, tokens = tile->tokens;
    const ptrdiff_t inner = tile->heads_outer ? tokens : groups;
    for (ptrdiff_t i = 0, o = 0, rest = groups * tokens; rest > 0; rest--) {
        const ptrdiff_t head = (tile->heads_outer ? o : i) * ROWS_HEADS, t = tile->heads_outer ? i : o;
        at.heads = heads - head < ROWS_HEADS ? heads - head : ROWS_HEADS;
        at.cos = tile->rows[t].cos;
        at.sin = tile->rows[t].sin;
        CAT(KERNEL, _span)(at, (const char *)tile->src + t * tile->src_token + head * tile->src_head,
                           (char *)tile->dst + t * tile->dst_token + head * tile->dst_head, prefetch, stream);
        if (++i == inner) i = 0, o++;
    }
}

#if WITH_COLUMNS

/* Token by token, strips of columns over all heads: the tile is in cache, so only registers count. */
INLINE void CAT(KERNEL, _columns)(const roperot_tile *tile)
{
    span at = { tile->src_half, tile->dst_half, tile->src_head, tile->dst_head, tile->heads, tile->pairs, NULL, NULL };
    for (ptrdiff_t t = 0; t < tile->tokens; t++) {
        at.cos = tile->rows[t].cos;
        at.sin = tile->rows[t].sin;
        CAT(KERNEL, _span)(at, (const char *)tile->src + t * tile->src_token,
                           (char *)tile->dst + t * tile->dst_token, 0, 0);
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
        CAT(KERNEL, _columns)(tile);
        return;
    }
    if (tile->loop == ROPEROT_LOOP_STREAM && CAT(KERNEL, _can_stream)(tile)) {
        CAT(KERNEL, _rows)(tile, PREFETCH_ELEMENTS * (int)sizeof(CAT(SRC, _t)), 1);
        stream_end();
        return;
    }
#endif
    CAT(KERNEL, _rows)(tile, PREFETCH_ELEMENTS * (int)sizeof(CAT(SRC, _t)), 0);
}

#undef SPAN
#undef STRIP_STEPS
#undef COUNT
#undef NAME
#undef KERNEL
#undef SRC
#undef DST
#undef IN
#undef OUT
#undef STEPS
#undef WITH_COLUMNS
