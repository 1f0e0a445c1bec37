/* SPDX-License-Identifier: MIT
 * The last value that is allowed and the first that is not, where one missing check would go unnoticed elsewhere; it
 * must not know which check it holds. */
#include <fenv.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"

enum { DIM = 64, ROWS = 16 };

static const float one_row[DIM] = { 1 };

/* ---- positions --------------------------------------------------------------------------------------------------- */

typedef struct cache_case {
    const char *name;
    int32_t cache, angles;
} cache_case;

static const cache_case caches[] = { { "full", ROPEROT_CACHE_FULL, ROPEROT_ANGLES_EXACT },
                                     { "factored", ROPEROT_CACHE_FACTORED, ROPEROT_ANGLES_EXACT },
                                     { "f32-angles", ROPEROT_CACHE_FULL, ROPEROT_ANGLES_F32 },
                                     { "borrowed", ROPEROT_CACHE_BORROWED, ROPEROT_ANGLES_EXACT } };
enum { CACHES = sizeof caches / sizeof *caches };

/* ROWS positions; a borrowed table ends right before a page that cannot be read. */
static roperot_plan *plan_of(const cache_case *k, guard_buffer *memory)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    roperot_table table = ROPEROT_TABLE_INIT;
    c.head_dim = DIM;
    c.max_positions = ROWS;
    c.cache = k->cache;
    c.angles = k->angles;
    *memory = guard_buffer_open((size_t)ROWS * DIM * sizeof(float), GUARD_HIGH);
    for (size_t i = 0; i < (size_t)ROWS * DIM; i++) memcpy(memory->data + 4 * i, &one_row[i % DIM], 4);
    if (k->cache == ROPEROT_CACHE_BORROWED) {
        table.cos = memory->data;
        table.sin = memory->data + DIM / 2 * sizeof(float);
        table.rows = ROWS;
        table.row_stride = DIM;
        c.table = &table;
    }
    return expect_plan(&c);
}

enum { OFFSET, I32, I64, BOTH_I32, KINDS_OF_POSITIONS };

/* Tokens first .. first + tokens - 1 said in one of the ways that a runtime says it. */
static int32_t rotate_at(const roperot_plan *plan, int kind, int64_t first, int64_t tokens, uint32_t flags,
                         int same_view)
{
    int32_t narrow[ROWS];
    int64_t wide[ROWS];
    const int64_t by_offset = kind == BOTH_I32 ? first : 0;
    for (int64_t t = 0; t < tokens; t++) {
        wide[t] = first + t - by_offset;
        narrow[t] = (int32_t)wide[t];
    }
    roperot_positions at = kind == OFFSET ? roperot_positions_offset(first)
                           : kind == I64  ? roperot_positions_i64(wide, 0)
                                          : roperot_positions_i32(narrow, 0);
    if (kind == BOTH_I32) at.offset = by_offset;
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, tokens, 2, DIM), before = guarded_tensor_clone(&x);
    roperot_options options = ROPEROT_OPTIONS_INIT;
    options.flags = flags;
    const int32_t status = roperot_apply(plan, &at, &x.view, same_view ? &x.view : NULL, 1, flags ? &options : NULL);
    if (status) guarded_tensor_check_equal(&x, &before, "a refused call");
    guarded_tensor_close(&x);
    guarded_tensor_close(&before);
    return status;
}

/* max_positions - tokens is the last allowed first position, for few tokens and many, in every way of calling. */
static void last_position(const void *arg)
{
    guard_buffer memory;
    roperot_plan *const plan = plan_of(arg, &memory);
    for (int kind = 0; kind < KINDS_OF_POSITIONS; kind++)
        for (int64_t tokens = 1; tokens <= 3; tokens++)
            for (int same = 0; same < 2; same++)
                for (int is_signed = 0; is_signed < 2; is_signed++) {
                    const uint32_t flags = is_signed ? ROPEROT_SIGNED_POSITIONS : 0;
                    const int64_t last = ROWS - tokens, first = is_signed ? 1 - ROWS : 0;
                    CHECK(rotate_at(plan, kind, last, tokens, flags, same) == ROPEROT_OK, "kind %d, %d tokens: %s",
                          kind, (int)tokens, roperot_last_error());
                    expect_error(rotate_at(plan, kind, last + 1, tokens, flags, same), ROPEROT_ERROR_POSITION,
                                 "position", "16");
                    CHECK(rotate_at(plan, kind, first, tokens, flags, same) == ROPEROT_OK, "kind %d, %d tokens: %s",
                          kind, (int)tokens, roperot_last_error());
                    expect_error(rotate_at(plan, kind, first - 1, tokens, flags, same), ROPEROT_ERROR_POSITION,
                                 "position", is_signed ? "-16" : "-1");
                }
    roperot_plan_destroy(plan);
    guard_buffer_close(&memory);
}

