/* SPDX-License-Identifier: MIT
 * The benchmarks cache/<kind>/<positions>/<warm|cold>: what each cos/sin cache costs when a batch of 16 sequences
 * decodes, at neighbouring positions (warm) or scattered over the context (cold); it must not know how it is timed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "groups.h"
#include "measure.h"
#include "rotation.h"
#include "stage.h"
#include "support/random.h"
#include "values.h"

enum { NAME = 64, TOKENS = 16, DIM = 128, PAIRS = DIM / 2, BATCHES = 1 << 14, KINDS = 3, CONTEXTS = 3 };

static const char *const kind_names[KINDS] = { "full", "factored", "borrowed" };
static const int32_t kind_values[KINDS] = { ROPEROT_CACHE_FULL, ROPEROT_CACHE_FACTORED, ROPEROT_CACHE_BORROWED };

typedef struct cache_case {
    char name[NAME];
    int64_t positions;
    int kind, cold; /* kind: an index of kind_names */
} cache_case;

/* Kept while only warm or cold changes, because a table of a million rows takes a second to fill. */
static struct {
    const cache_case *owner;
    bench_rotation rotation;
    float *table;
    double build_ns;
    int64_t bytes;
    int32_t ids[BATCHES][TOKENS];
    int64_t next, step; /* the batch of ids to take, and how many to go on by */
} prepared;

static void release(void)
{
    if (prepared.owner != NULL) bench_rotation_close(&prepared.rotation);
    free(prepared.table);
    prepared.table = NULL;
    prepared.owner = NULL;
}

static void run_decode(void *self, int64_t calls)
{
    bench_rotation *const r = self;
    for (int64_t i = 0; i < calls; ++i) {
        r->positions.ids = prepared.ids[prepared.next];
        prepared.next = (prepared.next + prepared.step) % BATCHES;
        bench_rotation_run(r, 1);
    }
}

/* A caller's table, filled by the library from its factors, and a plan that borrows it. */
static const char *borrow(roperot_plan **plan, const cache_case *c, const bench_choice *factored)
{
    roperot_plan *source;
    const roperot_positions all = roperot_positions_offset(0);
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_table table = ROPEROT_TABLE_INIT;
    const char *why = bench_plan_create(&source, DIM, factored);
    if (why != NULL) return why;
    prepared.table = malloc((size_t)c->positions * DIM * sizeof *prepared.table);
    table.cos = prepared.table;
    table.sin = prepared.table + PAIRS;
    table.rows = c->positions;
    table.row_stride = DIM;
    config.head_dim = DIM;
    config.table = &table;
    config.cache = ROPEROT_CACHE_BORROWED;
    if (prepared.table == NULL) why = "no memory for the table";
    else if (roperot_cos_sin(source, &all, 1, c->positions, &table) != ROPEROT_OK) why = roperot_last_error();
    else if (roperot_plan_create(&config, plan) != ROPEROT_OK) why = roperot_last_error();
    roperot_plan_destroy(source);
    return why;
}

static const char *build(const cache_case *c, const bench_choice *factored)
{
    roperot_plan_info info = ROPEROT_PLAN_INFO_INIT;
    bench_choice choice = *factored;
    roperot_plan *plan = NULL;
    bench_rotation other;
    const double start = bench_cpu_now();
    choice.cache = kind_values[c->kind];
    const char *why =
        choice.cache == ROPEROT_CACHE_BORROWED ? borrow(&plan, c, factored) : bench_plan_create(&plan, DIM, &choice);
    prepared.build_ns = bench_cpu_now() - start;
    if (why == NULL) why = bench_rotation_with_plan(&other, &prepared.rotation, plan);
    if (why != NULL) {
        roperot_plan_destroy(plan);
        return why;
    }
    roperot_plan_describe(plan, &info);
    prepared.bytes = c->kind == 2 ? c->positions * DIM * (int64_t)sizeof(float) : info.cache_bytes;
    roperot_plan_destroy(prepared.rotation.plan);
    prepared.rotation.plan = plan;
    return NULL;
}

static void set_ids(const cache_case *c)
{
    uint64_t random = 7;
    for (int i = 0; i < BATCHES; ++i)
        for (int t = 0; t < TOKENS; ++t)
            prepared.ids[i][t] =
                (int32_t)(c->cold ? random_next(&random) % (uint64_t)c->positions : (uint64_t)(c->positions / 2 + t));
    prepared.next = 0;
    prepared.step = c->cold ? 1 : 0;
    prepared.rotation.positions = roperot_positions_i32(prepared.ids[0], 0);
}

static const char *prepare(const cache_case *c)
{
    bench_stage_enter(release);
    const cache_case *const owner = prepared.owner;
    if (owner == NULL || owner->kind != c->kind || owner->positions != c->positions) {
        const bench_choice factored = { .dtype = ROPEROT_F32, .pairing = ROPEROT_PAIR_HALF, .isa = ROPEROT_ISA_AUTO,
                                        .cache = ROPEROT_CACHE_FACTORED, .max_positions = c->positions };
        release();
        const char *why = bench_rotation_open(&prepared.rotation, &bench_shapes[BENCH_BATCH16].shape, &factored);
        if (why != NULL) return why;
        prepared.owner = c;
        why = build(c, &factored);
        if (why != NULL) release();
        if (why != NULL) return why;
    }
    if (owner != c) set_ids(c);
    prepared.owner = c;
    return NULL;
}

static void run_case(shim_state *state, const void *argument)
{
    const char *why = prepare(argument);
    if (why == NULL) {
        const bench_side side = { run_decode, &prepared.rotation, 0 };
        bench_times times;
        bench_measure(state, prepared.owner, &side, 1, bench_rotation_refresh(&prepared.rotation), &times);
        bench_report(state, &times, 2.0 * (double)prepared.rotation.bytes);
        shim_counter(state, "ns_per_token", times.median[0] / TOKENS);
        shim_counter(state, "build_ms", prepared.build_ns / 1e6);
        shim_counter(state, "cache_bytes", (double)prepared.bytes);
        why = bench_rotation_fault(&prepared.rotation);
    }
    if (why != NULL) shim_skip(state, why);
}

void bench_register_caches(void)
{
    static const int64_t contexts[CONTEXTS] = { 4096, 131072, 1048576 };
    static const char *const context_names[CONTEXTS] = { "4k", "128k", "1m" };
    static cache_case cases[KINDS * CONTEXTS * 2];
    for (int i = 0; i < KINDS * CONTEXTS * 2; ++i) {
        cache_case *const c = &cases[i];
        const int context = i / 2 % CONTEXTS;
        *c = (cache_case){ .positions = contexts[context], .kind = i / (2 * CONTEXTS), .cold = i % 2 };
        snprintf(c->name, sizeof c->name, "cache/%s/%s/%s", kind_names[c->kind], context_names[context],
                 c->cold ? "cold" : "warm");
        shim_register(c->name, run_case, c);
    }
}
