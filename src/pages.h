/* SPDX-License-Identifier: MIT
 * Paged caches: checking them, and from slots to addresses; it must not know tensors, norms or kernels. */
#ifndef ROPEROT_PAGES_H
#define ROPEROT_PAGES_H

#include <roperot/roperot.h>

#include "tensor.h"

/* Where an index lies: whole groups, and places within one, in bytes. A plain stride is groups of 1. */
typedef struct roperot_steps {
    int64_t group, group_bytes, bytes;
} roperot_steps;

/* A checked cache as stores and loads want it. */
typedef struct roperot_page_view {
    const roperot_pages *pages;
    char *data;
    int64_t page_bytes, head_bytes;
    roperot_steps token, channel;
    int32_t shift;    /* log2 of the tokens of a page, which spares a division; -1: no power of two */
    int32_t size;     /* bytes of an element; Q8_0: 0 */
    int32_t is_dense; /* the channels of a head are one run of memory */
} roperot_page_view;

/* Pages, tokens and heads in units. */
typedef struct roperot_page_strides {
    int64_t page, token, head;
} roperot_page_strides;

/* Units from the first to behind the last one, where each axis steps over what is inside it: heads in tokens or tokens
 * in heads, and both in pages; all of them below 2^28 and not negative. 0: it is not so. */
static inline int64_t roperot_page_reach(const roperot_page_strides *s, int64_t pages, int64_t tokens, int64_t heads,
                                         int64_t core)
{
    const int swapped = s->token < s->head;
    const int64_t inner = swapped ? s->token : s->head, outer = swapped ? s->head : s->token;
    const int64_t inner_count = swapped ? tokens : heads, outer_count = swapped ? heads : tokens;
    const int64_t block = (inner_count - 1) * inner + core, page = (outer_count - 1) * outer + block;
    if ((inner < core && inner_count != 1) || (outer < block && outer_count != 1)) return 0;
    if (s->page < page && pages != 1) return 0;
    return (pages - 1) * s->page + page;
}

/* Pages by themselves, for a shape of batch, tokens, heads and channels; `name` and `index` are for the sentence
 * ("jobs[1].to"). The extents are of what a call may touch; that of scales is left as it was if there are none. */
int32_t roperot_pages_check(const roperot_pages *pages, const int64_t shape[4], int written, int32_t index,
                            const char *name, roperot_extent *data, roperot_extent *scale, roperot_extent *slots);

/* Every slot of lines [begin, end) against the pages. */
int32_t roperot_pages_check_slots(const roperot_pages *pages, int64_t tokens, int64_t begin, int64_t end, int32_t index,
                                  const char *name);

/* 1 if both are the same elements in the same layout, for so many heads and channels: what is written at slots of `to`
 * meets what is read at other slots of `from` nowhere. */
int roperot_pages_same(const roperot_pages *to, const roperot_pages *from, int64_t heads, int64_t dim);

/* What a job touches of a cache: its elements, or its scales. */
typedef struct roperot_page_part {
    const roperot_pages *pages;
    int is_scale;
    int64_t heads, dim;
} roperot_page_part;

/* 1 if two parts whose extents overlap have no byte in common: pages (or pages and tokens) of equal strides, whose
 * blocks lie beside each other, as of keys and values in turns, or of elements and their scales. */
int roperot_page_parts_apart(const roperot_page_part *a, const roperot_page_part *b);

/* The view of checked pages. Strides of what there is only one of are anybody's: they become 0. */
void roperot_page_view_init(roperot_page_view *view, const roperot_pages *pages, int64_t heads, int64_t dim);

static inline int roperot_is_scaled(int32_t dtype)
{
    return dtype == ROPEROT_E4M3 || dtype == ROPEROT_I8;
}

/* Of a known dtype: what strides count in. Blocks of q8_0 are counted in bytes. */
static inline int64_t roperot_element_bytes(int32_t dtype)
{
    return roperot_is_tensor_dtype(dtype) ? roperot_dtype_size(dtype) : 1;
}

static inline int64_t roperot_step_bytes(const roperot_steps *steps, int64_t i)
{
    return steps->group == 1 ? i * steps->group_bytes
                             : i / steps->group * steps->group_bytes + i % steps->group * steps->bytes;
}

static inline int64_t roperot_slot_read(const roperot_pages *pages, int64_t b, int64_t t)
{
    const int64_t i = b * pages->slot_batch_stride + t * pages->slot_token_stride;
    if (pages->slot_type == ROPEROT_POSITIONS_I32) return ((const int32_t *)pages->slots)[i];
    return ((const int64_t *)pages->slots)[i];
}

static inline int64_t roperot_page_of(const roperot_page_view *view, int64_t slot)
{
    return view->shift >= 0 ? slot >> view->shift : slot / view->pages->page_tokens;
}

/* Head `head`, channel 0 of a slot that is not negative. */
static inline char *roperot_page_at(const roperot_page_view *view, int64_t slot, int64_t head)
{
    const int64_t page = roperot_page_of(view, slot), token = slot - page * view->pages->page_tokens;
    return view->data + page * view->page_bytes + roperot_step_bytes(&view->token, token) + head * view->head_bytes;
}

/* The scale of head 0 of a slot, or where it is kept; the others are scale_head_stride apart. NULL: all are 1. */
static inline float *roperot_page_scale(const roperot_page_view *view, int64_t slot)
{
    const roperot_pages *const p = view->pages;
    if (!p->scale || p->scaling == ROPEROT_SCALE_STATIC) return p->scale;
    const int64_t page = roperot_page_of(view, slot), token = slot - page * p->page_tokens;
    return p->scale + page * p->scale_page_stride + token * p->scale_token_stride;
}

/* Channels [first, first + n) of one head, between a dense run of elements and pages that are not dense. */
void roperot_page_scatter(const roperot_page_view *view, char *head, int64_t first, int64_t n, const void *elements);
void roperot_page_gather(const roperot_page_view *view, const char *head, int64_t first, int64_t n, void *elements);

#endif
