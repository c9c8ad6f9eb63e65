/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Policies: one table says of each key of a definition who may set it, what values it takes, what the text
 * about a bad value says, and which types of queue it makes a policy not apply to.
 *
 * Invariant: each of the two lists is sorted as policies are asked, highest priority first, of equals the
 * lowest name; so the first that fits is the one.
 */
#include "coney/policy.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "coney/table.h"
#include "coney/xalloc.h"
#include "pattern.h"

struct entry {
    struct policy policy; /* first: what others see */
    struct pattern *pattern;
    unsigned unsupported; /* mask of enum policy_target that it is skipped for (9.3) */
};

struct list {
    struct entry **entries;
    size_t count;
};

struct policy_set {
    struct list lists[2]; /* by enum policy_origin */
};

/* ---- keys ---- */

enum value_kind {
    VALUE_INTEGER, /* from LEAST to MOST */
    VALUE_STRING,
    VALUE_WORD, /* one of WORDS */
    VALUE_MAX_AGE,
    VALUE_ANY,
};

struct key {
    const char *name;
    const char *text; /* "<<"6">> is not a valid TEXT" */
    enum value_kind kind;
    bool operator_too;
    unsigned unsupported; /* mask of enum policy_target, queues only */
    unsigned present;     /* enum policy_key; 0: accepted, without effect */
    size_t offset;        /* of the member of struct policy_definition, when PRESENT */
    int64_t least, most;
    const char *const *words; /* NULL-terminated */
};

#define NO_CLASSIC (1u << POLICY_TARGET_CLASSIC_QUEUE)
#define NO_QUORUM  (1u << POLICY_TARGET_QUORUM_QUEUE)
#define MEMBER(m)  offsetof(struct policy_definition, m)

static const char *const overflow_words[] = {"drop-head", "reject-publish", "reject-publish-dlx", NULL};
static const char *const durability_words[] = {"strict", "relaxed", NULL};
static const char *const mode_words[] = {"default", "lazy", NULL};
static const char *const strategy_words[] = {"at-most-once", "at-least-once", NULL};
static const char *const locator_words[] = {"client-local", "balanced", "random", "least-leaders", NULL};

/* Words are stored as their places in the list. */
_Static_assert(sizeof(enum queue_overflow) == sizeof(int) && sizeof(enum policy_durability) == sizeof(int),
               "a VALUE_WORD writes an int");

