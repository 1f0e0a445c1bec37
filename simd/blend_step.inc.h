/* SPDX-License-Identifier: MIT
 * Blending the coefficient rows of several position axes, one step's pairs at a time; it must not know any ISA.
 * Parameter: STEP, whose verbs are load_f32, store_f32, keep (x where a mask is all ones, else 0) and either (bits
 * of a or b). */

#define T CAT(STEP, _t)
#define V(verb) CAT3(STEP, _, verb)

INLINE ptrdiff_t V(blend)(float *out, const float *const *row, const uint32_t *masks, int axes, ptrdiff_t mask_stride,
                          ptrdiff_t pairs)
{
    ptrdiff_t j = 0;
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        T sum = V(keep)(V(load_f32)(row[0] + j), masks + j);
        for (int a = 1; a < axes; a++)
            sum = V(either)(sum, V(keep)(V(load_f32)(row[a] + j), masks + a * mask_stride + j));
        V(store_f32)(out + j, sum);
    }
    return j;
}

#undef T
#undef V
