/* SPDX-License-Identifier: MIT
 * A caller's cos/sin table, read or written: its shape and reach, and whether it can be what it says; it must not know
 * plans. */
#ifndef ROPEROT_TABLE_H
#define ROPEROT_TABLE_H

#include <roperot/roperot.h>

/* The columns of one row, and how many elements pair j + 1 lies behind pair j (INT64_MAX if that is more). */
typedef struct roperot_table_shape {
    int64_t columns, pair_stride;
} roperot_table_shape;
roperot_table_shape roperot_table_shape_of(const roperot_table *table, int32_t pairs);

/* Elements below and above cos, or sin, that all rows of a table reach; INT64_MAX if they overflow. */
void roperot_table_reach(const roperot_table *table, int32_t pairs, int64_t *below, int64_t *above);

/* The caller's table, which may be of the first published size, as one of today's: what it has not is zero, and
 * the stride of one head. OK, or ROPEROT_ERROR_VERSION. */
int32_t roperot_table_read(const roperot_table *given, roperot_table *full, const char *name);

/* Everything about a table, read before, that does not depend on who reads or writes it. `rows` rows are needed. */
int32_t roperot_table_check(const roperot_table *table, int32_t pairs, int64_t rows, const char *name);

#endif
