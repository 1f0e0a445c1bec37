/* SPDX-License-Identifier: MIT
 * The benchmarks step/roperot-<cache>/<dtype>/<pairing>: the 28 calls of one decode step, 10 MiB of other data between
 * one and the next, as a layer's weights pass; it must not know how a call is timed.
 */
#include "step.h"

#include <stdio.h>
#include <string.h>

#include "groups.h"
#include "isas.h"
#include "naive_loop.h"
#include "passing.h"
#include "rotation.h"
#include "stage.h"
#include "support/formats.h"

enum { LAYERS = 28, STEPS = 21, CACHES = 2, NAME = 64, ROWS = 4096, FIRST_POSITION = 100, STRIDE = 37 };
static const size_t layer_bytes = (size_t)10 << 20;
static const float base = 500000.0f; /* rotation.c's */

/* ---- any step ---------------------------------------------------------------------------------------------------- */

typedef struct step_run {
    const bench_step *step;
    naive_token_fn *plain;
    const bench_shape *shape;
    int32_t position;
} step_run;

static void run_plain(void *self, int64_t calls)
{
    const step_run *const run = self;
    for (int64_t i = 0; i < calls; ++i) {
        run->plain(run->step->q, run->shape->heads, run->shape->dim, run->position, base);
        run->plain(run->step->k, run->shape->kv_heads, run->shape->dim, run->position, base);
    }
}

/* Every layer has weights of its own; q and k are where the last projection left them. */
static void before_layer(void *self, int layer)
{
    step_run *const run = self;
    const bench_step *const step = run->step;
    const size_t head = (size_t)run->shape->dim * format_bytes(step->dtype);
    if (layer == 0) {
        run->position = FIRST_POSITION + (run->position + STRIDE) % (ROWS - FIRST_POSITION);
        step->move(step->who.self, run->position);
    }
    bench_passing_read((size_t)layer * layer_bytes, layer_bytes);
    bench_passing_warm(step->q, (size_t)run->shape->heads * head);
    bench_passing_warm(step->k, (size_t)run->shape->kv_heads * head);
}

const char *bench_step_measure(shim_state *state, const bench_step *step)
{
    step_run run = { .step = step, .shape = &bench_shapes[BENCH_DECODE].shape };
    run.plain = naive_token(step->dtype - ROPEROT_F32, step->pairing == ROPEROT_PAIR_HALF);
    const char *const why = bench_passing_reserve(LAYERS * layer_bytes);
    if (run.plain == NULL) return "this compiler has no 16-bit floats for the plain loop";
    if (why != NULL) return why;
    const bench_side sides[2] = { step->who, { run_plain, &run, 0 } };
    bench_times times;
    bench_measure_calls(state, sides, 2, before_layer, &run, LAYERS, STEPS, &times);
    bench_report(state, &times, 0);
    shim_counter(state, "plain_ratio", times.median[0] / times.median[1]);
    shim_counter(state, "plain_ns", times.median[1]);
    shim_counter(state, "reference_spread", times.spread[1]);
    return NULL;
}

/* ---- roperot's --------------------------------------------------------------------------------------------------- */

typedef struct step_case {
    char name[NAME];
    bench_choice choice;
} step_case;

static struct {
    const step_case *owner;
    bench_rotation rotation;
    int32_t id;
} prepared;

static void release(void)
{
    if (prepared.owner != NULL) bench_rotation_close(&prepared.rotation);
    memset(&prepared, 0, sizeof prepared);
}

static void move(void *self, int32_t position)
{
    (void)self;
    prepared.id = position;
}

static const char *prepare(const step_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    const char *const why = bench_rotation_open(&prepared.rotation, &bench_shapes[BENCH_DECODE].shape, &c->choice);
    if (why != NULL) return why;
    prepared.owner = c;
    prepared.rotation.positions = roperot_positions_i32(&prepared.id, 0);
    return NULL;
}

static void run_case(shim_state *state, const void *argument)
{
    const step_case *const c = argument;
    const char *why = prepare(c);
    if (why == NULL) {
        bench_rotation *const r = &prepared.rotation;
        const bench_step step = {
            { bench_rotation_run, r, 0 }, move, r->src[0].data, r->src[1].data, c->choice.dtype, c->choice.pairing
        };
        bench_rotation_refill(r);
        why = bench_step_measure(state, &step);
        if (why == NULL) why = bench_rotation_fault(r);
    }
    if (why != NULL) shim_skip(state, why);
}

void bench_register_step(void)
{
    static step_case cases[ROPEROT_DTYPES * ROPEROT_PAIRINGS * CACHES];
    for (int i = 0; i < ROPEROT_DTYPES * ROPEROT_PAIRINGS * CACHES; ++i) {
        step_case *const c = &cases[i];
        const int factored = i % CACHES;
        c->choice = (bench_choice){ .dtype = ROPEROT_F32 + i / (ROPEROT_PAIRINGS * CACHES),
                                    .pairing = ROPEROT_PAIR_HALF + i / CACHES % ROPEROT_PAIRINGS,
                                    .isa = ROPEROT_ISA_AUTO,
                                    .cache = factored ? ROPEROT_CACHE_FACTORED : ROPEROT_CACHE_FULL,
                                    .max_positions = factored ? 0 : ROWS };
        snprintf(c->name, sizeof c->name, "step/roperot-%s/%s/%s", factored ? "factored" : "full",
                 bench_dtype_name(c->choice.dtype), bench_pairing_name(c->choice.pairing));
        shim_register(c->name, run_case, c);
    }
}
