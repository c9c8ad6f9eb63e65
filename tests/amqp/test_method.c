/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The method codec. Every method is put through it with a payload that this file makes from methods.tsv by a
 * few lines of its own, so that the generator is not its own judge; that members have the right names and
 * bits their places is shown with payloads written out by hand.
 */
#include <criterion/criterion.h>
#include <stdio.h>

#include "coney/frame.h"
#include "coney/method.h"
#include "coney/table.h"
#include "hostile.h"

#define METHOD_COUNT 66
#define FIELDS_MAX   12

/* A valid table, for table arguments: "k" = longstr "v". */
#define TABLE "\1kS\0\0\0\1v"

struct row {
    char class_name[32];
    unsigned class_id;
    char method_name[32];
    unsigned method_id;
    char direction[32];
    char carries_content[8];
    char fields[300];
};

static struct row rows[METHOD_COUNT];

static void read_rows(void)
{
    const char *root = getenv("top_srcdir");
    char path[4096];
    char line[600];
    size_t count = 0;
    FILE *file;

    snprintf(path, sizeof path, "%s/src/amqp/methods.tsv", root != NULL ? root : ".");
    file = fopen(path, "r");
    cr_assert_not_null(file, "%s (is top_srcdir set?)", path);
    cr_assert_not_null(fgets(line, sizeof line, file));
    while (fgets(line, sizeof line, file) != NULL) {
        struct row *row = &rows[count++];

        cr_assert_leq(count, METHOD_COUNT);
        cr_assert_eq(sscanf(line, "%31[^\t]\t%u\t%31[^\t]\t%u\t%31[^\t]\t%*[^\t]\t%7[^\t]\t%299[^\n]",
                            row->class_name, &row->class_id, row->method_name, &row->method_id,
                            row->direction, row->carries_content, row->fields),
                     7);
    }
    fclose(file);
    cr_assert_eq(count, METHOD_COUNT);
}

TestSuite(method, .init = read_rows);

static void append_value(struct buffer *out, const char *type, bool is_zero, unsigned seed)
{
    char text[32];
    int size = snprintf(text, sizeof text, "value-%u", seed);
    struct bytes string = is_zero ? (struct bytes){0} : (struct bytes){(const uint8_t *)text, (size_t)size};
    struct bytes table = is_zero ? (struct bytes){0} : BYTES_LITERAL(TABLE);
    uint64_t number = is_zero ? 0 : 0x0123456789abcdefU * (2 * seed + 1);
    uint8_t *p = buffer_reserve(out, 64);

    if (strcmp(type, "octet") == 0)
        p = put_u8(p, (uint8_t)number);
    else if (strcmp(type, "short") == 0)
        p = put_u16(p, (uint16_t)number);
    else if (strcmp(type, "long") == 0)
        p = put_u32(p, (uint32_t)number);
    else if (strcmp(type, "longlong") == 0)
        p = put_u64(p, number);
    else if (strcmp(type, "shortstr") == 0)
        p = put_shortstr(p, string);
    else if (strcmp(type, "longstr") == 0)
        p = put_longstr(p, string);
    else
        p = put_longstr(p, table);
    out->size = (size_t)(p - out->data);
}

/* Append a payload of ROW. BITS are the values of the bit arguments, the first in bit 0; RESERVED_IS_ZERO
 * says whether reserved arguments are zero, as they are sent, or anything, as they may come. */
static void append_payload(struct buffer *out, const struct row *row, unsigned bits, bool reserved_is_zero)
{
    char fields[300];
    char *rest = NULL;
    unsigned seed = 0;
    unsigned bits_in_octet = 0;

    out->size =
        (size_t)(put_u16(put_u16(buffer_reserve(out, 4), (uint16_t)row->class_id), (uint16_t)row->method_id) -
                 out->data);
    if (strcmp(row->fields, "-") == 0)
        return;
    strcpy(fields, row->fields);
    for (char *field = strtok_r(fields, " ", &rest); field != NULL; field = strtok_r(NULL, " ", &rest)) {
        bool is_reserved = strstr(field, "(reserved)") != NULL;
        const char *type = strchr(field, ':') + 1;

        if (strcmp(type, "bit") != 0) {
            append_value(out, type, is_reserved && reserved_is_zero, ++seed);
            bits_in_octet = 0;
            continue;
        }
        if (bits_in_octet == 0)
            *buffer_reserve(out, 1) = 0, out->size++;
        if ((bits & 1) != 0 && !(is_reserved && reserved_is_zero))
            out->data[out->size - 1] |= (uint8_t)(1U << bits_in_octet);
        bits >>= 1;
        bits_in_octet++;
    }
}

