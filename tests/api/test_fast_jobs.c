/* SPDX-License-Identifier: MIT
 * roperot_run against its own general path: random jobs of one token, usual ones and odd ones, give the same status,
 * the same sentence and the same bytes, and usual ones do not take the general path; it must not know what is right. */
#include <float.h>
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "plan.h"
#include "run.h"
#include "support/formats.h"
#include "support/harness.h"
#include "support/values.h"
#include "usual_jobs.h"

/* ---- the general path, through the linker's --wrap --------------------------------------------------------------- */

int32_t __real_roperot_run_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                               int32_t count, const roperot_options *options);
int32_t __wrap_roperot_run_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                               int32_t count, const roperot_options *options);

int __real_roperot_jobs_are_usual(roperot_jobs *jobs);
int __wrap_roperot_jobs_are_usual(roperot_jobs *jobs);

static int general; /* calls */
static int careful; /* nothing is usual: every check is taken that tells what is wrong */

int __wrap_roperot_jobs_are_usual(roperot_jobs *jobs)
{
    return !careful && __real_roperot_jobs_are_usual(jobs);
}

int32_t __wrap_roperot_run_any(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                               int32_t count, const roperot_options *options)
{
    general++;
    return __real_roperot_run_any(plan, positions, jobs, count, options);
}

/* ---- everything that a call reads or writes ---------------------------------------------------------------------- */

enum {
    MOST = 5, /* one more than the fast path takes */
    CHANNELS = 1536,
    PAGES = 3,
    PAGE_TOKENS = 4,
    TENSOR_BYTES = 6 * CHANNELS * 4, /* two tokens, padded */
    PAGE_BYTES = 2 * PAGES * PAGE_TOKENS * CHANNELS * 4,
    SCALED_HEADS = 64,
    SCALES = PAGES * PAGE_TOKENS * (2 * SCALED_HEADS + 4),
    MADE_BYTES = 4096, /* of a head in the fast path */
    WEIGHTS = 1024,
    ROWS = 64
};

/* Of a job; it is in the middle, so that strides of either sign end in the world. */
typedef struct surroundings {
    _Alignas(64) unsigned char before[PAGE_BYTES / 2], src[TENSOR_BYTES], dst[TENSOR_BYTES], pages[PAGE_BYTES];
    float scales[SCALES];
    _Alignas(64) float weight[WEIGHTS];
    int64_t slots[8];
    float factor[8];
} surroundings;

typedef struct world {
    surroundings of[MOST];
    unsigned char gap[PAGE_BYTES]; /* heads that begin at somebody's slots end here: a scratch must not be written */
    _Alignas(64) unsigned char scratch[8192];
    int64_t ids[8];
    roperot_job job[MOST];
    roperot_tensor src[MOST], dst[MOST];
    roperot_norm norm[MOST];
    roperot_pages to[MOST];
    roperot_positions positions;
    roperot_options options;
    const roperot_options *given;
    int32_t count;
} world;

static world now, before, expected;

/* ---- plans ------------------------------------------------------------------------------------------------------- */

enum { PLANS = 40 };

static float table_rows[2][ROWS * 4 * 64];

static int one_in(uint32_t n)
{
    return random_below(n) == 0;
}

static void borrow(roperot_config *c, roperot_table *table)
{
    const roperot_table defaults = ROPEROT_TABLE_INIT;
    *table = defaults;
    table->cos = table_rows[0];
    table->sin = table_rows[1];
    table->rows = ROWS;
    table->heads = one_in(2) ? 4 : 0;
    table->row_stride = c->rotary_dim / 2 * (table->heads ? table->heads : 1);
    table->head_stride = table->heads ? c->rotary_dim / 2 : 0;
    c->table = table;
    c->cache = ROPEROT_CACHE_BORROWED;
    c->max_positions = ROWS;
}

