/* SPDX-License-Identifier: MIT
 * What one roperot_apply must do, element by element, from the plan's published coefficients; it must not share code
 * with src/ (it asks roperot_cos_sin for cos and sin, which test_cos_sin judges by MPFR). */
#ifndef ROPEROT_TESTS_REFERENCE_APPLY_H
#define ROPEROT_TESTS_REFERENCE_APPLY_H

#include <stdint.h>

#include <roperot/roperot.h>

/* One call. `position` is what the test itself decoded: [axes][batch * tokens]. */
typedef struct reference_call {
    const roperot_config *config;
    const int64_t *position;
    const double *coordinate; /* instead of position, if not NULL */
    uint32_t flags;           /* of roperot_options */
    int64_t begin, end;       /* its token range; end 0 = all */
    int through;              /* EAGER: the dtype that every step is rounded to; 0: that of src */
} reference_call;

/* Rotates src into dst. src may be dst (in place). */
void reference_apply(const reference_call *call, const roperot_tensor *src, const roperot_tensor *dst);

#endif
