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

/* n channels of all heads, `step` channels apart. */
static void convert_channels(const roperot_heads_copy *c, const char *src, int64_t src_first, int64_t src_step,
                             char *dst, int64_t dst_first, int64_t dst_step, int64_t n)
{
    src += src_first * roperot_dtype_size(c->src_dtype);
    dst += dst_first * roperot_dtype_size(c->dst_dtype);
    for (int64_t h = 0; h < c->heads && n > 0; h++)
        roperot_convert(src + h * c->src_head, c->src_dtype, (ptrdiff_t)src_step, dst + h * c->dst_head, c->dst_dtype,
                        (ptrdiff_t)dst_step, (ptrdiff_t)n);
}

void roperot_convert_pairs(const roperot_heads_copy *c, const char *src, char *dst, int32_t first, int32_t pairs,
                           int32_t in, int32_t out)
{
    const int in_half = in == ROPEROT_PAIR_HALF, out_half = out == ROPEROT_PAIR_HALF;
    for (int second = 0; second < 2; second++)
        convert_channels(c, src, first + second * (in_half ? pairs : 1), in_half ? 1 : 2, dst,
                         first + second * (out_half ? pairs : 1), out_half ? 1 : 2, pairs);
}

void roperot_convert_beside(const roperot_heads_copy *c, const char *src, char *dst, int32_t first, int32_t count,
                            int64_t dim)
{
    const int64_t behind = (int64_t)first + count;
    convert_channels(c, src, 0, 1, dst, 0, 1, first);
    convert_channels(c, src, behind, 1, dst, behind, 1, dim - behind);
}
