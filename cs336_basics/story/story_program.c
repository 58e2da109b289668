/*
 * Compiling takes two passes. The first counts rules, alternatives and operations, so that one arena holds the program.
 * The second reads the templates. Then, with all names known, every rule that a story can reach is checked and
 * measured.
 */
#include "story/story_program.h"

#include "core/memory.h"

#include <math.h>
#include <string.h>

/* ---- names, and lists of names separated by spaces ---- */

typedef struct {
    const char *start;
    size_t length;
} Word;

/* Takes the first word off a list. Returns false at the end of the list. */
static bool next_word(Word *word, const char **list)
{
    *list += strspn(*list, " ");
    *word = (Word){*list, strcspn(*list, " ")};
    *list += word->length;
    return word->length > 0;
}

static size_t count_words(const char *list)
{
    size_t count = 0;
    for (Word word; next_word(&word, &list);)
        count++;
    return count;
}

/* Returns the index of a name in a list, or the number of names if it is not there. */
static size_t find_word(const char *list, const char *name, size_t length)
{
    size_t i = 0;
    for (Word word; next_word(&word, &list); i++)
        if (word.length == length && memcmp(word.start, name, length) == 0)
            break;
    return i;
}

static bool same_name(const char *name, const char *text, size_t length)
{
    return strlen(name) == length && memcmp(name, text, length) == 0;
}

/* Returns the index of the rule with this name, or num_rules. */
static size_t find_rule(const StoryProgram *program, const char *text, size_t length)
{
    size_t i = 0;
    while (i < program->num_rules && !same_name(program->rules[i].name, text, length))
        i++;
    return i;
}

/* Returns the index of the variable with this name, or num_variables. */
static size_t find_variable(const StoryProgram *program, const char *text, size_t length)
{
    size_t i = 0;
    while (i < program->num_variables && !same_name(program->variables[i].name, text, length))
        i++;
    return i;
}

/* ---- templates ---- */

/* Reads a placeholder such as "{Hero.he}", "{a color}" or "{opening}". find_fields() looks its field up later. */
static Status read_placeholder(StoryOp *op, const StoryProgram *program, const char *rule, size_t alternative,
                               const char *placeholder, size_t length)
{
    *op = (StoryOp){.text = placeholder, .length = (uint32_t)length};
    /* "a " or "A " asks for an article. */
    char name[64];
    size_t name_length = 0, skip = 0;
    if (length > 2 && (placeholder[0] == 'a' || placeholder[0] == 'A') && placeholder[1] == ' ') {
        op->article = true;
        op->capital = placeholder[0] == 'A';
        skip = 2;
    }
    /* The name ends before a dot. A capital first letter asks for a capital; variables have small letters. */
    while (skip + name_length < length && name_length < sizeof name && placeholder[skip + name_length] != '.') {
        name[name_length] = placeholder[skip + name_length];
        name_length++;
    }
    if (name_length && !op->article && name[0] >= 'A' && name[0] <= 'Z') {
        op->capital = true;
        name[0] = (char)(name[0] - 'A' + 'a');
    }
    /* A variable, or a rule whose name is the whole placeholder. */
    const size_t variable = find_variable(program, name, name_length),
                 expanded = find_rule(program, placeholder, length);
    if (variable < program->num_variables) {
        op->kind = STORY_FIELD;
        op->index = (uint32_t)variable;
    } else if (expanded < program->num_rules) {
        op->kind = STORY_EXPAND;
        op->index = (uint32_t)expanded;
    } else {
        return status_fail(CS336_EFORMAT, "story rule %s, alternative %zu: {%.*s} is neither a variable nor a rule",
                           rule, alternative, (int)length, placeholder);
    }
    return CS336_OK;
}

