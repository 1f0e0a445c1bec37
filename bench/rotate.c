/* SPDX-License-Identifier: MIT
 * The benchmarks rotate/<dtype>/<pairing>/<isa>/<shape>; it must not know how a chunk is timed.
 */
#include "groups.h"

#include <stdio.h>
#include <string.h>

#include "duo.h"
#include "front.h"
#include "isas.h"
#include "measure.h"
#include "rotation.h"
#include "stage.h"
#include "sweeps.h"

static const double twin_share = 0.95; /* a sweep that is slower than this share of its twin voids the run's ratio */
enum { ATTEMPTS = 3, NAME = 96 };
enum { TABLE_ROWS = 8192, LONG_ROWS = 131072, LONG_AT = 100000 };

typedef enum rotate_kind { ALONE, TWO_THREADS, FACTORED, FRONT } rotate_kind;

typedef struct rotate_shape {
    const char *name;
    int shape; /* of bench_shapes */
    rotate_kind kind;
} rotate_shape;

/* Beside all shapes as they are: */
static const rotate_shape extras[] = {
    { "prefill128-2t", BENCH_PREFILL128, TWO_THREADS },
    { "decode-factored", BENCH_DECODE, FACTORED },
    { "prefill128-factored", BENCH_PREFILL128, FACTORED },
    { "front", BENCH_DECODE, FRONT },
    { "front-out", BENCH_DECODE_OUT, FRONT },
};
enum { EXTRAS = sizeof extras / sizeof extras[0] };

typedef struct rotate_case {
    char name[NAME];
    rotate_shape what;
    const char *isa_name;
    bench_choice choice;
} rotate_case;

static const bench_shape *shape_of(const rotate_case *c)
{
    return &bench_shapes[c->what.shape].shape;
}

/* What one case has prepared: kept until the next one, because Google Benchmark calls a case several times in a row. */
static struct {
    const rotate_case *owner;
    bench_rotation rotation, other; /* other: the same tensors through a FULL plan */
    const bench_sweeps *sweeps;
    bench_duo *duo;
    roperot_options part[2];
} prepared;

/* ---- the sides: the rotation is bench_rotation_run -------------------------------------------------------------- */

static float one(void)
{
    static volatile float value = 1.0f;
    return value;
}

static void run_sweep(void *self, int64_t calls)
{
    (void)self;
    const float by = one();
    for (int64_t i = 0; i < calls; ++i) prepared.sweeps->sweep(prepared.rotation.data, prepared.rotation.bytes, by);
}

static void run_twin(void *self, int64_t calls)
{
    (void)self;
    const float by = one();
    for (int64_t i = 0; i < calls; ++i) prepared.sweeps->twin(prepared.rotation.data, prepared.rotation.bytes, by);
}

static void run_copy(void *self, int64_t calls)
{
    (void)self;
    const bench_rotation *const r = &prepared.rotation;
    for (int64_t i = 0; i < calls; ++i) prepared.sweeps->copy_stream(r->out, r->data, r->bytes);
}

static void rotate_part(void *self, int index)
{
    bench_rotation *const r = self;
    bench_rotation half = *r;
    half.options = &prepared.part[index];
    bench_rotation_run(&half, 1);
    if (half.status != ROPEROT_OK) r->status = half.status;
}

static void sweep_part(void *self, int index)
{
    const bench_rotation *const r = self;
    const size_t half = r->bytes / 2;
    prepared.sweeps->sweep((char *)r->data + (size_t)index * half, half, one());
}

static void twin_part(void *self, int index)
{
    const bench_rotation *const r = self;
    const size_t half = r->bytes / 2;
    prepared.sweeps->twin((char *)r->data + (size_t)index * half, half, one());
}

static void run_rotate_duo(void *self, int64_t calls)
{
    bench_duo_run(prepared.duo, rotate_part, self, calls);
}