static enum method_id row_id(const struct row *row)
{
    return (enum method_id)(row->class_id << 16 | row->method_id);
}

Test(method, every_one_decodes_and_encodes_to_the_same_octets)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        for (unsigned bits = 0; bits < 64; bits++) {
            struct buffer sent = {0};
            struct buffer expected = {0};
            struct method method;
            uint8_t out[512];

            append_payload(&sent, &rows[i], bits, false);
            append_payload(&expected, &rows[i], bits, true);
            cr_assert_eq(method_decode(&method, buffer_bytes(&sent)), METHOD_OK, "%s.%s", rows[i].class_name,
                         rows[i].method_name);
            cr_assert_eq(method.id, row_id(&rows[i]));
            cr_assert_eq(method_encoded_size(&method), expected.size, "%s.%s", rows[i].class_name,
                         rows[i].method_name);
            cr_assert_eq(method_encode(out, &method), out + expected.size);
            cr_assert_arr_eq(out, expected.data, expected.size, "%s.%s", rows[i].class_name,
                             rows[i].method_name);
            buffer_free(&sent);
            buffer_free(&expected);
        }
    }
}

Test(method, every_one_is_malformed_at_any_other_length)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        struct buffer payload = {0};
        struct method method;

        append_payload(&payload, &rows[i], 0xff, false);
        for (size_t size = 0; size < payload.size; size++) {
            struct bytes cut = copy_of(payload.data, size);

            cr_assert_eq(method_decode(&method, cut), METHOD_MALFORMED, "%s.%s cut at %zu",
                         rows[i].class_name, rows[i].method_name, size);
            if (size >= 4)
                cr_assert_eq(method.id, row_id(&rows[i]));
            free_copy(cut);
        }
        buffer_append(&payload, "", 1);
        cr_assert_eq(method_decode(&method, buffer_bytes(&payload)), METHOD_MALFORMED);
        cr_assert_eq(method.id, row_id(&rows[i]));
        buffer_free(&payload);
    }
}

Test(method, every_one_has_its_name_direction_and_content)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        char name[70];

        snprintf(name, sizeof name, "%s.%s", rows[i].class_name, rows[i].method_name);
        cr_expect_str_eq(method_name(row_id(&rows[i])), name);
        cr_expect_eq(method_is_from_client(row_id(&rows[i])),
                     strcmp(rows[i].direction, "server->client") != 0, "%s", name);
        cr_expect_eq(method_has_content(row_id(&rows[i])), strcmp(rows[i].carries_content, "yes") == 0, "%s",
                     name);
        cr_expect_eq(METHOD_CLASS(row_id(&rows[i])), rows[i].class_id);
        cr_expect_eq(METHOD_INDEX(row_id(&rows[i])), rows[i].method_id);
    }
}

/* These are what the core bounds in depth and size. */
Test(method, a_table_of_arguments_is_found_in_every_one_that_has_it)
{
    for (size_t i = 0; i < METHOD_COUNT; i++) {
        bool has_table = strstr(rows[i].fields, " arguments:table") != NULL;
        struct buffer payload = {0};
        struct bytes found = {0};
        struct method method;

        append_payload(&payload, &rows[i], 0, false);
        cr_assert_eq(method_decode(&method, buffer_bytes(&payload)), METHOD_OK);
        cr_expect_eq(method_arguments(&method, &found), has_table, "%s.%s", rows[i].class_name,
                     rows[i].method_name);
        cr_expect_eq(found.size, has_table ? BYTES_LITERAL(TABLE).size : 0);
        buffer_free(&payload);
    }
}

