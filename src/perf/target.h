/* SPDX-License-Identifier: Apache-2.0 */
/* A broker that is asked for by a URI: its address, looked up once, and what to say to it. Not changed
 * afterwards. */
#ifndef PERF_TARGET_H
#define PERF_TARGET_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

#include "coney/amqp_uri.h"
#include "coney/client.h"

#define TARGET_WHY_SIZE 400

struct options;

struct target {
    struct amqp_uri uri;
    struct client_target login; /* points into URI */
    struct sockaddr_storage address;
    socklen_t address_size;
    struct ssl_ctx_st *tls; /* NULL: plain */
    char *shown;            /* the URI without its password */
    uint32_t frame_max;     /* that we wish; 0 as the broker says, up to what we can take */
    uint16_t heartbeat;     /* s; 0: none */
};

/* Look up TEXT, as OPTIONS say of TLS and limits. False with WHY, and nothing to be freed. */
bool target_open(struct target *target, const char *text, const struct options *options,
                 char why[TARGET_WHY_SIZE]);

void target_free(struct target *target);

#endif