/* A few tokens whose ids lie apart, backwards or are one: as the same tokens with packed ids. */
static void ids_with_strides(const void *arg)
{
    guard_buffer memory;
    roperot_plan *const plan = plan_of(arg, &memory);
    static const int32_t ids[9] = { 3, 11, 7, 2, 9, 15, 1, 0, 5 };
    for (int64_t stride = -3; stride <= 3; stride++)
        for (int64_t tokens = 1; tokens <= 3; tokens++) {
            int32_t packed[3];
            for (int64_t t = 0; t < tokens; t++)
                packed[t] = ids[4 + t * stride > 8 ? 8 : 4 + t * stride < 0 ? 0 : 4 + t * stride];
            roperot_positions at = roperot_positions_i32(ids + 4, 0), plain = roperot_positions_i32(packed, 0);
            if (4 + (tokens - 1) * stride > 8 || 4 + (tokens - 1) * stride < 0) continue;
            at.token_stride = stride;
            guarded_tensor got = guarded_tensor_plain(ROPEROT_F32, 1, tokens, 2, DIM),
                           want = guarded_tensor_clone(&got);
            CHECK(!roperot_apply(plan, &at, &got.view, NULL, 1, NULL), "%s", roperot_last_error());
            CHECK(!roperot_apply(plan, &plain, &want.view, NULL, 1, NULL), "%s", roperot_last_error());
            guarded_tensor_check_equal(&got, &want, "ids with a stride");
            guarded_tensor_close(&got);
            guarded_tensor_close(&want);
        }
    roperot_plan_destroy(plan);
    guard_buffer_close(&memory);
}

/* Nothing is read for nothing: ids that end where the call's batch of 0, or its heads, do. And the strides of axes of
 * one element may be anything. */
static void empty_calls(const void *arg)
{
    guard_buffer memory, none = guard_buffer_open(8, GUARD_HIGH);
    roperot_plan *const plan = plan_of(arg, &memory);
    float x[DIM] = { 1 };
    for (int32_t type = ROPEROT_POSITIONS_I32; type <= ROPEROT_POSITIONS_I64; type++)
        for (int axis = 0; axis < 3; axis++) {
            roperot_positions at = roperot_positions_i64((const int64_t *)(const void *)(none.data + 8), 0);
            at.type = type;
            roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, 1, 1, DIM);
            view.shape[axis] = 0;
            CHECK(roperot_apply(plan, &at, &view, NULL, 1, NULL) == ROPEROT_OK, "axis %d: %s", axis,
                  roperot_last_error());
        }
    const roperot_positions fine = roperot_positions_offset(1);
    for (int axis = 0; axis < 3; axis++) {
        roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, 1, 1, DIM);
        view.stride[axis] = INT64_MIN + 5;
        CHECK(roperot_apply(plan, &fine, &view, NULL, 1, NULL) == ROPEROT_OK, "axis %d: %s", axis,
              roperot_last_error());
    }
    roperot_plan_destroy(plan);
    guard_buffer_close(&memory);
    guard_buffer_close(&none);
}

/* Addresses between elements, by every distance, of ids and of views. */
static void misaligned(const void *arg)
{
    guard_buffer memory;
    roperot_plan *const plan = plan_of(arg, &memory);
    _Alignas(8) unsigned char ids[2 * sizeof(int64_t)] = { 0 }, data[(DIM + 2) * sizeof(float)] = { 0 };
    for (uintptr_t by = 1; by < 8; by++) {
        const void *const at_id = ids + by;
        const roperot_positions wide = roperot_positions_i64(at_id, 0), narrow = roperot_positions_i32(at_id, 0),
                                fine = roperot_positions_offset(1);
        roperot_tensor x = roperot_tensor_shd(data, ROPEROT_F32, 1, 1, DIM);
        expect_error(roperot_apply(plan, &wide, &x, NULL, 1, NULL), ROPEROT_ERROR_ARGUMENT, "ids", "8");
        if (by % 4) expect_error(roperot_apply(plan, &narrow, &x, NULL, 1, NULL), ROPEROT_ERROR_ARGUMENT, "ids", "4");
        x.data = data + by;
        if (by % 4) expect_error(roperot_apply(plan, &fine, &x, NULL, 1, NULL), ROPEROT_ERROR_ARGUMENT, "data", "4");
        x.dtype = ROPEROT_F16;
        if (by % 2) expect_error(roperot_apply(plan, &fine, &x, NULL, 1, NULL), ROPEROT_ERROR_ARGUMENT, "data", "2");
    }
    roperot_plan_destroy(plan);
    guard_buffer_close(&memory);
}

