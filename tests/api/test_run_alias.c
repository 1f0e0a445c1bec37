/* SPDX-License-Identifier: MIT
 * The aliasing rule of roperot_run for pages against its definition, byte by byte and at random; it must not know how
 * the library decides. */
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/assertions.h"
#include "support/harness.h"

enum { PAGE, TOKEN, HEAD, CHANNEL, AXES };
enum { BYTES = 1 << 14, MOST_SLOTS = 16, MOST_VALUES = MOST_SLOTS * 3 * 32 };

/* A cache of the buffer and the heads that it has, as axes around a dense core; all in bytes. Or the dynamic scales of
 * a cache of I8 that is somewhere else, one per token and head. */
typedef struct cache {
    roperot_pages pages;
    int is_scale;
    int64_t heads, dim, size;
    int64_t count[AXES], stride[AXES], core, first; /* first: of page 0, from the buffer's begin */
} cache;

static _Alignas(64) unsigned char buffer[BYTES], before[BYTES], codes[2][MOST_VALUES];
static int64_t slots[MOST_SLOTS];
static float values[2][MOST_VALUES], loaded[MOST_VALUES];

/* ---- the definition, by brute force ------------------------------------------------------------------------------ */

/* Bytes that the first `fixed` axes at `at` leave: [range[0], range[1]). */
static void block(const cache *c, const int64_t *at, int fixed, int64_t range[2])
{
    range[0] = c->first;
    for (int i = 0; i < fixed; i++) range[0] += at[i] * c->stride[i];
    range[1] = range[0] + c->core;
    for (int i = fixed; i < AXES; i++) range[c->stride[i] < 0 ? 0 : 1] += (c->count[i] - 1) * c->stride[i];
}

/* The place of block k of those that the first `fixed` axes make; 0 behind the last one. */
static int place(const cache *c, int64_t k, int fixed, int64_t at[AXES])
{
    for (int i = fixed - 1; i >= 0; i--) at[i] = k % c->count[i], k /= c->count[i];
    return k == 0;
}

static int blocks_meet(const cache *a, const cache *b, int fixed)
{
    int64_t at[AXES] = { 0 }, x[2], y[2];
    for (int64_t i = 0; place(a, i, fixed, at); i++) {
        block(a, at, fixed, x);
        for (int64_t j = 0; place(b, j, fixed, at); j++) {
            block(b, at, fixed, y);
            if (x[0] < y[1] && y[0] < x[1]) return 1;
        }
    }
    return 0;
}

/* By rising stride, each step clears everything inside it. */
static int nests(const cache *c)
{
    int done[AXES];
    int64_t extent = c->core;
    for (int i = 0; i < AXES; i++) done[i] = c->count[i] == 1;
    for (;;) {
        int next = -1;
        for (int i = 0; i < AXES; i++)
            if (!done[i] && (next < 0 || llabs(c->stride[i]) < llabs(c->stride[next]))) next = i;
        if (next < 0) return 1;
        if (llabs(c->stride[next]) < extent) return 0;
        extent += llabs(c->stride[next]) * (c->count[next] - 1);
        done[next] = 1;
    }
}

static int same_steps(const cache *a, const cache *b, int axis)
{
    return a->count[axis] == b->count[axis] && (a->count[axis] == 1 || a->stride[axis] == b->stride[axis]);
}

/* Disjoint hulls; or equal page strides and disjoint pages; or equal token strides, too, and disjoint tokens. */
static int apart(const cache *a, const cache *b)
{
    if (!blocks_meet(a, b, 0)) return 1;
    if (!same_steps(a, b, PAGE)) return 0;
    if (!blocks_meet(a, b, PAGE + 1)) return 1;
    const int rows = a->pages.tile == ROPEROT_PAGES_STRIDED && b->pages.tile == ROPEROT_PAGES_STRIDED;
    return rows && same_steps(a, b, TOKEN) && !blocks_meet(a, b, TOKEN + 1);
}

/* Marks the bytes of every slot; 0 if one is marked already. */
static int mark(const cache *c, unsigned char *map)
{
    int64_t at[AXES] = { 0 }, x[2];
    int fresh = 1;
    for (int64_t k = 0; place(c, k, AXES, at); k++) {
        block(c, at, AXES, x);
        for (int64_t i = x[0]; i < x[1]; i++) fresh &= !map[i], map[i] = 1;
    }
    return fresh;
}

/* ---- random caches on one buffer --------------------------------------------------------------------------------- */

