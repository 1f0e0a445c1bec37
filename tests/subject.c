/* SPDX-License-Identifier: MIT
 * Tensors under test: guarded memory with a view on it, filled by seed; it must not know what rotation does. */
#include "subject.h"

#include <string.h>

#include "check.h"
#include "harness.h"
#include "oracle.h"
#include "values.h"

unsigned char *subject_at(const roperot_tensor *v, int64_t b, int64_t t, int64_t h, int64_t d)
{
    const int64_t element = b * v->stride[0] + t * v->stride[1] + h * v->stride[2] + d * v->stride[3];
    return (unsigned char *)v->data + element * (int64_t)oracle_bytes(v->dtype);
}

/* Calls fn for every element, in the order of the axes. */
static void for_each(const roperot_tensor *v, void (*fn)(int32_t dtype, unsigned char *element))
{
    for (int64_t b = 0; b < v->shape[0]; b++)
        for (int64_t t = 0; t < v->shape[1]; t++)
            for (int64_t h = 0; h < v->shape[2]; h++)
                for (int64_t d = 0; d < v->shape[3]; d++) fn(v->dtype, subject_at(v, b, t, h, d));
}

static void randomise(int32_t dtype, unsigned char *element)
{
    oracle_store(dtype, element, values_number(CHECK_TINY, dtype));
}

static void complement(int32_t dtype, unsigned char *element)
{
    oracle_store(dtype, element, ~oracle_load(dtype, element));
}

/* Innermost first, dim aside. Returns the elements that the view spans. */
static int64_t set_strides(roperot_tensor *v, subject_layout layout)
{
    static const int orders[SUBJECT_ORDERS][3] = { { 2, 1, 0 }, { 1, 2, 0 }, { 0, 1, 2 } };
    int64_t step = v->shape[3] + layout.gap, span = v->shape[3];
    v->stride[3] = 1;
    for (int i = 0; i < 3; i++) {
        const int axis = orders[layout.order][i];
        v->stride[axis] = layout.backwards >> axis & 1 ? -step : step;
        span += step * (v->shape[axis] - 1);
        step *= v->shape[axis];
    }
    return v->shape[0] && v->shape[1] && v->shape[2] ? span : 0;
}

subject subject_open(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim, subject_layout layout)
{
    subject it = { .view = { NULL, dtype, 0, { batch, tokens, heads, dim }, { 0, 0, 0, 1 }, NULL } };
    const int64_t span = set_strides(&it.view, layout), size = (int64_t)oracle_bytes(dtype);
    it.memory = guard_buffer_open((size_t)(span * size), layout.end);
    unsigned char *first = it.memory.data;
    for (int axis = 0; axis < 3; axis++)
        if (it.view.stride[axis] < 0) first -= (it.view.shape[axis] - 1) * it.view.stride[axis] * size;
    it.view.data = first;
    for_each(&it.view, randomise);
    return it;
}

subject subject_plain(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim)
{
    return subject_open(dtype, batch, tokens, heads, dim, (subject_layout){ SUBJECT_BSHD, GUARD_HIGH, 0, 0 });
}

subject subject_clone(const subject *from)
{
    subject it = { guard_buffer_open(from->memory.bytes, GUARD_HIGH), from->view };
    if (from->memory.bytes) memcpy(it.memory.data, from->memory.data, from->memory.bytes);
    it.view.data = it.memory.data + ((unsigned char *)from->view.data - from->memory.data);
    return it;
}

void subject_spoil(subject *it)
{
    for_each(&it->view, complement);
}

void subject_close(subject *it)
{
    guard_buffer_close(&it->memory);
}

void subject_check_equal(const subject *got, const subject *want, const char *what)
{
    const int dtype = got->view.dtype;
    const size_t size = oracle_bytes(dtype);
    CHECK(got->memory.bytes == want->memory.bytes && got->view.dtype == want->view.dtype, "%s: other buffers", what);
    CHECK(guard_buffer_intact(&got->memory), "%s: a canary beside the buffer was overwritten", what);
    if (!got->memory.bytes || memcmp(got->memory.data, want->memory.data, got->memory.bytes) == 0) return;
    for (size_t i = 0; i + size <= got->memory.bytes; i += size) {
        const uint32_t g = oracle_load(dtype, got->memory.data + i), w = oracle_load(dtype, want->memory.data + i);
        CHECK(oracle_same(dtype, g, w),
              "%s: element %zu of the buffer is 0x%x (%g), not 0x%x (%g); shape %lld %lld "
              "%lld %lld",
              what, i / size, (unsigned)g, oracle_value(dtype, g), (unsigned)w, oracle_value(dtype, w),
              (long long)got->view.shape[0], (long long)got->view.shape[1], (long long)got->view.shape[2],
              (long long)got->view.shape[3]);
    }
}
