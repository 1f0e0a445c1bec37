/* SPDX-License-Identifier: MIT
 * The lines of a job: all its heads of a range of tokens, to each destination in its own way; it must not know how
 * ranges are made. */
#include "line.h"

#include "compiler.h"
#include "convert.h"
#include "hub.h"
#include "lists.h"
#include "norm.h"

/* Lines that are normed, and then rotated, stay in the first-level cache in between. Heads go through a scratch on
 * their way to another dtype, and beyond the caches (STREAM_BYTES at a time) to pages, whose lines need not be read
 * then. What is quantised is made in another one. */
enum {
    NEAR_BYTES = 16 << 10,
    AHEAD_BYTES = 12 << 10,
    STREAM_BYTES = 2 << 10,
    NORM_FLOATS = 1024 + 128, /* weights, and then a scratch: 8 heads of 128 */
    FAR_HEADS = 16,
    LINE = 64
};

typedef struct job_lines {
    const roperot_task *task;
    const roperot_lines *lines;
} job_lines;

/* Lines [begin, end) of the range, and where they go. */
typedef struct part {
    const job_lines *l;
    int32_t begin, end, destination;
    int64_t head; /* bytes from head to head there */
    int32_t dtype, size;
    int32_t turns; /* norm and rotation are one kernel */
    roperot_norm_kept kept; /* from one call of the norm for the next one */
    char *scratch; /* instead of the pages: the lines from `first` on, one after the other; NULL: none */
    int32_t first;
} part;

static int64_t batch_row(const job_lines *l, int32_t k)
{
    return l->lines->range.b + (l->lines->range.across ? k : 0);
}

static int64_t token_of(const job_lines *l, int32_t k)
{
    return l->lines->range.t + (l->lines->range.across ? 0 : k);
}

/* Of `to`; -1: none. */
static int64_t slot_of(const job_lines *l, int32_t k)
{
    const roperot_pages *const to = l->task->to.pages;
    return to ? roperot_slot_read(to, batch_row(l, k), token_of(l, k)) : -1;
}

static const char *source_of(const part *p, int32_t k)
{
    return roperot_dense_at(&p->l->task->src, batch_row(p->l, k), token_of(p->l, k), 0);
}

/* Head 0 of a line at its destination; NULL: it is not stored there. */
static char *target_of(const part *p, int32_t k)
{
    const roperot_task *const t = p->l->task;
    const int64_t slot = slot_of(p->l, k);
    if (p->destination == ROPEROT_TO_PAGES) {
        if (slot < 0) return NULL;
        return p->scratch ? p->scratch + (k - p->first) * t->heads * p->head : roperot_page_at(&t->to, slot, 0);
    }
    if (slot < 0 && t->skips && t->to.pages) return NULL;
    return roperot_dense_at(&t->dst, batch_row(p->l, k), token_of(p->l, k), 0);
}

static part part_of(const job_lines *l, int32_t destination)
{
    const roperot_task *const t = l->task;
    const int paged = destination == ROPEROT_TO_PAGES;
    const part p = { .l = l,
                     .begin = 0,
                     .end = l->lines->range.count,
                     .destination = destination,
                     .head = paged ? t->to.head_bytes : t->dst.head,
                     .dtype = paged ? t->to.pages->dtype : t->dst.dtype,
                     .size = paged ? t->to.size : t->dst.size,
                     .turns = 0,
                     .scratch = NULL,
                     .first = 0 };
    return p;
}

/* Whether it takes another dtype than the source has. */
static int converts(const part *p)
{
    return p->dtype != p->l->task->src.dtype;
}

