/* SPDX-License-Identifier: MIT
 * Calls that must be refused, or allowed, where pointers have 32 bits as where they have 64; it must not know how the
 * library decides. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <roperot/roperot.h>

#include "bits.h"
#include "support/views.h"

enum { DIM = 4, HEADS = 2, TOKENS = 6, FLOATS = 4096, MIDDLE = 1024 };

static float buffer[FLOATS];

static void returns(const char *what, int32_t status, int32_t want)
{
    bits_point(status != want, "%s: %s", what, roperot_status_name(status));
    if (status != want) bits_note("instead of %s", roperot_status_name(want));
}

/* A second view one head below or behind the first: differences of either sign. */
static void views_that_overlap(const roperot_plan *plan)
{
    const roperot_positions at = roperot_positions_offset(5);
    for (int step = -DIM; step <= DIM; step += 2 * DIM) {
        const roperot_tensor views[2] = { roperot_tensor_shd(buffer + MIDDLE, ROPEROT_F32, TOKENS, HEADS, DIM),
                                          roperot_tensor_shd(buffer + MIDDLE + step, ROPEROT_F32, TOKENS, HEADS, DIM) };
        const char *const where = step < 0 ? "below" : "behind";
        bits_note("the second view is one head %s the first", where);
        returns("two views in place", roperot_apply(plan, &at, views, NULL, 2, NULL), ROPEROT_ERROR_ALIAS);
        returns("out of place", roperot_apply(plan, &at, &views[0], &views[1], 1, NULL), ROPEROT_ERROR_ALIAS);
    }
}

/* Slots of one packed row, in both orders. */
static void views_side_by_side(const roperot_plan *plan)
{
    const roperot_positions at = roperot_positions_offset(5);
    roperot_tensor slots[2] = { roperot_tensor_shd(buffer + MIDDLE, ROPEROT_F32, TOKENS, HEADS, DIM),
                                roperot_tensor_shd(buffer + MIDDLE + HEADS * DIM, ROPEROT_F32, TOKENS, HEADS, DIM) };
    slots[0].stride[1] = slots[1].stride[1] = 2 * HEADS * DIM;
    returns("slots", roperot_apply(plan, &at, slots, NULL, 2, NULL), ROPEROT_OK);
    const roperot_tensor other[2] = { slots[1], slots[0] };
    returns("slots, the later one first", roperot_apply(plan, &at, other, NULL, 2, NULL), ROPEROT_OK);
}

static void tables_that_overlap(const roperot_plan *plan)
{
    const roperot_positions at = roperot_positions_offset(5);
    for (int step = -1; step <= 1; step += 2) {
        roperot_table table = ROPEROT_TABLE_INIT;
        table.cos = buffer + MIDDLE;
        table.sin = buffer + MIDDLE + step;
        table.rows = 4;
        table.row_stride = 2 * DIM;
        bits_note("sin is one element %s cos", step < 0 ? "below" : "behind");
        returns("a table", roperot_cos_sin(plan, &at, 1, 4, &table), ROPEROT_ERROR_ALIAS);
    }
}

/* Small sizes whose product leaves 32 bits, just so that a part of a page, or nothing, is left; nothing is read. */
static void views_beyond_memory(const roperot_plan *plan)
{
    const roperot_positions at = roperot_positions_offset(5);
    const roperot_tensor fits = roperot_tensor_shd(buffer, ROPEROT_F32, TOKENS, HEADS, DIM);
    for (int axis = 0; axis < 3; axis++) {
        roperot_tensor view = fits;
        view.shape[axis] = 33;
        view.stride[axis] = 1 << 25; /* 32 * 2^25 * 4 bytes = 2^32 */
        if (sizeof(size_t) > 4) view.stride[axis] = INT64_C(1) << 57;
        returns("a view beyond memory", roperot_apply(plan, &at, &view, NULL, 1, NULL), ROPEROT_ERROR_SHAPE);
    }
}

/* 2^23 rows of 512 bytes are 4 GiB, and 2^32 is nothing where sizes have 32 bits, whatever memory the machine has. */
static void table_beyond_memory(void)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    config.head_dim = 128;
    config.max_positions = 1 << 23;
    config.cache = ROPEROT_CACHE_FULL;
    config.isa = ROPEROT_ISA_SCALAR;
    if (sizeof(size_t) > 4)
        bits_skip("a table of 4 GiB", "it may well fit here");
    else
        returns("a table of 4 GiB", roperot_plan_create(&config, &plan), ROPEROT_ERROR_MEMORY);
}

int main(void)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    bits_plan(12);
    bits_note("%s", roperot_build_info());
    config.head_dim = DIM;
    config.max_positions = 64;
    if (roperot_plan_create(&config, &plan)) bits_bail("%s", roperot_last_error());
    views_that_overlap(plan);
    views_side_by_side(plan);
    tables_that_overlap(plan);
    views_beyond_memory(plan);
    table_beyond_memory();
    roperot_plan_destroy(plan);
    return bits_end();
}