/* Writes the operations of text[0, length) to ops. */
static Status read_template(StoryTemplate *template, StoryOp *ops, const StoryProgram *program, const char *rule,
                            size_t alternative, const char *text, size_t length)
{
    *template = (StoryTemplate){.ops = ops};
    const char *const end = text + length;
    while (text < end) {
        if (*text == '{') {
            const size_t close = strcspn(text, "}|");
            if (text[close] != '}')
                return status_fail(CS336_EFORMAT, "story rule %s, alternative %zu: a { without a }", rule, alternative);
            const Status s = read_placeholder(ops, program, rule, alternative, text + 1, close - 1);
            if (s)
                return s;
            text += close + 1;
        } else {
            const size_t literal_length = strcspn(text, "{|");
            *ops = (StoryOp){.kind = STORY_TEXT, .text = text, .length = (uint32_t)literal_length};
            text += literal_length;
        }
        ops++;
        template->count++;
    }
    return CS336_OK;
}

/* Reads the templates of a rule: one for each alternative and field. Moves *ops past their operations. */
static Status read_rule(StoryProgramRule *rule, StoryOp **ops, const StoryProgram *program,
                        const StoryAlternative *alternatives)
{
    for (size_t i = 0; i < rule->count; i++) {
        const char *text = alternatives[i].text;
        for (size_t field = 0; field < rule->num_fields; field++) {
            const size_t length = strcspn(text, "|");
            const bool last = field + 1 == rule->num_fields;
            if (last != (text[length] == '\0'))
                return status_fail(CS336_EFORMAT, "story rule %s, alternative %zu: it has %s than %zu fields",
                                   rule->name, i, last ? "more" : "fewer", rule->num_fields);
            StoryTemplate *template = &rule->templates[i * rule->num_fields + field];
            const Status s = read_template(template, *ops, program, rule->name, i, text, length);
            if (s)
                return s;
            *ops += template->count;
            text += length + !last;
        }
    }
    return CS336_OK;
}

/* ---- rules: names, weights and memory ---- */

typedef struct {
    size_t rules, alternatives, templates, ops;
} Sizes;

static size_t num_fields(const StoryRule *rule)
{
    return rule->fields ? count_words(rule->fields) : 1;
}

/*
 * Adds up what a rule needs. A template has at most one operation for its first text, and two for each placeholder: the
 * placeholder and the text after it.
 */
static Status count_rule(Sizes *sizes, const StoryRule *rule)
{
    const StoryAlternative *alternative = rule->alternatives;
    for (; alternative->text; alternative++) {
        const size_t i = (size_t)(alternative - rule->alternatives);
        if (alternative->weight == 0)
            return status_fail(CS336_EFORMAT, "story rule %s, alternative %zu: weight 0, expected at least 1",
                               rule->name, i);
        sizes->ops++; /* and one more for each further field */
        for (const char *c = alternative->text; *c; c++)
            sizes->ops += *c == '{' ? 2 : *c == '|';
    }
    const size_t count = (size_t)(alternative - rule->alternatives);
    if (count == 0 || count > UINT16_MAX)
        return status_fail(CS336_EFORMAT, "story rule %s: %zu alternatives, expected 1 to %d", rule->name, count,
                           UINT16_MAX);
    sizes->rules++;
    sizes->alternatives += count;
    sizes->templates += count * num_fields(rule);
    return CS336_OK;
}

static void set_probabilities(StoryProgramRule *rule, const StoryAlternative *alternatives)
{
    uint32_t total = 0;
    for (size_t i = 0; i < rule->count; i++)
        rule->cumulative[i] = total += alternatives[i].weight;
    for (size_t i = 0; i < rule->count; i++) {
        const double p = (double)alternatives[i].weight / total;
        rule->log_probabilities[i] = log(p);
        rule->entropy -= p * log(p);
    }
}

