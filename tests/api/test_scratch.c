/* SPDX-License-Identifier: MIT
 * A row kept in a caller's scratch: the bits without it, whatever came before; reuse, refusals, and that nothing else
 * is touched. It must not know how a row is kept, but that a row of pairs ends a scratch. */
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "support/assertions.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"

enum { DIM = 96, ROTARY = 64, HEADS = 3, MOST_BYTES = 1024, PLANS = 5 };

static _Alignas(64) unsigned char memory[MOST_BYTES];

/* Factors in both pairings and with four axes; rows, which need no scratch, and rows whose pure ones come from
 * factors. */
static roperot_plan *plan_of(int which)
{
    static uint8_t axis[ROTARY / 2];
    for (int j = 0; j < ROTARY / 2; j++) axis[j] = (uint8_t)(j % 4);
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.rotary_dim = ROTARY;
    c.pairing = which == 1 ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
    c.cache = which < 3 ? ROPEROT_CACHE_FACTORED : ROPEROT_CACHE_FULL;
    c.max_positions = which < 3 ? 0 : 100000;
    c.attention_factor = which == 4 ? 1.25 : 1.0;
    c.base = which == 1 ? 5e5 : 1e4;
    if (which == 2) c.axis = axis, c.axes = 4, c.pairs = ROTARY / 2;
    return expect_plan(&c);
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

typedef struct call {
    const roperot_plan *plan;
    int64_t ids[4 * 3]; /* [axis][token] */
    int64_t tokens, batch;
    int axes, dtype, as_job;
    uint32_t flags;
} call;

/* Few positions, so that most calls find one or another row. */
static call random_call(roperot_plan *const *plans)
{
    static const int64_t places[] = { 0, 17, 5000, 70000 };
    const int which = (int)random_below(PLANS);
    call c = { .plan = plans[which], .tokens = 1, .batch = 1, .axes = which == 2 ? 4 : 1 };
    c.dtype = ROPEROT_F32 + (int)random_below(ROPEROT_DTYPES);
    c.as_job = random_below(3) == 0;
    if (random_below(3) == 0) c.tokens = 1 + random_below(3);
    if (random_below(4) == 0) c.batch = c.tokens, c.tokens = 1; /* tiles across the batch */
    c.flags = random_below(2) ? (uint32_t)random_below(8) : 0;
    const int64_t same = places[random_below(4)];
    for (int i = 0; i < 12; i++) {
        c.ids[i] = random_below(4) ? same : places[random_below(4)];
        if (c.flags & ROPEROT_SIGNED_POSITIONS && random_below(2)) c.ids[i] = -c.ids[i];
    }
    return c;
}

static int32_t make(const call *c, const roperot_tensor *view, void *scratch, int64_t bytes)
{
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.flags = c->flags;
    o.scratch = scratch;
    o.scratch_bytes = bytes;
    roperot_positions at = roperot_positions_i64(c->ids, 1);
    at.axes = c->axes;
    at.axis_stride = 3;
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = job.dst = view;
    return c->as_job ? roperot_run(c->plan, &at, &job, 1, &o) : roperot_apply(c->plan, &at, view, NULL, 1, &o);
}

static void compare(const call *c)
{
    guarded_tensor x = guarded_tensor_plain(c->dtype, c->batch, c->tokens, HEADS, DIM), y = guarded_tensor_clone(&x);
    CHECK(!make(c, &x.view, NULL, 0), "%s", roperot_last_error());
    CHECK(!make(c, &y.view, memory, MOST_BYTES), "%s", roperot_last_error());
    guarded_tensor_check_equal(&y, &x, "with a scratch");
    guarded_tensor_close(&x);
    guarded_tensor_close(&y);
}

/* A new plan is likely to be where the last one was. */
static void outlives_plans(const void *arg)
{
    (void)arg;
    memset(memory, 0, sizeof memory);
    for (int i = 0; i < 40; i++) {
        roperot_plan *const plan = plan_of(i % 2);
        const call c = { .plan = plan, .tokens = 1, .batch = 1, .axes = 1, .dtype = ROPEROT_F32, .ids = { 5000 } };
        compare(&c);
        roperot_plan_destroy(plan);
    }
}

/* One scratch goes from plan to plan. */
static void same_bits(const void *arg)
{
    (void)arg;
    roperot_plan *plans[PLANS];
    memset(memory, 0, sizeof memory);
    for (int i = 0; i < PLANS; i++) plans[i] = plan_of(i);
    for (int step = 0; step < (harness_quick() ? 2000 : 20000); step++) {
        const call c = random_call(plans);
        compare(&c);
    }
    for (int i = 0; i < PLANS; i++) roperot_plan_destroy(plans[i]);
}

/* ---- reuse ------------------------------------------------------------------------------------------------------- */

/* A row that is falsified in the scratch shows where it is taken. */
static int takes_what_is_kept(const call *c)
{
    guarded_tensor x = guarded_tensor_plain(c->dtype, c->batch, c->tokens, HEADS, DIM), y = guarded_tensor_clone(&x);
    const int64_t bytes = roperot_scratch_bytes(c->plan);
    unsigned char *const row = memory + bytes - ROTARY * (int)sizeof(float);
    CHECK(!make(c, &x.view, memory, bytes), "%s", roperot_last_error());
    for (int i = 0; i < ROTARY * (int)sizeof(float); i++) row[i] ^= 1;
    CHECK(!make(c, &y.view, memory, bytes), "%s", roperot_last_error());
    const int differs = memcmp(x.memory.data, y.memory.data, x.memory.bytes) != 0;
    for (int i = 0; i < ROTARY * (int)sizeof(float); i++) row[i] ^= 1;
    guarded_tensor_close(&x);
    guarded_tensor_close(&y);
    return differs;
}

static void reuse(const void *arg)
{
    (void)arg;
    for (int which = 0; which < 3; which++)
        for (int as_job = 0; as_job < 2; as_job++)
            for (uint32_t flags = 0; flags < 8; flags++)
                for (int64_t lines = 1; lines < 4; lines++) {
                    roperot_plan *const plan = plan_of(which);
                    call c = { .plan = plan, .tokens = lines, .batch = 1, .axes = which == 2 ? 4 : 1,
                               .dtype = ROPEROT_F32, .as_job = as_job, .flags = flags };
                    for (int i = 0; i < 12; i++) c.ids[i] = flags & ROPEROT_SIGNED_POSITIONS ? -5000 : 5000;
                    memset(memory, 0, sizeof memory);
                    /* Several tokens in place take the fast path, which keeps no row of theirs. */
                    const int kept = as_job || flags || lines == 1 || which == 2;
                    CHECK(takes_what_is_kept(&c) == kept, "plan %d, job %d, flags %u, %d lines: kept %d", which, as_job,
                          flags, (int)lines, !kept);
                    roperot_plan_destroy(plan);
                }
}

static void now(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    (void)ctx;
    for (int64_t i = 0; i < tasks; i++) task(arg, i);
}

static void is_not_for_executors(const void *arg)
{
    (void)arg;
    roperot_plan *const plan = plan_of(0);
    static _Alignas(64) const unsigned char nothing[MOST_BYTES];
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, 1, HEADS, DIM);
    roperot_options o = ROPEROT_OPTIONS_INIT;
    const roperot_positions at = roperot_positions_offset(17);
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = job.dst = &x.view;
    o.parallel_for = now;
    o.scratch = memory;
    o.scratch_bytes = MOST_BYTES;
    memset(memory, 0, sizeof memory);
    CHECK(!roperot_apply(plan, &at, &x.view, NULL, 1, &o), "%s", roperot_last_error());
    CHECK(!roperot_run(plan, &at, &job, 1, &o), "%s", roperot_last_error());
    CHECK(memcmp(memory, nothing, MOST_BYTES) == 0, "a scratch was used by a call with an executor");
    guarded_tensor_close(&x);
    roperot_plan_destroy(plan);
}

