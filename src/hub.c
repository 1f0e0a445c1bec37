/* SPDX-License-Identifier: MIT
 * Heads through an f32 scratch: norm, rotation, stores, for whatever no shorter way does; it must not know how tokens
 * are walked or where positions come from. */
#include "hub.h"

#include <float.h>
#include <string.h>

#include "lists.h"
#include "norm.h"
#include "numbers.h"

/* Heads [head, head + heads) of a line, and the channels being processed: all of them, or (one head) a piece
 * that is one run of channels, or two that are paired. */
typedef struct run_of_channels {
    int64_t first, count;
} run_of_channels;

typedef struct piece {
    int64_t head, heads;
    ptrdiff_t pitch;               /* floats from head to head in the scratch */
    run_of_channels in[2], out[2]; /* the second: count 0 or as many as in the first */
    int32_t first_pair, pairs;     /* pairs 0: nothing is rotated */
    int64_t offset;                /* in the scratch: where the pairs begin */
} piece;

/* What the norm needs of each head. */
typedef struct factors {
    float mean[ROPEROT_HUB_HEADS], r[ROPEROT_HUB_HEADS];
} factors;

static ptrdiff_t pitch_of(int64_t channels)
{
    return (ptrdiff_t)((channels + 15) / 16 * 16);
}

/* ---- into the scratch -------------------------------------------------------------------------------------------- */

/* Read before anything is stored: `to` may be the same pages. */
static void take_scales(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head, int64_t heads)
{
    if (!j->from.pages) return;
    const float *const scale = roperot_page_scale(&j->from, line->from_slot);
    const int64_t stride = j->from.pages->scale_head_stride;
    for (int64_t h = 0; h < heads; h++) hub->scale[h] = scale ? scale[(head + h) * stride] : 1.0f;
}

/* Channels [first, first + count) of some heads of the pages, as f32. */
static void load_pages(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p,
                       run_of_channels run, float *out)
{
    const roperot_page_view *const v = &j->from;
    const int32_t dtype = v->pages->dtype;
    roperot_load_fn *const load = j->kernels->heads.load[roperot_format_index(dtype)];
    const char *const at = roperot_page_at(v, line->from_slot, p->head);
    if (v->is_dense) {
        const int64_t bytes = v->size ? run.first * v->size : run.first / ROPEROT_Q8_0_CHANNELS * ROPEROT_Q8_0_BYTES;
        load(out, p->pitch, at + bytes, v->head_bytes, p->heads, run.count, hub->scale);
        return;
    }
    for (int64_t h = 0; h < p->heads; h++) {
        roperot_page_gather(v, at + h * v->head_bytes, run.first, run.count, hub->half[1]);
        load(out + h * p->pitch, p->pitch, hub->half[1], 0, 1, run.count, hub->scale + h);
    }
}

/* (x - m) * r * w of a run: from the tensor, or in place. */
static void scale_run(const roperot_task *j, const piece *p, run_of_channels run, const void *src, int32_t dtype,
                      ptrdiff_t src_head, float *out, const factors *f)
{
    const roperot_norm *const n = j->norm;
    const int64_t size = roperot_dtype_size(n->weight_dtype);
    const int64_t at = (n->flags & ROPEROT_NORM_ALL_HEADS ? p->head * j->dim : 0) + run.first;
    const roperot_scaling_of_heads s = {
        .out = out,
        .pitch = p->pitch,
        .src = src,
        .src_head = src_head,
        .heads = p->heads,
        .channels = run.count,
        .mean = n->kind == ROPEROT_NORM_LAYER ? f->mean : NULL,
        .r = f->r,
        .weight = n->weight ? (const char *)n->weight + at * size : NULL,
        .bias = n->bias ? (const char *)n->bias + at * size : NULL,
        .weight_head = n->flags & ROPEROT_NORM_ALL_HEADS ? j->dim * size : 0,
        .weight_dtype = n->weight_dtype,
        .unit_offset = (n->flags & ROPEROT_NORM_UNIT_OFFSET) != 0,
        .rounding = n->rounding,
        .through = j->through,
    };
    j->kernels->heads.scale[roperot_format_index(dtype)](&s);
}

