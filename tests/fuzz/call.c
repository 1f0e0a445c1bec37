/* SPDX-License-Identifier: MIT
 * One call of the library made from a fuzzer's bytes: plan, positions and views on one arena; it must not know what the
 * call gives. */
#include "fuzz/call.h"

#include <stdlib.h>
#include <string.h>

#include "fuzz/numbers.h"

enum { MOST_POSITIONS = 5000, MOST_IDS = 4096, SCRATCH_ALIGNMENT = 64, CANARY = 0xa5 };

int32_t call_pairs(const call *c)
{
    return (c->config.rotary_dim ? c->config.rotary_dim : c->config.head_dim) / 2;
}

int call_is_mixed(const call *c)
{
    return c->config.frequencies == ROPEROT_FREQUENCIES_MIXED;
}

/* Exactly as large as needed, so that a sanitizer sees every byte beside it. */
void *call_filled(size_t bytes, input *in)
{
    unsigned char *const data = malloc(bytes ? bytes : 1);
    if (!data) abort();
    uint64_t state = input_word(in);
    for (size_t i = 0; i < bytes; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        data[i] = (unsigned char)(state >> 56);
    }
    return data;
}

/* ---- plan -------------------------------------------------------------------------------------------------------- */

static void decode_frequencies(call *c, input *in)
{
    const int32_t pairs = call_pairs(c);
    static const double bases[] = { 10000.0, 500000.0, 1.5, 1e6 };
    c->config.base = input_byte(in) % 16 == 15 ? input_double(in) : bases[input_byte(in) % 4];
    c->config.attention_factor = input_byte(in) % 4 ? 1.0 : input_byte(in) % 8 ? 1.25 : input_double(in);
    if (input_byte(in) % 4 == 0 && pairs > 0 && pairs <= CALL_PAIRS) {
        for (int32_t j = 0; j < pairs; j++)
            c->inv_freq[j] =
                input_byte(in) % 32 == 31 ? input_double(in) : ((double)input_below(in, 65536) - 9000) / 7e4;
        c->config.inv_freq = c->inv_freq;
    }
    c->config.axes = (int32_t)input_or(in, input_byte(in) % 3 ? 1 : 1 + input_byte(in) % CALL_AXES);
    if (c->config.axes > 1 || input_byte(in) % 16 == 0)
        if (pairs > 0 && pairs <= CALL_PAIRS) {
            const int32_t axes = c->config.axes > 0 && c->config.axes <= CALL_AXES ? c->config.axes : 1;
            for (int32_t j = 0; j < pairs; j++) c->axis[j] = (uint8_t)(input_byte(in) % (uint32_t)axes);
            c->config.axis = c->axis;
        }
    if (c->config.inv_freq || c->config.axis) c->config.pairs = (int32_t)input_or(in, pairs);
}

/* Frequencies of every pair on every axis, of any sign, so that angles cancel, too. */
static void decode_mixed(call *c, input *in)
{
    const int32_t pairs = call_pairs(c), axes = c->config.axes;
    c->config.frequencies = (int32_t)input_or(in, ROPEROT_FREQUENCIES_MIXED);
    c->config.angles = (int32_t)input_or(in, 0);
    c->config.cache = (int32_t)input_or(in, input_byte(in) % 2 ? ROPEROT_CACHE_NONE : 0);
    if (input_byte(in) % 32 == 31 || pairs < 1 || pairs > CALL_PAIRS || axes < 1 || axes > CALL_AXES) return;
    uint64_t state = input_word(in);
    for (int32_t i = 0; i < axes * pairs; i++) {
        state = state * 6364136223846793005u + 1442695040888963407u;
        c->inv_freq[i] = ((double)(state >> 48) - 32768) / 7e4;
    }
    if (input_byte(in) % 8 == 7) c->inv_freq[input_below(in, axes * pairs)] = input_double(in);
    c->config.inv_freq = c->inv_freq;
    c->config.pairs = (int32_t)input_or(in, pairs);
    if (input_byte(in) % 32 != 31) c->config.axis = NULL;
}

/* Heads outside of the rows, or inside of them; both forwards or not. Elements of one head's rows from first to
 * last. */
