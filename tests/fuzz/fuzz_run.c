/* SPDX-License-Identifier: MIT
 * A fuzz target for roperot_run: jobs with norms, pages to and from and factors from bytes, every result compared with
 * a chain of its own; it must share no code with the library or with the reference of the other tests. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "fuzz/chain.h"
#include "fuzz/coefficients.h"
#include "fuzz/jobs.h"
#include "fuzz/numbers.h"
#include "fuzz/require.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_report(void);

static struct {
    unsigned long long inputs, plans, right, refused, unclear, applied;
    unsigned long long normed, rotated, stored, loaded, quantised, eager, longer, mixed, per_head, kept;
} statistics;

/* ---- what a call must give --------------------------------------------------------------------------------------- */

static int is_empty_job(const roperot_job *job)
{
    return jobs_heads(job) == 0;
}

static int is_rotated(const roperot_job *job)
{
    return !(job->flags & ROPEROT_JOB_UNROTATED);
}

/* Lines [begin, end) of the call. */
static int64_t first_line(const jobs *j)
{
    return j->call.options.token_begin;
}

static int64_t end_line(const jobs *j)
{
    const int64_t lines = j->call.batch * j->call.tokens, end = j->call.options.token_end;
    return end < lines ? end : lines;
}

static int is_empty(const jobs *j)
{
    int some = 0;
    for (int32_t i = 0; i < j->count; i++) some |= !is_empty_job(&j->job[i]);
    return !some || j->call.batch <= 0 || j->call.tokens <= 0 || first_line(j) >= end_line(j);
}

static int rotates(const jobs *j)
{
    int some = 0;
    for (int32_t i = 0; i < j->count; i++) some |= is_rotated(&j->job[i]) && !is_empty_job(&j->job[i]);
    return some;
}

static int64_t slot_at(const jobs *j, const roperot_pages *p, int64_t line)
{
    return chain_slot(p, line / j->call.tokens, line % j->call.tokens);
}

static void require_slots(const jobs *j, const roperot_pages *p)
{
    for (int64_t i = first_line(j); i < end_line(j); i++)
        REQUIRE((wide)slot_at(j, p, i) < (wide)p->pages * p->page_tokens, "slot %lld is outside of the pages",
                (long long)slot_at(j, p, i));
}

/* Two lines that meet in a slot, which is the caller's error: the result is either one's. */
static int is_unclear(const jobs *j, const roperot_job *job)
{
    for (int64_t a = first_line(j); a < end_line(j) && job->to; a++) {
        const int64_t slot = slot_at(j, job->to, a);
        for (int64_t b = first_line(j); b < end_line(j) && slot >= 0; b++) {
            if (a != b && slot == slot_at(j, job->to, b)) return 1;
            if (a != b && job->from && job->from->data == job->to->data && slot == slot_at(j, job->from, b)) return 1;
        }
    }
    return 0;
}

static int is_any_unclear(const jobs *j)
{
    int unclear = 0;
    for (int32_t i = 0; i < j->count; i++) unclear |= !is_empty_job(&j->job[i]) && is_unclear(j, &j->job[i]);
    return unclear;
}

static void count(const jobs *j, const roperot_job *job)
{
    statistics.normed += job->norm != NULL;
    statistics.rotated += is_rotated(job) != 0;
    statistics.stored += job->to != NULL;
    statistics.loaded += job->from != NULL;
    statistics.quantised += job->to && job->to->dtype > ROPEROT_BF16;
    statistics.eager += is_rotated(job) && j->call.config.arithmetic == ROPEROT_ARITHMETIC_EAGER;
    statistics.longer += jobs_dim(job) > 512;
}

