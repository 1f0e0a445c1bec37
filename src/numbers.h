/* SPDX-License-Identifier: MIT
 * Small arithmetic that several files share: checked sums and products, distances; it must not know what is counted. */
#ifndef ROPEROT_NUMBERS_H
#define ROPEROT_NUMBERS_H

#include <stddef.h>
#include <stdint.h>

/* a * b of non-negative numbers; INT64_MAX if that is less. */
static inline int64_t roperot_saturating_mul(int64_t a, int64_t b)
{
    if ((a | b) <= INT32_MAX) return a * b; /* spares the division */
    return b != 0 && a > INT64_MAX / b ? INT64_MAX : a * b;
}

/* a + b, or the end of 64 bits that it lies beyond. */
static inline int64_t roperot_saturating_add(int64_t a, int64_t b)
{
    if (b >= 0) return a > INT64_MAX - b ? INT64_MAX : a + b;
    return a < INT64_MIN - b ? INT64_MIN : a + b;
}

static inline int64_t roperot_magnitude(int64_t x)
{
    return x == INT64_MIN ? INT64_MAX : x < 0 ? -x : x;
}

/* Adds an axis to what lies below and above element 0, in elements; INT64_MAX if that is more. One of 1 adds nothing,
 * whatever its stride. */
static inline void roperot_reach_axis(int64_t *below, int64_t *above, int64_t stride, int64_t count)
{
    if (count <= 1) return;
    int64_t *const side = stride < 0 ? below : above;
    *side = roperot_saturating_add(*side, roperot_saturating_mul(roperot_magnitude(stride), count - 1));
}

/* Bytes from a to b, negative if b is below a. In 64 bits before the difference: pointers of 32 would wrap. */
static inline int64_t roperot_distance(const void *a, const void *b)
{
    return (int64_t)((uint64_t)(uintptr_t)b - (uint64_t)(uintptr_t)a);
}

/* Can memory hold the elements from `below` before to `above` behind `data`, of `size` bytes? No memory is larger than
 * this allows, and differences of two such spans, times 2, still fit 63 bits. */
static inline int roperot_is_addressable(const void *data, int64_t below, int64_t above, int64_t size)
{
    const int64_t most = (PTRDIFF_MAX < INT64_MAX / 8 ? PTRDIFF_MAX : INT64_MAX / 8) / size;
    const uintptr_t at = (uintptr_t)data;
    return below <= most && above <= most && at >= (uintptr_t)(below * size) &&
           UINTPTR_MAX - at >= (uintptr_t)(above * size);
}

#endif
