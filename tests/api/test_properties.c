/* SPDX-License-Identifier: MIT
 * What RoFormer (arXiv 2104.09864) claims of its rotation, of ours; it must not know how it is computed. */
#include <complex.h>
#include <math.h>
#include <stdlib.h>

#include <roperot/roperot.h>

#include "reference/oracle.h"
#include "support/assertions.h"
#include "support/harness.h"

enum { DIM = 128, PAIRS = DIM / 2 };

typedef struct property_case {
    int32_t pairing, cache;
} property_case;

static roperot_plan *plan_of(const property_case *p)
{
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.pairing = p->pairing;
    c.cache = p->cache;
    c.max_positions = p->cache == ROPEROT_CACHE_FULL ? 70000 : 0;
    return expect_plan(&c);
}

static void random_vector(float *x)
{
    for (int i = 0; i < DIM; i++) x[i] = (float)random_between(-1, 1);
}

static void rotated(const roperot_plan *plan, const float *x, int64_t position, uint32_t flags, float *y)
{
    roperot_options o = ROPEROT_OPTIONS_INIT;
    o.flags = flags;
    const roperot_positions at = roperot_positions_offset(position);
    const roperot_tensor src = roperot_tensor_shd((void *)(uintptr_t)x, ROPEROT_F32, 1, 1, DIM);
    const roperot_tensor dst = roperot_tensor_shd(y, ROPEROT_F32, 1, 1, DIM);
    CHECK(!roperot_apply(plan, &at, &src, &dst, 1, &o), "%s", roperot_last_error());
}

