/* SPDX-License-Identifier: MIT
 * From a checked job to what its lines need, and the way that each of its destinations takes; it must not know how
 * tokens are walked. */
#include "task.h"

#include "lists.h"
#include "norm.h"

static void set_dense(roperot_dense *d, const roperot_tensor *t)
{
    const int32_t size = t ? roperot_dtype_size(t->dtype) : 0;
    d->dtype = t ? t->dtype : 0;
    d->size = size;
    if (!t) {
        d->batch = d->token = d->head = 0;
        return;
    }
    d->data = t->data;
    d->batch = t->shape[0] == 1 ? 0 : t->stride[0] * size;
    d->token = t->shape[1] == 1 ? 0 : t->stride[1] * size;
    d->head = t->shape[2] == 1 ? 0 : t->stride[2] * size;
}

static void set_pages(roperot_page_view *v, const roperot_pages *p, int64_t heads, int64_t dim)
{
    v->pages = NULL;
    if (p) roperot_page_view_init(v, p, heads, dim);
}

/* T: the source's dtype. */
static int32_t through_of(const roperot_job *j)
{
    if (j->src) return j->src->dtype;
    return roperot_is_tensor_dtype(j->from->dtype) ? j->from->dtype : ROPEROT_F32;
}

/* The plan's rotation from the source's dtype to another one; NULL: there is none, or nothing to rotate. */
static roperot_rotate_fn *rotation_to(const roperot_task *t, int32_t dtype)
{
    const roperot_plan *const plan = t->plan;
    if (!t->pairs) return NULL;
    return (t->in == plan->pairing ? plan->rotate
                                   : plan->rotate_back)[roperot_dtype_index(t->src.dtype)][roperot_dtype_index(dtype)];
}

/* Whether the norm can be taken in the dtype of the source, before or after a rotation in place. */
static int is_usual(const roperot_task *t)
{
    const roperot_norm *const n = t->norm;
    if (n->kind != ROPEROT_NORM_RMS || roperot_norm_is(n, ROPEROT_NORM_ALL_HEADS) || t->in != t->out) return 0;
    if (t->src.dtype != ROPEROT_F32 && n->rounding == ROPEROT_NORM_ROUND_NONE) return 0;
    if (t->dim % ROPEROT_NORM_CHANNELS || t->dim > ROPEROT_HUB_FLOATS) return 0;
    return t->kernels->heads.norm[roperot_dtype_index(t->src.dtype)] != NULL;
}

/* Whether one kernel takes the norm and the rotation. */
static int turns(const roperot_task *t)
{
    const int once = t->src.dtype == ROPEROT_F32 || t->norm->rounding == ROPEROT_NORM_ROUND_ONCE;
    return once && !roperot_norm_is(t->norm, ROPEROT_NORM_AFTER) &&
           t->plan->turned[roperot_dtype_index(t->src.dtype)] != NULL;
}

/* The way of a norm. What ends in another dtype than the source's is made in a scratch, and floats are what is stored
 * from there. */
static int32_t way_of_norm(roperot_task *t, int destination, int32_t dtype)
{
    const int after = roperot_norm_is(t->norm, ROPEROT_NORM_AFTER);
    if (dtype != t->src.dtype && (t->src.dtype != ROPEROT_F32 || after)) return ROPEROT_WAY_HUB;
    t->rotate[destination] = rotation_to(t, t->src.dtype);
    return is_usual(t) ? ROPEROT_WAY_NORM : ROPEROT_WAY_HUB;
}

/* The way to heads of `dtype`, each of which is one run of memory. */
static int32_t way_to(roperot_task *t, int destination, int32_t dtype)
{
    if (!t->src.dtype || t->factor) return ROPEROT_WAY_HUB;
    if (t->norm) return way_of_norm(t, destination, dtype);
    t->rotate[destination] = rotation_to(t, dtype);
    if (t->pairs) return t->rotate[destination] ? ROPEROT_WAY_ROTATE : ROPEROT_WAY_HUB;
    if (dtype != t->src.dtype) return t->src.dtype == ROPEROT_F32 ? ROPEROT_WAY_STORE : ROPEROT_WAY_HUB;
    return destination == ROPEROT_TO_DENSE && t->stays ? ROPEROT_WAY_NONE : ROPEROT_WAY_COPY;
}

