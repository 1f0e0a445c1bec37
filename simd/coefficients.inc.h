/* SPDX-License-Identifier: MIT
 * The coefficient kernels of one ISA: factor tables, their products, angles on the fly, blending of rows; it must
 * not know any ISA. Parameters: ISA, the vocabulary's list of f64 vectors (COEFFICIENTS, at most two, before f64x1)
 * and its widest f32 vector (BLEND, before f32x1). */

#define VEC NTH_0(COEFFICIENTS)
#define SINCOS INLINE
#if IS_VEC(VEC)
#include "coefficient_vec.inc.h"
#endif
#undef SINCOS
#undef VEC
#define SINCOS static NOINLINE
#define VEC NTH_1(COEFFICIENTS)
#if IS_VEC(VEC)
#include "coefficient_vec.inc.h"
#endif
#undef VEC
#define VEC f64x1
#include "coefficient_vec.inc.h"
#undef VEC
#undef SINCOS

/* Runs `verb` with each vector of the list as often as it fits; `j` is its last argument and result. */
#if IS_VEC(NTH_1(COEFFICIENTS))
#define EACH_VEC(verb, ...)                                                                                           \
    CAT3(f64x1, _, verb)                                                                                               \
    (__VA_ARGS__, CAT3(NTH_1(COEFFICIENTS), _, verb)(__VA_ARGS__, CAT3(NTH_0(COEFFICIENTS), _, verb)(__VA_ARGS__, 0)))
#elif IS_VEC(NTH_0(COEFFICIENTS))
#define EACH_VEC(verb, ...) CAT3(f64x1, _, verb)(__VA_ARGS__, CAT3(NTH_0(COEFFICIENTS), _, verb)(__VA_ARGS__, 0))
#else
#define EACH_VEC(verb, ...) CAT3(f64x1, _, verb)(__VA_ARGS__, 0)
#endif

static void CAT(factors_f64_, ISA)(double *table, const double *inv_freq, ptrdiff_t pairs, int shift, int64_t begin,
                                   int64_t end)
{
    const double scale = (double)((int64_t)1 << shift);
    for (int64_t i = begin; i < end; i++) {
        double *const row = table + i * 2 * pairs;
        if (i == 0)
            for (ptrdiff_t j = 0; j < pairs; j++) row[j] = 1.0, row[pairs + j] = 0.0;
        else
            EACH_VEC(factors, row, inv_freq, pairs, scale, (double)i);
    }
}

/* The pairs from j on, which the widest vector left: seldom any, so that one loop for every number of levels does. */
static NOINLINE void CAT(combine_rest_, ISA)(int levels, float *cos, float *sin, const double *const f[3],
                                             ptrdiff_t stride, ptrdiff_t pairs, double scale, ptrdiff_t j)
{
#if IS_VEC(NTH_1(COEFFICIENTS))
    j = CAT3(NTH_1(COEFFICIENTS), _, combine)(levels, cos, sin, f, stride, pairs, scale, 0, j);
#endif
    f64x1_combine(levels, cos, sin, f, stride, pairs, scale, 0, j);
}

INLINE void CAT(combine_levels_, ISA)(const int levels, float *cos, float *sin, const double *const f[3],
                                      ptrdiff_t stride, ptrdiff_t pairs, double scale, int stream)
{
    ptrdiff_t j = 0;
    (void)stream;
#if IS_VEC(NTH_0(COEFFICIENTS))
    j = CAT3(NTH_0(COEFFICIENTS), _, combine)(levels, cos, sin, f, stride, pairs, scale, stream, j);
#endif
    if (j < pairs) CAT(combine_rest_, ISA)(levels, cos, sin, f, stride, pairs, scale, j);
}

INLINE void CAT(combine_some_, ISA)(float *cos, float *sin, const double *const f[3], ptrdiff_t stride, ptrdiff_t pairs,
                                    double scale, int stream)
{
    const double *const g[3] = { f[2] ? f[2] : f[1], f[2] && f[1] ? f[1] : f[0], f[0] };
    if (f[2] && f[1]) CAT(combine_levels_, ISA)(3, cos, sin, g, stride, pairs, scale, stream);
    else if (f[2] || f[1]) CAT(combine_levels_, ISA)(2, cos, sin, g, stride, pairs, scale, stream);
    else CAT(combine_levels_, ISA)(1, cos, sin, f, stride, pairs, scale, stream);
}

