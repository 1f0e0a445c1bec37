/* SPDX-License-Identifier: MIT
 * Walking the tokens of a checked call: tile by tile for roperot_apply, or range by range for a program; it must not
 * know views, threads, or how a tile or a program is computed. */
#include "tiles.h"

#include "compiler.h"
#include "convert.h"
#include "lists.h"
#include "numbers.h"

/* Tokens and pairs of one tile. */
typedef struct walk_step {
    const roperot_walk *walk;
    roperot_token_range range;
    roperot_pair_block block;
    roperot_row rows[ROPEROT_TILE_TOKENS];
} walk_step;

static const char *src_of(const roperot_operand *o, const roperot_token_range *range, int32_t k)
{
    return o->src + (range->b + (range->across ? k : 0)) * o->src_batch +
           (range->t + (range->across ? 0 : k)) * o->src_token;
}

static char *dst_of(const roperot_operand *o, const roperot_token_range *range, int32_t k)
{
    return o->dst + (range->b + (range->across ? k : 0)) * o->dst_batch +
           (range->t + (range->across ? 0 : k)) * o->dst_token;
}

/* ---- what is not rotated ----------------------------------------------------------------------------------------- */

static void copy_others(const walk_step *step, const roperot_operand *o)
{
    const roperot_walk *const w = step->walk;
    const roperot_plan *const plan = w->plan;
    const roperot_heads_copy copy = { o->heads, o->src_head, o->dst_head, o->src_dtype, o->dst_dtype };
    for (int32_t k = 0; k < step->range.count; k++) {
        const char *const src = src_of(o, &step->range, k);
        char *const dst = dst_of(o, &step->range, k);
        if (!step->rows[k].cos) roperot_convert_pairs(&copy, src, dst, plan->rotary_offset, plan->pairs, w->in, w->out);
        if (plan->rotary_dim != plan->head_dim)
            roperot_convert_beside(&copy, src, dst, plan->rotary_offset, plan->rotary_dim, plan->head_dim);
    }
}

/* ---- tiles ------------------------------------------------------------------------------------------------------- */

/* The tokens that are rotated. */
static int64_t list_tokens(const walk_step *step, const roperot_operand *o, roperot_token *token)
{
    const roperot_token_range *const range = &step->range;
    const int64_t src_stride = range->across ? o->src_batch : o->src_token;
    const int64_t dst_stride = range->across ? o->dst_batch : o->dst_token;
    const char *const src = src_of(o, range, 0) + step->block.head * o->src_head;
    char *const dst = dst_of(o, range, 0) + step->block.head * o->dst_head;
    int64_t n = 0;
    for (int32_t k = 0; k < range->count; k++)
        if (step->rows[k].cos)
            token[n++] =
                (roperot_token){ step->rows[k].cos, step->rows[k].sin, src + k * src_stride, dst + k * dst_stride };
    return n;
}

/* Not inlined: its list of tokens must not lie on the stack while rows are made, nor while programs run. */
static ROPEROT_NOINLINE void run_operand(const walk_step *step, const roperot_operand *o)
{
    const roperot_plan *const plan = step->walk->plan;
    roperot_token token[ROPEROT_TILE_TOKENS];
    const int64_t dst_stride = step->range.across ? o->dst_batch : o->dst_token;
    roperot_tile tile;
    tile.token = token;
    tile.tokens = list_tokens(step, o, token);
    tile.heads = plan->heads ? 1 : o->heads;
    tile.pairs = step->block.count;
    tile.src_head = o->src_head;
    tile.dst_head = o->dst_head;
    tile.src_first = plan->rotary_offset + step->block.first * (step->walk->in == ROPEROT_PAIR_INTERLEAVED ? 2 : 1);
    tile.dst_first = plan->rotary_offset + step->block.first * (step->walk->out == ROPEROT_PAIR_INTERLEAVED ? 2 : 1);
    tile.src_half = tile.dst_half = plan->pairs;
    tile.loop = o->loop;
    tile.heads_outer = step->range.count > 1 && roperot_magnitude(dst_stride) < roperot_magnitude(o->dst_head);
    if (tile.tokens == 0) return;
    o->rotate(&tile);
}

static inline void run_range(walk_step *step, roperot_scratch *scratch)
{
    const roperot_walk *const w = step->walk;
    const int32_t pairs = w->plan->pairs;
    step->block.head = 0;
    do { /* once, or for each head that has rows of its own */
        for (step->block.first = 0; step->block.first < pairs; step->block.first += w->rows.block_pairs) {
            const int32_t left = pairs - step->block.first;
            step->block.count = left < w->rows.block_pairs ? left : w->rows.block_pairs;
            roperot_rows_make(&w->rows, &step->range, step->block, scratch, step->rows);
            for (int32_t i = 0; i < w->operands; i++) run_operand(step, &w->operand[i]);
        }
    } while (++step->block.head < w->plan->heads);
    for (int32_t i = 0; i < w->operands; i++)
        if (!w->operand[i].in_place) copy_others(step, &w->operand[i]);
}

/* The same range for programs. Rows are made before if there is one for all heads of a token that fits the scratch. */
static void run_programs(walk_step *step, roperot_scratch *scratch)
{
    const roperot_walk *const w = step->walk;
    roperot_lines lines = { &w->rows, NULL, scratch, step->range };
    if (w->rows.positions && w->rows.block_pairs == w->plan->pairs && !w->plan->heads) {
        step->block = (roperot_pair_block){ 0, w->plan->pairs, 0 };
        roperot_rows_make(&w->rows, &step->range, step->block, scratch, step->rows);
        lines.rows = step->rows;
    }
    for (int32_t i = 0; i < w->operands; i++) w->run(&w->operand[i], &lines);
}

static ROPEROT_NOINLINE void walk_with(float *values, const roperot_walk *walk, int64_t begin, int64_t end)
{
    roperot_scratch scratch;
    const int64_t tokens = walk->tokens, most = walk->rows.tile_tokens;
    walk_step step;
    roperot_scratch_init(&scratch, values);
    step.walk = walk;
    step.range = (roperot_token_range){ .b = begin, .t = 0, .across = tokens == 1, .count = 0 };
    if (begin < tokens)
        step.range.b = 0, step.range.t = begin;
    else if (tokens > 1)
        step.range.b = begin / tokens, step.range.t = begin % tokens;
    while (begin < end) {
        int64_t n = end - begin < most ? end - begin : most;
        if (tokens > 1 && n > tokens - step.range.t) n = tokens - step.range.t;
        step.range.count = (int32_t)n;
        if (walk->run)
            run_programs(&step, &scratch);
        else
            run_range(&step, &scratch);
        begin += n;
        if (tokens == 1)
            step.range.b += n;
        else if ((step.range.t += n) == tokens)
            step.range.t = 0, step.range.b++;
    }
}

/* Not inlined: a scratch is nearly all of the stack that a rotation may take, and a third of what a program may. */
static ROPEROT_NOINLINE void walk_rotations(const roperot_walk *walk, int64_t begin, int64_t end)
{
    _Alignas(64) float values[ROPEROT_SCRATCH_FLOATS];
    walk_with(values, walk, begin, end);
}

static ROPEROT_NOINLINE void walk_programs(const roperot_walk *walk, int64_t begin, int64_t end)
{
    _Alignas(64) float values[ROPEROT_PROGRAM_FLOATS];
    walk_with(values, walk, begin, end);
}

void roperot_walk_tokens(const roperot_walk *walk, int64_t begin, int64_t end)
{
    if (walk->run)
        walk_programs(walk, begin, end);
    else
        walk_rotations(walk, begin, end);
}
