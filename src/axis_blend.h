/* SPDX-License-Identifier: MIT
 * Coefficient rows of positions that differ between axes; it must not know how one axis's row is made. */
#ifndef ROPEROT_AXIS_BLEND_H
#define ROPEROT_AXIS_BLEND_H

#include "coefficient_rows.h"

/* Each pair from the row of its axis, in `space`. The axes of `at` are not all equal. */
void roperot_axis_blend(const roperot_row_source *source, const roperot_place *at, roperot_pair_block block,
                        roperot_scratch *scratch, float *space, roperot_row *row);

/* The row that `space` gets next is none that a blended one may start from. */
static inline void roperot_axis_blend_forget(roperot_scratch *scratch)
{
    scratch->last.cos = NULL;
}

#endif
