/* SPDX-License-Identifier: MIT
 * The benchmarks naive/f32/<pairing>/native/<shape>: the ten-line loop against roperot; it must not know either's code.
 */
#include "naive_loop.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"
#include "measure.h"
#include "rotation.h"
#include "stage.h"
#include "values.h"

enum { NAME = 64, PAIRINGS = 2, SHAPES = BENCH_SHAPES_MAIN };

typedef struct naive_case {
    char name[NAME];
    const bench_named_shape *what;
    int32_t pairing;
} naive_case;

static struct {
    const naive_case *owner;
    bench_rotation rotation;
    float *cosines, *sines;
} prepared;

static void run_naive(void *self, int64_t calls)
{
    const bench_shape *const shape = self;
    void (*const rotate)(float *, const float *, const float *, ptrdiff_t, ptrdiff_t, ptrdiff_t) =
        prepared.owner->pairing == ROPEROT_PAIR_HALF ? naive_half : naive_interleaved;
    float *const q = prepared.rotation.data, *const k = q + shape->tokens * shape->heads * shape->dim;
    for (int64_t i = 0; i < calls; ++i) {
        rotate(q, prepared.cosines, prepared.sines, shape->tokens, shape->heads, shape->dim);
        rotate(k, prepared.cosines, prepared.sines, shape->tokens, shape->kv_heads, shape->dim);
    }
}

static void release(void)
{
    if (prepared.owner != NULL) bench_rotation_close(&prepared.rotation);
    free(prepared.cosines);
    free(prepared.sines);
    memset(&prepared, 0, sizeof prepared);
}

static const char *fill_tables(const bench_shape *shape)
{
    const int64_t pairs = shape->dim / 2;
    const size_t bytes = (size_t)(shape->tokens * pairs) * sizeof(float);
    const roperot_positions at = prepared.rotation.positions;
    roperot_table table = ROPEROT_TABLE_INIT;
    table.cos = prepared.cosines = bench_allocate(bytes);
    table.sin = prepared.sines = bench_allocate(bytes);
    table.rows = shape->tokens;
    table.row_stride = pairs;
    if (table.cos == NULL || table.sin == NULL) return "no memory for the tables";
    return roperot_cos_sin(prepared.rotation.plan, &at, 1, shape->tokens, &table) ? roperot_last_error() : NULL;
}

/* The compiler may fuse the naive products, so the two agree to a rounding, not to the bit. */
static const char *check(const naive_case *c)
{
    bench_rotation *const r = &prepared.rotation;
    const size_t count = r->bytes / sizeof(float);
    float *const expected = bench_allocate(r->bytes);
    const float *const data = r->data;
    const char *why = expected == NULL ? "no memory for the check" : NULL;
    bench_rotation_refill(r);
    bench_rotation_run(r, 1);
    if (expected != NULL) memcpy(expected, data, r->bytes);
    bench_rotation_refill(r);
    run_naive((void *)(uintptr_t)&c->what->shape, 1);
    for (size_t i = 0; why == NULL && i < count; ++i)
        if (!(fabsf(data[i] - expected[i]) <= 1e-4f)) why = "the naive loop's result is wrong; the run is void";
    free(expected);
    return why;
}

static const char *prepare(const naive_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    const bench_choice choice = { .dtype = ROPEROT_F32,
                                  .pairing = c->pairing,
                                  .isa = ROPEROT_ISA_AUTO,
                                  .cache = ROPEROT_CACHE_FULL,
                                  .max_positions = 8192 };
    const char *why = bench_rotation_open(&prepared.rotation, &c->what->shape, &choice);
    if (why != NULL) return why;
    prepared.owner = c;
    why = fill_tables(&c->what->shape);
    if (why == NULL) why = check(c);
    if (why != NULL) release();
    return why;
}

static void run_case(shim_state *state, const void *argument)
{
    const naive_case *const c = argument;
    const char *const why = prepare(c);
    if (why != NULL) {
        shim_skip(state, why);
        return;
    }
    const bench_side sides[2] = { { run_naive, (void *)(uintptr_t)&c->what->shape, 0 },
                                  { bench_rotation_run, &prepared.rotation, 0 } };
    bench_times times;
    bench_measure(state, prepared.owner, sides, 2, bench_rotation_refresh(&prepared.rotation), &times);
    bench_report(state, &times, 2.0 * (double)prepared.rotation.bytes);
    shim_counter(state, "roperot_speedup", times.median[0] / times.median[1]);
}

void bench_register_naive(void)
{
    static naive_case cases[PAIRINGS * SHAPES];
    for (int i = 0; i < PAIRINGS * SHAPES; ++i) {
        naive_case *const c = &cases[i];
        c->what = &bench_shapes[i % SHAPES];
        c->pairing = i < SHAPES ? ROPEROT_PAIR_HALF : ROPEROT_PAIR_INTERLEAVED;
        snprintf(c->name, sizeof c->name, "naive/f32/%s/native/%s", bench_pairing_name(c->pairing), c->what->name);
        shim_register(c->name, run_case, c);
    }
}
