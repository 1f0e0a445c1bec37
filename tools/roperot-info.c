/* SPDX-License-Identifier: MIT
 * Prints what the installed library can do on this machine; it must not know anything but the public header. */
#include <roperot/roperot.h>

#include <getopt.h>
#include <stdio.h>
#include <string.h>

/* The CPU's name as Linux tells it; other systems have no portable way, and then only the architecture is known. */
static void print_cpu(void)
{
    char line[512];
    FILE *const file = fopen("/proc/cpuinfo", "r");
    int found = 0;
    while (file && !found && fgets(line, sizeof line, file)) {
        const char *const colon = strchr(line, ':');
        if (colon &&
            (!strncmp(line, "model name", 10) || !strncmp(line, "uarch", 5) || !strncmp(line, "CPU part", 8))) {
            printf("CPU      %s", colon + 2); /* the line brings its own newline */
            found = 1;
        }
    }
    if (file) fclose(file);
    if (!found) printf("CPU      name unknown\n");
}

static void print_isas(void)
{
    printf("\nISA      state\n");
    for (int32_t isa = ROPEROT_ISA_SCALAR; roperot_isa_name(isa); isa++) {
        printf("%-8s %s\n", roperot_isa_name(isa), roperot_isa_reason(isa));
    }
    const int32_t best = roperot_isa_best();
    if (best) {
        printf("\nAUTO picks %s\n", roperot_isa_name(best));
    } else {
        printf("\nAUTO picks nothing: ROPEROT_ISA names an ISA that is unknown or not usable here\n");
    }
}

/* One row of the table: the kernels of a rotation that reads one pairing and writes another. */
static int print_kernels(const char *label, int32_t pairing, int32_t pairing_out)
{
    roperot_config config = ROPEROT_CONFIG_INIT;
    config.head_dim = 64;
    config.pairing = pairing;
    config.pairing_out = pairing_out;
    config.max_positions = 1;
    roperot_plan *plan;
    if (roperot_plan_create(&config, &plan) != ROPEROT_OK) return 1;
    printf("%-28s %-30s %-30s %s\n", label, roperot_plan_kernel(plan, ROPEROT_F32, ROPEROT_F32),
           roperot_plan_kernel(plan, ROPEROT_F16, ROPEROT_F16), roperot_plan_kernel(plan, ROPEROT_BF16, ROPEROT_BF16));
    roperot_plan_destroy(plan);
    return 0;
}

static int print_table(void)
{
    static const char *const name[] = { "", "half", "interleaved" };
    printf("\n%-28s %-30s %-30s %s\n", "operation", "f32", "f16", "bf16");
    for (int32_t in = ROPEROT_PAIR_HALF; in <= ROPEROT_PAIR_INTERLEAVED; in++) {
        for (int32_t out = ROPEROT_PAIR_HALF; out <= ROPEROT_PAIR_INTERLEAVED; out++) {
            char label[64];
            snprintf(label, sizeof label, in == out ? "rotate %s" : "rotate %s to %s", name[in], name[out]);
            if (print_kernels(label, in, out)) return 1;
        }
    }
    return 0;
}

static void print_version(void)
{
    const unsigned version = roperot_version();
    printf("roperot  %u.%u.%u\n", version >> 16, version >> 8 & 255, version & 255);
}

/* -1: go on; else the exit status. */
static int parse(int argc, char **argv)
{
    static const struct option options[] = { { "help", no_argument, NULL, 'h' },
                                             { "version", no_argument, NULL, 'V' },
                                             { NULL, 0, NULL, 0 } };
    static const char usage[] = "usage: roperot-info [--help | --version]\n";
    const int option = getopt_long(argc, argv, "hV", options, NULL);
    if (option == 'V') {
        print_version();
        return 0;
    }
    if (option == 'h') {
        printf("%sPrints what the installed roperot library can do on this machine: how it was built, the instruction "
               "sets\nthat this CPU can run, the one that is picked, and the kernels of each operation.\n"
               "ROPEROT_ISA=<name> in the environment picks another instruction set.\n",
               usage);
        return 0;
    }
    if (option == -1 && optind == argc) return -1;
    if (option == -1) fprintf(stderr, "roperot-info: unexpected argument '%s'\n", argv[optind]);
    fputs(usage, stderr);
    return 2;
}

int main(int argc, char **argv)
{
    const int status = parse(argc, argv);
    if (status >= 0) return status;
    print_version();
    printf("build    %s\n", roperot_build_info());
    print_cpu();
    print_isas();
    if (print_table()) {
        fprintf(stderr, "roperot-info: %s\n", roperot_last_error());
        return 1;
    }
    return 0;
}
