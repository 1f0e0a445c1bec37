/* SPDX-License-Identifier: MIT
 * The fast path of roperot_run: the jobs of one token, as nearly every decode step brings them; it must not know how
 * any other call is checked.
 *
 * A few jobs, some of them rotated, with the usual norm or none, from plain views into the same view, another one, or
 * pages of dense heads of any format, at an OFFSET or an id. Whatever else is asked for, right or wrong, goes to
 * roperot_run_any before anything is written. As in fast_path.c, lines and pages of code are what such a call costs;
 * what only quantised pages take lies elsewhere. */
#include <string.h>

#include "hub.h"
#include "norm.h"
#include "run.h"
#include "usual_call.h"
#include "usual_jobs.h"

enum { MOST_JOBS = ROPEROT_USUAL_JOBS, SMALL_BITS = 28, MADE_FLOATS = 1024 };

/* Where a job's heads go: head 0, and bytes from head to head. */
typedef struct target {
    char *data;
    ptrdiff_t head;
    int32_t dtype;
    float *scale; /* of codes: of head 0; NULL: all are 1 */
} target;

/* Checked jobs, and what they touch. */
typedef struct checked_jobs {
    roperot_touched touched;
    target to[MOST_JOBS];
    int32_t rotates; /* some job is rotated */
} checked_jobs;

/* Pages of another dtype than tensors have. */
static ROPEROT_INLINE int are_codes(int32_t dtype)
{
    return (uint32_t)dtype - ROPEROT_F32 >= ROPEROT_DTYPES;
}

/* ---- checks ------------------------------------------------------------------------------------------------------ */

/* Not inlined: it is called twice. */
static ROPEROT_FAST_CODE uint64_t odd_view(const roperot_tensor *view, uint64_t dim, roperot_extent *extent)
{
    return roperot_view_odd(view, dim, 1, extent, 1);
}

/* 0 if a kernel takes this norm of heads of a dtype into the same one. */
static ROPEROT_INLINE uint64_t odd_norm(const roperot_plan *plan, const roperot_norm *n, int dtype, int64_t dim)
{
    return roperot_norm_odd(n, ROPEROT_NORM_UNIT_OFFSET) | (uint64_t)(dim % ROPEROT_NORM_CHANNELS) |
           (uint64_t)((dim > ROPEROT_HUB_FLOATS) | !plan->norm[dtype] |
                      (dtype != ROPEROT_INDEX_f32 && n->rounding == ROPEROT_NORM_ROUND_NONE));
}

/* The token's slot of pages whose sizes are small, in elements of so many bytes. 0 if it is one of theirs; `is_empty`:
 * none is read. */
static ROPEROT_INLINE uint64_t odd_slot(const roperot_pages *p, int64_t size, int is_empty, const int is_scaled,
                                        target *to)
{
    const uint64_t slot = is_empty ? 0 : (uint64_t)roperot_slot_read(p, 0, 0);
    const uint32_t page = (uint32_t)slot / (uint32_t)p->page_tokens, token = (uint32_t)slot % (uint32_t)p->page_tokens;
    to->data = (char *)p->data + (ptrdiff_t)((page * p->page_stride + token * p->token_stride) * size);
    to->head = (ptrdiff_t)(p->head_stride * size);
    to->dtype = p->dtype;
    if (is_scaled) to->scale = p->scale;
    if (is_scaled && p->scaling == ROPEROT_SCALE_DYNAMIC)
        to->scale += page * p->scale_page_stride + token * p->scale_token_stride;
    return slot >> 32 | (uint64_t)(slot >= (uint64_t)(p->pages * p->page_tokens));
}

