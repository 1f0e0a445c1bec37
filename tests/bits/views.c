/* SPDX-License-Identifier: MIT
 * Tensors in guarded memory, filled from and read into plain arrays of bits; it must not know what is done to them. */
#include "views.h"

#include <string.h>

#include "bits.h"

enum { CANARY = 0xa5 };

guard_buffer views_open(size_t bytes)
{
    const guard_buffer memory = guard_buffer_open(bytes, GUARD_HIGH);
    memset(memory.data, CANARY, bytes);
    return memory;
}

roperot_tensor views_place(const guard_buffer *memory, views_layout layout, int32_t dtype, const int64_t shape[4])
{
    roperot_tensor view = { NULL, dtype, 0, { shape[0], shape[1], shape[2], shape[3] }, { 0, 0, 0, 1 }, NULL };
    const int inner = layout.order == VIEWS_BSHD ? 2 : 1, outer = 3 - inner;
    view.stride[inner] = shape[3] + layout.gap;
    view.stride[outer] = view.stride[inner] * shape[inner];
    view.stride[0] = view.stride[outer] * shape[outer];
    const size_t size = bits_size(dtype), bytes = (size_t)(view.stride[0] * shape[0] - layout.gap) * size;
    if (bytes > memory->bytes) bits_bail("a view of %zu bytes does not fit", bytes);
    unsigned char *first = memory->data + (layout.end == GUARD_HIGH ? memory->bytes - bytes : 0);
    for (int i = 0; i < 3; i++) {
        if (!(layout.backwards >> i & 1)) continue;
        first += (size_t)((shape[i] - 1) * view.stride[i]) * size;
        view.stride[i] = -view.stride[i];
    }
    view.data = first;
    return view;
}

static unsigned char *row_at(const roperot_tensor *view, int64_t row)
{
    const int64_t h = row % view->shape[2], t = row / view->shape[2] % view->shape[1];
    const int64_t b = row / view->shape[2] / view->shape[1];
    const int64_t at = b * view->stride[0] + t * view->stride[1] + h * view->stride[2];
    return (unsigned char *)view->data + at * (int64_t)bits_size(view->dtype);
}

static int64_t rows(const roperot_tensor *view)
{
    return view->shape[0] * view->shape[1] * view->shape[2];
}

void views_fill(const roperot_tensor *view, const uint32_t *elements)
{
    const size_t size = bits_size(view->dtype);
    for (int64_t row = 0; row < rows(view); row++) {
        unsigned char *const at = row_at(view, row);
        for (int64_t d = 0; d < view->shape[3]; d++) bits_write(view->dtype, at + (size_t)d * size, *elements++);
    }
}

void views_take(const roperot_tensor *view, uint32_t *elements)
{
    const size_t size = bits_size(view->dtype);
    for (int64_t row = 0; row < rows(view); row++) {
        unsigned char *const at = row_at(view, row);
        for (int64_t d = 0; d < view->shape[3]; d++) *elements++ = bits_read(view->dtype, at + (size_t)d * size);
        memset(at, CANARY, (size_t)view->shape[3] * size);
    }
}

int views_clean(const guard_buffer *memory)
{
    const unsigned char *const data = memory->data;
    return data[0] == CANARY && !memcmp(data, data + 1, memory->bytes - 1);
}
