/* SPDX-License-Identifier: Apache-2.0 */
/* What is taken for a shovel and what is not, in RabbitMQ's words; and what becomes of it. */
#include <criterion/criterion.h>
#include <string.h>

#include "coney/shovels.h"
#include "coney/table.h"
#include "shovel/plan.h"

#define WHY_SIZE 2000
#define LEAST    "\"src-uri\":\"amqp://\",\"dest-uri\":\"amqp://\",\"src-queue\":\"q\""

static json_t *parse(const char *text)
{
    json_error_t error;
    json_t *value = json_loads(text, JSON_DECODE_ANY, &error);

    cr_assert_not_null(value, "%s: %s", text, error.text);
    return value;
}

Test(shovel_plan, refuses_in_the_words_of_rabbitmq)
{
    static const struct {
        const char *value, *why;
    } refused[] = {
        {"{}", "Must specify 'src-exchange' or 'src-queue'\nKey \"src-uri\" not found in s\n"
               "Key \"dest-uri\" not found in s\n"},
        {"{" LEAST ",\"src-exchange\":\"x\"}", "Cannot specify 'src-exchange' and 'src-queue'\n"},
        {"{" LEAST ",\"dest-queue\":\"a\",\"dest-exchange\":\"x\"}",
         "Cannot specify 'dest-exchange' and 'dest-queue'\n"},
        {"{" LEAST ",\"ack-mode\":\"no-ack\",\"src-delete-after\":5}",
         "Cannot specify 'no-ack' and numerical 'delete-after'\n"},
        {"{" LEAST ",\"ack-mode\":\"no-ack\",\"delete-after\":5}",
         "Cannot specify 'no-ack' and numerical 'delete-after'\n"},
        {"{" LEAST ",\"ack-mode\":\"maybe\"}", "ack-mode should be one of [<<\"no-ack\">>,<<\"on-publish\">>,"
                                               "<<\"on-confirm\">>], actually was <<\"maybe\">>\n"},
        {"{" LEAST ",\"reconnect-delay\":\"5\"}",
         "reconnect-delay should be a number, actually was <<\"5\">>\n"},
        {"{" LEAST ",\"src-prefetch-count\":[1,true]}",
         "src-prefetch-count should be a number, actually was [1,true]\n"},
        {"{" LEAST ",\"dest-queue\":7}", "dest-queue should be binary, actually was 7\n"},
        {"{" LEAST ",\"add-forward-headers\":\"true\"}",
         "add-forward-headers should be boolean, actually was <<\"true\">>\n"},
        {"{" LEAST ",\"delete-after\":\"soon\"}",
         "delete-after should be number, \"never\" or \"queue-length\", "
         "actually was <<\"soon\">>\n"},
        {"{" LEAST ",\"colour\":{\"red\":1}}",
         "Unrecognised terms [{<<\"colour\">>,[{<<\"red\">>,1}]}] in s\n"},
        {"{" LEAST ",\"src-protocol\":\"amqp10\"}", "src-protocol amqp10 is not supported\n"},
        {"{" LEAST ",\"dest-protocol\":\"mqtt\"}",
         "dest-protocol should be one of [<<\"amqp10\">>,<<\"amqp091\">>], actually was <<\"mqtt\">>\n"},
        {"{" LEAST ",\"dest-publish-properties\":{\"headers\":{}}}",
         "Unrecognised terms [{<<\"headers\">>,[]}] in dest-publish-properties\n"},
        {"{" LEAST ",\"src-queue-args\":1}", "src-queue-args not a list 1\n"},
        {"{\"src-uri\":[\"amqp://\",\"http://u:secret@h\"],\"dest-uri\":1,\"src-queue\":\"q\"}",
         "\"http://h\" not a valid URI: the scheme is neither amqp nor amqps\n"
         "dest-uri should be list, actually was 1\n"},
        {"{\"src-uri\":[],\"dest-uri\":[null],\"src-queue\":\"q\"}",
         "src-uri should not be empty\ndest-uri should be binary, actually was null\n"},
        {"3", "s not a list 3\n"},
    };

    for (size_t i = 0; i < sizeof refused / sizeof *refused; i++) {
        json_t *value = parse(refused[i].value);
        char why[WHY_SIZE];

        cr_expect_not(shovels_check("s", value, why, sizeof why), "%s", refused[i].value);
        cr_expect_str_eq(why, refused[i].why, "%s: %s", refused[i].value, why);
        cr_expect_null(plan_new("s", value, why, sizeof why));
        json_decref(value);
    }
}

