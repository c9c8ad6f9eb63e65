/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Queue arguments. One table says of each argument that any type of queue knows which types know it, and how
 * it is checked and taken; parsing and comparing walk it in its order, which is RabbitMQ's, so that of
 * several errors the same one is reported. Arguments that are not in it are nobody's: accepted, kept,
 * ignored.
 */
#include "coney/queue_options.h"

#include <stdarg.h>
#include <stdio.h>

#include "coney/policy.h"
#include "coney/table.h"

#define CLASSIC (1u << QUEUE_CLASSIC)
#define QUORUM  (1u << QUEUE_QUORUM)
#define STREAM  (1u << QUEUE_STREAM)
#define ANY     (CLASSIC | QUORUM | STREAM)

/* Room for a value and words beside it: what is cut of it, the whole text has no room for either. */
#define VALUE_SIZE (REPLY_TEXT_SIZE + 64)

#define ANY_INTEGER INT64_MAX

/* The tail of "invalid arg 'KEY' for queue 'Q' in vhost 'V': TAIL", which is an Erlang term. */
struct tail {
    char text[VALUE_SIZE];
};

struct argument {
    const char *name;
    unsigned types; /* that know it */
    /* Check FIELD, and take it to OUT when it means something; false with TAIL. NULL: not even checked. */
    bool (*take)(struct queue_options *out, const struct field *field, struct bytes arguments,
                 struct tail *tail);
};

/* ---- checks that several arguments share ---- */

static bool fail(struct tail *tail, const char *format, ...) __attribute__((format(printf, 2, 3)));

static bool fail(struct tail *tail, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(tail->text, sizeof tail->text, format, arguments);
    va_end(arguments);
    return false;
}

static bool unacceptable_type(struct tail *tail, const struct field *field)
{
    return fail(tail, "{unacceptable_type,%s}", field_type_name(field->type));
}

/* An integer from LEAST (0 or 1) to MOST. */
static bool take_integer(int64_t *out, const struct field *field, int64_t least, int64_t most,
                         struct tail *tail)
{
    int64_t value;

    if (!field_is_integer(field, &value))
        return fail(tail, "\"expected integer, got %s\"", field_type_name(field->type));
    if (value < 0)
        return fail(tail, "{value_negative,%lld}", (long long)value);
    if (value < least)
        return fail(tail, "{value_zero,0}");
    if (value > most)
        return fail(tail, "{value_too_large,%lld}", (long long)value);
    *out = value;
    return true;
}

/* ---- one function for each argument, named after it ---- */

static bool take_expires(struct queue_options *out, const struct field *field, struct bytes arguments,
                         struct tail *tail)
{
    (void)arguments;
    return take_integer(&out->expires, field, 1, QUEUE_DURATION_MAX, tail);
}

static bool take_message_ttl(struct queue_options *out, const struct field *field, struct bytes arguments,
                             struct tail *tail)
{
    (void)arguments;
    return take_integer(&out->message_ttl, field, 0, QUEUE_DURATION_MAX, tail);
}

static bool take_dead_letter_exchange(struct queue_options *out, const struct field *field,
                                      struct bytes arguments, struct tail *tail)
{
    (void)arguments;
    if (field->type != FIELD_LONGSTR)
        return unacceptable_type(tail, field);
    out->has_dead_letter_exchange = true;
    out->dead_letter_exchange = field->bytes;
    return true;
}

static bool take_dead_letter_routing_key(struct queue_options *out, const struct field *field,
                                         struct bytes arguments, struct tail *tail)
{
    struct field exchange;

    if (field->type != FIELD_LONGSTR)
        return unacceptable_type(tail, field);
    if (!table_get(arguments, "x-dead-letter-exchange", &exchange))
        return fail(tail, "routing_key_but_no_dlx_defined");
    out->has_dead_letter_routing_key = true;
    out->dead_letter_routing_key = field->bytes;
    return true;
}

static bool check_dead_letter_strategy(struct queue_options *out, const struct field *field,
                                       struct bytes arguments, struct tail *tail)
{
    (void)out;
    (void)arguments;
    if (field->type != FIELD_LONGSTR)
        return unacceptable_type(tail, field);
    if (!bytes_equal_string(field->bytes, "at-most-once") &&
        !bytes_equal_string(field->bytes, "at-least-once"))
        return fail(tail, "invalid_dlx_strategy");
    return true;
}

