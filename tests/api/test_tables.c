/* SPDX-License-Identifier: MIT
 * Somebody's cos/sin tables, borrowed by plans and filled by roperot_cos_sin, in every layout and dtype; it must not
 * know how a plan keeps them. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "api/apply_trial.h"
#include "lists.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/harness.h"

enum { PAIRS = 9, ROWS = 12, ROOM = 1024 };

/* How a table lies in one block of memory: who is first, and the steps. */
typedef struct layout {
    const char *name;
    int32_t width;
    int64_t cos, sin, row_stride, element_stride; /* elements */
} layout;

static const layout layouts[] = {
    { "cos-sin-halves", ROPEROT_TABLE_HALF, 0, PAIRS, 2 * PAIRS, 1 }, /* vLLM: cos||sin */
    { "sin-cos-halves", ROPEROT_TABLE_HALF, PAIRS, 0, 2 * PAIRS, 1 }, /* IPEX: sin||cos */
    { "separate", ROPEROT_TABLE_HALF, 0, ROWS *PAIRS, PAIRS, 1 },     /* ONNX */
    { "separate-padded", ROPEROT_TABLE_HALF, 3, 500, PAIRS + 5, 1 },
    { "full-halves", ROPEROT_TABLE_FULL_HALVES, 0, ROWS * 2 * PAIRS, 2 * PAIRS, 1 }, /* Hugging Face */
    { "full-repeat", ROPEROT_TABLE_FULL_REPEAT, 0, ROWS * 2 * PAIRS, 2 * PAIRS, 1 },
    { "interleaved", ROPEROT_TABLE_HALF, 0, 1, 2 * PAIRS, 2 }, /* ChatGLM: (cos, sin) */
    { "interleaved-sin-first", ROPEROT_TABLE_HALF, 1, 0, 2 * PAIRS + 2, 2 },
    { "full-repeat-spread", ROPEROT_TABLE_FULL_REPEAT, 1, 2, 6 * PAIRS + 1, 3 },
    { "full-halves-spread", ROPEROT_TABLE_FULL_HALVES, 0, 1, 4 * PAIRS, 2 },
};

typedef struct table_case {
    const layout *layout;
    int32_t dtype;
} table_case;

static roperot_table table_over(void *memory, const table_case *c, int64_t rows)
{
    const int64_t size = (int64_t)format_bytes(c->dtype);
    return (roperot_table){ sizeof(roperot_table),
                            c->dtype,
                            (char *)memory + c->layout->cos * size,
                            (char *)memory + c->layout->sin * size,
                            rows,
                            c->layout->row_stride,
                            c->layout->element_stride,
                            c->layout->width,
                            0,
                            0,
                            0 };
}

static int copies(const layout *l)
{
    return l->width == ROPEROT_TABLE_HALF ? 1 : 2;
}

/* Element of pair j, copy k, in row p. */
static int64_t place(const layout *l, int64_t p, int64_t j, int k)
{
    const int64_t column = l->width == ROPEROT_TABLE_FULL_REPEAT ? 2 * j + k : j + k * PAIRS;
    return p * l->row_stride + column * l->element_stride;
}

static void put(const table_case *c, void *base, int64_t p, int64_t j, uint32_t bits)
{
    for (int k = 0; k < copies(c->layout); k++)
        format_store(c->dtype, (char *)base + place(c->layout, p, j, k) * (int64_t)format_bytes(c->dtype), bits);
}

/* ---- filled ------------------------------------------------------------------------------------------------------ */

