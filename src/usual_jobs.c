/* SPDX-License-Identifier: MIT
 * Jobs as nearly every call brings them, checked in one pass; it must not know how what is wrong is told.
 *
 * Whatever is odd about a struct is one OR, and sizes are below 2^28, so that no product and no sum of them leaves 63
 * bits. What overlaps what is found without a branch to mispredict. */
#include "usual_jobs.h"

#include <float.h>

#include "bounds.h"
#include "compiler.h"
#include "heads.h"
#include "lists.h"
#include "norm.h"
#include "task.h"

enum {
    SMALL = 1 << 28,
    KNOWN_FLAGS = ROPEROT_JOB_UNROTATED | ROPEROT_JOB_SKIP | ROPEROT_JOB_UNROUNDED,
    KNOWN_NORM_FLAGS = ROPEROT_NORM_UNIT_OFFSET | ROPEROT_NORM_AFTER
};

/* Not inlined: it is called twice. */
static ROPEROT_NOINLINE int64_t reach_of(const roperot_page_strides *s, int64_t pages, int64_t tokens, int64_t heads,
                                         int64_t core)
{
    return roperot_page_reach(s, pages, tokens, heads, core);
}

/* 0: it wraps, or is more than memory can be. */
static int set_extent(roperot_extent *e, uintptr_t begin, uint64_t bytes)
{
    e->begin = begin;
    e->end = begin + (uintptr_t)bytes;
    return bytes <= PTRDIFF_MAX && e->end > begin;
}

static int static_scales_are_usual(const roperot_pages *p, int64_t heads, roperot_touched *all)
{
    const int64_t step = p->scale_head_stride, last = step ? (heads - 1) * step : 0;
    if (!set_extent(&all->read[all->reads++], (uintptr_t)p->scale, (uint64_t)(last + 1) * sizeof(float))) return 0;
    for (int64_t h = 0; h < (step ? heads : 1); h++) {
        const float scale = p->scale[h * step];
        if (!(scale > 0.0f && scale <= FLT_MAX && 1.0f / scale <= FLT_MAX)) return 0;
    }
    return 1;
}

static int scales_are_usual(const roperot_pages *p, int64_t heads, roperot_touched *all)
{
    const roperot_page_strides s = { p->scale_page_stride, p->scale_token_stride, p->scale_head_stride };
    const uint64_t sizes = (uint64_t)(s.page | s.token | s.head);
    const uintptr_t at = (uintptr_t)p->scale;
    if (p->scaling == ROPEROT_SCALE_STATIC && at == 0) return 1;
    if (at == 0 || at % sizeof(float) || !roperot_is_scaled(p->dtype) || sizes >= SMALL) return 0;
    if (p->scaling == ROPEROT_SCALE_STATIC) return static_scales_are_usual(p, heads, all);
    if (p->scaling != ROPEROT_SCALE_DYNAMIC || !(p->scale_floor >= 0.0f && p->scale_floor <= FLT_MAX)) return 0;
    const int64_t floats = reach_of(&s, p->pages, p->page_tokens, heads, 1);
    return floats && set_extent(&all->written[all->writes++], at, (uint64_t)floats * sizeof(float));
}

