/* SPDX-License-Identifier: MIT
 * From positions to coefficient rows: looked up, combined, blended or computed; it must not know tensors. */
#ifndef ROPEROT_ROWS_H
#define ROPEROT_ROWS_H

#include "kernels.h"
#include "plan.h"
#include "positions.h"

/* 4 KiB of scratch: a thread with the least stack that POSIX allows has about 9 KiB left for a call. */
enum { ROPEROT_TILE_TOKENS = 32, ROPEROT_SCRATCH_FLOATS = 1024 };

typedef struct roperot_row_source {
    const roperot_plan *plan;
    const roperot_positions *positions;
    uint32_t flags;
    int32_t axes;        /* 1 if every token is at the same position on all of them */
    int32_t computed;    /* rows need scratch; else they are pointers into a table */
    int32_t looked_up;   /* nothing but pointers to rows, one after the other */
    int32_t tile_tokens; /* rows that fit at once */
    int32_t block_pairs; /* pairs of a row that fit at once */
} roperot_row_source;

/* One position or coordinate per axis. */
typedef union roperot_place {
    int64_t p[ROPEROT_MAX_AXES];
    double x[ROPEROT_MAX_AXES];
} roperot_place;

/* Where rows are computed. With several axes, the row made last is where the next one starts: neighbours in an image
 * share most coordinates. */
typedef struct roperot_scratch {
    _Alignas(64) float values[ROPEROT_SCRATCH_FLOATS]; /* rows of a multiple of 16 pairs meet whole cache lines */
    roperot_row last;                                  /* cos NULL: none */
    roperot_place at;                                  /* where `last` is */
    int32_t last_first;                                /* its first pair */
} roperot_scratch;

static inline void roperot_scratch_init(roperot_scratch *scratch)
{
    scratch->last.cos = NULL;
}

void roperot_row_source_init(roperot_row_source *source, const roperot_plan *plan, const roperot_positions *positions,
                             uint32_t flags);

void roperot_rows_make_any(const roperot_row_source *source, int64_t b, int64_t t, int across, int count, int32_t first,
                           int32_t n, roperot_scratch *scratch, roperot_row *rows);

/* Pointers to the rows of `count` positions from `position` on, or (`across`) of one position. */
static inline void roperot_rows_look_up(const roperot_row_table *table, int64_t position, int across, int count,
                                        int32_t first, roperot_row *rows)
{
    const int64_t at = position * table->stride + first, step = across ? 0 : table->stride;
    for (int i = 0; i < count; i++) {
        rows[i].cos = table->cos + at + i * step;
        rows[i].sin = table->sin + at + i * step;
    }
}

/* Pairs [first, first + n) of the rows of `count` tokens: token i is at b + i (rows across the batch) if `across`,
 * else at t + i. A row with cos NULL leaves its token alone (IDENTITY). */
static inline void roperot_rows_make(const roperot_row_source *source, int64_t b, int64_t t, int across, int count,
                                     int32_t first, int32_t n, roperot_scratch *scratch, roperot_row *rows)
{
    if (!source->looked_up) {
        roperot_rows_make_any(source, b, t, across, count, first, n, scratch, rows);
        return;
    }
    const int pure = (source->flags & ROPEROT_PURE_ROTATION) != 0;
    const roperot_row_table *const table = pure ? &source->plan->pure : &source->plan->rows;
    roperot_rows_look_up(table, source->positions->offset + t, across, count, first, rows);
}

#endif
