/* SPDX-License-Identifier: MIT
 * Building factor tables; it must not know full or borrowed tables. */
#include "cache_factors.h"

#include <stddef.h>

#include "memory.h"
#include "status.h"

/* Entry i of a level is the rotation by i << shift. */
static int shift_of(int level)
{
    return level == 0 ? 0 : ROPEROT_LOW_BITS + (level - 1) * ROPEROT_HIGH_BITS;
}

/* Entries of a level for positions below n. */
static int64_t entries_of(int level, int64_t n)
{
    const int bits = level == 0 ? ROPEROT_LOW_BITS : ROPEROT_HIGH_BITS;
    const int64_t needed = ((n - 1) >> shift_of(level)) + 1, max = (int64_t)1 << bits;
    return needed < max ? needed : max;
}

/* A higher level of one entry is the factor 1, which is not stored. */
static int64_t level_bytes(int level, int32_t pairs, int64_t n)
{
    const int64_t entries = entries_of(level, n);
    return level > 0 && entries == 1 ? 0 : entries * 2 * pairs * (int64_t)sizeof(double);
}

int64_t roperot_factors_bytes(int32_t pairs, int64_t n)
{
    int64_t bytes = 0;
    for (int level = 0; level < ROPEROT_LEVELS; level++) bytes += level_bytes(level, pairs, n);
    return bytes;
}

static int32_t allocate(roperot_plan *plan)
{
    for (int level = 0; level < ROPEROT_LEVELS; level++) {
        const int64_t bytes = level_bytes(level, plan->pairs, plan->max_positions);
        if (bytes == 0) continue;
        plan->level[level] = roperot_memory_allocate(bytes);
        if (!plan->level[level])
            return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for %lld bytes of cos/sin factors", (long long)bytes);
    }
    return ROPEROT_OK;
}

static void fill(roperot_plan *plan, int level, int64_t begin, int64_t end)
{
    plan->kernels->factors(plan->level[level], plan->inv_freq, plan->pairs, shift_of(level), begin, end);
}

int32_t roperot_factors_build_high(roperot_plan *plan)
{
    const int32_t status = allocate(plan);
    for (int level = 1; level < ROPEROT_LEVELS && !status; level++)
        if (plan->level[level]) fill(plan, level, 0, entries_of(level, plan->max_positions));
    return status;
}

void roperot_factors_fill_low(roperot_plan *plan, int64_t begin, int64_t end)
{
    fill(plan, 0, begin, end);
}

int64_t roperot_factors_low_entries(const roperot_plan *plan)
{
    return entries_of(0, plan->max_positions);
}

int32_t roperot_factors_build(roperot_plan *plan)
{
    const int32_t status = roperot_factors_build_high(plan);
    if (!status) roperot_factors_fill_low(plan, 0, roperot_factors_low_entries(plan));
    return status;
}

void roperot_factors_free(roperot_plan *plan)
{
    for (int level = 0; level < ROPEROT_LEVELS; level++) {
        roperot_memory_free(plan->level[level]);
        plan->level[level] = NULL;
    }
}
