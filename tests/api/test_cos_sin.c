/* SPDX-License-Identifier: MIT
 * Frequencies, cos and sin against MPFR, and their bits across caches and ISAs; it must not know tensors. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/harness.h"

enum { PAIRS = 64, MOST = 512 };
static const double bases[] = { 1e4, 5e5, 1e6, 1e7 };
static const double slack = 0x1p-50;

/* ---- frequencies ------------------------------------------------------------------------------------------------- */

static void default_frequencies(const void *arg)
{
    const double base = *(const double *)arg;
    for (int32_t r = 2; r <= 512; r += r < 66 ? 2 : harness_quick() ? 62 : 14) {
        double w[256], factor = 0;
        CHECK(roperot_frequencies(NULL, r, base, w, r / 2, &factor) == ROPEROT_OK, "%s", roperot_last_error());
        CHECK(factor == 1.0, "the attention factor is %a", factor);
        for (int32_t j = 0; j < r / 2; j++) {
            const double want = oracle_inv_freq(base, j, r);
            CHECK(w[j] == want, "base %g, rotary_dim %d: frequency %d is %a, not %a", base, r, j, w[j], want);
        }
    }
}

/* Bases that nobody chose: the correction step must work everywhere, also where powers are exact. */
static void odd_frequencies(const void *arg)
{
    (void)arg;
    for (int i = 0; i < (harness_quick() ? 40 : 400); i++) {
        const int32_t r = 2 * (1 + (int32_t)random_below(128));
        const double list[] = { random_between(1, 2), random_between(2, 1e3), random_between(1e3, 1e8), 4, 65536, 0.5 };
        const double base = list[i % 6];
        double w[128];
        CHECK(roperot_frequencies(NULL, r, base, w, r / 2, NULL) == ROPEROT_OK, "base %a: %s", base,
              roperot_last_error());
        for (int32_t j = 0; j < r / 2; j++)
            CHECK(w[j] == oracle_inv_freq(base, j, r), "base %a, rotary_dim %d: frequency %d is %a, not %a", base, r, j,
                  w[j], oracle_inv_freq(base, j, r));
    }
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void rows_at(const roperot_plan *plan, const int64_t *p, int64_t count, int32_t pairs, float *out)
{
    const roperot_positions at = roperot_positions_i64(p, 0);
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = out;
    table.sin = out + pairs;
    table.rows = count;
    table.row_stride = 2 * (int64_t)pairs;
    CHECK(roperot_cos_sin(plan, &at, 1, count, &table) == ROPEROT_OK, "%s", roperot_last_error());
}

static roperot_config config_of(double base, double factor, int32_t cache, int64_t max_positions)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = 2 * PAIRS;
    c.base = base;
    c.attention_factor = factor;
    c.cache = cache;
    c.max_positions = max_positions;
    return c;
}

/* Within half an f32 ULP plus factor * 2^-50: between the roundings of both ends of that slack. */
static void check_value(int which, int64_t p, double w, double factor, float got)
{
    const oracle_bracket b = oracle_trig(which, (double)p, w, factor, factor * slack);
    CHECK(got >= b.low && got <= b.high, "%s(%lld * %a) * %g is %a, not %a", which ? "sin" : "cos", (long long)p, w,
          factor, (double)got, (double)b.nearest);
}

static void check_rows(const roperot_plan *plan, const int64_t *p, int64_t count, int32_t only_pair)
{
    static float rows[MOST * 2 * PAIRS];
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    const int32_t step = harness_quick() ? 5 : 1;
    CHECK(roperot_plan_describe(plan, &info) == ROPEROT_OK, "%s", roperot_last_error());
    rows_at(plan, p, count, PAIRS, rows);
    for (int64_t i = 0; i < count; i++)
        for (int32_t j = only_pair < 0 ? (int32_t)i % step : only_pair; j < PAIRS; j += only_pair < 0 ? step : PAIRS)
            for (int which = 0; which < 2; which++)
                check_value(which, p[i], info.inv_freq[j], info.attention_factor, rows[(i * 2 + which) * PAIRS + j]);
}

