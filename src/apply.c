/* SPDX-License-Identifier: MIT
 * The verb: checks everything, then walks tiles of tokens; it must not know any ISA, cache kind or scaling rule. */
#include "compiler.h"
#include "convert.h"
#include "lists.h"
#include "numbers.h"
#include "plan.h"
#include "positions.h"
#include "rows.h"
#include "status.h"
#include "tensor.h"

static const roperot_options default_options = ROPEROT_OPTIONS_INIT;
enum { KNOWN_FLAGS = ROPEROT_INVERSE | ROPEROT_PURE_ROTATION | ROPEROT_SIGNED_POSITIONS };

/* A task of less than this is not worth waking a thread for. */
enum { TASK_BYTES = 128 << 10, LINE = 64 };

/* Hulls of the first few views stay at hand; more views than this are rare. */
enum { KEPT = 4 };

/* One tensor of a call as the tiles want it: channel rotary_offset of element [0, 0, 0], strides in bytes. */
typedef struct operand {
    const char *src;
    char *dst;
    int64_t src_batch, src_token, src_head, dst_batch, dst_token, dst_head, heads;
    roperot_rotate_fn *rotate;
    const roperot_tensor *src_view, *dst_view;
    int32_t src_size, dst_size;
    int loop;
} operand;

/* A checked call. Lines are tokens across the batch: line i is token i % tokens of row i / tokens. */
typedef struct call {
    const roperot_plan *plan;
    const roperot_tensor *src, *dst; /* equal in place */
    int32_t count, operands;
    int32_t moved;   /* views that are not rotated in place */
    int32_t in, out; /* pairings: the plan's, or for the transpose the other way round */
    int loop;
    int64_t tokens, begin, end;
    int64_t bytes; /* read plus written */
    roperot_row_source rows;
    roperot_hull src_hull[KEPT], dst_hull[KEPT];
    operand operand[KEPT]; /* of the views that are being rotated */
} call;

/* ---- checks ------------------------------------------------------------------------------------------------------ */

static int32_t check_options(const roperot_options *o)
{
    if (o == &default_options) return ROPEROT_OK;
    if (roperot_check_size(o, sizeof *o, sizeof *o, "options")) return ROPEROT_ERROR_VERSION;
    if (o->reserved) return roperot_fail(ROPEROT_ERROR_VERSION, "options.reserved is %d; it must be 0", o->reserved);
    if (o->flags & ~(uint32_t)KNOWN_FLAGS)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "options.flags is %#x; only 1 (inverse), 2 (pure rotation) and 4 (signed positions) "
                            "are known",
                            (unsigned)o->flags);
    if (o->token_begin < 0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "options.token_begin is %lld; it must be at least 0",
                            (long long)o->token_begin);
    if (o->threads < 0)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "options.threads is %d; it must be at least 0", o->threads);
    return ROPEROT_OK;
}

static int meet(const roperot_hull *a, const roperot_hull *b)
{
    return a->begin < b->end && b->begin < a->end;
}

static int32_t alias(const char *a, int32_t i, const char *b, int32_t j)
{
    return roperot_fail(ROPEROT_ERROR_ALIAS,
                        "%s[%d] and %s[%d] overlap, and one of them is written; they must be apart, the same view, or "
                        "separate slots of one row",
                        a, i, b, j);
}

/* The hull of a view that was checked before: kept for the first few, found again for the others. */
static roperot_hull hull_of(const call *c, const roperot_tensor *views, const roperot_hull *kept, int32_t i)
{
    roperot_hull hull;
    if (i < KEPT) return kept[i];
    roperot_tensor_check(&views[i], c->plan->head_dim, 0, "src", i, &hull);
    return hull;
}

/* Written view i against the written ones before it and every source. */
static int32_t check_aliases(const call *c, int32_t i)
{
    const int out = c->dst != c->src;
    const roperot_hull own = hull_of(c, c->dst, c->dst_hull, i);
    for (int32_t j = 0; j < i; j++) {
        const roperot_hull other = hull_of(c, c->dst, c->dst_hull, j);
        if (meet(&own, &other) && !roperot_tensor_apart(&c->dst[i], &c->dst[j]))
            return alias(out ? "dst" : "src", i, out ? "dst" : "src", j);
    }
    for (int32_t j = 0; out && j < c->count; j++) {
        const roperot_hull other = hull_of(c, c->src, c->src_hull, j);
        if (!meet(&own, &other) || (i == j && roperot_tensor_same(&c->src[i], &c->dst[i]))) continue;
        if (!roperot_tensor_apart(&c->dst[i], &c->src[j])) return alias("dst", i, "src", j);
    }
    return ROPEROT_OK;
}

