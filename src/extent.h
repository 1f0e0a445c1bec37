/* SPDX-License-Identifier: MIT
 * Extents of memory, and whether two share a byte; it must not know what lies there. */
#ifndef ROPEROT_EXTENT_H
#define ROPEROT_EXTENT_H

#include <stdint.h>

/* What is touched lies in the bytes [begin, end); empty if they are equal. */
typedef struct roperot_extent {
    uintptr_t begin, end;
} roperot_extent;

/* The elements from `below` before to `above` behind `data`, of `size` bytes; roperot_is_addressable holds. */
static inline roperot_extent roperot_extent_around(const void *data, int64_t below, int64_t above, int64_t size)
{
    const roperot_extent extent = { (uintptr_t)data - (uintptr_t)(below * size),
                                    (uintptr_t)data + (uintptr_t)(above * size) };
    return extent;
}

static inline int roperot_extents_overlap(const roperot_extent *a, const roperot_extent *b)
{
    return a->begin < b->end && b->begin < a->end;
}

#endif
