/* SPDX-License-Identifier: MIT
 * The one list of shapes: C measures them and writes them into the context of every result, where Python reads them; it
 * must not know what is done at a shape. */
#ifndef BENCH_SHAPES_H
#define BENCH_SHAPES_H

#include <stdint.h>

/* What is rotated. q has `heads` heads and, if kv_heads is not 0, k follows it in memory. */
typedef struct bench_shape {
    int64_t tokens, heads, kv_heads;
    int32_t dim;
    int heads_first; /* [batch, heads, seq, dim] */
    int out_of_place;
    int64_t position; /* of the first token */
} bench_shape;

/* X(enumerator, name, tokens, heads, kv_heads, dim, heads_first, out_of_place, position).
 * The main shapes, at which the naive loop, the peers and the reports are, too: */
#define BENCH_MAIN_SHAPES(X)                                                                                           \
    X(DECODE, "decode", 1, 32, 8, 128, 0, 0, 1000)                                                                     \
    X(BATCH16, "batch16", 16, 32, 8, 128, 0, 0, 0)                                                                     \
    X(PREFILL128, "prefill128", 128, 32, 0, 128, 0, 0, 0)                                                              \
    X(PREFILL4096, "prefill4096", 4096, 32, 0, 128, 0, 0, 0)

#define BENCH_OTHER_SHAPES(X)                                                                                          \
    X(DECODE_D64, "decode-d64", 1, 32, 8, 64, 0, 0, 1000)                                                              \
    X(DECODE_D80, "decode-d80", 1, 32, 8, 80, 0, 0, 1000)                                                              \
    X(DECODE_D96, "decode-d96", 1, 32, 8, 96, 0, 0, 1000)                                                              \
    X(DECODE_D256, "decode-d256", 1, 32, 8, 256, 0, 0, 1000)                                                           \
    X(PREFILL128_D64, "prefill128-d64", 128, 32, 0, 64, 0, 0, 0)                                                       \
    X(PREFILL128_D80, "prefill128-d80", 128, 32, 0, 80, 0, 0, 0)                                                       \
    X(PREFILL128_D96, "prefill128-d96", 128, 32, 0, 96, 0, 0, 0)                                                       \
    X(PREFILL128_D256, "prefill128-d256", 128, 32, 0, 256, 0, 0, 0)                                                    \
    X(PREFILL128_BHSD, "prefill128-bhsd", 128, 32, 0, 128, 1, 0, 0)                                                    \
    X(PREFILL4096_BHSD, "prefill4096-bhsd", 4096, 32, 0, 128, 1, 0, 0)                                                 \
    X(DECODE_OUT, "decode-out", 1, 32, 8, 128, 0, 1, 1000)                                                             \
    X(PREFILL128_OUT, "prefill128-out", 128, 32, 0, 128, 0, 1, 0)                                                      \
    X(PREFILL4096_OUT, "prefill4096-out", 4096, 32, 0, 128, 0, 1, 0)

#define BENCH_SHAPE_NAMED(id, name, tokens, heads, kv_heads, dim, heads_first, out_of_place, position) BENCH_##id,
enum {
    BENCH_MAIN_SHAPES(BENCH_SHAPE_NAMED) BENCH_SHAPES_MAIN,
    BENCH_BEFORE_OTHERS = BENCH_SHAPES_MAIN - 1,
    BENCH_OTHER_SHAPES(BENCH_SHAPE_NAMED) BENCH_SHAPES
};
#undef BENCH_SHAPE_NAMED

typedef struct bench_named_shape {
    const char *name;
    bench_shape shape;
} bench_named_shape;

extern const bench_named_shape bench_shapes[BENCH_SHAPES]; /* the main ones first */

/* Adds them to the report's context: "shapes", `name tokens heads kv_heads dim position` of each with commas between,
 * and "main_shapes", names. */
void bench_shapes_describe(void);

#endif
