#include "tokenizer/byte_alphabet.h"

enum {
    FIRST_OTHER = 0x100, /* the character of the first byte without a printable form */
    PRINTABLE = 188,     /* bytes with a printable form in Latin-1 */
    OTHERS = 68          /* bytes without one */
};

/* Bytes 0-32, 127-160 and 173 have no printable form: these are numbers 0-32, 33-66 and 67 of them. */
uint32_t byte_alphabet_character(uint8_t byte)
{
    if (byte <= 32)
        return FIRST_OTHER + (uint32_t)byte;
    if (byte >= 127 && byte <= 160)
        return FIRST_OTHER + 33 + (uint32_t)(byte - 127);
    return byte == 173 ? FIRST_OTHER + 67 : byte;
}

/* Returns byte number `rank` of those without a printable form. */
static uint8_t other_byte(unsigned rank)
{
    return (uint8_t)(rank < 33 ? rank : rank < 67 ? rank - 33 + 127 : 173);
}

int byte_alphabet_byte(uint32_t character)
{
    if (character >= FIRST_OTHER)
        return character < FIRST_OTHER + OTHERS ? other_byte(character - FIRST_OTHER) : -1;
    return byte_alphabet_character((uint8_t)character) == character ? (int)character : -1;
}

uint8_t byte_alphabet_sorted(unsigned rank)
{
    if (rank >= PRINTABLE)
        return other_byte(rank - PRINTABLE);
    return (uint8_t)(rank < 94 ? rank + 33 : rank < 106 ? rank - 94 + 161 : rank - 106 + 174); /* 33-, 161-, 174- */
}
