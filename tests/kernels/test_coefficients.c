/* SPDX-License-Identifier: MIT
 * The coefficient kernels of every usable ISA against the scalar ones, bit for bit, in guarded memory; it must not know
 * plans. What the scalar ones return is judged by MPFR in test_cos_sin. */
#include <math.h>
#include <string.h>

#include <roperot/roperot.h>

#include "dispatch.h"
#include "lists.h"
#include "support/formats.h"
#include "support/guard.h"
#include "support/harness.h"

enum { MOST_PAIRS = 70, ROWS = 5, ROWS_BLENDED = 4 };

typedef struct inputs {
    const roperot_kernels *kernels, *scalar;
    ptrdiff_t pairs;
    int end, variant;
    guard_buffer inv_freq, entries, factors[3], rows[ROWS_BLENDED], masks; /* pushed against `end` */
    double scale, x;
} inputs;

typedef void compute(const inputs *in, const roperot_kernels *k, void *out);

/* What one operation needs: bytes of its output, how many variants, and the call. */
typedef struct operation {
    const char *name;
    size_t (*bytes)(ptrdiff_t pairs);
    compute *run;
    int variants;
} operation;

/* ---- the operations ---------------------------------------------------------------------------------------------- */

static size_t factor_rows(ptrdiff_t pairs)
{
    return ROWS * 2 * (size_t)pairs * sizeof(double);
}

/* Variants: level 0, 1, 2 from the start; entries in the middle of level 0, in two parts. */
static void run_factors(const inputs *in, const roperot_kernels *k, void *out)
{
    static const int shifts[] = { 0, 11, 21 };
    const double *const w = (const double *)(const void *)in->inv_freq.data;
    if (in->variant < 3) {
        k->factors(out, w, in->pairs, shifts[in->variant], 0, ROWS);
        return;
    }
    k->factors(out, w, in->pairs, 0, 0, 2);
    k->factors(out, w, in->pairs, 0, 2, ROWS);
}

static size_t one_row(ptrdiff_t pairs)
{
    return 2 * (size_t)pairs * sizeof(float);
}

/* Variants: one to three levels, the middle one missing; with and without a scale. */
static void run_combine(const inputs *in, const roperot_kernels *k, void *out)
{
    static const int present[4] = { 1, 3, 5, 7 };
    float *const row = out;
    const double *f[3];
    for (int i = 0; i < 3; i++)
        f[i] = present[in->variant / 2] >> i & 1 ? (const double *)(const void *)in->factors[i].data : NULL;
    k->combine(row, row + in->pairs, f, in->pairs, in->pairs, in->variant % 2 ? in->scale : 1.0);
}

static size_t some_rows(ptrdiff_t pairs)
{
    return ROWS * one_row(pairs);
}

/* Variants as above, without and with streams, which rows of 8 pairs and more may be aligned for. */
static void run_combine_rows(const inputs *in, const roperot_kernels *k, void *out)
{
    const double *f[3] = { (const double *)(const void *)in->entries.data, NULL, NULL };
    for (int i = 1; i < 3; i++)
        if (in->variant / 4 >= i) f[i] = (const double *)(const void *)in->factors[i].data;
    k->combine_rows(out, 2 * in->pairs, f, in->pairs, ROWS, in->variant % 2 ? in->scale : 1.0, in->variant / 2 % 2);
    k->fence();
}

/* Each row is what combine makes of its entry. */
static void rows_are_combined(const void *arg)
{
    const roperot_kernels *const k = arg;
    enum { PAIRS = 19, STRIDE = 40 };
    double table[ROWS * 2 * PAIRS], high[2 * PAIRS];
    float got[ROWS * STRIDE], want[2 * PAIRS];
    for (int i = 0; i < ROWS * 2 * PAIRS; i++) table[i] = random_between(-1, 1);
    for (int i = 0; i < 2 * PAIRS; i++) high[i] = random_between(-1, 1);
    for (int i = 0; i < ROWS * STRIDE; i++) got[i] = 7;
    const double *const f[3] = { table, high, NULL };
    k->combine_rows(got, STRIDE, f, PAIRS, ROWS, 1.25, 1);
    k->fence();
    for (int i = 0; i < ROWS; i++) {
        const double *const g[3] = { table + (ptrdiff_t)i * 2 * PAIRS, high, NULL };
        k->combine(want, want + PAIRS, g, PAIRS, PAIRS, 1.25);
        CHECK(memcmp(got + (ptrdiff_t)i * STRIDE, want, sizeof want) == 0, "row %d", i);
        for (int j = 2 * PAIRS; j < STRIDE; j++) CHECK(got[i * STRIDE + j] == 7, "row %d: wrote beside it", i);
    }
}

