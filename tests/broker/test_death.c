/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The death of a message as its headers tell it (queue-features.md 2.4 to 2.7). A message here is only its
 * properties: it dies, dies again, and what a consumer would read is looked at.
 */
#include <criterion/criterion.h>

#include "coney/death.h"
#include "coney/message_headers.h"
#include "coney/properties.h"
#include "coney/table.h"

#define NOW 1700000000

/* The message in hand: its properties as they are after the last death. */
static struct buffer message;

static struct bytes octets(const char *text)
{
    return bytes_from_string(text);
}

static void begin(void)
{
    message = (struct buffer){0};
}

static void end(void)
{
    buffer_free(&message);
}

TestSuite(death, .init = begin, .fini = end);

static void publish(uint16_t flags, struct bytes headers, const char *expiration)
{
    struct properties p = {.flags = flags, .headers = headers, .expiration = octets(expiration)};

    p.content_type = octets("text/plain");
    p.delivery_mode = DELIVERY_MODE_PERSISTENT;
    p.correlation_id = octets("id");
    buffer_clear(&message);
    properties_encode(&message, &p);
}

static void publish_plain(void)
{
    publish(0, (struct bytes){0}, "");
}

static void die_as(struct death death)
{
    struct buffer out = {0};

    death.properties = buffer_bytes(&message);
    death_record(&out, &death);
    buffer_free(&message);
    message = out;
}

static void die(const char *queue, enum death_reason reason)
{
    die_as((struct death){.exchange = octets("x"),
                          .routing_key = octets("key"),
                          .queue = octets(queue),
                          .reason = reason,
                          .time = NOW});
}

static struct properties properties(void)
{
    struct properties p;

    cr_assert(properties_decode(&p, buffer_bytes(&message)));
    return p;
}

static bool has_header(const char *name)
{
    struct field field;

    return table_get(properties().headers, name, &field);
}

static void expect_header(const char *name, const char *value)
{
    struct field field;

    cr_assert(table_get(properties().headers, name, &field), "no %s", name);
    cr_expect_eq(field.type, FIELD_LONGSTR);
    cr_expect(bytes_equal_string(field.bytes, value), "%s is %.*s", name, BYTES_ARG(field.bytes));
}

/* The x-death entry number INDEX; its contents, or no bytes when there are fewer. */
static struct bytes entry(unsigned index)
{
    struct table_iterator iterator;
    struct field field;

    cr_assert(table_get(properties().headers, "x-death", &field));
    cr_assert_eq(field.type, FIELD_ARRAY);
    iterator = array_begin(field.bytes);
    for (unsigned i = 0; array_next(&iterator, &field); i++) {
        cr_assert_eq(field.type, FIELD_TABLE);
        if (i == index)
            return field.bytes;
    }
    return (struct bytes){0};
}

static void expect_string(struct bytes table, const char *name, const char *value)
{
    struct field field;

    cr_assert(table_get(table, name, &field), "no %s", name);
    cr_expect_eq(field.type, FIELD_LONGSTR);
    cr_expect(bytes_equal_string(field.bytes, value), "%s is %.*s", name, BYTES_ARG(field.bytes));
}

static void expect_entry(unsigned index, const char *queue, const char *reason, int64_t count)
{
    struct bytes table = entry(index);
    struct field field;

    cr_assert_neq(table.size, 0, "no entry %u", index);
    expect_string(table, "queue", queue);
    expect_string(table, "reason", reason);
    cr_assert(table_get(table, "count", &field));
    cr_expect_eq(field.type, FIELD_INT64);
    cr_expect_eq(field.i, count, "entry %u: count %lld", index, (long long)field.i);
}

/* Entry INDEX's routing keys, joined by commas. */
static void expect_keys(unsigned index, const char *expected)
{
    char joined[100] = "";
    struct table_iterator iterator;
    struct field field;

    cr_assert(table_get(entry(index), "routing-keys", &field));
    cr_assert_eq(field.type, FIELD_ARRAY);
    iterator = array_begin(field.bytes);
    while (array_next(&iterator, &field)) {
        cr_expect_eq(field.type, FIELD_LONGSTR);
        if (joined[0] != '\0')
            strcat(joined, ",");
        strncat(joined, (const char *)field.bytes.data, field.bytes.size);
    }
    cr_expect_str_eq(joined, expected);
}

