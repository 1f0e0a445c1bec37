/* SPDX-License-Identifier: MIT
 * The verb of jobs: checks every job, then walks the tokens once for all of them; it must not know ISAs or formats. */
#include <string.h>

#include "call.h"
#include "coefficient_rows.h"
#include "compiler.h"
#include "convert.h"
#include "hub.h"
#include "lists.h"
#include "norm.h"
#include "numbers.h"
#include "overlap.h"
#include "pages.h"
#include "positions.h"
#include "status.h"

static const roperot_options default_options = ROPEROT_OPTIONS_INIT;
enum {
    KNOWN_JOB_FLAGS = ROPEROT_JOB_UNROTATED | ROPEROT_JOB_SKIP | ROPEROT_JOB_UNROUNDED,
    MOST_CHANNELS = 65536,
    TASK_BYTES = 128 << 10
};

/* Jobs that run in one walk, and whose hulls stay at hand. More are rare: q, k and v are three. */
enum { KEPT = 4 };

/* What a job touches. The first three are written. */
enum { DST, TO, TO_SCALE, SRC, FROM, FROM_SCALE, TO_SLOTS, FROM_SLOTS, TO_GIVEN_SCALE, PLACES };

typedef struct places {
    roperot_extent hull[PLACES];
} places;

typedef struct call {
    const roperot_plan *plan;
    const roperot_positions *positions;
    const char *jobs;
    int32_t count, kept;
    uint32_t step, flags;
    int32_t in, out; /* pairings */
    int64_t batch, tokens, begin, end, bytes;
    roperot_row_source rows;
    int rotates; /* some job is rotated */
    places places[KEPT];
    roperot_task task[KEPT];
} call;

static const roperot_job *job_at(const call *c, int32_t i)
{
    return (const roperot_job *)(const void *)(c->jobs + (size_t)i * c->step);
}

/* ---- one job by itself ------------------------------------------------------------------------------------------- */

static int32_t bad_combination(int32_t i, const char *what)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d] %s", i, what);
}

static int is_rotated(const roperot_job *j)
{
    return !(j->flags & ROPEROT_JOB_UNROTATED);
}

static int32_t check_combination(const call *c, const roperot_job *j, int32_t i)
{
    if (j->flags & ~(uint32_t)KNOWN_JOB_FLAGS)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d].flags is %#x; only 1 (unrotated), 2 (skip) and 4 (unrounded) are known", i,
                            (unsigned)j->flags);
    if (!j->src && !j->from) return bad_combination(i, "has neither src nor from; it must have one");
    if (j->src && j->from) return bad_combination(i, "has src and from; it must have only one");
    if (j->from && !j->dst && !j->to) return bad_combination(i, "has neither dst nor to; it must have one");
    if (!j->dst && !j->to) return bad_combination(i, "has neither dst nor to; it must have one");
    if (j->norm && c->flags & ROPEROT_INVERSE)
        return bad_combination(i, "has a norm and options.flags 1 (inverse); a norm must not be turned back");
    if (!is_rotated(j) || c->positions) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                        "positions is NULL; it must be given unless every job is unrotated, and "
                        "jobs[%d] is rotated",
                        i);
}

/* batch, tokens, heads and channels of a job, in this order. */
static void shape_of(const roperot_job *j, int64_t shape[4])
{
    const int64_t own[4] = { j->batch, j->tokens, j->heads, j->dim };
    memcpy(shape, j->src ? j->src->shape : own, sizeof own);
}

