#include "tokenizer/learn/bpe_learn.h"

#include "core/memory.h"
#include "core/parallel.h"
#include "tokenizer/byte_alphabet.h"
#include "tokenizer/learn/bpe_pairs.h"

enum {
    EDGE = -1,
    HOLE = -2,
    AHEAD = 16,       /* occurrences between asking for a place and merging there */
    FLOOR_SHARE = 16, /* the first floor is this part of the mean count of a token's word */
    FLOOR_STEP = 8
};

typedef struct {
    int32_t symbol; /* a token, EDGE or HOLE */
    uint32_t count; /* occurrences of the word */
} Place;

/* What stands on one side of the occurrences of the pair being merged. */
typedef struct {
    uint64_t count;  /* occurrences with this neighbour */
    uint32_t *next;  /* where the next place of the pair with it goes; NULL: that pair is left out */
    uint32_t places; /* number of these places; 0: not met */
} Neighbour;

typedef struct {
    int32_t neighbour;
    uint32_t place;
} Sighting;

typedef struct {
    Neighbour *neighbours; /* by token */
    int32_t *met;          /* the tokens met */
    size_t met_count;
    Sighting *sightings; /* in order of place */
    size_t sighting_count, sighting_capacity;
} Side;

typedef struct {
    BPEModel *model;
    Place *places;
    size_t place_count;
    uint32_t *lengths; /* of each token, in bytes */
    BPEPairs pairs;
    uint64_t floor; /* pairs that came up less often are left out */
    Side left, right;
} Learner;

/* ---- the places ---- */

static size_t times_written(uint64_t count)
{
    return (size_t)((count - 1) / UINT32_MAX + 1);
}

static void put_word(Learner *learner, ByteString word, uint64_t count, const int32_t *byte_ids)
{
    for (; count > 0; count -= count < UINT32_MAX ? count : UINT32_MAX) {
        const uint32_t here = count < UINT32_MAX ? (uint32_t)count : UINT32_MAX;
        for (size_t i = 0; i < word.length; i++)
            learner->places[learner->place_count++] = (Place){.symbol = byte_ids[word.bytes[i]], .count = here};
        learner->places[learner->place_count++] = (Place){.symbol = EDGE};
    }
}

/* A word of one byte has no pair. */
static Status write_places(Learner *learner, const WordTable *words)
{
    size_t count = 1;
    for (WordCursor at = {0}; word_table_next(words, &at);)
        count += at.word.length > 1 ? (at.word.length + 1) * times_written(at.count) : 0;
    if (count > UINT32_MAX)
        return status_fail(CS336_ERANGE, "bpe_train: %zu bytes of distinct pre-tokens, expected at most %u", count,
                           UINT32_MAX);
    learner->places = memory_allocate(count * sizeof *learner->places);
    if (!learner->places)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu bytes of distinct pre-tokens", count);
    int32_t byte_ids[BYTE_VALUES];
    const size_t first_byte = learner->model->vocab_size - BYTE_VALUES;
    for (unsigned place = 0; place < BYTE_VALUES; place++)
        byte_ids[byte_alphabet_sorted(place)] = (int32_t)(first_byte + place);
    learner->places[learner->place_count++] = (Place){.symbol = EDGE};
    for (WordCursor at = {0}; word_table_next(words, &at);)
        if (at.word.length > 1)
            put_word(learner, at.word, at.count, byte_ids);
    return CS336_OK;
}

static Status reserve_tokens(Learner *learner, size_t wanted)
{
    const size_t most = learner->model->vocab_size + learner->place_count, tokens = wanted < most ? wanted : most;
    learner->lengths = memory_allocate(tokens * sizeof *learner->lengths);
    Side *sides[] = {&learner->left, &learner->right};
    bool enough = learner->lengths != NULL;
    for (int i = 0; i < 2; i++) {
        sides[i]->neighbours = memory_allocate_zeroed(tokens, sizeof *sides[i]->neighbours);
        sides[i]->met = memory_allocate(tokens * sizeof *sides[i]->met);
        enough = enough && sides[i]->neighbours && sides[i]->met;
    }
    if (!enough)
        return status_fail(CS336_ENOMEM, "bpe_train: no memory for %zu tokens", tokens);
    for (size_t id = 0; id < learner->model->vocab_size; id++)
        learner->lengths[id] = (uint32_t)bpe_model_token(learner->model, (int32_t)id).length;
    return CS336_OK;
}

