/* SPDX-License-Identifier: MIT
 * One call of roperot_apply, checked whole and made ready for tiles; it must not know how tokens are walked. */
#include "call.h"

#include <stddef.h>
#include <string.h>

#include "lists.h"
#include "numbers.h"
#include "status.h"

enum { KNOWN_FLAGS = ROPEROT_INVERSE | ROPEROT_PURE_ROTATION | ROPEROT_SIGNED_POSITIONS };

/* ---- arguments --------------------------------------------------------------------------------------------------- */

static int32_t check_options(const roperot_options *o)
{
    if (o->reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "%s.reserved is %d; it must be 0", "options", o->reserved);
    if (o->flags & ~(uint32_t)KNOWN_FLAGS)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "options.flags is %#x; only 1 (inverse), 2 (pure rotation) and 4 (signed positions) "
                            "are known",
                            (unsigned)o->flags);
    if (o->token_begin < 0)
        return roperot_field_error("options", "token_begin", o->token_begin, "at least 0");
    if (o->threads < 0) return roperot_field_error("options", "threads", o->threads, "at least 0");
    return ROPEROT_OK;
}

int32_t roperot_options_read(const roperot_options **options, roperot_options *full)
{
    static const roperot_options defaults = ROPEROT_OPTIONS_INIT;
    const roperot_options *const given = *options;
    *options = &defaults;
    if (!given) return ROPEROT_OK;
    const int32_t status = roperot_check_size(given, offsetof(roperot_options, scratch), sizeof *given, "options");
    if (status) return status;
    *options = given;
    if (given->size < sizeof *given) {
        *full = defaults;
        memcpy(full, given, given->size);
        *options = full;
    }
    return check_options(*options);
}

static int32_t check_arguments(const roperot_plan *plan, const roperot_positions *positions, const roperot_tensor *src,
                               int32_t count)
{
    if (!plan) return roperot_null_plan_error();
    if (!positions) return roperot_null_error("positions", "roperot_positions");
    if (count < 0) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "count is %d; it must be at least 0", count);
    if (count > 0 && !src)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "src is NULL; it must point to count = %d tensors", count);
    return roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions");
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

static int32_t conversion_error(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst,
                                int32_t i)
{
    const int eager = plan->arithmetic == ROPEROT_ARITHMETIC_EAGER && src->dtype != ROPEROT_F32;
    return roperot_fail(
        ROPEROT_ERROR_DTYPE, "dst[%d].dtype is %d and src's is %d; they must be the same%s", i, dst->dtype, src->dtype,
        eager ? ": eager arithmetic of 16 bits converts nothing" : ", or one of them f32 with pairing_out = pairing");
}

/* dst[i] by itself and as what src[i] becomes. Shapes come first: a view of another one may seem to overlap itself. */
static int32_t check_dst(const roperot_call *c, int32_t i, roperot_extent *extent)
{
    const roperot_plan *const plan = c->walk.plan;
    const roperot_tensor *const src = &c->views.src[i], *const dst = &c->views.dst[i];
    for (int axis = 0; axis < 3; axis++)
        if (dst->shape[axis] >= 0 && src->shape[axis] != dst->shape[axis])
            return roperot_fail(ROPEROT_ERROR_SHAPE, "dst[%d].shape[%d] is %lld; it must be src's, %lld", i, axis,
                                (long long)dst->shape[axis], (long long)src->shape[axis]);
    const int32_t status = roperot_tensor_check(dst, plan->head_dim, 1, "dst", i, "", extent);
    if (status) return status;
    if (!plan->rotate[roperot_dtype_index(src->dtype)][roperot_dtype_index(dst->dtype)])
        return conversion_error(plan, src, dst, i);
    return ROPEROT_OK;
}

static int32_t heads_error(const roperot_plan *plan, const roperot_tensor *src, int32_t i)
{
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "src[%d].shape[2] (heads) is %lld; it must be the %lld of the plan's table", i,
                        (long long)src->shape[2], (long long)plan->heads);
}

static int32_t pairing_error(const roperot_plan *plan, int32_t i)
{
    return roperot_fail(ROPEROT_ERROR_ALIAS,
                        "src[%d] is rotated in place; pairing_out %d, other than pairing %d, needs another dst", i,
                        plan->pairing_out, plan->pairing);
}

/* View i by itself; adds to the bytes of a token. */
static int32_t check_view(roperot_call *c, int32_t i)
{
    roperot_views *const v = &c->views;
    const roperot_tensor *const src = &v->src[i], *const dst = &v->dst[i];
    const int out = v->dst != v->src;
    roperot_extent extent;
    if ((src->shape[0] | src->shape[1]) >= 0 &&
        (src->shape[0] != v->src->shape[0] || src->shape[1] != v->src->shape[1]))
        return roperot_tokens_error("src", i, src->shape, v->src->shape[0], v->src->shape[1]);
    int32_t status = roperot_tensor_check(src, v->head_dim, !out, "src", i, "", &extent);
    if (status) return status;
    if (i < ROPEROT_KEPT_EXTENTS) v->src_extent[i] = v->dst_extent[i] = extent;
    if (out) {
        status = check_dst(c, i, &extent);
        if (status) return status;
        if (i < ROPEROT_KEPT_EXTENTS) v->dst_extent[i] = extent;
    }
    if (extent.begin == extent.end) return ROPEROT_OK;
    if (c->walk.plan->heads && src->shape[2] != c->walk.plan->heads) return heads_error(c->walk.plan, src, i);
    const int stays = !out || roperot_tensor_same(src, dst);
    if (stays && c->walk.plan->pairing_out != c->walk.plan->pairing) return pairing_error(c->walk.plan, i);
    c->moved += !stays;
    const int64_t width = roperot_dtype_size(src->dtype) + roperot_dtype_size(dst->dtype);
    c->bytes = roperot_saturating_add(c->bytes, roperot_saturating_mul(src->shape[2] * width, v->head_dim));
    return ROPEROT_OK;
}

