/* SPDX-License-Identifier: MIT
 * Every verb of every vocabulary against plain C, in guarded memory; it must not know any ISA, and is compiled without
 * their flags. */
#include "vocabulary.h"

#include <math.h>
#include <string.h>
#if !defined __wasm__
#include <signal.h>
#include <unistd.h>
#endif

#include <roperot/roperot.h>

#include "bits.h"
#include "lists.h"
#include "support/guard.h"

/* Elements are bit patterns in uint64_t; dtypes are roperot's, and 0 for f64. */
enum { F64 = 0, F32 = ROPEROT_F32, F16 = ROPEROT_F16, BF16 = ROPEROT_BF16 };
enum { LOW, HIGH, SHIFTED, ENDS }; /* after a guard page, before one, off the low one by an element */
enum { MOST = VOCABULARY_MOST_LANES, SLOTS = 4, ROOM = 8192, SLACK = 64, CANARY = 0xa5, MOST_NOTES = 8 };

static guard_buffer slot[SLOTS];
static int end;

/* The verb that is being judged. */
static struct {
    const char *isa, *vector, *verb;
    long judged, wrong;
} now;

/* ---- numbers ----------------------------------------------------------------------------------------------------- */

static int is_nan(int dtype, uint64_t bits)
{
    static const uint64_t infinity[4] = { 0x7ff0000000000000ull, 0x7f800000u, 0x7c00u, 0x7f80u };
    static const uint64_t magnitude[4] = { 0x7fffffffffffffffull, 0x7fffffffu, 0x7fffu, 0x7fffu };
    return (bits & magnitude[dtype]) > infinity[dtype];
}

