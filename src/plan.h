/* SPDX-License-Identifier: MIT
 * What a plan holds. Only plan.c and the caches write it; it must not know tensors or positions. */
#ifndef ROPEROT_PLAN_H
#define ROPEROT_PLAN_H

#include <roperot/roperot.h>

#include "kernels.h"

/* A position's row is the product of one factor of each level: cache_factors.h. */
enum { ROPEROT_LEVELS = 3 };

/* Calls of the fast path: one pairing, and rows of all heads that fit the scratch in one block; out of place also whole
 * heads, for others have channels to be copied. Jobs: a row fits the scratch of programs. */
enum { ROPEROT_FAST_IN_PLACE = 1, ROPEROT_FAST_MOVED = 2, ROPEROT_FAST_JOBS = 4 };

/* f32 rows, one per position (and head): cos and sin of pair j at row p of head h are cos[p * stride + h * head_stride
 * + j] and sin likewise; head_stride is 0 where a row serves all heads. */
typedef struct roperot_row_table {
    const float *cos, *sin;
    int64_t stride, head_stride;
} roperot_row_table;

/* What a built plan keeps of cos and sin, A being the attention factor. No other combination occurs.
 *
 *   cache             rows               pure                level[0]   owned
 *   FACTORED          -                  -                   yes        -
 *   FULL exact, A 1   table              the same            -          0: rows
 *   FULL exact, A     table              -                   yes        0: rows
 *   FULL f32, A 1     table              the same            -          0: rows
 *   FULL f32, A       table              table without A     -          0: rows, 1: pure
 *   NONE              -                  -                   -          -
 *   BORROWED, A 1     the caller's       the same            -          -
 *      or as a copy   the copy           the same            -          1: pure
 *   BORROWED, A       copy times A       the caller's        -          0: rows
 *      or as a copy   copy times A       the copy            -          0: rows, 1: pure
 *
 * PURE_ROTATION reads `pure`; without one it computes from the factors, as FACTORED always does. */
struct roperot_plan {
    /* What a decode step reads: two cache lines, and a third one with factors. */
    roperot_rotate_fn *rotate[ROPEROT_DTYPES][ROPEROT_DTYPES]; /* pairing to pairing_out; NULL: not offered */
    int64_t max_positions;
    int64_t near_bytes; /* calls up to this size are walked by columns */
    int32_t head_dim, rotary_offset, pairs;
    uint16_t fast;                 /* ROPEROT_FAST_...: what the fast path may take */
    uint16_t tile_tokens;          /* of a call on the fast path */
    roperot_row_table rows;        /* with the attention factor; cos NULL: FACTORED */
    double *level[ROPEROT_LEVELS]; /* factor tables; NULL: every position has index 0 there, or no factors are kept */
    double attention_factor;
    roperot_combine_fn *combine; /* the kernels' */
    int64_t scratch_bytes;       /* of a caller's scratch; 0: no use for one */
    uint32_t serial;             /* no other plan's, but for that of 2^32 plans ago */

    /* And what its jobs read, two more. */
    const roperot_kernels *kernels;
    roperot_norm_fn *norm[ROPEROT_DTYPES];   /* the kernels' norms of whole heads; NULL: not offered */
    roperot_norm_fn *turned[ROPEROT_DTYPES]; /* this CPU's with the rotation by rows of this plan; NULL: two steps */
    roperot_norm_weights_fn *norm_weights[ROPEROT_DTYPES], *turned_weights[ROPEROT_DTYPES];

    int32_t turned_heads[ROPEROT_DTYPES]; /* so many at least in a call of `turned` beyond the caches */
    roperot_rotate_fn *rotate_back[ROPEROT_DTYPES][ROPEROT_DTYPES]; /* pairing_out to pairing, for INVERSE */
    int32_t rotary_dim, pairing, pairing_out, axes, angles, cache, bounds, arithmetic;
    int32_t mixed;     /* a pair turns by all axes: inv_freq is [axes][pairs], rows are made from positions */
    int64_t heads;     /* of tensors, if the borrowed table has rows per head; 0: any */
    int32_t cpus;      /* tasks of a parallel call whose options do not say how many */
    int64_t far_bytes; /* calls out of place beyond it are streamed */
    int64_t cache_bytes;
    double *inv_freq;       /* NULL: BORROWED */
    uint8_t *axis;          /* NULL: one axis, or mixed */
    uint32_t *masks;        /* [axes][2][pairs]: mask and inverse, for roperot_blend_fn */
    roperot_row_table pure; /* rows without the attention factor; cos NULL: take the factors */
    void *owned[2];         /* what is to be freed of rows and pure */
    char kernel_name[ROPEROT_DTYPES][ROPEROT_DTYPES][48]; /* "": not offered */
    roperot_config asked;                                 /* by roperot_config_key; its lists are the plan's own */
    roperot_table asked_table;
};

/* How many heads have rows of their own; 1 if all share them. */
static inline int64_t roperot_plan_row_heads(const roperot_plan *plan)
{
    return plan->heads ? plan->heads : 1;
}

#endif
