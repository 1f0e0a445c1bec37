/* SPDX-License-Identifier: MIT
 * A plugin of qemu-user that prints how many instructions a program executed, for CPUs that are not at hand; it must
 * not know what the program does. Debian ships no header for plugins: what is used of it is declared here.
 *
 *   cc -shared -fPIC bench/qemu_count.c -o qemu_count.so
 *   qemu-riscv64 -plugin ./qemu_count.so -cpu rv64,v=true,vext_spec=v1.0,vlen=256 ./count_table 32768
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define EXPORT __attribute__((visibility("default")))

typedef uint64_t plugin_id;
typedef struct qemu_plugin_tb qemu_plugin_tb;
enum { INLINE_ADD_U64 };

void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id id, void (*translated)(plugin_id id, qemu_plugin_tb *block));
void qemu_plugin_register_vcpu_tb_exec_inline(qemu_plugin_tb *block, int operation, void *at, uint64_t operand);
void qemu_plugin_register_atexit_cb(plugin_id id, void (*ended)(plugin_id id, void *data), void *data);
size_t qemu_plugin_tb_n_insns(const qemu_plugin_tb *block);

EXPORT int qemu_plugin_version = 1;
EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv);

static uint64_t executed;

static void count_block(plugin_id id, qemu_plugin_tb *block)
{
    (void)id;
    qemu_plugin_register_vcpu_tb_exec_inline(block, INLINE_ADD_U64, &executed, qemu_plugin_tb_n_insns(block));
}

static void print(plugin_id id, void *data)
{
    (void)id;
    (void)data;
    fprintf(stderr, "%llu instructions\n", (unsigned long long)executed);
}

EXPORT int qemu_plugin_install(plugin_id id, const void *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    qemu_plugin_register_vcpu_tb_trans_cb(id, count_block);
    qemu_plugin_register_atexit_cb(id, print, NULL);
    return 0;
}