/* 0 if pages hold dense heads of a tensors' dtype, and the token's slot. */
static ROPEROT_INLINE uint64_t odd_pages(const roperot_pages *p, int64_t heads, int64_t dim, int is_empty,
                                         checked_jobs *all, int32_t i)
{
    const uintptr_t data = (uintptr_t)p->data, slots = (uintptr_t)p->slots;
    const uintptr_t slot_size = p->slot_type == ROPEROT_POSITIONS_I64 ? sizeof(int64_t) : sizeof(int32_t);
    const int64_t size = roperot_dtype_size_flat(p->dtype);
    const roperot_page_strides s = { p->page_stride, p->token_stride, p->head_stride };
    const uint64_t sizes = (uint64_t)(p->pages | p->page_tokens | s.page | s.token | s.head);
    roperot_touched *const touched = &all->touched;
    if ((p->size ^ sizeof *p) | (uint64_t)(p->channel_stride ^ 1) | (uint32_t)p->tile | (uint32_t)p->scale_reserved |
        (uint32_t)p->scaling | (uintptr_t)p->scale | ((uint32_t)p->slot_type - ROPEROT_POSITIONS_I32 > 1) |
        (slots & (slot_size - 1)) | (data & (uintptr_t)(size - 1)) | sizes >> SMALL_BITS |
        (uint64_t)((p->pages == 0) | (p->page_tokens == 0) | (data == 0) | (slots == 0)))
        return 1;
    const uint64_t units = (uint64_t)roperot_page_reach(&s, p->pages, p->page_tokens, heads, dim); /* 0 ends too soon */
    const uint64_t bytes = units * (uint64_t)size;
    touched->written[touched->writes++] = (roperot_extent){ data, data + (uintptr_t)bytes };
    touched->read[touched->reads++] = (roperot_extent){ slots, slots + slot_size };
    return odd_slot(p, size, is_empty, 0, &all->to[i]) |
           (uint64_t)((data + (uintptr_t)bytes <= data) | (bytes > PTRDIFF_MAX));
}

/* 0 if pages hold dense heads of codes, and the token's slot, and a head can be made in the source's dtype: UNROUNDED
 * may ask for another one. */
static ROPEROT_NOINLINE uint64_t odd_codes(const roperot_job *j, int64_t dim, int is_empty, checked_jobs *all,
                                           int32_t i)
{
    const roperot_tensor *const src = j->src;
    const int64_t shape[4] = { 1, 1, src->shape[2], dim };
    if (dim * roperot_dtype_size_flat(src->dtype) > MADE_FLOATS * (int64_t)sizeof(float)) return 1;
    if ((j->flags & ROPEROT_JOB_UNROUNDED && src->dtype != ROPEROT_F32) ||
        !roperot_pages_are_usual(j->to, shape, &all->touched))
        return 1;
    return odd_slot(j->to, 1, is_empty, 1, &all->to[i]);
}

/* 0 if dst, with as many heads as src, is where the heads go, src itself (whose extent `own` is) or another plain
 * view. */
static ROPEROT_INLINE uint64_t odd_dst(const roperot_job *j, int64_t dim, const roperot_extent *own, checked_jobs *all,
                                       int32_t i)
{
    const roperot_tensor *const src = j->src, *const dst = j->dst;
    const int64_t size = roperot_dtype_size_flat(dst->dtype), heads = src->shape[2];
    roperot_touched *const touched = &all->touched;
    roperot_extent *const written = &touched->written[touched->writes++];
    target *const to = &all->to[i];
    to->data = dst->data;
    to->head = (ptrdiff_t)((uint64_t)dst->stride[2] * (uint64_t)size); /* of any stride until odd_view has looked */
    to->dtype = dst->dtype;
    if (dst == src) {
        *written = *own;
        return 0;
    }
    const int stays = dst->data == src->data && dst->dtype == src->dtype &&
                      (heads == 1 || dst->stride[2] == src->stride[2]);
    touched->read[touched->reads] = *own;
    touched->reads += !stays;
    return odd_view(dst, (uint64_t)dim, written) | (uint64_t)(dst->shape[2] ^ heads);
}

/* 0 if there is a way from the source's dtype to that of the target. */
static ROPEROT_INLINE uint64_t odd_dtypes(const roperot_plan *plan, const roperot_job *j, int src, int dst)
{
    if (src == dst || dst >= ROPEROT_DTYPES) return 0; /* codes are made of it */
    if (j->norm || !roperot_job_is_rotated(j)) return (uint64_t)(src != ROPEROT_INDEX_f32);
    return (uint64_t)(!(plan->fast & ROPEROT_FAST_MOVED) || !plan->rotate[src][dst]);
}