static bool take_max_length(struct queue_options *out, const struct field *field, struct bytes arguments,
                            struct tail *tail)
{
    (void)arguments;
    return take_integer(&out->max_length, field, 0, ANY_INTEGER, tail);
}

static bool take_max_length_bytes(struct queue_options *out, const struct field *field,
                                  struct bytes arguments, struct tail *tail)
{
    (void)arguments;
    return take_integer(&out->max_length_bytes, field, 0, ANY_INTEGER, tail);
}

static bool check_not_negative(struct queue_options *out, const struct field *field, struct bytes arguments,
                               struct tail *tail)
{
    int64_t ignored;

    (void)out;
    (void)arguments;
    return take_integer(&ignored, field, 0, ANY_INTEGER, tail);
}

static bool check_positive(struct queue_options *out, const struct field *field, struct bytes arguments,
                           struct tail *tail)
{
    int64_t ignored;

    (void)out;
    (void)arguments;
    return take_integer(&ignored, field, 1, ANY_INTEGER, tail);
}

static bool take_max_priority(struct queue_options *out, const struct field *field, struct bytes arguments,
                              struct tail *tail)
{
    int64_t value = 0;

    (void)arguments;
    if (!take_integer(&value, field, 0, ANY_INTEGER, tail))
        return false;
    if (value > UINT8_MAX)
        return fail(tail, "{max_value_exceeded,%lld}", (long long)value);
    out->max_priority = (uint8_t)value;
    return true;
}

static bool take_overflow(struct queue_options *out, const struct field *field, struct bytes arguments,
                          struct tail *tail)
{
    (void)arguments;
    if (field->type != FIELD_LONGSTR)
        return unacceptable_type(tail, field);
    if (!queue_overflow_from_name(field->bytes, &out->overflow))
        return fail(tail, "invalid_overflow");
    out->has_overflow = true;
    return true;
}

static bool check_queue_mode(struct queue_options *out, const struct field *field, struct bytes arguments,
                             struct tail *tail)
{
    (void)out;
    (void)arguments;
    if (field->type != FIELD_LONGSTR)
        return unacceptable_type(tail, field);
    if (!bytes_equal_string(field->bytes, "default") && !bytes_equal_string(field->bytes, "lazy"))
        return fail(tail, "\"unsupported queue mode '%.*s'\"", BYTES_ARG(field->bytes));
    return true;
}

static bool check_queue_version(struct queue_options *out, const struct field *field, struct bytes arguments,
                                struct tail *tail)
{
    int64_t value;

    (void)out;
    (void)arguments;
    if (!field_is_integer(field, &value))
        return fail(tail, "\"expected integer, got %s\"", field_type_name(field->type));
    if (value < 0)
        return fail(tail, "{value_negative,%lld}", (long long)value);
    if (value != 1 && value != 2)
        return fail(tail, "\"unsupported queue version '%lld'\"", (long long)value);
    return true;
}

static bool take_single_active(struct queue_options *out, const struct field *field, struct bytes arguments,
                               struct tail *tail)
{
    (void)arguments;
    if (field->type != FIELD_BOOL)
        return unacceptable_type(tail, field);
    out->single_active = field->b;
    return true;
}

static bool check_leader_locator(struct queue_options *out, const struct field *field, struct bytes arguments,
                                 struct tail *tail)
{
    static const char *const locators[] = {"client-local", "balanced", "random", "least-leaders"};

    (void)out;
    (void)arguments;
    if (field->type != FIELD_LONGSTR)
        return unacceptable_type(tail, field);
    for (size_t i = 0; i < sizeof locators / sizeof locators[0]; i++) {
        if (bytes_equal_string(field->bytes, locators[i]))
            return true;
    }
    return fail(tail, "invalid_queue_locator_arg");
}

/* What is no integer has no effect, as up to 3.13 (queue-features.md 1.2). */
static bool take_delivery_limit(struct queue_options *out, const struct field *field, struct bytes arguments,
                                struct tail *tail)
{
    (void)arguments;
    (void)tail;
    out->has_delivery_limit = field_is_integer(field, &out->delivery_limit);
    return true;
}

static bool take_consumer_timeout(struct queue_options *out, const struct field *field,
                                  struct bytes arguments, struct tail *tail)
{
    (void)arguments;
    return take_integer(&out->consumer_timeout, field, 0, ANY_INTEGER, tail);
}

/* queue-features.md 7.1. x-queue-type has been resolved before; it stands here to be compared.
 * x-consumer-timeout is not here because 3.13 lists it with no type: never refused as another's and never
 * compared. */
