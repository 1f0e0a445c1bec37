/* SPDX-License-Identifier: MIT
 * One rotation kernel: a tile of tokens x heads, walked by columns, by rows or streaming; it must not know any ISA.
 * Parameters: SRC, DST (dtypes); IN, OUT (pairings), VECS (a list of vectors, widest first, before f32x1) and
 * WITH_COLUMNS, which this file undefines. */

#define KERNEL CAT6(rotate_, CAT3(SRC, _, DST), CAT3(_, IN, _), OUT, _, ISA)
#define NAME(verb) CAT6(KERNEL, _, VEC, _, verb, )
#if WITH_COLUMNS
#define STRIP_VECS 4
#else
#define STRIP_VECS 1
#endif

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

/* The pairs from j on, which the widest vector left. Each vector is half as wide as the one before, so that one of each
 * is all that fits: neither strips nor streaming stores are worth their code. */
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

/* One for both loops beyond the cache. */
static NOINLINE void CAT(KERNEL, _rest_beyond_cache)(const head_range *at, const CAT(SRC, _t) *src, CAT(DST, _t) *dst,
                                                     ptrdiff_t j)
{
    CAT(KERNEL, _rest)(*at, src, dst, j, PREFETCH_ELEMENTS * (int)sizeof(CAT(SRC, _t)));
}

#endif

/* All pairs of some heads of one token. */
INLINE void CAT(KERNEL, _heads)(const head_range at, const void *src_bytes, void *dst_bytes, int prefetch, int stream)
{
    const CAT(SRC, _t) *const src = src_bytes;
    CAT(DST, _t) *const dst = dst_bytes;
    ptrdiff_t j = 0;
    (void)stream;
#if IS_VEC(NTH_0(VECS))
    RUN(_0, STRIP_VECS, stream);
#endif
#if WITH_COLUMNS
    if (prefetch) {
        CAT(KERNEL, _rest_beyond_cache)(&at, src, dst, j);
        return;
    }
#endif
    CAT(KERNEL, _rest)(at, src, dst, j, prefetch);
}

/* Where the tile's first pair of a token's head 0 is. */
#define TILE_SRC(tile, t) ((const char *)(tile)->token[t].src + (tile)->src_first * (ptrdiff_t)sizeof(CAT(SRC, _t)))
#define TILE_DST(tile, t) ((char *)(tile)->token[t].dst + (tile)->dst_first * (ptrdiff_t)sizeof(CAT(DST, _t)))

/* Every byte once, in address order but for a few heads at a time, which share the coefficients that are in
 * registers. */
INLINE void CAT(KERNEL, _linear)(const roperot_tile *tile, int prefetch, int stream)
{
    head_range at = { tile->src_half, tile->dst_half, tile->src_head, tile->dst_head, 0, tile->pairs, NULL, NULL };
    const ptrdiff_t groups = (tile->heads + GROUP_HEADS - 1) / GROUP_HEADS, heads = tile->heads, tokens = tile->tokens;
    const ptrdiff_t inner = tile->heads_outer ? tokens : groups;
    for (ptrdiff_t i = 0, o = 0, rest = groups * tokens; rest > 0; rest--) {
        const ptrdiff_t head = (tile->heads_outer ? o : i) * GROUP_HEADS, t = tile->heads_outer ? i : o;
        at.heads = heads - head < GROUP_HEADS ? heads - head : GROUP_HEADS;
        at.cos = tile->token[t].cos;
        at.sin = tile->token[t].sin;
        CAT(KERNEL, _heads)(at, TILE_SRC(tile, t) + head * tile->src_head, TILE_DST(tile, t) + head * tile->dst_head,
                            prefetch, stream);
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
    head_range at = { tile->src_half, tile->dst_half, tile->src_head, tile->dst_head,
                      tile->heads,    tile->pairs,    NULL,           NULL };
    for (ptrdiff_t t = 0; t < tile->tokens; t++) {
        at.cos = tile->token[t].cos;
        at.sin = tile->token[t].sin;
        CAT(KERNEL, _heads)(at, TILE_SRC(tile, t), TILE_DST(tile, t), 0, 0);
    }
}

#else

static void KERNEL(const roperot_tile *tile)
{
    CAT(KERNEL, _beyond_cache)(tile);
}

#endif

#undef TILE_SRC
#undef TILE_DST
#undef RUN
#undef STRIP_VECS
#undef NAME
#undef KERNEL
#undef IN
#undef OUT
#undef VECS
#undef WITH_COLUMNS
