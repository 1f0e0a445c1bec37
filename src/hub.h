/* SPDX-License-Identifier: MIT
 * Heads through an f32 scratch: norm, rotation, stores, for whatever no shorter way does; it must not know how tokens
 * are walked or where positions come from. */
#ifndef ROPEROT_HUB_H
#define ROPEROT_HUB_H

#include "task.h"

/* The scratch of one thread. Where a head is re-paired, or packed for pages, it goes from one half to the other. */
typedef struct roperot_hub {
    _Alignas(64) float half[2][ROPEROT_HUB_FLOATS];
    float scale[ROPEROT_HUB_HEADS]; /* of the heads that are loaded from pages */
} roperot_hub;

/* The coefficients of pairs [first, first + n) of a head of a line, where there is not one row at hand for all of it:
 * it does not fit the walk's scratch, which takes row_pairs at once, or each head has its own. */
typedef roperot_row roperot_hub_row_fn(const void *walk, int64_t b, int64_t t, int64_t head, int32_t first, int32_t n);

/* One line of a task: all its heads from src or `from` to dst and `to`. slot and from_slot: where pages are concerned;
 * slot < 0 leaves the store out; is_dense: dst is written. row: of all pairs, cos NULL if the line is not rotated; or,
 * if row_of is not NULL, what that gives (`walk` is its first argument). */
typedef struct roperot_line {
    int64_t b, t, slot, from_slot;
    int is_dense;
    roperot_row row;
    roperot_hub_row_fn *row_of;
    int32_t row_pairs;
    const void *walk;
} roperot_line;

/* A slot of dense pages of codes. */
typedef struct roperot_codes {
    const roperot_pages *pages;
    const roperot_head_kernels *kernels;
    char *to;               /* head 0 */
    int64_t head, channels; /* bytes from head to head; of each */
    float *scale;           /* of head 0; NULL: all are 1 */
} roperot_codes;

/* Heads from `first` on, made already in memory of `dtype`, as codes, with their scales. */
void roperot_hub_quantise(const roperot_codes *codes, int64_t first, int64_t heads, const void *src, int64_t src_head,
                          int32_t dtype);

void roperot_hub_run(roperot_hub *hub, const roperot_task *task, const roperot_line *line);

#endif
