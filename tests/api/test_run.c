/* SPDX-License-Identifier: MIT
 * roperot_run against the chain of its parts: random jobs in every combination, bit for bit, nothing else written; it
 * must not know how the library fuses. */
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "reference/job.h"
#include "support/assertions.h"
#include "support/formats.h"
#include "support/guarded_tensor.h"
#include "support/harness.h"
#include "support/stack.h"
#include "support/values.h"

enum { MOST_JOBS = 6, MOST_LINES = 64, MOST_HEADS = 20 };

/* ---- pages under test -------------------------------------------------------------------------------------------- */

typedef struct cache {
    guard_buffer data, scale;
    roperot_pages pages;
    int64_t slots[MOST_LINES];
    int32_t slots32[MOST_LINES];
} cache;

static int64_t unit_bytes(int dtype)
{
    return dtype >= ROPEROT_E4M3 ? 1 : (int64_t)format_bytes(dtype);
}

static int64_t row_units(const roperot_pages *p, int64_t dim)
{
    return p->dtype == ROPEROT_Q8_0 ? dim / 32 * 34 : dim;
}

/* Strides of one of several orders: NHD, HND, channels outside tokens, tokens backwards. Returns the units spanned. */
static int64_t choose_strides(roperot_pages *p, int64_t heads, int64_t dim, int64_t *origin)
{
    const int64_t row = row_units(p, dim), n = p->page_tokens, gap = random_below(3) ? 0 : 5;
    const int blocked = p->dtype == ROPEROT_Q8_0;
    *origin = 0;
    p->channel_stride = blocked ? 0 : 1;
    switch (random_below(4)) {
    case 0:
        p->head_stride = row + gap, p->token_stride = heads * p->head_stride, p->page_stride = n * p->token_stride;
        break;
    case 1:
        p->token_stride = row + gap, p->head_stride = n * p->token_stride, p->page_stride = heads * p->head_stride;
        break;
    case 2:
        if (blocked) {
            p->token_stride = row, p->page_stride = n * row, p->head_stride = p->pages * p->page_stride;
            break;
        }
        p->token_stride = 1, p->channel_stride = n + gap, p->head_stride = dim * p->channel_stride;
        p->page_stride = heads * p->head_stride;
        break;
    default:
        p->head_stride = row, p->token_stride = -(heads * row + gap), p->page_stride = -n * p->token_stride;
        *origin = -(n - 1) * p->token_stride;
    }
    const int64_t widest = llabs(p->page_stride) * p->pages, heads_end = llabs(p->head_stride) * heads;
    return (widest > heads_end ? widest : heads_end) + row + llabs(p->token_stride);
}

static void choose_tile(roperot_pages *p, int64_t heads, int64_t dim)
{
    static const int64_t tokens[] = { 1, 16, 2, 8, 4, 1 }, channels[] = { 1, 2, 16, 4, 2, 16 };
    p->tile = (int32_t)random_below(6);
    const int64_t x = p->tile == ROPEROT_PAGES_CHUNKED ? 16 / unit_bytes(p->dtype) : channels[p->tile];
    if (p->dtype == ROPEROT_Q8_0 || dim % x) p->tile = ROPEROT_PAGES_STRIDED;
    if (p->tile == ROPEROT_PAGES_STRIDED) return;
    p->page_tokens = (p->page_tokens + tokens[p->tile] - 1) / tokens[p->tile] * tokens[p->tile];
    p->token_stride = p->channel_stride = 0;
    p->head_stride = p->page_tokens * dim;
    p->page_stride = heads * p->head_stride + (random_below(2) ? 32 : 0);
}

static void choose_scales(cache *it, int64_t heads)
{
    roperot_pages *const p = &it->pages;
    p->scaling = (int32_t)random_below(2);
    p->scale_floor = random_below(2) ? 0.0f : 1e-6f;
    const int dynamic = p->scaling == ROPEROT_SCALE_DYNAMIC, none = !dynamic && random_below(4) == 0;
    if (none) return;
    const int64_t floats = dynamic ? p->pages * p->page_tokens * heads : heads;
    it->scale = guard_buffer_open((size_t)floats * sizeof(float), GUARD_HIGH);
    p->scale = (float *)(void *)it->scale.data;
    for (int64_t i = 0; i < floats; i++) p->scale[i] = (float)random_between(0.001, 0.1);
    p->scale_head_stride = 1;
    p->scale_token_stride = heads;
    p->scale_page_stride = heads * p->page_tokens;
    if (!dynamic && random_below(2)) p->scale_head_stride = 0;
}

