/* SPDX-License-Identifier: MIT
 * The calls of roperot_run that a decode step makes, of one token; it must not know how they are counted. */
#ifndef BENCH_FOOTPRINT_JOBS_H
#define BENCH_FOOTPRINT_JOBS_H

#include <roperot/roperot.h>

/* Q: norm and rotation in place. KV: the same of k, into pages, and v as it is, into other ones; f32 goes into pages of
 * f16, other dtypes into their own. LAYER: both in one call. */
enum { FOOTPRINT_Q = 1, FOOTPRINT_KV, FOOTPRINT_LAYER, FOOTPRINT_END };

/* By the numbers above, with a slash. */
extern const char *const footprint_jobs_names[FOOTPRINT_END];

typedef struct footprint_jobs {
    roperot_job job[3];
    int32_t count;
    roperot_tensor view[3]; /* q, k, v */
    roperot_norm norm[2];
    roperot_pages pages[2];
} footprint_jobs;

/* 32 heads of q, 8 of k and v, 128 channels. `which` 0: none. */
void footprint_jobs_make(footprint_jobs *jobs, int32_t which, int32_t dtype);

#endif
