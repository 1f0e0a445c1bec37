/* SPDX-License-Identifier: MIT
 * Reading and checking positions; it must not know tensors, caches or kernels. */
#include "positions.h"

#include <math.h>

#include "numbers.h"
#include "status.h"

/* ---- reading ----------------------------------------------------------------------------------------------------- */

/* The sequence s with cu[s] <= t < cu[s + 1]. */
static int64_t sequence_of(const roperot_positions *p, int64_t t)
{
    int64_t low = 0, high = p->sequences;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (roperot_id_read(p->cu_seqlens, p->cu_type, middle) <= t)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* STARTS, RAGGED: where the id of a token lies on axis 0, and how far the token is behind it. Row and sequence ids
 * are packed unless batch_stride says otherwise. */
static int64_t id_index(const roperot_positions *p, int64_t b, int64_t t, int64_t *behind)
{
    const int64_t step = p->batch_stride ? p->batch_stride : 1;
    *behind = t;
    if (p->kind == ROPEROT_POSITIONS_STARTS) return b * step;
    const int64_t s = sequence_of(p, t);
    *behind = t - roperot_id_read(p->cu_seqlens, p->cu_type, s);
    return s * step;
}

void roperot_position_read_any(const roperot_positions *p, int32_t axes, int64_t b, int64_t t, int64_t *position)
{
    int32_t given = 1;
    if (p->kind == ROPEROT_POSITIONS_OFFSET) {
        position[0] = roperot_saturating_sum(p->offset, t);
    } else {
        int64_t behind;
        const int64_t at = id_index(p, b, t, &behind);
        given = p->axes > 1 ? p->axes : 1;
        for (int32_t a = 0; a < given; a++) {
            const int64_t id = p->ids ? roperot_id_read(p->ids, p->type, at + (a ? a * p->axis_stride : 0)) : 0;
            position[a] = roperot_saturating_sum(behind ? roperot_saturating_sum(id, behind) : id, p->offset);
        }
    }
    for (int32_t a = given; a < axes; a++) position[a] = position[0];
}

void roperot_coordinate_read(const roperot_positions *p, int32_t axes, int64_t b, int64_t t, double *coordinate)
{
    const int32_t given = p->axes > 1 ? p->axes : 1;
    const int64_t at = b * p->batch_stride + t * p->token_stride;
    for (int32_t a = 0; a < axes; a++) {
        const int64_t i = at + (a < given ? a : 0) * p->axis_stride;
        const double x =
            p->type == ROPEROT_POSITIONS_F32 ? (double)((const float *)p->ids)[i] : ((const double *)p->ids)[i];
        coordinate[a] = x + (double)p->offset;
    }
}

int roperot_position_bound(const roperot_plan *plan, uint32_t flags, int32_t axes, int64_t *position)
{
    const int64_t last = plan->max_positions - 1, first = flags & ROPEROT_SIGNED_POSITIONS ? -last : 0;
    for (int32_t a = 0; a < axes; a++) {
        if (position[a] >= first && position[a] <= last) continue;
        if (plan->bounds == ROPEROT_BOUNDS_IDENTITY) return 0;
        position[a] = position[a] < first ? first : last;
    }
    return 1;
}

/* ---- checking ---------------------------------------------------------------------------------------------------- */

static int32_t bad(const char *field, long long value, const char *allowed)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.%s is %lld; it must be %s", field, value, allowed);
}

/* `type` is known. i386 aligns 8-byte types to 4. */
static int32_t check_alignment(const char *field, const void *data, int32_t type)
{
    static const uintptr_t alignment[] = { [ROPEROT_POSITIONS_I32] = _Alignof(int32_t),
                                           [ROPEROT_POSITIONS_I64] = _Alignof(int64_t),
                                           [ROPEROT_POSITIONS_F32] = _Alignof(float),
                                           [ROPEROT_POSITIONS_F64] = _Alignof(double) };
    if ((uintptr_t)data % alignment[type] == 0) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.%s is %p; it must be a multiple of %d, its type's alignment",
                        field, data, (int)alignment[type]);
}

