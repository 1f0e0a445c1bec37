/* SPDX-License-Identifier: MIT
 * Every refusal of roperot_run: status, sentence, and not one byte written; it must not know how the library checks. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/assertions.h"
#include "support/harness.h"

enum { BATCH = 2, TOKENS = 4, HEADS = 3, DIM = 32, PAGES = 5, PAGE_TOKENS = 4, LINES = BATCH * TOKENS };

/* A valid call of two jobs, k into e4m3 pages and v from pages into others, that each case spoils in one place. */
typedef struct fixture {
    float q[LINES * HEADS * DIM], k[LINES * HEADS * DIM], v[LINES * HEADS * DIM];
    unsigned char cache[3][2 * PAGES * PAGE_TOKENS * HEADS * DIM * 4];
    float scale[PAGES * PAGE_TOKENS * HEADS], weight[HEADS * DIM], factor[LINES];
    int64_t slots[LINES], source_slots[LINES];
    roperot_config config;
    roperot_tensor src, dst, values;
    roperot_norm norm;
    roperot_pages to, from, other;
    roperot_job job[2];
    roperot_positions at, *at_arg;
    roperot_options options;
    int32_t count;
} fixture;

static roperot_pages pages_of(void *data, int32_t dtype, const int64_t *slots)
{
    roperot_pages p = ROPEROT_PAGES_INIT;
    p.dtype = dtype;
    p.data = data;
    p.pages = PAGES;
    p.page_tokens = PAGE_TOKENS;
    p.head_stride = DIM;
    p.token_stride = HEADS * DIM;
    p.page_stride = PAGE_TOKENS * HEADS * DIM;
    p.slots = slots;
    p.slot_batch_stride = TOKENS;
    return p;
}

static void set_up(fixture *f)
{
    memset(f, 0, sizeof *f);
    for (int i = 0; i < LINES; i++) f->slots[i] = 2 * i, f->source_slots[i] = i;
    f->config = (roperot_config)ROPEROT_CONFIG_INIT;
    f->config.head_dim = DIM;
    f->config.max_positions = 100;
    f->src = roperot_tensor_bshd(f->q, ROPEROT_F32, BATCH, TOKENS, HEADS, DIM);
    f->dst = roperot_tensor_bshd(f->k, ROPEROT_F32, BATCH, TOKENS, HEADS, DIM);
    f->values = roperot_tensor_bshd(f->v, ROPEROT_F32, BATCH, TOKENS, HEADS, DIM);
    f->norm = (roperot_norm)ROPEROT_NORM_INIT;
    f->norm.weight = f->weight;
    f->to = pages_of(f->cache[0], ROPEROT_E4M3, f->slots);
    f->to.scaling = ROPEROT_SCALE_DYNAMIC;
    f->to.scale = f->scale;
    f->to.scale_head_stride = 1;
    f->to.scale_token_stride = HEADS;
    f->to.scale_page_stride = PAGE_TOKENS * HEADS;
    f->from = pages_of(f->cache[1], ROPEROT_BF16, f->source_slots);
    f->other = pages_of(f->cache[2], ROPEROT_F16, f->slots);
    for (int i = 0; i < 2; i++) f->job[i] = (roperot_job)ROPEROT_JOB_INIT;
    f->job[0].src = &f->src;
    f->job[0].dst = &f->dst;
    f->job[0].norm = &f->norm;
    f->job[0].to = &f->to;
    f->job[1].from = &f->from;
    f->job[1].to = &f->other;
    f->job[1].flags = ROPEROT_JOB_UNROTATED;
    f->job[1].batch = BATCH, f->job[1].tokens = TOKENS, f->job[1].heads = HEADS, f->job[1].dim = DIM;
    f->at = roperot_positions_offset(3);
    f->at_arg = &f->at;
    f->options = (roperot_options)ROPEROT_OPTIONS_INIT;
    f->count = 2;
}

/* ---- what is spoiled --------------------------------------------------------------------------------------------- */

static const float bad_scale[HEADS] = { 1.0f, 0.0f, 1.0f };

/* A table with rows for so many heads. */
static void borrow(fixture *f, int64_t heads)
{
    static float rows[2][DIM];
    static roperot_table table;
    table = (roperot_table)ROPEROT_TABLE_INIT;
    table.cos = rows[0];
    table.sin = rows[1];
    table.rows = 100;
    table.heads = heads;
    f->config.table = &table;
}

