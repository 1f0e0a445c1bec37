/* SPDX-License-Identifier: MIT
 * The benchmarks cold/<dtype>/<pairing>/<isa>/<cache>-<kind>-<swept>: one decode call of q and k whose data is warm,
 * after so much other data was read, against the ten-line loop in the same situation; it must not know either's code.
 *
 * <kind>: offset; ids, of one token, int32; signed, int64 ids with ROPEROT_SIGNED_POSITIONS and an equal view as dst.
 * With these every call has a position of its own, whose row comes from memory, as in the first layer of a decode step.
 * layer: ids that stay for 28 calls, as in the other layers of it. bare: the situation of ids without a call; kernels
 * alone, with everything else prepared: a floor for calls of these kernels.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "front.h"
#include "groups.h"
#include "isas.h"
#include "measure.h"
#include "naive_loop.h"
#include "passing.h"
#include "rotation.h"
#include "stage.h"
#include "support/formats.h"
#include "values.h"

typedef enum cold_kind { OFFSET, IDS, SIGNED, LAYER, BARE, KINDS } cold_kind;
static const char *const kind_names[KINDS] = { "offset", "ids", "signed", "layer", "bare" };

typedef struct cold_swept {
    const char *name;
    size_t bytes;
    int rounds; /* of a median */
} cold_swept;

static const cold_swept swept[] = { { "96MiB", (size_t)96 << 20, 61 },
                                    { "12MiB", (size_t)12 << 20, 201 },
                                    { "hot", 0, 2001 } };
enum { SWEPT = sizeof swept / sizeof swept[0], CACHES = 2, NAME = 96 };
enum { FIRST_POSITION = 100, STRIDE = 37, POSITIONS = 3000, ROWS = 4096 };
enum { SIDES = 2, LAYERS = 28 };
static const float base = 500000.0f; /* rotation.c's */

typedef struct cold_case {
    char name[NAME];
    bench_choice choice;
    cold_kind kind;
    const cold_swept *swept;
} cold_case;

static const bench_shape *const decode = &bench_shapes[BENCH_DECODE].shape;

static struct {
    const cold_case *owner;
    bench_rotation rotation;
    roperot_options options;
    naive_token_fn *plain;
    int32_t id, turn, calls;
    int64_t wide_id;
} prepared;

/* ---- the sides --------------------------------------------------------------------------------------------------- */

static void run_plain(void *self, int64_t calls)
{
    const bench_rotation *const r = self;
    for (int64_t i = 0; i < calls; ++i) {
        prepared.plain(r->src[0].data, decode->heads, decode->dim, prepared.id, base);
        prepared.plain(r->src[1].data, decode->kv_heads, decode->dim, prepared.id, base);
    }
}

