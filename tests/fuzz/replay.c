/* SPDX-License-Identifier: MIT
 * Runs a fuzz target over stored inputs where there is no fuzzing engine; it must not know what the target does. */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_report(void);

enum { MOST_BYTES = 1 << 16 };

static int replay(const char *directory, const char *name)
{
    static uint8_t bytes[MOST_BYTES];
    char path[1024];
    snprintf(path, sizeof path, "%s/%s", directory, name);
    FILE *const file = fopen(path, "rb");
    if (!file) return printf("Bail out! %s cannot be read\n", path), -1;
    const size_t size = fread(bytes, 1, sizeof bytes, file);
    fclose(file);
    printf("# %s\n", name); /* the last line before a crash */
    fflush(stdout);
    LLVMFuzzerTestOneInput(bytes, size);
    return 0;
}

static int is_input(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

int main(int argc, char **argv)
{
    printf("1..1\n");
    for (int i = 1; i < argc; i++) {
        struct dirent **entries;
        const int count = scandir(argv[i], &entries, is_input, alphasort);
        if (count < 0) return printf("Bail out! %s is no directory\n", argv[i]), 1;
        for (int n = 0; n < count; n++) {
            if (replay(argv[i], entries[n]->d_name)) return 1;
            free(entries[n]);
        }
        free(entries);
    }
    const int enough = fuzz_report();
    printf("%s 1 - every input\n", enough ? "ok" : "not ok");
    return !enough;
}