/* Takes the memory of the whole program, and fills in the rules except for their templates. */
static Status bind_rules(StoryProgram *program, StoryOp **ops, const StoryGrammar *grammar, Sizes sizes)
{
    Arena *arena = &program->arena;
    Status s = arena_init(arena, 5 * MEMORY_ALIGNMENT + sizes.rules * sizeof(StoryProgramRule) +
                                     sizes.templates * sizeof(StoryTemplate) + sizes.ops * sizeof(StoryOp) +
                                     sizes.alternatives * (sizeof(uint32_t) + sizeof(double)));
    if (s)
        return s;
    program->rules = arena_take(arena, sizes.rules * sizeof *program->rules);
    StoryTemplate *templates = arena_take(arena, sizes.templates * sizeof *templates);
    *ops = arena_take(arena, sizes.ops * sizeof **ops);
    uint32_t *cumulative = arena_take(arena, sizes.alternatives * sizeof *cumulative);
    double *log_probabilities = arena_take(arena, sizes.alternatives * sizeof *log_probabilities);
    s = arena_keep(arena, 0);
    if (s)
        return s;
    /* Each rule takes the next elements of the arrays. */
    for (size_t t = 0; t < STORY_MAX_TABLES && grammar->tables[t]; t++) {
        for (const StoryRule *source = grammar->tables[t]; source->name; source++) {
            if (find_rule(program, source->name, strlen(source->name)) < program->num_rules)
                return status_fail(CS336_EFORMAT, "story rule %s: there are two rules of this name", source->name);
            StoryProgramRule *rule = &program->rules[program->num_rules++];
            *rule = (StoryProgramRule){.name = source->name, .fields = source->fields, .variable = -1};
            rule->num_fields = num_fields(source);
            while (source->alternatives[rule->count].text)
                rule->count++;
            rule->templates = templates;
            rule->cumulative = cumulative;
            rule->log_probabilities = log_probabilities;
            set_probabilities(rule, source->alternatives);
            templates += rule->count * rule->num_fields;
            cumulative += rule->count;
            log_probabilities += rule->count;
        }
    }
    return CS336_OK;
}

/* ---- variables ---- */

/* Notes that a variable is drawn from a rule. All rules that it can be drawn from have the same fields. */
static Status set_source(StoryProgram *program, size_t variable, size_t rule_index)
{
    StoryProgramVariable *v = &program->variables[variable];
    StoryProgramRule *rule = &program->rules[rule_index];
    if (rule->variable >= 0 && (size_t)rule->variable != variable)
        return status_fail(CS336_EFORMAT, "story rule %s: drawn by both %s and %s", rule->name,
                           program->variables[rule->variable].name, v->name);
    if (!rule->fields || (v->fields && strcmp(v->fields, rule->fields) != 0))
        return status_fail(CS336_EFORMAT, "story rule %s: its fields are (%s), variable %s has (%s)", rule->name,
                           rule->fields ? rule->fields : "", v->name, v->fields ? v->fields : "at least one");
    v->fields = rule->fields;
    rule->variable = (int)variable;
    return CS336_OK;
}

/* Reads a variable's source: "rule", or "variable.field" where each alternative of the field is one "{rule}". */
static Status bind_variable(StoryProgram *program, size_t variable, const char *source)
{
    StoryProgramVariable *v = &program->variables[variable];
    const size_t length = strcspn(source, "."), parent = find_variable(program, source, length);
    /* "rule" */
    if (source[length] == '\0') {
        v->parent = -1;
        v->source = find_rule(program, source, length);
        if (v->source == program->num_rules)
            return status_fail(CS336_EFORMAT, "story variable %s: there is no rule %s", v->name, source);
        return set_source(program, variable, v->source);
    }
    /* "variable.field": find the field. */
    v->parent = (int)parent;
    if (parent < variable)
        v->source = find_word(program->variables[parent].fields, source + length + 1, strlen(source + length + 1));
    if (parent >= variable || v->source == count_words(program->variables[parent].fields))
        return status_fail(CS336_EFORMAT, "story variable %s: there is no field %s of an earlier variable", v->name,
                           source);
    /* Every rule that the parent can be drawn from names the rules of this variable. */
    for (size_t r = 0; r < program->num_rules; r++) {
        const StoryProgramRule *rule = &program->rules[r];
        for (size_t i = 0; rule->variable == (int)parent && i < rule->count; i++) {
            const StoryTemplate *template = &rule->templates[i * rule->num_fields + v->source];
            if (template->count != 1 || template->ops->kind != STORY_EXPAND)
                return status_fail(CS336_EFORMAT,
                                   "story rule %s, alternative %zu: %s must be the name of one rule in braces",
                                   rule->name, i, source);
            const Status s = set_source(program, variable, template->ops->index);
            if (s)
                return s;
        }
    }
    return CS336_OK;
}

/* ---- checks and measurements, once all names are known ---- */

static Status measure(const StoryProgram *program, StoryTemplate *template, const char *rule);

