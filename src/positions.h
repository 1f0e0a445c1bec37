/* SPDX-License-Identifier: MIT
 * Reading and checking positions; it must not know tensors, caches or kernels. */
#ifndef ROPEROT_POSITIONS_H
#define ROPEROT_POSITIONS_H

#include "bounds.h"
#include "extent.h"
#include "numbers.h"
#include "plan.h"

int32_t roperot_positions_check_any(const roperot_plan *plan, const roperot_positions *positions, uint32_t flags,
                                    int64_t batch, int64_t tokens, int64_t begin, int64_t end);

/* Everything about positions of tokens [begin, end) (index b * tokens + t), before anything is written. What a
 * decode step brings, one row of tokens at an offset, is answered here. */
static inline int32_t roperot_positions_check(const roperot_plan *plan, const roperot_positions *positions,
                                              uint32_t flags, int64_t batch, int64_t tokens, int64_t begin, int64_t end)
{
    if (positions->kind == ROPEROT_POSITIONS_OFFSET && (uint32_t)positions->axes <= 1 && end <= tokens &&
        positions->offset >= 0 && positions->offset <= plan->max_positions - end)
        return ROPEROT_OK;
    return roperot_positions_check_any(plan, positions, flags, batch, tokens, begin, end);
}

/* Whether a checked set of positions, OFFSET or not, is read from what is written, going by the extent of its ids. */
int roperot_positions_overlap(const roperot_positions *positions, int64_t batch, int64_t tokens,
                              const roperot_extent *written);

/* How many axes the caller gives; 0 means 1. */
static inline int32_t roperot_positions_axes(const roperot_positions *positions)
{
    return positions->axes > 1 ? positions->axes : 1;
}

static inline int roperot_positions_are_real(const roperot_positions *positions)
{
    return positions->kind == ROPEROT_POSITIONS_IDS &&
           (positions->type == ROPEROT_POSITIONS_F32 || positions->type == ROPEROT_POSITIONS_F64);
}

static inline int64_t roperot_id_read(const void *ids, int32_t type, int64_t i)
{
    return type == ROPEROT_POSITIONS_I32 ? ((const int32_t *)ids)[i] : ((const int64_t *)ids)[i];
}

void roperot_position_read_any(const roperot_positions *positions, int32_t axes, int64_t b, int64_t t,
                               int64_t *position);

/* The integer position of token t of row b on each of the plan's axes, with the offset; saturated, not yet bounded.
 * Ids are read here, since there may be three to a token, and they are read twice. */
static inline void roperot_position_read(const roperot_positions *positions, int32_t axes, int64_t b, int64_t t,
                                         int64_t *position)
{
    if (positions->kind != ROPEROT_POSITIONS_IDS) {
        roperot_position_read_any(positions, axes, b, t, position);
        return;
    }
    const int32_t given = roperot_positions_axes(positions);
    const int64_t at = b * positions->batch_stride + t * positions->token_stride, offset = positions->offset;
    for (int32_t a = 0; a < given; a++) {
        const int64_t i = at + (a ? a * positions->axis_stride : 0);
        position[a] = roperot_saturating_add(roperot_id_read(positions->ids, positions->type, i), offset);
    }
    for (int32_t a = given; a < axes; a++) position[a] = position[0];
}

/* The same for real coordinates. */
void roperot_coordinate_read(const roperot_positions *positions, int32_t axes, int64_t b, int64_t t,
                             double *coordinate);

/* What an address of ids of a known type must be a multiple of. (i386 aligns 8-byte types to 4.) */
uintptr_t roperot_id_alignment(int32_t type);

/* Errors of single members, for the checks of the kinds. `type` is a known one. */
int32_t roperot_positions_member_error(const char *member, int64_t value, const char *allowed);
int32_t roperot_positions_check_alignment(const char *member, const void *data, int32_t type);

/* CLAMP moves positions into the plan's bounds; 1 if the token is rotated, 0 if it is left alone (IDENTITY). */
int roperot_position_bound(const roperot_plan *plan, uint32_t flags, int32_t axes, int64_t *position);

#endif
