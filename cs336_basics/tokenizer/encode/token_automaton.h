/**
 * @file
 * @brief Finds all canonical tokens that end at each byte of a text: an Aho-Corasick automaton.
 *
 * The tokens form a trie: a tree in which the path from the root to a node spells the beginning of some tokens. After
 * each byte of the text, the automaton is at the node that spells the longest end of the text that begins a token. If
 * a byte does not lead on from there, it goes to the node of the next shorter end, and tries again. So each byte costs
 * one step down the tree, and the steps back are never more than those down.
 *
 *     tokens a, b, ab, bab       node   spells   next shorter end   longest token that ends it
 *     root -a-> 1 -b-> 3         1      a        root               a
 *       |                        2      b        root               b
 *       `--b-> 2 -a-> 4 -b-> 5   3      ab       2 (b)              ab
 *                                4      ba       1 (a)              a
 *                                5      bab      3 (ab)             bab
 *
 * All tokens that end at a byte are the node's longest one, then token_automaton_shorter() of that one, and so on.
 *
 * Memory is at most 50 bytes for each byte of the vocabulary, and less where tokens share beginnings.
 */
#ifndef CS336_TOKENIZER_ENCODE_TOKEN_AUTOMATON_H
#define CS336_TOKENIZER_ENCODE_TOKEN_AUTOMATON_H

#include "core/api.h"
#include "core/status.h"
#include "tokenizer/bpe_model.h"
#include "tokenizer/encode/token_pairs.h"

#include <stddef.h>
#include <stdint.h>

CS336_INTERNAL_BEGIN

/** @brief A node of the trie. Node 0 is the root, and node 1 + b spells byte b. */
typedef struct {
    int32_t parent;  /**< the node without the last byte */
    int32_t byte;    /**< the last byte */
    int32_t depth;   /**< bytes that the node spells */
    int32_t shorter; /**< the node of the longest proper end of these bytes that begins a token */
    int32_t token;   /**< the longest token that ends these bytes; -1: none, only at the root */
} AutomatonNode;

/** @brief The automaton. It never changes, so threads may share it. */
typedef struct {
    AutomatonNode *nodes; /**< node 0 is the root */
    size_t count,         /**< nodes in use */
        capacity;         /**< nodes that the allocation holds */
    int32_t *slots;       /**< a hash table from (parent, byte) to the child, with open addressing; -1: a free slot */
    size_t slot_count;    /**< a power of two */
    int shift;            /**< the first slot of a pair is its hash, shifted right by this */
    int32_t *shorter;     /**< by token: the next shorter token that ends it, -1: none */
} TokenAutomaton;

/**
 * @brief Makes the automaton of all canonical tokens of a model.
 * @param pairs  of the same model, which must be in order
 * @retval CS336_ENOMEM
 * @retval CS336_ERANGE  the tokens have more than 2^31 - 1 distinct beginnings
 */
CS336_MUST_CHECK Status token_automaton_init(TokenAutomaton *automaton, const BPEModel *model, const TokenPairs *pairs);

/** @brief Frees the automaton; a zeroed one is fine. */
void token_automaton_deinit(TokenAutomaton *automaton);

/** @brief Returns the first slot for the child of a node. */
static inline size_t token_automaton_slot(const TokenAutomaton *automaton, int32_t node, uint8_t byte)
{
    return (size_t)(((uint64_t)(uint32_t)node << 8 | byte) * UINT64_C(0x9E3779B97F4A7C15) >> automaton->shift);
}

/** @brief Returns the child of a node for a byte, or -1 if it has none. */
static inline int32_t token_automaton_child(const TokenAutomaton *automaton, int32_t node, uint8_t byte)
{
    if (node == 0)
        return 1 + byte;
    for (size_t i = token_automaton_slot(automaton, node, byte);; i++) {
        const int32_t child = automaton->slots[i & (automaton->slot_count - 1)];
        if (child < 0 || (automaton->nodes[child].parent == node && automaton->nodes[child].byte == byte))
            return child;
    }
}

/** @brief Returns the node after the next byte of the text. A text begins at node 0. */
static inline int32_t token_automaton_step(const TokenAutomaton *automaton, int32_t node, uint8_t byte)
{
    int32_t next;
    while ((next = token_automaton_child(automaton, node, byte)) < 0)
        node = automaton->nodes[node].shorter;
    return next;
}

/** @brief Returns the longest token that ends at a node; the root has none. */
static inline int32_t token_automaton_longest(const TokenAutomaton *automaton, int32_t node)
{
    return automaton->nodes[node].token;
}

/** @brief Returns the longest token that is a proper end of another one, or -1. */
static inline int32_t token_automaton_shorter(const TokenAutomaton *automaton, int32_t token)
{
    return automaton->shorter[token];
}

CS336_INTERNAL_END

#endif
