/* SPDX-License-Identifier: MIT
 * The jobs of a call, checked one by one and among themselves; it must not know how they are run. */
#include "jobs.h"

#include "bounds.h"
#include "compiler.h"
#include "lists.h"
#include "norm.h"
#include "numbers.h"
#include "overlap.h"
#include "status.h"
#include "task.h"
#include "usual_jobs.h"

enum {
    KNOWN_JOB_FLAGS = ROPEROT_JOB_UNROTATED | ROPEROT_JOB_SKIP | ROPEROT_JOB_UNROUNDED
};

/* Jobs whose places stay at hand. More are rare: q, k and v are three. */
enum { KEPT = 4 };

/* What a job touches, written places first. */
enum {
    DST,
    TO,
    TO_SCALE, /* dynamic: made */
    SRC,
    FROM,
    FROM_SCALE,
    FROM_SLOTS,
    TO_SLOTS,
    TO_GIVEN_SCALE, /* static */
    PLACES,
    LAST_WRITTEN = TO_SCALE
};

/* The extents of one job's places, and the numbers of those that exist, rising. Others are not initialised. */
typedef struct places {
    roperot_extent extent[PLACES];
    int32_t count, at[PLACES + 1];
} places;

/* ---- one job by itself ------------------------------------------------------------------------------------------- */

int roperot_job_stays(const roperot_job *j)
{
    return j->src && j->dst && (j->src == j->dst || roperot_tensor_same(j->src, j->dst));
}

static int32_t combination_error(int32_t i, const char *what)
{
    return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d] %s", i, what);
}

static int32_t check_combination(const roperot_jobs *c, const roperot_job *j, int32_t i)
{
    if (j->flags & ~(uint32_t)KNOWN_JOB_FLAGS)
        return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                            "jobs[%d].flags is %#x; only 1 (unrotated), 2 (skip) and 4 (unrounded) are known", i,
                            (unsigned)j->flags);
    if (!j->src && !j->from) return combination_error(i, "has neither src nor from; it must have one");
    if (j->src && j->from) return combination_error(i, "has src and from; it must have only one");
    if (!j->dst && !j->to) return combination_error(i, "has neither dst nor to; it must have one");
    if (j->norm && c->flags & ROPEROT_INVERSE)
        return combination_error(i, "has a norm and options.flags 1 (inverse); a norm must not be turned back");
    if (!roperot_job_is_rotated(j) || c->positions) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ARGUMENT,
                        "positions is NULL; it must be given unless every job is unrotated, and "
                        "jobs[%d] is rotated",
                        i);
}

static int32_t check_shape(const roperot_jobs *c, const roperot_job *j, int32_t i, int64_t shape[4])
{
    static const char axis[][8] = { "batch", "tokens", "heads", "dim" };
    if (j->src && (j->batch || j->tokens || j->heads || j->dim))
        return combination_error(i, "has src and a shape of its own; batch, tokens, heads and dim must be 0");
    roperot_job_shape(j, shape);
    for (int a = 0; a < 4; a++)
        if (shape[a] < 0)
            return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d].%s%s is %lld; it must be at least 0", i,
                                j->src ? "src: " : "", axis[a], (long long)shape[a]);
    const int rotated = roperot_job_is_rotated(j);
    const int64_t least = rotated ? c->plan->head_dim : 1, most = rotated ? least : ROPEROT_MAX_CHANNELS;
    if (shape[3] < least || shape[3] > most)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d] has heads of %lld channels; they must be %s%lld", i,
                            (long long)shape[3], rotated ? "the plan's head_dim, " : "1 .. ", (long long)most);
    if (rotated && c->plan->heads && shape[2] != 0 && shape[2] != c->plan->heads)
        return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d] has %lld heads; it must have the %lld of the plan's table",
                            i, (long long)shape[2], (long long)c->plan->heads);
    if (i > 0 && (shape[0] != c->batch || shape[1] != c->tokens))
        return roperot_tokens_error("jobs", i, shape, c->batch, c->tokens);
    return ROPEROT_OK;
}

