/* SPDX-License-Identifier: MIT
 * The row of the last position, kept in a caller's scratch from call to call; it must not know how rows are made. */
#ifndef ROPEROT_KEPT_ROW_H
#define ROPEROT_KEPT_ROW_H

#include <stdalign.h>

#include "plan.h"

/* A scratch is one of these and a row: cos and then sin of a plan's pairs. Zeros keep nothing. */
typedef struct roperot_kept_row {
    alignas(64) const roperot_plan *plan;
    uint32_t serial;   /* the plan's: another one may have its address by now */
    uint32_t flags;    /* those of the call that change a row */
    int64_t position;
} roperot_kept_row;

static inline float *roperot_kept_row_values(roperot_kept_row *kept)
{
    return (float *)(void *)(kept + 1);
}

static inline int roperot_kept_row_is(const roperot_kept_row *kept, const roperot_plan *plan, int64_t position,
                                      uint32_t flags)
{
    return kept->plan == plan && kept->serial == plan->serial && kept->position == position && kept->flags == flags;
}

/* What the values are from now on. */
static inline void roperot_kept_row_set(roperot_kept_row *kept, const roperot_plan *plan, int64_t position,
                                        uint32_t flags)
{
    kept->plan = plan;
    kept->serial = plan->serial;
    kept->position = position;
    kept->flags = flags;
}

/* 0 for no scratch, or for one that is aligned and large enough. */
static inline uint64_t roperot_scratch_odd(const roperot_plan *plan, const void *scratch, int64_t bytes)
{
    if (!scratch) return 0; /* and no line of the plan is read for it */
    return ((uintptr_t)scratch & (alignof(roperot_kept_row) - 1)) | (uint64_t)(bytes < plan->scratch_bytes);
}

/* The scratch of checked options; NULL: there is none, or the call may run on several threads. */
static inline roperot_kept_row *roperot_kept_row_of(const roperot_options *o)
{
    return o->parallel_for ? NULL : o->scratch;
}

/* ROPEROT_OK, or what is odd about the scratch of the options. */
int32_t roperot_scratch_check(const roperot_plan *plan, const roperot_options *options);

#endif
