/* SPDX-License-Identifier: MIT
 * Checking tensor views: shapes, strides and reach; it must not know positions, caches or kernels. */
#ifndef ROPEROT_TENSOR_H
#define ROPEROT_TENSOR_H

#include <stddef.h>

#include <roperot/roperot.h>

#include "extent.h"
#include "lists.h"
#include "numbers.h"

/* One view by itself, and, if it is written, that it does not overlap itself. `name`, `index` and `member` are for the
 * sentence ("src[1]", "jobs[1].src"). */
int32_t roperot_tensor_check_any(const roperot_tensor *tensor, int32_t head_dim, int written, const char *name,
                                 int32_t index, const char *member, roperot_extent *extent);

/* The same for what nearly every call brings, in a few nanoseconds: sizes below 2^28, non-negative strides, heads
 * inside tokens inside rows. 0 if the view is something else, right or wrong. One OR over all sizes replaces a check
 * per product: none of them, nor their sum times 4, can leave 63 bits. */
static inline int roperot_tensor_is_plain(const roperot_tensor *t, int32_t head_dim, roperot_extent *extent)
{
    enum { SMALL = 1 << 28 };
    const int64_t batch = t->shape[0], tokens = t->shape[1], heads = t->shape[2], dim = t->shape[3];
    const int64_t row = t->stride[0], token = t->stride[1], head = t->stride[2];
    const uint64_t sizes = (uint64_t)(batch | tokens | heads | row | token | head);
    const uintptr_t data = (uintptr_t)t->data, size = (uintptr_t)roperot_dtype_size(t->dtype);
    const uint64_t odd =
        (uint64_t)(dim ^ head_dim) | (uint64_t)(t->stride[3] ^ 1) | (uint32_t)t->flags | (uintptr_t)t->reserved;
    if (sizes >= SMALL || size == 0 || (odd | (data & (size - 1))) != 0) return 0;
    if (batch == 0 || tokens == 0 || heads == 0 || data == 0) return 0;
    const int64_t block = (heads - 1) * head + dim, rows = (tokens - 1) * token + block, all = (batch - 1) * row + rows;
    if ((head < dim && heads != 1) || (token < block && tokens != 1) || (row < rows && batch != 1)) return 0;
    extent->begin = data;
    extent->end = data + (uintptr_t)all * size;
    return (uint64_t)all * size <= PTRDIFF_MAX && extent->end > data; /* 32-bit pointers wrap long before the product */
}

static inline int32_t roperot_tensor_check(const roperot_tensor *t, int32_t head_dim, int written, const char *name,
                                           int32_t index, const char *member, roperot_extent *extent)
{
    if (roperot_tensor_is_plain(t, head_dim, extent)) return ROPEROT_OK;
    return roperot_tensor_check_any(t, head_dim, written, name, index, member, extent);
}

/* The error of an element of a list whose batch and tokens are not those of the first one. */
int32_t roperot_tokens_error(const char *name, int32_t index, const int64_t shape[4], int64_t batch, int64_t tokens);

/* Same data, dtype and strides (of axes longer than 1): in place. */
static inline int roperot_tensor_same(const roperot_tensor *a, const roperot_tensor *b)
{
    if (a->data != b->data || a->dtype != b->dtype) return 0;
    for (int i = 0; i < 3; i++)
        if (a->shape[i] != b->shape[i] || (a->shape[i] != 1 && a->stride[i] != b->stride[i])) return 0;
    return 1;
}

#endif
