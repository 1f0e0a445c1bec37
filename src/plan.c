/* SPDX-License-Identifier: MIT
 * Plans: creating, describing, destroying; it must not know tensors or positions. */
#include <math.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bounds.h"
#include "cache.h"
#include "check_config.h"
#include "coefficient_rows.h"
#include "config_key.h"
#include "dispatch.h"
#include "fpenv.h"
#include "lists.h"
#include "machine.h"
#include "memory.h"
#include "plan.h"
#include "status.h"
#include "task.h"

/* ---- building ---------------------------------------------------------------------------------------------------- */

/* rotate_[eager_]<src>[_to_<dst>]_<pairing>[_to_<pairing_out>]_<isa>. */
static void name_kernel(roperot_plan *plan, int src, int dst)
{
#define NAME(name, NAME)              #name,
#define DTYPE_NAME(name, NAME, bytes) #name,
    static const char dtypes[][8] = { ROPEROT_DTYPE_LIST(DTYPE_NAME) };
    static const char pairings[][16] = { ROPEROT_PAIRING_LIST(NAME) };
#undef DTYPE_NAME
#undef NAME
    const int in = roperot_pairing_index(plan->pairing), out = roperot_pairing_index(plan->pairing_out);
    snprintf(plan->kernel_name[src][dst], sizeof plan->kernel_name[src][dst], "rotate_%s%s%s%s_%s%s%s_%s",
             plan->arithmetic == ROPEROT_ARITHMETIC_EAGER && src != ROPEROT_INDEX_f32 ? "eager_" : "", dtypes[src],
             src == dst ? "" : "_to_", src == dst ? "" : dtypes[dst], pairings[in], in == out ? "" : "_to_",
             in == out ? "" : pairings[out], plan->kernels->name);
}

/* Calls up to this size are walked by columns: half of a core's own cache. Where that has at most 1 MiB and the last
 * level is large, near and shared by few (Zen 2 to 5: 4 MiB a core or more), columns stay ahead up to there. The Xeon
 * that was measured has 2 MiB of its own (table in docs/kernels.md). */
static int64_t near_bytes(const roperot_machine *machine)
{
    enum { SMALL_CORE_CACHE = 1 << 20, LARGE_SHARE = 4 << 20 };
    const int leans_on_last = machine->core_cache <= SMALL_CORE_CACHE && machine->last_cache >= LARGE_SHARE;
    return leans_on_last ? LARGE_SHARE : machine->core_cache / 2;
}

/* Eager arithmetic is that of one 16-bit dtype: there are no conversions from it. */
static roperot_rotate_fn *const (*kernels_between(const roperot_plan *plan, int s, int d))[ROPEROT_PAIRINGS]
{
    if (plan->arithmetic == ROPEROT_ARITHMETIC_F32 || s == ROPEROT_INDEX_f32) return plan->kernels->rotate[s][d];
    return s == d ? plan->kernels->eager[s][d] : NULL;
}

static int32_t choose_kernels(roperot_plan *plan, int32_t isa)
{
    plan->kernels = roperot_kernels_for(isa);
    if (!plan->kernels)
        return roperot_fail(
            ROPEROT_ERROR_ISA, "config.isa is %d (%s): %s; %s", isa, roperot_isa_name(isa), roperot_isa_reason(isa),
            isa == ROPEROT_ISA_AUTO ? "the variable must name a usable one" : "it must be 0 (auto) or a usable one");
    const int in = roperot_pairing_index(plan->pairing), out = roperot_pairing_index(plan->pairing_out);
    for (int s = 0; s < ROPEROT_DTYPES; s++)
        for (int d = 0; d < ROPEROT_DTYPES; d++) {
            roperot_rotate_fn *const(*const own)[ROPEROT_PAIRINGS] = kernels_between(plan, s, d);
            plan->rotate[s][d] = own ? own[in][out] : NULL;
            plan->rotate_back[s][d] = own ? own[out][in] : NULL;
            if (plan->rotate[s][d]) name_kernel(plan, s, d);
        }
    roperot_machine machine;
    roperot_machine_describe(&machine);
    plan->near_bytes = near_bytes(&machine);
    plan->cpus = machine.cpus;
    plan->far_bytes = machine.core_cache + machine.core_cache / 2;
    return ROPEROT_OK;
}