static const struct argument arguments_known[] = {
    {"x-expires", CLASSIC | QUORUM, take_expires},
    {"x-message-ttl", CLASSIC | QUORUM, take_message_ttl},
    {"x-dead-letter-exchange", CLASSIC | QUORUM, take_dead_letter_exchange},
    {"x-dead-letter-routing-key", CLASSIC | QUORUM, take_dead_letter_routing_key},
    {"x-dead-letter-strategy", QUORUM, check_dead_letter_strategy},
    {"x-max-length", CLASSIC | QUORUM, take_max_length},
    {"x-max-length-bytes", ANY, take_max_length_bytes},
    {"x-max-in-memory-length", QUORUM, check_not_negative},
    {"x-max-in-memory-bytes", QUORUM, check_not_negative},
    {"x-max-priority", CLASSIC, take_max_priority},
    {"x-overflow", CLASSIC | QUORUM, take_overflow},
    {"x-queue-mode", CLASSIC, check_queue_mode},
    {"x-queue-version", CLASSIC, check_queue_version},
    {"x-single-active-consumer", CLASSIC | QUORUM, take_single_active},
    {"x-queue-type", ANY, NULL},
    {"x-quorum-initial-group-size", QUORUM, check_positive},
    {"x-max-age", STREAM, NULL},
    {"x-stream-max-segment-size-bytes", STREAM, NULL},
    {"x-stream-filter-size-bytes", STREAM, NULL},
    {"x-initial-cluster-size", STREAM, NULL},
    {"x-queue-leader-locator", QUORUM | STREAM, check_leader_locator},
    {"x-queue-master-locator", CLASSIC, NULL},
    {"x-delivery-limit", CLASSIC | QUORUM, take_delivery_limit},
};

static const struct argument consumer_timeout = {"x-consumer-timeout", ANY, take_consumer_timeout};

#define ARGUMENTS_KNOWN (sizeof arguments_known / sizeof arguments_known[0])

/* ---- names ---- */

static const char *const type_names[] = {"classic", "quorum", "stream"};
static const char *const overflow_names[] = {"drop-head", "reject-publish", "reject-publish-dlx"};

static int name_index(struct bytes name, const char *const names[], int count)
{
    for (int i = 0; i < count; i++) {
        if (bytes_equal_string(name, names[i]))
            return i;
    }
    return -1;
}

const char *queue_type_name(enum queue_type type)
{
    return type_names[type];
}

bool queue_type_from_name(struct bytes name, enum queue_type *out)
{
    int index = name_index(name, type_names, 3);

    if (index >= 0)
        *out = (enum queue_type)index;
    return index >= 0;
}

bool queue_overflow_from_name(struct bytes name, enum queue_overflow *out)
{
    int index = name_index(name, overflow_names, 3);

    if (index >= 0)
        *out = (enum queue_overflow)index;
    return index >= 0;
}

/* ---- the type of a new queue ---- */

/* Find x-queue-type; an empty one and "undefined" are as none (1.4). */
static bool find_type(struct bytes arguments, struct field *field)
{
    return table_get(arguments, "x-queue-type", field) &&
           !(field->type == FIELD_LONGSTR &&
             (field->bytes.size == 0 || bytes_equal_string(field->bytes, "undefined")));
}

/* The default type, unless it cannot carry the flags (1.4). */
static enum queue_type default_type(const struct queue_declare *declare)
{
    bool fits = declare->durable && !declare->exclusive && !declare->auto_delete;

    return fits ? declare->default_type : QUEUE_CLASSIC;
}

static bool invalid_argument(struct reply_error *error, const char *key, const struct queue_declare *declare,
                             const char *tail)
{
    return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                           "invalid arg '%s' for queue '%.*s' in vhost '%.*s': %s", key,
                           BYTES_ARG(declare->name), BYTES_ARG(declare->vhost), tail);
}

static bool resolve_type(struct queue_options *out, struct bytes arguments,
                         const struct queue_declare *declare, struct reply_error *error)
{
    struct field field;
    struct tail tail = {0};

    if (!find_type(arguments, &field)) {
        out->type = default_type(declare);
        out->type_from_default = out->type != QUEUE_CLASSIC;
        return true;
    }
    if (field.type != FIELD_LONGSTR)
        unacceptable_type(&tail, &field);
    else if (queue_type_from_name(field.bytes, &out->type))
        return true;
    else
        fail(&tail, "\"unsupported queue type '%.*s'\"", BYTES_ARG(field.bytes));
    return invalid_argument(error, "x-queue-type", declare, tail.text);
}

