/* SPDX-License-Identifier: MIT
 * A caller's cos/sin table, read or written: its shape and reach, and whether it can be what it says; it must not know
 * plans. */
#include "table.h"

#include <stddef.h>
#include <string.h>

#include "lists.h"
#include "numbers.h"
#include "status.h"

roperot_table_shape roperot_table_shape_of(const roperot_table *table, int32_t pairs)
{
    const roperot_table_shape shape = {
        table->width == ROPEROT_TABLE_HALF ? pairs : 2 * (int64_t)pairs,
        roperot_saturating_mul(table->element_stride, table->width == ROPEROT_TABLE_FULL_REPEAT ? 2 : 1),
    };
    return shape;
}

void roperot_table_reach(const roperot_table *table, int32_t pairs, int64_t *below, int64_t *above)
{
    const int64_t columns = roperot_table_shape_of(table, pairs).columns;
    *below = 0;
    *above = roperot_saturating_add(roperot_saturating_mul(table->element_stride, columns - 1), 1);
    roperot_reach_axis(below, above, table->row_stride, table->rows);
    roperot_reach_axis(below, above, table->head_stride, table->heads);
}

int32_t roperot_table_read(const roperot_table *given, roperot_table *full, const char *name)
{
    const int32_t status = roperot_check_size(given, offsetof(roperot_table, heads), sizeof *full, name);
    if (status) return status;
    memset(full, 0, sizeof *full);
    memcpy(full, given, given->size < sizeof *full ? given->size : sizeof *full);
    full->size = sizeof *full;
    if (full->heads == 1) full->head_stride = 0; /* anybody's */
    return ROPEROT_OK;
}

static int32_t check_heads(const roperot_table *table, const char *name)
{
    if (table->heads < 0)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "%s.heads is %lld; it must be at least 0", name,
                            (long long)table->heads);
    if (table->heads == 0 && table->head_stride != 0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "%s.head_stride is %lld with heads 0; heads must say how many rows a position has", name,
                            (long long)table->head_stride);
    return ROPEROT_OK;
}

int32_t roperot_table_check(const roperot_table *table, int32_t pairs, int64_t rows, const char *name)
{
    if (table->reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "%s.reserved is %d; it must be 0", name, table->reserved);
    const int32_t size = roperot_dtype_size(table->dtype);
    if (!size)
        return roperot_fail(ROPEROT_ERROR_DTYPE, "%s.dtype is %d; it must be 1 (f32), 2 (f16) or 3 (bf16)", name,
                            table->dtype);
    if (table->width < ROPEROT_TABLE_HALF || table->width > ROPEROT_TABLE_FULL_REPEAT)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s.width is %d; it must be 0 (half), 1 or 2 (full)", name,
                            table->width);
    if (table->rows < rows)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "%s.rows is %lld; at least %lld are needed", name,
                            (long long)table->rows, (long long)rows);
    if (rows == 0) return ROPEROT_OK;
    if (!table->cos || !table->sin)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s.%s is NULL; it must point to %lld rows", name,
                            table->cos ? "sin" : "cos", (long long)rows);
    if (((uintptr_t)table->cos | (uintptr_t)table->sin) % (uintptr_t)size)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "%s.cos is %p and sin %p; they must be multiples of the element's %d bytes", name,
                            table->cos, table->sin, (int)size);
    if (table->element_stride < 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "%s.element_stride is %lld; it must be at least 1", name,
                            (long long)table->element_stride);
    const int32_t status = check_heads(table, name);
    if (status) return status;
    int64_t below, above;
    roperot_table_reach(table, pairs, &below, &above);
    if (!roperot_is_addressable(table->cos, below, above, size) ||
        !roperot_is_addressable(table->sin, below, above, size))
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "%s: %lld rows with row_stride %lld and element_stride %lld, of %lld heads with "
                            "head_stride %lld, must not reach outside the address space",
                            name, (long long)table->rows, (long long)table->row_stride,
                            (long long)table->element_stride, (long long)table->heads, (long long)table->head_stride);
    return ROPEROT_OK;
}
