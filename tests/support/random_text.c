#include "tests/support/random_text.h"

ByteString random_text(Rng *rng, uint8_t *buffer, const ByteString *atoms, size_t atom_count, size_t max_atoms)
{
    const size_t draws = (size_t)rng_below(rng, max_atoms + 1);
    size_t length = 0;
    for (size_t i = 0; i < draws; i++) {
        const ByteString atom = atoms[rng_below(rng, atom_count)];
        const size_t repeats = rng_below(rng, 4) ? 1 : 1 + (size_t)rng_below(rng, 6);
        for (size_t k = 0; k < repeats && length + atom.length <= LONGEST_TEXT; k++) {
            memcpy(buffer + length, atom.bytes, atom.length);
            length += atom.length;
        }
    }
    return (ByteString){.bytes = buffer, .length = length};
}

ByteString random_text_of(Rng *rng, uint8_t *buffer, const ByteString *atoms, size_t atom_count, size_t bytes)
{
    ByteString text;
    do
        text = random_text(rng, buffer, atoms, atom_count, LONGEST_TEXT);
    while (text.length < bytes);
    return text;
}
