/* SPDX-License-Identifier: MIT
 * Every rotation kernel of every usable ISA against the scalar one, and that against the recipe and the textbook; it
 * must not know plans or caches. */
#include <math.h>
#include <string.h>

#include <roperot/roperot.h>

#include "dispatch.h"
#include "kernels/rotate_trial.h"
#include "lists.h"
#include "reference/oracle.h"
#include "support/harness.h"
#include "support/values.h"

typedef struct kernel_case {
    const reference_rotation *rotation;
    const roperot_kernels *kernels, *reference; /* reference NULL: the literal recipe */
    int loop;
} kernel_case;

static roperot_rotate_fn *kernel_of(const roperot_kernels *kernels, const reference_rotation *r)
{
    return kernels->rotate[r->src][r->dst][r->pairing][r->pairing_out];
}

static void equals_reference(const void *arg)
{
    const kernel_case *const c = arg;
    roperot_rotate_fn *const fn = kernel_of(c->kernels, c->rotation);
    CHECK(fn, "%s has no kernel for %s", c->kernels->name, c->rotation->name);
    roperot_rotate_fn *const reference = c->reference ? kernel_of(c->reference, c->rotation) : c->rotation->literal;
    const char *const wrong = rotate_trial_sweep(c->rotation, fn, reference, c->loop);
    CHECK(!wrong, "%s", wrong);
}

/* ---- the scalar kernel against the textbook ---------------------------------------------------------------------- */

/* |y - exact| for y = RN(RN(x0 c) - RN(x1 s)), u = 2^-24: each product errs by at most u |product| (or half the least
 * denormal, 2^-150), the sum by u (|x0 c| + |x1 s|)(1 + u), and a sum of f32 that is denormal is exact. Together
 * at most 2 u (1 + u) (|x0 c| + |x1 s|) + 2^-149. Rounding to the destination adds half of its ULP. The textbook in
 * double is 2^-52 off at most; the factor 1.0001 covers that and the u^2 term. */
static double bound(int dst, double a, double b, double exact)
{
    const double f32 = 1.0001 * 0x1p-23 * (fabs(a) + fabs(b)) + 0x1p-149;
    return dst == ROPEROT_F32 ? f32 : f32 + 0.5 * oracle_ulp(dst, fabs(exact) + f32);
}

static void check_pair(const reference_rotation *r, const uint32_t x[2], const float cs[2], const uint32_t y[2])
{
    const double x0 = oracle_value(r->src + 1, x[0]), x1 = oracle_value(r->src + 1, x[1]);
    const double c = (double)cs[0], s = (double)cs[1];
    double exact[2];
    oracle_rotate(x0, x1, c, s, exact);
    const double limit[2] = { bound(r->dst + 1, x0 * c, x1 * s, exact[0]),
                              bound(r->dst + 1, x0 * s, x1 * c, exact[1]) };
    for (int i = 0; i < 2; i++) {
        const double got = oracle_value(r->dst + 1, y[i]);
        CHECK(fabs(got - exact[i]) <= limit[i], "x %a %a, cos %a, sin %a: y%d is %a, the textbook says %a, allowed %a",
              x0, x1, c, s, i, got, exact[i], limit[i]);
    }
}

static void near_textbook(const void *arg)
{
    const kernel_case *const k = arg;
    const reference_rotation *const r = k->rotation;
    roperot_rotate_fn *const fn = kernel_of(k->kernels, r);
    for (int i = 0; i < (harness_quick() ? 2000 : 40000); i++) {
        uint32_t x[2], y[2] = { 0, 0 };
        unsigned char src[8], dst[8];
        const double angle = random_between(-4, 4);
        const float cs[2] = { (float)cos(angle), (float)sin(angle) };
        const roperot_token token = { &cs[0], &cs[1], src, dst };
        const roperot_tile tile = {
            .token = &token, .src_half = 1, .dst_half = 1, .tokens = 1, .heads = 1, .pairs = 1
        };
        for (size_t j = 0; j < 2; j++) {
            x[j] = values_number(i % 3 == 0 ? VALUES_TINY : VALUES_NORMAL, r->src + 1);
            format_store(r->src + 1, src + j * format_bytes(r->src + 1), x[j]);
        }
        fn(&tile);
        for (size_t j = 0; j < 2; j++) y[j] = format_load(r->dst + 1, dst + j * format_bytes(r->dst + 1));
        check_pair(r, x, cs, y);
    }
}

/* ---- the tables -------------------------------------------------------------------------------------------------- */

/* What the list names is there, and nothing that it does not name. */
static void table_is_complete(const void *arg)
{
    const roperot_kernels *const k = arg;
    size_t present = 0;
    for (int s = 0; s < ROPEROT_DTYPES; s++)
        for (int d = 0; d < ROPEROT_DTYPES; d++)
            for (int p = 0; p < ROPEROT_PAIRINGS; p++)
                for (int q = 0; q < ROPEROT_PAIRINGS; q++) present += k->rotate[s][d][p][q] != NULL;
    CHECK(present == reference_rotation_count, "%zu kernels, the list has %zu", present, reference_rotation_count);
    CHECK(k->factors && k->combine && k->combine_rows && k->fence && k->angles && k->angles_f32 && k->blend,
          "a coefficient kernel is missing");
    CHECK(strcmp(k->name, roperot_isa_name(k->isa)) == 0, "%s calls itself %s", roperot_isa_name(k->isa), k->name);
    CHECK(roperot_kernels_for(k->isa) == k, "%s is not its own table", k->name);
}

/* An ISA that is not usable has no table: a plan that asks for it must not get another one. */
static void unusable_has_no_table(const void *arg)
{
    (void)arg;
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++)
        CHECK(roperot_isa_usable(isa) == (roperot_kernels_for(isa) != NULL), "%s", roperot_isa_name(isa));
    CHECK(!roperot_kernels_for(-1) && !roperot_kernels_for(ROPEROT_ISA_END), "a table for an unknown ISA");
}

static void add_cases(const roperot_kernels *kernels, const roperot_kernels *scalar)
{
    enum { ROOM = 1024 };
    static kernel_case cases[ROOM];
    static size_t count;
    static const char *const loops[] = { "columns", "linear", "stream" };
    harness_add(table_is_complete, kernels, "table/%s", kernels->name);
    for (size_t i = 0; i < reference_rotation_count; i++)
        for (int loop = 0; loop < 3 && count < ROOM; loop++) {
            cases[count] = (kernel_case){ &reference_rotations[i], kernels, kernels == scalar ? NULL : scalar, loop };
            harness_add(equals_reference, &cases[count++], "%s/%s/%s", reference_rotations[i].name, kernels->name,
                        loops[loop]);
        }
    for (size_t i = 0; i < reference_rotation_count && kernels == scalar && count < ROOM; i++) {
        cases[count] = (kernel_case){ &reference_rotations[i], kernels, NULL, 0 };
        harness_add(near_textbook, &cases[count++], "%s/%s/textbook", reference_rotations[i].name, kernels->name);
    }
}

int main(int argc, char **argv)
{
    const roperot_kernels *const scalar = roperot_kernels_for(ROPEROT_ISA_SCALAR);
    harness_add(unusable_has_no_table, NULL, "table/unusable");
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++)
        if (roperot_isa_usable(isa)) add_cases(roperot_kernels_for(isa), scalar);
    const int status = harness_run(argc, argv, "kernels");
    rotate_trial_close();
    return status;
}
