/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker's side of a socketpair, played by a test, and a client at the other end. One thread: nothing
 * happens but in peer_turn(). What the client calls back is written down, a line each, and so are the frames
 * that it sends.
 */
#ifndef TESTS_CLIENT_PEER_H
#define TESTS_CLIENT_PEER_H

#include <stdbool.h>
#include <stdint.h>

#include "../server/wire.h"
#include "coney/buffer.h"
#include "coney/client.h"

struct peer {
    struct event_base *base;
    int fd;
    struct client *client;
    struct client_channel *channels[3]; /* as peer_channel() opened them */
    struct wire_input input;
    struct buffer told;    /* what was called back */
    bool is_broken;        /* the client sent no frame */
    const char *frees_at;  /* the beginning of the line at which the client is freed */
    const char *closes_at; /* ... or channel 1 closed */
};

/* What the client is opened with, but for its descriptor. */
extern const struct client_target peer_target;

extern const struct client_events peer_events;
extern const struct client_channel_events peer_channel_events;

/* Open a client that has not begun yet. */
void peer_open(struct peer *peer, const struct client_target *target);
void peer_close(struct peer *peer);

/* Let the client do what it can now. */
void peer_turn(struct peer *peer);

/* Turn until a line has been told that begins with BEGINNING; fails after seconds. */
void peer_wait(struct peer *peer, const char *beginning);

/* Send OCTETS in pieces of at most PIECE octets, with a turn after each. */
void peer_say(struct peer *peer, struct bytes octets, size_t piece);
void peer_say_method(struct peer *peer, uint16_t channel, const struct method *method);

/* The next frame of the client that is no heartbeat, and must come. Its strings are valid until the next. */
struct wire_frame peer_hear(struct peer *peer);

/* The same, and it must be METHOD on CHANNEL. */
struct method peer_hear_method(struct peer *peer, uint16_t channel, enum method_id id);

/* The handshake, up to open-ok; frames of FRAME_MAX octets. */
void peer_hear_protocol_header(struct peer *peer);
void peer_say_start(struct peer *peer, const char *mechanisms);
void peer_say_tune(struct peer *peer, uint32_t frame_max, uint16_t heartbeat);
void peer_login(struct peer *peer, uint32_t frame_max);

/* Have the client open channel NUMBER, and open it. */
struct client_channel *peer_channel(struct peer *peer, uint16_t number);

/* A reply function that writes down what it is told; CONTEXT is the peer. */
void peer_replied(void *context, const struct client_reply *reply);

/* What was told so far, as text; and forget it. */
const char *peer_told(struct peer *peer);

#endif
