/* SPDX-License-Identifier: MIT
 * Which views of a call overlap where they must not; it must not know positions, caches or kernels. */
#include "overlap.h"

#include "status.h"

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

int roperot_blocks_disjoint(int64_t at, const int64_t stride[2], const int64_t most[2], int64_t low, int64_t high)
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

/* Both extents reach 2^60 bytes at most to either side, so that all differences fit. */
int roperot_tensors_disjoint(const roperot_tensor *a, const roperot_tensor *b)
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
    return roperot_blocks_disjoint(roperot_distance(a->data, b->data), stride, most, low_a - high_b, high_a - low_b);
}

int roperot_views_disjoint(const roperot_tensor *a, const roperot_extent *a_extent, const roperot_tensor *b,
                           const roperot_extent *b_extent)
{
    return !roperot_extents_overlap(a_extent, b_extent) || roperot_tensors_disjoint(a, b);
}

/* ---- all views of a call ----------------------------------------------------------------------------------------- */

static int32_t overlap_error(const char *a, int32_t i, const char *b, int32_t j)
{
    return roperot_fail(ROPEROT_ERROR_ALIAS,
                        "%s[%d] and %s[%d] overlap, and one of them is written; they must be apart, the same view, or "
                        "separate parts of one packed row",
                        a, i, b, j);
}

/* Kept for the first views, found again for the others. */
static roperot_extent extent_of(const roperot_views *v, const roperot_tensor *views, const roperot_extent *kept,
                                int32_t i)
{
    roperot_extent extent;
    if (i < ROPEROT_KEPT_EXTENTS) return kept[i];
    roperot_tensor_check(&views[i], v->head_dim, 0, "src", i, "", &extent);
    return extent;
}

/* Written view i against the written ones before it and every source. */
static int32_t check_written_view(const roperot_views *v, int32_t i)
{
    const int out = v->dst != v->src;
    const char *const name = out ? "dst" : "src";
    const roperot_extent own = extent_of(v, v->dst, v->dst_extent, i);
    for (int32_t j = 0; j < i; j++) {
        const roperot_extent other = extent_of(v, v->dst, v->dst_extent, j);
        if (!roperot_views_disjoint(&v->dst[i], &own, &v->dst[j], &other)) return overlap_error(name, i, name, j);
    }
    for (int32_t j = 0; out && j < v->count; j++) {
        const roperot_extent other = extent_of(v, v->src, v->src_extent, j);
        if (i == j && roperot_tensor_same(&v->src[i], &v->dst[i])) continue;
        if (!roperot_views_disjoint(&v->dst[i], &own, &v->src[j], &other)) return overlap_error("dst", i, "src", j);
    }
    return ROPEROT_OK;
}

int32_t roperot_overlap_check(const roperot_views *views)
{
    if (views->count == 1 && views->dst == views->src) return ROPEROT_OK;
    for (int32_t i = 0; i < views->count; i++) {
        const int32_t status = check_written_view(views, i);
        if (status) return status;
    }
    return ROPEROT_OK;
}
