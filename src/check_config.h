/* SPDX-License-Identifier: MIT
 * Checking a config as a whole; it must not know plans, caches or kernels. */
#ifndef ROPEROT_CHECK_CONFIG_H
#define ROPEROT_CHECK_CONFIG_H

#include <roperot/roperot.h>

/* The caller's config and its table, which may be of their first published sizes, as those of today: what they have not
 * is zero. full->table is `table`, or NULL. OK, or ROPEROT_ERROR_VERSION. */
int32_t roperot_read_config(const roperot_config *config, roperot_config *full, roperot_table *table);

/* ROPEROT_OK if a plan can be built of it, unless the machine says no: it lacks the ISA or the memory, or the base
 * makes a frequency that is too large. */
int32_t roperot_check_config(const roperot_config *config);

#endif
