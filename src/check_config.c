/* SPDX-License-Identifier: MIT
 * Everything that can be said about a config before anything is built; it must not know plans, caches or kernels. */
#include "check_config.h"

#include <float.h>
#include <math.h>
#include <stddef.h>
#include <string.h>

#include "bounds.h"
#include "status.h"
#include "table.h"

static int32_t field_error(const char *field, int64_t value, const char *allowed)
{
    return roperot_field_error("config", field, value, allowed);
}

static int32_t check_geometry(const roperot_config *c)
{
    if (c->head_dim < 2 || c->head_dim > ROPEROT_MAX_CHANNELS)
        return field_error("head_dim", c->head_dim, "2 .. 65536");
    if (c->rotary_dim == 0 && c->head_dim % 2)
        return field_error("head_dim", c->head_dim, "even, unless rotary_dim is given");
    const int64_t rotary_dim = c->rotary_dim ? c->rotary_dim : c->head_dim;
    if (rotary_dim < 2 || rotary_dim % 2)
        return field_error("rotary_dim", rotary_dim, "even and at least 2 (0 = head_dim)");
    if (c->rotary_offset < 0 || c->rotary_offset % 2)
        return field_error("rotary_offset", c->rotary_offset, "even and at least 0");
    if (c->rotary_offset + rotary_dim > c->head_dim)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.rotary_offset %d + rotary_dim %lld must be at most head_dim, %d", c->rotary_offset,
                            (long long)rotary_dim, c->head_dim);
    return ROPEROT_OK;
}

static int32_t check_enums(const roperot_config *c)
{
    if (c->pairing != ROPEROT_PAIR_HALF && c->pairing != ROPEROT_PAIR_INTERLEAVED)
        return field_error("pairing", c->pairing, "1 (half) or 2 (interleaved)");
    if (c->pairing_out < 0 || c->pairing_out > ROPEROT_PAIR_INTERLEAVED)
        return field_error("pairing_out", c->pairing_out, "0 (= pairing), 1 (half) or 2 (interleaved)");
    if (c->angles < ROPEROT_ANGLES_EXACT || c->angles > ROPEROT_ANGLES_F32)
        return field_error("angles", c->angles, "0 (exact) or 1 (f32)");
    if (c->cache < ROPEROT_CACHE_AUTO || c->cache > ROPEROT_CACHE_NONE)
        return field_error("cache", c->cache, "0 (auto), 1 (full), 2 (factored), 3 (borrowed) or 4 (none)");
    if (c->bounds < ROPEROT_BOUNDS_ERROR || c->bounds > ROPEROT_BOUNDS_CLAMP)
        return field_error("bounds", c->bounds, "0 (error), 1 (identity) or 2 (clamp)");
    if (c->axes < 0 || c->axes > ROPEROT_MAX_AXES) return field_error("axes", c->axes, "1 .. 4 (0 = 1)");
    if (c->arithmetic < ROPEROT_ARITHMETIC_F32 || c->arithmetic > ROPEROT_ARITHMETIC_EAGER)
        return field_error("arithmetic", c->arithmetic, "0 (f32) or 1 (eager)");
    if (c->frequencies < ROPEROT_FREQUENCIES_PER_PAIR || c->frequencies > ROPEROT_FREQUENCIES_MIXED)
        return field_error("frequencies", c->frequencies, "0 (per pair) or 1 (mixed)");
    if (!roperot_isa_name(c->isa))
        return roperot_fail(ROPEROT_ERROR_ISA, "config.isa is %d; it must be 0 (auto) or a usable ISA", c->isa);
    return ROPEROT_OK;
}

static int is_mixed(const roperot_config *c)
{
    return c->frequencies == ROPEROT_FREQUENCIES_MIXED;
}

static int32_t check_axis(const roperot_config *c, int32_t pairs)
{
    if (is_mixed(c)) return ROPEROT_OK;
    if (c->axes > 1 && !c->axis)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.axis is NULL; %d axes need an axis map", c->axes);
    for (int32_t j = 0; c->axis && j < pairs; j++)
        if (c->axis[j] >= (c->axes ? c->axes : 1))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.axis[%d] is %d; it must be below axes, %d", j,
                                c->axis[j], c->axes ? c->axes : 1);
    return ROPEROT_OK;
}

static int32_t check_frequencies(const roperot_config *c, int32_t pairs)
{
    const int borrowed = c->table != NULL;
    if (!(c->attention_factor > 0.0 && c->attention_factor <= (double)FLT_MAX))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.attention_factor is %g; it must be > 0 and finite as f32",
                            c->attention_factor);
    if (!borrowed && !c->inv_freq && (!isfinite(c->base) || c->base <= 0.0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.base is %g; it must be finite and > 0", c->base);
    if ((c->inv_freq || c->axis) ? c->pairs != pairs : c->pairs != 0 && c->pairs != pairs)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.pairs is %d; with inv_freq or axis it must be rotary_dim / 2 = %d", c->pairs,
                            pairs);
    const int32_t count = is_mixed(c) && c->axes ? c->axes * pairs : pairs;
    for (int32_t j = 0; c->inv_freq && j < count && !borrowed; j++)
        if (!(fabs(c->inv_freq[j]) <= ROPEROT_MAX_FREQUENCY))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "config.inv_freq[%d] is %g; it must be finite and within 65536 of 0", j,
                                c->inv_freq[j]);
    return check_axis(c, pairs);
}