static int pages_stay(const roperot_job *j)
{
    int64_t shape[4];
    if (!j->from || !j->to) return 0;
    roperot_job_shape(j, shape);
    return roperot_pages_same(j->to, j->from, shape[2], shape[3]);
}

static int32_t check_tensors(const roperot_job *j, int32_t i, const int64_t shape[4], places *p)
{
    int32_t status = ROPEROT_OK;
    const int32_t dim = (int32_t)shape[3];
    const int stays = roperot_job_stays(j);
    if (j->src) status = roperot_tensor_check_any(j->src, dim, stays, "jobs", i, ".src", &p->extent[SRC]);
    if (status || !j->dst) return status;
    if (j->dst == j->src) {
        p->extent[DST] = p->extent[SRC];
        return ROPEROT_OK;
    }
    for (int axis = 0; axis < 4; axis++)
        if (j->dst->shape[axis] != shape[axis])
            return roperot_fail(ROPEROT_ERROR_SHAPE, "jobs[%d].dst.shape[%d] is %lld; it must be the source's, %lld", i,
                                axis, (long long)j->dst->shape[axis], (long long)shape[axis]);
    return roperot_tensor_check_any(j->dst, dim, 1, "jobs", i, ".dst", &p->extent[DST]);
}

static int32_t check_pairing(const roperot_jobs *c, const roperot_job *j, int32_t i)
{
    if (c->plan->pairing == c->plan->pairing_out || !roperot_job_is_rotated(j)) return ROPEROT_OK;
    const int stays = roperot_job_stays(j);
    if (!stays && !pages_stay(j)) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_ALIAS,
                        "jobs[%d] is rotated in place; pairing_out %d, other than pairing %d, needs another %s", i,
                        c->plan->pairing_out, c->plan->pairing, stays ? "dst" : "to");
}

/* Blocks of q8_0 in pieces of long heads must not be cut. */
static int32_t check_blocks(const roperot_jobs *c, const roperot_job *j, int32_t i, const int64_t shape[4])
{
    const roperot_plan *const plan = c->plan;
    const int blocked = (j->from && j->from->dtype == ROPEROT_Q8_0) || (j->to && j->to->dtype == ROPEROT_Q8_0);
    if (!blocked || shape[3] <= ROPEROT_HUB_FLOATS || !roperot_job_is_rotated(j)) return ROPEROT_OK;
    if (plan->rotary_offset % ROPEROT_Q8_0_CHANNELS == 0 && plan->pairs % ROPEROT_Q8_0_CHANNELS == 0) return ROPEROT_OK;
    return roperot_fail(
        ROPEROT_ERROR_SHAPE,
        "jobs[%d] has q8_0 pages and heads of %lld channels; above %d, rotary_offset %d and rotary_dim / "
        "2 = %d must be multiples of 32",
        i, (long long)shape[3], (int)ROPEROT_HUB_FLOATS, plan->rotary_offset, plan->pairs);
}

static int32_t check_pages(const roperot_jobs *c, const roperot_job *j, int32_t i, const int64_t shape[4], places *p)
{
    int32_t status = ROPEROT_OK;
    if (j->to) {
        const int scale = j->to->scaling == ROPEROT_SCALE_STATIC ? TO_GIVEN_SCALE : TO_SCALE;
        status = roperot_pages_check(j->to, shape, 1, i, ".to", &p->extent[TO], &p->extent[scale],
                                     &p->extent[TO_SLOTS]);
    }
    if (!status && j->from)
        status = roperot_pages_check(j->from, shape, 0, i, ".from", &p->extent[FROM], &p->extent[FROM_SCALE],
                                     &p->extent[FROM_SLOTS]);
    return status ? status : check_blocks(c, j, i, shape);
}