/* Distinct slots, some of them negative. */
static void choose_slots(cache *it, int64_t lines, int64_t tokens)
{
    roperot_pages *const p = &it->pages;
    const int64_t all = p->pages * p->page_tokens;
    int64_t *const order = malloc(sizeof *order * (size_t)all);
    for (int64_t i = 0; i < all; i++) order[i] = i;
    for (int64_t i = all - 1; i > 0; i--) {
        const int64_t k = random_below((uint32_t)i + 1), kept = order[i];
        order[i] = order[k];
        order[k] = kept;
    }
    for (int64_t i = 0; i < lines; i++) {
        it->slots[i] = random_below(6) ? order[i] : -1 - (int64_t)random_below(3);
        it->slots32[i] = (int32_t)it->slots[i];
    }
    free(order);
    p->slot_type = 1 + (int32_t)random_below(2);
    p->slots = p->slot_type == 1 ? (const void *)it->slots32 : it->slots;
    p->slot_batch_stride = tokens;
    p->slot_token_stride = 1;
}

static int32_t any_dtype(void)
{
    return ROPEROT_F32 + (int32_t)random_below(ROPEROT_DTYPES);
}

static void fill_pages(cache *it, int64_t heads, int64_t dim)
{
    const roperot_pages *const p = &it->pages;
    for (int64_t slot = 0; slot < p->pages * p->page_tokens; slot++)
        for (int64_t h = 0; h < heads; h++)
            for (int64_t c = 0; c < dim; c++) {
                unsigned char *at = reference_page_at(p, dim, slot, h, c);
                if (roperot_is_tensor_dtype(p->dtype))
                    format_store(p->dtype, at, values_number(VALUES_NORMAL, p->dtype));
                else if (p->dtype != ROPEROT_Q8_0)
                    *at = (unsigned char)random_below(256);
                else
                    at[c / 32 * 34 + 2 + c % 32] = (unsigned char)random_below(256);
                if (p->dtype == ROPEROT_Q8_0 && c % 32 == 0)
                    format_store(ROPEROT_F16, at + c / 32 * 34, values_number(VALUES_NORMAL, ROPEROT_F16));
            }
}

static void cache_open(cache *it, int dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim)
{
    *it = (cache){ .pages = ROPEROT_PAGES_INIT };
    roperot_pages *const p = &it->pages;
    int64_t origin = 0;
    p->dtype = dtype;
    p->page_tokens = 1 + random_below(19);
    choose_tile(p, heads, dim);
    p->pages = (batch * tokens + p->page_tokens - 1) / p->page_tokens + random_below(3);
    const int64_t units = p->tile ? p->pages * p->page_stride : choose_strides(p, heads, dim, &origin);
    it->data = guard_buffer_open((size_t)(units * unit_bytes(dtype)), GUARD_HIGH);
    p->data = it->data.data + origin * unit_bytes(dtype);
    fill_pages(it, heads, dim);
    if (dtype == ROPEROT_E4M3 || dtype == ROPEROT_I8) choose_scales(it, heads);
    choose_slots(it, batch * tokens, tokens);
}

static void cache_close(cache *it)
{
    guard_buffer_close(&it->data);
    if (it->scale.bytes) guard_buffer_close(&it->scale);
}

/* The same bytes elsewhere. */
static cache cache_clone(const cache *from)
{
    cache it = *from;
    it.data = guard_buffer_open(from->data.bytes, GUARD_HIGH);
    memcpy(it.data.data, from->data.data, from->data.bytes);
    it.pages.data = it.data.data + ((unsigned char *)from->pages.data - from->data.data);
    if (!from->scale.bytes) return it;
    it.scale = guard_buffer_open(from->scale.bytes, GUARD_HIGH);
    memcpy(it.scale.data, from->scale.data, from->scale.bytes);
    it.pages.scale = (float *)(void *)it.scale.data;
    return it;
}