static int32_t check_shape(const call *c, const roperot_job *j, int32_t i, int64_t shape[4])
{
    static const char *const axis[] = { "batch", "tokens", "heads", "dim" };
    if (j->src && (j->batch || j->tokens || j->heads || j->dim))
        return bad_combination(i, "has src and a shape of its own; batch, tokens, heads and dim must be 0");
    shape_of(j, shape);
    for (int a = 0; a < 4; a++)
        if (shape[a] < 0)
            return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d].%s%s is %lld; it must be at least 0", i,
                                j->src ? "src: " : "", axis[a], (long long)shape[a]);
    const int64_t least = is_rotated(j) ? c->plan->head_dim : 1, most = is_rotated(j) ? least : MOST_CHANNELS;
    if (shape[3] < least || shape[3] > most)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d] has heads of %lld channels; they must be %s%lld", i,
                            (long long)shape[3], is_rotated(j) ? "the plan's head_dim, " : "1 .. ", (long long)most);
    if (is_rotated(j) && c->plan->heads && shape[2] != 0 && shape[2] != c->plan->heads)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d] has %lld heads; it must have the %lld of the plan's table", i,
                            (long long)shape[2], (long long)c->plan->heads);
    if (i > 0 && (shape[0] != c->batch || shape[1] != c->tokens))
        return roperot_fail(ROPEROT_ERROR_SHAPE,
                            "jobs[%d] has batch %lld and %lld tokens; they must be those of jobs[0], %lld and %lld", i,
                            (long long)shape[0], (long long)shape[1], (long long)c->batch, (long long)c->tokens);
    return ROPEROT_OK;
}

static int stays(const roperot_job *j)
{
    return j->src && j->dst && roperot_tensor_same(j->src, j->dst);
}

static int pages_stay(const roperot_job *j)
{
    return j->from && j->to && roperot_pages_same(j->to, j->from);
}

static int32_t check_tensors(const roperot_job *j, int32_t i, const int64_t shape[4], places *p)
{
    int32_t status = ROPEROT_OK;
    const int32_t dim = (int32_t)shape[3];
    if (j->src) status = roperot_tensor_check(j->src, dim, stays(j), "jobs.src", i, &p->hull[SRC]);
    if (status || !j->dst) return status;
    for (int axis = 0; axis < 4; axis++)
        if (j->dst->shape[axis] != shape[axis])
            return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d].dst.shape[%d] is %lld; it must be the source's, %lld", i,
                                axis, (long long)j->dst->shape[axis], (long long)shape[axis]);
    status = roperot_tensor_check(j->dst, dim, 1, "jobs.dst", i, &p->hull[DST]);
    return status;
}

static int32_t check_pairing(const call *c, const roperot_job *j, int32_t i)
{
    if (c->plan->pairing == c->plan->pairing_out || !is_rotated(j) || (!stays(j) && !pages_stay(j))) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ALIAS,
                        "jobs[%d] is rotated in place; pairing_out %d, other than pairing %d, needs another %s", i,
                        c->plan->pairing_out, c->plan->pairing, stays(j) ? "dst" : "to");
}

/* Blocks of q8_0 in pieces of long heads must not be cut. */
static int32_t check_blocks(const call *c, const roperot_job *j, int32_t i, const int64_t shape[4])
{
    const roperot_plan *const plan = c->plan;
    const int blocked = (j->from && j->from->dtype == ROPEROT_Q8_0) || (j->to && j->to->dtype == ROPEROT_Q8_0);
    if (!blocked || shape[3] <= ROPEROT_HUB_FLOATS || !is_rotated(j)) return ROPEROT_OK;
    if (plan->rotary_offset % ROPEROT_Q8_0_CHANNELS == 0 && plan->pairs % ROPEROT_Q8_0_CHANNELS == 0) return ROPEROT_OK;
    return roperot_fail(
        ROPEROT_ERROR_SHAPE,
        "jobs[%d] has q8_0 pages and heads of %lld channels; above %d, rotary_offset %d and rotary_dim / "
        "2 = %d must be multiples of 32",
        i, (long long)shape[3], (int)ROPEROT_HUB_FLOATS, plan->rotary_offset, plan->pairs);
}

