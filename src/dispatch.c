/* SPDX-License-Identifier: MIT
 * Which kernels run: immutable tables, one chosen once; it must not know what the kernels do. */
#define _DEFAULT_SOURCE /* issetugid */
#define _DARWIN_C_SOURCE
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#if defined __linux__
#include <sys/auxv.h>
#elif !defined _WIN32 && !defined __wasm__
#include <unistd.h>
#endif

#include <roperot/roperot.h>

#include "cpu.h"
#include "dispatch.h"
#include "lists.h"

/* Whether the program runs with more rights than its caller, whose environment then decides nothing. */
#if defined __linux__
static int has_more_rights(void)
{
    return getauxval(AT_SECURE) != 0;
}
#elif !defined _WIN32 && !defined __wasm__
static int has_more_rights(void)
{
    return issetugid();
}
#else
static int has_more_rights(void)
{
    return 0;
}
#endif

/* Everything that is built in, best first. */
#define TABLE(isa, ISA) ROPEROT_IF_BUILT(ISA, &roperot_kernels_##isa, )
static const roperot_kernels *const tables[] = { ROPEROT_ISA_LIST(TABLE) };
enum { TABLES = sizeof tables / sizeof tables[0] };

#define NAME(isa, ISA) [ROPEROT_ISA_##ISA] = #isa,
static const char names[][8] = { "auto", ROPEROT_ISA_LIST(NAME) }; /* no pointers: each is a relocation */
enum { NAMES = sizeof names / sizeof names[0] };

/* What AUTO means, as an index of `tables` and 1, or NONE; 0: nobody asked. The first thread that finds it decides for
 * all. */
enum { NONE = -1 };
static atomic_int best;

/* Why the ISA that ROPEROT_ISA names cannot be used. One thread writes the message, others read it once it is
 * published. */
static struct {
    char message[192];
    atomic_flag claimed;
    atomic_int published;
} variable_error = { .claimed = ATOMIC_FLAG_INIT };

static void set_variable_error(const char *wanted, const char *why)
{
    if (atomic_flag_test_and_set(&variable_error.claimed)) return;
    snprintf(variable_error.message, sizeof variable_error.message, "ROPEROT_ISA is %.30s: %s", wanted, why);
    atomic_store_explicit(&variable_error.published, 1, memory_order_release);
}

static const char *get_variable_error(void)
{
    return atomic_load_explicit(&variable_error.published, memory_order_acquire)
               ? variable_error.message
               : "ROPEROT_ISA names an unknown or unusable ISA";
}

const char *roperot_isa_name(int32_t isa)
{
    return isa >= 0 && isa < NAMES ? names[isa] : NULL;
}

static const roperot_kernels *built_table(int32_t isa)
{
    for (int i = 0; i < TABLES; i++)
        if (tables[i]->isa == isa) return tables[i];
    return NULL;
}

/* Why an ISA cannot be used; NULL if it can. */
static const char *obstacle(int32_t isa)
{
    if (isa <= ROPEROT_ISA_AUTO || isa >= NAMES) return "no such ISA";
    return built_table(isa) ? roperot_cpu_lacks(isa) : "not built in";
}

static int32_t isa_named(const char *name)
{
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < NAMES; isa++)
        if (strcmp(name, names[isa]) == 0) return isa;
    return ROPEROT_ISA_AUTO;
}

static int choose(void)
{
    const char *const wanted = has_more_rights() ? NULL : getenv("ROPEROT_ISA");
    const int is_named = wanted && *wanted && strcmp(wanted, names[ROPEROT_ISA_AUTO]) != 0;
    const int32_t isa = is_named ? isa_named(wanted) : ROPEROT_ISA_AUTO;
    const char *const why = is_named ? obstacle(isa) : NULL;
    if (why) set_variable_error(wanted, why);
    for (int i = 0; i < TABLES && !why; i++)
        if (is_named ? tables[i]->isa == isa : !roperot_cpu_lacks(tables[i]->isa)) return 1 + i;
    return NONE;
}

static const roperot_kernels *best_table(void)
{
    int chosen = atomic_load_explicit(&best, memory_order_acquire);
    if (!chosen) {
        int expected = 0;
        chosen = choose();
        /* The first writer wins, so that a change of the environment between two threads' reads cannot split them. */
        if (!atomic_compare_exchange_strong_explicit(&best, &expected, chosen, memory_order_acq_rel,
                                                     memory_order_acquire))
            chosen = expected;
    }
    return chosen == NONE ? NULL : tables[chosen - 1];
}

const roperot_kernels *roperot_kernels_for(int32_t isa)
{
    if (isa == ROPEROT_ISA_AUTO) return best_table();
    return obstacle(isa) ? NULL : built_table(isa);
}

const roperot_turned_norm *roperot_turned_norm_of(const roperot_kernels *kernels, int dtype)
{
    for (const roperot_head_extension *more = kernels->heads.extension; more; more = more->next)
        if (more->dtype == dtype && roperot_cpu_has(more->worth)) return &more->turned;
    return &kernels->heads.turned[dtype];
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
    return isa == ROPEROT_ISA_AUTO ? get_variable_error() : obstacle(isa);
}