static ROPEROT_FAST_CODE void CAT(combine_f64_, ISA)(float *cos, float *sin, const double *const f[3], ptrdiff_t stride,
                                                     ptrdiff_t pairs, double scale)
{
    CAT(combine_some_, ISA)(cos, sin, f, stride, pairs, scale, 0);
}

INLINE void CAT(combine_each_, ISA)(float *rows, ptrdiff_t row_stride, const double *const f[3], ptrdiff_t pairs,
                                    ptrdiff_t count, double scale, int stream)
{
    for (ptrdiff_t i = 0; i < count; i++) {
        const double *const g[3] = { f[0] + i * 2 * pairs, f[1], f[2] };
        float *const row = rows + i * row_stride;
        CAT(combine_some_, ISA)(row, row + pairs, g, pairs, pairs, scale, stream);
    }
}

static void CAT(combine_rows_f64_, ISA)(float *rows, ptrdiff_t row_stride, const double *const f[3], ptrdiff_t pairs,
                                        ptrdiff_t count, double scale, int stream)
{
    const uintptr_t where = (uintptr_t)rows | (uintptr_t)pairs * sizeof *rows | (uintptr_t)row_stride * sizeof *rows;
    if (STREAM_ALIGN > 1 && stream && !(where & (STREAM_ALIGN - 1))) {
        CAT(combine_each_, ISA)(rows, row_stride, f, pairs, count, scale, 1);
    } else {
        CAT(combine_each_, ISA)(rows, row_stride, f, pairs, count, scale, 0);
    }
}

static void CAT(fence_, ISA)(void)
{
    stream_end();
}

static void CAT(angles_f64_, ISA)(float *cos, float *sin, double x, const double *inv_freq, ptrdiff_t pairs,
                                  double scale)
{
    EACH_VEC(angles, cos, sin, x, inv_freq, pairs, scale);
}

static void CAT(angles_mixed_f64_, ISA)(float *cos, float *sin, const double *x, ptrdiff_t axes, const double *inv_freq,
                                        ptrdiff_t stride, ptrdiff_t pairs, double scale)
{
    EACH_VEC(angles_mixed, cos, sin, x, axes, inv_freq, stride, pairs, scale);
}

static void CAT(angles_f32_, ISA)(float *cos, float *sin, float p32, const double *inv_freq, ptrdiff_t pairs,
                                  float scale)
{
    enum { SOME = 16 }; /* a call's stack is counted */
    double theta[SOME];
    for (ptrdiff_t first = 0; first < pairs; first += SOME) {
        const ptrdiff_t n = pairs - first < SOME ? pairs - first : SOME;
        for (ptrdiff_t j = 0; j < n; j++) {
            AS_IT_IS;
            theta[j] = (double)(p32 * (float)inv_freq[first + j]);
        }
        EACH_VEC(sincos_f32, cos + first, sin + first, theta, n);
        for (ptrdiff_t j = first; j < first + n; j++) {
            AS_IT_IS;
            cos[j] *= scale;
            sin[j] *= scale;
        }
    }
}

#define VEC NTH_0(BLEND)
#if IS_VEC(VEC)
#include "blend_vec.inc.h"
#endif
#undef VEC
#define VEC f32x1
#include "blend_vec.inc.h"
#undef VEC

static void CAT(blend_f32_, ISA)(float *cos, float *sin, const roperot_row *own, const roperot_row *other,
                                 const uint32_t *mask, const uint32_t *inverse, ptrdiff_t pairs)
{
    ptrdiff_t j = 0;
#if IS_VEC(NTH_0(BLEND))
    j = CAT3(NTH_0(BLEND), _, blend)(cos, sin, *own, *other, mask, inverse, pairs, j);
#endif
    f32x1_blend(cos, sin, *own, *other, mask, inverse, pairs, j);
}
