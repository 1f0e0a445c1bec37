/* SPDX-License-Identifier: MIT
 * The fast path of roperot_apply: what nearly every decode step is; it must not know how any other call is checked.
 *
 * A few plain views of one sequence's tokens, rotated in place (dst NULL or the same views), at an OFFSET or at ids
 * that are not negative, few enough to fit one tile and the core's cache. Whatever else is asked for, right or wrong,
 * goes to roperot_apply_any before anything is written.
 *
 * Such a call finds neither its code nor the plan in the caches, so that lines and pages are what it costs
 * (docs/performance.md): checks are one OR, no branch leads away and back, and lines that are going to be needed are
 * asked for at once instead of one after the other. */
#include "apply.h"
#include "cache_factors.h"
#include "coefficient_rows.h"
#include "compiler.h"
#include "lists.h"
#include "overlap.h"

/* What is asked for ahead, every second line of it (the neighbour comes along): of a kernel, of the product of factors,
 * of a row. Each costs a hot call a third of a nanosecond. */
enum {
    LINE = 64,
    PAIR_OF_LINES = 128,
    MOST_VIEWS = 4,
    KERNEL_BYTES = 1024,
    COMBINE_BYTES = 768,
    MOST_ROW_BYTES = 1024
};

/* Of a long row only the beginning: the processor reads on by itself. */
static inline void prefetch_row(const void *row, int64_t bytes)
{
    for (int64_t i = 0; i < bytes && i < MOST_ROW_BYTES; i += PAIR_OF_LINES) {
        ROPEROT_SMALL_LOOP;
        __builtin_prefetch((const char *)row + i, 0, 3);
    }
}

/* Code is read by its address as data; the next level of cache is near enough. */
static inline void prefetch_code(uintptr_t first, int bytes)
{
    for (int i = 0; i < bytes; i += PAIR_OF_LINES) __builtin_prefetch((const char *)first + i, 0, 2);
}

static inline void prefetch_kernel(const roperot_plan *plan, int32_t dtype)
{
    if (roperot_dtype_size(dtype))
        prefetch_code((uintptr_t)plan->rotate[roperot_dtype_index(dtype)][roperot_dtype_index(dtype)], KERNEL_BYTES);
}

/* What the first token takes: a row, or the factors of the two levels that most positions have. */
static inline void prefetch_rows(const roperot_plan *plan, int64_t position)
{
    if (plan->rows.cos) {
        prefetch_row(plan->rows.cos + position * plan->rows.stride, 2 * plan->pairs * (int64_t)sizeof(float));
        return;
    }
    const double *f[ROPEROT_LEVELS];
    prefetch_code((uintptr_t)plan->combine, COMBINE_BYTES);
    roperot_factors_of(plan, position, 0, f);
    prefetch_row(f[0], 2 * plan->pairs * (int64_t)sizeof(double));
    if (f[1]) prefetch_row(f[1], 2 * plan->pairs * (int64_t)sizeof(double));
}

/* Rotates the views with these rows. */
static ROPEROT_FAST_CODE void rotate_views(const roperot_plan *plan, const roperot_tensor *view, int32_t count,
                                           const roperot_row *rows)
{
    roperot_token token[ROPEROT_TILE_TOKENS];
    roperot_tile tile;
    tile.token = token;
    tile.pairs = tile.src_half = tile.dst_half = plan->pairs;
    tile.src_first = tile.dst_first = plan->rotary_offset;
    tile.loop = ROPEROT_LOOP_COLUMNS;
    tile.heads_outer = 0;
    for (const roperot_tensor *const end = view + count; view < end; view++) {
        /* The stride of an axis of one is anybody's: its product may not fit. */
        const int64_t size = roperot_dtype_size(view->dtype), stride = view->shape[1] == 1 ? 0 : view->stride[1] * size;
        char *data = view->data;
        tile.tokens = view->shape[1];
        tile.heads = view->shape[2];
        tile.src_head = tile.dst_head = view->stride[2] * size;
        for (int64_t k = 0; k < tile.tokens; k++, data += stride) {
            ROPEROT_SMALL_LOOP;
            token[k] = (roperot_token){ rows[k].cos, rows[k].sin, data, data };
        }
        const int dtype = roperot_dtype_index(view->dtype);
        plan->rotate[dtype][dtype](&tile);
    }
}

