/* SPDX-License-Identifier: MIT
 * Mixed frequencies, pairs that turn by all position axes: cos and sin against MPFR, calls against a borrowed table of
 * the same rows; it must not know kernels. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"

enum { AXES = 4, PAIRS = 19, MOST_PAIRS = 700, LINES = 48 };

/* What the header promises of four products: 2^-52, and the product with A and the rounding to f64 of that. */
static const double slack = 0x1p-51;

static roperot_config mixed_config(const double *w, int32_t axes, int32_t pairs)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = 2 * pairs;
    c.frequencies = ROPEROT_FREQUENCIES_MIXED;
    c.inv_freq = w;
    c.pairs = pairs;
    c.axes = axes;
    return c;
}

static void rows_of(const roperot_plan *plan, const roperot_positions *at, int64_t lines, int32_t pairs, float *rows)
{
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = rows;
    table.sin = rows + pairs;
    table.rows = lines;
    table.row_stride = 2 * (int64_t)pairs;
    CHECK(!roperot_cos_sin(plan, at, 1, lines, &table), "%s", roperot_last_error());
}

/* ---- cos and sin ------------------------------------------------------------------------------------------------- */

/* Any sign and size, 0 and the largest among them. */
static double any_frequency(void)
{
    static const double some[] = { 0.0, -0.0, 65536.0, -65536.0, 1.0, -1.0, 1e-300, 3.141592653589793 };
    if (random_below(4) == 0) return some[random_below(sizeof some / sizeof *some)];
    return random_between(-1, 1) * exp(random_between(-20, 11));
}

static double any_place(int real)
{
    const double p = (double)(random_bits() >> (33 + random_below(30)));
    if (random_below(8) == 0) return random_below(2) ? 0.0 : 2147483647.0;
    if (!real) return p;
    const double x = random_below(2) ? p + random_between(-0.5, 0.5) : random_between(-100, 100);
    return fabs(x) < 0x1p31 ? x : 0.0;
}

static void check_rows(const double *p, const double *w, int32_t axes, double factor, const float *rows)
{
    for (int i = 0; i < LINES; i++)
        for (int j = 0; j < PAIRS; j++)
            for (int which = 0; which < 2; which++) {
                double at[AXES], turns[AXES];
                for (int a = 0; a < axes; a++) at[a] = p[a * LINES + i], turns[a] = w[a * PAIRS + j];
                const oracle_bracket b = oracle_trig_of_sum(which, at, turns, axes, factor, factor * slack);
                const float got = rows[(i * 2 + which) * PAIRS + j];
                CHECK(got >= b.low && got <= b.high, "%s of pair %d at (%a, %a, ..) is %a, not %a",
                      which ? "sin" : "cos", j, at[0], axes > 1 ? at[1] : 0.0, (double)got, (double)b.nearest);
            }
}

static void bound(const void *arg)
{
    const int32_t axes = *(const int32_t *)arg;
    double w[AXES * PAIRS], p[AXES * LINES];
    int64_t ids[AXES * LINES];
    float rows[LINES * 2 * PAIRS];
    for (int round = 0; round < (harness_quick() ? 6 : 40); round++) {
        const int real = round % 2;
        for (int i = 0; i < axes * PAIRS; i++) w[i] = any_frequency();
        for (int i = 0; i < axes * LINES; i++) p[i] = any_place(real), ids[i] = (int64_t)p[i];
        roperot_config c = mixed_config(w, axes, PAIRS);
        c.attention_factor = round % 3 ? 1.0 : 1.3465735902799727;
        roperot_positions at = roperot_positions_i64(ids, 0);
        if (real) at.type = ROPEROT_POSITIONS_F64, at.ids = p;
        at.axes = axes;
        at.axis_stride = LINES;
        roperot_plan *const plan = expect_plan(&c);
        rows_of(plan, &at, LINES, PAIRS, rows);
        check_rows(p, w, axes, c.attention_factor, rows);
        roperot_plan_destroy(plan);
    }
}

