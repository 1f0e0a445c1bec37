/* SPDX-License-Identifier: MIT
 * A fuzzer's bytes as numbers: usual ones mostly, any at all now and then; it must not know what they become. */
#ifndef ROPEROT_FUZZ_INPUT_H
#define ROPEROT_FUZZ_INPUT_H

#include <stddef.h>
#include <stdint.h>

__extension__ typedef __int128 wide; /* no product or sum of a few 64-bit numbers leaves it */

typedef struct input {
    const uint8_t *data;
    size_t left;
} input;

/* 0 once the bytes are used up: every input is a whole call. */
static inline uint32_t input_byte(input *in)
{
    if (!in->left) return 0;
    in->left--;
    return *in->data++;
}

/* From the other end: a choice that came later leaves the stored inputs their meaning. */
static inline uint32_t input_last(input *in)
{
    return in->left ? in->data[--in->left] : 0;
}

static inline int64_t input_below(input *in, int64_t limit)
{
    const uint32_t high = limit > 256 ? input_byte(in) : 0;
    return (int64_t)(high << 8 | input_byte(in)) % limit;
}

static inline uint64_t input_word(input *in)
{
    uint64_t word = 0;
    for (int i = 0; i < 8; i++) word = word << 8 | input_byte(in);
    return word;
}

/* An end of some range, or anything. */
static inline int64_t input_integer(input *in)
{
    static const int64_t ends[] = { 0,
                                    1,
                                    -1,
                                    2,
                                    INT32_MAX,
                                    INT32_MIN,
                                    INT64_MAX,
                                    INT64_MIN,
                                    INT64_MAX / 2 + 1,
                                    INT64_C(1) << 31,
                                    -(INT64_C(1) << 31),
                                    INT64_C(1) << 60,
                                    UINT32_MAX };
    const uint32_t which = input_byte(in);
    return which < sizeof ends / sizeof *ends ? ends[which] : (int64_t)input_word(in);
}

/* `usual`, but for one byte in 64. */
static inline int64_t input_or(input *in, int64_t usual)
{
    return input_byte(in) % 64 == 63 ? input_integer(in) : usual;
}

static inline double input_double(input *in)
{
    const union {
        uint64_t bits;
        double value;
    } word = { input_word(in) };
    return word.value;
}

#endif
