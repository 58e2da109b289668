#include "tokenizer/encode/token_pairs.h"

#include "core/memory.h"

/*
 * Says whether a merge of a rank below `bound` crosses the border between two canonical tokens while they are made. It
 * goes backwards in time, from the two complete tokens to the two bytes, because each token has the links to its parts:
 * of the two tokens beside the border, the one that a later merge has made was made last. If one merge has made both,
 * it has made the left one first.
 *
 * It looks for the two tokens of each step in the cache. If these are compatible, no merge crosses the border before
 * both are complete, and the steps so far have found none that crosses it after that. If they are not, the merge that
 * crosses between them may come too late here: those of the two that have `grown` are parts, and stand beside the
 * border for a shorter time. It is not too late if it comes before these are complete.
 */
static int follow_back(const TokenPairs *pairs, PairAnswer *cache, int32_t left, int32_t right, int32_t bound)
{
    int32_t left_grows = bound, right_grows = bound; /* ranks at which the tokens beside the border become parts */
    for (int grown = 0;;) {
        if (cache && grown) {
            const PairAnswer *slot = pair_answer_slot(cache, left, right);
            const int known = slot->left == left && slot->right == right ? slot->answer : 0;
            if (known == PAIR_FITS)
                return known;
            if (known && (grown & ~known) == 0)
                return known | grown;
        }
        const int32_t rank = merge_table_rank(pairs->merges, left, right);
        if (rank < left_grows && rank <= right_grows)
            return PAIR_CROSSED | grown;
        const TokenParts *l = &pairs->parts[left], *r = &pairs->parts[right];
        if (l->rank > r->rank) {
            left_grows = l->rank;
            left = l->right;
            grown |= PAIR_LEFT_PART;
        } else if (r->rank != RANK_OF_BYTE) {
            right_grows = r->rank;
            right = r->left;
            grown |= PAIR_RIGHT_PART;
        } else {
            return PAIR_FITS;
        }
    }
}

bool token_pairs_fit_uncached(const TokenPairs *pairs, PairAnswer *cache, int32_t left, int32_t right)
{
    const int answer = follow_back(pairs, cache, left, right, MERGE_NO_RANK);
    *pair_answer_slot(cache, left, right) = (PairAnswer){.left = left, .right = right, .answer = answer};
    return answer == PAIR_FITS;
}

/* Lowers uses[id] to a rank whose merge has this token as a part. */
static void note_use(int32_t *uses, int32_t id, size_t rank)
{
    if (uses[id] > (int32_t)rank)
        uses[id] = (int32_t)rank;
}

/*
 * Merge k makes a canonical token if its parts are canonical and the merges below k leave them as they are: then merge
 * k is what comes next, and nothing comes after it, because in a model in order merge k's token is no part of a lower
 * merge. `uses` says, by token, the lowest rank of a merge of which it is a part.
 *
 * Two merges may make the same bytes, such as ab + c and a + bc. The bytes have one encoding, so at most one of the two
 * passes the test.
 */
static void find_canonical(TokenPairs *pairs, const BPEModel *model, const int32_t *uses)
{
    TokenParts *parts = pairs->parts;
    for (size_t i = 0; i < model->merge_count && pairs->in_order; i++) {
        const BPEMerge merge = model->merges[i];
        const int32_t rank = (int32_t)i;
        if (parts[merge.left].rank == RANK_NOT_CANONICAL || parts[merge.right].rank == RANK_NOT_CANONICAL ||
            merge_table_rank(pairs->merges, merge.left, merge.right) != rank ||
            follow_back(pairs, NULL, merge.left, merge.right, rank) != PAIR_FITS)
            continue;
        if (uses[merge.merged] < rank)
            pairs->in_order = false;
        parts[merge.merged].left = merge.left;
        parts[merge.merged].right = merge.right;
        parts[merge.merged].rank = rank;
    }
}

Status token_pairs_init(TokenPairs *pairs, const BPEModel *model, const MergeTable *merges)
{
    int32_t *uses = memory_allocate(memory_product(model->vocab_size, sizeof *uses));
    *pairs = (TokenPairs){.merges = merges, .in_order = true};
    pairs->parts = memory_allocate(memory_product(model->vocab_size, sizeof *pairs->parts));
    if (!uses || !pairs->parts) {
        memory_release(uses);
        token_pairs_deinit(pairs);
        return status_fail(CS336_ENOMEM, "token_pairs_init: no memory for %zu tokens", model->vocab_size);
    }
    for (size_t id = 0; id < model->vocab_size; id++) {
        const size_t length = bpe_model_token(model, (int32_t)id).length;
        pairs->parts[id] = (TokenParts){.rank = RANK_NOT_CANONICAL, .length = (int32_t)length};
        uses[id] = MERGE_NO_RANK;
    }
    for (size_t byte = 0; byte < BYTE_VALUES; byte++)
        pairs->parts[merges->byte_ids[byte]].rank = RANK_OF_BYTE;
    for (size_t rank = 0; rank < model->merge_count; rank++) {
        note_use(uses, model->merges[rank].left, rank);
        note_use(uses, model->merges[rank].right, rank);
    }
    find_canonical(pairs, model, uses);
    memory_release(uses);
    return CS336_OK;
}

void token_pairs_deinit(TokenPairs *pairs)
{
    memory_release(pairs->parts);
    *pairs = (TokenPairs){0};
}
