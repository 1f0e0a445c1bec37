/* SPDX-License-Identifier: MIT
 * Copies with conversion, in the scalar vocabulary; it must not know plans or instruction sets. */
#include "convert.h"

#include <string.h>

#include <roperot/roperot.h>

#include "lists.h"
#include "vec_scalar.h"

static float load(const void *p, int32_t dtype, ptrdiff_t i)
{
    switch (dtype) {
    case ROPEROT_F16: return f32x1_load_f16((const f16_t *)p + i);
    case ROPEROT_BF16: return f32x1_load_bf16((const bf16_t *)p + i);
    default: return ((const float *)p)[i];
    }
}

static void store(void *p, int32_t dtype, ptrdiff_t i, float x)
{
    switch (dtype) {
    case ROPEROT_F16: f32x1_store_f16((f16_t *)p + i, x); break;
    case ROPEROT_BF16: f32x1_store_bf16((bf16_t *)p + i, x); break;
    default: ((float *)p)[i] = x;
    }
}

static void copy_same(const char *src, ptrdiff_t src_step, char *dst, ptrdiff_t dst_step, ptrdiff_t n, size_t size)
{
    if (src_step == 1 && dst_step == 1) {
        memcpy(dst, src, (size_t)n * size);
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++)
        memcpy(dst + i * dst_step * (ptrdiff_t)size, src + i * src_step * (ptrdiff_t)size, size);
}

void roperot_convert(const void *src, int32_t src_dtype, ptrdiff_t src_step, void *dst, int32_t dst_dtype,
                     ptrdiff_t dst_step, ptrdiff_t n)
{
    if (src_dtype == dst_dtype) {
        copy_same(src, src_step, dst, dst_step, n, (size_t)roperot_dtype_size(src_dtype));
        return;
    }
    for (ptrdiff_t i = 0; i < n; i++) store(dst, dst_dtype, i * dst_step, load(src, src_dtype, i * src_step));
}
