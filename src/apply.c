/* SPDX-License-Identifier: MIT
 * The verb: checks everything, then walks tiles of tokens; it must not know any ISA, cache kind or scaling rule. */
#include <stdatomic.h>
#include <string.h>

#include "cache.h"
#include "convert.h"
#include "plan.h"
#include "positions.h"
#include "rows.h"
#include "status.h"
#include "tensor.h"

static const roperot_options default_options = ROPEROT_OPTIONS_INIT;
enum { KNOWN_FLAGS = ROPEROT_INVERSE | ROPEROT_PURE_ROTATION | ROPEROT_SIGNED_POSITIONS };

/* A task of less than this is not worth waking a thread for. */
enum { TASK_BYTES = 128 << 10, LINE = 64 };

/* A checked call. Lines are tokens across the batch: line i is token i % tokens of row i / tokens. */
typedef struct call {
    const roperot_plan *plan;
    const roperot_tensor *src, *dst; /* equal in place */
    int32_t count;
    int loop;
    int64_t tokens, begin, end;
    int64_t bytes;                   /* read plus written */
    roperot_row_source rows;
} call;

/* ---- checks ------------------------------------------------------------------------------------------------------------ */

static int32_t check_options(const roperot_options *o)
{
    if (o == &default_options) return ROPEROT_OK;
    if (roperot_check_size(o, sizeof *o, sizeof *o, "options")) return ROPEROT_ERROR_VERSION;
    if (o->reserved) return roperot_fail(ROPEROT_ERROR_VERSION, "options.reserved is %d; it must be 0", o->reserved);
    if (o->flags & ~(uint32_t)KNOWN_FLAGS)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "options.flags is %#x; only 1 (inverse), 2 (pure rotation) and 4 (signed positions) "
                            "are known", (unsigned)o->flags);
    if (o->token_begin < 0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "options.token_begin is %lld; it must be at least 0", (long long)o->token_begin);
    if (o->threads < 0) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "options.threads is %d; it must be at least 0", o->threads);
    return ROPEROT_OK;
}

static int meet(const roperot_hull *a, const roperot_hull *b)
{
    return a->begin < b->end && b->begin < a->end;
}

static int32_t alias(const char *a, int32_t i, const char *b, int32_t j)
{
    return roperot_fail(ROPEROT_ERROR_ALIAS, "%s[%d] and %s[%d] overlap, and one of them is written; they must be apart, the same view, or "
                        "separate slots of one row", a, i, b, j);
}

/* Written view i against every view of the call before it and against every source. */
static int32_t check_aliases(const call *c, int32_t i, const roperot_hull *hull_i)
{
    const int out = c->dst != c->src;
    for (int32_t j = 0; j < c->count; j++) {
        roperot_hull hull;
        if (j < i) {
            if (roperot_tensor_check(&c->dst[j], c->plan->head_dim, "dst", j, &hull)) return ROPEROT_ERROR_SHAPE;
            if (meet(hull_i, &hull) && !roperot_tensor_apart(&c->dst[i], &c->dst[j]))
                return alias(out ? "dst" : "src", i, out ? "dst" : "src", j);
        }
        if (!out || (i == j && roperot_tensor_same(&c->src[i], &c->dst[i]))) continue;
        if (roperot_tensor_check(&c->src[j], c->plan->head_dim, "src", j, &hull)) return ROPEROT_ERROR_SHAPE;
        if (meet(hull_i, &hull) && !roperot_tensor_apart(&c->dst[i], &c->src[j])) return alias("dst", i, "src", j);
    }
    return ROPEROT_OK;
}

static int32_t check_pair(const call *c, int32_t i)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    for (int axis = 0; axis < 3; axis++)
        if (src->shape[axis] != dst->shape[axis])
            return roperot_fail(ROPEROT_ERROR_SHAPE, "dst[%d].shape[%d] is %lld; it must be src's, %lld", i, axis,
                                (long long)dst->shape[axis], (long long)src->shape[axis]);
    if (!c->plan->rotate[src->dtype - 1][dst->dtype - 1])
        return roperot_fail(ROPEROT_ERROR_DTYPE, "dst[%d].dtype is %d and src's is %d; they must be the same, or one of them f32 with "
                            "pairing_out = pairing", i, dst->dtype, src->dtype);
    return ROPEROT_OK;
}

