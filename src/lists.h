/* SPDX-License-Identifier: MIT
 * The lists of kernels.h beside the public enums: sizes, indices and ends; it must not know what is listed. */
#ifndef ROPEROT_LISTS_H
#define ROPEROT_LISTS_H

#include <roperot/roperot.h>

#include "config.h"
#include "kernels.h"

/* The arguments behind the first one if that ISA is in this build, else nothing: for tables that ROPEROT_ISA_LIST
 * makes. */
#define ROPEROT_IF_BUILT(ISA, ...)    ROPEROT_IF_BUILT_(ROPEROT_HAVE_##ISA, __VA_ARGS__)
#define ROPEROT_IF_BUILT_(have, ...)  ROPEROT_IF_BUILT__(have, __VA_ARGS__)
#define ROPEROT_IF_BUILT__(have, ...) ROPEROT_IF_##have(__VA_ARGS__)
#define ROPEROT_IF_1(...)             __VA_ARGS__
#define ROPEROT_IF_0(...)

/* The public numbers of ISAs count up from SCALAR without a gap: for (isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END;
 * isa++). ROPEROT_DTYPE_END (dtypes of tensors), ROPEROT_FORMAT_END (and those of pages) and ROPEROT_PAIR_END end the
 * others likewise. */
enum {
    ROPEROT_ISA_END = ROPEROT_ISA_SCALAR + ROPEROT_ISAS,
    ROPEROT_DTYPE_END = ROPEROT_F32 + ROPEROT_DTYPES,
    ROPEROT_FORMAT_END = ROPEROT_F32 + ROPEROT_FORMATS,
    ROPEROT_PAIR_END = ROPEROT_PAIR_HALF + ROPEROT_PAIRINGS
};

#define ROPEROT_LISTS_ISA(isa, ISA) | 1ull << ROPEROT_ISA_##ISA
_Static_assert((0 ROPEROT_ISA_LIST(ROPEROT_LISTS_ISA)) == (1ull << ROPEROT_ISA_END) - (1ull << ROPEROT_ISA_SCALAR),
               "every roperot_isa is listed once");
#undef ROPEROT_LISTS_ISA
#define ROPEROT_LISTS_DTYPE(dtype, DTYPE, bytes)                                                                       \
    _Static_assert(ROPEROT_##DTYPE == ROPEROT_F32 + ROPEROT_INDEX_##dtype, "in the order of roperot_dtype");
ROPEROT_DTYPE_LIST(ROPEROT_LISTS_DTYPE)
#undef ROPEROT_LISTS_DTYPE
_Static_assert(ROPEROT_FORMAT_e4m3 == ROPEROT_E4M3 - 1 && ROPEROT_FORMAT_i8 == ROPEROT_I8 - 1 &&
                   ROPEROT_FORMAT_q8_0 == ROPEROT_Q8_0 - 1 && ROPEROT_FORMATS - 1 == ROPEROT_Q8_0 - 1,
               "formats of heads.h count on behind the dtypes of tensors");
#define ROPEROT_LISTS_PAIRING(pairing, PAIRING)                                                                        \
    _Static_assert(ROPEROT_PAIR_##PAIRING == ROPEROT_PAIR_HALF + ROPEROT_INDEX_##pairing, "in the order of pairings");
ROPEROT_PAIRING_LIST(ROPEROT_LISTS_PAIRING)
#undef ROPEROT_LISTS_PAIRING

/* Bytes of an element, 0 for an unknown dtype. One nibble per dtype of a constant: a table would be one more cache line
 * of a call. */
static inline int32_t roperot_dtype_size(int32_t dtype)
{
#define ROPEROT_LISTS_BYTES(dtype, DTYPE, bytes) | (uint64_t)(bytes) << 4 * ROPEROT_##DTYPE
    return (uint32_t)dtype < 16 ? (int32_t)((0 ROPEROT_DTYPE_LIST(ROPEROT_LISTS_BYTES)) >> 4 * dtype & 15) : 0;
#undef ROPEROT_LISTS_BYTES
}

/* Indices of a known dtype, and of a pairing, in the tables of kernels.h. */
static inline int roperot_dtype_index(int32_t dtype)
{
    return dtype - ROPEROT_F32;
}

/* Whether tensors may have it: roperot_apply reads and writes it. Others are formats of pages. */
static inline int roperot_is_tensor_dtype(int32_t dtype)
{
    return roperot_dtype_size(dtype) != 0;
}

/* The index of a known dtype, of tensors or of pages, in the tables of heads.h. */
static inline int roperot_format_index(int32_t dtype)
{
    return dtype - ROPEROT_F32;
}

static inline int roperot_pairing_index(int32_t pairing)
{
    return pairing - ROPEROT_PAIR_HALF;
}

#endif