/* ---- declare ---- */

bool queue_options_server_named(struct bytes arguments, const struct queue_declare *declare,
                                struct reply_error *error)
{
    struct queue_options options = {0};
    struct reply_error other;

    if (!resolve_type(&options, arguments, declare, &other) || options.type == QUEUE_CLASSIC)
        return true;
    return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                           "Cannot declare a server-named queue for type rabbit_%s_queue",
                           queue_type_name(options.type));
}

/* Read an argument that names an exchange. */
static bool exchange_argument(struct bytes arguments, const char *key, const char *kind, struct bytes name,
                              struct bytes vhost, bool *present, struct bytes *exchange,
                              struct reply_error *error)
{
    struct field field;

    *present = false;
    if (!table_get(arguments, key, &field))
        return true;
    if (field.type != FIELD_LONGSTR)
        return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                               "invalid type '%s' for arg '%s' in %s '%.*s' in vhost '%.*s'",
                               field_type_name(field.type), key, kind, BYTES_ARG(name), BYTES_ARG(vhost));
    *present = true;
    *exchange = field.bytes;
    return true;
}

bool queue_options_dead_letter_exchange(struct bytes arguments, const struct queue_declare *declare,
                                        bool *present, struct bytes *exchange, struct reply_error *error)
{
    return exchange_argument(arguments, "x-dead-letter-exchange", "queue", declare->name, declare->vhost,
                             present, exchange, error);
}

bool exchange_options_alternate(struct bytes arguments, struct bytes name, struct bytes vhost, bool *present,
                                struct bytes *alternate, struct reply_error *error)
{
    return exchange_argument(arguments, "alternate-exchange", "exchange", name, vhost, present, alternate,
                             error);
}

static bool take_argument(const struct argument *argument, struct queue_options *out, struct bytes arguments,
                          const struct queue_declare *declare, struct reply_error *error)
{
    struct field field;
    struct tail tail = {0};

    if (argument->take == NULL || !table_get(arguments, argument->name, &field) ||
        argument->take(out, &field, arguments, &tail))
        return true;
    return invalid_argument(error, argument->name, declare, tail.text);
}

static const struct argument *argument_find(struct bytes name)
{
    for (size_t i = 0; i < ARGUMENTS_KNOWN; i++) {
        if (bytes_equal_string(name, arguments_known[i].name))
            return &arguments_known[i];
    }
    return NULL;
}

/* Refuse arguments that only other types know, the first as sent (1.1 step 3). */
static bool refuse_others(enum queue_type type, struct bytes arguments, const struct queue_declare *declare,
                          struct reply_error *error)
{
    struct table_iterator iterator = table_begin(arguments);
    struct field field;
    struct bytes name;

    while (table_next(&iterator, &name, &field)) {
        const struct argument *argument = argument_find(name);

        if (argument != NULL && (argument->types & 1u << type) == 0)
            return reply_error_set(
                error, REPLY_PRECONDITION_FAILED,
                "invalid arg '%s' for queue '%.*s' in vhost '%.*s' of queue type rabbit_%s_queue",
                argument->name, BYTES_ARG(declare->name), BYTES_ARG(declare->vhost), queue_type_name(type));
    }
    return true;
}

bool queue_options_parse(struct queue_options *out, struct bytes arguments,
                         const struct queue_declare *declare, struct reply_error *error)
{
    *out = (struct queue_options){
        .message_ttl = QUEUE_OPTION_NONE,
        .expires = QUEUE_OPTION_NONE,
        .max_length = QUEUE_OPTION_NONE,
        .max_length_bytes = QUEUE_OPTION_NONE,
        .consumer_timeout = QUEUE_OPTION_NONE,
    };
    if (!resolve_type(out, arguments, declare, error))
        return false;
    if (out->type == QUEUE_STREAM)
        return reply_error_set(error, REPLY_NOT_IMPLEMENTED,
                               "queue '%.*s' in vhost '%.*s': queue type 'stream' is not supported",
                               BYTES_ARG(declare->name), BYTES_ARG(declare->vhost));
    for (size_t i = 0; i < ARGUMENTS_KNOWN; i++) {
        if ((arguments_known[i].types & 1u << out->type) != 0 &&
            !take_argument(&arguments_known[i], out, arguments, declare, error))
            return false;
    }
    return take_argument(&consumer_timeout, out, arguments, declare, error) &&
           refuse_others(out->type, arguments, declare, error);
}