static uint64_t bits_of_double(double x)
{
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static double double_of(uint64_t bits)
{
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

/* The f32 that a positive 16-bit code says; infinity's code stands for the number that it would be without infinity. */
static uint32_t value_of(int dtype, uint32_t code)
{
    if (dtype == BF16) return code << 16;
    const uint32_t exponent = code >> 10, fraction = code & 0x3ff;
    return bits_of_float((float)ldexp(exponent ? 1024 + fraction : fraction, (exponent ? (int)exponent : 1) - 25));
}

static uint32_t infinity_of(int dtype)
{
    return dtype == F16 ? 0x7c00u : 0x7f80u;
}

/* Half way from a positive code to the next one: for bf16 also from the largest to infinity. */
static uint32_t middle_of(int dtype, uint32_t code)
{
    if (dtype == BF16) return code << 16 | 0x8000u;
    const double low = (double)format_float(value_of(F16, code)), high = (double)format_float(value_of(F16, code + 1));
    return bits_of_float((float)((low + high) / 2));
}

/* Any f32, not a NaN, rounded to nearest even: by looking for the codes around it. */
static uint32_t rounded(int dtype, uint32_t bits)
{
    const uint32_t sign = bits >> 16 & 0x8000u, magnitude = bits & 0x7fffffffu;
    uint32_t low = 0, high = infinity_of(dtype);
    if (magnitude >= value_of(dtype, high)) return sign | high;
    while (high - low > 1) {
        const uint32_t middle = (low + high) / 2;
        if (value_of(dtype, middle) <= magnitude)
            low = middle;
        else
            high = middle;
    }
    const uint32_t half = middle_of(dtype, low);
    return sign | (low + (magnitude > half || (magnitude == half && (low & 1))));
}

/* ---- guarded memory ---------------------------------------------------------------------------------------------- */

static size_t size_of(int dtype)
{
    return dtype == F64 ? 8 : format_bytes(dtype);
}

static unsigned char *place(int which, size_t bytes, size_t element)
{
    if (end == HIGH) return slot[which].data + ROOM - bytes;
    return slot[which].data + (end == SHIFTED ? element : 0);
}

/* The canaries beside a place, where no guard page is. */
static int canaries(int which, size_t bytes, size_t element, int write)
{
    unsigned char *const first = slot[which].data, *const last = first + ROOM;
    unsigned char *const from = place(which, bytes, element), *const to = from + bytes;
    int intact = 1;
    for (unsigned char *p = from - first > SLACK ? from - SLACK : first; p < last && p < to + SLACK; p++) {
        if (p >= from && p < to && !write) continue;
        if (write)
            *p = CANARY;
        else
            intact &= *p == CANARY;
    }
    return intact;
}

static unsigned char *put(int which, int dtype, const uint64_t *elements, ptrdiff_t n)
{
    const size_t size = size_of(dtype);
    unsigned char *const at = place(which, (size_t)n * size, size);
    for (ptrdiff_t i = 0; i < n; i++) {
        if (dtype == F64)
            memcpy(at + 8 * i, &elements[i], 8);
        else
            format_store(dtype, at + (size_t)i * size, (uint32_t)elements[i]);
    }
    return at;
}

static unsigned char *room(int which, int dtype, ptrdiff_t n)
{
    canaries(which, (size_t)n * size_of(dtype), size_of(dtype), 1);
    return place(which, (size_t)n * size_of(dtype), size_of(dtype));
}

static void note(const char *what, int dtype, ptrdiff_t lane, uint64_t in, uint64_t got, uint64_t want)
{
    static const char *const names[] = { "f64", "f32", "f16", "bf16" };
    if (now.wrong++ < MOST_NOTES)
        bits_note("%s %s %s, %s: %s lane %ld, in %#llx, got %#llx, want %#llx", now.isa, now.vector, now.verb, what,
                  names[dtype], (long)lane, (unsigned long long)in, (unsigned long long)got, (unsigned long long)want);
}

/* What a verb wrote against what it should have. `in` is for the message. */
static void judge(int which, int dtype, const uint64_t *in, const uint64_t *want, ptrdiff_t n)
{
    static const char *const ends[] = { "at the low end", "at the high end", "shifted" };
    const size_t size = size_of(dtype);
    const unsigned char *const at = place(which, (size_t)n * size, size);
    for (ptrdiff_t i = 0; i < n; i++) {
        uint64_t got;
        if (dtype == F64)
            memcpy(&got, at + 8 * i, 8);
        else
            got = format_load(dtype, at + (size_t)i * size);
        if (got != want[i] && !(is_nan(dtype, got) && is_nan(dtype, want[i])))
            note(ends[end], dtype, i, in[i], got, want[i]);
    }
    if (!canaries(which, (size_t)n * size, size, 0)) note("wrote beside its elements", dtype, 0, 0, 0, 0);
    now.judged += n;
}

/* ---- calls: every argument in a slot of its own ------------------------------------------------------------------ */

static void unary(vocabulary_unary_fn *fn, int from, const uint64_t *in, int to, const uint64_t *want, ptrdiff_t n)
{
    fn(put(0, from, in, n), room(2, to, n));
    judge(2, to, in, want, n);
}

static void binary(vocabulary_binary_fn *fn, int from, const uint64_t *a, const uint64_t *b, int to,
                   const uint64_t *want, ptrdiff_t n, ptrdiff_t results)
{
    const unsigned char *const left = put(0, from, a, n), *const right = put(1, from, b, n);
    fn(left, right, room(2, to, results));
    judge(2, to, results == n ? a : want, want, results);
}

static void two(vocabulary_two_fn *fn, int from, const uint64_t *in, ptrdiff_t n, int to, const uint64_t *want0,
                const uint64_t *want1, ptrdiff_t results)
{
    const unsigned char *const at = put(0, from, in, n);
    unsigned char *const result0 = room(2, to, results), *const result1 = room(3, to, results);
    fn(at, result0, result1);
    judge(2, to, want0, want0, results);
    judge(3, to, want1, want1, results);
}

static void begin(const char *verb)
{
    now.verb = verb;
}

/* Streaming stores need their alignment. */
static int can_stream(void)
{
    return end != SHIFTED;
}

/* ---- points ------------------------------------------------------------------------------------------------------ */

/* Numbers to round, with what they round to, gathered until they fill a register. */
typedef struct gathering {
    const vocabulary_vector *vector;
    int dtype;
    ptrdiff_t n, lanes;
    uint64_t in[MOST], want[MOST];
} gathering;

static void shift_by_one(const uint64_t *from, uint64_t *to, ptrdiff_t n)
{
    for (ptrdiff_t i = 0; i < n; i++) to[i] = from[(i + 1) % n];
}

static void store_pairs(const gathering *g)
{
    uint64_t other[MOST], other_want[MOST], want[2 * MOST];
    shift_by_one(g->in, other, g->lanes);
    shift_by_one(g->want, other_want, g->lanes);
    for (ptrdiff_t i = 0; i < g->lanes; i++) want[2 * i] = g->want[i], want[2 * i + 1] = other_want[i];
    begin("store2");
    binary(g->vector->store2[g->dtype - ROPEROT_F32], F32, g->in, other, g->dtype, want, g->lanes, 2 * g->lanes);
    begin("stream2");
    if (can_stream())
        binary(g->vector->stream2[g->dtype - ROPEROT_F32], F32, g->in, other, g->dtype, want, g->lanes, 2 * g->lanes);
}

/* TWICE vectors can only show every second element, twice. */
static void store_all(gathering *g)
{
    const int d = g->dtype - ROPEROT_F32;
    for (ptrdiff_t i = 0; g->vector->family == VOCABULARY_DUP && i < g->lanes; i++)
        g->want[i] = g->want[i & ~(ptrdiff_t)1];
    begin("store");
    unary(g->vector->store[d], F32, g->in, g->dtype, g->want, g->lanes);
    begin("stream");
    if (can_stream()) unary(g->vector->stream[d], F32, g->in, g->dtype, g->want, g->lanes);
    if (g->vector->store2[d]) store_pairs(g);
    g->n = 0;
}

static void gather(gathering *g, uint32_t in, uint32_t want)
{
    g->in[g->n] = in;
    g->want[g->n] = want;
    if (++g->n == g->lanes) store_all(g);
}

static void gather_signs(gathering *g, uint32_t in, uint32_t want)
{
    gather(g, in, want);
    gather(g, in | 0x80000000u, want | 0x8000u);
}

static void finish(gathering *g)
{
    while (g->n) gather(g, 0, 0);
}

/* Codes, and everything between two of them that rounding must tell apart: neighbours of both, the tie and its. */
static void round_boundaries(const vocabulary_vector *vector, int dtype)
{
    gathering g = { .vector = vector, .dtype = dtype, .n = 0, .lanes = vector->lanes() };
    const uint32_t infinity = infinity_of(dtype), stride = end == HIGH ? 1 : 61;
    for (uint32_t code = 0; code < infinity; code += stride) {
        const uint32_t low = value_of(dtype, code), middle = middle_of(dtype, code), high = value_of(dtype, code + 1);
        gather_signs(&g, low, code);
        gather_signs(&g, low + 1, code);
        gather_signs(&g, middle - 1, code);
        gather_signs(&g, middle, code + (code & 1));
        gather_signs(&g, middle + 1, code + 1);
        gather_signs(&g, high - 1, code + 1);
    }
    gather_signs(&g, value_of(dtype, infinity - 1), infinity - 1);
    gather_signs(&g, 0x7f7fffffu, infinity); /* FLT_MAX is beyond both */
    gather_signs(&g, 0x7f800000u, infinity);
    if (dtype == F16) gather_signs(&g, 0x477ff000u, infinity); /* 65520 */
    finish(&g);
}

static void round_random(const vocabulary_vector *vector, int dtype)
{
    gathering g = { .vector = vector, .dtype = dtype, .n = 0, .lanes = vector->lanes() };
    uint64_t stream = random_stream(7, (uint64_t)dtype, 0);
    for (int i = 0; i < 4096; i++) {
        const uint32_t bits = i & 1 ? (uint32_t)random_next(&stream) : bits_element(F32, &stream);
        if (!is_nan(F32, bits)) gather(&g, bits, rounded(dtype, bits));
    }
    finish(&g);
}

/* Pairs of bf16 are rounded in halves: only a NaN whose lower half is zero is promised to stay one. */
static void round_nan(const vocabulary_vector *vector, int dtype)
{
    static const uint32_t nan[] = { 0x7fc00000u, 0x7f810000u, 0x7fff0000u, 0xffc00000u, 0xff810000u, 0xffff0000u,
                                    0x7f800001u, 0x7fc00001u, 0x7f808000u, 0x7fffffffu, 0x7fff8000u, 0xffffffffu };
    const int all = dtype != BF16 || vector->family == VOCABULARY_SWAP;
    gathering g = { .vector = vector, .dtype = dtype, .n = 0, .lanes = vector->lanes() };
    for (int i = 0; i < (all ? 12 : 6); i++) gather(&g, nan[i], 0x7fffu);
    finish(&g);
    if (dtype != BF16 || vector->family != VOCABULARY_PLANAR) return;
    for (int i = 6; i < 12; i++) {
        uint64_t in[MOST], want[MOST];
        for (ptrdiff_t lane = 0; lane < g.lanes; lane++)
            in[lane] = lane % 3 ? 0x3f800000u : nan[i], want[lane] = lane % 3 ? 0x3f80u : 0x7fffu;
        begin("store of a NaN");
        unary(vector->store[2], F32, in, BF16, want, g.lanes);
    }
}

/* ---- loads ------------------------------------------------------------------------------------------------------- */

static uint64_t widened(int dtype, uint32_t code)
{
    const uint32_t sign = code & 0x8000u, magnitude = code & 0x7fffu;
    if (dtype == BF16) return (uint64_t)code << 16;
    if (magnitude >= 0x7c00u) return sign << 16 | 0x7f800000u | (magnitude & 0x3ff) << 13;
    return sign << 16 | value_of(F16, magnitude);
}

static void load_all(const vocabulary_vector *vector, int dtype)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t in[2 * MOST], want[2 * MOST], want0[MOST], want1[MOST];
    const uint32_t stride = (uint32_t)lanes * (end == HIGH ? 1 : 7);
    for (uint32_t code = 0; code < 0x10000; code += stride) {
        for (ptrdiff_t i = 0; i < 2 * lanes; i++) {
            in[i] = (code + (uint32_t)i) & 0xffff;
            want[i] = widened(dtype, (uint32_t)in[i]);
        }
        for (ptrdiff_t i = 0; i < lanes; i++) want0[i] = want[2 * i], want1[i] = want[2 * i + 1];
        begin("load");
        unary(vector->load[dtype - ROPEROT_F32], dtype, in, F32, want, lanes);
        begin("load2");
        two(vector->load2[dtype - ROPEROT_F32], dtype, in, 2 * lanes, F32, want0, want1, lanes);
    }
}

/* Anything at all, NaN included: only the place of each element counts. */
static void move_f32(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t in[2 * MOST], want0[MOST], want1[MOST], stream = random_stream(8, 0, 0);
    for (int round = 0; round < 50; round++) {
        for (ptrdiff_t i = 0; i < 2 * lanes; i++) in[i] = random_next(&stream) & 0xffffffffu;
        for (ptrdiff_t i = 0; i < lanes; i++) want0[i] = in[2 * i], want1[i] = in[2 * i + 1];
        begin("load and store f32");
        unary(vector->load[0], F32, in, F32, in, lanes);
        begin("load2 f32");
        two(vector->load2[0], F32, in, 2 * lanes, F32, want0, want1, lanes);
        begin("store2 f32");
        binary(vector->store2[0], F32, want0, want1, F32, in, lanes, 2 * lanes);
        begin("stream2 f32");
        if (can_stream()) binary(vector->stream2[0], F32, want0, want1, F32, in, lanes, 2 * lanes);
        begin("stream f32");
        if (can_stream()) unary(vector->stream[0], F32, in, F32, in, lanes);
    }
}

/* ---- arithmetic -------------------------------------------------------------------------------------------------- */

enum { ADD, SUB, MUL };
static const char *const operation_names[] = { "add", "sub", "mul" };

/* volatile: one rounding per operation, whatever the optimiser would like. */
static uint32_t operate(int operation, uint32_t a, uint32_t b)
{
    volatile float x = format_float(a), y = format_float(b), result;
    if (operation == ADD)
        result = x + y;
    else if (operation == SUB)
        result = x - y;
    else
        result = x * y;
    return bits_of_float(result);
}

static vocabulary_binary_fn *operation_of(const vocabulary_vector *vector, int operation)
{
    return operation == ADD ? vector->add : operation == SUB ? vector->sub : vector->mul;
}

static void arithmetic(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t stream = random_stream(9, 0, 0), a[MOST], b[MOST], want[MOST];
    for (int round = 0; round < 3000 / (int)lanes + 20; round++)
        for (int operation = ADD; operation <= MUL; operation++) {
            if (!operation_of(vector, operation)) continue;
            for (ptrdiff_t i = 0; i < lanes; i++) {
                a[i] = bits_element(F32, &stream);
                b[i] = bits_element(F32, &stream);
            }
            for (ptrdiff_t i = 0; i < lanes; i++) {
                const ptrdiff_t j = vector->family == VOCABULARY_DUP ? i & ~(ptrdiff_t)1 : i;
                const uint32_t y = operate(operation, (uint32_t)a[j], (uint32_t)b[j]);
                want[i] = y;
                if (vector->family == VOCABULARY_EVEN_ODD) want[i] = is_nan(F32, y) ? 0x7fff : rounded(BF16, y);
            }
            begin(operation_names[operation]);
            const int to = vector->family == VOCABULARY_EVEN_ODD ? BF16 : F32;
            binary(operation_of(vector, operation), F32, a, b, to, want, lanes, lanes);
        }
}

static void masks(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t stream = random_stream(10, 0, 0), a[MOST], b[MOST], mask[MOST], kept[MOST], either[MOST];
    for (int round = 0; round < 200; round++) {
        for (ptrdiff_t i = 0; i < lanes; i++) {
            a[i] = bits_element(F32, &stream);
            b[i] = bits_element(F32, &stream) & 0x7fffffffu;
            mask[i] = random_next(&stream) & 1 ? 0xffffffffu : 0;
            kept[i] = a[i] & mask[i];
            either[i] = a[i] | b[i];
        }
        begin("and_mask");
        binary(vector->and_mask, F32, a, mask, F32, kept, lanes, lanes);
        begin("or");
        binary(vector->or, F32, a, b, F32, either, lanes, lanes);
    }
}

/* ---- interleaved vectors ----------------------------------------------------------------------------------------- */

static void factors(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes(), pairs = lanes / 2;
    const int is_dup = vector->family == VOCABULARY_DUP;
    uint64_t stream = random_stream(11, 0, 0), c[MOST], s[MOST], want0[MOST], want1[MOST];
    for (int round = 0; round < 200; round++) {
        for (ptrdiff_t i = 0; i < pairs; i++) {
            c[i] = bits_coefficient(&stream);
            s[i] = bits_coefficient(&stream);
            want0[2 * i] = c[i];
            want0[2 * i + 1] = is_dup ? s[i] : c[i];
            want1[2 * i] = s[i] ^ 0x80000000u;
            want1[2 * i + 1] = is_dup ? c[i] : s[i];
        }
        begin("lanes");
        const unsigned char *const cos = put(0, F32, c, pairs), *const sin = put(1, F32, s, pairs);
        unsigned char *const result0 = room(2, F32, lanes), *const result1 = room(3, F32, lanes);
        vector->coefficients(cos, sin, result0, result1);
        judge(2, F32, want0, want0, lanes);
        judge(3, F32, want1, want1, lanes);
    }
}

static void operands(const vocabulary_vector *vector, int dtype)
{
    const ptrdiff_t lanes = vector->lanes();
    const int is_dup = vector->family == VOCABULARY_DUP;
    uint64_t in[MOST], want0[MOST], want1[MOST];
    begin("operands");
    for (uint32_t code = 0; code < 0x10000; code += (uint32_t)lanes * (end == HIGH ? 1 : 7)) {
        uint64_t value[MOST];
        for (ptrdiff_t i = 0; i < lanes; i++) {
            in[i] = (code + (uint32_t)i) & 0xffff;
            if (dtype == F32) in[i] *= 0x10001u;
            value[i] = dtype == F32 ? in[i] : widened(dtype, (uint32_t)in[i]);
        }
        for (ptrdiff_t i = 0; i < lanes; i += 2) {
            want0[i] = value[i], want0[i + 1] = value[is_dup ? i : i + 1];
            want1[i] = value[i + 1], want1[i + 1] = value[is_dup ? i + 1 : i];
        }
        two(vector->load2[dtype - ROPEROT_F32], dtype, in, lanes, F32, want0, want1, lanes);
    }
}

/* ---- doubles ----------------------------------------------------------------------------------------------------- */

static uint64_t any_double(uint64_t *stream)
{
    static const uint64_t special[] = { 0,
                                        1,
                                        0x000fffffffffffffull,
                                        0x0010000000000000ull,
                                        0x3ff0000000000000ull,
                                        0x7fefffffffffffffull,
                                        0x7ff0000000000000ull,
                                        0x7ff8000000000000ull };
    const uint64_t random = random_next(stream), sign = random & 0x8000000000000000ull;
    if (random % 16 == 0) return sign | special[random >> 8 & 7];
    if (random % 16 < 4) return random;
    return sign | (0x3f0 + (random >> 40 & 31)) << 52 | (random >> 12 & 0xfffffffffffffull);
}

static uint64_t operate_double(int operation, uint64_t a, uint64_t b)
{
    volatile double x = double_of(a), y = double_of(b), result;
    if (operation == ADD)
        result = x + y;
    else if (operation == SUB)
        result = x - y;
    else
        result = x * y;
    return bits_of_double(result);
}

static void double_arithmetic(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t stream = random_stream(12, 0, 0), a[MOST], b[MOST], want[MOST];
    for (int round = 0; round < 2000; round++) {
        const int operation = round % 3;
        for (ptrdiff_t i = 0; i < lanes; i++) {
            a[i] = any_double(&stream);
            b[i] = any_double(&stream);
            want[i] = operate_double(operation, a[i], b[i]);
        }
        begin(operation_names[operation]);
        binary(operation_of(vector, operation), F64, a, b, F64, want, lanes, lanes);
        begin("load and store");
        unary(vector->copy, F64, a, F64, a, lanes);
        begin("set1");
        for (ptrdiff_t i = 0; i < lanes; i++) want[i] = a[0];
        vector->set1(put(0, F64, a, 1), room(2, F64, lanes));
        judge(2, F64, a, want, lanes);
    }
}

/* Ties between two floats, denormals and the overflow threshold among them, and the doubles next to the ties. */
static uint64_t near_tie(uint64_t *stream)
{
    const uint64_t random = random_next(stream);
    const uint32_t exponent = (random & 3) == 0 ? 0 : (random & 3) == 1 ? 254 : (uint32_t)(random >> 2) % 255;
    const uint32_t low = exponent << 23 | (random & 12 ? (uint32_t)(random >> 40) & 0x7fffff : 0x7fffff);
    const double next = low == 0x7f7fffffu ? 0x1p128 : (double)format_float(low + 1);
    const uint64_t tie = bits_of_double(((double)format_float(low) + next) / 2);
    return (tie + (random >> 16) % 3 - 1) | (random & 0x8000000000000000ull);
}

static void double_to_float(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t stream = random_stream(13, 0, 0), in[MOST], want[MOST];
    for (int round = 0; round < 4000; round++) {
        for (ptrdiff_t i = 0; i < lanes; i++) {
            in[i] = round % 4 ? near_tie(&stream) : any_double(&stream);
            volatile float y = (float)double_of(in[i]);
            want[i] = bits_of_float(y);
        }
        begin("store_f32");
        vector->store[0](put(0, F64, in, lanes), room(2, F32, lanes));
        judge(2, F32, in, want, lanes);
        begin("stream_f32");
        if (!can_stream()) continue;
        vector->stream[0](put(0, F64, in, lanes), room(2, F32, lanes));
        judge(2, F32, in, want, lanes);
    }
}

/* |x| < 8, zeros and multiples of pi/4 among them. */
static double angle(int round, uint64_t random)
{
    static const double special[] = { 0.0, -0.0, 0x1p-1074, -0x1p-1022, 0x1.921fb54442d18p-1, -0x1.921fb54442d18p-1 };
    if (round < 6) return special[round];
    if (round % 8 == 0) return (double)(random % 9) * 0x1.921fb54442d18p-1 * (random & 16 ? -1 : 1);
    return ldexp((double)(int64_t)random, -60 - (round % 40));
}

/* The scalar vector's bits on every lane, of SLEEF's function where there is one and of the built-in one, and that
 * vector within 2^-52 of libm. */
static void sincos_of(const vocabulary_vector *vector, const vocabulary_vector *scalar)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t stream = random_stream(14, 0, 0), in[MOST], s[MOST], c[MOST];
    begin("sincos");
    for (int round = 0; round < 1000; round++) {
        for (ptrdiff_t i = 0; i < lanes; i++) {
            const double x = angle(round, random_next(&stream));
            in[i] = bits_of_double(x);
            scalar->sincos(&in[i], &s[i], &c[i]);
            if (fabs(double_of(s[i]) - sin(x)) > 0x1p-52 || fabs(double_of(c[i]) - cos(x)) > 0x1p-52)
                note("far from libm", F64, i, in[i], s[i], bits_of_double(sin(x)));
        }
        two(vector->sincos, F64, in, lanes, F64, s, c, lanes);
        two(vector->sincos_fixed, F64, in, lanes, F64, s, c, lanes);
    }
}