/* A run as f32, with the norm if f is not NULL. */
static void fetch(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p,
                  run_of_channels run, float *out, const factors *f)
{
    if (run.count == 0) return;
    if (!j->src.dtype) {
        load_pages(hub, j, line, p, run, out);
        if (f) scale_run(j, p, run, out, ROPEROT_F32, p->pitch * (ptrdiff_t)sizeof(float), out, f);
        return;
    }
    const char *const src = roperot_dense_at(&j->src, line->b, line->t, p->head) + run.first * j->src.size;
    if (f)
        scale_run(j, p, run, src, j->src.dtype, j->src.head, out, f);
    else
        j->kernels->heads.load[roperot_format_index(j->src.dtype)](out, p->pitch, src, j->src.head, p->heads, run.count,
                                                                   NULL);
}

/* ---- in the scratch ---------------------------------------------------------------------------------------------- */

/* A line that is left alone is re-paired all the same. */
static void repack(const roperot_task *j, const piece *p, const float *from, float *to)
{
    const int32_t n = p->pairs;
    for (int64_t h = 0; h < p->heads; h++)
        for (int32_t i = 0; i < n; i++)
            for (int32_t k = 0; k < 2; k++)
                to[h * p->pitch + (j->out == ROPEROT_PAIR_HALF ? i + k * n : 2 * i + k)] =
                    from[h * p->pitch + (j->in == ROPEROT_PAIR_HALF ? i + k * n : 2 * i + k)];
}

/* `n` pairs from the piece's pair `first` on, of some of its heads, by one row. */
static void turn_piece(const roperot_task *j, const piece *p, const roperot_row *row, run_of_channels pairs,
                       int64_t heads, const float *from, float *to)
{
    const ptrdiff_t head = p->pitch * (ptrdiff_t)sizeof(float);
    const roperot_token token = { row->cos, row->sin, from, to };
    const roperot_tile tile = {
        .token = &token,
        .tokens = 1,
        .heads = heads,
        .pairs = pairs.count,
        .src_head = head,
        .dst_head = head,
        .src_first = p->offset + pairs.first * (j->in == ROPEROT_PAIR_HALF ? 1 : 2),
        .dst_first = p->offset + pairs.first * (j->out == ROPEROT_PAIR_HALF ? 1 : 2),
        .src_half = p->pairs,
        .dst_half = p->pairs,
        .loop = ROPEROT_LOOP_COLUMNS,
        .heads_outer = 0,
    };
    j->in_scratch(&tile);
}

/* Of the piece's pairs from `first` on, as many as there are coefficients for. */
static roperot_row row_of(const roperot_line *line, const piece *p, int64_t head, run_of_channels *pairs)
{
    const roperot_row none = { NULL, NULL };
    pairs->count = p->pairs - pairs->first;
    if (p->pairs == 0) return none;
    const int32_t first = p->first_pair + (int32_t)pairs->first;
    if (line->row_of) {
        if (pairs->count > line->row_pairs) pairs->count = line->row_pairs;
        return line->row_of(line->walk, line->b, line->t, head, first, (int32_t)pairs->count);
    }
    if (!line->row.cos) return none;
    const roperot_row row = { line->row.cos + first, line->row.sin + first };
    return row;
}

/* Rotates a piece that lies in half[0]; returns the half where it lies then. */
static float *turn(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p)
{
    const int moves = j->in != j->out;
    run_of_channels pairs = { 0, 0 };
    roperot_row row = row_of(line, p, p->head, &pairs);
    if (p->pairs == 0 || (!row.cos && !moves)) return hub->half[0];
    float *const to = hub->half[moves];
    if (moves) memcpy(to, hub->half[0], (size_t)(p->heads * p->pitch) * sizeof *to);
    if (!row.cos) {
        repack(j, p, hub->half[0] + p->offset, to + p->offset);
        return to;
    }
    const int64_t step = j->plan->heads ? 1 : p->heads;
    for (; pairs.first < p->pairs; pairs.first += pairs.count)
        for (int64_t h = 0; h < p->heads; h += step) {
            if (h + pairs.first > 0) row = row_of(line, p, p->head + h, &pairs);
            turn_piece(j, p, &row, pairs, step, hub->half[0] + h * p->pitch, to + h * p->pitch);
        }
    return to;
}