static int64_t decode_table_heads(roperot_table *t, int64_t row, input *in)
{
    const int64_t gap = input_byte(in) % 3;
    t->heads = 1 + input_byte(in) % 4;
    if (input_byte(in) % 2) {
        t->head_stride = t->rows * t->row_stride + gap;
        return t->head_stride * t->heads;
    }
    t->head_stride = row + gap;
    t->row_stride = t->heads * t->head_stride;
    return t->row_stride * t->rows;
}

/* The last head first, nothing of the kind, or a stranger's number, which is refused or stays within the table. */
static void decode_head_order(roperot_table *t, input *in)
{
    const int64_t size = (int64_t)number_bytes(t->dtype), last = (t->heads - 1) * t->head_stride * size;
    const uint32_t how = input_byte(in) % 16;
    if (how < 4) {
        t->cos = (char *)t->cos + last;
        t->sin = (char *)t->sin + last;
        t->head_stride = -t->head_stride;
    }
    if (how == 14) t->head_stride = 0;
    if (how != 15) return;
    const int64_t odd = input_integer(in);
    if (input_byte(in) % 2 && (odd < 1 || odd <= t->heads))
        t->heads = odd;
    else if (odd < -((int64_t)1 << 61) || odd > (int64_t)1 << 61)
        t->head_stride = odd;
}

static void decode_table(call *c, input *in)
{
    const int32_t pairs = call_pairs(c);
    if (pairs < 1 || pairs > CALL_PAIRS) return;
    roperot_table *const t = &c->table;
    *t = (roperot_table)ROPEROT_TABLE_INIT;
    t->dtype = 1 + (int32_t)input_byte(in) % 3;
    t->width = (int32_t)input_byte(in) % 3;
    t->rows = 1 + input_below(in, 40);
    t->element_stride = 1 + input_byte(in) % 2;
    const int64_t columns = t->width ? 2 * pairs : pairs, size = (int64_t)number_bytes(t->dtype);
    t->row_stride = columns * t->element_stride + input_byte(in) % 3;
    const int64_t row = (columns - 1) * t->element_stride + 1;
    const int64_t elements = c->per_head ? decode_table_heads(t, row, in) : t->row_stride * (t->rows - 1) + row;
    c->table_memory = call_filled((size_t)(2 * elements * size), in);
    t->cos = c->table_memory;
    t->sin = (char *)c->table_memory + elements * size;
    if (input_byte(in) % 4 == 0) { /* last row first */
        t->cos = (char *)t->cos + (t->rows - 1) * t->row_stride * size;
        t->sin = (char *)t->sin + (t->rows - 1) * t->row_stride * size;
        t->row_stride = -t->row_stride;
    }
    if (c->per_head) decode_head_order(t, in);
    c->config.table = t;
}

int call_decode_plan(call *c, input *in, int64_t most_dim)
{
    memset(c, 0, sizeof *c);
    const uint32_t late = input_last(in);
    c->mixed = late % 8 == 7;
    c->per_head = late % 8 == 6;
    c->kept = late / 8 % 4 == 3;
    roperot_config *const config = &c->config;
    *config = (roperot_config)ROPEROT_CONFIG_INIT;
    config->head_dim = (int32_t)input_or(in, 2 + input_below(in, most_dim - 2));
    const int64_t room = config->head_dim > 1 && config->head_dim <= most_dim ? config->head_dim : 2;
    const int whole = input_byte(in) % 2 && config->head_dim % 2 == 0;
    config->rotary_dim = (int32_t)input_or(in, whole ? 0 : 2 + 2 * input_below(in, room / 2));
    config->rotary_offset = (int32_t)input_or(
        in,
        whole ? 0
              : 2 * input_below(in, (room - config->rotary_dim) / 2 + 1 > 0 ? (room - config->rotary_dim) / 2 + 1 : 1));
    config->pairing = (int32_t)input_or(in, 1 + input_byte(in) % 2);
    config->pairing_out = (int32_t)input_or(in, input_byte(in) % 4 ? 0 : input_byte(in) % 3);
    decode_frequencies(c, in);
    const int64_t lengths[] = { 0, 1, 7, 300, 1 + input_below(in, MOST_POSITIONS) };
    config->max_positions = input_or(in, lengths[input_byte(in) % 5]);
    config->angles = (int32_t)input_or(in, input_byte(in) % 4 == 0);
    config->cache = (int32_t)input_or(in, input_byte(in) % 3);
    config->bounds = (int32_t)input_or(in, input_byte(in) % 2 ? 0 : input_byte(in) % 3);
    config->isa = (int32_t)input_or(in, input_byte(in) % 4 ? 0 : 1 + input_byte(in) % 6);
    if (c->mixed) decode_mixed(c, in);
    if (input_byte(in) % 4 == 0 && (!c->mixed || input_byte(in) % 32 == 31)) decode_table(c, in);
    if (c->per_head && !config->table) decode_table(c, in);
    if (config->table) config->cache = (int32_t)input_or(in, ROPEROT_CACHE_BORROWED * (input_byte(in) % 2));
    c->dim = config->head_dim > 0 && config->head_dim <= most_dim ? config->head_dim : 8;
    const int64_t positions = config->max_positions ? config->max_positions : 1;
    return config->head_dim <= 65536 && call_pairs(c) <= CALL_PAIRS && (positions < 0 || positions <= 1 << 20);
}

