/* SPDX-License-Identifier: MIT
 * Tensors under test: guarded memory with a view on it, filled by seed; it must not know what rotation does. */
#ifndef ROPEROT_TESTS_SUBJECT_H
#define ROPEROT_TESTS_SUBJECT_H

#include <stdint.h>

#include <roperot/roperot.h>

#include "guard.h"

typedef struct subject {
    guard_buffer memory;
    roperot_tensor view;
} subject;

enum { SUBJECT_BSHD, SUBJECT_BHSD, SUBJECT_HSBD, SUBJECT_ORDERS };

/* How a view lies in memory: the order of its axes, elements left between rows, and which axes run backwards. */
typedef struct subject_layout {
    int order, end; /* SUBJECT_...; GUARD_LOW or GUARD_HIGH */
    int64_t gap;    /* after every row of dim elements; odd ones leave only the element's alignment */
    int backwards;  /* bit i: stride[i] is negative */
} subject_layout;

/* Random numbers of the dtype, zeros and denormals among them; the gaps keep the guard's canaries. */
subject subject_open(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim, subject_layout layout);
/* The plainest one. */
subject subject_plain(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim);
/* The same bytes elsewhere, with the same view on them. */
subject subject_clone(const subject *from);
/* Complements every element of the view: what is not written will show. */
void subject_spoil(subject *it);
void subject_close(subject *it);

/* Fails the case unless both hold the same bytes, views, gaps and canaries included (two NaN are equal). */
void subject_check_equal(const subject *got, const subject *want, const char *what);

/* Address of an element of a view. */
unsigned char *subject_at(const roperot_tensor *view, int64_t b, int64_t t, int64_t h, int64_t d);

#endif
