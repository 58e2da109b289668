/*
 * A plugin of QEMU that counts the instructions which a program executes. `make bench-arm` loads it into qemu-aarch64.
 * At the end of the program it writes a line "FUNCTION INSTRUCTIONS" for each function, and "total INSTRUCTIONS", to
 * the file that its argument counts=FILE names.
 *
 * Debian's package of QEMU has no header for plugins, so the few functions of QEMU that are called stand here. They are
 * those of version 1 of the interface: QEMU 4.2 to 8. The program under test must have one thread.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHOWN __attribute__((visibility("default")))

/* ---- what QEMU calls, and what it offers ---- */

struct qemu_plugin_tb;   /* a translation block: instructions that are translated, and executed, together */
struct qemu_plugin_insn; /* an instruction of it */

SHOWN int qemu_plugin_version = 1; /* QEMU reads it before anything else */
SHOWN int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv);

void qemu_plugin_register_vcpu_tb_trans_cb(uint64_t id, void (*translated)(uint64_t id, struct qemu_plugin_tb *block));
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *block, void (*executed)(unsigned cpu, void *context),
                                          int registers, void *context);
void qemu_plugin_register_atexit_cb(uint64_t id, void (*ended)(uint64_t id, void *context), void *context);
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *block);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *block, size_t index);
const char *qemu_plugin_insn_symbol(const struct qemu_plugin_insn *instruction);

enum { READS_NO_REGISTERS = 0 };

/* ---- counting ---- */

/* A block that was translated. They form a list, from the latest to the first. */
typedef struct Block {
    struct Block *next;
    char function[64];
    uint64_t instructions, /* in the block */
        executions;        /* of the block */
} Block;

static Block *blocks;
static const char *counts_path;

static void count_execution(unsigned cpu, void *context)
{
    (void)cpu;
    ((Block *)context)->executions++;
}

static void add_block(uint64_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    Block *block = calloc(1, sizeof *block);
    if (!block)
        abort();
    const char *function = qemu_plugin_insn_symbol(qemu_plugin_tb_get_insn(tb, 0));
    snprintf(block->function, sizeof block->function, "%s", function && *function ? function : "?");
    block->instructions = qemu_plugin_tb_n_insns(tb);
    block->next = blocks;
    blocks = block;
    qemu_plugin_register_vcpu_tb_exec_cb(tb, count_execution, READS_NO_REGISTERS, block);
}

/* Adds up the blocks of each function. A block that has been added is taken out of the list. */
static void write_counts(uint64_t id, void *context)
{
    (void)id, (void)context;
    FILE *file = fopen(counts_path, "w");
    uint64_t total = 0;
    while (file && blocks) {
        char function[sizeof blocks->function];
        memcpy(function, blocks->function, sizeof function);
        uint64_t count = 0;
        for (Block **link = &blocks; *link;) {
            Block *block = *link;
            if (strcmp(block->function, function) != 0) {
                link = &block->next;
                continue;
            }
            count += block->instructions * block->executions;
            *link = block->next;
            free(block);
        }
        fprintf(file, "%s %" PRIu64 "\n", function, count);
        total += count;
    }
    if (!file || fprintf(file, "total %" PRIu64 "\n", total) < 0 || fclose(file) != 0)
        fprintf(stderr, "count_plugin: cannot write %s\n", counts_path);
}

int qemu_plugin_install(uint64_t id, const void *info, int argc, char **argv)
{
    (void)info;
    static const char name[] = "counts=";
    if (argc != 1 || strncmp(argv[0], name, sizeof name - 1) != 0) {
        fprintf(stderr, "count_plugin: expected one argument, counts=FILE\n");
        return 1;
    }
    counts_path = strdup(argv[0] + sizeof name - 1);
    qemu_plugin_register_vcpu_tb_trans_cb(id, add_block);
    qemu_plugin_register_atexit_cb(id, write_counts, NULL);
    return counts_path == NULL;
}
