/* SPDX-License-Identifier: MIT
 * The cos/sin caches of a plan: factor tables, full tables, borrowed tables; it must not know tensors or positions. */
#include "cache.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "convert.h"
#include "cpu.h"
#include "numbers.h"
#include "status.h"

enum { AUTO_FULL_BYTES = 64 << 20, POSITION_BITS = 31 };

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* Entries of a level for positions below n. */
static int64_t level_entries(int level, int64_t n)
{
    const int shift = level == 0 ? 0 : ROPEROT_LEVEL0_BITS + (level - 1) * ROPEROT_LEVEL_BITS;
    const int bits = level == 0 ? ROPEROT_LEVEL0_BITS : ROPEROT_LEVEL_BITS;
    const int64_t needed = ((n - 1) >> shift) + 1, most = (int64_t)1 << bits;
    return needed < most ? needed : most;
}

static int64_t factor_bytes(int32_t pairs, int64_t n)
{
    int64_t entries = 0;
    for (int level = 0; level < ROPEROT_LEVELS; level++) {
        const int64_t count = level_entries(level, n);
        if (level == 0 || count > 1) entries += count;
    }
    return entries * 2 * pairs * (int64_t)sizeof(double);
}

/* Floats from row to row of a full table: rows start at cache lines. */
static int64_t full_stride(int32_t pairs)
{
    return (2 * (int64_t)pairs + 15) / 16 * 16;
}

static int64_t full_bytes(int32_t pairs, int64_t n)
{
    return roperot_saturating_mul(n, full_stride(pairs) * (int64_t)sizeof(float));
}

/* With what PURE_ROTATION needs beside the rows. */
static int64_t full_cache_bytes(const roperot_plan *plan)
{
    const int64_t rows = full_bytes(plan->pairs, plan->max_positions);
    if (plan->attention_factor == 1.0) return rows;
    return roperot_saturating_add(
        rows, plan->angles == ROPEROT_ANGLES_F32 ? rows : factor_bytes(plan->pairs, plan->max_positions));
}

static int32_t check_memory(int64_t bytes, const char *what)
{
    roperot_machine machine;
    roperot_machine_describe(&machine);
    if (bytes <= machine.memory / 4) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_MEMORY,
                        "%s would take %lld bytes; at most a quarter of this machine's %lld is allowed", what,
                        (long long)bytes, (long long)machine.memory);
}

/* ---- factors ----------------------------------------------------------------------------------------------------- */

static int32_t allocate_factors(roperot_plan *plan)
{
    for (int level = 0; level < ROPEROT_LEVELS; level++) {
        const int64_t entries = level_entries(level, plan->max_positions);
        if (level > 0 && entries == 1) break;
        const int64_t bytes = entries * 2 * plan->pairs * (int64_t)sizeof(double);
        plan->level[level] = roperot_table_allocate(bytes);
        if (!plan->level[level])
            return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for %lld bytes of cos/sin factors", (long long)bytes);
    }
    return ROPEROT_OK;
}

static void fill_factors(roperot_plan *plan, int level, int64_t begin, int64_t end)
{
    const int shift = level == 0 ? 0 : ROPEROT_LEVEL0_BITS + (level - 1) * ROPEROT_LEVEL_BITS;
    if (plan->level[level]) plan->kernels->factors(plan->level[level], plan->inv_freq, plan->pairs, shift, begin, end);
}

static int32_t build_factors(roperot_plan *plan)
{
    const int32_t status = allocate_factors(plan);
    for (int level = 0; level < ROPEROT_LEVELS && !status; level++)
        fill_factors(plan, level, 0, level_entries(level, plan->max_positions));
    return status;
}

static void free_factors(roperot_plan *plan)
{
    for (int level = 0; level < ROPEROT_LEVELS; level++) {
        free(plan->level[level]);
        plan->level[level] = NULL;
    }
}

/* ---- full tables ------------------------------------------------------------------------------------------------- */

static float *allocate_rows(roperot_plan *plan, int slot, roperot_row_table *table)
{
    const int64_t bytes = full_bytes(plan->pairs, plan->max_positions);
    float *const data = roperot_table_allocate(bytes);
    if (!data) {
        roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for %lld bytes of cos/sin rows", (long long)bytes);
        return NULL;
    }
    plan->owned[slot] = data;
    plan->cache_bytes += bytes;
    table->cos = data;
    table->sin = data + plan->pairs;
    table->stride = full_stride(plan->pairs);
    /* The padding is never used; it is zero so that a row can be hashed or written to a file. */
    for (int64_t p = 0; p < plan->max_positions && table->stride > 2 * plan->pairs; p++)
        for (int64_t j = 2 * plan->pairs; j < table->stride; j++) data[p * table->stride + j] = 0.0f;
    return data;
}

