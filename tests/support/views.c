/* SPDX-License-Identifier: MIT
 * Views on memory by layout: where their elements are, filled from and read into plain arrays of bits; it must not know
 * what is done to them. */
#include "support/views.h"

#include <string.h>

#include "support/formats.h"

enum { CANARY = 0xa5 };

int64_t views_shape(roperot_tensor *view, views_layout layout, int32_t dtype, const int64_t shape[4])
{
    static const int orders[VIEWS_ORDERS][3] = { { 2, 1, 0 }, { 1, 2, 0 }, { 0, 1, 2 } }; /* innermost first */
    int64_t step = shape[3] + layout.gap, span = shape[3];
    *view = (roperot_tensor){ NULL, dtype, 0, { shape[0], shape[1], shape[2], shape[3] }, { 0, 0, 0, 1 }, NULL };
    for (int i = 0; i < 3; i++) {
        const int axis = orders[layout.order][i];
        view->stride[axis] = layout.backwards >> axis & 1 ? -step : step;
        span += step * (shape[axis] - 1);
        step *= shape[axis];
    }
    return shape[0] && shape[1] && shape[2] ? span : 0;
}

void views_put(roperot_tensor *view, unsigned char *first)
{
    for (int axis = 0; axis < 3; axis++)
        if (view->stride[axis] < 0)
            first -= (view->shape[axis] - 1) * view->stride[axis] * (int64_t)format_bytes(view->dtype);
    view->data = first;
}

unsigned char *views_at(const roperot_tensor *v, int64_t b, int64_t t, int64_t h, int64_t d)
{
    const int64_t element = b * v->stride[0] + t * v->stride[1] + h * v->stride[2] + d * v->stride[3];
    return (unsigned char *)v->data + element * (int64_t)format_bytes(v->dtype);
}

/* ---- one memory for many views ----------------------------------------------------------------------------------- */

guard_buffer views_open(size_t bytes)
{
    const guard_buffer memory = guard_buffer_open(bytes, GUARD_HIGH);
    memset(memory.data, CANARY, bytes);
    return memory;
}

roperot_tensor views_place(const guard_buffer *memory, views_layout layout, int32_t dtype, const int64_t shape[4])
{
    roperot_tensor view;
    const size_t bytes = (size_t)views_shape(&view, layout, dtype, shape) * format_bytes(dtype);
    if (bytes <= memory->bytes) views_put(&view, memory->data + (layout.end == GUARD_HIGH ? memory->bytes - bytes : 0));
    return view;
}

static unsigned char *row_at(const roperot_tensor *view, int64_t row)
{
    const int64_t h = row % view->shape[2], t = row / view->shape[2] % view->shape[1];
    return views_at(view, row / view->shape[2] / view->shape[1], t, h, 0);
}

static int64_t rows(const roperot_tensor *view)
{
    return view->shape[0] * view->shape[1] * view->shape[2];
}

void views_fill(const roperot_tensor *view, const uint32_t *elements)
{
    const size_t size = format_bytes(view->dtype);
    for (int64_t row = 0; row < rows(view); row++) {
        unsigned char *const at = row_at(view, row);
        for (int64_t d = 0; d < view->shape[3]; d++) format_store(view->dtype, at + (size_t)d * size, *elements++);
    }
}

void views_take(const roperot_tensor *view, uint32_t *elements)
{
    const size_t size = format_bytes(view->dtype);
    for (int64_t row = 0; row < rows(view); row++) {
        unsigned char *const at = row_at(view, row);
        for (int64_t d = 0; d < view->shape[3]; d++) *elements++ = format_load(view->dtype, at + (size_t)d * size);
        memset(at, CANARY, (size_t)view->shape[3] * size);
    }
}

int views_clean(const guard_buffer *memory)
{
    const unsigned char *const data = memory->data;
    return data[0] == CANARY && !memcmp(data, data + 1, memory->bytes - 1);
}
