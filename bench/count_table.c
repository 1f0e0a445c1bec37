/* SPDX-License-Identifier: MIT
 * Builds one FULL table of 64 pairs, of as many positions as the argument says, for bench/qemu_count.c; the difference
 * to one position is what the table takes.
 *
 *   aarch64-linux-gnu-gcc -static -O2 -Iinclude bench/count_table.c build-aarch64-static/libroperot.a -lm \
 *       -o count_table
 */
#include <roperot/roperot.h>
#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan;
    config.head_dim = 128;
    config.base = 500000.0;
    config.cache = ROPEROT_CACHE_FULL;
    config.max_positions = argc > 1 ? strtoll(argv[1], NULL, 10) : 1;
    if (roperot_plan_create(&config, &plan) != ROPEROT_OK) {
        fprintf(stderr, "%s\n", roperot_last_error());
        return 1;
    }
    roperot_plan_destroy(plan);
    return 0;
}