/* ---- vectors ----------------------------------------------------------------------------------------------------- */

static void check_planar(const vocabulary_vector *vector)
{
    move_f32(vector);
    for (int dtype = F16; dtype <= BF16; dtype++) {
        load_all(vector, dtype);
        round_boundaries(vector, dtype);
        round_random(vector, dtype);
        round_nan(vector, dtype);
    }
    arithmetic(vector);
    if (vector->and_mask) masks(vector);
}

static void check_even_odd(const vocabulary_vector *vector)
{
    const ptrdiff_t lanes = vector->lanes();
    uint64_t in[MOST];
    begin("load and store bf16");
    for (uint32_t code = 0; code < 0x10000; code += (uint32_t)lanes) {
        for (ptrdiff_t i = 0; i < lanes; i++) in[i] = code + (uint32_t)i;
        unary(vector->load[2], BF16, in, BF16, in, lanes);
    }
    round_boundaries(vector, BF16);
    round_random(vector, BF16);
    round_nan(vector, BF16);
    arithmetic(vector);
}

static void check_interleaved(const vocabulary_vector *vector)
{
    factors(vector);
    arithmetic(vector);
    operands(vector, F32);
    for (int dtype = F16; vector->family == VOCABULARY_SWAP && dtype <= BF16; dtype++) {
        operands(vector, dtype);
        round_boundaries(vector, dtype);
        round_random(vector, dtype);
        round_nan(vector, dtype);
    }
    uint64_t stream = random_stream(15, 0, 0);
    gathering g = { .vector = vector, .dtype = F32, .n = 0, .lanes = vector->lanes() };
    for (int i = 0; i < 2000; i++) {
        const uint32_t bits = (uint32_t)random_next(&stream);
        gather(&g, bits, bits);
    }
    finish(&g);
}

