/* SPDX-License-Identifier: MIT
 * Paged caches: checking them, and from slots to addresses; it must not know tensors, norms or kernels. */
#include "pages.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "compiler.h"
#include "heads.h"
#include "lists.h"
#include "numbers.h"
#include "overlap.h"
#include "status.h"

/* ---- sizes ------------------------------------------------------------------------------------------------------- */

/* One axis of a layout: how many, and how far apart in units (elements, Q8_0: bytes). */
typedef struct axis {
    const char *name;
    int64_t count, stride;
} axis;

enum { MOST_PAGE_AXES = 4, PAGE_AXIS = 0, TOKEN_AXIS = 2 };

/* A layout as axes (pages, heads, tokens, channels; a tile has the last two in its core) around a dense core of `core`
 * units. */
typedef struct layout {
    axis axis[MOST_PAGE_AXES];
    int axes;
    int64_t core, unit; /* units of the core; bytes of a unit */
} layout;

static layout layout_of(const roperot_pages *p, int64_t heads, int64_t dim)
{
    const int is_blocked = p->dtype == ROPEROT_Q8_0, is_tiled = p->tile != ROPEROT_PAGES_STRIDED;
    layout l = { { { "page_stride", p->pages, p->page_stride }, { "head_stride", heads, p->head_stride } }, 2, 1, 1 };
    l.unit = roperot_element_bytes(p->dtype);
    if (is_tiled) {
        l.core = roperot_saturating_mul(p->page_tokens, dim);
        return l;
    }
    l.axis[l.axes++] = (axis){ "token_stride", p->page_tokens, p->token_stride };
    if (is_blocked)
        l.core = dim / ROPEROT_Q8_0_CHANNELS * ROPEROT_Q8_0_BYTES;
    else
        l.axis[l.axes++] = (axis){ "channel_stride", dim, p->channel_stride };
    return l;
}

static layout scales_of(const roperot_pages *p, int64_t heads)
{
    const int is_dynamic = p->scaling == ROPEROT_SCALE_DYNAMIC;
    layout l = { { { "scale_page_stride", is_dynamic ? p->pages : 1, p->scale_page_stride },
                   { "scale_head_stride", heads, p->scale_head_stride },
                   { "scale_token_stride", is_dynamic ? p->page_tokens : 1, p->scale_token_stride } },
                 3,
                 1,
                 (int64_t)sizeof(float) };
    return l;
}

/* Units below and above element 0; INT64_MAX if they overflow. */
static void reach(const layout *l, int64_t *below, int64_t *above)
{
    *below = 0;
    *above = l->core;
    for (int i = 0; i < l->axes; i++) roperot_reach_axis(below, above, l->axis[i].stride, l->axis[i].count);
}

/* What leads out of the address space: a tile by itself, or the first axis that does with those before it. */
static int32_t reach_error(const layout *l, const void *data, int32_t index, const char *name)
{
    layout part = *l;
    axis last = { "page_tokens * dim", 1, l->core };
    for (part.axes = 0; part.axes < l->axes; part.axes++) {
        int64_t below, above;
        reach(&part, &below, &above);
        if (!roperot_is_addressable(data, below, above, l->unit)) break;
        last = l->axis[part.axes];
    }
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "jobs[%d]%s.%s is %lld; it must not lead out of the address space", index, name, last.name,
                        (long long)last.stride);
}

static int32_t find_extent(const layout *l, const void *data, int32_t index, const char *name, roperot_extent *extent)
{
    int64_t below, above;
    reach(l, &below, &above);
    if (!roperot_is_addressable(data, below, above, l->unit)) return reach_error(l, data, index, name);
    *extent = roperot_extent_around(data, below, above, l->unit);
    return ROPEROT_OK;
}

/* Axes by rising |stride| must each step over everything that the ones before reach. */
static int32_t check_nesting(layout *l, int32_t index, const char *name)
{
    int64_t extent = l->core;
    for (int left = l->axes; left > 0; left--) {
        int least = 0;
        for (int i = 1; i < left; i++)
            if (l->axis[least].count == 1 || (l->axis[i].count != 1 && roperot_magnitude(l->axis[i].stride) <
                                                                           roperot_magnitude(l->axis[least].stride)))
                least = i;
        const axis a = l->axis[least];
        l->axis[least] = l->axis[left - 1];
        if (a.count == 1) continue;
        const int64_t stride = roperot_magnitude(a.stride);
        if (stride < extent)
            return roperot_fail(ROPEROT_ERROR_ALIAS,
                                "jobs[%d]%s is written and overlaps itself: %s is %lld; it must be at least %lld",
                                index, name, a.name, (long long)a.stride, (long long)extent);
        extent = roperot_saturating_add(extent, roperot_saturating_mul(stride, a.count - 1));
    }
    return ROPEROT_OK;
}