/* 0, the ends of every level of a 11 + 10 + 10 bit split and of every power of two, and random positions. */
static size_t structured(int64_t *p)
{
    size_t n = 0;
    for (int bit = 0; bit < 31; bit++)
        for (int64_t off = -1; off <= 1; off++)
            if ((INT64_C(1) << bit) + off >= 0) p[n++] = (INT64_C(1) << bit) + off;
    p[n++] = INT32_MAX;
    p[n++] = INT32_MAX - 1;
    p[n++] = 2047 + (INT64_C(1023) << 11);
    p[n++] = INT64_C(1023) << 21;
    while (n < (harness_quick() ? 110u : 480u)) p[n++] = (int64_t)(random_bits() >> (33 + random_below(22)));
    return n;
}

static void exact_bound(const void *arg)
{
    const double base = *(const double *)arg;
    int64_t p[MOST];
    const size_t count = structured(p);
    for (int i = 0; i < 2; i++) {
        const roperot_config c = config_of(base, i ? 1.3465735902799727 : 1.0, ROPEROT_CACHE_FACTORED, 0);
        roperot_plan *const plan = expect_plan(&c);
        check_rows(plan, p, (int64_t)(i ? count / 4 : count), -1);
        roperot_plan_destroy(plan);
    }
}

static void near_zeros(const void *arg)
{
    const double base = *(const double *)arg;
    const roperot_config c = config_of(base, 1.0, ROPEROT_CACHE_FACTORED, 0);
    roperot_plan *const plan = expect_plan(&c);
    for (int32_t j = 0; j < PAIRS; j += harness_quick() ? 9 : 1) {
        int64_t p[MOST];
        const size_t count = oracle_near_zeros(oracle_inv_freq(base, j, 2 * PAIRS), INT32_MAX, p, MOST);
        CHECK(count > 3, "pair %d: only %zu positions", j, count);
        check_rows(plan, p, (int64_t)count, j);
    }
    roperot_plan_destroy(plan);
}

/* A caller's own frequencies: 0, negative, huge, tiny. */
static void given_frequencies(const void *arg)
{
    (void)arg;
    int64_t p[MOST];
    const size_t count = structured(p);
    double w[PAIRS];
    static const double some[] = { 0.0, -1.0, 65536.0, -65536.0, 1e-300, -0.0, 3.141592653589793, 1e-9 };
    for (size_t j = 0; j < PAIRS; j++)
        w[j] = j < sizeof some / sizeof *some ? some[j] : random_between(-1, 1) * exp(random_between(-20, 11));
    roperot_config c = config_of(1e4, 1.0, ROPEROT_CACHE_FACTORED, 0);
    c.inv_freq = w;
    c.pairs = PAIRS;
    roperot_plan *const plan = expect_plan(&c);
    check_rows(plan, p, (int64_t)(count < 120 ? count : 120), -1);
    roperot_plan_destroy(plan);
}

/* ---- F32 angles: fl32(fl32(p) * fl32(w)), its cos rounded to f32, times fl32(factor), rounded -------------------- */

static void f32_angles(const void *arg)
{
    const double base = *(const double *)arg;
    const int rows = harness_quick() > 1 ? 4000 : 40000;
    const double factor = 1.25;
    roperot_config c = config_of(base, factor, ROPEROT_CACHE_AUTO, rows);
    c.angles = ROPEROT_ANGLES_F32;
    roperot_plan *const plan = expect_plan(&c);
    for (int i = 0; i < (harness_quick() ? 30 : 200); i++) {
        const int64_t p = i < 4 ? i * (rows - 1) / 3 : (int64_t)random_below(rows);
        float row[2 * PAIRS];
        rows_at(plan, &p, 1, PAIRS, row);
        for (int32_t j = 0; j < PAIRS; j++)
            for (int which = 0; which < 2; which++) {
                const float angle = (float)p * (float)oracle_inv_freq(base, j, 2 * PAIRS);
                const float want = oracle_trig(which, (double)angle, 1.0, 1.0, 0.0).nearest * (float)factor;
                CHECK(row[which * PAIRS + j] == want, "%s at %lld, pair %d: %a, not %a", which ? "sin" : "cos",
                      (long long)p, j, (double)row[which * PAIRS + j], (double)want);
            }
    }
    roperot_plan_destroy(plan);
}