/* Variants: 0, small, huge coordinates. */
static void run_angles(const inputs *in, const roperot_kernels *k, void *out)
{
    const double x[3] = { 0.0, in->x, in->x * 0x1p20 };
    float *const row = out;
    k->angles(row, row + in->pairs, x[in->variant], (const double *)(const void *)in->inv_freq.data, in->pairs,
              in->scale);
}

/* Variants: one to four axes; whose sums cancel but for their low parts. Axes beyond the first take the doubles of
 * `entries`, ROWS of them. */
static void run_angles_mixed(const inputs *in, const roperot_kernels *k, void *out)
{
    const double x[4] = { in->x, -in->x * 0x1p19, floor(in->x * 0x1p20), in->x - 1000 };
    const double cancelling[2] = { in->x * 0x1p20, -in->x * 0x1p20 };
    float *const row = out;
    const double *const w = (const double *)(const void *)in->entries.data;
    if (in->variant < 4)
        k->angles_mixed(row, row + in->pairs, x, in->variant + 1, w, in->pairs, in->pairs, in->scale);
    else
        k->angles_mixed(row, row + in->pairs, cancelling, 2, w, 0, in->pairs, in->scale);
}

static void run_angles_f32(const inputs *in, const roperot_kernels *k, void *out)
{
    const double x[3] = { 0.0, floor(in->x), floor(in->x * 0x1p18) };
    float *const row = out;
    k->angles_f32(row, row + in->pairs, (float)x[in->variant], (const double *)(const void *)in->inv_freq.data,
                  in->pairs, (float)in->scale);
}

/* Variants: to a row of its own; over the other row. */
static void run_blend(const inputs *in, const roperot_kernels *k, void *out)
{
    const float *rows[ROWS_BLENDED];
    float *const cos = out, *const sin = cos + in->pairs;
    for (int i = 0; i < ROWS_BLENDED; i++) rows[i] = (const float *)(const void *)in->rows[i].data;
    const uint32_t *const mask = (const uint32_t *)(const void *)in->masks.data;
    const roperot_row own = { rows[0], rows[1] }, other = { rows[2], rows[3] }, over = { cos, sin };
    if (in->variant == 1) {
        memcpy(cos, other.cos, (size_t)in->pairs * sizeof *cos);
        memcpy(sin, other.sin, (size_t)in->pairs * sizeof *sin);
    }
    k->blend(cos, sin, &own, in->variant == 1 ? &over : &other, mask, mask + in->pairs, in->pairs);
}

static const operation operations[] = {
    { "factors", factor_rows, run_factors, 4 },
    { "combine", one_row, run_combine, 8 },
    { "combine_rows", some_rows, run_combine_rows, 12 },
    { "angles", one_row, run_angles, 3 },
    { "angles_f32", one_row, run_angles_f32, 3 },
    { "angles_mixed", one_row, run_angles_mixed, 5 },
    { "blend", one_row, run_blend, 2 },
};

/* ---- inputs ------------------------------------------------------------------------------------------------------ */

static guard_buffer doubles(ptrdiff_t count, int end, double low, double high)
{
    const guard_buffer buffer = guard_buffer_open((size_t)count * sizeof(double), end);
    for (ptrdiff_t i = 0; i < count; i++) {
        const double value = random_below(12) ? random_between(low, high) : 0.0; /* a frequency may be 0 */
        memcpy(buffer.data + (size_t)i * sizeof value, &value, sizeof value);
    }
    return buffer;
}

static guard_buffer floats(ptrdiff_t count, int end)
{
    const guard_buffer buffer = guard_buffer_open((size_t)count * sizeof(float), end);
    for (ptrdiff_t i = 0; i < count; i++)
        format_store(1, buffer.data + (size_t)i * sizeof(float), (uint32_t)random_bits());
    return buffer;
}

/* A mask of all ones or 0, and its inverse. */
static void fill_masks(inputs *in)
{
    in->masks = guard_buffer_open(2 * (size_t)in->pairs * sizeof(uint32_t), in->end);
    for (ptrdiff_t j = 0; j < in->pairs; j++) {
        const uint32_t mask = random_below(2) ? UINT32_MAX : 0;
        format_store(1, in->masks.data + sizeof mask * (size_t)j, mask);
        format_store(1, in->masks.data + sizeof mask * (size_t)(in->pairs + j), ~mask);
    }
}

static void open_inputs(inputs *in)
{
    in->inv_freq = doubles(in->pairs, in->end, -1.5, 1.5);
    in->entries = doubles(ROWS * 2 * in->pairs, in->end, -1.0, 1.0);
    for (int i = 0; i < 3; i++) in->factors[i] = doubles(2 * in->pairs, in->end, -1.0, 1.0);
    for (int i = 0; i < ROWS_BLENDED; i++) in->rows[i] = floats(in->pairs, in->end);
    fill_masks(in);
    in->scale = random_between(0.5, 2);
    in->x = random_between(0, 2000);
}

