/* SPDX-License-Identifier: MIT
 * One call of roperot_apply, checked whole and made ready for tiles; it must not know how tokens are walked. */
#ifndef ROPEROT_CALL_H
#define ROPEROT_CALL_H

#include "overlap.h"
#include "tiles.h"

typedef struct roperot_call {
    roperot_views views;
    int32_t moved;      /* views that are not rotated in place */
    int64_t bytes;      /* read plus written: of a token, then of the call; 0: nothing to do */
    int64_t begin, end; /* tokens */
    int loop;
    const roperot_options *options; /* all members are there */
    roperot_options full;           /* what they may point to */
    roperot_walk walk;
} roperot_call;

/* Checks the options of any verb. *options stays what the caller gave, but becomes the defaults for NULL, and `full`
 * for an older, shorter struct, whose members are copied there. */
int32_t roperot_options_read(const roperot_options **options, roperot_options *full);

/* Everything that can be wrong with the call, before anything is written. On success with begin < end, there is
 * something to do. */
int32_t roperot_call_check(roperot_call *call, const roperot_plan *plan, const roperot_positions *positions,
                           const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                           const roperot_options *options);

/* Operands for the views from i on, as many as there is room for: the next i. */
int32_t roperot_call_operands(roperot_call *call, int32_t i);

/* Bytes that the operands of now read and write. */
int64_t roperot_call_bytes(const roperot_call *call);

#endif