/* ---- fields ------------------------------------------------------------------------------------------------------ */

typedef struct where {
    int32_t index;
    const char *name;
} where;

static int32_t field_error(where at, const char *field, int64_t value, const char *allowed)
{
    return roperot_field_error_at("jobs", at.index, at.name, field, value, allowed);
}

static int32_t check_dtype(const roperot_pages *p, int64_t dim, where at)
{
    if (p->dtype < ROPEROT_F32 || p->dtype > ROPEROT_Q8_0)
        return roperot_fail(ROPEROT_ERROR_DTYPE,
                            "jobs[%d]%s.dtype is %d; it must be 1 (f32), 2 (f16), 3 (bf16), 4 (e4m3), 5 (i8) or 6 "
                            "(q8_0)",
                            at.index, at.name, p->dtype);
    if (p->dtype != ROPEROT_Q8_0) return ROPEROT_OK;
    if (dim % ROPEROT_Q8_0_CHANNELS)
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "jobs[%d]%s.dtype is 6 (q8_0) and heads have %lld channels; they must be a multiple of 32",
                            at.index, at.name, (long long)dim);
    if (p->channel_stride) return field_error(at, "channel_stride", p->channel_stride, "0 with q8_0");
    return ROPEROT_OK;
}

/* What a tile asks of tokens and channels. CHUNKED: 16 bytes. */
static int32_t check_tile(const roperot_pages *p, int64_t dim, where at)
{
    static const int64_t tokens[] = { 1, 16, 2, 8, 4, 1 }, channels[] = { 1, 2, 16, 4, 2, 0 };
    if (p->tile < ROPEROT_PAGES_STRIDED || p->tile > ROPEROT_PAGES_CHUNKED)
        return field_error(at, "tile", p->tile, "0 (strided) .. 5 (chunked)");
    if (p->tile == ROPEROT_PAGES_STRIDED) return ROPEROT_OK;
    if (p->dtype == ROPEROT_Q8_0) return field_error(at, "tile", p->tile, "0 (strided) with q8_0");
    if (p->token_stride || p->channel_stride)
        return field_error(at, p->token_stride ? "token_stride" : "channel_stride",
                           p->token_stride ? p->token_stride : p->channel_stride, "0 with a tile");
    const int64_t each = channels[p->tile] ? channels[p->tile] : 16 / roperot_element_bytes(p->dtype);
    if (p->page_tokens % tokens[p->tile] || dim % each)
        return roperot_fail(
            ROPEROT_ERROR_SHAPE,
            "jobs[%d]%s has pages of %lld tokens and heads of %lld channels; tile %d needs multiples of "
            "%lld and %lld",
            at.index, at.name, (long long)p->page_tokens, (long long)dim, p->tile, (long long)tokens[p->tile],
            (long long)each);
    return ROPEROT_OK;
}

static int32_t check_counts(const roperot_pages *p, where at)
{
    if (p->pages < 1) return field_error(at, "pages", p->pages, "at least 1");
    if (p->page_tokens < 1) return field_error(at, "page_tokens", p->page_tokens, "at least 1");
    if (roperot_saturating_mul(p->pages, p->page_tokens) == INT64_MAX)
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "jobs[%d]%s has %lld pages of %lld tokens; the product must fit 63 "
                            "bits",
                            at.index, at.name, (long long)p->pages, (long long)p->page_tokens);
    if (!p->data)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d]%s.data is NULL; it must point to page 0", at.index,
                            at.name);
    const int64_t size = roperot_element_bytes(p->dtype);
    if ((uintptr_t)p->data % (uintptr_t)size)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d]%s.data is %p; it must be a multiple of the element's %lld bytes", at.index,
                            at.name, p->data, (long long)size);
    return ROPEROT_OK;
}