static int64_t channels_of(const piece *p)
{
    return p->in[0].count + p->in[1].count;
}

/* By way of the other half of the scratch. */
static void round_through(roperot_hub *hub, const roperot_task *j, const piece *p, float *x)
{
    const int format = roperot_format_index(j->through);
    const ptrdiff_t pitch = p->pitch * (ptrdiff_t)sizeof *x;
    void *const other = hub->half[x < hub->half[1]];
    if (j->through == ROPEROT_F32) return;
    j->kernels->heads.store[format](other, pitch, x, pitch, ROPEROT_F32, p->heads, channels_of(p), NULL);
    j->kernels->heads.load[format](x, p->pitch, other, pitch, p->heads, channels_of(p), NULL);
}

/* A piece as it is before a norm that comes after the rotation, or (f) with the norm that comes before it. */
static float *rotated(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p,
                      const factors *f)
{
    fetch(hub, j, line, p, p->in[0], hub->half[0], f);
    fetch(hub, j, line, p, p->in[1], hub->half[0] + p->in[0].count, f);
    float *const x = turn(hub, j, line, p);
    if (roperot_norm_is(j->norm, ROPEROT_NORM_AFTER) && j->norm->rounding) round_through(hub, j, p, x);
    return x;
}

/* What comes after the rotation: the norm, if it does, and the factor. */
static void finish(const roperot_task *j, const roperot_line *line, const piece *p, float *x, const factors *f)
{
    const ptrdiff_t head = p->pitch * (ptrdiff_t)sizeof(float);
    if (roperot_norm_is(j->norm, ROPEROT_NORM_AFTER)) {
        float *const second = x + p->out[0].count;
        scale_run(j, p, p->out[0], x, ROPEROT_F32, head, x, f);
        if (p->out[1].count) scale_run(j, p, p->out[1], second, ROPEROT_F32, head, second, f);
    }
    if (!j->factor) return;
    const float factor = j->factor[line->b * j->factor_batch + line->t * j->factor_token];
    for (int64_t h = 0; h < p->heads; h++)
        for (int64_t c = 0; c < channels_of(p); c++) x[h * p->pitch + c] *= factor;
}

/* The norm that comes before the rotation; NULL: there is none. */
static const factors *factors_before(const roperot_task *j, const factors *f)
{
    return j->norm && !roperot_norm_is(j->norm, ROPEROT_NORM_AFTER) ? f : NULL;
}

static float *finished(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p,
                       const factors *f)
{
    float *const x = rotated(hub, j, line, p, factors_before(j, f));
    finish(j, line, p, x, f);
    return x;
}

/* ---- pieces ------------------------------------------------------------------------------------------------------ */

/* Whole heads. */
static piece whole_heads(const roperot_task *j, int64_t head, int64_t heads)
{
    const piece p = { head, heads,    pitch_of(j->dim), { { 0, j->dim }, { 0, 0 } }, { { 0, j->dim }, { 0, 0 } },
                      0,    j->pairs, j->offset };
    return p;
}

static piece passing(int64_t head, int64_t first, int64_t end)
{
    const int64_t left = end - first, n = left < ROPEROT_HUB_FLOATS ? left : ROPEROT_HUB_FLOATS;
    const piece p = { head, 1, ROPEROT_HUB_FLOATS, { { first, n }, { 0, 0 } }, { { first, n }, { 0, 0 } }, 0, 0, 0 };
    return p;
}

static void set_runs(run_of_channels run[2], const roperot_task *j, int32_t pairing, int64_t first, int64_t n)
{
    const int half = pairing == ROPEROT_PAIR_HALF;
    run[0].first = j->offset + (half ? first : 2 * first);
    run[0].count = half ? n : 2 * n;
    run[1].first = j->offset + j->pairs + first;
    run[1].count = half ? n : 0;
}

