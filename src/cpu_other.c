/* SPDX-License-Identifier: MIT
 * CPU families without vector kernels; it must not know any kernel. */
#include "cpu.h"

#ifdef ROPEROT_CPU_OTHER

#include <stddef.h>

#include <roperot/roperot.h>

const char *roperot_cpu_lacks(int32_t isa)
{
    return isa == ROPEROT_ISA_SCALAR ? NULL : "this CPU is of another family";
}

void roperot_cpu_caches(roperot_caches *caches)
{
    (void)caches;
}

#endif