/* With rows from factors. Its scratch stays out of the frame of calls that need none. */
static ROPEROT_FAST_CODE void rotate_factored(const roperot_plan *plan, const roperot_tensor *view, int32_t count,
                                              const int64_t *position)
{
    _Alignas(64) float values[ROPEROT_SCRATCH_FLOATS];
    roperot_row rows[ROPEROT_TILE_TOKENS];
    const int32_t pairs = plan->pairs;
    float *space = values;
    for (int64_t k = 0; k < view->shape[1]; k++, space += 2 * pairs) {
        const double *f[ROPEROT_LEVELS];
        roperot_factors_of(plan, position[k], 0, f);
        rows[k] = (roperot_row){ space, space + pairs };
        plan->combine(space, space + pairs, f, pairs, pairs, plan->attention_factor);
    }
    rotate_views(plan, view, count, rows);
}

/* 0 if the plan, the positions and the options are usual ones. */
static inline uint64_t odd_arguments(const roperot_plan *plan, const roperot_positions *p, const roperot_options *o)
{
    uint64_t odd = (uint64_t)!plan->fast | (p->size ^ sizeof *p) | ((uint32_t)p->kind > ROPEROT_POSITIONS_IDS) |
                   ((uint32_t)p->axes > 1);
    if (o)
        odd |= (o->size ^ sizeof *o) | (o->flags & ~(uint32_t)ROPEROT_SIGNED_POSITIONS) | (uint32_t)o->reserved |
               (uint64_t)o->token_begin | (uint64_t)(o->token_end ^ INT64_MAX) | (uint64_t)(o->threads < 0);
    return odd;
}

/* Positions of the first n tokens; 0 if all are in range. Offsets are limited, so that sums modulo 2^64 tell. */
static inline uint64_t odd_positions(const roperot_plan *plan, const roperot_positions *p, int64_t n, int64_t *position)
{
    const int is_ids = p->kind == ROPEROT_POSITIONS_IDS, is_wide = p->type == ROPEROT_POSITIONS_I64;
    const uintptr_t ids = (uintptr_t)p->ids;
    uint64_t odd = ((uint64_t)p->offset + (UINT64_C(1) << 32)) >> 33;
    if (is_ids)
        odd |= (uint64_t)((uint32_t)p->type - ROPEROT_POSITIONS_I32 > 1) | (uint64_t)(ids - 1 > UINTPTR_MAX - 4096) |
               (ids & (is_wide ? sizeof(int64_t) - 1 : sizeof(int32_t) - 1)) |
               (uint64_t)((n > 1) & (p->token_stride != 1));
    if (odd) return odd;
    for (int64_t k = 0; k < n; k++) {
        ROPEROT_SMALL_LOOP;
        position[k] = (int64_t)((uint64_t)p->offset + (uint64_t)(is_ids ? roperot_id_read(p->ids, p->type, k) : k));
        odd |= (uint64_t)position[k] >= (uint64_t)plan->max_positions;
    }
    return odd;
}

/* 0 if a view is plain, holds one sequence of n tokens, and is written where it is read. Sizes below 2^28: neither their
 * products nor the sums of these can leave 63 bits. */