static void run_sweep_duo(void *self, int64_t calls)
{
    bench_duo_run(prepared.duo, sweep_part, self, calls);
}

static void run_twin_duo(void *self, int64_t calls)
{
    bench_duo_run(prepared.duo, twin_part, self, calls);
}

/* ---- preparing -------------------------------------------------------------------------------------------------- */

static void release(void)
{
    if (prepared.owner == NULL) return;
    if (prepared.duo != NULL) bench_duo_close(prepared.duo);
    roperot_plan_destroy(prepared.other.plan);
    bench_rotation_close(&prepared.rotation);
    memset(&prepared, 0, sizeof prepared);
}

static const char *prepare_full_twin(const rotate_case *c)
{
    bench_choice choice = c->choice;
    choice.cache = ROPEROT_CACHE_FULL;
    roperot_plan *plan;
    const char *why = bench_plan_create(&plan, shape_of(c)->dim, &choice);
    return why != NULL ? why : bench_rotation_with_plan(&prepared.other, &prepared.rotation, plan);
}

static const char *prepare_duo(const rotate_case *c)
{
    const char *why = NULL;
    prepared.duo = bench_duo_open(&why);
    if (prepared.duo == NULL) return why;
    const roperot_options defaults = ROPEROT_OPTIONS_INIT;
    prepared.part[0] = prepared.part[1] = defaults;
    prepared.part[0].token_end = prepared.part[1].token_begin = shape_of(c)->tokens / 2;
    return NULL;
}

static const char *prepare_kind(const rotate_case *c)
{
    if (c->what.kind == FACTORED) return prepare_full_twin(c);
    if (c->what.kind == TWO_THREADS) return prepare_duo(c);
    if (c->what.kind == FRONT) return bench_front_empty_kernels(&prepared.rotation);
    return NULL;
}

