/* SPDX-License-Identifier: MIT
 * Jobs of roperot_run made from a fuzzer's bytes, all of whose writable memory is one arena; it must not know what they
 * give. */
#include "fuzz/jobs.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/numbers.h"

int64_t jobs_heads(const roperot_job *job)
{
    return job->src ? job->src->shape[2] : job->heads;
}

int64_t jobs_dim(const roperot_job *job)
{
    return job->src ? job->src->shape[3] : job->dim;
}

/* Half of all words of 16 bits a moderate number in every dtype, so that sums of squares are numbers, too. */
static void calm(unsigned char *data, int64_t bytes)
{
    for (int64_t i = 0; i + 1 < bytes; i += 2) {
        uint16_t word;
        memcpy(&word, data + i, 2);
        word = (uint16_t)((word & 0x80ff) | 0x3a00 | (word & 0x0700));
        memcpy(data + i, &word, 2);
    }
}

/* ---- norm and factor --------------------------------------------------------------------------------------------- */

static void decode_norm(job_parts *p, roperot_job *job, input *in)
{
    static const double epsilons[] = { 1e-6, 1e-5, 0.0, 1.0 };
    roperot_norm *const n = &p->norm;
    *n = (roperot_norm)ROPEROT_NORM_INIT;
    n->kind = (int32_t)input_or(in, 1 + input_byte(in) % 2);
    n->rounding = (int32_t)input_or(in, input_byte(in) % 3);
    n->flags = (int32_t)input_or(in, input_byte(in) % 8);
    n->epsilon = input_byte(in) % 32 == 31 ? input_double(in) : epsilons[input_byte(in) % 4];
    n->weight_dtype = 1 + (int32_t)input_byte(in) % 3;
    const int64_t heads = jobs_heads(job), dim = jobs_dim(job);
    const int known = heads > 0 && heads < 8 && dim > 0 && dim <= CALL_LONG_DIM;
    const size_t bytes = (size_t)(known ? heads * dim : 1) * number_bytes(n->weight_dtype);
    /* Exactly as many as one head has, if that is all that may be read. */
    const size_t room = n->flags & ROPEROT_NORM_ALL_HEADS || !known ? bytes : bytes / (size_t)heads;
    if (input_byte(in) % 5) n->weight = p->weight = call_filled(room, in);
    if (n->kind == ROPEROT_NORM_LAYER ? input_byte(in) % 2 : input_byte(in) % 32 == 31)
        n->bias = p->bias = call_filled(room, in);
    if (p->weight && input_byte(in) % 4) calm(p->weight, (int64_t)room);
    if (!n->weight && input_byte(in) % 8) n->flags &= ~ROPEROT_NORM_UNIT_OFFSET;
    const int32_t odd = input_byte(in) % 32 == 31 ? (int32_t)input_integer(in) : n->weight_dtype;
    if (odd < ROPEROT_F32 || odd > ROPEROT_BF16) n->weight_dtype = odd;
    job->norm = n;
}

static void decode_factor(const call *c, job_parts *p, roperot_job *job, input *in)
{
    const int64_t lines = c->batch * c->tokens;
    p->factor = call_filled((size_t)lines * 4, in);
    calm(p->factor, lines * 4);
    job->factor = p->factor;
    job->factor_batch_stride = input_byte(in) % 8 ? c->tokens : 0;
    job->factor_token_stride = input_byte(in) % 8 ? 1 : 0;
    if (input_byte(in) % 8 == 7 && lines > 0) { /* the last line first */
        job->factor = (const float *)p->factor + lines - 1;
        job->factor_batch_stride = -c->tokens;
        job->factor_token_stride = -1;
    }
}

/* ---- pages ------------------------------------------------------------------------------------------------------- */

static wide magnitude(wide x)
{
    return x < 0 ? -x : x;
}

/* Bytes below and above the first element of axes around a core; all in units. */
static void hull(const int64_t (*axis)[2], int axes, wide core, wide unit, wide *low, wide *high)
{
    wide below = 0, above = core;
    for (int i = 0; i < axes; i++) {
        if (axis[i][0] < 2) continue;
        const wide span = (wide)axis[i][1] * (axis[i][0] - 1), most = (wide)1 << 100; /* as absurd as any */
        if (span < 0)
            below += span < -most ? most : -span;
        else
            above += span > most ? most : span;
    }
    *low = -below * unit;
    *high = above * unit;
}

/* A place in the arena, or somewhere absurd that is refused; NULL: it fits nowhere. */
static void *place(const call *c, wide low, wide high, int64_t alignment, input *in)
{
    const wide absurd = (wide)1 << 62;
    if (magnitude(low) > absurd || magnitude(high) > absurd) return c->arena;
    if (high - low > c->arena_bytes) return NULL;
    const int64_t room = c->arena_bytes - (int64_t)(high - low);
    int64_t first = input_below(in, room + 1);
    first = first - (int64_t)low;
    first -= first % alignment;
    if (first + (int64_t)low < 0) first += alignment;
    if (first + (int64_t)high > c->arena_bytes) return NULL;
    return c->arena + first;
}

