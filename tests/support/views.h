/* SPDX-License-Identifier: MIT
 * Views on memory by layout: where their elements are, filled from and read into plain arrays of bits; it must not know
 * what is done to them. */
#ifndef ROPEROT_TESTS_VIEWS_H
#define ROPEROT_TESTS_VIEWS_H

#include <stddef.h>
#include <stdint.h>

#include <roperot/roperot.h>

#include "support/guard.h"

enum { VIEWS_BSHD, VIEWS_BHSD, VIEWS_HSBD, VIEWS_ORDERS };

/* How a view lies in memory: the order of its axes, GUARD_LOW or GUARD_HIGH as the end that it touches, elements left
 * after every row of dim (odd ones leave only the element's alignment), and bit i: stride[i] is negative. */
typedef struct views_layout {
    int order, end;
    int64_t gap;
    int backwards;
} views_layout;

/* The view without data: shape and strides. Returns the elements that it spans (0 of an empty one). */
int64_t views_shape(roperot_tensor *view, views_layout layout, int32_t dtype, const int64_t shape[4]);
/* The view whose lowest byte is at `first`. */
void views_put(roperot_tensor *view, unsigned char *first);
/* Address of an element. */
unsigned char *views_at(const roperot_tensor *view, int64_t b, int64_t t, int64_t h, int64_t d);

/* ---- one memory for many views, one after the other -------------------------------------------------------------- */

/* Full of canaries wherever no view's element is. */
guard_buffer views_open(size_t bytes);
/* The view at layout.end of the memory; its data is NULL if it does not fit. */
roperot_tensor views_place(const guard_buffer *memory, views_layout layout, int32_t dtype, const int64_t shape[4]);
/* Elements in the order of the shape. */
void views_fill(const roperot_tensor *view, const uint32_t *elements);
/* Reads them and puts canaries in their places. */
void views_take(const roperot_tensor *view, uint32_t *elements);
/* 1 if only canaries are left. */
int views_clean(const guard_buffer *memory);

#endif