/* Measures the field of op in every alternative that its variable can have; user is the rule that holds the
 * placeholder. */
static Status measure_field(const StoryProgram *program, const StoryOp *op, const char *user, size_t *longest,
                            uint32_t *most_choices)
{
    for (size_t r = 0; r < program->num_rules; r++) {
        const StoryProgramRule *rule = &program->rules[r];
        for (size_t i = 0; rule->variable == (int)op->index && i < rule->count; i++) {
            StoryTemplate *template = &rule->templates[i * rule->num_fields + op->field];
            if ((op->article || op->capital) && (template->count == 0 || !story_template_is_plain(template)))
                return status_fail(
                    CS336_EFORMAT,
                    "story rule %s: {%.*s} needs a text without placeholders, alternative %zu of %s has none", user,
                    (int)op->length, op->text, i, rule->name);
            const Status s = measure(program, template, rule->name);
            if (s)
                return s;
            const size_t bytes = template->longest + (op->article ? strlen("an ") : 0);
            *longest = bytes > *longest ? bytes : *longest;
            *most_choices = template->most_choices > *most_choices ? template->most_choices : *most_choices;
        }
    }
    return CS336_OK;
}

static Status measure_rule(const StoryProgram *program, const StoryProgramRule *rule, size_t *longest,
                           uint32_t *most_choices)
{
    for (size_t i = 0; i < rule->count; i++) {
        StoryTemplate *template = &rule->templates[i];
        const Status s = measure(program, template, rule->name);
        if (s)
            return s;
        *longest = template->longest > *longest ? template->longest : *longest;
        *most_choices = template->most_choices + 1 > *most_choices ? template->most_choices + 1 : *most_choices;
    }
    return CS336_OK;
}

/*
 * Bounds the bytes and the choices of a template, by depth-first search. A template that is reached again while it is
 * being measured contains itself.
 */
static Status measure(const StoryProgram *program, StoryTemplate *template, const char *rule)
{
    if (template->state == STORY_MEASURED)
        return CS336_OK;
    if (template->state == STORY_BEING_MEASURED)
        return status_fail(CS336_EFORMAT, "story rule %s: it contains itself, so its expansion never ends", rule);
    template->state = STORY_BEING_MEASURED;
    /* Add up what each operation adds at most. */
    for (StoryOp *op = template->ops, *end = op + template->count; op < end; op++) {
        size_t longest = op->kind == STORY_TEXT ? op->length : 0;
        uint32_t most_choices = 0;
        Status s = CS336_OK;
        if (op->kind == STORY_FIELD)
            s = measure_field(program, op, rule, &longest, &most_choices);
        else if (op->kind == STORY_EXPAND && program->rules[op->index].fields)
            s = status_fail(CS336_EFORMAT, "story rule %s: {%.*s} has fields and so only draws a variable", rule,
                            (int)op->length, op->text);
        else if (op->kind == STORY_EXPAND)
            s = measure_rule(program, &program->rules[op->index], &longest, &most_choices);
        if (s)
            return s;
        template->longest += longest;
        template->most_choices += most_choices;
    }
    template->state = STORY_MEASURED;
    return CS336_OK;
}

/* Looks up the field of each placeholder that names one. */
static Status find_fields(const StoryProgram *program, StoryOp *ops, size_t count)
{
    for (StoryOp *op = ops, *end = ops + count; op < end; op++) {
        if (op->kind != STORY_FIELD)
            continue;
        const StoryProgramVariable *variable = &program->variables[op->index];
        const char *dot = memchr(op->text, '.', op->length);
        if (dot)
            op->field = (uint32_t)find_word(variable->fields, dot + 1, op->length - (size_t)(dot + 1 - op->text));
        if (op->field == count_words(variable->fields))
            return status_fail(CS336_EFORMAT, "story placeholder {%.*s}: the fields of %s are (%s)", (int)op->length,
                               op->text, variable->name, variable->fields);
    }
    return CS336_OK;
}