static int32_t set_frequencies(roperot_plan *plan, const roperot_config *config)
{
    if (config->table) return ROPEROT_OK;
    const int32_t count = plan->mixed ? plan->axes * plan->pairs : plan->pairs;
    plan->inv_freq = malloc((size_t)count * sizeof *plan->inv_freq);
    if (!plan->inv_freq) return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for %d frequencies", count);
    if (!config->inv_freq) {
        const int32_t status =
            roperot_frequencies(NULL, plan->rotary_dim, config->base, plan->inv_freq, plan->pairs, NULL);
        if (status) return status;
    }
    for (int32_t j = 0; j < count; j++) {
        /* + 0.0 turns -0 into +0, so that no table has to tell them apart. */
        plan->inv_freq[j] = (config->inv_freq ? config->inv_freq[j] : plan->inv_freq[j]) + 0.0;
        if (!(fabs(plan->inv_freq[j]) <= ROPEROT_MAX_FREQUENCY))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "config.base is %g, which makes frequency %d %g; at most 65536 is allowed",
                                config->base, j, plan->inv_freq[j]);
    }
    return ROPEROT_OK;
}

static int32_t set_axes(roperot_plan *plan, const roperot_config *config)
{
    if (plan->axes == 1 || plan->mixed) return ROPEROT_OK;
    plan->axis = malloc((size_t)plan->pairs);
    plan->masks = roperot_memory_allocate(2 * (int64_t)plan->axes * plan->pairs * (int64_t)sizeof *plan->masks);
    if (!plan->axis || !plan->masks)
        return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for an axis map of %d pairs", plan->pairs);
    memcpy(plan->axis, config->axis, (size_t)plan->pairs);
    uint32_t *mask = plan->masks;
    for (int32_t a = 0; a < plan->axes; a++)
        for (int32_t inverse = 0; inverse < 2; inverse++, mask += plan->pairs)
            for (int32_t j = 0; j < plan->pairs; j++) mask[j] = (config->axis[j] == a) != inverse ? UINT32_MAX : 0;
    return ROPEROT_OK;
}

static void remember(roperot_plan *plan, const roperot_config *config)
{
    roperot_config_key(config, &plan->asked);
    if (plan->asked.inv_freq) plan->asked.inv_freq = plan->inv_freq;
    if (plan->asked.axis) plan->asked.axis = plan->axis;
    if (!config->table) return;
    plan->asked_table = *config->table;
    plan->asked.table = &plan->asked_table;
}

/* Where rows are made of factors, and fit a walk's own scratch as a whole. */
static void set_scratch(roperot_plan *plan)
{
    static atomic_uint plans;
    const int64_t row = 2 * (int64_t)plan->pairs * (int64_t)sizeof(float);
    plan->serial = atomic_fetch_add_explicit(&plans, 1, memory_order_relaxed);
    if (!plan->level[0] || plan->pairs > ROPEROT_SCRATCH_FLOATS / 2) return;
    plan->scratch_bytes = (int64_t)sizeof(roperot_kept_row) + row;
}

/* The kernel that norms heads of a dtype and rotates them by rows of this plan, if there is one. */
static void set_turned(roperot_plan *plan, int dtype)
{
    const roperot_turned_norm *const t = roperot_turned_norm_of(plan->kernels, dtype);
    const int half = plan->pairing == ROPEROT_PAIR_HALF && plan->pairing_out == ROPEROT_PAIR_HALF;
    const int plain = plan->arithmetic == ROPEROT_ARITHMETIC_F32 && !plan->heads;
    if (!t->norm || !half || !plain || (plan->rotary_offset | plan->pairs) % t->multiple) return;
    if (t->is_whole && plan->rotary_dim != plan->head_dim) return;
    plan->turned[dtype] = t->norm;
    plan->turned_weights[dtype] = t->weights ? t->weights : plan->kernels->heads.norm_weights[dtype];
    plan->turned_heads[dtype] = t->together;
}

