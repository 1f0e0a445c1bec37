/* SPDX-License-Identifier: MIT
 * A plan's cos and sin as a table in the caller's layout; it must not know tensors or kernels. */
#include "coefficient_rows.h"
#include "convert.h"
#include "fpenv.h"
#include "lists.h"
#include "numbers.h"
#include "positions.h"
#include "status.h"
#include "table.h"

/* One half (cos or sin) of row `at`: pairs [first, first + n), in every column that repeats them. */
static void put(const roperot_table *dst, void *base, int64_t at, int32_t pairs, int32_t first, int32_t n,
                const float *values)
{
    const int64_t size = roperot_dtype_size(dst->dtype), step = roperot_table_shape_of(dst, pairs).pair_stride;
    char *const row = (char *)base + at * dst->row_stride * size;
    roperot_convert(values, ROPEROT_F32, 1, row + first * step * size, dst->dtype, step, n);
    if (dst->width == ROPEROT_TABLE_HALF) return;
    const int64_t second = dst->width == ROPEROT_TABLE_FULL_REPEAT ? dst->element_stride : pairs * dst->element_stride;
    roperot_convert(values, ROPEROT_F32, 1, row + (second + first * step) * size, dst->dtype, step, n);
}

/* Does cos share an element with sin, or a row with another? Either rows lie one after the other, or columns do. */
static int overlaps(const roperot_table *dst, int32_t pairs, int64_t rows)
{
    const int64_t columns = roperot_table_shape_of(dst, pairs).columns, size = roperot_dtype_size(dst->dtype);
    const int64_t width = (columns - 1) * dst->element_stride + 1;
    const int64_t stride = roperot_magnitude(dst->row_stride);
    const int64_t height = stride * (rows - 1) + 1; /* rows are inside columns in a transposed table */
    if (rows > 1 && stride < width && (stride == 0 || dst->element_stride < height)) return 1;
    const int64_t bytes = roperot_distance(dst->cos, dst->sin);
    if (bytes / size > stride * (rows - 1) + width || bytes / size < -(stride * (rows - 1) + width)) return 0;
    if (bytes % size) return 1;
    for (int64_t column = 1 - columns; column < columns; column++) {
        const int64_t rest = bytes / size - column * dst->element_stride;
        if (rest == 0) return 1;
        if (rows > 1 && rest % stride == 0 && rest / stride < rows && rest / stride > -rows) return 1;
    }
    return 0;
}

/* Rows are written while ids are still being read: one that changed could lead anywhere. */
static int32_t check_positions(const roperot_plan *plan, const roperot_positions *positions, int64_t batch,
                               int64_t tokens, const roperot_table *dst)
{
    const int32_t status = roperot_positions_check(plan, positions, 0, batch, tokens, 0, batch * tokens);
    if (status) return status;
    const int64_t size = roperot_dtype_size(dst->dtype);
    roperot_table written = *dst;
    int64_t below, above;
    written.rows = batch * tokens;
    roperot_table_reach(&written, plan->pairs, &below, &above);
    for (int i = 0; i < 2; i++) {
        const uintptr_t at = (uintptr_t)(i ? dst->sin : dst->cos);
        if (roperot_positions_meet(positions, batch, tokens, at - (uintptr_t)(below * size),
                                   at + (uintptr_t)(above * size)))
            return roperot_fail(ROPEROT_ERROR_ALIAS, "dst.%s overlaps the positions; they must be apart",
                                i ? "sin" : "cos");
    }
    return ROPEROT_OK;
}

static ROPEROT_NOINLINE void write_rows(const roperot_row_source *source, int64_t batch, int64_t tokens,
                                        const roperot_table *dst)
{
    roperot_scratch scratch;
    const float one = 1.0f, zero = 0.0f;
    const int32_t pairs = source->plan->pairs;
    roperot_scratch_init(&scratch);
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < tokens; t++)
            for (int32_t first = 0; first < pairs; first += source->block_pairs) {
                const int32_t left = pairs - first, n = left < source->block_pairs ? left : source->block_pairs;
                const roperot_token_range token = { b, t, 0, 1 };
                const roperot_pair_block block = { first, n };
                roperot_row row;
                roperot_rows_make(source, &token, block, &scratch, &row);
                for (int32_t j = 0; !row.cos && j < n; j++) { /* IDENTITY */
                    put(dst, dst->cos, b * tokens + t, pairs, first + j, 1, &one);
                    put(dst, dst->sin, b * tokens + t, pairs, first + j, 1, &zero);
                }
                if (!row.cos) continue;
                put(dst, dst->cos, b * tokens + t, pairs, first, n, row.cos);
                put(dst, dst->sin, b * tokens + t, pairs, first, n, row.sin);
            }
}

static int32_t null_error(const char *argument, const char *type)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "%s is NULL; it must point to a roperot_%s", argument, type);
}

static int32_t overlap_error(const roperot_table *dst)
{
    return roperot_fail(
        ROPEROT_ERROR_ALIAS,
        "dst overlaps itself: row_stride %lld, element_stride %lld, sin %lld bytes after cos; rows, cos "
        "and sin must be apart",
        (long long)dst->row_stride, (long long)dst->element_stride, (long long)roperot_distance(dst->cos, dst->sin));
}

int32_t roperot_cos_sin(const roperot_plan *plan, const roperot_positions *positions, int64_t batch, int64_t tokens,
                        const roperot_table *dst)
{
    if (!plan) return null_error("plan", "plan");
    if (!positions) return null_error("positions", "positions");
    if (!dst) return null_error("dst", "table");
    if (batch < 0 || tokens < 0)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "batch is %lld and tokens is %lld; they must be at least 0",
                            (long long)batch, (long long)tokens);
    int32_t status = roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions");
    const int64_t rows = roperot_saturating_mul(batch, tokens);
    if (!status) status = roperot_table_check(dst, plan->pairs, rows, "dst");
    if (status || rows == 0) return status;
    if (overlaps(dst, plan->pairs, rows)) return overlap_error(dst);
    status = check_positions(plan, positions, batch, tokens, dst);
    if (status) return status;
    roperot_row_source source;
    roperot_row_source_init(&source, plan, positions, 0);
    roperot_fpenv saved; /* a table is the same whoever asks for it */
    roperot_fpenv_enter(&saved);
    write_rows(&source, batch, tokens, dst);
    roperot_fpenv_leave(&saved);
    return ROPEROT_OK;
}
