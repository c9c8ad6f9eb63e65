/* SPDX-License-Identifier: Apache-2.0 */
/* story.h: what clients are expected to hear, and commands with the answer that is expected. */
#include <stdio.h>

#include "story_fields.h"

static const char *heard_name(const struct heard *heard)
{
    static char text[600];

    if (!heard)
        return "nothing";
    if (heard->kind == OUTBOX_GET_OK)
        return "basic.get-ok";
    if (heard->kind != OUTBOX_METHOD)
        return "a delivery";
    if (heard->method.id == METHOD_CHANNEL_CLOSE)
        snprintf(text, sizeof text, "channel.close %.*s", BYTES_ARG(heard->method.channel_close.reply_text));
    else if (heard->method.id == METHOD_CONNECTION_CLOSE)
        snprintf(text, sizeof text, "connection.close %.*s",
                 BYTES_ARG(heard->method.connection_close.reply_text));
    else
        return method_name(heard->method.id);
    return text;
}

const struct heard *story_reply(const char *here, struct client *c, enum method_id id)
{
    const struct heard *heard;

    settle(c->peer->story);
    heard = story_take(&c->replies);
    cr_assert(heard && heard->kind == OUTBOX_METHOD && heard->method.id == id,
              "%s: expected %s, heard %s%s%s", here, method_name(id), heard_name(heard),
              heard || !story_client_at(c->peer, 0)->replies.first ? "" : "; on channel 0: ",
              heard || !story_client_at(c->peer, 0)->replies.first
                  ? ""
                  : heard_name(story_client_at(c->peer, 0)->replies.first));
    return heard;
}

static const struct heard *expect_message(const char *here, struct ears *ears, const char *what,
                                          enum outbox_kind kind, const char *body, unsigned flags)
{
    const struct heard *heard = story_take(ears);

    cr_assert(heard && heard->kind == kind, "%s: expected %s '%s', heard %s", here, what, body,
              heard_name(heard));
    cr_assert_str_eq(heard->body, body, "%s: expected %s '%s', heard '%s'", here, what, body, heard->body);
    cr_assert_eq(heard->flags & OUTBOX_REDELIVERED, flags & OUTBOX_REDELIVERED, "%s: '%s' is %sredelivered",
                 here, body, flags & OUTBOX_REDELIVERED ? "not " : "");
    return heard;
}

const struct heard *story_delivery(const char *here, struct client *c, const char *body, unsigned flags)
{
    settle(c->peer->story);
    return expect_message(here, &c->deliveries, "delivery", OUTBOX_DELIVER, body, flags);
}

const struct heard *story_get(const char *here, struct client *c, const char *body, unsigned flags)
{
    settle(c->peer->story);
    return expect_message(here, &c->replies, "get-ok", OUTBOX_GET_OK, body, flags);
}

const struct heard *story_return(const char *here, struct client *c, const char *body)
{
    settle(c->peer->story);
    return expect_message(here, &c->returns, "return", OUTBOX_RETURN, body, 0);
}

void story_confirmed(const char *here, struct client *c, uint64_t first, uint64_t last, bool acked)
{
    settle(c->peer->story);
    for (uint64_t i = first; i <= last; i++)
        cr_assert_eq(c->confirms[i], acked ? 'a' : 'n', "%s: publish %llu was %s", here,
                     (unsigned long long)i,
                     !c->confirms[i] ? "not confirmed"
                     : acked         ? "nacked"
                                     : "acked");
}

void story_unconfirmed(const char *here, struct client *c, uint64_t sequence)
{
    settle(c->peer->story);
    cr_assert_eq(c->confirms[sequence], 0, "%s: publish %llu was confirmed", here,
                 (unsigned long long)sequence);
}

void story_silence(const char *here, struct client *c)
{
    settle(c->peer->story);
    cr_assert_null(c->replies.first, "%s: heard %s", here, heard_name(c->replies.first));
    if (c->deliveries.first)
        cr_assert_fail("%s: delivered '%s'", here, c->deliveries.first->body);
    if (c->returns.first)
        cr_assert_fail("%s: returned '%s'", here, c->returns.first->body);
}

static void expect_close(const char *here, const char *text, enum method_id method,
                         const struct method_connection_close *close)
{
    cr_assert(bytes_equal_string(close->reply_text, text), "%s: closed with '%.*s'", here,
              BYTES_ARG(close->reply_text));
    cr_assert_eq((uint32_t)close->class_id << 16 | close->method_id, (uint32_t)method, "%s: closed for %u.%u",
                 here, close->class_id, close->method_id);
}

void story_channel_error(const char *here, struct client *c, enum reply_code code, const char *text,
                         enum method_id method)
{
    const struct heard *heard = story_reply(here, c, METHOD_CHANNEL_CLOSE);
    const struct method_channel_close *close = &heard->method.channel_close;