static void expect_jobs(const jobs *j, const image *m)
{
    memcpy(m->expected, m->before, JOBS_ARENA);
    memset(m->kind, 0, JOBS_ARENA);
    coefficients k = { .c = &j->call };
    if (rotates(j)) k = coefficients_open(&j->call);
    for (int64_t i = first_line(j); i < end_line(j); i++) {
        const int64_t b = i / j->call.tokens, t = i % j->call.tokens;
        if (rotates(j)) REQUIRE(coefficients_token(&k, b, t), "a position that should have been refused");
        for (int32_t n = 0; n < j->count; n++)
            if (!is_empty_job(&j->job[n])) chain_line(m, &j->job[n], &k, b, t);
    }
    coefficients_close(&k);
}

static void compare(const image *m, const char *what)
{
    for (int64_t i = 0; i < JOBS_ARENA;) {
        const int32_t dtype = m->kind[i];
        if (dtype) {
            REQUIRE(number_is_nan(dtype, number_read(dtype, m->c->arena + i)), "%s: byte %lld begins no NaN", what,
                    (long long)i);
            i += (int64_t)number_bytes(dtype);
            continue;
        }
        REQUIRE(m->c->arena[i] == m->expected[i], "%s: byte %lld is 0x%02x, not 0x%02x", what, (long long)i,
                m->c->arena[i], m->expected[i]);
        i++;
    }
}

/* ---- the same in other ways -------------------------------------------------------------------------------------- */

static void start_again(const image *m)
{
    memcpy(m->c->arena, m->before, JOBS_ARENA);
}

static void run_scalar(const jobs *j, const image *m)
{
    roperot_config config = j->call.config;
    roperot_plan *scalar;
    config.isa = ROPEROT_ISA_SCALAR;
    REQUIRE(roperot_plan_create(&config, &scalar) == ROPEROT_OK, "the scalar plan");
    start_again(m);
    REQUIRE(roperot_run(scalar, &j->call.at, j->job, j->count, &j->call.options) == ROPEROT_OK, "the scalar call");
    roperot_plan_destroy(scalar);
    compare(m, "scalar");
}

/* The last lines first, in two calls: nothing carries over from line to line. */
static void run_ranges(const jobs *j, const image *m, const roperot_plan *plan)
{
    roperot_options o = j->call.options;
    const int64_t middle = first_line(j) + (end_line(j) - first_line(j)) / 2;
    start_again(m);
    o.token_begin = middle;
    REQUIRE(roperot_run(plan, &j->call.at, j->job, j->count, &o) == ROPEROT_OK, "the second half");
    o.token_begin = first_line(j);
    o.token_end = middle;
    REQUIRE(roperot_run(plan, &j->call.at, j->job, j->count, &o) == ROPEROT_OK, "the first half");
    compare(m, "ranges");
}

/* One job after the other, the last first: jobs of a call have nothing to do with each other. */
static void run_alone(const jobs *j, const image *m, const roperot_plan *plan)
{
    start_again(m);
    for (int32_t i = j->count; i > 0; i--)
        REQUIRE(roperot_run(plan, &j->call.at, &j->job[i - 1], 1, &j->call.options) == ROPEROT_OK, "a job alone");
    compare(m, "alone");
}

/* Jobs that are a rotation only, as roperot_apply does it. */
static void run_apply(const jobs *j, const image *m, const roperot_plan *plan)
{
    roperot_tensor src[JOBS_MOST], dst[JOBS_MOST];
    for (int32_t i = 0; i < j->count; i++) {
        const roperot_job *const job = &j->job[i];
        if (!job->src || !job->dst || job->to || job->norm || job->factor || !is_rotated(job)) return;
        src[i] = *job->src;
        dst[i] = *job->dst;
    }
    start_again(m);
    if (roperot_apply(plan, &j->call.at, src, dst, j->count, &j->call.options) != ROPEROT_OK) return; /* one dtype */
    statistics.applied++;
    compare(m, "apply");
}

/* ---- one input --------------------------------------------------------------------------------------------------- */

