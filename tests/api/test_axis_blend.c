/* SPDX-License-Identifier: MIT
 * What keeps blended coefficient rows right, invariant by invariant (src/axis_blend.c): tokens of a tile, whose rows
 * start from each other, against the same tokens one call at a time, whose rows start from nothing; it must not know
 * kernels. */

#include <string.h>

#include <roperot/roperot.h>

#include "support/assertions.h"
#include "support/harness.h"

enum { AXES = 3, TOKENS = 6, PAIRS = 24, DIM = 2 * PAIRS };

typedef struct blend_case {
    const char *name;
    double at[TOKENS][AXES]; /* positions, or with `real` coordinates */
    int real;
} blend_case;

static const blend_case cases[] = {
    { "exact", { { 1, 2, 3 }, { 1, 2, 4 }, { 1, 5, 4 }, { 6, 5, 4 }, { 6, 5, 9 }, { 7, 8, 9 } }, 0 },
    { "own", { { 1, 2, 3 }, { 5, 5, 5 }, { 1, 2, 4 }, { 4, 4, 4 }, { 1, 2, 4 }, { 1, 2, 5 } }, 0 },
    { "moved", { { 1, 2, 3 }, { 1, 2, 3 }, { 1, 2, 4 }, { 1, 2, 4 }, { 1, 2, 3 }, { 1, 2, 3 } }, 0 },
    { "fewest", { { 1, 2, 3 }, { 7, 7, 3 }, { 7, 7, 8 }, { 1, 2, 8 }, { 9, 2, 8 }, { 9, 9, 8 } }, 0 },
    { "apart", { { 10, 20, 30 }, { 11, 21, 31 }, { 12, 22, 32 }, { 13, 23, 33 }, { 14, 24, 34 }, { 15, 25, 35 } }, 0 },
    { "bits",
      { { 0.0, 1.5, 2 }, { -0.0, 1.5, 2 }, { 0.0, -0.0, 2 }, { -0.0, 0.0, 2 }, { 1, -0.0, 0.0 }, { 1, 0, 0 } },
      1 },
};

static roperot_plan *plan_of(int32_t cache)
{
    uint8_t axis[PAIRS];
    roperot_config c = ROPEROT_CONFIG_INIT;
    for (int j = 0; j < PAIRS; j++) axis[j] = (uint8_t)(j % AXES);
    c.head_dim = DIM;
    c.pairs = PAIRS;
    c.axes = AXES;
    c.axis = axis;
    c.cache = cache;
    c.max_positions = 64;
    return expect_plan(&c);
}

/* Rows [first, first + count) of cos and sin. */
static void rows_of(const roperot_plan *plan, roperot_positions at, int64_t first, int64_t count, float *cos,
                    float *sin)
{
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = cos + first * PAIRS;
    table.sin = sin + first * PAIRS;
    table.rows = count;
    table.row_stride = PAIRS;
    at.ids = (const char *)at.ids + first * AXES * (int64_t)sizeof(int64_t); /* or doubles */
    CHECK(!roperot_cos_sin(plan, &at, 1, count, &table), "%s", roperot_last_error());
}

/* A table is written row by row from one space: `own` shows here only. */
static void check_table(const roperot_plan *plan, const roperot_positions *at)
{
    float together[2][TOKENS * PAIRS], alone[2][TOKENS * PAIRS];
    rows_of(plan, *at, 0, TOKENS, together[0], together[1]);
    for (int64_t t = 0; t < TOKENS; t++) rows_of(plan, *at, t, 1, alone[0], alone[1]);
    CHECK(memcmp(together, alone, sizeof alone) == 0, "a table written at once is not that written row by row");
}

static void tile_equals_tokens(const void *arg)
{
    const blend_case *const k = arg;
    static const int32_t caches[] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED };
    for (size_t i = 0; i < 2; i++) {
        roperot_plan *const plan = plan_of(caches[i]);
        float together[TOKENS * DIM], alone[TOKENS * DIM];
        int64_t ids[TOKENS * AXES];
        for (int j = 0; j < TOKENS * DIM; j++) together[j] = alone[j] = (float)(j % 7) - 2.5f;
        for (int j = 0; j < TOKENS * AXES; j++) ids[j] = (int64_t)k->at[j / AXES][j % AXES];
        roperot_positions at = roperot_positions_i64(ids, 0);
        if (k->real) at.type = ROPEROT_POSITIONS_F64, at.ids = k->at;
        at.axes = AXES;
        at.axis_stride = 1;
        at.token_stride = AXES;
        const roperot_tensor all = roperot_tensor_shd(together, ROPEROT_F32, TOKENS, 1, DIM);
        const roperot_tensor one = roperot_tensor_shd(alone, ROPEROT_F32, TOKENS, 1, DIM);
        CHECK(!roperot_apply(plan, &at, &all, NULL, 1, NULL), "%s", roperot_last_error());
        for (int64_t t = 0; t < TOKENS; t++) {
            roperot_options options = ROPEROT_OPTIONS_INIT;
            options.token_begin = t;
            options.token_end = t + 1;
            CHECK(!roperot_apply(plan, &at, &one, NULL, 1, &options), "%s", roperot_last_error());
        }
        for (int j = 0; j < TOKENS * DIM; j++)
            CHECK(memcmp(&together[j], &alone[j], sizeof *alone) == 0, "token %d channel %d is %a in a tile, %a alone",
                  j / DIM, j % DIM, (double)together[j], (double)alone[j]);
        check_table(plan, &at);
        roperot_plan_destroy(plan);
    }
}

int main(int argc, char **argv)
{
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        harness_add(tile_equals_tokens, &cases[i], "blend/%s", cases[i].name);
    return harness_run(argc, argv, "axis_blend");
}