/* ---- the same bits ----------------------------------------------------------------------------------------------- */

static void same_rows(const roperot_config *a, const roperot_config *b, const int64_t *p, size_t count,
                      const char *what)
{
    static float rows[2][MOST * 2 * PAIRS];
    roperot_plan *const one = expect_plan(a), *const other = expect_plan(b);
    rows_at(one, p, (int64_t)count, PAIRS, rows[0]);
    rows_at(other, p, (int64_t)count, PAIRS, rows[1]);
    for (size_t i = 0; i < count * 2 * PAIRS; i++)
        CHECK(format_bits(rows[0][i]) == format_bits(rows[1][i]), "%s: position %lld, value %zu: %a and %a", what,
              (long long)p[i / (2 * PAIRS)], i % (2 * PAIRS), (double)rows[0][i], (double)rows[1][i]);
    roperot_plan_destroy(one);
    roperot_plan_destroy(other);
}

static void same_bits_across_caches(const void *arg)
{
    const double base = *(const double *)arg;
    static const int64_t limits[] = { 1, 2, 7, 2048, 2049, 5000, 100000, (1 << 21) - 5, (1 << 21) + 5, 0 };
    static const double factors[] = { 1.0, 0.8 };
    const int emulated = harness_quick() > 1; /* tables of 100000 rows and of all positions take it seconds each */
    for (size_t f = 0; f < 2; f++)
        for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
            if (emulated && (i % 3 != 1 || f)) continue;
            const int64_t limit = limits[i] ? limits[i] : INT64_C(1) << 31;
            int64_t p[64];
            for (size_t k = 0; k < 64; k++)
                p[k] = k == 0 ? limit - 1 : k == 1 ? 0 : (int64_t)((random_bits() >> 33) % (uint64_t)limit);
            const roperot_config any = config_of(base, factors[f], ROPEROT_CACHE_FACTORED, 0);
            const roperot_config factored = config_of(base, factors[f], ROPEROT_CACHE_FACTORED, limits[i]);
            const roperot_config full = config_of(base, factors[f], ROPEROT_CACHE_FULL, limit);
            same_rows(&any, &factored, p, 64, "FACTORED with less");
            if (limits[i] && limits[i] <= 100000) same_rows(&any, &full, p, 64, "FULL");
        }
}

static void same_bits_across_isas(const void *arg)
{
    const int32_t isa = *(const int32_t *)arg;
    int64_t p[MOST];
    const size_t count = structured(p);
    for (size_t b = 0; b < sizeof bases / sizeof *bases; b += 1 + (harness_quick() > 1))
        for (int f32 = 0; f32 < 2; f32++) {
            roperot_config scalar = config_of(bases[b], 1.1, 0, f32 ? 3000 : 0);
            scalar.angles = f32 ? ROPEROT_ANGLES_F32 : ROPEROT_ANGLES_EXACT;
            scalar.isa = ROPEROT_ISA_SCALAR;
            roperot_config other = scalar;
            other.isa = isa;
            for (size_t i = 0; i < count && f32; i++) p[i] %= 3000;
            same_rows(&scalar, &other, p, count, roperot_isa_name(isa));
        }
}

int main(int argc, char **argv)
{
    static int32_t isas[ROPEROT_ISA_END];
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++) {
        harness_add(default_frequencies, &bases[i], "frequencies/%g", bases[i]);
        harness_add(exact_bound, &bases[i], "exact/%g", bases[i]);
        harness_add(near_zeros, &bases[i], "near-zeros/%g", bases[i]);
        harness_add(f32_angles, &bases[i], "f32-angles/%g", bases[i]);
        harness_add(same_bits_across_caches, &bases[i], "caches/%g", bases[i]);
    }
    harness_add(odd_frequencies, NULL, "frequencies/odd");
    harness_add(given_frequencies, NULL, "exact/given");
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) {
        isas[isa] = isa;
        if (roperot_isa_usable(isa)) harness_add(same_bits_across_isas, &isas[isa], "isas/%s", roperot_isa_name(isa));
    }
    return harness_run(argc, argv, "cos_sin");
}