/* Whether what goes to `dst` may bypass the caches: whole lines, of a call that is larger than they are. */
static int streams(const part *p, const void *dst)
{
    const roperot_task *const t = p->l->task;
    const uintptr_t where = (uintptr_t)dst | (uintptr_t)p->head | (uintptr_t)(t->dim * p->size);
    const int moves = p->destination == ROPEROT_TO_PAGES || !t->stays;
    return moves && t->loop == ROPEROT_LOOP_STREAM && t->kernels->heads.stream && where % LINE == 0;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

static void copy_near(void *dst, const void *src, ptrdiff_t bytes, ptrdiff_t ahead)
{
    (void)ahead;
    memcpy(dst, src, (size_t)bytes);
}

static void copy(const part *p)
{
    const roperot_task *const t = p->l->task;
    const int64_t bytes = t->dim * t->src.size;
    const int together = t->src.head == bytes && p->head == bytes;
    int32_t streamed = 0;
    for (int32_t k = p->begin; k < p->end; k++) {
        const char *src = source_of(p, k);
        char *dst = target_of(p, k);
        if (!dst) continue;
        const int stream = streams(p, dst) && ((uintptr_t)src | (uintptr_t)t->src.head) % LINE == 0;
        roperot_copy_fn *const put = stream ? t->kernels->heads.stream : copy_near;
        streamed += stream;
        if (together)
            put(dst, src, t->heads * bytes, AHEAD_BYTES);
        else
            for (int64_t h = 0; h < t->heads; h++) put(dst + h * p->head, src + h * t->src.head, bytes, AHEAD_BYTES);
    }
    if (streamed) t->kernels->fence();
}

/* ---- floats as another dtype ------------------------------------------------------------------------------------- */

static void store(const part *p, char *dst, const char *src, int64_t src_head, int64_t heads)
{
    const roperot_task *const t = p->l->task;
    t->kernels->heads.store[roperot_format_index(p->dtype)](dst, p->head, src, src_head, ROPEROT_F32, heads, t->dim,
                                                            NULL);
}

static void store_lines(const part *p)
{
    const roperot_task *const t = p->l->task;
    for (int32_t k = p->begin; k < p->end; k++) {
        char *const dst = target_of(p, k);
        if (dst) store(p, dst, source_of(p, k), t->src.head, t->heads);
    }
}

/* ---- what is not rotated ----------------------------------------------------------------------------------------- */

static roperot_heads_copy copy_of(const part *p)
{
    const roperot_task *const t = p->l->task;
    return (roperot_heads_copy){ t->heads, t->src.head, p->head, t->src.dtype, p->dtype };
}

/* A line that IDENTITY leaves alone: repacked or converted only. */
static void leave_alone(const part *p, int32_t k)
{
    const roperot_task *const t = p->l->task;
    const roperot_heads_copy copy = copy_of(p);
    char *const dst = target_of(p, k);
    if (dst) roperot_convert_pairs(&copy, source_of(p, k), dst, t->offset, t->pairs, t->in, t->out);
}

static void pass_through(const part *p)
{
    const roperot_task *const t = p->l->task;
    const roperot_heads_copy copy = copy_of(p);
    if (t->dim == 2 * (int64_t)t->pairs) return;
    for (int32_t k = p->begin; k < p->end; k++) {
        char *const dst = target_of(p, k);
        if (dst) roperot_convert_beside(&copy, source_of(p, k), dst, t->offset, 2 * t->pairs, t->dim);
    }
}

/* ---- rotation ---------------------------------------------------------------------------------------------------- */

/* One tile of the part: these pairs, of all heads or of one. */
static void rotate_block(const part *p, const roperot_row *rows, roperot_pair_block block, int in_place, int loop)
{
    const roperot_task *const t = p->l->task;
    const int64_t src_head = in_place ? p->head : t->src.head;
    roperot_token token[ROPEROT_TILE_TOKENS];
    roperot_tile tile;
    tile.tokens = 0;
    for (int32_t k = p->begin; k < p->end; k++) {
        char *const dst = target_of(p, k);
        if (!dst || !rows[k].cos) continue;
        const char *const src = in_place ? dst : source_of(p, k);
        token[tile.tokens++] = (roperot_token){ rows[k].cos, rows[k].sin, src + block.head * src_head,
                                                dst + block.head * p->head };
    }
    if (tile.tokens == 0) return;
    tile.token = token;
    tile.heads = t->plan->heads ? 1 : t->heads;
    tile.pairs = block.count;
    tile.src_head = src_head;
    tile.dst_head = p->head;
    tile.src_first = t->offset + block.first * (t->in == ROPEROT_PAIR_HALF ? 1 : 2);
    tile.dst_first = t->offset + block.first * (t->out == ROPEROT_PAIR_HALF ? 1 : 2);
    tile.src_half = tile.dst_half = t->pairs;
    tile.loop = loop;
    tile.heads_outer = 0;
    t->rotate[p->destination](&tile);
}

/* From the source, or where the lines are already. Rows longer than the scratch come in blocks, rows per head head by
 * head. */
static ROPEROT_NOINLINE void rotate(const part *p, int in_place, int loop)
{
    const roperot_task *const t = p->l->task;
    const roperot_lines *const lines = p->l->lines;
    const int moves = !in_place && !(p->destination == ROPEROT_TO_DENSE && t->stays);
    roperot_row own[ROPEROT_TILE_TOKENS];
    const roperot_row *rows = lines->rows;
    roperot_pair_block block = { 0, t->pairs, 0 };
    if (loop == ROPEROT_LOOP_STREAM && !moves) loop = ROPEROT_LOOP_LINEAR;
    if (rows) {
        rotate_block(p, rows, block, in_place, loop);
    } else {
        rows = own;
        do {
            for (block.first = 0; block.first < t->pairs; block.first += lines->source->block_pairs) {
                const int32_t left = t->pairs - block.first, most = lines->source->block_pairs;
                block.count = left < most ? left : most;
                roperot_rows_make(lines->source, &lines->range, block, lines->scratch, own);
                rotate_block(p, own, block, in_place, loop);
            }
        } while (++block.head < t->plan->heads);
    }
    if (!moves) return;
    for (int32_t k = p->begin; k < p->end; k++)
        if (!rows[k].cos) leave_alone(p, k);
    pass_through(p);
}

/* ---- norm -------------------------------------------------------------------------------------------------------- */

static void set_norm(part *p, const float *weight, roperot_norm_of_heads *n)
{
    const roperot_task *const t = p->l->task;
    n->src_head = t->src.head;
    n->dst_head = p->head;
    n->heads = t->heads;
    n->channels = t->dim;
    n->weight = weight;
    n->epsilon = (float)t->norm->epsilon;
    n->rounding = t->norm->rounding;
    n->ahead = AHEAD_BYTES;
    n->first = t->offset;
    n->pairs = 0;
    n->kept = &p->kept;
}

static void norm_heads(const part *p, const roperot_norm_of_heads *n)
{
    const roperot_plan *const plan = p->l->task->plan;
    const int dtype = roperot_dtype_index(p->l->task->src.dtype);
    (p->turns ? plan->turned : plan->norm)[dtype](n);
}

static void set_row(roperot_norm_of_heads *n, const roperot_task *t, const roperot_row *row)
{
    n->cos = row->cos;
    n->sin = row->sin;
    n->pairs = row->cos ? t->pairs : 0;
}

/* From the source, or where the lines are already; rotated, too, where one kernel does it. */
static void norm_lines(part *p, const float *weight, int in_place)
{
    const roperot_task *const t = p->l->task;
    roperot_norm_of_heads n;
    set_norm(p, weight, &n);
    if (in_place) n.src_head = p->head, n.ahead = 0;
    for (int32_t k = p->begin; k < p->end; k++) {
        n.dst = target_of(p, k);
        n.src = in_place ? n.dst : source_of(p, k);
        n.next = p->turns && k + 1 < p->end ? source_of(p, k + 1) : NULL;
        n.next_heads = n.heads;
        if (p->turns) set_row(&n, t, &p->l->lines->rows[k]);
        if (n.dst) norm_heads(p, &n);
    }
}

/* Some lines at a time, which are in the first-level cache when they are rotated; all where one kernel does both. */
static void norm_near(part *p, const float *weight)
{
    const roperot_task *const t = p->l->task;
    const int64_t bytes = t->heads * t->dim * t->src.size, fit = bytes < NEAR_BYTES ? NEAR_BYTES / bytes : 1;
    const int after = roperot_norm_is(t->norm, ROPEROT_NORM_AFTER);
    const int32_t end = p->end;
    const int64_t near = p->turns ? end - p->begin : fit;
    for (; p->begin < end; p->begin = p->end) {
        p->end = end - p->begin < near ? end : p->begin + (int32_t)near;
        if (after && t->pairs) rotate(p, 0, ROPEROT_LOOP_COLUMNS);
        norm_lines(p, weight, after && t->pairs);
        if (!after && t->pairs && !p->turns) rotate(p, 1, ROPEROT_LOOP_COLUMNS);
    }
}

/* Heads that the norm has made, where they are. */
static void turn_heads(const roperot_task *t, const roperot_norm_of_heads *n, const roperot_row *row,
                       roperot_rotate_fn *turn)
{
    const roperot_token token = { row->cos, row->sin, n->dst, n->dst };
    const roperot_tile tile = { .token = &token,
                                .tokens = 1,
                                .heads = n->heads,
                                .pairs = t->pairs,
                                .src_head = n->dst_head,
                                .dst_head = n->dst_head,
                                .src_first = t->offset,
                                .dst_first = t->offset,
                                .src_half = t->pairs,
                                .dst_half = t->pairs,
                                .loop = ROPEROT_LOOP_COLUMNS,
                                .heads_outer = 0 };
    turn(&tile);
}

/* Heads that were made in a scratch, `bytes` each. */
static void empty(const part *p, char *dst, const char *scratch, int64_t bytes, int64_t heads)
{
    const roperot_task *const t = p->l->task;
    if (converts(p))
        store(p, dst, scratch, bytes, heads);
    else
        for (int64_t h = 0; h < heads; h++)
            t->kernels->heads.stream(dst + h * p->head, scratch + h * bytes, bytes, 0);
}

/* What comes behind the heads of n, which end at head `end` of line k. */
static void set_next(const part *p, int32_t k, int64_t end, roperot_norm_of_heads *n)
{
    const roperot_task *const t = p->l->task;
    const int64_t left = t->heads - end;
    n->next = left > 0 ? (const char *)n->src + n->heads * t->src.head : k + 1 < p->end ? source_of(p, k + 1) : NULL;
    n->next_heads = left > 0 ? left : t->heads;
}

/* One line, a few heads at a time and each of them once: what comes from memory, and goes there, is spread over what is
 * computed. Where the rotation is a step of its own, more of them: it has a start, and reads nothing ahead. */
static void norm_line_far(const part *p, int32_t k, char *dst, roperot_norm_of_heads *n, float *scratch)
{
    const roperot_task *const t = p->l->task;
    const roperot_row none = { NULL, NULL }, *const row = t->pairs ? &p->l->lines->rows[k] : &none;
    const int64_t bytes = t->dim * t->src.size, all = (NORM_FLOATS - t->dim) * (int64_t)sizeof *scratch;
    const int64_t fit = scratch ? (converts(p) ? all : STREAM_BYTES) / bytes : t->heads;
    const int64_t together = p->turns ? t->plan->turned_heads[roperot_dtype_index(t->src.dtype)] : FAR_HEADS;
    const int64_t most = fit < together ? fit : together;
    n->src = source_of(p, k);
    n->dst_head = scratch ? bytes : p->head;
    if (p->turns) set_row(n, t, row);
    for (int64_t head = 0; head < t->heads; head += most, dst += most * p->head) {
        n->heads = t->heads - head < most ? t->heads - head : most;
        n->dst = scratch ? (char *)scratch : dst;
        set_next(p, k, head + most, n);
        norm_heads(p, n);
        if (row->cos && !p->turns) turn_heads(t, n, row, t->rotate[p->destination]);
        n->src = n->next;
        if (scratch) empty(p, dst, n->dst, bytes, n->heads);
    }
}

/* Weights for the kernel of norm and rotation, if there is one that takes them, else for that of the norm. 0: nor does
 * that. */
static int set_weights(part *p, float *weight)
{
    const roperot_task *const t = p->l->task;
    const roperot_plan *const plan = t->plan;
    const roperot_norm *const n = t->norm;
    const int offset = n->flags & ROPEROT_NORM_UNIT_OFFSET, dtype = roperot_dtype_index(t->src.dtype);
    p->turns = t->turns && p->l->lines->rows &&
               plan->turned_weights[dtype](weight, n->weight, n->weight_dtype, offset, t->dim);
    p->kept.src = NULL;
    return p->turns || plan->norm_weights[dtype](weight, n->weight, n->weight_dtype, offset, t->dim);
}

static ROPEROT_NOINLINE int norm_far(part *p)
{
    const roperot_task *const t = p->l->task;
    _Alignas(LINE) float space[NORM_FLOATS];
    float *const scratch = space + t->dim;
    roperot_norm_of_heads n;
    int32_t streamed = 0;
    if (!set_weights(p, space)) return 0;
    set_norm(p, space, &n);
    for (int32_t k = p->begin; k < p->end; k++) {
        char *const dst = target_of(p, k);
        const int stream = dst && !converts(p) && streams(p, dst);
        if (dst) norm_line_far(p, k, dst, &n, stream || converts(p) ? scratch : NULL);
        streamed += stream;
    }
    if (streamed) t->kernels->fence();
    return 1;
}

static ROPEROT_NOINLINE int norm_in_place(part *p)
{
    _Alignas(LINE) float weight[ROPEROT_HUB_FLOATS];
    if (!set_weights(p, weight)) return 0;
    norm_near(p, weight);
    return 1;
}

/* 0: this is the hub's. */
static int norm(part *p)
{
    const roperot_task *const t = p->l->task;
    const int has_rows = p->l->lines->rows || !t->pairs;
    const int far = t->loop != ROPEROT_LOOP_COLUMNS && !roperot_norm_is(t->norm, ROPEROT_NORM_AFTER);
    if (converts(p)) return has_rows && norm_far(p);
    return far && has_rows ? norm_far(p) : norm_in_place(p);
}

/* ---- quantised --------------------------------------------------------------------------------------------------- */

/* Lines [begin, end) of the part as codes: as the source has them, or made in the part's scratch first. */
static void quantise_lines(part *p, const roperot_task *whole, const float *weight, int64_t head)
{
    const roperot_task *const some = p->l->task;
    const int32_t end = p->end;
    if (some->norm)
        norm_near(p, weight);
    else if (p->scratch)
        rotate(p, 0, ROPEROT_LOOP_COLUMNS);
    for (int32_t k = p->first; k < end; k++) {
        const int64_t slot = slot_of(p->l, k);
        const char *const x = p->scratch ? target_of(p, k) : source_of(p, k);
        if (slot < 0) continue;
        const roperot_page_view *const v = &whole->to;
        const roperot_codes codes = { .pages = v->pages,
                                      .kernels = &whole->kernels->heads,
                                      .to = roperot_page_at(v, slot, 0),
                                      .head = v->head_bytes,
                                      .channels = whole->dim,
                                      .scale = roperot_page_scale(v, slot) };
        roperot_hub_quantise(&codes, head, some->heads, x, p->head, p->dtype);
    }
}

/* Some heads of all lines, and some lines at a time, so that what a norm or a rotation makes stays in the first-level
 * cache. 0: the kernel cannot take these weights, and nothing is written. */
static ROPEROT_NOINLINE int quantise(const job_lines *all)
{
    const roperot_task *const whole = all->task;
    const int made = whole->norm || whole->pairs;
    const int64_t bytes = whole->dim * whole->src.size, weights = whole->norm ? whole->dim : 0;
    _Alignas(LINE) float space[ROPEROT_CODES_FLOATS]; /* weights, and then heads */
    const int64_t fit = ((int64_t)sizeof space - weights * (int64_t)sizeof *space) / bytes;
    const int64_t most = !made || fit > whole->heads ? whole->heads : fit;
    const int32_t together = made ? (int32_t)(fit / most) : 1;
    roperot_task some; /* of some heads; all of them are the task itself */
    job_lines l = *all;
    part p = part_of(&l, ROPEROT_TO_PAGES);
    const int32_t count = p.end;
    if (whole->norm && !set_weights(&p, space)) return 0;
    p.scratch = made ? (char *)(space + weights) : NULL;
    p.head = made ? bytes : whole->src.head;
    p.dtype = whole->src.dtype;
    p.size = whole->src.size;
    if (most < whole->heads) some = *whole, l.task = &some;
    for (int64_t head = 0; head < whole->heads; head += most) {
        if (l.task == &some) {
            some.heads = whole->heads - head < most ? whole->heads - head : most;
            some.src.data = whole->src.data + head * whole->src.head;
        }
        for (int32_t k = 0; k < count; k += together) {
            p.begin = p.first = k;
            p.end = count - k < together ? count : k + together;
            quantise_lines(&p, whole, space, head);
        }
    }
    return 1;
}

/* ---- the hub ----------------------------------------------------------------------------------------------------- */

static roperot_row row_in_pieces(const void *walk, int64_t b, int64_t t, int64_t head, int32_t first, int32_t n)
{
    const roperot_lines *const lines = walk;
    const roperot_token_range token = { b, t, 0, 1 };
    const roperot_pair_block block = { first, n, head };
    roperot_row row;
    roperot_rows_make(lines->source, &token, block, lines->scratch, &row);
    return row;
}

static ROPEROT_NOINLINE void run_hub(const job_lines *l, int pages, int dense)
{
    roperot_hub hub;
    const roperot_task *const task = l->task;
    for (int32_t k = 0; k < l->lines->range.count; k++) {
        const int64_t slot = slot_of(l, k);
        roperot_line line = { .b = batch_row(l, k),
                              .t = token_of(l, k),
                              .slot = pages ? slot : -1,
                              .is_dense = dense && task->dst.dtype };
        if (slot < 0 && (task->skips || !dense) && task->to.pages) continue;
        if (task->from.pages) line.from_slot = roperot_slot_read(task->from.pages, line.b, line.t);
        if (line.from_slot < 0) continue;
        if (task->pairs && l->lines->rows) line.row = l->lines->rows[k];
        if (!l->lines->rows) {
            line.row_of = row_in_pieces;
            line.row_pairs = l->lines->source->block_pairs;
            line.walk = l->lines;
        }
        roperot_hub_run(&hub, task, &line);
    }
}

/* ---- a task ------------------------------------------------------------------------------------------------------ */

static void run_to(const job_lines *l, int32_t destination)
{
    part p = part_of(l, destination);
    switch (l->task->way[destination]) {
    case ROPEROT_WAY_COPY: copy(&p); return;
    case ROPEROT_WAY_STORE: store_lines(&p); return;
    case ROPEROT_WAY_ROTATE: rotate(&p, 0, l->task->loop); return;
    case ROPEROT_WAY_NORM:
        if (norm(&p)) return;
        break;
    case ROPEROT_WAY_QUANTISE:
        if (quantise(l)) return;
        break;
    default: break;
    }
    run_hub(l, destination == ROPEROT_TO_PAGES, destination == ROPEROT_TO_DENSE);
}

void roperot_run_lines(const roperot_operand *operand, const roperot_lines *lines)
{
    const roperot_task *const t = operand->program;
    const int32_t *const way = t->way;
    job_lines l;
    l.task = t;
    l.lines = lines;
    if (way[ROPEROT_TO_PAGES] == ROPEROT_WAY_HUB && way[ROPEROT_TO_DENSE] == ROPEROT_WAY_HUB) {
        run_hub(&l, 1, 1);
        return;
    }
    for (int32_t d = 0; d < ROPEROT_DESTINATIONS; d++)
        if (way[d] != ROPEROT_WAY_NONE) run_to(&l, d);
}