static void decode_tile(roperot_pages *p, int64_t heads, int64_t dim, input *in)
{
    static const int64_t tokens[] = { 1, 16, 2, 8, 4, 1 }, channels[] = { 1, 2, 16, 4, 2, 1 };
    p->tile = input_byte(in) % 4 == 0 ? 1 + (int32_t)input_byte(in) % 5 : 0;
    if (p->dtype == ROPEROT_Q8_0 && input_byte(in) % 16) p->tile = 0;
    if (p->tile == 0) return;
    const int64_t x = p->tile == ROPEROT_PAGES_CHUNKED ? 16 / (int64_t)number_bytes(p->dtype) : channels[p->tile];
    if (dim % x && input_byte(in) % 16) {
        p->tile = 0;
        return;
    }
    if (input_byte(in) % 16)
        p->page_tokens = (p->page_tokens + tokens[p->tile] - 1) / tokens[p->tile] * tokens[p->tile];
    p->head_stride = p->page_tokens * dim;
    p->page_stride = heads * p->head_stride + input_byte(in) % 2 * 8;
    p->token_stride = p->channel_stride = 0;
}

static void decode_strides(roperot_pages *p, int64_t heads, int64_t dim, input *in)
{
    const int blocked = p->dtype == ROPEROT_Q8_0;
    const int64_t row = (blocked ? dim / 32 * 34 : dim) + (input_byte(in) % 4 ? 0 : 3), n = p->page_tokens;
    p->channel_stride = !blocked;
    switch (input_byte(in) % 4) {
    case 0: p->head_stride = row, p->token_stride = heads * row, p->page_stride = n * heads * row; break;
    case 1: p->token_stride = row, p->head_stride = n * row, p->page_stride = n * heads * row; break;
    case 2:
        if (blocked) {
            p->token_stride = row, p->page_stride = n * row, p->head_stride = p->pages * n * row;
            break;
        }
        p->token_stride = 1, p->channel_stride = n, p->head_stride = dim * n, p->page_stride = heads * dim * n;
        break;
    default: p->head_stride = row, p->token_stride = -heads * row, p->page_stride = n * heads * row;
    }
    if (input_byte(in) % 8 == 7) p->page_stride = -p->page_stride;
    if (input_byte(in) % 16 == 15) p->channel_stride = -p->channel_stride;
    if (input_byte(in) % 32 != 31) return;
    int64_t *const stride[] = { &p->page_stride, &p->token_stride, &p->head_stride, &p->channel_stride };
    *stride[input_byte(in) % 4] = input_byte(in) % 2 ? input_integer(in) : (int64_t)input_byte(in) - 100;
}

static int put_pages(const call *c, roperot_pages *p, int64_t heads, int64_t dim, input *in)
{
    const int64_t axis[4][2] = { { p->pages, p->page_stride },
                                 { heads, p->head_stride },
                                 { p->page_tokens, p->token_stride },
                                 { dim, p->channel_stride } };
    const int blocked = p->dtype == ROPEROT_Q8_0;
    const wide core = p->tile ? (wide)p->page_tokens * dim : blocked ? dim / 32 * 34 : 1;
    const int64_t unit = number_is_dtype(p->dtype) && !blocked ? (int64_t)number_bytes(p->dtype) : 1;
    wide low, high;
    hull(axis, p->tile ? 2 : blocked ? 3 : 4, core, unit, &low, &high);
    if (heads > 0 && dim > 0 && p->pages > 0 && p->page_tokens > 0) {
        p->data = place(c, low, high, input_byte(in) % 32 == 31 ? 1 : unit, in);
        return p->data != NULL;
    }
    p->data = c->arena;
    return 1;
}

