/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A small AMQP client for measuring: one connection to 127.0.0.1 as guest, one channel, blocking. Whatever
 * goes wrong ends the program.
 */
#ifndef TESTS_BENCH_CLIENT_H
#define TESTS_BENCH_CLIENT_H

#include <pthread.h>
#include <stdatomic.h>

#include "coney/buffer.h"
#include "coney/method.h"

#define CLIENT_CHANNEL 1

struct client {
    int fd;
    struct buffer in;
    size_t in_at; /* octets of it that have been taken */
};

/* Connect, log in, open the channel. */
void client_open(struct client *client, uint16_t port);

/* Close without a word. */
void client_drop(struct client *client);

void client_send(struct client *client, struct bytes octets);
void client_send_method(struct client *client, uint16_t channel, const struct method *method);

/* Read what there is, or wait for something. */
void client_fill(struct client *client);

/* Take the next frame that is there in whole. PAYLOAD is valid until the next client_fill(). A close from the
 * broker ends the program with its text. */
bool client_next(struct client *client, uint8_t *type, struct bytes *payload);

/* Wait for method ID, and give it to OUT; other frames are dropped. OUT is valid until the next fill. */
void client_expect(struct client *client, enum method_id id, struct method *out);

/* Declare the transient QUEUE that drops its oldest messages beyond LENGTH_MAX. Returns how many it has. */
uint32_t client_declare(struct client *client, struct bytes queue, int64_t length_max);

void client_delete_queue(struct client *client, struct bytes queue);

/* ---- a publisher that never stops by itself ---- */

struct flood {
    struct client client;
    pthread_t thread;
    struct buffer block; /* some publishes, encoded */
    _Atomic uint64_t published;
    atomic_bool is_stopping;
};

/* Publish COUNT small messages to QUEUE, and wait until the broker has them. */
void flood_some(uint16_t port, struct bytes queue, unsigned count);

/* Publish to QUEUE as fast as the broker takes it, from a thread and connection of its own. */
void flood_start(struct flood *flood, uint16_t port, struct bytes queue);

/* End it. A broker that does not read is not waited for. */
void flood_stop(struct flood *flood);

#endif
