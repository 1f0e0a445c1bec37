/* SPDX-License-Identifier: MIT
 * From positions to coefficient rows: looked up, combined, blended or computed; it must not know tensors. */
#include "coefficient_rows.h"

#include <math.h>
#include <string.h>

#include "axis_blend.h"
#include "cache_factors.h"
#include "positions.h"

/* The same rows without the attention factor come from factors where no pure table is kept. */
static int takes_factors(const roperot_plan *plan, uint32_t flags)
{
    if (plan->cache == ROPEROT_CACHE_FACTORED) return 1;
    return flags & ROPEROT_PURE_ROTATION && !plan->pure.cos;
}

void roperot_row_source_init(roperot_row_source *source, const roperot_plan *plan, const roperot_positions *positions,
                             uint32_t flags, roperot_kept_row *kept, int32_t floats)
{
    source->plan = plan;
    source->positions = positions;
    source->flags = flags;
    source->tile_tokens = ROPEROT_TILE_TOKENS;
    source->block_pairs = plan->pairs;
    source->floats = floats;
    source->kept = NULL;
    if (!positions) return;
    const int together = positions->kind == ROPEROT_POSITIONS_OFFSET || positions->axes <= 1;
    source->axes = together && !plan->mixed ? 1 : plan->axes;
    const int made = plan->mixed || flags & (ROPEROT_INVERSE | ROPEROT_SIGNED_POSITIONS) ||
                     takes_factors(plan, flags) ||
                     roperot_positions_are_real(positions); /* else a row of one axis is in a table */
    source->computed = made || source->axes > 1;
    source->looked_up =
        !source->computed && plan->bounds == ROPEROT_BOUNDS_ERROR && positions->kind == ROPEROT_POSITIONS_OFFSET;
    if (!source->computed) return;
    /* One row more for the axis that is being blended in. */
    const int32_t extra = made && source->axes > 1 && !plan->mixed;
    const int32_t most = floats / (2 * (1 + extra)) / 16 * 16;
    if (source->block_pairs > most) source->block_pairs = most;
    const int32_t fit = floats / (2 * source->block_pairs) - extra;
    if (source->tile_tokens > fit) source->tile_tokens = fit;
    if (source->block_pairs == plan->pairs && takes_factors(plan, flags) && !roperot_positions_are_real(positions))
        source->kept = kept;
}

static void negate(float *sin, int32_t n)
{
    for (int32_t j = 0; j < n; j++) sin[j] = -sin[j];
}

static void combine(const roperot_plan *plan, int64_t p, int32_t first, int32_t n, double scale, float *cos, float *sin)
{
    const double *f[ROPEROT_LEVELS];
    roperot_factors_of(plan, p, first, f);
    plan->kernels->combine(cos, sin, f, plan->pairs, n, scale);
}

/* The row of position p on one axis. Odd sin: p < 0 is |p| with the sign turned. */
static void integer_row(const roperot_row_source *source, int64_t p, roperot_pair_block block, float *space,
                        roperot_row *row)
{
    const int32_t first = block.first, n = block.count;
    const roperot_plan *const plan = source->plan;
    const int pure = (source->flags & ROPEROT_PURE_ROTATION) != 0;
    const int turn = (p < 0) != ((source->flags & ROPEROT_INVERSE) != 0);
    const int64_t at = p < 0 ? -p : p;
    row->cos = space;
    row->sin = space + n;
    if (takes_factors(plan, source->flags)) {
        combine(plan, at, first, n, pure ? 1.0 : plan->attention_factor, space, space + n);
    } else {
        const roperot_row_table *const table = pure ? &plan->pure : &plan->rows;
        const int64_t begin = at * table->stride + block.head * table->head_stride + first;
        row->cos = table->cos + begin;
        row->sin = table->sin + begin;
        if (!turn) return;
        memcpy(space + n, row->sin, (size_t)n * sizeof *space);
        row->sin = space + n;
    }
    if (turn) negate(space + n, n);
}

/* The whole row of position p on every axis, in the caller's scratch if it is there, or (`first`) made there: rows of a
 * range stand until all of it is rotated, so that only its first token may replace what is kept. 0: it is not there. */
