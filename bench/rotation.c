/* SPDX-License-Identifier: MIT
 * One prepared call of roperot_apply and the check that its result is right; it must not know how it is timed.
 */
#include "rotation.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/formats.h"
#include "values.h"

static char sentence[512];

static const char *library_failure(const char *call)
{
    snprintf(sentence, sizeof sentence, "%s: %s", call, roperot_last_error());
    return sentence;
}

const char *bench_dtype_name(int32_t dtype)
{
    return format_name(dtype);
}

const char *bench_pairing_name(int32_t pairing)
{
    return pairing == ROPEROT_PAIR_HALF ? "half" : "interleaved";
}

const char *bench_plan_create(roperot_plan **plan, int32_t dim, const bench_choice *choice)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = dim;
    config.base = 500000.0;
    config.pairing = choice->pairing;
    config.cache = choice->cache;
    config.max_positions = choice->max_positions;
    config.isa = choice->isa;
    config.axes = choice->axes;
    config.axis = choice->axis;
    config.pairs = choice->axis != NULL ? dim / 2 : 0;
    return roperot_plan_create(&config, plan) == ROPEROT_OK ? NULL : library_failure("roperot_plan_create");
}

static roperot_tensor view(void *data, int32_t dtype, const bench_shape *shape, int64_t heads)
{
    return shape->heads_first ? roperot_tensor_bhsd(data, dtype, 1, heads, shape->tokens, shape->dim)
                              : roperot_tensor_bshd(data, dtype, 1, shape->tokens, heads, shape->dim);
}

static void set_views(roperot_tensor tensor[2], void *data, int32_t dtype, const bench_shape *shape)
{
    const size_t q_bytes = (size_t)(shape->tokens * shape->heads * shape->dim) * format_bytes(dtype);
    tensor[0] = view(data, dtype, shape, shape->heads);
    tensor[1] = view((char *)data + q_bytes, dtype, shape, shape->kv_heads);
}

static int32_t apply(const bench_rotation *r)
{
    const roperot_tensor *const dst = r->out_of_place || r->with_dst ? r->dst : NULL;
    return roperot_apply(r->plan, &r->positions, r->src, dst, r->count, r->options);
}

void bench_rotation_run(void *self, int64_t calls)
{
    bench_rotation *const r = self;
    int32_t status = ROPEROT_OK;
    for (int64_t i = 0; i < calls; ++i) status |= apply(r);
    r->status |= status;
}

void bench_rotation_refill(void *self)
{
    const bench_rotation *const r = self;
    bench_fill(r->data, r->bytes, r->dtype);
}

bench_refresh bench_rotation_refresh(bench_rotation *rotation)
{
    return (bench_refresh){ bench_rotation_refill, rotation };
}

/* Applies once to fresh values and keeps what came out. NULL result: `why` says what failed. */
static void *result_of(const bench_rotation *r, const char **why)
{
    bench_rotation_refill((void *)(uintptr_t)r);
    if (apply(r) != ROPEROT_OK) {
        *why = library_failure("roperot_apply");
        return NULL;
    }
    void *result = bench_allocate(r->bytes);
    if (result == NULL) *why = "no memory for the check";
    else memcpy(result, r->out_of_place ? r->out : r->data, r->bytes);
    return result;
}

const char *bench_rotation_with_plan(bench_rotation *other, const bench_rotation *rotation, roperot_plan *plan)
{
    const char *why = NULL;
    *other = *rotation;
    other->plan = plan;
    void *const expected = result_of(rotation, &why);
    void *const result = expected == NULL ? NULL : result_of(other, &why);
    if (result != NULL && memcmp(expected, result, rotation->bytes) != 0)
        why = "the result differs from the other plan's; the run is void";
    free(expected);
    free(result);
    bench_rotation_refill(other);
    return why;
}

static const char *check_against_scalar(const bench_rotation *rotation, int32_t dim, const bench_choice *choice)
{
    bench_choice scalar = *choice;
    scalar.isa = ROPEROT_ISA_SCALAR;
    roperot_plan *plan;
    bench_rotation other;
    const char *why = bench_plan_create(&plan, dim, &scalar);
    if (why == NULL) why = bench_rotation_with_plan(&other, rotation, plan);
    roperot_plan_destroy(plan);
    return why;
}

static const char *allocate(bench_rotation *r)
{
    r->data = bench_allocate(r->bytes);
    r->out = r->out_of_place ? bench_allocate(r->bytes) : NULL;
    return r->data == NULL || (r->out_of_place && r->out == NULL) ? "no memory for the tensors" : NULL;
}

const char *bench_rotation_open(bench_rotation *rotation, const bench_shape *shape, const bench_choice *choice)
{
    const size_t elements = (size_t)(shape->tokens * (shape->heads + shape->kv_heads) * shape->dim);
    *rotation = (bench_rotation){
        .positions = roperot_positions_offset(choice->position),
        .count = shape->kv_heads != 0 ? 2 : 1,
        .dtype = choice->dtype,
        .out_of_place = shape->out_of_place,
        .bytes = elements * format_bytes(choice->dtype),
    };
    const char *why = allocate(rotation);
    if (why == NULL) why = bench_plan_create(&rotation->plan, shape->dim, choice);
    if (why == NULL) {
        set_views(rotation->src, rotation->data, choice->dtype, shape);
        set_views(rotation->dst, rotation->out, choice->dtype, shape);
        why = check_against_scalar(rotation, shape->dim, choice);
    }
    if (why != NULL) bench_rotation_close(rotation);
    return why;
}

void bench_rotation_close(bench_rotation *rotation)
{
    roperot_plan_destroy(rotation->plan);
    free(rotation->data);
    free(rotation->out);
    *rotation = (bench_rotation){ 0 };
}

const char *bench_rotation_fault(const bench_rotation *rotation)
{
    if (rotation->status != ROPEROT_OK) return library_failure("roperot_apply");
    const void *const result = rotation->out_of_place ? rotation->out : rotation->data;
    if (!bench_finite(result, rotation->bytes, rotation->dtype)) return "values became infinite; the run is void";
    return NULL;
}