static Status check_program(StoryProgram *program)
{
    size_t longest = 0;
    uint32_t most_choices = 0;
    if (program->rules[0].fields)
        return status_fail(CS336_EFORMAT, "story rule %s: the first rule is a story and has no fields",
                           program->rules[0].name);
    const Status s = measure_rule(program, program->rules, &longest, &most_choices);
    if (s)
        return s;
    if (most_choices > STORY_MAX_CHOICES)
        return status_fail(CS336_EFORMAT, "story_compile: a story may need %u choices, expected at most %d",
                           most_choices, STORY_MAX_CHOICES);
    for (size_t r = 0; r < program->num_rules; r++) {
        const StoryProgramRule *rule = &program->rules[r];
        /* A rule that no story reaches was never measured. */
        if (rule->variable < 0 && rule->templates->state == STORY_UNMEASURED)
            return status_fail(CS336_EFORMAT, "story rule %s: no story uses it", rule->name);
    }
    program->longest = longest;
    return CS336_OK;
}

static Status compile(StoryProgram *program, const StoryGrammar *grammar, Sizes sizes)
{
    StoryOp *ops = NULL;
    Status s = bind_rules(program, &ops, grammar, sizes);
    if (s)
        return s;
    StoryOp *const first_op = ops;
    /* Variables have names first, because templates refer to them. */
    for (const StoryVariable *variable = grammar->variables; variable->name; variable++) {
        if (program->num_variables == STORY_MAX_VARIABLES)
            return status_fail(CS336_EFORMAT, "story_compile: too many variables, expected at most %d",
                               STORY_MAX_VARIABLES);
        program->variables[program->num_variables++].name = variable->name;
    }
    /* Then the templates, then the sources of the variables, which templates hold, then the fields of these. */
    StoryProgramRule *rule = program->rules;
    for (size_t t = 0; t < STORY_MAX_TABLES && grammar->tables[t]; t++)
        for (const StoryRule *source = grammar->tables[t]; source->name && !s; source++)
            s = read_rule(rule++, &ops, program, source->alternatives);
    for (size_t i = 0; i < program->num_variables && !s; i++)
        s = bind_variable(program, i, grammar->variables[i].source);
    if (!s)
        s = find_fields(program, first_op, (size_t)(ops - first_op));
    return s ? s : check_program(program);
}

Status story_compile(StoryProgram *program, const StoryGrammar *grammar)
{
    *program = (StoryProgram){0};
    Sizes sizes = {0};
    Status s = CS336_OK;
    for (size_t t = 0; t < STORY_MAX_TABLES && grammar->tables[t]; t++)
        for (const StoryRule *rule = grammar->tables[t]; rule->name && !s; rule++)
            s = count_rule(&sizes, rule);
    if (!s && sizes.rules == 0)
        s = status_fail(CS336_EFORMAT, "story_compile: the grammar has no rules, expected at least one");
    if (!s)
        s = compile(program, grammar, sizes);
    if (s)
        story_program_deinit(program);
    return s;
}

void story_program_deinit(StoryProgram *program)
{
    arena_deinit(&program->arena);
    *program = (StoryProgram){0};
}

/* ---- what generation, parsing and expectation share ---- */

const StoryProgramRule *story_source(const StoryProgram *program, const uint16_t *values, size_t variable)
{
    const StoryProgramVariable *v = &program->variables[variable];
    if (v->parent < 0)
        return &program->rules[v->source];
    const StoryProgramRule *parent = story_source(program, values, (size_t)v->parent);
    return &program->rules[parent->templates[values[v->parent] * parent->num_fields + v->source].ops->index];
}

size_t story_first_open(const StoryProgram *program, const bool *fixed, size_t variable)
{
    while (program->variables[variable].parent >= 0 && !fixed[program->variables[variable].parent])
        variable = (size_t)program->variables[variable].parent;
    return variable;
}

const StoryTemplate *story_field(const StoryProgram *program, const uint16_t *values, const StoryOp *op)
{
    const StoryProgramRule *rule = story_source(program, values, op->index);
    return &rule->templates[values[op->index] * rule->num_fields + op->field];
}

const char *story_article(const StoryOp *op, const char *text)
{
    if (!op->article)
        return "";
    const bool vowel = *text && strchr("aeiou", *text);
    return op->capital ? (vowel ? "An " : "A ") : (vowel ? "an " : "a ");
}