static piece paired(const roperot_task *j, int64_t head, int32_t first)
{
    const int32_t most = ROPEROT_HUB_FLOATS / 2, left = j->pairs - first, n = left < most ? left : most;
    piece p = { head, 1, ROPEROT_HUB_FLOATS, { { 0, 0 }, { 0, 0 } }, { { 0, 0 }, { 0, 0 } }, first, n, 0 };
    set_runs(p.in, j, j->in, first, n);
    set_runs(p.out, j, j->out, first, n);
    return p;
}

/* The next piece of a long head; `at` is 0 at first, and what comes back is the place of the one after it, or -1. */
static int64_t next_piece(const roperot_task *j, int64_t head, int64_t at, piece *p)
{
    const int64_t before = j->pairs ? j->offset : j->dim, end = before + 2 * (int64_t)j->pairs;
    if (at < before) {
        *p = passing(head, at, before);
        at += p->in[0].count;
    } else if (at < end) {
        *p = paired(j, head, (int32_t)(at - before) / 2);
        at += channels_of(p);
    } else {
        *p = passing(head, at, j->dim);
        at += p->in[0].count;
    }
    return at < j->dim ? at : -1;
}

/* ---- sums -------------------------------------------------------------------------------------------------------- */

static int64_t count_of(const roperot_task *j)
{
    return roperot_norm_is(j->norm, ROPEROT_NORM_ALL_HEADS) ? j->dim * j->heads : j->dim;
}

/* Terms of channels that do not begin a head, into the lanes that they belong to. */
static void add_run(float lane[16], int64_t first, const float *x, int64_t n, int terms, float mean)
{
    for (int64_t c = 0; c < n; c++) {
        const float value = terms == ROPEROT_SUM_DEVIATIONS ? x[c] - mean : x[c];
        lane[(first + c) % 16] += terms == ROPEROT_SUM_VALUES ? value : value * value;
    }
}

/* One long head, in the order of its channels: of pairs that are apart first the one side of all pieces, then the
 * other. */
static float sum_in_pieces(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head, int terms,
                           float mean)
{
    float lane[16] = { 0 };
    const int after = roperot_norm_is(j->norm, ROPEROT_NORM_AFTER);
    const int64_t end = (j->pairs ? j->offset : j->dim) + 2 * (int64_t)j->pairs;
    for (int side = 0; side < 2; side++) {
        piece p;
        for (int64_t at = 0, next; at >= 0; at = next) {
            next = next_piece(j, head, at, &p);
            const int late = at >= end; /* behind the pairs: after both sides */
            if (side == 0 ? late : !late && p.pairs == 0) continue;
            const run_of_channels *const run = after ? p.out : p.in;
            if (side == 1 && !late && run[1].count == 0) continue;
            float *x = hub->half[0];
            if (after) {
                x = rotated(hub, j, line, &p, NULL);
            } else {
                fetch(hub, j, line, &p, p.in[0], hub->half[0], NULL);
                fetch(hub, j, line, &p, p.in[1], hub->half[0] + p.in[0].count, NULL);
            }
            const int second = side == 1 && !late;
            add_run(lane, run[second].first, x + (second ? run[0].count : 0), run[second].count, terms, mean);
        }
    }
    for (int half = 8; half > 0; half /= 2)
        for (int i = 0; i < half; i++) lane[i] += lane[i + half];
    return lane[0];
}

/* sum[h] of some heads: from the tensor, from the scratch, or in pieces. `x`: where the values are already, or NULL. */
static void sums_of(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head, int64_t heads,
                    const float *x, int terms, const float *mean, float *sum)
{
    const int after = roperot_norm_is(j->norm, ROPEROT_NORM_AFTER);
    if (!after && j->src.dtype) {
        j->kernels->heads.sum[roperot_format_index(j->src.dtype)](
            sum, roperot_dense_at(&j->src, line->b, line->t, head), j->src.head, heads, j->dim, terms, mean);
        return;
    }
    if (j->dim > ROPEROT_HUB_FLOATS) {
        sum[0] = sum_in_pieces(hub, j, line, head, terms, mean ? mean[0] : 0.0f);
        return;
    }
    const piece p = whole_heads(j, head, heads);
    if (!x) {
        x = hub->half[0];
        if (after)
            x = rotated(hub, j, line, &p, NULL);
        else
            fetch(hub, j, line, &p, p.in[0], hub->half[0], NULL);
    }
    j->kernels->heads.sum[ROPEROT_FORMAT_f32](sum, x, p.pitch * (ptrdiff_t)sizeof(float), heads, j->dim, terms, mean);
}

