/* SPDX-License-Identifier: MIT
 * Choosing, building and freeing the cos/sin cache of a plan; it must not know tensors or positions. */
#ifndef ROPEROT_CACHE_H
#define ROPEROT_CACHE_H

#include "plan.h"

/* Resolves config->cache and max_positions into the plan and builds the cache, under the default floating-point
 * environment. The config is checked; the plan's geometry, frequencies and kernels are set. On failure the plan can be
 * freed. */
int32_t roperot_cache_build(roperot_plan *plan, const roperot_config *config);
void roperot_cache_free(roperot_plan *plan);

#endif
