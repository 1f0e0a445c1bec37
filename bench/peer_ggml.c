/* SPDX-License-Identifier: MIT
 * The benchmarks peer/ggml/<dtype>/<pairing>/<shape> and step/ggml/<dtype>/<pairing>, where ggml is installed; it must
 * not call roperot.
 *
 * ggml_rope_ext_inplace in a graph that was built and planned once. ggml takes no cos/sin table: it computes them in
 * every call, by a chain of f32 products, which is why its answers are held to a wider tolerance.
 */
#include <math.h>
#include <roperot/roperot.h>
#include <stdio.h>
#include <string.h>

#include "ggml_graph.h"
#include "groups.h"
#include "shapes.h"
#include "stage.h"
#include "step.h"

enum { NAME = 64, DIM = 128, SHAPES = BENCH_SHAPES_MAIN, DTYPES = 2, PAIRINGS = 2, TINY_DIM = 16 };

typedef struct ggml_case {
    char name[NAME];
    const char *shape;
    int tokens, heads, kv_heads, position;
    enum ggml_type type;
    int mode;
} ggml_case;

typedef struct ggml_job {
    bench_ggml ggml;
    struct ggml_tensor *in[2], *positions;
    int64_t tensors;
} ggml_job;

/* ---- values ----------------------------------------------------------------------------------------------------- */

static void set(struct ggml_tensor *tensor, int64_t i, float value)
{
    if (tensor->type == GGML_TYPE_F32)
        ((float *)tensor->data)[i] = value;
    else
        ((ggml_fp16_t *)tensor->data)[i] = ggml_fp32_to_fp16(value);
}

static float get(const struct ggml_tensor *tensor, int64_t i)
{
    return tensor->type == GGML_TYPE_F32 ? ((const float *)tensor->data)[i]
                                         : ggml_fp16_to_fp32(((const ggml_fp16_t *)tensor->data)[i]);
}

static void fill(const ggml_job *job)
{
    for (int64_t t = 0; t < job->tensors; ++t)
        for (int64_t i = 0; i < ggml_nelements(job->in[t]); ++i) set(job->in[t], i, bench_ggml_value(i));
}

/* What the textbook says about one tensor, in double; the largest difference. */
static double error_of(const struct ggml_tensor *found, const ggml_case *c)
{
    const int64_t dim = found->ne[0], heads = found->ne[1], pairs = dim / 2;
    double largest = 0;
    for (int64_t row = 0; row < heads * c->tokens; ++row)
        for (int64_t j = 0; j < pairs; ++j) {
            const int64_t first = row * dim + (c->mode == GGML_ROPE_TYPE_NEOX ? j : 2 * j);
            const int64_t second = first + (c->mode == GGML_ROPE_TYPE_NEOX ? pairs : 1);
            const double angle =
                (double)(c->position + row / heads) * pow(bench_ggml_base, -2.0 * (double)j / (double)dim);
            const double a = (double)bench_ggml_value(first), b = (double)bench_ggml_value(second);
            largest = fmax(largest, fabs((double)get(found, first) - (a * cos(angle) - b * sin(angle))));
            largest = fmax(largest, fabs((double)get(found, second) - (a * sin(angle) + b * cos(angle))));
        }
    return largest;
}

/* ---- one prepared graph ----------------------------------------------------------------------------------------- */

static void add_tensor(ggml_job *job, const ggml_case *c, int dim, int heads, struct ggml_tensor *positions)
{
    struct ggml_tensor *const x = ggml_new_tensor_3d(job->ggml.context, c->type, dim, heads, c->tokens);
    struct ggml_tensor *const y = ggml_rope_ext_inplace(job->ggml.context, x, positions, NULL, dim, c->mode, 0,
                                                        (float)bench_ggml_base, 1.0f, 0.0f, 1.0f, 0.0f, 0.0f);
    ggml_build_forward_expand(job->ggml.graph, y);
    job->in[job->tensors++] = x;
}

static int job_open(ggml_job *job, const ggml_case *c, int dim, int heads, int kv_heads)
{
    const size_t element = ggml_type_size(c->type);
    const size_t bytes = (size_t)c->tokens * (size_t)(heads + kv_heads) * (size_t)dim * element;
    *job = (ggml_job){ 0 };
    if (!bench_ggml_open(&job->ggml, bytes)) return 0;
    job->positions = ggml_new_tensor_1d(job->ggml.context, GGML_TYPE_I32, c->tokens);
    for (int t = 0; t < c->tokens; ++t) ((int32_t *)job->positions->data)[t] = c->position + t;
    add_tensor(job, c, dim, heads, job->positions);
    if (kv_heads != 0) add_tensor(job, c, dim, kv_heads, job->positions);
    bench_ggml_plan(&job->ggml);
    fill(job);
    return 1;
}