static void factors_of_heads(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head,
                             int64_t heads, const float *x, factors *f)
{
    float sum[ROPEROT_HUB_HEADS];
    const int layer = j->norm->kind == ROPEROT_NORM_LAYER;
    if (layer) {
        sums_of(hub, j, line, head, heads, x, ROPEROT_SUM_VALUES, NULL, sum);
        for (int64_t h = 0; h < heads; h++) f->mean[h] = sum[h] / (float)j->dim;
    }
    sums_of(hub, j, line, head, heads, x, layer ? ROPEROT_SUM_DEVIATIONS : ROPEROT_SUM_SQUARES,
            layer ? f->mean : NULL, sum);
    for (int64_t h = 0; h < heads; h++) f->r[h] = roperot_norm_factor(sum[h], j->dim, j->norm->epsilon);
}

static int64_t heads_at_once(const roperot_task *j)
{
    if (j->dim > ROPEROT_HUB_FLOATS) return 1;
    const int64_t fit = ROPEROT_HUB_FLOATS / pitch_of(j->dim);
    return fit < ROPEROT_HUB_HEADS ? fit : ROPEROT_HUB_HEADS;
}

static float total_of(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int terms, float mean)
{
    float sum[ROPEROT_HUB_HEADS], means[ROPEROT_HUB_HEADS], total = 0.0f;
    const int64_t most = heads_at_once(j);
    for (int i = 0; i < ROPEROT_HUB_HEADS; i++) means[i] = mean;
    for (int64_t head = 0; head < j->heads; head += most) {
        const int64_t heads = j->heads - head < most ? j->heads - head : most;
        take_scales(hub, j, line, head, heads);
        sums_of(hub, j, line, head, heads, NULL, terms, means, sum);
        for (int64_t h = 0; h < heads; h++) total += sum[h];
    }
    return total;
}

static void factors_of_all_heads(roperot_hub *hub, const roperot_task *j, const roperot_line *line, factors *f)
{
    const int layer = j->norm->kind == ROPEROT_NORM_LAYER;
    const float mean = layer ? total_of(hub, j, line, ROPEROT_SUM_VALUES, 0.0f) / (float)count_of(j) : 0.0f;
    const float sum = total_of(hub, j, line, layer ? ROPEROT_SUM_DEVIATIONS : ROPEROT_SUM_SQUARES, mean);
    const float r = roperot_norm_factor(sum, count_of(j), j->norm->epsilon);
    for (int h = 0; h < ROPEROT_HUB_HEADS; h++) f->mean[h] = mean, f->r[h] = r;
}

/* ---- out of the scratch ------------------------------------------------------------------------------------------ */

static int stores_pages(const roperot_task *j, const roperot_line *line)
{
    return j->to.pages && line->slot >= 0;
}

/* The scale of a head of pages, or where it is kept. */
static float *scale_at(const roperot_pages *p, float *first, int64_t head)
{
    return first ? first + head * p->scale_head_stride : NULL;
}

/* The inverses of the scales of some heads, the first of which is at `kept`; dynamic ones are made of amax, and kept. A
 * scale whose inverse is not finite stores zeros. All of ROPEROT_HUB_HEADS are computed: loops of a known length are
 * two or four divisions at once. */