/* Products of 2^46 that cancel but for what a double of their sum could not hold. */
static void cancellation(const void *arg)
{
    (void)arg;
    double w[AXES * PAIRS], p[AXES * LINES];
    float rows[LINES * 2 * PAIRS];
    for (int j = 0; j < PAIRS; j++) {
        w[j] = random_between(30000, 65536);
        w[PAIRS + j] = -w[j] * (1 + 0x1p-50 * (double)random_below(64));
        w[2 * PAIRS + j] = random_between(30000, 65536);
        w[3 * PAIRS + j] = -w[2 * PAIRS + j];
    }
    for (int i = 0; i < LINES; i++) {
        p[i] = p[LINES + i] = floor(random_between(0x1p30, 0x1p31));
        p[2 * LINES + i] = random_between(0x1p30, 0x1p31);
        p[3 * LINES + i] = p[2 * LINES + i] + (random_below(2) ? 0x1p-20 : 0.0);
    }
    for (int i = 0; i < AXES * LINES; i++)
        if (p[i] >= 0x1p31) p[i] = 0;
    const roperot_config c = mixed_config(w, AXES, PAIRS);
    roperot_positions at = roperot_positions_i64(NULL, 0);
    at.type = ROPEROT_POSITIONS_F64, at.ids = p;
    at.axes = AXES;
    at.axis_stride = LINES;
    roperot_plan *const plan = expect_plan(&c);
    rows_of(plan, &at, LINES, PAIRS, rows);
    check_rows(p, w, AXES, 1.0, rows);
    roperot_plan_destroy(plan);
}

/* One axis is what a plan of it makes of the same coordinates, to the bit; and position 0 has sin +0. */
static void one_axis(const void *arg)
{
    (void)arg;
    double w[PAIRS], p[LINES];
    float rows[2][LINES * 2 * PAIRS];
    for (int j = 0; j < PAIRS; j++) w[j] = any_frequency();
    for (int i = 0; i < LINES; i++) p[i] = i == 0 ? 0.0 : any_place(1);
    roperot_config c = mixed_config(w, 1, PAIRS);
    c.attention_factor = 1.125;
    for (int mixed = 0; mixed < 2; mixed++) {
        c.frequencies = mixed;
        roperot_plan *const plan = expect_plan(&c);
        roperot_positions at = roperot_positions_i64(NULL, 0);
        at.type = ROPEROT_POSITIONS_F64, at.ids = p;
        rows_of(plan, &at, LINES, PAIRS, rows[mixed]);
        roperot_plan_destroy(plan);
    }
    for (int i = 2 * PAIRS; i < LINES * 2 * PAIRS; i++) CHECK(rows[0][i] == rows[1][i], "value %d", i);
    for (int j = 0; j < PAIRS; j++) CHECK(format_bits(rows[1][PAIRS + j]) == 0, "sin of pair %d at 0", j);
}