static int32_t check_tensor(call *c, int32_t i)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    const int out = c->dst != c->src;
    roperot_hull hull;
    int32_t status = roperot_tensor_check(src, c->plan->head_dim, "src", i, &hull);
    if (status) return status;
    if (src->shape[0] != c->src->shape[0] || src->shape[1] != c->src->shape[1])
        return roperot_fail(ROPEROT_ERROR_SHAPE, "src[%d] has batch %lld and %lld tokens; src[0] has %lld and %lld", i,
                            (long long)src->shape[0], (long long)src->shape[1], (long long)c->src->shape[0], (long long)c->src->shape[1]);
    if (out) {
        status = roperot_tensor_check(dst, c->plan->head_dim, "dst", i, &hull);
        if (!status) status = check_pair(c, i);
        if (status) return status;
    }
    if (hull.begin == hull.end) return ROPEROT_OK;
    if (c->plan->pairing_out != c->plan->pairing && (!out || roperot_tensor_same(src, dst)))
        return roperot_fail(ROPEROT_ERROR_ALIAS, "src[%d] is rotated in place; pairing_out %d, other than pairing %d, needs another dst", i,
                            c->plan->pairing_out, c->plan->pairing);
    status = roperot_tensor_check_written(dst, out ? "dst" : "src", i);
    if (!status && (c->count > 1 || out)) status = check_aliases(c, i, &hull);
    if (!status)
        c->bytes += (hull.end - hull.begin > INT64_MAX / 4 ? INT64_MAX / 4 : 0) +
                    src->shape[2] * c->plan->head_dim * (roperot_dtype_size(src->dtype) + roperot_dtype_size(dst->dtype));
    return status;
}

