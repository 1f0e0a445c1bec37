/* SPDX-License-Identifier: MIT
 * Tables of cos and sin from literal bits, and hashes of what plans make of them; it must not know rotations. */
#include "tables.h"

#include <stdio.h>
#include <string.h>

#include "bits.h"
#include "lists.h"

enum { ROWS = 7, PAIRS = 21, COLUMNS = 2 * PAIRS, MOST_BYTES = ROWS * 2 * COLUMNS * 4 };

/* ---- the table that rotations borrow ----------------------------------------------------------------------------- */

static float literal[2][TABLES_ROWS][TABLES_PAIRS];

static void make_literal(void)
{
    static int made;
    uint64_t stream = random_stream(3, 0, 0);
    if (made++) return;
    for (int half = 0; half < 2; half++)
        for (int row = 0; row < TABLES_ROWS; row++)
            for (int j = 0; j < TABLES_PAIRS; j++) {
                const uint32_t bits = bits_coefficient(&stream);
                memcpy(&literal[half][row][j], &bits, sizeof bits);
            }
}

roperot_table tables_literal(void)
{
    roperot_table table = ROPEROT_TABLE_INIT;
    make_literal();
    table.cos = literal[0];
    table.sin = literal[1];
    table.rows = TABLES_ROWS;
    table.row_stride = TABLES_PAIRS;
    return table;
}

roperot_row tables_literal_row(int64_t position)
{
    const roperot_row row = { literal[0][position], literal[1][position] };
    return row;
}

/* ---- layouts ----------------------------------------------------------------------------------------------------- */

enum { SEPARATE, JOINED, TURNS, LAYOUTS };
static const char *const layout_names[LAYOUTS] = { "separate", "cos||sin", "cos, sin in turns" };
static const char *const width_names[3] = { "half", "full halves", "full repeat" };

static roperot_table table_in(unsigned char *memory, int32_t dtype, int32_t width, int layout)
{
    roperot_table table = ROPEROT_TABLE_INIT;
    const int64_t columns = width == ROPEROT_TABLE_HALF ? PAIRS : COLUMNS, size = (int64_t)format_bytes(dtype);
    const int64_t apart = layout == SEPARATE ? ROWS * columns : layout == JOINED ? columns : 1;
    table.dtype = dtype;
    table.width = width;
    table.rows = ROWS;
    table.row_stride = layout == SEPARATE ? columns : 2 * columns;
    table.element_stride = layout == TURNS ? 2 : 1;
    table.cos = memory;
    table.sin = memory + apart * size;
    return table;
}

static void fill(unsigned char *memory, int32_t dtype)
{
    uint64_t stream = random_stream(4, (uint64_t)dtype, 0);
    for (size_t at = 0; at + format_bytes(dtype) <= MOST_BYTES; at += format_bytes(dtype)) {
        const uint32_t bits = bits_coefficient(&stream);
        /* The upper half of an f32 in [-1, 1] is a bf16 in [-1, 1]; for an f16, the same exponents, biased by 15. */
        const uint32_t half = (bits >> 16 & 0x8000) | ((bits >> 13) % 0x3c00u);
        format_store(dtype, memory + at, dtype == ROPEROT_F32 ? bits : dtype == ROPEROT_BF16 ? bits >> 16 : half);
    }
}

/* What a plan that borrows src writes as dst. */
static uint64_t through(int32_t isa, const roperot_table *src, const roperot_table *dst, double factor)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    config.head_dim = COLUMNS;
    config.table = src;
    config.attention_factor = factor;
    config.isa = isa;
    const roperot_positions from_0 = roperot_positions_offset(0);
    if (roperot_plan_create(&config, &plan) || roperot_cos_sin(plan, &from_0, 1, ROWS, dst))
        bits_bail("%s", roperot_last_error());
    roperot_plan_destroy(plan);
    uint64_t hash = BITS_HASH_START;
    const unsigned char *const first = dst->cos;
    for (size_t at = 0; at < MOST_BYTES; at += format_bytes(dst->dtype))
        hash = bits_hash_element(hash, dst->dtype, format_load(dst->dtype, first + at));
    return hash;
}

static void emit_one(int32_t isa, const roperot_table *src, int src_layout, int32_t dtype, int32_t width, int layout,
                     double factor, hashes_emit_fn *emit, void *ctx)
{
    char name[128];
    _Alignas(64) unsigned char memory[MOST_BYTES];
    for (size_t i = 0; i < MOST_BYTES; i += 4) format_store(ROPEROT_F32, memory + i, 0x01010101u);
    const roperot_table dst = table_in(memory, dtype, width, layout);
    snprintf(name, sizeof name, "table %s %s, %s -> %s %s, %s, A %g", format_name(src->dtype), width_names[src->width],
             layout_names[src_layout], format_name(dtype), width_names[width], layout_names[layout], factor);
    emit(ctx, name, NULL, through(isa, src, &dst, factor));
}

/* The next one of the first three, so that a new dtype does not change old hashes. */
static int32_t another(int32_t dtype)
{
    return dtype % 3 + ROPEROT_F32;
}

void tables_each(int32_t isa, hashes_emit_fn *emit, void *ctx)
{
    for (int32_t dtype = ROPEROT_F32; dtype < ROPEROT_DTYPE_END; dtype++) {
        _Alignas(64) unsigned char memory[MOST_BYTES];
        fill(memory, dtype);
        for (int32_t width = 0; width < 3; width++)
            for (int layout = 0; layout < LAYOUTS; layout++) {
                const roperot_table src = table_in(memory, dtype, width, layout);
                emit_one(isa, &src, layout, ROPEROT_F32, 0, SEPARATE, 1.0, emit, ctx);
                emit_one(isa, &src, layout, dtype, (width + 1) % 3, (layout + 1) % LAYOUTS, 1.2079, emit, ctx);
                emit_one(isa, &src, layout, another(dtype), (width + 2) % 3, layout, 0.75, emit, ctx);
            }
    }
}