/* The f32 values of the plan, one rounding to the table's dtype, and nothing between the elements. */
static void is_filled(const void *arg)
{
    const table_case *const c = arg;
    static float got[ROOM], want[ROOM];
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.attention_factor = 1.1;
    config.bounds = ROPEROT_BOUNDS_CLAMP;
    config.max_positions = 700;
    roperot_plan *const plan = expect_plan(&config);
    const int64_t ids[ROWS] = { 0, 1, 2, 699, 650, 3, 100, 5, 4, 800, 8, 9 };
    const roperot_positions at = roperot_positions_i64(ids, ROWS / 2);
    for (size_t i = 0; i < sizeof got; i++)
        ((unsigned char *)got)[i] = ((unsigned char *)want)[i] = (unsigned char)random_bits();
    float rows[ROWS][2][PAIRS];
    const roperot_table plain = { sizeof plain, ROPEROT_F32, rows[0][0], rows[0][1], ROWS, 2 * PAIRS, 1, 0, 0, 0, 0 };
    CHECK(!roperot_cos_sin(plan, &at, 2, ROWS / 2, &plain), "%s", roperot_last_error());
    const roperot_table table = table_over(got, c, ROWS), twin = table_over(want, c, ROWS);
    CHECK(!roperot_cos_sin(plan, &at, 2, ROWS / 2, &table), "%s", roperot_last_error());
    for (int64_t p = 0; p < ROWS; p++)
        for (int64_t j = 0; j < PAIRS; j++) {
            put(c, twin.cos, p, j, oracle_round(c->dtype, (double)rows[p][0][j]));
            put(c, twin.sin, p, j, oracle_round(c->dtype, (double)rows[p][1][j]));
        }
    for (size_t i = 0; i < sizeof got; i++)
        CHECK(((unsigned char *)got)[i] == ((unsigned char *)want)[i], "byte %zu differs", i);
    roperot_plan_destroy(plan);
}

/* ---- borrowed ---------------------------------------------------------------------------------------------------- */

static void is_borrowed(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    roperot_table table = table_over(memory, c, ROWS);
    memset(memory, 0xff, sizeof memory); /* NaN wherever there is no element */
    for (int64_t p = 0; p < ROWS; p++)
        for (int64_t j = 0; j < PAIRS; j++) {
            put(c, table.cos, p, j, oracle_round(c->dtype, random_between(-1, 1)));
            put(c, table.sin, p, j, oracle_round(c->dtype, random_between(-1, 1)));
        }
    static const int32_t types[][4] = {
        { 1, 1, 1, 0 }, { 2, 2, 2, 0 }, { 3, 3, 1, 2 }, { 1, 3, 2, 0 }, { 2, 1, 1, 0 }
    };
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        for (uint32_t flags = 0; flags < 4; flags++)
            for (int factor = 0; factor < 2; factor++) {
                apply_trial k = apply_trial_plain(2 * PAIRS + 2, 2, 3, 3);
                k.config.rotary_dim = 2 * PAIRS;
                k.config.table = &table;
                k.config.cache = factor ? ROPEROT_CACHE_AUTO : ROPEROT_CACHE_BORROWED;
                k.config.attention_factor = factor ? 1.37 : 1.0;
                k.config.max_positions = flags ? 0 : ROWS - 2;
                k.config.angles = factor ? ROPEROT_ANGLES_F32 : ROPEROT_ANGLES_EXACT;
                k.config.pairing = types[i][2];
                k.config.pairing_out = types[i][3];
                k.src_dtype = types[i][0];
                k.dst_dtype = types[i][1];
                k.in_place = types[i][0] == types[i][1] && !types[i][3];
                k.at.offset = (int64_t)i;
                k.flags = flags;
                apply_trial_check(&k);
            }
}

/* One axis per pair, from the same table. */
static void borrowed_with_axes(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    roperot_table table = table_over(memory, c, ROWS);
    for (int64_t p = 0; p < ROWS; p++)
        for (int64_t j = 0; j < PAIRS; j++) {
            put(c, table.cos, p, j, oracle_round(c->dtype, random_between(-1, 1)));
            put(c, table.sin, p, j, oracle_round(c->dtype, random_between(-1, 1)));
        }
    static const uint8_t axis[PAIRS] = { 0, 1, 2, 2, 1, 0, 0, 1, 2 };
    static const int64_t ids[] = { 1, 5, 11, 0, 7, 3 };
    apply_trial k = apply_trial_plain(2 * PAIRS, 1, 2, 2);
    k.config.table = &table;
    k.config.axes = 3;
    k.config.axis = axis;
    k.config.pairs = PAIRS;
    k.at = roperot_positions_i64(ids, 0);
    k.at.axes = 3;
    k.at.axis_stride = 2;
    k.position = ids;
    apply_trial_check(&k);
}

