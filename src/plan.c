/* SPDX-License-Identifier: MIT
 * Plans: checking a config, creating, describing, destroying; it must not know tensors or positions. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cache.h"
#include "cpu.h"
#include "fpenv.h"
#include "plan.h"
#include "rows.h"
#include "status.h"

enum { MOST_CHANNELS = 65536, MOST_AXES = 4 };
static const double most_frequency = 65536.0;

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int32_t bad(const char *field, long long value, const char *allowed)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.%s is %lld; it must be %s", field, value, allowed);
}

static int32_t check_geometry(const roperot_config *c)
{
    if (c->head_dim < 2 || c->head_dim > MOST_CHANNELS) return bad("head_dim", c->head_dim, "2 .. 65536");
    if (c->rotary_dim == 0 && c->head_dim % 2) return bad("head_dim", c->head_dim, "even, unless rotary_dim is given");
    const int64_t rotary_dim = c->rotary_dim ? c->rotary_dim : c->head_dim;
    if (rotary_dim < 2 || rotary_dim % 2) return bad("rotary_dim", rotary_dim, "even and at least 2 (0 = head_dim)");
    if (c->rotary_offset < 0 || c->rotary_offset % 2)
        return bad("rotary_offset", c->rotary_offset, "even and at least 0");
    if (c->rotary_offset + rotary_dim > c->head_dim)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.rotary_offset %d + rotary_dim %lld must be at most head_dim, %d", c->rotary_offset,
                            (long long)rotary_dim, c->head_dim);
    return ROPEROT_OK;
}

static int32_t check_enums(const roperot_config *c)
{
    if (c->pairing != ROPEROT_PAIR_HALF && c->pairing != ROPEROT_PAIR_INTERLEAVED)
        return bad("pairing", c->pairing, "1 (half) or 2 (interleaved)");
    if (c->pairing_out < 0 || c->pairing_out > ROPEROT_PAIR_INTERLEAVED)
        return bad("pairing_out", c->pairing_out, "0 (= pairing), 1 (half) or 2 (interleaved)");
    if (c->angles < ROPEROT_ANGLES_EXACT || c->angles > ROPEROT_ANGLES_F32)
        return bad("angles", c->angles, "0 (exact) or 1 (f32)");
    if (c->cache < ROPEROT_CACHE_AUTO || c->cache > ROPEROT_CACHE_BORROWED)
        return bad("cache", c->cache, "0 (auto), 1 (full), 2 (factored) or 3 (borrowed)");
    if (c->bounds < ROPEROT_BOUNDS_ERROR || c->bounds > ROPEROT_BOUNDS_CLAMP)
        return bad("bounds", c->bounds, "0 (error), 1 (identity) or 2 (clamp)");
    if (c->axes < 0 || c->axes > MOST_AXES) return bad("axes", c->axes, "1 .. 4 (0 = 1)");
    return ROPEROT_OK;
}

static int32_t check_axis(const roperot_config *c, int32_t pairs)
{
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
    if (!isfinite(c->attention_factor) || c->attention_factor <= 0.0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.attention_factor is %g; it must be finite and > 0",
                            c->attention_factor);
    if (!borrowed && !c->inv_freq && (!isfinite(c->base) || c->base <= 0.0))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config.base is %g; it must be finite and > 0", c->base);
    if ((c->inv_freq || c->axis) ? c->pairs != pairs : c->pairs != 0 && c->pairs != pairs)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "config.pairs is %d; with inv_freq or axis it must be rotary_dim / 2 = %d", c->pairs,
                            pairs);
    for (int32_t j = 0; c->inv_freq && j < pairs && !borrowed; j++)
        if (!(fabs(c->inv_freq[j]) <= most_frequency))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "config.inv_freq[%d] is %g; it must be finite and within 65536 of 0", j,
                                c->inv_freq[j]);
    return check_axis(c, pairs);
}

static int32_t check_config(const roperot_config *config)
{
    int32_t status = roperot_check_size(config, sizeof *config, sizeof *config, "config");
    if (!status) status = check_geometry(config);
    if (!status) status = check_enums(config);
    if (!status && config->table)
        status = roperot_check_size(config->table, sizeof *config->table, sizeof *config->table, "config.table");
    if (!status) status = check_frequencies(config, (config->rotary_dim ? config->rotary_dim : config->head_dim) / 2);
    return status;
}

/* ---- building ---------------------------------------------------------------------------------------------------- */