/* An entry as a publisher may send it, complete but for the field OMITTED (NULL: none). */
static void put_entry(struct table_builder *builder, const char *queue, const char *reason, int64_t count,
                      const char *omitted)
{
    const char *skip = omitted != NULL ? omitted : "";

    table_put_table_begin(builder, NULL);
    if (strcmp(skip, "count") != 0)
        table_put_int(builder, "count", count);
    if (strcmp(skip, "reason") != 0)
        table_put_longstr(builder, "reason", octets(reason));
    if (strcmp(skip, "queue") != 0)
        table_put_longstr(builder, "queue", octets(queue));
    if (strcmp(skip, "time") != 0)
        table_put_timestamp(builder, "time", 5);
    if (strcmp(skip, "exchange") != 0)
        table_put_longstr(builder, "exchange", octets("old"));
    if (strcmp(skip, "routing-keys") != 0) {
        table_put_array_begin(builder, "routing-keys");
        table_put_longstr(builder, NULL, octets("old-key"));
        table_put_end(builder);
    }
    table_put_bool(builder, "private", true);
    table_put_end(builder);
}

Test(death, is_told_in_an_entry_with_all_fields_in_their_order)
{
    publish_plain();
    die("q", DEATH_REJECTED);

    cr_expect(bytes_equal(entry(0), BYTES_LITERAL("\5countl\0\0\0\0\0\0\0\1"
                                                  "\6reasonS\0\0\0\10rejected"
                                                  "\5queueS\0\0\0\1q"
                                                  "\4timeT\0\0\0\0\x65\x53\xf1\0"
                                                  "\10exchangeS\0\0\0\1x"
                                                  "\14routing-keysA\0\0\0\10S\0\0\0\3key")));
    cr_expect_eq(entry(1).size, 0);
}

Test(death, has_four_reasons)
{
    cr_expect_str_eq(death_reason_name(DEATH_REJECTED), "rejected");
    cr_expect_str_eq(death_reason_name(DEATH_EXPIRED), "expired");
    cr_expect_str_eq(death_reason_name(DEATH_MAXLEN), "maxlen");
    cr_expect_str_eq(death_reason_name(DEATH_DELIVERY_LIMIT), "delivery_limit");
}

Test(death, of_the_same_kind_again_is_counted_and_nothing_else_changes)
{
    struct field time;

    publish_plain();
    die("q", DEATH_EXPIRED);
    die_as((struct death){.exchange = octets("dlx"),
                          .routing_key = octets("other"),
                          .queue = octets("q"),
                          .reason = DEATH_EXPIRED,
                          .time = NOW + 100});

    expect_entry(0, "q", "expired", 2);
    expect_string(entry(0), "exchange", "x");
    expect_keys(0, "key");
    cr_assert(table_get(entry(0), "time", &time));
    cr_expect_eq(time.u, NOW);
    cr_expect_eq(entry(1).size, 0);
}

Test(death, entries_stand_most_recent_first)
{
    publish_plain();
    die("a", DEATH_EXPIRED);
    die("b", DEATH_MAXLEN);
    die("c", DEATH_REJECTED);
    expect_entry(0, "c", "rejected", 1);
    expect_entry(1, "b", "maxlen", 1);
    expect_entry(2, "a", "expired", 1);

    die("b", DEATH_MAXLEN);
    expect_entry(0, "b", "maxlen", 2);
    expect_entry(1, "c", "rejected", 1);
    expect_entry(2, "a", "expired", 1);

    die("a", DEATH_EXPIRED);
    expect_entry(0, "a", "expired", 2);
    expect_entry(1, "b", "maxlen", 2);
    expect_entry(2, "c", "rejected", 1);
    cr_expect_eq(entry(3).size, 0);
}

Test(death, in_one_queue_for_two_reasons_has_two_entries)
{
    publish_plain();
    die("q", DEATH_EXPIRED);
    die("q", DEATH_DELIVERY_LIMIT);
    expect_entry(0, "q", "delivery_limit", 1);
    expect_entry(1, "q", "expired", 1);
}

Test(death, keeps_the_first_and_the_last_in_headers_of_their_own)
{
    publish_plain();
    die("a", DEATH_EXPIRED);
    die_as((struct death){.exchange = octets(""),
                          .routing_key = octets("b"),
                          .queue = octets("b"),
                          .reason = DEATH_REJECTED,
                          .time = NOW});
    expect_header("x-first-death-reason", "expired");
    expect_header("x-first-death-queue", "a");
    expect_header("x-first-death-exchange", "x");
    expect_header("x-last-death-reason", "rejected");
    expect_header("x-last-death-queue", "b");
    expect_header("x-last-death-exchange", "");
}