static int32_t check_pages(const call *c, const roperot_job *j, int32_t i, const int64_t shape[4], places *p)
{
    const roperot_pages *const side[2] = { j->to, j->from };
    static const char *const name[2] = { "to", "from" };
    static const int data[2] = { TO, FROM }, scale[2] = { TO_SCALE, FROM_SCALE }, slots[2] = { TO_SLOTS, FROM_SLOTS };
    for (int k = 0; k < 2; k++) {
        roperot_page_hulls hulls;
        if (!side[k]) continue;
        const int32_t status =
            roperot_pages_check(side[k], shape[2], shape[3], shape[0], shape[1], k == 0, i, name[k], &hulls);
        if (status) return status;
        p->hull[data[k]] = hulls.data;
        p->hull[slots[k]] = hulls.slots;
        p->hull[scale[k]] = hulls.scale;
        if (k == 1 || j->to->scaling != ROPEROT_SCALE_STATIC) continue;
        p->hull[TO_GIVEN_SCALE] = hulls.scale; /* read, not written */
        memset(&p->hull[TO_SCALE], 0, sizeof p->hull[TO_SCALE]);
    }
    return check_blocks(c, j, i, shape);
}

static int32_t check_factor(const roperot_job *j, int32_t i, const int64_t shape[4])
{
    if (!j->factor) return ROPEROT_OK;
    if ((uintptr_t)j->factor % _Alignof(float))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d].factor is %p; it must be a multiple of 4", i,
                            (const void *)j->factor);
    const int64_t stride[2] = { j->factor_batch_stride, j->factor_token_stride };
    int64_t below = 0, above = 1;
    for (int a = 0; a < 2; a++) {
        if (shape[a] == 1) continue;
        int64_t *const side = stride[a] < 0 ? &below : &above;
        *side = roperot_saturating_add(*side, roperot_saturating_mul(roperot_magnitude(stride[a]), shape[a] - 1));
    }
    if (roperot_is_addressable(j->factor, below, above, sizeof(float))) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "jobs[%d].factor with strides %lld and %lld must not reach outside the address space", i,
                        (long long)stride[0], (long long)stride[1]);
}

static int is_empty(const int64_t shape[4])
{
    return shape[0] == 0 || shape[1] == 0 || shape[2] == 0;
}

/* Job i by itself, and where it reads and writes. */
static int32_t check_job(const call *c, int32_t i, places *p)
{
    const roperot_job *const j = job_at(c, i);
    int64_t shape[4];
    memset(p, 0, sizeof *p);
    int32_t status = check_combination(c, j, i);
    if (!status) status = check_shape(c, j, i, shape);
    if (status || is_empty(shape)) return status;
    if (j->norm) status = roperot_norm_check(j->norm, shape[2], shape[3], i);
    if (!status) status = check_tensors(j, i, shape, p);
    if (!status) status = check_pages(c, j, i, shape, p);
    if (!status) status = check_pairing(c, j, i);
    if (!status) status = check_factor(j, i, shape);
    return status;
}

/* ---- jobs among themselves --------------------------------------------------------------------------------------- */

static places places_of(const call *c, int32_t i)
{
    places p;
    if (i < KEPT) return c->places[i];
    check_job(c, i, &p);
    return p;
}

/* Places whose hulls meet, and that may. */
static int may_meet(const call *c, int32_t i, int at, int32_t k, int other)
{
    const roperot_job *const a = job_at(c, i), *const b = job_at(c, k);
    const roperot_tensor *const view[2] = { at == DST ? a->dst : NULL, other == DST   ? b->dst
                                                                       : other == SRC ? b->src
                                                                                      : NULL };
    const roperot_pages *const pages[2] = { at == TO ? a->to : NULL, other == TO     ? b->to
                                                                     : other == FROM ? b->from
                                                                                     : NULL };
    if (i == k && at == DST && other == SRC && stays(a)) return 1;
    if (i == k && at == TO && other == FROM && pages_stay(a)) return 1;
    if (i == k && at == TO_SCALE && other == FROM_SCALE && pages_stay(a)) return 1;
    if (view[0] && view[1]) return roperot_tensors_disjoint(view[0], view[1]);
    if (!pages[0] || !pages[1]) return 0;
    int64_t shape_a[4], shape_b[4];
    shape_of(a, shape_a);
    shape_of(b, shape_b);
    return roperot_pages_apart(pages[0], shape_a[2], shape_a[3], pages[1], shape_b[2], shape_b[3]);
}

