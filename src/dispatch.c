/* SPDX-License-Identifier: MIT
 * Which kernels run: immutable tables, one chosen once; it must not know what the kernels do. */
#define _GNU_SOURCE
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "config.h"
#include "cpu.h"
#include "kernels.h"

#if !defined __GLIBC__
#define secure_getenv getenv
#endif

/* Everything that is built in, best first. */
static const roperot_kernels *const tables[] = {
#if ROPEROT_HAVE_AVX512
    &roperot_kernels_avx512,
#endif
#if ROPEROT_HAVE_AVX2
    &roperot_kernels_avx2,
#endif
#if ROPEROT_HAVE_SVE
    &roperot_kernels_sve,
#endif
#if ROPEROT_HAVE_NEON
    &roperot_kernels_neon,
#endif
#if ROPEROT_HAVE_RVV
    &roperot_kernels_rvv,
#endif
    &roperot_kernels_scalar,
};
enum { TABLES = sizeof tables / sizeof tables[0] };

static const char *const names[] = { "auto", "scalar", "avx2", "avx512", "neon", "sve", "rvv" };
enum { NAMES = sizeof names / sizeof names[0] };

/* What AUTO means, found by the first caller; every thread finds the same, so the race is harmless. */
static const roperot_kernels none = { .isa = 0, .name = "none" };
static _Atomic(const roperot_kernels *) best;

const char *roperot_isa_name(int32_t isa)
{
    return isa >= 0 && isa < NAMES ? names[isa] : NULL;
}

static const roperot_kernels *usable_table(int32_t isa)
{
    for (int i = 0; i < TABLES; i++)
        if (tables[i]->isa == isa) return roperot_cpu_lacks(isa) ? NULL : tables[i];
    return NULL;
}

static const roperot_kernels *named_table(const char *name)
{
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < NAMES; isa++)
        if (strcmp(name, names[isa]) == 0) return usable_table(isa);
    return NULL;
}

static const roperot_kernels *choose(void)
{
    const char *const wanted = secure_getenv("ROPEROT_ISA");
    if (wanted && *wanted && strcmp(wanted, names[ROPEROT_ISA_AUTO]) != 0) return named_table(wanted);
    for (int i = 0; i < TABLES; i++)
        if (!roperot_cpu_lacks(tables[i]->isa)) return tables[i];
    return NULL;
}

static const roperot_kernels *best_table(void)
{
    const roperot_kernels *table = atomic_load_explicit(&best, memory_order_acquire);
    if (!table) {
        const roperot_kernels *expected = NULL;
        table = choose();
        if (!table) table = &none;
        /* The first writer wins, so that a change of the environment between two threads' reads cannot split them. */
        if (!atomic_compare_exchange_strong_explicit(&best, &expected, table, memory_order_acq_rel, memory_order_acquire))
            table = expected;
    }
    return table == &none ? NULL : table;
}

const roperot_kernels *roperot_kernels_for(int32_t isa)
{
    return isa == ROPEROT_ISA_AUTO ? best_table() : usable_table(isa);
}

int32_t roperot_isa_best(void)
{
    const roperot_kernels *const table = best_table();
    return table ? table->isa : 0;
}

int32_t roperot_isa_usable(int32_t isa)
{
    return roperot_kernels_for(isa) != NULL;
}

const char *roperot_isa_reason(int32_t isa)
{
    if (roperot_isa_usable(isa)) return "usable";
    if (isa == ROPEROT_ISA_AUTO) return "ROPEROT_ISA names an unknown or unusable ISA";
    if (isa < 0 || isa >= NAMES) return "no such ISA";
    for (int i = 0; i < TABLES; i++)
        if (tables[i]->isa == isa) return roperot_cpu_lacks(isa);
    return "not built in";
}
