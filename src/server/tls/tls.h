/* SPDX-License-Identifier: Apache-2.0 */
/*
 * TLS for the listeners: a thread that shakes hands. It takes accepted sockets, of which it has any number
 * under way and few at a time in memory, and gives those that succeed to the server as streams; what a
 * stranger's handshake costs is paid on this thread and never on a loop. It also reads certificates, keys,
 * authorities and revocations anew when their files change or somebody asks for it. All of them are replaced
 * at once, or, when one does not fit, none: then the old ones stay in service.
 */
#ifndef SERVER_TLS_H
#define SERVER_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include "coney/tls_context.h"
#include "server/session/peer.h"

struct config_tls;
struct server;
struct tls;

/* What has happened since the start. */
struct tls_counters {
    uint64_t handshakes;     /* that succeeded, */
    uint64_t failures;       /* and did not */
    uint64_t by_kernel;      /* of those that did: whose records the kernel encrypts */
    uint64_t reloads;        /* of certificates that were taken, */
    uint64_t failed_reloads; /* and were not */
    int64_t expiry;          /* when the first certificate in service ends, in seconds since 1970 */
};

/* Read what CONFIG, which is copied, names. NULL with WHY when it is not sound. */
struct tls *tls_new(struct server *server, const struct config_tls *config, char why[TLS_WHY_SIZE]);

/* Start and end the thread: what is under way then is closed. */
bool tls_start(struct tls *tls);
void tls_stop(struct tls *tls);

/* After tls_stop(), or without a start. NULL is fine. */
void tls_free(struct tls *tls);

/* Any thread: shake hands on the accepted socket FD, which is taken over. TIMEOUT_MS is the time it may take.
 */
void tls_accepted(struct tls *tls, int fd, const struct peer *peer, uint64_t timeout_ms);

/* Any thread: take CONFIG, which is copied, instead of what was configured before, and read its files. What
 * comes of it is logged and counted. */
void tls_reload(struct tls *tls, const struct config_tls *config);

/* Any thread. */
struct tls_counters tls_counters(struct tls *tls);

/* Any thread: SHOW each certificate in service. It must not call back. */
void tls_certificates(struct tls *tls, void (*show)(void *context, const struct tls_certificate *certificate),
                      void *context);

#endif
