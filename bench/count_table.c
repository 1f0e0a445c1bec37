/* SPDX-License-Identifier: MIT
 * Builds one FULL table of 64 pairs, of as many positions as the argument says, for bench/qemu_count.c; the difference
 * to one position is what the table takes. It must not know what is counted.
 *
 *   aarch64-linux-gnu-gcc -static -O2 -Iinclude bench/count_table.c build-aarch64-static/libroperot.a -lm \
 *       -o count_table
 */
#include <errno.h>
#include <roperot/roperot.h>
#include <stdio.h>
#include <stdlib.h>

/* A positive number and nothing behind it, else 0. */
static int64_t number_of(const char *text)
{
    char *end;
    errno = 0;
    const long long number = strtoll(text, &end, 10);
    return errno || end == text || *end || number < 1 ? 0 : number;
}

int main(int argc, char **argv)
{
    const int64_t positions = argc == 2 ? number_of(argv[1]) : 0;
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    if (!positions) {
        fprintf(stderr, "usage: count_table POSITIONS, which must be at least 1\n");
        return 2;
    }
    config.head_dim = 128;
    config.base = 500000.0;
    config.cache = ROPEROT_CACHE_FULL;
    config.max_positions = positions;
    if (roperot_plan_create(&config, &plan) != ROPEROT_OK) {
        fprintf(stderr, "%s\n", roperot_last_error());
        return 1;
    }
    roperot_plan_destroy(plan);
    return 0;
}
