/* SPDX-License-Identifier: Apache-2.0 */
/* Queue features: TTL, expiry, limits, priorities, dead letters, delivery limit, policies
 * (queue-features.md). */
#include "story.h"

#define DLX(key) STR("x-dead-letter-exchange", ""), STR("x-dead-letter-routing-key", key)

/* The first entry of x-death. */
static void expect_death(const struct heard *heard, const char *reason, const char *queue, int64_t count)
{
    struct field field, value;
    struct table_iterator deaths;
    int64_t number;

    cr_assert(table_get(heard->properties.headers, "x-death", &field));
    deaths = array_begin(field.bytes);
    cr_assert(array_next(&deaths, &field));
    cr_assert(table_get(field.bytes, "reason", &value));
    cr_assert(bytes_equal_string(value.bytes, reason), "died of %.*s", BYTES_ARG(value.bytes));
    cr_assert(table_get(field.bytes, "queue", &value));
    cr_assert(bytes_equal_string(value.bytes, queue));
    cr_assert(table_get(field.bytes, "count", &value));
    cr_assert(field_is_integer(&value, &number));
    cr_assert_eq(number, count);
}

/* ---- TTL ---- */

Test(ttl, of_the_queue_and_of_the_message_the_smaller_counts)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    publish(a, "q", "a");
    POST(a, .key = "q", .body = "b", .expiration = "5000");
    POST(a, .key = "q", .body = "c", .expiration = "500");
    advance(s, 499);
    expect_count(s, "q", 3, 0);
    advance(s, 1);
    expect_count(s, "q", 2, 0); /* from the middle of the queue */
    advance(s, 500);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(ttl, message_leaves_wherever_it_stands)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    publish(a, "q", "forever");
    POST(a, .key = "q", .body = "long", .expiration = "3000");
    POST(a, .key = "q", .body = "short", .expiration = "1000");
    POST(a, .key = "q", .body = "middle", .expiration = "2000");
    for (uint64_t left = 3; left > 0; left--) {
        advance(s, 1000);
        expect_count(s, "q", left, 0);
    }
    consume(a, "q", "t");
    expect_fresh(a, "forever");
    expect_silence(a);
    story_free(s);
}

Test(ttl, unacked_message_expires_only_when_it_comes_back)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000)));
    consume(a, "q", "t");
    publish(a, "q", "a");
    publish(a, "q", "b");
    expect_fresh(a, "a");
    expect_fresh(a, "b");
    advance(s, 500);
    reject(a, 1, REQUEUE);
    expect_redelivered(a, "a");
    advance(s, 500);
    expect_count(s, "q", 0, 2);
    reject(a, 2, REQUEUE);
    reject(a, 3, REQUEUE);
    expect_silence(a);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(ttl, zero_means_delivered_at_once_or_never)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    POST(a, .key = "q", .body = "a", .expiration = "0");
    expect_count(s, "q", 0, 0);
    consume(a, "q", "t");
    POST(a, .key = "q", .body = "b", .expiration = "0");
    expect_fresh(a, "b");
    reject(a, 1, REQUEUE);
    expect_silence(a);
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(ttl, of_zero_takes_no_place_in_a_queue_that_is_full)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 1)));
    publish(a, "q", "stays");
    set_policy(s, "p", "q", ARGUMENTS(INT64("message-ttl", 0)));
    publish(a, "q", "goes");
    expect_count(s, "q", 1, 0);
    declare(a, "dead");
    declare_with(a, "r", 0, ARGUMENTS(INT("x-message-ttl", 0), DLX("dead")));
    publish(a, "r", "enters and expires");
    expect_count(s, "r", 0, 0);
    expect_count(s, "dead", 1, 0);
    story_free(s);
}

Test(ttl, thousands_expire_a_slice_at_a_time)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0, ARGUMENTS(INT("x-message-ttl", 1000), DLX("dead")));
    together(a);
    for (int i = 0; i < 5000; i++)
        publish(a, "q", "m");
    together_end(a);
    advance(s, 1010);
    expect_count(s, "q", 0, 0);
    expect_count(s, "dead", 5000, 0);
    story_free(s);
}

Test(expires, unused_queue_goes_and_use_restarts_the_lease)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", DURABLE, ARGUMENTS(INT("x-expires", 1000)));
    publish(a, "q", "a");
    advance(s, 900);
    send_declare(a, "q", PASSIVE, NO_ARGUMENTS);
    expect_reply(a, METHOD_QUEUE_DECLARE_OK);
    advance(s, 900);
    send_get(a, "q", NO_ACK);
    expect_get(a, "a");
    advance(s, 900);
    consume(a, "q", "t");
    advance(s, 100000);
    cr_expect(queue_exists(s, "q"));
    cancel(a, "t");
    advance(s, 900);
    publish(a, "q", "b"); /* is no use */
    advance(s, 98);       /* each advance also ends the millisecond that had begun */
    cr_expect(queue_exists(s, "q"));
    advance(s, 1);
    cr_expect_not(queue_exists(s, "q"));
    story_free(s);
}

