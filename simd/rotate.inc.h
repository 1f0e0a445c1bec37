/* SPDX-License-Identifier: MIT
 * One rotation kernel: a tile of tokens x heads, walked by columns, by rows or streaming; it must not know any ISA.
 * Parameters: SRC, DST (dtypes); IN, OUT (pairings), VECS (a list of vectors, widest first, before f32x1), FAR (beyond
 * the caches: vectors of a strip, heads of a group, and vectors of a strip that streams if they are others) and
 * IS_PLAIN (one dtype and one pairing: what nearly every call is), which this file undefines. */

#define KERNEL CAT6(rotate_, CAT3(SRC, _, DST), CAT3(_, IN, _), OUT, _, ISA)
#define NAME(verb) CAT6(KERNEL, _, VEC, _, verb, )
#define WITH_COLUMNS (IS_PLAIN && COLUMNS)
#define FAR_VECS  NTH_0(FAR)
#define FAR_HEADS NTH_1(FAR)
#define FAR_STREAM_VECS NTH_2(FAR, FAR_VECS)

#define VEC NTH_0(VECS)
#if IS_VEC(VEC)
#include "strip.inc.h"
#endif
#undef VEC
#define VEC NTH_1(VECS)
#if IS_VEC(VEC)
#include "strip.inc.h"
#endif
#undef VEC
#define VEC NTH_2(VECS)
#if IS_VEC(VEC)
#include "strip.inc.h"
#endif
#undef VEC
#define VEC NTH_3(VECS)
#if IS_VEC(VEC)
#include "strip.inc.h"
#endif
#undef VEC
#define VEC f32x1
#include "strip.inc.h"
#undef VEC

#define RUN(slot, most, streams)                                                                                       \
    j = CAT6(KERNEL, _, CAT(NTH, slot)(VECS), _, strips, )(most, at, src, dst, j, prefetch, streams);                  \
    if (j == at.pairs) return

/* Where the tile's first pair of a token's head 0 is, and of another head. */
#define TILE_SRC(tile, t) ((const char *)(tile)->token[t].src + (tile)->src_first * (ptrdiff_t)sizeof(CAT(SRC, _t)))
#define TILE_DST(tile, t) ((char *)(tile)->token[t].dst + (tile)->dst_first * (ptrdiff_t)sizeof(CAT(DST, _t)))
#define SRC_HEAD(tile, t, head) ((const CAT(SRC, _t) *)(const void *)(TILE_SRC(tile, t) + (head) * (tile)->src_head))
#define DST_HEAD(tile, t, head) ((CAT(DST, _t) *)(void *)(TILE_DST(tile, t) + (head) * (tile)->dst_head))

/* The pairs from j on, which the widest vector left: one of each narrower vector, which is half as wide as the one
 * before, and a few f32x1. (SVE above 256 bits takes several f32x4, and RVV has f32x1 alone.) Neither strips nor
 * streaming stores are worth their code. */
INLINE void CAT(KERNEL, _rest)(const head_range at, const CAT(SRC, _t) *src, CAT(DST, _t) *dst, ptrdiff_t j,
                               int prefetch)
{
#if IS_VEC(NTH_1(VECS))
    RUN(_1, 1, 0);
#endif
#if IS_VEC(NTH_2(VECS))
    RUN(_2, 1, 0);
#endif
#if IS_VEC(NTH_3(VECS))
    RUN(_3, 1, 0);
#endif
    CAT(KERNEL, _f32x1_strips)(1, at, src, dst, j, prefetch, 0);
}

#if WITH_COLUMNS

/* One for all three loops. It takes the tile, because a range of heads would have to go through memory. */
static ROPEROT_FAST_CODE void CAT(KERNEL, _rest_of_tile)(const roperot_tile *tile, ptrdiff_t t, ptrdiff_t head,
                                                         ptrdiff_t heads, ptrdiff_t j)
{
    const head_range at = { tile->src_half, tile->dst_half, tile->src_head,     tile->dst_head,
                            heads,          tile->pairs,    tile->token[t].cos, tile->token[t].sin };
    CAT(KERNEL, _rest)(at, SRC_HEAD(tile, t, head), DST_HEAD(tile, t, head), j, 0);
}

#endif

