/* SPDX-License-Identifier: MIT
 * The kernel contract in its plainest form, one element at a time; it must not know vectors, caches or src/. */
#ifndef ROPEROT_TESTS_REFERENCE_ROTATE_H
#define ROPEROT_TESTS_REFERENCE_ROTATE_H

#include <stddef.h>

#include "kernels.h"

/* One line of ROPEROT_ROTATE_LIST: indices, as in roperot_kernels.rotate. */
typedef struct reference_rotation {
    const char *name; /* "f32-f16/half-interleaved" */
    int src, dst, pairing, pairing_out;
    roperot_rotate_fn *literal; /* the recipe, from the oracle */
} reference_rotation;

extern const reference_rotation reference_rotations[];
extern const size_t reference_rotation_count;

#endif