/* f32 rows with element stride 1 are not copied: the plan sees what the owner changes. Others are. */
static void zero_copy(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    const roperot_table table = table_over(memory, c, ROWS);
    const int shared =
        c->dtype == ROPEROT_F32 && c->layout->element_stride == 1 && c->layout->width != ROPEROT_TABLE_FULL_REPEAT;
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.table = &table;
    memset(memory, 0, sizeof memory);
    roperot_plan *const plan = expect_plan(&config);
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    CHECK(!roperot_plan_describe(plan, &info), "%s", roperot_last_error());
    CHECK((info.cache_bytes == 0) == shared, "%lld bytes of its own", (long long)info.cache_bytes);
    put(c, table.cos, 3, 4, oracle_round(c->dtype, 2.0));
    float x[2 * PAIRS] = { 0 };
    x[4] = 1.0f;
    const roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, 1, 1, 2 * PAIRS);
    const roperot_positions at = roperot_positions_offset(3);
    CHECK(!roperot_apply(plan, &at, &view, NULL, 1, NULL), "%s", roperot_last_error());
    CHECK(x[4] == (shared ? 2.0f : 0.0f), "pair 4 was multiplied by %g", (double)x[4]);
    roperot_plan_destroy(plan);
}

/* What a plan publishes, borrowed back, rotates like the plan. */
static void round_trip(const void *arg)
{
    const table_case *const c = arg;
    static float memory[ROOM];
    const roperot_table table = table_over(memory, c, ROWS);
    roperot_config config = ROPEROT_CONFIG_INIT, again = ROPEROT_CONFIG_INIT;
    config.head_dim = again.head_dim = 2 * PAIRS;
    config.attention_factor = 0.9;
    again.table = &table;
    roperot_plan *const plan = expect_plan(&config);
    const roperot_positions at = roperot_positions_offset(0);
    CHECK(!roperot_cos_sin(plan, &at, 1, ROWS, &table), "%s", roperot_last_error());
    roperot_plan *const borrower = expect_plan(&again);
    guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, ROWS, 3, 2 * PAIRS), y = guarded_tensor_clone(&x);
    CHECK(!roperot_apply(plan, &at, &x.view, NULL, 1, NULL), "%s", roperot_last_error());
    CHECK(!roperot_apply(borrower, &at, &y.view, NULL, 1, NULL), "%s", roperot_last_error());
    if (c->dtype == ROPEROT_F32) guarded_tensor_check_equal(&y, &x, "borrowed back");
    guarded_tensor_close(&x);
    guarded_tensor_close(&y);
    roperot_plan_destroy(plan);
    roperot_plan_destroy(borrower);
}

/* IDENTITY rows are published as cos 1, sin 0, without the attention factor. */
static void identity_row(const void *arg)
{
    (void)arg;
    float cosine[3 * PAIRS], sine[3 * PAIRS];
    const roperot_table table = { sizeof table, ROPEROT_F32, cosine, sine, 3, PAIRS, 1, 0, 0, 0, 0 };
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.max_positions = 10;
    config.bounds = ROPEROT_BOUNDS_IDENTITY;
    config.attention_factor = 3;
    roperot_plan *const plan = expect_plan(&config);
    const roperot_positions at = roperot_positions_offset(8);
    CHECK(!roperot_cos_sin(plan, &at, 1, 3, &table), "%s", roperot_last_error());
    for (int j = 0; j < PAIRS; j++)
        CHECK(cosine[2 * PAIRS + j] == 1.0f && sine[2 * PAIRS + j] == 0.0f, "pair %d: %g %g", j,
              (double)cosine[2 * PAIRS + j], (double)sine[2 * PAIRS + j]);
    roperot_plan_destroy(plan);
}

/* ---- rows per head ----------------------------------------------------------------------------------------------- */

enum { HEADS = 5, LONG_PAIRS = 600 };

