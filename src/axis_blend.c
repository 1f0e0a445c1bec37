/* SPDX-License-Identifier: MIT
 * Coefficient rows of positions that differ between axes; it must not know how one axis's row is made.
 *
 * Neighbours in an image share most coordinates: along its rows one axis moves, and what a token then takes is one row
 * of that axis and one pass over the row made last. scratch->last is that row, and these rules keep it right. Each has
 * a name and a test in tests/kernels/test_axis_blend.c; "fewest" and "bits" are about cost only.
 *
 *   1 exact     `last` holds the coefficients of the position scratch->at, for the pairs from last_first on of head
 *               last_head, and nothing else.
 *   2 own       `last` lies in the space of the token that was made last, or in a table. When that space gets a row
 *               without blending, roperot_axis_blend_forget must be called, since `last` is gone then.
 *   3 moved     When a token is at the position of `last`, its row is made from axis 0. It must not be `last` itself,
 *               because a later token of the tile may overwrite that.
 *   4 fewest    When more axes have moved since `last` than differ from axis 0, the row is made from axis 0, because
 *               that takes fewer passes.
 *   5 apart     The row of the axis that is blended in is made behind the spaces of all tokens of the tile, so that it
 *               overwrites none of them. roperot_row_source_init leaves room for it.
 *   6 bits      Real coordinates are compared by their bits. -0 and 0 then count as different, which costs a row and
 *               changes no result. */
#include "axis_blend.h"

static int starts_from_last(const roperot_row_source *source, const roperot_place *at, roperot_pair_block block,
                            const roperot_scratch *scratch)
{
    int moved = 0, differ = 0;
    if (!scratch->last.cos || scratch->last_first != block.first || scratch->last_head != block.head) return 0;
    for (int32_t a = 0; a < source->axes; a++) {
        moved += at->p[a] != scratch->at.p[a];
        differ += at->p[a] != at->p[0];
    }
    return moved > 0 && moved <= differ;
}

static void start_from_axis_0(const roperot_row_source *source, const roperot_place *at, roperot_pair_block block,
                              roperot_scratch *scratch, float *space)
{
    roperot_row_of_axis(source, at, 0, block, space, &scratch->last);
    scratch->last_first = block.first;
    scratch->last_head = block.head;
    for (int32_t a = 0; a < source->axes; a++) scratch->at.p[a] = at->p[0];
}

void roperot_axis_blend(const roperot_row_source *source, const roperot_place *at, roperot_pair_block block,
                        roperot_scratch *scratch, float *space, roperot_row *row)
{
    const roperot_plan *const plan = source->plan;
    float *const workspace = scratch->values + source->floats - 2 * block.count;
    if (!starts_from_last(source, at, block, scratch)) start_from_axis_0(source, at, block, scratch, space);
    row->cos = space;
    row->sin = space + block.count;
    for (int32_t a = 0; a < source->axes; a++) {
        if (at->p[a] == scratch->at.p[a]) continue;
        roperot_row one;
        roperot_row_of_axis(source, at, a, block, workspace, &one);
        const uint32_t *const mask = plan->masks + 2 * a * plan->pairs + block.first;
        plan->kernels->blend(space, space + block.count, &one, &scratch->last, mask, mask + plan->pairs, block.count);
        scratch->last = *row;
        scratch->at.p[a] = at->p[a];
    }
}