static void check_doubles(const vocabulary_vector *vector)
{
    double_arithmetic(vector);
    double_to_float(vector);
    sincos_of(vector, vocabulary_scalar.vector[1]);
}

static void check_vector(const vocabulary_vector *vector)
{
    const long lanes = (long)vector->lanes();
    now.vector = vector->name;
    now.judged = now.wrong = 0;
    if (lanes < 1 || lanes > MOST / 2) bits_bail("%s %s has %ld lanes", now.isa, now.vector, lanes);
    for (end = LOW; end < ENDS; end++) switch (vector->family) {
        case VOCABULARY_PLANAR: check_planar(vector); break;
        case VOCABULARY_EVEN_ODD: check_even_odd(vector); break;
        case VOCABULARY_DOUBLES: check_doubles(vector); break;
        default: check_interleaved(vector);
        }
    bits_point(now.wrong != 0, "%s %s, %ld lanes: %ld elements judged, %ld wrong", now.isa, now.vector, lanes,
               now.judged, now.wrong);
}

/* ---- ISAs -------------------------------------------------------------------------------------------------------- */

#define VOCABULARY(isa, ISA) ROPEROT_IF_BUILT(ISA, &vocabulary_##isa, )
static const vocabulary *const vocabularies[] = { ROPEROT_ISA_LIST(VOCABULARY) };
enum { VOCABULARIES = sizeof vocabularies / sizeof *vocabularies };

