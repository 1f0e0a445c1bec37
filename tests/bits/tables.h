/* SPDX-License-Identifier: MIT
 * Tables of cos and sin from literal bits, and hashes of what plans make of them; it must not know rotations. */
#ifndef ROPEROT_TESTS_TABLES_H
#define ROPEROT_TESTS_TABLES_H

#include "hashes.h"
#include <roperot/roperot.h>

#include "kernels.h"

enum { TABLES_ROWS = 64, TABLES_PAIRS = 129 };

/* One f32 table that fits every plan: a plan takes as many pairs of each row as it has. */
roperot_table tables_literal(void);
roperot_row tables_literal_row(int64_t position);

/* Borrowed tables of every dtype, width and layout, filled tables of the same. */
void tables_each(int32_t isa, hashes_emit_fn *emit, void *ctx);

#endif