/* One job of heads above 512 channels, which are done in pieces, into q8_0 pages. */
static void store_long_heads(fixture *f, int32_t dim, int32_t rotary_dim, int32_t rotary_offset)
{
    f->config.head_dim = dim;
    f->config.rotary_dim = rotary_dim;
    f->config.rotary_offset = rotary_offset;
    f->src.shape[2] = 1, f->src.shape[3] = dim;
    f->src.stride[0] = f->src.stride[1] = 0;
    f->job[0].dst = NULL, f->job[0].norm = NULL;
    f->to = pages_of(f->cache[0], ROPEROT_Q8_0, f->slots);
    f->to.channel_stride = 0;
    f->to.token_stride = dim / 32 * 34, f->to.page_stride = PAGE_TOKENS * f->to.token_stride;
    f->count = 1;
}

#define SPOIL(name, statement)                                                                                         \
    static void name(fixture *f)                                                                                       \
    {                                                                                                                  \
        statement                                                                                                      \
    }
SPOIL(flags, f->job[0].flags = 8;)
SPOIL(neither_source, f->job[0].src = NULL;)
SPOIL(both_sources, f->job[0].from = &f->from;)
SPOIL(neither_target, f->job[0].dst = NULL; f->job[0].to = NULL;)
SPOIL(shape_and_src, f->job[0].heads = HEADS;)
SPOIL(negative_shape, f->job[1].heads = -1;)
SPOIL(other_tokens, f->job[1].tokens = TOKENS + 1;)
SPOIL(other_dim, f->job[1].flags = 0; f->job[1].dim = DIM / 2;)
SPOIL(no_dim, f->job[1].dim = 0;)
SPOIL(inverse_norm, f->options.flags = ROPEROT_INVERSE;)
SPOIL(no_positions, f->at_arg = NULL;)
SPOIL(outside, f->at.offset = 99;)
SPOIL(unknown_options, f->options.flags = 64;)
SPOIL(job_size, f->job[1].size = 8;)
SPOIL(norm_size, f->norm.size = 4;)
SPOIL(to_size, f->to.size = 5;)
SPOIL(from_size, f->from.size = 6;)
SPOIL(src_dtype, f->src.dtype = 9;)
SPOIL(dst_shape, f->dst.shape[2] = HEADS - 1;)
SPOIL(dst_dtype, f->dst.dtype = ROPEROT_I8;)
SPOIL(same_dst_flags, f->dst = f->src; f->dst.flags = 1;)
SPOIL(same_dst_reserved, f->dst = f->src; f->dst.reserved = f;)
SPOIL(same_dst_shape, f->dst = f->src; f->dst.shape[3] = DIM - 1;)
SPOIL(same_dst_stride, f->dst = f->src; f->dst.stride[3] = 5;)
SPOIL(repaired_in_place, f->config.pairing_out = ROPEROT_PAIR_INTERLEAVED; f->job[0].dst = &f->src;)
SPOIL(kind, f->norm.kind = 3;)
SPOIL(rounding, f->norm.rounding = 3;)
SPOIL(norm_flags, f->norm.flags = 8;)
SPOIL(norm_reserved, f->norm.reserved = 1;)
SPOIL(negative_epsilon, f->norm.epsilon = -1e-6;)
SPOIL(infinite_epsilon, f->norm.epsilon = INFINITY;)
SPOIL(large_epsilon, f->norm.epsilon = 1e39;)
SPOIL(nan_epsilon, f->norm.epsilon = NAN;)
SPOIL(rms_bias, f->norm.bias = f->weight;)
SPOIL(offset_of_nothing, f->norm.flags = ROPEROT_NORM_UNIT_OFFSET; f->norm.weight = NULL;)
SPOIL(weight_dtype, f->norm.weight_dtype = ROPEROT_E4M3;)
SPOIL(weight_alignment, f->norm.weight = (const char *)f->weight + 1;)
SPOIL(page_dtype, f->to.dtype = 7;)
SPOIL(page_tile, f->to.tile = 6;)
SPOIL(tile_strides, f->to.tile = ROPEROT_PAGES_AMX_K;)
SPOIL(tile_tokens, f->to.tile = ROPEROT_PAGES_AMX_K; f->to.token_stride = f->to.channel_stride = 0;)
SPOIL(no_pages, f->to.pages = 0;)
SPOIL(no_page_tokens, f->to.page_tokens = 0;)
SPOIL(too_many_pages, f->to.pages = INT64_MAX / 2;)
SPOIL(page_data, f->to.data = NULL;)
SPOIL(page_alignment, f->from.data = f->cache[1] + 1;)
SPOIL(to_alignment, f->other.data = f->cache[2] + 1;)
SPOIL(q8_channels, f->job[1].dim = 16; f->other.dtype = ROPEROT_Q8_0; f->other.channel_stride = 0;)
SPOIL(q8_stride, f->other.dtype = ROPEROT_Q8_0;)
SPOIL(q8_long_pairs, store_long_heads(f, 544, 544, 0);)
SPOIL(q8_long_offset, store_long_heads(f, 640, 512, 16);)
SPOIL(self_overlap, f->to.head_stride = DIM - 1;)
SPOIL(own_pages_meet_dst, f->to.data = f->k;)
SPOIL(own_pages_meet_slots, f->count = 1; f->to.data = f->slots;)
SPOIL(broadcast_pages, f->to.page_stride = 0;)
SPOIL(overflow, f->to.page_stride = INT64_MAX / 2;)
SPOIL(head_overflow, f->to.head_stride = INT64_MIN;)
SPOIL(tile_overflow, f->to.tile = ROPEROT_PAGES_CHUNKED; f->to.token_stride = f->to.channel_stride = 0;
      f->to.pages = 1; f->to.page_tokens = INT64_C(1) << 58;)