static void close_inputs(inputs *in)
{
    guard_buffer_close(&in->inv_freq);
    guard_buffer_close(&in->entries);
    for (int i = 0; i < 3; i++) guard_buffer_close(&in->factors[i]);
    for (int i = 0; i < ROWS_BLENDED; i++) guard_buffer_close(&in->rows[i]);
    guard_buffer_close(&in->masks);
}

/* ---- the comparison ---------------------------------------------------------------------------------------------- */

typedef struct attempt {
    const inputs *in;
    compute *run;
    void *out;
} attempt;

static void guarded_run(void *arg)
{
    const attempt *const a = arg;
    a->run(a->in, a->in->kernels, a->out);
}

static void compare(const operation *op, const inputs *in)
{
    const size_t bytes = op->bytes(in->pairs);
    guard_buffer got = guard_buffer_open(bytes, in->end), want = guard_buffer_open(bytes, GUARD_HIGH);
    const attempt a = { in, op->run, got.data };
    harness_fault fault;
    op->run(in, in->scalar, want.data);
    CHECK(!harness_faults(guarded_run, (void *)(uintptr_t)&a, &fault), "%td pairs, variant %d, end %d: signal %d at %p",
          in->pairs, in->variant, in->end, fault.signal, fault.address);
    for (size_t i = 0; i < bytes; i += sizeof(float))
        CHECK(memcmp(got.data + i, want.data + i, sizeof(float)) == 0 ||
                  format_same(1, format_load(1, got.data + i), format_load(1, want.data + i)),
              "%td pairs, variant %d, end %d: word %zu differs from scalar's", in->pairs, in->variant, in->end,
              i / sizeof(float));
    CHECK(guard_buffer_intact(&got), "%td pairs, variant %d, end %d: wrote beside its row", in->pairs, in->variant,
          in->end);
    guard_buffer_close(&got);
    guard_buffer_close(&want);
}

typedef struct coefficient_case {
    const operation *op;
    const roperot_kernels *kernels, *scalar;
} coefficient_case;

static void equals_scalar(const void *arg)
{
    const coefficient_case *const c = arg;
    for (ptrdiff_t pairs = 1; pairs <= MOST_PAIRS; pairs = (ptrdiff_t)harness_next(pairs))
        for (int variant = 0; variant < c->op->variants; variant++)
            for (int end = 0; end < 2; end++) {
                inputs in = {
                    .kernels = c->kernels, .scalar = c->scalar, .pairs = pairs, .end = end, .variant = variant
                };
                open_inputs(&in);
                compare(c->op, &in);
                close_inputs(&in);
            }
}

/* Row 0 is exactly (1, +0), whatever the frequencies. */
static void first_row_is_one(const void *arg)
{
    const roperot_kernels *const k = arg;
    double w[9], table[2 * 2 * 9];
    for (int j = 0; j < 9; j++) w[j] = random_between(-3, 3);
    k->factors(table, w, 9, 11, 0, 2);
    for (int j = 0; j < 9; j++)
        CHECK(table[j] == 1.0 && table[9 + j] == 0.0 && !signbit(table[9 + j]), "pair %d: %a, %a", j, table[j],
              table[9 + j]);
}

/* The scalar blend against its definition, since nothing else judges it. */
static void scalar_blend(const void *arg)
{
    const roperot_kernels *const k = arg;
    inputs in = { .kernels = k, .scalar = k, .pairs = 37, .end = GUARD_HIGH, .variant = 0 };
    float out[2 * 37];
    open_inputs(&in);
    run_blend(&in, k, out);
    for (ptrdiff_t i = 0; i < 2 * in.pairs; i++) {
        const ptrdiff_t j = i % in.pairs, second = i / in.pairs;
        const ptrdiff_t row = (format_load(1, in.masks.data + 4 * j) ? 0 : 2) + second;
        CHECK(format_bits(out[i]) == format_load(1, in.rows[row].data + 4 * j), "number %td is not row %td's", i, row);
    }
    close_inputs(&in);
}

int main(int argc, char **argv)
{
    static coefficient_case cases[sizeof operations / sizeof *operations * ROPEROT_ISAS];
    size_t count = 0;
    const roperot_kernels *const scalar = roperot_kernels_for(ROPEROT_ISA_SCALAR);
    harness_add(scalar_blend, scalar, "blend/definition");
    for (int32_t isa = ROPEROT_ISA_SCALAR; isa < ROPEROT_ISA_END; isa++) {
        if (!roperot_isa_usable(isa)) continue;
        const roperot_kernels *const k = roperot_kernels_for(isa);
        harness_add(first_row_is_one, k, "factors/first-row/%s", k->name);
        harness_add(rows_are_combined, k, "combine_rows/each/%s", k->name);
        for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
            cases[count] = (coefficient_case){ &operations[i], k, scalar };
            harness_add(equals_scalar, &cases[count++], "%s/%s", operations[i].name, k->name);
        }
    }
    return harness_run(argc, argv, "coefficients");
}
