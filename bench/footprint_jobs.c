/* SPDX-License-Identifier: MIT
 * The calls of roperot_run that a decode step makes, of one token; it must not know how they are counted. */
#include "footprint_jobs.h"

enum { DIM = 128, Q_HEADS = 32, K_HEADS = 8, PAGES = 4, PAGE_TOKENS = 16, SLOT = 35 };

const char *const footprint_jobs_names[FOOTPRINT_END] = { "", "run-q/", "run-kv/", "run-layer/" };

/* Zeros will do in any dtype: no branch depends on values. */
static float memory[3][Q_HEADS * DIM], paged[2][PAGES * PAGE_TOKENS * K_HEADS * DIM], weights[2][DIM];

static void set_pages(roperot_pages *p, float *data, int32_t dtype)
{
    static const int64_t slot = SLOT;
    *p = (roperot_pages)ROPEROT_PAGES_INIT;
    p->data = data;
    p->dtype = dtype;
    p->pages = PAGES;
    p->page_tokens = PAGE_TOKENS;
    p->page_stride = PAGE_TOKENS * K_HEADS * DIM;
    p->token_stride = K_HEADS * DIM;
    p->head_stride = DIM;
    p->channel_stride = 1;
    p->slots = &slot;
    p->slot_type = ROPEROT_POSITIONS_I64;
}

static void set_norm(roperot_norm *n, const float *weight, int32_t dtype)
{
    *n = (roperot_norm)ROPEROT_NORM_INIT;
    n->rounding = ROPEROT_NORM_ROUND_ONCE;
    n->weight = weight;
    n->weight_dtype = dtype;
}

void footprint_jobs_make(footprint_jobs *jobs, int32_t which, int32_t dtype)
{
    const int32_t stored = dtype == ROPEROT_F32 ? ROPEROT_F16 : dtype;
    const int first = which == FOOTPRINT_KV ? 1 : 0, end = which == FOOTPRINT_Q ? 1 : 3;
    jobs->count = which ? end - first : 0;
    for (int i = 0; i < 2; ++i) {
        set_norm(&jobs->norm[i], weights[i], dtype);
        set_pages(&jobs->pages[i], paged[i], stored);
    }
    for (int i = first; i < end; ++i) {
        roperot_job *const j = &jobs->job[i - first];
        jobs->view[i] = roperot_tensor_shd(memory[i], dtype, 1, i == 0 ? Q_HEADS : K_HEADS, DIM);
        *j = (roperot_job)ROPEROT_JOB_INIT;
        j->src = &jobs->view[i];
        if (i == 0) j->dst = j->src;
        if (i != 0) j->to = &jobs->pages[i - 1];
        if (i != 2) j->norm = &jobs->norm[i];
        if (i == 2) j->flags = ROPEROT_JOB_UNROTATED;
    }
}
