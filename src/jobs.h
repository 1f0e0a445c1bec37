/* SPDX-License-Identifier: MIT
 * The jobs of a call, checked one by one and among themselves; it must not know how they are run. */
#ifndef ROPEROT_JOBS_H
#define ROPEROT_JOBS_H

#include <string.h>

#include "pages.h"
#include "plan.h"
#include "tensor.h"

typedef struct roperot_jobs {
    const roperot_plan *plan;
    const roperot_positions *positions; /* NULL: none */
    const void *first;                  /* the others are `step` bytes apart */
    int32_t count;
    uint32_t step, flags; /* flags: of the options */
    int64_t batch, tokens;
    int64_t touched;        /* bytes of a line; 0: there is nothing to do */
    int32_t rotates;        /* some job is rotated */
    int32_t loop;           /* ROPEROT_LOOP_... of rotations that move; the caller's to set */
} roperot_jobs;

/* Everything that does not depend on which lines are run; fills batch, tokens and what follows them. */
int32_t roperot_jobs_check(roperot_jobs *jobs);

/* Every slot of lines [begin, end). */
int32_t roperot_jobs_check_slots(const roperot_jobs *jobs, int64_t begin, int64_t end);

static inline const roperot_job *roperot_job_at(const roperot_jobs *jobs, int32_t i)
{
    return (const roperot_job *)(const void *)((const char *)jobs->first + (size_t)i * jobs->step);
}

static inline int roperot_job_is_rotated(const roperot_job *j)
{
    return !(j->flags & ROPEROT_JOB_UNROTATED);
}

/* batch, tokens, heads and channels of a job, in this order. */
static inline void roperot_job_shape(const roperot_job *j, int64_t shape[4])
{
    const int64_t own[4] = { j->batch, j->tokens, j->heads, j->dim };
    memcpy(shape, j->src ? j->src->shape : own, sizeof own);
}

static inline int roperot_shape_is_empty(const int64_t shape[4])
{
    return shape[0] == 0 || shape[1] == 0 || shape[2] == 0;
}

/* Whether dst is the view of src. */
int roperot_job_stays(const roperot_job *job);

/* Bytes of a channel that a job touches. */
static inline int64_t roperot_job_bytes(const roperot_job *j, int stays)
{
    const int64_t dense = j->dst ? roperot_element_bytes(j->dst->dtype) : 0;
    const int64_t out = dense + (j->to ? roperot_element_bytes(j->to->dtype) : 0);
    return stays ? out : out + roperot_element_bytes(j->src ? j->src->dtype : j->from->dtype);
}

#endif
