/* SPDX-License-Identifier: MIT
 * From positions to coefficient rows: looked up, combined, blended or computed; it must not know tensors. */
#ifndef ROPEROT_COEFFICIENT_ROWS_H
#define ROPEROT_COEFFICIENT_ROWS_H

#include "kernels.h"
#include "bounds.h"
#include "kept_row.h"
#include "plan.h"
#include "positions.h"

/* 4 KiB of scratch: a thread with the least stack that POSIX allows has about 9 KiB left for a call. Programs keep half
 * of it: heads have a scratch of their own there. */
enum { ROPEROT_TILE_TOKENS = 32, ROPEROT_SCRATCH_FLOATS = 1024, ROPEROT_PROGRAM_FLOATS = ROPEROT_SCRATCH_FLOATS / 2 };

typedef struct roperot_row_source {
    const roperot_plan *plan;
    const roperot_positions *positions;
    uint32_t flags;
    int32_t axes;           /* 1 if every token is at the same position on all of them */
    int32_t computed;       /* rows need scratch; else they are pointers into a table */
    int32_t looked_up;      /* nothing but pointers to rows, one after the other */
    int32_t tile_tokens;    /* rows that fit at once */
    int32_t block_pairs;    /* pairs of a row that fit at once */
    int32_t floats;         /* of the scratch */
    roperot_kept_row *kept; /* the caller's scratch; NULL: none, or of no use to these rows */
} roperot_row_source;

/* Successive tokens: token k is (b, t + k), or, across the batch (one token per sequence), (b + k, t). */
typedef struct roperot_token_range {
    int64_t b, t;
    int32_t across, count;
} roperot_token_range;

/* Pairs [first, first + count) of every row, or, if the table has rows per head, of every row of that head. */
typedef struct roperot_pair_block {
    int32_t first, count;
    int64_t head;
} roperot_pair_block;

/* One position or coordinate per axis. */
typedef union roperot_place {
    int64_t p[ROPEROT_MAX_AXES];
    double x[ROPEROT_MAX_AXES];
} roperot_place;

/* Where rows are computed, and the row that the next blended one may start from (axis_blend.c). */
typedef struct roperot_scratch {
    float *values;      /* aligned to 64 bytes: rows of a multiple of 16 pairs meet whole cache lines */
    roperot_row last;   /* cos NULL: none */
    roperot_place at;   /* where `last` is */
    int32_t last_first; /* its first pair */
    int64_t last_head;  /* its head */
} roperot_scratch;

static inline void roperot_scratch_init(roperot_scratch *scratch, float *values)
{
    scratch->values = values;
    scratch->last.cos = NULL;
}

/* positions NULL: no row will be asked for, but tokens are counted as if. `floats`: of the scratch. */
void roperot_row_source_init(roperot_row_source *source, const roperot_plan *plan, const roperot_positions *positions,
                             uint32_t flags, roperot_kept_row *kept, int32_t floats);

/* The row of what `at` says for axis a; in `space`, cos and then sin, or in a table. */
void roperot_row_of_axis(const roperot_row_source *source, const roperot_place *at, int32_t a, roperot_pair_block block,
                         float *space, roperot_row *row);

void roperot_rows_make_any(const roperot_row_source *source, const roperot_token_range *range, roperot_pair_block block,
                           roperot_scratch *scratch, roperot_row *rows);

/* Pointers to the rows of the tokens of a range at an OFFSET. */
static inline void roperot_rows_look_up(const roperot_row_source *source, const roperot_token_range *range,
                                        roperot_pair_block block, roperot_row *rows)
{
    const int pure = (source->flags & ROPEROT_PURE_ROTATION) != 0;
    const roperot_row_table *const table = pure ? &source->plan->pure : &source->plan->rows;
    const int64_t at =
        (source->positions->offset + range->t) * table->stride + block.head * table->head_stride + block.first;
    const int64_t stride = range->across ? 0 : table->stride;
    for (int32_t k = 0; k < range->count; k++) {
        rows[k].cos = table->cos + at + k * stride;
        rows[k].sin = table->sin + at + k * stride;
    }
}

/* The rows of the tokens of a range. A row with cos NULL leaves its token alone (IDENTITY). */
static inline void roperot_rows_make(const roperot_row_source *source, const roperot_token_range *range,
                                     roperot_pair_block block, roperot_scratch *scratch, roperot_row *rows)
{
    if (source->looked_up)
        roperot_rows_look_up(source, range, block, rows);
    else
        roperot_rows_make_any(source, range, block, scratch, rows);
}

#endif