static void cache_check_equal(const cache *got, const cache *want, const char *what)
{
    const int dtype = roperot_is_tensor_dtype(got->pages.dtype) ? got->pages.dtype : 0;
    const size_t size = dtype ? format_bytes(dtype) : 1;
    CHECK(guard_buffer_intact(&got->data), "%s: a canary beside the pages was overwritten", what);
    for (size_t i = 0; i + size <= got->data.bytes; i += size) {
        const unsigned char *const g = got->data.data + i, *const w = want->data.data + i;
        const int same = dtype ? format_same(dtype, format_load(dtype, g), format_load(dtype, w)) : *g == *w;
        CHECK(same, "%s: byte %zu of the pages is 0x%x, not 0x%x", what, i, *g, *w);
    }
    for (size_t i = 0; i < got->scale.bytes / 4; i++)
        CHECK(format_same(ROPEROT_F32, format_load(ROPEROT_F32, got->scale.data + 4 * i),
                          format_load(ROPEROT_F32, want->scale.data + 4 * i)),
              "%s: scale %zu is %a, not %a", what, i, (double)got->pages.scale[i], (double)want->pages.scale[i]);
}

/* What models do most, and kernels fuse: heads of whole vectors, half-split, an RMS norm with a weight before the
 * rotation, one dtype from the source to the cache, or two. */
static int usual;

/* ---- a job under test -------------------------------------------------------------------------------------------- */

typedef struct trial {
    roperot_job job;
    roperot_norm norm;
    roperot_tensor src_view, dst_view;
    guarded_tensor src, dst;
    cache from, to;
    int has_src, has_dst, has_from, has_to, in_place, same_pages;
    float factor[MOST_LINES];
    unsigned char weight[4 * 70000], bias[4 * 70000];
    char words[400];
} trial;

static void choose_norm(trial *t, int64_t heads, int64_t dim)
{
    roperot_norm *const n = &t->norm;
    *n = (roperot_norm)ROPEROT_NORM_INIT;
    n->kind = 1 + (int32_t)random_below(2);
    n->rounding = (int32_t)random_below(3);
    n->flags = (int32_t)random_below(8);
    n->epsilon = random_below(3) ? 1e-6 : random_below(2) ? 1e-5 : 0.0;
    n->weight_dtype = any_dtype();
    if (random_below(5)) n->weight = t->weight;
    if (n->kind == ROPEROT_NORM_LAYER && random_below(2)) n->bias = t->bias;
    if (!n->weight) n->flags &= ~ROPEROT_NORM_UNIT_OFFSET;
    if (usual) {
        n->kind = ROPEROT_NORM_RMS;
        n->flags = 0;
        n->weight = t->weight;
        n->bias = NULL;
    }
    const int64_t count = n->flags & ROPEROT_NORM_ALL_HEADS ? heads * dim : dim;
    for (int64_t i = 0; i < count; i++) {
        const int64_t at = i * (int64_t)format_bytes(n->weight_dtype);
        format_store(n->weight_dtype, t->weight + at, values_number(VALUES_NORMAL, n->weight_dtype));
        format_store(n->weight_dtype, t->bias + at, values_number(VALUES_NORMAL, n->weight_dtype));
    }
    t->job.norm = n;
}

static void describe(trial *t, const int64_t shape[4])
{
    const roperot_job *const j = &t->job;
    int at = snprintf(t->words, sizeof t->words, "%lld x %lld x %lld x %lld flags %u from %d", (long long)shape[0],
                      (long long)shape[1], (long long)shape[2], (long long)shape[3], (unsigned)j->flags,
                      j->src ? j->src->dtype : -t->from.pages.dtype);
    const size_t room = sizeof t->words;
    if (j->dst)
        at += snprintf(t->words + at, room - (size_t)at, ", dst %d%s", j->dst->dtype, t->in_place ? " in place" : "");
    if (j->to)
        at += snprintf(t->words + at, room - (size_t)at, ", pages %d tile %d scaling %d%s", t->to.pages.dtype,
                       t->to.pages.tile, t->to.pages.scaling, t->same_pages ? " the same" : "");
    if (j->norm)
        at += snprintf(t->words + at, room - (size_t)at, ", norm %d rounding %d flags %d weight %d%s", t->norm.kind,
                       t->norm.rounding, t->norm.flags, t->norm.weight ? t->norm.weight_dtype : 0,
                       t->norm.bias ? " bias" : "");
    if (j->factor) snprintf(t->words + at, room - (size_t)at, ", factor");
}

