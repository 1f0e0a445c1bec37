/* SPDX-License-Identifier: MIT
 * Times one prepared roperot_apply against the sweep of as many bytes, for scripts/demo.py; it must not know models. */
#include <roperot/roperot.h>

#include <stddef.h>
#include <stdlib.h>
#include <time.h>

#include "sweeps.h"

enum { ROUNDS = 15 };
static const double chunk_ns = 1e6;

typedef struct work {
    const roperot_plan *plan;
    const roperot_positions *positions;
    const roperot_tensor *tensors;
    int32_t count;
    const bench_sweeps *sweeps;
    void *scratch;
    size_t bytes;
    int32_t status;
} work;

typedef void run_fn(work *w);

static void rotate(work *w)
{
    const int32_t status = roperot_apply(w->plan, w->positions, w->tensors, NULL, w->count, NULL);
    if (status != ROPEROT_OK) w->status = status;
}

static void sweep(work *w)
{
    static volatile float one = 1.0f;
    w->sweeps->sweep(w->scratch, w->bytes, one);
}

/* Processor time in ns: what other programs take from this core must not count, and a chunk is long enough for it. */
static double now(void)
{
    return 1e9 * (double)clock() / CLOCKS_PER_SEC;
}

static double time_of(run_fn *run, work *w, long calls)
{
    const double start = now();
    for (long i = 0; i < calls; i++) run(w);
    return now() - start;
}

/* As many calls as fill a chunk, so that reading the clock costs nothing; the first call only warms the memory. */
static long calls_per_chunk(run_fn *run, work *w)
{
    run(w);
    long calls = 1;
    while (time_of(run, w, calls) < chunk_ns && calls < 1L << 24) calls *= 2;
    return calls;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values)
{
    qsort(values, ROUNDS, sizeof *values, ascending);
    return values[ROUNDS / 2];
}

ROPEROT_API int32_t model_speed(const roperot_plan *plan, const roperot_positions *positions,
                                const roperot_tensor *tensors, int32_t count, const char *isa, void *scratch,
                                int64_t bytes, double ns[2]); /* what Python looks up */

/* ns[0]: one roperot_apply in place; ns[1]: one load-multiply-store sweep over `bytes` (a multiple of 64) with the
 * vectors of `isa`, or 0 if this build has none. Medians of chunks that alternate, so that noise meets both alike. */
int32_t model_speed(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *tensors,
                    int32_t count, const char *isa, void *scratch, int64_t bytes, double ns[2])
{
    work w = { plan, positions, tensors, count, bench_sweeps_for(isa), scratch, (size_t)bytes, ROPEROT_OK };
    const long rotations = calls_per_chunk(rotate, &w);
    const long sweeps = w.sweeps ? calls_per_chunk(sweep, &w) : 0;
    double rotated[ROUNDS], swept[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        rotated[i] = time_of(rotate, &w, rotations) / (double)rotations;
        swept[i] = sweeps ? time_of(sweep, &w, sweeps) / (double)sweeps : 0;
    }
    ns[0] = median(rotated);
    ns[1] = median(swept);
    return w.status;
}
