/* SPDX-License-Identifier: MIT
 * CPU families without detection: WebAssembly, whose engines refuse a module that they cannot run, and those
 * without vector kernels; it must not know any kernel. */
#include "cpu.h"

#ifdef ROPEROT_CPU_OTHER

#include <stddef.h>

#include <roperot/roperot.h>

const char *roperot_cpu_lacks(int32_t isa)
{
#if defined __wasm__
    if (isa == ROPEROT_ISA_WASM) return NULL;
#endif
    return isa == ROPEROT_ISA_SCALAR ? NULL : "this CPU is of another family";
}

void roperot_cpu_caches(roperot_caches *caches)
{
    (void)caches;
}

#endif
