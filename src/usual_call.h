/* SPDX-License-Identifier: MIT
 * What the two fast paths share: checks that are collected by OR, and asking for lines ahead; it must not know what a
 * call does with its views. Whatever is odd is 0 if it is not. */
#ifndef ROPEROT_USUAL_CALL_H
#define ROPEROT_USUAL_CALL_H

#include "cache_factors.h"
#include "coefficient_rows.h"
#include "compiler.h"
#include "lists.h"
#include "tensor.h"

/* What is asked for ahead: a row, and with factors every second line (the neighbour comes along) of their rows and of
 * the kernel that makes one of them. Each line costs a hot call a sixth of a nanosecond; asking for the rotation
 * and for the path's own code, too, won nothing. */
enum { ROPEROT_LINE = 64, ROPEROT_TWO_LINES = 128, ROPEROT_COMBINE_BYTES = 768, ROPEROT_MOST_ROW_BYTES = 1024 };

/* Of a long row only the beginning: the processor reads on by itself. A row of f32 is asked for line by line: a kernel
 * that takes two strips for it would wait for the memory twice. */
static ROPEROT_INLINE void roperot_prefetch_row(const void *row, int64_t bytes, int step)
{
    for (int64_t i = 0; i < bytes && i < ROPEROT_MOST_ROW_BYTES; i += step) {
        ROPEROT_SMALL_LOOP;
        ROPEROT_PREFETCH_DATA((const char *)row + i);
    }
}

/* Code is read by its address as data; the next level of cache is near enough. */
static ROPEROT_INLINE void roperot_prefetch_code(uintptr_t first, int bytes)
{
    for (int i = 0; i < bytes; i += ROPEROT_TWO_LINES) ROPEROT_PREFETCH_CODE((const char *)first + i);
}

/* What the first token takes: a row, the one that is kept, or the factors of the two levels that most positions
 * have. */
static ROPEROT_INLINE void roperot_prefetch_rows(const roperot_plan *plan, int64_t position,
                                                 const roperot_kept_row *kept)
{
    if (plan->rows.cos) {
        roperot_prefetch_row(plan->rows.cos + position * plan->rows.stride, 2 * plan->pairs * (int64_t)sizeof(float),
                             ROPEROT_LINE);
        return;
    }
    if (kept) {
        roperot_prefetch_row(kept, plan->scratch_bytes, ROPEROT_LINE);
        if (roperot_kept_row_is(kept, plan, position, 0)) return;
    }
    const double *f[ROPEROT_LEVELS];
    roperot_prefetch_code((uintptr_t)plan->combine, ROPEROT_COMBINE_BYTES);
    roperot_factors_of(plan, position, 0, f);
    roperot_prefetch_row(f[0], 2 * plan->pairs * (int64_t)sizeof(double), ROPEROT_TWO_LINES);
    if (f[1]) roperot_prefetch_row(f[1], 2 * plan->pairs * (int64_t)sizeof(double), ROPEROT_TWO_LINES);
}

/* What is the same for all views. */
static ROPEROT_INLINE void roperot_tile_start(roperot_tile *tile, const roperot_plan *plan)
{
    const ptrdiff_t pairs = plan->pairs, first = plan->rotary_offset;
    tile->pairs = pairs;
    tile->src_first = first;
    tile->loop = ROPEROT_LOOP_COLUMNS;
    ROPEROT_APART;
    tile->src_half = pairs;
    tile->heads_outer = 0;
    ROPEROT_APART;
    tile->dst_half = pairs;
    tile->dst_first = first;
}

/* 0 if the options are usual ones. The range begins with the first token, and ends anywhere if `any_end`. */
static ROPEROT_INLINE uint64_t roperot_options_odd(const roperot_plan *plan, const roperot_options *o,
                                                   const int any_end)
{
    if (o->size != sizeof *o) return 1; /* nothing is read behind its end */
    return (o->flags & ~(uint32_t)ROPEROT_SIGNED_POSITIONS) | (uint32_t)o->reserved | (uint64_t)o->token_begin |
           (any_end ? 0 : (uint64_t)(o->token_end ^ INT64_MAX)) | (uint64_t)(o->threads < 0) |
           roperot_scratch_odd(plan, o->scratch, o->scratch_bytes);
}

/* Positions of the first n tokens; 0 if all are in range. Offsets are limited, so that sums modulo 2^64 tell. */
static ROPEROT_INLINE uint64_t roperot_positions_odd(const roperot_plan *plan, const roperot_positions *p,
                                                     int64_t n, int64_t *position)
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

/* roperot_dtype_size without a branch, which compilers take to a line of its own. */
static ROPEROT_INLINE int32_t roperot_dtype_size_flat(int32_t dtype)
{
#define ROPEROT_FLAT_BYTES(dtype, DTYPE, bytes) | (uint64_t)(bytes) << 4 * ROPEROT_##DTYPE
    const uint64_t sizes = 0 ROPEROT_DTYPE_LIST(ROPEROT_FLAT_BYTES);
#undef ROPEROT_FLAT_BYTES
    return (int32_t)(sizes >> (4 * (uint32_t)dtype & 63) & 15 & -(uint64_t)((uint32_t)dtype < 16));
}

/* 0 if a view is plain and holds one sequence of n tokens, heads of `dim` channels. Sizes below 2^28: neither their
 * products nor the sums of these can leave 63 bits. `is_flat`: how the size of an element is found; a constant. */
static ROPEROT_INLINE uint64_t roperot_view_odd(const roperot_tensor *view, uint64_t dim, int64_t n,
                                                roperot_extent *extent, const int is_flat)
{
    const uint64_t more = (uint64_t)view->shape[2] - 1, head = (uint64_t)view->stride[2];
    const uint64_t token = n == 1 ? 0 : (uint64_t)view->stride[1];
    const uint64_t size = (uint64_t)(is_flat ? roperot_dtype_size_flat : roperot_dtype_size)(view->dtype);
    const uint64_t block = more * head + dim; /* modulo 2^64 until all is known */
    const uintptr_t data = (uintptr_t)view->data;
    const uint64_t bytes = ((uint64_t)(n - 1) * token + block) * size;
    extent->begin = data;
    extent->end = data + (uintptr_t)bytes;
    return (uint64_t)(view->shape[0] ^ 1) | (uint64_t)(view->shape[1] ^ n) | ((uint64_t)view->shape[3] ^ dim) |
           (uint64_t)(view->stride[3] ^ 1) | (uint32_t)view->flags | (uintptr_t)view->reserved |
           (more | head | token) >> 28 | (data & (uintptr_t)(size - 1)) |
           (uint64_t)((data == 0) | (extent->end <= data) | (bytes > PTRDIFF_MAX && sizeof(ptrdiff_t) < sizeof bytes) |
                      ((more != 0) & (head < dim)) | ((n != 1) & (token < block)));
}

#endif