static roperot_plan *random_plan(void)
{
    static const int32_t dims[] = { 64, 128, 128, 128, 96, 80, 256, 512, 1024, 32, 6 };
    static uint8_t axis[512];
    static double mixed[2 * 512];
    roperot_config c = ROPEROT_CONFIG_INIT;
    roperot_table table;
    roperot_plan *plan;
    c.head_dim = dims[random_below(sizeof dims / sizeof *dims)];
    c.rotary_dim = one_in(4) && c.head_dim > 6 ? c.head_dim / 2 : c.head_dim;
    c.rotary_offset = c.rotary_dim < c.head_dim && one_in(2) ? c.head_dim / 4 : 0;
    c.pairing = one_in(3) ? ROPEROT_PAIR_INTERLEAVED : ROPEROT_PAIR_HALF;
    if (one_in(8)) c.pairing_out = ROPEROT_PAIR_INTERLEAVED;
    c.cache = one_in(2) ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED;
    c.max_positions = c.cache == ROPEROT_CACHE_FULL ? ROWS : 1 << 13;
    c.attention_factor = one_in(2) ? 1.0 : 1.25;
    c.arithmetic = one_in(6) ? ROPEROT_ARITHMETIC_EAGER : ROPEROT_ARITHMETIC_F32;
    c.bounds = (int32_t)random_below(3);
    if (one_in(8)) c.axes = 2, c.pairs = c.rotary_dim / 2, c.axis = axis;
    for (int i = 0; i < 512; i++) axis[i] = (uint8_t)(i & 1), mixed[i] = mixed[512 + i] = 0.01 * i;
    if (one_in(10) && c.rotary_dim <= 128) borrow(&c, &table);
    if (c.axes == 2 && !c.table && one_in(3)) {
        c.frequencies = ROPEROT_FREQUENCIES_MIXED;
        c.axis = NULL;
        c.inv_freq = mixed;
        c.cache = ROPEROT_CACHE_AUTO;
    }
    CHECK(!roperot_plan_create(&c, &plan), "%s", roperot_last_error());
    return plan;
}

/* What the fast path takes, once more. */
static int takes(const roperot_plan *p)
{
    return p->pairing == p->pairing_out && !p->heads && !p->mixed &&
           (p->cache != ROPEROT_CACHE_FACTORED || p->pairs <= 256);
}

/* ---- usual calls ------------------------------------------------------------------------------------------------- */

static void fill(void *memory, int32_t dtype, int64_t count, int kind)
{
    char *at = memory;
    for (int64_t i = 0; i < count; i++, at += format_bytes(dtype))
        format_store(dtype, at, values_number(kind, dtype));
}

static int32_t random_dtype(void)
{
    return ROPEROT_F32 + (int32_t)random_below(ROPEROT_DTYPES);
}

static roperot_tensor random_view(void *data, int32_t dtype, int64_t heads, int64_t dim)
{
    roperot_tensor t = roperot_tensor_shd(data, dtype, 1, heads, dim);
    if (one_in(3)) t.stride[2] += 1 + random_below((uint32_t)dim);
    if (one_in(4)) t.stride[0] = t.stride[1] = (int64_t)random_bits(); /* of axes of 1: anybody's */
    return t;
}

/* Heads in tokens or tokens in heads; of static ones only the step from head to head matters, or there is one. */
static void random_scales(roperot_pages *p, surroundings *s, int64_t heads)
{
    static const float floors[] = { 0.0f, 1e-6f, 0.25f, FLT_MAX };
    const int64_t step = 1 + random_below(2), pad = random_below(5);
    p->scaling = one_in(3) ? ROPEROT_SCALE_STATIC : ROPEROT_SCALE_DYNAMIC;
    p->scale = p->scaling == ROPEROT_SCALE_STATIC && one_in(3) ? NULL : s->scales;
    p->scale_floor = floors[random_below(4)];
    p->scale_head_stride = one_in(2) ? step : step * p->page_tokens;
    p->scale_token_stride = p->scale_head_stride == step ? step * heads + pad : step;
    p->scale_page_stride = (step * heads + pad) * p->page_tokens;
    for (int i = 0; i < SCALES; i++) s->scales[i] = (float)random_between(0.001, 2.0);
    if (p->scaling == ROPEROT_SCALE_STATIC && one_in(2)) p->scale_head_stride = 0;
}

