/* SPDX-License-Identifier: MIT
 * AArch64: what the operating system says of the CPU; it must not know any kernel of the library. */
#include "cpu.h"

#ifdef ROPEROT_CPU_AARCH64

#include <stddef.h>
#if defined __linux__
#include <sys/auxv.h>
#elif defined _WIN32
#include <windows.h>
#endif

#include <roperot/roperot.h>

#if defined __linux__

static int has_sve(void)
{
    return getauxval(AT_HWCAP) >> 22 & 1; /* HWCAP_SVE */
}

#elif defined _WIN32

static int has_sve(void)
{
    return IsProcessorFeaturePresent(46); /* PF_ARM_SVE_INSTRUCTIONS_AVAILABLE, which older headers lack */
}

#else

/* Apple's CPUs have it in streaming mode only. */
static int has_sve(void)
{
    return 0;
}

#endif

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR:
    case ROPEROT_ISA_NEON: return NULL; /* the baseline of AArch64 */
    case ROPEROT_ISA_SVE: return has_sve() ? NULL : "this CPU has no SVE";
    default: return "this is an AArch64 CPU";
    }
}

/* A program may not read the registers that describe the caches. */
void roperot_cpu_caches(roperot_caches *caches)
{
    (void)caches;
}

#endif
