/* SPDX-License-Identifier: MIT
 * From a checked job to what its lines need, and the way that each of its destinations takes; it must not know how
 * tokens are walked. */
#ifndef ROPEROT_TASK_H
#define ROPEROT_TASK_H

#include "jobs.h"
#include "kernels.h"
#include "pages.h"
#include "plan.h"

/* A head of at most this many channels is in the hub's scratch as a whole; a longer one comes in pieces. Norms without
 * the hub take channels in multiples of 32. Heads that are quantised lie behind the weights of their norm. */
enum {
    ROPEROT_HUB_FLOATS = 512,
    ROPEROT_HUB_HEADS = 8,
    ROPEROT_NORM_CHANNELS = 32,
    ROPEROT_CODES_FLOATS = 768
};

/* Where results go, in this order: in place, the dense one lands where the source was. */
enum { ROPEROT_TO_PAGES, ROPEROT_TO_DENSE, ROPEROT_DESTINATIONS };

/* How they get there: not at all; as bytes; as floats that are rounded; by a rotation; by a norm and a rotation in the
 * dtype of the source (and floats rounded from there); made in that dtype in any of these ways, and quantised from
 * there; through the hub's f32 scratch, which is right for everything. */
enum {
    ROPEROT_WAY_NONE,
    ROPEROT_WAY_COPY,
    ROPEROT_WAY_STORE,
    ROPEROT_WAY_ROTATE,
    ROPEROT_WAY_NORM,
    ROPEROT_WAY_QUANTISE,
    ROPEROT_WAY_HUB
};

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
    int32_t offset, pairs; /* the rotated channels; pairs 0 if none are */
    int32_t in, out;       /* pairings */
    int32_t through;       /* T: dtype that roundings on the way go to */
    int32_t stays;         /* dst is the view of src */
    int32_t skips, rounds; /* lines without a slot as a whole; quantised stores take T(value) */
    int32_t turns;         /* one kernel takes the norm and the rotation, if it takes the weights */
    int32_t loop;          /* ROPEROT_LOOP_... of rotations that move */
    int32_t way[ROPEROT_DESTINATIONS];
    roperot_rotate_fn *rotate[ROPEROT_DESTINATIONS]; /* ROTATE: from src; NORM: in place */
    roperot_rotate_fn *in_scratch;                   /* f32 to f32 */
} roperot_task;

void roperot_task_init(roperot_task *task, const roperot_jobs *jobs, const roperot_job *job);

static inline char *roperot_dense_at(const roperot_dense *d, int64_t b, int64_t t, int64_t head)
{
    return d->data + b * d->batch + t * d->token + head * d->head;
}

#endif
