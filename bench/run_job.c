/* SPDX-License-Identifier: MIT
 * The benchmarks run/<what>/<dtype>/<isa>/<shape>: jobs of roperot_run against the chain of separate calls that they
 * replace; it must not know how a chunk is timed. */
#include "groups.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "isas.h"
#include "lists.h"
#include "measure.h"
#include "rotation.h"
#include "shapes.h"
#include "stage.h"
#include "support/formats.h"
#include "sweeps.h"
#include "values.h"

enum { KV_HEADS = 8, PAGE_TOKENS = 16, NAME = 96 };

/* norm: q and k normed and rotated in place. The others: q in place, k and v into pages, with the norms or (store)
 * without; pages of the tensors' dtype, or of what the name says, with a scale per token and head. */
typedef struct job_what {
    const char *name;
    int has_norm;
    int32_t format; /* of the pages; 0: none, -1: that of the tensors */
} job_what;

static const job_what whats[] = {
    { "norm", 1, 0 },
    { "layer", 1, -1 },
    { "layer-e4m3", 1, ROPEROT_E4M3 },
    { "layer-i8", 1, ROPEROT_I8 },
    { "layer-q8_0", 1, ROPEROT_Q8_0 },
    { "store", 0, -1 },
    { "store-e4m3", 0, ROPEROT_E4M3 },
    { "store-i8", 0, ROPEROT_I8 },
};
enum { WHATS = sizeof whats / sizeof whats[0] };

/* The main shapes, always with k and v: of `batch` sequences that many tokens each. */
typedef struct job_shape {
    int64_t batch, tokens, heads, dim;
} job_shape;

static job_shape job_shape_of(int shape)
{
    const bench_shape *const s = &bench_shapes[shape].shape;
    const int across = shape == BENCH_BATCH16;
    const job_shape own = { across ? s->tokens : 1, across ? 1 : s->tokens, s->heads, s->dim };
    return own;
}

typedef struct job_case {
    char name[NAME];
    const job_what *what;
    job_shape shape;
    int32_t dtype, isa;
} job_case;

/* What one case has prepared: kept until the next one. */
static struct {
    const job_case *owner;
    roperot_plan *plan;
    const bench_sweeps *sweeps;
    char *tensors, *pages[2], *other_pages[2];
    float *scale[2], *weight, *swept;
    int64_t *slots, *ids;
    size_t bytes;           /* read plus written by one run */
    size_t tensor_bytes;
    roperot_tensor view[3]; /* q, k, v */
    roperot_pages to[2], other[2];
    roperot_norm norm;
    roperot_positions at;
    int32_t status;
} prepared;

/* ---- sides ------------------------------------------------------------------------------------------------------- */

static void note(int32_t status)
{
    if (status != ROPEROT_OK) prepared.status = status;
}

/* k and v into `to`; NULL: only q and k, in place. */
static void run_jobs(const roperot_pages *to)
{
    roperot_job jobs[3] = { ROPEROT_JOB_INIT, ROPEROT_JOB_INIT, ROPEROT_JOB_INIT };
    const int has_norm = prepared.owner->what->has_norm;
    for (int i = 0; i < 3; ++i) jobs[i].src = &prepared.view[i];
    for (int i = 0; i < 2; ++i) jobs[i].norm = has_norm ? &prepared.norm : NULL;
    jobs[0].dst = &prepared.view[0];
    if (to)
        jobs[1].to = &to[0], jobs[2].to = &to[1];
    else
        jobs[1].dst = &prepared.view[1];
    jobs[2].flags = ROPEROT_JOB_UNROTATED;
    note(roperot_run(prepared.plan, &prepared.at, jobs, to ? 3 : 2, NULL));
}

static void run_run(void *self, int64_t calls)
{
    (void)self;
    for (int64_t i = 0; i < calls; ++i) run_jobs(prepared.to[0].data ? prepared.to : NULL);
}

/* The same into pages of bf16. */
static void run_other(void *self, int64_t calls)
{
    (void)self;
    for (int64_t i = 0; i < calls; ++i) run_jobs(prepared.other);
}

static void run_apply(void *self, int64_t calls)
{
    (void)self;
    for (int64_t i = 0; i < calls; ++i) note(roperot_apply(prepared.plan, &prepared.at, prepared.view, NULL, 2, NULL));
}

static void norm_alone(int i)
{
    roperot_job job = ROPEROT_JOB_INIT;
    job.flags = ROPEROT_JOB_UNROTATED;
    job.src = job.dst = &prepared.view[i];
    job.norm = &prepared.norm;
    note(roperot_run(prepared.plan, NULL, &job, 1, NULL));
}

static void store_alone(int i)
{
    roperot_job job = ROPEROT_JOB_INIT;
    job.flags = ROPEROT_JOB_UNROTATED;
    job.src = &prepared.view[1 + i];
    job.to = &prepared.to[i];
    note(roperot_run(prepared.plan, NULL, &job, 1, NULL));
}

