/* SPDX-License-Identifier: MIT
 * Factor tables: the cos/sin of every position as a product of at most three factors. The only place that knows how a
 * position is split; it must not know full or borrowed tables. */
#ifndef ROPEROT_CACHE_FACTORS_H
#define ROPEROT_CACHE_FACTORS_H

#include "bounds.h"
#include "plan.h"

/* A position is 10 + 10 + 11 bits, each of which is an index: 2^11 + 2^10 + 2^10 entries serve all 2^31 positions. */
enum { ROPEROT_LOW_BITS = 11, ROPEROT_HIGH_BITS = 10 };
_Static_assert(ROPEROT_LOW_BITS + (ROPEROT_LEVELS - 1) * ROPEROT_HIGH_BITS == ROPEROT_POSITION_BITS,
               "the levels split a whole position");

/* So many successive positions, from a multiple of it on, differ in their factor of level 0 only. */
enum { ROPEROT_FACTOR_RUN = 1 << ROPEROT_LOW_BITS };

/* f[k] = the cos of position p's factor of level k, from pair `first` on; its sin lies `pairs` doubles behind. NULL is
 * the factor 1. */
static inline void roperot_factors_of(const roperot_plan *plan, int64_t p, int32_t first, const double *f[])
{
    const int64_t low = p & (ROPEROT_FACTOR_RUN - 1), middle = p >> ROPEROT_LOW_BITS & ((1 << ROPEROT_HIGH_BITS) - 1),
                  top = p >> (ROPEROT_LOW_BITS + ROPEROT_HIGH_BITS), width = 2 * (int64_t)plan->pairs;
    f[0] = plan->level[0] + low * width + first;
    f[1] = middle ? plan->level[1] + middle * width + first : NULL;
    f[2] = top ? plan->level[2] + top * width + first : NULL;
}

/* Bytes of all factors for positions below n. */
int64_t roperot_factors_bytes(int32_t pairs, int64_t n);

/* Allocates all levels; fills those above level 0. */
int32_t roperot_factors_build_high(roperot_plan *plan);

/* Entries [begin, end) of level 0, in an allocated table; it has so many. */
void roperot_factors_fill_low(roperot_plan *plan, int64_t begin, int64_t end);
int64_t roperot_factors_low_entries(const roperot_plan *plan);

/* All of it. */
int32_t roperot_factors_build(roperot_plan *plan);
void roperot_factors_free(roperot_plan *plan);

#endif
