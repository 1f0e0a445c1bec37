/* SPDX-License-Identifier: MIT
 * Every kind of positions, once: how it is read and what only it can get wrong; it must not know plans, tensors or
 * kernels. */
#include "positions_kinds.h"

#include <stddef.h>

#include "bounds.h"
#include "numbers.h"
#include "positions.h"
#include "status.h"

/* ---- what kinds share -------------------------------------------------------------------------------------------- */

static int32_t check_nothing(const roperot_positions *p, int64_t batch, int64_t tokens)
{
    (void)p, (void)batch, (void)tokens;
    return ROPEROT_OK;
}

/* Token by token, for kinds that have no faster way. */
static int find_stray(const roperot_positions *p, const roperot_position_range *range, roperot_stray *stray)
{
    int64_t b = range->begin / range->tokens, t = range->begin % range->tokens;
    for (int64_t i = range->begin; i < range->end; i++) {
        int64_t position[ROPEROT_MAX_AXES];
        roperot_position_read(p, range->axes, b, t, position);
        for (int32_t a = 0; a < range->axes; a++)
            if (position[a] < range->first || position[a] > range->last) {
                *stray = (roperot_stray){ b, t, position[a], a };
                return 1;
            }
        if (++t == range->tokens) t = 0, b++;
    }
    return 0;
}

/* ---- OFFSET: offset + t ------------------------------------------------------------------------------------------ */

static int32_t offset_read(const roperot_positions *p, int64_t b, int64_t t, int64_t *position)
{
    (void)b;
    position[0] = roperot_saturating_add(p->offset, t);
    return 1;
}

/* One run of positions for all rows: its ends say everything. */
static int offset_find_stray(const roperot_positions *p, const roperot_position_range *range, roperot_stray *stray)
{
    const int64_t tokens = range->tokens, first_row = range->begin / tokens, last_row = (range->end - 1) / tokens;
    const int64_t t0 = first_row == last_row ? range->begin % tokens : 0; /* in more rows than one, any t may occur */
    const int64_t t1 = first_row == last_row ? (range->end - 1) % tokens : tokens - 1;
    const int64_t low = roperot_saturating_add(p->offset, t0), high = roperot_saturating_add(p->offset, t1);
    if (low >= range->first && high <= range->last) return 0;
    *stray = low < range->first ? (roperot_stray){ first_row, t0, low, 0 } : (roperot_stray){ last_row, t1, high, 0 };
    return 1;
}

/* ---- IDS: one per token ------------------------------------------------------------------------------------------ */

static void ids_layout(const roperot_positions *p, int64_t batch, int64_t tokens, roperot_ids_layout *layout)
{
    *layout =
        (roperot_ids_layout){ { roperot_positions_axes(p), batch, tokens },
                              { p->axis_stride, p->batch_stride, p->token_stride } };
}

static int32_t ids_read(const roperot_positions *p, int64_t b, int64_t t, int64_t *position)
{
    roperot_position_read(p, roperot_positions_axes(p), b, t, position);
    return roperot_positions_axes(p);
}

/* Whether `count` ids of one axis, with the offset, are all in the range: differences modulo 2^64, which an offset of
 * moderate size keeps apart. */
static int all_inside(const roperot_positions *p, const roperot_position_range *range, int64_t at, int64_t count)
{
    const uint64_t low = (uint64_t)range->first - (uint64_t)p->offset, span = (uint64_t)(range->last - range->first);
    int beyond = 0;
    for (int64_t i = 0; i < count; i++)
        beyond |= (uint64_t)roperot_id_read(p->ids, p->type, at + i * p->token_stride) - low > span;
    return !beyond;
}

/* A row of tokens at a time, one axis after the other: a fraction of what asking token by token takes. 0: not known. */
static int ids_are_inside(const roperot_positions *p, const roperot_position_range *range)
{
    if (roperot_magnitude(p->offset) > INT64_MAX / 2) return 0;
    int64_t b = range->begin / range->tokens, t = range->begin % range->tokens, count;
    for (int64_t left = range->end - range->begin; left > 0; left -= count, b++, t = 0) {
        const int64_t at = b * p->batch_stride + t * p->token_stride;
        count = left < range->tokens - t ? left : range->tokens - t;
        if (!all_inside(p, range, at, count)) return 0;
        for (int32_t a = 1; a < p->axes; a++)
            if (!all_inside(p, range, at + a * p->axis_stride, count)) return 0;
    }
    return 1;
}

static int ids_find_stray(const roperot_positions *p, const roperot_position_range *range, roperot_stray *stray)
{
    return !ids_are_inside(p, range) && find_stray(p, range, stray);
}

/* ---- STARTS, RAGGED: one per batch row or sequence --------------------------------------------------------------- */

