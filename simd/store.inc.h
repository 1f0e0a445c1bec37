/* SPDX-License-Identifier: MIT
 * Heads between memory and an f32 scratch: widened, rounded, quantised; it must not know any ISA. Parameters: ISA and
 * the vocabulary of lanes (lanes_*.h), HEADS_USUAL (as in norm.inc.h). */

#define NAME(verb) CAT3(verb, _, ISA)

/* ---- elements of their own --------------------------------------------------------------------------------------- */

/* `scaled`: e4m3 and i8. */
#define LOAD_HEADS(dtype, scaled)                                                                                      \
    static void NAME(load_##dtype)(float *head, ptrdiff_t pitch, const void *src, ptrdiff_t src_head, ptrdiff_t heads, \
                                   ptrdiff_t channels, const float *scale)                                             \
    {                                                                                                                  \
        for (ptrdiff_t h = 0; h < heads; h++, head += pitch) {                                                         \
            const dtype##_t *const x = (const void *)((const char *)src + h * src_head);                               \
            const float by = scaled ? scale[h] : 1.0f;                                                                 \
            const lanes_t factor = lanes_set1(by);                                                                     \
            ptrdiff_t c = 0;                                                                                           \
            for (; channels - c >= 16; c += 16) {                                                                      \
                const lanes_t y = lanes_load_##dtype(x + c);                                                           \
                lanes_store_f32(head + c, scaled ? lanes_mul(y, factor) : y);                                          \
            }                                                                                                          \
            for (; c < channels; c++) head[c] = scaled ? single_load_##dtype(x + c) * by : single_load_##dtype(x + c); \
        }                                                                                                              \
    }

#define STORE_HEADS(dtype)                                                                                             \
    static void NAME(store_##dtype)(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head, int32_t from,  \
                                    ptrdiff_t heads, ptrdiff_t channels, const float *inverse)                         \
    {                                                                                                                  \
        (void)from;                                                                                                    \
        (void)inverse;                                                                                                 \
        for (ptrdiff_t h = 0; h < heads; h++) {                                                                        \
            const f32_t *const x = (const void *)((const char *)src + h * src_head);                                   \
            dtype##_t *const y = (void *)((char *)dst + h * dst_head);                                                 \
            ptrdiff_t c = 0;                                                                                           \
            for (; channels - c >= 16; c += 16) lanes_store_##dtype(y + c, lanes_load_f32(x + c));                     \
            for (; c < channels; c++) single_store_##dtype(y + c, x[c]);                                               \
        }                                                                                                              \
    }

LOAD_HEADS(f32, 0)
LOAD_HEADS(f16, 0)
LOAD_HEADS(bf16, 0)
LOAD_HEADS(e4m3, 1)
LOAD_HEADS(i8, 1)
STORE_HEADS(f32)
STORE_HEADS(f16)
STORE_HEADS(bf16)
#undef LOAD_HEADS
#undef STORE_HEADS

/* ---- codes, of any dtype ----------------------------------------------------------------------------------------- */

#if HEADS_USUAL
#define HEADS_INLINE INLINE
#else
#define HEADS_INLINE static NOINLINE
#endif

/* The dtype is looked at in the loop: a loop of each would be three times the code, and the branch is foreseen. */
HEADS_INLINE lanes_t NAME(lanes_of)(const void *x, ptrdiff_t c, int32_t dtype)
{
    if (dtype == ROPEROT_BF16) return lanes_load_bf16((const bf16_t *)x + c);
    if (dtype == ROPEROT_F16) return lanes_load_f16((const f16_t *)x + c);
    return lanes_load_f32((const f32_t *)x + c);
}

static NOINLINE float NAME(single_of)(const void *x, ptrdiff_t c, int32_t dtype)
{
    if (dtype == ROPEROT_BF16) return single_load_bf16((const bf16_t *)x + c);
    if (dtype == ROPEROT_F16) return single_load_f16((const f16_t *)x + c);
    return single_load_f32((const f32_t *)x + c);
}

/* Products of 64 channels at once; 0: they are to be stored 16 at a time. */
INLINE int NAME(store_64_e4m3)(e4m3_t *y, const void *x, ptrdiff_t c, int32_t dtype, lanes_t factor)
{
#if LANES_E4M3_64
    const lanes_t x0 = lanes_mul(NAME(lanes_of)(x, c, dtype), factor),
                  x1 = lanes_mul(NAME(lanes_of)(x, c + 16, dtype), factor),
                  x2 = lanes_mul(NAME(lanes_of)(x, c + 32, dtype), factor),
                  x3 = lanes_mul(NAME(lanes_of)(x, c + 48, dtype), factor);
    return lanes_store_64_e4m3(y + c, x0, x1, x2, x3);
#else
    (void)y, (void)x, (void)c, (void)dtype, (void)factor;
    return 0;
#endif
}

INLINE int NAME(store_64_i8)(i8_t *y, const void *x, ptrdiff_t c, int32_t dtype, lanes_t factor)
{
    (void)y, (void)x, (void)c, (void)dtype, (void)factor;
    return 0;
}