Test(death, takes_the_expiration_away_and_remembers_it)
{
    publish(PROPERTY_EXPIRATION | PROPERTY_CONTENT_TYPE, (struct bytes){0}, "1000");
    die("q", DEATH_EXPIRED);
    cr_expect_eq(properties().flags, PROPERTY_CONTENT_TYPE | PROPERTY_HEADERS);
    expect_string(entry(0), "original-expiration", "1000");

    die("q", DEATH_EXPIRED);
    expect_string(entry(0), "original-expiration", "1000");
    die("other", DEATH_REJECTED);
    expect_string(entry(1), "original-expiration", "1000");
    cr_expect(bytes_equal(entry(0), BYTES_LITERAL("\5countl\0\0\0\0\0\0\0\1"
                                                  "\6reasonS\0\0\0\10rejected"
                                                  "\5queueS\0\0\0\5other"
                                                  "\4timeT\0\0\0\0\x65\x53\xf1\0"
                                                  "\10exchangeS\0\0\0\1x"
                                                  "\14routing-keysA\0\0\0\10S\0\0\0\3key")));
}

Test(death, leaves_the_other_properties_and_headers_as_they_were)
{
    const char *names[] = {"z", "CC", "a", "x-death"};
    struct table_iterator iterator;
    struct field field;
    struct bytes name;

    publish(PROPERTY_HEADERS | PROPERTY_CONTENT_TYPE | PROPERTY_DELIVERY_MODE | PROPERTY_CORRELATION_ID,
            BYTES_LITERAL("\1zd\x7f\xf8\0\0\0\0\0\1\2CCA\0\0\0\0\1at\7"), "");
    die("q", DEATH_MAXLEN);

    cr_expect(bytes_equal_string(properties().content_type, "text/plain"));
    cr_expect(bytes_equal_string(properties().correlation_id, "id"));
    cr_expect_eq(properties().delivery_mode, DELIVERY_MODE_PERSISTENT);
    iterator = table_begin(properties().headers);
    for (unsigned i = 0; i < 4; i++) {
        cr_assert(table_next(&iterator, &name, &field));
        cr_expect(bytes_equal_string(name, names[i]), "%.*s", BYTES_ARG(name));
    }
    cr_expect(bytes_equal((struct bytes){properties().headers.data, 23},
                          BYTES_LITERAL("\1zd\x7f\xf8\0\0\0\0\0\1\2CCA\0\0\0\0\1at\7")));
}

Test(death, names_the_cc_keys_but_no_bcc_key)
{
    publish_plain();
    die_as((struct death){.exchange = octets("x"),
                          .routing_key = octets("key"),
                          .more_keys = BYTES_LITERAL("\0\2c1\1\6secret\0\2c2"),
                          .queue = octets("q"),
                          .reason = DEATH_REJECTED,
                          .time = NOW});
    expect_keys(0, "key,c1,c2");
}

Test(death, with_a_routing_key_override_takes_cc_away)
{
    publish(PROPERTY_HEADERS, BYTES_LITERAL("\2CCA\0\0\0\6S\0\0\0\1c\1kV"), "");
    die_as((struct death){.exchange = octets("x"),
                          .routing_key = octets("key"),
                          .more_keys = BYTES_LITERAL("\0\1c"),
                          .queue = octets("q"),
                          .reason = DEATH_REJECTED,
                          .time = NOW,
                          .has_routing_key_override = true});
    cr_expect_not(has_header("CC"));
    cr_expect(has_header("k"));
    expect_keys(0, "key,c");
}

Test(death, continues_the_count_of_a_republished_history)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    table_put_array_begin(&builder, "x-death");
    put_entry(&builder, "other", "expired", 1, NULL);
    put_entry(&builder, "q", "rejected", 3, NULL);
    table_put_end(&builder);
    publish(PROPERTY_HEADERS, buffer_bytes(&headers), "");
    die("q", DEATH_REJECTED);

    expect_entry(0, "q", "rejected", 4);
    expect_string(entry(0), "exchange", "old");
    expect_keys(0, "old-key");
    expect_entry(1, "other", "expired", 1);
    cr_expect_eq(entry(2).size, 0);
    buffer_free(&headers);
}

Test(death, with_a_publishers_history_is_not_the_first)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    table_put_longstr(&builder, "x-first-death-queue", octets("publisher's"));
    table_put_array_begin(&builder, "x-death");
    table_put_end(&builder);
    publish(PROPERTY_HEADERS, buffer_bytes(&headers), "");
    die("q", DEATH_REJECTED);

    expect_entry(0, "q", "rejected", 1);
    expect_header("x-first-death-queue", "publisher's");
    cr_expect_not(has_header("x-first-death-reason"));
    cr_expect_not(has_header("x-first-death-exchange"));
    expect_header("x-last-death-queue", "q");
    buffer_free(&headers);
}

