#include "tokenizer/byte_alphabet.h"

enum { FIRST_OTHER = 0x100, PRINTABLE = 188, OTHERS = 68 };

/* The bytes without a printable form are 0-32, 127-160 and 173. */
uint32_t byte_alphabet_character(uint8_t byte)
{
    if (byte <= 32)
        return FIRST_OTHER + (uint32_t)byte;
    if (byte >= 127 && byte <= 160)
        return FIRST_OTHER + 33 + (uint32_t)(byte - 127);
    return byte == 173 ? FIRST_OTHER + 67 : byte;
}

static uint8_t other_byte(unsigned place)
{
    return (uint8_t)(place < 33 ? place : place < 67 ? place - 33 + 127 : 173);
}

int byte_alphabet_byte(uint32_t character)
{
    if (character >= FIRST_OTHER)
        return character < FIRST_OTHER + OTHERS ? other_byte(character - FIRST_OTHER) : -1;
    return byte_alphabet_character((uint8_t)character) == character ? (int)character : -1;
}

uint8_t byte_alphabet_sorted(unsigned place)
{
    if (place >= PRINTABLE)
        return other_byte(place - PRINTABLE);
    return (uint8_t)(place < 94 ? place + 33 : place < 106 ? place - 94 + 161 : place - 106 + 174);
}