bool queue_options_check_properties(const struct queue_options *options, const struct queue_declare *declare,
                                    struct reply_error *error)
{
    const char *property = declare->auto_delete ? "auto-delete"
                           : declare->exclusive ? "exclusive-owner"
                           : !declare->durable  ? "non-durable"
                                                : NULL;

    if (options->type == QUEUE_CLASSIC || property == NULL)
        return true;
    return reply_error_set(error, REPLY_PRECONDITION_FAILED,
                           "invalid property '%s' for queue '%.*s' in vhost '%.*s'", property,
                           BYTES_ARG(declare->name), BYTES_ARG(declare->vhost));
}

void queue_options_store_type(struct buffer *out, const struct queue_options *options, struct bytes arguments)
{
    struct table_builder builder = table_builder_init(out);
    struct table_iterator iterator = table_begin(arguments);
    struct field field;
    struct bytes name;

    if (!options->type_from_default) {
        buffer_append_bytes(out, arguments);
        return;
    }
    /* One that was sent as "" or "undefined" must not stay beside ours. */
    while (table_next(&iterator, &name, &field)) {
        if (!bytes_equal_string(name, "x-queue-type"))
            table_put_field(&builder, name, &field);
    }
    table_put_longstr(&builder, "x-queue-type", bytes_from_string(queue_type_name(options->type)));
}

/* ---- equivalence ---- */

/* Equal as RabbitMQ compares arguments: numbers by value, whatever their type; strings by octets. */
static bool same_value(const struct field *a, const struct field *b)
{
    int64_t number;

    if (a->type == FIELD_TIMESTAMP && field_is_integer(b, &number))
        return number >= 0 && a->u == (uint64_t)number;
    if (b->type == FIELD_TIMESTAMP && field_is_integer(a, &number))
        return number >= 0 && b->u == (uint64_t)number;
    return field_equal(a, b);
}

/* Print a value beside another one, or beside none, with its type. NULL prints none. */
static void describe(char out[VALUE_SIZE], const struct field *field, bool with_type)
{
    char value[REPLY_TEXT_SIZE];

    if (field == NULL) {
        snprintf(out, VALUE_SIZE, "none");
        return;
    }
    field_format(value, sizeof value, field);
    if (with_type)
        snprintf(out, VALUE_SIZE, "the value '%s' of type '%s'", value, field_type_name(field->type));
    else
        snprintf(out, VALUE_SIZE, "'%s'", value);
}

/* Compare one argument; NULL is an absent one. */
static bool value_equivalent(const char *key, const char *kind, const struct field *current,
                             const struct field *received, struct bytes name, struct bytes vhost,
                             struct reply_error *error)
{
    char received_text[VALUE_SIZE], current_text[VALUE_SIZE];
    bool both = current != NULL && received != NULL;

    if (both ? same_value(current, received) : current == received)
        return true;
    describe(received_text, received, !both);
    describe(current_text, current, !both);
    return reply_error_inequivalent(error, key, kind, name, vhost, received_text, current_text);
}

static bool argument_equivalent(const char *key, const char *kind, struct bytes current,
                                struct bytes received, struct bytes name, struct bytes vhost,
                                struct reply_error *error)
{
    struct field current_field, received_field;

    return value_equivalent(key, kind, table_get(current, key, &current_field) ? &current_field : NULL,
                            table_get(received, key, &received_field) ? &received_field : NULL, name, vhost,
                            error);
}

static struct field longstr_field(struct bytes text)
{
    return (struct field){.type = FIELD_LONGSTR, .bytes = text};
}

/* Compare the type: absent and classic are the same, in both directions, and a default that is not classic
 * counts as if it had been sent (1.4, 1.5). */
static bool type_equivalent(struct bytes current, enum queue_type current_type, struct bytes received,
                            const struct queue_declare *declare, struct reply_error *error)
{
    struct field sent, kept = longstr_field(bytes_from_string(queue_type_name(current_type)));
    enum queue_type implied = default_type(declare), type;
    bool has_sent = find_type(received, &sent);
    bool has_kept = current_type != QUEUE_CLASSIC || find_type(current, &kept);

    if (!has_sent && implied != QUEUE_CLASSIC) {
        sent = longstr_field(bytes_from_string(queue_type_name(implied)));
        has_sent = true;
    }
    if (!has_sent && current_type == QUEUE_CLASSIC)
        return true;
    if (has_sent && sent.type == FIELD_LONGSTR && queue_type_from_name(sent.bytes, &type) &&
        type == current_type)
        return true;
    return value_equivalent("x-queue-type", "queue", has_kept ? &kept : NULL, has_sent ? &sent : NULL,
                            declare->name, declare->vhost, error);
}

