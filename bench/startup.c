/* SPDX-License-Identifier: MIT
 * Prints how many ns it takes to load the library and create a first plan (dim 128, FACTORED); it must link nothing of
 * what it loads, so that every run pays for all of it.
 */
#include <dlfcn.h>
#include <roperot/roperot.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

typedef int32_t create_fn(const roperot_config *, roperot_plan **);

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return 1e9 * (double)time.tv_sec + (double)time.tv_nsec;
}

int main(int argc, char **argv)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    roperot_plan *plan = NULL;
    create_fn *create;
    config.head_dim = 128;
    config.cache = ROPEROT_CACHE_FACTORED;
    if (argc != 2) return 2;
    const double start = now();
    void *const library = dlopen(argv[1], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL) return 1;
    void *const symbol = dlsym(library, "roperot_plan_create");
    if (symbol == NULL) return 1;
    memcpy(&create, &symbol, sizeof create); /* ISO C has no cast from object to function pointers */
    if (create(&config, &plan) != ROPEROT_OK) return 1;
    printf("%.0f\n", now() - start);
    return 0;
}
