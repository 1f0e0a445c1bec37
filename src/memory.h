/* SPDX-License-Identifier: MIT
 * Memory for a plan's tables; it must not know what is stored in it. */
#ifndef ROPEROT_MEMORY_H
#define ROPEROT_MEMORY_H

#include <stdint.h>

/* Aligned to cache lines; NULL if there is none. Only roperot_memory_free may free it. Large tables are aligned to huge
 * pages and asked to be made of them: first touch and TLB misses are most of their cost otherwise. */
void *roperot_memory_allocate(int64_t bytes);
void roperot_memory_free(void *memory); /* NULL is fine */

/* ROPEROT_ERROR_MEMORY if `bytes` is more than a quarter of what this machine has. `what` begins the sentence. */
int32_t roperot_memory_check(int64_t bytes, const char *what);

#endif