static void choose_shape(cache *c)
{
    static const int32_t dtypes[] = { ROPEROT_F32, ROPEROT_F16, ROPEROT_I8, ROPEROT_I8, ROPEROT_Q8_0, ROPEROT_I8 };
    static const int64_t sizes[] = { 4, 2, 1, 1, 1, 4 };
    const uint32_t which = random_below(6);
    c->pages = (roperot_pages)ROPEROT_PAGES_INIT;
    c->pages.dtype = dtypes[which];
    c->pages.tile = which < 4 && !random_below(6) ? ROPEROT_PAGES_CHUNKED : ROPEROT_PAGES_STRIDED;
    c->is_scale = which == 5;
    c->size = sizes[which];
    c->dim = c->pages.dtype == ROPEROT_Q8_0 ? 32 : c->pages.tile ? 16 / c->size : 1 + (int64_t)random_below(4);
    c->heads = 1 + (int64_t)random_below(3);
    c->pages.pages = 1 + (int64_t)random_below(4);
    c->pages.page_tokens = 1 + (int64_t)random_below(4);
}

/* The axes of the shape; a tile has its tokens and channels in the core, Q8_0 its channels. */
static void set_axes(cache *c)
{
    const int tiled = c->pages.tile != ROPEROT_PAGES_STRIDED, blocked = c->pages.dtype == ROPEROT_Q8_0;
    const int has_channels = !tiled && !blocked && !c->is_scale;
    c->core = tiled ? c->pages.page_tokens * c->dim * c->size : blocked ? c->dim / 32 * 34 : c->size;
    c->count[PAGE] = c->pages.pages;
    c->count[TOKEN] = tiled ? 1 : c->pages.page_tokens;
    c->count[HEAD] = c->heads;
    c->count[CHANNEL] = has_channels ? c->dim : 1;
}

/* Channels inside heads and tokens, in either order, inside pages, with gaps; sometimes one element less. */
static void choose_strides(cache *c)
{
    const int swapped = !random_below(3),
              order[AXES] = { CHANNEL, swapped ? TOKEN : HEAD, swapped ? HEAD : TOKEN, PAGE };
    int64_t extent = c->core;
    for (int i = 0; i < AXES; i++) {
        const int axis = order[i];
        const int64_t gap = random_below(2) ? 0 : random_below(3) ? 2 * extent : c->size * (int64_t)random_below(5);
        c->stride[axis] = extent + gap - (random_below(20) ? 0 : c->size);
        extent += c->stride[axis] * (c->count[axis] - 1);
        if (!random_below(4)) c->stride[axis] = -c->stride[axis];
    }
}

/* The second of a pair has most of the first one's steps, now and then backwards. */
static void choose_like(cache *c, const cache *like)
{
    c->pages.pages = like->pages.pages;
    c->pages.page_tokens = like->pages.page_tokens;
    set_axes(c);
    choose_strides(c);
    for (int i = 0; i < AXES; i++)
        if (like->stride[i] % c->size == 0 && random_below(i < HEAD ? 8 : 2))
            c->stride[i] = random_below(9) ? like->stride[i] : -like->stride[i];
}

/* Codes one after the other, and their scales in the buffer. */
static void set_scales(cache *c, unsigned char *elsewhere)
{
    roperot_pages *const p = &c->pages;
    p->data = elsewhere;
    p->channel_stride = 1;
    p->head_stride = c->dim;
    p->token_stride = c->heads * c->dim;
    p->page_stride = p->page_tokens * p->token_stride;
    p->scaling = ROPEROT_SCALE_DYNAMIC;
    p->scale = (float *)(void *)(buffer + c->first);
    p->scale_page_stride = c->stride[PAGE] / c->size;
    p->scale_token_stride = c->stride[TOKEN] / c->size;
    p->scale_head_stride = c->stride[HEAD] / c->size;
    p->slots = slots;
}

static void set_pages(cache *c)
{
    roperot_pages *const p = &c->pages;
    const int64_t unit = p->dtype == ROPEROT_Q8_0 ? 1 : c->size;
    p->data = buffer + c->first;
    p->page_stride = c->stride[PAGE] / unit;
    p->head_stride = c->stride[HEAD] / unit;
    p->token_stride = p->tile ? 0 : c->stride[TOKEN] / unit;
    p->channel_stride = p->tile || p->dtype == ROPEROT_Q8_0 ? 0 : c->stride[CHANNEL] / unit;
    p->slots = slots;
}

static int fits(const cache *c)
{
    int64_t hull[2];
    block(c, NULL, 0, hull);
    return hull[0] >= 0 && hull[1] <= BYTES;
}

