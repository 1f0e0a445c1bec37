/* SPDX-License-Identifier: MIT
 * CPU, cache and memory detection; it must not know any kernel. Uses GNU C and POSIX, alone in src/ with fpenv.h. */
#define _GNU_SOURCE
#include "cpu.h"

#include <roperot/roperot.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#if defined __x86_64__ || defined __i386__

#include <cpuid.h>

typedef struct cpuid_registers {
    uint32_t a, b, c, d;
} cpuid_registers;

static cpuid_registers cpuid(uint32_t leaf, uint32_t subleaf)
{
    cpuid_registers r = { 0, 0, 0, 0 };
    if (leaf <= (uint32_t)__get_cpuid_max(0, NULL)) __cpuid_count(leaf, subleaf, r.a, r.b, r.c, r.d);
    return r;
}

/* Which register state the operating system saves: XCR0, or 0 without OSXSAVE. CPUID alone would say yes on a system
 * that never enabled AVX. */
static uint32_t enabled_state(void)
{
    if (!(cpuid(1, 0).c & (1u << 27))) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static const char *lacks_avx2(void)
{
    const cpuid_registers one = cpuid(1, 0), seven = cpuid(7, 0);
    if ((enabled_state() & 0x6u) != 0x6u) return "the operating system does not save AVX registers";
    if (!(one.c & (1u << 28))) return "this CPU has no AVX";
    if (!(seven.b & (1u << 5))) return "this CPU has no AVX2";
    if (!(one.c & (1u << 29))) return "this CPU has no F16C";
    return NULL;
}

static const char *lacks_avx512(void)
{
    const char *const avx2 = lacks_avx2();
    if (avx2) return avx2;
    const uint32_t features = cpuid(7, 0).b;
    if (!(features & (1u << 16))) return "this CPU has no AVX-512 F";
    if (!(features & (1u << 17))) return "this CPU has no AVX-512 DQ";
    if (!(features & (1u << 30))) return "this CPU has no AVX-512 BW";
    if (!(features & (1u << 31))) return "this CPU has no AVX-512 VL";
    if ((enabled_state() & 0xe6u) != 0xe6u) return "the operating system does not save AVX-512 registers";
    return NULL;
}

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR: return NULL;
    case ROPEROT_ISA_AVX2: return lacks_avx2();
    case ROPEROT_ISA_AVX512: return lacks_avx512();
    default: return "this is an x86 CPU";
    }
}

/* Leaf 4 (Intel) or 0x8000001d (AMD): one subleaf per cache, with how many logical CPUs share it. */
static void describe_caches(roperot_machine *machine)
{
    uint32_t leaf = 4;
    const uint32_t extended = (uint32_t)__get_cpuid_max(0x80000000u, NULL);
    if ((cpuid(0, 0).c == 0x444d4163u || cpuid(0, 0).c == 0x656e6961u) && extended >= 0x8000001du) leaf = 0x8000001du;
    for (uint32_t i = 0; i < 16; i++) {
        cpuid_registers r;
        if (leaf == 4)
            r = cpuid(leaf, i);
        else
            __cpuid_count(leaf, i, r.a, r.b, r.c, r.d);
        const uint32_t type = r.a & 31u, level = (r.a >> 5) & 7u;
        if (type == 0) return;
        if (type == 2) continue; /* instructions */
        const int64_t ways = (r.b >> 22) + 1u, partitions = ((r.b >> 12) & 0x3ffu) + 1u, line = (r.b & 0xfffu) + 1u;
        const int64_t bytes = ways * partitions * line * ((int64_t)r.c + 1);
        const int64_t sharers = ((r.a >> 14) & 0xfffu) + 1u;
        if (level <= 2 && bytes > machine->core_cache) machine->core_cache = bytes;
        if (level >= 3) machine->last_cache = bytes / sharers;
    }
}

#elif defined __aarch64__

#include <sys/auxv.h>

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR:
    case ROPEROT_ISA_NEON: return NULL; /* the baseline of AArch64 */
    case ROPEROT_ISA_SVE: return getauxval(AT_HWCAP) & (1ul << 22) ? NULL : "this CPU has no SVE";
    default: return "this is an AArch64 CPU";
    }
}

static void describe_caches(roperot_machine *machine)
{
    (void)machine;
}

#elif defined __riscv && __riscv_xlen == 64

#include <sys/auxv.h>

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR: return NULL;
    case ROPEROT_ISA_RVV: return getauxval(AT_HWCAP) & (1ul << ('V' - 'A')) ? NULL : "this CPU has no V extension";
    default: return "this is a RISC-V CPU";
    }
}

static void describe_caches(roperot_machine *machine)
{
    (void)machine;
}

#else

const char *roperot_cpu_lacks(int32_t isa)
{
    return isa == ROPEROT_ISA_SCALAR ? NULL : "this CPU is of another family";
}

static void describe_caches(roperot_machine *machine)
{
    (void)machine;
}

#endif

enum { HUGE_PAGE = 2 << 20 };

void *roperot_table_allocate(int64_t bytes)
{
    if (bytes > PTRDIFF_MAX - HUGE_PAGE) return NULL; /* size_t may have 32 bits and the machine more memory */
    const size_t page = bytes >= HUGE_PAGE ? HUGE_PAGE : 64, size = ((size_t)bytes + page - 1) / page * page;
    void *const data = aligned_alloc(page, size);
#if defined MADV_HUGEPAGE
    if (data && page == HUGE_PAGE) (void)madvise(data, size, MADV_HUGEPAGE); /* a hint: nothing depends on it */
#endif
    return data;
}

void roperot_machine_describe(roperot_machine *machine)
{
    machine->core_cache = 512 << 10;
    machine->last_cache = 0;
    describe_caches(machine);
    if (machine->last_cache < machine->core_cache) machine->last_cache = 4 * machine->core_cache;
    const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE), cpus = sysconf(_SC_NPROCESSORS_ONLN);
    machine->memory = pages > 0 && page > 0 && pages < INT64_MAX / page ? (int64_t)pages * page : INT64_MAX;
    machine->cpus = cpus < 1 ? 1 : cpus < INT32_MAX ? (int32_t)cpus : INT32_MAX;
}
