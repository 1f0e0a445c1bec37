/* SPDX-License-Identifier: MIT
 * Moving a rotated K cache, and the angles that ggml would have used instead; it must not know how either is stored. */
#include <math.h>
#include <string.h>

#include <roperot/roperot.h>

#include "support/assertions.h"
#include "support/harness.h"

enum { DIM = 128, PAIRS = DIM / 2, TOKENS = 4, HEADS = 2, SIZE = TOKENS * HEADS * DIM, SHIFTS = 1000, SPREAD = 256 };

typedef struct shift_case {
    int32_t pairing, cache, angles;
    uint32_t limit; /* positions stay below it */
    double factor;
} shift_case;

/* The tokens of a case are at its own position plus these. */
static const int64_t apart[TOKENS] = { 0, 1, 17, SPREAD - 1 };

/* What one rotation adds to the error of a pair, relative to the pair's norm, with u = 2^-24:
 *  - cos and sin each err by at most u/2 (+ 2^-50), as a matrix by u/sqrt(2) of the norm;
 *  - the two products of a channel err by u (|x0 c| + |x1 s|) and u (|x0 s| + |x1 c|), of which the norm is at most
 *    u sqrt(1 + 4 |x0 x1 c s| / |x|^2) |x| <= sqrt(2) u |x|;
 *  - the sums err by u |x|.
 * Together 3.122 u; 3.13 leaves room for the products of errors. A rotation keeps the norm of the error that was there,
 * so N of them add up to N times that at most. With an attention factor, cos and sin are no longer below 1: relative to
 * the factor they err by u (rounded once), or by 1.5 u (F32 angles, rounded twice), as a matrix by sqrt(2) as much. */
static const double pure_step = 3.13 * 0x1p-24, first_step = (1.5 * 1.4143 + 1.4143 + 1 + 0.01) * 0x1p-24;

static roperot_plan *plan_of(const shift_case *p)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.pairing = p->pairing;
    c.cache = p->cache;
    c.angles = p->angles;
    c.attention_factor = p->factor;
    c.max_positions = p->cache == ROPEROT_CACHE_FULL ? (int64_t)p->limit : 0;
    return expect_plan(&c);
}

/* In place; token t goes by ids[t * stride]. */
static void rotate(const roperot_plan *plan, float *x, const int64_t *ids, int64_t stride, uint32_t flags)
{
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.flags = flags;
    roperot_positions at = roperot_positions_i64(ids, 0);
    at.token_stride = stride;
    const roperot_tensor view = roperot_tensor_shd(x, ROPEROT_F32, TOKENS, HEADS, DIM);
    CHECK(!roperot_apply(plan, &at, &view, NULL, 1, &o), "%s", roperot_last_error());
}

static void shift(const roperot_plan *plan, float *k, int64_t delta)
{
    rotate(plan, k, &delta, 0, ROPEROT_PURE_ROTATION | (delta < 0 ? ROPEROT_SIGNED_POSITIONS : 0));
}

static void place(const roperot_plan *plan, const float *x, int64_t position, float *k)
{
    int64_t ids[TOKENS];
    for (int t = 0; t < TOKENS; t++) ids[t] = position + apart[t];
    memcpy(k, x, SIZE * sizeof *x);
    rotate(plan, k, ids, 1, 0);
}

static int64_t somewhere(const shift_case *p)
{
    return random_below(p->limit - SPREAD);
}

static void random_keys(float *x)
{
    for (int i = 0; i < SIZE; i++) x[i] = (float)random_between(-1, 1);
}

/* Both channels of pair i (all tokens and heads counted through). */
static void pair_at(const shift_case *p, const float *x, int i, double pair[2])
{
    const float *const row = x + i / PAIRS * DIM;
    const int j = i % PAIRS, half = p->pairing == ROPEROT_PAIR_HALF;
    pair[0] = (double)row[half ? j : 2 * j];
    pair[1] = (double)row[half ? j + PAIRS : 2 * j + 1];
}

static double norm_at(const shift_case *p, const float *x, int i)
{
    double pair[2];
    pair_at(p, x, i, pair);
    return hypot(pair[0], pair[1]);
}

/* After every one of the shifts: as if rotated there at once. The bound counts both first rotations. */
static void moved_is_placed(const void *arg)
{
    const shift_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    float x[SIZE], k[SIZE], direct[SIZE];
    random_keys(x);
    int64_t position = somewhere(p);
    place(plan, x, position, k);
    for (int n = 1; n <= SHIFTS; n++) {
        const int64_t next = somewhere(p);
        shift(plan, k, next - position);
        position = next;
        place(plan, x, position, direct);
        for (int i = 0; i < SIZE / 2; i++) {
            double a[2], b[2];
            pair_at(p, k, i, a);
            pair_at(p, direct, i, b);
            const double error = hypot(a[0] - b[0], a[1] - b[1]);
            const double bound = p->factor * norm_at(p, x, i) * (n * pure_step + 2 * first_step);
            CHECK(error <= bound, "position %lld after %d shifts, pair %d: (%a, %a), not (%a, %a); off by %g, bound %g",
                  (long long)position, n, i, a[0], a[1], b[0], b[1], error, bound);
        }
    }
    roperot_plan_destroy(plan);
}