/* 0 if job i is a usual one by itself, which `all` has then. */
static ROPEROT_INLINE uint64_t odd_job(const roperot_plan *plan, const roperot_job *j, int is_empty, checked_jobs *all,
                                       int32_t i)
{
    static const uint32_t known = ROPEROT_JOB_UNROTATED | ROPEROT_JOB_SKIP | ROPEROT_JOB_UNROUNDED;
    const roperot_tensor *const src = j->src;
    const int is_rotated = roperot_job_is_rotated(j);
    if ((j->size ^ sizeof *j) | (j->flags & ~known) | (uintptr_t)j->from | (uintptr_t)j->factor |
        (uint64_t)(j->batch | j->tokens | j->heads | j->dim) | (uint64_t)(!src | (!j->dst == !j->to)))
        return 1;
    const int64_t heads = src->shape[2], dim = is_rotated ? plan->head_dim : src->shape[3];
    const int dtype = roperot_dtype_index(src->dtype);
    roperot_touched *const touched = &all->touched;
    roperot_extent own;
    if (odd_view(src, (uint64_t)dim, &own) | (uint64_t)((uint64_t)dim - 1 >= ROPEROT_MAX_CHANNELS))
        return 1;
    if (j->norm && odd_norm(plan, j->norm, dtype, dim)) return 1;
    if (j->to) touched->read[touched->reads++] = own;
    if (ROPEROT_UNLIKELY(j->to && are_codes(j->to->dtype))) {
        if (odd_codes(j, dim, is_empty, all, i)) return 1;
    } else if (j->to ? odd_pages(j->to, heads, dim, is_empty, all, i) : odd_dst(j, dim, &own, all, i)) {
        return 1;
    }
    all->rotates |= is_rotated;
    return odd_dtypes(plan, j, dtype, roperot_dtype_index(all->to[i].dtype));
}

/* ---- work -------------------------------------------------------------------------------------------------------- */

/* Rotates heads from where they are to where they go, which may be the same. */
static ROPEROT_INLINE void turn(roperot_rotate_fn *rotate, roperot_tile *tile, roperot_token *token, int64_t heads,
                                const void *src, ptrdiff_t src_head, void *dst, ptrdiff_t dst_head)
{
    token->src = src;
    tile->heads = (ptrdiff_t)heads;
    token->dst = dst;
    tile->src_head = src_head;
    ROPEROT_APART;
    tile->dst_head = dst_head;
    rotate(tile);
}

/* Heads from `first` on, made in the source's dtype, as codes. */
static ROPEROT_NOINLINE void quantise(const roperot_plan *plan, const roperot_job *j, const target *to, int64_t first,
                                      int64_t heads, const void *src, ptrdiff_t src_head)
{
    const roperot_codes codes = { j->to, &plan->kernels->heads, to->data, to->head, j->src->shape[3], to->scale };
    roperot_hub_quantise(&codes, first, heads, src, src_head, j->src->dtype);
}

/* Heads from `first` on, made in the source's dtype, to where they go in another one. */
static ROPEROT_INLINE void put(const roperot_plan *plan, const roperot_job *j, const target *to, int64_t first,
                               const roperot_norm_of_heads *n)
{
    if (ROPEROT_UNLIKELY(are_codes(to->dtype))) {
        quantise(plan, j, to, first, n->heads, n->dst, n->dst_head);
        return;
    }
    plan->kernels->heads.store[roperot_format_index(to->dtype)](to->data + first * to->head, to->head, n->dst,
                                                                 n->dst_head, ROPEROT_F32, n->heads, n->channels, NULL);
}

/* Norm and rotation (tile NULL: none), in the source's dtype, where they go or in a scratch. 0: the kernel cannot take
 * these weights, and nothing is written. */
static ROPEROT_FAST_CODE int run_normed(const roperot_plan *plan, const roperot_job *j, const target *to,
                                        roperot_tile *tile, roperot_token *token)
{
    _Alignas(64) float weight[ROPEROT_HUB_FLOATS], made[MADE_FLOATS];
    const roperot_tensor *const src = j->src;
    const roperot_norm *const norm = j->norm;
    const int dtype = roperot_dtype_index(src->dtype), is_direct = to->dtype == src->dtype;
    const int once = dtype == ROPEROT_INDEX_f32 || norm->rounding == ROPEROT_NORM_ROUND_ONCE;
    const int turns = tile && plan->turned[dtype] && once &&
                      plan->turned_weights[dtype](weight, norm->weight, norm->weight_dtype, norm->flags,
                                                  (ptrdiff_t)src->shape[3]);
    const int64_t heads = src->shape[2], bytes = src->shape[3] * roperot_dtype_size_flat(src->dtype);
    const int64_t most = is_direct ? heads : (int64_t)sizeof made / bytes;
    roperot_norm_of_heads n;
    n.channels = (ptrdiff_t)src->shape[3];
    n.src = src->data;
    n.src_head = (ptrdiff_t)(src->stride[2] * roperot_dtype_size_flat(src->dtype));
    n.dst = is_direct ? (void *)to->data : made;
    n.dst_head = is_direct ? to->head : (ptrdiff_t)bytes;
    n.weight = weight;
    n.epsilon = (float)norm->epsilon;
    n.ahead = 0;
    n.next = NULL;
    n.kept = NULL;
    n.cos = token->cos;
    n.sin = token->sin;
    n.first = plan->rotary_offset;
    n.pairs = turns ? plan->pairs : 0;
    n.rounding = norm->rounding;
    if (!turns && !plan->norm_weights[dtype](weight, norm->weight, norm->weight_dtype, norm->flags, n.channels))
        return 0;
    for (int64_t first = 0; first < heads; first += most) {
        n.heads = (ptrdiff_t)(heads - first < most ? heads - first : most);
        (turns ? plan->turned : plan->norm)[dtype](&n);
        if (tile && !turns)
            turn(plan->rotate[dtype][dtype], tile, token, n.heads, n.dst, n.dst_head, n.dst, n.dst_head);
        if (is_direct) break;
        put(plan, j, to, first, &n);
        n.src = (const char *)n.src + n.heads * n.src_head;
    }
    return 1;
}

