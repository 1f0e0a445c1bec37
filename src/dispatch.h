/* SPDX-License-Identifier: MIT
 * Which kernels run; it must not know what they do. */
#ifndef ROPEROT_DISPATCH_H
#define ROPEROT_DISPATCH_H

#include "kernels.h"

/* The table of one ISA if it is built in and usable, else NULL; AUTO follows ROPEROT_ISA. */
const roperot_kernels *roperot_kernels_for(int32_t isa);

/* Norm and rotation in one kernel, of a dtype (an index): that of an extension, if this CPU can run one that has it.
 * Its `norm` is NULL if there is none. */
const roperot_turned_norm *roperot_turned_norm_of(const roperot_kernels *kernels, int dtype);

#endif
