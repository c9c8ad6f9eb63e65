/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The core as its clients see it, for tests that read like stories:
 *
 *     struct story *s = story_new();
 *     struct client *a = client(s), *b = client(s);
 *
 *     declare(a, "q");
 *     publish(a, "q", "one");
 *     consume(b, "q", "tag");
 *     expect_fresh(b, "one");
 *     story_free(s);
 *
 * A client is one channel of one connection. What the core says to it is sorted into replies, deliveries,
 * returns and confirms, each in order; an expectation takes the next of its kind or fails the test. Before an
 * expectation looks, the story settles: the journal becomes durable, messages come back, chunks are given
 * back.
 *
 * The journal keeps nothing, unless CONEY_JOURNAL_SEED is set: then it is the seeded one, which is late and
 * takes messages away whenever it likes. Every story must hold with both. story_new_late() is always late:
 * nothing becomes durable before sync_journal(), nothing comes back before bring_back().
 *
 * story.c is the world, story_commands.c what clients send, story_expectations.c what they hear; all other
 * files story_NAME.c are stories.
 */
#ifndef TESTS_BROKER_STORY_H
#define TESTS_BROKER_STORY_H

#include <criterion/criterion.h>

#include "arguments.h"
#include "coney/outbox.h"
#include "coney/properties.h"
#include "coney/vhost.h"

struct story;
struct client;

/* When stories begin. */
#define STORY_START INT64_C(1700000000000)

#define B(text) bytes_from_string(text)

enum story_flag {
    PASSIVE = 1,
    DURABLE = 2,
    EXCLUSIVE = 4,
    AUTO_DELETE = 8,
    INTERNAL = 16,
    NOWAIT = 32,
    NO_ACK = 64,
    MANDATORY = 128,
    IMMEDIATE = 256,
    MULTIPLE = 512,
    REQUEUE = 1024,
    IF_UNUSED = 2048,
    IF_EMPTY = 4096,
};

/* Something that a client heard. Strings are NUL-terminated. */
struct heard {
    struct heard *next;
    enum outbox_kind kind;
    unsigned flags; /* enum outbox_flag */
    uint64_t order; /* when, among all that the story heard */
    struct method method;
    uint64_t tag;
    uint32_t count; /* get-ok: messages left */
    uint32_t delivery_count;
    char consumer[SHORTSTR_MAX + 1];
    char exchange[SHORTSTR_MAX + 1], key[SHORTSTR_MAX + 1];
    char *body;
    uint64_t body_size;
    struct properties properties;
    uint8_t *payload; /* what method points into; or the raw properties */
    size_t payload_size;
};

/* ---- the story ---- */

struct story *story_new(void);
struct story *story_new_with(const struct vhost_settings *settings);
struct story *story_new_late(void);
/* End it: all connections must be gone or are left, and whatever was said unread is fine. */
void story_free(struct story *s);

struct vhost *story_vhost(struct story *s);
int64_t story_now(const struct story *s);

/* Let MS pass, a timer's call at every deadline on the way. */
void advance(struct story *s, int64_t ms);
/* Let everything happen that needs no time and no client. */
void settle(struct story *s);
/* One call of the timer: the core goes on with what was too much for one batch. */
void turn(struct story *s);
/* Late stories: what is written becomes durable. */
void sync_journal(struct story *s);
/* Seeded journals: all that is ready leaves memory; what was asked for comes back. Nothing without one. */
void send_away(struct story *s);
void bring_back(struct story *s);
/* What follows is for late stories. The oldest of what was asked for is answered. */
void bring_one_back(struct story *s);
/* Whatever is to be read cannot be read. */
void fail_reads(struct story *s);
/* Whatever is to be written out is written, or FAILED. */
void finish_saves(struct story *s, bool failed);
/* All that is written out is to be written again elsewhere; it is when it is brought back. */
void move_runs(struct story *s);
/* Messages may hold so many octets of memory. */
void limit_memory(struct story *s, uint64_t octets);
/* What was asked of the journal and is not answered. */
uint32_t questions(const struct story *s);
/* A whole checkpoint; the journal goes on by chance. */
void checkpoint(struct story *s);
void step_journal(struct story *s);
/* Late stories: all connections vanish, all becomes durable, and the node is started again. */
void restart(struct story *s);

/* A policy with one key of type l (INT64) or S (STR). */
void set_policy(struct story *s, const char *name, const char *pattern, struct arguments definition);
void set_operator_policy(struct story *s, const char *name, const char *pattern, struct arguments definition);
void clear_policy(struct story *s, const char *name);

/* Counts of a queue; fails when it is not there. */
struct queue_info queue_info(struct story *s, const char *queue);
bool queue_exists(struct story *s, const char *queue);
bool exchange_exists(struct story *s, const char *exchange);

/* ---- clients ---- */

