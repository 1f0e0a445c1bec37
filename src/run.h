/* SPDX-License-Identifier: MIT
 * The general path of roperot_run; it must not know the fast one. */
#ifndef ROPEROT_RUN_H
#define ROPEROT_RUN_H

#include <roperot/roperot.h>

/* roperot_run for any arguments. */
int32_t roperot_run_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                        int32_t count, const roperot_options *options);

#endif