/* The attention factor is in a key once, however often it is shifted; and a shift that is not pure would show. */
static void norm_does_not_grow(const void *arg)
{
    const shift_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    float x[SIZE], k[SIZE];
    random_keys(x);
    place(plan, x, somewhere(p), k);
    for (int n = 1; n <= SHIFTS; n++) {
        shift(plan, k, somewhere(p) - somewhere(p));
        for (int i = 0; i < SIZE / 2; i++) {
            const double is = norm_at(p, k, i), was = p->factor * norm_at(p, x, i);
            CHECK(fabs(is - was) <= was * (n * pure_step + first_step), "pair %d after %d shifts: norm %a, not %a", i,
                  n, is, was);
        }
    }
    const int64_t delta = 3;
    rotate(plan, k, &delta, 0, 0);
    for (int i = 0; i < SIZE / 2; i++) {
        const double grown = p->factor * p->factor * norm_at(p, x, i);
        CHECK(fabs(norm_at(p, k, i) - grown) <= grown * ((SHIFTS + 1) * pure_step + 2 * first_step),
              "pair %d: norm %a without PURE_ROTATION, not %a", i, norm_at(p, k, i), grown);
    }
    roperot_plan_destroy(plan);
}

/* ggml's angles, for comparison only: p, then each one the f32 product of the one before and f32 b^(-2/d). */
static void chained_angles(int64_t position, float base, float *theta)
{
    const float scale = powf(base, -2.0f / (float)DIM);
    theta[0] = (float)position;
    for (int j = 1; j < PAIRS; j++) theta[j] = theta[j - 1] * scale;
}

/* The largest difference of any cos or sin between ggml's angles and ours. */
static double chained_difference(const roperot_plan *plan, int64_t position, float base)
{
    float theta[PAIRS], c[PAIRS], s[PAIRS];
    chained_angles(position, base, theta);
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = c;
    table.sin = s;
    table.rows = 1;
    table.row_stride = PAIRS;
    const roperot_positions at = roperot_positions_offset(position);
    CHECK(!roperot_cos_sin(plan, &at, 1, 1, &table), "%s", roperot_last_error());
    double most = 0;
    for (int j = 0; j < PAIRS; j++) {
        most = fmax(most, fabs((double)cosf(theta[j]) - (double)c[j]));
        most = fmax(most, fabs((double)sinf(theta[j]) - (double)s[j]));
    }
    return most;
}

/* Near the start both are right; far out the rounding errors of a chain of f32 products have become whole angles. */
static void chained_against_exact(const void *arg)
{
    const double base = *(const double *)arg;
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = DIM;
    config.base = base;
    roperot_plan *const plan = expect_plan(&config);
    for (int64_t p = 0; p <= 64; p++) {
        const double near = chained_difference(plan, p, (float)base);
        CHECK(near <= 1e-5, "base %g, position %lld: chained angles differ by %g", base, (long long)p, near);
    }
    for (int64_t p = 131072; p < 131072 + 16; p++) {
        const double far = chained_difference(plan, p, (float)base);
        CHECK(far > 2e-3, "base %g, position %lld: chained angles differ by %g only", base, (long long)p, far);
    }
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    enum { HALF = ROPEROT_PAIR_HALF, INTERLEAVED = ROPEROT_PAIR_INTERLEAVED };
    enum { FULL = ROPEROT_CACHE_FULL, FACTORED = ROPEROT_CACHE_FACTORED, F32 = ROPEROT_ANGLES_F32 };
    static const shift_case cases[] = {
        { HALF, FULL, 0, 70000, 1 },           { INTERLEAVED, FULL, 0, 70000, 1.25 },
        { HALF, FACTORED, 0, INT32_MAX, 1.6 }, { INTERLEAVED, FACTORED, 0, INT32_MAX, 1 },
        { HALF, FULL, F32, 70000, 1.25 },
    };
    static const double bases[] = { 1e4, 5e5, 1e6 };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const shift_case *const p = &cases[i];
        const char *const pairing = p->pairing == HALF ? "half" : "interleaved";
        const char *const cache = p->cache == FULL ? "full" : "factored";
        const char *const angles = p->angles == F32 ? "f32" : "exact";
        /* f32 angles of p and of delta do not add up to that of p + delta: no promise there but the norm. */
        if (p->angles != F32) harness_add(moved_is_placed, p, "moved-is-placed/%s/%s/%g", pairing, cache, p->factor);
        if (p->factor > 1)
            harness_add(norm_does_not_grow, p, "norm-does-not-grow/%s/%s/%s/%g", pairing, cache, angles, p->factor);
    }
    for (size_t i = 0; i < sizeof bases / sizeof *bases; i++)
        harness_add(chained_against_exact, &bases[i], "chained-against-exact/%g", bases[i]);
    return harness_run(argc, argv, "shift");
}
