/* SPDX-License-Identifier: MIT
 * What differs between the kinds of positions; it must not know plans, tensors or kernels. */
#ifndef ROPEROT_POSITIONS_KINDS_H
#define ROPEROT_POSITIONS_KINDS_H

#include <roperot/roperot.h>

/* Where ids lie: how many on each axis of positions, in each batch row or sequence, for each token; strides in
 * elements. */
typedef struct roperot_ids_layout {
    int64_t count[3], stride[3];
} roperot_ids_layout;

/* Which positions are allowed, [first, last], for which tokens, [begin, end) counted across the batch. */
typedef struct roperot_position_range {
    int64_t first, last, tokens, begin, end;
    int32_t axes;
} roperot_position_range;

/* A token's position that is not in the range. */
typedef struct roperot_stray {
    int64_t b, t, position;
    int32_t axis;
} roperot_stray;

enum { ROPEROT_IDS_UNUSED, ROPEROT_IDS_OPTIONAL, ROPEROT_IDS_NEEDED };

typedef struct roperot_positions_rule {
    const char *name;
    int32_t ids;         /* ROPEROT_IDS_... */
    int32_t coordinates; /* may ids be real numbers? */

    /* Members that only this kind has. */
    int32_t (*check)(const roperot_positions *positions, int64_t batch, int64_t tokens);

    /* Which ids `read` may read, for any token. Not of kinds that use none. */
    void (*layout)(const roperot_positions *positions, int64_t batch, int64_t tokens, roperot_ids_layout *layout);

    /* The integer position of token t of row b, with the offset, saturated, on each axis that is given; how many. */
    int32_t (*read)(const roperot_positions *positions, int64_t b, int64_t t, int64_t *position);

    /* Whether some position is not in the range, and one that is not. */
    int (*find_stray)(const roperot_positions *positions, const roperot_position_range *range, roperot_stray *stray);
} roperot_positions_rule;

/* NULL for a number that is no kind. */
const roperot_positions_rule *roperot_positions_rule_of(int32_t kind);

#endif
