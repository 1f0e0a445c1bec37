/* SPDX-License-Identifier: MIT
 * The scratch of a call: how large it is and whether it is one; it must not know how rows are made. */
#include "kept_row.h"

#include "status.h"

int64_t roperot_scratch_bytes(const roperot_plan *plan)
{
    return plan ? plan->scratch_bytes : 0;
}

int32_t roperot_scratch_check(const roperot_plan *plan, const roperot_options *o)
{
    if (!roperot_scratch_odd(plan, o->scratch, o->scratch_bytes)) return ROPEROT_OK;
    if ((uintptr_t)o->scratch % alignof(roperot_kept_row))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "options.scratch is %p; it must be a multiple of %d", o->scratch,
                            (int)alignof(roperot_kept_row));
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "options.scratch_bytes is %lld; this plan needs at least %lld (roperot_scratch_bytes)",
                        (long long)o->scratch_bytes, (long long)plan->scratch_bytes);
}
