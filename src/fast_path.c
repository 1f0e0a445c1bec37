/* SPDX-License-Identifier: MIT
 * The fast path of roperot_apply: what nearly every decode step is; it must not know how any other call is checked.
 *
 * A few plain views of one sequence's tokens, rotated in place (dst NULL or the same views) or whole into other views,
 * of the same dtypes or others, at an OFFSET or at ids that are not negative, few enough to fit one tile and the core's
 * cache. Whatever else is asked for, right or wrong, goes to roperot_apply_any before anything is written.
 *
 * Such a call finds neither its code nor the plan in the caches, so that lines and pages are what it costs
 * (docs/performance.md). The checks are collected by OR and tested once. Code for slow cases is never jumped to and
 * returned from, which would cost lines of the instruction cache. Lines that are going to be needed are asked for at
 * once instead of one after the other. */
#include "apply.h"
#include "overlap.h"
#include "usual_call.h"

enum { MOST_VIEWS = 4, SMALL_BITS = 18 };

/* Bytes from token 0 to token k. The stride of an axis of one is anybody's: its product with 0 is 0, whatever it is. */
static ROPEROT_INLINE ptrdiff_t token_at(const roperot_tensor *view, int64_t size, int64_t k)
{
    return (ptrdiff_t)((uint64_t)view->stride[1] * (uint64_t)size * (uint64_t)k);
}

/* Rotates the views, and says ROPEROT_OK. Token k takes row at[k] of the table. */
static ROPEROT_FAST_CODE int32_t rotate_views(const roperot_plan *plan, const roperot_tensor *src,
                                              const roperot_tensor *dst, int32_t count, const roperot_row_table *table,
                                              const int64_t *at)
{
    roperot_token token[ROPEROT_TILE_TOKENS];
    roperot_tile tile;
    tile.token = token;
    roperot_tile_start(&tile, plan);
    for (const roperot_tensor *const end = src + count; src < end; src++, dst++) {
        const int64_t size = roperot_dtype_size(src->dtype);
        const int64_t dst_size = dst == src ? size : roperot_dtype_size(dst->dtype);
        const char *const from = src->data;
        char *const into = dst->data;
        tile.tokens = src->shape[1];
        tile.src_head = src->stride[2] * size;
        ROPEROT_APART;
        tile.heads = src->shape[2];
        tile.dst_head = dst->stride[2] * dst_size;
        for (int64_t k = 0; k < tile.tokens; k++) {
            const int64_t row = at[k] * table->stride;
            token[k].cos = table->cos + row;
            token[k].src = from + token_at(src, size, k);
            ROPEROT_APART;
            token[k].sin = table->sin + row;
            token[k].dst = into + token_at(dst, dst_size, k);
        }
        plan->rotate[roperot_dtype_index(src->dtype)][roperot_dtype_index(dst->dtype)](&tile);
    }
    return ROPEROT_OK;
}

/* Rotates one token of each view in place. */
static ROPEROT_INLINE void rotate_token(const roperot_plan *plan, const roperot_tensor *view, int32_t count,
                                        const float *cos, const float *sin)
{
    roperot_token token;
    roperot_tile tile;
    token.cos = cos;
    ROPEROT_APART;
    token.sin = sin;
    tile.token = &token;
    roperot_tile_start(&tile, plan);
    tile.tokens = 1;
    for (const roperot_tensor *const end = view + count; view < end; view++) {
        const int dtype = roperot_dtype_index(view->dtype);
        const ptrdiff_t head = view->stride[2] * roperot_dtype_size(view->dtype);
        void *const data = view->data;
        tile.heads = view->shape[2];
        token.src = data;
        tile.src_head = head;
        ROPEROT_APART;
        token.dst = data;
        tile.dst_head = head;
        plan->rotate[dtype][dtype](&tile);
    }
}

/* With rows from factors. Its scratch stays out of the frame of calls that need none. */
static ROPEROT_FAST_CODE int32_t rotate_factored(const roperot_plan *plan, const roperot_tensor *src,
                                                 const roperot_tensor *dst, int32_t count, int64_t *position)
{
    _Alignas(64) float values[ROPEROT_SCRATCH_FLOATS];
    const int32_t pairs = plan->pairs;
    const roperot_row_table made = { values, values + pairs, 2 * (int64_t)pairs, 0 };
    for (int64_t k = 0; k < src->shape[1]; k++) {
        const double *f[ROPEROT_LEVELS];
        float *const space = values + k * made.stride;
        roperot_factors_of(plan, position[k], 0, f);
        plan->combine(space, space + pairs, f, pairs, pairs, plan->attention_factor);
        position[k] = k;
    }
    return rotate_views(plan, src, dst, count, &made, position);
}

