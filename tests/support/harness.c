/* SPDX-License-Identifier: MIT
 * The test runner over cmocka: cases, seeds, faults, quick mode; it must not know what roperot computes. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* mmap's flags, memfd_create, sigaltstack */
#endif
#include "support/harness.h"

#include "lists.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <roperot/roperot.h>

#include "support/random.h"

typedef struct harness_case {
    harness_case_fn *fn;
    const void *arg;
    char *name;
} harness_case;

static struct {
    harness_case *cases;
    size_t count, room;
    const char *program;
    const harness_case *running;
    uint64_t seed, state;
} run;

/* ---- seeds ------------------------------------------------------------------------------------------------------- */

uint64_t random_bits(void)
{
    return random_next(&run.state);
}

uint32_t random_below(uint32_t limit)
{
    return (uint32_t)(((random_bits() >> 32) * limit) >> 32);
}

double random_between(double low, double high)
{
    return low + (high - low) * (double)(random_bits() >> 11) * 0x1p-53;
}

void random_restart(const char *text)
{
    uint64_t hash = 0xcbf29ce484222325u ^ run.seed; /* FNV-1a: cases must not depend on their order */
    for (const char *c = text; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    run.state = hash;
}

/* ---- faults ------------------------------------------------------------------------------------------------------ */

static sigjmp_buf *volatile landing; /* of the innermost harness_faults */
static harness_fault last_fault;
static const int fault_signals[] = { SIGSEGV, SIGBUS, SIGILL };

/* snprintf and write: the process is broken already, the name of the case matters more than async-signal purity. */
static void on_fault(int number, siginfo_t *info, void *context)
{
    (void)context;
    last_fault = (harness_fault){ number, info->si_addr };
    if (landing) siglongjmp(*landing, 1);
    char text[400];
    const int length = snprintf(text, sizeof text, "Bail out! signal %d at %p in case %s (outside any guarded call)\n",
                                number, info->si_addr, harness_case_name());
    if (length > 0) {
        const size_t bytes = (size_t)length < sizeof text ? (size_t)length : sizeof text - 1;
        if (write(STDOUT_FILENO, text, bytes) < 0) _exit(98);
        if (write(STDERR_FILENO, text, bytes) < 0) _exit(98);
    }
    _exit(99);
}

/* Again for every case: cmocka installs its own handlers around each test. */
static void install_handlers(void)
{
    static unsigned char alternate[1 << 16]; /* a case may overflow its stack */
    const stack_t stack = { .ss_sp = alternate, .ss_size = sizeof alternate };
    sigaltstack(&stack, NULL);
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof fault_signals / sizeof *fault_signals; i++)
        sigaction(fault_signals[i], &action, NULL);
}

int harness_faults(void (*fn)(void *), void *arg, harness_fault *fault)
{
    sigjmp_buf here;
    sigjmp_buf *const outer = landing;
    /* No mask is saved: SA_NODEFER never blocks the signal, and sigprocmask per call would double the sweep's time. */
    if (sigsetjmp(here, 0)) {
        landing = outer;
        *fault = last_fault;
        return 1;
    }
    landing = &here;
    fn(arg);
    landing = outer;
    return 0;
}

/* ---- cases ------------------------------------------------------------------------------------------------------- */

const char *harness_case_name(void)
{
    return run.running ? run.running->name : "(no case)";
}

int harness_quick(void)
{
    static int quick = -1;
    const char *const text = getenv("ROPEROT_TEST_QUICK");
    if (quick < 0) quick = !text || !*text || strcmp(text, "0") == 0 ? 0 : strcmp(text, "1") == 0 ? 1 : 2;
    return quick;
}

int64_t harness_next(int64_t value)
{
    static const int64_t steps[] = { 1, 7, 17 }; /* coprime to every vector length */
    return value + (value > 18 ? steps[harness_quick()] : 1);
}

void harness_add(harness_case_fn *fn, const void *arg, const char *format, ...)
{
    char name[256];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);
    if (run.count == run.room) {
        run.room = run.room ? 2 * run.room : 64;
        run.cases = realloc(run.cases, run.room * sizeof *run.cases);
        if (!run.cases) abort();
    }
    run.cases[run.count++] = (harness_case){ fn, arg, strdup(name) };
}

void harness_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    const char *const isa = getenv("ROPEROT_ISA");
    static const char *const quick_words[] = { "", " ROPEROT_TEST_QUICK=1", " ROPEROT_TEST_QUICK=2" };
    fprintf(stderr, "# %s:%d: %s\n# replay: %s%s ROPEROT_TEST_SEED=0x%llx%s %s '%s'\n", file, line, text,
            isa ? "ROPEROT_ISA=" : "", isa ? isa : "", (unsigned long long)run.seed, quick_words[harness_quick()],
            run.program, harness_case_name());
    _fail(file, line);
    abort(); /* _fail does not return, but is not declared so */
}

static void run_case(void **state)
{
    run.running = *state;
    random_restart(run.running->name);
    install_handlers();
    run.running->fn(run.running->arg);
    run.running = NULL;
}

void harness_skip_all(const char *why)
{
    printf("1..0 # SKIP %s\n", why);
    exit(0);
}

/* A name that is no ISA is the business of the case that sets it: only known ones can be unusable. */
static void skip_unusable_isa(void)
{
    const char *const name = getenv("ROPEROT_ISA");
    for (int32_t isa = ROPEROT_ISA_SCALAR; name && isa < ROPEROT_ISA_END; isa++)
        if (strcmp(name, roperot_isa_name(isa)) == 0 && !roperot_isa_usable(isa)) {
            char why[300];
            snprintf(why, sizeof why, "ROPEROT_ISA=%s: %s", name, roperot_isa_reason(isa));
            harness_skip_all(why);
        }
}

/* The suites `forced` are `unit` once per ISA: forced to what AUTO means on this machine it would only repeat it. */
static void skip_repetition(void)
{
#define NUMBER(isa, ISA) ROPEROT_ISA_##ISA,
    static const int32_t best_first[] = { ROPEROT_ISA_LIST(NUMBER) };
#undef NUMBER
    const char *const name = getenv("ROPEROT_ISA");
    size_t i = 0;
    if (!name || !getenv("ROPEROT_TEST_FORCED")) return;
    while (i + 1 < ROPEROT_ISAS && !roperot_isa_usable(best_first[i])) i++;
    if (strcmp(name, roperot_isa_name(best_first[i])) != 0) return;
    char why[100];
    snprintf(why, sizeof why, "AUTO means %s on this machine: the suite unit has tested it", name);
    harness_skip_all(why);
}

int harness_run(int argc, char **argv, const char *group)
{
    const char *const seed = getenv("ROPEROT_TEST_SEED");
    run.seed = seed ? strtoull(seed, NULL, 0) : 20240229u;
    run.program = argv[0];
    skip_unusable_isa();
    skip_repetition();
    if (!getenv("CMOCKA_MESSAGE_OUTPUT")) cmocka_set_message_output(CM_OUTPUT_TAP);
    if (argc > 1) cmocka_set_test_filter(argv[1]);
    struct CMUnitTest *const tests = calloc(run.count + 1, sizeof *tests);
    if (!tests) abort();
    for (size_t i = 0; i < run.count; i++)
        tests[i] = (struct CMUnitTest){ run.cases[i].name, run_case, NULL, NULL, &run.cases[i] };
    const int failed = _cmocka_run_group_tests(group, tests, run.count, NULL, NULL);
    free(tests);
    for (size_t i = 0; i < run.count; i++) free(run.cases[i].name);
    free(run.cases);
    return failed != 0;
}
