/* SPDX-License-Identifier: MIT
 * The reference loops, once, in eight vector verbs that the including file defines; it must not know the ISA's name.
 *
 * sweep and twin do the same work and were tuned apart, so that a slow sweep cannot flatter roperot unseen. Measured on
 * a Xeon with 48 KiB L1d: blocks of eight vectors win in L1; prefetching costs 5 % there and gains 5 to 35 % beyond the
 * second-level cache, where short blocks (one line, or two vectors) 2 KiB behind the prefetch win by up to 30 % when
 * the memory is busy. Hence the two ways through sweep.
 *
 * VEC_LANES may be a run-time value (SVE, RVV): vectors are named, never in arrays, and their lanes divide 16 KiB.
 */
#include "sweeps.h"

#include <stdint.h>
#include <string.h>

#define BENCH_PASTE_(a, b) a##b
#define BENCH_PASTE(a, b) BENCH_PASTE_(a, b)

enum { FAR_BYTES = 1 << 20, FAR_AHEAD = 2048, TWIN_AHEAD = 3072, COPY_AHEAD = 4096, LINE = 64 };

static inline void fetch(const float *ahead)
{
    __builtin_prefetch(ahead, 1, 3);
}

static inline void multiply_block(float *p, size_t lanes, VEC m)
{
    const VEC a = VEC_LOAD(p), b = VEC_LOAD(p + lanes), c = VEC_LOAD(p + 2 * lanes), d = VEC_LOAD(p + 3 * lanes);
    const VEC e = VEC_LOAD(p + 4 * lanes), f = VEC_LOAD(p + 5 * lanes), g = VEC_LOAD(p + 6 * lanes),
              h = VEC_LOAD(p + 7 * lanes);
    VEC_STORE(p, VEC_MUL(a, m));
    VEC_STORE(p + lanes, VEC_MUL(b, m));
    VEC_STORE(p + 2 * lanes, VEC_MUL(c, m));
    VEC_STORE(p + 3 * lanes, VEC_MUL(d, m));
    VEC_STORE(p + 4 * lanes, VEC_MUL(e, m));
    VEC_STORE(p + 5 * lanes, VEC_MUL(f, m));
    VEC_STORE(p + 6 * lanes, VEC_MUL(g, m));
    VEC_STORE(p + 7 * lanes, VEC_MUL(h, m));
}

/* The last bytes, fewer than one block: whole vectors, then (where vectors are longer than a line) single lanes. */
static void multiply_rest(float *p, const float *end, size_t lanes, float one)
{
    const VEC m = VEC_SPLAT(one);
    for (; (size_t)(end - p) >= lanes; p += lanes) VEC_STORE(p, VEC_MUL(VEC_LOAD(p), m));
    for (; p < end; ++p) *p *= one;
}

static inline float *sweep_far(float *p, const float *end, VEC m)
{
    const size_t line = LINE / sizeof *p, lanes = VEC_LANES, step = 2 * lanes > line ? 2 * lanes : line;
    for (; (size_t)(end - p) >= step; p += step) {
        for (size_t i = 0; i < step; i += line) fetch(p + FAR_AHEAD / sizeof *p + i);
        for (size_t i = 0; i < step; i += lanes) VEC_STORE(p + i, VEC_MUL(VEC_LOAD(p + i), m));
    }
    return p;
}

static void sweep(void *data, size_t bytes, float one)
{
    float *p = data;
    const float *const end = p + bytes / sizeof *p;
    const size_t lanes = VEC_LANES, block = 8 * lanes;
    const VEC m = VEC_SPLAT(one);
    if (bytes >= FAR_BYTES) p = sweep_far(p, end, m);
    for (; (size_t)(end - p) >= block; p += block) multiply_block(p, lanes, m);
    multiply_rest(p, end, lanes, one);
}

/* Counts a negative index up to zero and finishes one vector before it loads the next. */
static void twin(void *data, size_t bytes, float one)
{
    const ptrdiff_t lanes = (ptrdiff_t)VEC_LANES, block = 4 * lanes, floats = (ptrdiff_t)(bytes / sizeof(float));
    float *const end = (float *)data + floats;
    const VEC m = VEC_SPLAT(one);
    const int far = bytes >= FAR_BYTES;
    ptrdiff_t i = -floats;
    for (; i + block <= 0; i += block) {
        if (far)
            for (ptrdiff_t k = 0; k < block; k += LINE / (ptrdiff_t)sizeof(float))
                fetch(end + (i + k + TWIN_AHEAD / (ptrdiff_t)sizeof(float)));
        VEC_STORE(end + i, VEC_MUL(VEC_LOAD(end + i), m));
        VEC_STORE(end + i + lanes, VEC_MUL(VEC_LOAD(end + i + lanes), m));
        VEC_STORE(end + i + 2 * lanes, VEC_MUL(VEC_LOAD(end + i + 2 * lanes), m));
        VEC_STORE(end + i + 3 * lanes, VEC_MUL(VEC_LOAD(end + i + 3 * lanes), m));
    }
    multiply_rest(end + i, end, (size_t)lanes, one);
}