/* The rows whose level-0 entries are [begin, end). */
static void fill_block(const roperot_plan *plan, float *data, int64_t begin, int64_t end)
{
    const int64_t width = 2 * plan->pairs, stride = plan->rows.stride;
    const int stream = full_bytes(plan->pairs, plan->max_positions) > plan->far_bytes; /* it cannot stay in the cache */
    for (int64_t first = 0; first + begin < plan->max_positions; first += 1 << ROPEROT_LEVEL0_BITS) {
        const int64_t high = first >> ROPEROT_LEVEL0_BITS, top = high >> ROPEROT_LEVEL_BITS;
        const int64_t left = plan->max_positions - first - begin, count = end - begin < left ? end - begin : left;
        const double *const f[3] = {
            plan->level[0] + begin * width,
            high ? plan->level[1] + (high & ((1 << ROPEROT_LEVEL_BITS) - 1)) * width : NULL,
            top ? plan->level[2] + top * width : NULL,
        };
        plan->kernels->combine_rows(data + (first + begin) * stride, stride, f, plan->pairs, count,
                                    plan->attention_factor, stream);
    }
}

/* Blocks of level-0 entries that stay in the first-level cache while every higher entry is multiplied with them: made
 * first and read in order of positions, the 2 MiB of them (64 pairs) would come from beyond it for every high entry. */
static int32_t fill_exact(roperot_plan *plan)
{
    enum { BLOCK_BYTES = 8 << 10 };
    const int32_t status = allocate_factors(plan);
    if (status) return status;
    for (int level = 1; level < ROPEROT_LEVELS; level++)
        fill_factors(plan, level, 0, level_entries(level, plan->max_positions));
    float *const data = allocate_rows(plan, 0, &plan->rows);
    if (!data) return ROPEROT_ERROR_MEMORY;
    const int64_t entries = level_entries(0, plan->max_positions);
    const int64_t fit = BLOCK_BYTES / (2 * plan->pairs * (int64_t)sizeof(double)), block = fit > 0 ? fit : 1;
    for (int64_t begin = 0; begin < entries; begin += block) {
        const int64_t end = begin + block < entries ? begin + block : entries;
        fill_factors(plan, 0, begin, end);
        fill_block(plan, data, begin, end);
    }
    plan->kernels->fence();
    plan->pure.cos = NULL;
    if (plan->attention_factor == 1.0) {
        plan->pure = plan->rows;
        free_factors(plan);
    } else {
        plan->cache_bytes += factor_bytes(plan->pairs, plan->max_positions);
    }
    return ROPEROT_OK;
}

static int32_t fill_f32(roperot_plan *plan)
{
    const float factors[2] = { (float)plan->attention_factor, 1.0f };
    roperot_row_table *const tables[2] = { &plan->rows, &plan->pure };
    for (int i = 0; i < (plan->attention_factor == 1.0 ? 1 : 2); i++) {
        float *const data = allocate_rows(plan, i, tables[i]);
        if (!data) return ROPEROT_ERROR_MEMORY;
        for (int64_t p = 0; p < plan->max_positions; p++) {
            float *const row = data + p * tables[i]->stride;
            plan->kernels->angles_f32(row, row + plan->pairs, (float)p, plan->inv_freq, plan->pairs, factors[i]);
        }
    }
    if (plan->attention_factor == 1.0) plan->pure = plan->rows;
    return ROPEROT_OK;
}

/* ---- borrowed tables --------------------------------------------------------------------------------------------- */

roperot_table_shape roperot_table_shape_of(const roperot_table *table, int32_t pairs)
{
    const roperot_table_shape shape = {
        table->width == ROPEROT_TABLE_HALF ? pairs : 2 * (int64_t)pairs,
        table->width == ROPEROT_TABLE_FULL_REPEAT ? 2 * table->element_stride : table->element_stride,
    };
    return shape;
}

void roperot_table_reach(const roperot_table *table, int32_t pairs, int64_t *below, int64_t *above)
{
    const int64_t rows = roperot_saturating_mul(roperot_magnitude(table->row_stride), table->rows - 1);
    const int64_t columns = roperot_table_shape_of(table, pairs).columns;
    const int64_t row = roperot_saturating_add(roperot_saturating_mul(table->element_stride, columns - 1), 1);
    *below = table->row_stride < 0 ? rows : 0;
    *above = table->row_stride < 0 ? row : roperot_saturating_add(rows, row);
}

