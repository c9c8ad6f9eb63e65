/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shovels: each takes messages from a queue or exchange of one broker and publishes them at another, as
 * RabbitMQ's dynamic shovels do (runtime parameters of the component "shovel", with its keys and its error
 * texts). Either end may be coney, RabbitMQ, or this node itself (a URI without a host).
 *
 * All of them run on one thread with an event loop of its own. The functions here may be called by any thread
 * and do not wait for it. What is configured is kept by the caller: this remembers nothing.
 *
 * With ack-mode on-confirm, the default, a message is acknowledged at its source when the destination has
 * confirmed it, so whatever happens to either it is at one of them at least; it may be at both after a
 * failure. Beyond RabbitMQ: it is published as mandatory then, and one that is returned or refused is
 * requeued at its source and tried again a second later, not lost.
 */
#ifndef CONEY_SHOVELS_H
#define CONEY_SHOVELS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

struct client_target;
struct shovels;

struct shovels_settings {
    const char *node;         /* its name, for the status */
    const char *cluster_name; /* for the header x-shovelled */
};

/* Called on the shovels' thread. */
struct shovels_ops {
    /* Say in TARGET how this node is reached from within: a descriptor, or an address, and a login as USER;
     * NULL: as who may do what a shovel must. TARGET has the vhost already. What it then refers to must live
     * until the next call. False with errno: not now. NULL: never. */
    bool (*reach_self)(void *context, const char *user, struct client_target *target);
    /* The shovel has moved what it was to move, and stopped: its parameter goes. May call shovels_remove().
     */
    void (*ended)(void *context, const char *vhost, const char *name);
    void *context;
};

/* Texts and OPS are copied. */
struct shovels *shovels_new(const struct shovels_settings *settings, const struct shovels_ops *ops);

/* Begin and end the thread. What runs at its end is closed in an orderly way, for at most a few seconds. */
bool shovels_start(struct shovels *shovels);
void shovels_stop(struct shovels *shovels);

/* After shovels_stop(), or without a start. NULL is fine. */
void shovels_free(struct shovels *shovels);

/* Tell whether VALUE is one that RabbitMQ would take for the shovel NAME. Otherwise WHY has the reasons as
 * RabbitMQ gives them, each with a newline. Whether a user may use a URI without a host is not looked at. */
bool shovels_check(const char *name, const json_t *value, char *why, size_t why_size);

/* Run the shovel NAME of VHOST as VALUE says; one that runs is begun anew. False with WHY as above when VALUE
 * is not sound. */
bool shovels_put(struct shovels *shovels, const char *vhost, const char *name, const json_t *value, char *why,
                 size_t why_size);

/* Stop it. False when there is none. */
bool shovels_remove(struct shovels *shovels, const char *vhost, const char *name);

/* Stop it and begin anew, now. False when there is none. */
bool shovels_restart(struct shovels *shovels, const char *vhost, const char *name);

/* An array with an object for each, as GET /api/shovels has it: node, timestamp, name, vhost, type, state,
 * reason of one that is terminated, src_uri and dest_uri without passwords, the names of both ends,
 * blocked_status, forwarded, pending (published and not confirmed), remaining and remaining_unacked. A new
 * reference. */
json_t *shovels_status(struct shovels *shovels);

#endif
