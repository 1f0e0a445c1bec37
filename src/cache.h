/* SPDX-License-Identifier: MIT
 * Building and freeing the cos/sin caches of a plan; it must not know tensors or positions. */
#ifndef ROPEROT_CACHE_H
#define ROPEROT_CACHE_H

#include "plan.h"

/* Resolves config->cache and max_positions into the plan and builds the cache, under the default floating-point
 * environment. The plan's geometry, frequencies and kernels are set. On failure the plan can be freed. */
int32_t roperot_cache_build(roperot_plan *plan, const roperot_config *config);
void roperot_cache_free(roperot_plan *plan);

/* The shape of a caller's table: columns of one row, and elements from pair to pair. */
typedef struct roperot_table_shape {
    int64_t columns, pair_stride;
} roperot_table_shape;
roperot_table_shape roperot_table_shape_of(const roperot_table *table, int32_t pairs);

/* Elements below and above cos, or sin, that all rows of a checked table reach; INT64_MAX if they overflow. */
void roperot_table_reach(const roperot_table *table, int32_t pairs, int64_t *below, int64_t *above);

/* Everything about a table that does not depend on who reads or writes it. `rows` rows are needed. */
int32_t roperot_table_check(const roperot_table *table, int32_t pairs, int64_t rows, const char *name);

#endif