static void random_pages(roperot_pages *p, surroundings *s, int32_t dtype, int64_t heads, int64_t channels)
{
    const int64_t dim = dtype == ROPEROT_Q8_0 ? channels / 32 * 34 : channels, pad = one_in(2) ? 0 : 16;
    *p = (roperot_pages)ROPEROT_PAGES_INIT;
    p->dtype = dtype;
    p->data = s->pages;
    p->pages = 1 + random_below(PAGES);
    p->page_tokens = one_in(2) ? PAGE_TOKENS : 1 + random_below(PAGE_TOKENS);
    p->head_stride = one_in(2) ? dim : dim * p->page_tokens;
    p->token_stride = p->head_stride == dim ? dim * heads + pad : dim;
    p->page_stride = dim * heads * p->page_tokens + pad * p->page_tokens;
    p->slot_type = one_in(2) ? ROPEROT_POSITIONS_I32 : ROPEROT_POSITIONS_I64;
    p->slots = s->slots;
    if (dtype == ROPEROT_Q8_0) p->channel_stride = 0;
    if (dtype == ROPEROT_E4M3 || dtype == ROPEROT_I8) random_scales(p, s, heads);
    for (int i = 0; i < 8; i++) {
        const int64_t slot = (int64_t)random_below((uint32_t)(p->pages * p->page_tokens));
        s->slots[i] = p->slot_type == ROPEROT_POSITIONS_I64 ? slot : (int64_t)((uint64_t)slot << 32 | (uint64_t)slot);
    }
}

static void random_norm(roperot_norm *n, surroundings *s, int32_t dtype)
{
    *n = (roperot_norm)ROPEROT_NORM_INIT;
    n->rounding = (int32_t)(dtype == ROPEROT_F32 ? random_below(3) : 1 + random_below(2));
    n->epsilon = one_in(8) ? 0.0 : 1e-6;
    n->weight_dtype = random_dtype();
    if (one_in(8)) return; /* no weights */
    n->weight = s->weight;
    n->flags = one_in(4) ? ROPEROT_NORM_UNIT_OFFSET : 0;
    fill(s->weight, n->weight_dtype, WEIGHTS / 2, VALUES_NORMAL);
}

static int64_t random_heads(int64_t dim)
{
    const int64_t most = CHANNELS / dim, some = one_in(8) ? most : most < 8 ? most : 8;
    return 1 + random_below((uint32_t)some);
}

/* Where a job goes, in the end. */
static void random_target(roperot_job *j, int i, int32_t from, int32_t to, int64_t heads, int64_t dim)
{
    const uint32_t where = random_below(4);
    const int is_coded = where < 2 && one_in(2) && heads <= SCALED_HEADS && dim * format_bytes(from) <= MADE_BYTES;
    const uint32_t choices = dim % 32 == 0 && dim <= 512 ? 3 : 2;
    random_pages(&now.to[i], &now.of[i], is_coded ? ROPEROT_E4M3 + (int32_t)random_below(choices) : to, heads, dim);
    now.dst[i] = random_view(now.of[i].dst, to, heads, dim);
    if (is_coded && from != ROPEROT_F32) j->flags &= ~(uint32_t)ROPEROT_JOB_UNROUNDED;
    if (where < 2) {
        j->to = &now.to[i];
    } else if (where == 2 && (j->norm || !(j->flags & ROPEROT_JOB_UNROTATED))) {
        now.dst[i] = now.src[i];
        j->dst = one_in(2) ? j->src : &now.dst[i];
    } else {
        j->dst = &now.dst[i];
    }
}

