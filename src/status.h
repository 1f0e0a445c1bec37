/* SPDX-License-Identifier: MIT
 * How library code reports failure: a status and one sentence per thread; it must not know what failed. */
#ifndef ROPEROT_STATUS_H
#define ROPEROT_STATUS_H

#include <roperot/roperot.h>

#if defined __GNUC__
#define ROPEROT_COLD         __attribute__((cold, noinline))
#define ROPEROT_PRINTF(f, a) __attribute__((format(printf, f, a), cold, noinline))
#else
#define ROPEROT_COLD
#define ROPEROT_PRINTF(f, a)
#endif

/* Stores the sentence for roperot_last_error and returns `status`: `return roperot_fail(ROPEROT_ERROR_SHAPE, "...")`.
 * The sentence names the argument, its value and what is allowed. */
int32_t roperot_fail(int32_t status, const char *format, ...) ROPEROT_PRINTF(2, 3);

/* An argument that is NULL and must point to a `type`; a plan, which only roperot_plan_create makes. */
int32_t roperot_null_error(const char *argument, const char *type) ROPEROT_COLD;
int32_t roperot_null_plan_error(void) ROPEROT_COLD;

/* A member that is a number: "<name>.<field> is <value>; it must be <allowed>". In a list, the struct is name[index]
 * and the member that points to it ("" or ".norm"). */
int32_t roperot_field_error(const char *name, const char *field, int64_t value, const char *allowed) ROPEROT_COLD;
int32_t roperot_field_error_at(const char *name, int32_t index, const char *member, const char *field, int64_t value,
                               const char *allowed) ROPEROT_COLD;

/* The rule of every struct that starts with `size`: known is sizeof here, first is the size it was first published
 * with. OK, or ROPEROT_ERROR_VERSION with a sentence that names the struct as above. */
int32_t roperot_check_size(const void *data, uint32_t first, uint32_t known, const char *name);
int32_t roperot_check_size_at(const void *data, uint32_t first, uint32_t known, const char *name, int32_t index,
                              const char *member);

#endif