/* Before each timed call: the next position, other data, and q and k, which a projection has just made. */
static void go_cold(void *self, int part)
{
    bench_rotation *const r = self;
    (void)part;
    const int is_next = prepared.owner->kind != LAYER || prepared.calls++ % (SIDES * LAYERS) == 0;
    if (is_next) prepared.turn = (prepared.turn + STRIDE) % POSITIONS;
    prepared.id = FIRST_POSITION + prepared.turn;
    prepared.wide_id = prepared.id;
    if (prepared.owner->kind == OFFSET) r->positions.offset = prepared.id;
    bench_passing_read(0, prepared.owner->swept->bytes);
    bench_passing_warm(r->data, r->bytes);
    if (prepared.owner->kind == BARE) bench_bare_move(prepared.id);
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

static void release(void)
{
    if (prepared.owner != NULL) bench_rotation_close(&prepared.rotation);
    memset(&prepared, 0, sizeof prepared);
}

static void set_kind(cold_kind kind)
{
    bench_rotation *const r = &prepared.rotation;
    const roperot_options defaults = ROPEROT_OPTIONS_INIT;
    if (kind == IDS || kind == LAYER || kind == BARE) r->positions = roperot_positions_i32(&prepared.id, 0);
    if (kind != SIGNED) return;
    r->positions = roperot_positions_i64(&prepared.wide_id, 0);
    prepared.options = defaults;
    prepared.options.flags = ROPEROT_SIGNED_POSITIONS;
    r->options = &prepared.options;
    memcpy(r->dst, r->src, sizeof r->dst);
    r->with_dst = 1;
}

/* The bare kernels make the same bits. The plain loop's f32 angles and FMA differ from ours by less than this share of
 * a value, and two 16-bit roundings. */
static const char *check_others(void)
{
    bench_rotation *const r = &prepared.rotation;
    const size_t count = r->bytes / format_bytes(r->dtype);
    void *const expected = bench_allocate(r->bytes);
    if (expected == NULL) return "no memory for the check";
    go_cold(r, 0);
    bench_rotation_refill(r);
    bench_rotation_run(r, 1);
    memcpy(expected, r->data, r->bytes);
    bench_rotation_refill(r);
    bench_bare_move(prepared.id);
    bench_bare_run(r, 1);
    if (memcmp(expected, r->data, r->bytes) != 0) {
        free(expected);
        return "the bare kernels' result is not the call's; the run is void";
    }
    bench_rotation_refill(r);
    run_plain(r, 1);
    int same = 1;
    for (size_t i = 0; i < count; ++i) {
        const double x = bench_value(r->data, i, r->dtype), y = bench_value(expected, i, r->dtype);
        same &= fabs(x - y) <= 0.01 + 0.02 * fabs(y);
    }
    free(expected);
    return same ? NULL : "the plain loop's result is wrong; the run is void";
}

static const char *prepare(const cold_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    if (!roperot_isa_usable(c->choice.isa)) return roperot_isa_reason(c->choice.isa);
    naive_token_fn *const plain = naive_token(c->choice.dtype - ROPEROT_F32, c->choice.pairing == ROPEROT_PAIR_HALF);
    if (plain == NULL) return "this compiler has no 16-bit floats for the plain loop";
    const char *why = bench_passing_reserve(swept[0].bytes);
    if (why == NULL) why = bench_rotation_open(&prepared.rotation, decode, &c->choice);
    if (why != NULL) return why;
    prepared.owner = c;
    prepared.plain = plain;
    set_kind(c->kind);
    bench_bare_prepare(&prepared.rotation);
    why = check_others();
    if (why != NULL) release();
    return why;
}

static void run_case(shim_state *state, const void *argument)
{
    const cold_case *const c = argument;
    const char *why = prepare(c);
    if (why == NULL) {
        bench_rotation *const r = &prepared.rotation;
        const bench_side sides[SIDES] = { { c->kind == BARE ? bench_bare_run : bench_rotation_run, r, 0 },
                                          { run_plain, r, 0 } };
        bench_times times;
        bench_measure_calls(state, sides, SIDES, go_cold, r, 1, c->swept->rounds, &times);
        bench_report(state, &times, 0);
        shim_counter(state, "plain_ratio", times.median[0] / times.median[1]);
        shim_counter(state, "plain_ns", times.median[1]);
        shim_counter(state, "reference_spread", times.spread[1]);
        why = bench_rotation_fault(r);
    }
    if (why != NULL) shim_skip(state, why);
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

static void register_case(const bench_choice *choice, cold_kind kind, const cold_swept *other)
{
    static cold_case cases[ROPEROT_DTYPES * ROPEROT_PAIRINGS * ROPEROT_ISAS * CACHES * KINDS * SWEPT];
    static size_t used;
    cold_case *const c = &cases[used++];
    *c = (cold_case){ .choice = *choice, .kind = kind, .swept = other };
    snprintf(c->name, sizeof c->name, "cold/%s/%s/%s/%s-%s-%s", bench_dtype_name(choice->dtype),
             bench_pairing_name(choice->pairing), roperot_isa_name(choice->isa),
             choice->cache == ROPEROT_CACHE_FULL ? "full" : "factored", kind_names[kind], other->name);
    shim_register(c->name, run_case, c);
}

static void register_choice(int32_t dtype, int32_t pairing, int32_t isa)
{
    static const int32_t caches[CACHES] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED };
    for (int cache = 0; cache < CACHES; ++cache) {
        const bench_choice choice = { .dtype = dtype,
                                      .pairing = pairing,
                                      .isa = isa,
                                      .cache = caches[cache],
                                      .max_positions = caches[cache] == ROPEROT_CACHE_FULL ? ROWS : 0 };
        for (int kind = 0; kind < KINDS; ++kind)
            for (int i = 0; i < SWEPT; ++i) register_case(&choice, (cold_kind)kind, &swept[i]);
    }
}

static void register_isa(int32_t isa)
{
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; ++dtype)
        for (int32_t pairing = ROPEROT_PAIR_HALF; pairing < ROPEROT_PAIR_END; ++pairing)
            register_choice(dtype, pairing, isa);
}

void bench_register_cold(void)
{
    bench_each_isa(register_isa);
}
