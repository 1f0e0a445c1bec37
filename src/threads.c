/* SPDX-License-Identifier: MIT
 * Splitting the tokens of a call over a caller's executor; it must not know what is done with them. */
#include "threads.h"

/* A task of less than this is not worth waking a thread for. */
enum { TASK_BYTES = 128 << 10, LINE = 64 };

/* Task i is tokens [first + i * chunk, first + (i + 1) * chunk) of the walk's [begin, end). */
typedef struct split {
    const roperot_walk *walk;
    int64_t begin, end, first, chunk;
} split;

static void run_task(void *arg, int64_t index)
{
    const split *const s = arg;
    const int64_t begin = s->first + index * s->chunk, left = s->end - begin;
    roperot_walk_tokens(s->walk, begin > s->begin ? begin : s->begin, begin + (left < s->chunk ? left : s->chunk));
}

/* The smallest number of tokens whose dense output covers whole cache lines, so that two tasks share none if the data
 * starts one; pages are not looked at. 1 .. 32. */
static int64_t line_period(const roperot_walk *walk)
{
    int64_t period = 1;
    for (int32_t i = 0; i < walk->operands; i++) {
        const int64_t stride = (walk->tokens == 1 ? walk->operand[i].dst_batch : walk->operand[i].dst_token) % LINE;
        while (period < LINE && stride * period % LINE) period *= 2;
    }
    return period;
}

void roperot_threads_run(const roperot_walk *walk, int64_t begin, int64_t end, int64_t bytes,
                         const roperot_options *options)
{
    const int64_t most = options->threads ? options->threads : walk->plan->cpus, worth = bytes / TASK_BYTES;
    const int64_t tasks = !options->parallel_for ? 1 : worth < most ? worth : most;
    if (tasks <= 1) {
        roperot_walk_tokens(walk, begin, end);
        return;
    }
    const int64_t period = line_period(walk), first = begin - begin % period, tokens = end - first;
    split s = { walk, begin, end, first, (tokens + tasks - 1) / tasks };
    s.chunk = (s.chunk + period - 1) / period * period;
    options->parallel_for(options->ctx, (tokens + s.chunk - 1) / s.chunk, run_task, &s);
}