/* dst[i] by itself and as what src[i] becomes. Shapes come first: a view of another one may seem to overlap itself. */
static int32_t check_dst(const call *c, int32_t i, roperot_hull *hull)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    for (int axis = 0; axis < 3; axis++)
        if (dst->shape[axis] >= 0 && src->shape[axis] != dst->shape[axis])
            return roperot_fail(ROPEROT_ERROR_SHAPE, "dst[%d].shape[%d] is %lld; it must be src's, %lld", i, axis,
                                (long long)dst->shape[axis], (long long)src->shape[axis]);
    const int32_t status = roperot_tensor_check(dst, c->plan->head_dim, 1, "dst", i, hull);
    if (status) return status;
    if (!c->plan->rotate[roperot_dtype_index(src->dtype)][roperot_dtype_index(dst->dtype)])
        return roperot_fail(ROPEROT_ERROR_DTYPE,
                            "dst[%d].dtype is %d and src's is %d; they must be the same, or one of them f32 with "
                            "pairing_out = pairing",
                            i, dst->dtype, src->dtype);
    return ROPEROT_OK;
}

static int32_t other_lines(const call *c, int32_t i)
{
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "src[%d] has batch %lld and %lld tokens; they must be those of src[0], %lld and %lld", i,
                        (long long)c->src[i].shape[0], (long long)c->src[i].shape[1], (long long)c->src[0].shape[0],
                        (long long)c->src[0].shape[1]);
}

static int32_t other_pairing(const call *c, int32_t i)
{
    return roperot_fail(ROPEROT_ERROR_ALIAS,
                        "src[%d] is rotated in place; pairing_out %d, other than pairing %d, needs another dst", i,
                        c->plan->pairing_out, c->plan->pairing);
}

/* View i by itself; adds to the bytes of a line. */
static int32_t check_tensor(call *c, int32_t i)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    const int out = c->dst != c->src;
    roperot_hull hull;
    if ((src->shape[0] | src->shape[1]) >= 0 &&
        (src->shape[0] != c->src->shape[0] || src->shape[1] != c->src->shape[1]))
        return other_lines(c, i);
    int32_t status = roperot_tensor_check(src, c->plan->head_dim, !out, "src", i, &hull);
    if (status) return status;
    if (i < KEPT) c->src_hull[i] = c->dst_hull[i] = hull;
    if (out) {
        status = check_dst(c, i, &hull);
        if (status) return status;
        if (i < KEPT) c->dst_hull[i] = hull;
    }
    if (hull.begin == hull.end) return ROPEROT_OK;
    const int stays = !out || roperot_tensor_same(src, dst);
    if (stays && c->plan->pairing_out != c->plan->pairing) return other_pairing(c, i);
    c->moved += !stays;
    const int64_t width = roperot_dtype_size(src->dtype) + roperot_dtype_size(dst->dtype);
    c->bytes = roperot_saturating_add(c->bytes, roperot_saturating_mul(src->shape[2] * width, c->plan->head_dim));
    return ROPEROT_OK;
}