static const char *prepare(const rotate_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    if (!roperot_isa_usable(c->choice.isa)) return roperot_isa_reason(c->choice.isa);
    prepared.sweeps = bench_sweeps_for(c->isa_name);
    if (prepared.sweeps == NULL) return "no sweep was built for this instruction set";
    const char *why = bench_rotation_open(&prepared.rotation, shape_of(c), &c->choice);
    if (why != NULL) return why;
    prepared.owner = c;
    why = prepare_kind(c);
    if (why != NULL) release();
    return why;
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static double bytes_moved(void)
{
    return 2.0 * (double)prepared.rotation.bytes;
}

static void measure(shim_state *state, const bench_side *sides, int count, bench_times *times)
{
    bench_measure(state, prepared.owner, sides, count, bench_rotation_refresh(&prepared.rotation), times);
}

/* Sides 1 and 2 are the sweep and its twin. A void run is marked, not an error: Google Benchmark's statistics over
 * repetitions need the same counters from all of them. */
static void against_sweep(shim_state *state, const bench_side sides[3])
{
    bench_times times;
    measure(state, sides, 3, &times);
    for (int i = 1; i < ATTEMPTS && times.median[2] < twin_share * times.median[1]; ++i)
        bench_measure_again(prepared.owner, sides, 3, bench_rotation_refresh(&prepared.rotation), &times);
    bench_report(state, &times, bytes_moved());
    shim_counter(state, "sweep_ratio", times.median[1] / times.median[0]);
    shim_counter(state, "ratio_min", times.least[1] / times.least[0]);
    shim_counter(state, "reference_spread", times.spread[1]);
    shim_counter(state, "sweep_of_twin", times.median[2] / times.median[1]);
    shim_counter(state, "void", times.median[2] < twin_share * times.median[1]);
}

static void against_other(shim_state *state, bench_side other, const char *counter, int inverted)
{
    const bench_side sides[2] = { { bench_rotation_run, &prepared.rotation, 0 }, other };
    bench_times times;
    measure(state, sides, 2, &times);
    const double ratio = times.median[1] / times.median[0], least = times.least[1] / times.least[0];
    bench_report(state, &times, bytes_moved());
    shim_counter(state, counter, inverted ? 1 / ratio : ratio);
    shim_counter(state, "ratio_min", inverted ? 1 / least : least);
    shim_counter(state, "reference_spread", times.spread[1]);
}

static void front(shim_state *state)
{
    const bench_side side = { bench_rotation_run, &prepared.rotation, 0 };
    bench_times times;
    bench_measure(state, prepared.owner, &side, 1, (bench_refresh){ NULL, NULL }, &times);
    bench_report(state, &times, 0);
}

static void out_of_place(shim_state *state)
{
    if (prepared.sweeps->copy_stream != NULL)
        against_other(state, (bench_side){ run_copy, NULL, 0 }, "copy_ratio", 0);
    else
        shim_skip(state, "this instruction set has no store that bypasses the caches");
}

static void measure_case(shim_state *state, const rotate_case *c)
{
    bench_rotation *const r = &prepared.rotation;
    const bench_side alone[3] = { { bench_rotation_run, r, 0 }, { run_sweep, NULL, 0 }, { run_twin, NULL, 0 } };
    const bench_side duo[3] = { { run_rotate_duo, r, 1 }, { run_sweep_duo, r, 1 }, { run_twin_duo, r, 1 } };
    bench_rotation_refill(r);
    if (c->what.kind == FRONT)
        front(state);
    else if (c->what.kind == TWO_THREADS)
        against_sweep(state, duo);
    else if (c->what.kind == FACTORED)
        against_other(state, (bench_side){ bench_rotation_run, &prepared.other, 0 }, "full_ratio", 1);
    else if (r->out_of_place)
        out_of_place(state);
    else
        against_sweep(state, alone);
}

static void run_case(shim_state *state, const void *argument)
{
    const char *why = prepare(argument);
    if (why == NULL) {
        measure_case(state, argument);
        why = bench_rotation_fault(&prepared.rotation);
    }
    if (why != NULL) shim_skip(state, why);
}

/* ---- registering ------------------------------------------------------------------------------------------------ */

static void register_case(rotate_shape what, int32_t dtype, int32_t pairing, int32_t isa)
{
    static rotate_case cases[ROPEROT_DTYPES * ROPEROT_PAIRINGS * ROPEROT_ISAS * (BENCH_SHAPES + EXTRAS)];
    static size_t used;
    rotate_case *const c = &cases[used++];
    const int is_long = what.kind == FACTORED;
    c->what = what;
    c->isa_name = roperot_isa_name(isa);
    c->choice = (bench_choice){
        .dtype = dtype,
        .pairing = pairing,
        .isa = isa,
        .cache = is_long ? ROPEROT_CACHE_FACTORED : ROPEROT_CACHE_FULL,
        .max_positions = is_long ? LONG_ROWS : TABLE_ROWS,
        .position = is_long ? LONG_AT : shape_of(c)->position,
    };
    snprintf(c->name, sizeof c->name, "rotate/%s/%s/%s/%s", bench_dtype_name(dtype), bench_pairing_name(pairing),
             c->isa_name, what.name);
    shim_register(c->name, run_case, c);
}

static void register_shapes(int32_t dtype, int32_t pairing, int32_t isa)
{
    for (int i = 0; i < BENCH_SHAPES; ++i)
        register_case((rotate_shape){ bench_shapes[i].name, i, ALONE }, dtype, pairing, isa);
    for (int i = 0; i < EXTRAS; ++i) register_case(extras[i], dtype, pairing, isa);
}

static void register_isa(int32_t isa)
{
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; ++dtype)
        for (int32_t pairing = ROPEROT_PAIR_HALF; pairing < ROPEROT_PAIR_END; ++pairing)
            register_shapes(dtype, pairing, isa);
}

void bench_register_rotate(void)
{
    bench_each_isa(register_isa);
}