/* queue-features.md 9.3 and 9.5. */
static const struct key keys[] = {
    {"alternate-exchange", "alternate exchange name", VALUE_STRING, .present = POLICY_ALTERNATE_EXCHANGE,
     .offset = MEMBER(alternate_exchange)},
    {"dead-letter-exchange", "dead letter exchange name", VALUE_STRING,
     .present = POLICY_DEAD_LETTER_EXCHANGE, .offset = MEMBER(dead_letter_exchange)},
    {"dead-letter-routing-key", "dead letter routing key", VALUE_STRING,
     .present = POLICY_DEAD_LETTER_ROUTING_KEY, .offset = MEMBER(dead_letter_routing_key)},
    {"dead-letter-strategy", "dead letter strategy", VALUE_WORD, .words = strategy_words,
     .unsupported = NO_CLASSIC},
    {"message-ttl", "message TTL", VALUE_INTEGER, .operator_too = true, .most = INT64_MAX,
     .present = POLICY_MESSAGE_TTL, .offset = MEMBER(message_ttl)},
    {"expires", "queue expiry", VALUE_INTEGER, .operator_too = true, .least = 1, .most = INT64_MAX,
     .present = POLICY_EXPIRES, .offset = MEMBER(expires)},
    {"max-length", "maximum length", VALUE_INTEGER, .operator_too = true, .most = INT64_MAX,
     .present = POLICY_MAX_LENGTH, .offset = MEMBER(max_length)},
    {"max-length-bytes", "maximum length in bytes", VALUE_INTEGER, .operator_too = true, .most = INT64_MAX,
     .present = POLICY_MAX_LENGTH_BYTES, .offset = MEMBER(max_length_bytes)},
    {"max-in-memory-length", "maximum memory in bytes", VALUE_INTEGER, .operator_too = true,
     .most = INT64_MAX, .unsupported = NO_CLASSIC},
    {"max-in-memory-bytes", "maximum memory in bytes", VALUE_INTEGER, .operator_too = true, .most = INT64_MAX,
     .unsupported = NO_CLASSIC},
    {"overflow", "overflow value", VALUE_WORD, .operator_too = true, .words = overflow_words,
     .present = POLICY_OVERFLOW, .offset = MEMBER(overflow)},
    {"durability", "durability value", VALUE_WORD, .operator_too = true, .words = durability_words,
     .present = POLICY_DURABILITY, .offset = MEMBER(durability)},
    {"queue-mode", "queue-mode value", VALUE_WORD, .words = mode_words, .unsupported = NO_QUORUM},
    {"queue-version", "queue-version value", VALUE_INTEGER, .operator_too = true, .least = 1, .most = 2},
    {"delivery-limit", "delivery limit", VALUE_INTEGER, .operator_too = true, .least = INT64_MIN,
     .most = INT64_MAX, .unsupported = NO_CLASSIC, .present = POLICY_DELIVERY_LIMIT,
     .offset = MEMBER(delivery_limit)},
    {"consumer-timeout", "consumer timeout", VALUE_INTEGER, .most = INT64_MAX,
     .present = POLICY_CONSUMER_TIMEOUT, .offset = MEMBER(consumer_timeout)},
    {"consumer-disconnected-timeout", "consumer disconnected timeout", VALUE_INTEGER, .most = INT64_MAX},
    {"max-age", "max age", VALUE_MAX_AGE, .unsupported = NO_CLASSIC | NO_QUORUM},
    {"stream-max-segment-size-bytes", "segment size", VALUE_INTEGER, .most = INT64_C(3000000000),
     .unsupported = NO_CLASSIC | NO_QUORUM},
    {"stream-filter-size-bytes", "filter size", VALUE_INTEGER, .least = 16, .most = 255},
    {"queue-leader-locator", "queue leader locator value", VALUE_WORD, .words = locator_words,
     .unsupported = NO_CLASSIC},
    {"queue-master-locator", "queue master locator value", VALUE_STRING, .unsupported = NO_QUORUM},
    {"initial-cluster-size", "cluster size", VALUE_INTEGER, .most = INT64_MAX,
     .unsupported = NO_CLASSIC | NO_QUORUM},
    {"target-group-size", "target group size", VALUE_INTEGER, .operator_too = true, .least = INT64_MIN,
     .most = INT64_MAX, .unsupported = NO_CLASSIC},
    /* Of clusters: so that old definitions can be imported. */
    {"ha-mode", "", VALUE_ANY, .unsupported = NO_QUORUM},
    {"ha-params", "", VALUE_ANY, .unsupported = NO_QUORUM},
    {"ha-sync-mode", "", VALUE_ANY, .unsupported = NO_QUORUM},
    {"ha-promote-on-shutdown", "", VALUE_ANY, .unsupported = NO_QUORUM},
    {"ha-promote-on-failure", "", VALUE_ANY, .unsupported = NO_QUORUM},
    {"ha-sync-batch-size", "", VALUE_ANY, .unsupported = NO_QUORUM},
    {"federation-upstream", "", VALUE_ANY, .unsupported = 0},
    {"federation-upstream-set", "", VALUE_ANY, .unsupported = 0},
};

static const struct key *key_find(struct bytes name, enum policy_origin origin)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        if (bytes_equal_string(name, keys[i].name))
            return origin == POLICY_OPERATOR && !keys[i].operator_too ? NULL : &keys[i];
    }
    return NULL;
}

/* ---- values ---- */

static int word_index(struct bytes text, const char *const words[])
{
    for (int i = 0; words[i] != NULL; i++) {
        if (bytes_equal_string(text, words[i]))
            return i;
    }
    return -1;
}

/* Digits, not all zero, and one unit (queue-features.md 1.2, x-max-age). */
static bool is_max_age(struct bytes text)
{
    bool positive = false;

    if (text.size < 2 || memchr("YMDhms", text.data[text.size - 1], 6) == NULL)
        return false;
    for (size_t i = 0; i + 1 < text.size; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        positive = positive || text.data[i] != '0';
    }
    return positive;
}

static bool value_is_valid(const struct key *key, const struct field *field)
{
    int64_t number;

    switch (key->kind) {
    case VALUE_INTEGER:
        return field_is_integer(field, &number) && number >= key->least && number <= key->most;
    case VALUE_STRING:
        return field->type == FIELD_LONGSTR;
    case VALUE_WORD:
        return field->type == FIELD_LONGSTR && word_index(field->bytes, key->words) >= 0;
    case VALUE_MAX_AGE:
        return field->type == FIELD_LONGSTR && is_max_age(field->bytes);
    case VALUE_ANY:
        return true;
    }
    return false;
}

