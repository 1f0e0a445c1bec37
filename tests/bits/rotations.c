/* SPDX-License-Identifier: MIT
 * Hashes of rotations: every kernel over shapes, each shape in every way of calling it, with cos and sin from a table
 * of literal bits; it must not know any ISA, and needs no libm. */
#include "hashes.h"

#include <stdio.h>
#include <string.h>

#if !defined __wasm__
#include <pthread.h>
#endif

#include <roperot/roperot.h>

#include "bits.h"
#include "dispatch.h"
#include "support/views.h"
#include "tables.h"

enum { MOST_ELEMENTS = 65536, MOST_LINES = 64, MEMORY = 512 << 10, THREADS = 4 };

/* ---- what is rotated --------------------------------------------------------------------------------------------- */

typedef struct kernel {
    const char *name;
    int32_t src, dst, in, out; /* public enum values */
} kernel;

#define KERNEL(s, d, i, o)                                                                                             \
    { #s " " #i " -> " #d " " #o, ROPEROT_INDEX_##s + 1, ROPEROT_INDEX_##d + 1, ROPEROT_INDEX_##i + 1,                 \
      ROPEROT_INDEX_##o + 1 },
static const kernel kernels[] = { ROPEROT_ROTATE_LIST(KERNEL) };
enum { KERNELS = sizeof kernels / sizeof *kernels };

typedef struct shape {
    const char *name;
    int32_t first_dim, last_dim; /* every second head_dim from first to last, in one hash */
    int32_t rotary_dim, offset;
    int64_t batch, tokens, heads;
    int32_t axes, bounds, random; /* random: positions by id; else an offset */
    uint32_t flags;
    double attention_factor;
} shape;

#define PLAIN 1, ROPEROT_BOUNDS_ERROR, 0, 0, 1.0
#define BY_ID 1, ROPEROT_BOUNDS_ERROR, 1, 0, 1.0
static const shape shapes[] = {
    { "dims 2..64", 2, 64, 0, 0, 1, 2, 3, PLAIN },
    { "dims 66..128", 66, 128, 0, 0, 1, 2, 3, PLAIN },
    { "dims 130..192", 130, 192, 0, 0, 1, 2, 3, PLAIN },
    { "dims 194..258", 194, 258, 0, 0, 1, 2, 3, PLAIN },
    { "dim 64, 5 tokens, 9 heads", 64, 64, 0, 0, 1, 5, 9, BY_ID },
    { "dim 80, 35 tokens, 1 head", 80, 80, 0, 0, 1, 35, 1, BY_ID },
    { "dim 96, 3 rows of 1 token, 5 heads", 96, 96, 0, 0, 3, 1, 5, BY_ID },
    { "dim 256, 2 rows of 3 tokens, 4 heads", 256, 256, 0, 0, 2, 3, 4, BY_ID },
    { "32 of 80", 80, 80, 32, 0, 2, 3, 3, BY_ID },
    { "64 of 192 from 128", 192, 192, 64, 128, 1, 4, 3, BY_ID },
    { "64 of 256 from 96", 256, 256, 64, 96, 1, 4, 2, PLAIN },
    { "40 of 67 from 2", 67, 67, 40, 2, 2, 3, 5, BY_ID },
    { "2 of 9 from 4", 9, 9, 2, 4, 1, 5, 3, PLAIN },
    { "dim 128, inverse", 128, 128, 0, 0, 1, 4, 3, 1, ROPEROT_BOUNDS_ERROR, 1, ROPEROT_INVERSE, 1.0 },
    { "34 of 50 from 10, inverse", 50, 50, 34, 10, 1, 4, 3, 1, ROPEROT_BOUNDS_ERROR, 1, ROPEROT_INVERSE, 1.0 },
    { "dim 128, A 1.2079", 128, 128, 0, 0, 1, 4, 3, 1, ROPEROT_BOUNDS_ERROR, 1, 0, 1.2079 },
    { "dim 62, A 1.2079, pure", 62, 62, 0, 0, 1, 4, 3, 1, ROPEROT_BOUNDS_ERROR, 0, ROPEROT_PURE_ROTATION, 1.2079 },
    { "dim 128 on 3 axes", 128, 128, 0, 0, 2, 3, 3, 3, ROPEROT_BOUNDS_ERROR, 1, 0, 1.0 },
    { "50 of 64 on 4 axes", 64, 64, 50, 8, 1, 4, 3, 4, ROPEROT_BOUNDS_ERROR, 1, ROPEROT_INVERSE, 1.0 },
    { "64 of 96 from 16, outside left alone", 96, 96, 64, 16, 2, 9, 3, 1, ROPEROT_BOUNDS_IDENTITY, 1, 0, 1.0 },
    { "64 of 96 from 16, outside clamped", 96, 96, 64, 16, 2, 9, 3, 1, ROPEROT_BOUNDS_CLAMP, 1, 0, 1.0 },
    { "dim 128, 64 tokens, 8 heads", 128, 128, 0, 0, 1, 64, 8, BY_ID },
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- how it is called -------------------------------------------------------------------------------------------- */

enum { WHOLE, RANGES, HEADS_APART, IN_THREADS, BY_COLUMNS, BY_ROWS, STREAMING, HEADS_OUTER };

typedef struct way {
    const char *name;
    int in_place, how;
    views_layout src, dst;
} way;

static const way ways[] = {
    { NULL, 0, WHOLE, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_HIGH, 0, 0 } },
    { "at the low end", 0, WHOLE, { VIEWS_BSHD, GUARD_LOW, 0, 0 }, { VIEWS_BSHD, GUARD_LOW, 0, 0 } },
    { "other strides", 0, WHOLE, { VIEWS_BHSD, GUARD_HIGH, 3, 0 }, { VIEWS_BSHD, GUARD_HIGH, 5, 0 } },
    { "backwards", 0, WHOLE, { VIEWS_BSHD, GUARD_LOW, 0, 5 }, { VIEWS_BHSD, GUARD_HIGH, 1, 2 } },
    { "in place", 1, WHOLE, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_HIGH, 0, 0 } },
    { "in place, other strides", 1, WHOLE, { VIEWS_BHSD, GUARD_LOW, 1, 0 }, { VIEWS_BHSD, GUARD_LOW, 1, 0 } },
    { "token ranges", 0, RANGES, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_HIGH, 0, 0 } },
    { "token ranges in place", 1, RANGES, { VIEWS_BSHD, GUARD_LOW, 0, 0 }, { VIEWS_BSHD, GUARD_LOW, 0, 0 } },
    { "heads as two tensors", 0, HEADS_APART, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BHSD, GUARD_HIGH, 0, 0 } },
    { "threads", 0, IN_THREADS, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_HIGH, 0, 0 } },
    { "threads in place", 1, IN_THREADS, { VIEWS_BHSD, GUARD_HIGH, 1, 0 }, { VIEWS_BHSD, GUARD_HIGH, 1, 0 } },
    { "kernel by columns", 0, BY_COLUMNS, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_HIGH, 0, 0 } },
    { "kernel by rows", 1, BY_ROWS, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_HIGH, 0, 0 } },
    { "kernel by rows, heads outside",
      0,
      HEADS_OUTER,
      { VIEWS_BHSD, GUARD_LOW, 0, 0 },
      { VIEWS_BHSD, GUARD_LOW, 0, 0 } },
    { "kernel streaming", 0, STREAMING, { VIEWS_BSHD, GUARD_HIGH, 0, 0 }, { VIEWS_BSHD, GUARD_LOW, 0, 0 } },
};
enum { WAYS = sizeof ways / sizeof *ways };