/* One token in place with its row from factors. */
static ROPEROT_FAST_CODE int32_t rotate_token_factored(const roperot_plan *plan, const roperot_tensor *view,
                                                       int32_t count, int64_t position)
{
    _Alignas(64) float values[ROPEROT_SCRATCH_FLOATS];
    const double *f[ROPEROT_LEVELS];
    roperot_factors_of(plan, position, 0, f);
    plan->combine(values, values + plan->pairs, f, plan->pairs, plan->pairs, plan->attention_factor);
    rotate_token(plan, view, count, values, values + plan->pairs);
    return ROPEROT_OK;
}

/* One token, whose row a caller's scratch keeps. */
static ROPEROT_FAST_CODE int32_t rotate_kept(const roperot_plan *plan, const roperot_tensor *src,
                                             const roperot_tensor *dst, int32_t count, int64_t position,
                                             roperot_kept_row *kept)
{
    static const int64_t only = 0;
    float *const values = roperot_kept_row_values(kept);
    const roperot_row_table made = { values, values + plan->pairs, 0, 0 };
    if (!roperot_kept_row_is(kept, plan, position, 0)) {
        const double *f[ROPEROT_LEVELS];
        roperot_factors_of(plan, position, 0, f);
        plan->combine(values, values + plan->pairs, f, plan->pairs, plan->pairs, plan->attention_factor);
        roperot_kept_row_set(kept, plan, position, 0);
    }
    return rotate_views(plan, src, dst, count, &made, &only);
}

/* 0 if the plan, the positions and the options are usual ones. */
static ROPEROT_INLINE uint64_t odd_arguments(const roperot_plan *plan, const roperot_positions *p,
                                             const roperot_options *o, int is_moved)
{
    const uint64_t odd = (uint64_t)!(plan->fast & (is_moved ? ROPEROT_FAST_MOVED : ROPEROT_FAST_IN_PLACE)) |
                         (p->size ^ sizeof *p) | ((uint32_t)p->kind > ROPEROT_POSITIONS_IDS) | ((uint32_t)p->axes > 1);
    return o ? odd | roperot_options_odd(plan, o, 0) : odd;
}

static ROPEROT_INLINE uint64_t odd_view(const roperot_plan *plan, const roperot_tensor *view, int64_t n,
                                        roperot_extent *extent)
{
    return roperot_view_odd(view, (uint32_t)plan->head_dim, n, extent, 0);
}

/* 0 if dst is the same view as src. */
static ROPEROT_INLINE uint64_t odd_dst(const roperot_tensor *src, const roperot_tensor *dst)
{
    uint64_t odd = ((uintptr_t)dst->data ^ (uintptr_t)src->data) | (uint32_t)(dst->dtype ^ src->dtype) |
                   (uint32_t)dst->flags | (uintptr_t)dst->reserved;
    for (int i = 0; i < 4; i++) {
        ROPEROT_SMALL_LOOP;
        odd |= (uint64_t)(dst->shape[i] ^ src->shape[i]) | (uint64_t)(dst->stride[i] ^ src->stride[i]);
    }
    return odd;
}

/* The views of a call, and the bytes from the first to the last of each. */
typedef struct extents {
    roperot_extent src[MOST_VIEWS], dst[MOST_VIEWS];
    uint64_t bytes;
} extents;

/* 0 if both are dtypes, and rotations from one to the other are offered. Unsigned: any number may come. */
static ROPEROT_INLINE uint64_t odd_dtypes(const roperot_plan *plan, int32_t src, int32_t dst)
{
    const uint32_t s = (uint32_t)src - ROPEROT_F32, d = (uint32_t)dst - ROPEROT_F32;
    return (uint64_t)(s >= ROPEROT_DTYPES || d >= ROPEROT_DTYPES || !plan->rotate[s][d]);
}

