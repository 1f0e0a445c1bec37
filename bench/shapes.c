/* SPDX-License-Identifier: MIT
 * The table of shapes, and how it is written down; it must not know what is done at a shape.
 */
#include "shapes.h"

#include <inttypes.h>
#include <stdio.h>

#include "shim.h"

#define ENTRY(id, name, tokens, heads, kv_heads, dim, heads_first, out_of_place, position)                             \
    [BENCH_##id] = { name, { tokens, heads, kv_heads, dim, heads_first, out_of_place, position } },
const bench_named_shape bench_shapes[BENCH_SHAPES] = { BENCH_MAIN_SHAPES(ENTRY) BENCH_OTHER_SHAPES(ENTRY) };

void bench_shapes_describe(void)
{
    static char all[2048], main_ones[256];
    size_t used = 0, used_main = 0;
    for (int i = 0; i < BENCH_SHAPES && used < sizeof all; ++i) {
        const bench_shape *const s = &bench_shapes[i].shape;
        used += (size_t)snprintf(all + used, sizeof all - used, "%s%s %" PRId64 " %" PRId64 " %" PRId64 " %d %" PRId64,
                                 i != 0 ? ", " : "", bench_shapes[i].name, s->tokens, s->heads, s->kv_heads,
                                 (int)s->dim, s->position);
        if (i < BENCH_SHAPES_MAIN)
            used_main += (size_t)snprintf(main_ones + used_main, sizeof main_ones - used_main, "%s%s",
                                          i != 0 ? " " : "", bench_shapes[i].name);
    }
    shim_context("shapes", all);
    shim_context("main_shapes", main_ones);
}