/* ---- limits ---- */

Test(limit, drop_head_keeps_the_newest)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 2), DLX("dead")));
    publish(a, "q", "a");
    publish(a, "q", "b");
    publish(a, "q", "c");
    publish(a, "q", "d");
    consume(a, "dead", "t");
    expect_death(expect_fresh(a, "a"), "maxlen", "q", 1);
    expect_fresh(a, "b");
    expect_count(s, "q", 2, 0);
    story_free(s);
}

Test(limit, unacked_messages_do_not_count_until_they_come_back)
{
    struct story *s = story_new();
    struct client *a = client(s), *b = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 2)));
    publish(a, "q", "a");
    publish(a, "q", "b");
    consume(b, "q", "t");
    expect_fresh(b, "a");
    expect_fresh(b, "b");
    cancel(b, "t");
    publish(a, "q", "c");
    publish(a, "q", "d");
    expect_count(s, "q", 2, 2);
    close_channel(b); /* what comes back is the oldest: it is dropped */
    expect_count(s, "q", 2, 0);
    consume(a, "q", "t");
    expect_fresh(a, "c");
    expect_fresh(a, "d");
    story_free(s);
}

Test(limit, bytes_count_bodies_only)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length-bytes", 10)));
    POST(a, .key = "q", .body_size = 6);
    POST(a, .key = "q", .body_size = 4);
    expect_count(s, "q", 2, 0);
    cr_expect_eq(queue_info(s, "q").ready_bytes, 10);
    POST(a, .key = "q", .body_size = 1);
    expect_count(s, "q", 2, 0);
    POST(a, .key = "q", .body_size = 11); /* empties the queue and is dropped itself */
    expect_count(s, "q", 0, 0);
    story_free(s);
}

Test(limit, reject_publish_looks_at_the_new_message)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length-bytes", 10), STR("x-overflow", "reject-publish")));
    confirm_select(a);
    POST(a, .key = "q", .body_size = 8);
    POST(a, .key = "q", .body_size = 10);
    POST(a, .key = "q", .body_size = 1, .flags = MANDATORY);
    POST(a, .key = "q", .body_size = 2, .flags = MANDATORY);
    expect_acked(a, 1, 1);
    expect_nacked(a, 2, 2);
    expect_acked(a, 3, 3);
    expect_nacked(a, 4, 4);
    expect_silence(a); /* no return, even with mandatory */
    story_free(s);
}

Test(limit, zero_hands_over_to_an_idle_consumer_but_rejects)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-length", 0)));
    declare_with(a, "p", 0, ARGUMENTS(INT("x-max-length", 0), STR("x-overflow", "reject-publish")));
    consume(a, "q", "t");
    consume(a, "p", "u");
    confirm_select(a);
    publish(a, "q", "a");
    publish(a, "p", "b");
    expect_fresh(a, "a");
    expect_silence(a);
    expect_nacked(a, 2, 2);
    story_free(s);
}

Test(limit, reject_publish_dlx_sends_the_new_message_on)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0,
                 ARGUMENTS(INT("x-max-length", 1), STR("x-overflow", "reject-publish-dlx"), DLX("dead")));
    confirm_select(a);
    publish(a, "q", "a");
    publish(a, "q", "b");
    expect_acked(a, 1, 1);
    expect_nacked(a, 2, 2);
    consume(a, "dead", "t");
    expect_death(expect_fresh(a, "b"), "maxlen", "q", 1);
    story_free(s);
}

/* ---- priorities ---- */

Test(priority, highest_first_and_in_order_inside)
{
    static const struct {
        const char *body;
        int priority; /* -1: none */
    } sent[] = {{"none", -1}, {"0", 0}, {"1", 1}, {"5", 5}, {"9", 9}, {"255", 255}, {"3", 3}, {"2", 2}};
    static const char *const order[] = {"5", "9", "255", "3", "2", "1", "none", "0"};
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-priority", 5)));
    for (size_t i = 0; i < 8; i++)
        POST(a, .key = "q", .body = sent[i].body, .has_priority = sent[i].priority >= 0,
             .priority = sent[i].priority < 0 ? 0 : (uint8_t)sent[i].priority);
    prefetch(a, 8);
    consume(a, "q", "t");
    for (size_t i = 0; i < 8; i++)
        expect_fresh(a, order[i]);
    cancel(a, "t");
    reject(a, 4, REQUEUE); /* 3 */
    POST(a, .key = "q", .body = "new 3", .priority = 3);
    POST(a, .key = "q", .body = "4", .priority = 4);
    consume(a, "q", "u");
    expect_fresh(a, "4");
    story_free(s);
}