static void inverses_of(const roperot_pages *p, float *kept, int64_t heads, const float *amax, float *inverse)
{
    const float most = p->dtype == ROPEROT_E4M3 ? 448.0f : 127.0f;
    float scale[ROPEROT_HUB_HEADS];
    for (int h = 0; h < ROPEROT_HUB_HEADS; h++) scale[h] = 1.0f;
    if (p->scaling == ROPEROT_SCALE_DYNAMIC) {
        for (int h = 0; h < ROPEROT_HUB_HEADS; h++) {
            const float exact = amax[h] / most;
            scale[h] = exact > p->scale_floor ? exact : p->scale_floor;
        }
        for (int64_t h = 0; h < heads; h++) kept[h * p->scale_head_stride] = scale[h];
    } else if (kept) {
        for (int64_t h = 0; h < heads; h++) scale[h] = kept[h * p->scale_head_stride];
    }
    for (int h = 0; h < ROPEROT_HUB_HEADS; h++) {
        const float by = 1.0f / scale[h];
        inverse[h] = by <= FLT_MAX ? by : 0.0f;
    }
}

void roperot_hub_quantise(const roperot_codes *c, int64_t first, int64_t heads, const void *src, int64_t src_head,
                          int32_t dtype)
{
    const roperot_pages *const p = c->pages;
    roperot_store_fn *const store = c->kernels->store[roperot_format_index(p->dtype)];
    char *to = c->to + first * c->head;
    const char *x = src;
    for (int64_t n; heads > 0; heads -= n, first += n, to += n * c->head, x += n * src_head) {
        float amax[ROPEROT_HUB_HEADS] = { 0 }, inverse[ROPEROT_HUB_HEADS];
        n = heads < ROPEROT_HUB_HEADS ? heads : ROPEROT_HUB_HEADS;
        if (p->scaling == ROPEROT_SCALE_DYNAMIC) c->kernels->amax(amax, x, src_head, dtype, n, c->channels);
        if (roperot_is_scaled(p->dtype)) inverses_of(p, scale_at(p, c->scale, first), n, amax, inverse);
        store(to, c->head, x, src_head, dtype, n, c->channels, inverse);
    }
}

static void store_dense(const roperot_task *j, const roperot_line *line, const piece *p, run_of_channels run,
                        const float *x)
{
    char *const dst = roperot_dense_at(&j->dst, line->b, line->t, p->head) + run.first * j->dst.size;
    if (run.count == 0) return;
    j->kernels->heads.store[roperot_format_index(j->dst.dtype)](
        dst, j->dst.head, x, p->pitch * (ptrdiff_t)sizeof *x, ROPEROT_F32, p->heads, run.count, NULL);
}

/* Not dense: through the other half of the scratch. */
static void store_pages(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p,
                        run_of_channels run, const float *x, const float *inverse)
{
    const roperot_page_view *const v = &j->to;
    roperot_store_fn *const store = j->kernels->heads.store[roperot_format_index(v->pages->dtype)];
    char *const at = roperot_page_at(v, line->slot, p->head);
    const ptrdiff_t pitch = p->pitch * (ptrdiff_t)sizeof *x;
    if (run.count == 0) return;
    if (v->is_dense) {
        const int64_t bytes = v->size ? run.first * v->size : run.first / ROPEROT_Q8_0_CHANNELS * ROPEROT_Q8_0_BYTES;
        store(at + bytes, v->head_bytes, x, pitch, ROPEROT_F32, p->heads, run.count, inverse);
        return;
    }
    float *const other = hub->half[x < hub->half[1]];
    for (int64_t h = 0; h < p->heads; h++) {
        store(other, 0, x + h * p->pitch, pitch, ROPEROT_F32, 1, run.count, inverse ? inverse + h : NULL);
        roperot_page_scatter(v, at + h * v->head_bytes, run.first, run.count, other);
    }
}

static int is_quantised(int32_t dtype)
{
    return !roperot_is_tensor_dtype(dtype);
}

/* What the pages take: rounded to T where they quantise. */
static void round_for_pages(roperot_hub *hub, const roperot_task *j, const piece *p, float *x)
{
    if (is_quantised(j->to.pages->dtype) && j->rounds) round_through(hub, j, p, x);
}

/* A piece of a long head to where it goes. */
static void emit(roperot_hub *hub, const roperot_task *j, const roperot_line *line, const piece *p, float *x,
                 const float *inverse)
{
    float *const second = x + p->out[0].count;
    if (line->is_dense) {
        store_dense(j, line, p, p->out[0], x);
        store_dense(j, line, p, p->out[1], second);
    }
    if (!stores_pages(j, line)) return;
    round_for_pages(hub, j, p, x);
    store_pages(hub, j, line, p, p->out[0], x, inverse);
    store_pages(hub, j, line, p, p->out[1], second, inverse);
}