/* One pass each, as a runtime does it: norm of q, norm of k, rotation, store of k, store of v. */
static void run_chain(void *self, int64_t calls)
{
    (void)self;
    for (int64_t i = 0; i < calls; ++i) {
        if (prepared.owner->what->has_norm) norm_alone(0), norm_alone(1);
        note(roperot_apply(prepared.plan, &prepared.at, prepared.view, NULL, 2, NULL));
        if (prepared.to[0].data) store_alone(0), store_alone(1);
    }
}

/* Loads, multiplies and stores as many bytes, in place. */
static void run_sweep(void *self, int64_t calls)
{
    (void)self;
    static volatile float one = 1.0f;
    for (int64_t i = 0; i < calls; ++i) prepared.sweeps->sweep(prepared.swept, prepared.bytes / 2, one);
}

/* ---- preparing --------------------------------------------------------------------------------------------------- */

static void release(void)
{
    if (prepared.owner == NULL) return;
    roperot_plan_destroy(prepared.plan);
    free(prepared.tensors);
    for (int i = 0; i < 2; ++i) free(prepared.pages[i]), free(prepared.other_pages[i]), free(prepared.scale[i]);
    free(prepared.weight);
    free(prepared.swept);
    free(prepared.slots);
    free(prepared.ids);
    memset(&prepared, 0, sizeof prepared);
}

static int64_t row_bytes(int32_t format, int64_t dim)
{
    if (format == ROPEROT_Q8_0) return dim / 32 * 34;
    return format >= ROPEROT_E4M3 ? dim : dim * roperot_dtype_size(format);
}

/* [pages, tokens, heads, dim], twice as many slots as tokens. */
static int prepare_pages(roperot_pages *p, char **memory, float **scale, int32_t format, const job_shape *shape)
{
    const int64_t units = format == ROPEROT_Q8_0 ? row_bytes(format, shape->dim) : shape->dim;
    const int64_t count = shape->batch * shape->tokens;
    *p = (roperot_pages)ROPEROT_PAGES_INIT;
    p->dtype = format;
    p->pages = (2 * count + PAGE_TOKENS - 1) / PAGE_TOKENS;
    p->page_tokens = PAGE_TOKENS;
    p->head_stride = units;
    p->token_stride = KV_HEADS * units;
    p->page_stride = PAGE_TOKENS * p->token_stride;
    p->channel_stride = format == ROPEROT_Q8_0 ? 0 : 1;
    p->slots = prepared.slots;
    p->slot_batch_stride = p->slot_token_stride = 1;
    const int64_t heads = p->pages * PAGE_TOKENS * KV_HEADS;
    p->data = *memory = bench_allocate((size_t)(heads * row_bytes(format, shape->dim)));
    if ((format == ROPEROT_E4M3 || format == ROPEROT_I8) && scale) {
        p->scaling = ROPEROT_SCALE_DYNAMIC;
        p->scale = *scale = bench_allocate((size_t)heads * sizeof(float));
        p->scale_head_stride = 1;
        p->scale_token_stride = KV_HEADS;
        p->scale_page_stride = KV_HEADS * PAGE_TOKENS;
    }
    return p->data != NULL;
}

/* A million rotations in place make numbers that no model has, and heads with denormal numbers take longer. */
static void refill(void *self)
{
    (void)self;
    bench_fill(prepared.tensors, prepared.tensor_bytes, prepared.owner->dtype);
}

static int prepare_tensors(const job_case *c, int64_t count)
{
    const int64_t heads[3] = { c->shape.heads, KV_HEADS, KV_HEADS }, dim = c->shape.dim;
    const int64_t size = roperot_dtype_size(c->dtype), all = count * (c->shape.heads + 2 * KV_HEADS) * dim;
    prepared.tensors = bench_allocate((size_t)(all * size));
    prepared.slots = bench_allocate((size_t)count * sizeof(int64_t));
    prepared.ids = bench_allocate((size_t)count * sizeof(int64_t));
    prepared.weight = bench_allocate((size_t)dim * sizeof(float));
    if (!prepared.tensors || !prepared.slots || !prepared.ids || !prepared.weight) return 0;
    prepared.tensor_bytes = (size_t)(all * size);
    refill(NULL);
    char *at = prepared.tensors;
    for (int i = 0; i < 3; at += count * heads[i] * dim * size, ++i)
        prepared.view[i] = roperot_tensor_bshd(at, c->dtype, c->shape.batch, c->shape.tokens, heads[i], dim);
    /* Weights of 1: other ones would grow call by call. */
    for (int64_t i = 0; i < dim; ++i)
        format_store(c->dtype, (char *)prepared.weight + i * size,
                     c->dtype == ROPEROT_F32   ? 0x3f800000u
                     : c->dtype == ROPEROT_F16 ? 0x3c00u
                                               : 0x3f80u);
    for (int64_t i = 0; i < count; ++i)
        prepared.slots[i] = (i * 5 + 3) % (2 * count), prepared.ids[i] = 1000 + i % 4096;
    return 1;
}