static int32_t choose_kernels(roperot_plan *plan, int32_t isa)
{
    plan->kernels = roperot_kernels_for(isa);
    if (!plan->kernels)
        return roperot_fail(ROPEROT_ERROR_ISA, "config.isa is %d (%s): %s; %s", isa,
                            roperot_isa_name(isa) ? roperot_isa_name(isa) : "unknown", roperot_isa_reason(isa),
                            isa == ROPEROT_ISA_AUTO ? "the variable must name a usable one"
                                                    : "it must be 0 (auto) or a usable one");
    for (int s = 0; s < ROPEROT_DTYPES; s++)
        for (int d = 0; d < ROPEROT_DTYPES; d++) {
            roperot_rotate_fn *const(*const fn)[ROPEROT_PAIRINGS] = plan->kernels->rotate[s][d];
            plan->rotate[s][d] = fn[plan->pairing - 1][plan->pairing_out - 1];
            plan->rotate_back[s][d] = fn[plan->pairing_out - 1][plan->pairing - 1];
        }
    roperot_machine machine;
    roperot_machine_describe(&machine);
    plan->near_bytes = machine.core_cache / 2;
    plan->cpus = machine.cpus;
    plan->far_bytes = machine.core_cache + machine.core_cache / 2;
    return ROPEROT_OK;
}

static int32_t set_frequencies(roperot_plan *plan, const roperot_config *config)
{
    if (config->table) return ROPEROT_OK;
    plan->inv_freq = malloc((size_t)plan->pairs * sizeof *plan->inv_freq);
    if (!plan->inv_freq) return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for %d frequencies", plan->pairs);
    if (!config->inv_freq) {
        const int32_t status =
            roperot_frequencies(NULL, plan->rotary_dim, config->base, plan->inv_freq, plan->pairs, NULL);
        if (status) return status;
    }
    for (int32_t j = 0; j < plan->pairs; j++) {
        /* + 0.0 turns -0 into +0, so that no table has to tell them apart. */
        plan->inv_freq[j] = (config->inv_freq ? config->inv_freq[j] : plan->inv_freq[j]) + 0.0;
        if (!(fabs(plan->inv_freq[j]) <= most_frequency))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "config.base is %g, which makes frequency %d %g; at most 65536 is allowed",
                                config->base, j, plan->inv_freq[j]);
    }
    return ROPEROT_OK;
}

static int32_t set_axes(roperot_plan *plan, const roperot_config *config)
{
    if (plan->axes == 1) return ROPEROT_OK;
    plan->axis = malloc((size_t)plan->pairs);
    plan->masks = roperot_table_allocate(2 * (int64_t)plan->axes * plan->pairs * (int64_t)sizeof *plan->masks);
    if (!plan->axis || !plan->masks)
        return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for an axis map of %d pairs", plan->pairs);
    memcpy(plan->axis, config->axis, (size_t)plan->pairs);
    uint32_t *mask = plan->masks;
    for (int32_t a = 0; a < plan->axes; a++)
        for (int32_t inverse = 0; inverse < 2; inverse++, mask += plan->pairs)
            for (int32_t j = 0; j < plan->pairs; j++) mask[j] = (config->axis[j] == a) != inverse ? UINT32_MAX : 0;
    return ROPEROT_OK;
}

