/* SPDX-License-Identifier: MIT
 * Tensors under test: guarded memory with a view on it, filled by seed; it must not know what rotation does. */
#ifndef ROPEROT_TESTS_GUARDED_TENSOR_H
#define ROPEROT_TESTS_GUARDED_TENSOR_H

#include <stdint.h>

#include <roperot/roperot.h>

#include "support/views.h"

typedef struct guarded_tensor {
    guard_buffer memory;
    roperot_tensor view;
} guarded_tensor;

/* Random numbers of the dtype, zeros and denormals among them; the gaps keep the guard's canaries. */
guarded_tensor guarded_tensor_open(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim,
                                   views_layout layout);
/* The plainest one. */
guarded_tensor guarded_tensor_plain(int32_t dtype, int64_t batch, int64_t tokens, int64_t heads, int64_t dim);
/* The same bytes elsewhere, with the same view on them. */
guarded_tensor guarded_tensor_clone(const guarded_tensor *from);
/* Complements every element of the view: what is not written will show. */
void guarded_tensor_spoil(guarded_tensor *it);
void guarded_tensor_close(guarded_tensor *it);

/* Fails the case unless both hold the same bytes, views, gaps and canaries included (two NaN are equal). */
void guarded_tensor_check_equal(const guarded_tensor *got, const guarded_tensor *want, const char *what);

#endif
