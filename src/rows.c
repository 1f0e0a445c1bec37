/* SPDX-License-Identifier: MIT
 * From positions to coefficient rows: looked up, combined, blended or computed; it must not know tensors. */
#include "rows.h"

#include <math.h>
#include <string.h>

#include "cache_factors.h"
#include "positions.h"

/* The same rows without the attention factor come from factors where no pure table is kept. */
static int takes_factors(const roperot_plan *plan, uint32_t flags)
{
    if (plan->cache == ROPEROT_CACHE_FACTORED) return 1;
    return flags & ROPEROT_PURE_ROTATION && !plan->pure.cos;
}

void roperot_row_source_init(roperot_row_source *source, const roperot_plan *plan, const roperot_positions *positions,
                             uint32_t flags)
{
    source->plan = plan;
    source->positions = positions;
    source->flags = flags;
    source->axes = positions->kind == ROPEROT_POSITIONS_OFFSET || positions->axes <= 1 ? 1 : plan->axes;
    const int made = flags & (ROPEROT_INVERSE | ROPEROT_SIGNED_POSITIONS) || takes_factors(plan, flags) ||
                     roperot_positions_are_real(positions); /* else a row of one axis is in a table */
    source->computed = made || source->axes > 1;
    source->looked_up =
        !source->computed && plan->bounds == ROPEROT_BOUNDS_ERROR && positions->kind == ROPEROT_POSITIONS_OFFSET;
    source->block_pairs = plan->pairs;
    source->tile_tokens = ROPEROT_TILE_TOKENS;
    if (!source->computed) return;
    /* One row more for the axis that is being blended in. */
    const int32_t extra = made && source->axes > 1, most = ROPEROT_SCRATCH_FLOATS / (2 * (1 + extra)) / 16 * 16;
    if (source->block_pairs > most) source->block_pairs = most;
    const int32_t fit = ROPEROT_SCRATCH_FLOATS / (2 * source->block_pairs) - extra;
    if (source->tile_tokens > fit) source->tile_tokens = fit;
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
static void integer_row(const roperot_row_source *source, int64_t p, int32_t first, int32_t n, float *space,
                        roperot_row *row)
{
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
        row->cos = table->cos + at * table->stride + first;
        row->sin = table->sin + at * table->stride + first;
        if (!turn) return;
        memcpy(space + n, row->sin, (size_t)n * sizeof *space);
        row->sin = space + n;
    }
    if (turn) negate(space + n, n);
}

static void real_row(const roperot_row_source *source, double x, int32_t first, int32_t n, float *space,
                     roperot_row *row)
{
    const roperot_plan *const plan = source->plan;
    const double factor = source->flags & ROPEROT_PURE_ROTATION ? 1.0 : plan->attention_factor;
    const double *const inv_freq = plan->inv_freq + first;
    if (plan->angles == ROPEROT_ANGLES_F32)
        plan->kernels->angles_f32(space, space + n, (float)fabs(x), inv_freq, n, (float)factor);
    else
        plan->kernels->angles(space, space + n, fabs(x), inv_freq, n, factor);
    if ((x < 0) != ((source->flags & ROPEROT_INVERSE) != 0)) negate(space + n, n);
    row->cos = space;
    row->sin = space + n;
}

static void row_of_axis(const roperot_row_source *source, int real, const roperot_place *at, int32_t a, int32_t first,
                        int32_t n, float *space, roperot_row *row)
{
    if (real)
        real_row(source, at->x[a], first, n, space, row);
    else
        integer_row(source, at->p[a], first, n, space, row);
}

static int same_everywhere(const roperot_place *at, int32_t axes)
{
    for (int32_t a = 1; a < axes; a++)
        if (at->p[a] != at->p[0]) return 0;
    return 1;
}

/* Whether the row made last is as good to start from as axis 0's: no more axes have moved since then than differ from
 * axis 0. A row that would stay as it is does not count: it may lie where a later row of this tile will. */
static int starts_from_last(const roperot_row_source *source, const roperot_place *at, int32_t first,
                            const roperot_scratch *scratch)
{
    int moved = 0, apart = 0;
    if (!scratch->last.cos || scratch->last_first != first) return 0;
    for (int32_t a = 0; a < source->axes; a++) {
        moved += at->p[a] != scratch->at.p[a];
        apart += at->p[a] != at->p[0];
    }
    return moved > 0 && moved <= apart;
}

static void start_from_axis_0(const roperot_row_source *source, int real, const roperot_place *at, int32_t first,
                              int32_t n, roperot_scratch *scratch, float *space)
{
    row_of_axis(source, real, at, 0, first, n, space, &scratch->last);
    scratch->last_first = first;
    for (int32_t a = 0; a < source->axes; a++) scratch->at.p[a] = at->p[0];
}

/* Each pair from the row of its axis, for positions that are not the same on all axes: along a line of an image one
 * axis moves, and what it takes is one row and one pass over it. */
static void blended_row(const roperot_row_source *source, int real, const roperot_place *at, int32_t first, int32_t n,
                        roperot_scratch *scratch, float *space, roperot_row *row)
{
    const roperot_plan *const plan = source->plan;
    float *const workspace = scratch->values + ROPEROT_SCRATCH_FLOATS - 2 * n;
    if (!starts_from_last(source, at, first, scratch)) start_from_axis_0(source, real, at, first, n, scratch, space);
    row->cos = space;
    row->sin = space + n;
    for (int32_t a = 0; a < source->axes; a++) {
        if (at->p[a] == scratch->at.p[a]) continue;
        roperot_row one;
        row_of_axis(source, real, at, a, first, n, workspace, &one);
        const uint32_t *const mask = plan->masks + 2 * a * plan->pairs + first;
        plan->kernels->blend(space, space + n, &one, &scratch->last, mask, mask + plan->pairs, n);
        scratch->last.cos = space;
        scratch->last.sin = space + n;
        scratch->at.p[a] = at->p[a];
    }
}

void roperot_rows_make_any(const roperot_row_source *source, int64_t b, int64_t t, int across, int count, int32_t first,
                           int32_t n, roperot_scratch *scratch, roperot_row *rows)
{
    const roperot_plan *const plan = source->plan;
    const int32_t axes = source->axes;
    const int real = roperot_positions_are_real(source->positions);
    for (int i = 0; i < count; i++) {
        roperot_place at;
        const int64_t row_b = across ? b + i : b, row_t = across ? t : t + i;
        rows[i].cos = rows[i].sin = NULL;
        if (real) {
            roperot_coordinate_read(source->positions, axes, row_b, row_t, at.x);
        } else {
            roperot_position_read(source->positions, axes, row_b, row_t, at.p);
            if (plan->bounds != ROPEROT_BOUNDS_ERROR && !roperot_position_bound(plan, source->flags, axes, at.p))
                continue;
        }
        float *const space = scratch->values + (source->computed ? i * 2 * n : 0);
        if (axes == 1 || same_everywhere(&at, axes)) {
            row_of_axis(source, real, &at, 0, first, n, space, &rows[i]);
            scratch->last.cos = NULL; /* it may have been where this one is now */
        } else {
            blended_row(source, real, &at, first, n, scratch, space, &rows[i]);
        }
    }
}
