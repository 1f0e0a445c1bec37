/* SPDX-License-Identifier: MIT
 * A plan's cos and sin as a table in the caller's layout; it must not know tensors or kernels. */
#include "coefficient_rows.h"
#include "convert.h"
#include "extent.h"
#include "fpenv.h"
#include "lists.h"
#include "numbers.h"
#include "positions.h"
#include "status.h"
#include "table.h"

/* One half (cos or sin) of the row that is `at` elements behind the first one: pairs [first, first + n), in every
 * column that repeats them. */
static void put(const roperot_table *dst, void *base, int64_t at, int32_t pairs, int32_t first, int32_t n,
                const float *values)
{
    const int64_t size = roperot_dtype_size(dst->dtype), step = roperot_table_shape_of(dst, pairs).pair_stride;
    char *const row = (char *)base + at * size;
    roperot_convert(values, ROPEROT_F32, 1, row + first * step * size, dst->dtype, step, n);
    if (dst->width == ROPEROT_TABLE_HALF) return;
    const int64_t second = dst->width == ROPEROT_TABLE_FULL_REPEAT ? dst->element_stride : pairs * dst->element_stride;
    roperot_convert(values, ROPEROT_F32, 1, row + (second + first * step) * size, dst->dtype, step, n);
}

/* An axis of dst by the magnitude of its stride. Which elements are met does not depend on signs. */
typedef struct table_axis {
    int64_t stride, count;
} table_axis;

/* Elements from the first to the last of cos; 0 if one is met twice. Axes lie inside each other: rows inside columns in
 * a transposed table. */
static int64_t extent_of(const table_axis *rows, const table_axis *heads, const table_axis *columns)
{
    const table_axis *axis[3] = { columns, heads, rows };
    for (int i = 1; i < 3; i++)
        for (int k = i; k > 0 && axis[k]->stride < axis[k - 1]->stride; k--) {
            const table_axis *const kept = axis[k];
            axis[k] = axis[k - 1];
            axis[k - 1] = kept;
        }
    int64_t extent = 1;
    for (int i = 0; i < 3; i++) {
        if (axis[i]->count == 1) continue;
        if (axis[i]->stride < extent) return 0;
        extent += axis[i]->stride * (axis[i]->count - 1);
    }
    return extent;
}

/* Does cos share an element with sin, or a row with another? */
static int overlaps(const roperot_table *dst, int32_t pairs, int64_t count)
{
    const int64_t size = roperot_dtype_size(dst->dtype), columns = roperot_table_shape_of(dst, pairs).columns;
    const table_axis rows = { roperot_magnitude(dst->row_stride), count },
                     heads = { roperot_magnitude(dst->head_stride), dst->heads > 1 ? dst->heads : 1 },
                     column = { dst->element_stride, columns };
    const int64_t extent = extent_of(&rows, &heads, &column), bytes = roperot_distance(dst->cos, dst->sin);
    if (extent == 0) return 1;
    if (bytes / size > extent || bytes / size < -extent) return 0;
    if (bytes % size) return 1;
    for (int64_t head = 1 - heads.count; head < heads.count; head++)
        for (int64_t k = 1 - columns; k < columns; k++) {
            const int64_t rest = bytes / size - head * heads.stride - k * column.stride;
            if (rest == 0) return 1;
            if (count > 1 && rest % rows.stride == 0 && rest / rows.stride < count && rest / rows.stride > -count)
                return 1;
        }
    return 0;
}

/* Of cos, or of sin (which 1), of the first `rows` rows of a table. */
static roperot_extent extent_of_half(const roperot_table *table, int32_t pairs, int64_t rows, int which)
{
    roperot_table part = *table;
    int64_t below, above;
    part.rows = rows;
    roperot_table_reach(&part, pairs, &below, &above);
    return roperot_extent_around(which ? table->sin : table->cos, below, above, roperot_dtype_size(table->dtype));
}

static int overlaps_table(const roperot_plan *plan, const roperot_extent *written)
{
    const roperot_table *const table = plan->asked.table;
    for (int which = 0; table && which < 2; which++) {
        const roperot_extent own = extent_of_half(table, plan->pairs, plan->max_positions, which);
        if (roperot_extents_overlap(&own, written)) return 1;
    }
    return 0;
}

/* Rows are written while ids are still being read: one that changed could lead anywhere. So are those of a table. */
static int32_t check_apart(const roperot_plan *plan, const roperot_positions *positions, int64_t batch, int64_t tokens,
                           const roperot_table *dst)
{
    for (int which = 0; which < 2; which++) {
        const roperot_extent written = extent_of_half(dst, plan->pairs, batch * tokens, which);
        const char *const name = which ? "sin" : "cos";
        if (roperot_positions_overlap(positions, batch, tokens, &written))
            return roperot_fail(ROPEROT_ERROR_ALIAS, "dst.%s overlaps the positions; they must be apart", name);
        if (overlaps_table(plan, &written))
            return roperot_fail(ROPEROT_ERROR_ALIAS, "dst.%s overlaps the plan's table; they must be apart", name);
    }
    return ROPEROT_OK;
}