/* What a call on the fast path may be, and the norms of its jobs. */
static void set_fast_path(roperot_plan *plan)
{
    const roperot_head_kernels *const heads = &plan->kernels->heads;
    const int32_t block = ROPEROT_SCRATCH_FLOATS / 2, computed = plan->cache == ROPEROT_CACHE_FACTORED;
    const int32_t fit = computed ? block / plan->pairs : ROPEROT_TILE_TOKENS;
    const int is_fast = plan->pairing_out == plan->pairing && fit > 0 && !plan->heads && !plan->mixed;
    plan->tile_tokens = (uint16_t)(fit < ROPEROT_TILE_TOKENS ? fit : ROPEROT_TILE_TOKENS);
    plan->fast = is_fast ? ROPEROT_FAST_IN_PLACE : 0;
    if (is_fast && plan->rotary_dim == plan->head_dim) plan->fast |= ROPEROT_FAST_MOVED;
    if (is_fast && (!computed || plan->pairs <= ROPEROT_PROGRAM_FLOATS / 2)) plan->fast |= ROPEROT_FAST_JOBS;
    plan->combine = plan->kernels->combine;
    for (int d = 0; d < ROPEROT_DTYPES; d++) set_turned(plan, d);
    memcpy(plan->norm, heads->norm, sizeof plan->norm);
    memcpy(plan->norm_weights, heads->norm_weights, sizeof plan->norm_weights);
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
    plan->arithmetic = config->arithmetic;
    plan->mixed = config->frequencies == ROPEROT_FREQUENCIES_MIXED;
    plan->attention_factor = config->attention_factor;
    plan->heads = config->table ? config->table->heads : 0;
    int32_t status = choose_kernels(plan, config->isa);
    if (!status) status = set_frequencies(plan, config);
    if (!status) status = set_axes(plan, config);
    if (!status) status = roperot_cache_build(plan, config);
    remember(plan, config);
    if (plan->kernels) set_fast_path(plan);
    set_scratch(plan);
    return status;
}

int32_t roperot_plan_create(const roperot_config *config, roperot_plan **plan)
{
    if (!plan) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL; it must point to where the plan goes");
    *plan = NULL;
    if (!config) return roperot_null_error("config", "roperot_config");
    roperot_config full;
    roperot_table table;
    int32_t status = roperot_read_config(config, &full, &table);
    if (!status) status = roperot_check_config(&full);
    if (status) return status;
    roperot_plan *const made = roperot_memory_allocate(sizeof *made); /* on whole lines */
    if (!made) return roperot_fail(ROPEROT_ERROR_MEMORY, "no memory for a plan");
    memset(made, 0, sizeof *made);
    roperot_fpenv saved;
    roperot_fpenv_enter(&saved);
    status = fill(made, &full);
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
    roperot_memory_free(plan->masks);
    roperot_memory_free(plan);
}

/* ---- describing -------------------------------------------------------------------------------------------------- */

int32_t roperot_plan_describe(const roperot_plan *plan, roperot_plan_info *info)
{
    if (!plan) return roperot_null_plan_error();
    if (!info) return roperot_null_error("info", "roperot_plan_info");
    const int32_t status = roperot_check_size(info, offsetof(roperot_plan_info, arithmetic), sizeof *info, "info");
    if (status) return status;
    const roperot_plan_info all = {
        .size = info->size,
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
        .arithmetic = plan->arithmetic,
        .frequencies = plan->mixed ? ROPEROT_FREQUENCIES_MIXED : ROPEROT_FREQUENCIES_PER_PAIR,
        .heads = plan->heads,
    };
    memcpy(info, &all, info->size < sizeof all ? info->size : sizeof all);
    return ROPEROT_OK;
}

const char *roperot_plan_kernel(const roperot_plan *plan, int32_t src_dtype, int32_t dst_dtype)
{
    if (!plan || !roperot_dtype_size(src_dtype) || !roperot_dtype_size(dst_dtype)) return NULL;
    const char *const name = plan->kernel_name[roperot_dtype_index(src_dtype)][roperot_dtype_index(dst_dtype)];
    return *name ? name : NULL;
}