static int32_t overlap(int32_t i, int at, int32_t k, int other)
{
    static const char *const name[PLACES] = { "dst",        "to",       "to.scale",   "src",     "from",
                                              "from.scale", "to.slots", "from.slots", "to.scale" };
    return roperot_fail(
        ROPEROT_ERROR_ALIAS,
        "jobs[%d].%s and jobs[%d].%s overlap, and the first is written; they must be apart, or the same "
        "view of one job",
        i, name[at], k, name[other]);
}

/* Everything that job i writes against everything of job k; of two written places, the pair is looked at once. */
static int32_t check_pair(const call *c, int32_t i, const places *own, int32_t k, const places *others)
{
    for (int at = DST; at <= TO_SCALE; at++) {
        if (own->hull[at].begin == own->hull[at].end) continue;
        for (int other = 0; other < PLACES; other++) {
            if (other <= TO_SCALE && (i < k || (i == k && other >= at))) continue;
            if (roperot_extents_overlap(&own->hull[at], &others->hull[other]) && !may_meet(c, i, at, k, other))
                return overlap(i, at, k, other);
        }
    }
    return ROPEROT_OK;
}

static int32_t check_jobs(call *c)
{
    places p;
    for (int32_t i = 0; i < c->count; i++) {
        int64_t shape[4];
        shape_of(job_at(c, i), shape);
        if (i == 0) c->batch = shape[0], c->tokens = shape[1];
        const int32_t status = check_job(c, i, i < KEPT ? &c->places[i] : &p);
        if (status) return status;
        c->rotates |= is_rotated(job_at(c, i)) && !is_empty(shape);
        c->bytes = roperot_saturating_add(c->bytes, roperot_saturating_mul(8 * shape[2], shape[3]));
    }
    for (int32_t i = 0; i < c->count; i++) {
        const places own = places_of(c, i);
        for (int32_t k = 0; k < c->count; k++) {
            const places others = places_of(c, k);
            const int32_t status = check_pair(c, i, &own, k, &others);
            if (status) return status;
        }
    }
    return ROPEROT_OK;
}

static int32_t check_slots(const call *c)
{
    for (int32_t i = 0; i < c->count; i++) {
        const roperot_job *const j = job_at(c, i);
        int64_t shape[4];
        int32_t status = ROPEROT_OK;
        shape_of(j, shape);
        if (is_empty(shape)) continue;
        if (j->to) status = roperot_pages_check_slots(j->to, c->tokens, c->begin, c->end, i, "to");
        if (!status && j->from) status = roperot_pages_check_slots(j->from, c->tokens, c->begin, c->end, i, "from");
        if (status) return status;
    }
    return ROPEROT_OK;
}

/* ---- programs ---------------------------------------------------------------------------------------------------- */

static roperot_dense dense_of(const roperot_tensor *t)
{
    roperot_dense d = { NULL, 0, 0, 0, 0, 0 };
    if (!t) return d;
    d.dtype = t->dtype;
    d.size = roperot_dtype_size(t->dtype);
    d.data = t->data;
    d.batch = t->shape[0] == 1 ? 0 : t->stride[0] * d.size;
    d.token = t->shape[1] == 1 ? 0 : t->stride[1] * d.size;
    d.head = t->shape[2] == 1 ? 0 : t->stride[2] * d.size;
    return d;
}

/* T: the source's dtype. */
static int32_t through_of(const roperot_job *j)
{
    if (j->src) return j->src->dtype;
    return j->from->dtype <= ROPEROT_BF16 ? j->from->dtype : ROPEROT_F32;
}

/* What one fused kernel does: no norm, no factor, from a tensor to another dtype or none. */
static void fuse(const call *c, roperot_task *t)
{
    const roperot_plan *const plan = c->plan;
    t->to_dst = t->to_pages = NULL;
    if (t->norm || t->factor || !t->src.dtype || !t->pairs) return;
    roperot_rotate_fn *const *const from =
        (c->in == plan->pairing ? plan->rotate : plan->rotate_back)[t->src.dtype - 1];
    if (t->dst.dtype) t->to_dst = from[t->dst.dtype - 1];
    const int plain = t->to.pages && t->to.is_dense && t->to.pages->dtype <= ROPEROT_BF16;
    if (plain) t->to_pages = from[t->to.pages->dtype - 1];
}

