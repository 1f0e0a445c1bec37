/* SPDX-License-Identifier: MIT
 * The benchmarks build/full/<isa>/<positions> and startup/dlopen-plan: what a plan costs; it must not know a rotation.
 */
#include <roperot/roperot.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "groups.h"
#include "isas.h"
#include "measure.h"
#include "rotation.h"
#include "stage.h"
#include "sweeps.h"

#ifdef __GLIBC__
#include <malloc.h>
#endif

extern char **environ;

/* Of 64 pairs: 16 MiB and 64 MiB, which the allocator can keep. */
static const int64_t sizes[] = { 32768, 131072 };
enum { DIM = 128, ANGLES = 1024, FAULTS_ALLOWED = 64, FRESH_BUILDS = 5, STARTS = 15, NAME = 64 };

typedef struct build_case {
    char name[NAME];
    int32_t isa;
    int64_t positions;
} build_case;

typedef struct build_side {
    bench_choice choice;
    const char *failure;
} build_side;

typedef struct sincos_side {
    const bench_sweeps *sweeps;
    double angle[ANGLES], sines[ANGLES], cosines[ANGLES];
} sincos_side;

/* ---- the two sides ---------------------------------------------------------------------------------------------- */

static void run_build(void *self, int64_t calls)
{
    build_side *const side = self;
    for (int64_t i = 0; i < calls; ++i) {
        roperot_plan *plan;
        const char *const why = bench_plan_create(&plan, DIM, &side->choice);
        if (why != NULL) side->failure = why;
        roperot_plan_destroy(plan);
    }
}

static void run_sincos(void *self, int64_t calls)
{
    sincos_side *const s = self;
    for (int64_t i = 0; i < calls; ++i) s->sweeps->sincos(s->angle, s->sines, s->cosines, ANGLES);
}

/* Angles as the library's own recipe would reduce them: within one turn, where sincos is at its fastest. */
static void set_angles(sincos_side *side)
{
    for (int i = 0; i < ANGLES; ++i) side->angle[i] = -3.1 + 6.2 * i / ANGLES;
}

/* ---- pages: kept by the allocator, or fresh from the system ----------------------------------------------------- */

#ifdef __GLIBC__
static void keep_freed_pages(void)
{
    mallopt(M_MMAP_MAX, 0);
    mallopt(M_TRIM_THRESHOLD, 1 << 30);
}

static void return_freed_pages(void)
{
    mallopt(M_MMAP_MAX, 65536);
    mallopt(M_MMAP_THRESHOLD, 128 << 10);
    mallopt(M_TRIM_THRESHOLD, 128 << 10);
    malloc_trim(0);
}
#else
static void keep_freed_pages(void)
{
}
static void return_freed_pages(void)
{
}
#endif

static long page_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_minflt;
}

static double pairs_of(const build_side *side)
{
    return (double)side->choice.max_positions * (DIM / 2);
}

/* ns per pair when every page must be touched for the first time. */
static double fresh_build(build_side *side)
{
    double ns[FRESH_BUILDS];
    return_freed_pages();
    for (int i = 0; i < FRESH_BUILDS; ++i) {
        const double start = bench_cpu_now();
        run_build(side, 1);
        ns[i] = (bench_cpu_now() - start) / pairs_of(side);
    }
    return bench_median(ns, FRESH_BUILDS);
}

/* ---- build/full/<isa>/<positions> ------------------------------------------------------------------------------- */

static void measure_build(shim_state *state, const build_case *c, build_side *build, sincos_side *sincos)
{
    const double fresh = fresh_build(build);
    const bench_side sides[2] = { { run_build, build, 0 }, { run_sincos, sincos, 0 } };
    bench_times times;
    keep_freed_pages();
    run_build(build, 8); /* until the allocator has settled: aligned tables first move about */
    const long faults = page_faults();
    run_build(build, 1);
    const long new_faults = page_faults() - faults;
    bench_measure(state, c, sides, 2, (bench_refresh){ NULL, NULL }, &times);
    return_freed_pages();
    if (build->failure != NULL || new_faults > FAULTS_ALLOWED) {
        shim_skip(state, build->failure != NULL ? build->failure : "the pages were not present; the run is void");
        return;
    }
    bench_report(state, &times, 0);
    shim_counter(state, "ns_per_pair", times.median[0] / pairs_of(build));
    shim_counter(state, "ns_per_sincos", times.median[1] / ANGLES);
    shim_counter(state, "sincos_ratio", times.median[0] / pairs_of(build) / (times.median[1] / ANGLES));
    shim_counter(state, "first_touch_ns_per_pair", fresh);
}

