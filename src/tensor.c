/* SPDX-License-Identifier: MIT
 * Checking tensor views: shapes, strides, reach and overlap; it must not know positions, caches or kernels. */
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

static int32_t check_written(const roperot_tensor *t, const char *name, int32_t index)
{
    int axis[3] = { 0, 0, 0 };
    const int n = sorted_axes(t, axis);
    int64_t extent = t->shape[3];
    for (int i = 0; i < n; i++) {
        const int64_t stride = roperot_magnitude(t->stride[axis[i]]);
        if (stride < extent)
            return roperot_fail(ROPEROT_ERROR_ALIAS,
                                "%s[%d] is written and overlaps itself: stride[%d] is %lld; it must be at least %lld",
                                name, index, axis[i], (long long)t->stride[axis[i]], (long long)extent);
        extent = roperot_saturating_add(extent, roperot_saturating_mul(stride, t->shape[axis[i]] - 1));
    }
    return ROPEROT_OK;
}

/* ---- one view ---------------------------------------------------------------------------------------------------- */

static int32_t bad_axis(const roperot_tensor *t, const char *name, int32_t index, int32_t head_dim)
{
    static const char *const axis[] = { "batch", "tokens", "heads", "dim" };
    for (int i = 0; i < 4; i++)
        if (t->shape[i] < 0)
            return roperot_fail(ROPEROT_ERROR_SHAPE, "%s[%d].shape[%d] (%s) is %lld; it must be at least 0", name,
                                index, i, axis[i], (long long)t->shape[i]);
    return roperot_fail(ROPEROT_ERROR_SHAPE, "%s[%d].shape[3] is %lld; it must be the plan's head_dim, %d", name, index,
                        (long long)t->shape[3], head_dim);
}

static int32_t check_fields(const roperot_tensor *t, const char *name, int32_t index, int32_t head_dim)
{
    if (t->flags)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s[%d].flags is %d; it must be 0", name, index, t->flags);
    if (t->reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "%s[%d].reserved is %p; it must be NULL", name, index, t->reserved);
    if (!roperot_dtype_size(t->dtype))
        return roperot_fail(ROPEROT_ERROR_DTYPE, "%s[%d].dtype is %d; it must be 1 (f32), 2 (f16) or 3 (bf16)", name,
                            index, t->dtype);
    if ((t->shape[0] | t->shape[1] | t->shape[2] | t->shape[3]) < 0 || t->shape[3] != head_dim)
        return bad_axis(t, name, index, head_dim);
    return ROPEROT_OK;
}

static int32_t overflow(const roperot_tensor *t, const char *name, int32_t index)
{
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "%s[%d]: shape [%lld, %lld, %lld, %lld] with strides [%lld, %lld, %lld, 1] must not reach "
                        "outside the address space",
                        name, index, (long long)t->shape[0], (long long)t->shape[1], (long long)t->shape[2],
                        (long long)t->shape[3], (long long)t->stride[0], (long long)t->stride[1],
                        (long long)t->stride[2]);
}

/* Elements below and above element 0 that the view reaches; INT64_MAX if they overflow. */
static void reach(const roperot_tensor *t, int64_t *below, int64_t *above)
{
    *below = 0;
    *above = t->shape[3];
    for (int i = 0; i < 3; i++) {
        if (t->shape[i] == 1) continue;
        const int64_t span = roperot_saturating_mul(roperot_magnitude(t->stride[i]), t->shape[i] - 1);
        if (t->stride[i] < 0)
            *below = roperot_saturating_add(*below, span);
        else
            *above = roperot_saturating_add(*above, span);
    }
}

