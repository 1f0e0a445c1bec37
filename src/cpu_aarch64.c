/* SPDX-License-Identifier: MIT
 * AArch64: what the kernel says in the auxiliary vector; it must not know any kernel of the library. */
#include "cpu.h"

#ifdef ROPEROT_CPU_AARCH64

#include <stddef.h>
#include <sys/auxv.h>

#include <roperot/roperot.h>

enum { HAS_SVE = 1 << 22 }; /* HWCAP_SVE */

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR:
    case ROPEROT_ISA_NEON: return NULL; /* the baseline of AArch64 */
    case ROPEROT_ISA_SVE: return getauxval(AT_HWCAP) & HAS_SVE ? NULL : "this CPU has no SVE";
    default: return "this is an AArch64 CPU";
    }
}

/* A program may not read the registers that describe the caches. */
void roperot_cpu_caches(roperot_caches *caches)
{
    (void)caches;
}

#endif
