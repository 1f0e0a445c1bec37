/* SPDX-License-Identifier: MIT
 * Checking tensor views: shapes, strides, reach and overlap; it must not know positions, caches or kernels. */
#ifndef ROPEROT_TENSOR_H
#define ROPEROT_TENSOR_H

#include <roperot/roperot.h>

/* The bytes that a view touches lie in [begin, end); empty if they are equal. */
typedef struct roperot_hull {
    uintptr_t begin, end;
} roperot_hull;

/* One view by itself. `name` and `index` are for the sentence ("src[1]"). */
int32_t roperot_tensor_check(const roperot_tensor *tensor, int32_t head_dim, const char *name, int32_t index,
                             roperot_hull *hull);

/* A written view must not overlap itself. */
int32_t roperot_tensor_check_written(const roperot_tensor *tensor, const char *name, int32_t index);

/* Same data, dtype and strides (of axes longer than 1): in place. */
int roperot_tensor_same(const roperot_tensor *a, const roperot_tensor *b);

/* 1 if two views, one of them written, may be in one call although their hulls meet: equal batch and token strides, and
 * no row block (one token's heads x dim) of one meets any row block of the other. */
int roperot_tensor_apart(const roperot_tensor *a, const roperot_tensor *b);

#endif