/* [positions, heads, ..], [heads, positions, ..], and both with the last head first. */
enum { HEADS_INSIDE, HEADS_OUTSIDE, HEADS_INSIDE_BACK, HEADS_OUTSIDE_BACK, HEADS_ORDERS };

typedef struct headed {
    guard_buffer memory;
    roperot_table table;
} headed;

/* Elements from the first to behind the last of a table whose cos is the first. */
static int64_t elements_of(const roperot_table *t, int32_t pairs)
{
    const int64_t columns = t->width == ROPEROT_TABLE_HALF ? pairs : 2 * pairs;
    return t->row_stride * (t->rows - 1) + t->head_stride * (t->heads - 1) + t->element_stride * (columns - 1) + 1;
}

/* cos and sin in one guarded block, which ends with the last element. */
static headed headed_open(int32_t dtype, int32_t width, int32_t pairs, int64_t rows, int64_t heads, int order,
                          int turns)
{
    headed it;
    roperot_table *const t = &it.table;
    const int64_t size = (int64_t)format_bytes(dtype), step = turns ? 2 : 1;
    const int64_t row = (width == ROPEROT_TABLE_HALF ? pairs : 2 * pairs) * step;
    *t = (roperot_table)ROPEROT_TABLE_INIT;
    t->dtype = dtype, t->width = width, t->rows = rows, t->heads = heads, t->element_stride = step;
    t->row_stride = order % 2 == HEADS_INSIDE ? heads * row + 3 : row;
    t->head_stride = order % 2 == HEADS_INSIDE ? row : rows * row + 2;
    const int64_t each = elements_of(t, pairs), sin = turns ? 1 : each;
    it.memory = guard_buffer_open((size_t)((each + sin) * size), GUARD_HIGH);
    for (int64_t i = 0; i < each + sin; i++)
        format_store(dtype, it.memory.data + i * size, oracle_round(dtype, random_between(-1, 1)));
    const int64_t first = order >= HEADS_INSIDE_BACK ? (heads - 1) * t->head_stride : 0;
    t->cos = it.memory.data + first * size;
    t->sin = it.memory.data + (first + sin) * size;
    if (order >= HEADS_INSIDE_BACK) t->head_stride = -t->head_stride;
    return it;
}

/* What one head reads: a table as it was before there were heads. */
static roperot_table table_of_head(const roperot_table *all, int64_t head)
{
    roperot_table one = *all;
    const int64_t at = head * all->head_stride * (int64_t)format_bytes(all->dtype);
    one.cos = (char *)all->cos + at;
    one.sin = (char *)all->sin + at;
    one.heads = one.head_stride = 0;
    return one;
}

static roperot_tensor view_of_head(const roperot_tensor *all, int64_t head)
{
    roperot_tensor one = *all;
    one.data = (char *)all->data + head * all->stride[2] * (int64_t)format_bytes(all->dtype);
    one.shape[2] = 1;
    return one;
}

typedef struct head_call {
    roperot_config config;
    roperot_positions at;
    roperot_options options;
    int64_t ids[3 * 64];
    uint8_t axis[LONG_PAIRS];
    int32_t dtype[2];
    int64_t shape[4];
} head_call;

static int32_t any_dtype(void)
{
    return ROPEROT_F32 + (int32_t)random_below(ROPEROT_DTYPES);
}