/* The way to dense pages of codes. What is not rounded to T before is made in f32 only. */
static int32_t way_to_codes(roperot_task *t)
{
    const int64_t size = t->src.size + (t->norm ? (int64_t)sizeof(float) : 0);
    if (t->dim * size > (int64_t)sizeof(float) * ROPEROT_CODES_FLOATS || t->plan->heads) return ROPEROT_WAY_HUB;
    if (!t->rounds && t->src.dtype != ROPEROT_F32) return ROPEROT_WAY_HUB;
    return way_to(t, ROPEROT_TO_PAGES, t->src.dtype) == ROPEROT_WAY_HUB ? ROPEROT_WAY_HUB : ROPEROT_WAY_QUANTISE;
}

static void choose_ways(roperot_task *t)
{
    const roperot_page_view *const to = &t->to;
    t->way[ROPEROT_TO_PAGES] = t->way[ROPEROT_TO_DENSE] = ROPEROT_WAY_NONE;
    if (to->pages && !to->is_dense)
        t->way[ROPEROT_TO_PAGES] = ROPEROT_WAY_HUB;
    else if (to->pages && !roperot_is_tensor_dtype(to->pages->dtype))
        t->way[ROPEROT_TO_PAGES] = way_to_codes(t);
    else if (to->pages)
        t->way[ROPEROT_TO_PAGES] = way_to(t, ROPEROT_TO_PAGES, to->pages->dtype);
    if (t->dst.dtype) t->way[ROPEROT_TO_DENSE] = way_to(t, ROPEROT_TO_DENSE, t->dst.dtype);
}

void roperot_task_init(roperot_task *t, const roperot_jobs *jobs, const roperot_job *j)
{
    const roperot_plan *const plan = jobs->plan;
    const int inverse = (jobs->flags & ROPEROT_INVERSE) != 0, rotated = roperot_job_is_rotated(j);
    int64_t shape[4];
    roperot_job_shape(j, shape);
    /* Every member by itself: clearing all of it takes a tenth of a decode call. */
    t->plan = plan;
    t->kernels = plan->kernels;
    t->norm = j->norm;
    set_dense(&t->src, j->src);
    set_dense(&t->dst, j->dst);
    set_pages(&t->from, j->from, shape[2], shape[3]);
    set_pages(&t->to, j->to, shape[2], shape[3]);
    t->factor = j->factor;
    t->factor_batch = shape[0] == 1 ? 0 : j->factor_batch_stride;
    t->factor_token = shape[1] == 1 ? 0 : j->factor_token_stride;
    t->heads = shape[2];
    t->dim = shape[3];
    t->offset = rotated ? plan->rotary_offset : 0;
    t->pairs = rotated ? plan->pairs : 0;
    t->in = inverse ? plan->pairing_out : plan->pairing;
    t->out = inverse ? plan->pairing : plan->pairing_out;
    t->through = through_of(j);
    t->stays = roperot_job_stays(j);
    t->skips = (j->flags & ROPEROT_JOB_SKIP) != 0;
    t->rounds = !(j->flags & ROPEROT_JOB_UNROUNDED);
    t->turns = t->norm && t->src.dtype && t->pairs && turns(t);
    t->loop = jobs->loop;
    const int in = roperot_pairing_index(t->in), out = roperot_pairing_index(t->out);
    t->in_scratch = plan->arithmetic == ROPEROT_ARITHMETIC_EAGER && t->through != ROPEROT_F32
                        ? plan->kernels->eager[roperot_dtype_index(t->through)][ROPEROT_INDEX_f32][in][out]
                        : plan->kernels->rotate[ROPEROT_INDEX_f32][ROPEROT_INDEX_f32][in][out];
    choose_ways(t);
}