static float *scale_of(const roperot_task *j, const roperot_line *line, int64_t head)
{
    return scale_at(j->to.pages, roperot_page_scale(&j->to, line->slot), head);
}

/* ---- heads ------------------------------------------------------------------------------------------------------- */

/* The dense store comes first: rounding for the pages is done in place. */
static void run_whole_heads(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head,
                            int64_t heads, factors *f)
{
    const int all = roperot_norm_is(j->norm, ROPEROT_NORM_ALL_HEADS);
    const int after = roperot_norm_is(j->norm, ROPEROT_NORM_AFTER);
    const piece p = whole_heads(j, head, heads);
    float amax[ROPEROT_HUB_HEADS] = { 0 }, inverse[ROPEROT_HUB_HEADS];
    take_scales(hub, j, line, head, heads);
    if (j->norm && !all && !after) factors_of_heads(hub, j, line, head, heads, NULL, f);
    float *const x = rotated(hub, j, line, &p, factors_before(j, f));
    if (after && !all) factors_of_heads(hub, j, line, head, heads, x, f);
    finish(j, line, &p, x, f);
    if (line->is_dense) store_dense(j, line, &p, p.out[0], x);
    if (!stores_pages(j, line)) return;
    round_for_pages(hub, j, &p, x);
    if (roperot_is_scaled(j->to.pages->dtype)) {
        if (j->to.pages->scaling == ROPEROT_SCALE_DYNAMIC)
            j->kernels->heads.amax(amax, x, p.pitch * (ptrdiff_t)sizeof *x, ROPEROT_F32, heads, j->dim);
        inverses_of(j->to.pages, scale_of(j, line, head), heads, amax, inverse);
    }
    store_pages(hub, j, line, &p, p.out[0], x, inverse);
}

static float amax_in_pieces(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head,
                            const factors *f)
{
    float most = 0.0f, amax;
    piece p;
    for (int64_t at = 0; at >= 0;) {
        at = next_piece(j, head, at, &p);
        float *const x = finished(hub, j, line, &p, f);
        round_for_pages(hub, j, &p, x);
        j->kernels->heads.amax(&amax, x, 0, ROPEROT_F32, 1, channels_of(&p));
        most = amax > most ? amax : most;
    }
    return most;
}

static void run_long_head(roperot_hub *hub, const roperot_task *j, const roperot_line *line, int64_t head, factors *f)
{
    float amax[ROPEROT_HUB_HEADS] = { 0 }, inverse[ROPEROT_HUB_HEADS];
    piece p;
    take_scales(hub, j, line, head, 1);
    if (j->norm && !roperot_norm_is(j->norm, ROPEROT_NORM_ALL_HEADS)) factors_of_heads(hub, j, line, head, 1, NULL, f);
    if (stores_pages(j, line) && roperot_is_scaled(j->to.pages->dtype)) {
        if (j->to.pages->scaling == ROPEROT_SCALE_DYNAMIC) amax[0] = amax_in_pieces(hub, j, line, head, f);
        inverses_of(j->to.pages, scale_of(j, line, head), 1, amax, inverse);
    }
    for (int64_t at = 0; at >= 0;) {
        at = next_piece(j, head, at, &p);
        emit(hub, j, line, &p, finished(hub, j, line, &p, f), inverse);
    }
}

void roperot_hub_run(roperot_hub *hub, const roperot_task *j, const roperot_line *line)
{
    factors f;
    const int64_t most = heads_at_once(j);
    if (roperot_norm_is(j->norm, ROPEROT_NORM_ALL_HEADS)) factors_of_all_heads(hub, j, line, &f);
    for (int64_t head = 0; head < j->heads; head += most) {
        const int64_t heads = j->heads - head < most ? j->heads - head : most;
        if (j->dim > ROPEROT_HUB_FLOATS)
            run_long_head(hub, j, line, head, &f);
        else
            run_whole_heads(hub, j, line, head, heads, &f);
    }
}
