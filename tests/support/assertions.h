/* SPDX-License-Identifier: MIT
 * What tests of the public interface assert over and over; it must not know what a rotation gives. */
#ifndef ROPEROT_TESTS_ASSERTIONS_H
#define ROPEROT_TESTS_ASSERTIONS_H

#include <stdint.h>

#include <roperot/roperot.h>

/* roperot_plan_create that must succeed. */
roperot_plan *expect_plan(const roperot_config *config);

/* Fails the case unless status is `want` and roperot_last_error is a sentence that names the argument and its value. */
void expect_error(int32_t status, int32_t want, const char *argument, const char *value);

#endif