/* A job that the fast path takes, if it takes the plan. */
static void random_job(const roperot_plan *plan, int i)
{
    surroundings *const s = &now.of[i];
    roperot_job *const j = &now.job[i];
    const int is_rotated = i == 0 || !one_in(3), is_whole = plan->rotary_dim == plan->head_dim;
    const int64_t dim = is_rotated || one_in(2) ? plan->head_dim : 1 + (int64_t)random_below(512);
    const int64_t heads = random_heads(dim);
    const int32_t from = random_dtype();
    *j = (roperot_job)ROPEROT_JOB_INIT;
    now.src[i] = random_view(s->src, from, heads, dim);
    j->flags = (is_rotated ? 0 : ROPEROT_JOB_UNROTATED) | (random_below(4) * ROPEROT_JOB_SKIP);
    j->src = &now.src[i];
    fill(s->src, from, CHANNELS, one_in(4) ? VALUES_SPECIAL : VALUES_NORMAL);
    if (dim % 32 == 0 && dim <= 512 && plan->norm[roperot_dtype_index(from)] && one_in(2)) {
        random_norm(&now.norm[i], s, from);
        j->norm = &now.norm[i];
    }
    const int converts = j->norm || !is_rotated ? from == ROPEROT_F32 : is_whole;
    int32_t to = converts && one_in(2) ? random_dtype() : from;
    if (is_rotated && !j->norm && !plan->rotate[roperot_dtype_index(from)][roperot_dtype_index(to)]) to = from;
    random_target(j, i, from, to, heads, dim);
}

static void random_options(const roperot_plan *plan)
{
    now.options = (roperot_options)ROPEROT_OPTIONS_INIT;
    now.given = one_in(2) ? NULL : &now.options;
    if (one_in(2)) now.options.flags = ROPEROT_SIGNED_POSITIONS;
    if (one_in(2)) now.options.token_end = (int64_t)random_below(3);
    if (one_in(2)) return;
    now.options.scratch = now.scratch;
    now.options.scratch_bytes = roperot_scratch_bytes(plan) + (one_in(2) ? 64 : 0);
}

static void random_positions(const roperot_plan *plan)
{
    const int64_t at = random_below((uint32_t)plan->max_positions < ROWS ? (uint32_t)plan->max_positions : ROWS);
    const int64_t far = plan->max_positions > ROWS && one_in(2) ? 1 << 12 : 0, by = one_in(2) ? 0 : random_below(8);
    int32_t narrow[2] = { (int32_t)(at + far), (int32_t)(at + far) };
    now.positions = roperot_positions_offset(at + far);
    if (one_in(2)) return;
    if (one_in(2)) {
        memcpy(now.ids, narrow, sizeof narrow);
        now.positions = roperot_positions_i32((const int32_t *)now.ids, 0);
    } else {
        now.ids[0] = now.ids[1] = at + far;
        now.positions = roperot_positions_i64(now.ids, 0);
    }
    now.positions.offset = at >= by ? -by : 0;
}

static void random_call(const roperot_plan *plan)
{
    now.count = 1 + (int32_t)random_below(4);
    for (int i = 0; i < MOST; i++) random_job(plan, i);
    random_positions(plan);
    random_options(plan);
}

/* ---- and what makes them odd or wrong ---------------------------------------------------------------------------- */

static int64_t odd_number(int64_t value)
{
    const uint64_t v = (uint64_t)value; /* spoilt before, it may be the last number */
    const uint64_t others[] = { 0, 1, UINT64_MAX, 2, 3, v + 1, v - 1, 0 - v, (uint64_t)(value / 2), INT64_MAX,
                                (uint64_t)INT64_MIN };
    return (int64_t)others[random_below(sizeof others / sizeof *others)];
}

/* Of a member that no address depends on. */
static int32_t odd_small(int32_t value)
{
    const uint32_t v = (uint32_t)value;
    const uint32_t others[] = { 0, 1, 2, 3, 4, 5, 6, 7, UINT32_MAX, v + 1, v - 1, v ^ 4, INT32_MAX,
                                (uint32_t)INT32_MIN };
    return (int32_t)others[random_below(sizeof others / sizeof *others)];
}

/* A pointer to something else in the world, or to nothing. */
static void *odd_pointer(const void *value, int i)
{
    surroundings *const other = &now.of[(i + 1) % MOST];
    char *const p = (char *)(uintptr_t)value;
    switch (random_below(10)) {
    case 0: return NULL;
    case 1: return p ? p + 1 : p;
    case 2: return p ? p + 2 : p;
    case 3: return p ? p - 4 : p;
    case 4: return p ? p + 4 : p;
    case 5: return one_in(2) ? other->src : now.of[i].pages;
    case 6: return other->dst;
    case 7: return other->pages;
    case 8: return now.of[i].src + random_below(4096) * 4;
    default: return other->slots;
    }
}

