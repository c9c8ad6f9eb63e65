/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An AMQP 0-9-1 client on a libevent base: what coney itself uses to talk to a broker, another or its own.
 *
 * Everything of one client happens on its base's thread, and nothing here ever blocks (the one exception is
 * said at `dns`). Functions only append to what is to be sent; what the peer says comes by the callbacks. No
 * function calls back before it has returned, and every callback may call any function here, also
 * client_free().
 *
 * Life of a client: client_open(), then `opened`, then `closed`; or `closed` at once. `closed` comes exactly
 * once, whatever happens, unless client_free() came before. What a peer sends is never trusted: it is checked
 * by the codec, bounded by the target's limits, and anything out of place ends the client with CLIENT_BROKEN.
 *
 * The octets that callbacks are given are valid until they return. The program must ignore SIGPIPE.
 */
#ifndef CONEY_CLIENT_H
#define CONEY_CLIENT_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/bytes.h"
#include "coney/method.h"

struct buffer;
struct client;
struct client_channel;
struct event_base;
struct evdns_base;
struct ssl_ctx_st;

/* Where to, and as whom. Copied by client_open(), but for `tls` and `dns`. Zero means the default where one
 * is named. */
struct client_target {
    bool has_fd; /* `fd` is connected already, and taken over; host and port are not used */
    int fd;
    const char *host; /* a name or an address */
    uint16_t port;
    struct evdns_base
        *dns; /* of the same base: looks names up; NULL: the system's resolver, which may block */

    struct ssl_ctx_st *tls;  /* NULL: plain. The client keeps a reference; it says what is verified */
    const char *server_name; /* asked for, and verified if `tls` verifies; NULL: host; "": none */

    struct bytes vhost;
    const char *mechanism; /* NULL: PLAIN; or EXTERNAL, whose response is empty */
    struct bytes user;
    struct bytes password;
    const char *connection_name; /* client property; NULL: none */

    uint16_t heartbeat; /* s that we wish; 0: none, whatever the peer wishes. Else the smaller of both */
    uint16_t channel_max;
    uint32_t frame_max;
    uint64_t message_max; /* octets of a body or of properties that we take; 0: 128 MiB */
    uint32_t timeout_ms;  /* until it is opened; 0: 60 s */
    uint64_t output_max;  /* octets from which on client_wants_pause(); 0: 1 MiB */
};

enum client_end_kind {
    CLIENT_CLOSED,  /* we did, with client_close() or client_channel_close() */
    CLIENT_PEER,    /* the peer closed the connection or channel and gave its code */
    CLIENT_REFUSED, /* the login was refused */
    CLIENT_NETWORK, /* no connection, or the end of it */
    CLIENT_TIMEOUT, /* the peer did not answer, or its heartbeats are missing */
    CLIENT_BROKEN,  /* the peer broke the protocol or exceeded a limit */
};

struct client_end {
    enum client_end_kind kind;
    uint16_t code;    /* of the peer's close; otherwise 0 */
    const char *text; /* for people; never NULL. What a peer said in it is not escaped */
};

/* A message's content as it came. */
struct client_content {
    struct bytes properties; /* flags and values, see properties.h; not checked */
    struct bytes body;
};

/* Any of these may be NULL. */
struct client_events {
    void (*opened)(void *context, struct client *client);
    /* The last callback; all channels have had theirs. client_free() is still the owner's to call. */
    void (*closed)(void *context, struct client *client, const struct client_end *end);
    /* The peer does not read what is published for now (REASON), or does again. */
    void (*blocked)(void *context, struct client *client, bool is_blocked, struct bytes reason);
    /* After client_wants_pause() was true: go on. */
    void (*drained)(void *context, struct client *client);
};