static int32_t check_factor(const roperot_job *j, int32_t i, const int64_t shape[4])
{
    if ((uintptr_t)j->factor % _Alignof(float))
        return roperot_fail(ROPEROT_ERROR_ARGUMENT, "jobs[%d].factor is %p; it must be a multiple of 4", i,
                            (const void *)j->factor);
    const int64_t stride[2] = { j->factor_batch_stride, j->factor_token_stride };
    int64_t below = 0, above = 1;
    for (int a = 0; a < 2; a++) roperot_reach_axis(&below, &above, stride[a], shape[a]);
    if (roperot_is_addressable(j->factor, below, above, sizeof(float))) return ROPEROT_OK;
    return roperot_fail(ROPEROT_ERROR_SHAPE,
                        "jobs[%d].factor with strides %lld and %lld must not reach outside the address space", i,
                        (long long)stride[0], (long long)stride[1]);
}

static void list(places *p, int32_t at, int is_there)
{
    p->at[p->count] = at;
    p->count += is_there;
}

static void list_places(places *p, const roperot_job *j)
{
    const int makes = j->to && j->to->scaling == ROPEROT_SCALE_DYNAMIC;
    p->count = 0;
    list(p, DST, j->dst != NULL);
    list(p, TO, j->to != NULL);
    list(p, TO_SCALE, makes);
    list(p, SRC, j->src != NULL);
    if (j->from) {
        list(p, FROM, 1);
        list(p, FROM_SCALE, j->from->scale != NULL);
        list(p, FROM_SLOTS, 1);
    }
    list(p, TO_SLOTS, j->to != NULL);
    list(p, TO_GIVEN_SCALE, j->to && j->to->scale && !makes);
}

/* Job i by itself, and what it reads and writes. */
static int32_t check_job(const roperot_jobs *c, int32_t i, places *p)
{
    const roperot_job *const j = roperot_job_at(c, i);
    int64_t shape[4];
    p->count = 0;
    int32_t status = check_combination(c, j, i);
    if (!status) status = check_shape(c, j, i, shape);
    if (status || roperot_shape_is_empty(shape)) return status;
    if (j->norm) status = roperot_norm_check(j->norm, shape[2], shape[3], i);
    if (!status) status = check_tensors(j, i, shape, p);
    if (!status && (j->to || j->from)) status = check_pages(c, j, i, shape, p);
    if (!status) status = check_pairing(c, j, i);
    if (!status && j->factor) status = check_factor(j, i, shape);
    list_places(p, j);
    return status;
}

/* ---- jobs among themselves --------------------------------------------------------------------------------------- */

static const roperot_tensor *view_at(const roperot_job *j, int at)
{
    return at == DST ? j->dst : at == SRC ? j->src : NULL;
}

/* 0: no part of a cache is there. */
static int part_at(const roperot_job *j, int at, roperot_page_part *part)
{
    int64_t shape[4];
    part->is_scale = at == TO_SCALE || at == FROM_SCALE || at == TO_GIVEN_SCALE;
    part->pages = at == TO || at == TO_SCALE || at == TO_GIVEN_SCALE ? j->to
                  : at == FROM || at == FROM_SCALE                   ? j->from
                                                                     : NULL;
    if (!part->pages) return 0;
    roperot_job_shape(j, shape);
    part->heads = shape[2];
    part->dim = shape[3];
    return 1;
}

/* Whether what is written at `at` of job i may be, although its extent overlaps that at `other` of job k. */
static int may_meet(const roperot_jobs *c, int32_t i, int at, int32_t k, int other)
{
    const roperot_job *const a = roperot_job_at(c, i), *const b = roperot_job_at(c, k);
    if (i == k && at == DST && other == SRC && roperot_job_stays(a)) return 1;
    if (i == k && at == TO && other == FROM && pages_stay(a)) return 1;
    if (i == k && at == TO_SCALE && other == FROM_SCALE && pages_stay(a)) return 1;
    const roperot_tensor *const view = view_at(a, at), *const other_view = view_at(b, other);
    if (view && other_view) return roperot_tensors_disjoint(view, other_view);
    roperot_page_part part, other_part;
    return part_at(a, at, &part) && part_at(b, other, &other_part) && roperot_page_parts_apart(&part, &other_part);
}

