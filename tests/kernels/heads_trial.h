/* SPDX-License-Identifier: MIT
 * The judge of the kernels of heads: one table, one verdict; it must not know which ISA it judges. */
#ifndef ROPEROT_TESTS_HEADS_TRIAL_H
#define ROPEROT_TESTS_HEADS_TRIAL_H

#include "heads.h"

/* NULL if every kernel of the table did exactly what the literal norm, rounding or code does, for many counts of
 * channels and heads and values that hurt, and touched nothing else; otherwise a sentence (static storage). */
const char *heads_trial(const roperot_head_kernels *kernels);

#endif
