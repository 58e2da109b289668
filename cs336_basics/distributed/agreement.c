#define _POSIX_C_SOURCE 200809L
#include "distributed/agreement.h"

#include "core/file.h"
#include "core/memory.h"
#include "core/printable.h"
#include "core/rng_hash.h"
#include "core/version.h"
#include "distributed/ranks.h"
#include "kernels/isa.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- hashes ---- */

/* Adds bytes to a hash. Files differ by mistake, not by an attack, so a mixed sum is enough. */
static uint64_t hash_bytes(uint64_t hash, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i += sizeof hash) {
        uint64_t word = 0;
        memcpy(&word, (const char *)bytes + i, count - i < sizeof word ? count - i : sizeof word);
        hash = rng_mix(hash + word + 1);
    }
    return hash;
}

enum {
    PIECE_BYTES = 4096, /* the disk reads no less at once */
    PIECES = 64         /* of a large file: half a second, even on a slow disk */
};

/* Hashes a file's pieces: all of a file that has no more than PIECES, else the first, the last and some between. */
static Status hash_file(uint64_t *hash, size_t *size, const char *path)
{
    FileReader reader = {0};
    unsigned char piece[PIECE_BYTES];
    Status s = file_open(&reader, path);
    *size = s ? 0 : reader.size;
    *hash = *size;
    const size_t whole = (*size + PIECE_BYTES - 1) / PIECE_BYTES, count = whole < PIECES ? whole : PIECES;
    for (size_t i = 0; !s && i < count; i++) {
        const size_t which = count == whole ? i : (size_t)((double)i / (PIECES - 1) * (double)(whole - 1));
        const size_t offset = which * PIECE_BYTES, left = *size - offset;
        const size_t bytes = left < PIECE_BYTES ? left : PIECE_BYTES;
        s = file_read_at(&reader, piece, bytes, offset);
        if (!s)
            *hash = hash_bytes(*hash, piece, bytes);
    }
    file_close(&reader);
    return s;
}

/* ---- facts ---- */

/* Returns a fact to fill in, or NULL if there is no memory. */
static AgreementFact *grow(Agreement *agreement)
{
    if (agreement->count == agreement->capacity) {
        const size_t capacity = agreement->capacity ? 2 * agreement->capacity : 16;
        AgreementFact *facts = memory_resize(agreement->facts, capacity * sizeof *facts);
        agreement->no_memory = agreement->no_memory || !facts;
        if (!facts)
            return NULL;
        agreement->facts = facts;
        agreement->capacity = capacity;
    }
    AgreementFact *fact = &agreement->facts[agreement->count++];
    memset(fact, 0, sizeof *fact); /* it is compared byte by byte */
    return fact;
}

void agreement_add(Agreement *agreement, const char *name, const char *format, ...)
{
    enum { HASH_BYTES = 32, LONGEST = 8192 };
    char text[LONGEST];
    if (ranks_count() == 1)
        return;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    AgreementFact *fact = grow(agreement);
    if (!fact)
        return;
    const size_t length = strlen(text);
    printable_prefix(fact->name, sizeof fact->name, name, strlen(name));
    if (length < sizeof fact->value - HASH_BYTES) {
        printable_prefix(fact->value, sizeof fact->value, text, length);
        return;
    }
    printable_prefix(fact->value, sizeof fact->value - HASH_BYTES, text, length);
    const size_t used = strlen(fact->value);
    snprintf(fact->value + used, sizeof fact->value - used, "... (%016" PRIx64 ")", hash_bytes(0, text, length));
}

Status agreement_add_file(Agreement *agreement, const char *what, const char *path)
{
    uint64_t hash;
    size_t size;
    if (ranks_count() == 1)
        return CS336_OK;
    const Status s = hash_file(&hash, &size, path);
    if (!s)
        agreement_add(agreement, what, "a file of %zu bytes with the hash %016" PRIx64, size, hash);
    return s;
}

/* Compares this rank's facts with rank 0's. */
static Status compare(const Agreement *own, const AgreementFact *expected, size_t count)
{
    const char *host = ranks_host(0);
    for (size_t i = 0; i < count && i < own->count; i++) {
        const AgreementFact *a = &own->facts[i], *b = &expected[i];
        if (strcmp(a->name, b->name) != 0)
            return status_fail(CS336_ERANGE, "%s is given where rank 0 on %s has %s", a->name, host, b->name);
        if (strcmp(a->value, b->value) != 0)
            return status_fail(CS336_ERANGE, "%s is %s, but %s on rank 0 on %s", a->name, a->value, b->value, host);
    }
    if (own->count == count)
        return CS336_OK;
    return own->count > count
               ? status_fail(CS336_ERANGE, "%s is given, which rank 0 on %s lacks", own->facts[count].name, host)
               : status_fail(CS336_ERANGE, "%s is missing, which rank 0 on %s has", expected[own->count].name, host);
}

Status agreement_check(Agreement *agreement, Status own)
{
    AgreementFact *expected = NULL;
    char count_text[32] = ""; /* text: hosts may store numbers differently, which the facts are about to tell */
    Status s = own;
    if (!s && agreement->no_memory)
        s = status_fail(CS336_ENOMEM, "no memory for a list of facts");
    s = ranks_agree(s);
    if (!s && ranks_count() > 1) {
        snprintf(count_text, sizeof count_text, "%zu", agreement->count);
        ranks_broadcast(count_text, sizeof count_text);
        const size_t count = strtoul(count_text, NULL, 10);
        expected = ranks_own() == 0 ? agreement->facts : memory_allocate(count * sizeof *expected);
        s = ranks_agree(expected || !count ? CS336_OK
                                           : status_fail(CS336_ENOMEM, "no memory for a list of %zu facts", count));
        if (!s)
            ranks_broadcast(expected, count * sizeof *expected);
        if (!s)
            s = ranks_agree(compare(agreement, expected, count));
    }
    if (expected != agreement->facts)
        memory_release(expected);
    memory_release(agreement->facts);
    *agreement = (Agreement){0};
    return s;
}

Status agreement_check_program(const char *command)
{
    Agreement agreement = {0};
    if (ranks_count() == 1)
        return CS336_OK;
    const char *isa = getenv("CS336_ISA");
    const uint16_t one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    agreement_add(&agreement, "the command", "%s", command);
    agreement_add(&agreement, "the storage of numbers", "%s, pointers of %zu bytes, long of %zu",
                  first ? "little-endian" : "big-endian", sizeof(void *), sizeof(long));
    agreement_add(&agreement, "CS336_ISA", "%s", isa && *isa ? isa : "not set");
    agreement_add(&agreement, "the instruction set", "%s", isa_name(isa_in_use()));
    agreement_add(&agreement, "the program's version", "%s", cs336_version());
    /* Where the system does not show a process its own file, the version must be enough. */
    if (agreement_add_file(&agreement, "the program", "/proc/self/exe"))
        agreement_add(&agreement, "the program", "unreadable");
    return agreement_check(&agreement, CS336_OK);
}