struct client_channel_events {
    /* The last callback of the channel, which is gone afterwards. Not after client_channel_close(). */
    void (*closed)(void *context, struct client_channel *channel, const struct client_end *end);
    void (*delivered)(void *context, struct client_channel *channel,
                      const struct method_basic_deliver *deliver, const struct client_content *content);
    void (*returned)(void *context, struct client_channel *channel,
                     const struct method_basic_return *returned, const struct client_content *content);
    /* The peer has taken (IS_ACK) or refused what was published as SEQUENCE, or, if MULTIPLE, all up to it.
     */
    void (*confirmed)(void *context, struct client_channel *channel, uint64_t sequence, bool multiple,
                      bool is_ack);
    /* The peer ended a consumer. */
    void (*cancelled)(void *context, struct client_channel *channel, struct bytes consumer_tag);
};

/* The outcome of a call. */
struct client_reply {
    const struct method *method;          /* NULL: it failed, and END says why */
    const struct client_content *content; /* of a get-ok */
    const struct client_end *end;         /* what ended the channel */
};

typedef void client_reply_fn(void *context, const struct client_reply *reply);

/* ---- connections ---- */

/* Begin to connect. Never fails: what goes wrong is told by events->closed. EVENTS must outlive the client.
 */
struct client *client_open(struct event_base *base, const struct client_target *target,
                           const struct client_events *events, void *context)
    __attribute__((returns_nonnull));

/* Say all that was said, then connection.close; `closed` comes when the peer has answered, or after three
 * seconds. Channels' replies and events may come meanwhile. */
void client_close(struct client *client);

/* Let go of it at once, without a word, and without any more callback. NULL is fine. */
void client_free(struct client *client);

/* Tell whether `opened` was called, and nothing has ended it yet. */
bool client_is_open(const struct client *client);

/* Tell whether more waits to be sent than the target's output_max: the caller should say no more until
 * `drained`. Nothing is refused. */
bool client_wants_pause(const struct client *client);

/* Read no more from the peer until it is called with false. Nothing is known of the peer meanwhile: missing
 * heartbeats are not minded. */
void client_hold(struct client *client, bool hold);

/* A connection.start-ok of the program PRODUCT for TARGET, whose mechanism is named: for who logs in on a
 * stream of its own. It points into PROPERTIES and RESPONSE, which are appended to; the latter holds the
 * password. */
struct method client_start_ok(const struct client_target *target, const char *product,
                              struct buffer *properties, struct buffer *response);

/* ---- channels ---- */

/* Open a channel, which may be used at once. NULL when the client is not open, or has as many as the peer
 * allows. EVENTS must outlive the channel. */
struct client_channel *client_channel_open(struct client *client, const struct client_channel_events *events,
                                           void *context);

/* Close CHANNEL without any more callback (calls that wait are forgotten): the caller forgets it now. */
void client_channel_close(struct client_channel *channel);

/* The client that CHANNEL was opened on. */
struct client *client_channel_client(const struct client_channel *channel);

/* Send METHOD, which has a reply and must not say nowait, and tell REPLY, which may be NULL, what comes.
 * Calls may follow each other without waiting. After confirm.select the channel counts what it publishes. */
void client_call(struct client_channel *channel, const struct method *method, client_reply_fn *reply,
                 void *context);

/* Send METHOD, which has no reply: an ack, or something that says nowait. */
void client_send(struct client_channel *channel, const struct method *method);

/* Settle what was delivered on CHANNEL, with MULTIPLE all up to it; a tag twice makes the broker close the
 * channel. */
void client_ack(struct client_channel *channel, uint64_t delivery_tag, bool multiple);
void client_nack(struct client_channel *channel, uint64_t delivery_tag, bool multiple, bool requeue);

/* Publish BODY with PROPERTIES, flags and values as properties.h has them. The sequence number that
 * `confirmed` will name goes to *SEQUENCE if it is not NULL: 1 for the first after confirm.select. False, and
 * nothing is sent, when PROPERTIES do not fit in a frame. */
bool client_publish(struct client_channel *channel, const struct method_basic_publish *publish,
                    struct bytes properties, struct bytes body, uint64_t *sequence);

#endif
