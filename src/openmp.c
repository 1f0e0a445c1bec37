/* SPDX-License-Identifier: MIT
 * An executor for roperot_options.parallel_for on OpenMP, built with -Dopenmp=enabled; it must not know what it
 * runs. */
#include <roperot/roperot.h>

#include "config.h"

#if ROPEROT_HAVE_OPENMP

#include <omp.h>

void roperot_parallel_openmp(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    (void)ctx;
#pragma omp parallel for schedule(static, 1)
    for (int64_t i = 0; i < tasks; i++) task(arg, i);
}

#else

void roperot_parallel_openmp(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    (void)ctx;
    for (int64_t i = 0; i < tasks; i++) task(arg, i);
}

#endif
