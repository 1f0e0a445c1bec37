/* SPDX-License-Identifier: MIT
 * Float formats and codes in integers, written anew for the fuzzer's oracle; it must share no code with the library or
 * with the oracle of the other tests. */
#include "fuzz/numbers.h"

#include <string.h>

#include <roperot/roperot.h>

size_t number_bytes(int32_t dtype)
{
    return dtype == ROPEROT_F32 ? 4 : dtype == ROPEROT_E4M3 || dtype == ROPEROT_I8 ? 1 : 2;
}

int number_is_dtype(int32_t dtype)
{
    return dtype >= ROPEROT_F32 && dtype <= ROPEROT_I8;
}

int number_is_nan(int32_t dtype, uint32_t bits)
{
    if (dtype == ROPEROT_F32) return (bits & 0x7fffffffu) > 0x7f800000u;
    return (bits & 0x7fffu) > (dtype == ROPEROT_F16 ? 0x7c00u : 0x7f80u);
}

uint32_t number_read(int32_t dtype, const void *at)
{
    uint32_t word = 0;
    uint16_t half = 0;
    if (dtype == ROPEROT_F32) return memcpy(&word, at, 4), word;
    return memcpy(&half, at, 2), half;
}

void number_write(int32_t dtype, void *at, uint32_t bits)
{
    const uint16_t half = (uint16_t)bits;
    if (dtype == ROPEROT_F32)
        memcpy(at, &bits, 4);
    else
        memcpy(at, &half, 2);
}

static float float_of(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

float number_widen(int32_t dtype, uint32_t bits)
{
    if (dtype == ROPEROT_F32) return float_of(bits);
    if (dtype == ROPEROT_BF16) return float_of(bits << 16);
    const uint32_t sign = bits >> 15 << 31, exponent = bits >> 10 & 31, mantissa = bits & 1023;
    if (exponent == 31) return float_of(sign | 0x7f800000u | mantissa << 13);
    if (exponent) return float_of(sign | (exponent + 112) << 23 | mantissa << 13);
    const float small = (float)mantissa * 0x1p-24f;
    return sign ? -small : small;
}

/* `bits` without its last `drop` bits, rounded. */
static uint32_t rounded(uint32_t bits, uint32_t drop)
{
    const uint32_t half = 1u << (drop - 1), rest = bits & (2 * half - 1), kept = bits >> drop;
    return kept + (rest > half || (rest == half && (kept & 1)));
}

uint32_t number_narrow(int32_t dtype, float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    if (dtype == ROPEROT_F32) return bits;
    const uint32_t sign = bits >> 31 << 15, magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return sign | 0x7fffu;
    if (dtype == ROPEROT_BF16) return sign | rounded(magnitude, 16);
    const int exponent = (int)(magnitude >> 23) - 127;
    if (exponent >= 16) return sign | 0x7c00u;
    if (exponent >= -14) return sign | rounded(magnitude - (112u << 23), 13); /* may carry into infinity: right */
    if (exponent < -25) return sign;
    return sign | rounded((magnitude & 0x7fffffu) | 0x800000u, (uint32_t)(-exponent - 1));
}

/* ---- codes ------------------------------------------------------------------------------------------------------- */

float number_from_e4m3(uint8_t code)
{
    const uint32_t exponent = code >> 3 & 15, mantissa = code & 7;
    float value = exponent ? (float)(8 + mantissa) : (float)mantissa;
    for (uint32_t e = exponent ? exponent : 1; e < 10; e++) value /= 2;
    for (uint32_t e = 10; e < exponent; e++) value *= 2;
    if (exponent == 15 && mantissa == 7) value = float_of(0x7fc00000u);
    return code & 0x80 ? -value : value;
}

uint8_t number_to_e4m3(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, 4);
    const uint8_t sign = (uint8_t)(bits >> 31 << 7);
    const uint32_t magnitude = bits & 0x7fffffffu;
    if (magnitude > 0x7f800000u) return 0x7f;
    const int exponent = (int)(magnitude >> 23) - 127;
    if (exponent >= 9) return sign | 0x7e;
    if (exponent < -11) return sign; /* below half of 2^-9 */
    const uint32_t drop = exponent >= -6 ? 20 : (uint32_t)(14 - exponent);
    const uint32_t code = exponent >= -6 ? rounded(magnitude - (120u << 23), drop)
                                         : rounded((magnitude & 0x7fffffu) | 0x800000u, drop);
    return sign | (uint8_t)(code > 0x7e ? 0x7e : code);
}

int8_t number_to_i8(float value)
{
    if (!(value == value)) return 0;
    if (value > 127) return 127;
    if (value < -127) return -127;
    int32_t near = (int32_t)value; /* towards zero */
    const float rest = value - (float)near, size = rest < 0 ? -rest : rest;
    if (size > 0.5f || (size == 0.5f && near % 2)) near += value < 0 ? -1 : 1;
    return (int8_t)near;
}

int8_t number_to_q8_0(float value)
{
    if (!(value == value)) return 0;
    const float size = value < 0 ? -value : value;
    int32_t near = (int32_t)size;
    if (size - (float)near >= 0.5f) near++;
    return (int8_t)(value < 0 ? -near : near);
}