/* A scale for each token and head, in the arena; or given ones, elsewhere. */
static int decode_scales(const call *c, job_parts *parts, roperot_pages *p, int side, int64_t heads, input *in)
{
    p->scaling = (int32_t)input_or(in, input_byte(in) % 2);
    p->scale_floor = input_byte(in) % 2 ? 0.0f : input_byte(in) % 16 ? 0.01f : (float)input_double(in);
    const int quantised = p->dtype == ROPEROT_E4M3 || p->dtype == ROPEROT_I8;
    if (!quantised && input_byte(in) % 32) p->scaling = 0;
    if (!quantised && input_byte(in) % 32) return 1;
    if (p->scaling != ROPEROT_SCALE_DYNAMIC) {
        if (input_byte(in) % 4 == 0) return 1;
        p->scale_head_stride = input_byte(in) % 2;
        const int64_t count = heads > 0 && heads < 8 && p->scale_head_stride ? heads : 1;
        float *scale = parts->scale[side] = call_filled((size_t)count * 4, in);
        if (input_byte(in) % 32 == 31) scale = place(c, 0, count * 4, 4, in);
        for (int64_t i = 0; i < count; i++)
            if (input_byte(in) % 32 != 31) scale[i] = (float)(1 + input_byte(in)) / 300.0f;
        p->scale = scale;
        return heads > 0 && heads < 8;
    }
    p->scale_head_stride = 1;
    p->scale_token_stride = heads;
    p->scale_page_stride = (int64_t)((uint64_t)p->page_tokens * (uint64_t)heads); /* wraps where it is refused */
    if (input_byte(in) % 2) p->scale_token_stride = 1, p->scale_head_stride = p->page_tokens;
    if (input_byte(in) % 16 == 15) p->scale_token_stride = input_integer(in);
    const int64_t axis[3][2] = {
        { p->pages, p->scale_page_stride }, { p->page_tokens, p->scale_token_stride }, { heads, p->scale_head_stride }
    };
    wide low, high;
    hull(axis, 3, 1, 4, &low, &high);
    p->scale = place(c, low, high, input_byte(in) % 32 == 31 ? 1 : 4, in);
    return p->scale != NULL;
}

static void set_slot(const roperot_pages *p, void *slots, int64_t i, int64_t value)
{
    if (p->slot_type == 1)
        memcpy((int32_t *)slots + i, &(const int32_t){ (int32_t)value }, 4);
    else
        memcpy((int64_t *)slots + i, &value, 8);
}

/* All different while there are enough of them; some are left out, and now and then one is anything. */
static int decode_slots(const call *c, job_parts *parts, roperot_pages *p, int side, input *in)
{
    const int64_t lines = c->batch * c->tokens;
    p->slot_type = 1 + (int32_t)input_byte(in) % 2;
    const int64_t size = p->slot_type == 1 ? 4 : 8;
    void *slots = parts->slots[side] = call_filled((size_t)(lines * size), in);
    if (input_byte(in) % 32 == 31) slots = place(c, 0, lines * size, size, in);
    if (!slots) return 0;
    const wide all = (wide)p->pages * p->page_tokens;
    const int64_t limit = all < 1 ? 1 : all > 1 << 20 ? 1 << 20 : (int64_t)all;
    static const int64_t steps[] = { 1, 1, 7, 5 };
    int64_t at = input_below(in, limit), step = steps[input_byte(in) % 4];
    for (int64_t a = step, b = limit; b;) {
        const int64_t rest = a % b;
        a = b, b = rest;
        if (b == 0 && a != 1) step = 1; /* they would come round too early */
    }
    for (int64_t i = 0; i < lines; i++, at = (at + step) % limit) {
        const int64_t left_out = i >= limit || input_byte(in) % 8 == 7;
        set_slot(p, slots, i, input_or(in, left_out ? -1 - input_byte(in) % 3 : at));
    }
    p->slots = slots;
    p->slot_batch_stride = c->tokens;
    p->slot_token_stride = 1;
    if (input_byte(in) % 8 == 7 && lines > 0) {
        p->slots = (char *)slots + (lines - 1) * size;
        p->slot_batch_stride = -c->tokens;
        p->slot_token_stride = -1;
    }
    if (input_byte(in) % 32 == 31) p->slot_token_stride = p->slot_batch_stride = 0;
    return 1;
}

static int decode_pages(const call *c, job_parts *parts, const roperot_job *job, int side, input *in)
{
    roperot_pages *const p = side ? &parts->from : &parts->to;
    const int64_t heads = jobs_heads(job), dim = jobs_dim(job);
    *p = (roperot_pages)ROPEROT_PAGES_INIT;
    p->dtype = 1 + (int32_t)input_byte(in) % 6;
    if (p->dtype == ROPEROT_Q8_0 && dim % 32 && input_byte(in) % 16) p->dtype = ROPEROT_I8;
    p->page_tokens = input_or(in, 1 + input_byte(in) % 6);
    p->pages = input_or(in, 1 + input_byte(in) % 4);
    if (heads < 0 || heads > 8 || dim < 1 || dim > 65536) return 0;
    if (p->page_tokens > 0 && p->page_tokens < 1 << 20 && p->pages > 0 && p->pages < 1 << 20) {
        decode_strides(p, heads, dim, in);
        decode_tile(p, heads, dim, in);
    }
    if (input_byte(in) % 64 == 63) p->dtype = (int32_t)input_integer(in);
    return put_pages(c, p, heads, dim, in) && decode_scales(c, parts, p, side, heads, in) &&
           decode_slots(c, parts, p, side, in);
}

