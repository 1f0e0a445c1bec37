/* SPDX-License-Identifier: MIT
 * The only benchmark file that sees inside a plan; it must not know how anything is timed.
 */
#include "front.h"

#include <stdlib.h>
#include <string.h>

#include "cache_factors.h"
#include "lists.h"
#include "passing.h"
#include "plan.h"
#include "values.h"

static void nothing(const roperot_tile *tile)
{
    (void)tile;
}

static void empty_kernels(roperot_plan *plan)
{
    for (int src = 0; src < ROPEROT_DTYPES; ++src)
        for (int dst = 0; dst < ROPEROT_DTYPES; ++dst)
            if (plan->rotate[src][dst] != NULL) plan->rotate[src][dst] = nothing;
}

const char *bench_front_empty_kernels(bench_rotation *rotation)
{
    void *const written = rotation->out_of_place ? rotation->out : rotation->data;
    void *const before = bench_allocate(rotation->bytes);
    if (before == NULL) return "no memory for the check";
    empty_kernels(rotation->plan);
    memcpy(before, written, rotation->bytes);
    bench_rotation_run(rotation, 1);
    const int same = memcmp(before, written, rotation->bytes) == 0;
    free(before);
    return same ? NULL : "the kernels could not be replaced; the run is void";
}

/* ---- kernels without a front ------------------------------------------------------------------------------------- */

enum { LINE = 64, MOST_PAIRS = 128 };

static struct {
    _Alignas(LINE) float values[2 * MOST_PAIRS]; /* a row that is made of factors */
    roperot_token token[2];
    roperot_tile tile[2];
    const double *factor[ROPEROT_LEVELS];
    const roperot_plan *plan; /* not read while the clock runs */
    roperot_rotate_fn *rotate;
    roperot_combine_fn *combine; /* NULL: rows are in a table */
    double scale;
    int64_t pairs;
    int32_t count;
} bare;

void bench_bare_prepare(const bench_rotation *rotation)
{
    const roperot_plan *const plan = rotation->plan;
    const int dtype = roperot_dtype_index(rotation->dtype);
    bare.plan = plan;
    bare.rotate = plan->rotate[dtype][dtype];
    bare.combine = plan->rows.cos == NULL ? plan->combine : NULL;
    bare.scale = plan->attention_factor;
    bare.pairs = plan->pairs;
    bare.count = rotation->count;
    for (int i = 0; i < rotation->count; ++i) {
        const roperot_tensor *const view = &rotation->src[i];
        const ptrdiff_t head = view->stride[2] * roperot_dtype_size(view->dtype);
        bare.token[i] = (roperot_token){ bare.values, bare.values + plan->pairs, view->data, view->data };
        bare.tile[i] = (roperot_tile){ .token = &bare.token[i],
                                       .tokens = 1,
                                       .heads = view->shape[2],
                                       .pairs = plan->pairs,
                                       .src_head = head,
                                       .dst_head = head,
                                       .src_half = plan->pairs,
                                       .dst_half = plan->pairs,
                                       .loop = ROPEROT_LOOP_COLUMNS };
    }
}

/* What is prepared is read, too: a call has its tiles on a stack that its caller has just used. */
void bench_bare_move(int64_t position)
{
    const roperot_row_table *const rows = &bare.plan->rows;
    bench_passing_warm(&bare, sizeof bare);
    if (bare.combine != NULL) roperot_factors_of(bare.plan, position, 0, bare.factor);
    for (int i = 0; i < bare.count && bare.combine == NULL; ++i) {
        bare.token[i].cos = rows->cos + position * rows->stride;
        bare.token[i].sin = rows->sin + position * rows->stride;
    }
}

static void ask_for(const void *data, int64_t bytes)
{
    for (int64_t i = 0; data != NULL && i < bytes; i += LINE) __builtin_prefetch((const char *)data + i, 0, 3);
}

void bench_bare_run(void *self, int64_t calls)
{
    const int64_t pairs = bare.pairs;
    (void)self;
    for (; calls > 0; --calls) {
        if (bare.combine == NULL) {
            ask_for(bare.token[0].cos, 2 * pairs * (int64_t)sizeof(float));
        } else {
            for (int i = 0; i < ROPEROT_LEVELS; ++i) ask_for(bare.factor[i], 2 * pairs * (int64_t)sizeof(double));
            bare.combine(bare.values, bare.values + pairs, bare.factor, pairs, pairs, bare.scale);
        }
        for (int i = 0; i < bare.count; ++i) bare.rotate(&bare.tile[i]);
    }
}