/* 0 if the views that a call out of place writes are usual, and overlap neither each other nor one that is read. */
static ROPEROT_INLINE uint64_t odd_targets(const roperot_plan *plan, const roperot_tensor *src,
                                           const roperot_tensor *dst, int32_t count, int64_t n, extents *e)
{
    uint64_t odd = 0;
    for (int32_t i = 0; i < count; i++) {
        odd |= odd_view(plan, &dst[i], n, &e->dst[i]) | odd_dtypes(plan, src[i].dtype, dst[i].dtype) |
               (uint64_t)(dst[i].shape[2] ^ src[i].shape[2]);
        e->bytes += e->dst[i].end - e->dst[i].begin;
        for (int32_t j = 0; j < count; j++) {
            ROPEROT_SMALL_LOOP;
            odd |= (uint64_t)(roperot_extents_overlap(&e->dst[i], &e->src[j]) |
                              (j < i && roperot_extents_overlap(&e->dst[i], &e->dst[j])));
        }
    }
    return odd;
}

/* 0 if all views are usual, together in the core's cache (out of place: too few to be streamed), and none that is
 * written overlaps another. */
static ROPEROT_INLINE uint64_t odd_views(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst,
                                         int32_t count, int64_t n, int is_moved)
{
    extents e;
    uint64_t odd = 0;
    e.bytes = 0;
    for (int32_t i = 0; i < count; i++) {
        odd |= odd_view(plan, &src[i], n, &e.src[i]);
        e.bytes += e.src[i].end - e.src[i].begin;
        if (is_moved) continue;
        if (dst != src) odd |= odd_dst(&src[i], &dst[i]);
        for (int32_t j = 0; j < i; j++) {
            ROPEROT_SMALL_LOOP;
            odd |= roperot_extents_overlap(&e.src[i], &e.src[j]);
        }
    }
    if (is_moved) odd |= odd_targets(plan, src, dst, count, n, &e) | (uint64_t)(e.bytes > (uint64_t)plan->far_bytes);
    return odd | (uint64_t)(e.bytes > (uint64_t)plan->near_bytes);
}

/* Positions, and their first row is asked for. */
static ROPEROT_INLINE uint64_t read_positions(const roperot_plan *plan, const roperot_positions *p,
                                              const roperot_kept_row *kept, int64_t n, int64_t *position)
{
    const uint64_t odd = roperot_positions_odd(plan, p, n, position);
    if (!odd) roperot_prefetch_rows(plan, position[0], kept);
    return odd;
}

/* Of calls that may have several tokens. A function: there are two calls of it. */
static ROPEROT_FAST_CODE uint64_t read_many_positions(const roperot_plan *plan, const roperot_positions *p,
                                                      const roperot_kept_row *kept, int64_t n, int64_t *position)
{
    return read_positions(plan, p, kept, n, position);
}

/* The path itself. `is_moved`, whether the call is out of place, and `is_one`, whether each view holds one token, are
 * constants in the functions below, where they matter. */
static ROPEROT_INLINE int32_t apply_usual(const roperot_plan *plan, const roperot_positions *positions,
                                          const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                          const roperot_options *options, const int is_moved, const int is_one)
{
    int64_t position[ROPEROT_TILE_TOKENS];
    const int64_t n = is_one ? 1 : src->shape[1];
    const roperot_tensor *const to = dst ? dst : src;
    if (odd_arguments(plan, positions, options, is_moved)) goto any;
    if (!is_one && (uint64_t)n - 1 >= (uint64_t)plan->tile_tokens) goto any;
    if (src->shape[0] != 1 || src->shape[2] <= 0) goto any; /* an empty call has no ids to read */
    const int keeps = (is_one || is_moved) && options && n == 1 && !plan->rows.cos;
    roperot_kept_row *const kept = keeps ? roperot_kept_row_of(options) : NULL;
    if ((is_one ? read_positions : read_many_positions)(plan, positions, kept, n, position)) goto any;
    if (odd_views(plan, src, to, count, n, is_moved)) goto any;
    if (kept) return rotate_kept(plan, src, to, count, position[0], kept);
    if (!plan->rows.cos && is_one) return rotate_token_factored(plan, src, count, position[0]);
    if (!plan->rows.cos) return rotate_factored(plan, src, to, count, position);
    if (!is_one) return rotate_views(plan, src, to, count, &plan->rows, position);
    const int64_t row = position[0] * plan->rows.stride;
    rotate_token(plan, src, count, plan->rows.cos + row, plan->rows.sin + row);
    return ROPEROT_OK;
any:
    return roperot_apply_any(plan, positions, src, dst, count, options);
}

static ROPEROT_FAST_CODE int32_t apply_token(const roperot_plan *plan, const roperot_positions *positions,
                                             const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                             const roperot_options *options)
{
    return apply_usual(plan, positions, src, dst, count, options, 0, 1);
}

