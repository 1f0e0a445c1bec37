/* SPDX-License-Identifier: MIT
 * Which cache a plan gets; it must not know how one is made. */
#include "cache.h"

#include "bounds.h"
#include "cache_borrowed.h"
#include "cache_factors.h"
#include "cache_full.h"
#include "memory.h"

enum { AUTO_FULL_BYTES = 64 << 20 };

/* No AUTO and no 0 remains. */
static void resolve(roperot_plan *plan, const roperot_config *config)
{
    plan->max_positions = config->max_positions ? config->max_positions : ROPEROT_MAX_POSITIONS;
    if (plan->mixed) {
        plan->cache = ROPEROT_CACHE_NONE;
    } else if (config->table) {
        plan->cache = ROPEROT_CACHE_BORROWED;
        if (config->max_positions == 0 && config->table->rows < ROPEROT_MAX_POSITIONS)
            plan->max_positions = config->table->rows;
    } else if (config->cache != ROPEROT_CACHE_AUTO) {
        plan->cache = config->cache;
    } else {
        const int fits =
            config->max_positions && roperot_full_bytes(plan->pairs, plan->max_positions) <= AUTO_FULL_BYTES;
        plan->cache = fits || plan->angles == ROPEROT_ANGLES_F32 ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
    }
}

int32_t roperot_cache_build(roperot_plan *plan, const roperot_config *config)
{
    resolve(plan, config);
    int32_t status;
    switch (plan->cache) {
    case ROPEROT_CACHE_NONE: return ROPEROT_OK;
    case ROPEROT_CACHE_BORROWED: return roperot_borrowed_build(plan, config->table);
    case ROPEROT_CACHE_FULL:
        status = roperot_memory_check(roperot_full_cache_bytes(plan), "a FULL cache");
        return status ? status : roperot_full_build(plan);
    default:
        plan->cache_bytes = roperot_factors_bytes(plan->pairs, plan->max_positions);
        status = roperot_memory_check(plan->cache_bytes, "a FACTORED cache");
        return status ? status : roperot_factors_build(plan);
    }
}

void roperot_cache_free(roperot_plan *plan)
{
    roperot_factors_free(plan);
    roperot_full_free(plan);
}
