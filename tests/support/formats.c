/* SPDX-License-Identifier: MIT
 * The float formats as bit patterns, without libm: sizes, fields, special values, elements in memory; it must not know
 * how values are rounded (reference/oracle.h does). */
#include "support/formats.h"

#include <string.h>

#include "lists.h"

const float_format formats[] = { { 0, 0, 0 }, { 4, 23, 8 }, { 2, 10, 5 }, { 2, 7, 8 } };
_Static_assert(sizeof formats / sizeof *formats == ROPEROT_DTYPE_END, "every dtype of tensors has its fields");

size_t format_bytes(int dtype)
{
    return formats[dtype].bytes;
}

const char *format_name(int dtype)
{
#define FORMATS_NAME(format) [ROPEROT_F32 + ROPEROT_FORMAT_##format] = #format,
    static const char *const names[] = { "?", ROPEROT_STORE_LIST(FORMATS_NAME) };
#undef FORMATS_NAME
    return names[dtype];
}

uint32_t format_sign(int dtype)
{
    return 1u << (8 * formats[dtype].bytes - 1);
}

uint32_t format_infinity(int dtype)
{
    return ((1u << formats[dtype].exponent_bits) - 1) << formats[dtype].mantissa_bits;
}

int format_bias(int dtype)
{
    return (1 << (formats[dtype].exponent_bits - 1)) - 1;
}

uint32_t format_special(int dtype, uint32_t which)
{
    const uint32_t unit = 1u << formats[dtype].mantissa_bits, infinity = format_infinity(dtype);
    const uint32_t list[FORMAT_SPECIALS] = {
        0, 1, unit - 1, unit, (uint32_t)format_bias(dtype) * unit, infinity - 1, infinity, infinity | unit >> 1
    };
    return list[which % FORMAT_SPECIALS];
}

int format_is_nan(int dtype, uint32_t bits)
{
    return (bits & (format_sign(dtype) - 1)) > format_infinity(dtype);
}

int format_same(int dtype, uint32_t a, uint32_t b)
{
    return a == b || (format_is_nan(dtype, a) && format_is_nan(dtype, b));
}

uint32_t format_load(int dtype, const void *address)
{
    uint16_t half;
    uint32_t word;
    if (format_bytes(dtype) == sizeof word) return memcpy(&word, address, sizeof word), word;
    memcpy(&half, address, sizeof half);
    return half;
}

void format_store(int dtype, void *address, uint32_t bits)
{
    const uint16_t half = (uint16_t)bits;
    if (format_bytes(dtype) == sizeof bits)
        memcpy(address, &bits, sizeof bits);
    else
        memcpy(address, &half, sizeof half);
}

float format_float(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

uint32_t format_bits(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}