/* ---- positions --------------------------------------------------------------------------------------------------- */

static int64_t usual_position(const call *c, input *in)
{
    const int64_t limit = c->config.table                                                    ? c->table.rows
                          : c->config.max_positions > 0 && c->config.max_positions < 1 << 20 ? c->config.max_positions
                                                                                             : 4096;
    const int64_t p = input_below(in, limit + (limit < 65000 ? 2 : 0));
    return input_byte(in) % 8 ? p : -p;
}

static void set_id(void *ids, int32_t type, int64_t i, int64_t value, double real)
{
    switch (type) {
    case ROPEROT_POSITIONS_I32: ((int32_t *)ids)[i] = (int32_t)value; break;
    case ROPEROT_POSITIONS_F32: ((float *)ids)[i] = (float)real; break;
    case ROPEROT_POSITIONS_F64: ((double *)ids)[i] = real; break;
    default: ((int64_t *)ids)[i] = value; break;
    }
}

/* Packed [axes][rows][tokens], or whatever the input says where that cannot be read by an accepted call. */
static int set_strides(call *c, input *in, int64_t given, int64_t rows, int64_t each)
{
    roperot_positions *const p = &c->at;
    p->token_stride = input_byte(in) % 8 ? 1 : 0;
    p->batch_stride = input_byte(in) % 4 ? each : 0;
    if (p->kind != ROPEROT_POSITIONS_IDS && p->batch_stride == 0 && each == 1) p->batch_stride = 0;
    p->axis_stride = rows * each;
    if (input_byte(in) % 32 == 31) {
        p->axis_stride = input_integer(in);
        const wide reach = (wide)p->axis_stride * (given - 1);
        if (reach < 0 ? reach > -((wide)1 << 62) : reach < (wide)1 << 62) p->axis_stride = rows * each;
    }
    return 1;
}

static void decode_ragged(call *c, input *in)
{
    roperot_positions *const p = &c->at;
    p->sequences = 1 + (int32_t)input_byte(in) % 4;
    p->cu_type = 1 + (int32_t)input_byte(in) % 2;
    const size_t size = p->cu_type == ROPEROT_POSITIONS_I32 ? 4 : 8;
    c->cu = malloc((size_t)(p->sequences + 1) * size);
    if (!c->cu) abort();
    int64_t end = 0;
    for (int32_t s = 0; s <= p->sequences; s++) {
        if (s == p->sequences) end = c->tokens;
        set_id(c->cu, p->cu_type, s, s ? input_or(in, end) : input_or(in, 0), 0);
        end += input_byte(in) % 3;
        if (end > c->tokens) end = c->tokens;
    }
    p->cu_seqlens = c->cu;
}