static int32_t check_fields(const roperot_plan *plan, const roperot_positions *p)
{
    if (p->kind < ROPEROT_POSITIONS_OFFSET || p->kind > ROPEROT_POSITIONS_RAGGED)
        return bad("kind", p->kind, "0 (offset), 1 (ids), 2 (starts) or 3 (ragged)");
    if (p->axes < 0 || (p->axes > 1 && p->axes != plan->axes))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.axes is %d; it must be 1 or the plan's, %d", p->axes,
                            plan->axes);
    if (p->kind == ROPEROT_POSITIONS_OFFSET) return ROPEROT_OK;
    if (!p->ids)
        return p->kind == ROPEROT_POSITIONS_IDS
                   ? roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.ids is NULL; kind ids needs them")
                   : ROPEROT_OK;
    if (p->type < ROPEROT_POSITIONS_I32 || p->type > ROPEROT_POSITIONS_F64)
        return bad("type", p->type, "1 (int32), 2 (int64), 3 (float) or 4 (double)");
    const int32_t status = check_alignment("ids", p->ids, p->type);
    if (status || p->type < ROPEROT_POSITIONS_F32) return status;
    if (p->kind != ROPEROT_POSITIONS_IDS) return bad("type", p->type, "1 (int32) or 2 (int64) unless kind is ids");
    if (!plan->inv_freq)
        return bad("type", p->type, "1 (int32) or 2 (int64): a borrowed table has no frequencies for coordinates");
    return ROPEROT_OK;
}

/* Elements below and above the first id that are read, INT64_MAX if they overflow. */
static void ids_reach(const roperot_positions *p, int64_t batch, int64_t tokens, int64_t *below, int64_t *above)
{
    const int each = p->kind == ROPEROT_POSITIONS_IDS;
    const int64_t counts[3] = { p->axes > 1 ? p->axes : 1, p->kind == ROPEROT_POSITIONS_RAGGED ? p->sequences : batch,
                                each ? tokens : 1 };
    const int64_t strides[3] = { p->axis_stride, p->batch_stride || each ? p->batch_stride : 1, p->token_stride };
    *below = 0;
    *above = 1;
    for (int i = 0; i < 3; i++) {
        if (counts[i] <= 1) continue;
        const int64_t span = roperot_saturating_mul(roperot_magnitude(strides[i]), counts[i] - 1);
        int64_t *const side = strides[i] < 0 ? below : above;
        *side = roperot_saturating_add(*side, span);
    }
}

int roperot_positions_meet(const roperot_positions *p, int64_t batch, int64_t tokens, uintptr_t begin, uintptr_t end)
{
    if (p->kind == ROPEROT_POSITIONS_OFFSET) return 0;
    const uintptr_t cu = (uintptr_t)p->cu_seqlens, ids = (uintptr_t)p->ids;
    const uintptr_t cu_size = p->cu_type == ROPEROT_POSITIONS_I32 ? 4 : 8;
    if (p->kind == ROPEROT_POSITIONS_RAGGED && cu < end && begin < cu + ((uintptr_t)p->sequences + 1) * cu_size)
        return 1;
    const int64_t size = p->type == ROPEROT_POSITIONS_I32 || p->type == ROPEROT_POSITIONS_F32 ? 4 : 8;
    int64_t below, above;
    ids_reach(p, batch, tokens, &below, &above);
    return p->ids && ids - (uintptr_t)(below * size) < end && begin < ids + (uintptr_t)(above * size);
}

/* Strides from strangers: the farthest element must be addressable. */
static int32_t check_reach(const roperot_positions *p, int64_t batch, int64_t tokens)
{
    int64_t below, above;
    ids_reach(p, batch, tokens, &below, &above);
    if (!p->ids || roperot_is_addressable(p->ids, below, above, 8)) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "positions: strides %lld, %lld, %lld must fit the address space for %lld tokens in %lld rows",
                        (long long)p->axis_stride, (long long)p->batch_stride, (long long)p->token_stride,
                        (long long)tokens, (long long)batch);
}

static int32_t check_ragged(const roperot_positions *p, int64_t batch, int64_t tokens)
{
    if (batch != 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "batch is %lld; ragged positions need batch 1", (long long)batch);
    if (!p->cu_seqlens)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.cu_seqlens is NULL; ragged positions need it");
    if (p->cu_type != ROPEROT_POSITIONS_I32 && p->cu_type != ROPEROT_POSITIONS_I64)
        return bad("cu_type", p->cu_type, "1 (int32) or 2 (int64)");
    if (p->sequences < 1) return bad("sequences", p->sequences, "at least 1");
    const int32_t status = check_alignment("cu_seqlens", p->cu_seqlens, p->cu_type);
    if (status) return status;
    int64_t before = 0;
    for (int64_t s = 0; s <= p->sequences; s++) {
        const int64_t end = roperot_id_read(p->cu_seqlens, p->cu_type, s);
        if (s == 0 && end != 0) return bad("cu_seqlens[0]", end, "0");
        if (end < before)
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "positions.cu_seqlens[%lld] is %lld; it must be at least %lld, as before it",
                                (long long)s, (long long)end, (long long)before);
        before = end;
    }
    if (before != tokens)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "positions.cu_seqlens ends at %lld; it must end at the %lld tokens",
                            (long long)before, (long long)tokens);
    return ROPEROT_OK;
}