/* Bytes, or f32 rounded to 16 bits. */
static ROPEROT_FAST_CODE void copy_heads(const roperot_plan *plan, const roperot_tensor *src, const target *to)
{
    const ptrdiff_t size = roperot_dtype_size_flat(src->dtype), head = (ptrdiff_t)src->stride[2] * size;
    const ptrdiff_t heads = (ptrdiff_t)src->shape[2], dim = (ptrdiff_t)src->shape[3], bytes = dim * size;
    const char *from = src->data;
    char *into = to->data;
    if (to->dtype != src->dtype) {
        plan->kernels->heads.store[roperot_format_index(to->dtype)](into, to->head, from, head, ROPEROT_F32, heads, dim,
                                                                     NULL);
        return;
    }
    const int together = head == bytes && to->head == bytes;
    const ptrdiff_t run = together ? heads * bytes : bytes;
    for (ptrdiff_t h = together ? heads - 1 : 0; h < heads; h++, from += head, into += to->head)
        memcpy(into, from, (size_t)run);
}

/* Heads without a norm as codes: as the source has them, or rotated (tile NULL: they are not) in a scratch. */
static ROPEROT_NOINLINE void run_codes(const roperot_plan *plan, const roperot_job *j, const target *to,
                                       roperot_tile *tile, roperot_token *token)
{
    _Alignas(64) char made[MADE_FLOATS * sizeof(float)];
    const int dtype = roperot_dtype_index(j->src->dtype);
    const int64_t heads = j->src->shape[2], size = roperot_dtype_size_flat(j->src->dtype);
    const ptrdiff_t bytes = (ptrdiff_t)(j->src->shape[3] * size), src_head = (ptrdiff_t)(j->src->stride[2] * size);
    const int64_t most = tile ? (int64_t)sizeof made / bytes : heads;
    const target here = { made, bytes, j->src->dtype, NULL };
    roperot_tensor some = *j->src;
    for (int64_t first = 0; first < heads; first += most, some.data = (char *)some.data + most * src_head) {
        const void *from = some.data;
        ptrdiff_t head = src_head;
        some.shape[2] = heads - first < most ? heads - first : most;
        if (tile && !(plan->fast & ROPEROT_FAST_MOVED)) copy_heads(plan, &some, &here), from = made, head = bytes;
        if (tile) {
            turn(plan->rotate[dtype][dtype], tile, token, some.shape[2], from, head, made, bytes);
            from = made, head = bytes;
        }
        quantise(plan, j, to, first, some.shape[2], from, head);
    }
}

/* Runs checked jobs. How many: the next one is the general path's. */
static ROPEROT_FAST_CODE int32_t run_jobs(const roperot_plan *plan, const roperot_job *jobs, int32_t count,
                                          const target *to, const float *cos, const float *sin)
{
    roperot_token token;
    roperot_tile tile;
    token.cos = cos;
    ROPEROT_APART;
    token.sin = sin;
    tile.token = &token;
    roperot_tile_start(&tile, plan);
    tile.tokens = 1;
    for (int32_t i = 0; i < count; i++, to++) {
        const roperot_job *const j = &jobs[i];
        const roperot_tensor *const src = j->src;
        const int is_rotated = roperot_job_is_rotated(j), is_whole = plan->fast & ROPEROT_FAST_MOVED;
        int dtype = roperot_dtype_index(src->dtype);
        const char *from = src->data;
        ptrdiff_t head = (ptrdiff_t)src->stride[2] * roperot_dtype_size_flat(src->dtype);
        if (j->norm) {
            if (!run_normed(plan, j, to, is_rotated ? &tile : NULL, &token)) return i;
            continue;
        }
        if (ROPEROT_UNLIKELY(are_codes(to->dtype))) {
            run_codes(plan, j, to, is_rotated ? &tile : NULL, &token);
            continue;
        }
        if (from != to->data && !(is_rotated && is_whole)) {
            copy_heads(plan, src, to);
            from = to->data;
            head = to->head;
        }
        if (is_rotated)
            turn(plan->rotate[dtype][roperot_dtype_index(to->dtype)], &tile, &token, src->shape[2], from, head,
                 to->data, to->head);
    }
    return count;
}