/* An id plus an offset that leaves 64 bits is far out, not somewhere inside. */
static void sums_saturate(const void *arg)
{
    (void)arg;
    static const int64_t sums[][2] = { { INT64_MIN, INT64_MIN },
                                       { INT64_MAX, INT64_MAX },
                                       { INT64_MIN, -1 },
                                       { INT64_MAX, 1 },
                                       { -2, INT64_MIN },
                                       { 2, INT64_MAX },
                                       { INT64_MIN / 2, INT64_MIN / 2 - 1 } };
    static const int64_t cu[] = { 0, 3 };
    for (int32_t bounds = ROPEROT_BOUNDS_ERROR; bounds <= ROPEROT_BOUNDS_IDENTITY; bounds++) {
        roperot_config c = ROPEROT_CONFIG_INIT;
        c.head_dim = DIM;
        c.max_positions = ROWS;
        c.bounds = bounds;
        roperot_plan *const plan = expect_plan(&c);
        for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
            for (int32_t kind = ROPEROT_POSITIONS_IDS; kind <= ROPEROT_POSITIONS_RAGGED; kind++) {
                const int64_t id[3] = { sums[i][0], sums[i][0], sums[i][0] };
                roperot_positions at = roperot_positions_i64(id, 0), clamped;
                guarded_tensor got = guarded_tensor_plain(ROPEROT_F32, 1, 3, 1, DIM), want = guarded_tensor_clone(&got);
                at.kind = kind;
                at.offset = sums[i][1];
                at.cu_seqlens = cu;
                at.cu_type = ROPEROT_POSITIONS_I64;
                at.sequences = 1;
                const int64_t end = sums[i][0] < 0 ? 0 : ROWS - 1, ends[3] = { end, end, end };
                clamped = roperot_positions_i64(ends, 0);
                const int32_t status = roperot_apply(plan, &at, &got.view, NULL, 1, NULL);
                if (bounds == ROPEROT_BOUNDS_ERROR) {
                    expect_error(status, ROPEROT_ERROR_POSITION, "position",
                                 sums[i][0] < 0 ? "-9223372036" : "9223372036");
                } else {
                    CHECK(status == ROPEROT_OK, "sum %zu, kind %d: %s", i, kind, roperot_last_error());
                    if (bounds == ROPEROT_BOUNDS_CLAMP)
                        CHECK(!roperot_apply(plan, &clamped, &want.view, NULL, 1, NULL), "%s", roperot_last_error());
                }
                guarded_tensor_check_equal(&got, &want, bounds == ROPEROT_BOUNDS_CLAMP ? "clamped" : "left alone");
                guarded_tensor_close(&got);
                guarded_tensor_close(&want);
            }
        roperot_plan_destroy(plan);
    }
}

/* The sum of all three is what counts: a sum of two that leaves 64 bits is not brought back by the third. */
static void sums_of_three(const void *arg)
{
    (void)arg;
    static const int64_t cu[] = { 0, 3 }, id = INT64_MAX;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.max_positions = ROWS;
    roperot_plan *const plan = expect_plan(&c);
    for (int32_t kind = ROPEROT_POSITIONS_STARTS; kind <= ROPEROT_POSITIONS_RAGGED; kind++) {
        guarded_tensor got = guarded_tensor_plain(ROPEROT_F32, 1, 3, 1, DIM), want = guarded_tensor_clone(&got);
        roperot_positions at = roperot_positions_i64(&id, 0);
        const roperot_positions plain = roperot_positions_offset(5);
        at.kind = kind;
        at.offset = -(INT64_MAX - 5);
        at.cu_seqlens = cu;
        at.cu_type = ROPEROT_POSITIONS_I64;
        at.sequences = 1;
        CHECK(!roperot_apply(plan, &at, &got.view, NULL, 1, NULL), "kind %d: %s", kind, roperot_last_error());
        CHECK(!roperot_apply(plan, &plain, &want.view, NULL, 1, NULL), "%s", roperot_last_error());
        guarded_tensor_check_equal(&got, &want, "positions 5, 6 and 7");
        guarded_tensor_close(&got);
        guarded_tensor_close(&want);
    }
    roperot_plan_destroy(plan);
}