#if defined __wasm__

/* The engine reports a trap. */
static void watch_faults(void) {}

#else

static void on_fault(int number)
{
    static const char text[] = "Bail out! a verb touched a guard page or is no instruction of this CPU: ";
    const char *const words[] = { text, now.isa, " ", now.vector, " ", now.verb, "\n" };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (write(1, words[i], (unsigned)strlen(words[i])) < 0) break; /* unsigned is what Windows takes */
    _exit(99 + (number == 0));
}

static void watch_faults(void)
{
    signal(SIGSEGV, on_fault);
    signal(SIGILL, on_fault);
#if defined SIGBUS /* not on Windows */
    signal(SIGBUS, on_fault);
#endif
}

#endif

static void check_isa(const vocabulary *v)
{
    now.isa = roperot_isa_name(v->isa);
    if (!roperot_isa_usable(v->isa)) {
        bits_skip(now.isa, roperot_isa_reason(v->isa));
        return;
    }
    for (int i = 0; v->vector[i]; i++) check_vector(v->vector[i]);
}

int main(void)
{
    int points = 0;
    watch_faults();
    for (int i = 0; i < SLOTS; i++) slot[i] = guard_buffer_open(ROOM, GUARD_LOW);
    for (int i = 0; i < VOCABULARIES; i++) {
        const int usable = roperot_isa_usable(vocabularies[i]->isa);
        for (int vector = 0; vector == 0 || (usable && vocabularies[i]->vector[vector]); vector++) points++;
    }
    bits_plan(points);
    for (int i = 0; i < VOCABULARIES; i++) check_isa(vocabularies[i]);
    return bits_end();
}