/* A new connection of guest with a channel. */
struct client *client(struct story *s);
struct client *client_of(struct story *s, const char *user);
/* One whose library did not announce consumer_cancel_notify. */
struct client *client_without_notify(struct story *s);
/* A connection that may be refused: only entered, no channel opened, nothing expected. Channel 0. */
struct client *client_enter(struct story *s, const struct batch_open *open);
/* Another channel of the same connection. */
struct client *client_beside(struct client *c);
/* Channel 0 of the same connection. */
struct client *client_zero(struct client *c);
/* The channel number again, after it was closed. */
void reopen(struct client *c);

/* The socket is gone; the core has forgotten the connection when it is settled. */
void vanish(struct client *c);
/* Octets for the connection stay unwritten from here on; are written. */
void stop_reading(struct client *c);
void read_on(struct client *c);
/* The core's enum outbox_hold for the connection, as last told. */
unsigned held(struct client *c);
/* The core has said that it has ended the connection; has forgotten it. */
bool has_ended(struct client *c);
bool has_detached(struct client *c);

/* Everything that CLIENT's connection sends until together_end() is one batch. */
void together(struct client *c);
void together_end(struct client *c);

/* ---- commands: sent, not looked at ---- */

void send_method(struct client *c, const struct method *method);
#define SEND(c, ...) send_method(c, &(struct method){__VA_ARGS__})

struct post {
    const char *exchange, *key, *body;
    unsigned flags; /* MANDATORY, IMMEDIATE */
    bool persistent;
    bool has_priority;
    uint8_t priority;
    const char *expiration, *reply_to, *user_id, *correlation_id;
    struct bytes headers; /* contents of a table; present when data is not NULL */
    struct bytes raw;     /* properties as they are, instead of all these */
    size_t body_size;     /* instead of body: so many octets */
};

void post(struct client *c, struct post post);
#define POST(c, ...) post(c, (struct post){__VA_ARGS__})

/* Through the default exchange: a plain transient message. */
void publish(struct client *c, const char *queue, const char *body);
void publish_persistent(struct client *c, const char *queue, const char *body);
void settle_tag(struct client *c, uint64_t tag, unsigned flags);
void ack(struct client *c, uint64_t tag);
void ack_up_to(struct client *c, uint64_t tag);
void nack(struct client *c, uint64_t tag, unsigned flags);
void reject(struct client *c, uint64_t tag, unsigned flags);

void send_declare(struct client *c, const char *queue, unsigned flags, struct arguments arguments);
void send_declare_exchange(struct client *c, const char *exchange, const char *type, unsigned flags,
                           struct arguments arguments);
void send_bind(struct client *c, const char *queue, const char *exchange, const char *key,
               struct arguments arguments);
void send_unbind(struct client *c, const char *queue, const char *exchange, const char *key);
void send_consume(struct client *c, const char *queue, const char *tag, unsigned flags,
                  struct arguments arguments);
void send_get(struct client *c, const char *queue, unsigned flags);
void send_delete(struct client *c, const char *queue, unsigned flags);
void send_purge(struct client *c, const char *queue);
void send_qos(struct client *c, uint16_t count, bool global);

/* ---- expectations: settle, then look at the next of a kind ---- */

#define STORY_TEXT_(x) #x
#define STORY_TEXT(x)  STORY_TEXT_(x)
#define STORY_HERE     __FILE__ ":" STORY_TEXT(__LINE__)

const struct heard *story_reply(const char *here, struct client *c, enum method_id id);
const struct heard *story_delivery(const char *here, struct client *c, const char *body, unsigned flags);
const struct heard *story_get(const char *here, struct client *c, const char *body, unsigned flags);
const struct heard *story_return(const char *here, struct client *c, const char *body);
void story_confirmed(const char *here, struct client *c, uint64_t first, uint64_t last, bool acked);
void story_unconfirmed(const char *here, struct client *c, uint64_t sequence);
void story_silence(const char *here, struct client *c);
void story_channel_error(const char *here, struct client *c, enum reply_code code, const char *text,
                         enum method_id method);
void story_connection_error(const char *here, struct client *c, enum reply_code code, const char *text,
                            enum method_id method);
void story_count(const char *here, struct story *s, const char *queue, uint64_t ready, uint64_t unacked);

/* The next reply is this method. Returns it. */
#define expect_reply(c, id) story_reply(STORY_HERE, c, id)
/* The next delivery has this body, and is, or is not, redelivered. Returns it. */
#define expect_fresh(c, body)       story_delivery(STORY_HERE, c, body, 0)
#define expect_redelivered(c, body) story_delivery(STORY_HERE, c, body, OUTBOX_REDELIVERED)
/* The next reply is get-ok with this body. */
#define expect_get(c, body)             story_get(STORY_HERE, c, body, 0)
#define expect_get_redelivered(c, body) story_get(STORY_HERE, c, body, OUTBOX_REDELIVERED)
/* The next return has this body. */
#define expect_return(c, body) story_return(STORY_HERE, c, body)
/* Each of these sequence numbers has been acked (nacked) once, by whatever frames; or not told yet. */
#define expect_acked(c, first, last)  story_confirmed(STORY_HERE, c, first, last, true)
#define expect_nacked(c, first, last) story_confirmed(STORY_HERE, c, first, last, false)
#define expect_unconfirmed(c, number) story_unconfirmed(STORY_HERE, c, number)
/* Nothing is there to hear but confirms. */
#define expect_silence(c) story_silence(STORY_HERE, c)
/* The next reply closes the channel (answered) or the connection. The whole text. METHOD 0: none. */
#define expect_channel_error(c, code, text, method) story_channel_error(STORY_HERE, c, code, text, method)
#define expect_connection_error(c, code, text, method) \
    story_connection_error(STORY_HERE, c, code, text, method)
