/* SPDX-License-Identifier: MIT
 * Loads the library that the first argument names, as Python's ctypes does, and makes a plan; for systems that this
 * machine can emulate but has no Python for. */
#include <stdint.h>
#include <stdio.h>

#ifdef _WIN32
#include <windows.h>
#define OPEN(name)           ((void *)LoadLibraryA(name))
#define FIND(library, name)  ((void *)(uintptr_t)GetProcAddress((HMODULE)(library), name))
#define REASON               "LoadLibrary failed"
#else
#include <dlfcn.h>
#define OPEN(name)           dlopen(name, RTLD_NOW)
#define FIND(library, name)  dlsym(library, name)
#define REASON               dlerror()
#endif

int main(int argc, char **argv)
{
    void *const library = argc > 1 ? OPEN(argv[1]) : NULL;
    if (!library) {
        fprintf(stderr, "%s\n", argc > 1 ? REASON : "usage: load <library>");
        return 1;
    }
    const char *(*info)(void);
    int32_t (*best)(void);
    *(void **)&info = FIND(library, "roperot_build_info");
    *(void **)&best = FIND(library, "roperot_isa_best");
    if (!info || !best || best() == 0) return 1;
    printf("%s\n", info());
    return 0;
}