/* One shape under one kernel, at one head_dim. */
typedef struct subject {
    const kernel *kernel;
    const shape *shape;
    int32_t isa, dim, rotary_dim;
    int64_t dims[4];
    size_t elements;
    roperot_plan *plan;
    roperot_positions positions;
    int64_t ids[4 * MOST_LINES];
} subject;

static uint32_t input[MOST_ELEMENTS], plain[MOST_ELEMENTS], output[MOST_ELEMENTS];
static guard_buffer src_memory, dst_memory;

/* The least work that apply shares out is its own business; this is more. */
static int is_large(const shape *s)
{
    return s->tokens >= 64;
}

/* The shapes that sweep over dims leave the ways that know nothing of dims to the others. */
static int is_sweep(const shape *s)
{
    return s->last_dim > s->first_dim;
}

/* A kernel alone sees one axis, the table's own rows and rotated tokens only. */
static int is_simple(const shape *s)
{
    return s->axes == 1 && s->bounds == ROPEROT_BOUNDS_ERROR && !s->flags && !(s->attention_factor > 1.0);
}

static int applies(const way *w, const subject *s)
{
    const kernel *const k = s->kernel;
    if (w->in_place && (k->src != k->dst || k->in != k->out)) return 0;
    if (w->how == IN_THREADS) return is_large(s->shape);
    if (w->how == RANGES) return !is_sweep(s->shape);
    if (w->how == HEADS_APART) return !is_sweep(s->shape) && s->shape->heads > 1;
    return w->how < BY_COLUMNS || is_simple(s->shape);
}

