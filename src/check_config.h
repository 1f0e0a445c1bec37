/* SPDX-License-Identifier: MIT
 * Checking a config as a whole; it must not know plans, caches or kernels. */
#ifndef ROPEROT_CHECK_CONFIG_H
#define ROPEROT_CHECK_CONFIG_H

#include <roperot/roperot.h>

/* The caller's config, which may be of the first published size, as one of today's: what it has not is zero. OK, or
 * ROPEROT_ERROR_VERSION. */
int32_t roperot_read_config(const roperot_config *config, roperot_config *full);

/* ROPEROT_OK if a plan can be built of it, unless the machine says no: it lacks the ISA or the memory, or the base makes
 * a frequency that is too large. */
int32_t roperot_check_config(const roperot_config *config);

#endif
