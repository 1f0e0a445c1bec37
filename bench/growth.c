/* SPDX-License-Identifier: MIT
 * The benchmarks growth/<dtype>/<pairing>/<isa>/<what>-<how many>: how time grows with tokens, heads and context
 * length; it must not know how a chunk is timed.
 */
#include <inttypes.h>
#include <stdio.h>

#include "groups.h"
#include "lists.h"
#include "measure.h"
#include "rotation.h"
#include "stage.h"

enum { NAME = 96, STEPS = 8 };

typedef enum growth_axis { TOKENS, HEADS, CONTEXT, AXES } growth_axis;
static const char *const axis_names[AXES] = { "tokens", "heads", "context" };
static const int64_t steps[AXES][STEPS] = { /* 0: no more */
    { 1, 4, 16, 64, 256, 1024, 4096 },
    { 1, 2, 4, 8, 16, 32, 64, 128 },
    { 1000, 8000, 32000, 128000, 1000000, 16000000, 1000000000 },
};

typedef struct growth_case {
    char name[NAME];
    bench_shape shape;
    bench_choice choice;
} growth_case;

static struct {
    const growth_case *owner;
    bench_rotation rotation;
} prepared;

static void release(void)
{
    if (prepared.owner != NULL) bench_rotation_close(&prepared.rotation);
    prepared.owner = NULL;
}

static const char *prepare(const growth_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    const char *const why = bench_rotation_open(&prepared.rotation, &c->shape, &c->choice);
    if (why == NULL) prepared.owner = c;
    return why;
}

static void run_case(shim_state *state, const void *argument)
{
    const char *why = prepare(argument);
    if (why == NULL) {
        const bench_side side = { bench_rotation_run, &prepared.rotation, 0 };
        bench_times times;
        bench_measure(state, prepared.owner, &side, 1, bench_rotation_refresh(&prepared.rotation), &times);
        bench_report(state, &times, 2.0 * (double)prepared.rotation.bytes);
        why = bench_rotation_fault(&prepared.rotation);
    }
    if (why != NULL) shim_skip(state, why);
}

/* Context length is a matter of FACTORED, whose tables do not grow with it; the others take rows from a FULL table. */
static void register_case(growth_axis axis, int64_t step, int32_t dtype, int32_t isa)
{
    static growth_case cases[AXES * STEPS * ROPEROT_DTYPES];
    static size_t used;
    growth_case *const c = &cases[used++];
    c->shape = bench_shapes[BENCH_DECODE].shape;
    if (axis == TOKENS) c->shape.tokens = step;
    if (axis == HEADS) c->shape.heads = step;
    if (axis == HEADS) c->shape.kv_heads = 0;
    c->choice = (bench_choice){
        .dtype = dtype,
        .pairing = ROPEROT_PAIR_HALF,
        .isa = isa,
        .cache = axis == CONTEXT ? ROPEROT_CACHE_FACTORED : ROPEROT_CACHE_FULL,
        .max_positions = axis == CONTEXT ? 0 : 8192,
        .position = axis == CONTEXT ? step : 0,
    };
    snprintf(c->name, sizeof c->name, "growth/%s/half/%s/%s-%" PRId64, bench_dtype_name(dtype), roperot_isa_name(isa),
             axis_names[axis], step);
    shim_register(c->name, run_case, c);
}

void bench_register_growth(void)
{
    const int32_t best = roperot_isa_best();
    if (best == ROPEROT_ISA_AUTO) return; /* ROPEROT_ISA names nothing usable: the rotate group says so */
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; ++dtype)
        for (int axis = 0; axis < AXES; ++axis)
            for (int i = 0; i < STEPS && steps[axis][i] != 0; ++i)
                register_case((growth_axis)axis, steps[axis][i], dtype, best);
}