int32_t roperot_table_check(const roperot_table *table, int32_t pairs, int64_t rows, const char *name)
{
    if (roperot_check_size(table, sizeof *table, sizeof *table, name)) return ROPEROT_ERROR_VERSION;
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
    int64_t below, above;
    roperot_table_reach(table, pairs, &below, &above);
    if (!roperot_is_addressable(table->cos, below, above, size) ||
        !roperot_is_addressable(table->sin, below, above, size))
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "%s: %lld rows with row_stride %lld and element_stride %lld must not reach outside the "
                            "address space",
                            name, (long long)table->rows, (long long)table->row_stride,
                            (long long)table->element_stride);
    return ROPEROT_OK;
}

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
    float *const data = allocate_rows(plan, slot, rows);
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

static int32_t borrow(roperot_plan *plan, const roperot_table *table)
{
    const roperot_row_table given = { table->cos, table->sin, table->row_stride };
    const int in_place = table->dtype == ROPEROT_F32 && roperot_table_shape_of(table, plan->pairs).pair_stride == 1 &&
                         !has_odd_nan(&given, plan->max_positions, plan->pairs);
    const int copies = !in_place + (plan->attention_factor != 1.0);
    const int64_t bytes = roperot_saturating_mul(copies, full_bytes(plan->pairs, plan->max_positions));
    int32_t status = check_memory(bytes, copies == 1 ? "a copy of the table" : "two copies of the table");
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

/* ---- choice ------------------------------------------------------------------------------------------------------ */

/* The combinations of cache, angles, max_positions and table that make no sense. */
static int32_t check_combination(const roperot_config *config)
{
    const int f32 = config->angles == ROPEROT_ANGLES_F32;
    if (config->table && (config->cache == ROPEROT_CACHE_FULL || config->cache == ROPEROT_CACHE_FACTORED))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.cache is %d with a table; it must be AUTO or BORROWED",
                            config->cache);
    if (!config->table && config->cache == ROPEROT_CACHE_BORROWED)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.table is NULL; the BORROWED cache needs one");
    if (config->table) return ROPEROT_OK;
    if (f32 && config->cache == ROPEROT_CACHE_FACTORED)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.cache is FACTORED with F32 angles; they need FULL or BORROWED");
    if (config->max_positions == 0 && (f32 || config->cache == ROPEROT_CACHE_FULL))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.max_positions is 0; %s must be told how many positions (1 .. 2^31)",
                            f32 ? "F32 angles" : "a FULL cache");
    return ROPEROT_OK;
}

static int32_t resolve(roperot_plan *plan, const roperot_config *config)
{
    const int64_t limit = (int64_t)1 << POSITION_BITS;
    if (config->max_positions < 0 || config->max_positions > limit)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.max_positions is %lld; it must be 0 (= 2^31) or 1 .. 2^31",
                            (long long)config->max_positions);
    const int32_t status = check_combination(config);
    if (status) return status;
    plan->max_positions = config->max_positions ? config->max_positions : limit;
    if (config->table) {
        plan->cache = ROPEROT_CACHE_BORROWED;
        if (config->max_positions == 0) plan->max_positions = config->table->rows < limit ? config->table->rows : limit;
    } else if (config->cache != ROPEROT_CACHE_AUTO) {
        plan->cache = config->cache;
    } else {
        const int fits = config->max_positions && full_bytes(plan->pairs, plan->max_positions) <= AUTO_FULL_BYTES;
        plan->cache = fits || plan->angles == ROPEROT_ANGLES_F32 ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
    }
    return ROPEROT_OK;
}

static int32_t build_borrowed(roperot_plan *plan, const roperot_config *config)
{
    if (config->table->rows < 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "config.table.rows is %lld; it must be at least 1",
                            (long long)config->table->rows);
    if (plan->max_positions > config->table->rows)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.table has %lld rows; max_positions %lld needs as many",
                            (long long)config->table->rows, (long long)plan->max_positions);
    const int32_t status = roperot_table_check(config->table, plan->pairs, plan->max_positions, "config.table");
    return status ? status : borrow(plan, config->table);
}

int32_t roperot_cache_build(roperot_plan *plan, const roperot_config *config)
{
    int32_t status = resolve(plan, config);
    if (status) return status;
    if (plan->cache == ROPEROT_CACHE_BORROWED) return build_borrowed(plan, config);
    if (plan->cache == ROPEROT_CACHE_FULL) {
        status = check_memory(full_cache_bytes(plan), "a FULL cache");
        if (status) return status;
        return plan->angles == ROPEROT_ANGLES_F32 ? fill_f32(plan) : fill_exact(plan);
    }
    plan->cache_bytes = factor_bytes(plan->pairs, plan->max_positions);
    status = check_memory(plan->cache_bytes, "a FACTORED cache");
    return status ? status : build_factors(plan);
}

void roperot_cache_free(roperot_plan *plan)
{
    free_factors(plan);
    free(plan->owned[0]);
    free(plan->owned[1]);
}