SPOIL(scale_overflow, f->to.scale_token_stride = INT64_MAX;)
SPOIL(slot_overflow, f->to.slot_token_stride = INT64_MAX / 4;)
SPOIL(overlapping_scales, f->to.scale_token_stride = 0;)
SPOIL(no_scale, f->to.scale = NULL;)
SPOIL(scaling, f->to.scaling = 2;)
SPOIL(scale_reserved, f->to.scale_reserved = 1;)
SPOIL(scale_floor, f->to.scale_floor = -1.0f;)
SPOIL(scale_alignment, f->to.scale = (void *)((char *)f->scale + 2);)
SPOIL(scale_of_f16, f->other.scale = f->scale;)
SPOIL(zero_scale, f->to.scaling = ROPEROT_SCALE_STATIC; f->to.scale = (float *)(uintptr_t)bad_scale;)
SPOIL(no_slots, f->to.slots = NULL;)
SPOIL(slot_type, f->to.slot_type = 3;)
SPOIL(slot_alignment, f->to.slots = (const char *)f->slots + 4;)
SPOIL(slot_outside, f->slots[LINES - 1] = PAGES * PAGE_TOKENS;)
SPOIL(source_slot_outside, f->source_slots[0] = PAGES * PAGE_TOKENS + 7;)
SPOIL(pages_meet_source, f->to.data = f->q;)
SPOIL(pages_meet_pages, f->other.data = f->cache[0] + 64;)
SPOIL(pages_meet_slots, f->to.data = f->slots;)
/* The first of the pages that are read; those behind it lie across it, as they may by themselves. */
SPOIL(first_page_of_some, f->from.page_stride = DIM; f->other = f->from; f->other.pages = 1;)
SPOIL(first_scales_of_some, f->from.dtype = ROPEROT_I8; f->from.scaling = ROPEROT_SCALE_DYNAMIC;
      f->from.scale = f->scale; f->from.scale_head_stride = f->from.scale_page_stride = 1;
      f->from.scale_token_stride = HEADS; f->other = f->from; f->other.pages = 1;
      f->job[0] = f->job[1]; f->count = 1;)
SPOIL(table_heads, borrow(f, HEADS + 4);)
SPOIL(factor_alignment, f->job[0].factor = (const void *)((const char *)f->factor + 1);)
SPOIL(factor_overflow, f->job[0].factor = f->factor; f->job[0].factor_token_stride = INT64_MAX / 4;)

typedef struct refusal {
    const char *name;
    void (*spoil)(fixture *f);
    int32_t status;
    const char *argument, *value;
} refusal;

