/* A small Llama in plain C, in the manner of the one-file programs, with its own RoPE loop and with roperot in its
 * place: what changes is the plan that is made once and one call per layer. Prints how far the logits are apart. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <roperot/roperot.h>

enum { LAYERS = 3, DIM = 64, HEADS = 4, KV_HEADS = 2, HEAD_DIM = DIM / HEADS };
enum { HIDDEN = 128, VOCABULARY = 96, CONTEXT = 64 };
enum { KV_DIM = KV_HEADS * HEAD_DIM, PER_LAYER = 2 * DIM * DIM + 2 * DIM * KV_DIM + 3 * DIM * HIDDEN };

static float embedding[VOCABULARY * DIM], weights[LAYERS * PER_LAYER];
static float keys[LAYERS][CONTEXT][KV_DIM], values[LAYERS][CONTEXT][KV_DIM];

static void fill(float *x, int count)
{
    static uint32_t state = 1;
    for (int i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        x[i] = ((float)(state >> 8) / (1 << 23) - 1.0f) * 0.25f;
    }
}

/* ---- before: cos and sin of every pair, for every head of every layer -------------------------------------------- */

static void rope_before(float *q, float *k, int position)
{
    for (int h = 0; h < HEADS; h++)
        for (int j = 0; j < HEAD_DIM / 2; j++) {
            const float angle = (float)position * powf(10000.0f, -2.0f * (float)j / HEAD_DIM);
            const float c = cosf(angle), s = sinf(angle);
            for (int which = 0; which < (h < KV_HEADS ? 2 : 1); which++) {
                float *const x = (which ? k : q) + h * HEAD_DIM + 2 * j;
                const float x0 = x[0], x1 = x[1];
                x[0] = x0 * c - x1 * s;
                x[1] = x0 * s + x1 * c;
            }
        }
}

/* ---- after ------------------------------------------------------------------------------------------------------- */

static roperot_plan *plan;

static int make_plan(void)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = HEAD_DIM;
    config.base = 10000.0;
    config.pairing = ROPEROT_PAIR_INTERLEAVED; /* (2j, 2j + 1), as above; Hugging Face's layout is ROPEROT_PAIR_HALF */
    return roperot_plan_create(&config, &plan);
}

static void rope_after(float *q, float *k, int position)
{
    const roperot_positions at = roperot_positions_offset(position);
    const roperot_tensor qk[2] = { roperot_tensor_shd(q, ROPEROT_F32, 1, HEADS, HEAD_DIM),
                                   roperot_tensor_shd(k, ROPEROT_F32, 1, KV_HEADS, HEAD_DIM) };
    if (roperot_apply(plan, &at, qk, NULL, 2, NULL)) {
        fprintf(stderr, "%s\n", roperot_last_error());
        exit(1);
    }
}

/* ---- the transformer --------------------------------------------------------------------------------------------- */

static const float *multiply(float *out, const float *matrix, const float *x, int rows, int columns)
{
    for (int i = 0; i < rows; i++) {
        float sum = 0.0f;
        for (int j = 0; j < columns; j++) sum += matrix[i * columns + j] * x[j];
        out[i] = sum;
    }
    return matrix + rows * columns;
}

static void normalise(float *out, const float *x)
{
    float sum = 0.0f;
    for (int i = 0; i < DIM; i++) sum += x[i] * x[i];
    const float scale = 1.0f / sqrtf(sum / DIM + 1e-5f);
    for (int i = 0; i < DIM; i++) out[i] = x[i] * scale;
}

static void attend(float *out, const float *q, int layer, int position)
{
    for (int h = 0; h < HEADS; h++) {
        const int kv = h * KV_HEADS / HEADS * HEAD_DIM;
        float score[CONTEXT], sum = 0.0f;
        for (int t = 0; t <= position; t++) {
            float dot = 0.0f;
            for (int i = 0; i < HEAD_DIM; i++) dot += q[h * HEAD_DIM + i] * keys[layer][t][kv + i];
            sum += score[t] = expf(dot / sqrtf(HEAD_DIM));
        }
        for (int i = 0; i < HEAD_DIM; i++) {
            float mixed = 0.0f;
            for (int t = 0; t <= position; t++) mixed += score[t] * values[layer][t][kv + i];
            out[h * HEAD_DIM + i] = mixed / sum;
        }
    }
}

static void forward(int token, int position, void (*rope)(float *q, float *k, int position), float *logits)
{
    float x[DIM], n[DIM], q[DIM], mixed[DIM], out[DIM], gate[HIDDEN], up[HIDDEN];
    memcpy(x, embedding + token * DIM, sizeof x);
    const float *w = weights;
    for (int layer = 0; layer < LAYERS; layer++) {
        float *const k = keys[layer][position], *const v = values[layer][position];
        normalise(n, x);
        w = multiply(v, multiply(k, multiply(q, w, n, DIM, DIM), n, KV_DIM, DIM), n, KV_DIM, DIM);
        rope(q, k, position);
        attend(mixed, q, layer, position);
        w = multiply(out, w, mixed, DIM, DIM);
        for (int i = 0; i < DIM; i++) x[i] += out[i];
        normalise(n, x);
        w = multiply(up, multiply(gate, w, n, HIDDEN, DIM), n, HIDDEN, DIM);
        for (int i = 0; i < HIDDEN; i++) gate[i] *= up[i] / (1.0f + expf(-gate[i]));
        w = multiply(out, w, gate, DIM, HIDDEN);
        for (int i = 0; i < DIM; i++) x[i] += out[i];
    }
    normalise(n, x);
    multiply(logits, embedding, n, VOCABULARY, DIM);
}

static int best(const float *logits)
{
    int at = 0;
    for (int i = 1; i < VOCABULARY; i++) at = logits[i] > logits[at] ? i : at;
    return at;
}

int main(void)
{
    static float before[CONTEXT][VOCABULARY], after[CONTEXT][VOCABULARY];
    fill(embedding, VOCABULARY * DIM);
    fill(weights, LAYERS * PER_LAYER);
    if (make_plan()) return fprintf(stderr, "%s\n", roperot_last_error()), 1;
    float apart = 0.0f;
    int tokens[CONTEXT] = { 7 };
    for (int t = 0; t < CONTEXT; t++) {
        forward(tokens[t], t, rope_before, before[t]);
        if (t + 1 < CONTEXT) tokens[t + 1] = best(before[t]);
    }
    for (int t = 0; t < CONTEXT; t++) {
        forward(tokens[t], t, rope_after, after[t]);
        for (int i = 0; i < VOCABULARY; i++) apart = fmaxf(apart, fabsf(after[t][i] - before[t][i]));
        if (best(after[t]) != best(before[t])) return fprintf(stderr, "token %d differs\n", t), 1;
    }
    printf("%d tokens, the same text; logits are at most %.1e apart\n", CONTEXT, (double)apart);
    roperot_plan_destroy(plan);
    return !(apart < 1e-4f);
}