/* Packed unless batch_stride says otherwise. */
static int64_t start_stride(const roperot_positions *p)
{
    return p->batch_stride ? p->batch_stride : 1;
}

/* The position of the token that is `behind` the start of row or sequence s. */
static int32_t start_read(const roperot_positions *p, int64_t s, int64_t behind, int64_t *position)
{
    const int64_t at = s * start_stride(p);
    for (int32_t a = 0; a < roperot_positions_axes(p); a++) {
        const int64_t id = p->ids ? roperot_id_read(p->ids, p->type, at + (a ? a * p->axis_stride : 0)) : 0;
        position[a] = roperot_saturating_add(roperot_saturating_add(id, p->offset), behind);
    }
    return roperot_positions_axes(p);
}

static void starts_layout(const roperot_positions *p, int64_t batch, int64_t tokens, roperot_ids_layout *layout)
{
    (void)tokens;
    *layout = (roperot_ids_layout){ { roperot_positions_axes(p), batch, 1 }, { p->axis_stride, start_stride(p), 0 } };
}

static int32_t starts_read(const roperot_positions *p, int64_t b, int64_t t, int64_t *position)
{
    return start_read(p, b, t, position);
}

static void ragged_layout(const roperot_positions *p, int64_t batch, int64_t tokens, roperot_ids_layout *layout)
{
    (void)batch;
    starts_layout(p, p->sequences, tokens, layout);
}

/* In sequence s, cu[s] <= t < cu[s + 1]. */
static int32_t ragged_read(const roperot_positions *p, int64_t b, int64_t t, int64_t *position)
{
    (void)b;
    int64_t low = 0, high = p->sequences;
    while (high - low > 1) {
        const int64_t middle = low + (high - low) / 2;
        if (roperot_id_read(p->cu_seqlens, p->cu_type, middle) <= t)
            low = middle;
        else
            high = middle;
    }
    return start_read(p, low, t - roperot_id_read(p->cu_seqlens, p->cu_type, low), position);
}

static int32_t ragged_check_ends(const roperot_positions *p, int64_t tokens)
{
    int64_t before = 0;
    for (int64_t s = 0; s <= p->sequences; s++) {
        const int64_t end = roperot_id_read(p->cu_seqlens, p->cu_type, s);
        if (s == 0 && end != 0) return roperot_positions_member_error("cu_seqlens[0]", end, "0");
        if (end < before)
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "%s.cu_seqlens[%lld] is %lld; it must be at least %lld, as before it", "positions",
                                (long long)s, (long long)end, (long long)before);
        before = end;
    }
    if (before != tokens)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "positions.cu_seqlens ends at %lld; it must end at the %lld tokens",
                            (long long)before, (long long)tokens);
    return ROPEROT_OK;
}

static int32_t ragged_check(const roperot_positions *p, int64_t batch, int64_t tokens)
{
    if (batch != 1)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "batch is %lld; ragged positions need batch 1", (long long)batch);
    if (!p->cu_seqlens)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "positions.cu_seqlens is NULL; ragged positions need it");
    if (p->cu_type != ROPEROT_POSITIONS_I32 && p->cu_type != ROPEROT_POSITIONS_I64)
        return roperot_positions_member_error("cu_type", p->cu_type, "1 (int32) or 2 (int64)");
    if (p->sequences < 1) return roperot_positions_member_error("sequences", p->sequences, "at least 1");
    const int32_t status = roperot_positions_check_alignment("cu_seqlens", p->cu_seqlens, p->cu_type);
    return status ? status : ragged_check_ends(p, tokens);
}

/* ---- the list ---------------------------------------------------------------------------------------------------- */

static const roperot_positions_rule rules[] = {
    [ROPEROT_POSITIONS_OFFSET] = { "offset", ROPEROT_IDS_UNUSED, 0, check_nothing, NULL, offset_read,
                                   offset_find_stray },
    [ROPEROT_POSITIONS_IDS] = { "ids", ROPEROT_IDS_NEEDED, 1, check_nothing, ids_layout, ids_read, ids_find_stray },
    [ROPEROT_POSITIONS_STARTS] = { "starts", ROPEROT_IDS_OPTIONAL, 0, check_nothing, starts_layout, starts_read,
                                   find_stray },
    [ROPEROT_POSITIONS_RAGGED] = { "ragged", ROPEROT_IDS_OPTIONAL, 0, ragged_check, ragged_layout, ragged_read,
                                   find_stray },
};

const roperot_positions_rule *roperot_positions_rule_of(int32_t kind)
{
    return kind >= 0 && (size_t)kind < sizeof rules / sizeof *rules ? &rules[kind] : NULL;
}