static int kept_row(const roperot_row_source *source, int64_t p, int first, roperot_row *row)
{
    static const uint32_t changing = ROPEROT_INVERSE | ROPEROT_PURE_ROTATION;
    const roperot_pair_block whole = { 0, source->plan->pairs, 0 };
    roperot_kept_row *const kept = source->kept;
    const uint32_t flags = source->flags & changing;
    float *const values = roperot_kept_row_values(kept);
    if (!roperot_kept_row_is(kept, source->plan, p, flags)) {
        if (!first) return 0;
        integer_row(source, p, whole, values, row);
        roperot_kept_row_set(kept, source->plan, p, flags);
    }
    *row = (roperot_row){ values, values + whole.count };
    return 1;
}

static void real_row(const roperot_row_source *source, double x, roperot_pair_block block, float *space,
                     roperot_row *row)
{
    const int32_t n = block.count;
    const roperot_plan *const plan = source->plan;
    const double factor = source->flags & ROPEROT_PURE_ROTATION ? 1.0 : plan->attention_factor;
    const double *const inv_freq = plan->inv_freq + block.first;
    if (plan->angles == ROPEROT_ANGLES_F32)
        plan->kernels->angles_f32(space, space + n, (float)fabs(x), inv_freq, n, (float)factor);
    else
        plan->kernels->angles(space, space + n, fabs(x), inv_freq, n, factor);
    if ((x < 0) != ((source->flags & ROPEROT_INVERSE) != 0)) negate(space + n, n);
    row->cos = space;
    row->sin = space + n;
}

void roperot_row_of_axis(const roperot_row_source *source, const roperot_place *at, int32_t a, roperot_pair_block block,
                         float *space, roperot_row *row)
{
    if (roperot_positions_are_real(source->positions))
        real_row(source, at->x[a], block, space, row);
    else
        integer_row(source, at->p[a], block, space, row);
}

/* Every pair by all axes. Angles may have either sign, so that p < 0 needs no turn. */
static void mixed_row(const roperot_row_source *source, const roperot_place *at, roperot_pair_block block, float *space,
                      roperot_row *row)
{
    const roperot_plan *const plan = source->plan;
    const double factor = source->flags & ROPEROT_PURE_ROTATION ? 1.0 : plan->attention_factor;
    const int real = roperot_positions_are_real(source->positions);
    double x[ROPEROT_MAX_AXES];
    for (int32_t a = 0; a < plan->axes; a++) x[a] = real ? at->x[a] : (double)at->p[a];
    plan->kernels->angles_mixed(space, space + block.count, x, plan->axes, plan->inv_freq + block.first, plan->pairs,
                                block.count, factor);
    if (source->flags & ROPEROT_INVERSE) negate(space + block.count, block.count);
    row->cos = space;
    row->sin = space + block.count;
}

static int same_everywhere(const roperot_place *at, int32_t axes)
{
    for (int32_t a = 1; a < axes; a++)
        if (at->p[a] != at->p[0]) return 0;
    return 1;
}

/* 0: the token is left alone. */
static int read_place(const roperot_row_source *source, int64_t b, int64_t t, roperot_place *at)
{
    if (roperot_positions_are_real(source->positions)) {
        roperot_coordinate_read(source->positions, source->axes, b, t, at->x);
        return 1;
    }
    roperot_position_read(source->positions, source->axes, b, t, at->p);
    return source->plan->bounds == ROPEROT_BOUNDS_ERROR ||
           roperot_position_bound(source->plan, source->flags, source->axes, at->p);
}

void roperot_rows_make_any(const roperot_row_source *source, const roperot_token_range *range, roperot_pair_block block,
                           roperot_scratch *scratch, roperot_row *rows)
{
    for (int32_t k = 0; k < range->count; k++) {
        roperot_place at;
        float *const space = scratch->values + (source->computed ? k * 2 * block.count : 0);
        rows[k].cos = rows[k].sin = NULL;
        if (!read_place(source, range->b + (range->across ? k : 0), range->t + (range->across ? 0 : k), &at)) continue;
        if (source->plan->mixed) {
            mixed_row(source, &at, block, space, &rows[k]);
        } else if (source->axes == 1 || same_everywhere(&at, source->axes)) {
            if (!source->kept || !kept_row(source, at.p[0], k == 0, &rows[k]))
                roperot_row_of_axis(source, &at, 0, block, space, &rows[k]);
            roperot_axis_blend_forget(scratch);
        } else {
            roperot_axis_blend(source, &at, block, scratch, space, &rows[k]);
        }
    }
}