static void choose_call(head_call *c, int32_t pairs)
{
    c->config = (roperot_config)ROPEROT_CONFIG_INIT;
    c->config.head_dim = 2 * pairs + 2;
    c->config.rotary_dim = 2 * pairs;
    c->config.rotary_offset = 2 * (int32_t)random_below(2);
    c->config.pairing = 1 + (int32_t)random_below(2);
    c->config.pairing_out = random_below(3) ? 0 : 3 - c->config.pairing;
    c->config.attention_factor = random_below(2) ? 1.0 : 1.37;
    c->config.bounds = (int32_t)random_below(3);
    c->config.axes = random_below(2) ? 1 : 3;
    c->config.arithmetic = (int32_t)random_below(2);
    c->config.pairs = pairs;
    for (int32_t j = 0; j < pairs; j++) c->axis[j] = (uint8_t)random_below(3);
    if (c->config.axes > 1) c->config.axis = c->axis;
    c->dtype[0] = any_dtype();
    const int other = c->config.arithmetic == ROPEROT_ARITHMETIC_F32 && !c->config.pairing_out && random_below(2);
    c->dtype[1] = !other ? c->dtype[0] : c->dtype[0] == ROPEROT_F32 ? any_dtype() : ROPEROT_F32;
    c->shape[0] = 1 + random_below(2);
    c->shape[1] = random_below(4) ? 1 + random_below(32) : 1;
    c->shape[2] = HEADS;
    c->shape[3] = c->config.head_dim;
    c->options = (roperot_options)ROPEROT_OPTIONS_INIT;
    c->options.flags = random_below(8);
    c->options.token_begin = random_below(3);
    if (random_below(2)) c->options.token_end = 7;
    const int64_t lines = c->shape[0] * c->shape[1], outside = c->config.bounds == ROPEROT_BOUNDS_ERROR ? 0 : 3;
    const int is_signed = (c->options.flags & ROPEROT_SIGNED_POSITIONS) != 0;
    for (int64_t i = 0; i < 3 * lines; i++)
        c->ids[i] = (int64_t)random_below((uint32_t)(ROWS + outside)) - (is_signed ? 5 : 0);
    c->at = roperot_positions_i64(c->ids, c->shape[1]);
    c->at.axes = random_below(3) ? c->config.axes : 1;
    c->at.axis_stride = lines;
    if (random_below(4) == 0) c->at = roperot_positions_offset(0), c->shape[1] = c->shape[1] % ROWS + 1;
}

/* Both tensors of a call, q and k, head by head. */
static void rotate_by_head(const head_call *c, const roperot_table *table, const guarded_tensor *src,
                           const guarded_tensor *dst)
{
    for (int64_t h = 0; h < HEADS; h++) {
        const roperot_table one = table_of_head(table, h);
        roperot_config config = c->config;
        config.table = &one;
        roperot_plan *const plan = expect_plan(&config);
        const roperot_tensor from[2] = { view_of_head(&src[0].view, h), view_of_head(&src[1].view, h) };
        const roperot_tensor to[2] = { view_of_head(&dst[0].view, h), view_of_head(&dst[1].view, h) };
        CHECK(!roperot_apply(plan, &c->at, from, to, 2, &c->options), "head %lld: %s", (long long)h,
              roperot_last_error());
        roperot_plan_destroy(plan);
    }
}

static void rotates_by_head(head_call *c, const roperot_table *table)
{
    guarded_tensor src[2], dst[2], want[2];
    for (int i = 0; i < 2; i++) {
        const views_layout how = { (int)random_below(VIEWS_ORDERS), GUARD_HIGH, 0, (int)random_below(8) };
        src[i] = guarded_tensor_open(c->dtype[0], c->shape[0], c->shape[1], HEADS, c->shape[3], how);
        dst[i] = guarded_tensor_open(c->dtype[1], c->shape[0], c->shape[1], HEADS, c->shape[3], how);
        want[i] = guarded_tensor_clone(&dst[i]);
    }
    rotate_by_head(c, table, src, want);
    c->config.table = table;
    roperot_plan *const plan = expect_plan(&c->config);
    const roperot_tensor from[2] = { src[0].view, src[1].view }, to[2] = { dst[0].view, dst[1].view };
    CHECK(!roperot_apply(plan, &c->at, from, to, 2, &c->options), "%s", roperot_last_error());
    for (int i = 0; i < 2; i++) guarded_tensor_check_equal(&dst[i], &want[i], i ? "k" : "q");
    if (c->dtype[0] == c->dtype[1] && !c->config.pairing_out) {
        CHECK(!roperot_apply(plan, &c->at, from, NULL, 2, &c->options), "in place: %s", roperot_last_error());
        const int64_t lines = c->shape[0] * c->shape[1];
        const int all = c->options.token_begin == 0 && c->options.token_end > lines;
        for (int i = 0; i < 2 && all; i++) guarded_tensor_check_equal(&src[i], &want[i], "in place");
    }
    for (int i = 0; i < 2; i++)
        guarded_tensor_close(&src[i]), guarded_tensor_close(&dst[i]), guarded_tensor_close(&want[i]);
    roperot_plan_destroy(plan);
}