static void spoil_view(roperot_tensor *t, int i)
{
    const uint32_t axis = random_below(4);
    switch (random_below(6)) {
    case 0: t->data = odd_pointer(t->data, i); break;
    case 1: t->dtype = odd_small(t->dtype); break;
    case 2: t->flags = odd_small(t->flags); break;
    case 3: t->shape[axis] = axis < 2 ? (int64_t)random_below(4) - 1 : odd_number(t->shape[axis]); break;
    case 4: t->stride[axis] = odd_number(t->stride[axis]); break;
    default: t->reserved = one_in(2) ? NULL : t->data;
    }
}

static void spoil_scales(roperot_pages *p, surroundings *s, int i)
{
    const float numbers[] = { 0.0f, -0.0f, -1.0f, 1e-39f, FLT_MIN, FLT_MAX, format_float(0x7f800000u),
                              format_float(0x7fc00000u) };
    switch (random_below(10)) {
    case 0: p->scaling = odd_small(p->scaling); break;
    case 1: p->scale_reserved = odd_small(p->scale_reserved); break;
    case 2: p->scale = now.of[(i + 1) % MOST].scales + random_below(8); break; /* made there, or static, too */
    case 3: p->scale = one_in(8) ? NULL : odd_pointer(p->scale ? p->scale : s->factor, i); break;
    case 4: p->scale_page_stride = odd_number(p->scale_page_stride); break;
    case 5: p->scale_token_stride = odd_number(p->scale_token_stride); break;
    case 6: p->scale_head_stride = odd_number(p->scale_head_stride); break;
    case 7: p->scale_floor = numbers[random_below(8)]; break;
    default: s->scales[random_below(2) * (uint32_t)(p->scale_head_stride & 63)] = numbers[random_below(8)];
    }
}

static void spoil_pages(roperot_pages *p, surroundings *s, int i)
{
    static const int64_t slots[] = { -1, INT64_MIN, INT64_MAX, INT32_MAX, INT64_C(1) << 32, INT64_C(3) << 32, 0, 1 };
    switch (random_below(20)) {
    case 0: p->size += 8 * random_below(3) - 8; break;
    case 1: p->dtype = odd_small(p->dtype); break;
    case 2: p->data = odd_pointer(p->data, i); break;
    case 3: p->pages = odd_number(p->pages); break;
    case 4: p->page_tokens = odd_number(p->page_tokens); break;
    case 5: p->page_stride = odd_number(p->page_stride); break;
    case 6: p->token_stride = odd_number(p->token_stride); break;
    case 7: p->head_stride = odd_number(p->head_stride); break;
    case 8: p->channel_stride = odd_number(p->channel_stride); break;
    case 9: p->tile = odd_small(p->tile); break;
    case 10: p->slot_type = odd_small(p->slot_type); break;
    case 11: p->slots = odd_pointer(p->slots, i); break;
    case 12: p->dtype = random_dtype(); break;
    case 13: p->scale = one_in(2) ? s->factor : NULL; break;
    case 14: p->slot_batch_stride = p->slot_token_stride = odd_number(1); break;
    case 15: s->slots[0] = (int64_t)((uint64_t)p->pages * (uint64_t)p->page_tokens - random_below(2)); break;
    case 16: s->slots[0] = slots[random_below(sizeof slots / sizeof *slots)]; break;
    default: spoil_scales(p, s, i);
    }
}

