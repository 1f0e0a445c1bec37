/* SPDX-License-Identifier: MIT
 * The general path of roperot_apply; it must not know the fast one. */
#ifndef ROPEROT_APPLY_H
#define ROPEROT_APPLY_H

#include <roperot/roperot.h>

/* roperot_apply for any arguments. */
int32_t roperot_apply_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                          const roperot_tensor *dst, int32_t count, const roperot_options *options);

#endif
