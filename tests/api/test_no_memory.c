/* SPDX-License-Identifier: MIT
 * The library as a plugin in a process whose allocator refuses for good: an error and its sentence, never an abort. It
 * must not call the library that it is linked to (the harness's): thread-local data of what dlopen loads is of another
 * kind. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <roperot/roperot.h>

#include "support/harness.h"

#if defined __GLIBC__

/* ---- the allocator of the whole process, the dynamic linker's calls included ------------------------------------- */

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *old, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static _Atomic long allowed = -1; /* so many more calls succeed; negative: all */

static int refused(void)
{
    if (atomic_load(&allowed) < 0) return 0;
    if (atomic_fetch_sub(&allowed, 1) > 0) return 0;
    atomic_store(&allowed, 0);
    return 1;
}

void *malloc(size_t bytes)
{
    return refused() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return refused() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *old, size_t bytes)
{
    return refused() ? NULL : __libc_realloc(old, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return refused() ? NULL : __libc_memalign(alignment, bytes);
}

/* ---- the library, by name ---------------------------------------------------------------------------------------- */

static struct {
    int32_t (*plan_create)(const roperot_config *, roperot_plan **);
    void (*plan_destroy)(roperot_plan *);
    int32_t (*apply)(const roperot_plan *, const roperot_positions *, const roperot_tensor *, const roperot_tensor *,
                     int32_t, const roperot_options *);
    int32_t (*run)(const roperot_plan *, const roperot_positions *, const roperot_job *, int32_t,
                   const roperot_options *);
    const char *(*last_error)(void);
} library;

static void *symbol(void *handle, const char *name)
{
    void *const found = dlsym(handle, name);
    CHECK(found, "no %s", name);
    return found;
}

static void load(void)
{
    void *const handle = dlopen(getenv("ROPEROT_LIBRARY"), RTLD_NOW | RTLD_LOCAL);
    CHECK(handle, "%s", dlerror());
    *(void **)&library.plan_create = symbol(handle, "roperot_plan_create");
    *(void **)&library.plan_destroy = symbol(handle, "roperot_plan_destroy");
    *(void **)&library.apply = symbol(handle, "roperot_apply");
    *(void **)&library.run = symbol(handle, "roperot_run");
    *(void **)&library.last_error = symbol(handle, "roperot_last_error");
}

/* ---- what fails for the first time in its thread ----------------------------------------------------------------- */

enum { DIM = 8 };

typedef struct failure {
    const char *name;
    long allowed;
    int32_t want;
    const char *sentence; /* begins so */
    int jobs;             /* fails in roperot_run */
} failure;

static const failure failures[] = {
    { "no plan", 0, ROPEROT_ERROR_MEMORY, "no memory", 0 },
    { "a plan without frequencies", 1, ROPEROT_ERROR_MEMORY, "no memory", 0 },
    { "a plan without a cache", 2, ROPEROT_ERROR_MEMORY, "no memory", 0 },
    { "a wrong dtype", -2, ROPEROT_ERROR_DTYPE, "src[0].dtype", 0 },
    { "a wrong job", -2, ROPEROT_ERROR_DTYPE, "jobs[0].src.dtype", 1 },
};

static int32_t fail(const failure *f)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = DIM;
    config.max_positions = 4;
    roperot_plan *plan = NULL;
    if (f->allowed >= 0) {
        atomic_store(&allowed, f->allowed);
        return library.plan_create(&config, &plan);
    }
    if (library.plan_create(&config, &plan)) return -1;
    float x[DIM] = { 1 };
    const roperot_tensor view = roperot_tensor_shd(x, 99, 1, 1, DIM);
    const roperot_positions at = roperot_positions_offset(1);
    roperot_job job = ROPEROT_JOB_INIT;
    job.src = job.dst = &view;
    atomic_store(&allowed, 0);
    return f->jobs ? library.run(plan, &at, &job, 1, NULL) : library.apply(plan, &at, &view, NULL, 1, NULL);
}

enum { RIGHT = 0, WRONG_STATUS = 1, WRONG_SENTENCE = 2 };

static void *judge(void *arg)
{
    const failure *const f = arg;
    const int32_t status = fail(f);
    const char *const sentence = library.last_error();
    const size_t length = strlen(f->sentence);
    return (void *)(uintptr_t)(status != f->want                            ? WRONG_STATUS
                               : strncmp(sentence, f->sentence, length) != 0 ? WRONG_SENTENCE
                                                                             : RIGHT);
}

/* A process of its own: the C library's answer is to end it. */
static void refuses_for_good(const void *arg, int own_thread)
{
    const pid_t child = fork();
    CHECK(child >= 0, "fork");
    if (child == 0) {
        pthread_t thread;
        void *verdict = NULL;
        load();
        if (!own_thread)
            verdict = judge((void *)(uintptr_t)arg);
        else if (pthread_create(&thread, NULL, judge, (void *)(uintptr_t)arg) || pthread_join(thread, &verdict))
            _exit(99);
        _exit((int)(uintptr_t)verdict);
    }
    int ended;
    CHECK(waitpid(child, &ended, 0) == child, "waitpid");
    CHECK(WIFEXITED(ended) && WEXITSTATUS(ended) != 127 && !WIFSIGNALED(ended), "the process was ended (%#x)",
          (unsigned)ended);
    CHECK(WEXITSTATUS(ended) == RIGHT, "%s",
          WEXITSTATUS(ended) == WRONG_STATUS ? "another status" : "another sentence");
}

static void in_main_thread(const void *arg)
{
    refuses_for_good(arg, 0);
}

static void in_own_thread(const void *arg)
{
    refuses_for_good(arg, 1);
}

int main(int argc, char **argv)
{
    if (!getenv("ROPEROT_LIBRARY")) harness_skip_all("ROPEROT_LIBRARY names no library");
    for (size_t i = 0; i < sizeof failures / sizeof *failures; i++) {
        harness_add(in_main_thread, &failures[i], "%s, in the main thread", failures[i].name);
        harness_add(in_own_thread, &failures[i], "%s, in a thread of its own", failures[i].name);
    }
    return harness_run(argc, argv, "no memory");
}

#else

int main(void)
{
    harness_skip_all("the allocator is replaced through names of glibc");
}

#endif