static void check(const jobs *j, const image *m, const roperot_plan *plan)
{
    const int32_t status = roperot_run(plan, &j->call.at, j->job, j->count, &j->call.options);
    if (status != ROPEROT_OK) {
        statistics.refused++;
        REQUIRE(memcmp(j->call.arena, m->before, JOBS_ARENA) == 0, "a refused call wrote");
        REQUIRE(strlen(roperot_last_error()) > 8 && roperot_status_name(status), "no sentence");
        return;
    }
    if (is_empty(j)) {
        REQUIRE(memcmp(j->call.arena, m->before, JOBS_ARENA) == 0, "an empty call wrote");
        return;
    }
    for (int32_t i = 0; i < j->count; i++) {
        const roperot_job *const job = &j->job[i];
        if (is_empty_job(job)) continue;
        if (job->to) require_slots(j, job->to);
        if (job->from) require_slots(j, job->from);
        count(j, job);
    }
    if (is_any_unclear(j)) {
        statistics.unclear++;
        return;
    }
    statistics.right++;
    statistics.mixed += call_is_mixed(&j->call) && rotates(j);
    statistics.per_head += j->call.config.table && j->call.table.heads > 1 && rotates(j);
    statistics.kept += j->call.options.scratch && roperot_scratch_bytes(plan) && rotates(j);
    expect_jobs(j, m);
    compare(m, "plan");
    run_scalar(j, m);
    run_ranges(j, m, plan);
    if (j->count > 1) run_alone(j, m, plan);
    run_apply(j, m, plan);
}

static void try_jobs(jobs *j, const roperot_plan *plan)
{
    unsigned char *const memory = malloc(3 * JOBS_ARENA);
    if (!memory) abort();
    const image m = { &j->call, memory, memory + JOBS_ARENA, memory + 2 * JOBS_ARENA };
    memcpy(memory, j->call.arena, JOBS_ARENA);
    check(j, &m, plan);
    free(memory);
}

#ifdef ROPEROT_FUZZ_REPORT
static void report(void)
{
    fuzz_report();
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc;
    (void)argv;
    return atexit(report);
}
#endif

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static jobs j; /* large; one thread */
    input in = { data, size };
    roperot_plan *plan = NULL;
    memset(&j, 0, sizeof j);
    statistics.inputs++;
    if (call_decode_plan(&j.call, &in, input_byte(&in) % 8 ? CALL_USUAL_DIM : CALL_LONG_DIM)) {
        j.call.config.arithmetic = (int32_t)input_or(&in, input_byte(&in) % 4 == 0);
        const int32_t status = roperot_plan_create(&j.call.config, &plan);
        statistics.plans += status == ROPEROT_OK;
        REQUIRE(status == ROPEROT_OK || (!plan && strlen(roperot_last_error()) > 8), "no sentence");
    }
    if (plan && jobs_decode(&j, &in)) {
        call_decode_scratch(&j.call, plan, &in);
        try_jobs(&j, plan);
        REQUIRE(call_scratch_is_whole(&j.call), "a call wrote beside its scratch");
    }
    roperot_plan_destroy(plan);
    jobs_free(&j);
    return 0;
}

/* What has been tried; 0 if it is too little to mean anything. */
int fuzz_report(void)
{
    printf("# %llu inputs: %llu plans, %llu calls right (%llu by apply, too), %llu unclear, %llu refused\n",
           statistics.inputs, statistics.plans, statistics.right, statistics.applied, statistics.unclear,
           statistics.refused);
    printf("# jobs: %llu normed, %llu rotated (%llu eager), %llu stored (%llu quantised), %llu loaded, %llu of long "
           "heads\n",
           statistics.normed, statistics.rotated, statistics.eager, statistics.stored, statistics.quantised,
           statistics.loaded, statistics.longer);
    printf("# calls: %llu of mixed frequencies, %llu of tables with rows per head, %llu with a scratch\n",
           statistics.mixed, statistics.per_head, statistics.kept);
    return statistics.right > 0 && statistics.refused > 0 && statistics.normed > 0 && statistics.quantised > 0 &&
           statistics.loaded > 0 && statistics.mixed > 0 && statistics.per_head > 0 && statistics.kept > 0;
}