#define REFUSE(name, status, argument, value) { #name, name, ROPEROT_ERROR_##status, argument, value },
static const refusal refusals[] = {
    /* Each has its comma in the macro. */
    /* clang-format off */
    REFUSE(table_heads, SHAPE, "jobs[0] has 3 heads", "7")
    REFUSE(flags, ARGUMENT, "jobs[0].flags", "0x8")
    REFUSE(neither_source, ARGUMENT, "jobs[0]", "neither src nor from")
    REFUSE(both_sources, ARGUMENT, "jobs[0]", "src and from")
    REFUSE(neither_target, ARGUMENT, "jobs[0]", "neither dst nor to")
    REFUSE(shape_and_src, ARGUMENT, "jobs[0]", "must be 0")
    REFUSE(negative_shape, SHAPE, "jobs[1].heads", "-1")
    REFUSE(other_tokens, SHAPE, "jobs[1]", "5 tokens")
    REFUSE(other_dim, SHAPE, "jobs[1]", "16 channels")
    REFUSE(no_dim, SHAPE, "jobs[1]", "0 channels")
    REFUSE(inverse_norm, ARGUMENT, "jobs[0]", "inverse")
    REFUSE(no_positions, ARGUMENT, "positions", "NULL")
    REFUSE(outside, POSITION, "position", "100")
    REFUSE(unknown_options, ARGUMENT, "options.flags", "0x40")
    REFUSE(job_size, VERSION, "jobs[1].size", "8")
    REFUSE(norm_size, VERSION, "jobs[0].norm.size", "4")
    REFUSE(to_size, VERSION, "jobs[0].to.size", "5")
    REFUSE(from_size, VERSION, "jobs[1].from.size", "6")
    REFUSE(src_dtype, DTYPE, "jobs[0].src.dtype", "9")
    REFUSE(dst_shape, SHAPE, "jobs[0].dst", "2")
    REFUSE(dst_dtype, DTYPE, "jobs[0].dst.dtype", "5")
    REFUSE(same_dst_flags, ARGUMENT, "jobs[0].dst.flags", "1")
    REFUSE(same_dst_reserved, VERSION, "jobs[0].dst.reserved", "NULL")
    REFUSE(same_dst_shape, SHAPE, "jobs[0].dst.shape[3]", "31")
    REFUSE(same_dst_stride, SHAPE, "jobs[0].dst.stride[3]", "5")
    REFUSE(repaired_in_place, ALIAS, "jobs[0]", "pairing_out 2")
    REFUSE(kind, ARGUMENT, "jobs[0].norm.kind", "3")
    REFUSE(rounding, ARGUMENT, "jobs[0].norm.rounding", "3")
    REFUSE(norm_flags, ARGUMENT, "jobs[0].norm.flags", "8")
    REFUSE(norm_reserved, VERSION, "jobs[0].norm.reserved", "1")
    REFUSE(negative_epsilon, ARGUMENT, "jobs[0].norm.epsilon", "-1e-06")
    REFUSE(large_epsilon, ARGUMENT, "jobs[0].norm.epsilon", "1e+39")
    REFUSE(infinite_epsilon, ARGUMENT, "jobs[0].norm.epsilon", "inf")
    REFUSE(nan_epsilon, ARGUMENT, "jobs[0].norm.epsilon", "nan")
    REFUSE(rms_bias, ARGUMENT, "jobs[0].norm.bias", "RMS")
    REFUSE(offset_of_nothing, ARGUMENT, "jobs[0].norm.weight", "NULL")
    REFUSE(weight_dtype, DTYPE, "jobs[0].norm.weight_dtype", "4")
    REFUSE(weight_alignment, ARGUMENT, "jobs[0].norm.weight", "multiples")
    REFUSE(page_dtype, DTYPE, "jobs[0].to.dtype", "7")
    REFUSE(page_tile, ARGUMENT, "jobs[0].to.tile", "6")
    REFUSE(tile_strides, ARGUMENT, "jobs[0].to.token_stride", "96")
    REFUSE(tile_tokens, SHAPE, "jobs[0].to", "4 tokens")
    REFUSE(no_pages, ARGUMENT, "jobs[0].to.pages", "0")
    REFUSE(no_page_tokens, ARGUMENT, "jobs[0].to.page_tokens", "0")
    REFUSE(too_many_pages, SHAPE, "jobs[0].to", "4 tokens")
    REFUSE(page_data, ARGUMENT, "jobs[0].to.data", "NULL")
    REFUSE(page_alignment, ARGUMENT, "jobs[1].from.data", "2 bytes")
    REFUSE(to_alignment, ARGUMENT, "jobs[1].to.data", "2 bytes")
    REFUSE(q8_channels, SHAPE, "jobs[1].to", "16 channels")
    REFUSE(q8_stride, ARGUMENT, "jobs[1].to.channel_stride", "1")
    REFUSE(q8_long_pairs, SHAPE, "jobs[0]", "= 272")
    REFUSE(q8_long_offset, SHAPE, "jobs[0]", "rotary_offset 16")
    REFUSE(self_overlap, ALIAS, "jobs[0].to", "head_stride is 31")
    REFUSE(broadcast_pages, ALIAS, "jobs[0].to", "page_stride is 0")
    REFUSE(overflow, SHAPE, "jobs[0].to.page_stride is 4611686018427387903", "address space")
    REFUSE(head_overflow, SHAPE, "jobs[0].to.head_stride is -9223372036854775808", "address space")
    REFUSE(tile_overflow, SHAPE, "jobs[0].to.page_tokens * dim is", "address space")
    REFUSE(scale_overflow, SHAPE, "jobs[0].to.scale_token_stride is 9223372036854775807", "address space")
    REFUSE(slot_overflow, SHAPE, "jobs[0].to.slot_token_stride is 2305843009213693951", "address space")
    REFUSE(overlapping_scales, ALIAS, "jobs[0].to", "scale_token_stride is 0")
    REFUSE(no_scale, ARGUMENT, "jobs[0].to.scale", "NULL")
    REFUSE(scaling, ARGUMENT, "jobs[0].to.scaling", "2")
    REFUSE(scale_reserved, VERSION, "jobs[0].to.scale_reserved", "1")
    REFUSE(scale_floor, ARGUMENT, "jobs[0].to.scale_floor", "-1")
    REFUSE(scale_alignment, ARGUMENT, "jobs[0].to.scale", "multiple of 4")
    REFUSE(scale_of_f16, ARGUMENT, "jobs[1].to", "no scales")
    REFUSE(zero_scale, ARGUMENT, "jobs[0].to.scale", "0 for head 1")
    REFUSE(no_slots, ARGUMENT, "jobs[0].to.slots", "NULL")
    REFUSE(slot_type, ARGUMENT, "jobs[0].to.slot_type", "3")
    REFUSE(slot_alignment, ARGUMENT, "jobs[0].to.slots", "alignment")
    REFUSE(slot_outside, POSITION, "jobs[0].to", "is 20")
    REFUSE(source_slot_outside, POSITION, "jobs[1].from", "is 27")
    REFUSE(pages_meet_source, ALIAS, "jobs[0].to", "jobs[0].src")
    REFUSE(pages_meet_pages, ALIAS, "jobs[1].to", "jobs[0].to")
    REFUSE(own_pages_meet_slots, ALIAS, "jobs[0].to", "jobs[0].to.slots")
    REFUSE(own_pages_meet_dst, ALIAS, "jobs[0].to", "jobs[0].dst")
    REFUSE(pages_meet_slots, ALIAS, "jobs[0].to", "slots")
    REFUSE(first_page_of_some, ALIAS, "jobs[1].to", "jobs[1].from")
    REFUSE(first_scales_of_some, ALIAS, "jobs[0].to", "jobs[0].from")
    REFUSE(factor_alignment, ARGUMENT, "jobs[0].factor", "multiple of 4")
    REFUSE(factor_overflow, SHAPE, "jobs[0].factor", "address space")
    /* clang-format on */
};

