/* SPDX-License-Identifier: MIT
 * Walking the tokens of a checked call: tile by tile for roperot_apply, or range by range for a program; it must not
 * know views, threads, or how a tile or a program is computed. */
#ifndef ROPEROT_TILES_H
#define ROPEROT_TILES_H

#include "coefficient_rows.h"

typedef struct roperot_operand roperot_operand;

/* A range of tokens with its rows, for a program. */
typedef struct roperot_lines {
    const roperot_row_source *source;
    const roperot_row *rows; /* of all pairs and heads of each token; NULL: there is not one for all of them, or none */
    roperot_scratch *scratch;
    roperot_token_range range;
} roperot_lines;

/* What is done with the lines of an operand, instead of a rotation by tiles. */
typedef void roperot_lines_fn(const roperot_operand *operand, const roperot_lines *lines);

/* One pair of views as tiles want it: channel 0 of element [0, 0, 0], strides in bytes. */
struct roperot_operand {
    const char *src;
    char *dst;
    int64_t src_batch, src_token, src_head, dst_batch, dst_token, dst_head, heads;
    int32_t src_dtype, dst_dtype;
    int32_t in_place;          /* dst is src: channels and tokens that are not rotated need no copy */
    int32_t loop;              /* ROPEROT_LOOP_... */
    roperot_rotate_fn *rotate; /* what is done with a tile; nothing of this and above, but dst strides, with a
                                  program */
    const void *program;       /* what the walk's `run` takes */
};

enum { ROPEROT_OPERANDS = 4 };

typedef struct roperot_walk {
    const roperot_plan *plan;
    roperot_row_source rows;
    int64_t tokens;  /* of a sequence */
    int32_t in, out; /* pairings: the plan's, or for the transpose the other way round */
    roperot_lines_fn *run; /* a program of several kernels (norm, rotate, store) for every operand; NULL: tiles */
    int32_t operands;
    roperot_operand operand[ROPEROT_OPERANDS];
} roperot_walk;

/* Tokens [begin, end), index b * tokens + t. */
void roperot_walk_tokens(const roperot_walk *walk, int64_t begin, int64_t end);

#endif