/* What is usual: the destinations that have the source's dtype need no hub. */
static void fuse_norm(roperot_task *t)
{
    const roperot_norm *const n = t->norm;
    if (!n || n->kind != ROPEROT_NORM_RMS || n->flags || !n->weight || t->factor || !t->src.dtype) return;
    if (t->in != ROPEROT_PAIR_HALF || t->out != ROPEROT_PAIR_HALF || t->pairs % 16 || 2 * t->pairs != t->dim) return;
    if (t->dst.dtype && t->dst.dtype != t->src.dtype) return;
    if (t->to.pages && (!t->to.is_dense || t->to.pages->dtype != t->src.dtype)) return;
    t->fused = t->kernels->heads.norm_rotate[t->src.dtype - 1];
}

static void set_task(const call *c, const roperot_job *j, roperot_task *t)
{
    const roperot_plan *const plan = c->plan;
    int64_t shape[4];
    shape_of(j, shape);
    const int rotated = is_rotated(j);
    memset(t, 0, sizeof *t);
    t->plan = plan;
    t->kernels = plan->kernels;
    t->norm = j->norm;
    t->src = dense_of(j->src);
    t->dst = dense_of(j->dst);
    if (j->from) roperot_page_view_init(&t->from, j->from, shape[3]);
    if (j->to) roperot_page_view_init(&t->to, j->to, shape[3]);
    t->factor = j->factor;
    t->factor_batch = shape[0] == 1 ? 0 : j->factor_batch_stride;
    t->factor_token = shape[1] == 1 ? 0 : j->factor_token_stride;
    t->heads = shape[2];
    t->dim = shape[3];
    t->rotated = rotated;
    t->offset = rotated ? plan->rotary_offset : 0;
    t->pairs = rotated ? plan->pairs : 0;
    t->in = c->in;
    t->out = c->out;
    t->through = through_of(j);
    t->stays = stays(j);
    t->skips = (j->flags & ROPEROT_JOB_SKIP) != 0;
    t->rounds = !(j->flags & ROPEROT_JOB_UNROUNDED);
    const int eager = plan->arithmetic == ROPEROT_ARITHMETIC_EAGER && t->through != ROPEROT_F32;
    t->in_scratch = eager ? plan->kernels->eager[t->through - 1][0][c->in - 1][c->out - 1]
                          : plan->kernels->rotate[0][0][c->in - 1][c->out - 1];
    fuse(c, t);
    if (!eager) fuse_norm(t);
}

/* ---- one line, fused --------------------------------------------------------------------------------------------- */

/* The channels around the rotated ones, or all of a line that is not rotated. */
static void copy_channels(const roperot_task *t, const char *src, char *dst, int64_t dst_head, int32_t dtype,
                          int64_t first, int64_t n)
{
    const int64_t size = roperot_dtype_size(dtype);
    for (int64_t h = 0; h < t->heads; h++)
        roperot_convert(src + h * t->src.head + first * t->src.size, t->src.dtype, 1, dst + h * dst_head + first * size,
                        dtype, 1, n);
}

/* A line that IDENTITY leaves alone: re-paired or converted only. */
static void leave_alone(const roperot_task *t, const char *src, char *dst, int64_t dst_head, int32_t dtype)
{
    const int64_t size = roperot_dtype_size(dtype);
    const int in_half = t->in == ROPEROT_PAIR_HALF, out_half = t->out == ROPEROT_PAIR_HALF;
    for (int64_t h = 0; h < t->heads; h++)
        for (int second = 0; second < 2; second++)
            roperot_convert(src + h * t->src.head + (t->offset + second * (in_half ? t->pairs : 1)) * t->src.size,
                            t->src.dtype, in_half ? 1 : 2,
                            dst + h * dst_head + (t->offset + second * (out_half ? t->pairs : 1)) * size, dtype,
                            out_half ? 1 : 2, t->pairs);
}