static ROPEROT_FAST_CODE int32_t apply_in_place(const roperot_plan *plan, const roperot_positions *positions,
                                                const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                                const roperot_options *options)
{
    return apply_usual(plan, positions, src, dst, count, options, 0, 0);
}

static ROPEROT_FAST_CODE int32_t apply_moved(const roperot_plan *plan, const roperot_positions *positions,
                                             const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                             const roperot_options *options)
{
    return apply_usual(plan, positions, src, dst, count, options, 1, 0);
}

/* 0 if two views are usual ones of one token, with as many heads, apart, and small beside any cache. *tile gets their
 * heads. Both go through one loop, which is half of the code. */
static ROPEROT_INLINE uint64_t odd_pair(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst,
                                        roperot_tile *tile)
{
    roperot_extent e = { 0, 0 };
    const roperot_tensor *view = src;
    uint64_t odd = (uint64_t)(src->shape[2] ^ dst->shape[2]), bytes = 0;
    tile->heads = (ptrdiff_t)src->shape[2];
    ROPEROT_APART;
    for (;; view = dst) {
        const roperot_extent before = e;
        odd |= roperot_view_odd(view, (uint32_t)plan->head_dim, 1, &e, 1) |
               (uint64_t)((e.begin < before.end) & (before.begin < e.end));
        bytes += e.end - e.begin;
        const ptrdiff_t head = (ptrdiff_t)((uint64_t)view->stride[2] * (uint64_t)roperot_dtype_size_flat(view->dtype));
        if (view == dst) {
            tile->dst_head = head;
            return odd | bytes >> SMALL_BITS;
        }
        tile->src_head = head;
    }
}

/* One token of one view into another one, at an OFFSET whose row is at hand: what a graph asks for, each of whose nodes
 * has a tensor of its own. A third of the lines of the function above, and none of the plan's far ones. */
static ROPEROT_FAST_CODE int32_t apply_moved_token(const roperot_plan *plan, const roperot_positions *positions,
                                                   const roperot_tensor *src, const roperot_tensor *dst)
{
    roperot_token token;
    roperot_tile tile;
    const uint32_t from = (uint32_t)src->dtype - ROPEROT_F32, into = (uint32_t)dst->dtype - ROPEROT_F32;
    const int64_t position = positions->offset, row = (int64_t)((uint64_t)position * (uint64_t)plan->rows.stride);
    if (odd_arguments(plan, positions, NULL, 1) | (uint64_t)!plan->rows.cos |
        (uint64_t)(positions->kind != ROPEROT_POSITIONS_OFFSET) |
        (uint64_t)((uint64_t)position >= (uint64_t)plan->max_positions) |
        (uint64_t)((from >= ROPEROT_DTYPES) | (into >= ROPEROT_DTYPES)))
        goto other;
    roperot_prefetch_rows(plan, position, NULL);
    roperot_rotate_fn *const rotate = plan->rotate[from][into];
    if (odd_pair(plan, src, dst, &tile) | (uint64_t)!rotate) goto other;
    token.cos = plan->rows.cos + row;
    token.src = src->data;
    ROPEROT_APART;
    token.sin = plan->rows.sin + row;
    token.dst = dst->data;
    tile.token = &token;
    tile.tokens = 1;
    roperot_tile_start(&tile, plan);
    rotate(&tile);
    return ROPEROT_OK;
other:
    return apply_moved(plan, positions, src, dst, 1, NULL);
}

/* A function of its own, of two lines: what the others wait for is on its way before any of their code is fetched. */
ROPEROT_FAST_CODE int32_t roperot_apply(const roperot_plan *plan, const roperot_positions *positions,
                                        const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                        const roperot_options *options)
{
    if (!plan || !positions || !src || (uint32_t)count - 1 >= MOST_VIEWS)
        return roperot_apply_any(plan, positions, src, dst, count, options);
    ROPEROT_PREFETCH_DATA((uintptr_t)plan + ROPEROT_LINE);
    ROPEROT_PREFETCH_DATA(positions->ids ? positions->ids : positions);
    ROPEROT_PREFETCH_DATA((uintptr_t)plan);
    ROPEROT_PREFETCH_DATA(&src[count - 1].stride);
    if (dst && dst->data != src->data) {
        if (count == 1 && !options) return apply_moved_token(plan, positions, src, dst);
        return apply_moved(plan, positions, src, dst, count, options);
    }
    if (src->shape[1] == 1) return apply_token(plan, positions, src, dst, count, options);
    return apply_in_place(plan, positions, src, dst, count, options);
}