/* Mixed frequencies have neither an axis per pair nor a row per position. */
static int32_t check_mixed(const roperot_config *c)
{
    if (!is_mixed(c)) {
        if (c->cache != ROPEROT_CACHE_NONE) return ROPEROT_OK;
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.cache is 4 (none); it needs mixed frequencies");
    }
    if (c->table)
        return roperot_fail(
            ROPEROT_ERROR_ARGUMENT,
            "config.table is set with mixed frequencies; it must be NULL, since rows go by one position");
    if (!c->inv_freq)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.inv_freq is NULL; mixed frequencies must be given, axes * pairs of them");
    if (c->axis)
        return roperot_fail(
            ROPEROT_ERROR_ARGUMENT,
            "config.axis is set with mixed frequencies; it must be NULL, since every pair has all axes");
    if (c->angles != ROPEROT_ANGLES_EXACT)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.angles is %d with mixed frequencies; it must be 0 (exact)",
                            c->angles);
    if (c->cache != ROPEROT_CACHE_AUTO && c->cache != ROPEROT_CACHE_NONE)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.cache is %d with mixed frequencies; it must be 0 (auto) or 4 (none)", c->cache);
    return ROPEROT_OK;
}

/* The combinations of cache, angles, max_positions and table that make no sense. */
static int32_t check_combination(const roperot_config *c)
{
    const int f32 = c->angles == ROPEROT_ANGLES_F32;
    if (c->table && (c->cache == ROPEROT_CACHE_FULL || c->cache == ROPEROT_CACHE_FACTORED))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.cache is %d with a table; it must be AUTO or BORROWED",
                            c->cache);
    if (!c->table && c->cache == ROPEROT_CACHE_BORROWED)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.table is NULL; the BORROWED cache needs one");
    if (c->table) return ROPEROT_OK;
    if (f32 && c->cache == ROPEROT_CACHE_FACTORED)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.cache is FACTORED with F32 angles; they need FULL or BORROWED");
    if (c->max_positions == 0 && (f32 || c->cache == ROPEROT_CACHE_FULL))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.max_positions is 0; %s must be told how many positions (1 .. 2^31)",
                            f32 ? "F32 angles" : "a FULL cache");
    return ROPEROT_OK;
}

/* What a table must have before it can be borrowed for all positions. */
static int32_t check_table(const roperot_config *c, int32_t pairs)
{
    const roperot_table *const table = c->table;
    if (!table) return ROPEROT_OK;
    if (table->rows < 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "config.table.rows is %lld; it must be at least 1",
                            (long long)table->rows);
    if (c->max_positions > table->rows)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.table has %lld rows; max_positions %lld needs as many",
                            (long long)table->rows, (long long)c->max_positions);
    const int64_t all = table->rows < ROPEROT_MAX_POSITIONS ? table->rows : ROPEROT_MAX_POSITIONS;
    return roperot_table_check(table, pairs, c->max_positions ? c->max_positions : all, "config.table");
}

static int32_t check_max_positions(const roperot_config *c)
{
    if (c->max_positions >= 0 && c->max_positions <= ROPEROT_MAX_POSITIONS) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.max_positions is %lld; it must be 0 (= 2^31) or 1 .. 2^31",
                        (long long)c->max_positions);
}

int32_t roperot_read_config(const roperot_config *config, roperot_config *full, roperot_table *table)
{
    const uint32_t first = offsetof(roperot_config, arithmetic);
    const int32_t status = roperot_check_size(config, first, sizeof *full, "config");
    if (status) return status;
    memset(full, 0, sizeof *full);
    memcpy(full, config, config->size < sizeof *full ? config->size : sizeof *full);
    full->size = sizeof *full;
    if (!full->table) return ROPEROT_OK;
    full->table = table;
    return roperot_table_read(config->table, table, "config.table");
}

int32_t roperot_check_config(const roperot_config *config)
{
    int32_t status = check_geometry(config);
    if (!status) status = check_enums(config);
    if (status) return status;
    const int32_t pairs = (config->rotary_dim ? config->rotary_dim : config->head_dim) / 2;
    status = check_mixed(config);
    if (!status) status = check_frequencies(config, pairs);
    if (!status) status = check_max_positions(config);
    if (!status) status = check_combination(config);
    return status ? status : check_table(config, pairs);
}
