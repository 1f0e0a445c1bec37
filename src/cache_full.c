/* SPDX-License-Identifier: MIT
 * Building full tables, from factors or with PyTorch's float32 angles; it must not know borrowed tables. */
#include "cache_full.h"

#include <stddef.h>

#include "cache_factors.h"
#include "memory.h"
#include "numbers.h"
#include "status.h"

/* Floats from row to row: rows start at cache lines. */
static int64_t row_stride(int32_t pairs)
{
    return (2 * (int64_t)pairs + 15) / 16 * 16;
}

int64_t roperot_full_bytes(int32_t pairs, int64_t n)
{
    return roperot_saturating_mul(n, row_stride(pairs) * (int64_t)sizeof(float));
}

int64_t roperot_full_cache_bytes(const roperot_plan *plan)
{
    const int64_t rows = roperot_full_bytes(plan->pairs, plan->max_positions);
    if (plan->attention_factor == 1.0) return rows;
    return roperot_saturating_add(
        rows, plan->angles == ROPEROT_ANGLES_F32 ? rows : roperot_factors_bytes(plan->pairs, plan->max_positions));
}

float *roperot_full_allocate(roperot_plan *plan, int slot, roperot_row_table *table)
{
    const int64_t heads = roperot_plan_row_heads(plan), rows = roperot_saturating_mul(plan->max_positions, heads);
    const int64_t bytes = roperot_full_bytes(plan->pairs, rows), row = row_stride(plan->pairs);
    float *const data = roperot_memory_allocate(bytes);
    if (!data) {
        roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for %lld bytes of cos/sin rows", (long long)bytes);
        return NULL;
    }
    plan->owned[slot] = data;
    plan->cache_bytes += bytes;
    table->cos = data;
    table->sin = data + plan->pairs;
    table->stride = heads * row;
    table->head_stride = plan->heads ? row : 0;
    /* The padding is never used; it is zero so that a row can be hashed or written to a file. */
    for (int64_t i = 0; i < rows && row > 2 * plan->pairs; i++)
        for (int64_t j = 2 * plan->pairs; j < row; j++) data[i * row + j] = 0.0f;
    return data;
}

/* ---- exact angles ------------------------------------------------------------------------------------------------ */

/* The rows whose level-0 entries are [begin, end). */
static void fill_block(const roperot_plan *plan, float *data, int64_t begin, int64_t end)
{
    const int64_t stride = plan->rows.stride;
    const int stream =
        roperot_full_bytes(plan->pairs, plan->max_positions) > plan->far_bytes; /* it cannot stay in the cache */
    for (int64_t p = begin; p < plan->max_positions; p += ROPEROT_FACTOR_RUN) {
        const int64_t left = plan->max_positions - p, count = end - begin < left ? end - begin : left;
        const double *f[ROPEROT_LEVELS];
        roperot_factors_of(plan, p, 0, f);
        plan->kernels->combine_rows(data + p * stride, stride, f, plan->pairs, count, plan->attention_factor, stream);
    }
}

/* Level-0 entries are made in blocks that fit the first-level cache, and each block is multiplied with every higher
 * entry. In order of positions, all 2 MiB of them (64 pairs) would be read again from beyond that cache for every
 * higher entry. */
static int32_t build_exact(roperot_plan *plan)
{
    enum { BLOCK_BYTES = 8 << 10 };
    const int32_t status = roperot_factors_build_high(plan);
    if (status) return status;
    float *const data = roperot_full_allocate(plan, 0, &plan->rows);
    if (!data) return ROPEROT_ERROR_MEMORY;
    const int64_t entries = roperot_factors_low_entries(plan);
    const int64_t fit = BLOCK_BYTES / (2 * plan->pairs * (int64_t)sizeof(double)), block = fit > 0 ? fit : 1;
    for (int64_t begin = 0; begin < entries; begin += block) {
        const int64_t end = begin + block < entries ? begin + block : entries;
        roperot_factors_fill_low(plan, begin, end);
        fill_block(plan, data, begin, end);
    }
    plan->kernels->fence();
    if (plan->attention_factor == 1.0) {
        plan->pure = plan->rows;
        roperot_factors_free(plan);
    } else {
        plan->cache_bytes += roperot_factors_bytes(plan->pairs, plan->max_positions);
    }
    return ROPEROT_OK;
}

/* ---- float32 angles ---------------------------------------------------------------------------------------------- */

static int32_t build_f32(roperot_plan *plan)
{
    const float factors[2] = { (float)plan->attention_factor, 1.0f };
    roperot_row_table *const tables[2] = { &plan->rows, &plan->pure };
    for (int i = 0; i < (plan->attention_factor == 1.0 ? 1 : 2); i++) {
        float *const data = roperot_full_allocate(plan, i, tables[i]);
        if (!data) return ROPEROT_ERROR_MEMORY;
        for (int64_t p = 0; p < plan->max_positions; p++) {
            float *const row = data + p * tables[i]->stride;
            plan->kernels->angles_f32(row, row + plan->pairs, (float)p, plan->inv_freq, plan->pairs, factors[i]);
        }
    }
    if (plan->attention_factor == 1.0) plan->pure = plan->rows;
    return ROPEROT_OK;
}

int32_t roperot_full_build(roperot_plan *plan)
{
    return plan->angles == ROPEROT_ANGLES_F32 ? build_f32(plan) : build_exact(plan);
}

void roperot_full_free(roperot_plan *plan)
{
    for (int slot = 0; slot < 2; slot++) roperot_memory_free(plan->owned[slot]);
}
