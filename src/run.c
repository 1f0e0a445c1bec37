/* SPDX-License-Identifier: MIT
 * The general path of roperot_run: checks the jobs, then walks the tokens once for all; it must not know how a job is
 * checked or run, nor the fast path. */
#include "run.h"

#include "call.h"
#include "compiler.h"
#include "jobs.h"
#include "line.h"
#include "numbers.h"
#include "positions.h"
#include "status.h"
#include "task.h"
#include "threads.h"

/* Jobs that are walked together, for which there is stack: q, k and v. */
enum { TASKS = 3 };

static int32_t check_arguments(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                               int32_t count)
{
    if (!plan) return roperot_null_plan_error();
    if (count < 0) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "count is %d; it must be at least 0", count);
    if (count > 0 && !jobs)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs is NULL; it must point to count = %d jobs", count);
    return positions ? roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions") : ROPEROT_OK;
}

static int32_t check_sizes(const roperot_job *jobs, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const roperot_job *const j = (const void *)((const char *)jobs + (size_t)i * jobs->size);
        const int32_t status = roperot_check_size_at(j, sizeof *j, sizeof *j, "jobs", i, "");
        if (status) return status;
        if (j->size != jobs->size)
            return roperot_fail(ROPEROT_ERROR_VERSION, "jobs[%d].size is %u; it must be that of jobs[0], %u", i,
                                (unsigned)j->size, (unsigned)jobs->size);
        if (j->size % _Alignof(roperot_job))
            return roperot_fail(ROPEROT_ERROR_VERSION, "jobs[0].size is %u; it must be a multiple of %u",
                                (unsigned)j->size, (unsigned)_Alignof(roperot_job));
    }
    return ROPEROT_OK;
}

/* As for roperot_apply. */
static int32_t loop_of(const roperot_plan *plan, int64_t touched)
{
    if (touched <= plan->near_bytes) return ROPEROT_LOOP_COLUMNS;
    return touched > plan->far_bytes ? ROPEROT_LOOP_STREAM : ROPEROT_LOOP_LINEAR;
}

/* Programs for the jobs from i on, as many as there is room for: the next i. */
static int32_t set_programs(roperot_walk *walk, const roperot_jobs *jobs, roperot_task *task, int32_t i)
{
    for (walk->operands = 0; i < jobs->count && walk->operands < TASKS; i++) {
        int64_t shape[4];
        roperot_job_shape(roperot_job_at(jobs, i), shape);
        if (roperot_shape_is_empty(shape)) continue;
        roperot_task *const t = &task[walk->operands];
        roperot_operand *const o = &walk->operand[walk->operands++];
        roperot_task_init(t, jobs, roperot_job_at(jobs, i));
        o->dst_batch = t->dst.batch;
        o->dst_token = t->dst.token;
        o->program = t;
    }
    return i;
}

/* What a thread is woken for is counted as f32 read and written: norms and conversions take as long. */
static int64_t work_of(const roperot_task *task, int32_t count)
{
    int64_t channels = 0;
    for (int32_t i = 0; i < count; i++)
        channels = roperot_saturating_add(channels, roperot_saturating_mul(task[i].heads, task[i].dim));
    return roperot_saturating_mul(2 * (int64_t)sizeof(float), channels);
}

static ROPEROT_NOINLINE void run(const roperot_jobs *jobs, int64_t begin, int64_t end, const roperot_options *options)
{
    roperot_task task[TASKS];
    roperot_walk walk;
    walk.plan = jobs->plan;
    walk.tokens = jobs->tokens;
    walk.run = roperot_run_lines;
    roperot_row_source_init(&walk.rows, jobs->plan, jobs->rotates ? jobs->positions : NULL, jobs->flags,
                            roperot_kept_row_of(options), ROPEROT_PROGRAM_FLOATS);
    for (int32_t i = 0; i < jobs->count;) {
        i = set_programs(&walk, jobs, task, i);
        const int64_t work = options->parallel_for ? work_of(task, walk.operands) : 0;
        roperot_threads_run(&walk, begin, end, roperot_saturating_mul(work, end - begin), options);
    }
}

int32_t roperot_run_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                        int32_t count, const roperot_options *options)
{
    const roperot_options *o = options;
    roperot_options full;
    int32_t status = check_arguments(plan, positions, jobs, count);
    if (!status) status = roperot_options_read(&o, &full);
    if (!status) status = roperot_scratch_check(plan, o);
    if (!status) status = check_sizes(jobs, count);
    if (status || count == 0) return status;
    roperot_jobs all = { .plan = plan,
                         .positions = positions,
                         .first = jobs,
                         .count = count,
                         .step = jobs->size,
                         .flags = o->flags };
    status = roperot_jobs_check(&all);
    if (status || all.touched == 0) return status;
    const int64_t lines = roperot_saturating_mul(all.batch, all.tokens);
    const int64_t begin = o->token_begin, end = lines < o->token_end ? lines : o->token_end;
    if (begin >= end) return ROPEROT_OK;
    if (all.rotates)
        status = roperot_positions_check(plan, positions, o->flags, all.batch, all.tokens, begin, end);
    if (!status) status = roperot_jobs_check_slots(&all, begin, end);
    if (status) return status;
    all.loop = loop_of(plan, roperot_saturating_mul(all.touched, end - begin));
    run(&all, begin, end, o);
    return ROPEROT_OK;
}