void call_decode_positions(call *c, input *in)
{
    roperot_positions *const p = &c->at;
    *p = (roperot_positions)ROPEROT_POSITIONS_INIT;
    p->kind = (int32_t)input_or(in, input_byte(in) % 4);
    p->offset =
        input_or(in, p->kind == ROPEROT_POSITIONS_OFFSET || input_byte(in) % 4 == 0 ? usual_position(c, in) : 0);
    p->type = 1 + (int32_t)input_byte(in) % 2;
    if (p->kind == ROPEROT_POSITIONS_IDS && input_byte(in) % 4 == 0) p->type += 2;
    const int64_t axes = c->config.axes > 1 && c->config.axes <= CALL_AXES ? c->config.axes : 1;
    p->axes = (int32_t)input_or(in, input_byte(in) % 2 ? 0 : axes);
    if (p->kind == ROPEROT_POSITIONS_RAGGED) decode_ragged(c, in);
    const int64_t given = p->axes > 1 && p->axes <= CALL_AXES ? p->axes : 1;
    const int64_t rows = p->kind == ROPEROT_POSITIONS_RAGGED ? p->sequences : c->batch;
    const int64_t each = p->kind == ROPEROT_POSITIONS_IDS ? c->tokens : 1, count = given * rows * each;
    const size_t size = p->type == ROPEROT_POSITIONS_I32 || p->type == ROPEROT_POSITIONS_F32 ? 4 : 8;
    if (p->kind != ROPEROT_POSITIONS_IDS && input_byte(in) % 16 == 15) return;
    c->ids = malloc((size_t)count * size + 1);
    if (!c->ids) abort();
    for (int64_t i = 0; i < count && i < MOST_IDS; i++) {
        const int64_t id = input_or(in, usual_position(c, in));
        set_id(c->ids, p->type, i, id, input_byte(in) % 32 == 31 ? input_double(in) : (double)id / 8);
    }
    p->ids = c->ids;
    set_strides(c, in, given, rows, each);
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* The bytes that a view reaches from its first element. */
static void reach(const roperot_tensor *v, wide *low, wide *high)
{
    *low = 0;
    *high = 0;
    for (int i = 0; i < 4; i++) {
        if (v->shape[i] < 2) continue;
        const wide span = (wide)v->stride[i] * (v->shape[i] - 1);
        *(span < 0 ? low : high) += span;
    }
    const int64_t size = (int64_t)number_bytes(v->dtype);
    *low *= size;
    *high = (*high + 1) * size;
}

static void usual_strides(roperot_tensor *v, input *in)
{
    static const int orders[4][3] = { { 2, 1, 0 }, { 1, 2, 0 }, { 0, 1, 2 }, { 2, 0, 1 } };
    const uint32_t order = input_byte(in) % 4, backwards = input_byte(in) % 4 ? 0 : input_byte(in);
    int64_t step = v->shape[3] + input_byte(in) % 4;
    for (int i = 0; i < 3; i++) {
        const int axis = orders[order][i];
        v->stride[axis] = backwards >> axis & 1 ? -step : step;
        step = step * (v->shape[axis] > 0 && v->shape[axis] < 4096 ? v->shape[axis] : 1) +
               (input_byte(in) % 8 == 7) * input_byte(in);
    }
    v->stride[3] = 1;
}

/* Somewhere in the arena. 0: it does not fit. */
static int put(const call *c, roperot_tensor *v, input *in)
{
    wide low, high;
    reach(v, &low, &high);
    if (high - low > c->arena_bytes) return 0;
    const int64_t room = c->arena_bytes - (int64_t)(high - low), odd = input_byte(in) % 32 == 31;
    int64_t first = input_below(in, room + 1);
    if (!odd) first -= first % (int64_t)number_bytes(v->dtype);
    v->data = c->arena + first - (int64_t)low;
    return 1;
}

int call_decode_view(const call *c, roperot_tensor *v, const roperot_tensor *like, input *in)
{
    *v = (roperot_tensor){ NULL, 1 + (int32_t)input_byte(in) % 3, 0, { 0, 0, 0, 0 }, { 0, 0, 0, 1 }, NULL };
    v->shape[0] = c->batch;
    v->shape[1] = c->tokens;
    v->shape[2] = like ? like->shape[2] : call_decode_heads(c, in);
    v->shape[3] = c->dim;
    const uint32_t how = input_byte(in) % 16;
    if (how < 4 && like) { /* a slot of one packed buffer, or nearly */
        *v = *like;
        const wide size = (wide)number_bytes(v->dtype), slot = (wide)v->shape[2] * v->shape[3] * size;
        const wide by = how < 2 ? slot : how < 3 ? -slot : size * (input_below(in, 512) - 256);
        wide low, high;
        reach(v, &low, &high);
        const wide first = (unsigned char *)v->data - c->arena + by;
        if (first + low < 0 || first + high > c->arena_bytes) return put(c, v, in);
        v->data = c->arena + (int64_t)first;
        return 1;
    }
    usual_strides(v, in);
    if (how == 15) { /* strangers' sizes: refused, or so large that this input is not for us */
        const uint32_t which = input_byte(in) % 8;
        *(which < 4 ? &v->shape[which] : &v->stride[which - 4]) = input_integer(in);
        if (input_byte(in) % 4 == 0) v->dtype = (int32_t)input_integer(in);
        v->data = c->arena;
        wide low, high;
        reach(v, &low, &high);
        return low < -((wide)1 << 62) || high > (wide)1 << 62 || put(c, v, in);
    }
    return put(c, v, in);
}

int64_t call_decode_heads(const call *c, input *in)
{
    if (c->table.heads > 0 && c->table.heads < 5 && input_byte(in) % 16) return c->table.heads;
    return input_byte(in) % 5;
}

void call_decode_scratch(call *c, const roperot_plan *plan, input *in)
{
    if (!c->kept) return;
    c->scratch_bytes = roperot_scratch_bytes(plan);
    c->scratch_memory = malloc((size_t)c->scratch_bytes + 2 * SCRATCH_ALIGNMENT);
    if (!c->scratch_memory) abort();
    memset(c->scratch_memory, CANARY, (size_t)c->scratch_bytes + 2 * SCRATCH_ALIGNMENT);
    c->scratch = c->scratch_memory;
    while ((uintptr_t)c->scratch % SCRATCH_ALIGNMENT) c->scratch++;
    memset(c->scratch, 0, (size_t)c->scratch_bytes);
    c->options.scratch = c->scratch + (input_byte(in) % 32 == 31 ? 1 + input_byte(in) % 63 : 0);
    c->options.scratch_bytes = input_or(in, c->scratch_bytes + input_byte(in) % 2 * 64);
}

int call_scratch_is_whole(const call *c)
{
    if (!c->scratch) return 1;
    const unsigned char *const end = c->scratch_memory + c->scratch_bytes + 2 * SCRATCH_ALIGNMENT;
    for (const unsigned char *at = c->scratch_memory; at < end; at++)
        if ((at < c->scratch || at >= c->scratch + c->scratch_bytes) && *at != CANARY) return 0;
    return 1;
}

void call_decode_options(call *c, input *in)
{
    roperot_options *const o = &c->options;
    *o = (roperot_options)ROPEROT_OPTIONS_INIT;
    o->flags = (uint32_t)input_or(in, input_byte(in) % 2 ? 0 : input_byte(in) % 8);
    if (input_byte(in) % 4 == 0) {
        o->token_begin = input_or(in, input_byte(in) % 8);
        o->token_end = input_or(in, input_byte(in) % 12);
    }
    o->threads = (int32_t)input_or(in, input_byte(in) % 5);
}

int call_decode_apply(call *c, input *in)
{
    c->arena_bytes = CALL_ARENA;
    c->arena = call_filled(CALL_ARENA, in);
    c->batch = input_below(in, 4);
    c->tokens = input_below(in, 7);
    if (input_byte(in) % 2) c->batch = 1;
    call_decode_positions(c, in);
    call_decode_options(c, in);
    c->count = 1 + (int32_t)input_byte(in) % CALL_TENSORS;
    c->in_place = input_byte(in) % 2;
    for (int32_t i = 0; i < c->count; i++) {
        const int strided = i && input_byte(in) % 2;
        if (!call_decode_view(c, &c->src[i], strided ? &c->src[0] : NULL, in)) return 0;
        if (c->in_place) continue;
        if (input_byte(in) % 4 == 0)
            c->dst[i] = c->src[i];
        else if (!call_decode_view(c, &c->dst[i], &c->src[i], in))
            return 0;
    }
    /* Strangers' sizes again: ids are there for what was decoded; nothing, or what is refused, needs none. */
    const int64_t batch = c->src[0].shape[0], tokens = c->src[0].shape[1];
    if (batch > 0 && tokens > 0) return batch == c->batch && tokens == c->tokens;
    c->batch = batch;
    c->tokens = tokens;
    return 1;
}

void call_free(call *c)
{
    free(c->table_memory);
    free(c->scratch_memory);
    free(c->ids);
    free(c->cu);
    free(c->arena);
}
