/* SPDX-License-Identifier: MIT
 * Checking tensor views: shapes, strides and reach; it must not know positions, caches or kernels. */
#include "tensor.h"

#include "lists.h"
#include "status.h"

/* ---- a view with itself ------------------------------------------------------------------------------------------ */

/* The axes of a view that are longer than 1, by rising |stride|: how many. */
static int sorted_axes(const roperot_tensor *t, int *axis)
{
    int n = 0;
    for (int i = 2; i >= 0; i--) {
        if (t->shape[i] == 1) continue;
        int at = n++;
        for (; at > 0 && roperot_magnitude(t->stride[axis[at - 1]]) > roperot_magnitude(t->stride[i]); at--)
            axis[at] = axis[at - 1];
        axis[at] = i;
    }
    return n;
}

static int32_t check_written(const roperot_tensor *t, const char *name, int32_t index, const char *member)
{
    int axis[3] = { 0, 0, 0 };
    const int n = sorted_axes(t, axis);
    int64_t extent = t->shape[3];
    for (int i = 0; i < n; i++) {
        const int64_t stride = roperot_magnitude(t->stride[axis[i]]);
        if (stride < extent)
            return roperot_fail(ROPEROT_ERROR_ALIAS,
                                "%s[%d]%s is written and overlaps itself: stride[%d] is %lld; it must be at least %lld",
                                name, index, member, axis[i], (long long)t->stride[axis[i]], (long long)extent);
        extent = roperot_saturating_add(extent, roperot_saturating_mul(stride, t->shape[axis[i]] - 1));
    }
    return ROPEROT_OK;
}

/* ---- one view ---------------------------------------------------------------------------------------------------- */

static int32_t axis_error(const roperot_tensor *t, const char *name, int32_t index, const char *member,
                          int32_t head_dim)
{
    static const char axis[][8] = { "batch", "tokens", "heads", "dim" };
    for (int i = 0; i < 4; i++)
        if (t->shape[i] < 0)
            return roperot_fail(ROPEROT_ERROR_SHAPE, "%s[%d]%s.shape[%d] (%s) is %lld; it must be at least 0", name,
                                index, member, i, axis[i], (long long)t->shape[i]);
    return roperot_fail(ROPEROT_ERROR_SHAPE, "%s[%d]%s.shape[3] is %lld; it must be the plan's head_dim, %d", name,
                        index, member, (long long)t->shape[3], head_dim);
}

static int32_t check_fields(const roperot_tensor *t, const char *name, int32_t index, const char *member,
                            int32_t head_dim)
{
    if (t->flags)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s[%d]%s.flags is %d; it must be 0", name, index, member,
                            t->flags);
    if (t->reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "%s[%d]%s.reserved is %p; it must be NULL", name, index, member,
                            t->reserved);
    if (!roperot_dtype_size(t->dtype))
        return roperot_fail(ROPEROT_ERROR_DTYPE, "%s[%d]%s.dtype is %d; it must be 1 (f32), 2 (f16) or 3 (bf16)", name,
                            index, member, t->dtype);
    if ((t->shape[0] | t->shape[1] | t->shape[2] | t->shape[3]) < 0 || t->shape[3] != head_dim)
        return axis_error(t, name, index, member, head_dim);
    return ROPEROT_OK;
}

static int32_t overflow_error(const roperot_tensor *t, const char *name, int32_t index, const char *member)
{
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "%s[%d]%s: shape [%lld, %lld, %lld, %lld] with strides [%lld, %lld, %lld, 1] must not reach "
                        "outside the address space",
                        name, index, member, (long long)t->shape[0], (long long)t->shape[1], (long long)t->shape[2],
                        (long long)t->shape[3], (long long)t->stride[0], (long long)t->stride[1],
                        (long long)t->stride[2]);
}

/* Elements below and above element 0 that the view reaches; INT64_MAX if they overflow. */
static void reach(const roperot_tensor *t, int64_t *below, int64_t *above)
{
    *below = 0;
    *above = t->shape[3];
    for (int i = 0; i < 3; i++) roperot_reach_axis(below, above, t->stride[i], t->shape[i]);
}

int32_t roperot_tensor_check_any(const roperot_tensor *t, int32_t head_dim, int written, const char *name,
                                 int32_t index, const char *member, roperot_extent *extent)
{
    extent->begin = extent->end = 0;
    const int32_t status = check_fields(t, name, index, member, head_dim);
    if (status) return status;
    if (t->shape[0] == 0 || t->shape[1] == 0 || t->shape[2] == 0) return ROPEROT_OK;
    const int64_t size = roperot_dtype_size(t->dtype);
    if (!t->data)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s[%d]%s.data is NULL; it must point to element 0", name, index,
                            member);
    const uintptr_t data = (uintptr_t)t->data;
    if (data % (uintptr_t)size)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "%s[%d]%s.data is %p; it must be a multiple of the element's %lld bytes", name, index,
                            member, t->data, (long long)size);
    if (t->stride[3] != 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "%s[%d]%s.stride[3] is %lld; it must be 1", name, index, member,
                            (long long)t->stride[3]);
    int64_t below, above;
    reach(t, &below, &above);
    if (!roperot_is_addressable(t->data, below, above, size)) return overflow_error(t, name, index, member);
    *extent = roperot_extent_around(t->data, below, above, size);
    return written ? check_written(t, name, index, member) : ROPEROT_OK;
}

int32_t roperot_tokens_error(const char *name, int32_t index, const int64_t shape[4], int64_t batch, int64_t tokens)
{
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "%s[%d] has batch %lld and %lld tokens; they must be those of %s[0], %lld and %lld", name,
                        index, (long long)shape[0], (long long)shape[1], name, (long long)batch, (long long)tokens);
}
