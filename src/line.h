/* SPDX-License-Identifier: MIT
 * The lines of a job: all its heads of a range of tokens, to each destination in its own way; it must not know how
 * ranges are made. */
#ifndef ROPEROT_LINE_H
#define ROPEROT_LINE_H

#include "tiles.h"

/* A program of tiles.h; the operand's program is a roperot_task. */
void roperot_run_lines(const roperot_operand *operand, const roperot_lines *lines);

#endif