int roperot_pages_are_usual(const roperot_pages *p, const int64_t shape[4], roperot_touched *all)
{
    const int64_t heads = shape[2], dim = shape[3];
    const int is_blocked = p->dtype == ROPEROT_Q8_0, has_codes = is_blocked || roperot_is_scaled(p->dtype);
    const int64_t size = has_codes ? 1 : roperot_dtype_size(p->dtype);
    const int64_t slot_size = p->slot_type == ROPEROT_POSITIONS_I32 ? 4 : 8;
    const int64_t core = is_blocked ? dim / ROPEROT_Q8_0_CHANNELS * ROPEROT_Q8_0_BYTES : dim;
    const roperot_page_strides s = { p->page_stride, p->token_stride, p->head_stride };
    const uintptr_t data = (uintptr_t)p->data, slots = (uintptr_t)p->slots;
    const uint64_t sizes = (uint64_t)(p->pages | p->page_tokens | s.page | s.token | s.head | p->slot_batch_stride |
                                      p->slot_token_stride);
    const uint64_t odd = (uint64_t)(p->size ^ sizeof *p) | (uint64_t)(p->channel_stride ^ !is_blocked) |
                         (uint32_t)p->tile | (uint32_t)p->scale_reserved |
                         ((uint32_t)p->slot_type - ROPEROT_POSITIONS_I32 > 1) | (slots & (uintptr_t)(slot_size - 1)) |
                         (data & (uintptr_t)(size - 1));
    if (is_blocked && (dim % ROPEROT_Q8_0_CHANNELS || dim > ROPEROT_HUB_FLOATS)) return 0;
    if (odd || sizes >= SMALL || size == 0 || !p->pages || !p->page_tokens || !data || !slots) return 0;
    const int64_t units = reach_of(&s, p->pages, p->page_tokens, heads, core);
    const int64_t lines = (shape[0] - 1) * p->slot_batch_stride + (shape[1] - 1) * p->slot_token_stride + 1;
    return units && set_extent(&all->written[all->writes++], data, (uint64_t)(units * size)) &&
           set_extent(&all->read[all->reads++], slots, (uint64_t)(lines * slot_size)) &&
           scales_are_usual(p, heads, all);
}

/* Not inlined: it is called twice. */
static ROPEROT_NOINLINE int view_is_usual(const roperot_tensor *t, const int64_t shape[4], roperot_extent *own)
{
    const int64_t other = (t->shape[0] ^ shape[0]) | (t->shape[1] ^ shape[1]) | (t->shape[2] ^ shape[2]);
    return other == 0 && roperot_tensor_is_plain(t, (int32_t)shape[3], own);
}

static int job_is_usual(roperot_jobs *c, const roperot_job *j, roperot_touched *all)
{
    const roperot_tensor *const src = j->src;
    const int is_rotated = roperot_job_is_rotated(j);
    const uint64_t odd = (uint64_t)(j->flags & ~(uint32_t)KNOWN_FLAGS) | (uintptr_t)j->from | (uintptr_t)j->factor |
                         (uint64_t)(j->batch | j->tokens | j->heads | j->dim);
    roperot_extent own, other;
    if (odd || !src || (!j->dst && !j->to)) return 0;
    const int64_t dim = src->shape[3], most = is_rotated ? c->plan->head_dim : ROPEROT_MAX_CHANNELS;
    if (dim > most || dim < (is_rotated ? most : 1)) return 0;
    const int64_t shape[4] = { c->batch, c->tokens, src->shape[2], dim };
    if (!view_is_usual(src, shape, &own)) return 0;
    if (j->norm && roperot_norm_odd(j->norm, KNOWN_NORM_FLAGS)) return 0;
    if (j->to && !roperot_pages_are_usual(j->to, shape, all)) return 0;
    if (j->dst && j->dst != src && !view_is_usual(j->dst, shape, &other)) return 0;
    const int stays = roperot_job_stays(j);
    if (j->dst) all->written[all->writes++] = stays ? own : other;
    if (!stays) all->read[all->reads++] = own;
    c->rotates |= is_rotated;
    c->touched += roperot_job_bytes(j, stays) * src->shape[2] * dim;
    return 1;
}

int roperot_jobs_are_usual(roperot_jobs *c)
{
    const roperot_plan *const plan = c->plan;
    const roperot_tensor *const first = roperot_job_at(c, 0)->src;
    roperot_touched all;
    if (c->count > ROPEROT_USUAL_JOBS || !first || plan->heads || plan->pairing != plan->pairing_out) return 0;
    all.writes = all.reads = 0;
    c->batch = first->shape[0];
    c->tokens = first->shape[1];
    c->touched = 0;
    c->rotates = 0;
    for (int32_t i = 0; i < c->count; i++) {
        const roperot_job *const j = roperot_job_at(c, i);
        if (!job_is_usual(c, j, &all) || (j->norm && c->flags & ROPEROT_INVERSE)) return 0;
    }
    return (!c->rotates || c->positions) && roperot_are_apart(&all);
}