static views_layout any_layout(void)
{
    const views_layout layout = { (int)random_below(VIEWS_ORDERS), (int)random_below(2), random_below(2) ? 0 : 3,
                                  (int)random_below(8) };
    return layout;
}

/* Values that hurt: infinities, NaN, denormals. */
static void spice(const roperot_tensor *v, int kind)
{
    for (int64_t b = 0; b < v->shape[0]; b++)
        for (int64_t t = 0; t < v->shape[1]; t++)
            for (int64_t h = 0; h < v->shape[2]; h++)
                for (int64_t d = 0; d < v->shape[3]; d++)
                    format_store(v->dtype, views_at(v, b, t, h, d), values_number(kind, v->dtype));
}

/* Some heads of zeros, and of numbers so small that a scale made of them has no inverse. */
static void hush(const roperot_tensor *v)
{
    for (int64_t b = 0; b < v->shape[0]; b++)
        for (int64_t t = 0; t < v->shape[1]; t++)
            for (int64_t h = 0; h < v->shape[2]; h++) {
                const uint32_t bits = random_below(2) ? 0 : 0x13; /* 2.7e-44 in f32 */
                for (int64_t d = 0; d < v->shape[3] && random_below(100) < 98; d++)
                    format_store(v->dtype, views_at(v, b, t, h, d), bits);
            }
}

static int any_format(int64_t dim)
{
    for (;;) {
        const int format = 1 + (int)random_below(ROPEROT_FORMATS);
        if (format != ROPEROT_Q8_0 || dim % ROPEROT_Q8_0_CHANNELS == 0) return format;
    }
}

static void choose_source(trial *t, const int64_t s[4])
{
    t->has_from = !usual && random_below(4) == 0;
    t->has_src = !t->has_from;
    if (t->has_from) {
        cache_open(&t->from, any_format(s[3]), s[0], s[1], s[2], s[3]);
        t->job.batch = s[0], t->job.tokens = s[1], t->job.heads = s[2], t->job.dim = s[3];
        return;
    }
    t->src = guarded_tensor_open(any_dtype(), s[0], s[1], s[2], s[3], any_layout());
    if (random_below(3)) spice(&t->src.view, random_below(4) ? VALUES_NORMAL : VALUES_SPECIAL);
    if (random_below(5) == 0) hush(&t->src.view);
}

static int32_t usual_target(const trial *t)
{
    return random_below(2) ? any_dtype() : t->src.view.dtype;
}

static void choose_targets(trial *t, const int64_t s[4], int repacks)
{
    const int what = 1 + (int)random_below(3);
    t->has_dst = what & 1;
    t->has_to = (what & 2) != 0;
    t->in_place = t->has_dst && t->has_src && !repacks && random_below(2);
    t->same_pages = t->has_to && t->has_from && !repacks && random_below(3) == 0;
    if (t->has_dst && !t->in_place)
        t->dst = guarded_tensor_open(usual ? usual_target(t) : any_dtype(), s[0], s[1], s[2], s[3], any_layout());
    if (t->has_to && !t->same_pages)
        cache_open(&t->to, usual ? usual_target(t) : any_format(s[3]), s[0], s[1], s[2], s[3]);
    if (t->same_pages) t->to = t->from;
}

/* Pointers of the job to the trial's own parts. */
static void bind(trial *t)
{
    roperot_job *const j = &t->job;
    t->src_view = t->src.view;
    t->dst_view = t->in_place ? t->src.view : t->dst.view;
    j->src = t->has_src ? &t->src_view : NULL;
    j->dst = t->has_dst ? &t->dst_view : NULL;
    j->from = t->has_from ? &t->from.pages : NULL;
    j->to = t->has_to ? &t->to.pages : NULL;
    if (j->norm) j->norm = &t->norm;
    if (j->factor) j->factor = t->factor;
    if (t->norm.weight) t->norm.weight = t->weight;
    if (t->norm.bias) t->norm.bias = t->bias;
    cache *const caches[2] = { &t->from, &t->to };
    for (int i = 0; i < 2; i++)
        caches[i]->pages.slots = caches[i]->pages.slot_type == 1 ? (const void *)caches[i]->slots32 : caches[i]->slots;
}

