/* SPDX-License-Identifier: MIT
 * The ten-line loops, compiled for this very CPU; they must not be made cleverer than somebody in a hurry would.
 */
#include "naive_loop.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#if defined __F16C__ && !defined __FLT16_MAX__
#include <immintrin.h>
#endif

void naive_half(float *x, const float *cosines, const float *sines, ptrdiff_t tokens, ptrdiff_t heads, ptrdiff_t dim)
{
    const ptrdiff_t half = dim / 2;
    for (ptrdiff_t t = 0; t < tokens; ++t)
        for (ptrdiff_t h = 0; h < heads; ++h, x += dim)
            for (ptrdiff_t j = 0; j < half; ++j) {
                const float a = x[j], b = x[j + half], c = cosines[t * half + j], s = sines[t * half + j];
                x[j] = a * c - b * s;
                x[j + half] = a * s + b * c;
            }
}

void naive_interleaved(float *x, const float *cosines, const float *sines, ptrdiff_t tokens, ptrdiff_t heads,
                       ptrdiff_t dim)
{
    const ptrdiff_t half = dim / 2;
    for (ptrdiff_t t = 0; t < tokens; ++t)
        for (ptrdiff_t h = 0; h < heads; ++h, x += dim)
            for (ptrdiff_t j = 0; j < half; ++j) {
                const float a = x[2 * j], b = x[2 * j + 1], c = cosines[t * half + j], s = sines[t * half + j];
                x[2 * j] = a * c - b * s;
                x[2 * j + 1] = a * s + b * c;
            }
}

/* ---- one token with its angles, in three dtypes ------------------------------------------------------------------ */

#define LOAD_F32(x)  (x)
#define STORE_F32(x) (x)

static inline float load_bf16(uint16_t x)
{
    const uint32_t bits = (uint32_t)x << 16;
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* To nearest even; not for NaN. */
static inline uint16_t store_bf16(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

#if defined __FLT16_MAX__ /* clang 14 has it on x86 for AVX512-FP16 only */
#define HAVE_F16 1
__extension__ typedef _Float16 f16;
#define LOAD_F16(x)  ((float)(x))
#define STORE_F16(x) ((f16)(x))
#elif defined __F16C__
#define HAVE_F16     1
typedef uint16_t f16;
#define LOAD_F16(x)  _cvtsh_ss(x)
#define STORE_F16(x) _cvtss_sh(x, 0)
#endif

enum { DIM_MOST = 256 };

/* FIRST and SECOND: the channels of pair j. */
#define TOKEN(name, type, load, store, first, second)                                                                  \
    static void name(void *data, ptrdiff_t heads, ptrdiff_t dim, int position, float base)                             \
    {                                                                                                                  \
        float c[DIM_MOST / 2], s[DIM_MOST / 2], theta = (float)position;                                               \
        const float step = powf(base, -2.0f / (float)dim);                                                             \
        const ptrdiff_t half = dim / 2;                                                                                \
        type *x = data;                                                                                                \
        for (ptrdiff_t j = 0; j < half; ++j, theta *= step) c[j] = cosf(theta), s[j] = sinf(theta);                    \
        for (ptrdiff_t h = 0; h < heads; ++h, x += dim)                                                                \
            for (ptrdiff_t j = 0; j < half; ++j) {                                                                     \
                const float a = load(x[first]), b = load(x[second]);                                                   \
                x[first] = store(a * c[j] - b * s[j]);                                                                 \
                x[second] = store(a * s[j] + b * c[j]);                                                                \
            }                                                                                                          \
    }

TOKEN(f32_half, float, LOAD_F32, STORE_F32, j, j + half)
TOKEN(f32_interleaved, float, LOAD_F32, STORE_F32, 2 * j, 2 * j + 1)
TOKEN(bf16_half, uint16_t, load_bf16, store_bf16, j, j + half)
TOKEN(bf16_interleaved, uint16_t, load_bf16, store_bf16, 2 * j, 2 * j + 1)
#ifdef HAVE_F16
TOKEN(f16_half, f16, LOAD_F16, STORE_F16, j, j + half)
TOKEN(f16_interleaved, f16, LOAD_F16, STORE_F16, 2 * j, 2 * j + 1)
#else
#define f16_half        NULL
#define f16_interleaved NULL
#endif

naive_token_fn *naive_token(int dtype, int half_split)
{
    static naive_token_fn *const tokens[][2] = { { f32_interleaved, f32_half },
                                                 { f16_interleaved, f16_half },
                                                 { bf16_interleaved, bf16_half } };
    return dtype < (int)(sizeof tokens / sizeof *tokens) ? tokens[dtype][half_split != 0] : NULL;
}