static ROPEROT_NOINLINE int32_t fill(roperot_plan *plan, const roperot_config *config)
{
    plan->head_dim = config->head_dim;
    plan->rotary_dim = config->rotary_dim ? config->rotary_dim : config->head_dim;
    plan->rotary_offset = config->rotary_offset;
    plan->pairing = config->pairing;
    plan->pairing_out = config->pairing_out ? config->pairing_out : config->pairing;
    plan->pairs = plan->rotary_dim / 2;
    plan->axes = config->axes ? config->axes : 1;
    plan->angles = config->angles;
    plan->bounds = config->bounds;
    plan->attention_factor = config->attention_factor;
    int32_t status = choose_kernels(plan, config->isa);
    if (!status) status = set_frequencies(plan, config);
    if (!status) status = set_axes(plan, config);
    if (!status) status = roperot_cache_build(plan, config);
    const int32_t block = ROPEROT_SCRATCH_FLOATS / 2, computed = plan->cache == ROPEROT_CACHE_FACTORED;
    plan->tile_tokens =
        computed && block / plan->pairs < ROPEROT_TILE_TOKENS ? block / plan->pairs : ROPEROT_TILE_TOKENS;
    plan->plain = plan->bounds == ROPEROT_BOUNDS_ERROR && plan->pairing_out == plan->pairing &&
                  (!computed || plan->pairs <= block);
    return status;
}

int32_t roperot_plan_create(const roperot_config *config, roperot_plan **plan)
{
    if (!plan) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL; it must point to where the plan goes");
    *plan = NULL;
    if (!config) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "config is NULL; it must point to a roperot_config");
    int32_t status = check_config(config);
    if (status) return status;
    roperot_plan *const made = calloc(1, sizeof *made);
    if (!made) return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for a plan");
    roperot_fpenv saved;
    roperot_fpenv_enter(&saved);
    status = fill(made, config);
    roperot_fpenv_leave(&saved);
    if (status)
        roperot_plan_destroy(made);
    else
        *plan = made;
    return status;
}

void roperot_plan_destroy(roperot_plan *plan)
{
    if (!plan) return;
    roperot_cache_free(plan);
    free(plan->inv_freq);
    free(plan->axis);
    free(plan->masks);
    free(plan);
}

/* ---- describing -------------------------------------------------------------------------------------------------- */

/* "rotate_<dtype>_<pairing>[_to_<pairing_out>]_<isa>": op, dtype, isa, in that order. */
static const char *kernel_name(const roperot_plan *plan, int dtype)
{
#define PAIRINGS(dtype, isa)                                                                                           \
    {                                                                                                                  \
        { "rotate_" #dtype "_half_" #isa, "rotate_" #dtype "_half_to_interleaved_" #isa },                             \
        {                                                                                                              \
            "rotate_" #dtype "_interleaved_to_half_" #isa, "rotate_" #dtype "_interleaved_" #isa                       \
        }                                                                                                              \
    }
#define NAMES(isa, ISA)                                                                                                \
    [ROPEROT_ISA_##ISA - ROPEROT_ISA_SCALAR] = { PAIRINGS(f32, isa), PAIRINGS(f16, isa), PAIRINGS(bf16, isa) },
    static const char *const names[][ROPEROT_DTYPES][ROPEROT_PAIRINGS][ROPEROT_PAIRINGS] = { ROPEROT_ISA_LIST(NAMES) };
#undef NAMES
#undef PAIRINGS
    return names[plan->kernels->isa - ROPEROT_ISA_SCALAR][dtype][plan->pairing - 1][plan->pairing_out - 1];
}

int32_t roperot_plan_describe(const roperot_plan *plan, roperot_plan_info *info)
{
    if (!plan)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL; it must be one that roperot_plan_create made");
    if (!info) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "info is NULL; it must point to a roperot_plan_info");
    const int32_t status = roperot_check_size(info, sizeof *info, sizeof *info, "info");
    if (status) return status;
    const uint32_t size = info->size;
    *info = (roperot_plan_info){
        .size = size,
        .isa = plan->kernels->isa,
        .head_dim = plan->head_dim,
        .rotary_dim = plan->rotary_dim,
        .rotary_offset = plan->rotary_offset,
        .pairing = plan->pairing,
        .pairing_out = plan->pairing_out,
        .pairs = plan->pairs,
        .axes = plan->axes,
        .angles = plan->angles,
        .cache = plan->cache,
        .bounds = plan->bounds,
        .max_positions = plan->max_positions,
        .cache_bytes = plan->cache_bytes,
        .attention_factor = plan->attention_factor,
        .inv_freq = plan->inv_freq,
        .axis = plan->axis,
        .kernel = { kernel_name(plan, 0), kernel_name(plan, 1), kernel_name(plan, 2) },
    };
    return ROPEROT_OK;
}