static int32_t check_tensors(call *c)
{
    c->bytes = 0;
    for (int32_t i = 0; i < c->count; i++) {
        const int32_t status = check_tensor(c, i);
        if (status) return status;
    }
    return ROPEROT_OK;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------------ */

/* Lines b * tokens + t .. of one batch row, or (`across`, one token per row) of many. */
typedef struct tile_place {
    int64_t b, t;
    int across, count;
} tile_place;

static const char *at(const roperot_tensor *tensor, int64_t b, int64_t t, int64_t channel)
{
    const int64_t element = b * tensor->stride[0] + t * tensor->stride[1] + channel;
    return (const char *)tensor->data + element * roperot_dtype_size(tensor->dtype);
}

/* Channels [first, first + n) of all heads of one token. */
static void pass(const roperot_tensor *src, const roperot_tensor *dst, int64_t b, int64_t t, int64_t first, int64_t n)
{
    const int64_t src_step = src->stride[2] * roperot_dtype_size(src->dtype), dst_step = dst->stride[2] * roperot_dtype_size(dst->dtype);
    const char *from = at(src, b, t, first);
    char *to = (char *)(uintptr_t)at(dst, b, t, first);
    for (int64_t head = 0; head < src->shape[2]; head++)
        roperot_convert(from + head * src_step, src->dtype, 1, to + head * dst_step, dst->dtype, 1, n);
}

/* The rotated channels of a token that IDENTITY leaves alone: re-paired or converted only. */
static void leave_alone(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst, int64_t b, int64_t t,
                        int32_t first, int32_t n)
{
    const int64_t src_size = roperot_dtype_size(src->dtype), dst_size = roperot_dtype_size(dst->dtype);
    const int in_half = plan->pairing == ROPEROT_PAIR_HALF, out_half = plan->pairing_out == ROPEROT_PAIR_HALF;
    for (int64_t head = 0; head < src->shape[2]; head++)
        for (int second = 0; second < 2; second++) {
            const int64_t from = plan->rotary_offset + (in_half ? first + second * plan->pairs : 2 * (int64_t)first + second);
            const int64_t to = plan->rotary_offset + (out_half ? first + second * plan->pairs : 2 * (int64_t)first + second);
            roperot_convert(at(src, b, t, from) + head * src->stride[2] * src_size, src->dtype, in_half ? 1 : 2,
                            (char *)(uintptr_t)at(dst, b, t, to) + head * dst->stride[2] * dst_size, dst->dtype,
                            out_half ? 1 : 2, n);
        }
}

/* `count` tokens from `from` of a place, none of them left alone. */
static void rotate(const call *c, const tile_place *place, int from, int count, const roperot_row *rows, int32_t first, int32_t n,
                   const roperot_tensor *src, const roperot_tensor *dst)
{
    const roperot_plan *const plan = c->plan;
    const int64_t b = place->b + (place->across ? from : 0), t = place->t + (place->across ? 0 : from);
    const int64_t src_size = roperot_dtype_size(src->dtype), dst_size = roperot_dtype_size(dst->dtype);
    const int walk = place->across ? 0 : 1; /* the axis of the tile's tokens */
    const int64_t src_token = count > 1 ? src->stride[walk] : 0, src_head = src->shape[2] > 1 ? src->stride[2] : 0;
    const int64_t dst_token = count > 1 ? dst->stride[walk] : 0, dst_head = dst->shape[2] > 1 ? dst->stride[2] : 0;
    const roperot_tile tile = {
        .src = at(src, b, t, plan->rotary_offset + (int64_t)first * plan->pairing),
        .dst = (char *)(uintptr_t)at(dst, b, t, plan->rotary_offset + (int64_t)first * plan->pairing_out),
        .src_token = src_token * src_size, .src_head = src_head * src_size,
        .dst_token = dst_token * dst_size, .dst_head = dst_head * dst_size,
        .src_half = plan->pairs, .dst_half = plan->pairs,
        .tokens = count, .heads = src->shape[2], .pairs = n,
        .rows = rows + from, .loop = c->loop,
        .heads_outer = count > 1 && (dst_token < 0 ? -dst_token : dst_token) < (dst_head < 0 ? -dst_head : dst_head),
    };
    plan->rotate[src->dtype - 1][dst->dtype - 1](&tile);
}

static void rotate_tensor(const call *c, const tile_place *place, const roperot_row *rows, int32_t first, int32_t n, int32_t i)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    const int moves = c->dst != c->src && !roperot_tensor_same(src, dst);
    if (src->shape[2] == 0) return;
    for (int from = 0, to; from < place->count; from = to) {
        const int alone = rows[from].cos == NULL;
        for (to = from + 1; to < place->count && (rows[to].cos == NULL) == alone; to++) {}
        if (!alone) rotate(c, place, from, to - from, rows, first, n, src, dst);
        for (int k = from; alone && moves && k < to; k++)
            leave_alone(c->plan, src, dst, place->b + (place->across ? k : 0), place->t + (place->across ? 0 : k), first, n);
    }
}

/* Out of place, the channels on both sides of the rotated ones. */
static void pass_tensor(const call *c, const tile_place *place, int32_t i)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    const int64_t before = c->plan->rotary_offset, after = before + c->plan->rotary_dim, dim = c->plan->head_dim;
    if (before + c->plan->rotary_dim == dim && before == 0) return;
    if (src->shape[2] == 0 || roperot_tensor_same(src, dst)) return;
    for (int k = 0; k < place->count; k++) {
        const int64_t b = place->b + (place->across ? k : 0), t = place->t + (place->across ? 0 : k);
        if (before > 0) pass(src, dst, b, t, 0, before);
        if (after < dim) pass(src, dst, b, t, after, dim - after);
    }
}

static void run_tile(const call *c, const tile_place *place, float *scratch)
{
    roperot_row rows[ROPEROT_TILE_TOKENS];
    for (int32_t first = 0; first < c->plan->pairs; first += c->rows.block_pairs) {
        const int32_t left = c->plan->pairs - first, n = left < c->rows.block_pairs ? left : c->rows.block_pairs;
        roperot_rows_make(&c->rows, place->b, place->t, place->across, place->count, first, n, scratch, rows);
        for (int32_t i = 0; i < c->count; i++) rotate_tensor(c, place, rows, first, n, i);
    }
    for (int32_t i = 0; i < c->count && c->dst != c->src; i++) pass_tensor(c, place, i);
}