/* ---- token ranges through an executor ---------------------------------------------------------------------------- */

typedef struct tasks {
    int64_t most;
    int backwards;
} tasks;

static void in_order(void *ctx, int64_t count, void (*task)(void *arg, int64_t index), void *arg)
{
    tasks *const t = ctx;
    for (int64_t i = 0; i < count; i++) task(arg, t->backwards ? count - 1 - i : i);
    if (count > t->most) t->most = count;
}

/* Tasks are cut on cache lines; the range's own ends are not. Gaps of one element make every line odd. */
static void ranges_with_executor(const void *arg)
{
    enum { TOKENS = 4096, NARROW = 12 };
    const int32_t dtype = *(const int32_t *)arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = NARROW;
    c.max_positions = TOKENS;
    roperot_plan *const plan = expect_plan(&c);
    const roperot_positions at = roperot_positions_offset(0);
    const guarded_tensor start =
        guarded_tensor_open(dtype, 1, TOKENS, 3, NARROW, (views_layout){ VIEWS_BSHD, GUARD_LOW, 1, 0 });
    for (int64_t begin = 0; begin < 64; begin += harness_quick() ? 3 : 1) {
        guarded_tensor got = guarded_tensor_clone(&start), want = guarded_tensor_clone(&start);
        tasks t = { 0, begin & 1 };
        roperot_options o = ROPEROT_OPTIONS_INIT;
        o.token_begin = begin;
        o.token_end = TOKENS - begin / 2;
        CHECK(!roperot_apply(plan, &at, &want.view, NULL, 1, &o), "%s", roperot_last_error());
        o.parallel_for = in_order;
        o.ctx = &t;
        o.threads = 5;
        CHECK(!roperot_apply(plan, &at, &got.view, NULL, 1, &o), "%s", roperot_last_error());
        CHECK(t.most > 1, "the call was not shared out");
        guarded_tensor_check_equal(&got, &want, "a range through an executor");
        const size_t before = (size_t)(begin * start.view.stride[1]) * format_bytes(dtype);
        CHECK(!before || memcmp(got.memory.data, start.memory.data, before) == 0,
              "token_begin %d: tokens before it changed", (int)begin);
        guarded_tensor_close(&got);
        guarded_tensor_close(&want);
    }
    guarded_tensor close = start;
    guarded_tensor_close(&close);
    roperot_plan_destroy(plan);
}

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static roperot_plan *plan_with_table(int32_t isa, float *cosine, float *sine, double factor)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = cosine;
    table.sin = sine;
    table.rows = 1;
    table.row_stride = DIM / 2;
    c.head_dim = DIM;
    c.table = &table;
    c.isa = isa;
    c.attention_factor = factor;
    return expect_plan(&c);
}

/* A NaN whose payload is in the low half of an f32 must not be rounded to a number. */
static void odd_nan_at(int32_t isa, int in_sin, int j, uint32_t bits)
{
    float cosine[DIM / 2], sine[DIM / 2];
    for (int i = 0; i < DIM / 2; i++) cosine[i] = 1, sine[i] = 0;
    (in_sin ? sine : cosine)[j] = format_float(bits);
    for (int factor = 1; factor <= 2; factor++) {
        roperot_plan *const plan = plan_with_table(isa, cosine, sine, factor);
        const roperot_positions at = roperot_positions_offset(0);
        for (int32_t src = ROPEROT_F32; src < ROPEROT_DTYPE_END; src++)
            for (int32_t dst = ROPEROT_F32; dst < ROPEROT_DTYPE_END; dst++) {
                if (src != dst && src != ROPEROT_F32 && dst != ROPEROT_F32) continue;
                guarded_tensor x = guarded_tensor_plain(src, 1, 1, 1, DIM), y = guarded_tensor_plain(dst, 1, 1, 1, DIM);
                CHECK(!roperot_apply(plan, &at, &x.view, &y.view, 1, NULL), "%s", roperot_last_error());
                for (int i = 0; i < DIM; i++) {
                    const int is_nan = format_is_nan(dst, format_load(dst, views_at(&y.view, 0, 0, 0, i)));
                    CHECK(is_nan == (i % (DIM / 2) == j), "%s, NaN 0x%x in %s[%d], %s to %s: channel %d is %sa NaN",
                          roperot_isa_name(isa), (unsigned)bits, in_sin ? "sin" : "cos", j, format_name(src),
                          format_name(dst), i, is_nan ? "" : "not ");
                }
                guarded_tensor_close(&x);
                guarded_tensor_close(&y);
            }
        roperot_plan_destroy(plan);
    }
}