int32_t roperot_tensor_check_any(const roperot_tensor *t, int32_t head_dim, int written, const char *name,
                                 int32_t index, roperot_hull *hull)
{
    hull->begin = hull->end = 0;
    const int32_t status = check_fields(t, name, index, head_dim);
    if (status) return status;
    if (t->shape[0] == 0 || t->shape[1] == 0 || t->shape[2] == 0) return ROPEROT_OK;
    const int64_t size = roperot_dtype_size(t->dtype);
    if (!t->data)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s[%d].data is NULL; it must point to element 0", name, index);
    const uintptr_t data = (uintptr_t)t->data;
    if (data % (uintptr_t)size)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "%s[%d].data is %p; it must be a multiple of the element's %lld bytes", name, index,
                            t->data, (long long)size);
    if (t->stride[3] != 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "%s[%d].stride[3] is %lld; it must be 1", name, index,
                            (long long)t->stride[3]);
    int64_t below, above;
    reach(t, &below, &above);
    if (!roperot_is_addressable(t->data, below, above, size)) return overflow(t, name, index);
    hull->begin = data - (uintptr_t)(below * size);
    hull->end = data + (uintptr_t)(above * size);
    return written ? check_written(t, name, index) : ROPEROT_OK;
}

/* ---- two views --------------------------------------------------------------------------------------------------- */

/* The bytes of one token's heads x dim, relative to its head 0. */
static void block_reach(const roperot_tensor *t, int64_t *low, int64_t *high)
{
    const int64_t size = roperot_dtype_size(t->dtype), span = t->shape[2] == 1 ? 0 : (t->shape[2] - 1) * t->stride[2];
    *low = (span < 0 ? span : 0) * size;
    *high = ((span > 0 ? span : 0) + t->shape[3]) * size;
}

static int64_t divide_down(int64_t a, int64_t b)
{
    const int64_t q = a / b;
    return a % b < 0 ? q - 1 : q;
}

/* Is there an integer |k| <= most with low < at + k * stride < high? stride >= 0. */
static int hits(int64_t at, int64_t stride, int64_t most, int64_t low, int64_t high)
{
    if (most == 0 || stride == 0) return low < at && at < high;
    int64_t k = divide_down(low - at, stride) + 1;
    if (k < -most) k = -most;
    return k <= most && at + k * stride < high;
}

int roperot_blocks_apart(int64_t at, const int64_t stride[2], const int64_t most[2], int64_t low, int64_t high)
{
    const int outer = stride[0] >= stride[1] ? 0 : 1, inner = 1 - outer;
    if (most[outer] == 0 || stride[outer] == 0) return !hits(at, stride[inner], most[inner], low, high);
    /* Only these i can bring the outer part near enough for the inner one; few, because a written view nests. */
    const int64_t around = stride[inner] * most[inner];
    int64_t i = divide_down(low - around - at, stride[outer]);
    if (i < -most[outer]) i = -most[outer];
    for (; i <= most[outer] && at + i * stride[outer] < high + around; i++)
        if (hits(at + i * stride[outer], stride[inner], most[inner], low, high)) return 0;
    return 1;
}

/* Both hulls are known to meet and to reach 2^60 bytes at most to either side, so that all differences fit. Row blocks
 * meet if some difference of the two origins, plus i * outer + k * inner stride, falls between -(b's reach) and a's
 * reach. */
int roperot_tensor_apart(const roperot_tensor *a, const roperot_tensor *b)
{
    const int64_t size_a = roperot_dtype_size(a->dtype), size_b = roperot_dtype_size(b->dtype);
    int64_t stride[2], most[2];
    for (int i = 0; i < 2; i++) {
        if (a->shape[i] != b->shape[i]) return 0;
        if (a->shape[i] != 1 && a->stride[i] * size_a != b->stride[i] * size_b) return 0;
        stride[i] = a->shape[i] == 1 ? 0 : roperot_magnitude(a->stride[i]) * size_a;
        most[i] = a->shape[i] - 1;
    }
    int64_t low_a, high_a, low_b, high_b;
    block_reach(a, &low_a, &high_a);
    block_reach(b, &low_b, &high_b);
    return roperot_blocks_apart(roperot_distance(a->data, b->data), stride, most, low_a - high_b, high_a - low_b);
}