/* Put a valid value into the member that the key stands for. */
static void definition_take(struct policy_definition *out, const struct key *key, const struct field *field)
{
    void *member = (char *)out + key->offset;
    int64_t number = 0;
    int index;

    if (key->present == 0)
        return;
    out->present |= key->present;
    if (key->kind == VALUE_STRING)
        *(struct bytes *)member = field->bytes;
    else if (key->kind == VALUE_WORD) {
        index = word_index(field->bytes, key->words);
        memcpy(member, &index, sizeof index);
    } else if (field_is_integer(field, &number))
        *(int64_t *)member = number;
}

/* Print as an Erlang term, which differs from field_format() only for a string that stands alone. */
static int term_format(char *out, size_t size, const struct field *field)
{
    if (field->type == FIELD_LONGSTR)
        return snprintf(out, size, "<<\"%.*s\">>", BYTES_ARG(field->bytes));
    return field_format(out, size, field);
}

/* ---- definitions ---- */

/* Append to the NUL-terminated text in WHY, as far as there is room. */
static void why_append(char why[POLICY_WHY_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void why_append(char why[POLICY_WHY_SIZE], const char *format, ...)
{
    size_t used = strlen(why);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(why + used, POLICY_WHY_SIZE - used, format, arguments);
    va_end(arguments);
}

/* Refuse keys that ORIGIN may not set, naming all of them. */
static bool check_keys(struct bytes definition, enum policy_origin origin, char why[POLICY_WHY_SIZE])
{
    struct table_iterator iterator = table_begin(definition);
    const char *separator = "[";
    struct field field;
    struct bytes name;
    char value[128];

    why[0] = '\0';
    while (table_next(&iterator, &name, &field)) {
        if (key_find(name, origin) != NULL)
            continue;
        term_format(value, sizeof value, &field);
        why_append(why, "%s{<<\"%.*s\">>,%s}", separator, BYTES_ARG(name), value);
        separator = ",";
    }
    if (why[0] == '\0')
        return true;
    why_append(why, "] are not recognised policy settings");
    return false;
}

/* Check DEFINITION, a table that the entry owns, and translate it into ENTRY. */
static bool entry_take_definition(struct entry *entry, struct bytes definition, char why[POLICY_WHY_SIZE])
{
    struct table_iterator iterator = table_begin(definition);
    struct field field;
    struct bytes name;
    char value[256];

    if (definition.size == 0) {
        snprintf(why, POLICY_WHY_SIZE, "no policy provided");
        return false;
    }
    if (!check_keys(definition, entry->policy.origin, why))
        return false;
    while (table_next(&iterator, &name, &field)) {
        const struct key *key = key_find(name, entry->policy.origin);

        if (!value_is_valid(key, &field)) {
            term_format(value, sizeof value, &field);
            snprintf(why, POLICY_WHY_SIZE, "%s is not a valid %s", value, key->text);
            return false;
        }
        definition_take(&entry->policy.definition, key, &field);
        entry->unsupported |= key->unsupported;
    }
    return true;
}

/* ---- entries ---- */

static const char *const apply_to_names[] = {
    "all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges", NULL,
};

const char *policy_apply_to_name(enum policy_apply_to apply_to)
{
    return apply_to_names[apply_to];
}

static bool take_apply_to(enum policy_apply_to *out, struct bytes text, char why[POLICY_WHY_SIZE])
{
    int index = text.size == 0 ? POLICY_APPLY_ALL : word_index(text, apply_to_names);

    if (index < 0) {
        /* Two blanks, as RabbitMQ has it. */
        snprintf(why, POLICY_WHY_SIZE,
                 "apply-to '%.*s' unrecognised; should be one of: 'queues', 'classic_queues',  "
                 "'quorum_queues', 'streams', 'exchanges', or 'all'",
                 BYTES_ARG(text));
        return false;
    }
    *out = (enum policy_apply_to)index;
    return true;
}

static char *text_copy(struct bytes text)
{
    char *copy = xmalloc(text.size + 1);

    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

/* Strings and table are the entry's, though what others see of them is constant. */
static void entry_free(struct entry *entry)
{
    pattern_free(entry->pattern);
    free((void *)(uintptr_t)entry->policy.name);
    free((void *)(uintptr_t)entry->policy.pattern);
    free((void *)(uintptr_t)entry->policy.json);
    free((void *)(uintptr_t)entry->policy.table.data);
    free(entry);
}

static struct entry *entry_copy(enum policy_origin origin, const struct policy_spec *spec)
{
    struct entry *entry = xcalloc(1, sizeof *entry);

    entry->policy.origin = origin;
    entry->policy.name = text_copy(spec->name);
    entry->policy.pattern = text_copy(spec->pattern);
    entry->policy.json = text_copy(spec->json);
    entry->policy.priority = spec->priority;
    entry->policy.table.data = xmemdup(spec->definition.data, spec->definition.size);
    entry->policy.table.size = spec->definition.size;
    return entry;
}

static bool entry_compile(struct entry *entry, struct bytes pattern, char why[POLICY_WHY_SIZE])
{
    char reason[256] = "longer than 4096 octets";

    _Static_assert(POLICY_PATTERN_MAX == 4096, "as the text says");
    if (pattern.size <= POLICY_PATTERN_MAX)
        entry->pattern = pattern_new(pattern, reason, sizeof reason);
    if (entry->pattern == NULL)
        snprintf(why, POLICY_WHY_SIZE, "pattern should be regular expression but is invalid: %s", reason);
    return entry->pattern != NULL;
}

/* Check SPEC and make an entry of it; NULL with WHY. */
static struct entry *entry_new(enum policy_origin origin, const struct policy_spec *spec,
                               char why[POLICY_WHY_SIZE])
{
    struct entry *entry;

    if (spec->name.size == 0 || spec->name.size > SHORTSTR_MAX ||
        memchr(spec->name.data, '\0', spec->name.size) != NULL) {
        snprintf(why, POLICY_WHY_SIZE, "name should be 1 to %d octets without a NUL", SHORTSTR_MAX);
        return NULL;
    }
    entry = entry_copy(origin, spec);
    if (entry_compile(entry, spec->pattern, why) &&
        take_apply_to(&entry->policy.apply_to, spec->apply_to, why) &&
        entry_take_definition(entry, entry->policy.table, why))
        return entry;
    entry_free(entry);
    return NULL;
}

/* ---- the set ---- */

struct policy_set *policy_set_new(void)
{
    return xcalloc(1, sizeof(struct policy_set));
}

void policy_set_free(struct policy_set *set)
{
    if (set == NULL)
        return;
    for (int origin = 0; origin < 2; origin++) {
        for (size_t i = 0; i < set->lists[origin].count; i++)
            entry_free(set->lists[origin].entries[i]);
        free(set->lists[origin].entries);
    }
    free(set);
}

static bool asked_before(const struct entry *a, const struct entry *b)
{
    if (a->policy.priority != b->policy.priority)
        return a->policy.priority > b->policy.priority;
    return strcmp(a->policy.name, b->policy.name) < 0;
}

bool policy_set_put(struct policy_set *set, enum policy_origin origin, const struct policy_spec *spec,
                    char why[POLICY_WHY_SIZE])
{
    struct entry *entry = entry_new(origin, spec, why);
    struct list *list = &set->lists[origin];
    size_t at;

    if (entry == NULL)
        return false;
    policy_set_remove(set, origin, spec->name);
    list->entries = xrealloc(list->entries, (list->count + 1) * sizeof(*list->entries));
    for (at = list->count++; at > 0 && asked_before(entry, list->entries[at - 1]); at--)
        list->entries[at] = list->entries[at - 1];
    list->entries[at] = entry;
    return true;
}

/* Where NAME stands; the list's count when it does not. */
static size_t list_find(const struct list *list, struct bytes name)
{
    size_t at = 0;

    while (at < list->count && !bytes_equal_string(name, list->entries[at]->policy.name))
        at++;
    return at;
}

bool policy_set_remove(struct policy_set *set, enum policy_origin origin, struct bytes name)
{
    struct list *list = &set->lists[origin];
    size_t at = list_find(list, name);

    if (at == list->count)
        return false;
    entry_free(list->entries[at]);
    list->count--;
    memmove(&list->entries[at], &list->entries[at + 1], (list->count - at) * sizeof(*list->entries));
    return true;
}

size_t policy_set_count(const struct policy_set *set, enum policy_origin origin)
{
    return set->lists[origin].count;
}

const struct policy *policy_set_at(const struct policy_set *set, enum policy_origin origin, size_t index)
{
    return &set->lists[origin].entries[index]->policy;
}

const struct policy *policy_set_find(const struct policy_set *set, enum policy_origin origin,
                                     struct bytes name)
{
    const struct list *list = &set->lists[origin];
    size_t at = list_find(list, name);

    return at == list->count ? NULL : &list->entries[at]->policy;
}

/* ---- selection and merge ---- */

static bool applies_to(enum policy_apply_to apply_to, enum policy_target target)
{
    bool is_queue = target != POLICY_TARGET_EXCHANGE;

    switch (apply_to) {
    case POLICY_APPLY_ALL:
        return true;
    case POLICY_APPLY_QUEUES:
        return is_queue;
    case POLICY_APPLY_CLASSIC_QUEUES:
        return target == POLICY_TARGET_CLASSIC_QUEUE;
    case POLICY_APPLY_QUORUM_QUEUES:
        return target == POLICY_TARGET_QUORUM_QUEUE;
    case POLICY_APPLY_STREAMS:
        return false;
    case POLICY_APPLY_EXCHANGES:
        return !is_queue;
    }
    return false;
}

/* The policy of LIST for an entity (9.2, 9.3); NULL when none fits. */
static const struct policy *list_select(const struct list *list, enum policy_target target, struct bytes name)
{
    for (size_t i = 0; i < list->count; i++) {
        const struct entry *entry = list->entries[i];

        if (applies_to(entry->policy.apply_to, target) && (entry->unsupported & 1u << target) == 0 &&
            pattern_search(entry->pattern, name))
            return &entry->policy;
    }
    return NULL;
}

/* The value of an integer that both sides have (9.6). */
static int64_t merge_integer(enum policy_key key, int64_t user, int64_t op)
{
    bool user_is_larger = user > op;
    bool take_larger = key == POLICY_DELIVERY_LIMIT && (user < 0 || op < 0);

    return user_is_larger == take_larger ? user : op;
}

/* Merge the operator's definition into OUT, which is the user's. Only numbers and words can be in both. */
static void definition_merge(struct policy_definition *out, const struct policy_definition *op)
{
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        const struct key *key = &keys[i];
        void *member = (char *)out + key->offset;
        const void *their_member = (const char *)op + key->offset;
        int64_t *number = member;
        const int64_t *theirs = their_member;

        if ((op->present & key->present) == 0)
            continue;
        if (key->kind == VALUE_WORD)
            memcpy(member, their_member, sizeof(int));
        else if ((out->present & key->present) == 0)
            *number = *theirs;
        else
            *number = merge_integer((enum policy_key)key->present, *number, *theirs);
        out->present |= key->present;
    }
}

bool policy_effective(const struct policy_set *set, enum policy_target target, struct bytes name,
                      struct policy_definition *out, const char **policy_name,
                      const char **operator_policy_name)
{
    const struct policy *user = list_select(&set->lists[POLICY_USER], target, name);
    const struct policy *op = list_select(&set->lists[POLICY_OPERATOR], target, name);

    *out = user != NULL ? user->definition : (struct policy_definition){0};
    if (op != NULL)
        definition_merge(out, &op->definition);
    *policy_name = user != NULL ? user->name : NULL;
    *operator_policy_name = op != NULL ? op->name : NULL;
    return user != NULL || op != NULL;
}

/* What is in force where both sides have KEY (9.6). */
static const struct field *merge_field(struct bytes key, const struct field *user, const struct field *op)
{
    const struct key *known = key_find(key, POLICY_OPERATOR);
    int64_t ours, theirs;

    if (!known || !field_is_integer(user, &ours) || !field_is_integer(op, &theirs))
        return op;
    return merge_integer((enum policy_key)known->present, ours, theirs) == ours ? user : op;
}

void policy_effective_table(const struct policy_set *set, enum policy_target target, struct bytes name,
                            struct buffer *out)
{
    const struct policy *user = list_select(&set->lists[POLICY_USER], target, name);
    const struct policy *op = list_select(&set->lists[POLICY_OPERATOR], target, name);
    struct bytes none = {NULL, 0}, ours = user ? user->table : none, theirs = op ? op->table : none, key;
    struct table_builder builder = table_builder_init(out);
    struct table_iterator iterator = table_begin(ours);
    struct field field, other;

    while (table_next(&iterator, &key, &field))
        table_put_field(&builder, key,
                        table_find(theirs, key, &other) ? merge_field(key, &field, &other) : &field);
    iterator = table_begin(theirs);
    while (table_next(&iterator, &key, &field))
        if (!table_find(ours, key, &other))
            table_put_field(&builder, key, &field);
}