static int32_t check_static_scales(const roperot_pages *p, int64_t heads, where at)
{
    for (int64_t h = 0; h < (p->scale_head_stride ? heads : 1); h++) {
        const float scale = p->scale[h * p->scale_head_stride];
        if (!(scale > 0.0f) || !isfinite(scale) || !isfinite(1.0f / scale))
            return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                                "jobs[%d]%s.scale is %g for head %lld; it must be finite and > 0, and its inverse "
                                "finite",
                                at.index, at.name, (double)scale, (long long)h);
    }
    return ROPEROT_OK;
}

static int32_t check_scaling(const roperot_pages *p, where at)
{
    if (p->scale_reserved)
        return roperot_fail(ROPEROT_ERROR_VERSION, "jobs[%d]%s.scale_reserved is %d; it must be 0", at.index, at.name,
                            p->scale_reserved);
    if (p->scaling != ROPEROT_SCALE_STATIC && p->scaling != ROPEROT_SCALE_DYNAMIC)
        return field_error(at, "scaling", p->scaling, "0 (static) or 1 (dynamic)");
    if (!roperot_is_scaled(p->dtype) && (p->scale || p->scaling != ROPEROT_SCALE_STATIC))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d]%s.dtype is %d, which has no scales; scaling must be 0 (static) and scale NULL",
                            at.index, at.name, p->dtype);
    if (p->scaling == ROPEROT_SCALE_DYNAMIC && !p->scale)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d]%s.scale is NULL; dynamic scaling needs it", at.index,
                            at.name);
    if (p->scaling == ROPEROT_SCALE_DYNAMIC && !(p->scale_floor >= 0.0f && isfinite(p->scale_floor)))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d]%s.scale_floor is %g; it must be finite and at least 0",
                            at.index, at.name, (double)p->scale_floor);
    if ((uintptr_t)p->scale % _Alignof(float))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d]%s.scale is %p; it must be a multiple of 4", at.index,
                            at.name, (const void *)p->scale);
    return ROPEROT_OK;
}

static int32_t check_slot_fields(const roperot_pages *p, where at)
{
    if (p->slot_type != ROPEROT_POSITIONS_I32 && p->slot_type != ROPEROT_POSITIONS_I64)
        return field_error(at, "slot_type", p->slot_type, "1 (int32) or 2 (int64)");
    if (!p->slots)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d]%s.slots is NULL; it must point to a slot per line",
                            at.index, at.name);
    const uintptr_t alignment = p->slot_type == ROPEROT_POSITIONS_I32 ? _Alignof(int32_t) : _Alignof(int64_t);
    if ((uintptr_t)p->slots % alignment)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d]%s.slots is %p; it must be a multiple of %d, its type's alignment", at.index,
                            at.name, p->slots, (int)alignment);
    return ROPEROT_OK;
}

/* ---- a cache by itself ------------------------------------------------------------------------------------------- */

static int32_t check_extents(const roperot_pages *p, const int64_t shape[4], int written, where at,
                             roperot_extent *whole, roperot_extent *scale)
{
    layout data = layout_of(p, shape[2], shape[3]);
    int32_t status = find_extent(&data, p->data, at.index, at.name, whole);
    if (!status && written) status = check_nesting(&data, at.index, at.name);
    if (status || !p->scale) return status;
    layout scales = scales_of(p, shape[2]);
    status = find_extent(&scales, p->scale, at.index, at.name, scale);
    if (status) return status;
    if (p->scaling == ROPEROT_SCALE_STATIC) return check_static_scales(p, shape[2], at);
    return written ? check_nesting(&scales, at.index, at.name) : ROPEROT_OK;
}

int32_t roperot_pages_check(const roperot_pages *p, const int64_t shape[4], int written, int32_t index,
                            const char *name, roperot_extent *data, roperot_extent *scale, roperot_extent *slots)
{
    const where at = { index, name };
    int32_t status = roperot_check_size_at(p, sizeof *p, sizeof *p, "jobs", index, name);
    if (!status) status = check_dtype(p, shape[3], at);
    if (!status) status = check_counts(p, at);
    if (!status) status = check_tile(p, shape[3], at);
    if (!status) status = check_scaling(p, at);
    if (!status) status = check_slot_fields(p, at);
    if (!status) status = check_extents(p, shape, written, at, data, scale);
    if (status) return status;
    const layout ids = { { { "slot_batch_stride", shape[0], p->slot_batch_stride },
                           { "slot_token_stride", shape[1], p->slot_token_stride } },
                         2,
                         1,
                         p->slot_type == ROPEROT_POSITIONS_I32 ? 4 : 8 };
    return find_extent(&ids, p->slots, index, name, slots);
}

