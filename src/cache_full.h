/* SPDX-License-Identifier: MIT
 * Full tables: f32 rows of cos and sin, one per position; it must not know borrowed tables. */
#ifndef ROPEROT_CACHE_FULL_H
#define ROPEROT_CACHE_FULL_H

#include "plan.h"

/* Bytes of the rows of n positions; saturated. */
int64_t roperot_full_bytes(int32_t pairs, int64_t n);

/* Rows for all positions (and heads) of the plan, owned by it as number `slot`; only their padding is filled. NULL,
 * and an error, if there is no memory. */
float *roperot_full_allocate(roperot_plan *plan, int slot, roperot_row_table *table);

/* Bytes of a FULL cache, with what PURE_ROTATION needs beside the rows. */
int64_t roperot_full_cache_bytes(const roperot_plan *plan);
int32_t roperot_full_build(roperot_plan *plan);
void roperot_full_free(roperot_plan *plan);

#endif