static int32_t call(fixture *f, const roperot_plan *plan)
{
    return roperot_run(plan, f->at_arg, f->job, f->count, &f->options);
}

static void refuse(const refusal *r, fixture *f)
{
    static fixture before;
    roperot_plan *const plan = expect_plan(&f->config);
    memcpy(&before, f, sizeof before);
    expect_error(call(f, plan), r->status, r->argument, r->value);
    CHECK(memcmp(&before, f, sizeof before) == 0, "something was written");
    roperot_plan_destroy(plan);
}

/* The second job as nearly every call has it: the jobs are then checked in one pass, unless something is odd. */
static void make_usual(fixture *f)
{
    roperot_job *const j = &f->job[1];
    j->from = NULL;
    j->src = &f->values;
    j->batch = j->tokens = j->heads = j->dim = 0;
}

/* In a call that is taken apart job by job, and, unless it is about what the second job is there, in a usual one. */
static void is_refused(const void *arg)
{
    static fixture f, sound;
    const refusal *const r = arg;
    set_up(&f);
    memcpy(&sound, &f, sizeof f);
    r->spoil(&f);
    refuse(r, &f);
    const int other = memcmp(f.job + 1, sound.job + 1, sizeof f.job[1]) ||
                      memcmp(&f.from, &sound.from, sizeof f.from) ||
                      memcmp(f.source_slots, sound.source_slots, sizeof f.source_slots);
    if (other) return;
    set_up(&f);
    make_usual(&f);
    r->spoil(&f);
    refuse(r, &f);
}

static void fixture_is_valid(const void *arg)
{
    (void)arg;
    static fixture f;
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    CHECK(call(&f, plan) == ROPEROT_OK, "%s", roperot_last_error());
    make_usual(&f);
    CHECK(call(&f, plan) == ROPEROT_OK, "usual: %s", roperot_last_error());
    set_up(&f);
    CHECK(roperot_run(plan, NULL, NULL, 0, NULL) == ROPEROT_OK, "no jobs");
    expect_error(roperot_run(NULL, &f.at, f.job, 2, NULL), ROPEROT_ERROR_ARGUMENT, "plan", "NULL");
    expect_error(roperot_run(plan, &f.at, NULL, 2, NULL), ROPEROT_ERROR_ARGUMENT, "jobs", "NULL");
    expect_error(roperot_run(plan, &f.at, f.job, -1, NULL), ROPEROT_ERROR_ARGUMENT, "count", "-1");
    f.job[0].src = NULL, f.job[0].from = &f.from, f.job[0].heads = 0, f.job[0].dim = DIM;
    f.job[0].batch = BATCH, f.job[0].tokens = TOKENS;
    CHECK(roperot_run(plan, &f.at, f.job, 2, NULL) == ROPEROT_OK, "no heads: %s", roperot_last_error());
    roperot_plan_destroy(plan);
}