static void refill(void *self)
{
    fill(self);
}

/* ---- measuring -------------------------------------------------------------------------------------------------- */

static void measure(shim_state *state, const ggml_case *c, ggml_job *job, ggml_job *tiny)
{
    double error = 0;
    bench_ggml_run(&job->ggml, 1);
    for (int64_t t = 0; t < job->tensors; ++t) error = fmax(error, error_of(job->in[t], c));
    bench_ggml_measure(state, c, error, &job->ggml, &tiny->ggml, refill, job);
}

static void run_case(shim_state *state, const void *argument)
{
    const ggml_case *const c = argument;
    ggml_case one = *c;
    ggml_job job, tiny = { 0 };
    bench_stage_enter(NULL);
    one.tokens = 1;
    const int ready =
        job_open(&job, c, DIM, c->heads, c->kv_heads) && job_open(&tiny, &one, TINY_DIM, 1, c->kv_heads != 0);
    if (ready)
        measure(state, c, &job, &tiny);
    else
        shim_skip(state, "ggml has no memory for this shape");
    bench_ggml_close(&job.ggml);
    bench_ggml_close(&tiny.ggml);
}

/* ---- one decode step among other data ---------------------------------------------------------------------------- */

static void move_job(void *self, int32_t position)
{
    const ggml_job *const job = self;
    *(int32_t *)job->positions->data = position;
}

static void run_step(shim_state *state, const void *argument)
{
    const ggml_case *const c = argument;
    ggml_job job;
    bench_stage_enter(NULL);
    const char *why = "ggml has no memory for this shape";
    if (job_open(&job, c, DIM, c->heads, c->kv_heads)) {
        const bench_step step = { { bench_ggml_run, &job.ggml, 0 },
                                  move_job,
                                  job.in[0]->data,
                                  job.in[1]->data,
                                  c->type == GGML_TYPE_F32 ? ROPEROT_F32 : ROPEROT_F16,
                                  c->mode == GGML_ROPE_TYPE_NEOX ? ROPEROT_PAIR_HALF : ROPEROT_PAIR_INTERLEAVED };
        why = bench_step_measure(state, &step);
    }
    if (why != NULL) shim_skip(state, why);
    bench_ggml_close(&job.ggml);
}

static void register_step(const ggml_case *like)
{
    static ggml_case cases[DTYPES * PAIRINGS];
    static int used;
    ggml_case *const c = &cases[used++];
    *c = *like;
    snprintf(c->name, sizeof c->name, "step/ggml/%s/%s", c->type == GGML_TYPE_F32 ? "f32" : "f16",
             c->mode == GGML_ROPE_TYPE_NEOX ? "half" : "interleaved");
    shim_register(c->name, run_step, c);
}

void bench_register_ggml(void)
{
    static ggml_case cases[DTYPES * PAIRINGS * SHAPES];
    ggml_cpu_init();
    for (int i = 0; i < DTYPES * PAIRINGS * SHAPES; ++i) {
        ggml_case *const c = &cases[i];
        const int f16 = i / (PAIRINGS * SHAPES), interleaved = i / SHAPES % PAIRINGS;
        const bench_named_shape *const what = &bench_shapes[i % SHAPES];
        *c = (ggml_case){ .shape = what->name,
                          .tokens = (int)what->shape.tokens,
                          .heads = (int)what->shape.heads,
                          .kv_heads = (int)what->shape.kv_heads,
                          .position = (int)what->shape.position };
        c->type = f16 ? GGML_TYPE_F16 : GGML_TYPE_F32;
        c->mode = interleaved ? GGML_ROPE_TYPE_NORMAL : GGML_ROPE_TYPE_NEOX;
        snprintf(c->name, sizeof c->name, "peer/ggml/%s/%s/%s", f16 ? "f16" : "f32",
                 interleaved ? "interleaved" : "half", c->shape);
        shim_register(c->name, run_case, c);
        if (i % SHAPES == BENCH_DECODE) register_step(c);
    }
}
