/* SPDX-License-Identifier: MIT
 * The harness on trial: every deliberately broken kernel must be caught, every healthy one must pass; it must not know
 * the library's kernels. */
#include <stdlib.h>
#include <string.h>

#include "kernels/broken.h"
#include "kernels/rotate_trial.h"
#include "reference/oracle.h"
#include "support/guard.h"
#include "support/harness.h"

static const reference_rotation *rotation_named(const char *name)
{
    for (size_t i = 0; i < reference_rotation_count; i++)
        if (strcmp(reference_rotations[i].name, name) == 0) return &reference_rotations[i];
    harness_fail(__FILE__, __LINE__, "no rotation is called %s", name);
}

static const char *verdict_on(const broken_kernel *kernel)
{
    const reference_rotation *const rotation = rotation_named(kernel->rotation);
    const char *wrong = NULL;
    /* These kernels do not look at the loop; what differs is that streams are never in place. */
    for (int loop = ROPEROT_LOOP_COLUMNS; loop <= ROPEROT_LOOP_STREAM && !wrong; loop += 2)
        wrong = rotate_trial_sweep(rotation, kernel->fn, rotation->literal, loop);
    return wrong;
}

static void passes(const void *arg)
{
    const char *const wrong = verdict_on(arg);
    CHECK(!wrong, "a healthy kernel was rejected: %s", wrong);
}

static void is_caught(const void *arg)
{
    const broken_kernel *const kernel = arg;
    CHECK(verdict_on(kernel), "the kernel that %s was not caught", kernel->flaw);
}

/* ---- the conversions that everything is judged by ---------------------------------------------------------------- */

/* Every number of the format survives; the middle of neighbours goes to the even one, a hair off it to the nearer. */
static void rounds_exactly(const void *arg)
{
    const int dtype = *(const int *)arg;
    const uint32_t infinity = dtype == 2 ? 0x7c00 : 0x7f80;
    for (uint32_t bits = 0; bits < infinity; bits++) {
        const double value = oracle_value(dtype, bits), next = bits + 1 < infinity
                                                                   ? oracle_value(dtype, bits + 1)
                                                                   : 2 * value - oracle_value(dtype, bits - 1);
        const double middle = 0.5 * (value + next), hair = (next - value) * 0x1p-20;
        CHECK(oracle_round(dtype, value) == bits, "0x%x did not survive", (unsigned)bits);
        CHECK(oracle_round(dtype, -value) == (bits | 0x8000), "-0x%x lost its sign", (unsigned)bits);
        CHECK(oracle_round(dtype, middle) == bits + (bits & 1), "the tie above 0x%x is not even", (unsigned)bits);
        CHECK(oracle_round(dtype, middle - hair) == bits, "below the tie above 0x%x", (unsigned)bits);
        CHECK(oracle_round(dtype, middle + hair) == bits + 1, "above the tie above 0x%x", (unsigned)bits);
        CHECK(value < next, "0x%x is not less than its successor", (unsigned)bits);
    }
    CHECK(oracle_value(dtype, infinity) > 1e300, "infinity of dtype %d", dtype);
    CHECK(format_is_nan(dtype, infinity + 1), "NaN of dtype %d", dtype);
}

/* f32 agrees with the compiler's own conversion. */
static void rounds_like_the_machine(const void *arg)
{
    (void)arg;
    for (int i = 0; i < 200000; i++) {
        const uint32_t bits = (uint32_t)random_bits();
        const double value = oracle_value(1, bits), between = value * random_between(1, 1 + 0x1p-22);
        CHECK(format_same(1, bits, format_bits((float)value)), "0x%x reads as %a", (unsigned)bits, value);
        CHECK(format_same(1, oracle_round(1, between), format_bits((float)between)), "%a rounds to 0x%x", between,
              (unsigned)oracle_round(1, between));
    }
}

/* ---- the guards -------------------------------------------------------------------------------------------------- */

static void poke(void *address)
{
    *(volatile unsigned char *)address = 0;
}

static void guards_bite(const void *arg)
{
    (void)arg;
    for (int end = 0; end < 2; end++) {
        harness_fault fault = { 0, NULL };
        guard_buffer buffer = guard_buffer_open(100, end);
        unsigned char *const outside = end == GUARD_HIGH ? buffer.data + 100 : buffer.data - 1;
        CHECK(harness_faults(poke, outside, &fault) && fault.address == outside, "end %d has no guard", end);
        CHECK(!harness_faults(poke, buffer.data, &fault) && guard_buffer_intact(&buffer), "end %d: the data", end);
        poke(end == GUARD_HIGH ? buffer.data - 1 : buffer.data + 100);
        CHECK(!guard_buffer_intact(&buffer), "end %d: a lost canary was not noticed", end);
        guard_buffer_close(&buffer);
    }
}

/* ---- the positions that test_cos_sin relies on ------------------------------------------------------------------- */

/* Brute force over a short range: the least distance to a multiple of pi/2, odd and even, is among those found. */
static void finds_near_zeros(const void *arg)
{
    (void)arg;
    static const double list[] = { 1.0, 0.7498942093324559, 0.1, 3.3, 0.0123, 1e-3 };
    for (size_t i = 0; i < sizeof list / sizeof *list; i++) {
        int64_t found[512], best[2] = { 0, 0 };
        double least[2] = { 2, 2 };
        const int64_t limit = harness_quick() > 1 ? 3000 : 30000;
        const size_t count = oracle_near_zeros(list[i], limit, found, 512);
        for (int64_t p = 1; p <= limit; p++)
            for (int which = 0; which < 2; which++) {
                const double near = (double)oracle_trig(which, (double)p, list[i], 1, 0).nearest;
                if ((near < 0 ? -near : near) >= least[which]) continue;
                least[which] = near < 0 ? -near : near;
                best[which] = p;
            }
        for (int which = 0; which < 2; which++) {
            int among = 0;
            for (size_t k = 0; k < count; k++) among |= found[k] == best[which];
            CHECK(among, "w %a: %s is least at %lld, which was not found", list[i], which ? "sin" : "cos",
                  (long long)best[which]);
        }
    }
}

int main(int argc, char **argv)
{
    static const int f16 = 2, bf16 = 3;
    for (size_t i = 0; i < broken_kernel_count; i++) {
        const broken_kernel *const kernel = &broken_kernels[i];
        harness_add(kernel->healthy ? passes : is_caught, kernel, "%s/%s", kernel->healthy ? "healthy" : kernel->flaw,
                    kernel->rotation);
    }
    harness_add(rounds_exactly, &f16, "oracle/f16");
    harness_add(rounds_exactly, &bf16, "oracle/bf16");
    harness_add(rounds_like_the_machine, NULL, "oracle/f32");
    harness_add(guards_bite, NULL, "guards");
    harness_add(finds_near_zeros, NULL, "oracle/near-zeros");
    const int status = harness_run(argc, argv, "selfcheck");
    rotate_trial_close();
    return status;
}