/* One slot out of range anywhere among 4096: refused, and the pages are as they were. */
static void any_slot_is_checked(const void *arg)
{
    (void)arg;
    enum { MANY = 4096, HEAD = 16 };
    static float src[MANY * HEAD], pages[MANY * HEAD], before[MANY * HEAD];
    static int32_t slots[MANY];
    fixture *f = &(fixture){ .count = 1 };
    set_up(f);
    f->config.head_dim = HEAD;
    f->config.max_positions = MANY + 3;
    roperot_plan *const plan = expect_plan(&f->config);
    const roperot_tensor view = roperot_tensor_shd(src, ROPEROT_F32, MANY, 1, HEAD);
    roperot_pages p = ROPEROT_PAGES_INIT;
    p.data = pages;
    p.pages = MANY / 16, p.page_tokens = 16;
    p.token_stride = p.head_stride = HEAD, p.page_stride = 16 * HEAD;
    p.slot_type = 1;
    p.slots = slots;
    f->job[0] = (roperot_job)ROPEROT_JOB_INIT;
    f->job[0].src = &view;
    f->job[0].to = &p;
    for (int i = 0; i < MANY; i++) slots[i] = MANY - 1 - i;
    for (int i = 0; i < MANY * HEAD; i++) src[i] = 1.0f, pages[i] = before[i] = (float)i;
    for (int i = 0; i < MANY; i = i < 40 || i > MANY - 40 ? i + 1 : i + 1 + (int)random_below(100)) {
        const int32_t kept = slots[i];
        char value[32];
        snprintf(value, sizeof value, "token %d ", i);
        slots[i] = random_below(2) ? MANY : INT32_MAX;
        expect_error(roperot_run(plan, &f->at, f->job, 1, NULL), ROPEROT_ERROR_POSITION, "jobs[0].to", value);
        CHECK(memcmp(pages, before, sizeof pages) == 0, "slot %d: something was written", i);
        slots[i] = kept;
    }
    CHECK(roperot_run(plan, &f->at, f->job, 1, NULL) == ROPEROT_OK, "%s", roperot_last_error());
    roperot_plan_destroy(plan);
}

/* Keys and values in turns, [pages][2][tokens][heads][dim], and MLA's two parts of one row. */
static void neighbours_are_allowed(const void *arg)
{
    (void)arg;
    static fixture f;
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    f.job[1].from = NULL, f.job[1].batch = f.job[1].tokens = f.job[1].heads = f.job[1].dim = 0;
    f.job[1].src = &f.src;
    f.job[0].dst = NULL;
    f.to = pages_of(f.cache[0], ROPEROT_F16, f.slots);
    f.other = pages_of(f.cache[0] + 2 * PAGE_TOKENS * HEADS * DIM, ROPEROT_F16, f.slots);
    f.to.page_stride = f.other.page_stride = 2 * PAGE_TOKENS * HEADS * DIM;
    CHECK(call(&f, plan) == ROPEROT_OK, "in turns: %s", roperot_last_error());
    f.other.data = f.cache[0] + 2 * PAGE_TOKENS * HEADS * DIM - 2;
    expect_error(call(&f, plan), ROPEROT_ERROR_ALIAS, "jobs[1].to", "jobs[0].to");
    f.other.data = f.cache[0] + 2 * HEADS * DIM;
    f.to.token_stride = f.other.token_stride = 2 * HEADS * DIM;
    CHECK(call(&f, plan) == ROPEROT_OK, "parts of a row: %s", roperot_last_error());
    roperot_plan_destroy(plan);
}

