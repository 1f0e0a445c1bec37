/* SPDX-License-Identifier: MIT
 * The only benchmark file that sees inside a plan; it must not know how anything is timed.
 */
#include "front.h"

#include <stdlib.h>
#include <string.h>

#include "plan.h"
#include "values.h"

static void nothing(const roperot_tile *tile)
{
    (void)tile;
}

static void empty_kernels(roperot_plan *plan)
{
    for (int src = 0; src < ROPEROT_DTYPES; ++src)
        for (int dst = 0; dst < ROPEROT_DTYPES; ++dst)
            if (plan->rotate[src][dst] != NULL) plan->rotate[src][dst] = nothing;
}

const char *bench_front_empty_kernels(bench_rotation *rotation)
{
    void *const written = rotation->out_of_place ? rotation->out : rotation->data;
    void *const before = bench_allocate(rotation->bytes);
    if (before == NULL) return "no memory for the check";
    empty_kernels(rotation->plan);
    memcpy(before, written, rotation->bytes);
    bench_rotation_run(rotation, 1);
    const int same = memcmp(before, written, rotation->bytes) == 0;
    free(before);
    return same ? NULL : "the kernels could not be replaced; the run is void";
}
