/* SPDX-License-Identifier: MIT
 * RISC-V: what the kernel says in the auxiliary vector; it must not know any kernel of the library. */
#include "cpu.h"

#ifdef ROPEROT_CPU_RISCV64

#include <stddef.h>
#if defined __linux__
#include <sys/auxv.h>
#endif

#include <roperot/roperot.h>

static int has_v(void)
{
#if defined __linux__
    return getauxval(AT_HWCAP) >> ('V' - 'A') & 1; /* one bit per letter of the base extensions */
#else
    return 0;
#endif
}

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR: return NULL;
    case ROPEROT_ISA_RVV: return has_v() ? NULL : "this CPU has no V extension";
    default: return "this is a RISC-V CPU";
    }
}

/* RISC-V has no register that describes the caches. */
void roperot_cpu_caches(roperot_caches *caches)
{
    (void)caches;
}

#endif
