/* SPDX-License-Identifier: MIT
 * Checking a norm and making its factors of sums; it must not know tensors, pages or kernels. */
#ifndef ROPEROT_NORM_H
#define ROPEROT_NORM_H

#include <roperot/roperot.h>

/* A norm of heads of `dim` channels by itself. `index` is the job's, for the sentence. */
int32_t roperot_norm_check(const roperot_norm *norm, int64_t heads, int64_t dim, int32_t index);

static inline int roperot_norm_is(const roperot_norm *norm, int32_t flag)
{
    return norm && (norm->flags & flag) != 0;
}

/* 1 / sqrt(sum / count + epsilon), every operation correctly rounded. */
float roperot_norm_factor(float sum, int64_t count, double epsilon);

#endif
