/* SPDX-License-Identifier: MIT
 * What the CPU and the operating system can run, and the caches of a core, in one cpu_<family>.c per CPU family; it
 * must not know any kernel. */
#ifndef ROPEROT_CPU_H
#define ROPEROT_CPU_H

#include <stdint.h>

/* Every build compiles all the families' files; all but one of them are empty. */
#if defined __x86_64__ || defined __i386__
#define ROPEROT_CPU_X86 1
#elif defined __aarch64__
#define ROPEROT_CPU_AARCH64 1
#elif defined __riscv && __riscv_xlen == 64
#define ROPEROT_CPU_RISCV64 1
#else
#define ROPEROT_CPU_OTHER 1
#endif

/* NULL if this CPU and operating system can run the ISA, else the reason in a few words. Static storage. Cheap: the
 * CPU is asked once per process. Thread safe without a lock. */
const char *roperot_cpu_lacks(int32_t isa);

/* Whether this CPU has what an extension of a usable ISA needs, a ROPEROT_FEATURE_.... */
#ifdef ROPEROT_CPU_X86
int roperot_cpu_has(int32_t feature);
#else
static inline int roperot_cpu_has(int32_t feature)
{
    return feature == 0; /* ROPEROT_FEATURE_NONE */
}
#endif

/* Bytes; what the CPU does not tell is left as it is. Not cheap: machine.c asks once. */
typedef struct roperot_caches {
    int64_t core; /* the largest near one: the core's own, or of level 2 that small cores share */
    int64_t last; /* this core's share of the last-level cache */
} roperot_caches;
void roperot_cpu_caches(roperot_caches *caches);

#endif