Test(priority, requeued_message_goes_before_newer_ones_of_its_level)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-priority", 255)));
    POST(a, .key = "q", .body = "a", .priority = 200);
    send_get(a, "q", 0);
    expect_get(a, "a");
    POST(a, .key = "q", .body = "b", .priority = 200);
    POST(a, .key = "q", .body = "c", .priority = 255);
    reject(a, 1, REQUEUE);
    consume(a, "q", "t");
    expect_fresh(a, "c");
    expect_redelivered(a, "a");
    expect_fresh(a, "b");
    POST(a, .key = "q", .body = "d", .priority = 70);
    expect_fresh(a, "d");
    purge(a, "q", 0);
    expect_count(s, "q", 0, 4);
    story_free(s);
}

Test(priority, drop_head_drops_the_highest)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(INT("x-max-priority", 10), INT("x-max-length", 2)));
    POST(a, .key = "q", .body = "a", .priority = 5);
    POST(a, .key = "q", .body = "b", .priority = 1);
    POST(a, .key = "q", .body = "c", .priority = 1);
    consume(a, "q", "t");
    expect_fresh(a, "b");
    expect_fresh(a, "c");
    expect_silence(a);
    story_free(s);
}

/* ---- dead letters ---- */

Test(dead_letter, rejected_message_keeps_order_and_says_why)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *heard;

    declare(a, "dead");
    declare_with(a, "q", 0, ARGUMENTS(DLX("dead")));
    consume(a, "q", "t");
    POST(a, .key = "q", .body = "a", .correlation_id = "id", .expiration = "60000");
    publish(a, "q", "b");
    publish(a, "q", "c");
    nack(a, 3, MULTIPLE);
    consume(a, "dead", "d");
    expect_fresh(a, "a");
    expect_fresh(a, "b");
    expect_fresh(a, "c");
    heard = expect_fresh(a, "a");
    expect_death(heard, "rejected", "q", 1);
    cr_expect_str_eq(heard->exchange, "");
    cr_expect_str_eq(heard->key, "dead");
    cr_expect(bytes_equal_string(heard->properties.correlation_id, "id"));
    cr_expect_not(heard->properties.flags & PROPERTY_EXPIRATION);
    expect_fresh(a, "b");
    expect_fresh(a, "c");
    story_free(s);
}

Test(dead_letter, expired_ones_go_through_the_exchange_with_their_own_key)
{
    struct story *s = story_new();
    struct client *a = client(s);
    const struct heard *heard;

    declare_exchange(a, "dlx", "direct");
    declare(a, "dead");
    bind(a, "dead", "dlx", "q");
    declare_with(a, "q", 0, ARGUMENTS(STR("x-dead-letter-exchange", "dlx"), INT("x-message-ttl", 100)));
    publish(a, "q", "a");
    advance(s, 100);
    consume(a, "dead", "t");
    heard = expect_fresh(a, "a");
    expect_death(heard, "expired", "q", 1);
    cr_expect_str_eq(heard->exchange, "dlx");
    cr_expect_str_eq(heard->key, "q");
    story_free(s);
}

Test(dead_letter, goes_nowhere_when_the_exchange_is_missing)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(STR("x-dead-letter-exchange", "nox")));
    publish(a, "q", "a");
    send_get(a, "q", 0);
    expect_get(a, "a");
    reject(a, 1, 0);
    expect_count(s, "q", 0, 0);
    expect_silence(a);
    story_free(s);
}

Test(dead_letter, cycle_without_a_rejection_is_cut)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_with(a, "q", 0, ARGUMENTS(DLX("q"), INT("x-message-ttl", 100)));
    publish(a, "q", "a");
    advance(s, 100);
    expect_count(s, "q", 0, 0);
    declare_with(a, "r", 0, ARGUMENTS(DLX("r")));
    publish(a, "r", "b");
    consume(a, "r", "t");
    expect_fresh(a, "b");
    reject(a, 1, 0); /* a client's doing: goes round */
    expect_death(expect_fresh(a, "b"), "rejected", "r", 1);
    reject(a, 2, 0);
    expect_death(expect_fresh(a, "b"), "rejected", "r", 2);
    story_free(s);
}