static Status begin(Learner *learner, WordTable *words, size_t wanted)
{
    uint64_t total = 0;
    for (WordCursor at = {0}; word_table_next(words, &at);)
        total += at.count;
    learner->floor = total / wanted / FLOOR_SHARE + 1;
    Status s = write_places(learner, words);
    word_table_deinit(words);
    return s ? s : reserve_tokens(learner, wanted);
}

static void end(Learner *learner)
{
    Side *sides[] = {&learner->left, &learner->right};
    memory_release(learner->places);
    memory_release(learner->lengths);
    for (int i = 0; i < 2; i++) {
        memory_release(sides[i]->neighbours);
        memory_release(sides[i]->met);
        memory_release(sides[i]->sightings);
    }
    bpe_pairs_clear(&learner->pairs);
}

/* ---- collecting the pairs ---- */

/* Goes to the next pair of neighbours, from place 0 at first; 0: there is none. */
static size_t next_pair(const Learner *learner, size_t at, int32_t *left, int32_t *right)
{
    const Place *places = learner->places;
    for (;;) {
        at += places[at].symbol == EDGE ? 1 : learner->lengths[places[at].symbol];
        if (at >= learner->place_count)
            return 0;
        *left = places[at].symbol;
        if (*left == EDGE)
            continue;
        *right = places[at + learner->lengths[*left]].symbol;
        if (*right != EDGE)
            return at;
    }
}

static Status count_pairs(Learner *learner)
{
    BPEPairs *pairs = &learner->pairs;
    int32_t left, right;
    Status s = CS336_OK;
    for (size_t at = 0; !s && (at = next_pair(learner, at, &left, &right));) {
        uint32_t number = bpe_pairs_find(pairs, left, right);
        if (number == NO_PAIR)
            s = bpe_pairs_add(pairs, left, right, &number);
        if (s)
            return s;
        pairs->pairs[number].count += learner->places[at].count;
        pairs->pairs[number].place_count++;
    }
    return CS336_OK;
}

static Status collect_pairs(Learner *learner)
{
    BPEPairs *pairs = &learner->pairs;
    bpe_pairs_clear(pairs);
    Status s = count_pairs(learner);
    bpe_pairs_keep(pairs, learner->floor);
    for (uint32_t i = 0; !s && i < pairs->pair_count; i++) {
        s = bpe_pairs_enter(pairs, i, pairs->pairs[i].place_count);
        pairs->pairs[i].place_count = 0;
    }
    int32_t left, right;
    for (size_t at = 0; !s && (at = next_pair(learner, at, &left, &right));) {
        const uint32_t number = bpe_pairs_find(pairs, left, right);
        if (number != NO_PAIR)
            pairs->pairs[number].places[pairs->pairs[number].place_count++] = (uint32_t)at;
    }
    return s;
}

/* ---- one merge ---- */

static inline void meet(Side *side, int32_t neighbour, size_t place, uint32_t count)
{
    Neighbour *n = &side->neighbours[neighbour];
    if (n->places++ == 0)
        side->met[side->met_count++] = neighbour;
    n->count += count;
    side->sightings[side->sighting_count++] = (Sighting){.neighbour = neighbour, .place = (uint32_t)place};
}

/*
 * Joins the occurrences of a pair, from left to right, and meets their neighbours.
 *
 * A place where the pair no longer is holds another symbol now: tokens only grow, so a token of more than one byte
 * never ends where one like it once began. Returns the count of occurrences right after an occurrence: those met the
 * merged token on their left, and had been met as `pair->left` by the one before.
 */
static uint64_t join_occurrences(Learner *learner, const Pair *pair, int32_t merged)
{
    const uint32_t left_length = learner->lengths[pair->left], right_length = learner->lengths[pair->right];
    uint64_t in_a_row = 0;
    for (uint32_t i = 0; i < pair->place_count; i++) {
        if (i + AHEAD < pair->place_count)
            __builtin_prefetch(&learner->places[pair->places[i + AHEAD]], 1);
        Place *first = &learner->places[pair->places[i]], *second = first + left_length, *after = second + right_length;
        if (first->symbol != pair->left || second->symbol != pair->right)
            continue;
        second[-1].symbol = second->symbol = HOLE;
        first->symbol = after[-1].symbol = merged;
        const int32_t left = first[-1].symbol, right = after->symbol;
        const size_t place = pair->places[i];
        if (left != EDGE)
            meet(&learner->left, left, place - learner->lengths[left], first->count);
        if (right != EDGE)
            meet(&learner->right, right, place, first->count);
        if (left == merged)
            in_a_row += first->count;
    }
    return in_a_row;
}

