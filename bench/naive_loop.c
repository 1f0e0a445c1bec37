/* SPDX-License-Identifier: MIT
 * The ten-line loops, compiled for this very CPU; they must not be made cleverer than somebody in a hurry would.
 */
#include "naive_loop.h"

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
