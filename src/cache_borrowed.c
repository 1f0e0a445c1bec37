/* SPDX-License-Identifier: MIT
 * Borrowing a caller's table: in place where its rows are ours already, else as a copy; it must not know factors. */
#include "cache_borrowed.h"

#include <math.h>
#include <string.h>

#include "cache_full.h"
#include "convert.h"
#include "memory.h"
#include "lists.h"
#include "numbers.h"
#include "table.h"

/* NaN coefficients: the 16-bit kernels round in integers and count on NaNs whose lower half is zero, which
 * arithmetic makes of elements but a table may break. */
static int is_odd_nan(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return (bits & 0x7fffffffu) > 0x7f800000u && (bits & 0xffffu);
}

static int has_odd_nan(const roperot_plan *plan, const roperot_row_table *rows)
{
    for (int64_t p = 0; p < plan->max_positions; p++)
        for (int64_t head = 0; head < roperot_plan_row_heads(plan); head++) {
            const int64_t at = p * rows->stride + head * rows->head_stride;
            for (int64_t j = at; j < at + plan->pairs; j++)
                if (is_odd_nan(rows->cos[j]) || is_odd_nan(rows->sin[j])) return 1;
        }
    return 0;
}

/* One row of the caller's, `at` elements behind the first one, times `factor` in f32. */
static void copy_row(const roperot_table *table, int64_t at, int32_t pairs, float factor, float *row)
{
    const int64_t size = roperot_dtype_size(table->dtype), step = roperot_table_shape_of(table, pairs).pair_stride;
    roperot_convert((const char *)table->cos + at * size, table->dtype, step, row, ROPEROT_F32, 1, pairs);
    roperot_convert((const char *)table->sin + at * size, table->dtype, step, row + pairs, ROPEROT_F32, 1, pairs);
    for (int64_t j = 0; j < 2 * pairs; j++) {
        if (factor != 1.0f) row[j] *= factor;
        if (is_odd_nan(row[j])) row[j] = NAN;
    }
}

/* The caller's values as f32 rows of our own. */
static int32_t copy_table(roperot_plan *plan, const roperot_table *table, int slot, roperot_row_table *rows,
                          float factor)
{
    float *const data = roperot_full_allocate(plan, slot, rows);
    if (!data) return ROPEROT_ERROR_MEMORY;
    for (int64_t p = 0; p < plan->max_positions; p++)
        for (int64_t head = 0; head < roperot_plan_row_heads(plan); head++)
            copy_row(table, p * table->row_stride + head * table->head_stride, plan->pairs, factor,
                     data + p * rows->stride + head * rows->head_stride);
    return ROPEROT_OK;
}

int32_t roperot_borrowed_build(roperot_plan *plan, const roperot_table *table)
{
    const roperot_row_table given = { table->cos, table->sin, table->row_stride, table->head_stride };
    const int in_place = table->dtype == ROPEROT_F32 && roperot_table_shape_of(table, plan->pairs).pair_stride == 1 &&
                         !has_odd_nan(plan, &given);
    const int copies = !in_place + (plan->attention_factor != 1.0);
    const int64_t rows = roperot_saturating_mul(plan->max_positions, roperot_plan_row_heads(plan));
    const int64_t bytes = roperot_saturating_mul(copies, roperot_full_bytes(plan->pairs, rows));
    int32_t status = roperot_memory_check(bytes, copies == 1 ? "a copy of the table" : "two copies of the table");
    if (status) return status;
    if (in_place)
        plan->pure = given;
    else
        status = copy_table(plan, table, 1, &plan->pure, 1.0f);
    if (status) return status;
    if (plan->attention_factor == 1.0)
        plan->rows = plan->pure;
    else
        status = copy_table(plan, table, 0, &plan->rows, (float)plan->attention_factor);
    return status;
}