static double dot(const float *a, const float *b)
{
    double sum = 0;
    for (int i = 0; i < DIM; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static int channel(const property_case *p, int j, int which)
{
    return p->pairing == ROPEROT_PAIR_HALF ? j + which * PAIRS : 2 * j + which;
}

/* Entries of a rotated pair are at most sqrt(2) in size. cos and sin err by 2^-25, the three roundings by less than
 * 3 * 2^-24 * sqrt(2): a channel errs by less than 2^-21, and a sum of 128 products of two by 128 * 2 * 2^-20.5. */
static const double dot_tolerance = DIM * 0x1p-19, channel_tolerance = 0x1p-21;

/* <R_m q, R_n k> depends on m - n alone. */
static void relative_positions(const void *arg)
{
    const property_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    const int64_t most = p->cache == ROPEROT_CACHE_FULL ? 70000 : INT32_MAX;
    int moved = 0;
    for (int i = 0; i < 300; i++) {
        float q[DIM], k[DIM], qm[DIM], kn[DIM], qs[DIM], ks[DIM];
        const int64_t m = random_below(1 << (i % 16)), n = random_below(1 << (i % 16));
        const int64_t s = (int64_t)((random_bits() >> 33) % (uint64_t)(most - (1 << 16)));
        random_vector(q);
        random_vector(k);
        rotated(plan, q, m, 0, qm);
        rotated(plan, k, n, 0, kn);
        rotated(plan, q, m + s, 0, qs);
        rotated(plan, k, n + s, 0, ks);
        const double here = dot(qm, kn), there = dot(qs, ks);
        CHECK(fabs(here - there) <= dot_tolerance, "m %lld n %lld s %lld: %.9g and %.9g", (long long)m, (long long)n,
              (long long)s, here, there);
        rotated(plan, k, n + 1, 0, ks);
        moved += fabs(dot(qm, ks) - here) > 10 * dot_tolerance;
    }
    CHECK(moved > 250, "one step further makes a difference in %d of 300 cases only", moved);
    roperot_plan_destroy(plan);
}

/* exp(i p w) x as a complex number, as a rotation matrix, and from the library. */
static void three_definitions(const void *arg)
{
    const property_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    for (int i = 0; i < 100; i++) {
        float x[DIM], y[DIM];
        const int64_t at = i == 0 ? 0 : random_below(70000);
        random_vector(x);
        rotated(plan, x, at, 0, y);
        for (int j = 0; j < PAIRS; j++) {
            const double c = (double)oracle_trig(0, (double)at, oracle_inv_freq(1e4, j, DIM), 1, 0).nearest;
            const double s = (double)oracle_trig(1, (double)at, oracle_inv_freq(1e4, j, DIM), 1, 0).nearest;
            const double x0 = (double)x[channel(p, j, 0)], x1 = (double)x[channel(p, j, 1)];
            const double matrix[2][2] = { { c, -s }, { s, c } };
            const double complex z = (x0 + x1 * I) * (c + s * I);
            for (int k = 0; k < 2; k++) {
                const double by_matrix = matrix[k][0] * x0 + matrix[k][1] * x1, by_complex = k ? cimag(z) : creal(z);
                const double got = (double)y[channel(p, j, k)];
                CHECK(fabs(by_matrix - by_complex) <= 0x1p-50, "matrix %a, complex %a", by_matrix, by_complex);
                CHECK(fabs(got - by_matrix) <= channel_tolerance, "position %lld pair %d: %a, not %a", (long long)at, j,
                      got, by_matrix);
            }
        }
    }
    roperot_plan_destroy(plan);
}

static void norms_are_kept(const void *arg)
{
    const property_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    for (int i = 0; i < 300; i++) {
        float x[DIM], y[DIM];
        random_vector(x);
        rotated(plan, x, random_below(70000), 0, y);
        for (int j = 0; j < PAIRS; j++) {
            const double before = hypot((double)x[channel(p, j, 0)], (double)x[channel(p, j, 1)]);
            const double after = hypot((double)y[channel(p, j, 0)], (double)y[channel(p, j, 1)]);
            CHECK(fabs(after - before) <= channel_tolerance, "pair %d: %a became %a", j, before, after);
        }
    }
    roperot_plan_destroy(plan);
}

/* Position 0 changes no bit, but for the sign of zeros: x0 * 1 - x1 * 0. */
static void position_0_is_identity(const void *arg)
{
    const property_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    for (int i = 0; i < 50; i++) {
        float x[DIM], y[DIM];
        random_vector(x);
        rotated(plan, x, 0, i % 2 ? ROPEROT_INVERSE : 0, y);
        for (int j = 0; j < DIM; j++)
            CHECK(format_bits(x[j]) == format_bits(y[j]), "channel %d: %a to %a", j, (double)x[j], (double)y[j]);
    }
    roperot_plan_destroy(plan);
}

/* The inverse undoes it; and rotating on by s is rotating to m + s. */
static void group(const void *arg)
{
    const property_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    for (int i = 0; i < 200; i++) {
        float x[DIM], y[DIM], z[DIM], w[DIM];
        const int64_t m = random_below(30000), s = random_below(30000);
        random_vector(x);
        rotated(plan, x, m, 0, y);
        rotated(plan, y, m, ROPEROT_INVERSE, z);
        for (int j = 0; j < DIM; j++)
            CHECK(fabs((double)z[j] - (double)x[j]) <= 2 * channel_tolerance, "channel %d: %a came back as %a", j,
                  (double)x[j], (double)z[j]);
        rotated(plan, y, s, 0, z);
        rotated(plan, x, m + s, 0, w);
        for (int j = 0; j < DIM; j++)
            CHECK(fabs((double)z[j] - (double)w[j]) <= 3 * channel_tolerance, "channel %d: %a in two steps, %a in one",
                  j, (double)z[j], (double)w[j]);
    }
    roperot_plan_destroy(plan);
}

/* INVERSE is the transpose, re-pairing and all: <R x, y> = <x, R^T y>, with the attention factor, and without it
 * R^T R = 1. */
static void inverse_is_transpose(const void *arg)
{
    const property_case *const p = arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.pairing = p->pairing;
    c.pairing_out = ROPEROT_PAIR_HALF + ROPEROT_PAIR_INTERLEAVED - p->pairing;
    c.cache = p->cache;
    c.max_positions = 70000;
    c.attention_factor = 1.25;
    roperot_plan *const plan = expect_plan(&c);
    for (int i = 0; i < 100; i++) {
        float x[DIM], y[DIM], forward[DIM], back[DIM];
        const int64_t m = random_below(70000);
        random_vector(x);
        random_vector(y);
        rotated(plan, x, m, 0, forward);
        rotated(plan, y, m, ROPEROT_INVERSE, back);
        const double left = dot(forward, y), right = dot(x, back);
        CHECK(fabs(left - right) <= 1.25 * dot_tolerance, "<R x, y> is %a and <x, R' y> %a", left, right);
        rotated(plan, x, m, ROPEROT_PURE_ROTATION, forward);
        rotated(plan, forward, m, ROPEROT_INVERSE | ROPEROT_PURE_ROTATION, back);
        for (int j = 0; j < DIM; j++)
            CHECK(fabs((double)back[j] - (double)x[j]) <= 2 * channel_tolerance, "channel %d: %a came back as %a", j,
                  (double)x[j], (double)back[j]);
    }
    roperot_plan_destroy(plan);
}

/* INVERSE at p is SIGNED at -p, bit for bit. */
static void inverse_is_negative(const void *arg)
{
    const property_case *const p = arg;
    roperot_plan *const plan = plan_of(p);
    for (int i = 0; i < 100; i++) {
        float x[DIM], y[DIM], z[DIM];
        const int64_t m = random_below(30000);
        random_vector(x);
        rotated(plan, x, m, ROPEROT_INVERSE, y);
        rotated(plan, x, -m, ROPEROT_SIGNED_POSITIONS, z);
        for (int j = 0; j < DIM; j++) CHECK(y[j] == z[j], "channel %d: %a and %a", j, (double)y[j], (double)z[j]);
    }
    roperot_plan_destroy(plan);
}

/* Shifting a cached K: n steps of PURE_ROTATION by 1 against one rotation to the new position. Each step errs by less
 * than channel_tolerance * max(|pair|) <= sqrt(2) * 2^-21, and rotations do not magnify what was there. */
static void shifts_add_up(const void *arg)
{
    const property_case *const p = arg;
    roperot_config c = ROPEROT_CONFIG_INIT;
    c.head_dim = DIM;
    c.pairing = p->pairing;
    c.attention_factor = 1.25; /* once, at the first rotation */
    roperot_plan *const plan = expect_plan(&c);
    enum { STEPS = 1000 };
    float x[DIM], k[DIM], direct[DIM];
    random_vector(x);
    rotated(plan, x, 5000, 0, k);
    for (int i = 1; i <= STEPS; i++) {
        const int64_t by = i % 3 ? -2 : 3; /* on balance -1/3 */
        rotated(plan, k, by, ROPEROT_PURE_ROTATION | ROPEROT_SIGNED_POSITIONS, k);
    }
    rotated(plan, x, 5000 - 2 * (STEPS - STEPS / 3) + 3 * (STEPS / 3), 0, direct);
    for (int j = 0; j < DIM; j++)
        CHECK(fabs((double)k[j] - (double)direct[j]) <= 1.25 * (STEPS + 1) * sqrt(2) * channel_tolerance,
              "channel %d: %a after %d shifts, %a at once", j, (double)k[j], STEPS, (double)direct[j]);
    roperot_plan_destroy(plan);
}

int main(int argc, char **argv)
{
    static const property_case cases[] = { { 1, 1 }, { 2, 1 }, { 1, 2 }, { 2, 2 } };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const property_case *const p = &cases[i];
        const char *const pairing = p->pairing == 1 ? "half" : "interleaved", *const cache =
                                                                                  p->cache == 1 ? "full" : "factored";
        harness_add(relative_positions, p, "relative-positions/%s/%s", pairing, cache);
        harness_add(three_definitions, p, "three-definitions/%s/%s", pairing, cache);
        harness_add(norms_are_kept, p, "norms-are-kept/%s/%s", pairing, cache);
        harness_add(position_0_is_identity, p, "position-0-is-identity/%s/%s", pairing, cache);
        harness_add(group, p, "group/%s/%s", pairing, cache);
        harness_add(inverse_is_transpose, p, "inverse-is-transpose/%s/%s", pairing, cache);
        harness_add(inverse_is_negative, p, "inverse-is-negative/%s/%s", pairing, cache);
        harness_add(shifts_add_up, p, "shifts-add-up/%s/%s", pairing, cache);
    }
    return harness_run(argc, argv, "properties");
}
