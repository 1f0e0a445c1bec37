/* SPDX-License-Identifier: MIT
 * Tensors in guarded memory, filled from and read into plain arrays of bits; it must not know what is done to them. */
#ifndef ROPEROT_TESTS_VIEWS_H
#define ROPEROT_TESTS_VIEWS_H

#include <stddef.h>
#include <stdint.h>

#include <roperot/roperot.h>

#include "guard.h"

enum { VIEWS_BSHD, VIEWS_BHSD };

/* How a view lies in memory: order of its axes; elements between rows; bit i: stride[i] is negative; GUARD_LOW or
 * GUARD_HIGH: the end of the memory that it touches. */
typedef struct views_layout {
    int order, gap, backwards, end;
} views_layout;

/* Memory for one view at a time, full of canaries wherever no view's element is. */
guard_buffer views_open(size_t bytes);

roperot_tensor views_place(const guard_buffer *memory, views_layout layout, int32_t dtype, const int64_t shape[4]);
/* Elements in the order of the shape. */
void views_fill(const roperot_tensor *view, const uint32_t *elements);
/* Reads them and puts canaries in their places. */
void views_take(const roperot_tensor *view, uint32_t *elements);
/* 1 if only canaries are left. */
int views_clean(const guard_buffer *memory);

#endif
