/**
 * @file
 * @brief Parts of command lines: a tokenizer of a few merges, and a model that is small enough for a test.
 */
#ifndef CS336_TESTS_CLI_TINY_TOKENIZER_H
#define CS336_TESTS_CLI_TINY_TOKENIZER_H

/** @brief Writes `text` and learns its tokenizer of 263 tokens. */
#define TRAIN_BPE                                                                                                  \
    "printf 'the cat the cat<|endoftext|>a' >text; cs336 train-bpe --input text --vocab-size 265 --special-token " \
    "'<|endoftext|>' --vocab v.json --merges m.txt >said"
/** @brief The files of this tokenizer, without and with its special token. */
#define FILES " --vocab v.json --merges m.txt "
#define SPECIAL FILES "--special-token '<|endoftext|>' "
/** @brief Options of `cs336 train`. */
#define MODEL "--vocab-size 300 --context-length 16 --d-model 16 --num-layers 2 --num-heads 2 --batch-size 2"

#endif