static void spoil_norm(roperot_norm *n, surroundings *s)
{
    static const double epsilons[] = { -1.0, -0.0, 1e39, (double)FLT_MAX, 1e-300, 1.0 };
    switch (random_below(9)) {
    case 0: n->size += 8 * random_below(3) - 8; break;
    case 1: n->kind = odd_small(n->kind); break;
    case 2: n->rounding = odd_small(n->rounding); break;
    case 3: n->flags = odd_small(n->flags); break;
    case 4: n->epsilon = one_in(4) ? (double)format_float(0x7fc00000u) : epsilons[random_below(6)]; break;
    case 5: n->bias = one_in(2) ? s->weight : NULL; break;
    case 6: n->weight_dtype = odd_small(n->weight_dtype); break;
    case 7: n->weight = one_in(4) ? NULL : (const char *)s->weight + random_below(5); break;
    default: fill(s->weight, ROPEROT_F32, 8, VALUES_SPECIAL);
    }
}

static void spoil_job(roperot_job *j, int i)
{
    surroundings *const s = &now.of[i];
    switch (random_below(13)) {
    case 0: j->size += 8 * random_below(3) - 8; break;
    case 1: j->flags = (uint32_t)odd_small((int32_t)j->flags); break;
    case 2: j->src = one_in(2) ? NULL : &now.src[(i + 1) % MOST]; break;
    case 3: j->dst = one_in(2) ? NULL : &now.dst[i]; break;
    case 4: j->to = one_in(2) ? NULL : &now.to[i]; break;
    case 5: j->to = &now.to[(i + 1) % MOST]; break;
    case 6: j->from = &now.to[i]; break;
    case 7: j->factor = s->factor; break;
    case 8: j->batch = odd_number(0); break;
    case 9: j->tokens = odd_number(0); break;
    case 10: j->heads = odd_number(0); break;
    case 11: j->flags ^= ROPEROT_JOB_UNROUNDED; break;
    default: j->dim = odd_number(0);
    }
}

static void run_tasks(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    (void)ctx;
    for (int64_t i = 0; i < tasks; i++) task(arg, i);
}

static void spoil_call(void)
{
    roperot_positions *const p = &now.positions;
    roperot_options *const o = &now.options;
    now.given = one_in(4) ? NULL : o;
    switch (random_below(16)) {
    case 0: p->size += 8 * random_below(3) - 8; break;
    case 1: p->kind = odd_small(p->kind); break;
    case 2: p->type = odd_small(p->type); break;
    case 3: p->axes = odd_small(p->axes); break;
    case 4: p->offset = odd_number(p->offset); break;
    case 5: p->ids = one_in(2) ? NULL : (const char *)p->ids + (p->ids ? random_below(5) : 0); break;
    case 6: now.ids[0] = odd_number(now.ids[0]); break;
    case 7: o->size += 8 * random_below(3) - 8; break;
    case 8: o->flags = (uint32_t)odd_small((int32_t)o->flags); break;
    case 9: o->token_begin = odd_number(0); break;
    case 10: o->token_end = odd_number(1); break;
    case 11: o->threads = odd_small(0), o->parallel_for = one_in(2) ? run_tasks : NULL; break;
    case 12: o->reserved = odd_small(0); break;
    case 13: o->scratch = one_in(2) ? now.scratch : now.scratch + 16, o->scratch_bytes = 64 * random_below(3); break;
    default: now.count = (int32_t)random_below(MOST + 2) - 1; break;
    }
    if (now.count > MOST) now.count = MOST;
}

static void spoil(void)
{
    const int i = (int)random_below((uint32_t)(now.count > 0 ? now.count : 1));
    switch (random_below(8)) {
    case 0: spoil_view(&now.src[i], i); break;
    case 1: spoil_view(&now.dst[i], i); break;
    case 2: spoil_pages(&now.to[i], &now.of[i], i); break;
    case 6: spoil_scales(&now.to[i], &now.of[i], i); break;
    case 7: spoil_job(&now.job[i], i); break;
    case 3: spoil_norm(&now.norm[i], &now.of[i]); break;
    case 4: spoil_job(&now.job[i], i); break;
    default: spoil_call();
    }
}

/* ---- both paths -------------------------------------------------------------------------------------------------- */

/* Weights that are no numbers, or vectors too long for the norm's kernel. */
static int may_be_refused(const roperot_plan *plan)
{
    for (int i = 0; i < now.count; i++)
        if (now.job[i].norm) return plan->kernels->isa == ROPEROT_ISA_SVE || plan->kernels->isa == ROPEROT_ISA_RVV;
    return 0;
}

