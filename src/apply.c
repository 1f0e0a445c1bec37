/* SPDX-License-Identifier: MIT
 * The general path of roperot_apply: check, then walk; it must not know how either is done, nor the fast path. */
#include "apply.h"

#include "call.h"
#include "threads.h"

int32_t roperot_apply_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                          const roperot_tensor *dst, int32_t count, const roperot_options *options)
{
    roperot_call c; /* not zeroed as a whole: the extents are most of it */
    const int32_t status = roperot_call_check(&c, plan, positions, src, dst, count, options);
    if (status || c.begin >= c.end) return status;
    for (int32_t i = 0; i < count;) {
        i = roperot_call_operands(&c, i);
        roperot_threads_run(&c.walk, c.begin, c.end, c.options->parallel_for ? roperot_call_bytes(&c) : 0, c.options);
    }
    return ROPEROT_OK;
}