static void odd_nans(const void *arg)
{
    static const uint32_t patterns[] = { 0x7fffffffu, 0x7f800001u, 0xffffffffu, 0xff80ffffu };
    const int32_t isa = *(const int32_t *)arg;
    for (size_t i = 0; i < sizeof patterns / sizeof *patterns; i++)
        for (int in_sin = 0; in_sin < 2; in_sin++)
            for (int j = 0; j < DIM / 2; j += 31) odd_nan_at(isa, in_sin, j, patterns[i]);
}

/* -0 and +0 are one frequency: no way to the same angle may tell them apart, not even in the sign of a zero. */
static void negative_zero(const void *arg)
{
    double positive[DIM / 2] = { 0 }, negative[DIM / 2];
    for (int j = 0; j < DIM / 2; j++) negative[j] = j % 2 ? 0.5 : -0.0, positive[j] = j % 2 ? 0.5 : 0.0;
    const cache_case *const k = arg;
    uint32_t rows[2][2][ROWS * DIM]; /* [which][real] */
    static const float coordinates[ROWS] = { -3, 0, 3, 1.5f };
    for (int which = 0; which < 2; which++) {
        roperot_config c = ROPEROT_CONFIG_INIT;
        c.head_dim = DIM;
        c.max_positions = 4096;
        c.cache = k->cache;
        c.angles = k->angles;
        c.inv_freq = which ? negative : positive;
        c.pairs = DIM / 2;
        roperot_plan *const plan = expect_plan(&c);
        roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
        CHECK(!roperot_plan_describe(plan, &info), "%s", roperot_last_error());
        for (int j = 0; j < DIM / 2; j += 2) CHECK(!signbit(info.inv_freq[j]), "frequency %d is -0", j);
        for (int real = 0; real < 2; real++) {
            roperot_positions at = roperot_positions_offset(4096 - ROWS);
            if (real) {
                at.kind = ROPEROT_POSITIONS_IDS;
                at.type = ROPEROT_POSITIONS_F32;
                at.ids = coordinates;
                at.token_stride = 1;
                at.offset = 0;
            }
            roperot_table table = ROPEROT_TABLE_INIT;
            table.cos = rows[which][real];
            table.sin = rows[which][real] + DIM / 2;
            table.rows = ROWS;
            table.row_stride = DIM;
            CHECK(!roperot_cos_sin(plan, &at, 1, ROWS, &table), "%s", roperot_last_error());
            /* Minus a coordinate times 0 is -0 by right: there only both plans are compared. */
            for (int i = 0; i < ROWS * DIM && !real; i++)
                if (i % 2 == 0)
                    CHECK(rows[which][0][i] == (i % DIM < DIM / 2 ? format_bits(1) : 0), "value %d is 0x%x", i,
                          (unsigned)rows[which][0][i]);
        }
        roperot_plan_destroy(plan);
    }
    CHECK(memcmp(rows[0], rows[1], sizeof rows[0]) == 0, "-0 and +0 are not one frequency");
}

/* ---- the caller's floating-point flags --------------------------------------------------------------------------- */