static const char *prepare_all(const job_case *c)
{
    const int64_t count = c->shape.batch * c->shape.tokens, dim = c->shape.dim, heads = c->shape.heads;
    const int64_t size = roperot_dtype_size(c->dtype);
    const int32_t format = c->what->format < 0 ? c->dtype : c->what->format;
    const bench_choice choice = { .dtype = c->dtype,
                                  .pairing = ROPEROT_PAIR_HALF,
                                  .isa = c->isa,
                                  .cache = ROPEROT_CACHE_FULL,
                                  .max_positions = 8192 };
    const char *const why = bench_plan_create(&prepared.plan, (int32_t)dim, &choice);
    if (why != NULL) return why;
    prepared.sweeps = bench_sweeps_for(roperot_isa_name(c->isa));
    if (prepared.sweeps == NULL) return "no sweep was built for this instruction set";
    if (!prepare_tensors(c, count)) return "no memory for the tensors";
    for (int i = 0; i < 2 && format; ++i)
        if (!prepare_pages(&prepared.to[i], &prepared.pages[i], &prepared.scale[i], format, &c->shape) ||
            !prepare_pages(&prepared.other[i], &prepared.other_pages[i], NULL, ROPEROT_BF16, &c->shape))
            return "no memory for the pages";
    const int64_t read = size * count * dim * (heads + (format ? 2 : 1) * KV_HEADS);
    const int64_t stored = count * KV_HEADS * (format ? 2 * row_bytes(format, dim) : dim * size);
    prepared.bytes = (size_t)(read + size * count * dim * heads + stored) / 128 * 128;
    prepared.swept = bench_allocate(prepared.bytes / 2);
    prepared.norm = (roperot_norm)ROPEROT_NORM_INIT;
    prepared.norm.rounding = ROPEROT_NORM_ROUND_ONCE;
    prepared.norm.weight = prepared.weight;
    prepared.norm.weight_dtype = c->dtype;
    prepared.at = roperot_positions_i64(prepared.ids, c->shape.tokens);
    return prepared.swept ? NULL : "no memory for the sweep";
}

static const char *prepare(const job_case *c)
{
    bench_stage_enter(release);
    if (prepared.owner == c) return NULL;
    release();
    prepared.owner = c;
    const char *const why = prepare_all(c);
    if (why != NULL) release();
    return why;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void measure(shim_state *state)
{
    const bench_side sides[3] = { { run_run, NULL, 0 }, { run_chain, NULL, 0 }, { run_sweep, NULL, 0 } };
    const int is_norm = !prepared.to[0].data;
    const bench_side pair[2] = { sides[0], { is_norm ? run_apply : run_other, NULL, 0 } };
    const bench_refresh fresh = { refill, NULL };
    bench_times times, other;
    bench_measure(state, prepared.owner, sides, 3, fresh, &times);
    bench_report(state, &times, (double)prepared.bytes);
    shim_counter(state, "chain_ratio", times.median[0] / times.median[1]);
    shim_counter(state, "sweep_ratio", times.median[2] / times.median[0]);
    shim_counter(state, "sweep_of_chain", times.median[2] / times.median[1]); /* chain_ratio cannot be less */
    shim_counter(state, "ratio_min", times.least[0] / times.least[1]);
    shim_counter(state, "reference_spread", times.spread[1]);
    other.rounds = times.rounds;
    bench_measure_again(prepared.owner, pair, 2, fresh, &other);
    shim_counter(state, is_norm ? "rotation_ratio" : "bf16_ratio", other.median[0] / other.median[1]);
}

static void run_case(shim_state *state, const void *argument)
{
    const char *why = prepare(argument);
    if (why == NULL) {
        measure(state);
        if (prepared.status != ROPEROT_OK) why = roperot_last_error();
    }
    if (why != NULL) shim_skip(state, why);
}

/* ---- registering ------------------------------------------------------------------------------------------------- */

static void register_isa(int32_t isa)
{
    static job_case cases[ROPEROT_ISAS * ROPEROT_DTYPES * WHATS * BENCH_SHAPES_MAIN];
    static size_t used;
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; ++dtype)
        for (size_t w = 0; w < WHATS; ++w)
            for (int s = 0; s < BENCH_SHAPES_MAIN; ++s) {
                job_case *const c = &cases[used++];
                *c = (job_case){ .what = &whats[w], .shape = job_shape_of(s), .dtype = dtype, .isa = isa };
                snprintf(c->name, sizeof c->name, "run/%s/%s/%s/%s", c->what->name, bench_dtype_name(dtype),
                         roperot_isa_name(isa), bench_shapes[s].name);
                shim_register(c->name, run_case, c);
            }
}

void bench_register_run(void)
{
    bench_each_isa(register_isa);
}
