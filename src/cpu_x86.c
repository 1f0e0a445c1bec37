/* SPDX-License-Identifier: MIT
 * x86: CPUID and XGETBV; it must not know any kernel. Uses GNU C. */
#include "cpu.h"

#ifdef ROPEROT_CPU_X86

#include <cpuid.h>
#include <stdatomic.h>
#include <string.h>
#include <stddef.h>

#include <roperot/roperot.h>

#include "heads.h"

typedef struct cpuid_registers {
    uint32_t a, b, c, d;
} cpuid_registers;

static cpuid_registers cpuid(uint32_t leaf, uint32_t subleaf)
{
    cpuid_registers r = { 0, 0, 0, 0 };
    if (leaf <= (uint32_t)__get_cpuid_max(leaf & 0x80000000u, NULL)) __cpuid_count(leaf, subleaf, r.a, r.b, r.c, r.d);
    return r;
}

/* The last four letters of its name: "ntel", "cAMD", "uine". */
enum { INTEL = 0x6c65746e, AMD = 0x444d4163, HYGON = 0x656e6975 };
static uint32_t vendor(void) { return cpuid(0, 0).c; }

/* ---- instruction sets -------------------------------------------------------------------------------------------- */

enum {
    SAVES_AVX = 1 << 0, /* the operating system, at a task switch */
    AVX = 1 << 1,
    AVX2 = 1 << 2,
    F16C = 1 << 3,
    AVX512F = 1 << 4,
    AVX512DQ = 1 << 5,
    AVX512BW = 1 << 6,
    AVX512VL = 1 << 7,
    SAVES_AVX512 = 1 << 8,
    ASKED = 1 << 9,
    AVX512_BF16 = 1 << 10,
    FAST_AVX512_BF16 = 1 << 11 /* Intel's CPUs take as long for VCVTNE2PS2BF16 as for four multiplications */
};

/* What an ISA needs, in the order in which a user should read that it is missing, and what is said of each: texts one
 * after the other, since pointers to them would be relocated at every start. */
static const int16_t needs[] = { SAVES_AVX, AVX, AVX2, F16C, AVX512F, AVX512DQ, AVX512BW, AVX512VL, SAVES_AVX512 };
static const char missing[] = "the operating system does not save AVX registers\0"
                              "this CPU has no AVX\0"
                              "this CPU has no AVX2\0"
                              "this CPU has no F16C\0"
                              "this CPU has no AVX-512 F\0"
                              "this CPU has no AVX-512 DQ\0"
                              "this CPU has no AVX-512 BW\0"
                              "this CPU has no AVX-512 VL\0"
                              "the operating system does not save AVX-512 registers";
enum { AVX2_NEEDS = 4, AVX512_NEEDS = sizeof needs / sizeof *needs };

/* XCR0 says which register state the operating system saves; 0 without OSXSAVE. CPUID alone would say yes on a system
 * that never enabled AVX. */
static uint32_t saved_state(uint32_t leaf_1_c)
{
    if (!(leaf_1_c & (1u << 27))) return 0;
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}

static int ask(void)
{
    const uint32_t one = cpuid(1, 0).c, seven = cpuid(7, 0).b, saved = saved_state(one);
    const int has_bf16 = cpuid(7, 0).a >= 1 && (cpuid(7, 1).a & (1u << 5));
    return ASKED | ((saved & 0x6u) == 0x6u ? SAVES_AVX : 0) | (one & (1u << 28) ? AVX : 0) |
           (seven & (1u << 5) ? AVX2 : 0) | (one & (1u << 29) ? F16C : 0) | (seven & (1u << 16) ? AVX512F : 0) |
           (seven & (1u << 17) ? AVX512DQ : 0) | (seven & (1u << 30) ? AVX512BW : 0) |
           (seven & (1u << 31) ? AVX512VL : 0) | ((saved & 0xe6u) == 0xe6u ? SAVES_AVX512 : 0) |
           (has_bf16 ? AVX512_BF16 : 0) | (has_bf16 && vendor() != INTEL ? FAST_AVX512_BF16 : 0);
}

/* A hypervisor answers CPUID in microseconds. Threads that ask at the same time get, and store, the same. */
static int features(void)
{
    static atomic_int known;
    int found = atomic_load_explicit(&known, memory_order_relaxed);
    if (!found) {
        found = ask();
        atomic_store_explicit(&known, found, memory_order_relaxed);
    }
    return found;
}

static const char *first_missing(int count)
{
    const int found = features();
    const char *text = missing;
    for (int i = 0; i < count; i++, text += strlen(text) + 1)
        if (!(found & needs[i])) return text;
    return NULL;
}

const char *roperot_cpu_lacks(int32_t isa)
{
    switch (isa) {
    case ROPEROT_ISA_SCALAR: return NULL;
    case ROPEROT_ISA_AVX2: return first_missing(AVX2_NEEDS);
    case ROPEROT_ISA_AVX512: return first_missing(AVX512_NEEDS);
    default: return "this is an x86 CPU";
    }
}

int roperot_cpu_has(int32_t feature)
{
    const int bit = feature == ROPEROT_FEATURE_FAST_AVX512_BF16 ? FAST_AVX512_BF16 : AVX512_BF16;
    return feature == ROPEROT_FEATURE_NONE || (features() & bit) != 0;
}

/* ---- caches ------------------------------------------------------------------------------------------------------ */

/* AMD and Hygon describe their caches in a leaf of their own, in the format of Intel's. */
static uint32_t cache_leaf(void)
{
    enum { OF_INTEL = 4 };
    const uint32_t amd = 0x8000001du, by = vendor();
    return (by == AMD || by == HYGON) && cpuid(0x80000000u, 0).a >= amd ? amd : OF_INTEL;
}

/* One subleaf per cache, with how many logical CPUs share it. A level 2 that small cores share counts whole: one thread
 * may fill it. */
void roperot_cpu_caches(roperot_caches *caches)
{
    enum { NO_MORE = 0, INSTRUCTIONS = 2, MOST_CACHES = 16 };
    const uint32_t leaf = cache_leaf();
    for (uint32_t i = 0; i < MOST_CACHES; i++) {
        const cpuid_registers r = cpuid(leaf, i);
        const uint32_t type = r.a & 31u, level = (r.a >> 5) & 7u;
        if (type == NO_MORE) return;
        if (type == INSTRUCTIONS) continue;
        const int64_t ways = (r.b >> 22) + 1u, partitions = ((r.b >> 12) & 0x3ffu) + 1u, line = (r.b & 0xfffu) + 1u;
        const int64_t bytes = ways * partitions * line * ((int64_t)r.c + 1), sharers = ((r.a >> 14) & 0xfffu) + 1u;
        if (level <= 2 && bytes > caches->core) caches->core = bytes;
        if (level >= 3) caches->last = bytes / sharers;
    }
}

#endif