/* What makes plans, tables and frequencies leaves the caller's sticky flags as they were, raised or not. */
static void sticky_flags(const void *arg)
{
    const cache_case *const k = arg;
    static const int raised[] = { 0, FE_ALL_EXCEPT, FE_INEXACT, FE_OVERFLOW | FE_DIVBYZERO };
    guard_buffer memory;
    roperot_plan_destroy(plan_of(k, &memory));
    for (size_t i = 0; i < sizeof raised / sizeof *raised; i++) {
        guard_buffer other;
        float rows[ROWS * DIM];
        double w[DIM / 2];
        int after[3];
        roperot_table table = ROPEROT_TABLE_INIT;
        const roperot_positions at = roperot_positions_offset(0);
        table.cos = rows;
        table.sin = rows + DIM / 2;
        table.rows = ROWS;
        table.row_stride = DIM;
        feclearexcept(FE_ALL_EXCEPT);
        feraiseexcept(raised[i]);
        /* feraiseexcept may raise inexact beside overflow */
        const int before = fetestexcept(FE_ALL_EXCEPT);
        roperot_plan *const plan = plan_of(k, &other);
        after[0] = fetestexcept(FE_ALL_EXCEPT);
        const int32_t made = roperot_cos_sin(plan, &at, 1, ROWS, &table);
        after[1] = fetestexcept(FE_ALL_EXCEPT);
        const int32_t status = roperot_frequencies(NULL, DIM, 5e5, w, DIM / 2, NULL);
        after[2] = fetestexcept(FE_ALL_EXCEPT);
        feclearexcept(FE_ALL_EXCEPT);
        CHECK(!made && !status, "%s", roperot_last_error());
        for (int f = 0; f < 3; f++)
            CHECK(after[f] == before, "%s: flags 0x%x became 0x%x",
                  f == 0   ? "plan_create"
                  : f == 1 ? "cos_sin"
                           : "frequencies",
                  (unsigned)before, (unsigned)after[f]);
        roperot_plan_destroy(plan);
        guard_buffer_close(&other);
    }
    guard_buffer_close(&memory);
}

/* ---- views that do not agree ------------------------------------------------------------------------------------- */

/* One token of one sequence, and a second view that has more of either: refused, however short the call is. */
static void views_of_another_shape(const void *arg)
{
    const cache_case *const k = arg;
    guard_buffer memory;
    roperot_plan *const plan = plan_of(k, &memory);
    const roperot_positions at = roperot_positions_offset(1);
    for (int axis = 0; axis < 2; axis++)
        for (int which = 0; which < 2; which++) {
            float x[2][4 * DIM] = { { 1 }, { 2 } }, before[2][4 * DIM];
            roperot_tensor view[2];
            for (int i = 0; i < 2; i++) {
                const int64_t more = i == which ? 2 : 1;
                view[i] = roperot_tensor_bshd(x[i], ROPEROT_F32, axis ? 1 : more, axis ? more : 1, 1, DIM);
            }
            memcpy(before, x, sizeof x);
            expect_error(roperot_apply(plan, &at, view, NULL, 2, NULL), ROPEROT_ERROR_SHAPE, "src[1]",
                         which ? "2" : "1");
            CHECK(!memcmp(before, x, sizeof x), "a refused call wrote");
        }
    roperot_plan_destroy(plan);
    guard_buffer_close(&memory);
}

/* One view in place and one that moves, in either order: each goes where its own dst is. */
static void one_in_place_one_moved(const void *arg)
{
    const cache_case *const k = arg;
    guard_buffer memory;
    roperot_plan *const plan = plan_of(k, &memory);
    const roperot_positions at = roperot_positions_offset(1);
    for (int moved = 0; moved < 2; moved++) {
        float x[2][DIM], y[DIM] = { 0 }, want[2][DIM], before[DIM];
        roperot_tensor src[2], dst[2];
        for (int i = 0; i < 2; i++) {
            for (int d = 0; d < DIM; d++) x[i][d] = want[i][d] = (float)(d + 3 * i - 9);
            src[i] = roperot_tensor_shd(x[i], ROPEROT_F32, 1, 1, DIM);
            dst[i] = roperot_tensor_shd(i == moved ? y : x[i], ROPEROT_F32, 1, 1, DIM);
            const roperot_tensor one = roperot_tensor_shd(want[i], ROPEROT_F32, 1, 1, DIM);
            CHECK(!roperot_apply(plan, &at, &one, NULL, 1, NULL), "%s", roperot_last_error());
        }
        memcpy(before, x[moved], sizeof before);
        CHECK(!roperot_apply(plan, &at, src, dst, 2, NULL), "%s", roperot_last_error());
        CHECK(!memcmp(before, x[moved], sizeof before), "the source of the view that moves was written");
        CHECK(!memcmp(y, want[moved], sizeof y), "the view that moves");
        CHECK(!memcmp(x[1 - moved], want[1 - moved], sizeof y), "the view that stays");
        /* What moves onto the view that stays is refused, and nothing is written. */
        dst[moved].data = x[1 - moved];
        memcpy(want, x, sizeof want);
        CHECK(roperot_apply(plan, &at, src, dst, 2, NULL) == ROPEROT_ERROR_ALIAS, "a view moves onto another");
        CHECK(!memcmp(x, want, sizeof x), "written for all that");
    }
    roperot_plan_destroy(plan);
    guard_buffer_close(&memory);
}

