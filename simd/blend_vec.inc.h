/* SPDX-License-Identifier: MIT
 * Blending two coefficient rows of different position axes, one vector's pairs at a time; it must not know any ISA.
 * Parameter: VEC, whose verbs are load_f32, store_f32, and_mask (x where a mask is all ones, else 0) and or. */

#define T CAT(VEC, _t)
#define V(verb) CAT3(VEC, _, verb)

/* Pointers are copied: a store could change what `own` and `other` lead to, for all the compiler knows. */
INLINE ptrdiff_t V(blend)(float *cos, float *sin, const roperot_row own, const roperot_row other, const uint32_t *mask,
                          const uint32_t *inverse, ptrdiff_t pairs, ptrdiff_t j)
{
    for (; pairs - j >= V(pairs)(); j += V(pairs)()) {
        AS_IT_IS;
        const T c0 = V(and_mask)(V(load_f32)(own.cos + j), mask + j);
        const T c1 = V(and_mask)(V(load_f32)(other.cos + j), inverse + j);
        const T s0 = V(and_mask)(V(load_f32)(own.sin + j), mask + j);
        const T s1 = V(and_mask)(V(load_f32)(other.sin + j), inverse + j);
        V(store_f32)(cos + j, V(or)(c0, c1));
        V(store_f32)(sin + j, V(or)(s0, s1));
    }
    return j;
}

#undef T
#undef V
