/* SPDX-License-Identifier: MIT
 * Blending two coefficient rows of different position axes, one step's pairs at a time; it must not know any ISA.
 * Parameter: STEP, whose verbs are load_f32, store_f32, keep (x where a mask is all ones, else 0) and either (bits
 * of a or b). */

#define T CAT(STEP, _t)
#define V(verb) CAT3(STEP, _, verb)

/* Pointers are copied: a store could change what `own` and `other` lead to, for all the compiler knows. */
INLINE ptrdiff_t V(blend)(float *cos, float *sin, const roperot_row own, const roperot_row other, const uint32_t *mask,
                          const uint32_t *inverse, ptrdiff_t pairs, ptrdiff_t j)
{
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        const T c =
            V(either)(V(keep)(V(load_f32)(own.cos + j), mask + j), V(keep)(V(load_f32)(other.cos + j), inverse + j));
        const T s =
            V(either)(V(keep)(V(load_f32)(own.sin + j), mask + j), V(keep)(V(load_f32)(other.sin + j), inverse + j));
        V(store_f32)(cos + j, c);
        V(store_f32)(sin + j, s);
    }
    return j;
}

#undef T
#undef V