/* NaN sends the rest of its head to the loop of 16. */
#define STORE_CODES(format)                                                                                            \
    static void NAME(store_##format)(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head,               \
                                     int32_t dtype, ptrdiff_t heads, ptrdiff_t channels, const float *inverse)         \
    {                                                                                                                  \
        for (ptrdiff_t h = 0; h < heads; h++) {                                                                        \
            const char *const x = (const char *)src + h * src_head;                                                    \
            format##_t *const y = (void *)((char *)dst + h * dst_head);                                                \
            const lanes_t factor = lanes_set1(inverse[h]);                                                             \
            ptrdiff_t c = 0;                                                                                           \
            while (channels - c >= 64 && NAME(store_64_##format)(y, x, c, dtype, factor)) c += 64;                     \
            for (; channels - c >= 16; c += 16)                                                                        \
                lanes_store_##format(y + c, lanes_mul(NAME(lanes_of)(x, c, dtype), factor));                           \
            for (; c < channels; c++) single_store_##format(y + c, NAME(single_of)(x, c, dtype) * inverse[h]);         \
        }                                                                                                              \
    }
STORE_CODES(e4m3)
STORE_CODES(i8)
#undef STORE_CODES

static void NAME(amax)(float *amax, const void *src, ptrdiff_t src_head, int32_t dtype, ptrdiff_t heads,
                       ptrdiff_t channels)
{
    for (ptrdiff_t h = 0; h < heads; h++) {
        const char *const x = (const char *)src + h * src_head;
        float largest;
        ptrdiff_t c = 0;
        if (LANES_LARGEST_16 && dtype != ROPEROT_F32) {
            c = channels / 32 * 32;
            const uint16_t bits = lanes_largest_16((const void *)x, c, dtype == ROPEROT_BF16 ? 0x7f80 : 0x7c00);
            largest = dtype == ROPEROT_BF16 ? widen_bf16(bits) : single_load_f16(&bits);
        } else {
            lanes_t most = lanes_set1(0.0f);
            for (; channels - c >= 16; c += 16)
                most = lanes_larger(most, NAME(lanes_of)(x, c, LANES_LARGEST_16 ? ROPEROT_F32 : dtype));
            largest = lanes_largest(most);
        }
        for (; c < channels; c++) {
            const float value = magnitude_f32(NAME(single_of)(x, c, dtype));
            if (value > largest) largest = value;
        }
        amax[h] = largest;
    }
}

/* ---- q8_0: f16 scale and 32 codes, without alignment ------------------------------------------------------------- */

static void NAME(load_q8_0)(float *head, ptrdiff_t pitch, const void *src, ptrdiff_t src_head, ptrdiff_t heads,
                            ptrdiff_t channels, const float *scale)
{
    (void)scale;
    for (ptrdiff_t h = 0; h < heads; h++, head += pitch) {
        const char *block = (const char *)src + h * src_head;
        for (ptrdiff_t c = 0; c < channels; c += ROPEROT_Q8_0_CHANNELS, block += ROPEROT_Q8_0_BYTES) {
            f16_t stored;
            memcpy(&stored, block, sizeof stored);
            const lanes_t d = lanes_set1(widen_f16(stored));
            const i8_t *const code = (const i8_t *)block + sizeof stored;
            lanes_store_f32(head + c, lanes_mul(lanes_load_i8(code), d));
            lanes_store_f32(head + c + 16, lanes_mul(lanes_load_i8(code + 16), d));
        }
    }
}

static void NAME(store_q8_0)(void *dst, ptrdiff_t dst_head, const void *src, ptrdiff_t src_head, int32_t dtype,
                             ptrdiff_t heads, ptrdiff_t channels, const float *inverse)
{
    (void)inverse;
    for (ptrdiff_t h = 0; h < heads; h++) {
        const char *const x = (const char *)src + h * src_head;
        char *block = (char *)dst + h * dst_head;
        for (ptrdiff_t c = 0; c < channels; c += ROPEROT_Q8_0_CHANNELS, block += ROPEROT_Q8_0_BYTES) {
            const lanes_t x0 = NAME(lanes_of)(x, c, dtype), x1 = NAME(lanes_of)(x, c + 16, dtype);
            const float amax = lanes_largest(lanes_larger(lanes_larger(lanes_set1(0.0f), x0), x1));
            const float d = amax / 127.0f, by = 1.0f / d;
            const lanes_t factor = lanes_set1(by <= FLT_MAX ? by : 0.0f);
            const f16_t stored = round_f16(d);
            i8_t *const code = (i8_t *)block + sizeof stored;
            memcpy(block, &stored, sizeof stored);
            lanes_store_away_i8(code, lanes_mul(x0, factor));
            lanes_store_away_i8(code + 16, lanes_mul(x1, factor));
        }
    }
}

#undef HEADS_INLINE
#undef NAME