static int32_t check_views(roperot_call *c)
{
    for (int32_t i = 0; i < c->views.count; i++) {
        const int32_t status = check_view(c, i);
        if (status) return status;
    }
    return roperot_overlap_check(&c->views);
}

/* ---- the whole call ---------------------------------------------------------------------------------------------- */

static int choose_loop(const roperot_call *c)
{
    const int64_t bytes = c->moved ? c->bytes : c->bytes / 2; /* touched */
    if (c->moved && bytes > c->walk.plan->far_bytes) return ROPEROT_LOOP_STREAM;
    return bytes <= c->walk.plan->near_bytes ? ROPEROT_LOOP_COLUMNS : ROPEROT_LOOP_LINEAR;
}

int32_t roperot_call_check(roperot_call *c, const roperot_plan *plan, const roperot_positions *positions,
                           const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                           const roperot_options *options)
{
    int32_t status = check_arguments(plan, positions, src, count);
    if (!status) status = roperot_options_read(&options, &c->full);
    if (!status) status = roperot_scratch_check(plan, options);
    c->begin = c->end = 0;
    if (status || count == 0) return status;
    c->views.src = src;
    c->views.dst = dst ? dst : src;
    c->views.count = count;
    c->views.head_dim = plan->head_dim;
    c->bytes = 0;
    c->moved = 0;
    c->options = options;
    c->walk.plan = plan;
    c->walk.run = NULL;
    c->walk.in = options->flags & ROPEROT_INVERSE ? plan->pairing_out : plan->pairing;
    c->walk.out = options->flags & ROPEROT_INVERSE ? plan->pairing : plan->pairing_out;
    c->walk.tokens = src->shape[1];
    status = check_views(c);
    if (status || c->bytes == 0) return status;
    if (c->moved == 0) c->views.dst = src; /* in place, said with dst */
    c->begin = options->token_begin;
    c->end = roperot_saturating_mul(src->shape[0], src->shape[1]);
    if (c->end > options->token_end) c->end = options->token_end;
    if (c->begin >= c->end) return ROPEROT_OK;
    status = roperot_positions_check(plan, positions, options->flags, src->shape[0], src->shape[1], c->begin, c->end);
    c->bytes = roperot_saturating_mul(c->bytes, c->end - c->begin);
    c->loop = choose_loop(c);
    if (!status)
        roperot_row_source_init(&c->walk.rows, plan, positions, options->flags, roperot_kept_row_of(options),
                                ROPEROT_SCRATCH_FLOATS);
    return status;
}

/* ---- operands ---------------------------------------------------------------------------------------------------- */

/* In bytes. The stride of an axis of size 1 is anybody's, and may not even fit: it meets index 0 only. */
static int64_t byte_stride(const roperot_tensor *t, int axis)
{
    return t->shape[axis] == 1 ? 0 : t->stride[axis] * roperot_dtype_size(t->dtype);
}

static void set_operand(const roperot_call *c, int32_t i, roperot_operand *o)
{
    const roperot_plan *const plan = c->walk.plan;
    const roperot_tensor *const src = &c->views.src[i], *const dst = &c->views.dst[i];
    o->src = src->data;
    o->dst = dst->data;
    o->src_batch = byte_stride(src, 0);
    o->src_token = byte_stride(src, 1);
    o->src_head = byte_stride(src, 2);
    o->dst_batch = byte_stride(dst, 0);
    o->dst_token = byte_stride(dst, 1);
    o->dst_head = byte_stride(dst, 2);
    o->heads = src->shape[2];
    o->src_dtype = src->dtype;
    o->dst_dtype = dst->dtype;
    o->in_place = src == dst || roperot_tensor_same(src, dst);
    o->loop = c->loop == ROPEROT_LOOP_STREAM && o->in_place ? ROPEROT_LOOP_LINEAR : c->loop;
    o->rotate = (c->walk.in == plan->pairing
                     ? plan->rotate
                     : plan->rotate_back)[roperot_dtype_index(src->dtype)][roperot_dtype_index(dst->dtype)];
    o->program = NULL;
}

int32_t roperot_call_operands(roperot_call *c, int32_t i)
{
    roperot_walk *const w = &c->walk;
    for (w->operands = 0; i < c->views.count && w->operands < ROPEROT_OPERANDS; i++)
        if (c->views.src[i].shape[2] != 0) set_operand(c, i, &w->operand[w->operands++]);
    return i;
}

int64_t roperot_call_bytes(const roperot_call *c)
{
    int64_t bytes = 0;
    for (int32_t i = 0; i < c->walk.operands; i++) {
        const roperot_operand *const o = &c->walk.operand[i];
        const int64_t width = roperot_dtype_size(o->src_dtype) + roperot_dtype_size(o->dst_dtype);
        bytes = roperot_saturating_add(bytes, roperot_saturating_mul(o->heads * width, c->views.head_dim));
    }
    return roperot_saturating_mul(bytes, c->end - c->begin);
}
