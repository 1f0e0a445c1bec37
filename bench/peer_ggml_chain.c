/* SPDX-License-Identifier: MIT
 * The benchmarks chain/ggml/f32/half/<shape>, where ggml is installed: what one roperot_run does for a layer, by
 * ggml's own graph of RMS_NORM, MUL, ROPE and SET_ROWS; it must not call roperot.
 *
 * The graph is built and planned once. Norms make a tensor of their own, the rest works in place on it, as llama.cpp's
 * allocator has it; ggml normalises f32 only. q and k have weights of 1, v goes into the cache as it is. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ggml_graph.h"
#include "groups.h"
#include "shapes.h"
#include "stage.h"

enum { NAME = 64, KV_HEADS = 8, SHAPES = BENCH_SHAPES_MAIN, TINY_DIM = 16 };
static const float epsilon = 1e-6f;

typedef struct chain_case {
    char name[NAME];
    int tokens, heads, kv_heads, dim, position;
} chain_case;

typedef struct chain {
    bench_ggml ggml;
    struct ggml_tensor *in[3], *out[2], *cache[2], *positions, *slots; /* in: q, k, v; out: q and k, rotated */
} chain;

/* ---- values ------------------------------------------------------------------------------------------------------ */

static int64_t slot_of(int64_t token, int64_t tokens)
{
    return (token * 5 + 3) % (2 * tokens);
}

/* One head: what the textbook says in double; the largest difference. */
static double error_of_head(const float *found, int64_t first, int64_t position, int64_t dim)
{
    const int64_t pairs = dim / 2;
    double largest = 0, sum = 0;
    for (int64_t i = 0; i < dim; ++i) sum += (double)bench_ggml_value(first + i) * (double)bench_ggml_value(first + i);
    const double r = 1 / sqrt(sum / (double)dim + (double)epsilon);
    for (int64_t j = 0; j < pairs; ++j) {
        const double angle = (double)position * pow(bench_ggml_base, -2.0 * (double)j / (double)dim);
        const double a = r * (double)bench_ggml_value(first + j), b = r * (double)bench_ggml_value(first + pairs + j);
        largest = fmax(largest, fabs((double)found[j] - (a * cos(angle) - b * sin(angle))));
        largest = fmax(largest, fabs((double)found[pairs + j] - (a * sin(angle) + b * cos(angle))));
    }
    return largest;
}

/* q where it was rotated, k and v in the cache. */
static double error_of(const chain *job, const chain_case *c)
{
    const float *const q = job->out[0]->data, *const k = job->cache[0]->data, *const v = job->cache[1]->data;
    const int64_t dim = c->dim, row = dim * c->kv_heads;
    double largest = 0;
    for (int64_t t = 0; t < c->tokens; ++t) {
        const int64_t slot = slot_of(t, c->tokens), position = c->position + t;
        for (int64_t h = 0; h < c->heads; ++h) {
            const int64_t first = (t * c->heads + h) * dim;
            largest = fmax(largest, error_of_head(q + first, first, position, dim));
        }
        for (int64_t h = 0; h < c->kv_heads; ++h)
            largest = fmax(largest, error_of_head(k + slot * row + h * dim, t * row + h * dim, position, dim));
        for (int64_t i = 0; i < row; ++i)
            largest = fmax(largest, fabs((double)v[slot * row + i] - (double)bench_ggml_value(t * row + i)));
    }
    return largest;
}

/* ---- one prepared graph ------------------------------------------------------------------------------------------ */

static struct ggml_tensor *new_input(chain *job, const chain_case *c, int heads)
{
    struct ggml_tensor *const x = ggml_new_tensor_3d(job->ggml.context, GGML_TYPE_F32, c->dim, heads, c->tokens);
    for (int64_t i = 0; i < ggml_nelements(x); ++i) ((float *)x->data)[i] = bench_ggml_value(i);
    return x;
}