/* Elements of one byte: blocks with one byte in common, at the end of the one or the other, and blocks that touch. */
static void one_byte_is_an_overlap(const void *arg)
{
    (void)arg;
    static fixture f;
    enum { ROW = HEADS * DIM };
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    f.job[1].from = NULL, f.job[1].batch = f.job[1].tokens = f.job[1].heads = f.job[1].dim = 0;
    f.job[1].src = &f.src;
    f.job[0].dst = NULL;
    for (int tokens = 0; tokens < 2; tokens++) /* rows of a page, or whole pages in turns */
        for (int by = -1; by <= 1; by++)
            for (int order = 0; order < 2; order++) {
                const int64_t block = tokens ? ROW : PAGE_TOKENS * ROW;
                f.to = pages_of(f.cache[0] + 2 * block, ROPEROT_I8, f.slots);
                f.other = pages_of((char *)f.to.data + (order ? -block - by : block + by), ROPEROT_I8, f.slots);
                if (tokens) f.to.token_stride = f.other.token_stride = 2 * ROW + 1;
                f.to.page_stride = f.other.page_stride = tokens ? PAGE_TOKENS * (2 * ROW + 1) : 2 * block + 1;
                const int32_t status = call(&f, plan);
                CHECK(status == (by < 0 ? ROPEROT_ERROR_ALIAS : ROPEROT_OK),
                      "%s, %d bytes between, order %d: status %d", tokens ? "rows" : "pages", by, order, status);
            }
    roperot_plan_destroy(plan);
}

/* Strides of written pages that are one element short, of each axis. */
static void one_element_short(const void *arg)
{
    (void)arg;
    static fixture f;
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    for (int32_t dtype = ROPEROT_F32; dtype <= ROPEROT_I8; dtype++)
        for (int axis = 0; axis < 3; axis++)
            for (int by = -2; by <= 1; by++) { /* one short or not, the second job usual or not */
                set_up(&f);
                if (by & 1) make_usual(&f);
                f.to = pages_of(f.cache[0], dtype, f.slots);
                f.job[0].dst = NULL;
                *(axis == 0 ? &f.to.head_stride : axis == 1 ? &f.to.token_stride : &f.to.page_stride) += by >> 1;
                const int32_t status = call(&f, plan);
                CHECK(status == (by < 0 ? ROPEROT_ERROR_ALIAS : ROPEROT_OK), "dtype %d, axis %d, %d: status %d", dtype,
                      axis, by, status);
            }
    roperot_plan_destroy(plan);
}

/* Long heads whose pieces keep blocks whole, and heads of 512 channels, whatever is rotated. */
static void whole_blocks_are_allowed(const void *arg)
{
    static const int32_t allowed[][3] = { { 640, 512, 32 }, { 576, 576, 0 }, { 512, 288, 0 }, { 512, 256, 16 } };
    (void)arg;
    static fixture f;
    for (size_t i = 0; i < sizeof allowed / sizeof *allowed; i++) {
        set_up(&f);
        store_long_heads(&f, allowed[i][0], allowed[i][1], allowed[i][2]);
        roperot_plan *const plan = expect_plan(&f.config);
        CHECK(call(&f, plan) == ROPEROT_OK, "%d channels: %s", allowed[i][0], roperot_last_error());
        roperot_plan_destroy(plan);
    }
}

/* Static scales are read: jobs may share them. */
static void static_scales_are_shared(const void *arg)
{
    (void)arg;
    static fixture f;
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    for (int h = 0; h < HEADS; h++) f.scale[h] = 0.5f;
    f.to.scaling = f.other.scaling = ROPEROT_SCALE_STATIC;
    f.other.dtype = ROPEROT_I8;
    f.to.scale = f.other.scale = f.scale;
    f.to.scale_head_stride = f.other.scale_head_stride = 1;
    CHECK(call(&f, plan) == ROPEROT_OK, "%s", roperot_last_error());
    f.to.scaling = ROPEROT_SCALE_DYNAMIC;
    expect_error(call(&f, plan), ROPEROT_ERROR_ALIAS, "jobs[0].to.scale", "jobs[1].to.scale");
    roperot_plan_destroy(plan);
}

/* A norm over all heads counts up to 2^24 channels: broadcast heads, and a line that is stored nowhere. */
static void most_channels_of_a_norm(const void *arg)
{
    (void)arg;
    enum { LONG = 65536 };
    static float x[LONG];
    static fixture f;
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    const int64_t nowhere = -1;
    f.count = 1;
    f.src = roperot_tensor_shd(x, ROPEROT_F32, 1, 256, LONG);
    f.src.stride[2] = 0;
    f.norm.weight = NULL;
    f.norm.flags = ROPEROT_NORM_ALL_HEADS;
    f.job[0].flags = ROPEROT_JOB_UNROTATED;
    f.job[0].dst = NULL;
    f.to = pages_of(x, ROPEROT_E4M3, &nowhere);
    f.to.data = (void *)(uintptr_t)4096; /* never touched: no slot */
    f.to.pages = f.to.page_tokens = 1;
    f.to.head_stride = LONG;
    CHECK(call(&f, plan) == ROPEROT_OK, "2^24 channels: %s", roperot_last_error());
    f.src.shape[2] = 257;
    expect_error(call(&f, plan), ROPEROT_ERROR_SHAPE, "jobs[0].norm", "257 heads");
    f.norm.flags = 0;
    CHECK(call(&f, plan) == ROPEROT_OK, "heads by themselves: %s", roperot_last_error());
    roperot_plan_destroy(plan);
}