/* ---- calls of apply ---------------------------------------------------------------------------------------------- */

static void apply(const subject *s, const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                  const roperot_options *options)
{
    if (roperot_apply(s->plan, &s->positions, src, dst, count, options)) bits_bail("apply: %s", roperot_last_error());
}

static void apply_whole(const subject *s, const roperot_tensor *src, const roperot_tensor *dst,
                        roperot_options *options)
{
    apply(s, src, dst, 1, s->shape->flags ? options : NULL);
}

static void apply_ranges(const subject *s, const roperot_tensor *src, const roperot_tensor *dst,
                         roperot_options *options)
{
    const int64_t lines = s->shape->batch * s->shape->tokens, cut[4] = { 0, 1, lines / 2 + 1, INT64_MAX };
    for (int i = 2; i >= 0; i--) {
        options->token_begin = cut[i];
        options->token_end = cut[i + 1];
        apply(s, src, dst, 1, options);
    }
}

static roperot_tensor some_heads(const roperot_tensor *view, int64_t first, int64_t count)
{
    roperot_tensor part = *view;
    part.data = (char *)view->data + first * view->stride[2] * (int64_t)format_bytes(view->dtype);
    part.shape[2] = count;
    return part;
}

static void apply_heads_apart(const subject *s, const roperot_tensor *src, const roperot_tensor *dst,
                              roperot_options *options)
{
    const int64_t heads = s->shape->heads, first = heads / 2;
    const roperot_tensor from[2] = { some_heads(src, first, heads - first), some_heads(src, 0, first) };
    const roperot_tensor to[2] = { some_heads(dst, first, heads - first), some_heads(dst, 0, first) };
    apply(s, from, to, 2, options);
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct job {
    void (*task)(void *arg, int64_t index);
    void *arg;
    int64_t index;
#if !defined __wasm__
    pthread_t thread;
#endif
} job;

#if defined __wasm__ /* no threads: one after the other */

static void start(job *j)
{
    j->task(j->arg, j->index);
}

static void join(job *j)
{
    (void)j;
}

#else

static void *run_job(void *arg)
{
    const job *const j = arg;
    j->task(j->arg, j->index);
    return NULL;
}

static void start(job *j)
{
    if (pthread_create(&j->thread, NULL, run_job, j)) bits_bail("no thread");
}

static void join(job *j)
{
    pthread_join(j->thread, NULL);
}

#endif

/* Every task in a thread of its own, all at once. */
static void in_threads(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    job jobs[THREADS];
    if (tasks > THREADS) bits_bail("%lld tasks for %d threads", (long long)tasks, THREADS);
    for (int64_t i = 0; i < tasks; i++) {
        jobs[i] = (job){ .task = task, .arg = arg, .index = i };
        start(&jobs[i]);
    }
    for (int64_t i = 0; i < tasks; i++) join(&jobs[i]);
    *(int64_t *)ctx += tasks;
}

static void apply_in_threads(const subject *s, const roperot_tensor *src, const roperot_tensor *dst,
                             roperot_options *options)
{
    int64_t tasks = 0;
    options->parallel_for = in_threads;
    options->ctx = &tasks;
    options->threads = THREADS;
    apply(s, src, dst, 1, options);
    if (tasks < 2) bits_bail("%lld tasks: the call was not shared out", (long long)tasks);
}

/* ---- calls of a kernel ------------------------------------------------------------------------------------------- */

static int64_t position_of(const subject *s, int64_t b, int64_t t)
{
    return s->shape->random ? s->ids[b * s->shape->tokens + t] : s->positions.offset + t;
}

static void call_kernel(const subject *s, const roperot_tensor *src, const roperot_tensor *dst, int how)
{
    const kernel *const k = s->kernel;
    const int64_t src_size = (int64_t)format_bytes(k->src), dst_size = (int64_t)format_bytes(k->dst),
                  pairs = s->rotary_dim / 2;
    roperot_token tokens[MOST_LINES];
    const roperot_tile tile = { .token = tokens,
                                .tokens = s->shape->tokens,
                                .heads = s->shape->heads,
                                .pairs = pairs,
                                .src_head = src->stride[2] * src_size,
                                .dst_head = dst->stride[2] * dst_size,
                                .src_first = s->shape->offset,
                                .dst_first = s->shape->offset,
                                .src_half = pairs,
                                .dst_half = pairs,
                                .loop = how == BY_COLUMNS  ? ROPEROT_LOOP_COLUMNS
                                        : how == STREAMING ? ROPEROT_LOOP_STREAM
                                                           : ROPEROT_LOOP_LINEAR,
                                .heads_outer = how == HEADS_OUTER };
    const roperot_kernels *const table = roperot_kernels_for(s->isa);
    for (int64_t b = 0; b < s->shape->batch; b++) {
        for (int64_t t = 0; t < s->shape->tokens; t++) {
            const roperot_row row = tables_literal_row(position_of(s, b, t));
            tokens[t] = (roperot_token){ row.cos, row.sin,
                                         (const char *)src->data + (b * src->stride[0] + t * src->stride[1]) * src_size,
                                         (char *)dst->data + (b * dst->stride[0] + t * dst->stride[1]) * dst_size };
        }
        table->rotate[k->src - 1][k->dst - 1][k->in - 1][k->out - 1](&tile);
    }
}

/* A kernel leaves the channels beside the rotated ones alone: the plain run's stand in for them. */
static void restore_passed(const subject *s)
{
    for (size_t i = 0; i < s->elements; i++) {
        const int32_t channel = (int32_t)(i % (size_t)s->dim) - s->shape->offset;
        if (channel < 0 || channel >= s->rotary_dim) output[i] = plain[i];
    }
}

/* ---- one hash ---------------------------------------------------------------------------------------------------- */

static void call(const subject *s, const way *w, const roperot_tensor *src, const roperot_tensor *dst)
{
    roperot_options options = ROPEROT_OPTIONS_INIT;
    options.flags = s->shape->flags;
    switch (w->how) {
    case WHOLE: apply_whole(s, src, w->in_place ? NULL : dst, &options); break;
    case RANGES: apply_ranges(s, src, w->in_place ? NULL : dst, &options); break;
    case HEADS_APART: apply_heads_apart(s, src, dst, &options); break;
    case IN_THREADS: apply_in_threads(s, src, w->in_place ? NULL : dst, &options); break;
    default: call_kernel(s, src, dst, w->how);
    }
}

/* Channels that pass through in one dtype keep their bytes, NaN or not. */
static uint64_t hash_output(const subject *s, uint64_t hash)
{
    const int32_t dtype = s->kernel->dst, same = s->kernel->src == dtype;
    for (size_t i = 0; i < s->elements; i++) {
        const int32_t channel = (int32_t)(i % (size_t)s->dim) - s->shape->offset;
        const int passed = channel < 0 || channel >= s->rotary_dim;
        if (passed && same)
            hash = bits_hash(hash, output[i], (int)format_bytes(dtype));
        else
            hash = bits_hash_element(hash, dtype, output[i]);
    }
    return hash;
}

static uint64_t run(const subject *s, const way *w, uint64_t hash)
{
    const roperot_tensor src = views_place(&src_memory, w->src, s->kernel->src, s->dims);
    const roperot_tensor dst = w->in_place ? src : views_place(&dst_memory, w->dst, s->kernel->dst, s->dims);
    views_fill(&src, input);
    call(s, w, &src, &dst);
    views_take(&dst, output);
    if (!w->in_place) views_take(&src, input);
    if (w->how >= BY_COLUMNS) restore_passed(s);
    if (!w->name) memcpy(plain, output, s->elements * sizeof *output);
    return hash_output(s, hash);
}

static void set_positions(subject *s)
{
    const shape *const h = s->shape;
    const int64_t lines = h->batch * h->tokens;
    uint64_t stream = random_stream(1, (uint64_t)s->dim, (uint64_t)lines);
    s->positions = roperot_positions_offset(17);
    if (!h->random) return;
    const int64_t outside = h->bounds == ROPEROT_BOUNDS_ERROR ? 0 : 16;
    for (int64_t i = 0; i < h->axes * lines; i++)
        s->ids[i] = (int64_t)(random_next(&stream) % (uint64_t)(TABLES_ROWS + 2 * outside)) - outside;
    s->positions = roperot_positions_i64(s->ids, h->tokens);
    s->positions.axes = h->axes;
    s->positions.axis_stride = lines;
}

static void open_plan(subject *s)
{
    uint8_t axis[TABLES_PAIRS];
    const roperot_table table = tables_literal();
    roperot_config config = ROPEROT_CONFIG_INIT;
    for (int32_t j = 0; j < s->rotary_dim / 2; j++) axis[j] = (uint8_t)(j * 7 / 3 % s->shape->axes);
    config.head_dim = s->dim;
    config.rotary_dim = s->rotary_dim;
    config.rotary_offset = s->shape->offset;
    const int back = (s->shape->flags & ROPEROT_INVERSE) != 0; /* reads what a rotation writes */
    config.pairing = back ? s->kernel->out : s->kernel->in;
    config.pairing_out = back ? s->kernel->in : s->kernel->out;
    config.attention_factor = s->shape->attention_factor;
    config.bounds = s->shape->bounds;
    config.table = &table;
    config.isa = s->isa;
    config.axes = s->shape->axes;
    if (config.axes > 1) config.axis = axis, config.pairs = s->rotary_dim / 2;
    if (roperot_plan_create(&config, &s->plan)) bits_bail("plan: %s", roperot_last_error());
}

static void open_subject(subject *s, int32_t isa, const kernel *k, const shape *h, int32_t dim)
{
    s->kernel = k;
    s->shape = h;
    s->isa = isa;
    s->dim = dim;
    s->rotary_dim = h->rotary_dim ? h->rotary_dim : dim;
    const int64_t dims[4] = { h->batch, h->tokens, h->heads, dim };
    memcpy(s->dims, dims, sizeof dims);
    s->elements = (size_t)(h->batch * h->tokens * h->heads * dim);
    if (s->elements > MOST_ELEMENTS || h->batch * h->tokens > MOST_LINES) bits_bail("%s is too large", h->name);
    uint64_t stream = random_stream(2, (uint64_t)s->elements, (uint64_t)k->src);
    for (size_t i = 0; i < s->elements; i++) input[i] = bits_element(k->src, &stream);
    set_positions(s);
    open_plan(s);
}

static void each_way(int32_t isa, const kernel *k, const shape *h, hashes_emit_fn *emit, void *ctx)
{
    char name[96];
    uint64_t hash[WAYS];
    subject s;
    snprintf(name, sizeof name, "%s, %s", k->name, h->name);
    for (int w = 0; w < WAYS; w++) hash[w] = BITS_HASH_START;
    for (int32_t dim = h->first_dim; dim <= h->last_dim; dim += 2) {
        open_subject(&s, isa, k, h, dim);
        for (int w = 0; w < WAYS; w++)
            if (applies(&ways[w], &s)) hash[w] = run(&s, &ways[w], hash[w]);
        roperot_plan_destroy(s.plan);
    }
    for (int w = 0; w < WAYS; w++)
        if (applies(&ways[w], &s)) emit(ctx, name, ways[w].name, hash[w]);
    if (!views_clean(&src_memory) || !views_clean(&dst_memory))
        bits_bail("%s: bytes beside the view were written", name);
}

void hashes_rotations(int32_t isa, hashes_emit_fn *emit, void *ctx)
{
    src_memory = views_open(MEMORY);
    dst_memory = views_open(MEMORY);
    for (int k = 0; k < KERNELS; k++)
        for (int h = 0; h < SHAPES; h++) each_way(isa, &kernels[k], &shapes[h], emit, ctx);
    guard_buffer_close(&src_memory);
    guard_buffer_close(&dst_memory);
    tables_each(isa, emit, ctx);
}
