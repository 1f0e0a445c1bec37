/* SPDX-License-Identifier: MIT
 * Google Benchmark as C sees it; it must not know what is measured. */
#ifndef BENCH_SHIM_H
#define BENCH_SHIM_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct shim_state shim_state;
typedef void shim_run(shim_state *state, const void *argument);

/* `argument` must outlive shim_main. Nothing is appended to the name. */
void shim_register(const char *name, shim_run *run, const void *argument);

/* True while the caller should go on: each true pays for `calls` calls of what is measured. */
int shim_keep_running(shim_state *state, int64_t calls);

/* What happens between pause and resume is in no time that is reported. Only inside a keep_running loop. */
void shim_pause(shim_state *state);
void shim_resume(shim_state *state);

/* The benchmark ends as an error with this sentence; the caller returns. */
void shim_skip(shim_state *state, const char *why);

void shim_counter(shim_state *state, const char *name, double value);

/* A line of the report's context, which the JSON file carries too. */
void shim_context(const char *key, const char *value);

/* Parses Google Benchmark's own flags (`min_time` is the default of one of them), runs what the filter selects.
 * Returns the exit status: 1 for a flag that nobody knows. */
int shim_main(int argc, char **argv, const char *min_time);

#ifdef __cplusplus
}
#endif
#endif
