/* SPDX-License-Identifier: MIT
 * Checking a norm and making its factors of sums; it must not know tensors, pages or kernels. */
#ifndef ROPEROT_NORM_H
#define ROPEROT_NORM_H

#include <float.h>
#include <stdint.h>

#include <roperot/roperot.h>

#include "lists.h"

/* A norm of heads of `dim` channels by itself. `index` is the job's, for the sentence. */
int32_t roperot_norm_check(const roperot_norm *norm, int64_t heads, int64_t dim, int32_t index);

static inline int roperot_norm_is(const roperot_norm *norm, int32_t flag)
{
    return norm && (norm->flags & flag) != 0;
}

/* 0 for an RMS norm by itself that is right, has no other flags than these, and no sum over all heads. */
static inline uint64_t roperot_norm_odd(const roperot_norm *n, uint32_t known_flags)
{
    const uintptr_t size = (uintptr_t)roperot_dtype_size(n->weight_dtype), weight = (uintptr_t)n->weight;
    const uint32_t flags = (uint32_t)n->flags;
    return (uint64_t)(n->size ^ sizeof *n) | (uint32_t)n->reserved | (uint32_t)(n->kind ^ ROPEROT_NORM_RMS) |
           ((uint32_t)n->rounding > ROPEROT_NORM_ROUND_TWICE) | (flags & ~known_flags) | (uintptr_t)n->bias |
           (weight & (size - 1)) | /* all of it if the dtype is none */
           (uint64_t)(!(n->epsilon >= 0.0 && n->epsilon <= (double)FLT_MAX) |
                      (weight == 0 && flags & ROPEROT_NORM_UNIT_OFFSET));
}

/* 1 / sqrt(sum / count + epsilon), every operation correctly rounded. */
float roperot_norm_factor(float sum, int64_t count, double epsilon);

#endif