int32_t roperot_pages_check_slots(const roperot_pages *p, int64_t tokens, int64_t begin, int64_t end, int32_t index,
                                  const char *name)
{
    const int64_t slots = p->pages * p->page_tokens;
    int64_t b = begin ? begin / tokens : 0, t = begin - b * tokens;
    for (int64_t line = begin; line < end; line++) {
        const int64_t slot = roperot_slot_read(p, b, t);
        if (slot >= slots)
            return roperot_fail(ROPEROT_ERROR_POSITION,
                                "jobs[%d]%s: the slot of token %lld of batch row %lld is %lld; it must be below %lld",
                                index, name, (long long)t, (long long)b, (long long)slot, (long long)slots);
        if (++t == tokens) t = 0, b++;
    }
    return ROPEROT_OK;
}

/* ---- two caches -------------------------------------------------------------------------------------------------- */

/* The stride of an axis of 1 is anybody's. */
static int same_stride(int64_t count, int64_t a, int64_t b)
{
    return count == 1 || a == b;
}

/* Pages that are only read may lie across each other. So what is written must have their stride: one page by itself
 * has none. */
static int same_page_stride(const roperot_pages *to, const roperot_pages *from, int64_t to_stride, int64_t from_stride)
{
    return from->pages == 1 || (to->pages != 1 && to_stride == from_stride);
}

static int same_scales(const roperot_pages *to, const roperot_pages *from, int64_t heads)
{
    if (to->scale != from->scale || to->scaling != from->scaling) return 0;
    if (!to->scale) return 1;
    if (!same_stride(heads, to->scale_head_stride, from->scale_head_stride)) return 0;
    if (to->scaling == ROPEROT_SCALE_STATIC) return 1;
    return same_page_stride(to, from, to->scale_page_stride, from->scale_page_stride) &&
           same_stride(to->page_tokens, to->scale_token_stride, from->scale_token_stride);
}

int roperot_pages_same(const roperot_pages *to, const roperot_pages *from, int64_t heads, int64_t dim)
{
    return to->data == from->data && to->dtype == from->dtype && to->tile == from->tile &&
           to->page_tokens == from->page_tokens &&
           same_page_stride(to, from, to->page_stride, from->page_stride) &&
           same_stride(to->page_tokens, to->token_stride, from->token_stride) &&
           same_stride(heads, to->head_stride, from->head_stride) &&
           same_stride(dim, to->channel_stride, from->channel_stride) && same_scales(to, from, heads);
}

/* The bytes of a layout without its page axis, and (`row`) without its token axis. */
static void block_of(const layout *l, int row, int64_t *low, int64_t *high)
{
    layout inner = *l;
    inner.axis[PAGE_AXIS].count = 1;
    if (row) inner.axis[TOKEN_AXIS].count = 1;
    int64_t below, above;
    reach(&inner, &below, &above);
    *low = -below * l->unit;
    *high = above * l->unit;
}

static int64_t bytes_of_stride(const layout *l, int i)
{
    return l->axis[i].count == 1 ? 0 : l->axis[i].stride * l->unit;
}

static int same_steps(const layout *a, const layout *b, int i)
{
    return a->axis[i].count == b->axis[i].count && bytes_of_stride(a, i) == bytes_of_stride(b, i);
}

/* Inline: a function of its own has an unwinding entry, for which the size of the library has no room. */
static ROPEROT_INLINE layout layout_of_part(const roperot_page_part *p)
{
    return p->is_scale ? scales_of(p->pages, p->heads) : layout_of(p->pages, p->heads, p->dim);
}