static const roperot_positions *positions_of_call(int is_spoilt)
{
    return is_spoilt && one_in(64) ? NULL : &now.positions;
}

/* Whether byte i belongs to an element that is a NaN by both paths, in the dtype of a job's target: their signs and
 * payloads are not promised. */
static int is_nan_of_both(size_t i)
{
    const char *const a = (const char *)&now, *const b = (const char *)&expected;
    for (int k = 0; k < now.count; k++) {
        const roperot_job *const j = &now.job[k];
        const int32_t dtype = j->to ? j->to->dtype : j->dst ? j->dst->dtype : 0;
        if (dtype < ROPEROT_F32 || dtype >= ROPEROT_F32 + ROPEROT_DTYPES) continue;
        const size_t first = i & ~(size_t)(format_bytes(dtype) - 1);
        if (format_same(dtype, format_load(dtype, a + first), format_load(dtype, b + first))) return 1;
    }
    return 0;
}

/* Every byte of the world, structs and what they point to included. */
static int try_both(const roperot_plan *plan, int is_spoilt, int64_t number)
{
    static char sentence[512];
    const roperot_positions *const positions = positions_of_call(is_spoilt);
    memcpy(&before, &now, sizeof now);
    general = 0;
    careful = 1;
    const int32_t wanted = __real_roperot_run_any(plan, positions, now.job, now.count, now.given);
    snprintf(sentence, sizeof sentence, "%s", wanted ? roperot_last_error() : "");
    careful = 0;
    memcpy(&expected, &now, sizeof now);
    memcpy(&now, &before, sizeof now);
    const int32_t status = roperot_run(plan, positions, now.job, now.count, now.given);
    CHECK(status == wanted, "call %lld: status %d, and %d (%s) by the general path", (long long)number, status, wanted,
          sentence);
    if (status)
        CHECK(strcmp(sentence, roperot_last_error()) == 0, "call %lld: \"%s\", and \"%s\" by the general path",
              (long long)number, roperot_last_error(), sentence);
    for (size_t i = 0; i < sizeof now; i++)
        CHECK(((char *)&now)[i] == ((char *)&expected)[i] || is_nan_of_both(i), "call %lld: byte %zu differs",
              (long long)number, i);
    return general;
}

/* *arg: of how many calls one is spoilt, 0: none. */
static void same_as_general(const void *arg)
{
    const uint32_t spoilt = *(const uint32_t *)arg;
    roperot_plan *plan[PLANS];
    int64_t fast = 0, calls = harness_quick() > 1 ? 500 : harness_quick() ? 2000 : 12000;
    for (size_t i = 0; i < sizeof *table_rows / sizeof **table_rows; i++)
        table_rows[0][i] = table_rows[1][i] = (float)random_between(-1.0, 1.0);
    for (int i = 0; i < PLANS; i++) plan[i] = random_plan();
    for (int64_t n = 0; n < calls; n++) {
        const roperot_plan *const p = plan[random_below(PLANS)];
        int is_spoilt = 0;
        random_call(p);
        for (; spoilt && !one_in(spoilt) && is_spoilt < 3; is_spoilt++) spoil();
        const int slow = try_both(p, is_spoilt, n);
        fast += !slow;
        CHECK(is_spoilt || slow == !takes(p) || may_be_refused(p), "call %lld: %d times to the general path",
              (long long)n, slow);
    }
    CHECK(fast > calls / 16, "only %lld of %lld calls took the fast path", (long long)fast, (long long)calls);
    for (int i = 0; i < PLANS; i++) roperot_plan_destroy(plan[i]);
}

int main(int argc, char **argv)
{
    static const uint32_t never = 0, often = 2, sometimes = 6;
    harness_add(same_as_general, &never, "usual");
    harness_add(same_as_general, &often, "odd");
    harness_add(same_as_general, &sometimes, "odder");
    return harness_run(argc, argv, "fast_jobs");
}
