/* SPDX-License-Identifier: Apache-2.0 */
/* Properties on their way through a shovel: untouched, unless the plan sets or adds something. */
#include <criterion/criterion.h>
#include <stdio.h>

#include "coney/properties.h"
#include "coney/table.h"
#include "shovel/plan.h"
#include "shovel/rewrite.h"

#define NOW_MS 1700000000123

static const struct rewrite_names names = {"cluster", "s", "/", "amqp://a", "amqp://b"};
static char from[] = "from", to[] = "to", key[] = "k";
static struct plan plan = {.source = {.queue = from}, .dest = {.exchange = to, .key = key}};
static struct buffer out, headers;

static struct bytes with_headers(void)
{
    struct table_builder builder = table_builder_init(&headers);
    struct properties properties = {.flags = PROPERTY_HEADERS | PROPERTY_TYPE, .type = BYTES_LITERAL("t")};
    static struct buffer raw;

    table_put_int(&builder, "mine", 5);
    table_put_int(&builder, "x-shovelled-timestamp", 1);
    properties.headers = buffer_bytes(&headers);
    properties_encode(&raw, &properties);
    return buffer_bytes(&raw);
}

Test(shovel_rewrite, leaves_alone_what_it_is_not_told_to_change)
{
    struct bytes raw = BYTES_LITERAL("\x18\0\2\5"), damaged = BYTES_LITERAL("\x18\0\2");

    cr_expect_eq(rewrite_properties(&out, &plan, &names, NOW_MS, raw).data, raw.data);
    plan.adds_timestamp = true;
    cr_expect_eq(rewrite_properties(&out, &plan, &names, NOW_MS, damaged).data, damaged.data);
}

Test(shovel_rewrite, adds_where_a_message_came_by)
{
    struct properties properties;
    struct field field, passage;
    struct table_iterator passages;
    unsigned count = 0;

    plan.adds_forward_headers = plan.adds_timestamp = true;
    cr_assert(
        properties_decode(&properties, rewrite_properties(&out, &plan, &names, NOW_MS, with_headers())));
    cr_expect(bytes_equal_string(properties.type, "t"));
    cr_expect(table_get(properties.headers, "mine", &field) && field.i == 5);
    cr_expect(table_get(properties.headers, "x-shovelled-timestamp", &field) && field.i == NOW_MS);
    cr_assert(table_get(properties.headers, "x-shovelled", &field) && field.type == FIELD_ARRAY);
    passages = array_begin(field.bytes);
    cr_assert(array_next(&passages, &passage) && passage.type == FIELD_TABLE);
    cr_expect(table_get(passage.bytes, "shovelled-by", &field) && bytes_equal_string(field.bytes, "cluster"));
    cr_expect(table_get(passage.bytes, "src-queue", &field) && bytes_equal_string(field.bytes, "from"));
    cr_expect(table_get(passage.bytes, "dest-exchange-key", &field) && bytes_equal_string(field.bytes, "k"));
    cr_expect_not(table_get(passage.bytes, "dest-queue", &field));
    for (struct table_iterator all = table_begin(properties.headers);
         table_next(&all, &(struct bytes){0}, &field);)
        count++;
    cr_expect_eq(count, 3, "the old time is replaced");
}

Test(shovel_rewrite, puts_the_last_shovel_first)
{
    struct rewrite_names second = names;
    struct properties properties;
    struct buffer again = {0};
    struct field field, passage;
    struct table_iterator passages;

    plan.adds_forward_headers = true;
    second.name = "second";
    rewrite_properties(&out, &plan, &names, NOW_MS, PROPERTIES_NONE);
    cr_assert(properties_decode(&properties,
                                rewrite_properties(&again, &plan, &second, NOW_MS, buffer_bytes(&out))));
    cr_assert(table_get(properties.headers, "x-shovelled", &field));
    passages = array_begin(field.bytes);
    cr_assert(array_next(&passages, &passage));
    cr_expect(table_get(passage.bytes, "shovel-name", &field) && bytes_equal_string(field.bytes, "second"));
    cr_assert(array_next(&passages, &passage));
    cr_expect(table_get(passage.bytes, "shovel-name", &field) && bytes_equal_string(field.bytes, "s"));
    cr_expect_not(array_next(&passages, &passage));
    buffer_free(&again);
}

Test(shovel_rewrite, sets_properties)
{
    struct properties properties;

    plan.properties = json_pack("{s:s,s:i,s:i,s:i}", "content_type", "text/plain", "delivery_mode", 2,
                                "priority", 3, "timestamp", 1000);
    cr_assert(
        properties_decode(&properties, rewrite_properties(&out, &plan, &names, NOW_MS, with_headers())));
    cr_expect(bytes_equal_string(properties.content_type, "text/plain"));
    cr_expect_eq(properties.delivery_mode, 2);
    cr_expect_eq(properties.priority, 3);
    cr_expect_eq(properties.timestamp, 1000);
    cr_expect(bytes_equal_string(properties.type, "t"));
    cr_expect_eq(properties.flags, PROPERTY_CONTENT_TYPE | PROPERTY_HEADERS | PROPERTY_DELIVERY_MODE |
                                       PROPERTY_PRIORITY | PROPERTY_TIMESTAMP | PROPERTY_TYPE);
    json_decref(plan.properties);
}

static struct properties with_numbers(const char *mode, const char *priority, const char *timestamp)
{
    struct properties properties;
    char text[200];

    snprintf(text, sizeof text, "{\"delivery_mode\":%s,\"priority\":%s,\"timestamp\":%s}", mode, priority,
             timestamp);
    plan.properties = json_loads(text, 0, NULL);
    cr_assert_not_null(plan.properties, "%s", text);
    cr_assert(
        properties_decode(&properties, rewrite_properties(&out, &plan, &names, NOW_MS, PROPERTIES_NONE)));
    json_decref(plan.properties);
    return properties;
}

Test(shovel_rewrite, takes_the_nearest_of_numbers_that_do_not_fit)
{
    struct properties properties = with_numbers("300", "-1", "9007199254740993");

    cr_expect_eq(properties.delivery_mode, 255);
    cr_expect_eq(properties.priority, 0);
    cr_expect_eq(properties.timestamp, 9007199254740993, "not by way of a floating-point number");
    properties = with_numbers("1e300", "3.9", "1e300");
    cr_expect_eq(properties.delivery_mode, 255);
    cr_expect_eq(properties.priority, 3);
    cr_expect_eq(properties.timestamp, UINT64_MAX);
    cr_expect_eq(with_numbers("2", "-0.5", "-1e300").timestamp, 0);
}