int roperot_page_parts_apart(const roperot_page_part *a, const roperot_page_part *b)
{
    const layout la = layout_of_part(a), lb = layout_of_part(b);
    if (!same_steps(&la, &lb, PAGE_AXIS)) return 0;
    const int rows = la.axes > TOKEN_AXIS && lb.axes > TOKEN_AXIS && same_steps(&la, &lb, TOKEN_AXIS);
    int64_t low_a, high_a, low_b, high_b;
    block_of(&la, rows, &low_a, &high_a);
    block_of(&lb, rows, &low_b, &high_b);
    const int64_t stride[2] = { roperot_magnitude(bytes_of_stride(&la, PAGE_AXIS)),
                                rows ? roperot_magnitude(bytes_of_stride(&la, TOKEN_AXIS)) : 0 };
    const int64_t most[2] = { la.axis[PAGE_AXIS].count - 1, rows ? la.axis[TOKEN_AXIS].count - 1 : 0 };
    const void *const first_a = a->is_scale ? a->pages->scale : a->pages->data;
    const void *const first_b = b->is_scale ? b->pages->scale : b->pages->data;
    return roperot_blocks_disjoint(roperot_distance(first_a, first_b), stride, most, low_a - high_b, high_a - low_b);
}

/* ---- addresses --------------------------------------------------------------------------------------------------- */

static void set_steps(roperot_steps *s, int64_t group, int64_t group_stride, int64_t stride, int64_t size)
{
    s->group = group;
    s->group_bytes = group_stride * size;
    s->bytes = stride * size;
}

/* n = tokens of a page, d = channels of a head; each pair is what the header's comment on the tile says. */
static void tile_steps(roperot_page_view *v, int64_t n, int64_t d, int64_t size)
{
    const int64_t chunk = 16 / size;
    switch (v->pages->tile) {
    case ROPEROT_PAGES_AMX_K: set_steps(&v->token, 16, 16 * d, 2, size), set_steps(&v->channel, 2, 32, 1, size); break;
    case ROPEROT_PAGES_AMX_V: set_steps(&v->token, 2, 32, 1, size), set_steps(&v->channel, 16, 16 * n, 2, size); break;
    case ROPEROT_PAGES_BFMMLA_K: set_steps(&v->token, 8, 8 * d, 4, size), set_steps(&v->channel, 4, 32, 1, size); break;
    case ROPEROT_PAGES_BFMMLA_V: set_steps(&v->token, 4, 8, 1, size), set_steps(&v->channel, 2, 2 * n, 4, size); break;
    default: set_steps(&v->token, 1, chunk, 0, size), set_steps(&v->channel, chunk, chunk * n, 1, size);
    }
}

/* log2 of a power of two, else -1. */
static int32_t shift_of(int64_t n)
{
    int32_t shift = 0;
    if (n & (n - 1)) return -1;
    while (n >> shift != 1) shift++;
    return shift;
}

void roperot_page_view_init(roperot_page_view *v, const roperot_pages *p, int64_t heads, int64_t dim)
{
    const int64_t size = roperot_element_bytes(p->dtype);
    v->pages = p;
    v->data = p->data;
    v->shift = shift_of(p->page_tokens);
    v->size = p->dtype == ROPEROT_Q8_0 ? 0 : (int32_t)size;
    v->page_bytes = p->pages == 1 ? 0 : p->page_stride * size;
    v->head_bytes = heads == 1 ? 0 : p->head_stride * size;
    set_steps(&v->token, 1, p->page_tokens == 1 ? 0 : p->token_stride, 0, size);
    set_steps(&v->channel, 1, dim == 1 ? 0 : p->channel_stride, 0, size);
    if (p->tile != ROPEROT_PAGES_STRIDED) tile_steps(v, p->page_tokens, dim, size);
    v->is_dense = p->tile == ROPEROT_PAGES_STRIDED && (p->dtype == ROPEROT_Q8_0 || p->channel_stride == 1 || dim == 1);
}

void roperot_page_scatter(const roperot_page_view *v, char *head, int64_t first, int64_t n, const void *elements)
{
    const char *from = elements;
    for (int64_t c = first; c < first + n; c++, from += v->size)
        memcpy(head + roperot_step_bytes(&v->channel, c), from, (size_t)v->size);
}

void roperot_page_gather(const roperot_page_view *v, const char *head, int64_t first, int64_t n, void *elements)
{
    char *to = elements;
    for (int64_t c = first; c < first + n; c++, to += v->size)
        memcpy(to, head + roperot_step_bytes(&v->channel, c), (size_t)v->size);
}