/* ---- sizes and refusals ------------------------------------------------------------------------------------------ */

static void refuses(const call *c, void *scratch, int64_t bytes, int32_t status, const char *argument,
                    const char *value)
{
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, 1, HEADS, DIM), before = guarded_tensor_clone(&x);
    expect_error(make(c, &x.view, scratch, bytes), status, argument, value);
    guarded_tensor_check_equal(&x, &before, "a refused scratch");
    guarded_tensor_close(&x);
    guarded_tensor_close(&before);
}

static void sizes(const void *arg)
{
    (void)arg;
    roperot_plan *const plan = plan_of(0), *const rows = plan_of(3);
    const int64_t bytes = roperot_scratch_bytes(plan);
    CHECK(bytes == 64 + 2 * (ROTARY / 2) * 4, "%d bytes", (int)bytes);
    CHECK(roperot_scratch_bytes(rows) == 0 && roperot_scratch_bytes(NULL) == 0, "a plan of rows needs a scratch");
    for (int as_job = 0; as_job < 2; as_job++) {
        call c = { .plan = plan, .tokens = 1, .batch = 1, .axes = 1, .dtype = ROPEROT_F32, .as_job = as_job };
        memset(memory, 0, sizeof memory);
        refuses(&c, memory, bytes - 1, ROPEROT_ERROR_SHAPE, "options.scratch_bytes", "319");
        refuses(&c, memory, 0, ROPEROT_ERROR_SHAPE, "options.scratch_bytes", "0");
        refuses(&c, memory, INT64_MIN, ROPEROT_ERROR_SHAPE, "options.scratch_bytes", "-9223372036854775808");
        for (int i = 1; i < 64; i <<= 1)
            refuses(&c, memory + i, MOST_BYTES - 64, ROPEROT_ERROR_ARGUMENT, "options.scratch", "64");
        for (int i = 0; i < MOST_BYTES; i++) CHECK(!memory[i], "byte %d of a refused scratch was written", i);
        /* Not a byte beyond its size; none needed, any will do. */
        guard_buffer exact = guard_buffer_open((size_t)bytes, GUARD_HIGH);
        memset(exact.data, 0, (size_t)bytes);
        guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, 1, HEADS, DIM);
        for (int i = 0; i < 3; i++) CHECK(!make(&c, &x.view, exact.data, bytes), "%s", roperot_last_error());
        c.plan = rows;
        CHECK(!make(&c, &x.view, memory, 0), "%s", roperot_last_error());
        guarded_tensor_close(&x);
        guard_buffer_close(&exact);
    }
    roperot_plan_destroy(plan);
    roperot_plan_destroy(rows);
}

int main(int argc, char **argv)
{
    harness_add(same_bits, NULL, "the same bits");
    harness_add(outlives_plans, NULL, "outlives plans");
    harness_add(reuse, NULL, "reuse");
    harness_add(is_not_for_executors, NULL, "is not for executors");
    harness_add(sizes, NULL, "sizes and refusals");
    return harness_run(argc, argv, "scratch");
}
