/* SPDX-License-Identifier: MIT
 * What a table of hashes is made by: one function per table; it must not know how the tables are kept. */
#ifndef ROPEROT_TESTS_HASHES_H
#define ROPEROT_TESTS_HASHES_H

#include <stdint.h>

/* One hash. `variant` NULL: the plain run, which the table holds under `name`. Otherwise another way to the same
 * values, which must hash the same as the plain run just before it. */
typedef void hashes_emit_fn(void *ctx, const char *name, const char *variant, uint64_t hash);

/* Everything that an ISA computes from given cos and sin: rotations and tables, no transcendental. */
void hashes_rotations(int32_t isa, hashes_emit_fn *emit, void *ctx);
/* Jobs: norms, stores in every format of pages, eager arithmetic. */
void hashes_jobs(int32_t isa, hashes_emit_fn *emit, void *ctx);
/* Frequencies, caches and coefficients. */
void hashes_caches(int32_t isa, hashes_emit_fn *emit, void *ctx);

#endif
