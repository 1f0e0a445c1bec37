/* SPDX-License-Identifier: MIT
 * One roperot_apply on fresh tensors, checked against the expectation byte for byte; it must not know why. */
#include "api/apply_trial.h"

#include <stdio.h>
#include <stdlib.h>

#include "reference/apply.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/harness.h"

apply_trial apply_trial_plain(int32_t head_dim, int64_t batch, int64_t tokens, int64_t heads)
{
    apply_trial c = { .config = ROPEROT_CONFIG_INIT,
                      .at = ROPEROT_POSITIONS_INIT,
                      .src_dtype = ROPEROT_F32,
                      .dst_dtype = ROPEROT_F32,
                      .in_place = TRIAL_IN_PLACE,
                      .batch = batch,
                      .tokens = tokens,
                      .heads = heads };
    c.config.head_dim = head_dim;
    c.at.offset = 17;
    c.src.end = c.dst.end = GUARD_HIGH;
    return c;
}

static const char *words(const apply_trial *c)
{
    static char text[300];
    snprintf(text, sizeof text,
             "%s to %s, pairing %d to %d, head_dim %d rotary %d at %d, cache %d, %lld x %lld x %lld, orders "
             "%d %d gaps %lld %lld backwards %d %d, %s, flags %u, range %lld..%lld",
             format_name(c->src_dtype), format_name(c->dst_dtype), c->config.pairing, c->config.pairing_out,
             c->config.head_dim, c->config.rotary_dim, c->config.rotary_offset, c->config.cache, (long long)c->batch,
             (long long)c->tokens, (long long)c->heads, c->src.order, c->dst.order, (long long)c->src.gap,
             (long long)c->dst.gap, c->src.backwards, c->dst.backwards, c->in_place ? "in place" : "out of place",
             (unsigned)c->flags, (long long)c->begin, (long long)c->end);
    return text;
}

/* OFFSET: token t of every row is at offset + t, on every axis. */
static int64_t *offsets(const apply_trial *c)
{
    const int64_t lines = c->batch * c->tokens, axes = c->config.axes ? c->config.axes : 1;
    int64_t *const p = malloc(sizeof *p * (size_t)(lines * axes + 1));
    for (int64_t a = 0; a < axes; a++)
        for (int64_t i = 0; i < lines; i++) p[a * lines + i] = c->at.offset + i % c->tokens;
    return p;
}

static void expected(const apply_trial *c, const roperot_tensor *src, const roperot_tensor *dst)
{
    int64_t *const own = c->position || c->coordinate ? NULL : offsets(c);
    const reference_call e = { &c->config, own ? own : c->position, c->coordinate, c->flags, c->begin, c->end, 0 };
    reference_apply(&e, src, dst);
    free(own);
}

static void apply(const apply_trial *c, const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst)
{
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.flags = c->flags;
    o.token_begin = c->begin;
    if (c->end) o.token_end = c->end;
    const int plain = !c->flags && !c->begin && !c->end;
    const int32_t status = roperot_apply(plan, &c->at, src, dst, 1, plain ? NULL : &o);
    CHECK(status == ROPEROT_OK, "%s: %s: %s", words(c), roperot_status_name(status), roperot_last_error());
}

void apply_trial_check_plan(const apply_trial *c, const roperot_plan *plan)
{
    guarded_tensor src = guarded_tensor_open(c->src_dtype, c->batch, c->tokens, c->heads, c->config.head_dim, c->src);
    if (c->in_place) {
        guarded_tensor want = guarded_tensor_clone(&src);
        expected(c, &want.view, &want.view);
        apply(c, plan, &src.view, c->in_place == TRIAL_SAME_VIEW ? &src.view : NULL);
        guarded_tensor_check_equal(&src, &want, words(c));
        guarded_tensor_close(&want);
    } else {
        guarded_tensor dst =
            guarded_tensor_open(c->dst_dtype, c->batch, c->tokens, c->heads, c->config.head_dim, c->dst);
        guarded_tensor want = guarded_tensor_clone(&dst), before = guarded_tensor_clone(&src);
        expected(c, &src.view, &want.view);
        apply(c, plan, &src.view, &dst.view);
        guarded_tensor_check_equal(&dst, &want, words(c));
        guarded_tensor_check_equal(&src, &before, "the source");
        guarded_tensor_close(&dst);
        guarded_tensor_close(&want);
        guarded_tensor_close(&before);
    }
    guarded_tensor_close(&src);
}

void apply_trial_check(const apply_trial *c)
{
    roperot_plan *const plan = expect_plan(&c->config);
    apply_trial_check_plan(c, plan);
    roperot_plan_destroy(plan);
}