/* Ready and unacked messages of a queue. */
#define expect_count(s, queue, ready, unacked) story_count(STORY_HERE, s, queue, ready, unacked)

/* Without settling: what has been heard so far. NULL when there is none. */
const struct heard *glimpse_reply(struct client *c);
const struct heard *glimpse_delivery(struct client *c);
/* How often SEQUENCE was confirmed: more than 1 never happens without failing the test. */
unsigned glimpse_confirm(struct client *c, uint64_t sequence);

/* ---- commands with their reply, which must be the good one ---- */

void story_declare(const char *here, struct client *c, const char *queue, unsigned flags,
                   struct arguments arguments);
void story_declare_exchange(const char *here, struct client *c, const char *exchange, const char *type,
                            unsigned flags, struct arguments arguments);
void story_lasting(const char *here, struct client *c, const char *queue, unsigned flags,
                   struct arguments arguments);
void story_away(const char *here, struct client *c, const char *queue, const char *const *bodies);
void story_bind(const char *here, struct client *c, const char *queue, const char *exchange, const char *key);
void story_consume(const char *here, struct client *c, const char *queue, const char *tag, unsigned flags,
                   struct arguments arguments);
void story_simple(const char *here, struct client *c, enum method_id id, enum method_id expected);
void story_cancel(const char *here, struct client *c, const char *tag);
void story_qos(const char *here, struct client *c, uint16_t count, bool global);
void story_purge(const char *here, struct client *c, const char *queue, uint32_t count);
void story_delete(const char *here, struct client *c, const char *queue);
void story_close_connection(const char *here, struct client *c);

#define declare(c, queue)                  story_declare(STORY_HERE, c, queue, 0, NO_ARGUMENTS)
#define declare_with(c, queue, flags, ...) story_declare(STORY_HERE, c, queue, flags, __VA_ARGS__)
/* In a late story: a durable queue that lasts already. */
#define declare_lasting(c, queue, flags, ...) story_lasting(STORY_HERE, c, queue, flags, __VA_ARGS__)
/* A queue with messages of these bodies, all away. */
#define declare_away(c, queue, ...)         story_away(STORY_HERE, c, queue, (const char *const[]){__VA_ARGS__, NULL})
#define declare_exchange(c, exchange, type) declare_exchange_with(c, exchange, type, 0, NO_ARGUMENTS)
#define declare_exchange_with(c, exchange, type, flags, ...) \
    story_declare_exchange(STORY_HERE, c, exchange, type, flags, __VA_ARGS__)
#define bind(c, queue, exchange, key)           story_bind(STORY_HERE, c, queue, exchange, key)
#define consume(c, queue, tag)                  story_consume(STORY_HERE, c, queue, tag, 0, NO_ARGUMENTS)
#define consume_with(c, queue, tag, flags, ...) story_consume(STORY_HERE, c, queue, tag, flags, __VA_ARGS__)
#define cancel(c, tag)                          story_cancel(STORY_HERE, c, tag)
#define prefetch(c, count)                      story_qos(STORY_HERE, c, count, false)
#define prefetch_global(c, count)               story_qos(STORY_HERE, c, count, true)
#define purge(c, queue, count)                  story_purge(STORY_HERE, c, queue, count)
#define delete_queue(c, queue)                  story_delete(STORY_HERE, c, queue)
#define confirm_select(c)                       story_simple(STORY_HERE, c, METHOD_CONFIRM_SELECT, METHOD_CONFIRM_SELECT_OK)
#define tx_select(c)                            story_simple(STORY_HERE, c, METHOD_TX_SELECT, METHOD_TX_SELECT_OK)
#define tx_commit(c)                            story_simple(STORY_HERE, c, METHOD_TX_COMMIT, METHOD_TX_COMMIT_OK)
#define tx_rollback(c)                          story_simple(STORY_HERE, c, METHOD_TX_ROLLBACK, METHOD_TX_ROLLBACK_OK)
#define close_channel(c)                        story_simple(STORY_HERE, c, METHOD_CHANNEL_CLOSE, METHOD_CHANNEL_CLOSE_OK)
#define close_connection(c)                     story_close_connection(STORY_HERE, c)

#endif