static ROPEROT_FAST_CODE uint64_t odd_view(const roperot_plan *plan, const roperot_tensor *view,
                                           const roperot_tensor *dst, int64_t n, roperot_extent *extent)
{
    const int64_t heads = view->shape[2], head = view->stride[2], dim = plan->head_dim;
    const int64_t token = n == 1 ? 0 : view->stride[1], size = roperot_dtype_size(view->dtype);
    const uint64_t block = ((uint64_t)heads - 1) * (uint64_t)head + (uint64_t)dim; /* modulo 2^64 until all is known */
    const uintptr_t data = (uintptr_t)view->data;
    uint64_t odd =
        (uint64_t)(view->shape[0] ^ 1) | (uint64_t)(view->shape[1] ^ n) | (uint64_t)(view->shape[3] ^ dim) |
        (uint64_t)(view->stride[3] ^ 1) | (uint32_t)view->flags | (uintptr_t)view->reserved |
        (uint64_t)(heads | head | token) >> 28 | (data & (uintptr_t)(size - 1)) |
        (uint64_t)((heads == 0) | (data == 0) | ((heads != 1) & (head < dim)) | ((n != 1) & ((uint64_t)token < block)));
    if (dst != view) {
        odd |= (uintptr_t)dst->data ^ data;
        odd |= (uint32_t)(dst->dtype ^ view->dtype) | (uint32_t)dst->flags | (uintptr_t)dst->reserved;
        for (int i = 0; i < 4; i++) {
            ROPEROT_SMALL_LOOP;
            odd |= (uint64_t)(dst->shape[i] ^ view->shape[i]) | (uint64_t)(dst->stride[i] ^ view->stride[i]);
        }
    }
    extent->begin = data;
    const uint64_t bytes = ((uint64_t)(n - 1) * (uint64_t)token + block) * (uint64_t)size;
    extent->end = data + (uintptr_t)bytes;
    return odd | (uint64_t)(bytes > PTRDIFF_MAX) | (uint64_t)(extent->end <= data) | (uint64_t)(size == 0);
}

/* 0 if all views are usual, disjoint, and together in the core's cache. */
static inline uint64_t odd_views(const roperot_plan *plan, const roperot_tensor *src, const roperot_tensor *dst,
                                 int32_t count, int64_t n)
{
    roperot_extent extent[MOST_VIEWS];
    uint64_t odd = 0, bytes = 0;
    int32_t i = 0;
    ROPEROT_FORGET(i);
    for (; i < count; i++) {
        odd |= odd_view(plan, &src[i], &dst[i], n, &extent[i]);
        bytes += extent[i].end - extent[i].begin;
        for (int32_t j = 0; j < i; j++) {
            ROPEROT_SMALL_LOOP;
            odd |= roperot_extents_overlap(&extent[i], &extent[j]);
        }
    }
    return odd | (uint64_t)(bytes > (uint64_t)plan->near_bytes);
}

ROPEROT_FAST_CODE int32_t roperot_apply(const roperot_plan *plan, const roperot_positions *positions,
                                        const roperot_tensor *src, const roperot_tensor *dst, int32_t count,
                                        const roperot_options *options)
{
    int64_t position[ROPEROT_TILE_TOKENS], n;
    if (!plan || !positions || !src || (uint32_t)count - 1 >= MOST_VIEWS) goto any;
    prefetch_code((uintptr_t)plan + LINE, 2 * PAIR_OF_LINES);
    __builtin_prefetch(&src[count - 1].stride);
    n = src->shape[1];
    if (odd_arguments(plan, positions, options) || (uint64_t)n - 1 >= (uint64_t)plan->tile_tokens) goto any;
    if (src->shape[0] != 1 || src->shape[2] <= 0) goto any; /* an empty call has no ids to read */
    prefetch_kernel(plan, src->dtype);
    if (odd_positions(plan, positions, n, position)) goto any;
    prefetch_rows(plan, position[0]);
    if (odd_views(plan, src, dst ? dst : src, count, n)) goto any;
    if (plan->rows.cos) {
        roperot_row rows[ROPEROT_TILE_TOKENS];
        for (int64_t k = 0; k < n; k++) {
            ROPEROT_SMALL_LOOP;
            rows[k].cos = plan->rows.cos + position[k] * plan->rows.stride;
            rows[k].sin = plan->rows.sin + position[k] * plan->rows.stride;
        }
        rotate_views(plan, src, count, rows);
    } else {
        rotate_factored(plan, src, count, position);
    }
    return ROPEROT_OK;
any:
    return roperot_apply_any(plan, positions, src, dst, count, options);
}
