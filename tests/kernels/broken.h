/* SPDX-License-Identifier: MIT
 * Kernels with one deliberate flaw each, and one without; they must not know how they will be caught. */
#ifndef ROPEROT_TESTS_BROKEN_H
#define ROPEROT_TESTS_BROKEN_H

#include <stddef.h>

#include "kernels.h"
#include "reference/rotate.h"

typedef struct broken_kernel {
    const char *flaw, *rotation; /* rotation: a reference_rotation name */
    roperot_rotate_fn *fn;
    int healthy; /* a control: the same code without its flaw */
} broken_kernel;

extern const broken_kernel broken_kernels[];
extern const size_t broken_kernel_count;

#endif