Test(method, unknown_ids_are_told_from_malformed_arguments)
{
    struct method method;
    unsigned known = 0;

    for (unsigned class_id = 0; class_id < 256; class_id++) {
        for (unsigned method_id = 0; method_id < 256; method_id++) {
            uint8_t payload[4];
            struct bytes bytes = {payload, sizeof payload};

            put_u16(put_u16(payload, (uint16_t)class_id), (uint16_t)method_id);
            if (method_decode(&method, bytes) != METHOD_UNKNOWN) {
                known++;
                continue;
            }
            cr_assert_eq((unsigned)method.id, class_id << 16 | method_id);
            cr_assert_str_eq(method_name(method.id), "unknown");
            cr_assert_not(method_is_from_client(method.id));
            cr_assert_not(method_has_content(method.id));
        }
    }
    cr_expect_eq(known, METHOD_COUNT);
    /* basic.credit, RabbitMQ 3's private extension, is not spoken (connection-and-channel.md 6.1). */
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\310")), METHOD_UNKNOWN);
}

Test(method, without_an_id_is_malformed)
{
    struct method method;

    cr_expect_eq(method_decode(&method, (struct bytes){0}), METHOD_MALFORMED);
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\74\0")), METHOD_MALFORMED);
}

Test(method, queue_declare_has_each_bit_in_its_place)
{
    struct method method;

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\62\0\12\377\377\1q\25\0\0\0\0")), METHOD_OK);
    cr_expect_eq(method.id, METHOD_QUEUE_DECLARE);
    cr_expect(bytes_equal_string(method.queue_declare.queue, "q"));
    cr_expect(method.queue_declare.passive);
    cr_expect_not(method.queue_declare.durable);
    cr_expect(method.queue_declare.exclusive);
    cr_expect_not(method.queue_declare.auto_delete);
    cr_expect(method.queue_declare.nowait);
    cr_expect_eq(method.queue_declare.arguments.size, 0);

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\62\0\12\0\0\0\12\0\0\0\10" TABLE)), METHOD_OK);
    cr_expect_not(method.queue_declare.passive);
    cr_expect(method.queue_declare.durable);
    cr_expect_not(method.queue_declare.exclusive);
    cr_expect(method.queue_declare.auto_delete);
    cr_expect_not(method.queue_declare.nowait);
    cr_expect(bytes_equal(method.queue_declare.arguments, BYTES_LITERAL(TABLE)));
}

Test(method, exchange_declare_has_each_bit_in_its_place)
{
    struct method method;

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\50\0\12\0\0\1x\5topic\12\0\0\0\0")), METHOD_OK);
    cr_expect(bytes_equal_string(method.exchange_declare.exchange, "x"));
    cr_expect(bytes_equal_string(method.exchange_declare.type, "topic"));
    cr_expect_not(method.exchange_declare.passive);
    cr_expect(method.exchange_declare.durable);
    cr_expect_not(method.exchange_declare.auto_delete);
    cr_expect(method.exchange_declare.internal);
    cr_expect_not(method.exchange_declare.nowait);
}

Test(method, basic_consume_has_each_bit_in_its_place)
{
    struct method method;

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\24\0\0\1q\1t\12\0\0\0\0")), METHOD_OK);
    cr_expect(bytes_equal_string(method.basic_consume.queue, "q"));
    cr_expect(bytes_equal_string(method.basic_consume.consumer_tag, "t"));
    cr_expect_not(method.basic_consume.no_local);
    cr_expect(method.basic_consume.no_ack);
    cr_expect_not(method.basic_consume.exclusive);
    cr_expect(method.basic_consume.nowait);
}

Test(method, basic_publish_and_acknowledgements_read_as_written)
{
    struct method method;

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\50\0\0\1x\3key\2")), METHOD_OK);
    cr_expect(bytes_equal_string(method.basic_publish.exchange, "x"));
    cr_expect(bytes_equal_string(method.basic_publish.routing_key, "key"));
    cr_expect_not(method.basic_publish.mandatory);
    cr_expect(method.basic_publish.immediate);

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\120\1\2\3\4\5\6\7\10\1")), METHOD_OK);
    cr_expect_eq(method.basic_ack.delivery_tag, 0x0102030405060708);
    cr_expect(method.basic_ack.multiple);

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\170\0\0\0\0\0\0\0\11\2")), METHOD_OK);
    cr_expect_eq(method.basic_nack.delivery_tag, 9);
    cr_expect_not(method.basic_nack.multiple);
    cr_expect(method.basic_nack.requeue);
}