/* Pairs [first, first + n) of heads of one line by a fused kernel. */
static void rotate_line(const roperot_task *t, roperot_rotate_fn *fn, const char *src, char *dst, int64_t dst_head,
                        const roperot_row *row, int32_t first, int32_t n, int64_t heads)
{
    const roperot_token token = { row->cos, row->sin, src, dst };
    const roperot_tile tile = {
        .token = &token,
        .tokens = 1,
        .heads = heads,
        .pairs = n,
        .src_head = t->src.head,
        .dst_head = dst_head,
        .src_first = t->offset + first * (t->in == ROPEROT_PAIR_HALF ? 1 : 2),
        .dst_first = t->offset + first * (t->out == ROPEROT_PAIR_HALF ? 1 : 2),
        .src_half = t->pairs,
        .dst_half = t->pairs,
        .loop = ROPEROT_LOOP_COLUMNS,
        .heads_outer = 0,
    };
    fn(&tile);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

typedef struct walk {
    const call *call;
    roperot_scratch scratch;
    roperot_row row[ROPEROT_TILE_TOKENS];
    roperot_hub hub;
} walk;

static roperot_row row_in_pieces(void *arg, int64_t b, int64_t t, int64_t head, int32_t first, int32_t n)
{
    walk *const w = arg;
    const roperot_token_range token = { b, t, 0, 1 };
    const roperot_pair_block block = { first, n, head };
    roperot_row row;
    roperot_rows_make(&w->call->rows, &token, block, &w->scratch, &row);
    return row;
}

/* A line by a fused kernel; rows longer than the scratch come in blocks, rows per head head by head. */
static void run_fused(walk *w, const roperot_task *t, roperot_rotate_fn *fn, const roperot_line *line, char *dst,
                      int64_t dst_head, int32_t dtype, int moves)
{
    const char *const src = roperot_dense_at(&t->src, line->b, line->t, 0);
    const int64_t after = t->offset + 2 * (int64_t)t->pairs;
    const int32_t block = w->call->rows.block_pairs;
    const int64_t heads = t->plan->heads ? 1 : t->heads;
    int alone = 0;
    for (int64_t head = 0; head < t->heads; head += heads)
        for (int32_t first = 0; first < t->pairs; first += block) {
            const int32_t n = t->pairs - first < block ? t->pairs - first : block;
            const roperot_row row = !line->row_of ? line->row : row_in_pieces(w, line->b, line->t, head, first, n);
            if (row.cos)
                rotate_line(t, fn, src + head * t->src.head, dst + head * dst_head, dst_head, &row, first, n, heads);
            alone = !row.cos;
        }
    if (alone && moves) leave_alone(t, src, dst, dst_head, dtype);
    if (!moves) return;
    if (t->offset) copy_channels(t, src, dst, dst_head, dtype, 0, t->offset);
    if (after < t->dim) copy_channels(t, src, dst, dst_head, dtype, after, t->dim - after);
}

/* Neither norm nor rotation nor factor, and the same dtype: bytes. */
static int is_copy(const roperot_task *t, int32_t dtype)
{
    return !t->norm && !t->factor && !t->pairs && t->src.dtype == dtype;
}

static void run_copy(const roperot_task *t, const roperot_line *line, char *dst, int64_t dst_head)
{
    const char *const src = roperot_dense_at(&t->src, line->b, line->t, 0);
    const int64_t bytes = t->dim * t->src.size;
    if (t->src.head == bytes && dst_head == bytes) {
        memcpy(dst, src, (size_t)(t->heads * bytes));
        return;
    }
    for (int64_t h = 0; h < t->heads; h++) memcpy(dst + h * dst_head, src + h * t->src.head, (size_t)bytes);
}

/* What is left for the hub: destinations that no shorter way has served. */
static void run_rest(walk *w, const roperot_task *t, const roperot_line *line, int dense, int paged)
{
    if (!dense && !paged) return;
    roperot_task rest = *t;
    roperot_line at = *line;
    if (!dense) rest.dst.dtype = 0;
    if (!paged) at.slot = -1;
    roperot_hub_run(&w->hub, &rest, &at);
}

/* The pages first: in place, the dense result goes where the source was. */
static void run_line(walk *w, const roperot_task *t, const roperot_line *line)
{
    int dense = t->dst.dtype != 0, paged = t->to.pages && line->slot >= 0;
    if (t->skips && t->to.pages && line->slot < 0) return;
    if (t->from.pages && line->from_slot < 0) return;
    const int fused = t->fused && line->row.cos;
    if (!fused && (t->norm || t->factor || t->from.pages)) {
        if (dense || paged) roperot_hub_run(&w->hub, t, line);
        return;
    }
    char *const page = paged ? roperot_page_at(&t->to, line->slot, 0) : NULL;
    if (fused) {
        if (paged) roperot_hub_run_fused(t, line, page, t->to.head_bytes);
        if (dense) roperot_hub_run_fused(t, line, roperot_dense_at(&t->dst, line->b, line->t, 0), t->dst.head);
        return;
    }
    if (paged && t->to_pages) {
        run_fused(w, t, t->to_pages, line, page, t->to.head_bytes, t->to.pages->dtype, 1);
        paged = 0;
    } else if (paged && t->to.is_dense && is_copy(t, t->to.pages->dtype)) {
        run_copy(t, line, page, t->to.head_bytes);
        paged = 0;
    }
    if (paged) run_rest(w, t, line, 0, 1);
    if (!dense) return;
    char *const dst = roperot_dense_at(&t->dst, line->b, line->t, 0);
    if (t->to_dst)
        run_fused(w, t, t->to_dst, line, dst, t->dst.head, t->dst.dtype, !t->stays);
    else if (!is_copy(t, t->dst.dtype))
        run_rest(w, t, line, 1, 0);
    else if (!t->stays)
        run_copy(t, line, dst, t->dst.head);
}

/* `n` lines of one batch row, or (one token per row) of as many rows: line i of the rows, all tasks. */
static void run_tile(walk *w, int64_t b, int64_t t, int across, int n)
{
    const call *const c = w->call;
    const int whole = c->rotates && c->rows.block_pairs == c->plan->pairs && !c->plan->heads;
    const roperot_token_range range = { b, t, across, n };
    const roperot_pair_block block = { 0, c->plan->pairs, 0 };
    if (whole) roperot_rows_make(&c->rows, &range, block, &w->scratch, w->row);
    for (int32_t i = 0; i < c->kept; i++) {
        const roperot_task *const task = &c->task[i];
        for (int k = 0; k < n; k++) {
            roperot_line line = { b + (across ? k : 0), t + (across ? 0 : k),         -1, -1,
                                  { NULL, NULL },       whole ? NULL : row_in_pieces, w };
            if (whole && task->pairs) line.row = w->row[k];
            if (task->to.pages) line.slot = roperot_slot_read(task->to.pages, line.b, line.t);
            if (task->from.pages) line.from_slot = roperot_slot_read(task->from.pages, line.b, line.t);
            run_line(w, task, &line);
        }
    }
}

/* Lines [begin, end). Not inlined: its scratch is nearly all of the stack that a call may take. */
static ROPEROT_NOINLINE void run(const call *c, int64_t begin, int64_t end)
{
    walk w;
    w.call = c;
    roperot_scratch_init(&w.scratch);
    const int64_t tokens = c->tokens, most = c->rotates ? c->rows.tile_tokens : ROPEROT_TILE_TOKENS;
    int64_t b = begin / tokens, t = begin % tokens;
    while (begin < end) {
        int64_t n = end - begin < most ? end - begin : most;
        if (tokens > 1 && n > tokens - t) n = tokens - t;
        run_tile(&w, b, t, tokens == 1, (int)n);
        begin += n;
        if (tokens == 1)
            b += n;
        else if ((t += n) == tokens)
            t = 0, b++;
    }
}

/* ---- threads ----------------------------------------------------------------------------------------------------- */

typedef struct split {
    const call *c;
    int64_t chunk;
} split;

static void run_task(void *arg, int64_t index)
{
    const split *const s = arg;
    const int64_t begin = s->c->begin + index * s->chunk, left = s->c->end - begin;
    run(s->c, begin, begin + (left < s->chunk ? left : s->chunk));
}

static void run_all(call *c, const roperot_options *o)
{
    const int64_t lines = c->end - c->begin, worth = c->bytes / TASK_BYTES;
    const int64_t most = o->threads ? o->threads : c->plan->cpus, tasks = !o->parallel_for || worth < 2 ? 1
                                                                          : worth < most                ? worth
                                                                                                        : most;
    for (int32_t i = 0; i < c->count;) {
        for (c->kept = 0; i < c->count && c->kept < KEPT; i++) {
            int64_t shape[4];
            shape_of(job_at(c, i), shape);
            if (!is_empty(shape)) set_task(c, job_at(c, i), &c->task[c->kept++]);
        }
        split s = { c, (lines + tasks - 1) / tasks };
        if (tasks > 1)
            o->parallel_for(o->ctx, (lines + s.chunk - 1) / s.chunk, run_task, &s);
        else
            run(c, c->begin, c->end);
    }
}

/* ---- the verb ---------------------------------------------------------------------------------------------------- */

static int32_t check_arguments(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                               int32_t count)
{
    if (!plan)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "plan is NULL; it must be one that roperot_plan_create made");
    if (count < 0) return roperot_fail(ROPEROT_ERROR_ARGUMENT, "count is %d; it must be at least 0", count);
    if (count > 0 && !jobs)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs is NULL; it must point to count = %d jobs", count);
    return positions ? roperot_check_size(positions, sizeof *positions, sizeof *positions, "positions") : ROPEROT_OK;
}

