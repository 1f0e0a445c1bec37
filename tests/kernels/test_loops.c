/* SPDX-License-Identifier: MIT
 * Which loop the tiles of a call ask for: what is rotated in place is never streamed, however the call says so; it must
 * not know what a kernel does. */
#include <stdint.h>
#include <stdlib.h>

#include <roperot/roperot.h>

#include "plan.h"
#include "support/assertions.h"
#include "support/harness.h"

enum { DIM = 128, HEADS = 32 };

/* Loops asked for in place and out of place, one bit each. */
static unsigned seen[2];

static void record(const roperot_tile *tile)
{
    seen[tile->token->src != tile->token->dst] |= 1u << tile->loop;
}

typedef struct loop_case {
    const char *name;
    int places[2]; /* of two views: 0 in place, 1 elsewhere */
    int dst;       /* 0: dst is NULL */
    unsigned in, out;
} loop_case;

enum { LINEAR = 1 << ROPEROT_LOOP_LINEAR, STREAM = 1 << ROPEROT_LOOP_STREAM };
static const loop_case cases[] = {
    { "in-place", { 0, 0 }, 0, LINEAR, 0 },
    { "in-place-by-dst", { 0, 0 }, 1, LINEAR, 0 },
    { "out-of-place", { 1, 1 }, 1, 0, STREAM },
    { "one-of-each", { 0, 1 }, 1, LINEAR, STREAM },
};

static void asks_for(const void *arg)
{
    const loop_case *const k = arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    plan->rotate[0][0] = record; /* nothing is read or written, so views may be larger than memory */
    const int64_t tokens = 8 * plan->far_bytes / (int64_t)(HEADS * DIM * sizeof(float));
    char *const base = (char *)(uintptr_t)(1 << 20);
    const int64_t size = tokens * HEADS * DIM * (int64_t)sizeof(float);
    roperot_tensor src[2], dst[2];
    for (int i = 0; i < 2; i++) {
        src[i] = roperot_tensor_shd(base + i * size, ROPEROT_F32, tokens, HEADS, DIM);
        dst[i] = roperot_tensor_shd(base + (i + 2 * k->places[i]) * size, ROPEROT_F32, tokens, HEADS, DIM);
    }
    const roperot_positions at = roperot_positions_offset(0);
    seen[0] = seen[1] = 0;
    CHECK(!roperot_apply(plan, &at, src, k->dst ? dst : NULL, 2, NULL), "%s", roperot_last_error());
    CHECK(seen[0] == k->in && seen[1] == k->out, "loops %#x in place and %#x out of place, not %#x and %#x", seen[0],
          seen[1], k->in, k->out);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        harness_add(asks_for, &cases[i], "loop/%s", cases[i].name);
    return harness_run(argc, argv, "loops");
}