/* A block of a row of dst, `at` elements behind the first one. IDENTITY leaves row.cos NULL. */
static void write_block(const roperot_table *dst, int32_t pairs, int64_t at, roperot_pair_block block, roperot_row row)
{
    const float one = 1.0f, zero = 0.0f;
    for (int32_t j = block.first; !row.cos && j < block.first + block.count; j++) {
        put(dst, dst->cos, at, pairs, j, 1, &one);
        put(dst, dst->sin, at, pairs, j, 1, &zero);
    }
    if (!row.cos) return;
    put(dst, dst->cos, at, pairs, block.first, block.count, row.cos);
    put(dst, dst->sin, at, pairs, block.first, block.count, row.sin);
}

/* The row of one head (0: of all) of one token. */
static void write_row(const roperot_row_source *source, const roperot_table *dst, int64_t at,
                      const roperot_token_range *token, int64_t head, roperot_scratch *scratch)
{
    const int32_t pairs = source->plan->pairs;
    for (int32_t first = 0; first < pairs; first += source->block_pairs) {
        const int32_t left = pairs - first, n = left < source->block_pairs ? left : source->block_pairs;
        const roperot_pair_block block = { first, n, head };
        roperot_row row;
        roperot_rows_make(source, token, block, scratch, &row);
        write_block(dst, pairs, at, block, row);
    }
}

static ROPEROT_NOINLINE void write_rows(const roperot_row_source *source, int64_t batch, int64_t tokens,
                                        const roperot_table *dst)
{
    _Alignas(64) float values[ROPEROT_SCRATCH_FLOATS];
    roperot_scratch scratch;
    roperot_scratch_init(&scratch, values);
    for (int64_t b = 0; b < batch; b++)
        for (int64_t t = 0; t < tokens; t++) {
            const roperot_token_range token = { b, t, 0, 1 };
            const int64_t at = (b * tokens + t) * dst->row_stride;
            write_row(source, dst, at, &token, 0, &scratch);
            for (int64_t head = 1; head < dst->heads; head++)
                write_row(source, dst, at + head * dst->head_stride, &token, head, &scratch);
        }
}

static int32_t overlap_error(const roperot_table *dst)
{
    return roperot_fail(
        ROPEROT_ERROR_ALIAS,
        "dst overlaps itself: row_stride %lld, head_stride %lld, element_stride %lld, sin %lld bytes after cos; rows, "
        "cos and sin must be apart",
        (long long)dst->row_stride, (long long)dst->head_stride, (long long)dst->element_stride,
        (long long)roperot_distance(dst->cos, dst->sin));
}

int32_t roperot_cos_sin(const roperot_plan *plan, const roperot_positions *positions, int64_t batch, int64_t tokens,
                        const roperot_table *dst)
{
    roperot_table full;
    if (!plan) return roperot_null_plan_error();
    if (!positions) return roperot_null_error("positions", "roperot_positions");
    if (!dst) return roperot_null_error("dst", "roperot_table");
    if (batch < 0 || tokens < 0)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "batch is %lld and tokens is %lld; they must be at least 0",
                            (long long)batch, (long long)tokens);
    int32_t status = roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions");
    const int64_t rows = roperot_saturating_mul(batch, tokens);
    if (!status) status = roperot_table_read(dst, &full, "dst");
    dst = &full;
    if (!status) status = roperot_table_check(dst, plan->pairs, rows, "dst");
    if (status || rows == 0) return status;
    if (dst->heads != plan->heads)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "dst.heads is %lld; it must be that of the plan's table, %lld",
                            (long long)dst->heads, (long long)plan->heads);
    if (overlaps(dst, plan->pairs, rows)) return overlap_error(dst);
    status = roperot_positions_check(plan, positions, 0, batch, tokens, 0, rows);
    if (!status) status = check_apart(plan, positions, batch, tokens, dst);
    if (status) return status;
    roperot_row_source source;
    roperot_row_source_init(&source, plan, positions, 0, NULL, ROPEROT_SCRATCH_FLOATS);
    roperot_fpenv saved; /* a table is the same whoever asks for it */
    roperot_fpenv_enter(&saved);
    write_rows(&source, batch, tokens, dst);
    roperot_fpenv_leave(&saved);
    return ROPEROT_OK;
}