Test(method, connection_tune_reads_as_written)
{
    struct method method;

    cr_assert_eq(method_decode(&method, BYTES_LITERAL("\0\12\0\36\7\377\0\2\0\0\0\74")), METHOD_OK);
    cr_expect_eq(method.connection_tune.channel_max, 2047);
    cr_expect_eq(method.connection_tune.frame_max, 131072);
    cr_expect_eq(method.connection_tune.heartbeat, 60);
}

Test(method, basic_deliver_is_written_as_the_protocol_has_it)
{
    struct method method = {.id = METHOD_BASIC_DELIVER,
                            .basic_deliver = {.consumer_tag = BYTES_LITERAL("t"),
                                              .delivery_tag = 0x0102030405060708,
                                              .redelivered = true,
                                              .exchange = BYTES_LITERAL("x"),
                                              .routing_key = BYTES_LITERAL("key")}};
    struct buffer out = {0};

    buffer_append_method(&out, 0x0203, &method);
    cr_expect(
        bytes_equal(buffer_bytes(&out), BYTES_LITERAL("\1\2\3\0\0\0\25"                          /* frame */
                                                      "\0\74\0\74\1t\1\2\3\4\5\6\7\10\1\1x\3key" /* method */
                                                      "\xCE")));
    buffer_free(&out);
}

Test(method, frames_are_appended_one_behind_the_other)
{
    struct method ok = {.id = METHOD_CHANNEL_OPEN_OK};
    struct buffer out = {0};

    for (unsigned i = 0; i < 100; i++)
        buffer_append_method(&out, 1, &ok);
    cr_assert_eq(out.size, 1600);
    for (unsigned i = 0; i < 100; i++)
        cr_assert_arr_eq(out.data + 16 * i, "\1\0\1\0\0\0\10\0\24\0\13\0\0\0\0\xCE", 16);
    buffer_free(&out);
}

Test(method, short_strings_must_be_utf8)
{
    struct method method;

    /* basic.cancel */
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\36\1\xff\0")), METHOD_BAD_UTF8);
    cr_expect_eq(method.id, METHOD_BASIC_CANCEL);
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\36\2\303\251\0")), METHOD_OK);
    /* Not those of methods that carry content: basic.publish. */
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\74\0\50\0\0\1\xff\1\xfe\0")), METHOD_OK);
    /* Long strings may hold anything: connection.secure-ok. */
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\12\0\25\0\0\0\1\xff")), METHOD_OK);
    /* Reserved ones are not looked at: channel.open. */
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\24\0\12\1\xff")), METHOD_OK);
}

Test(method, wrong_length_is_reported_before_wrong_utf8_and_that_before_a_wrong_table)
{
    struct method method;

    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\62\0\12\0\0\1\xff\0\0\0\0\3\1kZ")),
                 METHOD_BAD_UTF8);
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\62\0\12\0\0\1q\0\0\0\0\3\1kZ")), METHOD_BAD_TABLE);
    cr_expect_eq(method_decode(&method, BYTES_LITERAL("\0\62\0\12\0\0\1\xff\0\0\0\0\3\1kZ!")),
                 METHOD_MALFORMED);
}

Test(method, random_octets_decode_to_what_encodes_to_themselves)
{
    uint64_t state = 2;
    unsigned decoded = 0;

    for (unsigned round = 0; round < 200000; round++) {
        const struct row *row = &rows[next_random(&state) % METHOD_COUNT];
        uint8_t payload[40];
        size_t size = 4 + next_random(&state) % (sizeof payload - 4);
        struct method method;
        struct method again;
        struct bytes copy;
        uint8_t out[64];

        put_u16(put_u16(payload, (uint16_t)row->class_id), (uint16_t)row->method_id);
        for (size_t i = 4; i < size; i++)
            payload[i] = (uint8_t)(next_random(&state) % 4);
        copy = copy_of(payload, size);
        if (method_decode(&method, copy) == METHOD_OK) {
            size_t encoded = method_encoded_size(&method);

            decoded++;
            cr_assert_leq(encoded, size); /* shorter by what reserved strings held */
            cr_assert_eq(method_encode(out, &method), out + encoded);
            cr_assert_eq(method_decode(&again, (struct bytes){out, encoded}), METHOD_OK);
        }
        free_copy(copy);
    }
    cr_expect_gt(decoded, 1000);
}