    cr_assert_eq(close->reply_code, code, "%s: closed with %u", here, close->reply_code);
    expect_close(here, text, method,
                 &(struct method_connection_close){.reply_text = close->reply_text,
                                                   .class_id = close->class_id,
                                                   .method_id = close->method_id});
    SEND(c, .id = METHOD_CHANNEL_CLOSE_OK);
}

void story_connection_error(const char *here, struct client *c, enum reply_code code, const char *text,
                            enum method_id method)
{
    const struct heard *heard = story_reply(here, client_zero(c), METHOD_CONNECTION_CLOSE);

    cr_assert_eq(heard->method.connection_close.reply_code, code, "%s: closed with %u", here,
                 heard->method.connection_close.reply_code);
    expect_close(here, text, method, &heard->method.connection_close);
    SEND(client_zero(c), .id = METHOD_CONNECTION_CLOSE_OK);
    cr_assert(has_ended(c), "%s: close-ok does not end the connection", here);
}

void story_count(const char *here, struct story *s, const char *queue, uint64_t ready, uint64_t unacked)
{
    struct queue_info info = queue_info(s, queue);

    cr_assert(info.ready == ready && info.unacked == unacked, "%s: '%s' has %llu ready, %llu unacked", here,
              queue, (unsigned long long)info.ready, (unsigned long long)info.unacked);
}

const struct heard *glimpse_reply(struct client *c)
{
    return c->replies.first;
}

const struct heard *glimpse_delivery(struct client *c)
{
    return c->deliveries.first;
}

unsigned glimpse_confirm(struct client *c, uint64_t sequence)
{
    return c->confirms[sequence] != 0;
}

/* ---- commands with their reply ---- */

void story_declare(const char *here, struct client *c, const char *queue, unsigned flags,
                   struct arguments arguments)
{
    send_declare(c, queue, flags, arguments);
    story_reply(here, c, METHOD_QUEUE_DECLARE_OK);
}

void story_lasting(const char *here, struct client *c, const char *queue, unsigned flags,
                   struct arguments arguments)
{
    send_declare(c, queue, DURABLE | flags, arguments);
    sync_journal(c->peer->story);
    story_reply(here, c, METHOD_QUEUE_DECLARE_OK);
}

void story_away(const char *here, struct client *c, const char *queue, const char *const *bodies)
{
    story_declare(here, c, queue, 0, NO_ARGUMENTS);
    for (; *bodies; bodies++)
        publish(c, queue, *bodies);
    send_away(c->peer->story);
}

void story_declare_exchange(const char *here, struct client *c, const char *exchange, const char *type,
                            unsigned flags, struct arguments arguments)
{
    send_declare_exchange(c, exchange, type, flags, arguments);
    story_reply(here, c, METHOD_EXCHANGE_DECLARE_OK);
}

void story_bind(const char *here, struct client *c, const char *queue, const char *exchange, const char *key)
{
    send_bind(c, queue, exchange, key, NO_ARGUMENTS);
    story_reply(here, c, METHOD_QUEUE_BIND_OK);
}

void story_consume(const char *here, struct client *c, const char *queue, const char *tag, unsigned flags,
                   struct arguments arguments)
{
    send_consume(c, queue, tag, flags, arguments);
    story_reply(here, c, METHOD_BASIC_CONSUME_OK);
}

void story_simple(const char *here, struct client *c, enum method_id id, enum method_id expected)
{
    SEND(c, .id = id);
    story_reply(here, c, expected);
}

void story_cancel(const char *here, struct client *c, const char *tag)
{
    const struct heard *heard;

    SEND(c, .id = METHOD_BASIC_CANCEL, .basic_cancel = {.consumer_tag = B(tag)});
    heard = story_reply(here, c, METHOD_BASIC_CANCEL_OK);
    cr_assert(bytes_equal_string(heard->method.basic_cancel_ok.consumer_tag, tag), "%s", here);
}

void story_qos(const char *here, struct client *c, uint16_t count, bool global)
{
    send_qos(c, count, global);
    story_reply(here, c, METHOD_BASIC_QOS_OK);
}

void story_purge(const char *here, struct client *c, const char *queue, uint32_t count)
{
    const struct heard *heard;

    send_purge(c, queue);
    heard = story_reply(here, c, METHOD_QUEUE_PURGE_OK);
    cr_assert_eq(heard->method.queue_purge_ok.message_count, count, "%s: %u purged", here,
                 heard->method.queue_purge_ok.message_count);
}

void story_delete(const char *here, struct client *c, const char *queue)
{
    send_delete(c, queue, 0);
    story_reply(here, c, METHOD_QUEUE_DELETE_OK);
}

void story_close_connection(const char *here, struct client *c)
{
    SEND(client_zero(c), .id = METHOD_CONNECTION_CLOSE);
    story_reply(here, client_zero(c), METHOD_CONNECTION_CLOSE_OK);
    cr_assert(has_ended(c), "%s: the connection goes on", here);
}