bool queue_arguments_equivalent(struct bytes current, enum queue_type current_type, struct bytes received,
                                const struct queue_declare *declare, struct reply_error *error)
{
    for (size_t i = 0; i < ARGUMENTS_KNOWN; i++) {
        const struct argument *argument = &arguments_known[i];
        bool is_type = strcmp(argument->name, "x-queue-type") == 0;

        if ((argument->types & 1u << current_type) == 0)
            continue;
        if (is_type ? !type_equivalent(current, current_type, received, declare, error)
                    : !argument_equivalent(argument->name, "queue", current, received, declare->name,
                                           declare->vhost, error))
            return false;
    }
    return true;
}

bool exchange_arguments_equivalent(struct bytes current, struct bytes received, struct bytes name,
                                   struct bytes vhost, struct reply_error *error)
{
    return argument_equivalent("alternate-exchange", "exchange", current, received, name, vhost, error);
}

/* ---- arguments and policy ---- */

static int64_t smaller(int64_t argument, bool has_policy, int64_t policy)
{
    if (!has_policy)
        return argument;
    return argument == QUEUE_OPTION_NONE || policy < argument ? policy : argument;
}

static void merge_delivery_limit(struct queue_options *out, int64_t policy)
{
    bool unlimited = out->has_delivery_limit && (out->delivery_limit < 0 || policy < 0);

    if (!out->has_delivery_limit || (unlimited ? policy > out->delivery_limit : policy < out->delivery_limit))
        out->delivery_limit = policy;
    out->has_delivery_limit = true;
}

static void merge_overflow(struct queue_options *out, const struct policy_definition *policy)
{
    bool policy_wins = !out->has_overflow || out->type == QUEUE_QUORUM;

    if ((policy->present & POLICY_OVERFLOW) != 0 && policy_wins) {
        out->overflow = policy->overflow;
        out->has_overflow = true;
    }
}

static void merge_dead_letter(struct queue_options *out, const struct policy_definition *policy)
{
    if ((policy->present & POLICY_DEAD_LETTER_EXCHANGE) != 0 && !out->has_dead_letter_exchange) {
        out->has_dead_letter_exchange = true;
        out->dead_letter_exchange = policy->dead_letter_exchange;
    }
    if ((policy->present & POLICY_DEAD_LETTER_ROUTING_KEY) != 0 && !out->has_dead_letter_routing_key) {
        out->has_dead_letter_routing_key = true;
        out->dead_letter_routing_key = policy->dead_letter_routing_key;
    }
}

void queue_options_effective(struct queue_options *out, const struct queue_options *arguments,
                             const struct policy_definition *policy)
{
    static const struct policy_definition none;

    if (policy == NULL)
        policy = &none;
    *out = *arguments;
    out->message_ttl = smaller(out->message_ttl, policy->present & POLICY_MESSAGE_TTL, policy->message_ttl);
    out->expires = smaller(out->expires, policy->present & POLICY_EXPIRES, policy->expires);
    out->max_length = smaller(out->max_length, policy->present & POLICY_MAX_LENGTH, policy->max_length);
    out->max_length_bytes =
        smaller(out->max_length_bytes, policy->present & POLICY_MAX_LENGTH_BYTES, policy->max_length_bytes);
    out->consumer_timeout =
        smaller(out->consumer_timeout, policy->present & POLICY_CONSUMER_TIMEOUT, policy->consumer_timeout);
    if ((policy->present & POLICY_DELIVERY_LIMIT) != 0)
        merge_delivery_limit(out, policy->delivery_limit);
    if ((policy->present & POLICY_DURABILITY) != 0)
        out->relaxed = policy->durability == POLICY_DURABILITY_RELAXED;
    merge_overflow(out, policy);
    merge_dead_letter(out, policy);

    if (out->type == QUEUE_QUORUM && out->overflow == QUEUE_OVERFLOW_REJECT_PUBLISH_DLX)
        out->overflow = QUEUE_OVERFLOW_DROP_HEAD;
    if (!out->has_dead_letter_exchange)
        out->has_dead_letter_routing_key = false;
}
