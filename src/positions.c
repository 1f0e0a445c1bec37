/* SPDX-License-Identifier: MIT
 * Reading and checking positions of any kind; it must not know tensors, caches or kernels. */
#include "positions.h"

#include <math.h>

#include "numbers.h"
#include "positions_kinds.h"
#include "status.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

void roperot_position_read_any(const roperot_positions *p, int32_t axes, int64_t b, int64_t t, int64_t *position)
{
    const int32_t given = roperot_positions_rule_of(p->kind)->read(p, b, t, position);
    for (int32_t a = given; a < axes; a++) position[a] = position[0];
}

void roperot_coordinate_read(const roperot_positions *p, int32_t axes, int64_t b, int64_t t, double *coordinate)
{
    const int32_t given = roperot_positions_axes(p);
    const int64_t at = b * p->batch_stride + t * p->token_stride;
    for (int32_t a = 0; a < axes; a++) {
        const int64_t i = at + (a < given ? a : 0) * p->axis_stride;
        const double x =
            p->type == ROPEROT_POSITIONS_F32 ? (double)((const float *)p->ids)[i] : ((const double *)p->ids)[i];
        coordinate[a] = x + (double)p->offset;
    }
}

/* The positions that the plan allows. */
static void bounds_of(const roperot_plan *plan, uint32_t flags, int64_t *first, int64_t *last)
{
    *last = plan->max_positions - 1;
    *first = flags & ROPEROT_SIGNED_POSITIONS ? -*last : 0;
}

int roperot_position_bound(const roperot_plan *plan, uint32_t flags, int32_t axes, int64_t *position)
{
    int64_t first, last;
    bounds_of(plan, flags, &first, &last);
    for (int32_t a = 0; a < axes; a++) {
        if (position[a] >= first && position[a] <= last) continue;
        if (plan->bounds == ROPEROT_BOUNDS_IDENTITY) return 0;
        position[a] = position[a] < first ? first : last;
    }
    return 1;
}

/* ---- checking the members ---------------------------------------------------------------------------------------- */

int32_t roperot_positions_member_error(const char *member, int64_t value, const char *allowed)
{
    return roperot_field_error("positions", member, value, allowed);
}

uintptr_t roperot_id_alignment(int32_t type)
{
    static const uintptr_t alignment[] = { [ROPEROT_POSITIONS_I32] = _Alignof(int32_t),
                                           [ROPEROT_POSITIONS_I64] = _Alignof(int64_t),
                                           [ROPEROT_POSITIONS_F32] = _Alignof(float),
                                           [ROPEROT_POSITIONS_F64] = _Alignof(double) };
    return alignment[type];
}

int32_t roperot_positions_check_alignment(const char *member, const void *data, int32_t type)
{
    if ((uintptr_t)data % roperot_id_alignment(type) == 0) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.%s is %p; it must be a multiple of %d, its type's alignment",
                        member, data, (int)roperot_id_alignment(type));
}

static int32_t check_type(const roperot_plan *plan, const roperot_positions *p, const roperot_positions_rule *rule)
{
    if (p->type < ROPEROT_POSITIONS_I32 || p->type > ROPEROT_POSITIONS_F64)
        return roperot_positions_member_error("type", p->type, "1 (int32), 2 (int64), 3 (float) or 4 (double)");
    const int32_t status = roperot_positions_check_alignment("ids", p->ids, p->type);
    if (status || p->type < ROPEROT_POSITIONS_F32) return status;
    if (!rule->coordinates)
        return roperot_positions_member_error("type", p->type, "1 (int32) or 2 (int64) unless kind is ids");
    if (!plan->inv_freq)
        return roperot_positions_member_error(
            "type", p->type, "1 (int32) or 2 (int64): a borrowed table has no frequencies for coordinates");
    return ROPEROT_OK;
}

static int32_t check_members(const roperot_plan *plan, const roperot_positions *p, const roperot_positions_rule *rule)
{
    if (p->axes < 0 || (p->axes > 1 && p->axes != plan->axes))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.axes is %d; it must be 1 or the plan's, %d", p->axes,
                            plan->axes);
    if (rule->ids == ROPEROT_IDS_UNUSED) return ROPEROT_OK;
    if (p->ids) return check_type(plan, p, rule);
    if (rule->ids == ROPEROT_IDS_OPTIONAL) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.ids is NULL; kind %s needs them", rule->name);
}

/* ---- checking what is read --------------------------------------------------------------------------------------- */