static void copy(void *to, const void *from, size_t bytes)
{
    float *q = to;
    const float *p = from, *const end = p + bytes / sizeof *p;
    const size_t lanes = VEC_LANES, block = 4 * lanes;
    for (; (size_t)(end - p) >= block; p += block, q += block) {
        const VEC a = VEC_LOAD(p), b = VEC_LOAD(p + lanes), c = VEC_LOAD(p + 2 * lanes), d = VEC_LOAD(p + 3 * lanes);
        VEC_STORE(q, a);
        VEC_STORE(q + lanes, b);
        VEC_STORE(q + 2 * lanes, c);
        VEC_STORE(q + 3 * lanes, d);
    }
    memcpy(q, p, (size_t)(end - p) * sizeof *p);
}

#ifdef VEC_STREAM
static void copy_stream(void *to, const void *from, size_t bytes)
{
    float *q = to;
    const float *p = from, *const end = p + bytes / sizeof *p;
    const size_t lanes = VEC_LANES, block = 4 * lanes;
    for (; (size_t)(end - p) >= block; p += block, q += block) {
        for (size_t i = 0; i < block; i += LINE / sizeof *p) __builtin_prefetch(p + COPY_AHEAD / sizeof *p + i, 0, 3);
        const VEC a = VEC_LOAD(p), b = VEC_LOAD(p + lanes), c = VEC_LOAD(p + 2 * lanes), d = VEC_LOAD(p + 3 * lanes);
        VEC_STREAM(q, a);
        VEC_STREAM(q + lanes, b);
        VEC_STREAM(q + 2 * lanes, c);
        VEC_STREAM(q + 3 * lanes, d);
    }
    for (; (size_t)(end - p) >= lanes; p += lanes, q += lanes) VEC_STREAM(q, VEC_LOAD(p));
    VEC_STREAM_END();
}
#endif

/* Eight sums: an addition takes four cycles, and two can start in each. */
static float read_all(const void *data, size_t bytes)
{
    const float *p = data, *const end = p + bytes / sizeof *p;
    const size_t lanes = VEC_LANES, block = 8 * lanes;
    VEC a = VEC_SPLAT(0.0f), b = a, c = a, d = a, e = a, f = a, g = a, h = a;
    for (; (size_t)(end - p) >= block; p += block) {
        a = VEC_ADD(a, VEC_LOAD(p));
        b = VEC_ADD(b, VEC_LOAD(p + lanes));
        c = VEC_ADD(c, VEC_LOAD(p + 2 * lanes));
        d = VEC_ADD(d, VEC_LOAD(p + 3 * lanes));
        e = VEC_ADD(e, VEC_LOAD(p + 4 * lanes));
        f = VEC_ADD(f, VEC_LOAD(p + 5 * lanes));
        g = VEC_ADD(g, VEC_LOAD(p + 6 * lanes));
        h = VEC_ADD(h, VEC_LOAD(p + 7 * lanes));
    }
    for (; (size_t)(end - p) >= lanes; p += lanes) a = VEC_ADD(a, VEC_LOAD(p));
    _Alignas(LINE) float lane[VEC_LANES_MOST];
    VEC_STORE(lane, VEC_ADD(VEC_ADD(VEC_ADD(a, b), VEC_ADD(c, d)), VEC_ADD(VEC_ADD(e, f), VEC_ADD(g, h))));
    float sum = 0.0f;
    for (size_t i = 0; i < lanes; ++i) sum += lane[i];
    for (; p < end; ++p) sum += *p;
    return sum;
}

static void write_all(void *data, size_t bytes, float value)
{
    float *p = data;
    const float *const end = p + bytes / sizeof *p;
    const size_t lanes = VEC_LANES, block = 4 * lanes;
    const VEC v = VEC_SPLAT(value);
    for (; (size_t)(end - p) >= block; p += block) {
        VEC_STORE(p, v);
        VEC_STORE(p + lanes, v);
        VEC_STORE(p + 2 * lanes, v);
        VEC_STORE(p + 3 * lanes, v);
    }
    for (; p < end; ++p) *p = value;
}

#ifdef VEC_SINCOS
static double sincos_all(const double *angle, double *sines, double *cosines, ptrdiff_t count)
{
    for (ptrdiff_t i = 0; i < count; i += VEC_SINCOS_LANES) VEC_SINCOS(angle + i, sines + i, cosines + i);
    return sines[count - 1];
}
#endif

extern const bench_sweeps BENCH_PASTE(bench_sweeps_, BENCH_ISA);
const bench_sweeps BENCH_PASTE(bench_sweeps_, BENCH_ISA) = {
    .isa = BENCH_ISA_NAME,
    .sweep = sweep,
    .twin = twin,
    .copy = copy,
#ifdef VEC_STREAM
    .copy_stream = copy_stream,
#endif
    .read = read_all,
    .write = write_all,
#ifdef VEC_SINCOS
    .sincos = sincos_all,
#endif
};