/* ---- integers at their ends -------------------------------------------------------------------------------------- */

static void dtypes(const void *arg)
{
    (void)arg;
    static const int32_t wrong[] = { INT32_MIN, INT32_MIN + 1, INT32_MAX, -1, 0 };
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&c);
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        for (int out = 0; out < 2; out++)
            for (int which = 0; which < 2; which++) {
                float x[2 * DIM] = { 1 }, y[2 * DIM] = { 0 };
                const roperot_positions at = roperot_positions_offset(3);
                roperot_tensor src[2] = { roperot_tensor_shd(x, ROPEROT_F32, 1, 1, DIM),
                                          roperot_tensor_shd(x + DIM, ROPEROT_F32, 1, 1, DIM) };
                roperot_tensor dst[2] = { roperot_tensor_shd(y, ROPEROT_F32, 1, 1, DIM),
                                          roperot_tensor_shd(y + DIM, ROPEROT_F32, 1, 1, DIM) };
                (out ? dst : src)[which].dtype = wrong[i];
                char value[16];
                snprintf(value, sizeof value, "%d", (int)wrong[i]);
                expect_error(roperot_apply(plan, &at, src, out ? dst : NULL, 2, NULL), ROPEROT_ERROR_DTYPE, "dtype",
                             value);
                roperot_table table = ROPEROT_TABLE_INIT;
                table.cos = x;
                table.sin = y;
                table.rows = 1;
                table.dtype = wrong[i];
                expect_error(roperot_cos_sin(plan, &at, 1, 1, &table), ROPEROT_ERROR_DTYPE, "dtype", value);
            }
    roperot_plan_destroy(plan);
}

/* Strides of tables whose multiples leave 64 bits. */
static void table_strides(const void *arg)
{
    (void)arg;
    static const int64_t strides[] = { INT64_MAX,         INT64_MAX / 2 + 1, INT64_MAX / 2,
                                       INT64_MAX / 4 + 1, INT64_MIN,         INT64_MIN / 2 - 1 };
    roperot_config plain = ROPEROT_CONFIG_INIT;
    plain.head_dim = DIM;
    roperot_plan *const plan = expect_plan(&plain), *none;
    for (int32_t width = ROPEROT_TABLE_HALF; width <= ROPEROT_TABLE_FULL_REPEAT; width++)
        for (size_t i = 0; i < sizeof strides / sizeof *strides; i++)
            for (int rows = 0; rows < 2; rows++) {
                float values[2 * DIM] = { 0 };
                const roperot_positions at = roperot_positions_offset(0);
                roperot_table table = ROPEROT_TABLE_INIT;
                table.cos = values;
                table.sin = values + DIM;
                table.rows = 3;
                table.row_stride = rows ? strides[i] : DIM;
                table.element_stride = rows ? 1 : strides[i];
                table.width = width;
                char value[24];
                snprintf(value, sizeof value, "%lld", (long long)strides[i]);
                expect_error(roperot_cos_sin(plan, &at, 1, 3, &table), ROPEROT_ERROR_SHAPE, "stride", value);
                roperot_config c = plain;
                c.table = &table;
                expect_error(roperot_plan_create(&c, &none), ROPEROT_ERROR_SHAPE, "stride", value);
            }
    roperot_plan_destroy(plan);
}

/* One view's one token that moves, without options, takes a way of its own; with options as they come it does not. Both
 * must say and write the same, right or wrong. */
static void same_as_with_options(const roperot_plan *plan, const roperot_positions *at, const guarded_tensor *src,
                                 const guarded_tensor *dst, int32_t want, const char *what)
{
    const roperot_options o = ROPEROT_OPTIONS_INIT;
    char sentence[256];
    guarded_tensor other = guarded_tensor_clone(dst);
    const int32_t status = roperot_apply(plan, at, &src->view, &other.view, 1, &o);
    snprintf(sentence, sizeof sentence, "%s", roperot_last_error());
    const int32_t got = roperot_apply(plan, at, &src->view, &dst->view, 1, NULL);
    CHECK(status == want && got == want, "%s: status %d and, with options, %d", what, got, status);
    CHECK(!want || strcmp(sentence, roperot_last_error()) == 0, "%s: %s and, with options, %s", what,
          roperot_last_error(), sentence);
    guarded_tensor_check_equal(dst, &other, what);
    guarded_tensor_close(&other);
}