/* Elements below and above the first id that are read, INT64_MAX if they overflow. */
static void ids_reach(const roperot_positions *p, int64_t batch, int64_t tokens, int64_t *below, int64_t *above)
{
    roperot_ids_layout ids;
    roperot_positions_rule_of(p->kind)->layout(p, batch, tokens, &ids);
    *below = 0;
    *above = 1;
    for (int i = 0; i < 3; i++) roperot_reach_axis(below, above, ids.stride[i], ids.count[i]);
}

int roperot_positions_overlap(const roperot_positions *p, int64_t batch, int64_t tokens, const roperot_extent *written)
{
    if (roperot_positions_rule_of(p->kind)->ids == ROPEROT_IDS_UNUSED) return 0;
    const int64_t cu_size = p->cu_type == ROPEROT_POSITIONS_I32 ? 4 : 8;
    const roperot_extent cu = roperot_extent_around(p->cu_seqlens, 0, (int64_t)p->sequences + 1, cu_size);
    if (p->kind == ROPEROT_POSITIONS_RAGGED && roperot_extents_overlap(&cu, written)) return 1;
    const int64_t size = p->type == ROPEROT_POSITIONS_I32 || p->type == ROPEROT_POSITIONS_F32 ? 4 : 8;
    int64_t below, above;
    if (!p->ids) return 0; /* whose strides may be anything */
    ids_reach(p, batch, tokens, &below, &above);
    const roperot_extent ids = roperot_extent_around(p->ids, below, above, size);
    return roperot_extents_overlap(&ids, written);
}

/* Strides from strangers: the farthest element must be addressable. */
static int32_t check_reach(const roperot_positions *p, int64_t batch, int64_t tokens)
{
    int64_t below, above;
    if (!p->ids) return ROPEROT_OK;
    ids_reach(p, batch, tokens, &below, &above);
    if (roperot_is_addressable(p->ids, below, above, 8)) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "positions: strides %lld, %lld, %lld must fit the address space for %lld tokens in %lld rows",
                        (long long)p->axis_stride, (long long)p->batch_stride, (long long)p->token_stride,
                        (long long)tokens, (long long)batch);
}

static int32_t check_coordinates(const roperot_plan *plan, const roperot_positions *p, int64_t tokens, int64_t begin,
                                 int64_t end)
{
    for (int64_t i = begin; i < end; i++) {
        double x[ROPEROT_MAX_AXES];
        roperot_coordinate_read(p, plan->axes, i / tokens, i % tokens, x);
        for (int32_t a = 0; a < plan->axes; a++)
            if (!(fabs(x[a]) < (double)ROPEROT_MAX_POSITIONS))
                return roperot_fail(ROPEROT_ERROR_POSITION,
                                    "the coordinate of token %lld of batch row %lld (axis %d) is %g; it must be "
                                    "finite and within 2^31 of 0",
                                    (long long)(i % tokens), (long long)(i / tokens), a, x[a]);
    }
    return ROPEROT_OK;
}

static int32_t check_bounds(const roperot_plan *plan, const roperot_positions *p, uint32_t flags, int64_t tokens,
                            int64_t begin, int64_t end)
{
    if (plan->bounds != ROPEROT_BOUNDS_ERROR) return ROPEROT_OK;
    roperot_position_range range = { .tokens = tokens, .begin = begin, .end = end, .axes = plan->axes };
    roperot_stray stray;
    bounds_of(plan, flags, &range.first, &range.last);
    if (!roperot_positions_rule_of(p->kind)->find_stray(p, &range, &stray)) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_POSITION,
                        "the position of token %lld of batch row %lld (axis %d) is %lld; it must be in %s%lld, %lld)",
                        (long long)stray.t, (long long)stray.b, stray.axis, (long long)stray.position,
                        flags & ROPEROT_SIGNED_POSITIONS ? "(-" : "[",
                        flags & ROPEROT_SIGNED_POSITIONS ? (long long)plan->max_positions : 0LL,
                        (long long)plan->max_positions);
}

int32_t roperot_positions_check_any(const roperot_plan *plan, const roperot_positions *p, uint32_t flags, int64_t batch,
                                    int64_t tokens, int64_t begin, int64_t end)
{
    const roperot_positions_rule *const rule = roperot_positions_rule_of(p->kind);
    if (!rule) return roperot_positions_member_error("kind", p->kind, "0 (offset), 1 (ids), 2 (starts) or 3 (ragged)");
    int32_t status = check_members(plan, p, rule);
    if (!status && rule->ids != ROPEROT_IDS_UNUSED) status = check_reach(p, batch, tokens);
    if (!status) status = rule->check(p, batch, tokens);
    if (status) return status;
    if (roperot_positions_are_real(p)) return check_coordinates(plan, p, tokens, begin, end);
    return check_bounds(plan, p, flags, tokens, begin, end);
}
