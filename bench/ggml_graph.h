/* SPDX-License-Identifier: MIT
 * A ggml graph that is built and planned once and computed many times on one thread, and the time of it; it must not
 * know what the graph computes. */
#ifndef BENCH_GGML_GRAPH_H
#define BENCH_GGML_GRAPH_H

#include <ggml-cpu.h>
#include <ggml.h>
#include <stddef.h>
#include <stdint.h>

#include "measure.h"

typedef struct bench_ggml {
    struct ggml_context *context;
    struct ggml_cgraph *graph;
    struct ggml_cplan plan;
} bench_ggml;

/* The base and the largest error that is taken for right: ggml makes cos and sin by a chain of f32 products. */
static const double bench_ggml_base = 500000.0, bench_ggml_tolerance = 2e-2;

/* What every benchmark of ggml puts into element i of a tensor. */
static inline float bench_ggml_value(int64_t i)
{
    return (float)((i * 2654435761u >> 7) % 2001) / 500.0f - 2.0f;
}

/* Memory for tensors of so many bytes, and an empty graph; 0 if ggml has no memory. */
int bench_ggml_open(bench_ggml *self, size_t bytes);

/* After the last node. */
void bench_ggml_plan(bench_ggml *self);

/* Also what bench_ggml_open left when it failed, and what was never opened but is all zero. */
void bench_ggml_close(bench_ggml *self);

/* A bench_side's function: `self` is a bench_ggml. */
void bench_ggml_run(void *self, int64_t calls);

/* Times `graph` and, as overhead_ns, `tiny`, in turns. error: the largest one of what `graph` has just computed; beyond
 * the tolerance nothing is timed. key, refresh and self: as in bench_measure. */
void bench_ggml_measure(shim_state *state, const void *key, double error, bench_ggml *graph, bench_ggml *tiny,
                        void (*refresh)(void *self), void *self);

#endif
