/* SPDX-License-Identifier: MIT
 * Which views of a call overlap where they must not; it must not know positions, caches or kernels. */
#ifndef ROPEROT_OVERLAP_H
#define ROPEROT_OVERLAP_H

#include "tensor.h"

/* 1 if two views, one of them written, may be in one call although their extents overlap: equal batch and token
 * strides, and no token's heads x dim of one overlap any token's of the other. */
int roperot_tensors_disjoint(const roperot_tensor *a, const roperot_tensor *b);

/* 1 if two families of blocks do not overlap: b's origin is `at` bytes behind a's, both step stride[k] >= 0 bytes, at
 * most most[k] times, and blocks overlap where the difference of their origins is above `low` and below `high`. */
int roperot_blocks_disjoint(int64_t at, const int64_t stride[2], const int64_t most[2], int64_t low, int64_t high);

/* 1 if two views, one of them written, share no byte of a token's heads x dim: their extents are disjoint, or they are
 * parts of one packed row. */
int roperot_views_disjoint(const roperot_tensor *a, const roperot_extent *a_extent, const roperot_tensor *b,
                           const roperot_extent *b_extent);

/* Extents of the first few views stay at hand; more views than this are rare. */
enum { ROPEROT_KEPT_EXTENTS = 4 };

/* The views of a call, checked one by one, and the extents of the first ROPEROT_KEPT_EXTENTS of them. */
typedef struct roperot_views {
    const roperot_tensor *src, *dst; /* dst equal to src: all in place */
    int32_t count, head_dim;
    roperot_extent src_extent[ROPEROT_KEPT_EXTENTS], dst_extent[ROPEROT_KEPT_EXTENTS];
} roperot_views;

/* ROPEROT_ERROR_ALIAS if a view that is written overlaps another one; its own src may be the same view. */
int32_t roperot_overlap_check(const roperot_views *views);

#endif