/* In place, with strides that mean nothing: of one head, of one token, of pages without scales of their own. */
static void ignored_strides_are_the_same(const void *arg)
{
    (void)arg;
    static fixture f;
    for (int tiled = 0; tiled < 2; tiled++)
        for (int field = 0; field < 6; field++) {
            set_up(&f);
            roperot_plan *const plan = expect_plan(&f.config);
            f.count = 1;
            f.job[0] = f.job[1];
            f.job[0].heads = field == 1 ? 1 : HEADS;
            f.from.dtype = field < 2 ? ROPEROT_F16 : ROPEROT_I8;
            if (field == 0) f.from.page_tokens = 1;
            for (int h = 0; h < HEADS; h++) f.scale[h] = 1.0f;
            if (field == 3 || field == 4) f.from.scale = f.scale;
            if (tiled) f.from.tile = ROPEROT_PAGES_CHUNKED, f.from.token_stride = f.from.channel_stride = 0;
            if (tiled) f.from.page_stride = 65536, f.from.pages = 1, f.from.head_stride = 1024;
            f.to = f.from;
            f.job[0].to = &f.to;
            for (int i = 0; i < LINES; i++) f.source_slots[i] = f.from.pages == 1 ? i % f.from.page_tokens : i % PAGES;
            if (field == 0 && !tiled) f.to.token_stride = 7;
            if (field == 1) f.to.head_stride = 64;
            if (field == 2) f.to.scale_head_stride = 5;
            if (field == 3) f.to.scale_page_stride = 9;
            if (field == 4) f.to.scale_token_stride = 9;
            if (field == 5 && tiled) f.to.page_stride = 3;
            CHECK(call(&f, plan) == ROPEROT_OK, "field %d, tiled %d: %s", field, tiled, roperot_last_error());
            f.job[0].heads = HEADS;
            f.to = f.from;
            f.to.data = f.cache[1] + 2 * DIM;
            expect_error(call(&f, plan), ROPEROT_ERROR_ALIAS, "jobs[0].to", "jobs[0].from");
            roperot_plan_destroy(plan);
        }
}

/* The second job lies jobs[0].size bytes behind the first one, where a job may lie. */
static void sizes_keep_jobs_aligned(const void *arg)
{
    (void)arg;
    static fixture f;
    enum { MORE = 2 * _Alignof(roperot_job) };
    static _Alignas(roperot_job) unsigned char memory[2 * (sizeof(roperot_job) + MORE)];
    set_up(&f);
    roperot_plan *const plan = expect_plan(&f.config);
    for (uint32_t by = 0; by <= MORE; by++) {
        memset(memory, 0, sizeof memory);
        for (uint32_t i = 0; i < 2; i++) {
            f.job[i].size = sizeof(roperot_job) + by;
            memcpy(memory + i * f.job[i].size, &f.job[i], sizeof(roperot_job));
        }
        for (int32_t count = 1; count <= 2; count++) {
            const int32_t status = roperot_run(plan, &f.at, (const void *)memory, count, NULL);
            char value[16];
            snprintf(value, sizeof value, "%u", (unsigned)f.job[0].size);
            if (by % _Alignof(roperot_job))
                expect_error(status, ROPEROT_ERROR_VERSION, "jobs[0].size", value);
            else
                CHECK(!status, "%u bytes more: %s", (unsigned)by, roperot_last_error());
        }
    }
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    harness_add(fixture_is_valid, NULL, "run_errors/valid");
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        harness_add(is_refused, &refusals[i], "run_errors/%s", refusals[i].name);
    harness_add(any_slot_is_checked, NULL, "run_errors/any_slot");
    harness_add(neighbours_are_allowed, NULL, "run_errors/neighbours");
    harness_add(one_byte_is_an_overlap, NULL, "run_errors/one_byte");
    harness_add(one_element_short, NULL, "run_errors/one_element_short");
    harness_add(whole_blocks_are_allowed, NULL, "whole-blocks-are-allowed");
    harness_add(static_scales_are_shared, NULL, "run_errors/shared_scales");
    harness_add(ignored_strides_are_the_same, NULL, "run_errors/ignored_strides");
    harness_add(sizes_keep_jobs_aligned, NULL, "run_errors/aligned_sizes");
    harness_add(most_channels_of_a_norm, NULL, "run_errors/most_channels");
    return harness_run(argc, argv, "run_errors");
}