/* All pairs of some heads of token t. */
INLINE void CAT(KERNEL, _heads)(const roperot_tile *tile, ptrdiff_t t, ptrdiff_t head, ptrdiff_t heads, const int most,
                                int prefetch, int stream)
{
    const head_range at = { tile->src_half, tile->dst_half, tile->src_head,     tile->dst_head,
                            heads,          tile->pairs,    tile->token[t].cos, tile->token[t].sin };
    const CAT(SRC, _t) *const src = SRC_HEAD(tile, t, head);
    CAT(DST, _t) *const dst = DST_HEAD(tile, t, head);
    ptrdiff_t j = 0;
    (void)most, (void)stream; /* where there is no vector */
#if IS_VEC(NTH_0(VECS))
    RUN(_0, most, stream);
#endif
#if WITH_COLUMNS
    CAT(KERNEL, _rest_of_tile)(tile, t, head, heads, j);
#else
    CAT(KERNEL, _rest)(at, src, dst, j, prefetch);
#endif
}

/* Every byte once, in address order but for a few heads at a time, which share the coefficients that are in
 * registers. */
INLINE void CAT(KERNEL, _linear)(const roperot_tile *tile, int prefetch, int stream)
{
    const ptrdiff_t groups = (tile->heads + FAR_HEADS - 1) / FAR_HEADS, heads = tile->heads, tokens = tile->tokens;
    const ptrdiff_t inner = tile->heads_outer ? tokens : groups;
    for (ptrdiff_t i = 0, o = 0, rest = groups * tokens; rest > 0; rest--) {
        const ptrdiff_t head = (tile->heads_outer ? o : i) * FAR_HEADS, t = tile->heads_outer ? i : o;
        const ptrdiff_t group = FAR_HEADS == 1 || heads - head >= FAR_HEADS ? FAR_HEADS : heads - head;
        CAT(KERNEL, _heads)(tile, t, head, group, stream ? FAR_STREAM_VECS : FAR_VECS, prefetch, stream);
        if (++i == inner) i = 0, o++;
    }
}

#if WITH_COLUMNS

/* Streaming stores need every address that a vector stores to at a multiple of its size. */
INLINE int CAT(KERNEL, _can_stream)(const roperot_tile *tile)
{
    uintptr_t where = (uintptr_t)tile->dst_head | (uintptr_t)tile->dst_half * sizeof(CAT(DST, _t));
    for (ptrdiff_t t = 0; t < tile->tokens; t++) where |= (uintptr_t)TILE_DST(tile, t);
    return !(where & (STREAM_ALIGN - 1));
}

#endif

/* A function of its own: what a decode step executes must not share lines, frame and prologue with it. */
static __attribute__((noinline)) void CAT(KERNEL, _beyond_cache)(const roperot_tile *tile)
{
#if WITH_COLUMNS
    if (tile->loop == ROPEROT_LOOP_STREAM && CAT(KERNEL, _can_stream)(tile)) {
        CAT(KERNEL, _linear)(tile, PREFETCH_ELEMENTS * (int)sizeof(CAT(SRC, _t)), 1);
        stream_end();
        return;
    }
#endif
    CAT(KERNEL, _linear)(tile, PREFETCH_ELEMENTS * (int)sizeof(CAT(SRC, _t)), 0);
}

#if WITH_COLUMNS

/* By columns: token by token, strips over all heads. The tile is in cache, so only registers count. */
static ROPEROT_FAST_CODE void KERNEL(const roperot_tile *tile)
{
    if (__builtin_expect(tile->loop != ROPEROT_LOOP_COLUMNS, 0)) {
        CAT(KERNEL, _beyond_cache)(tile);
        return;
    }
    for (ptrdiff_t t = 0; t < tile->tokens; t++)
        CAT(KERNEL, _heads)(tile, t, 0, tile->heads, 4, 0, 0);
}

#else

static void KERNEL(const roperot_tile *tile)
{
    CAT(KERNEL, _beyond_cache)(tile);
}

#endif

#undef TILE_SRC
#undef TILE_DST
#undef SRC_HEAD
#undef DST_HEAD
#undef FAR_VECS
#undef FAR_HEADS
#undef FAR_STREAM_VECS
#undef FAR
#undef NAME
#undef RUN
#undef KERNEL
#undef IN
#undef OUT
#undef VECS
#undef WITH_COLUMNS
#undef IS_PLAIN