static void trial_open(trial *t, const int64_t shape[4], int rotated, int repacks, uint32_t call_flags)
{
    memset(t, 0, offsetof(trial, weight));
    t->job = (roperot_job)ROPEROT_JOB_INIT;
    t->job.flags = (rotated ? 0 : ROPEROT_JOB_UNROTATED) | (random_below(2) ? ROPEROT_JOB_SKIP : 0) |
                   (random_below(3) ? 0 : ROPEROT_JOB_UNROUNDED);
    choose_source(t, shape);
    choose_targets(t, shape, repacks && rotated);
    if (random_below(3) && !(call_flags & ROPEROT_INVERSE)) choose_norm(t, shape[2], shape[3]);
    if (!usual && random_below(3) == 0) {
        t->job.factor = t->factor;
        t->job.factor_batch_stride = shape[1];
        for (int i = 0; i < MOST_LINES; i++) t->factor[i] = (float)random_between(-2, 2);
    }
    bind(t);
    describe(t, shape);
}

static trial *trial_clone(const trial *from)
{
    trial *const t = malloc(sizeof *t);
    *t = *from;
    if (t->has_src) t->src = guarded_tensor_clone(&from->src);
    if (t->has_dst && !t->in_place) t->dst = guarded_tensor_clone(&from->dst);
    if (t->has_from) t->from = cache_clone(&from->from);
    if (t->same_pages) {
        t->to.data = t->from.data;
        t->to.scale = t->from.scale;
        t->to.pages = t->from.pages;
    } else if (t->has_to) {
        t->to = cache_clone(&from->to);
    }
    bind(t);
    return t;
}

static void trial_check_equal(const trial *got, const trial *want)
{
    if (got->has_src) guarded_tensor_check_equal(&got->src, &want->src, got->words);
    if (got->has_dst && !got->in_place) guarded_tensor_check_equal(&got->dst, &want->dst, got->words);
    if (got->has_from) cache_check_equal(&got->from, &want->from, got->words);
    if (got->has_to && !got->same_pages) cache_check_equal(&got->to, &want->to, got->words);
}

static void trial_close(trial *t)
{
    if (t->has_src) guarded_tensor_close(&t->src);
    if (t->has_dst && !t->in_place) guarded_tensor_close(&t->dst);
    if (t->has_from) cache_close(&t->from);
    if (t->has_to && !t->same_pages) cache_close(&t->to);
    free(t);
}

/* ---- calls ------------------------------------------------------------------------------------------------------- */

typedef struct scene {
    roperot_config config;
    roperot_positions at;
    roperot_options options;
    uint8_t axis[1024];
    int64_t ids[4 * MOST_LINES];
    int64_t shape[4];
    trial *trial[MOST_JOBS];
    int32_t count;
    roperot_table table; /* borrowed, with rows per head */
    guard_buffer rows;
} scene;

static void backwards(void *ctx, int64_t tasks, void (*task)(void *arg, int64_t index), void *arg)
{
    *(int64_t *)ctx += tasks;
    for (int64_t i = tasks - 1; i >= 0; i--) task(arg, i);
}

static int32_t any_dim(void)
{
    static const int32_t dims[] = { 2, 16, 32, 64, 80, 96, 128, 128, 192, 256, 512, 576, 1088 };
    return random_below(3) ? dims[random_below(sizeof dims / sizeof *dims)] : 2 + 2 * (int32_t)random_below(70);
}

