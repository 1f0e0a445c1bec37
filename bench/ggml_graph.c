/* SPDX-License-Identifier: MIT
 * A ggml graph and the time of it (ggml_graph.h); it must not know what the graph computes. */
#include "ggml_graph.h"

#include <stdlib.h>

enum { NODES_BYTES = 4 << 20 }; /* what the descriptions of tensors and the graph may take */

int bench_ggml_open(bench_ggml *self, size_t bytes)
{
    const struct ggml_init_params parameters = { bytes + (size_t)NODES_BYTES, NULL, false };
    *self = (bench_ggml){ .context = ggml_init(parameters) };
    if (self->context == NULL) return 0;
    self->graph = ggml_new_graph(self->context);
    return 1;
}

void bench_ggml_plan(bench_ggml *self)
{
    self->plan = ggml_graph_plan(self->graph, 1, NULL);
    self->plan.work_data = self->plan.work_size != 0 ? malloc(self->plan.work_size) : NULL;
}

void bench_ggml_close(bench_ggml *self)
{
    free(self->plan.work_data);
    ggml_free(self->context);
    *self = (bench_ggml){ 0 };
}

void bench_ggml_run(void *self, int64_t calls)
{
    bench_ggml *const graph = self;
    for (int64_t i = 0; i < calls; ++i) ggml_graph_compute(graph->graph, &graph->plan);
}

void bench_ggml_measure(shim_state *state, const void *key, double error, bench_ggml *graph, bench_ggml *tiny,
                        void (*refresh)(void *self), void *self)
{
    if (!(error <= bench_ggml_tolerance)) {
        shim_skip(state, "differs from the oracle: not timed");
        return;
    }
    const bench_side sides[2] = { { bench_ggml_run, graph, 0 }, { bench_ggml_run, tiny, 0 } };
    bench_times times;
    bench_measure(state, key, sides, 2, (bench_refresh){ refresh, self }, &times);
    bench_report(state, &times, 0);
    shim_counter(state, "overhead_ns", times.median[1]);
    shim_counter(state, "max_error", error);
}
