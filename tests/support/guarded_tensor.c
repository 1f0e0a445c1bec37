/* SPDX-License-Identifier: MIT
 * Tensors under test: guarded memory with a view on it, filled by seed; it must not know what rotation does. */
#include "support/guarded_tensor.h"

#include <string.h>

#include "reference/oracle.h"
#include "support/harness.h"
#include "support/values.h"

/* Calls fn for every element, in the order of the axes. */
static void for_each(const roperot_tensor *v, void (*fn)(int32_t dtype, unsigned char *element))
{
    for (int64_t b = 0; b < v->shape[0]; b++)
        for (int64_t t = 0; t < v->shape[1]; t++)
            for (int64_t h = 0; h < v->shape[2]; h++)
                for (int64_t d = 0; d < v->shape[3]; d++) fn(v->dtype, views_at(v, b, t, h, d));
}

static void randomise(int32_t dtype, unsigned char *element)
{
    format_store(dtype, element, values_number(VALUES_TINY, dtype));
}

static void complement(int32_t dtype, unsigned char *element)
{
    format_store(dtype, element, ~format_load(dtype, element));
}

guarded_tensor guarded_tensor_open(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim,
                                   views_layout layout)
{
    guarded_tensor it;
    const int64_t shape[4] = { batch, tokens, heads, dim };
    const size_t bytes = (size_t)views_shape(&it.view, layout, dtype, shape) * format_bytes(dtype);
    it.memory = guard_buffer_open(bytes, layout.end);
    views_put(&it.view, it.memory.data);
    for_each(&it.view, randomise);
    return it;
}

guarded_tensor guarded_tensor_plain(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim)
{
    return guarded_tensor_open(dtype, batch, tokens, heads, dim, (views_layout){ VIEWS_BSHD, GUARD_HIGH, 0, 0 });
}

guarded_tensor guarded_tensor_clone(const guarded_tensor *from)
{
    guarded_tensor it = { guard_buffer_open(from->memory.bytes, GUARD_HIGH), from->view };
    if (from->memory.bytes) memcpy(it.memory.data, from->memory.data, from->memory.bytes);
    it.view.data = it.memory.data + ((unsigned char *)from->view.data - from->memory.data);
    return it;
}

void guarded_tensor_spoil(guarded_tensor *it)
{
    for_each(&it->view, complement);
}

void guarded_tensor_close(guarded_tensor *it)
{
    guard_buffer_close(&it->memory);
}

void guarded_tensor_check_equal(const guarded_tensor *got, const guarded_tensor *want, const char *what)
{
    const int dtype = got->view.dtype;
    const size_t size = format_bytes(dtype);
    CHECK(got->memory.bytes == want->memory.bytes && got->view.dtype == want->view.dtype, "%s: other buffers", what);
    CHECK(guard_buffer_intact(&got->memory), "%s: a canary beside the buffer was overwritten", what);
    if (!got->memory.bytes || memcmp(got->memory.data, want->memory.data, got->memory.bytes) == 0) return;
    for (size_t i = 0; i + size <= got->memory.bytes; i += size) {
        const uint32_t g = format_load(dtype, got->memory.data + i), w = format_load(dtype, want->memory.data + i);
        CHECK(format_same(dtype, g, w),
              "%s: element %zu of the buffer is 0x%x (%g), not 0x%x (%g); shape %lld %lld "
              "%lld %lld",
              what, i / size, (unsigned)g, oracle_value(dtype, g), (unsigned)w, oracle_value(dtype, w),
              (long long)got->view.shape[0], (long long)got->view.shape[1], (long long)got->view.shape[2],
              (long long)got->view.shape[3]);
    }
}