static int32_t check_sizes(const roperot_job *jobs, int32_t count)
{
    for (int32_t i = 0; i < count; i++) {
        const roperot_job *const j = (const void *)((const char *)jobs + (size_t)i * jobs->size);
        const int32_t status = roperot_check_size(j, sizeof *j, sizeof *j, "jobs");
        if (status) return status;
        if (j->size != jobs->size)
            return roperot_fail(ROPEROT_ERROR_VERSION, "jobs[%d].size is %u; it must be that of jobs[0], %u", i,
                                (unsigned)j->size, (unsigned)jobs->size);
    }
    return ROPEROT_OK;
}

int32_t roperot_run(const roperot_plan *plan, const roperot_positions *positions, const roperot_job *jobs,
                    int32_t count, const roperot_options *options)
{
    const roperot_options *const o = options ? options : &default_options;
    int32_t status = check_arguments(plan, positions, jobs, count);
    if (!status && options) status = roperot_check_options(options);
    if (!status) status = roperot_scratch_check(plan, o);
    if (!status) status = check_sizes(jobs, count);
    if (status || count == 0) return status;
    call c; /* not zeroed as a whole: the tasks are most of it */
    c.plan = plan;
    c.positions = positions;
    c.jobs = (const char *)jobs;
    c.count = count;
    c.step = jobs->size;
    c.flags = o->flags;
    c.in = o->flags & ROPEROT_INVERSE ? plan->pairing_out : plan->pairing;
    c.out = o->flags & ROPEROT_INVERSE ? plan->pairing : plan->pairing_out;
    c.bytes = 0;
    c.rotates = 0;
    status = check_jobs(&c);
    if (status || c.bytes == 0) return status;
    c.begin = o->token_begin;
    c.end = roperot_saturating_mul(c.batch, c.tokens);
    if (c.end > o->token_end) c.end = o->token_end;
    if (c.begin >= c.end) return ROPEROT_OK;
    if (c.rotates) status = roperot_positions_check(plan, positions, o->flags, c.batch, c.tokens, c.begin, c.end);
    if (!status) status = check_slots(&c);
    if (status) return status;
    c.bytes = roperot_saturating_mul(c.bytes, c.end - c.begin);
    if (c.rotates) roperot_row_source_init(&c.rows, plan, positions, o->flags, roperot_kept_row_of(o));
    run_all(&c, o);
    return ROPEROT_OK;
}