static void described(const void *arg)
{
    (void)arg;
    const double w[6] = { 1, 0.5, -0.0, 0.25, 0.1, 3 };
    const roperot_config c = mixed_config(w, 2, 3);
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    roperot_plan *const plan = expect_plan(&c);
    CHECK(!roperot_plan_describe(plan, &info), "%s", roperot_last_error());
    CHECK(info.frequencies == ROPEROT_FREQUENCIES_MIXED, "frequencies %d", info.frequencies);
    CHECK(info.cache == ROPEROT_CACHE_NONE && info.cache_bytes == 0 && info.axes == 2 && !info.axis, "cache %d",
          info.cache);
    for (int i = 0; i < 6; i++) CHECK(info.inv_freq[i] == w[i] && !signbit(info.inv_freq[i]), "frequency %d", i);
    roperot_plan_destroy(plan);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

typedef struct mixed_call {
    roperot_config config;
    double w[AXES * MOST_PAIRS], x[AXES * LINES];
    int64_t ids[AXES * LINES];
    roperot_positions at;
    int64_t tokens;
    uint32_t flags;
    int in_place;
    roperot_table table; /* the same rows, one per token */
    float rows[LINES * 2 * MOST_PAIRS];
} mixed_call;

static void choose_positions(mixed_call *c)
{
    const int64_t n = c->tokens;
    const int is_signed = (c->flags & ROPEROT_SIGNED_POSITIONS) != 0, kind = (int)random_below(4);
    c->at = roperot_positions_i64(c->ids, 0);
    c->at.axes = c->config.axes;
    c->at.axis_stride = n;
    for (int64_t i = 0; i < c->config.axes * n; i++) {
        c->ids[i] = (int64_t)random_below(5000) - (is_signed ? 2500 : 0);
        c->x[i] = (double)c->ids[i];
    }
    if (kind == 1) { /* one position for all axes */
        c->at.axes = 1;
        for (int64_t i = n; i < c->config.axes * n; i++) c->x[i] = c->x[i % n];
    } else if (kind == 2) {
        c->at = roperot_positions_offset(is_signed ? -7 : 30);
        for (int64_t i = 0; i < c->config.axes * n; i++) c->x[i] = (double)(c->at.offset + i % n);
    } else if (kind == 3) {
        for (int64_t i = 0; i < c->config.axes * n; i++) c->x[i] += random_between(-0.5, 0.5);
        c->at.type = ROPEROT_POSITIONS_F64;
        c->at.ids = c->x;
    }
}

/* cos_sin takes no flags: negative positions go as coordinates, which are the same numbers. */
static void make_table(mixed_call *c)
{
    const int32_t pairs = c->config.pairs;
    roperot_config plain = c->config;
    plain.head_dim = plain.rotary_dim = 2 * pairs;
    plain.rotary_offset = plain.pairing_out = 0;
    if (c->flags & ROPEROT_PURE_ROTATION) plain.attention_factor = 1.0;
    roperot_positions at = roperot_positions_i64(NULL, 0);
    at.type = ROPEROT_POSITIONS_F64, at.ids = c->x;
    at.axes = plain.axes;
    at.axis_stride = c->tokens;
    roperot_plan *const plan = expect_plan(&plain);
    rows_of(plan, &at, c->tokens, pairs, c->rows);
    roperot_plan_destroy(plan);
    c->table = (roperot_table)ROPEROT_TABLE_INIT;
    c->table.cos = c->rows;
    c->table.sin = c->rows + pairs;
    c->table.rows = c->tokens;
    c->table.row_stride = 2 * (int64_t)pairs;
}

static void choose_call(mixed_call *c, int32_t pairs)
{
    for (int i = 0; i < AXES * pairs; i++) c->w[i] = random_between(-1.5, 1.5);
    c->config = mixed_config(c->w, 1 + (int32_t)random_below(AXES), pairs);
    c->config.head_dim = 2 * pairs + 4;
    c->config.rotary_dim = 2 * pairs;
    c->config.rotary_offset = 2 * (int32_t)random_below(3);
    c->config.pairing = 1 + (int32_t)random_below(2);
    c->config.pairing_out = random_below(3) ? 0 : 3 - c->config.pairing;
    c->config.attention_factor = random_below(2) ? 1.0 : 1.37;
    c->config.arithmetic = (int32_t)random_below(2);
    c->flags = random_below(3) ? 0 : random_below(8);
    c->in_place = !c->config.pairing_out && random_below(2);
    c->tokens = random_below(3) ? 1 + random_below(LINES) : 1;
    choose_positions(c);
    make_table(c);
}

/* q and k in one call, then a job with a norm and pages. */
static void run_all(const mixed_call *c, const roperot_plan *plan, const roperot_positions *at, uint32_t flags,
                    const guarded_tensor *src, const guarded_tensor *dst, uint16_t *cache)
{
    roperot_options options = ROPEROT_OPTIONS_INIT;
    const roperot_tensor from[2] = { src[0].view, src[1].view }, to[2] = { dst[0].view, dst[1].view };
    options.flags = flags;
    options.token_begin = c->tokens / 4;
    const roperot_tensor *const read = c->in_place ? to : from; /* both hold the same */
    CHECK(!roperot_apply(plan, at, read, c->in_place ? NULL : to, 2, &options), "%s", roperot_last_error());
    if (flags & ROPEROT_INVERSE) return;
    const int64_t heads = src[1].view.shape[2], dim = src[1].view.shape[3];
    int32_t slots[LINES];
    for (int i = 0; i < LINES; i++) slots[i] = LINES - 1 - i;
    roperot_norm norm = ROPEROT_NORM_INIT;
    roperot_pages pages = ROPEROT_PAGES_INIT;
    pages.dtype = ROPEROT_BF16;
    pages.data = cache;
    pages.pages = LINES / 16, pages.page_tokens = 16;
    pages.head_stride = dim, pages.token_stride = heads * dim, pages.page_stride = 16 * heads * dim;
    pages.slots = slots;
    pages.slot_type = 1;
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = &from[1];
    job.norm = &norm;
    job.to = &pages;
    CHECK(!roperot_run(plan, at, &job, 1, &options), "%s", roperot_last_error());
}

static void equals_table(mixed_call *c)
{
    static uint16_t cache[2][LINES * 2 * (2 * MOST_PAIRS + 4)];
    const int32_t dtype = ROPEROT_F32 + (int32_t)random_below(ROPEROT_DTYPES);
    guarded_tensor src[2], dst[2], want[2];
    for (int i = 0; i < 2; i++) {
        src[i] = guarded_tensor_plain(dtype, 1, c->tokens, 2 + i, c->config.head_dim);
        src[i].view.shape[2] = 1 + i;
        dst[i] = guarded_tensor_clone(&src[i]);
        want[i] = guarded_tensor_clone(&src[i]);
    }
    memset(cache, 0x5a, sizeof cache);
    roperot_plan *const plan = expect_plan(&c->config);
    run_all(c, plan, &c->at, c->flags, src, dst, cache[0]);
    roperot_plan_destroy(plan);
    roperot_config borrowed = c->config;
    borrowed.frequencies = ROPEROT_FREQUENCIES_PER_PAIR;
    borrowed.inv_freq = NULL;
    borrowed.axes = 1;
    borrowed.pairs = 0;
    borrowed.attention_factor = 1.0; /* it is in the rows */
    borrowed.table = &c->table;
    const roperot_positions each = roperot_positions_offset(0);
    roperot_plan *const other = expect_plan(&borrowed);
    run_all(c, other, &each, c->flags & ROPEROT_INVERSE, src, want, cache[1]);
    roperot_plan_destroy(other);
    for (int i = 0; i < 2; i++) {
        guarded_tensor_check_equal(&dst[i], &want[i], i ? "k" : "q");
        guarded_tensor_close(&src[i]), guarded_tensor_close(&dst[i]), guarded_tensor_close(&want[i]);
    }
    CHECK(memcmp(cache[0], cache[1], sizeof cache[0]) == 0, "pages differ");
}

static void calls(const void *arg)
{
    (void)arg;
    static mixed_call c;
    for (int i = 0; i < (harness_quick() > 1 ? 60 : 600); i++) {
        choose_call(&c, i % 12 == 11 ? MOST_PAIRS : PAIRS); /* longer rows than the scratch of a call */
        equals_table(&c);
    }
}

/* IDENTITY leaves a token alone if any axis is outside; CLAMP moves each axis. */
static void bounds(const void *arg)
{
    (void)arg;
    const double w[2 * PAIRS] = { 0.5, 0.25, 0.125, [PAIRS] = 1.0, 0.75, 0.3 };
    const int64_t ids[2][4] = { { 3, 10, 3, -1 }, { 4, 4, 17, 4 } }, inside[2][4] = { { 3, 9, 3, 0 }, { 4, 4, 9, 4 } };
    float rows[4 * 2 * PAIRS], want[4 * 2 * PAIRS];
    roperot_config c = mixed_config(w, 2, PAIRS);
    c.max_positions = 10;
    for (int32_t kind = ROPEROT_BOUNDS_IDENTITY; kind <= ROPEROT_BOUNDS_CLAMP; kind++) {
        c.bounds = kind;
        roperot_plan *const plan = expect_plan(&c);
        roperot_positions at = roperot_positions_i64(ids[0], 0), clamped = roperot_positions_i64(inside[0], 0);
        at.axes = clamped.axes = 2;
        at.axis_stride = clamped.axis_stride = 4;
        rows_of(plan, &at, 4, PAIRS, rows);
        rows_of(plan, &clamped, 4, PAIRS, want);
        for (int i = 0; i < 4 * 2 * PAIRS; i++) {
            const int sin = i / PAIRS % 2, alone = kind == ROPEROT_BOUNDS_IDENTITY && i / (2 * PAIRS) > 0;
            CHECK(rows[i] == (alone ? (sin ? 0.0f : 1.0f) : want[i]), "bounds %d, value %d: %a", kind, i,
                  (double)rows[i]);
        }
        roperot_plan_destroy(plan);
    }
    c.bounds = ROPEROT_BOUNDS_ERROR;
    roperot_plan *const plan = expect_plan(&c);
    roperot_positions at = roperot_positions_i64(ids[0], 0);
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = rows, table.sin = rows + PAIRS, table.rows = 4, table.row_stride = 2 * PAIRS;
    at.axes = 2;
    at.axis_stride = 4;
    expect_error(roperot_cos_sin(plan, &at, 1, 4, &table), ROPEROT_ERROR_POSITION, "axis 0", "10");
    at.axes = 3;
    expect_error(roperot_cos_sin(plan, &at, 1, 4, &table), ROPEROT_ERROR_ARGUMENT, "axes", "3");
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const int32_t axes[AXES] = { 1, 2, 3, 4 };
    for (int i = 0; i < AXES; i++) harness_add(bound, &axes[i], "bound/%d-axes", axes[i]);
    harness_add(cancellation, NULL, "bound/cancellation");
    harness_add(one_axis, NULL, "one-axis");
    harness_add(described, NULL, "described");
    harness_add(calls, NULL, "calls");
    harness_add(bounds, NULL, "bounds");
    return harness_run(argc, argv, "mixed");
}
