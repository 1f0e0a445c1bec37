/* SPDX-License-Identifier: MIT
 * roperot-bench: registers the benchmarks and states where they run; it must not know how anything is measured.
 */
#include <roperot/roperot.h>
#include <stdio.h>
#include <string.h>

#include "groups.h"
#include "isas.h"
#include "shapes.h"
#include "shim.h"

/* Short, because every chunk is compared with the chunk beside it: some 700 chunks settle a median. */
static const char min_time[] = "0.05";

/* The first line of a file that starts with `prefix`, from its value on; "" if there is none. */
static void value_in_file(const char *path, const char *prefix, char *value, size_t size)
{
    char line[512];
    FILE *const file = fopen(path, "r");
    value[0] = '\0';
    if (file == NULL) return;
    while (value[0] == '\0' && fgets(line, sizeof line, file) != NULL) {
        if (strncmp(line, prefix, strlen(prefix)) != 0) continue;
        const char *start = line + strlen(prefix);
        start += strspn(start, " \t:");
        snprintf(value, size, "%.*s", (int)strcspn(start, "\n"), start);
    }
    fclose(file);
}

static void describe_machine(void)
{
    char value[256];
    value_in_file("/proc/cpuinfo", "model name", value, sizeof value);
    if (value[0] != '\0') shim_context("cpu", value);
    value_in_file("/sys/kernel/mm/transparent_hugepage/enabled", "", value, sizeof value);
    shim_context("transparent_huge_pages", value[0] != '\0' ? value : "unknown");
    value_in_file("/proc/version", "", value, sizeof value);
    if (value[0] != '\0') shim_context("kernel", value);
}

int main(int argc, char **argv)
{
    const char *const best = roperot_isa_name(roperot_isa_best());
    describe_machine();
    shim_context("roperot", roperot_build_info());
    shim_context("isa", best != NULL ? best : "none");
    shim_context("clock", "CPU time of the thread (two threads: CLOCK_MONOTONIC), alternating chunks of 100 us");
    shim_context("counters", "GB/s: tensor bytes read + written; sweep_ratio, copy_ratio: the loop's median time over "
                             "roperot's; full_ratio: FACTORED's over FULL's; plain_ratio: M-RoPE's over plain RoPE's, "
                             "a cold call's over the ten-line loop's; chain_ratio: a job's time over that of separate "
                             "calls, rotation_ratio: over roperot_apply's, bf16_ratio: over that with bf16 pages; "
                             "ns: median per call");
    bench_shapes_describe();
    bench_isas_describe();
    bench_register_rotate();
    bench_register_growth();
    bench_register_mrope();
    bench_register_cold();
    bench_register_run();
    bench_register_step();
    bench_register_naive();
    bench_register_caches();
    bench_register_build();
    bench_register_reference();
#ifdef BENCH_HAVE_GGML
    bench_register_ggml();
    bench_register_ggml_chain();
#endif
    return shim_main(argc, argv, min_time);
}
