/* SPDX-License-Identifier: MIT
 * Jobs of roperot_run made from a fuzzer's bytes, all of whose writable memory is one arena; it must not know what they
 * give. */
#ifndef ROPEROT_FUZZ_JOBS_H
#define ROPEROT_FUZZ_JOBS_H

#include "fuzz/call.h"

enum { JOBS_MOST = 6, JOBS_ARENA = 40000 };

/* A job's parts; of its memory what is only read and lies outside the arena. */
typedef struct job_parts {
    roperot_tensor src, dst;
    roperot_norm norm;
    roperot_pages from, to;
    void *weight, *bias, *factor, *slots[2], *scale[2];
} job_parts;

typedef struct jobs {
    call call; /* plan, positions, options, arena, batch and tokens */
    int32_t count;
    roperot_job job[JOBS_MOST];
    job_parts parts[JOBS_MOST];
} jobs;

/* What follows the plan; 0 if something would be accepted although it reaches outside the memory that it was given. */
int jobs_decode(jobs *j, input *in);
void jobs_free(jobs *j);

/* heads and channels of a job */
int64_t jobs_heads(const roperot_job *job);
int64_t jobs_dim(const roperot_job *job);

#endif