/* ---- a job ------------------------------------------------------------------------------------------------------- */

static int decode_source(const call *c, job_parts *p, roperot_job *job, const job_parts *before, input *in)
{
    static const int64_t dims[] = { 1, 32, 33, 64, 96, 128, 513, 576 };
    call own = *c;
    own.dim = job->flags & ROPEROT_JOB_UNROTATED ? dims[input_byte(in) % 8] : c->dim;
    if (input_byte(in) % 4) {
        job->src = &p->src;
        return call_decode_view(&own, &p->src, before && before->src.data ? &before->src : NULL, in);
    }
    job->batch = input_or(in, c->batch);
    job->tokens = input_or(in, c->tokens);
    job->heads = call_decode_heads(c, in);
    job->dim = input_or(in, own.dim);
    job->from = &p->from;
    return decode_pages(c, p, job, 1, in);
}

static int decode_targets(const call *c, job_parts *p, roperot_job *job, input *in)
{
    const uint32_t what = input_byte(in);
    if (what % 4 != 2) {
        const roperot_tensor none = { c->arena, ROPEROT_F32, 0, { c->batch, c->tokens, jobs_heads(job), jobs_dim(job) },
                                      { 0, 0, 0, 1 }, NULL };
        const roperot_tensor like = job->src ? p->src : none;
        call own = *c;
        own.dim = jobs_dim(job) > 0 && jobs_dim(job) <= CALL_LONG_DIM ? jobs_dim(job) : 8;
        job->dst = &p->dst;
        if (job->src && what / 4 % 2)
            p->dst = p->src;
        else if (!call_decode_view(&own, &p->dst, &like, in))
            return 0;
    }
    if (what % 4 < 2) return 1;
    job->to = &p->to;
    if (job->from && what / 8 % 2) {
        p->to = p->from;
        if (input_byte(in) % 4) return 1;
        return decode_slots(c, p, &p->to, 0, in);
    }
    return decode_pages(c, p, job, 0, in);
}

static int decode_job(jobs *j, int32_t i, input *in)
{
    roperot_job *const job = &j->job[i];
    job_parts *const p = &j->parts[i];
    *job = (roperot_job)ROPEROT_JOB_INIT;
    job->flags = (uint32_t)input_or(in, input_byte(in) % 2 ? 0 : input_byte(in) % 8);
    if (!decode_source(&j->call, p, job, i ? &j->parts[i - 1] : NULL, in)) return 0;
    if (!decode_targets(&j->call, p, job, in)) return 0;
    if (input_byte(in) % 2) decode_norm(p, job, in);
    if (input_byte(in) % 4 == 0) decode_factor(&j->call, p, job, in);
    return jobs_dim(job) <= CALL_LONG_DIM && jobs_heads(job) < 8;
}

/* Lists are there for what was decoded. Of the first job's shape another one is not for us, unless it is refused or
 * empty; of a later job's it is refused. */
static int settle_shape(jobs *j)
{
    call *const c = &j->call;
    const roperot_job *const job = &j->job[0];
    const int64_t own[2] = { job->batch, job->tokens }, *const shape = job->src ? job->src->shape : own;
    if (shape[0] == c->batch && shape[1] == c->tokens) return 1;
    if (shape[0] > 0 && shape[1] > 0) return 0;
    c->batch = shape[0];
    c->tokens = shape[1];
    j->count = 1;
    return 1;
}

int jobs_decode(jobs *j, input *in)
{
    call *const c = &j->call;
    c->arena_bytes = JOBS_ARENA;
    c->arena = call_filled(JOBS_ARENA, in);
    if (input_byte(in) % 4) calm(c->arena, JOBS_ARENA);
    c->batch = 1 + input_below(in, 3);
    c->tokens = 1 + input_below(in, 6);
    if (input_byte(in) % 2) c->batch = 1;
    call_decode_positions(c, in);
    call_decode_options(c, in);
    if (c->config.pairing_out == 0 || input_byte(in) % 4 == 0) c->options.flags &= ~(uint32_t)ROPEROT_INVERSE;
    j->count = 1 + (int32_t)input_byte(in) % (input_byte(in) % 4 ? 3 : JOBS_MOST);
    for (int32_t i = 0; i < j->count; i++)
        if (!decode_job(j, i, in)) return 0;
    return settle_shape(j);
}

void jobs_free(jobs *j)
{
    for (int32_t i = 0; i < JOBS_MOST; i++) {
        job_parts *const p = &j->parts[i];
        free(p->weight);
        free(p->bias);
        free(p->factor);
        for (int side = 0; side < 2; side++) {
            free(p->slots[side]);
            free(p->scale[side]);
        }
    }
    call_free(&j->call);
}