static void choose_pair(cache *a, cache *b)
{
    do {
        choose_shape(a);
        set_axes(a);
        choose_strides(a);
        choose_shape(b);
        if (random_below(8))
            choose_like(b, a);
        else
            set_axes(b), choose_strides(b);
        /* Beside each other, or as far apart as some steps of the first one's. */
        const int64_t steps = (int64_t)random_below(2) * a->stride[PAGE] + (int64_t)random_below(2) * a->stride[TOKEN];
        const int64_t more = (int64_t)random_below(3) * llabs(a->stride[HEAD]) + (int64_t)random_below(9) * 4;
        a->first = BYTES / 2;
        b->first = BYTES / 2 + (steps + (random_below(2) ? more : -more)) / 4 * 4;
        for (int i = 0; i < 2; i++) {
            cache *const c = i ? b : a;
            if (c->is_scale)
                set_scales(c, codes[i]);
            else
                set_pages(c);
        }
    } while (!fits(a) || !fits(b));
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

/* Job 0 fills the cache a; job 1 fills b, or reads it. */
typedef struct call {
    const roperot_plan *plan;
    roperot_tensor view[2];
    roperot_job job[2];
    int reads;
} call;

static void set_call(call *k, const cache *a, const cache *b)
{
    const cache *const each[2] = { a, b };
    const int64_t slots_a = a->pages.pages * a->pages.page_tokens, slots_b = b->pages.pages * b->pages.page_tokens;
    const int64_t tokens = slots_a < slots_b ? slots_a : slots_b;
    for (int i = 0; i < 2; i++) {
        roperot_job *const j = &k->job[i];
        const int reads = i == 1 && k->reads;
        k->view[i] = roperot_tensor_shd(reads ? loaded : values[i], ROPEROT_F32, tokens, each[i]->heads, each[i]->dim);
        *j = (roperot_job)ROPEROT_JOB_INIT;
        j->flags = ROPEROT_JOB_UNROTATED;
        *(reads ? &j->from : &j->to) = &each[i]->pages;
        *(reads ? &j->dst : &j->src) = &k->view[i];
        if (!reads) continue;
        j->batch = 1, j->tokens = tokens, j->heads = each[i]->heads, j->dim = each[i]->dim;
    }
}

/* What one call of both jobs did to the buffer must be what each of them does alone, in either order. */
static void compare_effect(const call *k)
{
    static unsigned char after[BYTES];
    static float read[MOST_VALUES];
    memcpy(after, buffer, BYTES);
    memcpy(read, loaded, sizeof loaded);
    for (int order = 0; order < 2; order++) {
        memcpy(buffer, before, BYTES);
        for (int i = 0; i < 2; i++)
            CHECK(!roperot_run(k->plan, NULL, &k->job[order ? 1 - i : i], 1, NULL), "alone: %s", roperot_last_error());
        CHECK(memcmp(after, buffer, BYTES) == 0, "order %d: together the jobs did something else", order);
        CHECK(memcmp(read, loaded, sizeof loaded) == 0, "order %d: together the jobs read something else", order);
    }
}

/* An allowed pair must share no byte, whatever the rule says of it. */
static void check_bytes(const cache *a, const cache *b, int reads)
{
    static unsigned char map[BYTES], other[BYTES];
    memset(map, 0, BYTES);
    memset(other, 0, BYTES);
    CHECK(mark(a, map), "the first cache overlaps itself");
    CHECK(mark(b, other) || reads, "the second cache overlaps itself");
    for (int i = 0; i < BYTES; i++) {
        CHECK(!map[i] || !other[i], "byte %d is in both caches", i);
        CHECK(map[i] || (other[i] && !reads) || buffer[i] == before[i], "byte %d is in neither cache, and written", i);
    }
}

static void random_pairs(const void *arg)
{
    call k = { .reads = *(const int *)arg };
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2;
    roperot_plan *const plan = expect_plan(&config);
    int64_t allowed = 0, beside = 0, refused = 0, scales = 0;
    k.plan = plan;
    for (int i = 0; i < MOST_SLOTS; i++) slots[i] = i;
    for (int i = 0; i < MOST_VALUES; i++) values[0][i] = (float)random_between(1, 9), values[1][i] = values[0][i] + 20;
    for (int i = 0; i < BYTES; i++) before[i] = (unsigned char)random_below(64);
    for (int i = 0; i < MOST_VALUES; i++) codes[1][i] = (unsigned char)i;
    for (int n = 0; n < (harness_quick() ? 12000 : 60000); n++) {
        cache a, b;
        choose_pair(&a, &b);
        set_call(&k, &a, &b);
        const int fine = nests(&a) && (k.reads || nests(&b)) && apart(&a, &b);
        memcpy(buffer, before, BYTES);
        const int32_t status = roperot_run(plan, NULL, k.job, 2, NULL);
        CHECK(status == (fine ? ROPEROT_OK : ROPEROT_ERROR_ALIAS),
              "pair %d, strides %lld %lld %lld %lld and %lld %lld %lld %lld bytes, %lld bytes between: %s: %s", n,
              (long long)a.stride[0], (long long)a.stride[1], (long long)a.stride[2], (long long)a.stride[3],
              (long long)b.stride[0], (long long)b.stride[1], (long long)b.stride[2], (long long)b.stride[3],
              (long long)(b.first - a.first), roperot_status_name(status), roperot_last_error());
        allowed += fine;
        beside += fine && blocks_meet(&a, &b, 0);
        refused += !fine;
        scales += fine && (a.is_scale || b.is_scale) && blocks_meet(&a, &b, 0);
        CHECK(fine || memcmp(before, buffer, BYTES) == 0, "pair %d: written in spite of an error", n);
        if (!fine) continue;
        check_bytes(&a, &b, k.reads);
        compare_effect(&k);
    }
    CHECK(allowed > 300 && beside > 150 && refused > 300 && scales > 50,
          "%lld allowed, %lld of them within each other, %lld with scales, %lld refused", (long long)allowed,
          (long long)beside, (long long)scales, (long long)refused);
    roperot_plan_destroy(plan);
}

/* A page of codes and, behind them, their scales: [tokens * heads * dim int8][tokens * heads f32]. */
static void scales_behind_codes(const void *arg)
{
    enum { PAGES = 3, PAGE_TOKENS = 4, CODES = PAGE_TOKENS * 2 * 6, STEP = CODES + PAGE_TOKENS * 2 * 4 };
    (void)arg;
    call k = { .reads = 0 };
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2;
    roperot_plan *const plan = expect_plan(&config);
    roperot_pages to = ROPEROT_PAGES_INIT;
    to.dtype = ROPEROT_I8;
    to.data = buffer;
    to.pages = PAGES, to.page_tokens = PAGE_TOKENS;
    to.page_stride = STEP, to.token_stride = 12, to.head_stride = 6;
    to.scaling = ROPEROT_SCALE_DYNAMIC;
    to.scale = (float *)(void *)(buffer + CODES);
    to.scale_page_stride = STEP / 4, to.scale_token_stride = 2, to.scale_head_stride = 1;
    to.slots = slots;
    for (int i = 0; i < MOST_SLOTS; i++) slots[i] = i;
    for (int i = 0; i < MOST_VALUES; i++) values[0][i] = 127;
    k.view[0] = roperot_tensor_shd(values[0], ROPEROT_F32, PAGES * PAGE_TOKENS, 2, 6);
    k.job[0] = (roperot_job)ROPEROT_JOB_INIT;
    k.job[0].flags = ROPEROT_JOB_UNROTATED;
    k.job[0].src = &k.view[0], k.job[0].to = &to;
    CHECK(!roperot_run(plan, NULL, k.job, 1, NULL), "%s", roperot_last_error());
    for (int i = 0; i < PAGES * STEP; i++) {
        static const float one = 1;
        const int in = i % STEP, want = in < CODES ? 127 : ((const unsigned char *)&one)[(in - CODES) % 4];
        CHECK(buffer[i] == want, "byte %d is %d, not %d", i, buffer[i], want);
    }
    to.scale_page_stride = STEP / 4 - 1;
    expect_error(roperot_run(plan, NULL, k.job, 1, NULL), ROPEROT_ERROR_ALIAS, "jobs[0].to.scale", "jobs[0].to");
    to.scale_page_stride = STEP / 4;
    to.scale--; /* in the last head's codes */
    expect_error(roperot_run(plan, NULL, k.job, 1, NULL), ROPEROT_ERROR_ALIAS, "jobs[0].to.scale", "jobs[0].to");
    roperot_plan_destroy(plan);
}

/* Pages that rise against pages that fall: the two second pages are one. */
static void opposite_strides(const void *arg)
{
    (void)arg;
    call k = { .reads = 0 };
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2;
    roperot_plan *const plan = expect_plan(&config);
    cache a = { .heads = 1, .dim = 16, .size = 4, .first = 0 }, b;
    a.pages = (roperot_pages)ROPEROT_PAGES_INIT;
    a.pages.pages = 2;
    set_axes(&a);
    a.stride[CHANNEL] = 4, a.stride[PAGE] = 64;
    b = a;
    b.first = 128, b.stride[PAGE] = -64;
    set_pages(&a);
    set_pages(&b);
    k.plan = plan;
    slots[0] = 0, slots[1] = 1;
    set_call(&k, &a, &b);
    expect_error(roperot_run(plan, NULL, k.job, 2, NULL), ROPEROT_ERROR_ALIAS, "jobs[1].to", "jobs[0].to");
    roperot_plan_destroy(plan);
}

/* ---- pages of bytes against every other place of a job ----------------------------------------------------------- */

enum { TOKENS = 4, HEADS = 2, DIM = 6, LENGTH = TOKENS * HEADS * DIM };
enum { SRC, DST, SLOTS, SCALE, DYNAMIC_SCALES, PLACES };

/* A job from src to dst and to pages; one of its places is in the buffer, beside or `by` bytes within the pages. */
typedef struct meeting {
    roperot_tensor src, dst;
    roperot_pages to;
    roperot_job job;
} meeting;

static void set_meeting(meeting *m, int which, int behind, int by)
{
    static float src[LENGTH], dst[LENGTH], scale[TOKENS * HEADS];
    static int64_t list[TOKENS];
    static const int64_t bytes[PLACES] = { sizeof src, sizeof dst, sizeof list, sizeof(float), sizeof scale };
    void *const place = buffer + BYTES / 2;
    float *const scales = which == SCALE || which == DYNAMIC_SCALES ? place : scale;
    int64_t *const lines = which == SLOTS ? place : list;
    for (int i = 0; i < TOKENS; i++) lines[i] = i;
    scales[0] = 1.0f;
    m->src = roperot_tensor_shd(which == SRC ? place : src, ROPEROT_F32, TOKENS, HEADS, DIM);
    m->dst = roperot_tensor_shd(which == DST ? place : dst, ROPEROT_F32, TOKENS, HEADS, DIM);
    m->to = (roperot_pages)ROPEROT_PAGES_INIT;
    m->to.dtype = ROPEROT_I8;
    m->to.data = (char *)place + (behind ? bytes[which] - by : by - LENGTH);
    m->to.pages = TOKENS;
    m->to.page_stride = HEADS * DIM, m->to.head_stride = DIM;
    m->to.slots = lines;
    m->to.scale = scales;
    m->to.scaling = which == DYNAMIC_SCALES ? ROPEROT_SCALE_DYNAMIC : ROPEROT_SCALE_STATIC;
    if (which == DYNAMIC_SCALES) m->to.scale_page_stride = HEADS, m->to.scale_head_stride = 1;
    m->job = (roperot_job)ROPEROT_JOB_INIT;
    m->job.flags = ROPEROT_JOB_UNROTATED;
    m->job.src = &m->src, m->job.dst = &m->dst, m->job.to = &m->to;
}

/* One byte of the pages at either end is in the place, or they touch it. */
static void one_byte(const void *arg)
{
    static const char *const names[PLACES] = { "src", "dst", "slots", "scale", "dynamic scales" };
    (void)arg;
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2;
    roperot_plan *const plan = expect_plan(&config);
    for (int which = 0; which < PLACES; which++)
        for (int behind = 0; behind < 2; behind++)
            for (int by = 0; by < 2; by++) {
                meeting m;
                set_meeting(&m, which, behind, by);
                memcpy(before, buffer, BYTES);
                const int32_t status = roperot_run(plan, NULL, &m.job, 1, NULL);
                CHECK(status == (by ? ROPEROT_ERROR_ALIAS : ROPEROT_OK), "%d bytes of %s, %s: %s", by, names[which],
                      behind ? "behind" : "before", status ? roperot_last_error() : roperot_status_name(status));
                CHECK(!by || memcmp(before, buffer, BYTES) == 0, "%s: written in spite of an error", names[which]);
            }
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const int reads[] = { 0, 1 };
    harness_add(random_pairs, &reads[0], "two-written");
    harness_add(random_pairs, &reads[1], "written-and-read");
    harness_add(one_byte, NULL, "one-byte");
    harness_add(opposite_strides, NULL, "opposite-strides");
    harness_add(scales_behind_codes, NULL, "scales-behind-codes");
    return harness_run(argc, argv, "run_alias");
}