static void run_build_case(shim_state *state, const void *argument)
{
    const build_case *const c = argument;
    static sincos_side sincos;
    build_side build = { .choice = { .dtype = ROPEROT_F32, .pairing = ROPEROT_PAIR_HALF, .isa = c->isa,
                                     .cache = ROPEROT_CACHE_FULL, .max_positions = c->positions } };
    const char *const isa = roperot_isa_name(c->isa);
    bench_stage_enter(NULL);
    sincos.sweeps = bench_sweeps_for(isa);
    set_angles(&sincos);
    if (!roperot_isa_usable(c->isa)) shim_skip(state, roperot_isa_reason(c->isa));
    else if (sincos.sweeps == NULL || sincos.sweeps->sincos == NULL) shim_skip(state, "no SLEEF sincos for this build");
    else measure_build(state, c, &build, &sincos);
}

static void register_build(int32_t isa)
{
    enum { SIZES = sizeof sizes / sizeof *sizes };
    static build_case cases[ROPEROT_ISAS * SIZES];
    static size_t used;
    for (int i = 0; i < SIZES; i++) {
        build_case *const c = &cases[used++];
        c->isa = isa;
        c->positions = sizes[i];
        snprintf(c->name, sizeof c->name, "build/full/%s/%lldk", roperot_isa_name(isa), (long long)sizes[i] / 1024);
        shim_register(c->name, run_build_case, c);
    }
}

/* ---- startup/dlopen-plan ---------------------------------------------------------------------------------------- */

/* The helper is beside this program, the library one level up, both as the build leaves them. */
static int beside_program(char *path, size_t size, const char *relative)
{
    const ssize_t length = readlink("/proc/self/exe", path, size - 1);
    if (length <= 0) return 0;
    path[length] = '\0';
    char *const slash = strrchr(path, '/');
    if (slash == NULL || (size_t)(slash + 1 - path) + strlen(relative) >= size) return 0;
    memcpy(slash + 1, relative, strlen(relative) + 1);
    return access(path, R_OK) == 0;
}

/* Runs the helper in a process of its own and reads the ns that it prints; < 0: it failed. */
static double start_once(char *helper, char *library)
{
    char *const arguments[] = { helper, library, NULL };
    posix_spawn_file_actions_t actions;
    int ends[2], status = 1;
    pid_t child;
    double ns = -1;
    if (pipe(ends) != 0) return -1;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    const int failed = posix_spawn(&child, helper, &actions, NULL, arguments, environ);
    close(ends[1]);
    FILE *const output = fdopen(ends[0], "r");
    if (!failed && (output == NULL || fscanf(output, "%lf", &ns) != 1)) ns = -1;
    if (!failed) waitpid(child, &status, 0);
    if (output != NULL) fclose(output);
    posix_spawn_file_actions_destroy(&actions);
    return status == 0 ? ns : -1;
}

static void run_startup(shim_state *state, const void *argument)
{
    char helper[4096], library[4096];
    double ns[STARTS];
    struct stat file;
    (void)argument;
    bench_stage_enter(NULL);
    if (!beside_program(helper, sizeof helper, "roperot-bench-startup") ||
        !beside_program(library, sizeof library, "../libroperot.so")) {
        shim_skip(state, "libroperot.so or the helper is not where the build puts it");
        return;
    }
    for (int i = 0; i < STARTS; ++i) {
        ns[i] = start_once(helper, library);
        if (ns[i] >= 0) continue;
        shim_skip(state, "the helper could not load the library and create a plan");
        return;
    }
    while (shim_keep_running(state, 1)) start_once(helper, library);
    shim_counter(state, "ns", bench_median(ns, STARTS));
    shim_counter(state, "ns_min", ns[0]);
    if (stat(library, &file) == 0) shim_counter(state, "library_bytes", (double)file.st_size);
}

void bench_register_build(void)
{
    bench_each_isa(register_build);
    shim_register("startup/dlopen-plan", run_startup, NULL);
}
