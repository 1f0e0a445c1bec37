/* SPDX-License-Identifier: MIT
 * The benchmarks mrope/<dtype>/<pairing>/<isa>/<cache>-<image|text>: 128 tokens of 32 heads at positions on three axes
 * against the same tokens through a plan of one; it must not know how a chunk is timed. */
#include <stdio.h>

#include "groups.h"
#include "isas.h"
#include "measure.h"
#include "rotation.h"
#include "stage.h"

enum { NAME = 96, KINDS = 4, AXES = 3, TOKENS = 128, DIM = 128, PAIRS = DIM / 2 };
enum { WIDTH = 16, FIRST = 1000, ROWS = 8192 };

static const char *const kind_names[KINDS] = { "full-image", "full-text", "factored-image", "factored-text" };

typedef struct mrope_case {
    char name[NAME];
    bench_choice choice; /* of the plan with one axis */
    int image;
} mrope_case;

static struct {
    const mrope_case *owner;
    bench_rotation plain, mrope; /* one tensor, two plans */
    uint8_t axis[PAIRS];
    int64_t ids[AXES][TOKENS], plain_ids[TOKENS];
} prepared;

static void release(void)
{
    if (prepared.owner == NULL) return;
    roperot_plan_destroy(prepared.mrope.plan);
    bench_rotation_close(&prepared.plain);
    prepared.mrope = (bench_rotation){ 0 };
    prepared.owner = NULL;
}

/* Axes time, height, width: an image of WIDTH columns at one time, or text, which is at one place on all axes. */
static void set_ids(int image)
{
    for (int t = 0; t < TOKENS; ++t) {
        prepared.plain_ids[t] = FIRST + t;
        for (int a = 0; a < AXES; ++a) prepared.ids[a][t] = FIRST + t;
        if (!image) continue;
        prepared.ids[0][t] = FIRST;
        prepared.ids[1][t] = FIRST + t / WIDTH;
        prepared.ids[2][t] = FIRST + t % WIDTH;
    }
}

/* Qwen3-VL's sections; where the axes take turns, a row shares every vector with the others. */
static const char *set_axes(bench_choice *choice)
{
    roperot_sections sections = ROPEROT_SECTIONS_INIT;
    sections.kind = ROPEROT_SECTIONS_INTERLEAVED;
    sections.count = AXES;
    sections.section[0] = 24;
    sections.section[1] = sections.section[2] = 20;
    choice->axes = AXES;
    choice->axis = prepared.axis;
    return roperot_axis_map(&sections, PAIRS, prepared.axis, NULL) == ROPEROT_OK ? NULL : roperot_last_error();
}

static const char *check_against_scalar(bench_choice choice)
{
    roperot_plan *plan;
    bench_rotation other;
    choice.isa = ROPEROT_ISA_SCALAR;
    const char *why = bench_plan_create(&plan, DIM, &choice);
    if (why == NULL) why = bench_rotation_with_plan(&other, &prepared.mrope, plan);
    roperot_plan_destroy(plan);
    return why;
}

/* At the plain plan's positions, its bits; at its own, the scalar plan's. */
static const char *open_mrope(const mrope_case *c)
{
    bench_choice choice = c->choice;
    roperot_plan *plan;
    const char *why = set_axes(&choice);
    if (why == NULL) why = bench_plan_create(&plan, DIM, &choice);
    if (why != NULL) return why;
    why = bench_rotation_with_plan(&prepared.mrope, &prepared.plain, plan);
    prepared.mrope.positions = roperot_positions_i64(prepared.ids[0], 0);
    prepared.mrope.positions.axes = AXES;
    prepared.mrope.positions.axis_stride = TOKENS;
    return why != NULL ? why : check_against_scalar(choice);
}

static const char *prepare(const mrope_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    if (!roperot_isa_usable(c->choice.isa)) return roperot_isa_reason(c->choice.isa);
    const char *why = bench_rotation_open(&prepared.plain, &bench_shapes[BENCH_PREFILL128].shape, &c->choice);
    if (why != NULL) return why;
    prepared.owner = c;
    set_ids(c->image);
    prepared.plain.positions = roperot_positions_i64(prepared.plain_ids, 0);
    why = open_mrope(c);
    if (why != NULL) release();
    return why;
}

static void run_case(shim_state *state, const void *argument)
{
    const char *why = prepare(argument);
    if (why == NULL) {
        const bench_side sides[2] = { { bench_rotation_run, &prepared.mrope, 0 },
                                      { bench_rotation_run, &prepared.plain, 0 } };
        bench_times times;
        bench_measure(state, prepared.owner, sides, 2, bench_rotation_refresh(&prepared.plain), &times);
        bench_report(state, &times, 2.0 * (double)prepared.plain.bytes);
        shim_counter(state, "plain_ratio", times.median[0] / times.median[1]);
        shim_counter(state, "ratio_min", times.least[0] / times.least[1]);
        shim_counter(state, "reference_spread", times.spread[1]);
        why = bench_rotation_fault(&prepared.mrope);
        if (why == NULL) why = bench_rotation_fault(&prepared.plain);
    }
    if (why != NULL) shim_skip(state, why);
}

static void register_case(int kind, int32_t dtype, int32_t pairing, int32_t isa)
{
    static mrope_case cases[ROPEROT_DTYPES * ROPEROT_PAIRINGS * ROPEROT_ISAS * KINDS];
    static size_t used;
    mrope_case *const c = &cases[used++];
    c->image = kind % 2 == 0;
    c->choice = (bench_choice){
        .dtype = dtype,
        .pairing = pairing,
        .isa = isa,
        .cache = kind < 2 ? ROPEROT_CACHE_FULL : ROPEROT_CACHE_FACTORED,
        .max_positions = ROWS,
    };
    snprintf(c->name, sizeof c->name, "mrope/%s/%s/%s/%s", bench_dtype_name(dtype), bench_pairing_name(pairing),
             roperot_isa_name(isa), kind_names[kind]);
    shim_register(c->name, run_case, c);
}

static void register_isa(int32_t isa)
{
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; ++dtype)
        for (int32_t pairing = ROPEROT_PAIR_HALF; pairing < ROPEROT_PAIR_END; ++pairing)
            for (int kind = 0; kind < KINDS; ++kind) register_case(kind, dtype, pairing, isa);
}

void bench_register_mrope(void)
{
    bench_each_isa(register_isa);
}
