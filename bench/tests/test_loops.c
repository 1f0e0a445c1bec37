/* SPDX-License-Identifier: MIT
 * Tests that the reference loops do the work that they are timed for, in every ISA that this CPU can run; it must not
 * time anything.
 */
#include <roperot/roperot.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lists.h"
#include "sweeps.h"

enum { LINE = 64, LINES = 41, FLOATS = LINE * LINES / 4, FAR_FLOATS = (1 << 20) / 4 + FLOATS, GUARD = 77 };

static float value_of(size_t i)
{
    return (float)(i % 97) - 48.0f;
}

/* Room for `floats` and one line on either side that must stay what it is. */
static float *new_values(size_t floats)
{
    float *const all = aligned_alloc(LINE, floats * sizeof *all + 2 * LINE);
    assert_non_null(all);
    for (size_t i = 0; i < LINE / 4; ++i) all[i] = all[LINE / 4 + floats + i] = (float)GUARD;
    for (size_t i = 0; i < floats; ++i) all[LINE / 4 + i] = value_of(i);
    return all + LINE / 4;
}

static void free_values(float *values, size_t floats)
{
    for (size_t i = 0; i < LINE / 4; ++i) {
        assert_true(values[floats + i] == (float)GUARD);
        assert_true(values[-1 - (ptrdiff_t)i] == (float)GUARD);
    }
    free(values - LINE / 4);
}

static void check_multiply(void (*loop)(void *, size_t, float), size_t floats)
{
    float *const data = new_values(floats);
    loop(data, floats * sizeof *data, 2.0f);
    for (size_t i = 0; i < floats; ++i) assert_true(data[i] == 2.0f * value_of(i));
    free_values(data, floats);
}

static void check_copy(void (*loop)(void *, const void *, size_t), size_t floats)
{
    float *const from = new_values(floats), *const to = new_values(floats);
    memset(to, 0, floats * sizeof *to);
    loop(to, from, floats * sizeof *to);
    for (size_t i = 0; i < floats; ++i) assert_true(to[i] == value_of(i));
    free_values(from, floats);
    free_values(to, floats);
}

static void check_one_way(const bench_sweeps *loops, size_t floats)
{
    float *const data = new_values(floats);
    float sum = 0.0f; /* of small integers: exact in any order */
    for (size_t i = 0; i < floats; ++i) sum += data[i];
    assert_true(loops->read(data, floats * sizeof *data) == sum);
    loops->write(data, floats * sizeof *data, 3.0f);
    for (size_t i = 0; i < floats; ++i) assert_true(data[i] == 3.0f);
    free_values(data, floats);
}

static void check_loops(const bench_sweeps *loops)
{
    for (size_t lines = 1; lines <= LINES + 1; ++lines) {
        const size_t floats = lines <= LINES ? lines * LINE / 4 : FAR_FLOATS; /* the last: sweep prefetches */
        check_multiply(loops->sweep, floats);
        check_multiply(loops->twin, floats);
        check_copy(loops->copy, floats);
        if (loops->copy_stream != NULL) check_copy(loops->copy_stream, floats);
        check_one_way(loops, floats);
    }
}

static void test_every_isa(void **state)
{
    int checked = 0;
    (void)state;
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; ++isa) {
        const bench_sweeps *const loops = bench_sweeps_for(roperot_isa_name(isa));
        if (loops == NULL || !roperot_isa_usable(isa)) continue;
        printf("checking the loops of %s\n", loops->isa);
        assert_string_equal(loops->isa, roperot_isa_name(isa));
        check_loops(loops);
        checked++;
    }
    assert_true(checked >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(test_every_isa) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