static void moved_token_of(const roperot_plan *plan, int32_t from, int32_t into)
{
    static const views_layout layouts[] = { { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_LOW, 6, 0 } };
    const int32_t id = 3;
    for (int i = 0; i < 4; i++) {
        guarded_tensor src = guarded_tensor_open(from, 1, 1, 5, DIM, layouts[i & 1]);
        guarded_tensor dst = guarded_tensor_open(into, 1, 1, 5, DIM, layouts[i >> 1]);
        roperot_positions at = roperot_positions_offset(31);
        same_as_with_options(plan, &at, &src, &dst, ROPEROT_OK, "the last position");
        at.offset = 32;
        same_as_with_options(plan, &at, &src, &dst, ROPEROT_ERROR_POSITION, "one behind the last");
        at.offset = -1;
        same_as_with_options(plan, &at, &src, &dst, ROPEROT_ERROR_POSITION, "one before the first");
        at = roperot_positions_i32(&id, 0);
        at.offset = 2;
        same_as_with_options(plan, &at, &src, &dst, ROPEROT_OK, "an id");
        at.kind = 77;
        same_as_with_options(plan, &at, &src, &dst, ROPEROT_ERROR_ARGUMENT, "no kind of positions");
        at = roperot_positions_offset(4);
        dst.view.shape[2] = 4;
        same_as_with_options(plan, &at, &src, &dst, ROPEROT_ERROR_SHAPE, "fewer heads");
        guarded_tensor_close(&src), guarded_tensor_close(&dst);
    }
}

static void moved_token(const void *arg)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.max_positions = 32;
    c.cache = ROPEROT_CACHE_FULL;
    c.pairing = *(const int32_t *)arg;
    roperot_plan *const plan = expect_plan(&c);
    for (int32_t from = ROPEROT_F32; from < ROPEROT_DTYPE_END; from++)
        for (int32_t into = ROPEROT_F32; into < ROPEROT_DTYPE_END; into++)
            if (from == into || from == ROPEROT_F32 || into == ROPEROT_F32) moved_token_of(plan, from, into);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const int32_t pairings[] = { ROPEROT_PAIR_HALF, ROPEROT_PAIR_INTERLEAVED };
    static int32_t isas[ROPEROT_ISA_END], dtypes_of[ROPEROT_DTYPE_END];
    for (size_t i = 0; i < CACHES; i++) {
        harness_add(last_position, &caches[i], "last-position/%s", caches[i].name);
        harness_add(ids_with_strides, &caches[i], "ids-with-strides/%s", caches[i].name);
        harness_add(empty_calls, &caches[i], "empty-calls/%s", caches[i].name);
        harness_add(misaligned, &caches[i], "misaligned/%s", caches[i].name);
        harness_add(sticky_flags, &caches[i], "sticky-flags/%s", caches[i].name);
        harness_add(views_of_another_shape, &caches[i], "views-of-another-shape/%s", caches[i].name);
        harness_add(one_in_place_one_moved, &caches[i], "one-in-place-one-moved/%s", caches[i].name);
        if (caches[i].cache != ROPEROT_CACHE_BORROWED)
            harness_add(negative_zero, &caches[i], "negative-zero-frequency/%s", caches[i].name);
    }
    harness_add(sums_saturate, NULL, "position-sums-saturate");
    harness_add(sums_of_three, NULL, "position-sums-of-three");
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++) {
        dtypes_of[dtype] = dtype;
        harness_add(ranges_with_executor, &dtypes_of[dtype], "ranges-with-executor/%s", format_name(dtype));
    }
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) {
        isas[isa] = isa;
        if (roperot_isa_usable(isa)) harness_add(odd_nans, &isas[isa], "odd-nan/%s", roperot_isa_name(isa));
    }
    for (int i = 0; i < 2; i++) harness_add(moved_token, &pairings[i], "moved-token/%d", (int)pairings[i]);
    harness_add(dtypes, NULL, "dtypes");
    harness_add(table_strides, NULL, "table-strides");
    return harness_run(argc, argv, "edges");
}