static void choose_config(scene *s)
{
    roperot_config *const c = &s->config;
    *c = (roperot_config)ROPEROT_CONFIG_INIT;
    c->head_dim = any_dim();
    if (random_below(3) == 0) {
        c->rotary_dim = 2 + 2 * (int32_t)random_below((uint32_t)c->head_dim / 2);
        c->rotary_offset = 2 * (int32_t)random_below((uint32_t)(c->head_dim - c->rotary_dim) / 2 + 1);
        if (c->head_dim > 512) c->rotary_dim = c->head_dim - 64, c->rotary_offset = 32; /* whole blocks of q8_0 */
    }
    c->pairing = 1 + (int32_t)random_below(2);
    if (random_below(3) == 0) c->pairing_out = 3 - c->pairing;
    c->cache = 1 + (int32_t)random_below(2);
    c->max_positions = 200;
    c->attention_factor = random_below(3) ? 1.0 : 1.25;
    c->arithmetic = random_below(4) == 0;
    if (usual) c->head_dim = 32 << random_below(4), c->rotary_dim = c->rotary_offset = c->pairing_out = 0;
    if (usual) c->pairing = ROPEROT_PAIR_HALF;
    c->bounds = (int32_t)random_below(3);
    c->axes = random_below(3) ? 1 : 3;
    c->pairs = (c->rotary_dim ? c->rotary_dim : c->head_dim) / 2;
    for (int32_t j = 0; j < c->pairs; j++) s->axis[j] = (uint8_t)random_below(3);
    if (c->axes > 1) c->axis = s->axis;
}

/* A table with rows per head, [positions, heads, ..] or [heads, positions, ..], heads in either direction. */
static void choose_table(scene *s, int64_t heads)
{
    const int64_t pairs = s->config.pairs, positions = s->config.max_positions, row = 2 * pairs;
    const int inside = (int)random_below(2), back = (int)random_below(2);
    s->rows = guard_buffer_open((size_t)(positions * heads * row) * sizeof(float), (int)random_below(2));
    float *const values = (float *)(void *)s->rows.data;
    for (int64_t i = 0; i < positions * heads * row; i++) values[i] = (float)random_between(-1, 1);
    s->table = (roperot_table)ROPEROT_TABLE_INIT;
    s->table.rows = positions;
    s->table.heads = heads;
    s->table.row_stride = inside ? heads * row : row;
    s->table.head_stride = inside ? row : positions * row;
    s->table.cos = values + (back ? (heads - 1) * s->table.head_stride : 0);
    s->table.sin = (float *)s->table.cos + pairs;
    if (back) s->table.head_stride = -s->table.head_stride;
    s->config.table = &s->table;
    s->config.cache = ROPEROT_CACHE_BORROWED;
}

static void choose_positions(scene *s)
{
    const int64_t lines = s->shape[0] * s->shape[1];
    const int64_t outside = s->config.bounds == ROPEROT_BOUNDS_ERROR ? 0 : 40;
    const int is_signed = (s->options.flags & ROPEROT_SIGNED_POSITIONS) != 0;
    for (int64_t i = 0; i < 3 * lines; i++)
        s->ids[i] = (int64_t)random_below((uint32_t)(200 + outside)) - (is_signed ? 100 : 0);
    s->at = roperot_positions_i64(s->ids, s->shape[1]);
    s->at.axes = s->config.axes;
    s->at.axis_stride = lines;
}

static void scene_open(scene *s)
{
    choose_config(s);
    s->shape[0] = 1 + random_below(3);
    s->shape[1] = random_below(4) ? 1 + random_below(MOST_LINES / 3) : 1;
    s->options = (roperot_options)ROPEROT_OPTIONS_INIT;
    s->options.flags = random_below(3) ? 0 : random_below(8);
    if (random_below(4) == 0) {
        s->options.token_begin = random_below(4);
        s->options.token_end = s->options.token_begin + 1 + random_below(20);
    }
    choose_positions(s);
    const int64_t heads = random_below(4) ? 0 : 1 + random_below(4);
    s->rows.bytes = 0;
    if (heads) choose_table(s, heads);
    s->count = 1 + (int32_t)random_below(random_below(4) ? 3 : MOST_JOBS);
    for (int32_t i = 0; i < s->count; i++) {
        const int rotated = random_below(3) != 0;
        int64_t shape[4] = { s->shape[0], s->shape[1], 1 + random_below(random_below(3) ? 4 : MOST_HEADS),
                             s->config.head_dim };
        if (!rotated && random_below(2)) shape[3] = random_below(3) ? any_dim() : 33;
        if (shape[3] > 300) shape[2] = 1 + random_below(3);
        if (rotated && heads) shape[2] = heads;
        s->trial[i] = malloc(sizeof *s->trial[i]);
        trial_open(s->trial[i], shape, rotated, s->config.pairing_out != 0, s->options.flags);
    }
}

