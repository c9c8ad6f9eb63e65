/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Exchanges, their types, and bindings: fields for the core's own files.
 *
 * Invariants:
 * 1. A binding is in four places or in none: the vhost's index of identities, its source's list, its
 *    destination's list, and what its source's type made of it (add/remove).
 * 2. Any change of exchanges, queues or bindings moves vhost->topology, which drops every remembered route.
 */
#ifndef BROKER_EXCHANGE_H
#define BROKER_EXCHANGE_H

#include "coney/bytes.h"
#include "coney/hash.h"
#include "coney/reply_error.h"

struct exchange;
struct exchange_spec;
struct queue;
struct route;
struct vhost;

struct binding {
    UT_hash_handle hh;             /* vhost->bindings, by identity */
    struct binding *prev, *next;   /* source->bindings */
    struct binding *dprev, *dnext; /* incoming of the destination */
    struct binding *peer;          /* the source type's own list, where it wants one */
    void *type_data;               /* the source type's own, freed by its remove() */
    struct exchange *source;
    struct exchange *to_exchange; /* exactly one of these two is not NULL */
    struct queue *to_queue;
    struct bytes routing_key; /* in identity */
    struct bytes arguments;   /* as sent, behind identity */
    uint64_t lsn;             /* of its creation; 0 when it does not last */
    uint32_t identity_size;
    uint8_t identity[]; /* source, destination, key, canonical arguments; then the arguments as sent */
};

/* What an exchange type is: its functions, optional where said so. */
struct exchange_type {
    const char *name;
    const char *description; /* as listings tell it */
    bool depends_on_message; /* routes by more than the key: never remembered */
    /* Check the arguments of a new exchange. NULL: anything goes. */
    bool (*check_exchange)(const struct exchange *exchange, struct reply_error *error);
    /* Check a binding to be. NULL: anything goes. */
    bool (*check_binding)(struct exchange *exchange, struct bytes routing_key, struct bytes arguments,
                          struct reply_error *error);
    void (*add)(struct exchange *exchange, struct binding *binding);
    void (*remove)(struct exchange *exchange, struct binding *binding);
    /* Call route_to() for every binding that ROUTE's message and keys match; repeats do no harm. */
    void (*route)(struct exchange *exchange, struct route *route);
};

struct exchange {
    UT_hash_handle hh; /* vhost->exchanges, by name */
    struct vhost *vhost;
    const struct exchange_type *type;
    struct bytes name;      /* owned */
    struct bytes arguments; /* owned, as sent */
    struct bytes alternate; /* in arguments or, from a policy, owned by the policy set */
    bool has_alternate;
    bool durable, auto_delete, internal;
    bool is_doomed;               /* being deleted, or on vhost->doomed */
    struct exchange *doomed_next; /* vhost->doomed */
    struct binding *bindings;     /* where it is the source; DL list */
    struct binding *incoming;     /* where it is the destination; DL list by dprev/dnext */
    uint32_t binding_count;
    void *type_data; /* the type's index; freed when the last binding is removed */
    uint64_t lsn;
    uint64_t mark;                    /* the last route that visited it */
    uint64_t publish_in, publish_out; /* messages that clients published to it, and copies that left it */
};

extern const struct exchange_type exchange_type_direct;
extern const struct exchange_type exchange_type_fanout;
extern const struct exchange_type exchange_type_topic;
extern const struct exchange_type exchange_type_headers;
extern const struct exchange_type exchange_type_consistent_hash;
extern const struct exchange_type exchange_type_random;
extern const struct exchange_type exchange_type_modulus_hash;

/* The type called NAME; NULL when there is none. */
const struct exchange_type *exchange_type_find(struct bytes name);

struct exchange *exchange_find(const struct vhost *vhost, struct bytes name);

/* Make an exchange that does not exist yet. Checks nothing but the type's arguments. */
struct exchange *exchange_create(struct vhost *vhost, struct bytes name, const struct exchange_type *type,
                                 bool durable, bool auto_delete, bool internal, struct bytes arguments,
                                 struct reply_error *error);

/* Compare a redeclaration with what is there (3.3); false with the 406. */
bool exchange_is_equivalent(const struct exchange *exchange, const struct exchange_spec *spec,
                            struct reply_error *error);

/* Remove EXCHANGE with its bindings; sources of incoming ones may auto-delete. Returns the LSN to wait for.
 */
uint64_t exchange_delete(struct exchange *exchange);

/* Take alternate-exchange from the arguments or else the policy again. */
void exchange_apply_policy(struct exchange *exchange);

/* A binding to be, or to be found. */
struct binding_key {
    struct exchange *source;
    struct exchange *to_exchange;
    struct queue *to_queue;
    struct bytes routing_key;
    struct bytes arguments;
};

struct binding *binding_find(struct vhost *vhost, const struct binding_key *key);

/* Bind, or find it bound; *LSN is what to wait for. False when the type refuses. */
bool binding_add(struct vhost *vhost, const struct binding_key *key, uint64_t *lsn,
                 struct reply_error *error);

/* Remove BINDING; its source may auto-delete. Returns the LSN to wait for. */
uint64_t binding_remove(struct binding *binding);

/* Remove all bindings to QUEUE. Returns the LSN to wait for. */
uint64_t bindings_remove_incoming(struct queue *queue);

#endif