/* Rows per head are a loop over the heads, bit for bit: every layout, dtype, position and option. */
static void heads_rotate(const void *arg)
{
    const int32_t dtype = *(const int32_t *)arg;
    static head_call c;
    const int rounds = harness_quick() > 1 ? 60 : 400;
    for (int i = 0; i < rounds; i++) {
        const int is_long = i % 20 == 19; /* rows that do not fit the scratch of a call */
        const int32_t pairs = is_long ? LONG_PAIRS : PAIRS;
        headed it = headed_open(dtype, (int32_t)random_below(3), pairs, ROWS, HEADS, (int)random_below(HEADS_ORDERS),
                                (int)random_below(2));
        choose_call(&c, pairs);
        rotates_by_head(&c, &it.table);
        guard_buffer_close(&it.memory);
    }
}

static void backwards(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    *(int64_t *)ctx += tasks;
    for (int64_t i = tasks - 1; i >= 0; i--) task(arg, i);
}

/* A call that is split, and one beyond the caches, where stores bypass them. */
static void heads_of_large_calls(const void *arg)
{
    (void)arg;
    const int64_t sizes[2] = { 800, harness_quick() ? 1600 : 60000 };
    for (int i = 0; i < 2; i++) {
        headed it = headed_open(ROPEROT_F32, ROPEROT_TABLE_HALF, 32, sizes[i], HEADS, HEADS_OUTSIDE, 0);
        guarded_tensor x = guarded_tensor_plain(ROPEROT_F32, 1, sizes[i], HEADS, 64), y = guarded_tensor_clone(&x),
                       want = guarded_tensor_clone(&x);
        const roperot_positions at = roperot_positions_offset(0);
        roperot_config config = ROPEROT_CONFIG_INIT;
        config.head_dim = 64;
        for (int64_t h = 0; h < HEADS; h++) {
            const roperot_table one = table_of_head(&it.table, h);
            const roperot_tensor view = view_of_head(&want.view, h);
            config.table = &one;
            roperot_plan *const plan = expect_plan(&config);
            CHECK(!roperot_apply(plan, &at, &view, NULL, 1, NULL), "%s", roperot_last_error());
            roperot_plan_destroy(plan);
        }
        config.table = &it.table;
        roperot_plan *const plan = expect_plan(&config);
        int64_t tasks = 0;
        roperot_options options = ROPEROT_OPTIONS_INIT;
        options.parallel_for = backwards, options.ctx = &tasks, options.threads = 4;
        CHECK(!roperot_apply(plan, &at, &x.view, &y.view, 1, &options), "%s", roperot_last_error());
        CHECK(tasks > 1, "%lld tasks", (long long)tasks);
        guarded_tensor_check_equal(&y, &want, "out of place");
        CHECK(!roperot_apply(plan, &at, &x.view, NULL, 1, &options), "%s", roperot_last_error());
        guarded_tensor_check_equal(&x, &want, "in place");
        roperot_plan_destroy(plan);
        guarded_tensor_close(&x), guarded_tensor_close(&y), guarded_tensor_close(&want);
        guard_buffer_close(&it.memory);
    }
}