static int32_t overlap_error(int32_t i, int at, int32_t k, int other)
{
    static const char name[PLACES][12] = { [DST] = "dst",
                                           [TO] = "to",
                                           [TO_SCALE] = "to.scale",
                                           [SRC] = "src",
                                           [FROM] = "from",
                                           [FROM_SCALE] = "from.scale",
                                           [FROM_SLOTS] = "from.slots",
                                           [TO_SLOTS] = "to.slots",
                                           [TO_GIVEN_SCALE] = "to.scale" };
    return roperot_fail(
        ROPEROT_ERROR_ALIAS,
        "jobs[%d].%s and jobs[%d].%s overlap, and the first is written; they must be apart, or the same "
        "view of one job",
        i, name[at], k, name[other]);
}

/* Everything that job i writes against everything of job k; of two written places, the pair is looked at once. */
static int32_t check_pair(const roperot_jobs *c, int32_t i, const places *own, int32_t k, const places *others)
{
    for (int32_t a = 0; a < own->count && own->at[a] <= LAST_WRITTEN; a++) {
        const int32_t at = own->at[a];
        for (int32_t b = 0; b < others->count; b++) {
            const int32_t other = others->at[b];
            if (!roperot_extents_overlap(&own->extent[at], &others->extent[other])) continue;
            if (other <= LAST_WRITTEN && (i < k || (i == k && other >= at))) continue;
            if (!may_meet(c, i, at, k, other)) return overlap_error(i, at, k, other);
        }
    }
    return ROPEROT_OK;
}

/* Kept for the first jobs, found again for the others. */
static const places *places_of(const roperot_jobs *c, int32_t i, const places *kept, places *space)
{
    if (i < KEPT) return &kept[i];
    check_job(c, i, space);
    return space;
}

static int32_t check_pairs(const roperot_jobs *c, const places *kept)
{
    places a, b;
    for (int32_t i = 0; i < c->count; i++) {
        const places *const own = places_of(c, i, kept, &a);
        for (int32_t k = 0; k < c->count; k++) {
            const int32_t status = check_pair(c, i, own, k, places_of(c, k, kept, &b));
            if (status) return status;
        }
    }
    return ROPEROT_OK;
}

/* ---- all of them ------------------------------------------------------------------------------------------------- */

int32_t roperot_jobs_check(roperot_jobs *c)
{
    places kept[KEPT], other;
    int64_t shape[4];
    if (roperot_jobs_are_usual(c)) return ROPEROT_OK;
    c->touched = 0;
    c->rotates = 0;
    for (int32_t i = 0; i < c->count; i++) {
        const roperot_job *const j = roperot_job_at(c, i);
        roperot_job_shape(j, shape);
        if (i == 0) c->batch = shape[0], c->tokens = shape[1];
        const int32_t status = check_job(c, i, i < KEPT ? &kept[i] : &other);
        if (status) return status;
        if (roperot_shape_is_empty(shape)) continue;
        c->rotates |= roperot_job_is_rotated(j);
        const int64_t bytes = roperot_job_bytes(j, roperot_job_stays(j));
        const int64_t channels = roperot_saturating_mul(shape[2], shape[3]);
        c->touched = roperot_saturating_add(c->touched, roperot_saturating_mul(bytes, channels));
    }
    return check_pairs(c, kept);
}

int32_t roperot_jobs_check_slots(const roperot_jobs *c, int64_t begin, int64_t end)
{
    for (int32_t i = 0; i < c->count; i++) {
        const roperot_job *const j = roperot_job_at(c, i);
        int64_t shape[4];
        int32_t status = ROPEROT_OK;
        if (!j->to && !j->from) continue;
        roperot_job_shape(j, shape);
        if (roperot_shape_is_empty(shape)) continue;
        if (j->to) status = roperot_pages_check_slots(j->to, c->tokens, begin, end, i, ".to");
        if (!status && j->from) status = roperot_pages_check_slots(j->from, c->tokens, begin, end, i, ".from");
        if (status) return status;
    }
    return ROPEROT_OK;
}
