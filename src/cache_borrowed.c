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

static int has_odd_nan(const roperot_row_table *rows, int64_t count, int64_t pairs)
{
    for (int64_t p = 0; p < count; p++)
        for (int64_t j = 0; j < pairs; j++)
            if (is_odd_nan(rows->cos[p * rows->stride + j]) || is_odd_nan(rows->sin[p * rows->stride + j])) return 1;
    return 0;
}

/* The caller's values as f32 rows of our own, times `factor` in f32. */
static int32_t copy_table(roperot_plan *plan, const roperot_table *table, int slot, roperot_row_table *rows,
                          float factor)
{
    float *const data = roperot_full_allocate(plan, slot, rows);
    if (!data) return ROPEROT_ERROR_MEMORY;
    const int64_t size = roperot_dtype_size(table->dtype),
                  step = roperot_table_shape_of(table, plan->pairs).pair_stride;
    for (int64_t p = 0; p < plan->max_positions; p++) {
        float *const row = data + p * rows->stride;
        const char *const cos = (const char *)table->cos + p * table->row_stride * size;
        const char *const sin = (const char *)table->sin + p * table->row_stride * size;
        roperot_convert(cos, table->dtype, step, row, ROPEROT_F32, 1, plan->pairs);
        roperot_convert(sin, table->dtype, step, row + plan->pairs, ROPEROT_F32, 1, plan->pairs);
        for (int64_t j = 0; j < 2 * plan->pairs; j++) {
            if (factor != 1.0f) row[j] *= factor;
            if (is_odd_nan(row[j])) row[j] = NAN;
        }
    }
    return ROPEROT_OK;
}

int32_t roperot_borrowed_build(roperot_plan *plan, const roperot_table *table)
{
    const roperot_row_table given = { table->cos, table->sin, table->row_stride };
    const int in_place = table->dtype == ROPEROT_F32 && roperot_table_shape_of(table, plan->pairs).pair_stride == 1 &&
                         !has_odd_nan(&given, plan->max_positions, plan->pairs);
    const int copies = !in_place + (plan->attention_factor != 1.0);
    const int64_t bytes = roperot_saturating_mul(copies, roperot_full_bytes(plan->pairs, plan->max_positions));
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