Test(death, without_a_history_overwrites_a_publishers_first_death)
{
    publish(PROPERTY_HEADERS, BYTES_LITERAL("\23x-first-death-queueS\0\0\0\4fake\22x-last-death-queueV"), "");
    die("q", DEATH_REJECTED);
    expect_header("x-first-death-queue", "q");
    expect_header("x-last-death-queue", "q");
}

Test(death, replaces_an_x_death_that_is_no_array)
{
    publish(PROPERTY_HEADERS, BYTES_LITERAL("\7x-deathS\0\0\0\4fake"), "");
    die("q", DEATH_REJECTED);
    expect_entry(0, "q", "rejected", 1);
    expect_header("x-first-death-queue", "q");
}

Test(death, drops_entries_that_are_not_complete)
{
    static const char *const fields[] = {"count", "reason", "queue", "time", "exchange", "routing-keys"};
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    table_put_array_begin(&builder, "x-death");
    table_put_int(&builder, NULL, 1);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++)
        put_entry(&builder, "q", "expired", 7, fields[i]);
    put_entry(&builder, "q", "boredom", 7, NULL);
    put_entry(&builder, "good", "maxlen", 7, NULL);
    table_put_end(&builder);
    publish(PROPERTY_HEADERS, buffer_bytes(&headers), "");
    die("q", DEATH_EXPIRED);

    expect_entry(0, "q", "expired", 1);
    expect_entry(1, "good", "maxlen", 7);
    cr_expect_eq(entry(2).size, 0);
    buffer_free(&headers);
}

Test(death, count_does_not_overflow)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    table_put_array_begin(&builder, "x-death");
    put_entry(&builder, "q", "expired", INT64_MAX, NULL);
    table_put_end(&builder);
    publish(PROPERTY_HEADERS, buffer_bytes(&headers), "");
    die("q", DEATH_EXPIRED);
    expect_entry(0, "q", "expired", INT64_MAX);
    buffer_free(&headers);
}

/* ---- cycles (2.7) ---- */

static bool is_cycle(const char *target)
{
    return death_is_cycle(buffer_bytes(&message), octets(target));
}

Test(death, by_expiry_back_to_the_same_queue_is_a_cycle)
{
    publish_plain();
    die("q", DEATH_EXPIRED);
    cr_expect(is_cycle("q"));
    cr_expect_not(is_cycle("other"));
}

Test(death, by_rejection_is_never_a_cycle)
{
    publish_plain();
    for (int i = 0; i < 3; i++) {
        die("q", DEATH_REJECTED);
        cr_expect_not(is_cycle("q"));
    }
}

/* work -> (reject) -> retry (TTL) -> work loops for ever, by design. */
Test(death, of_a_retry_loop_with_a_rejection_in_it_is_no_cycle)
{
    publish_plain();
    for (int i = 1; i <= 4; i++) {
        die("work", DEATH_REJECTED);
        cr_expect_not(is_cycle("retry"));
        die("retry", DEATH_EXPIRED);
        cr_expect_not(is_cycle("work"));
        expect_entry(0, "retry", "expired", i);
        expect_entry(1, "work", "rejected", i);
    }
}

Test(death, by_automatic_reasons_all_the_way_round_is_a_cycle)
{
    publish_plain();
    die("start", DEATH_REJECTED);
    die("a", DEATH_EXPIRED);
    die("b", DEATH_MAXLEN);
    die("c", DEATH_DELIVERY_LIMIT);
    cr_expect(is_cycle("a"));
    cr_expect(is_cycle("b"));
    cr_expect(is_cycle("c"));
    cr_expect_not(is_cycle("start"), "the rejection there breaks it");
    cr_expect_not(is_cycle("d"));
}

Test(death, a_publishers_history_counts_in_cycles)
{
    struct buffer headers = {0};
    struct table_builder builder = table_builder_init(&headers);

    table_put_array_begin(&builder, "x-death");
    put_entry(&builder, "target", "expired", 1, NULL);
    table_put_end(&builder);
    publish(PROPERTY_HEADERS, buffer_bytes(&headers), "");
    die("q", DEATH_EXPIRED);
    cr_expect(is_cycle("target"));
    buffer_free(&headers);
}

Test(death, that_never_was_is_no_cycle)
{
    publish_plain();
    cr_expect_not(is_cycle("q"));
    publish(PROPERTY_HEADERS, BYTES_LITERAL("\7x-deathS\0\0\0\1q"), "");
    cr_expect_not(is_cycle("q"));
}
