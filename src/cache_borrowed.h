/* SPDX-License-Identifier: MIT
 * Borrowed tables: the caller's cos/sin rows, used where they are if they can be; it must not know factors. */
#ifndef ROPEROT_CACHE_BORROWED_H
#define ROPEROT_CACHE_BORROWED_H

#include "plan.h"

/* `table` is checked. */
int32_t roperot_borrowed_build(roperot_plan *plan, const roperot_table *table);

#endif
