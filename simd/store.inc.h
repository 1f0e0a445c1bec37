/* SPDX-License-Identifier: MIT
 * Heads between memory and an f32 scratch: widened, rounded, quantised; it must not know any ISA. Parameters: ISA and
 * the vocabulary of lanes (lanes_*.h). */

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

#define STORE_HEADS(dtype, scaled)                                                                                     \
    static void NAME(store_##dtype)(void *dst, ptrdiff_t dst_head, const float *head, ptrdiff_t pitch,                 \
                                    ptrdiff_t heads, ptrdiff_t channels, const float *inverse)                         \
    {                                                                                                                  \
        for (ptrdiff_t h = 0; h < heads; h++, head += pitch) {                                                         \
            dtype##_t *const y = (void *)((char *)dst + h * dst_head);                                                 \
            const float by = scaled ? inverse[h] : 1.0f;                                                               \
            const lanes_t factor = lanes_set1(by);                                                                     \
            ptrdiff_t c = 0;                                                                                           \
            for (; channels - c >= 16; c += 16) {                                                                      \
                const lanes_t x = lanes_load_f32(head + c);                                                            \
                lanes_store_##dtype(y + c, scaled ? lanes_mul(x, factor) : x);                                         \
            }                                                                                                          \
            for (; c < channels; c++) single_store_##dtype(y + c, scaled ? head[c] * by : head[c]);                    \
        }                                                                                                              \
    }

LOAD_HEADS(f32, 0)
LOAD_HEADS(f16, 0)
LOAD_HEADS(bf16, 0)
LOAD_HEADS(e4m3, 1)
LOAD_HEADS(i8, 1)
STORE_HEADS(f32, 0)
STORE_HEADS(f16, 0)
STORE_HEADS(bf16, 0)
STORE_HEADS(e4m3, 1)
STORE_HEADS(i8, 1)
#undef LOAD_HEADS
#undef STORE_HEADS

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

static void NAME(store_q8_0)(void *dst, ptrdiff_t dst_head, const float *head, ptrdiff_t pitch, ptrdiff_t heads,
                             ptrdiff_t channels, const float *inverse)
{
    (void)inverse;
    for (ptrdiff_t h = 0; h < heads; h++, head += pitch) {
        char *block = (char *)dst + h * dst_head;
        for (ptrdiff_t c = 0; c < channels; c += ROPEROT_Q8_0_CHANNELS, block += ROPEROT_Q8_0_BYTES) {
            const lanes_t x0 = lanes_load_f32(head + c), x1 = lanes_load_f32(head + c + 16);
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

/* ---- in the scratch ---------------------------------------------------------------------------------------------- */

#define ROUND_HEADS(dtype)                                                                                             \
    static void NAME(round_##dtype)(float *head, ptrdiff_t pitch, ptrdiff_t heads, ptrdiff_t channels)                 \
    {                                                                                                                  \
        for (ptrdiff_t h = 0; h < heads; h++, head += pitch) {                                                         \
            ptrdiff_t c = 0;                                                                                           \
            for (; channels - c >= 16; c += 16)                                                                        \
                lanes_store_f32(head + c, lanes_round_##dtype(lanes_load_f32(head + c)));                              \
            for (; c < channels; c++) head[c] = single_round_##dtype(head[c]);                                         \
        }                                                                                                              \
    }
ROPEROT_ROUND_LIST(ROUND_HEADS)
#undef ROUND_HEADS

static void NAME(amax_f32)(float *amax, const float *head, ptrdiff_t pitch, ptrdiff_t heads, ptrdiff_t channels)
{
    for (ptrdiff_t h = 0; h < heads; h++, head += pitch) {
        lanes_t most = lanes_set1(0.0f);
        ptrdiff_t c = 0;
        for (; channels - c >= 16; c += 16) most = lanes_larger(most, lanes_load_f32(head + c));
        amax[h] = lanes_largest(most);
        for (; c < channels; c++)
            if (magnitude_f32(head[c]) > amax[h]) amax[h] = magnitude_f32(head[c]);
    }
}

#undef NAME