/* Lines [begin, end). */
static void run(const call *c, int64_t begin, int64_t end)
{
    float scratch[ROPEROT_SCRATCH_FLOATS];
    const int64_t tokens = c->tokens, most = c->rows.tile_tokens;
    tile_place place = { .b = begin, .t = 0, .across = tokens == 1, .count = 0 };
    if (tokens > 1) place.b = begin / tokens, place.t = begin % tokens;
    while (begin < end) {
        int64_t n = end - begin < most ? end - begin : most;
        if (tokens > 1 && n > tokens - place.t) n = tokens - place.t;
        place.count = (int)n;
        run_tile(c, &place, scratch);
        begin += n;
        if (tokens == 1) place.b += n;
        else if ((place.t += n) == tokens) place.t = 0, place.b++;
    }
}

/* ---- threads ---------------------------------------------------------------------------------------------------------- */

typedef struct split {
    const call *c;
    int64_t chunk;
} split;

static void run_task(void *arg, int64_t index)
{
    const split *const s = arg;
    const int64_t begin = s->c->begin + index * s->chunk, left = s->c->end - begin;
    run(s->c, begin, begin + (left < s->chunk ? left : s->chunk));
}

/* Lines after which every written row starts at the same place of a cache line again; 1 .. 32. */
static int64_t line_period(const call *c)
{
    int64_t period = 1;
    for (int32_t i = 0; i < c->count; i++) {
        const int64_t stride = c->dst[i].stride[c->tokens == 1 ? 0 : 1];
        while (period < LINE && stride * period * roperot_dtype_size(c->dst[i].dtype) % LINE) period *= 2;
    }
    return period;
}

static void run_all(const call *c, const roperot_options *o)
{
    int64_t tasks = c->bytes / TASK_BYTES;
    if (tasks > o->threads) tasks = o->threads;
    if (!o->parallel_for || tasks <= 1) {
        run(c, c->begin, c->end);
        return;
    }
    const int64_t lines = c->end - c->begin, period = line_period(c);
    split s = { c, (lines + tasks - 1) / tasks };
    s.chunk = (s.chunk + period - 1) / period * period;
    o->parallel_for(o->ctx, (lines + s.chunk - 1) / s.chunk, run_task, &s);
}

/* ---- the verb --------------------------------------------------------------------------------------------------------- */

static int32_t check_arguments(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                               int32_t count)
{
    if (!plan) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL");
    if (!positions) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions is NULL");
    if (count < 0) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "count is %d; it must be at least 0", count);
    if (count > 0 && !src) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "src is NULL; count is %d", count);
    return roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions");
}

static int choose_loop(const call *c)
{
    const int64_t bytes = c->dst == c->src ? c->bytes / 2 : c->bytes;
    if (bytes <= c->plan->near_bytes) return ROPEROT_LOOP_COLUMNS;
    return c->dst != c->src && bytes > c->plan->far_bytes ? ROPEROT_LOOP_STREAM : ROPEROT_LOOP_ROWS;
}

int32_t roperot_apply(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                      const roperot_tensor *dst, int32_t count, const roperot_options *options)
{
    const roperot_options *const o = options ? options : &default_options;
    int32_t status = check_arguments(plan, positions, src, count);
    if (!status) status = check_options(o);
    if (status || count == 0) return status;
    call c = { .plan = plan, .src = src, .dst = dst ? dst : src, .count = count };
    status = check_tensors(&c);
    if (status || c.bytes == 0) return status;
    c.tokens = src->shape[1];
    c.begin = o->token_begin;
    c.end = roperot_saturating_mul(src->shape[0], src->shape[1]);
    if (c.end > o->token_end) c.end = o->token_end;
    if (c.begin >= c.end) return ROPEROT_OK;
    status = roperot_positions_check(plan, positions, o->flags, src->shape[0], c.tokens, c.begin, c.end);
    if (status) return status;
    c.bytes = roperot_saturating_mul(c.bytes, c.end - c.begin);
    c.loop = choose_loop(&c);
    roperot_row_source_init(&c.rows, plan, positions, o->flags);
    run_all(&c, o);
    return ROPEROT_OK;
}
