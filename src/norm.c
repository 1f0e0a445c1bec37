/* SPDX-License-Identifier: MIT
 * Checking a norm and making its factors of sums; it must not know tensors, pages or kernels. */
#include "norm.h"

#include <float.h>
#include <math.h>
#include <stdint.h>

#include "bounds.h"
#include "lists.h"
#include "numbers.h"
#include "status.h"

static int32_t field_error(int32_t index, const char *field, int64_t value, const char *allowed)
{
    return roperot_field_error_at("jobs", index, ".norm", field, value, allowed);
}

static int32_t check_kinds(const roperot_norm *n, int32_t index)
{
    const int known = ROPEROT_NORM_UNIT_OFFSET | ROPEROT_NORM_AFTER | ROPEROT_NORM_ALL_HEADS;
    if (n->reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "jobs[%d].norm.reserved is %d; it must be 0", index, n->reserved);
    if (n->kind != ROPEROT_NORM_RMS && n->kind != ROPEROT_NORM_LAYER)
        return field_error(index, "kind", n->kind, "1 (RMS) or 2 (layer)");
    if (n->rounding < ROPEROT_NORM_ROUND_NONE || n->rounding > ROPEROT_NORM_ROUND_TWICE)
        return field_error(index, "rounding", n->rounding, "0 (none), 1 (once) or 2 (twice)");
    if (n->flags & ~known)
        return field_error(index, "flags", n->flags, "of 1 (unit offset), 2 (after) and 4 (all heads)");
    if (!(n->epsilon >= 0.0 && n->epsilon <= (double)FLT_MAX))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d].norm.epsilon is %g; it must be finite as f32 and at least 0", index, n->epsilon);
    return ROPEROT_OK;
}

static int32_t check_weights(const roperot_norm *n, int32_t index)
{
    if (n->bias && n->kind != ROPEROT_NORM_LAYER)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d].norm.bias is %p with kind 1 (RMS); it must be NULL",
                            index, n->bias);
    if (!n->weight && n->flags & ROPEROT_NORM_UNIT_OFFSET)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d].norm.weight is NULL; a unit offset needs weights", index);
    if (!n->weight && !n->bias) return ROPEROT_OK;
    const int32_t size = roperot_dtype_size(n->weight_dtype);
    if (!size)
        return roperot_fail(ROPEROT_ERROR_DTYPE,
                            "jobs[%d].norm.weight_dtype is %d; it must be 1 (f32), 2 (f16) or 3 (bf16)", index,
                            n->weight_dtype);
    if (((uintptr_t)n->weight | (uintptr_t)n->bias) % (uintptr_t)size)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d].norm.weight is %p and bias %p; they must be multiples of the element's %d bytes",
                            index, n->weight, n->bias, (int)size);
    return ROPEROT_OK;
}

int32_t roperot_norm_check(const roperot_norm *norm, int64_t heads, int64_t dim, int32_t index)
{
    int32_t status = roperot_check_size_at(norm, sizeof *norm, sizeof *norm, "jobs", index, ".norm");
    if (!status) status = check_kinds(norm, index);
    if (!status) status = check_weights(norm, index);
    if (status) return status;
    if (norm->flags & ROPEROT_NORM_ALL_HEADS && roperot_saturating_mul(heads, dim) > ROPEROT_MAX_NORM_CHANNELS)
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "jobs[%d].norm is over %lld heads of %lld channels; together they must be at most 2^24",
                            index, (long long)heads, (long long)dim);
    return ROPEROT_OK;
}

float roperot_norm_factor(float sum, int64_t count, double epsilon)
{
    return 1.0f / sqrtf(sum / (float)count + (float)epsilon);
}