Test(dead_letter, purge_and_delete_send_nothing)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "dead");
    declare_with(a, "q", 0, ARGUMENTS(DLX("dead")));
    publish(a, "q", "a");
    purge(a, "q", 1);
    publish(a, "q", "b");
    delete_queue(a, "q");
    expect_count(s, "dead", 0, 0);
    story_free(s);
}

Test(delivery_limit, message_is_delivered_once_more_than_the_limit)
{
    static const char *const types[] = {"classic", "quorum"};
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "dead");
    for (int i = 0; i < 2; i++) {
        bool quorum = i == 1;
        const struct heard *heard;

        declare_with(a, types[i], DURABLE,
                     ARGUMENTS(STR("x-queue-type", types[i]), INT("x-delivery-limit", 2), DLX("dead")));
        consume(a, types[i], types[i]);
        publish(a, types[i], "a");
        heard = expect_fresh(a, "a");
        cr_expect_eq(heard->delivery_count, 0);
        nack(a, heard->tag, REQUEUE);
        heard = expect_redelivered(a, "a");
        cr_expect_eq(heard->delivery_count, quorum ? 1 : 0);
        reject(a, heard->tag, REQUEUE);
        heard = expect_redelivered(a, "a");
        cr_expect_eq(heard->delivery_count, quorum ? 2 : 0);
        SEND(a, .id = METHOD_BASIC_RECOVER, .basic_recover = {.requeue = true});
        expect_reply(a, METHOD_BASIC_RECOVER_OK);
        expect_silence(a);
        expect_count(s, types[i], 0, 0);
        expect_count(s, "dead", 1, 0);
        purge(a, "dead", 1);
    }
    story_free(s);
}

/* ---- policies ---- */

Test(policy, acts_on_queues_that_are_there)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    for (int i = 0; i < 5; i++)
        publish(a, "q", "m");
    set_policy(s, "p", "^q$", ARGUMENTS(INT64("max-length", 3)));
    expect_count(s, "q", 3, 0);
    set_operator_policy(s, "o", "q", ARGUMENTS(INT64("max-length", 2)));
    expect_count(s, "q", 2, 0);
    set_policy(s, "p", "^q$",
               ARGUMENTS(INT64("message-ttl", 1000), STR("dead-letter-exchange", ""),
                         STR("dead-letter-routing-key", "dead")));
    declare(a, "dead");
    publish(a, "q", "new");
    expect_count(s, "q", 2, 0);
    expect_count(s, "dead", 1, 0); /* dropped from the head */
    advance(s, 1000);
    expect_count(s, "q", 1, 0); /* only what came after the policy expires */
    expect_count(s, "dead", 2, 0);
    clear_policy(s, "p");
    publish(a, "q", "newer");
    advance(s, 10000);
    expect_count(s, "q", 2, 0);
    story_free(s);
}

Test(policy, limits_act_before_overflow)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    for (int i = 0; i < 5; i++)
        publish(a, "q", "m");
    set_policy(s, "p", "^q$", ARGUMENTS(INT64("max-length", 3), STR("overflow", "reject-publish")));
    expect_count(s, "q", 3, 0);
    set_policy(s, "p", "^q$", ARGUMENTS(INT64("max-length", 2), STR("overflow", "reject-publish")));
    expect_count(s, "q", 3, 0); /* as nothing has dropped from the head before either */
    set_policy(s, "p", "^q$", ARGUMENTS(INT64("max-length", 2)));
    expect_count(s, "q", 2, 0);
    story_free(s);
}

Test(policy, starts_and_stops_the_lease)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare(a, "q");
    declare(a, "r");
    advance(s, 5000);
    set_policy(s, "p", "", ARGUMENTS(INT64("expires", 1000)));
    advance(s, 999);
    cr_expect(queue_exists(s, "q"));
    consume(a, "r", "t");
    advance(s, 1);
    cr_expect_not(queue_exists(s, "q"));
    clear_policy(s, "p");
    cancel(a, "t");
    advance(s, 100000);
    cr_expect(queue_exists(s, "r"));
    story_free(s);
}

Test(policy, gives_an_alternate_exchange)
{
    struct story *s = story_new();
    struct client *a = client(s);

    declare_exchange(a, "x", "direct");
    declare(a, "lost");
    bind(a, "lost", "amq.fanout", "");
    POST(a, .exchange = "x", .key = "k", .body = "a", .flags = MANDATORY);
    expect_return(a, "a");
    set_policy(s, "p", "^x$", ARGUMENTS(STR("alternate-exchange", "amq.fanout")));
    POST(a, .exchange = "x", .key = "k", .body = "b", .flags = MANDATORY);
    expect_count(s, "lost", 1, 0);
    expect_silence(a);
    story_free(s);
}