/* Published again, head by head and in any layout, and borrowed back. */
static void heads_are_filled(const void *arg)
{
    const int32_t dtype = *(const int32_t *)arg;
    for (int order = 0; order < HEADS_ORDERS; order++)
        for (int32_t width = 0; width < 3; width++)
            for (int turns = 0; turns < 2; turns++) {
                headed from = headed_open(ROPEROT_F32, width, PAIRS, ROWS, HEADS, HEADS_ORDERS - 1 - order, turns);
                headed to = headed_open(dtype, (width + 1) % 3, PAIRS, ROWS, HEADS, order, !turns);
                roperot_config config = ROPEROT_CONFIG_INIT;
                config.head_dim = 2 * PAIRS;
                config.table = &from.table;
                config.attention_factor = 1.25;
                roperot_plan *const plan = expect_plan(&config);
                const roperot_positions at = roperot_positions_offset(0);
                CHECK(!roperot_cos_sin(plan, &at, 1, ROWS, &to.table), "%s", roperot_last_error());
                CHECK(guard_buffer_intact(&to.memory), "something beside the table was written");
                for (int64_t h = 0; h < HEADS; h++) {
                    const roperot_table one = table_of_head(&from.table, h), got = table_of_head(&to.table, h);
                    headed want = headed_open(dtype, (width + 1) % 3, PAIRS, ROWS, 1, HEADS_INSIDE, !turns);
                    want.table.heads = want.table.head_stride = 0;
                    config.table = &one;
                    roperot_plan *const single = expect_plan(&config);
                    CHECK(!roperot_cos_sin(single, &at, 1, ROWS, &want.table), "%s", roperot_last_error());
                    const int64_t size = (int64_t)format_bytes(dtype), columns = want.table.width ? 2 * PAIRS : PAIRS;
                    for (int64_t i = 0; i < ROWS * columns; i++) {
                        const int64_t p = i / columns, k = i % columns * got.element_stride;
                        const unsigned char *g = (unsigned char *)got.cos + (p * got.row_stride + k) * size;
                        const unsigned char *w =
                            (unsigned char *)want.table.cos + (p * want.table.row_stride + k) * size;
                        CHECK(format_load(dtype, g) == format_load(dtype, w), "head %lld, position %lld", (long long)h,
                              (long long)p);
                        g += (char *)got.sin - (char *)got.cos;
                        w += (char *)want.table.sin - (char *)want.table.cos;
                        CHECK(format_load(dtype, g) == format_load(dtype, w), "sin of head %lld, position %lld",
                              (long long)h, (long long)p);
                    }
                    guard_buffer_close(&want.memory);
                    roperot_plan_destroy(single);
                }
                guard_buffer_close(&from.memory);
                guard_buffer_close(&to.memory);
                roperot_plan_destroy(plan);
            }
}

/* Heads that share elements, and tensors of other heads: refused, nothing written. */
static void heads_are_refused(const void *arg)
{
    (void)arg;
    headed from = headed_open(ROPEROT_F32, ROPEROT_TABLE_HALF, PAIRS, ROWS, HEADS, HEADS_INSIDE, 0);
    headed to = headed_open(ROPEROT_F32, ROPEROT_TABLE_HALF, PAIRS, ROWS, HEADS, HEADS_OUTSIDE, 0);
    headed before = headed_open(ROPEROT_F32, ROPEROT_TABLE_HALF, PAIRS, ROWS, HEADS, HEADS_OUTSIDE, 0);
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 2 * PAIRS;
    config.table = &from.table;
    roperot_plan *const plan = expect_plan(&config);
    const roperot_positions at = roperot_positions_offset(0);
    memcpy(before.memory.data, to.memory.data, to.memory.bytes);
    roperot_table t = to.table;
    t.head_stride = PAIRS - 1;
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &t), ROPEROT_ERROR_ALIAS, "dst", "head_stride 8");
    t.head_stride = 0;
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &t), ROPEROT_ERROR_ALIAS, "dst", "head_stride 0");
    t = to.table;
    t.sin = (float *)t.cos + 3 * t.head_stride + 2 * t.row_stride + 1;
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &t), ROPEROT_ERROR_ALIAS, "dst", "overlaps itself");
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &from.table), ROPEROT_ERROR_ALIAS, "dst.cos overlaps the plan's",
                 "apart");
    t = to.table;
    t.heads = HEADS - 1;
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &t), ROPEROT_ERROR_SHAPE, "dst.heads is 4", "5");
    t.heads = t.head_stride = 0;
    expect_error(roperot_cos_sin(plan, &at, 1, ROWS, &t), ROPEROT_ERROR_SHAPE, "dst.heads is 0", "5");
    CHECK(memcmp(before.memory.data, to.memory.data, to.memory.bytes) == 0, "something was written");
    for (int64_t heads = 1; heads <= HEADS + 1; heads++) {
        guarded_tensor x = guarded_tensor_plain(ROPEROT_BF16, 1, ROWS, heads, 2 * PAIRS), y = guarded_tensor_clone(&x);
        if (heads != HEADS)
            expect_error(roperot_apply(plan, &at, &x.view, NULL, 1, NULL), ROPEROT_ERROR_SHAPE, "heads",
                         "5 of the plan's table");
        guarded_tensor_check_equal(&x, &y, "refused");
        guarded_tensor_close(&x), guarded_tensor_close(&y);
    }
    guarded_tensor none = guarded_tensor_plain(ROPEROT_F32, 1, ROWS, 1, 2 * PAIRS);
    none.view.shape[2] = 0;
    CHECK(!roperot_apply(plan, &at, &none.view, NULL, 1, NULL), "no heads: %s", roperot_last_error());
    guarded_tensor_close(&none);
    guard_buffer_close(&from.memory), guard_buffer_close(&to.memory), guard_buffer_close(&before.memory);
    roperot_plan_destroy(plan);
}