static int32_t outside(const roperot_plan *plan, uint32_t flags, int64_t position, int64_t b, int64_t t, int32_t axis)
{
    return roperot_fail(
        ROPEROT_ERROR_POSITION,
        "the position of token %lld of batch row %lld (axis %d) is %lld; it must be in %s%lld, %lld)", (long long)t,
        (long long)b, axis, (long long)position, flags & ROPEROT_SIGNED_POSITIONS ? "(-" : "[",
        flags & ROPEROT_SIGNED_POSITIONS ? (long long)plan->max_positions : 0LL, (long long)plan->max_positions);
}

/* Whether `count` ids of one axis, with the offset, are all in [first, last]: differences modulo 2^64, which an offset
 * of moderate size keeps apart. */
static int all_inside(const roperot_positions *p, int64_t at, int64_t count, int64_t first, int64_t last)
{
    const uint64_t low = (uint64_t)first - (uint64_t)p->offset, span = (uint64_t)(last - first);
    int beyond = 0;
    for (int64_t i = 0; i < count; i++)
        beyond |= (uint64_t)roperot_id_read(p->ids, p->type, at + i * p->token_stride) - low > span;
    return !beyond;
}

/* A row of tokens at a time, one axis after the other: a fraction of what asking token by token takes. 0: not known. */
static int ids_are_inside(const roperot_positions *p, int64_t first, int64_t last, int64_t tokens, int64_t begin,
                          int64_t end)
{
    if (p->kind != ROPEROT_POSITIONS_IDS || roperot_magnitude(p->offset) > INT64_MAX / 2) return 0;
    int64_t b = begin / tokens, t = begin % tokens, count;
    for (int64_t left = end - begin; left > 0; left -= count, b++, t = 0) {
        const int64_t at = b * p->batch_stride + t * p->token_stride;
        count = left < tokens - t ? left : tokens - t;
        if (!all_inside(p, at, count, first, last)) return 0;
        for (int32_t a = 1; a < p->axes; a++)
            if (!all_inside(p, at + a * p->axis_stride, count, first, last)) return 0;
    }
    return 1;
}

static int32_t check_integers(const roperot_plan *plan, const roperot_positions *p, uint32_t flags, int64_t tokens,
                              int64_t begin, int64_t end)
{
    const int64_t last = plan->max_positions - 1, first = flags & ROPEROT_SIGNED_POSITIONS ? -last : 0;
    if (ids_are_inside(p, first, last, tokens, begin, end)) return ROPEROT_OK;
    int64_t b = begin / tokens, t = begin % tokens;
    for (int64_t i = begin; i < end; i++) {
        int64_t position[ROPEROT_MAX_AXES];
        roperot_position_read(p, plan->axes, b, t, position);
        for (int32_t a = 0; a < plan->axes; a++)
            if (position[a] < first || position[a] > last) return outside(plan, flags, position[a], b, t, a);
        if (++t == tokens) t = 0, b++;
    }
    return ROPEROT_OK;
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

/* One position range for all rows: its ends say everything. */
static int32_t check_offset(const roperot_plan *plan, const roperot_positions *p, uint32_t flags, int64_t tokens,
                            int64_t begin, int64_t end)
{
    const int64_t last = plan->max_positions - 1, first = flags & ROPEROT_SIGNED_POSITIONS ? -last : 0;
    int64_t t0 = begin, t1 = end - 1;
    if (end > tokens) { /* more than the first row: any t may occur */
        const int one_row = begin / tokens == (end - 1) / tokens;
        t0 = one_row ? begin % tokens : 0;
        t1 = one_row ? (end - 1) % tokens : tokens - 1;
    }
    const int64_t low = roperot_saturating_sum(p->offset, t0), high = roperot_saturating_sum(p->offset, t1);
    if (low < first) return outside(plan, flags, low, begin / tokens, t0, 0);
    if (high > last) return outside(plan, flags, high, (end - 1) / tokens, t1, 0);
    return ROPEROT_OK;
}

int32_t roperot_positions_check_any(const roperot_plan *plan, const roperot_positions *p, uint32_t flags, int64_t batch,
                                    int64_t tokens, int64_t begin, int64_t end)
{
    int32_t status = check_fields(plan, p);
    if (status) return status;
    if (p->kind == ROPEROT_POSITIONS_OFFSET)
        return plan->bounds == ROPEROT_BOUNDS_ERROR ? check_offset(plan, p, flags, tokens, begin, end) : ROPEROT_OK;
    status = check_reach(p, batch, tokens);
    if (!status && p->kind == ROPEROT_POSITIONS_RAGGED) status = check_ragged(p, batch, tokens);
    if (status) return status;
    if (roperot_positions_are_real(p)) return check_coordinates(plan, p, tokens, begin, end);
    return plan->bounds == ROPEROT_BOUNDS_ERROR ? check_integers(plan, p, flags, tokens, begin, end) : ROPEROT_OK;
}
