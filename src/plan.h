/* SPDX-License-Identifier: MIT
 * What a plan holds. Only plan.c and cache.c write it; it must not know tensors or positions. */
#ifndef ROPEROT_PLAN_H
#define ROPEROT_PLAN_H

#include <roperot/roperot.h>

#include "kernels.h"

/* A factor table of 2^11 + 2^10 + 2^10 entries splits a position below 2^31. */
enum { ROPEROT_LEVELS = 3, ROPEROT_LEVEL0_BITS = 11, ROPEROT_LEVEL_BITS = 10 };

/* f32 rows, one per position: cos and sin of pair j at row p are cos[p * stride + j] and sin[p * stride + j]. */
typedef struct roperot_row_table {
    const float *cos, *sin;
    int64_t stride;
} roperot_row_table;

struct roperot_plan {
    const roperot_kernels *kernels;
    roperot_rotate_fn *rotate[ROPEROT_DTYPES][ROPEROT_DTYPES];      /* pairing to pairing_out; NULL: not offered */
    roperot_rotate_fn *rotate_back[ROPEROT_DTYPES][ROPEROT_DTYPES]; /* pairing_out to pairing, for INVERSE */
    int32_t head_dim, rotary_dim, rotary_offset, pairing, pairing_out, pairs, axes, angles, cache, bounds;
    int64_t max_positions, cache_bytes;
    int64_t near_bytes;  /* calls up to this size are walked by columns */
    int64_t far_bytes;   /* calls out of place beyond it are streamed */
    int32_t plain;       /* positions outside are errors, one pairing, rows fit the scratch in one block */
    int32_t tile_tokens; /* with no options */
    int32_t cpus;        /* tasks of a parallel call whose options do not say how many */
    double attention_factor;
    double *inv_freq;              /* NULL: BORROWED */
    uint8_t *axis;                 /* NULL: one axis */
    uint32_t *masks;               /* [axes][2][pairs]: mask and inverse, for roperot_blend_fn */
    double *level[ROPEROT_LEVELS]; /* factor tables; NULL: every position has index 0 there, or no factors are kept */
    roperot_row_table rows;        /* FULL and BORROWED: with the attention factor */
    roperot_row_table pure;        /* the same without it; cos NULL: take the factors */
    void *owned[2];                /* what rows and pure point into, unless it is borrowed */
};

#endif
