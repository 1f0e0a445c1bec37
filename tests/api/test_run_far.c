/* SPDX-License-Identifier: MIT
 * roperot_run on more bytes than caches hold, against its own calls of one token: the same bytes, and nothing is read
 * or written behind the last head; it must not know what is right. */
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/guard.h"
#include "support/harness.h"
#include "support/values.h"

enum { DIM = 128, BYTES = 3 << 20, PAGE_TOKENS = 16, MOST_TOKENS = BYTES / (DIM * 2) };

typedef struct far_case {
    int32_t dtype, format; /* of src, and of the pages */
    int64_t heads;
} far_case;

/* A job that stores into pages, and a job in place. */
typedef struct scene {
    far_case c;
    int64_t tokens;
    guard_buffer src, pages, in_place;
    float weight[DIM];
    int64_t slots[MOST_TOKENS];
} scene;

static scene s;

static int64_t row_bytes(int32_t dtype)
{
    return s.c.heads * DIM * (int64_t)format_bytes(dtype);
}

static void scene_open(const far_case *c)
{
    s.c = *c;
    s.tokens = BYTES / row_bytes(c->dtype) / PAGE_TOKENS * PAGE_TOKENS;
    s.src = guard_buffer_open((size_t)(s.tokens * row_bytes(c->dtype)), GUARD_HIGH);
    s.in_place = guard_buffer_open(s.src.bytes, GUARD_HIGH);
    s.pages = guard_buffer_open((size_t)(s.tokens * row_bytes(c->format)), GUARD_HIGH);
    for (size_t at = 0; at < s.src.bytes; at += format_bytes(c->dtype))
        format_store(c->dtype, s.src.data + at, values_number(VALUES_NORMAL, c->dtype));
    memcpy(s.in_place.data, s.src.data, s.src.bytes);
    for (int i = 0; i < DIM; i++) s.weight[i] = (float)random_between(0.5, 2.0);
    for (int64_t i = 0; i < s.tokens; i++) s.slots[i] = (i * 7919 + 5) % s.tokens; /* 7919 is prime: each slot once */
}

static void scene_close(void)
{
    guard_buffer_close(&s.src);
    guard_buffer_close(&s.in_place);
    guard_buffer_close(&s.pages);
}

/* `count` tokens from `first` on, k into `slots` slots of pages. */
static void run(const roperot_plan *plan, int64_t first, int64_t count, unsigned char *in_place, void *pages,
                int64_t slots)
{
    const roperot_tensor k =
        roperot_tensor_shd(s.src.data + first * row_bytes(s.c.dtype), s.c.dtype, count, s.c.heads, DIM);
    const roperot_tensor q = roperot_tensor_shd(in_place, s.c.dtype, count, s.c.heads, DIM);
    const int64_t zero = 0;
    const roperot_positions positions = roperot_positions_offset(first);
    roperot_norm norm = ROPEROT_NORM_INIT;
    roperot_pages to = ROPEROT_PAGES_INIT;
    roperot_job job[2] = { ROPEROT_JOB_INIT, ROPEROT_JOB_INIT };
    norm.rounding = ROPEROT_NORM_ROUND_ONCE;
    norm.weight = s.weight;
    norm.weight_dtype = ROPEROT_F32;
    to.dtype = s.c.format;
    to.data = pages;
    to.page_tokens = slots < PAGE_TOKENS ? slots : PAGE_TOKENS;
    to.pages = slots / to.page_tokens;
    to.head_stride = DIM;
    to.token_stride = s.c.heads * DIM;
    to.page_stride = to.page_tokens * to.token_stride;
    to.slots = count > 1 ? s.slots : &zero;
    to.slot_type = 2;
    job[0].src = &k;
    job[0].norm = &norm;
    job[0].to = &to;
    job[1].src = job[1].dst = &q;
    job[1].norm = &norm;
    CHECK(roperot_run(plan, &positions, job, 2, NULL) == ROPEROT_OK, "%s", roperot_last_error());
}

static void far_equals_near(const void *arg)
{
    _Alignas(64) unsigned char one[3 * DIM * 4], two[3 * DIM * 4];
    roperot_config config = ROPEROT_CONFIG_INIT;
    scene_open(arg);
    config.head_dim = DIM;
    config.max_positions = s.tokens;
    roperot_plan *const plan = expect_plan(&config);
    run(plan, 0, s.tokens, s.in_place.data, s.pages.data, s.tokens);
    const int64_t step = harness_quick() ? 7 : 1;
    for (int64_t t = s.tokens - 1; t >= 0; t -= step) {
        memcpy(one, s.src.data + t * row_bytes(s.c.dtype), (size_t)row_bytes(s.c.dtype));
        run(plan, t, 1, one, two, 1);
        CHECK(memcmp(one, s.in_place.data + t * row_bytes(s.c.dtype), (size_t)row_bytes(s.c.dtype)) == 0,
              "token %lld in place", (long long)t);
        CHECK(memcmp(two, s.pages.data + s.slots[t] * row_bytes(s.c.format), (size_t)row_bytes(s.c.format)) == 0,
              "token %lld in pages", (long long)t);
    }
    CHECK(guard_buffer_intact(&s.src) && guard_buffer_intact(&s.in_place) && guard_buffer_intact(&s.pages),
          "a canary was overwritten");
    roperot_plan_destroy(plan);
    scene_close();
}

int main(int argc, char **argv)
{
    static const far_case cases[] = {
        { ROPEROT_F32, ROPEROT_F32, 3 },   { ROPEROT_F32, ROPEROT_BF16, 3 }, { ROPEROT_F16, ROPEROT_F16, 3 },
        { ROPEROT_BF16, ROPEROT_BF16, 3 }, { ROPEROT_BF16, ROPEROT_F16, 1 }, { ROPEROT_BF16, ROPEROT_BF16, 1 },
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        harness_add(far_equals_near, &cases[i], "far/%s-%s-%d", format_name(cases[i].dtype),
                    format_name(cases[i].format), (int)cases[i].heads);
    return harness_run(argc, argv, "run_far");
}
