/* SPDX-License-Identifier: MIT
 * The test runner over cmocka: cases, seeds, faults, quick mode; it must not know what roperot computes. */
#ifndef ROPEROT_TESTS_HARNESS_H
#define ROPEROT_TESTS_HARNESS_H

#include <stddef.h>
#include <stdint.h>

/* ---- cases ------------------------------------------------------------------------------------------------------- */

typedef void harness_case_fn(const void *arg);

/* Adds a case named by the format. `arg` is handed to fn and must outlive the run. */
void harness_add(harness_case_fn *fn, const void *arg, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Runs every case (argv[1], a cmocka pattern such as 'f16*avx2', selects) and returns the exit status of main. An ISA
 * forced by ROPEROT_ISA that this machine cannot run ends in TAP `1..0 # SKIP why`: never a pass. */
int harness_run(int argc, char **argv, const char *group);

/* The rest of the process cannot run here: TAP SKIP and exit, before any case ran. */
_Noreturn void harness_skip_all(const char *why);

/* Fails the running case with a sentence and the command that replays it. */
_Noreturn void harness_fail(const char *file, int line, const char *format, ...) __attribute__((format(printf, 3, 4)));

#define CHECK(condition, ...)                                                                                          \
    do {                                                                                                               \
        if (!(condition)) harness_fail(__FILE__, __LINE__, __VA_ARGS__);                                               \
    } while (0)

/* The name of the running case. */
const char *harness_case_name(void);

/* ROPEROT_TEST_QUICK: 0, or 1 or 2 for thinner sweeps of the same parameters: 1 suits sanitizers, 2 emulators, whose
 * every system call and every double-precision step is some thirty times slower. */
int harness_quick(void);

/* The next value of a sweep variable: itself + 1, or a few more in quick mode so that every residue still occurs. */
int64_t harness_next(int64_t value);

/* ---- seeds: one stream per case, from (ROPEROT_TEST_SEED or a fixed default, case name) -------------------------- */

uint64_t random_bits(void);
uint32_t random_below(uint32_t limit);
double random_between(double low, double high);
/* Restarts the stream: (seed, text) decide, as they do at the start of every case. */
void random_restart(const char *text);

/* ---- faults ------------------------------------------------------------------------------------------------------ */

typedef struct harness_fault {
    int signal;
    const void *address;
} harness_fault;

/* Calls fn(arg); 1 if it ran into SIGSEGV, SIGBUS or SIGILL (then *fault says which and where), else 0. */
int harness_faults(void (*fn)(void *), void *arg, harness_fault *fault);

#endif
