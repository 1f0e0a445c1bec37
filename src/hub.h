/* SPDX-License-Identifier: MIT
 * Heads through an f32 scratch: norm, rotation, stores, for whatever no fused kernel does; it must not know how tokens
 * are walked or where positions come from. */
#ifndef ROPEROT_HUB_H
#define ROPEROT_HUB_H

#include "kernels.h"
#include "pages.h"
#include "plan.h"

/* A head of at most this many channels is in the scratch as a whole; a longer one comes in pieces. */
enum { ROPEROT_HUB_FLOATS = 512, ROPEROT_HUB_HEADS = 16 };

/* One side of a dense tensor, strides in bytes; dtype 0: there is none. */
typedef struct roperot_dense {
    char *data;
    int64_t batch, token, head;
    int32_t dtype, size;
} roperot_dense;

/* A checked job, as the walk and the hub want it. */
typedef struct roperot_task {
    const roperot_plan *plan;
    const roperot_norm *norm;
    const roperot_kernels *kernels;
    roperot_dense src, dst;
    roperot_page_view from, to; /* pages NULL: none */
    const float *factor;
    int64_t factor_batch, factor_token; /* elements */
    int64_t heads, dim;
    int32_t rotated, offset, pairs;       /* the rotated channels; pairs 0 if none are */
    int32_t in, out;                      /* pairings */
    int32_t through;                      /* T: dtype that roundings on the way go to */
    int32_t stays;                        /* dst is the view of src */
    int32_t skips, rounds;                /* lines without a slot as a whole; quantised stores take T(value) */
    roperot_rotate_fn *in_scratch;        /* f32 to f32 */
    roperot_norm_rotate_fn *fused;        /* norm and rotation, src to its own dtype; NULL: through the hub */
    roperot_rotate_fn *to_dst, *to_pages; /* fused: src to them; NULL: through the hub */
} roperot_task;

/* The scratch of one thread. Where a head is re-paired, or packed for pages, it goes from one half to the other. */
typedef struct roperot_hub {
    _Alignas(64) float half[2][ROPEROT_HUB_FLOATS];
    float scale[ROPEROT_HUB_HEADS]; /* of the heads that are loaded from pages */
} roperot_hub;

/* The coefficients of pairs [first, first + n) of a head of a line, where there is not one row at hand for all of it: it
 * does not fit the walk's scratch, or each head has its own. */
typedef roperot_row roperot_hub_row_fn(void *walk, int64_t b, int64_t t, int64_t head, int32_t first, int32_t n);

/* One line of a task: all its heads from src or `from` to dst and `to`. slot and from_slot: where pages are concerned;
 * slot < 0 leaves the store out. row: of all pairs, cos NULL if the line is not rotated; or, if row_of is not NULL,
 * what that gives (`walk` is its first argument). */
typedef struct roperot_line {
    int64_t b, t, slot, from_slot;
    roperot_row row;
    roperot_hub_row_fn *row_of;
    void *walk;
} roperot_line;

/* The heads of a line from src to `dst`, `dst_head` bytes apart, by the fused norm and rotation. */
void roperot_hub_run_fused(const roperot_task *task, const roperot_line *line, char *dst, int64_t dst_head);

void roperot_hub_run(roperot_hub *hub, const roperot_task *task, const roperot_line *line);

static inline char *roperot_dense_at(const roperot_dense *d, int64_t b, int64_t t, int64_t head)
{
    return d->data + b * d->batch + t * d->token + head * d->head;
}

#endif