static int32_t run_scene(const scene *s, const roperot_plan *plan, trial *const *trials)
{
    roperot_job jobs[MOST_JOBS];
    for (int32_t i = 0; i < s->count; i++) jobs[i] = trials[i]->job;
    return roperot_run(plan, &s->at, jobs, s->count, &s->options);
}

static void jobs_equal_their_chain(const void *arg)
{
    usual = arg != NULL;
    const int rounds = harness_quick() > 1 ? 40 : harness_quick() ? 150 : 600;
    scene *const s = malloc(sizeof *s);
    for (int round = 0; round < rounds; round++) {
        scene_open(s);
        int64_t tasks = 0;
        if (random_below(2)) {
            s->options.parallel_for = backwards;
            s->options.ctx = &tasks;
            s->options.threads = 1 + (int32_t)random_below(5);
        }
        roperot_plan *const plan = expect_plan(&s->config);
        const reference_call call = { &s->config,
                                      s->ids,
                                      NULL,
                                      s->options.flags,
                                      s->options.token_begin,
                                      s->options.token_end == INT64_MAX ? 0 : s->options.token_end,
                                      0 };
        trial *want[MOST_JOBS];
        for (int32_t i = 0; i < s->count; i++) want[i] = trial_clone(s->trial[i]);
        for (int32_t i = 0; i < s->count; i++) reference_job(&call, &want[i]->job);
        const int32_t status = run_scene(s, plan, s->trial);
        CHECK(status == ROPEROT_OK, "round %d: %s: %s", round, s->trial[0]->words, roperot_last_error());
        for (int32_t i = 0; i < s->count; i++) trial_check_equal(s->trial[i], want[i]);
        for (int32_t i = 0; i < s->count; i++) trial_close(s->trial[i]), trial_close(want[i]);
        roperot_plan_destroy(plan);
        if (s->rows.bytes) guard_buffer_close(&s->rows);
    }
    free(s);
}

/* ---- the stack --------------------------------------------------------------------------------------------------- */

typedef struct attempt {
    const scene *s;
    const roperot_plan *plan;
    roperot_job jobs[MOST_JOBS];
    int32_t status;
} attempt;

/* The frame of this is all that is counted beside the call's. */
static void run_attempt(void *arg)
{
    attempt *const a = arg;
    a->status = roperot_run(a->plan, &a->s->at, a->jobs, a->s->count, &a->s->options);
}

/* What the header promises, for random jobs. */
static void stack_is_small(const void *arg)
{
    enum { PROMISED = 12 << 10 };
    usual = arg != NULL;
    scene *const s = malloc(sizeof *s);
    for (int round = 0; round < (harness_quick() > 1 ? 40 : 300) && STACK_IS_USUAL; round++) {
        scene_open(s);
        roperot_plan *const plan = expect_plan(&s->config);
        attempt a = { .s = s, .plan = plan, .status = -1 };
        for (int32_t i = 0; i < s->count; i++) a.jobs[i] = s->trial[i]->job;
        const size_t bytes = stack_used(run_attempt, &a);
        CHECK(a.status == ROPEROT_OK, "%s", roperot_last_error());
        CHECK(bytes > 0 && bytes <= PROMISED, "round %d: %s: %zu bytes of stack", round, s->trial[0]->words, bytes);
        for (int32_t i = 0; i < s->count; i++) trial_close(s->trial[i]);
        roperot_plan_destroy(plan);
        if (s->rows.bytes) guard_buffer_close(&s->rows);
    }
    free(s);
}

int main(int argc, char **argv)
{
    harness_add(jobs_equal_their_chain, NULL, "jobs/chain");
    harness_add(jobs_equal_their_chain, "usual", "jobs/usual");
    harness_add(stack_is_small, NULL, "stack/chain");
    harness_add(stack_is_small, "usual", "stack/usual");
    return harness_run(argc, argv, "run");
}
