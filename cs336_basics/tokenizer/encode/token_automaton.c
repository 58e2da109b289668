#include "tokenizer/encode/token_automaton.h"

#include "core/memory.h"

enum { FIRST_SLOTS_LOG2 = 12 /* slots of the first hash table: it doubles when half of them are used */ };

/* ---- the trie ---- */

/* Enters a node into the first free slot for it. */
static void enter(TokenAutomaton *automaton, int32_t node)
{
    const AutomatonNode *entered = &automaton->nodes[node];
    size_t i = token_automaton_slot(automaton, entered->parent, (uint8_t)entered->byte);
    while (automaton->slots[i & (automaton->slot_count - 1)] >= 0)
        i++;
    automaton->slots[i & (automaton->slot_count - 1)] = node;
}

/* Replaces the hash table by one of 2^log2 slots, and enters all nodes but the root and its children. */
static Status make_table(TokenAutomaton *automaton, int log2)
{
    const size_t slots = (size_t)1 << log2;
    memory_release(automaton->slots);
    automaton->slots = memory_allocate(memory_product(slots, sizeof *automaton->slots));
    if (!automaton->slots)
        return status_fail(CS336_ENOMEM, "token_automaton_init: no memory for %zu nodes", slots / 2);
    automaton->slot_count = slots;
    automaton->shift = 64 - log2;
    for (size_t i = 0; i < slots; i++)
        automaton->slots[i] = -1;
    for (size_t node = 1 + BYTE_VALUES; node < automaton->count; node++)
        enter(automaton, (int32_t)node);
    return CS336_OK;
}

/* Adds a child that a node does not have yet. */
static Status add_child(TokenAutomaton *automaton, int32_t parent, uint8_t byte, int32_t *child)
{
    Status s = CS336_OK;
    if (automaton->count == INT32_MAX)
        return status_fail(CS336_ERANGE, "token_automaton_init: more than %d nodes", INT32_MAX);
    s = array_reserve(&automaton->nodes, &automaton->capacity, automaton->count + 1, sizeof *automaton->nodes);
    if (!s && automaton->count >= automaton->slot_count / 2)
        s = make_table(automaton, 65 - automaton->shift);
    if (s)
        return s;
    *child = (int32_t)automaton->count++;
    automaton->nodes[*child] =
        (AutomatonNode){.parent = parent, .byte = byte, .depth = automaton->nodes[parent].depth + 1, .token = -1};
    enter(automaton, *child);
    return CS336_OK;
}

/* Makes the root and the nodes of the 256 bytes. */
static Status begin_trie(TokenAutomaton *automaton, const TokenPairs *pairs)
{
    Status s = make_table(automaton, FIRST_SLOTS_LOG2);
    if (!s)
        s = array_reserve(&automaton->nodes, &automaton->capacity, 1 + BYTE_VALUES, sizeof *automaton->nodes);
    if (s)
        return s;
    automaton->nodes[automaton->count++] = (AutomatonNode){.token = -1};
    for (int32_t byte = 0; byte < BYTE_VALUES; byte++)
        automaton->nodes[automaton->count++] =
            (AutomatonNode){.byte = byte, .depth = 1, .token = pairs->merges->byte_ids[byte]};
    return CS336_OK;
}

/*
 * Adds the tokens that merges make, by rank, so that the left part of each is in the trie already. From its node on,
 * only the bytes of the right part are followed. `ends` is, by token, the node where it ends.
 */
static Status add_tokens(TokenAutomaton *automaton, const BPEModel *model, const TokenPairs *pairs, int32_t *ends)
{
    Status s = CS336_OK;
    for (int32_t byte = 0; byte < BYTE_VALUES; byte++)
        ends[pairs->merges->byte_ids[byte]] = 1 + byte;
    for (size_t rank = 0; !s && rank < model->merge_count; rank++) {
        const int32_t token = model->merges[rank].merged;
        if (pairs->parts[token].rank != (int32_t)rank)
            continue;
        int32_t node = ends[pairs->parts[token].left];
        const ByteString right = bpe_model_token(model, pairs->parts[token].right);
        for (size_t i = 0; !s && i < right.length; i++) {
            int32_t child = token_automaton_child(automaton, node, right.bytes[i]);
            if (child < 0)
                s = add_child(automaton, node, right.bytes[i], &child);
            node = child;
        }
        if (!s) {
            ends[token] = node;
            automaton->nodes[node].token = token;
        }
    }
    return s;
}

/* ---- the next shorter ends ---- */

/* Sorts the nodes by depth: counts how many there are of each, then gives each node the next place of its depth. */
static Status sort_by_depth(const TokenAutomaton *automaton, int32_t *order)
{
    int32_t deepest = 0, place = 0;
    for (size_t node = 0; node < automaton->count; node++)
        deepest = automaton->nodes[node].depth > deepest ? automaton->nodes[node].depth : deepest;
    int32_t *places = memory_allocate_zeroed((size_t)deepest + 1, sizeof *places);
    if (!places)
        return status_fail(CS336_ENOMEM, "token_automaton_init: no memory for %zu nodes", automaton->count);
    for (size_t node = 0; node < automaton->count; node++)
        places[automaton->nodes[node].depth]++;
    for (int32_t depth = 0; depth <= deepest; depth++) {
        const int32_t nodes = places[depth];
        places[depth] = place;
        place += nodes;
    }
    for (size_t node = 0; node < automaton->count; node++)
        order[places[automaton->nodes[node].depth]++] = (int32_t)node;
    memory_release(places);
    return CS336_OK;
}

/* Links each node to that of the next shorter end, the shallow ones first: those ends are shallower. */
static void link_nodes(TokenAutomaton *automaton, const int32_t *order)
{
    for (size_t i = 1 + BYTE_VALUES; i < automaton->count; i++) {
        AutomatonNode *node = &automaton->nodes[order[i]];
        node->shorter = token_automaton_step(automaton, automaton->nodes[node->parent].shorter, (uint8_t)node->byte);
        const int32_t token = automaton->nodes[node->shorter].token;
        if (node->token < 0)
            node->token = token;
        else
            automaton->shorter[node->token] = token;
    }
}

Status token_automaton_init(TokenAutomaton *automaton, const BPEModel *model, const TokenPairs *pairs)
{
    int32_t *ends = memory_allocate(memory_product(model->vocab_size, sizeof *ends)), *order = NULL;
    *automaton = (TokenAutomaton){0};
    automaton->shorter = memory_allocate(memory_product(model->vocab_size, sizeof *automaton->shorter));
    Status s = CS336_OK;
    if (!ends || !automaton->shorter)
        s = status_fail(CS336_ENOMEM, "token_automaton_init: no memory for %zu tokens", model->vocab_size);
    for (size_t id = 0; !s && id < model->vocab_size; id++)
        automaton->shorter[id] = -1;
    if (!s)
        s = begin_trie(automaton, pairs);
    if (!s)
        s = add_tokens(automaton, model, pairs, ends);
    memory_release(ends);
    if (!s) {
        order = memory_allocate(automaton->count * sizeof *order);
        if (!order)
            s = status_fail(CS336_ENOMEM, "token_automaton_init: no memory for %zu nodes", automaton->count);
    }
    if (!s)
        s = sort_by_depth(automaton, order);
    if (!s)
        link_nodes(automaton, order);
    memory_release(order);
    if (s)
        token_automaton_deinit(automaton);
    return s;
}

void token_automaton_deinit(TokenAutomaton *automaton)
{
    memory_release(automaton->nodes);
    memory_release(automaton->slots);
    memory_release(automaton->shorter);
    *automaton = (TokenAutomaton){0};
}
