/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where logins come from: for each source address the logins that wait, and the failures that are not
 * forgotten yet. A pure table: time is an argument, whoever calls holds a lock.
 *
 * - Addresses take turns, so one that sends many logins keeps nobody waiting but itself.
 * - After LOGIN_FAILURES_FREE failures every further one doubles how long logins from there have to wait,
 * from 100 ms to `delay_max`; each LOGIN_FORGIVE_S seconds forgive one.
 * - What waits is bounded, for all together and for each address, for a slowed address more tightly.
 * - So is what is remembered: of addresses where nothing waits the oldest are forgotten.
 *
 * An IPv4 address is an address; of IPv6 the network (/64), since whoever has one address there has them all.
 */
#ifndef SERVER_LOGIN_SOURCES_H
#define SERVER_LOGIN_SOURCES_H

#include <stdbool.h>
#include <stdint.h>

#include "peer.h"

#define LOGIN_FAILURES_FREE 10
#define LOGIN_FORGIVE_S     10

#define LOGINS_MAX             16384 /* that wait */
#define LOGINS_PER_SOURCE      4096
#define LOGINS_PER_SLOW_SOURCE 256
#define LOGIN_SOURCES_MAX      4096 /* remembered without a login that waits */

/* As IPv6, IPv4 mapped. Who comes by a UNIX socket, and whom a proxy does not name, are an address each. */
struct login_address {
    uint8_t octets[16];
};

/* The address of PEER by the rule above. */
struct login_address login_address_of(const struct peer *peer);

struct login_source;
struct login_sources;

/* A login's place: embed it, first. */
struct login_place {
    struct login_place *next;
    struct login_source *source;
};

/* No login waits longer than DELAY_MAX ns for failures of others. */
struct login_sources *login_sources_new(uint64_t delay_max);
void login_sources_free(struct login_sources *sources);

/* A login comes from ADDRESS: it belongs to PLACE's source from now on until login_sources_leave(), and is to
 * be held back for *DELAY ns. False: too many wait already; then it is in no source. */
bool login_sources_enter(struct login_sources *sources, struct login_place *place,
                         const struct login_address *address, uint64_t now, uint64_t *delay);

/* PLACE, which has entered, is to be decided when it is its turn. */
void login_sources_push(struct login_sources *sources, struct login_place *place);

/* Whose turn it is; NULL: nothing is to be decided. */
struct login_place *login_sources_take(struct login_sources *sources);

/* PLACE is decided, or was given up before it was pushed. */
void login_sources_leave(struct login_sources *sources, struct login_place *place, bool has_failed,
                         uint64_t now);

/* ---- for tests and statistics ---- */

struct login_sources_info {
    uint32_t sources; /* known */
    uint32_t waiting; /* logins entered and not left */
};

struct login_sources_info login_sources_info(const struct login_sources *sources);

#endif
