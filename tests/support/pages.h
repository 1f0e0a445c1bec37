/* SPDX-License-Identifier: MIT
 * Pages of memory that trap when they are touched, in the words of each operating system; it must not know what for. */
#ifndef ROPEROT_TESTS_PAGES_H
#define ROPEROT_TESTS_PAGES_H

#include <stddef.h>

/* What the functions below count in. */
size_t pages_bytes(void);

/* Addresses that trap, whole pages; NULL if there are none left. WebAssembly has no such thing: ordinary memory. */
unsigned char *pages_reserve(size_t bytes);
/* Makes whole pages of them readable and writable; 0 on success. */
int pages_open(unsigned char *at, size_t bytes);
void pages_release(unsigned char *at, size_t bytes);

#endif
