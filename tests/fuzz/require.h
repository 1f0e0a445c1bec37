/* SPDX-License-Identifier: MIT
 * How a fuzz target ends the process where something is wrong; it must not know what. */
#ifndef ROPEROT_FUZZ_REQUIRE_H
#define ROPEROT_FUZZ_REQUIRE_H

#include <stdio.h>
#include <stdlib.h>

#include <roperot/roperot.h>

#define REQUIRE(condition, ...)                                                                                        \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #condition);                                            \
            fprintf(stderr, __VA_ARGS__);                                                                              \
            fprintf(stderr, "\nlast error: %s\n", roperot_last_error());                                               \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif
