#include "tokenizer/learn/bpe_learn.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/learn/bpe_pairs.h"

enum {
    BYTES_PER_CELL = 36, /* at most; see bpe_learn.h */
    EDGE = -1,           /* stands between two words, in place of a token: no pair reaches across it */
    HOLE = -2,           /* stands between the first and the last cell of a token; see bpe_learn.h */
    PREFETCH_AHEAD = 16, /* occurrences between the prefetch of a cell and its merge: some 100 ns, a wait for memory */
    FLOOR_DIVISOR = 16,  /* the first floor is the mean number of occurrences for each token, divided by this */
    FLOOR_STEP = 8       /* the floor is lowered to an eighth */
};

typedef struct {
    int32_t token;  /* an id, EDGE or HOLE */
    uint32_t count; /* occurrences of the word */
} Cell;

/* A token that stands on one side of occurrences of the pair being merged. */
typedef struct {
    uint64_t count; /* occurrences beside this token */
    uint32_t *next; /* where the next position of its pair with the merged token goes; NULL: that pair is left out */
    uint32_t sighting_count; /* 0: it has not been seen */
} Neighbour;

typedef struct {
    int32_t neighbour;
    uint32_t position; /* of its pair with the merged token */
} Sighting;

typedef struct {
    Neighbour *neighbours; /* by token */
    int32_t *seen;         /* the tokens that have been seen */
    size_t seen_count;
    Sighting *sightings; /* by position, ascending */
    size_t sighting_count, sighting_capacity;
} Side;

typedef struct {
    BPEModel *model;
    Cell *cells;
    size_t cell_count;
    uint32_t *lengths; /* by token: its bytes */
    BPEPairs pairs;
    uint64_t floor; /* pairs with a lower count are left out */
    Side left, right;
} Learner;

/* ---- the cells ---- */

/* Writes a word. A cell counts to 2^32 - 1; a word with more occurrences is written several times. */
static void write_word(Learner *learner, ByteString word, uint64_t count, const int32_t *byte_ids)
{
    for (; count > 0; count -= count < UINT32_MAX ? count : UINT32_MAX) {
        const uint32_t share = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        for (size_t i = 0; i < word.length; i++)
            learner->cells[learner->cell_count++] = (Cell){.token = byte_ids[word.bytes[i]], .count = share};
        learner->cells[learner->cell_count++] = (Cell){.token = EDGE};
    }
}

/* Writes all words that have a pair, those of two bytes or more, with an edge before and after each. */
static Status write_cells(Learner *learner, const WordTable *words)
{
    size_t count = 1;
    for (WordCursor cursor = {0}; word_table_next(words, &cursor);) {
        const size_t copies = (size_t)((cursor.count - 1) / UINT32_MAX + 1);
        count += cursor.word.length > 1 ? (cursor.word.length + 1) * copies : 0;
    }
    if (count > UINT32_MAX)
        return status_fail(CS336_ERANGE, "bpe_train: %zu bytes of distinct pre-tokens, expected at most %u", count,
                           UINT32_MAX);
    learner->cells = memory_allocate(count * sizeof *learner->cells);
    if (!learner->cells)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu bytes of distinct pre-tokens, up to %d for each",
                           count, BYTES_PER_CELL);
    /* The bytes are the model's last tokens, in the order of GPT-2's alphabet. */
    int32_t byte_ids[BYTE_VALUES];
    const size_t first_byte = learner->model->vocab_size - BYTE_VALUES;
    for (unsigned rank = 0; rank < BYTE_VALUES; rank++)
        byte_ids[byte_alphabet_sorted(rank)] = (int32_t)(first_byte + rank);
    learner->cells[learner->cell_count++] = (Cell){.token = EDGE};
    for (WordCursor cursor = {0}; word_table_next(words, &cursor);)
        if (cursor.word.length > 1)
            write_word(learner, cursor.word, cursor.count, byte_ids);
    return CS336_OK;
}

/* Makes room for what is kept by token. Each merge makes the cells hold at least one token less, so there are fewer
 * merges than cells. */
static Status reserve_tokens(Learner *learner, size_t wanted)
{
    const size_t most = learner->model->vocab_size + learner->cell_count, tokens = wanted < most ? wanted : most;
    learner->lengths = memory_allocate(tokens * sizeof *learner->lengths);
    Side *sides[] = {&learner->left, &learner->right};
    bool enough = learner->lengths != NULL;
    for (int i = 0; i < 2; i++) {
        sides[i]->neighbours = memory_allocate_zeroed(tokens, sizeof *sides[i]->neighbours);
        sides[i]->seen = memory_allocate(tokens * sizeof *sides[i]->seen);
        enough = enough && sides[i]->neighbours && sides[i]->seen;
    }
    if (!enough)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu tokens", tokens);
    for (size_t id = 0; id < learner->model->vocab_size; id++)
        learner->lengths[id] = (uint32_t)bpe_model_token(learner->model, (int32_t)id).length;
    return CS336_OK;
}

static void end_learner(Learner *learner)
{
    Side *sides[] = {&learner->left, &learner->right};
    memory_release(learner->cells);
    memory_release(learner->lengths);
    for (int i = 0; i < 2; i++) {
        memory_release(sides[i]->neighbours);
        memory_release(sides[i]->seen);
        memory_release(sides[i]->sightings);
    }
    bpe_pairs_clear(&learner->pairs);
}

/* ---- collecting the pairs ---- */

/*
 * Returns the position of the next pair of neighbours after `position`, which is 0 at first or was returned before, and
 * sets the pair's tokens; returns 0 if there is none.
 */
static size_t next_pair(const Learner *learner, size_t position, int32_t *left, int32_t *right)
{
    const Cell *cells = learner->cells;
    for (;;) {
        position += cells[position].token == EDGE ? 1 : learner->lengths[cells[position].token];
        if (position >= learner->cell_count)
            return 0;
        *left = cells[position].token;
        if (*left == EDGE)
            continue;
        *right = cells[position + learner->lengths[*left]].token;
        if (*right != EDGE)
            return position;
    }
}

/* Makes learner->pairs the pairs whose count is not below the floor, with their positions. */
static Status collect_pairs(Learner *learner)
{
    BPEPairs *pairs = &learner->pairs;
    int32_t left, right;
    Status s = CS336_OK;
    /* Count all pairs. */
    bpe_pairs_clear(pairs);
    for (size_t position = 0; !s && (position = next_pair(learner, position, &left, &right));) {
        uint32_t number = bpe_pairs_find(pairs, left, right);
        if (number == NO_PAIR)
            s = bpe_pairs_add(pairs, left, right, &number);
        if (s)
            return s;
        pairs->pairs[number].count += learner->cells[position].count;
        pairs->pairs[number].position_count++;
    }
    /* Put those that are frequent enough into the heap. */
    bpe_pairs_keep(pairs, learner->floor);
    for (uint32_t i = 0; !s && i < pairs->pair_count; i++) {
        s = bpe_pairs_enter(pairs, i, pairs->pairs[i].position_count);
        pairs->pairs[i].position_count = 0;
    }
    /* Visit the cells again and write the positions. */
    for (size_t position = 0; !s && (position = next_pair(learner, position, &left, &right));) {
        const uint32_t number = bpe_pairs_find(pairs, left, right);
        if (number != NO_PAIR)
            pairs->pairs[number].positions[pairs->pairs[number].position_count++] = (uint32_t)position;
    }
    return s;
}

/* ---- one merge ---- */

/* Records that a token is a neighbour of an occurrence, and the position of its pair with the merged token. */
static inline void record_neighbour(Side *side, int32_t token, size_t position, uint32_t count)
{
    Neighbour *neighbour = &side->neighbours[token];
    if (neighbour->sighting_count++ == 0)
        side->seen[side->seen_count++] = token;
    neighbour->count += count;
    side->sightings[side->sighting_count++] = (Sighting){.neighbour = token, .position = (uint32_t)position};
}

/*
 * Replaces the occurrences of a pair, from left to right, by the merged token, and records their neighbours.
 *
 * At a position that the pair has lost, the first or the second cell holds another token now. The second cell cannot be
 * the last one of another `right`: tokens only grow, so the token in this cell reaches at least as far as the `right`
 * that once began there.
 *
 * Returns the count of the occurrences that directly follow another one. Such an occurrence has the merged token on its
 * left. The one before it had pair->left on its right when it was replaced, and has recorded that.
 */
static uint64_t replace_occurrences(Learner *learner, const Pair *pair, int32_t merged)
{
    const uint32_t left_length = learner->lengths[pair->left], right_length = learner->lengths[pair->right];
    uint64_t adjacent = 0;
    for (uint32_t i = 0; i < pair->position_count; i++) {
        if (i + PREFETCH_AHEAD < pair->position_count)
            __builtin_prefetch(&learner->cells[pair->positions[i + PREFETCH_AHEAD]], 1);
        /* first[0] begins the left token, second[0] the right one, and after[0] the token that follows. */
        const size_t position = pair->positions[i];
        Cell *first = &learner->cells[position], *second = first + left_length, *after = second + right_length;
        if (first->token != pair->left || second->token != pair->right)
            continue;
        second[-1].token = second->token = HOLE;
        first->token = after[-1].token = merged;
        const int32_t left = first[-1].token, right = after->token;
        if (left != EDGE)
            record_neighbour(&learner->left, left, position - learner->lengths[left], first->count);
        if (right != EDGE)
            record_neighbour(&learner->right, right, position, first->count);
        if (left == merged)
            adjacent += first->count;
    }
    return adjacent;
}

/* Takes occurrences from a pair, if the pair is not left out. */
static void subtract_count(BPEPairs *pairs, int32_t left, int32_t right, uint64_t count)
{
    const uint32_t number = bpe_pairs_find(pairs, left, right);
    if (number != NO_PAIR)
        pairs->pairs[number].count -= count;
}

/* Adds the pair of the merged token and a neighbour, unless its count is below the floor. */
static Status add_pair(Learner *learner, int32_t left, int32_t right, uint64_t count, Neighbour *neighbour)
{
    uint32_t number;
    neighbour->next = NULL;
    if (count < learner->floor)
        return CS336_OK;
    Status s = bpe_pairs_add(&learner->pairs, left, right, &number);
    if (s)
        return s;
    Pair *pair = &learner->pairs.pairs[number];
    pair->count = count;
    s = bpe_pairs_enter(&learner->pairs, number, neighbour->sighting_count);
    neighbour->next = pair->positions;
    return s;
}

/* Writes the positions of the pairs that add_pair() added, and clears the side for the next merge. */
static void write_positions(Side *side)
{
    for (size_t i = 0; i < side->sighting_count; i++) {
        Neighbour *neighbour = &side->neighbours[side->sightings[i].neighbour];
        if (neighbour->next)
            *neighbour->next++ = side->sightings[i].position;
    }
    for (size_t i = 0; i < side->seen_count; i++)
        side->neighbours[side->seen[i]] = (Neighbour){0};
    side->seen_count = side->sighting_count = 0;
}

static Status reserve_sightings(Side *side, size_t count)
{
    return array_reserve(&side->sightings, &side->sighting_capacity, count, sizeof *side->sightings);
}

/*
 * Merges a pair wherever it occurs: adds the merged token to the model, replaces the occurrences, and updates the pairs
 * on both sides of them. The pairs that lose have been there before; those that gain all appear here.
 */
static Status merge_pair(Learner *learner, uint32_t number)
{
    BPEPairs *pairs = &learner->pairs;
    const Pair pair = pairs->pairs[number];
    const int32_t merged = (int32_t)learner->model->vocab_size;
    Status s = reserve_sightings(&learner->left, pair.position_count);
    if (!s)
        s = reserve_sightings(&learner->right, pair.position_count);
    if (!s)
        s = bpe_model_merge(learner->model, pair.left, pair.right);
    if (s)
        return s;
    learner->lengths[merged] = learner->lengths[pair.left] + learner->lengths[pair.right];
    const uint64_t adjacent = replace_occurrences(learner, &pair, merged);
    /* Left neighbours: (neighbour, left) lost what (neighbour, merged) gains. */
    for (size_t i = 0; !s && i < learner->left.seen_count; i++) {
        const int32_t token = learner->left.seen[i];
        Neighbour *neighbour = &learner->left.neighbours[token];
        if (token != merged) /* between adjacent occurrences the pair lost is (right, left): see below */
            subtract_count(pairs, token, pair.left, neighbour->count);
        s = add_pair(learner, token, merged, neighbour->count, neighbour);
    }
    /* Right neighbours: (right, neighbour) lost what (merged, neighbour) gains, adjacent occurrences apart. */
    for (size_t i = 0; !s && i < learner->right.seen_count; i++) {
        const int32_t token = learner->right.seen[i];
        Neighbour *neighbour = &learner->right.neighbours[token];
        subtract_count(pairs, pair.right, token, neighbour->count);
        s = add_pair(learner, merged, token, neighbour->count - (token == pair.left ? adjacent : 0), neighbour);
    }
    write_positions(&learner->left);
    write_positions(&learner->right);
    pairs->pairs[number].count = 0;
    return s;
}

/* ---- all merges ---- */

/* Merges the best pair, again and again, until there are enough tokens or no pair is left. */
static Status merge_all(Learner *learner, const BPETrainConfig *config)
{
    const size_t wanted = config->vocab_size - learner->model->vocab_size;
    Status s = collect_pairs(learner);
    for (size_t done = 0; !s && done < wanted;) {
        uint32_t best;
        if (parallel_stop_asked(config->stop)) {
            s = status_fail(CS336_EINTERRUPTED, "interrupted after %zu of %zu merges", done, wanted);
        } else if (bpe_pairs_pop(&learner->pairs, learner->floor, &best)) {
            s = merge_pair(learner, best);
            done++;
            if (!s && config->progress)
                config->progress(config->progress_context, BPE_MERGING, done, wanted);
        } else if (learner->floor > 1) { /* no pair at the floor is left */
            learner->floor = learner->floor / FLOOR_STEP + 1;
            s = collect_pairs(learner);
        } else {
            break; /* no pair at all */
        }
    }
    return s;
}

Status bpe_learn(BPEModel *model, WordTable *words, const BPETrainConfig *config)
{
    Learner learner = {.model = model, .pairs = {.model = model}};
    uint64_t total = 0;
    for (WordCursor cursor = {0}; word_table_next(words, &cursor);)
        total += cursor.count;
    learner.floor = total / config->vocab_size / FLOOR_DIVISOR + 1;
    Status s = write_cells(&learner, words);
    word_table_deinit(words);
    if (!s)
        s = reserve_tokens(&learner, config->vocab_size);
    if (!s)
        s = merge_all(&learner, config);
    end_learner(&learner);
    return s;
}