/* With a row from factors, kept or made. */
static ROPEROT_FAST_CODE int32_t run_factored(const roperot_plan *plan, const roperot_job *jobs, int32_t count,
                                              const target *to, int64_t position, roperot_kept_row *kept)
{
    _Alignas(64) float space[ROPEROT_PROGRAM_FLOATS];
    float *const values = kept ? roperot_kept_row_values(kept) : space;
    if (!kept || !roperot_kept_row_is(kept, plan, position, 0)) {
        const double *f[ROPEROT_LEVELS];
        roperot_factors_of(plan, position, 0, f);
        plan->combine(values, values + plan->pairs, f, plan->pairs, plan->pairs, plan->attention_factor);
        if (kept) roperot_kept_row_set(kept, plan, position, 0);
    }
    return run_jobs(plan, jobs, count, to, values, values + plan->pairs);
}

/* ---- the call ---------------------------------------------------------------------------------------------------- */

/* 0 if the plan, the positions and the options are usual ones. */
static ROPEROT_INLINE uint64_t odd_arguments(const roperot_plan *plan, const roperot_positions *p,
                                             const roperot_options *o)
{
    const uint64_t odd = (uint64_t)!(plan->fast & ROPEROT_FAST_JOBS) | (p->size ^ sizeof *p) |
                         ((uint32_t)p->kind > ROPEROT_POSITIONS_IDS) | ((uint32_t)p->axes > 1);
    return o ? odd | roperot_options_odd(plan, o, 1) : odd;
}

/* How many jobs are done: all of them, or those before the one that the general path has to take. Of an empty range
 * everything is checked but positions and slots, and nothing is to be done. */
static ROPEROT_FAST_CODE int32_t run_token(const roperot_plan *plan, const roperot_positions *positions,
                                           const roperot_job *jobs, int32_t count, const roperot_options *options)
{
    checked_jobs all;
    int64_t position = 0;
    if (odd_arguments(plan, positions, options)) return 0;
    const int is_empty = options && options->token_end <= 0;
    if (roperot_positions_odd(plan, positions, !is_empty, &position)) return 0;
    roperot_kept_row *const kept = options && !plan->rows.cos ? roperot_kept_row_of(options) : NULL;
    roperot_prefetch_rows(plan, position, kept);
    all.rotates = 0;
    all.touched.writes = all.touched.reads = 0;
    for (int32_t i = 0; i < count; i++)
        if (odd_job(plan, &jobs[i], is_empty, &all, i)) return 0;
    if (!all.rotates || !roperot_are_apart(&all.touched)) return 0;
    if (is_empty) return count;
    if (!plan->rows.cos) return run_factored(plan, jobs, count, all.to, position, kept);
    const int64_t row = position * plan->rows.stride;
    return run_jobs(plan, jobs, count, all.to, plan->rows.cos + row, plan->rows.sin + row);
}

/* Whether a look at the first job leaves it possible that all are of one token. */
static ROPEROT_INLINE int may_be_token(const roperot_job *jobs)
{
    const roperot_tensor *const src = jobs->src;
    return jobs->size == sizeof *jobs && src && ((src->shape[0] ^ 1) | (src->shape[1] ^ 1)) == 0;
}

ROPEROT_FAST_CODE int32_t roperot_run(const roperot_plan *plan, const roperot_positions *positions,
                                      const roperot_job *jobs, int32_t count, const roperot_options *options)
{
    if (plan && positions && jobs && (uint32_t)count - 1 < MOST_JOBS && may_be_token(jobs)) {
        ROPEROT_PREFETCH_DATA((uintptr_t)plan + 3 * ROPEROT_LINE);
        ROPEROT_PREFETCH_DATA((uintptr_t)plan + ROPEROT_LINE);
        ROPEROT_PREFETCH_DATA(positions->ids ? positions->ids : positions);
        ROPEROT_PREFETCH_DATA((uintptr_t)plan);
        const int32_t done = run_token(plan, positions, jobs, count, options);
        if (done == count) return ROPEROT_OK;
        jobs += done;
        count -= done;
    }
    return roperot_run_any(plan, positions, jobs, count, options);
}