static int32_t check_tensors(call *c)
{
    for (int32_t i = 0; i < c->count; i++) {
        const int32_t status = check_tensor(c, i);
        if (status) return status;
    }
    if (c->count == 1 && c->dst == c->src) return ROPEROT_OK;
    for (int32_t i = 0; i < c->count; i++) {
        const int32_t status = check_aliases(c, i);
        if (status) return status;
    }
    return ROPEROT_OK;
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* In bytes. The stride of an axis of size 1 is anybody's, and may not even fit: it meets index 0 only. */
static int64_t byte_stride(const roperot_tensor *t, int axis, int64_t size)
{
    return t->shape[axis] == 1 ? 0 : t->stride[axis] * size;
}

static void set_operand(const call *c, operand *o, int32_t i)
{
    const roperot_tensor *const src = &c->src[i], *const dst = &c->dst[i];
    const int64_t src_size = roperot_dtype_size(src->dtype), dst_size = roperot_dtype_size(dst->dtype);
    o->src_view = src;
    o->dst_view = dst;
    o->src_size = (int32_t)src_size;
    o->dst_size = (int32_t)dst_size;
    o->src = (const char *)src->data + c->plan->rotary_offset * src_size;
    o->dst = (char *)dst->data + c->plan->rotary_offset * dst_size;
    o->src_batch = byte_stride(src, 0, src_size);
    o->src_token = byte_stride(src, 1, src_size);
    o->src_head = byte_stride(src, 2, src_size);
    o->dst_batch = byte_stride(dst, 0, dst_size);
    o->dst_token = byte_stride(dst, 1, dst_size);
    o->dst_head = byte_stride(dst, 2, dst_size);
    o->heads = src->shape[2];
    o->rotate = (c->in == c->plan->pairing
                     ? c->plan->rotate
                     : c->plan->rotate_back)[roperot_dtype_index(src->dtype)][roperot_dtype_index(dst->dtype)];
    o->loop = c->loop == ROPEROT_LOOP_STREAM && roperot_tensor_same(src, dst) ? ROPEROT_LOOP_LINEAR : c->loop;
}

/* Lines (b, t), (b, t + 1) .. of one batch row, or (`across`, one token per row) (b, 0), (b + 1, 0) .. */
typedef struct tile_place {
    int64_t b, t;
    int across, count;
} tile_place;

/* Channels [first, first + n) of the rotated ones' neighbours, of all heads of one token. */
static void pass(const operand *o, int64_t b, int64_t t, int64_t first, int64_t n)
{
    const char *src = o->src + b * o->src_batch + t * o->src_token + first * o->src_size;
    char *dst = o->dst + b * o->dst_batch + t * o->dst_token + first * o->dst_size;
    for (int64_t head = 0; head < o->heads; head++)
        roperot_convert(src + head * o->src_head, o->src_view->dtype, 1, dst + head * o->dst_head, o->dst_view->dtype,
                        1, n);
}

/* The rotated channels of a token that IDENTITY leaves alone: re-paired or converted only. */
static void leave_alone(const call *c, const operand *o, int64_t b, int64_t t, int32_t first, int32_t n)
{
    const int in_half = c->in == ROPEROT_PAIR_HALF, out_half = c->out == ROPEROT_PAIR_HALF;
    const int32_t pairs = c->plan->pairs;
    const char *const src = o->src + b * o->src_batch + t * o->src_token;
    char *const dst = o->dst + b * o->dst_batch + t * o->dst_token;
    for (int64_t head = 0; head < o->heads; head++)
        for (int second = 0; second < 2; second++) {
            const int64_t from = in_half ? first + second * pairs : 2 * (int64_t)first + second;
            const int64_t to = out_half ? first + second * pairs : 2 * (int64_t)first + second;
            roperot_convert(src + head * o->src_head + from * o->src_size, o->src_view->dtype, in_half ? 1 : 2,
                            dst + head * o->dst_head + to * o->dst_size, o->dst_view->dtype, out_half ? 1 : 2, n);
        }
}

/* `count` tokens from the one at (b, t) on, none of them left alone. */
static inline void rotate(const call *c, const operand *o, int64_t b, int64_t t, int across, int count,
                          const roperot_row *rows, int32_t first, int32_t n)
{
    const roperot_plan *const plan = c->plan;
    const int64_t src_token = count == 1 ? 0 : across ? o->src_batch : o->src_token;
    const int64_t dst_token = count == 1 ? 0 : across ? o->dst_batch : o->dst_token;
    roperot_tile tile;
    tile.src = o->src + b * o->src_batch + t * o->src_token + (int64_t)first * c->in * o->src_size;
    tile.dst = o->dst + b * o->dst_batch + t * o->dst_token + (int64_t)first * c->out * o->dst_size;
    tile.src_token = src_token;
    tile.src_head = o->src_head;
    tile.dst_token = dst_token;
    tile.dst_head = o->dst_head;
    tile.src_half = tile.dst_half = plan->pairs;
    tile.tokens = count;
    tile.heads = o->heads;
    tile.pairs = n;
    tile.rows = rows;
    tile.loop = o->loop;
    tile.heads_outer = count != 1 && roperot_magnitude(dst_token) < roperot_magnitude(tile.dst_head);
    o->rotate(&tile);
}

/* Runs of tokens that are rotated and of tokens that are left alone. */
static void rotate_runs(const call *c, const operand *o, const tile_place *place, const roperot_row *rows,
                        int32_t first, int32_t n)
{
    const int moves = c->dst != c->src && !roperot_tensor_same(o->src_view, o->dst_view);
    for (int from = 0, to; from < place->count; from = to) {
        const int alone = rows[from].cos == NULL;
        for (to = from + 1; to < place->count && (rows[to].cos == NULL) == alone; to++) {
        }
        const int64_t b = place->b + (place->across ? from : 0), t = place->t + (place->across ? 0 : from);
        if (!alone) rotate(c, o, b, t, place->across, to - from, rows + from, first, n);
        for (int k = 0; alone && moves && k < to - from; k++)
            leave_alone(c, o, b + (place->across ? k : 0), t + (place->across ? 0 : k), first, n);
    }
}

/* Out of place, the channels on both sides of the rotated ones. */
static void pass_around(const call *c, const operand *o, const tile_place *place)
{
    const int64_t before = c->plan->rotary_offset, after = c->plan->head_dim - before - c->plan->rotary_dim;
    if ((before | after) == 0 || roperot_tensor_same(o->src_view, o->dst_view)) return;
    for (int k = 0; k < place->count; k++) {
        const int64_t b = place->b + (place->across ? k : 0), t = place->t + (place->across ? 0 : k);
        if (before > 0) pass(o, b, t, -before, before);
        if (after > 0) pass(o, b, t, c->plan->rotary_dim, after);
    }
}

static inline void run_tile(const call *c, const tile_place *place, roperot_scratch *scratch)
{
    roperot_row rows[ROPEROT_TILE_TOKENS];
    const int32_t pairs = c->plan->pairs;
    for (int32_t first = 0; first < pairs; first += c->rows.block_pairs) {
        const int32_t n = pairs - first < c->rows.block_pairs ? pairs - first : c->rows.block_pairs;
        roperot_rows_make(&c->rows, place->b, place->t, place->across, place->count, first, n, scratch, rows);
        for (int32_t i = 0; i < c->operands; i++) {
            if (c->plan->bounds == ROPEROT_BOUNDS_IDENTITY)
                rotate_runs(c, &c->operand[i], place, rows, first, n);
            else
                rotate(c, &c->operand[i], place->b, place->t, place->across, place->count, rows, first, n);
        }
    }
    for (int32_t i = 0; c->dst != c->src && i < c->operands; i++) pass_around(c, &c->operand[i], place);
}

/* Lines [begin, end). Not inlined: its scratch is nearly all of the stack that a call may take. */
static ROPEROT_NOINLINE void run(const call *c, int64_t begin, int64_t end)
{
    roperot_scratch scratch;
    const int64_t tokens = c->tokens, most = c->rows.tile_tokens;
    roperot_scratch_init(&scratch);
    tile_place place = { .b = begin, .t = 0, .across = tokens == 1, .count = 0 };
    if (begin < tokens)
        place.b = 0, place.t = begin;
    else if (tokens > 1)
        place.b = begin / tokens, place.t = begin % tokens;
    while (begin < end) {
        int64_t n = end - begin < most ? end - begin : most;
        if (tokens > 1 && n > tokens - place.t) n = tokens - place.t;
        place.count = (int)n;
        run_tile(c, &place, &scratch);
        begin += n;
        if (tokens == 1)
            place.b += n;
        else if ((place.t += n) == tokens)
            place.t = 0, place.b++;
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct split {
    const call *c;
    int64_t first, chunk; /* task i: lines [first + i * chunk, first + (i + 1) * chunk) of the call's */
} split;

static void run_task(void *arg, int64_t index)
{
    const split *const s = arg;
    const int64_t begin = s->first + index * s->chunk, left = s->c->end - begin;
    run(s->c, begin > s->c->begin ? begin : s->c->begin, begin + (left < s->chunk ? left : s->chunk));
}

/* Lines after which every written row starts at the same place of a cache line again; 1 .. 32. */
static int64_t line_period(const call *c)
{
    int64_t period = 1;
    for (int32_t i = 0; i < c->count; i++) {
        const int64_t stride = c->dst[i].stride[c->tokens == 1 ? 0 : 1] % LINE;
        while (period < LINE && stride * period * roperot_dtype_size(c->dst[i].dtype) % LINE) period *= 2;
    }
    return period;
}

static void run_parallel(const call *c, const roperot_options *o, int64_t tasks)
{
    const int64_t period = line_period(c), first = c->begin - c->begin % period, lines = c->end - first;
    split s = { c, first, (lines + tasks - 1) / tasks };
    s.chunk = (s.chunk + period - 1) / period * period;
    o->parallel_for(o->ctx, (lines + s.chunk - 1) / s.chunk, run_task, &s);
}

/* The views, a few at a time. */
static void run_all(call *c, const roperot_options *o)
{
    const int64_t most = o->threads ? o->threads : c->plan->cpus, worth = c->bytes / TASK_BYTES;
    const int64_t tasks = !o->parallel_for ? 1 : worth < most ? worth : most;
    for (int32_t i = 0; i < c->count;) {
        for (c->operands = 0; i < c->count && c->operands < KEPT; i++)
            if (c->src[i].shape[2] != 0) set_operand(c, &c->operand[c->operands++], i);
        if (tasks > 1)
            run_parallel(c, o, tasks);
        else
            run(c, c->begin, c->end);
    }
}

/* ---- the long way ------------------------------------------------------------------------------------------------ */

static int32_t check_arguments(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                               int32_t count)
{
    if (!plan)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL; it must be one that roperot_plan_create made");
    if (!positions)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions is NULL; it must point to a roperot_positions");
    if (count < 0) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "count is %d; it must be at least 0", count);
    if (count > 0 && !src)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "src is NULL; it must point to count = %d tensors", count);
    return roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions");
}

static int choose_loop(const call *c)
{
    const int64_t bytes = c->dst == c->src ? c->bytes / 2 : c->bytes; /* touched */
    if (bytes <= c->plan->near_bytes) return ROPEROT_LOOP_COLUMNS;
    return c->dst != c->src && bytes > c->plan->far_bytes ? ROPEROT_LOOP_STREAM : ROPEROT_LOOP_LINEAR;
}

/* ---- the short way ----------------------------------------------------------------------------------------------- */

/* No options, or those of the INIT macro with an executor at most: a short call has nothing to hand to it. */
static inline int is_usual(const roperot_options *o)
{
    return !o || (o->size == sizeof *o && o->flags == 0 && o->reserved == 0 && o->threads >= 0 && o->token_begin == 0 &&
                  o->token_end == INT64_MAX);
}

/* View i of a short call: plain, of the call's only row of tokens, and, if it is written, apart from those before. */
static inline int is_short(const roperot_plan *plan, const roperot_tensor *views, int32_t i, int64_t tokens,
                           int written, roperot_hull *hulls)
{
    const roperot_tensor *const view = &views[i];
    if (!roperot_tensor_is_plain(view, plan->head_dim, &hulls[i]) || view->shape[0] != 1 || view->shape[1] != tokens)
        return 0;
    for (int32_t j = 0; written && j < i; j++)
        if (meet(&hulls[i], &hulls[j])) return 0;
    return 1;
}

static inline void rotate_short(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst,
                                int loop, const roperot_row *rows)
{
    const int64_t size = roperot_dtype_size(src->dtype);
    const int64_t src_head = src->shape[2] == 1 ? 0 : src->stride[2],
                  dst_head = dst->shape[2] == 1 ? 0 : dst->stride[2];
    roperot_tile tile;
    tile.src = (const char *)src->data + plan->rotary_offset * size;
    tile.dst = (char *)dst->data + plan->rotary_offset * size;
    tile.src_token = src->shape[1] == 1 ? 0 : src->stride[1] * size;
    tile.src_head = src_head * size;
    tile.dst_token = dst->shape[1] == 1 ? 0 : dst->stride[1] * size;
    tile.dst_head = dst_head * size;
    tile.src_half = tile.dst_half = plan->pairs;
    tile.tokens = src->shape[1];
    tile.heads = src->shape[2];
    tile.pairs = plan->pairs;
    tile.rows = rows;
    tile.loop = loop;
    tile.heads_outer = 0;
    plan->rotate[roperot_dtype_index(src->dtype)][roperot_dtype_index(dst->dtype)](&tile);
}

/* With rows from factors. Its scratch stays out of the frame of calls that need none. */
static ROPEROT_NOINLINE void rotate_factored(const roperot_plan *plan, const roperot_positions *positions,
                                             const roperot_tensor *src, const roperot_tensor *dst, int32_t count)
{
    roperot_row_source source;
    roperot_scratch scratch;
    roperot_row rows[ROPEROT_TILE_TOKENS];
    roperot_row_source_init(&source, plan, positions, 0);
    roperot_rows_make(&source, 0, 0, 0, (int)src->shape[1], 0, plan->pairs, &scratch, rows);
    for (int32_t i = 0; i < count; i++) rotate_short(plan, &src[i], &dst[i], ROPEROT_LOOP_COLUMNS, rows);
}

/* What nearly every decode step is, done without the bookkeeping that only larger or stranger calls need (it costs
 * as much as the rotation of a token): a few plain views of one row of tokens that fit one tile, at an offset, in
 * the core's cache. 0, and nothing done, if the call is anything else; the long way then finds out whether it is
 * right. */
static ROPEROT_NOINLINE int apply_short(const roperot_plan *plan, const roperot_positions *positions,
                                        const roperot_tensor *src, const roperot_tensor *dst, int32_t count)
{
    roperot_hull hulls[2 * KEPT];
    if (count > KEPT || !plan->plain || (dst != src && plan->head_dim != plan->rotary_dim) ||
        positions->kind != ROPEROT_POSITIONS_OFFSET || positions->size != sizeof *positions ||
        (uint32_t)positions->axes > 1)
        return 0;
    const int64_t tokens = src->shape[1];
    int64_t bytes = 0;
    if (tokens < 0 || tokens > plan->tile_tokens) return 0;
    if (positions->offset < 0 || positions->offset > plan->max_positions - tokens) return 0;
    for (int32_t i = 0; i < count; i++) {
        if (!is_short(plan, src, i, tokens, dst == src, hulls)) return 0;
        bytes += (int64_t)(hulls[i].end - hulls[i].begin);
    }
    for (int32_t i = 0; dst != src && i < count; i++) {
        if (!roperot_tensor_is_like(&dst[i], &src[i], &hulls[i], &hulls[count + i])) return 0;
        for (int32_t j = 0; j < count + i; j++)
            if (meet(&hulls[count + i], &hulls[j])) return 0;
    }
    if (dst != src) bytes *= 2;
    if (bytes > plan->near_bytes) return 0;
    if (plan->cache == ROPEROT_CACHE_FACTORED) {
        rotate_factored(plan, positions, src, dst, count);
        return 1;
    }
    roperot_row rows[ROPEROT_TILE_TOKENS];
    roperot_rows_look_up(&plan->rows, positions->offset, 0, (int)tokens, 0, rows);
    for (int32_t i = 0; i < count; i++) rotate_short(plan, &src[i], &dst[i], ROPEROT_LOOP_COLUMNS, rows);
    return 1;
}

/* ---- the verb ---------------------------------------------------------------------------------------------------- */

int32_t roperot_apply(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                      const roperot_tensor *dst, int32_t count, const roperot_options *options)
{
    if (plan && positions && src && count > 0 && is_usual(options) &&
        apply_short(plan, positions, src, dst ? dst : src, count))
        return ROPEROT_OK;
    const roperot_options *const o = options ? options : &default_options;
    int32_t status = check_arguments(plan, positions, src, count);
    if (!status) status = check_options(o);
    if (status || count == 0) return status;
    call c; /* not zeroed as a whole: the hulls are most of it */
    c.plan = plan;
    c.src = src;
    c.dst = dst ? dst : src;
    c.count = count;
    c.bytes = 0;
    c.moved = 0;
    c.in = o->flags & ROPEROT_INVERSE ? plan->pairing_out : plan->pairing;
    c.out = o->flags & ROPEROT_INVERSE ? plan->pairing : plan->pairing_out;
    status = check_tensors(&c);
    if (status || c.bytes == 0) return status;
    if (c.moved == 0) c.dst = c.src; /* in place, said with dst */
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