/* f32 rows of heads are used where they are, too. */
static void heads_are_not_copied(const void *arg)
{
    (void)arg;
    for (int order = 0; order < HEADS_ORDERS; order++) {
        headed it = headed_open(ROPEROT_F32, ROPEROT_TABLE_FULL_HALVES, PAIRS, ROWS, HEADS, order, 0);
        roperot_config config = ROPEROT_CONFIG_INIT;
        roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
        config.head_dim = 2 * PAIRS;
        config.table = &it.table;
        roperot_plan *const plan = expect_plan(&config);
        CHECK(!roperot_plan_describe(plan, &info) && info.cache_bytes == 0, "%lld bytes", (long long)info.cache_bytes);
        CHECK(info.heads == HEADS, "%lld heads", (long long)info.heads);
        roperot_plan_destroy(plan);
        config.attention_factor = 2;
        roperot_plan *const twice = expect_plan(&config);
        CHECK(!roperot_plan_describe(twice, &info) && info.cache_bytes == ROWS * HEADS * 32 * 4, "%lld bytes",
              (long long)info.cache_bytes);
        roperot_plan_destroy(twice);
        guard_buffer_close(&it.memory);
    }
}

int main(int argc, char **argv)
{
    enum { LAYOUTS = sizeof layouts / sizeof *layouts };
    static table_case cases[LAYOUTS * ROPEROT_DTYPES];
    for (size_t i = 0; i < LAYOUTS; i++)
        for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++) {
            table_case *const c = &cases[i * ROPEROT_DTYPES + (size_t)roperot_dtype_index(dtype)];
            *c = (table_case){ &layouts[i], dtype };
            const char *const name = format_name(dtype);
            harness_add(is_filled, c, "filled/%s/%s", layouts[i].name, name);
            harness_add(is_borrowed, c, "borrowed/%s/%s", layouts[i].name, name);
            harness_add(borrowed_with_axes, c, "axes/%s/%s", layouts[i].name, name);
            harness_add(zero_copy, c, "zero-copy/%s/%s", layouts[i].name, name);
            harness_add(round_trip, c, "round-trip/%s/%s", layouts[i].name, name);
        }
    static int32_t dtypes[ROPEROT_DTYPE_END];
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++) {
        dtypes[dtype] = dtype;
        harness_add(heads_rotate, &dtypes[dtype], "heads/rotate/%s", format_name(dtype));
        harness_add(heads_are_filled, &dtypes[dtype], "heads/filled/%s", format_name(dtype));
    }
    harness_add(heads_of_large_calls, NULL, "heads/large");
    harness_add(heads_are_refused, NULL, "heads/refused");
    harness_add(heads_are_not_copied, NULL, "heads/zero-copy");
    harness_add(identity_row, NULL, "identity-row");
    return harness_run(argc, argv, "tables");
}
