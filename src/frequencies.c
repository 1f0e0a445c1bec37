/* SPDX-License-Identifier: MIT
 * roperot_frequencies: w_j and the attention factor from a scaling rule; it must not know plans, caches or tensors. */
#include "frequencies.h"

#include <math.h>

#include "fpenv.h"
#include "status.h"

static int32_t check_geometry(int32_t rotary_dim, double base, const double *inv_freq, int32_t pairs)
{
    if (!inv_freq) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "inv_freq is NULL; it must hold rotary_dim / 2 doubles");
    if (rotary_dim < 2 || rotary_dim > 65536 || rotary_dim % 2)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "rotary_dim is %d; it must be even and in 2..65536", (int)rotary_dim);
    if (pairs != rotary_dim / 2)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "pairs is %d; it must be rotary_dim / 2 = %d", (int)pairs,
                            (int)(rotary_dim / 2));
    if (!(isfinite(base) && base > 0.0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "base is %g; it must be finite and > 0", base);
    return ROPEROT_OK;
}

/* Two passes, because nothing may be written on failure and a base below 1 can overflow. */
ROPEROT_NOINLINE static int32_t fill(int32_t rotary_dim, double base, double *inv_freq, int32_t pairs)
{
    for (int32_t j = 0; j < pairs; j++)
        if (!isfinite(roperot_power(base, 2 * j, rotary_dim)))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "base is %g; the frequency of pair %d would not be finite", base,
                                (int)j);
    for (int32_t j = 0; j < pairs; j++) inv_freq[j] = roperot_power(base, 2 * j, rotary_dim);
    return ROPEROT_OK;
}

int32_t roperot_frequencies(const roperot_scaling *scaling, int32_t rotary_dim, double base, double *inv_freq,
                            int32_t pairs, double *attention_factor)
{
    int32_t status = scaling ? roperot_check_size(scaling, sizeof *scaling, sizeof *scaling, "scaling") : ROPEROT_OK;
    if (status) return status;
    if (scaling && scaling->kind)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "scaling.kind is %d; it is not a known kind", (int)scaling->kind);
    status = check_geometry(rotary_dim, base, inv_freq, pairs);
    if (status) return status;
    roperot_fpenv saved;
    roperot_fpenv_enter(&saved);
    status = fill(rotary_dim, base, inv_freq, pairs);
    roperot_fpenv_leave(&saved);
    if (status) return status;
    if (attention_factor) *attention_factor = 1.0;
    return ROPEROT_OK;
}