Test(shovel_plan, cuts_what_does_not_fit)
{
    json_t *value = parse("{\"a\":1}");
    char why[64];

    cr_expect_not(shovels_check("s", value, why, sizeof why));
    cr_expect_lt(strlen(why), sizeof why);
    cr_expect_eq(why[strlen(why) - 1], '\n');
    json_decref(value);
}

static struct plan *plan(const char *text)
{
    json_t *value = parse(text);
    char why[WHY_SIZE] = "";
    struct plan *plan = plan_new("s", value, why, sizeof why);

    cr_assert_not_null(plan, "%s: %s", text, why);
    json_decref(value);
    return plan;
}

Test(shovel_plan, has_the_defaults_of_rabbitmq)
{
    struct plan *least = plan("{" LEAST "}");

    cr_expect_eq(least->ack_mode, ACK_ON_CONFIRM);
    cr_expect_eq(least->prefetch, 1000);
    cr_expect_eq(least->reconnect_delay, 5.0);
    cr_expect_eq(least->delete_after, DELETE_NEVER);
    cr_expect_not(least->adds_forward_headers || least->adds_timestamp);
    cr_expect_null(least->dest.queue);
    cr_expect_null(least->dest.exchange);
    plan_free(least);
}

Test(shovel_plan, reads_old_names_and_new)
{
    struct plan *old = plan("{" LEAST ",\"prefetch-count\":7,\"delete-after\":9,\"add-forward-headers\":true,"
                            "\"publish-properties\":{\"delivery_mode\":2}}");
    struct plan *new = plan("{" LEAST ",\"prefetch-count\":7,\"src-prefetch-count\":8,"
                            "\"src-delete-after\":\"queue-length\",\"delete-after\":9,"
                            "\"dest-add-forward-headers\":false,\"add-forward-headers\":true}");

    cr_expect_eq(old->prefetch, 7);
    cr_expect_eq(old->delete_after, 9);
    cr_expect(old->adds_forward_headers);
    cr_expect_not_null(old->properties);
    cr_expect_eq(new->prefetch, 8);
    cr_expect_eq(new->delete_after, DELETE_QUEUE_LENGTH);
    cr_expect_not(new->adds_forward_headers);
    plan_free(old);
    plan_free(new);
}

Test(shovel_plan, reads_both_ends)
{
    struct plan *both = plan("{\"src-uri\":[\"amqp://a\",\"amqp://b\"],\"dest-uri\":\"amqp://c\","
                             "\"src-exchange\":\"x\",\"dest-exchange\":\"y\",\"dest-exchange-key\":\"k\","
                             "\"src-queue-args\":{\"x-max-length\":10},\"src-consumer-args\":{},"
                             "\"prefetch-count\":1000000,\"reconnect-delay\":-1,\"dest-predeclared\":true}");
    struct field field;

    cr_expect_eq(both->source.uri_count, 2);
    cr_expect_str_eq(both->source.uris[1], "amqp://b");
    cr_expect_str_eq(both->source.key, "");
    cr_expect_str_eq(both->dest.key, "k");
    cr_expect(table_get(both->source.args, "x-max-length", &field));
    cr_expect_eq(both->consumer_args.size, 0);
    cr_expect_eq(both->prefetch, UINT16_MAX);
    cr_expect_eq(both->reconnect_delay, 0.0);
    cr_expect(both->dest.is_predeclared);
    plan_free(both);
}
