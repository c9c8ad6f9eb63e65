/* SPDX-License-Identifier: Apache-2.0 */
/* Accepted sockets whose PROXY header has not come yet; the door's. */
#ifndef SERVER_PROXY_WAIT_H
#define SERVER_PROXY_WAIT_H

#include <stdint.h>

#include "server/session/peer.h"

struct event_base;
struct proxy_wait;

/* What PEER sent is whole: FD goes on with whom the proxy names. */
typedef void proxy_done(void *context, int fd, const struct peer *peer);

struct proxy_waits {
    struct event_base *base;
    struct proxy_wait *list; /* DL list */
};

/* Wait for the header of FD, which is taken over, for at most TIMEOUT_MS; then call DONE, or close it. */
void proxy_wait_begin(struct proxy_waits *waits, int fd, const struct peer *peer, uint64_t timeout_ms,
                      proxy_done *done, void *context);

/* Close all that wait. */
void proxy_wait_end(struct proxy_waits *waits);

#endif