static struct ggml_tensor *norm_and_rotate(const chain *job, const chain_case *c, struct ggml_tensor *x,
                                           struct ggml_tensor *weight)
{
    struct ggml_tensor *const normed =
        ggml_mul_inplace(job->ggml.context, ggml_rms_norm(job->ggml.context, x, epsilon), weight);
    return ggml_rope_ext_inplace(job->ggml.context, normed, job->positions, NULL, c->dim, GGML_ROPE_TYPE_NEOX, 0,
                                 (float)bench_ggml_base, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
}

static struct ggml_tensor *store(chain *job, const chain_case *c, struct ggml_tensor *x, int cache)
{
    const int64_t row = (int64_t)c->dim * c->kv_heads;
    job->cache[cache] = ggml_new_tensor_2d(job->ggml.context, GGML_TYPE_F32, row, 2 * c->tokens);
    memset(job->cache[cache]->data, 0, ggml_nbytes(job->cache[cache]));
    struct ggml_tensor *const rows = ggml_reshape_2d(job->ggml.context, x, row, c->tokens);
    return ggml_set_rows(job->ggml.context, job->cache[cache], rows, job->slots);
}

static void build(chain *job, const chain_case *c)
{
    struct ggml_tensor *const weight = ggml_new_tensor_1d(job->ggml.context, GGML_TYPE_F32, c->dim);
    for (int i = 0; i < c->dim; ++i) ((float *)weight->data)[i] = 1.0f;
    job->positions = ggml_new_tensor_1d(job->ggml.context, GGML_TYPE_I32, c->tokens);
    job->slots = ggml_new_tensor_1d(job->ggml.context, GGML_TYPE_I64, c->tokens);
    for (int t = 0; t < c->tokens; ++t) ((int32_t *)job->positions->data)[t] = c->position + t;
    for (int t = 0; t < c->tokens; ++t) ((int64_t *)job->slots->data)[t] = slot_of(t, c->tokens);
    for (int i = 0; i < 3; ++i) job->in[i] = new_input(job, c, i == 0 ? c->heads : c->kv_heads);
    for (int i = 0; i < 2; ++i) job->out[i] = norm_and_rotate(job, c, job->in[i], weight);
    ggml_build_forward_expand(job->ggml.graph, job->out[0]);
    ggml_build_forward_expand(job->ggml.graph, store(job, c, job->out[1], 0));
    ggml_build_forward_expand(job->ggml.graph, store(job, c, job->in[2], 1));
}

static int chain_open(chain *job, const chain_case *c)
{
    const size_t row = (size_t)c->tokens * (size_t)c->dim * sizeof(float),
                 heads = (size_t)c->heads + (size_t)c->kv_heads;
    const size_t bytes =
        row * (2 * heads + 5 * (size_t)c->kv_heads); /* q and k twice, v, and caches of twice as much */
    *job = (chain){ 0 };
    if (!bench_ggml_open(&job->ggml, bytes)) return 0;
    build(job, c);
    bench_ggml_plan(&job->ggml);
    return 1;
}

/* ---- measuring --------------------------------------------------------------------------------------------------- */

static void run_case(shim_state *state, const void *argument)
{
    const chain_case *const c = argument;
    const chain_case one = { .tokens = 1, .heads = 1, .kv_heads = 1, .dim = TINY_DIM, .position = c->position };
    chain job = { 0 }, tiny = { 0 };
    bench_stage_enter(NULL);
    if (chain_open(&job, c) && chain_open(&tiny, &one)) {
        bench_ggml_run(&job.ggml, 1);
        bench_ggml_measure(state, c, error_of(&job, c), &job.ggml, &tiny.ggml, NULL, NULL);
    } else {
        shim_skip(state, "ggml has no memory for this shape");
    }
    bench_ggml_close(&job.ggml);
    bench_ggml_close(&tiny.ggml);
}

void bench_register_ggml_chain(void)
{
    static chain_case cases[SHAPES];
    ggml_cpu_init();
    for (int i = 0; i < SHAPES; ++i) {
        const bench_shape *const shape = &bench_shapes[i].shape;
        const int heads = (int)shape->heads;
        cases[i] = (chain_case){ .tokens = (int)shape->tokens,
                                 .heads = heads,
                                 .kv_heads = heads < KV_HEADS ? heads : KV_HEADS,
                                 .dim = (int)shape->dim,
                                 .position = (int)shape->position };
        snprintf(cases[i].name, sizeof cases[i].name, "chain/ggml/f32/half/%s", bench_shapes[i].name);
        shim_register(cases[i].name, run_case, &cases[i]);
    }
}