static void lose(BPEPairs *pairs, int32_t left, int32_t right, uint64_t count)
{
    const uint32_t number = bpe_pairs_find(pairs, left, right);
    if (number != NO_PAIR)
        pairs->pairs[number].count -= count;
}

static Status gain(Learner *learner, int32_t left, int32_t right, uint64_t count, Neighbour *neighbour)
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
    s = bpe_pairs_enter(&learner->pairs, number, neighbour->places);
    neighbour->next = pair->places;
    return s;
}

/* Hands the places out to the pairs that came up, and forgets the neighbours. */
static void write_sightings(Side *side)
{
    for (size_t i = 0; i < side->sighting_count; i++) {
        Neighbour *n = &side->neighbours[side->sightings[i].neighbour];
        if (n->next)
            *n->next++ = side->sightings[i].place;
    }
    for (size_t i = 0; i < side->met_count; i++)
        side->neighbours[side->met[i]] = (Neighbour){0};
    side->met_count = side->sighting_count = 0;
}

static Status reserve_sightings(Side *side, size_t count)
{
    return array_reserve(&side->sightings, &side->sighting_capacity, count, sizeof *side->sightings);
}

static Status merge_pair(Learner *learner, uint32_t number)
{
    BPEPairs *pairs = &learner->pairs;
    const Pair pair = pairs->pairs[number];
    const int32_t merged = (int32_t)learner->model->vocab_size;
    Status s = reserve_sightings(&learner->left, pair.place_count);
    if (!s)
        s = reserve_sightings(&learner->right, pair.place_count);
    if (!s)
        s = bpe_model_merge(learner->model, pair.left, pair.right);
    if (s)
        return s;
    learner->lengths[merged] = learner->lengths[pair.left] + learner->lengths[pair.right];
    const uint64_t in_a_row = join_occurrences(learner, &pair, merged);
    for (size_t i = 0; !s && i < learner->left.met_count; i++) {
        const int32_t other = learner->left.met[i];
        Neighbour *n = &learner->left.neighbours[other];
        if (other != merged) /* else the occurrence before has taken the loss to itself */
            lose(pairs, other, pair.left, n->count);
        s = gain(learner, other, merged, n->count, n);
    }
    for (size_t i = 0; !s && i < learner->right.met_count; i++) {
        const int32_t other = learner->right.met[i];
        Neighbour *n = &learner->right.neighbours[other];
        lose(pairs, pair.right, other, n->count);
        s = gain(learner, merged, other, n->count - (other == pair.left ? in_a_row : 0), n);
    }
    write_sightings(&learner->left);
    write_sightings(&learner->right);
    pairs->pairs[number].count = 0;
    return s;
}

/* ---- all merges ---- */

static Status merge_all(Learner *learner, const BPETrainConfig *config)
{
    const size_t wanted = config->vocab_size - learner->model->vocab_size;
    Status s = collect_pairs(learner);
    for (size_t done = 0; !s && done < wanted;) {
        uint32_t best;
        if (parallel_stop_asked(config->stop)) {
            s = status_fail(CS336_EINTERRUPTED, "bpe_train: stopped after %zu of %zu merges", done, wanted);
        } else if (bpe_pairs_pop(&learner->pairs, learner->floor, &best)) {
            s = merge_pair(learner, best);
            done++;
            if (!s && config->progress)
                config->progress(config->progress_context, BPE_MERGING, done, wanted);
        } else if (learner->floor > 1) {
            learner->floor = learner->floor / FLOOR_STEP + 1;
            s = collect_pairs(learner);
        } else {
            break;
        }
    }
    return s;
}

Status bpe_learn(BPEModel *model, WordTable *words, const BPETrainConfig *config)
{
    Learner learner = {.model = model, .pairs = {.model = model}};
    Status s = begin(&learner, words, config->vocab_size);
    if (!s)
        s = merge_all(&learner, config);
    end(&learner);
    return s;
}
